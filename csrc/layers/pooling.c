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
 * Indices of the largest: pooling_find.c.
 */
#include "layers/pooling.h"
#include <math.h>

static window pool_window(const pooling *d, int axis, ptrdiff_t o)
{
    const fc_axis *a = &d->axis[axis];
    ptrdiff_t start = o * a->stride - a->lead, from, end;
    if (d->g->adaptive) {
        start = o * a->n / a->out, end = parts_of((o + 1) * a->n, a->out);
        return (window){start, 1, end - start, end - start};
    }
    inside(a->n, a->dilation, start, a->k, &from, &end);
    return (window){start + from * a->dilation, a->dilation, end - from,
                    d->g->padded ? min(start + a->k, a->n + d->g->behind[axis]) - start : end - from};
}
static ptrdiff_t most_taps(const pooling *d, int axis)
{
    return d->g->adaptive ? min(d->axis[axis].n, d->axis[axis].n / d->axis[axis].out + 2) : d->axis[axis].k;
}

/* Of so many rows of outputs, the first of which sees y, how many see the same, but for a shift */
static ptrdiff_t pool_alike(const pooling *d, const window *y, ptrdiff_t rows)
{
    const fc_axis *a = &d->axis[ROWS];
    if (d->rows == 1 || rows == 1 || d->g->adaptive || y->count < a->k)
        return 1;
    const ptrdiff_t room = a->n - 1 - y->first - (a->k - 1) * a->dilation;
    return min(rows, (a->stride == 1 ? room : room / a->stride) + 1);
}

static void pool_lay_parts(const pooling *d, fc_room *r, parts *p)
{
    const fc_pooling *g = d->g;
    const ptrdiff_t cols = d->axis[COLS].out, taps = most_taps(d, COLS),
                    listed = times(most_taps(d, DEPTH), most_taps(d, ROWS));
    const int found = g->indices != NULL;
    const ptrdiff_t row = plus(times(d->pitch, d->lanes), 4 * LINE / d->size);
    p->buffer = fc_part(r, "rows", g->whole ? 0 : times(found ? 1 : d->rows, row), d->size);
    p->phases = fc_part(r, "phases",
                        found                                  ? times(listed, row)
                        : d->axis[COLS].stride > 2 && !g->last ? times(d->rows, row)
                                                               : 0,
                        d->size);
    p->plane = fc_part(r, "plane", d->framed ? times(d->rows_met, row) : 0, d->size);
    p->count = fc_part(r, "counts", g->average ? cols : 0, d->size);
    p->by = fc_part(r, "divisors", g->average ? cols : 0, d->size);
    p->which = fc_part(r, "which", found ? max(cols, d->lanes) : 0, d->size);
    p->part = fc_part(r, "parts", g->whole && g->last ? times(FC_POOL_PARTS, d->lanes) : 0, d->size);
    p->at = fc_part(r, "taps", max(found ? times(listed, taps) : listed, POOL_PIXELS), sizeof *p->at);
    p->across = fc_part(r, "taps across", taps, sizeof *p->across);
}

static void put(const pooling *d, char *to, ptrdiff_t i, double v)
{
    if (d->size == 4)
        ((float *)(void *)to)[i] = (float)v;
    else
        ((double *)(void *)to)[i] = v;
}
static void fill(const pooling *d, char *to, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++)
        put(d, to, i, d->g->average ? 0 : -INFINITY);
}

static void pool(const pooling *d, const fc_pool *k) { (d->g->average ? d->op->pool_sum : d->op->pool_max)(k); }

/* Where the taps of columns meet the buffer, and how many elements columns have */
static void pool_begin(const pooling *d, parts *p)
{
    const fc_axis *cols = &d->axis[COLS];
    const ptrdiff_t s = cols->stride, phase = d->rows * d->pitch / s;
    for (ptrdiff_t t = 0; t < cols->k && !d->g->adaptive; t++)
        p->across[t] =
            d->g->last || s <= 2 ? t * cols->dilation * d->lanes : t * cols->dilation % s * phase + t * cols->dilation / s;
    for (ptrdiff_t j = 0; j < cols->out && d->g->average; j++) {
        const ptrdiff_t start = j * s - cols->lead, inside_x = !d->g->adaptive && start >= 0 && start + cols->k <= cols->n;
        const ptrdiff_t all = inside_x ? cols->k : pool_window(d, COLS, j).all;
        put(d, p->count, j, d->g->divisor != 0 ? d->g->divisor : (double)all);
    }
    p->counted = 0;
    if (d->framed)
        fill(d, p->plane, d->rows_met * d->pitch);
    const ptrdiff_t right = d->pitch - cols->lead - d->inside;
    for (ptrdiff_t i = 0; i < (d->g->indices ? 1 : d->rows); i++) {
        char *row = p->buffer + i * d->pitch * d->lanes * d->size;
        fill(d, row, cols->lead * d->lanes);
        fill(d, row + (cols->lead + d->inside) * d->lanes * d->size, right * d->lanes);
    }
}

