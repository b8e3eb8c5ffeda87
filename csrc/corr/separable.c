/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Method separable: k is a sum over terms of depth x rows x columns. Depth, rows and columns are summed one after the other,
 * a block of SEPARABLE_ROWS x SEPARABLE_COLS outputs at a time, which stays in cache:
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

static ptrdiff_t separable_row(const call *c) /* of planes and sums, elements */
{
    const fc_axis *cols = &c->g->axis[COLS];
    return odd_lines(reach(cols, min(SEPARABLE_COLS, cols->out)), c->size);
}

static ptrdiff_t separable_rows(const call *c) /* of the sums of a term */ { return min(SEPARABLE_ROWS, c->g->axis[ROWS].out); }

static void separable_parts(const call *c, fc_room *r, scratch *s)
{
    const fc_axis *axis = c->g->axis;
    ptrdiff_t terms = c->g->terms, row = separable_row(c);
    s->at = fc_part(r, "taps", max(times(terms, axis[COLS].k), axis[DEPTH].k), sizeof *s->at);
    s->sums = fc_part(r, "sums", times(times(terms, separable_rows(c)), row), c->size);
    if (axis[DEPTH].k > 1)
        s->planes = fc_part(r, "planes", times(reach(&axis[ROWS], separable_rows(c)), row), c->size);
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

/* A block of at most SEPARABLE_ROWS x SEPARABLE_COLS outputs */
static void separable_block(const call *c, const scratch *s, const rows_of *r, const char *src, char *out, ptrdiff_t out_row,
                            ptrdiff_t rows, ptrdiff_t cols)
{
    static const ptrdiff_t here[] = {0};
    const fc_axis *axis = c->g->axis;
    ptrdiff_t depth = axis[DEPTH].k, h = axis[ROWS].k, w = axis[COLS].k, terms = c->g->terms, work = separable_row(c);
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
        separable_pass(c, &down, from, row, s->sums + t * separable_rows(c) * work * c->size, work, rows, broad);
    }
    for (ptrdiff_t t = 0; t < terms * w; t++)
        at[t] = t / w * separable_rows(c) * work + t % w * axis[COLS].dilation;
    fc_taps across = {.h = 1, .full = terms * w, .at = at, .k = c->g->factor[COLS]};
    separable_pass(c, &across, s->sums, work, out, out_row, rows, cols);
}

static void separable_compute(const call *c, const scratch *s, const patch *p)
{
    for (ptrdiff_t i = 0; i < p->rows; i += SEPARABLE_ROWS)
        for (ptrdiff_t j = 0; j < p->cols; j += SEPARABLE_COLS)
            separable_block(c, s, p->r, p->src + (i * p->r->row + j) * c->size, p->out + (i * p->out_row + j) * c->size,
                            p->out_row, min(SEPARABLE_ROWS, p->rows - i), min(SEPARABLE_COLS, p->cols - j));
}

const method fc_separable = {.parts = separable_parts, .compute = separable_compute};
