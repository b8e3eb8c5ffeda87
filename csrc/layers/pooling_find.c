/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The largest elements of some rows of outputs, and their indices. Rows of x come first, and then columns of what is found there, so that
 * of equals the first in the order of rows is found, and of NaN the last:
 *
 *   enter    rows of x that are not met where they lie: amid what lies beyond x, in phases of the stride; or, of planes whose rows are
 *            short, or whose windows are uneven, as pixels of some channels (lanes_in)
 *   across   of every row, for every column of outputs: the largest element, and its column
 *   down     of these, for every row of outputs: the largest, and its index, counted from the first element of the first of these rows
 *
 * Windows of one row are done after `across`. Indices within a block are integers as large as elements; so floats of 32 bits, in planes of
 * 2^31 elements or more, have no index here (Pool.far in arguments/pooling.py).
 * Windows that see nothing of x have the index -1.
 */
#include "layers/pooling.h"
#include <math.h>

/* What a call of fc_pooling_find has: rows of x, `count` of every plane, from `first` on; planes; and where results go */
typedef struct {
    const pooling *d;
    const parts *p;
    window z;
    ptrdiff_t first, step, count, rows; /* rows: of all planes */
    const char *x;                      /* the first of them, and from one to the next: */
    ptrdiff_t row, pixel;
    int alone; /* windows have one row each, as many as there are outputs */
    const fc_pooling_found *f;
} block;

static block meet(const pooling *d, const parts *p, const char *x, const window *z, ptrdiff_t row, ptrdiff_t rows)
{
    const fc_axis *a = &d->axis[ROWS];
    const window y = fc_pooling_window(d, ROWS, row);
    block b = {.d = d, .p = p, .z = *z, .first = y.first, .step = y.step, .count = y.count};
    if (rows > 1) {
        const ptrdiff_t last = (row + rows - 1) * a->stride - a->lead + (a->k - 1) * a->dilation;
        b.first = max(row * a->stride - a->lead, 0), b.step = 1, b.count = max(min(last + 1, a->n) - b.first, 0);
    }
    b.alone = !d->lasts && z->count == 1 && b.count == rows && fc_pooling_most_taps(d, DEPTH) == 1 &&
              fc_pooling_most_taps(d, ROWS) == 1;
    b.rows = z->count * b.count, b.x = x + z->first * d->axis[DEPTH].x_step + b.first * a->x_step;
    b.row = b.step * a->x_step / d->size, b.pixel = d->lasts ? d->axis[COLS].x_step / d->size : 1;
    return b;
}

/* Into the frame */
static void enter(block *b)
{
    const pooling *d = b->d;
    const fc_axis *cols = &d->axis[COLS];
    const ptrdiff_t plane = b->z.step * d->axis[DEPTH].x_step, pitch = d->pitch * d->lanes, s = cols->stride, none = 0;
    char *to = b->p->buffer + cols->lead * d->lanes * d->size;
    for (ptrdiff_t i = 0; i < b->z.count; i++, b->x += plane, to += b->count * pitch * d->size) {
        fc_pool k = {.x = b->x,
                     .to = to,
                     .at = &none,
                     .taps = 1,
                     .step = 1,
                     .rows = b->count,
                     .cols = d->inside,
                     .xs = b->row,
                     .os = pitch};
        if (d->turned)
            d->op->lanes_in(to, pitch, d->lanes, b->x, d->g->x_channel / d->size, b->row, 1, b->count, d->inside, b->f->lanes,
                            0);
        else if (!d->lasts)
            fc_pooling_reduce(d, &k);
        else
            for (ptrdiff_t j = 0; j < b->count; j++) {
                k.rows = d->inside, k.cols = d->lanes, k.xs = b->pixel, k.os = d->lanes;
                fc_pooling_reduce(d, &k);
                k.x = (const char *)k.x + b->row * d->size, k.to = (char *)k.to + pitch * d->size;
            }
    }
    b->x = b->p->buffer, b->row = pitch, b->pixel = d->lanes;
    if (s > 2 && !d->lasts) {
        fc_pooling_split(d, b->p, b->rows * d->pitch, s, b->rows * d->pitch / s);
        b->x = b->p->phases, b->row = d->pitch / s;
    }
}

/* n integers as large as elements get larger by so much */
static void raise(const pooling *d, void *which, ptrdiff_t n, ptrdiff_t by)
{
    if (d->size == 4)
        for (ptrdiff_t i = 0; i < n; i++)
            ((int32_t *)which)[i] += (int32_t)by;
    else
        for (ptrdiff_t i = 0; i < n; i++)
            ((int64_t *)which)[i] += by;
}

