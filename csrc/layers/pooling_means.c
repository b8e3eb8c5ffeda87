/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Gradients of means: an element gets the sum of dy / (elements that count), over the outputs that see it, a box of elements at a time.
 *
 *   1. Gradients of the outputs that see the box are divided, into a frame that has zeros where there is no output.
 *   2. down     their rows become one for every row of the box
 *   3. across   elements of these rows become those of the box, phase by phase of the stride
 *
 *        frame   . A B C .     stride 2, 3 taps, lead 1      even elements   A   B   C
 *                                                            odd elements    A+B B+C C
 *
 * Sums begin at the first output, down and then across, whatever boxes, threads and layout are.
 */
#include "layers/pooling.h"

typedef struct {
    pooling of;
    ptrdiff_t rows, cols;   /* of a box */
    int listed, apart;      /* every row has taps of its own; and every column */
    int whole;              /* there is one output, and all elements are in its window; channels second */
    ptrdiff_t tall, depths; /* of a frame, at most */
    ptrdiff_t row;          /* that p->place begins with; -1: none */
    ptrdiff_t left, right;  /* columns of outputs that p->count has */
} back;

static ptrdiff_t outputs_of(const pooling *d) { return d->axis[DEPTH].out * d->axis[ROWS].out * d->axis[COLS].out; }

/* The outputs that see element i */
static window seen_by(const pooling *d, int axis, ptrdiff_t i)
{
    const fc_axis *a = &d->axis[axis];
    ptrdiff_t first, end;
    if (d->g->adaptive)
        first = i * a->out / a->n, end = parts_of((i + 1) * a->out, a->n);
    else {
        const ptrdiff_t at = i + a->lead;
        first = at < a->k ? 0 : min((at - a->k) / a->stride + 1, a->out);
        end = max(first, min(at / a->stride + 1, a->out));
    }
    return (window){first, 1, end - first, end - first};
}
/* How many see elements of a phase */
static ptrdiff_t seen_in_phase(const fc_axis *a, ptrdiff_t phase)
{
    return phase < a->k ? parts_of(a->k - phase, a->stride) : 0;
}

/* The outputs of an axis that a frame has for `count` elements: `all` of them, the first of which may lie before 0 */
static window framed(const pooling *d, int axis, ptrdiff_t i, ptrdiff_t count, int listed)
{
    const fc_axis *a = &d->axis[axis];
    if (listed) {
        const window from = seen_by(d, axis, i), to = seen_by(d, axis, i + count - 1);
        return (window){from.first, 1, to.first + to.count - from.first, to.first + to.count - from.first};
    }
    const ptrdiff_t first = (i + a->lead) / a->stride - seen_in_phase(a, 0) + 1;
    return (window){first, 1, 0, (i + count - 1 + a->lead) / a->stride + 1 - first};
}

static void lay_parts(const back *b, fc_room *r, parts *p)
{
    const pooling *d = &b->of;
    const fc_axis *cols = &d->axis[COLS];
    const ptrdiff_t pitch = times(d->pitch, d->lanes), steps = min(cols->stride, b->cols);
    p->plane = fc_part(r, "frame", times(times(b->depths, b->tall), pitch), d->size);
    p->buffer = fc_part(r, "rows", times(b->rows, pitch), d->size);
    p->phases = fc_part(r, "phases", d->g->last || cols->stride == 1 ? 0 : times(b->rows, b->cols + steps), d->size);
    p->count = fc_part(r, "counts", d->pitch, d->size);
    p->by = fc_part(r, "divisors", d->pitch, d->size);
    p->at = fc_part(r, "taps", times(b->depths, max(b->tall, 1)), sizeof *p->at);
    p->place = fc_part(r, "rows' outputs", b->listed ? 2 * b->rows : 0, sizeof *p->place);
    p->across = fc_part(r, "taps across", max(d->pitch + 2 * steps, b->apart ? 2 * b->cols : 0), sizeof *p->across);
}

