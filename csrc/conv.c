/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The driver of convolution layers: matrix products of the weights, read as they are, and packed pixels (K1).
 *
 *   1. Outputs are cut into blocks: rows x cols of a plane, or several small planes (images; depths of 3-D data).
 *   2. Channels are cut into parts of about DEPTH taps, which are summed apart: sums stay small, and so does
 *   3. what a part of the channels shows to a block, which is packed: for every tap, the elements under neighbouring
 *      outputs lie side by side, and one table says where, for each (channel, tap).
 *   4. Rows of weights times panels of outputs; the first part adds the bias, the last one clamps.
 *
 * How an axis is packed: either every tap has a set of its own, the elements that the outputs of the block see under it,
 * or taps share the phases of the stride and differ by a shift:
 *
 *      x   0 1 2 3 4 5 6 7 8      taps 3, stride 2, 3 outputs
 *      apart    tap 0: 0 2 4   tap 1: 1 3 5   tap 2: 2 4 6
 *      shared   phase 0: 0 2 4 6   phase 1: 1 3 5            tap 2 is phase 0, shifted by one
 *
 * With columns apart and blocks of whole rows, outputs are flat: vectors run on from row to row and no lane is lost at
 * the end of one. Else every row has vectors of its own.
 *
 * Blocks are handed to threads; where there are few, rows of weights are split, too. What is summed in which order
 * depends on neither, so the bits are the same for any number of threads and any batch.
 */
#include "call.h"
#include <string.h>

enum {
    PART = 640,             /* taps summed in one go, at most, but for rounding to whole channels */
    PACKED = 384 << 10,     /* bytes of a packed block that shares L2 with rows of weights */
    PIXELS = 1024,          /* outputs of a block, at most */
    ALL_VECTORS = PIXELS,   /* vectors of a block, at most */
};

/* One axis, packed for a block of `block` outputs. */
typedef struct {
    ptrdiff_t block, sets, count; /* count: elements of a set */
    int apart;
} split;

typedef struct {
    const fc_conv *g;
    fc_axis axis[FC_AXES];       /* g's, adjacent ones merged */
    ptrdiff_t size, lanes, taps, depth; /* depth: taps of all channels */
    fc_gemm_fn *gemm;
    fc_pack_fn *pack;
    split rows, cols;
    int flat;
    ptrdiff_t planes, planes_block;              /* planes: images x depths */
    ptrdiff_t parts, part_channels;
    ptrdiff_t pitch, row_set, col_set, depth_set, plane, channel; /* elements of the packed block */
    ptrdiff_t blocks[3], shares;                 /* blocks of planes, rows, columns; shares of the rows of weights */
    ptrdiff_t *at;
    char *scratch;
    size_t packed_bytes, thread_bytes;
} layer;

static ptrdiff_t parts_of(ptrdiff_t n, ptrdiff_t size)
{
    return (n + size - 1) / size;
}
static ptrdiff_t max(ptrdiff_t a, ptrdiff_t b)
{
    return a > b ? a : b;
}

/* ---- geometry --------------------------------------------------------------------------------- */

static split split_axis(const fc_axis *a, ptrdiff_t block, int apart)
{
    ptrdiff_t shared = (a->k - 1) * a->dilation / a->stride + block;
    if (apart || a->k * block <= a->stride * shared)
        return (split){block, a->k, block, 1};
    return (split){block, a->stride, shared, 0};
}
/* Where tap t is: the set, and the shift in it; where a set begins in X. */
static ptrdiff_t set_of(const split *s, const fc_axis *a, ptrdiff_t t)
{
    return s->apart ? t : t * a->dilation % a->stride;
}
static ptrdiff_t shift_of(const split *s, const fc_axis *a, ptrdiff_t t)
{
    return s->apart ? 0 : t * a->dilation / a->stride;
}
static ptrdiff_t first_of(const split *s, const fc_axis *a, ptrdiff_t set)
{
    return s->apart ? set * a->dilation : set;
}

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
                split rows = split_axis(ra, tall, 0), cols = split_axis(ca, width, flat);
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

