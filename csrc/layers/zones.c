/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Layers, and data gradients without a stride, whose padding is wide beside their outputs, as that of dilated kernels is: taps that
 * meet nothing but zeros are left out.
 *
 *      3 taps, dilation 4, lead 4, of 10 elements:     outputs   0 1 2 3 | 4 5 | 6 7 8 9
 *                                                      taps          1 2   0 1 2   0 1
 *
 *   1. Rows, and columns, of outputs fall into zones, which meet the same taps.
 *   2. Where two zones cross, outputs are a layer of their own, whose kernel has fewer taps; each is computed by products.c.
 *
 * Parts of sums are cut as those of the whole layer are, into the same channels. Zeros times what is not finite are NaN, so no tap is
 * left out if a weight is not finite.
 */
#include "layers/layer.h"

enum { MOST_ZONES = 7 }; /* of an axis: of up to four taps */

typedef struct { ptrdiff_t first, count, tap, taps; /* outputs, and what they meet */ } zone;

/* Rounded up, or 0 below */
static ptrdiff_t zones_above(ptrdiff_t a, ptrdiff_t by) { return a > 0 ? parts_of(a, by) : 0; }

/* Step 1; returns their number. All outputs and taps are one where they would be too many. An output that meets no element
 * meets one tap, and with it zeros. */
static int zones_of_axis(const fc_axis *a, zone z[MOST_ZONES])
{
    const ptrdiff_t end = a->n + a->lead; /* of x, where output 0 meets tap 0 at 0 */
    int count = 0;
    for (ptrdiff_t o = 0, from, to, next; o < a->out && a->boundary == FC_CONSTANT; o = next) {
        if (count == MOST_ZONES)
            break;
        from = min(zones_above(a->lead - o * a->stride, a->dilation), a->k);
        to = clamp(zones_above(end - o * a->stride, a->dilation), 0, a->k);
        next = a->out;
        if (from > 0) /* tap from - 1 is met */
            next = min(next, zones_above(a->lead - (from - 1) * a->dilation, a->stride));
        if (to > 0) /* tap to - 1 is met no more */
            next = min(next, zones_above(end - (to - 1) * a->dilation, a->stride));
        if (from >= to)
            from = min(from, a->k - 1), to = from + 1;
        z[count++] = (zone){o, next - o, from, to - from};
        if (next == a->out)
            return count;
    }
    z[0] = (zone){0, a->out, 0, a->k};
    return 1;
}

/* The layer of the outputs in both zones */
static layer zones_layer(const layer *whole, const zone *rows, const zone *cols)
{
    layer l = *whole;
    for (int i = ROWS; i <= COLS; i++) {
        const zone *z = i == ROWS ? rows : cols;
        fc_axis *a = &l.axis[i];
        a->k = z->taps, a->out = z->count;
        a->lead -= z->first * a->stride + z->tap * a->dilation;
        l.first[i] = z->first, l.left[i] = z->tap;
    }
    l.taps = l.most_taps = l.axis[DEPTH].k * rows->taps * cols->taps;
    return l;
}

/* Products of vectors, of an image */
static double zones_products(const layer *l)
{
    const double vectors = (double)parts_of(l->axis[ROWS].out * l->axis[COLS].out, l->lanes);
    return (double)l->channels * (double)l->kernels * (double)(l->axis[DEPTH].out * l->taps) * vectors;
}

/* Whether those that are left out are worth what zones cost more; all, met: for a channel and kernel of a plane */
static int zones_pay(const layer *l, const zone *rows, int n, const zone *cols, int m)
{
    const double all = (double)parts_of(l->axis[ROWS].out * l->axis[COLS].out, l->lanes) * (double)l->taps;
    double met = all * ZONES_COPY / (double)(l->channels * l->taps);
    for (int r = 0; r < n; r++)
        for (int c = 0; c < m; c++)
            met += ((double)parts_of(rows[r].count * cols[c].count, l->lanes) + ZONES_READ) *
                   (double)(l->axis[DEPTH].k * rows[r].taps * cols[c].taps);
    return met < ZONES_MOST * all && zones_products(l) * (1 - met / all) > (double)(n * m * ZONES_CALL);
}

int fc_weights_are_finite(const layer *l)
{
    enum { PIECE = 1024 };
    const ptrdiff_t n = l->g->groups * l->w_group;
    float wide[PIECE];
    if (!l->g->halves)
        return l->op->finite(l->g->w, n);
    for (ptrdiff_t i = 0; i < n; i += PIECE) {
        l->op->widen(wide, FC_F16, l->g->w + 2 * i, min(PIECE, n - i));
        if (!l->op->finite(wide, min(PIECE, n - i)))
            return 0;
    }
    return 1;
}

int fc_zones_run(const layer *l)
{
    const fc_conv *g = l->g;
    zone rows[MOST_ZONES], cols[MOST_ZONES];
    if (l->taps > LONGEST_PART || l->step[DEPTH] * l->step[ROWS] * l->step[COLS] > 1 || zones_products(l) < ZONES_CALL)
        return 1;
    const int n = zones_of_axis(&l->axis[ROWS], rows), m = zones_of_axis(&l->axis[COLS], cols);
    if (n * m == 1 || !zones_pay(l, rows, n, cols, m) || !fc_weights_are_finite(l))
        return 1;
    ptrdiff_t bytes = 0;
    for (int i = 0; i < n * m; i++) {
        const layer part = zones_layer(l, &rows[i / m], &cols[i % m]);
        bytes = max(bytes, fc_products_bytes(&part));
    }
    char *memory = fc_borrow((size_t)bytes);
    if (memory == NULL)
        return -1;
    ptrdiff_t chunks = 0, longest = 0;
    for (int i = 0; i < n * m; i++) {
        const layer part = zones_layer(l, &rows[i / m], &cols[i % m]);
        fc_products_run_in(&part, memory);
        if (g->plan) {
            g->plan->chunks = chunks += g->plan->chunks;
            g->plan->part = longest = max(longest, g->plan->part);
        }
    }
    fc_return(memory);
    return 0;
}
