/* SPDX-License-Identifier: BSD-3-Clause
 * What every x86-64 has: SSE2, no fma (multiply and add round separately). */
#if defined __x86_64__
#include <emmintrin.h>
#define FC_ISA base
#define FC_VECTOR_BYTES 16
#define FC_FMA 0
#define FC_TALL 6
#define FC_ROWS 4
#define FC_COLS 3
#define FC_COLS_MAX 6
#define FC_COLS_OF(H) ((H) <= 1 ? 6 : (H) <= 2 ? 4 : (H) <= 4 ? 3 : 2)
#include "kernels/all.h"
#endif
