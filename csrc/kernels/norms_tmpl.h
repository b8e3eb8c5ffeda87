/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The norm of sums that share a place, of derivatives the magnitude of the gradient:
 *
 *   s[t] = sum_b x[i*xs + t*term + at[b] + j] * k[t*w + b]        b ascending, one fma each, from zero
 *
 *   out[i][j] = sqrt(s[0]^2 + s[1]^2 + ...)     FC_L2             t ascending, one fma each, from zero
 *             = |s[0]| + |s[1]| + ...           FC_L1
 *
 * The sums stay in registers, and the root of one block is taken while the next one is summed.
 */
#ifndef T
#error "include vec.h before norms_tmpl.h"
#endif

FC_INLINE VT NAME(norms_add)(int is_square, VT sum, VT norm)
{
    if (is_square)
        return (VT)vfma(sum, sum, norm);
    return norm + (VT)vmax(vzero() - sum, sum);
}

/* V vectors of a row, where there are n elements left; of a single one not all */
FC_INLINE void NAME(norms_block)(const int V, const int dense, const T *x, const fc_norms *g, T *out, ptrdiff_t n)
{
    const int whole = V > 1, is_square = g->norm == FC_L2,
              stream = g->stream && n >= VLEN && (uintptr_t)out % FC_VECTOR_BYTES == 0;
    const VMASK lanes = vlanes(n);
    const T *k = g->k;
    VT norm[FC_NORMS];
    EACH(v, V)
        norm[v] = vzero();
    for (ptrdiff_t t = 0; t < g->terms; t++, x += g->term, k += g->w) {
        VT sum[1][NAME(CORR_MOST)];
        EACH(v, V)
            sum[0][v] = vzero();
        NAME(corr_row)(sum, 1, 0, 0, V, whole, dense, x, VLEN, g->at, k, 1, lanes, g->w);
        EACH(v, V)
            norm[v] = NAME(norms_add)(is_square, sum[0][v], norm[v]);
    }
    EACH(v, V) {
        if (is_square)
            norm[v] = (VT)vsqrt(norm[v]);
        if (stream)
            vstream(out + v * VLEN, norm[v]);
        else if (!whole)
            vstorem(out, norm[v], lanes);
        else
            vstore(out + v * VLEN, norm[v]);
    }
}

static void NAME(norms)(const void *xv, ptrdiff_t xs, const fc_norms *g, void *outv, ptrdiff_t os, ptrdiff_t rows,
                        ptrdiff_t cols)
{
    const ptrdiff_t width = FC_NORMS * VLEN;
    ptrdiff_t dense = 0;
    while (dense < g->w && g->at[dense] == dense)
        dense++;
    for (ptrdiff_t i = 0; i < rows; i++) {
        const T *x = (const T *)xv + i * xs;
        T *out = (T *)outv + i * os;
        /* the columns before the first aligned one, where results go past the caches */
        ptrdiff_t j = g->stream && cols >= VLEN ? (ptrdiff_t)(-(uintptr_t)out % FC_VECTOR_BYTES / sizeof(T)) : 0;
        if (j > 0)
            NAME(norms_block)(1, 0, x, g, out, j);
        while (cols - j >= width || (cols >= width && cols > j && !g->stream)) {
            j = j <= cols - width ? j : cols - width; /* the last one begins earlier, rather than to be narrow */
            if (dense == g->w)
                NAME(norms_block)(FC_NORMS, 1, x + j, g, out + j, width);
            else
                NAME(norms_block)(FC_NORMS, 0, x + j, g, out + j, width);
            j += width;
        }
        for (; j < cols; j += VLEN)
            NAME(norms_block)(1, 0, x + j, g, out + j, cols - j);
    }
    if (g->stream)
        vfence();
}
