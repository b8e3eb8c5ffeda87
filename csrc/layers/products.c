/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Layers and data gradients as matrix products of the weights, read as they are, and packed pixels (K1, K2); tile.c multiplies.
 *
 *   1. Outputs are cut into blocks (blocks.c): rows x cols of a plane, or several small planes (images; depths of 3-D data).
 *   2. Channels are cut into parts, which are summed apart, so that sums stay small. What a block sees of
 *      several parts is packed (layer.h): elements under neighbouring outputs lie side by side, and one table says where, for
 *      every channel and tap. Where x lies so already, it is read as it is.
 *   3. A few rows of weights times panels of outputs, part by part: their sums stay in L1 meanwhile, and the packed block in
 *      L2 for the next rows. The first part adds the bias, the last one clamps.
 *
 * With columns apart and blocks of whole rows, outputs are flat: vectors run on from row to row and no lane is lost at
 * the end of one. Else every row is a run of its own. A few outputs left over at the end of a run, a quarter of
 * a vector or less, are inner products instead: 7x7 outputs are three vectors and one dot.
 *
 * Where rows of outputs would adjoin if they did not have others between them (zones.c), their sums do, in scratch, from where they
 * are copied to their places. So do small planes whose lanes at the end would be lost:
 *
 *      row 0 of plane 0, of plane 1, ...; row 1 of plane 0, ...        packed, and summed
 *
 * Blocks are handed to threads; where there are few, rows of weights are split, too. What is summed in which order
 * depends on neither, so the bits are the same for any number of threads and any batch.
 */
#include "layers/products.h"
#include "isa/cpu.h"
#include <string.h>

/* ---- plan ------------------------------------------------------------------------------------- */

/* Parts of so many planes that are packed in one go: as many as fit */
static ptrdiff_t products_parts_packed(const products *d, ptrdiff_t planes)
{
    ptrdiff_t bytes = (planes * d->y.part_channels * d->pack.plane + d->most_dots * products_column(d)) * d->l->size;
    return d->y.part == d->y.part_channels * d->l->most_taps ? clamp(PRODUCTS_PACKED / max(bytes, 1), 1, PRODUCTS_MOST_PARTS)
                                                             : 1;
}

static ptrdiff_t power_of_two(ptrdiff_t most)
{
    ptrdiff_t n = 1;
    while (n <= most / 2)
        n *= 2;
    return n;
}

/* Whether vectors of x cross lines, and all kernels would wait for that longer than it takes to pack them. Products of Intel's CPUs
 * with AMX do wait, those of AMD's (Zen 4, Zen 5) do not. */
static int products_cross_lines(const layer *l, ptrdiff_t outputs)
{
    const uintptr_t odd = (uintptr_t)l->g->x | (uintptr_t)l->g->x_channel | (uintptr_t)l->g->x_image;
    return odd % LINE != 0 && (l->kernels - PRODUCTS_CROSSED) * outputs >= PRODUCTS_CROSSED_LEAST && fc_cpu_has("amx-tile");
}

/* Whether x, of one tap, lies as it would be packed: planes whose rows adjoin, in blocks of whole rows, and no vector ends beyond a
 * plane. Channels must not lie so far apart that few sets of L2 hold what a block sees of all, and not across lines where that costs
 * more than packing does. */
static int products_see_x(const products *d)
{
    enum { WAY = 1 << 17 }; /* bytes */
    const layer *l = d->l;
    const layout *y = &d->y;
    const fc_axis *rows = &l->axis[ROWS], *cols = &l->axis[COLS];
    const ptrdiff_t last = (rows->out - (rows->out - 1) / y->rows.block * y->rows.block) * cols->out;
    if (l->taps > 1 || l->g->halves || !d->pack.readable || !y->flat || l->axis[DEPTH].out > 1 || last < l->lanes ||
        products_cross_lines(l, y->rows.block * y->cols.block))
        return 0;
    for (int i = DEPTH; i <= COLS; i++)
        if (l->axis[i].stride * l->step[i] != 1 || l->axis[i].lead != 0 || l->axis[i].out > l->axis[i].n)
            return 0;
    return y->cols.block == cols->out && cols->x_step == l->size && rows->x_step == cols->out * l->size &&
           (last - fc_dots_of(l, y, last)) % l->lanes == 0 && l->g->x_channel > 0 &&
           common_divisor(l->g->x_channel, WAY) <= y->rows.block * cols->out * l->size;
}

