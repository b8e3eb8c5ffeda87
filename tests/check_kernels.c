/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checks the C core by itself, without Python:  check_kernels [seed [part of a unit's name]]
 *
 *   corr_f32 ...     every entry of FC_KERNEL_LIST, in every table this CPU can run, against a plain loop
 *   corr2d_f32 ...   the driver, for every boundary, method, memory layout, on one thread and on three
 *   pool             every chunk runs exactly once, for nested and concurrent callers too
 *
 * A result must have the bits of the loop that sums in the documented order (a ascending, b ascending,
 * from zero; fma where the table says so). It must also lie within n * u * sum |x||k| of a wider sum.
 * Half of the data are small integers, whose sums are exact: no order and no rounding to argue about.
 *
 * Memory is laid out to catch stray access:
 *
 *      PROT_NONE | ############ x x # x | PROT_NONE     arrays end at a guard page, or begin at one:
 *      PROT_NONE | x x # x ############ | PROT_NONE     a step past them is a crash, which is reported
 *      PROT_NONE | ##### out # out #### | PROT_NONE     #: poison, also between rows; a NaN that must
 *                                                       neither change nor get into a result
 * A kernel added to the list without a check_<op> here does not compile.
 */
#define _GNU_SOURCE
#include "fastconv.h"
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { AREA = 1 << 16 /* bytes; a multiple of any page size */, POISON = 0xFF };
enum { TIMEOUT = 60 };                      /* seconds for one kernel, even under emulation */
enum { PLANES = 2, ROWS = 64, COLS = 320 }; /* no array here is larger */
enum { f32 = sizeof(float), f64 = sizeof(double) };
#define EACH(i, n) for (ptrdiff_t i = 0; i < (n); i++)

static const fc_kernels *table;   /* what is being checked: in this table, */
static const char *unit = "pool"; /* this kernel or driver, */
static ptrdiff_t size;            /* with elements of this size, */
static char what[200];            /* in this case */
static long passed, failed;

/* ---- words ------------------------------------------------------------------------------------ */

__attribute__((format(printf, 1, 2))) static void say_case(const char *format, ...)
{
    int n = snprintf(what, sizeof what, "%s %s ", table ? table->isa : "the", unit);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what + n, sizeof what - (size_t)n, format, arguments);
    va_end(arguments);
}

static void verdict(const char *wrong) /* "": all is well */
{
    if (!*wrong)
        passed++;
    else if (failed++ < 20)
        printf("FAIL %s: %s\n", what, wrong);
}

static void stopped(int signal) /* in a kernel or driver, not within stdio */
{
    printf("FAIL %s: %s\n", what, signal == SIGALRM ? "does not return" : "touched memory outside its arrays");
    _exit(1);
}

/* ---- data ------------------------------------------------------------------------------------- */

static uint64_t seed;

static uint64_t random64(void) /* splitmix64 */
{
    uint64_t z = seed += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}
static ptrdiff_t up_to(ptrdiff_t n) /* 1 ... n */
{
    return 1 + (ptrdiff_t)(random64() % (uint64_t)n);
}

static void put(char *p, double value)
{
    float narrow = (float)value;
    memcpy(p, size == f32 ? (void *)&narrow : (void *)&value, (size_t)size);
}
static double get(const char *p)
{
    float narrow;
    double value;
    memcpy(size == f32 ? (void *)&narrow : (void *)&value, p, (size_t)size);
    return size == f32 ? (double)narrow : value;
}

typedef double grid[PLANES][ROWS][COLS];
static grid x, k;

static void randomize(int integers) /* integers: sums of 17 x 17 products stay below 2^24 */
{
    char rounded[f64];
    EACH(n, PLANES) EACH(i, ROWS) EACH(j, COLS) EACH(which, 2) {
        put(rounded, integers ? (double)(random64() % 17) - 8 : (double)(int64_t)random64() * 0x1p-63);
        (which ? k : x)[n][i][j] = get(rounded);
    }
}

/* The sum that an output element should be; n * u * mass bounds the error of any order. */
typedef struct {
    double sum;
    long double wide, mass;
    int n;
} cell;
static cell want[PLANES][ROWS][COLS];

static void add_product(cell *c, double a, double b)
{
    if (size == f32)
        c->sum = table->fma ? fmaf((float)a, (float)b, (float)c->sum) : (float)a * (float)b + (float)c->sum;
    else
        c->sum = table->fma ? fma(a, b, c->sum) : a * b + c->sum;
    c->wide += (long double)a * b;
    c->mass += fabsl((long double)a * b);
    c->n++;
}

/* ---- memory ----------------------------------------------------------------------------------- */

static char *source[2], *dest;

static char *guarded_area(void)
{
    char *p = mmap(NULL, 3 * AREA, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + AREA, AREA, PROT_READ | PROT_WRITE) != 0) {
        perror("mmap");
        exit(2);
    }
    return p + AREA;
}

