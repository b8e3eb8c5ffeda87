/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a layer and its data gradient have in common: both are correlations of stride 1, once their phases are apart.
 *
 * The gradient of x[i] is a sum over the outputs o and taps t that meet there, o * stride - lead + t * dilation = i. With
 * I = i + lead, these are the t for which I - t * dilation is a multiple of the stride: only the residue of I decides. So the
 * elements of x fall into phases, `stride` apart, each of which meets some of the taps, every so many, in neighbouring o:
 *
 *      stride 2, 3 taps      x   0 1 2 3 4 5     phase 0  0 . 2 . 4 .    taps 2 0    o   u   u+1
 *      lead 0                    | | | | | |     phase 1  . 1 . 3 . 5    tap  1      o   u
 *
 * u counts the elements of a phase. Taps descend as o ascends: the kernel is flipped. Every tap belongs to one phase; where the
 * stride is longer than the kernel, there are elements that meet no tap.
 *
 * Phases are computed one by one and stored one behind another where the outputs of their block belong; fc_interleave then
 * brings them to their places.
 */
#include "layer.h"
#include <string.h>

/* ---- geometry --------------------------------------------------------------------------------- */

static ptrdiff_t modulo(ptrdiff_t a, ptrdiff_t n)
{
    return (a % n + n) % n;
}
static ptrdiff_t common_divisor(ptrdiff_t a, ptrdiff_t b)
{
    return b == 0 ? a : common_divisor(b, a % b);
}

/* The elements of x that meet tap t, and which output the first of them meets */
static ptrdiff_t first_of(const fc_axis *a, ptrdiff_t step, ptrdiff_t t)
{
    return modulo(t * a->dilation - a->lead, step);
}
static ptrdiff_t output_of(const fc_axis *a, ptrdiff_t step, ptrdiff_t t)
{
    return (first_of(a, step, t) + a->lead - t * a->dilation) / step;
}
static ptrdiff_t least_output(const fc_axis *a, ptrdiff_t step)
{
    ptrdiff_t least = output_of(a, step, 0);
    for (ptrdiff_t t = 1; t < a->k; t++)
        least = min(least, output_of(a, step, t));
    return least;
}

static int slides_not(const fc_axis *a)
{
    return a->n == 1 && a->k == 1 && a->out == 1 && a->lead == 0;
}

/* The layer's axes, those that nothing slides along first */
static void sort_axes(fc_axis axis[FC_AXES], const fc_axis from[FC_AXES])
{
    memcpy(axis, from, FC_AXES * sizeof *axis);
    for (int a = COLS; a > DEPTH; a--)
        for (int b = a - 1; b >= DEPTH && slides_not(&axis[a]); b--) {
            fc_axis none = axis[a];
            axis[a] = axis[b];
            axis[b] = none;
        }
}

void fc_describe(layer *l)
{
    const fc_conv *g = l->g;
    fc_axis axis[FC_AXES];
    sort_axes(axis, g->axis);
    l->size = fc_stored_size(g->type);
    l->lanes = fc->vector_bytes / l->size;
    l->pack = g->type == FC_F32 ? fc->pack_f32 : fc->pack_f64;
    l->taps = axis[DEPTH].k * axis[ROWS].k * axis[COLS].k;
    l->channels = g->gradient ? g->kernels : g->channels;
    l->kernels = g->gradient ? g->channels : g->kernels;
    l->w_row = g->gradient ? l->taps : g->channels * l->taps;
    l->w_channel = g->gradient ? g->channels * l->taps : l->taps;
    l->most_taps = 1;
    for (int i = DEPTH; i <= COLS; i++) {
        const fc_axis *a = &axis[i];
        fc_axis *to = &l->axis[i];
        *to = *a;
        l->step[i] = l->phases[i] = 1;
        l->whole[i] = g->gradient ? a->n : a->out;
        if (g->gradient) {
            /* What a single output sees is no sum: every tap is a phase */
            ptrdiff_t step = l->step[i] = a->out > 1 ? a->stride : (a->k - 1) * a->dilation + 1;
            ptrdiff_t apart = step / common_divisor(step, a->dilation), least = least_output(a, step);
            *to = (fc_axis){.n = a->out, .k = a->k, .out = parts_of(a->n, step), .lead = -least, .stride = 1,
                            .dilation = a->dilation, .boundary = FC_CONSTANT, .x_step = a->x_step};
            if (step > 1) {
                ptrdiff_t last = least;
                for (ptrdiff_t t = 0; t < a->k; t++)
                    last = max(last, output_of(a, step, t));
                to->k = last - least + 1;
                to->dilation = 1;
            }
            l->phases[i] = min(apart, a->k);
            l->most_taps *= parts_of(a->k, apart);
        } else
            l->most_taps *= a->k;
    }
    l->planes = g->images * l->axis[DEPTH].out;
}