static int prepare(layer *l)
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
    l->parts = clamp(parts_of(l->depth, PART), 1, g->channels);
    l->part_channels = parts_of(g->channels, l->parts);
    l->parts = parts_of(g->channels, l->part_channels);
    choose_block(l);
    l->pitch = l->flat ? l->cols.count : parts_of(l->cols.count, l->lanes) * l->lanes;
    l->row_set = l->rows.count * l->pitch;
    l->col_set = l->rows.sets * l->row_set;
    l->depth_set = l->cols.sets * l->col_set;
    l->plane = axis[DEPTH].k * l->depth_set;
    l->channel = l->planes_block * l->plane;
    l->packed_bytes = ((size_t)(l->part_channels * l->channel + 2 * l->lanes) * (size_t)l->size + LINE - 1) / LINE * LINE;
    l->blocks[0] = parts_of(l->planes, l->planes_block);
    l->blocks[1] = parts_of(axis[ROWS].out, l->rows.block);
    l->blocks[2] = parts_of(axis[COLS].out, l->cols.block);
    return 0;
}

static void tabulate(const layer *l)
{
    ptrdiff_t *at = l->at;
    const fc_axis *axis = l->axis;
    for (ptrdiff_t c = 0; c < l->part_channels; c++)
        for (ptrdiff_t z = 0; z < axis[DEPTH].k; z++)
            for (ptrdiff_t r = 0; r < axis[ROWS].k; r++)
                for (ptrdiff_t s = 0; s < axis[COLS].k; s++)
                    *at++ = c * l->channel + z * l->depth_set + set_of(&l->cols, &axis[COLS], s) * l->col_set +
                            shift_of(&l->cols, &axis[COLS], s) + set_of(&l->rows, &axis[ROWS], r) * l->row_set +
                            shift_of(&l->rows, &axis[ROWS], r) * l->pitch;
}

/* ---- packing ---------------------------------------------------------------------------------- */

/* A run of rows of one set of columns, `apart` bytes from one to the next in x; x NULL: of zeros */
static void pack_rows(const layer *l, char *to, const char *x, ptrdiff_t apart, ptrdiff_t rows, ptrdiff_t first)
{
    const fc_axis *cols = &l->axis[COLS];
    ptrdiff_t n = l->cols.count, step = cols->stride;
    /* elements from ... end of the set lie inside x */
    ptrdiff_t from = clamp(first >= 0 ? 0 : parts_of(-first, step), 0, n);
    ptrdiff_t end = x == NULL || first >= cols->n ? from : clamp((cols->n - 1 - first) / step + 1, from, n);
    int readable = x == NULL || (cols->x_step % l->size == 0 && apart % l->size == 0 && (uintptr_t)x % (uintptr_t)l->size == 0);
    if (readable) {
        const char *at = x == NULL ? to : x + first * cols->x_step;
        l->pack(to, l->pitch, at, apart / l->size, rows, n, x == NULL ? 0 : from, x == NULL ? 0 : end,
                step * cols->x_step / l->size);
    }
    if (x == NULL || (readable && (cols->boundary == FC_CONSTANT || (from == 0 && end == n))))
        return;
    for (ptrdiff_t i = 0; i < rows; i++, to += l->pitch * l->size, x += apart)
        for (ptrdiff_t j = 0; j < n; j++) {
            if (readable && j == from)
                j = end;
            if (j == n)
                break;
            ptrdiff_t source = fc_source_index(first + j * step, cols->n, cols->boundary);
            if (source < 0)
                memset(to + j * l->size, 0, (size_t)l->size);
            else
                memcpy(to + j * l->size, x + source * cols->x_step, (size_t)l->size);
        }
}