typedef struct {
    char *p;
    ptrdiff_t plane, row, col; /* bytes */
} view;
enum { ADJACENT, MIRRORED, APART, LAYOUTS }; /* APART: by no multiple of the element size */

static char *element(view v, ptrdiff_t n, ptrdiff_t i, ptrdiff_t j)
{
    return v.p + n * v.plane + i * v.row + j * v.col;
}

/* An array amid poison, at either end of its area; dest (from == NULL) may be in the middle, too. */
static view lay(char *area, int layout, ptrdiff_t planes, ptrdiff_t rows, ptrdiff_t cols, const grid from)
{
    view v = {area, 0, 0, layout == APART ? 2 * size + 1 : size};
    v.row = cols * v.col + (up_to(4) - 1) * size;
    v.plane = rows * v.row + (up_to(4) - 1) * size;
    ptrdiff_t free = AREA - (element(v, planes - 1, rows - 1, cols - 1) + size - v.p);
    if (free < 4096)
        abort(); /* AREA is too small */
    ptrdiff_t where = up_to(from ? 2 : 3);
    v.p += where == 1 ? 0 : where == 2 ? free : free / 2 / size * size + up_to(16) * size;
    memset(area, POISON, AREA);
    if (layout == MIRRORED) {
        v.p = element(v, 0, rows - 1, cols - 1);
        v.row = -v.row;
        v.col = -v.col;
    }
    if (from)
        EACH(n, planes) EACH(i, rows) EACH(j, cols) put(element(v, n, i, j), from[n][i][j]);
    return v;
}

/* dest holds `want` in out, and poison everywhere else. */
static void verify(view out, ptrdiff_t planes, ptrdiff_t rows, ptrdiff_t cols)
{
    static char image[AREA]; /* what dest should look like */
    char wrong[200] = "";
    memset(image, POISON, AREA);
    EACH(n, planes) EACH(i, rows) EACH(j, cols) {
        const cell *c = &want[n][i][j];
        char *p = element(out, n, i, j), *should = image + (p - dest);
        double got = get(p);
        /* n + 1: room for the bound's second order and for the rounding of the wide sum */
        long double bound = (c->n + 1) * (size == f32 ? 0x1p-24L : 0x1p-53L) * c->mass;
        long double error = fabsl(got - c->wide);
        put(should, c->sum);
        if (!*wrong && (memcmp(p, should, (size_t)size) != 0 || error > bound))
            snprintf(wrong, sizeof wrong, "out[%td][%td][%td] is %.17g, not %.17g: off by %Lg, bound %Lg", n, i, j,
                     got, c->sum, error, bound);
    }
    if (!*wrong && memcmp(image, dest, AREA) != 0) {
        ptrdiff_t stray = 0;
        while (image[stray] == dest[stray])
            stray++;
        snprintf(wrong, sizeof wrong, "wrote outside out, at %+td bytes from its first element (rows: %td bytes)",
                 stray - (out.p - dest), out.row);
    }
    verdict(wrong);
}

/* ---- kernels: check_<op> ----------------------------------------------------------------------- */

/* Up to one vector every width, then those next to a whole number of vectors, and a few others. */
static ptrdiff_t next_width(ptrdiff_t n, ptrdiff_t lanes)
{
    do
        n++;
    while (n > lanes + 1 && (n + 1) % lanes > 2 && up_to(8) > 1);
    return n;
}

