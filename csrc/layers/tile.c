/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A block of outputs as a matrix product: step 3 of products.c, and the packing before it.
 *
 *      panels of vectors, and dots      where they lie in the packed block, and where sums do: in out, or apart
 *      rows of weights                  read as they are; float16 is widened part by part
 *      sums                             in out: brought in order if they are phases; apart: copied to their places, or narrowed
 */
#include "layers/products.h"
#include <string.h>

/* The plane of out that a phase writes, of plane `index` that is read; -1: none */
static ptrdiff_t tile_plane(const layer *l, ptrdiff_t first, ptrdiff_t index)
{
    ptrdiff_t depth = l->axis[DEPTH].out, z = index % depth * l->step[DEPTH] + first;
    return z < l->whole[DEPTH] ? index / depth * l->g->groups * l->kernels * l->whole[DEPTH] + z : -1;
}

/* Whether the vector at lane j of a run, of a block or the part of a phase in it, is one of a phase or band */
static int tile_has(const products *d, const area *a, ptrdiff_t index, ptrdiff_t j)
{
    return d->bands == 1 || fc_band_of(d, a, j) == index;
}

static ptrdiff_t tile_vectors(const products *d, const area *a, ptrdiff_t index, ptrdiff_t run)
{
    ptrdiff_t n = 0;
    for (ptrdiff_t j = 0; j < run; j += d->l->lanes)
        n += tile_has(d, a, index, j);
    return n;
}

fc_panel *fc_make_panels(const products *d, tile *t, ptrdiff_t index, fc_panel *to, ptrdiff_t widest)
{
    const layer *l = d->l;
    area a = t->area;
    const ptrdiff_t of = index % fc_phases(l);
    ptrdiff_t c_pitch, first = fc_phase_area(l, d->t.phase, of, &a, &c_pitch, &t->stored), there = 0;
    ptrdiff_t whole = l->whole[ROWS] * l->whole[COLS];
    if (d->apart)
        first = of * d->sums_phase, c_pitch = d->sums_line, whole = d->sums_plane;
    const runs r = products_runs(d, a.rows, a.cols, d->y.flat && (a.rows <= 1 || a.cols == t->area.cols));
    const ptrdiff_t z = d->t.phase[index].axis[DEPTH].first;
    const fc_panel *from = to;
    int n = 0;
    for (ptrdiff_t p = 0; p < t->planes; p++)
        there += tile_plane(l, z, t->plane + p) >= 0;
    if (d->adjoin) { /* all lanes, though some planes or rows may not be there */
        const ptrdiff_t run = there * r.vectors > 0 ? (t->area.rows - 1) * d->sums_line + t->planes * d->sums_plane : 0;
        ptrdiff_t left = tile_vectors(d, &t->area, index, run);
        for (ptrdiff_t j = 0; j < run; j += l->lanes)
            if (tile_has(d, &t->area, index, j))
                to = add_vector(to, &n, left--, widest, j, first + j, l->lanes, l->lanes);
        t->panels[index] = to - from;
        return to;
    }
    ptrdiff_t left = there * r.count * tile_vectors(d, &a, index, r.length - r.dots);
    for (ptrdiff_t p = 0; p < t->planes; p++) {
        ptrdiff_t out = tile_plane(l, z, t->plane + p);
        for (ptrdiff_t i = 0; out >= 0 && i < r.count; i++) {
            ptrdiff_t b = p * d->packed_plane + i * d->pack.pitch, j = 0;
            ptrdiff_t c = (d->apart ? p : out) * whole + first + i * c_pitch;
            for (; j < r.length - r.dots; j += l->lanes)
                if (tile_has(d, &a, index, j))
                    to = add_vector(to, &n, left--, widest, b + j, c + j, min(l->lanes, r.length - r.dots - j), l->lanes);
            for (j = r.length - r.dots; j < r.length && index == 0; j++, t->dots++)
                t->dot_b[t->dots] = b + j, t->dot_c[t->dots] = c + j;
        }
    }
    t->panels[index] = to - from;
    return to;
}

static char *tile_columns(const products *d, const tile *t, ptrdiff_t tap) /* of the part that begins there */
{
    return t->columns + tap / d->y.part * t->dots * products_column(d) * d->l->size;
}

/* The columns under the dots of n taps, from `tap` on, which begin a part */
static void tile_gather(const products *d, const tile *t, ptrdiff_t tap, ptrdiff_t n)
{
    const ptrdiff_t *at = d->t.at + tap, pitch = products_column(d), size = d->l->size;
    char *to = tile_columns(d, t, tap);
    for (ptrdiff_t i = 0; i < t->dots; i++, to += pitch * size) {
        const char *from = t->seen + t->dot_b[i] * size;
        if (d->l->g->type == FC_F32)
            for (ptrdiff_t p = 0; p < n; p++)
                ((float *)(void *)to)[p] = ((const float *)(const void *)from)[at[p]];
        else
            for (ptrdiff_t p = 0; p < n; p++)
                ((double *)(void *)to)[p] = ((const double *)(const void *)from)[at[p]];
    }
}

