/* SPDX-License-Identifier: BSD-3-Clause
 *
 * gather.c: what windows look at, brought into scratch for the micro-kernels to read.
 */
#ifndef FASTCONV_GATHER_H
#define FASTCONV_GATHER_H

#include "common/strides.h"

/* Planes of x as they are stored, and what lies beyond them */
typedef struct {
    const fc_axis *axis;      /* out, out_step, k_step, start and whole do not count */
    const fc_ops *op, *moves; /* of the type of the arithmetic; of floats of its size */
    int type, x_type;
    ptrdiff_t size, stored;                       /* bytes of an element of them */
    ptrdiff_t lanes;                              /* of a vector, of the arithmetic */
    int readable;                                 /* columns are adjacent aligned elements of the type of the arithmetic */
    _Alignas(int64_t) char fill[sizeof(int64_t)]; /* an element of the type of the arithmetic */
} source;

/* Rows that a micro-kernel can read. Counts elements. */
typedef struct {
    ptrdiff_t plane, row,
        phase;           /* from one depth, row, phase of a column stride (in tiles; 0: columns are as in x) to the next */
    const ptrdiff_t *at; /* where tap columns lie, from the first; methods */
} rows_of;

/* One thread's. raw: a row as stored; row: one not yet taken apart into phases; column: where the columns of the tile lie in x */
typedef struct {
    char *raw, *row;
    ptrdiff_t *column;
} gather_room;

/* fill counts for floats, integer_fill for integers */
FC_API void fc_describe_source(source *x, const fc_kernels *fc, const fc_axis *axis, int type, int x_type, double fill,
                               int64_t integer_fill);
/* Which element of x the i-th column of the continued x is; -1: the fill value */
FC_API ptrdiff_t fc_source_column(const fc_axis *cols, ptrdiff_t i);
/* For tiles of so many columns at most */
FC_API void fc_gather_parts(const source *x, fc_room *r, gather_room *s, ptrdiff_t cols);
/* n adjacent elements of the type of the arithmetic, from elements of x `step` bytes apart */
FC_API void fc_gather_adjacent(const source *x, const gather_room *s, char *to, const char *from, ptrdiff_t step, ptrdiff_t n);
/* The fill value, where they lie beyond x, for n elements of a row, the first of them number `first` */
FC_API void fc_put_fill(const source *x, char *row, ptrdiff_t first, ptrdiff_t n);
/* Everything that `outputs` outputs from `first` on look at. plane: that of x */
FC_API void fc_gather(const source *x, const gather_room *s, char *tile, const rows_of *layout, const char *plane,
                      const ptrdiff_t first[FC_AXES], const ptrdiff_t outputs[FC_AXES]);
/* The same into a tile whose rows are columns of x, with room for a vector of rows before and behind it. x is readable, has no
 * strides, and holds all planes and rows that are looked at. */
FC_API void fc_gather_turned(const source *x, char *tile, const rows_of *layout, const char *plane,
                             const ptrdiff_t first[FC_AXES], const ptrdiff_t outputs[FC_AXES]);

#endif
