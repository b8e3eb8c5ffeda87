/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Boxes of bytes (bytes.c): sums of columns, in 16 bits; and rows of their windows, in 16 or 32 bits, divided and stored.
 *
 *   columns   10 11 12 13 14 ...       so far, from the left    0 10 21 33 46 60 ...
 *   window    of 3: 33 36 39 ...       the difference of two    33-0  46-10  60-21
 *
 * Of pixels of several channels, columns of a window, and sums so far, are a pixel apart. Integers wrap, and every difference is
 * right modulo 2^bits of T, which holds it: nothing drifts.
 */

#if FC_SIZE == 2
#define FC_COLUMNS(p) vload(p)

static void NAME(column)(void *columnv, const void *inv, const void *outv, ptrdiff_t n)
{
    static const char nothing[FC_VLEN];
    T *column = columnv;
    const char *in = inv, *out = outv;
    for (ptrdiff_t j = 0; j < n; j += VLEN) {
        const char *enters = in + j, *leaves = out ? out + j : nothing;
        char rest[2][FC_VLEN];
        if (n - j < VLEN) {
            __builtin_memset(rest, 0, sizeof rest);
            enters = __builtin_memcpy(rest[0], enters, (size_t)(n - j));
            leaves = __builtin_memcpy(rest[1], leaves, (size_t)(n - j));
        }
        vstore(column + j, vload(column + j) + (VT)vgrow_uint8_t(enters) - (VT)vgrow_uint8_t(leaves));
    }
}
#else
#define FC_COLUMNS(p) ((VT)vgrow_uint16_t((const char *)(p)))
#endif

/* Sums from the left of n columns, in vectors that are a whole number of pixels; n is rounded up to a vector */
FC_INLINE void NAME(sums_of_vectors)(T *so_far, const uint16_t *column, ptrdiff_t n, const int apart)
{
    VT carry = vzero();
    for (ptrdiff_t j = 0; j < n; j += VLEN) {
        VT sum = FC_COLUMNS(column + j);
#define FC_ADD_BEHIND(lanes)                                                                                             \
    if (apart <= (lanes) && (lanes) < VLEN)                                                                              \
        sum += vbehind(sum, lanes);
        FC_ADD_BEHIND(1)
        FC_ADD_BEHIND(2)
        FC_ADD_BEHIND(4)
        FC_ADD_BEHIND(8)
        FC_ADD_BEHIND(16)
#undef FC_ADD_BEHIND
        sum += carry;
        vstore(so_far + j, sum);
        carry = apart == 1 ? vlast(sum, 1) : vlast(sum, 4);
    }
}

/* Behind `apart` zeros; columns are `apart` from the next of their own */
static void NAME(sums_so_far)(T *so_far, const uint16_t *column, ptrdiff_t n, ptrdiff_t apart)
{
    for (ptrdiff_t q = 0; q < apart; q++)
        *so_far++ = 0;
    if (apart == 1)
        NAME(sums_of_vectors)(so_far, column, n, 1);
    else if (apart == 4)
        NAME(sums_of_vectors)(so_far, column, n, 4);
    else
        for (ptrdiff_t q = 0; q < apart; q++) {
            T sum = 0;
            for (ptrdiff_t j = q; j < n; j += apart)
                so_far[j] = sum = (T)(sum + column[j]);
        }
}

enum { NAME(FEW_COLUMNS) = FC_SIZE == 2 ? 6 : 0 }; /* of a window, that are added up rather than taken from sums so far */

/* The windows of a vector of places */
FC_INLINE VT NAME(window)(const uint16_t *column, const T *so_far, ptrdiff_t w, ptrdiff_t apart)
{
    if (w > NAME(FEW_COLUMNS))
        return vload(so_far + w * apart) - vload(so_far);
    VT sum = FC_COLUMNS(column);
    for (ptrdiff_t t = 1; t < w; t++)
        sum += FC_COLUMNS(column + t * apart);
    return sum;
}

#if FC_SIZE == 2
FC_INLINE void NAME(windows_row)(char *to, const T *column, const T *so_far, ptrdiff_t w, ptrdiff_t apart, ptrdiff_t n,
                                 NAME(storing) s)
{
    for (; n > 0; n -= 2 * VLEN, column += 2 * VLEN, so_far += 2 * VLEN)
        to = NAME(put_quotients)(to, NAME(window)(column, so_far, w, apart),
                                 NAME(window)(column + VLEN, so_far + VLEN, w, apart), s, n);
}

static void NAME(windows)(void *to, int stored, const uint16_t *column, ptrdiff_t w, ptrdiff_t apart, ptrdiff_t n,
                          unsigned divisor, void *room)
{
    if (w > NAME(FEW_COLUMNS))
        NAME(sums_so_far)(room, column, n + (w - 1) * apart, apart);
#define FC_ROW(s) NAME(windows_row)(to, column, room, w, apart, n, s)
    FC_EACH_STORING(stored, divisor, FC_ROW)
#undef FC_ROW
}
#else
/* To bytes. Floats hold the sums, and multiply them as exactly as fc_divides_bytes says. */
static void NAME(windows)(void *tov, int stored, const uint16_t *column, ptrdiff_t w, ptrdiff_t apart, ptrdiff_t n,
                          unsigned divisor, void *room)
{
    const float inverse = 1 / (float)divisor;
    const T *so_far = room;
    char *to = tov;
    (void)stored;
    NAME(sums_so_far)(room, column, n + (w - 1) * apart, apart);
    for (; n > 0; n -= VLEN, column += VLEN, so_far += VLEN, to += VLEN) {
        const NAME(of_int32_t) sum = (NAME(of_int32_t))NAME(window)(column, so_far, w, apart);
        const NAME(of_float) quotient = FC_CONVERT(sum, float) * inverse;
        const __typeof__(vshrink_uint8_t(sum)) bytes = vshrink_uint8_t(vround(quotient));
        if (n >= VLEN)
            __builtin_memcpy(to, &bytes, FC_VLEN);
        else
            __builtin_memcpy(to, &bytes, (size_t)n);
    }
}
#endif
#undef FC_COLUMNS
