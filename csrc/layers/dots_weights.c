/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Weights of small numbers, arranged as dots.c multiplies them: the numbers of an element side by side, channels within taps.
 *
 *      given     kernel, channel, depth, row, column
 *      arranged  kernel, depth, row, column or group of columns, group of channels or channel, number
 *
 * The sum over n products that is asked for is, in numbers as they are multiplied, X and W, and what stands for zero in them,
 *
 *   sum (X - x_zero) (W - w_zero)  =  sum X W  -  x_zero sum W  +  n x_zero w_zero  -  w_zero sum X
 *
 * where padding is x_zero, too. All but the first and the last term are known here. In pairs zeros are taken off before.
 */
#include "layers/dots.h"

int32_t fc_dots_zero(const dots *d, ptrdiff_t kernel)
{
    const fc_dots *g = d->g;
    const int32_t zero = g->w_zeros == 0 ? 0 : g->w_zero[g->w_zeros == 1 ? 0 : kernel];
    return zero - (d->kind == FC_DOT_QUAD && g->w_type == FC_U8 ? 128 : 0);
}

dots_weights fc_dots_weights(const dots *d, const char *at)
{
    const ptrdiff_t kernels = d->l.g->groups * d->l.kernels, elements = times(kernels, times(d->depth, 4));
    dots_weights w = {.form = (int32_t *)(uintptr_t)at, .bytes = plus(LINE, elements)};
    w.element = at ? w.form + LINE / 4 : NULL;
    if (d->kind > FC_DOT_PAIR)
        return w;
    w.first = (int32_t *)(uintptr_t)(at ? at + w.bytes : NULL);
    w.bytes = plus(w.bytes, 4 * kernels);
    w.ones = d->corrects ? (int32_t *)(uintptr_t)(at ? at + w.bytes : NULL) : NULL;
    w.bytes = plus(w.bytes, d->corrects ? 4 * d->depth : 0);
    return w;
}

/* The numbers of a tap, of so many channels `channel` bytes apart; returns their sum, of integers */
static int64_t dots_arrange_tap(const dots *d, char *to, ptrdiff_t step, const uint8_t *from, ptrdiff_t channel, int flip,
                                int32_t zero)
{
    const ptrdiff_t channels = d->l.g->channels;
    int64_t sum = 0;
    if (d->kind > FC_DOT_PAIR) {
        for (ptrdiff_t c = 0; c < channels; c++, to += step, from += channel)
            memcpy(to, from, 2);
    } else if (d->kind == FC_DOT_QUAD) {
        for (ptrdiff_t c = 0; c < channels; c++, to += step, from += channel)
            sum += *to = (int8_t)(*from ^ flip);
    } else {
        for (ptrdiff_t c = 0; c < channels; c++, to += step, from += channel) { /* flipped, they are 128 less */
            const int16_t value = (int16_t)((int8_t)(*from ^ flip) + flip - zero);
            memcpy(to, &value, 2);
        }
    }
    return sum;
}

/* One kernel to elements of zeros; returns the sum of its numbers, likewise. w: NULL is ones */
static int64_t dots_arrange_kernel(const dots *d, char *to, const char *w, int32_t zero)
{
    static const uint8_t one = 1;
    const layer *l = &d->l;
    const ptrdiff_t cols = l->given[COLS].k, rows = l->given[DEPTH].k * l->given[ROWS].k, number = 4 / d->group;
    const ptrdiff_t row = l->axis[COLS].k * l->channels * 4, step = d->of_taps ? 4 : number, channel = rows * cols * d->number;
    const int flip = w && d->g->w_type == FC_U8 ? 128 : 0;
    int64_t sum = 0;
    for (ptrdiff_t r = 0; r < rows; r++, to += row)
        for (ptrdiff_t b = 0; b < cols; b++) {
            const ptrdiff_t tap = d->of_taps ? b / d->group : b, part = d->of_taps ? b % d->group * number : 0;
            const uint8_t *from = w ? (const uint8_t *)w + (r * cols + b) * d->number : &one;
            sum += dots_arrange_tap(d, to + tap * l->channels * 4 + part, step, from, w ? channel : 0, flip, zero);
        }
    return sum;
}

void fc_dots_arrange(const dots *d, char *to)
{
    const layer *l = &d->l;
    const fc_conv *g = l->g;
    const dots_weights w = fc_dots_weights(d, to);
    const ptrdiff_t count = g->channels * l->given[DEPTH].k * l->given[ROWS].k * l->given[COLS].k;
    memset(to, 0, (size_t)w.bytes);
    *w.form = d->kind;
    for (ptrdiff_t k = 0; k < g->groups * l->kernels; k++) {
        const int32_t zero = fc_dots_zero(d, k);
        const int64_t sum = dots_arrange_kernel(d, (char *)(w.element + k * d->depth), g->w + k * count * d->number, zero);
        if (d->kind == FC_DOT_QUAD)
            w.first[k] = (int32_t)(uint32_t)(uint64_t)(d->x_zero * ((int64_t)zero * count - sum));
    }
    if (w.ones)
        dots_arrange_kernel(d, (char *)w.ones, NULL, 0);
}
