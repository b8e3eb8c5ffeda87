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
    s->separable.at = fc_part(r, "taps", max(times(terms, axis[COLS].k), axis[DEPTH].k), sizeof *s->separable.at);
    s->separable.sums = fc_part(r, "sums", times(times(terms, separable_rows(c)), row), c->size);
    if (axis[DEPTH].k > 1)
        s->separable.planes = fc_part(r, "planes", times(reach(&axis[ROWS], separable_rows(c)), row), c->size);
}

/* One factor along rows: h tap rows; a dilation makes as many interleaved images */
static void separable_down(const call *c, const char *factor, const char *src, ptrdiff_t row, char *out, ptrdiff_t out_row,
                           ptrdiff_t rows, ptrdiff_t cols)
{
    static const ptrdiff_t here[] = {0};
    const fc_axis *a = &c->g->axis[ROWS];
    fc_taps taps = {.h = a->k, .full = 1, .at = here, .k = factor};
    for (ptrdiff_t i = 0; i < a->dilation && i < rows; i++)
        c->op->corr(src + i * row * c->size, a->dilation * row, &taps, out + i * out_row * c->size, a->dilation * out_row,
                    parts_of(rows - i, a->dilation), cols);
}

/* Factors across: one tap row, whose n columns lie where s->separable.at says */
static void separable_across(const call *c, const scratch *s, const char *factors, ptrdiff_t n, const char *src, ptrdiff_t row,
                             char *out, ptrdiff_t out_row, ptrdiff_t rows, ptrdiff_t cols)
{
    fc_taps taps = {.h = 1, .full = n, .at = s->separable.at, .k = factors};
    c->op->corr(src, row, &taps, out, out_row, rows, cols);
}

/* A block of at most SEPARABLE_ROWS x SEPARABLE_COLS outputs */
static void separable_block(const call *c, const scratch *s, const rows_of *r, const char *src, char *out, ptrdiff_t out_row,
                            ptrdiff_t rows, ptrdiff_t cols)
{
    const fc_axis *axis = c->g->axis;
    ptrdiff_t depth = axis[DEPTH].k, w = axis[COLS].k, terms = c->g->terms, work = separable_row(c), row = r->row;
    ptrdiff_t *at = s->separable.at, tall = rows + reach(&axis[ROWS], 1) - 1, broad = cols + reach(&axis[COLS], 1) - 1;
    const char *from = src;
    for (ptrdiff_t t = 0; t < terms; t++) {
        if (depth > 1) {
            for (ptrdiff_t z = 0; z < depth; z++)
                at[z] = z * axis[DEPTH].dilation * r->plane;
            separable_across(c, s, c->g->factor[DEPTH] + t * depth * c->size, depth, src, r->row, s->separable.planes, work,
                             tall, broad);
            from = s->separable.planes, row = work;
        }
        separable_down(c, c->g->factor[ROWS] + t * axis[ROWS].k * c->size, from, row,
                       s->separable.sums + t * separable_rows(c) * work * c->size, work, rows, broad);
    }
    for (ptrdiff_t t = 0; t < terms * w; t++)
        at[t] = t / w * separable_rows(c) * work + t % w * axis[COLS].dilation;
    separable_across(c, s, c->g->factor[COLS], terms * w, s->separable.sums, work, out, out_row, rows, cols);
}

static void separable_compute(const call *c, const scratch *s, const patch *p)
{
    for (ptrdiff_t i = 0; i < p->rows; i += SEPARABLE_ROWS)
        for (ptrdiff_t j = 0; j < p->cols; j += SEPARABLE_COLS)
            separable_block(c, s, p->r, p->src + (i * p->r->row + j) * c->size, p->out + (i * p->out_row + j) * c->size,
                            p->out_row, min(SEPARABLE_ROWS, p->rows - i), min(SEPARABLE_COLS, p->cols - j));
}

const method fc_separable = {.parts = separable_parts, .compute = separable_compute};
