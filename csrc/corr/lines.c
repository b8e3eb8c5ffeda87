/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Method lines: one pass along rows and one along columns, as scipy.ndimage does them one array after the other, but tile by
 * tile, and to the same bits:
 *
 *        gathered tile            first pass            stored and read again          second pass
 *      +---------------+       +---------------+      +---+-----------+---+          +-----------+
 *      |   halo        |  down |               |      |   |  `between`|   |   across |           |
 *      |   +-------+   |  ---> |               | ---> |   |           |   |   --->   |  outputs  |
 *      |   |outputs|   |       |               |      |   |           |   |          |           |
 *      +---+-------+---+       +---------------+      +---+-----------+---+          +-----------+
 *
 * (or across, then down). Beyond the edges the result of the first pass continues as the second one's boundary says. As
 * each row or column beyond is a copy of one inside, so is its result; only what is constant beyond has to be put there.
 *
 * The order of sums is that of scipy.ndimage.correlate1d: of an odd kernel equal to its mirror image, or to the negative of
 * that, the centre, then sums or differences of the two elements that share a tap, from the outermost on; of others the
 * last tap, then the first and so on. Without fma. Taps that are all 1 are summed by box_tmpl.h instead.
 *
 * Of two terms, derivatives of a Gaussian, both are made of one tile, and of their sums the magnitude.
 */
#include "corr/call.h"
#include <string.h>

enum { LINES_SQUARE = 16 }; /* transposed rows and columns are a multiple of it */

/* Whether taps are their mirror image (+1) or its negative (-1), up to rounding; scipy.ndimage asks for 2^-52 */
static int lines_symmetry(const call *c, const char *w, ptrdiff_t taps)
{
    double most = 0, even = 0, odd = 0;
    if (taps % 2 == 0)
        return 0;
    for (ptrdiff_t t = 0; t < taps / 2; t++) {
        double a = float_at(c->g->type, w + t * c->size), b = float_at(c->g->type, w + (taps - 1 - t) * c->size);
        if (!(a - a == 0 && b - b == 0))
            return 0;
        most = __builtin_fmax(most, __builtin_fmax(__builtin_fabs(a), __builtin_fabs(b)));
        even = __builtin_fmax(even, __builtin_fabs(a - b));
        odd = __builtin_fmax(odd, __builtin_fabs(a + b));
    }
    double room = 0x1p-52 * (most < 1 ? most : 1);
    return even <= room ? 1 : odd <= room ? -1 : 0;
}

/* ---- sizes ------------------------------------------------------------------------------------- */

/* Whether there is a pass along an axis, and which one is the last; this one there is even where nothing is to do */
static int lines_pass_along(const fc_corr *g, int axis) { return g->axis[axis].k > 1 || g->line[axis].w; }
static int lines_last(const fc_corr *g)
{
    int last = g->columns_first ? ROWS : COLS;
    return lines_pass_along(g, last) ? last : ROWS + COLS - last;
}

static ptrdiff_t lines_halo(const call *c, int axis) { return reach(&c->g->axis[axis], 1) - 1; }

/* Tiles: what the first pass does in the halo of the second is work in vain. */
static int lines_prepare(call *c)
{
    const fc_corr *g = c->g;
    int last = lines_last(g), alone = !lines_pass_along(g, COLS);
    ptrdiff_t k = g->axis[ROWS].k, tall = max(CORR_TALL, k * (k > 128 ? 1 : alone ? 4 : g->columns_first ? 2 : 1));
    if (!g->line[ROWS].w && k > 1)
        tall = round_up(max(tall, LINES_TALL), k); /* whole blocks of sums */
    c->tile_out[ROWS] = tall;
    c->tile_out[COLS] = max(tall > 1024 ? 32 : CORR_WIDE, times(3, reach(&g->axis[COLS], 1)));
    c->more = LINES_SQUARE;
    c->divisor = g->line[last].divisor != 0 ? g->line[last].divisor : 1;
    c->out_adjacent &= c->divisor == 1 && (last == ROWS || g->line[last].w); /* sums along rows write whole squares */
    return 0;
}

static int lines_terms(const call *c) { return c->g->terms > 1 ? 2 : 1; }

