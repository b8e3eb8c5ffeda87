/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Weight gradients of 3x3 taps, and of 3 taps along rows, with fewer products (winograd_weight_tmpl.h has the formulas). A kernel's 3 x 3
 * taps are made of n x n sums, n = m + 2, over all tiles of m x m outputs: of one product for each tile, instead of 9 m x m.
 *
 *   1. A chunk has some kernels and some vectors of channels. Tiles are cut into blocks, of rows of tiles or, if planes are small, of
 *      whole planes; one block after another:
 *   2. What its tiles see of x becomes pixels, VLEN channels each (pack.c), and these become values: n x n of a tile. So do its
 *      elements of dy, with kernels as channels; beyond the last output they are zero.
 *   3. Value by value, the outer product of kernels and channels, summed over the block's tiles (K1), is added to the chunk's sums.
 *   4. These become taps.
 *
 *      in [value][depth tap, vector][tile][lane]     dy [value][tile][kernel]     sums [value][kernel][depth tap, vector][lane]
 *
 * Blocks decide bits: they depend on the shapes alone. Chunks share no sums. Values have rounding errors of their own: where sums of
 * weight.c are short, these are smaller, and "default" is left to them.
 *
 * What is not finite would spoil taps that do not meet it: all is then computed once more, by weight.c.
 */
#include "layers/winograd.h"
#include <math.h>

typedef struct {
    const layer *l; /* the axes are in the order of dy */
    layer tiles;    /* of which a tile is an output */
    fc_points points;
    ptrdiff_t m[FC_AXES], values, taps; /* outputs of a tile along each axis; n x n; taps of a plane */
    ptrdiff_t rows, cols, planes, most; /* tiles of a block, and planes; all tiles */
    packing pack;                       /* the pixels that rows x cols tiles see */
    ptrdiff_t kernels, vectors;         /* of a chunk; those of channels */
    ptrdiff_t in_value, dy_value, sum_value, sum_row;
    ptrdiff_t thread_bytes;
    char *scratch;
    atomic_int doubtful;
} weight;

/* What a thread works with, and on */
typedef struct {
    char *packed, *pixels, *in, *dy, *sums, *out;
    fc_run *run;
    fc_panel *panel;
    ptrdiff_t *in_at, *dy_at;
    ptrdiff_t group, kernel, kernels, channel, channels, vectors;
    ptrdiff_t plane, planes;
    area area;
} chunk;

/* ---- whether, and how -------------------------------------------------------------------------- */

/* In place: what is packed points into it. pairs: of points along columns */
static void weight_plan(weight *d, const layer *l, int pairs)
{
    *d = (weight){.l = l, .tiles = *l, .points = winograd_points(l, pairs), .values = 1};
    for (int i = DEPTH; i <= COLS; i++) {
        const ptrdiff_t m = i == COLS ? 2 * d->points.cols : i == ROWS ? 2 * d->points.rows : 0;
        fc_axis *a = &d->tiles.axis[i];
        d->m[i] = max(m, 1);
        if (m == 0)
            continue;
        a->k = m + 2, a->out = parts_of(a->out, m), a->stride = m;
        d->values *= m + 2;
    }
    const fc_axis *rows = &d->tiles.axis[ROWS], *cols = &d->tiles.axis[COLS];
    const ptrdiff_t line = LINE / l->size, depth = l->axis[DEPTH].k, size = d->values * l->size; /* whatever the vectors */
    const ptrdiff_t channels = round_up(even_part(l->g->channels, WEIGHT_CHANNELS / depth), line), all = times(channels, depth);
    const ptrdiff_t most = max(WEIGHT_CHUNK / times(size * line, all), 1) * line;
    d->kernels = round_up(even_part(l->g->kernels, most), line);
    d->vectors = channels / l->lanes;
    d->most = clamp(WEIGHT_SEEN / times(size, plus(all, d->kernels)), 1, WEIGHT_TILES);
    d->cols = even_part(cols->out, d->most);
    d->rows = even_part(rows->out, d->most / d->cols);
    const ptrdiff_t whole = d->rows == rows->out && d->cols == cols->out; /* sums of weight.c end with planes */
    d->planes = whole ? even_part(l->planes, min(d->most, WEIGHT_PLANES) / (d->rows * d->cols)) : 1;
    d->most = d->planes * d->rows * d->cols;
    d->pack = fc_lay_out(&d->tiles, fc_split_axis(rows, d->rows, 1, SHARED), fc_split_axis(cols, d->cols, 1, SHARED),
                         (d->cols - 1) * d->m[COLS] + cols->k, l->lanes);
    d->taps = l->taps / depth;
    d->dy_value = odd_lines(d->most * d->kernels, l->size);
    d->sum_row = times(depth * d->vectors, l->lanes);
    d->in_value = odd_lines(times(d->most, d->sum_row), l->size);
    d->sum_value = odd_lines(times(d->kernels, d->sum_row), l->size);
}