/* So many rows and columns at a time */
static void find(const pooling *d, const fc_pool *g, const fc_pool_find *found)
{
    if (fc_pooling_is_short(g)) {
        d->op->pool_find(g, found);
        return;
    }
    const ptrdiff_t wide = fc_pooling_at_once(g), tall = fc_pooling_rows_at_once(g, wide), size = d->size;
    for (ptrdiff_t i = 0; i < g->rows; i += tall)
        for (ptrdiff_t j = 0; j < g->cols && !(i + j > 0 && fc_gives_up()); j += wide) {
            const fc_pool k = fc_pooling_piece(d, g, i, tall, j, wide);
            const ptrdiff_t by = i * found->row + j * found->col;
            fc_pool_find f = *found;
            f.from = f.from ? (const char *)f.from + (i * g->xs + j) * size : NULL;
            f.which = (char *)f.which + (i * f.ws + j) * size;
            d->op->pool_find(&k, &f);
            for (ptrdiff_t r = 0; r < k.rows && by > 0; r++)
                raise(d, (char *)f.which + r * f.ws * size, k.cols, by);
        }
}

/* `rows` rows of x, whose results are those from row `first` on */
static void across(const block *b, const char *x, ptrdiff_t rows, ptrdiff_t first)
{
    const pooling *d = b->d;
    const parts *p = b->p;
    const fc_axis *cols = &d->axis[COLS];
    const ptrdiff_t s = cols->stride, outs = cols->out, wide = outs * d->lanes, split = x == p->phases ? b->rows * b->row : 0;
    fc_pool k = {
        .x = x, .to = p->value + first * wide * d->size, .at = p->across, .step = 1, .cols = d->lanes, .taps = cols->k};
    fc_pool_find f = {.which = p->which + first * wide * d->size, .place = p->place};
    k.by = cols->lead > 0 || d->g->adaptive ? p->none : NULL;
    for (ptrdiff_t t = 0; t < cols->k && !d->g->adaptive; t++) {
        p->across[t] = split ? t * cols->dilation % s * split + t * cols->dilation / s : t * cols->dilation * b->pixel;
        p->place[t] = t * cols->dilation - cols->lead;
    }
    if (b->alone)
        k.to = b->f->to, f.which = p->found, f.row = d->width, f.col = s;
    if (!d->lasts) {
        k.rows = rows, k.cols = outs, k.xs = b->row, k.os = f.ws = outs, k.step = s == 2 ? 2 : 1, k.by_col = k.by != NULL;
        find(d, &k, &f);
        return;
    }
    if (!d->g->adaptive) {
        k.rows = outs, k.xs = s * b->pixel, k.os = f.ws = d->lanes, f.row = s, k.by_row = k.by != NULL;
        for (ptrdiff_t i = 0; i < rows; i++) {
            find(d, &k, &f);
            k.x = (const char *)k.x + b->row * d->size, k.to = (char *)k.to + wide * d->size;
            f.which = (char *)f.which + wide * d->size;
        }
        return;
    }
    k.rows = rows, k.xs = b->row, k.os = f.ws = wide;
    for (ptrdiff_t o = 0; o < outs; o++) {
        const window w = fc_pooling_window(d, COLS, o);
        for (ptrdiff_t t = 0; t < w.count; t++)
            p->across[t] = (w.first + t) * b->pixel, p->place[t] = w.first + t;
        k.taps = w.count;
        find(d, &k, &f);
        k.by = (const char *)k.by + d->size, k.to = (char *)k.to + d->lanes * d->size;
        f.which = (char *)f.which + d->lanes * d->size;
    }
}

/* Rows of outputs from r on that see `y`, but for a shift */
static void down(const block *b, const window *y, ptrdiff_t r, ptrdiff_t rows)
{
    const pooling *d = b->d;
    const parts *p = b->p;
    const fc_axis *down = &d->axis[ROWS], *cols = &d->axis[COLS];
    const ptrdiff_t wide = cols->out * d->lanes, size = d->size;
    fc_pool k = {.x = p->value, .at = p->at, .step = 1, .rows = rows, .cols = wide, .xs = down->stride * wide, .os = wide};
    fc_pool_find f = {.from = p->which, .place = p->place, .ws = wide, .row = down->stride * d->width};
    f.which = p->found + r * wide * size, f.col = d->lasts ? 0 : cols->stride;
    k.to = d->turned ? p->turned + r * wide * size : b->f->to + r * cols->out * b->f->step * size;
    for (ptrdiff_t i = 0; i < b->z.count; i++)
        for (ptrdiff_t j = 0; j < y->count; j++) {
            const ptrdiff_t at = y->first + j * y->step - b->first;
            p->place[k.taps] = (i * b->z.step * d->height + at) * d->width;
            p->at[k.taps++] = (i * b->count + at / b->step) * wide;
        }
    if (!d->turned && b->f->step > d->lanes) /* channels of a pixel; one row */
        k.rows = cols->out, k.cols = k.xs = f.ws = d->lanes, k.os = b->f->step, f.row = 0;
    find(d, &k, &f);
}

