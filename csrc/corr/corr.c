/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The driver of correlation in one to three dimensions: cuts the output into chunks for the threads, and
 * every chunk into boxes,
 *
 *            j0     left'                    right'    j1       left' ... right': columns, and
 *        i0  +--------------------------------------+           top' ... bottom': rows
 *            |               bordered               |           whose windows lie inside x;
 *      top'  +--------+---------------------+-------+           likewise in depth
 *            |bordered|      interior       |bord.  |
 *   bottom'  +--------+---------------------+-------+
 *            |               bordered               |
 *        i1  +--------------------------------------+
 *
 * Interior: the micro-kernel reads the user's array as it is. Bordered: a tile and its halo are gathered
 * into scratch with the boundary applied and the same micro-kernel reads that, so the cost is that of the
 * perimeter and no kernel knows of boundaries. An array that the micro-kernel cannot read (columns not adjacent
 * or not aligned, another element type, a column stride) is gathered tile by tile throughout. Likewise out:
 * tiles go through scratch only where it cannot be written. No image is ever copied as a whole.
 */
#include "corr/call.h"

enum { SMALL = 4096 /* bytes of taps and their offsets that live on the stack */ };

static ptrdiff_t band_rows = FC_BAND_ROWS;
static double stream_from = FC_STREAM_FROM;

void fc_tune(ptrdiff_t rows, double us, double bytes)
{
    band_rows = rows;
    fc_threads_from(us);
    stream_from = bytes;
}

/* ---- plan ------------------------------------------------------------------------------------- */

static ptrdiff_t block_cols(const fc_corr *g)
{
    return g->axis[ROWS].out == 1 ? 8 * CORR_COLS : CORR_COLS;
}

void fc_corr_plan(const fc_kernels *fc, const fc_corr *g, fc_plan *plan)
{
    const fc_axis *depth = &g->axis[DEPTH], *rows = &g->axis[ROWS], *cols = &g->axis[COLS];
    plan->planes = 1;
    for (int b = 0; b < g->batches; b++)
        plan->planes *= g->batch[b].n;
    /* Arithmetic and memory overlap. The estimate only has to tell microseconds from milliseconds. */
    double size = (double)fc_stored_size(g->type), taps = (double)depth->k * (double)rows->k * (double)cols->k;
    double out = (double)plan->planes * (double)depth->out * (double)rows->out * (double)cols->out;
    if (g->method == FC_FFT) {
        fc_fft_plan(fc, g, plan);
        return;
    }
    if (g->method == FC_SEPARABLE)
        taps = 2.0 * (double)g->terms * (double)((depth->k > 1 ? depth->k : 0) + rows->k + cols->k);
    if (g->method == FC_BOX)
        taps = BOX_FMA;
    if (g->method == FC_ORDERED || g->method == FC_LINES)
        taps = g->method == FC_ORDERED ? 2 * taps : 2.0 * (double)(rows->k + cols->k); /* no fma */
    const fc_rate rate = g->type <= FC_F64 ? RATE_DIRECT : RATE_INTEGERS;
    double fma_us = fc_time_us(rate, out * taps * size, fc->vector_bytes, 0), memory_us = fc_time_us(rate, 0, 1, 2 * out * size);
    plan->serial_us = fma_us > memory_us ? fma_us : memory_us;
    ptrdiff_t threads = fc_threads_for(plan->serial_us, g->threads);

    /* Bands as tall as a strip may be with its rows in cache; two chunks a thread where there are fewer
     * planes, and the same number for each. Bits do not depend on any of this. */
    plan->parts[COLS] = parts_of(cols->out, block_cols(g));
    double slabs = plan->planes ? plan->serial_us / CORR_CHUNK_US / (double)plan->planes : 1;
    plan->parts[DEPTH] = slabs < (double)depth->out ? max((ptrdiff_t)slabs, 1) : depth->out;
    ptrdiff_t planes = plan->planes * plan->parts[DEPTH] * (rows->out == 1 ? plan->parts[COLS] : 1);
    int wide_halo = g->method == FC_BOX || g->method == FC_LINES;
    ptrdiff_t bands = parts_of(rows->out, wide_halo && rows->k > band_rows ? rows->k : band_rows);
    if (threads > 1 && planes < 2 * threads) {
        ptrdiff_t even = parts_of(bands > 2 * threads ? bands : 2 * threads, threads) * threads;
        bands = clamp(rows->out / CORR_LEAST_ROWS, bands, even);
    }
    plan->parts[ROWS] = bands;
    double chunks = (double)planes * (double)plan->parts[ROWS] * (rows->out == 1 ? 1 : (double)plan->parts[COLS]);
    plan->threads = (int)(threads < chunks ? threads : chunks > 1 ? (ptrdiff_t)chunks : 1);
}

