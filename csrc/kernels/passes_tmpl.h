/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Columns of taps, and then rows of them, as K3 sums them (corr_tmpl.h), from registers to registers, for one term or two:
 *
 *   s[i][q] = sum_{a<h} x[(i+a)*xs + q] * down[a]        out[i][j] = sum_{b<w} s[i][j+b] * across[b]
 *
 *         kept    made
 *   s    +-----+-----+-----+      A block of rows moves right, two vectors at a time, of which one is kept in each row. With it
 *        |     |     |     |      they make two vectors of outputs: each tap but the first takes lanes of two neighbours. So x
 *   out  +-----+-----+-----+      is read, and out written, all the time, as it must be where they come from beyond L2. In L2 two
 *        |     |     |            passes (separable.c) are as fast by Zen 4, and 0.75 to 0.9 as fast by an Intel Xeon.
 *
 * Of two terms x is read once, and what they make combined as norms_tmpl.h does, or stored apart.
 *
 * Of more taps that would be many exchanges, and loads of taps across cross lines. So columns are summed alone, and sums stored turned:
 *
 *   turn     out[j*os + i] = sum_{a<h} x[(i+a)*xs + j] * k[a]
 *
 * It is done twice, down and then across: what were rows are columns then, and are rows again behind that. Lanes are exchanged in
 * four steps whatever h is, and all vectors of the second pass lie at lines.
 */
#ifndef T
#error "include norms_tmpl.h before passes_tmpl.h"
#endif

#if FC_HAS & FC_MASK_REGISTERS
/* Rows of a block of so many terms */
#define FC_PASSES_ROWS(terms) ((terms) == 1 ? FC_TALL : FC_LOW)

FC_INLINE void NAME(passes_store)(int stream, T *to, VT first, VT second)
{
    if (stream) {
        vstream(to, first);
        vstream(to + VLEN, second);
    } else {
        vstore(to, first);
        vstore(to + VLEN, second);
    }
}

/* A vector of outputs from two of sums */
FC_INLINE VT NAME(passes_sum)(const int M, const T *k, VT low, VT high)
{
    VT sum = (VT)vfma(vsplat(*k), low, vzero());
#define FC_TAP(b) \
    if ((b) < M)  \
        sum = (VT)vfma(vsplat(k[b]), vnext(low, high, b), sum);
    FC_UP_TO_6(FC_TAP)
#undef FC_TAP
    return sum;
}

/* The block of outputs that begins at `out`, by M + M taps for each term; x: under the first sum that is made, whose second vectors
 * have so many lanes */
FC_INLINE void NAME(passes_block)(const int terms, const int M, const T *x, ptrdiff_t xs, const fc_passes *g, T *out,
                                  ptrdiff_t os, VMASK lanes, VT kept[][FC_TALL])
{
    enum { BOTH = 2 };
    const int R = FC_PASSES_ROWS(terms); /* (FC_PASSES_ROWS itself in the condition of a loop keeps gcc from unrolling it) */
    const uintptr_t steps = (uintptr_t)os | (terms > 1 && g->combine == FC_APART ? (uintptr_t)g->result : 0);
    const int stream = g->stream && ((uintptr_t)out | steps * sizeof(T)) % FC_VECTOR_BYTES == 0;
    const int is_square = g->combine == FC_L2, is_norm = terms > 1 && g->combine != FC_APART;
    VT made[BOTH][FC_TALL][NAME(CORR_MOST)];
    if (g->far)
        NAME(corr_ahead)(R, 2, x, xs, M);
    EACH(t, terms) {
        const fc_taps down = {.h = M, .k = (const T *)g->down + t * M};
        NAME(corr_sums)(R, M, 0, 2, 0, 1, 1, x, xs, &down, NULL, VLEN, lanes, made[t], NULL, 0);
    }
    EACH(r, R) {
        const T *const k = g->across;
        VT first = NAME(passes_sum)(M, k, kept[0][r], made[0][r][0]),
           second = NAME(passes_sum)(M, k, made[0][r][0], made[0][r][1]);
        kept[0][r] = made[0][r][1];
        if (terms > 1) {
            VT other = NAME(passes_sum)(M, k + M, kept[1][r], made[1][r][0]),
               another = NAME(passes_sum)(M, k + M, made[1][r][0], made[1][r][1]);
            kept[1][r] = made[1][r][1];
            if (is_norm) {
                first = NAME(norms_add)(is_square, other, NAME(norms_add)(is_square, first, vzero()));
                second = NAME(norms_add)(is_square, another, NAME(norms_add)(is_square, second, vzero()));
                if (is_square)
                    first = (VT)vsqrt(first), second = (VT)vsqrt(second);
            } else
                NAME(passes_store)(stream, out + g->result, other, another);
        }
        NAME(passes_store)(stream, out, first, second);
        out += os;
        __asm__("" : "+r"(out));
    }
}

