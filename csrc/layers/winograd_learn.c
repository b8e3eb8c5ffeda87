/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Values of kernels: step 1 of winograd.c. FC_QUAD kernels lie side by side, so that products find a row's value and the next rows' in
 * one place, and vectors of kernels, too:
 *
 *      [group][value][part of the channels][kernel / 4][channel][kernel % 4]
 */
#include "layers/winograd.h"

/* FC_QUAD kernels of a group from `kernel` on, or those that there are */
static void winograd_learn_quad(const winograd *d, char *to, ptrdiff_t group, ptrdiff_t kernel)
{
    const layer *l = d->l;
    const ptrdiff_t of_plane = l->taps / l->axis[DEPTH].k;
    const char *w = l->g->w + (group * l->w_group + kernel * l->w_row) * l->size;
    fc_winograd_kernels quad = {.points = d->points,
                                .point = d->w_point,
                                .row = l->w_row,
                                .channel = l->w_channel,
                                .kernels = min(l->kernels - kernel, FC_QUAD),
                                .turned = l->g->gradient};
    for (ptrdiff_t z = 0; z < l->axis[DEPTH].k; z++) {
        const ptrdiff_t of_z = (l->g->gradient ? l->axis[DEPTH].k - 1 - z : z) * of_plane;
        for (ptrdiff_t c = 0; c < l->channels; c += quad.channels) {
            const ptrdiff_t at = z * l->channels + c, i = at % d->depth;
            quad.channels = min(d->depth - i, l->channels - c);
            quad.w = w + (c * l->w_channel + of_z) * l->size;
            quad.to = to + (at / d->depth * d->w_depth + i * FC_QUAD) * l->size;
            l->op->winograd_taps(&quad);
        }
    }
}

void fc_winograd_learn_some(const winograd *d, char *to, ptrdiff_t group, ptrdiff_t kernel, ptrdiff_t kernels)
{
    for (ptrdiff_t k = 0; k < kernels; k += FC_QUAD)
        winograd_learn_quad(d, to + k * d->depth * d->l->size, group, kernel + k);
}

typedef struct {
    const winograd *d;
    char *to;
} learning;

static void winograd_learn_kernels(void *context, ptrdiff_t index, int slot)
{
    const learning *learn = context;
    const winograd *d = learn->d;
    const layer *l = d->l;
    const ptrdiff_t quads = parts_of(l->kernels, FC_QUAD), group = index / quads, kernel = index % quads * FC_QUAD;
    (void)slot;
    fc_winograd_learn_some(d, learn->to + (group * d->values * d->w_point + kernel * d->depth) * l->size, group, kernel, 1);
}

void fc_winograd_learn_all(const winograd *d, char *to)
{
    const layer *l = d->l;
    learning learn = {d, to};
    const ptrdiff_t quads = l->g->groups * parts_of(l->kernels, FC_QUAD);
    const double us = fc_time_us(
        RATE_PRODUCTS, (double)WINOGRAD_LEARN / WINOGRAD_LANES * (double)(quads * FC_QUAD * d->channels * d->values * l->size),
        l->fc->vector_bytes, 0);
    fc_pool_run((int)min(fc_threads_for(us, l->g->threads), quads), quads, winograd_learn_kernels, &learn);
}
