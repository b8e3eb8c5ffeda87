/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The driver of weight gradients:  dw[m][c][t] = sum over images and outputs o of dy[m][o] x[c][o * stride - lead + t * dilation]
 *
 * Outer products (K1) whose sums run over outputs and whose vectors run across channels. One operand is read where it is: its
 * channels are the rows of the product. The other is turned into pixels first (lanes_tmpl.h), VLEN channels each:
 *
 *      lanes of x    rows: kernels, dy as it is      vectors: for every tap, the pixels of x that it meets
 *      lanes of dy   rows: channels, x as it is,     vectors: the pixels of dy
 *                    or its padded rows, tap by tap
 *
 * whichever leaves fewer lanes idle and has fewer elements to turn. With one channel a group there is no outer product: both
 * are turned, with a lane for every group, and a tap's pixels are multiplied by outputs lane by lane (lanes_grad).
 *
 *   1. Outputs of a plane are cut into blocks, and these into parts of about PART outputs, which are summed apart.
 *   2. A chunk has some vectors of lanes, and some rows. For every block it turns pixels, then multiplies part by part; its sums,
 *      [row][vector][tap][lane] or [vector][channel][tap][lane], are added up in scratch (or, if there is one tap, in dw).
 *   3. They are brought into the order of dw.
 *
 * Chunks share no sums, so their number, and that of the threads, does not matter to the bits.
 */
#include "layers/layer.h"
#include <string.h>

enum {
    PART = 256,          /* outputs summed in one go, at most */
    BLOCK = 192 << 10,   /* bytes of a block's pixels */
    PASS = 24 << 10,     /* of these, what a pass over a part with lanes of groups should see: half of L1 */
    SUMS = 1 << 20,      /* bytes of a chunk's sums */
    VECTORS = 8,         /* of a chunk with one tap; */
    TAP_VECTORS = 18,    /* with several, taps times vectors */
    WIDE = 16,           /* strides beyond which the elements between outputs are left out */
};

typedef struct {
    const fc_conv *g;
    const fc_kernels *fc;             /* of the whole call */
    const fc_axis *axis;
    const fc_ops *op;
    int each;                         /* a lane for every group; x is turned, and so is dy, kernel by kernel */
    int lanes_of_x;
    ptrdiff_t size, vlen, taps;
    ptrdiff_t lanes, rows;            /* channels of a group (or groups) that are lanes, and that are rows */
    ptrdiff_t vectors, rows_chunk;    /* of a chunk */
    ptrdiff_t chunks[2], products;    /* of a product; products: groups that have lanes of their own, or one of all */
    ptrdiff_t tall, wide, part;       /* outputs of a block: rows, columns; rows of a part */
    int apart[FC_AXES];               /* lines under different taps are stored apart */
    ptrdiff_t step[FC_AXES];          /* lines from output to output, as they are stored: 1 where those between are left out */
    ptrdiff_t lines[FC_AXES];         /* rows and columns of x that a block sees, as they are stored */
    int copied;                       /* x is, where dy is turned: it has a border */
    ptrdiff_t plane;                  /* elements of a stored plane: of pixels, or of copied x */
    ptrdiff_t thread_bytes;
    char *scratch;
} driver;

typedef struct {
    char *pixels, *copy, *sums; /* copy: of x, or pixels of dy where x has pixels, too */
    fc_panel *panel;
    ptrdiff_t *row_at, *lane_at; /* of K1 */
    ptrdiff_t image, z, row, rows, col, cols; /* outputs of the block */
} block;

/* ---- geometry --------------------------------------------------------------------------------- */