/* ---- boxes of outputs -------------------------------------------------------------------------- */

static int is_empty(const box *b)
{
    return b->from[DEPTH] >= b->to[DEPTH] || b->from[ROWS] >= b->to[ROWS] || b->from[COLS] >= b->to[COLS];
}

/* The part of b whose windows lie inside x. */
static box interior_of(const fc_corr *g, box b)
{
    for (int a = 0; a < FC_AXES; a++) {
        const fc_axis *axis = &g->axis[a];
        ptrdiff_t room = axis->n - reach(axis, 1) + axis->lead;
        ptrdiff_t first = axis->lead <= 0 ? 0 : parts_of(axis->lead, axis->stride);
        ptrdiff_t end = room < 0 ? 0 : room / axis->stride + 1;
        b.from[a] = clamp(first, b.from[a], b.to[a]);
        b.to[a] = clamp(end, b.from[a], b.to[a]);
    }
    return b;
}

/* Columns are adjacent aligned elements, so a micro-kernel can read or write the array itself. (The
 * stride of an axis of length one means nothing.) */
static int is_adjacent(const fc_corr *g, const char *p, int of_x)
{
    ptrdiff_t size = fc_stored_size(g->type);
    uintptr_t odd = (uintptr_t)p % (uintptr_t)size;
    for (int b = 0; b < g->batches; b++)
        if (g->batch[b].n > 1)
            odd |= (uintptr_t)(of_x ? g->batch[b].x_step : g->batch[b].out_step) % (uintptr_t)size;
    for (int a = 0; a < FC_AXES; a++)
        if ((of_x ? g->axis[a].n : g->axis[a].out) > 1) {
            ptrdiff_t step = of_x ? g->axis[a].x_step : g->axis[a].out_step;
            odd |= a == COLS ? step != size : (uintptr_t)step % (uintptr_t)size;
        }
    return odd == 0 && (of_x ? g->x_type : g->out_type) == g->type;
}

/* ---- one call --------------------------------------------------------------------------------- */

/* rows x cols outputs of depth z from (row, col) on; src: the element under their first window */
static void compute(const job *j, const rows_of *r, const char *src, ptrdiff_t z, ptrdiff_t row, ptrdiff_t col,
                    ptrdiff_t rows, ptrdiff_t cols)
{
    const call *c = j->c;
    const fc_axis *axis = c->g->axis;
    if (c->out_adjacent) {
        fc_by_method(c, &j->s, r, src, row, col, out_at(j, z, row, col), axis[ROWS].out_step / c->size, rows, cols);
        return;
    }
    ptrdiff_t tall = c->tile_out[ROWS], wide = c->tile_out[COLS], stored = fc_stored_size(c->g->out_type);
    for (ptrdiff_t ti = 0; ti < rows; ti += tall)
        for (ptrdiff_t tj = 0; tj < cols; tj += wide) {
            ptrdiff_t m = min(tall, rows - ti), n = min(wide, cols - tj);
            const char *from = src + (ti * axis[ROWS].stride * r->row + tj) * c->size; /* column stride: 1 in a tile */
            fc_by_method(c, &j->s, r, from, row + ti, col + tj, j->s.out, c->out_row, m, n);
            for (ptrdiff_t i = 0; i < m; i++) {
                char *to = out_at(j, z, row + ti + i, col + tj), *result = j->s.out + i * c->out_row * c->size;
                char *stored_row = result;
                if (c->op->narrow && (c->g->out_type != c->g->type || c->divisor != 1)) {
                    stored_row = axis[COLS].out_step == stored || n == 1 ? to : j->s.raw;
                    c->op->narrow(stored_row, c->g->out_type, result, n, c->divisor);
                } else if (c->g->out_type != c->g->type) {
                    stored_row = j->s.raw;
                    c->fc->op[FC_I64]->widen(stored_row, c->g->type, result, n);
                }
                if (stored_row != to)
                    fc_copy_row(to, axis[COLS].out_step, stored_row, stored, n, stored);
            }
        }
}

