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

static int windows_need_squares(const tile *t) { return t->m->g->normed || t->m->g->measure == FC_SQDIFF; }

/* Two rows, of sums and of sums of squares or spreads, m->row apart: to = from and row i of the tile, of so many planes
 * from z on. from: of so many rows */
static void windows_add_row(const tile *t, double *to, const double *from, ptrdiff_t rows, ptrdiff_t z, ptrdiff_t planes,
                            ptrdiff_t i)
{
    const ptrdiff_t row = t->m->row;
    const int squares = windows_need_squares(t);
    for (ptrdiff_t p = 0; p < planes; p++, from = to)
        if (t->score.spreads)
            t->op->match_grow(to, to + row, from, from + row, tile_row(t, z + p, i), t->seen, (double)(rows * planes + p));
        else
            t->op->match_add(to, squares ? to + row : NULL, from, from + row, tile_row(t, z + p, i), t->seen);
}

/* Window sums of a row of outputs: from the suffix of so many rows, and the prefix of the others, of so many planes */
static void windows_sum_row(const tile *t, const double *suffix, const double *prefix, ptrdiff_t rows, ptrdiff_t planes)
{
    const fc_match *g = t->m->g;
    const fc_ops *op = t->m->fc->op[FC_F64];
    ptrdiff_t h = g->k[ROWS], w = g->k[COLS], cols = t->count[COLS], row = t->m->row;
    double deep = (double)planes, *sum = t->buffer[SUM], *room = t->buffer[ROOM];
    const int squares = windows_need_squares(t);
    if (rows == h)
        memcpy(sum, suffix, (size_t)(row + (squares ? row : 0)) * sizeof *sum);
    if (t->score.spreads) {
        if (rows < h)
            op->match_merge(sum, sum + row, suffix, suffix + row, prefix, prefix + row, t->seen, (double)rows * deep,
                            (double)(h - rows) * deep);
        op->match_spread(sum, sum + row, room, room + row, cols, w, (double)h * deep);
        return;
    }
    if (rows < h)
        op->add(sum, suffix, prefix, t->seen + (squares ? row : 0));
    op->match_window(sum, room, cols, w);
    if (squares)
        op->match_window(sum + row, room, cols, w);
}

/* By plane: adds to the three rows, `apart` elements apart, of `all` what the sums of plane z come to. They begin with the
 * first plane, and a plane without weight is none. */
static void windows_join(const tile *t, double *all, ptrdiff_t apart, ptrdiff_t z, const double *s1, const double *sv,
                         const double *s2)
{
    const match *m = t->m;
    const fc_match *g = m->g;
    const correlator *set = m->set[t->type];
    double taps = (double)g->k[ROWS] * (double)g->k[COLS];
    double weight = g->weights ? set[g->weights == g->energies ? ENERGIES : WEIGHTS].plane[z] : taps;
    fc_score of_plane = {.of_mean = set[TEMPLATE].plane[z],
                         .per_weight = 1 / weight,
                         .energy = g->weights ? set[ENERGIES].plane[z] : taps,
                         .spreads = t->score.spreads};
    for (int row = 0; row < 3 && z == 0; row++)
        memset(all + row * apart, 0, (size_t)t->count[COLS] * sizeof *all);
    if (weight > 0)
        m->fc->op[FC_F64]->match_join(all, all + apart, all + 2 * apart, s1, sv, s2, t->count[COLS], &of_plane);
}

