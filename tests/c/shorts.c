/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks of sums of small integers: in floats, in phases; whole ones, of rows of bytes, columns that are stored as quotients, and boxes; and
 * of every quotient of 16 bits that is said to be exact. */
#include "check.h"

void check_across(fc_across_fn *across)
{
    EACH(trial, TRIALS(300)) {
        const int stored = trial % 2 ? FC_I8 : FC_U8;
        ptrdiff_t taps = up_to(9), reach = up_to(2) == 1 ? taps : 60, rows = up_to(9), at[9], step = up_to(2);
        ptrdiff_t cols = up_to(trial % 3 ? 40 : 6 * table->vector_bytes / size / step);
        EACH(t, taps) at[t] = reach == taps ? t : up_to(reach) - 1;
        randomize(1, stored);
        EACH(i, rows) EACH(j, cols) {
            cell c = {0};
            EACH(t, taps) add_product(&c, x[0][i][j * step + at[t]], k[0][0][t]);
            want[0][i][j] = c;
        }
        ptrdiff_t end = 0;
        EACH(t, taps) end = max(end, at[t] + cols * step);
        view vx = lay_as(stored, source[0], ADJACENT, 1, rows, end, x), vk = lay(source[1], ADJACENT, 1, 1, taps, k);
        view out = lay(dest, ADJACENT, 1, rows, cols, NULL);
        fc_taps asked = {.full = taps, .at = at, .k = vk.p};
        say_case("type %d, %td taps, step %td, rows %td, cols %td", stored, taps, step, rows, cols);
        across(vx.p, stored, vx.row, step, &asked, out.p, out.row / size, rows, cols);
        verify(out, 1, rows, cols);
    }
}

/* (If there is a divisor.) The nearest whole number, half to even, that the type holds; as it is where it has 16 bits and is not divided */
void divide(cell *c, unsigned divisor, int stored)
{
    const double high = stored == FC_I8 ? 127 : stored == FC_U8 ? 255 : stored == FC_I16 ? 32767 : 65535;
    const double quotient = nearbyint((double)(type == FC_I16 ? (uint16_t)c->wrapped : (uint32_t)c->wrapped) / divisor);
    if (divisor > 1 || (divisor == 1 && fc_stored_size(stored) == 1))
        c->wrapped = (uint64_t)(quotient < high ? quotient : high);
}

unsigned divisor_for(unsigned most)
{
    unsigned divisor = 1;
    do
        divisor = up_to(3) == 1 ? 1u << (up_to(16) - 1) : (unsigned)up_to(300);
    while (!fc_divides(divisor, most, 16));
    return divisor;
}

void check_down(fc_down_fn *down)
{
    static const int types[] = {FC_U8, FC_I8, FC_I16, FC_U16};
    EACH(trial, TRIALS(300)) {
        const int stored = types[trial % 4];
        const unsigned divisor = divisor_for(9 * 8 * 8);
        ptrdiff_t h = up_to(9), cols = up_to(trial % 3 ? 40 : 9 * table->vector_bytes / size), room = 10 * table->vector_bytes / size;
        randomize(1, FC_U8);
        EACH(a, h) k[0][0][a] = fabs(k[0][0][a]);
        EACH(j, cols) {
            cell c = {0};
            EACH(a, h) add_product(&c, x[0][a][j], k[0][0][a]);
            divide(&c, divisor, stored);
            want[0][0][j] = c;
        }
        view vx = lay(source[0], ADJACENT, 1, h, room, x), vk = lay(source[1], ADJACENT, 1, 1, h, k);
        view out = lay_as(stored, dest, ADJACENT, 1, 1, cols, NULL);
        say_case("to type %d, divided by %u, %td taps, %td columns", stored, divisor, h, cols);
        down(out.p, stored, vx.p, vx.row / size, vk.p, h, cols, divisor);
        verify_as(stored, out, 1, 1, cols);
    }
}

