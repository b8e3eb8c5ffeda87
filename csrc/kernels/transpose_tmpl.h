/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Transposition, a square of VLEN x VLEN in registers at a time.
 */
#ifndef T
#error "include vec.h before transpose_tmpl.h"
#endif

/* v[i][j] <-> v[j][i]: exchange the off-diagonal halves, then quarters, ... */
FC_INLINE void NAME(exchange)(VT row[FC_VLEN])
{
    enum { N = FC_VLEN };
#define FC_EXCHANGE(b)                                                                                       \
    if (b < N)                                                                                               \
        _Pragma("GCC unroll 16") for (int i = 0; i < N; i++)                                                 \
            if (i / b % 2 == 0) {                                                                            \
                VT upper = row[i], lower = row[i + b];                                                       \
                row[i] = vupper(upper, lower, b);                                                            \
                row[i + b] = vlower(upper, lower, b);                                                        \
            }
    FC_EXCHANGE(8)
    FC_EXCHANGE(4)
    FC_EXCHANGE(2)
    FC_EXCHANGE(1)
#undef FC_EXCHANGE
}

static void NAME(transpose)(void *to, ptrdiff_t ts, const void *from, ptrdiff_t fs, ptrdiff_t rows, ptrdiff_t cols)
{
    for (ptrdiff_t j = 0; j < cols; j += VLEN)
        for (ptrdiff_t i = 0; i < rows; i += VLEN) {
            VT row[FC_VLEN];
#pragma GCC unroll 16
            for (ptrdiff_t r = 0; r < VLEN; r++)
                row[r] = vload((const T *)from + (i + r) * fs + j);
            NAME(exchange)(row);
#pragma GCC unroll 16
            for (ptrdiff_t r = 0; r < VLEN; r++)
                vstore((T *)to + (j + r) * ts + i, row[r]);
        }
}