/* The orders of both passes: where taps lie, and their weights */
static void lines_tables(call *c, fc_room *r)
{
    for (int t = 0; t < lines_terms(c); t++)
        for (int a = ROWS; a <= COLS; a++) {
            ptrdiff_t k = c->g->line[a].w ? c->g->axis[a].k : 0, *at = fc_part(r, "taps in tiles", k, sizeof *at);
            const char *w = c->g->line[a].w ? c->g->line[a].w + t * k * c->size : NULL;
            char *weights = fc_part(r, "taps", k, c->size);
            if (!w || !r->block)
                continue;
            fc_order *o = &c->lines[t][a];
            *o = (fc_order){.w = weights, .at = at, .fold = lines_symmetry(c, w, k), .start = -0.0};
            o->taps = o->fold ? k / 2 + 1 : k;
            for (ptrdiff_t i = 0; i < o->taps; i++) {
                at[i] = i > 0 ? i - 1 : o->fold ? k / 2 : k - 1;
                memcpy(weights + i * c->size, w + at[i] * c->size, (size_t)c->size);
            }
        }
}

/* What the first pass leaves: elements from row to row */
static ptrdiff_t lines_middle_row(const call *c)
{
    return odd_lines(plus(c->tile_out[COLS] + c->more, c->g->columns_first ? 0 : lines_halo(c, COLS)), c->size);
}

static ptrdiff_t lines_squares(ptrdiff_t n) { return round_up(n, LINES_SQUARE); }
static ptrdiff_t lines_strip(const call *c) /* rows that are summed at once: vectors of a strip, once transposed */
{
    return FC_SUMS_BYTES / c->size;
}

static void lines_across_parts(const call *c, fc_room *r, scratch *s, ptrdiff_t w, ptrdiff_t cols)
{
    ptrdiff_t row = odd_lines(lines_strip(c), c->size);
    s->turned = fc_part(r, "turned", times(lines_squares(plus(cols, w - 1)), row), c->size);
    s->across = fc_part(r, "across", times(lines_squares(cols), row), c->size);
}

static void lines_parts(const call *c, fc_room *r, scratch *s)
{
    const fc_corr *g = c->g;
    int last = lines_last(g), down = lines_pass_along(g, ROWS), across = lines_pass_along(g, COLS);
    int sums_down = (down || last == ROWS) && !g->line[ROWS].w, sums_across = (across || last == COLS) && !g->line[COLS].w;
    if (down && across) {
        ptrdiff_t rows = plus(c->tile_out[ROWS] + c->more, g->columns_first ? lines_halo(c, ROWS) : 0);
        s->down = fc_part(r, "middle", times(rows, lines_middle_row(c)), c->size);
        s->between = fc_part(r, "stored between", lines_middle_row(c), sizeof(int64_t)); /* whatever type */
    }
    if (lines_terms(c) > 1)
        s->across = fc_part(r, "second term", times(c->tile_out[ROWS], lines_middle_row(c)), c->size);
    if (sums_across)
        lines_across_parts(c, r, s, g->axis[COLS].k, c->tile_out[COLS]);
    s->ring = fc_part(r, "ring", max(sums_down ? g->axis[ROWS].k : 0, sums_across ? g->axis[COLS].k : 0), FC_SUMS_BYTES);
}

/* ---- passes ------------------------------------------------------------------------------------ */

/* out[i][j] = x[i][j] + ... + x[i][j+w-1]; the first output is number `at` of the whole. Of x up to lines_squares(rows) rows of
 * lines_squares(cols + w - 1) elements are read, of out as many of lines_squares(cols) are written. */
static void lines_sums_across(const call *c, const scratch *s, const char *x, ptrdiff_t xs, ptrdiff_t w, ptrdiff_t at,
                              char *out, ptrdiff_t os, ptrdiff_t rows, ptrdiff_t cols)
{
    ptrdiff_t strip = lines_strip(c), row = odd_lines(strip, c->size), wide = lines_squares(cols + w - 1);
    for (ptrdiff_t i = 0; i < rows; i += strip) {
        ptrdiff_t n = lines_squares(min(strip, rows - i));
        fc_sums g = {.height = w, .at = at, .rows = cols, .cols = n};
        c->x.moves->transpose(s->turned, row, x + i * xs * c->size, xs, n, wide);
        c->op->sums(s->turned, row, &g, s->across, row, s->ring);
        c->x.moves->transpose(out + i * os * c->size, os, s->across, row, lines_squares(cols), n);
    }
}

