/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks of the micro-kernels of pooling. */
#include "check.h"

enum { MOST = 6 };

/* Whether b is taken where a is the largest so far */
static int is_larger(double b, double a) { return b > a || isnan(b); }

static void spoil(void)
{
    EACH(i, TALL)
        EACH(j, WIDE)
            if (up_to(30) == 1)
                x[0][i][j] = up_to(2) == 1 ? NAN : -INFINITY;
}

static void reduced(cell *c, double v, int sums)
{
    if (sums)
        add_product(c, v, 1);
    else if (is_larger(v, c->sum))
        *c = (cell){.sum = v, .wide = v};
}

static void check_rows(void (*rows_of)(const fc_pool *), int sums)
{
    EACH(trial, TRIALS(400)) {
        const ptrdiff_t step = up_to(3) == 1 ? 2 : 1, taps = up_to(MOST), rows = up_to(9), cols = up_to(trial % 3 ? 9 : 140);
        const ptrdiff_t whole = step * cols + MOST + (step == 2 ? 2 * table->vector_bytes / size : 0);
        ptrdiff_t at[MOST], above[MOST];
        const int by = sums ? (int)up_to(3) - 1 : 0; /* divides by nothing, by rows, by columns */
        randomize(trial % 2, type);
        if (trial % 4 == 3)
            spoil();
        view vx = lay(source[0], ADJACENT, 1, rows + MOST, whole, x);
        EACH(t, taps) {
            above[t] = up_to(MOST) - 1, at[t] = t > 0 && up_to(2) == 1 ? (at[t - 1] + 1) % MOST : up_to(MOST) - 1;
        }
        char *divisors = place(3, 140 * size);
        EACH(j, 140)
            put(divisors + j * size, (double)(j % 5 + 1), type);
        EACH(i, rows)
            EACH(j, cols) {
                cell c = {.sum = sums ? 0 : -INFINITY, .wide = sums ? 0 : (long double)-INFINITY};
                EACH(t, taps)
                    reduced(&c, x[0][i + above[t]][at[t] + j * step], sums);
                const double d = by == 0 ? 1 : (double)((by == 1 ? i : j) % 5 + 1);
                c.sum = rounded(c.sum / d), c.wide /= d, c.mass /= d, c.n += 1;
                want[0][i][j] = c;
            }
        EACH(t, taps)
            at[t] += above[t] * (vx.row / size);
        view out = lay(dest, ADJACENT, 1, rows, cols, NULL);
        const fc_pool g = {.x = vx.p,
                           .by = by ? divisors : NULL,
                           .to = out.p,
                           .xs = vx.row / size,
                           .os = out.row / size,
                           .rows = rows,
                           .cols = cols,
                           .taps = taps,
                           .step = step,
                           .by_row = by == 1,
                           .by_col = by == 2,
                           .at = at};
        say_case("step %td, taps %td, rows %td, cols %td, divisors %d", step, taps, rows, cols, by);
        rows_of(&g);
        verify(out, 1, rows, cols);
    }
}

void check_pool_max(fc_pool_max_fn *pool_max) { check_rows(pool_max, 0); }
void check_pool_sum(fc_pool_sum_fn *pool_sum) { check_rows(pool_sum, 1); }

static int64_t integer_at(const char *p, ptrdiff_t i)
{
    int32_t narrow;
    int64_t wide;
    memcpy(&narrow, p + i * size, sizeof narrow), memcpy(&wide, p + i * size, (size_t)size);
    return size == 4 ? narrow : wide;
}
static void put_integer(char *p, ptrdiff_t i, int64_t v)
{
    const int32_t narrow = (int32_t)v;
    memcpy(p + i * size, size == 4 ? (const void *)&narrow : (const void *)&v, (size_t)size);
}

