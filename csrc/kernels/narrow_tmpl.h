/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sums of floats to the type that they are stored as, VLEN at a time:  to[i] = (stored)(from[i] / divisor)
 * Integers as a C cast makes them: towards zero, and modulo 2^bits. What no integer holds (NaN, or beyond 32 bits for
 * types up to that, else beyond 64) becomes the smallest one, whose low bits are zero; of uint64 NaN 2^63, the rest 0.
 * Or rounded to the nearest, and brought between the lowest and highest that the type holds.
 */

static int64_t NAME(narrow_whole)(double v) { return v >= -0x1p63 && v < 0x1p63 ? (int64_t)v : INT64_MIN; }

/* Numbers that int32 does not hold as its smallest one */
FC_INLINE VT NAME(narrow_clamp)(VT v)
{
    VT low = vsplat(-0x1p31);
    VBITS fits = (VBITS)(v > low - 1) & (VBITS)(v < -low);
    return (VT)(((VBITS)v & fits) | ((VBITS)low & ~fits));
}

/* v / by, rounded as a division rounds it. A division takes as long as six other instructions; where there is fma, q by
 * multiplication is put right by its exact remainder (Markstein 1990). That holds for finite normal quotients; subnormal
 * ones lie half way between two others too often. */
FC_INLINE VT NAME(narrow_quotient)(VT v, VT by, VT inverse, int divides)
{
    if (!divides)
        return v;
#if FC_HAS & FC_FMA
    VT q = v * inverse, exact = vfma(vfnma(q, by, v), inverse, q);
    if (!vbelow((VT)((VBITS)exact & ~(VBITS)vsplat(-0.0)), vsplat(FC_SIZE == 4 ? (T)0x1p-125 : (T)0x1p-1021)))
        return exact;
#else
    (void)inverse;
#endif
    return v / by;
}

/* Lanes brought between low and high. seen: NaN if one was, and if checked, the lowest and highest of all */
typedef struct { VT nan, lowest, highest; } NAME(narrow_seen);

FC_INLINE VT NAME(narrow_hold)(VT v, T low, T high, int checked, NAME(narrow_seen) * seen)
{
    const VT held = vmin(vsplat(high), vmax(vsplat(low), v));
    seen->nan = vfma(held, vzero(), seen->nan);
    if (checked) {
        seen->lowest = vmin(v, seen->lowest);
        seen->highest = vmax(v, seen->highest);
    }
    return held;
}

/* Whether one was NaN, or is rounded half to even to less than low or more than high: these are even and odd */
FC_INLINE int NAME(narrow_is_unfit)(NAME(narrow_seen) seen, T low, T high)
{
    T lowest[FC_VLEN], highest[FC_VLEN], nan[FC_VLEN];
    int unfit = 0;
    vstore(lowest, seen.lowest), vstore(highest, seen.highest), vstore(nan, seen.nan);
    for (int i = 0; i < FC_VLEN; i++)
        unfit |= nan[i] != 0 || !(lowest[i] >= low - (T)0.5 && highest[i] < high + (T)0.5);
    return unfit;
}

#if FC_SIZE == 4 && !defined(FC_INTEGER)
/* The upper halves of lanes, rounded to even, as integers; of NaN a quiet one */
FC_INLINE NAME(of_int32_t) NAME(narrow_bfloat16)(VT v)
{
    const VBITS bits = (VBITS)v, nan = (VBITS)(v != v), upper = bits >> 16;
    const VBITS nearest = (bits + 0x7fff + (upper & 1)) >> 16;
    return (NAME(of_int32_t))((nan & (upper | 0x7fff) & ~63) | (~nan & nearest));
}
#endif

/* One case of the switch. WHOLE: v as integers of 32 bits, or as it is. SHRINK: these as F. */
#define FC_NARROW_ALL(F, WHOLE, SHRINK)                                                                                  \
    for (; n > 0; n -= VLEN, from += VLEN, to += VLEN * (ptrdiff_t)sizeof(F)) {                                          \
        const VT v = NAME(narrow_quotient)(n >= VLEN ? vload(from) : vloadm(from, vlanes(n)), by, inverse, divides);     \
        const __typeof__(SHRINK(WHOLE)) t = SHRINK(WHOLE);                                                               \
        if (n >= VLEN)                                                                                                   \
            __builtin_memcpy(to, &t, (size_t)VLEN * sizeof(F));                                                          \
        else {                                                                                                           \
            const __typeof__(t) rest = t; /* t stays in its register */                                                  \
            __builtin_memcpy(to, &rest, (size_t)n * sizeof(F));                                                          \
        }                                                                                                                \
    }
#define FC_NARROW(stored, F, WHOLE)                                                                                      \
    case stored:                                                                                                         \
        FC_NARROW_ALL(F, WHOLE, FC_AS_IS)                                                                                \
        return 0;
