/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A call of a convolution layer or of its data gradient; layer.h draws who computes it.
 *
 * The data gradient of a layer with few outputs and a large kernel is computed here. Written as a sum over outputs instead of taps,
 *
 *   dx[c][i] = sum_{m < kernels} sum_{o < out} w[m][c][i + lead - o * stride] dy[m][o]
 *
 * it is a layer, too: the weights are its images, one for each channel c, and the gradient of the output is its kernel, whose taps
 * lie `stride` apart. That takes `out` products for an element of dx, where the kernel would take up to k of them (products.c);
 * and where there is one output, every tap is a phase of its own there.
 *
 *   1. The outputs of an image and group are copied in reverse order: a correlation then meets them as above.
 *   2. They slide over the weights, between which and beyond which lie zeros.
 *   3. The bias is added, one for each channel, and sums are clamped, or finished.
 *
 * Zeros times what is not finite are NaN, so an image whose gradient is not finite is summed over taps. Images are computed one by
 * one: the bits do not depend on the batch. Memory may run short for a later one; several are therefore computed in scratch.
 */
#include "layers/layer.h"
#include <string.h>

static int exchange_pays(const layer *l)
{
    const fc_conv *g = l->g;
    const ptrdiff_t rows = l->whole[DEPTH] * l->whole[ROWS];
    const double vectors = (double)parts_of(rows * l->whole[COLS], l->lanes), pairs = (double)g->channels * (double)g->kernels;
    double of_taps = pairs * vectors * (double)l->taps, outputs = 1;
    for (int i = DEPTH; i <= COLS; i++) {
        if (g->axis[i].dilation > 1 && g->axis[i].k > 1)
            return 0;
        outputs *= (double)g->axis[i].out;
    }
    if (pairs > 1 && fc_phases(l) > 1) { /* else every tap meets every element of a spread gradient */
        double in_phases = (double)rows * (double)(l->phases[COLS] * parts_of(l->axis[COLS].out, l->lanes) * l->most_taps);
        of_taps = pairs * in_phases + EXCHANGE_PHASE * (double)fc_phases(l) * (double)parts_of(g->channels, l->fc->rows);
    }
    return of_taps > pairs * vectors * (EXCHANGE_ALONE * outputs + EXCHANGE_PACK) + EXCHANGE_CALL;
}

/* Step 3, of one image and group; to: where they are in the end */
static void exchange_finish(const layer *l, char *out, const char *to, ptrdiff_t group)
{
    const fc_conv *g = l->g;
    const ptrdiff_t volume = l->whole[DEPTH] * l->whole[ROWS] * l->whole[COLS];
    fc_finishing f = {out, out, fc_added(g, to), g->channels, volume, volume, volume, g->activation, g->low, g->high};
    for (ptrdiff_t c = 0; c < g->channels; c++, out += volume * l->size) {
        const char *bias = g->bias ? g->bias + (group * g->channels + c) * l->size : NULL;
        for (ptrdiff_t i = 0; i < volume && bias; i++)
            if (g->type == FC_F32)
                ((float *)(void *)out)[i] += *(const float *)(const void *)bias;
            else
                ((double *)(void *)out)[i] += *(const double *)(const void *)bias;
    }
    if (g->clamp || fc_finishes(g))
        l->op->finish(&f);
}

/* Step 1: kernels x outputs */
static void exchange_copy_outputs(const layer *l, char *to, const char *dy)
{
    const fc_conv *g = l->g;
    const fc_axis *axis = g->axis;
    const ptrdiff_t columns = axis[COLS].out;
    for (ptrdiff_t m = 0; m < g->kernels; m++, dy += g->x_channel)
        for (ptrdiff_t z = axis[DEPTH].out - 1; z >= 0; z--)
            for (ptrdiff_t r = axis[ROWS].out - 1; r >= 0; r--, to += columns * l->size)
                fc_copy_row(to + (columns - 1) * l->size, -l->size, dy + z * axis[DEPTH].x_step + r * axis[ROWS].x_step,
                            axis[COLS].x_step, columns, l->size);
}

