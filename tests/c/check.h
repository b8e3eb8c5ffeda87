/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Words for checks of the C core by itself, without Python. main.c runs them:  check [seed [part of a unit's name [cases, at least]]]
 *
 *   corr_f32 ...     every kernel of the lists in kernels.h, in every table this CPU can run, against a plain loop
 *   fftcorr_f32 ...  correlation by FFT, for one, two and three axes, one tile and two
 *   driver_f32 ...   the driver, for random axes, boundaries, methods, stored types, memory layouts, on one
 *                    thread and on three
 *   combined_f32 ... norms of two sums, and results side by side, likewise
 *   each_f32 ...     elements with kernels of their own, beside each by itself
 *   conv_driver ...  convolution layers, likewise
 *   batch_driver ... small planes of a batch, whatever scratch holds
 *   gradients ...    of their input and of their weights, likewise
 *   dots_driver      layers of small numbers, likewise
 *   folds ...        columns of windows, and columns added back
 *   match_driver     template matching, for random geometry, measures, weights, on one thread and on three
 *   rooms            parts of scratch, sizes that do not fit, and canaries (in builds that have them)
 *   cpu              what the CPU has
 *   pool             every chunk runs exactly once, for nested and concurrent callers too
 *
 * A result must have the bits of the loop that sums in the documented order (a ascending, b ascending,
 * from zero; fma where the table says so; integers wrap). A float must also lie within n * u * sum |x||k| of a
 * wider sum. Half of the data are small integers, whose sums are exact: no order and no rounding to argue about.
 *
 * Memory is laid out to catch stray access:
 *
 *      PROT_NONE | ############ x x # x | PROT_NONE     arrays end at a guard page, or begin at one:
 *      PROT_NONE | x x # x ############ | PROT_NONE     a step past them is a crash, which is reported
 *      PROT_NONE | ##### out # out #### | PROT_NONE     #: poison, also between rows; a NaN that must
 *                                                       neither change nor get into a result
 * A kernel added to the list without a check_<op> does not link.
 */
#ifndef FC_CHECK_H
#define FC_CHECK_H
#define _GNU_SOURCE
#include "common/strides.h"
#include <complex.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef _WIN32
#define SIGBUS SIGSEGV
#define SIGALRM SIGABRT
#define alarm(seconds) ((void)(seconds)) /* there is none: a kernel that does not return hangs */
#else
#include <sys/mman.h>
#endif

enum { AREA = 1 << 17 /* bytes; a multiple of any page size */, POISON = 0xFF };
enum { TIMEOUT = 60 };                      /* seconds in which something is checked, even under emulation */
enum { PLANES = 5, TALL = 64, WIDE = 320 }; /* no array here is larger */
#ifndef FC_SHARE /* of random calls, as builds that are slow make */
#define FC_SHARE 1
#endif
#define TRIALS(n) ((n) / FC_SHARE)
#define EACH(i, n) for (ptrdiff_t i = 0; i < (n); i++)

typedef double grid[PLANES][TALL][WIDE];
/* The sum that an output element should be; n * u * mass bounds the error of any order. */
typedef struct {
    double sum;
    uint64_t wrapped;
    long double wide, mass;
    int n;
} cell;
typedef struct {
    char *p;
    ptrdiff_t plane, row, col; /* bytes */
} view;
enum { ADJACENT, MIRRORED, SKEWED, LAYOUTS }; /* SKEWED: by no multiple of the element size */

/* check.c */
extern const fc_kernels *table;   /* what is being checked: in this table, */
extern const char *unit; /* this kernel or driver, */
extern int type;                  /* with elements of this type, */
extern ptrdiff_t size;            /* of this size, */
extern long passed, failed;
__attribute__((format(printf, 1, 2))) void say_case(const char *format, ...);
__attribute__((format(printf, 1, 2))) void say_more(const char *format, ...);
void verdict(const char *wrong); /* "": all is well */
void stopped(int signal); /* in a kernel or driver, not within stdio */
extern uint64_t seed;
uint64_t random64(void); /* splitmix64 */
/* guided.c, in builds that are guided: what a case takes for a number that it has drawn; and the end of a case, and of all */
#ifdef FC_GUIDED
uint64_t guided(uint64_t drawn);
void guide(void);
void tell_guided(void);
#else
static inline uint64_t guided(uint64_t drawn) { return drawn; }
static inline void guide(void) {}
static inline void tell_guided(void) {}
#endif
ptrdiff_t up_to(ptrdiff_t n); /* 1 ... n */
int is_float(int t);
void put(char *p, double value, int t);
double get(const char *p, int t);
extern grid x, k;
void randomize(int small, int x_type);
extern cell want[PLANES][TALL][WIDE];
void add_product(cell *c, double a, double b);
extern char *areas[6], *source[2], *dest; /* the latter are the first of the former */
char *guarded_area(void);
char *place(int area, ptrdiff_t bytes); /* at either end, amid poison */
char *element(view v, ptrdiff_t n, ptrdiff_t i, ptrdiff_t j);
view lay_as(int stored, char *area, int layout, ptrdiff_t planes, ptrdiff_t rows, ptrdiff_t cols, const grid from);
view lay(char *area, int layout, ptrdiff_t planes, ptrdiff_t rows, ptrdiff_t cols, const grid from);
void verify_as(int out_type, view out, ptrdiff_t planes, ptrdiff_t rows, ptrdiff_t cols);
void verify(view out, ptrdiff_t planes, ptrdiff_t rows, ptrdiff_t cols);

/* sliding.c, shorts.c, rows.c, boxes.c, finish.c, dots.c, missing.c, lanes.c, fft.c, match.c, winograd.c: one check for each kernel of the lists */
#define CHECK(op) void check_##op(fc_##op##_fn *op);
FC_OPS(CHECK) FC_SHORT_OPS(CHECK) FC_WINDOW_OPS(CHECK) FC_WIDE_OPS(CHECK) FC_FLOAT_OPS(CHECK)
FC_SINGLE_OPS(CHECK) FC_DOUBLE_OPS(CHECK)
#undef CHECK

/* shorts.c: of what narrows sums of 16 bits; quotients that should be, and some divisor that is exact up to `most` */
void check_quotients(fc_narrow_fn *narrow);
void divide(cell *c, unsigned divisor, int stored);
unsigned divisor_for(unsigned most);

/* rows.c, fft.c, match.c */
double rounded(double v);
void store_cast(char *p, double v, double divisor, int stored);
void check_fftcorr(void);
void check_match(void);

/* sliding.c */
cell combined(int norm, const cell *s, ptrdiff_t n);

/* drivers.c */
ptrdiff_t folded(ptrdiff_t i, ptrdiff_t n, int boundary);
void check_driver(void);
void check_each(void);
void check_combined(void);
void check_lines(void);

/* layers.c */
void check_conv(void);
void check_batch(void);
void check_gradients(void);
void check_folds(void);

/* dots.c */
void check_dots(void);

/* cpu.c, pool.c */
void check_cpu(void);
void check_pool(void);
void check_rooms(void);

#endif
