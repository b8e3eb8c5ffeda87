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
 * whichever leaves fewer lanes idle and has fewer elements to turn. With one channel a group there is no outer product: both
 * are turned, with a lane for every group, and a tap's pixels are multiplied by outputs lane by lane (lanes_grad).
 *
 *   1. Outputs of a plane are cut into blocks, and these into parts of about WEIGHT_PART outputs, which are summed apart.
 *   2. A chunk has some vectors of lanes, and some rows. For every block it turns pixels, then multiplies part by part; its sums,
 *      [row][vector][tap][lane] or [vector][channel][tap][lane], are added up in scratch (or, if there is one tap, in dw).
 *   3. They are brought into the order of dw.
 *
 * Chunks share no sums, so their number, and that of the threads, does not matter to the bits.
 */
#include "layers/weight.h"
#include <string.h>

typedef struct {
    const fc_conv *g;
    const fc_kernels *fc; /* of the whole call */
    const fc_axis *axis;
    const fc_ops *op;
    int each; /* a lane for every group; x is turned, and so is dy, kernel by kernel */
    int lanes_of_x;
    int copied; /* x is, where dy is turned: it has a border */
    stored x;
    ptrdiff_t size, vlen, taps;
    ptrdiff_t lanes, rows;         /* channels of a group (or groups) that are lanes, and that are rows */
    ptrdiff_t vectors, rows_chunk; /* of a chunk */
    ptrdiff_t chunks[2], products; /* of a product; products: groups that have lanes of their own, or one of all */
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
    char *pixels, *copy, *sums; /* copy: of x, or pixels of dy where x has pixels, too */
    fc_panel *panel;
    ptrdiff_t *row_at, *lane_at; /* of K1 */
    outputs o;
} block;

/* ---- plan ------------------------------------------------------------------------------------- */

/* Of a block's pixels, and what is copied */
static ptrdiff_t weight_bytes(const weight *d, ptrdiff_t tall, ptrdiff_t wide)
{
    ptrdiff_t x = d->axis[DEPTH].k * lines_of(&d->x, ROWS, tall) * lines_of(&d->x, COLS, wide);
    if (d->lanes_of_x)
        return (d->vectors * x + (d->each ? tall * wide : 0)) * d->vlen * d->size;
    return d->vectors * tall * wide * d->vlen * d->size + (d->copied ? d->rows_chunk * x * d->size : 0);
}

/* Parts are cut first, for they decide bits; a block is as many of them as fit into the cache. */
static void weight_choose_blocks(weight *d)
{
    const fc_axis *axis = d->axis;
    fc_choose_lines(&d->x);
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
    d->x.lines[ROWS] = lines_of(&d->x, ROWS, d->tall), d->x.lines[COLS] = lines_of(&d->x, COLS, d->wide);
    d->x.plane = axis[DEPTH].k * d->x.lines[ROWS] * d->x.lines[COLS];
}

/* Whether x never meets its border */
static int weight_is_inside(const fc_axis *axis)
{
    for (int i = DEPTH; i <= COLS; i++)
        if (axis[i].lead != 0 || reach(&axis[i], axis[i].out) > axis[i].n)
            return 0;
    return 1;
}

