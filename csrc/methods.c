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
#include "call.h"
#include <string.h>

enum { WORK_ROWS = 32, WORK_COLS = 1024 };

/* ---- taps ------------------------------------------------------------------------------------- */

/* Columns of the rows that a 1-D signal is folded into: one vector, which each load of taps then meets as often as the
 * kernel has rows; or for kernels of one row, a strip. 0: not at all */
static ptrdiff_t best_fold(const call *c)
{
    const fc_axis *cols = &c->g->axis[COLS];
    ptrdiff_t lanes = c->fc->vector_bytes / c->size, rows = (cols->k + lanes - 1) / lanes;
    if (c->gemm == NULL || c->g->axis[DEPTH].k > 1 || c->g->axis[ROWS].k > 1 || cols->stride > 1 ||
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

ptrdiff_t *fc_room_for_taps(call *c, size_t taps, char *small, size_t small_bytes)
{
    size_t bytes;
    if (__builtin_mul_overflow(taps, sizeof(ptrdiff_t) + sizeof(double), &bytes))
        return NULL;
    ptrdiff_t *at = (ptrdiff_t *)(void *)(bytes <= small_bytes ? small : fc_alloc(bytes, 1));
    c->user.at = c->tile.at = at;
    return at;
}

static int prepare_order(call *c, char *small, size_t small_bytes)
{
    const fc_axis *axis = c->g->axis;
    size_t taps;
    if (__builtin_mul_overflow((size_t)axis[DEPTH].k, (size_t)axis[ROWS].k, &taps) ||
        __builtin_mul_overflow(taps, (size_t)axis[COLS].k, &taps))
        return -1;
    ptrdiff_t *at = fc_room_for_taps(c, taps, small, small_bytes);
    if (!at)
        return -1;
    list_taps(c, at, (char *)(at + taps));
    return 0;
}

int fc_prepare_method(call *c, char *small, size_t small_bytes)
{
    if (c->g->method == FC_SEPARABLE || c->g->method == FC_BOX)
        return 0;
    if (c->g->method == FC_ORDERED)
        return prepare_order(c, small, small_bytes);
    if (c->g->method == FC_LINES)
        return fc_prepare_lines(c, small, small_bytes);
    shape_taps(c);
    size_t columns = (size_t)(c->taps.full + c->taps.part), count, bytes, offsets;
    if (__builtin_mul_overflow(columns, (size_t)c->taps.h, &count) || /* k may be broadcast from one element */
        __builtin_mul_overflow(count, (size_t)c->size, &bytes) ||
        __builtin_mul_overflow(columns, 2 * sizeof(ptrdiff_t), &offsets) || __builtin_add_overflow(bytes, offsets, &bytes))
        return -1;
    char *p = bytes <= small_bytes ? small : fc_alloc(bytes, 1);
    if (!p)
        return -1;
    ptrdiff_t *user = (ptrdiff_t *)(void *)p, *tile = user + columns;
    fill_offsets(c, &c->user, user);
    fill_offsets(c, &c->tile, tile);
    pack_taps(c, p + offsets);
    c->user.at = user;
    c->tile.at = tile;
    c->taps.k = p + offsets;
    return 0;
}

void fc_release_method(call *c, const char *small)
{
    if (c->user.at && (const char *)c->user.at != small)
        fc_free((void *)c->user.at);
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
            c->corr(src, fold, taps, out, fold, each, parts * fold);
            src += parts * each * fold * c->size, out += parts * each * fold * c->size;
            cols -= parts * each * fold, rows -= parts * each;
            taps->apart = 0;
        }
    }
    ptrdiff_t whole = rows * fold * c->size;
    if (rows > 0)
        c->corr(src, fold, taps, out, fold, rows, fold);
    if (cols > rows * fold)
        c->corr(src + whole, fold, taps, out + whole, fold, 1, cols - rows * fold);
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
        c->corr(src + i * r->row * c->size, step * r->row, &taps, out + i * out_row * c->size, images * out_row,
                (rows - i + images - 1) / images, cols);
}

/* ---- im2col ----------------------------------------------------------------------------------- */

