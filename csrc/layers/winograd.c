/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Layers with fewer products: Winograd's convolution (winograd_tmpl.h has the formulas). Of a kernel of 3x3 taps, a tile of m x m
 * outputs is the sum over channels of n x n products of values, n = m + 2, instead of 9 m x m: F(2,3) saves 56 % of them, F(4,3)
 * 75 %, at larger rounding errors. Of 3 taps along rows or columns alone, m x 1 outputs are sums of n values.
 *
 * A larger kernel is the sum of parts of 2 and, at its end, up to 3 taps a side, each of which sees x from its first tap on. Parts are more
 * channels, so their products are summed before step 4. Of 2 taps, the value at infinity is zero, and is not multiplied:
 *
 *      5 taps   0 1 | 2 3 4      3 + 4 products for 2 outputs, 5 + 6 for 4, of which direct sums take 10, 20
 *
 * Errors are those of 3 taps, as the points are. (F(2,5) has the points of F(4,3), and makes more products than these two parts: 6 for 2.)
 *
 *   1. Kernels become values, n x n matrices of kernels x channels: before the call (fc_winograd_learn), before step 2, or, where
 *      blocks are few, a few kernels at a time before each is multiplied.
 *   2. A plane of tiles is cut into blocks, rows x cols of tiles. What a tile sees is what an output of a layer of stride m
 *      and n x n taps sees, and is packed as such (pack.c). Of one channel after another, the block's tiles become values.
 *   3. Value by value, the kernels' matrix is multiplied by the block's, a part of the channels at a time: sums stay small.
 *   4. Products of a few kernels become outputs, tile by tile a lane, and are copied to their places.
 *
 * Depth taps are more channels. Dilated taps adjoin in what every so many rows and columns of x hold, and every so many outputs
 * see: such a phase is a plane of its own. float16 becomes values where it is read, and is stored from the outputs of a block. The
 * values of a block, and the products of a few kernels, stay in L2. Tiles begin at the first output of an image, so bits depend on
 * neither the block nor the batch, the threads or the vectors.
 *
 * What is not finite may spoil outputs of a tile whose windows do not hold it, or become NaN where it is infinite. An image with such an
 * output is computed once more, by products.c.
 */
#include "layers/winograd.h"
#include <math.h>

/* ---- whether, and how -------------------------------------------------------------------------- */

static ptrdiff_t tiles_along(const layer *l, int axis, int pairs)
{
    return parts_of(winograd_phase_outputs(&l->axis[axis]), winograd_outputs(pairs));
}

/* What products of so many tiles cost, in tiles of whole vectors: of the last few, vectors run over kernels (winograd_tmpl.h) */
static ptrdiff_t winograd_lanes(ptrdiff_t tiles, ptrdiff_t lanes)
{
    const ptrdiff_t rest = tiles % lanes;
    return rest == 0 ? tiles : rest <= lanes / 2 ? tiles + lanes / WINOGRAD_FEW : tiles - rest + lanes;
}

/* Values of an axis's parts, all of them, or those that are multiplied: of 2 taps, that at infinity is zero */
static double winograd_values_of(const fc_axis *a, int pairs, int all)
{
    const double parts = (double)winograd_parts(a), n = (double)winograd_values(pairs);
    return all || pairs == 0 ? n * parts : (n - 1) * parts + (double)(a->k % 2);
}

