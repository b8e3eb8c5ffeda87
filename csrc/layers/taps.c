/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Layers and data gradients that are sums over taps: who computes them. With several channels a group they are products
 * (products.c; of small planes of a batch, across.c; of one output that sees a dense image, single.c). With one, every plane of outputs slides its own kernel over
 * one plane of x (K3):
 *
 *   lanes.c      many groups, a lane for each; but for long rows and no stride
 *   planes.c     of these, 3x3 taps and rows that fill vectors: the same bits
 *   slides.c     others, plane by plane
 *   transforms.c large kernels, if the call allows it
 *   products.c   many kernels a group, and short rows or strides; or very many
 *
 * The choice decides bits, so it may depend on shapes and on the instruction set's vectors, and on nothing else.
 */
#include "layers/layer.h"

/* One channel a group */
int fc_taps_are_planes(const layer *l) { return l->g->channels == 1 && l->taps > 1 && !(l->g->gradient && l->g->kernels > 1); }

static int taps_stride(const layer *l) { return l->axis[ROWS].stride > 1 || l->axis[COLS].stride > 1; }

/* Whether lanes.c is faster, as measured: a lane for each group pays if enough of them are used. How many are enough
 * depends on what the sliding kernel makes of the planes: it likes long rows, and no strides. */
static int taps_suit_lanes(const layer *l)
{
    const fc_axis *cols = &l->axis[COLS];
    ptrdiff_t groups = l->g->groups, all = round_up(groups, l->lanes);
    if (taps_stride(l))
        return groups >= all / 4;
    ptrdiff_t longest = TAPS_LONG + TAPS_LONGER * cols->k;
    return cols->out < 2 * l->lanes ? groups >= all / 2 : cols->out <= longest && groups >= all / 4 * 3;
}

/* Whether many kernels a group are products, rather than planes */
static int taps_suit_products(const layer *l)
{
    const ptrdiff_t kernels = l->g->kernels;
    const int short_rows = l->axis[COLS].out < 2 * l->lanes;
    return kernels >= TAPS_MANY && (short_rows || (!taps_suit_lanes(l) && (taps_stride(l) || kernels >= TAPS_MOST)));
}

/* One channel a group, forward */
static int taps_run_planes(const layer *l)
{
    const int lanes = taps_suit_lanes(l);
    int status = fc_transforms_run(l);
    if (status <= 0)
        return status;
    if (taps_suit_products(l))
        return fc_products_run(l);
    status = lanes ? fc_planes_run(l) : 1;
    status = status > 0 && lanes ? fc_lanes_run(l, 0) : status;
    return status > 0 ? fc_slides_run(l) : status;
}

/* The data gradient for one kernel a group: without a stride, a layer with the kernel flipped; with one, of an x that is spread. w is
 * that of the gradient yet. */
static layer taps_flip(const layer *given, fc_conv *to)
{
    const fc_conv *g = given->g;
    *to = *g;
    to->gradient = 0;
    for (int i = DEPTH; i <= COLS; i++) {
        const fc_axis *a = &g->axis[i];
        to->axis[i] = (fc_axis){.n = a->out,
                                .k = a->k,
                                .out = a->n,
                                .lead = (a->k - 1) * a->dilation - a->lead,
                                .stride = a->stride,
                                .dilation = a->dilation,
                                .boundary = FC_CONSTANT,
                                .x_step = a->x_step};
    }
    layer l = fc_describe(to, given->fc);
    for (int i = DEPTH; i <= COLS; i++) {
        l.spread[i] = l.axis[i].stride;
        l.axis[i].stride = 1;
    }
    return l;
}

