/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checks of the transforms of Winograd's convolution and their products: against matrices that are made here, from the points, in
 * double. Data are small integers, and points multiples of 1/4, so that all but the values of taps are exact. */
#include "check.h"

enum { MOST = 2 * FC_PAIRS + 2, TAPS = 3 };
typedef double matrix[MOST][MOST];

enum { ACROSS = 4, ALL = 6 }; /* those that gradients of weights have */
static const fc_points pairs_of[ALL] = {{0, 1, {1, 0}},       {0, 2, {0.75, 1.5}}, {1, 1, {1, 0}},
                                        {2, 2, {0.75, 1.5}}, {1, 0, {1, 0}},      {2, 0, {0.75, 1.5}}};

static int values(int pairs) { return pairs ? 2 * pairs + 2 : 1; }
static int outputs(int pairs) { return pairs ? 2 * pairs : 1; }

/* Of one axis: values of elements and of taps, and sums of values */
static void matrices(const fc_points *p, int pairs, matrix in, matrix taps, matrix out)
{
    const int n = values(pairs), m = outputs(pairs);
    memset(in, 0, sizeof(matrix)), memset(taps, 0, sizeof(matrix)), memset(out, 0, sizeof(matrix));
    in[0][0] = taps[0][0] = out[0][0] = 1;
    if (pairs == 0)
        return;
    double point[MOST] = {0};
    EACH(i, 2 * pairs) point[1 + i] = (i % 2 ? -1 : 1) * p->point[i / 2];
    EACH(v, n) {
        double product[MOST + 1] = {1}; /* of x - point, all but the v-th: its coefficients */
        EACH(o, n - 1) {
            if (o == v)
                continue;
            for (int i = MOST; i >= 0; i--)
                product[i] = (i ? product[i - 1] : 0) - point[o] * product[i];
        }
        double at = 0;
        EACH(i, n) at += product[i] * pow(point[v], (double)i);
        EACH(i, n) in[v][i] = product[i];
        EACH(i, TAPS) taps[v][i] = v == n - 1 ? i == TAPS - 1 : pow(point[v], (double)i) / at;
        EACH(i, m) out[i][v] = v == n - 1 ? i == m - 1 : pow(point[v], (double)i);
    }
}

/* One value: rows of `left` and `right`, and what stands between them */
static double both(const double *left, int rows, const double *right, int cols, const double *d)
{
    double sum = 0;
    EACH(i, rows) EACH(j, cols) sum += left[i] * right[j] * d[i * cols + j];
    return sum;
}

static ptrdiff_t whole(ptrdiff_t n) { return (n + table->vector_bytes / 4 - 1) / (table->vector_bytes / 4) * (table->vector_bytes / 4); }

static float *floats(int area, ptrdiff_t n, int with)
{
    float *to = (float *)(void *)place(area, n * 4);
    EACH(i, with ? n : 0) to[i] = (float)(up_to(9) - 5);
    return to;
}

static int is_near(double is, double should, double mass) { return fabs(is - should) <= 1e-6 * mass; }

void check_winograd_rows(fc_winograd_rows_fn *transform)
{
    EACH(i, 3) {
        const fc_points *p = &pairs_of[i < 2 ? i : ACROSS];
        const int n = values(p->cols), m = outputs(p->cols);
        matrix in, taps, out;
        matrices(p, p->cols, in, taps, out);
        for (ptrdiff_t tiles = 1; tiles <= 40; tiles++) {
            const ptrdiff_t rows = up_to(9), sets = up_to(4), pitch = tiles + up_to(3) - 1, xs = tiles * m + up_to(5);
            const ptrdiff_t set = (rows - 1) / sets * pitch + whole(tiles), value = sets * set;
            const float *from = floats(0, (rows - 1) * xs + whole(tiles) * m + n - m, 1);
            float *to = floats(2, n * value, 0);
            say_case("%d pairs, %td rows of %td tiles, %td sets", p->cols, rows, tiles, sets);
            transform(to, from, &(fc_winograd_rows){*p, value, set, pitch, sets, xs, rows, tiles});
            const char *wrong = "";
            EACH(v, n) EACH(y, rows) EACH(j, tiles) {
                double sum = 0;
                EACH(k, n) sum += in[v][k] * (double)from[y * xs + j * m + k];
                if ((double)to[v * value + y % sets * set + y / sets * pitch + j] != sum)
                    wrong = "a value differs";
            }
            verdict(wrong);
        }
    }
}

void check_winograd_in(fc_winograd_in_fn *transform)
{
    EACH(i, ALL) {
        const fc_points *p = &pairs_of[i];
        const int r = values(p->rows), c = values(p->cols);
        matrix in, taps, out;
        matrices(p, p->rows, in, taps, out);
        for (ptrdiff_t tiles = 1; tiles <= 40; tiles += 3) {
            const ptrdiff_t apart = whole(tiles) + 5;
            ptrdiff_t at[MOST * MOST];
            EACH(k, r * c) at[k] = (k * 7 % (r * c)) * whole(tiles);
            const float *from = floats(0, r * c * whole(tiles), 1);
            float *to = floats(2, (r * c - 1) * apart + whole(tiles), 0);
            say_case("%d x %d pairs, %td tiles", p->rows, p->cols, tiles);
            transform(to, apart, from, at, p, tiles);
            const char *wrong = "";
            EACH(v, r) EACH(s, c) EACH(j, tiles) {
                double sum = 0;
                EACH(k, r) sum += in[v][k] * (double)from[at[k * c + s] + j];
                if ((double)to[(v * c + s) * apart + j] != sum)
                    wrong = "a value differs";
            }
            verdict(wrong);
        }
    }
}

