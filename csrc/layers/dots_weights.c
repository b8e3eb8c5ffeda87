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
    w.first = (int32_t *)(uintptr_t)(at ? at + w.bytes : NULL);
    w.bytes = plus(w.bytes, 4 * kernels);
    w.ones = d->corrects ? (int32_t *)(uintptr_t)(at ? at + w.bytes : NULL) : NULL;
    w.bytes = plus(w.bytes, d->corrects ? 4 * d->depth : 0);
    return w;
}

/* The numbers of a tap, of so many channels `channel` bytes apart; returns their sum */
static int64_t dots_arrange_tap(const dots *d, char *to, ptrdiff_t step, const uint8_t *from, ptrdiff_t channel,
                                ptrdiff_t channels, int flip, int32_t zero)
{
    int64_t sum = 0;
    if (d->kind == FC_DOT_QUAD) {
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

/* The sum of n bytes */
static int64_t dots_sum(const char *p, ptrdiff_t n, int is_signed)
{
    typedef uint16_t pairs __attribute__((vector_size(16)));
    enum { MOST = 128 }; /* vectors until their sums might not fit */
    int64_t sum = is_signed ? -128 * n : 0;
    const uint16_t flip = is_signed ? 0x8080 : 0;
    for (; n >= 16;) {
        pairs some, sums = {0};
        for (ptrdiff_t i = 0; i < MOST && n >= 16; i++, p += 16, n -= 16) {
            memcpy(&some, p, 16);
            some ^= flip;
            sums += (some & 255) + (some >> 8);
        }
        for (int i = 0; i < 8; i++)
            sum += sums[i];
    }
    for (; n > 0; n--, p++)
        sum += (uint8_t)*p ^ (flip & 255);
    return sum;
}

/* Quads of the first channels of a kernel, as many vectors of bytes as there are; returns how many channels these are, and adds their
 * sum. end: of all weights. Nothing is read behind it: what the last vector does not have, is left to others. */
static ptrdiff_t dots_turn_kernel(const dots *d, char *to, const char *w, const char *end, int64_t *sum)
{
    enum { TAPS = 64, LEAST = 16 /* that are turned */, BYTES = 64 /* of a vector, at most */ };
    const layer *l = &d->l;
    const ptrdiff_t vector = l->fc->vector_bytes, taps = l->taps;
    char nowhere[BYTES];
    ptrdiff_t at[TAPS], done = 0;
    if (d->kind != FC_DOT_QUAD || d->of_taps || taps > TAPS)
        return 0;
    if (taps == 1 && d->g->w_type == FC_I8) /* they are quads already */
        memcpy(to, w, (size_t)(done = l->g->channels));
    for (ptrdiff_t t = 0; t < max(taps, LEAST); t++)
        at[t] = t < taps ? t * l->channels * 4 : 0;
    for (; done + vector <= l->g->channels; done += vector) {
        const char *from = w + done * taps;
        fc_turning turn = {.from = from, .to = to + done, .at = at, .apart = taps, .count = vector, .n = max(taps, LEAST)};
        turn.flip = d->g->w_type == FC_U8 ? 128 : 0;
        if (end - from < (vector - 1) * taps + turn.n)
            break;
        for (ptrdiff_t t = taps; t < LEAST; t++)
            at[t] = (ptrdiff_t)((uintptr_t)nowhere - (uintptr_t)turn.to);
        l->op->bytes_in(&turn);
    }
    *sum += dots_sum(w, done * taps, d->g->w_type == FC_I8) - (d->g->w_type == FC_U8 ? 128 * done * taps : 0);
    return done;
}

/* One kernel to elements of zeros; returns the sum of its numbers, likewise. w: NULL is ones; end: of all weights */
static int64_t dots_arrange_kernel(const dots *d, char *to, const char *w, const char *end, int32_t zero)
{
    static const uint8_t one = 1;
    const layer *l = &d->l;
    const ptrdiff_t cols = l->given[COLS].k, rows = l->given[DEPTH].k * l->given[ROWS].k, number = 4 / d->group;
    const ptrdiff_t row = l->axis[COLS].k * l->channels * 4, step = d->of_taps ? 4 : number, channel = rows * cols;
    const int flip = w && d->g->w_type == FC_U8 ? 128 : 0;
    int64_t sum = 0;
    const ptrdiff_t done = w ? dots_turn_kernel(d, to, w, end, &sum) : 0;
    to += done;
    for (ptrdiff_t r = 0; done < l->g->channels && r < rows; r++, to += row)
        for (ptrdiff_t b = 0; b < cols; b++) {
            const ptrdiff_t tap = d->of_taps ? b / d->group : b, part = d->of_taps ? b % d->group * number : 0;
            const uint8_t *from = w ? (const uint8_t *)w + (r * cols + b) + done * channel : &one;
            sum += dots_arrange_tap(d, to + tap * l->channels * 4 + part, step, from, w ? channel : 0, l->g->channels - done,
                                    flip, zero);
        }
    return sum;
}

void fc_dots_arrange(const dots *d, char *to)
{
    const layer *l = &d->l;
    const fc_conv *g = l->g;
    const dots_weights w = fc_dots_weights(d, to);
    const ptrdiff_t count = g->channels * l->given[DEPTH].k * l->given[ROWS].k * l->given[COLS].k;
    const char *end = g->w + g->groups * l->kernels * count;
    if ((d->of_taps ? l->given[COLS].k : g->channels) % d->group) /* numbers that fill elements */
        memset(to, 0, (size_t)w.bytes);
    *w.form = d->kind;
    for (ptrdiff_t k = 0; k < g->groups * l->kernels; k++) {
        const int32_t zero = fc_dots_zero(d, k);
        const int64_t sum = dots_arrange_kernel(d, (char *)(w.element + k * d->depth), g->w + k * count, end, zero);
        w.first[k] = (int32_t)(uint32_t)(uint64_t)(d->x_zero * ((int64_t)zero * count - sum));
    }
    if (w.ones)
        dots_arrange_kernel(d, (char *)w.ones, NULL, NULL, 0);
}
