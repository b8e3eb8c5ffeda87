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
    s->turned = fc_part(r, "turned", times(box_squares(plus(cols, w - 1)), row), c->size);
    s->across = fc_part(r, "across", times(box_squares(cols), row), c->size);
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
        c->x.moves->transpose(s->turned, row, x + i * xs * c->size, xs, n, wide);
        c->op->sums(s->turned, row, &g, s->across, row, s->ring);
        c->x.moves->transpose(out + i * os * c->size, os, s->across, row, box_squares(cols), n);
    }
}

/* ---- boxes -------------------------------------------------------------------------------------- */

static int box_prepare(call *c)
{
    const fc_axis *rows = &c->g->axis[ROWS], *cols = &c->g->axis[COLS];
    c->tile_out[ROWS] = rows->k;
    c->box.rows = box_squares(min(rows->out, max(rows->k, BOX_ROWS)));
    c->box.cols = box_squares(min(cols->out, max(cols->k, BOX_COLS)));
    c->box.down = odd_lines(box_squares(plus(c->box.cols, cols->k - 1)), c->size);
    c->box.back = odd_lines(c->box.cols, c->size);
    return 0;
}

static void box_parts(const call *c, fc_room *r, scratch *s)
{
    const fc_axis *axis = c->g->axis;
    s->down = fc_part(r, "sums", times(c->box.rows, c->box.down), c->size);
    s->boxes = fc_part(r, "boxes", times(c->box.rows, c->box.back), c->size);
    fc_across_parts(c, r, s, axis[COLS].k, c->box.cols);
    s->ring = fc_part(r, "ring", max(axis[ROWS].k, axis[COLS].k), FC_SUMS_BYTES);
}

/* A block of outputs of p, from (i, j) on. Kernels are told their place in the whole result. */
static void box_block(const call *c, const scratch *s, const patch *p, ptrdiff_t i, ptrdiff_t j)
{
    const fc_axis *axis = c->g->axis;
    ptrdiff_t rows = min(c->box.rows, p->rows - i), cols = min(c->box.cols, p->cols - j), down = c->box.down;
    ptrdiff_t row = axis[ROWS].start + p->row + i, col = axis[COLS].start + p->col + j;
    fc_sums g = {.height = axis[ROWS].k, .at = row, .rows = rows, .cols = cols + axis[COLS].k - 1};
    c->op->sums(p->src + (i * p->r->row + j) * c->size, p->r->row, &g, s->down, down, s->ring);
    fc_sums_across(c, s, s->down, down, axis[COLS].k, col, s->boxes, c->box.back, rows, cols);
    for (ptrdiff_t m = 0; m < rows; m++) {
        char *out = p->out + ((i + m) * p->out_row + j) * c->size;
        c->op->scale(out, s->boxes + m * c->box.back * c->size, c->g->k, cols);
        if (c->op->finite && s->doubtful && !c->op->finite(out, cols))
            __atomic_store_n(s->doubtful, 1, __ATOMIC_RELAXED);
    }
}

static void box_compute(const call *c, const scratch *s, const patch *p)
{
    for (ptrdiff_t i = 0; i < p->rows; i += c->box.rows)
        for (ptrdiff_t j = 0; j < p->cols; j += c->box.cols)
            box_block(c, s, p, i, j);
}

const method fc_box = {.prepare = box_prepare, .parts = box_parts, .compute = box_compute};
