/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Weight gradients:  dw[m][c][t] = sum over images and outputs o of dy[m][o] x[c][o * stride - lead + t * dilation]
 *
 * Outer products (K1) whose sums run over outputs and whose vectors run across channels. One operand is read where it is: its
 * channels are the rows of the product. The other is turned into pixels first (lanes_tmpl.h), VLEN channels each:
 *
 *      lanes of x    rows: kernels, dy as it is      vectors: for every tap, the pixels of x that it meets
 *      lanes of dy   rows: channels, x as it is,     vectors: the pixels of dy
 *                    or its padded rows, tap by tap
 *
 * whichever leaves fewer lanes idle and has fewer elements to turn. Where lanes of x are half of a vector or less, neighbouring
 * pixels share one, and with them the taps under which they lie. With one channel a group there is no outer product: both
 * are turned, with a lane for every group, and a tap's pixels are multiplied by outputs lane by lane (lanes_grad).
 *
 *   1. Outputs of a plane are cut into blocks, and these into parts of about WEIGHT_PART outputs, which are summed apart.
 *   2. A chunk has some vectors of lanes, and some rows. For every block it turns pixels, then multiplies part by part; its sums,
 *      [row][vector][tap][lane] or [vector][channel][tap][lane], are added up in scratch (or, if there is one tap, in dw).
 *   3. They are brought into the order of dw.
 *
 * Chunks share no sums, so their number, and that of the threads, does not matter to the bits.
 */
#include "layers/layer.h"
#include <string.h>

typedef struct {
    const layer *l; /* the axes are in the order of dy */
    int each;       /* a lane for every group; x is turned, and so is dy, kernel by kernel */
    int lanes_of_x;
    int packed;   /* x is: turned; or, where dy is turned, copied, if it has a border */
    packing pack; /* of x then */
    walk x;
    ptrdiff_t share;               /* neighbouring taps that are a vector: 1, but where lanes of x are few, */
    ptrdiff_t pixel, tap_vectors;  /* elements of a pixel then, and vectors of all taps */
    ptrdiff_t lanes, rows;         /* channels of a group (or groups) that are lanes, and that are rows */
    ptrdiff_t vectors, rows_chunk; /* of a chunk */
    double inputs, outputs;        /* elements of a plane and depths of x, of dy */
    ptrdiff_t tall, wide, part;    /* outputs of a block: rows, columns; rows of a part */
    ptrdiff_t thread_bytes;
    char *scratch;
} weight;

/* A chunk: some vectors of lanes, and some rows */
typedef struct {
    ptrdiff_t group, row, rows, lane, lanes, vectors;
    ptrdiff_t heights; /* rows of a tile */
} share;

/* What a thread works with: scratch, and the block */
typedef struct {
    char *packed, *turned, *sums; /* x, as it is packed; pixels of dy */
    fc_run *run;
    fc_panel *panel;
    ptrdiff_t *row_at, *lane_at, *tap_at; /* of K1; elements, or pixels, to the taps */
    ptrdiff_t plane;                      /* image and depth */
    area area;
    const char *x, *dy; /* of channel and kernel 0 of the group: what is read of x; the first output */
} block;

/* ---- plan ------------------------------------------------------------------------------------- */

/* Taps have lines of their own, if these are fewer for blocks of as many outputs as most have, or if strides skip most of x. */
static split weight_split(const weight *d, int i, ptrdiff_t outputs)
{
    const fc_axis *a = &d->l->axis[i];
    const ptrdiff_t few = min(a->out, i == COLS ? 64 : 8);
    const int apart = a->k == 1 || a->k * few < (a->k - 1) * a->dilation || a->stride > max(WEIGHT_WIDE, a->k);
    const int skips = apart && (i == ROWS || a->stride > WEIGHT_WIDE); /* what lies between outputs */
    return fc_split_axis(a, outputs, skips ? a->stride : 1, apart ? APART : SHARED);
}