/* Elements of an axis of x that n outputs see under one tap, as they are stored apart */
static ptrdiff_t of_tap(const driver *d, int i, ptrdiff_t n)
{
    return (n - 1) * d->step[i] + 1;
}
/* Under all taps: from the first to the last, or those of each */
static ptrdiff_t stored(const driver *d, int i, ptrdiff_t n)
{
    return d->apart[i] ? d->axis[i].k * of_tap(d, i, n) : reach(&d->axis[i], n);
}
static ptrdiff_t tap_at(const driver *d, int i, ptrdiff_t t, ptrdiff_t n)
{
    return t * (d->apart[i] ? of_tap(d, i, n) : d->axis[i].dilation);
}
static ptrdiff_t output_at(const driver *d, int i, ptrdiff_t o)
{
    return o * d->step[i];
}
/* Elements of x from one stored line to the next, under one tap */
static ptrdiff_t source_step(const driver *d, int i)
{
    return d->axis[i].stride / d->step[i];
}
/* The column or row of x, `from` being the first output, that is stored as `line` */
static ptrdiff_t source_of(const driver *d, int i, ptrdiff_t from, ptrdiff_t line, ptrdiff_t n)
{
    const fc_axis *a = &d->axis[i];
    ptrdiff_t first = from * a->stride - a->lead, lines = of_tap(d, i, n);
    if (!d->apart[i])
        return first + line;
    return first + line / lines * a->dilation + line % lines * source_step(d, i);
}

static ptrdiff_t bytes_of(const driver *d, ptrdiff_t tall, ptrdiff_t wide)
{
    ptrdiff_t x = d->axis[DEPTH].k * stored(d, ROWS, tall) * stored(d, COLS, wide);
    if (d->lanes_of_x)
        return (d->vectors * x + (d->each ? tall * wide : 0)) * d->vlen * d->size;
    return d->vectors * tall * wide * d->vlen * d->size + (d->copied ? d->rows_chunk * x * d->size : 0);
}

static void choose_blocks(driver *d)
{
    const fc_axis *axis = d->axis;
    for (int i = ROWS; i <= COLS; i++) {
        ptrdiff_t few = min(axis[i].out, i == COLS ? 64 : 8);
        d->apart[i] = axis[i].k == 1 || axis[i].k * few < (axis[i].k - 1) * axis[i].dilation || axis[i].stride > max(WIDE, axis[i].k);
        d->step[i] = d->apart[i] && (i == ROWS || axis[i].stride > WIDE) ? 1 : axis[i].stride;
    }
    for (ptrdiff_t most = PART;; most /= 2) {
        d->wide = parts_of(axis[COLS].out, parts_of(axis[COLS].out, most));
        d->part = clamp(PART / d->wide, 1, axis[ROWS].out);
        d->part = parts_of(axis[ROWS].out, parts_of(axis[ROWS].out, d->part));
        if (most <= 16 || bytes_of(d, d->part, d->wide) <= BLOCK)
            break;
        d->part = 1;
        if (bytes_of(d, 1, d->wide) <= BLOCK)
            break;
    }
    while (d->each && d->part > 1 && bytes_of(d, d->part, d->wide) > PASS)
        d->part = parts_of(d->part, 2);
    d->tall = d->part;
    while (d->tall < axis[ROWS].out && bytes_of(d, d->tall + d->part, d->wide) <= BLOCK)
        d->tall += d->part;
    d->lines[ROWS] = stored(d, ROWS, d->tall), d->lines[COLS] = stored(d, COLS, d->wide);
    d->plane = axis[DEPTH].k * d->lines[ROWS] * d->lines[COLS];
}

/* Whether x never meets its border */
static int is_inside(const fc_axis *axis)
{
    for (int i = DEPTH; i <= COLS; i++)
        if (axis[i].lead != 0 || reach(&axis[i], axis[i].out) > axis[i].n)
            return 0;
    return 1;
}

