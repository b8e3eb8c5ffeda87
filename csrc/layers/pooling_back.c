/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Gradients of pooling. Of the largest elements: the gradient of an output goes to where the largest element of its window is, which is
 * looked for once more (pooling_find.c), unless indices say it. Gradients that meet are added in the order of outputs. Of means: pooling_means.c.
 */
#include "layers/pooling.h"
#include <stdatomic.h>

typedef struct {
    pooling of;
    ptrdiff_t tall;     /* rows of outputs of a chunk's unit: of a plane, or of planes below each other */
    atomic_int *beyond; /* an index is none */
} back;

/* Values and indices of a block of rows of outputs */
static fc_pooling_found lay_found(const pooling *d, fc_room *r)
{
    const ptrdiff_t n = d->g->indices ? 0 : times(times(d->rows, d->axis[COLS].out), d->lanes);
    fc_pooling_found f = {.to = fc_part(r, "values", n, d->size), .index = fc_part(r, "indices", n, sizeof(int64_t))};
    return f;
}

/* Elements of dy to where they belong in a plane of `all`, in turn: to[index * step + i * lane]; -1: nowhere. Returns whether an index is
 * none. */
static inline __attribute__((always_inline)) int scatter_as(int size, char *to, const char *dy, const int64_t *index,
                                                            ptrdiff_t n, uint64_t step, uint64_t lane, uint64_t all)
{
    int fits = 1;
    for (ptrdiff_t i = 0; i < n; i++) {
        const uint64_t at = (uint64_t)index[i] * step + (uint64_t)i * lane;
        if ((uint64_t)index[i] >= all)
            fits &= index[i] == -1;
        else if (size == 4)
            ((float *)(void *)to)[at] += ((const float *)(const void *)dy)[i];
        else
            ((double *)(void *)to)[at] += ((const double *)(const void *)dy)[i];
    }
    return !fits;
}
static int scatter_some(const pooling *d, char *to, const char *dy, const int64_t *index, ptrdiff_t n)
{
    const uint64_t all = (uint64_t)(d->axis[DEPTH].n * d->height * d->width), step = (uint64_t)d->g->channels;
    if (d->g->last)
        return d->size == 4 ? scatter_as(4, to, dy, index, n, step, 1, all) : scatter_as(8, to, dy, index, n, step, 1, all);
    return d->size == 4 ? scatter_as(4, to, dy, index, n, 1, 0, all) : scatter_as(8, to, dy, index, n, 1, 0, all);
}
/* Of many, some at a time */
static int scatter(const pooling *d, char *to, const char *dy, const int64_t *index, ptrdiff_t n)
{
    const ptrdiff_t lane = d->g->last ? d->size : 0;
    int beyond = 0;
    for (ptrdiff_t i = 0; i < n && !(i > 0 && fc_gives_up()); i += POOL_AT_ONCE / 8)
        beyond |= scatter_some(d, to + i * lane, dy + i * d->size, index + i, min(POOL_AT_ONCE / 8, n - i));
    return beyond;
}

/* What a chunk has of x: planes, one below the other as d->axis has them, or channels of pixels, or planes that are turned */
typedef struct {
    const char *x, *dy;
    char *to;
    const int64_t *index;
    ptrdiff_t row, rows, planes, lanes; /* rows of outputs */
    ptrdiff_t outputs, all, pixel;      /* of a plane: outputs and elements; channels of a pixel */
} part;

/* Where indices are there. Returns whether one is none. */
static int largest_known(const pooling *d, const part *k)
{
    int beyond = 0;
    for (ptrdiff_t i = 0; i < k->planes && !d->g->last; i++)
        beyond |=
            scatter(d, k->to + i * k->all * d->size, k->dy + i * k->outputs * d->size, k->index + i * k->outputs, k->outputs);
    for (ptrdiff_t o = 0; o < k->outputs && d->g->last && !asks_at(o); o++)
        beyond |= scatter(d, k->to, k->dy + o * k->pixel * d->size, k->index + o * k->pixel, k->lanes);
    return beyond;
}