/* Where, in a frame, the outputs of an axis are that see elements, and behind that how many there are */
static void tabulate(const pooling *d, int axis, ptrdiff_t i, ptrdiff_t n, ptrdiff_t *first)
{
    const ptrdiff_t frame = seen_by(d, axis, i).first;
    for (ptrdiff_t j = 0; j < n && !asks_at(j); j++) {
        const window w = seen_by(d, axis, i + j);
        first[j] = w.first - frame, first[n + j] = w.count;
    }
}

/* A box of one plane of x, and the outputs that a frame has for it */
typedef struct {
    ptrdiff_t z, row, rows, col, cols;
    window depth, down, across;
} box;

/* ---- 1 ---------------------------------------------------------------------------------------- */

static void divide(back *b, parts *p, const char *dy, const box *x)
{
    pooling *d = &b->of;
    const fc_pooling *g = d->g;
    const fc_axis *rows = &d->axis[ROWS], *cols = &d->axis[COLS];
    const ptrdiff_t lanes = d->lanes, pixel = g->last ? g->channels : 1, pitch = x->across.all * lanes;
    const ptrdiff_t top = max(x->down.first, 0), end = min(x->down.first + x->down.all, rows->out);
    const ptrdiff_t left = max(x->across.first, 0), right = min(x->across.first + x->across.all, cols->out);
    if (b->left != left || b->right != right) {
        for (ptrdiff_t j = left; j < right && !asks_at(j - left); j++)
            fc_pooling_put(d, p->count, j - left, g->divisor != 0 ? g->divisor : (double)fc_pooling_window(d, COLS, j).all);
        b->left = left, b->right = right, p->counted = 0;
    }
    if (right - left < x->across.all || end - top < x->down.all)
        fc_pooling_clear(p->plane, x->depth.count * x->down.all * pitch * d->size);
    fc_pool k = {.by = p->by, .at = p->at, .taps = 1, .step = 1};
    p->at[0] = 0;
    for (ptrdiff_t i = 0; i < x->depth.count; i++) {
        const ptrdiff_t z = x->depth.first + i, planes = fc_pooling_window(d, DEPTH, z).all;
        for (ptrdiff_t o = top, same = 1; o < end; o += same, same = 1) {
            const ptrdiff_t all = fc_pooling_window(d, ROWS, o).all;
            while (o + same < end && fc_pooling_window(d, ROWS, o + same).all == all)
                same++;
            fc_pooling_count(d, p, g->divisor != 0 ? 1 : (double)planes * (double)all, right - left);
            k.x = dy + ((z * rows->out + o) * cols->out + left) * pixel * d->size;
            k.to = p->plane + ((i * x->down.all + o - x->down.first) * pitch + (left - x->across.first) * lanes) * d->size;
            if (!g->last) {
                k.rows = same, k.cols = right - left, k.xs = cols->out, k.os = pitch, k.by_col = 1;
                fc_pooling_reduce(d, &k);
                continue;
            }
            k.rows = right - left, k.cols = lanes, k.xs = pixel, k.os = lanes, k.by_row = 1;
            for (ptrdiff_t j = 0; j < same; j++) {
                fc_pooling_reduce(d, &k);
                k.x = (const char *)k.x + cols->out * pixel * d->size, k.to = (char *)k.to + pitch * d->size;
            }
        }
    }
}

/* ---- 2 ---------------------------------------------------------------------------------------- */