void fc_see_block(const products *d, tile *t, const char *x, ptrdiff_t channels)
{
    const layer *l = d->l;
    const ptrdiff_t x_channel = l->g->x_channel, taps = channels * l->taps;
    t->seen = d->in_place ? x + t->plane * l->g->x_image + t->area.row * l->axis[ROWS].x_step : t->packed;
    for (ptrdiff_t p = 0; p < t->planes && !d->in_place; p++) {
        char *to = t->packed + p * d->packed_plane * l->size;
        fc_runs runs = fc_plan_runs(&d->pack, t->run, t->plane + p, &t->area);
        runs.ahead = PRODUCTS_AHEAD * x_channel / l->stored;
        runs.exact = d->adjoin;
        for (ptrdiff_t c = 0; c < channels; c++)
            fc_pack_channel(&d->pack, to + c * d->pack.plane * l->size, x + c * x_channel, &runs);
    }
    for (ptrdiff_t tap = 0; tap < taps && t->dots > 0; tap += d->y.part)
        tile_gather(d, t, tap, min(d->y.part, taps - tap));
}

/* The weights of a part, of which `tap` is the first, for a tile of rows, from float16: they stay in L1. Taps lie in every part as in
 * the first. */
static void tile_widen(const products *d, const tile *t, const phase *q, fc_gemm *m, ptrdiff_t tap)
{
    const layer *l = d->l;
    const ptrdiff_t *at = d->t.weight_at + q->at, pitch = products_weights(d), n = at[m->depth - 1] + 1;
    const char *from = (const char *)m->a + (at[tap] - at[0]) * l->stored;
    for (ptrdiff_t i = 0; i < m->rows; i++, from += m->as * l->stored) {
        for (ptrdiff_t b = 0; b < n * l->stored; b += LINE)
            __builtin_prefetch(from + m->rows * m->as * l->stored + b, 0, 2); /* the next tile's */
        l->op->widen(t->w + i * pitch * l->size, FC_F16, from, n);
    }
    m->a = t->w, m->a_at = at, m->as = pitch;
}

/* The dots of n taps from `tap` on, which begin a part; of m count weights, sums and clamp */
static void tile_dot(const products *d, const tile *t, const phase *q, const fc_gemm *m, ptrdiff_t tap, ptrdiff_t n)
{
    const fc_dot dots = {.a = m->a,
                         .b = tile_columns(d, t, tap),
                         .bias = m->bias,
                         .c = m->c,
                         .as = m->as,
                         .bs = products_column(d),
                         .b_part = t->dots * products_column(d),
                         .cs = m->cs,
                         .rows = m->rows,
                         .cols = t->dots,
                         .depth = n,
                         .part = q->part,
                         .at = t->dot_c,
                         .add = m->add,
                         .clamp = m->clamp && !d->adds, /* they are finished in the end */
                         .low = m->low,
                         .high = m->high};
    d->l->op->dot(&dots);
}

void fc_multiply(const products *d, const tile *t, ptrdiff_t index, const fc_gemm *rows, ptrdiff_t first, ptrdiff_t channels)
{
    const layer *l = d->l;
    const phase *q = d->t.phase + (t->finite ? index : 0);
    const ptrdiff_t taps = channels * q->taps;
    const int clamps = (l->g->clamp || d->adds) && first + channels == l->channels, dots = index == 0 && t->dots > 0;
    fc_gemm m = *rows;
    for (ptrdiff_t tap = 0; tap < taps; tap += q->part) {
        m.a_at = d->t.weight_at + q->at + tap;
        m.b_at = d->t.at + q->at + tap;
        m.depth = min(q->part, taps - tap);
        m.add = first + tap > 0;
        m.clamp = clamps && tap + m.depth == taps;
        m.more = d->adds && m.clamp ? l->g->add : 0;
        if (l->g->halves) {
            m.a = rows->a, m.as = rows->as;
            tile_widen(d, t, q, &m, tap);
            if (dots)
                tile_dot(d, t, q, &m, tap, m.depth);
        }
        l->op->gemm(&m);
    }
    m.add = first > 0;
    if (dots && !l->g->halves) /* all parts at once, for a stream of weights is read faster */
        tile_dot(d, t, q, &m, 0, taps);
}

