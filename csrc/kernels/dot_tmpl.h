/* SPDX-License-Identifier: BSD-3-Clause
 *
 * K2, inner products:  c[m * cs + at[n]] = first[m][n] + sum_p a[m][p] * b[n][p]
 *
 * For the few columns that would leave most lanes of K1's vectors idle: here the lanes run along p. A tile is 4 rows x J
 * columns of accumulators, one vector each; then their lanes are summed, all of them at once:
 *
 *      acc 0   a a a a  \  upper halves of both, lower halves of both,
 *      acc 1   b b b b  /  added:  aa aa bb bb   ...  and so on, down to one lane of each
 *
 * Lane l sums the p that are l modulo VLEN, ascending, one fma each, from zero.
 */

enum { NAME(dot_sums) = 4 * FC_DOT_COLS > VLEN ? 4 * FC_DOT_COLS : VLEN };

FC_INLINE void NAME(dot_tile)(const int M, const int J, const fc_dot *g, const T *a, const T *b, const ptrdiff_t *at, T *c,
                              const T *bias)
{
    VT acc[NAME(dot_sums)];
    EACH(i, NAME(dot_sums))
        acc[i] = vzero();
    const T *row[2] = {a, a + (M - 1) * g->as}; /* with steps of `as` up and down, all that addresses must say */
    for (ptrdiff_t p = 0; p < g->depth; p += VLEN) {
        VMASK lanes = vlanes(g->depth - p);
        VT s[FC_DOT_COLS];
        EACH(j, J) {
            s[j] = vload(b + j * g->bs + p);
            vpin(s[j]);
        }
        EACH(m, M) {
            const T *from = m < 2 ? row[0] + m * g->as : row[1] - (M - 1 - m) * g->as;
            VT w = p + VLEN <= g->depth ? vload(from + p) : vloadm(from + p, lanes);
            EACH(j, J)
                acc[4 * j + m] = vfma(w, s[j], acc[4 * j + m]);
        }
    }
    T sum[NAME(dot_sums)];
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
    for (int j = 0; j < J; j++)
        for (int m = 0; m < M; m++) {
            T *to = c + m * g->cs + at[j], value = sum[4 * j + m];
            value += g->add ? *to : bias ? bias[m] : 0;
            if (g->clamp) {
                value = value < (T)g->low ? (T)g->low : value;
                value = value > (T)g->high ? (T)g->high : value;
            }
            *to = value;
        }
}

static void NAME(dot)(const fc_dot *g)
{
    const T *a = g->a, *bias = g->bias;
    T *c = g->c;
    for (ptrdiff_t m = 0, M; m < g->rows; m += M, a += M * g->as, c += M * g->cs, bias = bias ? bias + M : bias) {
        M = g->rows - m >= 4 ? 4 : 1;
        const T *b = g->b;
        for (ptrdiff_t n = 0, J; n < g->cols; n += J, b += J * g->bs) {
            J = g->cols - n < FC_DOT_COLS ? g->cols - n : FC_DOT_COLS;
#define FC_CASE(cols, rows)                                                                                  \
    if (M == rows && J == cols)                                                                              \
        NAME(dot_tile)(rows, cols, g, a, b, g->at + n, c, bias);
            FC_UP_TO(FC_DOT_COLS, FC_CASE, 4)
            FC_UP_TO(FC_DOT_COLS, FC_CASE, 1)
#undef FC_CASE
        }
    }
}
