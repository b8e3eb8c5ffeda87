/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Outer products of bytes with strides, whose sums are whole numbers of 16 bits: pyramids.
 *
 * Method byte_steps: rows of x are summed across, one after the other, at the columns that are asked for. Rows of these sums are summed
 * down, divided, and stored, where a row is asked for (bytes.c). A row is copied first, so that it has the columns beyond its ends.
 * Pixels, and strides of more than 2, are taken apart into phases then.
 *
 *      x, bytes   copy    a row     across   sums, 16 bits   down   out
 *      +-----+    --->   +-------+   --->    +----+           |     +----+
 *      |     |                               |    |           v     |    |
 *      +-----+                               +----+                 +----+
 */
#include "corr/call.h"
#include <string.h>

static ptrdiff_t byte_steps_unit(const call *c) { return unit_of(&c->g->axis[COLS]); }
static int byte_steps_splits(const call *c) { return c->g->axis[COLS].stride > (byte_steps_unit(c) == 1 ? 2 : 1); }

static int byte_steps_prepare(call *c)
{
    const fc_axis *rows = &c->g->axis[ROWS], *cols = &c->g->axis[COLS];
    const ptrdiff_t unit = byte_steps_unit(c);
    c->separable.rows = clamp(BYTE_STEPS_TALL / rows->stride, 1, min(BYTE_STEPS_ROWS, rows->out));
    c->separable.cols = min(max(BYTE_STEPS_COLS / unit, 1) * unit, cols->out);
    c->separable.phase = whole_lines(plus(reach(cols, c->separable.cols) / cols->stride, 2 * unit));
    c->separable.row = odd_lines(plus(c->separable.cols, c->fc->vector_bytes), c->size); /* two vectors more are read */
    c->tile_out[ROWS] = c->separable.rows, c->tile_out[COLS] = c->out_row = c->separable.cols;
    return 0;
}

static void byte_steps_parts(const call *c, fc_room *r, scratch *s)
{
    const fc_axis *axis = c->g->axis;
    const ptrdiff_t wide = plus(reach(&axis[COLS], c->separable.cols), 1);
    s->at = fc_part(r, "taps", axis[COLS].k, sizeof *s->at);
    s->gather.column = fc_part(r, "columns", wide, sizeof *s->gather.column);
    s->planes = fc_part(r, "a row", wide, 1);
    s->phases = fc_part(r, "its phases", byte_steps_splits(c) ? times(axis[COLS].stride, c->separable.phase) : 0, 1);
    s->sums = fc_part(r, "sums", times(reach(&axis[ROWS], c->separable.rows), c->separable.row), c->size);
}

/* Which columns of x the `wide` from `first` on are: those beyond low ... high, in turn */
static void byte_steps_name(const job *j, ptrdiff_t first, ptrdiff_t low, ptrdiff_t high, ptrdiff_t wide)
{
    for (ptrdiff_t q = outside(0, low, high); q < wide; q = outside(q + 1, low, high))
        j->s.gather.column[q] = fc_source_column(&j->c->g->axis[COLS], first + q);
}

/* Row number i of plane z, from column `first` on, which low ... high of `wide` lie in x */
static void byte_steps_row(const job *j, ptrdiff_t z, ptrdiff_t i, ptrdiff_t first, ptrdiff_t low, ptrdiff_t high,
                           ptrdiff_t wide)
{
    const fc_axis *axis = j->c->g->axis;
    const ptrdiff_t row = fc_source_index(i, axis[ROWS].n, axis[ROWS].boundary), step = axis[COLS].x_step;
    const char *const x = j->x + (z * axis[DEPTH].stride - axis[DEPTH].lead) * axis[DEPTH].x_step + row * axis[ROWS].x_step,
                      fill = *j->c->x.fill;
    char *const to = j->s.planes;
    if (row < 0) {
        memset(to, fill, (size_t)wide);
        return;
    }
    fc_copy_row(to + low, 1, x + (first + low) * step, step, high - low, 1);
    for (ptrdiff_t q = outside(0, low, high); q < wide; q = outside(q + 1, low, high)) {
        const ptrdiff_t column = j->s.gather.column[q];
        to[q] = column < 0 ? fill : x[column * step];
    }
}

/* Pixels of a row of n bytes into the phases of a stride. Of three bytes each, they are moved as four. */
static void byte_steps_split(const call *c, const scratch *s, ptrdiff_t n)
{
    const ptrdiff_t unit = byte_steps_unit(c), stride = c->g->axis[COLS].stride, step = unit * stride;
    if (unit == 4) {
        c->fc->op[FC_F32]->split(s->phases, c->separable.phase / 4, s->planes, n / 4, stride, 1);
        return;
    }
    for (ptrdiff_t p = 0; p < stride; p++) {
        const char *from = s->planes + p * unit, *const end = s->planes + n;
        char *to = s->phases + p * c->separable.phase;
        if (unit == 3)
            for (; end - from > unit; from += step, to += unit)
                memcpy(to, from, 4);
        if (unit == 1)
            for (; from < end; from += step)
                *to++ = *from;
        for (; from < end; from += step, to += unit)
            memcpy(to, from, (size_t)unit);
    }
}

/* Where the taps across lie in a row, or in its phases */
static void byte_steps_taps(const call *c, const scratch *s)
{
    const fc_axis *cols = &c->g->axis[COLS];
    const ptrdiff_t unit = byte_steps_unit(c), stride = cols->stride;
    for (ptrdiff_t t = 0; t < cols->k; t++) {
        const ptrdiff_t pixel = t * cols->dilation / unit;
        s->at[t] = byte_steps_splits(c) ? pixel % stride * c->separable.phase + pixel / stride * unit : t * cols->dilation;
    }
}

static void byte_steps_band(const job *j, ptrdiff_t z, const patch *p)
{
    const call *c = j->c;
    const fc_axis *axis = c->g->axis, *down = &axis[ROWS], *cols = &axis[COLS];
    const ptrdiff_t first = p->col * cols->stride - cols->lead, wide = reach(cols, p->cols), row = c->separable.row;
    const fc_taps across = {.full = cols->k, .at = j->s.at, .k = c->g->factor[COLS]};
    const int splits = byte_steps_splits(c);
    ptrdiff_t low, high;
    inside(cols->n, 1, first, wide, &low, &high);
    byte_steps_name(j, first, low, high, wide);
    byte_steps_taps(c, &j->s);
    for (ptrdiff_t t = 0; t < reach(down, p->rows); t++) {
        byte_steps_row(j, z, p->row * down->stride - down->lead + t, first, low, high, wide);
        if (splits)
            byte_steps_split(c, &j->s, wide);
        c->op->across(splits ? j->s.phases : j->s.planes, c->g->x_type, wide, splits ? 1 : cols->stride, &across,
                      j->s.sums + t * row * c->size, row, 1, p->cols);
    }
    for (ptrdiff_t i = 0; i < p->rows; i++)
        c->op->down(p->out + i * p->out_row * c->made_size, c->made, j->s.sums + i * down->stride * row * c->size,
                    down->dilation * row, c->g->factor[ROWS], down->k, p->cols, (unsigned)c->divisor);
}

static void byte_steps_chunk(const job *j, ptrdiff_t index) { fc_steps_bands(j, index, byte_steps_band); }

const method fc_byte_steps = {
    .as_stored = 1, .needs_no_boxes = 1, .prepare = byte_steps_prepare, .parts = byte_steps_parts, .chunk = byte_steps_chunk};
