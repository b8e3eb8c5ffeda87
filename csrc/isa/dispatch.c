/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The instruction sets, best first, and the one pointer to the table in use. */
#include "fastconv.h"
#include <stdatomic.h>

extern const fc_kernels fc_kernels_avx512, fc_kernels_avx512_256, fc_kernels_avx2, fc_kernels_base, fc_kernels_neon;
static const fc_kernels *const tables[] = {
#if defined __x86_64__
#ifndef FASTCONV_LEAST /* alone, for tests that are soon built */
    &fc_kernels_avx512,
#ifdef FASTCONV_AVX512_256
    &fc_kernels_avx512_256,
#endif
    &fc_kernels_avx2,
#endif
#define LEAST &fc_kernels_base
#elif defined __aarch64__
#define LEAST &fc_kernels_neon
#else
#error "fastconv has micro-kernels for x86-64 and AArch64"
#endif
    LEAST, /* every CPU has it */
};
enum { TABLES = sizeof tables / sizeof *tables };
static _Atomic(const fc_kernels *) in_use = LEAST;

const fc_kernels *fc_isa(int i)
{
    for (int t = 0; t < TABLES; t++)
        if (tables[t]->supported() && i-- == 0)
            return tables[t];
    return NULL;
}

void fc_use(const fc_kernels *table) { atomic_store(&in_use, table); }

const fc_kernels *fc_in_use(void) { return atomic_load(&in_use); }
