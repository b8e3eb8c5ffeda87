/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Rows of bytes, correlated in 16 bits:  out[i][j] = sum_t x[i][at[t] + j * step] * k[t], step 1 or 2
 *
 * Bytes are widened as they are loaded; every second one is half of a 16-bit lane. Integers wrap, so that blocks and the order of sums
 * decide nothing.
 */
FC_INLINE VT NAME(across_load)(const int is_signed, const int step, const char *x)
{
    if (step == 1)
        return is_signed ? (VT)vgrow_int8_t(x) : (VT)vgrow_uint8_t(x);
    if (is_signed)
        return (VT)(((VBITS)vraw(uint16_t, x) << 8) >> 8);
    return (VT)(vraw(uint16_t, x) & 0xff);
}

/* V vectors of a row; of the last one `lanes`, where they are less than a vector */
FC_INLINE void NAME(across_block)(const int V, const int is_signed, const int step, const char *x, const fc_taps *taps, T *out,
                                  ptrdiff_t lanes)
{
    const T *k = taps->k;
    VT sum[4];
    EACH(v, V)
        sum[v] = vzero();
    for (ptrdiff_t t = 0; t < taps->full; t++) {
        const char *from = x + taps->at[t];
        const VT tap = vsplat(k[t]);
        char some[2 * FC_VLEN];
        if (V == 1 && lanes < VLEN) {
            __builtin_memcpy(some, from, (size_t)((lanes - 1) * step + 1));
            from = some;
        }
        EACH(v, V)
            sum[v] += tap * NAME(across_load)(is_signed, step, from + v * step * VLEN);
    }
    EACH(v, V) {
        if (V == 1)
            vstoren(out, sum[v], lanes);
        else
            vstore(out + v * VLEN, sum[v]);
    }
}

FC_INLINE void NAME(across_rows)(const int is_signed, const int step, const char *x, ptrdiff_t xs, const fc_taps *taps, T *out,
                                 ptrdiff_t os, ptrdiff_t rows, ptrdiff_t cols)
{
    for (; rows > 0; rows--, x += xs, out += os) {
        ptrdiff_t j = 0;
        for (; cols - j >= 4 * VLEN; j += 4 * VLEN)
            NAME(across_block)(4, is_signed, step, x + j * step, taps, out + j, VLEN);
        for (; j < cols; j += VLEN) {
            if (cols - j < VLEN && cols >= VLEN)
                j = cols - VLEN; /* what is written twice is the same */
            NAME(across_block)(1, is_signed, step, x + j * step, taps, out + j, cols - j);
        }
    }
}

static void NAME(across)(const void *x, int stored, ptrdiff_t xs, ptrdiff_t step, const fc_taps *taps, void *out, ptrdiff_t os,
                         ptrdiff_t rows, ptrdiff_t cols)
{
    if (step == 1 && stored == FC_U8)
        NAME(across_rows)(0, 1, x, xs, taps, out, os, rows, cols);
    else if (step == 1)
        NAME(across_rows)(1, 1, x, xs, taps, out, os, rows, cols);
    else if (stored == FC_U8)
        NAME(across_rows)(0, 2, x, xs, taps, out, os, rows, cols);
    else
        NAME(across_rows)(1, 2, x, xs, taps, out, os, rows, cols);
}
