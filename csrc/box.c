/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sums over boxes at a cost that does not grow with the box, without subtraction (box_tmpl.h): so without drift, and a
 * value that is not finite stays in its windows. Columns are summed side by side; for the other axis the sums are
 * transposed. Blocks begin at output 0 of the whole result, so that a window of it has the same bits.
 */
#include "call.h"
#include <string.h>

enum { SQUARE = 16, LEAST_ROWS = 64, LEAST_COLS = 256 };

static ptrdiff_t round_up(ptrdiff_t n)
{
    return (n + SQUARE - 1) / SQUARE * SQUARE;
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

size_t fc_across_bytes(const call *c, ptrdiff_t w, ptrdiff_t cols)
{
    ptrdiff_t turned = (round_up(cols + w - 1) + round_up(cols)) * turned_row(c) * c->size;
    return (size_t)(turned + w * FC_SUMS_BYTES);
}

/* out[i][j] = x[i][j] + ... + x[i][j+w-1]; the first output is number `at` of the whole. Of x up to round_up(rows) rows of
 * round_up(cols + w - 1) elements are read, of out as many of round_up(cols) are written. */
void fc_sums_across(const call *c, char *work, const char *x, ptrdiff_t xs, ptrdiff_t w, ptrdiff_t at, char *out,
                    ptrdiff_t os, ptrdiff_t rows, ptrdiff_t cols)
{
    ptrdiff_t row = turned_row(c), wide = round_up(cols + w - 1);
    char *across = work + wide * row * c->size, *room = across + round_up(cols) * row * c->size;
    for (ptrdiff_t i = 0; i < rows; i += strip(c)) {
        ptrdiff_t n = round_up(min(strip(c), rows - i));
        fc_sums g = {.height = w, .at = at, .rows = cols, .cols = n};
        c->transpose(work, row, x + i * xs * c->size, xs, n, wide);
        c->sums(work, row, &g, across, row, room);
        c->transpose(out + i * os * c->size, os, across, row, round_up(cols), n);
    }
}

/* ---- boxes -------------------------------------------------------------------------------------- */

/* Sizes of a block of outputs, rows and columns a multiple of SQUARE, and of the scratch that it takes. */
typedef struct {
    ptrdiff_t rows, cols;
    ptrdiff_t down, back; /* elements from row to row of sums along columns, and of sums along both */
    size_t sums, boxes, across, room;
} sizes;

static sizes sizes_of(const call *c)
{
    const fc_axis *rows = &c->g->axis[ROWS], *cols = &c->g->axis[COLS];
    ptrdiff_t line = LINE / c->size;
    sizes z;
    z.rows = round_up(min(rows->out, rows->k > LEAST_ROWS ? rows->k : LEAST_ROWS));
    z.cols = round_up(min(cols->out, cols->k > LEAST_COLS ? cols->k : LEAST_COLS));
    z.down = round_up(z.cols + cols->k - 1) + line;
    z.back = z.cols + line;
    z.sums = (size_t)(z.rows * z.down * c->size);
    z.boxes = (size_t)(z.rows * z.back * c->size);
    z.across = fc_across_bytes(c, cols->k, z.cols);
    z.room = (size_t)(rows->k * FC_SUMS_BYTES);
    return z;
}

size_t fc_box_work(const call *c)
{
    sizes z = sizes_of(c);
    return z.sums + z.boxes + z.across + z.room;
}

/* A block of at most z.rows x z.cols outputs, the first of them number (row, col) of the whole. */
static void box_block(const call *c, const sizes *z, char *work, const char *src, ptrdiff_t src_row, ptrdiff_t row,
                      ptrdiff_t col, char *out, ptrdiff_t out_row, ptrdiff_t rows, ptrdiff_t cols)
{
    const fc_axis *axis = c->g->axis;
    char *sums = work, *boxes = sums + z->sums, *across = boxes + z->boxes, *room = across + z->across;
    fc_sums g = {.height = axis[ROWS].k, .at = row, .rows = rows, .cols = cols + axis[COLS].k - 1};
    c->sums(src, src_row, &g, sums, z->down, room);
    fc_sums_across(c, across, sums, z->down, axis[COLS].k, col, boxes, z->back, rows, cols);
    for (ptrdiff_t i = 0; i < rows; i++)
        c->scale(out + i * out_row * c->size, boxes + i * z->back * c->size, c->g->k, cols);
}

void fc_by_box(const call *c, char *work, const rows_of *r, const char *src, ptrdiff_t row, ptrdiff_t col, char *out,
               ptrdiff_t out_row, ptrdiff_t rows, ptrdiff_t cols)
{
    sizes z = sizes_of(c);
    for (ptrdiff_t i = 0; i < rows; i += z.rows)
        for (ptrdiff_t j = 0; j < cols; j += z.cols)
            box_block(c, &z, work, src + (i * r->row + j) * c->size, r->row, row + i, col + j,
                      out + (i * out_row + j) * c->size, out_row, min(z.rows, rows - i), min(z.cols, cols - j));
}
