/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The driver of template matching. The result is cut into tiles, the same for any number of threads; for each
 *
 *   1. gather     what its windows see, boundary applied, into scratch: x
 *   2. centre     x' = (x - c) s, c the tile's mean and s a power of two that makes x' about one: sums of x' and of
 *                 its squares keep the digits that an offset of the whole picture would take from them
 *   3. correlate  x' with the template, the mean of which is nearly zero (directly or by FFT)
 *   4. sum        x' and x'^2 over the windows, in float64, and scores from all three, row by row
 *   5. doubt      a window whose contrast is lost among the digits of its sums is looked at again. Where all its
 *                 elements are equal it is flat, exactly. Else float32 arithmetic gives way to float64 for the
 *                 tile, and float64 sums to sums about the window's own mean.
 */
#include "match/tile.h"
#include <math.h>
#include <string.h>

struct fc_learnt {
    const fc_kernels *fc; /* whose transforms they are */
    ptrdiff_t planes;
    fc_fft *fft[];
};

/* ---- sets of weights ----------------------------------------------------------------------------- */

static void match_release(match *m)
{
    for (int type = 0; type < TYPES; type++)
        for (int i = 0; i < SETS; i++)
            for (ptrdiff_t z = 0; m->set[type][i].fft && !m->set[type][i].learnt && z < m->g->k[DEPTH]; z++)
                fc_fft_free(m->set[type][i].fft[z]);
    fc_close(&m->tables);
    fc_free(m->tables.block);
    if (m->scratch)
        fc_return(m->scratch);
}

/* Where taps lie in x; of each set, taps as they are, and column by column; room for transforms, of which there are none yet */
static void match_lay_tables(match *m, fc_room *r)
{
    ptrdiff_t d = m->g->k[DEPTH], h = m->g->k[ROWS], w = m->g->k[COLS], columns = times(d, w);
    ptrdiff_t *at = fc_part(r, "taps in x", columns, sizeof *at);
    m->again = fc_part(r, "tiles to be done again", m->tiles[DEPTH] * m->tiles[ROWS] * m->tiles[COLS], 1);
    for (ptrdiff_t t = 0; r->block && t < columns; t++)
        at[t] = t / w * m->plane + t % w;
    for (int type = m->g->type; type < TYPES; type++)
        for (correlator *k = m->set[type]; k < m->set[type] + SETS; k++) {
            if (!k->from)
                continue;
            k->dense = fc_part(r, "taps", times(columns, h), fc_stored_size(type));
            k->columns = fc_part(r, "columns of taps", times(columns, h), fc_stored_size(type));
            k->plane = fc_part(r, "sums of planes", d, sizeof *k->plane);
            k->fft = m->fft[COLS] ? fc_part(r, "transforms", d, sizeof *k->fft) : NULL;
            k->taps = (fc_taps){.h = h, .full = columns, .at = at, .k = k->columns};
            for (ptrdiff_t z = 0; r->block && k->fft && z < d; z++)
                k->fft[z] = NULL;
        }
}

/* Memory for transforms. Returns 0, or -1 when it is short. */
static int match_reserve(const match *m, int type, correlator *k)
{
    const ptrdiff_t plane[FC_AXES] = {1, m->g->k[ROWS], m->g->k[COLS]};
    const fc_learnt *learnt = k == &m->set[m->g->type][TEMPLATE] ? m->g->learnt : NULL;
    int failed = 0;
    k->learnt = k->fft && learnt && learnt->fc == m->fc;
    for (ptrdiff_t z = 0; k->from && k->fft && z < m->g->k[DEPTH]; z++) {
        k->fft[z] = k->learnt ? learnt->fft[z] : fc_fft_new(m->fc, type, m->fft, plane, NULL);
        failed |= !k->fft[z];
    }
    return failed ? -1 : 0;
}

