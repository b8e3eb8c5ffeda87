/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks of convolution layers, of their gradients, and of columns of windows. */
#include "check.h"
#include "layers/layer.h"
#ifdef __x86_64__
#include <immintrin.h>
#endif

/* Idle lanes may read scratch that nobody has written. If they find a subnormal, as the numbers of a table are, an operation takes a
 * hundred times as long on some CPUs. So the next call finds nothing else there, and whoever has met one is told by x86. */
enum { DENORMAL = 2 /* of MXCSR */ };
static void fill_scratch(void)
{
    uint32_t *p = fc_borrow(16 * AREA);
    EACH(i, p ? 4 * AREA : 0) p[i] = 1;
    if (p)
        fc_return(p);
#ifdef __x86_64__
    _mm_setcsr(_mm_getcsr() & ~(unsigned)DENORMAL);
#endif
}
static const char *met_subnormals(void)
{
#ifdef __x86_64__
    if (_mm_getcsr() & DENORMAL)
        return "an idle lane has met a subnormal in scratch";
#endif
    return "";
}

/* A layer of random geometry: n elements of x and o outputs along each axis */
static fc_conv random_layer(int trial, ptrdiff_t n[FC_AXES], ptrdiff_t o[FC_AXES])
{
    fc_conv g = {.type = type, .images = up_to(6), .groups = up_to(3) == 1 ? up_to(5) : 1, .channels = up_to(7),
                 .kernels = up_to(20), .clamp = trial % 3 == 0, .low = -20, .high = 35.5};
    if (trial % 2 == 0)
        g.groups = up_to(20), g.channels = 1, g.kernels = up_to(2);
    ptrdiff_t most[FC_AXES] = {trial % 5 == 0 ? 3 : 1, trial % 7 == 0 ? 1 : 9, trial % 7 == 0 ? 90 : 12};
    EACH(a, FC_AXES) {
        fc_axis *axis = &g.axis[a];
        *axis = (fc_axis){.n = up_to(most[a]), .k = most[a] == 1 ? 1 : up_to(5), .stride = 1, .dilation = 1};
        if (up_to(3) == 1)
            axis->stride = up_to(3);
        if (up_to(3) == 1)
            axis->dilation = up_to(3);
        axis->boundary = (int)up_to(5) - 1;
        ptrdiff_t span = (axis->k - 1) * axis->dilation + 1, padded;
        axis->lead = up_to(3) - 1;
        padded = axis->n + axis->lead + up_to(3) - 1;
        padded = padded < span ? span : padded;
        axis->out = (padded - span) / axis->stride + 1;
        n[a] = axis->n, o[a] = axis->out;
    }
    if (trial % 6 == 0) /* 1x1 */
        EACH(a, FC_AXES) g.axis[a].k = g.axis[a].stride = 1, g.axis[a].lead = 0, g.axis[a].out = o[a] = n[a];
    return g;
}

static void say_axes(const fc_axis axis[FC_AXES])
{
    EACH(a, FC_AXES)
        say_more("; x %td, k %td, out %td, stride %td, dilation %td, lead %td, boundary %d", axis[a].n, axis[a].k, axis[a].out,
                 axis[a].stride, axis[a].dilation, axis[a].lead, axis[a].boundary);
}

/* out, in the third area, holds exactly these sums, and poison lies around it */
static void verify_sums(char *out, ptrdiff_t count, const double *sums)
{
    const char *wrong = "";
    EACH(i, count) {
        if (get(out + i * size, type) != sums[i])
            wrong = "a result is wrong";
        memset(out + i * size, POISON, (size_t)size);
    }
    EACH(byte, AREA) if ((unsigned char)areas[2][byte] != POISON) wrong = "wrote outside out";
    verdict(wrong);
}

