/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs the checks: of every kernel of the lists in kernels.h, in every table that this CPU can run, and of the drivers. */
#include "check.h"

static void report(const char *isa)
{
    static long before;
    printf("%s %s: %ld checks\n", isa, unit, passed + failed - before);
    before = passed + failed;
    alarm(TIMEOUT);
}

enum { f32 = FC_F32, f64 = FC_F64, i32 = FC_I32, i64 = FC_I64, i16 = FC_I16 };
#define CHECK(name, of, call) \
    if (strstr(name, only))   \
        unit = name, type = of, size = fc_stored_size(of), call, report(table->isa);
#define CHECK_KERNEL(kernel, of) CHECK(#kernel "_" #of, of, check_##kernel(table->op[of]->kernel))
#define CHECK_DOUBLE(kernel) CHECK_KERNEL(kernel, f64)
#define CHECK_SINGLE(kernel) CHECK_KERNEL(kernel, f32)
#define CHECK_FLOATS(kernel) CHECK_KERNEL(kernel, f32) CHECK_DOUBLE(kernel)
#define CHECK_WIDE(kernel) CHECK_FLOATS(kernel) CHECK_KERNEL(kernel, i32) CHECK_KERNEL(kernel, i64)
#define CHECK_SHORT(kernel) CHECK_KERNEL(kernel, i16)
#define CHECK_WINDOWS(kernel) CHECK_SHORT(kernel) CHECK_KERNEL(kernel, i32)
#define CHECK_TYPES(kernel) CHECK_WIDE(kernel) CHECK_SHORT(kernel)

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
    const char *only = argc > 2 ? argv[2] : "";
    const long least = argc > 3 ? atol(argv[3]) : 0;
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    printf("seed %llu\n", (unsigned long long)seed);
    signal(SIGSEGV, stopped);
    signal(SIGBUS, stopped);
    signal(SIGALRM, stopped);
    alarm(TIMEOUT);
    EACH(i, 6) areas[i] = guarded_area();
    source[0] = areas[0], source[1] = areas[1], dest = areas[2];
    check_rooms();
    report("the");
    unit = "cpu";
    check_cpu();
    report("the");
    unit = "pool";
    check_pool();
    report("the");
    for (int i = 0; (table = fc_isa(i)) || (i > 0 && passed + failed < least); i++) {
        if (!table)
            table = fc_isa(i = 0);
        fc_use(table);
        FC_OPS(CHECK_TYPES) FC_SHORT_OPS(CHECK_SHORT) FC_WINDOW_OPS(CHECK_WINDOWS) FC_WIDE_OPS(CHECK_WIDE) CHECK_SHORT(narrow) FC_FLOAT_OPS(CHECK_FLOATS)
        FC_SINGLE_OPS(CHECK_SINGLE) FC_DOUBLE_OPS(CHECK_DOUBLE)
        CHECK("fftcorr_f32", f32, check_fftcorr())
        CHECK("fftcorr_f64", f64, check_fftcorr())
        CHECK("driver_f32", f32, check_driver())
        CHECK("driver_f64", f64, check_driver())
        CHECK("driver_i32", i32, check_driver())
        CHECK("driver_i64", i64, check_driver())
        CHECK("combined_f32", f32, check_combined())
        CHECK("combined_f64", f64, check_combined())
        CHECK("driver_i16", i16, check_driver())
        CHECK("each_f32", f32, check_each())
        CHECK("each_f64", f64, check_each())
        CHECK("each_i32", i32, check_each())
        CHECK("each_i64", i64, check_each())
        CHECK("lines_driver_f32", f32, check_lines())
        CHECK("lines_driver_f64", f64, check_lines())
        CHECK("conv_driver_f32", f32, check_conv())
        CHECK("conv_driver_f64", f64, check_conv())
        CHECK("batch_driver_f32", f32, check_batch())
        CHECK("batch_driver_f64", f64, check_batch())
        CHECK("gradients_f32", f32, check_gradients())
        CHECK("gradients_f64", f64, check_gradients())
        CHECK("dots_driver_f32", f32, check_dots())
        CHECK("folds_f32", f32, check_folds())
        CHECK("folds_f64", f64, check_folds())
        CHECK("match_driver_f32", f32, check_match())
        CHECK("match_driver_f64", f64, check_match())
    }
    tell_guided();
    printf("%ld passed, %ld failed\n", passed, failed);
    return failed > 0;
}