/* Step 4 without weights. Returns whether anything is in doubt. */
static int windows_sums(const tile *t)
{
    const match *m = t->m;
    const fc_match *g = m->g;
    ptrdiff_t h = g->k[ROWS], row = m->row, at_once = g->by_plane ? 1 : g->k[DEPTH], pair = 2 * row;
    ptrdiff_t all_suffixes = pair * min(h, m->tile[ROWS]);
    double *zero = t->buffer[ZERO], *sum = t->buffer[SUM], *joined = t->joined;
    const double *squares = windows_need_squares(t) ? sum + row : sum; /* sum: they do not count */
    int doubt = 0;
    memset(zero, 0, (size_t)pair * sizeof *zero);
    for (ptrdiff_t block = 0; block < t->count[ROWS]; block += h) {
        ptrdiff_t outputs = min(h, t->count[ROWS] - block);
        for (ptrdiff_t z = 0; z < g->k[DEPTH]; z += at_once) {
            const double *below = zero;
            for (ptrdiff_t r = h - 1; r >= 0; r--) { /* suffixes; those that no output has stay in one place */
                double *to = t->suffix + z * all_suffixes + pair * min(r, outputs - 1);
                windows_add_row(t, to, below, h - 1 - r, z, at_once, block + r);
                below = to;
            }
        }
        for (ptrdiff_t r = 0; r < outputs && !fc_gives_up(); r++) {
            for (ptrdiff_t z = 0; z < g->k[DEPTH]; z += at_once) {
                double *prefix = t->prefix + z * pair;
                if (r > 0)
                    windows_add_row(t, prefix, r == 1 ? zero : prefix, r - 1, z, at_once, block + h + r - 1);
                windows_sum_row(t, t->suffix + z * all_suffixes + pair * r, prefix, h - r, at_once);
                if (g->by_plane)
                    windows_join(t, joined, row, z, sum, sum, squares);
            }
            doubt |= g->by_plane ? fc_match_scores(t, block + r, joined, joined + row, joined + pair)
                                 : fc_match_scores(t, block + r, sum, sum, squares);
        }
    }
    return doubt;
}

/* Step 4 with weights: window sums are correlations, too. */
static int windows_weighted(const tile *t)
{
    const match *m = t->m;
    const fc_match *g = m->g;
    ptrdiff_t all = g->k[DEPTH] * m->plane, at_once = g->by_plane ? 1 : g->k[DEPTH], grid = m->tile[ROWS] * m->wide;
    double *x = (double *)(void *)t->x, *squares = (double *)(void *)t->squares, most = t->most;
    const int mean = g->weights != g->energies, squared = windows_need_squares(t);
    for (ptrdiff_t e = 0; e < all && squared; e++)
        squares[e] = x[e] * x[e];
    const double *s1 = mean ? t->s1 : t->sv;
    const double *sv = squared || !mean ? t->sv : s1, *s2 = squared ? t->s2 : sv; /* or: they do not count */
    for (ptrdiff_t z = 0; z < g->k[DEPTH]; z += at_once) {
        if (sv == t->sv)
            fc_match_correlate(t, ENERGIES, z, at_once, t->x, most, (char *)t->sv);
        if (squared)
            fc_match_correlate(t, ENERGIES, z, at_once, t->squares, most * most, (char *)t->s2);
        if (mean)
            fc_match_correlate(t, WEIGHTS, z, at_once, t->x, INFINITY, (char *)t->s1);
        for (ptrdiff_t i = 0; i < t->count[ROWS] && g->by_plane; i++)
            windows_join(t, t->joined + i * m->wide, grid, z, s1 + i * m->wide, sv + i * m->wide, s2 + i * m->wide);
    }
    int doubt = 0;
    for (ptrdiff_t i = 0; i < t->count[ROWS]; i++) {
        const double *joined = t->joined + i * m->wide;
        doubt |= g->by_plane ? fc_match_scores(t, i, joined, joined + grid, joined + 2 * grid)
                             : fc_match_scores(t, i, s1 + i * m->wide, sv + i * m->wide, s2 + i * m->wide);
    }
    return doubt;
}

/* Step 4 where scores need no sums */
static int windows_without(const tile *t)
{
    double *zero = t->buffer[ZERO];
    memset(zero, 0, 2 * (size_t)t->m->row * sizeof *zero);
    for (ptrdiff_t i = 0; i < t->count[ROWS]; i++)
        fc_match_scores(t, i, zero, zero, zero);
    return 0;
}

int fc_match_windows(const tile *t)
{
    const fc_match *g = t->m->g;
    if (!needs_sums(g) && (g->weights || !t->missing)) /* without weights, the sums see what is missing */
        return windows_without(t);
    return g->weights ? windows_weighted(t) : windows_sums(t);
}
