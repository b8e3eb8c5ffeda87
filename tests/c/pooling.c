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
    EACH(trial, 400) {
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
        const fc_pool g = {.x = vx.p, .by = by ? divisors : NULL, .to = out.p, .xs = vx.row / size, .os = out.row / size, .rows = rows,
                           .cols = cols, .taps = taps, .step = step, .by_row = by == 1, .by_col = by == 2, .at = at};
        say_case("step %td, taps %td, rows %td, cols %td, divisors %d", step, taps, rows, cols, by);
        rows_of(&g);
        verify(out, 1, rows, cols);
    }
}

void check_pool_max(fc_pool_max_fn *pool_max) { check_rows(pool_max, 0); }
void check_pool_sum(fc_pool_sum_fn *pool_sum) { check_rows(pool_sum, 1); }

void check_pool_find(fc_pool_find_fn *pool_find)
{
    EACH(trial, 200) {
        const ptrdiff_t taps = up_to(MOST), rows = up_to(4), cols = up_to(70);
        ptrdiff_t at[MOST];
        randomize(1, type);
        if (trial % 2)
            spoil();
        view vx = lay(source[0], ADJACENT, 1, rows, cols + MOST, x), out = lay(dest, ADJACENT, 1, rows, cols, NULL);
        char *which = place(3, rows * (out.row / size) * size), wrong[80] = "";
        EACH(t, taps)
            at[t] = up_to(MOST) - 1;
        const fc_pool g = {.x = vx.p, .to = out.p, .xs = vx.row / size, .os = out.row / size, .rows = rows, .cols = cols, .taps = taps,
                           .step = 1, .at = at};
        say_case("taps %td, rows %td, cols %td", taps, rows, cols);
        pool_find(&g, which);
        EACH(i, rows)
            EACH(j, cols) {
                cell c = {.sum = -INFINITY, .wide = (long double)-INFINITY};
                ptrdiff_t best = 0;
                EACH(t, taps) {
                    best = is_larger(x[0][i][j + at[t]], c.sum) ? t : best;
                    reduced(&c, x[0][i][j + at[t]], 0);
                }
                const char *p = which + (i * (out.row / size) + j) * size;
                int32_t narrow;
                int64_t wide;
                memcpy(&narrow, p, sizeof narrow), memcpy(&wide, p, (size_t)size);
                if ((size == 4 ? narrow : wide) != best)
                    snprintf(wrong, sizeof wrong, "the tap of output %td, %td is wrong", i, j);
                want[0][i][j] = c;
            }
        verify(out, 1, rows, cols);
        verdict(wrong);
    }
}

void check_pool_whole(fc_pool_whole_fn *pool_whole)
{
    EACH(trial, 300) {
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
                        part[l] = (cell){.sum = rounded(part[l].sum + part[l + half].sum), .wide = part[l].wide + part[l + half].wide,
                                         .mass = part[l].mass + part[l + half].mass, .n = part[l].n + part[l + half].n + 1};
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
