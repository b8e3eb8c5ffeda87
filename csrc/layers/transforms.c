/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Layers with large kernels and few channels a group, by transforms (corr/fft.c): a tile of a plane at a time, folded.
 *
 *   1. Kernels become spectra, unless these were made before (fc_transforms_learn). Dilated taps lie apart in them.
 *   2. With one channel, kernel by kernel: every tile of the planes that it slides over is transformed, multiplied by its spectrum, and
 *      transformed back to where the outputs belong.
 *      With several, tile by tile: those of all channels become spectra; of every kernel, products with its spectra are added up
 *      channel by channel, and the sum is transformed back. All spectra of kernels are there from the beginning.
 *   3. The bias is added, and outputs are clamped.
 *
 * A tile goes round: what lies before its first element is its last. Along an axis with zeros beyond its ends, one tile holds all of x,
 * and the kernel begins `lead` elements before it:
 *
 *      x x x x x x x 0 0 0      lead 2, 5 taps: elements beyond either end are the zeros, if there are as many of them as the
 *      t t t . . . . . t t      longer end needs; the kernel under output 0
 *
 * Else tiles overlap by what the kernel spans, and see x continued by the boundary.
 *
 * A value that is not finite spreads over its tile. Planes with such outputs are computed once more, by products.c.
 */
#include "layers/transforms.h"

/* ---- whether, and how -------------------------------------------------------------------------- */

/* The elements from the first tap of a kernel to its last */
static ptrdiff_t transforms_span(const fc_axis *a) { return (a->k - 1) * a->dilation + 1; }

/* Direct sums of a plane: rows of taps that meet nothing but zeros are left out where there is one channel (lanes.c) */
static double transforms_direct_us(const layer *l)
{
    const fc_axis *rows = &l->axis[ROWS], *cols = &l->axis[COLS];
    const int dense = l->g->channels > 1, leaves_out = !dense && rows->boundary == FC_CONSTANT;
    const double pairs = dense ? (double)l->g->channels * (double)l->g->kernels : 1;
    double met = leaves_out ? 0 : (double)rows->out * (double)rows->k;
    for (ptrdiff_t o = 0; o < rows->out && leaves_out; o++) {
        ptrdiff_t from, end;
        inside(rows->n, rows->dilation, o - rows->lead, rows->k, &from, &end);
        met += (double)(end - from);
    }
    return fc_time_us(RATE_TRANSFORMS, pairs * met * (double)cols->k * (double)cols->out * (double)l->size, LINE, 0);
}

/* Whether anything but their time stands against it */
static int transforms_are_possible(const layer *l)
{
    const fc_conv *g = l->g;
    const fc_axis *depth = &l->axis[DEPTH];
    if (g->accuracy == FC_EXACT || g->halves || g->last || g->gradient || l->axis[ROWS].k == 1 || l->axis[COLS].k == 1 ||
        depth->k > 1 || depth->out != depth->n || depth->lead != 0)
        return 0;
    for (int i = DEPTH; i <= COLS; i++)
        if (l->axis[i].stride != 1 || l->spread[i] != 1)
            return 0;
    return g->forced == FC_TRANSFORMS ||
           (!g->forced && l->taps >= (g->accuracy == FC_FAST ? TRANSFORMS_TAPS_FAST : TRANSFORMS_TAPS));
}

