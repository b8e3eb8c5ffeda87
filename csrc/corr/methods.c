/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The methods: rows x cols outputs of one plane, from rows whose columns are adjacent.
 *
 *   direct     K3 slides over the rows. What K3 calls tap rows and tap columns depends on the axes:
 *
 *     rows of stride 1        tap rows a, columns (c, b); a row dilation d makes d interleaved images
 *     row stride s            the s rows from one window to the next are one long row: tap row q, columns
 *                             (p, c, b), tap a = q s + p. The last tap row may lack its last p
 *     stride and dilation     one tap row, columns (a, c, b)
 *     1-D                     the signal is folded into rows of R elements, one vector: out[m R + j] needs
 *                             x[(m + q) R + p + j], so tap row q, column p, tap b = q R + p; the last tap row lacks
 *                             its last p
 *
 *              Each output is the sum over (a, c, b) in this order, so its bits do not depend on any of this.
 *
 *   im2col     the columns of a panel are windows; the taps times the panel (K1). Same order, same bits.
 *
 *   box        in box.c
 *
 *   fft        in overlap.c; what it cannot do (values that are not finite) is done directly
 *
 *   ordered    taps in the order (c, a, b), zeros left out, from gathered tiles, without fma
 *
 *   lines      in lines.c
 *
 *   separable  k = sum over terms of factors; depth, rows, columns one after the other, through scratch
 */
#include "corr/call.h"
#include <string.h>

/* ---- taps ------------------------------------------------------------------------------------- */

/* Columns of the rows that a 1-D signal is folded into: one vector, which each load of taps then meets as often as the
 * kernel has rows; or for kernels of one row, a strip. 0: not at all */
static ptrdiff_t best_fold(const call *c)
{
    const fc_axis *cols = &c->g->axis[COLS];
    ptrdiff_t lanes = c->fc->vector_bytes / c->size, rows = (cols->k + lanes - 1) / lanes;
    if (c->op->gemm == NULL || c->g->axis[DEPTH].k > 1 || c->g->axis[ROWS].k > 1 || cols->stride > 1 ||
        cols->dilation > 1)
        return 0;
    ptrdiff_t fold = rows == 1 ? c->fc->cols_of[1] * lanes : lanes;
    return cols->out >= 4 * rows * fold ? fold : 0;
}

/* Shape of the taps as K3 takes them. */
static void shape_taps(call *c)
{
    const fc_axis *axis = c->g->axis;
    ptrdiff_t depth = axis[DEPTH].k, w = axis[COLS].k, h = axis[ROWS].k, s = axis[ROWS].stride;
    c->fold = c->g->method == FC_IM2COL ? 0 : best_fold(c);
    c->flat = c->g->method == FC_IM2COL || (s > 1 && axis[ROWS].dilation > 1);
    ptrdiff_t long_row = c->fold ? c->fold : c->flat ? h : s; /* in taps of a fold, or tap rows */
    ptrdiff_t taps = c->fold ? w : h, each = c->fold ? 1 : depth * w;
    c->taps.h = (taps + long_row - 1) / long_row;
    c->taps.full = (taps - (c->taps.h - 1) * long_row) * each;
    c->taps.part = c->taps.h > 1 ? long_row * each - c->taps.full : 0;
}

/* Where tap (a, c, b) lies in rows of this layout, beyond the row that K3 counts from */
static ptrdiff_t tap_offset(const call *c, const rows_of *r, ptrdiff_t a, ptrdiff_t z, ptrdiff_t b)
{
    const fc_axis *axis = c->g->axis, *cols = &axis[COLS];
    ptrdiff_t column = b * cols->dilation;
    if (cols->stride > 1) /* gathered: by phases */
        column = column % cols->stride * c->phase + column / cols->stride;
    return a * axis[ROWS].dilation * r->row + z * axis[DEPTH].dilation * r->plane + column;
}

static void fill_offsets(const call *c, const rows_of *r, ptrdiff_t *at)
{
    const fc_axis *axis = c->g->axis;
    ptrdiff_t columns = c->taps.full + c->taps.part, per_row = axis[DEPTH].k * axis[COLS].k;
    for (ptrdiff_t t = 0; t < columns; t++)
        if (c->fold)
            at[t] = t;
        else
            at[t] = tap_offset(c, r, t / per_row, t % per_row / axis[COLS].k, t % axis[COLS].k);
}

