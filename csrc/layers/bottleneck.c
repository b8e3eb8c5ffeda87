/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Three layers in one pass: one tap to many channels, a kernel for each of these, one tap to few (the inverted residual of Sandler,
 * Howard, Zhu, Zhmoginov and Chen, MobileNetV2, 2018). What lies between them, which is large, is never written as planes:
 *
 *      x  few planes, copied      expanded  pixels of VLEN channels,      seen  likewise, without     sums  of VLEN kernels
 *      row by row            ->   with zeros around                   ->  zeros                  ->   -> planes
 *                            K1   (rows: pixels, vectors: channels)  lanes                       K1
 *
 *   1. Outputs are cut into bands of rows. What a band sees of x is copied.
 *   2. A panel of channels at a time is expanded and slid over, while it is in L2. Between bands the rows that both see are
 *      expanded twice.
 *   3. After every part of the channels, the kernels' sums grow by it, and with the last part they become planes.
 *
 * All weights are turned before (learn): vectors run across channels, and then across kernels. Zeros beyond x are multiplied, too, as
 * weights may not be finite. Every output is the sum of the same parts, whatever the band, so bits depend on nothing but shapes.
 */
#include "layers/layer.h"
#include <string.h>

typedef struct {
    const fc_bottleneck *g;
    const fc_kernels *fc;
    const fc_ops *op;
    ptrdiff_t size, lanes, sets, vectors; /* of inner channels; of kernels */
    ptrdiff_t part, few;                  /* inner channels summed in one go; channels likewise */
    ptrdiff_t panel;                      /* sets that are expanded in one go */
    ptrdiff_t band, seen;                 /* rows of outputs, and rows of x under them, at most */
    ptrdiff_t pitch, x_pitch;             /* pixels of an expanded row; elements of a copied channel */
    ptrdiff_t expanded, slid, summed;     /* elements of a set, or of a vector of kernels */
    ptrdiff_t thread_bytes;
    const ptrdiff_t *x_at, *w_at, *inner_at; /* channels in what is copied, and in weights; inner ones in what is slid over */
    char *scratch;
} bottleneck;

/* Turned weights: of so many inner channels, or kernels, an element for each, for each of what is summed over; on every instruction
 * set alike */
enum { TURNED = BOTTLENECK_LANES };
typedef struct { char *expand, *expand_bias, *taps, *taps_bias, *project, *project_bias; } turned;

/* A thread's. Each set of expanded, and each vector of sums, begins with its bias. */
typedef struct {
    char *x, *expanded, *taps, *slid, *sums;
    fc_panel *panel;
    ptrdiff_t *first;
    fc_tap_row *tap;
    ptrdiff_t image, row, rows; /* of outputs */
} strip;

/* Where a vector of them begins, of which each has so many: element 0 */
static ptrdiff_t bottleneck_turned_at(const bottleneck *d, ptrdiff_t vector, ptrdiff_t each)
{
    return vector * d->lanes / TURNED * each * TURNED + vector * d->lanes % TURNED;
}

static turned bottleneck_lay_weights(const bottleneck *d, fc_room *r)
{
    const fc_bottleneck *g = d->g;
    const ptrdiff_t inner = round_up(g->inner, TURNED), kernels = round_up(g->kernels, TURNED);
    turned t;
    t.expand = fc_part(r, "weights of the first layer", times(inner, g->channels), d->size);
    t.expand_bias = fc_part(r, "its bias", inner, d->size);
    t.taps = fc_part(r, "taps", times(inner, g->rows.k * g->cols.k), d->size);
    t.taps_bias = fc_part(r, "their bias", inner, d->size);
    t.project = fc_part(r, "weights of the last layer", times(kernels, g->inner), d->size);
    t.project_bias = fc_part(r, "its bias", kernels, d->size);
    return t;
}

static void bottleneck_lay_parts(const bottleneck *d, fc_room *r, strip *s)
{
    const fc_bottleneck *g = d->g;
    s->x = fc_part(r, "x", times(g->channels, d->x_pitch), d->size);
    s->expanded = fc_part(r, "expanded", times(d->panel, d->expanded), d->size);
    s->taps = fc_part(r, "taps", g->rows.k * g->cols.k * d->lanes, d->size);
    s->slid = fc_part(r, "slid over", times(d->part / d->lanes, d->slid), d->size);
    s->sums = fc_part(r, "sums", plus(times(d->vectors, d->summed), d->lanes * d->lanes), d->size);
    s->panel = fc_part(r, "panels", max(d->panel, d->vectors) + 1, sizeof *s->panel);
    s->first = fc_part(r, "first rows of taps", d->band + 1, sizeof *s->first);
    s->tap = fc_part(r, "rows of taps", times(d->band, g->rows.k), sizeof *s->tap);
}

