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
 * A row of the folded picture is gathered from all rows of columns that reach it, taps ascending, and written by one thread.
 * Tables say which these are: to divide by strides for every short row would take longer than to add it.
 */
#include "call.h"
#include <string.h>

enum { CHUNK = 1 << 16 /* bytes written by a chunk, about */ };

typedef struct {
    const fc_fold *g;
    const fc_kernels *fc;              /* of the whole call */
    ptrdiff_t taps, outputs, elements; /* of a plane */
    ptrdiff_t rows, rows_chunk;        /* of a plane: rows of taps, or of the picture; of a chunk */
    ptrdiff_t segment;                 /* elements of a phase of a row of the picture; 0: taps are added where they belong */
    ptrdiff_t *line[2];                /* depth, rows: the output that meets element i under tap t, at [i * k + t]; -1: none */
    struct column {
        ptrdiff_t from, end, at;       /* outputs of a row; where what they meet lies in sums */
    } *column;                         /* for every column of taps */
    ptrdiff_t room;                    /* bytes of the sums of a thread */
    char *scratch;
} driver;

/* Outputs of an axis whose element under a tap lies inside, and that of output 0 */
typedef struct {
    ptrdiff_t from, end, first;
} span;
static span span_of(const fc_axis *a, ptrdiff_t tap)
{
    span s = {.first = tap * a->dilation - a->lead};
    inside(a->n, a->stride, s.first, a->out, &s.from, &s.end);
    return s;
}

/* Rows of outputs under one tap, `count` of them. Where they are as long as those of the picture, they are copied at once, with
 * what then is outside. */
