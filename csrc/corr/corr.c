/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The driver of correlation in one to three dimensions:
 *
 *   plan       how many chunks a plane of outputs is cut into, and on how many threads they are worth computing
 *   method     a row of a table: what sizes it asks for, its tables of taps, its scratch, how it computes a chunk
 *   call       sizes, tables and scratch are made, then threads compute chunks. Where memory is short nothing is computed.
 *
 * Chunks decide no bits. A call reads the table of kernels once (fc_in_use) and hands it on.
 */
#include "corr/call.h"
#include <stdatomic.h>

static atomic_ptrdiff_t band_rows = FC_BAND_ROWS;
static _Atomic double stream_from = FC_STREAM_FROM;

void fc_tune(ptrdiff_t rows, double us, double bytes)
{
    band_rows = rows;
    fc_threads_from(us);
    stream_from = bytes;
}

/* ---- plan ------------------------------------------------------------------------------------- */

static ptrdiff_t corr_cols(const fc_corr *g) { return g->axis[ROWS].out == 1 ? 8 * CORR_COLS : CORR_COLS; }

/* Arithmetic and memory overlap. The estimate only has to tell microseconds from milliseconds. */
double fc_direct_us(int vector_bytes, int type, double outputs, double taps)
{
    const fc_rate rate = type <= FC_F64 ? RATE_DIRECT : RATE_INTEGERS;
    double bytes = outputs * (double)fc_stored_size(type);
    return __builtin_fmax(fc_time_us(rate, bytes * taps, vector_bytes, 0), fc_time_us(rate, 0, 1, 2 * bytes));
}

/* Bands of so many rows; two chunks a thread where there are fewer planes, and the same number for each */
static void corr_plan_boxes(int vector_bytes, const fc_corr *g, fc_plan *plan)
{
    const fc_axis *depth = &g->axis[DEPTH], *rows = &g->axis[ROWS], *cols = &g->axis[COLS];
    double taps = (double)depth->k * (double)rows->k * (double)cols->k;
    double out = (double)plan->planes * (double)depth->out * (double)rows->out * (double)cols->out;
    if (g->method == FC_SEPARABLE)
        taps = 2.0 * (double)g->terms * (double)((depth->k > 1 ? depth->k : 0) + rows->k + cols->k);
    if (g->method == FC_BOX)
        taps = BOX_FMA;
    if (g->method == FC_ORDERED || g->method == FC_LINES)
        taps = g->method == FC_ORDERED ? 2 * taps : 2.0 * (double)(rows->k + cols->k); /* no fma */
    plan->serial_us = fc_direct_us(vector_bytes, g->type, out, taps);
    plan->threads = fc_threads_for(plan->serial_us, g->threads);

    plan->parts[COLS] = parts_of(cols->out, corr_cols(g));
    double slabs = plan->planes ? plan->serial_us / CORR_CHUNK_US / (double)plan->planes : 1;
    plan->parts[DEPTH] = slabs < (double)depth->out ? max((ptrdiff_t)slabs, 1) : depth->out;
    ptrdiff_t planes = plan->planes * plan->parts[DEPTH] * (rows->out == 1 ? plan->parts[COLS] : 1), threads = plan->threads;
    const ptrdiff_t halo = g->method == FC_BOX ? BOX_BAND * rows->k : g->method == FC_LINES ? rows->k : 0;
    const ptrdiff_t band = band_rows;
    plan->parts[ROWS] = parts_of(rows->out, max(halo, band));
    if (threads > 1 && planes < 2 * threads) {
        ptrdiff_t even = parts_of(max(plan->parts[ROWS], 2 * threads), threads) * threads;
        plan->parts[ROWS] = clamp(rows->out / CORR_LEAST_ROWS, plan->parts[ROWS], even);
    }
}

void fc_corr_plan(int vector_bytes, const fc_corr *g, fc_plan *plan)
{
    plan->planes = 1;
    for (int b = 0; b < g->batches; b++)
        plan->planes *= g->batch[b].n;
    (g->method == FC_FFT ? fc_overlap_plan : corr_plan_boxes)(vector_bytes, g, plan);
    double chunks = (double)plan->planes;
    for (int a = 0; a < FC_AXES; a++)
        chunks *= (double)plan->parts[a];
    plan->threads = plan->threads < chunks ? plan->threads : chunks > 1 ? (int)chunks : 1;
}

/* ---- method ------------------------------------------------------------------------------------ */

