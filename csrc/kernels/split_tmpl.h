/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A row taken apart into the phases of a stride:  to[p * phase + i] = from[i * s + p],  0 <= p < s
 *
 * so that what neighbouring outputs of a strided correlation read lies side by side. Where lanes can be picked
 * from two vectors at will, s = 2, 3 or 4 vectors become one of each phase by s - 1 picks; else those of s = 2 are halves of two
 * vectors, and others are taken lane by lane. Of pixels as many as two vectors hold are picked at a time. And back, for s = 2.
 */

#ifdef vpick
/* Lane l of phase p is element l * s + p of s vectors. Pick v takes the lanes that come from vector v, and keeps those
 * that are in place. */
#define FC_PICK(l, s, p, v)                                                                                  \
    (((l) * (s) + (p)) / VLEN == (v) ? VLEN + ((l) * (s) + (p)) % VLEN                                       \
     : (v) > 1                       ? (l)                                                                   \
                                     : ((l) * (s) + (p)) % VLEN)
#define FC_PHASE(s, p) {{FC_ALL_LANES(FC_PICK, s, p, 1)}, {FC_ALL_LANES(FC_PICK, s, p, 2)}, {FC_ALL_LANES(FC_PICK, s, p, 3)}}
#define FC_STRIDE(s) {FC_PHASE(s, 0), FC_PHASE(s, 1), FC_PHASE(s, 2), FC_PHASE(s, 3)}

FC_INLINE ptrdiff_t NAME(split_vectors)(const int s, const VBITS pick[4][3], T *to, ptrdiff_t phase, const T *from, ptrdiff_t n)
{
    const ptrdiff_t whole = n / s;
    for (ptrdiff_t j = 0; j < whole && whole >= VLEN; j += VLEN) {
        const ptrdiff_t i = j + VLEN <= whole ? j : whole - VLEN; /* some of the last ones are there already */
        EACH(p, s) {
            VT picked = vload(from + i * s);
#pragma GCC unroll 4
            for (int v = 1; v < s; v++)
                picked = vpick(picked, pick[p][v - 1], vload(from + i * s + v * VLEN));
            vstore(to + p * phase + i, picked);
        }
    }
    return whole >= VLEN ? whole : 0;
}

/* Phases of pixels. As many elements are done of each. */
static ptrdiff_t NAME(split_pixels)(T *to, ptrdiff_t phase, const T *from, ptrdiff_t n, ptrdiff_t s, ptrdiff_t unit)
{
    const ptrdiff_t two = 2 * VLEN, most = unit <= VLEN && s <= two ? (two / unit - 1) / s + 1 : 0,
                    pixels = most < VLEN / unit ? most : VLEN / unit, step = pixels * s * unit;
    ptrdiff_t i = 0;
    VBITS lanes;
    EACH(l, FC_VLEN)
        lanes[l] = (FC_WITH(FC_BITS, FC_SIZE))((l / unit * s * unit + l % unit) % two);
    if (pixels < 2)
        return 0;
    for (; n >= (s - 1) * unit + two; i += pixels * unit, from += step, n -= step)
        for (ptrdiff_t p = 0; p < s; p++) {
            const T *const x = from + p * unit;
            vstorem(to + p * phase + i, vpick(vload(x), lanes, vload(x + VLEN)), vlanes(pixels * unit));
        }
    for (; n >= step; i += pixels * unit, from += step, n -= step) /* less than two vectors of the last phases are left */
        for (ptrdiff_t p = 0; p < s; p++) {
            const T *const x = from + p * unit;
            const VT low = vloadm(x, vlanes(n - p * unit)), high = vloadm(x + VLEN, vlanes(n - p * unit - VLEN));
            vstorem(to + p * phase + i, vpick(low, lanes, high), vlanes(pixels * unit));
        }
    return i;
}

static ptrdiff_t NAME(split_by_picks)(T *to, ptrdiff_t phase, const T *from, ptrdiff_t n, ptrdiff_t s)
{
    static const VBITS picks[3][4][3] = {FC_STRIDE(2), FC_STRIDE(3), FC_STRIDE(4)};
    switch (s) {
    case 2: return NAME(split_vectors)(2, picks[0], to, phase, from, n);
    case 3: return NAME(split_vectors)(3, picks[1], to, phase, from, n);
    case 4: return NAME(split_vectors)(4, picks[2], to, phase, from, n);
    default: return 0;
    }
}
#undef FC_PICK
#undef FC_PHASE
#undef FC_STRIDE
#else
static ptrdiff_t NAME(split_by_picks)(T *to, ptrdiff_t phase, const T *from, ptrdiff_t n, ptrdiff_t s)
{
    ptrdiff_t i = 0;
    for (; s == 2 && n - 2 * i >= 2 * VLEN; i += VLEN) {
        const VT first = vload(from + 2 * i), second = vload(from + 2 * i + VLEN);
        vstore(to + i, veven(first, second));
        vstore(to + phase + i, vodd(first, second));
    }
    return i;
}

static ptrdiff_t NAME(split_pixels)(T *to, ptrdiff_t phase, const T *from, ptrdiff_t n, ptrdiff_t s, ptrdiff_t unit)
{
    (void)to, (void)phase, (void)from, (void)n, (void)s, (void)unit;
    return 0;
}
#endif

/* All elements from number `done` of each phase on; of a stride beyond the row, most phases are empty */
FC_INLINE void NAME(split_rest)(T *to, ptrdiff_t phase, const T *from, ptrdiff_t n, ptrdiff_t s, const ptrdiff_t unit,
                                ptrdiff_t done)
{
    for (ptrdiff_t p = 0; p < s && p * unit < n; p++)
        for (ptrdiff_t i = done, j = (done * s + p * unit); j < n; i += unit, j += s * unit)
            __builtin_memcpy(to + p * phase + i, from + j, (size_t)(unit < n - j ? unit : n - j) * sizeof(T));
}

static void NAME(split)(void *tov, ptrdiff_t phase, const void *fromv, ptrdiff_t n, ptrdiff_t s, ptrdiff_t unit)
{
    T *to = tov;
    const T *from = fromv;
    const ptrdiff_t done =
        unit == 1 ? NAME(split_by_picks)(to, phase, from, n, s) : NAME(split_pixels)(to, phase, from, n, s, unit);
    if (unit == 1)
        NAME(split_rest)(to, phase, from, n, s, 1, done);
    else
        NAME(split_rest)(to, phase, from, n, s, unit, done);
}

static void NAME(join)(void *tov, const void *evenv, const void *oddv, ptrdiff_t n)
{
    T *to = tov;
    const T *even = evenv, *odd = oddv;
    ptrdiff_t i = 0;
    for (; 2 * (i + VLEN) <= n; i += VLEN) {
        VT a = vload(even + i), b = vload(odd + i);
        vstore(to + 2 * i, vziplow(a, b));
        vstore(to + 2 * i + VLEN, vziphigh(a, b));
    }
    const ptrdiff_t left = n - 2 * i;
    if (left > 0) { /* less than two vectors */
        VT a = vloadm(even + i, vlanes((left + 1) / 2)), b = vloadm(odd + i, vlanes(left / 2));
        vstorem(to + 2 * i, vziplow(a, b), vlanes(left));
        if (left > VLEN)
            vstorem(to + 2 * i + VLEN, vziphigh(a, b), vlanes(left - VLEN));
    }
}
