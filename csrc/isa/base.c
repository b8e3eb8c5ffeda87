/* SPDX-License-Identifier: BSD-3-Clause
 * What every x86-64 has: SSE2, no fma (multiply and add round separately). */
#if defined __x86_64__
#define FC_ISA base
#define FC_VECTOR_BYTES 16
#define FC_HAS 0
#include "kernels/all.h"
#endif
