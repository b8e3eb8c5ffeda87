/* SPDX-License-Identifier: BSD-3-Clause
 *
 * K2, inner products:  c[m * cs + at[n]] = first[m][n] + sum_p a[m][p] * b[n][p],  part by part of the p
 *
 * For the few columns that would leave most lanes of K1's vectors idle: here the lanes run along p. A tile is 4 rows x J
 * columns of accumulators, one vector each, or of a single column 8 rows: a stream of weights for each. Then
 * their lanes are summed, all of them at once:
 *
 *      acc 0   a a a a  \  upper halves of both, lower halves of both,
 *      acc 1   b b b b  /  added:  aa aa bb bb   ...  and so on, down to one lane of each
 *
 * Lane l of a part sums the p that are l modulo VLEN, ascending, one fma each, from zero. Sums of parts are added in turn to what
 * there is first.
 */

#define FC_DOT_TALL 8 /* more streams, often a power of two apart, share a set of L1 */
enum { NAME(dot_sums) = 4 * FC_DOT_COLS > VLEN ? 4 * FC_DOT_COLS : VLEN };

/* sum[j * M + m]: of n taps */
FC_INLINE void NAME(dot_part)(const int M, const int J, ptrdiff_t n, const T *a, ptrdiff_t as, const T *b, ptrdiff_t bs, T *sum)
{
    enum { AHEAD = 512 / sizeof(T) }; /* of a long stream */
    VT acc[NAME(dot_sums)];
    EACH(i, NAME(dot_sums))
        acc[i] = vzero();
    const T *row[(FC_DOT_TALL + 2) / 3]; /* with {0, 1, 2} as, what one address can say */
    EACH(r, (M + 2) / 3)
        row[r] = a + 3 * r * as;
    for (ptrdiff_t p = 0; p < n; p += VLEN) {
        const VMASK lanes = vlanes(n - p);
        const int whole = p + VLEN <= n;
        VT s[FC_DOT_COLS];
        EACH(j, J) {
            s[j] = whole ? vload(b + j * bs + p) : vloadm(b + j * bs + p, lanes);
            vpin(s[j]);
        }
        EACH(m, M) {
            const T *from = row[m / 3] + m % 3 * as;
            VT w = whole ? vload(from) : vloadm(from, lanes);
            if (M > 4)
                __builtin_prefetch(from + AHEAD, 0, 2);
            EACH(j, J)
                acc[M * j + m] = vfma(w, s[j], acc[M * j + m]);
        }
        EACH(r, (M + 2) / 3)
            row[r] += VLEN;
    }
#pragma GCC unroll 8
    for (int i = 0; i < NAME(dot_sums); i += VLEN) {
#define FC_HALVE(n)                                                                                          \
    if (n < VLEN)                                                                                            \
        EACH(k, n)                                                                                           \
            acc[i + k] = vupper(acc[i + k], acc[i + k + n], n) + vlower(acc[i + k], acc[i + k + n], n);
        FC_HALVES(FC_HALVE)
#undef FC_HALVE
        vstore(sum + i, acc[i]);
    }
}

FC_INLINE void NAME(dot_tile)(const int M, const int J, const fc_dot *g, const T *a, const T *b, const ptrdiff_t *at, T *c,
                              const T *bias)
{
    T sum[NAME(dot_sums)], value[NAME(dot_sums)];
    for (int j = 0; j < J; j++)
        for (int m = 0; m < M; m++)
            value[M * j + m] = g->add ? c[m * g->cs + at[j]] : bias ? bias[m] : 0;
    for (ptrdiff_t p = 0; p < g->depth; p += g->part, b += g->b_part) {
        NAME(dot_part)(M, J, g->depth - p < g->part ? g->depth - p : g->part, a + p, g->as, b, g->bs, sum);
        for (int i = 0; i < M * J; i++)
            value[i] += sum[i];
    }
    for (int j = 0; j < J; j++)
        for (int m = 0; m < M; m++) {
            T v = value[M * j + m];
            if (g->clamp) {
                v = v < (T)g->low ? (T)g->low : v;
                v = v > (T)g->high ? (T)g->high : v;
            }
            c[m * g->cs + at[j]] = v;
        }
}

static void NAME(dot)(const fc_dot *g)
{
    const T *a = g->a, *bias = g->bias;
    T *c = g->c;
    for (ptrdiff_t m = 0, M; m < g->rows; m += M, a += M * g->as, c += M * g->cs, bias = bias ? bias + M : bias) {
        const ptrdiff_t left = g->rows - m;
        const T *b = g->b;
        M = g->cols == 1 && left >= FC_DOT_TALL ? FC_DOT_TALL : left >= 4 ? 4 : 1;
        for (ptrdiff_t n = 0, J; n < g->cols; n += J, b += J * g->bs) {
            J = g->cols - n < FC_DOT_COLS ? g->cols - n : FC_DOT_COLS;
#define FC_CASE(cols, rows)                                                                                  \
    if (M == rows && J == cols)                                                                              \
        NAME(dot_tile)(rows, cols, g, a, b, g->at + n, c, bias);
            FC_CASE(1, FC_DOT_TALL)
            FC_UP_TO(FC_DOT_COLS, FC_CASE, 4)
            FC_UP_TO(FC_DOT_COLS, FC_CASE, 1)
#undef FC_CASE
        }
    }
}
#undef FC_DOT_TALL
