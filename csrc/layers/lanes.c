/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Layers with one channel a group and many groups: vectors run across groups (lanes_tmpl.h).
 *
 *   1. The rows of x that a block of outputs sees are turned into pixels of VLEN groups (pack.c).
 *   2. For every row of outputs a table says which rows of taps meet which rows of pixels. Under zero padding the rows
 *      outside x are left out, unless a weight is not finite: then they are multiplied by a row of zeros.
 *   3. A few rows of outputs at a time are computed and turned back into planes, while they are in L1.
 *
 * In a data gradient of a layer with a stride, x (there: the gradient of its output) is spread: between the columns of a row
 * are pixels of zeros, between its rows are rows that the table leaves out.
 *
 * With m kernels a group, steps 2 and 3 are done m times. Pixels of a block stay in L2. Chunks are some groups of a block;
 * every output is computed alone, so the bits depend on nothing but its taps. Many taps are summed in parts.
 */
#include "layers/layer.h"
#include <string.h>

typedef struct {
    const layer *l;
    packing pack;
    int bias_first;
    ptrdiff_t strip;            /* rows of outputs */
    ptrdiff_t sets_chunk, sets; /* sets of VLEN groups: of a chunk, of all */
    ptrdiff_t wide, tall;       /* columns and rows of taps of a part */
    ptrdiff_t thread_bytes;
    char *scratch;
} lanes;

/* What a thread works with: scratch, and the block */
typedef struct {
    char *pixels, *w, *bias, *out, *add;
    ptrdiff_t *first;
    fc_tap_row *tap;
    fc_run *run;
    fc_runs runs;
    ptrdiff_t plane;
    area area;
} block;

/* Returns whether a block fits. */
static int lanes_choose_blocks(lanes *d)
{
    const layer *l = d->l;
    const fc_axis *depth = &l->axis[DEPTH], *rows = &l->axis[ROWS], *cols = &l->axis[COLS];
    const ptrdiff_t largest = LANES_LARGEST / (l->lanes * l->size), least = reach(rows, min(rows->out, 8));
    ptrdiff_t wide, tall, pitch, fit;
    split columns;
    if (least > largest || depth->k > largest)
        return 0;
    /* Where channels come last, what all sets see of a block is in the lines that one sees: these stay in L2 */
    const ptrdiff_t most = LANES_BLOCK / (l->g->last ? d->sets : 1);
    for (ptrdiff_t pieces = 1;; pieces *= 2) {
        wide = parts_of(cols->out, min(pieces, cols->out));
        columns = fc_split_axis(cols, wide, 1, SHARED);
        if (wide == cols->out && l->spread[COLS] == 1) /* whole rows of x, from one to the next */
            columns.count = max(columns.count, cols->lead + cols->n);
        pitch = columns.count | 1; /* odd: rows do not share L1 sets */
        fit = most / (l->lanes * l->size) / depth->k / pitch;
        if (fit >= least || wide <= LANES_NARROW)
            break;
    }
    fit = max(fit, least);
    tall = (fit - reach(rows, 1)) / rows->stride + 1;
    tall = even_part(rows->out, clamp(min(tall, LANES_TAP_ROWS / (depth->k * rows->k)), 1, rows->out));
    d->pack = fc_lay_out(l, fc_split_axis(rows, tall, 1, SHARED), columns, pitch, l->lanes);
    d->strip = l->lanes;
    while (d->strip > 1 && d->strip / 2 * wide % l->lanes == 0)
        d->strip /= 2; /* whole vectors of outputs */
    d->strip = min(d->strip * parts_of(LANES_STRIP, d->strip * wide), tall);
    return d->pack.plane <= largest;
}

/* Step 2 */
static void lanes_tabulate(const lanes *d, const block *b)
{
    const layer *l = d->l;
    const fc_axis *depth = &l->axis[DEPTH], *rows = &l->axis[ROWS];
    fc_tap_row *tap = b->tap;
    for (ptrdiff_t i = 0; i < b->area.rows; i++) {
        b->first[i] = tap - b->tap;
        for (ptrdiff_t k = 0, w = 0; k < depth->k; k++) {
            ptrdiff_t z = fc_source(l, DEPTH, b->plane % depth->out * depth->stride - depth->lead + k * depth->dilation);
            for (ptrdiff_t r = 0; r < rows->k; r++, w += l->axis[COLS].k * l->lanes) {
                ptrdiff_t line = i * rows->stride + r * rows->dilation, x = k * d->pack.depth_set + line * d->pack.pitch;
                ptrdiff_t row = b->area.row * rows->stride - rows->lead + line;
                if (!d->pack.leaves_out || (z >= 0 && fc_source(l, ROWS, row) >= 0))
                    *tap++ = (fc_tap_row){x * l->lanes, w};
            }
        }
    }
    b->first[b->area.rows] = tap - b->tap;
}

