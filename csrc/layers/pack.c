/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What blocks of outputs see of a channel, packed as layer.h shows, with the boundary applied. */
#include "layers/layer.h"
#include <string.h>

/* ---- geometry --------------------------------------------------------------------------------- */

/* FEWER compares numbers of elements. The answer decides bits (slides.c cuts taps by it), so it depends on shapes alone. */
split fc_split_axis(const fc_axis *a, ptrdiff_t block, ptrdiff_t line, enum sets how)
{
    const ptrdiff_t step = line == 1 ? a->stride : 1, of_tap = (block - 1) * step + 1, apart = (a->k - 1) * a->dilation;
    const ptrdiff_t shared = of_tap + (line == 1 ? apart : apart / line); /* a few divisions take as long as a small call */
    if (how == APART || (how == FEWER && a->k * of_tap <= line * shared))
        return (split){block, a->k, of_tap, line, step, 1};
    return (split){block, line, shared, line, step, 0};
}
/* How far tap t lies from the first one: sets and lines are so many elements apart. And where a set begins in X. */
static ptrdiff_t pack_place(const split *s, const fc_axis *a, ptrdiff_t t, ptrdiff_t set, ptrdiff_t line)
{
    const ptrdiff_t at = t * a->dilation;
    return s->apart ? t * set : s->line == 1 ? at * line : at % s->line * set + at / s->line * line;
}
static ptrdiff_t pack_first(const split *s, const fc_axis *a, ptrdiff_t set) { return s->apart ? set * a->dilation : set; }
/* Lines of a set that so many outputs see */
static ptrdiff_t pack_lines(const split *s, ptrdiff_t outputs) { return s->count - (s->block - outputs) * s->step; }

/* How many taps of a row are turned at once, a pixel for each output: those of wide strides, whose columns adjoin in x; 0: none */
static ptrdiff_t pack_turns(const packing *p)
{
    const fc_axis *cols = &p->l->axis[COLS];
    const ptrdiff_t apart = p->cols.apart ? cols->dilation : 1;
    return !p->pixel && p->cols.line > 4 && p->cols.sets >= 4 && apart * cols->x_step == p->l->stored ? p->cols.sets : 0;
}

packing fc_lay_out(const layer *l, split rows, split cols, ptrdiff_t pitch, ptrdiff_t pixel)
{
    const fc_axis *axis = l->axis;
    packing p = {.l = l, .rows = rows, .cols = cols, .pitch = pitch, .pixel = pixel};
    p.turned = pack_turns(&p);
    p.row_set = round_up(times(rows.count, pitch), pixel ? 1 : l->lanes);
    if (p.turned) /* whole vectors of the last row, too; and taps do not share L1 sets */
        p.row_set = odd_lines(plus(times(rows.count - 1, pitch), max(pitch, round_up(cols.count, l->lanes))), l->size);
    p.col_set = times(rows.sets, p.row_set);
    p.depth_set = times(cols.sets, p.col_set);
    p.plane = times(axis[DEPTH].k, p.depth_set);
    const ptrdiff_t row = rows.line * axis[ROWS].x_step, col = cols.line * axis[COLS].x_step;
    p.row_step = l->stored == 2 ? row / 2 : l->stored == 4 ? row / 4 : row / 8;
    p.col_step = l->stored == 2 ? col / 2 : l->stored == 4 ? col / 4 : col / 8;
    /* rows of a set: outside, inside, outside */
    ptrdiff_t runs = axis[ROWS].boundary == FC_CONSTANT && l->spread[ROWS] == 1 ? min(3, rows.count) : rows.count;
    p.most_runs = times(times(axis[DEPTH].k, cols.sets), times(rows.sets, runs));
    uintptr_t odd = (uintptr_t)l->g->x | (uintptr_t)l->g->x_image | (uintptr_t)l->g->x_channel;
    for (int a = DEPTH; a <= COLS; a++)
        odd |= (uintptr_t)axis[a].x_step;
    p.readable = odd % (uintptr_t)l->stored == 0;
    p.turned = p.readable ? p.turned : 0;
    return p;
}

