/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the drivers of convolution layers share. Each calls only those to its right:
 *
 *   conv.c, halves.c        taps.c      zones.c     products.c (tile.c, blocks.c, phases.c)    pack.c
 *   a call; few outputs;    which one   single.c    (blocks.c, bands.c)                        what outputs see, packed
 *   float16                             winograd.c (winograd_learn.c, winograd_block.c), across.c
 *                                       slides.c, lanes.c, planes.c, points.c, transforms.c (transforms_tiles.c)
 *                                       weight.c (winograd_weight.c)
 *
 * fold.c, pooling.c and pooling_back.c (pooling_means.c, pooling_find.c, pooling_parts.c) and bottleneck.c stand alone. How an axis is packed: either
 * every tap has a set of its own, the elements that the outputs of a block see under it, or taps share sets, whose lines are the
 * stride or less apart, and differ by a shift:
 *
 *      x   0 1 2 3 4 5 6 7 8      taps 3, stride 2, 3 outputs
 *      apart           tap 0: 0 2 4   tap 1: 1 3 5   tap 2: 2 4 6
 *      shared, line 2  phase 0: 0 2 4 6   phase 1: 1 3 5             tap 2 is phase 0, shifted by one
 *      shared, line 1  0 1 2 3 4 5 6                                 tap 2 is shifted by two
 *
 * A packed plane of one channel:  for every tap in depth, set of columns, set of rows: rows of `pitch` elements; or of as many
 * pixels, which hold an element of VLEN channels each (lanes_tmpl.h).
 */
#ifndef FASTCONV_LAYER_H
#define FASTCONV_LAYER_H

#include "common/strides.h"

/* The next piece of n outputs that are cut into pieces of `size`: how many outputs it has, and the first of them. index counts
 * pieces, of these outputs last; what is left of it counts the others. */
static inline ptrdiff_t next_piece(ptrdiff_t *index, ptrdiff_t n, ptrdiff_t size, ptrdiff_t *first)
{
    *first = 0;
    if (n <= size) /* a few divisions take as long as a small call */
        return n;
    const ptrdiff_t pieces = parts_of(n, size);
    *first = *index % pieces * size;
    *index /= pieces;
    return min(size, n - *first);
}

/* What a call means: a layer, or a data gradient as one (phases.c). All sums are over `channels` and taps. */
typedef struct {
    const fc_conv *g;
    const fc_kernels *fc;                    /* of the whole call, */
    const fc_ops *op;                        /* and its type */
    fc_axis given[FC_AXES];                  /* the call's, those that something slides along last */
    fc_axis axis[FC_AXES];                   /* what is read, and the outputs of a phase */
    ptrdiff_t spread[FC_AXES];               /* elements of x lie so far apart, amid zeros; but for lanes.c: 1 */
    ptrdiff_t size, stored;                  /* bytes of an element, and of one of x and out */
    ptrdiff_t lanes, taps;                   /* elements of a vector; taps of a kernel, */
    ptrdiff_t cut_as;                        /* and of one whose parts are cut alike: of a zone, of the whole layer (zones.c) */
    ptrdiff_t first[FC_AXES], left[FC_AXES]; /* of a zone, else 0: the first output; taps of the kernel before its own */
    ptrdiff_t channels, kernels;             /* of a group: read, and written */
    ptrdiff_t w_row, w_channel, w_group;     /* weights from one written, one read channel, one group to the next */
    ptrdiff_t planes;                        /* of outputs of a phase: images x depths */
    ptrdiff_t whole[FC_AXES], step[FC_AXES]; /* elements written; from output to output of a phase */
    ptrdiff_t phases[FC_AXES], most_taps;    /* phases that have taps; taps of the largest */
} layer;

/* phases.c */
FC_API layer fc_describe(const fc_conv *g, const fc_kernels *table);
FC_API layer fc_describe_weight(const fc_conv *g); /* the axes of a weight gradient are in the order of dy */
/* The axes, those of one element first: a signal in a column is as good as one in a row */
FC_API void fc_sort_axes(fc_axis to[FC_AXES], const fc_axis from[FC_AXES]);

/* ---- what outputs see ------------------------------------------------------------------------- */

/* The outputs of a data gradient that meet the same taps: those of an axis, `step` apart, from `first` on; and its taps. Tap
 * j of them is tap_first + j * tap_step of the kernel, and lies under tap at_first + j * at_step of the axis as it is packed
 * (phases.c). A forward layer has one phase, of all outputs and taps. */
typedef struct { ptrdiff_t first, count, taps, tap_first, tap_step, at_first, at_step; } axis_phase;
typedef struct {
    axis_phase axis[FC_AXES];
    ptrdiff_t taps, part; /* taps of a channel; summed in one go */
    ptrdiff_t at;         /* where its tables begin */
} phase;