void fc_bordered(const job *j, const box *b)
{
    const call *c = j->c;
    ptrdiff_t at[FC_AXES], count[FC_AXES];
    for (at[DEPTH] = b->from[DEPTH]; at[DEPTH] < b->to[DEPTH]; at[DEPTH] += c->tile_out[DEPTH])
        for (at[ROWS] = b->from[ROWS]; at[ROWS] < b->to[ROWS]; at[ROWS] += c->tile_out[ROWS])
            for (at[COLS] = b->from[COLS]; at[COLS] < b->to[COLS]; at[COLS] += c->tile_out[COLS]) {
                for (int a = 0; a < FC_AXES; a++)
                    count[a] = min(c->tile_out[a], b->to[a] - at[a]);
                fc_gather(c, &j->s, j->s.tile, &c->tile, j->x, at, count);
                for (ptrdiff_t z = 0; z < count[DEPTH]; z++)
                    compute(j, &c->tile, j->s.tile + z * c->g->axis[DEPTH].stride * c->tile.plane * c->size,
                            at[DEPTH] + z, at[ROWS], at[COLS], count[ROWS], count[COLS]);
            }
}

static void interior(const job *j, const box *b)
{
    const fc_axis *axis = j->c->g->axis;
    for (ptrdiff_t z = b->from[DEPTH]; z < b->to[DEPTH]; z++) {
        const char *src = j->x + (z * axis[DEPTH].stride - axis[DEPTH].lead) * axis[DEPTH].x_step +
                          (b->from[ROWS] * axis[ROWS].stride - axis[ROWS].lead) * axis[ROWS].x_step +
                          (b->from[COLS] - axis[COLS].lead) * axis[COLS].x_step;
        compute(j, &j->c->user, src, z, b->from[ROWS], b->from[COLS], b->to[ROWS] - b->from[ROWS],
                b->to[COLS] - b->from[COLS]);
    }
}

/* The index-th of `parts` even shares of n, computed so that no product can overflow */
static void share(ptrdiff_t n, ptrdiff_t parts, ptrdiff_t index, ptrdiff_t *from, ptrdiff_t *to)
{
    ptrdiff_t size = n / parts, rest = n % parts;
    *from = index * size + min(index, rest);
    *to = *from + size + (index < rest);
}

/* The index-th share of a plane */
static void boxes(const job *j, ptrdiff_t index)
{
    const call *c = j->c;
    const fc_corr *g = c->g;
    box whole;
    for (int a = FC_AXES - 1; a >= 0; a--) {
        share(g->axis[a].out, c->plan.parts[a], index % c->plan.parts[a], &whole.from[a], &whole.to[a]);
        index /= c->plan.parts[a];
    }
    box inner = interior_of(g, whole);
    int peeled = inner.from[COLS] > whole.from[COLS] || inner.to[COLS] < whole.to[COLS];
    if (!c->x_adjacent || is_empty(&inner) || (peeled && whole.to[COLS] - whole.from[COLS] <= CORR_NARROW)) {
        fc_bordered(j, &whole);
        return;
    }
    for (int a = 0; a < FC_AXES; a++) { /* peel off what lies before and behind the interior */
        box before = whole, behind = whole;
        before.to[a] = inner.from[a];
        behind.from[a] = inner.to[a];
        if (!is_empty(&before))
            fc_bordered(j, &before);
        if (!is_empty(&behind))
            fc_bordered(j, &behind);
        whole.from[a] = inner.from[a];
        whole.to[a] = inner.to[a];
    }
    interior(j, &inner);
}