static void choose_lanes(driver *d)
{
    const fc_conv *g = d->g;
    const fc_axis *axis = d->axis;
    d->products = g->groups;
    d->each = g->channels == 1 && g->groups > 1 && g->groups >= g->kernels && g->kernels * d->taps * d->vlen * d->size <= SUMS;
    if (d->each) {
        d->lanes_of_x = d->vectors = d->chunks[0] = d->products = 1;
        d->lanes = g->groups, d->rows = d->rows_chunk = g->kernels;
        d->chunks[1] = parts_of(g->groups, d->vlen);
        return;
    }
    double x = 1, outputs = 1;
    for (int i = DEPTH; i <= COLS; i++)
        x *= (double)axis[i].n, outputs *= (double)axis[i].out;
    enum { TURN = 16 }; /* fma that turning a vector costs */
    double lanes_x = (double)parts_of(g->channels, d->vlen), lanes_dy = (double)parts_of(g->kernels, d->vlen);
    double of_x = lanes_x * ((double)(g->kernels * d->taps) * outputs + TURN * x);
    double of_dy = lanes_dy * ((double)(parts_of(g->channels, 4) * 4 * d->taps) * outputs + TURN * outputs);
    d->copied = !is_inside(axis);
    if (d->copied)
        of_dy += 2 * (double)g->channels * x;
    d->lanes_of_x = of_x <= of_dy || d->vlen * g->channels * d->taps * d->size > SUMS;
    d->lanes = d->lanes_of_x ? g->channels : g->kernels;
    d->rows = d->lanes_of_x ? g->kernels : g->channels;
    ptrdiff_t most = d->taps == 1 || !d->lanes_of_x ? VECTORS : max(TAP_VECTORS / d->taps, 1);
    ptrdiff_t vectors = parts_of(d->lanes, d->vlen);
    d->vectors = parts_of(vectors, parts_of(vectors, most));
    if (d->lanes_of_x)
        d->rows_chunk = clamp(SUMS / (d->vectors * d->taps * d->vlen * d->size) / d->fc->rows * d->fc->rows, min(d->fc->rows, d->rows), d->rows);
    else {
        d->rows_chunk = d->rows; /* all: dw is written plane by plane */
        d->vectors = clamp(SUMS / (d->rows * d->taps * d->vlen * d->size), 1, d->vectors);
    }
    d->chunks[0] = parts_of(d->rows, d->rows_chunk), d->chunks[1] = parts_of(vectors, d->vectors);
}

/* ---- step 2 ----------------------------------------------------------------------------------- */

/* Rows of elements of `lanes` channels, `channel`, `row` and `step` bytes apart, to pixels; `pitch` pixels from row to row */
static void turn(const driver *d, char *to, ptrdiff_t pitch, const char *from, ptrdiff_t channel, ptrdiff_t row, ptrdiff_t step,
                 ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t lanes)
{
    const ptrdiff_t size = d->size;
    if ((step == size || channel == size) && row % size == 0)
        d->op->lanes_in(to, pitch * d->vlen, from, channel / size, row / size, step / size, rows, cols, lanes);
    else /* pixel by pixel */
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t j = 0; j < cols; j++)
                d->op->lanes_in(to + (i * pitch + j) * d->vlen * size, 0, from + i * row + j * step, channel / size, 0, 1, 1, 1, lanes);
}

/* `count` elements of a line of x, `step` bytes apart, that all lie inside: pixels of `lanes` channels, or a copy of one */
static void take(const driver *d, char *to, const char *x, ptrdiff_t step, ptrdiff_t count, ptrdiff_t lanes)
{
    if (d->lanes_of_x)
        turn(d, to, 0, x, d->g->x_channel, 0, step, 1, count, lanes);
    else
        fc_copy_row(to, d->size, x, step, count, d->size);
}

/* A line as it is stored: columns of x from `first` on, continued by the boundary; but for those inside, if they are there */
static void fill_line(const driver *d, char *to, const char *x, ptrdiff_t first, ptrdiff_t count, ptrdiff_t lanes, int there)
{
    const fc_axis *cols = &d->axis[COLS];
    const ptrdiff_t element = (d->lanes_of_x ? d->vlen : 1) * d->size;
    const ptrdiff_t step = source_step(d, COLS);
    ptrdiff_t from, end;
    inside(cols->n, step, first, count, &from, &end);
    if (end > from && !there)
        take(d, to + from * element, x + (first + from * step) * cols->x_step, step * cols->x_step, end - from, lanes);
    for (ptrdiff_t j = 0; j < count; j++) {
        if (j == from)
            j = end;
        if (j == count)
            break;
        ptrdiff_t source = fc_source_index(first + j * step, cols->n, cols->boundary);
        if (source < 0)
            memset(to + j * element, 0, (size_t)element);
        else
            take(d, to + j * element, x + source * cols->x_step, cols->x_step, 1, lanes);
    }
}

