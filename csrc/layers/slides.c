/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Layers with one channel a group, plane by plane: every plane of outputs slides its own kernel over one plane of x (K3).
 *
 * Blocks of rows are packed (layer.h), which pads them and takes strides apart, and stay in L1. With a row stride of one,
 * the sliding kernel meets every row once for all its taps; else every tap is a column of one row.
 */
#include "layers/layer.h"
#include <string.h>

typedef struct {
    const layer *l;
    packing pack;
    fc_taps taps;
    ptrdiff_t dilation; /* rows between tap rows, where all of them are in one call of corr; 0: taps are columns */
    ptrdiff_t kernels_chunk;
    ptrdiff_t tall, wide; /* tap rows and columns of a part */
    ptrdiff_t thread_bytes;
    char *scratch;
} slides;

/* ---- packed rows ------------------------------------------------------------------------------- */

/* Blocks of rows of x that stay in L1 while all kernels of the channel slide over them. Whether the rows of a column of taps are
 * shared decides how taps are cut into parts, and so bits: it depends on shapes, and on nothing else. */
static void slides_choose_blocks(slides *d)
{
    const layer *l = d->l;
    const fc_axis *axis = l->axis, *rows = &axis[ROWS], *cols = &axis[COLS];
    ptrdiff_t most = clamp(SLIDES_MOST / times(cols->stride, l->size), l->lanes, SLIDES_COLUMNS); /* of far strides: fewer */
    ptrdiff_t wide = min(round_up(even_part(cols->out, most), l->lanes), cols->out);
    split columns = fc_split_axis(cols, wide, cols->stride, FEWER);
    ptrdiff_t row_bytes = axis[DEPTH].k * columns.sets * columns.count * l->size, apart = (rows->k - 1) * rows->dilation;
    ptrdiff_t tall =
        even_part(rows->out, clamp((SLIDES_BLOCK / row_bytes - apart) / rows->stride, min(16, rows->out), rows->out));
    int near = apart <= SLIDES_MOST / row_bytes; /* tap rows */
    split bands = fc_split_axis(rows, tall, rows->stride, rows->stride == 1 && near ? SHARED : FEWER);
    d->pack = fc_lay_out(l, bands, columns, round_up(columns.count, l->lanes), 0);
}

/* The taps that are summed in one go, from tap row `row` and column `t` on. k: the kernel as slides_lay_taps lays it */
static fc_taps slides_part(const slides *d, const char *k, ptrdiff_t row, ptrdiff_t t)
{
    fc_taps part = {.h = min(d->tall, d->taps.h - row), .full = min(d->wide, d->taps.full - t), .at = d->taps.at + t};
    part.k = k + (row * d->taps.full + t * part.h) * d->l->size;
    return part;
}

/* The kernel part by part, column by column of each, as corr takes it */
static void slides_lay_taps(const slides *d, char *to, const char *w)
{
    const layer *l = d->l;
    const ptrdiff_t h = d->taps.h, columns = d->taps.full, cols = l->axis[COLS].k;
    for (ptrdiff_t row = 0; row < h; row += d->tall)
        for (ptrdiff_t t = 0; t < columns; t++)
            for (ptrdiff_t a = row; a < min(row + d->tall, h); a++, to += l->size) {
                ptrdiff_t tap = d->dilation ? t / cols * h * cols + a * cols + t % cols : t;
                memcpy(to, w + tap * l->size, (size_t)l->size);
            }
}

/* One thread's */
typedef struct {
    char *packed, *k, *sums, *out; /* sums: of a part, if there are several; out: all of them, if what is stored is float16 */
    fc_run *run;
} planes;

/* start: what a sum begins with; out: rows of sums, `wide` elements apart */
static void slides_sum(const slides *d, const planes *s, double start, char *out, ptrdiff_t wide, ptrdiff_t rows,
                       ptrdiff_t cols)
{
    const layer *l = d->l;
    const ptrdiff_t images = max(d->dilation, 1), size = l->size;
    for (ptrdiff_t row = 0; row < d->taps.h; row += d->tall)
        for (ptrdiff_t t = 0; t < d->taps.full && !(row + t > 0 && fc_gives_up()); t += d->wide) {
            fc_taps part = slides_part(d, s->k, row, t);
            const int first = row + t == 0;
            const ptrdiff_t pitch = first ? wide : cols;
            part.start = first ? start : 0;
            for (ptrdiff_t i = 0; i < images && i < rows; i++)
                l->op->corr(s->packed + (row * images + i) * d->pack.pitch * size, images * d->pack.pitch, &part,
                            (first ? out : s->sums) + i * pitch * size, images * pitch, parts_of(rows - i, images), cols);
            for (ptrdiff_t i = 0; i < rows && !first; i++)
                l->op->add(out + i * wide * size, out + i * wide * size, s->sums + i * cols * size, cols);
        }
}

/* ---- one call ---------------------------------------------------------------------------------- */

static void slides_lay_parts(const slides *d, fc_room *r, planes *s)
{
    const layer *l = d->l;
    s->packed = fc_part(r, "packed", plus(d->pack.plane, 2 * l->lanes), l->size); /* read beyond */
    s->run = fc_part(r, "runs", d->pack.most_runs, sizeof *s->run);
    s->k = fc_part(r, "taps", l->taps, l->size);
    s->out = fc_part(r, "out", l->g->halves ? times(d->pack.rows.block, d->pack.cols.block) : 0, l->size);
    if (d->wide < d->taps.full || d->tall < d->taps.h)
        s->sums = fc_part(r, "sums", times(d->pack.rows.block, d->pack.cols.block), l->size);
}

