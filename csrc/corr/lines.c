/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Method lines: one pass along rows and one along columns, as scipy.ndimage does them one array after the other, but tile by
 * tile, and to the same bits:
 *
 *        gathered tile            first pass            stored and read again          second pass
 *      +---------------+       +---------------+      +---+-----------+---+          +-----------+
 *      |   halo        |  down |               |      |   |  `between`|   |   across |           |
 *      |   +-------+   |  ---> |               | ---> |   |           |   |   --->   |  outputs  |
 *      |   |outputs|   |       |               |      |   |           |   |          |           |
 *      +---+-------+---+       +---------------+      +---+-----------+---+          +-----------+
 *
 * (or across, then down). Beyond the edges the result of the first pass continues as the second one's boundary says. As
 * each row or column beyond is a copy of one inside, so is its result; only what is constant beyond has to be put there.
 *
 * The order of sums is that of scipy.ndimage.correlate1d: of an odd kernel equal to its mirror image, or to the negative of
 * that, the centre, then sums or differences of the two elements that share a tap, from the outermost on; of others the
 * last tap, then the first and so on. Without fma. Taps that are all 1 are summed by box_tmpl.h instead.
 */
#include "corr/call.h"
#include <string.h>

static double tap_value(const call *c, const char *w, ptrdiff_t t)
{
    float f32;
    double f64;
    if (c->size == sizeof f32) {
        memcpy(&f32, w + t * c->size, sizeof f32);
        return (double)f32;
    }
    memcpy(&f64, w + t * c->size, sizeof f64);
    return f64;
}

/* Whether taps are their mirror image (+1) or its negative (-1), up to rounding; scipy.ndimage asks for 2^-52 */
static int symmetry(const call *c, const char *w, ptrdiff_t taps)
{
    double most = 0, even = 0, odd = 0;
    if (taps % 2 == 0)
        return 0;
    for (ptrdiff_t t = 0; t < taps / 2; t++) {
        double a = tap_value(c, w, t), b = tap_value(c, w, taps - 1 - t);
        if (!(a - a == 0 && b - b == 0))
            return 0;
        most = __builtin_fmax(most, __builtin_fmax(__builtin_fabs(a), __builtin_fabs(b)));
        even = __builtin_fmax(even, __builtin_fabs(a - b));
        odd = __builtin_fmax(odd, __builtin_fabs(a + b));
    }
    double room = 0x1p-52 * (most < 1 ? most : 1);
    return even <= room ? 1 : odd <= room ? -1 : 0;
}

/* The orders of both passes: where taps lie, and their weights */
void fc_place_lines(call *c, ptrdiff_t *at, char *weights)
{
    for (int a = ROWS; a <= COLS; a++) {
        const char *w = c->g->line[a].w;
        ptrdiff_t k = c->g->axis[a].k;
        if (!w)
            continue;
        fc_order *o = &c->order[a];
        *o = (fc_order){.w = weights, .at = at, .fold = symmetry(c, w, k), .start = -0.0};
        o->taps = o->fold ? k / 2 + 1 : k;
        for (ptrdiff_t i = 0; i < o->taps; i++) {
            at[i] = i > 0 ? i - 1 : o->fold ? k / 2 : k - 1;
            memcpy(weights + i * c->size, w + at[i] * c->size, (size_t)c->size);
        }
        at += o->taps;
        weights += o->taps * c->size;
    }
}

/* ---- sizes ------------------------------------------------------------------------------------- */

/* Elements from row to row of `cols` columns: room for whole squares, and an odd number of cache lines */
ptrdiff_t fc_lines_row(const call *c, ptrdiff_t cols)
{
    ptrdiff_t line = LINE / c->size, lines = parts_of(plus(cols, FC_LINES_MORE), line);
    return times(lines + (lines % 2 == 0), line);
}

static ptrdiff_t halo(const call *c, int axis)
{
    return c->g->axis[axis].k - 1;
}

/* What the first pass leaves: elements from row to row */
static ptrdiff_t middle_row(const call *c)
{
    return fc_lines_row(c, plus(c->tile_out[COLS], c->g->columns_first ? 0 : halo(c, COLS)));
}

