/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The contract between Cython and C: geometry, entry points, conventions.
 *
 *   - Sizes and strides are ptrdiff_t; strides of user arrays count bytes and may be negative, zero or
 *     no multiple of the element size (such arrays are read element by element).
 *   - The caller has checked shapes and allocated out; C never reads outside the elements of x and k and
 *     writes nothing but the elements of out. out overlaps neither x nor k.
 *   - Functions that can fail return 0, or -1 when memory is short, in which case out is untouched.
 *   - Everything here may be called without the GIL, from several threads at once, except the setters for tests.
 */
#ifndef FASTCONV_H
#define FASTCONV_H

#include <stddef.h>
#include "costs.h"
#include "kernels/kernels.h"

enum { FC_CONSTANT, FC_EDGE, FC_REFLECT, FC_SYMMETRIC, FC_WRAP }; /* boundary: fastconv/arguments/boundaries.py */
enum { FC_DIRECT, FC_IM2COL, FC_SEPARABLE, FC_FFT, FC_BOX, FC_ORDERED, FC_LINES }; /* method */
enum { FC_AXES = 3, FC_BATCHES = 64 };

/* One axis that the kernel slides over: tap t of output o meets element o * stride - lead + t * dilation of
 * x continued by the boundary.
 *
 *      lead                  n                           An output is interior when its whole window,
 *    |------|----------------------------|               span = (k - 1) * dilation + 1 elements,
 *    x . x . x              x                            meets no boundary. A lead below zero leaves the
 *    window of output 0: k = 3, dilation = 2             first elements of x out.
 *
 * Of columns, `unit` elements may be a pixel (if > 1): n, out, lead and dilation count elements, stride pixels, and the boundary
 * continues pixels. With a stride only FC_SEPARABLE takes them.
 */
typedef struct {
    ptrdiff_t n, k, out; /* elements of x, taps, outputs */
    ptrdiff_t lead, stride, dilation, unit;
    int boundary;
    ptrdiff_t x_step, k_step, out_step; /* bytes */
    ptrdiff_t start, whole; /* these are outputs start ... start + out of a result of `whole`: what is computed tile by
                             * tile has the tiles of the whole, and so its bits */
} fc_axis;

/* An axis of independent planes. */
typedef struct { ptrdiff_t n, x_step, out_step; } fc_batch;

/* A pass of FC_LINES, after which sums are divided (by nothing if 0). w: as many adjacent elements of the type of the
 * arithmetic as the axis has taps, for each term; NULL: all of them are 1. */
typedef struct {
    const char *w;
    double divisor;
} fc_line;

/* out[batch][z][i][j] = sum_{c, a, b} X[batch][z c][i a][j b] * k[c][a][b], the axes being depth, rows and
 * columns; an axis that is not there has n = k = out = stride = dilation = 1 and lead = 0. */
typedef struct {
    /* Of the arithmetic, and of k: one of the first FC_TYPES. As stored: out_type is type, or FC_I64 for FC_I32, or any for floats
     * but with FC_FFT. For FC_I16, x is of bytes and out of up to 16 bits, with FC_DIRECT without strides, and FC_SEPARABLE of one term with
     * any of rows and columns, but for depth; norms are FC_L1, of FC_U8 by three by three taps. */
    int type, x_type, out_type;
    int method, threads; /* threads: at most; >= 1 */
    int batches;
    double fill;          /* for FC_CONSTANT; for integer arithmetic */
    int64_t integer_fill; /* this one */
    const char *x, *k;
    char *out;
    /* FC_BOX: all taps are the one that k points to. FC_SEPARABLE: k = sum over terms of depth x rows x columns; factor[axis]: terms x k adjacent elements */
    ptrdiff_t terms;
    const char *factor[FC_AXES];
    int combine;           /* of FC_SEPARABLE: FC_ADDED ... FC_APART, what out has of the terms; apart, result after result, */
    ptrdiff_t result_step; /* so many bytes from one to the next */
    /* Of sums of FC_I16, which are unsigned unless it is 1 and they are stored as they are; fc_divides them. And of FC_BOX, with
     * taps of 1, of FC_U8 in FC_I16; or to the type of x in FC_I32, quotients that it holds: of FC_U8, which fc_divides_in_floats,
     * and of FC_U16, which is more than 1 and fc_divides. Up to 257 rows of FC_U8, which are not dilated. Else 0 */
    unsigned divisor;
    int rounding;  /* of floats to out_type: FC_TRUNCATED ... */
    int *doubtful; /* set to 1 if a result of FC_BOX is not finite, or one does not fit as `rounding` says; or NULL */
    /* FC_LINES, in lines.c: a pass along rows and one along columns, either of which may be missing (k = 1). Two terms: both
     * passes with the weights of each, and the magnitude of what they make, in the arithmetic of out_type, FC_F32 or FC_F64 */
    fc_line line[FC_AXES];
    int columns_first, between; /* `between`: the type that results of the first pass are stored as */
    fc_axis axis[FC_AXES];
    fc_batch batch[FC_BATCHES]; /* the first `batches` count */
} fc_corr;

