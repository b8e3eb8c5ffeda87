/* SPDX-License-Identifier: BSD-3-Clause
 *
 * float16 to float32 and back, VLEN elements at a time, to the same bits on every instruction set (Giesen, "Float->half conversion",
 * 2012).
 *
 *              sign  exponent, bias     fraction
 *   float16       1         5,   15           10       moved by 13 bits, what is normal is float32 but for the bias
 *   float32       1         8,  127           23       the nearest, half to even; from 65520 on infinite
 */
#if FC_SIZE != 4
#error "float16 is computed in float32"
#endif

typedef uint16_t NAME(half) __attribute__((vector_size(2 * FC_VLEN), aligned(2), may_alias));
#define FC_PICK(mask, a, b) (((mask) & (a)) | (~(mask) & (b)))

FC_INLINE VT NAME(half_to)(NAME(half) h)
{
    const VBITS bits = __builtin_convertvector(h, VBITS), u = bits & 0x7fff;
    VBITS normal = (u << 13) + ((127 - 15) << 23);
    normal += (VBITS)(u >= 0x7c00) & ((127 - 15) << 23); /* infinite or NaN */
    const VBITS small = (VBITS)(__builtin_convertvector(u, VT) * 0x1p-24f);
    return (VT)(FC_PICK((VBITS)(u < 0x400), small, normal) | (bits & 0x8000) << 16);
}

FC_INLINE NAME(half) NAME(half_from)(VT v)
{
    const VBITS bits = (VBITS)v, a = bits & 0x7fffffff, sign = (bits >> 16) & 0x8000;
    const VBITS normal = (a - ((127 - 15) << 23) + 0xfff + (a >> 13 & 1)) >> 13;
    const VBITS small = (VBITS)((VT)a + 0.5f) - 0x3f000000; /* whose last bit is that of the smallest float16 */
    const VBITS beyond = FC_PICK((VBITS)(a > 0x7f800000), (a >> 13 & 0x3ff) | 0x7e00, (VBITS){0} + 0x7c00);
    VBITS h = FC_PICK((VBITS)(a < (127 - 14) << 23), small, normal);
    h = FC_PICK((VBITS)(a >= (127 + 16) << 23), beyond, h);
    return __builtin_convertvector(h | sign, NAME(half));
}

static void NAME(half_in)(void *tov, const void *fromv, ptrdiff_t n)
{
    T *to = tov;
    const char *from = fromv;
    for (; n >= VLEN; n -= VLEN, to += VLEN, from += 2 * VLEN)
        vstore(to, NAME(half_to)(*(const NAME(half) *)(const void *)from));
    NAME(half) last = {0};
    __builtin_memcpy(&last, from, 2 * (size_t)n);
    vstorem(to, NAME(half_to)(last), vlanes(n));
}

static void NAME(half_out)(void *tov, const void *fromv, ptrdiff_t n)
{
    char *to = tov;
    const T *from = fromv;
    for (; n >= VLEN; n -= VLEN, from += VLEN, to += 2 * VLEN)
        *(NAME(half) *)(void *)to = NAME(half_from)(vload(from));
    const NAME(half) last = NAME(half_from)(vloadm(from, vlanes(n)));
    __builtin_memcpy(to, &last, 2 * (size_t)n);
}
#undef FC_PICK
