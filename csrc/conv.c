/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The driver of convolution layers: matrix products of the weights, read as they are, and packed pixels (K1).
 *
 *   1. Outputs are cut into blocks: rows x cols of a plane, or several small planes (images; depths of 3-D data).
 *   2. Channels are cut into parts of about PART taps, which are summed apart: so sums stay small, and so does
 *   3. what a block sees of a part, which is packed (layer.h): elements under neighbouring outputs lie side by side, and
 *      one table says where, for every channel and tap.
 *   4. Rows of weights times panels of outputs; the first part adds the bias, the last one clamps.
 *
 * With columns apart and blocks of whole rows, outputs are flat: vectors run on from row to row and no lane is lost at
 * the end of one. Else every row has vectors of its own.
 *
 * Blocks are handed to threads; where there are few, rows of weights are split, too. What is summed in which order
 * depends on neither, so the bits are the same for any number of threads and any batch.
 */
#include "layer.h"
#include <string.h>

enum {
    PART = 640,         /* taps summed in one go, at most, but for rounding to whole channels */
    PACKED = 384 << 10, /* bytes of a packed block, which shares L2 with rows of weights */
    PIXELS = 1024,      /* outputs of a block, at most */
};

/* Rows of one element each that no tap reaches across are columns of the axis behind. */
static void merge_axes(layer *l)
{
    for (int a = ROWS; a >= DEPTH; a--) {
        fc_axis *outer = &l->axis[a], *inner = &l->axis[COLS];
        int plain = outer->k == 1 && inner->k == 1 && outer->stride == 1 && inner->stride == 1 && outer->lead == 0 &&
                    inner->lead == 0 && outer->n == outer->out && inner->n == inner->out;
        if (!plain || (outer->n > 1 && inner->n > 1 && outer->x_step != inner->n * inner->x_step))
            return;
        if (inner->n == 1)
            inner->x_step = outer->x_step;
        inner->n *= outer->n;
        inner->out = inner->n;
        outer->n = outer->out = 1;
    }
}

/* Cycles for an output of the block, per channel: packing and products. */
static double cost_of(const layer *l, const split *rows, const split *cols, ptrdiff_t planes, int flat)
{
    ptrdiff_t outputs = rows->block * cols->block;
    ptrdiff_t vectors = flat ? parts_of(outputs, l->lanes) : rows->block * parts_of(cols->block, l->lanes);
    double packs = (double)(l->axis[DEPTH].k * rows->sets * rows->count * cols->sets) *
                   (double)(parts_of(cols->count, l->lanes) + 1) * (l->axis[COLS].stride > 2 ? 16 : 2);
    return (packs + (double)(vectors * l->taps * l->g->kernels) * 0.5) / (double)(planes * outputs);
}

static size_t bytes_of(const layer *l, const split *rows, const split *cols)
{
    return (size_t)(l->part_channels * l->axis[DEPTH].k * rows->sets * rows->count * cols->sets) *
           (size_t)(cols->count * l->size);
}

/* The block that costs least for an output and fits into L2 (or is as small as can be). */
static void choose_block(layer *l)
{
    const fc_axis *ra = &l->axis[ROWS], *ca = &l->axis[COLS];
    double least = -1;
    ptrdiff_t panel = 3 * l->lanes;
    static const ptrdiff_t wide[] = {PIXELS, 480, 192, 96, 48};
    for (int w = 0; w < 5; w++) {
        ptrdiff_t pieces = parts_of(ca->out, wide[w]), width = ca->out;
        if (pieces > 1)
            width = min(parts_of(parts_of(ca->out, pieces), panel) * panel, ca->out);
        else if (w > 0)
            continue;
        for (ptrdiff_t tall = 1; tall <= ra->out && (tall == 1 || tall * width <= PIXELS); tall++)
            for (int flat = width == ca->out; flat >= 0; flat--) {
                split rows = fc_split_axis(ra, tall, FEWER), cols = fc_split_axis(ca, width, flat ? APART : FEWER);
                double cost = cost_of(l, &rows, &cols, 1, flat);
                if (least >= 0 && (cost >= least || bytes_of(l, &rows, &cols) > PACKED))
                    continue;
                least = bytes_of(l, &rows, &cols) > PACKED ? 1e300 : cost;
                l->rows = rows, l->cols = cols, l->flat = flat;
            }
    }
    l->planes_block = 1;
    ptrdiff_t outputs = l->rows.block * l->cols.block;
    if (l->rows.block == ra->out && l->cols.block == ca->out && l->planes > 1)
        l->planes_block = clamp(min(PIXELS / 4 / max(outputs, 1), (ptrdiff_t)(PACKED / max((ptrdiff_t)bytes_of(l, &l->rows, &l->cols), 1))),
                                1, l->planes);
}