#define FC_NARROW_INTEGERS(SIGNED, UNSIGNED, F)                                                                          \
    case SIGNED:                                                                                                         \
    case UNSIGNED: {                                                                                                     \
        const T high = (T)((1 << (8 * sizeof(F) - (stored == SIGNED))) - 1), low = stored == SIGNED ? -high - 1 : 0;     \
        if (rounding == FC_TRUNCATED)                                                                                    \
            FC_NARROW_ALL(F, FC_CONVERT(NAME(narrow_clamp)(v), int32_t), FC_WITH(vshrink, F))                            \
        else if (rounding == FC_SATURATED)                                                                               \
            FC_NARROW_ALL(F, vround(NAME(narrow_hold)(v, low, high, 0, &seen)), FC_WITH(vshrink, F))                     \
        else                                                                                                             \
            FC_NARROW_ALL(F, vround(NAME(narrow_hold)(v, low, high, 1, &seen)), FC_WITH(vshrink, F))                     \
        return NAME(narrow_is_unfit)(seen, low, high);                                                                   \
    }
#define FC_AS_IS(v) (v)

static int NAME(narrow)(void *tov, int stored, const void *fromv, ptrdiff_t n, double divisor, int rounding)
{
    char *to = tov;
    const T *from = fromv;
    VT by = vsplat((T)divisor), inverse = vsplat((T)1 / (T)divisor);
    NAME(narrow_seen) seen = {vzero(), vzero(), vzero()};
    const int divides = divisor != 1;
    switch (stored) {
        FC_NARROW(FC_F64, double, FC_CONVERT(v, double))
        FC_NARROW(FC_F32, float, FC_CONVERT(v, float))
        FC_NARROW_INTEGERS(FC_I8, FC_U8, uint8_t)
        FC_NARROW_INTEGERS(FC_I16, FC_U16, uint16_t)
        FC_NARROW(FC_I32, int32_t, FC_CONVERT(NAME(narrow_clamp)(v), int32_t))
#if FC_SIZE == 4 && !defined(FC_INTEGER)
    case FC_BF16: FC_NARROW_ALL(uint16_t, NAME(narrow_bfloat16)(v), vshrink_uint16_t) return 0;
#endif
#ifdef vhalve
    case FC_F16: /* results of layers, which nothing divides */
        for (; n >= VLEN && !divides; n -= VLEN, from += VLEN, to += 2 * VLEN)
            vwrite(to, vload(from), VLEN, 1);
        FC_NARROW_ALL(uint16_t, vhalve(v), FC_AS_IS)
        return 0;
#endif
    default:
        for (; n > 0; n--, from++, to += stored == FC_U32 ? 4 : 8) {
            double v = (double)(*from / (T)divisor);
            int upper = stored == FC_U64 && v >= 0x1p63;
            int64_t whole = NAME(narrow_whole)(upper ? v - 0x1p63 : v) ^ (upper ? INT64_MIN : 0);
            uint32_t low = (uint32_t)whole;
            if (stored == FC_U32)
                __builtin_memcpy(to, &low, sizeof low);
            else
                __builtin_memcpy(to, &whole, sizeof whole);
        }
        return 0;
    }
}

/* What a row would be if it were stored and read again:  x[i] = (T)(stored)(x[i] / divisor)  */
#define FC_SETTLE(stored, A, CLAMP, STORE)                                                                   \
    case stored: {                                                                                           \
        typedef A first __attribute__((vector_size(FC_VLEN * sizeof(A))));                                   \
        for (; n > 0; n -= VLEN, x += VLEN) {                                                                \
            VT v = NAME(narrow_quotient)(vloadn(x, n), by, inverse, divides);                                \
            first a = __builtin_convertvector(CLAMP(v), first);                                              \
            a = STORE;                                                                                       \
            vstoren(x, __builtin_convertvector(a, VT), n);                                                   \
        }                                                                                                    \
        break;                                                                                               \
    }

static int NAME(settle)(void *xv, int stored, ptrdiff_t n, double divisor)
{
    T *x = xv;
    VT by = vsplat((T)divisor), inverse = vsplat((T)1 / (T)divisor);
    const int divides = divisor != 1;
    switch (stored) {
        FC_SETTLE(FC_F32, float, FC_AS_IS, a)
#if FC_SIZE == 8
        FC_SETTLE(FC_F64, double, FC_AS_IS, a)
#endif
        FC_SETTLE(FC_U8, int32_t, NAME(narrow_clamp), a & 255)
        FC_SETTLE(FC_I8, int32_t, NAME(narrow_clamp), (a << 24) >> 24)
        FC_SETTLE(FC_U16, int32_t, NAME(narrow_clamp), a & 65535)
        FC_SETTLE(FC_I16, int32_t, NAME(narrow_clamp), (a << 16) >> 16)
        FC_SETTLE(FC_I32, int32_t, NAME(narrow_clamp), a)
    default: return 0;
    }
    return 1;
}

#undef FC_SETTLE
#undef FC_NARROW_INTEGERS
#undef FC_NARROW
#undef FC_NARROW_ALL
#undef FC_AS_IS
