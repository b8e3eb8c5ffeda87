/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What transforms multiply by: tables of roots of one, in the order in which fft.c reads them.
 */
#include "corr/fft.h"

static void fft_put(char *p, size_t size, ptrdiff_t i, double value)
{
    if (size == sizeof(float))
        ((float *)p)[i] = (float)value;
    else
        ((double *)p)[i] = value;
}

/* exp(-2 pi i p / n), or, if sign is -1, its conjugate, as elements i and i + 1 */
static void fft_put_root(char *to, size_t size, ptrdiff_t i, ptrdiff_t p, ptrdiff_t n, double sign)
{
    fc_wide re, im;
    fc_root_of_one(p, n, &re, &im);
    fft_put(to, size, i, re.head + re.tail);
    fft_put(to, size, i + 1, sign * (im.head + im.tail));
}

void fc_fft_fill_factors(fc_fft_axis *a, const fc_fft_axis *other, char *to, size_t size)
{
    ptrdiff_t count = 0, m = a->n;
    if (other && other->n == m && other->radix[0] == a->radix[0]) { /* the same: often so, and half the time */
        *a = *other;
        return;
    }
    for (int i = 0; i < a->passes; m /= a->radix[i++]) {
        a->factor[i] = count;
        for (ptrdiff_t j = 0; j < m / a->radix[i]; j++)
            for (ptrdiff_t p = 1; p < a->radix[i]; p++, count += 2)
                fft_put_root(to, size, count, p * j, m, 1);
    }
    a->factors = to;
}

/* The frequency that fft leaves at place p */
static ptrdiff_t fft_frequency(const fc_fft_axis *a, ptrdiff_t p)
{
    ptrdiff_t f = 0, weight = 1, m = a->n;
    for (int i = 0; i < a->passes; i++) {
        m /= a->radix[i];
        f += p / m * weight;
        weight *= a->radix[i];
        p %= m;
    }
    return f;
}

/* a b + sign c d */
static double fft_sum(fc_wide a, fc_wide b, double sign, fc_wide c, fc_wide d)
{
    double small = a.head * b.tail + a.tail * b.head + sign * (c.head * d.tail + c.tail * d.head);
    return (a.head * b.head + sign * (c.head * d.head)) + small;
}

/* A root is a product of two, exponents high * C + low: a series for each would take longer than many a transform. Of wide roots the
 * product is as good as the series. */
void fc_fft_fill_twist(const fc_fft_axis *rows, ptrdiff_t C, ptrdiff_t lanes, char *to, size_t size, fc_wide *roots)
{
    ptrdiff_t R = rows->n, n = R * C;
    for (ptrdiff_t i = 0; i < R; i++)
        fc_root_of_one(i * C, n, &roots[2 * i], &roots[2 * i + 1]);
    fc_wide *low_roots = roots + 2 * R;
    for (ptrdiff_t i = 0; i < C; i++)
        fc_root_of_one(i, n, &low_roots[2 * i], &low_roots[2 * i + 1]);
    for (ptrdiff_t r = 0; r < R; r++) {
        ptrdiff_t f = fft_frequency(rows, r), row = (r / lanes * C + r % lanes) * lanes * 2;
        for (ptrdiff_t c = 0; c < C; c++) {
            const fc_wide *high = roots + 2 * (f * c / C), *low = low_roots + 2 * (f * c % C);
            ptrdiff_t at = row + c / lanes * lanes * lanes * 2 + c % lanes;
            fft_put(to, size, at, fft_sum(high[0], low[0], -1, high[1], low[1]));
            fft_put(to, size, at + lanes, fft_sum(high[0], low[1], 1, high[1], low[0]));
        }
    }
}

void fc_fft_fill_turn(ptrdiff_t R, char *to, size_t size)
{
    for (ptrdiff_t row = 0; row < R; row++)
        fft_put_root(to, size, 2 * row, row, 4 * R, -1);
}
