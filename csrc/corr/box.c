/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sums over boxes at a cost that does not grow with the box, without subtraction (box_tmpl.h): so without drift, and a
 * value that is not finite stays in its windows. Blocks begin at output 0 of the whole result, so that a window of it has the same bits.
 *
 *      rows of a block           a vector of rows of the next               out
 *      +--------------------+    +--------------------+  turned            +---------------+    a row beyond an edge is the one that
 *      |      x, tails      |    |      x, heads      |  ------> across    |               |    the boundary names; a column beyond an
 *      |                    |    +--------------------+          ------>   +---------------+    edge has the sums of the one that it
 *      +--------------------+                                   turned back                     names: nothing is gathered
 *
 * Strips of columns are so wide that the tails of a block stay in L2. Rows and columns are found as by columns.c.
 */
#include "corr/call.h"
#include <string.h>

static ptrdiff_t box_wide(const call *c) { return reach(&c->g->axis[COLS], c->columns.strip); }
static ptrdiff_t box_row(const call *c) /* elements from tails to those of the next row */
{
    return odd_lines(plus(box_wide(c), c->x.lanes), c->size);
}
/* Rows whose tails are there: of a block, and those of outputs of the last one that are made with the first of this one */
static ptrdiff_t box_ring(const call *c) { return plus(c->g->axis[ROWS].k, c->x.lanes); }
/* Columns of a block, of all channels; those before and behind a strip that sums across may overwrite, or read */
static ptrdiff_t box_apart(const call *c) { return unit_of(&c->g->axis[COLS]); }
static ptrdiff_t box_length(const call *c) { return times(c->g->axis[COLS].k, box_apart(c)); }
static ptrdiff_t box_before(const call *c) { return max(box_length(c), c->x.lanes); }
static ptrdiff_t box_behind(const call *c) { return plus(times(2, box_length(c)), 2 * c->x.lanes); }

static int box_prepare(call *c)
{
    const fc_axis *rows = &c->g->axis[ROWS], *cols = &c->g->axis[COLS];
    const ptrdiff_t most = parts_of(cols->out, c->plan.parts[COLS]),
                    strip = max(BOX_TAILS / c->size / rows->k, times(2, box_length(c)));
    c->tile_out[ROWS] = rows->k;
    c->columns.rows = plus(reach(rows, parts_of(rows->out, c->plan.parts[ROWS])), 3 * c->x.lanes);
    c->columns.cols = reach(cols, most);
    c->columns.strip = clamp(strip, min(BOX_COLS, most), most);
    return 0;
}

static void box_parts(const call *c, fc_room *r, scratch *s)
{
    const fc_axis *axis = c->g->axis;
    s->rows = fc_part(r, "rows", c->columns.rows, sizeof *s->rows);
    s->tails = fc_part(r, "rows of tails", c->columns.rows, sizeof *s->tails);
    s->at = fc_part(r, "columns beyond x", c->columns.cols, sizeof *s->at);
    s->fills = fc_part(r, "fill values", axis[ROWS].boundary == FC_CONSTANT ? c->columns.cols : 0, c->x.size);
    s->down = fc_part(r, "tails", times(box_ring(c), box_row(c)), c->size);
    s->sums = fc_part(r, "heads", box_row(c), c->size);
    s->turned = fc_part(r, "turned", times(plus(plus(box_before(c), box_wide(c)), box_behind(c)), c->x.lanes), c->size);
    s->ring = fc_part(r, "tails of columns", times(3 * plus(box_length(c), box_apart(c)), c->x.lanes), c->size);
}

/* What comes before the first output, number `past` of its block, of n columns: tails of this block, and heads of the next one */
static void box_begin(const call *c, const scratch *s, ptrdiff_t past, ptrdiff_t n)
{
    const ptrdiff_t h = c->g->axis[ROWS].k;
    memset(s->sums, 0, (size_t)(box_row(c) * c->size));
    c->op->box_tails(s->rows, 1, s->tails, 1, h - past, n);
    if (past > 0) /* the sum of its first rows, from the first on */
        c->op->box_tails(s->rows + h - 1, -1, (char *const *)&s->sums, 0, past, n);
}

