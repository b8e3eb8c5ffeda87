/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The driver of convolution layers and their data gradients: matrix products of the weights, read as they are, and packed
 * pixels (K1, K2).
 *
 *   1. Outputs are cut into blocks: rows x cols of a plane, or several small planes (images; depths of 3-D data).
 *   2. Channels are cut into parts of about PART taps, which are summed apart, so that sums stay small. What a block sees of
 *      several parts is packed (layer.h): elements under neighbouring outputs lie side by side, and one table says where, for
 *      every channel and tap.
 *   3. A few rows of weights times panels of outputs, part by part: their sums stay in L1 meanwhile, and the packed block in
 *      L2 for the next rows. The first part adds the bias, the last one clamps.
 *
 * With columns apart and blocks of whole rows, outputs are flat: vectors run on from row to row and no lane is lost at
 * the end of one. Else every row is a run of its own. A few outputs left over at the end of a run, a quarter of
 * a vector or less, are inner products instead: 7x7 outputs are three vectors and one dot.
 *
 * Blocks are handed to threads; where there are few, rows of weights are split, too. What is summed in which order
 * depends on neither, so the bits are the same for any number of threads and any batch.
 */
#include "layers/layer.h"
#include <string.h>

enum {
    PART = 128,         /* taps summed in one go, but for rounding to whole channels; */
    PACKED = 320 << 10, /* bytes of a packed block, which shares L2 with rows of weights */
    PIXELS = 1024,      /* outputs of a block and phase, at most; */
    REGION = 1 << 16,   /* of all phases */
    FEW_PARTS = 2,      /* packed in one go, where blocks can be chosen; */
    MOST_PARTS = 16,    /* where there is room left */
    DOT_ROWS = 16,      /* rows of weights, at least, for inner products */
};

/* Outputs at the end of a run that inner products may take, at most: for a quarter of a vector they are faster */
static ptrdiff_t most_dots(const layer *l)
{
    return !l->g->gradient && l->kernels >= DOT_ROWS && l->part >= 2 * l->lanes && l->taps <= LONGEST_PART ? l->lanes / 4 : 0;
}

/* How many they take, of so many */
static ptrdiff_t dots_of(const layer *l, ptrdiff_t length)
{
    ptrdiff_t left = length % l->lanes;
    return left <= most_dots(l) ? left : 0;
}

/* How a plane of outputs can be cut and packed */
typedef struct {
    split rows, cols;
    int flat;        /* rows of outputs adjoin in the packed block */
    ptrdiff_t pitch; /* of its rows */
} layout;

/* Cycles that `tall` rows of the layout take, per channel: packing, and products as measured. */
static double cycles_of(const layer *l, const layout *y, ptrdiff_t tall)
{
    static const double idle[3] = {0, 0.7, 0.3}; /* a panel of one vector or two keeps the fma units waiting */
    enum { STEPS = 5 };
    static const double pack[STEPS] = {0, 8, 9, 30, 11}; /* a vector, by the stride */
    const fc_axis *ca = &l->axis[COLS], *ra = &l->axis[ROWS];
    ptrdiff_t runs = y->flat ? 1 : tall, length = y->flat ? tall * y->cols.block : y->cols.block;
    ptrdiff_t dots = dots_of(l, length), vectors = runs * parts_of(length - dots, l->lanes);
    ptrdiff_t packed_rows = y->rows.apart ? y->rows.sets * tall : y->rows.sets * (y->rows.count - y->rows.block + tall);
    double packs = (double)(l->axis[DEPTH].k * packed_rows * y->cols.sets) *
                   ((double)parts_of(y->cols.count, l->lanes) * pack[ca->stride < STEPS ? ca->stride : 3] + 3);
    /* Tap rows whose vectors begin where lines do; loads of others take two lines. */
    ptrdiff_t aligned = 0;
    for (ptrdiff_t r = 0; r < ra->k && (y->cols.apart || ca->k == 1); r++)
        aligned += y->rows.apart || r * ra->dilation / ra->stride * y->pitch % l->lanes == 0;
    double fma = 0.6 - 0.02 * (double)aligned / (double)ra->k;
    double products = (double)vectors + idle[vectors % 3] * (vectors != 1) + 0.16 * (double)(runs * dots);
    return packs + (double)l->taps * (products * (double)l->kernels * fma + 2 * (double)(runs * dots));
}

