/* SPDX-License-Identifier: BSD-3-Clause
 * AVX2 with FMA: 16 registers hold 12 accumulators, 3 vectors of the row and the tap. */
#if defined __x86_64__
#include <immintrin.h>
#define FC_TARGET "avx2,fma,bmi2,prfchw"
#include "isa/target_begin.h"
#define FC_ISA avx2
#define FC_VECTOR_BYTES 32
#define FC_FMA 1
#define FC_TALL 6
#define FC_ROWS 4
#define FC_COLS 3
#define FC_COLS_MAX 6
#define FC_COLS_OF(H) ((H) <= 1 ? 6 : (H) <= 2 ? 4 : (H) <= 4 ? 3 : 2)
#include "kernels/all.h"
#include "isa/target_end.h"
#endif
