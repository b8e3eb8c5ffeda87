/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Instantiates every micro-kernel for one instruction set and emits its table. A stub in isa/ says, and then includes this:
 *
 *   FC_ISA           its name, the last part of all names of functions
 *   FC_TARGET        what compilers call it, names of isa/cpu.c; not defined if every CPU has it
 *   FC_QUAD_TARGET   that and more, which only some CPUs have: products of bytes (dots_tmpl.h)
 *   FC_VECTOR_BYTES  16, 32 or 64
 *   FC_HAS           what it has of these, whatever the width:
 */
#define FC_FMA 1            /* multiply and add round once: all such tables give the same bits */
#define FC_MASKED_MEMORY 2  /* some lanes are loaded and stored by a vector of sign bits: AVX2 */
#define FC_MASK_REGISTERS 4 /* the same at no cost, and picks from two vectors: AVX-512 */
#define FC_32_REGISTERS 8   /* vectors; else 16 */
#define FC_F16C 16          /* float16 to float32 and back: F16C */

#include "kernels/kernels.h"
#include "isa/cpu.h"
#if defined __x86_64__
#include <immintrin.h>
#else
#include <arm_neon.h>
#endif

#define FC_JOIN2(a, b) a##_##b
#define FC_WITH(a, b) FC_JOIN2(a, b)
#define FC_STRING2(s) #s
#define FC_STRING(s) FC_STRING2(s)
#include "kernels/tiles.h"

/* Before the target: any CPU runs it. */
static int FC_WITH(supported, FC_ISA)(void)
{
#ifdef FC_TARGET
    return fc_cpu_has(FC_TARGET);
#else
    return 1;
#endif
}

#ifdef FC_QUAD_TARGET
static int FC_WITH(quad_supported, FC_ISA)(void) { return fc_cpu_has(FC_QUAD_TARGET); }
#endif

/* Functions between these two are compiled for a target. (By a pragma and not by a compiler flag per file: a plain setuptools
 * Extension has one set of flags.) */
#define FC_PRAGMA2(p) _Pragma(#p)
#define FC_PRAGMA(p) FC_PRAGMA2(p)
#ifdef __clang__
#define FC_BEGIN(set) FC_PRAGMA(clang attribute push(__attribute__((target(set))), apply_to = function))
#define FC_END FC_PRAGMA(clang attribute pop)
#else
#define FC_BEGIN(set) FC_PRAGMA(GCC push_options) FC_PRAGMA(GCC target(set))
#define FC_END FC_PRAGMA(GCC pop_options)
#endif

#ifdef FC_TARGET
FC_BEGIN(FC_TARGET)
#endif
#define FC_TYPE f32
#include "kernels/type.h"
#define FC_TYPE f64
#include "kernels/type.h"
#define FC_INTEGER 1 /* from here on */
#define FC_TYPE i32
#include "kernels/type.h"
#define FC_TYPE i64
#include "kernels/type.h"
#define FC_TYPE i16
#include "kernels/type.h"
#define FC_TYPE pair
#include "kernels/dots_tmpl.h"
#ifdef FC_TARGET
FC_END
#endif

#ifdef FC_QUAD_TARGET
FC_BEGIN(FC_QUAD_TARGET)
#define FC_TYPE quad
#include "kernels/dots_tmpl.h"
FC_END
#endif
#undef FC_INTEGER

extern const fc_kernels FC_WITH(fc_kernels, FC_ISA);
const fc_kernels FC_WITH(fc_kernels, FC_ISA) = {
    .isa = FC_STRING(FC_ISA),
    .supported = FC_WITH(supported, FC_ISA),
    .fma = (FC_HAS & FC_FMA) != 0,
    .vector_bytes = FC_VECTOR_BYTES,
    .block = {{FC_TALL, FC_WIDE(FC_TALL)}, {FC_LOW, FC_WIDE(FC_LOW)}, {1, FC_WIDE(1)}},
    .fold_from = FC_FOLD_FROM,
    .rows = FC_ROWS,
    .cols_of = {0, FC_COLS_OF(1), FC_COLS_OF(2), FC_COLS_OF(3), FC_COLS_OF(4), FC_COLS_OF(5), FC_COLS_OF(6), FC_COLS_OF(7),
                FC_COLS_OF(8)},
    .op = {&FC_WITH(FC_ISA, ops_f32), &FC_WITH(FC_ISA, ops_f64), &FC_WITH(FC_ISA, ops_i32), &FC_WITH(FC_ISA, ops_i64),
           &FC_WITH(FC_ISA, ops_i16)},
    .dots =
        {
            [FC_DOT_PAIR] = {FC_WITH(supported, FC_ISA), FC_JOIN(FC_ISA, gemm, pair), FC_JOIN(FC_ISA, dots_lanes, pair)},
#ifdef FC_QUAD_TARGET
            [FC_DOT_QUAD] = {FC_WITH(quad_supported, FC_ISA), FC_JOIN(FC_ISA, gemm, quad), FC_JOIN(FC_ISA, dots_lanes, quad)},
#endif
        },
};
