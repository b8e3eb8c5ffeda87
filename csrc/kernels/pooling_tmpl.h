/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Windows reduced element by element: the largest of some rows that lie anywhere in x, or their sum. No step depends on how many
 * lanes there are, so all instruction sets give the same bits.
 *
 *   pool_max    to[i][j] = the largest of x[at[t] + i*xs + j*step], t < taps
 *   pool_sum    likewise the sum, from zero, taps ascending, divided if asked for
 *   pool_find   likewise the largest, and which[i][j] is where it is: place[t] + from[at[t] + i*xs + j] + i*row + j*col
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

/* ---- which is the largest ---------------------------------------------------------------------- */

#define FC_POOL_INT FC_WITH(FC_BITS, FC_SIZE)
#if FC_HAS & FC_MASK_REGISTERS
#define FC_POOL_OF(op, of) FC_JOIN(FC_WITH(FC_X86, FC_VECTOR_BYTES), op, of)
#define FC_POOL_IS(x, how, m) FC_POOL_OF(cmp, FC_WITH(FC_CMP, FC_SIZE))((VX)(x), (VX)(m), how)
#define FC_POOL_LARGER(x, m) (FC_POOL_IS(x, _CMP_GT_OQ, m) | FC_POOL_IS(x, _CMP_UNORD_Q, x))
#define FC_POOL_EITHER(larger, x, m) FC_POOL_OF(mask_blend, FC_WITH(FC_MASKED, FC_SIZE))(larger, (VX)(m), (VX)(x))
#else
#define FC_POOL_LARGER(x, m) ((VBITS)((x) > (m)) | (VBITS)((x) != (x)))
#define FC_POOL_EITHER(larger, x, m) (((larger) & (VBITS)(x)) | (~(larger) & (VBITS)(m)))
#endif

/* Vectors of a row, or of as many rows (NAME(pool_at)); of integers, which lie likewise, too */
typedef struct {
    T *to;
    const T *x;
    const FC_POOL_INT *from, *none;
    FC_POOL_INT *which;
    ptrdiff_t to_step, x_step, none_step, which_step, left; /* left: lanes from the first vector on */
    FC_POOL_INT add, more;
} NAME(pool_found);

/* Elements 0, 2, ... of a, and of what lies VLEN - 1 elements behind: no more than is needed is read */
#define FC_POOL_EVEN(l, n) ((l) < (n) / 2 ? 2 * (l) : 2 * (l) + 1)

FC_INLINE void NAME(pool_find_some)(const fc_pool *g, const fc_pool_find *f, const int vectors, const int whole,
                                    const NAME(pool_found) * p)
{
    VT m[FC_POOL_WIDE], x[FC_POOL_WIDE];
    VBITS which[FC_POOL_WIDE], index[FC_POOL_WIDE], column;
    const ptrdiff_t *at = g->at, *place = f->place;
    const VMASK lanes = vlanes(p->left), pairs = vlanes(2 * p->left - 1), behind = vlanes(2 * p->left - VLEN);
#define FC_POOL_LOAD(q, mask) (whole ? vload(q) : vloadm(q, mask))
#define FC_POOL_INTS(q) ((VBITS)FC_POOL_LOAD((const T *)(const void *)(q), lanes))
    if (p->from)
        EACH(v, vectors) {
            m[v] = FC_POOL_LOAD(p->x + at[0] + v * p->x_step, lanes);
            which[v] = FC_POOL_INTS(p->from + at[0] + v * p->x_step) + (FC_POOL_INT)place[0];
        }
    else
        EACH(v, vectors) {
            m[v] = vsplat((T)-__builtin_inf());
            which[v] = g->by_col ? FC_POOL_INTS(p->none + v * p->none_step) : (VBITS){0} + p->none[v * p->none_step];
        }
    for (ptrdiff_t t = p->from != NULL; t < g->taps; t++) {
        const T *q = p->x + at[t];
        EACH(v, vectors)
            index[v] = (VBITS){0} + (FC_POOL_INT)place[t];
        if (g->step == 2)
            EACH(v, vectors)
                x[v] = __builtin_shufflevector(FC_POOL_LOAD(q + v * p->x_step, pairs),
                                               FC_POOL_LOAD(q + v * p->x_step + VLEN - 1, behind),
                                               FC_ALL_LANES(FC_POOL_EVEN, (int)VLEN));
        else
            EACH(v, vectors)
                x[v] = FC_POOL_LOAD(q + v * p->x_step, lanes);
        if (p->from)
            EACH(v, vectors)
                index[v] += FC_POOL_INTS(p->from + at[t] + v * p->x_step);
        EACH(v, vectors) {
            const __auto_type larger = FC_POOL_LARGER(x[v], m[v]);
            m[v] = (VT)FC_POOL_EITHER(larger, x[v], m[v]);
            which[v] = (VBITS)FC_POOL_EITHER(larger, index[v], which[v]);
        }
    }
    EACH(l, FC_VLEN)
        column[l] = l;
    column = column * (FC_POOL_INT)f->col + p->add;
    EACH(v, vectors) {
        const VT found = (VT)(which[v] + column + (FC_POOL_INT)(v * p->more));
        T *to = p->to + v * p->to_step, *to_which = (T *)(void *)(p->which + v * p->which_step);
        if (whole) {
            vstore(to, m[v]);
            vstore(to_which, found);
        } else {
            vstorem(to, m[v], lanes);
            vstorem(to_which, found, lanes);
        }
    }
#undef FC_POOL_LOAD
#undef FC_POOL_INTS
}

