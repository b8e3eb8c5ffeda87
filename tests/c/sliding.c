/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks of correlation kernels: every height and width of kernel, taps anywhere, rows that are far apart. */
#include "check.h"

/* Up to one vector every width, then those next to a whole number of vectors, and a few others; or a share of these */
static ptrdiff_t next_width(ptrdiff_t n, ptrdiff_t lanes)
{
    n += up_to(2 * FC_SHARE - 1) - 1;
    do
        n++;
    while (n > lanes + 1 && (n + 1) % lanes > 2 && up_to(8) > 1);
    return n;
}

/* Tap columns side by side: a dense kernel. */
static void check_dense(fc_corr_fn *corr, ptrdiff_t h, ptrdiff_t w)
{
    static ptrdiff_t side_by_side[33];
    ptrdiff_t lanes = table->vector_bytes / size, widest = min(9 * lanes + 1, WIDE - w + 1), tallest = 26, rows = 0; /* two bands */
    double start = is_float(type) && up_to(2) == 1 ? k[1][0][0] : 0;
    EACH(t, w)
        side_by_side[t] = t;
    EACH(i, tallest)
        EACH(j, widest) {
            cell c = {.sum = start, .wide = (long double)start, .mass = fabsl((long double)start)};
            EACH(a, h)
                EACH(b, w)
                    add_product(&c, x[0][i + a][j + b], ((const double *)k)[b * h + a]);
            want[0][i][j] = c;
        }
    for (ptrdiff_t cols = 1; cols <= widest; cols = next_width(cols, lanes)) {
        rows = rows % tallest + 1;
        view vx = lay(source[0], ADJACENT, 1, rows + h - 1, cols + w - 1, x);
        view vk = lay(source[1], ADJACENT, 1, 1, h * w, k);
        view out = lay(dest, ADJACENT, 1, rows, cols, NULL);
        fc_taps taps = {h, w, 0, side_by_side, vk.p, up_to(2) - 1, up_to(2) - 1, 0, start};
        say_case("h %td, w %td, rows %td, cols %td", h, w, rows, cols);
        corr(vx.p, vx.row / size, &taps, out.p, out.row / size, rows, cols);
        verify(out, 1, rows, cols);
    }
}

/* Tap columns anywhere, the last of them a tap short; x is as short as the contract allows. */
static void check_scattered(fc_corr_fn *corr)
{
    ptrdiff_t lanes = table->vector_bytes / size, h = up_to(17), rows = up_to(12), cols = up_to(5 * lanes + 1);
    ptrdiff_t full = up_to(4), part = h > 1 ? up_to(4) - 1 : 0, xs = up_to(40) - 1, at[8], end = 0;
    for (ptrdiff_t t = 0; t < full + part; t++) {
        at[t] = up_to(60) - 1;
        ptrdiff_t last_row = rows + h - (t < full ? 2 : 3);
        end = end > last_row * xs + at[t] + cols ? end : last_row * xs + at[t] + cols;
    }
    const double *flat = (const double *)x;
    EACH(i, rows)
        EACH(j, cols) {
            cell c = {0};
            EACH(a, h)
                EACH(t, a < h - 1 ? full + part : full)
                    add_product(&c, flat[(i + a) * xs + at[t] + j], k[0][0][t * h + a]);
            want[0][i][j] = c;
        }
    view vx = lay(source[0], ADJACENT, 1, 1, end, x), vk = lay(source[1], ADJACENT, 1, 1, h * (full + part), k);
    view out = lay(dest, ADJACENT, 1, rows, cols, NULL);
    fc_taps taps = {h, full, part, at, vk.p, up_to(2) - 1, up_to(2) - 1, 0, 0};
    say_case("h %td, columns %td and %td a tap short, xs %td, rows %td, cols %td", h, full, part, xs, rows, cols);
    corr(vx.p, xs, &taps, out.p, out.row / size, rows, cols);
    verify(out, 1, rows, cols);
}

