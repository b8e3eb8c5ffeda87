/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Correlation of tiles by fast Fourier transform:  y = IDFT(DFT(x0 + i x1) * conj DFT(taps)) / N
 *
 * x0 and x1 are two real tiles, and as the taps are real, so are the two results. A tile of D x R x C points is
 * kept in column blocks of VLEN columns, each a column of D*R complex vectors:
 *
 *           C                      1. along D, then R: column by column, straight from x (fft)
 *      +----+----+----+----+       2. along C: VLEN rows at a time (fftmul) are gathered into a strip in L1,
 *      | |  |    |    |    |          transformed, multiplied by the spectrum, transformed back, scattered
 *   R  | v  |    |    |    |       3. back along R, then D: column by column, straight to y (ifft)
 *      |====|====|====|====|
 *      +----+----+----+----+       An axis in which the kernel has one tap needs no transform.
 *
 * A tile of one row, n points, is taken as R x C = n with the elements in reading order; between 1 and 2, frequency
 * f of column c is multiplied by exp(-2 pi i f c / n), and 2 to 3 by the conjugate ("twist").
 *
 * A folded plan transforms one tile of 2R x C points: x0 and x1 are its upper and its lower half. As polynomials in t of degree 2R - 1
 * they are reduced modulo t^R - i; that makes x0 + i x1 of them, and of their product y0 + i y1, to which what goes beyond row 2R returns
 * with the other sign (Nussbaumer, Fast Fourier Transform and Convolution Algorithms, 2nd ed., section 7.2). Multiplied by the powers of
 * exp(pi i / 2R) ("turn"), row by row as they are read, such polynomials are what a transform multiplies.
 *
 * Error, with u the unit roundoff and N points (to first order; |.|: root of the sum of squares over both tiles):
 *
 *   |y - exact| <= 9 u log2(N) |x| |taps|    for every element; seen: 0.2 instead of 9
 *
 * A pass of radix 4 rounds two sums (2 u) and a product (2 u) with factors that are right to 0.7 u, which is 2.5 u for
 * each doubling of n, times the input: the analysis of Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed.,
 * section 24.1. There are three transforms, of x, taps and product, and the product itself. Each output is a sum over
 * all frequencies, in absolute values |DFT x| |DFT taps| / N = |x| |taps| at most. The error is relative to the
 * largest values of the two tiles, not to each result. x * N must not overflow.
 */
#include "corr/fft.h"
#include "common/strides.h"
#include <string.h>

struct fc_fft {
    size_t size;             /* of an element */
    int flat, folded;        /* one row, taken as R x C; one tile, as its halves */
    ptrdiff_t lanes, k[3];   /* k: kernel, as the caller has it */
    ptrdiff_t plane, column; /* complex vectors from plane to plane, and from column block to column block */
    fc_fft_axis axis[3];     /* D, R, C */
    const fc_ops *op;
    char *spectrum, *twist; /* row block by row block; twist: NULL unless flat */
};

/* ---- plan -------------------------------------------------------------------------------------- */

/* Pass i has 2 (m - m / radix) of them, and these add up. */
static ptrdiff_t fft_count_factors(const fc_fft_axis *a) { return a->radix[0] == 1 ? 0 : 2 * (a->n - 1); }

static int fft_set_axes(fc_fft *plan, const ptrdiff_t n[3], const ptrdiff_t k[3])
{
    ptrdiff_t points;
    if (__builtin_mul_overflow(n[0], n[1], &points) || __builtin_mul_overflow(points, n[2], &points) ||
        points > PTRDIFF_MAX / 1024)
        return 0;
    plan->flat = n[0] == 1 && n[1] == 1;
    ptrdiff_t rows = plan->flat ? fc_fft_rows(n[2]) : n[1];
    ptrdiff_t dims[3] = {n[0], rows, plan->flat && rows ? n[2] / rows : n[2]};
    for (int i = 0; i < 3; i++) {
        fc_fft_axis *a = &plan->axis[i];
        plan->k[i] = k[i];
        a->n = dims[i];
        if (n[i] < k[i] || a->n < 1 || (i > 0 && a->n % FC_FFT_BLOCK != 0))
            return 0;
        a->passes = 1;
        a->radix[0] = 1;
        if ((plan->flat || plan->folded ? i > 0 : k[i] > 1) && !(a->passes = fc_fft_radices(a->n, a->radix)))
            return 0;
    }
    return 1;
}

