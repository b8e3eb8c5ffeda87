/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Layers of one tap whose channels come last, in x and in out: a product of matrices, pixels x channels by channels x kernels.
 * Pixels are the rows of outer products (K1) where they are, and vectors run across kernels, which are turned before:
 *
 *      x   pixel 0  c c c c ...  x  w turned   k k k k k k k ...   channel 0     ->   out  pixel 0  k k k k k k k ...
 *          pixel 1  c c c c ...                k k k k k k k ...   channel 1               pixel 1  k k k k k k k ...
 *
 *   1. The planes of outputs are cut into the blocks of blocks.c, and kernels into sets that fit into L2 once they are turned.
 *   2. A chunk turns one set, and takes the pixels of some blocks, a few rows at a time.
 *
 * Where pixels are few beside kernels, they are turned instead, and the results back: kernels are then the rows.
 *
 * Sums are those of products.c, to the bit: of the same parts, and with the same pixels at the end of a block that are inner
 * products (K2).
 */
#include "layers/layer.h"

typedef struct {
    const layer *l;
    layout y;
    int adjoin;                   /* rows of pixels in x */
    int few;                      /* pixels */
    ptrdiff_t kernels, places;    /* of a chunk: kernels, and blocks */
    ptrdiff_t blocks, all_places; /* of a plane, of all */
    ptrdiff_t thread_bytes;
    const ptrdiff_t *channel_at, *w_at;
    char *scratch;
} points;

/* A thread's: weights of a set of kernels, or pixels of a block, turned; their panels; the block; and of few pixels, sums for a
 * vector of kernels, and these turned */
typedef struct {
    char *turned, *sums, *out;
    fc_panel *panel;
    ptrdiff_t first, count, panels; /* kernels */
    ptrdiff_t widest;               /* of the panels: vectors */
    ptrdiff_t plane;
    area area;
} set;

static void points_lay_parts(const points *d, fc_room *r, set *s)
{
    const ptrdiff_t lanes = d->l->lanes, pixels = d->y.rows.block * d->y.cols.block;
    const ptrdiff_t vectors = parts_of(d->few ? pixels : d->kernels, lanes);
    s->turned = fc_part(r, "turned", times(times(vectors, lanes), d->l->channels), d->l->size);
    s->panel = fc_part(r, "panels", vectors + 1, sizeof *s->panel);
    if (!d->few)
        return;
    s->sums = fc_part(r, "sums", times(vectors * lanes, lanes), d->l->size);
    s->out = fc_part(r, "results", times(vectors * lanes, lanes), d->l->size);
}

static void points_lay_tables(points *d, fc_room *r)
{
    ptrdiff_t *channel_at = fc_part(r, "channels of pixels", d->y.part, sizeof *channel_at);
    ptrdiff_t *w_at = fc_part(r, "channels of weights", d->y.part, sizeof *w_at);
    for (ptrdiff_t c = 0; c < d->y.part && r->block; c++)
        channel_at[c] = c, w_at[c] = c * d->l->lanes;
    d->channel_at = channel_at, d->w_at = w_at;
}

/* n weights or pixels, `apart` elements from one to the next, to vectors of them */
static void points_turn(const points *d, set *s, const char *from, ptrdiff_t apart, ptrdiff_t n)
{
    const layer *l = d->l;
    const ptrdiff_t channels = l->channels, size = l->size;
    for (ptrdiff_t i = 0; i < n; i += l->lanes)
        l->op->lanes_in(s->turned + i * channels * size, 0, l->lanes, from + i * apart * size, apart, channels, 1, 1, channels,
                        min(l->lanes, n - i), 0);
}

/* Of n weights or pixels, for so many rows, as even as can be */
static void points_make_panels(const points *d, set *s, ptrdiff_t n, ptrdiff_t rows)
{
    const layer *l = d->l;
    const ptrdiff_t widest = l->fc->cols_of[even_part(rows, l->fc->rows)];
    fc_panel *to = s->panel;
    int used = 0;
    for (ptrdiff_t i = 0; i < n; i += l->lanes) {
        const ptrdiff_t lanes = d->few ? l->lanes : min(l->lanes, n - i); /* sums have room */
        to = add_vector(to, &used, parts_of(n - i, l->lanes), widest, i * l->channels, i, lanes, l->lanes);
    }
    s->panels = to - s->panel;
    s->widest = widest;
}

/* A tile of rows, part by part of the channels */
static void points_tile(const points *d, const set *s, fc_gemm *m, const char *a)
{
    const layer *l = d->l;
    m->a_at = d->channel_at, m->b_at = d->w_at;
    m->panel = s->panel, m->panels = s->panels;
    m->low = l->g->low, m->high = l->g->high;
    for (ptrdiff_t c = 0; c < l->channels; c += d->y.part) {
        m->a = a + c * l->size;
        m->b = s->turned + c * l->lanes * l->size;
        m->depth = min(d->y.part, l->channels - c);
        m->add = c > 0;
        m->clamp = l->g->clamp && c + m->depth == l->channels;
        l->op->gemm(m);
    }
}

