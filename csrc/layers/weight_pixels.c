/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a block of outputs sees of x, stored for the products of weight gradients: continued by the boundary, as pixels of VLEN
 * channels (lanes_tmpl.h), or as rows of one channel. */
#include "layers/weight.h"
#include <string.h>

/* Apart, if that is fewer lines for blocks of as many outputs as most have, or if strides skip most of x. */
void fc_choose_lines(stored *s)
{
    for (int i = ROWS; i <= COLS; i++) {
        const fc_axis *a = &s->axis[i];
        ptrdiff_t few = min(a->out, i == COLS ? 64 : 8);
        s->apart[i] = a->k == 1 || a->k * few < (a->k - 1) * a->dilation || a->stride > max(WEIGHT_WIDE, a->k);
        s->step[i] = s->apart[i] && (i == ROWS || a->stride > WEIGHT_WIDE) ? 1 : a->stride;
    }
}

/* Elements of x from one stored line to the next, under one tap */
static ptrdiff_t weight_source_step(const stored *s, int i) { return s->axis[i].stride / s->step[i]; }
/* The column or row of x, `from` being the first of n outputs, that is stored as `line` */
static ptrdiff_t weight_source(const stored *s, int i, ptrdiff_t from, ptrdiff_t line, ptrdiff_t n)
{
    const fc_axis *a = &s->axis[i];
    ptrdiff_t first = from * a->stride - a->lead, lines = lines_of_tap(s, i, n);
    if (!s->apart[i])
        return first + line;
    return first + line / lines * a->dilation + line % lines * weight_source_step(s, i);
}

/* Rows of elements of `lanes` channels, `channel`, `row` and `step` bytes apart, to pixels; `pitch` pixels from row to row */
static void weight_turn(const stored *s, char *to, ptrdiff_t pitch, const char *from, ptrdiff_t channel, ptrdiff_t row,
                        ptrdiff_t step, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t lanes)
{
    const ptrdiff_t size = s->size;
    if ((step == size || channel == size) && row % size == 0)
        s->in(to, pitch * s->vlen, from, channel / size, row / size, step / size, rows, cols, lanes);
    else /* pixel by pixel */
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t j = 0; j < cols; j++)
                s->in(to + (i * pitch + j) * s->vlen * size, 0, from + i * row + j * step, channel / size, 0, 1, 1, 1, lanes);
}

/* `count` elements of a line of x, `step` bytes apart, that all lie inside */
static void weight_take(const stored *s, char *to, const char *x, ptrdiff_t step, ptrdiff_t count, ptrdiff_t lanes)
{
    if (s->of_pixels)
        weight_turn(s, to, 0, x, s->g->x_channel, 0, step, 1, count, lanes);
    else
        fc_copy_row(to, s->size, x, step, count, s->size);
}

/* A line as it is stored: columns of x from `first` on, continued by the boundary; but for those inside, if they are there */
static void weight_store_line(const stored *s, char *to, const char *x, ptrdiff_t first, ptrdiff_t count, ptrdiff_t lanes,
                              int there)
{
    const fc_axis *cols = &s->axis[COLS];
    const ptrdiff_t element = bytes_of_stored(s), step = weight_source_step(s, COLS);
    ptrdiff_t from, end;
    inside(cols->n, step, first, count, &from, &end);
    if (end > from && !there)
        weight_take(s, to + from * element, x + (first + from * step) * cols->x_step, step * cols->x_step, end - from, lanes);
    for (ptrdiff_t j = outside(0, from, end); j < count; j = outside(j + 1, from, end)) {
        ptrdiff_t source = fc_source_index(first + j * step, cols->n, cols->boundary);
        if (source < 0)
            memset(to + j * element, 0, (size_t)element);
        else
            weight_take(s, to + j * element, x + source * cols->x_step, cols->x_step, 1, lanes);
    }
}

/* Of a plane, what lies inside of x and is stored in order, at once. Returns whether it is. */
static int weight_store_inside(const stored *s, const outputs *o, char *to, const char *x, ptrdiff_t lanes)
{
    const fc_axis *rows = &s->axis[ROWS], *cols = &s->axis[COLS];
    if (!s->of_pixels || (s->apart[ROWS] && rows->k > 1) || (s->apart[COLS] && cols->k > 1))
        return 0;
    const ptrdiff_t down = weight_source_step(s, ROWS), right = weight_source_step(s, COLS);
    const ptrdiff_t row = weight_source(s, ROWS, o->row, 0, o->rows), col = weight_source(s, COLS, o->col, 0, o->cols);
    ptrdiff_t top, bottom, from, end;
    inside(rows->n, down, row, lines_of(s, ROWS, o->rows), &top, &bottom);
    inside(cols->n, right, col, lines_of(s, COLS, o->cols), &from, &end);
    if (bottom > top && end > from)
        weight_turn(s, to + (top * s->lines[COLS] + from) * s->vlen * s->size, s->lines[COLS],
                    x + (row + top * down) * rows->x_step + (col + from * right) * cols->x_step, s->g->x_channel,
                    down * rows->x_step, right * cols->x_step, bottom - top, end - from, lanes);
    return 1;
}

void fc_store(const stored *s, const outputs *o, char *to, const char *x, ptrdiff_t lanes)
{
    const fc_axis *depth = &s->axis[DEPTH], *rows = &s->axis[ROWS];
    const ptrdiff_t element = bytes_of_stored(s), line = s->lines[COLS] * element, lines = lines_of(s, ROWS, o->rows);
    const ptrdiff_t parts = s->apart[COLS] ? s->axis[COLS].k : 1, count = lines_of(s, COLS, o->cols) / parts;
    for (ptrdiff_t z = 0; z < depth->k; z++, to += s->lines[ROWS] * line) {
        ptrdiff_t source = fc_source_index(o->z * depth->stride - depth->lead + z * depth->dilation, depth->n, depth->boundary);
        const char *plane = x + max(source, 0) * depth->x_step;
        int there = source >= 0 && weight_store_inside(s, o, to, plane, lanes);
        for (ptrdiff_t r = 0; r < lines; r++) {
            char *at = to + r * line;
            ptrdiff_t in = weight_source(s, ROWS, o->row, r, o->rows), row = fc_source_index(in, rows->n, rows->boundary);
            if (source < 0 || row < 0) {
                memset(at, 0, (size_t)line);
                continue;
            }
            for (ptrdiff_t p = 0; p < parts; p++, at += count * element) {
                ptrdiff_t first = weight_source(s, COLS, o->col, p * count, o->cols);
                weight_store_line(s, at, plane + row * rows->x_step, first, count, lanes, there && in == row);
            }
        }
    }
}

const char *fc_outputs(const stored *s, const outputs *o, ptrdiff_t channel, ptrdiff_t row)
{
    const fc_conv *g = s->g;
    return g->dy + o->image * g->dy_image + channel * g->dy_channel + o->z * g->dy_step[DEPTH] +
           (o->row + row) * g->dy_step[ROWS] + o->col * g->dy_step[COLS];
}

void fc_turn_outputs(const stored *s, const outputs *o, char *to, const char *dy, ptrdiff_t channel, ptrdiff_t lanes)
{
    weight_turn(s, to, o->cols, dy, channel, s->g->dy_step[ROWS], s->g->dy_step[COLS], o->rows, o->cols, lanes);
}