static void lay_scratch(const call *c, fc_room *r, scratch *s);

static void chunk(void *context, ptrdiff_t index, int slot)
{
    const call *c = context;
    const fc_corr *g = c->g;
    job j = {.c = c, .x = g->x, .out = g->out};
    fc_room r = fc_room_at(c->scratch, c->thread_bytes, slot);
    lay_scratch(c, &r, &j.s);
    ptrdiff_t parts = c->plan.parts[DEPTH] * c->plan.parts[ROWS] * c->plan.parts[COLS];
    for (ptrdiff_t plane = index / parts, b = g->batches - 1; b >= 0; b--) {
        j.x += plane % g->batch[b].n * g->batch[b].x_step;
        j.out += plane % g->batch[b].n * g->batch[b].out_step;
        plane /= g->batch[b].n;
    }
    if (g->method == FC_FFT)
        fc_fft_chunk(&j, index % parts);
    else
        boxes(&j, index % parts);
    fc_close(&r);
}

/* Whether the windows of any outputs lie inside x, and those of any do not */
static void find_interior(call *c)
{
    box whole = {{0}, {c->g->axis[DEPTH].out, c->g->axis[ROWS].out, c->g->axis[COLS].out}};
    box inner = interior_of(c->g, whole);
    c->has_interior = !is_empty(&inner);
    c->is_tiled = !c->x_adjacent || c->g->method == FC_FFT;
    for (int a = 0; a < FC_AXES; a++)
        c->is_tiled |= inner.from[a] > whole.from[a] || inner.to[a] < whole.to[a];
}

/* Outputs of a tile: with its halo, and that of the separable method, it stays in L2. Of lines, what the first pass does in
 * the halo of the second is work in vain. */
static void size_tile(call *c)
{
    const fc_axis *axis = c->g->axis;
    ptrdiff_t deep = axis[DEPTH].k > 1 ? CORR_DEEP : 1, tall = 64, least = 128;
    if (c->g->method == FC_BOX)
        tall = max(tall, axis[ROWS].k);
    if (c->g->method == FC_LINES) {
        ptrdiff_t k = axis[ROWS].k, alone = !has_pass(c->g, COLS);
        tall = max(tall, k * (k > 128 ? 1 : alone ? 4 : c->g->columns_first ? 2 : 1));
        if (!c->g->line[ROWS].w && k > 1)
            tall = parts_of(max(tall, 96), k) * k; /* whole blocks of sums */
        least = max(tall > 1024 ? 32 : least, times(3, axis[COLS].k));
    }
    c->tile_out[DEPTH] = min(deep, axis[DEPTH].out);
    c->tile_out[ROWS] = clamp(tall / axis[ROWS].stride, 1, axis[ROWS].out);
    ptrdiff_t wide = CORR_AREA / c->tile_out[DEPTH] / c->tile_out[ROWS];
    c->tile_out[COLS] = clamp(max(min(wide, 8192), least) / axis[COLS].stride, 1, axis[COLS].out);
    c->out_row = c->g->method == FC_LINES ? fc_lines_row(c, c->tile_out[COLS]) : c->tile_out[COLS];
}

/* Where elements of a gathered tile lie */
static void lay_tile(call *c)
{
    const fc_axis *axis = c->g->axis;
    ptrdiff_t cols = reach(&axis[COLS], c->tile_out[COLS]), phases = min(axis[COLS].stride, cols);
    c->phase = whole_lines(times(parts_of(cols, phases), c->size)) / c->size;
    c->tile.row = times(phases, c->phase);
    ptrdiff_t bytes = times(c->tile.row, c->size);
    if (bytes % 4096 == 0 || (c->g->method >= FC_ORDERED && bytes % (2 * LINE) == 0))
        c->tile.row = plus(c->tile.row, LINE / c->size); /* rows 4096 bytes apart would share cache sets, and so would every row of a strip */
    c->tile.plane = times(c->tile.row, reach(&axis[ROWS], c->tile_out[ROWS]));
}

