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
 * A chunk of fold is a band of rows of the picture, which one thread writes: all columns that reach it are added, taps ascending.
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
    ptrdiff_t share;                   /* rows of taps, or of a depth of the picture, of a chunk */
    ptrdiff_t segment;                 /* elements of a phase of a row; 0: taps are added where they belong */
    ptrdiff_t thread_bytes;
    char *scratch;
} fold;

/* Outputs of an axis that meet, under a tap, some of n elements from `first` on; `at`: where of these output 0 does */
typedef struct { ptrdiff_t from, end, at; } span;
static span fold_span(const fc_axis *a, ptrdiff_t tap, ptrdiff_t first, ptrdiff_t n)
{
    span s = {.at = tap * a->dilation - a->lead - first};
    inside(n, a->stride, s.at, a->out, &s.from, &s.end);
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
    const span z = fold_span(depth, tap / rows->k, 0, depth->n), r = fold_span(rows, tap % rows->k, 0, rows->n);
    const char *x = g->x + plane / g->channels * g->x_image + plane % g->channels * g->x_channel;
    char *to = g->out + (plane * d->taps + tap * cols->k) * d->outputs * size;
    for (ptrdiff_t t = 0; t < cols->k; t++) {
        const span c = fold_span(cols, t, 0, cols->n);
        for (ptrdiff_t i = 0; i < depth->out && !(t > 0 && fc_gives_up()); i++, to += rows->out * wide) {
            ptrdiff_t from = i < z.from || i >= z.end || c.from == c.end ? rows->out : r.from, end = max(from, r.end);
            memset(to, 0, (size_t)(from * wide));
            if (end > from)
                unfold_copy(d, to + from * wide,
                            x + (z.at + i * depth->stride) * depth->x_step + (r.at + from * rows->stride) * rows->x_step +
                                (c.at + c.from * cols->stride) * cols->x_step,
                            rows->stride * rows->x_step, &c, end - from);
            memset(to + end * wide, 0, (size_t)((rows->out - end) * wide));
        }
    }
}

