/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The contract between Cython and C: geometry, entry points, conventions.
 *
 *   - Sizes and strides are ptrdiff_t; strides of user arrays count bytes and may be negative, zero or
 *     no multiple of the element size (such arrays are read element by element).
 *   - The caller has checked shapes and allocated out; C never reads outside the elements of x and k and
 *     writes nothing but the elements of out. out overlaps neither x nor k.
 *   - Functions that can fail return 0, or -1 when memory is short, in which case out is untouched.
 *   - Everything here may be called without the GIL, from several threads at once, except the setters.
 */
#ifndef FASTCONV_H
#define FASTCONV_H

#include <stddef.h>
#include "kernels.h"

enum { FC_F32, FC_F64 };                                               /* element type */
enum { FC_CONSTANT, FC_EDGE, FC_REFLECT, FC_SYMMETRIC, FC_WRAP };      /* boundary, numpy.pad's words */
enum { FC_DIRECT, FC_IM2COL };                                         /* method */

/* out[n][i][j] = sum_{a<h, b<w} X[n][i - top + a][j - left + b] * k[a][b],   X = x continued by boundary
 *
 *              left                W                        An output row i is interior when
 *            |------|----------------------------|          top <= i <= H - h + top: its window
 *       -    . . . . . . . . . . . . . . . . . . .  .  .    meets no boundary. Columns likewise.
 *   top |    . window of   .                     .  .  .
 *       -    . out[0][0]   +---------------------+  .  .
 *            .      | . .  . |                   |  .  .
 *       H    .      |        |         x         |  .  .
 */
typedef struct {
    int type, boundary, method;
    int threads; /* at most; >= 1 */
    double fill; /* for FC_CONSTANT */
    ptrdiff_t planes, H, W, h, w, OH, OW, top, left;
    const char *x, *k;
    char *out;
    ptrdiff_t x_plane, x_row, x_col, k_row, k_col, out_plane, out_row, out_col;
} fc_corr2d;

/* How a call is carried out; the driver follows it and fastconv.explain() prints it. */
typedef struct {
    int threads;
    ptrdiff_t bands, blocks; /* every plane is bands x blocks chunks, each the work of one thread */
    double serial_us;        /* estimate, on one thread */
} fc_plan;

#define FC_API __attribute__((visibility("hidden")))

FC_API void fc_corr2d_plan(const fc_corr2d *g, fc_plan *plan);
FC_API int fc_corr2d_run(const fc_corr2d *g);

/* dispatch.c: `fc` is the table in use. */
FC_API extern const fc_kernels *fc;
FC_API const fc_kernels *fc_isa(int i); /* i-th best table this CPU can run, NULL past the last */
FC_API void fc_use(const fc_kernels *table);

/* pool.c: run(context, chunk, slot) for every chunk < chunks on at most `threads` threads, this one
 * included; slot < threads is the thread's own. */
typedef void fc_task(void *context, ptrdiff_t chunk, int slot);
FC_API void fc_pool_run(int threads, ptrdiff_t chunks, fc_task *run, void *context);
FC_API void fc_pool_spread(int on); /* keep workers off the caller's CPU (default on) */

/* alloc.c: 64-byte aligned; NULL when memory is short or the size does not fit. */
FC_API void *fc_alloc(size_t count, size_t size);
FC_API void fc_free(void *p);
FC_API void fc_alloc_fail_after(long allocations); /* for tests; negative: never */

/* For tests and tuning: rows of a band, and the serial work in us that is worth a second thread. */
FC_API void fc_tune(ptrdiff_t band_rows, double threads_from_us);
enum { FC_BAND_ROWS = 256, FC_THREADS_FROM_US = 200 };

#endif
