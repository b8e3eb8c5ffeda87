/* SPDX-License-Identifier: BSD-3-Clause
 * AVX-512 (F, VL, DQ, BW): 32 registers hold 24 accumulators, 4 vectors of the row and the tap. */
#if defined __x86_64__
#include <immintrin.h>
#define FC_TARGET "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,bmi2,prfchw"
#include "isa/target_begin.h"
#define FC_ISA avx512
#define FC_VECTOR_BYTES 64
#define FC_FMA 1
#define FC_TALL 8
#define FC_ROWS 8
#define FC_COLS 3
#define FC_COLS_MAX 8
#define FC_COLS_OF(H) ((H) <= 2 ? 8 : (H) <= 5 ? 5 : (H) <= 6 ? 4 : 3)
#include "kernels/all.h"
#include "isa/target_end.h"
#endif