/* Some rows of outputs of a depth, from the row-th on, whose largest elements are looked for */
static void largest_rows(const pooling *d, const parts *p, fc_pooling_found f, const part *k, ptrdiff_t depth, ptrdiff_t row,
                         ptrdiff_t rows)
{
    const ptrdiff_t outs = d->axis[COLS].out, n = rows * outs, size = d->size;
    const window z = fc_pooling_window(d, DEPTH, depth);
    const char *dy = k->dy + (depth * d->axis[ROWS].out + row - k->row) * outs * k->pixel * size;
    f.step = d->g->last ? k->lanes : 1, f.lane = d->turned ? n : 1, f.lanes = k->lanes;
    fc_pooling_find(d, p, k->x, &z, row, rows, &f);
    for (ptrdiff_t o = 0; o < n && d->g->last && !asks_at(o); o++)
        scatter(d, k->to, dy + o * k->pixel * size, f.index + o * k->lanes, k->lanes);
    for (ptrdiff_t l = 0; l < k->lanes && d->turned; l++)
        scatter(d, k->to + l * k->all * size, dy + l * k->outputs * size, f.index + l * n, n);
    for (ptrdiff_t r = 0, some; r < rows && !d->lasts; r += some) {
        const ptrdiff_t plane = (row - k->row + r) / d->tall;
        some = min(rows - r, (plane + 1) * d->tall - (row - k->row) - r);
        scatter(d, k->to + plane * k->all * size, dy + r * outs * size, f.index + r * outs, some * outs);
    }
}

/* index counts chunks of planes (image, channel, planes below each other, slice) */
static void largest_chunk(void *context, ptrdiff_t index, int slot)
{
    const back *b = context;
    pooling of = b->of, *d = &of;
    const fc_pooling *g = d->g;
    const fc_axis *axis = d->axis;
    fc_room room = fc_room_at(d->scratch, d->thread_bytes, slot);
    parts p;
    fc_pooling_lay_parts(d, &room, &p);
    const fc_pooling_found f = lay_found(d, &room);
    fc_pooling_begin(d, &p);
    part k = {.pixel = g->last ? g->channels : 1, .all = axis[DEPTH].n * d->height * d->width};
    k.outputs = axis[DEPTH].out * d->tall * axis[COLS].out;
    const ptrdiff_t end = min(d->units, (index + 1) * d->share), most = d->lanes,
                    below = d->tall ? axis[ROWS].out / d->tall : 1;
    for (ptrdiff_t unit = index * d->share; unit < end; unit++) {
        ptrdiff_t rest = unit, slice;
        k.lanes = next_piece(&rest, d->lasts ? g->channels : 1, most, &slice);
        k.rows = next_piece(&rest, axis[ROWS].out, b->tall, &k.row);
        k.planes = d->turned ? k.lanes : d->tall ? k.rows / d->tall : 1;
        if (!d->turned && k.lanes != d->lanes) { /* its buffers begin anew */
            d->lanes = k.lanes;
            fc_pooling_begin(d, &p);
        }
        const ptrdiff_t image = d->lasts ? rest : rest / d->channels, channel = d->lasts ? slice : rest % d->channels;
        const ptrdiff_t plane = d->turned ? image * g->channels + slice : rest * below + (d->tall ? k.row / d->tall : 0);
        const ptrdiff_t within = g->last ? slice : 0, out = plane * k.outputs * k.pixel + within;
        k.x = g->x + image * g->x_image + channel * g->x_channel, k.dy = g->dy + out * d->size;
        k.to = g->out + (plane * k.all * k.pixel + within) * d->size, k.index = g->indices + out;
        const ptrdiff_t apart = g->last && k.lanes < k.pixel, zeros = apart ? k.lanes : k.planes * k.all * k.pixel;
        for (ptrdiff_t i = 0; i < (apart ? k.all : 1) && !asks_at(i); i++)
            fc_pooling_clear(k.to + i * k.pixel * d->size, zeros * d->size);
        if (g->indices && largest_known(d, &k))
            atomic_store(b->beyond, 1);
        for (ptrdiff_t z = 0; z < axis[DEPTH].out && !g->indices; z++)
            for (ptrdiff_t row = k.row; row < k.row + k.rows && !(row > k.row && fc_gives_up()); row += d->rows)
                largest_rows(d, &p, f, &k, z, row, min(d->rows, k.row + k.rows - row));
    }
    fc_close(&room);
}

int fc_pooling_back_run(const fc_pooling *g)
{
    if (g->average)
        return fc_pooling_means_run(g);
    atomic_int beyond = 0;
    back b = {.of = fc_pooling_describe(g, 1), .beyond = &beyond};
    pooling *d = &b.of;
    const fc_axis *rows = &d->axis[ROWS];
    const ptrdiff_t plane = times(times(d->height, d->width), d->size); /* of those below each other, some at a time */
    b.tall = d->tall < rows->out ? min(rows->out, d->tall * clamp(POOL_CHUNK / max(plane, 1), 1, rows->out)) : rows->out;
    d->units =
        g->images * (d->lasts ? parts_of(g->channels, d->lanes) : d->channels) * max(parts_of(rows->out, max(b.tall, 1)), 1);
    fc_room room = {0};
    fc_pooling_lay_parts(d, &room, &(parts){0});
    lay_found(d, &room);
    d->thread_bytes = room.bytes;
    const int status = fc_pooling_start(d, largest_chunk, &b, fc_pooling_bytes(d));
    return status != 0 ? status : atomic_load(&beyond);
}
