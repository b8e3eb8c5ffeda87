/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Overlap-save: the output in tiles, two of them at once, each correlated by fft.c:
 *
 *      +----------+----------+----------+    outputs of a tile: n - k + 1 along each axis; what it looks at, n
 *      |  pair 0             |  pair 1       elements, overlaps what its neighbours look at by k - 1
 *      +----------+----------+----------+
 *         pair 1  |  pair 2             |    tiles are counted, and paired, from output 0 of the whole result, so
 *      +----------+----------+----------+    that a window of it is computed by the same pairs and has the same bits
 *
 * Pairs whose windows lie inside x read it, and write out, where they are; others go through scratch, with the
 * boundary applied (gather.c).
 *
 * A value that is not finite would spread over both tiles. Where one comes out of a transform, the pair is computed
 * again by the direct method, and the value is seen in just the outputs whose windows hold it.
 */
#include "corr/call.h"
#include <math.h>

/* Returns the us of an output. */
static double lay_grid(const fc_kernels *fc, const fc_corr *g, tile_grid *t)
{
    ptrdiff_t k[FC_AXES], whole[FC_AXES];
    for (int a = 0; a < FC_AXES; a++)
        k[a] = g->axis[a].k, whole[a] = g->axis[a].whole;
    double us = fc_fft_size(fc, g->type, k, whole, t->n);
    for (int a = 0; a < FC_AXES; a++) {
        t->out[a] = t->n[a] - k[a] + 1;
        t->count[a] = t->n[a] == 0 ? 0 : (whole[a] - 1) / t->out[a] + 1;
    }
    return us;
}

/* Estimate of gathering the tiles that look beyond x, in us: the rows of it, and their elements */
static double gather_us(const fc_corr *g, const tile_grid *t)
{
    double all = 1, inner = 1;
    for (int a = 0; a < FC_AXES; a++) {
        const fc_axis *axis = &g->axis[a];
        ptrdiff_t before = axis->lead > 0, behind = reach(axis, axis->whole) - axis->lead > axis->n;
        all *= (double)t->count[a];
        inner *= (double)(t->count[a] > before + behind ? t->count[a] - before - behind : 0);
    }
    double rows = (double)t->n[DEPTH] * (double)t->n[ROWS];
    return (all - inner) * rows * (GATHER_ROW_US + GATHER_BYTE_US * (double)fc_stored_size(g->type) * (double)t->n[COLS]);
}

/* Number of the pair that holds an output: the first one asked for, or the last. */
static ptrdiff_t pair_of(const fc_corr *g, const tile_grid *t, int last)
{
    ptrdiff_t tile = 0;
    for (int a = 0; a < FC_AXES; a++) {
        ptrdiff_t at = g->axis[a].start + (last ? g->axis[a].out - 1 : 0);
        tile = tile * t->count[a] + at / t->out[a];
    }
    return tile / 2;
}

void fc_fft_plan(const fc_kernels *fc, const fc_corr *g, fc_plan *plan)
{
    tile_grid t;
    double us = lay_grid(fc, g, &t);
    plan->parts[DEPTH] = plan->parts[ROWS] = plan->parts[COLS] = plan->threads = 1;
    plan->serial_us = INFINITY;
    if (t.n[COLS] == 0) /* no tile is large enough */
        return;
    plan->parts[COLS] = pair_of(g, &t, 1) - pair_of(g, &t, 0) + 1;
    plan->serial_us = us * (double)plan->planes;
    double share = 1; /* of the whole */
    for (int a = 0; a < FC_AXES; a++) {
        plan->serial_us *= (double)g->axis[a].out;
        share *= (double)g->axis[a].out / (double)g->axis[a].whole;
    }
    plan->serial_us += gather_us(g, &t) * share * (double)plan->planes + PREPARE_US;
    double chunks = (double)plan->planes * (double)plan->parts[COLS];
    int threads = fc_threads_for(plan->serial_us, g->threads);
    plan->threads = threads < chunks ? threads : (int)chunks;
}

int fc_prepare_fft(call *c)
{
    const fc_corr *g = c->g;
    const fc_axis *axis = g->axis;
    tile_grid *t = &c->grid;
    lay_grid(c->fc, g, t);
    if (t->n[COLS] == 0) /* no tile is large enough */
        return -1;
    ptrdiff_t k[FC_AXES] = {axis[DEPTH].k, axis[ROWS].k, axis[COLS].k};
    char *taps = fc_alloc((size_t)(k[DEPTH] * k[ROWS] * k[COLS]), (size_t)c->size), *to = taps;
    if (!taps)
        return -1;
    for (ptrdiff_t z = 0; z < k[DEPTH]; z++)
        for (ptrdiff_t a = 0; a < k[ROWS]; a++, to += k[COLS] * c->size)
            fc_copy_row(to, c->size, g->k + z * axis[DEPTH].k_step + a * axis[ROWS].k_step, axis[COLS].k_step,
                        k[COLS], c->size);
    c->fft = fc_fft_new(c->fc, g->type, t->n, k, taps);
    fc_free(taps);
    c->fft_tile.row = t->n[COLS] + (t->n[ROWS] > 1 ? LINE / c->size : 0); /* rows 4096 bytes apart would share cache sets */
    c->fft_tile.plane = t->n[ROWS] * c->fft_tile.row;
    return c->fft ? 0 : -1;
}

void fc_fft_parts(const call *c, fc_room *r, scratch *s)
{
    for (int i = 0; i < 2; i++)
        s->pair[i] = fc_part(r, "tile of a pair", c->grid.n[DEPTH] * c->fft_tile.plane, c->size);
    s->fft = fc_part(r, "transforms", (ptrdiff_t)fc_fft_scratch(c->fft), 1);
}