static void describe(layer *l)
{
    const fc_conv *g = l->g;
    memcpy(l->axis, g->axis, sizeof l->axis);
    merge_axes(l);
    const fc_axis *axis = l->axis;
    l->size = fc_stored_size(g->type);
    l->lanes = fc->vector_bytes / l->size;
    l->gemm = g->type == FC_F32 ? fc->gemm_f32 : fc->gemm_f64;
    l->pack = g->type == FC_F32 ? fc->pack_f32 : fc->pack_f64;
    l->taps = axis[DEPTH].k * axis[ROWS].k * axis[COLS].k;
    l->depth = g->channels * l->taps;
    l->planes = g->images * axis[DEPTH].out;
}

static void plan_products(layer *l)
{
    const fc_conv *g = l->g;
    const fc_axis *axis = l->axis;
    l->parts = clamp(parts_of(l->depth, PART), 1, g->channels);
    l->part_channels = parts_of(g->channels, l->parts);
    l->parts = parts_of(g->channels, l->part_channels);
    choose_block(l);
    fc_lay_out(l, l->flat ? l->cols.count : parts_of(l->cols.count, l->lanes) * l->lanes);
    l->channel = l->planes_block * l->plane;
    l->packed_bytes = ((size_t)(l->part_channels * l->channel + 2 * l->lanes) * (size_t)l->size + LINE - 1) / LINE * LINE;
    l->blocks[0] = parts_of(l->planes, l->planes_block);
    l->blocks[1] = parts_of(axis[ROWS].out, l->rows.block);
    l->blocks[2] = parts_of(axis[COLS].out, l->cols.block);
}

/* Channels of one part, planes of one block */
static void pack_block(const layer *l, char *to, const char *x, ptrdiff_t channels, ptrdiff_t plane, ptrdiff_t planes,
                       ptrdiff_t row, ptrdiff_t col)
{
    for (ptrdiff_t c = 0; c < channels; c++, x += l->g->x_channel)
        for (ptrdiff_t p = 0; p < planes; p++)
            fc_pack_channel(l, to + (c * l->channel + p * l->plane) * l->size, x, plane + p, row, col);
}

/* ---- products --------------------------------------------------------------------------------- */

/* Vectors of a block, joined to panels; returns the number of panels. */
static ptrdiff_t make_panels(const layer *l, fc_panel *panel, int widest, ptrdiff_t plane, ptrdiff_t planes, ptrdiff_t rows,
                             ptrdiff_t cols)
{
    const fc_axis *axis = l->axis;
    ptrdiff_t kernels = l->g->groups * l->g->kernels, area = axis[ROWS].out * axis[COLS].out;
    ptrdiff_t runs = l->flat ? 1 : rows, length = l->flat ? rows * cols : cols;
    ptrdiff_t vectors = planes * runs * parts_of(length, l->lanes), panels = 0, n = 0;
    fc_panel *to = panel;
    to->whole = 1;
    for (ptrdiff_t p = 0; p < planes; p++)
        for (ptrdiff_t i = 0; i < runs; i++)
            for (ptrdiff_t j = 0; j < length; j += l->lanes) {
                int take = n == 0 ? (vectors >= widest ? widest : vectors >= 2 ? 2 : 1) : to->vectors;
                ptrdiff_t image = (plane + p) / axis[DEPTH].out, z = (plane + p) % axis[DEPTH].out;
                to->vectors = take;
                to->b[n] = p * l->plane + i * l->pitch + j;
                to->c[n] = (image * kernels * axis[DEPTH].out + z) * area + i * axis[COLS].out + j;
                to->lanes[n] = min(l->lanes, length - j);
                to->whole &= to->lanes[n] == l->lanes;
                vectors--;
                if (++n == take) {
                    (++to)->whole = 1;
                    panels++;
                    n = 0;
                }
            }
    return panels;
}

