/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Layers of one output that sees every element of an image, which lie densely: fully connected layers. Weights and images are then
 * rows of inner products (K2) as they are, and nothing is packed. Weights are read once for every four images, at the speed
 * of the memory that they are in.
 *
 * The sums are those of products.c, which computes the same where x has other strides. Chunks are shares of the kernels of a group.
 */
#include "layers/layer.h"

typedef struct {
    const layer *l;
    ptrdiff_t part, shares;
} single;

static int single_sees_all(const layer *l)
{
    const fc_conv *g = l->g;
    ptrdiff_t step = l->size;
    if (g->gradient || g->halves)
        return 0;
    for (int i = COLS; i >= DEPTH; i--) {
        const fc_axis *a = &l->axis[i];
        if (a->out != 1 || a->lead != 0 || a->n != a->k || (a->dilation != 1 && a->k > 1) || (a->n > 1 && a->x_step != step))
            return 0;
        step *= a->n;
    }
    return (g->x_channel == step || g->groups * g->channels == 1) && (uintptr_t)g->x % (uintptr_t)l->size == 0 &&
           g->x_image % l->size == 0;
}

static void single_chunk(void *context, ptrdiff_t index, int slot)
{
    enum { COLUMNS = 64 };
    const single *d = context;
    const layer *l = d->l;
    const fc_conv *g = l->g;
    const ptrdiff_t size = l->size, depth = l->channels * l->taps, all = g->groups * l->kernels;
    const ptrdiff_t share = index % d->shares, group = index / d->shares;
    const ptrdiff_t from = l->kernels * share / d->shares, first = group * l->kernels + from;
    ptrdiff_t at[COLUMNS];
    (void)slot;
    for (ptrdiff_t i = 0; i < min(COLUMNS, g->images); i++)
        at[i] = i * all;
    fc_dot m = {.a = g->w + first * depth * size,
                .bias = g->bias ? g->bias + first * size : NULL,
                .as = depth,
                .bs = g->x_image / size,
                .cs = 1,
                .rows = l->kernels * (share + 1) / d->shares - from,
                .depth = depth,
                .part = d->part,
                .b_part = d->part,
                .at = at,
                .clamp = g->clamp,
                .low = g->low,
                .high = g->high};
    for (ptrdiff_t i = 0; i < g->images && !(i > 0 && fc_gives_up()); i += COLUMNS) {
        m.b = g->x + i * g->x_image + group * depth * size;
        m.c = g->out + (i * all + first) * size;
        m.cols = min(COLUMNS, g->images - i);
        l->op->dot(&m);
        if (fc_finishes(g))
            fc_finish(l, m.c, all, m.c, all, m.cols, m.rows);
    }
}

int fc_single_run(const layer *l)
{
    const fc_conv *g = l->g;
    if (!single_sees_all(l))
        return 1;
    const layout y = fc_choose_layout(l);
    if (fc_dots_of(l, &y, 1) == 0)
        return 1;
    single d = {.l = l, .part = y.part};
    const double products = (double)(l->channels * l->taps) * (double)(g->images * g->groups * l->kernels);
    int threads = fc_threads_for(fc_time_us(RATE_PRODUCTS, products * (double)l->size, l->fc->vector_bytes, 0), g->threads);
    d.shares = clamp(parts_of(threads, g->groups), 1, l->kernels);
    fc_run_or_plan(g, (fc_conv_plan){FC_PRODUCTS, threads, g->groups * d.shares, d.part}, single_chunk, &d);
    return 0;
}