/* Outputs of a tile, in those asked for; none: it lies beyond the last one */
typedef struct {
    ptrdiff_t from[FC_AXES], count[FC_AXES];
    box asked;
} part;

static part part_of(const fc_corr *g, const tile_grid *t, ptrdiff_t tile)
{
    part p;
    ptrdiff_t rest = tile;
    for (int a = FC_AXES - 1; a >= 0; a--) {
        const fc_axis *axis = &g->axis[a];
        p.from[a] = rest % t->count[a] * t->out[a] - axis->start;
        p.count[a] = min(t->out[a], axis->whole - axis->start - p.from[a]);
        rest /= t->count[a];
        p.asked.from[a] = clamp(p.from[a], 0, axis->out);
        p.asked.to[a] = clamp(p.from[a] + p.count[a], p.asked.from[a], axis->out);
    }
    if (rest > 0)
        p = (part){{0}, {0}, {{0}, {0}}};
    return p;
}

static int is_all_asked(const part *p)
{
    for (int a = 0; a < FC_AXES; a++)
        if (p->asked.to[a] - p->asked.from[a] < p->count[a])
            return 0;
    return 1;
}

static int is_inside(const fc_corr *g, const part *p)
{
    for (int a = 0; a < FC_AXES; a++) {
        ptrdiff_t first = p->from[a] - g->axis[a].lead;
        if (p->count[a] > 0 && (first < 0 || first + reach(&g->axis[a], p->count[a]) > g->axis[a].n))
            return 0;
    }
    return 1;
}

/* What is asked for of a tile in scratch */
static void take_results(const job *j, const part *p, const char *tile)
{
    const call *c = j->c;
    const box *b = &p->asked;
    for (ptrdiff_t z = b->from[DEPTH]; z < b->to[DEPTH]; z++)
        for (ptrdiff_t r = b->from[ROWS]; r < b->to[ROWS]; r++) {
            ptrdiff_t at = (z - p->from[DEPTH]) * c->fft_tile.plane + (r - p->from[ROWS]) * c->fft_tile.row;
            fc_copy_row(out_at(j, z, r, b->from[COLS]), c->g->axis[COLS].out_step,
                        tile + (at + b->from[COLS] - p->from[COLS]) * c->size, c->size, b->to[COLS] - b->from[COLS],
                        c->size);
        }
}

/* A pair of tiles; what of them is asked for goes to out. */
void fc_fft_chunk(const job *j, ptrdiff_t index)
{
    const call *c = j->c;
    const fc_corr *g = c->g;
    const fc_axis *axis = g->axis;
    ptrdiff_t pair = pair_of(g, &c->grid, 0) + index;
    part p[2] = {part_of(g, &c->grid, 2 * pair), part_of(g, &c->grid, 2 * pair + 1)};
    int reads = c->x_readable && is_inside(g, &p[0]) && is_inside(g, &p[1]);
    int writes = c->out_adjacent && is_all_asked(&p[0]) && is_all_asked(&p[1]);

    const ptrdiff_t own[2] = {c->fft_tile.plane, c->fft_tile.row};
    const ptrdiff_t of_x[2] = {axis[DEPTH].x_step / c->size, axis[ROWS].x_step / c->size};
    const ptrdiff_t of_out[2] = {axis[DEPTH].out_step / c->size, axis[ROWS].out_step / c->size};
    fc_fft_tile tile[2];
    int none = 1;
    for (int i = 0; i < 2; i++) {
        char *room = j->s.pair[i];
        none &= p[i].asked.to[COLS] <= p[i].asked.from[COLS] || p[i].asked.to[ROWS] <= p[i].asked.from[ROWS] ||
                p[i].asked.to[DEPTH] <= p[i].asked.from[DEPTH];
        tile[i] = (fc_fft_tile){room, writes ? out_at(j, p[i].from[DEPTH], p[i].from[ROWS], p[i].from[COLS]) : room,
                                {p[i].count[DEPTH], p[i].count[ROWS], p[i].count[COLS]}};
        if (reads)
            for (int a = 0; a < FC_AXES; a++)
                tile[i].x = a == 0 ? j->x + (p[i].from[a] - axis[a].lead) * axis[a].x_step
                                   : (const char *)tile[i].x + (p[i].from[a] - axis[a].lead) * axis[a].x_step;
    }
    if (none) /* a window: other columns of these rows */
        return;
    for (int i = 0; i < 2; i++)
        if (!reads && p[i].count[COLS] > 0)
            fc_gather(c, &j->s, j->s.pair[i], &c->fft_tile, j->x, p[i].from, p[i].count);
    const ptrdiff_t *to = writes ? of_out : own;
    fc_fft_corr(c->fft, j->s.fft, tile, reads ? of_x : own, to);

    int all = 1; /* of the whole pair, whatever is asked for: a part of it has the same bits */
    for (int i = 0; i < 2; i++)
        for (ptrdiff_t z = 0; z < p[i].count[DEPTH] && p[i].count[COLS] > 0; z++)
            for (ptrdiff_t r = 0; r < p[i].count[ROWS]; r++)
                all &= c->op->finite((const char *)tile[i].y + (z * to[0] + r * to[1]) * c->size, p[i].count[COLS]);
    for (int i = 0; i < 2; i++) {
        const box *b = &p[i].asked;
        if (!all)
            fc_bordered(j, b);
        else if (!writes)
            take_results(j, &p[i], tile[i].y);
    }
}
