/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Integers of 8 or 16 bits, summed in floats down columns and then across, from where they lie to where results lie:
 *
 *   pixels_down     s[i][q] = sum_{a < h} x[i + a][q] * down[a]
 *   pixels_across   out[j] = sum_{b < w} s[j + b * apart] * across[b],  to the nearest, half to even, and no more than the type holds
 *
 * A vector of x has 4 bytes, or 2 elements of 16 bits, in each of its lanes, which are taken from there one after the other. So rows
 * of sums lie in phases:
 *
 *   x   0 1 2 3 4 5 6 7 8 9 ...      phase 0   0 4 8 ...     A tap further on is another phase, or a lane further on: nothing is
 *                                    phase 1   1 5 9 ...     unpacked, no lanes are exchanged, and results of all phases are a
 *                                    phase 2   2 6 ...       vector of out again.
 *                                    phase 3   3 7 ...
 *
 * Sums have K3's order (corr_tmpl.h), from zero, one fma each, and so its bits.
 */
/* Vectors of a row; of results, so many times more */
enum { NAME(PIXELS) = 4, NAME(PIXELS_SETS) = FC_HAS & FC_32_REGISTERS ? 2 : 1 };

/* Where number i of a row of sums lies, in P phases */
FC_INLINE ptrdiff_t NAME(pixels_at)(const int P, const fc_pixels *g, ptrdiff_t i)
{
    return (ptrdiff_t)((size_t)i % (size_t)P) * g->phase + (ptrdiff_t)((size_t)i / (size_t)P);
}

/* Elements of the v-th vector, of P phases and then of the next vector's, from x on */
FC_INLINE VT NAME(pixels_load)(const int P, const int v, const char *x)
{
    const int bits = 32 / P, shift = v % P * bits;
    NAME(of_uint32_t) all = vraw(uint32_t, x + v / P * FC_VECTOR_BYTES);
    if (shift > 0)
        all >>= shift;
    if (shift + bits < 32)
        all &= (1u << bits) - 1;
    return FC_CONVERT((NAME(of_int32_t))all, float);
}

/* FC_LOW rows of sums, of 4 vectors of elements each. M: as in corr_sums */
FC_INLINE void NAME(pixels_sums)(const int P, const int M, const char *const *x, ptrdiff_t j, const fc_pixels *g, T *s,
                                 ptrdiff_t to)
{
    enum { R = FC_LOW, MOST = 4 };
    VT acc[MOST][NAME(PIXELS)];
    const T *k = g->k;
    EACH(r, R)
        EACH(v, NAME(PIXELS))
            acc[r][v] = vzero();
#define FC_INPUT_ROW(first, last)                                                                                        \
    {                                                                                                                    \
        VT tap[MOST];                                                                                                    \
        const char *const from = *x + j;                                                                                 \
        EACH(i, (last) - (first) + 1)                                                                                    \
            tap[i] = vsplat(k[-(first)-i]);                                                                              \
        EACH(v, NAME(PIXELS)) {                                                                                          \
            VT e = NAME(pixels_load)(P, v, from);                                                                        \
            vpin(e);                                                                                                     \
            EACH(i, (last) - (first) + 1)                                                                                \
                acc[(first) + i][v] = vfma(tap[i], e, acc[(first) + i][v]);                                              \
        }                                                                                                                \
        x++, k++;                                                                                                        \
    }
#define FC_BEFORE(q) if (q < M) FC_INPUT_ROW(0, q - 1)
#define FC_BETWEEN(q) if (M < R && q <= R - M + 1) FC_INPUT_ROW(q - 1, q + M - 2)
#define FC_BEHIND(q) if (q < M) FC_INPUT_ROW(R - M + q, R - 1)
    FC_UP_TO_3(FC_BEFORE)
    FC_UP_TO_3(FC_BETWEEN)
    for (ptrdiff_t more = M == R ? g->taps - R + 1 : 0; more > 0; more--)
        FC_INPUT_ROW(0, R - 1)
    FC_UP_TO_3(FC_BEHIND)
#undef FC_BEHIND
#undef FC_BETWEEN
#undef FC_BEFORE
#undef FC_INPUT_ROW
    EACH(r, R) {
        EACH(v, NAME(PIXELS))
            vstore(s + NAME(pixels_at)(P, g, to + v % P) + v / P * VLEN, acc[r][v]);
        s += g->row;
    }
}

