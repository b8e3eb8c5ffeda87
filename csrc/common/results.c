/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Memory of large results: vectors of them do not cross lines, their pages are huge where the system has such, and what a very
 * large array leaves behind is kept for the next one: a system takes as long to make new pages as a filter takes.
 *
 *      block   capacity, a line | elements of the result ...          kept, the latest last:  | | | |
 *
 * Nobody waits for another thread: who finds it at work goes to the system instead. So a process forked meanwhile just keeps
 * nothing. */
#include "common/platform.h"
#include "common/room.h"
#include "costs.h"
#include <stdatomic.h>
#include <string.h>

static struct {
    atomic_flag taken;
    int blocks;
    size_t bytes; /* of all */
    char *block[KEPT_RESULTS];
} kept = {.taken = ATOMIC_FLAG_INIT};

static size_t *capacity(char *block) { return (size_t *)(void *)block; }

static char *results_take(int i)
{
    char *block = kept.block[i];
    kept.bytes -= *capacity(block);
    memmove(kept.block + i, kept.block + i + 1, (size_t)(--kept.blocks - i) * sizeof *kept.block);
    return block;
}

void *fc_result_alloc(size_t bytes)
{
    char *block = NULL;
    if (bytes >= KEPT_RESULT_FROM && !atomic_flag_test_and_set(&kept.taken)) {
        for (int i = kept.blocks - 1; i >= 0 && !block; i--) /* the latest that fits, of which not much is left over */
            if (*capacity(kept.block[i]) >= bytes && *capacity(kept.block[i]) / 5 * 4 <= bytes)
                block = results_take(i);
        atomic_flag_clear(&kept.taken);
    }
    if (block)
        return block + LINE;
    block = bytes < PTRDIFF_MAX - LINE ? fc_alloc(bytes + LINE, 1) : NULL;
    if (!block)
        return NULL;
    *capacity(block) = bytes;
    return block + LINE;
}

void fc_result_free(void *result)
{
    char *block = result ? (char *)result - LINE : NULL, *old[KEPT_RESULTS];
    int n = 0;
    if (block && *capacity(block) >= KEPT_RESULT_FROM && *capacity(block) <= KEPT_RESULTS_BYTES &&
        !atomic_flag_test_and_set(&kept.taken)) {
        while (kept.blocks == KEPT_RESULTS || kept.bytes + *capacity(block) > KEPT_RESULTS_BYTES)
            old[n++] = results_take(0);
        kept.bytes += *capacity(block);
        kept.block[kept.blocks++] = block;
        atomic_flag_clear(&kept.taken);
        block = NULL;
    }
    while (n > 0)
        fc_free(old[--n]);
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

void fc_results_forget(void)
{
    while (!atomic_flag_test_and_set(&kept.taken)) {
        char *block = kept.blocks ? results_take(kept.blocks - 1) : NULL;
        atomic_flag_clear(&kept.taken);
        if (!block)
            return;
        fc_free(block);
    }
}
