/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Kernels and tiles of layers by transforms: made ready; read, transformed, and settled (the steps of transforms.c).
 */
#include "layers/transforms.h"

void fc_transforms_learn_one(const transforms *d, const char *w, char *tile, char *scratch, char *spectrum)
{
    const layer *l = d->l;
    const fc_axis *rows = &l->axis[ROWS], *cols = &l->axis[COLS];
    memset(tile, 0, (size_t)(d->n[ROWS] * d->n[COLS] * l->size));
    for (ptrdiff_t a = 0; a < rows->k; a++) {
        const ptrdiff_t at = a * rows->dilation - d->roll[ROWS], turns = at < 0;
        char *row = tile + (at + (turns ? d->n[ROWS] : 0)) * d->n[COLS] * l->size;
        for (ptrdiff_t b = 0; b < cols->k; b++, w += l->size) {
            const ptrdiff_t to = modulo(b * cols->dilation - d->roll[COLS], d->n[COLS]);
            if (l->size == sizeof(float))
                ((float *)(void *)row)[to] = turns ? -*(const float *)(const void *)w : *(const float *)(const void *)w;
            else
                ((double *)(void *)row)[to] = turns ? -*(const double *)(const void *)w : *(const double *)(const void *)w;
        }
    }
    const fc_fft_plane all = {tile, d->n[COLS], d->n[ROWS], d->n[COLS]};
    fc_fft_learn_folded(d->fft, scratch, spectrum, &all, 1);
}

void fc_transforms_lay_parts(const transforms *d, fc_room *r, tiles *s)
{
    fc_gather_parts(&d->x, r, &s->gather, d->n[COLS]);
    s->tile = fc_part(r, "tile", times(d->n[ROWS], d->n[COLS]), d->l->size);
    s->bias = fc_part(r, "row of the bias", d->l->g->bias ? d->out[COLS] : 0, d->l->size);
    s->spectrum = fc_part(r, "spectra", d->l->g->channels > 1 ? d->l->g->channels : d->spectra ? 0 : 1, d->spectrum);
    s->transforms = fc_part(r, "transforms", (ptrdiff_t)fc_fft_scratch(d->fft), 1);
}

/* rows of `cols` outputs; returns whether all sums are finite. bias: a row of it */
static int transforms_finish(const transforms *d, const char *bias, char *out, ptrdiff_t rows, ptrdiff_t cols)
{
    const layer *l = d->l;
    const fc_conv *g = l->g;
    const ptrdiff_t pitch = l->axis[COLS].out;
    int finite = 1;
    for (ptrdiff_t r = 0; r < rows; r++) {
        char *row = out + r * pitch * l->size;
        finite &= l->op->finite(row, cols);
        if (g->bias)
            l->op->add(row, row, bias, cols);
    }
    if (g->clamp || fc_finishes(g))
        fc_finish(l, out, pitch, out, pitch, rows, cols);
    return finite;
}

/* What tile `at` sees of a plane, and the first of its outputs, brought to s->tile if it cannot be read where it is */
static fc_fft_plane transforms_see(const transforms *d, const tiles *s, const char *x, const ptrdiff_t at[FC_AXES])
{
    ptrdiff_t from[FC_AXES] = {0}, sees[FC_AXES] = {1, 1, 1};
    int is_inside = d->x.readable;
    for (int i = ROWS; i <= COLS; i++) {
        const fc_axis *a = &d->seen[i];
        from[i] = a->k == 1 ? 0 : at[i] * d->out[i];
        sees[i] = a->k == 1 ? a->n : min(d->out[i], a->out - from[i]);
        is_inside &= from[i] >= a->lead && from[i] - a->lead + sees[i] + a->k - 1 <= a->n;
    }
    fc_fft_plane seen = {s->tile, d->n[COLS], sees[ROWS] + d->seen[ROWS].k - 1, sees[COLS] + d->seen[COLS].k - 1};
    if (!is_inside) {
        fc_gather(&d->x, &s->gather, s->tile, &d->tile, x, from, sees);
        return seen;
    }
    const fc_axis *rows = &d->seen[ROWS];
    seen.at = (char *)x + (from[ROWS] - rows->lead) * rows->x_step + (from[COLS] - d->seen[COLS].lead) * d->l->size;
    seen.stride = rows->x_step / d->l->size;
    return seen;
}