static size_t taps_bytes(const call *c)
{
    return (2 * (size_t)c->taps.full * sizeof(ptrdiff_t) + LINE - 1) / LINE * LINE;
}

/* panel[t][p] = element under tap t of output p, a panel of one row of outputs at a time; then taps times panel */
static void by_im2col(const call *c, char *work, const rows_of *r, const char *src, char *out, ptrdiff_t out_row,
                      ptrdiff_t rows, ptrdiff_t cols)
{
    ptrdiff_t taps = c->taps.full, lanes = c->fc->vector_bytes / c->size, width = c->fc->cols_of[1] * lanes;
    ptrdiff_t *b_at = (ptrdiff_t *)(void *)work, *a_at = b_at + taps;
    char *panel = work + taps_bytes(c);
    for (ptrdiff_t t = 0; t < taps; t++)
        a_at[t] = t, b_at[t] = t * width;
    fc_panel p = {.vectors = c->fc->cols_of[1]};
    for (ptrdiff_t v = 0; v < p.vectors; v++)
        p.b[v] = p.c[v] = v * lanes;
    fc_gemm g = {.a = c->taps.k, .as = taps, .rows = 1, .depth = taps, .b = panel, .a_at = a_at, .b_at = b_at, .panel = &p, .panels = 1};
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < cols; j += width) {
            ptrdiff_t n = min(width, cols - j);
            const char *from = src + (i * c->g->axis[ROWS].stride * r->row + j) * c->size;
            for (ptrdiff_t t = 0; t < taps; t++)
                memcpy(panel + t * width * c->size, from + r->at[t] * c->size, (size_t)(n * c->size));
            for (ptrdiff_t v = 0; v < p.vectors; v++)
                p.lanes[v] = n - v * lanes;
            g.c = out + (i * out_row + j) * c->size;
            c->gemm(&g);
        }
}

/* ---- separable -------------------------------------------------------------------------------- */

static ptrdiff_t work_row(const call *c) /* elements, padded: rows 4096 bytes apart would share cache sets */
{
    return WORK_COLS + reach(&c->g->axis[COLS], 1) + LINE / c->size;
}
static ptrdiff_t work_rows(const call *c)
{
    return WORK_ROWS + reach(&c->g->axis[ROWS], 1);
}

/* One factor along one axis: h tap rows `step` rows apart, or w columns `step` elements apart. */
static void along_rows(const call *c, const char *factor, const char *src, ptrdiff_t row, char *out, ptrdiff_t out_row,
                       ptrdiff_t rows, ptrdiff_t cols)
{
    static const ptrdiff_t here[] = {0};
    const fc_axis *a = &c->g->axis[ROWS];
    fc_taps taps = {.h = a->k, .full = 1, .at = here, .k = factor};
    for (ptrdiff_t i = 0; i < a->dilation && i < rows; i++)
        c->corr(src + i * row * c->size, a->dilation * row, &taps, out + i * out_row * c->size, a->dilation * out_row,
                (rows - i + a->dilation - 1) / a->dilation, cols);
}
static void along_columns(const call *c, const char *factors, ptrdiff_t n, const ptrdiff_t *at, const char *src,
                          ptrdiff_t row, char *out, ptrdiff_t out_row, ptrdiff_t rows, ptrdiff_t cols)
{
    fc_taps taps = {.h = 1, .full = n, .at = at, .k = factors};
    c->corr(src, row, &taps, out, out_row, rows, cols);
}

