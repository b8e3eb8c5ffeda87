/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks of kernels for layers: products of panels, dot products, channels as lanes. */
#include "check.h"

/* What a finished sum begins with, and where it must stay */
static void add_cell(cell *to, const cell *c)
{
    to->sum = type == FC_F32 ? (float)to->sum + (float)c->sum : to->sum + c->sum;
    to->wide += c->wide;
    to->mass += c->mass;
    to->n += c->n + 1;
}

static void add_number(cell *to, double x) { add_cell(to, &(cell){.sum = x, .wide = (long double)x, .mass = fabsl((long double)x)}); }

static void finish(cell *c, double first, double more, const fc_gemm *g)
{
    add_number(c, first);
    if (g->more)
        add_number(c, more);
    if (g->clamp) {
        c->sum = fmin(fmax(c->sum, g->low), g->high);
        c->wide = fminl(fmaxl(c->wide, (long double)g->low), (long double)g->high);
    }
}

/* Panels of whole and partial vectors: those of b lie side by side, those of c as their lanes do. */
void check_gemm(fc_gemm_fn *gemm)
{
    enum { MOST = 2 };
    ptrdiff_t lanes = table->vector_bytes / size, at[9], a_at[9];
    for (int trial = 0; trial < TRIALS(600); trial++) {
        randomize(trial % 2, type);
        ptrdiff_t rows = up_to(17), depth = up_to(9), tiles = (rows + table->rows - 1) / table->rows, vectors = 0, cols = 0;
        int widest = table->cols_of[(rows + tiles - 1) / tiles];
        fc_panel panel[MOST] = {{{0}, {0}, {0}, 0, 0}};
        ptrdiff_t lane_of[WIDE]; /* of b, for each column of c */
        EACH(q, MOST) {
            panel[q].vectors = up_to(3) == 1 ? widest : up_to(2) == 1 && widest > 1 ? 2 : 1;
            panel[q].whole = up_to(2) == 1;
            EACH(v, panel[q].vectors) {
                panel[q].lanes[v] = panel[q].whole ? lanes : up_to(lanes);
                panel[q].b[v] = vectors++ * lanes, panel[q].c[v] = cols;
                EACH(l, panel[q].lanes[v]) lane_of[cols++] = panel[q].b[v] + l;
            }
        }
        view a = lay(source[0], ADJACENT, 1, rows, depth, k), b = lay(source[1], ADJACENT, 1, depth, vectors * lanes, x);
        view c = lay(dest, ADJACENT, 1, rows, cols, NULL), more = c;
        more.p += areas[3] - dest;
        EACH(m, rows) EACH(j, cols) put(element(more, 0, m, j), x[0][m][j], type);
        const ptrdiff_t turned = up_to(2) - 1; /* weights in descending order */
        EACH(p, depth) at[p] = p * b.row / size, a_at[p] = turned ? depth - 1 - p : p;
        fc_gemm g = {.a = a.p, .as = a.row / size, .b = b.p, .a_at = a_at, .b_at = at, .c = c.p, .cs = c.row / size, .rows = rows, .depth = depth,
                     .panel = panel, .panels = MOST, .add = up_to(2) == 1, .clamp = up_to(2) == 1, .low = -0.25, .high = 0.5};
        char bias[17 * sizeof(double)];
        EACH(m, rows) put(bias + m * size, k[1][0][m], type);
        g.bias = up_to(2) == 1 ? bias : NULL;
        char lane_bias[WIDE * sizeof(double)];
        EACH(j, cols) put(lane_bias + j * size, k[2][0][j], type);
        g.lane_bias = up_to(3) == 1 ? lane_bias : NULL;
        g.more = up_to(2) == 1 ? more.p - c.p : 0;
        EACH(m, rows) EACH(j, cols) {
            cell sum = {0};
            EACH(p, depth) add_product(&sum, k[0][m][a_at[p]], x[0][p][lane_of[j]]);
            if (g.add)
                put(element(c, 0, m, j), x[1][m][j], type);
            finish(&sum, g.add ? x[1][m][j] : g.lane_bias ? k[2][0][j] : g.bias ? k[1][0][m] : 0, x[0][m][j], &g);
            want[0][m][j] = sum;
        }
        say_case("trial %d: rows %td, depth %td, panels of %d and %d vectors, add %d, more %d, clamp %d", trial, rows, depth,
                 panel[0].vectors, panel[1].vectors, g.add, g.more != 0, g.clamp);
        gemm(&g);
        verify(c, 1, rows, cols);
    }
}

