/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks of what the CPU is said to have: against the library of the compiler, where that can be relied on. */
#include "check.h"
#include "isa/cpu.h"

#if defined __x86_64__ && defined __GNUC__ && __GNUC__ >= 12 && !defined __clang__
#define EACH_FEATURE(X)                                                                                            \
    X("fma") X("f16c") X("avx2") X("bmi2") X("avx512f") X("avx512dq") X("avx512bw") X("avx512vl") X("avx512vnni") \
    X("avx512fp16") X("avx512bf16") X("avxvnni") X("amx-bf16") X("amx-tile") X("amx-int8")

static void check_feature(const char *name, int has)
{
    say_case("%s", name);
    verdict(fc_cpu_has(name) == has ? "" : "the compiler's library says something else");
}
#define CHECK_FEATURE(name) check_feature(name, __builtin_cpu_supports(name) != 0);
#else
#define EACH_FEATURE(X)
#endif

void check_cpu(void)
{
    EACH_FEATURE(CHECK_FEATURE)
#ifdef __x86_64__
    static const struct {
        const char *names;
        int has;
    } list[] = {{"", 1}, {"prfchw", 1}, {"prfchw,prfchw", 1}, {"unknown", 0}, {"prfchw,unknown", 0}, {"unknown,prfchw", 0},
                {"prfch", 0}, {"prfchwx", 0}};
    EACH(i, (ptrdiff_t)(sizeof list / sizeof *list)) {
        say_case("\"%s\"", list[i].names);
        verdict(fc_cpu_has(list[i].names) == list[i].has ? "" : "a list that is read wrong");
    }
#endif
}
