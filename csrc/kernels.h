/* SPDX-License-Identifier: BSD-3-Clause
 *
 * THE LIST of micro-kernels. One line each: X(operation, element type).
 * The table of function pointers, every instruction set's instance of it, the C-level check and the
 * names `<op>_<dtype>_<isa>` that a debugger or profiler shows are all made from this list.
 */
#ifndef FC_KERNELS_H
#define FC_KERNELS_H

#include <stddef.h>

#define FC_KERNEL_LIST(X) \
    X(corr, f32)          \
    X(corr, f64)          \
    X(gemm, f32)          \
    X(gemm, f64)          \
    X(peak, f32)          \
    X(peak, f64)

/* Strides count elements. Pointers need the alignment of one element only. */

/* K3, sliding correlation of one plane (corr_tmpl.h):
 *   out[i][j] = sum_{a<h, b<w} x[i+a][j+b] * k[b*h + a],  0 <= i < rows, 0 <= j < cols
 * The taps are stored column by column. x has rows+h-1 rows of cols+w-1 elements; h, w, rows, cols >= 1. */
typedef void fc_corr_fn(const void *x, ptrdiff_t xs, const void *k, ptrdiff_t h, ptrdiff_t w,
                        void *out, ptrdiff_t os, ptrdiff_t rows, ptrdiff_t cols);

/* K1, outer product (gemm_tmpl.h):  c[m][n] = sum_{p<depth} a[m][p] * b[p][n] */
typedef void fc_gemm_fn(const void *a, ptrdiff_t as, const void *b, ptrdiff_t bs, void *c, ptrdiff_t cs,
                        ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t depth);

/* The arithmetic limit (peak_tmpl.h): `rounds` passes over independent chains of fma; returns the
 * number of floating-point operations done (two per fma and lane). */
typedef double fc_peak_fn(ptrdiff_t rounds);

typedef struct {
    const char *isa;
    int fma;         /* multiply and add round once: all such tables give the same bits */
    int vector_bytes;
    /* K3 tile: a kernel of h <= tall rows runs in one slice, a taller one in slices of at most `rows`; H
     * tap rows are cols_of[H] vectors wide. K1 tile: rows x cols, or 1 x 8. */
    int tall, rows, cols, cols_of[9];
#define FC_FIELD(op, type) fc_##op##_fn *op##_##type;
    FC_KERNEL_LIST(FC_FIELD)
#undef FC_FIELD
} fc_kernels;

#endif
