/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The vector verbs, and the only file that asks which instruction set it is compiled for: in what it has
 * (FC_HAS), and by the width of its vectors for nothing but names. type.h includes it once per element type: what it defines
 * depends on FC_TYPE where it is used, so that the same words serve the next type.
 *
 *   T, VT, VLEN        element, vector, lanes; FC_VLEN likewise, for sizes of arrays; FC_SIZE: bytes of an element
 *   NAME(op)           <isa>_op_<type>, e.g. avx512_corr_f32
 *   EACH(i, n)         a loop over i < n, unrolled; n is a constant
 *   vload vstore       unaligned, all lanes
 *   vstream vfence     store to an aligned place, past the caches where the CPU can; done before what comes after
 *   VMASK, vlanes(n)   the first n lanes (n <= 0: none, n >= VLEN: all)
 *   vloadm vstorem     the lanes of a mask; other lanes load as zero and their memory is not touched
 *   vloadn vstoren     the first n lanes
 *   vpieces(p, n)      16 bytes from p, 16 from p + n, from p + 2n, ...: a whole vector; of floats
 *   vsplat vzero
 *   vfma(a, b, c)      a * b + c, rounded once where the instruction set has FC_FMA
 *   vfma_to(sum, a, b) sum = vfma(a, b, sum), in the register of the sum: gcc 12 moves a quarter of 24 sums to others in each step
 *   vfnma(a, b, c)     c - a * b, likewise; of floats
 *   vsqrt vmin vmax    of floats; min and max of (a, NaN) are NaN
 *   vless(a, b)        a - b, or 0 where that is negative; vabs(a): the larger of a and -a, signed; of 16 bits
 *   vhigh(a, b)        a * b / 2^bits; of 16 and 32 bits
 *   vupper vlower(a, b, n)   exchange of blocks of n lanes, a constant: of every pair of blocks upper takes a's
 *                      first and, in place of its second, b's first; lower a's second and b's second
 *   vevens vodds(a, b) of every 16 bytes: elements 0, 2, ... of a's and then of b's; 1, 3, ...; of floats
 *   veven vodd(a, b)   elements 0, 2, ... of a and b joined; 1, 3, ...
 *   vahead(a, b, n)    a's elements from n on, and then b's
 *   vbehind(a, n)      n zeros, and then a's elements but the last n; vlast(a, n): a's last n again and again
 *   vziplow(a, b)      a's and b's elements in turn: of their first halves; vziphigh: of their second; of floats
 *   vpick(a, i, b)     lane l is lane i[l] of a and b joined; only where that is one instruction. i: VBITS
 *   vnext(a, b, n)     a's lanes but the first n, and b's first n; likewise
 *   vbetween(a, b, n)  of every 16 bytes, a's elements from n on, then b's first n: what lies n elements behind a, where b lies
 *                      16 bytes behind a; only where that is one instruction, and there is no vnext
 *   vraw(F, p)         VLEN elements of type F from p, which need not be aligned
 *   vgrow_F(p)         likewise of 8 or 16 bits, as int32, or int16 if T has 16 bits; vshrink_uint8_t, _uint16_t(a): back,
 *                      modulo 2^bits, into at least as many bytes
 *   vpack(a, b)        bytes of a and then of b, which are of 16 bits and 0 ... 32767; more than 255 is 255
 *   vround(v)          int32, half to even; of floats that these hold, and NaN becomes any
 *   VBITS              as many integers of the size of T; of floats
 *   vbelow(a, b)       whether any lane of a is less than b's, or NaN; of floats
 *   FC_INTEGER         T is an integer
 *   vpin(v)            v stays in its register: gcc 12 otherwise repeats a load as the memory operand of
 *                      every fma that uses it (3x3 filters: half the speed)
 */

