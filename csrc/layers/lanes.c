/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Layers with one channel a group and many groups: vectors run across groups (lanes_tmpl.h).
 *
 *   1. The rows of x that a block of outputs sees are turned into pixels of VLEN groups, with the boundary to their left
 *      and right:
 *
 *          first            from               end           count
 *            |  0  0  or edge | 0 1 2 3 ... pixels |  0  0   |        a row in scratch, `pitch` elements to the next
 *
 *   2. For every row of outputs a table says which rows of taps meet which rows of pixels. Under zero padding the rows
 *      outside x are left out, unless a weight is not finite: then they are multiplied by a row of zeros.
 *   3. A few rows of outputs at a time are computed and turned back into planes, while they are in L1.
 *
 * In a data gradient of a layer with a stride, x (there: the gradient of its output) is spread: between the columns of a row
 * are pixels of zeros, between its rows are rows that the table leaves out.
 *
 * With m kernels a group, steps 2 and 3 are done m times. Pixels of a block stay in L2. Chunks are some groups of a block;
 * every output is computed alone, so the bits depend on nothing but its taps. Many taps are summed in parts.
 */
#include "layers/layer.h"
#include <string.h>

typedef struct {
    const layer *l;
    const fc_conv *g;
    const fc_axis *axis;
    ptrdiff_t size, vlen;
    ptrdiff_t tall, wide, blocks[2]; /* outputs of a block; blocks of a plane: rows, columns */
    ptrdiff_t pitch, slots;          /* elements; rows of pixels, of each plane that taps in depth see */
    ptrdiff_t strip;                 /* rows of outputs */
    ptrdiff_t sets_chunk, sets;      /* sets of VLEN groups: of a chunk, of all */
    int zeros;                       /* rows outside x are multiplied, too */
    ptrdiff_t thread;                /* bytes of scratch */
    char *scratch;
} lanes;

/* What a thread works with: scratch, and the block */
typedef struct {
    char *pixels, *zeros, *row, *w, *bias, *out;
    ptrdiff_t *first;
    fc_tap_row *tap;
    ptrdiff_t image, z, row0, rows, col0, cols;
    ptrdiff_t first_row, seen, first_col, count, from, end; /* rows and columns of X; from ... end lie inside x */
} block;

/* The element of x that lies at i of an axis, -1: none */
static ptrdiff_t lanes_source(const lanes *d, int axis, ptrdiff_t i)
{
    const fc_axis *a = &d->axis[axis];
    const ptrdiff_t spread = d->l->spread[axis];
    if (spread == 1)
        return fc_source_index(i, a->n, a->boundary);
    return i >= 0 && i % spread == 0 && i / spread < a->n ? i / spread : -1;
}

static ptrdiff_t lanes_pixels(const lanes *d, ptrdiff_t wide)
{
    const fc_axis *cols = &d->axis[COLS];
    ptrdiff_t count = reach(cols, wide);
    int run_on = wide == cols->out && d->l->spread[COLS] == 1; /* whole rows of x, from one to the next */
    return run_on ? max(count, cols->lead + cols->n) : count;
}

/* Returns whether a block fits. */
static int lanes_choose_blocks(lanes *d)
{
    const fc_axis *axis = d->axis, *rows = &axis[ROWS], *cols = &axis[COLS];
    ptrdiff_t vector = d->vlen * d->size, least = min(rows->out, 8), fit = 0;
    if (reach(rows, least) > LANES_LARGEST / vector || axis[DEPTH].k > LANES_LARGEST / vector)
        return 0;
    for (ptrdiff_t pieces = 1;; pieces *= 2) {
        d->wide = parts_of(cols->out, min(pieces, cols->out));
        ptrdiff_t count = lanes_pixels(d, d->wide) | 1; /* odd: rows do not share L1 sets */
        fit = LANES_BLOCK / vector / axis[DEPTH].k / count;
        d->pitch = count * d->vlen;
        if (fit >= reach(rows, least) || d->wide <= LANES_NARROW)
            break;
    }
    fit = max(fit, reach(rows, least));
    d->tall = (fit - reach(rows, 1)) / rows->stride + 1;
    d->tall = clamp(min(d->tall, LANES_TAP_ROWS / (axis[DEPTH].k * rows->k)), 1, rows->out);
    d->blocks[0] = parts_of(rows->out, d->tall);
    d->tall = parts_of(rows->out, d->blocks[0]); /* as even as can be */
    d->blocks[1] = parts_of(cols->out, d->wide);
    d->slots = reach(rows, d->tall);
    d->strip = d->vlen;
    while (d->strip > 1 && d->strip / 2 * d->wide % d->vlen == 0)
        d->strip /= 2; /* whole vectors of outputs */
    d->strip = min(d->strip * parts_of(LANES_STRIP, d->strip * d->wide), d->tall);
    return d->pitch * d->slots <= LANES_LARGEST / d->size / axis[DEPTH].k;
}

