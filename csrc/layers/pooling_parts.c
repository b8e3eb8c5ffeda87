/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What pooling and its gradients share: windows, and what threads work with.
 */
#include "layers/pooling.h"
#include <math.h>

window fc_pooling_window(const pooling *d, int axis, ptrdiff_t o)
{
    const fc_axis *a = &d->axis[axis];
    ptrdiff_t start = o * a->stride - a->lead, from, end;
    if (d->g->adaptive) {
        start = o * a->n / a->out, end = parts_of((o + 1) * a->n, a->out);
        return (window){start, 1, end - start, end - start};
    }
    inside(a->n, a->dilation, start, a->k, &from, &end);
    const ptrdiff_t begin = start - d->cut[axis];
    return (window){start + from * a->dilation, a->dilation, end - from,
                    d->g->padded ? min(begin + d->g->axis[axis].k, a->n + d->g->behind[axis]) - begin : end - from};
}
/* Leaves out the first and last taps that see nothing of x under any output, but those that may be the first not before it: there are
 * no more than x and its outputs have elements. Returns the elements in front. */
static ptrdiff_t cut_taps(fc_axis *a)
{
    const ptrdiff_t start = (a->out - 1) * a->stride - a->lead, first = start < 0 ? min(-start / a->dilation, a->k - 1) : 0;
    const ptrdiff_t last = max((a->n - 1 + a->lead) / a->dilation, parts_of(max(a->lead, 0), a->dilation));
    a->k = min(a->k, last + 1) - first;
    a->lead -= first * a->dilation;
    return first * a->dilation;
}
ptrdiff_t fc_pooling_most_taps(const pooling *d, int axis)
{
    return d->g->adaptive ? min(d->axis[axis].n, d->axis[axis].n / d->axis[axis].out + 2) : d->axis[axis].k;
}

ptrdiff_t fc_pooling_alike(const pooling *d, const window *y, ptrdiff_t rows)
{
    const fc_axis *a = &d->axis[ROWS];
    if (d->rows == 1 || rows == 1 || d->g->adaptive || y->count < a->k)
        return 1;
    const ptrdiff_t room = a->n - 1 - y->first - (a->k - 1) * a->dilation;
    return min(rows, (a->stride == 1 ? room : room / a->stride) + 1);
}

void fc_pooling_lay_parts(const pooling *d, fc_room *r, parts *p)
{
    const fc_pooling *g = d->g;
    const ptrdiff_t cols = d->axis[COLS].out, taps = fc_pooling_most_taps(d, COLS),
                    listed = times(fc_pooling_most_taps(d, DEPTH), fc_pooling_most_taps(d, ROWS));
    const ptrdiff_t row = plus(times(d->pitch, d->lanes), 4 * LINE / d->size), wide = times(cols, d->lanes);
    const ptrdiff_t met = d->finds ? times(d->met, fc_pooling_most_taps(d, DEPTH)) : 0;
    p->buffer = fc_part(r, "rows", g->whole ? 0 : d->finds ? (d->framed ? times(met, row) : 0) : times(d->rows, row), d->size);
    p->phases = fc_part(r, "phases", d->axis[COLS].stride > 2 && !d->lasts ? times(d->finds ? met : d->rows, row) : 0, d->size);
    p->plane = fc_part(r, "plane", d->framed && !d->finds ? times(d->rows_met, row) : 0, d->size);
    p->value = fc_part(r, "largest of rows", times(met, wide), d->size);
    p->which = fc_part(r, "their columns", times(met, wide), d->size);
    p->none = fc_part(r, "columns of none", d->finds ? cols : 0, d->size);
    p->found = fc_part(r, "indices of a block", d->finds ? times(d->rows, wide) : 0, d->size);
    p->turned = fc_part(r, "values of a block", d->turned ? plus(times(d->rows, wide), times(d->lanes, d->lanes)) : 0, d->size);
    p->count = fc_part(r, "counts", g->average ? cols : 0, d->size);
    p->by = fc_part(r, "divisors", g->average ? cols : 0, d->size);
    p->part = fc_part(r, "parts", g->whole && g->last ? times(FC_POOL_PARTS, d->lanes) : 0, d->size);
    p->at = fc_part(r, "taps", max(listed, POOL_PIXELS), sizeof *p->at);
    p->place = fc_part(r, "places", d->finds ? max(listed, taps) : 0, sizeof *p->place);
    p->across = fc_part(r, "taps across", max(taps, g->adaptive ? 2 * cols : 0), sizeof *p->across);
}

