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
 * Small kernels are summed in both directions at once (passes_tmpl.h). Larger ones of one term are summed by two passes that are alike,
 * where the instruction set has them: the sums of a band of rows are stored turned, a row for each column, which stays in L2 (`turn`).
 * There a column beyond x is a copy of the one that the boundary names, so only rows beyond x are gathered.
 *
 * (Planes only where there is depth. In turned tiles the passes exchange their directions.) Terms may be something
 * else than parts of one sum: derivatives, of which the norm is asked for, or each by itself. Both are made of one look at x.
 * (With strides: steps.c.)
 */
#include "corr/call.h"
#include <string.h>

enum { SEPARABLE_TERMS = 2 }; /* of turned tiles, whose norm is asked for, or each by itself */

static int separable_prepare(call *c)
{
    const fc_axis *rows = &c->g->axis[ROWS], *cols = &c->g->axis[COLS];
    ptrdiff_t seen =
        times(reach(rows, min(SEPARABLE_ROWS, rows->out)), c->size * cols->stride); /* bytes of x for a column of outputs */
    c->separable.cols = clamp(SEPARABLE_BYTES / seen, min(SEPARABLE_COLS, cols->out), cols->out);
    c->separable.rows = clamp(SEPARABLE_AREA / c->separable.cols, min(SEPARABLE_ROWS, rows->out), rows->out);
    if (c->separable.rows > SEPARABLE_ROWS) /* whole blocks of K3, rather than single rows behind them */
        c->separable.rows -= c->separable.rows % SEPARABLE_ROWS;
    c->separable.row = odd_lines(reach(cols, c->separable.cols), c->size);
    if (c->g->axis[DEPTH].k == 1 && c->g->terms <= (c->g->combine == FC_ADDED ? 1 : SEPARABLE_TERMS))
        /* down, of columns that only across sees, too */
        c->turned_taps = (double)c->g->terms * (3.0 * (double)rows->k + (double)cols->k);
    return 0;
}

/* Whether outputs may be made by two passes that are alike, between which sums are turned (passes_tmpl.h) */
static int separable_turns(const call *c)
{
    const fc_axis *axis = c->g->axis, *rows = &axis[ROWS], *cols = &axis[COLS];
    return c->op->turn && c->g->terms == 1 && axis[DEPTH].k == 1 && axis[DEPTH].lead == 0 && axis[DEPTH].out <= axis[DEPTH].n &&
           rows->k >= SEPARABLE_TURNED && cols->k >= SEPARABLE_TURNED && rows->dilation == 1 && cols->dilation == unit_of(cols);
}
/* Rows of x that a band looks at; columns of a strip of it, of so many */
static ptrdiff_t separable_band(const call *c) { return reach(&c->g->axis[ROWS], FC_TURN); }
static ptrdiff_t separable_strip(ptrdiff_t cols) { return parts_of(cols, parts_of(cols, SEPARABLE_STRIP)); }

static int separable_is_norm(const call *c) { return c->g->combine == FC_L1 || c->g->combine == FC_L2; }

static void separable_parts(const call *c, fc_room *r, scratch *s)
{
    const fc_axis *axis = c->g->axis;
    ptrdiff_t terms = c->g->terms, row = c->separable.row, rows = c->separable.rows;
    const ptrdiff_t strip = separable_turns(c) ? reach(&axis[COLS], SEPARABLE_STRIP) + c->x.lanes : 0;
    s->at = fc_part(r, "taps", max(max(times(terms, axis[COLS].k), strip), max(axis[DEPTH].k, axis[ROWS].k)), sizeof *s->at);
    s->sums = fc_part(r, "sums", max(times(times(terms, rows), row), times(FC_TURN, strip)), c->size);
    if (axis[DEPTH].k > 1)
        s->planes = fc_part(r, "planes", times(reach(&axis[ROWS], rows), row), c->size);
    if (strip > 0 && axis[COLS].unit > 1)
        s->across = fc_part(r, "sums across pixels", times(FC_TURN, strip), c->size);
    if (strip > 0)
        s->planes = fc_part(r, "rows of a band", times(separable_band(c), odd_lines(strip, c->size)), c->size);
    if (c->strip_out[COLS] > 0) {
        s->turned = fc_part(r, "sums of a strip down", times(reach(&axis[COLS], c->strip_out[COLS]), c->strip.row), c->size);
        s->turned_sums = fc_part(r, "terms of a strip", separable_is_norm(c) ? times(terms, strip_bytes(c)) : 0, 1);
    }
}