/* How a call is carried out; the driver follows it and fastconv.explain() prints it. */
typedef struct {
    int threads;
    ptrdiff_t planes, parts[FC_AXES]; /* chunks of a plane along each axis, each the work of one thread */
    double serial_us;                 /* estimate, on one thread */
} fc_plan;

#define FC_API __attribute__((visibility("hidden")))

FC_API void fc_corr_plan(int vector_bytes, const fc_corr *g, fc_plan *plan);
/* Estimated time of so many outputs, each the sum of so many taps, on one thread */
FC_API double fc_direct_us(int vector_bytes, int type, double outputs, double taps);
FC_API int fc_corr_run(const fc_corr *g);

/* each.c: an axis of elements that each have a kernel of their own. Steps in bytes; those of x and out keep them as aligned. */
typedef struct { ptrdiff_t n, x_step, k_step, out_step; } fc_each;
/* The correlation of every element of so many such axes; g is that of the first one. Not by FC_BOX and FC_SEPARABLE. */
FC_API int fc_corr_each(const fc_corr *g, int axes, const fc_each *axis);

/* A call that is made again and again with arrays of one layout, by one table of kernels. Of x and out of g only the alignment counts; k and factors stay where they are until it is forgotten. It is
 * constant: any threads may share it. */
typedef struct fc_prepared fc_prepared;
FC_API fc_prepared *fc_corr_prepare(const fc_corr *g, const fc_kernels *fc); /* NULL: no memory */
FC_API int fc_corr_again(const fc_prepared *p, const char *x, char *out, int *doubtful);
FC_API ptrdiff_t fc_corr_bytes(const fc_prepared *p);
/* Of them, those of a spectrum, which takes as long to make as half a call; 0: there is none */
FC_API ptrdiff_t fc_corr_spectrum_bytes(const fc_corr *g);
FC_API void fc_corr_forget(fc_prepared *p);

/* fft.c: correlation with a large kernel, tile by tile of a larger array. Axes are (plane, row, column); sizes and
 * strides count elements, columns are adjacent.
 *
 *   y[o] = sum_{t < k} x[o + t] taps[t]    for o < out, in every axis
 *
 *   n            tile; per axis >= k. A kernel of one plane and row has n = {1, 1, n2}, and tiles of one row.
 *   x            out + k - 1 <= n elements per axis are read (in an axis with out = 0, nothing is done)
 *   spectrum     that of the taps, learnt once in fc_fft_new; a plan is constant afterwards, any threads may share it
 *   two tiles    cost the same as one: they are real and imaginary part of one transform. Hence rounding errors of
 *                either are relative to both (fft.c), and a value that is not finite may spoil both.
 *
 * Equal calls give equal bits, whatever the alignment, and with fma on any instruction set. */
typedef struct fc_fft fc_fft;
typedef struct {
    const void *x; /* NULL: no tile */
    void *y;
    ptrdiff_t out[3];
} fc_fft_tile;

enum { FC_FFT_POINTS = 1 << 20 /* of a tile, at most: the error bounds of reference.py rely on it */ };
/* The tile that suits a kernel of k and an output of out >= 1 elements; returns the estimated time in us per output,
 * on one thread, with vectors of 64 bytes. in_rows: only tiles side by side are computed two at once. plan: tiles that it costs, which is included. */