/* Of a plane, what lies inside of x and is stored in order, at once. Returns whether it is. */
static int fill_inside(const driver *d, const block *b, char *to, const char *x, ptrdiff_t lanes)
{
    const fc_axis *rows = &d->axis[ROWS], *cols = &d->axis[COLS];
    if (!d->lanes_of_x || (d->apart[ROWS] && rows->k > 1) || (d->apart[COLS] && cols->k > 1))
        return 0;
    const ptrdiff_t count = stored(d, ROWS, b->rows), wide = stored(d, COLS, b->cols);
    const ptrdiff_t step = source_step(d, ROWS), right_step = source_step(d, COLS);
    ptrdiff_t row = source_of(d, ROWS, b->row, 0, b->rows), col = source_of(d, COLS, b->col, 0, b->cols);
    ptrdiff_t top, bottom, left, right;
    inside(rows->n, step, row, count, &top, &bottom);
    inside(cols->n, right_step, col, wide, &left, &right);
    if (bottom > top && right > left)
        turn(d, to + (top * d->lines[COLS] + left) * d->vlen * d->size, d->lines[COLS],
             x + (row + top * step) * rows->x_step + (col + left * right_step) * cols->x_step, d->g->x_channel, step * rows->x_step,
             right_step * cols->x_step, bottom - top, right - left, lanes);
    return 1;
}

/* What the block sees of x, from channel x on: pixels of `lanes` channels, or a copy of one */
static void fill(const driver *d, const block *b, char *to, const char *x, ptrdiff_t lanes)
{
    const fc_axis *axis = d->axis;
    const ptrdiff_t element = (d->lanes_of_x ? d->vlen : 1) * d->size, rows = stored(d, ROWS, b->rows), n = axis[ROWS].n;
    const ptrdiff_t cols = d->apart[COLS] ? axis[COLS].k : 1, count = stored(d, COLS, b->cols) / cols;
    for (ptrdiff_t z = 0; z < axis[DEPTH].k; z++, to += d->lines[ROWS] * d->lines[COLS] * element) {
        ptrdiff_t depth = fc_source_index(b->z * axis[DEPTH].stride - axis[DEPTH].lead + z * axis[DEPTH].dilation, axis[DEPTH].n,
                                          axis[DEPTH].boundary);
        const char *plane = x + max(depth, 0) * axis[DEPTH].x_step;
        int there = depth >= 0 && fill_inside(d, b, to, plane, lanes);
        for (ptrdiff_t r = 0; r < rows; r++) {
            char *line = to + r * d->lines[COLS] * element;
            ptrdiff_t at = source_of(d, ROWS, b->row, r, b->rows), row = fc_source_index(at, n, axis[ROWS].boundary);
            if (depth < 0 || row < 0) {
                memset(line, 0, (size_t)(d->lines[COLS] * element));
                continue;
            }
            for (ptrdiff_t s = 0; s < cols; s++, line += count * element) {
                ptrdiff_t first = source_of(d, COLS, b->col, s * count, b->cols);
                fill_line(d, line, plane + row * axis[ROWS].x_step, first, count, lanes, there && at == row);
            }
        }
    }
}

/* The block's outputs of `lanes` channels of dy, `channel` bytes apart */
static void turn_outputs(const driver *d, const block *b, char *to, const char *dy, ptrdiff_t channel, ptrdiff_t lanes)
{
    const fc_conv *g = d->g;
    turn(d, to, b->cols, dy, channel, g->dy_step[ROWS], g->dy_step[COLS], b->rows, b->cols, lanes);
}

