/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The one place that scratch memory comes from: aligned, overflow-checked, and able to fail on demand so
 * that tests can walk every out-of-memory path. */
#include "common/platform.h"
#include "common/room.h"
#include "costs.h"
#include <stdatomic.h>
#include <stdint.h>
#ifdef FASTCONV_CANARIES
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#endif

static atomic_long allocations_left = -1; /* negative: no limit */

void fc_alloc_fail_after(long allocations) { atomic_store(&allocations_left, allocations); }
int fc_alloc_may_fail(void) { return atomic_load(&allocations_left) >= 0; }

void *fc_alloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX - LINE)
        return NULL;
    if (fc_alloc_may_fail() && atomic_fetch_sub(&allocations_left, 1) <= 0) {
        atomic_store(&allocations_left, 0);
        return NULL;
    }
    bytes = (bytes + LINE) / LINE * LINE;
    return bytes < KEPT_HUGE ? fc_aligned_alloc(LINE, bytes) : fc_huge_alloc(KEPT_HUGE, bytes);
}

void fc_free(void *p) { fc_aligned_free(p); }

/* ---- canaries ---------------------------------------------------------------------------------- */

#ifdef FASTCONV_CANARIES
enum { CANARY = 0xA5 };

void fc_guard(fc_room *r, const char *name, char *end, ptrdiff_t canary)
{
    if (r->parts == (int)(sizeof r->part / sizeof *r->part))
        abort();
    memset(end, CANARY, (size_t)canary);
    r->part[r->parts].name = name;
    r->part[r->parts].end = (unsigned char *)end;
    r->part[r->parts++].canary = canary;
}

const char *fc_overrun(const fc_room *r)
{
    for (int p = 0; p < r->parts; p++)
        for (ptrdiff_t i = 0; i < r->part[p].canary; i++)
            if (r->part[p].end[i] != CANARY)
                return r->part[p].name;
    return NULL;
}

void fc_close(const fc_room *r)
{
    const char *name = fc_overrun(r);
    if (name) {
        fprintf(stderr, "fastconv: scratch is written behind its part '%s'\n", name);
        abort();
    }
}
#endif