FC_API double fc_fft_size(int type, const ptrdiff_t k[3], const ptrdiff_t out[3], int in_rows, double plan, ptrdiff_t n[3]);
/* NULL when memory is short or n is not a size that fc_fft_size could have chosen. taps: dense; NULL: to be learnt later. */
FC_API fc_fft *fc_fft_new(const fc_kernels *fc, int type, const ptrdiff_t n[3], const ptrdiff_t k[3], const void *taps);
FC_API void fc_fft_free(fc_fft *plan);
FC_API void fc_fft_learn(fc_fft *plan, void *scratch, const void *taps); /* others, in a plan that nobody else has */
FC_API size_t fc_fft_scratch(const fc_fft *plan);                        /* bytes, 64-byte aligned, of one thread */
FC_API void fc_fft_corr(const fc_fft *plan, void *scratch, const fc_fft_tile tile[2], const ptrdiff_t x_stride[2],
                        const ptrdiff_t y_stride[2]);

/* Folded: one real tile of rows x cols, rows even, takes half the time of two. Beyond its last row follows its first, with the other
 * sign; beyond the last column the first:
 *
 *   y[r][c] = sum_{a, b} X[r + a][c + b] taps[a][b]    for any y, X being x, amid zeros, continued so
 *
 * A tap that lies before the first element of the window, a < 0, is tap a + rows with the other sign; b < 0 is tap b + cols. A spectrum
 * takes fc_fft_folded_bytes. */
typedef struct {
    void *at;
    ptrdiff_t stride, rows,
        cols; /* elements from row to row; at most those of the tile, and the rest are zeros, or left alone */
} fc_fft_plane;
/* A size that suits windows of k along rows and columns. Where all `out` outputs, of which there is at least one, are computed at
 * once, `alone` elements do. A tile takes so many transforms there and back, and so many kernels are made ready. Returns the us of all tiles on one thread, with vectors of 64 bytes; learn: those of a spectrum. n: 0, if
 * there is none */
FC_API double fc_fft_folded_size(int type, const ptrdiff_t k[2], const ptrdiff_t out[2], const ptrdiff_t alone[2],
                                 double transforms, double kernels, ptrdiff_t n[2], double *learn);
FC_API fc_fft *fc_fft_new_folded(const fc_kernels *fc, int type, ptrdiff_t rows,
                                 ptrdiff_t cols); /* of such a size; NULL: no memory */
FC_API ptrdiff_t fc_fft_folded_bytes(const fc_fft *plan);
FC_API void fc_fft_learn_folded(const fc_fft *plan, void *scratch, void *spectrum, const fc_fft_plane *x, int is_kernel);
FC_API void fc_fft_corr_folded(const fc_fft *plan, void *scratch, const void *spectrum, const fc_fft_plane *x,
                               const fc_fft_plane *y);
/* y = the sum over channels of such correlations, of the spectra of tiles, and of kernels, one behind another */
FC_API void fc_fft_sum_folded(const fc_fft *plan, void *scratch, const void *of_x, const void *of_taps, ptrdiff_t channels,
                              const fc_fft_plane *y);

/* conv.c: a layer. x has images of groups x channels, out images of groups x kernels, and for every group
 *
 *   out[image][m] = bias[m] + sum_{c < channels} x[image][c] (*) w[m][c],    brought between low and high if clamp;
 *
 * or else, out[image][m] = f(that + add[image][m]), where f is the activation, if there is anything to add or f is no clamp:
 * which is done as soon as some rows are there (fc_finishes).
 *
 * where (*) is the correlation along the axes. w, bias (or NULL) and out are dense, x has any strides.
 *
 * gradient: the adjoint instead, which is the gradient of x and a transposed layer. x then has images of groups x kernels and
 * `out` elements along each axis, out has images of groups x channels and n elements, bias one for each channel:
 *
 *   out[image][c][i] = bias[c] + sum_{m < kernels} sum_{o * stride - lead + t * dilation = i} x[image][m][o] w[m][c][t]
 *
 * Beyond x lie zeros then. halves: type is FC_F32, but all arrays are FC_F16. */