void fc_pooling_put(const pooling *d, char *to, ptrdiff_t i, double v)
{
    if (d->size == 4)
        ((float *)(void *)to)[i] = (float)v;
    else
        ((double *)(void *)to)[i] = v;
}
void fc_pooling_fill(const pooling *d, char *to, ptrdiff_t n)
{
    const double none = d->g->average ? 0 : -INFINITY;
    for (ptrdiff_t i = 0; i < n && d->size == 4; i++)
        ((float *)(void *)to)[i] = (float)none;
    for (ptrdiff_t i = 0; i < n && d->size == 8; i++)
        ((double *)(void *)to)[i] = none;
}

void fc_pooling_clear(char *to, ptrdiff_t bytes)
{
    for (ptrdiff_t i = 0; i < bytes && !(i > 0 && fc_gives_up()); i += POOL_AT_ONCE)
        memset(to + i, 0, (size_t)min(POOL_AT_ONCE, bytes - i));
}

void fc_pooling_begin(const pooling *d, parts *p)
{
    const fc_axis *cols = &d->axis[COLS];
    const ptrdiff_t s = cols->stride, phase = d->rows * d->pitch / s;
    for (ptrdiff_t j = 0; j < cols->out && d->finds && !asks_at(j); j++) {
        const ptrdiff_t first = fc_pooling_window(d, COLS, j).first - (d->g->adaptive ? 0 : j * s);
        if (d->size == 4)
            ((int32_t *)(void *)p->none)[j] = (int32_t)first;
        else
            ((int64_t *)(void *)p->none)[j] = first;
    }
    for (ptrdiff_t t = 0; t < cols->k && !d->g->adaptive; t++)
        p->across[t] =
            d->g->last || s <= 2 ? t * cols->dilation * d->lanes : t * cols->dilation % s * phase + t * cols->dilation / s;
    for (ptrdiff_t j = 0; j < cols->out && d->g->adaptive && !d->g->last && !asks_at(j); j++) {
        const window w = fc_pooling_window(d, COLS, j);
        p->across[j] = w.first, p->across[cols->out + j] = w.count;
    }
    for (ptrdiff_t j = 0; j < cols->out && d->g->average && !asks_at(j); j++) {
        const ptrdiff_t start = j * s - cols->lead,
                        inside_x = !d->g->adaptive && start >= 0 && start + cols->k <= cols->n && cols->k == d->g->axis[COLS].k;
        const ptrdiff_t all = inside_x ? cols->k : fc_pooling_window(d, COLS, j).all;
        fc_pooling_put(d, p->count, j, d->g->divisor != 0 ? d->g->divisor : (double)all);
    }
    p->counted = 0;
    if (d->framed && !d->finds)
        fc_pooling_fill(d, p->plane, d->rows_met * d->pitch);
    const ptrdiff_t right = d->pitch - cols->lead - d->inside;
    const ptrdiff_t rows = !d->finds ? d->rows : d->framed && !d->g->adaptive ? d->met * fc_pooling_most_taps(d, DEPTH) : 0;
    for (ptrdiff_t i = 0; i < rows; i++) {
        char *row = p->buffer + i * d->pitch * d->lanes * d->size;
        fc_pooling_fill(d, row, cols->lead * d->lanes);
        fc_pooling_fill(d, row + (cols->lead + d->inside) * d->lanes * d->size, right * d->lanes);
    }
}

void fc_pooling_count(const pooling *d, parts *p, double counted, ptrdiff_t n)
{
    char factor[8];
    if (!d->g->average || counted == p->counted)
        return;
    fc_pooling_put(d, factor, 0, counted);
    for (ptrdiff_t j = 0; j < n && !(n > POOL_AT_ONCE && fc_gives_up()); j += POOL_AT_ONCE)
        d->op->scale(p->by + j * d->size, p->count + j * d->size, factor, min(POOL_AT_ONCE, n - j));
    p->counted = counted;
}