static void check_corr(fc_corr_fn *corr)
{
    ptrdiff_t lanes = table->vector_bytes / size, widest = 9 * lanes + 1, tallest = 20, rows = 0;
    for (ptrdiff_t h = 1; h <= 17; h++)
        for (ptrdiff_t w = 1; w <= lanes + 1; w += w == 3 && lanes > 5 ? lanes - 4 : 1)
            EACH(integers, 2) {
                randomize(integers);
                EACH(i, tallest) EACH(j, widest) {
                    cell c = {0};
                    EACH(a, h) EACH(b, w) add_product(&c, x[0][i + a][j + b], k[0][0][b * h + a]);
                    want[0][i][j] = c;
                }
                for (ptrdiff_t cols = 1; cols <= widest; cols = next_width(cols, lanes)) {
                    rows = rows % tallest + 1;
                    view vx = lay(source[0], ADJACENT, 1, rows + h - 1, cols + w - 1, x);
                    view vk = lay(source[1], ADJACENT, 1, 1, h * w, k);
                    view out = lay(dest, ADJACENT, 1, rows, cols, NULL);
                    say_case("h %td, w %td, rows %td, cols %td", h, w, rows, cols);
                    corr(vx.p, vx.row / size, vk.p, h, w, out.p, out.row / size, rows, cols);
                    verify(out, 1, rows, cols);
                }
            }
}

static void check_gemm(fc_gemm_fn *gemm)
{
    ptrdiff_t lanes = table->vector_bytes / size, widest = 9 * lanes + 1, tallest = 17;
    for (ptrdiff_t depth = 1; depth <= 9; depth++)
        EACH(integers, 2) {
            randomize(integers);
            EACH(m, tallest) EACH(n, widest) {
                cell c = {0};
                EACH(p, depth) add_product(&c, k[0][m][p], x[0][p][n]);
                want[0][m][n] = c;
            }
            for (ptrdiff_t rows = 1; rows <= tallest; rows++)
                for (ptrdiff_t cols = 1; cols <= widest; cols = next_width(cols, lanes)) {
                    view a = lay(source[0], ADJACENT, 1, rows, depth, k);
                    view b = lay(source[1], ADJACENT, 1, depth, cols, x);
                    view c = lay(dest, ADJACENT, 1, rows, cols, NULL);
                    say_case("rows %td, cols %td, depth %td", rows, cols, depth);
                    gemm(a.p, a.row / size, b.p, b.row / size, c.p, c.row / size, rows, cols, depth);
                    verify(c, 1, rows, cols);
                }
        }
}

static void check_peak(fc_peak_fn *peak)
{
    say_case("1 and 1000 rounds");
    double one = peak(1);
    verdict(one > 0 && peak(1000) == 1000 * one ? "" : "the count of operations is no multiple of the rounds");
}

/* ---- drivers ----------------------------------------------------------------------------------- */

/* The index that i stands for in an axis of n elements, folded step by step; -1: the fill value. */
static ptrdiff_t folded(ptrdiff_t i, ptrdiff_t n, int boundary)
{
    while (i < 0 || i >= n) {
        if (boundary == FC_CONSTANT)
            return -1;
        else if (boundary == FC_EDGE || n == 1)
            i = i < 0 ? 0 : n - 1;
        else if (boundary == FC_WRAP)
            i = i < 0 ? i + n : i - n;
        else if (boundary == FC_SYMMETRIC)
            i = i < 0 ? -1 - i : 2 * n - 1 - i;
        else
            i = i < 0 ? -i : 2 * (n - 1) - i;
    }
    return i;
}

static cell window(const fc_corr2d *g, ptrdiff_t n, ptrdiff_t i, ptrdiff_t j)
{
    cell c = {0};
    EACH(a, g->h) EACH(b, g->w) {
        ptrdiff_t r = folded(i - g->top + a, g->H, g->boundary), q = folded(j - g->left + b, g->W, g->boundary);
        add_product(&c, r < 0 || q < 0 ? g->fill : x[n][r][q], k[0][a][b]);
    }
    return c;
}