/* ---- pixels ------------------------------------------------------------------------------------ */

/* `rows` rows of x, from `x` on, to pixels */
static void lanes_fill(const lanes *d, const block *b, char *to, const char *x, ptrdiff_t rows, ptrdiff_t used)
{
    const fc_axis *cols = &d->axis[COLS];
    const ptrdiff_t size = d->size, step = cols->x_step, apart = d->axis[ROWS].x_step, channel = d->g->x_channel;
    const ptrdiff_t vector = d->vlen * size, spread = d->l->spread[COLS], first = parts_of(b->first_col + b->from, spread);
    const ptrdiff_t n = parts_of(b->end + b->first_col, spread) - first; /* columns inside */
    const char *inside = x + first * step;
    char *there = to + (first * spread - b->first_col) * vector;
    int aligned = ((uintptr_t)x | (uintptr_t)step | (uintptr_t)apart | (uintptr_t)channel) % (uintptr_t)size == 0;
    if (n > 0 && aligned && spread == 1 && (step == size || channel == size || n == 1))
        d->l->op->lanes_in(there, d->pitch, inside, channel / size, rows == 1 ? n : apart / size, step / size, rows, n, used);
    else
        for (ptrdiff_t i = 0; i < rows && n > 0; i++, inside += apart, there += d->pitch * size) {
            if (aligned && (step == size || channel == size)) {
                d->l->op->lanes_in(there, spread * d->vlen, inside, channel / size, step / size, 1, n, 1, used);
                continue;
            }
            for (ptrdiff_t l = 0; l < used; l++) /* first into rows that can be read */
                fc_copy_row(b->row + l * n * size, size, inside + l * channel, step, n, size);
            d->l->op->lanes_in(there, spread * d->vlen, b->row, n, 1, 1, n, 1, used);
        }
    if (cols->boundary == FC_CONSTANT) /* the zeros are there */
        return;
    for (ptrdiff_t i = 0; i < rows; i++, to += d->pitch * size, x += apart)
        for (ptrdiff_t j = outside(0, b->from, b->end); j < b->count; j = outside(j + 1, b->from, b->end)) {
            ptrdiff_t source = fc_source_index(b->first_col + j, cols->n, cols->boundary), pixel = source - b->first_col;
            if (pixel >= b->from && pixel < b->end)
                memcpy(to + j * vector, to + pixel * vector, (size_t)vector);
            else {
                memset(to + j * vector, 0, (size_t)vector);
                fc_copy_row(to + j * vector, size, x + source * step, channel, used, size);
            }
        }
}

/* The plane of x under tap k in depth; -1: outside */
static ptrdiff_t lanes_depth(const lanes *d, const block *b, ptrdiff_t k)
{
    const fc_axis *depth = &d->axis[DEPTH];
    return lanes_source(d, DEPTH, b->z * depth->stride - depth->lead + k * depth->dilation);
}

/* Step 1, for the groups that x points to */
static void lanes_fill_block(const lanes *d, const block *b, const char *x, ptrdiff_t used)
{
    const fc_axis *depth = &d->axis[DEPTH], *rows = &d->axis[ROWS];
    char *to = b->pixels;
    ptrdiff_t inside = clamp(-b->first_row, 0, b->seen), outside = inside;
    if (d->l->spread[ROWS] == 1)
        outside = clamp(rows->n - b->first_row, inside, b->seen);
    for (ptrdiff_t k = 0; k < depth->k; k++, to += d->slots * d->pitch * d->size) {
        ptrdiff_t z = lanes_depth(d, b, k);
        for (ptrdiff_t i = 0, n; z >= 0 && i < b->seen; i += n) {
            n = i == inside && outside > inside ? outside - inside : 1;
            ptrdiff_t source = lanes_source(d, ROWS, b->first_row + i);
            if (source >= 0)
                lanes_fill(d, b, to + i * d->pitch * d->size, x + z * depth->x_step + source * rows->x_step, n, used);
        }
    }
}

/* ---- tables ------------------------------------------------------------------------------------ */