void fc_pooling_reduce(const pooling *d, const fc_pool *k)
{
    void (*const reduce)(const fc_pool *) = d->g->average ? d->op->pool_sum : d->op->pool_max;
    if (fc_pooling_is_short(k)) {
        reduce(k);
        return;
    }
    const ptrdiff_t wide = fc_pooling_at_once(k), tall = fc_pooling_rows_at_once(k, wide);
    for (ptrdiff_t i = 0; i < k->rows; i += tall)
        for (ptrdiff_t j = 0; j < k->cols && !(i + j > 0 && fc_gives_up()); j += wide) {
            const fc_pool part = fc_pooling_piece(d, k, i, tall, j, wide);
            reduce(&part);
        }
}

void fc_pooling_split(const pooling *d, const parts *p, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t phase)
{
    const ptrdiff_t each = POOL_AT_ONCE / stride;
    for (ptrdiff_t i = 0; i * stride < n && !(i > 0 && fc_gives_up()); i += each)
        d->op->split(p->phases + i * d->size, phase, p->buffer + i * stride * d->size, min(each * stride, n - i * stride),
                     stride, 1);
}

#define POOLING_PIECES(T)                                                                                                \
    static void pieces_##T(const pieces *k, int average)                                                                 \
    {                                                                                                                    \
        ptrdiff_t done = 0; \
        for (ptrdiff_t row = 0; row < k->rows; row++)                                                                          \
            for (ptrdiff_t j = 0; j < k->cols; j++) {                                                                    \
                const T *x = (const T *)(const void *)k->x + row * k->xs + k->first[j] * k->step;                                    \
                T r = average ? 0 : (T)-INFINITY;                                                                        \
                for (ptrdiff_t t = 0, end; t < k->count[j] && !(t > 0 && fc_gives_up()); t = end) {                                    \
                    end = min(t + POOL_AT_ONCE, k->count[j]);                                                         \
                    for (ptrdiff_t i = t; i < end; i++, x += k->step) \
                        r = average ? r + *x : *x > r || *x != *x ? *x : r;                                        \
                } \
                if (asks_after(&done, k->count[j] + 1)) \
                    return; \
                ((T *)(void *)k->to)[row * k->os + j * k->to_step] = k->by ? r / ((const T *)(const void *)k->by)[j] : r;               \
            }                                                                                                            \
    }
POOLING_PIECES(float)
POOLING_PIECES(double)

void fc_pooling_pieces(const pooling *d, const pieces *k)
{
    if (k->cols >= POOL_BLOCK && fc_gives_up())
        return; /* the places of their columns may not be complete */
    if (d->size == 4)
        d->g->average ? pieces_float(k, 1) : pieces_float(k, 0);
    else
        d->g->average ? pieces_double(k, 1) : pieces_double(k, 0);
}

/* Blocks that find: as many rows as the rows of x that they meet, and what these become, stay in cache, unless most of these are for
 * nothing */
static void describe_finding(pooling *d, ptrdiff_t vector)
{
    const fc_axis *rows = &d->axis[ROWS], *cols = &d->axis[COLS];
    const ptrdiff_t met = d->g->adaptive ? cols->n : reach(cols, cols->out), once = reach(rows, 1);
    d->lanes = d->turned ? vector : d->lanes;
    d->framed = d->turned || cols->lead > 0 || met > cols->n || (cols->stride > 2 && !d->lasts);
    const ptrdiff_t row = times(plus(times(2, cols->out), d->framed ? d->pitch : 0), times(d->lanes, d->size));
    const ptrdiff_t most = POOL_FIND / times(row, fc_pooling_most_taps(d, DEPTH));
    d->rows = d->g->adaptive || most < once ? 1 : clamp((most - once) / rows->stride + 1, 1, rows->out);
    d->met = d->rows == 1 ? fc_pooling_most_taps(d, ROWS) : (d->rows - 1) * rows->stride + once;
    if (d->rows > 1 && (d->met > 2 * d->rows * rows->k || times(d->met, cols->n) > INT32_MAX))
        d->rows = 1, d->met = rows->k;
    d->met = min(d->met, rows->n);
}

