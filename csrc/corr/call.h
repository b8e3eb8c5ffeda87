/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the files of the driver of correlation share: one call, and what a method is. The floors, from the top:
 *
 *      each.c                                       calls with a kernel of their own for each element of some axes
 *      corr.c                                       a call: the plan, the method, chunks for the threads
 *      overlap.c                                    pairs of tiles, transformed by fft.c
 *      boxes.c                                      boxes of outputs, in x or gathered, by the method of the call
 *      direct.c im2col.c separable.c bytes.c        methods: a patch of outputs from rows whose columns are adjacent
 *      steps.c byte_steps.c threes.c columns.c pixels.c box.c lines.c
 *      gather.c, common/strides.c                   elements of x into scratch
 *
 * A call is constant while its chunks are computed. It may be begun again with other arrays of the same alignment: of fc_corr
 * only sizes, steps, factors and the tap of FC_BOX are read then.
 */
#ifndef FASTCONV_CALL_H
#define FASTCONV_CALL_H

#include "corr/gather.h"

typedef struct call call;
typedef struct job job;

/* Outputs from ... to along each axis */
typedef struct { ptrdiff_t from[FC_AXES], to[FC_AXES]; } box;

/* rows x cols outputs of one plane; the first is number (row, col), and under its window begins src */
typedef struct {
    const rows_of *r;
    const char *src;
    ptrdiff_t row, col;
    char *out;
    ptrdiff_t out_row, rows, cols; /* out_row: elements */
    ptrdiff_t out_result;          /* bytes from result to result */
} patch;

/* One thread's scratch: what is gathered, outputs of a tile, a row of them as stored; and what the method needs */
typedef struct {
    gather_room gather;
    char *tile, *out, *stored, *strip, *strip_sums;
    ptrdiff_t *at;                             /* im2col.c, separable.c, bytes.c, columns.c */
    const char **rows;                         /* columns.c: where rows of x lie; */
    char *fills;                               /* a row of fill values */
    char *narrow, *results;                    /* threes.c */
    char *panel, *sums, *planes, *turned_sums; /* the first is im2col.c's */
    char *phases, *deep;                       /* steps.c */
    char **tails, *down, *turned, *across, *boxes, *ring,
        *between;              /* box.c, lines.c; the second to fourth are separable.c's, too */
    char *second, *transforms; /* overlap.c: the other tile of a pair */
    int *doubtful;             /* fastconv.h */
} scratch;

/* Outputs of p, whose rows of x s->rows holds. Columns low ... high of those that they look at are there; of the others s->at names
 * those that stand for them, or -1 for fill values, from left to right */
typedef void fc_band_fn(const call *c, const scratch *s, ptrdiff_t low, ptrdiff_t high, const patch *p);

/* A method. What is NULL has nothing to do. */
typedef struct {
    int reads_tiles;                                      /* only: x is gathered throughout */
    int as_stored;                                        /* it reads x, and writes out, in the types that they have */
    int needs_no_boxes;                                   /* it computes chunks by itself, whatever x and out are */
    int (*prepare)(call *c);                              /* what sizes depend on; 0, or -1 */
    void (*tables)(call *c, fc_room *r);                  /* of taps: counted, or placed and filled */
    void (*parts)(const call *c, fc_room *r, scratch *s); /* its part of scratch */
    void (*retap)(call *c, char *scratch);                /* tables with other taps; scratch: of a thread */
    void (*compute)(const call *c, const scratch *s, const patch *p);
    void (*turned)(const call *c, const scratch *s, const patch *p); /* of src and out, rows are columns */
    void (*chunk)(const job *j, ptrdiff_t index);                    /* the index-th share of a plane; NULL: in boxes */
    fc_band_fn *band;                                                /* of chunk, where it is columns.c's */
} method;

/* FC_FFT: the elements a tile looks at, its outputs, and how many tiles there are, along each axis */
typedef struct { ptrdiff_t n[FC_AXES], out[FC_AXES], count[FC_AXES]; } tile_grid;

