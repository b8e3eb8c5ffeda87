/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The kernels of small numbers, as kernels.h declares others, which includes this. */
#ifndef FASTCONV_KERNELS_DOTS_H
#define FASTCONV_KERNELS_DOTS_H

/* The same of elements of 32 bits that hold several numbers (dots_tmpl.h): four bytes, or two of 16 bits. Sums are int32, or float32. The
 * first of each that this CPU has is the fastest. Rows are fc->rows at most, vectors whole, and panels of one or of cols_of[rows]. */
enum { FC_DOT_QUAD, FC_DOT_PAIR, FC_DOTS };
/* Planes with kernels of their own, a lane for each (dots_lanes_tmpl.h). Of `columns` pixels, which adjoin, as many bytes each as a vector
 * has, `column` elements are mixed:  mixed[j * column + e][l][i] = x[j][at[e * numbers + i]].  n outputs, `step` of these apart, are made
 * of them:  sums[p][l] = first[l] + sum_{e<elements} mixed[p * step + element_at[e]][l][i] w[e][l][i];  l = fc_lane_of a plane */
typedef struct {
    const char *x;
    const ptrdiff_t *at, *element_at; /* bytes; elements */
    const void *w, *first;
    void *mixed, *sums;
    ptrdiff_t columns, column, step, n, elements;
} fc_dots_lanes;
typedef void fc_dots_lanes_fn(const fc_dots_lanes *g);
static inline ptrdiff_t fc_lane_of(ptrdiff_t plane, ptrdiff_t vector_bytes)
{
    return plane % 16 / 4 * (vector_bytes / 4) + plane / 16 * 4 + plane % 4;
}
typedef struct {
    int (*supported)(void); /* NULL: there is none */
    fc_gemm_fn *gemm;
    fc_dots_lanes_fn *lanes;
} fc_dot_kernel;

/* Planes of bytes to pixels of as many as a vector has bytes, and back (bytes_tmpl.h):  byte p of the pixel at to[at[i]], combined with
 * `flip`, is from[p * apart + i], i < n;  to[p * apart + i] that of pixel i from `from` on. There are `count` planes; others' bytes are any.
 * n is 16 at least. */
typedef struct {
    const char *from;
    char *to;
    const ptrdiff_t *at;
    ptrdiff_t apart, count, n;
    unsigned flip;
} fc_turning;
typedef void fc_bytes_in_fn(const fc_turning *g);
typedef void fc_bytes_out_fn(const fc_turning *g);
/* The first `count` planes of n pixels, `step` bytes apart, from sums of fc_dots_lanes, as FC_U8 or FC_I8: as fc_requantize_fn, with scales
 * in the order of lanes */
typedef struct {
    const void *scale;
    int stored, zero;
    ptrdiff_t count, step;
} fc_rescaling;
typedef void fc_rescale_fn(char *to, const void *sums, ptrdiff_t n, const fc_rescaling *g);

/* Such elements, n pixels of them (weave_tmpl.h):  number p of to[i] is that at from[p] + i * step bytes, p < parts, and the others
 * are 0. Bytes are combined with `flip`; and in pairs, `shift` is taken off. */
typedef struct {
    const char *from[4];
    ptrdiff_t step;
    int kind, parts; /* FC_DOT_QUAD ...  */
    uint32_t flip, shift;
} fc_weaving;
typedef void fc_weave_fn(void *to, const fc_weaving *g, ptrdiff_t n);

/* Sums of int32, as they are stored (weave_tmpl.h):  s[i] = from[i] + add - factor * of_x[i];  of FC_I32, to[i] = s[i]; of FC_U8 and FC_I8
 * s[i] * scale, to the nearest, half to even, + zero, and no more than the type holds. of_x: or NULL */
typedef struct {
    const void *of_x;
    int32_t add, factor, zero;
    float scale;
} fc_requantizing;
typedef void fc_requantize_fn(void *to, int stored, const void *from, ptrdiff_t n, const fc_requantizing *g);

#endif