/* A pass of K3. A dilation of the axis that is down, of which there is none where there is one tap row, makes as many interleaved
 * images. */
static void separable_pass(const call *c, int axis, const fc_taps *taps, const char *src, ptrdiff_t row, char *out,
                           ptrdiff_t out_row, ptrdiff_t rows, ptrdiff_t cols)
{
    ptrdiff_t images = taps->h > 1 ? c->g->axis[axis].dilation : 1;
    for (ptrdiff_t i = 0; i < images && i < rows; i++)
        c->op->corr(src + i * row * c->size, images * row, taps, out + i * out_row * c->size, images * out_row,
                    parts_of(rows - i, images), cols);
}

void fc_separable_across(const call *c, const scratch *s, const char *sums, ptrdiff_t row, const patch *p)
{
    const ptrdiff_t w = c->g->axis[COLS].k, terms = c->g->terms, term = c->separable.rows * row;
    fc_taps across = {
        .h = 1, .full = c->g->combine == FC_ADDED ? terms * w : w, .at = s->at, .k = c->g->factor[COLS], .stream = c->streams};
    if (separable_is_norm(c)) {
        fc_norms norms = {c->g->combine, c->streams, terms, term, w, s->at, across.k};
        c->op->norms(sums, row, &norms, p->out, p->out_row, p->rows, p->cols);
        return;
    }
    for (ptrdiff_t t = 0; t < (c->g->combine == FC_ADDED ? 1 : terms); t++) {
        across.k = c->g->factor[COLS] + t * w * c->size;
        separable_pass(c, ROWS, &across, sums + t * term * c->size, row, p->out + t * p->out_result, p->out_row, p->rows,
                       p->cols);
    }
}

/* A block of outputs of p, from (i, j) on */
static void separable_block(const call *c, const scratch *s, const patch *p, ptrdiff_t i, ptrdiff_t j)
{
    const fc_axis *axis = c->g->axis;
    ptrdiff_t depth = axis[DEPTH].k, work = c->separable.row, term = c->separable.rows * work;
    ptrdiff_t rows = min(c->separable.rows, p->rows - i), cols = min(c->separable.cols, p->cols - j), row = p->r->row;
    const ptrdiff_t tall = reach(&axis[ROWS], rows), broad = reach(&axis[COLS], cols);
    static const ptrdiff_t here[] = {0};
    const char *src = p->src + (i * row + j) * c->size, *from = src;
    for (ptrdiff_t t = 0; t < c->g->terms; t++) {
        if (depth > 1) {
            for (ptrdiff_t z = 0; z < depth; z++)
                s->at[z] = z * axis[DEPTH].dilation * p->r->plane;
            fc_taps deep = {.h = 1, .full = depth, .at = s->at, .k = c->g->factor[DEPTH] + t * depth * c->size};
            separable_pass(c, ROWS, &deep, src, p->r->row, s->planes, work, tall, broad);
            from = s->planes, row = work;
        }
        const fc_taps down = {.h = axis[ROWS].k,
                              .full = 1,
                              .at = here,
                              .k = c->g->factor[ROWS] + t * axis[ROWS].k * c->size,
                              .far = axis[ROWS].k >= c->fetches_from};
        separable_pass(c, ROWS, &down, from, row, s->sums + t * term * c->size, work, rows, broad);
    }
    for (ptrdiff_t t = 0; t < c->g->terms * axis[COLS].k; t++)
        s->at[t] = t / axis[COLS].k * term + t % axis[COLS].k * axis[COLS].dilation;
    patch part = *p;
    part.out += (i * p->out_row + j) * c->size, part.rows = rows, part.cols = cols;
    fc_separable_across(c, s, s->sums, work, &part);
}

/* Both passes as one, without dilations. 0: it is to be done otherwise */
static int separable_at_once(const call *c, const patch *p)
{
    const fc_axis *rows = &c->g->axis[ROWS], *cols = &c->g->axis[COLS];
    const fc_passes passes = {c->g->combine,           c->streams,         rows->k >= c->fetches_from, c->g->terms, rows->k,
                              p->out_result / c->size, c->g->factor[ROWS], c->g->factor[COLS]};
    if (!c->op->passes || c->g->axis[DEPTH].k > 1 || rows->k != cols->k || rows->dilation > 1 || cols->dilation > 1 ||
        p->cols < SEPARABLE_AT_ONCE)
        return 0;
    return c->op->passes(p->src, p->r->row, &passes, p->out, p->out_row, p->rows, p->cols);
}

