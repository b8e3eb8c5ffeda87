/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Layers of 3x3 taps, and of 3 taps along rows, with fewer products: Winograd's convolution (winograd_tmpl.h has the formulas). A tile
 * of m x m outputs is the sum over channels of n x n products of values, n = m + 2, instead of 9 m x m: F(2,3) saves 56 % of
 * them, F(4,3) 75 %, at larger rounding errors.
 *
 *   1. Kernels become values, n x n matrices of kernels x channels, unless they were made before (fc_winograd_learn).
 *   2. A plane of tiles is cut into blocks, rows x cols of tiles. What a tile sees is what an output of a layer of stride m
 *      and n x n taps sees, and is packed as such (pack.c). Of one channel after another, the block's tiles become values.
 *   3. Value by value, the kernels' matrix is multiplied by the block's, a part of the channels at a time: sums stay small.
 *   4. Products of a few kernels become outputs, tile by tile a lane, and are copied to their places.
 *
 * Depth taps are more channels. The values of a block, and the products of a few kernels, stay in L2. Tiles begin at the first output
 * of an image, so bits depend on neither the block nor the batch, the threads or the vectors.
 *
 * What is not finite may spoil outputs of a tile whose windows do not hold it, or become NaN where it is infinite. An image with such an
 * output is computed once more, by products.c.
 */
#include "layers/winograd.h"
#include <math.h>

/* ---- whether, and how -------------------------------------------------------------------------- */

static ptrdiff_t tiles_along(const layer *l, int axis, int pairs) { return parts_of(l->axis[axis].out, pairs ? 2 * pairs : 1); }

/* Products of vectors, and what else an image and group take, in these; with the values of kernels, if they are not there */
static double winograd_cost(const layer *l, int rows, int cols)
{
    const double channels = (double)(l->channels * l->axis[DEPTH].k), kernels = (double)l->kernels;
    const double values = (rows ? 2 * rows + 2 : 1) * (2 * cols + 2);
    const double vectors =
        (double)(l->axis[DEPTH].out * parts_of(tiles_along(l, ROWS, rows) * tiles_along(l, COLS, cols), WINOGRAD_LANES));
    const double learn = values * channels * kernels * (double)l->size < WINOGRAD_NEAR ? WINOGRAD_LEARN : WINOGRAD_LEARN_FAR;
    const double each = WINOGRAD_VALUE + channels * kernels + WINOGRAD_IN[cols] * channels + WINOGRAD_OUT[cols] * kernels;
    const double each_row = (double)(l->axis[DEPTH].out * l->axis[ROWS].out) * channels * WINOGRAD_ROW[cols];
    return WINOGRAD_CALL + each_row +
           values * (vectors * each + (l->g->learnt ? 0 : learn * channels * kernels / WINOGRAD_LANES));
}

static double winograd_direct_cost(const layer *l)
{
    const double vectors = (double)(l->axis[DEPTH].out * l->axis[ROWS].out * l->axis[COLS].out) / WINOGRAD_LANES;
    return vectors * (double)(l->channels * l->taps) * (double)(l->kernels + WINOGRAD_PACK);
}

/* Pairs of points along columns; 0: it is not to be, or does not pay */
static int winograd_choose(const layer *l)
{
    const fc_conv *g = l->g;
    const fc_axis *rows = &l->axis[ROWS], *cols = &l->axis[COLS];
    if (g->type != FC_F32 || g->accuracy == FC_EXACT || g->forced == FC_TRANSFORMS || g->halves || g->last || l->channels * l->kernels == 0 || cols->k != 3 ||
        (rows->k != 3 && rows->k != 1))
        return 0;
    if (g->channels == 1 && !(g->gradient && g->kernels > 1)) /* planes slide, or are lanes (taps.c) */
        return 0;
    for (int i = DEPTH; i <= COLS; i++) {
        const fc_axis *a = &l->axis[i];
        if (l->step[i] != 1 || l->spread[i] != 1 || a->stride != 1 || (a->dilation != 1 && a->k > 1))
            return 0;
    }
    int best = 0;
    double least = g->forced ? INFINITY : winograd_direct_cost(l);
    for (int pairs = g->accuracy == FC_FAST ? 2 : 1; pairs > 0 && !(g->forced && best); pairs--) {
        const ptrdiff_t n = 2 * pairs + 2, values = rows->k == 3 ? n * n : n;
        const double cost = winograd_cost(l, rows->k == 3 ? pairs : 0, pairs);
        if (cost < least && times(l->channels * l->axis[DEPTH].k, values * LINE) <= WINOGRAD_LARGEST)
            least = cost, best = pairs;
    }
    return best;
}

