/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Products of small planes of a batch, whose vectors run across kernels, and whose rows are the planes:
 *
 *      out[plane][kernel][pixel] = sum of x[plane][channel][where tap t of the pixel lies] * w[kernel][channel][t]
 *
 * All planes see a pixel's window alike. So taps that meet nothing but zeros are left out, rows and columns of them, and x is
 * read where it lies. What is packed is weights: in 7x7 outputs of 5x5 taps under as much padding, 31 % of the products are gone.
 *
 *   1. Weights of some kernels and a part of the channels are turned into [channel][tap][kernel]; they stay in L1.
 *   2. Pixel by pixel, planes are multiplied by them (K1), and added to sums, [vector of kernels][plane][pixel][kernel].
 *   3. Sums are turned back into planes, while they are in L2.
 *
 * Every output is the sum that products.c makes, part by part of the same channels, in the same order, so this may depend on the
 * batch. The pixels that are inner products there are so here. Zeros times what is not finite are NaN: if a weight is not, all is left
 * to products.c.
 */
#include "layers/layer.h"
#include <stdatomic.h>
#include <string.h>

typedef struct {
    const layer *l;
    layout y;
    ptrdiff_t outputs, dots;     /* of a plane: outputs that are no dots, and dots, which come last */
    ptrdiff_t planes, vectors;   /* of a chunk */
    ptrdiff_t heights;           /* planes of a tile */
    ptrdiff_t *a_at, *b_at, *at; /* pixel by pixel: of the taps of a part; where they begin */
    ptrdiff_t *taps;             /* and how many a channel has */
    atomic_int *spoilt;          /* a weight is not finite */
    ptrdiff_t thread_bytes;
    char *scratch;
} across;

/* What a thread works with */
typedef struct {
    char *w, *sums, *columns; /* columns: under dots, of a part */
    ptrdiff_t *dot_at;
    fc_panel *panel;
} chunk;

/* ---- plan -------------------------------------------------------------------------------------- */

/* The taps of output o of an axis that meet x */
static void across_taps(const fc_axis *a, ptrdiff_t o, ptrdiff_t *from, ptrdiff_t *end)
{
    inside(a->n, a->dilation, o * a->stride - a->lead, a->k, from, end);
}

/* Those of all outputs of an axis */
static double across_met(const fc_axis *a)
{
    ptrdiff_t met = 0, from, end;
    for (ptrdiff_t o = 0; o < a->out; o++, met += end - from)
        across_taps(a, o, &from, &end);
    return (double)met;
}

/* Whether that takes less than products.c, by products of vectors */
static int across_pays(const across *d)
{
    const layer *l = d->l;
    const fc_axis *rows = &l->axis[ROWS], *cols = &l->axis[COLS];
    const double sets = (double)parts_of(l->kernels, l->lanes), taps = (double)l->taps, planes = (double)l->planes;
    const double met = across_met(rows) * across_met(cols), rows_met = across_met(rows) / (double)(rows->k * rows->out);
    const double turned = ACROSS_TURN * taps * (double)parts_of(l->planes, d->planes);
    const double here = sets * (planes * met * (d->vectors == 1 ? ACROSS_ALONE : 1) + turned);
    const ptrdiff_t vectors = d->dots ? l->planes * parts_of(d->outputs, l->lanes) : parts_of(l->planes * d->outputs, l->lanes);
    return here < ACROSS_MOST * (double)(vectors * (l->kernels + ACROSS_PACK)) * taps * (d->dots ? 1 : rows_met);
}

/* Strides in whole elements, from where x begins */
static int across_reads(const layer *l)
{
    const fc_conv *g = l->g;
    const uintptr_t all = (uintptr_t)g->x | (uintptr_t)g->x_image | (uintptr_t)g->x_channel | (uintptr_t)g->w |
                          (uintptr_t)l->axis[ROWS].x_step | (uintptr_t)l->axis[COLS].x_step;
    return all % (uintptr_t)l->size == 0;
}