/* Bytes of a packed plane */
static ptrdiff_t bytes_of(const layer *l, const layout *y)
{
    ptrdiff_t set = parts_of(y->rows.count * y->pitch, l->lanes) * l->lanes;
    return min(FEW_PARTS * l->part_channels, l->channels) * l->axis[DEPTH].k * y->rows.sets * y->cols.sets * set * l->size;
}

/* Planes that may share a block, however many there are: what is chosen must not depend on the batch */
static ptrdiff_t planes_of(const layer *l, const layout *y)
{
    if (y->rows.block < l->axis[ROWS].out || y->cols.block < l->axis[COLS].out)
        return 1;
    return clamp(min(l->pixels / (y->rows.block * y->cols.block), PACKED / max(bytes_of(l, y), 1)), 1, PIXELS);
}

/* Cycles of a plane, per channel */
static double cost_of(const layer *l, const layout *y)
{
    enum { WEIGHTS = 8 }; /* bytes a cycle, read once for every block */
    const fc_axis *ra = &l->axis[ROWS];
    ptrdiff_t whole = ra->out / y->rows.block, rest = ra->out % y->rows.block;
    double cost = (double)whole * cycles_of(l, y, y->rows.block) + (rest ? cycles_of(l, y, rest) : 0);
    cost += (double)(l->kernels * l->taps * l->size * (whole + (rest > 0))) / (double)(WEIGHTS * planes_of(l, y));
    cost *= rest ? 1.02 : 1; /* even blocks keep threads busy to the end */
    return cost * (double)parts_of(l->axis[COLS].out, y->cols.block);
}

/* Lower bands to try than `tall` rows: of as many rows each, or of a whole number of vectors; 0: none */
static ptrdiff_t next_band(ptrdiff_t rows, ptrdiff_t tall, ptrdiff_t wide, ptrdiff_t lanes)
{
    for (ptrdiff_t t = tall - 1; t > 0; t--)
        if (t == parts_of(rows, parts_of(rows, t)) || t * wide % lanes == 0)
            return t;
    return 0;
}

/* The block that costs least and fits into L2 (or is as small as can be). */
static void choose_block(layer *l)
{
    const fc_axis *ra = &l->axis[ROWS], *ca = &l->axis[COLS];
    static const double NO_FIT = 1e100;
    double least = -1;
    layout best = {0};
    const ptrdiff_t widest[] = {l->pixels, 480, 192, 96, 48};
    for (int w = 0; w < 5; w++) {
        if (widest[w] > l->pixels)
            continue;
        ptrdiff_t pieces = parts_of(ca->out, widest[w]), panel = 3 * l->lanes;
        ptrdiff_t wide = pieces == 1 ? ca->out : min(parts_of(parts_of(ca->out, pieces), panel) * panel, ca->out);
        if (pieces == 1 && w > 0)
            continue;
        for (ptrdiff_t tall = min(ra->out, max(l->pixels / wide, 1)); tall > 0; tall = next_band(ra->out, tall, wide, l->lanes)) {
            if (least >= 0 && least < NO_FIT && tall * wide < panel)
                break; /* less than one panel */
            for (int how = 0; how < 4; how++) { /* rows apart, columns apart */
                layout y = {.rows = fc_split_axis(ra, tall, how & 2 ? APART : FEWER),
                            .cols = fc_split_axis(ca, wide, how & 1 ? APART : FEWER)};
                y.flat = tall == 1 || (y.cols.count == wide && wide == ca->out);
                y.pitch = y.flat ? y.cols.count : parts_of(y.cols.count, l->lanes) * l->lanes;
                if ((how & 1 && ca->k == 1) || (how & 2 && ra->k == 1))
                    continue;
                ptrdiff_t bytes = bytes_of(l, &y);
                double cost = bytes <= PACKED ? cost_of(l, &y) : NO_FIT * (double)bytes;
                if (least >= 0 && cost >= least)
                    continue;
                least = cost;
                best = y;
            }
        }
    }
    l->rows = best.rows, l->cols = best.cols, l->flat = best.flat;
    fc_lay_out(l, best.pitch);
    l->most_planes = planes_of(l, &best);
    l->planes_block = min(l->most_planes, l->planes);
    l->planes_block = parts_of(l->planes, parts_of(l->planes, l->planes_block)); /* as even as can be */
}