static const char *points_pixel(const points *d, const set *s, ptrdiff_t row, ptrdiff_t col)
{
    const layer *l = d->l;
    const fc_axis *axis = l->axis;
    const ptrdiff_t depth = axis[DEPTH].out, z = s->plane % depth;
    return l->g->x + s->plane / depth * l->g->x_image + z * axis[DEPTH].stride * axis[DEPTH].x_step +
           (s->area.row + row) * axis[ROWS].stride * axis[ROWS].x_step +
           (s->area.col + col) * axis[COLS].stride * axis[COLS].x_step;
}

/* n pixels that lie evenly, from the one at x on */
static void points_multiply(const points *d, set *s, const char *x, char *out, ptrdiff_t n)
{
    const layer *l = d->l;
    const fc_conv *g = l->g;
    fc_gemm m = {.as = l->axis[COLS].stride * l->axis[COLS].x_step / l->size,
                 .cs = l->kernels,
                 .lane_bias = g->bias ? g->bias + s->first * l->size : NULL};
    if (s->widest != l->fc->cols_of[even_part(n, l->fc->rows)])
        points_make_panels(d, s, s->count, n);
    for (ptrdiff_t left = n, turn = 1; left > 0 && !(turn % 16 == 0 && fc_gives_up());
         turn++, left -= m.rows, x += m.rows * m.as * l->size, out += m.rows * m.cs * l->size) {
        m.rows = even_part(left, l->fc->rows); /* which panels rely on */
        m.c = out;
        points_tile(d, s, &m, x);
    }
}

/* The same, where they are turned */
static void points_multiply_few(const points *d, set *s, const char *x, char *out, ptrdiff_t n)
{
    const layer *l = d->l;
    const fc_conv *g = l->g;
    const ptrdiff_t size = l->size, row = l->channels * size;
    fc_gemm m = {.as = l->channels, .cs = round_up(n, l->lanes)};
    points_turn(d, s, x, l->axis[COLS].stride * l->axis[COLS].x_step / size, n);
    for (ptrdiff_t k = 0, rows; k < s->count; k += rows) {
        rows = min(l->lanes, s->count - k);
        points_make_panels(d, s, n, rows);
        for (ptrdiff_t i = 0; i < rows; i += m.rows) {
            const ptrdiff_t kernel = s->first + k + i;
            m.rows = even_part(rows - i, l->fc->rows);
            m.bias = g->bias ? g->bias + kernel * size : NULL;
            m.c = s->sums + i * m.cs * size;
            points_tile(d, s, &m, g->w + kernel * row);
        }
        l->op->lanes_in(s->out, 0, l->lanes, s->sums, m.cs, n, 1, 1, n, rows, 0);
        l->op->lanes_out(out + k * size, 1, l->kernels, s->out, n, rows, 0);
    }
}

static void points_dot(const points *d, set *s, const char *x, char *out, ptrdiff_t n)
{
    const layer *l = d->l;
    const fc_conv *g = l->g;
    const ptrdiff_t row = l->channels * l->size;
    ptrdiff_t at[LINE];
    for (ptrdiff_t i = 0; i < n; i++)
        at[i] = i * l->kernels;
    fc_dot m = {.a = g->w + s->first * row,
                .b = x,
                .bias = g->bias ? g->bias + s->first * l->size : NULL,
                .c = out,
                .as = l->channels,
                .bs = l->axis[COLS].stride * l->axis[COLS].x_step / l->size,
                .cs = 1,
                .rows = s->count,
                .cols = n,
                .depth = l->channels,
                .part = d->y.part,
                .b_part = d->y.part,
                .at = at,
                .clamp = g->clamp,
                .low = g->low,
                .high = g->high};
    l->op->dot(&m);
}

/* Pixels from ... end of a block, counted row by row, in pieces that lie evenly in x */
static void points_pieces(const points *d, set *s, ptrdiff_t from, ptrdiff_t end,
                          void (*run)(const points *, set *, const char *, char *, ptrdiff_t))
{
    const layer *l = d->l;
    const ptrdiff_t width = l->axis[COLS].out, cols = s->area.cols;
    for (ptrdiff_t j = from, n; j < end; j += n) {
        const ptrdiff_t row = j / cols, col = j % cols;
        n = d->adjoin && cols == width ? end - j : min(cols - col, end - j);
        const ptrdiff_t pixel = (s->plane * l->axis[ROWS].out + s->area.row + row) * width + s->area.col + col;
        char *out = l->g->out + (pixel * l->kernels + s->first) * l->size;
        run(d, s, points_pixel(d, s, row, col), out, n);
        if (fc_finishes(l->g))
            fc_finish(l, out, l->kernels, out, l->kernels, n, s->count);
    }
}