/* Returns whether it is for the layer */
static int across_plan(across *d, const layer *l)
{
    const fc_axis *depth = &l->axis[DEPTH], *rows = &l->axis[ROWS], *cols = &l->axis[COLS];
    const ptrdiff_t outputs = rows->out * cols->out;
    if (l->planes < ACROSS_LEAST || outputs > ACROSS_OUTPUTS || l->g->halves || l->taps > LONGEST_PART || l->taps == 1 ||
        depth->k * depth->out * depth->n != 1 || depth->lead != 0 || l->step[ROWS] * l->step[COLS] != 1 ||
        l->spread[ROWS] * l->spread[COLS] != 1 || rows->boundary != FC_CONSTANT || cols->boundary != FC_CONSTANT ||
        !across_reads(l))
        return 0;
    *d = (across){.l = l, .y = fc_choose_layout(l)};
    const layout *y = &d->y;
    const int whole = y->flat && y->rows.block == rows->out && y->cols.block == cols->out;
    d->dots = whole ? fc_dots_of(l, y, outputs) : 0;
    if (y->part != y->part_channels * l->taps ||
        (!whole && fc_dots_of(l, y, y->cols.block * (y->flat ? y->rows.block : 1)) > 0))
        return 0;
    d->outputs = outputs - d->dots;
    d->planes = even_part(l->planes, ACROSS_PLANES);
    d->heights = even_part(d->planes, l->fc->rows);
    d->vectors = even_part(parts_of(l->kernels, l->lanes), l->fc->cols_of[d->heights]);
    return across_pays(d);
}

/* Rows of whole vectors: of weights of a tap, and of sums */
static ptrdiff_t across_width(const across *d) { return d->vectors * d->l->lanes; }
static ptrdiff_t across_sums(const across *d) { return d->planes * d->outputs * d->l->lanes; }

static void across_lay_parts(const across *d, fc_room *r, chunk *b)
{
    const layer *l = d->l;
    const ptrdiff_t dots = d->planes * d->dots;
    b->w = fc_part(r, "weights", times(d->y.part, across_width(d)), l->size);
    b->sums = fc_part(r, "sums", d->vectors * across_sums(d) + l->lanes * l->lanes, l->size); /* read beyond: whole squares */
    b->columns = fc_part(r, "columns", times(dots, round_up(d->y.part, l->lanes)), l->size);
    b->dot_at = fc_part(r, "dots in out", dots, sizeof *b->dot_at);
    b->panel = fc_part(r, "panels", d->vectors, sizeof *b->panel);
}

static void across_lay_tables(across *d, fc_room *r)
{
    const ptrdiff_t outputs = d->outputs + d->dots, entries = times(outputs, d->y.part);
    d->a_at = fc_part(r, "taps in x", entries, sizeof *d->a_at);
    d->b_at = fc_part(r, "taps in weights", entries, sizeof *d->b_at);
    d->at = fc_part(r, "first taps", outputs, sizeof *d->at);
    d->taps = fc_part(r, "taps of outputs", outputs, sizeof *d->taps);
    d->spoilt = fc_part(r, "spoilt", 1, sizeof *d->spoilt);
}

/* Bytes from the first element of a plane of x to that of an output */
static ptrdiff_t across_pixel(const across *d, ptrdiff_t o)
{
    const fc_axis *rows = &d->l->axis[ROWS], *cols = &d->l->axis[COLS];
    return o / cols->out * rows->stride * rows->x_step + o % cols->out * cols->stride * cols->x_step;
}

/* Of the taps of every output: where they lie from its element of x on, and among turned weights, or in the column of a dot. Outputs
 * with the taps of one before share its entries. */
static void across_tabulate(const across *d)
{
    const layer *l = d->l;
    const fc_axis *rows = &l->axis[ROWS], *cols = &l->axis[COLS];
    const int back = l->g->gradient;
    ptrdiff_t n = 0, r, r_end, c, c_end;
    for (ptrdiff_t o = 0; o < d->outputs + d->dots; o++) {
        const ptrdiff_t begin = n, width = o < d->outputs ? across_width(d) : 1;
        across_taps(rows, o / cols->out, &r, &r_end);
        across_taps(cols, o % cols->out, &c, &c_end);
        d->taps[o] = (r_end - r) * (c_end - c);
        d->at[o] = begin;
        for (ptrdiff_t ch = 0; ch < d->y.part_channels; ch++)
            for (ptrdiff_t a = r; a < r_end; a++)
                for (ptrdiff_t b = c; b < c_end; b++, n++) {
                    const ptrdiff_t tap = a * cols->k + b;
                    d->a_at[n] = (ch * l->g->x_channel + (a * rows->dilation - rows->lead) * rows->x_step +
                                  (b * cols->dilation - cols->lead) * cols->x_step) /
                                 l->size;
                    d->b_at[n] = (ch * l->taps + (back ? l->taps - 1 - tap : tap)) * width;
                }
        for (ptrdiff_t before = o - 1; before >= 0 && n > begin && o < d->outputs; before--)
            if (d->taps[before] == d->taps[o] &&
                memcmp(&d->b_at[d->at[before]], &d->b_at[begin], (size_t)(n - begin) * sizeof *d->b_at) == 0)
                n = begin, d->at[o] = d->at[before];
    }
}

