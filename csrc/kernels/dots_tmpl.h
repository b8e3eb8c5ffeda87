/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Outer products (gemm_tmpl.h) of elements that hold several small numbers each, side by side; all.h includes this with FC_TYPE one of
 *
 *   pair   two int16, products summed in int32
 *   quad   four bytes, uint8 times int8, summed in int32: where one instruction does it (FC_QUAD_TARGET)
 *
 * int32 wraps. Instruction sets differ here as in vec.h:
 *
 *   vdot(w, s, c)   c and the sum of the products of the numbers in each lane of w and s; w has the int8 of a quad
 */
#define FC_T_pair uint32_t
#define FC_T_quad uint32_t
#define FC_SIZE_pair 4
#define FC_SIZE_quad 4
#include "kernels/vec.h"

#define FC_PLAIN 1
#define vdot(w, s, c) FC_WITH(vdot, FC_TYPE)(w, s, c)
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
#endif

#define FC_IS_pair 0
#define FC_IS_quad 1
#define FC_IS_QUAD FC_WITH(FC_IS, FC_TYPE)
#include "kernels/dots_lanes_tmpl.h"
#undef FC_IS_QUAD
#include "kernels/gemm_tmpl.h"
#undef FC_INTS
#undef FC_TYPE
