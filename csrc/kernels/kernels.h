/* SPDX-License-Identifier: BSD-3-Clause
 *
 * THE LISTS of micro-kernels: of those for every type of the arithmetic, for integers of 16 bits, for those of up to 32, for all
 * types but integers of 16 bits, for floats, for float and for double alone. The table of function pointers, every instruction
 * set's instance of it, the C-level check and the names `<isa>_<op>_<dtype>` that a debugger or profiler shows are all made from
 * these lists.
 */
#ifndef FC_KERNELS_H
#define FC_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define FC_OPS(X) X(corr) X(widen)
#define FC_SHORT_OPS(X) X(across) X(down) X(threes)
#define FC_WINDOW_OPS(X) X(column) X(windows)
#define FC_WIDE_OPS(X) X(box_tails) X(box_heads) X(box_across)
#define FC_FLOAT_OPS(X)                                                  \
    X(gemm) X(dot) X(pack)                                               \
    X(lanes_in) X(lanes_rows) X(lanes_grad) X(lanes_out) X(plane) X(finish) \
    X(fft) X(ifft) X(fftmul) X(fftsum) X(transpose) X(box_pixels) X(sums) X(scale) X(add) X(finite)     \
    X(split) X(join) X(pool_max) X(pool_sum) X(pool_find) X(pool_whole)  \
    X(match_look) X(match_shift) X(match_add) X(match_score)             \
    X(norms) X(passes) X(turn) X(ordered) X(narrow) X(settle) X(present) X(make_up) X(peak)
#define FC_SINGLE_OPS(X)                                                                    \
    X(winograd_rows) X(winograd_in) X(winograd_products) X(winograd_out) X(winograd_taps) \
    X(winograd_pixels) X(winograd_outputs) X(winograd_weights)                               \
    X(pixels_down) X(pixels_across) X(weave) X(requantize) X(bytes_in) X(bytes_out) X(rescale)
#define FC_DOUBLE_OPS(X) X(match_window) X(match_grow) X(match_merge) X(match_spread) X(match_join) X(magnitude)

/* How elements are stored; arithmetic is done in the first five. Integers wrap. FC_F16 is of layers alone, which are
 * computed in FC_F32; FC_BF16, its upper half, is only written. */
enum { FC_F32, FC_F64, FC_I32, FC_I64, FC_I16, FC_TYPES, FC_U8 = FC_TYPES, FC_I8, FC_U16, FC_U32, FC_U64, FC_STORED_TYPES };
enum { FC_F16 = FC_STORED_TYPES, FC_BF16 };

/* Strides count elements. Pointers need the alignment of one element only. */

/* The taps of a K3 call, column by column: k[t * h + a] belongs to tap row a of column t, whose elements lie
 * `at[t]` elements after the row's first. The last `part` columns have no tap in row h-1. stream: out is so large that
 * it goes past the caches wherever its rows are aligned. far: x comes from beyond L2, and rows are asked for ahead. apart: not
 * 0 where vectors of columns are not adjacent, but so many elements from one to the next, in x and in out; then rows and
 * vectors are at least, and exactly, those of the first of fc->block with at most FC_SHARING_ROWS(h), and all vectors are whole. */
#define FC_SHARING_ROWS(h) ((h) == 1 ? 1 : 2 * (h))
typedef struct {
    ptrdiff_t h, full, part;
    const ptrdiff_t *at;
    const void *k;
    int stream, far;
    ptrdiff_t apart;
    double start; /* what a sum begins with; of floats */
} fc_taps;

/* K3, sliding correlation of one plane (corr_tmpl.h):
 *   out[i][j] = sum_{a<h} sum_t x[(i+a)*xs + at[t] + j] * k[t*h + a],  0 <= i < rows, 0 <= j < cols
 * h, full, rows, cols >= 1; part >= 0, and 0 where h is 1. Nothing but the elements in the sum is read. */
typedef void fc_corr_fn(const void *x, ptrdiff_t xs, const fc_taps *taps, void *out, ptrdiff_t os, ptrdiff_t rows,
                        ptrdiff_t cols);

/* Norms of sums that share a place (norms_tmpl.h). The rows of term t lie t * term elements from x:
 *   out[i][j] = norm over t < terms of  sum_{b<w} x[i*xs + t*term + at[b] + j] * k[t*w + b],  0 <= i < rows, 0 <= j < cols
 * terms, w, rows, cols >= 1. Nothing but the elements in the sums is read. stream: as in fc_taps */
enum { FC_ADDED, FC_L1, FC_L2, FC_APART }; /* what becomes of terms: their sum, a norm of them, or each by itself */
typedef struct {
    int norm, stream;
    ptrdiff_t terms, term, w;
    const ptrdiff_t *at;
    const void *k;
} fc_norms;
typedef void fc_norms_fn(const void *x, ptrdiff_t xs, const fc_norms *g, void *out, ptrdiff_t os, ptrdiff_t rows,
                         ptrdiff_t cols);
