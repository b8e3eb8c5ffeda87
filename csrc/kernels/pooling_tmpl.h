/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Windows reduced element by element: the largest of some rows that lie anywhere in x, or their sum. No step depends on how many
 * lanes there are, so all instruction sets give the same bits.
 *
 *   pool_max    to[i][j] = the largest of x[at[t] + i*xs + j*step], t < taps
 *   pool_sum    likewise the sum, from zero, taps ascending, divided if asked for
 *   pool_find   likewise the largest, and which[i][j] is its t
 *   pool_whole  all n elements of a row, in FC_PARTS parts of every FC_PARTS-th element, which are joined half by half
 *
 * The largest is the first of equals, and the last NaN if there is one.
 */

/* Vectors at a time */
#define FC_POOL_WIDE (FC_HAS & FC_32_REGISTERS ? 4 : 2)

/* A lane of x if that is NaN or larger, else of m */
FC_INLINE VT NAME(pool_larger)(VT x, VT m)
{
#if FC_HAS & FC_MASK_REGISTERS
#define FC_POOL(op, lanes) FC_JOIN(FC_WITH(FC_X86, FC_VECTOR_BYTES), op, lanes)
    return (VT)FC_POOL(mask_max, FC_WITH(FC_MASKED, FC_SIZE))(x, FC_POOL(cmp, FC_WITH(FC_CMP, FC_SIZE))(x, x, _CMP_ORD_Q), x,
                                                              m);
#undef FC_POOL
#else
    const VBITS larger = (VBITS)(x > m) | (VBITS)(x != x);
    return (VT)((larger & (VBITS)x) | (~larger & (VBITS)m));
#endif
}

/* Another element for every lane */
FC_INLINE VT NAME(pool_take)(VT x, VT m, const int sums)
{
    if (sums)
        return m + x;
    return NAME(pool_larger)(x, m);
}

/* Vectors of a row, or of as many rows: where the first is, and how many elements from one to the next */
typedef struct {
    T *to;
    const T *x, *by;
    ptrdiff_t to_step, x_step, by_step;
} NAME(pool_at);

/* whole: vectors have all their lanes; else those of a mask */
FC_INLINE void NAME(pool_some)(const fc_pool *g, const int sums, const int vectors, const int whole, const NAME(pool_at) * p,
                               VMASK lanes)
{
    VT m[FC_POOL_WIDE];
    const ptrdiff_t taps = g->taps, *at = g->at;
#define FC_POOL_LOAD(q) (whole ? vload(q) : vloadm(q, lanes))
#define FC_POOL_TAKE(v, x) m[v] = NAME(pool_take)(x, m[v], sums)
    ptrdiff_t t = 0;
    if (g->add)
        EACH(v, vectors)
            m[v] = FC_POOL_LOAD(p->to + v * p->to_step);
    else if (!sums && g->step == 1 && taps > 0) {
        EACH(v, vectors)
            m[v] = FC_POOL_LOAD(p->x + at[0] + v * p->x_step);
        t = 1;
    } else
        EACH(v, vectors)
            m[v] = vsplat(sums ? (T)0 : (T)-__builtin_inf());
    if (g->step == 1)
        for (; t < taps; t++)
            EACH(v, vectors)
                FC_POOL_TAKE(v, FC_POOL_LOAD(p->x + at[t] + v * p->x_step));
    else /* a tap, and the one behind it, from two vectors */
        for (; t < taps; t++) {
            const T *x = p->x + at[t];
            const int pair = t + 1 < taps && at[t + 1] == at[t] + 1;
            EACH(v, vectors) {
                const VT a = vload(x + v * p->x_step), b = vload(x + v * p->x_step + VLEN);
                FC_POOL_TAKE(v, veven(a, b));
                if (pair)
                    FC_POOL_TAKE(v, vodd(a, b));
            }
            t += pair;
        }
    EACH(v, vectors) {
        VT r = m[v];
        if (sums && g->by && g->by_col)
            r /= FC_POOL_LOAD(p->by + v * p->by_step);
        else if (sums && g->by)
            r /= (VT)vsplat(p->by[v * p->by_step]);
        if (whole)
            vstore(p->to + v * p->to_step, r);
        else
            vstorem(p->to + v * p->to_step, r, lanes);
    }
#undef FC_POOL_LOAD
#undef FC_POOL_TAKE
}

/* One copy of it for all that is whole */
static __attribute__((noinline)) void NAME(pool_strip)(const fc_pool *g, int sums, const NAME(pool_at) * p)
{
    if (sums)
        NAME(pool_some)(g, 1, FC_POOL_WIDE, 1, p, vlanes(VLEN));
    else
        NAME(pool_some)(g, 0, FC_POOL_WIDE, 1, p, vlanes(VLEN));
}

