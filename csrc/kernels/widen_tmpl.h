/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Conversion of stored elements to the type of the arithmetic, VLEN at a time:  to[i] = from[i]
 * Integers keep their value modulo 2^bits, floats are rounded once.
 */

/* One case of the switch: whole vectors, then what is left one by one. GROWN: a vector of them, which is converted */
#define FC_WIDEN(stored, F, GROWN)                                                                            \
    case stored: {                                                                                           \
        for (; n >= VLEN; n -= VLEN, from += VLEN * (ptrdiff_t)sizeof(F), to += VLEN)                        \
            vstore(to, __builtin_convertvector(GROWN, VT));                                             \
        for (; n > 0; n--, from += sizeof(F), to++) {                                                        \
            F s;                                                                                             \
            __builtin_memcpy(&s, from, sizeof s);                                                            \
            *to = (T)s;                                                                                      \
        }                                                                                                    \
        break;                                                                                               \
    }

static void NAME(widen)(void *tov, int stored, const void *fromv, ptrdiff_t n)
{
    const char *from = fromv;
    T *to = tov;
    switch (stored) {
        FC_WIDEN(FC_U8, uint8_t, vgrow_uint8_t(from))
        FC_WIDEN(FC_I8, int8_t, vgrow_int8_t(from))
        FC_WIDEN(FC_U16, uint16_t, vgrow_uint16_t(from))
        FC_WIDEN(FC_I16, int16_t, vgrow_int16_t(from))
#if FC_SIZE == 2 /* a single one */
    case FC_I64: {
        int64_t s;
        __builtin_memcpy(&s, from, sizeof s);
        *to = (T)s;
    }
#else
        FC_WIDEN(FC_U32, uint32_t, vraw(uint32_t, from))
        FC_WIDEN(FC_I32, int32_t, vraw(int32_t, from))
        FC_WIDEN(FC_U64, uint64_t, vraw(uint64_t, from))
        FC_WIDEN(FC_I64, int64_t, vraw(int64_t, from))
#endif
#ifndef FC_INTEGER
        FC_WIDEN(FC_F32, float, vraw(float, from))
        FC_WIDEN(FC_F64, double, vraw(double, from))
#endif
#ifdef vhalf
    case FC_F16:
        for (; n >= VLEN; n -= VLEN, from += 2 * VLEN, to += VLEN)
            vstore(to, vhalf(from));
        if (n > 0)
            vstorem(to, vhalfn(from, n), vlanes(n));
#endif
    }
}

#undef FC_WIDEN