/* Of a block's pixels, and what is copied */
static ptrdiff_t weight_bytes(const weight *d, ptrdiff_t tall, ptrdiff_t wide)
{
    const split rows = weight_split(d, ROWS, tall), cols = weight_split(d, COLS, wide);
    const ptrdiff_t x = d->l->axis[DEPTH].k * rows.sets * rows.count * cols.sets * cols.count,
                    vector = d->l->lanes * d->l->size;
    if (d->lanes_of_x)
        return (d->vectors * x + (d->each ? tall * wide : 0)) * vector;
    return d->vectors * tall * wide * vector + (d->packed ? d->rows_chunk * x * d->l->size : 0);
}

/* Parts are cut first, for they decide bits; a block is as many of them as fit into the cache. */
static void weight_choose_blocks(weight *d)
{
    const fc_axis *axis = d->l->axis;
    for (ptrdiff_t most = WEIGHT_PART;; most /= 2) {
        d->wide = even_part(axis[COLS].out, most);
        d->part = even_part(axis[ROWS].out, clamp(WEIGHT_PART / d->wide, 1, axis[ROWS].out));
        if (most <= 16 || weight_bytes(d, d->part, d->wide) <= WEIGHT_BLOCK)
            break;
        d->part = 1;
        if (weight_bytes(d, 1, d->wide) <= WEIGHT_BLOCK)
            break;
    }
    while (d->each && d->part > 1 && weight_bytes(d, d->part, d->wide) > WEIGHT_PASS)
        d->part = parts_of(d->part, 2);
    d->tall = d->part;
    while (d->tall < axis[ROWS].out && weight_bytes(d, d->tall + d->part, d->wide) <= WEIGHT_BLOCK)
        d->tall += d->part;
    const split rows = weight_split(d, ROWS, d->tall), cols = weight_split(d, COLS, d->wide);
    d->share = 1; /* where taps are neighbours */
    while (d->lanes_of_x && !d->each && !cols.apart && axis[COLS].dilation == 1 && axis[COLS].boundary == FC_CONSTANT &&
           d->share < axis[COLS].k && 2 * d->share * d->lanes <= d->l->lanes)
        d->share *= 2;
    d->pixel = d->l->lanes / d->share;
    d->pack = fc_lay_out(d->l, rows, cols, cols.count, d->lanes_of_x ? d->pixel : 0);
    d->x = fc_walk(&d->pack, d->packed);
    d->tap_vectors = d->l->taps / axis[COLS].k * parts_of(axis[COLS].k, d->share);
}

/* By estimated times of both ways; where sums of a chunk would be larger than WEIGHT_SUMS, rows or lanes are cut. */
static void weight_choose_lanes(weight *d)
{
    const layer *l = d->l;
    const fc_conv *g = l->g;
    const ptrdiff_t sums = l->taps * l->lanes * l->size; /* bytes, of a row and vector */
    d->each = g->channels == 1 && g->groups > 1 && g->groups >= g->kernels && g->kernels * sums <= WEIGHT_SUMS;
    if (d->each) {
        d->lanes_of_x = d->packed = d->vectors = 1;
        d->lanes = g->groups, d->rows = d->rows_chunk = g->kernels;
        return;
    }
    double lanes_x = (double)parts_of(g->channels, l->lanes), lanes_dy = (double)parts_of(g->kernels, l->lanes);
    double of_x = lanes_x * ((double)(g->kernels * l->taps) * d->outputs + WEIGHT_TURN * d->inputs);
    double of_dy = lanes_dy * ((double)(round_up(g->channels, 4) * l->taps) * d->outputs + WEIGHT_TURN * d->outputs);
    for (int i = DEPTH; i <= COLS; i++) /* x meets its border */
        d->packed |= l->axis[i].lead != 0 || reach(&l->axis[i], l->axis[i].out) > l->axis[i].n;
    if (d->packed)
        of_dy += 2 * (double)g->channels * d->inputs;
    d->lanes_of_x = of_x <= of_dy || g->channels * sums > WEIGHT_SUMS;
    d->packed |= d->lanes_of_x;
    d->lanes = d->lanes_of_x ? g->channels : g->kernels;
    d->rows = d->lanes_of_x ? g->kernels : g->channels;
    const ptrdiff_t most = l->taps == 1 || !d->lanes_of_x ? WEIGHT_VECTORS : max(WEIGHT_TAP_VECTORS / l->taps, 1);
    d->vectors = even_part(parts_of(d->lanes, l->lanes), most);
    d->rows_chunk = d->rows; /* all, where dw is written plane by plane */
    if (d->lanes_of_x)
        d->rows_chunk =
            clamp(WEIGHT_SUMS / (d->vectors * sums) / l->fc->rows * l->fc->rows, min(l->fc->rows, d->rows), d->rows);
    else
        d->vectors = clamp(WEIGHT_SUMS / (d->rows * sums), 1, d->vectors);
}