/* Products of vectors, and what else an image and group take, in these; with the values of kernels, if they are not there */
static double winograd_cost(const layer *l, int pairs)
{
    const fc_points points = winograd_points(l, pairs);
    const fc_axis *axis = l->axis;
    const double channels = (double)(l->channels * axis[DEPTH].k), kernels = (double)l->kernels;
    const double values = (double)(winograd_values(points.rows) * winograd_values(points.cols));
    const double met = winograd_values_of(&axis[ROWS], points.rows, 0) * winograd_values_of(&axis[COLS], points.cols, 0);
    const double made = winograd_values_of(&axis[ROWS], points.rows, 1) * winograd_values_of(&axis[COLS], points.cols, 1);
    const ptrdiff_t tiles = tiles_along(l, ROWS, points.rows) * tiles_along(l, COLS, points.cols);
    const ptrdiff_t planes = axis[DEPTH].out * winograd_phases(&axis[ROWS]) * winograd_phases(&axis[COLS]);
    const double vectors = (double)(planes * parts_of(tiles, WINOGRAD_LANES));
    const ptrdiff_t lanes = max(winograd_lanes(tiles, WINOGRAD_LANES), WINOGRAD_LANES); /* fewer wait for values of kernels */
    const double products = (double)(planes * lanes) / WINOGRAD_LANES;
    const double bytes = made * channels * kernels * (double)l->size;
    const int parts = points.rows && points.cols && winograd_parts(&axis[ROWS]) * winograd_parts(&axis[COLS]) > 1;
    const int at_once = parts ? WINOGRAD_LEARN_PARTS : WINOGRAD_LEARN;
    const int learn = tiles * planes <= WINOGRAD_AT_ONCE ? at_once
                      : bytes < WINOGRAD_NEAR            ? WINOGRAD_LEARN_NEAR
                                                         : WINOGRAD_LEARN_FAR;
    const int line = points.rows && points.cols ? 0 : WINOGRAD_LEARN_LINE;
    const double learning = l->g->learnt ? 0 : made * (double)(learn + line) / WINOGRAD_LANES;
    const double each = values * (WINOGRAD_VALUE + WINOGRAD_OUT[pairs] * kernels) + made * WINOGRAD_IN[pairs] * channels;
    const ptrdiff_t rows = planes * winograd_phase_outputs(&axis[ROWS]);
    const double each_row = (double)(rows * winograd_parts(&axis[COLS])) * channels * WINOGRAD_ROW[points.cols];
    const int steps = winograd_apart(&axis[COLS]) > 1;
    const double in_steps = steps ? (double)(rows * axis[COLS].out) * (channels + kernels) * WINOGRAD_STEP : 0;
    return WINOGRAD_CALL + each_row + in_steps + vectors * each + (products * met + learning) * channels * kernels;
}

/* Of the taps that outputs have along an axis, the part that meets x (zones.c) */
static double winograd_met(const fc_axis *a)
{
    ptrdiff_t met = 0;
    for (ptrdiff_t t = 0, from, end; t < a->k; t++, met += end - from)
        inside(a->n, 1, t * a->dilation - a->lead, a->out, &from, &end);
    return winograd_apart(a) > 1 ? (double)met / (double)(a->k * a->out) : 1;
}

static double winograd_direct_cost(const layer *l)
{
    const double vectors = (double)(l->axis[DEPTH].out * l->axis[ROWS].out * l->axis[COLS].out) / WINOGRAD_LANES;
    const double met = winograd_met(&l->axis[ROWS]) * winograd_met(&l->axis[COLS]);
    return vectors * met * (double)(l->channels * l->taps) * (double)(l->kernels + WINOGRAD_PACK);
}

/* Pairs of points; 0: it is not to be, or does not pay */
static int winograd_choose(const layer *l)
{
    const fc_conv *g = l->g;
    const fc_axis *rows = &l->axis[ROWS], *cols = &l->axis[COLS];
    if (g->type != FC_F32 || g->accuracy == FC_EXACT || g->forced == FC_TRANSFORMS || g->last ||
        l->channels * l->kernels == 0 || rows->k * cols->k == 1)
        return 0;
    if (g->channels == 1 && !(g->gradient && g->kernels > 1)) /* planes slide, or are lanes (taps.c) */
        return 0;
    for (int i = DEPTH; i <= COLS; i++) {
        const fc_axis *a = &l->axis[i];
        if (l->step[i] != 1 || l->spread[i] != 1 || a->stride != 1 ||
            (i > DEPTH && winograd_apart(a) > 1 && a->boundary != FC_CONSTANT)) /* others continue x, not its phases */
            return 0;
    }
    const int halves = g->halves && !g->gradient; /* gradients are widened before (halves.c) */
    if ((g->halves && fc_finishes(g)) || (halves && (l->taps > WINOGRAD_WIDE || winograd_apart(cols) > 1)))
        return 0;
    if (!g->forced && fc_transforms_tile(l, &(fc_tile){{0}, {0}})) /* which never pay for few taps, nor are less accurate */
        return 0;
    const ptrdiff_t channels = times(times(l->channels, l->axis[DEPTH].k), times(winograd_parts(rows), winograd_parts(cols)));
    int best = 0;
    double least = g->forced ? INFINITY : winograd_direct_cost(l);
    const int most = g->accuracy == FC_FAST || halves ? 2 : 1; /* what float16 rounds is more than either adds */
    for (int pairs = most; pairs > 0 && !(g->forced && best); pairs--) {
        const fc_points points = winograd_points(l, pairs);
        const ptrdiff_t values = winograd_values(points.rows) * winograd_values(points.cols);
        const double cost = winograd_cost(l, pairs);
        if (cost < least && times(channels, values * LINE) <= WINOGRAD_LARGEST)
            least = cost, best = pairs;
    }
    return best;
}