ptrdiff_t fc_phases(const layer *l)
{
    return l->phases[DEPTH] * l->phases[ROWS] * l->phases[COLS];
}

/* Phase `index` of an axis of the layer */
static axis_phase phase_of(const layer *l, int i, const fc_axis *a, ptrdiff_t index)
{
    if (!l->g->gradient)
        return (axis_phase){.count = a->out, .taps = a->k, .tap_step = 1, .at_step = 1};
    ptrdiff_t step = l->step[i], divisor = common_divisor(step, a->dilation), apart = step / divisor;
    ptrdiff_t taps = parts_of(a->k - index, apart), last = index + (taps - 1) * apart, first = first_of(a, step, last);
    return (axis_phase){first, first < a->n ? (a->n - 1 - first) / step + 1 : 0, taps, last, -apart,
                        step == 1 ? 0 : output_of(a, step, last) + l->axis[i].lead, step == 1 ? 1 : a->dilation / divisor};
}

void fc_make_phases(layer *l)
{
    fc_axis axis[FC_AXES];
    sort_axes(axis, l->g->axis);
    phase *p = l->phase;
    ptrdiff_t at = 0;
    for (ptrdiff_t z = 0; z < l->phases[DEPTH]; z++)
        for (ptrdiff_t r = 0; r < l->phases[ROWS]; r++)
            for (ptrdiff_t c = 0; c < l->phases[COLS]; c++, p++) {
                p->axis[DEPTH] = phase_of(l, DEPTH, &axis[DEPTH], z);
                p->axis[ROWS] = phase_of(l, ROWS, &axis[ROWS], r);
                p->axis[COLS] = phase_of(l, COLS, &axis[COLS], c);
                p->taps = p->axis[DEPTH].taps * p->axis[ROWS].taps * p->axis[COLS].taps;
                p->part = min(l->part_channels * (l->most_taps / p->taps) * p->taps, l->part);
                p->at = at;
                fc_tabulate(l, p, l->pack_channels, l->plane, l->at + at);
                const axis_phase *z = &p->axis[DEPTH], *r = &p->axis[ROWS], *s = &p->axis[COLS];
                for (ptrdiff_t channel = 0; channel < l->pack_channels; channel++)
                    for (ptrdiff_t i = 0; i < z->taps; i++)
                        for (ptrdiff_t j = 0; j < r->taps; j++)
                            for (ptrdiff_t k = 0; k < s->taps; k++)
                                l->weight_at[at++] =
                                    channel * l->w_channel +
                                    ((z->tap_first + i * z->tap_step) * axis[ROWS].k + r->tap_first + j * r->tap_step) *
                                        axis[COLS].k +
                                    s->tap_first + k * s->tap_step;
            }
}

/* ---- places ----------------------------------------------------------------------------------- */

static area area_of(const phase *p, const area *block)
{
    area a = *block;
    a.rows = clamp(p->axis[ROWS].count - a.row, 0, a.rows);
    a.cols = clamp(p->axis[COLS].count - a.col, 0, a.cols);
    return a;
}

/* Blocks of whole rows are cut into phases as a whole, others row by row */
static int is_wide(const layer *l, const area *block)
{
    return block->cols == l->axis[COLS].out;
}

ptrdiff_t fc_phase_area(const layer *l, const phase *p, area *b, ptrdiff_t *pitch)
{
    const area block = *b;
    const ptrdiff_t rows = l->step[ROWS], cols = l->step[COLS], index = (p - l->phase) % (l->phases[ROWS] * l->phases[COLS]);
    *b = area_of(p, &block);
    ptrdiff_t at = rows * block.row * l->whole[COLS] + cols * block.col;
    *pitch = rows * l->whole[COLS];
    if (is_wide(l, &block)) {
        *pitch = b->cols;
        for (const phase *q = p - index; q < p; q++) {
            area before = area_of(q, &block);
            at += before.rows * before.cols;
        }
        return at;
    }
    for (const phase *q = p - index % l->phases[COLS]; q < p; q++)
        at += area_of(q, &block).cols;
    return at + p->axis[ROWS].first * l->whole[COLS];
}