/* How outputs of a plane are summed, rows x cols of them: as one run of vectors, if flat, or row by row; and in dots */
typedef struct {
    ptrdiff_t count, length, dots, vectors; /* runs; outputs of each, dots of each; vectors of all */
} runs;
static runs runs_of(const layer *l, ptrdiff_t rows, ptrdiff_t cols, int flat)
{
    ptrdiff_t count = flat ? min(rows, 1) : rows, length = flat ? rows * cols : cols, dots = dots_of(l, length);
    return (runs){count, length, dots, count * parts_of(length - dots, l->lanes)};
}

/* Elements of a column of a part, for the inner products */
static ptrdiff_t column_of(const layer *l)
{
    return parts_of(l->part, l->lanes) * l->lanes;
}

/* Parts of so many planes that are packed in one go: as many as fit */
static ptrdiff_t parts_packed(const layer *l, ptrdiff_t planes)
{
    ptrdiff_t bytes = (planes * l->part_channels * l->plane + l->most_dots * column_of(l)) * l->size;
    return l->part == l->part_channels * l->most_taps ? clamp(PACKED / max(bytes, 1), 1, MOST_PARTS) : 1;
}

static ptrdiff_t power_of_two(ptrdiff_t most)
{
    ptrdiff_t n = 1;
    while (n <= most / 2)
        n *= 2;
    return n;
}

/* Parts of a phase with few taps span the channels of several. What is packed in one go holds a whole number of these, so that
 * the batch, which decides how much fits, does not cut them. */
static ptrdiff_t channels_packed(layer *l)
{
    l->most_spans = fc_phases(l) > 1 ? power_of_two(min(parts_packed(l, l->most_planes), l->most_taps)) : 1;
    ptrdiff_t parts = parts_packed(l, l->planes_block) / l->most_spans * l->most_spans;
    return min(l->part_channels * parts, l->channels);
}

static void plan_products(layer *l)
{
    const fc_axis *axis = l->axis;
    int is_f32 = l->g->type == FC_F32;
    l->gemm = is_f32 ? l->fc->gemm_f32 : l->fc->gemm_f64;
    l->dot = is_f32 ? l->fc->dot_f32 : l->fc->dot_f64;
    l->depth = l->channels * l->most_taps;
    l->part_channels = parts_of(l->channels, clamp(parts_of(l->depth, PART), 1, l->channels));
    l->part = l->part_channels == 1 ? even_part(l->most_taps, LONGEST_PART) : l->part_channels * l->most_taps;
    l->pixels = clamp(REGION / (l->phases[ROWS] * l->phases[COLS]), 1, PIXELS);
    choose_block(l);
    const runs most = runs_of(l, l->rows.block, l->cols.block, l->flat && !l->ragged);
    l->most_vectors = l->planes_block * most.vectors;
    l->most_dots = l->planes_block * most.count * most_dots(l);
    l->pack_channels = channels_packed(l);
    l->packed_plane = times(l->pack_channels, l->plane);
    l->blocks[0] = parts_of(l->planes, l->planes_block);
    l->blocks[1] = parts_of(axis[ROWS].out, l->rows.block);
    l->blocks[2] = parts_of(axis[COLS].out, l->cols.block);
}

/* Some channels, planes of one block */
static void pack_block(const layer *l, char *to, fc_run *run, const char *x, ptrdiff_t channels, ptrdiff_t plane,
                       ptrdiff_t planes, ptrdiff_t row, ptrdiff_t col)
{
    enum { AHEAD = 4 }; /* channels */
    for (ptrdiff_t p = 0; p < planes; p++, to += l->packed_plane * l->size) {
        fc_runs runs = fc_plan_runs(l, run, plane + p, row, col);
        runs.ahead = AHEAD * l->g->x_channel / l->size;
        for (ptrdiff_t c = 0; c < channels; c++)
            fc_pack_channel(l, to + c * l->plane * l->size, x + c * l->g->x_channel, &runs);
    }
}

/* ---- products --------------------------------------------------------------------------------- */

/* What a thread works on */
typedef struct {
    char *packed, *columns, *room; /* columns: for the dots, their pixels by taps; room: for fc_interleave */
    fc_run *run;
    fc_panel *panel;               /* of all phases, */
    ptrdiff_t *panels;             /* so many of each */
    ptrdiff_t dots, *dot_b, *dot_c; /* dots: their offsets in the packed block and in out */
} tile;

