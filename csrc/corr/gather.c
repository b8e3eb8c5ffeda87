/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Elements of x into a scratch tile, for the micro-kernels to read: with the boundary applied, widened to
 * the type of the arithmetic, from any strides. A column stride s is taken apart into its phases, so that what
 * neighbouring outputs read lies side by side:
 *
 *      x row     0 1 2 3 4 5 6 7 8        s = 3         tile row   0 3 6 | 1 4 7 | 2 5 8
 */
#include "corr/gather.h"
#include <string.h>

void fc_describe_source(source *x, const fc_kernels *fc, const fc_axis *axis, int type, int x_type, double fill,
                        int64_t integer_fill)
{
    x->axis = axis;
    x->type = type, x->size = fc_stored_size(type);
    x->lanes = fc->vector_bytes / x->size;
    x->x_type = x_type, x->stored = fc_stored_size(x_type);
    x->op = type < FC_TYPES ? fc->op[type] : NULL, x->moves = fc->op[x->size == 4 ? FC_F32 : FC_F64];
    if (type <= FC_F64)
        x->op->widen(x->fill, FC_F64, &fill, 1);
    else if (!x->op)
        memcpy(x->fill, &integer_fill, (size_t)x->size);
    else
        x->op->widen(x->fill, FC_I64, &integer_fill, 1);
}

void fc_gather_parts(const source *x, fc_room *r, gather_room *s, ptrdiff_t cols)
{
    s->column = fc_part(r, "column", cols, sizeof *s->column);
    if (x->x_type != x->type)
        s->raw = fc_part(r, "raw", cols, x->stored);
    if (x->axis[COLS].stride > 1)
        s->row = fc_part(r, "row", cols, x->size);
}

void fc_put_fill(const source *x, char *row, ptrdiff_t first, ptrdiff_t n)
{
    ptrdiff_t from, end;
    inside(x->axis[COLS].n, 1, first, n, &from, &end);
    fc_copy_row(row, x->size, x->fill, 0, from, x->size);
    fc_copy_row(row + end * x->size, x->size, x->fill, 0, n - end, x->size);
}

void fc_gather_adjacent(const source *x, const gather_room *s, char *to, const char *from, ptrdiff_t step, ptrdiff_t n)
{
    const int converts = x->x_type != x->type;
    char *raw = converts ? s->raw : to;
    if (!converts || step != x->stored) {
        fc_copy_row(raw, x->stored, from, step, n, x->stored);
        from = raw;
    }
    if (converts)
        x->op->widen(to, x->x_type, from, n);
}

/* The same, from the columns of a row that `column` names; -1: the fill value */
static void gather_named(const source *x, char *to, const char *row, const ptrdiff_t *column, ptrdiff_t n)
{
    const ptrdiff_t step = x->axis[COLS].x_step;
#define PICK(copy)                                                                                           \
    for (; n > 0; n--, column++, to += x->size) {                                                            \
        if (*column < 0)                                                                                     \
            memcpy(to, x->fill, (size_t)x->size);                                                            \
        else                                                                                                 \
            copy;                                                                                            \
    }
    if (x->x_type != x->type) /* the first of these loops leaves nothing to the others */
        PICK(x->op->widen(to, x->x_type, row + *column * step, 1));
    if (x->size == 1)
        PICK(*to = row[*column * step]);
    if (x->size == 2)
        PICK(memcpy(to, row + *column * step, 2));
    if (x->size == 4)
        PICK(memcpy(to, row + *column * step, 4));
    PICK(memcpy(to, row + *column * step, 8));
#undef PICK
}

/* Which of n columns from `first` on are copied as they lie in x, from ... end; of few, of which most lie beyond it, none */
static void gather_whole(const fc_axis *cols, ptrdiff_t first, ptrdiff_t n, ptrdiff_t *from, ptrdiff_t *end)
{
    inside(cols->n, 1, first, n, from, end);
    if (n <= GATHER_NARROW && 2 * (*end - *from) < n && cols->boundary != FC_CONSTANT)
        *from = *end = n;
}