walk fc_walk(const packing *p, int packed)
{
    const fc_axis *axis = p->l->axis;
    const ptrdiff_t row = axis[ROWS].dilation * p->pitch, size = p->l->size;
    if (packed)
        return (walk){{p->depth_set, p->rows.apart ? p->row_set : row, p->cols.apart ? p->col_set : axis[COLS].dilation},
                      {0, p->rows.step * p->pitch, p->cols.step},
                      p->plane};
    walk s = {.channel = p->l->g->x_channel / size};
    for (int i = DEPTH; i <= COLS; i++) {
        s.tap[i] = axis[i].dilation * axis[i].x_step / size;
        s.out[i] = axis[i].stride * axis[i].x_step / size;
    }
    return s;
}

void fc_tabulate(const packing *p, const phase *q, ptrdiff_t channels, ptrdiff_t *at, ptrdiff_t *weight_at)
{
    const fc_axis *axis = p->l->axis, *given = p->l->given;
    const axis_phase *z = &q->axis[DEPTH], *r = &q->axis[ROWS], *s = &q->axis[COLS];
    for (ptrdiff_t c = 0; c < channels; c++)
        for (ptrdiff_t i = 0; i < z->taps; i++)
            for (ptrdiff_t j = 0; j < r->taps; j++) {
                const ptrdiff_t row = pack_place(&p->rows, &axis[ROWS], r->at_first + j * r->at_step, p->row_set, p->pitch);
                const ptrdiff_t plane = c * p->plane + (z->at_first + i * z->at_step) * p->depth_set;
                const ptrdiff_t row_of_w = (z->tap_first + i * z->tap_step) * given[ROWS].k + r->tap_first + j * r->tap_step;
                for (ptrdiff_t k = 0; k < s->taps; k++) {
                    *at++ = plane + row + pack_place(&p->cols, &axis[COLS], s->at_first + k * s->at_step, p->col_set, 1);
                    if (weight_at)
                        *weight_at++ = c * p->l->w_channel + row_of_w * given[COLS].k + s->tap_first + k * s->tap_step;
                }
            }
}

/* ---- packing ---------------------------------------------------------------------------------- */

ptrdiff_t fc_source(const layer *l, int axis, ptrdiff_t i)
{
    const fc_axis *a = &l->axis[axis];
    const ptrdiff_t spread = l->spread[axis];
    if (spread == 1)
        return fc_source_index(i, a->n, a->boundary);
    return i >= 0 && i % spread == 0 && i / spread < a->n ? i / spread : -1;
}

/* Rows of n columns of a set, from row `source` of plane x (bytes from the channel's first) on; source < 0: zeros */
static fc_run *pack_add_run(const packing *p, fc_run *run, ptrdiff_t to, ptrdiff_t x, ptrdiff_t source, ptrdiff_t rows,
                            ptrdiff_t first, ptrdiff_t n)
{
    const layer *l = p->l;
    const fc_axis *ra = &l->axis[ROWS], *ca = &l->axis[COLS];
    *run = (fc_run){.to = to, .rows = rows, .n = n, .first = FC_NOWHERE};
    if (source < 0)
        return run + 1;
    run->first = first;
    run->x = x + source * ra->x_step + first * ca->x_step;
    run->xs = p->row_step;
    if (p->readable || p->pixel)
        inside((ca->n - 1) * l->spread[COLS] + 1, p->cols.line, first, n, &run->from, &run->end);
    if (run->end - run->from == p->pitch && run->xs == p->pitch * p->col_step && !p->pixel) { /* one long row */
        run->end = run->n *= rows;
        run->rows = 1;
    }
    return run + 1;
}

/* Runs ascend in the packed plane: the kernel overwrites up to a vector behind each row, which is either one that a later run
 * writes, or room that the drivers leave (2 * lanes behind the last plane). */