/* Columns of taps and then rows of them (passes_tmpl.h), as many of both: terms x taps elements. combine: FC_ADDED ... of two terms;
 * results that are apart lie so many elements from one to the next. stream, far: as in fc_taps. Returns 0, and has done nothing,
 * where there is no code for so many taps or terms, or for so few outputs. */
typedef struct {
    int combine, stream, far;
    ptrdiff_t terms, taps, result;
    const void *down, *across;
} fc_passes;
typedef int fc_passes_fn(const void *x, ptrdiff_t xs, const fc_passes *g, void *out, ptrdiff_t os, ptrdiff_t rows,
                         ptrdiff_t cols);
/* Columns of taps, stored turned (passes_tmpl.h): out[j*os + i] = sum_{a<h} x[(i+a)*xs + j] * k[a], i < rows, j < cols; of taps h, k
 * and far count. Returns 0, and has done nothing, where there is no code for it, for less than FC_TURN rows, or less than a vector. */
enum { FC_TURN = 16 };
typedef int fc_turn_fn(const void *x, ptrdiff_t xs, const fc_taps *taps, void *out, ptrdiff_t os, ptrdiff_t rows,
                       ptrdiff_t cols);
/* FC_U8 or FC_U16 by columns of taps and then by rows of them (pixels_tmpl.h). Sums of a row lie in phases, 4 or 2, `phase` elements
 * apart: number i is element i / phases of phase i % phases. Taps across are `apart` elements apart.
 *
 * pixels_down: FC_PIXELS_ROWS rows, `row` elements from one to the next,  s[i][to + q] = sum_{a < taps} x[i + a][q] * k[a],
 * q < n; taps >= 3, and `to` is a multiple of 4. Less than fc->vector_bytes columns are slow.
 * pixels_across: a row,  out[j] = sum_{b < taps} s[from + j + b * apart] * k[b],  j < n, to the nearest, half to even, and no more than
 * the type holds; sums are less than 2^22 in absolute value. Of s, 2 * fc->vector_bytes elements more are read. */
enum { FC_PIXELS_ROWS = 4 };
typedef struct {
    int stored;
    ptrdiff_t phase, row, taps, apart;
    const void *k;
} fc_pixels;
typedef void fc_pixels_down_fn(void *s, ptrdiff_t to, const char *const *x, const fc_pixels *g, ptrdiff_t n);
typedef void fc_pixels_across_fn(void *out, const void *s, ptrdiff_t from, const fc_pixels *g, ptrdiff_t n);
/* Rows of FC_U8 or FC_I8, correlated in 16 bits (across_tmpl.h):  out[i][j] = sum_{t < full} x[i*xs + at[t] + j*step] * k[t], step 1
 * or 2; of the taps only these three count. Of step 2 one byte more is read than is summed, if there are enough for a vector. */
typedef void fc_across_fn(const void *x, int stored, ptrdiff_t xs, ptrdiff_t step, const fc_taps *taps, void *out, ptrdiff_t os,
                          ptrdiff_t rows, ptrdiff_t cols);
/* A row of what they are down the columns, divided, and stored as any type of up to 16 bits (quotient_tmpl.h):
 *   to[j] = sum_{a < h} x[a*xs + j] * k[a] / divisor,  j < n, to the nearest, half to even
 * x is read up to the next whole two vectors. */
typedef void fc_down_fn(void *to, int stored, const void *x, ptrdiff_t xs, const void *k, ptrdiff_t h, ptrdiff_t n,
                        unsigned divisor);
/* Outer products of three by three taps, of FC_U8 (threes_tmpl.h), from rows + 2 rows of x. Those of out are os bytes apart, taps of a
 * row `apart` elements. One term, stored as by `down`; or two, which the divisor leaves as they are: |s[0]| + |s[1]| if FC_L1, or
 * FC_APART, s[1] out_result bytes behind s[0]. */
typedef struct {
    ptrdiff_t apart, out_result;
    int terms, combine;
    unsigned divisor;
    const void *down, *across;
} fc_threes;
typedef void fc_threes_fn(void *out, int stored, ptrdiff_t os, const char *const *x, const fc_threes *g, ptrdiff_t rows,
                          ptrdiff_t cols);
/* column += in - out, n sums of the arithmetic, of 16 bits or 32, of elements of half of them; out may be NULL. Of column whole vectors
 * are read and written. (windows_tmpl.h) */
typedef void fc_column_fn(void *column, const void *in, const void *out, ptrdiff_t n);
/* A row of boxes from such sums:  to[j] = sum_{t < w} column[j + t * apart] / divisor,  j < n; of columns of 16 bits stored as by
 * `down`, or in sums of 32 bits as bytes; of columns of 32 bits as FC_U16, and the divisor is more than 1. Of column, n + (w - 1) apart
 * elements, whole vectors are read, and two more; room: as many, and `apart` more, of the arithmetic. */
