/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A column of taps, and then a row of them, as K3 sums them (corr_tmpl.h), from registers to registers:
 *
 *   s[i][q] = sum_{a<h} x[(i+a)*xs + q] * down[a]        out[i][j] = sum_{b<w} s[i][j+b] * across[b]
 *
 *         kept    made
 *   s    +-----+-----+-----+      A block of rows moves right, two vectors at a time, of which one is kept in each row. With it
 *        |     |     |     |      they make two vectors of outputs: each tap but the first takes lanes of two neighbours. So x
 *   out  +-----+-----+-----+      is read, and out written, all the time, as it must be where they come from beyond L2. In L2 two
 *        |     |     |            passes (separable.c) are as fast: where lanes are exchanged, no products are made.
 */
#ifndef T
#error "include corr_tmpl.h before passes_tmpl.h"
#endif

#if FC_HAS & FC_MASK_REGISTERS
/* The block of outputs that begins at `out`, by M + M taps; x: under the first sum that is made */
FC_INLINE void NAME(passes_block)(const int M, const T *x, ptrdiff_t xs, const fc_taps *down, const fc_taps *across, T *out,
                                  ptrdiff_t os, VT kept[])
{
    enum { R = FC_TALL };
    const int stream = across->stream && ((uintptr_t)out | (uintptr_t)os * sizeof(T)) % FC_VECTOR_BYTES == 0;
    const T *const k = across->k;
    VT made[R][NAME(CORR_MOST)];
    NAME(corr_sums)(R, M, 2, 1, 1, 1, x, xs, down, VLEN, vlanes(VLEN), made);
    EACH(r, R) {
        VT first = vfma(vsplat(*k), kept[r], vzero()), second = vfma(vsplat(*k), made[r][0], vzero());
#define FC_TAP(b)                                                                 \
    if ((b) < M) {                                                                \
        const VT tap = vsplat(k[b]);                                              \
        first = vfma(tap, vnext(kept[r], made[r][0], b), first);                  \
        second = vfma(tap, vnext(made[r][0], made[r][1], b), second);             \
    }
        FC_UP_TO_6(FC_TAP)
#undef FC_TAP
        kept[r] = made[r][1];
        if (stream) {
            vstream(out, first);
            vstream(out + VLEN, second);
        } else {
            vstore(out, first);
            vstore(out + VLEN, second);
        }
        out += os;
        __asm__("" : "+r"(out));
    }
}

/* A few columns in two passes: what blocks leave */
static void NAME(passes_few)(const T *x, ptrdiff_t xs, const fc_taps *down, const fc_taps *across, T *out, ptrdiff_t os,
                             ptrdiff_t cols)
{
    enum { ROW = 4 * FC_VLEN };
    T sums[FC_TALL * ROW];
    if (cols <= 0)
        return;
    NAME(corr)(x, xs, down, sums, ROW, FC_TALL, cols + across->full - 1);
    NAME(corr)(sums, ROW, across, out, os, FC_TALL, cols);
}

/* Blocks from column 0 on, as far as x goes; returns where they end */
#define FC_PASSES(M)                                                                                                     \
    static ptrdiff_t NAME(passes_##M)(const T *x, ptrdiff_t xs, const fc_taps *down, const fc_taps *across, T *out,      \
                                      ptrdiff_t os, ptrdiff_t cols)                                                      \
    {                                                                                                                    \
        T first[FC_TALL * FC_VLEN];                                                                                      \
        VT kept[FC_TALL];                                                                                                \
        ptrdiff_t j = 0;                                                                                                 \
        NAME(corr)(x, xs, down, first, VLEN, FC_TALL, VLEN);                                                             \
        EACH(r, FC_TALL)                                                                                                 \
            kept[r] = vload(first + r * VLEN);                                                                           \
        for (; cols + (M) - 1 - j >= 3 * VLEN; j += 2 * VLEN)                                                            \
            NAME(passes_block)(M, x + j + VLEN, xs, down, across, out + j, os, kept);                                    \
        return j;                                                                                                        \
    }
FC_PASSES(3)
FC_PASSES(5) FC_PASSES(7)
#undef FC_PASSES

    static int NAME(passes)(const void *xv, ptrdiff_t xs, const fc_taps *down, const fc_taps *across, void *outv, ptrdiff_t os,
                            ptrdiff_t rows, ptrdiff_t cols)
{
    static ptrdiff_t (*const blocks[])(const T *, ptrdiff_t, const fc_taps *, const fc_taps *, T *, ptrdiff_t,
                                       ptrdiff_t) = {[3] = NAME(passes_3), [5] = NAME(passes_5), [7] = NAME(passes_7)};
    static const ptrdiff_t at[] = {0, 1, 2, 3, 4, 5, 6};
    const ptrdiff_t M = down->h;
    fc_taps dense = *across;
    dense.at = at;
    if (across->full != M || M > 7 || M > VLEN || !blocks[M] || rows < FC_TALL || cols < 4 * VLEN)
        return 0;
    for (ptrdiff_t i = 0; i < rows; i += FC_TALL) {
        i = i < rows - FC_TALL ? i : rows - FC_TALL; /* the last ones begin earlier */
        const T *x = (const T *)xv + i * xs;
        T *out = (T *)outv + i * os;
        /* columns before the first aligned one, where results go past the caches */
        ptrdiff_t j = dense.stream ? (ptrdiff_t)(-(uintptr_t)out % FC_VECTOR_BYTES / sizeof(T)) : 0;
        NAME(passes_few)(x, xs, down, &dense, out, os, j);
        j += blocks[M](x + j, xs, down, &dense, out + j, os, cols - j);
        NAME(passes_few)(x + j, xs, down, &dense, out + j, os, cols - j);
    }
    if (dense.stream)
        vfence();
    return 1;
}
#else /* lanes of two vectors are not joined by one instruction, or registers are few */
static int NAME(passes)(const void *x, ptrdiff_t xs, const fc_taps *down, const fc_taps *across, void *out, ptrdiff_t os,
                        ptrdiff_t rows, ptrdiff_t cols)
{
    (void)x, (void)xs, (void)down, (void)across, (void)out, (void)os, (void)rows, (void)cols;
    return 0;
}
#endif
