/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Method direct: K3 slides over the rows. What K3 calls tap rows and tap columns depends on the axes:
 *
 *     rows of stride 1        tap rows a, columns (c, b); a row dilation d makes d interleaved images
 *     row stride s            the s rows from one window to the next are one long row: tap row q, columns
 *                             (p, c, b), tap a = q s + p. The last tap row may lack its last p
 *     stride and dilation     one tap row, columns (a, c, b); so for im2col.c
 *     1-D                     the signal is folded into rows of R elements, one vector: out[m R + j] needs
 *                             x[(m + q) R + p + j], so tap row q, column p, tap b = q R + p; the last tap row lacks
 *                             its last p
 *
 * Each output is the sum over (a, c, b) in this order, so its bits do not depend on any of this.
 *
 * Method ordered: taps in the order (c, a, b), zeros left out, from gathered tiles, without fma.
 */
#include "corr/call.h"
#include <string.h>

/* Columns of the rows that a 1-D signal is folded into: one vector, which then meets as many tap rows as the kernel has such
 * rows. 0: it is not folded */
static ptrdiff_t direct_fold(const call *c)
{
    const fc_axis *cols = &c->g->axis[COLS];
    ptrdiff_t lanes = c->fc->vector_bytes / c->size, rows = parts_of(cols->k, lanes);
    if (c->g->type > FC_F64 || c->g->axis[DEPTH].k > 1 || c->g->axis[ROWS].k > 1 || cols->stride > 1 || cols->dilation > 1)
        return 0;
    return rows >= c->fc->fold_from && cols->out >= 4 * rows * lanes ? lanes : 0;
}

static double direct_all_taps(const call *c)
{
    const fc_axis *axis = c->g->axis;
    return (double)axis[DEPTH].k * (double)axis[ROWS].k * (double)axis[COLS].k;
}

/* Whether millions of taps are one row: there are outputs for a block of it, or taps side by side lie whole pages apart, where no cache
 * holds many of them */
static int direct_is_row(const call *c)
{
    const fc_axis *axis = c->g->axis;
    return direct_all_taps(c) > CORR_MANY && (axis[COLS].out >= c->fc->block[2].vectors * c->x.lanes ||
                                              axis[ROWS].k / axis[ROWS].stride * c->size % CORR_PAGE == 0);
}

/* Shape of the taps as K3 takes them */
int fc_direct_prepare(call *c)
{
    const fc_axis *axis = c->g->axis;
    fc_taps *taps = &c->direct.taps;
    int rows_are_columns = c->g->method == FC_IM2COL || (axis[ROWS].stride > 1 && axis[ROWS].dilation > 1) || direct_is_row(c);
    c->direct.fold = c->g->method == FC_IM2COL ? 0 : direct_fold(c);
    /* in taps of a fold, or tap rows: all, those of a long row, and what each of them holds */
    ptrdiff_t all = axis[ROWS].k, together = rows_are_columns ? all : axis[ROWS].stride, each = axis[DEPTH].k * axis[COLS].k;
    if (c->direct.fold)
        all = axis[COLS].k, together = c->direct.fold, each = 1;
    taps->h = parts_of(all, together);
    taps->full = (all - (taps->h - 1) * together) * each;
    taps->part = taps->h > 1 ? together * each - taps->full : 0;
    taps->stream = c->streams && !c->direct.fold;
    taps->far = (taps->h == 1 ? c->fetches_from < PTRDIFF_MAX : taps->h >= c->fetches_from) && !c->direct.fold;
    if (c->method->turned)
        c->turned_taps = direct_all_taps(c);
    return 0;
}

/* Where tap (a, c, b) lies in rows of this layout, beyond the row that K3 counts from */
static ptrdiff_t direct_offset(const call *c, const rows_of *r, ptrdiff_t a, ptrdiff_t z, ptrdiff_t b)
{
    const fc_axis *axis = c->g->axis, *cols = &axis[COLS];
    ptrdiff_t column = b * cols->dilation;
    if (cols->stride > 1) /* gathered: by phases */
        column = column % cols->stride * r->phase + column / cols->stride;
    return a * axis[ROWS].dilation * r->row + z * axis[DEPTH].dilation * r->plane + column;
}

/* Whether tables of that many more taps are given up: asked now and then, by calls that are not prepared for others */
static int direct_gives_up(const call *c, ptrdiff_t *since, ptrdiff_t taps)
{
    *since += taps;
    if (*since < TAPS_AT_ONCE || !c->asks)
        return 0;
    *since = 0;
    return fc_gives_up();
}

