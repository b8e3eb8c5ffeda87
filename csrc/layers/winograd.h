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
    ptrdiff_t apart[FC_AXES];     /* outputs of a phase: taps are so far apart */
    ptrdiff_t phases[FC_AXES];    /* of a plane */
    ptrdiff_t all_planes;         /* of phases */
    ptrdiff_t parts[FC_AXES];     /* of a kernel: depth taps, and parts of up to 3 taps along rows and columns */
    ptrdiff_t channels;           /* times parts */
    ptrdiff_t rows, cols, planes; /* of tiles in a block, and planes */
    int flat;                     /* rows of tiles adjoin */
    ptrdiff_t width, panels;      /* tiles of a panel; panels of a block */
    packing pack;                 /* the elements that a block sees, as rows */
    /* From value to value, elements: along rows, and of kernels, tiles and products. From row to row of tiles, and to the rows that
     * lie elsewhere in a tile; from some channels, `depth`, to the next; from panel to panel */
    ptrdiff_t value, pitch, set;
    ptrdiff_t w_point, depth, w_depth;
    ptrdiff_t in_point, panel;
    ptrdiff_t out_point, out_panel, kernels; /* of so many kernels */
    int at_once;                             /* each kernel is multiplied once: its values are made there, */
    const char *w;                           /* or are here */
    ptrdiff_t *at;
    atomic_char *doubtful; /* images */
    ptrdiff_t shares;      /* of the kernels */
    int threads;
    ptrdiff_t chunks, thread_bytes;
    char *scratch;
} winograd;

/* What a thread works on */
typedef struct {
    char *packed, *values, *in, *w, *products, *out;
    fc_run *run;
    ptrdiff_t plane, planes, runs, tiles; /* runs of a plane, and tiles of a run: rows of tiles, or, if flat, all of them */
    area area;
} block;

/* So many pairs of points along axes of several taps */
static inline fc_points winograd_points(const layer *l, int pairs)
{
    const int rows = l->axis[ROWS].k > 1 ? pairs : 0, cols = l->axis[COLS].k > 1 ? pairs : 0;
    return pairs == 2 ? (fc_points){rows, cols, {0.75, 1.5}} : (fc_points){rows, cols, {1, 0}};
}
static inline ptrdiff_t winograd_values(int pairs) { return pairs ? 2 * pairs + 2 : 1; }
static inline ptrdiff_t winograd_outputs(int pairs) { return pairs ? 2 * pairs : 1; }

/* Part i of an axis of so many parts begins at tap 2i, and has 2 taps, but for the last one, which has 3 of an odd number */
static inline ptrdiff_t winograd_parts(const fc_axis *a) { return max(a->k / 2, 1); }
static inline ptrdiff_t winograd_part_taps(const fc_axis *a, ptrdiff_t i)
{
    return i < winograd_parts(a) - 1 ? 2 : a->k - 2 * i;
}

/* Outputs that lie so far apart are a plane of their own, a phase: dilated taps adjoin there. The outputs of a phase, at most; and how
 * many there are. */
static inline ptrdiff_t winograd_apart(const fc_axis *a) { return a->k > 1 ? a->dilation : 1; }
static inline ptrdiff_t winograd_phase_outputs(const fc_axis *a) { return parts_of(a->out, winograd_apart(a)); }
static inline ptrdiff_t winograd_phases(const fc_axis *a) { return min(winograd_apart(a), a->out); }

/* Where the part of these rows and columns comes among those of a plane, in an order in which the last of the rows, the last of the
 * columns, and what is in both, adjoin:
 *
 *      5 6 3
 *      7 8 4      the part in the corner is 2
 *      0 1 2
 */
static inline ptrdiff_t winograd_part_at(const winograd *d, ptrdiff_t row, ptrdiff_t col)
{
    const ptrdiff_t rows = d->parts[ROWS], cols = d->parts[COLS];
    if (row == rows - 1)
        return col;
    return col == cols - 1 ? cols + row : rows + cols - 1 + row * (cols - 1) + col;
}

/* winograd_learn.c. The values of all kernels, by all threads; of some of a group from `kernel` on */
FC_API void fc_winograd_learn_all(const winograd *d, char *to);
FC_API void fc_winograd_learn_some(const winograd *d, char *to, ptrdiff_t group, ptrdiff_t kernel, ptrdiff_t kernels);
/* winograd_block.c. The scratch of a thread; and one block: index counts (planes, rows, columns, group, share of the kernels) */
FC_API void fc_winograd_lay_parts(const winograd *d, fc_room *r, block *b);
FC_API void fc_winograd_block(void *context, ptrdiff_t index, int slot);

#endif
