/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Layers of bytes as outer products of elements that hold several of them (K1, dots_tmpl.h).
 *
 *   1. Outputs are cut into blocks: rows x cols of a plane. What one sees is packed, a channel of elements after another
 *      (dots_pack.c), and one table says where every tap begins. Columns have a set for each tap, so that rows of outputs adjoin and
 *      vectors run on from row to row; or taps share sets, where packing would take longer than what that saves.
 *   2. Some kernels, whose sums of a block stay in L2, are multiplied by it: by weights that are arranged once (dots_weights.c).
 *   3. Sums, which are exact, whatever is summed first, are stored as they are asked for.
 *
 * Numbers of an element are channels. Of few channels they are taps of a row, a dilation apart: the layer then has so many fewer taps,
 * which lie so much further apart.
 */
#include "layers/dots.h"
#include <stdatomic.h>
#include <string.h>

static atomic_int natives = 1;
void fc_dots_native(int on) { atomic_store(&natives, on); }

dots fc_dots_describe(const fc_dots *g)
{
    const fc_kernels *fc = fc_in_use();
    dots d = {.g = g, .l = fc_describe(&g->layer, fc)};
    layer *l = &d.l;
    fc_axis *cols = &l->axis[COLS];
    d.kind = fc->dots[FC_DOT_QUAD].supported && natives && fc->dots[FC_DOT_QUAD].supported() ? FC_DOT_QUAD : FC_DOT_PAIR;
    d.gemm = fc->dots[d.kind].gemm;
    d.group = d.kind == FC_DOT_QUAD ? 4 : 2;
    l->stored = 1;
    const ptrdiff_t channels = g->layer.channels, k = l->given[COLS].k;
    d.of_taps = parts_of(k, d.group) * channels < parts_of(channels, d.group) * k;
    d.flip = g->x_type == FC_I8 ? 128 : 0;
    d.shift = (uint32_t)g->x_zero + d.flip;
    d.x_zero = d.kind == FC_DOT_QUAD ? (int32_t)d.shift : 0;
    if (d.of_taps)
        cols->k = parts_of(k, d.group), cols->dilation *= d.group;
    else
        l->channels = parts_of(channels, d.group);
    l->taps = l->axis[DEPTH].k * l->axis[ROWS].k * cols->k;
    d.depth = l->taps * l->channels;
    const ptrdiff_t zeros = g->w_zeros > 1 ? g->layer.groups * l->kernels : 1;
    for (ptrdiff_t m = 0; m < zeros && d.kind == FC_DOT_QUAD; m++)
        d.corrects |= fc_dots_zero(&d, m) != 0;
    return d;
}

ptrdiff_t fc_dots_learn(const fc_dots *g, char *to)
{
    const dots d = fc_dots_describe(g);
    if (fc_dots_by_lanes(&d))
        return fc_dots_lanes_learn(&d, to);
    if (to)
        fc_dots_arrange(&d, to);
    return fc_dots_weights(&d, NULL).bytes;
}

int fc_dots_form(const fc_dots *g)
{
    const dots d = fc_dots_describe(g);
    return fc_dots_by_lanes(&d) ? fc_dots_lanes_form(&d) : d.kind;
}

int fc_dots_takes_last(const fc_dots *g)
{
    fc_dots last = *g;
    last.layer.last = 1;
    const dots d = fc_dots_describe(&last);
    return fc_dots_by_lanes(&d);
}

/* ---- plan ------------------------------------------------------------------------------------- */

typedef struct {
    dots d;
    packing p;
    dots_weights w;
    ptrdiff_t tall;             /* kernels of a product, at most */
    ptrdiff_t kernels, at_once; /* of a chunk; whose sums are in scratch */
    ptrdiff_t sums;             /* elements from those of a kernel to the next */
    ptrdiff_t row_blocks, col_blocks;
    ptrdiff_t thread_bytes;
    const ptrdiff_t *at, *weight_at; /* where the elements of a kernel lie, packed and arranged */
    char *scratch;
} dots_plan;

typedef struct {
    char *packed, *sums, *of_x;
    fc_run *run;
    fc_panel *panel;
} dots_parts;

/* Rows of sums in scratch begin at whole vectors unless they adjoin */
static ptrdiff_t dots_pitch(const dots_plan *y, const area *a)
{
    return a->cols == y->p.pitch ? a->cols : round_up(a->cols, y->d.l.lanes);
}

