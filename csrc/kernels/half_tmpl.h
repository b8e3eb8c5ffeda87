/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Verbs for float16, as 16 bits, of VLEN elements: to float32 and back, to the same bits on every instruction set (Giesen,
 * "Float->half conversion", 2012).
 *
 *   vhalf(p)          from p, which need not be aligned
 *   vhalfm(p, mask)   some of them, where masks are in registers; the others are zero
 *   vhalfn(p, n)      the first n; the others are zero
 *   vhalve(v)         the nearest, as uint16_t; vhalvem(p, v, mask) and vhalven(p, v, n): some of them, and the first n, stored
 *
 * And of elements that are float16 if `half`, else T, as double always is:
 *
 *   FC_STORED(half)                                            bytes of one
 *   vread(p, half), vreadm(p, mask, half), vreadn(p, n, half)  all, some and the first n, as above
 *   vwritem(p, v, mask, half), vwrite(p, v, n, half)           some lanes stored, and the first n
 *
 *              sign  exponent, bias     fraction
 *   float16       1         5,   15           10       moved by 13 bits, what is normal is float32 but for the bias
 *   float32       1         8,  127           23       the nearest, half to even; from 65520 on infinite
 */
#if FC_SIZE == 4
#if FC_HAS & FC_F16C
#define vhalf(p) ((VT)FC_JOIN(FC_WITH(FC_X86, FC_VECTOR_BYTES), cvtph, ps)((FC_WITH(FC_X86_HALF, FC_VLEN))vraw(uint16_t, p)))
#define vhalve(v) ((NAME(of_uint16_t))FC_JOIN(FC_WITH(FC_X86, FC_VECTOR_BYTES), cvtps, ph)((VX)(v), 0 /* half to even */))
#if FC_HAS & FC_MASK_REGISTERS
#define FC_SOME_8 _mm_maskz_loadu_epi16
#define FC_SOME_16 _mm256_maskz_loadu_epi16
#define FC_PUT_8 _mm_mask_storeu_epi16
#define FC_PUT_16 _mm256_mask_storeu_epi16
#define vhalfm(p, mask) ((VT)FC_JOIN(FC_WITH(FC_X86, FC_VECTOR_BYTES), cvtph, ps)(FC_WITH(FC_SOME, FC_VLEN)(mask, p)))
#define vhalvem(p, v, mask) FC_WITH(FC_PUT, FC_VLEN)(p, mask, (FC_WITH(FC_X86_HALF, FC_VLEN))vhalve(v))
#endif
#else
#define FC_PICK(mask, a, b) (((mask) & (a)) | (~(mask) & (b)))

FC_INLINE VT NAME(half_to)(NAME(of_uint16_t) h)
{
    const VBITS bits = __builtin_convertvector(h, VBITS), u = bits & 0x7fff;
    VBITS normal = (u << 13) + ((127 - 15) << 23);
    normal += (VBITS)(u >= 0x7c00) & ((127 - 15) << 23); /* infinite or NaN, */
    normal |= (VBITS)(u > 0x7c00) & (1 << 22);           /* which is a quiet one */
    const VBITS small = (VBITS)(__builtin_convertvector(u, VT) * 0x1p-24f);
    return (VT)(FC_PICK((VBITS)(u < 0x400), small, normal) | (bits & 0x8000) << 16);
}

FC_INLINE NAME(of_uint16_t) NAME(half_from)(VT v)
{
    const VBITS bits = (VBITS)v, a = bits & 0x7fffffff, sign = (bits >> 16) & 0x8000;
    const VBITS normal = (a - ((127 - 15) << 23) + 0xfff + (a >> 13 & 1)) >> 13;
    const VBITS small = (VBITS)((VT)a + 0.5f) - 0x3f000000; /* whose last bit is that of the smallest float16 */
    const VBITS beyond = FC_PICK((VBITS)(a > 0x7f800000), (a >> 13 & 0x3ff) | 0x7e00, (VBITS){0} + 0x7c00);
    VBITS h = FC_PICK((VBITS)(a < (127 - 14) << 23), small, normal);
    h = FC_PICK((VBITS)(a >= (127 + 16) << 23), beyond, h);
    return __builtin_convertvector(h | sign, NAME(of_uint16_t));
}
#undef FC_PICK
#define vhalf(p) NAME(half_to)(vraw(uint16_t, p))
#define vhalve(v) NAME(half_from)(v)
#endif
#ifdef vhalfm /* whole vectors from memory need no exchange of lanes */
#define vhalfn(p, n) ((n) >= VLEN ? vhalf(p) : vhalfm(p, vlanes(n)))
#define vhalven(p, v, n) vhalvem(p, v, vlanes(n))
#else
FC_INLINE VT NAME(half_first)(const char *p, ptrdiff_t n)
{
    uint16_t lane[FC_VLEN] = {0};
    for (ptrdiff_t l = 0; l < n; l++)
        __builtin_memcpy(lane + l, p + 2 * l, 2);
    return vhalf(lane);
}
#define vhalfn(p, n) ((n) >= VLEN ? vhalf(p) : NAME(half_first)(p, n))

FC_INLINE void NAME(halve_first)(void *p, VT v, ptrdiff_t n)
{
    const NAME(of_uint16_t) h = vhalve(v);
    __builtin_memcpy(p, &h, n >= VLEN ? sizeof h : 2 * (size_t)n);
}
#define vhalven(p, v, n) NAME(halve_first)(p, v, n)
#endif
#define FC_EITHER(half, a, b) ((half) ? (a) : (b))
#else
#define FC_EITHER(half, a, b) ((void)(half), b)
#endif
#define FC_STORED(half) FC_EITHER(half, 2, (ptrdiff_t)sizeof(T))
#define vread(p, half) FC_EITHER(half, vhalf(p), vload((const T *)(const void *)(p)))
#define vreadm(p, mask, half) FC_EITHER(half, vhalfm(p, mask), vloadm((const T *)(const void *)(p), mask))
#define vreadn(p, n, half)                                                                                               \
    FC_EITHER(half, vhalfn(p, n), (n) >= VLEN ? vload((const T *)(const void *)(p)) : vloadn((const T *)(const void *)(p), n))
#define vwritem(p, v, mask, half) FC_EITHER(half, (void)vhalvem(p, v, mask), vstorem(p, v, mask))
#define vwrite(p, v, n, half)                                                                                            \
    FC_EITHER(half, (void)vhalven(p, v, n), (n) >= VLEN ? (void)vstore((T *)(void *)(p), v) : vstoren((T *)(void *)(p), v, n))
