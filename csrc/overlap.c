/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Overlap-save: the output in tiles, two side by side at once, each correlated by fft.c:
 *
 *        tile 0     tile 1                   outputs of a tile: n - k + 1 along each axis; what it looks at, n
 *      +----------+----------+ - - - - -     elements, overlaps what its neighbours look at by k - 1
 *      |  pair (0, 0)        |  pair (0, 1)
 *      +----------+----------+ - - - - -     tiles begin at output 0 of the whole result, so that a window of it
 *      |  pair (1, 0)        |               is computed by the same tiles and has the same bits
 *
 * A value that is not finite would spread over both tiles. Where one comes out of a transform, the pair is computed
 * again by the direct method, and the value is seen in just the outputs whose windows hold it.
 */
#include "call.h"
#include <math.h>
#include <string.h>

/* The two axes of a tile. A signal may have rows, too, if nothing slides over them. */
static int is_signal(const fc_corr *g)
{
    return g->axis[ROWS].k == 1;
}

static double tile_size(const fc_corr *g, ptrdiff_t n[2])
{
    ptrdiff_t k[2] = {g->axis[ROWS].k, g->axis[COLS].k};
    ptrdiff_t out[2] = {is_signal(g) ? 1 : g->axis[ROWS].whole, g->axis[COLS].whole};
    return fc_fft_size(g->type, k, out, n);
}

static void tile_outputs(const fc_corr *g, const ptrdiff_t n[2], ptrdiff_t out[FC_AXES])
{
    out[DEPTH] = 1;
    out[ROWS] = is_signal(g) ? 1 : n[0] - g->axis[ROWS].k + 1;
    out[COLS] = (is_signal(g) ? n[0] * n[1] : n[1]) - g->axis[COLS].k + 1;
}

/* Tiles, or pairs of them, that n outputs from `start` on meet */
static ptrdiff_t parts_met(ptrdiff_t start, ptrdiff_t n, ptrdiff_t size)
{
    return (start + n - 1) / size - start / size + 1;
}

void fc_fft_plan(const fc_corr *g, fc_plan *plan, double threads_from_us)
{
    ptrdiff_t n[2], out[FC_AXES];
    double us = tile_size(g, n);
    if (n[0] == 0) { /* no tile is large enough */
        plan->serial_us = INFINITY;
        plan->parts[DEPTH] = plan->parts[ROWS] = plan->parts[COLS] = plan->threads = 1;
        return;
    }
    tile_outputs(g, n, out);
    plan->parts[DEPTH] = g->axis[DEPTH].out;
    plan->parts[ROWS] = parts_met(g->axis[ROWS].start, g->axis[ROWS].out, out[ROWS]);
    plan->parts[COLS] = parts_met(g->axis[COLS].start, g->axis[COLS].out, 2 * out[COLS]);
    double chunks = (double)plan->planes * (double)plan->parts[DEPTH] * (double)plan->parts[ROWS] * (double)plan->parts[COLS];
    plan->serial_us = us * (double)plan->planes * (double)g->axis[DEPTH].out * (is_signal(g) ? (double)g->axis[ROWS].out : 1);
    int threads = plan->serial_us < threads_from_us ? 1 : g->threads;
    plan->threads = threads < chunks ? threads : (int)chunks;
}

int fc_prepare_fft(call *c)
{
    const fc_axis *axis = c->g->axis;
    ptrdiff_t n[2], k[2] = {axis[ROWS].k, axis[COLS].k};
    tile_size(c->g, n);
    tile_outputs(c->g, n, c->fft_out);
    c->fft = fc_fft_new(c->g->type, n, k, is_signal(c->g), c->g->k, axis[ROWS].k_step, axis[COLS].k_step);
    if (c->fft && is_signal(c->g)) { /* a row is gathered before it is folded */
        size_t row = (size_t)(n[0] * n[1] * c->size), columns = (size_t)(n[0] * n[1]) * sizeof(ptrdiff_t);
        c->row_bytes = c->row_bytes > row ? c->row_bytes : row;
        c->column_bytes = c->column_bytes > columns ? c->column_bytes : columns;
        c->raw_bytes = c->g->x_type == c->g->type ? c->raw_bytes : (size_t)(n[0] * n[1] * c->stored + LINE) / LINE * LINE;
    } else if (c->fft) {
        size_t columns = (size_t)n[1] * sizeof(ptrdiff_t), raw = (size_t)(n[1] * c->stored + LINE) / LINE * LINE;
        c->column_bytes = c->column_bytes > columns ? c->column_bytes : columns;
        if (c->g->x_type != c->g->type && c->raw_bytes < raw)
            c->raw_bytes = raw;
    }
    return c->fft ? 0 : -1;
}