struct call {
    const fc_corr *g;     /* but for its arrays, x and out */
    const fc_kernels *fc; /* of the whole call */
    const fc_ops *op;     /* of the type of the arithmetic */
    const method *method;
    fc_plan plan;
    source x;
    ptrdiff_t size;         /* bytes of an element of the arithmetic, */
    int made;               /* the type of what the method makes, */
    ptrdiff_t made_size;    /* and its bytes; of what it reads: x.size */
    int x_adjacent;         /* rows of x can be read where they are, */
    int out_adjacent;       /* and outputs be written */
    int asks;               /* its tables take long: whether it is given up is asked meanwhile */
    ptrdiff_t results;      /* of a place: terms that are not combined */
    int streams;            /* out is so large that it goes past the caches, */
    int is_far;             /* or that it does not fit into L2 */
    ptrdiff_t fetches_from; /* tap rows for which rows of x are asked for ahead */
    double divisor;         /* of what is stored; 1: none */
    double turned_taps;     /* the method's: of an output of a turned tile; 0: it cannot compute these */

    /* boxes.c. What the method asks for before: outputs of a tile, at least, or exactly where it says how deep it is; rows
     * and columns that tiles and outputs of tiles in scratch have more */
    box inner;    /* outputs whose windows lie inside x */
    int is_tiled; /* there are others, or x cannot be read where it is */
    ptrdiff_t tile_out[FC_AXES], more;
    ptrdiff_t out_row; /* elements from row to row of outputs in scratch */
    rows_of user, tile;
    rows_of strip; /* of a turned tile; its outputs, none if there are no such tiles */
    ptrdiff_t strip_out[FC_AXES];

    /* the method's */
    union {
        struct {
            fc_taps taps, turned;
            ptrdiff_t fold;
        } direct; /* turned: of turned tiles; fold: columns of a row that a signal is folded into, or 0 */
        fc_order ordered, lines[2][FC_AXES]; /* of lines, for each term */
        struct {
            ptrdiff_t rows, cols, row, phase;
        } separable; /* bytes.c, steps.c, too: outputs of a block; elements of a row of their sums, and of a phase of it, if there are several */
        struct {
            ptrdiff_t rows, cols, strip, block, phase;
        } columns; /* pixels.c, threes.c, box.c, too: that a chunk looks at; columns of outputs computed at a time, or 0 for all; outputs of a
                      row whose sums so far stay in L1; from phase to phase of sums */
    };
    struct {
        fc_fft *fft;
        tile_grid grid;
    } overlap;

    fc_room tables;         /* the same for all threads */
    ptrdiff_t thread_bytes; /* of scratch */
};

/* One chunk's view of the arrays: a plane of each. */
struct job {
    const call *c;
    scratch s;
    const char *x;
    char *out;
};

/* Elements of a pixel */
static inline ptrdiff_t unit_of(const fc_axis *axis) { return max(axis->unit, 1); }

/* Of one result of a turned tile */
static inline ptrdiff_t strip_bytes(const call *c) { return times(times(c->strip_out[COLS], c->strip.row), c->size); }

/* Where the window of an output begins, in an x that holds it */
static inline const char *x_at(const job *j, const ptrdiff_t at[FC_AXES])
{
    const char *x = j->x;
    for (int a = 0; a < FC_AXES; a++)
        x += (at[a] * j->c->g->axis[a].stride - j->c->g->axis[a].lead) * j->c->g->axis[a].x_step;
    return x;
}
static inline char *out_at(const job *j, ptrdiff_t z, ptrdiff_t row, ptrdiff_t col)
{
    const fc_axis *axis = j->c->g->axis;
    return j->out + z * axis[DEPTH].out_step + row * axis[ROWS].out_step + col * axis[COLS].out_step;
}

/* corr.c. What does not depend on the elements of x: 0, or -1. small: room of FC_SMALL for tables that fit there, or NULL */
enum { FC_SMALL = 4096 };
FC_API int fc_call_prepare(call *c, const fc_corr *g, const fc_kernels *fc, char *small);
FC_API void fc_call_carry_out(const call *c, const char *x, char *out, int *doubtful, char *scratch); /* for all its threads */
FC_API void fc_call_forget(call *c, const char *small);

