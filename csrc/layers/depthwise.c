/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The driver of layers with one channel a group: every plane of outputs slides its own kernel over one plane of x (K3).
 *
 * Blocks of rows are packed (layer.h), which pads them and takes strides apart, and stay in L1. With a row stride of one,
 * the sliding kernel meets every row once for all its taps; else every tap is a column of one row. Layers of many groups,
 * but for those of long rows and no stride, are left to lanes.c.
 */
#include "layers/layer.h"
#include <string.h>

enum {
    BLOCK = 20 << 10,    /* bytes of packed rows: half of L1 */
    MOST = 1 << 20,      /* or more, if rows between distant taps are packed, too */
    COLUMNS = 1024,      /* of a block */
    CHUNK_US = 20,       /* work of one chunk, at least */
    MANY = 8,            /* kernels a group: of short rows, matrix products are then up to five times as fast */
};

typedef struct {
    layer l;
    fc_corr_fn *corr;
    fc_taps taps;
    ptrdiff_t dilation; /* rows between tap rows, where all of them are in one call of corr; 0: taps are columns */
    ptrdiff_t kernels_chunk;
    ptrdiff_t tall, wide; /* tap rows and columns of a part */
} depthwise;

/* ---- packed rows ------------------------------------------------------------------------------- */

static void choose_blocks(depthwise *d)
{
    layer *l = &d->l;
    const fc_axis *axis = l->axis;
    ptrdiff_t pieces = parts_of(axis[COLS].out, COLUMNS);
    ptrdiff_t wide = min(parts_of(parts_of(axis[COLS].out, pieces), l->lanes) * l->lanes, axis[COLS].out);
    l->cols = fc_split_axis(&axis[COLS], wide, FEWER);
    ptrdiff_t row_bytes = axis[DEPTH].k * l->cols.sets * l->cols.count * l->size;
    ptrdiff_t fit = BLOCK / row_bytes - (axis[ROWS].k - 1) * axis[ROWS].dilation;
    ptrdiff_t tall = clamp(fit / axis[ROWS].stride, min(16, axis[ROWS].out), axis[ROWS].out);
    tall = parts_of(axis[ROWS].out, parts_of(axis[ROWS].out, tall)); /* as even as can be */
    int near = (axis[ROWS].k - 1) * axis[ROWS].dilation <= MOST / row_bytes; /* tap rows */
    l->rows = fc_split_axis(&axis[ROWS], tall, axis[ROWS].stride == 1 && near ? SHARED : FEWER);
    fc_lay_out(l, parts_of(l->cols.count, l->lanes) * l->lanes);
    l->blocks[1] = parts_of(axis[ROWS].out, tall);
    l->blocks[2] = parts_of(axis[COLS].out, wide);
}

/* The taps that are summed in one go, from tap row `row` and column `t` on. k: the kernel as lay_taps lays it */
static fc_taps part_of(const depthwise *d, const char *k, ptrdiff_t row, ptrdiff_t t)
{
    fc_taps part = {.h = min(d->tall, d->taps.h - row), .full = min(d->wide, d->taps.full - t), .at = d->taps.at + t};
    part.k = k + (row * d->taps.full + t * part.h) * d->l.size;
    return part;
}

/* The kernel part by part, column by column of each, as corr takes it */
static void lay_taps(const depthwise *d, char *to, const char *w)
{
    const layer *l = &d->l;
    const ptrdiff_t h = d->taps.h, columns = d->taps.full, cols = l->axis[COLS].k;
    for (ptrdiff_t row = 0; row < h; row += d->tall)
        for (ptrdiff_t t = 0; t < columns; t++)
            for (ptrdiff_t a = row; a < min(row + d->tall, h); a++, to += l->size) {
                ptrdiff_t tap = d->dilation ? t / cols * h * cols + a * cols + t % cols : t;
                memcpy(to, w + tap * l->size, (size_t)l->size);
            }
}