/* What a block sees of a channel of dy, from one of its rows on */
static const char *outputs_of(const driver *d, const block *b, ptrdiff_t channel, ptrdiff_t row)
{
    const fc_conv *g = d->g;
    return g->dy + b->image * g->dy_image + channel * g->dy_channel + b->z * g->dy_step[DEPTH] + (b->row + row) * g->dy_step[ROWS] +
           b->col * g->dy_step[COLS];
}

/* K1's tables for a part of rows of `cols` outputs */
static void tabulate(const driver *d, ptrdiff_t *row_at, ptrdiff_t *lane_at, ptrdiff_t rows, ptrdiff_t cols)
{
    const fc_conv *g = d->g;
    const ptrdiff_t pitch = d->lines[COLS], size = d->size;
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < cols; j++, row_at++, lane_at++) {
            ptrdiff_t x = output_at(d, ROWS, i) * pitch + output_at(d, COLS, j), dy = (i * g->dy_step[ROWS] + j * g->dy_step[COLS]) / size;
            ptrdiff_t in_x = (i * d->axis[ROWS].stride * d->axis[ROWS].x_step + j * d->axis[COLS].stride * d->axis[COLS].x_step) / size;
            *row_at = d->lanes_of_x ? dy : d->copied ? x : in_x;
            *lane_at = (d->lanes_of_x ? x : i * cols + j) * d->vlen;
        }
}

/* What the gemm of a chunk needs beside a part: panels, and where its rows of sums are */
typedef struct {
    ptrdiff_t group, row, rows, lane, lanes, vectors;
    ptrdiff_t heights; /* rows of a tile */
} share;

/* Vectors of all taps of lanes of x, or of one tap of lanes of dy; sums are as at the top. */
static ptrdiff_t make_panels(const driver *d, const share *s, fc_panel *panel, ptrdiff_t rows, ptrdiff_t cols)
{
    const fc_axis *axis = d->axis;
    const ptrdiff_t widest = d->fc->cols_of[s->heights], area = d->lines[ROWS] * d->lines[COLS];
    fc_panel *to = panel;
    int n = 0;
    if (!d->lanes_of_x) {
        for (ptrdiff_t v = 0; v < s->vectors; v++)
            to = add_vector(to, &n, s->vectors - v, widest, v * rows * cols * d->vlen, v * d->rows * d->taps * d->vlen, d->vlen, d->vlen);
        return to - panel;
    }
    ptrdiff_t left = s->vectors * d->taps;
    for (ptrdiff_t v = 0; v < s->vectors; v++)
        for (ptrdiff_t z = 0, t = 0; z < axis[DEPTH].k; z++)
            for (ptrdiff_t r = 0; r < axis[ROWS].k; r++)
                for (ptrdiff_t c = 0; c < axis[COLS].k; c++, t++, left--) {
                    ptrdiff_t b = v * d->plane + z * area + tap_at(d, ROWS, r, rows) * d->lines[COLS] + tap_at(d, COLS, c, cols);
                    ptrdiff_t lanes = d->taps > 1 ? d->vlen : min(s->lanes - v * d->vlen, d->vlen);
                    to = add_vector(to, &n, left, widest, b * d->vlen, (v * d->taps + t) * d->vlen, lanes, d->vlen);
                }
    return to - panel;
}