/* One thread's scratch */
static void lay_scratch(const call *c, fc_room *r, scratch *s)
{
    const fc_axis *axis = c->g->axis;
    ptrdiff_t cols = 0, raw = 0, more = c->g->method == FC_LINES ? FC_LINES_MORE : 0;
    if (c->is_tiled) {
        cols = max(reach(&axis[COLS], c->tile_out[COLS]), c->grid.n[COLS]);
        ptrdiff_t planes = reach(&axis[DEPTH], c->tile_out[DEPTH]), rows = plus(reach(&axis[ROWS], c->tile_out[ROWS]), more);
        s->tile = fc_part(r, "tile", times(times(planes, rows), c->tile.row), c->size);
        s->column = fc_part(r, "column", cols, sizeof *s->column);
        if (c->g->x_type != c->g->type)
            raw = times(cols, c->stored);
        if (axis[COLS].stride > 1)
            s->row = fc_part(r, "row", cols, c->size);
    }
    if (!c->out_adjacent) {
        s->out = fc_part(r, "out", times(c->tile_out[ROWS] + more, c->out_row), c->size);
        raw = max(raw, times(c->tile_out[COLS], sizeof(int64_t))); /* whatever type results are stored as */
    }
    if (raw > 0)
        s->raw = fc_part(r, "raw", raw, 1);
    fc_method_parts(c, r, s);
}

static int take_scratch(call *c)
{
    fc_room r = {0};
    lay_scratch(c, &r, &(scratch){0});
    c->thread_bytes = r.bytes;
    return r.bytes == 0 || (c->scratch = fc_alloc((size_t)c->plan.threads, (size_t)r.bytes)) ? 0 : -1;
}

int fc_corr_run(const fc_corr *g)
{
    const fc_kernels *fc = fc_in_use();
    call c = {.g = g, .fc = fc, .op = fc->op[g->type], .size = fc_stored_size(g->type), .stored = fc_stored_size(g->x_type)};
    c.moves = fc->op[c.size == 4 ? FC_F32 : FC_F64];
    fc_corr_plan(fc, g, &c.plan);
    if (c.plan.planes == 0 || g->axis[DEPTH].out == 0 || g->axis[ROWS].out == 0 || g->axis[COLS].out == 0)
        return 0;
    switch (g->type) {
    case FC_F32: c.fill.f32 = (float)g->fill; break;
    case FC_F64: c.fill.f64 = g->fill; break;
    case FC_I32: c.fill.i32 = (int32_t)g->integer_fill; break;
    default: c.fill.i64 = g->integer_fill; break;
    }
    c.x_readable = is_adjacent(g, g->x, 1);
    c.x_adjacent = c.x_readable && g->axis[COLS].stride == 1 && g->method < FC_ORDERED;
    c.divisor = 1;
    c.out_adjacent = is_adjacent(g, g->out, 0);
    if (g->method == FC_LINES) {
        int last = last_pass(g);
        c.divisor = g->line[last].divisor != 0 ? g->line[last].divisor : 1;
        c.out_adjacent &= c.divisor == 1 && (last == ROWS || g->line[last].w); /* sums along rows write whole squares */
    }
    c.user.plane = g->axis[DEPTH].x_step / c.size;
    c.user.row = g->axis[ROWS].x_step / c.size;
    find_interior(&c);
    size_tile(&c);
    lay_tile(&c);

    _Alignas(LINE) char small[SMALL];
    int failed = fc_prepare_method(&c) != 0 || take_scratch(&c) != 0 || fc_place_taps(&c, small, sizeof small) != 0;
    double bytes = (double)c.plan.planes * (double)c.size;
    for (int a = 0; a < FC_AXES; a++)
        bytes *= (double)g->axis[a].out;
    c.taps.stream = c.out_adjacent && bytes >= stream_from;
    if (!failed)
        fc_pool_run(c.plan.threads, c.plan.planes * c.plan.parts[DEPTH] * c.plan.parts[ROWS] * c.plan.parts[COLS], chunk,
                    &c);
    fc_free(c.scratch);
    fc_release_taps(&c, small);
    fc_fft_free(c.fft);
    return failed ? -1 : 0;
}