/* boxes.c */
FC_API void fc_lay_boxes(call *c); /* tiles, and whether there are any */
FC_API void fc_boxes_parts(const call *c, fc_room *r, scratch *s);
FC_API box fc_share(const call *c, ptrdiff_t index); /* number `index` of a plane's */
FC_API void fc_boxes(const job *j, ptrdiff_t index);
enum { IN_PLACE, GATHERED, TURNED }; /* windows lie in x, or are brought into tiles whose rows are rows, or columns, of x */
FC_API void fc_boxes_compute(const job *j, const box *b, int how);
static inline int is_empty(const box *b)
{
    return b->from[DEPTH] >= b->to[DEPTH] || b->from[ROWS] >= b->to[ROWS] || b->from[COLS] >= b->to[COLS];
}

extern FC_API const method fc_direct, fc_im2col, fc_separable, fc_overlap, fc_box, fc_ordered, fc_lines, fc_bytes, fc_columns,
    fc_by_pixels, fc_by_threes, fc_steps, fc_byte_steps;

/* overlap.c */
FC_API void fc_overlap_plan(int vector_bytes, const fc_corr *g, fc_plan *plan);
FC_API ptrdiff_t fc_overlap_bytes(const fc_corr *g); /* of the spectrum */

/* columns.c, for pixels.c and threes.c, too: the rows and columns of a patch, and of a chunk, for the band of the method */
FC_API void fc_columns_compute(const call *c, const scratch *s, const patch *p);
FC_API void fc_columns_chunk(const job *j, ptrdiff_t index);
/* Which columns stand for those beyond x, of `wide` from `first` on, into s->at; whether they are among low ... high */
FC_API int fc_columns_find(const call *c, const scratch *s, ptrdiff_t first, ptrdiff_t low, ptrdiff_t high, ptrdiff_t wide);
/* Turned sums, lines of so many bytes: of columns beyond low ... high, those of the columns that s->at names, or `fill` */
FC_API void fc_columns_turned(const scratch *s, char *sums, ptrdiff_t line, ptrdiff_t low, ptrdiff_t high, ptrdiff_t wide,
                              const char *fill);
/* Turned sums, `tall` for each of n columns, to so many rows of out; whole vectors of columns are read. ahead: NULL, or as many rows of x
 * that are fetched, if out is far */
FC_API void fc_columns_back(const call *c, const char *turned, ptrdiff_t tall, const char *const *ahead, char *out,
                            ptrdiff_t out_row, ptrdiff_t rows, ptrdiff_t n);

/* boxes.c, for steps.c, too: where p's results are made, of depth z; and how they come to out if that is scratch */
FC_API void fc_boxes_place(const job *j, ptrdiff_t z, patch *p);
FC_API void fc_boxes_store(const job *j, ptrdiff_t z, const patch *p);

/* separable.c, for steps.c, too: the last pass, from sums of all terms, whose rows lie so many elements apart, and columns of taps where
 * s->at says */
FC_API void fc_separable_across(const call *c, const scratch *s, const char *sums, ptrdiff_t row, const patch *p);

/* steps.c, for byte_steps.c, too: all bands of a share of a plane, of as many outputs as c->separable says */
typedef void fc_steps_band_fn(const job *j, ptrdiff_t z, const patch *p);
FC_API void fc_steps_bands(const job *j, ptrdiff_t index, fc_steps_band_fn *compute);

/* pixels.c, threes.c, steps.c: whether these are for it */
FC_API int fc_pixels_suit(const fc_corr *g, int vector_bytes);
FC_API int fc_threes_suit(const fc_corr *g);
FC_API int fc_steps_suit(const fc_corr *g);

/* direct.c, for im2col.c and overlap.c */
FC_API int fc_direct_prepare(call *c);
FC_API void fc_direct_tables(call *c, fc_room *r);
FC_API void fc_direct_retap(call *c, char *unused);
FC_API void fc_direct_compute(const call *c, const scratch *s, const patch *p);

#endif