/* n elements, `step` apart */
static void spread(const layer *l, char *to, ptrdiff_t step, const char *from, ptrdiff_t n)
{
    if (step == 1)
        memcpy(to, from, (size_t)(n * l->size));
    else
        fc_copy_row(to, step * l->size, from, l->size, n, l->size);
}

/* Rows of some phases, which lie one behind another in `room`, to their places in lines from `to` on */
static void place_rows(const layer *l, const area *block, const phase *p, const phase *end, int lines, char *to,
                       const char *room)
{
    const ptrdiff_t step = l->step[COLS], size = l->size, width = l->whole[COLS] * size;
    for (; p < end; p += l->phases[COLS]) {
        const area a = area_of(p, block), b = area_of(p + l->phases[COLS] - 1, block);
        char *line = to + (lines ? p->axis[ROWS].first * width : 0);
        int pair = step == 2 && l->phases[COLS] == 2;
        for (ptrdiff_t i = 0; pair && i < a.rows; i++) { /* the first may be the odd columns */
            const char *even = room + i * a.cols * size, *odd = room + (a.rows * a.cols + i * b.cols) * size;
            int swapped = p->axis[COLS].first == 1;
            (l->g->type == FC_F32 ? fc->join_f32 : fc->join_f64)(line + i * l->step[ROWS] * width, swapped ? odd : even,
                                                                  swapped ? even : odd, a.cols + b.cols);
        }
        for (ptrdiff_t c = 0; c < l->phases[COLS]; c++) {
            const area a = area_of(p + c, block);
            for (ptrdiff_t i = 0; !pair && i < a.rows; i++)
                spread(l, line + i * l->step[ROWS] * width + p[c].axis[COLS].first * size, step, room + i * a.cols * size, a.cols);
            room += a.rows * a.cols * size;
        }
    }
}

static void fill(const layer *l, char *to, ptrdiff_t n, double value)
{
    for (ptrdiff_t i = 0; i < n; i++)
        if (l->g->type == FC_F32)
            ((float *)(void *)to)[i] = (float)value;
        else
            ((double *)(void *)to)[i] = value;
}

void fc_interleave(const layer *l, const area *block, char *plane, char *room, double value, int has_taps)
{
    const ptrdiff_t rows = l->step[ROWS], cols = l->step[COLS], width = l->whole[COLS], size = l->size;
    const ptrdiff_t count = has_taps ? l->phases[ROWS] * l->phases[COLS] : 0;
    if (rows * cols == 1 && has_taps)
        return;
    const int holes = count < rows * cols;
    const phase *p = l->phase;
    char *to = plane + (rows * block->row * width + cols * block->col) * size;
    ptrdiff_t lines = min(rows * (block->row + block->rows), l->whole[ROWS]) - rows * block->row;
    ptrdiff_t n = min(cols * (block->col + block->cols), width) - cols * block->col, stored = 0;
    if (is_wide(l, block)) {
        for (ptrdiff_t i = 0; i < count; i++) {
            area a = area_of(p + i, block);
            stored += a.rows * a.cols;
        }
        memcpy(room, to, (size_t)(stored * size));
        if (holes)
            fill(l, to, lines * n, value);
        place_rows(l, block, p, p + count, 1, to, room);
        return;
    }
    for (ptrdiff_t i = 0; i < lines; i++, to += width * size) {
        const phase *q = p;
        while (q < p + count && q->axis[ROWS].first != i % rows)
            q += l->phases[COLS];
        area row = {block->row + i / rows, 1, block->col, block->cols};
        stored = 0;
        for (ptrdiff_t c = 0; q < p + count && c < l->phases[COLS]; c++)
            stored += area_of(q + c, &row).cols;
        memcpy(room, to, (size_t)(stored * size));
        if (holes)
            fill(l, to, n, value);
        if (q < p + count)
            place_rows(l, &row, q, q + l->phases[COLS], 0, to, room);
    }
}
