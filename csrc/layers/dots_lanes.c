/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Layers of bytes with a kernel, or a few, for each channel: a lane for each (dots_lanes_tmpl.h).
 *
 *   1. What a block of outputs sees of as many channels as a vector has bytes becomes pixels of these, rows of `pitch` of them. Planes are
 *      turned in registers (bytes_tmpl.h); pixels with channels last are copied. Around x lie pixels of its zero, or what the boundary says.
 *   2. Row by row of outputs, pixels are summed, and sums become bytes. Rows of taps are mixed into elements, column by column.
 *   3. These are pixels of the result, or are turned back into planes.
 *
 * Weights are what they are less their zeros. Those that int8 does not hold are sums of two or three that it does, each an element of its
 * own. What is known of a sum before x is, is what it begins with.
 */
#include "layers/dots.h"

typedef struct {
    const dots *d;
    ptrdiff_t lanes, blocks;        /* channels of a block */
    ptrdiff_t column, elements;     /* of a column of taps, of a kernel */
    ptrdiff_t run;                  /* outputs whose sums are in scratch */
    ptrdiff_t rows, cols;           /* of outputs of a block */
    ptrdiff_t pitch, plane, pixels; /* pixels of a row; bytes of a plane of taps in depth, and of all */
    ptrdiff_t thread_bytes;
    const ptrdiff_t *at, *element_at;
    const char *learnt;
    char *scratch;
} by_lanes;

typedef struct {
    char *pixels, *few, *mixed, *sums, *out, *scale;
    int32_t *first;
    ptrdiff_t *at;
    area area;
    ptrdiff_t plane, channel, count; /* of outputs; the first channel, and how many there are */
} lanes_block;

enum { RUN = 32 /* outputs, at most */, FEW = 16 /* of which a piece of a vector is made */ };

/* ---- what suits ------------------------------------------------------------------------------- */

/* Numbers of int8 that a weight is the sum of */
static ptrdiff_t lanes_passes(const dots *d)
{
    const fc_dots *g = d->g;
    int32_t low = 0, high = 0;
    for (ptrdiff_t i = 0; i < g->w_zeros; i++)
        low = i == 0 ? g->w_zero[i] : (int32_t)min(low, g->w_zero[i]), high = i == 0 ? low : (int32_t)max(high, g->w_zero[i]);
    const int32_t least = (g->w_type == FC_I8 ? -128 : 0) - high, most = (g->w_type == FC_I8 ? 127 : 255) - low;
    return d->kind == FC_DOT_PAIR ? 1 : max(parts_of(max(most, 0), 127), parts_of(max(-least, 0), 128));
}

static void lanes_lay_out(by_lanes *y, ptrdiff_t rows, ptrdiff_t cols)
{
    const fc_axis *axis = y->d->l.given;
    y->rows = rows, y->cols = cols, y->pitch = reach(&axis[COLS], cols);
    y->plane = times(times(reach(&axis[ROWS], rows), y->pitch), y->lanes), y->pixels = times(axis[DEPTH].k, y->plane);
}

static by_lanes lanes_describe(const dots *d)
{
    const fc_axis *axis = d->l.given;
    by_lanes y = {.d = d, .lanes = d->l.fc->vector_bytes, .column = parts_of(axis[DEPTH].k * axis[ROWS].k, d->group)};
    y.blocks = parts_of(d->g->layer.groups, y.lanes);
    y.elements = times(lanes_passes(d), times(y.column, axis[COLS].k));
    for (y.run = RUN; y.run > 1 && reach(&axis[COLS], y.run) * y.column > DOTS_LANES_MIXED; y.run = parts_of(y.run, 2))
        ;
    ptrdiff_t rows = axis[ROWS].out, cols = even_part(axis[COLS].out, DOTS_LANES_COLS);
    for (lanes_lay_out(&y, rows, cols); y.pixels > DOTS_LANES_PIXELS && rows * cols > 1; lanes_lay_out(&y, rows, cols))
        rows > 1 ? (rows = parts_of(rows, 2)) : (cols = parts_of(cols, 2));
    return y;
}

int fc_dots_by_lanes(const dots *d)
{
    const fc_conv *g = &d->g->layer;
    return g->channels == 1 && g->groups >= DOTS_LANES_LEAST && (g->kernels == 1 || !g->last) &&
           lanes_describe(d).pixels <= DOTS_LANES_PIXELS;
}

/* ---- weights ---------------------------------------------------------------------------------- */

int fc_dots_lanes_form(const dots *d) { return d->l.fc->vector_bytes * FC_DOTS + d->kind; }

