/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Layers with a kernel of 3x3 taps of stride 2 for each channel, in zero padding, plane by plane where they lie (planes_tmpl.h).
 *
 * Rows of outputs are vectors of their own. Where these are used well, that takes half as long as lanes.c. The bits are the same: both
 * leave out rows beyond x, where all weights are finite. So the choice may depend on anything.
 */
#include "layers/layer.h"

typedef struct {
    const layer *l;
    ptrdiff_t chunk; /* groups */
} planes;

static int planes_suit(const layer *l)
{
    const fc_conv *g = l->g;
    const fc_axis *rows = &l->axis[ROWS], *cols = &l->axis[COLS];
    const ptrdiff_t vectors = parts_of(cols->out, l->lanes - 1);
    const int axes = rows->k == 3 && cols->k == 3 && rows->dilation == 1 && cols->dilation == 1 && rows->stride == 2 &&
                     cols->stride == 2 && rows->boundary == FC_CONSTANT && cols->boundary == FC_CONSTANT &&
                     l->spread[ROWS] * l->spread[COLS] == 1 && l->axis[DEPTH].k == 1 && l->axis[DEPTH].out == 1;
    const int fits = !g->halves || !fc_finishes(g) || (cols->out <= PLANES_SUMS && rows->out * cols->out >= PLANES_FEW);
    const uintptr_t odd = (uintptr_t)g->x | (uintptr_t)g->x_image | (uintptr_t)g->x_channel | (uintptr_t)rows->x_step;
    return axes && fits && l->axis[DEPTH].lead == 0 && cols->x_step == l->stored && odd % (uintptr_t)l->stored == 0 &&
           (double)cols->out >= PLANES_LEAST * (double)(vectors * l->lanes) && l->op->plane(&(fc_plane){0}) &&
           l->op->finite(g->w, g->groups * g->kernels * l->taps);
}

/* A plane of float16 that is finished: some rows of sums at a time */
static void planes_finish_halves(const layer *l, const fc_plane *plane)
{
    float sums[PLANES_SUMS];
    const ptrdiff_t cols = plane->out_cols, most = PLANES_SUMS / cols;
    fc_plane some = *plane;
    some.out = sums, some.out_half = 0;
    for (ptrdiff_t i = 0; i < plane->out_rows; i += most, some.row_lead -= 2 * most) {
        some.out_rows = min(most, plane->out_rows - i);
        l->op->plane(&some);
        fc_store_halves(l, (char *)plane->out + i * cols * l->stored, cols, (const char *)sums, cols, some.out_rows, cols);
    }
}

/* Some groups of an image */
static void planes_chunk(void *context, ptrdiff_t index, int slot)
{
    const planes *d = context;
    const layer *l = d->l;
    const fc_conv *g = l->g;
    const fc_axis *rows = &l->axis[ROWS], *cols = &l->axis[COLS];
    const ptrdiff_t stored = l->stored, step = rows->out * cols->out * stored;
    ptrdiff_t from, groups = next_piece(&index, g->groups, d->chunk, &from);
    const char *x = g->x + index * g->x_image + from * g->x_channel;
    (void)slot;
    for (ptrdiff_t i = from; i < from + groups; i++, x += g->x_channel)
        for (ptrdiff_t k = i * g->kernels; k < (i + 1) * g->kernels; k++) {
            const fc_plane plane = {.x = x,
                                    .w = g->w + k * l->taps * l->size,
                                    .out = g->out + (index * g->groups * g->kernels + k) * step,
                                    .xs = rows->x_step / stored,
                                    .rows = rows->n,
                                    .cols = cols->n,
                                    .out_rows = rows->out,
                                    .out_cols = cols->out,
                                    .row_lead = rows->lead,
                                    .col_lead = cols->lead,
                                    .wide = even_part(cols->out, l->lanes - 1),
                                    .clamp = g->clamp,
                                    .half = g->halves,
                                    .out_half = g->halves,
                                    .bias = g->bias ? element_at(g->type, g->bias, k) : 0,
                                    .low = g->low,
                                    .high = g->high};
            if (g->halves && fc_finishes(g)) {
                planes_finish_halves(l, &plane);
                continue;
            }
            l->op->plane(&plane);
            if (fc_finishes(g))
                fc_finish(l, plane.out, cols->out, plane.out, cols->out, rows->out, cols->out);
        }
}

int fc_planes_run(const layer *l)
{
    const fc_conv *g = l->g;
    if (!planes_suit(l))
        return 1;
    const double vectors = (double)(l->axis[ROWS].out * parts_of(l->axis[COLS].out, l->lanes - 1) * g->kernels);
    const double moved = (double)(l->axis[ROWS].n * l->axis[COLS].n);
    const double us = fc_time_us(RATE_LANES, vectors * (double)l->taps * l->fc->vector_bytes, l->fc->vector_bytes, moved);
    const planes d = {.l = l, .chunk = clamp((ptrdiff_t)(LAYER_CHUNK_US / us), 1, g->groups)};
    const int threads = fc_threads_for(us * (double)(g->images * g->groups), g->threads);
    fc_run_or_plan(g, (fc_conv_plan){FC_LANES, threads, g->images * parts_of(g->groups, d.chunk), l->taps}, planes_chunk, &d);
    return 0;
}