typedef void fc_windows_fn(void *to, int stored, const void *column, ptrdiff_t w, ptrdiff_t apart, ptrdiff_t n,
                           unsigned divisor, void *room);

/* K1, outer product (gemm_tmpl.h):  c[m][n] = first + sum_{p<depth} a[m * as + a_at[p]] * b[b_at[p] + n]
 *
 * The n are given as panels of vectors, each of which lies somewhere in b and c. fc->cols_of[rows] vectors are a whole
 * panel; 1, 2 and cols_of[rows + 1] are allowed, too. b is read by whole vectors, of c only `lanes` are touched. first: what is in
 * c if `add`, else lane_bias[n], bias[m], or zero, which turns -0 to 0. clamp: the result is brought between low and high; a NaN stays. */
enum { FC_PANEL = 8 };
typedef struct {
    ptrdiff_t b[FC_PANEL], c[FC_PANEL], lanes[FC_PANEL]; /* elements from g->b and g->c on */
    int vectors, whole;                                  /* whole: every vector has all its lanes */
} fc_panel;
typedef struct {
    const void *a, *b, *bias, *lane_bias;
    void *c;
    ptrdiff_t as, cs, rows, depth, panels;
    ptrdiff_t more; /* bytes from an element of c to what is added to it last, before the clamp; 0: nothing is */
    const ptrdiff_t *a_at, *b_at;
    const fc_panel *panel;
    int add, clamp;
    double low, high;
} fc_gemm;
typedef void fc_gemm_fn(const fc_gemm *g);

#include "kernels/dots.h"

/* K2, inner products (dot_tmpl.h):  c[m * cs + at[n]] = first + sum_{p<depth} a[m * as + p] * b[n * bs + p], n < cols;
 * first and clamp like K1's. Every `part` products are summed apart, for which b begins b_part elements further on. */
typedef struct {
    const void *a, *b, *bias;
    void *c;
    ptrdiff_t as, bs, cs, rows, cols, depth, part, b_part;
    const ptrdiff_t *at;
    int add, clamp;
    double low, high;
} fc_dot;
typedef void fc_dot_fn(const fc_dot *g);

/* Rows of a channel, side by side, for K1 to read (pack_tmpl.h): each run is `rows` rows of n elements,
 *   to[run->to + i*ts + j] = x[i*run->xs + j*step], run->x bytes on, where from <= j < end; else zero.
 * half: x is FC_F16, and `to` FC_F32. Runs are done in order; up to a vector behind every row is overwritten, too, but if `exact`.
 * ahead: elements from x to what will be packed soon; a hint. */
typedef struct {
    ptrdiff_t to, x, xs, rows, n, from, end;
    ptrdiff_t first; /* the driver's: which column of x element 0 is */
} fc_run;
typedef struct {
    const fc_run *run;
    ptrdiff_t count, ts, step, ahead;
    int half, exact;
    ptrdiff_t turned; /* the driver's */
} fc_runs;
typedef void fc_pack_fn(void *to, const void *x, const fc_runs *r);

/* K4, the transforms of Winograd's convolution (winograd_tmpl.h), with `rows` and `cols` pairs of points along the axes: tiles of
 * m = 2 pairs outputs a side see n = m + 2 elements of x, and are sums of n x n products; or of m = n = 1 along an axis without
 * pairs. Pairs are 0 x 1, 0 x 2, 1 x 1, 2 x 2, 1 x 0 or 2 x 0. Vectors run over tiles, kernels' taps over channels.
 *
 * winograd_rows: values along rows of x,  to[i % sets * set + i / sets * pitch + s * value + j] of x[i * xs + j * m + 0 ... n - 1],
 * i < rows,  j < tiles; whole vectors are written, and n - m elements more are read. A row's vectors may be where the next rows' are.
 * winograd_in: values of tiles from these,  to[p * point + j] of x[at[i] + j], i < n x n,  j < n; whole vectors are read and written.
 * winograd_out: sums of tiles,  to[r * ts + j * m + s] = bias + those of v[p * point + j],  j < tiles, clamped; whole vectors are read and
 * written. Returns whether one is not finite.
 * winograd_taps: values of FC_QUAD kernels,  to[p * point + c * FC_QUAD + k] of w[k * row + c * channel + i * line + j],  i < down,
 * j < across,  k < kernels, c < channels: the first of 3 taps, or 1, along each axis, or from the last to the first if they are
 * turned; other taps, and kernels, count as zero. line is 1 where columns have no pairs. */
