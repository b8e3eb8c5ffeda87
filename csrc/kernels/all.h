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
#include "kernels/vec.h"
#include "kernels/corr_tmpl.h"
#include "kernels/gemm_tmpl.h"
#include "kernels/dot_tmpl.h"
#include "kernels/pack_tmpl.h"
#include "kernels/lanes_tmpl.h"
#include "kernels/split_tmpl.h"
#include "kernels/transpose_tmpl.h"
#include "kernels/fft_tmpl.h"
#include "kernels/widen_tmpl.h"
#include "kernels/box_tmpl.h"
#include "kernels/match_tmpl.h"
#include "kernels/ordered_tmpl.h"
#include "kernels/narrow_tmpl.h"
#include "kernels/peak_tmpl.h"
#include "kernels/vec_end.h"
#undef FC_TYPE_F32

#define FC_TYPE_F64
#include "kernels/vec.h"
#include "kernels/corr_tmpl.h"
#include "kernels/gemm_tmpl.h"
#include "kernels/dot_tmpl.h"
#include "kernels/pack_tmpl.h"
#include "kernels/lanes_tmpl.h"
#include "kernels/split_tmpl.h"
#include "kernels/transpose_tmpl.h"
#include "kernels/fft_tmpl.h"
#include "kernels/widen_tmpl.h"
#include "kernels/box_tmpl.h"
#include "kernels/match_tmpl.h"
#include "kernels/ordered_tmpl.h"
#include "kernels/narrow_tmpl.h"
#include "kernels/peak_tmpl.h"
#include "kernels/vec_end.h"
#undef FC_TYPE_F64

#define FC_TYPE_I32
#include "kernels/vec.h"
#include "kernels/corr_tmpl.h"
#include "kernels/widen_tmpl.h"
#include "kernels/box_tmpl.h"
#include "kernels/vec_end.h"
#undef FC_TYPE_I32

#define FC_TYPE_I64
#include "kernels/vec.h"
#include "kernels/corr_tmpl.h"
#include "kernels/widen_tmpl.h"
#include "kernels/box_tmpl.h"
#include "kernels/vec_end.h"
#undef FC_TYPE_I64

#define FC_STRING2(s) #s
#define FC_STRING(s) FC_STRING2(s)
#define FC_ENTRY2(op, type, isa) .op##_##type = op##_##type##_##isa,
#define FC_ENTRY1(op, type, isa) FC_ENTRY2(op, type, isa)
#define FC_ENTRY(op, type) FC_ENTRY1(op, type, FC_ISA)
#define FC_TABLE2(isa) fc_kernels_##isa
#define FC_TABLE(isa) FC_TABLE2(isa)

extern const fc_kernels FC_TABLE(FC_ISA);
const fc_kernels FC_TABLE(FC_ISA) = {
    .isa = FC_STRING(FC_ISA),
    .fma = FC_FMA,
    .vector_bytes = FC_VECTOR_BYTES,
    .tall = FC_TALL,
    .rows = FC_ROWS,
    .cols = FC_COLS,
    .cols_of = {0, FC_COLS_OF(1), FC_COLS_OF(2), FC_COLS_OF(3), FC_COLS_OF(4), FC_COLS_OF(5), FC_COLS_OF(6),
                FC_COLS_OF(7), FC_COLS_OF(8)},
    FC_KERNEL_LIST(FC_ENTRY)
};