/* Whole blocks from column 0 on; returns where they end */
#define FC_PASSES(terms, M)                                                                                              \
    static ptrdiff_t NAME(passes_##terms##_##M)(const T *x, ptrdiff_t xs, const fc_passes *g, T *out, ptrdiff_t os,      \
                                                ptrdiff_t cols)                                                          \
    {                                                                                                                    \
        enum { R = FC_PASSES_ROWS(terms) };                                                                              \
        VT kept[terms][FC_TALL];                                                                                         \
        EACH(t, terms) {                                                                                                 \
            VT first[FC_TALL][NAME(CORR_MOST)];                                                                          \
            const fc_taps down = {.h = M, .k = (const T *)g->down + t * (M)};                                            \
            NAME(corr_sums)(R, M, 0, 1, 1, 1, 1, x, xs, &down, NULL, VLEN, vlanes(VLEN), first, NULL, 0);                \
            EACH(r, R)                                                                                                   \
                kept[t][r] = first[r][0];                                                                                \
        }                                                                                                                \
        ptrdiff_t j = 0;                                                                                                 \
        for (; cols - j >= 2 * VLEN; j += 2 * VLEN)                                                                      \
            NAME(passes_block)(terms, M, x + j + VLEN, xs, g, out + j, os, vlanes(cols + (M) - 1 - j - 2 * VLEN), kept); \
        return j;                                                                                                        \
    }
/* The formatter sees no end of what is made by macros. */
/* clang-format off */
FC_PASSES(1, 3) FC_PASSES(1, 5) FC_PASSES(1, 7) FC_PASSES(2, 3)
#undef FC_PASSES

typedef ptrdiff_t NAME(passes_fn)(const T *x, ptrdiff_t xs, const fc_passes *g, T *out, ptrdiff_t os, ptrdiff_t cols);

/* Less columns than a block has, by way of one */
static void NAME(passes_few)(NAME(passes_fn) * block, const T *x, ptrdiff_t xs, const fc_passes *g, T *out, ptrdiff_t os,
                             ptrdiff_t cols)
{
    enum { MADE = 2 * FC_VLEN, READ = 3 * FC_VLEN };
    const ptrdiff_t rows = FC_PASSES_ROWS(g->terms), halo = g->taps - 1, result = rows * MADE;
    T in[(FC_TALL + 6) * READ], made[2 * FC_TALL * MADE];
    fc_passes here = *g;
    here.stream = here.far = 0, here.result = result;
    for (ptrdiff_t i = 0; i < rows + halo; i++)
        for (ptrdiff_t j = 0; j < READ; j += VLEN)
            vstore(in + i * READ + j, vloadm(x + i * xs + j, vlanes(cols + halo - j)));
    block(in, READ, &here, made, MADE, MADE);
    for (ptrdiff_t t = 0; t < (g->terms > 1 && g->combine == FC_APART ? g->terms : 1); t++)
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t j = 0; j < cols; j += VLEN) {
                T *const to = out + t * g->result + i * os + j;
                const VT v = vload(made + t * result + i * MADE + j);
                if (g->stream && cols - j >= VLEN && (uintptr_t)to % FC_VECTOR_BYTES == 0)
                    vstream(to, v);
                else
                    vstorem(to, v, vlanes(cols - j));
            }
}

static int NAME(passes)(const void *xv, ptrdiff_t xs, const fc_passes *g, void *outv, ptrdiff_t os, ptrdiff_t rows,
                        ptrdiff_t cols)