fc_runs fc_plan_runs(const packing *p, fc_run *run, ptrdiff_t plane, const area *a)
{
    const layer *l = p->l;
    const fc_axis *depth = &l->axis[DEPTH], *rows = &l->axis[ROWS], *cols = &l->axis[COLS];
    const ptrdiff_t count = pack_lines(&p->rows, a->rows), wide = pack_lines(&p->cols, a->cols), adjoin = l->spread[ROWS] == 1;
    fc_run *at = run;
    for (ptrdiff_t z = 0; z < depth->k; z++) {
        ptrdiff_t source = fc_source(l, DEPTH, plane % depth->out * depth->stride - depth->lead + z * depth->dilation);
        ptrdiff_t x = plane / depth->out * l->g->x_image + source * depth->x_step, to = z * p->depth_set;
        for (ptrdiff_t s = 0; s < p->cols.sets; s++)
            for (ptrdiff_t r = 0; r < p->rows.sets; r++, to += p->row_set) {
                ptrdiff_t first_col = a->col * cols->stride - cols->lead + pack_first(&p->cols, cols, s), n;
                ptrdiff_t first_row = a->row * rows->stride - rows->lead + pack_first(&p->rows, rows, r), from = 0, end = 0;
                if (adjoin)
                    inside(rows->n, p->rows.line, first_row, count, &from, &end);
                for (ptrdiff_t i = 0; i < count; i += n) {
                    ptrdiff_t in = fc_source(l, ROWS, first_row + i * p->rows.line);
                    n = i == from && end > from ? end - from : 1;
                    if (in < 0 && adjoin) /* zeros up to where x begins, or to the end */
                        n = i < from ? from - i : count - i;
                    at = pack_add_run(p, at, to + i * p->pitch, x, source < 0 ? -1 : in, n, first_col, wide);
                }
            }
    }
    fc_runs runs = {
        .run = run, .count = at - run, .ts = p->pitch, .step = p->col_step, .half = l->g->halves, .turned = p->turned};
    for (; run < at && runs.turned > 0; run++)
        if (run->first == FC_NOWHERE || run->from > 0 || run->end < run->n)
            runs.turned = 0;
    return runs;
}

/* The runs of a channel whose taps are turned: those of the first set, in as many vectors as a row of outputs has. The last one comes
 * first: what it overwrites behind a row is written once more. */
static void pack_turn(const packing *p, char *to, const char *x, const fc_runs *r)
{
    const layer *l = p->l;
    const ptrdiff_t of_depth = r->count / l->axis[DEPTH].k, line = p->cols.line;
    for (const fc_run *first = r->run; first < r->run + r->count; first += of_depth)
        for (const fc_run *run = first; run < first + of_depth / r->turned; run++)
            for (ptrdiff_t j = (run->n - 1) / l->lanes * l->lanes; j >= 0; j -= l->lanes)
                l->op->lanes_in(to + (run->to + j) * l->size, p->pitch, p->col_set, x + run->x + j * line * l->stored, line,
                                run->xs, 1, run->rows, r->turned, min(l->lanes, run->n - j), r->half);
}

/* Elements of a run that the kernel left out: beyond the edge of x, or all of a channel that it cannot read; or pixels */
static void pack_border(const packing *p, char *to, const char *x, const fc_run *run, ptrdiff_t lanes)
{
    const layer *l = p->l;
    const fc_axis *cols = &l->axis[COLS];
    const ptrdiff_t element = l->size * (p->pixel ? p->pixel : 1), line = p->cols.line;
    for (ptrdiff_t i = 0; i < run->rows; i++, to += p->pitch * element, x += p->rows.line * l->axis[ROWS].x_step)
        for (ptrdiff_t j = outside(0, run->from, run->end); j < run->n; j = outside(j + 1, run->from, run->end)) {
            ptrdiff_t source = fc_source_index(run->first + j * line, cols->n, cols->boundary), at = source - run->first;
            const char *from = x + at * cols->x_step;
            if (source >= 0 && l->g->halves && !p->pixel)
                l->op->widen(to + j * element, FC_F16, from, 1);
            else if (source >= 0 && !p->pixel)
                memcpy(to + j * element, from, (size_t)element);
            else if (source >= 0 && line == 1 && at >= run->from && at < run->end)
                memcpy(to + j * element, to + at * element, (size_t)element);
            else if (source >= 0)
                fc_turn(l, to + j * element, 0, p->pixel, from, l->g->x_channel, 0, 0, 1, 1, lanes);
        }
}

void fc_pack_channel(const packing *p, char *to, const char *x, const fc_runs *r)
{
    if (r->turned && !r->exact) {
        pack_turn(p, to, x, r);
        return;
    }
    p->l->op->pack(to, x, r);
    if (p->readable && p->l->axis[COLS].boundary == FC_CONSTANT)
        return;
    for (const fc_run *run = r->run; run < r->run + r->count; run++)
        if (run->first != FC_NOWHERE && (run->from > 0 || run->end < run->n))
            pack_border(p, to + run->to * p->l->size, x + run->x, run, 1);
}