/* Where all tap columns lie in rows of this layout; of a fold, the first ones */
static void direct_lay_columns(const call *c, const rows_of *r, ptrdiff_t *at, ptrdiff_t columns)
{
    const fc_axis *axis = c->g->axis, *cols = &axis[COLS];
    ptrdiff_t a = 0, z = 0, since = 0;
    for (ptrdiff_t t = 0; t < columns && !direct_gives_up(c, &since, cols->k); t += cols->k) {
        const ptrdiff_t first = direct_offset(c, r, a, z, 0);
        for (ptrdiff_t b = 0; b < min(cols->k, columns - t); b++)
            at[t + b] = cols->stride == 1 ? first + b * cols->dilation : direct_offset(c, r, a, z, b);
        if (++z == axis[DEPTH].k)
            z = 0, a++;
    }
}

/* Tables of turned tiles: all taps are one row of K3, in the same order */
static void direct_turned_tables(call *c, fc_room *r)
{
    const fc_axis *axis = c->g->axis;
    const ptrdiff_t all = times(times(axis[DEPTH].k, axis[ROWS].k), axis[COLS].k);
    ptrdiff_t *at = fc_part(r, "taps in turned tiles", all, sizeof *at);
    c->direct.turned = (fc_taps){.h = 1, .full = all, .at = at, .k = fc_part(r, "turned taps", all, c->size)};
    for (ptrdiff_t t = 0; t < all && r->block; t++) {
        ptrdiff_t b = t % axis[COLS].k, z = t / axis[COLS].k % axis[DEPTH].k, a = t / axis[COLS].k / axis[DEPTH].k;
        at[t] = a * axis[ROWS].dilation + z * axis[DEPTH].dilation * c->strip.plane + b * axis[COLS].dilation * c->strip.row;
    }
}

static void direct_turned_retap(call *c)
{
    const fc_axis *axis = c->g->axis, *cols = &axis[COLS];
    char *to = (char *)c->direct.turned.k;
    ptrdiff_t since = 0;
    for (ptrdiff_t a = 0; a < axis[ROWS].k && !direct_gives_up(c, &since, axis[DEPTH].k * cols->k); a++)
        for (ptrdiff_t z = 0; z < axis[DEPTH].k; z++, to += cols->k * c->size)
            fc_copy_row(to, c->size, c->g->k + a * axis[ROWS].k_step + z * axis[DEPTH].k_step, cols->k_step, cols->k, c->size);
}

/* Where tap columns lie, and their taps (kernels.h, K3), from the user's strides */
void fc_direct_tables(call *c, fc_room *r)
{
    ptrdiff_t columns = c->direct.taps.full + c->direct.taps.part;
    ptrdiff_t *user = fc_part(r, "taps in x", columns, sizeof *user),
              *tile = fc_part(r, "taps in tiles", columns, sizeof *tile);
    c->direct.taps.k = fc_part(r, "taps", times(columns, c->direct.taps.h), c->size);
    if (c->strip_out[COLS] > 0)
        direct_turned_tables(c, r);
    if (!r->block)
        return;
    if (!is_empty(&c->inner)) /* of places that nobody looks at, the sizes need not fit */
        direct_lay_columns(c, &c->user, user, columns);
    if (c->is_tiled)
        direct_lay_columns(c, &c->tile, tile, columns);
    c->user.at = user, c->tile.at = tile;
    fc_direct_retap(c, NULL);
}

/* The taps, of k that may be broadcast from one element: h in each column, the tap rows; where h is 1, a row of them at once */
void fc_direct_retap(call *c, char *unused)
{
    (void)unused;
    const fc_axis *axis = c->g->axis, *rows = &axis[ROWS], *cols = &axis[COLS];
    const fc_taps *taps = &c->direct.taps;
    const ptrdiff_t h = taps->h, columns = taps->full + taps->part, at_once = h == 1 ? cols->k : 1;
    const ptrdiff_t step = h == 1 ? cols->k_step : c->direct.fold ? columns * cols->k_step : rows->stride * rows->k_step;
    char *to = (char *)taps->k;
    if (c->strip_out[COLS] > 0)
        direct_turned_retap(c);
    ptrdiff_t a = 0, z = 0, b = 0, since = 0;
    for (ptrdiff_t t = 0; t < columns && !direct_gives_up(c, &since, at_once * h); t += at_once, to += at_once * h * c->size) {
        fc_copy_row(to, c->size, c->g->k + a * rows->k_step + z * axis[DEPTH].k_step + b * cols->k_step, step,
                    h == 1           ? at_once
                    : t < taps->full ? h
                                     : h - 1,
                    c->size);
        b += at_once;
        if (b == cols->k)
            b = 0, z++;
        if (z == axis[DEPTH].k)
            z = 0, a++;
    }
}

