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

/* Returns the us of an output, with vectors of 64 bytes. What making ready takes has no say in the tiles: it is done once for a
 * batch, or for many calls, and an element has the bits that it has by itself. */
static double overlap_grid(const fc_corr *g, tile_grid *t)
{
    ptrdiff_t k[FC_AXES], whole[FC_AXES];
    for (int a = 0; a < FC_AXES; a++)
        k[a] = g->axis[a].k, whole[a] = g->axis[a].whole;
    double us = fc_fft_size(g->type, k, whole, 0, 0, t->n);
    for (int a = 0; a < FC_AXES; a++) {
        t->out[a] = t->n[a] - k[a] + 1;
        t->count[a] = t->n[a] == 0 ? 0 : (whole[a] - 1) / t->out[a] + 1;
    }
    return us;
}

/* Estimate of gathering the tiles that look beyond x, in us: the rows of it, and their elements */
static double overlap_gather_us(const fc_corr *g, const tile_grid *t)
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
static ptrdiff_t overlap_pair(const fc_corr *g, const tile_grid *t, int last)
{
    ptrdiff_t tile = 0;
    for (int a = 0; a < FC_AXES; a++) {
        ptrdiff_t at = g->axis[a].start + (last ? g->axis[a].out - 1 : 0);
        tile = tile * t->count[a] + at / t->out[a];
    }
    return tile / 2;
}

void fc_overlap_plan(int vector_bytes, const fc_corr *g, fc_plan *plan)
{
    tile_grid t;
    double us = overlap_grid(g, &t) * 64 / vector_bytes;
    plan->parts[DEPTH] = plan->parts[ROWS] = plan->parts[COLS] = plan->threads = 1;
    plan->serial_us = INFINITY;
    if (t.n[COLS] == 0) /* no tile is large enough */
        return;
    plan->parts[COLS] = overlap_pair(g, &t, 1) - overlap_pair(g, &t, 0) + 1;
    plan->serial_us = us * (double)plan->planes;
    double share = 1; /* of the whole */
    for (int a = 0; a < FC_AXES; a++) {
        plan->serial_us *= (double)g->axis[a].out;
        share *= (double)g->axis[a].out / (double)g->axis[a].whole;
    }
    plan->serial_us += overlap_gather_us(g, &t) * share * (double)plan->planes;
    plan->threads = fc_threads_for(plan->serial_us, g->threads);
}

ptrdiff_t fc_overlap_bytes(const fc_corr *g)
{
    tile_grid t;
    overlap_grid(g, &t);
    return 2 * fc_stored_size(g->type) * t.n[DEPTH] * t.n[ROWS] * t.n[COLS];
}

static void overlap_copy_taps(const call *c, char *to)
{
    const fc_axis *axis = c->g->axis, *cols = &axis[COLS];
    for (ptrdiff_t z = 0; z < axis[DEPTH].k; z++)
        for (ptrdiff_t a = 0; a < axis[ROWS].k; a++, to += cols->k * c->size)
            fc_copy_row(to, c->size, c->g->k + z * axis[DEPTH].k_step + a * axis[ROWS].k_step, cols->k_step, cols->k, c->size);
}

static int overlap_prepare(call *c)
{
    const fc_corr *g = c->g;
    const fc_axis *axis = g->axis;
    tile_grid *t = &c->overlap.grid;
    overlap_grid(g, t);
    if (t->n[COLS] == 0) /* no tile is large enough */
        return -1;
    ptrdiff_t k[FC_AXES] = {axis[DEPTH].k, axis[ROWS].k, axis[COLS].k};
    char *taps = fc_alloc((size_t)(k[DEPTH] * k[ROWS] * k[COLS]), (size_t)c->size);
    if (!taps)
        return -1;
    overlap_copy_taps(c, taps);
    c->overlap.fft = fc_fft_new(c->fc, g->type, t->n, k, taps);
    fc_free(taps);
    c->is_tiled = 1;
    memcpy(c->tile_out, t->out, sizeof c->tile_out);
    return c->overlap.fft ? fc_direct_prepare(c) : -1;
}

static void overlap_parts(const call *c, fc_room *r, scratch *s)
{
    s->second = fc_part(r, "second tile of a pair", c->overlap.grid.n[DEPTH] * c->tile.plane, c->size);
    s->transforms = fc_part(r, "transforms", (ptrdiff_t)fc_fft_scratch(c->overlap.fft), 1);
}

/* The kernel is where a tile will be, which has room for it. */
static void overlap_retap(call *c, char *scratch_of_one)
{
    scratch s;
    fc_room r = {.block = scratch_of_one};
    fc_boxes_parts(c, &r, &s);
    overlap_parts(c, &r, &s);
    overlap_copy_taps(c, s.second);
    fc_fft_learn(c->overlap.fft, s.transforms, s.second);
    fc_direct_retap(c, scratch_of_one);
    fc_close(&r);
}