/* ---- one call ---------------------------------------------------------------------------------- */

/* Step 1: `kernels` of them, from w on. Returns whether they are finite. */
static int across_turn(const across *d, const chunk *b, const char *w, ptrdiff_t kernels, ptrdiff_t channels)
{
    const layer *l = d->l;
    const ptrdiff_t size = l->size, row = l->w_row * size, width = across_width(d);
    for (ptrdiff_t k = 0; k < kernels; k += l->lanes)
        fc_turn(l, b->w + k * size, l->taps, width, w + k * row, row, l->w_channel * size, size, channels, l->taps,
                min(kernels - k, l->lanes));
    return l->op->finite(b->w, channels * l->taps * width);
}

/* What sums begin with: +0 if that is a zero, as if zeros were added */
static void across_begin(const across *d, const chunk *b, const char *bias, ptrdiff_t kernels)
{
    const layer *l = d->l;
    const ptrdiff_t size = l->size, pixel = l->lanes * size, pixels = d->planes * d->outputs;
    for (ptrdiff_t v = 0; v * l->lanes < kernels; v++) {
        char *to = b->sums + v * across_sums(d) * size;
        memset(to, 0, (size_t)pixel);
        if (bias)
            l->op->add(to, to, bias + v * pixel, min(kernels - v * l->lanes, l->lanes));
        for (ptrdiff_t i = 1; i < pixels; i++)
            memcpy(to + i * pixel, to, (size_t)pixel);
    }
}

/* Of a part of the channels, which begins at x and w: those of `kernels` kernels, whose results lie from out on. m: of the part */
static void across_dot(const across *d, const chunk *b, const char *x, const char *w, const char *bias, char *out,
                       ptrdiff_t kernels, const fc_gemm *m, ptrdiff_t channels)
{
    const layer *l = d->l;
    const ptrdiff_t size = l->size, volume = d->outputs + d->dots, pitch = round_up(d->y.part, l->lanes);
    ptrdiff_t n = 0;
    for (ptrdiff_t p = 0; p < m->rows; p++)
        for (ptrdiff_t o = d->outputs; o < volume; o++, n++) {
            const char *from = x + p * l->g->x_image + across_pixel(d, o);
            const ptrdiff_t *a = d->a_at + d->at[o], *at = d->b_at + d->at[o];
            char *to = b->columns + n * pitch * size;
            b->dot_at[n] = p * l->g->groups * l->kernels * volume + o;
            if (l->g->type == FC_F32)
                for (ptrdiff_t i = 0; i < channels * d->taps[o]; i++)
                    ((float *)(void *)to)[at[i]] = ((const float *)(const void *)from)[a[i]];
            else
                for (ptrdiff_t i = 0; i < channels * d->taps[o]; i++)
                    ((double *)(void *)to)[at[i]] = ((const double *)(const void *)from)[a[i]];
        }
    const fc_dot dots = {.a = w,
                         .b = b->columns,
                         .bias = bias,
                         .c = out,
                         .as = l->w_row,
                         .bs = pitch,
                         .cs = volume,
                         .rows = kernels,
                         .cols = n,
                         .depth = channels * l->taps,
                         .part = d->y.part,
                         .at = b->dot_at,
                         .add = m->add,
                         .clamp = m->clamp,
                         .low = m->low,
                         .high = m->high};
    l->op->dot(&dots);
}

/* Step 3 */
static void across_place(const across *d, const chunk *b, char *out, ptrdiff_t planes, ptrdiff_t kernels)
{
    const layer *l = d->l;
    const ptrdiff_t size = l->size, wide = l->axis[COLS].out, volume = l->axis[ROWS].out * wide;
    for (ptrdiff_t p = 0; p < planes; p++, out += l->g->groups * l->kernels * volume * size) {
        for (ptrdiff_t k = 0; k < kernels; k += l->lanes)
            l->op->lanes_out(out + k * volume * size, volume, 1,
                             b->sums + (k / l->lanes * across_sums(d) + p * d->outputs * l->lanes) * size, d->outputs,
                             min(kernels - k, l->lanes), 0);
        if (fc_finishes(l->g))
            fc_finish(l, out, volume, out, volume, kernels, volume);
    }
}

