/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks of the correlation drivers, for random axes, boundaries, methods, stored types and layouts. */
#include "check.h"

/* The index that i stands for in an axis of n elements, folded step by step; -1: the fill value. */
ptrdiff_t folded(ptrdiff_t i, ptrdiff_t n, int boundary)
{
    while (i < 0 || i >= n) {
        if (boundary == FC_CONSTANT)
            return -1;
        else if (boundary == FC_EDGE || n == 1)
            i = i < 0 ? 0 : n - 1;
        else if (boundary == FC_WRAP)
            i = i < 0 ? i + n : i - n;
        else if (boundary == FC_SYMMETRIC)
            i = i < 0 ? -1 - i : 2 * n - 1 - i;
        else
            i = i < 0 ? -i : 2 * (n - 1) - i;
    }
    return i;
}

/* Output (z, i, j) of the n-th batch. The first index of x counts batches where depth does not slide. */
static cell window(const fc_corr *g, ptrdiff_t n, ptrdiff_t z, ptrdiff_t i, ptrdiff_t j)
{
    cell c = {0};
    const ptrdiff_t o[FC_AXES] = {z, i, j};
    const fc_axis *axis = g->axis;
    EACH(a, axis[ROWS].k) EACH(d, axis[DEPTH].k) EACH(b, axis[COLS].k) {
        const ptrdiff_t tap[FC_AXES] = {d, a, b};
        ptrdiff_t at[FC_AXES], outside = 0;
        EACH(q, FC_AXES) {
            at[q] = folded(o[q] * axis[q].stride - axis[q].lead + tap[q] * axis[q].dilation, axis[q].n, axis[q].boundary);
            outside |= at[q] < 0;
        }
        double fill = is_float(type) ? g->fill : (double)g->integer_fill;
        add_product(&c, outside ? fill : x[at[DEPTH] + n][at[ROWS]][at[COLS]], k[d][a][b]);
    }
    return c;
}

static void random_axis(fc_axis *a, ptrdiff_t most, int dense)
{
    a->n = up_to(most), a->k = up_to(7), a->out = up_to(most);
    a->stride = dense || up_to(2) == 1 ? 1 : up_to(4), a->dilation = up_to(2) == 1 ? 1 : up_to(3);
    a->lead = up_to(12) - 5, a->boundary = (int)up_to(5) - 1;
}

/* k as an outer product */
static void make_separable(fc_corr *g, double factor[FC_AXES][8], char stored[FC_AXES][8 * 8])
{
    g->terms = 1;
    EACH(a, FC_AXES) EACH(t, g->axis[a].k) {
        factor[a][t] = g->axis[a].k == 1 && a == DEPTH ? 1 : (double)(random64() % 5) - 2;
        put(stored[a] + t * size, factor[a][t], type);
    }
    EACH(a, FC_AXES) g->factor[a] = stored[a];
    EACH(d, g->axis[DEPTH].k) EACH(a, g->axis[ROWS].k) EACH(b, g->axis[COLS].k)
        k[d][a][b] = factor[DEPTH][d] * factor[ROWS][a] * factor[COLS][b];
}

/* Its taps, and factors, without their signs */
static void make_positive(fc_corr *g, char stored[FC_AXES][8 * 8])
{
    EACH(d, g->axis[DEPTH].k) EACH(a, g->axis[ROWS].k) EACH(b, g->axis[COLS].k) k[d][a][b] = fabs(k[d][a][b]);
    EACH(a, FC_AXES) EACH(t, g->method == FC_SEPARABLE ? g->axis[a].k : 0)
        put(stored[a] + t * size, fabs(get(stored[a] + t * size, type)), type);
}

