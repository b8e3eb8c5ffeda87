/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Pooling: the largest element of every window of every channel, or the mean (fc_pooling in fastconv.h).
 *
 *   down      rows of x that a row of outputs meets become one, element by element, in a buffer that has what lies beyond x, too
 *   across    elements of that row, under tap after tap, become outputs; a sum is divided
 *
 *      x  . a b c d .      down, 2 rows     . A B C D .     A = a + f, ...
 *         . f g h i .      across, 3 taps   A+B  A+B+C  B+C+D  C+D        where beyond x lies 0, or -inf for the largest
 *
 * Of stride 2, vectors are taken apart as they are met; of a larger one, rows are before, into phases (split_tmpl.h). Channels last,
 * what is an element above is a pixel of some channels. A whole window, whose elements adjoin, is one long row instead: FC_POOL_PARTS
 * parts of it, which are joined half by half, whatever the layout.
 *
 * Indices of the largest, and the largest of uneven windows of planes that fill a vector of any CPU: pooling_find.c.
 */
#include "layers/pooling.h"

/* Rows of the buffer to outputs that lie at `to`, pixels of `step` elements */
static void pool_across(const pooling *d, const parts *p, char *to, ptrdiff_t step, ptrdiff_t rows)
{
    const fc_axis *cols = &d->axis[COLS];
    const ptrdiff_t s = cols->stride, lanes = d->lanes;
    fc_pool k = {.x = p->buffer, .to = to, .by = d->g->average ? p->by : NULL, .at = p->across, .taps = cols->k, .step = 1};
    if (d->g->adaptive && !d->g->last) {
        const pieces q = {p->buffer, k.by, to, d->pitch, cols->out, 1, 1, rows, cols->out, p->across, p->across + cols->out};
        fc_pooling_pieces(d, &q);
        return;
    }
    if (d->g->adaptive) { /* output by output */
        k.rows = rows, k.cols = lanes, k.xs = d->pitch * lanes, k.os = cols->out * step;
        for (ptrdiff_t o = 0; o < cols->out; o++) {
            const window w = fc_pooling_window(d, COLS, o);
            for (ptrdiff_t t = 0; t < w.count; t++)
                p->across[t] = (w.first + t) * lanes;
            k.to = to + o * step * d->size, k.taps = w.count;
            k.by = d->g->average ? p->by + o * d->size : NULL;
            fc_pooling_reduce(d, &k);
        }
        return;
    }
    if (d->g->last) {
        k.rows = cols->out, k.cols = lanes, k.xs = s * lanes, k.os = step, k.by_row = 1;
    } else {
        k.rows = rows, k.cols = cols->out, k.xs = d->pitch, k.os = cols->out, k.by_col = 1;
        if (s == 2)
            k.step = 2;
        else if (s > 2) {
            fc_pooling_split(d, p, rows * d->pitch, s, d->rows * d->pitch / s);
            k.x = p->phases, k.xs = d->pitch / s;
        }
    }
    fc_pooling_reduce(d, &k);
}

/* Rows of outputs whose windows have the same rows of x, but for a shift; the first of them sees `y` */
static void pool_group(const pooling *d, parts *p, const char *x, char *to, ptrdiff_t step, const window *z, const window *y,
                       ptrdiff_t rows)
{
    const fc_axis *depth = &d->axis[DEPTH], *down = &d->axis[ROWS], *cols = &d->axis[COLS];
    const ptrdiff_t size = d->size, width = d->lanes * d->inside;
    fc_pool k = {.to = p->buffer + cols->lead * d->lanes * size, .at = p->at, .step = 1};
    k.x = x + z->first * depth->x_step + y->first * down->x_step;
    for (ptrdiff_t i = 0; i < z->count; i++)
        for (ptrdiff_t j = 0; j < y->count; j++)
            p->at[k.taps++] = (i * z->step * depth->x_step + j * y->step * down->x_step) / size;
    if (k.taps == 0)
        k.x = x; /* nothing is read */
    if (d->g->last)
        k.rows = d->inside, k.cols = d->lanes, k.xs = cols->x_step / size, k.os = d->lanes;
    else
        k.rows = rows, k.cols = width, k.xs = down->stride * down->x_step / size, k.os = d->pitch;
    fc_pooling_reduce(d, &k);
    fc_pooling_count(d, p, d->g->divisor != 0 ? 1 : (double)z->all * (double)y->all, cols->out);
    pool_across(d, p, to, step, rows);
}