static void check_corr2d(void)
{
    fc_tune(8, 0); /* bands of 8 rows, threads however short the call */
    for (int trial = 0; trial < 270; trial++) {
        int layout = trial / 5 % LAYOUTS, out_layout = trial / 5 / LAYOUTS % LAYOUTS;
        fc_corr2d g = {.type = size == f32 ? FC_F32 : FC_F64, .boundary = trial % 5, .fill = 0.75};
        g.planes = up_to(PLANES), g.H = up_to(24), g.W = up_to(40), g.h = up_to(9), g.w = up_to(9);
        g.OH = up_to(28), g.OW = up_to(48), g.top = up_to(12) - 1, g.left = up_to(12) - 1;
        randomize(trial % 2);
        EACH(n, g.planes) EACH(i, g.OH) EACH(j, g.OW) want[n][i][j] = window(&g, n, i, j);
        view vx = lay(source[0], layout, g.planes, g.H, g.W, x), vk = lay(source[1], layout, 1, g.h, g.w, k);
        g.x = vx.p, g.x_plane = vx.plane, g.x_row = vx.row, g.x_col = vx.col;
        g.k = vk.p, g.k_row = vk.row, g.k_col = vk.col;
        for (g.method = FC_DIRECT; g.method <= FC_IM2COL; g.method++)
            for (g.threads = 1; g.threads <= 3; g.threads += 2) {
                view out = lay(dest, out_layout, g.planes, g.OH, g.OW, NULL);
                g.out = out.p, g.out_plane = out.plane, g.out_row = out.row, g.out_col = out.col;
                say_case("boundary %d, method %d, threads %d, layouts %d to %d, x %tdx%tdx%td, k %tdx%td, out %tdx%td "
                         "from -%td, -%td", g.boundary, g.method, g.threads, layout, out_layout, g.planes, g.H, g.W,
                         g.h, g.w, g.OH, g.OW, g.top, g.left);
                if (fc_corr2d_run(&g) == 0)
                    verify(out, g.planes, g.OH, g.OW);
                else
                    verdict("memory is short");
            }
    }
    fc_tune(FC_BAND_ROWS, FC_THREADS_FROM_US);
}

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

static void check_pool(void)
{
    static const char wrong[] = "a chunk ran twice or never, or two at once in one slot";
    for (int threads = 1; threads <= 5; threads++)
        for (int chunks = 0; chunks <= 40; chunks++)
            for (int depth = 0; depth <= 2; depth++) {
                say_case("threads %d, chunks %d, nested %d deep", threads, chunks, depth);
                verdict(crowd_fails(threads, chunks, depth) ? wrong : "");
            }
    pthread_t other[3];
    int fails[3] = {0};
    say_case("callers at once: 3");
    EACH(i, 3) if (pthread_create(&other[i], NULL, caller, &fails[i]) != 0) abort();
    EACH(i, 3) pthread_join(other[i], NULL);
    verdict(fails[0] + fails[1] + fails[2] ? wrong : "");
}

/* ------------------------------------------------------------------------------------------------ */

static void report(const char *isa)
{
    static long before;
    printf("%s %s: %ld checks\n", isa, unit, passed + failed - before);
    before = passed + failed;
    alarm(TIMEOUT);
}

#define CHECK(name, type, call) \
    if (strstr(name, only))     \
        unit = name, size = type, call, report(table->isa);
#define CHECK_KERNEL(op, type) CHECK(#op "_" #type, type, check_##op(table->op##_##type))

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
    const char *only = argc > 2 ? argv[2] : "";
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    printf("seed %llu\n", (unsigned long long)seed);
    signal(SIGSEGV, stopped);
    signal(SIGBUS, stopped);
    signal(SIGALRM, stopped);
    alarm(TIMEOUT);
    source[0] = guarded_area(), source[1] = guarded_area(), dest = guarded_area();
    check_pool();
    report("the");
    for (int i = 0; (table = fc_isa(i)); i++) {
        fc_use(table);
        FC_KERNEL_LIST(CHECK_KERNEL)
        CHECK("corr2d_f32", f32, check_corr2d())
        CHECK("corr2d_f64", f64, check_corr2d())
    }
    printf("%ld passed, %ld failed\n", passed, failed);
    return failed > 0;
}