/* Some method that suits the type. Sums of 16 bits may be divided, and stored as others; those of boxes in 32 bits, as x. */
static int random_method(fc_corr *g, int trial, int small)
{
    static const int short_types[] = {FC_U8, FC_I8, FC_U16, FC_I16};
    if (type == FC_I32 && (g->x_type == FC_U8 || g->x_type == FC_U16) && trial / 16 % 2) {
        g->out_type = g->x_type;
        g->divisor = (unsigned)(2 * up_to(40) + 19);
        return FC_BOX;
    }
    if (type != FC_I16)
        return trial % 5 == 0 && is_float(type)          ? FC_IM2COL
               : trial % 5 == 1 && small                 ? FC_SEPARABLE
               : trial % 5 == 2 && small && is_float(type) ? FC_FFT
               : trial % 5 == 3 && small                 ? FC_BOX
                                                         : FC_DIRECT;
    if (g->x_type == FC_U8 && trial / 16 % 2) {
        g->out_type = short_types[trial / 32 % 4];
        g->divisor = divisor_for(0x8000);
    }
    return trial % 3 == 0 ? FC_DIRECT : trial % 3 == 1 && g->divisor > 0 ? FC_BOX : FC_SEPARABLE;
}

void check_driver(void)
{
    static const int stored_types[FC_TYPES][4] = {[FC_F32] = {FC_F32, FC_U8, FC_I16, FC_F32},
                                           [FC_F64] = {FC_F64, FC_F32, FC_U16, FC_I64},
                                           [FC_I32] = {FC_U8, FC_I8, FC_U16, FC_I16},
                                           [FC_I64] = {FC_I64, FC_U64, FC_U32, FC_I32},
                                           [FC_I16] = {FC_U8, FC_I8, FC_U8, FC_I8}};
    static double factor[FC_AXES][8];
    static char stored[FC_AXES][8 * 8];
    fc_tune(8, 0, 0); /* bands of 8 rows; threads and stores past the caches, however small the call */
    for (int trial = 0; trial < TRIALS(400); trial++) {
        int layout = trial % LAYOUTS, out_layout = trial / LAYOUTS % LAYOUTS, small = trial % 2, deep = trial / 2 % 2;
        fc_corr g = {.type = type, .x_type = stored_types[type][trial / 4 % 4], .fill = 0.75, .integer_fill = 3};
        g.out_type = type == FC_I32 && trial % 3 ? FC_I64 : type;
        small |= g.x_type != type;
        const int method = g.method = random_method(&g, trial, small);
        int dense = type == FC_I16 || method == FC_FFT || method == FC_BOX, flat = method == FC_BOX;
        fc_axis one = {.n = 1, .k = 1, .out = 1, .whole = 1, .stride = 1, .dilation = 1, .boundary = FC_EDGE};
        g.axis[DEPTH] = one;
        if (deep)
            random_axis(&g.axis[DEPTH], PLANES, dense);
        g.axis[DEPTH].k = flat ? 1 : min(g.axis[DEPTH].k, PLANES);
        random_axis(&g.axis[ROWS], trial % 7 == 0 ? 1 : 24, dense);
        random_axis(&g.axis[COLS], trial % 7 == 0 ? 300 : 40, dense);
        if (trial % 7 == 0) { /* a signal */
            g.axis[ROWS] = one;
            g.axis[COLS].k = up_to(300);
        }
        EACH(a, FC_AXES) {
            fc_axis *axis = &g.axis[a];
            axis->dilation = flat || method == FC_FFT ? 1 : axis->dilation;
            axis->start = up_to(9) - 1; /* a part of a larger result */
            axis->whole = axis->start + axis->out + up_to(9) - 1;
        }
        if (type == FC_I16 && method == FC_SEPARABLE && !deep && trial / 3 % 2)
            g.axis[ROWS].stride = up_to(4), g.axis[COLS].stride = up_to(4);
        if (flat)
            g.axis[DEPTH].lead = 0, g.axis[DEPTH].n = g.axis[DEPTH].out;
        ptrdiff_t batches = deep ? 1 : up_to(2), planes = deep ? g.axis[DEPTH].n : batches;
        ptrdiff_t out_planes = deep ? g.axis[DEPTH].out : batches;
        randomize(small, g.x_type);
        if (method == FC_SEPARABLE) {
            g.axis[COLS].k = min(g.axis[COLS].k, 7);
            make_separable(&g, factor, stored);
        }
        if (method == FC_BOX)
            EACH(a, g.axis[ROWS].k) EACH(b, g.axis[COLS].k) k[0][a][b] = g.divisor > 0 ? 1 : k[0][0][0];
        if (g.divisor > 0)
            make_positive(&g, stored);
        EACH(n, out_planes) EACH(i, g.axis[ROWS].out) EACH(j, g.axis[COLS].out)
            want[n][i][j] = window(&g, deep ? 0 : n, deep ? n : 0, i, j), divide(&want[n][i][j], g.divisor, g.out_type);
        view vx = lay_as(g.x_type, source[0], layout, planes, g.axis[ROWS].n, g.axis[COLS].n, x);
        view vk = lay(source[1], layout, g.axis[DEPTH].k, g.axis[ROWS].k, g.axis[COLS].k, k);
        g.x = vx.p, g.axis[ROWS].x_step = vx.row, g.axis[COLS].x_step = vx.col;
        g.k = vk.p, g.axis[DEPTH].k_step = vk.plane, g.axis[ROWS].k_step = vk.row, g.axis[COLS].k_step = vk.col;
        for (g.threads = 1; g.threads <= 3; g.threads += 2) {
            view out = lay_as(g.out_type, dest, out_layout, out_planes, g.axis[ROWS].out, g.axis[COLS].out, NULL);
            g.out = out.p, g.axis[ROWS].out_step = out.row, g.axis[COLS].out_step = out.col;
            if (deep)
                g.axis[DEPTH].x_step = vx.plane, g.axis[DEPTH].out_step = out.plane;
            else
                g.batches = 1, g.batch[0] = (fc_batch){batches, vx.plane, out.plane};
            say_case("trial %d: method %d, x type %d, out type %d, threads %d, layouts %d to %d, x %tdx%tdx%td, "
                     "k %tdx%tdx%td", trial, g.method, g.x_type, g.out_type, g.threads, layout, out_layout, planes,
                     g.axis[ROWS].n, g.axis[COLS].n, g.axis[DEPTH].k, g.axis[ROWS].k, g.axis[COLS].k);
            if (fc_corr_run(&g) != 0) {
                verdict("memory is short");
                continue;
            }
            if (method == FC_FFT) /* exact sums but for the rounding of transforms; fill is 3/4 */
                EACH(n, out_planes) EACH(i, g.axis[ROWS].out) EACH(j, g.axis[COLS].out)
                    put(element(out, n, i, j), round(4 * get(element(out, n, i, j), type)) / 4 + 0.0, type);
            verify_as(g.out_type, out, out_planes, g.axis[ROWS].out, g.axis[COLS].out);
        }
    }
    fc_tune(FC_BAND_ROWS, FC_THREADS_FROM_US, FC_STREAM_FROM);
}

