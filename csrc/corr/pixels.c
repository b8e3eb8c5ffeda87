/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Outer products of integers of 8 and 16 bits, in floats, which are read, and results stored, as they lie in memory.
 *
 * Method pixels: separable, of one term, of small integers that become such integers again. A few rows at a time are summed down
 * into scratch, in phases (pixels_tmpl.h), and these across into results. Rows beyond the edges are those that the boundary names;
 * columns beyond the edges have the sums of those that it names (columns.c). Nothing is gathered, and no image of floats is made.
 *
 *      rows of x           sums, in phases             out
 *      +-----------+  |    +--+-----------+--+        +-----------+
 *      |           |  v    |  |           |  |  --->  |           |
 *      +-----------+       +--+-----------+--+        +-----------+
 */
#include "corr/call.h"

/* The sum of the absolute values of the taps along an axis, and the sum of those below zero */
static void pixels_weigh(const fc_corr *g, int a, double *all, double *below)
{
    *all = *below = 0;
    for (ptrdiff_t t = 0; t < g->axis[a].k; t++) {
        const double tap = float_at(FC_F32, g->factor[a] + t * (ptrdiff_t)sizeof(float));
        *all += tap < 0 ? -tap : tap;
        *below += tap < 0 ? -tap : 0;
    }
}

/* Whether no sum is too large for the kernels, nor, if results are to be checked, for their type. (NaN is not less than anything.) */
static int pixels_hold(const fc_corr *g, double high)
{
    double down, down_below, across, across_below;
    pixels_weigh(g, ROWS, &down, &down_below), pixels_weigh(g, COLS, &across, &across_below);
    const double most = high * down * across,
                 least = high * (down_below * (across - across_below) + across_below * (down - down_below));
    if (!(down < 0x1p60 && across < 0x1p60 && most < 0x1p21))
        return 0;
    return g->rounding == FC_SATURATED || (g->rounding == FC_CHECKED && least < 0.25 && most < high + 0.25);
}

int fc_pixels_suit(const fc_corr *g, int vector_bytes)
{
    const fc_axis *rows = &g->axis[ROWS], *cols = &g->axis[COLS];
    const int of_bytes = g->x_type == FC_U8;
    if (g->type != FC_F32 || g->method != FC_SEPARABLE || g->terms != 1 || g->combine != FC_ADDED || g->divisor > 1)
        return 0;
    if (g->out_type != g->x_type || !(of_bytes || g->x_type == FC_U16) || g->axis[DEPTH].k > 1 || rows->k < 3 ||
        rows->dilation > 1 || rows->stride > 1 || cols->stride > 1)
        return 0;
    const double high = of_bytes ? 255 : 65535;
    return min(cols->n, cols->out) >= 2 * vector_bytes && g->fill >= 0 && g->fill <= high && g->fill == (double)(int)g->fill &&
           pixels_hold(g, high);
}

static int pixels_prepare(call *c)
{
    const fc_axis *rows = &c->g->axis[ROWS], *cols = &c->g->axis[COLS];
    c->columns.rows = plus(reach(rows, parts_of(rows->out, c->plan.parts[ROWS])), FC_PIXELS_ROWS);
    c->columns.cols = plus(reach(cols, parts_of(cols->out, c->plan.parts[COLS])), 3 * c->fc->vector_bytes);
    c->columns.phase = odd_lines(parts_of(c->columns.cols, 4 / c->x.size), c->size);
    return 0;
}

static void pixels_parts(const call *c, fc_room *r, scratch *s)
{
    s->rows = fc_part(r, "rows", c->columns.rows, sizeof *s->rows);
    s->at = fc_part(r, "columns beyond x", c->columns.cols, sizeof *s->at);
    s->sums = fc_part(r, "sums", times(FC_PIXELS_ROWS * 4 / c->x.size, c->columns.phase), c->size);
    s->fills = fc_part(r, "fill values", c->g->axis[ROWS].boundary == FC_CONSTANT ? c->columns.cols : 0, c->x.size);
}

/* Of a column of fill values */
static float pixels_fill(const call *c)
{
    static const ptrdiff_t here[] = {0};
    const float fill = (float)c->g->fill;
    const fc_taps down = {.h = c->g->axis[ROWS].k, .full = 1, .at = here, .k = c->g->factor[ROWS]};
    float sum;
    c->op->corr(&fill, 0, &down, &sum, 1, 1, 1);
    return sum;
}

/* Number i of a row of sums */
static float *pixels_sum(const call *c, const fc_pixels *g, ptrdiff_t row, ptrdiff_t i, char *sums)
{
    const int bits = c->x.size == 1 ? 2 : 1; /* of the number of a phase */
    return (float *)sums + row * g->row + (i & ((1 << bits) - 1)) * g->phase + (i >> bits);
}

/* The sums of those columns of `wide` that are not among low ... high, the first being number `first` */
static void pixels_beyond(const call *c, const scratch *s, const fc_pixels *g, ptrdiff_t first, ptrdiff_t low, ptrdiff_t high,
                          ptrdiff_t wide)
{
    const float fill = c->g->axis[COLS].boundary == FC_CONSTANT ? pixels_fill(c) : 0;
    const ptrdiff_t *at = s->at;
    for (ptrdiff_t q = outside(0, low, high); q < wide; q = outside(q + 1, low, high), at++)
        for (ptrdiff_t i = 0; i < FC_PIXELS_ROWS; i++)
            *pixels_sum(c, g, i, first + q, s->sums) = *at < 0 ? fill : *pixels_sum(c, g, i, first + *at, s->sums);
}

static void pixels_band(const call *c, const scratch *s, ptrdiff_t low, ptrdiff_t high, const patch *p)
{
    const fc_axis *axis = c->g->axis;
    const ptrdiff_t rows = p->rows, cols = p->cols, out_row = p->out_row * c->made_size;
    char *out = p->out;
    const ptrdiff_t seen = reach(&axis[ROWS], rows), first = -low & (c->fc->vector_bytes - 1); /* so that vectors are aligned */
    fc_pixels down = {.stored = c->g->x_type, .phase = c->columns.phase, .row = 4 / c->x.size * c->columns.phase};
    fc_pixels across = down;
    down.taps = axis[ROWS].k, down.apart = 1, down.k = c->g->factor[ROWS];
    across.taps = axis[COLS].k, across.apart = axis[COLS].dilation, across.k = c->g->factor[COLS];
    for (ptrdiff_t t = 1; t < FC_PIXELS_ROWS; t++) /* of rows behind the last, which are summed, and not looked at */
        s->rows[seen - 1 + t] = s->rows[seen - 1];
    for (ptrdiff_t i = 0; i < rows; i += FC_PIXELS_ROWS) {
        c->op->pixels_down(s->sums, first + low, s->rows + i, &down, high - low);
        pixels_beyond(c, s, &down, first, low, high, reach(&axis[COLS], cols));
        for (ptrdiff_t r = 0; r < min(rows - i, FC_PIXELS_ROWS); r++, out += out_row)
            c->op->pixels_across(out, s->sums + r * down.row * c->size, first, &across, cols);
    }
}

const method fc_by_pixels = {.as_stored = 1,
                             .prepare = pixels_prepare,
                             .parts = pixels_parts,
                             .compute = fc_columns_compute,
                             .chunk = fc_columns_chunk,
                             .band = pixels_band};