static int taps_run_flipped(const layer *given)
{
    const fc_conv *g = given->g;
    fc_conv flipped;
    layer l = taps_flip(given, &flipped);
    const int is_spread = l.spread[DEPTH] > 1 || l.spread[ROWS] > 1 || l.spread[COLS] > 1;
    if (is_spread && g->groups < round_up(g->groups, l.lanes) / 4)
        return fc_products_run(given);
    char *w = fc_borrow((size_t)times(times(g->groups, l.taps), l.size));
    if (w == NULL)
        return -1;
    for (ptrdiff_t i = 0; i < g->groups; i++)
        fc_copy_row(w + i * l.taps * l.size, l.size, g->w + ((i + 1) * l.taps - 1) * l.size, -l.size, l.taps, l.size);
    flipped.w = w;
    int status = is_spread ? fc_lanes_run(&l, 0) : taps_run_planes(&l);
    fc_return(w);
    return status > 0 ? fc_products_run(given) : status;
}

/* Channels last, with the sums of the other layout: with a kernel for each channel, pixels are lanes as they lie, whatever rows are
 * like. What slides sums in another order, in parts or depths, it does not take. */
static int taps_run_last(const layer *l)
{
    const fc_conv *g = l->g;
    const int lanes = taps_suit_lanes(l);
    if (l->taps == 1)
        return fc_points_run(l);
    fc_conv second = *g;
    second.last = 0;
    if (g->gradient || fc_conv_tile(&second, &(fc_tile){{0}, {0}}) || g->channels != 1 || g->kernels != 1 ||
        (!lanes && (l->taps > LONGEST_PART || l->axis[DEPTH].k > 1)))
        return 1;
    return fc_lanes_run(l, !lanes);
}

/* Of float16: weights and biases of planes are widened here, x and out where they are read and stored */
static int taps_run_halves(const layer *l)
{
    const fc_conv *g = l->g;
    const ptrdiff_t kernels = g->groups * g->kernels, taps = kernels * l->taps;
    float *w = fc_borrow((size_t)times(plus(taps, kernels), l->size));
    if (w == NULL)
        return -1;
    l->op->widen(w, FC_F16, g->w, taps);
    if (g->bias)
        l->op->widen(w + taps, FC_F16, g->bias, kernels);
    fc_conv planes = *g;
    planes.w = (char *)w, planes.bias = g->bias ? (char *)(w + taps) : NULL;
    layer wide = *l;
    wide.g = &planes;
    const int status = g->last ? taps_run_last(&wide) : taps_run_planes(&wide);
    fc_return((char *)w);
    return status;
}

int fc_taps_run(const layer *l)
{
    const fc_conv *g = l->g;
    if (g->halves && fc_taps_are_planes(l))
        return taps_run_halves(l);
    if (g->last)
        return taps_run_last(l);
    if (!fc_taps_are_planes(l)) {
        int status = fc_winograd_run(l);
        status = status > 0 ? fc_transforms_run(l) : status;
        status = status > 0 ? fc_single_run(l) : status;
        status = status > 0 ? fc_zones_run(l) : status;
        status = status > 0 ? fc_across_run(l) : status;
        return status > 0 ? fc_products_run(l) : status;
    }
    return g->gradient ? taps_run_flipped(l) : taps_run_planes(l);
}

int fc_taps_read_halves(const layer *l)
{
    if (l->g->gradient || !fc_taps_are_planes(l))
        return !l->g->gradient && !l->g->last;
    return !taps_suit_products(l) && !fc_conv_tile(l->g, &(fc_tile){{0}, {0}});
}

int fc_conv_tile(const fc_conv *g, fc_tile *tile)
{
    fc_conv whole = *g, flipped;
    whole.halves &= g->channels > 1; /* planes are widened before (halves.c) */
    const layer l = fc_describe(&whole, fc_in_use());
    if (!g->gradient || !fc_taps_are_planes(&l))
        return fc_transforms_tile(&l, tile);
    const layer planes = taps_flip(&l, &flipped);
    return fc_transforms_tile(&planes, tile);
}

ptrdiff_t fc_conv_learn(const fc_conv *g, char *to)
{
    const layer l = fc_describe(g, fc_in_use());
    const ptrdiff_t bytes = fc_transforms_learn(&l, to);
    return bytes > 0 ? bytes : fc_winograd_learn(g, to);
}