void check_dot(fc_dot_fn *dot)
{
    ptrdiff_t lanes = table->vector_bytes / size, at[9];
    for (int trial = 0; trial < TRIALS(600); trial++) {
        randomize(trial % 2, type);
        ptrdiff_t rows = up_to(40), cols = up_to(9), depth = up_to(50), part = up_to(2 * depth);
        view a = lay(source[0], ADJACENT, 1, rows, depth, k), c = lay(dest, ADJACENT, 1, rows, 2 * cols, NULL);
        view b = lay(source[1], ADJACENT, 1, cols, depth, x);
        fc_gemm g = {.add = up_to(2) == 1, .clamp = up_to(2) == 1, .low = -0.25, .high = 0.5};
        fc_dot d = {.a = a.p, .as = a.row / size, .b = b.p, .bs = b.row / size, .at = at, .c = c.p, .cs = c.row / size,
                    .rows = rows, .cols = cols, .depth = depth, .part = part, .b_part = part, .add = g.add, .clamp = g.clamp, .low = g.low, .high = g.high};
        char bias[40 * sizeof(double)];
        EACH(m, rows) put(bias + m * size, k[1][0][m], type);
        d.bias = up_to(2) == 1 ? bias : NULL;
        EACH(n, cols) at[n] = 2 * n;
        EACH(m, rows) EACH(n, 2 * cols) {
            cell first = {0};
            want[0][m][n] = (cell){.sum = x[2][m][n], .wide = (long double)x[2][m][n], .mass = fabsl((long double)x[2][m][n])};
            if (g.add || n % 2)
                put(element(c, 0, m, n), x[2][m][n], type);
            if (n % 2) /* between two results: stays */
                continue;
            double before = g.add ? x[2][m][n] : d.bias ? k[1][0][m] : 0;
            first = (cell){.sum = before, .wide = (long double)before, .mass = fabsl((long double)before)};
            for (ptrdiff_t from = 0; from < depth; from += part) {
                cell sum[16] = {{0}};
                for (ptrdiff_t p = from; p < depth && p < from + part; p++)
                    add_product(&sum[(p - from) % lanes], k[0][m][p], x[0][n / 2][p]);
                for (ptrdiff_t half = lanes / 2; half > 0; half /= 2)
                    EACH(l, half) add_cell(&sum[l], &sum[l + half]);
                add_cell(&first, &sum[0]);
            }
            finish(&first, 0, 0, &g);
            want[0][m][n] = first;
        }
        say_case("trial %d: rows %td, cols %td, depth %td in parts of %td, add %d, clamp %d", trial, rows, cols, depth, part,
                 d.add, d.clamp);
        dot(&d);
        verify(c, 1, rows, 2 * cols);
    }
}

/* A small integer as float16 */
static int half_bits(double v)
{
    const int e = v == 0 ? 0 : ilogb(v), h = v == 0 ? 0 : ((e + 15) << 10) + (int)ldexp(fabs(v), 10 - e) - 1024;
    return v < 0 ? h - 32768 : h;
}

/* Planes of small integers, as they are or as float16 */
static view lay_halves(int half, ptrdiff_t planes, ptrdiff_t rows, ptrdiff_t cols, grid from)
{
    static grid bits; /* as int16 */
    const double *flat = (const double *)from; /* a single row may be longer than WIDE */
    double *to = (double *)bits;
    EACH(p, planes) EACH(i, rows) EACH(j, cols)
        to[(p * TALL + i) * WIDE + j] = half ? half_bits(flat[(p * TALL + i) * WIDE + j]) : 0;
    return half ? lay_as(FC_I16, source[0], ADJACENT, planes, rows, cols, bits) : lay(source[0], ADJACENT, planes, rows, cols, from);
}

