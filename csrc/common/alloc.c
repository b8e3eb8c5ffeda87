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

void *fc_alloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX - LINE)
        return NULL;
    if (atomic_load(&allocations_left) >= 0 && atomic_fetch_sub(&allocations_left, 1) <= 0) {
        atomic_store(&allocations_left, 0);
        return NULL;
    }
    bytes = (bytes + LINE) / LINE * LINE;
    return bytes < KEPT_HUGE ? fc_aligned_alloc(LINE, bytes) : fc_huge_alloc(KEPT_HUGE, bytes);
}

void fc_free(void *p) { fc_aligned_free(p); }

/* ---- kept for the next call ------------------------------------------------------------------- */

static _Atomic(char *) kept[KEPT_BLOCKS]; /* each begins with its size in bytes, which is LINE bytes */

void *fc_borrow(size_t bytes)
{
    if (bytes > SIZE_MAX - LINE)
        return NULL;
    for (int i = 0; i < KEPT_BLOCKS && atomic_load(&allocations_left) < 0; i++) {
        char *p = atomic_load(&kept[i]) ? atomic_exchange(&kept[i], NULL) : NULL;
        if (p && *(size_t *)(void *)p >= bytes)
            return p + LINE;
        fc_free(p); /* a larger one takes its place */
    }
    char *p = fc_alloc(bytes + LINE, 1);
    if (!p)
        return NULL;
    *(size_t *)(void *)p = bytes;
    return p + LINE;
}

void fc_return(void *borrowed)
{
    char *p = (char *)borrowed - LINE;
    for (int i = 0; i < KEPT_BLOCKS && *(size_t *)(void *)p <= KEPT_BYTES; i++) {
        char *none = NULL;
        if (atomic_compare_exchange_strong(&kept[i], &none, p))
            return;
    }
    fc_free(p);
}

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