/* What outputs from (row, col) on see of one plane of one channel */
static void pack_plane(const layer *l, char *to, const char *x, ptrdiff_t row, ptrdiff_t col)
{
    const fc_axis *rows = &l->axis[ROWS], *cols = &l->axis[COLS];
    for (ptrdiff_t s = 0; s < l->cols.sets; s++) {
        ptrdiff_t first_col = col * cols->stride - cols->lead + first_of(&l->cols, cols, s);
        for (ptrdiff_t r = 0; r < l->rows.sets; r++) {
            ptrdiff_t first_row = row * rows->stride - rows->lead + first_of(&l->rows, rows, r), step = rows->stride;
            ptrdiff_t inside = clamp(first_row >= 0 ? 0 : parts_of(-first_row, step), 0, l->rows.count);
            ptrdiff_t outside = first_row >= rows->n ? inside : clamp((rows->n - 1 - first_row) / step + 1, inside, l->rows.count);
            for (ptrdiff_t i = 0; i < l->rows.count;) {
                int run = x != NULL && i == inside && outside > inside;
                ptrdiff_t source = x == NULL ? -1 : fc_source_index(first_row + i * step, rows->n, rows->boundary);
                ptrdiff_t n = run ? outside - inside : 1;
                pack_rows(l, to, source < 0 ? NULL : x + source * rows->x_step, step * rows->x_step, n, first_col);
                i += n;
                to += n * l->pitch * l->size;
            }
        }
    }
}

/* Channels of one part, planes of one block */
static void pack_block(const layer *l, char *to, const char *x, ptrdiff_t channels, ptrdiff_t plane, ptrdiff_t planes,
                       ptrdiff_t row, ptrdiff_t col)
{
    const fc_conv *g = l->g;
    const fc_axis *depth = &l->axis[DEPTH];
    for (ptrdiff_t c = 0; c < channels; c++, x += g->x_channel)
        for (ptrdiff_t p = 0; p < planes; p++)
            for (ptrdiff_t z = 0; z < depth->k; z++) {
                ptrdiff_t image = (plane + p) / depth->out, at = (plane + p) % depth->out;
                ptrdiff_t source = fc_source_index(at * depth->stride - depth->lead + z * depth->dilation, depth->n, depth->boundary);
                const char *from = source < 0 ? NULL : x + image * g->x_image + source * depth->x_step;
                pack_plane(l, to + (c * l->channel + p * l->plane + z * l->depth_set) * l->size, from, row, col);
            }
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
    if (prepare(&l) != 0)
        return -1;
    double us = 2e-3 * (double)l.depth * (double)(g->images * g->groups * g->kernels) *
                (double)(axis[DEPTH].out * axis[ROWS].out * axis[COLS].out) * (double)l.size / fc->vector_bytes / 6.0;
    int threads = fc_threads_for(us, g->threads);
    ptrdiff_t chunks = l.blocks[0] * l.blocks[1] * l.blocks[2] * g->groups;
    l.shares = chunks >= 4 * threads || threads == 1 ? 1 : clamp(g->kernels / (4 * fc->rows), 1, parts_of(4 * threads, chunks));
    size_t panel_bytes = (size_t)(l.planes_block * l.rows.block * parts_of(l.cols.block, l.lanes) + 1) * sizeof(fc_panel);
    l.thread_bytes = l.packed_bytes + (panel_bytes + LINE - 1) / LINE * LINE;
    size_t at_bytes = ((size_t)(l.part_channels * l.taps) * sizeof(ptrdiff_t) + LINE - 1) / LINE * LINE;
    char *memory = fc_alloc((size_t)threads * l.thread_bytes + at_bytes, 1);
    if (memory == NULL)
        return -1;
    l.at = (ptrdiff_t *)(void *)memory;
    l.scratch = memory + at_bytes;
    tabulate(&l);
    fc_pool_run(threads, chunks * l.shares, block, &l);
    fc_free(memory);
    return 0;
}