/* `verify`, where results may be float16, which holds them */
static void verify_halves(int half, view out, ptrdiff_t rows, ptrdiff_t cols)
{
    EACH(i, half ? rows : 0) EACH(j, cols) {
        const int bits = half_bits(want[0][i][j].sum);
        want[0][i][j] = (cell){.sum = bits, .wrapped = (uint64_t)bits};
    }
    if (half)
        type = FC_I16, size = 2; /* their bits */
    verify(out, 1, rows, cols);
    if (half)
        type = FC_F32, size = 4;
}

/* Two runs one behind the other, from places of their own in x */
void check_pack(fc_pack_fn *pack)
{
    enum { RUNS = 2 };
    ptrdiff_t lanes = table->vector_bytes / size;
    for (int trial = 0; trial < TRIALS(600); trial++) {
        ptrdiff_t n = up_to(5 * lanes), ts = n + up_to(3) - 1, step = up_to(5), wrong = 0, to_rows = 0;
        ptrdiff_t from = up_to(3) == 1 ? up_to(n + 1) - 1 : 0, end = up_to(3) == 1 ? up_to(n + 1) - 1 : n;
        ptrdiff_t seen = end > from ? (end - from - 1) * step + 1 : 1;
        step = seen > WIDE ? 1 : step;
        seen = end > from ? (end - from - 1) * step + 1 : 1;
        int backwards = up_to(4) == 1;
        const int half = type == FC_F32 && up_to(3) == 1;
        const ptrdiff_t stored = half ? 2 : size;
        randomize(1, type);
        fc_run run[RUNS];
        view v = lay_halves(half, RUNS, 4, seen, x);
        EACH(r, RUNS) {
            run[r] = (fc_run){.to = to_rows * ts, .xs = v.row / stored, .rows = up_to(4), .n = n, .from = from, .end = end};
            run[r].x = r * v.plane + (backwards ? (end - 1) * step : -from * step) * stored;
            to_rows += run[r].rows;
        }
        view to = lay(dest, ADJACENT, 1, 1, to_rows * ts + lanes, NULL);
        const int exact = up_to(2) == 1;
        fc_runs runs = {run, RUNS, .ts = ts, .step = backwards ? -step : step, .ahead = 100, .half = half, .exact = exact};
        say_case("trial %d: rows of %td, %td ... %td, step %td, half %d, exact %d", trial, n, from, end, runs.step, half, exact);
        pack(to.p, v.p, &runs);
        EACH(r, RUNS) EACH(i, run[r].rows) EACH(j, n) {
            ptrdiff_t at = backwards ? end - 1 - j : j - from;
            double should = j >= from && j < end ? x[r][i][at * step] : 0;
            wrong |= get(to.p + (run[r].to + i * ts + j) * size, type) != should;
        }
        EACH(i, to_rows) EACH(j, exact ? (ts - n) * size : 0) wrong |= ((unsigned char *)to.p)[(i * ts + n) * size + j] != POISON;
        memset(to.p, POISON, (size_t)((to_rows * ts + lanes) * size));
        EACH(byte, AREA) wrong |= (unsigned char)dest[byte] != POISON;
        verdict(wrong ? "an element is not where it belongs, or was written outside" : "");
    }
}

static cell copied(double value)
{
    return (cell){.sum = value, .wide = value};
}

