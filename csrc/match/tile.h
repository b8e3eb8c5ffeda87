/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the files of template matching share: a call, and one thread's tile of it. From the top: match.c drives,
 * windows.c sums windows for scores.c row by row, tiles.c brings x into the tile and correlates it.
 */
#ifndef FASTCONV_TILE_H
#define FASTCONV_TILE_H

#include "corr/gather.h"

enum { TYPES = 2 };                                     /* of the arithmetic: FC_F32, FC_F64 */
enum { TEMPLATE, WEIGHTS, ENERGIES, SETS };             /* what is correlated with */
enum { PREFIX, SUM, ROOM, ZERO, OUT, ENERGY, BUFFERS }; /* two rows each */
enum { CERTAIN, DOUBTFUL, FLAT, MISSING };              /* marks of a window */

/* One set of weights, ready to be correlated with */
typedef struct {
    const double *from;    /* NULL: there is no such set */
    char *dense, *columns; /* as they are rounded; column by column */
    fc_taps taps;
    fc_fft **fft;              /* one for each depth; NULL: directly */
    int learnt;                /* they are those of fc_match_learn */
    double exact, sum, square; /* of the weights as they are; as they are rounded; of their squares */
    double *plane;             /* the sum of each plane of them, as they are rounded */
} correlator;

typedef struct {
    const fc_match *g;
    const fc_kernels *fc; /* of the whole call */
    int type;             /* of the arithmetic now */
    char *again;          /* of each tile, whether it is to be done again in the next */
    fc_axis axis[FC_AXES];
    source x[TYPES]; /* how to gather, with this type of the arithmetic */
    correlator set[TYPES][SETS];
    ptrdiff_t tile[FC_AXES], tiles[FC_AXES];
    ptrdiff_t row, plane;   /* elements from row to row, plane to plane of gathered elements */
    ptrdiff_t wide;         /* room of a row of outputs or sums */
    ptrdiff_t fft[FC_AXES]; /* size of a transform of planes, 0: none */
    fc_room tables;
    ptrdiff_t thread_bytes;
    char *scratch;
} match;

/* One thread's, at one tile */
typedef struct {
    const match *m;
    int type;
    const fc_ops *op;                            /* of this type */
    char *x, *squares, *num, *part, *fft, *mark; /* part: of num, one plane's */
    double *s1, *sv, *s2;                        /* with weights: sums of the whole tile */
    double *joined; /* by plane: the three that these come to, of the whole tile; without weights, of a row */
    double *suffix, *prefix, *buffer[BUFFERS], *window;
    ptrdiff_t from[FC_AXES], count[FC_AXES]; /* outputs */
    ptrdiff_t rows, seen;                    /* of x: rows of a plane, and elements of a row, that they look at */
    double centre, scale, most;              /* of x'; its largest magnitude at most */
    int missing;                             /* elements are not finite */
    fc_score score;
} tile;

/* Whether scores are made of more than products with the template */
static inline int needs_sums(const fc_match *g) { return g->normed || g->measure != FC_CCORR || g->shift != 0; }

static inline char *tile_row(const tile *t, ptrdiff_t z, ptrdiff_t i)
{
    return t->x + (z * t->m->plane + i * t->m->row) * fc_stored_size(t->type);
}
static inline double tile_element(const tile *t, const char *row, ptrdiff_t j)
{
    return float_at(t->type, row + j * fc_stored_size(t->type));
}

/* tiles.c: steps 1 to 3 */
FC_API void fc_match_centre(tile *t); /* chooses centre and scale; x' is gathered, NaN where elements are not finite */
FC_API void fc_match_gather(const tile *t, double centre, double scale, double other); /* again; other: in place of NaN */
/* to[rows][wide] = the windows of x (of the tile) with so many planes of this set, from z on. most: the largest magnitude of x */
FC_API void fc_match_correlate(const tile *t, int which, ptrdiff_t z, ptrdiff_t planes, const char *x, double most, char *to);

/* windows.c: step 4; returns whether anything is in doubt */
FC_API int fc_match_windows(const tile *t);

/* scores.c */
FC_API void fc_match_constants(tile *t); /* t->score */
FC_API int fc_match_scores(const tile *t, ptrdiff_t i, const double *s1, const double *sv,
                           const double *s2); /* of a row; likewise */
/* step 5, and windows with missing elements; returns whether the tile has to be done again, in float64 */
FC_API int fc_match_resolve(const tile *t, int doubt);

#endif