/* n elements from `first` on of a row of the continued x; row NULL: of fill values */
static void gather_piece(const source *x, const gather_room *s, char *to, const char *row, ptrdiff_t first, ptrdiff_t n)
{
    const fc_axis *cols = &x->axis[COLS];
    ptrdiff_t from, end;
    if (!row) {
        fc_copy_row(to, x->size, x->fill, 0, n, x->size);
        return;
    }
    gather_whole(cols, first, n, &from, &end);
    if (cols->boundary == FC_CONSTANT)
        fc_put_fill(x, to, first, n);
    else
        gather_named(x, to, row, s->column, from);
    if (end > from)
        fc_gather_adjacent(x, s, to + from * x->size, row + (first + from) * cols->x_step, cols->x_step, end - from);
    if (cols->boundary != FC_CONSTANT)
        gather_named(x, to + end * x->size, row, s->column + end, n - end);
}

/* All elements of a row: of millions, some at a time, between which the call may be given up */
static void gather_row(const source *x, const gather_room *s, char *to, const char *row, ptrdiff_t first, ptrdiff_t n)
{
    gather_room here = *s;
    for (; n >= 2 * GATHER_AT_ONCE && !fc_gives_up(); n -= GATHER_AT_ONCE) { /* so that no piece has few */
        gather_piece(x, &here, to, row, first, GATHER_AT_ONCE);
        here.column += GATHER_AT_ONCE, to += GATHER_AT_ONCE * x->size, first += GATHER_AT_ONCE;
    }
    if (n < 2 * GATHER_AT_ONCE)
        gather_piece(x, &here, to, row, first, n);
}

/* Fetch a row into cache while the one before is being gathered: hardware stops at every new page, which a row of a
 * picture is. Measured on 1080x1920 float32 not in cache, 3x3, stride 2: 0.78 -> 0.61 ms. */
static void gather_prefetch(const char *row, ptrdiff_t bytes)
{
    for (ptrdiff_t byte = 0; byte < bytes; byte += LINE)
        __builtin_prefetch(row + byte);
}

/* Whether any of n outputs looks at the i-th element of what they reach. */
static int gather_is_seen(const fc_axis *a, ptrdiff_t i, ptrdiff_t n)
{
    for (ptrdiff_t t = 0; t < a->k && t * a->dilation <= i; t++)
        if ((i - t * a->dilation) % a->stride == 0 && (i - t * a->dilation) / a->stride < n)
            return 1;
    return 0;
}

ptrdiff_t fc_source_column(const fc_axis *cols, ptrdiff_t i)
{
    if (cols->unit <= 1)
        return fc_source_index(i, cols->n, cols->boundary);
    const ptrdiff_t u = cols->unit, pixel = i >= 0 ? i / u : -((-i + u - 1) / u);
    const ptrdiff_t at = fc_source_index(pixel, cols->n / u, cols->boundary);
    return at < 0 ? at : at * u + (i - pixel * u);
}

void fc_gather(const source *x, const gather_room *s, char *tile, const rows_of *layout, const char *plane,
               const ptrdiff_t first[FC_AXES], const ptrdiff_t outputs[FC_AXES])
{
    const fc_axis *axis = x->axis, *cols = &axis[COLS];
    ptrdiff_t from[FC_AXES], count[FC_AXES];
    for (int a = 0; a < FC_AXES; a++) {
        from[a] = first[a] * axis[a].stride - axis[a].lead;
        count[a] = reach(&axis[a], outputs[a]);
    }
    int is_inside = from[COLS] >= 0 && from[COLS] + count[COLS] <= cols->n;
    ptrdiff_t phases = min(cols->stride, count[COLS]); /* the others are empty, and may be many */
    ptrdiff_t low, high;
    gather_whole(cols, from[COLS], count[COLS], &low, &high);
    for (ptrdiff_t q = outside(0, low, high); q < count[COLS] && cols->boundary != FC_CONSTANT; q = outside(q + 1, low, high))
        s->column[q] = fc_source_column(cols, from[COLS] + q);
    ptrdiff_t since = 0;
    for (ptrdiff_t z = 0; z < count[DEPTH]; z++) {
        ptrdiff_t from_z = fc_source_index(from[DEPTH] + z, axis[DEPTH].n, axis[DEPTH].boundary);
        for (ptrdiff_t i = 0; i < count[ROWS]; i++) {
            if (axis[ROWS].stride > axis[ROWS].k && !gather_is_seen(&axis[ROWS], i, outputs[ROWS]))
                continue;
            if ((since += count[COLS]) > GATHER_AT_ONCE) { /* of a kernel with millions of taps */
                if (fc_gives_up())
                    return;
                since = 0;
            }
            ptrdiff_t from_i = fc_source_index(from[ROWS] + i, axis[ROWS].n, axis[ROWS].boundary);
            const char *row = plane + from_z * axis[DEPTH].x_step + from_i * axis[ROWS].x_step;
            char *to = tile + (z * layout->plane + i * layout->row) * x->size;
            if (from_z < 0 || from_i < 0)
                row = NULL;
            else if (is_inside && cols->x_step == x->stored && from_i + GATHER_AHEAD < axis[ROWS].n)
                gather_prefetch(row + GATHER_AHEAD * axis[ROWS].x_step + from[COLS] * cols->x_step, count[COLS] * x->stored);
            if (cols->stride == 1 || layout->phase == 0) {
                gather_row(x, s, to, row, from[COLS], count[COLS]);
            } else if (row && is_inside && x->readable) {
                x->moves->split(to, layout->phase, row + from[COLS] * cols->x_step, count[COLS], phases, 1);
            } else {
                gather_row(x, s, s->row, row, from[COLS], count[COLS]);
                x->moves->split(to, layout->phase, s->row, count[COLS], phases, 1);
            }
        }
    }
}