#define FC_JOIN3(a, b, c) a##_##b##_##c
#define FC_JOIN(a, b, c) FC_JOIN3(a, b, c)
#define NAME(op) FC_JOIN(FC_ISA, op, FC_TYPE)
#define FC_T_f32 float
#define FC_T_f64 double
#define FC_T_i32 uint32_t /* integers wrap, so they are unsigned: the same bits, and no undefined behaviour */
#define FC_T_i64 uint64_t
#define FC_T_i16 uint16_t
#define T FC_WITH(FC_T, FC_TYPE)
#define FC_SIZE_f32 4
#define FC_SIZE_f64 8
#define FC_SIZE_i32 4
#define FC_SIZE_i64 8
#define FC_SIZE_i16 2
#define FC_SIZE FC_WITH(FC_SIZE, FC_TYPE)
#define FC_VLEN_16_2 8
#define FC_VLEN_32_2 16
#define FC_VLEN_64_2 32
#define FC_VLEN_16_4 4
#define FC_VLEN_16_8 2
#define FC_VLEN_32_4 8
#define FC_VLEN_32_8 4
#define FC_VLEN_64_4 16
#define FC_VLEN_64_8 8
#define FC_VLEN FC_JOIN(FC_VLEN, FC_VECTOR_BYTES, FC_SIZE)
#define VLEN ((ptrdiff_t)FC_VLEN)
#define FC_INLINE static inline __attribute__((always_inline))
#define EACH(i, n) _Pragma("GCC unroll 32") for (int i = 0; i < (n); i++)

/* ---- intrinsics: VOP(op) of vectors VX; of integers, those of the floats of their size */

#if defined __ARM_NEON
#define vpin(v) __asm__("" : "+w"(v))
#define FC_FLOATS_4 f32
#define FC_FLOATS_8 f64
#define VOP(op) FC_WITH(v##op##q, FC_WITH(FC_FLOATS, FC_SIZE))
#else
#define vpin(v) __asm__("" : "+v"(v))
#define FC_X86_16 _mm
#define FC_X86_32 _mm256
#define FC_X86_64 _mm512
#if FC_VECTOR_BYTES == 16
#define FC_X86_OF_2 si128
#elif FC_VECTOR_BYTES == 32
#define FC_X86_OF_2 si256
#else
#define FC_X86_OF_2 si512
#endif
#define FC_X86_OF_4 ps
#define FC_X86_OF_8 pd
#define FC_X86(op, lanes) FC_JOIN(FC_WITH(FC_X86, FC_VECTOR_BYTES), op, lanes)
#define VOP(op) FC_X86(op, FC_WITH(FC_X86_OF, FC_SIZE))
#define VX __typeof__(VOP(setzero)())
#endif

/* ---- arithmetic: by the compilers' vector types, which multiply 64-bit lanes on every instruction set, where these have
 *      it; a - 0 is a, of -0 and NaN, too */

typedef T NAME(vector) __attribute__((vector_size(FC_VECTOR_BYTES), may_alias));
typedef T NAME(unaligned) __attribute__((vector_size(FC_VECTOR_BYTES), aligned(FC_SIZE), may_alias));
#define VT NAME(vector)
#define vload(p) ((VT) * (const NAME(unaligned) *)(p))
#define vstore(p, v) (*(NAME(unaligned) *)(p) = (NAME(unaligned))(v))
#define vzero() ((VT){0})
#define vsplat(s) ((T)(s)-vzero())
#define vsqrt(v) VOP(sqrt)(v)
#define vmin(a, b) VOP(min)(a, b)
#define vmax(a, b) VOP(max)(a, b)
#if defined __ARM_NEON
#define vstream(p, v) vstore(p, v)
#define vfence() ((void)0)
#else
#define vstream(p, v) VOP(stream)((void *)(p), (VX)(v))
#define vfence() _mm_sfence()
#endif
#undef vhigh
#if defined __ARM_NEON
#define vless(a, b) ((VT)vqsubq_u16(a, b))
#define vabs(a) ((VT)vabsq_s16((int16x8_t)(a)))
#if FC_SIZE == 2
#define vhigh(a, b)                                                                                                      \
    ((VT)vuzp2q_u16((uint16x8_t)vmull_u16(vget_low_u16(a), vget_low_u16(b)), (uint16x8_t)vmull_high_u16(a, b)))
#else
#define vhigh(a, b)                                                                                                      \
    ((VT)vuzp2q_u32((uint32x4_t)vmull_u32(vget_low_u32(a), vget_low_u32(b)), (uint32x4_t)vmull_high_u32(a, b)))