enum { FC_PAIRS = 2, FC_QUAD = 4 };
typedef struct {
    int rows, cols;
    double point[FC_PAIRS];
} fc_points;
typedef struct {
    fc_points points;
    ptrdiff_t point, tiles;
    double bias, low, high;
    int clamp;
} fc_winograd_sums;
typedef struct {
    fc_points points;
    const void *w;
    void *to;
    ptrdiff_t point, row, channel, line, kernels, channels;
    int down, across, turned;
} fc_winograd_kernels;
typedef struct {
    fc_points points;
    ptrdiff_t value, set, pitch, sets, xs, rows, tiles;
} fc_winograd_rows;
typedef void fc_winograd_rows_fn(void *to, const void *x, const fc_winograd_rows *g);
typedef void fc_winograd_in_fn(void *to, ptrdiff_t point, const void *x, const ptrdiff_t *at, const fc_points *p, ptrdiff_t n);
typedef int fc_winograd_out_fn(void *to, ptrdiff_t ts, const void *v, const fc_winograd_sums *g);
typedef void fc_winograd_taps_fn(const fc_winograd_kernels *g);

/* winograd_products:  c[m * cs + n] = first + sum_{p<depth} a[m/4 * as + p * 4 + m%4] * b[p * bs + n],  m < rows, n < tiles, of which
 * FC_PANEL_VECTORS vectors hold all; these are read, and written, as a whole. Every `part` products are summed apart. first: what is
 * in c if `add`, else zero. */
enum { FC_PANEL_VECTORS = 3 };
typedef struct {
    const void *a, *b;
    void *c;
    ptrdiff_t as, bs, cs, rows, tiles, depth, part;
    int add;
} fc_winograd_products;
typedef void fc_winograd_products_fn(const fc_winograd_products *g);

/* The same for gradients of weights (winograd_weight_tmpl.h); vectors run over channels. Pixels are vectors, and rows of them `row`
 * elements apart; values of rows x cols tiles that adjoin are written in turn,  to[p * value + j * tile + l], l < VLEN.
 * winograd_pixels: of pixels of x;  winograd_outputs: of pixels of dy, m x m of a tile.
 * winograd_weights: taps of sums over tiles,  to[j * ts + t * VLEN + l] of v[p * value + j * VLEN + l],  j < n, t < 3 x 3 or 3. Returns
 * whether one is not finite. */
typedef struct {
    fc_points points;
    ptrdiff_t value, tile, row, rows, cols;
} fc_winograd_tiles;
typedef void fc_winograd_pixels_fn(void *to, const void *x, const fc_winograd_tiles *g);
typedef void fc_winograd_outputs_fn(void *to, const void *dy, const fc_winograd_tiles *g);
typedef int fc_winograd_weights_fn(void *to, ptrdiff_t ts, const void *v, ptrdiff_t value, const fc_points *p, ptrdiff_t n);

/* Layers with one channel a group, VLEN groups at a time (lanes_tmpl.h). Pixels are vectors, a lane for each of the groups.
 *
 * lanes_in: pixels from planes `channel` elements apart,  to[i*ts + j*pixel + l] = x[l*channel + i*xs + j*step],  i < rows,
 * j < cols. pixel: VLEN, or no less than `lanes`: whole vectors are stored, in order, so that VLEN - pixel elements behind are
 * zero. step is 1, or channel is. Lanes from `lanes` on are zero, and their x is not read. half: x is FC_F16, and `to` FC_F32.
 * lanes_rows: correlation,  out[i*out_row + j*out_step + l] = bias + sum_{first[i] <= a < first[i+1]} sum_{t < taps}
 * w[tap[a].w + t*VLEN] * x[tap[a].x + j*step + t*dilation],  clamped between low and high if asked for; a NaN stays. Of the
 * rows of taps, `skip` are left out, and those behind `most` more. add: to what is in out. bias: NULL for none; added last, or
 * bias_first.
 * lanes_grad: gradients of kernels,  sums[(r*taps + t)*VLEN] += sum_{i < rows} sum_{j < cols} dy[i*dy_row + j*VLEN] *
 * x[i*x_row + j*x_step + r*tap_row + t*dilation],  r < tap_rows, t < taps; i and j ascend, one fma each, from zero.
 * lanes_out: pixels back to planes,  out[l*channel + q*step] = from[q*VLEN + l],  q < n, l < lanes. step is 1, or channel is. Up
 * to VLEN - 1 pixels more are read. half: out is FC_F16. */
typedef void fc_lanes_in_fn(void *to, ptrdiff_t ts, ptrdiff_t pixel, const void *x, ptrdiff_t channel, ptrdiff_t xs,
                            ptrdiff_t step, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t lanes, int half);
typedef struct { ptrdiff_t x, w; /* where a row of taps meets a row of outputs, and its first weight */ } fc_tap_row;
typedef struct {
    const void *x, *w, *bias;
    void *out;
    ptrdiff_t rows, cols, taps, step, dilation, out_row, out_step; /* all strides count elements */
    const ptrdiff_t *first;
    const fc_tap_row *tap;
    ptrdiff_t skip, most;
    int add, bias_first, clamp;
    double low, high;
} fc_lanes;
typedef void fc_lanes_rows_fn(const fc_lanes *g);

