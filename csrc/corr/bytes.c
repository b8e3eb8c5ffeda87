/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Outer products of bytes, which are read, and results stored, as they lie in memory.
 *
 * Method bytes: separable, of bytes, whose sums are whole numbers of 16 bits. Columns are summed across, from bytes, rows down
 * the results, a few rows at a time, and these are divided and stored: all of it stays in L1, and nothing else is written.
 *
 *      x, bytes   across   sums, 16 bits   down   out
 *      +-----+    ---->    +----+           |     +----+
 *      |     |             |    |           v     |    |    rows of sums are kept for the next rows of outputs
 *      +-----+             +----+                 +----+
 * Three by three taps of unsigned bytes are threes.c's.
 */
#include "corr/call.h"

static int bytes_prepare(call *c)
{
    const fc_axis *rows = &c->g->axis[ROWS], *cols = &c->g->axis[COLS];
    c->separable.cols = min(BYTES_COLS, cols->out);
    c->separable.rows = min(BYTES_ROWS, rows->out);
    c->separable.row = odd_lines(plus(c->separable.cols, c->fc->vector_bytes), c->size); /* two vectors more are read */
    return 0;
}

static void bytes_parts(const call *c, fc_room *r, scratch *s)
{
    const fc_axis *axis = c->g->axis;
    ptrdiff_t row = c->separable.row;
    s->at = fc_part(r, "taps", axis[COLS].k, sizeof *s->at);
    s->sums = fc_part(r, "sums", times(reach(&axis[ROWS], c->separable.rows), row), c->size);
}

/* A block of outputs, from src on, of one of the terms */
static void bytes_block(const call *c, const scratch *s, ptrdiff_t term, const char *src, ptrdiff_t row, char *out,
                        ptrdiff_t out_row, ptrdiff_t rows, ptrdiff_t cols)
{
    const fc_axis *down = &c->g->axis[ROWS];
    const char *k = c->g->factor[ROWS] + term * down->k * c->size;
    fc_taps across = {.full = c->g->axis[COLS].k, .at = s->at};
    across.k = c->g->factor[COLS] + term * across.full * c->size;
    ptrdiff_t work = c->separable.row, halo = reach(down, 1) - 1, summed = 0;
    for (ptrdiff_t i = 0; i < rows; i++) {
        if (i + halo >= summed) { /* a few rows at a time, which stay in L1 */
            ptrdiff_t n = min(summed > 0 ? BYTES_STEP : halo + BYTES_STEP, rows + halo - summed);
            c->op->across(src + summed * row, c->g->x_type, row, 1, &across, s->sums + summed * work * c->size, work, n, cols);
            summed += n;
        }
        c->op->down(out + i * out_row * c->made_size, c->made, s->sums + i * work * c->size, down->dilation * work, k, down->k,
                    cols, (unsigned)c->divisor);
    }
}

static void bytes_compute(const call *c, const scratch *s, const patch *p)
{
    for (ptrdiff_t t = 0; t < c->g->axis[COLS].k; t++)
        s->at[t] = t * c->g->axis[COLS].dilation;
    for (ptrdiff_t i = 0; i < p->rows; i += c->separable.rows)
        for (ptrdiff_t j = 0; j < p->cols; j += c->separable.cols)
            for (ptrdiff_t t = 0; t < c->results; t++)
                bytes_block(c, s, t, p->src + i * p->r->row + j, p->r->row,
                            p->out + t * p->out_result + (i * p->out_row + j) * c->made_size, p->out_row,
                            min(c->separable.rows, p->rows - i), min(c->separable.cols, p->cols - j));
}

const method fc_bytes = {.as_stored = 1, .prepare = bytes_prepare, .parts = bytes_parts, .compute = bytes_compute};