/* Channels as rows, some of them so far apart that they share L1 sets, or as columns */
void check_lanes_in(fc_lanes_in_fn *in)
{
    enum { SET = 4096 };
    const double *flat = (const double *)x;
    ptrdiff_t most = table->vector_bytes / size;
    for (int trial = 0; trial < TRIALS(600); trial++) {
        ptrdiff_t lanes = up_to(2) == 1 ? most : up_to(most), rows = up_to(7), cols = up_to(20), adjacent = up_to(3) == 1;
        ptrdiff_t gap = up_to(2) == 1 ? 0 : up_to(3), xs = cols + gap, seen = (rows - 1) * xs + cols;
        ptrdiff_t pixel = up_to(2) == 1 ? most : lanes + up_to(most - lanes + 1) - 1;
        const int half = type == FC_F32 && up_to(2) == 1;
        const ptrdiff_t stored = half ? 2 : size;
        randomize(1, type);
        view v = lay_halves(half, 1, adjacent ? seen : lanes, adjacent ? lanes : up_to(3) == 1 ? SET / stored : seen, x);
        view to = lay(dest, ADJACENT, 1, rows + most, cols * pixel, NULL); /* written beyond */
        ptrdiff_t step = adjacent ? v.row / stored : 1, channel = adjacent ? 1 : v.row / stored;
        EACH(i, rows) EACH(j, cols) EACH(l, pixel) {
            ptrdiff_t at = i * xs + j;
            want[0][i][j * pixel + l] = copied(l >= lanes ? 0 : flat[adjacent ? at * WIDE + l : l * WIDE + at]);
        }
        say_case("trial %d: rows %td, cols %td of %td, lanes %td of %td, channel %td, half %d", trial, rows, cols, xs, lanes, pixel, channel, half);
        in(to.p, to.row / size, pixel, v.p, channel, xs * step, step, rows, cols, lanes, half);
        EACH(i, rows) EACH(l, most - pixel) if (i == rows - 1 || (cols * pixel + l) * size < to.row)
            memset(to.p + i * to.row + (cols * pixel + l) * size, POISON, (size_t)size); /* zeros */
        verify(to, 1, rows, cols * pixel);
    }
}

/* Planes of any size, beyond which lie zeros; rows beyond them are no part of a sum */
void check_plane(fc_plane_fn *correlate)
{
    const double *weights = (const double *)k;
    const ptrdiff_t lanes = table->vector_bytes / size;
    for (int trial = 0; trial < TRIALS(600); trial++) {
        const ptrdiff_t rows = up_to(16), cols = up_to(WIDE), row_lead = up_to(3) - 1, col_lead = up_to(3) - 1;
        const int half = type == FC_F32 && trial % 4 == 1, out_half = half && up_to(2) == 1;
        const ptrdiff_t stored = half ? 2 : size, out_size = out_half ? 2 : size;
        randomize(trial % 2, type);
        view vx = lay_halves(half, 1, rows, cols, x), vw = lay(source[1], ADJACENT, 1, 1, 9, k);
        const ptrdiff_t out_rows = (rows + up_to(2)) / 2, out_cols = (cols + up_to(2)) / 2;
        view out = lay_as(out_half ? FC_I16 : type, dest, ADJACENT, 1, 1, out_rows * out_cols, NULL);
        out.row = out_cols * out_size;
        fc_plane g = {.x = vx.p, .w = vw.p, .out = out.p, .half = half, .out_half = out_half, .xs = vx.row / stored, .rows = rows, .cols = cols, .out_rows = out_rows,
                      .out_cols = out_cols, .row_lead = row_lead, .col_lead = col_lead, .wide = up_to(lanes - 1), .clamp = up_to(2) == 1,
                      .bias = k[1][0][0], .low = -0.25, .high = 0.5};
        EACH(i, out_rows) EACH(j, out_cols) {
            cell c = {0}, last = copied(k[1][0][0]);
            last.mass = fabsl(last.wide);
            EACH(a, 3) EACH(b, 3) {
                const ptrdiff_t r = 2 * i - row_lead + a, q = 2 * j - col_lead + b;
                if (r >= 0 && r < rows)
                    add_product(&c, weights[a * 3 + b], q >= 0 && q < cols ? x[0][r][q] : 0);
            }
            add_cell(&c, &last);
            if (g.clamp)
                c.sum = fmin(fmax(c.sum, g.low), g.high), c.wide = fminl(fmaxl(c.wide, -0.25L), 0.5L);
            want[0][i][j] = c;
        }
        say_case("trial %d: %td x %td, leads %td and %td, clamp %d, half %d, %d", trial, rows, cols, row_lead, col_lead, g.clamp, half, out_half);
        if (!correlate(&g)) {
            verdict("");
            continue;
        }
        verify_halves(out_half, out, out_rows, out_cols);
    }
}