static ptrdiff_t lanes_vector(const by_lanes *y) { return 4 * y->lanes; /* bytes of an element, or a sum, of each lane */ }

/* Where elements, and then first sums, of a block of kernel m of each group begin */
static ptrdiff_t lanes_at(const by_lanes *y, ptrdiff_t m, ptrdiff_t block)
{
    return LINE + (m * y->blocks + block) * (y->elements + 1) * lanes_vector(y);
}

/* The elements of a kernel, from `to` on, of zeros; returns the sum of its weights */
static uint32_t lanes_arrange(const by_lanes *y, char *to, const char *w, ptrdiff_t rows, ptrdiff_t cols, int32_t zero)
{
    const dots *d = y->d;
    const ptrdiff_t number = 4 / d->group, vector = lanes_vector(y), pass = y->column * cols;
    const int is_signed = d->g->w_type == FC_I8;
    uint32_t sum = 0;
    for (ptrdiff_t r = 0; r < rows && d->group == 4 && is_signed && zero == 0; r++) { /* bytes as they are */
        char *at = to + r / 4 * vector + r % 4;
        for (ptrdiff_t c = 0; c < cols; c++, w++, at += y->column * vector)
            *at = *w, sum += (uint32_t)(int8_t)*w;
        if (r + 1 == rows)
            return sum;
    }
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t c = 0; c < cols; c++, w++) {
            int32_t left = (is_signed ? (int8_t)*w : (uint8_t)*w) - zero;
            sum += (uint32_t)left;
            char *at = to + (c * y->column + r / d->group) * vector + r % d->group * number;
            for (ptrdiff_t p = 0; p < y->elements; p += pass, at += pass * vector) {
                const int16_t part = (int16_t)(d->group == 2 ? left : clamp(left, -128, 127));
                memcpy(at, &part, (size_t)number); /* little endian: the byte, if it is one */
                left -= part;
            }
        }
    return sum;
}

ptrdiff_t fc_dots_lanes_learn(const dots *d, char *to)
{
    const by_lanes y = lanes_describe(d);
    const fc_dots *g = d->g;
    const fc_axis *axis = d->l.given;
    const ptrdiff_t rows = axis[DEPTH].k * axis[ROWS].k, cols = axis[COLS].k, kernels = g->layer.kernels;
    const ptrdiff_t bytes = lanes_at(&y, kernels, 0);
    if (!to)
        return bytes;
    memset(to, 0, (size_t)bytes);
    *(int32_t *)(void *)to = fc_dots_lanes_form(d);
    for (ptrdiff_t k = 0; k < g->layer.groups * kernels; k++) {
        const ptrdiff_t c = k / kernels;
        char *block = to + lanes_at(&y, k % kernels, c / y.lanes) + 4 * fc_lane_of(c % y.lanes, y.lanes);
        const int32_t zero = g->w_zeros == 0 ? 0 : g->w_zero[g->w_zeros == 1 ? 0 : k];
        uint32_t sum = lanes_arrange(&y, block, g->layer.w + k * rows * cols, rows, cols, zero);
        sum *= 0 - d->shift;
        memcpy(block + y.elements * lanes_vector(&y), &sum, 4);
    }
    return bytes;
}

/* ---- step 1 ----------------------------------------------------------------------------------- */

/* n pixels, `step` bytes apart, of `count` bytes, which are `channel` apart, combined with the flip */
static void lanes_copy(const by_lanes *y, char *to, const char *from, ptrdiff_t step, ptrdiff_t n, ptrdiff_t channel,
                       ptrdiff_t count)
{
    typedef uint8_t piece __attribute__((vector_size(16)));
    const uint8_t flip = (uint8_t)y->d->flip;
    const ptrdiff_t whole = channel == 1 ? count / 16 * 16 : 0;
    for (ptrdiff_t j = 0; j < n; j++, to += y->lanes, from += step) {
        ptrdiff_t c = 0;
        for (; c + 64 <= whole; c += 64) {
            piece some[4];
            memcpy(some, from + c, 64);
            for (int i = 0; i < 4; i++)
                some[i] ^= flip;
            memcpy(to + c, some, 64);
        }
        for (; c < whole; c += 16) {
            piece some;
            memcpy(&some, from + c, 16);
            some ^= flip;
            memcpy(to + c, &some, 16);
        }
        for (; c < count; c++)
            to[c] = (char)(from[c * channel] ^ (char)flip);
    }
}

