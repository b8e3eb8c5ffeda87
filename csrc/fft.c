/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Correlation of tiles by Fourier transforms (overlap-save):
 *
 *   y = Y / N,  Y = inverse(forward(x) * conj(forward(k))),  valid where no window wraps round the tile
 *
 * Two tiles are transformed at once, as real and imaginary part of one complex tile z = x0 + sqrt(-1) x1: k is
 * real, so the result is y0 + sqrt(-1) y1. The transform of a tile of n0 x n1:
 *
 *   2-D   along columns (vectors across), transpose, along what were rows; the product; and back
 *   1-D   n = n0 n1 samples are laid out as n0 rows of n1; X[f + n0 g] is the transform along columns (f), times
 *         exp(-2 pi sqrt(-1) i f / n) in column i, transformed along rows (g): the same with a product between
 *         (Gentleman and Sande 1966; Van Loan 1992, section 3.3)
 *
 * Rounding: with unit roundoff u, |error of y| <= c u log2(N) |z|_2 |k|_2, |.|_2 the root of the sum of
 * squares over the tile (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., theorem 24.2: each of the three
 * transforms adds about eta log2(N) relative to the norm of its result, eta some 4 u for twiddles that are exact to
 * a unit); c = 16 leaves room. An error is relative to the tile, not to the output: small outputs beside large ones lose
 * digits.
 */
#include "call.h"
#include <math.h>
#include <string.h>

enum { LEAST = 16, MOST_2D = 512, MOST_1D = 256, L1_BYTES = 48 << 10, L2_BYTES = 3 << 18 };

struct fc_fft {
    int type, signal;       /* signal: 1-D */
    ptrdiff_t size, n[2];
    ptrdiff_t stride[2];    /* of [n0][n1], and of its transpose [n1][n0] */
    char *twiddles[2];      /* of the transform along n0, along n1 */
    char *steps[2];         /* 1-D: the product between, real and imaginary part, [n0][n1] */
    char *spectrum[2];      /* of k: conjugate, over N, transposed */
    fc_fft_fn *fft;
    fc_product_fn *product;
    fc_transpose_fn *transpose;
};

/* Rows 4096 bytes apart would share cache sets. */
static ptrdiff_t padded(ptrdiff_t n, ptrdiff_t size)
{
    return n + LINE / size;
}
static size_t area_bytes(const fc_fft *p) /* of one plane, in either layout */
{
    ptrdiff_t a = p->n[0] * p->stride[0], b = p->n[1] * p->stride[1];
    return (size_t)((a > b ? a : b) * p->size);
}

static void put(const fc_fft *p, char *to, ptrdiff_t at, double value)
{
    if (p->type == FC_F32)
        ((float *)(void *)to)[at] = (float)value;
    else
        ((double *)(void *)to)[at] = value;
}

/* exp(-2 pi sqrt(-1) i / n), by the smallest angle there is, so that symmetric ones agree */
static void root_of_unity(ptrdiff_t i, ptrdiff_t n, double *re, double *im)
{
    ptrdiff_t eighth = 8 * (i %= n) / n, rest = 8 * i - eighth * n; /* eighths of a turn, and 8 n-ths of one */
    double turn = 2 * M_PI / 8 / (double)n;
    double c = eighth % 2 ? sin(turn * (double)(n - rest)) : cos(turn * (double)rest);
    double s = eighth % 2 ? cos(turn * (double)(n - rest)) : sin(turn * (double)rest);
    static const struct { int swap, re, im; } octant[8] = {{0, 1, -1}, {0, 1, -1}, {1, -1, -1}, {1, -1, -1},
                                                           {0, -1, 1}, {0, -1, 1}, {1, 1, 1},   {1, 1, 1}};
    *re = octant[eighth].re * (octant[eighth].swap ? s : c);
    *im = octant[eighth].im * (octant[eighth].swap ? c : s);
}

static ptrdiff_t twiddle_count(ptrdiff_t n)
{
    ptrdiff_t count = 0;
    for (ptrdiff_t L = n; L >= 4; L /= 4)
        count += 6 * (L / 4);
    return count;
}
static void fill_twiddles(const fc_fft *p, char *to, ptrdiff_t n)
{
    ptrdiff_t at = 0;
    for (ptrdiff_t L = n; L >= 4; L /= 4)
        for (ptrdiff_t j = 0; j < L / 4; j++)
            for (ptrdiff_t power = 1; power <= 3; power++) {
                double re, im;
                root_of_unity(power * j, L, &re, &im);
                put(p, to, at++, re);
                put(p, to, at++, im);
            }
}

