/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the drivers of convolution layers share: how pixels are packed. conv.c multiplies them by weights, depthwise.c
 * slides kernels over them, lanes.c packs its own.
 *
 * How an axis is packed: either every tap has a set of its own, the elements that the outputs of a block see under it,
 * or taps share the phases of the stride and differ by a shift:
 *
 *      x   0 1 2 3 4 5 6 7 8      taps 3, stride 2, 3 outputs
 *      apart    tap 0: 0 2 4   tap 1: 1 3 5   tap 2: 2 4 6
 *      shared   phase 0: 0 2 4 6   phase 1: 1 3 5            tap 2 is phase 0, shifted by one
 *
 * A packed plane of one channel:  for every tap in depth, set of columns, set of rows: rows of `pitch` elements.
 */
#ifndef FASTCONV_LAYER_H
#define FASTCONV_LAYER_H

#include "common/strides.h"

typedef struct {
    ptrdiff_t block, sets, count; /* outputs of a block; sets, and elements of each */
    int apart;
} split;

/* The outputs of a data gradient that meet the same taps: those of an axis, `step` apart, from `first` on; and its taps. Tap
 * j of them is tap_first + j * tap_step of the kernel, and lies under tap at_first + j * at_step of the axis as it is packed
 * (phases.c). A forward layer has one phase, of all outputs and taps. */
typedef struct {
    ptrdiff_t first, count, taps, tap_first, tap_step, at_first, at_step;
    ptrdiff_t before; /* phases that come before it and have as many elements as any, not one less */
} axis_phase;
typedef struct {
    axis_phase axis[FC_AXES];
    ptrdiff_t taps, part; /* taps of a channel; summed in one go */
    ptrdiff_t at;         /* where its tables begin */
} phase;

typedef struct {
    const fc_conv *g;
    const fc_kernels *fc;  /* of the whole call */
    fc_axis axis[FC_AXES]; /* what is packed, and the outputs of a phase; those that something slides along last */
    ptrdiff_t size, lanes, taps;
    fc_gemm_fn *gemm;
    fc_dot_fn *dot;
    fc_pack_fn *pack;
    split rows, cols;
    ptrdiff_t pitch, row_set, col_set, depth_set, plane; /* elements from one to the next */
    int readable; /* x, by kernels that read elements where an element may lie */
    ptrdiff_t planes, planes_block, most_planes;         /* planes of outputs: images x depths; of a block; of any batch */
    ptrdiff_t blocks[3];                                 /* of planes, rows, columns */
    ptrdiff_t *at;                                       /* where the taps are, per packed channel */
    char *scratch;
    ptrdiff_t most_runs, thread_bytes; /* runs of a channel, at most */

    ptrdiff_t spread[FC_AXES]; /* lanes.c: elements of x lie so far apart, amid zeros */

    /* conv.c, phases.c */
    ptrdiff_t channels, kernels;            /* of a group: read, and written */
    ptrdiff_t whole[FC_AXES], step[FC_AXES]; /* elements written; from output to output of a phase */
    ptrdiff_t phases[FC_AXES], most_taps;   /* phases that have taps; taps of the largest */
    int ragged;                             /* some phases have a column less than others */
    phase *phase;                           /* all of them */
    ptrdiff_t *weight_at, w_row, w_channel; /* where the weights of the taps are; of the next written, read channel */
    int flat;
    ptrdiff_t depth, part_channels, part;   /* taps of all channels; channels and taps summed in one go */
    ptrdiff_t most_spans;                   /* parts, at most, whose channels a part of few taps spans */
    ptrdiff_t pack_channels, packed_plane;  /* packed in one go; elements from one packed plane to the next */
    ptrdiff_t pixels;                       /* outputs of a block and phase, at most */
    ptrdiff_t shares;                       /* of the rows of weights */
    ptrdiff_t most_vectors, most_dots;      /* of a block: vectors of a phase, and dots, at most */
} layer;

