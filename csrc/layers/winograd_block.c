/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A block of tiles: steps 2 to 4 of winograd.c. Values of tiles lie in panels of a few vectors, channel by channel, and so do their
 * products, kernel by kernel:
 *
 *      packed     rows of x that the block sees, of one channel
 *      values     along these rows; rows m apart lie one behind another, in m sets
 *      in         [value][panel][channel][tiles of a panel]
 *      w          values of some kernels, as those of all lie (winograd_learn.c)
 *      products   [value][panel][kernel][tiles of a panel]
 *      out        the outputs of a run of tiles, as rows
 */
#include "layers/winograd.h"
#include <string.h>

static ptrdiff_t winograd_packed(const winograd *d) { return plus(d->pack.plane, d->m[COLS] * d->l->lanes); } /* read beyond */
static ptrdiff_t winograd_row_values(const winograd *d) { return (d->m[COLS] + 2) * d->value; }

void fc_winograd_lay_parts(const winograd *d, fc_room *r, block *b)
{
    const layer *l = d->l;
    b->packed = fc_part(r, "packed", winograd_packed(d), l->size);
    b->values = fc_part(r, "values of rows", winograd_row_values(d), l->size);
    b->run = fc_part(r, "runs", d->pack.most_runs, sizeof *b->run);
    b->in = fc_part(r, "values of tiles", times(d->values, d->in_point), l->size);
    b->products = fc_part(r, "products", times(d->values, d->out_point), l->size);
    b->w = d->at_once ? fc_part(r, "values of some kernels", times(d->values, d->w_point), l->size) : NULL;
    b->out = fc_part(r, "outputs", d->m[ROWS] * d->m[COLS] * d->panels * d->width, l->size);
}

/* of: one of a run's panels; its tiles */
static ptrdiff_t winograd_panel_tiles(const winograd *d, const block *b, ptrdiff_t of)
{
    return min(d->width, b->tiles - of * d->width);
}

/* Values of rows to those of all tiles of a plane, whose panels begin at `first`, as parts of these columns see them */
static void winograd_tiles_in(const winograd *d, const block *b, ptrdiff_t first, ptrdiff_t col, ptrdiff_t channel)
{
    const layer *l = d->l;
    const ptrdiff_t panels = parts_of(b->tiles, d->width), of_part = d->parts[DEPTH] * l->channels;
    for (ptrdiff_t row = 0; row < d->parts[ROWS]; row++) {
        const ptrdiff_t at = (winograd_part_at(d, row, col) * of_part + channel) * d->width;
        for (ptrdiff_t i = 0; i < b->runs * panels; i++) {
            const ptrdiff_t of = i % panels, run = i / panels;
            l->op->winograd_in(b->in + ((first + i) * d->panel + at) * l->size, d->in_point,
                               b->values + (run * d->pitch + of * d->width) * l->size, d->at + row * d->values, &d->points,
                               winograd_panel_tiles(d, b, of));
        }
    }
}

/* How a phase of x is packed, which begins so many bytes from its first element: every so many elements are an axis of its own */
static ptrdiff_t winograd_phase_of_x(const winograd *d, ptrdiff_t plane, layer *tiles, packing *p)
{
    const ptrdiff_t phase[FC_AXES] = {0, plane / d->phases[COLS] % d->phases[ROWS], plane % d->phases[COLS]};
    ptrdiff_t begin = 0;
    *tiles = d->tiles, *p = d->pack;
    p->l = tiles;
    for (int i = ROWS; i <= COLS; i++) {
        const fc_axis *given = &d->l->axis[i];
        const ptrdiff_t at = phase[i] - given->lead, first = modulo(at, d->apart[i]);
        fc_axis *a = &tiles->axis[i];
        a->n = first < given->n ? parts_of(given->n - first, d->apart[i]) : 0;
        a->lead = (first - at) / d->apart[i];
        begin += first * given->x_step;
    }
    return begin;
}

