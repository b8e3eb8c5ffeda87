/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Roots of one, exactly symmetric: p is folded into an eighth of the circle, where the Taylor series has converged. (Not libm's, whose
 * last bits differ from one version to the next.)
 */
#include "corr/fft.h"

void fc_root_of_one(ptrdiff_t p, ptrdiff_t n, long double *re, long double *im)
{
#define STEP(i) {1.0L / (((i) - 1) * (i)), 1.0L / ((i) * ((i) + 1))} /* from term to term of cosine, of sine */
    static const long double step[10][2] = {STEP(2),  STEP(4),  STEP(6),  STEP(8),  STEP(10),
                                            STEP(12), STEP(14), STEP(16), STEP(18), STEP(20)};
#undef STEP
    int lower = 2 * p > n;
    p = lower ? n - p : p; /* upper half */
    int left = 4 * p > n;
    ptrdiff_t quarters = left ? 2 * n - 4 * p : 4 * p; /* p / n in quarters of the circle is quarters / n */
    int steep = 2 * quarters > n;
    long double turn = (long double)(steep ? n - quarters : quarters) / (long double)n;
    long double angle = turn * 1.570796326794896619231321691639751442L, square = angle * angle;
    long double cosine = 1, sine = 1;
    for (int i = 10; i-- > 0;) {
        cosine = 1 - cosine * square * step[i][0];
        sine = 1 - sine * square * step[i][1];
    }
    sine *= angle;
    *re = (steep ? sine : cosine) * (left ? -1 : 1);
    *im = (steep ? cosine : sine) * (lower ? 1 : -1);
}
