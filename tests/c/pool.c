/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks of the pool of threads, and of scratch memory. */
#include "check.h"

typedef struct {
    int threads, chunks, depth, runs[40]; /* runs: not atomic, the pool has to order chunks and caller */
    atomic_int taken[5], wrong;           /* taken: slots in use */
} crowd;

static int crowd_fails(int threads, int chunks, int depth);

static void visit(void *context, ptrdiff_t chunk, int slot)
{
    crowd *c = context;
    if (chunk < 0 || chunk >= c->chunks || slot < 0 || slot >= c->threads || atomic_exchange(&c->taken[slot], 1)) {
        atomic_fetch_add(&c->wrong, 1);
        return;
    }
    if (slot > 0 && chunk == c->chunks - 1)
        usleep(200); /* the caller runs out of chunks, and has to wait for this one */
    c->runs[chunk]++;
    if (c->depth > 0)
        atomic_fetch_add(&c->wrong, crowd_fails(c->threads, 7, c->depth - 1));
    atomic_store(&c->taken[slot], 0);
}

static int crowd_fails(int threads, int chunks, int depth)
{
    crowd c = {.threads = threads, .chunks = chunks, .depth = depth};
    fc_pool_run(threads, chunks, visit, &c);
    int wrong = c.wrong;
    EACH(i, chunks) wrong += c.runs[i] != 1;
    return wrong;
}

static void *caller(void *fails)
{
    for (int round = 0; round < 50; round++)
        *(int *)fails += crowd_fails(1 + round % 5, 40, round % 2);
    return NULL;
}

/* Three threads in their chunks at once, however few CPUs there are; and a chunk that a fourth one would take */
typedef struct {
    atomic_int here, taken[3], wrong;
} meeting;

static void meet(void *context, ptrdiff_t chunk, int slot)
{
    meeting *m = context;
    (void)chunk;
    if (slot < 0 || slot >= 3 || atomic_exchange(&m->taken[slot], 1))
        atomic_fetch_add(&m->wrong, 1);
    atomic_fetch_add(&m->here, 1);
    while (atomic_load(&m->here) < 3)
        usleep(100);
    usleep(20000);
    if (slot >= 0 && slot < 3)
        atomic_store(&m->taken[slot], 0);
}

/* Giving up: a program that wants it, once asked */
static int asked;
static int wants_an_end(void) { return ++asked > 1; }

static void wait_a_little(void *context, ptrdiff_t chunk, int slot)
{
    (void)chunk, (void)slot;
    usleep(5000);
    atomic_fetch_add((atomic_int *)context, 1);
}

static void check_giving_up(int threads)
{
    enum { CHUNKS = 1000, ALL = 40 };
    atomic_int done = 0, more = 0, again = 0;
    asked = 0;
    fc_listen(wants_an_end);
    fc_pool_run(threads, CHUNKS, wait_a_little, &done);
    fc_pool_run(threads, ALL, wait_a_little, &more);
    const int gave_up = fc_gave_up();
    fc_listen(NULL);
    fc_pool_run(threads, ALL, wait_a_little, &again);
    say_case("a call on %d threads that is given up", threads);
    verdict(gave_up && done > 0 && done < CHUNKS ? "" : "it goes on, or is not told of");
    verdict(more == 0 ? "" : "its next job is run");
    verdict(again == ALL && !fc_gave_up() ? "" : "the next call is given up, too");
}

void check_pool(void)
{
    static const char wrong[] = "a chunk ran twice or never, or two at once in one slot";
    for (int threads = 1; threads <= 5; threads++)
        for (int chunks = 0; chunks <= 40; chunks++)
            for (int depth = 0; depth <= 2; depth++) {
                say_case("threads %d, chunks %d, nested %d deep", threads, chunks, depth);
                verdict(crowd_fails(threads, chunks, depth) ? wrong : "");
            }
    meeting m = {0};
    fc_pool_run(3, 4, meet, &m);
    say_case("three threads at once");
    verdict(m.wrong ? "two of them in one slot, or a fourth one" : "");
    pthread_t other[3];
    int fails[3] = {0};
    say_case("callers at once: 3");
    EACH(i, 3) if (pthread_create(&other[i], NULL, caller, &fails[i]) != 0) abort();
    EACH(i, 3) pthread_join(other[i], NULL);
    verdict(fails[0] + fails[1] + fails[2] ? wrong : "");
    check_giving_up(1);
    check_giving_up(3);
}

void check_rooms(void)
{
    const ptrdiff_t most = PTRDIFF_MAX, sizes[][3] = {{0, 8, 0}, {3, 8, 24}, {most / 8, 8, most / 8 * 8}, {most / 8 + 1, 8, most},
                                                      {most, 2, most}, {most, most, most}, {most, 1, most}};
    unit = "rooms";
    EACH(i, (ptrdiff_t)(sizeof sizes / sizeof *sizes)) {
        say_case("%td elements of %td bytes", sizes[i][0], sizes[i][1]);
        verdict(times(sizes[i][0], sizes[i][1]) == sizes[i][2] ? "" : "wrong product");
        fc_room r = {0};
        EACH(part, 3) fc_part(&r, "part", sizes[i][0], sizes[i][1]);
        int fits = sizes[i][2] < 100;
        void *block = fc_alloc(1, (size_t)r.bytes);
        verdict((block != NULL) == fits ? "" : "memory of a size that does not fit, or none of one that does");
        fc_free(block);
    }
    say_case("a size that wraps to 8 bytes");
    void *wrapped = fc_alloc(SIZE_MAX / 8 + 2, 8);
    verdict(wrapped ? "memory for it" : "");
    fc_free(wrapped);
    say_case("sums of sizes");
    verdict(plus(most, 1) == most && plus(most, most) == most && plus(2, 3) == 5 ? "" : "wrong sum");
#ifdef FASTCONV_CANARIES
    enum { PARTS = 3, BYTES = 3 * (LINE + FC_CANARY) };
    static _Alignas(LINE) char block[BYTES];
    EACH(written, 2 * PARTS) EACH(count, LINE + 1) {
        const char *name[] = {"first", "second", "third"};
        char *part[PARTS];
        fc_room r = {.block = block};
        EACH(p, PARTS) part[p] = fc_part(&r, name[p], count, 1);
        ptrdiff_t beyond = written % 2; /* one byte */
        memset(part[written / 2], 1, (size_t)(count + beyond));
        const char *found = fc_overrun(&r), *expected = beyond ? name[written / 2] : NULL;
        say_case("parts of %td bytes, written %td bytes beyond part %td", count, beyond, written / 2);
        verdict(found == expected ? "" : "a canary that says nothing, or without reason");
    }
#endif
}
