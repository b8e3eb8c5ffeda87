/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The driver of 2-D correlation: cuts the output into chunks for the threads, and every chunk into
 *
 *            j0     left'                    right'    j1       left' ... right': columns, and
 *        i0  +--------------------------------------+           top' ... bottom': rows
 *            |               bordered               |           whose windows lie inside x
 *      top'  +--------+---------------------+-------+
 *            |bordered|      interior       |bord.  |
 *   bottom'  +--------+---------------------+-------+
 *            |               bordered               |
 *        i1  +--------------------------------------+
 *
 * Interior: the micro-kernel reads the user's array as it is. Bordered: a tile and its halo are gathered
 * into scratch with the boundary applied and the same micro-kernel reads that, so the cost is that of the
 * perimeter and no kernel knows of boundaries. An array whose columns are not adjacent aligned elements
 * is gathered tile by tile throughout. Likewise out: tiles go through scratch only where its columns are
 * not adjacent. No image is ever copied as a whole.
 */
#include "fastconv.h"
#include <stdint.h>
#include <string.h>

enum {
    TILE_ROWS = 64,    /* scratch tile: with its halo it stays in L2 */
    TILE_COLS = 512,
    BLOCK_COLS = 8192, /* a chunk is a band of rows x a block of columns */
    MIN_BAND_ROWS = 32,
    PANEL_BYTES = 1 << 17,
    SMALL = 1024,      /* bytes of packed taps that live on the stack */
};

static ptrdiff_t band_rows = FC_BAND_ROWS;
static double threads_from_us = FC_THREADS_FROM_US;

void fc_tune(ptrdiff_t rows, double us)
{
    band_rows = rows;
    threads_from_us = us;
}

static ptrdiff_t min(ptrdiff_t a, ptrdiff_t b)
{
    return a < b ? a : b;
}
static ptrdiff_t clamp(ptrdiff_t v, ptrdiff_t low, ptrdiff_t high)
{
    return v < low ? low : v > high ? high : v;
}
static size_t element_size(const fc_corr2d *g)
{
    return g->type == FC_F32 ? sizeof(float) : sizeof(double);
}

/* ---- plan ------------------------------------------------------------------------------------- */

void fc_corr2d_plan(const fc_corr2d *g, fc_plan *plan)
{
    /* Estimate: two fma a cycle at 3.5 GHz, and 30 GB/s in and out. It only has to tell microseconds
     * from milliseconds. */
    double size = (double)element_size(g), out = (double)g->planes * (double)g->OH * (double)g->OW;
    double fma_us = out * (double)g->h * (double)g->w * size / (7e3 * fc->vector_bytes);
    double memory_us = 2 * out * size / 3e4;
    plan->serial_us = fma_us > memory_us ? fma_us : memory_us;
    ptrdiff_t threads = plan->serial_us < threads_from_us ? 1 : g->threads;

    /* Bands as tall as a strip may be with its rows in cache; two chunks a thread where there are fewer
     * planes, and the same number for each. Bits do not depend on any of this. */
    plan->blocks = (g->OW + BLOCK_COLS - 1) / BLOCK_COLS;
    ptrdiff_t bands = (g->OH + band_rows - 1) / band_rows;
    if (threads > 1 && g->planes < 2 * threads) {
        ptrdiff_t even = ((bands > 2 * threads ? bands : 2 * threads) + threads - 1) / threads * threads;
        bands = clamp(g->OH / MIN_BAND_ROWS, bands, even);
    }
    plan->bands = bands;
    double chunks = (double)g->planes * (double)plan->bands * (double)plan->blocks;
    plan->threads = (int)(threads < chunks ? threads : chunks > 1 ? (ptrdiff_t)chunks : 1);
}

/* ---- boundary --------------------------------------------------------------------------------- */

/* Where X[i] lies in an axis of n >= 1 elements, for any i; -1: the fill value. */
static ptrdiff_t source_index(ptrdiff_t i, ptrdiff_t n, int boundary)
{
    if (i >= 0 && i < n)
        return i;
    ptrdiff_t period;
    switch (boundary) {
    case FC_EDGE:
        return i < 0 ? 0 : n - 1;
    case FC_WRAP:
        i %= n;
        return i < 0 ? i + n : i;
    case FC_REFLECT:
        if (n == 1)
            return 0;
        period = 2 * (n - 1);
        i %= period;
        i = i < 0 ? i + period : i;
        return i < n ? i : period - i;
    case FC_SYMMETRIC:
        period = 2 * n;
        i %= period;
        i = i < 0 ? i + period : i;
        return i < n ? i : period - 1 - i;
    default:
        return -1;
    }
}