static void separable_compute(const call *c, const scratch *s, const patch *p)
{
    if (separable_at_once(c, p))
        return;
    for (ptrdiff_t i = 0; i < p->rows; i += c->separable.rows)
        for (ptrdiff_t j = 0; j < p->cols; j += c->separable.cols)
            separable_block(c, s, p, i, j);
}

/* Of turned tiles, whose rows are columns of x: down is along their rows, and across down them. No depth; of terms no sum, whose
 * products would be those of one chain */
static void separable_turned(const call *c, const scratch *s, const patch *p)
{
    static const ptrdiff_t here[] = {0};
    const fc_axis *rows = &c->g->axis[ROWS], *cols = &c->g->axis[COLS];
    const ptrdiff_t term = separable_is_norm(c) ? strip_bytes(c) : p->out_result;
    char *const sums = separable_is_norm(c) ? s->turned_sums : p->out;
    for (ptrdiff_t t = 0; t < rows->k; t++)
        s->at[t] = t * rows->dilation;
    for (ptrdiff_t t = 0; t < c->g->terms; t++) {
        fc_taps down = {.h = 1, .full = rows->k, .at = s->at, .k = c->g->factor[ROWS] + t * rows->k * c->size},
                across = {.h = cols->k, .full = 1, .at = here, .k = c->g->factor[COLS] + t * cols->k * c->size};
        separable_pass(c, COLS, &down, p->src, p->r->row, s->turned, p->r->row, reach(cols, p->cols), p->rows);
        separable_pass(c, COLS, &across, s->turned, p->r->row, sums + t * term, p->out_row, p->cols, p->rows);
    }
    if (separable_is_norm(c)) {
        static const float ones[SEPARABLE_TERMS] = {1, 1};
        static const double wide_ones[SEPARABLE_TERMS] = {1, 1};
        const fc_norms norms = {
            c->g->combine, 0, c->g->terms, term / c->size, 1, here, c->g->type == FC_F32 ? (const void *)ones : wide_ones};
        c->op->norms(sums, p->out_row, &norms, p->out, p->out_row, p->cols, p->rows);
    }
}

/* Outputs of a band from its turned sums, where columns are channels: a pixel of a band is a row of a picture, whose taps lie in rows */
static void separable_pixels(const call *c, const scratch *s, char *out, ptrdiff_t out_row, ptrdiff_t cols)
{
    static const ptrdiff_t here[] = {0};
    const fc_axis *across = &c->g->axis[COLS];
    const fc_taps taps = {.h = across->k, .full = 1, .at = here, .k = c->g->factor[COLS]};
    const ptrdiff_t row = across->unit * FC_TURN, whole = cols / across->unit, end = whole * row * c->size;
    if (whole > 0)
        c->op->corr(s->sums, row, &taps, s->across, row, whole, row);
    if (whole * across->unit < cols)
        c->op->corr(s->sums + end, row, &taps, s->across + end, row, 1, cols * FC_TURN - whole * row);
    fc_columns_back(c, s->across, FC_TURN, NULL, out, out_row, FC_TURN, cols);
}

/* FC_TURN rows of outputs, from the rows under them, whose columns low ... high, of those that the outputs look at, are there; the sums
 * of the others are those that s->at names, or behind the last. 0: there is no code for it */
static int separable_turn(const call *c, const scratch *s, const char *x, ptrdiff_t row, ptrdiff_t low, ptrdiff_t high,
                          char *out, ptrdiff_t out_row, ptrdiff_t cols)
{
    const fc_axis *axis = c->g->axis;
    const ptrdiff_t wide = reach(&axis[COLS], cols), line = FC_TURN * c->size;
    const fc_taps down = {.h = axis[ROWS].k, .k = c->g->factor[ROWS], .far = c->is_far},
                  across = {.h = axis[COLS].k, .k = c->g->factor[COLS]};
    if (!c->op->turn(x, row, &down, s->sums + low * line, FC_TURN, FC_TURN, high - low))
        return 0;
    fc_columns_turned(s, s->sums, line, low, high, wide, s->sums + wide * line);
    if (axis[COLS].unit <= 1)
        return c->op->turn(s->sums, FC_TURN, &across, out, out_row, cols, FC_TURN);
    separable_pixels(c, s, out, out_row, cols);
    return 1;
}