static void winograd_in(const winograd *d, block *b, ptrdiff_t group)
{
    const layer *l = d->l;
    const fc_conv *g = l->g;
    const ptrdiff_t panels = parts_of(b->tiles, d->width), m = d->m[ROWS];
    const fc_winograd_rows rows = {.points = d->points,
                                   .value = d->value,
                                   .set = d->set,
                                   .pitch = d->pitch,
                                   .sets = m,
                                   .xs = d->pack.pitch,
                                   .rows = (b->area.rows - 1) * m + d->tiles.axis[ROWS].k,
                                   .tiles = b->area.cols};
    const ptrdiff_t phases = d->phases[ROWS] * d->phases[COLS];
    layer tiles;
    packing pack = d->pack;
    for (ptrdiff_t p = 0, begin = 0; p < b->planes && !(p % 16 == 15 && fc_gives_up()); p++) {
        if (d->apart[ROWS] * d->apart[COLS] > 1)
            begin = winograd_phase_of_x(d, b->plane + p, &tiles, &pack);
        const fc_runs runs = fc_plan_runs(&pack, b->run, (b->plane + p) / phases, &b->area);
        for (ptrdiff_t c = 0; c < l->channels; c++) {
            fc_pack_channel(&pack, b->packed, g->x + begin + (group * l->channels + c) * g->x_channel, &runs);
            for (ptrdiff_t z = 0; z < d->parts[DEPTH]; z++)
                for (ptrdiff_t part = 0; part < d->parts[COLS]; part++) {
                    l->op->winograd_rows(b->values, b->packed + (z * d->pack.depth_set + 2 * part) * l->size, &rows);
                    winograd_tiles_in(d, b, p * b->runs * panels, part, z * l->channels + c);
                }
        }
    }
}

/* The channels, of all parts, that have value p: of 2 taps, that at infinity is zero */
static void winograd_range(const winograd *d, ptrdiff_t p, ptrdiff_t *from, ptrdiff_t *end)
{
    const ptrdiff_t rows = d->parts[ROWS], cols = d->parts[COLS], n = winograd_values(d->points.cols);
    const int last_row = d->points.rows && p / n == winograd_values(d->points.rows) - 1, last_col = n > 1 && p % n == n - 1;
    const ptrdiff_t of_part = d->parts[DEPTH] * d->l->channels;
    *from = last_col ? cols - 1 : 0;
    *end = last_row ? cols : last_col ? rows + cols - 1 : rows * cols;
    if ((last_row && d->l->axis[ROWS].k % 2 == 0) || (last_col && d->l->axis[COLS].k % 2 == 0))
        *end = *from;
    *from *= of_part, *end *= of_part;
}

static void winograd_multiply(const winograd *d, const block *b, const char *w, ptrdiff_t kernels)
{
    const layer *l = d->l;
    const ptrdiff_t panels = parts_of(b->tiles, d->width), all = b->planes * b->runs * panels;
    fc_winograd_products m = {.as = d->depth * FC_QUAD, .bs = d->width, .cs = d->width, .rows = kernels};
    for (ptrdiff_t p = 0, from, end; p < d->values; p++) {
        winograd_range(d, p, &from, &end);
        ptrdiff_t c = from;
        do { /* once, if there are none */
            m.add = c > from;
            m.a = w + (p * d->w_point + c / d->depth * d->w_depth + c % d->depth * FC_QUAD) * l->size;
            m.depth = min(d->depth - c % d->depth, end - c);
            m.part = even_part(max(m.depth, 1), WINOGRAD_PART);
            for (ptrdiff_t i = 0; i < all; i++) {
                m.b = b->in + (p * d->in_point + i * d->panel + c * d->width) * l->size;
                m.c = b->products + (p * d->out_point + i * d->out_panel) * l->size;
                m.tiles = winograd_panel_tiles(d, b, i % panels);
                l->op->winograd_products(&m);
            }
        } while ((c += m.depth) < end);
    }
}

/* The outputs of a run of tiles in their places in an image's plane: of rows of tiles from row `row` on */
static void winograd_place(const winograd *d, const block *b, char *to, ptrdiff_t plane, ptrdiff_t row)
{
    const layer *l = d->l;
    const ptrdiff_t first_row = plane / d->phases[COLS] % d->phases[ROWS], first_col = plane % d->phases[COLS];
    const ptrdiff_t by_row = d->apart[ROWS], by_col = d->apart[COLS], m = d->m[ROWS], col = b->area.col * d->m[COLS];
    const ptrdiff_t height = parts_of(l->whole[ROWS] - first_row, by_row), width = parts_of(l->whole[COLS] - first_col, by_col);
    const ptrdiff_t of_row = b->area.cols * d->m[COLS], ts = round_up(b->tiles, l->lanes) * d->m[COLS];
    const ptrdiff_t n = min(of_row, width - col), pitch = by_row * l->whole[COLS] * l->stored,
                    rows = b->area.rows / b->runs * m;
    to += (first_row * l->whole[COLS] + first_col + col * by_col) * l->stored + row * m * pitch;
    for (ptrdiff_t i = 0; i < min(rows, height - row * m); i++, to += pitch) {
        const char *from = b->out + (i % m * ts + i / m * of_row) * l->size;
        if (l->g->halves)
            l->op->narrow(to, FC_F16, from, n, 1, FC_TRUNCATED);
        else if (fc_finishes(l->g)) /* an element is a row, if they are apart */
            fc_finish(l, to, by_col, from, 1, by_col > 1 ? n : 1, by_col > 1 ? 1 : n);
        else
            fc_copy_row(to, by_col * l->size, from, l->size, n, l->size);
    }
}