/* Lets planes of blocks adjoin where that leaves out more than it costs: lanes at the end of each, rows of taps (bands.c). What each
 * output is a sum of stays the same, so this may depend on the batch. */
static void products_adjoin(products *d, ptrdiff_t most)
{
    const layer *l = d->l;
    const layout *y = &d->y;
    const ptrdiff_t outputs = y->rows.block * y->cols.block;
    const double met = (double)l->planes * fc_plan_bands(d);
    products adjoined = *d;
    if (!y->flat || y->cols.count > y->cols.block || fc_dots_of(l, y, outputs) > 0 || most < 2)
        return;
    adjoined.adjoin = 1;
    for (ptrdiff_t n = most, least = PTRDIFF_MAX, vectors; n > max(most - l->lanes, 1); n--)
        if ((vectors = parts_of(l->planes, n) * parts_of(n * outputs, l->lanes)) < least)
            least = vectors, adjoined.planes_block = n;
    adjoined.sums_line = adjoined.planes_block * y->cols.block;
    const double saved = met - (double)parts_of(l->planes, adjoined.planes_block) * fc_plan_bands(&adjoined);
    if (saved * (double)(l->taps / l->axis[ROWS].k * l->channels) > (double)(l->planes * y->rows.block * PRODUCTS_STORE))
        *d = adjoined;
}

/* All of it follows from shapes, but for planes_block, which the batch decides: no part of a sum may depend on that. */
static products products_plan(const layer *l)
{
    products d = {.l = l, .y = fc_choose_layout(l)};
    const layout *y = &d.y;
    d.pack = fc_lay_out(l, y->rows, y->cols, y->pitch, 0);
    d.planes_block = even_part(l->planes, min(y->planes, l->planes));
    products_adjoin(&d, min(y->planes, l->planes));
    /* Where columns are in phases, one may have a column less than others, and rows that are runs of their own */
    const ptrdiff_t outputs = y->rows.block * y->cols.block, all = d.planes_block * outputs;
    const runs most = products_runs(&d, y->rows.block, y->cols.block, y->flat && l->step[COLS] == 1);
    d.most_vectors = d.adjoin ? parts_of(all, l->lanes) : d.planes_block * most.vectors;
    d.most_dots = d.planes_block * most.count * fc_dots_of(l, y, l->lanes / 4);
    /* Parts of a phase with few taps span the channels of several. What is packed in one go holds a whole number of these, so
     * that the batch, which decides how much fits, does not cut them. */
    d.most_spans = fc_phases(l) > 1 ? power_of_two(min(products_parts_packed(&d, y->planes), l->most_taps)) : 1;
    ptrdiff_t parts = products_parts_packed(&d, d.planes_block) / d.most_spans * d.most_spans;
    d.t.channels = min(y->part_channels * parts, l->channels);
    d.in_place = !d.adjoin && products_see_x(&d);
    if (d.adjoin)
        d.pack = fc_lay_out(l, y->rows, y->cols, d.planes_block * y->cols.block, 0);
    d.packed = d.packed_plane = times(d.t.channels, d.pack.plane);
    if (d.adjoin)
        d.packed_plane = y->cols.block;
    else
        d.packed = times(d.planes_block, d.packed_plane);
    if (d.in_place) {
        d.pack.plane = l->g->x_channel / l->size;
        d.packed_plane = l->g->x_image / l->size;
    }
    d.apart =
        l->g->halves || d.adjoin || (y->flat && y->rows.block > 1 && y->cols.block < parts_of(l->whole[COLS], l->step[COLS]));
    d.adds = l->g->add && l->g->activation == FC_CLAMP && !d.apart && d.bands == 1 && /* which look at sums */
             l->step[DEPTH] * l->step[ROWS] * l->step[COLS] == 1;
    d.sums_line = d.adjoin ? d.planes_block * y->cols.block : y->cols.block;
    d.sums_plane = d.adjoin ? y->cols.block : outputs;
    d.sums_phase = round_up(all, l->lanes);
    d.sums_row = d.apart ? times(fc_phases(l), d.sums_phase) : 0;
    return d;
}

static ptrdiff_t products_packed(const products *d) { return plus(d->packed, 2 * d->l->lanes); } /* read beyond */

