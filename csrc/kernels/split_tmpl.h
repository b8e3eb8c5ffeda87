/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A row taken apart into the phases of a stride:  to[p * phase + i] = from[i * s + p],  0 <= p < s
 *
 * so that what neighbouring outputs of a strided correlation read lies side by side. Where lanes can be picked
 * from two vectors at will, s = 2, 3 or 4 vectors become one of each phase by s - 1 picks; else lane by lane. And back, for s = 2.
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
#endif

static void NAME(split)(void *tov, ptrdiff_t phase, const void *fromv, ptrdiff_t n, ptrdiff_t s)
{
    T *to = tov;
    const T *from = fromv;
#ifdef vpick
    ptrdiff_t done = NAME(split_by_picks)(to, phase, from, n, s);
#else
    ptrdiff_t done = 0;
#endif
    for (ptrdiff_t p = 0; p < s && p < n; p++) /* of a stride beyond the row, most phases are empty */
        for (ptrdiff_t i = done; i * s + p < n; i++)
            to[p * phase + i] = from[i * s + p];
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