/* Most of a row in strips of FC_POOL_WIDE vectors, and the rest of as many rows vector by vector */
FC_INLINE void NAME(pool_rows)(const fc_pool *g, const int sums)
{
    const int adjoin =
        g->xs == g->cols && g->os == g->cols && g->step == 1 && (g->by == NULL || (g->by_row == 0 && g->by_col == 0));
    const ptrdiff_t rows = adjoin ? 1 : g->rows, cols = adjoin ? g->rows * g->cols : g->cols;
    const ptrdiff_t strip = FC_POOL_WIDE * VLEN, wide = cols / strip * strip;
    const T *by = g->by ? g->by : g->x;
    const ptrdiff_t by_row = g->by ? g->by_row : 0, by_col = g->by ? g->by_col : 0;
    for (ptrdiff_t i = 0; i < rows && wide > 0; i++) {
        NAME(pool_at)
        p = {(T *)g->to + i * g->os, (const T *)g->x + i * g->xs, by + i * by_row, VLEN, g->step * VLEN, by_col * VLEN};
        for (ptrdiff_t j = 0; j < wide; j += strip, p.to += strip, p.x += g->step * strip, p.by += by_col * strip)
            NAME(pool_strip)(g, sums, &p);
    }
    for (ptrdiff_t j = wide; j < cols; j += VLEN) {
        NAME(pool_at) p = {(T *)g->to + j, (const T *)g->x + j * g->step, by + j * by_col, g->os, g->xs, by_row};
        const VMASK lanes = vlanes(cols - j);
        ptrdiff_t i = 0;
#define FC_POOL_NEXT(n) i += n, p.to += n * g->os, p.x += n * g->xs, p.by += n * by_row
        if (cols - j >= VLEN)
            for (; i + FC_POOL_WIDE <= rows; FC_POOL_NEXT(FC_POOL_WIDE))
                NAME(pool_strip)(g, sums, &p);
        for (; i + FC_POOL_WIDE <= rows; FC_POOL_NEXT(FC_POOL_WIDE))
            NAME(pool_some)(g, sums, FC_POOL_WIDE, 0, &p, lanes);
        for (; i < rows; FC_POOL_NEXT(1))
            NAME(pool_some)(g, sums, 1, 0, &p, lanes);
#undef FC_POOL_NEXT
    }
}

static void NAME(pool_max)(const fc_pool *g) { NAME(pool_rows)(g, 0); }
static void NAME(pool_sum)(const fc_pool *g) { NAME(pool_rows)(g, 1); }

static void NAME(pool_find)(const fc_pool *g, void *whichv)
{
    const VT none = vsplat((T)-__builtin_inf());
    VBITS at;
    __typeof__(at[0]) *which = whichv;
    for (ptrdiff_t i = 0; i < g->rows; i++, which += g->os)
        for (ptrdiff_t j = 0; j < g->cols; j += VLEN) {
            const T *x = (const T *)g->x + i * g->xs + j;
            const VMASK lanes = vlanes(g->cols - j);
            VT m = none;
            at = (VBITS){0};
            for (ptrdiff_t t = 0; t < g->taps; t++) {
                const VT v = vloadm(x + g->at[t], lanes);
                const VBITS larger = (VBITS)(v > m) | (VBITS)(v != v);
                m = (VT)((larger & (VBITS)v) | (~larger & (VBITS)m));
                at = (larger & ((VBITS){0} + (__typeof__(at[0]))t)) | (~larger & at);
            }
            vstorem((T *)g->to + i * g->os + j, m, lanes);
            vstorem((T *)(void *)(which + j), (VT)at, lanes);
        }
}

FC_INLINE T NAME(pool_all)(const T *x, ptrdiff_t n, const int sums)
{
    enum { VECTORS = FC_POOL_PARTS / FC_VLEN };
    const T none = sums ? (T)0 : (T)-__builtin_inf();
    VT m[VECTORS];
    const int several = n >= FC_POOL_PARTS;
    EACH(v, VECTORS)
        m[v] = vsplat(none);
    for (; n >= FC_POOL_PARTS; n -= FC_POOL_PARTS, x += FC_POOL_PARTS)
        EACH(v, VECTORS)
            m[v] = NAME(pool_take)(vload(x + v * VLEN), m[v], sums);
    if (sums)
        EACH(v, VECTORS)
            m[v] = m[v] + vloadm(x + v * VLEN, vlanes(n - v * VLEN));
    else if (n > 0 && several) /* some once more */
        EACH(v, VECTORS)
            m[v] = NAME(pool_larger)(vload(x + n - FC_POOL_PARTS + v * VLEN), m[v]);
    else if (n > 0) {
        T rest[FC_POOL_PARTS];
        EACH(l, FC_POOL_PARTS)
            rest[l] = none;
        __builtin_memcpy(rest, x, (size_t)n * sizeof(T));
        EACH(v, VECTORS)
            m[v] = NAME(pool_larger)(vload(rest + v * VLEN), m[v]);
    }
    for (int half = VECTORS / 2; half > 0; half /= 2)
        for (int v = 0; v < half; v++)
            m[v] = NAME(pool_take)(m[v + half], m[v], sums);
#define FC_POOL_HALF(b)                                                                                                  \
    if (b < FC_VLEN)                                                                                                     \
        m[0] = NAME(pool_take)(vahead(m[0], m[0], b % FC_VLEN), m[0], sums);
    FC_HALVES(FC_POOL_HALF)
#undef FC_POOL_HALF
    return m[0][0];
}

static void NAME(pool_whole)(void *to, const void *x, ptrdiff_t n, ptrdiff_t xs, ptrdiff_t rows, int sums, double by)
{
    T *out = to;
    for (ptrdiff_t i = 0; i < rows && sums; i++)
        out[i] = NAME(pool_all)((const T *)x + i * xs, n, 1) / (T)by;
    for (ptrdiff_t i = 0; i < rows && !sums; i++)
        out[i] = NAME(pool_all)((const T *)x + i * xs, n, 0);
}

#undef FC_POOL_WIDE