typedef struct {
    ptrdiff_t block, sets, count; /* outputs of a block; sets, and lines of each */
    ptrdiff_t line, step;         /* elements of x from line to line; lines from output to output */
    int apart;
} split;
typedef struct {
    const layer *l;
    split rows, cols;
    ptrdiff_t pitch, row_set, col_set, depth_set, plane; /* elements, or pixels, from one to the next */
    ptrdiff_t row_step, col_step;                        /* elements of x from line to line */
    ptrdiff_t most_runs;                                 /* of a channel */
    ptrdiff_t pixel;                                     /* elements of one, or 0: planes, an element of a channel at a time */
    int leaves_out;                                      /* leaves_out: nobody reads the pixels of rows and planes outside x */
    ptrdiff_t turned;                                    /* sets of columns that are packed at once, as pixels; or 0 */
    int readable;                                        /* x, by kernels that read elements where an element may lie */
} packing;
/* Elements, or pixels, of what is read of x: from tap to tap, from output to output, from channel to channel */
typedef struct { ptrdiff_t tap[FC_AXES], out[FC_AXES], channel; } walk;
typedef struct { ptrdiff_t row, rows, col, cols; /* of outputs, or of those of a phase */ } area;

/* pack.c. line: the stride of the axis, or 1 */
enum sets { SHARED, APART, FEWER /* elements */ };
FC_API split fc_split_axis(const fc_axis *a, ptrdiff_t block, ptrdiff_t line, enum sets how);
FC_API packing fc_lay_out(const layer *l, split rows, split cols, ptrdiff_t pitch, ptrdiff_t pixel);
/* How to walk through x: as it is packed, or where it is */
FC_API walk fc_walk(const packing *p, int packed);
/* Where the taps of a phase are, channel by channel: as they are packed, and of a kernel. weight_at: or NULL */
FC_API void fc_tabulate(const packing *p, const phase *q, ptrdiff_t channels, ptrdiff_t *at, ptrdiff_t *weight_at);
/* The element of x that is met at i of an axis; -1: none */
FC_API ptrdiff_t fc_source(const layer *l, int axis, ptrdiff_t i);
/* What the outputs of an area of plane `plane` see of any channel, as most_runs runs; and one channel packed, or pixels of
 * `lanes` channels. zeros: those beyond x are written, too; or else they are there */
#define FC_NOWHERE PTRDIFF_MIN /* the first column of a run of zeros */
FC_API fc_runs fc_plan_runs(const packing *p, fc_run *run, ptrdiff_t plane, const area *a);
FC_API void fc_pack_channel(const packing *p, char *to, const char *x, const fc_runs *r);
FC_API void fc_pack_pixels(const packing *p, char *to, const char *x, const fc_runs *r, ptrdiff_t lanes, int zeros);
/* What was summed of pixels that share a vector of so many bytes, n sums in rows of `cols` taps, each to a vector of its own */
FC_API void fc_spread_taps(char *sums, ptrdiff_t n, ptrdiff_t cols, ptrdiff_t vector, ptrdiff_t share);
/* Rows of elements of `lanes` channels, `channel`, `row` and `step` bytes apart, to pixels; `pitch` pixels from row to row */
FC_API void fc_turn(const layer *l, char *to, ptrdiff_t pitch, ptrdiff_t pixel, const char *from, ptrdiff_t channel,
                    ptrdiff_t row, ptrdiff_t step, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t lanes);

/* ---- products --------------------------------------------------------------------------------- */

/* Taps of one channel that are summed in one go, at most: rounding errors grow with the length of a sum */
enum { LONGEST_PART = 256 };
/* So many taps, or rows of taps, in parts of `most` at most, as even as can be: those of a part */
static inline ptrdiff_t even_part(ptrdiff_t n, ptrdiff_t most) { return parts_of(n, parts_of(n, max(most, 1))); }