static double winograd_bias(const layer *l, ptrdiff_t kernel)
{
    float wide;
    if (l->g->bias == NULL || !l->g->halves)
        return l->g->bias ? element_at(l->g->type, l->g->bias, kernel) : 0;
    l->op->widen(&wide, FC_F16, l->g->bias + kernel * l->stored, 1);
    return (double)wide;
}

static void winograd_out(const winograd *d, const block *b, ptrdiff_t first, ptrdiff_t kernels)
{
    const layer *l = d->l;
    const fc_conv *g = l->g;
    const ptrdiff_t depth = l->axis[DEPTH].out, panels = parts_of(b->tiles, d->width),
                    phases = d->phases[ROWS] * d->phases[COLS];
    const ptrdiff_t plane_bytes = l->whole[ROWS] * l->whole[COLS] * l->stored, ts = round_up(b->tiles, l->lanes) * d->m[COLS];
    fc_winograd_sums sums = {.points = d->points, .point = d->out_point, .clamp = g->clamp, .low = g->low, .high = g->high};
    for (ptrdiff_t k = 0; k < kernels; k++) {
        sums.bias = winograd_bias(l, first + k);
        for (ptrdiff_t p = 0; p < b->planes; p++) {
            const ptrdiff_t plane = (b->plane + p) / phases, image = plane / depth;
            char *to = g->out + ((image * g->groups * l->kernels + first + k) * depth + plane % depth) * plane_bytes;
            for (ptrdiff_t r = 0; r < b->runs; r++) {
                for (ptrdiff_t i = 0; i < panels; i++) {
                    sums.tiles = winograd_panel_tiles(d, b, i);
                    const ptrdiff_t at = ((p * b->runs + r) * panels + i) * d->out_panel + k * d->width;
                    if (l->op->winograd_out(b->out + i * d->width * d->m[COLS] * l->size, ts, b->products + at * l->size,
                                            &sums))
                        atomic_store_explicit(&d->doubtful[image], 1, memory_order_relaxed);
                }
                winograd_place(d, b, to, b->plane + p, b->area.row + r);
            }
        }
    }
}

void fc_winograd_block(void *context, ptrdiff_t index, int slot)
{
    const winograd *d = context;
    const layer *l = d->l;
    block b = {0};
    fc_room room = fc_room_at(d->scratch, d->thread_bytes, slot);
    fc_winograd_lay_parts(d, &room, &b);
    const ptrdiff_t share = index % d->shares, group = (index /= d->shares) % l->g->groups;
    index /= l->g->groups;
    b.area.cols = next_piece(&index, d->tiles.axis[COLS].out, d->cols, &b.area.col);
    b.area.rows = next_piece(&index, d->tiles.axis[ROWS].out, d->rows, &b.area.row);
    b.planes = next_piece(&index, d->all_planes, d->planes, &b.plane);
    b.runs = d->flat ? 1 : b.area.rows;
    b.tiles = b.area.rows / b.runs * b.area.cols;
    memset(b.packed, 0, (size_t)(winograd_packed(d) * l->size)); /* idle lanes read it: nothing subnormal, which is slow */
    memset(b.values, 0, (size_t)(winograd_row_values(d) * l->size));
    winograd_in(d, &b, group);
    const ptrdiff_t quads = parts_of(l->kernels, FC_QUAD), end = min(quads * (share + 1) / d->shares * FC_QUAD, l->kernels);
    for (ptrdiff_t k = quads * share / d->shares * FC_QUAD, n; k < end && !fc_gives_up(); k += n) {
        n = min(d->kernels, end - k);
        if (d->at_once)
            fc_winograd_learn_some(d, b.w, group, k, n);
        winograd_multiply(d, &b, d->at_once ? b.w : d->w + (group * d->values * d->w_point + k * d->depth) * l->size, n);
        winograd_out(d, &b, group * l->kernels + k, n);
    }
    fc_close(&room);
}
