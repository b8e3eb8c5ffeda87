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
 * multiplication is put right by its exact remainder (Markstein 1990). What is not finite has no such remainder. */
FC_INLINE VT NAME(narrow_quotient)(VT v, VT by, VT inverse, int divides)
{
    if (!divides)
        return v;
#if FC_HAS & FC_FMA
    VT q = v * inverse, exact = vfma(vfnma(q, by, v), inverse, q);
    VBITS right = (VBITS)(exact - exact == 0) & (VBITS)(q != 0); /* 0 may have a sign */
    return (VT)(((VBITS)exact & right) | ((VBITS)q & ~right));
#else
    (void)inverse;
    return v / by;
#endif
}

/* v rounded, half to even, and held between low and high; unfit: lanes that are NaN or, if checked, beyond. The sum with
 * `whole`, whose last bit is worth 1, has no place for a fraction. */
FC_INLINE VT NAME(narrow_round)(VT v, T low, T high, int rounding, VBITS *unfit)
{
    const VT whole = vsplat(sizeof(T) == 4 ? 0x1.8p23 : 0x1.8p52);
    VT r = vmin(vsplat(high + 1), vmax(vsplat(low - 1), v));
    r = (r + whole) - whole;
    const VT held = vmin(vsplat(high), vmax(vsplat(low), r));
    *unfit |= (VBITS)((rounding == FC_CHECKED ? held : r) != r);
    return held;
}

/* One case of the switch. A, B: steps in between, as gcc 12 converts doubles to bytes lane by lane. ROUND, CLAMP: what becomes
 * of v before. */
#define FC_NARROW(stored, F, A, B, ROUND, CLAMP)                                                                         \
    case stored: {                                                                                                       \
        typedef A first __attribute__((vector_size(FC_VLEN * sizeof(A))));                                               \
        typedef B second __attribute__((vector_size(FC_VLEN * sizeof(B))));                                              \
        typedef F target __attribute__((vector_size(FC_VLEN * sizeof(F))));                                              \
        for (; n > 0; n -= VLEN, from += VLEN, to += VLEN * (ptrdiff_t)sizeof(F)) {                                      \
            VT v = NAME(narrow_quotient)(n >= VLEN ? vload(from) : vloadm(from, vlanes(n)), by, inverse, divides);       \
            if (rounding != FC_TRUNCATED)                                                                                \
                v = ROUND;                                                                                               \
            first a = __builtin_convertvector(CLAMP(v), first);                                                          \
            target t = __builtin_convertvector(__builtin_convertvector(a, second), target);                              \
            if (n >= VLEN)                                                                                               \
                __builtin_memcpy(to, &t, sizeof t);                                                                      \
            else                                                                                                         \
                __builtin_memcpy(to, &t, (size_t)n * sizeof(F));                                                         \
        }                                                                                                                \
        break;                                                                                                           \
    }
#define FC_AS_IS(v) (v)
#define FC_NEAREST(low, high) NAME(narrow_round)(v, low, high, rounding, &unfit)

static int NAME(narrow)(void *tov, int stored, const void *fromv, ptrdiff_t n, double divisor, int rounding)
{
    char *to = tov;
    const T *from = fromv;
    VT by = vsplat((T)divisor), inverse = vsplat((T)1 / (T)divisor);
    VBITS unfit = {0};
    const int divides = divisor != 1;
    switch (stored) {
        FC_NARROW(FC_F64, double, double, double, v, FC_AS_IS)
        FC_NARROW(FC_F32, float, float, float, v, FC_AS_IS)
        FC_NARROW(FC_U8, uint8_t, int32_t, int16_t, FC_NEAREST(0, 255), NAME(narrow_clamp))
        FC_NARROW(FC_I8, int8_t, int32_t, int16_t, FC_NEAREST(-128, 127), NAME(narrow_clamp))
        FC_NARROW(FC_U16, uint16_t, int32_t, int32_t, FC_NEAREST(0, 65535), NAME(narrow_clamp))
        FC_NARROW(FC_I16, int16_t, int32_t, int32_t, FC_NEAREST(-32768, 32767), NAME(narrow_clamp))
        FC_NARROW(FC_I32, int32_t, int32_t, int32_t, v, NAME(narrow_clamp))
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
    }
    T lane[FC_VLEN], any = 0;
    vstore(lane, (VT)(unfit & (VBITS)vsplat(1)));
    for (int i = 0; i < FC_VLEN; i++)
        any += lane[i];
    return any != 0;
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
#undef FC_NARROW
#undef FC_NEAREST
#undef FC_AS_IS
