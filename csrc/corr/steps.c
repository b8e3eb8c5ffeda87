/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Method steps: separable (separable.c), with strides along rows or columns: pyramids. A few rows of outputs at a time are summed down,
 * only where a row is asked for. Rows of sums are taken apart into the phases of the columns' stride, and these are summed across.
 *
 *      x                  sums                      phases                  out
 *      +---------+  |   +--+---------+--+        +-----+ +-----+  across   +-----+
 *      |         |  v   |  |         |  |  --->  |     | |     |   --->    |     |
 *      +---------+      +--+---------+--+        +-----+ +-----+           +-----+
 *
 * Rows beyond an edge are copies of those that the boundary names. A column beyond an edge has the sums of the one that it names. So
 * but for a few rows, x is read where it lies, if it can be. Of pixels, phases are of pixels.
 */
#include "corr/call.h"
#include <string.h>

int fc_steps_suit(const fc_corr *g)
{
    return g->method == FC_SEPARABLE && (g->axis[ROWS].stride > 1 || g->axis[COLS].stride > 1);
}

static ptrdiff_t steps_unit(const call *c) { return unit_of(&c->g->axis[COLS]); }

static int steps_prepare(call *c)
{
    const fc_axis *rows = &c->g->axis[ROWS], *cols = &c->g->axis[COLS];
    const ptrdiff_t unit = steps_unit(c);
    c->separable.rows = clamp(STEPS_TALL / rows->stride, 1, min(STEPS_ROWS, rows->out));
    const ptrdiff_t seen =
        times(reach(rows, c->separable.rows), c->size * cols->stride); /* bytes of x for a column of outputs */
    const ptrdiff_t most = clamp(STEPS_BYTES / seen, STEPS_COLS / 16, STEPS_COLS);
    c->separable.cols = min(max(most / unit, 1) * unit, cols->out);
    c->separable.row = odd_lines(plus(reach(cols, c->separable.cols), 2 * c->x.lanes), c->size);
    c->separable.phase = odd_lines(times(parts_of(parts_of(c->separable.row, unit), cols->stride), unit), c->size);
    c->tile_out[ROWS] = c->separable.rows, c->tile_out[COLS] = c->out_row = c->separable.cols;
    return 0;
}

/* Elements of a row of sums, taken apart */
static ptrdiff_t steps_phases(const call *c) { return times(c->g->axis[COLS].stride, c->separable.phase); }

static void steps_parts(const call *c, fc_room *r, scratch *s)
{
    const fc_axis *axis = c->g->axis;
    const ptrdiff_t terms = c->g->terms, sums = times(terms, c->separable.rows), wide = reach(&axis[COLS], c->separable.cols);
    s->at = fc_part(r, "taps", max(times(terms, axis[COLS].k), max(axis[DEPTH].k, axis[ROWS].k)), sizeof *s->at);
    s->down = fc_part(r, "taps of a long row", plus(axis[ROWS].k, axis[ROWS].stride), c->size);
    s->planes = fc_part(r, "rows of a band", times(reach(&axis[ROWS], c->separable.rows), odd_lines(wide, c->size)), c->size);
    s->deep = fc_part(r, "rows of all depths", axis[DEPTH].k > 1 ? times(axis[DEPTH].k, wide) : 0, c->size);
    s->gather.raw = fc_part(r, "raw", c->x.x_type != c->x.type ? wide : 0, c->x.stored);
    s->sums = fc_part(r, "sums", times(sums, c->separable.row), c->size);
    s->phases = fc_part(r, "phases of sums", axis[COLS].stride > 1 ? times(sums, steps_phases(c)) : 0, c->size);
    s->fills = fc_part(r, "sums of fill values", terms, c->size);
}

/* ---- down -------------------------------------------------------------------------------------- */

/* n elements of a row of x, which is continued by the boundaries, from `column` on; -1: fill values */
static void steps_row(const job *j, char *to, ptrdiff_t z, ptrdiff_t i, ptrdiff_t column, ptrdiff_t n)
{
    const call *c = j->c;
    const fc_axis *axis = c->g->axis;
    const ptrdiff_t plane = fc_source_index(z, axis[DEPTH].n, axis[DEPTH].boundary),
                    row = fc_source_index(i, axis[ROWS].n, axis[ROWS].boundary), step = axis[COLS].x_step;
    if (plane < 0 || row < 0 || column < 0)
        fc_copy_row(to, c->size, c->x.fill, 0, n, c->size);
    else
        fc_gather_adjacent(&c->x, &j->s.gather, to, j->x + plane * axis[DEPTH].x_step + row * axis[ROWS].x_step + column * step,
                           step, n);
}