/* All outputs of a plane, whose rows have as many elements each */
static void pool_framed(const pooling *d, parts *p, const char *x, char *to)
{
    const fc_axis *down = &d->axis[ROWS], *cols = &d->axis[COLS];
    fc_pool k = {.x = x, .at = p->at, .taps = 1, .step = 1, .os = d->pitch, .xs = down->x_step / d->size, .cols = d->inside};
    k.to = p->plane + (down->lead * d->pitch + cols->lead) * d->size;
    k.rows = min(down->n, d->rows_met - down->lead);
    p->at[0] = 0;
    fc_pooling_reduce(d, &k);
    for (ptrdiff_t t = 0; t < down->k; t++)
        p->at[t] = t * down->dilation * d->pitch;
    k.x = p->plane, k.to = p->buffer, k.taps = down->k, k.xs = down->stride * d->pitch, k.cols = d->pitch, k.rows = down->out;
    fc_pooling_reduce(d, &k);
    fc_pooling_count(d, p, d->g->divisor != 0 ? 1 : (double)down->k, cols->out);
    pool_across(d, p, to, 1, down->out);
}

/* ---- whole windows ---------------------------------------------------------------------------- */

static double pool_divisor(const pooling *d, const window *z, const window *y)
{
    const double all = (double)z->all * (double)y->all * (double)fc_pooling_window(d, COLS, 0).all;
    return d->g->divisor != 0 ? d->g->divisor : all;
}

/* Of so many channels of an image */
static void pool_whole(const pooling *d, const char *x, char *to, const window *z, const window *y, ptrdiff_t channels)
{
    x += z->first * d->axis[DEPTH].x_step + y->first * d->axis[ROWS].x_step;
    d->op->pool_whole(to, x, z->count * y->count * d->axis[COLS].n, d->g->x_channel / d->size, channels, d->g->average,
                      pool_divisor(d, z, y));
}

static void pool_whole_pixels(const pooling *d, const parts *p, const char *x, char *to, const window *z, const window *y)
{
    const fc_axis *axis = d->axis, *inner = &axis[axis[COLS].n > 1   ? COLS
                                                  : axis[ROWS].n > 1 ? ROWS
                                                                     : DEPTH]; /* the step of one is any */
    const ptrdiff_t pixel = inner->x_step / d->size, lanes = d->lanes;
    char divisor[8];
    fc_pooling_put(d, divisor, 0, pool_divisor(d, z, y));
    fc_pool k = {.to = p->part, .os = lanes, .xs = pixel, .cols = lanes, .at = p->at, .step = 1, .add = 1};
    fc_pooling_fill(d, p->part, FC_POOL_PARTS * lanes);
    for (ptrdiff_t i = 0; i < POOL_PIXELS; i++)
        p->at[i] = i * FC_POOL_PARTS * pixel;
    x += z->first * axis[DEPTH].x_step + y->first * axis[ROWS].x_step;
    for (ptrdiff_t left = z->count * y->count * axis[COLS].n; left > 0; left -= k.rows * k.taps) {
        k.rows = min(left, FC_POOL_PARTS), k.taps = clamp(left / FC_POOL_PARTS, 1, POOL_PIXELS), k.x = x;
        fc_pooling_reduce(d, &k);
        x += k.rows * k.taps * pixel * d->size;
    }
    k.x = p->part, k.xs = lanes, k.taps = 2, k.add = 0;
    for (k.rows = FC_POOL_PARTS / 2; k.rows > 0; k.rows /= 2) {
        p->at[0] = 0, p->at[1] = k.rows * lanes;
        if (k.rows == 1)
            k.to = to, k.by = d->g->average ? divisor : NULL;
        fc_pooling_reduce(d, &k);
    }
}

/* ---- the call --------------------------------------------------------------------------------- */

