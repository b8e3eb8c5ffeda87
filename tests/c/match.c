/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks of template matching: each kernel, and the driver. */
#include "check.h"

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

void check_match_look(fc_match_look_fn *look)
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

void check_match_shift(fc_match_shift_fn *shift)
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

void check_match_add(fc_match_add_fn *add)
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
        add(wide(0), NULL, wide(0), NULL, own, n);
        EACH(j, n) wrong = wide(0)[j] != wide(2)[j] + 2 * at(4, j) ? "other values without squares" : wrong;
        verdict(wrong);
    }
}

void check_match_window(fc_match_window_fn *sum)
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

void check_match_merge(fc_match_merge_fn *merge)
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

void check_match_grow(fc_match_grow_fn *grow)
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

void check_match_spread(fc_match_spread_fn *spread)
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

void check_match_join(fc_match_join_fn *join)
{
    for (ptrdiff_t n = 1; n <= 70; n++) {
        const char *wrong = "";
        fc_score c = {.spreads = n % 2, .of_mean = -2, .per_weight = 0.5, .energy = 3};
        double mean[70], squares[70], spread[70];
        make_rows(6, n, FC_F64);
        EACH(j, n) {
            double m = wide(3)[j] / 2, sv = wide(4)[j], s2 = wide(5)[j];
            mean[j] = wide(0)[j] - 2 * m;
            squares[j] = wide(1)[j] + (c.spreads ? s2 + m * sv : s2);
            spread[j] = wide(2)[j] + (c.spreads ? s2 : s2 - m * (2 * sv - 3 * m));
        }
        say_case("%td sums, spreads %d", n, c.spreads);
        join(wide(0), wide(1), wide(2), wide(3), wide(4), wide(5), n, &c);
        EACH(j, n) {
            wrong = differ(wide(0)[j], mean[j], 1e-13) ? "another mean" : wrong;
            wrong = differ(wide(1)[j], squares[j], 1e-13) ? "other squares" : wrong;
            wrong = differ(wide(2)[j], spread[j], 1e-13) ? "another spread" : wrong;
        }
        verdict(wrong);
    }
}

void check_match_score(fc_match_score_fn *score)
{
    for (ptrdiff_t n = 1; n <= 70; n++)
        for (int kind = 0; kind < 6; kind++) {
            const char *wrong = "";
            fc_score c = {.normed = kind & 1, .spreads = kind >> 1 & 1, .joined = kind >> 2, .gain = 0.5, .constant = 3, .of_num = 2, .of_sum = -1,
                          .of_squares = 0.25, .of_mean = 4, .per_weight = 0.125, .energy = 8, .of_level = 8, .centre = 100,
                          .per_energy = 0.125, .doubt = 0x1p-20, .floor = n % 3 ? 0 : 1e9, .low = -5, .high = 5};
            make_rows(6, n, FC_F64);
            EACH(j, n) put(rows[5] + j * size, wide(5)[j], type), wide(4)[j] = 1000 + wide(4)[j];
            if (n % 5 == 0)
                wide(2)[n - 1] = NAN;
            say_case("%td scores, normed %d, from spreads %d, joined %d", n, c.normed, c.spreads, c.joined);
            int doubt = score(rows[0], rows[1], rows[5], wide(2), wide(3), wide(4), n, &c), doubtful = 0;
            EACH(j, n) {
                double mean = wide(2)[j] / 8, sum = wide(3)[j], given = wide(4)[j], level = c.centre + sum / 8;
                double two = c.joined ? sum : c.spreads ? given + mean * sum : given;
                double e = (c.spreads || c.joined ? given : given - mean * (2 * sum - mean * 8)) + 8 * level * level;
                double v = (3 + 2 * at(5, j) - sum + two / 4 + 4 * mean) / 2 / (c.normed ? sqrt(e) : 1);
                doubtful |= c.normed && !(e > c.doubt * two + c.floor);
                v = v < -5 ? -5 : v > 5 ? 5 : v;
                wrong = differ(at(0, j), v, type == FC_F32 ? 1e-6 : 1e-13) ? "another score" : wrong;
            }
            verdict(*wrong ? wrong : doubt != doubtful ? "another doubt" : "");
        }
}

/* The score at (z, i, j) by the definitions in fastconv.h */
static double score_of(const fc_match *g, const double *t, const double *weights, const ptrdiff_t o[FC_AXES])
{
    static double X[PLANES * TALL * WIDE];
    ptrdiff_t taps = 0, from[FC_AXES][TALL];
    double mean_t[PLANES] = {0}, mean_x[PLANES] = {0}, all[PLANES] = {0}, cross = 0, square = 0, power_t = 0, power_x = 0;
    EACH(q, FC_AXES)
        EACH(a, g->k[q])
            from[q][a] = folded(o[q] - g->lead[q] + a, g->n[q], g->boundary);
    EACH(d, g->k[DEPTH]) EACH(a, g->k[ROWS]) EACH(b, g->k[COLS]) {
        const ptrdiff_t z = from[DEPTH][d], i = from[ROWS][a], j = from[COLS][b];
        X[taps] = z < 0 || i < 0 || j < 0 ? g->fill : x[z][i][j];
        ptrdiff_t p = g->by_plane ? d : 0;
        all[p] += weights[taps], mean_t[p] += weights[taps] * t[taps], mean_x[p] += weights[taps] * X[taps];
        taps++;
    }
    int about_mean = g->measure == FC_CCOEFF;
    EACH(e, taps) {
        double v = weights[e] * weights[e];
        ptrdiff_t p = g->by_plane ? e / (g->k[ROWS] * g->k[COLS]) : 0;
        double T = t[e] - (about_mean ? mean_t[p] / all[p] : 0), x = X[e] - (about_mean ? mean_x[p] / all[p] : 0);
        cross += v * T * x, square += v * (T - x) * (T - x), power_t += v * T * T, power_x += v * x * x;
    }
    double score = g->measure == FC_SQDIFF ? square : cross, norm = sqrt(power_t * power_x);
    if (!g->normed)
        return score;
    return norm < 1e-9 ? (g->measure == FC_SQDIFF && square > 1e-9) : score / norm > 1 ? 1 : score / norm;
}