/* ---- one call --------------------------------------------------------------------------------- */

typedef struct {
    const fc_corr2d *g;
    fc_plan plan;
    fc_corr_fn *corr;
    fc_gemm_fn *gemm;
    size_t size;           /* of an element */
    const char *taps;      /* packed for the method */
    int x_adjacent, out_adjacent;
    union { float f32; double f64; } fill;
    ptrdiff_t tile_stride; /* elements */
    char *scratch;         /* per thread: tile, output tile, panel, column indices */
    size_t tile_bytes, out_bytes, panel_bytes, thread_bytes;
} call;

typedef struct {
    char *tile, *out, *panel;
    ptrdiff_t *column;
} scratch;

static scratch scratch_of(const call *c, int slot)
{
    char *p = c->scratch + (size_t)slot * c->thread_bytes;
    scratch s = {p, p + c->tile_bytes, p + c->tile_bytes + c->out_bytes,
                 (ptrdiff_t *)(void *)(p + c->tile_bytes + c->out_bytes + c->panel_bytes)};
    return s;
}

/* n elements of `size` bytes, from and to any strides */
static void copy_row(char *to, ptrdiff_t to_step, const char *from, ptrdiff_t from_step, ptrdiff_t n, size_t size)
{
    if (to_step == (ptrdiff_t)size && from_step == (ptrdiff_t)size)
        memcpy(to, from, (size_t)n * size);
    else if (size == 4)
        for (; n > 0; n--, to += to_step, from += from_step)
            memcpy(to, from, 4);
    else
        for (; n > 0; n--, to += to_step, from += from_step)
            memcpy(to, from, 8);
}

/* n adjacent elements from the columns of a row, or the fill value where the column is negative */
static void pick_row(char *to, const char *row, ptrdiff_t step, const ptrdiff_t *column, const void *fill,
                     ptrdiff_t n, size_t size)
{
    if (size == 4)
        for (ptrdiff_t q = 0; q < n; q++)
            memcpy(to + 4 * q, column[q] < 0 ? fill : row + column[q] * step, 4);
    else
        for (ptrdiff_t q = 0; q < n; q++)
            memcpy(to + 8 * q, column[q] < 0 ? fill : row + column[q] * step, 8);
}

/* im2col: panel[t][p] = src[i][j + p] at tap t, one row of pixels at a time, then 1 x hw times hw x p */
static void by_im2col(const call *c, char *panel, const char *src, ptrdiff_t src_stride, char *out,
                      ptrdiff_t out_stride, ptrdiff_t rows, ptrdiff_t cols)
{
    ptrdiff_t h = c->g->h, w = c->g->w, size = (ptrdiff_t)c->size;
    ptrdiff_t width = (ptrdiff_t)c->panel_bytes / (h * w * size);
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < cols; j += width) {
            ptrdiff_t n = min(width, cols - j);
            char *to = panel;
            for (ptrdiff_t a = 0; a < h; a++)
                for (ptrdiff_t b = 0; b < w; b++, to += n * size)
                    memcpy(to, src + ((i + a) * src_stride + j + b) * size, (size_t)(n * size));
            c->gemm(c->taps, h * w, panel, n, out + (i * out_stride + j) * size, out_stride, 1, n, h * w);
        }
}

static void by_method(const call *c, const scratch *s, const char *src, ptrdiff_t src_stride, char *out,
                      ptrdiff_t out_stride, ptrdiff_t rows, ptrdiff_t cols)
{
    if (c->g->method == FC_IM2COL)
        by_im2col(c, s->panel, src, src_stride, out, out_stride, rows, cols);
    else
        c->corr(src, src_stride, c->taps, c->g->h, c->g->w, out, out_stride, rows, cols);
}

/* rows x cols outputs from (i, j) on; src: the element under their first window, src_stride elements */
static void compute(const call *c, const scratch *s, ptrdiff_t plane, const char *src, ptrdiff_t src_stride,
                    ptrdiff_t i, ptrdiff_t j, ptrdiff_t rows, ptrdiff_t cols)
{
    const fc_corr2d *g = c->g;
    ptrdiff_t size = (ptrdiff_t)c->size;
    char *out = g->out + plane * g->out_plane + i * g->out_row + j * g->out_col;
    if (c->out_adjacent) {
        by_method(c, s, src, src_stride, out, g->out_row / size, rows, cols);
        return;
    }
    for (ptrdiff_t ti = 0; ti < rows; ti += TILE_ROWS)
        for (ptrdiff_t tj = 0; tj < cols; tj += TILE_COLS) {
            ptrdiff_t m = min(TILE_ROWS, rows - ti), n = min(TILE_COLS, cols - tj);
            by_method(c, s, src + (ti * src_stride + tj) * size, src_stride, s->out, TILE_COLS, m, n);
            for (ptrdiff_t r = 0; r < m; r++)
                copy_row(out + (ti + r) * g->out_row + tj * g->out_col, g->out_col,
                         s->out + r * TILE_COLS * size, size, n, c->size);
        }
}