void check_pool_find(fc_pool_find_fn *pool_find)
{
    EACH(trial, TRIALS(400)) {
        const int from = (int)up_to(2) - 1, by = from ? 0 : (int)up_to(4) - 1; /* by: none, one, by rows, by columns */
        const ptrdiff_t step = from ? 1 : up_to(2), taps = up_to(MOST) - (from ? 0 : 1), rows = up_to(9);
        const ptrdiff_t cols = up_to(trial % 3 ? 9 : 140), whole = step * (cols - 1) + MOST, row = up_to(9) - 5,
                        col = up_to(9) - 5;
        ptrdiff_t at[MOST], put_at[MOST];
        randomize(1, type);
        if (trial % 2)
            spoil();
        view vx = lay(source[0], ADJACENT, 1, rows, whole, x), out = lay(dest, ADJACENT, 1, rows, cols, NULL);
        const ptrdiff_t xs = vx.row / size, ws = cols + up_to(3) - 1;
        char *numbers = place(3, (rows * xs + whole) * size), *none = place(4, 160 * size), *which = place(5, rows * ws * size);
        char wrong[80] = "";
        EACH(t, taps)
            at[t] = up_to(MOST) - 1, put_at[t] = up_to(1000) - 500;
        EACH(i, rows * xs + whole)
            put_integer(numbers, i, up_to(1000) - 500);
        EACH(i, 160)
            put_integer(none, i, up_to(1000) - 500);
        const fc_pool g = {.x = vx.p,
                           .to = out.p,
                           .by = by ? none : NULL,
                           .by_row = by == 2,
                           .by_col = by == 3,
                           .xs = xs,
                           .os = out.row / size,
                           .rows = rows,
                           .cols = cols,
                           .taps = taps,
                           .step = step,
                           .at = at};
        const fc_pool_find f = {
            .from = from ? numbers : NULL, .which = which, .place = put_at, .ws = ws, .row = row, .col = col};
        say_case("taps %td, step %td, rows %td, cols %td, from %d, by %d", taps, step, rows, cols, from, by);
        pool_find(&g, &f);
        EACH(i, rows)
            EACH(j, cols) {
                cell c = {.sum = -INFINITY, .wide = (long double)-INFINITY};
                int64_t best = by ? integer_at(none, by == 2 ? i : by == 3 ? j : 0) : 0;
                EACH(t, taps) {
                    const ptrdiff_t k = at[t] + j * step;
                    if (is_larger(x[0][i][k], c.sum) || (from && t == 0))
                        best = put_at[t] + (from ? integer_at(numbers, i * xs + k) : 0);
                    reduced(&c, x[0][i][k], 0);
                }
                if (integer_at(which, i * ws + j) != best + i * row + j * col)
                    snprintf(wrong, sizeof wrong, "the index of output %td, %td is wrong", i, j);
                want[0][i][j] = c;
            }
        verify(out, 1, rows, cols);
        verdict(wrong);
    }
}

void check_pool_whole(fc_pool_whole_fn *pool_whole)
{
    EACH(trial, TRIALS(300)) {
        const ptrdiff_t n = up_to(trial % 3 ? 40 : 300), rows = up_to(4);
        const int sums = trial % 2;
        randomize(trial % 4 > 1, type);
        if (trial % 5 == 0)
            spoil();
        EACH(i, rows) {
            cell part[FC_POOL_PARTS];
            EACH(l, FC_POOL_PARTS)
                part[l] = (cell){.sum = sums ? 0 : -INFINITY, .wide = sums ? 0 : (long double)-INFINITY};
            EACH(j, n)
                reduced(&part[j % FC_POOL_PARTS], x[0][i][j], sums);
            for (int half = FC_POOL_PARTS / 2; half > 0; half /= 2)
                EACH(l, half) {
                    if (!sums)
                        reduced(&part[l], part[l + half].sum, 0);
                    else
                        part[l] = (cell){.sum = rounded(part[l].sum + part[l + half].sum),
                                         .wide = part[l].wide + part[l + half].wide,
                                         .mass = part[l].mass + part[l + half].mass,
                                         .n = part[l].n + part[l + half].n + 1};
                }
            part->sum = rounded(part->sum / (sums ? 7 : 1)), part->wide /= sums ? 7 : 1, part->mass /= 7, part->n += 1;
            want[0][0][i] = *part;
        }
        view vx = lay(source[0], ADJACENT, 1, rows, n, x), out = lay(dest, ADJACENT, 1, 1, rows, NULL);
        say_case("%td elements, rows %td, sums %d", n, rows, sums);
        pool_whole(out.p, vx.p, n, vx.row / size, rows, sums, 7);
        verify(out, 1, 1, rows);
    }
}