/* Turned sums of columns low ... high of a vector of rows, those from number i on, and of those that s->at names; begun: the tails of how
 * many rows there are, as yet; returns it */
static ptrdiff_t box_down(const call *c, const scratch *s, ptrdiff_t i, ptrdiff_t rows, ptrdiff_t begun, ptrdiff_t low,
                          ptrdiff_t high, ptrdiff_t wide, char *turned)
{
    const ptrdiff_t h = c->g->axis[ROWS].k, lanes = c->x.lanes, line = lanes * c->size;
    unsigned resets = 0;
    for (; begun < min(i + lanes, rows); begun += h)
        c->op->box_tails(s->rows + begun, 1, s->tails + begun, 1, h, high - low);
    for (ptrdiff_t t = begun; t < i + lanes; t++) /* of rows behind the last: not whatever was in scratch, which may be NaN */
        s->tails[t] = s->tails[begun - 1];
    for (ptrdiff_t first = begun <= i + lanes ? begun : begun - h; first > i; first -= h) /* of a block */
        resets |= 1u << (first - i - 1);
    c->op->box_heads(s->rows + i + h, s->tails + i, resets, s->sums, turned + low * line, high - low);
    fc_columns_turned(s, turned, line, low, high, wide, turned + wide * line); /* what lies behind them is 0 */
    return begun;
}

static void box_band(const call *c, const scratch *s, ptrdiff_t low, ptrdiff_t high, const patch *p)
{
    const fc_axis *rows = &c->g->axis[ROWS], *cols = &c->g->axis[COLS];
    const ptrdiff_t lanes = c->x.lanes, line = lanes * c->size, seen = reach(rows, p->rows), wide = reach(cols, p->cols);
    const ptrdiff_t past = (rows->start + p->row) % rows->k, ring = box_ring(c), row = box_row(c) * c->size;
    char *const turned = s->turned + box_before(c) * line;
    fc_sums across = {.height = box_length(c), .at = cols->start + p->col, .cols = p->cols, .apart = box_apart(c)};
    for (ptrdiff_t t = seen; t < seen + 2 * lanes; t++) /* of rows behind the last, which are summed, and not looked at */
        s->rows[t] = s->rows[seen - 1];
    for (ptrdiff_t t = 0; t < seen + lanes; t++)
        s->tails[t] = s->down + t % ring * row;
    memset(turned - lanes * line, 0, (size_t)(lanes * line)), memset(turned + wide * line, 0, (size_t)(box_behind(c) * line));
    box_begin(c, s, past, high - low);
    for (ptrdiff_t i = 0, begun = rows->k - past; i < p->rows; i += lanes) {
        begun = box_down(c, s, i, p->rows, begun, low, high, wide, turned);
        across.rows = min(lanes, p->rows - i);
        const char *const *ahead = c->is_far ? s->rows + i + rows->k + lanes : NULL;
        char *const out = p->out + i * p->out_row * c->size;
        int finite;
        if (across.apart > 1) {
            finite = c->op->box_pixels(turned, &across, c->g->k, s->ring);
            fc_columns_back(c, turned, lanes, ahead, out, p->out_row, across.rows, p->cols);
        } else
            finite = c->op->box_across(turned, &across, c->g->k, ahead, out, p->out_row, s->ring);
        if (s->doubtful && !finite)
            __atomic_store_n(s->doubtful, 1, __ATOMIC_RELAXED);
    }
}

/* Columns beyond an edge whose sums are not 0, and not those of others, are gathered. */
static void box_chunk(const job *j, ptrdiff_t index)
{
    static const char nothing[sizeof j->c->x.fill];
    const source *x = &j->c->x;
    if (x->axis[COLS].boundary == FC_CONSTANT && memcmp(x->fill, nothing, (size_t)x->size) != 0)
        fc_boxes(j, index);
    else
        fc_columns_chunk(j, index);
}

const method fc_box = {
    .prepare = box_prepare, .parts = box_parts, .compute = fc_columns_compute, .chunk = box_chunk, .band = box_band};