/* The rows under so many rows of outputs, from number i of plane z on: where they are, or in scratch. Of depth, the sums of a term */
static const char *steps_rows(const job *j, ptrdiff_t z, ptrdiff_t i, ptrdiff_t rows, ptrdiff_t term, ptrdiff_t column,
                              ptrdiff_t n, ptrdiff_t *row)
{
    const call *c = j->c;
    const scratch *s = &j->s;
    const fc_axis *axis = c->g->axis, *deep = &axis[DEPTH];
    const ptrdiff_t first = i * axis[ROWS].stride - axis[ROWS].lead, tall = reach(&axis[ROWS], rows);
    const ptrdiff_t above = z * deep->stride - deep->lead;
    if (deep->k == 1 && c->x.readable && column >= 0 && first >= 0 && first + tall <= axis[ROWS].n && above >= 0 &&
        above < deep->n) {
        *row = axis[ROWS].x_step / c->size;
        return j->x + above * deep->x_step + first * axis[ROWS].x_step + column * c->size;
    }
    *row = odd_lines(n, c->size);
    for (ptrdiff_t t = 0; t < tall; t++) {
        char *const to = s->planes + t * *row * c->size;
        for (ptrdiff_t d = 0; d < deep->k; d++) {
            s->at[d] = d * n;
            steps_row(j, deep->k > 1 ? s->deep + d * n * c->size : to, above + d * deep->dilation, first + t, column, n);
        }
        const fc_taps taps = {.h = 1, .full = deep->k, .at = s->at, .k = c->g->factor[DEPTH] + term * deep->k * c->size};
        if (deep->k > 1)
            c->op->corr(s->deep, 0, &taps, to, *row, 1, n);
    }
    return s->planes;
}

/* Taps of a term along rows: the rows from one window to the next are one long row, as in direct.c, and taps are laid by its columns */
static fc_taps steps_taps(const call *c, const scratch *s, ptrdiff_t term, ptrdiff_t row)
{
    const fc_axis *axis = &c->g->axis[ROWS];
    const ptrdiff_t k = axis->k, columns = axis->dilation == 1 ? min(axis->stride, k) : k, h = parts_of(k, columns);
    const char *const w = c->g->factor[ROWS] + term * k * c->size;
    for (ptrdiff_t p = 0; p < columns; p++) {
        s->at[p] = p * axis->dilation * row;
        for (ptrdiff_t q = p; q < k; q += columns)
            memcpy(s->down + (p * h + q / columns) * c->size, w + q * c->size, (size_t)c->size);
    }
    const ptrdiff_t full = k - (h - 1) * columns;
    return (fc_taps){.h = h, .full = full, .part = columns - full, .at = s->at, .k = s->down};
}

/* The sums of all terms down n columns from `column` on, for so many rows of outputs, to column `to` of s->sums */
static void steps_down(const job *j, ptrdiff_t z, ptrdiff_t i, ptrdiff_t rows, ptrdiff_t column, ptrdiff_t n, ptrdiff_t to)
{
    const call *c = j->c;
    const char *x = NULL;
    ptrdiff_t row = 0;
    for (ptrdiff_t t = 0; t < c->g->terms; t++) {
        if (t == 0 || c->g->axis[DEPTH].k > 1)
            x = steps_rows(j, z, i, rows, t, column, n, &row);
        const fc_taps down = steps_taps(c, &j->s, t, row);
        c->op->corr(x, c->g->axis[ROWS].stride * row, &down,
                    j->s.sums + (t * c->separable.rows * c->separable.row + to) * c->size, c->separable.row, rows, n);
    }
}

/* ---- across ------------------------------------------------------------------------------------ */

/* Sums that lie in columns, as phases: those of n columns */
static void steps_split(const call *c, const scratch *s, ptrdiff_t rows, ptrdiff_t n)
{
    for (ptrdiff_t t = 0; t < c->g->terms; t++)
        for (ptrdiff_t i = 0; i < rows; i++) {
            const ptrdiff_t row = t * c->separable.rows + i;
            c->x.moves->split(s->phases + row * steps_phases(c) * c->size, c->separable.phase,
                              s->sums + row * c->separable.row * c->size, n, c->g->axis[COLS].stride, steps_unit(c));
        }
}

