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
#include "layers/layer.h"
#include <string.h>

/* ---- geometry --------------------------------------------------------------------------------- */

/* The elements of x that meet tap t, and which output the first of them meets */
static ptrdiff_t phases_first(const fc_axis *a, ptrdiff_t step, ptrdiff_t t) { return modulo(t * a->dilation - a->lead, step); }
static ptrdiff_t phases_output(const fc_axis *a, ptrdiff_t step, ptrdiff_t t)
{
    return (phases_first(a, step, t) + a->lead - t * a->dilation) / step;
}
/* The least of these and the greatest, of all taps */
static void phases_find_outputs(const fc_axis *a, ptrdiff_t step, ptrdiff_t *least, ptrdiff_t *greatest)
{
    *least = *greatest = phases_output(a, step, 0);
    for (ptrdiff_t t = 1; t < a->k; t++) {
        *least = min(*least, phases_output(a, step, t));
        *greatest = max(*greatest, phases_output(a, step, t));
    }
}

void fc_sort_axes(fc_axis to[FC_AXES], const fc_axis from[FC_AXES])
{
    for (int alone = 1; alone >= 0; alone--)
        for (int a = DEPTH; a <= COLS; a++)
            if ((from[a].n == 1 && from[a].k == 1 && from[a].out == 1 && from[a].lead == 0) == alone)
                *to++ = from[a];
}

layer fc_describe(const fc_conv *g, const fc_kernels *table)
{
    layer l; /* all of which is set: to begin with zeros takes as long as the rest */
    l.g = g, l.fc = table, l.op = table->op[g->type];
    l.size = fc_stored_size(g->type);
    l.stored = g->halves ? 2 : l.size;
    l.most_taps = 1;
    fc_sort_axes(l.given, g->axis);
    l.lanes = table->vector_bytes / l.size;
    l.taps = l.given[DEPTH].k * l.given[ROWS].k * l.given[COLS].k;
    l.channels = g->gradient ? g->kernels : g->channels;
    l.kernels = g->gradient ? g->channels : g->kernels;
    l.w_row = g->gradient ? l.taps : g->channels * l.taps;
    l.w_channel = g->gradient ? g->channels * l.taps : l.taps;
    l.w_group = g->kernels * g->channels * l.taps;
    for (int i = DEPTH; i <= COLS; i++) {
        const fc_axis *a = &l.given[i];
        fc_axis *to = &l.axis[i];
        *to = *a;
        l.step[i] = l.phases[i] = l.spread[i] = 1;
        l.first[i] = l.left[i] = 0;
        l.whole[i] = g->gradient ? a->n : a->out;
        if (!g->gradient) {
            l.most_taps *= a->k;
            continue;
        }
        /* What a single output sees is no sum: every tap is a phase */
        ptrdiff_t step = l.step[i] = a->out > 1 ? a->stride : (a->k - 1) * a->dilation + 1;
        ptrdiff_t apart = step / common_divisor(step, a->dilation), least, greatest;
        phases_find_outputs(a, step, &least, &greatest);
        *to = (fc_axis){.n = a->out,
                        .k = a->k,
                        .out = parts_of(a->n, step),
                        .lead = -least,
                        .stride = 1,
                        .dilation = a->dilation,
                        .boundary = FC_CONSTANT,
                        .x_step = a->x_step};
        if (step > 1)
            to->k = greatest - least + 1, to->dilation = 1;
        l.phases[i] = min(apart, a->k);
        l.most_taps *= parts_of(a->k, apart);
    }
    l.cut_as = l.most_taps;
    l.planes = g->images * l.axis[DEPTH].out;
    return l;
}

layer fc_describe_weight(const fc_conv *g)
{
    layer l = fc_describe(g, fc_in_use());
    memcpy(l.axis, g->axis, sizeof g->axis);
    l.planes = g->images * g->axis[DEPTH].out;
    return l;
}

ptrdiff_t fc_phases(const layer *l) { return l->phases[DEPTH] * l->phases[ROWS] * l->phases[COLS]; }

/* Phase `index` of an axis */
static axis_phase phases_axis(const layer *l, int i, ptrdiff_t index)
{
    const fc_axis *a = &l->given[i];
    if (l->step[i] == 1) { /* all outputs and taps, or those of a zone; a gradient flips the kernel */
        const int back = l->g->gradient;
        return (axis_phase){.count = l->axis[i].out,
                            .taps = l->axis[i].k,
                            .tap_first = back ? a->k - 1 - l->left[i] : l->left[i],
                            .tap_step = back ? -1 : 1,
                            .at_step = 1};
    }
    ptrdiff_t step = l->step[i], divisor = common_divisor(step, a->dilation), apart = step / divisor;
    ptrdiff_t taps = parts_of(a->k - index, apart), last = index + (taps - 1) * apart, first = phases_first(a, step, last);
    return (axis_phase){.first = first,
                        .count = first < a->n ? (a->n - 1 - first) / step + 1 : 0,
                        .taps = taps,
                        .tap_first = last,
                        .tap_step = -apart,
                        .at_first = phases_output(a, step, last) + l->axis[i].lead,
                        .at_step = a->dilation / divisor};
}