/* Column by column (kernels.h, K3), from the user's strides */
static void pack_taps(const call *c, char *taps)
{
    const fc_axis *axis = c->g->axis;
    ptrdiff_t columns = c->taps.full + c->taps.part, h = c->taps.h, per_row = axis[DEPTH].k * axis[COLS].k;
    for (ptrdiff_t t = 0; t < columns; t++) {
        ptrdiff_t rows = t < c->taps.full ? h : h - 1;
        const char *from = c->g->k;
        ptrdiff_t step;
        if (c->fold) {
            from += t * axis[COLS].k_step;
            step = columns * axis[COLS].k_step;
        } else {
            from += t / per_row * axis[ROWS].k_step + t % per_row / axis[COLS].k * axis[DEPTH].k_step +
                    t % axis[COLS].k * axis[COLS].k_step;
            step = axis[ROWS].stride * axis[ROWS].k_step;
        }
        fc_copy_row(taps + t * h * c->size, c->size, from, step, rows, c->size);
    }
}

/* FC_ORDERED: the taps that are not zero (or one, if all of them are), and where they lie in tiles */
static void list_taps(call *c, ptrdiff_t *at, char *weights)
{
    const fc_axis *axis = c->g->axis;
    ptrdiff_t listed = 0;
    double w;
    for (ptrdiff_t z = 0; z < axis[DEPTH].k; z++)
        for (ptrdiff_t a = 0; a < axis[ROWS].k; a++)
            for (ptrdiff_t b = 0; b < axis[COLS].k; b++) {
                memcpy(&w, c->g->k + z * axis[DEPTH].k_step + a * axis[ROWS].k_step + b * axis[COLS].k_step, sizeof w);
                if (w == 0 && listed > 0)
                    continue;
                at[listed] = tap_offset(c, &c->tile, a, z, b);
                memcpy(weights + listed * c->size, &w, sizeof w);
                listed += w != 0;
            }
    c->order[0] = (fc_order){.w = weights, .at = at, .taps = max(listed, 1), .unit = 1};
}

/* Tables of taps: where they lie in x and in tiles, and their values */
typedef struct {
    ptrdiff_t *user, *tile;
    char *taps;
} tables;

static tables lay_tables(const call *c, fc_room *r)
{
    const fc_axis *axis = c->g->axis;
    ptrdiff_t listed = c->taps.full + c->taps.part, values = times(listed, c->taps.h);
    tables t = {0};
    if (c->g->method == FC_ORDERED)
        listed = values = times(times(axis[DEPTH].k, axis[ROWS].k), axis[COLS].k);
    else if (c->g->method == FC_LINES)
        listed = values = plus(c->g->line[ROWS].w ? axis[ROWS].k : 0, c->g->line[COLS].w ? axis[COLS].k : 0);
    else
        t.user = fc_part(r, "taps in x", listed, sizeof *t.user);
    t.tile = fc_part(r, "taps in tiles", listed, sizeof *t.tile);
    t.taps = fc_part(r, "taps", values, c->size); /* k may be broadcast from one element */
    return t;
}

int fc_prepare_method(call *c)
{
    if (c->g->method == FC_DIRECT || c->g->method == FC_IM2COL || c->g->method == FC_FFT)
        shape_taps(c);
    return c->g->method == FC_FFT ? fc_prepare_fft(c) : 0;
}

int fc_place_taps(call *c, char *small, ptrdiff_t small_bytes)
{
    if (c->g->method == FC_SEPARABLE || c->g->method == FC_BOX)
        return 0;
    fc_room r = {0};
    lay_tables(c, &r);
    c->tables.block = r.bytes <= small_bytes ? small : fc_alloc(1, (size_t)r.bytes);
    if (!c->tables.block)
        return -1;
    tables t = lay_tables(c, &c->tables);
    if (c->g->method == FC_ORDERED)
        list_taps(c, t.tile, t.taps);
    else if (c->g->method == FC_LINES)
        fc_place_lines(c, t.tile, t.taps);
    else {
        if (c->has_interior)
            fill_offsets(c, &c->user, t.user);
        fill_offsets(c, &c->tile, t.tile);
        pack_taps(c, t.taps);
        c->user.at = t.user, c->tile.at = t.tile, c->taps.k = t.taps;
    }
    return 0;
}

void fc_release_taps(call *c, const char *small)
{
    fc_close(&c->tables);
    if (c->tables.block != small)
        fc_free(c->tables.block);
}

/* ---- direct ----------------------------------------------------------------------------------- */

/* A signal: V parts of as many rows side by side; then the rows that are left, and the end of a row */
static void by_folding(const call *c, fc_taps *taps, const char *src, char *out, ptrdiff_t cols)
{
    const fc_kernels *fc = c->fc;
    ptrdiff_t fold = c->fold, rows = cols / fold, vectors = fold * c->size / fc->vector_bytes;
    if (vectors == 1) {
        ptrdiff_t h = taps->h, slices = h <= fc->tall ? 1 : (h + fc->rows - 1) / fc->rows, H = (h + slices - 1) / slices;
        ptrdiff_t parts = fc->cols_of[H] * (h % slices == 0 ? 1 : fc->cols_of[H - 1]), each = rows / parts;
        if (each >= 4 * taps->h) {
            taps->apart = each * fold;
            c->op->corr(src, fold, taps, out, fold, each, parts * fold);
            src += parts * each * fold * c->size, out += parts * each * fold * c->size;
            cols -= parts * each * fold, rows -= parts * each;
            taps->apart = 0;
        }
    }
    ptrdiff_t whole = rows * fold * c->size;
    if (rows > 0)
        c->op->corr(src, fold, taps, out, fold, rows, fold);
    if (cols > rows * fold)
        c->op->corr(src + whole, fold, taps, out + whole, fold, 1, cols - rows * fold);
}

