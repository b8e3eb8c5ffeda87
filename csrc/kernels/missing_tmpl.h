/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Elements that do not count, and what is made up for them:
 *
 *      x         1   NaN   3      present      above     1  0  3   to be summed with k
 *                                              counts    1  0  1   and with |k|, which are weights
 *
 *      sum       make_up      sum * total / weight: the sum itself where the weight is that of a whole window, which is total;
 *                             NaN where it is not above 0. In float64 (fastconv/reference/correlation.py: made_up)
 */

enum { NAME(MADE) = 8 }; /* vectors that are looked at together: mostly, all their windows are whole */

static ptrdiff_t NAME(present)(const void *xv, const uint8_t *there, int ignores_nan, ptrdiff_t n, void *abovev, void *countsv)
{
    typedef uint8_t bytes __attribute__((vector_size(FC_VLEN)));
    const T *x = xv;
    T *above = abovev, *counts = countsv;
    VBITS missing = {0};
    for (; n > 0; n -= VLEN, x += VLEN, above += VLEN, counts += VLEN) {
        VT v = vloadn(x, n);
        VBITS here = ignores_nan ? (VBITS)(v == v) : ~(VBITS){0};
        if (there) {
            bytes marks = (bytes){0} + 1;
            __builtin_memcpy(&marks, there, n >= VLEN ? sizeof marks : (size_t)n);
            here &= (VBITS)(__builtin_convertvector(marks, VBITS) != 0);
            there += VLEN;
        }
        vstoren(above, (VT)((VBITS)v & here), n);
        vstoren(counts, (VT)((VBITS)vsplat(1) & here), n);
        missing += here + 1;
    }
    ptrdiff_t all = 0;
    for (int l = 0; l < FC_VLEN; l++)
        all += missing[l];
    return all;
}

static T NAME(made)(T sum, T weight, T total)
{
    double ratio = (double)total / (double)weight;
    if (!(weight > 0))
        return (T)__builtin_nan("");
    return weight == total ? sum : __builtin_isinf(ratio) ? sum / weight * total : (T)((double)sum * ratio);
}

/* By vectors of float64, the W verbs of match_tmpl.h, which comes before */
static void NAME(make_up)(void *sumv, const void *weightv, ptrdiff_t n, double total_weight)
{
    T *sum = sumv;
    const T *weight = weightv, total = (T)total_weight;
    const WT of_all = wsplat((double)total), least = of_all * 0x1p-1020; /* smaller weights may have an infinite quotient */
    for (const ptrdiff_t block = NAME(MADE) * VLEN; n > 0; n -= block, sum += block, weight += block) {
        VBITS whole = ~(VBITS){0};
        WTRUTH infinite = {0};
        ptrdiff_t apart = n < block, partial = !(total > 0); /* apart: one after the other */
        for (int v = 0; v < NAME(MADE) && !apart; v++)
            whole &= (VBITS)(vload(weight + v * VLEN) == vsplat(total));
        for (int l = 0; l < FC_VLEN; l++)
            partial |= ~whole[l];
        if (!apart && !partial)
            continue;
        for (ptrdiff_t i = 0; i < block && !apart; i += WIDE)
            infinite |= (wtake(weight + i) > 0) & (wtake(weight + i) < least);
        for (int l = 0; l < WIDE; l++)
            apart |= infinite[l];
        for (ptrdiff_t i = 0; i < block && !apart; i += WIDE) {
            const WT w = wtake(weight + i), s = wtake(sum + i), y = s * (of_all / w);
            const WTRUTH some = w > 0, all = some & (w == of_all);
            const WTRUTH chosen = ((WTRUTH)s & all) | ((WTRUTH)y & some & ~all) | ((WTRUTH)wsplat(__builtin_nan("")) & ~some);
            wgive(sum + i, (WT)chosen);
        }
        for (ptrdiff_t i = 0; apart && i < n && i < block; i++)
            sum[i] = NAME(made)(sum[i], weight[i], total);
    }
}
