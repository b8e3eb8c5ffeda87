/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Transposition, a square of VLEN x VLEN in registers at a time.
 */

/* v[i][j] <-> v[j][i]: exchange the off-diagonal halves, then quarters, ... */
FC_INLINE void NAME(exchange)(VT row[FC_VLEN])
{
    enum { N = FC_VLEN };
#define FC_EXCHANGE(b)                                                                                       \
    if (b < N)                                                                                               \
        EACH(i, N)                                                                                           \
            if (i / b % 2 == 0) {                                                                            \
                VT upper = row[i], lower = row[i + b];                                                       \
                row[i] = vupper(upper, lower, b);                                                            \
                row[i + b] = vlower(upper, lower, b);                                                        \
            }
    FC_HALVES(FC_EXCHANGE)
#undef FC_EXCHANGE
}

#ifndef FC_INTEGER
static void NAME(transpose)(void *to, ptrdiff_t ts, const void *from, ptrdiff_t fs, ptrdiff_t rows, ptrdiff_t cols)
{
    for (ptrdiff_t j = 0; j < cols; j += VLEN)
        for (ptrdiff_t i = 0; i < rows; i += VLEN) {
            VT row[FC_VLEN];
            EACH(r, VLEN)
                row[r] = vload((const T *)from + (i + r) * fs + j);
            NAME(exchange)(row);
            EACH(r, VLEN)
                vstore((T *)to + (j + r) * ts + i, row[r]);
        }
}
#endif
