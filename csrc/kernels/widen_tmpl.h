/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Conversion of stored elements to the type of the arithmetic, VLEN at a time:  to[i] = from[i]
 * Integers keep their value modulo 2^bits, floats are rounded once.
 */

/* One case of the switch: whole vectors, then what is left one by one. Small integers grow step by step, by way of
 * A and B: gcc 12 converts bytes to floats lane by lane. */
#define FC_WIDEN(stored, F, A, B)                                                                            \
    case stored: {                                                                                           \
        typedef F source __attribute__((vector_size(FC_VLEN * sizeof(F))));                                  \
        typedef A first __attribute__((vector_size(FC_VLEN * sizeof(A))));                                   \
        typedef B second __attribute__((vector_size(FC_VLEN * sizeof(B))));                                  \
        typedef T target __attribute__((vector_size(FC_VECTOR_BYTES)));                                      \
        for (; n >= VLEN; n -= VLEN, from += VLEN * (ptrdiff_t)sizeof(F), to += VLEN) {                      \
            source s;                                                                                        \
            __builtin_memcpy(&s, from, sizeof s);                                                            \
            first a = __builtin_convertvector(s, first);                                                     \
            target t = __builtin_convertvector(__builtin_convertvector(a, second), target);                  \
            __builtin_memcpy(to, &t, sizeof t);                                                              \
        }                                                                                                    \
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
        FC_WIDEN(FC_U8, uint8_t, int16_t, int32_t)
        FC_WIDEN(FC_I8, int8_t, int16_t, int32_t)
        FC_WIDEN(FC_U16, uint16_t, int32_t, int32_t)
        FC_WIDEN(FC_I16, int16_t, int32_t, int32_t)
        FC_WIDEN(FC_U32, uint32_t, uint32_t, uint32_t)
        FC_WIDEN(FC_I32, int32_t, int32_t, int32_t)
        FC_WIDEN(FC_U64, uint64_t, uint64_t, uint64_t)
        FC_WIDEN(FC_I64, int64_t, int64_t, int64_t)
#ifndef FC_INTEGER
        FC_WIDEN(FC_F32, float, float, float)
        FC_WIDEN(FC_F64, double, double, double)
#endif
    }
}

#undef FC_WIDEN
