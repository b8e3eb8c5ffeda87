/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the files of pooling share: a call, the windows of an axis, and what a thread works with.
 */
#ifndef FASTCONV_POOLING_H
#define FASTCONV_POOLING_H

#include "layers/layer.h"

typedef struct {
    const fc_pooling *g;
    const fc_ops *op;
    fc_axis axis[FC_AXES]; /* rows are channels, where nothing slides along rows */
    ptrdiff_t size, channels;
    ptrdiff_t inside, pitch; /* elements of x that a row of outputs meets; pixels from row to row of the buffer */
    ptrdiff_t rows, lanes;   /* of a block: rows of outputs; channels of a pixel, or 1 */
    ptrdiff_t units, share;  /* of these blocks: all; a chunk's */
    ptrdiff_t rows_met;      /* rows that outputs meet, beyond x, too */
    int framed; /* a plane is small, and copied amid what lies beyond, rather than that each row has taps of its own */
    ptrdiff_t thread_bytes;
    char *scratch;
} pooling;

/* What output o sees of an axis: `count` elements, first, first + step, ...; `all` is as many as a mean has */
typedef struct { ptrdiff_t first, step, count, all; } window;

/* What a thread works with */
typedef struct {
    char *buffer, *phases; /* rows that are met across; their phases, if the stride is more than 2 */
    char *plane;           /* rows of x amid what lies beyond */
    char *count, *by;      /* elements that columns of a mean have, and with its rows */
    char *which, *part;    /* taps of a row of outputs; parts of a whole window, channels last */
    ptrdiff_t *at, *across;
    double counted; /* rows in `by` */
} parts;
/* pooling_find.c: the largest elements, and where they are. w: the windows of depth and rows, and of columns, if it is one output, or one
 * of every channel of a pixel; x: a plane; or a row of outputs */
FC_API void fc_pool_find_listed(const pooling *d, const parts *p, const char *x, char *to, int64_t *index,
                                const window w[FC_AXES]);
FC_API void fc_pool_find_row(const pooling *d, const parts *p, const char *x, char *to, int64_t *index,
                             const window w[FC_AXES]);

#endif
