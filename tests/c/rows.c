/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks of kernels that work on rows of numbers: conversions, sums, casts, transposition. */
#include "check.h"

/* From float16; tests/test_nn.py has all of them, and what lies between them */
static void check_half_in(fc_widen_fn *widen)
{
    for (ptrdiff_t n = 1; n <= 70; n++) {
        EACH(j, n) {
            const int h = (int)(random64() % 0x7c00), e = h >> 10, minus = up_to(2) == 1;
            const double v = e ? ldexp(1024 + (h & 1023), e - 25) : ldexp(h, -24);
            want[0][0][j] = (cell){.sum = minus ? -v : v, .wide = minus ? -v : v};
            x[0][0][j] = minus ? h - 32768 : h; /* as int16 */
        }
        view from = lay_as(FC_I16, source[0], ADJACENT, 1, 1, n, x), to = lay(dest, ADJACENT, 1, 1, n, NULL);
        say_case("from float16, %td elements", n);
        widen(to.p, FC_F16, from.p, n);
        verify(to, 1, 1, n);
    }
}

void check_widen(fc_widen_fn *widen)
{
    if (type == FC_F32)
        check_half_in(widen);
    for (int stored = 0; stored < FC_STORED_TYPES; stored++) {
        const ptrdiff_t most = type != FC_I16 || fc_stored_size(stored) <= 2 ? 70 : stored == FC_I64 ? 1 : 0;
        if (is_float(stored) && !is_float(type))
            continue;
        randomize(1, stored);
        for (ptrdiff_t n = 1; n <= most; n++) {
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

void check_join(fc_join_fn *join)
{
    for (ptrdiff_t n = 1; n <= 150; n += n > 40 ? 7 : 1) {
        randomize(1, type);
        view even = lay(source[0], ADJACENT, 1, 1, (n + 1) / 2, x), odd = lay(source[1], ADJACENT, 1, 1, n / 2 + 1, k);
        view to = lay(dest, ADJACENT, 1, 1, n, NULL);
        EACH(i, n)
            want[0][0][i] = (cell){.sum = (i % 2 ? k : x)[0][0][i / 2], .wide = (i % 2 ? k : x)[0][0][i / 2]};
        say_case("%td elements", n);
        join(to.p, even.p, odd.p, n);
        verify(to, 1, 1, n);
    }
}

void check_split(fc_split_fn *split)
{
    for (ptrdiff_t each = 0; each < 30; each++)
        for (ptrdiff_t n = 1; n <= 150; n++) {
            randomize(1, type);
            static const ptrdiff_t units[] = {1, 2, 3, 4, 9};
            const ptrdiff_t s = 1 + each % 6, unit = units[each / 6], phase = ((n + unit - 1) / unit + s - 1) / s * unit;
            view from = lay(source[0], ADJACENT, 1, 1, n, x), to = lay(dest, ADJACENT, 1, 1, s * phase, NULL);
            say_case("stride %td, %td elements, pixels of %td", s, n, unit);
            split(to.p, phase, from.p, n, s, unit);
            const char *wrong = "";
            EACH(p, s)
                EACH(i, phase) {
                    char *element = to.p + (p * phase + i) * size;
                    const ptrdiff_t there = (i / unit * s + p) * unit + i % unit;
                    if (there < n ? get(element, type) != x[0][0][there] : (unsigned char)*element != POISON)
                        wrong = "an element is not where it belongs";
                    memset(element, POISON, (size_t)size);
                }
            EACH(byte, AREA)
                if ((unsigned char)dest[byte] != POISON)
                    wrong = "wrote outside the phases";
            verdict(wrong);
            if (n > 40 || unit > 1)
                n += 6;
        }
}

void check_transpose(fc_transpose_fn *transpose)
{
    for (ptrdiff_t rows = 16; rows <= 48; rows += 16)
        for (ptrdiff_t cols = 16; cols <= 48; cols += 16) {
            randomize(0, type);
            EACH(i, cols)
                EACH(j, rows)
                    want[0][i][j] = (cell){.sum = x[0][j][i], .wide = x[0][j][i]};
            view from = lay(source[0], ADJACENT, 1, rows, cols, x), to = lay(dest, ADJACENT, 1, cols, rows, NULL);
            say_case("%td x %td", rows, cols);
            transpose(to.p, to.row / size, from.p, from.row / size, rows, cols);
            verify(to, 1, cols, rows);
        }
}

void check_add(fc_add_fn *add)
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

void check_sums(fc_sums_fn *sums)
{
    static _Alignas(64) char room[48 * FC_SUMS_BYTES];
    EACH(trial, TRIALS(150)) {
        ptrdiff_t h = up_to(trial % 3 ? 9 : 48), rows = up_to(TALL - h + 1), cols = up_to(9 * table->vector_bytes / size);
        fc_sums g = {h, up_to(3 * h) - 1, rows, cols, 1};
        randomize(1, type);
        EACH(i, rows)
            EACH(j, cols) {
                cell c = {0};
                EACH(t, h)
                    add_product(&c, x[0][i + t][j], 1);
                want[0][i][j] = c;
            }
        view vx = lay(source[0], ADJACENT, 1, rows + h - 1, cols, x), out = lay(dest, ADJACENT, 1, rows, cols, NULL);
        say_case("height %td, number %td, rows %td, cols %td", h, g.at, rows, cols);
        sums(vx.p, vx.row / size, &g, out.p, out.row / size, room);
        verify(out, 1, rows, cols);
    }
}

/* Rounded as the type of the arithmetic rounds */
double rounded(double v) { return type == FC_F32 ? (double)(float)v : v; }

void check_ordered(fc_ordered_fn *ordered)
{
    EACH(trial, TRIALS(300)) {
        int fold = (int)up_to(3) - 2, down = up_to(2) == 1;
        ptrdiff_t taps = up_to(9), reach = 2 * taps + 1, at[9], rows = up_to(12), cols = up_to(10 * table->vector_bytes / size);
        ptrdiff_t high = rows + (down ? reach - 1 : 0), wide = cols + (down ? 0 : reach - 1);
        EACH(t, taps)
            at[t] = fold ? (t == 0 ? taps : taps - up_to(taps)) : up_to(reach) - 1;
        randomize(0, type);
        EACH(i, rows)
            EACH(j, cols) {
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
void store_cast(char *p, double v, double divisor, int stored)
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
    static const double odd[] = {0.0,        -0.0,        255,    256,       -1,         -0.5,        0x1p31, -0x1p31,
                                 0x1p31 - 1, -0x1p31 - 1, 0x1p32, 0x1p63,    -0x1p63,    0x1p64,      1e30,   -1e30,
                                 INFINITY,   -INFINITY,   NAN,    0x9p-1074, -0x7p-1074, 0x1.23p-1019};
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
            EACH(j, n)
                x[0][0][j] = divided(j);
            ptrdiff_t to_size = narrow ? fc_stored_size(stored) : size;
            view from = lay(source[0], ADJACENT, 1, 1, n, x),
                 to = lay_as(narrow ? stored : type, dest, ADJACENT, 1, 1, n, NULL);
            memset(image, POISON, AREA);
            say_case("to type %d, divided by %g, %td elements", stored, divisor, n);
            int done = 1;
            if (narrow) {
                narrow(to.p, stored, from.p, n, divisor, FC_TRUNCATED);
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
/* To the nearest integer that the type holds; and whether one was NaN, or too large */
static void check_nearest(fc_narrow_fn *narrow)
{
    static const double odd[] = {0.5,     1.5,      2.5, -0.5, -1.5,   254.5,   255.5, 127.5,    -128.5,    65534.5,
                                 65535.5, -32768.5, 1e9, -1e9, 0x1p24, -0x1p24, 1e30,  INFINITY, -INFINITY, NAN};
    for (int stored = FC_I16; stored <= FC_U16; stored++)
        for (ptrdiff_t n = 1; n <= 70; n++)
            EACH(rounding, 2) {
                const double low = stored == FC_I8 ? -128 : stored == FC_I16 ? -32768 : 0;
                const double high = stored == FC_I8 ? 127 : stored == FC_I16 ? 32767 : stored == FC_U8 ? 255 : 65535;
                int is_odd = up_to(3) == 1, should = 0;
                EACH(j, n) {
                    double v = is_odd && up_to(20) == 1 ? odd[(size_t)up_to(sizeof odd / sizeof *odd) - 1]
                                                        : low + (high - low) * (double)(random64() >> 11) * 0x1p-53;
                    x[0][0][j] = v = rounded(v);
                    should |= isnan(v) || (rounding == 1 && (nearbyint(v) < low || nearbyint(v) > high));
                }
                view from = lay(source[0], ADJACENT, 1, 1, n, x), to = lay_as(stored, dest, ADJACENT, 1, 1, n, NULL);
                say_case("to type %d, rounding %d, %td elements", stored, (int)rounding, n);
                int unfit = narrow(to.p, stored, from.p, n, 1, rounding == 1 ? FC_CHECKED : FC_SATURATED);
                char wrong[120] = "";
                if (unfit != should)
                    snprintf(wrong, sizeof wrong, "says %d", unfit);
                EACH(j, n) {
                    double v = nearbyint(x[0][0][j]), got = get(to.p + j * fc_stored_size(stored), stored);
                    if (!isnan(v) && got != (v < low ? low : v > high ? high : v))
                        snprintf(wrong, sizeof wrong, "%.17g became %.17g", x[0][0][j], got);
                }
                verdict(wrong);
            }
}

/* The bits of a number of 16 bits, but for its sign, and one that is rounded to it */
static int half_of(double *v)
{
    *v = (double)(float)ldexp(1 + (double)(random64() % 0x4000) / 0x4000, (int)(random64() % 45) - 27);
    const int e = *v < 0x1p-14 ? -14 : ilogb(*v), q = (int)rint(ldexp(*v, 10 - e)) + ((e + 14) << 10);
    return q < 0x7c00 ? q : 0x7c00;
}

static int bfloat16_of(double *v)
{
    const float value = ldexpf(1 + (float)(random64() % 0x800000) / 0x800000, (int)(random64() % 270) - 140);
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    *v = (double)value;
    const int upper = (int)(bits >> 16), left = (int)(bits & 0xffff);
    return upper + (left > 0x8000 || (left == 0x8000 && upper % 2 == 1));
}

static void check_floats_of_16_bits(fc_narrow_fn *narrow, int stored, const char *name, int (*of)(double *v))
{
    for (ptrdiff_t n = 1; n <= 70; n++) {
        randomize(1, type);
        EACH(j, n) {
            double v;
            const int h = of(&v), minus = up_to(2) == 1;
            x[0][0][j] = minus ? -v : v;
            want[0][0][j] = (cell){.sum = minus ? h - 32768 : h, .wrapped = (uint64_t)(minus ? h - 32768 : h)};
        }
        view from = lay(source[0], ADJACENT, 1, 1, n, x), to = lay_as(FC_I16, dest, ADJACENT, 1, 1, n, NULL);
        say_case("to %s, %td elements", name, n);
        narrow(to.p, stored, from.p, n, 1, FC_TRUNCATED);
        type = FC_I16, size = 2; /* their bits */
        verify(to, 1, 1, n);
        type = FC_F32, size = 4;
    }
}

void check_narrow(fc_narrow_fn *narrow)
{
    if (type == FC_I16)
        check_quotients(narrow);
    else {
        if (type == FC_F32) {
            check_floats_of_16_bits(narrow, FC_F16, "float16", half_of);
            check_floats_of_16_bits(narrow, FC_BF16, "bfloat16", bfloat16_of);
        }
        check_casts(narrow, NULL);
        check_nearest(narrow);
    }
}
void check_settle(fc_settle_fn *settle) { check_casts(NULL, settle); }

void check_magnitude(fc_magnitude_fn *magnitude)
{
    EACH(trial, TRIALS(300)) {
        const int stored = trial % 2 ? FC_F32 : FC_F64, inside = (int)up_to(2) - 1;
        const ptrdiff_t n = up_to(70);
        randomize(0, type);
        EACH(j, n) {
            double a = x[0][0][j], b = k[0][j / 7][j % 7], sum = a * a + b * b;
            if (stored == FC_F32) {
                float p = (float)a, q = (float)b, square = p * p, other = q * q;
                sum = (double)(square + other);
            }
            want[0][0][j] = (cell){.sum = sqrt(sum), .wide = sqrt(sum)};
        }
        view va = lay(inside ? dest : source[0], ADJACENT, 1, 1, n, x), vb = lay(source[1], ADJACENT, 1, 1, n, NULL);
        EACH(j, n)
            put(vb.p + j * size, k[0][j / 7][j % 7], type);
        view to = inside ? va : lay(dest, ADJACENT, 1, 1, n, NULL);
        say_case("%td elements as type %d, %s", n, stored, inside ? "in place" : "apart");
        magnitude(to.p, va.p, vb.p, n, stored);
        verify(to, 1, 1, n);
    }
}

void check_scale(fc_scale_fn *scale)
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

void check_finite(fc_finite_fn *finite)
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

void check_peak(fc_peak_fn *peak)
{
    say_case("1 and 1000 rounds");
    double one = peak(1);
    verdict(one > 0 && peak(1000) == 1000 * one ? "" : "the count of operations is no multiple of the rounds");
}