/* Two outer products: norms of their sums, and both results side by side */
void check_combined(void)
{
    static double factor[FC_AXES][16];
    static char stored[FC_AXES][16 * 8];
    fc_tune(8, 0, 0);
    EACH(trial, TRIALS(200)) {
        int out_layout = (int)up_to(LAYOUTS) - 1;
        fc_corr g = {.type = type, .x_type = trial % 2 ? FC_U8 : type, .out_type = type, .method = FC_SEPARABLE, .fill = 3, .terms = 2};
        g.combine = FC_L1 + (int)trial % 3;
        g.axis[DEPTH] = (fc_axis){.n = 1, .k = 1, .out = 1, .whole = 1, .stride = 1, .dilation = 1};
        random_axis(&g.axis[ROWS], 20, 1);
        random_axis(&g.axis[COLS], 160, 1);
        randomize(1, g.x_type);
        EACH(a, FC_AXES) {
            EACH(t, 2 * g.axis[a].k) {
                factor[a][t] = a == DEPTH ? 1 : (double)(random64() % 5) - 2;
                put(stored[a] + t * size, factor[a][t], type);
            }
            g.factor[a] = stored[a];
            g.axis[a].whole = g.axis[a].out;
        }
        const ptrdiff_t results = g.combine == FC_APART ? 2 : 1, rows = g.axis[ROWS].out, cols = g.axis[COLS].out;
        EACH(i, rows) EACH(j, cols) {
            cell s[2];
            EACH(t, 2) {
                EACH(a, g.axis[ROWS].k) EACH(b, g.axis[COLS].k)
                    k[0][a][b] = factor[ROWS][t * g.axis[ROWS].k + a] * factor[COLS][t * g.axis[COLS].k + b];
                s[t] = window(&g, 0, 0, i, j);
                want[t][i][j] = s[t];
            }
            if (results == 1)
                want[0][i][j] = combined(g.combine, s, 2);
        }
        view vx = lay_as(g.x_type, source[0], (int)up_to(LAYOUTS) - 1, 1, g.axis[ROWS].n, g.axis[COLS].n, x);
        g.x = vx.p, g.axis[ROWS].x_step = vx.row, g.axis[COLS].x_step = vx.col, g.k = stored[ROWS];
        for (g.threads = 1; g.threads <= 3; g.threads += 2) {
            view out = lay(dest, out_layout, results, rows, cols, NULL);
            g.out = out.p, g.axis[ROWS].out_step = out.row, g.axis[COLS].out_step = out.col;
            g.result_step = results > 1 ? out.plane : 0;
            say_case("trial %td: combine %d, x type %d, threads %d, x %tdx%td, k %tdx%td", trial, g.combine, g.x_type,
                     g.threads, g.axis[ROWS].n, g.axis[COLS].n, g.axis[ROWS].k, g.axis[COLS].k);
            if (fc_corr_run(&g) != 0)
                verdict("memory is short");
            else
                verify(out, results, rows, cols);
        }
    }
    fc_tune(FC_BAND_ROWS, FC_THREADS_FROM_US, FC_STREAM_FROM);
}