/* Vectors of all tiles, where blocks are `tall` rows of tiles that adjoin */
static ptrdiff_t winograd_vectors(const winograd *d, ptrdiff_t tall)
{
    const fc_axis *axis = d->tiles.axis;
    const ptrdiff_t wide = axis[COLS].out, rest = axis[ROWS].out % tall;
    return axis[ROWS].out / tall * parts_of(tall * wide, d->l->lanes) + parts_of(rest * wide, d->l->lanes);
}

/* Blocks: rows of tiles that adjoin, or pieces of rows */
static void winograd_cut(winograd *d)
{
    const layer *l = d->l;
    const fc_axis *rows = &d->tiles.axis[ROWS], *cols = &d->tiles.axis[COLS];
    const ptrdiff_t line = d->values * d->channels * LINE; /* a vector, or two halves of one, so that all cut alike */
    d->width = clamp(WINOGRAD_LARGEST / line, 1, FC_PANEL_VECTORS) * l->lanes;
    const ptrdiff_t panels = clamp(WINOGRAD_VALUES / (d->width / l->lanes * line), 1, max(WINOGRAD_TILES / d->width, 1));
    const ptrdiff_t most = panels * d->width;
    d->flat = cols->out <= most && cols->out % d->width != 0;
    d->rows = 1, d->cols = d->flat ? cols->out : min(round_up(even_part(cols->out, most), d->width), cols->out);
    if (!d->flat)
        d->rows = even_part(rows->out, max(panels / parts_of(d->cols, d->width), 1));
    for (ptrdiff_t tall = 2; d->flat && tall <= rows->out && tall * d->cols <= most; tall++)
        if (winograd_vectors(d, tall) <= winograd_vectors(d, d->rows))
            d->rows = tall;
    d->panels = d->flat ? parts_of(d->rows * d->cols, d->width) : d->rows * parts_of(d->cols, d->width);
    d->planes = d->rows == rows->out && d->cols == cols->out ? clamp(panels / d->panels, 1, l->planes) : 1;
    d->panels *= d->planes;
}

/* points: pairs of them along columns. All but learnt values, which are where the call has them, and memory */
static void winograd_plan(winograd *d, const layer *l, int pairs) /* in place: what is packed points into it */
{
    *d = (winograd){.l = l, .tiles = *l, .points = {l->axis[ROWS].k == 3 ? pairs : 0, pairs, {1, 0}}};
    if (pairs == 2)
        d->points.point[0] = 0.75, d->points.point[1] = 1.5;
    d->values = 1;
    for (int i = DEPTH; i <= COLS; i++) {
        const ptrdiff_t m = i == COLS ? 2 * d->points.cols : i == ROWS ? 2 * d->points.rows : 0;
        fc_axis *a = &d->tiles.axis[i];
        d->m[i] = max(m, 1);
        if (m == 0)
            continue;
        a->k = m + 2, a->out = parts_of(a->out, m), a->stride = m;
        d->values *= m + 2;
    }
    d->channels = l->channels * l->axis[DEPTH].k;
    winograd_cut(d);
    const split rows = fc_split_axis(&d->tiles.axis[ROWS], d->rows, 1, SHARED);
    const split cols = fc_split_axis(&d->tiles.axis[COLS], d->cols, 1, SHARED);
    d->pack = fc_lay_out(&d->tiles, rows, cols, cols.count, 0);
    d->pitch = d->flat ? d->cols : round_up(d->cols, l->lanes);
    d->set = round_up((d->rows + 1) * d->pitch, l->lanes) + l->lanes; /* whole vectors are written */
    d->value = d->m[ROWS] * d->set;
    d->depth = round_up(even_part(d->channels, WINOGRAD_DEPTH), LINE / 4);
    d->w_depth = times(l->kernels, d->depth);
    d->w_point = times(parts_of(d->channels, d->depth), d->w_depth);
    d->panel = d->channels * d->width;
    d->in_point = odd_lines(times(d->panels, d->panel), l->size);
    d->kernels = clamp(WINOGRAD_PRODUCTS / (d->values * d->panels * d->width * l->size), 1, l->kernels);
    d->kernels = min(round_up(d->kernels, 4), l->kernels);
    d->out_panel = d->kernels * d->width;
    d->out_point = odd_lines(d->panels * d->out_panel, l->size);
}