/* A signal: V parts of as many rows side by side; then the rows that are left, and the end of a row */
static void direct_folded(const call *c, fc_taps *taps, const char *src, char *out, ptrdiff_t cols)
{
    const fc_kernels *fc = c->fc;
    ptrdiff_t fold = c->direct.fold, rows = cols / fold, b = 0;
    while (fc->block[b].rows > FC_SHARING_ROWS(taps->h))
        b++;
    ptrdiff_t parts = fc->block[b].vectors, each = rows / parts;
    if (each >= max(4 * taps->h, fc->block[b].rows)) {
        taps->apart = each * fold;
        c->op->corr(src, fold, taps, out, fold, each, parts * fold);
        src += parts * each * fold * c->size, out += parts * each * fold * c->size;
        cols -= parts * each * fold, rows -= parts * each;
        taps->apart = 0;
    }
    ptrdiff_t whole = rows * fold * c->size;
    if (rows > 0)
        c->op->corr(src, fold, taps, out, fold, rows, fold);
    if (cols > rows * fold)
        c->op->corr(src + whole, fold, taps, out + whole, fold, 1, cols - rows * fold);
}

void fc_direct_compute(const call *c, const scratch *s, const patch *p)
{
    (void)s;
    const fc_axis *axis = &c->g->axis[ROWS];
    fc_taps taps = c->direct.taps;
    taps.at = p->r->at;
    if (c->direct.fold) {
        for (ptrdiff_t i = 0; i < p->rows; i++)
            direct_folded(c, &taps, p->src + i * axis->stride * p->r->row * c->size, p->out + i * p->out_row * c->size,
                          p->cols);
        return;
    }
    /* a dilation d of dense rows: d images, of every d-th row */
    ptrdiff_t images = axis->stride == 1 ? axis->dilation : 1, step = axis->stride == 1 ? axis->dilation : axis->stride;
    for (ptrdiff_t i = 0; i < images && i < p->rows; i++)
        c->op->corr(p->src + i * p->r->row * c->size, step * p->r->row, &taps, p->out + i * p->out_row * c->size,
                    images * p->out_row, parts_of(p->rows - i, images), p->cols);
}

static void direct_compute_turned(const call *c, const scratch *s, const patch *p)
{
    (void)s;
    c->op->corr(p->src, p->r->row, &c->direct.turned, p->out, p->out_row, p->cols, p->rows);
}

const method fc_direct = {.prepare = fc_direct_prepare,
                          .tables = fc_direct_tables,
                          .retap = fc_direct_retap,
                          .compute = fc_direct_compute,
                          .turned = direct_compute_turned};

/* ---- ordered ----------------------------------------------------------------------------------- */

/* The taps that are not zero (or one, if all of them are), and where they lie in tiles */
static void ordered_tables(call *c, fc_room *r)
{
    const fc_axis *axis = c->g->axis;
    ptrdiff_t all = times(times(axis[DEPTH].k, axis[ROWS].k), axis[COLS].k), listed = 0;
    ptrdiff_t *at = fc_part(r, "taps in tiles", all, sizeof *at);
    char *weights = fc_part(r, "taps", all, c->size);
    if (!r->block)
        return;
    double w;
    for (ptrdiff_t z = 0; z < axis[DEPTH].k; z++)
        for (ptrdiff_t a = 0; a < axis[ROWS].k; a++)
            for (ptrdiff_t b = 0; b < axis[COLS].k; b++) {
                memcpy(&w, c->g->k + z * axis[DEPTH].k_step + a * axis[ROWS].k_step + b * axis[COLS].k_step, sizeof w);
                if (w == 0 && listed > 0)
                    continue;
                at[listed] = direct_offset(c, &c->tile, a, z, b);
                memcpy(weights + listed * c->size, &w, sizeof w);
                listed += w != 0;
            }
    c->ordered = (fc_order){.w = weights, .at = at, .taps = max(listed, 1), .unit = 1};
}

static void ordered_compute(const call *c, const scratch *s, const patch *p)
{
    (void)s;
    c->op->ordered(p->src, p->r->row, &c->ordered, p->out, p->out_row, p->rows, p->cols);
}

const method fc_ordered = {.reads_tiles = 1, .tables = ordered_tables, .compute = ordered_compute};