/* ---- one call ---------------------------------------------------------------------------------- */

static void lanes_lay_parts(const lanes *d, fc_room *r, block *b)
{
    const layer *l = d->l;
    const ptrdiff_t tall = d->pack.rows.block, outputs = times(d->strip, d->pack.cols.block);
    b->pixels = fc_part(r, "pixels", times(d->pack.plane, l->lanes), l->size);
    b->run = fc_part(r, "runs", d->pack.most_runs, sizeof *b->run);
    b->w = fc_part(r, "weights", times(l->taps, l->lanes), l->size);
    b->bias = fc_part(r, "bias", 1, LINE);
    b->out = fc_part(r, "out", times(plus(outputs, l->lanes), l->lanes), l->size); /* whole squares */
    b->add = fc_part(r, "what is added", l->g->halves && l->g->add ? times(outputs, l->lanes) : 0, l->size);
    b->tap = fc_part(r, "rows of taps", times(tall, times(l->axis[DEPTH].k, l->axis[ROWS].k)), sizeof *b->tap);
    b->first = fc_part(r, "first rows of taps", tall + 1, sizeof *b->first);
}

/* The sums of some rows of outputs, part by part of the taps */
static void lanes_sum(const lanes *d, const block *b, fc_lanes k)
{
    const layer *l = d->l;
    const ptrdiff_t rows = l->axis[DEPTH].k * l->axis[ROWS].k, cols = l->axis[COLS].k;
    k.most = d->tall;
    for (; k.skip < rows; k.skip += k.most)
        for (ptrdiff_t t = 0; t < cols; t += d->wide) {
            int last = k.skip + k.most >= rows && t + d->wide >= cols;
            k.x = b->pixels + t * k.dilation * l->size;
            k.w = b->w + t * l->lanes * l->size;
            k.taps = min(d->wide, cols - t);
            k.bias = last ? b->bias : NULL;
            k.clamp = last && l->g->clamp;
            l->op->lanes_rows(&k);
            k.add = 1;
        }
}

/* n pixels of sums at `from` to their planes at `to`, or pixels. float16 is finished before, so that it is rounded once. */
static void lanes_deliver(const lanes *d, const block *b, char *to, ptrdiff_t channel, ptrdiff_t step, char *from, ptrdiff_t n,
                          ptrdiff_t used)
{
    const layer *l = d->l;
    const fc_conv *g = l->g;
    const ptrdiff_t all = n * l->lanes;
    const fc_finishing f = {from, from, g->add ? b->add : NULL, 1, all, all, all, g->activation, g->low, g->high};
    if (g->halves && g->add)
        l->op->lanes_in(b->add, 0, l->lanes, fc_added(g, to), channel, n, step, 1, n, used, 1);
    if (g->halves && fc_finishes(g))
        l->op->finish(&f);
    l->op->lanes_out(to, channel, step, from, n, used, g->halves);
}

/* Step 3, for kernel m of each of the groups from `group` on */
static void lanes_correlate(const lanes *d, const block *b, ptrdiff_t group, ptrdiff_t m, ptrdiff_t used)
{
    const layer *l = d->l;
    const fc_conv *g = l->g;
    const fc_axis *axis = l->axis;
    const area *a = &b->area;
    const ptrdiff_t kernel = group * g->kernels + m, taps = l->taps, size = l->size, wide = axis[COLS].out;
    const ptrdiff_t plane = axis[DEPTH].out * axis[ROWS].out * wide;
    l->op->lanes_in(b->w, 0, l->lanes, g->w + kernel * taps * size, g->kernels * taps, taps, 1, 1, taps, used, 0);
    if (g->bias)
        l->op->lanes_in(b->bias, 0, l->lanes, g->bias + kernel * size, g->kernels, 1, 1, 1, 1, used, 0);
    else
        memset(b->bias, 0, LINE);
    const ptrdiff_t image = b->plane / axis[DEPTH].out, z = b->plane % axis[DEPTH].out, all = g->groups * g->kernels;
    const ptrdiff_t channel = g->last ? 1 : g->kernels * plane, step = g->last ? all : 1;
    const int in_place = g->last && used == l->lanes && !g->halves;
    const ptrdiff_t strip = in_place ? a->rows : d->strip;
    char *to = g->out + (image * all * plane + (g->last ? kernel : kernel * plane)) * l->stored;
    to += (z * wide * axis[ROWS].out + a->row * wide + a->col) * step * l->stored;
    fc_lanes k = {.out = in_place ? to : b->out,
                  .cols = a->cols,
                  .out_row = in_place ? wide * step : a->cols * l->lanes,
                  .out_step = in_place ? step : l->lanes,
                  .bias_first = d->bias_first,
                  .step = axis[COLS].stride * l->lanes,
                  .dilation = axis[COLS].dilation * l->lanes,
                  .tap = b->tap,
                  .low = g->low,
                  .high = g->high};
    for (ptrdiff_t i = 0; i < a->rows; i += strip, to += strip * wide * step * l->stored) {
        k.first = b->first + i;
        k.rows = min(strip, a->rows - i);
        lanes_sum(d, b, k);
        const ptrdiff_t adjoin = a->cols == wide ? k.rows : 1; /* rows of out */
        for (ptrdiff_t r = 0; r < k.rows; r += adjoin) {
            char *rows = to + r * wide * step * l->stored;
            if (!in_place)
                lanes_deliver(d, b, rows, channel, step, b->out + r * a->cols * l->lanes * size, adjoin * a->cols, used);
            if (fc_finishes(g) && g->last && !g->halves)
                fc_finish(l, rows, step, rows, step, adjoin * a->cols, used);
            else if (fc_finishes(g) && !g->halves)
                fc_finish(l, rows, channel, rows, channel, used, adjoin * a->cols);
        }
    }
}