static void down(const back *b, const parts *p, const box *x)
{
    const pooling *d = &b->of;
    const fc_axis *rows = &d->axis[ROWS];
    const ptrdiff_t pitch = x->across.all * d->lanes, size = d->size, step = b->listed ? x->rows : rows->stride;
    fc_pool k = {.at = p->at, .cols = pitch, .step = 1};
    if (b->listed && x->depth.count == 1 && pitch <= POOL_NARROW) {
        const pieces q = {p->plane, NULL, p->buffer, 1, 1, pitch, pitch, pitch, x->rows, p->place, p->place + x->rows};
        fc_pooling_pieces(d, &q);
        return;
    }
    for (ptrdiff_t i = 0; i < min(step, x->rows); i++) {
        const ptrdiff_t at = x->row + i + rows->lead, seen = seen_in_phase(rows, at % rows->stride);
        window w = {at / rows->stride - seen + 1, 1, seen, seen};
        if (b->listed)
            w = (window){x->down.first + p->place[i], 1, p->place[x->rows + i], 0};
        k.taps = 0;
        for (ptrdiff_t z = 0; z < x->depth.count; z++)
            for (ptrdiff_t t = 0; t < w.count; t++)
                p->at[k.taps++] = (z * x->down.all + t) * pitch;
        k.x = k.taps ? p->plane + (w.first - x->down.first) * pitch * size : p->plane;
        k.to = p->buffer + i * pitch * size;
        k.rows = parts_of(x->rows - i, step), k.xs = pitch, k.os = step * pitch;
        fc_pooling_reduce(d, &k);
    }
}

/* ---- 3. to: where the box begins -------------------------------------------------------------- */

/* Columns that have outputs of their own, one by one */
static void across_listed(const back *b, const parts *p, char *to, const box *x)
{
    const pooling *d = &b->of;
    const ptrdiff_t lanes = d->lanes, step = d->g->channels;
    if (!d->g->last) {
        const pieces q = {p->buffer, NULL,    to,      x->across.all, d->axis[COLS].n,    1,
                          1,         x->rows, x->cols, p->across,     p->across + x->cols};
        fc_pooling_pieces(d, &q);
        return;
    }
    fc_pool k = {.x = p->buffer, .at = p->across, .step = 1, .rows = x->rows, .cols = lanes};
    k.xs = x->across.all * lanes, k.os = d->axis[COLS].n * step;
    for (ptrdiff_t j = 0; j < x->cols; j++) {
        const window w = seen_by(d, COLS, x->col + j);
        k.taps = w.count, k.to = to + j * step * d->size;
        for (ptrdiff_t t = 0; t < w.count; t++)
            p->across[t] = (w.first - x->across.first + t) * lanes;
        fc_pooling_reduce(d, &k);
    }
}

static void across(const back *b, const parts *p, char *to, const box *x)
{
    const pooling *d = &b->of;
    const fc_axis *cols = &d->axis[COLS];
    const ptrdiff_t lanes = d->lanes, size = d->size, s = cols->stride, pitch = x->across.all * lanes, steps = min(s, x->cols);
    const ptrdiff_t channels = d->g->channels, row = cols->n, wide = parts_of(x->cols, s);
    ptrdiff_t *phase = p->across, *phase_row = phase + steps;
    fc_pool k = {.at = phase_row + steps, .step = 1};
    ptrdiff_t done = 0;
    for (ptrdiff_t i = 0; i < steps; i++) {
        if (asks_after(&done, x->rows * wide * lanes * max(k.taps, 1)))
            return; /* where the other phases are is not known */
        const ptrdiff_t at = x->col + i + cols->lead;
        k.taps = seen_in_phase(cols, at % s);
        for (ptrdiff_t t = 0; t < k.taps; t++)
            phase_row[steps + t] = t * lanes;
        const char *from = k.taps ? p->buffer + (at / s - k.taps + 1 - x->across.first) * lanes * size : p->buffer;
        k.x = from;
        if (d->g->last) {
            k.rows = parts_of(x->cols - i, s), k.cols = lanes, k.xs = lanes, k.os = s * channels;
            k.to = to + i * channels * size;
            for (ptrdiff_t j = 0; j < x->rows; j++) {
                fc_pooling_reduce(d, &k);
                k.x = (const char *)k.x + pitch * size, k.to = (char *)k.to + row * channels * size;
            }
            continue;
        }
        k.rows = x->rows, k.cols = parts_of(x->cols - i, s), k.xs = pitch;
        k.to = s == 1 ? to : p->phases + i * x->rows * wide * size, k.os = s == 1 ? row : wide;
        const int as_is = s > 1 && k.taps == 1;
        phase[i] = as_is ? from - p->buffer : (char *)k.to - p->phases, phase_row[i] = as_is ? pitch : -wide;
        if (!as_is)
            fc_pooling_reduce(d, &k);
    }
    for (ptrdiff_t j = 0; j < x->rows && s > 1 && !d->g->last; j++, to += row * size) {
        const char *of[2];
        for (ptrdiff_t i = 0; i < steps && !(s > 2 && asks_after(&done, wide)); i++) {
            const char *from =
                (phase_row[i] > 0 ? p->buffer : p->phases) + phase[i] + j * (phase_row[i] > 0 ? pitch : wide) * size;
            of[i % 2] = from;
            if (s > 2)
                fc_copy_row(to + i * size, s * size, from, size, parts_of(x->cols - i, s), size);
        }
        if (s == 2)
            d->op->join(to, of[0], of[steps - 1], x->cols);
    }
}