/* ---- step 2 ----------------------------------------------------------------------------------- */

/* K1's tables for a part of rows of `cols` outputs */
static void weight_tabulate(const weight *d, const block *b, ptrdiff_t cols)
{
    const ptrdiff_t *dy_step = d->l->g->dy_step;
    ptrdiff_t *row_at = b->row_at, *lane_at = b->lane_at;
    for (ptrdiff_t i = 0; i < d->part; i++)
        for (ptrdiff_t j = 0; j < cols; j++) {
            ptrdiff_t x = i * d->x.out[ROWS] + j * d->x.out[COLS];
            *row_at++ = d->lanes_of_x ? (i * dy_step[ROWS] + j * dy_step[COLS]) / d->l->size : x;
            *lane_at++ = (d->lanes_of_x ? x : i * cols + j) * d->pixel;
        }
}

/* Where the taps are; and vectors of all taps of lanes of x, or of one tap of lanes of dy; sums are as at the top. */
static ptrdiff_t weight_make_panels(const weight *d, const share *s, const block *b)
{
    const fc_axis *axis = d->l->axis;
    const ptrdiff_t widest = d->l->fc->cols_of[s->heights], vlen = d->l->lanes, count = d->lanes_of_x ? d->tap_vectors : 1;
    const ptrdiff_t pixels = d->lanes_of_x ? d->pack.plane : d->tall * d->wide, sums = d->lanes_of_x ? 1 : d->rows;
    ptrdiff_t *at = b->tap_at, left = s->vectors * count;
    fc_panel *to = b->panel;
    int n = 0;
    for (ptrdiff_t z = 0; z < axis[DEPTH].k; z++)
        for (ptrdiff_t r = 0; r < axis[ROWS].k; r++)
            for (ptrdiff_t c = 0; c < axis[COLS].k; c += d->share)
                *at++ = z * d->x.tap[DEPTH] + r * d->x.tap[ROWS] + c * d->x.tap[COLS];
    for (ptrdiff_t v = 0; v < s->vectors; v++)
        for (ptrdiff_t t = 0; t < count; t++, left--) {
            ptrdiff_t lanes = d->lanes_of_x && d->l->taps == 1 ? min(s->lanes - v * vlen, vlen) : vlen;
            ptrdiff_t from = v * pixels + (d->lanes_of_x ? b->tap_at[t] : 0);
            to = add_vector(to, &n, left, widest, from * d->pixel, (v * sums * d->tap_vectors + t) * vlen, lanes, vlen);
        }
    return to - b->panel;
}

/* Sums of a part of a block, `row` rows into it */
static void weight_multiply(const weight *d, const share *s, const block *b, fc_gemm m, ptrdiff_t row)
{
    const layer *l = d->l;
    const fc_conv *g = l->g;
    const ptrdiff_t size = l->size, pixel = d->pixel * size;
    m.depth = min(d->part, b->area.rows - row) * b->area.cols;
    if (d->lanes_of_x) {
        m.a = b->dy + s->row * g->dy_channel + row * g->dy_step[ROWS];
        m.b = b->x + row * d->x.out[ROWS] * pixel;
        m.as = g->dy_channel / size;
        for (ptrdiff_t i = 0, left; (left = s->rows - i) > 0; i += m.rows) {
            m.rows = even_part(left, s->heights); /* as even as can be, which panels rely on */
            l->op->gemm(&m);
            m.a = (const char *)m.a + m.rows * m.as * size;
            m.c = (char *)m.c + m.rows * m.cs * size;
        }
        return;
    }
    m.b = b->turned + row * b->area.cols * pixel;
    m.as = d->x.channel;
    m.rows = d->rows;
    for (ptrdiff_t t = 0; t < l->taps; t++, m.c = (char *)m.c + pixel) {
        m.a = b->x + (row * d->x.out[ROWS] + b->tap_at[t]) * size;
        l->op->gemm(&m);
    }
}