/* n elements of every channel, which adjoin in x, to the pixels at b->at from `to` on */
static void lanes_turn(const by_lanes *y, const lanes_block *b, char *to, const char *x, ptrdiff_t n)
{
    fc_turning t = {
        .from = x, .to = to, .at = b->at, .apart = y->d->g->layer.x_channel, .count = b->count, .n = n, .flip = y->d->flip};
    if (n < FEW) {
        for (ptrdiff_t c = 0; c < b->count; c++)
            memcpy(b->few + c * FEW, x + c * t.apart, (size_t)n);
        t.from = b->few, t.apart = t.n = FEW;
    }
    y->d->l.op->bytes_in(&t);
}

/* Of a plane, rows x cols of x that lie side by side */
static void lanes_fill_inside(const by_lanes *y, const lanes_block *b, char *to, const char *x, ptrdiff_t rows, ptrdiff_t cols)
{
    const fc_axis *axis = y->d->l.given;
    const ptrdiff_t row = axis[ROWS].x_step, step = axis[COLS].x_step, channel = y->d->g->layer.x_channel;
    if ((step == 1 || cols == 1) && (channel != 1 || b->count == 1)) {
        const int adjoin = row == cols;
        const ptrdiff_t n = adjoin ? rows * cols : cols;
        for (ptrdiff_t i = 0, at = 0; i < n; at += y->pitch * y->lanes)
            for (ptrdiff_t j = 0; j < cols; j++, i++)
                b->at[i] = at + j * y->lanes;
        for (ptrdiff_t i = 0; i < (adjoin ? 1 : rows); i++) {
            for (ptrdiff_t k = n; k < FEW; k++) /* nowhere */
                b->at[k] = b->pixels + y->pixels - (to + i * y->pitch * y->lanes);
            lanes_turn(y, b, to + i * y->pitch * y->lanes, x + i * row, n);
        }
        return;
    }
    for (ptrdiff_t i = 0; i < rows; i++)
        lanes_copy(y, to + i * y->pitch * y->lanes, x + i * row, step, cols, channel, b->count);
}

static void lanes_fill(const by_lanes *y, const lanes_block *b, char *to, const char *x)
{
    const fc_axis *r = &y->d->l.given[ROWS], *s = &y->d->l.given[COLS];
    const ptrdiff_t first_row = b->area.row * r->stride - r->lead, first_col = b->area.col * s->stride - s->lead;
    const ptrdiff_t rows = reach(r, b->area.rows), cols = reach(s, b->area.cols);
    ptrdiff_t row, row_end, col, col_end;
    inside(r->n, 1, first_row, rows, &row, &row_end);
    inside(s->n, 1, first_col, cols, &col, &col_end);
    if (row < row_end && col < col_end)
        lanes_fill_inside(y, b, to + (row * y->pitch + col) * y->lanes,
                          x + (first_row + row) * r->x_step + (first_col + col) * s->x_step, row_end - row, col_end - col);
    for (ptrdiff_t i = 0; i < rows; i++, to += y->pitch * y->lanes) {
        const int there = i >= row && i < row_end, zero = (int)(y->d->shift & 255);
        const ptrdiff_t source = fc_source_index(first_row + i, r->n, r->boundary);
        if (source < 0 || (there && s->boundary == FC_CONSTANT)) { /* zeros, but for what is there */
            const ptrdiff_t from = there ? col : cols, end = there ? max(col, col_end) : cols;
            memset(to, zero, (size_t)(from * y->lanes));
            memset(to + end * y->lanes, zero, (size_t)((cols - end) * y->lanes));
            continue;
        }
        for (ptrdiff_t j = there ? outside(0, col, col_end) : 0; j < cols; j = there ? outside(j + 1, col, col_end) : j + 1) {
            const ptrdiff_t at = fc_source_index(first_col + j, s->n, s->boundary);
            if (at < 0)
                memset(to + j * y->lanes, zero, (size_t)y->lanes);
            else
                lanes_copy(y, to + j * y->lanes, x + source * r->x_step + at * s->x_step, 0, 1, y->d->g->layer.x_channel,
                           b->count);
        }
    }
}

/* ---- steps 2 and 3 ---------------------------------------------------------------------------- */

static void lanes_store_sums(const by_lanes *y, const lanes_block *b, char *to, ptrdiff_t channel, ptrdiff_t step, ptrdiff_t n)
{
    for (ptrdiff_t c = 0; c < b->count; c++, to += channel) {
        const char *sum = b->sums + 4 * fc_lane_of(c, y->lanes);
        for (ptrdiff_t j = 0; j < n; j++, sum += lanes_vector(y))
            memcpy(to + j * step, sum, 4);
    }
}