/* index counts (planes, group, kernels) */
static void across_chunk(void *context, ptrdiff_t index, int slot)
{
    const across *d = context;
    const layer *l = d->l;
    const fc_conv *g = l->g;
    const fc_axis *rows = &l->axis[ROWS], *cols = &l->axis[COLS];
    const ptrdiff_t size = l->size, sets = parts_of(l->kernels, across_width(d)), volume = rows->out * cols->out;
    const ptrdiff_t first = index % sets * across_width(d), kernels = min(l->kernels - first, across_width(d));
    const ptrdiff_t group = index / sets % g->groups, plane = index / sets / g->groups * d->planes;
    const ptrdiff_t planes = min(l->planes - plane, d->planes), kernel = group * l->kernels + first;
    chunk b = {0};
    fc_room room = fc_room_at(d->scratch, d->thread_bytes, slot);
    across_lay_parts(d, &room, &b);
    const ptrdiff_t vectors = parts_of(kernels, l->lanes), widest = l->fc->cols_of[even_part(planes, l->fc->rows)];
    fc_panel *end = b.panel;
    int n = 0;
    for (ptrdiff_t v = 0; v < vectors; v++)
        end = add_vector(end, &n, vectors - v, widest, v * l->lanes, v * across_sums(d), l->lanes, l->lanes);
    const char *x = g->x + plane * g->x_image + group * l->channels * g->x_channel,
               *bias = g->bias ? g->bias + kernel * size : NULL;
    const char *w = g->w + (group * l->w_group + first * l->w_row) * size;
    char *out = g->out + (plane * g->groups * l->kernels + kernel) * volume * size;
    fc_gemm m = {.b = b.w,
                 .as = g->x_image / size,
                 .cs = d->outputs * l->lanes,
                 .rows = planes,
                 .panels = end - b.panel,
                 .panel = b.panel,
                 .low = g->low,
                 .high = g->high};
    across_begin(d, &b, bias, kernels);
    if (vectors < d->vectors) /* whether weights are finite is asked of all that lies there */
        memset(b.w, 0, (size_t)(d->y.part * across_width(d) * size));
    memset(b.columns, 0, (size_t)(planes * d->dots * round_up(d->y.part, l->lanes) * size));
    for (ptrdiff_t c = 0, channels; c < l->channels && !atomic_load_explicit(d->spoilt, memory_order_relaxed); c += channels) {
        channels = min(d->y.part_channels, l->channels - c);
        if (!across_turn(d, &b, w, kernels, channels))
            atomic_store_explicit(d->spoilt, 1, memory_order_relaxed);
        m.clamp = g->clamp && c + channels == l->channels;
        m.add = c > 0;
        if (d->dots)
            across_dot(d, &b, x, w, bias, out, kernels, &m, channels);
        m.add = 1;
        for (ptrdiff_t o = 0; o < d->outputs; o++) {
            m.a = x + across_pixel(d, o);
            m.a_at = d->a_at + d->at[o], m.b_at = d->b_at + d->at[o];
            m.depth = channels * d->taps[o];
            m.c = b.sums + o * l->lanes * size;
            l->op->gemm(&m);
        }
        x += channels * g->x_channel, w += channels * l->w_channel * size;
    }
    across_place(d, &b, out, planes, kernels);
    fc_close(&room);
}

int fc_across_run(const layer *l)
{
    const fc_conv *g = l->g;
    across d;
    if (!across_plan(&d, l))
        return 1;
    const ptrdiff_t chunks = parts_of(l->planes, d.planes) * g->groups * parts_of(l->kernels, across_width(&d));
    const double products = (double)(l->planes * g->groups * l->kernels) * (double)l->channels * across_met(&l->axis[ROWS]) *
                            across_met(&l->axis[COLS]);
    const int threads = (int)min(
        fc_threads_for(fc_time_us(RATE_PRODUCTS, products * (double)l->size, l->fc->vector_bytes, 0), g->threads), chunks);
    fc_room parts = {0}, tables = {0};
    across_lay_parts(&d, &parts, &(chunk){0});
    d.thread_bytes = parts.bytes;
    across_lay_tables(&d, &tables);
    if (g->plan) {
        *g->plan = (fc_conv_plan){FC_PRODUCTS, threads, chunks, d.y.part};
        return 0;
    }
    char *memory = fc_borrow_rooms(&tables, threads, parts.bytes, &d.scratch);
    if (memory == NULL)
        return -1;
    across_lay_tables(&d, &tables);
    across_tabulate(&d);
    atomic_init(d.spoilt, 0);
    fc_pool_run(threads, chunks, across_chunk, &d);
    const int spoilt = atomic_load(d.spoilt);
    fc_close(&tables);
    fc_return(memory);
    return spoilt;
}