static void by_direct(const call *c, const rows_of *r, const char *src, char *out, ptrdiff_t out_row,
                      ptrdiff_t rows, ptrdiff_t cols)
{
    const fc_axis *axis = &c->g->axis[ROWS];
    fc_taps taps = c->taps;
    taps.at = r->at;
    if (c->fold) {
        taps.stream = 0;
        for (; rows > 0; rows--, src += axis->stride * r->row * c->size, out += out_row * c->size)
            by_folding(c, &taps, src, out, cols);
        return;
    }
    /* a dilation d of dense rows: d images, of every d-th row */
    ptrdiff_t images = axis->stride == 1 ? axis->dilation : 1, step = axis->stride == 1 ? axis->dilation : axis->stride;
    for (ptrdiff_t i = 0; i < images && i < rows; i++)
        c->op->corr(src + i * r->row * c->size, step * r->row, &taps, out + i * out_row * c->size, images * out_row,
                (rows - i + images - 1) / images, cols);
}

/* ---- im2col ----------------------------------------------------------------------------------- */

static ptrdiff_t panel_width(const call *c)
{
    return c->fc->cols_of[1] * c->fc->vector_bytes / c->size;
}

static void im2col_parts(const call *c, fc_room *r, scratch *s)
{
    s->at = fc_part(r, "taps of a row", c->taps.full, sizeof *s->at);
    s->panel_at = fc_part(r, "taps of a panel", c->taps.full, sizeof *s->panel_at);
    s->panel = fc_part(r, "panel", times(c->taps.full, panel_width(c)), c->size);
}

/* panel[t][p] = element under tap t of output p, a panel of one row of outputs at a time; then taps times panel */
static void by_im2col(const call *c, const scratch *s, const rows_of *r, const char *src, char *out, ptrdiff_t out_row,
                      ptrdiff_t rows, ptrdiff_t cols)
{
    ptrdiff_t taps = c->taps.full, lanes = c->fc->vector_bytes / c->size, width = panel_width(c);
    for (ptrdiff_t t = 0; t < taps; t++)
        s->at[t] = t, s->panel_at[t] = t * width;
    fc_panel p = {.vectors = c->fc->cols_of[1]};
    for (ptrdiff_t v = 0; v < p.vectors; v++)
        p.b[v] = p.c[v] = v * lanes;
    fc_gemm g = {.a = c->taps.k, .as = taps, .rows = 1, .depth = taps, .b = s->panel, .a_at = s->at, .b_at = s->panel_at, .panel = &p, .panels = 1};
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < cols; j += width) {
            ptrdiff_t n = min(width, cols - j);
            const char *from = src + (i * c->g->axis[ROWS].stride * r->row + j) * c->size;
            for (ptrdiff_t t = 0; t < taps; t++)
                memcpy(s->panel + t * width * c->size, from + r->at[t] * c->size, (size_t)(n * c->size));
            for (ptrdiff_t v = 0; v < p.vectors; v++)
                p.lanes[v] = n - v * lanes;
            g.c = out + (i * out_row + j) * c->size;
            c->op->gemm(&g);
        }
}

/* ---- separable -------------------------------------------------------------------------------- */

static ptrdiff_t work_row(const call *c) /* elements, padded: rows 4096 bytes apart would share cache sets */
{
    return plus(reach(&c->g->axis[COLS], SEPARABLE_COLS), LINE / c->size + 1);
}

static void separable_parts(const call *c, fc_room *r, scratch *s)
{
    const fc_axis *axis = c->g->axis;
    ptrdiff_t terms = c->g->terms, wide = work_row(c);
    s->at = fc_part(r, "taps", max(times(terms, axis[COLS].k), axis[DEPTH].k), sizeof *s->at);
    s->sums = fc_part(r, "sums", times(times(terms, SEPARABLE_ROWS), wide), c->size);
    if (axis[DEPTH].k > 1)
        s->planes = fc_part(r, "planes", times(reach(&axis[ROWS], SEPARABLE_ROWS), wide), c->size);
}