/* Divisors of a row of outputs, whose windows have so many elements in a column */
static void pool_count(const pooling *d, parts *p, double counted)
{
    char factor[8];
    if (!d->g->average || counted == p->counted)
        return;
    put(d, factor, 0, counted);
    d->op->scale(p->by, p->count, factor, d->axis[COLS].out);
    p->counted = counted;
}

/* Rows of the buffer to outputs that lie at `to`, pixels of `step` elements */
static void pool_across(const pooling *d, const parts *p, char *to, ptrdiff_t step, ptrdiff_t rows)
{
    const fc_axis *cols = &d->axis[COLS];
    const ptrdiff_t s = cols->stride, lanes = d->lanes;
    fc_pool k = {.x = p->buffer, .to = to, .by = d->g->average ? p->by : NULL, .at = p->across, .taps = cols->k, .step = 1};
    if (d->g->adaptive) { /* output by output */
        k.rows = rows, k.cols = lanes, k.xs = d->pitch * lanes, k.os = cols->out * step;
        for (ptrdiff_t o = 0; o < cols->out; o++) {
            const window w = pool_window(d, COLS, o);
            for (ptrdiff_t t = 0; t < w.count; t++)
                p->across[t] = (w.first + t) * lanes;
            k.to = to + o * step * d->size, k.taps = w.count;
            k.by = d->g->average ? p->by + o * d->size : NULL;
            pool(d, &k);
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
            d->op->split(p->phases, d->rows * d->pitch / s, p->buffer, rows * d->pitch, s);
            k.x = p->phases, k.xs = d->pitch / s;
        }
    }
    pool(d, &k);
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
    pool(d, &k);
    pool_count(d, p, d->g->divisor != 0 ? 1 : (double)z->all * (double)y->all);
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
    pool(d, &k);
    for (ptrdiff_t t = 0; t < down->k; t++)
        p->at[t] = t * down->dilation * d->pitch;
    k.x = p->plane, k.to = p->buffer, k.taps = down->k, k.xs = down->stride * d->pitch, k.cols = d->pitch, k.rows = down->out;
    pool(d, &k);
    pool_count(d, p, d->g->divisor != 0 ? 1 : (double)down->k);
    pool_across(d, p, to, 1, down->out);
}

/* ---- whole windows ---------------------------------------------------------------------------- */

static double pool_divisor(const pooling *d, const window *z, const window *y)
{
    const double all = (double)z->all * (double)y->all * (double)pool_window(d, COLS, 0).all;
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
    put(d, divisor, 0, pool_divisor(d, z, y));
    fc_pool k = {.to = p->part, .os = lanes, .xs = pixel, .cols = lanes, .at = p->at, .step = 1, .add = 1};
    fill(d, p->part, FC_POOL_PARTS * lanes);
    for (ptrdiff_t i = 0; i < POOL_PIXELS; i++)
        p->at[i] = i * FC_POOL_PARTS * pixel;
    x += z->first * axis[DEPTH].x_step + y->first * axis[ROWS].x_step;
    for (ptrdiff_t left = z->count * y->count * axis[COLS].n; left > 0; left -= k.rows * k.taps) {
        k.rows = min(left, FC_POOL_PARTS), k.taps = clamp(left / FC_POOL_PARTS, 1, POOL_PIXELS), k.x = x;
        pool(d, &k);
        x += k.rows * k.taps * pixel * d->size;
    }
    k.x = p->part, k.xs = lanes, k.taps = 2, k.add = 0;
    for (k.rows = FC_POOL_PARTS / 2; k.rows > 0; k.rows /= 2) {
        p->at[0] = 0, p->at[1] = k.rows * lanes;
        if (k.rows == 1)
            k.to = to, k.by = d->g->average ? divisor : NULL;
        pool(d, &k);
    }
}

/* ---- the call --------------------------------------------------------------------------------- */