/* index counts (blocks, sets of kernels) */
static void points_chunk(void *context, ptrdiff_t index, int slot)
{
    const points *d = context;
    const layer *l = d->l;
    set s = {0};
    fc_room room = fc_room_at(d->scratch, d->thread_bytes, slot);
    points_lay_parts(d, &room, &s);
    const ptrdiff_t sets = parts_of(l->kernels, d->kernels), first = index / sets * d->places;
    s.first = index % sets * d->kernels;
    s.count = min(d->kernels, l->kernels - s.first);
    if (!d->few)
        points_turn(d, &s, l->g->w + s.first * l->channels * l->size, l->channels, s.count);
    for (ptrdiff_t place = first; place < min(first + d->places, d->all_places); place++) {
        ptrdiff_t left = place % d->blocks;
        s.plane = place / d->blocks;
        s.area.cols = next_piece(&left, l->axis[COLS].out, d->y.cols.block, &s.area.col);
        s.area.rows = next_piece(&left, l->axis[ROWS].out, d->y.rows.block, &s.area.row);
        const ptrdiff_t length = s.area.cols * (d->y.flat ? s.area.rows : 1), dots = fc_dots_of(l, &d->y, length);
        for (ptrdiff_t from = 0; from < s.area.rows * s.area.cols; from += length) {
            points_pieces(d, &s, from, from + length - dots, d->few ? points_multiply_few : points_multiply);
            points_pieces(d, &s, from + length - dots, from + length, points_dot);
        }
    }
    fc_close(&room);
}

static int points_suit(const layer *l)
{
    const fc_conv *g = l->g;
    if (g->gradient || l->taps != 1 || g->groups != 1 || (g->x_channel != l->size && l->channels > 1))
        return 0;
    for (int i = DEPTH; i <= COLS; i++)
        if (l->axis[i].lead != 0 || reach(&l->axis[i], l->axis[i].out) > l->axis[i].n || l->axis[i].x_step % l->size)
            return 0;
    return g->x_image % l->size == 0;
}

int fc_points_run(const layer *l)
{
    const fc_conv *g = l->g;
    const fc_axis *rows = &l->axis[ROWS], *cols = &l->axis[COLS];
    if (!points_suit(l))
        return 1;
    points d = {.l = l, .y = fc_choose_layout(l)};
    d.adjoin = rows->stride * rows->x_step == cols->out * cols->stride * cols->x_step;
    const ptrdiff_t pixels = d.y.rows.block * d.y.cols.block, panel = l->fc->cols_of[l->fc->rows] * l->lanes;
    d.blocks = parts_of(rows->out, d.y.rows.block) * parts_of(cols->out, d.y.cols.block);
    d.all_places = l->planes * d.blocks;
    d.places = clamp(PRODUCTS_PIXELS / pixels, 1, d.all_places);
    const double products = (double)l->channels * (double)l->kernels * (double)(l->planes * rows->out * cols->out);
    int threads = fc_threads_for(fc_time_us(RATE_PRODUCTS, products * (double)l->size, l->fc->vector_bytes, 0), g->threads);
    const double turned = (double)pixels * (double)d.places * (double)(l->channels + 2 * l->kernels);
    d.few = turned < (double)l->channels * (double)l->kernels && pixels <= PRODUCTS_PACKED * 2 / (l->channels * l->size);
    const ptrdiff_t fit = max(PRODUCTS_PACKED / (l->channels * l->size) / panel, 1) * panel;
    const ptrdiff_t shares = clamp(parts_of(threads, parts_of(d.all_places, d.places)), 1, parts_of(l->kernels, panel));
    d.kernels = round_up(even_part(l->kernels, min(fit, parts_of(l->kernels, shares))), panel);
    const ptrdiff_t chunks = parts_of(d.all_places, d.places) * parts_of(l->kernels, d.kernels);
    threads = (int)min(threads, chunks);
    fc_room parts = {0}, tables = {0};
    points_lay_parts(&d, &parts, &(set){0});
    points_lay_tables(&d, &tables);
    d.thread_bytes = parts.bytes;
    char *memory = fc_borrow_rooms(&tables, threads, parts.bytes, &d.scratch);
    if (memory == NULL)
        return -1;
    points_lay_tables(&d, &tables);
    fc_run_or_plan(g, (fc_conv_plan){FC_PRODUCTS, threads, chunks, d.y.part}, points_chunk, &d);
    fc_close(&tables);
    fc_return(memory);
    return 0;
}