/* Elements with kernels of their own: what each is by itself. Rows of images are elements, or images. */
void check_each(void)
{
    fc_tune(8, 0, 0);
    for (int trial = 0; trial < TRIALS(200); trial++) {
        const int signals = trial % 2, layout = trial / 2 % 2 ? MIRRORED : ADJACENT, out_layout = trial / 4 % 2 ? MIRRORED : ADJACENT;
        const int method = !is_float(type) ? FC_DIRECT : trial % 5 == 0 ? FC_IM2COL : trial % 5 < 3 ? FC_FFT : FC_DIRECT;
        const ptrdiff_t planes = up_to(PLANES), rows = up_to(24);
        fc_axis one = {.n = 1, .k = 1, .out = 1, .whole = 1, .stride = 1, .dilation = 1, .boundary = FC_EDGE};
        fc_corr g = {.type = type, .x_type = type, .out_type = type, .method = method, .fill = 0.75, .integer_fill = 3};
        g.axis[DEPTH] = g.axis[ROWS] = g.axis[COLS] = one;
        for (int a = signals ? COLS : ROWS; a <= COLS; a++) {
            random_axis(&g.axis[a], a == COLS ? 60 : 24, method == FC_FFT);
            g.axis[a].dilation = method == FC_FFT ? 1 : g.axis[a].dilation;
            g.axis[a].whole = g.axis[a].out;
        }
        const ptrdiff_t tall = signals ? rows : g.axis[ROWS].n, out_tall = signals ? rows : g.axis[ROWS].out;
        randomize(trial % 3 == 0, type);
        view vx = lay_as(type, source[0], layout, planes, tall, g.axis[COLS].n, x);
        view vk = lay(source[1], trial % LAYOUTS, planes, signals ? rows : g.axis[ROWS].k, g.axis[COLS].k, k);
        view out = lay_as(type, dest, out_layout, planes, out_tall, g.axis[COLS].out, NULL), to[2] = {out, out};
        to[1].p += areas[3] - dest;
        g.axis[COLS].x_step = vx.col, g.axis[COLS].k_step = vk.col, g.axis[COLS].out_step = to[0].col;
        if (!signals)
            g.axis[ROWS].x_step = vx.row, g.axis[ROWS].k_step = vk.row, g.axis[ROWS].out_step = to[0].row;
        const fc_each own[2] = {{planes, vx.plane, vk.plane, to[0].plane}, {rows, vx.row, vk.row, to[0].row}};
        for (g.threads = 1; g.threads <= 3; g.threads += 2) {
            say_case("trial %d: method %d, threads %d, %td elements, x %tdx%td, k %tdx%td", trial, method, g.threads,
                     signals ? planes * rows : planes, g.axis[ROWS].n, g.axis[COLS].n, g.axis[ROWS].k, g.axis[COLS].k);
            memset(areas[3], POISON, AREA), memset(dest, POISON, AREA);
            int failed = 0;
            EACH(n, planes) EACH(i, signals ? rows : 1) {
                g.x = vx.p + n * vx.plane + i * vx.row, g.k = vk.p + n * vk.plane + i * vk.row;
                g.out = to[1].p + n * to[1].plane + i * to[1].row;
                failed |= fc_corr_run(&g);
            }
            g.x = vx.p, g.k = vk.p, g.out = to[0].p;
            failed |= fc_corr_each(&g, signals ? 2 : 1, own);
            verdict(failed ? "memory is short" : memcmp(dest, areas[3], AREA) ? "elements differ from what they are alone" : "");
        }
    }
    fc_tune(FC_BAND_ROWS, FC_THREADS_FROM_US, FC_STREAM_FROM);
}