/* Outputs of `lanes` kernels, `channel` bytes apart, to pixels */
static void weight_turn_outputs(const weight *d, const block *b, char *to, const char *dy, ptrdiff_t channel, ptrdiff_t lanes)
{
    const ptrdiff_t *step = d->l->g->dy_step;
    fc_turn(d->l, to, b->area.cols, d->l->lanes, dy, channel, step[ROWS], step[COLS], b->area.rows, b->area.cols, lanes);
}

/* The same where lanes are groups, of all parts */
static void weight_multiply_lanes(const weight *d, const share *s, const block *b)
{
    const fc_conv *g = d->l->g;
    const fc_axis *axis = d->l->axis;
    const ptrdiff_t vlen = d->l->lanes, pixel = vlen * d->l->size;
    fc_lanes_grads l = {.cols = b->area.cols,
                        .x_row = d->x.out[ROWS] * vlen,
                        .x_step = d->x.out[COLS] * vlen,
                        .dy_row = b->area.cols * vlen,
                        .tap_rows = axis[ROWS].k,
                        .taps = axis[COLS].k,
                        .tap_row = d->x.tap[ROWS] * vlen,
                        .dilation = d->x.tap[COLS] * vlen};
    const char *dy = b->dy + s->lane * g->kernels * g->dy_channel;
    char *sums = b->sums;
    for (ptrdiff_t m = 0; m < g->kernels; m++, dy += g->dy_channel, sums += d->l->taps * pixel) {
        weight_turn_outputs(d, b, b->turned, dy, g->kernels * g->dy_channel, s->lanes);
        for (ptrdiff_t row = 0; row < b->area.rows; row += d->part)
            for (ptrdiff_t z = 0; z < axis[DEPTH].k; z++) {
                l.rows = min(d->part, b->area.rows - row);
                l.dy = b->turned + row * b->area.cols * pixel;
                l.x = b->x + (z * d->x.tap[DEPTH] + row * d->x.out[ROWS]) * pixel;
                l.sums = sums + z * axis[ROWS].k * axis[COLS].k * pixel;
                d->l->op->lanes_grad(&l);
            }
    }
}

/* Step 3: sums to dw, which has kernels of `n` elements; a lane's are `apart` elements from those of the next. */
static void weight_deliver(const weight *d, const share *s, char *sums)
{
    const fc_conv *g = d->l->g;
    const ptrdiff_t vlen = d->l->lanes, size = d->l->size;
    const ptrdiff_t n = g->channels * d->l->taps, count = d->lanes_of_x ? d->l->taps : n,
                    apart = d->each ? g->kernels * n : count;
    const ptrdiff_t first =
        (s->group * g->kernels + (d->lanes_of_x ? s->row : s->lane)) * n + (d->lanes_of_x ? s->lane * apart : 0);
    if (d->share > 1)
        fc_spread_taps(sums, s->rows * d->l->taps, d->l->axis[COLS].k, vlen * size, d->share);
    for (ptrdiff_t i = 0; i < (d->lanes_of_x ? s->rows : 1); i++)
        for (ptrdiff_t v = 0; v < s->vectors; v++, sums += count * vlen * size)
            d->l->op->lanes_out(g->out + (first + i * n + v * vlen * apart) * size, apart, 1, sums, count,
                                min(s->lanes - v * vlen, vlen), 0);
}

/* ---- one call ---------------------------------------------------------------------------------- */

