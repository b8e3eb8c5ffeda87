/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random cases that are led by what they reach (tests/guided.py builds it so): FC_GUIDED alone has it.
 *
 * The numbers that a case draws are a tape. Where a case has reached a block, or has brought two numbers that are compared closer
 * together, as no case before, its tape is kept; half of the cases that follow begin with one that was kept, of which a few numbers are
 * drawn anew: of some, that which was taken least, so that what is new is followed up first. A case ends with its verdict. gcc calls the
 * functions below from each block and comparison of csrc/.
 */
#include "check.h"
#ifdef FC_GUIDED

enum { DRAWN = 96, KEPT = 1 << 13, FEATURES = 1 << 20 };
typedef struct {
    const char *of; /* the unit; how often it was taken; and its length: */
    long taken;
    int n;
    uint64_t drawn[DRAWN];
} tape;
static tape kept[KEPT], now;
static int used; /* numbers of `now` that are not to be drawn */
static long tapes, reached;
static unsigned char before[FEATURES], seen[FEATURES];
static uint32_t fresh[1 << 16]; /* features that were not seen before this case, at most so many */
static atomic_int found;
#define UNGUIDED __attribute__((no_sanitize_coverage, no_sanitize("address", "undefined")))

UNGUIDED static void feature(uintptr_t at)
{
    const uint32_t i = (uint32_t)(at * 0x9E3779B97F4A7C15u >> 44);
    if (!seen[i] && !before[i]) {
        seen[i] = 1;
        const int n = atomic_fetch_add(&found, 1);
        if (n < 1 << 16)
            fresh[n] = i;
    }
}
UNGUIDED void __sanitizer_cov_trace_pc(void) { feature((uintptr_t)__builtin_return_address(0)); }
/* How many bits differ, and whether the one or the other is larger */
UNGUIDED static void compared(uintptr_t pc, uint64_t a, uint64_t b)
{
    feature(pc * 131 + (uintptr_t)__builtin_popcountll(a ^ b) * 2 + (a < b) + 1);
}
#define COMPARED(name, T)                                                                                    \
    UNGUIDED void __sanitizer_cov_trace_##name(T a, T b) { compared((uintptr_t)__builtin_return_address(0), a, b); }
COMPARED(cmp1, uint8_t) COMPARED(cmp2, uint16_t) COMPARED(cmp4, uint32_t) COMPARED(cmp8, uint64_t)
COMPARED(const_cmp1, uint8_t) COMPARED(const_cmp2, uint16_t) COMPARED(const_cmp4, uint32_t) COMPARED(const_cmp8, uint64_t)
UNGUIDED void __sanitizer_cov_trace_cmpf(float a, float b) { (void)a, (void)b; }
UNGUIDED void __sanitizer_cov_trace_cmpd(double a, double b) { (void)a, (void)b; }
UNGUIDED void __sanitizer_cov_trace_switch(uint64_t value, void *cases) { (void)value, (void)cases; }

uint64_t guided(uint64_t drawn)
{
    if (now.n >= DRAWN)
        return drawn;
    if (now.n >= used)
        now.drawn[now.n] = drawn;
    return now.drawn[now.n++];
}

static uint64_t own; /* what is drawn here is no part of a tape */
static uint64_t draw(uint64_t n)
{
    own = own * 6364136223846793005u + 1442695040888963407u;
    return (own >> 33) % n;
}

void guide(void)
{
    const int n = min((int)found, 1 << 16);
    EACH(i, n) before[fresh[i]] = 1, seen[fresh[i]] = 0;
    reached += n, found = 0;
    if (n > 0 && now.n > 0) {
        now.of = unit, now.taken = 0;
        kept[tapes++ % KEPT] = now;
    }
    now.n = used = 0;
    tape *least = NULL;
    for (int i = tapes > 0 && draw(2) ? 32 : 0; i > 0; i--) {
        tape *const t = &kept[draw((uint64_t)min(tapes, KEPT))];
        if (strcmp(t->of, unit) == 0 && (!least || t->taken < least->taken))
            least = t;
    }
    if (!least)
        return;
    least->taken++;
    now = *least, used = now.n, now.n = 0;
    for (uint64_t some = draw(3) + 1; some > 0 && used > 0; some--)
        now.drawn[draw((uint64_t)used)] = draw(2) ? draw(400) : own * own;
}

void tell_guided(void) { printf("%ld tapes were kept, %ld blocks and comparisons reached\n", tapes, reached); }
#endif