/* start: what a sum begins with; sums: room for those of a part */
static void slide(const depthwise *d, const char *packed, const char *k, double start, char *sums, char *out, ptrdiff_t rows,
                  ptrdiff_t cols)
{
    const layer *l = &d->l;
    const ptrdiff_t wide = l->axis[COLS].out, images = max(d->dilation, 1), size = l->size;
    fc_add_fn *add = l->g->type == FC_F32 ? l->fc->add_f32 : l->fc->add_f64;
    for (ptrdiff_t row = 0; row < d->taps.h; row += d->tall)
        for (ptrdiff_t t = 0; t < d->taps.full; t += d->wide) {
            fc_taps part = part_of(d, k, row, t);
            const int first = row + t == 0;
            const ptrdiff_t pitch = first ? wide : cols;
            part.start = first ? start : 0;
            for (ptrdiff_t i = 0; i < images && i < rows; i++)
                d->corr(packed + (row * images + i) * l->pitch * size, images * l->pitch, &part,
                        (first ? out : sums) + i * pitch * size, images * pitch, parts_of(rows - i, images), cols);
            for (ptrdiff_t i = 0; i < rows && !first; i++)
                add(out + i * wide * size, out + i * wide * size, sums + i * cols * size, cols);
        }
    if (l->g->clamp)
        for (ptrdiff_t i = 0; i < rows; i++)
            (l->g->type == FC_F32 ? l->fc->clamp_f32 : l->fc->clamp_f64)(out + i * wide * l->size, cols, l->g->low, l->g->high);
}

/* Whether lanes.c is faster, as measured: a lane for each group pays if enough of them are used. How many are enough
 * depends on what the sliding kernel makes of the planes: it likes long rows, and no strides. */
static int suit_lanes(const layer *l)
{
    const fc_axis *rows = &l->axis[ROWS], *cols = &l->axis[COLS];
    ptrdiff_t groups = l->g->groups, all = parts_of(groups, l->lanes) * l->lanes;
    if (rows->stride > 1 || cols->stride > 1)
        return groups >= all / 4;
    ptrdiff_t longest = 24 + 8 * cols->k;
    return cols->out < 2 * l->lanes ? groups >= all / 2 : cols->out <= longest && groups >= all / 4 * 3;
}

/* ---- one call ---------------------------------------------------------------------------------- */

/* One thread's */
typedef struct {
    char *packed, *k, *sums; /* sums: of a part, if there are several */
    fc_run *run;
} scratch_of_planes;

static void lay_parts(const depthwise *d, fc_room *r, scratch_of_planes *s)
{
    const layer *l = &d->l;
    s->packed = fc_part(r, "packed", plus(l->plane, 2 * l->lanes), l->size); /* read beyond */
    s->run = fc_part(r, "runs", l->most_runs, sizeof *s->run);
    s->k = fc_part(r, "taps", l->taps, l->size);
    if (d->wide < d->taps.full || d->tall < d->taps.h)
        s->sums = fc_part(r, "sums", times(l->rows.block, l->cols.block), l->size);
}

/* Planes of outputs of some kernels of one plane: index counts (image and depth, kernels) */
static void chunk(void *context, ptrdiff_t index, int slot)
{
    const depthwise *d = context;
    const layer *l = &d->l;
    const fc_conv *g = l->g;
    const fc_axis *axis = l->axis;
    ptrdiff_t all = g->groups * g->kernels, area = axis[ROWS].out * axis[COLS].out, chunks = parts_of(all, d->kernels_chunk);
    ptrdiff_t plane = index / chunks, from = index % chunks * d->kernels_chunk, to = min(from + d->kernels_chunk, all);
    ptrdiff_t image = plane / axis[DEPTH].out, z = plane % axis[DEPTH].out, of_out = axis[DEPTH].out * area;
    const char *x = g->x + from / g->kernels * g->x_channel, *bias = g->bias ? g->bias + from * l->size : NULL;
    const char *w = g->w + from * l->taps * l->size;
    char *out = g->out + ((image * all + from) * of_out + z * area) * l->size;
    scratch_of_planes s = {0};
    fc_room room = fc_room_at(l->scratch, l->thread_bytes, slot);
    lay_parts(d, &room, &s);
    double start = 0;
    for (ptrdiff_t m = from; m < to; m++, w += l->taps * l->size, out += of_out * l->size) {
        lay_taps(d, s.k, w);
        if (bias)
            start = g->type == FC_F32 ? (double)((const float *)(const void *)bias)[m - from]
                                      : ((const double *)(const void *)bias)[m - from];
        for (ptrdiff_t row = 0; row < axis[ROWS].out; row += l->rows.block)
            for (ptrdiff_t col = 0; col < axis[COLS].out; col += l->cols.block) {
                if (l->blocks[1] * l->blocks[2] > 1 || m == from || m % g->kernels == 0) {
                    fc_runs runs = fc_plan_runs(l, s.run, plane, row, col);
                    fc_pack_channel(l, s.packed, x, &runs);
                }
                slide(d, s.packed, s.k, start, s.sums, out + (row * axis[COLS].out + col) * l->size,
                      min(l->rows.block, axis[ROWS].out - row), min(l->cols.block, axis[COLS].out - col));
            }
        x += (m + 1) % g->kernels == 0 ? g->x_channel : 0;
    }
    fc_close(&room);
}