void check_threes(fc_threes_fn *threes)
{
    static const int types[] = {FC_U8, FC_I8, FC_I16, FC_U16};
    EACH(trial, TRIALS(300)) {
        const int stored = types[trial % 4], terms = 1 + trial / 4 % 2, norm = trial / 8 % 2;
        const int combine = terms == 1 ? FC_ADDED : norm || trial % 4 < 2 ? FC_L1 : FC_APART;
        const unsigned divisor = terms == 1 ? divisor_for(9 * 8 * 8 * 8) : 1;
        const ptrdiff_t apart = up_to(2) == 1 ? 1 : up_to(5), rows = up_to(9), wide = table->vector_bytes, results = combine == FC_APART ? 2 : 1;
        const ptrdiff_t cols = wide - 1 + up_to(2 * wide);
        randomize(1, FC_U8);
        double factor[2][6];
        char taps[2][6 * 8];
        EACH(a, 2) EACH(t, 3 * terms) {
            factor[a][t] = terms == 1 ? fabs(k[0][a][t]) : k[0][a][t];
            put(taps[a] + t * size, factor[a][t], type);
        }
        EACH(i, rows) EACH(j, cols) {
            cell c[2];
            memset(c, 0, sizeof c);
            EACH(t, terms) EACH(a, 3) EACH(b, 3)
                add_product(&c[t], x[0][i + a][j + b * apart], factor[0][3 * t + a] * factor[1][3 * t + b]);
            if (combine == FC_L1)
                c[0].wrapped = (uint64_t)(abs((int16_t)c[0].wrapped) + abs((int16_t)c[1].wrapped));
            EACH(t, results) divide(&c[t], divisor, stored), want[t][i][j] = c[t];
        }
        view vx = lay_as(FC_U8, source[0], ADJACENT, 1, rows + 2, cols + 2 * apart, x);
        view out = lay_as(stored, dest, ADJACENT, results, rows, cols, NULL);
        const fc_threes g = {.apart = apart, .out_result = out.plane, .terms = terms, .combine = combine, .divisor = divisor,
                             .down = taps[0], .across = taps[1]};
        say_case("to type %d, %d terms, divided by %u, %td apart, %td rows, %td columns", stored, terms, divisor, apart, rows, cols);
        const char *row[16];
        EACH(i, rows + 2) row[i] = vx.p + i * vx.row;
        threes(out.p, stored, out.row, row, &g, rows, cols);
        verify_as(stored, out, results, rows, cols);
    }
}

void check_column(fc_column_fn *column)
{
    EACH(trial, TRIALS(200)) {
        const int leaves = trial % 2;
        const ptrdiff_t n = up_to(5 * table->vector_bytes / size), room = 6 * table->vector_bytes / size;
        const int stored = type == FC_I16 ? FC_U8 : FC_U16;
        randomize(1, stored);
        EACH(j, room) {
            cell c = {0};
            add_product(&c, k[0][0][j], 1);
            if (j < n)
                add_product(&c, x[0][0][j] - (leaves ? x[0][1][j] : 0), 1);
            want[0][0][j] = c;
        }
        view rows = lay_as(stored, source[0], ADJACENT, 1, 2, n, x), before = lay(source[1], ADJACENT, 1, 1, room, k);
        view out = lay(dest, ADJACENT, 1, 1, room, NULL);
        memcpy(out.p, before.p, (size_t)(room * size));
        say_case("%td columns, a row %s", n, leaves ? "leaves" : "enters");
        column(out.p, rows.p, leaves ? rows.p + rows.row : NULL, n);
        verify(out, 1, 1, room);
    }
}

/* Next to what lies half way, by floats and by multiplication with a whole number */
static void check_halves(void)
{
    static const struct { unsigned divisor, most; } odd[] = {{3, 255},     {289, 255},   {10201, 255},   {16381, 255}, {8192, 255},
                                                             {49, 65535},  {63, 65535},  {64, 65535},    {81, 65535},  {289, 65535},
                                                             {961, 65535}, {1024, 65535}, {10201, 65535}, {32767, 65535}};
    EACH(i, (ptrdiff_t)(sizeof odd / sizeof *odd)) EACH(some, 400) {
        const unsigned divisor = odd[i].divisor, quotient = (unsigned)(some < 255 ? some : up_to(odd[i].most) - 1);
        EACH(more, 2) {
            const unsigned sum = quotient * divisor + divisor / 2 + (unsigned)more;
            const unsigned nearest = (unsigned)nearbyint((double)sum / divisor);
            const fc_quotient q = fc_quotient_of(divisor, 32);
            const uint64_t whole = q.has_ties ? ((uint64_t)sum + q.add + (sum >> q.shift) % 2) >> q.shift
                                              : ((uint64_t)sum + q.add) * q.inverse >> 32 >> q.shift;
            say_case("%u by %u", sum, divisor);
            verdict(!fc_divides(divisor, sum, 32) || whole == nearest ? "" : "inexact");
            verdict(!fc_divides_in_floats(divisor, sum) || nearbyintf((float)sum * (1 / (float)divisor)) == (float)nearest ? "" : "inexact in floats");
        }
        say_case("by %u", divisor);
        verdict(odd[i].most == 255 || divisor > 64 ? "" : fc_divides_in_floats(divisor, 65535 * divisor) ? "" : "not in floats");
        verdict(odd[i].most == 255 || fc_divides(divisor, 65535 * divisor, 32) ? "" : "not in 32 bits");
    }
}