static void steps_across(const call *c, const scratch *s, const patch *p)
{
    const fc_axis *axis = &c->g->axis[COLS];
    const ptrdiff_t w = axis->k, stride = axis->stride, unit = steps_unit(c),
                    row = stride > 1 ? steps_phases(c) : c->separable.row;
    for (ptrdiff_t t = 0; t < c->g->terms * w; t++) {
        const ptrdiff_t pixel = t % w * axis->dilation / unit,
                        column = pixel % stride * c->separable.phase + pixel / stride * unit;
        s->at[t] = t / w * c->separable.rows * row + (stride > 1 ? column : t % w * axis->dilation);
    }
    if (stride > 1)
        steps_split(c, s, p->rows, reach(axis, p->cols));
    fc_separable_across(c, s, stride > 1 ? s->phases : s->sums, row, p);
}

/* ---- bands ------------------------------------------------------------------------------------- */

/* The sums of fill values: those of each of their columns */
static void steps_fill(const job *j)
{
    const call *c = j->c;
    steps_down(j, 0, 0, 1, -1, 1, 0);
    for (ptrdiff_t t = 0; t < c->g->terms; t++)
        memcpy(j->s.fills + t * c->size, j->s.sums + t * c->separable.rows * c->separable.row * c->size, (size_t)c->size);
}

/* The sums of column `to`, which lies beyond x, from column `from` of them; -1: of fill values */
static void steps_copy(const job *j, ptrdiff_t rows, ptrdiff_t from, ptrdiff_t to)
{
    const call *c = j->c;
    const ptrdiff_t row = c->separable.row * c->size;
    for (ptrdiff_t t = 0; t < c->g->terms; t++) {
        char *const sums = j->s.sums + t * c->separable.rows * row;
        fc_copy_row(sums + to * c->size, row, from < 0 ? j->s.fills + t * c->size : sums + from * c->size, from < 0 ? 0 : row,
                    rows, c->size);
    }
}

static void steps_band(const job *j, ptrdiff_t z, const patch *p)
{
    const call *c = j->c;
    const fc_axis *cols = &c->g->axis[COLS];
    const ptrdiff_t first = p->col * cols->stride - cols->lead, wide = reach(cols, p->cols);
    ptrdiff_t low, high;
    inside(cols->n, 1, first, wide, &low, &high);
    if (low < high)
        steps_down(j, z, p->row, p->rows, first + low, high - low, low);
    for (ptrdiff_t q = outside(0, low, high); q < wide; q = outside(q + 1, low, high)) {
        const ptrdiff_t column = fc_source_column(cols, first + q), there = column - first;
        if (column < 0 || (there >= low && there < high))
            steps_copy(j, p->rows, column < 0 ? -1 : there, q);
        else
            steps_down(j, z, p->row, p->rows, column, 1, q);
    }
    steps_across(c, &j->s, p);
}

void fc_steps_bands(const job *j, ptrdiff_t index, fc_steps_band_fn *compute)
{
    const call *c = j->c;
    const box b = fc_share(c, index);
    const ptrdiff_t rows = c->separable.rows, cols = c->separable.cols;
    for (ptrdiff_t z = b.from[DEPTH]; z < b.to[DEPTH]; z++)
        for (ptrdiff_t i = b.from[ROWS]; i < b.to[ROWS]; i += rows)
            for (ptrdiff_t k = b.from[COLS]; k < b.to[COLS] && !fc_gives_up(); k += cols) {
                patch p = {.row = i, .col = k, .rows = min(rows, b.to[ROWS] - i), .cols = min(cols, b.to[COLS] - k)};
                fc_boxes_place(j, z, &p);
                compute(j, z, &p);
                fc_boxes_store(j, z, &p);
            }
}

static void steps_chunk(const job *j, ptrdiff_t index)
{
    if (j->c->g->axis[COLS].boundary == FC_CONSTANT)
        steps_fill(j);
    fc_steps_bands(j, index, steps_band);
}

const method fc_steps = {.needs_no_boxes = 1, .prepare = steps_prepare, .parts = steps_parts, .chunk = steps_chunk};