static void dots_lay_parts(const dots_plan *y, fc_room *r, dots_parts *s)
{
    const layer *l = &y->d.l;
    s->packed = fc_part(r, "packed", plus(times(l->channels, y->p.plane), 2 * l->lanes), 4);
    s->sums = fc_part(r, "sums", times(y->at_once, y->sums), 4);
    s->of_x = fc_part(r, "sums of x", y->d.corrects ? y->sums : 0, 4);
    s->run = fc_part(r, "runs", y->p.most_runs, sizeof *s->run);
    s->panel = fc_part(r, "panels", y->sums / l->lanes, sizeof *s->panel);
}

static void dots_lay_tables(dots_plan *y, fc_room *r, ptrdiff_t learnt)
{
    const layer *l = &y->d.l;
    const fc_axis *axis = l->axis;
    ptrdiff_t *at = fc_part(r, "elements of x", y->d.depth, sizeof *at);
    ptrdiff_t *weight_at = fc_part(r, "elements of weights", y->d.depth, sizeof *weight_at);
    char *weights = fc_part(r, "weights", learnt, 1);
    y->at = at, y->weight_at = weight_at;
    if (!r->block)
        return;
    phase q = {.taps = l->taps};
    for (int i = DEPTH; i <= COLS; i++)
        q.axis[i] = (axis_phase){.count = axis[i].out, .taps = axis[i].k, .tap_step = 1, .at_step = 1};
    fc_tabulate(&y->p, &q, 1, at, NULL);
    for (ptrdiff_t t = l->taps - 1; t >= 0; t--)
        for (ptrdiff_t c = l->channels - 1; c >= 0; c--)
            at[t * l->channels + c] = at[t] + c * y->p.plane;
    for (ptrdiff_t i = 0; i < y->d.depth; i++)
        weight_at[i] = i;
    if (learnt)
        fc_dots_arrange(&y->d, weights);
    y->w = fc_dots_weights(&y->d, learnt ? weights : l->g->learnt);
}

/* ---- a block ---------------------------------------------------------------------------------- */

static ptrdiff_t dots_make_panels(const dots_plan *y, fc_panel *panel, const area *a, ptrdiff_t kernels)
{
    const layer *l = &y->d.l;
    const ptrdiff_t widest = l->fc->cols_of[kernels], pitch = dots_pitch(y, a), lanes = l->lanes;
    const int adjoin = a->cols == y->p.pitch;
    const ptrdiff_t rows = adjoin ? 1 : a->rows, vectors = parts_of(adjoin ? a->rows * a->cols : a->cols, lanes);
    fc_panel *to = panel;
    for (ptrdiff_t i = 0, n; i < rows * vectors; i += n, to++) {
        n = rows * vectors - i >= widest ? widest : 1;
        to->vectors = (int)n;
        for (ptrdiff_t v = 0; v < n; v++) {
            const ptrdiff_t row = (i + v) / vectors, first = (i + v) % vectors * lanes;
            to->b[v] = row * y->p.rows.step * y->p.pitch + first, to->c[v] = row * pitch + first;
        }
    }
    return to - panel;
}

/* Step 3, of one kernel */
static void dots_store(const dots_plan *y, const area *a, ptrdiff_t plane, ptrdiff_t kernel, char *sums, const char *of_x)
{
    const layer *l = &y->d.l;
    const fc_dots *g = y->d.g;
    const fc_axis *axis = l->axis;
    const ptrdiff_t size = fc_stored_size(g->out_type), width = axis[COLS].out;
    const ptrdiff_t depth = axis[DEPTH].out, image = plane / depth, all = g->layer.groups * l->kernels;
    const ptrdiff_t first = ((image * all + kernel) * depth + plane % depth) * axis[ROWS].out;
    const ptrdiff_t pitch = dots_pitch(y, a), adjoin = (a->cols == width && pitch == width) || a->rows == 1,
                    n = a->cols * (adjoin ? a->rows : 1);
    fc_requantizing r = {.of_x = of_x,
                         .add = (int32_t)((uint32_t)y->w.first[kernel] +
                                          (l->g->bias ? ((const uint32_t *)(const void *)l->g->bias)[kernel] : 0)),
                         .factor = fc_dots_zero(&y->d, kernel),
                         .zero = g->y_zero,
                         .scale = g->out_type != FC_I32 ? g->scale[g->scales == 1 ? 0 : kernel] : 1};
    for (ptrdiff_t i = 0; i < (adjoin ? 1 : a->rows); i++, sums += 4 * pitch, r.of_x = of_x ? of_x + 4 * i * pitch : NULL)
        l->op->requantize(g->layer.out + ((first + a->row + i) * width + a->col) * size, g->out_type, sums, n, &r);
}