/* Step 2 */
static void lanes_tabulate(const lanes *d, const block *b)
{
    const fc_axis *depth = &d->axis[DEPTH], *rows = &d->axis[ROWS];
    fc_tap_row *tap = b->tap;
    const ptrdiff_t outside = (b->zeros - b->pixels) / d->size;
    for (ptrdiff_t i = 0; i < b->rows; i++) {
        b->first[i] = tap - b->tap;
        for (ptrdiff_t k = 0, w = 0; k < depth->k; k++) {
            ptrdiff_t z = lanes_depth(d, b, k);
            for (ptrdiff_t r = 0; r < rows->k; r++, w += d->axis[COLS].k * d->vlen) {
                ptrdiff_t slot = i * rows->stride + r * rows->dilation;
                int there = z >= 0 && lanes_source(d, ROWS, b->first_row + slot) >= 0;
                if (there || d->zeros)
                    *tap++ = (fc_tap_row){there ? (k * d->slots + slot) * d->pitch : outside, w};
            }
        }
    }
    b->first[b->rows] = tap - b->tap;
}

/* ---- one call ---------------------------------------------------------------------------------- */

static void lanes_lay_parts(const lanes *d, fc_room *r, block *b)
{
    ptrdiff_t kernel_rows = times(d->axis[DEPTH].k, d->axis[ROWS].k);
    b->pixels = fc_part(r, "pixels", times(times(d->axis[DEPTH].k, d->slots), d->pitch), d->size);
    b->zeros = fc_part(r, "zeros", d->pitch, d->size);
    b->row = fc_part(r, "row", d->pitch, d->size);
    b->w = fc_part(r, "weights", times(d->l->taps, d->vlen), d->size);
    b->bias = fc_part(r, "bias", 1, LINE);
    b->out = fc_part(r, "out", times(plus(times(d->strip, d->wide), d->vlen), d->vlen), d->size); /* whole squares */
    b->tap = fc_part(r, "rows of taps", times(d->tall, kernel_rows), sizeof *b->tap);
    b->first = fc_part(r, "first rows of taps", d->tall + 1, sizeof *b->first);
}

static block lanes_open_block(const lanes *d, fc_room *r, ptrdiff_t index)
{
    const fc_axis *axis = d->axis, *cols = &axis[COLS];
    block b = {0};
    lanes_lay_parts(d, r, &b);
    b.col0 = index % d->blocks[1] * d->wide, index /= d->blocks[1];
    b.row0 = index % d->blocks[0] * d->tall, index /= d->blocks[0];
    b.image = index / axis[DEPTH].out, b.z = index % axis[DEPTH].out;
    b.rows = min(d->tall, axis[ROWS].out - b.row0), b.cols = min(d->wide, cols->out - b.col0);
    b.first_row = b.row0 * axis[ROWS].stride - axis[ROWS].lead, b.seen = reach(&axis[ROWS], b.rows);
    b.first_col = b.col0 * cols->stride - cols->lead;
    b.count = lanes_pixels(d, b.cols);
    b.from = clamp(-b.first_col, 0, b.count);
    b.end = clamp((cols->n - 1) * d->l->spread[COLS] + 1 - b.first_col, b.from, b.count);
    ptrdiff_t filled = d->l->spread[COLS] > 1 ? b.count : b.from; /* with zeros, before what is not */
    for (ptrdiff_t i = 0, pixel = d->vlen * d->size; i < axis[DEPTH].k * d->slots; i++) {
        char *row = b.pixels + i * d->pitch * d->size;
        memset(row, 0, (size_t)(filled * pixel));
        memset(row + b.end * pixel, 0, (size_t)((b.count - b.end) * pixel));
    }
    if (d->zeros)
        memset(b.zeros, 0, (size_t)(d->pitch * d->size));
    lanes_tabulate(d, &b);
    return b;
}

/* The sums of some rows of outputs, part by part of the taps */
static void lanes_sum(const lanes *d, const block *b, fc_lanes k)
{
    const ptrdiff_t rows = d->axis[DEPTH].k * d->axis[ROWS].k, cols = d->axis[COLS].k, wide = even_part(cols, LONGEST_PART);
    k.most = even_part(rows, LONGEST_PART / wide);
    for (; k.skip < rows; k.skip += k.most)
        for (ptrdiff_t t = 0; t < cols; t += wide) {
            int last = k.skip + k.most >= rows && t + wide >= cols;
            k.x = b->pixels + t * k.dilation * d->size;
            k.w = b->w + t * d->vlen * d->size;
            k.taps = min(wide, cols - t);
            k.bias = last ? b->bias : NULL;
            k.clamp = last && d->g->clamp;
            d->l->op->lanes_rows(&k);
            k.add = 1;
        }
}

