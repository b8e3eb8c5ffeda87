/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What outputs see of x, packed as layer.h shows, in elements of several numbers (weave_tmpl.h): of neighbouring channels, or of
 * neighbouring taps, which lie a dilation apart. Numbers beyond x are zeros, or lie where the boundary says.
 */
#include "layers/dots.h"

/* What lies beyond x */
static uint32_t dots_zero(const dots *d) { return d->kind == FC_DOT_QUAD ? (uint32_t)(d->x_zero & 255) * 0x01010101u : 0; }

/* Element j of a row, from the numbers that there are; x: that of the first of row `j = 0` */
static uint32_t dots_one(const dots *d, const fc_weaving *w, ptrdiff_t first, ptrdiff_t line, ptrdiff_t j)
{
    const fc_axis *cols = &d->l.axis[COLS];
    const ptrdiff_t apart = d->of_taps ? cols->dilation / d->group : 0, bits = 32 / d->group;
    const uint32_t mask = bits == 8 ? 255 : 0xffff;
    uint32_t element = 0;
    for (int p = 0; p < w->parts; p++) {
        const ptrdiff_t at = first + j * line + p * apart, source = fc_source_index(at, cols->n, cols->boundary);
        const char *from = w->from[p] + (source - first - p * apart) * cols->x_step;
        uint32_t value = d->kind == FC_DOT_QUAD ? (uint32_t)d->x_zero : 0;
        if (source >= 0)
            value = ((uint32_t)*(const uint8_t *)from ^ d->flip) - (d->kind == FC_DOT_PAIR ? d->shift : 0);
        element |= (value & mask) << (p * bits);
    }
    return element;
}

/* Rows of a run: those that adjoin in x and as they are packed, at once */
static void dots_rows(const dots *d, char *to, fc_weaving *w, const fc_run *run, ptrdiff_t line, ptrdiff_t rows,
                      ptrdiff_t row_bytes)
{
    const fc_axis *cols = &d->l.axis[COLS];
    const ptrdiff_t apart = d->of_taps ? cols->dilation / d->group : 0;
    const int zeros = !d->of_taps && cols->boundary == FC_CONSTANT;
    ptrdiff_t from = run->from, end = run->end;
    if (apart > 0 && w->parts > 1) { /* all numbers of an element lie inside */
        ptrdiff_t first, last;
        inside(cols->n, line, run->first + (w->parts - 1) * apart, run->n, &first, &last);
        from = max(from, first), end = max(from, min(end, last));
    }
    if (end > from) {
        fc_weaving inner = *w;
        for (int p = 0; p < w->parts; p++)
            inner.from[p] += from * w->step;
        d->l.op->weave(to + 4 * from, &inner, (rows - 1) * run->n + end - from);
    }
    for (ptrdiff_t i = 0; i < rows; i++, to += 4 * run->n) {
        for (ptrdiff_t j = outside(0, from, end); j < run->n; j = outside(j + 1, from, end)) {
            const uint32_t element = zeros ? dots_zero(d) : dots_one(d, w, run->first, line, j);
            memcpy(to + 4 * j, &element, 4);
        }
        for (int k = 0; k < 4; k++)
            w->from[k] += row_bytes;
    }
}

/* Which numbers the element of channel c has under set s of columns */
static void dots_numbers(const dots *d, fc_weaving *w, const char *x, ptrdiff_t c, ptrdiff_t set)
{
    const fc_axis *cols = &d->l.axis[COLS];
    const ptrdiff_t given = d->l.given[COLS].k;
    const ptrdiff_t first = (d->of_taps ? set : c) * d->group, all = d->of_taps ? given : d->l.g->channels;
    const ptrdiff_t step = d->of_taps ? cols->dilation / d->group * cols->x_step : d->l.g->x_channel;
    x += d->of_taps ? c * d->l.g->x_channel : first * d->l.g->x_channel;
    w->parts = (int)min(d->group, all - first);
    for (int i = 0; i < 4; i++)
        w->from[i] = x + (i < w->parts ? i * step : 0);
}

void fc_dots_pack(const dots *d, const packing *p, char *to, const char *x, ptrdiff_t c, const fc_runs *runs)
{
    const fc_axis *cols = &d->l.axis[COLS];
    const ptrdiff_t line = p->cols.line, row_bytes = p->rows.line * d->l.axis[ROWS].x_step;
    fc_weaving all = {.step = line * cols->x_step, .kind = d->kind, .flip = d->flip, .shift = d->shift};
    const uint32_t zero = dots_zero(d);
    for (const fc_run *run = runs->run; run < runs->run + runs->count; run++) {
        const ptrdiff_t within = run->to % p->depth_set, set = within / p->col_set;
        char *row = to + run->to * 4;
        fc_weaving w = all;
        dots_numbers(d, &w, x + run->x, c, set);
        const int adjoin = !d->of_taps && run->end > run->from && p->pitch == run->n && cols->n == run->n * line &&
                           row_bytes == run->n * w.step;
        const ptrdiff_t at_once = adjoin ? run->rows : 1;
        for (ptrdiff_t i = 0; i < run->rows; i += at_once, row += p->pitch * 4)
            if (run->first != FC_NOWHERE)
                dots_rows(d, row, &w, run, line, at_once, row_bytes);
            else
                for (ptrdiff_t j = 0; j < run->n; j++)
                    memcpy(row + 4 * j, &zero, 4);
    }
}
