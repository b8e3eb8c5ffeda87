/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Memory of large results: vectors of them do not cross lines, their pages are huge where the system has such, and what the last
 * very large array left behind is kept for the next one: a system takes as long to make new pages as a filter takes.
 *
 *      block   capacity, a line | elements of the result ... */
#include "common/platform.h"
#include "common/room.h"
#include "costs.h"
#include <stdatomic.h>
#include <string.h>

static _Atomic(char *) kept; /* a block, or NULL */

static size_t *capacity(char *block) { return (size_t *)(void *)block; }

void *fc_result_alloc(size_t bytes)
{
    char *block = bytes >= KEPT_RESULT_FROM ? atomic_exchange(&kept, NULL) : NULL;
    if (block && *capacity(block) >= bytes && *capacity(block) / 5 * 4 <= bytes) /* not much is left over */
        return block + LINE;
    fc_free(block); /* the new one will take its place */
    block = bytes < PTRDIFF_MAX - LINE ? fc_alloc(bytes + LINE, 1) : NULL;
    if (!block)
        return NULL;
    *capacity(block) = bytes;
    return block + LINE;
}

void fc_result_free(void *result)
{
    char *block = result ? (char *)result - LINE : NULL;
    if (block && *capacity(block) >= KEPT_RESULT_FROM && *capacity(block) <= KEPT_RESULT_BYTES)
        block = atomic_exchange(&kept, block);
    fc_free(block);
}

void *fc_result_realloc(void *result, size_t bytes)
{
    char *to = fc_result_alloc(bytes);
    if (to && result) {
        const size_t before = *capacity((char *)result - LINE);
        memcpy(to, result, before < bytes ? before : bytes);
        fc_result_free(result);
    }
    return to;
}

void fc_results_forget(void) { fc_free(atomic_exchange(&kept, NULL)); }