/* Tiles, and whether they pay. All but the plan of transforms, and memory */
static int transforms_plan(transforms *d, const layer *l)
{
    const fc_conv *g = l->g;
    ptrdiff_t k[2], out[2], alone[2], n[2];
    if (!transforms_are_possible(l))
        return 0;
    for (int i = ROWS; i <= COLS; i++) {
        const fc_axis *a = &l->axis[i];
        k[i - 1] = transforms_span(a), out[i - 1] = a->out;
        const ptrdiff_t seen = a->out + k[i - 1] - 1;
        alone[i - 1] = a->boundary == FC_CONSTANT ? max(max(a->n + max(a->lead, 0), seen - a->lead), a->out) : seen;
    }
    const double channels = (double)g->channels, kernels = (double)g->kernels;
    const int dense = g->channels > 1;
    double learn;
    d->us = fc_fft_folded_size(g->type, k, out, alone, dense ? (channels + kernels) / 2 : 1, dense ? channels * kernels : 1, n,
                               &learn);
    d->us += g->learnt ? 0 : learn;
    d->spectrum = times(times(n[0], n[1]), l->size);
    if (n[0] == 0 || (dense && times(times(g->groups * g->kernels, g->channels), d->spectrum) > TRANSFORMS_SPECTRA) ||
        (dense && times(g->channels, d->spectrum) > TRANSFORMS_SPECTRA / 4))
        return 0;
    d->l = l;
    d->seen[DEPTH] = (fc_axis){.n = 1, .k = 1, .out = 1, .stride = 1, .dilation = 1, .boundary = FC_CONSTANT};
    d->n[DEPTH] = d->out[DEPTH] = d->count[DEPTH] = 1;
    for (int i = ROWS; i <= COLS; i++) {
        const fc_axis *a = &l->axis[i];
        const int is_alone = n[i - 1] >= alone[i - 1], holds = is_alone && a->boundary == FC_CONSTANT;
        d->seen[i] = *a;
        d->seen[i].k = holds ? 1 : k[i - 1], d->seen[i].dilation = 1;
        d->n[i] = n[i - 1];
        d->out[i] = is_alone ? a->out : n[i - 1] - k[i - 1] + 1;
        d->count[i] = parts_of(a->out, d->out[i]);
        d->roll[i] = holds ? a->lead : 0;
        if (holds)
            d->seen[i].lead = 0, d->seen[i].out = a->n;
    }
    d->kernels = g->groups * g->kernels;
    if (dense) /* four fma for a product of complex numbers */
        d->us += fc_time_us(RATE_TRANSFORMS_SUMS,
                            2 * channels * kernels * (double)(d->count[ROWS] * d->count[COLS]) * (double)d->spectrum, LINE, 0);
    return g->forced || d->us <= transforms_direct_us(l);
}

/* ---- step 1 ------------------------------------------------------------------------------------- */

/* Bytes of all spectra. Behind those that are kept is the table of kernels that made them: others lay them out otherwise. */
static ptrdiff_t transforms_all(const transforms *d) { return times(d->kernels * d->l->g->channels, d->spectrum); }

/* Those that were made before, if it was by this instruction set; else NULL */
static const char *transforms_learnt(const transforms *d)
{
    const fc_kernels *by = NULL;
    if (d->l->g->learnt)
        memcpy(&by, d->l->g->learnt + transforms_all(d), sizeof by);
    return by == d->l->fc ? d->l->g->learnt : NULL;
}

/* Of all kernels and channels */
static void transforms_learn_all(const transforms *d, char *tile, char *scratch, char *spectra)
{
    const layer *l = d->l;
    for (ptrdiff_t i = 0; i < d->kernels * l->g->channels && !fc_gives_up(); i++)
        fc_transforms_learn_one(d, l->g->w + i * l->taps * l->size, tile, scratch, spectra + i * d->spectrum);
}

/* ---- one call ------------------------------------------------------------------------------------ */

/* All depths of a kernel's plane of an image, by products of taps */
static fc_conv transforms_exact(const transforms *d, ptrdiff_t image, ptrdiff_t m)
{
    const layer *l = d->l;
    fc_conv one = *l->g;
    one.images = one.groups = one.kernels = 1, one.accuracy = FC_EXACT;
    one.x += image * one.x_image + m / l->g->kernels * one.channels * one.x_channel;
    one.w += m * one.channels * l->taps * l->size, one.bias += one.bias ? m * l->size : 0;
    one.out += (image * d->kernels + m) * l->whole[DEPTH] * l->whole[ROWS] * l->whole[COLS] * l->size;
    return one;
}

static void transforms_share(transforms *d)
{
    const layer *l = d->l;
    const int dense = l->g->channels > 1;
    const ptrdiff_t of_plane = l->planes * d->count[ROWS] * d->count[COLS];
    const ptrdiff_t parts = dense ? l->g->groups * of_plane : d->kernels, most = dense ? l->g->kernels : of_plane;
    const double us = d->us * 64 / l->fc->vector_bytes * (double)(l->planes * (dense ? l->g->groups : d->kernels));
    const int threads = fc_threads_for(us, l->g->threads);
    d->shares = threads == 1 || parts >= 4 * threads ? 1 : min(parts_of(4 * threads, parts), most);
    d->chunks = parts * d->shares;
    d->threads = (int)min(threads, d->chunks);
}

