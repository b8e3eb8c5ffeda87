/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Gradients of pooling. Of the largest elements: the gradient of an output goes to where the largest element of its window is, which is
 * looked for once more (pooling_find.c), unless indices say it. Gradients that meet are added in the order of outputs. Of means: pooling_means.c.
 */
#include "layers/pooling.h"
#include <stdatomic.h>

typedef struct {
    pooling of;
    atomic_int *beyond; /* an index is none */
} back;

/* Values and indices of a row of outputs */
typedef struct {
    char *value;
    int64_t *index;
} found;
static found lay_found(const pooling *d, fc_room *r)
{
    const ptrdiff_t n = times(d->axis[COLS].out, d->lanes);
    return (found){fc_part(r, "values", n, d->size), fc_part(r, "indices", n, sizeof(int64_t))};
}

/* Elements of dy to where they belong in a plane of `all`, in turn: to[index * step + i * lane]. Returns whether an index is none. */
static inline __attribute__((always_inline)) int scatter_as(int size, char *to, const char *dy, const int64_t *index,
                                                            ptrdiff_t n, uint64_t step, uint64_t lane, uint64_t all)
{
    int fits = 1;
    for (ptrdiff_t i = 0; i < n; i++) {
        const uint64_t at = (uint64_t)index[i] * step + (uint64_t)i * lane;
        if ((uint64_t)index[i] >= all)
            fits = 0;
        else if (size == 4)
            ((float *)(void *)to)[at] += ((const float *)(const void *)dy)[i];
        else
            ((double *)(void *)to)[at] += ((const double *)(const void *)dy)[i];
    }
    return !fits;
}
static int scatter(const pooling *d, char *to, const char *dy, const int64_t *index, ptrdiff_t n)
{
    const uint64_t all = (uint64_t)(d->axis[DEPTH].n * d->axis[ROWS].n * d->axis[COLS].n), step = (uint64_t)d->g->channels;
    if (d->g->last)
        return d->size == 4 ? scatter_as(4, to, dy, index, n, step, 1, all) : scatter_as(8, to, dy, index, n, step, 1, all);
    return d->size == 4 ? scatter_as(4, to, dy, index, n, 1, 0, all) : scatter_as(8, to, dy, index, n, 1, 0, all);
}

/* A row of outputs */
static void largest_row(const pooling *d, const parts *p, const found *f, const char *x, char *to, const char *dy,
                        const window *z, const window *y)
{
    const fc_axis *axis = d->axis;
    const ptrdiff_t lanes = d->lanes, channels = d->g->channels;
    if (z->count == 0 || y->count == 0)
        return;
    fc_pooling_find(d, p, x, f->value, f->index, lanes, z, y);
    for (ptrdiff_t o = 0; o < axis[COLS].out && axis[COLS].dilation > 1; o++)
        if (fc_pooling_window(d, COLS, o).count == 0)
            for (ptrdiff_t l = 0; l < lanes; l++)
                f->index[o * lanes + l] = -1;
    if (!d->g->last)
        scatter(d, to, dy, f->index, axis[COLS].out);
    else
        for (ptrdiff_t o = 0; o < axis[COLS].out; o++)
            scatter(d, to, dy + o * channels * d->size, f->index + o * lanes, lanes);
}

/* index counts chunks of planes (image, channel, slice) */
static void largest_chunk(void *context, ptrdiff_t index, int slot)
{
    const back *b = context;
    pooling of = b->of, *d = &of;
    const fc_pooling *g = d->g;
    const fc_axis *axis = d->axis;
    fc_room room = fc_room_at(d->scratch, d->thread_bytes, slot);
    parts p;
    fc_pooling_lay_parts(d, &room, &p);
    const found f = lay_found(d, &room);
    fc_pooling_begin(d, &p);
    const ptrdiff_t all = axis[DEPTH].n * axis[ROWS].n * axis[COLS].n,
                    outputs = axis[DEPTH].out * axis[ROWS].out * axis[COLS].out;
    const ptrdiff_t end = min(d->units, (index + 1) * d->share), pixel = g->last ? g->channels : 1, most = d->lanes;
    for (ptrdiff_t unit = index * d->share; unit < end; unit++) {
        ptrdiff_t rest = unit, slice;
        d->lanes = next_piece(&rest, pixel, most, &slice);
        if (d->lanes < most)
            fc_pooling_begin(d, &p);
        const ptrdiff_t image = g->last ? rest : rest / g->channels, channel = g->last ? slice : rest % g->channels;
        const char *x = g->x + image * g->x_image + channel * g->x_channel,
                   *dy = g->dy + (rest * outputs * pixel + slice) * d->size;
        char *to = g->out + (rest * all * pixel + slice) * d->size;
        for (ptrdiff_t i = 0; i < (d->lanes == pixel ? 1 : all); i++)
            memset(to + i * pixel * d->size, 0, (size_t)((d->lanes == pixel ? all * pixel : d->lanes) * d->size));
        if (g->indices) {
            const int64_t *at = g->indices + rest * outputs * pixel + slice;
            for (ptrdiff_t o = 0; o < (g->last ? outputs : 1); o++, at += pixel, dy += pixel * d->size)
                if (scatter(d, to, dy, at, g->last ? d->lanes : outputs))
                    atomic_store(b->beyond, 1);
        }
        for (ptrdiff_t o = 0; o < axis[DEPTH].out * axis[ROWS].out && !g->indices; o++) {
            const window z = fc_pooling_window(d, DEPTH, o / axis[ROWS].out),
                         y = fc_pooling_window(d, ROWS, o % axis[ROWS].out);
            largest_row(d, &p, &f, x, to, dy + o * axis[COLS].out * pixel * d->size, &z, &y);
        }
        d->lanes = most;
    }
    fc_close(&room);
}

int fc_pooling_back_run(const fc_pooling *g)
{
    if (g->average)
        return fc_pooling_means_run(g);
    atomic_int beyond = 0;
    back b = {fc_pooling_describe(g, 1), &beyond};
    pooling *d = &b.of;
    d->units = g->images * (g->last ? parts_of(g->channels, d->lanes) : g->channels);
    fc_room room = {0};
    fc_pooling_lay_parts(d, &room, &(parts){0});
    lay_found(d, &room);
    d->thread_bytes = room.bytes;
    const int status = fc_pooling_start(d, largest_chunk, &b, fc_pooling_bytes(d));
    return status != 0 ? status : atomic_load(&beyond);
}