/* A plane of rows x cols and a kernel of 3x3 taps, of stride 2 (planes_tmpl.h):
 *   out[i][j] = sum_{a,b<3} x[2i - row_lead + a][2j - col_lead + b] * w[a][b] + bias,  clamped likewise
 * Elements beyond x are zeros. Rows of x are xs elements apart, those of out adjoin, and are made `wide` < VLEN
 * elements at a time. half: x is FC_F16; out_half: and out. Returns 0 where it is not made. */
typedef struct {
    const void *x, *w;
    void *out;
    ptrdiff_t xs, rows, cols, out_rows, out_cols, row_lead, col_lead, wide;
    int clamp, half, out_half;
    double bias, low, high;
} fc_plane;
typedef int fc_plane_fn(const fc_plane *g);
typedef struct {
    const void *x, *dy;
    void *sums;
    ptrdiff_t rows, cols, x_row, x_step, dy_row; /* outputs; all strides count elements */
    ptrdiff_t tap_rows, taps, tap_row, dilation;
} fc_lanes_grads;
typedef void fc_lanes_grad_fn(const fc_lanes_grads *g);
typedef void fc_lanes_out_fn(void *out, ptrdiff_t channel, ptrdiff_t step, const void *from, ptrdiff_t n, ptrdiff_t lanes,
                             int half);

/* What becomes of results (finish_tmpl.h), which may be read where they are written:
 *   to[i][j] = f(from[i][j] + add[i][j]),  i < rows, j < cols;  add lies as `to` does, or is NULL */
enum {
    FC_CLAMP,      /* between low and high; a NaN stays */
    FC_LEAKY_RELU, /* times low where it is below 0 */
    FC_HARDSIGMOID,
    FC_HARDSWISH,
    FC_SIGMOID,
    FC_SILU,
    FC_TANH,
    FC_GELU,
    FC_GELU_TANH,
};
typedef struct {
    void *to;
    const void *from, *add;
    ptrdiff_t rows, cols, ts, fs; /* elements from row to row */
    int activation;
    double low, high;
} fc_finishing;
typedef void fc_finish_fn(const fc_finishing *g);

/* Conversion of n adjacent elements (widen_tmpl.h); from need not be aligned. Not from floats to integers; to
 * integers of 16 bits from those of up to 16, and from a single one of 64; FC_F16 to FC_F32. */
typedef void fc_widen_fn(void *to, int stored, const void *from, ptrdiff_t n);

/* The other way, from floats that are divided before (narrow_tmpl.h); to need not be aligned. Returns whether a sum does not
 * fit: is NaN, or if FC_CHECKED, too large. All but FC_TRUNCATED are for integers of up to 16 bits; FC_F16 and
 * FC_BF16, from FC_F32, are the nearest, half to even. */
enum { FC_TRUNCATED /* as C casts */, FC_SATURATED /* nearest, half to even */, FC_CHECKED /* likewise */ };
typedef int fc_narrow_fn(void *to, int stored, const void *from, ptrdiff_t n, double divisor, int rounding);
/* Of sums of so many bits, 16 or 32 (quotient_tmpl.h): a quotient is (sum + add) * inverse / 2^(bits + shift); or by a power of two,
 * (sum + add [+ 1 if sum / divisor is odd]) / 2^shift. */
typedef struct {
    uint32_t add, inverse;
    int shift, has_ties;
} fc_quotient;
static inline fc_quotient fc_quotient_of(unsigned divisor, int bits)
{
    const int shift = 31 - __builtin_clz(divisor), is_power = divisor == 1u << shift;
    return (fc_quotient){.add = divisor / 2 - (is_power && divisor > 1),
                         .inverse = (uint32_t)(is_power ? 0 : ((1ull << (bits + shift)) + divisor - 1) / divisor),
                         .shift = shift,
                         .has_ties = is_power};
}
/* Whether those of sums 0 ... most are exact. Divisors are odd, or powers of two. */
static inline int fc_divides(unsigned divisor, unsigned most, int bits)
{
    if (divisor == 0 || divisor > 1 << 15 || most > (bits == 16 ? UINT16_MAX : UINT32_MAX) - divisor / 2)
        return 0;
    const fc_quotient q = fc_quotient_of(divisor, bits);
    const uint64_t one = 1ull << (bits + q.shift), excess = (uint64_t)q.inverse * divisor - one;
    return q.has_ties || (divisor % 2 == 1 && excess * ((uint64_t)most + q.add) < one);
}
/* Likewise of sums in floats, multiplied by the inverse. Two roundings, of quotients up to most / divisor, are less than
 * most / divisor / 2^23; and that is less than half a divisor's part of one, which odd ones keep from halves. */
