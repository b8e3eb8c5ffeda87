/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Method separable: k is a sum over terms of depth x rows x columns. Depth, rows and columns are summed one after the other,
 * a block of outputs at a time, which stays in cache and is as wide as can be: rows are read and stored as long streams.
 *
 *      x                planes              sums, one of each term     out
 *      +---------+  |   +---------+  down   +---------+       across
 *      | and its |  v   |         |   |     |         |       ---->    +-----+
 *      |  halo   | ---> |         |   v     +---------+                |     |   all terms in one pass of K3, whose
 *      +---------+      +---------+  --->   +---------+  next term     +-----+   tap columns are (term, column)
 *
 * (Planes only where there is depth.)
 */
#include "corr/call.h"

static int separable_prepare(call *c)
{
    const fc_axis *rows = &c->g->axis[ROWS], *cols = &c->g->axis[COLS];
    ptrdiff_t seen = reach(rows, min(SEPARABLE_ROWS, rows->out)) * c->size; /* bytes of a column of x */
    c->separable.cols = clamp(SEPARABLE_BYTES / seen, min(SEPARABLE_COLS, cols->out), cols->out);
    c->separable.rows = clamp(SEPARABLE_AREA / c->separable.cols, min(SEPARABLE_ROWS, rows->out), rows->out);
    c->separable.row = odd_lines(reach(cols, c->separable.cols), c->size);
    return 0;
}

static void separable_parts(const call *c, fc_room *r, scratch *s)
{
    const fc_axis *axis = c->g->axis;
    ptrdiff_t terms = c->g->terms, row = c->separable.row, rows = c->separable.rows;
    s->at = fc_part(r, "taps", max(times(terms, axis[COLS].k), axis[DEPTH].k), sizeof *s->at);
    s->sums = fc_part(r, "sums", times(times(terms, rows), row), c->size);
    if (axis[DEPTH].k > 1)
        s->planes = fc_part(r, "planes", times(reach(&axis[ROWS], rows), row), c->size);
}

/* A pass of K3. A dilation of rows, of which there is none where there is one tap row, makes as many interleaved images. */
static void separable_pass(const call *c, const fc_taps *taps, const char *src, ptrdiff_t row, char *out, ptrdiff_t out_row,
                           ptrdiff_t rows, ptrdiff_t cols)
{
    ptrdiff_t images = taps->h > 1 ? c->g->axis[ROWS].dilation : 1;
    for (ptrdiff_t i = 0; i < images && i < rows; i++)
        c->op->corr(src + i * row * c->size, images * row, taps, out + i * out_row * c->size, images * out_row,
                    parts_of(rows - i, images), cols);
}

/* A block of outputs */
static void separable_block(const call *c, const scratch *s, const rows_of *r, const char *src, char *out, ptrdiff_t out_row,
                            ptrdiff_t rows, ptrdiff_t cols)
{
    static const ptrdiff_t here[] = {0};
    const fc_axis *axis = c->g->axis;
    ptrdiff_t depth = axis[DEPTH].k, h = axis[ROWS].k, w = axis[COLS].k, terms = c->g->terms, work = c->separable.row;
    ptrdiff_t *at = s->at, row = r->row, tall = rows + reach(&axis[ROWS], 1) - 1, broad = cols + reach(&axis[COLS], 1) - 1;
    const char *from = src;
    for (ptrdiff_t t = 0; t < terms; t++) {
        if (depth > 1) {
            for (ptrdiff_t z = 0; z < depth; z++)
                at[z] = z * axis[DEPTH].dilation * r->plane;
            fc_taps deep = {.h = 1, .full = depth, .at = at, .k = c->g->factor[DEPTH] + t * depth * c->size};
            separable_pass(c, &deep, src, r->row, s->planes, work, tall, broad);
            from = s->planes, row = work;
        }
        fc_taps down = {.h = h, .full = 1, .at = here, .k = c->g->factor[ROWS] + t * h * c->size};
        separable_pass(c, &down, from, row, s->sums + t * c->separable.rows * work * c->size, work, rows, broad);
    }
    for (ptrdiff_t t = 0; t < terms * w; t++)
        at[t] = t / w * c->separable.rows * work + t % w * axis[COLS].dilation;
    fc_taps across = {.h = 1, .full = terms * w, .at = at, .k = c->g->factor[COLS], .stream = c->streams};
    separable_pass(c, &across, s->sums, work, out, out_row, rows, cols);
}

static void separable_compute(const call *c, const scratch *s, const patch *p)
{
    const ptrdiff_t rows = c->separable.rows, cols = c->separable.cols;
    for (ptrdiff_t i = 0; i < p->rows; i += rows)
        for (ptrdiff_t j = 0; j < p->cols; j += cols)
            separable_block(c, s, p->r, p->src + (i * p->r->row + j) * c->size, p->out + (i * p->out_row + j) * c->size,
                            p->out_row, min(rows, p->rows - i), min(cols, p->cols - j));
}

const method fc_separable = {.prepare = separable_prepare, .parts = separable_parts, .compute = separable_compute};
