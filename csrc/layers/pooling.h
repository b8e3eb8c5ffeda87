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
    ptrdiff_t
        cut[FC_AXES]; /* elements that the call's windows begin before those of `axis`, whose first taps see nothing of x */
    ptrdiff_t size, channels;
    ptrdiff_t inside, pitch; /* elements of x that a row of outputs meets; pixels from row to row of the buffer */
    ptrdiff_t rows, lanes;   /* of a block: rows of outputs; channels of a pixel, or 1 */
    ptrdiff_t units, share;  /* of these blocks: all; a chunk's */
    ptrdiff_t rows_met;      /* rows that outputs meet, beyond x, too */
    int framed; /* a plane is small, and copied amid what lies beyond, rather than that each row has taps of its own; or if it finds,
                 * rows are (pooling_find.c) */
    int finds;                     /* where the largest are; then: */
    int turned, lasts;             /* planes become pixels of `lanes` channels; x has such, or they do */
    ptrdiff_t tall, height, width; /* of a plane, one of those that are taken as one: rows of outputs and of x, columns of x */
    ptrdiff_t met;                 /* rows of x that a block meets, at most */
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
    char *part;            /* parts of a whole window, channels last */
    char *value, *which;   /* the largest of rows of x, and their columns */
    char *none, *found;    /* columns of what is found where nothing is; indices of a block */
    char *turned;          /* values of it that are pixels */
    ptrdiff_t *at, *across;
    ptrdiff_t *place; /* in a plane: of taps, from the first, or from where that of column 0 is */
    double counted;   /* rows in `by` */
} parts;

/* pooling_parts.c: what a call means, and what its threads work with */
FC_API pooling fc_pooling_describe(const fc_pooling *g, int finds);
FC_API void fc_pooling_lay_parts(const pooling *d, fc_room *r, parts *p);
FC_API window fc_pooling_window(const pooling *d, int axis, ptrdiff_t o);
FC_API ptrdiff_t fc_pooling_most_taps(const pooling *d, int axis);
/* What lies beyond rows in buffers, where the taps of columns meet these, and how many elements columns have */
FC_API void fc_pooling_begin(const pooling *d, parts *p);
/* Of a loop over columns, whether to end before number j */
static inline int asks_at(ptrdiff_t j) { return j % POOL_BLOCK == POOL_BLOCK - 1 && fc_gives_up(); }
/* Whether to end, asked after every so many elements: *done of them since it was asked, and n now */
static inline int asks_after(ptrdiff_t *done, ptrdiff_t n)
{
    if ((*done += n) < POOL_AT_ONCE / 8) /* each may be far from the others */
        return 0;
    *done = 0;
    return fc_gives_up();
}
/* Zeros, millions at a time */
FC_API void fc_pooling_clear(char *to, ptrdiff_t bytes);
/* Whether a call of a kernel with these is over in time, should the whole be given up */
static inline int fc_pooling_is_short(const fc_pool *k)
{
    return (double)k->rows * (double)max(k->taps, 1) * (double)k->cols <= POOL_AT_ONCE;
}
/* Columns that are met at a time, where it is not short */
static inline ptrdiff_t fc_pooling_at_once(const fc_pool *k)
{
    return max((ptrdiff_t)(POOL_AT_ONCE / ((double)k->rows * (double)max(k->taps, 1))), 1024);
}
/* Rows of so many columns, likewise */
static inline ptrdiff_t fc_pooling_rows_at_once(const fc_pool *k, ptrdiff_t wide)
{
    const double each = (double)max(k->taps, 1) * (double)min(wide, k->cols);
    return each * (double)k->rows <= POOL_AT_ONCE ? k->rows : max((ptrdiff_t)(POOL_AT_ONCE / each), 1);
}
/* Of k, so many rows from number i on, and of these so many columns from number j on */
static inline fc_pool fc_pooling_piece(const pooling *d, const fc_pool *k, ptrdiff_t i, ptrdiff_t tall, ptrdiff_t j,
                                       ptrdiff_t wide)
{
    fc_pool part = *k;
    part.x = (const char *)k->x + j * k->step * d->size + i * k->xs * d->size;
    part.to = (char *)k->to + (i * k->os + j) * d->size;
    part.by = k->by ? (const char *)k->by + (i * k->by_row + j * k->by_col) * d->size : NULL;
    part.rows = min(tall, k->rows - i), part.cols = min(wide, k->cols - j);
    return part;
}
/* So many rows and columns at a time. Rows of the buffer, as one, to the phases of a stride, `phase` elements apart; likewise */
FC_API void fc_pooling_reduce(const pooling *d, const fc_pool *k);
FC_API void fc_pooling_split(const pooling *d, const parts *p, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t phase);
/* Divisors of a row of n outputs, whose windows have so many elements in a column */
FC_API void fc_pooling_count(const pooling *d, parts *p, double counted, ptrdiff_t n);
FC_API void fc_pooling_put(const pooling *d, char *to, ptrdiff_t i, double v); /* to[i] = v */
FC_API void fc_pooling_fill(const pooling *d, char *to, ptrdiff_t n);          /* with what lies beyond x */
/* Pieces of rows, one for each of `cols` columns: count[j] elements from first[j] on become the largest, or the sum, which is divided by
 * by[j], unless that is NULL */
typedef struct {
    const char *x, *by;
    char *to;
    ptrdiff_t xs, os, step, to_step, rows, cols; /* elements from row to row, and within rows of x and `to` */
    const ptrdiff_t *first, *count;
} pieces;
FC_API void fc_pooling_pieces(const pooling *d, const pieces *k);
/* Bytes that are met, for a guess of the time; and all units, by threads: d->thread_bytes of scratch each. -1: there is no memory */
FC_API double fc_pooling_bytes(const pooling *d);
FC_API int fc_pooling_start(pooling *d, fc_task *run, void *context, double bytes);
/* Of so many rows of outputs, the first of which sees y, how many see the same, but for a shift */
FC_API ptrdiff_t fc_pooling_alike(const pooling *d, const window *y, ptrdiff_t rows);
/* pooling_find.c: where the largest elements of rows of outputs go, and their indices, unless that is NULL: `step` elements from output
 * to output, and, where planes are turned, `lane` from one of `lanes` planes to the next, else 1. x: a plane, or the first of them */
typedef struct {
    char *to;
    int64_t *index;
    ptrdiff_t step, lane, lanes;
} fc_pooling_found;
FC_API void fc_pooling_find(const pooling *d, const parts *p, const char *x, const window *z, ptrdiff_t row, ptrdiff_t rows,
                            const fc_pooling_found *f);
/* pooling_means.c: the gradient, if they are averages */
FC_API int fc_pooling_means_run(const fc_pooling *g);

#endif