/* Products of vectors, and what else a group takes, in these */
static double weight_cost(const weight *d)
{
    const layer *l = d->l;
    const fc_conv *g = l->g;
    const int pairs = d->points.cols;
    const double kernels = (double)g->kernels, values = (double)d->values;
    const double tiles = (double)l->planes * (double)(d->tiles.axis[ROWS].out * d->tiles.axis[COLS].out);
    const double of_x = (double)(parts_of(g->channels, WINOGRAD_LANES) * l->axis[DEPTH].k);
    const double of_dy = (double)parts_of(g->kernels, WINOGRAD_LANES);
    const double turned =
        of_x * (double)parts_of(g->kernels, d->kernels) + of_dy * (double)parts_of(g->channels, d->vectors * l->lanes);
    return WEIGHT_CALL + values * (tiles * (WEIGHT_PRODUCT * of_x * kernels + WEIGHT_VALUE[pairs] * turned) +
                                   WEIGHT_SUM[pairs] * of_x * kernels);
}

/* The same of weight.c, by the fewer of both ways */
static double weight_direct_cost(const layer *l)
{
    const fc_conv *g = l->g;
    const fc_axis *axis = l->axis;
    const double outputs = (double)l->planes * (double)(axis[ROWS].out * axis[COLS].out), taps = (double)l->taps;
    const double of_x = (double)parts_of(g->channels, WINOGRAD_LANES), kernels = (double)g->kernels;
    ptrdiff_t share = 1;
    while (share < axis[COLS].k && 2 * share * g->channels <= WINOGRAD_LANES)
        share *= 2;
    const double of_taps = taps / (double)axis[COLS].k * (double)parts_of(axis[COLS].k, share);
    const double lanes_of_x = of_x * kernels * of_taps * outputs;
    const double lanes_of_dy = (double)(parts_of(g->kernels, WINOGRAD_LANES) * round_up(g->channels, 4)) * taps * outputs;
    return (lanes_of_x < lanes_of_dy ? lanes_of_x : lanes_of_dy) + WEIGHT_DELIVER * of_x * kernels * taps;
}

/* Plans what takes the least; 0: it is not to be, or does not pay */
static int weight_choose(weight *d, const layer *l)
{
    const fc_conv *g = l->g;
    const fc_axis *rows = &l->axis[ROWS], *cols = &l->axis[COLS];
    if (g->type != FC_F32 || g->accuracy == FC_EXACT || g->channels < 2 || cols->k != 3 || (rows->k != 3 && rows->k != 1) ||
        l->axis[DEPTH].k > WEIGHT_DEEP)
        return 0;
    for (int i = DEPTH; i <= COLS; i++)
        if (l->axis[i].stride != 1 || (l->axis[i].dilation != 1 && l->axis[i].k > 1))
            return 0;
    if (g->accuracy == FC_DEFAULT && !g->forced && rows->out * cols->out < WEIGHT_FEW)
        return 0;
    int best = 0;
    double least = g->forced ? INFINITY : weight_direct_cost(l);
    for (int pairs = 1; pairs <= (g->accuracy == FC_FAST ? 2 : 1) && least > WEIGHT_LEAST; pairs++) {
        weight_plan(d, l, pairs);
        if ((g->forced && pairs == 2) || weight_cost(d) < least)
            least = weight_cost(d), best = pairs;
    }
    if (best > 0)
        weight_plan(d, l, best);
    return best;
}

/* How many threads; kernels of a chunk are fewer where these would be idle. */
static int weight_share(weight *d, ptrdiff_t *chunks)
{
    const layer *l = d->l;
    const fc_conv *g = l->g;
    const ptrdiff_t line = LINE / l->size, others = g->groups * parts_of(g->channels, d->vectors * l->lanes);
    const double products = weight_cost(d) * WINOGRAD_LANES * (double)g->groups;
    const int threads =
        fc_threads_for(fc_time_us(RATE_PRODUCTS, products * (double)l->size, l->fc->vector_bytes, 0), g->threads);
    while (others * parts_of(g->kernels, d->kernels) % threads != 0 &&
           others * parts_of(g->kernels, d->kernels) < 4 * threads && d->kernels > line)
        d->kernels -= line;
    *chunks = others * parts_of(g->kernels, d->kernels);
    return (int)min(threads, *chunks);
}