/* index counts (plane, rows of taps) */
static void unfold_chunk(void *context, ptrdiff_t index, int slot)
{
    const fold *d = context;
    ptrdiff_t first, rows = next_piece(&index, d->axis[DEPTH].k * d->axis[ROWS].k, d->share, &first);
    for (ptrdiff_t tap = first; tap < first + rows; tap++)
        unfold_row(d, index, tap);
    (void)slot;
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

/* Rows of columns under one tap to a band of the picture, whose rows are `pitch` elements apart. at: of the columns, where the first
 * of them belongs */
static void fold_add(const fold *d, char *to, ptrdiff_t pitch, const char *from, const span *rows, const span *cols)
{
    const ptrdiff_t size = d->g->size, step = d->axis[COLS].stride, n = cols->end - cols->from;
    if (rows->end == rows->from || n == 0)
        return;
    to += ((rows->at + rows->from * d->axis[ROWS].stride) * pitch + cols->at) * size;
    from += (rows->from * d->axis[COLS].out + cols->from) * size;
    for (ptrdiff_t i = rows->from; i < rows->end; i++) {
        if (d->segment || step == 1)
            d->op->add(to, to, from, n);
        else
            fold_add_apart(to, from, step, n, size);
        to += d->axis[ROWS].stride * pitch * size, from += d->axis[COLS].out * size;
    }
}

/* What a thread works with: the phases of a band, if they are apart; and where columns of taps are added */
typedef struct {
    char *sums;
    span *column;
} band;
static void fold_lay_parts(const fold *d, fc_room *r, band *b)
{
    b->sums = fc_part(r, "sums", times(d->share, times(d->axis[COLS].stride, d->segment)), d->g->size);
    b->column = fc_part(r, "columns", d->axis[COLS].k, sizeof *b->column);
}

/* index counts (plane, depth, band, block of columns) */
static void fold_chunk(void *context, ptrdiff_t index, int slot)
{
    const fold *d = context;
    const fc_axis *depth = &d->axis[DEPTH], *rows = &d->axis[ROWS], *cols = &d->axis[COLS];
    const ptrdiff_t size = d->g->size, step = cols->stride, segment = d->segment, plane_out = rows->out * cols->out;
    const ptrdiff_t pitch = segment ? step * segment : cols->n;
    ptrdiff_t first, row, z, n = next_piece(&index, cols->n, FOLD_BLOCK, &first);
    const ptrdiff_t tall = next_piece(&index, rows->n, d->share, &row);
    next_piece(&index, depth->n, 1, &z);
    fc_room room = fc_room_at(d->scratch, d->thread_bytes, slot);
    band b;
    fold_lay_parts(d, &room, &b);
    char *to = d->g->out + (index * d->elements + (z * rows->n + row) * cols->n + first) * size, *sums = segment ? b.sums : to;
    const char *x = d->g->x + index * d->taps * d->outputs * size;
    for (ptrdiff_t t = 0; t < cols->k; t++) {
        span c = fold_span(cols, t, first, n);
        c.at = c.end > c.from ? c.at + c.from * step : 0;
        if (segment)
            c.at = c.at % step * segment + c.at / step;
        b.column[t] = c;
    }
    for (ptrdiff_t i = 0; i < tall; i++)
        memset(sums + i * pitch * size, 0, (size_t)((segment ? pitch : n) * size));
    for (ptrdiff_t k = 0; k < depth->k; k++) {
        const span of_z = fold_span(depth, k, z, 1);
        for (ptrdiff_t r = 0; r < rows->k && of_z.end > of_z.from; r++) {
            const span of_row = fold_span(rows, r, row, tall);
            const char *from = x + ((k * rows->k + r) * cols->k * d->outputs + of_z.from * plane_out) * size;
            for (ptrdiff_t t = 0; t < cols->k; t++, from += d->outputs * size)
                fold_add(d, sums, pitch, from, &of_row, &b.column[t]);
        }
    }
    for (ptrdiff_t i = 0; i < tall && segment; i++, to += cols->n * size, sums += pitch * size)
        if (step == 2)
            d->op->join(to, sums, sums + segment * size, n);
        else
            for (ptrdiff_t p = 0; p < min(step, n); p++)
                fc_copy_row(to + p * size, step * size, sums + p * segment * size, size, parts_of(n - p, step), size);
    fc_close(&room);
}

/* float16, by a call for float32 */
static int fold_halves(const fc_fold *g)
{
    const fc_ops *op = fc_in_use()->op[FC_F32];
    ptrdiff_t columns = g->images * g->channels, elements = columns;
    for (int i = DEPTH; i <= COLS; i++)
        columns *= g->axis[i].k * g->axis[i].out, elements *= g->axis[i].n;
    const ptrdiff_t bytes = whole_lines(times(columns, sizeof(float)));
    char *x = fc_borrow((size_t)plus(bytes, times(elements, sizeof(float))));
    if (x == NULL)
        return -1;
    fc_fold wide = *g;
    wide.size = sizeof(float), wide.x = x, wide.out = x + bytes;
    op->widen(x, FC_F16, g->x, columns);
    const int status = fc_fold_run(&wide);
    if (status == 0)
        op->narrow(g->out, FC_F16, wide.out, elements, 1, FC_TRUNCATED);
    fc_return(x);
    return status;
}

int fc_fold_run(const fc_fold *g)
{
    if (g->folds && g->size == 2)
        return fold_halves(g);
    fold d = {.g = g, .op = fc_in_use()->op[g->size == 4 ? FC_F32 : FC_F64]};
    fc_sort_axes(d.axis, g->axis);
    const fc_axis *depth = &d.axis[DEPTH], *rows = &d.axis[ROWS], *cols = &d.axis[COLS];
    d.taps = depth->k * rows->k * cols->k;
    d.outputs = depth->out * rows->out * cols->out;
    d.elements = depth->n * rows->n * cols->n;
    const ptrdiff_t blocks = parts_of(cols->n, FOLD_BLOCK), planes = g->images * g->channels, step = cols->stride;
    const ptrdiff_t parts = g->folds ? depth->n * rows->n * blocks : depth->k * rows->k, columns = d.taps * d.outputs * g->size;
    if (planes * parts == 0)
        return 0;
    /* Phases of more than two pay if several columns of taps are added to one. They have whole lines, and a vector more for
     * those that read one, which is too much where they are short. */
    const ptrdiff_t segment = (min(FOLD_BLOCK, cols->n) / step + 1 + 2 * LINE) / LINE * LINE;
    if (g->folds && (step == 2 || (step > 2 && cols->k > step && step <= 2 * FOLD_BLOCK / segment)))
        d.segment = segment;
    d.share = clamp(FOLD_CHUNK / (columns / parts + step * d.segment * g->size + 1), 1, g->folds ? rows->n : parts);
    int threads = fc_threads_for(fc_time_us(RATE_FOLDS, 0, 1, (double)planes * (double)columns), g->threads);
    if (!g->folds) {
        fc_pool_run(threads, planes * parts_of(parts, d.share), unfold_chunk, &d);
        return 0;
    }
    fc_room room = {0};
    fold_lay_parts(&d, &room, &(band){0});
    d.thread_bytes = room.bytes;
    d.scratch = fc_borrow((size_t)times(threads, d.thread_bytes));
    if (d.scratch == NULL)
        return -1;
    fc_pool_run(threads, planes * depth->n * parts_of(rows->n, d.share) * blocks, fold_chunk, &d);
    fc_return(d.scratch);
    return 0;
}