static void bottleneck_lay_tables(bottleneck *d, fc_room *r)
{
    const ptrdiff_t channels = d->g->channels, most = max(channels, d->part);
    ptrdiff_t *x_at = fc_part(r, "channels of x", channels, sizeof *x_at);
    ptrdiff_t *w_at = fc_part(r, "channels of weights", most, sizeof *w_at);
    ptrdiff_t *inner_at = fc_part(r, "inner channels", d->part, sizeof *inner_at);
    for (ptrdiff_t c = 0; c < most && r->block; c++)
        w_at[c] = c * TURNED;
    for (ptrdiff_t c = 0; c < channels && r->block; c++)
        x_at[c] = c * d->x_pitch;
    for (ptrdiff_t c = 0; c < d->part && r->block; c++)
        inner_at[c] = c / d->lanes * d->slid + c % d->lanes;
    d->x_at = x_at, d->w_at = w_at, d->inner_at = inner_at;
}

/* n vectors of outputs from `first` on, each `apart` elements from the last, which are sums of so many, for so many rows of pixels,
 * as even as can be. Returns how many panels they are. */
static ptrdiff_t bottleneck_panels(const bottleneck *d, fc_panel *panel, ptrdiff_t first, ptrdiff_t n, ptrdiff_t each,
                                   ptrdiff_t apart, ptrdiff_t rows)
{
    const ptrdiff_t widest = d->fc->cols_of[even_part(rows, d->fc->rows)];
    fc_panel *to = panel;
    int used = 0;
    for (ptrdiff_t i = 0; i < n; i++)
        to = add_vector(to, &used, n - i, widest, bottleneck_turned_at(d, first + i, each), i * apart, d->lanes, d->lanes);
    return to - panel;
}

/* Step 1; and whatever is read without being expanded is zero */
static void bottleneck_see(const bottleneck *d, const strip *s, ptrdiff_t from, ptrdiff_t rows)
{
    const fc_bottleneck *g = d->g;
    const ptrdiff_t size = d->size, width = g->cols.n;
    const char *x = g->x + s->image * g->x_image + from * g->rows.x_step;
    const int adjoin = g->cols.x_step == size && g->rows.x_step == width * size;
    memset(s->expanded, 0, (size_t)(d->panel * d->expanded * size));
    for (ptrdiff_t c = 0; c < g->channels; c++, x += g->x_channel) {
        char *to = s->x + c * d->x_pitch * size;
        for (ptrdiff_t r = 0; r < (adjoin ? 1 : rows); r++)
            fc_copy_row(to + r * width * size, size, x + r * g->rows.x_step, g->cols.x_step, adjoin ? rows * width : width,
                        size);
    }
}

/* Step 2: sets from `set` on, of which x lies in rows `first` ... `first + rows` of what is expanded */
static void bottleneck_expand(const bottleneck *d, const strip *s, const turned *w, ptrdiff_t set, ptrdiff_t sets,
                              ptrdiff_t first, ptrdiff_t rows)
{
    const fc_bottleneck *g = d->g;
    const ptrdiff_t size = d->size, vector = d->lanes * size, width = g->cols.n;
    fc_gemm m = {.a_at = d->x_at, .b_at = d->w_at, .lane_bias = s->expanded, .as = 1, .cs = d->lanes, .panel = s->panel};
    m.low = g->low[0], m.high = g->high[0];
    m.panels = bottleneck_panels(d, s->panel, set, sets, g->channels, d->expanded, width);
    for (ptrdiff_t i = 0; i < sets; i++)
        memcpy(s->expanded + i * d->expanded * size, w->expand_bias + (set + i) * vector, (size_t)vector);
    for (ptrdiff_t r = 0; r < rows; r++) {
        char *to = s->expanded + (1 + (first + r) * d->pitch + g->cols.lead) * vector;
        for (ptrdiff_t j = 0; j < width; j += m.rows) {
            m.rows = even_part(width - j, d->fc->rows);
            m.c = to + j * vector;
            for (ptrdiff_t c = 0; c < g->channels; c += m.depth) {
                m.depth = min(d->few, g->channels - c);
                m.a = s->x + (c * d->x_pitch + r * width + j) * size;
                m.b = w->expand + c * TURNED * size;
                m.add = c > 0;
                m.clamp = c + m.depth == g->channels;
                d->op->gemm(&m);
            }
        }
    }
}