/* Some rows of outputs of a depth of a plane; of d->lanes channels, or if these are turned, of `lanes` */
static void pool_block(const pooling *d, parts *p, const char *x, ptrdiff_t at, ptrdiff_t step, ptrdiff_t depth, ptrdiff_t row,
                       ptrdiff_t rows, ptrdiff_t lanes)
{
    const fc_pooling *g = d->g;
    const fc_axis *cols = &d->axis[COLS];
    const window z = fc_pooling_window(d, DEPTH, depth);
    if (d->finds && !g->whole) {
        const ptrdiff_t plane = d->axis[DEPTH].out * d->axis[ROWS].out * cols->out;
        const fc_pooling_found f = {g->out + at * d->size, g->indices ? g->indices + at : NULL, step, d->turned ? plane : 1,
                                    d->turned ? lanes : d->lanes};
        fc_pooling_find(d, p, x, &z, row, rows, &f);
        return;
    }
    for (ptrdiff_t same; rows > 0; row += same, rows -= same, at += same * cols->out * step) {
        const window y = fc_pooling_window(d, ROWS, row);
        char *to = g->out + at * d->size;
        same = fc_pooling_alike(d, &y, rows);
        if (g->whole)
            d->g->last ? pool_whole_pixels(d, p, x, to, &z, &y) : pool_whole(d, x, to, &z, &y, 1);
        else
            pool_group(d, p, x, to, step, &z, &y, same);
    }
}

/* index counts chunks of blocks (image, channel, depth, rows, slice) */
static void pool_chunk(void *context, ptrdiff_t index, int slot)
{
    pooling of = *(const pooling *)context, *d = &of;
    const fc_pooling *g = d->g;
    const fc_axis *depth = &d->axis[DEPTH], *rows = &d->axis[ROWS];
    const ptrdiff_t lanes = d->lanes, whole = depth->out * rows->out * d->axis[COLS].out;
    fc_room room = fc_room_at(d->scratch, d->thread_bytes, slot);
    parts p;
    fc_pooling_lay_parts(d, &room, &p);
    if (!g->whole)
        fc_pooling_begin(d, &p);
    const ptrdiff_t end = min(d->units, (index + 1) * d->share);
    for (ptrdiff_t unit = index * d->share; unit < end; unit++) {
        ptrdiff_t rest = unit, slice, row, z;
        const ptrdiff_t n = next_piece(&rest, d->lasts ? g->channels : 1, lanes, &slice);
        const ptrdiff_t tall = next_piece(&rest, rows->out, d->rows, &row);
        next_piece(&rest, depth->out, 1, &z);
        const ptrdiff_t channel = d->lasts ? slice : rest % d->channels, image = d->lasts ? rest : rest / d->channels;
        const char *x = g->x + image * g->x_image + channel * g->x_channel;
        const ptrdiff_t outputs = (z * rows->out + row) * d->axis[COLS].out;
        if (g->last && n != d->lanes) { /* the last slice, whose buffer begins anew */
            d->lanes = n;
            if (!g->whole)
                fc_pooling_begin(d, &p);
        }
        if (g->whole && !g->last && whole == 1) { /* of all these channels at once */
            const ptrdiff_t count = min(end - unit, d->channels - channel);
            const window z0 = fc_pooling_window(d, DEPTH, 0), y0 = fc_pooling_window(d, ROWS, 0);
            pool_whole(d, x, g->out + rest * d->size, &z0, &y0, count);
            unit += count - 1;
        } else if (d->framed && !d->finds)
            pool_framed(d, &p, x, g->out + rest * whole * d->size);
        else
            pool_block(d, &p, x,
                       g->last     ? (image * whole + outputs) * g->channels + slice
                       : d->turned ? (image * g->channels + slice) * whole + outputs
                                   : rest * whole + outputs,
                       g->last ? g->channels : 1, z, row, tall, n);
    }
    fc_close(&room);
}

int fc_pooling_run(const fc_pooling *g)
{
    const int uneven = g->adaptive && !g->average && !g->last && !g->whole && g->channels * fc_stored_size(g->type) >= LINE;
    pooling d = fc_pooling_describe(g, g->indices != NULL || uneven);
    const ptrdiff_t planes = g->images * (d.lasts ? parts_of(g->channels, d.lanes) : d.channels);
    d.units = planes * d.axis[DEPTH].out * parts_of(d.axis[ROWS].out, d.rows);
    fc_room room = {0};
    fc_pooling_lay_parts(&d, &room, &(parts){0});
    d.thread_bytes = room.bytes;
    return fc_pooling_start(&d, pool_chunk, &d, fc_pooling_bytes(&d));
}
