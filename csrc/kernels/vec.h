/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The vector verbs, and the only file that asks which instruction set it is compiled for: in what it has
 * (FC_HAS), and by the width of its vectors for nothing but names. type.h includes it once per element type; vec_end.h takes the names back.
 *
 *   T, VT, VLEN        element, vector, lanes; FC_VLEN likewise, for #if and sizes of arrays
 *   NAME(op)           op_<type>_<isa>, e.g. corr_f32_avx512
 *   EACH(i, n)         a loop over i < n, unrolled; n is a constant
 *   vload vstore       unaligned, all lanes
 *   vstream vfence     store to an aligned place, past the caches where the CPU can; done before what comes after
 *   VMASK, vlanes(n)   the first n lanes (n <= 0: none, n >= VLEN: all)
 *   vloadm vstorem     the lanes of a mask; other lanes load as zero and their memory is not touched
 *   vloadn vstoren     the first n lanes
 *   vpieces(p, n)      16 bytes from p, 16 from p + n, from p + 2n, ...: a whole vector; of floats
 *   vsplat vzero
 *   vfma(a, b, c)      a * b + c, rounded once where the instruction set has FC_FMA
 *   vfnma(a, b, c)     c - a * b, likewise; of floats
 *   vadd(a, b)         of floats
 *   vsqrt vmin vmax    of floats; min and max of (a, NaN) are NaN
 *   vupper vlower(a, b, n)   exchange of blocks of n lanes, a constant: of every pair of blocks upper takes a's
 *                      first and, in place of its second, b's first; lower a's second and b's second
 *   vevens vodds(a, b) of every 16 bytes: elements 0, 2, ... of a's and then of b's; 1, 3, ...; of floats
 *   vziplow(a, b)      a's and b's elements in turn: of their first halves; vziphigh: of their second; of floats
 *   vpick(a, i, b)     lane l is lane i[l] of a and b joined; only where that is one instruction. i: VBITS
 *   VBITS              as many integers of the size of T; of floats
 *   FC_INTEGER         T is an integer
 *   vpin(v)            v stays in its register: gcc 12 otherwise repeats a load as the memory operand of
 *                      every fma that uses it (3x3 filters: half the speed)
 */
#if defined FC_TYPE_F32 + defined FC_TYPE_F64 + defined FC_TYPE_I32 + defined FC_TYPE_I64 != 1
#error "define exactly one of FC_TYPE_F32, FC_TYPE_F64, FC_TYPE_I32, FC_TYPE_I64 before including vec.h"
#endif

#define FC_JOIN3(a, b, c) a##_##b##_##c
#define FC_JOIN(a, b, c) FC_JOIN3(a, b, c)
#if defined FC_TYPE_F32
#define T float
#define NAME(op) FC_JOIN(op, f32, FC_ISA)
#define FC_VLEN (FC_VECTOR_BYTES / 4)
#elif defined FC_TYPE_F64
#define T double
#define NAME(op) FC_JOIN(op, f64, FC_ISA)
#define FC_VLEN (FC_VECTOR_BYTES / 8)
#elif defined FC_TYPE_I32 /* integers wrap, so they are unsigned: the same bits, and no undefined behaviour */
#define T uint32_t
#define NAME(op) FC_JOIN(op, i32, FC_ISA)
#define FC_VLEN (FC_VECTOR_BYTES / 4)
#define FC_INTEGER 1
#else
#define T uint64_t
#define NAME(op) FC_JOIN(op, i64, FC_ISA)
#define FC_VLEN (FC_VECTOR_BYTES / 8)
#define FC_INTEGER 1
#endif
#define VLEN ((ptrdiff_t)FC_VLEN)
#define FC_INLINE static inline __attribute__((always_inline))
#define EACH(i, n) _Pragma("GCC unroll 32") for (int i = 0; i < (n); i++)

/* ---- intrinsics: VOP(op) of vectors VX of elements TX */

#if defined __ARM_NEON
#define vpin(v) __asm__("" : "+w"(v))
#if defined FC_TYPE_F32
#define VX float32x4_t
#define VOP(op) op##q_f32
#elif defined FC_TYPE_F64
#define VX float64x2_t
#define VOP(op) op##q_f64
#endif
#else
#define vpin(v) __asm__("" : "+v"(v))
#if FC_VECTOR_BYTES == 64
#define FC_X86(op) _mm512_##op
#define FC_X86_TYPE(type) __m512##type
#elif FC_VECTOR_BYTES == 32
#define FC_X86(op) _mm256_##op
#define FC_X86_TYPE(type) __m256##type
#else
#define FC_X86(op) _mm_##op
#define FC_X86_TYPE(type) __m128##type
#endif
#if defined FC_TYPE_F32
#define VX FC_X86_TYPE()
#define TX float
#define VOP(op) FC_X86(op##_ps)
#elif defined FC_TYPE_F64
#define VX FC_X86_TYPE(d)
#define TX double
#define VOP(op) FC_X86(op##_pd)
#elif defined FC_TYPE_I32
#define VX FC_X86_TYPE(i)
#define TX int
#define VOP(op) FC_X86(op##_epi32)
#else
#define VX FC_X86_TYPE(i)
#define TX long long
#define VOP(op) FC_X86(op##_epi64)
#endif
#endif