/* One image and group, as taps.c computes it */
static int exchange_by_taps(const layer *l, const char *dy, ptrdiff_t group, char *out, const char *to)
{
    fc_conv one = *l->g;
    one.add = one.add ? fc_added(l->g, to) - out : 0;
    one.images = one.groups = 1;
    one.x = dy, one.out = out;
    one.w += group * one.kernels * one.channels * l->taps * l->size;
    one.bias += one.bias ? group * one.channels * l->size : 0;
    const layer of_taps = fc_describe(&one, l->fc);
    return fc_taps_run(&of_taps);
}

static int exchange_run(const layer *l)
{
    const fc_conv *g = l->g;
    const ptrdiff_t size = l->size, volume = l->whole[DEPTH] * l->whole[ROWS] * l->whole[COLS];
    ptrdiff_t outputs = 1, step = size;
    fc_conv e = {.type = g->type,
                 .threads = g->threads,
                 .images = g->channels,
                 .groups = 1,
                 .channels = g->kernels,
                 .kernels = 1,
                 .x_image = l->taps * size,
                 .x_channel = g->channels * l->taps * size};
    for (int i = COLS; i >= DEPTH; i--) {
        const fc_axis *a = &g->axis[i];
        e.axis[i] = (fc_axis){.n = a->k,
                              .k = a->out,
                              .out = a->n,
                              .lead = (a->out - 1) * a->stride - a->lead,
                              .stride = 1,
                              .dilation = a->stride,
                              .boundary = FC_CONSTANT,
                              .x_step = step};
        outputs *= a->out, step *= a->k;
    }
    const ptrdiff_t runs = g->images * g->groups, all = runs * g->channels * volume;
    const ptrdiff_t w_bytes = whole_lines(times(times(g->kernels, outputs), size));
    char *w = fc_borrow((size_t)plus(w_bytes, runs > 1 ? times(all, size) : 0)), *result = runs > 1 ? w + w_bytes : g->out;
    if (w == NULL)
        return -1;
    e.w = w;
    int status = 0;
    if (g->plan) {
        memset(w, 0, (size_t)w_bytes); /* of finite outputs */
        e.plan = g->plan, e.x = g->w;
        const layer exchanged = fc_describe(&e, l->fc);
        status = fc_taps_run(&exchanged);
        fc_return(w);
        return status;
    }
    for (ptrdiff_t i = 0; i < runs && status == 0 && !(i > 0 && fc_gives_up()); i++) {
        const ptrdiff_t image = i / g->groups, group = i % g->groups;
        const char *dy = g->x + image * g->x_image + group * g->kernels * g->x_channel;
        exchange_copy_outputs(l, w, dy);
        const ptrdiff_t at = i * g->channels * volume * size;
        char *out = result + at, *to = g->out + at;
        if (!l->op->finite(w, g->kernels * outputs)) {
            status = exchange_by_taps(l, dy, group, out, to);
            continue;
        }
        e.x = g->w + group * g->kernels * e.x_channel;
        e.out = out;
        const layer exchanged = fc_describe(&e, l->fc);
        status = fc_taps_run(&exchanged);
        if (status == 0)
            exchange_finish(l, out, to, group);
    }
    if (status == 0 && runs > 1)
        memcpy(g->out, result, (size_t)(all * size));
    fc_return(w);
    return status;
}

int fc_conv_run(const fc_conv *g)
{
    const layer l = fc_describe(g, fc_in_use());
    if (g->images * g->groups * l.kernels * l.whole[DEPTH] * l.whole[ROWS] * l.whole[COLS] == 0)
        return 0;
    if (g->halves && !fc_taps_read_halves(&l))
        return fc_halves_run(g, fc_conv_run);
    if (g->halves && fc_finishes(g) && !fc_taps_are_planes(&l)) {
        fc_conv exact = *g; /* results are rounded once, and sums are those of other calls */
        exact.accuracy = FC_EXACT;
        return fc_halves_run(&exact, fc_conv_run);
    }
    return g->gradient && !g->last && !g->forced && exchange_pays(&l) ? exchange_run(&l) : fc_taps_run(&l);
}