/* rows x cols elements of X from (i, j) on, which may lie outside x, into the tile */
static void gather(const call *c, const scratch *s, ptrdiff_t plane, ptrdiff_t i, ptrdiff_t j, ptrdiff_t rows,
                   ptrdiff_t cols)
{
    const fc_corr2d *g = c->g;
    ptrdiff_t size = (ptrdiff_t)c->size;
    ptrdiff_t inside = clamp(-j, 0, cols), outside = clamp(g->W - j, inside, cols);
    for (ptrdiff_t q = 0; q < cols; q++)
        if (q < inside || q >= outside)
            s->column[q] = source_index(j + q, g->W, g->boundary);
    for (ptrdiff_t r = 0; r < rows; r++) {
        char *to = s->tile + r * c->tile_stride * size;
        ptrdiff_t from_row = source_index(i + r, g->H, g->boundary);
        if (from_row < 0) {
            copy_row(to, size, (const char *)&c->fill, 0, cols, c->size);
            continue;
        }
        const char *from = g->x + plane * g->x_plane + from_row * g->x_row;
        pick_row(to, from, g->x_col, s->column, &c->fill, inside, c->size);
        copy_row(to + inside * size, size, from + (j + inside) * g->x_col, g->x_col, outside - inside, c->size);
        pick_row(to + outside * size, from, g->x_col, s->column + outside, &c->fill, cols - outside, c->size);
    }
}

static void bordered(const call *c, const scratch *s, ptrdiff_t plane, ptrdiff_t i0, ptrdiff_t i1, ptrdiff_t j0,
                     ptrdiff_t j1)
{
    const fc_corr2d *g = c->g;
    for (ptrdiff_t i = i0; i < i1; i += TILE_ROWS)
        for (ptrdiff_t j = j0; j < j1; j += TILE_COLS) {
            ptrdiff_t rows = min(TILE_ROWS, i1 - i), cols = min(TILE_COLS, j1 - j);
            gather(c, s, plane, i - g->top, j - g->left, rows + g->h - 1, cols + g->w - 1);
            compute(c, s, plane, s->tile, c->tile_stride, i, j, rows, cols);
        }
}

static void chunk(void *context, ptrdiff_t index, int slot)
{
    const call *c = context;
    const fc_corr2d *g = c->g;
    scratch s = scratch_of(c, slot);
    ptrdiff_t block = index % c->plan.blocks, band = index / c->plan.blocks % c->plan.bands;
    ptrdiff_t plane = index / c->plan.blocks / c->plan.bands;
    /* even shares, computed so that no product can overflow */
    ptrdiff_t tall = g->OH / c->plan.bands, rest = g->OH % c->plan.bands;
    ptrdiff_t i0 = band * tall + min(band, rest), i1 = i0 + tall + (band < rest);
    ptrdiff_t j0 = block * BLOCK_COLS, j1 = min(j0 + BLOCK_COLS, g->OW);

    if (!c->x_adjacent) {
        bordered(c, &s, plane, i0, i1, j0, j1);
        return;
    }
    ptrdiff_t top = clamp(g->top, i0, i1), bottom = clamp(g->H - g->h + g->top + 1, top, i1);
    ptrdiff_t left = clamp(g->left, j0, j1), right = clamp(g->W - g->w + g->left + 1, left, j1);
    if (left == right) /* nothing is interior */
        top = bottom;
    bordered(c, &s, plane, i0, top, j0, j1);
    if (top < bottom) {
        bordered(c, &s, plane, top, bottom, j0, left);
        ptrdiff_t size = (ptrdiff_t)c->size;
        const char *src = g->x + plane * g->x_plane + (top - g->top) * g->x_row + (left - g->left) * size;
        compute(c, &s, plane, src, g->x_row / size, top, left, bottom - top, right - left);
        bordered(c, &s, plane, top, bottom, right, j1);
    }
    bordered(c, &s, plane, bottom, i1, j0, j1);
}

/* Columns are adjacent aligned elements, so a micro-kernel can read or write the array itself. (The
 * stride of an axis of length one means nothing.) */