/* Phases to their places. Elements without taps are the bias, clamped. */
static void tile_interleave(const products *d, const tile *t, const fc_gemm *m, ptrdiff_t kernel)
{
    const layer *l = d->l;
    const fc_conv *g = l->g;
    const ptrdiff_t of_z = l->phases[ROWS] * l->phases[COLS], whole = l->whole[ROWS] * l->whole[COLS];
    if (l->step[DEPTH] * l->step[ROWS] * l->step[COLS] == 1)
        return;
    for (ptrdiff_t i = 0; i < m->rows; i++) {
        double value = m->bias ? element_at(g->type, m->bias, i) : 0;
        if (g->clamp) {
            value = value < g->low ? g->low : value;
            value = value > g->high ? g->high : value;
        }
        for (ptrdiff_t p = t->plane; p < t->plane + t->planes; p++)
            for (ptrdiff_t z = 0; z < min(l->step[DEPTH], l->whole[DEPTH]); z++) {
                ptrdiff_t out = tile_plane(l, z, p);
                int has_taps = 0;
                for (ptrdiff_t q = 0; q < l->phases[DEPTH]; q++)
                    has_taps |= d->t.phase[q * of_z].axis[DEPTH].first == z;
                char *plane = g->out + ((kernel + i) * l->whole[DEPTH] + out) * whole * l->size;
                if (out >= 0)
                    fc_interleave(l, d->t.phase, &t->area, plane, t->room, value, has_taps);
            }
    }
}

/* Rows of a phase that lie in scratch */
static void tile_store(const products *d, tile *t, const fc_gemm *m, ptrdiff_t kernel, ptrdiff_t index)
{
    const layer *l = d->l;
    area a = t->area;
    ptrdiff_t pitch, at = fc_phase_area(l, d->t.phase, index, &a, &pitch, &t->stored);
    const ptrdiff_t plane = l->whole[ROWS] * l->whole[COLS], z = d->t.phase[index].axis[DEPTH].first;
    const ptrdiff_t adjoin = a.cols == pitch && a.cols == d->sums_line ? a.rows : 1, n = adjoin * a.cols;
    const fc_run rows = {.xs = d->sums_line, .rows = a.rows / max(adjoin, 1), .n = n, .end = n};
    const fc_runs one = {.run = &rows, .count = 1, .ts = pitch, .step = 1, .exact = 1};
    for (ptrdiff_t i = 0; i < m->rows; i++)
        for (ptrdiff_t p = 0; p < t->planes; p++) {
            const char *from = (const char *)m->c + (i * m->cs + index * d->sums_phase + p * d->sums_plane) * l->size;
            const ptrdiff_t out = tile_plane(l, z, t->plane + p);
            char *to = l->g->out + (((kernel + i) * l->whole[DEPTH] + out) * plane + at) * l->stored;
            if (out >= 0 && !l->g->halves)
                l->op->pack(to, from, &one);
            for (ptrdiff_t r = 0; r < rows.rows && out >= 0 && l->g->halves; r++)
                l->op->narrow(to + r * pitch * l->stored, FC_F16, from + r * rows.xs * l->size, n, 1, FC_TRUNCATED);
        }
}

/* The elements of out that the block makes, in their places */
static void tile_finish(const products *d, const tile *t, ptrdiff_t rows, ptrdiff_t kernel)
{
    const layer *l = d->l;
    const ptrdiff_t *step = l->step, *whole = l->whole, width = whole[COLS];
    const ptrdiff_t row = l->first[ROWS] + step[ROWS] * t->area.row, col = l->first[COLS] + step[COLS] * t->area.col;
    const ptrdiff_t lines = min(step[ROWS] * t->area.rows, whole[ROWS] - row), n = min(step[COLS] * t->area.cols, width - col);
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t p = t->plane; p < t->plane + t->planes; p++)
            for (ptrdiff_t z = 0; z < min(step[DEPTH], whole[DEPTH]); z++) {
                const ptrdiff_t plane = (kernel + i) * whole[DEPTH] + tile_plane(l, z, p);
                char *to = l->g->out + ((plane * whole[ROWS] + row) * width + col) * l->size;
                if (tile_plane(l, z, p) >= 0)
                    fc_finish(l, to, width, to, width, lines, n);
            }
}

/* Those that are dots, where products have finished the others: they adjoin at the end of a run */
static void tile_finish_dots(const products *d, const tile *t, const fc_gemm *m)
{
    for (ptrdiff_t i = 0, n; i < t->dots; i += n) {
        for (n = 1; i + n < t->dots && t->dot_c[i + n] == t->dot_c[i] + n; n++)
            ;
        char *to = (char *)m->c + t->dot_c[i] * d->l->size;
        fc_finish(d->l, to, m->cs, to, m->cs, m->rows, n);
    }
}

void fc_place(const products *d, tile *t, const fc_gemm *rows, ptrdiff_t kernel)
{
    for (ptrdiff_t q = 0; q < fc_phases(d->l) && d->apart; q++)
        tile_store(d, t, rows, kernel, q);
    tile_interleave(d, t, rows, kernel);
    if (d->adds)
        tile_finish_dots(d, t, rows);
    else if (fc_finishes(d->l->g))
        tile_finish(d, t, rows->rows, kernel);
}