static void products_lay_parts(const products *d, fc_room *r, tile *t)
{
    const layer *l = d->l;
    ptrdiff_t phases = products_phases(d), parts = parts_of(times(d->t.channels, l->taps), d->y.part);
    t->sums = fc_part(r, "sums", times(d->sums_rows, d->sums_row), l->size);
    t->w = fc_part(r, "weights", l->g->halves ? times(l->fc->rows, products_weights(d)) : 0, l->size);
    if (!d->in_place)
        t->packed = fc_part(r, "packed", products_packed(d), l->size);
    t->run = fc_part(r, "runs", d->pack.most_runs, sizeof *t->run);
    t->panel = fc_part(r, "panels", plus(times(fc_phases(l), d->most_vectors), 1), sizeof *t->panel);
    t->panels = fc_part(r, "panels of phases", phases, sizeof *t->panels);
    t->columns = fc_part(r, "columns", times(times(d->most_dots, parts), products_column(d)), l->size);
    t->dot_b = fc_part(r, "dots in packed", d->most_dots, sizeof *t->dot_b);
    t->dot_c = fc_part(r, "dots in out", d->most_dots, sizeof *t->dot_c);
    if (l->step[ROWS] * l->step[COLS] > 1)
        t->room = fc_part(r, "room", times(l->phases[ROWS] * l->phases[COLS], d->y.rows.block * d->y.cols.block), l->size);
}

/* What all threads share */
static void products_lay_tables(products *d, fc_room *r)
{
    ptrdiff_t taps = times(d->t.channels, fc_bands_taps(d));
    d->t.phase = fc_part(r, "phases", products_phases(d), sizeof *d->t.phase);
    d->t.at = fc_part(r, "taps in packed", taps, sizeof *d->t.at);
    d->t.weight_at = fc_part(r, "taps in weights", taps, sizeof *d->t.weight_at);
    const ptrdiff_t biases = d->l->g->halves && d->l->g->bias ? d->l->g->groups * d->l->kernels : 0;
    char *bias = fc_part(r, "bias", biases, d->l->size);
    d->bias = biases ? bias : d->l->g->bias;
    if (bias && biases)
        d->l->op->widen(bias, FC_F16, d->l->g->bias, biases);
}

/* ---- one call ---------------------------------------------------------------------------------- */

/* One block: index counts (planes, rows, columns, group, share of the rows of weights) */
static void products_block(void *context, ptrdiff_t index, int slot)
{
    const products *d = context;
    const layer *l = d->l;
    const fc_conv *g = l->g;
    tile t = {0};
    fc_room room = fc_room_at(d->scratch, d->thread_bytes, slot);
    products_lay_parts(d, &room, &t);
    ptrdiff_t share = index % d->shares, group = (index /= d->shares) % g->groups;
    index /= g->groups;
    t.area.cols = next_piece(&index, l->axis[COLS].out, d->y.cols.block, &t.area.col);
    t.area.rows = next_piece(&index, l->axis[ROWS].out, d->y.rows.block, &t.area.row);
    t.planes = next_piece(&index, l->planes, d->planes_block, &t.plane);
    ptrdiff_t from = l->kernels * share / d->shares, to = l->kernels * (share + 1) / d->shares;
    ptrdiff_t tiles = parts_of(to - from, l->fc->rows), widest = l->fc->cols_of[parts_of(to - from, tiles)];
    fc_panel *panel = t.panel;
    for (ptrdiff_t q = 0; q < products_phases(d); q++)
        panel = fc_make_panels(d, &t, q, panel, widest);
    ptrdiff_t volume = l->whole[DEPTH] * l->whole[ROWS] * l->whole[COLS], kernel = group * l->kernels + from;
    const int at_once = d->sums_rows < to - from; /* sums of a tile are complete when the next one begins */
    fc_gemm m = {.as = l->w_row, .cs = d->apart ? d->sums_row : volume, .low = g->low, .high = g->high};
    const char *w = g->w + (group * l->w_group + from * l->w_row) * l->stored;
    for (ptrdiff_t first = 0; first < l->channels && !(first > 0 && fc_gives_up()); first += d->t.channels) {
        const ptrdiff_t channels = min(d->t.channels, l->channels - first);
        fc_see_block(d, &t, g->x + (group * l->channels + first) * g->x_channel, channels);
        m.b = t.seen;
        for (ptrdiff_t i = 0, left, turn = 1; (left = to - from - i) > 0; i += m.rows, turn++) {
            if (turn % 16 == 0 && fc_gives_up())
                break;
            m.rows = even_part(left, l->fc->rows); /* a tile */
            m.a = w + (i * l->w_row + first * l->w_channel) * l->stored;
            m.bias = d->bias ? d->bias + (kernel + i) * l->size : NULL;
            m.c = d->apart ? t.sums + (at_once ? 0 : i * m.cs) * l->size : g->out + (kernel + i) * volume * l->size;
            m.panel = t.panel;
            t.finite = 1;
            for (ptrdiff_t q = 0; q < products_phases(d); m.panel += t.panels[q++]) {
                m.panels = t.panels[q];
                if (m.panels > 0 || t.dots > 0)
                    fc_multiply(d, &t, q, &m, first, channels);
                if (q == 0 && d->bands > 1)
                    t.finite = fc_sums_are_finite(d, &t, &m);
            }
            if (first + channels == l->channels)
                fc_place(d, &t, &m, kernel + i);
        }
    }
    fc_close(&room);
}

