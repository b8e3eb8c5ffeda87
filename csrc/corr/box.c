/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sums over boxes at a cost that does not grow with the box, without subtraction (box_tmpl.h): so without drift, and a
 * value that is not finite stays in its windows. Columns are summed side by side; for the other axis the sums are
 * transposed. Blocks begin at output 0 of the whole result, so that a window of it has the same bits.
 */
#include "corr/call.h"

/* ---- along rows --------------------------------------------------------------------------------- */

static ptrdiff_t box_squares(ptrdiff_t n) { return round_up(n, FC_SQUARE); }
static ptrdiff_t box_strip(const call *c) /* rows that are summed at once: vectors of a strip, once transposed */
{
    return FC_SUMS_BYTES / c->size;
}

void fc_across_parts(const call *c, fc_room *r, scratch *s, ptrdiff_t w, ptrdiff_t cols)
{
    ptrdiff_t row = odd_lines(box_strip(c), c->size);
    s->sums.turned = fc_part(r, "turned", times(box_squares(plus(cols, w - 1)), row), c->size);
    s->sums.across = fc_part(r, "across", times(box_squares(cols), row), c->size);
}

/* out[i][j] = x[i][j] + ... + x[i][j+w-1]; the first output is number `at` of the whole. Of x up to box_squares(rows) rows of
 * box_squares(cols + w - 1) elements are read, of out as many of box_squares(cols) are written. */
void fc_sums_across(const call *c, const scratch *s, const char *x, ptrdiff_t xs, ptrdiff_t w, ptrdiff_t at, char *out,
                    ptrdiff_t os, ptrdiff_t rows, ptrdiff_t cols)
{
    ptrdiff_t strip = box_strip(c), row = odd_lines(strip, c->size), wide = box_squares(cols + w - 1);
    for (ptrdiff_t i = 0; i < rows; i += strip) {
        ptrdiff_t n = box_squares(min(strip, rows - i));
        fc_sums g = {.height = w, .at = at, .rows = cols, .cols = n};
        c->x.moves->transpose(s->sums.turned, row, x + i * xs * c->size, xs, n, wide);
        c->op->sums(s->sums.turned, row, &g, s->sums.across, row, s->sums.ring);
        c->x.moves->transpose(out + i * os * c->size, os, s->sums.across, row, box_squares(cols), n);
    }
}

/* ---- boxes -------------------------------------------------------------------------------------- */

/* A block of outputs, rows and columns a multiple of FC_SQUARE */
typedef struct {
    ptrdiff_t rows, cols;
    ptrdiff_t down, back; /* elements from row to row of sums along columns, and of sums along both */
} box_sizes;

static box_sizes box_sizes_of(const call *c)
{
    const fc_axis *rows = &c->g->axis[ROWS], *cols = &c->g->axis[COLS];
    box_sizes z;
    z.rows = box_squares(min(rows->out, max(rows->k, BOX_ROWS)));
    z.cols = box_squares(min(cols->out, max(cols->k, BOX_COLS)));
    z.down = odd_lines(box_squares(plus(z.cols, cols->k - 1)), c->size);
    z.back = odd_lines(z.cols, c->size);
    return z;
}

static int box_prepare(call *c)
{
    c->tile_out[ROWS] = c->g->axis[ROWS].k;
    return 0;
}

static void box_parts(const call *c, fc_room *r, scratch *s)
{
    const fc_axis *axis = c->g->axis;
    box_sizes z = box_sizes_of(c);
    s->sums.down = fc_part(r, "sums", times(z.rows, z.down), c->size);
    s->sums.boxes = fc_part(r, "boxes", times(z.rows, z.back), c->size);
    fc_across_parts(c, r, s, axis[COLS].k, z.cols);
    s->sums.ring = fc_part(r, "ring", max(axis[ROWS].k, axis[COLS].k), FC_SUMS_BYTES);
}

/* At most z->rows x z->cols outputs of p, from (i, j) on. Kernels are told their place in the whole result. */
static void box_block(const call *c, const box_sizes *z, const scratch *s, const patch *p, ptrdiff_t i, ptrdiff_t j)
{
    const fc_axis *axis = c->g->axis;
    ptrdiff_t rows = min(z->rows, p->rows - i), cols = min(z->cols, p->cols - j);
    ptrdiff_t row = axis[ROWS].start + p->row + i, col = axis[COLS].start + p->col + j;
    fc_sums g = {.height = axis[ROWS].k, .at = row, .rows = rows, .cols = cols + axis[COLS].k - 1};
    c->op->sums(p->src + (i * p->r->row + j) * c->size, p->r->row, &g, s->sums.down, z->down, s->sums.ring);
    fc_sums_across(c, s, s->sums.down, z->down, axis[COLS].k, col, s->sums.boxes, z->back, rows, cols);
    for (ptrdiff_t m = 0; m < rows; m++) {
        char *out = p->out + ((i + m) * p->out_row + j) * c->size;
        c->op->scale(out, s->sums.boxes + m * z->back * c->size, c->g->k, cols);
        if (c->op->finite && c->not_finite && !c->op->finite(out, cols))
            __atomic_store_n(c->not_finite, 1, __ATOMIC_RELAXED);
    }
}

static void box_compute(const call *c, const scratch *s, const patch *p)
{
    box_sizes z = box_sizes_of(c);
    for (ptrdiff_t i = 0; i < p->rows; i += z.rows)
        for (ptrdiff_t j = 0; j < p->cols; j += z.cols)
            box_block(c, &z, s, p, i, j);
}

const method fc_box = {.prepare = box_prepare, .parts = box_parts, .compute = box_compute};
