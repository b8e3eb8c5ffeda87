/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the files of the driver share about one call: corr.c cuts the output into boxes, gather.c brings
 * elements of x into scratch, methods.c computes boxes of outputs from rows whose columns are adjacent.
 */
#ifndef FASTCONV_CALL_H
#define FASTCONV_CALL_H

#include "common/room.h"
#include "common/strides.h"

/* Rows that a micro-kernel can read, and where the tap columns lie in them. Counts elements. */
typedef struct {
    ptrdiff_t plane, row;  /* from one depth, one row to the next */
    const ptrdiff_t *at;   /* of c->taps */
} rows_of;

/* FC_FFT: the elements a tile looks at, its outputs, and how many tiles there are, along each axis */
typedef struct {
    ptrdiff_t n[FC_AXES], out[FC_AXES], count[FC_AXES];
} tile_grid;

typedef struct {
    const fc_corr *g;
    const fc_kernels *fc; /* of the whole call */
    fc_plan plan;
    ptrdiff_t size, stored; /* bytes of an element: of the arithmetic, of x */
    const fc_ops *op, *moves; /* for g->type; for floats of its size, as split and transpose need */
    fc_fft *fft;                /* FC_FFT */
    fc_order order[FC_AXES];    /* FC_ORDERED: the first; FC_LINES: that of each axis */
    double divisor;             /* of what is stored; 1: none */
    union { float f32; double f64; int32_t i32; int64_t i64; } fill;
    int x_readable;   /* its rows, by kernels that read adjacent elements */
    int x_adjacent;   /* and without a column stride: by K3 */
    int out_adjacent;

    /* how the method sees the taps: `at` comes with the rows */
    fc_taps taps;
    int flat;         /* every tap is a column of one tap row */
    ptrdiff_t fold;   /* columns of a row that a 1-D signal is folded into; 0: it is not */
    rows_of user, tile;
    ptrdiff_t phase;  /* elements of a tile row between the phases of a column stride */

    int has_interior; /* outputs whose windows lie inside x */
    int is_tiled;     /* others, or x cannot be read where it is */
    ptrdiff_t tile_out[FC_AXES]; /* outputs of a tile, */
    ptrdiff_t out_row;           /* and elements from row to row of them, where they go through scratch */
    tile_grid grid;              /* FC_FFT; */
    rows_of fft_tile;            /* a gathered tile */
    fc_room tables;              /* what is the same for all threads: of taps */
    char *scratch;               /* per thread, see lay_scratch in corr.c */
    ptrdiff_t thread_bytes;
} call;

/* One thread's */
typedef struct {
    char *tile, *out;       /* what is gathered; outputs of a tile */
    char *raw, *row;        /* a row as stored, and one not yet taken apart into phases */
    ptrdiff_t *column;      /* for each column of the tile, where it lies in x */
    ptrdiff_t *at, *panel_at; /* the method's own: where taps lie, and where they lie in a panel */
    char *panel;            /* im2col */
    char *sums, *planes;    /* along one axis, before the next */
    char *boxes, *turned, *across, *ring; /* box.c */
    char *stored;           /* lines.c: a row as it would be stored between the passes */
    char *pair[2], *fft;    /* tiles; what fft.c needs */
} scratch;

/* Outputs from ... to along each axis */
typedef struct {
    ptrdiff_t from[FC_AXES], to[FC_AXES];
} box;

/* One chunk's view of the arrays: a plane of each. */
typedef struct {
    const call *c;
    scratch s;
    const char *x;
    char *out;
} job;

static inline char *out_at(const job *j, ptrdiff_t z, ptrdiff_t row, ptrdiff_t col)
{
    const fc_axis *axis = j->c->g->axis;
    return j->out + z * axis[DEPTH].out_step + row * axis[ROWS].out_step + col * axis[COLS].out_step;
}

/* corr.c: a box by way of gathered tiles */
FC_API void fc_bordered(const job *j, const box *b);

/* overlap.c: FC_FFT */
FC_API void fc_fft_plan(const fc_kernels *fc, const fc_corr *g, fc_plan *plan);
FC_API int fc_prepare_fft(call *c); /* plan and tiles; 0, or -1 */
FC_API void fc_fft_parts(const call *c, fc_room *r, scratch *s);
FC_API void fc_fft_chunk(const job *j, ptrdiff_t index);

/* gather.c */
FC_API void fc_gather(const call *c, const scratch *s, char *to, const rows_of *layout, const char *x,
                      const ptrdiff_t first[FC_AXES], const ptrdiff_t outputs[FC_AXES]);

/* methods.c: what the method needs that scratch depends on, from g; and then, with `small` for what fits there, where taps lie
 * in tiles, whose size is known to fit. Both return 0, or -1. */
FC_API int fc_prepare_method(call *c);
FC_API int fc_place_taps(call *c, char *small, ptrdiff_t small_bytes);
FC_API void fc_release_taps(call *c, const char *small);
FC_API void fc_method_parts(const call *c, fc_room *r, scratch *s);
/* (row, col): which output the first one is */
FC_API void fc_by_method(const call *c, const scratch *s, const rows_of *r, const char *src, ptrdiff_t row,
                         ptrdiff_t col, char *out, ptrdiff_t out_row, ptrdiff_t rows, ptrdiff_t cols);

/* FC_LINES: whether there is a pass along an axis, and which one is the last */
static inline int has_pass(const fc_corr *g, int axis)
{
    return g->axis[axis].k > 1 || g->line[axis].w;
}
static inline int last_pass(const fc_corr *g)
{
    int last = g->columns_first ? ROWS : COLS;
    return has_pass(g, last) ? last : ROWS + COLS - last;
}

/* lines.c: the same for FC_LINES, for which tiles and scratch outputs have FC_LINES_MORE rows more than there are, the
 * latter fc_lines_row elements apart */
enum { FC_LINES_MORE = 16 };
FC_API ptrdiff_t fc_lines_row(const call *c, ptrdiff_t cols);
FC_API void fc_place_lines(call *c, ptrdiff_t *at, char *taps);
FC_API void fc_lines_parts(const call *c, fc_room *r, scratch *s);
FC_API void fc_by_lines(const call *c, const scratch *s, const rows_of *r, const char *src, ptrdiff_t row, ptrdiff_t col,
                        char *out, ptrdiff_t out_row, ptrdiff_t rows, ptrdiff_t cols);

/* box.c: sums of `w` neighbours along rows, which go through parts of scratch; s->ring is that of c->sums, of as many rows */
FC_API void fc_across_parts(const call *c, fc_room *r, scratch *s, ptrdiff_t w, ptrdiff_t cols);
FC_API void fc_sums_across(const call *c, const scratch *s, const char *x, ptrdiff_t xs, ptrdiff_t w, ptrdiff_t at, char *out,
                           ptrdiff_t os, ptrdiff_t rows, ptrdiff_t cols);
/* box.c: the same for FC_BOX */
FC_API void fc_box_parts(const call *c, fc_room *r, scratch *s);
FC_API void fc_by_box(const call *c, const scratch *s, const rows_of *r, const char *src, ptrdiff_t row, ptrdiff_t col,
                      char *out, ptrdiff_t out_row, ptrdiff_t rows, ptrdiff_t cols);

#endif
