/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks of the Fourier transforms: each kernel, and correlation by them. */
#include "check.h"

typedef long double complex wide_complex;
enum { POINTS = 256, LANES = 16 };
static wide_complex root[POINTS];          /* exp(-2 pi i p / n) */
static wide_complex given[POINTS][LANES], product[POINTS][LANES];

static long double unit_roundoff(void) { return type == FC_F32 ? 0x1p-24L : 0x1p-53L; }

static void put_lane(char *p, wide_complex value) /* of a complex vector */
{
    put(p, (double)creall(value), type);
    put(p + table->vector_bytes, (double)cimagl(value), type);
}
static wide_complex get_lane(const char *p)
{
    return get(p, type) + get(p + table->vector_bytes, type) * (wide_complex)I;
}
static double random_number(void)
{
    char rounded[8];
    put(rounded, (double)(int64_t)random64() * 0x1p-63, type);
    return get(rounded, type);
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
            put(factors + count * size, (double)creall(root[p * j * (n / m)]), type);
            put(factors + (count + 1) * size, (double)cimagl(root[p * j * (n / m)]), type);
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
                put(p + (e * stride + l) * size, i ? (double)cimagl(given[e][l]) : (double)creall(given[e][l]), type);
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

void check_fft(fc_fft_fn *fft)
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

void check_ifft(fc_ifft_fn *ifft)
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
                        deviate(&d, get(p, type), i ? cimagl(exact) : creall(exact), norm);
                    memset(p, POISON, (size_t)size); /* as it was before */
                }
            }
            if (to)
                untouched = untouched && clean(0, to[0].y, 0, 0, 0) && clean(1, to[1].y, 0, 0, 0);
            judge(d, n, untouched);
        }
}

/* learn the spectrum of in; then multiply other rows by it: the circular correlation with it, without twist */
void check_fftmul(fc_fftmul_fn *fftmul)
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

/* Products of random spectra, added up and transformed back */
void check_fftsum(fc_fftsum_fn *fftsum)
{
    enum { CHANNELS = 3 };
    ptrdiff_t lanes = table->vector_bytes / size, vector = 2 * table->vector_bytes;
    static wide_complex sums[POINTS][LANES];
    fc_fft_axis axis;
    for (ptrdiff_t n = FC_FFT_BLOCK; n < POINTS && n * vector * CHANNELS < AREA / 2; n += FC_FFT_BLOCK)
        for (ptrdiff_t channels = 0; random_radices(&axis, n, 1) && channels <= CHANNELS; channels++) {
            ptrdiff_t gap = (up_to(3) - 1) * size, stride = lanes * vector + gap, blocks = n / lanes, all = n * vector;
            char *z = place(2, blocks * stride - gap), *strip = place(4, all);
            char *a = place(0, channels * all), *b = place(1, channels * all);
            memset(sums, 0, sizeof sums);
            EACH(c, channels) EACH(p, n) EACH(r, lanes) {
                const wide_complex x = random_number() + random_number() * (wide_complex)I, w = random_number();
                put_lane(a + c * all + p * vector + r * size, x), put_lane(b + c * all + p * vector + r * size, w * (3 - I));
                sums[frequency_at(&axis, p)][r] += conjl(x) * get_lane(b + c * all + p * vector + r * size);
            }
            say_case("n %td, radix %d ..., %td channels", n, axis.radix[0], channels);
            fftsum(&axis, z, stride / size, a, b, all / size, channels, strip);
            deviation d = {0, 0};
            EACH(r, lanes) if (look_at(r, lanes, n))
                EACH(e, n) deviate(&d, get_lane(z + e / lanes * stride + r * vector + e % lanes * size), naive(sums, r, n, e, 1),
                                   norm_of(sums, r, n) + 1e-30L);
            judge(d, n * n, clean(2, z, blocks, stride, lanes * vector) && clean(4, strip, n, vector, vector));
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
        put(p + i * size, value, type);
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
        put(p + offset(t->x_stride, a, b, c), value, type);
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
            double tap = get(t->taps + ((p * t->k[1] + q) * t->k[2] + r) * size, type);
            sum += (long double)tap * get(x + offset(t->x_stride, a + p, b + q, c + r), type);
        }
        long double error = fabsl(get(y, type) - sum);
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

void check_fftcorr(void)
{
    static const ptrdiff_t most_taps[] = {300, 24, 5}, most_out[][3] = {{1, 1, 400}, {1, 40, 40}, {5, 10, 10}};
    for (int trial = 0; trial < TRIALS(240); trial++) {
        int rank = 1 + trial % 3;
        fft_case t = {0};
        ptrdiff_t most[3];
        char wrong[200] = "";
        long double tap_squares = lay_taps(&t, rank, most_taps[rank - 1]);
        double us = fc_fft_size(type, t.k, most_out[rank - 1], (int)up_to(2) - 1, up_to(3) - 1, t.n);
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