/* clang-format on */
{
    static NAME(passes_fn) *const blocks[][8] = {{[3] = NAME(passes_1_3), [5] = NAME(passes_1_5), [7] = NAME(passes_1_7)},
                                                 {[3] = NAME(passes_2_3)}};
    if (g->terms > 2 || (g->terms == 2 && g->combine == FC_ADDED) || g->taps > 7 || g->taps > VLEN ||
        !blocks[g->terms - 1][g->taps] || rows < FC_TALL || cols < 4 * VLEN)
        return 0;
    NAME(passes_fn) *const block = blocks[g->terms - 1][g->taps];
    const ptrdiff_t R = FC_PASSES_ROWS(g->terms);
    for (ptrdiff_t i = 0; i < rows; i += R) {
        i = i < rows - R ? i : rows - R; /* the last ones begin earlier */
        const T *x = (const T *)xv + i * xs;
        T *out = (T *)outv + i * os;
        /* columns before the first aligned one, where results go past the caches */
        ptrdiff_t j = g->stream ? (ptrdiff_t)(-(uintptr_t)out % FC_VECTOR_BYTES / sizeof(T)) : 0;
        if (j > 0)
            NAME(passes_few)(block, x, xs, g, out, os, j);
        j += block(x + j, xs, g, out + j, os, cols - j);
        if (j < cols && g->stream)
            NAME(passes_few)(block, x + j, xs, g, out + j, os, cols - j);
        else if (j < cols)
            block(x + cols - 2 * VLEN, xs, g, out + cols - 2 * VLEN, os, 2 * VLEN); /* what is written twice is the same */
    }
    if (g->stream)
        vfence();
    return 1;
}
#undef FC_PASSES_ROWS

/* ---- turned */

/* FC_TURN rows of a vector, as two vectors of half as many rows */
FC_INLINE void NAME(turn_block)(const T *x, ptrdiff_t xs, const fc_taps *taps, T *out, ptrdiff_t os)
{
    enum { R = FC_TURN / 2, SQUARES = FC_TURN / FC_VLEN };
    VT sum[R][NAME(CORR_MOST)], row[FC_TURN];
    if (__builtin_expect(taps->far, 0))
        NAME(corr_ahead)(FC_TURN, 1, x, xs, taps->h);
    NAME(corr_sums)(R, R, 0, 2, 1, 1, 1, x, xs, taps, NULL, R * xs, vlanes(VLEN), sum, NULL, 0);
    EACH(r, FC_TURN)
        row[r] = sum[r % R][r / R];
    EACH(s, SQUARES) {
        T *to = out + s * VLEN;
        NAME(exchange)(row + s * VLEN);
        EACH(i, VLEN) {
            vstore(to, row[s * VLEN + i]);
            to += os;
            __asm__("" : "+r"(to));
        }
    }
}

static int NAME(turn)(const void *xv, ptrdiff_t xs, const fc_taps *taps, void *outv, ptrdiff_t os, ptrdiff_t rows,
                      ptrdiff_t cols)
{
    if (taps->h < FC_TURN / 2 || rows < FC_TURN || cols < VLEN)
        return 0;
    /* where all rows are alike, blocks behind the first one begin at a line */
    const ptrdiff_t before = xs % VLEN || cols == VLEN ? 0 : (ptrdiff_t)((uintptr_t)xv % FC_VECTOR_BYTES / FC_SIZE),
                    above = os % VLEN || rows == FC_TURN ? 0 : (ptrdiff_t)((uintptr_t)outv % FC_VECTOR_BYTES / FC_SIZE);
    for (ptrdiff_t i = 0; i < rows; i += FC_TURN - (i == 0 ? above : 0)) {
        i = i < rows - FC_TURN ? i : rows - FC_TURN;
        for (ptrdiff_t j = 0; j < cols; j += VLEN - (j == 0 ? before : 0)) {
            j = j < cols - VLEN ? j : cols - VLEN;
            NAME(turn_block)((const T *)xv + i * xs + j, xs, taps, (T *)outv + j * os + i, os);
        }
    }
    return 1;
}
#else /* lanes of two vectors are not joined by one instruction, or registers are few */
static int NAME(passes)(const void *x, ptrdiff_t xs, const fc_passes *g, void *out, ptrdiff_t os, ptrdiff_t rows,
                        ptrdiff_t cols)
{
    (void)x, (void)xs, (void)g, (void)out, (void)os, (void)rows, (void)cols;
    return 0;
}
static int NAME(turn)(const void *x, ptrdiff_t xs, const fc_taps *taps, void *out, ptrdiff_t os, ptrdiff_t rows, ptrdiff_t cols)
{
    (void)x, (void)xs, (void)taps, (void)out, (void)os, (void)rows, (void)cols;
    return 0;
}
#endif