/* By estimated times of both ways; where sums of a chunk would be larger than WEIGHT_SUMS, rows or lanes are cut. */
static void weight_choose_lanes(weight *d)
{
    const fc_conv *g = d->g;
    const fc_axis *axis = d->axis;
    d->products = g->groups;
    d->each =
        g->channels == 1 && g->groups > 1 && g->groups >= g->kernels && g->kernels * d->taps * d->vlen * d->size <= WEIGHT_SUMS;
    if (d->each) {
        d->lanes_of_x = d->vectors = d->chunks[0] = d->products = 1;
        d->lanes = g->groups, d->rows = d->rows_chunk = g->kernels;
        d->chunks[1] = parts_of(g->groups, d->vlen);
        return;
    }
    double x = 1, outputs = 1;
    for (int i = DEPTH; i <= COLS; i++)
        x *= (double)axis[i].n, outputs *= (double)axis[i].out;
    double lanes_x = (double)parts_of(g->channels, d->vlen), lanes_dy = (double)parts_of(g->kernels, d->vlen);
    double of_x = lanes_x * ((double)(g->kernels * d->taps) * outputs + WEIGHT_TURN * x);
    double of_dy = lanes_dy * ((double)(round_up(g->channels, 4) * d->taps) * outputs + WEIGHT_TURN * outputs);
    d->copied = !weight_is_inside(axis);
    if (d->copied)
        of_dy += 2 * (double)g->channels * x;
    d->lanes_of_x = of_x <= of_dy || d->vlen * g->channels * d->taps * d->size > WEIGHT_SUMS;
    d->lanes = d->lanes_of_x ? g->channels : g->kernels;
    d->rows = d->lanes_of_x ? g->kernels : g->channels;
    ptrdiff_t most = d->taps == 1 || !d->lanes_of_x ? WEIGHT_VECTORS : max(WEIGHT_TAP_VECTORS / d->taps, 1);
    ptrdiff_t vectors = parts_of(d->lanes, d->vlen), sums = d->taps * d->vlen * d->size; /* bytes, of a row and vector */
    d->vectors = even_part(vectors, most);
    if (d->lanes_of_x)
        d->rows_chunk =
            clamp(WEIGHT_SUMS / (d->vectors * sums) / d->fc->rows * d->fc->rows, min(d->fc->rows, d->rows), d->rows);
    else {
        d->rows_chunk = d->rows; /* all: dw is written plane by plane */
        d->vectors = clamp(WEIGHT_SUMS / (d->rows * sums), 1, d->vectors);
    }
    d->chunks[0] = parts_of(d->rows, d->rows_chunk), d->chunks[1] = parts_of(vectors, d->vectors);
}

/* ---- step 2 ----------------------------------------------------------------------------------- */

/* K1's tables for a part of rows of `cols` outputs */
static void weight_tabulate(const weight *d, ptrdiff_t *row_at, ptrdiff_t *lane_at, ptrdiff_t rows, ptrdiff_t cols)
{
    const fc_axis *down = &d->axis[ROWS], *right = &d->axis[COLS];
    const ptrdiff_t *step = d->x.step, *dy_step = d->g->dy_step, size = d->size;
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < cols; j++, row_at++, lane_at++) {
            ptrdiff_t x = i * step[ROWS] * d->x.lines[COLS] + j * step[COLS],
                      dy = (i * dy_step[ROWS] + j * dy_step[COLS]) / size;
            ptrdiff_t in_x = (i * down->stride * down->x_step + j * right->stride * right->x_step) / size;
            *row_at = d->lanes_of_x ? dy : d->copied ? x : in_x;
            *lane_at = (d->lanes_of_x ? x : i * cols + j) * d->vlen;
        }
}

/* Vectors of all taps of lanes of x, or of one tap of lanes of dy; sums are as at the top. */
static ptrdiff_t weight_make_panels(const weight *d, const share *s, fc_panel *panel, ptrdiff_t rows, ptrdiff_t cols)
{
    const fc_axis *axis = d->axis;
    const ptrdiff_t widest = d->fc->cols_of[s->heights], area = d->x.lines[ROWS] * d->x.lines[COLS];
    fc_panel *to = panel;
    int n = 0;
    if (!d->lanes_of_x) {
        for (ptrdiff_t v = 0; v < s->vectors; v++)
            to = add_vector(to, &n, s->vectors - v, widest, v * rows * cols * d->vlen, v * d->rows * d->taps * d->vlen, d->vlen,
                            d->vlen);
        return to - panel;
    }
    ptrdiff_t left = s->vectors * d->taps;
    for (ptrdiff_t v = 0; v < s->vectors; v++)
        for (ptrdiff_t z = 0, t = 0; z < axis[DEPTH].k; z++)
            for (ptrdiff_t r = 0; r < axis[ROWS].k; r++)
                for (ptrdiff_t c = 0; c < axis[COLS].k; c++, t++, left--) {
                    ptrdiff_t b = v * d->x.plane + z * area + line_of_tap(&d->x, ROWS, r, rows) * d->x.lines[COLS] +
                                  line_of_tap(&d->x, COLS, c, cols);
                    ptrdiff_t lanes = d->taps > 1 ? d->vlen : min(s->lanes - v * d->vlen, d->vlen);
                    to = add_vector(to, &n, left, widest, b * d->vlen, (v * d->taps + t) * d->vlen, lanes, d->vlen);
                }
    return to - panel;
}

