/* SPDX-License-Identifier: BSD-3-Clause
 *
 * K1, outer product:  c[m][n] = sum_p a[m][p] * b[p][n]
 *
 * A tile is M rows x V vectors in accumulators; each step p loads V vectors of b, broadcasts M
 * elements of a and does M*V fma. p ascends in every instance, one fma each, starting from zero.
 */
#if !defined T || !defined FC_ROWS || !defined FC_COLS
#error "include vec.h and define FC_ROWS and FC_COLS before gemm_tmpl.h"
#endif

FC_INLINE void NAME(gemm_tile)(const int M, const int V, const T *a, ptrdiff_t as, const T *b, ptrdiff_t bs,
                               T *c, ptrdiff_t cs, ptrdiff_t n, ptrdiff_t depth)
{
    VT acc[FC_ROWS][8];
#pragma GCC unroll 8
    for (int m = 0; m < M; m++)
#pragma GCC unroll 8
        for (int v = 0; v < V; v++)
            acc[m][v] = vzero();
    for (; depth > 0; depth--, a++, b += bs) {
        VT s[8];
#pragma GCC unroll 8
        for (int v = 0; v < V; v++)
            s[v] = n >= (v + 1) * VLEN ? vload(b + v * VLEN) : vloadn(b + v * VLEN, n - v * VLEN);
#pragma GCC unroll 8
        for (int m = 0; m < M; m++) {
            VT w = vsplat(a[m * as]);
#pragma GCC unroll 8
            for (int v = 0; v < V; v++)
                acc[m][v] = vfma(w, s[v], acc[m][v]);
        }
    }
#pragma GCC unroll 8
    for (int m = 0; m < M; m++)
#pragma GCC unroll 8
        for (int v = 0; v < V; v++)
            vstoren(c + m * cs + v * VLEN, acc[m][v], n - v * VLEN);
}

/* M rows of c: tiles of V vectors, then single vectors, the last one partial. */
FC_INLINE void NAME(gemm_band)(const int M, const int V, const T *a, ptrdiff_t as, const T *b, ptrdiff_t bs,
                               T *c, ptrdiff_t cs, ptrdiff_t cols, ptrdiff_t depth)
{
    ptrdiff_t n = 0;
    for (; n + V * VLEN <= cols; n += V * VLEN)
        NAME(gemm_tile)(M, V, a, as, b + n, bs, c + n, cs, V * VLEN, depth);
    for (; n < cols; n += VLEN)
        NAME(gemm_tile)(M, 1, a, as, b + n, bs, c + n, cs, cols - n, depth);
}

static void NAME(gemm)(const void *av, ptrdiff_t as, const void *b, ptrdiff_t bs, void *cv, ptrdiff_t cs,
                       ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t depth)
{
    const T *a = av;
    T *c = cv;
    for (; rows >= FC_ROWS; rows -= FC_ROWS, a += FC_ROWS * as, c += FC_ROWS * cs)
        NAME(gemm_band)(FC_ROWS, FC_COLS, a, as, b, bs, c, cs, cols, depth);
    for (; rows > 0; rows--, a += as, c += cs) /* one row: more vectors instead, to hide the fma latency */
        NAME(gemm_band)(1, 8, a, as, b, bs, c, cs, cols, depth);
}