/* rows x cols results of the pass along `axis`, from x on; the first is number `at` of the whole */
static void lines_pass(const call *c, const scratch *s, int term, int axis, const char *x, ptrdiff_t xs, ptrdiff_t at,
                       char *out, ptrdiff_t os, ptrdiff_t rows, ptrdiff_t cols)
{
    ptrdiff_t k = c->g->axis[axis].k;
    if (c->g->line[axis].w) {
        fc_order o = c->lines[term][axis];
        o.unit = axis == ROWS ? xs : c->g->axis[COLS].dilation;
        c->op->ordered(x, xs, &o, out, os, rows, cols);
    } else if (axis == ROWS) {
        fc_sums g = {.height = k, .at = at, .rows = rows, .cols = cols};
        c->op->sums(x, xs, &g, out, os, s->ring);
    } else {
        lines_sums_across(c, s, x, xs, k, at, out, os, rows, cols);
    }
}

/* n results of the first pass as they would be read again */
static void lines_store_and_read(const call *c, char *row, char *stored, ptrdiff_t n, double divisor)
{
    if ((c->g->between == c->g->type && divisor == 1) || c->op->settle(row, c->g->between, n, divisor))
        return;
    c->op->narrow(stored, c->g->between, row, n, divisor, FC_TRUNCATED);
    c->op->widen(row, c->g->between, stored, n);
}

/* Both passes */
static void lines_term(const call *c, const scratch *s, int term, const patch *p)
{
    const fc_axis *axis = c->g->axis;
    int second = lines_last(c->g), first = ROWS + COLS - second;
    ptrdiff_t at[FC_AXES] = {0, axis[ROWS].start + p->row, axis[COLS].start + p->col};
    if (!lines_pass_along(c->g, first)) {
        lines_pass(c, s, term, second, p->src, p->r->row, at[second], p->out, p->out_row, p->rows, p->cols);
        return;
    }
    ptrdiff_t high = p->rows + (second == ROWS ? lines_halo(c, ROWS) : 0);
    ptrdiff_t wide = p->cols + (second == COLS ? lines_halo(c, COLS) : 0), row = lines_middle_row(c);
    double divisor = c->g->line[first].divisor;
    lines_pass(c, s, term, first, p->src, p->r->row, at[first], s->down, row, high, wide);
    for (ptrdiff_t i = 0; i < high; i++) {
        char *line = s->down + i * row * c->size;
        lines_store_and_read(c, line, s->between, wide, divisor != 0 ? divisor : 1);
        if (axis[second].boundary != FC_CONSTANT)
            continue;
        ptrdiff_t from = (second == ROWS ? p->row + i : p->col) - axis[second].lead;
        if (second == COLS)
            fc_put_fill(&c->x, line, from, wide);
        else if (from < 0 || from >= axis[ROWS].n)
            fc_copy_row(line, c->size, c->x.fill, 0, wide, c->size);
    }
    lines_pass(c, s, term, second, s->down, row, at[second], p->out, p->out_row, p->rows, p->cols);
}

static void lines_compute(const call *c, const scratch *s, const patch *p)
{
    lines_term(c, s, 0, p);
    if (lines_terms(c) == 1)
        return;
    patch other = *p;
    other.out = s->across, other.out_row = lines_middle_row(c);
    lines_term(c, s, 1, &other);
    for (ptrdiff_t i = 0; i < p->rows; i++) {
        char *row = p->out + i * p->out_row * c->size;
        c->op->magnitude(row, row, other.out + i * other.out_row * c->size, p->cols, c->g->out_type);
    }
}

const method fc_lines = {
    .reads_tiles = 1, .prepare = lines_prepare, .tables = lines_tables, .parts = lines_parts, .compute = lines_compute};