/* Planes of outputs of some kernels of one plane: index counts (image and depth, kernels) */
static void slides_chunk(void *context, ptrdiff_t index, int slot)
{
    const slides *d = context;
    const layer *l = d->l;
    const fc_conv *g = l->g;
    const fc_axis *axis = l->axis;
    ptrdiff_t all = g->groups * g->kernels, flat = axis[ROWS].out * axis[COLS].out, chunks = parts_of(all, d->kernels_chunk);
    ptrdiff_t plane = index / chunks, from = index % chunks * d->kernels_chunk, to = min(from + d->kernels_chunk, all);
    ptrdiff_t image = plane / axis[DEPTH].out, z = plane % axis[DEPTH].out, of_out = axis[DEPTH].out * flat;
    const char *x = g->x + from / g->kernels * g->x_channel, *bias = g->bias ? g->bias + from * l->size : NULL;
    const char *w = g->w + from * l->taps * l->size;
    char *out = g->out + ((image * all + from) * of_out + z * flat) * l->stored;
    planes s = {0};
    fc_room room = fc_room_at(d->scratch, d->thread_bytes, slot);
    slides_lay_parts(d, &room, &s);
    const ptrdiff_t blocks = parts_of(axis[ROWS].out, d->pack.rows.block) * parts_of(axis[COLS].out, d->pack.cols.block);
    double start = 0;
    for (ptrdiff_t m = from; m < to; m++, w += l->taps * l->size, out += of_out * l->stored) {
        slides_lay_taps(d, s.k, w);
        if (bias)
            start = element_at(g->type, bias, m - from);
        for (ptrdiff_t i = 0; i < blocks && !(i > 0 && fc_gives_up()); i++) {
            ptrdiff_t left = i;
            area a;
            a.cols = next_piece(&left, axis[COLS].out, d->pack.cols.block, &a.col);
            a.rows = next_piece(&left, axis[ROWS].out, d->pack.rows.block, &a.row);
            if (blocks > 1 || m == from || m % g->kernels == 0) {
                fc_runs runs = fc_plan_runs(&d->pack, s.run, plane, &a);
                fc_pack_channel(&d->pack, s.packed, x, &runs);
            }
            char *place = out + (a.row * axis[COLS].out + a.col) * l->stored;
            const ptrdiff_t wide = g->halves ? a.cols : axis[COLS].out;
            slides_sum(d, &s, start, g->halves ? s.out : place, wide, a.rows, a.cols);
            if (g->halves)
                fc_store_halves(l, place, axis[COLS].out, s.out, wide, a.rows, a.cols);
            else if (g->clamp || fc_finishes(g))
                fc_finish(l, place, wide, place, wide, a.rows, a.cols);
        }
        x += (m + 1) % g->kernels == 0 ? g->x_channel : 0;
    }
    fc_close(&room);
}

int fc_slides_run(const layer *l)
{
    const fc_conv *g = l->g;
    const fc_axis *axis = l->axis;
    slides d = {.l = l};
    const ptrdiff_t all = g->groups * g->kernels, area = axis[ROWS].out * axis[COLS].out;
    slides_choose_blocks(&d);
    d.dilation = axis[ROWS].stride == 1 && !d.pack.rows.apart ? axis[ROWS].dilation : 0;
    d.taps.h = d.dilation ? axis[ROWS].k : 1;
    d.taps.full = l->taps / d.taps.h;
    d.wide = even_part(d.taps.full, LONGEST_PART / min(d.taps.h, LONGEST_PART));
    d.tall = even_part(d.taps.h, LONGEST_PART);
    fc_room parts = {0}, tables = {0};
    slides_lay_parts(&d, &parts, &(planes){0});
    d.thread_bytes = parts.bytes;
    double bytes = (double)(area * l->size);
    double plane_us = fc_time_us(RATE_SLIDES, (double)l->taps * bytes, l->fc->vector_bytes, 2 * bytes);
    int threads = fc_threads_for(plane_us * (double)(all * l->planes), g->threads);
    d.kernels_chunk = clamp((ptrdiff_t)(LAYER_CHUNK_US / plane_us), 1, all);
    fc_part(&tables, "taps in packed", l->taps, sizeof(ptrdiff_t));
    char *memory = fc_borrow_rooms(&tables, threads, parts.bytes, &d.scratch);
    if (memory == NULL)
        return -1;
    ptrdiff_t *at = fc_part(&tables, "taps in packed", l->taps, sizeof *at);
    phase whole;
    for (int i = DEPTH; i <= COLS; i++)
        whole.axis[i] = (axis_phase){.taps = axis[i].k, .tap_step = 1, .at_step = 1};
    fc_tabulate(&d.pack, &whole, 1, at, NULL);
    if (d.dilation) /* the columns of the first tap row */
        for (ptrdiff_t z = 0, cols = axis[COLS].k; z < axis[DEPTH].k; z++)
            memmove(at + z * cols, at + z * cols * axis[ROWS].k, (size_t)cols * sizeof *at);
    d.taps.at = at;
    const ptrdiff_t chunks = l->planes * parts_of(all, d.kernels_chunk);
    fc_run_or_plan(g, (fc_conv_plan){FC_SLIDES, threads, chunks, d.wide * d.tall}, slides_chunk, &d);
    fc_close(&tables);
    fc_return(memory);
    return 0;
}
