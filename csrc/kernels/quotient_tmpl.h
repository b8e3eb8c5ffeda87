/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sums of 16 or 32 bits, divided by a whole number; and of 16 bits, stored so, and sums down columns that are stored so at once:
 *
 *   to[i] = the whole number nearest to sum[i] / divisor, half to even, and no more than the type holds
 *
 * By multiplication with the inverse, which is exact as far as fc_divides says (Granlund and Montgomery, Division by invariant
 * integers using multiplication, 1994). Sums are unsigned; those that are stored in 16 bits and not divided are stored as
 * they are.
 */

/* How a row is stored. What is constant where this is inlined costs nothing. */
typedef struct {
    int divides, has_ties, of_bytes, clamps;
    T high;
    fc_quotient by;
} NAME(storing);

FC_INLINE VT NAME(quotient)(VT v, NAME(storing) s)
{
    if (s.has_ties)
        v += (v >> s.by.shift) & vsplat(1);
    if (s.divides)
        v += vsplat((T)s.by.add);
    if (s.divides && !s.has_ties)
        v = vhigh(v, vsplat((T)s.by.inverse));
    if (s.divides)
        v >>= s.by.shift;
#if FC_SIZE == 2
    if (s.clamps)
        v -= vless(v, vsplat(s.high));
#endif
    return v;
}

#if FC_SIZE == 2
/* Two vectors, of which n elements are stored */
FC_INLINE char *NAME(put_quotients)(char *to, VT a, VT b, NAME(storing) s, ptrdiff_t n)
{
    const VT words[2] = {NAME(quotient)(a, s), NAME(quotient)(b, s)};
    const __typeof__(vpack(a, b)) bytes = vpack(words[0], words[1]);
    const size_t size = (size_t)(n < 2 * VLEN ? n : 2 * VLEN);
    if (n >= 2 * VLEN && s.of_bytes)
        __builtin_memcpy(to, &bytes, sizeof bytes);
    else if (n >= 2 * VLEN)
        __builtin_memcpy(to, words, sizeof words);
    else
        __builtin_memcpy(to, s.of_bytes ? (const void *)&bytes : (const void *)words, size * (s.of_bytes ? 1 : sizeof(T)));
    return to + size * (s.of_bytes ? 1 : sizeof(T));
}

/* V vectors of sums down columns, of rows xs apart. n: elements that may be read */
FC_INLINE void NAME(down_sums)(const int V, VT *sum, const T *x, ptrdiff_t xs, const T *k, ptrdiff_t h, ptrdiff_t n)
{
    EACH(v, V)
        sum[v] = vzero();
    for (ptrdiff_t a = 0; a < h; a++, x += xs) {
        const VT tap = vsplat(k[a]);
        EACH(v, V)
            sum[v] += tap * vloadn(x + v * VLEN, n - v * VLEN);
    }
}

FC_INLINE void NAME(down_row)(char *to, const T *x, ptrdiff_t xs, const T *k, ptrdiff_t h, ptrdiff_t n, NAME(storing) s,
                              const int is_padded)
{
    VT sum[4];
    for (; n >= 4 * VLEN; n -= 4 * VLEN, x += 4 * VLEN) {
        NAME(down_sums)(4, sum, x, xs, k, h, 4 * VLEN);
        to = NAME(put_quotients)(to, sum[0], sum[1], s, 2 * VLEN);
        to = NAME(put_quotients)(to, sum[2], sum[3], s, 2 * VLEN);
    }
    for (; n > 0; n -= 2 * VLEN, x += 2 * VLEN) {
        NAME(down_sums)(2, sum, x, xs, k, h, is_padded ? 2 * VLEN : n);
        to = NAME(put_quotients)(to, sum[0], sum[1], s, n);
    }
}

/* CALL(how a row is stored), with constants where they count */
#define FC_STORING(bytes, divided, ties, clamped)                                                                        \
    ((NAME(storing)){.of_bytes = bytes, .divides = divided, .has_ties = ties, .clamps = clamped,                         \
                     .high = stored == FC_I8 ? 127 : 255, .by = by})
#define FC_EACH_STORING(stored, divisor, CALL)                                                                           \
    {                                                                                                                    \
        const fc_quotient by = fc_quotient_of(divisor, 16);                                                                  \
        const int is_byte = stored == FC_U8 || stored == FC_I8;                                                          \
        if (is_byte && divisor == 1)                                                                                     \
            CALL(FC_STORING(1, 0, 0, 1));                                                                                \
        else if (is_byte && by.has_ties)                                                                                 \
            CALL(FC_STORING(1, 1, 1, stored == FC_I8));                                                                  \
        else if (is_byte)                                                                                                \
            CALL(FC_STORING(1, 1, 0, stored == FC_I8));                                                                  \
        else if (divisor == 1)                                                                                           \
            CALL(FC_STORING(0, 0, 0, 0));                                                                                \
        else if (by.has_ties)                                                                                            \
            CALL(FC_STORING(0, 1, 1, 0));                                                                                \
        else                                                                                                             \
            CALL(FC_STORING(0, 1, 0, 0));                                                                                \
    }

FC_INLINE void NAME(down_stored)(char *to, int stored, const T *x, ptrdiff_t xs, const T *k, ptrdiff_t h, ptrdiff_t n,
                                 unsigned divisor, const int is_padded)
{
#define FC_ROW(s) NAME(down_row)(to, x, xs, k, h, n, s, is_padded)
    FC_EACH_STORING(stored, divisor, FC_ROW)
#undef FC_ROW
}

static void NAME(down)(void *to, int stored, const void *x, ptrdiff_t xs, const void *k, ptrdiff_t h, ptrdiff_t n,
                       unsigned divisor)
{
    NAME(down_stored)(to, stored, x, xs, k, h, n, divisor, 1);
}

static int NAME(narrow)(void *to, int stored, const void *from, ptrdiff_t n, double divisor, int rounding)
{
    static const T one = 1;
    (void)rounding;
    NAME(down_stored)(to, stored, from, 0, &one, 1, n, (unsigned)divisor, 0);
    return 0;
}
#endif