enum { FC_PRODUCTS, FC_LANES, FC_SLIDES, FC_WINOGRAD, FC_TRANSFORMS };
enum { FC_EXACT, FC_DEFAULT, FC_FAST }; /* how much a layer may add to the rounding errors of sums over taps */
typedef struct {
    int kind, threads;
    ptrdiff_t chunks, part; /* shares that threads take; taps summed in one go */
} fc_conv_plan;
typedef struct {
    int type, threads, clamp, gradient, halves; /* FC_F32 or FC_F64; threads: at most */
    ptrdiff_t images, groups, channels, kernels;
    fc_axis axis[FC_AXES];        /* x_step counts; out_step, k_step, start and whole do not */
    ptrdiff_t x_image, x_channel; /* bytes */
    int last;                     /* of out, which is else dense as above, the channels come last */
    const char *x, *w, *bias;
    char *out;
    double low, high;
    int activation;       /* of kernels.h: FC_CLAMP ... */
    ptrdiff_t add;        /* bytes from an element of out to what is added to it; 0: nothing is */
    int accuracy, forced; /* forced: FC_WINOGRAD or FC_TRANSFORMS where it is possible, whatever is faster; else 0 */
    const char *learnt;   /* what fc_conv_learn made of w for such a call; or NULL */
    const char *dy;       /* of fc_conv_weight_run, with any strides in bytes */
    ptrdiff_t dy_image, dy_channel, dy_step[FC_AXES];
    fc_conv_plan *plan; /* what would be done is said there, and out is left alone; or NULL */
} fc_conv;
static inline int fc_finishes(const fc_conv *g) { return g->add != 0 || g->activation != FC_CLAMP; }
FC_API int fc_conv_run(const fc_conv *g); /* 1: `last` cannot be done for this layer, and nothing was done */

/* activate.c: out[i] = f(x[i]), i < n, of FC_F32 or FC_F64; out may be x */
FC_API int fc_activate(int type, char *out, const char *x, ptrdiff_t n, int activation, double low, double high, int threads);
/* The upper halves of n elements of FC_F32, rounded to the nearest, half to even; NaN stays one */
FC_API void fc_round_bfloat16(char *out, const char *x, ptrdiff_t n);

/* winograd.c: pairs of points of its tiles, which are twice as many outputs a side; 0: the layer is computed otherwise */
FC_API int fc_winograd_pairs(const fc_conv *g);
/* transforms.c: whether they compute it, or the data gradient; and the points of a tile, and how many of a kernel's elements lie
 * before its first, on which spectra depend: rows and columns of both */
typedef struct { ptrdiff_t points[2], before[2]; } fc_tile;
FC_API int fc_conv_tile(const fc_conv *g, fc_tile *tile);
/* Bytes of the values of w, or of its spectra, which are written to `to` unless it is NULL. 0: the layer is computed without them; or w
 * is to be written, and is not finite, or memory is short */
FC_API ptrdiff_t fc_conv_learn(const fc_conv *g, char *to);
FC_API ptrdiff_t fc_winograd_learn(const fc_conv *g, char *to); /* by winograd.c */

/* weight.c: the gradient of w, which is written to out. x is the layer's, continued by its boundary; dy is what its output
 * would be. At least one image. */
FC_API int fc_conv_weight_run(const fc_conv *g);
/* winograd_weight.c: pairs of points, likewise */
FC_API int fc_conv_weight_pairs(const fc_conv *g);

/* bottleneck.c: out = f(w[2] . clamp(w[1] (*) clamp(w[0] . x)) + add), each with its bias: of `channels` planes of x, which have any
 * strides, w[0] makes `inner` planes, w[1] has a kernel for each of them, and w[2] makes `kernels` planes, dense. Beyond the inner planes
 * lie zeros. What comes last is done if `finishes`: there is something to add, or bounds, or an activation that is no clamp. */
typedef struct {
    int type, threads; /* FC_F32 or FC_F64; at most */
    ptrdiff_t images, channels, inner, kernels;
    fc_axis rows, cols; /* of w[1]; x_step is that of x; boundary, out_step, k_step, start and whole do not count */
    ptrdiff_t x_image, x_channel;
    const char *x, *learnt;
    char *out;
    double low[3], high[3];
    int finishes, activation;
    ptrdiff_t add; /* bytes from an element of out to what is added to it; 0: nothing is */
} fc_bottleneck;
FC_API int fc_bottleneck_run(const fc_bottleneck *g);
/* What it reads of dense weights and biases, NULL where there is none, written to `to` unless that is NULL. Returns its bytes. */
FC_API ptrdiff_t fc_bottleneck_learn(const fc_bottleneck *g, const char *const w[3], const char *const bias[3], char *to);