static ptrdiff_t winograd_learnt_bytes(const winograd *d)
{
    return times(times(d->l->g->groups, d->values), times(d->w_point, d->l->size));
}

/* What all threads share */
static void winograd_lay_tables(winograd *d, fc_room *r)
{
    const fc_conv *g = d->l->g;
    d->at = fc_part(r, "taps in packed", d->values, sizeof *d->at);
    d->doubtful = fc_part(r, "doubtful images", g->images, sizeof *d->doubtful);
    d->w = g->learnt ? g->learnt : fc_part(r, "values of kernels", winograd_learnt_bytes(d), 1);
}

/* ---- step 1 ------------------------------------------------------------------------------------- */

typedef struct {
    const winograd *d;
    char *to;
} learning;

/* A kernel of a group; channels are lanes */
static void winograd_learn_kernel(void *context, ptrdiff_t index, int slot)
{
    enum { TAPS = 9 };
    const learning *learn = context;
    const winograd *d = learn->d;
    const layer *l = d->l;
    const ptrdiff_t group = index / l->kernels, kernel = index % l->kernels, of_plane = l->taps / l->axis[DEPTH].k;
    char turned[TAPS * LINE];
    ptrdiff_t at[TAPS];
    (void)slot;
    for (ptrdiff_t t = 0; t < of_plane; t++)
        at[t] = (l->g->gradient ? of_plane - 1 - t : t) * l->lanes;
    const char *w = l->g->w + (group * l->w_group + kernel * l->w_row) * l->size;
    char *to = learn->to + (group * d->values * d->w_point + kernel * d->depth) * l->size;
    for (ptrdiff_t z = 0; z < l->axis[DEPTH].k; z++) {
        const ptrdiff_t of_z = (l->g->gradient ? l->axis[DEPTH].k - 1 - z : z) * of_plane;
        for (ptrdiff_t c = 0, n; c < l->channels; c += n) {
            const ptrdiff_t at_channel = z * l->channels + c, i = at_channel % d->depth;
            n = min(min(l->lanes, d->depth - i), l->channels - c);
            l->op->lanes_in(turned, 0, l->lanes, w + (c * l->w_channel + of_z) * l->size, l->w_channel, 0, 1, 1, of_plane, n);
            l->op->winograd_taps(to + (at_channel / d->depth * d->w_depth + i) * l->size, d->w_point, turned, at, &d->points,
                                 n);
        }
    }
}

static void winograd_learn(const winograd *d, char *to)
{
    const layer *l = d->l;
    learning learn = {d, to};
    const ptrdiff_t kernels = l->g->groups * l->kernels;
    const double us = fc_time_us(
        RATE_PRODUCTS, (double)WINOGRAD_LEARN / WINOGRAD_LANES * (double)(kernels * d->channels * d->values * l->size),
        l->fc->vector_bytes, 0);
    fc_pool_run((int)min(fc_threads_for(us, l->g->threads), kernels), kernels, winograd_learn_kernel, &learn);
}

/* ---- one call ------------------------------------------------------------------------------------ */