static int adjacent(const char *p, ptrdiff_t planes, ptrdiff_t plane, ptrdiff_t rows, ptrdiff_t row,
                    ptrdiff_t cols, ptrdiff_t col, size_t size)
{
    ptrdiff_t s = (ptrdiff_t)size;
    return (cols == 1 || col == s) && (rows == 1 || row % s == 0) && (planes == 1 || plane % s == 0) &&
           (uintptr_t)p % size == 0;
}

static int needs_tile(const call *c)
{
    const fc_corr2d *g = c->g;
    return !c->x_adjacent || g->top > 0 || g->left > 0 || g->OH - g->top > g->H - g->h + 1 ||
           g->OW - g->left > g->W - g->w + 1;
}

/* Sizes of one thread's scratch; 0 where they do not fit. */
static int size_scratch(call *c)
{
    enum { LINE = 64 };
    const fc_corr2d *g = c->g;
    size_t rows = (size_t)min(TILE_ROWS, g->OH) + (size_t)g->h - 1;
    size_t cols = (size_t)min(TILE_COLS, g->OW) + (size_t)g->w - 1;
    size_t line = LINE / c->size, tile = 0, columns = 0, panel = 0, taps;
    if (needs_tile(c)) {
        size_t stride = (cols + line - 1) / line * line;
        if (stride * c->size % 4096 == 0)
            stride += line; /* rows 4096 bytes apart would share cache sets */
        c->tile_stride = (ptrdiff_t)stride;
        if (__builtin_mul_overflow(rows, stride * c->size, &tile))
            return 0;
        columns = (cols * sizeof(ptrdiff_t) + LINE - 1) / LINE * LINE;
    }
    if (g->method == FC_IM2COL) { /* at least one vector of pixels wide */
        if (__builtin_mul_overflow((size_t)g->h * c->size, (size_t)g->w, &taps) ||
            __builtin_mul_overflow(taps, (size_t)LINE, &panel))
            return 0;
        panel = panel > PANEL_BYTES ? panel : PANEL_BYTES;
    }
    c->tile_bytes = tile;
    c->out_bytes = c->out_adjacent ? 0 : TILE_ROWS * TILE_COLS * c->size;
    c->panel_bytes = panel;
    return !__builtin_add_overflow(tile + columns, c->out_bytes + panel, &c->thread_bytes);
}

/* direct: column by column (kernels.h, K3); im2col: row by row */
static void pack_taps(const call *c, char *taps)
{
    const fc_corr2d *g = c->g;
    ptrdiff_t size = (ptrdiff_t)c->size;
    if (g->method == FC_IM2COL)
        for (ptrdiff_t a = 0; a < g->h; a++)
            copy_row(taps + a * g->w * size, size, g->k + a * g->k_row, g->k_col, g->w, c->size);
    else
        for (ptrdiff_t b = 0; b < g->w; b++)
            copy_row(taps + b * g->h * size, size, g->k + b * g->k_col, g->k_row, g->h, c->size);
}

int fc_corr2d_run(const fc_corr2d *g)
{
    if (g->planes == 0 || g->OH == 0 || g->OW == 0)
        return 0;
    call c = {.g = g, .size = element_size(g)};
    c.corr = g->type == FC_F32 ? fc->corr_f32 : fc->corr_f64;
    c.gemm = g->type == FC_F32 ? fc->gemm_f32 : fc->gemm_f64;
    if (g->type == FC_F32)
        c.fill.f32 = (float)g->fill;
    else
        c.fill.f64 = g->fill;
    c.x_adjacent = adjacent(g->x, g->planes, g->x_plane, g->H, g->x_row, g->W, g->x_col, c.size);
    c.out_adjacent = adjacent(g->out, g->planes, g->out_plane, g->OH, g->out_row, g->OW, g->out_col, c.size);
    fc_corr2d_plan(g, &c.plan);
    if (!size_scratch(&c))
        return -1;

    _Alignas(64) char small[SMALL];
    char *taps = small, *scratch = NULL;
    size_t tap_count;
    if (__builtin_mul_overflow((size_t)g->h, (size_t)g->w, &tap_count)) /* k may be broadcast from one element */
        return -1;
    int heap_taps = tap_count > SMALL / c.size;
    int failed = heap_taps && !(taps = fc_alloc(tap_count, c.size));
    failed = failed || (c.thread_bytes > 0 && !(scratch = fc_alloc((size_t)c.plan.threads, c.thread_bytes)));
    if (!failed) {
        pack_taps(&c, taps);
        c.taps = taps;
        c.scratch = scratch;
        fc_pool_run(c.plan.threads, g->planes * c.plan.bands * c.plan.blocks, chunk, &c);
    }
    fc_free(scratch);
    if (heap_taps)
        fc_free(taps);
    return failed ? -1 : 0;
}
