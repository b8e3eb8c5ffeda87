/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Roots of one, exactly symmetric: p is folded into an eighth of the circle, where the Taylor series has converged. (Not libm's, whose
 * last bits differ from one version to the next; not in long double, which is a double on some systems.)
 */
#include "corr/fft.h"

static fc_wide product(fc_wide a, fc_wide b)
{
    const double units = 0x1.8p27; /* numbers of this size are multiples of 2^-25 */
    double exact = a.head * b.head, small = a.head * b.tail + (a.tail * b.head + a.tail * b.tail);
    double head = (exact + small + units) - units;
    return (fc_wide){head, (exact - head) + small};
}

static fc_wide difference(fc_wide a, fc_wide b) { return (fc_wide){a.head - b.head, a.tail - b.tail}; }

#define QUOTIENT(n, d) {(double)((n) / (d)) * 0x1p-25, (double)((n) % (d)) / (double)(d) * 0x1p-25} /* n / 2^25 / d */

/* n / d, of integers of which d is the larger one, below 2^49 */
static fc_wide quotient(ptrdiff_t n, ptrdiff_t d)
{
    ptrdiff_t high = n * 4096 / d, rest = n * 4096 % d * 8192;
    fc_wide low = QUOTIENT(rest, d);
    return (fc_wide){(double)high * 0x1p-12 + low.head, low.tail};
}

typedef struct {
    fc_wide first[4]; /* the coefficients, whose signs alternate, */
    double then[7];   /* and of which these need not be wide */
} series;

static fc_wide sum_of(const series *s, fc_wide square)
{
    double narrow = square.head + square.tail, rest = 0;
    for (int i = 7; i-- > 0;)
        rest = s->then[i] - narrow * rest;
    fc_wide sum = {0, rest};
    for (int i = 4; i-- > 0;)
        sum = difference(s->first[i], product(sum, square));
    return sum;
}

#define RECIPROCAL(d) QUOTIENT(1 << 25, d)
static const series cosine = {{RECIPROCAL(1), RECIPROCAL(2), RECIPROCAL(24), RECIPROCAL(720)},
                              {0x1p0 / 40320, 0x1p0 / 3628800, 0x1p0 / 479001600, 0x1p0 / 87178291200, 0x1p0 / 20922789888000,
                               0x1p0 / 6402373705728000, 0x1p0 / 2432902008176640000}};
static const series sine = {{RECIPROCAL(1), RECIPROCAL(6), RECIPROCAL(120), RECIPROCAL(5040)}, /* over the angle */
                            {0x1p0 / 362880, 0x1p0 / 39916800, 0x1p0 / 6227020800, 0x1p0 / 1307674368000,
                             0x1p0 / 355687428096000, 0x1p0 / 121645100408832000, 0x1p0 / 51090942171709440000.}};

void fc_root_of_one(ptrdiff_t p, ptrdiff_t n, fc_wide *re, fc_wide *im)
{
    static const fc_wide quarter_of_pi = {26353589 * 0x1p-25, 0x1.110b4611a6263p-27};
    int lower = 2 * p > n;
    p = lower ? n - p : p; /* upper half */
    int left = 4 * p > n;
    ptrdiff_t eighths = left ? 4 * n - 8 * p : 8 * p; /* p / n in eighths of the circle is eighths / n */
    int steep = eighths > n;
    fc_wide angle = product(quotient(steep ? 2 * n - eighths : eighths, n), quarter_of_pi), square = product(angle, angle);
    fc_wide near = sum_of(&cosine, square), far = product(sum_of(&sine, square), angle), across = steep ? far : near,
            up = steep ? near : far;
    *re = left ? (fc_wide){-across.head, -across.tail} : across;
    *im = lower ? up : (fc_wide){-up.head, -up.tail};
}