/* Sums of a part of a block, `row` rows into it */
static void multiply(const driver *d, const share *s, const block *b, fc_gemm m, ptrdiff_t row, ptrdiff_t rows)
{
    const fc_conv *g = d->g;
    const fc_axis *axis = d->axis;
    const ptrdiff_t size = d->size, pitch = d->lines[COLS];
    m.depth = rows * b->cols;
    if (d->lanes_of_x) {
        m.a = outputs_of(d, b, s->group * g->kernels + s->row, row);
        m.b = b->pixels + output_at(d, ROWS, row) * pitch * d->vlen * size;
        m.as = g->dy_channel / size;
        for (ptrdiff_t i = 0, left; (left = s->rows - i) > 0; i += m.rows) {
            m.rows = parts_of(left, parts_of(left, s->heights)); /* as even as can be, which panels rely on */
            d->op->gemm(&m);
            m.a = (const char *)m.a + m.rows * m.as * size;
            m.c = (char *)m.c + m.rows * m.cs * size;
        }
        return;
    }
    const char *x = b->copy;
    ptrdiff_t z_step = d->lines[ROWS] * pitch * size, row_step = pitch * size, col_step = size;
    m.as = d->plane;
    if (d->copied)
        x += output_at(d, ROWS, row) * row_step;
    else {
        x = g->x + b->image * g->x_image + s->group * g->channels * g->x_channel + b->z * axis[DEPTH].stride * axis[DEPTH].x_step +
            (b->row + row) * axis[ROWS].stride * axis[ROWS].x_step + b->col * axis[COLS].stride * axis[COLS].x_step;
        z_step = axis[DEPTH].x_step * axis[DEPTH].dilation, row_step = axis[ROWS].x_step, col_step = axis[COLS].x_step;
        m.as = g->x_channel / size;
    }
    m.b = b->pixels + row * b->cols * d->vlen * size;
    m.rows = d->rows;
    char *c = m.c;
    for (ptrdiff_t z = 0; z < axis[DEPTH].k; z++)
        for (ptrdiff_t r = 0; r < axis[ROWS].k; r++)
            for (ptrdiff_t t = 0; t < axis[COLS].k; t++, c += d->vlen * size) {
                ptrdiff_t at_row = d->copied ? tap_at(d, ROWS, r, b->rows) : r * axis[ROWS].dilation;
                ptrdiff_t at_col = d->copied ? tap_at(d, COLS, t, b->cols) : t * axis[COLS].dilation;
                m.a = x + z * z_step + at_row * row_step + at_col * col_step;
                m.c = c;
                d->op->gemm(&m);
            }
}

/* The same where lanes are groups, of all parts */
static void multiply_lanes(const driver *d, const share *s, const block *b)
{
    const fc_conv *g = d->g;
    const fc_axis *axis = d->axis;
    const ptrdiff_t pixel = d->vlen * d->size, pitch = d->lines[COLS] * d->vlen;
    fc_lanes_grads l = {.cols = b->cols, .x_row = output_at(d, ROWS, 1) * pitch, .x_step = output_at(d, COLS, 1) * d->vlen,
                        .dy_row = b->cols * d->vlen, .tap_rows = axis[ROWS].k, .taps = axis[COLS].k,
                        .tap_row = tap_at(d, ROWS, 1, b->rows) * pitch, .dilation = tap_at(d, COLS, 1, b->cols) * d->vlen};
    const char *dy = outputs_of(d, b, s->lane * g->kernels, 0);
    char *sums = b->sums;
    for (ptrdiff_t m = 0; m < g->kernels; m++, dy += g->dy_channel, sums += d->taps * pixel) {
        turn_outputs(d, b, b->copy, dy, g->kernels * g->dy_channel, s->lanes);
        for (ptrdiff_t row = 0; row < b->rows; row += d->part)
            for (ptrdiff_t z = 0; z < axis[DEPTH].k; z++) {
                l.rows = min(d->part, b->rows - row);
                l.dy = b->copy + row * b->cols * pixel;
                l.x = b->pixels + z * d->lines[ROWS] * d->lines[COLS] * pixel + row * l.x_row * d->size;
                l.sums = sums + z * axis[ROWS].k * axis[COLS].k * pixel;
                d->op->lanes_grad(&l);
            }
    }
}