void check_winograd_out(fc_winograd_out_fn *transform)
{
    EACH(trial, TRIALS(600)) {
        const fc_points *p = &pairs_of[trial % ALL];
        const int r = values(p->rows), c = values(p->cols), mr = outputs(p->rows), mc = outputs(p->cols);
        const ptrdiff_t tiles = up_to(40), apart = whole(tiles) + 1, ts = whole(tiles) * mc + 2;
        matrix in, taps, rows, cols;
        matrices(p, p->rows, in, taps, rows), matrices(p, p->cols, in, taps, cols);
        float *from = floats(0, (r * c - 1) * apart + whole(tiles), 1), *to = floats(2, (mr - 1) * ts + whole(tiles) * mc, 0);
        const int odd = trial % 3 == 0, seen = odd && trial % 2;
        const ptrdiff_t lane = seen ? up_to(tiles) - 1 : tiles; /* or one of no tile */
        if (odd && lane < whole(tiles))
            from[(up_to(r * c) - 1) * apart + lane] = trial % 4 < 2 ? (float)INFINITY : (float)NAN;
        const fc_winograd_sums g = {*p, apart, tiles, (double)up_to(5), -3, 20, trial % 5 == 0};
        say_case("%d x %d pairs, %td tiles, clamp %d, not finite %d", p->rows, p->cols, tiles, g.clamp, seen);
        const char *wrong = transform(to, ts, from, &g) == seen ? "" : "it is wrong about what is finite";
        EACH(i, mr) EACH(s, mc) EACH(j, tiles) {
            double d[MOST * MOST], sum = g.bias;
            EACH(k, r * c) d[k] = (double)from[k * apart + j];
            sum += both(rows[i], r, cols[s], c, d);
            sum = g.clamp ? fmin(fmax(sum, g.low), g.high) : sum;
            if (j != lane && (double)to[i * ts + j * mc + s] != sum)
                wrong = "a sum differs";
        }
        verdict(wrong);
    }
}

void check_winograd_taps(fc_winograd_taps_fn *transform)
{
    EACH(trial, ALL * 40) {
        const fc_points *p = &pairs_of[trial % ALL];
        const int r = values(p->rows), c = values(p->cols), turned = (int)up_to(2) - 1;
        const int down = p->rows ? (int)up_to(2) + 1 : 1, across = p->cols ? (int)up_to(2) + 1 : 1;
        matrix in, of_rows, of_cols, out;
        matrices(p, p->rows, in, of_rows, out), matrices(p, p->cols, in, of_cols, out);
        const ptrdiff_t n = up_to(whole(1) + 3), kernels = trial % 3 ? FC_QUAD : up_to(FC_QUAD), line = p->cols ? across + up_to(3) - 1 : 1;
        const ptrdiff_t of = (down - 1) * line + across, apart = n * FC_QUAD + 2;
        const ptrdiff_t channel = n % 2 ? of + up_to(3) - 1 : kernels * of, row = n % 2 ? n * channel : of;
        const float *from = floats(0, (kernels - 1) * row + (n - 1) * channel + of, 1);
        float *to = floats(2, (r * c - 1) * apart + n * FC_QUAD, 0);
        say_case("%d x %d pairs, %d x %d taps, %td kernels, %td channels, turned %d", p->rows, p->cols, down, across, kernels, n, turned);
        transform(&(fc_winograd_kernels){*p, from, to, apart, row, channel, line, kernels, n, down, across, turned});
        const char *wrong = "";
        EACH(v, r) EACH(s, c) EACH(j, n) EACH(m, kernels) {
            double d[TAPS * TAPS];
            EACH(y, down) EACH(x, across)
                d[y * across + x] = (double)from[m * row + j * channel + (turned ? (down - 1 - y) * line + across - 1 - x : y * line + x)];
            const double should = both(of_rows[v], down, of_cols[s], across, d);
            if (!is_near((double)to[(v * c + s) * apart + j * FC_QUAD + m], should, 20))
                wrong = "a value differs";
        }
        verdict(wrong);
    }
}

