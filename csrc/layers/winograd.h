/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What winograd.c plans and winograd_block.c computes: layers with fewer products, a block of tiles at a time.
 */
#ifndef FASTCONV_WINOGRAD_H
#define FASTCONV_WINOGRAD_H

#include "layers/layer.h"
#include <stdatomic.h>

typedef struct {
    const layer *l;
    layer tiles; /* of which a tile is an output */
    fc_points points;
    ptrdiff_t m[FC_AXES], values; /* outputs of a tile along each axis; n x n */
    ptrdiff_t channels;           /* times depth taps */
    ptrdiff_t rows, cols, planes; /* of tiles in a block, and planes */
    int flat;                     /* rows of tiles adjoin */
    ptrdiff_t width, panels;      /* tiles of a panel; panels of a block */
    packing pack;                 /* the elements that a block sees, as rows */
    ptrdiff_t pitch, set,
        value;       /* of their values: from row to row of tiles, of such rows to those m apart, and from value to value */
    ptrdiff_t depth; /* channels that are multiplied in one go; */
    ptrdiff_t w_depth, w_point; /* of kernels' values, elements from such channels to the next, and from value to value; */
    ptrdiff_t panel, in_point;  /* of tiles' values, from panel to panel, and from value to value; */
    ptrdiff_t kernels, out_panel, out_point; /* a set of kernels; likewise of products */
    const char *w;                           /* values of kernels */
    ptrdiff_t *at;
    atomic_char *doubtful; /* images */
    ptrdiff_t shares;      /* of the kernels */
    int threads;
    ptrdiff_t chunks, thread_bytes;
    char *scratch;
} winograd;

/* What a thread works on */
typedef struct {
    char *packed, *values, *in, *products, *out;
    fc_run *run;
    ptrdiff_t plane, planes, runs, tiles; /* runs of a plane, and tiles of a run: rows of tiles, or, if flat, all of them */
    area area;
} block;

/* winograd_block.c. The scratch of a thread; and one block: index counts (planes, rows, columns, group, share of the kernels) */
FC_API void fc_winograd_lay_parts(const winograd *d, fc_room *r, block *b);
FC_API void fc_winograd_block(void *context, ptrdiff_t index, int slot);

#endif