/* The frequency in row `row` of a forward transform of n */
static ptrdiff_t frequency(ptrdiff_t row, ptrdiff_t n)
{
    ptrdiff_t f = 0, scale = 1;
    for (; n >= 4; n /= 4, scale *= 4) {
        f += row / (n / 4) * scale;
        row %= n / 4;
    }
    return f + row * scale;
}
/* exp(-2 pi sqrt(-1) i f / n) for all columns i and the frequency f of every row: products of two from short tables, as
 * sine and cosine would take longer than the transforms. */
static void fill_steps(const fc_fft *p)
{
    enum { FINE = 64, COARSE = MOST_1D * MOST_1D / FINE };
    double coarse[COARSE][2], fine[FINE][2];
    ptrdiff_t n = p->n[0] * p->n[1];
    for (ptrdiff_t i = 0; i < n / FINE; i++)
        root_of_unity(i * FINE, n, &coarse[i][0], &coarse[i][1]);
    for (ptrdiff_t i = 0; i < FINE; i++)
        root_of_unity(i, n, &fine[i][0], &fine[i][1]);
    for (ptrdiff_t row = 0; row < p->n[0]; row++) {
        ptrdiff_t f = frequency(row, p->n[0]), turn = 0;
        for (ptrdiff_t i = 0; i < p->n[1]; i++, turn = (turn + f) % n) {
            const double *a = coarse[turn / FINE], *b = fine[turn % FINE];
            put(p, p->steps[0], row * p->stride[0] + i, a[0] * b[0] - a[1] * b[1]);
            put(p, p->steps[1], row * p->stride[0] + i, a[0] * b[1] + a[1] * b[0]);
        }
    }
}

/* a: [n0][n1], real and imaginary; b: room for the transpose, where the result is */
static void forward(const fc_fft *p, char *const a[2], char *const b[2])
{
    p->fft(a[0], a[1], p->stride[0], p->n[0], p->n[1], p->twiddles[0], 0);
    if (p->signal)
        p->product(a[0], a[1], p->steps[0], p->steps[1], p->n[0] * p->stride[0], 0);
    for (int part = 0; part < 2; part++)
        p->transpose(b[part], p->stride[1], a[part], p->stride[0], p->n[0], p->n[1]);
    p->fft(b[0], b[1], p->stride[1], p->n[1], p->n[0], p->twiddles[1], 0);
}
static void inverse(const fc_fft *p, char *const a[2], char *const b[2])
{
    p->fft(b[0], b[1], p->stride[1], p->n[1], p->n[0], p->twiddles[1], 1);
    for (int part = 0; part < 2; part++)
        p->transpose(a[part], p->stride[0], b[part], p->stride[1], p->n[1], p->n[0]);
    if (p->signal)
        p->product(a[0], a[1], p->steps[0], p->steps[1], p->n[0] * p->stride[0], 1);
    p->fft(a[0], a[1], p->stride[0], p->n[0], p->n[1], p->twiddles[0], 1);
}

/* ---- size ------------------------------------------------------------------------------------- */

/* Nanoseconds of a pair of tiles, gathering and storing included; fitted to measurements of AVX-512. A column of
 * vectors should stay in L1, a tile in L2. */
static double tile_ns(int type, double n0, double n1, int signal)
{
    double n = n0 * n1, size = (double)fc_stored_size(type), longest = n0 > n1 ? n0 : n1;
    double ns = n * (1.2 + 0.05 * log2(n) + (signal ? 0.8 : 0)) * size / 4 * 64 / fc->vector_bytes;
    if (2 * longest * fc->vector_bytes > L1_BYTES || 2 * n * size > L2_BYTES)
        ns *= 1.4;
    return ns;
}

double fc_fft_size(int type, const ptrdiff_t k[2], const ptrdiff_t out[2], ptrdiff_t n[2])
{
    double least = INFINITY;
    int signal = k[0] == 1 && out[0] == 1;
    n[0] = n[1] = 0;
    for (ptrdiff_t a = LEAST; a <= (signal ? MOST_1D : MOST_2D); a *= 2)
        for (ptrdiff_t b = LEAST; b <= (signal ? MOST_1D : MOST_2D); b *= 2) {
            ptrdiff_t rows = signal ? 1 : a - k[0] + 1, cols = signal ? a * b - k[1] + 1 : b - k[1] + 1;
            if (rows < 1 || cols < 1 || (signal && (a > 2 * b || b > 2 * a)))
                continue;
            double tiles = ceil((double)out[0] / (double)rows) * ceil(ceil((double)out[1] / (double)cols) / 2);
            double plan_ns = 20e3 + (signal ? 5.0 : 1.0) * (double)(a * b);
            double us = ((tiles + 0.5) * tile_ns(type, (double)a, (double)b, signal) + plan_ns) / 1e3;
            if (us < least) {
                least = us;
                n[0] = a, n[1] = b;
            }
        }
    return least;
}