static void weight_lay_parts(const weight *d, fc_room *r, chunk *b)
{
    const layer *l = d->l;
    b->packed = fc_part(r, "packed", times(plus(d->pack.plane, 2), l->lanes), l->size);
    b->pixels = fc_part(r, "pixels of dy", (d->rows * d->m[ROWS] * d->cols * d->m[COLS] + 1) * l->lanes, l->size);
    b->in = fc_part(r, "values of x", times(d->values, d->in_value), l->size);
    b->dy = fc_part(r, "values of dy", times(d->values, d->dy_value), l->size);
    b->sums = fc_part(r, "sums", times(d->values, d->sum_value), l->size);
    b->out = fc_part(r, "taps", times(plus(times(d->vectors, d->taps), l->lanes), l->lanes), l->size);
    b->run = fc_part(r, "runs", d->pack.most_runs, sizeof *b->run);
    b->panel = fc_part(r, "panels", l->axis[DEPTH].k * d->vectors, sizeof *b->panel);
    b->in_at = fc_part(r, "tiles of x", d->most, sizeof *b->in_at);
    b->dy_at = fc_part(r, "tiles of dy", d->most, sizeof *b->dy_at);
}

/* ---- step 2 ------------------------------------------------------------------------------------- */

static void weight_in(const weight *d, const chunk *b, ptrdiff_t plane, ptrdiff_t tile)
{
    const layer *l = d->l;
    const fc_conv *g = l->g;
    const ptrdiff_t depth = l->axis[DEPTH].k, pixel = l->lanes * l->size;
    const fc_winograd_tiles t = {d->points, d->in_value, l->lanes, d->pack.pitch * l->lanes, b->area.rows, b->area.cols};
    const fc_runs runs = fc_plan_runs(&d->pack, b->run, plane, &b->area);
    for (ptrdiff_t v = 0; v < b->vectors; v++) {
        const ptrdiff_t c = b->channel + v * l->lanes;
        fc_pack_pixels(&d->pack, b->packed, g->x + (b->group * g->channels + c) * g->x_channel, &runs,
                       min(b->channel + b->channels - c, l->lanes), 1);
        for (ptrdiff_t z = 0; z < depth; z++)
            l->op->winograd_pixels(b->in + ((z * b->vectors + v) * d->most + tile) * pixel,
                                   b->packed + z * d->pack.depth_set * pixel, &t);
    }
}

static void weight_outputs(const weight *d, const chunk *b, ptrdiff_t plane, ptrdiff_t tile)
{
    const layer *l = d->l;
    const fc_conv *g = l->g;
    const ptrdiff_t pitch = b->area.cols * d->m[COLS], row = b->area.row * d->m[ROWS], col = b->area.col * d->m[COLS];
    const ptrdiff_t rows = min(b->area.rows * d->m[ROWS], l->axis[ROWS].out - row), cols = min(pitch, l->axis[COLS].out - col);
    const ptrdiff_t depth = l->axis[DEPTH].out, pixel = l->lanes * l->size;
    const char *dy = g->dy + plane / depth * g->dy_image + plane % depth * g->dy_step[DEPTH] + row * g->dy_step[ROWS] +
                     col * g->dy_step[COLS];
    const fc_winograd_tiles t = {d->points, d->dy_value, d->kernels, pitch * l->lanes, b->area.rows, b->area.cols};
    if (rows < b->area.rows * d->m[ROWS] || cols < pitch)
        memset(b->pixels, 0, (size_t)(b->area.rows * d->m[ROWS] * pitch * pixel));
    for (ptrdiff_t k = 0; k < b->kernels; k += l->lanes) {
        fc_turn(l, b->pixels, pitch, l->lanes, dy + (b->group * g->kernels + b->kernel + k) * g->dy_channel, g->dy_channel,
                g->dy_step[ROWS], g->dy_step[COLS], rows, cols, min(b->kernels - k, l->lanes));
        l->op->winograd_outputs(b->dy + (tile * d->kernels + k) * l->size, b->pixels, &t);
    }
}

/* ---- steps 3 and 4 ------------------------------------------------------------------------------ */

static fc_gemm weight_products(const weight *d, const chunk *b)
{
    const layer *l = d->l;
    const ptrdiff_t widest = l->fc->cols_of[even_part(b->kernels, l->fc->rows)];
    fc_panel *to = b->panel;
    int n = 0;
    for (ptrdiff_t v = 0, count = l->axis[DEPTH].k * b->vectors; v < count; v++)
        to = add_vector(to, &n, count - v, widest, v * d->most * l->lanes, v * l->lanes, l->lanes, l->lanes);
    for (ptrdiff_t t = 0; t < d->most; t++)
        b->in_at[t] = t * l->lanes, b->dy_at[t] = t * d->kernels;
    return (fc_gemm){.as = 1,
                     .cs = d->sum_row,
                     .rows = b->kernels,
                     .panels = to - b->panel,
                     .a_at = b->dy_at,
                     .b_at = b->in_at,
                     .panel = b->panel};
}

