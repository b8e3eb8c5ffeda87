/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Verbs that store floats as small integers: as vround has them, and brought between 0 and what the type holds. Instruction sets
 * differ here as in vec.h.
 *
 *   vputbytes(p, a, b, c, d), vputwords(p, a, b)   a vector to p: the first lanes of all, then the second ones ...; as uint8, uint16
 */
#define vputbytes(p, a, b, c, d) NAME(put_bytes)(p, a, b, c, d)
#define vputwords(p, a, b) NAME(put_words)(p, a, b)
#if FC_HAS & (FC_MASKED_MEMORY | FC_MASK_REGISTERS) /* x86, where bytes are exchanged by one instruction: of every 16 */
#define FC_INTS(v) ((__typeof__(FC_X86(setzero, FC_X86_OF_2)()))(v))
#define FC_EXCHANGED(v, ...)                                                                                             \
    static const uint32_t each[4] = {__VA_ARGS__};                                                                       \
    NAME(of_uint32_t) index;                                                                                             \
    EACH(l, FC_VLEN)                                                                                                     \
        index[l] = each[l % 4];                                                                                          \
    const __typeof__(FC_INTS(v)) all = FC_X86(shuffle, epi8)(v, FC_INTS(index));                                         \
    __builtin_memcpy(p, &all, sizeof all);
FC_INLINE void NAME(put_bytes)(char *p, VT a, VT b, VT c, VT d)
{
    const __typeof__(FC_INTS(a)) ab = FC_X86(packs, epi32)(FC_INTS(vround(a)), FC_INTS(vround(b)));
    const __typeof__(ab) cd = FC_X86(packs, epi32)(FC_INTS(vround(c)), FC_INTS(vround(d)));
    FC_EXCHANGED(FC_X86(packus, epi16)(ab, cd), 0x0c080400, 0x0d090501, 0x0e0a0602, 0x0f0b0703)
}
FC_INLINE void NAME(put_words)(char *p, VT a, VT b){
    FC_EXCHANGED(FC_X86(packus, epi32)(FC_INTS(vround(a)), FC_INTS(vround(b))), 0x09080100, 0x0b0a0302, 0x0d0c0504, 0x0f0e0706)}
#undef FC_EXCHANGED
#undef FC_INTS
#else
FC_INLINE NAME(of_uint32_t) NAME(held)(VT v, T high) { return (NAME(of_uint32_t))vround(vmin(vsplat(high), vmax(vzero(), v))); }
FC_INLINE void NAME(put_bytes)(char *p, VT a, VT b, VT c, VT d)
{
    const NAME(of_uint32_t) all =
        NAME(held)(a, 255) | NAME(held)(b, 255) << 8 | NAME(held)(c, 255) << 16 | NAME(held)(d, 255) << 24;
    __builtin_memcpy(p, &all, sizeof all);
}
FC_INLINE void NAME(put_words)(char *p, VT a, VT b)
{
    const NAME(of_uint32_t) all = NAME(held)(a, 65535) | NAME(held)(b, 65535) << 16;
    __builtin_memcpy(p, &all, sizeof all);
}
#endif
