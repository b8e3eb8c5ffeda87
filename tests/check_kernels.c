/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checks the C core by itself, without Python:  check_kernels [seed [part of a unit's name]]
 *
 *   corr_f32 ...     every kernel of the lists in kernels.h, in every table this CPU can run, against a plain loop
 *   fftcorr_f32 ...  correlation by FFT, for one, two and three axes, one tile and two
 *   driver_f32 ...   the driver, for random axes, boundaries, methods, stored types, memory layouts, on one
 *                    thread and on three
 *   conv_driver ...  convolution layers, likewise
 *   gradients ...    of their input and of their weights, likewise
 *   folds ...        columns of windows, and columns added back
 *   match_driver     template matching, for random geometry, measures, weights, on one thread and on three
 *   rooms            parts of scratch, sizes that do not fit, and canaries (in builds that have them)
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
 * A kernel added to the list without a check_<op> here does not compile.
 */
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
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { AREA = 1 << 17 /* bytes; a multiple of any page size */, POISON = 0xFF };
enum { TIMEOUT = 60 };                      /* seconds for one kernel, even under emulation */
enum { PLANES = 5, TALL = 64, WIDE = 320 }; /* no array here is larger */
#define EACH(i, n) for (ptrdiff_t i = 0; i < (n); i++)

static const fc_kernels *table;   /* what is being checked: in this table, */
static const char *unit = "pool"; /* this kernel or driver, */
static int type;                  /* with elements of this type, */
static ptrdiff_t size;            /* of this size, */
static char what[400];            /* in this case */
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

__attribute__((format(printf, 1, 2))) static void say_more(const char *format, ...)
{
    size_t n = strlen(what);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what + n, sizeof what - n, format, arguments);
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

static int is_float(int t)
{
    return t == FC_F32 || t == FC_F64;
}

/* Elements hold numbers that a double holds, too. */
#define EACH_TYPE(X)                                                                                         \
    X(FC_F32, float) X(FC_F64, double) X(FC_I32, int32_t) X(FC_I64, int64_t) X(FC_U8, uint8_t) X(FC_I8, int8_t) \
    X(FC_U16, uint16_t) X(FC_I16, int16_t) X(FC_U32, uint32_t) X(FC_U64, uint64_t)
static void put(char *p, double value, int t)
{
    switch (t) {
#define PUT(name, T)                                                                                         \
    case name: {                                                                                             \
        T element = (T)value;                                                                                \
        memcpy(p, &element, sizeof element);                                                                 \
        break;                                                                                               \
    }
        EACH_TYPE(PUT)
    }
}
static double get(const char *p, int t)
{
    switch (t) {
#define GET(name, T)                                                                                         \
    case name: {                                                                                             \
        T element;                                                                                           \
        memcpy(&element, p, sizeof element);                                                                 \
        return (double)element;                                                                              \
    }
        EACH_TYPE(GET)
    }
    return 0;
}

typedef double grid[PLANES][TALL][WIDE];
static grid x, k;

/* small: integers whose sums of 17 x 17 products stay below 2^24. x_type: what x is stored as */
static void randomize(int small, int x_type)
{
    char rounded[sizeof(double)];
    EACH(n, PLANES) EACH(i, TALL) EACH(j, WIDE) EACH(which, 2) {
        double value = small                     ? (double)(random64() % 17) - 8
                       : is_float(type)          ? (double)(int64_t)random64() * 0x1p-63
                                                 : (double)(int32_t)random64();
        if (which == 0 && (x_type == FC_U8 || x_type == FC_U16 || x_type == FC_U32 || x_type == FC_U64))
            value = fabs(value);
        put(rounded, value, which ? type : x_type);
        (which ? k : x)[n][i][j] = get(rounded, which ? type : x_type);
    }
}

/* The sum that an output element should be; n * u * mass bounds the error of any order. */
typedef struct {
    double sum;
    uint64_t wrapped;
    long double wide, mass;
    int n;
} cell;
static cell want[PLANES][TALL][WIDE];

static void add_product(cell *c, double a, double b)
{
    if (type == FC_F32)
        c->sum = table->fma ? fmaf((float)a, (float)b, (float)c->sum) : (float)a * (float)b + (float)c->sum;
    else if (type == FC_F64)
        c->sum = table->fma ? fma(a, b, c->sum) : a * b + c->sum;
    else
        c->wrapped += (uint64_t)(int64_t)a * (uint64_t)(int64_t)b;
    c->wide += (long double)a * b;
    c->mass += fabsl((long double)a * b);
    c->n++;
}

static void put_cell(char *p, const cell *c, int out_type)
{
    if (is_float(type))
        put(p, c->sum, type);
    else if (type == FC_I32 && out_type == FC_I64)
        put(p, (double)(int32_t)c->wrapped, FC_I64);
    else
        memcpy(p, &c->wrapped, (size_t)size); /* the low bytes come first */
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
static view lay_as(int stored, char *area, int layout, ptrdiff_t planes, ptrdiff_t rows, ptrdiff_t cols, const grid from)
{
    ptrdiff_t size = fc_stored_size(stored);
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
    const double *flat = (const double *)from; /* a single row may be longer than WIDE */
    if (from)
        EACH(n, planes) EACH(i, rows) EACH(j, cols) put(element(v, n, i, j), flat[(n * TALL + i) * WIDE + j], stored);
    return v;
}
static view lay(char *area, int layout, ptrdiff_t planes, ptrdiff_t rows, ptrdiff_t cols, const grid from)
{
    return lay_as(type, area, layout, planes, rows, cols, from);
}

/* dest holds `want` in out, and poison everywhere else. */
static void verify_as(int out_type, view out, ptrdiff_t planes, ptrdiff_t rows, ptrdiff_t cols)
{
    static char image[AREA]; /* what dest should look like */
    char wrong[200] = "";
    memset(image, POISON, AREA);
    EACH(n, planes) EACH(i, rows) EACH(j, cols) {
        const cell *c = &want[n][i][j];
        char *p = element(out, n, i, j), *should = image + (p - dest);
        double got = get(p, out_type);
        /* n + 1: room for the bound's second order and for the rounding of the wide sum */
        long double bound = (c->n + 1) * (type == FC_F32 ? 0x1p-24L : 0x1p-53L) * c->mass;
        long double error = is_float(type) ? fabsl(got - c->wide) : 0;
        put_cell(should, c, out_type);
        if (!*wrong && (memcmp(p, should, (size_t)fc_stored_size(out_type)) != 0 || error > bound))
            snprintf(wrong, sizeof wrong, "out[%td][%td][%td] is %.17g, not %.17g: off by %Lg, bound %Lg", n, i, j,
                     got, get(should, out_type), error, bound);
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

static void verify(view out, ptrdiff_t planes, ptrdiff_t rows, ptrdiff_t cols)
{
    verify_as(type, out, planes, rows, cols);
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

/* Tap columns side by side: a dense kernel. */
static void check_dense(fc_corr_fn *corr, ptrdiff_t h, ptrdiff_t w)
{
    static const ptrdiff_t side_by_side[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    ptrdiff_t lanes = table->vector_bytes / size, widest = 9 * lanes + 1, tallest = 20, rows = 0;
    double start = is_float(type) && up_to(2) == 1 ? k[1][0][0] : 0;
    EACH(i, tallest) EACH(j, widest) {
        cell c = {.sum = start, .wide = (long double)start, .mass = fabsl((long double)start)};
        EACH(a, h) EACH(b, w) add_product(&c, x[0][i + a][j + b], ((const double *)k)[b * h + a]);
        want[0][i][j] = c;
    }
    for (ptrdiff_t cols = 1; cols <= widest; cols = next_width(cols, lanes)) {
        rows = rows % tallest + 1;
        view vx = lay(source[0], ADJACENT, 1, rows + h - 1, cols + w - 1, x);
        view vk = lay(source[1], ADJACENT, 1, 1, h * w, k);
        view out = lay(dest, ADJACENT, 1, rows, cols, NULL);
        fc_taps taps = {h, w, 0, side_by_side, vk.p, up_to(2) - 1, 0, start};
        say_case("h %td, w %td, rows %td, cols %td", h, w, rows, cols);
        corr(vx.p, vx.row / size, &taps, out.p, out.row / size, rows, cols);
        verify(out, 1, rows, cols);
    }
}

/* Tap columns anywhere, the last of them a tap short; x is as short as the contract allows. */
static void check_scattered(fc_corr_fn *corr)
{
    ptrdiff_t lanes = table->vector_bytes / size, h = up_to(17), rows = up_to(12), cols = up_to(5 * lanes + 1);
    ptrdiff_t full = up_to(4), part = h > 1 ? up_to(4) - 1 : 0, xs = up_to(40) - 1, at[8], end = 0;
    for (ptrdiff_t t = 0; t < full + part; t++) {
        at[t] = up_to(60) - 1;
        ptrdiff_t last_row = rows + h - (t < full ? 2 : 3);
        end = end > last_row * xs + at[t] + cols ? end : last_row * xs + at[t] + cols;
    }
    const double *flat = (const double *)x;
    EACH(i, rows) EACH(j, cols) {
        cell c = {0};
        EACH(a, h) EACH(t, a < h - 1 ? full + part : full) add_product(&c, flat[(i + a) * xs + at[t] + j], k[0][0][t * h + a]);
        want[0][i][j] = c;
    }
    view vx = lay(source[0], ADJACENT, 1, 1, end, x), vk = lay(source[1], ADJACENT, 1, 1, h * (full + part), k);
    view out = lay(dest, ADJACENT, 1, rows, cols, NULL);
    fc_taps taps = {h, full, part, at, vk.p, up_to(2) - 1, 0, 0};
    say_case("h %td, columns %td and %td a tap short, xs %td, rows %td, cols %td", h, full, part, xs, rows, cols);
    corr(vx.p, xs, &taps, out.p, out.row / size, rows, cols);
    verify(out, 1, rows, cols);
}

/* A signal folded into rows of one vector, in parts that are far apart. */
static void check_apart(fc_corr_fn *corr)
{
    static const ptrdiff_t side_by_side[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    ptrdiff_t lanes = table->vector_bytes / size, h = up_to(17), rows = up_to(12), vectors = up_to(10);
    ptrdiff_t full = h > 1 ? up_to(lanes) : lanes, part = h > 1 ? lanes - full : 0;
    view out = lay(dest, ADJACENT, 1, vectors, rows * lanes, NULL);
    ptrdiff_t apart = out.row / size;
    const double *flat = (const double *)x;
    EACH(v, vectors) EACH(j, rows * lanes) {
        cell c = {0};
        EACH(a, h) EACH(t, a < h - 1 ? lanes : full) add_product(&c, flat[v * apart + j + a * lanes + t], k[0][0][t * h + a]);
        want[0][v][j] = c;
    }
    view vx = lay(source[0], ADJACENT, 1, 1, (vectors - 1) * apart + (rows + h - 1) * lanes + full - 1, x);
    view vk = lay(source[1], ADJACENT, 1, 1, h * lanes, k);
    fc_taps taps = {h, full, part, side_by_side, vk.p, 0, apart, 0};
    say_case("h %td, columns %td and %td a tap short, %td rows, %td vectors %td apart", h, full, part, rows, vectors, apart);
    corr(vx.p, lanes, &taps, out.p, lanes, rows, vectors * lanes);
    verify(out, 1, vectors, rows * lanes);
}

static void check_corr(fc_corr_fn *corr)
{
    ptrdiff_t lanes = table->vector_bytes / size;
    EACH(small, 2) {
        for (ptrdiff_t h = 1; h <= 17; h++)
            for (ptrdiff_t w = 1; w <= lanes + 1; w += w == 3 && lanes > 5 ? lanes - 4 : 1) {
                randomize((int)small, type);
                check_dense(corr, h, w);
            }
        for (int trial = 0; trial < 300; trial++) {
            if (trial % 30 == 0)
                randomize((int)small, type);
            check_scattered(corr);
            if (is_float(type))
                check_apart(corr);
        }
    }
}

static void check_widen(fc_widen_fn *widen)
{
    for (int stored = 0; stored < FC_STORED_TYPES; stored++) {
        if (is_float(stored) && !is_float(type))
            continue;
        randomize(1, stored);
        for (ptrdiff_t n = 1; n <= 70; n++) {
            EACH(j, n) {
                cell c = {.sum = x[0][0][j], .wrapped = (uint64_t)(int64_t)x[0][0][j], .wide = x[0][0][j]};
                want[0][0][j] = c;
            }
            view from = lay_as(stored, source[0], ADJACENT, 1, 1, n, x), to = lay(dest, ADJACENT, 1, 1, n, NULL);
            say_case("from type %d, %td elements", stored, n);
            widen(to.p, stored, from.p, n);
            verify(to, 1, 1, n);
        }
    }
}

static void check_join(fc_join_fn *join)
{
    for (ptrdiff_t n = 1; n <= 150; n += n > 40 ? 7 : 1) {
        randomize(1, type);
        view even = lay(source[0], ADJACENT, 1, 1, (n + 1) / 2, x), odd = lay(source[1], ADJACENT, 1, 1, n / 2 + 1, k);
        view to = lay(dest, ADJACENT, 1, 1, n, NULL);
        EACH(i, n) want[0][0][i] = (cell){.sum = (i % 2 ? k : x)[0][0][i / 2], .wide = (i % 2 ? k : x)[0][0][i / 2]};
        say_case("%td elements", n);
        join(to.p, even.p, odd.p, n);
        verify(to, 1, 1, n);
    }
}

static void check_split(fc_split_fn *split)
{
    for (ptrdiff_t s = 1; s <= 6; s++)
        for (ptrdiff_t n = 1; n <= 150; n++) {
            randomize(1, type);
            ptrdiff_t phase = (n + s - 1) / s;
            view from = lay(source[0], ADJACENT, 1, 1, n, x), to = lay(dest, ADJACENT, 1, 1, s * phase, NULL);
            say_case("stride %td, %td elements", s, n);
            split(to.p, phase, from.p, n, s);
            const char *wrong = "";
            EACH(p, s) EACH(i, phase) {
                char *element = to.p + (p * phase + i) * size;
                if (i * s + p < n ? get(element, type) != x[0][0][i * s + p] : (unsigned char)*element != POISON)
                    wrong = "an element is not where it belongs";
                memset(element, POISON, (size_t)size);
            }
            EACH(byte, AREA) if ((unsigned char)dest[byte] != POISON) wrong = "wrote outside the phases";
            verdict(wrong);
            if (n > 40)
                n += 6;
        }
}

/* What a finished sum begins with, and where it must stay */
static void add_cell(cell *to, const cell *c)
{
    to->sum = type == FC_F32 ? (float)to->sum + (float)c->sum : to->sum + c->sum;
    to->wide += c->wide;
    to->mass += c->mass;
    to->n += c->n + 1;
}

static void finish(cell *c, double first, const fc_gemm *g)
{
    add_cell(c, &(cell){.sum = first, .wide = (long double)first, .mass = fabsl((long double)first)});
    if (g->clamp) {
        c->sum = fmin(fmax(c->sum, g->low), g->high);
        c->wide = fminl(fmaxl(c->wide, (long double)g->low), (long double)g->high);
    }
}

/* Panels of whole and partial vectors: those of b lie side by side, those of c as their lanes do. */
static void check_gemm(fc_gemm_fn *gemm)
{
    enum { MOST = 2 };
    ptrdiff_t lanes = table->vector_bytes / size, at[9], a_at[9];
    for (int trial = 0; trial < 600; trial++) {
        randomize(trial % 2, type);
        ptrdiff_t rows = up_to(17), depth = up_to(9), tiles = (rows + table->rows - 1) / table->rows, vectors = 0, cols = 0;
        int widest = table->cols_of[(rows + tiles - 1) / tiles];
        fc_panel panel[MOST] = {{{0}, {0}, {0}, 0, 0}};
        ptrdiff_t lane_of[WIDE]; /* of b, for each column of c */
        EACH(q, MOST) {
            panel[q].vectors = up_to(3) == 1 ? widest : up_to(2) == 1 && widest > 1 ? 2 : 1;
            panel[q].whole = up_to(2) == 1;
            EACH(v, panel[q].vectors) {
                panel[q].lanes[v] = panel[q].whole ? lanes : up_to(lanes);
                panel[q].b[v] = vectors++ * lanes, panel[q].c[v] = cols;
                EACH(l, panel[q].lanes[v]) lane_of[cols++] = panel[q].b[v] + l;
            }
        }
        view a = lay(source[0], ADJACENT, 1, rows, depth, k), b = lay(source[1], ADJACENT, 1, depth, vectors * lanes, x);
        view c = lay(dest, ADJACENT, 1, rows, cols, NULL);
        const ptrdiff_t turned = up_to(2) - 1; /* weights in descending order */
        EACH(p, depth) at[p] = p * b.row / size, a_at[p] = turned ? depth - 1 - p : p;
        fc_gemm g = {.a = a.p, .as = a.row / size, .b = b.p, .a_at = a_at, .b_at = at, .c = c.p, .cs = c.row / size, .rows = rows, .depth = depth,
                     .panel = panel, .panels = MOST, .add = up_to(2) == 1, .clamp = up_to(2) == 1, .low = -0.25, .high = 0.5};
        char bias[17 * sizeof(double)];
        EACH(m, rows) put(bias + m * size, k[1][0][m], type);
        g.bias = up_to(2) == 1 ? bias : NULL;
        EACH(m, rows) EACH(j, cols) {
            cell sum = {0};
            EACH(p, depth) add_product(&sum, k[0][m][a_at[p]], x[0][p][lane_of[j]]);
            if (g.add)
                put(element(c, 0, m, j), x[1][m][j], type);
            finish(&sum, g.add ? x[1][m][j] : g.bias ? k[1][0][m] : 0, &g);
            want[0][m][j] = sum;
        }
        say_case("trial %d: rows %td, depth %td, panels of %d and %d vectors, add %d, clamp %d", trial, rows, depth,
                 panel[0].vectors, panel[1].vectors, g.add, g.clamp);
        gemm(&g);
        verify(c, 1, rows, cols);
    }
}

static void check_dot(fc_dot_fn *dot)
{
    ptrdiff_t lanes = table->vector_bytes / size, at[9];
    for (int trial = 0; trial < 600; trial++) {
        randomize(trial % 2, type);
        ptrdiff_t rows = up_to(9), cols = up_to(9), depth = up_to(50), full = (depth + lanes - 1) / lanes * lanes;
        view a = lay(source[0], ADJACENT, 1, rows, depth, k), c = lay(dest, ADJACENT, 1, rows, 2 * cols, NULL);
        EACH(n, cols) for (ptrdiff_t p = depth; p < full; p++) x[0][n][p] = 0;
        view b = lay(source[1], ADJACENT, 1, cols, full, x);
        fc_gemm g = {.add = up_to(2) == 1, .clamp = up_to(2) == 1, .low = -0.25, .high = 0.5};
        fc_dot d = {.a = a.p, .as = a.row / size, .b = b.p, .bs = b.row / size, .at = at, .c = c.p, .cs = c.row / size,
                    .rows = rows, .cols = cols, .depth = depth, .add = g.add, .clamp = g.clamp, .low = g.low, .high = g.high};
        char bias[9 * sizeof(double)];
        EACH(m, rows) put(bias + m * size, k[1][0][m], type);
        d.bias = up_to(2) == 1 ? bias : NULL;
        EACH(n, cols) at[n] = 2 * n;
        EACH(m, rows) EACH(n, 2 * cols) {
            cell sum[16] = {{0}};
            want[0][m][n] = (cell){.sum = x[2][m][n], .wide = (long double)x[2][m][n], .mass = fabsl((long double)x[2][m][n])};
            if (g.add || n % 2)
                put(element(c, 0, m, n), x[2][m][n], type);
            if (n % 2) /* between two results: stays */
                continue;
            EACH(p, depth) add_product(&sum[p % lanes], k[0][m][p], x[0][n / 2][p]);
            for (ptrdiff_t half = lanes / 2; half > 0; half /= 2)
                EACH(l, half) add_cell(&sum[l], &sum[l + half]);
            finish(&sum[0], g.add ? x[2][m][n] : d.bias ? k[1][0][m] : 0, &g);
            want[0][m][n] = sum[0];
        }
        say_case("trial %d: rows %td, cols %td, depth %td, add %d, clamp %d", trial, rows, cols, depth, d.add, d.clamp);
        dot(&d);
        verify(c, 1, rows, 2 * cols);
    }
}

/* Two runs one behind the other, from places of their own in x */
static void check_pack(fc_pack_fn *pack)
{
    enum { RUNS = 2 };
    ptrdiff_t lanes = table->vector_bytes / size;
    for (int trial = 0; trial < 2000; trial++) {
        ptrdiff_t n = up_to(5 * lanes), ts = n + up_to(3) - 1, step = up_to(5), wrong = 0, to_rows = 0;
        ptrdiff_t from = up_to(3) == 1 ? up_to(n + 1) - 1 : 0, end = up_to(3) == 1 ? up_to(n + 1) - 1 : n;
        ptrdiff_t seen = end > from ? (end - from - 1) * step + 1 : 1;
        step = seen > WIDE ? 1 : step;
        seen = end > from ? (end - from - 1) * step + 1 : 1;
        int backwards = up_to(4) == 1;
        randomize(1, type);
        fc_run run[RUNS];
        view v = lay(source[0], ADJACENT, RUNS, 4, seen, x);
        EACH(r, RUNS) {
            run[r] = (fc_run){.to = to_rows * ts, .xs = v.row / size, .rows = up_to(4), .n = n, .from = from, .end = end};
            run[r].x = r * v.plane + (backwards ? (end - 1) * step : -from * step) * size;
            to_rows += run[r].rows;
        }
        view to = lay(dest, ADJACENT, 1, 1, to_rows * ts + lanes, NULL);
        fc_runs runs = {.run = run, .count = RUNS, .ts = ts, .step = backwards ? -step : step, .ahead = 100};
        say_case("trial %d: rows of %td, %td ... %td, step %td", trial, n, from, end, runs.step);
        pack(to.p, v.p, &runs);
        EACH(r, RUNS) EACH(i, run[r].rows) EACH(j, n) {
            ptrdiff_t at = backwards ? end - 1 - j : j - from;
            double should = j >= from && j < end ? x[r][i][at * step] : 0;
            wrong |= get(to.p + (run[r].to + i * ts + j) * size, type) != should;
        }
        memset(to.p, POISON, (size_t)((to_rows * ts + lanes) * size));
        EACH(byte, AREA) wrong |= (unsigned char)dest[byte] != POISON;
        verdict(wrong ? "an element is not where it belongs, or was written outside" : "");
    }
}

static cell copied(double value)
{
    return (cell){.sum = value, .wide = value};
}

/* Channels as rows, some of them so far apart that they share L1 sets, or as columns */
static void check_lanes_in(fc_lanes_in_fn *in)
{
    enum { SET = 4096 };
    const double *flat = (const double *)x;
    ptrdiff_t most = table->vector_bytes / size;
    for (int trial = 0; trial < 600; trial++) {
        ptrdiff_t lanes = up_to(2) == 1 ? most : up_to(most), rows = up_to(7), cols = up_to(20), adjacent = up_to(3) == 1;
        ptrdiff_t gap = up_to(2) == 1 ? 0 : up_to(3), xs = cols + gap, seen = (rows - 1) * xs + cols;
        randomize(1, type);
        view v = adjacent ? lay(source[0], ADJACENT, 1, seen, lanes, x)
                          : lay(source[0], ADJACENT, 1, lanes, up_to(3) == 1 ? SET / size : seen, x);
        view to = lay(dest, ADJACENT, 1, rows, cols * most, NULL);
        ptrdiff_t step = adjacent ? v.row / size : 1, channel = adjacent ? 1 : v.row / size;
        EACH(i, rows) EACH(j, cols) EACH(l, most) {
            ptrdiff_t pixel = i * xs + j;
            want[0][i][j * most + l] = copied(l >= lanes ? 0 : flat[adjacent ? pixel * WIDE + l : l * WIDE + pixel]);
        }
        say_case("trial %d: rows %td, cols %td of %td, lanes %td, channel %td", trial, rows, cols, xs, lanes, channel);
        in(to.p, to.row / size, v.p, channel, xs * step, step, rows, cols, lanes);
        verify(to, 1, rows, cols * most);
    }
}

/* Rows of taps meet any rows of pixels. */
static void check_lanes_rows(fc_lanes_rows_fn *correlate)
{
    enum { ROWS = 6, TAP_ROWS = 4, PIXEL_ROWS = 6 };
    const double *flat = (const double *)x, *weights = (const double *)k;
    ptrdiff_t lanes = table->vector_bytes / size, first[ROWS + 1];
    fc_tap_row tap[ROWS * TAP_ROWS];
    for (int trial = 0; trial < 900; trial++) {
        ptrdiff_t rows = up_to(ROWS), cols = up_to(20), taps = up_to(9), kernel_rows = up_to(TAP_ROWS), step = up_to(3);
        ptrdiff_t dilation = up_to(2) == 1 ? 1 : up_to(3), seen = (cols - 1) * step + (taps - 1) * dilation + 1, n = 0;
        ptrdiff_t row_of[ROWS * TAP_ROWS], kernel_row_of[ROWS * TAP_ROWS];
        randomize(trial % 2, type);
        view vx = lay(source[0], ADJACENT, 1, PIXEL_ROWS, seen * lanes, x);
        view vw = lay(source[1], ADJACENT, 1, 1, kernel_rows * taps * lanes, k);
        view out = lay(dest, ADJACENT, 1, 1, rows * cols * lanes, NULL);
        out.row = cols * lanes * size;
        EACH(i, rows) {
            first[i] = n;
            EACH(r, kernel_rows) if (up_to(4) > 1) {
                row_of[n] = up_to(PIXEL_ROWS) - 1, kernel_row_of[n] = r;
                tap[n] = (fc_tap_row){row_of[n] * vx.row / size, r * taps * lanes};
                n++;
            }
        }
        first[rows] = n;
        char bias[16 * sizeof(double)];
        EACH(l, lanes) put(bias + l * size, k[1][0][l], type);
        fc_lanes g = {.x = vx.p, .w = vw.p, .bias = bias, .out = out.p, .rows = rows, .cols = cols, .taps = taps,
                      .step = step * lanes, .dilation = dilation * lanes, .first = first, .tap = tap, .most = TAP_ROWS,
                      .clamp = up_to(2) == 1, .low = -0.25, .high = 0.5};
        fc_lanes head = g; /* some rows of taps are summed before the others */
        head.bias = NULL, head.clamp = 0;
        head.most = g.skip = up_to(TAP_ROWS + 1) - 1;
        g.add = g.skip > 0;
        EACH(i, rows) EACH(j, cols) EACH(l, lanes) {
            cell c = {0}, before = {0}, last = copied(k[1][0][l]);
            last.mass = fabsl(last.wide);
            for (ptrdiff_t a = first[i]; a < first[i + 1]; a++)
                EACH(t, taps)
                    add_product(a - first[i] < g.skip ? &before : &c, weights[(kernel_row_of[a] * taps + t) * lanes + l],
                                flat[row_of[a] * WIDE + (j * step + t * dilation) * lanes + l]);
            if (g.add)
                add_cell(&c, &before);
            add_cell(&c, &last);
            if (g.clamp)
                c.sum = fmin(fmax(c.sum, g.low), g.high), c.wide = fminl(fmaxl(c.wide, -0.25L), 0.5L);
            want[0][i][j * lanes + l] = c;
        }
        say_case("trial %d: rows %td, cols %td, taps %td, step %td, dilation %td, clamp %d, skip %td", trial, rows, cols,
                 taps, step, dilation, g.clamp, g.skip);
        if (g.add)
            correlate(&head);
        correlate(&g);
        verify(out, 1, rows, cols * lanes);
    }
}

static void check_lanes_grad(fc_lanes_grad_fn *grad)
{
    const double *flat = (const double *)x, *slopes = (const double *)k;
    ptrdiff_t lanes = table->vector_bytes / size;
    for (int trial = 0; trial < 600; trial++) {
        ptrdiff_t rows = up_to(3), cols = up_to(5), step = up_to(3), down = up_to(3), tap_rows = up_to(7), taps = up_to(11);
        ptrdiff_t dilation = up_to(2), seen = (cols - 1) * step + (taps - 1) * dilation + 1;
        if (seen * lanes > WIDE || tap_rows * taps * lanes > TALL * WIDE / 2)
            continue;
        randomize(trial % 2, type);
        view vx = lay(source[0], ADJACENT, 1, (rows - 1) * down + tap_rows, seen * lanes, x);
        view vy = lay(source[1], ADJACENT, 1, rows, cols * lanes, k), sums = lay(dest, ADJACENT, 1, tap_rows, taps * lanes, NULL);
        fc_lanes_grads g = {.x = vx.p, .dy = vy.p, .sums = sums.p, .rows = rows, .cols = cols, .x_row = down * vx.row / size,
                            .x_step = step * lanes, .dy_row = vy.row / size, .tap_rows = tap_rows, .taps = taps,
                            .tap_row = vx.row / size, .dilation = dilation * lanes};
        sums.row = taps * lanes * size;
        EACH(r, tap_rows) EACH(t, taps) EACH(l, lanes) {
            double before = copied(k[2][r % TALL][t * lanes % WIDE + l]).sum;
            cell c = {0}, last = copied(before);
            last.mass = fabsl(last.wide);
            put(element(sums, 0, r, t * lanes + l), before, type);
            EACH(i, rows) EACH(j, cols)
                add_product(&c, slopes[i * WIDE + j * lanes + l],
                            flat[(i * down + r) * WIDE + (j * step + t * dilation) * lanes + l]);
            add_cell(&c, &last);
            want[0][r][t * lanes + l] = c;
        }
        say_case("trial %d: rows %td, cols %td, step %td, tap rows %td, taps %td, dilation %td", trial, rows, cols, step, tap_rows,
                 taps, dilation);
        grad(&g);
        verify(sums, 1, tap_rows, taps * lanes);
    }
}

static void check_lanes_out(fc_lanes_out_fn *out)
{
    const double *flat = (const double *)x;
    ptrdiff_t most = table->vector_bytes / size;
    for (int trial = 0; trial < 300; trial++) {
        ptrdiff_t lanes = up_to(2) == 1 ? most : up_to(most), n = up_to(70);
        randomize(0, type);
        view from = lay(source[0], ADJACENT, 1, 1, (n + most - 1) / most * most * most, x);
        view to = lay(dest, ADJACENT, 1, lanes, n, NULL);
        EACH(l, lanes) EACH(q, n) want[0][l][q] = copied(flat[q * most + l]);
        say_case("trial %d: lanes %td, outputs %td", trial, lanes, n);
        out(to.p, to.row / size, from.p, n, lanes);
        verify(to, 1, lanes, n);
    }
}

static void check_clamp(fc_clamp_fn *clamp)
{
    for (ptrdiff_t n = 1; n <= 70; n++) {
        randomize(0, type);
        view v = lay(dest, ADJACENT, 1, 1, n, NULL);
        EACH(j, n) {
            put(element(v, 0, 0, j), x[0][0][j], type);
            want[0][0][j] = (cell){.sum = fmin(fmax(x[0][0][j], -0.5), 0.25), .mass = 1, .n = 1};
            want[0][0][j].wide = (long double)want[0][0][j].sum;
        }
        say_case("%td elements", n);
        clamp(v.p, n, -0.5, 0.25);
        verify(v, 1, 1, n);
    }
}

static void check_transpose(fc_transpose_fn *transpose)
{
    for (ptrdiff_t rows = 16; rows <= 48; rows += 16)
        for (ptrdiff_t cols = 16; cols <= 48; cols += 16) {
            randomize(0, type);
            EACH(i, cols) EACH(j, rows) want[0][i][j] = (cell){.sum = x[0][j][i], .wide = x[0][j][i]};
            view from = lay(source[0], ADJACENT, 1, rows, cols, x), to = lay(dest, ADJACENT, 1, cols, rows, NULL);
            say_case("%td x %td", rows, cols);
            transpose(to.p, to.row / size, from.p, from.row / size, rows, cols);
            verify(to, 1, cols, rows);
        }
}

static void check_add(fc_add_fn *add)
{
    for (ptrdiff_t n = 1; n <= 70; n++) {
        randomize(1, type);
        EACH(j, n) {
            double sum = x[0][0][j] + k[0][0][j];
            want[0][0][j] = (cell){.sum = sum, .wrapped = (uint64_t)(int64_t)sum, .wide = sum};
        }
        view a = lay(source[0], ADJACENT, 1, 1, n, x), b = lay(source[1], ADJACENT, 1, 1, n, k);
        view to = lay(dest, ADJACENT, 1, 1, n, NULL);
        say_case("%td elements", n);
        add(to.p, a.p, b.p, n);
        verify(to, 1, 1, n);
    }
}

static void check_sums(fc_sums_fn *sums)
{
    static _Alignas(64) char room[48 * FC_SUMS_BYTES];
    EACH(trial, 150) {
        ptrdiff_t h = up_to(trial % 3 ? 9 : 48), rows = up_to(TALL - h + 1), cols = up_to(9 * table->vector_bytes / size);
        fc_sums g = {h, up_to(3 * h) - 1, rows, cols};
        randomize(1, type);
        EACH(i, rows) EACH(j, cols) {
            cell c = {0};
            EACH(t, h) add_product(&c, x[0][i + t][j], 1);
            want[0][i][j] = c;
        }
        view vx = lay(source[0], ADJACENT, 1, rows + h - 1, cols, x), out = lay(dest, ADJACENT, 1, rows, cols, NULL);
        say_case("height %td, number %td, rows %td, cols %td", h, g.at, rows, cols);
        sums(vx.p, vx.row / size, &g, out.p, out.row / size, room);
        verify(out, 1, rows, cols);
    }
}

/* Rounded as the type of the arithmetic rounds */
static double rounded(double v)
{
    return type == FC_F32 ? (double)(float)v : v;
}

static void check_ordered(fc_ordered_fn *ordered)
{
    EACH(trial, 300) {
        int fold = (int)up_to(3) - 2, down = up_to(2) == 1;
        ptrdiff_t taps = up_to(9), reach = 2 * taps + 1, at[9], rows = up_to(12), cols = up_to(10 * table->vector_bytes / size);
        ptrdiff_t high = rows + (down ? reach - 1 : 0), wide = cols + (down ? 0 : reach - 1);
        EACH(t, taps) at[t] = fold ? (t == 0 ? taps : taps - up_to(taps)) : up_to(reach) - 1;
        randomize(0, type);
        EACH(i, rows) EACH(j, cols) {
            double sum = 0;
            EACH(t, taps) {
                ptrdiff_t p = at[t], q = fold ? 2 * at[0] - p : p;
                double s = down ? x[0][i + p][j] : x[0][i][j + p], mirrored = down ? x[0][i + q][j] : x[0][i][j + q];
                s = t > 0 && fold ? rounded(fold > 0 ? s + mirrored : s - mirrored) : s;
                s = rounded(s * k[0][0][t]);
                sum = t == 0 ? s : rounded(sum + s);
            }
            want[0][i][j] = (cell){.sum = sum, .wide = sum};
        }
        view vx = lay(source[0], ADJACENT, 1, high, wide, x), w = lay(source[1], ADJACENT, 1, 1, taps, k);
        view out = lay(dest, ADJACENT, 1, rows, cols, NULL);
        fc_order o = {.w = w.p, .at = at, .taps = taps, .unit = down ? vx.row / size : 1, .fold = fold};
        say_case("fold %d, %s, taps %td, rows %td, cols %td", fold, down ? "down" : "across", taps, rows, cols);
        ordered(vx.p, vx.row / size, &o, out.p, out.row / size, rows, cols);
        verify(out, 1, rows, cols);
    }
}

/* v / divisor as a C cast on x86-64 stores it, all ranges defined: kernels.h and narrow_tmpl.h */
static void store_cast(char *p, double v, double divisor, int stored)
{
    v = rounded(v / divisor);
    int wide = stored == FC_I64 || stored == FC_U64 || stored == FC_U32, upper = stored == FC_U64 && v >= 0x1p63;
    double half = wide ? 0x1p63 : 0x1p31, of = upper ? v - 0x1p63 : v;
    int64_t least = wide ? INT64_MIN : INT32_MIN, whole = of > -half - (wide ? 0 : 1) && of < half ? (int64_t)of : least;
    uint64_t bits = (uint64_t)whole ^ (upper ? (uint64_t)1 << 63 : 0);
    if (is_float(stored))
        put(p, v, stored);
    else
        memcpy(p, &bits, (size_t)fc_stored_size(stored));
}

static double divided(ptrdiff_t j) /* what is to be cast: numbers of all sizes, halves, wholes, and the odd ones */
{
    static const double odd[] = {0.0, -0.0, 255, 256, -1, -0.5, 0x1p31, -0x1p31, 0x1p31 - 1, -0x1p31 - 1, 0x1p32, 0x1p63, -0x1p63,
                                 0x1p64, 1e30, -1e30, INFINITY, -INFINITY, NAN};
    if (up_to(4) == 1)
        return rounded(odd[(size_t)up_to(sizeof odd / sizeof *odd) - 1]);
    return rounded(ldexp((double)((int64_t)random64() >> (j % 40 + 10)), -(int)up_to(12)));
}

static void check_casts(fc_narrow_fn *narrow, fc_settle_fn *settle)
{
    static char image[AREA];
    for (int stored = 0; stored < FC_STORED_TYPES; stored++)
        for (ptrdiff_t n = 1; n <= 70; n++) {
            if (type == FC_F32 && stored == FC_F64)
                continue; /* no sums of float32 are stored so */
            double divisor = up_to(2) == 1 ? 1 : (double)up_to(200);
            EACH(j, n) x[0][0][j] = divided(j);
            ptrdiff_t to_size = narrow ? fc_stored_size(stored) : size;
            view from = lay(source[0], ADJACENT, 1, 1, n, x), to = lay_as(narrow ? stored : type, dest, ADJACENT, 1, 1, n, NULL);
            memset(image, POISON, AREA);
            say_case("to type %d, divided by %g, %td elements", stored, divisor, n);
            int done = 1;
            if (narrow) {
                narrow(to.p, stored, from.p, n, divisor);
            } else {
                memcpy(to.p, from.p, (size_t)(n * size));
                done = settle(to.p, stored, n, divisor);
            }
            char wrong[120] = "";
            EACH(j, n) {
                char cast[8], *p = image + (to.p - dest) + j * to_size;
                store_cast(cast, x[0][0][j], divisor, stored);
                if (narrow)
                    memcpy(p, cast, (size_t)to_size);
                else
                    put(p, done ? get(cast, stored) : x[0][0][j], type);
                double got = get(to.p + j * to_size, narrow ? stored : type), should = get(p, narrow ? stored : type);
                if (got != should && !(isnan(got) && isnan(should)) && !*wrong)
                    snprintf(wrong, sizeof wrong, "%.17g became %.17g, not %.17g", x[0][0][j], got, should);
                if (isnan(got) && isnan(should))
                    memcpy(p, to.p + j * to_size, (size_t)to_size);
            }
            if (!*wrong && memcmp(image, dest, AREA) != 0)
                snprintf(wrong, sizeof wrong, "wrote outside, or another zero");
            verdict(wrong);
        }
}
static void check_narrow(fc_narrow_fn *narrow)
{
    check_casts(narrow, NULL);
}
static void check_settle(fc_settle_fn *settle)
{
    check_casts(NULL, settle);
}

static void check_scale(fc_scale_fn *scale)
{
    for (ptrdiff_t n = 1; n <= 70; n++) {
        randomize(1, type);
        EACH(j, n) {
            double product = x[0][0][j] * k[0][0][0] + 0.0; /* no -0 */
            want[0][0][j] = (cell){.sum = product, .wrapped = (uint64_t)(int64_t)product, .wide = product};
        }
        view a = lay(source[0], ADJACENT, 1, 1, n, x), factor = lay(source[1], ADJACENT, 1, 1, 1, k);
        view to = lay(dest, ADJACENT, 1, 1, n, NULL);
        say_case("%td elements", n);
        scale(to.p, a.p, factor.p, n);
        verify(to, 1, 1, n);
    }
}

static void check_finite(fc_finite_fn *finite)
{
    for (ptrdiff_t n = 1; n <= 70; n++) {
        randomize(0, type);
        view v = lay(source[0], ADJACENT, 1, 1, n, x); /* amid poison, which is NaN */
        say_case("%td elements", n);
        verdict(finite(v.p, n) ? "" : "they are");
        char *odd = element(v, 0, 0, up_to(n) - 1);
        EACH(which, 3) {
            put(odd, which == 0 ? NAN : which == 1 ? INFINITY : -INFINITY, type);
            verdict(finite(v.p, n) ? "one is not" : "");
        }
        put(odd, type == FC_F32 ? 3e38 : 1e308, type);
        verdict(finite(v.p, n) ? "" : "they are, if large");
    }
}

static void check_peak(fc_peak_fn *peak)
{
    say_case("1 and 1000 rounds");
    double one = peak(1);
    verdict(one > 0 && peak(1000) == 1000 * one ? "" : "the count of operations is no multiple of the rounds");
}

/* ---- Fourier transforms ------------------------------------------------------------------------ */

typedef long double complex wide_complex;
static void put_own(char *p, double value)
{
    put(p, value, type);
}
static double get_own(const char *p)
{
    return get(p, type);
}

enum { POINTS = 256, LANES = 16 };
static wide_complex root[POINTS];          /* exp(-2 pi i p / n) */
static wide_complex given[POINTS][LANES], product[POINTS][LANES];
static char *areas[6];

static long double unit_roundoff(void)
{
    return type == FC_F32 ? 0x1p-24L : 0x1p-53L;
}

static char *place(int area, ptrdiff_t bytes) /* at either end, amid poison */
{
    memset(areas[area], POISON, AREA);
    return areas[area] + (up_to(2) - 1) * (AREA - bytes);
}

static void put_lane(char *p, wide_complex value) /* of a complex vector */
{
    put_own(p, (double)creall(value));
    put_own(p + table->vector_bytes, (double)cimagl(value));
}
static wide_complex get_lane(const char *p)
{
    return get_own(p) + get_own(p + table->vector_bytes) * (wide_complex)I;
}
static double random_number(void)
{
    char rounded[8];
    put_own(rounded, (double)(int64_t)random64() * 0x1p-63);
    return get_own(rounded);
}

/* An axis of n points, its radices in any order (those of fftmul: the last is 4); 0: there are none */
static int random_radices(fc_fft_axis *a, ptrdiff_t n, int for_product)
{
    ptrdiff_t rest = for_product ? n / 4 : n, count = 0, m = n;
    *a = (fc_fft_axis){.n = n};
    while (rest > 1) {
        int r = 1 + (int)up_to(7);
        if (rest % 2 && rest % 3 && rest % 5)
            return 0;
        if (rest % r == 0 && (r < 6 || r == 8))
            a->radix[a->passes++] = r, rest /= r;
    }
    if (for_product || n == 1)
        a->radix[a->passes++] = n == 1 ? 1 : 4;
    EACH(p, n) root[p] = cosl(2 * acosl(-1) * p / n) - sinl(2 * acosl(-1) * p / n) * (wide_complex)I;
    char *factors = place(3, AREA); /* from its beginning */
    for (int i = 0; i < a->passes; m /= a->radix[i++]) {
        a->factor[i] = count;
        EACH(j, m / a->radix[i]) for (ptrdiff_t p = 1; p < a->radix[i]; p++, count += 2) {
            put_own(factors + count * size, (double)creall(root[p * j * (n / m)]));
            put_own(factors + (count + 1) * size, (double)cimagl(root[p * j * (n / m)]));
        }
    }
    a->factors = memmove(areas[3] + AREA - count * size, factors, (size_t)(count * size));
    return 1;
}

static ptrdiff_t frequency_at(const fc_fft_axis *a, ptrdiff_t place)
{
    ptrdiff_t f = 0, weight = 1, m = a->n;
    for (int i = 0; i < a->passes; weight *= a->radix[i++]) {
        m /= a->radix[i];
        f += place / m % a->radix[i] * weight;
    }
    return f;
}

/* sum_e z[e][lane] w^(+-ef) */
static wide_complex naive(const wide_complex z[][LANES], ptrdiff_t lane, ptrdiff_t n, ptrdiff_t f, int inverse)
{
    wide_complex sum = 0;
    EACH(e, n) sum += z[e][lane] * (inverse ? conjl(root[e * f % n]) : root[e * f % n]);
    return sum;
}

/* Errors against what an element of the result is on average, the root of the sum of squares of its column. */
typedef struct {
    long double error, norm;
} deviation;
static void deviate(deviation *d, wide_complex got, wide_complex exact, long double norm)
{
    long double e = cabsl(got - exact);
    d->error += e == e ? e * e : INFINITY;
    d->norm += norm * norm;
}
static void judge(deviation d, ptrdiff_t n, int untouched)
{
    char wrong[200] = "";
    long double c = d.norm > 0 ? sqrtl(d.error / d.norm) / unit_roundoff() / log2l(2 * n) : 0;
    if (c > 2)
        snprintf(wrong, sizeof wrong, "norm-wise error is %Lg u log2(2n)", c);
    else if (!untouched)
        snprintf(wrong, sizeof wrong, "wrote where it should not");
    verdict(wrong);
}
static long double norm_of(const wide_complex z[][LANES], ptrdiff_t lane, ptrdiff_t n)
{
    long double sum = 0;
    EACH(e, n) sum += creall(z[e][lane] * conjl(z[e][lane]));
    return sqrtl(sum);
}

/* Every byte of an area but rows of `bytes` at p, stride apart, is poison still. */
static int clean(int area, const char *p, ptrdiff_t rows, ptrdiff_t stride, ptrdiff_t bytes)
{
    static char image[AREA];
    memset(image, POISON, AREA);
    EACH(i, rows) memcpy(image + (p - areas[area]) + i * stride, p + i * stride, (size_t)bytes);
    return memcmp(image, areas[area], AREA) == 0;
}

/* Columns of the user's: areas 0 and 1; given[][] to or from there. NULL where there are to be none. */
static const fc_fft_column *columns(fc_fft_column c[2], ptrdiff_t n, ptrdiff_t lanes, int reading)
{
    EACH(i, 2) {
        ptrdiff_t wide_as = up_to(lanes + 3), rows = up_to(n + 1) - 1, last = up_to(lanes + 4) - 2;
        ptrdiff_t present = wide_as < lanes ? wide_as : lanes, stride = present + up_to(3) - 1;
        if (rows == n && last < 1)
            last = 1; /* so that n rows fit */
        ptrdiff_t in_last = last < 0 ? 0 : last < lanes ? last : lanes;
        ptrdiff_t elements = rows ? (rows - 1) * stride + (in_last > present ? in_last : present) : 0;
        char *p = place((int)i, elements * size);
        EACH(e, n) EACH(l, lanes) {
            int there = e < rows && l < (e < rows - 1 ? present : in_last);
            if (reading && !there)
                given[e][l] = i ? creall(given[e][l]) : (wide_complex)I * cimagl(given[e][l]);
            else if (reading)
                put_own(p + (e * stride + l) * size, i ? (double)cimagl(given[e][l]) : (double)creall(given[e][l]));
        }
        c[i] = (fc_fft_column){p, p, stride, rows, wide_as, last};
    }
    return c;
}

static void fill_in(ptrdiff_t n)
{
    EACH(e, n) EACH(l, LANES) given[e][l] = random_number() + random_number() * (wide_complex)I;
}

/* Lanes worth a sum over everything: all, or first, last, and one at random */
static int look_at(ptrdiff_t lane, ptrdiff_t lanes, ptrdiff_t n)
{
    return n <= 32 || lane == 0 || lane == lanes - 1 || lane == n % lanes;
}

static void check_fft(fc_fft_fn *fft)
{
    ptrdiff_t lanes = table->vector_bytes / size, vector = 2 * table->vector_bytes;
    fc_fft_axis a;
    for (ptrdiff_t n = 1; n <= POINTS; n++)
        for (int user = 0; random_radices(&a, n, 0) && user < 2; user++) {
            ptrdiff_t gap = n < POINTS ? (up_to(3) - 1) * size : 0, stride = vector + gap;
            char *z = place(2, n * stride - gap);
            fc_fft_column c[2];
            fill_in(n);
            const fc_fft_column *from = user ? columns(c, n, lanes, 1) : NULL;
            if (!from)
                EACH(e, n) EACH(l, lanes) put_lane(z + e * stride + l * size, given[e][l]);
            say_case("n %td, radices %d %d ..., %s", n, a.radix[0], a.radix[1], user ? "from columns" : "in place");
            fft(&a, z, stride / size, from);
            deviation d = {0, 0};
            EACH(p, n) EACH(l, lanes) if (look_at(l, lanes, n))
                deviate(&d, get_lane(z + p * stride + l * size), naive(given, l, n, frequency_at(&a, p), 0),
                        norm_of(given, l, n));
            judge(d, n, clean(2, z, n, stride, vector));
        }
}

static void check_ifft(fc_ifft_fn *ifft)
{
    ptrdiff_t lanes = table->vector_bytes / size, vector = 2 * table->vector_bytes;
    static wide_complex ordered[POINTS][LANES];
    fc_fft_axis a;
    for (ptrdiff_t n = 1; n <= POINTS; n++)
        for (int user = 0; random_radices(&a, n, 0) && user < 2; user++) {
            ptrdiff_t gap = n < POINTS ? (up_to(3) - 1) * size : 0, stride = vector + gap;
            char *z = place(2, n * stride - gap);
            fc_fft_column c[2];
            fill_in(n);
            EACH(p, n) EACH(l, lanes) {
                ordered[frequency_at(&a, p)][l] = given[p][l];
                put_lane(z + p * stride + l * size, given[p][l]);
            }
            const fc_fft_column *to = user ? columns(c, n, lanes, 0) : NULL;
            say_case("n %td, radices %d %d ..., %s", n, a.radix[0], a.radix[1], user ? "to columns" : "in place");
            ifft(&a, z, stride / size, to);
            deviation d = {0, 0};
            int untouched = clean(2, z, n, stride, vector);
            EACH(e, n) EACH(l, lanes) if (user || look_at(l, lanes, n)) {
                wide_complex exact = look_at(l, lanes, n) ? naive(ordered, l, n, e, 1) : 0;
                long double norm = norm_of(ordered, l, n);
                EACH(i, 2) {
                    if (!to) {
                        deviate(&d, get_lane(z + e * stride + l * size), exact, norm);
                        break;
                    }
                    char *p = (char *)to[i].y + (e * to[i].stride + l) * size;
                    if (e >= to[i].rows || l >= (e < to[i].rows - 1 ? to[i].lanes : to[i].last))
                        continue;
                    if (look_at(l, lanes, n))
                        deviate(&d, get_own(p), i ? cimagl(exact) : creall(exact), norm);
                    memset(p, POISON, (size_t)size); /* as it was before */
                }
            }
            if (to)
                untouched = untouched && clean(0, to[0].y, 0, 0, 0) && clean(1, to[1].y, 0, 0, 0);
            judge(d, n, untouched);
        }
}

/* learn the spectrum of in; then multiply other rows by it: the circular correlation with it, without twist */
static void check_fftmul(fc_fftmul_fn *fftmul)
{
    ptrdiff_t lanes = table->vector_bytes / size, vector = 2 * table->vector_bytes;
    static wide_complex other[POINTS][LANES], twist[POINTS][LANES];
    fc_fft_axis a;
    for (ptrdiff_t n = FC_FFT_BLOCK; n < POINTS; n += FC_FFT_BLOCK)
        for (int twisted = 0; random_radices(&a, n, 1) && twisted < 2; twisted++) {
            ptrdiff_t gap = n < POINTS ? (up_to(3) - 1) * size : 0, stride = lanes * vector + gap, blocks = n / lanes;
            char *z = place(2, blocks * stride - gap), *strip = place(4, n * vector);
            char *spectrum = place(0, n * vector), *w = place(1, n * vector);
            fill_in(n);
            EACH(e, n) EACH(r, lanes) {
                other[e][r] = random_number() + random_number() * (wide_complex)I;
                long double turn = 6 * random_number();
                put_lane(w + (e / lanes * lanes + r) * vector + e % lanes * size, cosl(turn) + sinl(turn) * (wide_complex)I);
                twist[e][r] = twisted ? get_lane(w + (e / lanes * lanes + r) * vector + e % lanes * size) : 1;
            }
            say_case("n %td, radices %d %d ..., %s", n, a.radix[0], a.radix[1], twisted ? "twisted" : "plain");
            deviation d = {0, 0};
            EACH(learn, 2) {
                const wide_complex(*rows)[LANES] = learn ? other : given;
                EACH(e, n) EACH(r, lanes)
                    put_lane(z + e / lanes * stride + r * vector + e % lanes * size, rows[e][r]);
                fftmul(&a, z, stride / size, spectrum, twisted ? w : NULL, strip, learn ? 0 : 1.0 / (double)n);
            }
            EACH(r, lanes) if (look_at(r, lanes, n)) {
                EACH(e, n) given[e][r] *= twist[e][r], other[e][r] *= twist[e][r];
                EACH(f, n) product[f][r] = naive(other, r, n, f, 0) * conjl(naive(given, r, n, f, 0)) / n;
                EACH(e, n) deviate(&d, get_lane(z + e / lanes * stride + r * vector + e % lanes * size),
                                   naive(product, r, n, e, 1) * conjl(twist[e][r]), norm_of(product, r, n));
            }
            judge(d, n * n * n, clean(2, z, blocks, stride, lanes * vector) && clean(4, strip, n, vector, vector) &&
                                    clean(0, spectrum, n, vector, vector) && clean(1, w, n, vector, vector));
        }
}

/* Tiles, in arrays with room between rows and planes: tile i in area X + i, its result in area Y + i */
enum { X = 0, Y = 2, TAPS = 4 };
typedef struct {
    ptrdiff_t k[3], n[3], x_stride[2], y_stride[2];
    const char *taps;
    fc_fft_tile tile[2];
} fft_case;

static ptrdiff_t offset(const ptrdiff_t stride[2], ptrdiff_t a, ptrdiff_t b, ptrdiff_t c)
{
    return (a * stride[0] + b * stride[1] + c) * size;
}

/* Lays the taps (axis by axis at most `most`) and returns the sum of their squares. */
static long double lay_taps(fft_case *t, int rank, ptrdiff_t most)
{
    long double squares = 0;
    EACH(axis, 3) t->k[axis] = axis < 3 - rank || up_to(4) == 1 ? 1 : up_to(most);
    ptrdiff_t count = t->k[0] * t->k[1] * t->k[2];
    char *p = place(TAPS, count * size);
    t->taps = p;
    EACH(i, count) {
        double value = random_number();
        put_own(p + i * size, value);
        squares += (long double)value * value;
    }
    return squares;
}

/* Lays tile i, of at most `most` outputs an axis, and returns the sum of squares of what it may read. */
static long double lay_tile(fft_case *t, int i, const ptrdiff_t most[3])
{
    ptrdiff_t *out = t->tile[i].out, given[3];
    long double squares = 0;
    EACH(axis, 3) {
        out[axis] = up_to(most[axis]);
        given[axis] = out[axis] + t->k[axis] - 1;
    }
    char *p = place(X + i, offset(t->x_stride, given[0] - 1, given[1] - 1, given[2]));
    t->tile[i].x = p;
    t->tile[i].y = place(Y + i, offset(t->y_stride, out[0] - 1, out[1] - 1, out[2]));
    EACH(a, given[0]) EACH(b, given[1]) EACH(c, given[2]) {
        double value = random_number();
        put_own(p + offset(t->x_stride, a, b, c), value);
        squares += (long double)value * value;
    }
    return squares;
}

/* The largest error in the result of tile i, which is poisoned again. */
static long double tile_error(const fft_case *t, int i)
{
    const fc_fft_tile *tile = &t->tile[i];
    const char *x = tile->x;
    long double worst = 0;
    EACH(a, tile->out[0]) EACH(b, tile->out[1]) EACH(c, tile->out[2]) {
        long double sum = 0;
        char *y = (char *)tile->y + offset(t->y_stride, a, b, c);
        EACH(p, t->k[0]) EACH(q, t->k[1]) EACH(r, t->k[2]) {
            double tap = get_own(t->taps + ((p * t->k[1] + q) * t->k[2] + r) * size);
            sum += (long double)tap * get_own(x + offset(t->x_stride, a + p, b + q, c + r));
        }
        long double error = fabsl(get_own(y) - sum);
        worst = error <= worst ? worst : error == error ? error : INFINITY;
        memset(y, POISON, (size_t)size);
    }
    return worst;
}

/* A plan for this case; before, that running out of memory is noticed. */
static fc_fft *plan_for(const fft_case *t)
{
    EACH(allocations, 2) {
        fc_alloc_fail_after(allocations);
        fc_fft *none = fc_fft_new(table, type, t->n, t->k, t->taps);
        fc_alloc_fail_after(-1);
        verdict(none ? "a plan without memory" : "");
        fc_fft_free(none);
    }
    return fc_fft_new(table, type, t->n, t->k, t->taps);
}

static void check_fftcorr(void)
{
    static const ptrdiff_t most_taps[] = {300, 24, 5}, most_out[][3] = {{1, 1, 400}, {1, 40, 40}, {5, 10, 10}};
    for (int trial = 0; trial < 240; trial++) {
        int rank = 1 + trial % 3;
        fft_case t = {0};
        ptrdiff_t most[3];
        char wrong[200] = "";
        long double tap_squares = lay_taps(&t, rank, most_taps[rank - 1]);
        double us = fc_fft_size(table, type, t.k, most_out[rank - 1], t.n);
        say_case("n %tdx%tdx%td, k %tdx%tdx%td", t.n[0], t.n[1], t.n[2], t.k[0], t.k[1], t.k[2]);
        verdict(us > 0 && us < 1e4 ? "" : "no sensible estimate");
        fc_fft *plan = plan_for(&t);
        void *scratch = plan ? fc_alloc(1, fc_fft_scratch(plan)) : NULL;
        if (!scratch) {
            verdict("no plan");
            continue;
        }
        EACH(axis, 3) {
            most[axis] = t.n[axis] - t.k[axis] + 1;
            most[axis] = most[axis] < most_out[rank - 1][axis] ? most[axis] : most_out[rank - 1][axis];
        }
        t.x_stride[1] = most[2] + t.k[2] + up_to(3) - 2;
        t.x_stride[0] = (most[1] + t.k[1] - 1) * t.x_stride[1] + up_to(3) - 1;
        t.y_stride[1] = most[2] + up_to(3) - 1;
        t.y_stride[0] = most[1] * t.y_stride[1] + up_to(3) - 1;
        long double squares = lay_tile(&t, 0, most), log_points = log2l((long double)t.n[0] * t.n[1] * t.n[2]);
        int tiles = 1 + (trial % 4 > 0);
        if (tiles == 2)
            squares += lay_tile(&t, 1, most);
        say_case("n %tdx%tdx%td, k %tdx%tdx%td, out %tdx%tdx%td and %tdx%tdx%td", t.n[0], t.n[1], t.n[2], t.k[0],
                 t.k[1], t.k[2], t.tile[0].out[0], t.tile[0].out[1], t.tile[0].out[2], t.tile[1].out[0],
                 t.tile[1].out[1], t.tile[1].out[2]);
        fc_fft_corr(plan, scratch, t.tile, t.x_stride, t.y_stride);
        long double scale = unit_roundoff() * log_points * sqrtl(squares * tap_squares);
        EACH(i, tiles) {
            long double c = tile_error(&t, (int)i) / scale;
            if (!(c <= 1))
                snprintf(wrong, sizeof wrong, "error is %Lg u log2(N) |x| |taps|", c);
            else if (!clean(Y + (int)i, t.tile[i].y, 0, 0, 0))
                snprintf(wrong, sizeof wrong, "wrote outside out");
        }
        verdict(wrong);
        fc_free(scratch);
        fc_fft_free(plan);
    }
}

/* ---- rows of template matching ------------------------------------------------------------------ */

static char *rows[6];

/* rows[0] ... are on the heap, for a sanitizer to guard, with the room that match_tmpl.h asks for, and hold multiples of
 * 1/4: sums and sums of squares are exact. */
static void make_rows(int count, ptrdiff_t n, int t)
{
    ptrdiff_t room = (n + FC_MATCH_LANES - 1) / FC_MATCH_LANES * FC_MATCH_LANES;
    EACH(r, count) {
        free(rows[r]);
        rows[r] = malloc((size_t)(room * fc_stored_size(t)));
        if (!rows[r])
            abort();
        EACH(j, room) put(rows[r] + j * fc_stored_size(t), ((double)(random64() % 65) - 32) / 4, t);
    }
}
static double *wide(int r) /* row r of float64 */
{
    return (double *)(void *)rows[r];
}
static double at(int r, ptrdiff_t j) /* element j of row r */
{
    return get(rows[r] + j * size, type);
}
static int differ(double got, double should, double by)
{
    return !(fabs(got - should) <= by * (1 + fabs(should))) && !(isnan(got) && isnan(should));
}

static void check_match_look(fc_match_look_fn *look)
{
    for (ptrdiff_t n = 1; n <= 70; n++) {
        make_rows(1, n, type);
        EACH(times, n % 4)
            put(rows[0] + (up_to(n) - 1) * size, times == 0 ? NAN : times == 1 ? INFINITY : -INFINITY, type);
        fc_look got = {1, 0.25, -0.25, 7}, should = got;
        EACH(j, n) {
            int finite = isfinite(at(0, j));
            should.sum += finite ? at(0, j) : 0;
            should.low = finite && at(0, j) < should.low ? at(0, j) : should.low;
            should.high = finite && at(0, j) > should.high ? at(0, j) : should.high;
            should.not_finite += !finite;
        }
        say_case("%td elements", n);
        look(rows[0], n, &got);
        verdict(got.sum != should.sum || got.low != should.low || got.high != should.high ? "other values"
                : got.not_finite != should.not_finite                                      ? "another count"
                                                                                          : "");
    }
}

static void check_match_shift(fc_match_shift_fn *shift)
{
    for (ptrdiff_t n = 1; n <= 70; n++) {
        make_rows(1, n, type);
        double before[70];
        const char *wrong = "";
        EACH(j, n) before[j] = at(0, j);
        say_case("%td elements", n);
        shift(rows[0], n, 1.25, 8);
        EACH(j, n) wrong = at(0, j) != (before[j] - 1.25) * 8 ? "other values" : wrong;
        verdict(wrong);
    }
}

static void check_match_add(fc_match_add_fn *add)
{
    for (ptrdiff_t n = 1; n <= 70; n++) {
        const char *wrong = "";
        make_rows(5, n, FC_F64);
        char *own = rows[4];
        EACH(j, n) put(own + j * size, wide(4)[j], type); /* in place: no longer than before */
        say_case("%td elements", n);
        add(wide(0), wide(1), wide(2), wide(3), own, n);
        EACH(j, n) {
            double v = at(4, j);
            wrong = wide(0)[j] != wide(2)[j] + v || wide(1)[j] != wide(3)[j] + v * v ? "other values" : wrong;
        }
        verdict(wrong);
    }
}

static void check_match_window(fc_match_window_fn *sum)
{
    for (ptrdiff_t w = 1; w <= 40; w++) {
        ptrdiff_t n = up_to(70);
        const char *wrong = "";
        make_rows(2, n + w - 1 + table->vector_bytes / 8, type);
        double *should = calloc((size_t)n, sizeof *should);
        EACH(j, n) EACH(b, w) should[j] += at(0, j + b);
        say_case("%td neighbours, %td of them", n, w);
        sum(wide(0), wide(1), n, w);
        EACH(j, n) wrong = at(0, j) != should[j] ? "other values" : wrong;
        verdict(wrong);
        free(should);
    }
}

/* Sets of `count` elements each, their sums and spreads: how spread all of them are. */
static double pooled(ptrdiff_t sets, const double *sum, const double *spread, const double *count)
{
    double total = 0, elements = 0, all = 0;
    EACH(s, sets) total += sum[s], elements += count[s];
    EACH(s, sets) if (count[s] > 0)
    {
        double off = sum[s] / count[s] - total / elements;
        all += spread[s] + count[s] * off * off;
    }
    return all;
}

static void check_match_merge(fc_match_merge_fn *merge)
{
    for (ptrdiff_t n = 1; n <= 70; n++) {
        const char *wrong = "";
        double count[] = {(double)up_to(9), (double)up_to(9)};
        make_rows(6, n, FC_F64);
        say_case("%td pairs of %g and %g elements", n, count[0], count[1]);
        merge(wide(0), wide(1), wide(2), wide(3), wide(4), wide(5), n, count[0], count[1]);
        EACH(j, n) {
            double sum[] = {wide(2)[j], wide(4)[j]}, spread[] = {wide(3)[j], wide(5)[j]};
            wrong = differ(wide(0)[j], sum[0] + sum[1], 0) ? "another sum" : wrong;
            wrong = differ(wide(1)[j], pooled(2, sum, spread, count), 1e-13) ? "another spread" : wrong;
        }
        verdict(wrong);
    }
}

static void check_match_grow(fc_match_grow_fn *grow)
{
    for (ptrdiff_t n = 1; n <= 70; n++) {
        const char *wrong = "";
        double count[] = {(double)(n % 9), 1};
        make_rows(5, n, FC_F64);
        EACH(j, n) wide(2)[j] = count[0] > 0 ? wide(2)[j] : 0, wide(3)[j] = count[0] > 0 ? wide(3)[j] : 0;
        say_case("%td sets of %g elements and one more", n, count[0]);
        grow(wide(0), wide(1), wide(2), wide(3), rows[4], n, count[0]);
        EACH(j, n) {
            double sum[] = {wide(2)[j], wide(4)[j]}, spread[] = {wide(3)[j], 0};
            wrong = differ(wide(0)[j], sum[0] + sum[1], 0) ? "another sum" : wrong;
            wrong = differ(wide(1)[j], pooled(2, sum, spread, count), 1e-13) ? "another spread" : wrong;
        }
        verdict(wrong);
    }
}

static void check_match_spread(fc_match_spread_fn *spread)
{
    for (ptrdiff_t w = 1; w <= 40; w++) {
        ptrdiff_t n = up_to(70);
        const char *wrong = "";
        double sums[110], spreads[110], count[110];
        make_rows(4, n + w - 1 + table->vector_bytes / 8, FC_F64);
        EACH(j, n + w - 1) sums[j] = wide(0)[j], spreads[j] = wide(1)[j], count[j] = 3;
        say_case("%td neighbours, %td of them", n, w);
        spread(wide(0), wide(1), wide(2), wide(3), n, w, 3);
        EACH(j, n) wrong = differ(wide(1)[j], pooled(w, sums + j, spreads + j, count), 1e-12) ? "another spread" : wrong;
        verdict(wrong);
    }
}

static void check_match_score(fc_match_score_fn *score)
{
    for (ptrdiff_t n = 1; n <= 70; n++)
        for (int kind = 0; kind < 4; kind++) {
            const char *wrong = "";
            fc_score c = {.normed = kind & 1, .spreads = kind >> 1, .gain = 0.5, .constant = 3, .of_num = 2, .of_sum = -1,
                          .of_squares = 0.25, .of_mean = 4, .per_weight = 0.125, .energy = 8, .of_level = 8, .centre = 100,
                          .per_energy = 0.125, .doubt = 0x1p-20, .floor = n % 3 ? 0 : 1e9, .low = -5, .high = 5};
            make_rows(6, n, FC_F64);
            EACH(j, n) put(rows[5] + j * size, wide(5)[j], type), wide(4)[j] = 1000 + wide(4)[j];
            if (n % 5 == 0)
                wide(2)[n - 1] = NAN;
            say_case("%td scores, normed %d, from spreads %d", n, c.normed, c.spreads);
            int doubt = score(rows[0], rows[1], rows[5], wide(2), wide(3), wide(4), n, &c), doubtful = 0;
            EACH(j, n) {
                double mean = wide(2)[j] / 8, sum = wide(3)[j], given = wide(4)[j], level = c.centre + sum / 8;
                double two = c.spreads ? given + mean * sum : given;
                double e = (c.spreads ? given : given - mean * (2 * sum - mean * 8)) + 8 * level * level;
                double v = (3 + 2 * at(5, j) - sum + two / 4 + 4 * mean) / 2 / (c.normed ? sqrt(e) : 1);
                doubtful |= c.normed && !(e > c.doubt * two + c.floor);
                v = v < -5 ? -5 : v > 5 ? 5 : v;
                wrong = differ(at(0, j), v, type == FC_F32 ? 1e-6 : 1e-13) ? "another score" : wrong;
            }
            verdict(*wrong ? wrong : doubt != doubtful ? "another doubt" : "");
        }
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

/* Output (z, i, j) of the n-th batch. The first index of x counts batches where depth does not slide. */
static cell window(const fc_corr *g, ptrdiff_t n, ptrdiff_t z, ptrdiff_t i, ptrdiff_t j)
{
    cell c = {0};
    const ptrdiff_t o[FC_AXES] = {z, i, j};
    const fc_axis *axis = g->axis;
    EACH(a, axis[ROWS].k) EACH(d, axis[DEPTH].k) EACH(b, axis[COLS].k) {
        const ptrdiff_t tap[FC_AXES] = {d, a, b};
        ptrdiff_t at[FC_AXES], outside = 0;
        EACH(q, FC_AXES) {
            at[q] = folded(o[q] * axis[q].stride - axis[q].lead + tap[q] * axis[q].dilation, axis[q].n, axis[q].boundary);
            outside |= at[q] < 0;
        }
        double fill = is_float(type) ? g->fill : (double)g->integer_fill;
        add_product(&c, outside ? fill : x[at[DEPTH] + n][at[ROWS]][at[COLS]], k[d][a][b]);
    }
    return c;
}

static void random_axis(fc_axis *a, ptrdiff_t most, int dense)
{
    a->n = up_to(most), a->k = up_to(7), a->out = up_to(most);
    a->stride = dense || up_to(2) == 1 ? 1 : up_to(4), a->dilation = up_to(2) == 1 ? 1 : up_to(3);
    a->lead = up_to(12) - 5, a->boundary = (int)up_to(5) - 1;
}

/* k as an outer product */
static void make_separable(fc_corr *g, double factor[FC_AXES][8], char stored[FC_AXES][8 * 8])
{
    g->terms = 1;
    EACH(a, FC_AXES) EACH(t, g->axis[a].k) {
        factor[a][t] = g->axis[a].k == 1 && a == DEPTH ? 1 : (double)(random64() % 5) - 2;
        put(stored[a] + t * size, factor[a][t], type);
    }
    EACH(a, FC_AXES) g->factor[a] = stored[a];
    EACH(d, g->axis[DEPTH].k) EACH(a, g->axis[ROWS].k) EACH(b, g->axis[COLS].k)
        k[d][a][b] = factor[DEPTH][d] * factor[ROWS][a] * factor[COLS][b];
}

static void check_driver(void)
{
    static const int stored_types[4][4] = {[FC_F32] = {FC_F32, FC_U8, FC_I16, FC_F32},
                                           [FC_F64] = {FC_F64, FC_F32, FC_U16, FC_I64},
                                           [FC_I32] = {FC_U8, FC_I8, FC_U16, FC_I16},
                                           [FC_I64] = {FC_I64, FC_U64, FC_U32, FC_I32}};
    static double factor[FC_AXES][8];
    static char stored[FC_AXES][8 * 8];
    fc_tune(8, 0, 0); /* bands of 8 rows; threads and stores past the caches, however small the call */
    for (int trial = 0; trial < 400; trial++) {
        int layout = trial % LAYOUTS, out_layout = trial / LAYOUTS % LAYOUTS, small = trial % 2, deep = trial / 2 % 2;
        fc_corr g = {.type = type, .x_type = stored_types[type][trial / 4 % 4], .fill = 0.75, .integer_fill = 3};
        g.out_type = type == FC_I32 && trial % 3 ? FC_I64 : type;
        small |= g.x_type != type;
        int method = trial % 5 == 0 && is_float(type) ? FC_IM2COL : trial % 5 == 1 && small ? FC_SEPARABLE
                     : trial % 5 == 2 && small && is_float(type) ? FC_FFT
                     : trial % 5 == 3 && small ? FC_BOX : FC_DIRECT;
        int dense = method != FC_DIRECT && method != FC_IM2COL, flat = method == FC_BOX;
        g.method = method;
        fc_axis one = {.n = 1, .k = 1, .out = 1, .whole = 1, .stride = 1, .dilation = 1, .boundary = FC_EDGE};
        g.axis[DEPTH] = one;
        if (deep)
            random_axis(&g.axis[DEPTH], PLANES, dense);
        g.axis[DEPTH].k = flat ? 1 : min(g.axis[DEPTH].k, PLANES);
        random_axis(&g.axis[ROWS], trial % 7 == 0 ? 1 : 24, dense);
        random_axis(&g.axis[COLS], trial % 7 == 0 ? 300 : 40, dense);
        if (trial % 7 == 0) { /* a signal */
            g.axis[ROWS] = one;
            g.axis[COLS].k = up_to(300);
        }
        EACH(a, FC_AXES) {
            fc_axis *axis = &g.axis[a];
            axis->dilation = flat || method == FC_FFT ? 1 : axis->dilation;
            axis->start = up_to(9) - 1; /* a part of a larger result */
            axis->whole = axis->start + axis->out + up_to(9) - 1;
        }
        if (flat)
            g.axis[DEPTH].lead = 0, g.axis[DEPTH].n = g.axis[DEPTH].out;
        ptrdiff_t batches = deep ? 1 : up_to(2), planes = deep ? g.axis[DEPTH].n : batches;
        ptrdiff_t out_planes = deep ? g.axis[DEPTH].out : batches;
        randomize(small, g.x_type);
        if (method == FC_SEPARABLE) {
            g.axis[COLS].k = min(g.axis[COLS].k, 7);
            make_separable(&g, factor, stored);
        }
        if (method == FC_BOX)
            EACH(a, g.axis[ROWS].k) EACH(b, g.axis[COLS].k) k[0][a][b] = k[0][0][0];
        EACH(n, out_planes) EACH(i, g.axis[ROWS].out) EACH(j, g.axis[COLS].out)
            want[n][i][j] = window(&g, deep ? 0 : n, deep ? n : 0, i, j);
        view vx = lay_as(g.x_type, source[0], layout, planes, g.axis[ROWS].n, g.axis[COLS].n, x);
        view vk = lay(source[1], layout, g.axis[DEPTH].k, g.axis[ROWS].k, g.axis[COLS].k, k);
        g.x = vx.p, g.axis[ROWS].x_step = vx.row, g.axis[COLS].x_step = vx.col;
        g.k = vk.p, g.axis[DEPTH].k_step = vk.plane, g.axis[ROWS].k_step = vk.row, g.axis[COLS].k_step = vk.col;
        for (g.threads = 1; g.threads <= 3; g.threads += 2) {
            view out = lay_as(g.out_type, dest, out_layout, out_planes, g.axis[ROWS].out, g.axis[COLS].out, NULL);
            g.out = out.p, g.axis[ROWS].out_step = out.row, g.axis[COLS].out_step = out.col;
            if (deep)
                g.axis[DEPTH].x_step = vx.plane, g.axis[DEPTH].out_step = out.plane;
            else
                g.batches = 1, g.batch[0] = (fc_batch){batches, vx.plane, out.plane};
            say_case("trial %d: method %d, x type %d, out type %d, threads %d, layouts %d to %d, x %tdx%tdx%td, "
                     "k %tdx%tdx%td", trial, g.method, g.x_type, g.out_type, g.threads, layout, out_layout, planes,
                     g.axis[ROWS].n, g.axis[COLS].n, g.axis[DEPTH].k, g.axis[ROWS].k, g.axis[COLS].k);
            if (fc_corr_run(&g) != 0) {
                verdict("memory is short");
                continue;
            }
            if (method == FC_FFT) /* exact sums but for the rounding of transforms; fill is 3/4 */
                EACH(n, out_planes) EACH(i, g.axis[ROWS].out) EACH(j, g.axis[COLS].out)
                    put(element(out, n, i, j), round(4 * get(element(out, n, i, j), type)) / 4 + 0.0, type);
            verify_as(g.out_type, out, out_planes, g.axis[ROWS].out, g.axis[COLS].out);
        }
    }
    fc_tune(FC_BAND_ROWS, FC_THREADS_FROM_US, FC_STREAM_FROM);
}

/* One pass of FC_LINES over v[rows][cols], of which only a frame beyond the edges is left out: lines.c has the order */
static void pass_along(const fc_corr *g, int axis, const double *w, const grid from, grid to, ptrdiff_t rows, ptrdiff_t cols)
{
    const fc_axis *a = &g->axis[axis];
    int even = a->k % 2, odd = a->k % 2;
    for (ptrdiff_t t = 0; w && t < a->k / 2; t++)
        even &= w[t] == w[a->k - 1 - t], odd &= w[t] == -w[a->k - 1 - t];
    EACH(i, rows) EACH(j, cols) {
        double s[70], sum = 0;
        EACH(t, a->k) {
            ptrdiff_t at = fc_source_index((axis == ROWS ? i : j) - a->lead + t, a->n, a->boundary);
            s[t] = at < 0 ? rounded(g->fill) : axis == ROWS ? from[0][at][j] : from[0][i][at];
        }
        if (!w)
            EACH(t, a->k) sum += s[t]; /* integers */
        else if (even || odd) {
            sum = rounded(s[a->k / 2] * w[a->k / 2]);
            EACH(t, a->k / 2) {
                double pair = rounded(even ? s[t] + s[a->k - 1 - t] : s[t] - s[a->k - 1 - t]);
                sum = rounded(sum + rounded(pair * w[t]));
            }
        } else {
            sum = rounded(s[a->k - 1] * w[a->k - 1]);
            EACH(t, a->k - 1) sum = rounded(sum + rounded(s[t] * w[t]));
        }
        to[0][i][j] = sum;
    }
}

static void check_lines(void)
{
    static const int narrow_types[] = {FC_U8, FC_I16, FC_U16, FC_I32, FC_I8}, wide_types[] = {FC_F32, FC_F64, FC_U8, FC_I64, FC_I32};
    static grid middle, result, weights;
    static char image[AREA];
    fc_tune(8, 0, 0);
    for (int trial = 0; trial < 300; trial++) {
        const int *types = type == FC_F32 ? narrow_types : wide_types;
        int sums = up_to(2) == 1, layout = trial % LAYOUTS, out_layout = trial / LAYOUTS % LAYOUTS;
        fc_corr g = {.type = type, .x_type = types[up_to(5) - 1], .out_type = types[up_to(5) - 1], .method = FC_LINES, .fill = 3};
        g.columns_first = up_to(2) == 1;
        g.between = sums ? FC_I32 : g.out_type; /* integers, whose sums have no order */
        fc_axis one = {.n = 1, .k = 1, .out = 1, .whole = 1, .stride = 1, .dilation = 1, .boundary = FC_EDGE};
        g.axis[DEPTH] = g.axis[ROWS] = g.axis[COLS] = one;
        int both = up_to(3) > 1, only = ROWS + (int)up_to(2) - 1;
        randomize(1, g.x_type);
        for (int a = ROWS; a <= COLS; a++) {
            fc_axis *axis = &g.axis[a];
            axis->n = axis->out = axis->whole = up_to(a == ROWS ? (trial % 4 ? 60 : 20) : trial % 4 ? 50 : 300);
            if (!both && a != only)
                continue;
            axis->k = up_to(trial % 5 ? 9 : 60), axis->lead = up_to(axis->k + 4) - 3, axis->boundary = (int)up_to(5) - 1;
            g.line[a].divisor = up_to(2) == 1 ? 0 : (double)up_to(60);
            double sign = up_to(2) == 1 ? 1 : -1;
            EACH(t, axis->k) weights[a][0][t] = sums ? (double)up_to(5) - 3 : rounded((double)(int64_t)random64() * 0x1p-62);
            if (trial % 3)
                EACH(t, axis->k / 2) weights[a][0][t] = sign * weights[a][0][axis->k - 1 - t];
            if (!sums || up_to(2) == 1) {
                g.line[a].w = source[1] + (a == ROWS ? 0 : AREA / 2);
                EACH(t, axis->k) put(source[1] + (a == ROWS ? 0 : AREA / 2) + t * size, weights[a][0][t], type);
            }
        }
        for (int a = ROWS; a <= COLS; a++)
            if (!g.line[a].w && g.axis[a].k == 1) /* no pass at all */
                g.axis[a].lead = 0, g.line[a].divisor = 0;
        g.columns_first = both ? g.columns_first : only == COLS;
        ptrdiff_t rows = g.axis[ROWS].n, cols = g.axis[COLS].n;
        int first = g.columns_first ? COLS : ROWS, second = ROWS + COLS - first;
        double divisor = g.line[first].divisor;
        pass_along(&g, first, g.line[first].w ? weights[first][0] : NULL, x, middle, rows, cols);
        int is_two = g.line[second].w || g.axis[second].k > 1;
        EACH(i, is_two ? rows : 0) EACH(j, cols) {
            char cast[8];
            store_cast(cast, middle[0][i][j], divisor != 0 ? divisor : 1, g.between);
            middle[0][i][j] = get(cast, g.between);
        }
        if (is_two) {
            pass_along(&g, second, g.line[second].w ? weights[second][0] : NULL, middle, result, rows, cols);
            divisor = g.line[second].divisor;
        } else {
            memcpy(result, middle, sizeof result);
        }
        view vx = lay_as(g.x_type, source[0], layout, 1, rows, cols, x);
        g.x = vx.p, g.axis[ROWS].x_step = vx.row, g.axis[COLS].x_step = vx.col;
        for (g.threads = 1; g.threads <= 3; g.threads += 2) {
            view out = lay_as(g.out_type, dest, out_layout, 1, rows, cols, NULL);
            g.out = out.p, g.axis[ROWS].out_step = out.row, g.axis[COLS].out_step = out.col;
            say_case("trial %d: x type %d, out type %d, between %d, threads %d, x %tdx%td, k %tdx%td, %s, columns first %d, "
                     "sums %d %d, divisors %g %g", trial, g.x_type, g.out_type, g.between, g.threads, rows, cols, g.axis[ROWS].k,
                     g.axis[COLS].k, both ? "both" : "one", g.columns_first, !g.line[ROWS].w, !g.line[COLS].w,
                     g.line[ROWS].divisor, g.line[COLS].divisor);
            memset(image, POISON, AREA);
            EACH(i, rows) EACH(j, cols)
                store_cast(image + (element(out, 0, i, j) - dest), result[0][i][j], divisor != 0 ? divisor : 1, g.out_type);
            if (fc_corr_run(&g) != 0) {
                verdict("memory is short");
                continue;
            }
            char wrong[120] = "";
            EACH(i, rows) EACH(j, cols) {
                char *p = element(out, 0, i, j), *should = image + (p - dest);
                if (!*wrong && get(p, g.out_type) != get(should, g.out_type))
                    snprintf(wrong, sizeof wrong, "out[%td][%td] is %.17g, not %.17g", i, j, get(p, g.out_type), get(should, g.out_type));
                memcpy(should, p, (size_t)fc_stored_size(g.out_type)); /* zeros of either sign */
            }
            if (!*wrong && memcmp(image, dest, AREA) != 0)
                snprintf(wrong, sizeof wrong, "wrote outside");
            verdict(wrong);
        }
    }
    fc_tune(FC_BAND_ROWS, FC_THREADS_FROM_US, FC_STREAM_FROM);
}

/* The score at (z, i, j) by the definitions in fastconv.h */
/* ---- convolution layers ------------------------------------------------------------------------ */

/* A layer of random geometry: n elements of x and o outputs along each axis */
static fc_conv random_layer(int trial, ptrdiff_t n[FC_AXES], ptrdiff_t o[FC_AXES])
{
    fc_conv g = {.type = type, .images = up_to(3), .groups = up_to(3) == 1 ? up_to(5) : 1, .channels = up_to(7),
                 .kernels = up_to(20), .clamp = trial % 3 == 0, .low = -20, .high = 35.5};
    if (trial % 2 == 0)
        g.groups = up_to(20), g.channels = 1, g.kernels = up_to(2);
    ptrdiff_t most[FC_AXES] = {trial % 5 == 0 ? 3 : 1, trial % 7 == 0 ? 1 : 9, trial % 7 == 0 ? 90 : 12};
    EACH(a, FC_AXES) {
        fc_axis *axis = &g.axis[a];
        *axis = (fc_axis){.n = up_to(most[a]), .k = most[a] == 1 ? 1 : up_to(5), .stride = 1, .dilation = 1};
        if (up_to(3) == 1)
            axis->stride = up_to(3);
        if (up_to(3) == 1)
            axis->dilation = up_to(3);
        axis->boundary = (int)up_to(5) - 1;
        ptrdiff_t span = (axis->k - 1) * axis->dilation + 1, padded;
        axis->lead = up_to(3) - 1;
        padded = axis->n + axis->lead + up_to(3) - 1;
        padded = padded < span ? span : padded;
        axis->out = (padded - span) / axis->stride + 1;
        n[a] = axis->n, o[a] = axis->out;
    }
    if (trial % 6 == 0) /* 1x1 */
        EACH(a, FC_AXES) g.axis[a].k = g.axis[a].stride = 1, g.axis[a].lead = 0, g.axis[a].out = o[a] = n[a];
    return g;
}

static void say_axes(const fc_axis axis[FC_AXES])
{
    EACH(a, FC_AXES)
        say_more("; x %td, k %td, out %td, stride %td, dilation %td, lead %td, boundary %d", axis[a].n, axis[a].k, axis[a].out,
                 axis[a].stride, axis[a].dilation, axis[a].lead, axis[a].boundary);
}

/* out, in the third area, holds exactly these sums, and poison lies around it */
static void verify_sums(char *out, ptrdiff_t count, const double *sums)
{
    const char *wrong = "";
    EACH(i, count) {
        if (get(out + i * size, type) != sums[i])
            wrong = "a result is wrong";
        memset(out + i * size, POISON, (size_t)size);
    }
    EACH(byte, AREA) if ((unsigned char)areas[2][byte] != POISON) wrong = "wrote outside out";
    verdict(wrong);
}

/* Random layers of small integers, whose sums are exact, on one thread and on three */
static void check_conv(void)
{
    fc_tune(8, 0, 0); /* threads, however small the call */
    for (int trial = 0; trial < 300; trial++) {
        ptrdiff_t n[3], o[3];
        fc_conv g = random_layer(trial, n, o);
        ptrdiff_t volume = o[0] * o[1] * o[2], c_all = g.groups * g.channels;
        ptrdiff_t k_all = g.groups * g.kernels, taps = g.axis[0].k * g.axis[1].k * g.axis[2].k;
        ptrdiff_t row = n[2] + up_to(3) - 1; /* elements from one row of x to the next */
        ptrdiff_t x_count = g.images * c_all * n[0] * n[1] * row, out_count = g.images * k_all * volume;
        if (x_count * size > AREA / 2 || out_count * size > AREA / 2 || k_all * g.channels * taps * size > AREA / 2)
            continue;
        char *px = place(0, x_count * size), *pw = place(1, k_all * g.channels * taps * size), *pb = place(3, k_all * size);
        EACH(i, x_count) if (i % row < n[2]) put(px + i * size, (double)up_to(9) - 5, type);
        EACH(i, k_all * g.channels * taps) put(pw + i * size, (double)up_to(9) - 5, type);
        EACH(i, k_all) put(pb + i * size, (double)up_to(9) - 5, type);
        g.axis[2].x_step = size, g.axis[1].x_step = row * size, g.axis[0].x_step = n[1] * row * size;
        g.x_channel = n[0] * n[1] * row * size, g.x_image = c_all * g.x_channel;
        g.x = px, g.w = pw, g.bias = trial % 5 ? pb : NULL;
        for (g.threads = 1; g.threads <= 3; g.threads += 2) {
            g.out = place(2, out_count * size);
            say_case("trial %d: threads %d, images %td, groups %td, %td -> %td, clamp %d, bias %d", trial, g.threads,
                     g.images, g.groups, g.channels, g.kernels, g.clamp, g.bias != NULL);
            say_axes(g.axis);
            if (fc_conv_run(&g) != 0) {
                verdict("memory is short");
                continue;
            }
            const char *wrong = "";
            EACH(image, g.images) EACH(m, k_all) EACH(q, volume) {
                const ptrdiff_t at[FC_AXES] = {q / (o[1] * o[2]), q / o[2] % o[1], q % o[2]};
                double sum = g.bias ? get(pb + m * size, type) : 0;
                EACH(c, g.channels) EACH(t, taps) {
                    const ptrdiff_t tap[FC_AXES] = {t / (g.axis[1].k * g.axis[2].k), t / g.axis[2].k % g.axis[1].k, t % g.axis[2].k};
                    ptrdiff_t from = (image * c_all + m / g.kernels * g.channels + c) * n[0], outside = 0, i[FC_AXES];
                    EACH(a, FC_AXES) {
                        i[a] = folded(at[a] * g.axis[a].stride - g.axis[a].lead + tap[a] * g.axis[a].dilation, n[a],
                                      g.axis[a].boundary);
                        outside |= i[a] < 0;
                    }
                    if (!outside)
                        sum += get(px + (((from + i[0]) * n[1] + i[1]) * row + i[2]) * size, type) *
                               get(pw + ((m * g.channels + c) * taps + t) * size, type);
                }
                sum = g.clamp ? fmin(fmax(sum, g.low), g.high) : sum;
                char *element = g.out + ((image * k_all + m) * volume + q) * size;
                if (get(element, type) != sum)
                    wrong = "a result is wrong";
                memset(element, POISON, (size_t)size);
            }
            EACH(byte, AREA) if ((unsigned char)areas[2][byte] != POISON) wrong = "wrote outside out";
            verdict(wrong);
        }
    }
    fc_tune(FC_BAND_ROWS, FC_THREADS_FROM_US, FC_STREAM_FROM);
}

/* Their gradients: every product of a gradient of the output goes to the element of x, and to the weight, that it came from */
static void check_gradients(void)
{
    static double dx[1 << 18], dw[1 << 16];
    fc_tune(8, 0, 0);
    for (int trial = 0; trial < 300; trial++) {
        ptrdiff_t n[3], o[3];
        fc_conv g = random_layer(trial, n, o);
        const int of_weights = trial / 6 % 2;
        EACH(a, FC_AXES) if (!of_weights) g.axis[a].boundary = FC_CONSTANT;
        ptrdiff_t volume = o[0] * o[1] * o[2], whole = n[0] * n[1] * n[2], c_all = g.groups * g.channels;
        ptrdiff_t k_all = g.groups * g.kernels, taps = g.axis[0].k * g.axis[1].k * g.axis[2].k;
        ptrdiff_t x_count = g.images * c_all * whole, w_count = k_all * g.channels * taps, y_count = g.images * k_all * volume;
        if (max(max(x_count, w_count), y_count) * size > AREA / 2 || x_count > 1 << 18 || w_count > 1 << 16)
            continue;
        char *px = place(0, x_count * size), *pw = place(1, w_count * size), *py = place(4, y_count * size);
        char *pb = place(3, c_all * size);
        EACH(i, x_count) put(px + i * size, (double)up_to(9) - 5, type);
        EACH(i, w_count) put(pw + i * size, (double)up_to(9) - 5, type);
        EACH(i, y_count) put(py + i * size, (double)up_to(9) - 5, type);
        EACH(i, c_all) put(pb + i * size, (double)up_to(9) - 5, type);
        g.w = pw, g.x = of_weights ? px : py, g.dy = py, g.bias = !of_weights && trial % 5 ? pb : NULL;
        g.clamp = g.clamp && !of_weights, g.gradient = !of_weights;
        const ptrdiff_t *read = of_weights ? n : o;
        g.axis[2].x_step = size, g.axis[1].x_step = read[2] * size, g.axis[0].x_step = read[1] * read[2] * size;
        g.x_channel = read[0] * read[1] * read[2] * size, g.x_image = (of_weights ? c_all : k_all) * g.x_channel;
        g.dy_step[2] = size, g.dy_step[1] = o[2] * size, g.dy_step[0] = o[1] * o[2] * size;
        g.dy_channel = volume * size, g.dy_image = k_all * volume * size;
        EACH(i, x_count) dx[i] = g.bias ? get(pb + i / whole % c_all * size, type) : 0;
        EACH(i, w_count) dw[i] = 0;
        EACH(image, g.images) EACH(m, k_all) EACH(q, volume) EACH(c, g.channels) EACH(t, taps) {
            const ptrdiff_t at[FC_AXES] = {q / (o[1] * o[2]), q / o[2] % o[1], q % o[2]};
            const ptrdiff_t tap[FC_AXES] = {t / (g.axis[1].k * g.axis[2].k), t / g.axis[2].k % g.axis[1].k, t % g.axis[2].k};
            ptrdiff_t in_x = image * c_all + m / g.kernels * g.channels + c, outside = 0;
            EACH(a, FC_AXES) {
                ptrdiff_t i = folded(at[a] * g.axis[a].stride - g.axis[a].lead + tap[a] * g.axis[a].dilation, n[a], g.axis[a].boundary);
                outside |= i < 0;
                in_x = in_x * n[a] + i;
            }
            if (outside)
                continue;
            double dy = get(py + ((image * k_all + m) * volume + q) * size, type);
            dx[in_x] += dy * get(pw + ((m * g.channels + c) * taps + t) * size, type);
            dw[(m * g.channels + c) * taps + t] += dy * get(px + in_x * size, type);
        }
        EACH(i, g.clamp ? x_count : 0) dx[i] = fmin(fmax(dx[i], g.low), g.high);
        const ptrdiff_t count = of_weights ? w_count : x_count;
        for (g.threads = 1; g.threads <= 3; g.threads += 2) {
            g.out = place(2, count * size);
            say_case("trial %d: gradient of %s, threads %d, images %td, groups %td, %td -> %td, clamp %d, bias %d", trial,
                     of_weights ? "weights" : "input", g.threads, g.images, g.groups, g.channels, g.kernels, g.clamp, g.bias != NULL);
            say_axes(g.axis);
            if ((of_weights ? fc_conv_weight_run(&g) : fc_conv_run(&g)) != 0) {
                verdict("memory is short");
                continue;
            }
            verify_sums(g.out, count, of_weights ? dw : dx);
        }
    }
    fc_tune(FC_BAND_ROWS, FC_THREADS_FROM_US, FC_STREAM_FROM);
}

/* Columns of windows of random geometry, and columns added back */
static void check_folds(void)
{
    static double want[1 << 16];
    fc_tune(8, 0, 0);
    for (int trial = 0; trial < 300; trial++) {
        ptrdiff_t n[3], o[3];
        const fc_conv random = random_layer(trial, n, o);
        fc_fold g = {.folds = trial / 6 % 2, .size = size, .images = random.images, .channels = random.channels};
        memcpy(g.axis, random.axis, sizeof g.axis);
        ptrdiff_t planes = g.images * g.channels, taps = g.axis[0].k * g.axis[1].k * g.axis[2].k, volume = o[0] * o[1] * o[2];
        ptrdiff_t row = n[2] + (g.folds ? 0 : up_to(3) - 1), whole = n[0] * n[1] * row, columns = planes * taps * volume;
        ptrdiff_t x_count = g.folds ? columns : planes * whole, count = g.folds ? planes * whole : columns;
        if (max(x_count, count) * size > AREA / 2 || count > 1 << 16)
            continue;
        char *px = place(0, x_count * size);
        EACH(i, x_count) if (g.folds || i % row < n[2]) put(px + i * size, (double)up_to(9) - 5, type);
        g.x = px, g.x_channel = whole * size, g.x_image = g.channels * g.x_channel;
        g.axis[2].x_step = size, g.axis[1].x_step = row * size, g.axis[0].x_step = n[1] * row * size;
        EACH(i, count) want[i] = 0;
        EACH(p, planes) EACH(t, taps) EACH(q, volume) {
            const ptrdiff_t at[FC_AXES] = {q / (o[1] * o[2]), q / o[2] % o[1], q % o[2]};
            const ptrdiff_t tap[FC_AXES] = {t / (g.axis[1].k * g.axis[2].k), t / g.axis[2].k % g.axis[1].k, t % g.axis[2].k};
            ptrdiff_t i[FC_AXES], outside = 0, column = (p * taps + t) * volume + q;
            EACH(a, FC_AXES) {
                i[a] = at[a] * g.axis[a].stride - g.axis[a].lead + tap[a] * g.axis[a].dilation;
                outside |= i[a] < 0 || i[a] >= n[a];
            }
            ptrdiff_t in_x = p * whole + (i[0] * n[1] + i[1]) * row + i[2];
            if (!outside)
                want[g.folds ? in_x : column] += get(px + (g.folds ? column : in_x) * size, type);
        }
        for (g.threads = 1; g.threads <= 3; g.threads += 2) {
            g.out = place(2, count * size);
            say_case("trial %d: %s, threads %d, planes %td", trial, g.folds ? "fold" : "unfold", g.threads, planes);
            say_axes(g.axis);
            if (fc_fold_run(&g) != 0) {
                verdict("memory is short");
                continue;
            }
            verify_sums(g.out, count, want);
        }
    }
    fc_tune(FC_BAND_ROWS, FC_THREADS_FROM_US, FC_STREAM_FROM);
}

static double score_of(const fc_match *g, const double *t, const double *weights, ptrdiff_t z, ptrdiff_t i, ptrdiff_t j)
{
    static double X[PLANES * TALL * WIDE];
    const ptrdiff_t o[FC_AXES] = {z, i, j};
    ptrdiff_t taps = 0;
    double mean_t = 0, mean_x = 0, all = 0, cross = 0, square = 0, power_t = 0, power_x = 0;
    EACH(d, g->k[DEPTH]) EACH(a, g->k[ROWS]) EACH(b, g->k[COLS]) {
        const ptrdiff_t tap[FC_AXES] = {d, a, b};
        ptrdiff_t from[FC_AXES], outside = 0;
        EACH(q, FC_AXES) {
            from[q] = folded(o[q] - g->lead[q] + tap[q], g->n[q], g->boundary);
            outside |= from[q] < 0;
        }
        X[taps] = outside ? g->fill : x[from[DEPTH]][from[ROWS]][from[COLS]];
        all += weights[taps], mean_t += weights[taps] * t[taps], mean_x += weights[taps] * X[taps];
        taps++;
    }
    int about_mean = g->measure == FC_CCOEFF;
    EACH(e, taps) {
        double v = weights[e] * weights[e];
        double T = t[e] - (about_mean ? mean_t / all : 0), x = X[e] - (about_mean ? mean_x / all : 0);
        cross += v * T * x, square += v * (T - x) * (T - x), power_t += v * T * T, power_x += v * x * x;
    }
    double score = g->measure == FC_SQDIFF ? square : cross, norm = sqrt(power_t * power_x);
    if (!g->normed)
        return score;
    return norm < 1e-9 ? (g->measure == FC_SQDIFF && square > 1e-9) : score / norm > 1 ? 1 : score / norm;
}

static void check_match(void)
{
    static double t[PLANES * TALL * TALL], weights[PLANES * TALL * TALL], stored[2][PLANES * TALL * TALL];
    fc_tune(8, 0, 0);
    for (int trial = 0; trial < 70; trial++) {
        int deep = trial % 5 == 4, layout = trial % LAYOUTS, large = trial % 4 == 3 && !deep, masked = trial % 3 == 2;
        fc_match g = {.x_type = trial % 2 ? FC_U8 : type, .out_type = trial % 7 ? type : FC_F32, .measure = trial / 2 % 3,
                      .normed = trial / 6 % 2, .boundary = (int)up_to(5) - 1, .fill = 2, .scale = 0.5};
        g.type = masked ? FC_F64 : type;
        g.whole = g.type == FC_F64 && g.x_type == FC_U8 && trial / 3 % 2;
        const ptrdiff_t most[FC_AXES] = {deep ? PLANES : 1, large ? TALL : 24, large ? 200 : 40};
        EACH(a, FC_AXES) {
            g.n[a] = large && a > DEPTH ? most[a] : up_to(most[a]);
            g.k[a] = large && a > DEPTH ? 11 + up_to(6) : up_to(most[a] < 5 ? most[a] : 5);
            g.k[a] = min(g.k[a], g.n[a]);
            g.out[a] = g.n[a], g.lead[a] = a == DEPTH && !deep ? 0 : up_to(5) - 3;
        }
        if (g.whole)
            g.scale = 1;
        randomize(1, FC_U8);
        ptrdiff_t taps = g.k[DEPTH] * g.k[ROWS] * g.k[COLS];
        double sum = 0, mass = 0;
        EACH(e, taps) {
            t[e] = (double)(random64() % 9), weights[e] = masked ? (double)(random64() % 3) / (g.whole ? 1 : 2) : 1;
            weights[e] = e == 0 ? 1 : weights[e];
            double m = g.measure == FC_CCOEFF ? weights[e] : weights[e] * weights[e];
            sum += m * t[e], mass += m;
        }
        g.shift = g.whole ? rint(sum / mass) : sum / mass;
        g.weight = mass;
        EACH(e, taps) {
            double v = weights[e] * weights[e], off = (t[e] - g.shift) * g.scale, far = (t[e] - sum / mass) * g.scale;
            g.energy += v, g.spread += v * far * far, g.square += v * off * off, g.power += v * t[e] * t[e] * g.scale * g.scale;
            stored[0][e] = v * off, stored[1][e] = v;
        }
        g.t = stored[0];
        if (masked)
            g.weights = g.measure == FC_CCOEFF ? weights : stored[1], g.energies = stored[1];
        view vx = lay_as(g.x_type, source[0], layout, g.n[DEPTH], g.n[ROWS], g.n[COLS], x);
        g.x = vx.p, g.x_step[DEPTH] = vx.plane, g.x_step[ROWS] = vx.row, g.x_step[COLS] = vx.col;
        for (g.threads = 1; g.threads <= 3; g.threads += 2) {
            view out = lay_as(g.out_type, dest, ADJACENT, g.out[DEPTH], g.out[ROWS], g.out[COLS], NULL);
            g.result = out.p, g.out_step[DEPTH] = out.plane, g.out_step[ROWS] = out.row, g.out_step[COLS] = out.col;
            say_case("trial %d: measure %d, normed %d, masked %d, whole %d, x type %d, threads %d, x %tdx%tdx%td, k %tdx%tdx%td",
                     trial, g.measure, g.normed, masked, g.whole, g.x_type, g.threads, g.n[DEPTH], g.n[ROWS], g.n[COLS],
                     g.k[DEPTH], g.k[ROWS], g.k[COLS]);
            if (fc_match_run(&g) != 0) {
                verdict("memory is short");
                continue;
            }
            char wrong[200] = "";
            double room = (g.type == FC_F32 ? 1e-4 : 1e-6) * (g.normed ? 1 : (double)taps * 10);
            EACH(z, g.out[DEPTH]) EACH(i, g.out[ROWS]) EACH(j, g.out[COLS]) {
                double got = get(element(out, z, i, j), g.out_type), should = score_of(&g, t, weights, z, i, j);
                if (!(fabs(got - should) <= room) || (g.normed && fabs(got) > 1))
                    snprintf(wrong, sizeof wrong, "score[%td][%td][%td] is %g, not %g", z, i, j, got, should);
            }
            verdict(wrong);
        }
    }
    fc_tune(FC_BAND_ROWS, FC_THREADS_FROM_US, FC_STREAM_FROM);
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

/* ---- scratch ----------------------------------------------------------------------------------- */

static void check_rooms(void)
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

/* ------------------------------------------------------------------------------------------------ */

static void report(const char *isa)
{
    static long before;
    printf("%s %s: %ld checks\n", isa, unit, passed + failed - before);
    before = passed + failed;
    alarm(TIMEOUT);
}

enum { f32 = FC_F32, f64 = FC_F64, i32 = FC_I32, i64 = FC_I64 };
#define CHECK(name, of, call) \
    if (strstr(name, only))   \
        unit = name, type = of, size = fc_stored_size(of), call, report(table->isa);
#define CHECK_KERNEL(kernel, of) CHECK(#kernel "_" #of, of, check_##kernel(table->op[of]->kernel))
#define CHECK_DOUBLE(kernel) CHECK_KERNEL(kernel, f64)
#define CHECK_FLOATS(kernel) CHECK_KERNEL(kernel, f32) CHECK_DOUBLE(kernel)
#define CHECK_TYPES(kernel) CHECK_FLOATS(kernel) CHECK_KERNEL(kernel, i32) CHECK_KERNEL(kernel, i64)

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
    EACH(i, 6) areas[i] = guarded_area();
    source[0] = areas[0], source[1] = areas[1], dest = areas[2];
    check_rooms();
    report("the");
    unit = "pool";
    check_pool();
    report("the");
    for (int i = 0; (table = fc_isa(i)); i++) {
        fc_use(table);
        FC_OPS(CHECK_TYPES) FC_FLOAT_OPS(CHECK_FLOATS) FC_DOUBLE_OPS(CHECK_DOUBLE)
        CHECK("fftcorr_f32", f32, check_fftcorr())
        CHECK("fftcorr_f64", f64, check_fftcorr())
        CHECK("driver_f32", f32, check_driver())
        CHECK("driver_f64", f64, check_driver())
        CHECK("driver_i32", i32, check_driver())
        CHECK("driver_i64", i64, check_driver())
        CHECK("lines_driver_f32", f32, check_lines())
        CHECK("lines_driver_f64", f64, check_lines())
        CHECK("conv_driver_f32", f32, check_conv())
        CHECK("conv_driver_f64", f64, check_conv())
        CHECK("gradients_f32", f32, check_gradients())
        CHECK("gradients_f64", f64, check_gradients())
        CHECK("folds_f32", f32, check_folds())
        CHECK("folds_f64", f64, check_folds())
        CHECK("match_driver_f32", f32, check_match())
        CHECK("match_driver_f64", f64, check_match())
    }
    printf("%ld passed, %ld failed\n", passed, failed);
    return failed > 0;
}