/* The plan and its tables; returns where it lies. factors: of each axis */
static fc_fft *fft_lay_plan(fc_fft *head, fc_room *r, char *factors[3])
{
    ptrdiff_t D = head->axis[0].n, R = head->axis[1].n, C = head->axis[2].n, complex = 2 * (ptrdiff_t)head->size;
    fc_fft *plan = fc_part(r, "plan", 1, sizeof *plan);
    for (int i = 0; i < 3; i++)
        factors[i] = fc_part(r, "factors", fft_count_factors(&head->axis[i]), (ptrdiff_t)head->size);
    head->spectrum = head->folded ? NULL : fc_part(r, "spectrum", D * R * C, complex);
    head->twist = head->flat ? fc_part(r, "twist", R * C, complex) : NULL;
    head->axis[1].turn = head->folded ? fc_part(r, "turn", R, complex) : NULL;
    return plan;
}

/* The column blocks, and the strip */
static void fft_lay_scratch(const fc_fft *plan, fc_room *r, char **blocks, char **strip)
{
    ptrdiff_t vector = 2 * plan->lanes * (ptrdiff_t)plan->size, C = plan->axis[2].n;
    *blocks = fc_part(r, "column blocks", times(C / plan->lanes, plan->column), vector);
    *strip = fc_part(r, "strip", C, vector);
}

static fc_fft *fft_new(const fc_kernels *fc, int type, const ptrdiff_t n[3], const ptrdiff_t k[3], const void *taps, int folded)
{
    fc_fft head = {.size = type == FC_F32 ? sizeof(float) : sizeof(double), .folded = folded};
    if (!fft_set_axes(&head, n, k))
        return NULL;
    head.lanes = fc->vector_bytes / (ptrdiff_t)head.size;
    head.op = fc->op[type];
    /* odd distances: columns and planes a power of two apart would share cache sets */
    ptrdiff_t D = head.axis[0].n, R = head.axis[1].n, C = head.axis[2].n;
    head.plane = R + (D > 1);
    head.column = D * head.plane | 1;

    char *factors[3];
    fc_room counted = {0};
    fft_lay_plan(&head, &counted, factors);
    fc_room room = {.block = fc_alloc(1, (size_t)counted.bytes)};
    size_t bytes = fc_fft_scratch(&head), roots = head.flat ? 2 * (size_t)(R + C) * sizeof(fc_wide) : 0;
    char *scratch = room.block ? fc_alloc(1, bytes + roots) : NULL;
    if (!scratch) {
        fc_free(room.block);
        return NULL;
    }
    fc_fft *plan = fft_lay_plan(&head, &room, factors);
    *plan = head;
    for (int i = 0; i < 3; i++)
        fc_fft_fill_factors(&plan->axis[i], i > 0 ? &plan->axis[i - 1] : NULL, factors[i], plan->size);
    if (plan->flat)
        fc_fft_fill_twist(&plan->axis[1], C, plan->lanes, plan->twist, plan->size, (fc_wide *)(void *)(scratch + bytes));
    if (plan->folded)
        fc_fft_fill_turn(R, (char *)plan->axis[1].turn, plan->size);
    if (taps)
        fc_fft_learn(plan, scratch, taps);
    fc_close(&room);
    fc_free(scratch);
    return plan;
}

fc_fft *fc_fft_new(const fc_kernels *fc, int type, const ptrdiff_t n[3], const ptrdiff_t k[3], const void *taps)
{
    return fft_new(fc, type, n, k, taps, 0);
}

fc_fft *fc_fft_new_folded(const fc_kernels *fc, int type, ptrdiff_t rows, ptrdiff_t cols)
{
    const ptrdiff_t n[3] = {1, rows / 2, cols}, k[3] = {1, 1, 1};
    return fft_new(fc, type, n, k, NULL, 1);
}

void fc_fft_free(fc_fft *plan) { fc_free(plan); }

size_t fc_fft_scratch(const fc_fft *plan)
{
    fc_room r = {0};
    fft_lay_scratch(plan, &r, &(char *){0}, &(char *){0});
    return (size_t)r.bytes;
}

/* ---- run --------------------------------------------------------------------------------------- */

/* Column block b of a tile: rows of one plane, or, if it has several, row r of each */
static fc_fft_column fft_column_of(const fc_fft *plan, const fc_fft_tile *t, ptrdiff_t b, ptrdiff_t r,
                                   const ptrdiff_t extent[3], const ptrdiff_t stride[2])
{
    const int deep = plan->axis[0].n > 1;
    ptrdiff_t skip = b * plan->lanes, C = plan->axis[2].n, at = skip + r * stride[1];
    fc_fft_column c = {.stride = stride[!deep], .rows = deep ? extent[0] : extent[1], .lanes = extent[2] - skip};
    c.last = c.lanes;
    if (plan->flat) { /* in reading order; the last row may end early */
        c.stride = C;
        c.rows = (extent[2] + C - 1) / C;
        c.lanes = plan->lanes;
        c.last = extent[2] - (c.rows - 1) * C - skip;
    }
    if (!t->x || c.lanes <= 0 || (deep && r >= extent[1]))
        return (fc_fft_column){0};
    c.x = (const char *)t->x + at * (ptrdiff_t)plan->size;
    c.y = (char *)t->y + at * (ptrdiff_t)plan->size;
    return c;
}

