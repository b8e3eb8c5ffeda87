/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What blocks of outputs see of a channel, packed as layer.h shows, with the boundary applied. */
#include "layers/layer.h"
#include <string.h>

/* ---- geometry --------------------------------------------------------------------------------- */

/* FEWER compares numbers of elements. The answer decides bits (slides.c cuts taps by it), so it depends on shapes alone. */
split fc_split_axis(const fc_axis *a, ptrdiff_t block, enum sets how)
{
    ptrdiff_t shared = (a->k - 1) * a->dilation / a->stride + block;
    if (how == APART || (how == FEWER && a->k * block <= a->stride * shared))
        return (split){block, a->k, block, 1};
    return (split){block, a->stride, shared, 0};
}
/* Where tap t is: the set, and the shift in it; where a set begins in X. */
static ptrdiff_t pack_set(const split *s, const fc_axis *a, ptrdiff_t t) { return s->apart ? t : t * a->dilation % a->stride; }
static ptrdiff_t pack_shift(const split *s, const fc_axis *a, ptrdiff_t t)
{
    return s->apart ? 0 : t * a->dilation / a->stride;
}
static ptrdiff_t pack_first(const split *s, const fc_axis *a, ptrdiff_t set) { return s->apart ? set * a->dilation : set; }

packing fc_lay_out(const layer *l, split rows, split cols, ptrdiff_t pitch)
{
    const fc_axis *axis = l->axis;
    packing p = {.l = l, .rows = rows, .cols = cols, .pitch = pitch};
    p.row_set = times(parts_of(times(rows.count, pitch), l->lanes), l->lanes);
    p.col_set = times(rows.sets, p.row_set);
    p.depth_set = times(cols.sets, p.col_set);
    p.plane = times(axis[DEPTH].k, p.depth_set);
    /* rows of a set: outside, inside, outside */
    ptrdiff_t runs = axis[ROWS].boundary == FC_CONSTANT ? min(3, rows.count) : rows.count;
    p.most_runs = times(times(axis[DEPTH].k, cols.sets), times(rows.sets, runs));
    uintptr_t odd = (uintptr_t)l->g->x | (uintptr_t)l->g->x_image | (uintptr_t)l->g->x_channel;
    for (int a = DEPTH; a <= COLS; a++)
        odd |= (uintptr_t)axis[a].x_step;
    p.readable = odd % (uintptr_t)l->size == 0;
    return p;
}

void fc_tabulate(const packing *p, const phase *q, ptrdiff_t channels, ptrdiff_t *at, ptrdiff_t *weight_at)
{
    const fc_axis *axis = p->l->axis, *given = p->l->given;
    const axis_phase *z = &q->axis[DEPTH], *r = &q->axis[ROWS], *s = &q->axis[COLS];
    for (ptrdiff_t c = 0; c < channels; c++)
        for (ptrdiff_t i = 0; i < z->taps; i++)
            for (ptrdiff_t j = 0; j < r->taps; j++)
                for (ptrdiff_t k = 0; k < s->taps; k++) {
                    ptrdiff_t row = r->at_first + j * r->at_step, col = s->at_first + k * s->at_step;
                    *at++ = c * p->plane + (z->at_first + i * z->at_step) * p->depth_set +
                            pack_set(&p->cols, &axis[COLS], col) * p->col_set + pack_shift(&p->cols, &axis[COLS], col) +
                            pack_set(&p->rows, &axis[ROWS], row) * p->row_set +
                            pack_shift(&p->rows, &axis[ROWS], row) * p->pitch;
                    row = (z->tap_first + i * z->tap_step) * given[ROWS].k + r->tap_first + j * r->tap_step;
                    if (weight_at)
                        *weight_at++ = c * p->l->w_channel + row * given[COLS].k + s->tap_first + k * s->tap_step;
                }
}

/* ---- packing ---------------------------------------------------------------------------------- */

#define NOWHERE PTRDIFF_MIN /* the first column of a run of zeros */