static void lay_parts(const layer *l, fc_room *r, tile *t)
{
    ptrdiff_t phases = fc_phases(l), parts = parts_of(times(l->pack_channels, l->taps), l->part);
    t->packed = fc_part(r, "packed", plus(times(l->planes_block, l->packed_plane), 2 * l->lanes), l->size); /* read beyond */
    t->run = fc_part(r, "runs", l->most_runs, sizeof *t->run);
    t->panel = fc_part(r, "panels", plus(times(phases, l->most_vectors), 1), sizeof *t->panel);
    t->panels = fc_part(r, "panels of phases", phases, sizeof *t->panels);
    t->columns = fc_part(r, "columns", times(times(l->most_dots, parts), column_of(l)), l->size);
    t->dot_b = fc_part(r, "dots in packed", l->most_dots, sizeof *t->dot_b);
    t->dot_c = fc_part(r, "dots in out", l->most_dots, sizeof *t->dot_c);
    if (l->step[ROWS] * l->step[COLS] > 1)
        t->room = fc_part(r, "room", times(l->phases[ROWS] * l->phases[COLS], l->rows.block * l->cols.block), l->size);
}

/* What all threads share */
static void lay_tables(layer *l, fc_room *r)
{
    ptrdiff_t taps = times(l->pack_channels, l->taps);
    l->phase = fc_part(r, "phases", fc_phases(l), sizeof *l->phase);
    l->at = fc_part(r, "taps in packed", taps, sizeof *l->at);
    l->weight_at = fc_part(r, "taps in weights", taps, sizeof *l->weight_at);
}

/* The plane of out that a phase writes, of plane `index` that is read; -1: none */
static ptrdiff_t plane_of(const layer *l, ptrdiff_t first, ptrdiff_t index)
{
    ptrdiff_t depth = l->axis[DEPTH].out, z = index % depth * l->step[DEPTH] + first;
    return z < l->whole[DEPTH] ? index / depth * l->g->groups * l->kernels * l->whole[DEPTH] + z : -1;
}

/* Vectors of a phase of a block, joined to panels; and its dots. Returns where those of the next phase may be. */
static fc_panel *make_panels(const layer *l, tile *t, const phase *q, fc_panel *to, ptrdiff_t widest, ptrdiff_t plane,
                             ptrdiff_t planes, const area *block)
{
    area a = *block;
    ptrdiff_t c_pitch, first = fc_phase_area(l, q, &a, &c_pitch), whole = l->whole[ROWS] * l->whole[COLS], there = 0;
    const runs r = runs_of(l, a.rows, a.cols, l->flat && (a.rows <= 1 || a.cols == block->cols));
    int n = 0;
    for (ptrdiff_t p = 0; p < planes; p++)
        there += plane_of(l, q->axis[DEPTH].first, plane + p) >= 0;
    ptrdiff_t vectors = there * r.vectors;
    const fc_panel *from = to;
    for (ptrdiff_t p = 0; p < planes; p++) {
        ptrdiff_t out = plane_of(l, q->axis[DEPTH].first, plane + p);
        for (ptrdiff_t i = 0; out >= 0 && i < r.count; i++) {
            ptrdiff_t b = p * l->packed_plane + i * l->pitch, c = out * whole + first + i * c_pitch, j = 0;
            for (; j < r.length - r.dots; j += l->lanes)
                to = add_vector(to, &n, vectors--, widest, b + j, c + j, min(l->lanes, r.length - r.dots - j), l->lanes);
            for (j = r.length - r.dots; j < r.length; j++, t->dots++)
                t->dot_b[t->dots] = b + j, t->dot_c[t->dots] = c + j;
        }
    }
    t->panels[q - l->phase] = to - from;
    return to;
}

static char *columns_of(const layer *l, const tile *t, ptrdiff_t tap) /* of the part that begins there */
{
    return t->columns + tap / l->part * t->dots * column_of(l) * l->size;
}

/* The columns under the dots of n taps, from `tap` on, which begin a part */
static void gather(const layer *l, const tile *t, ptrdiff_t tap, ptrdiff_t n)
{
    const ptrdiff_t *at = l->at + tap, pitch = column_of(l);
    char *columns = columns_of(l, t, tap);
    for (ptrdiff_t i = 0; i < t->dots; i++) {
        char *to = columns + i * pitch * l->size;
        const char *from = t->packed + t->dot_b[i] * l->size;
        if (l->g->type == FC_F32)
            for (ptrdiff_t p = 0; p < n; p++)
                ((float *)(void *)to)[p] = ((const float *)(const void *)from)[at[p]];
        else
            for (ptrdiff_t p = 0; p < n; p++)
                ((double *)(void *)to)[p] = ((const double *)(const void *)from)[at[p]];
        memset(to + n * l->size, 0, (size_t)((pitch - n) * l->size));
    }
}

