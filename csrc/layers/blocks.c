/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How a layer of products is cut: taps into parts, a plane of outputs into blocks, and how what a block sees is packed
 * (products.c does it). All ways that come into question are compared by the cycles that they are expected to take.
 *
 * The choice decides bits, so it may depend on shapes and on the instruction set's vectors, but neither on the batch nor on the
 * number of threads.
 */
#include "layers/layer.h"
#include <math.h>

static const double NO_FIT = 1e100; /* cycles, for every byte of a block that does not fit */

/* For a quarter of a vector they are faster, where weights lie as the taps do: not in a zone. */
ptrdiff_t fc_dots_of(const layer *l, const layout *y, ptrdiff_t length)
{
    int pays = !l->g->gradient && l->w_channel == l->taps && l->kernels >= PRODUCTS_DOT_ROWS && y->part >= 2 * l->lanes;
    ptrdiff_t left = length % l->lanes;
    return pays && left <= l->lanes / 4 ? left : 0;
}

/* Cycles that `tall` rows of the layout take, per channel: packing, and products as measured. */
static double blocks_cycles_of_rows(const layer *l, const layout *y, ptrdiff_t tall)
{
    const fc_axis *ca = &l->axis[COLS], *ra = &l->axis[ROWS];
    ptrdiff_t runs = y->flat ? 1 : tall, length = y->flat ? tall * y->cols.block : y->cols.block;
    ptrdiff_t dots = fc_dots_of(l, y, length), vectors = runs * parts_of(length - dots, l->lanes);
    ptrdiff_t packed_rows = y->rows.apart ? y->rows.sets * tall : y->rows.sets * (y->rows.count - y->rows.block + tall);
    double packs = (double)(l->axis[DEPTH].k * packed_rows * y->cols.sets) *
                   ((double)parts_of(y->cols.count, l->lanes) * CYCLES_PACK[min(ca->stride, 5)] + CYCLES_PACK_ROW);
    /* Tap rows whose vectors begin where lines do; loads of others take two lines. */
    ptrdiff_t aligned = 0;
    for (ptrdiff_t r = 0; r < ra->k && (y->cols.apart || ca->k == 1); r++)
        aligned += y->rows.apart || r * ra->dilation / ra->stride * y->pitch % l->lanes == 0;
    double fma = CYCLES_FMA - CYCLES_ALIGNED * (double)aligned / (double)ra->k;
    double products = (double)vectors + VECTORS_IDLE[vectors % 3] * (vectors != 1) + VECTORS_DOT * (double)(runs * dots);
    return packs + (double)l->taps * (products * (double)l->kernels * fma + CYCLES_GATHER * (double)(runs * dots));
}

/* Bytes of a packed plane: of a few parts, or of a channel that is more than one */
static ptrdiff_t blocks_bytes(const layer *l, const layout *y)
{
    const ptrdiff_t set = round_up(y->rows.count * y->pitch, l->lanes);
    const ptrdiff_t channels = l->most_taps > PRODUCTS_PART ? 1 : PRODUCTS_FEW_PARTS * y->part_channels;
    return min(channels, l->channels) * l->axis[DEPTH].k * y->rows.sets * y->cols.sets * set * l->size;
}

static ptrdiff_t blocks_most_pixels(const layer *l)
{
    return clamp(PRODUCTS_REGION / (l->phases[ROWS] * l->phases[COLS]), 1, PRODUCTS_PIXELS);
}

/* Planes that may share a block, however many there are: what is chosen must not depend on the batch */
static ptrdiff_t blocks_planes(const layer *l, const layout *y)
{
    if (y->rows.block < l->axis[ROWS].out || y->cols.block < l->axis[COLS].out)
        return 1;
    return clamp(min(blocks_most_pixels(l) / (y->rows.block * y->cols.block), PRODUCTS_PACKED / max(blocks_bytes(l, y), 1)), 1,
                 PRODUCTS_PIXELS);
}

