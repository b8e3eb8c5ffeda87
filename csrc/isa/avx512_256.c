/* SPDX-License-Identifier: BSD-3-Clause
 * AVX-512 with vectors of 256 bits: for tests, which show that no width is taken for a feature; not in a wheel. */
#if defined __x86_64__ && defined FASTCONV_AVX512_256
#define FC_ISA avx512_256
#define FC_TARGET "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,f16c,bmi2,prfchw"
#define FC_VECTOR_BYTES 32
#define FC_HAS (FC_FMA | FC_F16C | FC_MASK_REGISTERS | FC_32_REGISTERS)
#include "kernels/all.h"
#endif