/* scratch: of a thread's transforms */
static void match_prepare(const match *m, int type, correlator *k, char *scratch)
{
    ptrdiff_t d = m->g->k[DEPTH], h = m->g->k[ROWS], w = m->g->k[COLS], size = fc_stored_size(type);
    m->fc->op[type]->widen(k->dense, FC_F64, k->from, d * h * w);
    memset(k->plane, 0, (size_t)d * sizeof *k->plane);
    for (ptrdiff_t z = 0; z < d; z++)
        for (ptrdiff_t e = z * h * w; e < (z + 1) * h * w; e++) {
            double rounded = float_at(type, k->dense + e * size);
            k->exact += k->from[e], k->sum += rounded, k->plane[z] += rounded;
            k->square += k->from[e] * k->from[e];
        }
    for (ptrdiff_t t = 0; t < d * w && !k->fft; t++)
        fc_copy_row(k->columns + t * h * size, size, k->dense + (t / w * h * w + t % w) * size, w * size, h, size);
    for (ptrdiff_t z = 0; k->fft && !k->learnt && z < d; z++)
        fc_fft_learn(k->fft[z], scratch, k->dense + z * h * w * size);
}

/* ---- a tile, and all of them -------------------------------------------------------------------- */

/* With weights: NaN where an element that is not finite has a weight. The tile holds NaN for them. */
static void match_mark_missing(const tile *t)
{
    const match *m = t->m;
    const fc_match *g = m->g;
    const double *x = (const double *)(void *)t->x;
    for (ptrdiff_t z = 0; z < g->k[DEPTH]; z++)
        for (ptrdiff_t i = 0; i < t->rows; i++)
            for (ptrdiff_t j = 0; j < t->seen; j++) {
                if (isfinite(x[z * m->plane + i * m->row + j]))
                    continue;
                for (ptrdiff_t a = 0; a < g->k[ROWS]; a++)
                    for (ptrdiff_t b = 0; b < g->k[COLS]; b++)
                        if (i >= a && j >= b && i - a < t->count[ROWS] && j - b < t->count[COLS] &&
                            g->energies[(z * g->k[ROWS] + a) * g->k[COLS] + b] != 0)
                            t->mark[(i - a) * m->tile[COLS] + j - b] = MISSING;
            }
}

/* Scratch of one thread; elements have room for the wider type */
static void match_parts(const match *m, fc_room *r, tile *t)
{
    const fc_match *g = m->g;
    ptrdiff_t rows = m->tile[ROWS], seen = times(m->plane, g->k[DEPTH]), grid = times(rows, m->wide), wide = sizeof(double);
    t->x = fc_part(r, "x", seen, wide);
    t->num = fc_part(r, "num", grid, wide);
    if (g->weights) {
        t->squares = fc_part(r, "squares", seen, wide);
        t->s1 = fc_part(r, "s1", grid, wide);
        t->sv = fc_part(r, "sv", grid, wide);
        t->s2 = fc_part(r, "s2", grid, wide);
    } else {
        ptrdiff_t apart = g->by_plane ? g->k[DEPTH] : 1;
        t->suffix = fc_part(r, "suffix", times(times(2 * min(g->k[ROWS], rows), m->row), apart), wide);
        t->prefix = fc_part(r, "prefix", times(2 * m->row, apart), wide);
    }
    t->joined = g->by_plane ? fc_part(r, "joined", times(3, g->weights ? grid : m->row), wide) : NULL;
    for (int l = 0; l < BUFFERS; l++)
        t->buffer[l] = fc_part(r, "buffer", 2 * m->row, wide);
    t->window = fc_part(r, "window", times(times(g->k[DEPTH], g->k[ROWS]), g->k[COLS]), wide);
    t->mark = fc_part(r, "mark", times(rows, m->tile[COLS]), 1);
    if (m->fft[COLS] && g->k[DEPTH] > 1)
        t->part = fc_part(r, "part of num", grid, wide);
    if (m->fft[COLS])
        t->fft = fc_part(r, "transforms", (ptrdiff_t)fc_fft_scratch(m->set[FC_F64][TEMPLATE].fft[0]), 1);
}