static void transforms_describe_x(transforms *d)
{
    const layer *l = d->l;
    const fc_conv *g = l->g;
    uintptr_t odd = (uintptr_t)g->x | (uintptr_t)g->x_image | (uintptr_t)g->x_channel;
    for (int i = DEPTH; i <= COLS; i++)
        odd |= (uintptr_t)l->axis[i].x_step;
    fc_describe_source(&d->x, l->fc, d->seen, g->type, g->type, 0, 0);
    d->x.readable = odd % (uintptr_t)l->size == 0 && (l->axis[COLS].x_step == l->size || l->axis[COLS].n == 1);
    d->tile = (rows_of){.plane = d->n[ROWS] * d->n[COLS], .row = d->n[COLS]};
}

int fc_transforms_tile(const layer *l, fc_tile *tile)
{
    transforms d;
    if (!transforms_plan(&d, l))
        return 0;
    *tile = (fc_tile){{d.n[ROWS], d.n[COLS]}, {d.roll[ROWS], d.roll[COLS]}};
    return 1;
}

ptrdiff_t fc_transforms_learn(const layer *l, char *to)
{
    transforms d;
    if (!transforms_plan(&d, l))
        return 0;
    const ptrdiff_t all = transforms_all(&d), bytes = plus(all, sizeof l->fc);
    if (!to)
        return bytes;
    d.fft = l->op->finite(l->g->w, d.kernels * l->g->channels * l->taps)
                ? fc_fft_new_folded(l->fc, l->g->type, d.n[ROWS], d.n[COLS])
                : NULL;
    const size_t scratch_bytes = d.fft ? fc_fft_scratch(d.fft) : 0;
    char *scratch = d.fft ? fc_borrow(scratch_bytes + (size_t)d.spectrum) : NULL;
    if (scratch) {
        transforms_learn_all(&d, scratch + scratch_bytes, scratch, to);
        memcpy(to + all, &l->fc, sizeof l->fc);
        fc_return(scratch);
    }
    fc_fft_free(d.fft);
    return scratch ? bytes : 0;
}

int fc_transforms_run(const layer *l)
{
    const fc_conv *g = l->g;
    transforms d;
    if (!transforms_plan(&d, l))
        return 1;
    transforms_share(&d);
    if (g->plan) {
        *g->plan = (fc_conv_plan){FC_TRANSFORMS, d.threads, d.chunks, l->taps * g->channels};
        return 0;
    }
    if (!g->learnt && !l->op->finite(g->w, d.kernels * g->channels * l->taps))
        return 1;
    transforms_describe_x(&d);
    d.fft = fc_fft_new_folded(l->fc, g->type, d.n[ROWS], d.n[COLS]);
    if (!d.fft)
        return -1;
    fc_room parts = {0}, tables = {0};
    d.spectra = transforms_learnt(&d);
    fc_transforms_lay_parts(&d, &parts, &(tiles){0});
    d.thread_bytes = parts.bytes;
    const ptrdiff_t planes = g->images * d.kernels, spectra = g->channels > 1 && !d.spectra ? d.kernels * g->channels : 0;
    fc_part(&tables, "doubtful planes", planes, sizeof *d.doubtful);
    fc_part(&tables, "spectra of kernels", spectra, d.spectrum);
    fc_conv one = transforms_exact(&d, 0, 0);
    layer exact = fc_describe(&one, l->fc);
    char *memory = fc_borrow_rooms(&tables, 1, max(times(d.threads, d.thread_bytes), fc_products_bytes(&exact)), &d.scratch);
    if (memory) {
        d.doubtful = fc_part(&tables, "doubtful planes", planes, sizeof *d.doubtful);
        char *learnt = fc_part(&tables, "spectra of kernels", spectra, d.spectrum);
        for (ptrdiff_t i = 0; i < planes; i++)
            atomic_init(&d.doubtful[i], 0);
        if (spectra > 0) {
            tiles s;
            fc_room first = fc_room_at(d.scratch, d.thread_bytes, 0);
            fc_transforms_lay_parts(&d, &first, &s);
            transforms_learn_all(&d, s.tile, s.transforms, learnt);
            d.spectra = learnt;
        }
        fc_pool_run(d.threads, d.chunks, fc_transforms_chunk, &d);
        for (ptrdiff_t i = 0; i < planes; i++)
            if (atomic_load_explicit(&d.doubtful[i], memory_order_relaxed)) {
                one = transforms_exact(&d, i / d.kernels, i % d.kernels);
                exact = fc_describe(&one, l->fc);
                fc_products_run_in(&exact, d.scratch);
            }
        fc_close(&tables);
        fc_return(memory);
    }
    fc_fft_free(d.fft);
    return memory ? 0 : -1;
}