/* One factor along one axis: h tap rows `step` rows apart, or w columns `step` elements apart. */
static void along_rows(const call *c, const char *factor, const char *src, ptrdiff_t row, char *out, ptrdiff_t out_row,
                       ptrdiff_t rows, ptrdiff_t cols)
{
    static const ptrdiff_t here[] = {0};
    const fc_axis *a = &c->g->axis[ROWS];
    fc_taps taps = {.h = a->k, .full = 1, .at = here, .k = factor};
    for (ptrdiff_t i = 0; i < a->dilation && i < rows; i++)
        c->op->corr(src + i * row * c->size, a->dilation * row, &taps, out + i * out_row * c->size, a->dilation * out_row,
                (rows - i + a->dilation - 1) / a->dilation, cols);
}
static void along_columns(const call *c, const char *factors, ptrdiff_t n, const ptrdiff_t *at, const char *src,
                          ptrdiff_t row, char *out, ptrdiff_t out_row, ptrdiff_t rows, ptrdiff_t cols)
{
    fc_taps taps = {.h = 1, .full = n, .at = at, .k = factors};
    c->op->corr(src, row, &taps, out, out_row, rows, cols);
}

/* A block of at most SEPARABLE_ROWS x SEPARABLE_COLS outputs */
static void separable_block(const call *c, const scratch *s, const rows_of *r, const char *src, char *out,
                            ptrdiff_t out_row, ptrdiff_t rows, ptrdiff_t cols)
{
    const fc_axis *axis = c->g->axis;
    ptrdiff_t depth = axis[DEPTH].k, w = axis[COLS].k, terms = c->g->terms, wide = work_row(c);
    ptrdiff_t *at = s->at;
    ptrdiff_t tall = rows + reach(&axis[ROWS], 1) - 1, broad = cols + reach(&axis[COLS], 1) - 1;
    for (ptrdiff_t t = 0; t < terms; t++) {
        const char *from = src;
        ptrdiff_t row = r->row;
        if (depth > 1) {
            for (ptrdiff_t z = 0; z < depth; z++)
                at[z] = z * axis[DEPTH].dilation * r->plane;
            along_columns(c, c->g->factor[DEPTH] + t * depth * c->size, depth, at, src, r->row, s->planes, wide, tall, broad);
            from = s->planes;
            row = wide;
        }
        along_rows(c, c->g->factor[ROWS] + t * axis[ROWS].k * c->size, from, row, s->sums + t * SEPARABLE_ROWS * wide * c->size,
                   wide, rows, broad);
    }
    for (ptrdiff_t t = 0; t < terms * w; t++)
        at[t] = t / w * SEPARABLE_ROWS * wide + t % w * axis[COLS].dilation;
    along_columns(c, c->g->factor[COLS], terms * w, at, s->sums, wide, out, out_row, rows, cols);
}

static void by_separable(const call *c, const scratch *s, const rows_of *r, const char *src, char *out,
                         ptrdiff_t out_row, ptrdiff_t rows, ptrdiff_t cols)
{
    for (ptrdiff_t i = 0; i < rows; i += SEPARABLE_ROWS)
        for (ptrdiff_t j = 0; j < cols; j += SEPARABLE_COLS)
            separable_block(c, s, r, src + (i * r->row + j) * c->size, out + (i * out_row + j) * c->size, out_row,
                            min(SEPARABLE_ROWS, rows - i), min(SEPARABLE_COLS, cols - j));
}

/* ---- any -------------------------------------------------------------------------------------- */

void fc_method_parts(const call *c, fc_room *r, scratch *s)
{
    if (c->g->method == FC_IM2COL)
        im2col_parts(c, r, s);
    else if (c->g->method == FC_SEPARABLE)
        separable_parts(c, r, s);
    else if (c->g->method == FC_FFT)
        fc_fft_parts(c, r, s);
    else if (c->g->method == FC_BOX)
        fc_box_parts(c, r, s);
    else if (c->g->method == FC_LINES)
        fc_lines_parts(c, r, s);
}

void fc_by_method(const call *c, const scratch *s, const rows_of *r, const char *src, ptrdiff_t row, ptrdiff_t col,
                  char *out, ptrdiff_t out_row, ptrdiff_t rows, ptrdiff_t cols)
{
    const fc_axis *axis = c->g->axis;
    if (c->g->method == FC_BOX)
        fc_by_box(c, s, r, src, axis[ROWS].start + row, axis[COLS].start + col, out, out_row, rows, cols);
    else if (c->g->method == FC_ORDERED)
        c->op->ordered(src, r->row, &c->order[0], out, out_row, rows, cols);
    else if (c->g->method == FC_LINES)
        fc_by_lines(c, s, r, src, row, col, out, out_row, rows, cols);
    else if (c->g->method == FC_IM2COL)
        by_im2col(c, s, r, src, out, out_row, rows, cols);
    else if (c->g->method == FC_SEPARABLE)
        by_separable(c, s, r, src, out, out_row, rows, cols);
    else
        by_direct(c, r, src, out, out_row, rows, cols);
}