#endif
#else
#define vless(a, b) ((VT)FC_X86(subs, epu16)((VX)(a), (VX)(b)))
#define vabs(a) ((VT)FC_X86(max, epi16)((VX)(a), (VX)(vzero() - (a))))
#if FC_SIZE == 2
#define vhigh(a, b) ((VT)FC_X86(mulhi, epu16)((VX)(a), (VX)(b)))
#elif defined FC_INTEGER && FC_SIZE == 4 /* of every second element, and of the others */
#define vhigh(a, b) NAME(high)(a, b)
FC_INLINE VT NAME(high)(VT a, VT b)
{
    typedef uint64_t pairs __attribute__((vector_size(FC_VECTOR_BYTES)));
    typedef __typeof__(FC_X86(setzero, FC_X86_OF_2)()) ints;
    const pairs even = (pairs)FC_X86(mul, epu32)((ints)a, (ints)b) >> 32;
    const pairs odd = (pairs)FC_X86(mul, epu32)((ints)((pairs)a >> 32), (ints)((pairs)b >> 32));
    return (VT)(even | (odd & ~(uint64_t)UINT32_MAX));
}
#endif
#endif
#undef vfma
#undef vfma_to
#if defined FC_INTEGER
#define vfma(a, b, c) ((a) * (b) + (c))
#elif defined __ARM_NEON
#define vfma(a, b, c) VOP(fma)(c, a, b)
#define vfnma(a, b, c) VOP(fms)(c, a, b)
#elif FC_HAS & FC_FMA
#define vfma(a, b, c) VOP(fmadd)(a, b, c)
#define vfnma(a, b, c) VOP(fnmadd)(a, b, c)
#define vfma_to(sum, a, b)                                                                                               \
    __asm__("vfmadd231" FC_STRING(FC_WITH(FC_X86_OF, FC_SIZE)) " %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b))
#else
#define vfma(a, b, c) ((a) * (b) + (c))
#define vfnma(a, b, c) ((c) - (a) * (b))
#endif
#ifndef vfma_to
#define vfma_to(sum, a, b) ((sum) = vfma(a, b, sum))
#endif

/* ---- some lanes */

#undef VMASK
#undef vlanes
#undef vloadm
#undef vstorem
#if FC_HAS & FC_MASK_REGISTERS
#define FC_MASK_2 __mmask32
#define FC_MASK_4 __mmask16
#define FC_MASK_8 __mmask16
#define FC_MASKED_2 epi16
#define FC_MASKED_4 ps
#define FC_MASKED_8 pd
#define VMASK FC_WITH(FC_MASK, FC_SIZE)
#define vlanes(n) ((VMASK)((n) <= 0 ? 0u : (n) >= VLEN ? (1ull << VLEN) - 1 : (1ull << (n)) - 1))
#define vloadm(p, m) ((VT)FC_X86(maskz_loadu, FC_WITH(FC_MASKED, FC_SIZE))(m, p))
#define vstorem(p, v, m) FC_X86(mask_storeu, FC_WITH(FC_MASKED, FC_SIZE))(p, m, (VX)(v))

#elif FC_HAS & FC_MASKED_MEMORY && FC_SIZE > 2
#define VMASK __m256i
#define vlanes(n) NAME(lanes)(n)
#define vloadm(p, m) ((VT)VOP(maskload)((const void *)(p), m))
#define vstorem(p, v, m) VOP(maskstore)((void *)(p), m, (VX)(v))

FC_INLINE VMASK NAME(lanes)(ptrdiff_t n)
{
    static const T signs_then_none[2 * VLEN] = {[0 ... VLEN - 1] = (T)-1};
    n = n < 0 ? 0 : n > VLEN ? VLEN : n;
    return _mm256_loadu_si256((const __m256i *)(signs_then_none + VLEN - n));
}

#else /* some lanes go through a small buffer */
#define VMASK ptrdiff_t
#define vlanes(n) (n)
#define vloadm(p, m) NAME(loadn)(p, m)
#define vstorem(p, v, m) NAME(storen)(p, v, m)

static __attribute__((noinline, unused)) VT NAME(loadn)(const T *p, ptrdiff_t n)
{
    if (n >= VLEN)
        return vload(p);
    T lane[FC_VLEN] = {0};
    for (ptrdiff_t i = 0; i < n; i++)
        lane[i] = p[i];
    return vload(lane);
}

static __attribute__((noinline, unused)) void NAME(storen)(T *p, VT v, ptrdiff_t n)
{
    if (n >= VLEN) {
        vstore(p, v);
        return;
    }
    T lane[FC_VLEN];
    vstore(lane, v);
    for (ptrdiff_t i = 0; i < n; i++)
        p[i] = lane[i];
}
#endif

/* A full mask would cost a register and slower memory access: full lanes are seen at compile time. */
#define FC_FULL(n) (__builtin_constant_p((n) >= VLEN) && (n) >= VLEN)
#define vloadn(p, n) (FC_FULL(n) ? vload(p) : vloadm(p, vlanes(n)))
#define vstoren(p, v, n) (FC_FULL(n) ? (void)vstore(p, v) : (void)vstorem(p, v, vlanes(n)))

/* ---- elements of other sizes. (gcc 12 converts many of them lane by lane.) */

#define FC_RAW(F)                                                                                                        \
    typedef F NAME(of_##F) __attribute__((vector_size(FC_VLEN * sizeof(F))));                                            \
    typedef F NAME(raw_##F) __attribute__((vector_size(FC_VLEN * sizeof(F)), aligned(1), may_alias));
FC_RAW(uint8_t)
FC_RAW(int8_t)
FC_RAW(uint16_t)
FC_RAW(int16_t)
FC_RAW(uint32_t)
FC_RAW(int32_t)
FC_RAW(uint64_t)
FC_RAW(int64_t)
FC_RAW(float)
FC_RAW(double)
#define vraw(F, p) ((NAME(of_##F)) * (const NAME(raw_##F) *)(p))

#define FC_CONVERT(v, F) __builtin_convertvector(v, NAME(of_##F))
#undef vgrow_uint8_t
#undef vgrow_int8_t
#undef vgrow_uint16_t
#undef vgrow_int16_t
#if FC_SIZE == 2
#if defined __x86_64__ && FC_VECTOR_BYTES > 16
#define vgrow_uint8_t(p) ((NAME(of_int16_t))FC_X86(cvtepu8, epi16)(FC_HALF_VECTOR(p)))
#define vgrow_int8_t(p) ((NAME(of_int16_t))FC_X86(cvtepi8, epi16)(FC_HALF_VECTOR(p)))
#if FC_VECTOR_BYTES == 32
#define FC_HALF_VECTOR(p) _mm_loadu_si128((const __m128i *)(p))
#else
#define FC_HALF_VECTOR(p) _mm256_loadu_si256((const __m256i *)(p))
#endif
#else
#define vgrow_uint8_t(p) FC_CONVERT(vraw(uint8_t, p), int16_t)
#define vgrow_int8_t(p) FC_CONVERT(vraw(int8_t, p), int16_t)
#endif
#define vgrow_uint16_t(p) vraw(uint16_t, p)
#define vgrow_int16_t(p) vraw(int16_t, p)
#elif defined __x86_64__ && FC_VECTOR_BYTES > 16
#define FC_X86_LANES_4 _mm
#define FC_X86_LANES_8 _mm256
#define FC_X86_LANES_16 _mm512
#define FC_X86_INTS_4 __m128i
#define FC_X86_INTS_8 __m256i
#define FC_X86_INTS_16 __m512i
#define FC_X86_HALF_4 __m128i
#define FC_X86_HALF_8 __m128i
#define FC_X86_HALF_16 __m256i
#define FC_OF_LANES(op, to) FC_JOIN(FC_WITH(FC_X86_LANES, FC_VLEN), op, to)
#define FC_GROW(F, op, source)                                                                                           \
    FC_INLINE __attribute__((unused)) NAME(of_int32_t) NAME(grow_##F)(const char *p)                                     \
    {                                                                                                                    \
        source s = {0};                                                                                                  \
        __builtin_memcpy(&s, p, FC_VLEN * sizeof(F));                                                                    \
        return (NAME(of_int32_t))FC_OF_LANES(op, epi32)(s);                                                              \
    }
FC_GROW(uint8_t, cvtepu8, __m128i)
FC_GROW(int8_t, cvtepi8, __m128i)
FC_GROW(uint16_t, cvtepu16, FC_WITH(FC_X86_HALF, FC_VLEN))
FC_GROW(int16_t, cvtepi16, FC_WITH(FC_X86_HALF, FC_VLEN))
#define vgrow_uint8_t(p) NAME(grow_uint8_t)(p)
#define vgrow_int8_t(p) NAME(grow_int8_t)(p)
#define vgrow_uint16_t(p) NAME(grow_uint16_t)(p)
#define vgrow_int16_t(p) NAME(grow_int16_t)(p)
#else
#define vgrow_uint8_t(p) FC_CONVERT(FC_CONVERT(vraw(uint8_t, p), int16_t), int32_t)
#define vgrow_int8_t(p) FC_CONVERT(FC_CONVERT(vraw(int8_t, p), int16_t), int32_t)
#define vgrow_uint16_t(p) FC_CONVERT(vraw(uint16_t, p), int32_t)
#define vgrow_int16_t(p) FC_CONVERT(vraw(int16_t, p), int32_t)
#endif
#if FC_HAS & FC_MASK_REGISTERS
#define FC_SHRINK(a, to) FC_OF_LANES(cvtepi32, to)((FC_WITH(FC_X86_INTS, FC_VLEN))(a))
#define vshrink_uint8_t(a) FC_SHRINK(a, epi8)
#define vshrink_uint16_t(a) FC_SHRINK(a, epi16)
#else
#define vshrink_uint8_t(a) FC_CONVERT(FC_CONVERT(a, int16_t), uint8_t)
#define vshrink_uint16_t(a) FC_CONVERT(a, uint16_t)
#endif
#if defined __x86_64__ && FC_VECTOR_BYTES > 16
#define FC_X86_CVT_4 cvtps
#define FC_X86_CVT_8 cvtpd
#define vround(v) ((NAME(of_int32_t))FC_JOIN(FC_WITH(FC_X86, FC_VECTOR_BYTES), FC_WITH(FC_X86_CVT, FC_SIZE), epi32)(v))
#else /* the last bit of a sum with such a number is worth 1 */
#define FC_WHOLE_4 0x1.8p23f
#define FC_WHOLE_8 0x1.8p52
#define vround(v) FC_CONVERT(((v) + FC_WITH(FC_WHOLE, FC_SIZE)) - FC_WITH(FC_WHOLE, FC_SIZE), int32_t)
#endif

#if FC_SIZE == 2
#if defined __ARM_NEON
#define vpack(a, b) vcombine_u8(vqmovn_u16((uint16x8_t)(a)), vqmovn_u16((uint16x8_t)(b)))
#elif FC_VECTOR_BYTES == 16
#define vpack(a, b) _mm_packus_epi16((VX)(a), (VX)(b))
#elif FC_VECTOR_BYTES == 32
#define vpack(a, b) _mm256_permute4x64_epi64(_mm256_packus_epi16((VX)(a), (VX)(b)), 0xd8)
#else
#define vpack(a, b)                                                                                                      \
    _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), _mm512_packus_epi16((VX)(a), (VX)(b)))
#endif
#endif

/* ---- exchange of lanes: index l of (a, b) */

#define FC_PIECE(p) _mm_loadu_ps((const float *)(p))
#if FC_VECTOR_BYTES == 16
#define vpieces(p, n) ((void)(n), vload(p))
#elif FC_VECTOR_BYTES == 32
#define vpieces(p, n) ((VT)_mm256_insertf128_ps(_mm256_castps128_ps256(FC_PIECE(p)), FC_PIECE((p) + (n)), 1))
#else
#define FC_INSERT(v, p, i) _mm512_insertf32x4(v, FC_PIECE(p), i)
#define FC_INSERT2(v, p, n) FC_INSERT(FC_INSERT(v, (p) + (n), 1), (p) + 2 * (n), 2)
#define vpieces(p, n) ((VT)FC_INSERT(FC_INSERT2(_mm512_castps128_ps512(FC_PIECE(p)), p, n), (p) + 3 * (n), 3))
#endif

#define FC_BITS_2 int16_t
#define FC_BITS_4 int32_t
#define FC_BITS_8 int64_t
typedef FC_WITH(FC_BITS, FC_SIZE) NAME(bits) __attribute__((vector_size(FC_VECTOR_BYTES)));
#define VBITS NAME(bits)
#if defined __ARM_NEON
#define vbelow(a, b) (vmaxvq_u32((uint32x4_t)~(VBITS)((a) >= (b))) != 0)
#elif FC_HAS & FC_MASK_REGISTERS
#define FC_CMP_4 ps_mask
#define FC_CMP_8 pd_mask
#define vbelow(a, b) (FC_JOIN(FC_WITH(FC_X86, FC_VECTOR_BYTES), cmp, FC_WITH(FC_CMP, FC_SIZE))((VX)(a), (VX)(b), _CMP_NGE_UQ) != 0)
#else
#define vbelow(a, b) (VOP(movemask)((VX)~(VBITS)((a) >= (b))) != 0)
#endif
#if FC_HAS & FC_MASK_REGISTERS
typedef long long FC_INDEX __attribute__((vector_size(FC_VECTOR_BYTES)));
#define vpick(a, lanes, b) VOP(permutex2var)(a, (FC_INDEX)(lanes), b)
#define FC_ALIGNR_4 epi32
#define FC_ALIGNR_8 epi64
#define vnext(a, b, n)                                                                                                   \
    ((VT)FC_JOIN(FC_WITH(FC_X86, FC_VECTOR_BYTES), alignr, FC_WITH(FC_ALIGNR, FC_SIZE))((FC_INDEX)(b), (FC_INDEX)(a), n))
#endif

#if FC_HAS & FC_MASKED_MEMORY
#define vbetween(a, b, n) ((VT)_mm256_alignr_epi8((__m256i)(b), (__m256i)(a), (n) * FC_SIZE))
#endif

/* (A block of half a vector at most; a larger one compiles, for code that is never reached.) */
#define FC_UPPER(l, n) (((l) / (n) % 2 == 0 ? (l) : (int)VLEN + (l) - (n)) % (2 * (int)VLEN))
#define FC_LOWER(l, n) (((l) / (n) % 2 == 0 ? (l) + (n) : (int)VLEN + (l)) % (2 * (int)VLEN))
#define FC_LANES_2(index, l, ...) index((l), __VA_ARGS__), index((l) + 1, __VA_ARGS__)
#define FC_LANES_4(index, l, ...) FC_LANES_2(index, l, __VA_ARGS__), FC_LANES_2(index, (l) + 2, __VA_ARGS__)
#define FC_LANES_8(index, l, ...) FC_LANES_4(index, l, __VA_ARGS__), FC_LANES_4(index, (l) + 4, __VA_ARGS__)
#define FC_LANES_16(index, l, ...) FC_LANES_8(index, l, __VA_ARGS__), FC_LANES_8(index, (l) + 8, __VA_ARGS__)
#define FC_LANES_32(index, l, ...) FC_LANES_16(index, l, __VA_ARGS__), FC_LANES_16(index, (l) + 16, __VA_ARGS__)
#define FC_ALL_LANES(index, ...) FC_WITH(FC_LANES, FC_VLEN)(index, 0, __VA_ARGS__)
#define vupper(a, b, n) __builtin_shufflevector(a, b, FC_ALL_LANES(FC_UPPER, n))
#define vlower(a, b, n) __builtin_shufflevector(a, b, FC_ALL_LANES(FC_LOWER, n))
#define FC_EACH_OTHER(l, first) (2 * (l) + (first))
#define veven(a, b) __builtin_shufflevector(a, b, FC_ALL_LANES(FC_EACH_OTHER, 0))
#define vodd(a, b) __builtin_shufflevector(a, b, FC_ALL_LANES(FC_EACH_OTHER, 1))
#define FC_AHEAD(l, n) ((l) + (n))
#define vahead(a, b, n) __builtin_shufflevector(a, b, FC_ALL_LANES(FC_AHEAD, n))
#define FC_SHIFTED(l, n) ((l) + (int)VLEN - ((n) < (int)VLEN ? (n) : 0))
#define vbehind(a, n) __builtin_shufflevector(vzero(), a, FC_ALL_LANES(FC_SHIFTED, n))
#define FC_LAST(l, n) ((int)VLEN - (n) + (l) % (n))
#define vlast(a, n) __builtin_shufflevector(a, a, FC_ALL_LANES(FC_LAST, n))
#define FC_ZIP(l, from) ((from) + (l) / 2 + (l) % 2 * (int)VLEN)
#define vziplow(a, b) __builtin_shufflevector(a, b, FC_ALL_LANES(FC_ZIP, 0))
#define vziphigh(a, b) __builtin_shufflevector(a, b, FC_ALL_LANES(FC_ZIP, (int)VLEN / 2))
#define FC_EVEN(l, n) ((l) / (n) * (n) + (l) % (n) * 2 + ((l) % (n) * 2 < (n) ? 0 : (int)VLEN - (n)))
#define FC_ODD(l, n) (FC_EVEN(l, n) + 1)
#define vevens(a, b) __builtin_shufflevector(a, b, FC_ALL_LANES(FC_EVEN, 16 / (int)sizeof(T)))
#define vodds(a, b) __builtin_shufflevector(a, b, FC_ALL_LANES(FC_ODD, 16 / (int)sizeof(T)))