static void match_tile(void *context, ptrdiff_t index, int slot)
{
    const match *m = context;
    const fc_match *g = m->g;
    tile t = {.m = m, .type = m->type, .op = m->fc->op[m->type]};
    if (m->type > g->type && !m->again[index])
        return;
    fc_room room = fc_room_at(m->scratch, m->thread_bytes, slot);
    match_parts(m, &room, &t);
    unravel(index, m->tiles, t.from);
    for (int a = 0; a < FC_AXES; a++) {
        t.from[a] *= m->tile[a];
        t.count[a] = min(m->tile[a], g->out[a] - t.from[a]);
    }
    t.rows = t.count[ROWS] + g->k[ROWS] - 1, t.seen = t.count[COLS] + g->k[COLS] - 1;
    fc_match_centre(&t);
    memset(t.mark, 0, (size_t)(m->tile[ROWS] * m->tile[COLS]));
    fc_match_constants(&t);
    if (t.missing && g->weights)
        match_mark_missing(&t);
    if (t.missing)
        fc_match_gather(&t, t.centre, t.scale, 0);
    fc_match_correlate(&t, TEMPLATE, 0, g->k[DEPTH], t.x, t.most, t.num);
    if (t.missing && !g->weights) /* the sums are to see them */
        fc_match_gather(&t, t.centre, t.scale, NAN);
    m->again[index] = (char)fc_match_resolve(&t, fc_match_windows(&t));
    fc_close(&room);
}

/* Sizes of the tiles: fixed by shapes and type, for bits depend on them. */
static void match_size_tiles(match *m)
{
    const fc_match *g = m->g;
    ptrdiff_t h = g->k[ROWS], w = g->k[COLS], deep = g->k[DEPTH];
    ptrdiff_t rows = MATCH_ROWS, cols = MATCH_COLS;
    ptrdiff_t plane[FC_AXES] = {1, h, w}, outputs[FC_AXES] = {1, g->out[ROWS], g->out[COLS]};
    double all = (double)g->out[ROWS] * (double)g->out[COLS],
           direct_us = fc_time_us(RATE_MATCH, (double)h * (double)w * all, 1, 0);
    double fft_us = fc_fft_size(g->type, plane, outputs, 1, MATCH_FFT_PLAN, m->fft) * all;
    if (m->fft[COLS] && h >= MATCH_FFT_SIDE && w >= MATCH_FFT_SIDE && h * w >= MATCH_FFT_TAPS && fft_us < direct_us) {
        ptrdiff_t tall = m->fft[ROWS] - h + 1, broad = 2 * (m->fft[COLS] - w + 1);
        rows = tall, cols = broad;
        while (rows < MATCH_ROWS && rows < g->out[ROWS])
            rows += tall;
        while (cols < MATCH_FFT_COLS && cols < g->out[COLS])
            cols += broad;
    } else {
        m->fft[COLS] = 0;
    }
    while (rows > 16 && m->fft[COLS] == 0 && (double)deep * (double)(rows + h) * (double)(cols + w) * 8 > MATCH_BYTES) {
        rows = (rows + 1) / 2;
        cols = cols > 64 ? (cols + 1) / 2 : cols;
    }
    m->tile[DEPTH] = 1;
    m->tile[ROWS] = min(rows, g->out[ROWS]);
    m->tile[COLS] = min(cols, g->out[COLS]);
    for (int a = 0; a < FC_AXES; a++) {
        m->tiles[a] = parts_of(g->out[a], m->tile[a]);
        if (m->fft[COLS] == 0) /* even shares */
            m->tile[a] = parts_of(g->out[a], m->tiles[a]);
    }
    m->row = round_up(m->tile[COLS] + w - 1, FC_MATCH_LANES) + FC_MATCH_LANES; /* and never 4096 bytes apart */
    if (m->row % 512 == 0)
        m->row += FC_MATCH_LANES;
    m->plane = times(m->row, plus(m->tile[ROWS], h - 1));
    m->wide = round_up(m->tile[COLS], FC_MATCH_LANES);
}