/* Step 3, for kernel m of each of the groups from `group` on */
static void lanes_correlate(const lanes *d, const block *b, ptrdiff_t group, ptrdiff_t m, ptrdiff_t used)
{
    const fc_conv *g = d->g;
    const fc_axis *axis = d->axis;
    const ptrdiff_t kernel = group * g->kernels + m, taps = d->l->taps, size = d->size, wide = axis[COLS].out;
    const ptrdiff_t area = axis[ROWS].out * wide, plane = axis[DEPTH].out * area;
    d->l->op->lanes_in(b->w, 0, g->w + kernel * taps * size, g->kernels * taps, taps, 1, 1, taps, used);
    if (g->bias)
        d->l->op->lanes_in(b->bias, 0, g->bias + kernel * size, g->kernels, 1, 1, 1, 1, used);
    else
        memset(b->bias, 0, LINE);
    char *to = g->out + ((b->image * g->groups * g->kernels + kernel) * plane + b->z * area) * size;
    to += (b->row0 * wide + b->col0) * size;
    fc_lanes k = {.out = b->out,
                  .cols = b->cols,
                  .step = axis[COLS].stride * d->vlen,
                  .dilation = axis[COLS].dilation * d->vlen,
                  .tap = b->tap,
                  .low = g->low,
                  .high = g->high};
    for (ptrdiff_t i = 0; i < b->rows; i += d->strip, to += d->strip * wide * size) {
        k.first = b->first + i;
        k.rows = min(d->strip, b->rows - i);
        lanes_sum(d, b, k);
        if (b->cols == wide)
            d->l->op->lanes_out(to, g->kernels * plane, b->out, k.rows * wide, used);
        else
            for (ptrdiff_t r = 0; r < k.rows; r++)
                d->l->op->lanes_out(to + r * wide * size, g->kernels * plane, b->out + r * b->cols * d->vlen * size, b->cols,
                                    used);
    }
}

/* Some sets of groups of a block: index counts (image and depth, rows, columns, sets) */
static void lanes_chunk(void *context, ptrdiff_t index, int slot)
{
    const lanes *d = context;
    const fc_conv *g = d->g;
    ptrdiff_t shares = parts_of(d->sets, d->sets_chunk), from = index % shares * d->sets_chunk;
    fc_room room = fc_room_at(d->scratch, d->thread, slot);
    block b = lanes_open_block(d, &room, index / shares);
    for (ptrdiff_t set = from; set < min(from + d->sets_chunk, d->sets); set++) {
        ptrdiff_t group = set * d->vlen, used = min(d->vlen, g->groups - group);
        lanes_fill_block(d, &b, g->x + b.image * g->x_image + group * g->x_channel, used);
        for (ptrdiff_t m = 0; m < g->kernels; m++)
            lanes_correlate(d, &b, group, m, used);
    }
    fc_close(&room);
}

int fc_lanes_run(const layer *l)
{
    const fc_conv *g = l->g;
    const fc_axis *axis = l->axis;
    lanes d = {.l = l, .g = g, .axis = axis, .size = l->size, .vlen = l->lanes};
    if (!lanes_choose_blocks(&d))
        return 1;
    ptrdiff_t all = g->groups * g->kernels;
    d.zeros = !l->op->finite(g->w, all * l->taps);
    d.sets = parts_of(g->groups, d.vlen);
    fc_room parts = {0};
    lanes_lay_parts(&d, &parts, &(block){0});
    d.thread = parts.bytes;
    ptrdiff_t outputs = d.tall * d.wide * g->kernels;
    double moved = (double)(outputs + d.slots * d.pitch / d.vlen) * (double)d.vlen; /* elements */
    double set_us = fc_time_us(RATE_LANES, (double)(outputs * l->taps) * l->fc->vector_bytes, l->fc->vector_bytes, moved);
    ptrdiff_t places = l->planes * d.blocks[0] * d.blocks[1];
    int threads = fc_threads_for(set_us * (double)(d.sets * places), g->threads);
    d.sets_chunk = clamp((ptrdiff_t)(LAYER_CHUNK_US / set_us), 1, d.sets);
    d.scratch = fc_borrow((size_t)times(threads, d.thread));
    if (d.scratch == NULL)
        return -1;
    const ptrdiff_t wide = even_part(axis[COLS].k, LONGEST_PART);
    const ptrdiff_t part = wide * even_part(axis[DEPTH].k * axis[ROWS].k, LONGEST_PART / wide);
    fc_run_or_plan(g, (fc_conv_plan){FC_LANES, threads, places * parts_of(d.sets, d.sets_chunk), part}, lanes_chunk, &d);
    fc_return(d.scratch);
    return 0;
}
