/* SPDX-License-Identifier: BSD-3-Clause
 * What every AArch64 has: NEON with fma. */
#if defined __aarch64__
#define FC_ISA neon
#define FC_VECTOR_BYTES 16
#define FC_HAS (FC_FMA | FC_32_REGISTERS)
#include "kernels/all.h"
#endif
