/* SPDX-License-Identifier: BSD-3-Clause
 *
 * THE LIST of micro-kernels. One line each: X(operation, element type).
 * The table of function pointers, every instruction set's instance of it, the C-level check and the
 * names `<op>_<dtype>_<isa>` that a debugger or profiler shows are all made from this list.
 */
#ifndef FC_KERNELS_H
#define FC_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define FC_KERNEL_LIST(X) \
    X(corr, f32)          \
    X(corr, f64)          \
    X(corr, i32)          \
    X(corr, i64)          \
    X(gemm, f32)          \
    X(gemm, f64)          \
    X(fft, f32)           \
    X(fft, f64)           \
    X(product, f32)       \
    X(product, f64)       \
    X(transpose, f32)     \
    X(transpose, f64)     \
    X(add, f32)           \
    X(add, f64)           \
    X(add, i32)           \
    X(add, i64)           \
    X(scale, f32)         \
    X(scale, f64)         \
    X(scale, i32)         \
    X(scale, i64)         \
    X(finite, f32)        \
    X(finite, f64)        \
    X(split, f32)         \
    X(split, f64)         \
    X(widen, f32)         \
    X(widen, f64)         \
    X(widen, i32)         \
    X(widen, i64)         \
    X(peak, f32)          \
    X(peak, f64)

/* How elements are stored; arithmetic is done in the first four. Integers wrap. */
enum { FC_F32, FC_F64, FC_I32, FC_I64, FC_U8, FC_I8, FC_U16, FC_I16, FC_U32, FC_U64, FC_STORED_TYPES };

/* Strides count elements. Pointers need the alignment of one element only. */

/* The taps of a K3 call, column by column: k[t * h + a] belongs to tap row a of column t, whose elements lie
 * `at[t]` elements after the row's first. The last `part` columns have no tap in row h-1. */
typedef struct {
    ptrdiff_t h, full, part;
    const ptrdiff_t *at;
    const void *k;
} fc_taps;

/* K3, sliding correlation of one plane (corr_tmpl.h):
 *   out[i][j] = sum_{a<h} sum_t x[(i+a)*xs + at[t] + j] * k[t*h + a],  0 <= i < rows, 0 <= j < cols
 * h, full, rows, cols >= 1; part >= 0, and 0 where h is 1. Nothing but the elements in the sum is read. */
typedef void fc_corr_fn(const void *x, ptrdiff_t xs, const fc_taps *taps, void *out, ptrdiff_t os,
                        ptrdiff_t rows, ptrdiff_t cols);

/* K1, outer product (gemm_tmpl.h):  c[m][n] = sum_{p<depth} a[m][p] * b[p][n] */
typedef void fc_gemm_fn(const void *a, ptrdiff_t as, const void *b, ptrdiff_t bs, void *c, ptrdiff_t cs,
                        ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t depth);

/* Conversion of n adjacent elements (widen_tmpl.h); from need not be aligned. Not from floats to integers. */
typedef void fc_widen_fn(void *to, int stored, const void *from, ptrdiff_t n);

/* K5, Fourier transforms in cache (fft_tmpl.h). Sizes are multiples of 16; n is a power of two, too. */
typedef void fc_fft_fn(void *re, void *im, ptrdiff_t stride, ptrdiff_t n, ptrdiff_t cols, const void *twiddles, int inverse);
typedef void fc_product_fn(void *re, void *im, const void *wre, const void *wim, ptrdiff_t n, int conjugate);
typedef void fc_transpose_fn(void *to, ptrdiff_t ts, const void *from, ptrdiff_t fs, ptrdiff_t rows, ptrdiff_t cols);

/* Rows of n elements (box_tmpl.h): to = a + b, to = a * *factor + 0 */
typedef void fc_add_fn(void *to, const void *a, const void *b, ptrdiff_t n);
typedef void fc_scale_fn(void *to, const void *a, const void *factor, ptrdiff_t n);

/* Whether n elements are all finite (fft_tmpl.h) */
typedef int fc_finite_fn(const void *x, ptrdiff_t n);

/* A row of n elements into the phases of a stride (split_tmpl.h): to[p*phase + i] = from[i*s + p]. By the size of
 * the elements, whatever their type. */
typedef void fc_split_fn(void *to, ptrdiff_t phase, const void *from, ptrdiff_t n, ptrdiff_t s);

/* The arithmetic limit (peak_tmpl.h): `rounds` passes over independent chains of fma; returns the
 * number of floating-point operations done (two per fma and lane). */
typedef double fc_peak_fn(ptrdiff_t rounds);

typedef struct {
    const char *isa;
    int fma;         /* multiply and add round once: all such tables give the same bits */
    int vector_bytes;
    /* K3 tile: a kernel of h <= tall rows runs in one slice, a taller one in slices of at most `rows`; H
     * tap rows are cols_of[H] vectors wide, or narrow_of[H]. K1 tile: rows x cols, or 1 x 8. */
    int tall, rows, cols, cols_of[9], narrow_of[9];
#define FC_FIELD(op, type) fc_##op##_fn *op##_##type;
    FC_KERNEL_LIST(FC_FIELD)
#undef FC_FIELD
} fc_kernels;

#endif