/* Sums of a part of a block, `row` rows into it */
static void weight_multiply(const weight *d, const share *s, const block *b, fc_gemm m, ptrdiff_t row, ptrdiff_t rows)
{
    const fc_conv *g = d->g;
    const fc_axis *axis = d->axis;
    const ptrdiff_t size = d->size, pitch = d->x.lines[COLS];
    m.depth = rows * b->o.cols;
    if (d->lanes_of_x) {
        m.a = fc_outputs(&d->x, &b->o, s->group * g->kernels + s->row, row);
        m.b = b->pixels + row * d->x.step[ROWS] * pitch * d->vlen * size;
        m.as = g->dy_channel / size;
        for (ptrdiff_t i = 0, left; (left = s->rows - i) > 0; i += m.rows) {
            m.rows = even_part(left, s->heights); /* as even as can be, which panels rely on */
            d->op->gemm(&m);
            m.a = (const char *)m.a + m.rows * m.as * size;
            m.c = (char *)m.c + m.rows * m.cs * size;
        }
        return;
    }
    const char *x = b->copy;
    ptrdiff_t z_step = d->x.lines[ROWS] * pitch * size, row_step = pitch * size, col_step = size;
    m.as = d->x.plane;
    if (d->copied)
        x += row * d->x.step[ROWS] * row_step;
    else {
        x = g->x + b->o.image * g->x_image + s->group * g->channels * g->x_channel +
            b->o.z * axis[DEPTH].stride * axis[DEPTH].x_step + (b->o.row + row) * axis[ROWS].stride * axis[ROWS].x_step +
            b->o.col * axis[COLS].stride * axis[COLS].x_step;
        z_step = axis[DEPTH].x_step * axis[DEPTH].dilation, row_step = axis[ROWS].x_step, col_step = axis[COLS].x_step;
        m.as = g->x_channel / size;
    }
    m.b = b->pixels + row * b->o.cols * d->vlen * size;
    m.rows = d->rows;
    char *c = m.c;
    for (ptrdiff_t z = 0; z < axis[DEPTH].k; z++)
        for (ptrdiff_t r = 0; r < axis[ROWS].k; r++)
            for (ptrdiff_t t = 0; t < axis[COLS].k; t++, c += d->vlen * size) {
                ptrdiff_t at_row = d->copied ? line_of_tap(&d->x, ROWS, r, b->o.rows) : r * axis[ROWS].dilation;
                ptrdiff_t at_col = d->copied ? line_of_tap(&d->x, COLS, t, b->o.cols) : t * axis[COLS].dilation;
                m.a = x + z * z_step + at_row * row_step + at_col * col_step;
                m.c = c;
                d->op->gemm(&m);
            }
}

/* The same where lanes are groups, of all parts */
static void weight_multiply_lanes(const weight *d, const share *s, const block *b)
{
    const fc_conv *g = d->g;
    const fc_axis *axis = d->axis;
    const ptrdiff_t pixel = d->vlen * d->size, pitch = d->x.lines[COLS] * d->vlen;
    fc_lanes_grads l = {.cols = b->o.cols,
                        .x_row = d->x.step[ROWS] * pitch,
                        .x_step = d->x.step[COLS] * d->vlen,
                        .dy_row = b->o.cols * d->vlen,
                        .tap_rows = axis[ROWS].k,
                        .taps = axis[COLS].k,
                        .tap_row = line_of_tap(&d->x, ROWS, 1, b->o.rows) * pitch,
                        .dilation = line_of_tap(&d->x, COLS, 1, b->o.cols) * d->vlen};
    const char *dy = fc_outputs(&d->x, &b->o, s->lane * g->kernels, 0);
    char *sums = b->sums;
    for (ptrdiff_t m = 0; m < g->kernels; m++, dy += g->dy_channel, sums += d->taps * pixel) {
        fc_turn_outputs(&d->x, &b->o, b->copy, dy, g->kernels * g->dy_channel, s->lanes);
        for (ptrdiff_t row = 0; row < b->o.rows; row += d->part)
            for (ptrdiff_t z = 0; z < axis[DEPTH].k; z++) {
                l.rows = min(d->part, b->o.rows - row);
                l.dy = b->copy + row * b->o.cols * pixel;
                l.x = b->pixels + z * d->x.lines[ROWS] * d->x.lines[COLS] * pixel + row * l.x_row * d->size;
                l.sums = sums + z * axis[ROWS].k * axis[COLS].k * pixel;
                d->op->lanes_grad(&l);
            }
    }
}

