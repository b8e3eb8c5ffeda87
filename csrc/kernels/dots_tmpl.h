/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Outer products (gemm_tmpl.h) of elements that hold several small numbers each, side by side; all.h includes this with FC_TYPE one of
 *
 *   pair   two int16, products summed in int32
 *   quad   four bytes, uint8 times int8, summed in int32: where one instruction does it (FC_QUAD_TARGET)
 *   bf16   two bfloat16, the upper halves of float32: two fma, of the first and of the second
 *   bdot   the same, by one instruction (FC_BDOT_TARGET), which rounds otherwise, and takes subnormal numbers for zeros
 *
 * int32 wraps. Instruction sets differ here as in vec.h:
 *
 *   vdot(w, s, c)   c and the sum of the products of the numbers in each lane of w and s; w has the int8 of a quad
 *   vpart(v, i)     of bf16: the first and the second number of each lane, as float32
 */
#define FC_T_pair uint32_t
#define FC_T_quad uint32_t
#define FC_T_bf16 float
#define FC_T_bdot float
#define FC_SIZE_pair 4
#define FC_SIZE_quad 4
#define FC_SIZE_bf16 4
#define FC_SIZE_bdot 4
#include "kernels/vec.h"

#define FC_PLAIN 1
#define FC_PARTS_pair 1
#define FC_PARTS_quad 1
#define FC_PARTS_bf16 2
#define FC_PARTS_bdot 1
#define FC_PARTS FC_WITH(FC_PARTS, FC_TYPE)
#define vpart(v, i) FC_WITH(vpart, FC_TYPE)(v, i)
#define vpart_pair(v, i) (v)
#define vpart_quad(v, i) (v)
#define vpart_bdot(v, i) (v)
#define vpart_bf16(v, i) ((VT)((i) == 0 ? (NAME(of_uint32_t))(v) << 16 : (NAME(of_uint32_t))(v) & ~(uint32_t)0xffff))
#define vdot(w, s, c) FC_WITH(vdot, FC_TYPE)(w, s, c)
#define vdot_bf16(w, s, c) vfma(w, s, c)
#ifndef FC_X86 /* NEON */
#define vdot_pair(w, s, c) ((c) + NAME(dot)(w, s))
#define FC_SHORTS(v) ((int16x8_t)(v))
FC_INLINE __attribute__((unused)) VT NAME(dot)(VT w, VT s)
{
    const int32x4_t low = vmull_s16(vget_low_s16(FC_SHORTS(w)), vget_low_s16(FC_SHORTS(s)));
    return (VT)vpaddq_s32(low, vmull_high_s16(FC_SHORTS(w), FC_SHORTS(s)));
}
#undef FC_SHORTS
#else
#define FC_INTS __typeof__(FC_X86(setzero, FC_X86_OF_2)())
#define vdot_pair(w, s, c) ((c) + (VT)FC_X86(madd, epi16)((FC_INTS)(w), (FC_INTS)(s)))
#define vdot_quad(w, s, c) ((VT)FC_X86(dpbusd, epi32)((FC_INTS)(c), (FC_INTS)(s), (FC_INTS)(w)))
#define FC_BRAINS_8 __m256bh
#define FC_BRAINS_16 __m512bh
#define vdot_bdot(w, s, c) ((VT)FC_X86(dpbf16, ps)((VX)(c), (FC_WITH(FC_BRAINS, FC_VLEN))(w), (FC_WITH(FC_BRAINS, FC_VLEN))(s)))
#endif

#ifdef FC_INTEGER
#define FC_IS_pair 0
#define FC_IS_quad 1
#define FC_IS_QUAD FC_WITH(FC_IS, FC_TYPE)
#include "kernels/dots_lanes_tmpl.h"
#undef FC_IS_QUAD
#endif
#include "kernels/gemm_tmpl.h"
#undef FC_INTS
#undef FC_TYPE
