/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sums over boxes at a cost that does not grow with the box, without subtraction (box_tmpl.h): so without drift, and a
 * value that is not finite stays in its windows. Columns are summed side by side; for the other axis the sums are
 * transposed. Blocks begin at output 0 of the whole result, so that a window of it has the same bits.
 */
#include "corr/call.h"
#include <string.h>

enum { SQUARE = 16 };

static ptrdiff_t whole_squares(ptrdiff_t n)
{
    return round_up(n, SQUARE);
}

/* ---- along rows --------------------------------------------------------------------------------- */

static ptrdiff_t strip(const call *c) /* rows that are summed at once: vectors of a strip, once transposed */
{
    return FC_SUMS_BYTES / c->size;
}
static ptrdiff_t turned_row(const call *c) /* not 256 bytes: such rows would share cache sets */
{
    return strip(c) + LINE / c->size;
}

void fc_across_parts(const call *c, fc_room *r, scratch *s, ptrdiff_t w, ptrdiff_t cols)
{
    s->turned = fc_part(r, "turned", times(whole_squares(plus(cols, w - 1)), turned_row(c)), c->size);
    s->across = fc_part(r, "across", times(whole_squares(cols), turned_row(c)), c->size);
}

/* out[i][j] = x[i][j] + ... + x[i][j+w-1]; the first output is number `at` of the whole. Of x up to whole_squares(rows) rows of
 * whole_squares(cols + w - 1) elements are read, of out as many of whole_squares(cols) are written. */
void fc_sums_across(const call *c, const scratch *s, const char *x, ptrdiff_t xs, ptrdiff_t w, ptrdiff_t at, char *out,
                    ptrdiff_t os, ptrdiff_t rows, ptrdiff_t cols)
{
    ptrdiff_t row = turned_row(c), wide = whole_squares(cols + w - 1);
    for (ptrdiff_t i = 0; i < rows; i += strip(c)) {
        ptrdiff_t n = whole_squares(min(strip(c), rows - i));
        fc_sums g = {.height = w, .at = at, .rows = cols, .cols = n};
        c->moves->transpose(s->turned, row, x + i * xs * c->size, xs, n, wide);
        c->op->sums(s->turned, row, &g, s->across, row, s->ring);
        c->moves->transpose(out + i * os * c->size, os, s->across, row, whole_squares(cols), n);
    }
}

/* ---- boxes -------------------------------------------------------------------------------------- */

/* A block of outputs, rows and columns a multiple of SQUARE */
typedef struct {
    ptrdiff_t rows, cols;
    ptrdiff_t down, back; /* elements from row to row of sums along columns, and of sums along both */
} sizes;

static sizes sizes_of(const call *c)
{
    const fc_axis *rows = &c->g->axis[ROWS], *cols = &c->g->axis[COLS];
    ptrdiff_t line = LINE / c->size;
    sizes z;
    z.rows = whole_squares(min(rows->out, rows->k > BOX_ROWS ? rows->k : BOX_ROWS));
    z.cols = whole_squares(min(cols->out, cols->k > BOX_COLS ? cols->k : BOX_COLS));
    z.down = plus(whole_squares(plus(z.cols, cols->k - 1)), line);
    z.back = plus(z.cols, line);
    return z;
}

void fc_box_parts(const call *c, fc_room *r, scratch *s)
{
    const fc_axis *axis = c->g->axis;
    sizes z = sizes_of(c);
    s->sums = fc_part(r, "sums", times(z.rows, z.down), c->size);
    s->boxes = fc_part(r, "boxes", times(z.rows, z.back), c->size);
    fc_across_parts(c, r, s, axis[COLS].k, z.cols);
    s->ring = fc_part(r, "ring", max(axis[ROWS].k, axis[COLS].k), FC_SUMS_BYTES);
}

/* At most z->rows x z->cols outputs, the first of them number (row, col) of the whole */
static void box_block(const call *c, const sizes *z, const scratch *s, const char *src, ptrdiff_t src_row, ptrdiff_t row,
                      ptrdiff_t col, char *out, ptrdiff_t out_row, ptrdiff_t rows, ptrdiff_t cols)
{
    const fc_axis *axis = c->g->axis;
    fc_sums g = {.height = axis[ROWS].k, .at = row, .rows = rows, .cols = cols + axis[COLS].k - 1};
    c->op->sums(src, src_row, &g, s->sums, z->down, s->ring);
    fc_sums_across(c, s, s->sums, z->down, axis[COLS].k, col, s->boxes, z->back, rows, cols);
    for (ptrdiff_t i = 0; i < rows; i++)
        c->op->scale(out + i * out_row * c->size, s->boxes + i * z->back * c->size, c->g->k, cols);
    for (ptrdiff_t i = 0; i < rows && c->op->finite && c->g->not_finite; i++)
        if (!c->op->finite(out + i * out_row * c->size, cols))
            __atomic_store_n(c->g->not_finite, 1, __ATOMIC_RELAXED);
}

void fc_by_box(const call *c, const scratch *s, const rows_of *r, const char *src, ptrdiff_t row, ptrdiff_t col, char *out,
               ptrdiff_t out_row, ptrdiff_t rows, ptrdiff_t cols)
{
    sizes z = sizes_of(c);
    for (ptrdiff_t i = 0; i < rows; i += z.rows)
        for (ptrdiff_t j = 0; j < cols; j += z.cols)
            box_block(c, &z, s, src + (i * r->row + j) * c->size, r->row, row + i, col + j,
                      out + (i * out_row + j) * c->size, out_row, min(z.rows, rows - i), min(z.cols, cols - j));
}