/* ---- arithmetic: floats by intrinsics, integers by the compilers' vector types (which multiply 64-bit lanes
 *      on every instruction set) */

#if defined FC_INTEGER
typedef T NAME(vector) __attribute__((vector_size(FC_VECTOR_BYTES), may_alias));
typedef T NAME(unaligned) __attribute__((vector_size(FC_VECTOR_BYTES), aligned(sizeof(T)), may_alias));
#define VT NAME(vector)
#define vload(p) ((VT) * (const NAME(unaligned) *)(p))
#define vstore(p, v) (*(NAME(unaligned) *)(p) = (NAME(unaligned))(v))
#define vstream(p, v) vstore(p, v)
#define vfence() ((void)0)
#define vsplat(s) ((VT){0} + (T)(s))
#define vzero() ((VT){0})
#define vfma(a, b, c) ((a) * (b) + (c))
#elif defined __ARM_NEON
#define VT VX
#define vload(p) VOP(vld1)(p)
#define vstore(p, v) VOP(vst1)(p, v)
#define vstream(p, v) vstore(p, v)
#define vfence() ((void)0)
#ifdef FC_TYPE_F32
#define vsplat(s) vdupq_n_f32(s)
#else
#define vsplat(s) vdupq_n_f64(s)
#endif
#define vzero() vsplat(0)
#define vadd(a, b) VOP(vadd)(a, b)
#define vfma(a, b, c) VOP(vfma)(c, a, b)
#define vfnma(a, b, c) VOP(vfms)(c, a, b)
#define vsqrt(v) VOP(vsqrt)(v)
#define vmin(a, b) VOP(vmin)(a, b)
#define vmax(a, b) VOP(vmax)(a, b)
#else
#define VT VX
#define vload(p) VOP(loadu)(p)
#define vstore(p, v) VOP(storeu)(p, v)
#define vstream(p, v) VOP(stream)(p, v)
#define vfence() _mm_sfence()
#define vsplat(s) VOP(set1)(s)
#define vzero() VOP(setzero)()
#define vadd(a, b) VOP(add)(a, b)
#if FC_HAS & FC_FMA
#define vfma(a, b, c) VOP(fmadd)(a, b, c)
#define vfnma(a, b, c) VOP(fnmadd)(a, b, c)
#else
#define vfma(a, b, c) VOP(add)(VOP(mul)(a, b), c)
#define vfnma(a, b, c) VOP(sub)(c, VOP(mul)(a, b))
#endif
#define vsqrt(v) VOP(sqrt)(v)
#define vmin(a, b) VOP(min)(a, b)
#define vmax(a, b) VOP(max)(a, b)
#endif

/* ---- some lanes */

#if FC_HAS & FC_MASK_REGISTERS
#define VMASK __mmask16
#define vlanes(n) ((VMASK)((n) <= 0 ? 0u : (n) >= VLEN ? (1u << VLEN) - 1 : (1u << (n)) - 1))
#if FC_VLEN > 8
#define FC_MASK(m) (m)
#else
#define FC_MASK(m) ((__mmask8)(m))
#endif
#define vloadm(p, m) ((VT)VOP(maskz_loadu)(FC_MASK(m), p))
#define vstorem(p, v, m) VOP(mask_storeu)(p, FC_MASK(m), (VX)(v))

#elif FC_HAS & FC_MASKED_MEMORY
#define VMASK __m256i
#define vlanes(n) NAME(lanes)(n)
#define vloadm(p, m) ((VT)VOP(maskload)((const TX *)(p), m))
#define vstorem(p, v, m) VOP(maskstore)((TX *)(p), m, (VX)(v))