/* Random layers of small integers, whose sums are exact, on one thread and on three */
void check_conv(void)
{
    fc_tune(8, 0, 0); /* threads, however small the call */
    for (int trial = 0; trial < TRIALS(300); trial++) {
        ptrdiff_t n[3], o[3];
        fc_conv g = random_layer(trial, n, o);
        ptrdiff_t volume = o[0] * o[1] * o[2], c_all = g.groups * g.channels;
        ptrdiff_t k_all = g.groups * g.kernels, taps = g.axis[0].k * g.axis[1].k * g.axis[2].k;
        ptrdiff_t row = n[2] + up_to(3) - 1; /* elements from one row of x to the next */
        ptrdiff_t x_count = g.images * c_all * n[0] * n[1] * row, out_count = g.images * k_all * volume;
        if (x_count * size > AREA / 2 || out_count * size > AREA / 2 || k_all * g.channels * taps * size > AREA / 2)
            continue;
        char *px = place(0, x_count * size), *pw = place(1, k_all * g.channels * taps * size), *pb = place(3, k_all * size);
        EACH(i, x_count) if (i % row < n[2]) put(px + i * size, (double)up_to(9) - 5, type);
        EACH(i, k_all * g.channels * taps) put(pw + i * size, (double)up_to(9) - 5, type);
        EACH(i, k_all) put(pb + i * size, (double)up_to(9) - 5, type);
        g.axis[2].x_step = size, g.axis[1].x_step = row * size, g.axis[0].x_step = n[1] * row * size;
        g.x_channel = n[0] * n[1] * row * size, g.x_image = c_all * g.x_channel;
        g.x = px, g.w = pw, g.bias = trial % 5 ? pb : NULL;
        if (trial % 4 == 1 || trial % 4 == 2)
            g.accuracy = FC_DEFAULT, g.forced = FC_TRANSFORMS;
        if (trial % 8 == 3)
            g.accuracy = FC_DEFAULT, g.forced = FC_WINOGRAD;
        const double most_error = g.forced ? 1e-3 : 0;
        const int adds = trial % 7 > 4;
        char *pa = place(4, out_count * size);
        EACH(i, adds ? out_count : 0) put(pa + i * size, (double)up_to(9) - 5, type);
        g.clamp = g.clamp && !adds;
        for (g.threads = 1; g.threads <= 3; g.threads += 2) {
            g.out = place(2, out_count * size);
            g.add = adds ? pa - g.out : 0;
            say_case("trial %d: threads %d, images %td, groups %td, %td -> %td, clamp %d, bias %d, added %d", trial, g.threads,
                     g.images, g.groups, g.channels, g.kernels, g.clamp, g.bias != NULL, adds);
            say_axes(g.axis);
            fill_scratch();
            if (fc_conv_run(&g) != 0) {
                verdict("memory is short");
                continue;
            }
            const char *wrong = met_subnormals();
            EACH(image, g.images) EACH(m, k_all) EACH(q, volume) {
                const ptrdiff_t at[FC_AXES] = {q / (o[1] * o[2]), q / o[2] % o[1], q % o[2]};
                double sum = g.bias ? get(pb + m * size, type) : 0;
                EACH(c, g.channels) EACH(t, taps) {
                    const ptrdiff_t tap[FC_AXES] = {t / (g.axis[1].k * g.axis[2].k), t / g.axis[2].k % g.axis[1].k, t % g.axis[2].k};
                    ptrdiff_t from = (image * c_all + m / g.kernels * g.channels + c) * n[0], outside = 0, i[FC_AXES];
                    EACH(a, FC_AXES) {
                        i[a] = folded(at[a] * g.axis[a].stride - g.axis[a].lead + tap[a] * g.axis[a].dilation, n[a],
                                      g.axis[a].boundary);
                        outside |= i[a] < 0;
                    }
                    if (!outside)
                        sum += get(px + (((from + i[0]) * n[1] + i[1]) * row + i[2]) * size, type) *
                               get(pw + ((m * g.channels + c) * taps + t) * size, type);
                }
                const ptrdiff_t place = ((image * k_all + m) * volume + q) * size;
                sum += adds ? get(pa + place, type) : 0;
                sum = g.clamp || adds ? fmin(fmax(sum, g.low), g.high) : sum;
                char *element = g.out + place;
                if (!(fabs(get(element, type) - sum) <= most_error))
                    wrong = "a result is wrong";
                memset(element, POISON, (size_t)size);
            }
            EACH(byte, AREA) if ((unsigned char)areas[2][byte] != POISON) wrong = "wrote outside out";
            verdict(wrong);
        }
    }
    fc_tune(FC_BAND_ROWS, FC_THREADS_FROM_US, FC_STREAM_FROM);
}

/* Planes of a batch across kernels: what scratch holds where the last kernels fill no panel is no weight that is not finite. That shows
 * where a thread begins with these kernels. */
