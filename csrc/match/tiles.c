/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A tile of x for template matching: gathered, centred, correlated with a set of weights.
 */
#include "match/tile.h"
#include <float.h>
#include <math.h>
#include <string.h>

/* ---- gather and centre -------------------------------------------------------------------------- */

/* Kernels read whole vectors of a row: what lies behind what windows look at means nothing. */
static void tile_gather(const tile *t)
{
    const match *m = t->m;
    rows_of layout = {.plane = m->plane, .row = m->row};
    gather_room room = {.raw = (char *)t->buffer[SUM], .column = (ptrdiff_t *)(void *)t->buffer[ROOM]};
    fc_gather(&m->x[t->type], &room, t->x, &layout, m->g->x, t->from, t->count);
}

/* Gathered elements become x' = (x - centre) scale, or `other` where that is not finite and elements are missing */
static void tile_shift(const tile *t, double centre, double scale, double other)
{
    ptrdiff_t size = fc_stored_size(t->type);
    for (ptrdiff_t z = 0; z < t->m->g->k[DEPTH]; z++)
        for (ptrdiff_t i = 0; i < t->rows; i++) {
            char *row = tile_row(t, z, i);
            t->op->match_shift(row, t->seen, centre, scale);
            for (ptrdiff_t j = 0; j < t->seen && t->missing; j++)
                if (!isfinite(tile_element(t, row, j)))
                    t->op->widen(row + j * size, FC_F64, &other, 1);
        }
}

void fc_match_gather(const tile *t, double centre, double scale, double other)
{
    tile_gather(t);
    tile_shift(t, centre, scale, other);
}

void fc_match_centre(tile *t)
{
    const fc_match *g = t->m->g;
    fc_look all = {.low = INFINITY, .high = -INFINITY};
    tile_gather(t);
    for (ptrdiff_t z = 0; z < g->k[DEPTH]; z++)
        for (ptrdiff_t i = 0; i < t->rows; i++)
            t->op->match_look(tile_row(t, z, i), t->seen, &all);
    double n = (double)g->k[DEPTH] * (double)t->rows * (double)t->seen - (double)all.not_finite;
    double mean = n > 0 ? all.sum / n : 0;
    t->scale = 1;
    t->centre = g->whole ? rint(mean) : fabs(mean) < FLT_MAX ? (double)(float)mean : isfinite(mean) ? mean : 0;
    double most = all.low <= all.high ? fmax(all.high - t->centre, t->centre - all.low) : 0;
    if (!(most > 0))
        most = fabs(t->centre); /* all are equal */
    if (!g->whole && most > 0) {
        int exponent;
        frexp(fmin(most, DBL_MAX), &exponent);
        t->scale = ldexp(1, -(int)clamp(exponent, t->type == FC_F32 ? -120 : -1000, 1000));
        if (g->measure == FC_SQDIFF && t->scale > g->scale) /* squares of the template are added to those of x */
            t->scale = g->scale;
    }
    t->most = most * t->scale;
    t->missing = all.not_finite > 0;
    tile_shift(t, t->centre, t->scale, NAN);
}

/* ---- correlate ---------------------------------------------------------------------------------- */

/* By transforms: so many planes from z on, one after the other, two tiles of a transform at once */
static void tile_transform(const tile *t, const correlator *k, ptrdiff_t from, ptrdiff_t planes, const char *x, char *to)
{
    const match *m = t->m;
    ptrdiff_t size = fc_stored_size(t->type), rows = t->count[ROWS], cols = t->count[COLS];
    ptrdiff_t tall = m->fft[ROWS] - m->g->k[ROWS] + 1, broad = m->fft[COLS] - m->g->k[COLS] + 1;
    const ptrdiff_t of_x[2] = {m->plane, m->row}, of_out[2] = {0, m->wide};
    for (ptrdiff_t i = 0; i < rows; i += tall)
        for (ptrdiff_t j = 0; j < cols && !fc_gives_up(); j += 2 * broad)
            for (ptrdiff_t z = from; z < from + planes; z++) {
                fc_fft_tile pair[2];
                for (int side = 0; side < 2; side++) {
                    ptrdiff_t left = j + side * broad, at = i * m->wide + left;
                    pair[side] = (fc_fft_tile){x + (z * m->plane + i * m->row + left) * size,
                                               (z > from ? t->part : to) + at * size,
                                               {1, min(tall, rows - i), clamp(cols - left, 0, broad)}};
                }
                fc_fft_corr(k->fft[z], t->fft, pair, of_x, of_out);
                for (ptrdiff_t r = 0; r < pair[0].out[ROWS] && z > from; r++) {
                    ptrdiff_t at = ((i + r) * m->wide + j) * size;
                    t->op->add(to + at, to + at, t->part + at, pair[0].out[COLS] + pair[1].out[COLS]);
                }
            }
}

/* Sums of products of integers, which a transform has rounded, are made integers again where its error is small
 * enough to tell which (fft.c). most: the largest element of x */
static void tile_make_whole(const tile *t, int which, double most, char *grid)
{
    const match *m = t->m;
    double points = (double)m->fft[ROWS] * (double)m->fft[COLS];
    double error = 2 * 0x1p-53 * log2(points + 1) * sqrt(2 * points * m->set[t->type][which].square) * most;
    if (!m->g->whole || m->fft[COLS] == 0 || !(error < 0.25))
        return;
    for (ptrdiff_t i = 0; i < t->count[ROWS]; i++)
        for (ptrdiff_t j = 0; j < t->count[COLS]; j++) {
            double *p = (double *)(void *)grid + i * m->wide + j;
            *p = *p + 0x1.8p52 - 0x1.8p52;
        }
}

void fc_match_correlate(const tile *t, int which, ptrdiff_t z, ptrdiff_t planes, const char *x, double most, char *to)
{
    const match *m = t->m;
    const correlator *k = &m->set[t->type][which];
    if (k->fft) {
        tile_transform(t, k, z, planes, x, to);
        tile_make_whole(t, which, most, to);
    } else {
        ptrdiff_t w = m->g->k[COLS], size = fc_stored_size(t->type);
        fc_taps taps = k->taps;
        taps.full = planes * w, taps.k = k->columns + z * w * taps.h * size;
        const ptrdiff_t rows = t->count[ROWS], tall = taps.full * taps.h > MATCH_LONG ? CORR_LEAST_ROWS : rows;
        x += z * m->plane * size;
        for (ptrdiff_t i = 0; i < rows && !(i > 0 && fc_gives_up()); i += tall)
            t->op->corr(x + i * m->row * size, m->row, &taps, to + i * m->wide * size, m->wide, min(tall, rows - i),
                        t->count[COLS]);
    }
}
