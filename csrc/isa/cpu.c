/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What this CPU has, by cpuid and xgetbv. (Not by __builtin_cpu_supports: it needs a runtime library, and that of some compilers
 * answers no to everything.) */
#include "isa/cpu.h"
#include <string.h>

#if defined __x86_64__
#include <cpuid.h>
#include <stdatomic.h>

enum { EAX, EBX, ECX, EDX };
enum { NONE = 0, YMM = 0x06, ZMM = 0xe6, TILES = 0x60000 }; /* bits of XCR0: registers that the system saves */

static const struct {
    const char *name; /* as compilers call it */
    unsigned leaf, subleaf, word, bit, saved;
} features[] = {
    {"fma", 1, 0, ECX, 12, YMM},        {"f16c", 1, 0, ECX, 29, YMM},       {"avx2", 7, 0, EBX, 5, YMM},
    {"bmi2", 7, 0, EBX, 8, NONE},       {"avx512f", 7, 0, EBX, 16, ZMM},    {"avx512dq", 7, 0, EBX, 17, ZMM},
    {"avx512bw", 7, 0, EBX, 30, ZMM},   {"avx512vl", 7, 0, EBX, 31, ZMM},   {"avx512vnni", 7, 0, ECX, 11, ZMM},
    {"avx512fp16", 7, 0, EDX, 23, ZMM}, {"avx512bf16", 7, 1, EAX, 5, ZMM},  {"avxvnni", 7, 1, EAX, 4, YMM},
    {"amx-bf16", 7, 0, EDX, 22, TILES}, {"amx-tile", 7, 0, EDX, 24, TILES}, {"amx-int8", 7, 0, EDX, 25, TILES},
    {"prfchw", 1, 0, EDX, 0, NONE}, /* the bit of the FPU, which all have: to a CPU without prefetchw it is no operation */
};

enum { FEATURES = sizeof features / sizeof *features };

/* Registers that the system saves from thread to thread. Instructions fault on others. */
static unsigned saved_registers(void)
{
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return NONE;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
#ifdef __APPLE__ /* which saves those of 512 bits once a thread has used them, and does not say so before */
    low |= (low & YMM) == YMM ? ZMM : NONE;
#endif
    return low;
}

static int has(unsigned saved, int feature)
{
    unsigned word[4];
    return __get_cpuid_count(features[feature].leaf, features[feature].subleaf, &word[EAX], &word[EBX], &word[ECX],
                             &word[EDX]) &&
           (word[features[feature].word] >> features[feature].bit & 1) &&
           (saved & features[feature].saved) == features[feature].saved;
}

/* A bit for each of them. To ask a CPU takes as long as a small call, and longer on a virtual machine, so it is asked once. */
static unsigned known_features(void)
{
    static atomic_uint known; /* and a bit more */
    unsigned found = atomic_load_explicit(&known, memory_order_relaxed);
    if (found == 0) {
        const unsigned saved = saved_registers();
        for (int i = 0; i < FEATURES; i++)
            found |= (unsigned)has(saved, i) << i;
        atomic_store_explicit(&known, found |= 1u << FEATURES, memory_order_relaxed);
    }
    return found;
}

int fc_cpu_has(const char *names)
{
    const unsigned known = known_features();
    for (size_t length; *names; names += length + (names[length] == ',')) {
        length = strcspn(names, ",");
        int i = 0;
        while (i < FEATURES && !(strlen(features[i].name) == length && memcmp(features[i].name, names, length) == 0))
            i++;
        if (i == FEATURES || !(known >> i & 1)) /* it is not in the table, or not in the CPU */
            return 0;
    }
    return 1;
}

#else
int fc_cpu_has(const char *names) { return *names == 0; }
#endif