static void bottleneck_slide(const bottleneck *d, const strip *s, const turned *w, ptrdiff_t set, ptrdiff_t sets, ptrdiff_t at)
{
    const fc_bottleneck *g = d->g;
    const ptrdiff_t vector = d->lanes * d->size, taps = g->rows.k * g->cols.k;
    fc_lanes k = {.w = s->taps,
                  .rows = s->rows,
                  .cols = g->cols.out,
                  .taps = g->cols.k,
                  .step = g->cols.stride * d->lanes,
                  .dilation = g->cols.dilation * d->lanes,
                  .out_row = g->cols.out * d->lanes,
                  .out_step = d->lanes,
                  .first = s->first,
                  .tap = s->tap,
                  .most = g->rows.k,
                  .clamp = 1,
                  .low = g->low[1],
                  .high = g->high[1]};
    for (ptrdiff_t i = 0; i < sets; i++) {
        k.x = s->expanded + (i * d->expanded + d->lanes) * d->size;
        const char *from = w->taps + bottleneck_turned_at(d, set + i, taps) * d->size;
        for (ptrdiff_t t = 0; t < taps; t++)
            memcpy(s->taps + t * vector, from + t * TURNED * d->size, (size_t)vector);
        k.bias = w->taps_bias + (set + i) * vector;
        k.out = s->slid + (at + i) * d->slid * d->size;
        d->op->lanes_rows(&k);
    }
}

/* Step 3: n inner channels from `from` on */
static void bottleneck_sum(const bottleneck *d, const strip *s, const turned *w, ptrdiff_t from, ptrdiff_t n)
{
    const fc_bottleneck *g = d->g;
    const ptrdiff_t vector = d->lanes * d->size, pixels = s->rows * g->cols.out;
    fc_gemm m = {.a_at = d->inner_at,
                 .b_at = d->w_at,
                 .b = w->project + from * TURNED * d->size,
                 .lane_bias = s->sums,
                 .as = d->lanes,
                 .cs = d->lanes,
                 .depth = n,
                 .panel = s->panel,
                 .add = from > 0};
    m.panels = bottleneck_panels(d, s->panel, 0, d->vectors, g->inner, d->summed, pixels);
    for (ptrdiff_t i = 0; i < d->vectors && from == 0; i++)
        memcpy(s->sums + i * d->summed * d->size, w->project_bias + i * vector, (size_t)vector);
    for (ptrdiff_t j = 0; j < pixels; j += m.rows) {
        m.rows = even_part(pixels - j, d->fc->rows);
        m.a = s->slid + j * vector;
        m.c = s->sums + (1 + j) * vector;
        d->op->gemm(&m);
    }
}

static void bottleneck_deliver(const bottleneck *d, const strip *s)
{
    const fc_bottleneck *g = d->g;
    const ptrdiff_t pixels = s->rows * g->cols.out, plane = g->rows.out * g->cols.out, size = d->size;
    for (ptrdiff_t i = 0; i < d->vectors; i++) {
        const ptrdiff_t kernel = i * d->lanes, n = min(d->lanes, g->kernels - kernel);
        char *to = g->out + ((s->image * g->kernels + kernel) * plane + s->row * g->cols.out) * size;
        const char *added = g->add ? (const char *)((uintptr_t)to + (uintptr_t)g->add) : NULL;
        const fc_finishing f = {to, to, added, n, pixels, plane, plane, g->activation, g->low[2], g->high[2]};
        d->op->lanes_out(to, plane, 1, s->sums + (i * d->summed + d->lanes) * size, pixels, n, 0);
        if (g->finishes)
            d->op->finish(&f);
    }
}

/* A band of an image */
static void bottleneck_chunk(void *context, ptrdiff_t index, int slot)
{
    const bottleneck *d = context;
    const fc_bottleneck *g = d->g;
    fc_room room = fc_room_at(d->scratch, d->thread_bytes, slot), weights = {.block = (char *)(uintptr_t)g->learnt};
    const turned w = bottleneck_lay_weights(d, &weights);
    strip s = {0};
    bottleneck_lay_parts(d, &room, &s);
    s.rows = next_piece(&index, g->rows.out, d->band, &s.row);
    s.image = index;
    const ptrdiff_t top = s.row * g->rows.stride - g->rows.lead, from = clamp(top, 0, g->rows.n);
    const ptrdiff_t rows = clamp(top + reach(&g->rows, s.rows), from, g->rows.n) - from;
    for (ptrdiff_t i = 0, n = 0; i <= s.rows; i++) {
        s.first[i] = n;
        for (ptrdiff_t k = 0; k < g->rows.k && i < s.rows; k++)
            s.tap[n++] =
                (fc_tap_row){(i * g->rows.stride + k * g->rows.dilation) * d->pitch * d->lanes, k * g->cols.k * d->lanes};
    }
    bottleneck_see(d, &s, from, rows);
    for (ptrdiff_t set = 0, sets, n; set < d->sets; set += parts_of(n, d->lanes)) {
        n = min(d->part, g->inner - set * d->lanes);
        for (ptrdiff_t at = 0; at < parts_of(n, d->lanes); at += sets) {
            sets = min(d->panel, parts_of(n, d->lanes) - at);
            bottleneck_expand(d, &s, &w, set + at, sets, from - top, rows);
            bottleneck_slide(d, &s, &w, set + at, sets, at);
        }
        bottleneck_sum(d, &s, &w, set * d->lanes, n);
    }
    bottleneck_deliver(d, &s);
    fc_close(&room);
}