static const method *const methods[] = {
    [FC_DIRECT] = &fc_direct, [FC_IM2COL] = &fc_im2col,   [FC_SEPARABLE] = &fc_separable, [FC_FFT] = &fc_overlap,
    [FC_BOX] = &fc_box,       [FC_ORDERED] = &fc_ordered, [FC_LINES] = &fc_lines,
};

static const method *corr_method(const fc_corr *g, int vector_bytes)
{
    if (g->method == FC_BOX && g->divisor > 0)
        return &fc_columns;
    if (fc_pixels_suit(g, vector_bytes))
        return &fc_by_pixels;
    if (fc_steps_suit(g))
        return g->type == FC_I16 ? &fc_byte_steps : &fc_steps;
    if (fc_threes_suit(g))
        return &fc_by_threes;
    const int of_bytes = g->type == FC_I16 && g->method == FC_SEPARABLE && fc_stored_size(g->x_type) == 1;
    return of_bytes && g->axis[DEPTH].k == 1 ? &fc_bytes : methods[g->method];
}

/* ---- call -------------------------------------------------------------------------------------- */

/* Columns are adjacent aligned elements, so a micro-kernel can read or write the array itself. (The
 * stride of an axis of length one means nothing.) */
static int corr_is_adjacent(const fc_corr *g, const char *p, int of_x, int type)
{
    ptrdiff_t size = fc_stored_size(type);
    uintptr_t odd = (uintptr_t)p % (uintptr_t)size;
    for (int b = 0; b < g->batches; b++)
        if (g->batch[b].n > 1)
            odd |= (uintptr_t)(of_x ? g->batch[b].x_step : g->batch[b].out_step) % (uintptr_t)size;
    for (int a = 0; a < FC_AXES; a++)
        if ((of_x ? g->axis[a].n : g->axis[a].out) > 1) {
            ptrdiff_t step = of_x ? g->axis[a].x_step : g->axis[a].out_step;
            odd |= a == COLS ? step != size : (uintptr_t)step % (uintptr_t)size;
        }
    odd |= of_x ? 0 : (uintptr_t)g->result_step % (uintptr_t)size;
    return odd == 0 && (of_x ? g->x_type : g->out_type) == type;
}

static void corr_parts(const call *c, fc_room *r, scratch *s)
{
    fc_boxes_parts(c, r, s);
    if (c->method->parts)
        c->method->parts(c, r, s);
}

/* A call with its arrays, and scratch for all threads */
typedef struct {
    const call *c;
    const char *x;
    char *out;
    int *doubtful;
    char *scratch;
} corr_arrays;

static void corr_chunk(void *context, ptrdiff_t index, int slot)
{
    const corr_arrays *run = context;
    const call *c = run->c;
    const fc_corr *g = c->g;
    job j; /* to set all of it takes as long as a tenth of a small call; corr_parts places what is used of scratch */
    j.c = c, j.x = run->x, j.out = run->out, j.s.doubtful = run->doubtful;
    fc_room r = fc_room_at(run->scratch, c->thread_bytes, slot);
    corr_parts(c, &r, &j.s);
    ptrdiff_t parts = c->plan.parts[DEPTH] * c->plan.parts[ROWS] * c->plan.parts[COLS];
    for (ptrdiff_t plane = index / parts, b = g->batches - 1; b >= 0; b--) {
        j.x += plane % g->batch[b].n * g->batch[b].x_step;
        j.out += plane % g->batch[b].n * g->batch[b].out_step;
        plane /= g->batch[b].n;
    }
    (c->method->chunk ? c->method->chunk : fc_boxes)(&j, index % parts);
    fc_close(&r);
}