/* Tiles of m x m elements, or n x n, of rows of pixels: values along both axes */
static void check_pixels(fc_winograd_pixels_fn *transform, int is_x)
{
    EACH(trial, 60) {
        const fc_points *p = &pairs_of[trial % ACROSS];
        const int r = values(p->rows), c = values(p->cols), mr = outputs(p->rows), mc = outputs(p->cols), kept = is_x ? 2 : 0;
        const int see_r = is_x ? r : mr, see_c = is_x ? c : mc;
        const ptrdiff_t rows = up_to(2), cols = up_to(5), lanes = whole(1), pitch = (cols * mc + kept) * lanes + (up_to(2) - 1) * lanes;
        const ptrdiff_t tile = lanes * up_to(2), value = rows * cols * tile + 3, high = (rows - 1) * mr + see_r;
        matrix down, across, sums, taps;
        if (is_x)
            matrices(p, p->rows, down, taps, sums), matrices(p, p->cols, across, taps, sums);
        else { /* A, which is the transpose of what sums are made by */
            matrix in, down_sums, across_sums;
            matrices(p, p->rows, in, taps, down_sums), matrices(p, p->cols, in, taps, across_sums);
            EACH(v, MOST) EACH(i, MOST) down[v][i] = down_sums[i][v], across[v][i] = across_sums[i][v];
        }
        const float *from = floats(0, (high - 1) * pitch + (cols * mc + kept) * lanes, 1);
        float *to = floats(2, (r * c - 1) * value + (rows * cols - 1) * tile + lanes, 0);
        say_case("%d x %d pairs, %td x %td tiles", p->rows, p->cols, rows, cols);
        transform(to, from, &(fc_winograd_tiles){*p, value, tile, pitch, rows, cols});
        const char *wrong = "";
        EACH(i, rows) EACH(j, cols) EACH(l, lanes) {
            double d[MOST * MOST];
            EACH(y, see_r) EACH(x, see_c) d[y * see_c + x] = (double)from[(i * mr + y) * pitch + (j * mc + x) * lanes + l];
            EACH(v, r) EACH(s, c)
                if ((double)to[(v * c + s) * value + (i * cols + j) * tile + l] != both(down[v], see_r, across[s], see_c, d))
                    wrong = "a value differs";
        }
        verdict(wrong);
    }
}

void check_winograd_pixels(fc_winograd_pixels_fn *transform) { check_pixels(transform, 1); }
void check_winograd_outputs(fc_winograd_outputs_fn *transform) { check_pixels(transform, 0); }

void check_winograd_weights(fc_winograd_weights_fn *transform)
{
    EACH(trial, 60) {
        const fc_points *p = &pairs_of[trial % ACROSS];
        const int r = values(p->rows), c = values(p->cols), taps_down = p->rows ? TAPS : 1;
        const ptrdiff_t n = up_to(5), lanes = whole(1), apart = n * lanes + 2, ts = taps_down * TAPS * lanes + 1;
        matrix in, down, across, out;
        matrices(p, p->rows, in, down, out), matrices(p, p->cols, in, across, out);
        float *from = floats(0, (r * c - 1) * apart + n * lanes, 1), *to = floats(2, (n - 1) * ts + taps_down * TAPS * lanes, 0);
        const int odd = trial % 3 == 0;
        if (odd)
            from[(up_to(r * c) - 1) * apart + up_to(n * lanes) - 1] = trial % 2 ? (float)INFINITY : (float)NAN;
        say_case("%d x %d pairs, %td vectors, not finite %d", p->rows, p->cols, n, odd);
        const char *wrong = transform(to, ts, from, apart, p, n) == odd ? "" : "it is wrong about what is finite";
        EACH(j, n) EACH(l, lanes) EACH(a, taps_down) EACH(b, TAPS) {
            double sum = 0;
            EACH(v, r) EACH(s, c) sum += down[v][a] * across[s][b] * (double)from[(v * c + s) * apart + j * lanes + l];
            if (isfinite(sum) && !is_near((double)to[j * ts + (a * TAPS + b) * lanes + l], sum, 100))
                wrong = "a tap differs";
        }
        verdict(wrong);
    }
}

void check_winograd_products(fc_winograd_products_fn *products)
{
    EACH(trial, TRIALS(800)) {
        const ptrdiff_t rows = up_to(40), tiles = up_to(FC_PANEL_VECTORS * whole(1)), depth = up_to(70), part = up_to(40), width = whole(tiles);
        const ptrdiff_t as = (depth + up_to(3) - 1) * FC_QUAD, bs = width + up_to(5) - 1, cs = width + up_to(5) - 1;
        const float *a = floats(0, (rows - 1) / FC_QUAD * as + depth * FC_QUAD, 1), *b = floats(1, (depth - 1) * bs + width, 1);
        float *c = floats(2, (rows - 1) * cs + width, 0);
        const int add = trial % 2;
        EACH(m, rows) EACH(j, width) c[m * cs + j] = (float)(m - j);
        say_case("%td rows, %td tiles, %td channels in parts of %td, add %d", rows, tiles, depth, part, add);
        products(&(fc_winograd_products){a, b, c, as, bs, cs, rows, tiles, depth, part, add});
        const char *wrong = "";
        EACH(m, rows) EACH(j, tiles) {
            double sum = add ? (double)(m - j) : 0;
            EACH(p, depth) sum += (double)a[m / FC_QUAD * as + p * FC_QUAD + m % FC_QUAD] * (double)b[p * bs + j];
            if ((double)c[m * cs + j] != sum)
                wrong = "a sum differs";
        }
        verdict(wrong);
    }
}