void check_batch(void)
{
    const fc_kernels *in_use = fc_in_use();
    const ptrdiff_t vector = (ptrdiff_t)in_use->vector_bytes / size, widest = in_use->cols_of[in_use->rows];
    fc_conv g = {.type = type, .threads = 2, .images = 16, .groups = 1, .channels = 8, .kernels = (2 * widest - 1) * vector};
    EACH(a, FC_AXES) g.axis[a] = (fc_axis){.n = 1, .out = 1, .k = 1, .stride = 1, .dilation = 1, .boundary = FC_CONSTANT};
    EACH(a, 2) g.axis[1 + a].n = g.axis[1 + a].out = 4 + 2 * a, g.axis[1 + a].k = 5, g.axis[1 + a].lead = 2;
    g.axis[2].x_step = size, g.axis[1].x_step = 6 * size, g.x_channel = 24 * size, g.x_image = g.channels * g.x_channel;
    g.x = place(0, g.images * g.x_image), g.w = place(1, g.kernels * g.channels * 25 * size);
    g.out = place(2, g.images * g.kernels * 24 * size);
    EACH(i, g.images * g.channels * 24) put((char *)(uintptr_t)g.x + i * size, 1, type);
    EACH(i, g.kernels * g.channels * 25) put((char *)(uintptr_t)g.w + i * size, 1, type);
    fc_tune(8, 0, 0);
    const layer l = fc_describe(&g, in_use);
    const char *wrong = "";
    EACH(trial, TRIALS(200)) {
        char *scratch = fc_borrow(16 * AREA);
        if (scratch) {
            memset(scratch, 0xff, 16 * AREA);
            fc_return(scratch);
        }
        if (fc_across_run(&l) != 0)
            wrong = "it is not for this layer";
    }
    say_case("%td images, %td kernels", g.images, g.kernels);
    verdict(wrong);
    fc_tune(FC_BAND_ROWS, FC_THREADS_FROM_US, FC_STREAM_FROM);
}

/* Their gradients: every product of a gradient of the output goes to the element of x, and to the weight, that it came from */
void check_gradients(void)
{
    static double dx[1 << 18], dw[1 << 16];
    fc_tune(8, 0, 0);
    for (int trial = 0; trial < TRIALS(300); trial++) {
        ptrdiff_t n[3], o[3];
        fc_conv g = random_layer(trial, n, o);
        const int of_weights = trial / 6 % 2;
        EACH(a, FC_AXES) if (!of_weights) g.axis[a].boundary = FC_CONSTANT;
        ptrdiff_t volume = o[0] * o[1] * o[2], whole = n[0] * n[1] * n[2], c_all = g.groups * g.channels;
        ptrdiff_t k_all = g.groups * g.kernels, taps = g.axis[0].k * g.axis[1].k * g.axis[2].k;
        ptrdiff_t x_count = g.images * c_all * whole, w_count = k_all * g.channels * taps, y_count = g.images * k_all * volume;
        if (max(max(x_count, w_count), y_count) * size > AREA / 2 || x_count > 1 << 18 || w_count > 1 << 16)
            continue;
        char *px = place(0, x_count * size), *pw = place(1, w_count * size), *py = place(4, y_count * size);
        char *pb = place(3, c_all * size);
        EACH(i, x_count) put(px + i * size, (double)up_to(9) - 5, type);
        EACH(i, w_count) put(pw + i * size, (double)up_to(9) - 5, type);
        EACH(i, y_count) put(py + i * size, (double)up_to(9) - 5, type);
        EACH(i, c_all) put(pb + i * size, (double)up_to(9) - 5, type);
        g.w = pw, g.x = of_weights ? px : py, g.dy = py, g.bias = !of_weights && trial % 5 ? pb : NULL;
        const int adds = trial % 7 > 4 && !of_weights;
        char *pa = place(5, x_count * size);
        EACH(i, adds ? x_count : 0) put(pa + i * size, (double)up_to(9) - 5, type);
        g.clamp = g.clamp && !of_weights && !adds, g.gradient = !of_weights;
        const ptrdiff_t *read = of_weights ? n : o;
        g.axis[2].x_step = size, g.axis[1].x_step = read[2] * size, g.axis[0].x_step = read[1] * read[2] * size;
        g.x_channel = read[0] * read[1] * read[2] * size, g.x_image = (of_weights ? c_all : k_all) * g.x_channel;
        g.dy_step[2] = size, g.dy_step[1] = o[2] * size, g.dy_step[0] = o[1] * o[2] * size;
        g.dy_channel = volume * size, g.dy_image = k_all * volume * size;
        EACH(i, x_count) dx[i] = (g.bias ? get(pb + i / whole % c_all * size, type) : 0) + (adds ? get(pa + i * size, type) : 0);
        EACH(i, w_count) dw[i] = 0;
        EACH(image, g.images) EACH(m, k_all) EACH(q, volume) EACH(c, g.channels) EACH(t, taps) {
            const ptrdiff_t at[FC_AXES] = {q / (o[1] * o[2]), q / o[2] % o[1], q % o[2]};
            const ptrdiff_t tap[FC_AXES] = {t / (g.axis[1].k * g.axis[2].k), t / g.axis[2].k % g.axis[1].k, t % g.axis[2].k};
            ptrdiff_t in_x = image * c_all + m / g.kernels * g.channels + c, outside = 0;
            EACH(a, FC_AXES) {
                ptrdiff_t i = folded(at[a] * g.axis[a].stride - g.axis[a].lead + tap[a] * g.axis[a].dilation, n[a], g.axis[a].boundary);
                outside |= i < 0;
                in_x = in_x * n[a] + i;
            }
            if (outside)
                continue;
            double dy = get(py + ((image * k_all + m) * volume + q) * size, type);
            dx[in_x] += dy * get(pw + ((m * g.channels + c) * taps + t) * size, type);
            dw[(m * g.channels + c) * taps + t] += dy * get(px + in_x * size, type);
        }
        EACH(i, g.clamp || adds ? x_count : 0) dx[i] = fmin(fmax(dx[i], g.low), g.high);
        const ptrdiff_t count = of_weights ? w_count : x_count;
        for (g.threads = 1; g.threads <= 3; g.threads += 2) {
            g.out = place(2, count * size);
            g.add = adds ? pa - g.out : 0;
            say_case("trial %d: gradient of %s, threads %d, images %td, groups %td, %td -> %td, clamp %d, bias %d", trial,
                     of_weights ? "weights" : "input", g.threads, g.images, g.groups, g.channels, g.kernels, g.clamp, g.bias != NULL);
            say_axes(g.axis);
            fill_scratch();
            if ((of_weights ? fc_conv_weight_run(&g) : fc_conv_run(&g)) != 0) {
                verdict("memory is short");
                continue;
            }
            verdict(met_subnormals());
            verify_sums(g.out, count, of_weights ? dw : dx);
        }
    }
    fc_tune(FC_BAND_ROWS, FC_THREADS_FROM_US, FC_STREAM_FROM);
}