/* Rows of one set of columns, from row `source` of plane x (bytes from the channel's first) on; source < 0: zeros */
static fc_run *pack_add_run(const packing *p, fc_run *run, ptrdiff_t to, ptrdiff_t x, ptrdiff_t source, ptrdiff_t rows,
                            ptrdiff_t first)
{
    const layer *l = p->l;
    const fc_axis *ra = &l->axis[ROWS], *ca = &l->axis[COLS];
    ptrdiff_t step = ca->stride * ca->x_step / l->size;
    *run = (fc_run){.to = to, .rows = rows, .n = p->cols.count, .first = NOWHERE};
    if (source < 0)
        return run + 1;
    run->first = first;
    run->x = x + source * ra->x_step + first * ca->x_step;
    run->xs = ra->stride * ra->x_step / l->size;
    if (p->readable)
        inside(ca->n, ca->stride, first, run->n, &run->from, &run->end);
    if (run->end - run->from == p->pitch && run->xs == p->pitch * step) { /* one long row */
        run->end = run->n *= rows;
        run->rows = 1;
    }
    return run + 1;
}

/* Runs ascend in the packed plane: the kernel overwrites up to a vector behind each row, which is either one that a later run
 * writes, or room that the drivers leave (2 * lanes behind the last plane). */
fc_runs fc_plan_runs(const packing *p, fc_run *run, ptrdiff_t plane, ptrdiff_t row, ptrdiff_t col)
{
    const layer *l = p->l;
    const fc_axis *depth = &l->axis[DEPTH], *rows = &l->axis[ROWS], *cols = &l->axis[COLS];
    fc_run *at = run;
    for (ptrdiff_t z = 0; z < depth->k; z++) {
        ptrdiff_t source =
            fc_source_index(plane % depth->out * depth->stride - depth->lead + z * depth->dilation, depth->n, depth->boundary);
        ptrdiff_t x = plane / depth->out * l->g->x_image + source * depth->x_step, to = z * p->depth_set;
        for (ptrdiff_t s = 0; s < p->cols.sets; s++)
            for (ptrdiff_t r = 0; r < p->rows.sets; r++, to += p->row_set) {
                ptrdiff_t first_col = col * cols->stride - cols->lead + pack_first(&p->cols, cols, s), n;
                ptrdiff_t first_row = row * rows->stride - rows->lead + pack_first(&p->rows, rows, r), from, end;
                inside(rows->n, rows->stride, first_row, p->rows.count, &from, &end);
                for (ptrdiff_t i = 0; i < p->rows.count; i += n) {
                    ptrdiff_t in = fc_source_index(first_row + i * rows->stride, rows->n, rows->boundary);
                    n = i == from && end > from ? end - from : 1;
                    if (in < 0) /* zeros up to where x begins, or to the end */
                        n = i < from ? from - i : p->rows.count - i;
                    at = pack_add_run(p, at, to + i * p->pitch, x, source < 0 ? -1 : in, n, first_col);
                }
            }
    }
    return (fc_runs){.run = run, .count = at - run, .ts = p->pitch, .step = cols->stride * cols->x_step / l->size};
}

/* Elements of a run that the kernel left out: beyond the edge of x, or all of a channel that it cannot read */
static void pack_border(const packing *p, char *to, const char *x, const fc_run *run)
{
    const layer *l = p->l;
    const fc_axis *cols = &l->axis[COLS];
    for (ptrdiff_t i = 0; i < run->rows; i++, to += p->pitch * l->size, x += l->axis[ROWS].stride * l->axis[ROWS].x_step)
        for (ptrdiff_t j = outside(0, run->from, run->end); j < run->n; j = outside(j + 1, run->from, run->end)) {
            ptrdiff_t source = fc_source_index(run->first + j * cols->stride, cols->n, cols->boundary);
            if (source >= 0)
                memcpy(to + j * l->size, x + (source - run->first) * cols->x_step, (size_t)l->size);
        }
}

void fc_pack_channel(const packing *p, char *to, const char *x, const fc_runs *r)
{
    p->l->op->pack(to, x, r);
    if (p->readable && p->l->axis[COLS].boundary == FC_CONSTANT)
        return;
    for (const fc_run *run = r->run; run < r->run + r->count; run++)
        if (run->first != NOWHERE && (run->from > 0 || run->end < run->n))
            pack_border(p, to + run->to * p->l->size, x + run->x, run);
}