void fc_lines_parts(const call *c, fc_room *r, scratch *s)
{
    const fc_corr *g = c->g;
    int last = last_pass(g); /* which there is, even where nothing is to do */
    int sums_down = (has_pass(g, ROWS) || last == ROWS) && !g->line[ROWS].w;
    int sums_across = (has_pass(g, COLS) || last == COLS) && !g->line[COLS].w;
    if (has_pass(g, ROWS) && has_pass(g, COLS)) {
        ptrdiff_t rows = plus(c->tile_out[ROWS] + FC_LINES_MORE, g->columns_first ? halo(c, ROWS) : 0);
        s->sums = fc_part(r, "middle", times(rows, middle_row(c)), c->size);
        s->stored = fc_part(r, "stored", middle_row(c), sizeof(int64_t)); /* whatever type */
    }
    if (sums_across)
        fc_across_parts(c, r, s, g->axis[COLS].k, c->tile_out[COLS]);
    if (sums_down || sums_across)
        s->ring = fc_part(r, "ring", max(sums_down ? g->axis[ROWS].k : 0, sums_across ? g->axis[COLS].k : 0), FC_SUMS_BYTES);
}

/* ---- passes ------------------------------------------------------------------------------------ */

/* rows x cols results of the pass along `axis`, from x on; the first is number `at` of the whole */
static void pass(const call *c, const scratch *s, int axis, const char *x, ptrdiff_t xs, ptrdiff_t at, char *out, ptrdiff_t os,
                 ptrdiff_t rows, ptrdiff_t cols)
{
    ptrdiff_t k = c->g->axis[axis].k;
    if (c->g->line[axis].w) {
        fc_order o = c->order[axis];
        o.unit = axis == ROWS ? xs : 1;
        c->op->ordered(x, xs, &o, out, os, rows, cols);
    } else if (axis == ROWS) {
        fc_sums g = {.height = k, .at = at, .rows = rows, .cols = cols};
        c->op->sums(x, xs, &g, out, os, s->ring);
    } else {
        fc_sums_across(c, s, x, xs, k, at, out, os, rows, cols);
    }
}

/* n results of the first pass as they would be read again */
static void store_and_read(const call *c, char *row, char *stored, ptrdiff_t n, double divisor)
{
    if ((c->g->between == c->g->type && divisor == 1) || c->op->settle(row, c->g->between, n, divisor))
        return;
    c->op->narrow(stored, c->g->between, row, n, divisor);
    c->op->widen(row, c->g->between, stored, n);
}

/* n elements of a row, the first of them in column `first`: the constant where they lie beyond it */
static void put_constant(const call *c, char *row, ptrdiff_t first, ptrdiff_t n)
{
    ptrdiff_t before = clamp(-first, 0, n), end = clamp(c->g->axis[COLS].n - first, before, n);
    fc_copy_row(row, c->size, (const char *)&c->fill, 0, before, c->size);
    fc_copy_row(row + end * c->size, c->size, (const char *)&c->fill, 0, n - end, c->size);
}

void fc_by_lines(const call *c, const scratch *s, const rows_of *r, const char *src, ptrdiff_t row, ptrdiff_t col,
                 char *out, ptrdiff_t out_row, ptrdiff_t rows, ptrdiff_t cols)
{
    const fc_axis *axis = c->g->axis;
    int second = last_pass(c->g), first = ROWS + COLS - second;
    ptrdiff_t at[FC_AXES] = {0, axis[ROWS].start + row, axis[COLS].start + col};
    if (!has_pass(c->g, first)) {
        pass(c, s, second, src, r->row, at[second], out, out_row, rows, cols);
        return;
    }
    ptrdiff_t high = rows + (second == ROWS ? halo(c, ROWS) : 0), wide = cols + (second == COLS ? halo(c, COLS) : 0);
    ptrdiff_t step = middle_row(c);
    double divisor = c->g->line[first].divisor;
    pass(c, s, first, src, r->row, at[first], s->sums, step, high, wide);
    for (ptrdiff_t i = 0; i < high; i++) {
        char *line = s->sums + i * step * c->size;
        store_and_read(c, line, s->stored, wide, divisor != 0 ? divisor : 1);
        if (axis[second].boundary != FC_CONSTANT)
            continue;
        ptrdiff_t from = (second == ROWS ? row + i : col) - axis[second].lead;
        if (second == COLS)
            put_constant(c, line, from, wide);
        else if (from < 0 || from >= axis[ROWS].n)
            fc_copy_row(line, c->size, (const char *)&c->fill, 0, wide, c->size);
    }
    pass(c, s, second, s->sums, step, at[second], out, out_row, rows, cols);
}
