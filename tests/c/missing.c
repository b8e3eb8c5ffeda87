/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks of the micro-kernels for elements that do not count. */
#include "check.h"

void check_present(fc_present_fn *present)
{
    for (ptrdiff_t n = 1; n <= 150; n++)
        EACH(how, 4) {
            randomize(0, type);
            const int ignores = how % 2, masked = how / 2;
            unsigned char marks[150];
            EACH(j, n) {
                marks[j] = (unsigned char)(random64() % 3);
                if (random64() % 5 == 0)
                    x[0][0][j] = NAN;
            }
            view v = lay(source[0], ADJACENT, 1, 1, n, x), above = lay(dest, ADJACENT, 1, 1, n, NULL);
            char *counts = place(3, n * size), *there = memcpy(place(4, n), marks, (size_t)n), wrong[60] = "";
            ptrdiff_t missing = 0;
            EACH(j, n) {
                int here = (!masked || marks[j]) && !(ignores && isnan(x[0][0][j]));
                want[0][0][j] = (cell){.sum = here ? x[0][0][j] : 0, .wide = here ? x[0][0][j] : 0};
                missing += !here;
            }
            say_case("%td elements, NaN ignored %d, masked %d", n, ignores, masked);
            ptrdiff_t found = present(v.p, masked ? (unsigned char *)there : NULL, ignores, n, above.p, counts);
            EACH(j, n) {
                int here = (!masked || marks[j]) && !(ignores && isnan(x[0][0][j]));
                double got = get(element(above, 0, 0, j), type), should = here ? x[0][0][j] : 0;
                if ((got != should && !(isnan(got) && isnan(should))) || get(counts + j * size, type) != here)
                    snprintf(wrong, sizeof wrong, "element %td is wrong", j);
            }
            verdict(found != missing ? "the number of missing ones is wrong" : wrong);
        }
}

void check_make_up(fc_make_up_fn *make_up)
{
    const double tiny = type == FC_F32 ? 0x1p-149 : 0x1p-1074, totals[] = {2.5, 1, 0, INFINITY, NAN};
    for (ptrdiff_t n = 1; n <= 300; n += n < 20 ? 1 : 23)
        EACH(trial, 10) {
            randomize(0, type);
            const double total = totals[trial % 5];
            EACH(j, n) {
                double some[] = {total, total, 0, tiny, NAN, -1, INFINITY, k[0][0][j] * k[0][0][j]};
                k[0][0][j] = trial < 5 || up_to(40) == 1 ? some[random64() % 8] : total;
            }
            view w = lay(source[1], ADJACENT, 1, 1, n, k);
            char *sums = place(3, n * size), wrong[120] = "";
            EACH(j, n) put(sums + j * size, x[0][0][j], type);
            say_case("%td sums, total %g", n, total);
            make_up(sums, w.p, n, total);
            EACH(j, n) {
                double s = x[0][0][j], of = get(element(w, 0, 0, j), type), ratio = total / of, should = rounded(s * ratio);
                if (isinf(ratio))
                    should = rounded(rounded(s / of) * total);
                should = !(of > 0) ? NAN : of == total ? s : should;
                double got = get(sums + j * size, type);
                if (got != should && !(isnan(got) && isnan(should)))
                    snprintf(wrong, sizeof wrong, "%.17g with weight %.17g became %.17g, not %.17g", s, of, got, should);
            }
            verdict(wrong);
        }
}