/* Step 1 for column block b at z, or step 3. Rows beyond the tiles are zeros, which the transform along R makes something else
 * of; of step 3 they are not asked for. */
static void fft_column(const fc_fft *plan, char *z, ptrdiff_t b, const fc_fft_tile tile[2], ptrdiff_t extent[2][3],
                       const ptrdiff_t stride[2], int back)
{
    const fc_fft_axis *D = &plan->axis[0], *R = &plan->axis[1];
    const ptrdiff_t vector = 2 * plan->lanes, bytes = vector * (ptrdiff_t)plan->size;
    fc_fft_fn *transform = back ? plan->op->ifft : plan->op->fft;
    fc_fft_column c[2];
    for (int i = 0; i < 2; i++)
        c[i] = fft_column_of(plan, &tile[i], b, 0, extent[i], stride);
    if (c[0].rows == 0 && c[1].rows == 0) {
        if (!back)
            memset(z, 0, (size_t)(plan->column * bytes));
        return;
    }
    if (D->n == 1) {
        transform(R, z, vector, c);
        return;
    }
    for (int step = 0; step < 2; step++)
        if (step == back)
            for (ptrdiff_t r = 0; r < (back ? max(extent[0][1], extent[1][1]) : R->n); r++) {
                for (int i = 0; i < 2; i++)
                    c[i] = fft_column_of(plan, &tile[i], b, r, extent[i], stride);
                transform(D, z + r * bytes, plan->plane * vector, c);
            }
        else
            for (ptrdiff_t d = 0; d < D->n && R->radix[0] > 1; d++)
                transform(R, z + d * plan->plane * bytes, vector, NULL);
}

/* Asks for the rows that step 3 writes from row r of plane d on: they lie pages apart, where hardware does not */
__attribute__((always_inline)) static inline void fft_fetch(const fc_fft *plan, const fc_fft_tile *to,
                                                            const ptrdiff_t stride[2], ptrdiff_t d, ptrdiff_t r)
{
    const ptrdiff_t size = (ptrdiff_t)plan->size, end = d < to->out[0] ? min(r + plan->lanes, to->out[1]) : 0;
    for (; r < end; r++)
        for (ptrdiff_t byte = 0; byte < to->out[2] * size; byte += 64)
            __builtin_prefetch((const char *)to->y + (d * stride[0] + r * stride[1]) * size + byte, 0, 2);
}

/* Step 2 for every block of rows; to: where step 3 writes, or NULL */
static void fft_along_rows(const fc_fft *plan, char *z, char *spectrum, char *strip, double learn, const fc_fft_tile *to,
                           const ptrdiff_t y_stride[2])
{
    ptrdiff_t D = plan->axis[0].n, R = plan->axis[1].n, C = plan->axis[2].n, vector = 2 * plan->lanes;
    size_t bytes = (size_t)vector * plan->size, block = (size_t)C * bytes;
    const char *twist = plan->twist;
    for (ptrdiff_t d = 0; d < D; d++)
        for (ptrdiff_t r = 0; r < R; r += plan->lanes, spectrum += block, twist += twist ? block : 0) {
            for (int i = 0; to && !plan->flat && i < 2; i++)
                fft_fetch(plan, &to[i], y_stride, d, r);
            plan->op->fftmul(&plan->axis[2], z + (size_t)(d * plan->plane + r) * bytes, plan->column * vector, spectrum, twist,
                             strip, learn);
        }
}

static void fft_columns(const fc_fft *plan, char *z, const fc_fft_tile tile[2], const ptrdiff_t stride[2], int back)
{
    size_t block = (size_t)(plan->column * 2 * plan->lanes) * plan->size;
    ptrdiff_t extent[2][3];
    for (int i = 0; i < 2; i++)
        for (int a = 0; a < 3; a++)
            extent[i][a] = tile[i].out[a] + (back ? 0 : plan->k[a] - 1);
    for (ptrdiff_t b = 0; b < plan->axis[2].n / plan->lanes; b++)
        fft_column(plan, z + (size_t)b * block, b, tile, extent, stride, back);
}