/* What all products cost, where blocks are `tall` rows of tiles that adjoin */
static ptrdiff_t winograd_lanes_of(const winograd *d, ptrdiff_t tall)
{
    const fc_axis *axis = d->tiles.axis;
    const ptrdiff_t wide = axis[COLS].out, rest = axis[ROWS].out % tall;
    return axis[ROWS].out / tall * winograd_lanes(tall * wide, d->l->lanes) + winograd_lanes(rest * wide, d->l->lanes);
}

/* Blocks: rows of tiles that adjoin, or pieces of rows */
static void winograd_cut(winograd *d)
{
    const layer *l = d->l;
    const fc_axis *rows = &d->tiles.axis[ROWS], *cols = &d->tiles.axis[COLS];
    const ptrdiff_t line = d->values * d->channels * LINE; /* a vector, or two halves of one, so that all cut alike */
    d->width = clamp(min(WINOGRAD_LARGEST / line, parts_of(rows->out * cols->out, l->lanes)), 1, FC_PANEL_VECTORS) * l->lanes;
    const ptrdiff_t panels = clamp(WINOGRAD_VALUES / (d->width / l->lanes * line), 1, max(WINOGRAD_TILES / d->width, 1));
    const ptrdiff_t most = panels * d->width;
    d->flat = cols->out <= most && cols->out % d->width != 0;
    d->rows = 1, d->cols = d->flat ? cols->out : min(round_up(even_part(cols->out, most), d->width), cols->out);
    if (!d->flat)
        d->rows = even_part(rows->out, max(panels / parts_of(d->cols, d->width), 1));
    for (ptrdiff_t tall = 2; d->flat && tall <= rows->out && tall * d->cols <= most; tall++)
        if (winograd_lanes_of(d, tall) <= winograd_lanes_of(d, d->rows))
            d->rows = tall;
    d->panels = d->flat ? parts_of(d->rows * d->cols, d->width) : d->rows * parts_of(d->cols, d->width);
    d->planes = d->rows == rows->out && d->cols == cols->out ? clamp(panels / d->panels, 1, d->all_planes) : 1;
    d->panels *= d->planes;
}

/* Blocks of a group */
static ptrdiff_t winograd_blocks(const winograd *d)
{
    return parts_of(d->all_planes, d->planes) * parts_of(d->tiles.axis[ROWS].out, d->rows) *
           parts_of(d->tiles.axis[COLS].out, d->cols);
}

/* Values of tiles and kernels, and products of so many kernels that these, and values that are made at once, stay near */
static void winograd_size(winograd *d, int call)
{
    const layer *l = d->l;
    const ptrdiff_t of_kernel = times(d->values * d->channels, l->size);
    d->depth = round_up(even_part(d->channels, WINOGRAD_DEPTH), LINE / 4);
    d->panel = d->channels * d->width;
    d->in_point = odd_lines(times(d->panels, d->panel), l->size);
    d->at_once = call && !l->g->learnt && winograd_blocks(d) * d->parts[ROWS] * d->parts[COLS] <= WINOGRAD_AGAIN &&
                 times(of_kernel, FC_QUAD) <= WINOGRAD_SOME;
    ptrdiff_t most = WINOGRAD_PRODUCTS / (d->values * d->panels * d->width * l->size);
    if (d->at_once)
        most = min(most, WINOGRAD_SOME / of_kernel);
    const ptrdiff_t step = most < l->lanes ? FC_QUAD : l->lanes;
    d->kernels = min(max(most / step * step, FC_QUAD), l->kernels);
    d->w_depth = times(round_up(d->at_once ? d->kernels : l->kernels, FC_QUAD), d->depth);
    d->w_point = odd_lines(times(parts_of(d->channels, d->depth), d->w_depth), l->size);
    d->out_panel = d->kernels * d->width;
    d->out_point = odd_lines(d->panels * d->out_panel, l->size);
}

