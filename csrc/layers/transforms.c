/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Layers with one channel a group and large kernels, by transforms (corr/fft.c): a tile of a plane at a time, folded.
 *
 *   1. A kernel becomes its spectrum, unless that was made before (fc_transforms_learn). Dilated taps lie apart in it.
 *   2. Every tile of the planes that it slides over is transformed, multiplied by it, and transformed back to where the outputs belong.
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
#include "layers/layer.h"
#include "corr/gather.h"
#include <math.h>
#include <stdatomic.h>

typedef struct {
    const layer *l;
    fc_axis seen[FC_AXES]; /* what tiles see of x: the layer's axes; of an axis that one tile holds, the elements themselves */
    source x;
    rows_of tile;
    ptrdiff_t n[FC_AXES], out[FC_AXES], count[FC_AXES]; /* points, outputs, and tiles */
    ptrdiff_t roll[FC_AXES];                            /* taps that lie before the first element */
    double us;                                          /* estimate, of a plane and of making its kernel ready */
    fc_fft *fft;
    ptrdiff_t spectrum; /* bytes */
    ptrdiff_t kernels, shares;
    int threads, has_zeros;
    atomic_char *doubtful; /* planes, each of all depths */
    ptrdiff_t thread_bytes;
    char *scratch;
} transforms;

/* One thread's */
typedef struct {
    gather_room gather;
    char *tile, *bias, *spectrum, *transforms;
} tiles;

/* ---- whether, and how -------------------------------------------------------------------------- */

/* The elements from the first tap of a kernel to its last */
static ptrdiff_t transforms_span(const fc_axis *a) { return (a->k - 1) * a->dilation + 1; }

/* Direct sums of a plane: rows of taps that meet nothing but zeros are left out (lanes.c) */
static double transforms_direct_us(const layer *l)
{
    const fc_axis *rows = &l->axis[ROWS], *cols = &l->axis[COLS];
    double met = 0;
    for (ptrdiff_t o = 0; o < rows->out; o++) {
        ptrdiff_t from = 0, end = rows->k;
        if (rows->boundary == FC_CONSTANT)
            inside(rows->n, rows->dilation, o - rows->lead, rows->k, &from, &end);
        met += (double)(end - from);
    }
    return fc_time_us(RATE_TRANSFORMS, met * (double)cols->k * (double)cols->out * (double)l->size, LINE, 0);
}

/* Whether anything but their time stands against it */
static int transforms_are_possible(const layer *l)
{
    const fc_conv *g = l->g;
    const fc_axis *depth = &l->axis[DEPTH];
    if (g->accuracy == FC_EXACT || g->halves || g->last || g->gradient || g->channels != 1 || l->axis[ROWS].k == 1 || l->axis[COLS].k == 1 ||
        depth->k > 1 || depth->out != depth->n || depth->lead != 0)
        return 0;
    for (int i = DEPTH; i <= COLS; i++)
        if (l->axis[i].stride != 1 || l->spread[i] != 1)
            return 0;
    return g->forced == FC_TRANSFORMS || (!g->forced && l->taps >= TRANSFORMS_TAPS);
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
        alone[i - 1] = a->boundary == FC_CONSTANT ? max(a->n + max(a->lead, 0), a->out + k[i - 1] - 1 - a->lead) : a->out + k[i - 1] - 1;
    }
    double learn;
    d->us = fc_fft_folded_size(g->type, k, out, alone, n, &learn);
    d->us += g->learnt ? 0 : learn;
    if (n[0] == 0)
        return 0;
    if (!g->forced && d->us * TRANSFORMS_GAIN > transforms_direct_us(l))
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
    d->spectrum = times(times(d->n[ROWS], d->n[COLS]), l->size);
    return 1;
}

/* ---- step 1 ------------------------------------------------------------------------------------- */

/* tile: scratch, of a whole tile */
static void transforms_learn(const transforms *d, const char *w, char *tile, char *scratch, char *spectrum)
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
    fc_fft_learn_folded(d->fft, scratch, spectrum, &all);
}

/* ---- steps 2 and 3 ------------------------------------------------------------------------------ */