int fc_match_run(const fc_match *g)
{
    match m = {.g = g, .fc = fc_in_use()};
    const double *sets[SETS] = {g->t, g->weights == g->energies ? NULL : g->weights, needs_sums(g) ? g->energies : NULL};
    if (g->out[DEPTH] == 0 || g->out[ROWS] == 0 || g->out[COLS] == 0)
        return 0;
    match_size_tiles(&m);
    double outputs = 1, taps = 1;
    for (int a = 0; a < FC_AXES; a++) {
        m.axis[a] = (fc_axis){.n = g->n[a],
                              .k = g->k[a],
                              .lead = g->lead[a],
                              .stride = 1,
                              .dilation = 1,
                              .boundary = g->boundary,
                              .x_step = g->x_step[a]};
        outputs *= (double)g->out[a], taps *= (double)g->k[a];
    }
    for (int type = g->type; type < TYPES; type++) { /* float32 may give way to float64 */
        fc_describe_source(&m.x[type], m.fc, m.axis, type, g->x_type, g->fill, 0);
        for (int i = 0; i < SETS; i++)
            m.set[type][i].from = sets[i];
    }
    const ptrdiff_t chunks = m.tiles[DEPTH] * m.tiles[ROWS] * m.tiles[COLS];
    fc_room counted = {0};
    match_lay_tables(&m, &counted);
    m.tables.block = fc_alloc(1, (size_t)counted.bytes);
    int failed = !m.tables.block;
    if (!failed)
        match_lay_tables(&m, &m.tables);
    for (int type = g->type; type < TYPES; type++)
        for (int i = 0; i < SETS; i++)
            failed = failed || match_reserve(&m, type, &m.set[type][i]) != 0;
    int threads = fc_threads_for(fc_direct_us(m.fc->vector_bytes, g->type, outputs, taps), g->threads);
    threads = (int)min(threads, chunks);
    tile first = {0};
    if (!failed) {
        fc_room r = {0};
        match_parts(&m, &r, &first);
        m.thread_bytes = r.bytes;
        m.scratch = fc_borrow((size_t)times(threads, r.bytes));
        failed = !m.scratch;
    }
    if (!failed) {
        fc_room r = fc_room_at(m.scratch, m.thread_bytes, 0);
        match_parts(&m, &r, &first);
    }
    /* tiles that float32 leaves in doubt again; all memory is there by now, for nothing may fail once there are results */
    for (m.type = g->type; !failed && m.type < TYPES; m.type++) {
        if (m.type > g->type && !memchr(m.again, 1, (size_t)chunks))
            break;
        for (int i = 0; i < SETS; i++)
            if (sets[i])
                match_prepare(&m, m.type, &m.set[m.type][i], first.fft);
        fc_pool_run(threads, chunks, match_tile, &m);
    }
    match_release(&m);
    return failed ? -1 : 0;
}

/* ---- the template's transforms, for many calls ---------------------------------------------------- */

ptrdiff_t fc_match_learnt_bytes(const fc_match *g)
{
    match m = {.g = g, .fc = fc_in_use()};
    if (g->out[DEPTH] == 0 || g->out[ROWS] == 0 || g->out[COLS] == 0)
        return 0;
    match_size_tiles(&m);
    return times(times(m.fft[ROWS], m.fft[COLS]), 2 * fc_stored_size(g->type) * g->k[DEPTH]);
}

fc_learnt *fc_match_learn(const fc_match *g)
{
    match m = {.g = g, .fc = fc_in_use()};
    ptrdiff_t d = g->k[DEPTH], h = g->k[ROWS], w = g->k[COLS], size = fc_stored_size(g->type);
    const ptrdiff_t plane[FC_AXES] = {1, h, w};
    if (fc_match_learnt_bytes(g) == 0)
        return NULL;
    match_size_tiles(&m);
    char *dense = fc_alloc((size_t)(d * h * w), (size_t)size);
    fc_learnt *learnt = dense ? fc_alloc(1, sizeof *learnt + (size_t)d * sizeof *learnt->fft) : NULL;
    int failed = !learnt;
    if (!failed) {
        m.fc->op[g->type]->widen(dense, FC_F64, g->t, d * h * w);
        *learnt = (fc_learnt){.fc = m.fc, .planes = d};
    }
    for (ptrdiff_t z = 0; learnt && z < d; z++) {
        learnt->fft[z] = fc_fft_new(m.fc, g->type, m.fft, plane, dense + z * h * w * size);
        failed |= !learnt->fft[z];
    }
    fc_free(dense);
    if (failed) {
        fc_match_forget(learnt);
        return NULL;
    }
    return learnt;
}

void fc_match_forget(fc_learnt *learnt)
{
    for (ptrdiff_t z = 0; learnt && z < learnt->planes; z++)
        fc_fft_free(learnt->fft[z]);
    fc_free(learnt);
}