/* Cycles of a plane, per channel */
static double blocks_cycles_of_plane(const layer *l, const layout *y)
{
    const fc_axis *ra = &l->axis[ROWS];
    ptrdiff_t whole = ra->out / y->rows.block, rest = ra->out % y->rows.block;
    double cost = (double)whole * blocks_cycles_of_rows(l, y, y->rows.block) + (rest ? blocks_cycles_of_rows(l, y, rest) : 0);
    cost += (double)(l->kernels * l->taps * l->size * (whole + (rest > 0))) / (double)(PRODUCTS_WEIGHTS * blocks_planes(l, y));
    cost *= rest ? UNEVEN : 1;
    return cost * (double)parts_of(l->axis[COLS].out, y->cols.block);
}

/* Lower bands to try than `tall` rows: of as many rows each, or of a whole number of vectors; 0: none */
static ptrdiff_t blocks_next_band(ptrdiff_t rows, ptrdiff_t tall, ptrdiff_t wide, ptrdiff_t lanes)
{
    for (ptrdiff_t t = tall - 1; t > 0; t--)
        if (t == parts_of(rows, parts_of(rows, t)) || t * wide % lanes == 0)
            return t;
    return 0;
}

/* Whether the ways to pack a block of `tall` x `wide` outputs hold one that costs less than `least`: the best of them to y */
static double blocks_try(const layer *l, layout *y, ptrdiff_t tall, ptrdiff_t wide, double least)
{
    const fc_axis *ra = &l->axis[ROWS], *ca = &l->axis[COLS];
    for (int apart = 0; apart < 4; apart++) { /* rows, columns */
        if ((apart & 1 && ca->k == 1) || (apart & 2 && ra->k == 1))
            continue;
        layout t = *y;
        t.rows = fc_split_axis(ra, tall, ra->stride, apart & 2 ? APART : FEWER),
        t.cols = fc_split_axis(ca, wide, ca->stride, apart & 1 ? APART : FEWER);
        t.flat = tall == 1 || (t.cols.count == wide && wide == ca->out);
        t.pitch = t.flat ? t.cols.count : round_up(t.cols.count, l->lanes);
        ptrdiff_t bytes = blocks_bytes(l, &t);
        double cost = bytes <= PRODUCTS_PACKED ? blocks_cycles_of_plane(l, &t) : NO_FIT * (double)bytes;
        if (cost < least)
            least = cost, *y = t;
    }
    return least;
}

/* The block that costs least and fits into L2 (or is as small as can be). */
layout fc_choose_layout(const layer *l)
{
    const fc_axis *ra = &l->axis[ROWS], *ca = &l->axis[COLS];
    const ptrdiff_t panel = 3 * l->lanes, most = blocks_most_pixels(l), widest[] = {most, 480, 192, 96, 48};
    layout y = {.part_channels =
                    parts_of(l->channels, clamp(parts_of(l->channels * l->cut_as, PRODUCTS_PART), 1, l->channels))};
    y.part = y.part_channels == 1 ? even_part(l->most_taps, LONGEST_PART) : y.part_channels * l->most_taps;
    double least = INFINITY;
    for (int w = 0; w < 5; w++) {
        ptrdiff_t pieces = parts_of(ca->out, widest[w]);
        if (widest[w] > most || (pieces == 1 && w > 0))
            continue;
        ptrdiff_t wide = pieces == 1 ? ca->out : min(round_up(parts_of(ca->out, pieces), panel), ca->out);
        for (ptrdiff_t tall = min(ra->out, max(most / wide, 1)); tall > 0;
             tall = blocks_next_band(ra->out, tall, wide, l->lanes)) {
            if (least < NO_FIT && tall * wide < panel)
                break; /* less than one panel */
            least = blocks_try(l, &y, tall, wide, least);
        }
    }
    y.planes = blocks_planes(l, &y);
    return y;
}
