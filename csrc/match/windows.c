/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sums over the windows of a tile, of x' and of x'^2 in float64, and scores from them row by row. Sums down the rows:
 *
 *      | block m            | block m + 1        |     blocks of h rows, from the tile's first on; a window is
 *      | . . .[o o o o o o o|o o o]. . . . . . . |     the end of one and the beginning of the next, each had
 *             suffix of m     prefix of m + 1          from its neighbour by one addition. Nothing is ever
 *                                                      subtracted: no drift, and a NaN stays in its windows.
 */
#include "match/tile.h"
#include <math.h>
#include <string.h>

/* to = from and row i of the tile, of all its planes. from: of so many rows */
static void windows_add_row(const tile *t, double *const to[2], double *const from[2], ptrdiff_t rows, ptrdiff_t i, ptrdiff_t n)
{
    ptrdiff_t deep = t->m->g->k[DEPTH];
    for (ptrdiff_t z = 0; z < deep; z++) {
        double *sum = z ? to[0] : from[0], *squares = z ? to[1] : from[1];
        const char *x = tile_row(t, z, i);
        if (t->score.spreads)
            t->op->match_grow(to[0], to[1], sum, squares, x, n, (double)(rows * deep + z));
        else
            t->op->match_add(to[0], to[1], sum, squares, x, n);
    }
}

/* Window sums of a row of outputs into `sum`: from the suffix of so many rows, and the prefix of the others */
static void windows_sum_row(const tile *t, double *const sum[2], double *const suffix[2], double *const prefix[2],
                            ptrdiff_t rows)
{
    const fc_match *g = t->m->g;
    const fc_ops *op = t->m->fc->op[FC_F64];
    ptrdiff_t h = g->k[ROWS], w = g->k[COLS], cols = t->count[COLS], seen = t->seen;
    double deep = (double)g->k[DEPTH];
    if (rows == h)
        for (int p = 0; p < 2; p++)
            memcpy(sum[p], suffix[p], (size_t)seen * sizeof(double));
    if (t->score.spreads) {
        if (rows < h)
            op->match_merge(sum[0], sum[1], suffix[0], suffix[1], prefix[0], prefix[1], seen, (double)rows * deep,
                            (double)(h - rows) * deep);
        op->match_spread(sum[0], sum[1], t->buffer[ROOM], t->buffer[ROOM2], cols, w, (double)h * deep);
        return;
    }
    for (int p = 0; p < 2; p++) {
        if (rows < h)
            op->add(sum[p], suffix[p], prefix[p], seen);
        op->match_window(sum[p], t->buffer[ROOM], cols, w);
    }
}

/* Step 4 without weights. Returns whether anything is in doubt. */
static int windows_sums(const tile *t)
{
    const match *m = t->m;
    ptrdiff_t h = m->g->k[ROWS], seen = t->seen;
    double *zero[2] = {t->buffer[ZERO], t->buffer[ZERO]}, *prefix[2] = {t->buffer[PREFIX], t->buffer[PREFIX2]};
    double *sum[2] = {t->buffer[SUM], t->buffer[SUM2]};
    int doubt = 0;
    memset(zero[0], 0, (size_t)m->row * sizeof(double));
    for (ptrdiff_t block = 0; block < t->count[ROWS]; block += h) {
        ptrdiff_t outputs = min(h, t->count[ROWS] - block);
        double *below[2] = {zero[0], zero[1]};
        for (ptrdiff_t r = h - 1; r >= 0; r--) { /* suffixes; those that no output has stay in one place */
            double *first = t->suffix + 2 * min(r, outputs - 1) * m->row, *to[2] = {first, first + m->row};
            windows_add_row(t, to, below, h - 1 - r, block + r, seen);
            below[0] = to[0], below[1] = to[1];
        }
        for (ptrdiff_t r = 0; r < outputs; r++) {
            double *first = t->suffix + 2 * r * m->row, *suffix[2] = {first, first + m->row};
            if (r > 0)
                windows_add_row(t, prefix, r == 1 ? zero : prefix, r - 1, block + h + r - 1, seen);
            windows_sum_row(t, sum, suffix, prefix, h - r);
            doubt |= fc_match_scores(t, block + r, sum[0], sum[0], sum[1]);
        }
    }
    return doubt;
}

/* Step 4 with weights: window sums are correlations, too. */
static int windows_weighted(const tile *t)
{
    const match *m = t->m;
    const fc_match *g = m->g;
    ptrdiff_t all = g->k[DEPTH] * m->plane;
    double *x = (double *)(void *)t->x, *squares = (double *)(void *)t->squares, most = t->most;
    for (ptrdiff_t e = 0; e < all; e++)
        squares[e] = x[e] * x[e];
    int mean = g->weights != g->energies;
    fc_match_correlate(t, ENERGIES, t->x, most, (char *)t->sv);
    fc_match_correlate(t, ENERGIES, t->squares, most * most, (char *)t->s2);
    if (mean)
        fc_match_correlate(t, WEIGHTS, t->x, INFINITY, (char *)t->s1);
    int doubt = 0;
    for (ptrdiff_t i = 0; i < t->count[ROWS]; i++) {
        ptrdiff_t at = i * m->wide;
        doubt |= fc_match_scores(t, i, (mean ? t->s1 : t->sv) + at, t->sv + at, t->s2 + at);
    }
    return doubt;
}

int fc_match_windows(const tile *t) { return t->m->g->weights ? windows_weighted(t) : windows_sums(t); }