/* Some rows of outputs of a depth of a plane; channels last, of d->lanes channels */
static void pool_block(const pooling *d, parts *p, const char *x, ptrdiff_t at, ptrdiff_t step, ptrdiff_t depth, ptrdiff_t row,
                       ptrdiff_t rows)
{
    const fc_pooling *g = d->g;
    const fc_axis *cols = &d->axis[COLS];
    const window z = pool_window(d, DEPTH, depth);
    for (ptrdiff_t same; rows > 0; row += same, rows -= same, at += same * cols->out * step) {
        const window y = pool_window(d, ROWS, row);
        char *to = g->out + at * d->size;
        same = pool_alike(d, &y, rows);
        if (g->whole)
            d->g->last ? pool_whole_pixels(d, p, x, to, &z, &y) : pool_whole(d, x, to, &z, &y, 1);
        else if (!g->indices)
            pool_group(d, p, x, to, step, &z, &y, same);
        else if (!g->last && !g->adaptive)
            fc_pool_find_row(d, p, x, to, g->indices + at, (window[FC_AXES]){z, y});
        else
            for (ptrdiff_t o = 0; o < cols->out; o++)
                fc_pool_find_listed(d, p, x, to + o * step * d->size, g->indices + at + o * step,
                                    (window[FC_AXES]){z, y, pool_window(d, COLS, o)});
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
    pool_lay_parts(d, &room, &p);
    if (!g->whole)
        pool_begin(d, &p);
    const ptrdiff_t end = min(d->units, (index + 1) * d->share);
    for (ptrdiff_t unit = index * d->share; unit < end; unit++) {
        ptrdiff_t rest = unit, slice, row, z;
        const ptrdiff_t n = next_piece(&rest, g->last ? g->channels : 1, lanes, &slice);
        const ptrdiff_t tall = next_piece(&rest, rows->out, d->rows, &row);
        next_piece(&rest, depth->out, 1, &z);
        const ptrdiff_t channel = g->last ? slice : rest % d->channels, image = g->last ? rest : rest / d->channels;
        const char *x = g->x + image * g->x_image + channel * g->x_channel;
        const ptrdiff_t outputs = (z * rows->out + row) * d->axis[COLS].out;
        if (g->last && n != d->lanes) { /* the last slice, whose buffer begins anew */
            d->lanes = n;
            if (!g->whole)
                pool_begin(d, &p);
        }
        if (g->whole && !g->last && whole == 1) { /* of all these channels at once */
            const ptrdiff_t count = min(end - unit, d->channels - channel);
            const window z0 = pool_window(d, DEPTH, 0), y0 = pool_window(d, ROWS, 0);
            pool_whole(d, x, g->out + rest * d->size, &z0, &y0, count);
            unit += count - 1;
        } else if (d->framed)
            pool_framed(d, &p, x, g->out + rest * whole * d->size);
        else
            pool_block(d, &p, x, g->last ? (image * whole + outputs) * g->channels + slice : rest * whole + outputs,
                       g->last ? g->channels : 1, z, row, tall);
    }
    fc_close(&room);
}

int fc_pooling_run(const fc_pooling *g)
{
    pooling d = {.g = g, .op = fc_in_use()->op[g->type], .size = fc_stored_size(g->type), .channels = g->channels, .lanes = 1};
    memcpy(d.axis, g->axis, sizeof d.axis);
    fc_axis *depth = &d.axis[DEPTH], *rows = &d.axis[ROWS], *cols = &d.axis[COLS];
    const int flat = depth->n == 1 && depth->out == 1 && rows->lead == 0 && reach(rows, 1) <= rows->stride &&
                     rows->stride * rows->out == rows->n;
    if (flat && !g->last && !g->whole && !g->indices && !g->adaptive &&
        (rows->n == 1 || g->x_channel == rows->n * rows->x_step)) {
        rows->x_step = rows->n == 1 ? g->x_channel : rows->x_step; /* a plane below the other is one */
        rows->n *= g->channels, rows->out *= g->channels, d.channels = 1;
    }
    const ptrdiff_t met = g->adaptive ? cols->n : reach(cols, cols->out), line = LINE / d.size;
    d.inside = min(cols->n, met - cols->lead);
    d.pitch = round_up(met, g->last || (cols->stride == 2 && !g->indices) ? 1 : cols->stride);
    d.rows = g->last ? 1 : clamp(POOL_BLOCK / d.size / d.pitch, 1, rows->out);
    if (g->last)
        d.lanes = min(g->channels, max(line, g->whole ? POOL_BLOCK / FC_POOL_PARTS / POOL_PIXELS / d.size
                                                      : POOL_BLOCK / d.size / d.pitch / line * line));
    if (g->indices || g->whole)
        d.rows = 1;
    d.rows_met = reach(rows, rows->out);
    d.framed = !g->last && !g->whole && !g->indices && !g->adaptive && depth->k == 1 && depth->out == 1 && depth->n == 1 &&
               d.rows == rows->out && (rows->lead > 0 || d.rows_met > rows->n) && d.rows_met * d.pitch * d.size <= POOL_FRAME &&
               (!g->average || g->divisor != 0 ||
                (pool_window(&d, ROWS, 0).all == rows->k && pool_window(&d, ROWS, rows->out - 1).all == rows->k));
    if (!d.framed && !g->last && cols->stride <= 2)
        d.pitch = round_up(d.pitch, line);
    const ptrdiff_t planes = g->last ? g->images : g->images * d.channels, of_plane = depth->out * parts_of(rows->out, d.rows);
    d.units = planes * of_plane * (g->last ? parts_of(g->channels, d.lanes) : 1);
    if (d.units == 0)
        return 0;
    const double bytes = (double)g->images * (double)g->channels * (double)cols->n * (double)d.size * (double)depth->out *
                         (double)g->axis[ROWS].out * (double)most_taps(&d, DEPTH) * (double)most_taps(&d, ROWS);
    d.share = clamp((ptrdiff_t)(POOL_CHUNK / (bytes / (double)d.units + 1)), 1, d.units);
    const int threads = fc_threads_for(fc_time_us(RATE_POOLS, 0, 1, bytes), g->threads);
    fc_room room = {0};
    pool_lay_parts(&d, &room, &(parts){0});
    d.thread_bytes = room.bytes;
    d.scratch = fc_borrow((size_t)times(threads, d.thread_bytes));
    if (d.scratch == NULL)
        return -1;
    fc_pool_run(threads, parts_of(d.units, d.share), pool_chunk, &d);
    fc_return(d.scratch);
    return 0;
}
