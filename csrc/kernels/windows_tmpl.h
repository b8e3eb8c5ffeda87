/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Boxes of small integers (columns.c): sums of columns, in twice the bits of an element; and rows of their windows, in 16 or 32 bits,
 * divided and stored.
 *
 *   columns   10 11 12 13 14 ...       so far, from the left    0 10 21 33 46 60 ...
 *   window    of 3: 33 36 39 ...       the difference of two    33-0  46-10  60-21
 *
 * Of pixels of several channels, columns of a window, and sums so far, are a pixel apart. Integers wrap, and every difference is
 * right modulo 2^bits of T, which holds it: nothing drifts.
 */

#if FC_SIZE == 2
#define FC_ELEMENTS(p) ((VT)vgrow_uint8_t(p))
#else
#define FC_ELEMENTS(p) ((VT)vgrow_uint16_t(p))
#endif

static void NAME(column)(void *columnv, const void *inv, const void *outv, ptrdiff_t n)
{
    enum { SIZE = FC_SIZE / 2, BYTES = FC_VLEN * FC_SIZE / 2 };
    static const char nothing[BYTES];
    T *column = columnv;
    const char *in = inv, *out = outv;
    for (ptrdiff_t j = 0; j < n; j += VLEN) {
        const char *enters = in + j * SIZE, *leaves = out ? out + j * SIZE : nothing;
        char rest[2][BYTES];
        if (n - j < VLEN) {
            __builtin_memset(rest, 0, sizeof rest);
            enters = __builtin_memcpy(rest[0], enters, (size_t)(n - j) * SIZE);
            leaves = __builtin_memcpy(rest[1], leaves, out ? (size_t)(n - j) * SIZE : 0);
        }
        vstore(column + j, vload(column + j) + FC_ELEMENTS(enters) - FC_ELEMENTS(leaves));
    }
}
#undef FC_ELEMENTS

/* Columns from number j on; halves: they have half the bits of T */
FC_INLINE VT NAME(columns)(const void *column, const int halves, ptrdiff_t j)
{
    return halves ? (VT)vgrow_uint16_t((const char *)column + j * 2) : vload((const T *)column + j);
}

/* Sums from the left of n columns, `apart` from the next of their own, behind as many zeros; n is rounded up to a vector.
 * (A macro, for lanes are moved by constants.) */
#define FC_ADD_BEHIND(lanes)                                                                                             \
    if ((lanes) < VLEN)                                                                                                  \
        sum += vbehind(sum, lanes);
#define FC_SUMS_SO_FAR(apart)                                                                                            \
    for (ptrdiff_t j = 0; j < n; j += VLEN) {                                                                            \
        VT sum = NAME(columns)(column, halves, j);                                                                       \
        FC_ADD_BEHIND(apart)                                                                                             \
        FC_ADD_BEHIND(2 * (apart))                                                                                       \
        FC_ADD_BEHIND(4 * (apart))                                                                                       \
        FC_ADD_BEHIND(8 * (apart))                                                                                       \
        FC_ADD_BEHIND(16 * (apart))                                                                                      \
        sum += carry;                                                                                                    \
        vstore(so_far + j, sum);                                                                                         \
        carry = vlast(sum, apart);                                                                                       \
    }

FC_INLINE void NAME(sums_so_far)(T *so_far, const void *column, const int halves, ptrdiff_t n, ptrdiff_t apart)
{
    VT carry = vzero();
    for (ptrdiff_t q = 0; q < apart; q++)
        *so_far++ = 0;
    if (apart == 1)
        FC_SUMS_SO_FAR(1)
    else if (apart == 2)
        FC_SUMS_SO_FAR(2)
    else if (apart == 3)
        FC_SUMS_SO_FAR(3)
    else if (apart == 4)
        FC_SUMS_SO_FAR(4)
    else
        for (ptrdiff_t q = 0; q < apart; q++) {
            T sum = 0;
            for (ptrdiff_t j = q; j < n; j += apart)
                so_far[j] = sum = (T)(sum + (halves ? ((const uint16_t *)column)[j] : ((const T *)column)[j]));
        }
}
#undef FC_SUMS_SO_FAR
#undef FC_ADD_BEHIND

enum { NAME(FEW_COLUMNS) = 6 }; /* of a window, that are added up rather than taken from sums so far */