/* Turn, and copy, what a block sees */
static void weight_open_block(const weight *d, const share *s, block *b)
{
    const fc_conv *g = d->l->g;
    const area *a = &b->area;
    const ptrdiff_t vlen = d->l->lanes, size = d->l->size, channels = d->lanes_of_x ? vlen : 1; /* packed together */
    const ptrdiff_t depth = d->l->axis[DEPTH].out, image = b->plane / depth, z = b->plane % depth;
    const char *x = g->x + (s->group * g->channels + (d->lanes_of_x ? s->lane : 0)) * g->x_channel;
    b->dy = g->dy + image * g->dy_image + s->group * g->kernels * g->dy_channel + z * g->dy_step[DEPTH] +
            a->row * g->dy_step[ROWS] + a->col * g->dy_step[COLS];
    for (ptrdiff_t v = 0; v < s->vectors && !d->lanes_of_x; v++)
        weight_turn_outputs(d, b, b->turned + v * d->tall * d->wide * vlen * size, b->dy + (s->lane + v * vlen) * g->dy_channel,
                            g->dy_channel, min(s->lanes - v * vlen, vlen));
    b->x = b->packed;
    if (!d->packed)
        b->x = x + image * g->x_image + (z * d->x.out[DEPTH] + a->row * d->x.out[ROWS] + a->col * d->x.out[COLS]) * size;
    const fc_runs runs = d->packed ? fc_plan_runs(&d->pack, b->run, b->plane, a) : (fc_runs){0};
    for (ptrdiff_t c = 0, all = d->lanes_of_x ? s->lanes : g->channels; c < all && d->packed; c += channels) {
        char *to = b->packed + c * d->pack.plane * size;
        if (d->lanes_of_x)
            fc_pack_pixels(&d->pack, to, x + c * g->x_channel, &runs, min(all - c, vlen), 1);
        else
            fc_pack_channel(&d->pack, to, x + c * g->x_channel, &runs);
    }
}

/* Elements of a chunk's sums; outputs that are turned write a square beyond */
static ptrdiff_t weight_sums(const weight *d)
{
    const ptrdiff_t rows = d->lanes_of_x ? d->rows_chunk : d->rows;
    return times(plus(times(times(d->vectors, rows), d->l->taps), d->l->lanes), d->l->lanes);
}

/* Of x, which is written beyond */
static ptrdiff_t weight_packed(const weight *d)
{
    const ptrdiff_t channels = d->lanes_of_x ? times(d->vectors, d->l->lanes) : d->l->g->channels;
    return plus(times(channels, d->pack.plane), 2 * d->l->lanes);
}

static void weight_lay_parts(const weight *d, fc_room *r, block *b)
{
    const ptrdiff_t outputs = times(d->tall, d->wide), part = times(d->part, d->wide), vlen = d->l->lanes, size = d->l->size;
    if (d->packed)
        b->packed = fc_part(r, "x", weight_packed(d), size);
    if (d->each || !d->lanes_of_x)
        b->turned = fc_part(r, "pixels of dy", times(times(d->lanes_of_x ? 1 : d->vectors, outputs), vlen), size);
    b->sums = fc_part(r, "sums", weight_sums(d), size);
    b->run = fc_part(r, "runs", d->pack.most_runs, sizeof *b->run);
    b->panel = fc_part(r, "panels", plus(times(d->vectors, d->lanes_of_x ? d->l->taps : 1), 1), sizeof *b->panel);
    b->row_at = fc_part(r, "outputs of rows", part, sizeof *b->row_at);
    b->lane_at = fc_part(r, "outputs of lanes", part, sizeof *b->lane_at);
    b->tap_at = fc_part(r, "taps", d->l->taps, sizeof *b->tap_at);
}

/* index counts (product, rows, lanes). Planes and blocks are taken in this order, whatever the thread, and a chunk has its sums to
 * itself: so the order of every sum of dw is fixed. */