/* A block of at most WORK_ROWS x WORK_COLS outputs. Work: [depth sums], row sums of every term, offsets. */
static void separable_block(const call *c, const scratch *s, const rows_of *r, const char *src, char *out,
                            ptrdiff_t out_row, ptrdiff_t rows, ptrdiff_t cols)
{
    const fc_axis *axis = c->g->axis;
    ptrdiff_t depth = axis[DEPTH].k, w = axis[COLS].k, terms = c->g->terms, wide = work_row(c);
    ptrdiff_t *at = (ptrdiff_t *)(void *)s->work;
    char *sums = s->work + ((terms * w + depth) * (ptrdiff_t)sizeof *at + LINE - 1) / LINE * LINE;
    char *planes = sums + terms * WORK_ROWS * wide * c->size;
    ptrdiff_t tall = rows + reach(&axis[ROWS], 1) - 1, broad = cols + reach(&axis[COLS], 1) - 1;
    for (ptrdiff_t t = 0; t < terms; t++) {
        const char *from = src;
        ptrdiff_t row = r->row;
        if (depth > 1) {
            for (ptrdiff_t z = 0; z < depth; z++)
                at[z] = z * axis[DEPTH].dilation * r->plane;
            along_columns(c, c->g->factor[DEPTH] + t * depth * c->size, depth, at, src, r->row, planes, wide, tall, broad);
            from = planes;
            row = wide;
        }
        along_rows(c, c->g->factor[ROWS] + t * axis[ROWS].k * c->size, from, row, sums + t * WORK_ROWS * wide * c->size,
                   wide, rows, broad);
    }
    for (ptrdiff_t t = 0; t < terms * w; t++)
        at[t] = t / w * WORK_ROWS * wide + t % w * axis[COLS].dilation;
    along_columns(c, c->g->factor[COLS], terms * w, at, sums, wide, out, out_row, rows, cols);
}

static void by_separable(const call *c, const scratch *s, const rows_of *r, const char *src, char *out,
                         ptrdiff_t out_row, ptrdiff_t rows, ptrdiff_t cols)
{
    for (ptrdiff_t i = 0; i < rows; i += WORK_ROWS)
        for (ptrdiff_t j = 0; j < cols; j += WORK_COLS)
            separable_block(c, s, r, src + (i * r->row + j) * c->size, out + (i * out_row + j) * c->size, out_row,
                            min(WORK_ROWS, rows - i), min(WORK_COLS, cols - j));
}

/* ---- any -------------------------------------------------------------------------------------- */

size_t fc_method_work(const call *c)
{
    const fc_axis *axis = c->g->axis;
    size_t bytes = 0, line;
    if (c->g->method == FC_IM2COL) {
        size_t row = (size_t)(c->fc->cols_of[1] * c->fc->vector_bytes);
        if (__builtin_mul_overflow((size_t)c->taps.full, row, &bytes) ||
            __builtin_add_overflow(bytes, taps_bytes(c), &bytes))
            return SIZE_MAX;
    }
    if (c->g->method == FC_FFT)
        return fc_fft_work(c);
    if (c->g->method == FC_BOX)
        return fc_box_work(c);
    if (c->g->method == FC_LINES)
        return fc_lines_work(c);
    if (c->g->method == FC_SEPARABLE) {
        size_t rows = (size_t)c->g->terms * WORK_ROWS + (axis[DEPTH].k > 1 ? (size_t)work_rows(c) : 0);
        line = (size_t)(work_row(c) * c->size);
        size_t offsets = (size_t)(c->g->terms * axis[COLS].k + axis[DEPTH].k) * sizeof(ptrdiff_t) + LINE;
        if (__builtin_mul_overflow(rows, line, &bytes) || __builtin_add_overflow(bytes, offsets, &bytes))
            return SIZE_MAX;
    }
    return bytes;
}

void fc_by_method(const call *c, const scratch *s, const rows_of *r, const char *src, ptrdiff_t row, ptrdiff_t col,
                  char *out, ptrdiff_t out_row, ptrdiff_t rows, ptrdiff_t cols)
{
    const fc_axis *axis = c->g->axis;
    if (c->g->method == FC_BOX)
        fc_by_box(c, s->work, r, src, axis[ROWS].start + row, axis[COLS].start + col, out, out_row, rows, cols);
    else if (c->g->method == FC_ORDERED)
        c->ordered(src, r->row, &c->order[0], out, out_row, rows, cols);
    else if (c->g->method == FC_LINES)
        fc_by_lines(c, s, r, src, row, col, out, out_row, rows, cols);
    else if (c->g->method == FC_IM2COL)
        by_im2col(c, s->work, r, src, out, out_row, rows, cols);
    else if (c->g->method == FC_SEPARABLE)
        by_separable(c, s, r, src, out, out_row, rows, cols);
    else
        by_direct(c, r, src, out, out_row, rows, cols);
}
