/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Layers and gradients of float16, which is summed in float32. Forward layers read and store it as it is (pack.c, products.c, and where
 * every plane has a kernel of its own, taps.c); of all others, whole arrays are widened here, and the result is narrowed.
 *
 * An array that fills a block of memory, its axes in any order, is widened as one row, and its axes keep their order; others
 * become dense.
 */
#include "layers/layer.h"

enum {
    HALF = 2,
    SINGLE = 4,
    AXES = FC_AXES + 2
}; /* bytes; axes of an array: images, channels, and those that something slides along */

typedef struct { ptrdiff_t n[AXES], step[AXES]; /* bytes */ } extent;

static ptrdiff_t halves_elements(const extent *e)
{
    ptrdiff_t all = 1;
    for (int i = 0; i < AXES; i++)
        all = times(all, e->n[i]);
    return all;
}

/* Whether elements adjoin, in some order of the axes: each of them is as far as the last one reaches */
static int halves_adjoin(const extent *e)
{
    ptrdiff_t reached = HALF;
    for (int left = 0, found; left < AXES; left++, reached = times(reached, e->n[found])) {
        for (found = 0; found < AXES && (e->n[found] == 1 || e->step[found] != reached); found++)
            ;
        if (found == AXES)
            break;
    }
    return reached == HALF * halves_elements(e);
}

/* The array as float32, from `to` on; steps: those that it has there, images and channels first */
static void halves_widen(const fc_ops *op, char *to, const char *from, const extent *e, ptrdiff_t steps[AXES])
{
    const ptrdiff_t *n = e->n, cols = n[AXES - 1], across = e->step[AXES - 1], rows = n[0] * n[1] * n[2] * n[3];
    if (halves_adjoin(e)) {
        op->widen(to, FC_F16, from, halves_elements(e));
        for (int i = 0; i < AXES; i++)
            steps[i] = SINGLE / HALF * e->step[i];
        return;
    }
    for (ptrdiff_t r = 0; r < rows; r++, to += cols * SINGLE) {
        ptrdiff_t left = r, at = 0;
        for (int i = AXES - 2; i >= 0; left /= n[i--])
            at += left % n[i] * e->step[i];
        for (ptrdiff_t j = 0; j < (across == HALF ? 1 : cols); j++)
            op->widen(to + j * SINGLE, FC_F16, from + at + j * across, across == HALF ? cols : 1);
    }
    steps[AXES - 1] = SINGLE;
    for (int i = AXES - 2; i >= 0; i--)
        steps[i] = steps[i + 1] * n[i + 1];
}

/* x, or where it is not that, dy */
static extent halves_extent(const fc_conv *g, int of_outputs, ptrdiff_t image, ptrdiff_t channel, const ptrdiff_t step[FC_AXES])
{
    extent e = {{g->images, g->groups * (of_outputs ? g->kernels : g->channels)}, {image, channel}};
    for (int i = 0; i < FC_AXES; i++)
        e.n[2 + i] = of_outputs ? g->axis[i].out : g->axis[i].n, e.step[2 + i] = step[i];
    return e;
}

/* What a call reads and writes, as float32 */
typedef struct { char *x, *dy, *w, *bias, *out, *add; } arrays;
static void halves_lay_parts(fc_room *r, arrays *a, const extent *x, const extent *dy, ptrdiff_t weights, ptrdiff_t biases,
                             ptrdiff_t outputs, ptrdiff_t added)
{
    a->x = fc_part(r, "x", halves_elements(x), SINGLE);
    a->dy = fc_part(r, "gradient", halves_elements(dy), SINGLE);
    a->w = fc_part(r, "weights", weights, SINGLE);
    a->bias = fc_part(r, "bias", biases, SINGLE);
    a->out = fc_part(r, "results", outputs, SINGLE);
    a->add = fc_part(r, "what is added", added, SINGLE);
}

void fc_store_halves(const layer *l, char *to, ptrdiff_t ts, const char *from, ptrdiff_t fs, ptrdiff_t rows, ptrdiff_t cols)
{
    enum { PIECE = 256 };
    const fc_conv *g = l->g;
    float sums[PIECE], added[PIECE];
    if (ts == cols && fs == cols)
        cols *= rows, rows = 1;
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0, n; j < cols; j += n) {
            char *place = to + (i * ts + j) * HALF;
            const char *row = from + (i * fs + j) * SINGLE;
            n = min(PIECE, cols - j);
            if (g->add)
                l->op->widen(added, FC_F16, fc_added(g, place), n);
            if (g->clamp || fc_finishes(g)) {
                l->op->finish(&(fc_finishing){sums, row, g->add ? added : NULL, 1, n, n, n, g->activation, g->low, g->high});
                row = (const char *)sums;
            }
            l->op->narrow(place, FC_F16, row, n, 1, FC_TRUNCATED);
        }
}

int fc_halves_run(const fc_conv *g, int (*run)(const fc_conv *))
{
    const fc_ops *op = fc_in_use()->op[FC_F32];
    fc_conv wide = *g;
    ptrdiff_t x_step[FC_AXES], steps[AXES], taps = 1,
                                            outputs = g->images * g->groups * (g->gradient ? g->channels : g->kernels);
    for (int i = 0; i < FC_AXES; i++) {
        taps *= g->axis[i].k, outputs *= g->gradient ? g->axis[i].n : g->axis[i].out;
        x_step[i] = g->axis[i].x_step;
    }
    const extent x = halves_extent(g, g->gradient, g->x_image, g->x_channel, x_step);
    const extent dy = g->dy ? halves_extent(g, 1, g->dy_image, g->dy_channel, g->dy_step) : (extent){{0}, {0}};
    const ptrdiff_t weights = g->groups * g->kernels * g->channels * taps, results = g->dy ? weights : outputs;
    const ptrdiff_t biases = g->bias ? g->groups * (g->gradient ? g->channels : g->kernels) : 0;
    arrays a;
    fc_room parts = {0};
    halves_lay_parts(&parts, &a, &x, &dy, g->w ? weights : 0, biases, results, g->add ? results : 0);
    char *memory = fc_borrow((size_t)parts.bytes);
    if (memory == NULL)
        return -1;
    parts = (fc_room){.block = memory};
    halves_lay_parts(&parts, &a, &x, &dy, g->w ? weights : 0, biases, results, g->add ? results : 0);
    halves_widen(op, a.x, g->x, &x, steps);
    wide.x_image = steps[0], wide.x_channel = steps[1];
    for (int i = 0; i < FC_AXES; i++)
        wide.axis[i].x_step = steps[2 + i];
    if (g->dy) {
        halves_widen(op, a.dy, g->dy, &dy, steps);
        wide.dy_image = steps[0], wide.dy_channel = steps[1];
        memcpy(wide.dy_step, steps + 2, sizeof wide.dy_step);
    }
    if (g->w)
        op->widen(a.w, FC_F16, g->w, weights);
    if (g->bias)
        op->widen(a.bias, FC_F16, g->bias, biases);
    if (g->add && !g->plan) {
        op->widen(a.add, FC_F16, fc_added(g, g->out), results);
        wide.add = a.add - a.out;
    }
    wide.halves = 0;
    wide.x = a.x, wide.dy = a.dy, wide.w = a.w, wide.bias = g->bias ? a.bias : NULL, wide.out = a.out;
    const int status = run(&wide);
    if (status == 0 && !g->plan)
        op->narrow(g->out, FC_F16, a.out, results, 1, FC_TRUNCATED);
    fc_close(&parts);
    fc_return(memory);
    return status;
}