static void transforms_lay_parts(const transforms *d, fc_room *r, tiles *s)
{
    fc_gather_parts(&d->x, r, &s->gather, d->n[COLS]);
    s->tile = fc_part(r, "tile", times(d->n[ROWS], d->n[COLS]), d->l->size);
    s->bias = fc_part(r, "row of the bias", d->l->g->bias ? d->out[COLS] : 0, d->l->size);
    s->spectrum = fc_part(r, "spectrum", d->l->g->learnt ? 0 : d->spectrum, 1);
    s->transforms = fc_part(r, "transforms", (ptrdiff_t)fc_fft_scratch(d->fft), 1);
}

/* rows of `cols` outputs; returns whether all sums are finite. bias: a row of it */
static int transforms_finish(const transforms *d, const char *bias, char *out, ptrdiff_t rows, ptrdiff_t cols)
{
    const layer *l = d->l;
    const fc_conv *g = l->g;
    int finite = 1;
    if (cols == l->axis[COLS].out && !g->bias)
        cols *= rows, rows = 1;
    for (ptrdiff_t r = 0; r < rows; r++, out += l->axis[COLS].out * l->size) {
        finite &= l->op->finite(out, cols);
        if (g->bias)
            l->op->add(out, out, bias, cols);
        if (g->clamp)
            l->op->clamp(out, cols, g->low, g->high);
    }
    return finite;
}

/* Tile `at` of an image's plane, which is `x` */
static void transforms_tile(const transforms *d, const tiles *s, const char *spectrum, const char *x, char *out,
                            const ptrdiff_t at[FC_AXES], atomic_char *doubtful)
{
    const layer *l = d->l;
    ptrdiff_t from[FC_AXES] = {0}, outputs[FC_AXES] = {1, 1, 1}, sees[FC_AXES] = {1, 1, 1}, first[FC_AXES];
    int is_inside = d->x.readable;
    for (int i = ROWS; i <= COLS; i++) {
        const fc_axis *a = &d->seen[i];
        first[i] = at[i] * d->out[i];
        outputs[i] = min(d->out[i], l->axis[i].out - first[i]);
        from[i] = a->k == 1 ? 0 : first[i];
        sees[i] = a->k == 1 ? a->n : outputs[i];
        is_inside &= from[i] >= a->lead && from[i] - a->lead + sees[i] + a->k - 1 <= a->n;
    }
    fc_fft_plane given = {s->tile, d->n[COLS], sees[ROWS] + d->seen[ROWS].k - 1, sees[COLS] + d->seen[COLS].k - 1};
    if (is_inside) {
        given.at = (char *)x + (from[ROWS] - d->seen[ROWS].lead) * d->seen[ROWS].x_step + (from[COLS] - d->seen[COLS].lead) * l->size;
        given.stride = d->seen[ROWS].x_step / l->size;
    } else
        fc_gather(&d->x, &s->gather, s->tile, &d->tile, x, from, sees);
    out += (first[ROWS] * l->axis[COLS].out + first[COLS]) * l->size;
    const fc_fft_plane made = {out, l->axis[COLS].out, outputs[ROWS], outputs[COLS]};
    fc_fft_corr_folded(d->fft, s->transforms, spectrum, &given, &made);
    if (!transforms_finish(d, s->bias, out, outputs[ROWS], outputs[COLS]))
        atomic_store_explicit(doubtful, 1, memory_order_relaxed);
}

/* Some of the tiles of all planes that a kernel slides over: index counts (kernel, share of them) */
static void transforms_chunk(void *context, ptrdiff_t index, int slot)
{
    const transforms *d = context;
    const layer *l = d->l;
    const fc_conv *g = l->g;
    const ptrdiff_t m = index / d->shares, share = index % d->shares, depth = l->axis[DEPTH].out;
    const ptrdiff_t of_plane = d->count[ROWS] * d->count[COLS], all = l->planes * of_plane, each = parts_of(all, d->shares);
    const ptrdiff_t plane_bytes = l->axis[ROWS].out * l->axis[COLS].out * l->size;
    tiles s;
    fc_room room = fc_room_at(d->scratch, d->thread_bytes, slot);
    transforms_lay_parts(d, &room, &s);
    const char *spectrum = g->learnt ? g->learnt + m * d->spectrum : s.spectrum;
    if (!g->learnt)
        transforms_learn(d, g->w + m * l->taps * l->size, s.tile, s.transforms, s.spectrum);
    if (g->bias)
        fc_copy_row(s.bias, l->size, g->bias + m * l->size, 0, d->out[COLS], l->size);
    for (ptrdiff_t i = share * each; i < min(all, (share + 1) * each); i++) {
        ptrdiff_t at[FC_AXES];
        const ptrdiff_t plane = unravel(i, d->count, at), image = plane / depth, z = plane % depth;
        const char *x = g->x + image * g->x_image + m / g->kernels * g->x_channel + z * l->axis[DEPTH].x_step;
        char *out = g->out + ((image * d->kernels + m) * depth + z) * plane_bytes;
        transforms_tile(d, &s, spectrum, x, out, at, &d->doubtful[image * d->kernels + m]);
    }
    fc_close(&room);
}