/* Rows of taps meet any rows of pixels. */
void check_lanes_rows(fc_lanes_rows_fn *correlate)
{
    enum { ROWS = 6, TAP_ROWS = 4, PIXEL_ROWS = 6 };
    const double *flat = (const double *)x, *weights = (const double *)k;
    ptrdiff_t lanes = table->vector_bytes / size, first[ROWS + 1];
    fc_tap_row tap[ROWS * TAP_ROWS];
    for (int trial = 0; trial < TRIALS(900); trial++) {
        ptrdiff_t rows = up_to(ROWS), cols = up_to(18), taps = up_to(9), kernel_rows = up_to(TAP_ROWS), step = up_to(3);
        ptrdiff_t dilation = up_to(2) == 1 ? 1 : up_to(3), seen = (cols - 1) * step + (taps - 1) * dilation + 1, n = 0;
        ptrdiff_t row_of[ROWS * TAP_ROWS], kernel_row_of[ROWS * TAP_ROWS];
        randomize(trial % 2, type);
        view vx = lay(source[0], ADJACENT, 1, PIXEL_ROWS, seen * lanes, x);
        view vw = lay(source[1], ADJACENT, 1, 1, kernel_rows * taps * lanes, k);
        const ptrdiff_t apart = lanes + up_to(2) - 1; /* pixels of out */
        view out = lay(dest, ADJACENT, 1, 1, rows * cols * apart, NULL);
        out.row = cols * apart * size;
        EACH(i, rows) {
            first[i] = n;
            EACH(r, kernel_rows) if (up_to(4) > 1) {
                row_of[n] = up_to(PIXEL_ROWS) - 1, kernel_row_of[n] = r;
                tap[n] = (fc_tap_row){row_of[n] * vx.row / size, r * taps * lanes};
                n++;
            }
        }
        first[rows] = n;
        char bias[16 * sizeof(double)];
        EACH(l, lanes) put(bias + l * size, k[1][0][l], type);
        fc_lanes g = {.x = vx.p, .w = vw.p, .bias = bias, .out = out.p, .rows = rows, .cols = cols, .taps = taps,
                      .step = step * lanes, .dilation = dilation * lanes, .first = first, .tap = tap, .most = TAP_ROWS,
                      .out_row = out.row / size, .out_step = apart,
                      .clamp = up_to(2) == 1, .low = -0.25, .high = 0.5};
        fc_lanes head = g; /* some rows of taps are summed before the others */
        head.bias = NULL, head.clamp = 0;
        head.most = g.skip = up_to(TAP_ROWS + 1) - 1;
        g.add = g.skip > 0;
        g.bias_first = !g.add && up_to(2) == 1;
        EACH(i, rows) EACH(j, cols) EACH(l, apart) {
            if (l == lanes) { /* stays */
                put(element(out, 0, i, j * apart + l), x[1][i][l], type);
                want[0][i][j * apart + l] = copied(x[1][i][l]);
                continue;
            }
            cell c = {0}, before = {0}, last = copied(k[1][0][l]);
            last.mass = fabsl(last.wide);
            if (g.bias_first)
                add_cell(&c, &last);
            for (ptrdiff_t a = first[i]; a < first[i + 1]; a++)
                EACH(t, taps)
                    add_product(a - first[i] < g.skip ? &before : &c, weights[(kernel_row_of[a] * taps + t) * lanes + l],
                                flat[row_of[a] * WIDE + (j * step + t * dilation) * lanes + l]);
            if (g.add)
                add_cell(&c, &before);
            if (!g.bias_first)
                add_cell(&c, &last);
            if (g.clamp)
                c.sum = fmin(fmax(c.sum, g.low), g.high), c.wide = fminl(fmaxl(c.wide, -0.25L), 0.5L);
            want[0][i][j * apart + l] = c;
        }
        say_case("trial %d: rows %td, cols %td, taps %td, step %td, dilation %td, clamp %d, skip %td", trial, rows, cols,
                 taps, step, dilation, g.clamp, g.skip);
        if (g.add)
            correlate(&head);
        correlate(&g);
        verify(out, 1, rows, cols * apart);
    }
}