/* Step 3: sums to dw, which has kernels of `n` elements; a lane's are `apart` elements from those of the next. */
static void weight_deliver(const weight *d, const share *s, const char *sums)
{
    const fc_conv *g = d->g;
    const ptrdiff_t n = g->channels * d->taps, count = d->lanes_of_x ? d->taps : n, apart = d->each ? g->kernels * n : count;
    const ptrdiff_t first =
        (s->group * g->kernels + (d->lanes_of_x ? s->row : s->lane)) * n + (d->lanes_of_x ? s->lane * apart : 0);
    for (ptrdiff_t i = 0; i < (d->lanes_of_x ? s->rows : 1); i++)
        for (ptrdiff_t v = 0; v < s->vectors; v++, sums += count * d->vlen * d->size)
            d->op->lanes_out(g->out + (first + i * n + v * d->vlen * apart) * d->size, apart, sums, count,
                             min(s->lanes - v * d->vlen, d->vlen));
}

/* ---- one call ---------------------------------------------------------------------------------- */

/* Turn, and copy, what a block sees */
static void weight_open_block(const weight *d, const share *s, const block *b)
{
    const fc_conv *g = d->g;
    const char *x = g->x + b->o.image * g->x_image + s->group * g->channels * g->x_channel;
    const char *dy = fc_outputs(&d->x, &b->o, s->group * g->kernels + s->lane, 0);
    for (ptrdiff_t v = 0; v < s->vectors; v++) {
        ptrdiff_t lanes = min(s->lanes - v * d->vlen, d->vlen);
        if (d->lanes_of_x)
            fc_store(&d->x, &b->o, b->pixels + v * d->x.plane * d->vlen * d->size, x + (s->lane + v * d->vlen) * g->x_channel,
                     lanes);
        else
            fc_turn_outputs(&d->x, &b->o, b->pixels + v * b->o.rows * b->o.cols * d->vlen * d->size,
                            dy + v * d->vlen * g->dy_channel, g->dy_channel, lanes);
    }
    for (ptrdiff_t c = 0; d->copied && !d->lanes_of_x && c < g->channels; c++)
        fc_store(&d->x, &b->o, b->copy + c * d->x.plane * d->size, x + c * g->x_channel, 1);
}

/* Elements of a chunk's sums; outputs that are turned write a square beyond */
static ptrdiff_t weight_sums(const weight *d)
{
    return times(plus(times(times(d->vectors, d->lanes_of_x ? d->rows_chunk : d->rows), d->taps), d->vlen), d->vlen);
}

static void weight_lay_parts(const weight *d, fc_room *r, block *b)
{
    ptrdiff_t outputs = times(d->tall, d->wide);
    b->pixels = fc_part(r, "pixels", times(times(d->vectors, d->lanes_of_x ? d->x.plane : outputs), d->vlen), d->size);
    if (d->each)
        b->copy = fc_part(r, "pixels of dy", times(outputs, d->vlen), d->size);
    else if (d->copied && !d->lanes_of_x)
        b->copy = fc_part(r, "copy", times(d->g->channels, d->x.plane), d->size);
    b->sums = fc_part(r, "sums", weight_sums(d), d->size);
    b->panel = fc_part(r, "panels", plus(times(d->vectors, d->lanes_of_x ? d->taps : 1), 1), sizeof *b->panel);
    b->row_at = fc_part(r, "outputs of rows", times(d->part, d->wide), sizeof *b->row_at);
    b->lane_at = fc_part(r, "outputs of lanes", times(d->part, d->wide), sizeof *b->lane_at);
}

/* index counts (product, rows, lanes). Images, depths and blocks are taken in this order, whatever the thread, and a chunk has its
 * sums to itself: so the order of every sum of dw is fixed. */
