/* SPDX-License-Identifier: BSD-3-Clause
 * AVX2 with FMA. */
#if defined __x86_64__ && !defined FASTCONV_LEAST
#define FC_ISA avx2
#define FC_TARGET "avx2,fma,f16c,bmi2,prfchw"
#define FC_VECTOR_BYTES 32
#define FC_HAS (FC_FMA | FC_F16C | FC_MASKED_MEMORY)
#include "kernels/all.h"
#endif
