/* SPDX-License-Identifier: BSD-3-Clause */
/* What check.h declares: what a case is told by, data, memory, and the verdict. */
#include "check.h"

const fc_kernels *table;   /* what is being checked: in this table, */
const char *unit = "pool"; /* this kernel or driver, */
int type;                  /* with elements of this type, */
ptrdiff_t size;            /* of this size, */
static char what[400];            /* in this case */
long passed, failed;

/* ---- words ------------------------------------------------------------------------------------ */

__attribute__((format(printf, 1, 2))) void say_case(const char *format, ...)
{
    int n = snprintf(what, sizeof what, "%s %s ", table ? table->isa : "the", unit);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what + n, sizeof what - (size_t)n, format, arguments);
    va_end(arguments);
}

__attribute__((format(printf, 1, 2))) void say_more(const char *format, ...)
{
    size_t n = strlen(what);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what + n, sizeof what - n, format, arguments);
    va_end(arguments);
}

void verdict(const char *wrong) /* "": all is well */
{
    if (!*wrong)
        passed++;
    else if (failed++ < 20)
        printf("FAIL %s: %s\n", what, wrong);
    guide();
}

void stopped(int signal) /* in a kernel or driver, not within stdio */
{
    static long before = -1;
    if (signal == SIGALRM && before != passed + failed) { /* slow, on a machine that others use, but not stuck */
        before = passed + failed;
        alarm(TIMEOUT);
        return;
    }
    printf("FAIL %s: %s\n", what, signal == SIGALRM ? "does not return" : "touched memory outside its arrays");
    _exit(1);
}

/* ---- data ------------------------------------------------------------------------------------- */

uint64_t seed;

uint64_t random64(void) /* splitmix64 */
{
    uint64_t z = seed += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return guided(z ^ z >> 31);
}
ptrdiff_t up_to(ptrdiff_t n) /* 1 ... n */
{
    return 1 + (ptrdiff_t)(random64() % (uint64_t)n);
}

int is_float(int t)
{
    return t == FC_F32 || t == FC_F64;
}

/* Elements hold numbers that a double holds, too. */
#define EACH_TYPE(X)                                                                                         \
    X(FC_F32, float) X(FC_F64, double) X(FC_I32, int32_t) X(FC_I64, int64_t) X(FC_U8, uint8_t) X(FC_I8, int8_t) \
    X(FC_U16, uint16_t) X(FC_I16, int16_t) X(FC_U32, uint32_t) X(FC_U64, uint64_t)
void put(char *p, double value, int t)
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
double get(const char *p, int t)
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

grid x, k;

/* small: integers whose sums of 17 x 17 products stay below 2^24, and which every type holds. x_type: what x is stored as.
 * Numbers of each kind are drawn once; x and k begin anywhere in them. */
void randomize(int small, int x_type)
{
    enum { COUNT = PLANES * TALL * WIDE };
    static struct numbers {
        int drawn, type, x_type;
        double x[2 * COUNT], k[2 * COUNT];
    } of_kind[3];
    int unsigned_x = x_type == FC_U8 || x_type == FC_U16 || x_type == FC_U32 || x_type == FC_U64;
    struct numbers *of = &of_kind[small ? 1 + unsigned_x : 0];
    if (!of->drawn || (!small && (of->type != type || of->x_type != x_type))) {
        char rounded[sizeof(double)];
        of->drawn = 1, of->type = type, of->x_type = x_type;
        EACH(i, 2 * COUNT) EACH(which, 2) {
            double value = small                     ? (double)(random64() % 17) - 8
                           : is_float(type)          ? (double)(int64_t)random64() * 0x1p-63
                                                     : (double)(int32_t)random64();
            put(rounded, which == 0 && unsigned_x ? fabs(value) : value, which ? type : x_type);
            (which ? of->k : of->x)[i] = get(rounded, which ? type : x_type);
        }
    }
    memcpy(x, of->x + up_to(COUNT) - 1, sizeof x);
    memcpy(k, of->k + up_to(COUNT) - 1, sizeof k);
}

cell want[PLANES][TALL][WIDE];

void add_product(cell *c, double a, double b)
{
    if (!is_float(type)) {
        c->wrapped += (uint64_t)(int64_t)a * (uint64_t)(int64_t)b;
        return;
    }
    if (type == FC_F32)
        c->sum = table->fma ? fmaf((float)a, (float)b, (float)c->sum) : (float)a * (float)b + (float)c->sum;
    else
        c->sum = table->fma ? fma(a, b, c->sum) : a * b + c->sum;
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
        memcpy(p, &c->wrapped, (size_t)fc_stored_size(out_type)); /* the low bytes come first */
}

/* ---- memory ----------------------------------------------------------------------------------- */

char *areas[6], *source[2], *dest; /* the latter are the first of the former */

#ifdef _WIN32
/* Not by windows.h, whose macros have common names. */
__declspec(dllimport) void *__stdcall VirtualAlloc(void *, size_t, unsigned long, unsigned long);
char *guarded_area(void)
{
    enum { COMMIT = 0x1000, RESERVE = 0x2000, NO_ACCESS = 1, READ_WRITE = 4 };
    char *p = VirtualAlloc(NULL, 3 * AREA, RESERVE, NO_ACCESS);
    if (!p || !VirtualAlloc(p + AREA, AREA, COMMIT, READ_WRITE))
        exit(2);
    return p + AREA;
}
#else
char *guarded_area(void)
{
    char *p = mmap(NULL, 3 * AREA, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + AREA, AREA, PROT_READ | PROT_WRITE) != 0) {
        perror("mmap");
        exit(2);
    }
    return p + AREA;
}
#endif

char *place(int area, ptrdiff_t bytes) /* at either end, amid poison */
{
    memset(areas[area], POISON, AREA);
    return areas[area] + (up_to(2) - 1) * (AREA - bytes);
}

char *element(view v, ptrdiff_t n, ptrdiff_t i, ptrdiff_t j)
{
    return v.p + n * v.plane + i * v.row + j * v.col;
}

/* An array amid poison, at either end of its area; dest (from == NULL) may be in the middle, too. */
view lay_as(int stored, char *area, int layout, ptrdiff_t planes, ptrdiff_t rows, ptrdiff_t cols, const grid from)
{
    ptrdiff_t size = fc_stored_size(stored);
    view v = {area, 0, 0, layout == SKEWED ? 2 * size + 1 : size};
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
view lay(char *area, int layout, ptrdiff_t planes, ptrdiff_t rows, ptrdiff_t cols, const grid from)
{
    return lay_as(type, area, layout, planes, rows, cols, from);
}

/* dest holds `want` in out, and poison everywhere else. */
void verify_as(int out_type, view out, ptrdiff_t planes, ptrdiff_t rows, ptrdiff_t cols)
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

void verify(view out, ptrdiff_t planes, ptrdiff_t rows, ptrdiff_t cols)
{
    verify_as(type, out, planes, rows, cols);
}
