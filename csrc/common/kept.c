/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Memory that is kept for the next call, of scratch and of results: a system takes as long to make new pages as a filter takes, and a C
 * library gives back whatever begins at a huge page.
 *
 *      shelf   KEPT_BLOCKS blocks that nobody uses      block   capacity, a line | elements ...
 *
 * What is kept, and what is in use, together take no more than what was in use at a time, but for KEPT_BEYOND. So blocks of other
 * sizes make room before there is a new one.
 *
 * Who takes a block off a shelf has it alone, by one exchange. There is no lock, which a child that is forked meanwhile would find held
 * for ever.
 */
#include "common/room.h"
#include "costs.h"
#include "fastconv.h"
#include <stdatomic.h>
#include <string.h>

typedef struct {
    const size_t most;                /* bytes of all blocks */
    _Atomic size_t all;               /* those there are, */
    _Atomic size_t used, peak;        /* those in use, and the most of these so far */
    _Atomic size_t size[KEPT_BLOCKS]; /* of a block, or of one that has gone */
    _Atomic(char *) block[KEPT_BLOCKS];
    atomic_uint turn; /* which block gives way next */
} shelf;

static shelf scratch = {.most = KEPT_SCRATCH}, results = {.most = KEPT_RESULTS};

static size_t *capacity(char *block) { return (size_t *)(void *)block; }

/* Puts another block, or NULL, in the place of one, which is returned */
static char *shelf_exchange(shelf *s, int i, char *block)
{
    atomic_fetch_add(&s->all, block ? *capacity(block) : 0);
    atomic_store(&s->size[i], block ? *capacity(block) : 0);
    char *before = atomic_exchange(&s->block[i], block);
    atomic_fetch_sub(&s->all, before ? *capacity(before) : 0);
    return before;
}

/* Other blocks than number i give way until all of them take no more than so many bytes */
static void shelf_clear(shelf *s, int i, size_t most)
{
    for (int other = 0; other < KEPT_BLOCKS && atomic_load(&s->all) > most; other++)
        if (other != i)
            fc_free(shelf_exchange(s, other, NULL));
}

static void shelf_put(shelf *s, char *block)
{
    atomic_fetch_sub(&s->used, *capacity(block));
    if (*capacity(block) > s->most) {
        fc_free(block);
        return;
    }
    int i = 0;
    while (i < KEPT_BLOCKS && atomic_load(&s->block[i]))
        i++;
    if (i == KEPT_BLOCKS)
        i = (int)(atomic_fetch_add(&s->turn, 1) % KEPT_BLOCKS);
    fc_free(shelf_exchange(s, i, block));
    shelf_clear(s, i, s->most);
}

static void *shelf_use(shelf *s, char *block)
{
    const size_t used = atomic_fetch_add(&s->used, *capacity(block)) + *capacity(block);
    if (used > atomic_load(&s->peak))
        atomic_store(&s->peak, used);
    return block + LINE;
}

/* Memory for so many bytes, in a block of up to `most` of them */
static void *shelf_take(shelf *s, size_t bytes, size_t most)
{
    for (int i = 0; i < KEPT_BLOCKS && !fc_alloc_may_fail(); i++) {
        const size_t size = atomic_load(&s->size[i]);
        char *block = size >= bytes && size <= most ? shelf_exchange(s, i, NULL) : NULL;
        if (block && *capacity(block) >= bytes && *capacity(block) <= most)
            return shelf_use(s, block);
        fc_free(block); /* another one has come meanwhile */
    }
    if (bytes > PTRDIFF_MAX - LINE)
        return NULL;
    const size_t used = atomic_load(&s->used) + bytes, peak = atomic_load(&s->peak) + KEPT_BEYOND;
    shelf_clear(s, KEPT_BLOCKS, peak > used ? peak - used : 0);
    char *block = fc_alloc(bytes + LINE, 1);
    if (!block)
        return NULL;
    *capacity(block) = bytes;
    return shelf_use(s, block);
}

void *fc_borrow(size_t bytes) { return shelf_take(&scratch, bytes, SIZE_MAX); }

void fc_return(void *borrowed) { shelf_put(&scratch, (char *)borrowed - LINE); }

/* Of a block, not much is left over: the result may stay for long. */
void *fc_result_alloc(size_t bytes) { return shelf_take(&results, bytes, bytes + bytes / KEPT_SPARE); }

void fc_result_free(void *result)
{
    if (result)
        shelf_put(&results, (char *)result - LINE);
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

void fc_forget_kept(void)
{
    shelf_clear(&scratch, KEPT_BLOCKS, 0);
    shelf_clear(&results, KEPT_BLOCKS, 0);
    atomic_store(&scratch.peak, 0);
    atomic_store(&results.peak, 0);
}