/* One pass of FC_LINES over v[rows][cols], of which only a frame beyond the edges is left out: lines.c has the order */
static void pass_along(const fc_corr *g, int axis, const double *w, const grid from, grid to, ptrdiff_t rows, ptrdiff_t cols)
{
    const fc_axis *a = &g->axis[axis];
    int even = a->k % 2, odd = a->k % 2;
    for (ptrdiff_t t = 0; w && t < a->k / 2; t++)
        even &= w[t] == w[a->k - 1 - t], odd &= w[t] == -w[a->k - 1 - t];
    EACH(i, rows) EACH(j, cols) {
        double s[70], sum = 0;
        EACH(t, a->k) {
            ptrdiff_t at = fc_source_index((axis == ROWS ? i : j) - a->lead + t, a->n, a->boundary);
            s[t] = at < 0 ? rounded(g->fill) : axis == ROWS ? from[0][at][j] : from[0][i][at];
        }
        if (!w)
            EACH(t, a->k) sum += s[t]; /* integers */
        else if (even || odd) {
            sum = rounded(s[a->k / 2] * w[a->k / 2]);
            EACH(t, a->k / 2) {
                double pair = rounded(even ? s[t] + s[a->k - 1 - t] : s[t] - s[a->k - 1 - t]);
                sum = rounded(sum + rounded(pair * w[t]));
            }
        } else {
            sum = rounded(s[a->k - 1] * w[a->k - 1]);
            EACH(t, a->k - 1) sum = rounded(sum + rounded(s[t] * w[t]));
        }
        to[0][i][j] = sum;
    }
}

/* Whether out is what image says, but for the sign of zeros, and nothing beside it was written */
static void compare_image(view out, char *image, ptrdiff_t rows, ptrdiff_t cols, int out_type)
{
    char wrong[120] = "";
    EACH(i, rows) EACH(j, cols) {
        char *p = element(out, 0, i, j), *should = image + (p - dest);
        if (!*wrong && get(p, out_type) != get(should, out_type))
            snprintf(wrong, sizeof wrong, "out[%td][%td] is %.17g, not %.17g", i, j, get(p, out_type), get(should, out_type));
        memcpy(should, p, (size_t)fc_stored_size(out_type)); /* zeros of either sign */
    }
    if (!*wrong && memcmp(image, dest, AREA) != 0)
        snprintf(wrong, sizeof wrong, "wrote outside");
    verdict(wrong);
}

