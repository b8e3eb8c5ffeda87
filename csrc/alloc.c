/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The one place that scratch memory comes from: aligned, overflow-checked, and able to fail on demand so
 * that tests can walk every out-of-memory path. */
#include "fastconv.h"
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

static atomic_long allocations_left = -1; /* negative: no limit */

void fc_alloc_fail_after(long allocations)
{
    atomic_store(&allocations_left, allocations);
}

void *fc_alloc(size_t count, size_t size)
{
    enum { ALIGN = 64 };
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX - ALIGN)
        return NULL;
    if (atomic_load(&allocations_left) >= 0 && atomic_fetch_sub(&allocations_left, 1) <= 0) {
        atomic_store(&allocations_left, 0);
        return NULL;
    }
    return aligned_alloc(ALIGN, (bytes + ALIGN) / ALIGN * ALIGN);
}

void fc_free(void *p)
{
    free(p);
}