void fc_make_phases(const packing *packed, const phase_tables *t)
{
    const layer *l = packed->l;
    phase *p = t->phase;
    ptrdiff_t at = 0;
    for (ptrdiff_t z = 0; z < l->phases[DEPTH]; z++)
        for (ptrdiff_t r = 0; r < l->phases[ROWS]; r++)
            for (ptrdiff_t c = 0; c < l->phases[COLS]; c++, p++) {
                *p = (phase){{phases_axis(l, DEPTH, z), phases_axis(l, ROWS, r), phases_axis(l, COLS, c)}, .at = at};
                p->taps = p->axis[DEPTH].taps * p->axis[ROWS].taps * p->axis[COLS].taps;
                fc_tabulate(packed, p, t->channels, t->at + at, t->weight_at + at);
                at += t->channels * p->taps;
            }
}

/* ---- places ----------------------------------------------------------------------------------- */

static area phases_area(const phase *p, const area *block)
{
    area a = *block;
    a.rows = clamp(p->axis[ROWS].count - a.row, 0, a.rows);
    a.cols = clamp(p->axis[COLS].count - a.col, 0, a.cols);
    return a;
}

/* Blocks of whole rows are cut into phases as a whole, others row by row */
static int phases_is_wide(const layer *l, const area *block) { return block->cols == parts_of(l->whole[COLS], l->step[COLS]); }

ptrdiff_t fc_phase_area(const layer *l, const phase *all, ptrdiff_t index, area *b, ptrdiff_t *pitch, ptrdiff_t *stored)
{
    const ptrdiff_t rows = l->step[ROWS], width = l->whole[COLS], of_row = l->phases[COLS];
    const int wide = phases_is_wide(l, b);
    ptrdiff_t at = (l->first[ROWS] + rows * b->row) * width + l->first[COLS] + l->step[COLS] * b->col;
    if (index % (wide ? l->phases[ROWS] * of_row : of_row) == 0)
        *stored = 0;
    *b = phases_area(&all[index], b);
    at += *stored + (wide ? 0 : all[index].axis[ROWS].first * width);
    *stored += wide ? b->rows * b->cols : b->cols;
    *pitch = wide ? b->cols : rows * width;
    return at;
}

/* Rows of the phases of one row of phases, which lie one behind another in `room`, to their places in lines from `line` on.
 * Returns what comes behind them in `room`. */
static const char *phases_place(const layer *l, const area *block, const phase *p, char *line, const char *room)
{
    const ptrdiff_t step = l->step[COLS], count = l->phases[COLS], size = l->size;
    const ptrdiff_t pitch = l->step[ROWS] * l->whole[COLS] * size;
    if (step == 2 && count == 2) { /* the first may be the odd columns */
        const area a = phases_area(p, block), b = phases_area(p + 1, block);
        const char *first = room, *second = room + a.rows * a.cols * size;
        for (ptrdiff_t i = 0; i < a.rows; i++, line += pitch, first += a.cols * size, second += b.cols * size)
            if (p->axis[COLS].first == 0)
                l->op->join(line, first, second, a.cols + b.cols);
            else
                l->op->join(line, second, first, a.cols + b.cols);
        return second;
    }
    for (const phase *q = p; q < p + count; q++) {
        const area a = phases_area(q, block);
        for (ptrdiff_t i = 0; i < a.rows; i++, room += a.cols * size)
            fc_copy_row(line + i * pitch + q->axis[COLS].first * size, step * size, room, size, a.cols, size);
    }
    return room;
}

static void phases_fill(const layer *l, char *to, ptrdiff_t n, double value)
{
    const float narrow = (float)value;
    fc_copy_row(to, l->size, l->g->type == FC_F32 ? (const char *)&narrow : (const char *)&value, 0, n, l->size);
}

void fc_interleave(const layer *l, const phase *all, const area *block, char *plane, char *room, double value, int has_taps)
{
    const ptrdiff_t rows = l->step[ROWS], cols = l->step[COLS], width = l->whole[COLS], size = l->size;
    const ptrdiff_t count = has_taps ? l->phases[ROWS] * l->phases[COLS] : 0;
    if (rows * cols == 1 && has_taps)
        return;
    const ptrdiff_t lines = min(rows * (block->row + block->rows), l->whole[ROWS]) - rows * block->row;
    const ptrdiff_t n = min(cols * (block->col + block->cols), width) - cols * block->col;
    const int wide = phases_is_wide(l, block);
    const ptrdiff_t adjoin = wide ? lines : 1; /* lines that are brought in order at once */
    char *to = plane + (rows * block->row * width + cols * block->col) * size;
    for (ptrdiff_t i = 0; i < lines; i += adjoin) {
        const area a = wide ? *block : (area){block->row + i / rows, 1, block->col, block->cols};
        const phase *first = all, *end = all + count;
        while (!wide && first < end && first->axis[ROWS].first != i % rows)
            first += l->phases[COLS];
        if (!wide && first < end)
            end = first + l->phases[COLS];
        char *line = to + i / rows * rows * width * size, *begin = to + i * width * size;
        const char *from = room;
        ptrdiff_t stored = 0;
        for (const phase *q = first; q < end; q++)
            stored += phases_area(q, &a).rows * phases_area(q, &a).cols;
        if (stored > 0) /* without room where no phase has taps */
            memcpy(room, begin, (size_t)(stored * size));
        if (count < rows * cols) /* holes */
            phases_fill(l, begin, adjoin * n, value);
        for (const phase *q = first; q < end; q += l->phases[COLS])
            from = phases_place(l, &a, q, line + q->axis[ROWS].first * width * size, from);
    }
}