static inline double element_at(int type, const void *p, ptrdiff_t i)
{
    return type == FC_F32 ? (double)((const float *)p)[i] : ((const double *)p)[i];
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

/* blocks.c: how taps are summed, and a plane of outputs is cut and packed */
typedef struct {
    ptrdiff_t part, part_channels; /* taps, and channels, summed in one go */
    split rows, cols;
    int flat;         /* rows of outputs adjoin in the packed block */
    ptrdiff_t pitch;  /* of its rows */
    ptrdiff_t planes; /* that may share a block, however many there are */
} layout;
FC_API layout fc_choose_layout(const layer *l);
/* Outputs at the end of a run of `length` that inner products take */
FC_API ptrdiff_t fc_dots_of(const layer *l, const layout *y, ptrdiff_t length);

/* phases.c. All phases of a layer, and where their taps are: tables of taps * channels */
typedef struct {
    phase *phase;
    ptrdiff_t *at, *weight_at, channels;
} phase_tables;
FC_API ptrdiff_t fc_phases(const layer *l);
FC_API void fc_make_phases(const packing *p, const phase_tables *t);
/* Of the outputs of a block, those of phase `index`; returns the element of a plane that is written where they begin: phases lie
 * one behind another until fc_interleave brings them to their places. pitch: elements from row to row. stored: those of the phases
 * before, which are asked for in order */
FC_API ptrdiff_t fc_phase_area(const layer *l, const phase *all, ptrdiff_t index, area *b, ptrdiff_t *pitch, ptrdiff_t *stored);
/* value: that of elements that meet no tap; all of them, if the plane has none */
FC_API void fc_interleave(const layer *l, const phase *all, const area *block, char *plane, char *room, double value,
                          int has_taps);

/* What is added where results lie at `out`; NULL: nothing is */
static inline const char *fc_added(const fc_conv *g, const char *out)
{
    return g->add ? (const char *)((uintptr_t)out + (uintptr_t)g->add) : NULL;
}

/* Rows of results at `from`, `fs` elements apart, to their places in out, `ts` apart, clamped or finished: while they are in cache */
static inline void fc_finish(const layer *l, char *to, ptrdiff_t ts, const char *from, ptrdiff_t fs, ptrdiff_t rows,
                             ptrdiff_t cols)
{
    const fc_conv *g = l->g;
    const fc_finishing f = {to, from, fc_added(g, to), rows, cols, ts, fs, g->activation, g->low, g->high};
    l->op->finish(&f);
}

/* ---- drivers ---------------------------------------------------------------------------------- */

/* Threads compute all chunks of a call, or its plan is told, if that is asked for */
static inline void fc_run_or_plan(const fc_conv *g, fc_conv_plan plan, fc_task *run, const void *context)
{
    if (g->plan)
        *g->plan = plan;
    else
        fc_pool_run(plan.threads, plan.chunks, run, (void *)context);
}

/* Memory for `tables`, which are then placed there, and behind them the scratch of so many threads; NULL: there is none */
static inline char *fc_borrow_rooms(fc_room *tables, int threads, ptrdiff_t thread_bytes, char **scratch)
{
    const ptrdiff_t bytes = tables->bytes;
    char *memory = fc_borrow((size_t)plus(bytes, times(threads, thread_bytes)));
    *tables = (fc_room){.block = memory};
    *scratch = memory ? memory + bytes : NULL;
    return memory;
}

/* halves.c: a call whose arrays are float16, by one (fc_conv_run, fc_conv_weight_run) whose arrays are not. And rows of sums at
 * `from`, fs elements apart, to their places in out, which are ts apart: finished, and rounded once */
FC_API int fc_halves_run(const fc_conv *g, int (*run)(const fc_conv *));
FC_API void fc_store_halves(const layer *l, char *to, ptrdiff_t ts, const char *from, ptrdiff_t fs, ptrdiff_t rows,
                            ptrdiff_t cols);
/* taps.c: any layer or data gradient, by one of those below; whether these read float16; and whether there is one channel a group. Of
 * float16, weights and biases of such are widened before */
FC_API int fc_taps_run(const layer *l);
FC_API int fc_taps_read_halves(const layer *l);
FC_API int fc_taps_are_planes(const layer *l);
/* Matrix products of weights and pixels, or inner products for one output; one channel a group, all planes of which slide, or are
 * lanes. fc_single_run returns 1 where it is not made for the layer, fc_lanes_run where a block would be too large: nothing is
 * done then. */
FC_API int fc_products_run(const layer *l);
/* The same in so many bytes of memory that are there */
FC_API ptrdiff_t fc_products_bytes(const layer *l);
FC_API void fc_products_run_in(const layer *l, char *memory);
/* winograd.c: fewer products; returns 1 where the call does not allow them, or they do not pay */
FC_API int fc_winograd_run(const layer *l);
/* transforms.c: large kernels and few channels, forward; returns 1 where the call does not allow them, or they do not pay. The
 * points of a tile, or 0; and what fc_conv_learn says */
FC_API int fc_transforms_run(const layer *l);
FC_API int fc_transforms_tile(const layer *l, fc_tile *tile);
FC_API ptrdiff_t fc_transforms_learn(const layer *l, char *to);
/* winograd_weight.c: weight gradients with fewer products. The bytes of memory that it needs, 0 if that cannot be or does not pay; and
 * what it does in these: it returns 1 where something is not finite, and all is to be computed once more. */
FC_API ptrdiff_t fc_winograd_weight_bytes(const layer *l);
FC_API int fc_winograd_weight_run_in(const layer *l, char *memory);
/* zones.c: products without the taps that meet nothing but zeros; returns 1 where few do. And whether all weights are finite */
FC_API int fc_zones_run(const layer *l);
FC_API int fc_weights_are_finite(const layer *l);
FC_API int fc_single_run(const layer *l);
/* across.c: small planes of a batch; returns 1 where they are few, it does not pay, or a weight is not finite */
FC_API int fc_across_run(const layer *l);
FC_API int fc_slides_run(const layer *l);
/* Returns 1 where it is not made for the layer */
FC_API int fc_planes_run(const layer *l);
/* bias_first: sums begin with it, as in slides.c; else it comes last */
FC_API int fc_lanes_run(const layer *l, int bias_first);
/* Channels last: one tap; returns 1 where x is otherwise */
FC_API int fc_points_run(const layer *l);

#endif