void check_match(void)
{
    static double t[PLANES * TALL * TALL], weights[PLANES * TALL * TALL], stored[2][PLANES * TALL * TALL];
    static grid scores;
    fc_tune(8, 0, 0);
    for (int trial = 0; trial < TRIALS(70); trial++) {
        int deep = trial % 5 == 4, layout = trial % LAYOUTS, large = trial % 4 == 3 && !deep, masked = trial % 3 == 2;
        fc_match g = {.x_type = trial % 2 ? FC_U8 : type, .out_type = trial % 7 ? type : FC_F32, .measure = trial / 3 % 3,
                      .normed = trial / 9 % 2, .boundary = (int)up_to(5) - 1, .fill = 2, .scale = 0.5};
        g.type = masked ? FC_F64 : type;
        g.whole = g.type == FC_F64 && g.x_type == FC_U8 && trial / 3 % 2;
        const ptrdiff_t most[FC_AXES] = {deep ? PLANES : 1, large ? TALL : 24, large ? 200 : 40};
        EACH(a, FC_AXES) {
            g.n[a] = large && a > DEPTH ? most[a] : up_to(most[a]);
            g.k[a] = large && a > DEPTH ? 11 + up_to(6) : up_to(most[a] < 5 ? most[a] : 5);
            g.k[a] = min(g.k[a], g.n[a]);
            g.out[a] = g.n[a], g.lead[a] = a == DEPTH && !deep ? 0 : up_to(5) - 3;
        }
        g.by_plane = deep && g.measure == FC_CCOEFF;
        if (g.by_plane)
            g.n[DEPTH] = g.k[DEPTH], g.out[DEPTH] = 1, g.lead[DEPTH] = 0;
        if (g.whole)
            g.scale = 1;
        randomize(1, FC_U8);
        ptrdiff_t of_plane = g.k[ROWS] * g.k[COLS], taps = g.k[DEPTH] * of_plane;
        double sum[PLANES] = {0}, mass[PLANES] = {0};
        EACH(e, taps) {
            t[e] = (double)(random64() % 9), weights[e] = !masked ? 1 : g.whole ? (double)(random64() % 2) : (double)(random64() % 3) / 2;
            weights[e] = e % of_plane == 0 ? 1 : weights[e];
            double m = g.measure == FC_CCOEFF ? weights[e] : weights[e] * weights[e];
            ptrdiff_t p = g.by_plane ? e / of_plane : 0;
            sum[p] += m * t[e], mass[p] += m, g.weight += m;
        }
        EACH(e, taps) {
            ptrdiff_t p = g.by_plane ? e / of_plane : 0;
            double mean = sum[p] / mass[p];
            g.shift = g.whole ? rint(mean) : mean;
            double v = weights[e] * weights[e], off = (t[e] - g.shift) * g.scale, far = (t[e] - mean) * g.scale;
            g.energy += v, g.spread += v * far * far, g.square += v * off * off, g.power += v * t[e] * t[e] * g.scale * g.scale;
            stored[0][e] = v * off, stored[1][e] = v;
        }
        g.t = stored[0];
        if (masked)
            g.weights = g.measure == FC_CCOEFF ? weights : stored[1], g.energies = stored[1];
        view vx = lay_as(g.x_type, source[0], layout, g.n[DEPTH], g.n[ROWS], g.n[COLS], x);
        g.x = vx.p, g.x_step[DEPTH] = vx.plane, g.x_step[ROWS] = vx.row, g.x_step[COLS] = vx.col;
        EACH(z, g.out[DEPTH]) EACH(i, g.out[ROWS]) EACH(j, g.out[COLS]) scores[z][i][j] = score_of(&g, t, weights, (ptrdiff_t[]){z, i, j});
        for (g.threads = 1; g.threads <= 3; g.threads += 2) {
            view out = lay_as(g.out_type, dest, ADJACENT, g.out[DEPTH], g.out[ROWS], g.out[COLS], NULL);
            g.result = out.p, g.out_step[DEPTH] = out.plane, g.out_step[ROWS] = out.row, g.out_step[COLS] = out.col;
            say_case("trial %d: measure %d, normed %d, masked %d, whole %d, by plane %d, x type %d, threads %d, x %tdx%tdx%td, k %tdx%tdx%td",
                     trial, g.measure, g.normed, masked, g.whole, g.by_plane, g.x_type, g.threads, g.n[DEPTH], g.n[ROWS], g.n[COLS],
                     g.k[DEPTH], g.k[ROWS], g.k[COLS]);
            if (fc_match_run(&g) != 0) {
                verdict("memory is short");
                continue;
            }
            char wrong[200] = "";
            double room = (g.type == FC_F32 ? 1e-4 : 1e-6) * (g.normed ? 1 : (double)taps * 10);
            EACH(z, g.out[DEPTH]) EACH(i, g.out[ROWS]) EACH(j, g.out[COLS]) {
                double got = get(element(out, z, i, j), g.out_type), should = scores[z][i][j];
                if (!(fabs(got - should) <= room) || (g.normed && fabs(got) > 1))
                    snprintf(wrong, sizeof wrong, "score[%td][%td][%td] is %g, not %g", z, i, j, got, should);
            }
            verdict(wrong);
        }
    }
    fc_tune(FC_BAND_ROWS, FC_THREADS_FROM_US, FC_STREAM_FROM);
}
