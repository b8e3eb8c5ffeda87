/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Boxes of bytes, and of integers of 16 bits, which are read, and results stored, as they lie in memory.
 *
 * Method columns: sums of h elements down each column are kept. A row enters, the last but h leaves, and the windows of the row of
 * sums are the results (windows_tmpl.h). As sums are exact, nothing drifts.
 *
 *      rows of x          sums of columns              out
 *      +-----------+      +--+-----------+--+        +-----------+    a row beyond an edge is the one that the boundary names;
 *      |           | ---> |  |           |  |  --->  |           |    a column beyond an edge has the sum of the one that it
 *      +-----------+      +--+-----------+--+        +-----------+    names: nothing is gathered
 *
 * Only an array that cannot be read, or written, where it is goes through tiles, as by any method. Where rows and columns are found,
 * and in which order bands are made, pixels.c and threes.c have from here.
 */
#include "corr/call.h"

static ptrdiff_t columns_size(const call *c) { return 2 * c->x.size; } /* bytes of a sum */

static int columns_prepare(call *c)
{
    const fc_axis *rows = &c->g->axis[ROWS], *cols = &c->g->axis[COLS];
    const ptrdiff_t most = parts_of(cols->out, c->plan.parts[COLS]);
    c->tile_out[ROWS] = rows->k;
    c->columns.rows = reach(rows, parts_of(rows->out, c->plan.parts[ROWS]));
    c->columns.cols = reach(cols, most);
    c->columns.block = min(max(COLUMNS_BLOCK, 4 * reach(cols, 1)), most);
    return 0;
}

static void columns_parts(const call *c, fc_room *r, scratch *s)
{
    const fc_axis *cols = &c->g->axis[COLS];
    const ptrdiff_t more = c->fc->vector_bytes, wide = reach(cols, c->columns.block); /* vectors are read and written */
    s->rows = fc_part(r, "rows", c->columns.rows, sizeof *s->rows);
    s->at = fc_part(r, "columns beyond x", c->columns.cols, sizeof *s->at);
    s->sums = fc_part(r, "sums of columns", plus(c->columns.cols, more), columns_size(c));
    s->boxes = fc_part(r, "sums so far", plus(plus(wide, cols->dilation), more), c->size);
    s->fills = fc_part(r, "fill values", c->g->axis[ROWS].boundary == FC_CONSTANT ? c->columns.cols : 0, c->x.size);
}

/* The sums of `wide` columns, but for low ... high, from those that `at` names; -1: fill values */
static void columns_beyond(const call *c, const scratch *s, ptrdiff_t low, ptrdiff_t high, ptrdiff_t wide)
{
    const uint32_t fill = (uint32_t)(c->g->integer_fill * c->g->axis[ROWS].k);
    const ptrdiff_t *at = s->at;
#define FC_NAMED(T)                                                                                                      \
    {                                                                                                                    \
        T *const sums = (T *)s->sums;                                                                                    \
        for (ptrdiff_t q = 0; q < low; q++, at++)                                                                        \
            sums[q] = *at < 0 ? (T)fill : sums[*at];                                                                     \
        for (ptrdiff_t q = high; q < wide; q++, at++)                                                                    \
            sums[q] = *at < 0 ? (T)fill : sums[*at];                                                                     \
    }
    if (columns_size(c) == 2)
        FC_NAMED(uint16_t)
    else
        FC_NAMED(uint32_t)
#undef FC_NAMED
}

static void columns_band(const call *c, const scratch *s, ptrdiff_t low, ptrdiff_t high, const patch *p)
{
    const fc_axis *across = &c->g->axis[COLS];
    const ptrdiff_t h = c->g->axis[ROWS].k, size = columns_size(c), wide = reach(across, p->cols);
    const ptrdiff_t apart = across->k > 1 ? across->dilation : 1;
    fc_column_fn *const column = c->fc->op[size == 2 ? FC_I16 : FC_I32]->column;
    char *const there = s->sums + low * size;
    memset(s->sums, 0, (size_t)(wide * size));
    for (ptrdiff_t t = 0; t < h - 1; t++)
        column(there, s->rows[t], NULL, high - low);
    for (ptrdiff_t i = 0; i < p->rows; i++) {
        char *const out = p->out + i * p->out_row * c->made_size;
        column(there, s->rows[i + h - 1], i > 0 ? s->rows[i - 1] : NULL, high - low);
        columns_beyond(c, s, low, high, wide);
        for (ptrdiff_t j = 0; j < p->cols; j += c->columns.block)
            c->op->windows(out + j * c->made_size, c->made, s->sums + j * size, across->k, apart,
                           min(c->columns.block, p->cols - j), (unsigned)c->divisor, s->boxes);
    }
}

/* Columns of outputs that are computed at a time, of so many */
static ptrdiff_t columns_strip(const call *c, ptrdiff_t cols)
{
    return c->columns.strip ? parts_of(cols, parts_of(cols, c->columns.strip)) : cols;
}

void fc_columns_compute(const call *c, const scratch *s, const patch *p)
{
    const ptrdiff_t strip = columns_strip(c, p->cols);
    for (ptrdiff_t m = 0; m < p->cols; m += strip) {
        patch part = *p;
        part.src += m * c->x.size, part.col += m, part.out += m * c->made_size, part.cols = min(strip, p->cols - m);
        for (ptrdiff_t t = 0; t < reach(&c->g->axis[ROWS], p->rows); t++)
            s->rows[t] = part.src + t * p->r->row * c->x.size;
        c->method->band(c, s, 0, reach(&c->g->axis[COLS], part.cols), &part);
    }
}