/* Images that hold what is not finite, or whose sums do not fit: by products of taps */
static void winograd_repeat(const winograd *d, char *memory)
{
    const layer *l = d->l;
    fc_conv one = *l->g;
    one.images = 1;
    for (ptrdiff_t i = 0; i < l->g->images; i++) {
        one.x = l->g->x + i * l->g->x_image;
        one.out = l->g->out + i * l->g->groups * l->kernels * l->axis[DEPTH].out * l->whole[ROWS] * l->whole[COLS] * l->size;
        if (atomic_load_explicit(&d->doubtful[i], memory_order_relaxed)) {
            const layer exact = fc_describe(&one, l->fc);
            fc_products_run_in(&exact, memory);
        }
    }
}

static void winograd_share(winograd *d)
{
    const layer *l = d->l;
    const double products =
        winograd_cost(l, d->points.rows, d->points.cols) * WINOGRAD_LANES * (double)(l->g->images * l->g->groups);
    const int threads =
        fc_threads_for(fc_time_us(RATE_PRODUCTS, products * (double)l->size, l->fc->vector_bytes, 0), l->g->threads);
    const ptrdiff_t blocks = parts_of(l->planes, d->planes) * parts_of(d->tiles.axis[ROWS].out, d->rows) *
                             parts_of(d->tiles.axis[COLS].out, d->cols) * l->g->groups;
    d->shares = 1; /* each makes the values of the block's tiles anew */
    while (blocks * d->shares % threads != 0 && blocks * d->shares < 4 * threads && d->shares < l->kernels / (2 * l->fc->rows))
        d->shares++;
    d->chunks = blocks * d->shares;
    d->threads = (int)min(threads, d->chunks);
}

int fc_winograd_pairs(const fc_conv *g)
{
    const layer l = fc_describe(g, fc_in_use());
    return winograd_choose(&l);
}

ptrdiff_t fc_winograd_learn(const fc_conv *g, char *to)
{
    const layer l = fc_describe(g, fc_in_use());
    const int pairs = winograd_choose(&l);
    if (pairs == 0 || (to && !l.op->finite(g->w, g->groups * l.w_group)))
        return 0;
    winograd d;
    winograd_plan(&d, &l, pairs);
    if (to)
        winograd_learn(&d, to);
    return winograd_learnt_bytes(&d);
}

int fc_winograd_run(const layer *l)
{
    const fc_conv *g = l->g;
    const int pairs = winograd_choose(l);
    if (pairs == 0)
        return 1;
    winograd d;
    winograd_plan(&d, l, pairs);
    winograd_share(&d);
    if (g->plan) {
        *g->plan = (fc_conv_plan){FC_WINOGRAD, d.threads, d.chunks, even_part(min(d.depth, d.channels), WINOGRAD_PART)};
        return 0;
    }
    if (!g->learnt && !l->op->finite(g->w, g->groups * l->w_group))
        return 1;
    fc_room parts = {0}, tables = {0};
    fc_winograd_lay_parts(&d, &parts, &(block){0});
    winograd_lay_tables(&d, &tables);
    d.thread_bytes = parts.bytes;
    fc_conv one = *g;
    one.images = 1;
    const layer exact = fc_describe(&one, l->fc);
    const ptrdiff_t again = fc_products_bytes(&exact), bytes = max(times(d.threads, d.thread_bytes), again);
    char *memory = fc_borrow_rooms(&tables, 1, bytes, &d.scratch);
    if (memory == NULL)
        return -1;
    winograd_lay_tables(&d, &tables);
    const ptrdiff_t n = d.m[COLS] + 2;
    for (ptrdiff_t i = 0; i < d.values; i++)
        d.at[i] = i % n * d.value + i / n % d.m[ROWS] * d.set + i / n / d.m[ROWS] * d.pitch;
    for (ptrdiff_t i = 0; i < g->images; i++)
        atomic_init(&d.doubtful[i], 0);
    if (!g->learnt)
        winograd_learn(&d, (char *)d.w);
    fc_pool_run(d.threads, d.chunks, fc_winograd_block, &d);
    winograd_repeat(&d, d.scratch);
    fc_close(&tables);
    fc_return(memory);
    return 0;
}
