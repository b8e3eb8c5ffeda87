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

/* Two rows, of sums and of sums of squares or spreads, m->row apart: to = from and row i of the tile, of all its planes.
 * from: of so many rows */
static void windows_add_row(const tile *t, double *to, const double *from, ptrdiff_t rows, ptrdiff_t i)
{
    ptrdiff_t deep = t->m->g->k[DEPTH], row = t->m->row;
    for (ptrdiff_t z = 0; z < deep; z++, from = to)
        if (t->score.spreads)
            t->op->match_grow(to, to + row, from, from + row, tile_row(t, z, i), t->seen, (double)(rows * deep + z));
        else
            t->op->match_add(to, to + row, from, from + row, tile_row(t, z, i), t->seen);
}

/* Window sums of a row of outputs: from the suffix of so many rows, and the prefix of the others */
static void windows_sum_row(const tile *t, const double *suffix, ptrdiff_t rows)
{
    const fc_match *g = t->m->g;
    const fc_ops *op = t->m->fc->op[FC_F64];
    ptrdiff_t h = g->k[ROWS], w = g->k[COLS], cols = t->count[COLS], row = t->m->row;
    double deep = (double)g->k[DEPTH], *sum = t->buffer[SUM], *prefix = t->buffer[PREFIX], *room = t->buffer[ROOM];
    if (rows == h)
        memcpy(sum, suffix, (size_t)(2 * row) * sizeof *sum);
    if (t->score.spreads) {
        if (rows < h)
            op->match_merge(sum, sum + row, suffix, suffix + row, prefix, prefix + row, t->seen, (double)rows * deep,
                            (double)(h - rows) * deep);
        op->match_spread(sum, sum + row, room, room + row, cols, w, (double)h * deep);
        return;
    }
    if (rows < h)
        op->add(sum, suffix, prefix, row + t->seen);
    op->match_window(sum, room, cols, w);
    op->match_window(sum + row, room, cols, w);
}

/* Step 4 without weights. Returns whether anything is in doubt. */
static int windows_sums(const tile *t)
{
    const match *m = t->m;
    ptrdiff_t h = m->g->k[ROWS], row = m->row;
    double *zero = t->buffer[ZERO], *sum = t->buffer[SUM], *prefix = t->buffer[PREFIX];
    int doubt = 0;
    memset(zero, 0, (size_t)(2 * row) * sizeof *zero);
    for (ptrdiff_t block = 0; block < t->count[ROWS]; block += h) {
        ptrdiff_t outputs = min(h, t->count[ROWS] - block);
        const double *below = zero;
        for (ptrdiff_t r = h - 1; r >= 0; r--) { /* suffixes; those that no output has stay in one place */
            double *to = t->suffix + 2 * min(r, outputs - 1) * row;
            windows_add_row(t, to, below, h - 1 - r, block + r);
            below = to;
        }
        for (ptrdiff_t r = 0; r < outputs; r++) {
            if (r > 0)
                windows_add_row(t, prefix, r == 1 ? zero : prefix, r - 1, block + h + r - 1);
            windows_sum_row(t, t->suffix + 2 * r * row, h - r);
            doubt |= fc_match_scores(t, block + r, sum, sum, sum + row);
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