/* dots.c: a layer of small numbers. x and w are FC_U8 or FC_I8 each, and sums are exact in int32, and wrap; numbers count from zeros of
 * their own, and beyond x lies its zero:
 *
 *   s[m] = bias[m] + sum (x - x_zero) (w - w_zero[m]);      out = s, of FC_I32
 *   out[m] = s[m] * scale[m], to the nearest, half to even, + y_zero, and no more than FC_U8 or FC_I8 hold */
typedef struct {
    fc_conv layer; /* of FC_F32, forward; x strides in bytes; bias is int32; out is dense */
    int x_type, w_type, out_type;
    int32_t x_zero, y_zero;
    const int32_t *w_zero; /* none, one, or one for each kernel; */
    ptrdiff_t w_zeros;
    const float *scale; /* one, or one for each kernel */
    ptrdiff_t scales;
} fc_dots;
FC_API int fc_dots_run(const fc_dots *g);
/* Bytes of w as it is multiplied, which are written to `to` unless that is NULL: layer.learnt of calls that differ in x and out alone;
 * and a number of its form, which is another where another instruction set is in use: what is of another form is made again */
FC_API ptrdiff_t fc_dots_learn(const fc_dots *g, char *to);
FC_API int fc_dots_form(const fc_dots *g);
FC_API int fc_dots_takes_last(const fc_dots *g); /* whether layer.last can be asked for */
FC_API void fc_dots_native(int on); /* for tests: instructions that not all CPUs of an instruction set have (default on) */

/* fold.c: the windows of x, images of so many channels, as columns:  out[image][channel][tap][output], beyond x lie zeros.
 * folds: the adjoint; x are columns, and added to the n elements of each axis of out[image][channel]. out is dense, in
 * folding x, too. size: bytes of an element, 2, 4 or 8; floats, if they are added. */
typedef struct {
    int threads, folds;
    ptrdiff_t size, images, channels;
    fc_axis axis[FC_AXES];        /* x_step counts unless folds; out_step, k_step, boundary, start and whole do not */
    ptrdiff_t x_image, x_channel; /* bytes, unless folds */
    const char *x;
    char *out;
} fc_fold;
FC_API int fc_fold_run(const fc_fold *g);

/* pooling.c: the largest element of every window of every channel, or the mean. Windows are those of the axes, whose x_step counts
 * (out_step, k_step, boundary, start and whole do not); elements beyond x are never the largest, and 0 in a mean. adaptive: output o
 * sees elements o * n / out ... (o + 1) * n / out, the latter rounded up; but of `whole` windows, which is one of all columns, of one
 * plane, or of all planes and rows, too. out is dense, x a whole number of elements from step to step; where columns do not adjoin,
 * channels do (last), and of whole windows it is dense but for images and channels. */
typedef struct {
    int type, threads;                  /* FC_F32 or FC_F64; at most */
    int average, adaptive, whole, last; /* last: in x and out, channels come last */
    int padded;                         /* means are of elements beyond x, too, up to `behind` of them; not if adaptive */
    double divisor;                     /* of means: sums are divided by this; 0: by how many elements there are */
    ptrdiff_t images, channels;
    fc_axis axis[FC_AXES];
    ptrdiff_t behind[FC_AXES];
    ptrdiff_t x_image, x_channel; /* bytes */
    const char *x, *dy;
    char *out;
    int64_t *indices; /* of the largest, in a dense plane; or NULL */
} fc_pooling;
FC_API int fc_pooling_run(const fc_pooling *g);
/* pooling_back.c: the gradient of x, dense, from that of the outputs, dy, which is dense, too. x is read, if it is of the largest without
 * indices. Returns 1 if an index is none. */
FC_API int fc_pooling_back_run(const fc_pooling *g);

/* dispatch.c: the table in use. Another thread may put another one to use at any time, so an entry point (fc_*_run) reads it
 * once, and whatever the call needs besides is told: sizes and kernels of two tables do not fit together. */
FC_API const fc_kernels *fc_in_use(void);
FC_API void fc_use(const fc_kernels *table);
FC_API const fc_kernels *fc_isa(int i); /* i-th best table this CPU can run, NULL past the last */

/* pool.c: run(context, chunk, slot) for every chunk < chunks on at most `threads` threads, this one
 * included; slot < threads is the thread's own. */