/* Step 3: sums to dw */
static void deliver(const driver *d, const share *s, const char *sums)
{
    const fc_conv *g = d->g;
    const ptrdiff_t kernel = g->channels * d->taps, size = d->size;
    if (d->each) {
        char *to = g->out + s->lane * g->kernels * kernel * size;
        for (ptrdiff_t m = 0; m < g->kernels; m++, to += kernel * size, sums += kernel * d->vlen * size)
            d->op->lanes_out(to, g->kernels * kernel, sums, kernel, s->lanes);
        return;
    }
    char *dw = g->out + (s->group * g->kernels + (d->lanes_of_x ? s->row : s->lane)) * kernel * size;
    if (d->lanes_of_x) {
        dw += s->lane * d->taps * size;
        for (ptrdiff_t i = 0; i < s->rows; i++, dw += kernel * size)
            for (ptrdiff_t v = 0; v < s->vectors; v++, sums += d->taps * d->vlen * size)
                d->op->lanes_out(dw + v * d->vlen * d->taps * size, d->taps, sums, d->taps, min(s->lanes - v * d->vlen, d->vlen));
        return;
    }
    for (ptrdiff_t v = 0; v < s->vectors; v++, dw += d->vlen * kernel * size, sums += kernel * d->vlen * size)
        d->op->lanes_out(dw, kernel, sums, kernel, min(s->lanes - v * d->vlen, d->vlen));
}

/* ---- one call ---------------------------------------------------------------------------------- */

/* Turn, and copy, what a block sees */
static void open_block(const driver *d, const share *s, const block *b)
{
    const fc_conv *g = d->g;
    const char *x = g->x + b->image * g->x_image + s->group * g->channels * g->x_channel;
    const char *dy = outputs_of(d, b, s->group * g->kernels + s->lane, 0);
    for (ptrdiff_t v = 0; v < s->vectors; v++) {
        ptrdiff_t lanes = min(s->lanes - v * d->vlen, d->vlen);
        if (d->lanes_of_x)
            fill(d, b, b->pixels + v * d->plane * d->vlen * d->size, x + (s->lane + v * d->vlen) * g->x_channel, lanes);
        else
            turn_outputs(d, b, b->pixels + v * b->rows * b->cols * d->vlen * d->size, dy + v * d->vlen * g->dy_channel,
                         g->dy_channel, lanes);
    }
    for (ptrdiff_t c = 0; d->copied && !d->lanes_of_x && c < g->channels; c++)
        fill(d, b, b->copy + c * d->plane * d->size, x + c * g->x_channel, 1);
}

/* Elements of a chunk's sums; outputs that are turned write a square beyond */
static ptrdiff_t sums_of(const driver *d)
{
    return times(plus(times(times(d->vectors, d->lanes_of_x ? d->rows_chunk : d->rows), d->taps), d->vlen), d->vlen);
}

static void lay_parts(const driver *d, fc_room *r, block *b)
{
    ptrdiff_t outputs = times(d->tall, d->wide);
    b->pixels = fc_part(r, "pixels", times(times(d->vectors, d->lanes_of_x ? d->plane : outputs), d->vlen), d->size);
    if (d->each)
        b->copy = fc_part(r, "pixels of dy", times(outputs, d->vlen), d->size);
    else if (d->copied && !d->lanes_of_x)
        b->copy = fc_part(r, "copy", times(d->g->channels, d->plane), d->size);
    b->sums = fc_part(r, "sums", sums_of(d), d->size);
    b->panel = fc_part(r, "panels", plus(times(d->vectors, d->lanes_of_x ? d->taps : 1), 1), sizeof *b->panel);
    b->row_at = fc_part(r, "outputs of rows", times(d->part, d->wide), sizeof *b->row_at);
    b->lane_at = fc_part(r, "outputs of lanes", times(d->part, d->wide), sizeof *b->lane_at);
}

