/* SPDX-License-Identifier: BSD-3-Clause
 * AVX-512 (F, VL, DQ, BW), and VNNI where it is. */
#if defined __x86_64__ && !defined FASTCONV_LEAST
#define FC_ISA avx512
#define FC_TARGET "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,f16c,bmi2,prfchw"
#define FC_QUAD_TARGET "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,f16c,bmi2,prfchw,avx512vnni"
#define FC_VECTOR_BYTES 64
#define FC_HAS (FC_FMA | FC_F16C | FC_MASK_REGISTERS | FC_32_REGISTERS)
#include "kernels/all.h"
#endif
