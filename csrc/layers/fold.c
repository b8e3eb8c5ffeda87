/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Windows as columns of a matrix (im2col), and the adjoint, which adds columns back to where they came from (col2im).
 *
 *   unfold   out[plane][tap][o] = x[plane][o * stride - lead + tap * dilation], zero outside
 *   fold     out[plane][i]      = sum of x[plane][tap][o], taps and o with o * stride - lead + tap * dilation = i
 *
 * Both go row by row. Outputs o from `from` to `end` of a row meet elements of a row of the picture under a column of taps:
 *
 *      unfold, stride 2     picture   0 1 2 3 4 5       fold, stride 2     row of columns   a b c
 *      lead 1, tap 0              .   |   |   |                            phase 1 of the picture:  + a b c
 *                            row  0   1   3   5                            phases are joined when all taps are added
 *
 * A block of a row of the folded picture is gathered from all rows of columns that reach it, taps ascending, and written by one
 * thread. Tables say which these are: to divide by strides for every short row would take longer than to add it. They are no
 * larger than the picture has rows: the taps that meet an element are as far apart as the stride takes to come back to it.
 *
 * Axes of one element come first, so that a row is what something slides along: a signal in a column is folded as one in a row.
 */
#include "layers/layer.h"
#include <string.h>

typedef struct {
    const fc_fold *g;
    const fc_ops *op;                  /* of the whole call */
    fc_axis axis[FC_AXES];             /* those of one element first */
    ptrdiff_t taps, outputs, elements; /* of a plane */
    ptrdiff_t blocks;                  /* of a row of the picture */
    ptrdiff_t parts, parts_chunk;      /* of a plane: rows of taps, or blocks of the picture; of a chunk */
    ptrdiff_t segment;                 /* elements of a phase of a block; 0: taps are added where they belong */
    struct line {
        ptrdiff_t tap, output, count; /* the first tap that meets an element, with which output; how many do */
    } *line[2];                       /* depth, rows: for every element */
    ptrdiff_t tap_step[2], back[2];   /* from one of these taps to the next, whose output is so much nearer */
    struct column {
        ptrdiff_t from, end, at; /* outputs of a row; where what they meet lies in sums */
    } *column;                   /* for every column of taps; NULL: rows have several blocks, each with its own */
    fc_room tables;              /* these */
    ptrdiff_t thread_bytes;      /* of the sums of a thread */
    char *scratch;
} fold;

/* Outputs of an axis whose element under a tap lies inside, and that of output 0 */
typedef struct { ptrdiff_t from, end, first; } span;
static span fold_span(const fc_axis *a, ptrdiff_t tap)
{
    span s = {.first = tap * a->dilation - a->lead};
    inside(a->n, a->stride, s.first, a->out, &s.from, &s.end);
    return s;
}

/* Rows of outputs under one tap, `count` of them. Where they are as long as those of the picture, they are copied at once, with
 * what then is outside. */
static void unfold_copy(const fold *d, char *to, const char *from, ptrdiff_t row_step, const span *c, ptrdiff_t count)
{
    const fc_axis *cols = &d->axis[COLS];
    const ptrdiff_t size = d->g->size, n = c->end - c->from;
    const ptrdiff_t wide = cols->out * size, left = c->from * size, right = wide - c->end * size;
    if (cols->stride == 1 && cols->out == cols->n && cols->x_step == size && row_step == wide) {
        memcpy(to + left, from, (size_t)((count - 1) * wide + n * size));
        for (ptrdiff_t i = 0; i < count && n < cols->out; i++, to += wide) {
            memset(to, 0, (size_t)left);
            memset(to + wide - right, 0, (size_t)right);
        }
        return;
    }
    for (ptrdiff_t i = 0; i < count; i++, to += wide, from += row_step) {
        if (left > 0)
            memset(to, 0, (size_t)left);
        fc_copy_row(to + left, size, from, cols->stride * cols->x_step, n, size);
        if (right > 0)
            memset(to + wide - right, 0, (size_t)right);
    }
}

/* A row of taps of a plane: `tap` counts (depth, row) */
static void unfold_row(const fold *d, ptrdiff_t plane, ptrdiff_t tap)
{
    const fc_fold *g = d->g;
    const fc_axis *depth = &d->axis[DEPTH], *rows = &d->axis[ROWS], *cols = &d->axis[COLS];
    const ptrdiff_t size = g->size, wide = cols->out * size;
    const span z = fold_span(depth, tap / rows->k), r = fold_span(rows, tap % rows->k);
    const char *x = g->x + plane / g->channels * g->x_image + plane % g->channels * g->x_channel;
    char *to = g->out + (plane * d->taps + tap * cols->k) * d->outputs * size;
    for (ptrdiff_t t = 0; t < cols->k; t++) {
        const span c = fold_span(cols, t);
        for (ptrdiff_t i = 0; i < depth->out; i++, to += rows->out * wide) {
            ptrdiff_t from = i < z.from || i >= z.end || c.from == c.end ? rows->out : r.from, end = max(from, r.end);
            memset(to, 0, (size_t)(from * wide));
            if (end > from)
                unfold_copy(d, to + from * wide,
                            x + (z.first + i * depth->stride) * depth->x_step + (r.first + from * rows->stride) * rows->x_step +
                                (c.first + c.from * cols->stride) * cols->x_step,
                            rows->stride * rows->x_step, &c, end - from);
            memset(to + end * wide, 0, (size_t)((rows->out - end) * wide));
        }
    }
}

