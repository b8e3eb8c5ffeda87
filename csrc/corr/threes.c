/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Outer products of three by three taps, of unsigned bytes, which are read, and results stored, as they lie in memory.
 *
 * Method threes: separable, of sums that are whole numbers of 16 bits. Both passes are in registers (threes_tmpl.h), over some rows
 * at a time. Rows beyond the edges are those that the boundary names (columns.c). Outputs that look at columns beyond the edges read
 * copies of the ends of rows, a vector of them at a time:
 *
 *      ends     rows of x     ends
 *      +---+   +-----------+  +---+        +-----------+
 *      |   |   |           |  |   |  --->  |           |
 *      +---+   +-----------+  +---+        +-----------+
 */
#include "corr/call.h"

/* Some rows of outputs of a band, and the columns that they look at, of which low ... high are in x */
typedef struct {
    const call *c;
    const scratch *s;
    fc_threes taps;
    const char *row[THREES_MOST + 2]; /* of column `low` */
    ptrdiff_t low, high;
    char *out;
    ptrdiff_t out_row, rows;
} threes;

int fc_threes_suit(const fc_corr *g)
{
    return g->type == FC_I16 && g->method == FC_SEPARABLE && g->x_type == FC_U8 && g->axis[DEPTH].k == 1 &&
           g->axis[ROWS].k == 3 && g->axis[COLS].k == 3;
}

static int threes_prepare(call *c)
{
    const fc_axis *rows = &c->g->axis[ROWS], *cols = &c->g->axis[COLS];
    c->columns.rows = reach(rows, parts_of(rows->out, c->plan.parts[ROWS]));
    c->columns.cols = reach(cols, parts_of(cols->out, c->plan.parts[COLS]));
    c->columns.block = clamp(THREES_BYTES / max(cols->out, 1), THREES_ROWS, THREES_MOST);
    return 0;
}

static void threes_parts(const call *c, fc_room *r, scratch *s)
{
    const ptrdiff_t wide = c->fc->vector_bytes;
    s->rows = fc_part(r, "rows", c->columns.rows, sizeof *s->rows);
    s->at = fc_part(r, "columns beyond x", c->columns.cols, sizeof *s->at);
    s->narrow = fc_part(r, "ends of rows", (THREES_MOST + 2) * 3 * wide, 1);
    s->results = fc_part(r, "their results", c->results * THREES_MOST * wide, c->made_size);
    s->fills = fc_part(r, "fill values", c->g->axis[ROWS].boundary == FC_CONSTANT ? c->columns.cols : 0, c->x.size);
}

/* n columns from number q on, of a row */
static void threes_copy(const threes *t, char *to, const char *row, ptrdiff_t q, ptrdiff_t n)
{
    const ptrdiff_t from = clamp(t->low - q, 0, n), end = clamp(t->high - q, from, n), *at = t->s->at;
    for (ptrdiff_t i = from > 0 ? 0 : end; i < n; i = i + 1 == from ? end : i + 1) {
        const ptrdiff_t column = q + i < t->low ? at[q + i] : at[t->low + q + i - t->high];
        to[i] = column < 0 ? *t->c->x.fill : row[column - t->low];
    }
    memcpy(to + from, row + (q + from - t->low), (size_t)(end - from));
}

/* Outputs from number `from` to `to` of a row, by way of copies, in which taps are at most a vector apart */
static void threes_ends(const threes *t, ptrdiff_t from, ptrdiff_t to)
{
    const call *c = t->c;
    const ptrdiff_t wide = c->fc->vector_bytes, made = c->made_size, apart = t->taps.apart;
    const char *row[THREES_MOST + 2];
    fc_threes taps = t->taps;
    taps.apart = min(apart, wide);
    for (ptrdiff_t i = 0; i < t->rows + 2; i++)
        row[i] = t->s->narrow + 3 * i * wide;
    for (ptrdiff_t j = from; j < to; j += wide) {
        if (to - j < wide && to - from >= wide)
            j = to - wide; /* what is written twice is the same */
        const ptrdiff_t n = min(wide, to - j);
        for (ptrdiff_t i = 0; i < t->rows + 2; i++) {
            char *const here = t->s->narrow + 3 * i * wide;
            if (apart <= wide)
                threes_copy(t, here, t->row[i], j, n + 2 * apart);
            for (ptrdiff_t b = 0; b < 3 && apart > wide; b++)
                threes_copy(t, here + b * wide, t->row[i], j + b * apart, n);
        }
        if (n == wide) {
            c->op->threes(t->out + j * made, c->made, t->out_row, row, &taps, t->rows, wide);
            continue;
        }
        taps.out_result = THREES_MOST * wide * made;
        c->op->threes(t->s->results, c->made, wide * made, row, &taps, t->rows, wide);
        for (ptrdiff_t r = 0; r < c->results; r++)
            for (ptrdiff_t i = 0; i < t->rows; i++)
                memcpy(t->out + r * t->taps.out_result + i * t->out_row + j * made,
                       t->s->results + r * taps.out_result + i * wide * made, (size_t)(n * made));
    }
}

/* Whole vectors of outputs at both ends, if some of them look at columns beyond x, and those between them */
static void threes_rows(const threes *t, ptrdiff_t cols)
{
    const ptrdiff_t wide = t->c->fc->vector_bytes, end = t->high - 2 * t->taps.apart;
    const ptrdiff_t first = t->low > 0 ? max(t->low, wide) : 0, last = end < cols ? min(end, cols - wide) : cols;
    if (last - first < wide) {
        threes_ends(t, 0, cols);
        return;
    }
    const char *row[THREES_MOST + 2];
    for (ptrdiff_t i = 0; i < t->rows + 2; i++)
        row[i] = t->row[i] + (first - t->low);
    t->c->op->threes(t->out + first * t->c->made_size, t->c->made, t->out_row, row, &t->taps, t->rows, last - first);
    threes_ends(t, 0, first);
    threes_ends(t, last, cols);
}

/* A dilation of rows makes as many interleaved images. */
static void threes_band(const call *c, const scratch *s, ptrdiff_t low, ptrdiff_t high, const patch *p)
{
    const fc_corr *g = c->g;
    const ptrdiff_t out_row = p->out_row * c->made_size;
    const ptrdiff_t images = g->axis[ROWS].dilation, block = c->columns.block;
    threes t = {.c = c, .s = s, .low = low, .high = high, .out_row = images * out_row};
    t.taps = (fc_threes){.apart = g->axis[COLS].dilation,
                         .out_result = p->out_result,
                         .terms = (int)g->terms,
                         .combine = g->combine,
                         .divisor = (unsigned)c->divisor,
                         .down = g->factor[ROWS],
                         .across = g->factor[COLS]};
    for (ptrdiff_t q = 0; q < images && q < p->rows; q++)
        for (ptrdiff_t i = q, left = parts_of(p->rows - q, images); left > 0; left -= t.rows, i += t.rows * images) {
            t.rows = min(left, block), t.out = p->out + i * out_row;
            for (ptrdiff_t a = 0; a < t.rows + 2; a++)
                t.row[a] = s->rows[i + a * images];
            threes_rows(&t, p->cols);
        }
}

const method fc_by_threes = {.as_stored = 1,
                             .prepare = threes_prepare,
                             .parts = threes_parts,
                             .compute = fc_columns_compute,
                             .chunk = fc_columns_chunk,
                             .band = threes_band};