typedef void fc_task(void *context, ptrdiff_t chunk, int slot);
FC_API void fc_pool_run(int threads, ptrdiff_t chunks, fc_task *run, void *context);
FC_API int fc_threads_for(double serial_us, int threads); /* how many of `threads` so much work is worth */
FC_API void fc_threads_from(double us);                   /* the work that is worth a second one; for fc_tune */
FC_API void fc_pool_spread(int on);                       /* keep workers off the caller's CPU (default on) */

/* giving_up.c: while a call takes long, what is asked now and then: whether to give it up. A listener belongs to the process, and is
 * asked by threads that call. */
typedef int fc_listener(void);
FC_API void fc_listen(fc_listener *asked);
FC_API int fc_gives_up(void); /* by what takes long: whether to end, with any results */
FC_API int fc_gave_up(void);  /* by who called: whether a call of this thread was given up since this was asked last */

/* alloc.c: 64-byte aligned; NULL when memory is short or the size does not fit. */
FC_API void *fc_alloc(size_t count, size_t size);
FC_API void fc_free(void *p);
FC_API void fc_alloc_fail_after(long allocations); /* for tests; negative: never */
FC_API int fc_alloc_may_fail(void);                /* whether it is set */

/* kept.c: the same, for scratch and results that may be kept for the next call; fc_forget_kept frees what is */
FC_API void *fc_borrow(size_t bytes);
FC_API void fc_return(void *p);
FC_API void *fc_result_alloc(size_t bytes);
FC_API void *fc_result_realloc(void *p, size_t bytes);
FC_API void fc_result_free(void *p); /* or NULL */
FC_API void fc_forget_kept(void);

/* For tests and tuning: other values of FC_BAND_ROWS, FC_THREADS_FROM_US and FC_STREAM_FROM (costs.h) */
FC_API void fc_tune(ptrdiff_t band_rows, double threads_from_us, double stream_from);
/* caches.c: FC_STREAM_FROM of this machine, whose L3 has the size that the file tells; its own value where there is none */
FC_API double fc_stream_from(const char *size_file);

/* match.c: scores of a template T at every place of x continued by the boundary, depth, rows and columns.
 *
 *   With weights M (or 1), v = M^2, and means over a window: mean I = sum M I / sum M, likewise mean T,
 *     ccoeff  sum v (T - mean T)(I - mean I)      normed:  / sqrt(sum v (T - mean T)^2  sum v (I - mean I)^2)
 *     ccorr   sum v T I                           normed:  / sqrt(sum v T^2  sum v I^2)
 *     sqdiff  sum v (T - I)^2                     normed:  / sqrt(sum v T^2  sum v I^2)
 *
 * (Lewis, Fast Normalized Cross-Correlation, 1995; the documentation of OpenCV's matchTemplate.) */
enum { FC_CCOEFF, FC_CCORR, FC_SQDIFF };
typedef struct fc_learnt fc_learnt;
typedef struct {
    int type, x_type;           /* of the arithmetic and of out: FC_F32 or FC_F64 (with weights: FC_F64); as x is stored */
    int out_type;               /* type, or FC_F32 */
    int measure, normed, whole; /* whole: x and T - shift are integers, and sums are to be exact */
    int boundary, threads;
    int by_plane; /* of FC_CCOEFF: means are those of each plane of T and window, and spread adds them up; one output deep */
    double fill;
    ptrdiff_t n[3], k[3], out[3], lead[3], x_step[3], out_step[3];
    const char *x;
    char *result;
    /* adjacent, k elements: v (T - shift) scale; M; v. The latter two are NULL where all are one; equal where M
     * is v or its mean is not asked for. */
    const double *t, *weights, *energies;
    double shift, scale;
    /* sum of `weights`, sum v; and of the template, times scale^2: sum v (T - mean T)^2, sum v (T - shift)^2,
     * sum v T^2 */
    double weight, energy, spread, square, power;
    const fc_learnt *learnt; /* what fc_match_learn has made for a call like this; or NULL */
} fc_match;
FC_API int fc_match_run(const fc_match *g);
/* The transforms of T, for calls that are made again and again; the array of T may not go before them. NULL: there are none,
 * or no memory. By a call with another table of kernels in use they are left alone. */
FC_API fc_learnt *fc_match_learn(const fc_match *g);
FC_API ptrdiff_t fc_match_learnt_bytes(const fc_match *g); /* that they would take; 0: there are none */
FC_API void fc_match_forget(fc_learnt *learnt);

#endif