/* n integers, so much larger; of millions, some at a time */
static void grow(const pooling *d, int64_t *to, ptrdiff_t step, const char *from, ptrdiff_t from_step, ptrdiff_t n,
                 int64_t base)
{
    const int narrow = d->size == 4;
    for (ptrdiff_t i = 0, end; i < n && !(i > 0 && fc_gives_up()); i = end) {
        end = min(i + POOL_AT_ONCE / 8, n);
        for (ptrdiff_t j = i; j < end; j++)
            to[j * step] = base + (narrow ? ((const int32_t *)(const void *)from)[j * from_step]
                                          : ((const int64_t *)(const void *)from)[j * from_step]);
    }
}

/* Row r of outputs, the row-th of its planes; sees: whether it sees anything */
static void deliver(const block *b, ptrdiff_t r, ptrdiff_t row, int sees)
{
    const pooling *d = b->d;
    const fc_pooling_found *f = b->f;
    const fc_axis *cols = &d->axis[COLS];
    const ptrdiff_t outs = cols->out, plane = row / d->tall * d->height, at = r * outs * f->step;
    const int64_t base = (b->z.first * d->height + b->first - plane) * d->width;
    const char *found = b->p->found + r * outs * d->lanes * d->size;
    for (ptrdiff_t o = 0; o < outs && !sees; o++)
        for (ptrdiff_t l = 0; l < f->lanes; l++) {
            const ptrdiff_t to = at + o * f->step + l * f->lane;
            fc_pooling_put(d, f->to, to, -INFINITY);
            if (f->index)
                f->index[to] = -1;
        }
    if (!sees || !f->index)
        return;
    if (d->turned)
        for (ptrdiff_t l = 0; l < f->lanes; l++)
            grow(d, f->index + at + l * f->lane, 1, found + l * d->size, d->lanes, outs, base);
    else if (f->step == d->lanes)
        grow(d, f->index + at, 1, found, 1, outs * d->lanes, base);
    else
        for (ptrdiff_t o = 0; o < outs; o++)
            grow(d, f->index + at + o * f->step, 1, found + o * d->lanes * d->size, 1, d->lanes, base);
    for (ptrdiff_t o = 0; o < outs && cols->dilation > 1; o++)
        if (fc_pooling_window(d, COLS, o).count == 0)
            for (ptrdiff_t l = 0; l < f->lanes; l++)
                f->index[at + o * f->step + l * f->lane] = -1;
}

void fc_pooling_find(const pooling *d, const parts *p, const char *x, const window *z, ptrdiff_t row, ptrdiff_t rows,
                     const fc_pooling_found *f)
{
    block b = meet(d, p, x, z, row, rows);
    b.f = f;
    const ptrdiff_t plane = b.z.step * d->axis[DEPTH].x_step;
    if (d->framed)
        enter(&b);
    for (ptrdiff_t i = 0; i < (d->framed ? min(b.rows, 1) : b.z.count) && b.count > 0; i++)
        across(&b, b.x + i * plane, d->framed ? b.rows : b.count, i * b.count);
    const int many = rows * d->axis[COLS].out * d->lanes >= POOL_AT_ONCE / 64;
    for (ptrdiff_t r = 0, same; r < rows && !(many && fc_gives_up()); r += same) {
        const window y = fc_pooling_window(d, ROWS, row + r);
        same = !d->turned && f->step > d->lanes ? 1 : fc_pooling_alike(d, &y, rows - r);
        const int sees = z->count > 0 && y.count > 0;
        if (sees && !b.alone)
            down(&b, &y, r, same);
        if (sees && d->turned)
            d->op->lanes_out(f->to + r * d->axis[COLS].out * d->size, f->lane, 1,
                             p->turned + r * d->axis[COLS].out * d->lanes * d->size, same * d->axis[COLS].out, f->lanes, 0);
        for (ptrdiff_t i = r; i < r + same; i++)
            deliver(&b, i, row + i, sees);
    }
}
