/* SPDX-License-Identifier: BSD-3-Clause
 * What every AArch64 has: NEON with fma and 32 registers. */
#if defined __aarch64__
#include <arm_neon.h>
#define FC_ISA neon
#define FC_VECTOR_BYTES 16
#define FC_FMA 1
#define FC_TALL 8
#define FC_ROWS 8
#define FC_COLS 3
#define FC_COLS_MAX 8
#define FC_COLS_OF(H) ((H) <= 2 ? 8 : (H) <= 5 ? 5 : (H) <= 6 ? 4 : 3)
#include "kernels/all.h"
#endif
