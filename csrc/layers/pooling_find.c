/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Indices of the largest elements: tap by tap, over all taps of a window at once (pool_find).
 */
#include "layers/pooling.h"

static ptrdiff_t pool_which(const pooling *d, const parts *p, ptrdiff_t i)
{
    return d->size == 4 ? ((int32_t *)(void *)p->which)[i] : ((int64_t *)(void *)p->which)[i];
}

/* Elements of a dense plane */
static ptrdiff_t place_of(const pooling *d, ptrdiff_t z, ptrdiff_t y, ptrdiff_t x)
{
    return (z * d->axis[ROWS].n + y) * d->axis[COLS].n + x;
}

/* Of one output, or one of every channel of a pixel: taps where they lie in x */
static void pool_find_listed(const pooling *d, const parts *p, const char *x, char *to, int64_t *index, const window w[FC_AXES])
{
    ptrdiff_t taps = 0, first = 0;
    for (ptrdiff_t z = 0; z < w[DEPTH].count; z++)
        for (ptrdiff_t y = 0; y < w[ROWS].count; y++)
            for (ptrdiff_t t = 0; t < w[COLS].count; t++) {
                p->place[taps] = place_of(d, z * w[DEPTH].step, y * w[ROWS].step, t * w[COLS].step);
                p->at[taps++] = (z * w[DEPTH].step * d->axis[DEPTH].x_step + y * w[ROWS].step * d->axis[ROWS].x_step +
                                 t * w[COLS].step * d->axis[COLS].x_step) /
                                d->size;
            }
    if (taps > 0)
        for (int a = DEPTH; a <= COLS; a++)
            x += w[a].first * d->axis[a].x_step;
    const fc_pool k = {.x = x, .to = to, .rows = 1, .cols = d->lanes, .at = p->at, .taps = taps, .step = 1};
    d->op->pool_find(&k, p->which);
    for (int a = DEPTH; a <= COLS; a++)
        first = first * d->axis[a].n + w[a].first;
    for (ptrdiff_t l = 0; l < d->lanes; l++)
        index[l] = first + (taps > 0 ? p->place[pool_which(d, p, l)] : 0);
}

/* Of a row of outputs: taps in rows of a buffer, or in their phases */
static void pool_find_row(const pooling *d, const parts *p, const char *x, char *to, int64_t *index, const window w[FC_AXES])
{
    const fc_axis *depth = &d->axis[DEPTH], *down = &d->axis[ROWS], *cols = &d->axis[COLS];
    const ptrdiff_t s = cols->stride, rows = w[ROWS].count, planes = w[DEPTH].count;
    fc_pool k = {.x = p->phases, .to = to, .rows = 1, .cols = cols->out, .at = p->at, .step = 1};
    for (ptrdiff_t i = 0; i < planes * rows; i++) {
        const ptrdiff_t z = w[DEPTH].first + i / rows * w[DEPTH].step, y = w[ROWS].first + i % rows * w[ROWS].step;
        memcpy(p->buffer + cols->lead * d->size, x + z * depth->x_step + y * down->x_step, (size_t)(d->inside * d->size));
        char *row = p->phases + i * d->pitch * d->size;
        if (s == 1)
            memcpy(row, p->buffer, (size_t)(d->pitch * d->size));
        else
            d->op->split(row, d->pitch / s, p->buffer, d->pitch, s);
        for (ptrdiff_t t = 0; t < cols->k; t++) {
            p->place[k.taps] = place_of(d, z, y, t * cols->dilation);
            p->at[k.taps++] = i * d->pitch + t * cols->dilation % s * (d->pitch / s) + t * cols->dilation / s;
        }
    }
    if (k.taps == 0)
        p->place[0] = place_of(d, w[DEPTH].first, w[ROWS].first, 0);
    d->op->pool_find(&k, p->which);
    if (d->size == 4)
        for (ptrdiff_t o = 0; o < cols->out; o++)
            index[o] = p->place[((const int32_t *)(const void *)p->which)[o]] + o * s - cols->lead;
    else
        for (ptrdiff_t o = 0; o < cols->out; o++)
            index[o] = p->place[((const int64_t *)(const void *)p->which)[o]] + o * s - cols->lead;
    for (ptrdiff_t o = 0; o < cols->out && o * s < cols->lead; o++)
        if (pool_which(d, p, o) == 0) /* all are -inf: the first of them that is in x */
            index[o] += parts_of(cols->lead - o * s, cols->dilation) * cols->dilation;
}

void fc_pooling_find(const pooling *d, const parts *p, const char *x, char *to, int64_t *index, ptrdiff_t step, const window *z,
                     const window *y)
{
    window w[FC_AXES] = {*z, *y};
    if (!d->g->last && !d->g->adaptive) {
        pool_find_row(d, p, x, to, index, w);
        return;
    }
    for (ptrdiff_t o = 0; o < d->axis[COLS].out; o++) {
        w[COLS] = fc_pooling_window(d, COLS, o);
        pool_find_listed(d, p, x, to + o * step * d->size, index + o * step, w);
    }
}