/* Products of a tile's rows of weights and the taps of some channels that are packed, part by part: sums stay in L1.
 * `first` channels came before. */
static void multiply(const layer *l, const tile *t, const phase *q, fc_gemm m, ptrdiff_t first, ptrdiff_t channels)
{
    const ptrdiff_t taps = channels * q->taps;
    const int clamps = l->g->clamp && first + channels == l->channels;
    for (ptrdiff_t tap = 0; tap < taps; tap += q->part) {
        m.a_at = l->weight_at + q->at + tap;
        m.b_at = l->at + q->at + tap;
        m.depth = min(q->part, taps - tap);
        m.add = first + tap > 0;
        m.clamp = clamps && tap + m.depth == taps;
        l->gemm(&m);
        if (t->dots == 0)
            continue;
        fc_dot d = {.a = (const char *)m.a + tap * l->size, .b = columns_of(l, t, tap), .bias = m.bias, .c = m.c,
                    .as = m.as, .bs = column_of(l), .cs = m.cs, .rows = m.rows, .cols = t->dots, .depth = m.depth,
                    .at = t->dot_c, .add = m.add, .clamp = m.clamp, .low = m.low, .high = m.high};
        l->dot(&d);
    }
}

static double value_of(const layer *l, const char *bias) /* of an element without taps */
{
    const fc_conv *g = l->g;
    double value = bias == NULL ? 0 : g->type == FC_F32 ? *(const float *)(const void *)bias : *(const double *)(const void *)bias;
    if (g->clamp) {
        value = value < g->low ? g->low : value;
        value = value > g->high ? g->high : value;
    }
    return value;
}

/* The phases of some rows of weights to their places; out: of the first */
static void finish(const layer *l, const tile *t, const fc_gemm *m, ptrdiff_t plane, ptrdiff_t planes, const area *block)
{
    const ptrdiff_t of_z = l->phases[ROWS] * l->phases[COLS], whole = l->whole[ROWS] * l->whole[COLS];
    if (l->step[DEPTH] * l->step[ROWS] * l->step[COLS] == 1)
        return;
    for (ptrdiff_t i = 0; i < m->rows; i++) {
        double value = value_of(l, m->bias ? (const char *)m->bias + i * l->size : NULL);
        for (ptrdiff_t p = plane; p < plane + planes; p++)
            for (ptrdiff_t z = 0; z < min(l->step[DEPTH], l->whole[DEPTH]); z++) {
                ptrdiff_t out = plane_of(l, z, p);
                int has_taps = 0;
                for (ptrdiff_t q = 0; q < l->phases[DEPTH]; q++)
                    has_taps |= l->phase[q * of_z].axis[DEPTH].first == z;
                if (out >= 0)
                    fc_interleave(l, block, (char *)m->c + (i * m->cs + out * whole) * l->size, t->room, value, has_taps);
            }
    }
}