int fc_columns_find(const call *c, const scratch *s, ptrdiff_t first, ptrdiff_t low, ptrdiff_t high, ptrdiff_t wide)
{
    ptrdiff_t *at = s->at;
    for (ptrdiff_t q = outside(0, low, high); q < wide; q = outside(q + 1, low, high)) {
        const ptrdiff_t column = fc_source_column(&c->g->axis[COLS], first + q);
        if (column >= 0 && (column - first < low || column - first >= high))
            return 0;
        *at++ = column < 0 ? -1 : column - first;
    }
    return 1;
}

void fc_columns_turned(const scratch *s, char *sums, ptrdiff_t line, ptrdiff_t low, ptrdiff_t high, ptrdiff_t wide,
                       const char *fill)
{
    const ptrdiff_t *at = s->at;
    for (ptrdiff_t q = outside(0, low, high); q < wide; q = outside(q + 1, low, high), at++)
        memcpy(sums + q * line, *at < 0 ? fill : sums + *at * line, (size_t)line);
}

void fc_columns_back(const call *c, const char *turned, ptrdiff_t tall, const char *const *ahead, char *out, ptrdiff_t out_row,
                     ptrdiff_t rows, ptrdiff_t n)
{
    enum { AT_ONCE = 4, AHEAD = 8 }; /* vectors of a row; from these to those that are fetched */
    const ptrdiff_t lanes = c->x.lanes, line = tall * c->size, row = out_row * c->size,
                    whole = rows == tall ? n - n % lanes : 0;
    _Alignas(LINE) char square[LINE * LINE];
    for (ptrdiff_t j = 0; j < whole; j += AT_ONCE * lanes) {
        const ptrdiff_t at_once = min(AT_ONCE * lanes, whole - j);
        for (ptrdiff_t r = 0; c->is_far && r < tall; r++)
            for (ptrdiff_t i = j * c->size; i < (j + at_once) * c->size; i += LINE) {
                __builtin_prefetch(out + r * row + AHEAD * lanes * c->size + i, 1, 3);
                if (ahead)
                    __builtin_prefetch(ahead[r] + i, 0, 2);
            }
        c->op->transpose(out + j * c->size, out_row, turned + j * line, tall, at_once, tall);
    }
    for (ptrdiff_t j = whole; j < n; j += lanes) {
        c->op->transpose(square, lanes, turned + j * line, tall, lanes, tall);
        for (ptrdiff_t r = 0; r < rows; r++)
            memcpy(out + r * row + j * c->size, square + r * lanes * c->size, (size_t)(min(lanes, n - j) * c->size));
    }
}

/* Of the columns that outputs from number k on look at, low ... high are there, and s->at names the others. 0: not all are among these */
static int columns_of(const job *j, ptrdiff_t k, ptrdiff_t cols, ptrdiff_t *low, ptrdiff_t *high)
{
    const fc_axis *across = &j->c->g->axis[COLS];
    const ptrdiff_t first = k - across->lead, wide = reach(across, cols);
    inside(across->n, 1, first, wide, low, high);
    return fc_columns_find(j->c, &j->s, first, *low, *high, wide);
}

void fc_columns_chunk(const job *j, ptrdiff_t index)
{
    const call *c = j->c;
    const scratch *s = &j->s;
    const fc_axis *axis = c->g->axis;
    const box b = fc_share(c, index);
    const ptrdiff_t cols = b.to[COLS] - b.from[COLS], strip = columns_strip(c, cols);
    patch p = {.row = b.from[ROWS],
               .rows = b.to[ROWS] - b.from[ROWS],
               .out_row = axis[ROWS].out_step / c->made_size,
               .out_result = c->g->result_step};
    ptrdiff_t low, high;
    int found = c->x_adjacent && c->out_adjacent;
    for (ptrdiff_t m = 0; m < cols; m += strip)
        found = found && columns_of(j, b.from[COLS] + m, min(strip, cols - m), &low, &high);
    if (!found) {
        fc_boxes(j, index);
        return;
    }
    if (axis[ROWS].boundary == FC_CONSTANT)
        fc_copy_row(s->fills, c->x.size, c->x.fill, 0, min(c->columns.cols, axis[COLS].n), c->x.size);
    for (ptrdiff_t z = b.from[DEPTH]; z < b.to[DEPTH]; z++)
        for (ptrdiff_t m = 0; m < cols; m += strip) {
            p.col = b.from[COLS] + m, p.cols = min(strip, cols - m), p.out = out_at(j, z, p.row, p.col);
            columns_of(j, p.col, p.cols, &low, &high);
            for (ptrdiff_t t = 0; t < reach(&axis[ROWS], p.rows); t++) {
                const ptrdiff_t i = fc_source_index(p.row - axis[ROWS].lead + t, axis[ROWS].n, axis[ROWS].boundary);
                const char *row = j->x + (z - axis[DEPTH].lead) * axis[DEPTH].x_step + i * axis[ROWS].x_step;
                s->rows[t] = i < 0 ? s->fills : row + (p.col - axis[COLS].lead + low) * c->x.size;
            }
            c->method->band(c, s, low, high, &p);
        }
}

const method fc_columns = {.as_stored = 1,
                           .prepare = columns_prepare,
                           .parts = columns_parts,
                           .compute = fc_columns_compute,
                           .chunk = fc_columns_chunk,
                           .band = columns_band};