/* ---- plan ------------------------------------------------------------------------------------- */

fc_fft *fc_fft_new(int type, const ptrdiff_t n[2], const ptrdiff_t k[2], int signal, const char *taps,
                   ptrdiff_t k_row, ptrdiff_t k_col)
{
    fc_fft p = {.type = type, .signal = signal, .size = fc_stored_size(type), .n = {n[0], n[1]}};
    p.stride[0] = padded(n[1], p.size);
    p.stride[1] = padded(n[0], p.size);
    p.fft = type == FC_F32 ? fc->fft_f32 : fc->fft_f64;
    p.product = type == FC_F32 ? fc->product_f32 : fc->product_f64;
    p.transpose = type == FC_F32 ? fc->transpose_f32 : fc->transpose_f64;
    size_t head = (sizeof p + LINE - 1) / LINE * LINE, area = area_bytes(&p), size = (size_t)p.size;
    size_t table[2] = {(size_t)twiddle_count(n[0]) * size, (size_t)twiddle_count(n[1]) * size};
    for (int a = 0; a < 2; a++)
        table[a] = (table[a] + LINE - 1) / LINE * LINE;
    char *room = fc_alloc(head + table[0] + table[1] + 4 * area, 1), *work[2];
    if (!room)
        return NULL;
    p.twiddles[0] = room + head;
    p.twiddles[1] = p.twiddles[0] + table[0];
    p.steps[0] = p.twiddles[1] + table[1];
    p.steps[1] = p.steps[0] + area;
    p.spectrum[0] = p.steps[1] + area;
    p.spectrum[1] = p.spectrum[0] + area;
    memcpy(room, &p, sizeof p);
    fill_twiddles(&p, p.twiddles[0], n[0]);
    fill_twiddles(&p, p.twiddles[1], n[1]);
    work[0] = fc_alloc(2 * area, 1);
    if (!work[0]) {
        fc_free(room);
        return NULL;
    }
    work[1] = work[0] + area;
    memset(work[0], 0, 2 * area);
    memset(p.steps[0], 0, 4 * area);
    if (signal)
        fill_steps(&p);
    for (ptrdiff_t a = 0; a < k[0]; a++)
        for (ptrdiff_t b = 0; b < k[1]; b++) {
            ptrdiff_t at = signal ? b / n[1] * p.stride[0] + b % n[1] : a * p.stride[0] + b;
            memcpy(work[0] + at * p.size, taps + a * k_row + b * k_col, size);
        }
    forward(&p, work, p.spectrum);
    double scale = 1 / ((double)n[0] * (double)n[1]);
    for (size_t i = 0; i < area / size; i++) /* over N; the product takes the conjugate */
        for (int part = 0; part < 2; part++)
            if (type == FC_F32)
                ((float *)(void *)p.spectrum[part])[i] *= (float)scale;
            else
                ((double *)(void *)p.spectrum[part])[i] *= scale;
    fc_free(work[0]);
    return (fc_fft *)(void *)room;
}

void fc_fft_free(fc_fft *p)
{
    fc_free(p);
}

/* ---- tiles ------------------------------------------------------------------------------------- */

size_t fc_fft_scratch(const fc_fft *p)
{
    return 4 * area_bytes(p);
}
char *fc_fft_tile(const fc_fft *p, char *scratch, int which)
{
    return scratch + (size_t)which * area_bytes(p);
}
ptrdiff_t fc_fft_stride(const fc_fft *p)
{
    return p->stride[0];
}

ptrdiff_t fc_fft_rows(const fc_fft *p)
{
    return p->n[0];
}
ptrdiff_t fc_fft_columns(const fc_fft *p)
{
    return p->n[1];
}

void fc_fft_correlate(const fc_fft *p, char *scratch)
{
    char *a[2] = {fc_fft_tile(p, scratch, 0), fc_fft_tile(p, scratch, 1)};
    char *b[2] = {fc_fft_tile(p, scratch, 2), fc_fft_tile(p, scratch, 3)};
    forward(p, a, b);
    p->product(b[0], b[1], p->spectrum[0], p->spectrum[1], p->n[1] * p->stride[1], 1);
    inverse(p, a, b);
}