static void weight_chunk(void *context, ptrdiff_t index, int slot)
{
    const weight *d = context;
    const fc_conv *g = d->l->g;
    const fc_axis *axis = d->l->axis;
    const ptrdiff_t vlen = d->l->lanes;
    share s;
    s.lanes = next_piece(&index, d->lanes, d->vectors * vlen, &s.lane);
    s.rows = next_piece(&index, d->rows, d->rows_chunk, &s.row);
    s.group = index;
    s.vectors = parts_of(s.lanes, vlen);
    s.heights = even_part(s.rows, d->l->fc->rows);
    block b = {0};
    fc_room room = fc_room_at(d->scratch, d->thread_bytes, slot);
    weight_lay_parts(d, &room, &b);
    int in_place = d->lanes_of_x && d->l->taps == 1 && !d->each;
    fc_gemm m = {.a_at = b.row_at, .b_at = b.lane_at, .panel = b.panel, .c = b.sums};
    m.cs = (d->lanes_of_x ? s.vectors : 1) * d->tap_vectors * vlen;
    if (in_place) {
        m.c = g->out + ((s.group * g->kernels + s.row) * g->channels + s.lane) * d->l->size;
        m.cs = g->channels;
    }
    if (d->share > 1) /* idle lanes read beyond the last pixel: nothing subnormal, which is slow */
        memset(b.packed, 0, (size_t)(weight_packed(d) * d->l->size));
    if (d->each)
        memset(b.sums, 0, (size_t)(weight_sums(d) * d->l->size));
    else
        m.panels = weight_make_panels(d, &s, &b);
    const ptrdiff_t blocks = parts_of(axis[ROWS].out, d->tall) * parts_of(axis[COLS].out, d->wide);
    for (b.plane = 0; b.plane < d->l->planes && !(b.plane % 16 == 15 && fc_gives_up()); b.plane++)
        for (ptrdiff_t i = 0, tabulated = 0; i < blocks && !(i > 0 && fc_gives_up()); i++) {
            ptrdiff_t left = i;
            b.area.rows = next_piece(&left, axis[ROWS].out, d->tall, &b.area.row);
            b.area.cols = next_piece(&left, axis[COLS].out, d->wide, &b.area.col);
            weight_open_block(d, &s, &b);
            if (d->each) {
                weight_multiply_lanes(d, &s, &b);
                continue;
            }
            if (b.area.cols != tabulated)
                weight_tabulate(d, &b, tabulated = b.area.cols);
            for (ptrdiff_t row = 0; row < b.area.rows; row += d->part, m.add = 1)
                weight_multiply(d, &s, &b, m, row);
        }
    if (!in_place)
        weight_deliver(d, &s, b.sums);
    fc_close(&room);
}

int fc_conv_weight_run(const fc_conv *g)
{
    if (g->halves)
        return fc_halves_run(g, fc_conv_weight_run);
    const layer l = fc_describe_weight(g);
    weight d = {.l = &l, .inputs = 1, .outputs = 1};
    for (int i = DEPTH; i <= COLS; i++)
        d.inputs *= (double)g->axis[i].n, d.outputs *= (double)g->axis[i].out;
    weight_choose_lanes(&d);
    weight_choose_blocks(&d);
    fc_room parts = {0};
    weight_lay_parts(&d, &parts, &(block){0});
    d.thread_bytes = parts.bytes;
    double products = (double)(g->channels * l.taps) * (double)(g->images * g->groups * g->kernels) * d.outputs;
    double turned = d.each ? (double)(g->images * g->groups) * d.inputs : 0;
    int threads = fc_threads_for(fc_time_us(RATE_PRODUCTS, products * (double)l.size, l.fc->vector_bytes, turned), g->threads);
    const ptrdiff_t rows = parts_of(d.rows, d.rows_chunk), lanes = parts_of(d.lanes, d.vectors * l.lanes);
    const ptrdiff_t chunks = (d.each ? 1 : g->groups) * rows * lanes;
    threads = (int)min(threads, chunks);
    const ptrdiff_t fewer = fc_winograd_weight_bytes(&l);
    d.scratch = fc_borrow((size_t)max(times(threads, d.thread_bytes), fewer));
    if (d.scratch == NULL)
        return -1;
    if (fewer == 0 || fc_winograd_weight_run_in(&l, d.scratch) != 0)
        fc_run_or_plan(g, (fc_conv_plan){d.each ? FC_LANES : FC_PRODUCTS, threads, chunks, d.part * d.wide}, weight_chunk, &d);
    fc_return(d.scratch);
    return 0;
}