/* Step 2 */
static void dots_multiply(const dots_plan *y, const dots_parts *s, const area *a, ptrdiff_t plane, ptrdiff_t kernel,
                          ptrdiff_t kernels)
{
    fc_gemm m = {.b = s->packed,
                 .as = y->d.depth,
                 .cs = y->sums,
                 .depth = y->d.depth,
                 .a_at = y->weight_at,
                 .b_at = y->at,
                 .panel = s->panel};
    if (y->d.corrects) {
        m.a = y->w.ones, m.c = s->of_x, m.rows = 1;
        m.panels = dots_make_panels(y, s->panel, a, 1);
        y->d.gemm(&m);
    }
    ptrdiff_t rows = 0;
    for (ptrdiff_t k = 0, all; k < kernels; k += all) {
        all = min(y->at_once, kernels - k);
        for (ptrdiff_t i = 0; i < all; i += m.rows) {
            m.rows = even_part(all - i, y->tall);
            if (m.rows != rows)
                m.panels = dots_make_panels(y, s->panel, a, rows = m.rows);
            m.a = y->w.element + (kernel + k + i) * y->d.depth, m.c = s->sums + i * y->sums * 4;
            y->d.gemm(&m);
        }
        for (ptrdiff_t i = 0; i < all; i++)
            dots_store(y, a, plane, kernel + k + i, s->sums + i * y->sums * 4, y->d.corrects ? s->of_x : NULL);
    }
}

/* index counts (groups, planes, blocks, shares of kernels) */
static void dots_chunk(void *context, ptrdiff_t index, int slot)
{
    const dots_plan *y = context;
    const layer *l = &y->d.l;
    const fc_conv *g = l->g;
    dots_parts s;
    fc_room room = fc_room_at(y->scratch, y->thread_bytes, slot);
    dots_lay_parts(y, &room, &s);
    ptrdiff_t first;
    const ptrdiff_t count = next_piece(&index, l->kernels, y->kernels, &first);
    area a;
    a.cols = next_piece(&index, l->axis[COLS].out, y->p.cols.block, &a.col);
    a.rows = next_piece(&index, l->axis[ROWS].out, y->p.rows.block, &a.row);
    const ptrdiff_t plane = index % l->planes, group = index / l->planes;
    const fc_runs runs = fc_plan_runs(&y->p, s.run, plane, &a);
    for (ptrdiff_t c = 0; c < l->channels; c++)
        fc_dots_pack(&y->d, &y->p, s.packed + c * y->p.plane * 4, g->x + group * g->channels * g->x_channel, c, &runs);
    dots_multiply(y, &s, &a, plane, group * l->kernels + first, count);
    fc_close(&room);
}

/* ---- a call ----------------------------------------------------------------------------------- */

/* Step 1: packing so many rows and cols, each tap by itself or not */
static packing dots_lay_out(const dots *d, ptrdiff_t rows, ptrdiff_t cols, int apart)
{
    const fc_axis *axis = d->l.axis;
    const split of_cols = fc_split_axis(&axis[COLS], cols, axis[COLS].stride, apart || d->of_taps ? APART : FEWER);
    packing p = fc_lay_out(&d->l, fc_split_axis(&axis[ROWS], rows, axis[ROWS].stride, FEWER), of_cols, of_cols.count, 0);
    p.row_step = p.rows.line * axis[ROWS].x_step, p.col_step = p.cols.line * axis[COLS].x_step;
    if (d->of_taps) /* rows have ends of their own: they are no long row */
        p.row_step = 1, p.col_step = 0;
    p.readable = 1;
    return p;
}