/* ---- one call ------------------------------------------------------------------------------------ */

/* All depths of a kernel's plane of an image, by products of taps */
static fc_conv transforms_exact(const transforms *d, ptrdiff_t image, ptrdiff_t m)
{
    const layer *l = d->l;
    fc_conv one = *l->g;
    one.images = one.groups = one.kernels = 1, one.accuracy = FC_EXACT;
    one.x += image * one.x_image + m / l->g->kernels * one.x_channel;
    one.w += m * l->taps * l->size, one.bias += one.bias ? m * l->size : 0;
    one.out += (image * d->kernels + m) * l->whole[DEPTH] * l->whole[ROWS] * l->whole[COLS] * l->size;
    return one;
}

static void transforms_share(transforms *d)
{
    const layer *l = d->l;
    const ptrdiff_t of_kernel = l->planes * d->count[ROWS] * d->count[COLS];
    const double us = d->us * 64 / l->fc->vector_bytes * (double)(l->planes * d->kernels);
    const int threads = fc_threads_for(us, l->g->threads);
    d->shares = threads == 1 || d->kernels >= 4 * threads ? 1 : min(parts_of(4 * threads, d->kernels), of_kernel);
    d->threads = (int)min(threads, d->kernels * d->shares);
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

int fc_transforms_points(const layer *l, ptrdiff_t n[2])
{
    transforms d;
    if (!transforms_plan(&d, l))
        return 0;
    n[0] = d.n[ROWS], n[1] = d.n[COLS];
    return 1;
}

ptrdiff_t fc_transforms_learn(const layer *l, char *to)
{
    transforms d;
    if (!transforms_plan(&d, l))
        return 0;
    const ptrdiff_t bytes = times(d.kernels, d.spectrum);
    if (!to)
        return bytes;
    d.fft = l->op->finite(l->g->w, d.kernels * l->taps) ? fc_fft_new_folded(l->fc, l->g->type, d.n[ROWS], d.n[COLS]) : NULL;
    const size_t scratch_bytes = d.fft ? fc_fft_scratch(d.fft) : 0;
    char *scratch = d.fft ? fc_borrow(scratch_bytes + (size_t)d.spectrum) : NULL;
    for (ptrdiff_t m = 0; scratch && m < d.kernels; m++)
        transforms_learn(&d, l->g->w + m * l->taps * l->size, scratch + scratch_bytes, scratch, to + m * d.spectrum);
    if (scratch)
        fc_return(scratch);
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
        *g->plan = (fc_conv_plan){FC_TRANSFORMS, d.threads, d.kernels * d.shares, l->taps};
        return 0;
    }
    if (!g->learnt && !l->op->finite(g->w, d.kernels * l->taps))
        return 1;
    transforms_describe_x(&d);
    d.fft = fc_fft_new_folded(l->fc, g->type, d.n[ROWS], d.n[COLS]);
    if (!d.fft)
        return -1;
    fc_room parts = {0}, tables = {0};
    transforms_lay_parts(&d, &parts, &(tiles){0});
    d.thread_bytes = parts.bytes;
    const ptrdiff_t planes = g->images * d.kernels;
    fc_part(&tables, "doubtful planes", planes, sizeof *d.doubtful);
    fc_conv one = transforms_exact(&d, 0, 0);
    layer exact = fc_describe(&one, l->fc);
    char *memory = fc_borrow_rooms(&tables, 1, max(times(d.threads, d.thread_bytes), fc_products_bytes(&exact)), &d.scratch);
    if (memory) {
        d.doubtful = fc_part(&tables, "doubtful planes", planes, sizeof *d.doubtful);
        for (ptrdiff_t i = 0; i < planes; i++)
            atomic_init(&d.doubtful[i], 0);
        fc_pool_run(d.threads, d.kernels * d.shares, transforms_chunk, &d);
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
