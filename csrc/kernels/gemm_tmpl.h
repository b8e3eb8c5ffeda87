/* SPDX-License-Identifier: BSD-3-Clause
 *
 * K1, outer product:  c[m][n] = first[m][n] + sum_p a[m * as + a_at[p]] * b[b_at[p] + n]
 *
 * A tile is M rows x V vectors in accumulators; each step p loads V vectors of b, broadcasts M elements of a and does
 * M*V fma. p ascends in every instance, one fma each, starting from zero; what c begins with (zero, a bias, or what is
 * in c: an earlier part of the sum) is added at the end, so that a long sum is made of parts that are small beside it. What is added to
 * the whole sum (`more`) lies far away, and is fetched while products are made.
 *
 *              vectors of a panel: anywhere in b and c
 *   b_at[p]   |----|----|----|
 *   a[m,p]  x   *    *    *   -> M x V accumulators, kept through all p
 *
 * Rows are split as evenly as they can be: 33 are 7+7+7+6+6, so an odd number costs no more than the next even one.
 *
 * Of the types of dots_tmpl.h, an element holds several numbers, and vdot is the sum of their products.
 */
#ifndef vdot
#define FC_PLAIN 0 /* sums begin with nothing, and vectors are whole; there are fewer instances */
#define vdot_to vfma_to
#else
#define vdot_to(sum, a, b) ((sum) = vdot(a, b, sum))
#endif

#define FC_LINE (64 / (ptrdiff_t)sizeof(T)) /* elements */

/* What the sums begin with, the clamp, and the store. */
FC_INLINE void NAME(gemm_finish)(VT acc[FC_ROWS][FC_COLS_MAX], const int M, const int V, const fc_gemm *g,
                                 const fc_panel *panel, T *c, const T *bias)
{
    const ptrdiff_t cs = g->cs;
    if (!FC_PLAIN && !g->add)
        EACH(v, V)
            EACH(m, M)
                acc[m][v] += vzero(); /* -0, of products too small, to 0: as if zeros were added */
    if (!FC_PLAIN && !g->add && g->lane_bias) {
        EACH(v, V) {
            const T *from = (const T *)g->lane_bias + panel->c[v];
            VT first = panel->whole ? vload(from) : vloadm(from, vlanes(panel->lanes[v]));
            EACH(m, M)
                acc[m][v] += first;
        }
    } else if (!FC_PLAIN && !g->add && bias) {
        EACH(m, M) {
            VT first = vsplat(bias[m]);
            EACH(v, V)
                acc[m][v] += first;
        }
    }
    for (int turn = FC_PLAIN || g->add ? 0 : 1; !FC_PLAIN && turn < 1 + (g->more != 0); turn++) { /* c, and what is more */
        const T *first = (const T *)(const void *)((const char *)c + turn * g->more);
        EACH(v, V)
            EACH(m, M) {
                const T *from = first + panel->c[v] + m * cs;
                acc[m][v] += panel->whole ? vload(from) : vloadm(from, vlanes(panel->lanes[v]));
            }
    }
#ifndef FC_INTEGER
    if (g->clamp) {
        VT low = vsplat((T)g->low), high = vsplat((T)g->high);
        EACH(m, M)
            EACH(v, V)
                acc[m][v] = vmin(high, vmax(low, acc[m][v]));
    }
#endif
    if (FC_PLAIN || panel->whole) {
        EACH(v, V) {
            T *to = c + panel->c[v];
#pragma GCC unroll 8
            for (int m = 0; m < M; m++, to += cs)
                vstore(to, acc[m][v]);
        }
    } else {
        EACH(v, V) {
            T *to = c + panel->c[v];
            VMASK lanes = vlanes(panel->lanes[v]);
#pragma GCC unroll 8
            for (int m = 0; m < M; m++, to += cs)
                vstorem(to, acc[m][v], lanes);
        }
    }
}

FC_INLINE void NAME(gemm_step)(VT acc[FC_ROWS][FC_COLS_MAX], const int M, const int V, const T *const b[FC_COLS_MAX],
                               ptrdiff_t b_at, const T *const row[3], ptrdiff_t a_at, ptrdiff_t as)
{
    VT s[FC_COLS_MAX];
    EACH(v, V) {
        s[v] = vload(b[v] + b_at);
        vpin(s[v]);
    }
    EACH(m, M) {
        VT w = vsplat(row[m / 3][a_at + m % 3 * as]);
        EACH(v, V)
            vdot_to(acc[m][v], w, s[v]);
    }
}

