/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the driver of weight gradients (weight.c) and its pixels (weight_pixels.c) share: how x is stored.
 *
 * Along an axis, either all lines from the first to the last that a block sees are stored, or those of each tap apart: where taps
 * lie far from each other, or strides are long, there are fewer of these.
 */
#ifndef FASTCONV_WEIGHT_H
#define FASTCONV_WEIGHT_H

#include "layers/layer.h"

typedef struct {
    const fc_conv *g;
    const fc_axis *axis;
    fc_lanes_in_fn *in;
    ptrdiff_t size, vlen;
    int of_pixels;            /* VLEN channels each; or else one channel */
    int apart[FC_AXES];       /* lines under different taps are stored apart */
    ptrdiff_t step[FC_AXES];  /* lines from output to output, as they are stored: 1 where those between are left out */
    ptrdiff_t lines[FC_AXES]; /* rows and columns that the largest block sees, as they are stored */
    ptrdiff_t plane;          /* elements of all of them, for every tap in depth */
} stored;
typedef struct { ptrdiff_t image, z, row, rows, col, cols; } outputs; /* of a block */

/* Elements of an axis of x that n outputs see under one tap, as they are stored apart */
static inline ptrdiff_t lines_of_tap(const stored *s, int i, ptrdiff_t n) { return (n - 1) * s->step[i] + 1; }
/* Under all taps: from the first to the last, or those of each */
static inline ptrdiff_t lines_of(const stored *s, int i, ptrdiff_t n)
{
    return s->apart[i] ? s->axis[i].k * lines_of_tap(s, i, n) : reach(&s->axis[i], n);
}
/* The line that the first of n outputs sees under tap t; output o sees the one step * o behind it. */
static inline ptrdiff_t line_of_tap(const stored *s, int i, ptrdiff_t t, ptrdiff_t n)
{
    return t * (s->apart[i] ? lines_of_tap(s, i, n) : s->axis[i].dilation);
}
static inline ptrdiff_t bytes_of_stored(const stored *s) /* of an element */ { return (s->of_pixels ? s->vlen : 1) * s->size; }

/* weight_pixels.c: which axes are stored apart */
FC_API void fc_choose_lines(stored *s);
/* What a block sees of x, from its first channel x on: pixels of `lanes` channels, or a copy of one */
FC_API void fc_store(const stored *s, const outputs *o, char *to, const char *x, ptrdiff_t lanes);
/* What a block sees of a channel of dy, from one of its rows on; and its outputs of `lanes` channels, `channel` bytes apart, as pixels */
FC_API const char *fc_outputs(const stored *s, const outputs *o, ptrdiff_t channel, ptrdiff_t row);
FC_API void fc_turn_outputs(const stored *s, const outputs *o, char *to, const char *dy, ptrdiff_t channel, ptrdiff_t lanes);

#endif