/* One block: index counts (planes, rows, columns, group, share of the rows of weights) */
static void block(void *context, ptrdiff_t index, int slot)
{
    const layer *l = context;
    const fc_conv *g = l->g;
    const fc_axis *axis = l->axis;
    tile t = {0};
    fc_room room = fc_room_at(l->scratch, l->thread_bytes, slot);
    lay_parts(l, &room, &t);
    ptrdiff_t share = index % l->shares, group = (index /= l->shares) % g->groups;
    area a;
    a.col = (index /= g->groups) % l->blocks[2] * l->cols.block, a.row = (index /= l->blocks[2]) % l->blocks[1] * l->rows.block;
    a.rows = min(l->rows.block, axis[ROWS].out - a.row), a.cols = min(l->cols.block, axis[COLS].out - a.col);
    ptrdiff_t plane = index / l->blocks[1] * l->planes_block, planes = min(l->planes_block, l->planes - plane);
    ptrdiff_t from = l->kernels * share / l->shares, to = l->kernels * (share + 1) / l->shares;
    ptrdiff_t tiles = parts_of(to - from, l->fc->rows), widest = l->fc->cols_of[parts_of(to - from, tiles)];
    fc_panel *panel = t.panel;
    for (const phase *q = l->phase; q < l->phase + fc_phases(l); q++)
        panel = make_panels(l, &t, q, panel, widest, plane, planes, &a);
    ptrdiff_t volume = l->whole[DEPTH] * l->whole[ROWS] * l->whole[COLS], kernel = group * l->kernels + from;
    fc_gemm m = {.as = l->w_row, .cs = volume, .b = t.packed, .low = g->low, .high = g->high};
    const char *w = g->w + (group * g->kernels * g->channels * l->taps + from * l->w_row) * l->size;
    for (ptrdiff_t first = 0; first < l->channels; first += l->pack_channels) {
        ptrdiff_t channels = min(l->pack_channels, l->channels - first), taps = channels * l->taps;
        pack_block(l, t.packed, t.run, g->x + (group * l->channels + first) * g->x_channel, channels, plane, planes, a.row, a.col);
        for (ptrdiff_t tap = 0; tap < taps && t.dots > 0; tap += l->part)
            gather(l, &t, tap, min(l->part, taps - tap));
        for (ptrdiff_t i = 0, left; (left = to - from - i) > 0; i += m.rows) {
            m.rows = parts_of(left, parts_of(left, l->fc->rows)); /* a tile */
            m.a = w + (i * l->w_row + first * l->w_channel) * l->size;
            m.bias = g->bias ? g->bias + (kernel + i) * l->size : NULL;
            m.c = g->out + (kernel + i) * volume * l->size;
            m.panel = t.panel;
            for (ptrdiff_t q = 0; q < fc_phases(l); m.panel += t.panels[q++]) {
                m.panels = t.panels[q];
                multiply(l, &t, l->phase + q, m, first, channels);
            }
            if (first + channels == l->channels)
                finish(l, &t, &m, plane, planes, &a);
        }
    }
    fc_close(&room);
}

/* All products of a layer that is described */
static int run_products(layer *l)
{
    const fc_conv *g = l->g;
    const fc_axis *axis = l->axis;
    plan_products(l);
    double products = (double)(l->channels * l->taps) * (double)(g->images * g->groups * l->kernels) *
                      (double)(axis[DEPTH].out * axis[ROWS].out * axis[COLS].out);
    int threads = fc_threads_for(products_us(l->fc, products, l->size), g->threads);
    ptrdiff_t chunks = l->blocks[0] * l->blocks[1] * l->blocks[2] * g->groups;
    l->shares = 1; /* as many as make the chunks even, or many */
    while (chunks * l->shares % threads != 0 && chunks * l->shares < 4 * threads && l->shares < l->kernels / (2 * l->fc->rows))
        l->shares++;
    threads = (int)min(threads, chunks * l->shares);
    fc_room parts = {0}, tables = {0};
    lay_parts(l, &parts, &(tile){0});
    lay_tables(l, &tables);
    l->thread_bytes = parts.bytes;
    char *memory = fc_borrow((size_t)plus(tables.bytes, times(threads, parts.bytes)));
    if (memory == NULL)
        return -1;
    l->scratch = memory + tables.bytes;
    tables = (fc_room){.block = memory};
    lay_tables(l, &tables);
    fc_make_phases(l);
    for (phase *p = l->phase; p < l->phase + fc_phases(l); p++)
        p->part = min(l->part_channels * power_of_two(min(l->most_taps / p->taps, l->most_spans)) * p->taps, l->part);
    fc_run_or_plan(g, (fc_conv_plan){FC_PRODUCTS, threads, chunks * l->shares, l->phase->part}, block, l);
    fc_close(&tables);
    fc_return(memory);
    return 0;
}

int fc_layer_run(const fc_conv *g, const fc_kernels *table, int may_exchange)
{
    layer l = {.g = g, .fc = table};
    fc_describe(&l);
    if (g->images * g->groups * l.kernels * l.whole[DEPTH] * l.whole[ROWS] * l.whole[COLS] == 0)
        return 0;
    if (g->gradient && may_exchange && fc_exchange_pays(&l))
        return fc_exchange_run(&l);
    if (g->channels == 1 && l.taps > 1) {
        int status = g->gradient ? fc_depthwise_input_run(&l) : fc_depthwise_run(&l);
        if (status <= 0)
            return status;
    }
    return run_products(&l);
}

int fc_conv_run(const fc_conv *g)
{
    return fc_layer_run(g, fc_in_use(), 1);
}