/* n pixels of the result, which adjoin in every plane */
static void lanes_turn_back(const by_lanes *y, const lanes_block *b, char *to, ptrdiff_t channel, const char *from, ptrdiff_t n)
{
    fc_turning t = {.from = from, .to = to, .apart = channel, .count = b->count, .n = n};
    if (n < FEW)
        t.to = b->few, t.apart = t.n = FEW;
    y->d->l.op->bytes_out(&t);
    for (ptrdiff_t c = 0; c < b->count && n < FEW; c++)
        memcpy(to + c * channel, b->few + c * FEW, (size_t)n);
}

/* What the sums of kernel m begin with, and their scales */
static void lanes_begin(const by_lanes *y, const lanes_block *b, ptrdiff_t m, const char *first)
{
    const fc_dots *g = y->d->g;
    memcpy(b->first, first, (size_t)lanes_vector(y));
    for (ptrdiff_t c = 0; c < b->count; c++) {
        const ptrdiff_t kernel = (b->channel + c) * g->layer.kernels + m, lane = fc_lane_of(c, y->lanes);
        if (g->layer.bias)
            b->first[lane] = (int32_t)((uint32_t)b->first[lane] + ((const uint32_t *)(const void *)g->layer.bias)[kernel]);
        if (g->out_type != FC_I32)
            memcpy(b->scale + 4 * lane, g->scale + (g->scales == 1 ? 0 : kernel), 4);
    }
}

static void lanes_correlate(const by_lanes *y, const lanes_block *b, ptrdiff_t m)
{
    const dots *d = y->d;
    const fc_conv *g = &d->g->layer;
    const fc_axis *axis = d->l.given;
    const area *a = &b->area;
    const ptrdiff_t size = fc_stored_size(d->g->out_type), all = g->groups * g->kernels, depth = axis[DEPTH].out;
    const ptrdiff_t volume = depth * axis[ROWS].out * axis[COLS].out, kernel = b->channel * g->kernels + m;
    const ptrdiff_t step = (g->last ? all : 1) * size, channel = g->last ? size : g->kernels * volume * size;
    const char *w = y->learnt + lanes_at(y, m, b->channel / y->lanes);
    const int bytes = size == 1, turns = bytes && !g->last, flat = a->cols == axis[COLS].out;
    const fc_rescaling r = {b->scale, d->g->out_type, d->g->y_zero, turns ? y->lanes : b->count, turns ? y->lanes : step};
    char *to = g->out + b->plane / depth * all * volume * size + (g->last ? kernel : kernel * volume) * size;
    to += ((b->plane % depth * axis[ROWS].out + a->row) * axis[COLS].out + a->col) * step;
    lanes_begin(y, b, m, w + y->elements * lanes_vector(y));
    fc_dots_lanes k = {.at = y->at,
                       .element_at = y->element_at,
                       .w = w,
                       .first = b->first,
                       .mixed = b->mixed,
                       .sums = b->sums,
                       .column = y->column,
                       .step = axis[COLS].stride * y->column,
                       .elements = y->elements};
    for (ptrdiff_t i = 0; i < a->rows; i++)
        for (ptrdiff_t j = 0; j < a->cols; j += k.n) {
            char *here = to + (i * axis[COLS].out + j) * step;
            k.n = min(y->run, a->cols - j), k.columns = reach(&axis[COLS], k.n);
            k.x = b->pixels + (i * axis[ROWS].stride * y->pitch + j * axis[COLS].stride) * y->lanes;
            d->l.fc->dots[d->kind].lanes(&k);
            if (bytes)
                d->l.op->rescale(turns ? b->out + (i * a->cols + j) * y->lanes : here, b->sums, k.n, &r);
            else
                lanes_store_sums(y, b, here, channel, step, k.n);
        }
    for (ptrdiff_t i = 0; turns && i < (flat ? 1 : a->rows); i++)
        lanes_turn_back(y, b, to + i * axis[COLS].out, channel, b->out + i * a->cols * y->lanes,
                        a->cols * (flat ? a->rows : 1));
}

/* ---- a call ----------------------------------------------------------------------------------- */

static void lanes_lay_parts(const by_lanes *y, fc_room *r, lanes_block *b)
{
    const ptrdiff_t turns = y->d->g->out_type != FC_I32 && !y->d->g->layer.last;
    b->pixels = fc_part(r, "pixels", plus(y->pixels, y->lanes), 1);
    b->few = fc_part(r, "few", y->lanes, FEW);
    b->mixed = fc_part(r, "mixed", times(times(reach(&y->d->l.given[COLS], y->run), y->column), y->lanes), 4);
    b->sums = fc_part(r, "sums", times(y->run, y->lanes), 4);
    b->first = fc_part(r, "first", y->lanes, 4);
    b->scale = fc_part(r, "scales", y->lanes, 4);
    b->out = fc_part(r, "out", turns ? max(times(y->rows, y->cols), FEW) : 0, y->lanes);
    b->at = fc_part(r, "pixels' places", max(y->plane / y->lanes, FEW), sizeof *b->at);
}