void check_lanes_grad(fc_lanes_grad_fn *grad)
{
    const double *flat = (const double *)x, *slopes = (const double *)k;
    ptrdiff_t lanes = table->vector_bytes / size;
    for (int trial = 0; trial < TRIALS(600); trial++) {
        ptrdiff_t rows = up_to(3), cols = up_to(5), step = up_to(3), down = up_to(3), tap_rows = up_to(7), taps = up_to(11);
        ptrdiff_t dilation = up_to(2), seen = (cols - 1) * step + (taps - 1) * dilation + 1;
        if (seen * lanes > WIDE || tap_rows * taps * lanes > TALL * WIDE / 2)
            continue;
        randomize(trial % 2, type);
        view vx = lay(source[0], ADJACENT, 1, (rows - 1) * down + tap_rows, seen * lanes, x);
        view vy = lay(source[1], ADJACENT, 1, rows, cols * lanes, k), sums = lay(dest, ADJACENT, 1, tap_rows, taps * lanes, NULL);
        fc_lanes_grads g = {.x = vx.p, .dy = vy.p, .sums = sums.p, .rows = rows, .cols = cols, .x_row = down * vx.row / size,
                            .x_step = step * lanes, .dy_row = vy.row / size, .tap_rows = tap_rows, .taps = taps,
                            .tap_row = vx.row / size, .dilation = dilation * lanes};
        sums.row = taps * lanes * size;
        EACH(r, tap_rows) EACH(t, taps) EACH(l, lanes) {
            double before = copied(k[2][r % TALL][t * lanes % WIDE + l]).sum;
            cell c = {0}, last = copied(before);
            last.mass = fabsl(last.wide);
            put(element(sums, 0, r, t * lanes + l), before, type);
            EACH(i, rows) EACH(j, cols)
                add_product(&c, slopes[i * WIDE + j * lanes + l],
                            flat[(i * down + r) * WIDE + (j * step + t * dilation) * lanes + l]);
            add_cell(&c, &last);
            want[0][r][t * lanes + l] = c;
        }
        say_case("trial %d: rows %td, cols %td, step %td, tap rows %td, taps %td, dilation %td", trial, rows, cols, step, tap_rows,
                 taps, dilation);
        grad(&g);
        verify(sums, 1, tap_rows, taps * lanes);
    }
}

void check_lanes_out(fc_lanes_out_fn *out)
{
    const double *flat = (const double *)x;
    ptrdiff_t most = table->vector_bytes / size;
    for (int trial = 0; trial < TRIALS(300); trial++) {
        ptrdiff_t lanes = up_to(2) == 1 ? most : up_to(most), n = up_to(TALL);
        const int half = type == FC_F32 && up_to(2) == 1;
        const ptrdiff_t stored = half ? 2 : size;
        randomize(half, type);
        view from = lay(source[0], ADJACENT, 1, 1, (n + most - 1) / most * most * most, x);
        const int pixels = up_to(2) == 1;
        view to = lay_as(half ? FC_I16 : type, dest, ADJACENT, 1, pixels ? n : lanes, pixels ? lanes : n, NULL);
        EACH(l, lanes) EACH(q, n) want[0][pixels ? q : l][pixels ? l : q] = copied(flat[q * most + l]);
        say_case("trial %d: lanes %td, outputs %td, pixels %d, half %d", trial, lanes, n, pixels, half);
        out(to.p, pixels ? 1 : to.row / stored, pixels ? to.row / stored : 1, from.p, n, lanes, half);
        verify_halves(half, to, pixels ? n : lanes, pixels ? lanes : n);
    }
}