/* The windows of a vector of places, from number j on */
FC_INLINE VT NAME(window)(const void *column, const int halves, const T *so_far, ptrdiff_t j, ptrdiff_t w, ptrdiff_t apart)
{
    if (w > NAME(FEW_COLUMNS))
        return vload(so_far + j + w * apart) - vload(so_far + j);
    VT sum = NAME(columns)(column, halves, j);
    for (ptrdiff_t t = 1; t < w; t++)
        sum += NAME(columns)(column, halves, j + t * apart);
    return sum;
}

#if FC_SIZE == 2
FC_INLINE void NAME(windows_row)(char *to, const void *column, const T *so_far, ptrdiff_t w, ptrdiff_t apart, ptrdiff_t n,
                                 NAME(storing) s)
{
    for (ptrdiff_t j = 0; j < n; j += 2 * VLEN)
        to = NAME(put_quotients)(to, NAME(window)(column, 0, so_far, j, w, apart),
                                 NAME(window)(column, 0, so_far, j + VLEN, w, apart), s, n - j);
}

static void NAME(windows)(void *to, int stored, const void *column, ptrdiff_t w, ptrdiff_t apart, ptrdiff_t n, unsigned divisor,
                          void *room)
{
    if (w > NAME(FEW_COLUMNS))
        NAME(sums_so_far)(room, column, 0, n + (w - 1) * apart, apart);
#define FC_ROW(s) NAME(windows_row)(to, column, room, w, apart, n, s)
    FC_EACH_STORING(stored, divisor, FC_ROW)
#undef FC_ROW
}
#else
/* Quotients of up to 16 bits are made in floats, by up to so many, if fc_divides_in_floats says so */
enum { NAME(FEW_PARTS) = 64 };

FC_INLINE void NAME(windows_row)(char *to, const int of_bytes, const int in_floats, const int has_ties, const void *column,
                                 const T *so_far, ptrdiff_t w, ptrdiff_t apart, ptrdiff_t n, unsigned divisor, fc_quotient by)
{
    const ptrdiff_t size = of_bytes ? 1 : 2;
    const float inverse = 1 / (float)divisor;
    for (ptrdiff_t j = 0; j < n; j += VLEN, to += VLEN * size) {
        NAME(of_int32_t) v = (NAME(of_int32_t))NAME(window)(column, of_bytes, so_far, j, w, apart);
        if (in_floats) {
            const NAME(of_float) quotient = FC_CONVERT(v, float) * inverse;
            v = vround(quotient);
        } else {
            v = (NAME(of_int32_t))NAME(quotient)((VT)v, (NAME(storing)){.divides = 1, .has_ties = has_ties, .by = by});
        }
        const __typeof__(vshrink_uint8_t(v)) bytes = vshrink_uint8_t(v);
        const __typeof__(vshrink_uint16_t(v)) words = vshrink_uint16_t(v);
        const void *const from = of_bytes ? (const void *)&bytes : (const void *)&words;
        if (n - j >= VLEN)
            __builtin_memcpy(to, from, (size_t)(VLEN * size));
        else
            __builtin_memcpy(to, from, (size_t)((n - j) * size));
    }
}

static void NAME(windows)(void *to, int stored, const void *column, ptrdiff_t w, ptrdiff_t apart, ptrdiff_t n, unsigned divisor,
                          void *room)
{
    const fc_quotient by = fc_quotient_of(divisor, 32);
    const ptrdiff_t wide = n + (w - 1) * apart;
    if (w > NAME(FEW_COLUMNS) && stored == FC_U8)
        NAME(sums_so_far)(room, column, 1, wide, apart);
    else if (w > NAME(FEW_COLUMNS))
        NAME(sums_so_far)(room, column, 0, wide, apart);
    if (stored == FC_U8)
        NAME(windows_row)(to, 1, 1, 0, column, room, w, apart, n, divisor, by);
    else if (divisor <= NAME(FEW_PARTS))
        NAME(windows_row)(to, 0, 1, 0, column, room, w, apart, n, divisor, by);
    else if (by.has_ties)
        NAME(windows_row)(to, 0, 0, 1, column, room, w, apart, n, divisor, by);
    else
        NAME(windows_row)(to, 0, 0, 0, column, room, w, apart, n, divisor, by);
}
#endif
