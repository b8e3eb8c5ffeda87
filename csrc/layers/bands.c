/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Vectors of outputs all of which lie where the first rows of taps, or the last, meet nothing but zeros: these rows are left out.
 *
 *      3 rows of taps, lead 1:     row 0 of outputs    rows of taps  . 1 2         band 1: without the first
 *                                  rows 1 to n - 2                   0 1 2         band 0: all
 *                                  row n - 1                         0 1 .         band 3: without the last
 *
 * A band is to tile.c what a phase is: panels and tables of its own. Sums that begin with zero do not change when zero is added, so a
 * vector may lie in any band that has the taps it meets: bits do not depend on how vectors fall into bands. Zeros times what is not
 * finite are NaN. Sums of band 0, which has all taps, are not finite where a weight is not; then all vectors take its taps.
 */
#include "layers/products.h"
#include <math.h>

enum { MOST_BANDS = 7 }; /* up to four rows of taps */

/* Rows of taps that output o of the rows has before those that it meets, and behind them */
static ptrdiff_t bands_before(const fc_axis *a, ptrdiff_t o)
{
    const ptrdiff_t missed = a->lead - o * a->stride;
    return missed > 0 ? min(parts_of(missed, a->dilation), a->k - 1) : 0;
}
static ptrdiff_t bands_behind(const fc_axis *a, ptrdiff_t o)
{
    const ptrdiff_t met = a->n + a->lead - o * a->stride;
    return met > 0 ? a->k - clamp(parts_of(met, a->dilation), 1, a->k) : a->k - 1;
}

/* Row of outputs of a block in which lane j of a run lies: planes adjoin row by row, or have runs of their own */
static ptrdiff_t bands_row(const products *d, const area *a, ptrdiff_t j)
{
    const ptrdiff_t line = d->adjoin ? d->sums_line : a->cols;
    return a->row + min(j / line, a->rows - 1);
}

ptrdiff_t fc_band_of(const products *d, const area *a, ptrdiff_t j)
{
    const fc_axis *rows = &d->l->axis[ROWS];
    if (d->bands == 1)
        return 0;
    const ptrdiff_t before = bands_before(rows, bands_row(d, a, j + d->l->lanes - 1));
    const ptrdiff_t behind = bands_behind(rows, bands_row(d, a, j));
    return before >= behind ? before : rows->k - 1 + behind;
}

/* Rows of taps that the vectors of a run meet, or of a block whose planes adjoin; more where panels are not full */
static double bands_met(const products *d)
{
    const ptrdiff_t k = d->l->axis[ROWS].k, rows = d->y.rows.block, cols = d->y.cols.block;
    const area first = {.rows = rows, .cols = cols};
    ptrdiff_t vectors[MOST_BANDS] = {0};
    for (ptrdiff_t j = 0; j < rows * (d->adjoin ? d->sums_line : cols); j += d->l->lanes)
        vectors[fc_band_of(d, &first, j)]++;
    double met = 0;
    for (ptrdiff_t i = 0; i < d->bands; i++)
        met += (double)(k - (i < k ? i : i - (k - 1))) * ((double)vectors[i] + VECTORS_IDLE[vectors[i] % 3]);
    return d->bands == 1 || vectors[0] > 0 ? met : INFINITY;
}

double fc_plan_bands(products *d)
{
    const layer *l = d->l;
    const fc_axis *rows = &l->axis[ROWS];
    d->bands = 1;
    const double all = bands_met(d);
    if (!d->y.flat || l->step[DEPTH] * l->step[ROWS] * l->step[COLS] > 1 || l->g->halves || l->g->clamp ||
        rows->boundary != FC_CONSTANT || l->taps > LONGEST_PART || 2 * rows->k - 1 > MOST_BANDS)
        return all;
    d->bands = 2 * rows->k - 1;
    const double met = bands_met(d);
    if (met <= PRODUCTS_BANDS * all)
        return met;
    d->bands = 1;
    return all;
}

/* Behind the only phase */
void fc_make_bands(const products *d)
{
    const ptrdiff_t k = d->l->axis[ROWS].k;
    phase *of = d->t.phase;
    ptrdiff_t at = d->t.channels * of->taps;
    for (ptrdiff_t i = 1; i < d->bands; i++) {
        const ptrdiff_t before = i < k ? i : 0, missed = i < k ? i : i - (k - 1);
        phase *q = of + i;
        *q = *of;
        axis_phase *rows = &q->axis[ROWS];
        rows->taps -= missed;
        rows->tap_first += before * rows->tap_step;
        rows->at_first += before * rows->at_step;
        q->taps = of->taps / k * rows->taps;
        q->at = at;
        fc_tabulate(&d->pack, q, d->t.channels, d->t.at + at, d->t.weight_at + at);
        at += d->t.channels * q->taps;
    }
}

ptrdiff_t fc_bands_taps(const products *d) { return d->bands > 1 ? d->l->taps * d->l->axis[ROWS].k : d->l->taps; }

int fc_sums_are_finite(const products *d, const tile *t, const fc_gemm *rows)
{
    int finite = t->panels[0] > 0;
    for (ptrdiff_t i = 0; i < rows->rows && finite; i++) {
        const double sum = element_at(d->l->g->type, rows->c, i * rows->cs + t->panel->c[0]);
        finite = sum - sum == 0;
    }
    return finite;
}