int fc_call_prepare(call *c, const fc_corr *g, const fc_kernels *fc, char *small)
{
    *c = (call){.g = g,
                .fc = fc,
                .op = fc->op[g->type],
                .method = corr_method(g, fc->vector_bytes),
                .size = fc_stored_size(g->type),
                .divisor = g->divisor > 1 ? g->divisor : 1};
    fc_corr_plan(fc->vector_bytes, g, &c->plan);
    if (g->axis[DEPTH].out == 0 || g->axis[ROWS].out == 0 || g->axis[COLS].out == 0)
        c->plan.planes = 0;
    if (c->plan.planes == 0)
        return 0;
    const int read = c->method->as_stored ? g->x_type : g->type;
    c->made = c->method->as_stored ? g->out_type : g->type, c->made_size = fc_stored_size(c->made);
    const int64_t fill = c->method == &fc_by_pixels ? (int64_t)g->fill : g->integer_fill;
    fc_describe_source(&c->x, c->fc, g->axis, read, g->x_type, g->fill, fill);
    c->x.readable = corr_is_adjacent(g, g->x, 1, read);
    c->x_adjacent = c->x.readable && g->axis[COLS].stride == 1 && !c->method->reads_tiles;
    c->out_adjacent = corr_is_adjacent(g, g->out, 0, c->made) && (c->method->as_stored || c->divisor == 1);
    c->results = g->combine == FC_APART ? g->terms : 1;
    double bytes = (double)c->plan.planes * (double)c->size * (double)c->results;
    for (int a = 0; a < FC_AXES; a++)
        bytes *= (double)g->axis[a].out;
    c->streams = c->out_adjacent && bytes >= stream_from;
    c->is_far = bytes > CORR_FAR;
    c->fetches_from = c->streams ? 0 : bytes >= CORR_AHEAD ? CORR_AHEAD_ROWS : PTRDIFF_MAX;
    if (c->method->prepare && c->method->prepare(c) != 0)
        return -1;
    if (!c->method->needs_no_boxes)
        fc_lay_boxes(c);
    fc_room r = {0};
    corr_parts(c, &r, &(scratch){0});
    c->thread_bytes = r.bytes;
    if (!c->method->tables)
        return 0;
    r = (fc_room){0};
    c->method->tables(c, &r);
    c->tables.block = small && r.bytes <= FC_SMALL ? small : fc_alloc(1, (size_t)r.bytes);
    if (!c->tables.block)
        return -1;
    c->asks = small != NULL && r.bytes > TAPS_AT_ONCE;
    c->method->tables(c, &c->tables);
    return c->asks && fc_gives_up() ? -1 : 0; /* they are not complete */
}

void fc_call_carry_out(const call *c, const char *x, char *out, int *doubtful, char *scratch)
{
    corr_arrays run = {c, x, out, doubtful, scratch};
    fc_pool_run(c->plan.threads, c->plan.planes * c->plan.parts[DEPTH] * c->plan.parts[ROWS] * c->plan.parts[COLS], corr_chunk,
                &run);
}

/* The same with scratch of its own. Returns 0, or -1 */
static int corr_carry_out(const call *c, const char *x, char *out, int *doubtful)
{
    _Alignas(LINE) char small[FC_SMALL];
    char *scratch = times(c->plan.threads, c->thread_bytes) <= FC_SMALL ? small : NULL;
    if (c->plan.planes == 0)
        return 0;
    if (!scratch && !(scratch = fc_alloc((size_t)c->plan.threads, (size_t)c->thread_bytes)))
        return -1;
    fc_call_carry_out(c, x, out, doubtful, scratch);
    if (scratch != small)
        fc_free(scratch);
    return 0;
}

void fc_call_forget(call *c, const char *small)
{
    fc_close(&c->tables);
    if (c->tables.block != small)
        fc_free(c->tables.block);
    fc_fft_free(c->overlap.fft);
}

int fc_corr_run(const fc_corr *g)
{
    _Alignas(LINE) char small[FC_SMALL];
    call c;
    int failed = fc_call_prepare(&c, g, fc_in_use(), small) != 0 || corr_carry_out(&c, g->x, g->out, g->doubtful) != 0;
    fc_call_forget(&c, small);
    return failed ? -1 : 0;
}

/* ---- again ------------------------------------------------------------------------------------- */

struct fc_prepared {
    fc_corr g;
    call c;
};

fc_prepared *fc_corr_prepare(const fc_corr *g, const fc_kernels *fc)
{
    fc_prepared *p = fc_alloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->g = *g;
    if (fc_call_prepare(&p->c, &p->g, fc, NULL) == 0)
        return p;
    fc_corr_forget(p);
    return NULL;
}

int fc_corr_again(const fc_prepared *p, const char *x, char *out, int *doubtful)
{
    return corr_carry_out(&p->c, x, out, doubtful);
}

ptrdiff_t fc_corr_spectrum_bytes(const fc_corr *g) { return g->method == FC_FFT ? fc_overlap_bytes(g) : 0; }

ptrdiff_t fc_corr_bytes(const fc_prepared *p)
{
    return (ptrdiff_t)sizeof *p + p->c.tables.bytes + fc_corr_spectrum_bytes(&p->g);
}

void fc_corr_forget(fc_prepared *p)
{
    if (p)
        fc_call_forget(&p->c, NULL);
    fc_free(p);
}
