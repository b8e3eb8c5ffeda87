/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Values of kernels: step 1 of winograd.c. FC_QUAD kernels lie side by side, so that products find a row's value and the next rows' in
 * one place, and vectors of kernels, too:
 *
 *      [group][value][part of the channels][kernel / 4][channel][kernel % 4]
 */
#include "layers/winograd.h"

/* One part of FC_QUAD kernels at w, or of those that there are, for n channels that come behind `at` others */
static void winograd_learn_part(const winograd *d, char *to, fc_winograd_kernels *quad, const char *w, ptrdiff_t at,
                                ptrdiff_t n)
{
    const layer *l = d->l;
    for (ptrdiff_t c = 0; c < n; c += quad->channels) {
        const ptrdiff_t i = (at + c) % d->depth;
        quad->channels = min(d->depth - i, n - c);
        quad->w = w + c * quad->channel * l->size;
        quad->to = to + ((at + c) / d->depth * d->w_depth + i * FC_QUAD) * l->size;
        l->op->winograd_taps(quad);
    }
}

/* The first of an axis's taps that part i has; of a gradient, parts are those of the turned kernel */
static ptrdiff_t winograd_first(const layer *l, const fc_axis *a, ptrdiff_t i)
{
    return l->g->gradient ? a->k - 2 * i - winograd_part_taps(a, i) : 2 * i;
}

/* All parts of FC_QUAD kernels, for n channels from `channel` on */
static void winograd_learn_parts(const winograd *d, char *to, fc_winograd_kernels *quad, const char *w, ptrdiff_t channel,
                                 ptrdiff_t n)
{
    const layer *l = d->l;
    const fc_axis *rows = &l->axis[ROWS], *cols = &l->axis[COLS];
    const ptrdiff_t depth = d->parts[DEPTH];
    for (ptrdiff_t r = 0; r < d->parts[ROWS]; r++)
        for (ptrdiff_t c = 0; c < d->parts[COLS]; c++) {
            quad->down = (int)winograd_part_taps(rows, r), quad->across = (int)winograd_part_taps(cols, c);
            for (ptrdiff_t z = 0; z < depth; z++) {
                const ptrdiff_t of_z = l->g->gradient ? depth - 1 - z : z;
                const ptrdiff_t tap = (of_z * rows->k + winograd_first(l, rows, r)) * cols->k + winograd_first(l, cols, c);
                const ptrdiff_t at = (winograd_part_at(d, r, c) * depth + z) * l->channels + channel;
                winograd_learn_part(d, to, quad, w + tap * l->size, at, n);
            }
        }
}

/* FC_QUAD kernels of a group from `kernel` on, or those that there are */
static void winograd_learn_quad(const winograd *d, char *to, ptrdiff_t group, ptrdiff_t kernel)
{
    const layer *l = d->l;
    const char *w = l->g->w + (group * l->w_group + kernel * l->w_row) * l->stored;
    fc_winograd_kernels quad = {.points = d->points,
                                .point = d->w_point,
                                .row = l->w_row,
                                .channel = l->w_channel,
                                .line = l->axis[COLS].k,
                                .kernels = min(l->kernels - kernel, FC_QUAD),
                                .turned = l->g->gradient};
    if (!l->g->halves) {
        winograd_learn_parts(d, to, &quad, w, 0, l->channels);
        return;
    }
    float wide[FC_QUAD * WINOGRAD_WIDE];
    const ptrdiff_t most = WINOGRAD_WIDE / l->taps;
    for (ptrdiff_t c = 0, n; c < l->channels; c += n) {
        n = min(most, l->channels - c), quad.row = n * l->taps;
        for (ptrdiff_t k = 0; k < quad.kernels; k++)
            l->op->widen(wide + k * quad.row, FC_F16, w + (k * l->w_row + c * l->taps) * l->stored, quad.row);
        winograd_learn_parts(d, to, &quad, (const char *)wide, c, n);
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