/* A tile of fft.c from what the outputs `from` ... look at, as many as there are in the whole result; zero elsewhere */
static void fill_tile(const job *j, int which, const ptrdiff_t from[FC_AXES], const ptrdiff_t count[FC_AXES])
{
    const call *c = j->c;
    const fc_axis *axis = c->g->axis;
    char *tile = fc_fft_tile(c->fft, j->s.work, which);
    rows_of layout = {.row = fc_fft_stride(c->fft)};
    ptrdiff_t tall = fc_fft_rows(c->fft), wide = fc_fft_columns(c->fft), elements = 0, rows = 0;
    if (count[ROWS] > 0 && count[COLS] > 0) {
        elements = reach(&axis[COLS], count[COLS]);
        rows = reach(&axis[ROWS], count[ROWS]);
        fc_gather(c, &j->s, is_signal(c->g) ? j->s.row : tile, &layout, j->x, from, count);
    }
    for (ptrdiff_t i = 0; i < tall; i++, tile += layout.row * c->size) {
        ptrdiff_t here = is_signal(c->g) ? clamp(elements - i * wide, 0, wide) : i < rows ? elements : 0;
        if (is_signal(c->g))
            memcpy(tile, j->s.row + i * wide * c->size, (size_t)(here * c->size));
        memset(tile + here * c->size, 0, (size_t)((wide - here) * c->size));
    }
}

/* n results from `at` on of row `row` of a tile, in the order of the outputs; returns whether they are finite */
static int take_results(const job *j, int which, ptrdiff_t row, ptrdiff_t at, ptrdiff_t n, char *to, ptrdiff_t step)
{
    const call *c = j->c;
    fc_finite_fn *finite = c->g->type == FC_F32 ? fc->finite_f32 : fc->finite_f64;
    const char *tile = fc_fft_tile(c->fft, j->s.work, which);
    ptrdiff_t stride = fc_fft_stride(c->fft), wide = fc_fft_columns(c->fft);
    int all = 1;
    for (ptrdiff_t part; n > 0; at += part, n -= part, to += part * step) {
        part = min(n, wide - at % wide);
        const char *from = tile + ((row + at / wide) * stride + at % wide) * c->size;
        all &= finite(from, part);
        fc_copy_row(to, step, from, c->size, part, c->size);
    }
    return all;
}

/* A pair of tiles; what of them is asked for goes to out. */
void fc_fft_chunk(const job *j, ptrdiff_t index)
{
    const call *c = j->c;
    const fc_axis *axis = c->g->axis, *rows = &axis[ROWS], *cols = &axis[COLS];
    ptrdiff_t tall = c->fft_out[ROWS], wide = c->fft_out[COLS];
    ptrdiff_t col = (index % c->plan.parts[COLS] + cols->start / (2 * wide)) * 2 * wide - cols->start;
    index /= c->plan.parts[COLS];
    ptrdiff_t row = (index % c->plan.parts[ROWS] + rows->start / tall) * tall - rows->start;
    ptrdiff_t z = index / c->plan.parts[ROWS];

    box asked[2];
    for (int which = 0; which < 2; which++) {
        ptrdiff_t from[FC_AXES] = {z, row, col + which * wide};
        ptrdiff_t count[FC_AXES] = {1, min(tall, rows->whole - rows->start - row), min(wide, cols->whole - cols->start - from[COLS])};
        fill_tile(j, which, from, count);
        for (int a = 0; a < FC_AXES; a++) {
            asked[which].from[a] = clamp(from[a], 0, axis[a].out);
            asked[which].to[a] = clamp(from[a] + count[a], asked[which].from[a], axis[a].out);
        }
    }
    fc_fft_correlate(c->fft, j->s.work);
    int finite = 1;
    for (int which = 0; which < 2; which++) {
        const box *b = &asked[which];
        ptrdiff_t left = col + which * wide, n = b->to[COLS] - b->from[COLS];
        for (ptrdiff_t i = b->from[ROWS]; i < b->to[ROWS] && n > 0; i++) {
            char *to = out_at(j, z, i, b->from[COLS]);
            finite &= take_results(j, which, i - row, b->from[COLS] - left, n, to, cols->out_step);
        }
    }
    for (int which = 0; which < 2 && !finite; which++)
        fc_bordered(j, &asked[which]);
}