static void copy_rows(const driver *d, char *to, const char *from, ptrdiff_t row_step, const span *c, ptrdiff_t count)
{
    const fc_axis *cols = &d->g->axis[COLS];
    const ptrdiff_t size = d->g->size, wide = cols->out * size, n = c->end - c->from, left = c->from * size, right = wide - c->end * size;
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
static void unfold_row(const driver *d, ptrdiff_t plane, ptrdiff_t tap)
{
    const fc_fold *g = d->g;
    const fc_axis *depth = &g->axis[DEPTH], *rows = &g->axis[ROWS], *cols = &g->axis[COLS];
    const ptrdiff_t size = g->size, wide = cols->out * size;
    const span z = span_of(depth, tap / rows->k), r = span_of(rows, tap % rows->k);
    const char *x = g->x + plane / g->channels * g->x_image + plane % g->channels * g->x_channel;
    char *to = g->out + (plane * d->taps + tap * cols->k) * d->outputs * size;
    for (ptrdiff_t t = 0; t < cols->k; t++) {
        const span c = span_of(cols, t);
        for (ptrdiff_t i = 0; i < depth->out; i++, to += rows->out * wide) {
            ptrdiff_t from = i < z.from || i >= z.end || c.from == c.end ? rows->out : r.from, end = max(from, r.end);
            memset(to, 0, (size_t)(from * wide));
            if (end > from)
                copy_rows(d, to + from * wide, x + (z.first + i * depth->stride) * depth->x_step +
                          (r.first + from * rows->stride) * rows->x_step + (c.first + c.from * cols->stride) * cols->x_step,
                          rows->stride * rows->x_step, &c, end - from);
            memset(to + end * wide, 0, (size_t)((rows->out - end) * wide));
        }
    }
}

/* Elements of a row of columns, to where they belong in a row of the picture */
static void add_apart(char *to, const char *x, ptrdiff_t step, ptrdiff_t n, ptrdiff_t size)
{
    if (size == 4)
        for (ptrdiff_t j = 0; j < n; j++)
            ((float *)(void *)to)[j * step] += ((const float *)(const void *)x)[j];
    else
        for (ptrdiff_t j = 0; j < n; j++)
            ((double *)(void *)to)[j * step] += ((const double *)(const void *)x)[j];
}

/* A row of the picture: `row` counts (depth, row). Its phases, if they are apart, are in `sums`. */
static void fold_row(const driver *d, ptrdiff_t plane, ptrdiff_t row, char *sums)
{
    const fc_fold *g = d->g;
    const fc_axis *depth = &g->axis[DEPTH], *rows = &g->axis[ROWS], *cols = &g->axis[COLS];
    const ptrdiff_t size = g->size, step = cols->stride;
    fc_add_fn *add = size == 4 ? d->fc->add_f32 : d->fc->add_f64;
    char *to = g->out + (plane * d->elements + row * cols->n) * size;
    if (d->segment == 0)
        sums = to;
    memset(sums, 0, (size_t)((d->segment ? step * d->segment : cols->n) * size));
    const ptrdiff_t *plane_of = d->line[DEPTH] + row / rows->n * depth->k, *line_of = d->line[ROWS] + row % rows->n * rows->k;
    const char *x = g->x + plane * d->taps * d->outputs * size;
    for (ptrdiff_t z = 0; z < depth->k; z++)
        for (ptrdiff_t r = 0; r < rows->k; r++) {
            if (plane_of[z] < 0 || line_of[r] < 0)
                continue;
            const char *from = x + ((z * rows->k + r) * cols->k * d->outputs + (plane_of[z] * rows->out + line_of[r]) * cols->out) * size;
            for (const struct column *c = d->column; c < d->column + cols->k; c++, from += d->outputs * size)
                if (d->segment || step == 1)
                    add(sums + c->at * size, sums + c->at * size, from + c->from * size, c->end - c->from);
                else
                    add_apart(sums + c->at * size, from + c->from * size, step, c->end - c->from, size);
        }
    if (d->segment && step == 2)
        (size == 4 ? d->fc->join_f32 : d->fc->join_f64)(to, sums, sums + d->segment * size, cols->n);
    else if (d->segment)
        for (ptrdiff_t p = 0; p < min(step, cols->n); p++)
            fc_copy_row(to + p * size, step * size, sums + p * d->segment * size, size, parts_of(cols->n - p, step), size);
}

/* Tables for fold_row */
static void tabulate(driver *d)
{
    const fc_fold *g = d->g;
    for (int a = DEPTH; a <= ROWS; a++) {
        const fc_axis *axis = &g->axis[a];
        for (ptrdiff_t i = 0; i < axis->n * axis->k; i++)
            d->line[a][i] = -1;
        for (ptrdiff_t t = 0; t < axis->k; t++) {
            const span s = span_of(axis, t);
            for (ptrdiff_t o = s.from; o < s.end; o++)
                d->line[a][(s.first + o * axis->stride) * axis->k + t] = o;
        }
    }
    for (ptrdiff_t t = 0, step = g->axis[COLS].stride; t < g->axis[COLS].k; t++) {
        const span s = span_of(&g->axis[COLS], t);
        ptrdiff_t first = s.end > s.from ? s.first + s.from * step : 0;
        d->column[t] = (struct column){s.from, s.end, d->segment ? first % step * d->segment + first / step : first};
    }
}

/* index counts (plane, rows) */
static void chunk(void *context, ptrdiff_t index, int slot)
{
    const driver *d = context;
    const ptrdiff_t shares = parts_of(d->rows, d->rows_chunk), plane = index / shares;
    const ptrdiff_t from = index % shares * d->rows_chunk;
    for (ptrdiff_t row = from; row < min(from + d->rows_chunk, d->rows); row++)
        if (d->g->folds)
            fold_row(d, plane, row, d->scratch + slot * d->room);
        else
            unfold_row(d, plane, row);
}

int fc_fold_run(const fc_fold *g)
{
    const fc_axis *depth = &g->axis[DEPTH], *rows = &g->axis[ROWS], *cols = &g->axis[COLS];
    driver d = {.g = g, .fc = fc_in_use(), .taps = depth->k * rows->k * cols->k, .outputs = depth->out * rows->out * cols->out,
                .elements = depth->n * rows->n * cols->n};
    const ptrdiff_t planes = g->images * g->channels, columns = d.taps * d.outputs * g->size;
    d.rows = g->folds ? depth->n * rows->n : depth->k * rows->k;
    if (planes * d.rows == 0)
        return 0;
    d.rows_chunk = clamp(CHUNK / (columns / d.rows + 1), 1, d.rows);
    enum { BYTES_PER_US = 8000 };
    int threads = fc_threads_for((double)planes * (double)columns / BYTES_PER_US, g->threads);
    if (g->folds) {
        const ptrdiff_t step = cols->stride; /* of more than two, phases pay if several columns of taps are added to one */
        if (step == 2 || (step > 2 && cols->k > step)) /* whole lines, and a vector more for those that read one */
            d.segment = (cols->n / step + 1 + 2 * LINE) / LINE * LINE;
        d.room = step * d.segment * g->size;
        size_t of_depth = (size_t)(depth->n * depth->k), of_rows = (size_t)(rows->n * rows->k);
        size_t tables = (of_depth + of_rows) * sizeof(ptrdiff_t) + (size_t)cols->k * sizeof(struct column);
        d.scratch = fc_borrow((size_t)threads * (size_t)d.room + tables);
        if (d.scratch == NULL)
            return -1;
        d.line[DEPTH] = (ptrdiff_t *)(void *)(d.scratch + threads * d.room);
        d.line[ROWS] = d.line[DEPTH] + of_depth;
        d.column = (struct column *)(void *)(d.line[ROWS] + of_rows);
        tabulate(&d);
    }
    fc_pool_run(threads, planes * parts_of(d.rows, d.rows_chunk), chunk, &d);
    if (d.scratch)
        fc_return(d.scratch);
    return 0;
}