static inline int fc_divides_in_floats(unsigned divisor, unsigned most)
{
    return divisor > 0 && (divisor % 2 == 1 ? most < 1 << 22 : (divisor & (divisor - 1)) == 0 && most < 1 << 24);
}
/* Both, in place; returns 0 for types that it does not do: the wider integers */
typedef int fc_settle_fn(void *x, int stored, ptrdiff_t n, double divisor);

/* Sums in a given order, without fma (ordered_tmpl.h). Tap t, of weight w[t], lies at[t] * unit elements from the output's
 * place. taps >= 1; fold: 0, or +1 or -1 where taps are mirrored at the first; start: 0.0 or -0.0, which the first product
 * is added to: a sum of nothing but zeros has the sign that it has there */
typedef struct {
    const void *w;
    const ptrdiff_t *at;
    ptrdiff_t taps, unit;
    int fold;
    double start;
} fc_order;
typedef void fc_ordered_fn(const void *x, ptrdiff_t xs, const fc_order *o, void *out, ptrdiff_t os, ptrdiff_t rows,
                           ptrdiff_t cols);
/* The root of the sum of squares of n pairs, a row that out may be; all roundings but the last are those of FC_F32 or FC_F64 */
typedef void fc_magnitude_fn(void *out, const void *a, const void *b, ptrdiff_t n, int stored);

/* K5, FFT (fft_tmpl.h). A complex vector is VLEN real parts, then VLEN imaginary parts; strides count
 * elements, too. An axis is what one transform of n = radix[0] * radix[1] * ... points needs. Pass i, of radix r,
 * works on pieces of m = n / (radix[0] * ... * radix[i-1]) points; its factors are those from factor[i] on, for
 * each j < m/r the r-1 numbers exp(-2 pi i pj/m), p = 1 ... r-1, real part and imaginary part. */
enum { FC_FFT_PASSES = 32, FC_FFT_BLOCK = 16 /* a multiple of every VLEN */ };
typedef struct {
    ptrdiff_t n;
    int passes, radix[FC_FFT_PASSES]; /* 2, 3, 4, 5, 8; or a single 1: no transform along this axis */
    ptrdiff_t factor[FC_FFT_PASSES];
    const void *factors;
    const void *turn; /* NULL, or n complex numbers, which rows of columns are multiplied by, and then by their conjugates */
} fc_fft_axis;

/* One column, VLEN elements wide, of a real array: `lanes` elements in each row but the last, `last` in that. */
typedef struct {
    const void *x; /* fft reads this, ifft writes y */
    void *y;
    ptrdiff_t stride, rows, lanes, last; /* lanes, last: <= 0 is none, >= VLEN all */
} fc_fft_column;

/* n complex vectors, `stride` apart, are transformed in place. fft leaves frequencies in scrambled order, which
 * ifft expects (its sum is not divided by n). from, to: NULL, or two columns, of real and of imaginary parts, that
 * take the place of z as input or output; rows they lack are read as zero and not written. */
typedef void fc_fft_fn(const fc_fft_axis *a, void *z, ptrdiff_t stride, const fc_fft_column from[2]);
typedef void fc_ifft_fn(const fc_fft_axis *a, void *z, ptrdiff_t stride, const fc_fft_column to[2]);

/* A block of VLEN rows of a->n points, along the row: transform, multiply by the spectrum, transform back. Block b
 * of VLEN columns is at z + b * stride, VLEN complex vectors, one for each row. twist: factors for z, to be applied
 * before, and conjugated after; or NULL. strip: scratch, a->n complex vectors. learn: instead of multiplying, write
 * the spectrum: learn times the conjugate of the transform (radix 1: of the first column, for every column). The
 * last radix of the axis must be 4 (or 1). */
typedef void fc_fftmul_fn(const fc_fft_axis *a, void *z, ptrdiff_t stride, void *spectrum, const void *twist, void *strip,
                          double learn);

/* The same from sums of products of spectra, a and b, as fftmul has learnt them, `channels` of them so many elements apart:
 * sum_{c} conj(a[c]) b[c], transformed back, into z. */
typedef void fc_fftsum_fn(const fc_fft_axis *axis, void *z, ptrdiff_t stride, const void *a, const void *b, ptrdiff_t apart,
                          ptrdiff_t channels, void *strip);

/* to[j][i] = from[i][j] (transpose_tmpl.h); rows and cols are multiples of VLEN */
typedef void fc_transpose_fn(void *to, ptrdiff_t ts, const void *from, ptrdiff_t fs, ptrdiff_t rows, ptrdiff_t cols);

/* Sums of `height` rows of x (box_tmpl.h):  out[i][j] = sum_{t < height} x[i + t][j],  i < rows, j < cols. The first output is
 * number `at` of the whole. room: height rows of FC_SUMS_BYTES */