/* The rows that a band looks at, from number i of x on, and high - low columns of them; those that the boundary names, in scratch */
static const char *separable_rows(const job *j, const char *x, ptrdiff_t i, ptrdiff_t n, ptrdiff_t *row)
{
    const call *c = j->c;
    const fc_axis *rows = &c->g->axis[ROWS];
    const ptrdiff_t tall = separable_band(c), inner = odd_lines(n, c->size);
    *row = rows->x_step / c->size;
    if (i >= 0 && i + tall <= rows->n)
        return x + i * rows->x_step;
    for (ptrdiff_t t = 0; t < tall; t++) {
        const ptrdiff_t from = fc_source_index(i + t, rows->n, rows->boundary);
        char *const to = j->s.planes + t * inner * c->size;
        if (from < 0)
            fc_copy_row(to, c->size, c->x.fill, 0, n, c->size);
        else
            memcpy(to, x + from * rows->x_step, (size_t)(n * c->size));
    }
    *row = inner;
    return j->s.planes;
}

/* Of the columns that outputs from number k on look at, low ... high are there, and s->at names the others. 0: not all of them are among
 * these */
static int separable_columns(const job *j, ptrdiff_t k, ptrdiff_t wide, ptrdiff_t *low, ptrdiff_t *high)
{
    const fc_axis *cols = &j->c->g->axis[COLS];
    inside(cols->n, 1, k - cols->lead, wide, low, high);
    return fc_columns_find(j->c, &j->s, k - cols->lead, *low, *high, wide);
}

/* A share of a plane by turns. The sums of a column beyond x are those of the column that the boundary names, so none is gathered. */
static int separable_share(const job *j, const box *b)
{
    const call *c = j->c;
    const fc_axis *axis = c->g->axis, *across = &axis[COLS];
    const ptrdiff_t rows = b->to[ROWS] - b->from[ROWS], cols = b->to[COLS] - b->from[COLS], strip = separable_strip(cols);
    const ptrdiff_t wide = reach(across, strip), line = FC_TURN * c->size;
    ptrdiff_t low, high, row;
    for (ptrdiff_t m = 0; m < cols; m += strip)
        if (!separable_columns(j, b->from[COLS] + min(m, cols - strip), wide, &low, &high))
            return 0;
    if (across->boundary == FC_CONSTANT) { /* behind all sums: those of fill values alone */
        const fc_taps down = {.h = axis[ROWS].k, .k = c->g->factor[ROWS]};
        fc_copy_row(j->s.planes, c->size, c->x.fill, 0, separable_band(c) * c->x.lanes, c->size);
        if (!c->op->turn(j->s.planes, c->x.lanes, &down, j->s.sums + wide * line, FC_TURN, FC_TURN, c->x.lanes))
            return 0;
    }
    for (ptrdiff_t z = b->from[DEPTH]; z < b->to[DEPTH]; z++)
        for (ptrdiff_t n = 0; n < rows; n += FC_TURN)
            for (ptrdiff_t m = 0; m < cols; m += strip) {
                const ptrdiff_t i = b->from[ROWS] + min(n, rows - FC_TURN), k = b->from[COLS] + min(m, cols - strip);
                if (strip < cols)
                    separable_columns(j, k, wide, &low, &high);
                const char *x = j->x + z * axis[DEPTH].x_step + (k - across->lead + low) * c->size;
                x = separable_rows(j, x, i - axis[ROWS].lead, high - low, &row);
                if (!separable_turn(c, &j->s, x, row, low, high, out_at(j, z, i, k), axis[ROWS].out_step / c->size, strip))
                    return 0;
            }
    return 1;
}

static void separable_chunk(const job *j, ptrdiff_t index)
{
    const call *c = j->c;
    const box b = fc_share(c, index);
    if (!separable_turns(c) || !c->x_adjacent || !c->out_adjacent || b.to[ROWS] - b.from[ROWS] < FC_TURN ||
        b.to[COLS] - b.from[COLS] < FC_TURN || !separable_share(j, &b))
        fc_boxes(j, index);
}

const method fc_separable = {.prepare = separable_prepare,
                             .parts = separable_parts,
                             .compute = separable_compute,
                             .turned = separable_turned,
                             .chunk = separable_chunk};