int fc_depthwise_run(layer *given)
{
    if (given->g->kernels >= MANY && given->axis[COLS].out < 2 * given->lanes)
        return 1;
    if (suit_lanes(given)) {
        int status = fc_lanes_run(given);
        if (status <= 0)
            return status;
    }
    depthwise d = {.l = *given};
    layer *l = &d.l;
    const fc_conv *g = l->g;
    const fc_axis *axis = l->axis;
    int is_f32 = g->type == FC_F32;
    d.corr = is_f32 ? l->fc->corr_f32 : l->fc->corr_f64;
    ptrdiff_t all = g->groups * g->kernels, area = axis[ROWS].out * axis[COLS].out;
    choose_blocks(&d);
    d.dilation = axis[ROWS].stride == 1 && !l->rows.apart ? axis[ROWS].dilation : 0;
    d.taps.h = d.dilation ? axis[ROWS].k : 1;
    d.taps.full = l->taps / d.taps.h;
    d.wide = even_part(d.taps.full, LONGEST_PART / min(d.taps.h, LONGEST_PART));
    d.tall = even_part(d.taps.h, LONGEST_PART);
    fc_room parts = {0}, tables = {0};
    lay_parts(&d, &parts, &(scratch_of_planes){0});
    l->thread_bytes = parts.bytes;
    double plane_us = (double)(area * l->taps * l->size) / 7e3 / l->fc->vector_bytes + 2 * (double)(area * l->size) / 3e4;
    int threads = fc_threads_for(plane_us * (double)(all * l->planes), g->threads);
    d.kernels_chunk = clamp((ptrdiff_t)(CHUNK_US / plane_us), 1, all);
    fc_part(&tables, "taps in packed", l->taps, sizeof *l->at);
    char *memory = fc_borrow((size_t)plus(tables.bytes, times(threads, parts.bytes)));
    if (memory == NULL)
        return -1;
    l->scratch = memory + tables.bytes;
    tables = (fc_room){.block = memory};
    l->at = fc_part(&tables, "taps in packed", l->taps, sizeof *l->at);
    phase whole;
    for (int i = DEPTH; i <= COLS; i++)
        whole.axis[i] = (axis_phase){.taps = axis[i].k, .tap_step = 1, .at_step = 1};
    fc_tabulate(l, &whole, 1, 0, l->at);
    if (d.dilation) /* the columns of the first tap row */
        for (ptrdiff_t z = 0, cols = axis[COLS].k; z < axis[DEPTH].k; z++)
            memmove(l->at + z * cols, l->at + z * cols * axis[ROWS].k, (size_t)cols * sizeof(ptrdiff_t));
    d.taps.at = l->at;
    fc_run_or_plan(g, (fc_conv_plan){FC_SLIDES, threads, l->planes * parts_of(all, d.kernels_chunk), d.wide * d.tall}, chunk, &d);
    fc_close(&tables);
    fc_return(memory);
    return 0;
}

/* Without a stride, a data gradient is a layer with the kernel flipped; with one, of an x that is spread. */
int fc_depthwise_input_run(const layer *given)
{
    const fc_conv *g = given->g;
    if (g->kernels > 1)
        return 1;
    fc_conv flipped = *g;
    layer l = {.g = &flipped, .fc = given->fc};
    flipped.gradient = 0;
    for (int i = DEPTH; i <= COLS; i++) {
        const fc_axis *a = &g->axis[i];
        flipped.axis[i] = (fc_axis){.n = a->out, .k = a->k, .out = a->n, .lead = (a->k - 1) * a->dilation - a->lead, .stride = a->stride,
                                    .dilation = a->dilation, .boundary = FC_CONSTANT, .x_step = a->x_step};
    }
    fc_describe(&l);
    int is_spread = 0;
    for (int i = DEPTH; i <= COLS; i++) {
        is_spread |= l.axis[i].stride > 1;
        l.spread[i] = l.axis[i].stride;
        l.axis[i].stride = 1;
    }
    if (is_spread && g->groups < parts_of(g->groups, l.lanes) * l.lanes / 4)
        return 1;
    char *w = fc_borrow((size_t)times(times(g->groups, l.taps), l.size));
    if (w == NULL)
        return -1;
    for (ptrdiff_t i = 0; i < g->groups; i++)
        fc_copy_row(w + i * l.taps * l.size, l.size, g->w + ((i + 1) * l.taps - 1) * l.size, -l.size, l.taps, l.size);
    flipped.w = w;
    int status = is_spread ? fc_lanes_run(&l) : fc_depthwise_run(&l);
    fc_return(w);
    return status;
}