static void block(void *context, ptrdiff_t index, int slot)
{
    const layer *l = context;
    const fc_conv *g = l->g;
    const fc_axis *axis = l->axis;
    char *packed = l->scratch + (size_t)slot * l->thread_bytes;
    fc_panel *panel = (fc_panel *)(void *)(packed + l->packed_bytes);
    ptrdiff_t share = index % l->shares, group = (index /= l->shares) % g->groups;
    ptrdiff_t col = (index /= g->groups) % l->blocks[2] * l->cols.block, row = (index /= l->blocks[2]) % l->blocks[1] * l->rows.block;
    ptrdiff_t plane = index / l->blocks[1] * l->planes_block;
    ptrdiff_t rows = min(l->rows.block, axis[ROWS].out - row), cols = min(l->cols.block, axis[COLS].out - col);
    ptrdiff_t planes = min(l->planes_block, l->planes - plane);
    ptrdiff_t from = g->kernels * share / l->shares, to = g->kernels * (share + 1) / l->shares;
    ptrdiff_t tiles = parts_of(to - from, fc->rows);
    ptrdiff_t panels = make_panels(l, panel, fc->cols_of[parts_of(to - from, tiles)], plane, planes, rows, cols);
    ptrdiff_t volume = axis[DEPTH].out * axis[ROWS].out * axis[COLS].out, kernel = group * g->kernels + from;
    fc_gemm m = {.as = l->depth, .cs = volume, .rows = to - from, .b = packed, .panels = panels, .panel = panel,
                 .low = g->low, .high = g->high};
    m.bias = g->bias ? g->bias + kernel * l->size : NULL;
    m.c = g->out + (kernel * volume + row * axis[COLS].out + col) * l->size;
    for (ptrdiff_t first = 0; first < g->channels; first += l->part_channels) {
        ptrdiff_t channels = min(l->part_channels, g->channels - first), taps = channels * l->taps;
        pack_block(l, packed, g->x + (group * g->channels + first) * g->x_channel, channels, plane, planes, row, col);
        for (ptrdiff_t tap = 0, n; tap < taps; tap += n) {
            n = taps <= 2 * PART ? taps : min(PART, taps - tap);
            m.a = g->w + (kernel * l->depth + first * l->taps + tap) * l->size;
            m.at = l->at + tap;
            m.depth = n;
            m.add = first + tap > 0;
            m.clamp = g->clamp && first + channels == g->channels && tap + n == taps;
            l->gemm(&m);
        }
    }
}

int fc_conv_run(const fc_conv *g)
{
    layer l = {.g = g};
    const fc_axis *axis = g->axis;
    if (g->images * g->groups * g->kernels * axis[DEPTH].out * axis[ROWS].out * axis[COLS].out == 0)
        return 0;
    describe(&l);
    if (g->channels == 1 && l.taps > 1)
        return fc_depthwise_run(&l);
    plan_products(&l);
    double us = 2e-3 * (double)l.depth * (double)(g->images * g->groups * g->kernels) *
                (double)(axis[DEPTH].out * axis[ROWS].out * axis[COLS].out) * (double)l.size / fc->vector_bytes / 6.0;
    int threads = fc_threads_for(us, g->threads);
    ptrdiff_t chunks = l.blocks[0] * l.blocks[1] * l.blocks[2] * g->groups;
    l.shares = chunks >= 4 * threads || threads == 1 ? 1 : clamp(g->kernels / (4 * fc->rows), 1, parts_of(4 * threads, chunks));
    size_t panel_bytes = (size_t)(l.planes_block * l.rows.block * parts_of(l.cols.block, l.lanes) + 1) * sizeof(fc_panel);
    l.thread_bytes = l.packed_bytes + (panel_bytes + LINE - 1) / LINE * LINE;
    size_t at_bytes = ((size_t)(l.part_channels * l.taps) * sizeof(ptrdiff_t) + LINE - 1) / LINE * LINE;
    char *memory = fc_borrow((size_t)threads * l.thread_bytes + at_bytes);
    if (memory == NULL)
        return -1;
    l.at = (ptrdiff_t *)(void *)memory;
    l.scratch = memory + at_bytes;
    fc_tabulate(&l, l.part_channels, l.channel);
    fc_pool_run(threads, chunks * l.shares, block, &l);
    fc_return(memory);
    return 0;
}
