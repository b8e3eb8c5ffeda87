/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The vector verbs, and the only file that asks which instruction set it is compiled for.
 * all.h includes it once per element type; vec_end.h takes the names back.
 *
 *   T, VT, VLEN        element, vector, lanes
 *   NAME(op)           op_<type>_<isa>, e.g. corr_f32_avx512
 *   vload vstore       unaligned, all lanes
 *   vloadn vstoren     the first n lanes (n <= 0: none, n >= VLEN: all); other lanes load as zero and
 *                      their memory is not touched
 *   vsplat vzero
 *   vfma(a, b, c)      a * b + c, rounded once where FC_FMA is 1
 *   vpin(v)            v stays in its register: gcc 12 otherwise repeats a load as the memory operand of
 *                      every fma that uses it (3x3 filters: half the speed)
 */
#ifndef FC_ISA
#error "define FC_ISA (base, avx2, avx512, neon) before including vec.h"
#endif
#if defined FC_F32 == defined FC_F64
#error "define exactly one of FC_F32, FC_F64 before including vec.h"
#endif

#define FC_JOIN3(a, b, c) a##_##b##_##c
#define FC_JOIN(a, b, c) FC_JOIN3(a, b, c)
#ifdef FC_F32
#define T float
#define NAME(op) FC_JOIN(op, f32, FC_ISA)
#define VLEN (FC_VECTOR_BYTES / 4)
#else
#define T double
#define NAME(op) FC_JOIN(op, f64, FC_ISA)
#define VLEN (FC_VECTOR_BYTES / 8)
#endif
#define FC_INLINE static inline __attribute__((always_inline))

#if FC_VECTOR_BYTES == 64
#define vpin(v) __asm__("" : "+v"(v))
#elif defined __ARM_NEON
#define vpin(v) __asm__("" : "+w"(v))
#else
#define vpin(v) __asm__("" : "+x"(v))
#endif

#if FC_VECTOR_BYTES == 64 /* ---- AVX-512: a mask register per tail */

#ifdef FC_F32
#define VT __m512
#define VOP(op) _mm512_##op##_ps
#else
#define VT __m512d
#define VOP(op) _mm512_##op##_pd
#endif
#define vload(p) VOP(loadu)(p)
#define vstore(p, v) VOP(storeu)(p, v)
#define vsplat(s) VOP(set1)(s)
#define vzero() VOP(setzero)()
#define vfma(a, b, c) VOP(fmadd)(a, b, c)
#define FC_LANES(n) ((n) <= 0 ? 0u : (n) >= VLEN ? (1u << VLEN) - 1 : (1u << (n)) - 1)
#define vloadn(p, n) VOP(maskz_loadu)(FC_LANES(n), p)
#define vstoren(p, v, n) VOP(mask_storeu)(p, FC_LANES(n), v)

#elif FC_VECTOR_BYTES == 32 /* ---- AVX2 + FMA: masks are vectors of sign bits */

#ifdef FC_F32
#define VT __m256
#define VOP(op) _mm256_##op##_ps
#define FC_MASK_ELEMENT int
#else
#define VT __m256d
#define VOP(op) _mm256_##op##_pd
#define FC_MASK_ELEMENT long long
#endif
#define vload(p) VOP(loadu)(p)
#define vstore(p, v) VOP(storeu)(p, v)
#define vsplat(s) VOP(set1)(s)
#define vzero() VOP(setzero)()
#define vfma(a, b, c) VOP(fmadd)(a, b, c)
/* A full mask would cost a register and slower memory access: full lanes are seen at compile time. */
#define FC_FULL(n) (__builtin_constant_p((n) >= VLEN) && (n) >= VLEN)
#define vloadn(p, n) (FC_FULL(n) ? vload(p) : VOP(maskload)(p, NAME(lanes)(n)))
#define vstoren(p, v, n) (FC_FULL(n) ? vstore(p, v) : VOP(maskstore)(p, NAME(lanes)(n), v))

FC_INLINE __m256i NAME(lanes)(ptrdiff_t n)
{
    static const FC_MASK_ELEMENT ones_then_zeros[2 * VLEN] = {
        -1, -1, -1, -1,
#ifdef FC_F32
        -1, -1, -1, -1,
#endif
    };
    n = n < 0 ? 0 : n > VLEN ? VLEN : n;
    return _mm256_loadu_si256((const __m256i *)(ones_then_zeros + VLEN - n));
}

#elif FC_VECTOR_BYTES == 16 /* ---- SSE2 and NEON: no masked memory, tails go through a small buffer */

#ifdef __ARM_NEON
#ifdef FC_F32
#define VT float32x4_t
#define VOP(op) op##q_f32
#else
#define VT float64x2_t
#define VOP(op) op##q_f64
#endif
#define vload(p) VOP(vld1)(p)
#define vstore(p, v) VOP(vst1)(p, v)
#ifdef FC_F32
#define vsplat(s) vdupq_n_f32(s)
#else
#define vsplat(s) vdupq_n_f64(s)
#endif
#define vzero() vsplat(0)
#define vfma(a, b, c) VOP(vfma)(c, a, b)
#else
#ifdef FC_F32
#define VT __m128
#define VOP(op) _mm_##op##_ps
#else
#define VT __m128d
#define VOP(op) _mm_##op##_pd
#endif
#define vload(p) VOP(loadu)(p)
#define vstore(p, v) VOP(storeu)(p, v)
#define vsplat(s) VOP(set1)(s)
#define vzero() VOP(setzero)()
#define vfma(a, b, c) VOP(add)(VOP(mul)(a, b), c)
#endif
#define vloadn(p, n) NAME(loadn)(p, n)
#define vstoren(p, v, n) NAME(storen)(p, v, n)

FC_INLINE VT NAME(loadn)(const T *p, ptrdiff_t n)
{
    if (n >= VLEN)
        return vload(p);
    T lane[VLEN] = {0};
    for (ptrdiff_t i = 0; i < n; i++)
        lane[i] = p[i];
    return vload(lane);
}

FC_INLINE void NAME(storen)(T *p, VT v, ptrdiff_t n)
{
    if (n >= VLEN) {
        vstore(p, v);
        return;
    }
    T lane[VLEN];
    vstore(lane, v);
    for (ptrdiff_t i = 0; i < n; i++)
        p[i] = lane[i];
}

#else
#error "FC_VECTOR_BYTES must be 16, 32 or 64"
#endif