/* Columns from `low` to `high`, which lie in x, of adjacent rows from `row` on, to rows of the tile: in whole squares, so that up to
 * a vector of rows before or behind them is overwritten, too */
static void gather_turn(const source *x, char *to, ptrdiff_t to_row, const char *row, ptrdiff_t rows, ptrdiff_t low,
                        ptrdiff_t high)
{
    const ptrdiff_t size = x->size, step = x->axis[ROWS].x_step, wide = round_up(high - low, x->lanes);
    if (rows < x->lanes || high - low <= GATHER_FEW || wide > x->axis[COLS].n) {
        fc_copy_turned(to, to_row * size, row + low * size, step, rows, high - low, size);
        return;
    }
    const ptrdiff_t before = max(low + wide - x->axis[COLS].n, 0), whole = rows / x->lanes * x->lanes;
    to -= before * to_row * size, row += (low - before) * size;
    x->moves->transpose(to, to_row, row, step / size, whole, wide);
    if (whole < rows)
        x->moves->transpose(to + (rows - x->lanes) * size, to_row, row + (rows - x->lanes) * step, step / size, x->lanes, wide);
}

void fc_gather_turned(const source *x, char *tile, const rows_of *layout, const char *plane, const ptrdiff_t first[FC_AXES],
                      const ptrdiff_t outputs[FC_AXES])
{
    const fc_axis *axis = x->axis, *cols = &axis[COLS];
    const ptrdiff_t rows = reach(&axis[ROWS], outputs[ROWS]), count = reach(cols, outputs[COLS]),
                    from = first[COLS] - cols->lead;
    const char *row = plane + (first[DEPTH] * axis[DEPTH].stride - axis[DEPTH].lead) * axis[DEPTH].x_step +
                      (first[ROWS] - axis[ROWS].lead) * axis[ROWS].x_step;
    ptrdiff_t low, high;
    inside(cols->n, 1, from, count, &low, &high);
    for (ptrdiff_t z = 0; z < reach(&axis[DEPTH], outputs[DEPTH]); z++, row += axis[DEPTH].x_step) {
        char *const to = tile + z * layout->plane * x->size;
        if (low < high)
            gather_turn(x, to + low * layout->row * x->size, layout->row, row, rows, from + low, from + high);
        for (ptrdiff_t q = outside(0, low, high); q < count; q = outside(q + 1, low, high)) { /* those beyond the edges */
            const ptrdiff_t column = fc_source_column(cols, from + q), there = column - from;
            char *const here = to + q * layout->row * x->size;
            if (column < 0)
                fc_copy_row(here, x->size, x->fill, 0, rows, x->size);
            else if (there >= low && there < high)
                memcpy(here, to + there * layout->row * x->size, (size_t)(rows * x->size));
            else
                fc_copy_row(here, x->size, row + column * x->size, axis[ROWS].x_step, rows, x->size);
        }
    }
}