/* All but the memory; tables: bytes alone */
static products products_prepare(const layer *l, fc_room *tables)
{
    const fc_conv *g = l->g;
    products d = products_plan(l);
    double products = (double)(l->channels * l->taps) * (double)(g->images * g->groups * l->kernels) *
                      (double)(l->axis[DEPTH].out * l->axis[ROWS].out * l->axis[COLS].out);
    int threads = fc_threads_for(fc_time_us(RATE_PRODUCTS, products * (double)l->size, l->fc->vector_bytes, 0), g->threads);
    ptrdiff_t chunks = parts_of(l->planes, d.planes_block) * parts_of(l->axis[ROWS].out, d.y.rows.block) *
                       parts_of(l->axis[COLS].out, d.y.cols.block) * g->groups;
    d.shares = 1; /* as many as make the chunks even, or many; each packs the block anew, and has at least two tiles of rows */
    while (chunks * d.shares % threads != 0 && chunks * d.shares < 4 * threads && d.shares < l->kernels / (2 * l->fc->rows))
        d.shares++;
    d.chunks = chunks * d.shares;
    d.threads = (int)min(threads, d.chunks);
    if (d.apart)
        d.sums_rows = d.t.channels < l->channels ? parts_of(l->kernels, d.shares) : min(l->kernels, l->fc->rows);
    fc_room parts = {0};
    products_lay_parts(&d, &parts, &(tile){0});
    products_lay_tables(&d, tables);
    d.thread_bytes = parts.bytes;
    return d;
}

ptrdiff_t fc_products_bytes(const layer *l)
{
    fc_room tables = {0};
    const products d = products_prepare(l, &tables);
    return plus(tables.bytes, times(d.threads, d.thread_bytes));
}

/* What is packed, of all threads: idle lanes read beyond it, and what they find may be subnormal, with which an fma takes a hundred
 * times as long on some CPUs */
static void products_clear(const products *d)
{
    for (int slot = 0; slot < d->threads && !d->in_place; slot++) {
        fc_room room = fc_room_at(d->scratch, d->thread_bytes, slot);
        tile t;
        products_lay_parts(d, &room, &t);
        memset(t.packed, 0, (size_t)(products_packed(d) * d->l->size));
        fc_close(&room);
    }
}

static void products_run(products *d, fc_room *tables)
{
    const layer *l = d->l;
    products_lay_tables(d, tables);
    fc_make_phases(&d->pack, &d->t);
    fc_make_bands(d);
    for (phase *q = d->t.phase; q < d->t.phase + products_phases(d); q++)
        q->part = min(d->y.part_channels * power_of_two(min(l->most_taps / q->taps, d->most_spans)) * q->taps, d->y.part);
    if (!l->g->plan)
        products_clear(d);
    fc_run_or_plan(l->g, (fc_conv_plan){FC_PRODUCTS, d->threads, d->chunks, d->t.phase->part}, products_block, d);
    fc_close(tables);
}

void fc_products_run_in(const layer *l, char *memory)
{
    fc_room tables = {0};
    products d = products_prepare(l, &tables);
    d.scratch = memory + tables.bytes;
    tables = (fc_room){.block = memory};
    products_run(&d, &tables);
}

int fc_products_run(const layer *l)
{
    fc_room tables = {0};
    products d = products_prepare(l, &tables);
    char *memory = fc_borrow_rooms(&tables, d.threads, d.thread_bytes, &d.scratch);
    if (memory == NULL)
        return -1;
    products_run(&d, &tables);
    fc_return(memory);
    return 0;
}