/* All steps; or, if `learn` is not 0, up to the spectrum, which is learnt (fftmul); `to` and y_stride are not read then */
static void fft_run(const fc_fft *plan, char *spectrum, void *scratch, const fc_fft_tile tile[2], const ptrdiff_t x_stride[2],
                    const fc_fft_tile to[2], const ptrdiff_t y_stride[2], double learn)
{
    fc_room r = {.block = scratch};
    char *z, *strip;
    fft_lay_scratch(plan, &r, &z, &strip);
    fft_columns(plan, z, tile, x_stride, 0);
    fft_along_rows(plan, z, spectrum, strip, learn, to, y_stride);
    if (learn == 0)
        fft_columns(plan, z, to, y_stride, 1);
    fc_close(&r);
}

void fc_fft_learn(fc_fft *plan, void *scratch, const void *taps)
{
    fc_fft_tile tile[2] = {{.x = taps, .out = {1, 1, 1}}};
    ptrdiff_t stride[2] = {plan->k[1] * plan->k[2], plan->k[2]};
    double points = 1;
    for (int a = 0; a < 3; a++)
        if (plan->axis[a].radix[0] > 1)
            points *= (double)plan->axis[a].n;
        else if (a < 2) { /* the same for every plane, or row; as for columns, fftmul knows */
            tile[0].out[a] = plan->axis[a].n;
            stride[a] = 0;
        }
    fft_run(plan, plan->spectrum, scratch, tile, stride, NULL, NULL, 1 / points);
}

void fc_fft_corr(const fc_fft *plan, void *scratch, const fc_fft_tile tiles[2], const ptrdiff_t x_stride[2],
                 const ptrdiff_t y_stride[2])
{
    fc_fft_tile tile[2] = {tiles[0], tiles[1]};
    for (int i = 0; i < 2; i++)
        if (!tile[i].x || tile[i].out[0] < 1 || tile[i].out[1] < 1 || tile[i].out[2] < 1)
            tile[i] = (fc_fft_tile){0};
    fft_run(plan, plan->spectrum, scratch, tile, x_stride, tile, y_stride, 0);
}

/* ---- folded ------------------------------------------------------------------------------------ */

ptrdiff_t fc_fft_folded_bytes(const fc_fft *plan)
{
    return times(times(plan->axis[1].n, plan->axis[2].n), 2 * (ptrdiff_t)plan->size);
}

/* The halves of a tile */
static void fft_fold(const fc_fft *plan, const fc_fft_plane *t, fc_fft_tile half[2])
{
    const ptrdiff_t R = plan->axis[1].n;
    half[0] = half[1] = (fc_fft_tile){.x = t->at, .y = t->at, .out = {1, min(t->rows, R), t->cols}};
    half[1].x = half[1].y = t->rows > R ? (char *)t->at + R * t->stride * (ptrdiff_t)plan->size : NULL;
    half[1].out[1] = max(t->rows - R, 0);
}

void fc_fft_learn_folded(const fc_fft *plan, void *scratch, void *spectrum, const fc_fft_plane *x, int is_kernel)
{
    fc_fft_tile half[2];
    const ptrdiff_t stride[2] = {0, x->stride};
    fft_fold(plan, x, half);
    fft_run(plan, spectrum, scratch, half, stride, NULL, NULL,
            is_kernel ? 1 / ((double)plan->axis[1].n * (double)plan->axis[2].n) : 1);
}

void fc_fft_corr_folded(const fc_fft *plan, void *scratch, const void *spectrum, const fc_fft_plane *x, const fc_fft_plane *y)
{
    fc_fft_tile half[2], to[2];
    const ptrdiff_t x_stride[2] = {0, x->stride}, y_stride[2] = {0, y->stride};
    fft_fold(plan, x, half);
    fft_fold(plan, y, to);
    fft_run(plan, (char *)spectrum, scratch, half, x_stride, to, y_stride, 0);
}

void fc_fft_sum_folded(const fc_fft *plan, void *scratch, const void *a, const void *b, ptrdiff_t channels,
                       const fc_fft_plane *y)
{
    const ptrdiff_t stride[2] = {0, y->stride}, vector = 2 * plan->lanes, size = (ptrdiff_t)plan->size;
    const ptrdiff_t apart = fc_fft_folded_bytes(plan), block = plan->lanes * plan->axis[2].n * 2 * size;
    fc_room room = {.block = scratch};
    fc_fft_tile to[2];
    char *z, *strip;
    fft_lay_scratch(plan, &room, &z, &strip);
    for (ptrdiff_t r = 0; r < plan->axis[1].n / plan->lanes; r++)
        plan->op->fftsum(&plan->axis[2], z + r * plan->lanes * vector * size, plan->column * vector,
                         (const char *)a + r * block, (const char *)b + r * block, apart / size, channels, strip);
    fft_fold(plan, y, to);
    fft_columns(plan, z, to, stride, 1);
    fc_close(&room);
}