void check_windows(fc_windows_fn *windows)
{
    static const int types[] = {FC_U8, FC_I8, FC_I16, FC_U16};
    static _Alignas(64) char room[1 << 12];
    if (type == FC_I32)
        check_halves();
    EACH(trial, TRIALS(300)) {
        const int stored = type == FC_I16 ? types[trial % 4] : trial % 2 ? FC_U8 : FC_U16;
        const int columns_are = type == FC_I16 || stored == FC_U8 ? FC_U16 : FC_I32;
        const ptrdiff_t h = 2 * up_to(trial % 3 ? 7 : 60) - trial / 4 % 2, w = 2 * up_to(trial % 3 ? 5 : 40) - trial / 4 % 2;
        const ptrdiff_t n = up_to(trial % 3 ? 40 : 150), apart = up_to(2) == 1 ? 1 : up_to(5);
        const ptrdiff_t reach = n + (w - 1) * apart, lanes = table->vector_bytes / size;
        unsigned divisor = (unsigned)(h * w), most = type == FC_I16 ? 65535 / (unsigned)w : (stored == FC_U8 ? 255 : 65535) * (unsigned)h;
        if (type == FC_I16)
            divisor = divisor_for(60000), most = 60000 / (unsigned)w;
        EACH(j, reach + 3 * lanes) ((double *)x)[j] = j % 5 ? (double)most : (double)up_to(most);
        EACH(j, n) {
            cell c = {0};
            EACH(t, w) add_product(&c, ((double *)x)[j + t * apart], 1);
            if (type == FC_I16)
                divide(&c, divisor, stored);
            else
                c.wrapped = (uint64_t)nearbyint((double)(uint32_t)c.wrapped / divisor);
            want[0][0][j] = c;
        }
        view columns = lay_as(columns_are, source[0], ADJACENT, 1, 1, reach + 3 * lanes, x); /* longer than WIDE */
        view out = lay_as(stored, dest, ADJACENT, 1, 1, n, NULL);
        say_case("%td by %td, %td apart, to type %d, divided by %u, %td places", h, w, apart, stored, divisor, n);
        if (type == FC_I16 || (stored == FC_U8 ? fc_divides_in_floats(divisor, most * (unsigned)w)
                                               : divisor > 1 && fc_divides(divisor, most * (unsigned)w, 32))) {
            windows(out.p, stored, columns.p, w, apart, n, divisor, room);
            verify_as(stored, out, 1, 1, n);
        }
    }
}

/* All sums up to what is said to be exact, and no more: by every odd divisor up to 300, and every power of two */
void check_quotients(fc_narrow_fn *narrow)
{
    static uint16_t sum[1 << 16], quotient[1 << 16];
    EACH(i, 1 << 16) sum[i] = (uint16_t)i;
    for (unsigned divisor = 2; divisor <= 1 << 15; divisor = divisor < 300 ? divisor + 1 : 2 * (1u << (31 - __builtin_clz(divisor)))) {
        unsigned most = 0;
        char wrong[80] = "";
        for (unsigned step = 1 << 15; step > 0; step /= 2)
            most += fc_divides(divisor, most + step, 16) ? step : 0;
        say_case("by %u, up to %u", divisor, most);
        narrow(quotient, FC_U16, sum, most + 1, divisor, FC_SATURATED);
        for (unsigned i = 0; i <= most && fc_divides(divisor, most, 16); i++)
            if (quotient[i] != nearbyint((double)i / divisor))
                snprintf(wrong, sizeof wrong, "%u became %u", i, quotient[i]);
        for (unsigned side = 1; side <= 15; side += 2)
            if (divisor == side * side && most < 255 * divisor)
                snprintf(wrong, sizeof wrong, "boxes of bytes are not exact");
        verdict(wrong);
    }
    for (ptrdiff_t n = 1; n <= 150; n++)
        EACH(of_bytes, 2) {
            const int stored = of_bytes ? FC_I8 : FC_I16;
            const unsigned divisor = divisor_for(2000);
            EACH(j, n) {
                x[0][0][j] = (double)(up_to(2000) - 1);
                want[0][0][j] = (cell){.wrapped = (uint64_t)x[0][0][j]};
                divide(&want[0][0][j], divisor, stored);
            }
            view from = lay(source[0], ADJACENT, 1, 1, n, x), to = lay_as(stored, dest, ADJACENT, 1, 1, n, NULL);
            say_case("to type %d, divided by %u, %td elements", stored, divisor, n);
            narrow(to.p, stored, from.p, n, divisor, FC_SATURATED);
            verify_as(stored, to, 1, 1, n);
        }
}

