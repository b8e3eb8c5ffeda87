/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What this CPU has, by cpuid and xgetbv. (Not by __builtin_cpu_supports: it needs a runtime library, and that of some compilers
 * answers no to everything.) */
#include "isa/cpu.h"
#include <string.h>

#if defined __x86_64__
#include <cpuid.h>

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

static int has(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof features / sizeof *features; i++)
        if (strlen(features[i].name) == length && memcmp(features[i].name, name, length) == 0) {
            unsigned word[4];
            return __get_cpuid_count(features[i].leaf, features[i].subleaf, &word[EAX], &word[EBX], &word[ECX], &word[EDX]) &&
                   (word[features[i].word] >> features[i].bit & 1) &&
                   (saved_registers() & features[i].saved) == features[i].saved;
        }
    return 0; /* it is not in the table */
}

int fc_cpu_has(const char *names)
{
    for (size_t length; *names; names += length + (names[length] == ',')) {
        length = strcspn(names, ",");
        if (!has(names, length))
            return 0;
    }
    return 1;
}

#else
int fc_cpu_has(const char *names) { return *names == 0; }
#endif