/* Where its outputs belong in plane `plane` of kernel m */
static fc_fft_plane transforms_outputs(const transforms *d, ptrdiff_t plane, ptrdiff_t m, const ptrdiff_t at[FC_AXES])
{
    const fc_axis *axis = d->l->axis;
    const ptrdiff_t row = at[ROWS] * d->out[ROWS], col = at[COLS] * d->out[COLS], depth = axis[DEPTH].out,
                    pitch = axis[COLS].out;
    const ptrdiff_t before = ((plane / depth * d->kernels + m) * depth + plane % depth) * axis[ROWS].out + row;
    return (fc_fft_plane){d->l->g->out + (before * pitch + col) * d->l->size, pitch, min(d->out[ROWS], axis[ROWS].out - row),
                          min(d->out[COLS], pitch - col)};
}

static const char *transforms_plane(const transforms *d, ptrdiff_t plane, ptrdiff_t channel)
{
    const fc_conv *g = d->l->g;
    const fc_axis *depth = &d->l->axis[DEPTH];
    return g->x + plane / depth->out * g->x_image + channel * g->x_channel + plane % depth->out * depth->x_step;
}

/* Step 3 of a tile of kernel m */
static void transforms_settle(const transforms *d, const tiles *s, ptrdiff_t plane, ptrdiff_t m, const fc_fft_plane *made)
{
    if (!transforms_finish(d, s->bias, made->at, made->rows, made->cols))
        atomic_store_explicit(&d->doubtful[plane / d->l->axis[DEPTH].out * d->kernels + m], 1, memory_order_relaxed);
}

static void transforms_lay_bias(const transforms *d, const tiles *s, ptrdiff_t m)
{
    const ptrdiff_t size = d->l->size;
    if (d->l->g->bias)
        fc_copy_row(s->bias, size, d->l->g->bias + m * size, 0, d->out[COLS], size);
}

/* One channel: some of the tiles of all planes that a kernel slides over. index counts (kernel, share of them) */
static void transforms_kernel(const transforms *d, const tiles *s, ptrdiff_t index)
{
    const layer *l = d->l;
    const ptrdiff_t m = index / d->shares, share = index % d->shares;
    const ptrdiff_t all = l->planes * d->count[ROWS] * d->count[COLS], each = parts_of(all, d->shares);
    const char *spectrum = d->spectra ? d->spectra + m * d->spectrum : s->spectrum;
    if (!d->spectra)
        fc_transforms_learn_one(d, l->g->w + m * l->taps * l->size, s->tile, s->transforms, s->spectrum);
    transforms_lay_bias(d, s, m);
    for (ptrdiff_t i = share * each; i < min(all, (share + 1) * each) && !fc_gives_up(); i++) {
        ptrdiff_t at[FC_AXES];
        const ptrdiff_t plane = unravel(i, d->count, at);
        const fc_fft_plane seen = transforms_see(d, s, transforms_plane(d, plane, m / l->g->kernels), at);
        const fc_fft_plane made = transforms_outputs(d, plane, m, at);
        fc_fft_corr_folded(d->fft, s->transforms, spectrum, &seen, &made);
        transforms_settle(d, s, plane, m, &made);
    }
}

/* Several channels: a tile of all of them, and some kernels. index counts (group, plane, tile, share of the kernels) */
static void transforms_sums(const transforms *d, const tiles *s, ptrdiff_t index)
{
    const fc_conv *g = d->l->g;
    const ptrdiff_t share = index % d->shares, each = parts_of(g->kernels, d->shares);
    ptrdiff_t at[FC_AXES], rest = unravel(index / d->shares, d->count, at);
    const ptrdiff_t plane = rest % d->l->planes, group = rest / d->l->planes;
    for (ptrdiff_t c = 0; c < g->channels; c++) {
        const fc_fft_plane seen = transforms_see(d, s, transforms_plane(d, plane, group * g->channels + c), at);
        fc_fft_learn_folded(d->fft, s->transforms, s->spectrum + c * d->spectrum, &seen, 0);
    }
    for (ptrdiff_t i = share * each; i < min(g->kernels, (share + 1) * each) && !fc_gives_up(); i++) {
        const ptrdiff_t m = group * g->kernels + i;
        const fc_fft_plane made = transforms_outputs(d, plane, m, at);
        fc_fft_sum_folded(d->fft, s->transforms, s->spectrum, d->spectra + m * g->channels * d->spectrum, g->channels, &made);
        transforms_lay_bias(d, s, m);
        transforms_settle(d, s, plane, m, &made);
    }
}

void fc_transforms_chunk(void *context, ptrdiff_t index, int slot)
{
    const transforms *d = context;
    tiles s;
    fc_room room = fc_room_at(d->scratch, d->thread_bytes, slot);
    fc_transforms_lay_parts(d, &room, &s);
    (d->l->g->channels > 1 ? transforms_sums : transforms_kernel)(d, &s, index);
    fc_close(&room);
}