/* Taps of one channel that are summed in one go, at most: rounding errors grow with the length of a sum */
enum { LONGEST_PART = 256 };
/* So many taps, or rows of taps, in parts of `most` at most, as even as can be: those of a part */
static inline ptrdiff_t even_part(ptrdiff_t n, ptrdiff_t most)
{
    return parts_of(n, parts_of(n, max(most, 1)));
}

/* Estimated time of so many products, on one thread */
static inline double products_us(const fc_kernels *fc, double products, ptrdiff_t size)
{
    return 2e-3 * products * (double)size / fc->vector_bytes / 6.0;
}

/* The next vector of the last panel, which has n of them, or of a new one; `left` vectors are to come, this one included.
 * Returns the panel of the one behind it. */
static inline fc_panel *add_vector(fc_panel *to, int *n, ptrdiff_t left, ptrdiff_t widest, ptrdiff_t b, ptrdiff_t c,
                                   ptrdiff_t lanes, ptrdiff_t vlen)
{
    if (*n == 0) { /* two and two rather than three and one */
        to->vectors = (int)(left == 4 && widest == 3 ? 2 : left >= widest ? widest : left >= 2 ? 2 : 1);
        to->whole = 1;
    }
    to->b[*n] = b, to->c[*n] = c, to->lanes[*n] = lanes;
    to->whole &= lanes == vlen;
    if (++*n < to->vectors)
        return to;
    *n = 0;
    return to + 1;
}

/* pack.c */
enum sets { SHARED, APART, FEWER /* elements */ };
FC_API split fc_split_axis(const fc_axis *a, ptrdiff_t block, enum sets how);
FC_API void fc_lay_out(layer *l, ptrdiff_t pitch); /* pitch and splits are known: the rest */
/* Where a phase's taps of some channels are, `channel` elements apart */
FC_API void fc_tabulate(const layer *l, const phase *p, ptrdiff_t channels, ptrdiff_t channel, ptrdiff_t *at);
/* What outputs from (row, col) on of plane `plane` see of any channel, as most_runs runs; and one channel packed */
FC_API fc_runs fc_plan_runs(const layer *l, fc_run *run, ptrdiff_t plane, ptrdiff_t row, ptrdiff_t col);
FC_API void fc_pack_channel(const layer *l, char *to, const char *x, const fc_runs *r);

/* phases.c */
typedef struct {
    ptrdiff_t row, rows, col, cols; /* of outputs of a phase */
} area;
FC_API void fc_describe(layer *l); /* what is read and written, axes and how many phases they have */
FC_API ptrdiff_t fc_phases(const layer *l);
FC_API void fc_make_phases(layer *l); /* l->phase */
/* Of the outputs of a block, those of phase p; returns the element of a plane that is written where they begin: phases lie
 * one behind another until fc_interleave brings them to their places. pitch: elements from row to row */
FC_API ptrdiff_t fc_phase_area(const layer *l, const phase *p, area *b, ptrdiff_t *pitch);
/* value: that of elements that meet no tap; all of them, if the plane has none */
FC_API void fc_interleave(const layer *l, const area *block, char *plane, char *room, double value, int has_taps);

/* Threads compute all chunks of a call, or its plan is told, if that is asked for */
static inline void fc_run_or_plan(const fc_conv *g, fc_conv_plan plan, fc_task *run, void *context)
{
    if (g->plan)
        *g->plan = plan;
    else
        fc_pool_run(plan.threads, plan.chunks, run, context);
}

/* conv.c: a layer, or its data gradient, with the instruction set of a call that has begun */
FC_API int fc_layer_run(const fc_conv *g, const fc_kernels *table, int may_exchange);

/* exchange.c: a data gradient of few outputs and many taps */
FC_API int fc_exchange_pays(const layer *l);
FC_API int fc_exchange_run(const layer *l);

/* lanes.c: one channel a group, and many groups. Returns 0, -1, or 1: a block would be too large, nothing is done. */
FC_API int fc_lanes_run(const layer *l);
/* depthwise.c: one channel a group; and its data gradient, for one kernel a group. 1: conv.c is faster, nothing is done. */
FC_API int fc_depthwise_run(layer *l);
FC_API int fc_depthwise_input_run(const layer *l);

#endif
