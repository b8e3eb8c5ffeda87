/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What products.c cuts and tile.c computes: a block of outputs, a few rows of weights at a time.
 */
#ifndef FASTCONV_PRODUCTS_H
#define FASTCONV_PRODUCTS_H

#include "layers/layer.h"

typedef struct {
    const layer *l;
    layout y;
    packing pack;
    phase_tables t;
    int in_place;                      /* what blocks see is read in x, for which `pack` says where channels and rows are */
    ptrdiff_t planes_block;            /* planes of a block */
    ptrdiff_t packed_plane;            /* elements from one packed plane, or plane of x, to the next; */
    ptrdiff_t packed;                  /* of all that is packed */
    ptrdiff_t most_spans;              /* parts, at most, whose channels a part of few taps spans */
    ptrdiff_t most_vectors, most_dots; /* of a block: vectors of a phase, and dots, at most */
    ptrdiff_t bands;                   /* or 1: only phases (bands.c) */
    ptrdiff_t shares;                  /* of the rows of weights */
    int adjoin;                        /* planes of a block do, row by row, packed and in scratch: */
    int adds;                          /* what is added to results is where they are stored, and activations are clamps */
    int apart;                         /* sums of a block are in scratch: */
    ptrdiff_t sums_row, sums_rows;     /* elements of a row of weights; such rows; */
    ptrdiff_t sums_phase, sums_line, sums_plane; /* from one phase, row of outputs, plane to the next */
    const char *bias;                            /* or NULL */
    int threads;
    ptrdiff_t chunks, thread_bytes;
    char *scratch;
} products;

/* What a thread works on */
typedef struct {
    char *packed, *columns, *w, *sums, *room; /* columns: for the dots, their pixels by taps; room: for fc_interleave */
    const char *seen;                         /* of some channels: packed, or in x */
    fc_run *run;
    fc_panel *panel;                /* of all phases, */
    ptrdiff_t *panels;              /* so many of each */
    ptrdiff_t dots, *dot_b, *dot_c; /* dots: their offsets in the packed block and in out */
    ptrdiff_t plane, planes;        /* the block: planes, */
    area area;                      /* rows and columns */
    ptrdiff_t stored;               /* of the phases that have panels */
    int finite;                     /* bands may leave out taps */
} tile;

/* How outputs of a plane are summed, rows x cols of them: as one run of vectors, if flat, or row by row; and in dots */
typedef struct { ptrdiff_t count, length, dots, vectors; /* runs; outputs of each, dots of each; vectors of all */ } runs;
static inline runs products_runs(const products *d, ptrdiff_t rows, ptrdiff_t cols, int flat)
{
    ptrdiff_t count = flat ? min(rows, 1) : rows, length = flat ? rows * cols : cols, dots = fc_dots_of(d->l, &d->y, length);
    return (runs){count, length, dots, count * parts_of(length - dots, d->l->lanes)};
}

/* Elements of a column of a part, for the inner products */
static inline ptrdiff_t products_column(const products *d) { return round_up(d->y.part, d->l->lanes); }

/* Elements from one row of a part's weights to the next, where float16 is widened */
static inline ptrdiff_t products_weights(const products *d)
{
    return round_up(max(d->y.part, d->y.part_channels * d->l->w_channel), d->l->lanes);
}

/* Phases, or bands of the only one */
static inline ptrdiff_t products_phases(const products *d) { return d->bands > 1 ? d->bands : fc_phases(d->l); }

/* bands.c. Sets how many there are, and returns how many rows of taps the vectors of a run meet, or of a block whose planes adjoin;
 * taps of a channel in the tables of all */
FC_API double fc_plan_bands(products *d);
FC_API ptrdiff_t fc_bands_taps(const products *d);
FC_API void fc_make_bands(const products *d);
/* The band of the vector at lane j of a run of a block */
FC_API ptrdiff_t fc_band_of(const products *d, const area *a, ptrdiff_t j);
/* Whether band 0, whose sums of a tile's rows were just made, has met finite weights alone */
FC_API int fc_sums_are_finite(const products *d, const tile *t, const fc_gemm *rows);

/* tile.c. Vectors of a phase of a block, joined to panels; and its dots. Returns where those of the next phase may be. */
FC_API fc_panel *fc_make_panels(const products *d, tile *t, ptrdiff_t index, fc_panel *to, ptrdiff_t widest);
/* What the block sees of some channels of x, packed or where it is; and the columns under its dots */
FC_API void fc_see_block(const products *d, tile *t, const char *x, ptrdiff_t channels);
/* Products of a tile's rows of weights, those of m, and the taps of some channels that are packed, part by part: sums stay in L1.
 * `first` channels came before; they, and these, are a whole number of parts. */
FC_API void fc_multiply(const products *d, const tile *t, ptrdiff_t index, const fc_gemm *rows, ptrdiff_t first,
                        ptrdiff_t channels);
/* The sums of a tile's rows of weights, from kernel `kernel` on, to their places, and finished */
FC_API void fc_place(const products *d, tile *t, const fc_gemm *rows, ptrdiff_t kernel);

#endif