/* Returns whether a tap is not finite */
static int weight_deliver(const weight *d, const chunk *b)
{
    const layer *l = d->l;
    const fc_conv *g = l->g;
    const ptrdiff_t apart = d->taps * l->lanes;
    int odd = 0;
    for (ptrdiff_t k = 0; k < b->kernels; k++)
        for (ptrdiff_t z = 0; z < l->axis[DEPTH].k; z++) {
            odd |= l->op->winograd_weights(b->out, apart, b->sums + (k * d->sum_row + z * b->vectors * l->lanes) * l->size,
                                           d->sum_value, &d->points, b->vectors);
            char *to = g->out +
                       (((b->group * g->kernels + b->kernel + k) * g->channels + b->channel) * l->taps + z * d->taps) * l->size;
            for (ptrdiff_t v = 0; v < b->vectors; v++)
                l->op->lanes_out(to + v * l->lanes * l->taps * l->size, l->taps, 1, b->out + v * apart * l->size, d->taps,
                                 min(b->channels - v * l->lanes, l->lanes), 0);
        }
    return odd;
}

/* index counts (group, channels, kernels) */
static void weight_chunk(void *context, ptrdiff_t index, int slot)
{
    weight *d = context;
    const layer *l = d->l;
    const fc_conv *g = l->g;
    const fc_axis *rows = &d->tiles.axis[ROWS], *cols = &d->tiles.axis[COLS];
    chunk b = {0};
    fc_room room = fc_room_at(d->scratch, d->thread_bytes, slot);
    weight_lay_parts(d, &room, &b);
    b.kernels = next_piece(&index, g->kernels, d->kernels, &b.kernel);
    b.channels = next_piece(&index, g->channels, d->vectors * l->lanes, &b.channel);
    b.vectors = parts_of(b.channels, l->lanes);
    b.group = index;
    fc_gemm m = weight_products(d, &b);
    for (b.plane = 0; b.plane < l->planes && !(b.plane > 0 && fc_gives_up()); b.plane += b.planes) {
        b.planes = min(d->planes, l->planes - b.plane);
        for (ptrdiff_t i = 0, blocks = parts_of(rows->out, d->rows) * parts_of(cols->out, d->cols); i < blocks;
             i++, m.add = 1) {
            ptrdiff_t left = i;
            b.area.cols = next_piece(&left, cols->out, d->cols, &b.area.col);
            b.area.rows = next_piece(&left, rows->out, d->rows, &b.area.row);
            const ptrdiff_t tiles = b.area.rows * b.area.cols;
            for (ptrdiff_t p = 0; p < b.planes; p++) {
                weight_in(d, &b, b.plane + p, p * tiles);
                weight_outputs(d, &b, b.plane + p, p * tiles);
            }
            m.depth = b.planes * tiles;
            for (ptrdiff_t p = 0; p < d->values; p++) {
                m.a = b.dy + p * d->dy_value * l->size;
                m.b = b.in + p * d->in_value * l->size;
                m.c = b.sums + p * d->sum_value * l->size;
                l->op->gemm(&m);
            }
        }
    }
    if (weight_deliver(d, &b))
        atomic_store_explicit(&d->doubtful, 1, memory_order_relaxed);
    fc_close(&room);
}

/* ---- one call ----------------------------------------------------------------------------------- */

int fc_conv_weight_pairs(const fc_conv *g)
{
    const layer l = fc_describe_weight(g);
    weight d;
    return weight_choose(&d, &l);
}

/* Of all that is run: how many chunks. 0: nothing is */
static ptrdiff_t weight_prepare(weight *d, const layer *l, int *threads)
{
    ptrdiff_t chunks;
    fc_room parts = {0};
    if (weight_choose(d, l) == 0)
        return 0;
    *threads = weight_share(d, &chunks);
    weight_lay_parts(d, &parts, &(chunk){0});
    d->thread_bytes = parts.bytes;
    return chunks;
}

ptrdiff_t fc_winograd_weight_bytes(const layer *l)
{
    weight d;
    int threads;
    return weight_prepare(&d, l, &threads) ? times(threads, d.thread_bytes) : 0;
}

int fc_winograd_weight_run_in(const layer *l, char *memory)
{
    weight d;
    int threads;
    const ptrdiff_t chunks = weight_prepare(&d, l, &threads);
    d.scratch = memory;
    atomic_init(&d.doubtful, 0);
    fc_run_or_plan(l->g, (fc_conv_plan){FC_WINOGRAD, threads, chunks, d.most}, weight_chunk, &d);
    return atomic_load_explicit(&d.doubtful, memory_order_relaxed);
}