pooling fc_pooling_describe(const fc_pooling *g, int finds)
{
    const fc_kernels *table = fc_in_use();
    pooling d = {.g = g, .op = table->op[g->type], .size = fc_stored_size(g->type), .channels = g->channels, .lanes = 1};
    memcpy(d.axis, g->axis, sizeof d.axis);
    for (int a = DEPTH; a <= COLS && !g->adaptive; a++)
        if (d.axis[a].out > 0)
            d.cut[a] = cut_taps(&d.axis[a]);
    fc_axis *depth = &d.axis[DEPTH], *rows = &d.axis[ROWS], *cols = &d.axis[COLS];
    const int flat = depth->n == 1 && depth->out == 1 && rows->lead == 0 && reach(rows, 1) <= rows->stride &&
                     rows->stride * rows->out == rows->n && rows->k == g->axis[ROWS].k; /* no window reaches beyond its plane */
    const ptrdiff_t vector = table->vector_bytes / d.size;
    d.tall = rows->out, d.height = rows->n, d.width = cols->n;
    d.turned = finds && !g->last && (g->adaptive || (g->channels >= vector && cols->out <= POOL_TURNED * vector));
    d.lasts = g->last || d.turned;
    if (flat && !d.lasts && !g->whole && !g->adaptive && (rows->n == 1 || g->x_channel == rows->n * rows->x_step)) {
        rows->x_step = rows->n == 1 ? g->x_channel : rows->x_step; /* a plane below the other is one */
        rows->n *= g->channels, rows->out *= g->channels, d.channels = 1;
    }
    const ptrdiff_t met = g->adaptive ? cols->n : reach(cols, cols->out), line = LINE / d.size;
    d.finds = finds;
    d.inside = min(cols->n, met - cols->lead);
    d.pitch = round_up(met, d.lasts || cols->stride == 2 ? 1 : cols->stride);
    d.rows = g->last ? 1 : clamp(POOL_BLOCK / d.size / d.pitch, 1, rows->out);
    if (g->last)
        d.lanes = min(g->channels, max(line, g->whole ? POOL_BLOCK / FC_POOL_PARTS / POOL_PIXELS / d.size
                                                      : POOL_BLOCK / d.size / d.pitch / line * line));
    if (g->whole)
        d.rows = 1;
    d.rows_met = reach(rows, rows->out);
    d.framed = !g->last && !g->whole && !finds && !g->adaptive && depth->k == 1 && depth->out == 1 && depth->n == 1 &&
               d.rows == rows->out && (rows->lead > 0 || d.rows_met > rows->n) && d.rows_met * d.pitch * d.size <= POOL_FRAME &&
               (!g->average || g->divisor != 0 ||
                (fc_pooling_window(&d, ROWS, 0).all == rows->k && fc_pooling_window(&d, ROWS, rows->out - 1).all == rows->k));
    if (!d.framed && !d.lasts && cols->stride <= 2)
        d.pitch = round_up(d.pitch, line);
    if (finds && !g->whole)
        describe_finding(&d, vector);
    return d;
}

double fc_pooling_bytes(const pooling *d)
{
    const fc_axis *axis = d->g->axis;
    return (double)d->g->images * (double)d->g->channels * (double)axis[COLS].n * (double)d->size * (double)axis[DEPTH].out *
           (double)axis[ROWS].out * (double)fc_pooling_most_taps(d, DEPTH) * (double)fc_pooling_most_taps(d, ROWS);
}

int fc_pooling_start(pooling *d, fc_task *run, void *context, double bytes)
{
    if (d->units == 0)
        return 0;
    const int threads = fc_threads_for(fc_time_us(RATE_POOLS, 0, 1, bytes), d->g->threads);
    d->share = clamp((ptrdiff_t)(POOL_CHUNK / (bytes / (double)d->units + 1)), 1, parts_of(d->units, threads));
    d->scratch = fc_borrow((size_t)times(threads, d->thread_bytes));
    if (d->scratch == NULL)
        return -1;
    fc_pool_run(threads, parts_of(d->units, d->share), run, context);
    fc_return(d->scratch);
    return 0;
}