/* Rows of sums in phases: number i of row r */
static float in_phases[4 * 4 * 512];
static ptrdiff_t phased(const fc_pixels *g, ptrdiff_t r, ptrdiff_t i)
{
    const ptrdiff_t phases = g->stored == FC_U8 ? 4 : 2;
    return r * g->row + i % phases * g->phase + i / phases;
}

void check_pixels_down(fc_pixels_down_fn *down)
{
    EACH(trial, TRIALS(200)) {
        const ptrdiff_t h = 2 + up_to(trial % 3 ? 4 : 30), n = up_to(WIDE - 4), to = 4 * (up_to(3) - 1), rows = FC_PIXELS_ROWS;
        fc_pixels g = {.stored = trial % 2 ? FC_U8 : FC_U16, .phase = trial % 2 ? 96 : 176, .taps = h, .apart = 1};
        const char *row[40];
        g.row = 4 * g.phase;
        randomize(1, g.stored);
        EACH(a, h) k[0][0][a] = rounded(k[0][0][a] / 3);
        EACH(i, rows) EACH(q, n) {
            cell c = {0};
            EACH(a, h) add_product(&c, x[0][i + a][q], k[0][0][a]);
            want[0][i][q] = c;
        }
        view vx = lay_as(g.stored, source[0], ADJACENT, 1, rows + h - 1, n, x), vk = lay(source[1], ADJACENT, 1, 1, h, k);
        view out = lay(dest, ADJACENT, 1, rows, n, NULL);
        EACH(i, rows + h - 1) row[i] = vx.p + i * vx.row;
        g.k = vk.p;
        say_case("type %d, %td taps, %td columns from number %td on", g.stored, h, n, to);
        down(in_phases, to, row, &g, n);
        EACH(i, rows) EACH(q, n) put(element(out, 0, i, q), in_phases[phased(&g, i, to + q)], FC_F32);
        verify(out, 1, rows, n);
    }
}

void check_pixels_across(fc_pixels_across_fn *across)
{
    EACH(trial, TRIALS(300)) {
        const ptrdiff_t w = up_to(trial % 3 ? 5 : 20), apart = up_to(2) == 1 ? 1 : up_to(5), n = up_to(WIDE - 120), from = up_to(9) - 1;
        fc_pixels g = {.stored = trial % 2 ? FC_U8 : FC_U16, .phase = 400, .taps = w, .apart = apart};
        const double high = trial % 2 ? 255 : 65535;
        randomize(1, g.stored);
        EACH(b, w) k[0][0][b] = rounded(k[0][0][b] / 3);
        EACH(q, n + (w - 1) * apart) {
            ((double *)x)[q] = rounded((double)(up_to(4000) - 1000) / 7);
            in_phases[phased(&g, 0, from + q)] = (float)((double *)x)[q];
        }
        EACH(j, n) {
            cell c = {0};
            EACH(b, w) add_product(&c, ((double *)x)[j + b * apart], k[0][0][b]);
            const double nearest = nearbyint(c.sum);
            c.wrapped = (uint64_t)(nearest < 0 ? 0 : nearest > high ? high : nearest);
            want[0][0][j] = c;
        }
        view vk = lay(source[1], ADJACENT, 1, 1, w, k), out = lay_as(g.stored, dest, ADJACENT, 1, 1, n, NULL);
        g.k = vk.p;
        say_case("type %d, %td taps, %td apart, %td places from number %td on", g.stored, w, apart, n, from);
        across(out.p, in_phases, from, &g, n);
        type = FC_I16; /* whole numbers are compared */
        verify_as(g.stored, out, 1, 1, n);
        type = FC_F32;
    }
}