void check_lines(void)
{
    static const int narrow_types[] = {FC_U8, FC_I16, FC_U16, FC_I32, FC_I8}, wide_types[] = {FC_F32, FC_F64, FC_U8, FC_I64, FC_I32};
    static grid middle, result, weights;
    static char image[AREA];
    fc_tune(8, 0, 0);
    for (int trial = 0; trial < TRIALS(300); trial++) {
        const int *types = type == FC_F32 ? narrow_types : wide_types;
        int sums = up_to(2) == 1, layout = trial % LAYOUTS, out_layout = trial / LAYOUTS % LAYOUTS;
        fc_corr g = {.type = type, .x_type = types[up_to(5) - 1], .out_type = types[up_to(5) - 1], .method = FC_LINES, .fill = 3};
        g.columns_first = up_to(2) == 1;
        g.between = sums ? FC_I32 : g.out_type; /* integers, whose sums have no order */
        fc_axis one = {.n = 1, .k = 1, .out = 1, .whole = 1, .stride = 1, .dilation = 1, .boundary = FC_EDGE};
        g.axis[DEPTH] = g.axis[ROWS] = g.axis[COLS] = one;
        int both = up_to(3) > 1, only = ROWS + (int)up_to(2) - 1;
        randomize(1, g.x_type);
        for (int a = ROWS; a <= COLS; a++) {
            fc_axis *axis = &g.axis[a];
            axis->n = axis->out = axis->whole = up_to(a == ROWS ? (trial % 4 ? 60 : 20) : trial % 4 ? 50 : 300);
            if (!both && a != only)
                continue;
            axis->k = up_to(trial % 5 ? 9 : 60), axis->lead = up_to(axis->k + 4) - 3, axis->boundary = (int)up_to(5) - 1;
            g.line[a].divisor = up_to(2) == 1 ? 0 : (double)up_to(60);
            double sign = up_to(2) == 1 ? 1 : -1;
            EACH(t, axis->k) weights[a][0][t] = sums ? (double)up_to(5) - 3 : rounded((double)(int64_t)random64() * 0x1p-62);
            if (trial % 3)
                EACH(t, axis->k / 2) weights[a][0][t] = sign * weights[a][0][axis->k - 1 - t];
            if (!sums || up_to(2) == 1) {
                g.line[a].w = source[1] + (a == ROWS ? 0 : AREA / 2);
                EACH(t, axis->k) put(source[1] + (a == ROWS ? 0 : AREA / 2) + t * size, weights[a][0][t], type);
            }
        }
        for (int a = ROWS; a <= COLS; a++)
            if (!g.line[a].w && g.axis[a].k == 1) /* no pass at all */
                g.axis[a].lead = 0, g.line[a].divisor = 0;
        g.columns_first = both ? g.columns_first : only == COLS;
        ptrdiff_t rows = g.axis[ROWS].n, cols = g.axis[COLS].n;
        int first = g.columns_first ? COLS : ROWS, second = ROWS + COLS - first;
        double divisor = g.line[first].divisor;
        pass_along(&g, first, g.line[first].w ? weights[first][0] : NULL, x, middle, rows, cols);
        int is_two = g.line[second].w || g.axis[second].k > 1;
        EACH(i, is_two ? rows : 0) EACH(j, cols) {
            char cast[8];
            store_cast(cast, middle[0][i][j], divisor != 0 ? divisor : 1, g.between);
            middle[0][i][j] = get(cast, g.between);
        }
        if (is_two) {
            pass_along(&g, second, g.line[second].w ? weights[second][0] : NULL, middle, result, rows, cols);
            divisor = g.line[second].divisor;
        } else {
            memcpy(result, middle, sizeof result);
        }
        view vx = lay_as(g.x_type, source[0], layout, 1, rows, cols, x);
        g.x = vx.p, g.axis[ROWS].x_step = vx.row, g.axis[COLS].x_step = vx.col;
        for (g.threads = 1; g.threads <= 3; g.threads += 2) {
            view out = lay_as(g.out_type, dest, out_layout, 1, rows, cols, NULL);
            g.out = out.p, g.axis[ROWS].out_step = out.row, g.axis[COLS].out_step = out.col;
            say_case("trial %d: x type %d, out type %d, between %d, threads %d, x %tdx%td, k %tdx%td, %s, columns first %d, "
                     "sums %d %d, divisors %g %g", trial, g.x_type, g.out_type, g.between, g.threads, rows, cols, g.axis[ROWS].k,
                     g.axis[COLS].k, both ? "both" : "one", g.columns_first, !g.line[ROWS].w, !g.line[COLS].w,
                     g.line[ROWS].divisor, g.line[COLS].divisor);
            memset(image, POISON, AREA);
            EACH(i, rows) EACH(j, cols)
                store_cast(image + (element(out, 0, i, j) - dest), result[0][i][j], divisor != 0 ? divisor : 1, g.out_type);
            if (fc_corr_run(&g) != 0) {
                verdict("memory is short");
                continue;
            }
            compare_image(out, image, rows, cols, g.out_type);
        }
    }
    fc_tune(FC_BAND_ROWS, FC_THREADS_FROM_US, FC_STREAM_FROM);
}
