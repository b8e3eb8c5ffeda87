/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sums in a given order, every product and every sum rounded (no fma), for results that must be those of another program
 * to the bit (kernels.h, fc_order):
 *
 *   out[i][j] = start + x(at[0]) w[0] + s[1] w[1] + s[2] w[2] + ...           from left to right
 *
 *   fold  0    s[t] = x(at[t])                                       where x(a) = x[i][j + a * unit]
 *        +1    s[t] = x(at[t]) + x(2 at[0] - at[t])                  taps mirrored at the first one
 *        -1    s[t] = x(at[t]) - x(2 at[0] - at[t])
 *
 * A strip of vectors goes down the rows, so that the rows its taps reach stay in L1.
 *
 * magnitude: likewise, of two such sums.
 */

/* A strip of V vectors, or of one that has `lanes`; VLEN, a constant, where they are whole */
FC_INLINE void NAME(ordered_strip)(const int V, const int fold, const T *x, ptrdiff_t xs, const fc_order *o, T *out,
                                   ptrdiff_t os, ptrdiff_t rows, ptrdiff_t lanes)
{
    const T *weight = o->w;
    const VT start = vsplat((T)o->start);
    for (; rows > 0; rows--, x += xs, out += os) {
        VT sum[FC_ORDERED];
        const T *centre = x + o->at[0] * o->unit;
        VT w = vsplat(weight[0]);
        EACH(v, V)
            sum[v] = vloadn(centre + v * VLEN, lanes) * w + start;
        for (ptrdiff_t t = 1; t < o->taps; t++) {
            const T *p = x + o->at[t] * o->unit, *q = centre + (centre - p);
            w = vsplat(weight[t]);
            EACH(v, V) {
                VT s = vloadn(p + v * VLEN, lanes);
                if (fold > 0)
                    s = s + vloadn(q + v * VLEN, lanes);
                if (fold < 0)
                    s = s - vloadn(q + v * VLEN, lanes);
                sum[v] = sum[v] + s * w;
            }
        }
        EACH(v, V)
            vstoren(out + v * VLEN, sum[v], lanes);
    }
}

FC_INLINE void NAME(ordered_fold)(const int fold, const T *x, ptrdiff_t xs, const fc_order *o, T *out, ptrdiff_t os,
                                  ptrdiff_t rows, ptrdiff_t cols)
{
    ptrdiff_t j = 0;
    for (; cols - j >= FC_ORDERED * VLEN; j += FC_ORDERED * VLEN)
        NAME(ordered_strip)(FC_ORDERED, fold, x + j, xs, o, out + j, os, rows, VLEN);
    for (; cols - j >= 2 * VLEN; j += 2 * VLEN)
        NAME(ordered_strip)(2, fold, x + j, xs, o, out + j, os, rows, VLEN);
    for (; j < cols; j += VLEN)
        NAME(ordered_strip)(1, fold, x + j, xs, o, out + j, os, rows, cols - j);
}

static void NAME(ordered)(const void *x, ptrdiff_t xs, const fc_order *o, void *out, ptrdiff_t os, ptrdiff_t rows,
                          ptrdiff_t cols)
{
    if (o->fold > 0)
        NAME(ordered_fold)(1, x, xs, o, out, os, rows, cols);
    else if (o->fold < 0)
        NAME(ordered_fold)(-1, x, xs, o, out, os, rows, cols);
    else
        NAME(ordered_fold)(0, x, xs, o, out, os, rows, cols);
}

#if FC_SIZE == 8
/* out[i] = sqrt(a[i]^2 + b[i]^2), a, b and each result rounded to what is stored: FC_F32 or FC_F64 */
static void NAME(magnitude)(void *out, const void *a, const void *b, ptrdiff_t n, int stored)
{
#define FC_MAGNITUDES(ROUND)                                                                                 \
    for (ptrdiff_t i = 0; i < n; i += VLEN) {                                                                \
        const VT p = ROUND(vloadn((const T *)a + i, n - i)), q = ROUND(vloadn((const T *)b + i, n - i));     \
        const VT squares = ROUND(ROUND(p * p) + ROUND(q * q));                                               \
        vstoren((T *)out + i, (VT)vsqrt(squares), n - i);                                                    \
    }
#define FC_TO_FLOAT(v) __builtin_convertvector(FC_CONVERT(v, float), VT)
    if (stored == FC_F32)
        FC_MAGNITUDES(FC_TO_FLOAT)
    else
        FC_MAGNITUDES((VT))
#undef FC_TO_FLOAT
#undef FC_MAGNITUDES
}
#endif