/* Cycles of a channel of such a block: packing, and products */
static double dots_cost(const dots *d, const packing *p)
{
    const ptrdiff_t lanes = d->l.lanes, cols = p->cols.block, rows = p->rows.block;
    const double packed =
        (double)(d->l.axis[DEPTH].k * p->cols.sets * p->rows.sets * p->rows.count * parts_of(p->pitch, lanes));
    const ptrdiff_t vectors = p->pitch == cols ? parts_of(rows * cols, lanes) : rows * parts_of(cols, lanes);
    return DOTS_PACK * packed + DOTS_PRODUCT * (double)vectors * (double)(d->l.taps * d->l.kernels);
}

static packing dots_choose(const dots *d)
{
    const fc_axis *axis = d->l.axis;
    ptrdiff_t cols = even_part(axis[COLS].out, DOTS_COLS), rows = axis[ROWS].out;
    packing p;
    for (;; rows = parts_of(rows, 2)) {
        p = dots_lay_out(d, rows, cols, 0);
        const packing apart = dots_lay_out(d, rows, cols, 1);
        p = dots_cost(d, &apart) < dots_cost(d, &p) ? apart : p;
        if (rows == 1 || (times(d->l.channels, p.plane) <= DOTS_PACKED / 4 && rows * cols <= DOTS_OUTPUTS))
            return p;
    }
}

/* Kernels of a product, that so many vectors of outputs take the least time */
static ptrdiff_t dots_tall(const dots *d, ptrdiff_t vectors)
{
    const fc_kernels *fc = d->l.fc;
    ptrdiff_t best = fc->rows;
    double least = 0;
    for (ptrdiff_t rows = fc->rows; rows > 1; rows--) {
        const ptrdiff_t wide = fc->cols_of[rows];
        const double alone = max(DOTS_ALONE * (double)rows, DOTS_LATENCY), panel = DOTS_PRODUCT * (double)(rows * wide);
        const double cost =
            (double)parts_of(d->l.kernels, rows) * ((double)(vectors / wide) * panel + (double)(vectors % wide) * alone);
        if (rows == fc->rows || cost < least)
            best = rows, least = cost;
    }
    return best;
}

int fc_dots_run(const fc_dots *g)
{
    dots_plan y = {.d = fc_dots_describe(g)};
    const layer *l = &y.d.l;
    const fc_axis *axis = l->axis;
    if (fc_dots_by_lanes(&y.d))
        return fc_dots_lanes_run(&y.d);
    y.p = dots_choose(&y.d);
    const area block = {0, y.p.rows.block, 0, y.p.cols.block};
    y.sums = round_up(dots_pitch(&y, &block) * block.rows, l->lanes);
    y.row_blocks = parts_of(axis[ROWS].out, block.rows), y.col_blocks = parts_of(axis[COLS].out, block.cols);
    const ptrdiff_t blocks = y.row_blocks * y.col_blocks, planes = l->planes * g->layer.groups;
    const double products = (double)(planes * axis[ROWS].out * axis[COLS].out) * (double)l->kernels * (double)y.d.depth;
    int threads = fc_threads_for(fc_time_us(RATE_PRODUCTS, products * 4, l->fc->vector_bytes, 0), g->layer.threads);
    const ptrdiff_t tall = y.tall = dots_tall(&y.d, y.sums / l->lanes),
                    shares = clamp(parts_of(threads, planes * blocks), 1, parts_of(l->kernels, tall));
    y.kernels = shares > 1 ? round_up(parts_of(l->kernels, shares), tall) : l->kernels;
    y.at_once = min(y.kernels, max(1, DOTS_SUMS / 4 / y.sums / tall) * tall);
    const ptrdiff_t chunks = planes * blocks * parts_of(l->kernels, y.kernels);
    threads = (int)min(threads, chunks);
    const char *made = g->layer.learnt; /* by this instruction set, or another */
    const ptrdiff_t learnt = made && *fc_dots_weights(&y.d, made).form == y.d.kind ? 0 : fc_dots_weights(&y.d, NULL).bytes;
    fc_room parts = {0}, tables = {0};
    dots_lay_parts(&y, &parts, &(dots_parts){0});
    dots_lay_tables(&y, &tables, learnt);
    y.thread_bytes = parts.bytes;
    char *memory = fc_borrow_rooms(&tables, threads, parts.bytes, &y.scratch);
    if (memory == NULL)
        return -1;
    dots_lay_tables(&y, &tables, learnt);
    fc_pool_run(threads, chunks, dots_chunk, &y);
    fc_close(&tables);
    fc_return(memory);
    return 0;
}