/* One copy of each */
static __attribute__((noinline)) void NAME(pool_find_whole)(const fc_pool *g, const fc_pool_find *f, const NAME(pool_found) * p)
{
    NAME(pool_find_some)(g, f, FC_POOL_WIDE, 1, p);
}
static __attribute__((noinline)) void NAME(pool_find_rows)(const fc_pool *g, const fc_pool_find *f, const NAME(pool_found) * p)
{
    NAME(pool_find_some)(g, f, FC_POOL_WIDE, 0, p);
}
static __attribute__((noinline)) void NAME(pool_find_one)(const fc_pool *g, const fc_pool_find *f, const NAME(pool_found) * p)
{
    NAME(pool_find_some)(g, f, 1, 0, p);
}

/* Vectors from element j of row i on, which adjoin, or lie in as many rows */
FC_INLINE NAME(pool_found)
    NAME(pool_find_at)(const fc_pool *g, const fc_pool_find *f, ptrdiff_t i, ptrdiff_t j, ptrdiff_t left, const int adjoin)
{
    static const FC_POOL_INT zero;
    const ptrdiff_t at = i * g->xs + j * g->step;
    return (NAME(pool_found)){
        .to = (T *)g->to + i * g->os + j,
        .x = (const T *)g->x + at,
        .from = f->from ? (const FC_POOL_INT *)f->from + at : NULL,
        .none = g->by ? (const FC_POOL_INT *)g->by + i * g->by_row + j * g->by_col : &zero,
        .which = (FC_POOL_INT *)f->which + i * f->ws + j,
        .to_step = adjoin ? VLEN : g->os,
        .x_step = adjoin ? g->step * VLEN : g->xs,
        .none_step = g->by == NULL ? 0
                     : adjoin      ? g->by_col * VLEN
                                   : g->by_row,
        .which_step = adjoin ? VLEN : f->ws,
        .left = left,
        .add = (FC_POOL_INT)(i * f->row + j * f->col),
        .more = (FC_POOL_INT)(adjoin ? f->col * VLEN : f->row),
    };
}

static void NAME(pool_find)(const fc_pool *g, const fc_pool_find *f)
{
    const int long_row =
        g->xs == g->cols * g->step && g->os == g->cols && f->ws == g->cols && g->by == NULL && f->row == 0 && f->col == 0;
    const ptrdiff_t rows = long_row ? 1 : g->rows, cols = long_row ? g->rows * g->cols : g->cols;
    const ptrdiff_t strip = FC_POOL_WIDE * VLEN, wide = cols / strip * strip;
    for (ptrdiff_t i = 0; i < rows && wide > 0; i++)
        for (ptrdiff_t j = 0; j < wide; j += strip) {
            const NAME(pool_found) p = NAME(pool_find_at)(g, f, i, j, cols - j, 1);
            NAME(pool_find_whole)(g, f, &p);
        }
    const int few = rows < FC_POOL_WIDE;
    for (ptrdiff_t j = wide; j < cols; j += VLEN)
        for (ptrdiff_t i = 0; i < rows; i += few ? 1 : FC_POOL_WIDE) { /* the last rows once more, rather than one by one */
            const NAME(pool_found) p = NAME(pool_find_at)(g, f,
                                                          few                       ? i
                                                          : i < rows - FC_POOL_WIDE ? i
                                                                                    : rows - FC_POOL_WIDE,
                                                          j, cols - j, 0);
            if (few)
                NAME(pool_find_one)(g, f, &p);
            else if (cols - j >= VLEN)
                NAME(pool_find_whole)(g, f, &p);
            else
                NAME(pool_find_rows)(g, f, &p);
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
#undef FC_POOL_INT
#undef FC_POOL_LARGER
#undef FC_POOL_EITHER