/* All but tables and memory */
static bottleneck bottleneck_plan(const fc_bottleneck *g, const fc_kernels *fc)
{
    bottleneck d = {.g = g, .fc = fc, .op = fc->op[g->type], .size = fc_stored_size(g->type)};
    d.lanes = fc->vector_bytes / d.size;
    d.sets = parts_of(g->inner, d.lanes), d.vectors = parts_of(g->kernels, d.lanes);
    d.part = min(round_up(g->inner, BOTTLENECK_LANES), BOTTLENECK_PART), d.few = even_part(g->channels, LONGEST_PART);
    d.panel = min(d.part / d.lanes, fc->cols_of[fc->rows]);
    d.pitch = max(g->cols.lead + g->cols.n, reach(&g->cols, g->cols.out));
    const ptrdiff_t row = (g->rows.stride * d.pitch * d.panel * d.lanes + g->cols.out * d.part) * d.size;
    d.band = even_part(g->rows.out, clamp(BOTTLENECK_BLOCK / row, 1, g->rows.out));
    return d;
}

static void bottleneck_lay_out(bottleneck *d)
{
    const fc_bottleneck *g = d->g;
    d->seen = reach(&g->rows, d->band);
    d->x_pitch = odd_lines(d->seen * g->cols.n, d->size);
    d->expanded = ((1 + d->seen * d->pitch) | 1) * d->lanes; /* odd: sets do not share those of L1 */
    d->slid = ((d->band * g->cols.out) | 1) * d->lanes;
    d->summed = ((1 + d->band * g->cols.out) | 1) * d->lanes;
}

int fc_bottleneck_run(const fc_bottleneck *g)
{
    bottleneck d = bottleneck_plan(g, fc_in_use());
    if (g->images == 0)
        return 0;
    const double outputs = (double)(g->images * g->rows.out * g->cols.out) * (double)g->inner;
    const double seen = (double)(g->images * g->rows.n * g->cols.n) * (double)g->inner;
    const double products = seen * (double)g->channels + outputs * (double)(g->rows.k * g->cols.k + g->kernels);
    const int threads = fc_threads_for(fc_time_us(RATE_PRODUCTS, products * (double)d.size, d.fc->vector_bytes, 0), g->threads);
    d.band = even_part(g->rows.out, min(d.band, parts_of(g->rows.out, parts_of(threads, g->images))));
    bottleneck_lay_out(&d);
    fc_room parts = {0}, tables = {0};
    bottleneck_lay_parts(&d, &parts, &(strip){0});
    bottleneck_lay_tables(&d, &tables);
    d.thread_bytes = parts.bytes;
    char *memory = fc_borrow_rooms(&tables, threads, parts.bytes, &d.scratch);
    if (memory == NULL)
        return -1;
    bottleneck_lay_tables(&d, &tables);
    fc_pool_run(threads, g->images * parts_of(g->rows.out, d.band), bottleneck_chunk, &d);
    fc_close(&tables);
    fc_return(memory);
    return 0;
}

/* n kernels of so many weights each */
static void bottleneck_turn(const bottleneck *d, char *to, const char *from, ptrdiff_t n, ptrdiff_t each)
{
    const ptrdiff_t size = d->size;
    memset(to, 0, (size_t)(round_up(n, TURNED) * each * size));
    for (ptrdiff_t i = 0; i < n && from; i += d->lanes)
        d->op->lanes_in(to + bottleneck_turned_at(d, i / d->lanes, each) * size, 0, TURNED, from + i * each * size, each, each,
                        1, 1, each, min(d->lanes, n - i), 0);
}

ptrdiff_t fc_bottleneck_learn(const fc_bottleneck *g, const char *const w[3], const char *const bias[3], char *to)
{
    const bottleneck d = bottleneck_plan(g, fc_in_use());
    fc_room weights = {.block = to};
    const turned t = bottleneck_lay_weights(&d, &weights);
    if (to == NULL)
        return weights.bytes;
    bottleneck_turn(&d, t.expand, w[0], g->inner, g->channels);
    bottleneck_turn(&d, t.expand_bias, bias[0], g->inner, 1);
    bottleneck_turn(&d, t.taps, w[1], g->inner, g->rows.k * g->cols.k);
    bottleneck_turn(&d, t.taps_bias, bias[1], g->inner, 1);
    bottleneck_turn(&d, t.project, w[2], g->kernels, g->inner);
    bottleneck_turn(&d, t.project_bias, bias[2], g->kernels, 1);
    return weights.bytes;
}
