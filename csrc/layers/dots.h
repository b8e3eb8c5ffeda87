/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the files of layers of bytes share: dots.c computes, dots_weights.c arranges weights, dots_pack.c packs x. */
#ifndef FASTCONV_DOTS_H
#define FASTCONV_DOTS_H

#include "layers/layer.h"

/* An element of 32 bits holds `group` numbers: of as many channels; or of a few channels, of as many taps of a row */
typedef struct {
    const fc_dots *g;
    layer l; /* whose channels are those of elements, and whose taps of a row are, too */
    int kind, of_taps;
    fc_gemm_fn *gemm;
    ptrdiff_t group;
    ptrdiff_t taps, depth; /* of elements: taps of a channel, all of a kernel */
    uint32_t flip, shift;  /* as in fc_weaving */
    int32_t x_zero;        /* of x as it is woven */
    int corrects;          /* weights have zeros that are taken off sums */
} dots;

FC_API dots fc_dots_describe(const fc_dots *g);

/* dots_weights.c. What is made of weights: the kind of dots that it is for; all kernels' elements; what is added to their sums; and if it
 * corrects, a kernel of ones */
typedef struct {
    int32_t *form, *element, *first, *ones;
    ptrdiff_t bytes;
} dots_weights;
FC_API dots_weights fc_dots_weights(const dots *d, const char *at);
FC_API void fc_dots_arrange(const dots *d, char *to);
/* What stands for zero in weights of a kernel, as they are arranged */
FC_API int32_t fc_dots_zero(const dots *d, ptrdiff_t kernel);

/* dots_pack.c: channel c of a group's elements, as the runs say, from x of the group on */
FC_API void fc_dots_pack(const dots *d, const packing *p, char *to, const char *x, ptrdiff_t c, const fc_runs *runs);

/* dots_lanes.c: a channel a group, and many of these, computed otherwise. What fc_dots_learn, fc_dots_form and fc_dots_run do of such layers. */
FC_API int fc_dots_by_lanes(const dots *d);
FC_API int fc_dots_lanes_form(const dots *d);
FC_API ptrdiff_t fc_dots_lanes_learn(const dots *d, char *to);
FC_API int fc_dots_lanes_run(const dots *d);

#endif
