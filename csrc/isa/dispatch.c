/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which micro-kernels this CPU can run, best first, and the one pointer to the table in use. */
#include "fastconv.h"
#include <stdatomic.h>

#define FC_CPU(feature) (__builtin_cpu_supports(feature) != 0)

#if defined __x86_64__
extern const fc_kernels fc_kernels_avx512, fc_kernels_avx2, fc_kernels_base;

static int has_avx512(void)
{
    return FC_CPU("avx512f") && FC_CPU("avx512vl") && FC_CPU("avx512dq") && FC_CPU("avx512bw") && FC_CPU("bmi2");
}
static int has_avx2(void)
{
    return FC_CPU("avx2") && FC_CPU("fma") && FC_CPU("bmi2");
}
static int always(void)
{
    return 1;
}
static const struct {
    const fc_kernels *table;
    int (*supported)(void);
} tables[] = {
    {&fc_kernels_avx512, has_avx512},
    {&fc_kernels_avx2, has_avx2},
    {&fc_kernels_base, always},
};
static _Atomic(const fc_kernels *) in_use = &fc_kernels_base;
#elif defined __aarch64__
extern const fc_kernels fc_kernels_neon;
static int always(void)
{
    return 1;
}
static const struct {
    const fc_kernels *table;
    int (*supported)(void);
} tables[] = {{&fc_kernels_neon, always}};
static _Atomic(const fc_kernels *) in_use = &fc_kernels_neon;
#else
#error "fastconv has micro-kernels for x86-64 and AArch64"
#endif

const fc_kernels *fc_isa(int i)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        if (tables[t].supported() && i-- == 0)
            return tables[t].table;
    return NULL;
}

void fc_use(const fc_kernels *table)
{
    atomic_store(&in_use, table);
}

const fc_kernels *fc_in_use(void)
{
    return atomic_load(&in_use);
}