/* pairs: of points; call: or its kernels are learnt. All but the memory of all threads */
static void winograd_plan(winograd *d, const layer *l, int pairs, int call) /* in place: what is packed points into it */
{
    *d = (winograd){.l = l, .tiles = *l, .points = winograd_points(l, pairs), .values = 1};
    d->parts[DEPTH] = d->channels = l->axis[DEPTH].k;
    d->m[DEPTH] = 1;
    d->all_planes = l->planes;
    for (int i = ROWS; i <= COLS; i++) {
        const int of_axis = i == ROWS ? d->points.rows : d->points.cols;
        fc_axis *a = &d->tiles.axis[i];
        d->parts[i] = winograd_parts(a);
        d->apart[i] = winograd_apart(a), d->phases[i] = winograd_phases(a);
        d->all_planes *= d->phases[i];
        d->m[i] = winograd_outputs(of_axis);
        d->values *= winograd_values(of_axis);
        a->k = winograd_values(of_axis) + 2 * (d->parts[i] - 1);
        a->out = tiles_along(l, i, of_axis), a->stride = d->m[i];
        a->x_step *= d->apart[i], a->dilation = 1;
        d->channels *= d->parts[i];
    }
    d->channels *= l->channels;
    winograd_cut(d);
    const split rows = fc_split_axis(&d->tiles.axis[ROWS], d->rows, 1, SHARED);
    const split cols = fc_split_axis(&d->tiles.axis[COLS], d->cols, 1, SHARED);
    d->pack = fc_lay_out(&d->tiles, rows, cols, cols.count, 0);
    d->pitch = d->flat ? d->cols : round_up(d->cols, l->lanes);
    d->set = round_up((d->rows + (d->tiles.axis[ROWS].k - 1) / d->m[ROWS]) * d->pitch, l->lanes) +
             l->lanes; /* whole vectors are written */
    d->value = d->m[ROWS] * d->set;
    winograd_size(d, call);
}

static ptrdiff_t winograd_learnt_bytes(const winograd *d)
{
    return times(times(d->l->g->groups, d->values), times(d->w_point, d->l->size));
}

/* What all threads share */
static void winograd_lay_tables(winograd *d, fc_room *r)
{
    const fc_conv *g = d->l->g;
    d->at = fc_part(r, "taps in packed", d->values * d->parts[ROWS], sizeof *d->at);
    d->doubtful = fc_part(r, "doubtful images", g->images, sizeof *d->doubtful);
    d->w = g->learnt ? g->learnt : d->at_once ? NULL : fc_part(r, "values of kernels", winograd_learnt_bytes(d), 1);
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
        one.out = l->g->out + i * l->g->groups * l->kernels * l->axis[DEPTH].out * l->whole[ROWS] * l->whole[COLS] * l->stored;
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
        winograd_cost(l, max(d->points.rows, d->points.cols)) * WINOGRAD_LANES * (double)(l->g->images * l->g->groups);
    const int threads =
        fc_threads_for(fc_time_us(RATE_PRODUCTS, products * (double)l->size, l->fc->vector_bytes, 0), l->g->threads);
    const ptrdiff_t blocks = winograd_blocks(d) * l->g->groups;
    const fc_axis *axis = d->tiles.axis;
    const int uneven = axis[ROWS].out % d->rows != 0 || axis[COLS].out % d->cols != 0 || d->all_planes % d->planes != 0;
    d->shares = 1; /* each makes the values of the block's tiles anew */
    while (((blocks * d->shares % threads != 0 && blocks * d->shares < 4 * threads) ||
            (uneven && blocks * d->shares < 2 * threads)) &&
           d->shares < l->kernels / (2 * l->fc->rows))
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
    if (pairs == 0 || (to && !fc_weights_are_finite(&l)))
        return 0;
    winograd d;
    winograd_plan(&d, &l, pairs, 0);
    if (to)
        fc_winograd_learn_all(&d, to);
    return winograd_learnt_bytes(&d);
}

int fc_winograd_run(const layer *l)
{
    const fc_conv *g = l->g;
    const int pairs = winograd_choose(l);
    if (pairs == 0)
        return 1;
    winograd d;
    winograd_plan(&d, l, pairs, 1);
    winograd_share(&d);
    if (g->plan) {
        *g->plan = (fc_conv_plan){FC_WINOGRAD, d.threads, d.chunks, even_part(min(d.depth, d.channels), WINOGRAD_PART)};
        return 0;
    }
    if (!g->learnt && !fc_weights_are_finite(l))
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
    const ptrdiff_t n = winograd_values(d.points.cols), m = d.m[ROWS];
    for (ptrdiff_t part = 0; part < d.parts[ROWS]; part++)
        for (ptrdiff_t i = 0; i < d.values; i++) {
            const ptrdiff_t row = 2 * part + i / n;
            d.at[part * d.values + i] = i % n * d.value + row % m * d.set + row / m * d.pitch;
        }
    for (ptrdiff_t i = 0; i < g->images; i++)
        atomic_init(&d.doubtful[i], 0);
    if (!g->learnt && !d.at_once)
        fc_winograd_learn_all(&d, (char *)d.w);
    fc_pool_run(d.threads, d.chunks, fc_winograd_block, &d);
    winograd_repeat(&d, d.scratch);
    fc_close(&tables);
    fc_return(memory);
    return 0;
}