/* Elements of a row of columns, to where they belong in a row of the picture */
static void fold_add_apart(char *to, const char *x, ptrdiff_t step, ptrdiff_t n, ptrdiff_t size)
{
    if (size == 4)
        for (ptrdiff_t j = 0; j < n; j++)
            ((float *)(void *)to)[j * step] += ((const float *)(const void *)x)[j];
    else
        for (ptrdiff_t j = 0; j < n; j++)
            ((double *)(void *)to)[j * step] += ((const double *)(const void *)x)[j];
}

/* Outputs under a column of taps that meet `n` elements of a row of the picture, from `first` on, and where these are in sums */
static struct column fold_column(const fold *d, ptrdiff_t tap, ptrdiff_t first, ptrdiff_t n)
{
    const fc_axis *cols = &d->axis[COLS];
    const ptrdiff_t step = cols->stride, start = tap * cols->dilation - cols->lead - first;
    struct column c;
    inside(n, step, start, cols->out, &c.from, &c.end);
    c.at = c.end > c.from ? start + c.from * step : 0;
    if (d->segment)
        c.at = c.at % step * d->segment + c.at / step;
    return c;
}

/* Rows of columns under one row of taps, to where they belong in `n` elements of a row of the picture */
static void fold_add(const fold *d, char *sums, const char *from, ptrdiff_t first, ptrdiff_t n)
{
    const ptrdiff_t size = d->g->size, step = d->axis[COLS].stride;
    for (ptrdiff_t t = 0; t < d->axis[COLS].k; t++, from += d->outputs * size) {
        const struct column c = d->column ? d->column[t] : fold_column(d, t, first, n);
        if (d->segment || step == 1)
            d->op->add(sums + c.at * size, sums + c.at * size, from + c.from * size, c.end - c.from);
        else
            fold_add_apart(sums + c.at * size, from + c.from * size, step, c.end - c.from, size);
    }
}

/* A block of the picture: `part` counts (depth, row, block). Its phases, if they are apart, are in `sums`. */
static void fold_block(const fold *d, ptrdiff_t plane, ptrdiff_t part, char *sums)
{
    const fc_fold *g = d->g;
    const fc_axis *rows = &d->axis[ROWS], *cols = &d->axis[COLS];
    const ptrdiff_t size = g->size, step = cols->stride, row = part / d->blocks, first = part % d->blocks * FOLD_BLOCK;
    const ptrdiff_t n = min(FOLD_BLOCK, cols->n - first);
    char *to = g->out + (plane * d->elements + row * cols->n + first) * size;
    if (d->segment == 0)
        sums = to;
    memset(sums, 0, (size_t)((d->segment ? step * d->segment : n) * size));
    const struct line a = d->line[DEPTH][row / rows->n], b = d->line[ROWS][row % rows->n];
    const char *x = g->x + plane * d->taps * d->outputs * size;
    for (ptrdiff_t z = 0; z < a.count; z++)
        for (ptrdiff_t r = 0; r < b.count; r++) {
            ptrdiff_t tap = (a.tap + z * d->tap_step[DEPTH]) * rows->k + b.tap + r * d->tap_step[ROWS];
            ptrdiff_t output = (a.output - z * d->back[DEPTH]) * rows->out + b.output - r * d->back[ROWS];
            fold_add(d, sums, x + (tap * cols->k * d->outputs + output * cols->out) * size, first, n);
        }
    if (d->segment && step == 2)
        d->op->join(to, sums, sums + d->segment * size, n);
    else if (d->segment)
        for (ptrdiff_t p = 0; p < min(step, n); p++)
            fc_copy_row(to + p * size, step * size, sums + p * d->segment * size, size, parts_of(n - p, step), size);
}

/* Which taps and outputs meet the elements of an axis: of depths or of rows. Taps `tap_step` apart, with outputs `back` apart,
 * meet the same elements, and no others do. */