/* A signal folded into rows of one vector, in parts that are far apart. */
static void check_apart(fc_corr_fn *corr)
{
    static const ptrdiff_t side_by_side[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    ptrdiff_t lanes = table->vector_bytes / size, h = up_to(17), b = 0;
    while (table->block[b].rows > FC_SHARING_ROWS(h))
        b++;
    ptrdiff_t vectors = table->block[b].vectors, rows = table->block[b].rows + up_to(12) - 1;
    ptrdiff_t full = h > 1 ? up_to(lanes) : lanes, part = h > 1 ? lanes - full : 0;
    view out = lay(dest, ADJACENT, 1, vectors, rows * lanes, NULL);
    ptrdiff_t apart = out.row / size;
    const double *flat = (const double *)x;
    EACH(v, vectors)
        EACH(j, rows * lanes) {
            cell c = {0};
            EACH(a, h)
                EACH(t, a < h - 1 ? lanes : full)
                    add_product(&c, flat[v * apart + j + a * lanes + t], k[0][0][t * h + a]);
            want[0][v][j] = c;
        }
    view vx = lay(source[0], ADJACENT, 1, 1, (vectors - 1) * apart + (rows + h - 1) * lanes + full - 1, x);
    view vk = lay(source[1], ADJACENT, 1, 1, h * lanes, k);
    fc_taps taps = {h, full, part, side_by_side, vk.p, 0, 0, apart, 0};
    say_case("h %td, columns %td and %td a tap short, %td rows, %td vectors %td apart", h, full, part, rows, vectors, apart);
    corr(vx.p, lanes, &taps, out.p, lanes, rows, vectors * lanes);
    verify(out, 1, vectors, rows * lanes);
}

void check_corr(fc_corr_fn *corr)
{
    ptrdiff_t lanes = table->vector_bytes / size;
    EACH(small, 2) {
        for (ptrdiff_t h = 1; h <= 17; h++)
            for (ptrdiff_t w = 1; w <= lanes + 1; w += w == 3 && lanes > 5 ? lanes - 4 : 1) {
                randomize((int)small, type);
                check_dense(corr, h, w);
            }
        for (int trial = 0; trial < TRIALS(300); trial++) {
            if (trial % 30 == 0)
                randomize((int)small, type);
            check_scattered(corr);
            if (is_float(type))
                check_apart(corr);
        }
    }
}

static double fused(double a, double b, double c)
{
    return !table->fma      ? rounded(rounded(a * b) + c)
           : type == FC_F32 ? (double)fmaf((float)a, (float)b, (float)c)
                            : fma(a, b, c);
}

/* The norm of n sums */
cell combined(int norm, const cell *s, ptrdiff_t n)
{
    double total = 0;
    EACH(t, n)
        total = norm == FC_L2 ? fused(s[t].sum, s[t].sum, total) : rounded(total + fabs(s[t].sum));
    if (norm == FC_L2)
        total = type == FC_F32 ? (double)sqrtf((float)total) : sqrt(total);
    return (cell){.sum = total, .wide = total};
}

void check_norms(fc_norms_fn *norms)
{
    EACH(trial, TRIALS(400)) {
        ptrdiff_t lanes = table->vector_bytes / size, rows = up_to(5), cols = up_to(10 * lanes + 1), w = up_to(9);
        ptrdiff_t step = up_to(2) == 1 ? 1 : up_to(3), terms = up_to(3), at[9];
        fc_norms g = {up_to(2) == 1 ? FC_L1 : FC_L2, (int)up_to(2) - 1, terms, 0, w, at, NULL};
        EACH(b, w)
            at[b] = b * step;
        randomize(trial % 2, type);
        EACH(i, rows)
            EACH(j, cols) {
                cell s[3] = {{0}};
                EACH(t, terms)
                    EACH(b, w)
                        add_product(&s[t], x[0][t * rows + i][j + at[b]], k[0][0][t * w + b]);
                want[0][i][j] = combined(g.norm, s, terms);
            }
        view vx = lay(source[0], ADJACENT, 1, terms * rows, cols + at[w - 1], x);
        view vk = lay(source[1], ADJACENT, 1, 1, terms * w, k), out = lay(dest, ADJACENT, 1, rows, cols, NULL);
        g.term = rows * (vx.row / size), g.k = vk.p;
        say_case("norm %d, terms %td, w %td, step %td, rows %td, cols %td", g.norm, terms, w, step, rows, cols);
        norms(vx.p, vx.row / size, &g, out.p, out.row / size, rows, cols);
        verify(out, 1, rows, cols);
    }
}

void check_passes(fc_passes_fn *passes)
{
    EACH(trial, TRIALS(400)) {
        const ptrdiff_t lanes = table->vector_bytes / size, rows = up_to(20), cols = up_to(18 * lanes + 1);
        const ptrdiff_t terms = up_to(2), taps = terms == 1 ? 1 + 2 * up_to(3) : 3, results = up_to(terms);
        fc_passes g = {terms == 1     ? FC_ADDED
                       : results == 2 ? FC_APART
                       : up_to(2) > 1 ? FC_L1
                                      : FC_L2,
                       (int)up_to(2) - 1,
                       (int)up_to(2) - 1,
                       terms,
                       taps,
                       0,
                       NULL,
                       NULL};
        randomize(trial % 2, type);
        EACH(i, rows)
            EACH(j, cols) {
                cell s[2] = {{0}};
                EACH(t, terms) {
                    EACH(b, taps) {
                        double sum = 0;
                        EACH(a, taps)
                            sum = fused(x[0][i + a][j + b], k[0][0][t * taps + a], sum);
                        s[t].sum = fused(sum, k[0][1][t * taps + b], s[t].sum);
                    }
                    s[t].wide = s[t].sum;
                    want[t][i][j] = s[t];
                }
                if (terms > results)
                    want[0][i][j] = combined(g.combine, s, terms);
            }
        view vx = lay(source[0], ADJACENT, 1, rows + taps - 1, cols + taps - 1, x);
        view vk = lay(source[1], ADJACENT, 1, 2, terms * taps, k), out = lay(dest, ADJACENT, results, rows, cols, NULL);
        g.down = vk.p, g.across = vk.p + vk.row, g.result = out.plane / size;
        say_case("combine %d, terms %td, taps %td, stream %d, rows %td, cols %td", g.combine, terms, taps, g.stream, rows,
                 cols);
        if (passes(vx.p, vx.row / size, &g, out.p, out.row / size, rows, cols))
            verify(out, results, rows, cols);
    }
}

void check_turn(fc_turn_fn *turn)
{
    EACH(trial, TRIALS(200)) {
        const ptrdiff_t lanes = table->vector_bytes / size, h = FC_TURN / 2 - 2 + up_to(20), rows = FC_TURN - 2 + up_to(24);
        const ptrdiff_t cols = up_to(3 * lanes + 1);
        fc_taps taps = {.h = h, .far = (int)up_to(2) - 1};
        randomize(trial % 2, type);
        EACH(i, rows)
            EACH(j, cols) {
                cell s = {0};
                EACH(a, h)
                    add_product(&s, x[0][i + a][j], k[0][0][a]);
                want[0][j][i] = s;
            }
        view vx = lay(source[0], ADJACENT, 1, rows + h - 1, cols, x), vk = lay(source[1], ADJACENT, 1, 1, h, k);
        view out = lay(dest, ADJACENT, 1, cols, rows, NULL);
        taps.k = vk.p;
        say_case("h %td, far %d, rows %td, cols %td", h, taps.far, rows, cols);
        if (turn(vx.p, vx.row / size, &taps, out.p, out.row / size, rows, cols))
            verify(out, 1, cols, rows);
    }
}
