/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Instantiates every micro-kernel for one instruction set and emits its table. An isa_*.c stub sets the
 * target, FC_ISA, FC_VECTOR_BYTES, FC_FMA and the tile numbers FC_TALL, FC_ROWS, FC_COLS, FC_COLS_OF and
 * FC_COLS_MAX (kernels.h tells what they mean), then includes this.
 */
#include "kernels/kernels.h"

/* Narrower K3 strips: as wide as H+1 rows allow, beside which a slice of H may have to work, or half as wide. */
#define FC_NARROW_OF(H) (FC_COLS_OF((H) + 1) < FC_COLS_OF(H) ? FC_COLS_OF((H) + 1) : (FC_COLS_OF(H) + 1) / 2)

#define FC_DOT_COLS (FC_ROWS / 2) /* of a K2 tile */

#define FC_TYPE_F32
#include "kernels/type.h"
#undef FC_TYPE_F32
#define FC_TYPE_F64
#include "kernels/type.h"
#undef FC_TYPE_F64
#define FC_TYPE_I32
#include "kernels/type.h"
#undef FC_TYPE_I32
#define FC_TYPE_I64
#include "kernels/type.h"
#undef FC_TYPE_I64

#define FC_STRING2(s) #s
#define FC_STRING(s) FC_STRING2(s)
#define FC_JOIN2(a, b) a##_##b
#define FC_WITH(a, b) FC_JOIN2(a, b)
#define FC_TABLE FC_WITH(fc_kernels, FC_ISA)

extern const fc_kernels FC_TABLE;
const fc_kernels FC_TABLE = {
    .isa = FC_STRING(FC_ISA),
    .fma = FC_FMA,
    .vector_bytes = FC_VECTOR_BYTES,
    .tall = FC_TALL,
    .rows = FC_ROWS,
    .cols = FC_COLS,
    .cols_of = {0, FC_COLS_OF(1), FC_COLS_OF(2), FC_COLS_OF(3), FC_COLS_OF(4), FC_COLS_OF(5), FC_COLS_OF(6),
                FC_COLS_OF(7), FC_COLS_OF(8)},
    .op = {&FC_WITH(ops_f32, FC_ISA), &FC_WITH(ops_f64, FC_ISA), &FC_WITH(ops_i32, FC_ISA), &FC_WITH(ops_i64, FC_ISA)},
};