enum { FC_SUMS_BYTES = 256 };
typedef struct { ptrdiff_t height, at, rows, cols, apart; } fc_sums; /* apart: of box_pixels */
typedef void fc_sums_fn(const void *x, ptrdiff_t xs, const fc_sums *g, void *out, ptrdiff_t os, void *room);
/* Rows of n elements (box_tmpl.h): to = a + b, to = a * *factor + 0 */
typedef void fc_add_fn(void *to, const void *a, const void *b, ptrdiff_t n);
typedef void fc_scale_fn(void *to, const void *a, const void *factor, ptrdiff_t n);

/* Boxes (box_tmpl.h), of blocks of rows that are taken from pointers, n columns of each.
 * box_tails: to[t * to_step] = from[t * step] + from[(t + 1) * step] + ... + from[(rows - 1) * step], t < rows, from the last on.
 * box_heads, of VLEN rows: out[j * VLEN + r] = tails[r][j] + heads[j], and then heads[j] += from[r][j], but 0 where bit r of resets is
 * set. Of tails and heads whole vectors are read and written, of out whole squares. */
typedef void fc_box_tails_fn(const char *const *from, ptrdiff_t step, char *const *to, ptrdiff_t to_step, ptrdiff_t rows,
                             ptrdiff_t n);
typedef void fc_box_heads_fn(const char *const *from, char *const *tails, unsigned resets, void *heads, void *out, ptrdiff_t n);
/* out[i][j] = factor * sum_{t < g->height} x[(j + t) * VLEN + i] + 0,  i < g->rows <= VLEN, j < g->cols; the first j is number g->at of the
 * whole. Of x up to VLEN columns before, and 2 * height + VLEN behind these are read, which decide nothing. ahead: NULL, or VLEN rows
 * that are fetched meanwhile; out always is. room: 2 * height vectors. Returns whether all results are finite. */
typedef int fc_box_across_fn(const void *x, const fc_sums *g, const void *factor, const char *const *ahead, void *out,
                             ptrdiff_t os, void *room);
/* x[j * VLEN + i] = factor * sum_t x[(j + t) * VLEN + i] + 0,  i < VLEN, j < g->cols, t = 0, g->apart ... < g->height. Up to height columns
 * before x are overwritten, and twice as many behind these are read. room: 3 * (height + apart) vectors. The rest as box_across. */
typedef int fc_box_pixels_fn(void *x, const fc_sums *g, const void *factor, void *room);

/* Whether n elements are all finite (fft_tmpl.h) */
typedef int fc_finite_fn(const void *x, ptrdiff_t n);

/* A row of n elements, pixels of `unit` of them, into the phases of a stride (split_tmpl.h):
 * to[p*phase + i*unit + e] = from[(i*s + p)*unit + e]. By the size of the elements, whatever their type. */
typedef void fc_split_fn(void *to, ptrdiff_t phase, const void *from, ptrdiff_t n, ptrdiff_t s, ptrdiff_t unit);

/* Two phases put together (split_tmpl.h): to[2i] = even[i], to[2i + 1] = odd[i], n elements in all */
typedef void fc_join_fn(void *to, const void *even, const void *odd, ptrdiff_t n);

/* Pooling (pooling_tmpl.h):  to[i][j] = the largest, or the sum, of x[at[t] + i*xs + j*step], t < taps, and what is there if `add`.
 * step 2: up to two vectors more of x are read. Sums are divided by by[i*by_row + j*by_col], unless that is NULL. */
enum { FC_POOL_PARTS = 16 };
typedef struct {
    const void *x, *by;
    void *to;
    ptrdiff_t xs, os, rows, cols, taps, step, by_row, by_col;
    const ptrdiff_t *at;
    int add;
} fc_pool;
typedef void fc_pool_max_fn(const fc_pool *g);
typedef void fc_pool_sum_fn(const fc_pool *g);
/* The largest, and which[i*ws + j] = i*row + j*col + place[t] + from[at[t] + i*xs + j], integers as large as elements; or, where all are
 * -inf, by[i*by_row + j*by_col] instead of place[t]. NULL: `from` and by are zeros. With `from`, the first tap is taken whatever it is,
 * and step is 1. Nothing but taps is read. There is no add. */
typedef struct {
    const void *from;
    void *which;
    const ptrdiff_t *place;
    ptrdiff_t ws, row, col;
} fc_pool_find;
typedef void fc_pool_find_fn(const fc_pool *g, const fc_pool_find *f);
/* to[i] = the largest of n elements from x + i*xs on, or if `sums` their sum, divided */
typedef void fc_pool_whole_fn(void *to, const void *x, ptrdiff_t n, ptrdiff_t xs, ptrdiff_t rows, int sums, double by);