FC_INLINE VMASK NAME(lanes)(ptrdiff_t n)
{
    static const TX ones_then_zeros[2 * VLEN] = {[0 ... VLEN - 1] = -1};
    n = n < 0 ? 0 : n > VLEN ? VLEN : n;
    return _mm256_loadu_si256((const __m256i *)(ones_then_zeros + VLEN - n));
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

/* ---- exchange of lanes: index l of (a, b), for a vector of up to 16 lanes */

#ifndef FC_INTEGER
#if FC_VECTOR_BYTES == 16
#define vpieces(p, n) ((void)(n), vload(p))
#elif FC_VECTOR_BYTES == 32 && defined FC_TYPE_F32
#define vpieces(p, n) _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps((p) + (n)), 1)
#elif FC_VECTOR_BYTES == 32
#define vpieces(p, n) _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(p)), _mm_loadu_pd((p) + (n)), 1)
#else
#ifdef FC_TYPE_F32
#define FC_PIECE(p) _mm512_castps128_ps512(_mm_loadu_ps(p))
#define FC_INSERT(v, p, i) _mm512_insertf32x4(v, _mm_loadu_ps(p), i)
#else
#define FC_PIECE(p) _mm512_castpd128_pd512(_mm_loadu_pd(p))
#define FC_INSERT(v, p, i) _mm512_insertf64x2(v, _mm_loadu_pd(p), i)
#endif
#define vpieces(p, n) FC_INSERT(FC_INSERT(FC_INSERT(FC_PIECE(p), (p) + (n), 1), (p) + 2 * (n), 2), (p) + 3 * (n), 3)
#endif

#ifdef FC_TYPE_F32
typedef int32_t NAME(bits) __attribute__((vector_size(FC_VECTOR_BYTES)));
#else
typedef int64_t NAME(bits) __attribute__((vector_size(FC_VECTOR_BYTES)));
#endif
#define VBITS NAME(bits)
#if FC_HAS & FC_MASK_REGISTERS
#define vpick(a, lanes, b) VOP(permutex2var)(a, (FC_X86_TYPE(i))(lanes), b)
#endif

/* (A block of half a vector at most; a larger one compiles, for code that is never reached.) */
#define FC_UPPER(l, n) (((l) / (n) % 2 == 0 ? (l) : (int)VLEN + (l) - (n)) % (2 * (int)VLEN))
#define FC_LOWER(l, n) (((l) / (n) % 2 == 0 ? (l) + (n) : (int)VLEN + (l)) % (2 * (int)VLEN))
#define FC_TWO_LANES(index, l, ...) index((l), __VA_ARGS__), index((l) + 1, __VA_ARGS__)
#define FC_FOUR_LANES(index, l, ...) FC_TWO_LANES(index, l, __VA_ARGS__), FC_TWO_LANES(index, (l) + 2, __VA_ARGS__)
#define FC_EIGHT_LANES(index, l, ...) FC_FOUR_LANES(index, l, __VA_ARGS__), FC_FOUR_LANES(index, (l) + 4, __VA_ARGS__)
#if FC_VLEN == 16
#define FC_ALL_LANES(index, ...) FC_EIGHT_LANES(index, 0, __VA_ARGS__), FC_EIGHT_LANES(index, 8, __VA_ARGS__)
#elif FC_VLEN == 8
#define FC_ALL_LANES(index, ...) FC_EIGHT_LANES(index, 0, __VA_ARGS__)
#elif FC_VLEN == 4
#define FC_ALL_LANES(index, ...) FC_FOUR_LANES(index, 0, __VA_ARGS__)
#else
#define FC_ALL_LANES(index, ...) FC_TWO_LANES(index, 0, __VA_ARGS__)
#endif
#define vupper(a, b, n) __builtin_shufflevector(a, b, FC_ALL_LANES(FC_UPPER, n))
#define vlower(a, b, n) __builtin_shufflevector(a, b, FC_ALL_LANES(FC_LOWER, n))
#define FC_ZIP(l, from) ((from) + (l) / 2 + (l) % 2 * (int)VLEN)
#define vziplow(a, b) __builtin_shufflevector(a, b, FC_ALL_LANES(FC_ZIP, 0))
#define vziphigh(a, b) __builtin_shufflevector(a, b, FC_ALL_LANES(FC_ZIP, (int)VLEN / 2))
#define FC_EVEN(l, n) ((l) / (n) * (n) + (l) % (n) * 2 + ((l) % (n) * 2 < (n) ? 0 : (int)VLEN - (n)))
#define FC_ODD(l, n) (FC_EVEN(l, n) + 1)
#define vevens(a, b) __builtin_shufflevector(a, b, FC_ALL_LANES(FC_EVEN, 16 / (int)sizeof(T)))
#define vodds(a, b) __builtin_shufflevector(a, b, FC_ALL_LANES(FC_ODD, 16 / (int)sizeof(T)))
#endif