static void lanes_lay_tables(by_lanes *y, fc_room *r, ptrdiff_t learnt)
{
    const fc_axis *axis = y->d->l.given;
    const ptrdiff_t rows = axis[DEPTH].k * axis[ROWS].k, numbers = y->column * y->d->group;
    ptrdiff_t *at = fc_part(r, "rows of taps", numbers, sizeof *at);
    ptrdiff_t *element_at = fc_part(r, "elements", y->elements, sizeof *element_at);
    char *weights = fc_part(r, "weights", learnt, 1);
    y->at = at, y->element_at = element_at, y->learnt = learnt ? weights : y->d->g->layer.learnt;
    if (!r->block)
        return;
    for (ptrdiff_t i = 0; i < numbers; i++) {
        const ptrdiff_t row = min(i, rows - 1); /* more than there are: by zeros */
        at[i] = row / axis[ROWS].k * y->plane + row % axis[ROWS].k * axis[ROWS].dilation * y->pitch * y->lanes;
    }
    for (ptrdiff_t e = 0; e < y->elements; e++)
        element_at[e] = e / y->column % axis[COLS].k * axis[COLS].dilation * y->column + e % y->column;
    if (learnt)
        fc_dots_lanes_learn(y->d, weights);
}

/* index counts (planes, blocks of outputs, blocks of channels) */
static void lanes_chunk(void *context, ptrdiff_t index, int slot)
{
    const by_lanes *y = context;
    const fc_conv *g = &y->d->g->layer;
    const fc_axis *axis = y->d->l.given, *z = &axis[DEPTH];
    lanes_block b;
    fc_room room = fc_room_at(y->scratch, y->thread_bytes, slot);
    lanes_lay_parts(y, &room, &b);
    b.count = next_piece(&index, g->groups, y->lanes, &b.channel);
    b.area.cols = next_piece(&index, axis[COLS].out, y->cols, &b.area.col);
    b.area.rows = next_piece(&index, axis[ROWS].out, y->rows, &b.area.row);
    b.plane = index;
    const char *x = g->x + index / z->out * g->x_image + b.channel * g->x_channel;
    for (ptrdiff_t k = 0; k < z->k; k++) {
        const ptrdiff_t source = fc_source_index(index % z->out * z->stride - z->lead + k * z->dilation, z->n, z->boundary);
        if (source < 0)
            memset(b.pixels + k * y->plane, (int)(y->d->shift & 255), (size_t)y->plane);
        else
            lanes_fill(y, &b, b.pixels + k * y->plane, x + source * z->x_step);
    }
    for (ptrdiff_t m = 0; m < g->kernels; m++)
        lanes_correlate(y, &b, m);
    fc_close(&room);
}

int fc_dots_lanes_run(const dots *d)
{
    by_lanes y = lanes_describe(d);
    const fc_conv *g = &d->g->layer;
    const fc_axis *axis = d->l.given;
    const ptrdiff_t planes = g->images * axis[DEPTH].out, outputs = planes * axis[ROWS].out * axis[COLS].out;
    const ptrdiff_t chunks = planes * parts_of(axis[ROWS].out, y.rows) * parts_of(axis[COLS].out, y.cols) * y.blocks;
    const double products = (double)(outputs * y.blocks) * (double)(g->kernels * y.elements * 4);
    const int threads = (int)min(fc_threads_for(fc_time_us(RATE_LANES, products * d->l.fc->vector_bytes, d->l.fc->vector_bytes,
                                                           (double)(outputs * g->groups)),
                                                g->threads),
                                 chunks);
    const ptrdiff_t learnt =
        g->learnt && *(const int32_t *)(const void *)g->learnt == fc_dots_lanes_form(d) ? 0 : fc_dots_lanes_learn(d, NULL);
    fc_room parts = {0}, tables = {0};
    lanes_lay_parts(&y, &parts, &(lanes_block){0});
    lanes_lay_tables(&y, &tables, learnt);
    y.thread_bytes = parts.bytes;
    char *memory = fc_borrow_rooms(&tables, threads, parts.bytes, &y.scratch);
    if (memory == NULL)
        return -1;
    lanes_lay_tables(&y, &tables, learnt);
    fc_pool_run(threads, chunks, lanes_chunk, &y);
    fc_close(&tables);
    fc_return(memory);
    return 0;
}