/* n elements of a value, which is divided, unless by is NULL */
static void repeat(const pooling *d, char *to, ptrdiff_t n, const void *value, const void *by)
{
    enum { AT_ONCE = 16 };
    const ptrdiff_t first = min(n, AT_ONCE), all = n * d->size;
    if (d->size == 4) {
        const float v = 0 + (by ? *(const float *)value / *(const float *)by : *(const float *)value);
        for (ptrdiff_t i = 0; i < first; i++)
            ((float *)(void *)to)[i] = v;
    } else {
        const double v = 0 + (by ? *(const double *)value / *(const double *)by : *(const double *)value);
        for (ptrdiff_t i = 0; i < first; i++)
            ((double *)(void *)to)[i] = v;
    }
    for (ptrdiff_t done = first * d->size, more; done < all && !(done > POOL_AT_ONCE && fc_gives_up()); done += more) {
        more = min(min(done, POOL_AT_ONCE), all - done);
        memcpy(to + done, to, (size_t)more);
    }
}

/* Rows of one output, that of the columns that see it; zeros elsewhere */
static void across_lone(const back *b, const parts *p, char *to, const box *x)
{
    const pooling *d = &b->of;
    const fc_axis *cols = &d->axis[COLS];
    const ptrdiff_t from = max(0, -cols->lead) - x->col, end = min(cols->n, cols->k - cols->lead) - x->col;
    const ptrdiff_t left = clamp(from, 0, x->cols), right = clamp(end, left, x->cols);
    for (ptrdiff_t i = 0; i < x->rows; i++, to += cols->n * d->size) {
        fc_pooling_clear(to, left * d->size);
        repeat(d, to + left * d->size, right - left, p->buffer + i * d->size, NULL);
        fc_pooling_clear(to + right * d->size, (x->cols - right) * d->size);
    }
}

/* ---- the call --------------------------------------------------------------------------------- */