static void weight_chunk(void *context, ptrdiff_t index, int slot)
{
    const weight *d = context;
    const fc_conv *g = d->g;
    const fc_axis *axis = d->axis;
    share s = {.lane = index % d->chunks[1] * d->vectors * d->vlen,
               .row = index / d->chunks[1] % d->chunks[0] * d->rows_chunk,
               .group = index / d->chunks[1] / d->chunks[0]};
    s.rows = min(d->rows_chunk, d->rows - s.row), s.lanes = min(d->vectors * d->vlen, d->lanes - s.lane);
    s.vectors = parts_of(s.lanes, d->vlen);
    s.heights = even_part(s.rows, d->fc->rows);
    block b = {0};
    fc_room room = fc_room_at(d->scratch, d->thread_bytes, slot);
    weight_lay_parts(d, &room, &b);
    int in_place = d->lanes_of_x && d->taps == 1 && !d->each;
    fc_gemm m = {.a_at = b.row_at, .b_at = b.lane_at, .panel = b.panel, .c = b.sums};
    m.cs = (d->lanes_of_x ? s.vectors : 1) * d->taps * d->vlen;
    if (in_place) {
        m.c = g->out + ((s.group * g->kernels + s.row) * g->channels + s.lane) * d->size;
        m.cs = g->channels;
    }
    ptrdiff_t tabulated[2] = {0, 0};
    if (d->each)
        memset(b.sums, 0, (size_t)(weight_sums(d) * d->size));
    for (b.o.image = 0; b.o.image < g->images; b.o.image++)
        for (b.o.z = 0; b.o.z < axis[DEPTH].out; b.o.z++)
            for (b.o.col = 0; b.o.col < axis[COLS].out; b.o.col += d->wide)
                for (b.o.row = 0; b.o.row < axis[ROWS].out; b.o.row += d->tall) {
                    b.o.cols = min(d->wide, axis[COLS].out - b.o.col), b.o.rows = min(d->tall, axis[ROWS].out - b.o.row);
                    if (d->each) {
                        weight_open_block(d, &s, &b);
                        weight_multiply_lanes(d, &s, &b);
                        continue;
                    }
                    if (b.o.rows != tabulated[0] || b.o.cols != tabulated[1]) {
                        weight_tabulate(d, b.row_at, b.lane_at, d->part, b.o.cols);
                        m.panels = weight_make_panels(d, &s, b.panel, b.o.rows, b.o.cols);
                        tabulated[0] = b.o.rows, tabulated[1] = b.o.cols;
                    }
                    weight_open_block(d, &s, &b);
                    for (ptrdiff_t row = 0; row < b.o.rows; row += d->part, m.add = 1)
                        weight_multiply(d, &s, &b, m, row, min(d->part, b.o.rows - row));
                }
    if (!in_place)
        weight_deliver(d, &s, b.sums);
    fc_close(&room);
}

int fc_conv_weight_run(const fc_conv *g)
{
    const fc_kernels *fc = fc_in_use();
    const fc_axis *axis = g->axis;
    weight d = {.g = g, .fc = fc, .op = fc->op[g->type], .axis = axis, .size = fc_stored_size(g->type)};
    d.taps = axis[DEPTH].k * axis[ROWS].k * axis[COLS].k;
    d.vlen = fc->vector_bytes / d.size;
    weight_choose_lanes(&d);
    d.x = (stored){.g = g, .axis = axis, .in = d.op->lanes_in, .size = d.size, .vlen = d.vlen, .of_pixels = d.lanes_of_x};
    weight_choose_blocks(&d);
    fc_room parts = {0};
    weight_lay_parts(&d, &parts, &(block){0});
    d.thread_bytes = parts.bytes;
    double products = (double)(g->channels * d.taps) * (double)(g->images * g->groups * g->kernels) *
                      (double)(axis[DEPTH].out * axis[ROWS].out * axis[COLS].out);
    double turned = d.each ? (double)(g->images * g->groups) * (double)(axis[DEPTH].n * axis[ROWS].n * axis[COLS].n) : 0;
    int threads = fc_threads_for(fc_time_us(RATE_PRODUCTS, products * (double)d.size, fc->vector_bytes, turned), g->threads);
    ptrdiff_t chunks = d.products * d.chunks[0] * d.chunks[1];
    threads = (int)min(threads, chunks);
    d.scratch = fc_borrow((size_t)times(threads, d.thread_bytes));
    if (d.scratch == NULL)
        return -1;
    fc_pool_run(threads, chunks, weight_chunk, &d);
    fc_return(d.scratch);
    return 0;
}