/* Outputs of a tile, and those of them that are asked for. A tile beyond the last one has none. */
typedef struct {
    ptrdiff_t from[FC_AXES], count[FC_AXES];
    box asked;
    int is_whole, is_inside; /* all are asked for; all windows lie inside x */
} share;

static share overlap_share(const fc_corr *g, const tile_grid *t, ptrdiff_t tile)
{
    share p = {.is_whole = 1, .is_inside = 1};
    if (unravel(tile, t->count, p.from) > 0)
        return (share){.is_whole = 1, .is_inside = 1};
    for (int a = 0; a < FC_AXES; a++) {
        const fc_axis *axis = &g->axis[a];
        p.from[a] = p.from[a] * t->out[a] - axis->start;
        p.count[a] = min(t->out[a], axis->whole - axis->start - p.from[a]);
        p.asked.from[a] = clamp(p.from[a], 0, axis->out);
        p.asked.to[a] = clamp(p.from[a] + p.count[a], p.asked.from[a], axis->out);
        p.is_whole &= p.asked.to[a] - p.asked.from[a] == p.count[a];
        ptrdiff_t first = p.from[a] - axis->lead;
        p.is_inside &= first >= 0 && first + reach(axis, p.count[a]) <= axis->n;
    }
    return p;
}

/* What is asked for of a tile in scratch */
static void overlap_deliver(const job *j, const share *p, const char *tile)
{
    const call *c = j->c;
    const box *b = &p->asked;
    for (ptrdiff_t z = b->from[DEPTH]; z < b->to[DEPTH]; z++)
        for (ptrdiff_t r = b->from[ROWS]; r < b->to[ROWS]; r++) {
            ptrdiff_t at = (z - p->from[DEPTH]) * c->tile.plane + (r - p->from[ROWS]) * c->tile.row;
            fc_copy_row(out_at(j, z, r, b->from[COLS]), c->g->axis[COLS].out_step,
                        tile + (at + b->from[COLS] - p->from[COLS]) * c->size, c->size, b->to[COLS] - b->from[COLS], c->size);
        }
}

/* Whether all results of a pair are finite, whatever is asked for: a part of them has the same bits */
static int overlap_is_finite(const call *c, const share *p, const fc_fft_tile *tile, const ptrdiff_t step[2])
{
    int finite = 1;
    for (int i = 0; i < 2; i++)
        for (ptrdiff_t z = 0; z < p[i].count[DEPTH]; z++)
            for (ptrdiff_t r = 0; r < p[i].count[ROWS]; r++)
                finite &= c->op->finite((const char *)tile[i].y + (z * step[0] + r * step[1]) * c->size, p[i].count[COLS]);
    return finite;
}

/* A pair of tiles; what of them is asked for goes to out. */
static void overlap_chunk(const job *j, ptrdiff_t index)
{
    const call *c = j->c;
    const fc_corr *g = c->g;
    const fc_axis *axis = g->axis;
    const tile_grid *grid = &c->overlap.grid;
    ptrdiff_t pair = overlap_pair(g, grid, 0) + index;
    share p[2] = {overlap_share(g, grid, 2 * pair), overlap_share(g, grid, 2 * pair + 1)};
    if (is_empty(&p[0].asked) && is_empty(&p[1].asked)) /* a window: other columns of these rows */
        return;
    int reads = c->x.readable && p[0].is_inside && p[1].is_inside, writes = c->out_adjacent && p[0].is_whole && p[1].is_whole;
    const ptrdiff_t in_tile[2] = {c->tile.plane, c->tile.row}, of_x[2] = {c->user.plane, c->user.row};
    const ptrdiff_t of_out[2] = {axis[DEPTH].out_step / c->size, axis[ROWS].out_step / c->size},
                    *to = writes ? of_out : in_tile;
    char *const own[2] = {j->s.tile, j->s.second};
    fc_fft_tile tile[2];
    for (int i = 0; i < 2; i++) {
        const char *x = reads ? x_at(j, p[i].from) : own[i];
        if (!reads && p[i].count[COLS] > 0)
            fc_gather(&c->x, &j->s.gather, own[i], &c->tile, j->x, p[i].from, p[i].count);
        tile[i] = (fc_fft_tile){x,
                                writes ? out_at(j, p[i].from[DEPTH], p[i].from[ROWS], p[i].from[COLS]) : own[i],
                                {p[i].count[DEPTH], p[i].count[ROWS], p[i].count[COLS]}};
    }
    fc_fft_corr(c->overlap.fft, j->s.transforms, tile, reads ? of_x : in_tile, to);
    int finite = overlap_is_finite(c, p, tile, to);
    for (int i = 0; i < 2; i++)
        if (!finite)
            fc_boxes_compute(j, &p[i].asked, GATHERED);
        else if (!writes)
            overlap_deliver(j, &p[i], tile[i].y);
}

/* What transforms cannot do, direct.c does. */
const method fc_overlap = {.prepare = overlap_prepare,
                           .tables = fc_direct_tables,
                           .retap = overlap_retap,
                           .parts = overlap_parts,
                           .compute = fc_direct_compute,
                           .chunk = overlap_chunk};