/* Columns of windows of random geometry, and columns added back */
void check_folds(void)
{
    static double want[1 << 16];
    fc_tune(8, 0, 0);
    for (int trial = 0; trial < TRIALS(300); trial++) {
        ptrdiff_t n[3], o[3];
        const fc_conv random = random_layer(trial, n, o);
        fc_fold g = {.folds = trial / 6 % 2, .size = size, .images = random.images, .channels = random.channels};
        memcpy(g.axis, random.axis, sizeof g.axis);
        ptrdiff_t planes = g.images * g.channels, taps = g.axis[0].k * g.axis[1].k * g.axis[2].k, volume = o[0] * o[1] * o[2];
        ptrdiff_t row = n[2] + (g.folds ? 0 : up_to(3) - 1), whole = n[0] * n[1] * row, columns = planes * taps * volume;
        ptrdiff_t x_count = g.folds ? columns : planes * whole, count = g.folds ? planes * whole : columns;
        if (max(x_count, count) * size > AREA / 2 || count > 1 << 16)
            continue;
        char *px = place(0, x_count * size);
        EACH(i, x_count) if (g.folds || i % row < n[2]) put(px + i * size, (double)up_to(9) - 5, type);
        g.x = px, g.x_channel = whole * size, g.x_image = g.channels * g.x_channel;
        g.axis[2].x_step = size, g.axis[1].x_step = row * size, g.axis[0].x_step = n[1] * row * size;
        EACH(i, count) want[i] = 0;
        EACH(p, planes) EACH(t, taps) EACH(q, volume) {
            const ptrdiff_t at[FC_AXES] = {q / (o[1] * o[2]), q / o[2] % o[1], q % o[2]};
            const ptrdiff_t tap[FC_AXES] = {t / (g.axis[1].k * g.axis[2].k), t / g.axis[2].k % g.axis[1].k, t % g.axis[2].k};
            ptrdiff_t i[FC_AXES], outside = 0, column = (p * taps + t) * volume + q;
            EACH(a, FC_AXES) {
                i[a] = at[a] * g.axis[a].stride - g.axis[a].lead + tap[a] * g.axis[a].dilation;
                outside |= i[a] < 0 || i[a] >= n[a];
            }
            ptrdiff_t in_x = p * whole + (i[0] * n[1] + i[1]) * row + i[2];
            if (!outside)
                want[g.folds ? in_x : column] += get(px + (g.folds ? column : in_x) * size, type);
        }
        for (g.threads = 1; g.threads <= 3; g.threads += 2) {
            g.out = place(2, count * size);
            say_case("trial %d: %s, threads %d, planes %td", trial, g.folds ? "fold" : "unfold", g.threads, planes);
            say_axes(g.axis);
            if (fc_fold_run(&g) != 0) {
                verdict("memory is short");
                continue;
            }
            verify_sums(g.out, count, want);
        }
    }
    fc_tune(FC_BAND_ROWS, FC_THREADS_FROM_US, FC_STREAM_FROM);
}
