/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sums over boxes at a cost that does not grow with the box, without subtraction: so without drift, and a
 * value that is not finite stays in its windows. Along one axis, for windows of h,
 *
 *        | block m            | block m + 1        |        blocks of h elements; a window is the end of one
 *        | . . .[o o o o o o o|o o o]. . . . . . . |        block and the beginning of the next:
 *               suffix of m     prefix of m + 1             two sums that are had from their neighbours by one
 *                                                           addition each
 * (van Herk 1992 and Gil and Werman 1993, for maxima.) Blocks begin at output 0 of the whole result, so that a
 * window of it has the same bits. Columns are summed side by side; for the other axis the sums are transposed.
 */
#include "call.h"
#include <string.h>

enum { SQUARE = 16, LEAST_ROWS = 64, LEAST_COLS = 256 };

static ptrdiff_t round_up(ptrdiff_t n)
{
    return (n + SQUARE - 1) / SQUARE * SQUARE;
}

/* Sizes of a block of outputs, rows and columns a multiple of SQUARE, and of the scratch that it takes. */
typedef struct {
    ptrdiff_t rows, cols, high, wide; /* outputs; with the halo */
    ptrdiff_t stride, turned;         /* elements from row to row of sums [rows][wide], and turned [wide][rows] */
    size_t sums, across, suffixes;    /* bytes: of [rows][wide] and its transpose, of [cols][rows] and its, suffixes */
} sizes;

static sizes sizes_of(const call *c)
{
    const fc_axis *rows = &c->g->axis[ROWS], *cols = &c->g->axis[COLS];
    ptrdiff_t line = LINE / c->size;
    sizes z;
    z.rows = round_up(min(rows->out, rows->k > LEAST_ROWS ? rows->k : LEAST_ROWS));
    z.cols = round_up(min(cols->out, cols->k > LEAST_COLS ? cols->k : LEAST_COLS));
    z.wide = round_up(z.cols + cols->k - 1);
    z.high = z.rows + rows->k - 1;
    z.stride = z.wide + line;
    z.turned = z.rows + line;
    ptrdiff_t sums = z.rows * z.stride, turned = z.wide * z.turned;
    z.sums = (size_t)((sums > turned ? sums : turned) * c->size);
    z.across = (size_t)((z.cols * z.turned > z.rows * (z.cols + line) ? z.cols * z.turned : z.rows * (z.cols + line)) * c->size);
    ptrdiff_t down = (rows->k + 1) * z.stride, over = (cols->k + 1) * z.turned;
    z.suffixes = (size_t)((down > over ? down : over) * c->size);
    return z;
}

size_t fc_box_work(const call *c)
{
    sizes z = sizes_of(c);
    return 2 * z.sums + 2 * z.across + z.suffixes;
}

/* out[o] = sum of rows o ... o + h - 1, n columns each; the first output is number `at` of the whole. room: h + 1 rows */
static void sums_down(const call *c, const char *x, ptrdiff_t x_row, ptrdiff_t h, ptrdiff_t at, ptrdiff_t outputs,
                      ptrdiff_t n, char *out, ptrdiff_t out_row, char *room)
{
    fc_add_fn *add = c->add;
    ptrdiff_t size = c->size, row = (n + LINE / size) * size;
    x_row *= size;
    out_row *= size;
    char *prefix = room + h * row;
    for (ptrdiff_t o = 0, asked; o < outputs; o += asked) {
        ptrdiff_t past = (at + o) % h, rest = h - past; /* rows of this block before the window, and in it */
        asked = min(rest, outputs - o);
        const char *block = x + o * x_row, *next = block + rest * x_row;
        char *last = room + (rest - 1) * row; /* suffixes: room[t] = sum of rows t ... rest - 1 */
        memcpy(last, block + (rest - 1) * x_row, (size_t)(n * size));
        for (ptrdiff_t t = rest - 2; t >= 0; t--)
            add(room + t * row, block + t * x_row, room + (t + 1) * row, n);
        for (ptrdiff_t t = 0; t < past; t++) /* the beginning of the next block, in the first window already */
            if (t == 0)
                memcpy(prefix, next, (size_t)(n * size));
            else
                add(prefix, prefix, next + t * x_row, n);
        for (ptrdiff_t t = 0; t < asked; t++) {
            char *to = out + (o + t) * out_row;
            if (past + t == 0) {
                memcpy(to, room, (size_t)(n * size));
                continue;
            }
            if (t > 0 && past + t == 1)
                memcpy(prefix, next, (size_t)(n * size));
            else if (t > 0)
                add(prefix, prefix, next + (past + t - 1) * x_row, n);
            add(to, room + t * row, prefix, n);
        }
    }
}

/* A block of at most z.rows x z.cols outputs, the first of them number (row, col) of the whole. */
static void box_block(const call *c, const sizes *z, char *work, const char *src, ptrdiff_t src_row, ptrdiff_t row,
                      ptrdiff_t col, char *out, ptrdiff_t out_row, ptrdiff_t rows, ptrdiff_t cols)
{
    const fc_axis *axis = c->g->axis;
    char *sums = work, *turned = sums + z->sums, *across = turned + z->sums, *back = across + z->across;
    char *room = back + z->across;
    ptrdiff_t wide = cols + axis[COLS].k - 1, line = LINE / c->size;
    sums_down(c, src, src_row, axis[ROWS].k, row, rows, wide, sums, z->stride, room);
    c->transpose(turned, z->turned, sums, z->stride, round_up(rows), round_up(wide));
    sums_down(c, turned, z->turned, axis[COLS].k, col, cols, round_up(rows), across, z->turned, room);
    c->transpose(back, z->cols + line, across, z->turned, round_up(cols), round_up(rows));
    for (ptrdiff_t i = 0; i < rows; i++)
        c->scale(out + i * out_row * c->size, back + i * (z->cols + line) * c->size, c->g->k, cols);
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