/* ---- pixels ----------------------------------------------------------------------------------- */

void fc_turn(const layer *l, char *to, ptrdiff_t pitch, ptrdiff_t pixel, const char *from, ptrdiff_t channel, ptrdiff_t row,
             ptrdiff_t step, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t lanes)
{
    enum { PART = 16 };
    char part[PART * LINE]; /* no vector is wider than a line */
    const ptrdiff_t size = l->stored;
    const int half = l->g->halves;
    step = cols == 1 ? size : step;
    row = rows == 1 ? cols * size : row;
    const int aligned = ((uintptr_t)from | (uintptr_t)channel | (uintptr_t)row | (uintptr_t)step) % (uintptr_t)size == 0;
    if (aligned && (step == size || channel == size)) {
        l->op->lanes_in(to, pitch * pixel, pixel, from, channel / size, row / size, step / size, rows, cols, lanes, half);
        return;
    }
    for (ptrdiff_t i = 0; i < rows; i++) /* first into rows that can be read */
        for (ptrdiff_t j = 0; j < cols; j += PART) {
            const ptrdiff_t n = min(PART, cols - j);
            for (ptrdiff_t c = 0; c < lanes; c++)
                fc_copy_row(part + c * n * size, size, from + i * row + j * step + c * channel, step, n, size);
            l->op->lanes_in(to + (i * pitch + j) * pixel * l->size, 0, pixel, part, n, n, 1, 1, n, lanes, half);
        }
}

/* Columns of x that lie inside a run, to their pixels. If they are spread, every one of them is like a row. */
static void pack_inside(const packing *p, char *to, const char *x, const fc_run *run, ptrdiff_t lanes)
{
    const layer *l = p->l;
    const ptrdiff_t step = l->axis[COLS].x_step, row = l->axis[ROWS].x_step * p->rows.line, spread = l->spread[COLS];
    const ptrdiff_t pixel = p->pixel * l->size, channel = l->g->x_channel, n = run->end - run->from, line = p->cols.line;
    if (spread == 1) {
        fc_turn(l, to + run->from * pixel, p->pitch, p->pixel, x + run->from * line * step, channel, row, line * step,
                run->rows, n, lanes);
        return;
    }
    const ptrdiff_t first = parts_of(run->first + run->from, spread), end = parts_of(run->first + run->end, spread);
    for (ptrdiff_t i = 0; i < run->rows && end > first; i++)
        fc_turn(l, to + (i * p->pitch + first * spread - run->first) * pixel, spread, p->pixel,
                x + i * row + (first - run->first) * step, channel, step, 0, end - first, 1, lanes);
}

void fc_pack_pixels(const packing *p, char *to, const char *x, const fc_runs *r, ptrdiff_t lanes, int zeros)
{
    const layer *l = p->l;
    const ptrdiff_t pixel = p->pixel * l->size;
    for (const fc_run *run = r->run; run < r->run + r->count; run++) {
        const ptrdiff_t before = l->spread[COLS] > 1 ? run->n : run->from; /* zeros before what is not, or between */
        char *there = to + run->to * pixel, *row = there;
        if (run->first == FC_NOWHERE && p->leaves_out)
            continue;
        for (ptrdiff_t i = 0; i < run->rows && zeros; i++, row += p->pitch * pixel) {
            memset(row, 0, (size_t)(before * pixel));
            memset(row + run->end * pixel, 0, (size_t)((run->n - run->end) * pixel));
        }
        if (run->end > run->from)
            pack_inside(p, there, x + run->x, run, lanes);
        if (run->first != FC_NOWHERE && l->axis[COLS].boundary != FC_CONSTANT)
            pack_border(p, there, x + run->x, run, lanes);
    }
}

void fc_spread_taps(char *sums, ptrdiff_t n, ptrdiff_t cols, ptrdiff_t vector, ptrdiff_t share)
{
    for (ptrdiff_t t = n - 1; t >= 0; t--) { /* backwards: none lies behind its place */
        const ptrdiff_t from = t / cols * round_up(cols, share) + t % cols;
        memmove(sums + t * vector, sums + from * (vector / share), (size_t)(vector / share));
    }
}