FC_INLINE void NAME(gemm_tile)(const int M, const int V, const fc_gemm *g, const fc_panel *panel, const T *a, T *c,
                               const T *bias)
{
    const ptrdiff_t *a_at = g->a_at, *b_at = g->b_at, *end = b_at + g->depth;
    const ptrdiff_t as = g->as;
    const T *b[FC_COLS_MAX], *row[3] = {a, a + 3 * as, a + 6 * as}; /* a + {0, 1, 2} as: what one address can say */
    EACH(v, V)
        b[v] = (const T *)g->b + panel->b[v];
    VT acc[FC_ROWS][FC_COLS_MAX];
    EACH(m, M)
        EACH(v, V)
            acc[m][v] = vzero();
    if (!FC_PLAIN && g->more) {
        const char *from = (const char *)c + g->more;
        for (int m = 0; m < M; m++, from += g->cs * (ptrdiff_t)sizeof(T))
            EACH(v, V)
                __builtin_prefetch(from + panel->c[v] * (ptrdiff_t)sizeof(T), 0, 3);
    }
    do {
        const ptrdiff_t *stop = end - b_at > FC_LINE ? b_at + FC_LINE : end;
        if (panel == g->panel && stop - b_at == FC_LINE) /* once, what the next M rows will need: every row's line, or if rows
                                                            adjoin, every step's */
            EACH(p, FC_LINE)
                __builtin_prefetch(row[p % M / 3] + a_at[p] + (p % M % 3 + M) * as, 0, 2);
        for (; stop - b_at >= 2; a_at += 2, b_at += 2) {
            NAME(gemm_step)(acc, M, V, b, b_at[0], row, a_at[0], as);
            NAME(gemm_step)(acc, M, V, b, b_at[1], row, a_at[1], as);
        }
        if (b_at < stop)
            NAME(gemm_step)(acc, M, V, b, *b_at++, row, *a_at++, as);
    } while (b_at < end);
    __asm__("" : "+r"(c), "+r"(panel)); /* else gcc works out addresses ahead of the loop, and spills them */
    NAME(gemm_finish)(acc, M, V, g, panel, c, bias);
}

/* Instances, per height M: panels of 1 and 2 vectors, as many as M allows, and as M + 1, beside which M may have to
 * work, allows. */
typedef void (*NAME(gemm_fn))(const fc_gemm *g, const fc_panel *panel, const T *a, T *c, const T *bias);

#define FC_TILE(M, name, vectors)                                                                            \
    static void NAME(gemm_##name##_##M)(const fc_gemm *g, const fc_panel *panel, const T *a, T *c, const T *bias) \
    {                                                                                                        \
        NAME(gemm_tile)(M, vectors, g, panel, a, c, bias);                                                   \
    }
#if FC_PLAIN
#define FC_TILES(M) FC_TILE(M, single, 1) FC_TILE(M, wide, FC_COLS_OF(M))
#else
#define FC_TILES(M) FC_TILE(M, single, 1) FC_TILE(M, pair, 2) FC_TILE(M, wide, FC_COLS_OF(M)) FC_TILE(M, less, FC_COLS_OF(M + 1))
#endif
FC_UP_TO(FC_ROWS, FC_TILES)

static void NAME(gemm)(const fc_gemm *g)
{
    static const struct {
        int wide, less;
        NAME(gemm_fn) tile[4];
    } tiles[FC_ROWS + 1] = {
#if FC_PLAIN
#define ROW(M) [M] = {FC_COLS_OF(M), 0, {NAME(gemm_single_##M), NULL, NAME(gemm_wide_##M)}},
#else
#define ROW(M)                                                                                               \
    [M] = {FC_COLS_OF(M), FC_COLS_OF(M + 1),                                                                 \
           {NAME(gemm_single_##M), NAME(gemm_pair_##M), NAME(gemm_wide_##M), NAME(gemm_less_##M)}},
#endif
        FC_UP_TO(FC_ROWS, ROW)
#undef ROW
    };
    const T *a = g->a, *bias = g->bias;
    T *c = g->c;
    ptrdiff_t rows = g->rows, M;
    for (ptrdiff_t more = (rows + FC_ROWS - 1) / FC_ROWS; more > 0; more--) {
        M = (rows + more - 1) / more;
        for (ptrdiff_t i = 0; i < g->panels; i++) {
            const fc_panel *p = &g->panel[i];
            int n = p->vectors;
            tiles[M].tile[n == tiles[M].wide && (FC_PLAIN || n > 2) ? 2 : n <= 2 ? n - 1 : 3](g, p, a, c, bias);
        }
        a += M * g->as;
        c += M * g->cs;
        bias = bias ? bias + M : bias;
        rows -= M;
    }
}
#undef FC_LINE
#undef FC_TILES
#undef FC_TILE
#undef FC_PLAIN
#undef vdot
#undef vdot_to