/* Some sets of groups of a block: index counts (image and depth, rows, columns, sets) */
static void lanes_chunk(void *context, ptrdiff_t index, int slot)
{
    const lanes *d = context;
    const layer *l = d->l;
    const fc_conv *g = l->g;
    fc_room room = fc_room_at(d->scratch, d->thread_bytes, slot);
    block b = {0};
    lanes_lay_parts(d, &room, &b);
    ptrdiff_t from, sets = next_piece(&index, d->sets, d->sets_chunk, &from);
    b.area.cols = next_piece(&index, l->axis[COLS].out, d->pack.cols.block, &b.area.col);
    b.area.rows = next_piece(&index, l->axis[ROWS].out, d->pack.rows.block, &b.area.row);
    b.plane = index;
    b.runs = fc_plan_runs(&d->pack, b.run, b.plane, &b.area);
    lanes_tabulate(d, &b);
    for (ptrdiff_t set = from; set < from + sets; set++) {
        ptrdiff_t group = set * l->lanes, used = min(l->lanes, g->groups - group);
        fc_pack_pixels(&d->pack, b.pixels, g->x + group * g->x_channel, &b.runs, used, set == from);
        for (ptrdiff_t m = 0; m < g->kernels && !(set + m > from && fc_gives_up()); m++)
            lanes_correlate(d, &b, group, m, used);
    }
    fc_close(&room);
}

int fc_lanes_run(const layer *l, int bias_first)
{
    const fc_conv *g = l->g;
    const fc_axis *axis = l->axis;
    lanes d = {.l = l, .bias_first = bias_first, .sets = parts_of(g->groups, l->lanes)};
    if (!lanes_choose_blocks(&d))
        return 1;
    /* (A bias of -0 that is met by nothing but zeros becomes 0 where these are summed.) */
    d.pack.leaves_out = !bias_first && l->op->finite(g->w, g->groups * g->kernels * l->taps);
    d.wide = even_part(axis[COLS].k, LONGEST_PART);
    d.tall = even_part(axis[DEPTH].k * axis[ROWS].k, LONGEST_PART / d.wide);
    fc_room parts = {0};
    lanes_lay_parts(&d, &parts, &(block){0});
    d.thread_bytes = parts.bytes;
    const ptrdiff_t tall = d.pack.rows.block, wide = d.pack.cols.block, outputs = tall * wide * g->kernels;
    double moved = (double)(outputs + d.pack.rows.count * d.pack.pitch) * (double)l->lanes; /* elements */
    double set_us = fc_time_us(RATE_LANES, (double)(outputs * l->taps) * l->fc->vector_bytes, l->fc->vector_bytes, moved);
    ptrdiff_t places = l->planes * parts_of(axis[ROWS].out, tall) * parts_of(axis[COLS].out, wide);
    int threads = fc_threads_for(set_us * (double)(d.sets * places), g->threads);
    d.sets_chunk = clamp((ptrdiff_t)(LAYER_CHUNK_US / set_us), 1, d.sets);
    d.scratch = fc_borrow((size_t)times(threads, d.thread_bytes));
    if (d.scratch == NULL)
        return -1;
    const ptrdiff_t chunks = places * parts_of(d.sets, d.sets_chunk);
    fc_run_or_plan(g, (fc_conv_plan){FC_LANES, threads, chunks, d.wide * d.tall}, lanes_chunk, &d);
    fc_return(d.scratch);
    return 0;
}