static void fold_tabulate(fold *d, int which)
{
    const fc_axis *a = &d->axis[which];
    const ptrdiff_t common = common_divisor(a->stride, a->dilation);
    const ptrdiff_t tap_step = d->tap_step[which] = a->stride / common, back = d->back[which] = a->dilation / common;
    memset(d->line[which], 0, (size_t)a->n * sizeof(struct line));
    for (ptrdiff_t t = 0; t < min(tap_step, a->k); t++) {
        const ptrdiff_t first = t * a->dilation - a->lead; /* the element that output 0 meets */
        ptrdiff_t i = modulo(first, a->stride), o = (i - first) / a->stride;
        for (; i < a->n; i += a->stride, o++) {
            const ptrdiff_t skipped = o < a->out ? 0 : parts_of(o - a->out + 1, back);
            const ptrdiff_t end = o < 0 ? 0 : min(o / back, (a->k - 1 - t) / tap_step) + 1;
            if (end > skipped)
                d->line[which][i] = (struct line){t + skipped * tap_step, o - skipped * back, end - skipped};
        }
    }
}

static char *fold_lay_sums(const fold *d, fc_room *r)
{
    return fc_part(r, "sums", times(d->axis[COLS].stride, d->segment), d->g->size);
}

static void fold_lay_tables(fold *d, fc_room *r)
{
    for (int a = DEPTH; a <= ROWS; a++)
        d->line[a] = fc_part(r, "lines", d->axis[a].n, sizeof *d->line[a]);
    if (d->blocks == 1)
        d->column = fc_part(r, "columns", d->axis[COLS].k, sizeof *d->column);
}

/* index counts (plane, parts) */
static void fold_chunk(void *context, ptrdiff_t index, int slot)
{
    const fold *d = context;
    const ptrdiff_t shares = parts_of(d->parts, d->parts_chunk), plane = index / shares;
    const ptrdiff_t from = index % shares * d->parts_chunk;
    fc_room room = fc_room_at(d->scratch, d->thread_bytes, slot);
    char *sums = d->scratch ? fold_lay_sums(d, &room) : NULL;
    for (ptrdiff_t part = from; part < min(from + d->parts_chunk, d->parts); part++)
        if (d->g->folds)
            fold_block(d, plane, part, sums);
        else
            unfold_row(d, plane, part);
    fc_close(&room);
}

/* Scratch and tables for fold_block; returns 0, or -1 */
static int fold_prepare(fold *d, int threads)
{
    const fc_axis *cols = &d->axis[COLS];
    const ptrdiff_t step = cols->stride, n = min(FOLD_BLOCK, cols->n);
    /* Phases of more than two pay if several columns of taps are added to one. They have whole lines, and a vector more for
     * those that read one, which is too much where they are short. */
    ptrdiff_t segment = (n / step + 1 + 2 * LINE) / LINE * LINE;
    if (step == 2 || (step > 2 && cols->k > step && step <= 2 * FOLD_BLOCK / segment))
        d->segment = segment;
    fc_room sums = {0}, tables = {0};
    fold_lay_sums(d, &sums);
    fold_lay_tables(d, &tables);
    char *memory = fc_borrow((size_t)plus(tables.bytes, times(threads, sums.bytes)));
    if (memory == NULL)
        return -1;
    d->thread_bytes = sums.bytes;
    d->scratch = memory + tables.bytes;
    d->tables.block = memory;
    fold_lay_tables(d, &d->tables);
    fold_tabulate(d, DEPTH);
    fold_tabulate(d, ROWS);
    for (ptrdiff_t t = 0; d->column && t < cols->k; t++)
        d->column[t] = fold_column(d, t, 0, cols->n);
    return 0;
}

int fc_fold_run(const fc_fold *g)
{
    fold d = {.g = g, .op = fc_in_use()->op[g->size == 4 ? FC_F32 : FC_F64]};
    fc_sort_axes(d.axis, g->axis);
    const fc_axis *depth = &d.axis[DEPTH], *rows = &d.axis[ROWS], *cols = &d.axis[COLS];
    d.taps = depth->k * rows->k * cols->k;
    d.outputs = depth->out * rows->out * cols->out;
    d.elements = depth->n * rows->n * cols->n;
    d.blocks = parts_of(cols->n, FOLD_BLOCK);
    d.parts = g->folds ? depth->n * rows->n * d.blocks : depth->k * rows->k;
    const ptrdiff_t planes = g->images * g->channels, columns = d.taps * d.outputs * g->size;
    if (planes * d.parts == 0)
        return 0;
    d.parts_chunk = clamp(FOLD_CHUNK / (columns / d.parts + 1), 1, d.parts);
    int threads = fc_threads_for(fc_time_us(RATE_FOLDS, 0, 1, (double)planes * (double)columns), g->threads);
    if (g->folds && fold_prepare(&d, threads) != 0)
        return -1;
    fc_pool_run(threads, planes * parts_of(d.parts, d.parts_chunk), fold_chunk, &d);
    fc_close(&d.tables);
    if (d.tables.block)
        fc_return(d.tables.block);
    return 0;
}