/* index counts chunks of boxes (image, channel, depth, rows, columns, slice) */
static void means_chunk(void *context, ptrdiff_t index, int slot)
{
    back of = *(const back *)context, *b = &of;
    pooling *d = &b->of;
    const fc_pooling *g = d->g;
    const fc_axis *axis = d->axis;
    fc_room room = fc_room_at(d->scratch, d->thread_bytes, slot);
    parts p = {0};
    lay_parts(b, &room, &p);
    const ptrdiff_t end = min(d->units, (index + 1) * d->share), most = d->lanes;
    const ptrdiff_t outputs = outputs_of(d);
    for (ptrdiff_t unit = index * d->share; unit < end; unit++) {
        ptrdiff_t rest = unit, slice;
        box x;
        d->lanes = next_piece(&rest, g->last ? g->channels : 1, most, &slice);
        x.cols = next_piece(&rest, axis[COLS].n, b->cols, &x.col);
        x.rows = next_piece(&rest, axis[ROWS].n, b->rows, &x.row);
        next_piece(&rest, axis[DEPTH].n, 1, &x.z);
        const ptrdiff_t pixel = g->last ? g->channels : 1;
        const ptrdiff_t first = ((x.z * axis[ROWS].n + x.row) * axis[COLS].n + x.col) * pixel + slice;
        const char *dy = g->dy + (rest * outputs * pixel + slice) * d->size;
        char *to = g->out + (rest * pixel * axis[DEPTH].n * axis[ROWS].n * axis[COLS].n + first) * d->size;
        if (b->whole && p.counted != 0) {
            repeat(d, to, x.rows * x.cols, dy, p.by);
            continue;
        }
        if (b->apart && !g->last && b->row < 0)
            tabulate(d, COLS, 0, x.cols, p.across);
        if (b->listed && b->row != x.row)
            tabulate(d, ROWS, x.row, x.rows, p.place);
        b->row = x.row;
        x.depth = seen_by(d, DEPTH, x.z);
        x.down = framed(d, ROWS, x.row, x.rows, b->listed);
        x.across = framed(d, COLS, x.col, x.cols, b->apart);
        divide(b, &p, dy, &x);
        down(b, &p, &x);
        if (axis[COLS].out == 1 && !g->last)
            across_lone(b, &p, to, &x);
        else if (b->apart)
            across_listed(b, &p, to, &x);
        else
            across(b, &p, to, &x);
    }
    fc_close(&room);
}

/* Boxes, as large as caches and windows like them */
static back describe(const fc_pooling *g)
{
    back b = {
        .of = {.g = g, .op = fc_in_use()->op[g->type], .size = fc_stored_size(g->type), .lanes = 1}, .row = -1, .left = -1};
    pooling *d = &b.of;
    memcpy(d->axis, g->axis, sizeof d->axis);
    const fc_axis *rows = &d->axis[ROWS], *cols = &d->axis[COLS];
    const ptrdiff_t line = LINE / d->size, block = POOL_BLOCK / d->size;
    const ptrdiff_t tall = seen_in_phase(rows, 0), wide = seen_in_phase(cols, 0);
    b.listed = g->adaptive || tall >= rows->out, b.apart = g->adaptive || cols->out == 1 || wide > 2 * cols->out;
    b.cols = b.apart ? cols->n : min(cols->n, times(max(g->last ? block / line : block, 4 * wide), cols->stride));
    d->pitch = b.apart ? cols->out : parts_of(b.cols, cols->stride) + wide;
    if (g->last)
        d->lanes = min(g->channels, max(line, block / d->pitch / line * line));
    const ptrdiff_t most = max(block / (d->pitch * d->lanes), 1);
    b.rows = min(rows->n, b.listed ? most : times(max(most, min(4 * tall, rows->out)), rows->stride));
    b.tall = b.listed ? rows->out : parts_of(b.rows, rows->stride) + tall;
    b.depths =
        min(d->axis[DEPTH].out, g->adaptive ? d->axis[DEPTH].out / d->axis[DEPTH].n + 2 : seen_in_phase(&d->axis[DEPTH], 0));
    d->units = g->images * (g->last ? parts_of(g->channels, d->lanes) : g->channels) * d->axis[DEPTH].n *
               parts_of(rows->n, b.rows) * parts_of(cols->n, b.cols);
    b.whole = outputs_of(d) == 1 && !g->last;
    for (int a = DEPTH; a <= COLS; a++)
        b.whole &= seen_by(d, a, 0).count == 1 && seen_by(d, a, d->axis[a].n - 1).count == 1;
    return b;
}

int fc_pooling_means_run(const fc_pooling *g)
{
    back b = describe(g);
    pooling *d = &b.of;
    fc_room room = {0};
    lay_parts(&b, &room, &(parts){0});
    d->thread_bytes = room.bytes;
    const double bytes = (double)g->images * (double)g->channels * (double)d->size * (double)d->axis[DEPTH].n *
                         (double)d->axis[ROWS].n * (double)d->axis[COLS].n * (double)b.depths *
                         (double)min(seen_in_phase(&d->axis[ROWS], 0), d->axis[ROWS].out);
    return fc_pooling_start(d, means_chunk, &b, bytes);
}