FC_INLINE void NAME(pixels_rows)(const int P, const char *const *x, const fc_pixels *asked, T *s, ptrdiff_t to, ptrdiff_t n)
{
    const fc_pixels here = *asked, *const g = &here; /* which nothing that is stored can change */
    const ptrdiff_t width = NAME(PIXELS) * VLEN, bytes = 4 / P;
    ptrdiff_t j = 0;
    for (; n >= width && n - j >= P; j += width) {
        if (n - j < width)
            j = (n - width) / P * P; /* what is written twice is the same */
        if (FC_LOW > 3 && g->taps == 3)
            NAME(pixels_sums)(P, 3, x, j * bytes, g, s, to + j);
        else
            NAME(pixels_sums)(P, FC_LOW > 3 ? 4 : 2, x, j * bytes, g, s, to + j);
    }
    for (j = n < width ? 0 : n - n % P; j < n; j++) /* what vectors leave */
        for (ptrdiff_t i = 0; i < FC_LOW; i++) {
            VT sum = vzero();
            for (ptrdiff_t a = 0; a < g->taps; a++) {
                T e;
                NAME(widen)(&e, g->stored, x[i + a] + j * bytes, 1);
                sum = vfma(vsplat(((const T *)g->k)[a]), vsplat(e), sum);
            }
            s[i * g->row + NAME(pixels_at)(P, g, to + j)] = sum[0];
        }
}

static void NAME(pixels_down)(void *s, ptrdiff_t to, const char *const *x, const fc_pixels *g, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < FC_PIXELS_ROWS; i += FC_LOW) {
        T *const rows = (T *)s + i * g->row;
        if (g->stored == FC_U8)
            NAME(pixels_rows)(4, x + i, g, rows, to, n);
        else
            NAME(pixels_rows)(2, x + i, g, rows, to, n);
    }
}

/* Results of so many sets of 4 vectors, from number i of a row of sums on. A: min(apart, P) */
FC_INLINE void NAME(pixels_results)(const int P, const int A, char *out, const T *s, ptrdiff_t i, const fc_pixels *g)
{
    enum { SETS = NAME(PIXELS_SETS), MOST = SETS * NAME(PIXELS) };
    const T *k = g->k;
    VT sum[MOST], e[MOST];
    EACH(v, MOST) {
        sum[v] = vzero();
        e[v] = vload(s + NAME(pixels_at)(P, g, i + v % P) + v / P * VLEN);
    }
    for (ptrdiff_t more = g->taps - 1; more > 0; more--, k++) {
        const VT tap = vsplat(*k);
        EACH(v, MOST)
            sum[v] = vfma(tap, e[v], sum[v]);
        i += g->apart;
        EACH(p, P) {
            const T *const from = s + NAME(pixels_at)(P, g, i + p);
            EACH(v, MOST / P)
                e[v * P + p] = p + A < P ? e[v * P + (p + A) % P] : vload(from + v * VLEN);
        }
    }
    EACH(v, MOST)
        sum[v] = vfma(vsplat(*k), e[v], sum[v]);
    EACH(n, SETS) {
        const VT *v = sum + n * NAME(PIXELS);
        if (P == 4)
            vputbytes(out + n * FC_VECTOR_BYTES, v[0], v[1], v[2], v[3]);
        else {
            vputwords(out + 2 * n * FC_VECTOR_BYTES, v[0], v[1]);
            vputwords(out + (2 * n + 1) * FC_VECTOR_BYTES, v[2], v[3]);
        }
    }
}

FC_INLINE void NAME(pixels_row)(const int P, const int A, char *out, const T *s, ptrdiff_t i, const fc_pixels *asked,
                                ptrdiff_t n)
{
    const fc_pixels here = *asked, *const g = &here;
    const ptrdiff_t width = NAME(PIXELS_SETS) * NAME(PIXELS) * VLEN, bytes = 4 / P;
    for (ptrdiff_t j = 0; j < n; j += width) {
        if (n < width) {
            char some[NAME(PIXELS_SETS) * NAME(PIXELS) * FC_VLEN * 2];
            NAME(pixels_results)(P, A, some, s, i, g);
            __builtin_memcpy(out, some, (size_t)(n * bytes));
            break;
        }
        if (n - j < width)
            j = n - width;
        NAME(pixels_results)(P, A, out + j * bytes, s, i + j, g);
    }
}

static void NAME(pixels_across)(void *out, const void *s, ptrdiff_t from, const fc_pixels *g, ptrdiff_t n)
{
    const int shares = FC_HAS & FC_FMA; /* loads, with other phases; else products bind, and code is spared */
    if (shares && g->stored == FC_U8 && g->apart == 1)
        NAME(pixels_row)(4, 1, out, s, from, g, n);
    else if (shares && g->stored == FC_U8 && g->apart == 3)
        NAME(pixels_row)(4, 3, out, s, from, g, n);
    else if (g->stored == FC_U8)
        NAME(pixels_row)(4, 4, out, s, from, g, n);
    else if (shares && g->apart == 1)
        NAME(pixels_row)(2, 1, out, s, from, g, n);
    else
        NAME(pixels_row)(2, 2, out, s, from, g, n);
}