/* index counts (product, rows, lanes) */
static void chunk(void *context, ptrdiff_t index, int slot)
{
    const driver *d = context;
    const fc_conv *g = d->g;
    const fc_axis *axis = d->axis;
    share s = {.lane = index % d->chunks[1] * d->vectors * d->vlen, .row = index / d->chunks[1] % d->chunks[0] * d->rows_chunk,
               .group = index / d->chunks[1] / d->chunks[0]};
    s.rows = min(d->rows_chunk, d->rows - s.row), s.lanes = min(d->vectors * d->vlen, d->lanes - s.lane);
    s.vectors = parts_of(s.lanes, d->vlen);
    s.heights = parts_of(s.rows, parts_of(s.rows, d->fc->rows));
    block b = {0};
    fc_room room = fc_room_at(d->scratch, d->thread_bytes, slot);
    lay_parts(d, &room, &b);
    int in_place = d->lanes_of_x && d->taps == 1 && !d->each;
    fc_gemm m = {.a_at = b.row_at, .b_at = b.lane_at, .panel = b.panel, .c = b.sums};
    m.cs = (d->lanes_of_x ? s.vectors : 1) * d->taps * d->vlen;
    if (in_place) {
        m.c = g->out + ((s.group * g->kernels + s.row) * g->channels + s.lane) * d->size;
        m.cs = g->channels;
    }
    ptrdiff_t tabulated[2] = {0, 0};
    if (d->each)
        memset(b.sums, 0, (size_t)(sums_of(d) * d->size));
    for (b.image = 0; b.image < g->images; b.image++)
        for (b.z = 0; b.z < axis[DEPTH].out; b.z++)
            for (b.col = 0; b.col < axis[COLS].out; b.col += d->wide)
                for (b.row = 0; b.row < axis[ROWS].out; b.row += d->tall) {
                    b.cols = min(d->wide, axis[COLS].out - b.col), b.rows = min(d->tall, axis[ROWS].out - b.row);
                    if (d->each) {
                        open_block(d, &s, &b);
                        multiply_lanes(d, &s, &b);
                        continue;
                    }
                    if (b.rows != tabulated[0] || b.cols != tabulated[1]) {
                        tabulate(d, b.row_at, b.lane_at, d->part, b.cols);
                        m.panels = make_panels(d, &s, b.panel, b.rows, b.cols);
                        tabulated[0] = b.rows, tabulated[1] = b.cols;
                    }
                    open_block(d, &s, &b);
                    for (ptrdiff_t row = 0; row < b.rows; row += d->part, m.add = 1)
                        multiply(d, &s, &b, m, row, min(d->part, b.rows - row));
                }
    if (!in_place)
        deliver(d, &s, b.sums);
    fc_close(&room);
}

int fc_conv_weight_run(const fc_conv *g)
{
    const fc_kernels *fc = fc_in_use();
    driver d = {.g = g, .fc = fc, .op = fc->op[g->type], .axis = g->axis, .size = fc_stored_size(g->type)};
    const fc_axis *axis = g->axis;
    d.vlen = fc->vector_bytes / d.size;
    d.taps = axis[DEPTH].k * axis[ROWS].k * axis[COLS].k;
    choose_lanes(&d);
    choose_blocks(&d);
    fc_room parts = {0};
    lay_parts(&d, &parts, &(block){0});
    d.thread_bytes = parts.bytes;
    double products = (double)(g->channels * d.taps) * (double)(g->images * g->groups * g->kernels) *
                      (double)(axis[DEPTH].out * axis[ROWS].out * axis[COLS].out);
    double us = products_us(fc, products, d.size);
    if (d.each)
        us += 1e-4 * (double)(g->images * g->groups) * (double)(axis[DEPTH].n * axis[ROWS].n * axis[COLS].n);
    int threads = fc_threads_for(us, g->threads);
    ptrdiff_t chunks = d.products * d.chunks[0] * d.chunks[1];
    threads = (int)min(threads, chunks);
    d.scratch = fc_borrow((size_t)times(threads, d.thread_bytes));
    if (d.scratch == NULL)
        return -1;
    fc_pool_run(threads, chunks, chunk, &d);
    fc_return(d.scratch);
    return 0;
}