/* Template matching (match_tmpl.h). Rows have room for n, rounded up to FC_MATCH_LANES. */
enum { FC_MATCH_LANES = 16 };
typedef struct { /* added to; of the finite elements */
    double sum, low, high;
    int64_t not_finite;
} fc_look;
typedef void fc_match_look_fn(const void *x, ptrdiff_t n, fc_look *look);
typedef void fc_match_shift_fn(void *x, ptrdiff_t n, double centre, double scale);
/* to = from + x, squares_to = squares_from + x*x; the latter unless squares_to is NULL */
typedef void fc_match_add_fn(double *to, double *squares_to, const double *from, const double *squares_from, const void *x,
                             ptrdiff_t n);
/* s[j] = s[j] + ... + s[j+w-1], j < n. s: room for n+w-1, and both buffers a vector more; room: overwritten */
typedef void fc_match_window_fn(double *s, double *room, ptrdiff_t n, ptrdiff_t w);
/* The same for sums and spreads, the sums of squared differences from the mean: one element more than the `count` that
 * there are; two sets of count_a and count_b elements; w neighbours, each of `count` elements */
typedef void fc_match_grow_fn(double *to, double *spread_to, const double *from, const double *spread_from, const void *x,
                              ptrdiff_t n, double count);
typedef void fc_match_merge_fn(double *to, double *spread_to, const double *a, const double *spread_a, const double *b,
                               const double *spread_b, ptrdiff_t n, double count_a, double count_b);
typedef void fc_match_spread_fn(double *s, double *spread, double *room, double *spread_room, ptrdiff_t n, ptrdiff_t w,
                                double count);

/* With mean = s1 per_weight (and if `spreads`, s2 is a spread about it: then s2 + mean sv is used instead)
 *   out = gain (constant + of_num num + of_sum sv + of_squares s2 + of_mean mean)           / sqrt(e) if normed
 *   e   = s2 - mean (2 sv - mean energy) + of_level (centre + sv per_energy)^2
 * then clipped to low ... high; NaN stays. Returns whether any e is not above doubt * s2 + floor.
 *
 * joined: s1, sv and s2 are what match_join has made, of which mean is s1 per_weight, s2 is sv, and e is s2. */
typedef struct {
    int normed, spreads, joined;
    double gain, constant, of_num, of_sum, of_squares, of_mean, per_weight, energy, of_level, centre, per_energy;
    double doubt, floor, low, high;
} fc_score;
typedef int fc_match_score_fn(void *out, void *energy, const void *num, const double *s1, const double *sv, const double *s2,
                              ptrdiff_t n, const fc_score *c);
/* Windows whose parts have means of their own: adds of one part of_mean mean, s2 and e (without level), all as above */
typedef void fc_match_join_fn(double *mean_to, double *squares_to, double *spread_to, const double *s1, const double *sv,
                              const double *s2, ptrdiff_t n, const fc_score *c);

/* n elements of x that count, the others as 0, and counts: 1 or 0 (missing_tmpl.h). x counts where `there` is not 0 (NULL:
 * everywhere), but for NaN, if these are ignored. Returns how many do not. */
typedef ptrdiff_t fc_present_fn(const void *x, const uint8_t *there, int ignores_nan, ptrdiff_t n, void *above, void *counts);
/* sum = sum * total / weight, n of them; sum where weight is total, NaN where it is not above 0 */
typedef void fc_make_up_fn(void *sum, const void *weight, ptrdiff_t n, double total);

/* The arithmetic limit (peak_tmpl.h): `rounds` passes over independent chains of fma; returns the
 * number of floating-point operations done (two per fma and lane). */
typedef double fc_peak_fn(ptrdiff_t rounds);

/* The kernels of one type; NULL is what it does not have. */
typedef struct {
#define FC_FIELD(op) fc_##op##_fn *op;
    FC_OPS(FC_FIELD)
    FC_SHORT_OPS(FC_FIELD)
    FC_WINDOW_OPS(FC_FIELD) FC_WIDE_OPS(FC_FIELD) FC_FLOAT_OPS(FC_FIELD) FC_SINGLE_OPS(FC_FIELD) FC_DOUBLE_OPS(FC_FIELD)
#undef FC_FIELD
} fc_ops;

typedef struct { int rows, vectors; } fc_block;
typedef struct {
    const char *isa;
    int (*supported)(void); /* by this CPU */
    int fma;                /* multiply and add round once: all such tables give the same bits */
    int vector_bytes;
    fc_block block[3];          /* of outputs of K3, the tallest first; tiles.h */
    int fold_from;              /* tiles.h: FC_FOLD_FROM */
    int rows, cols_of[9];       /* tiles.h: FC_ROWS, FC_COLS_OF */
    const fc_ops *op[FC_TYPES]; /* by type */
    fc_dot_kernel dots[FC_DOTS];
} fc_kernels;

#endif
