/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The driver of template matching. The result is cut into tiles, the same for any number of threads; for each
 *
 *   1. gather     what its windows see, boundary applied, into scratch: x
 *   2. centre     x' = (x - c) s, c the tile's mean and s a power of two that makes x' about one: sums of x' and of
 *                 its squares keep the digits that an offset of the whole picture would take from them
 *   3. correlate  x' with the template, the mean of which is nearly zero (directly or by FFT)
 *   4. row by row, window sums of x' and x'^2 in float64, and scores. Sums down the rows:
 *
 *        | block m            | block m + 1        |     blocks of h rows, from the tile's first on; a window is
 *        | . . .[o o o o o o o|o o o]. . . . . . . |     the end of one and the beginning of the next, each had
 *               suffix of m     prefix of m + 1          from its neighbour by one addition. Nothing is ever
 *                                                        subtracted: no drift, and a NaN stays in its windows.
 *   5. doubt      a window whose contrast is lost among the digits of its sums is looked at again. Where all its
 *                 elements are equal it is flat, exactly. Else float32 arithmetic gives way to float64 for the
 *                 tile, and float64 sums to sums about the window's own mean.
 */
#include "corr/call.h"
#include <float.h>
#include <math.h>
#include <string.h>

enum { TILE_ROWS = 96, TILE_COLS = 512, FFT_TILE_COLS = 256, FFT_TAPS = 144, FFT_SIDE = 4, TILE_BYTES = 1 << 24 };
enum { PREFIX, PREFIX2, SUM, SUM2, ROOM, ROOM2, ZERO, OUT, ENERGY, LINES };
enum { SINGLE = FC_F32, DOUBLE = FC_F64, TYPES };          /* index by type of the arithmetic */
enum { CERTAIN, DOUBTFUL, FLAT, MISSING }; /* marks of a window */
enum { TEMPLATE, WEIGHTS, ENERGIES, SETS }; /* what is correlated with */

/* ---- one set of weights, ready to be correlated with -------------------------------------------- */

typedef struct {
    fc_room room; /* taps column by column, and where they lie */
    fc_taps taps;
    fc_fft **fft; /* one for each depth; NULL: directly */
} correlator;

typedef struct {
    const fc_match *g;
    const fc_kernels *fc; /* of the whole call */
    fc_corr corr[TYPES]; /* how to gather */
    call gather[TYPES];
    correlator set[TYPES][SETS];
    double sum[TYPES]; /* of the template as it is rounded */
    double square[SETS]; /* sum of squares */
    ptrdiff_t tile[FC_AXES], tiles[FC_AXES];
    ptrdiff_t row, plane; /* elements from row to row, plane to plane of gathered elements */
    ptrdiff_t wide;       /* room of a row of outputs or sums */
    ptrdiff_t fft[FC_AXES]; /* size of a transform of planes, 0: none */
    ptrdiff_t thread_bytes;
    char *scratch;
} match;

/* One thread's, at one tile */
typedef struct {
    const match *m;
    int type, slot;
    char *x, *squares, *num, *part, *fft, *mark; /* part: of num, one plane's */
    double *s1, *sv, *s2; /* with weights: sums of the whole tile */
    double *suffix, *line[LINES];
    ptrdiff_t from[FC_AXES], count[FC_AXES]; /* outputs */
    double centre, scale, most;              /* of x'; its largest magnitude at most */
    fc_score score;
} work;

static ptrdiff_t size_of(int type)
{
    return type == SINGLE ? 4 : 8;
}

static void release(match *m)
{
    for (int type = 0; type < TYPES; type++)
        for (int i = 0; i < SETS; i++) {
            correlator *k = &m->set[type][i];
            for (ptrdiff_t z = 0; k->fft && z < m->g->k[DEPTH]; z++)
                fc_fft_free(k->fft[z]);
            fc_free(k->fft);
            fc_close(&k->room);
            fc_free(k->room.block);
        }
    fc_free(m->scratch);
}

static char *lay_taps(const match *m, int type, fc_room *r, ptrdiff_t **at)
{
    const ptrdiff_t *k = m->g->k;
    *at = fc_part(r, "taps in x", times(k[DEPTH], k[COLS]), sizeof **at);
    return fc_part(r, "taps", times(times(k[DEPTH], k[COLS]), k[ROWS]), size_of(type));
}

/* from: k float64 elements. Returns 0, or -1 when memory is short. */
static int prepare(match *m, int type, int which, const double *from)
{
    const fc_match *g = m->g;
    correlator *k = &m->set[type][which];
    ptrdiff_t d = g->k[DEPTH], h = g->k[ROWS], w = g->k[COLS], size = size_of(type);
    ptrdiff_t *at;
    fc_room r = {0};
    lay_taps(m, type, &r, &at);
    k->room.block = fc_alloc(1, (size_t)r.bytes);
    if (!k->room.block)
        return -1;
    char *taps = lay_taps(m, type, &k->room, &at);
    k->taps = (fc_taps){.h = h, .full = d * w, .at = at, .k = taps};
    double sum = 0, square = 0;
    for (ptrdiff_t z = 0; z < d; z++)
        for (ptrdiff_t a = 0; a < h; a++)
            for (ptrdiff_t b = 0; b < w; b++) {
                double value = from[(z * h + a) * w + b];
                float rounded = (float)value;
                char *to = taps + ((z * w + b) * h + a) * size;
                at[z * w + b] = z * m->plane + b;
                memcpy(to, type == SINGLE ? (void *)&rounded : (void *)&value, (size_t)size);
                sum += type == SINGLE ? (double)rounded : value;
                square += value * value;
            }
    if (which == TEMPLATE)
        m->sum[type] = sum;
    m->square[which] = square;
    if (m->fft[COLS] == 0)
        return 0;
    char *rows = fc_alloc((size_t)(h * w), (size_t)size); /* of the packed taps, which are columns */
    int failed = !rows;
    k->fft = failed ? NULL : fc_alloc((size_t)d, sizeof *k->fft);
    for (ptrdiff_t z = 0; k->fft && z < d; z++)
        k->fft[z] = NULL;
    for (ptrdiff_t z = 0; k->fft && z < d; z++) {
        ptrdiff_t plane[FC_AXES] = {1, h, w};
        for (ptrdiff_t a = 0; a < h; a++)
            fc_copy_row(rows + a * w * size, size, taps + (z * w * h + a) * size, h * size, w, size);
        k->fft[z] = fc_fft_new(m->fc, type, m->fft, plane, rows);
        failed = failed || !k->fft[z];
    }
    fc_free(rows);
    return k->fft && !failed ? 0 : -1;
}

/* to[rows][wide] = the windows of x (of the tile) with this set: the one place that asks for a correlation. */
static void correlate(const work *t, int which, const char *x, char *to)
{
    const match *m = t->m;
    const correlator *k = &m->set[t->type][which];
    ptrdiff_t size = size_of(t->type), rows = t->count[ROWS], cols = t->count[COLS];
    if (!k->fft) {
        m->fc->op[t->type]->corr(x, m->row, &k->taps, to, m->wide, rows, cols);
        return;
    }
    ptrdiff_t tall = m->fft[ROWS] - m->g->k[ROWS] + 1, broad = m->fft[COLS] - m->g->k[COLS] + 1;
    const ptrdiff_t of_x[2] = {m->plane, m->row}, of_out[2] = {0, m->wide};
    for (ptrdiff_t i = 0; i < rows; i += tall)
        for (ptrdiff_t j = 0; j < cols; j += 2 * broad)
            for (ptrdiff_t z = 0; z < m->g->k[DEPTH]; z++) {
                fc_fft_tile pair[2];
                for (int side = 0; side < 2; side++) {
                    ptrdiff_t left = j + side * broad, at = i * m->wide + left;
                    pair[side] = (fc_fft_tile){x + (z * m->plane + i * m->row + left) * size,
                                               (z ? t->part : to) + at * size,
                                               {1, min(tall, rows - i), clamp(cols - left, 0, broad)}};
                }
                fc_fft_corr(k->fft[z], t->fft, pair, of_x, of_out);
                for (ptrdiff_t r = 0; r < pair[0].out[ROWS] && z > 0; r++) {
                    ptrdiff_t at = ((i + r) * m->wide + j) * size;
                    m->fc->op[t->type]->add(to + at, to + at, t->part + at, pair[0].out[COLS] + pair[1].out[COLS]);
                }
            }
}

/* ---- gather and centre -------------------------------------------------------------------------- */

/* Sums of products of integers, which a transform has rounded, are made integers again where its error is small
 * enough to tell which (fft.c). most: the largest element of x */
static void make_whole(const work *t, int which, double most, char *grid)
{
    const match *m = t->m;
    double points = (double)m->fft[ROWS] * (double)m->fft[COLS];
    double error = 2 * 0x1p-53 * log2(points + 1) * sqrt(2 * points * m->square[which]) * most;
    if (!m->g->whole || m->fft[COLS] == 0 || !(error < 0.25))
        return;
    for (ptrdiff_t i = 0; i < t->count[ROWS]; i++)
        for (ptrdiff_t j = 0; j < t->count[COLS]; j++) {
            double *p = (double *)(void *)grid + i * m->wide + j;
            *p = *p + 0x1.8p52 - 0x1.8p52;
        }
}

static char *x_row(const work *t, char *x, ptrdiff_t z, ptrdiff_t i)
{
    return x + (z * t->m->plane + i * t->m->row) * size_of(t->type);
}

static void gather(work *t)
{
    const match *m = t->m;
    const call *c = &m->gather[t->type];
    ptrdiff_t seen = t->count[COLS] + m->g->k[COLS] - 1, rows = t->count[ROWS] + m->g->k[ROWS] - 1;
    rows_of layout = {m->plane, m->row, NULL};
    scratch s = {.raw = (char *)t->line[SUM], .column = (ptrdiff_t *)(void *)t->line[ROOM]};
    fc_gather(c, &s, t->x, &layout, m->g->x, t->from, t->count);
    for (ptrdiff_t z = 0; z < m->g->k[DEPTH]; z++)
        for (ptrdiff_t i = 0; i < rows; i++)
            memset(x_row(t, t->x, z, i) + seen * c->size, 0, (size_t)((m->row - seen) * c->size));
}

/* Apply (x - centre) * scale to the tile. */
static void shift(work *t, double centre, double scale)
{
    const match *m = t->m;
    ptrdiff_t seen = t->count[COLS] + m->g->k[COLS] - 1, rows = t->count[ROWS] + m->g->k[ROWS] - 1;
    for (ptrdiff_t z = 0; z < m->g->k[DEPTH]; z++)
        for (ptrdiff_t i = 0; i < rows; i++)
            m->fc->op[t->type]->match_shift(x_row(t, t->x, z, i), seen, centre, scale);
}

/* What is not finite becomes NaN, or (for the correlation, which would spread it over a transform) zero. */
static void replace(work *t, double by)
{
    const match *m = t->m;
    ptrdiff_t seen = t->count[COLS] + m->g->k[COLS] - 1, rows = t->count[ROWS] + m->g->k[ROWS] - 1;
    for (ptrdiff_t z = 0; z < m->g->k[DEPTH]; z++)
        for (ptrdiff_t i = 0; i < rows; i++) {
            float *f = (float *)(void *)x_row(t, t->x, z, i);
            double *d = (double *)(void *)f;
            for (ptrdiff_t j = 0; j < seen; j++)
                if (t->type == SINGLE && !isfinite(f[j]))
                    f[j] = (float)by;
                else if (t->type == DOUBLE && !isfinite(d[j]))
                    d[j] = by;
        }
}

/* Steps 1 and 2; returns whether elements are not finite. */
static int centre(work *t)
{
    const match *m = t->m;
    ptrdiff_t seen = t->count[COLS] + m->g->k[COLS] - 1, rows = t->count[ROWS] + m->g->k[ROWS] - 1;
    fc_look all = {.low = INFINITY, .high = -INFINITY};
    gather(t);
    for (ptrdiff_t z = 0; z < m->g->k[DEPTH]; z++)
        for (ptrdiff_t i = 0; i < rows; i++)
            m->fc->op[t->type]->match_look(x_row(t, t->x, z, i), seen, &all);
    double n = (double)m->g->k[DEPTH] * (double)rows * (double)seen - (double)all.not_finite;
    double mean = n > 0 ? all.sum / n : 0;
    t->scale = 1;
    t->centre = m->g->whole ? rint(mean) : fabs(mean) < FLT_MAX ? (double)(float)mean : isfinite(mean) ? mean : 0;
    double most = all.low <= all.high ? fmax(all.high - t->centre, t->centre - all.low) : 0;
    if (!(most > 0))
        most = fabs(t->centre); /* all are equal */
    if (!m->g->whole && most > 0) {
        int exponent;
        frexp(fmin(most, DBL_MAX), &exponent);
        t->scale = ldexp(1, -(int)clamp(exponent, t->type == SINGLE ? -120 : -1000, 1000));
        if (m->g->measure == FC_SQDIFF && t->scale > m->g->scale) /* squares of the template are added to those of x */
            t->scale = m->g->scale;
    }
    shift(t, t->centre, t->scale);
    t->most = most * t->scale;
    if (all.not_finite > 0)
        replace(t, NAN);
    return all.not_finite > 0;
}

/* ---- scores ------------------------------------------------------------------------------------- */

/* The constants of match_score for this tile, in units of x' and of the template as it is scaled. */
static void set_score(work *t)
{
    const match *m = t->m;
    const fc_match *g = m->g;
    double s = t->scale, c = t->centre, r = m->sum[t->type], q = s / g->scale, V = g->energy;
    double shifted = g->shift * g->scale, delta = (g->shift - c) * s;
    fc_score *f = &t->score;
    *f = (fc_score){.normed = g->normed, .spreads = g->normed && !g->weights && t->type == DOUBLE,
                    .per_weight = 1 / g->weight, .energy = V, .per_energy = 1 / V,
                    .low = g->normed ? -1 : -INFINITY, .high = g->normed ? 1 : INFINITY};
    double norm = sqrt(g->measure == FC_CCOEFF ? g->spread : g->power);
    if (g->measure == FC_CCOEFF) {
        f->of_num = 1, f->of_mean = -r;
        f->gain = g->normed ? 1 / norm : 1 / s / g->scale;
    } else if (g->measure == FC_CCORR) {
        f->of_num = 1, f->of_sum = shifted, f->constant = s * c * (r + shifted * V);
        f->gain = g->normed ? 1 / norm : 1 / s / g->scale;
    } else {
        f->of_num = -2 * q, f->of_sum = -2 * delta, f->of_squares = 1;
        f->constant = q * q * g->square + delta * (2 * q * r + delta * V);
        f->gain = g->normed ? 1 / q / norm : 1 / s / s;
        f->low = 0;
    }
    if (g->measure != FC_CCOEFF)
        f->of_level = V, f->centre = s * c;
    if (g->normed && norm == 0) { /* nothing of the template is left: see `alone` */
        f->of_num = f->of_sum = f->of_squares = f->of_mean = f->constant = 0, f->gain = 1;
        if (g->measure == FC_SQDIFF)
            f->low = 1;
    }
    /* Rounding of the sums, relative to them; of a transform, relative to the tile. */
    double taps = (double)g->k[DEPTH] * (double)g->k[ROWS];
    f->doubt = f->spreads ? 0x1p-40 + taps * 0x1p-50 : g->weights ? 0x1p-26 : 0x1p-20;
    if (g->measure != FC_CCOEFF)
        f->floor = f->doubt * V * s * c * s * c;
    if (m->fft[COLS])
        f->floor += (t->type == SINGLE ? 0x1p-24 : g->weights ? 0x1p-30 : 0x1p-48) * t->most * t->most * V;
}

static double clamp_score(double v, double low)
{
    return v < low ? low : v > 1 ? 1 : v;
}

/* The score of a normed sqdiff or ccorr, from sum v T X, sum v X^2 and sum v (T - X)^2, in units of X */
static double ratio(const work *t, double cross, double power, double difference)
{
    const fc_match *g = t->m->g;
    double both = sqrt(power) * sqrt(g->power) * (t->scale / g->scale);
    if (g->measure == FC_CCORR)
        return both > 0 ? clamp_score(cross / both, -1) : 0;
    return both > 0 ? clamp_score(difference / both, 0) : difference > 0;
}

/* The score of a window whose elements are all X */
static double flat_score(const work *t, double X)
{
    const fc_match *g = t->m->g;
    double q = t->scale / g->scale, cross = X * q * (t->m->sum[DOUBLE] + g->shift * g->scale * g->energy);
    double power = X * X * g->energy, difference = power - 2 * cross + q * q * g->power;
    return g->measure == FC_CCOEFF ? 0 : ratio(t, cross, power, difference > 0 ? difference : 0);
}

/* The score of a window by itself, X its elements times s */
static double alone(const work *t, ptrdiff_t i, ptrdiff_t j)
{
    const match *m = t->m;
    const fc_match *g = m->g;
    ptrdiff_t h = g->k[ROWS], w = g->k[COLS], taps = 0;
    double s = t->scale, q = s / g->scale, first = NAN, mean = 0, cross = 0, power = 0, difference = 0;
    const char *x = t->x + (i * m->row + j) * 8;
#define EACH_TAP                                                                                             \
    for (ptrdiff_t z = 0; z < g->k[DEPTH]; z++)                                                              \
        for (ptrdiff_t a = 0; a < h; a++)                                                                    \
            for (ptrdiff_t b = 0, e = (z * h + a) * w; b < w; b++, e++)
#define ELEMENT (((const double *)(const void *)x)[z * m->plane + a * m->row + b])
#define WEIGHT(which) (g->which ? g->which[e] : 1)
    if (g->measure == FC_CCOEFF) {
        int equal = 1;
        EACH_TAP if (WEIGHT(weights) != 0) {
            first = taps++ == 0 ? ELEMENT : first;
            equal &= ELEMENT == first;
            mean += WEIGHT(weights) * (ELEMENT - first);
        }
        if (equal || g->spread == 0)
            return 0;
        mean /= g->weight; /* from the first element on, as an offset may be much larger */
        EACH_TAP if (WEIGHT(energies) != 0) {
            double off = ELEMENT - first - mean;
            cross += g->t[e] * off;
            power += WEIGHT(energies) * off * off;
        }
        power = power > 0 ? cross / sqrt(g->spread) / sqrt(power) : 0;
        return clamp_score(power, -1);
    }
    EACH_TAP if (WEIGHT(energies) != 0) {
        double template = g->t[e] / WEIGHT(energies) * q + g->shift * s;
        cross += WEIGHT(energies) * ELEMENT * template;
        power += WEIGHT(energies) * ELEMENT * ELEMENT;
        difference += WEIGHT(energies) * (ELEMENT - template) * (ELEMENT - template);
    }
    return ratio(t, cross, power, difference);
#undef EACH_TAP
#undef ELEMENT
#undef WEIGHT
}

static void put_score(const work *t, ptrdiff_t i, ptrdiff_t j, double value)
{
    const fc_match *g = t->m->g;
    char *to = g->result;
    for (int a = 0; a < FC_AXES; a++)
        to += (t->from[a] + (a == ROWS ? i : a == COLS ? j : 0)) * g->out_step[a];
    float narrow = (float)value;
    memcpy(to, g->out_type == FC_F32 ? (void *)&narrow : (void *)&value, g->out_type == FC_F32 ? 4 : 8);
}

/* A row of scores; marks what is in doubt and returns whether anything is. */
static int score_row(work *t, ptrdiff_t i, const double *s1, const double *sv, const double *s2)
{
    const match *m = t->m;
    const fc_match *g = m->g;
    const fc_score *f = &t->score;
    ptrdiff_t n = t->count[COLS];
    const char *num = t->num + i * m->wide * size_of(t->type);
    int doubt = m->fc->op[t->type]->match_score(t->line[OUT], t->line[ENERGY], num, s1, sv, s2, n, f);
    char *to = g->result + t->from[DEPTH] * g->out_step[DEPTH] + (t->from[ROWS] + i) * g->out_step[ROWS] +
               t->from[COLS] * g->out_step[COLS];
    if (t->type == DOUBLE && g->out_type == FC_F32)
        m->fc->op[FC_F32]->widen(to, FC_F64, t->line[OUT], n);
    else
        memcpy(to, t->line[OUT], (size_t)(n * size_of(t->type)));
    char *mark = t->mark + i * m->tile[COLS];
    for (ptrdiff_t j = 0; doubt && j < n; j++) { /* as match_score has it */
        double mean = s1[j] * f->per_weight, level = f->centre + sv[j] * f->per_energy;
        double spread = f->spreads ? s2[j] : s2[j] - mean * (2 * sv[j] - mean * f->energy);
        double two = f->spreads ? s2[j] + mean * sv[j] : s2[j], e = spread + f->of_level * (level * level);
        if (e <= f->doubt * two + f->floor && !mark[j])
            mark[j] = DOUBTFUL;
    }
    return doubt;
}

/* ---- window sums -------------------------------------------------------------------------------- */

/* to = from and row i of the tile, of all its planes. from: of so many rows */
static void add_row(work *t, double *const to[2], double *const from[2], ptrdiff_t rows, ptrdiff_t i, ptrdiff_t n)
{
    const fc_ops *op = t->m->fc->op[t->type];
    ptrdiff_t deep = t->m->g->k[DEPTH];
    for (ptrdiff_t z = 0; z < deep; z++) {
        double *sum = z ? to[0] : from[0], *squares = z ? to[1] : from[1];
        const char *x = x_row(t, t->x, z, i);
        if (t->score.spreads)
            op->match_grow(to[0], to[1], sum, squares, x, n, (double)(rows * deep + z));
        else
            op->match_add(to[0], to[1], sum, squares, x, n);
    }
}

/* Window sums of a row of outputs into `sum`: from the suffix of so many rows, and the prefix of the others */
static void sum_row(work *t, double *const sum[2], double *const suffix[2], double *const prefix[2], ptrdiff_t rows)
{
    const fc_match *g = t->m->g;
    const fc_ops *op = t->m->fc->op[FC_F64];
    ptrdiff_t h = g->k[ROWS], w = g->k[COLS], cols = t->count[COLS], seen = cols + w - 1;
    double deep = (double)g->k[DEPTH];
    if (rows == h)
        for (int p = 0; p < 2; p++)
            memcpy(sum[p], suffix[p], (size_t)seen * sizeof(double));
    if (t->score.spreads) {
        if (rows < h)
            op->match_merge(sum[0], sum[1], suffix[0], suffix[1], prefix[0], prefix[1], seen, (double)rows * deep,
                                (double)(h - rows) * deep);
        op->match_spread(sum[0], sum[1], t->line[ROOM], t->line[ROOM2], cols, w, (double)h * deep);
        return;
    }
    for (int p = 0; p < 2; p++) {
        if (rows < h)
            op->add(sum[p], suffix[p], prefix[p], seen);
        op->match_window(sum[p], t->line[ROOM], cols, w);
    }
}

/* Step 4 without weights. Returns whether anything is in doubt. */
static int sums_and_scores(work *t)
{
    const match *m = t->m;
    ptrdiff_t h = m->g->k[ROWS], seen = t->count[COLS] + m->g->k[COLS] - 1;
    double *zero[2] = {t->line[ZERO], t->line[ZERO]}, *prefix[2] = {t->line[PREFIX], t->line[PREFIX2]};
    double *sum[2] = {t->line[SUM], t->line[SUM2]};
    int doubt = 0;
    memset(zero[0], 0, (size_t)m->row * sizeof(double));
    for (ptrdiff_t block = 0; block < t->count[ROWS]; block += h) {
        ptrdiff_t outputs = min(h, t->count[ROWS] - block);
        double *below[2] = {zero[0], zero[1]};
        for (ptrdiff_t r = h - 1; r >= 0; r--) { /* suffixes; those that no output has stay in one place */
            double *first = t->suffix + 2 * min(r, outputs - 1) * m->row, *to[2] = {first, first + m->row};
            add_row(t, to, below, h - 1 - r, block + r, seen);
            below[0] = to[0], below[1] = to[1];
        }
        for (ptrdiff_t r = 0; r < outputs; r++) {
            double *first = t->suffix + 2 * r * m->row, *suffix[2] = {first, first + m->row};
            if (r > 0)
                add_row(t, prefix, r == 1 ? zero : prefix, r - 1, block + h + r - 1, seen);
            sum_row(t, sum, suffix, prefix, h - r);
            doubt |= score_row(t, block + r, sum[0], sum[0], sum[1]);
        }
    }
    return doubt;
}

/* Step 4 with weights: window sums are correlations, too. */
static int weighted_scores(work *t)
{
    const match *m = t->m;
    const fc_match *g = m->g;
    ptrdiff_t all = g->k[DEPTH] * m->plane;
    double *x = (double *)(void *)t->x, *squares = (double *)(void *)t->squares, most = t->most;
    for (ptrdiff_t e = 0; e < all; e++)
        squares[e] = x[e] * x[e];
    int mean = g->weights != g->energies;
    correlate(t, ENERGIES, t->x, (char *)t->sv);
    make_whole(t, ENERGIES, most, (char *)t->sv);
    correlate(t, ENERGIES, t->squares, (char *)t->s2);
    make_whole(t, ENERGIES, most * most, (char *)t->s2);
    if (mean)
        correlate(t, WEIGHTS, t->x, (char *)t->s1);
    int doubt = 0;
    for (ptrdiff_t i = 0; i < t->count[ROWS]; i++) {
        ptrdiff_t at = i * m->wide;
        doubt |= score_row(t, i, (mean ? t->s1 : t->sv) + at, t->sv + at, t->s2 + at);
    }
    return doubt;
}

/* ---- doubt -------------------------------------------------------------------------------------- */

/* Marks windows, of those in doubt, whose elements are all equal: run lengths along rows, then down. The tile holds x
 * as it is. */
static void find_flat(work *t)
{
    const match *m = t->m;
    ptrdiff_t h = m->g->k[ROWS], w = m->g->k[COLS], cols = t->count[COLS], rows = t->count[ROWS];
    int32_t *down = (int32_t *)(void *)t->line[SUM], *across = (int32_t *)(void *)t->line[ROOM];
    for (ptrdiff_t z = 0; z < m->g->k[DEPTH]; z++) {
        memset(down, 0, (size_t)cols * sizeof *down);
        for (ptrdiff_t i = rows + h - 2; i >= 0; i--) {
            const void *row = x_row(t, t->x, z, i), *first_row = x_row(t, t->x, 0, i);
            const float *f = row, *first_f = first_row;
            const double *d = row, *first_d = first_row;
#define SAME(a, b) (t->type == SINGLE ? f[a] == f[b] : d[a] == d[b])
            ptrdiff_t last = cols + w - 2, run = 1;
            for (ptrdiff_t j = last; j >= 0; j--) {
                run = j < last && SAME(j, j + 1) ? run + 1 : 1;
                if (j < cols)
                    across[j] = run >= w;
            }
            for (ptrdiff_t j = 0; j < cols; j++) {
                int below = i < rows + h - 2 && SAME(j, j + m->row);
                int first = z == 0 || (t->type == SINGLE ? f[j] == first_f[j] : d[j] == first_d[j]);
                down[j] = across[j] && first ? (below ? down[j] : 0) + 1 : 0;
                char *mark = t->mark + i * m->tile[COLS] + j;
                if (i < rows && (*mark == DOUBTFUL || *mark == FLAT)) {
                    int flat = down[j] >= h;
                    *mark = (z == 0 || *mark == FLAT) && flat ? FLAT : DOUBTFUL;
                }
            }
#undef SAME
        }
    }
}

/* Step 5. Returns whether the tile has to be done again, in float64. */
static int resolve(work *t)
{
    const match *m = t->m;
    gather(t);
    shift(t, 0, t->scale);
    find_flat(t);
    if (t->type == SINGLE)
        for (ptrdiff_t i = 0; i < t->count[ROWS]; i++)
            if (memchr(t->mark + i * m->tile[COLS], DOUBTFUL, (size_t)t->count[COLS]))
                return 1;
    for (ptrdiff_t i = 0; i < t->count[ROWS]; i++)
        for (ptrdiff_t j = 0; j < t->count[COLS]; j++) {
            const void *x = x_row(t, t->x, 0, i) + j * size_of(t->type);
            char mark = t->mark[i * m->tile[COLS] + j];
            if (mark == FLAT)
                put_score(t, i, j, flat_score(t, t->type == SINGLE ? (double)*(const float *)x : *(const double *)x));
            else if (mark == DOUBTFUL)
                put_score(t, i, j, alone(t, i, j));
        }
    return 0;
}

/* With weights: NaN where an element that is not finite has a weight. The tile holds NaN for them. */
static void mark_missing(work *t)
{
    const match *m = t->m;
    const fc_match *g = m->g;
    const double *x = (const double *)(void *)t->x;
    for (ptrdiff_t z = 0; z < g->k[DEPTH]; z++)
        for (ptrdiff_t i = 0; i < t->count[ROWS] + g->k[ROWS] - 1; i++)
            for (ptrdiff_t j = 0; j < t->count[COLS] + g->k[COLS] - 1; j++) {
                if (isfinite(x[z * m->plane + i * m->row + j]))
                    continue;
                for (ptrdiff_t a = 0; a < g->k[ROWS]; a++)
                    for (ptrdiff_t b = 0; b < g->k[COLS]; b++)
                        if (i >= a && j >= b && i - a < t->count[ROWS] && j - b < t->count[COLS] &&
                            g->energies[(z * g->k[ROWS] + a) * g->k[COLS] + b] != 0)
                            t->mark[(i - a) * m->tile[COLS] + j - b] = MISSING;
            }
}

/* ---- a tile, and all of them -------------------------------------------------------------------- */

/* Scratch of one thread; elements have room for the wider type */
static void lay_scratch(const match *m, fc_room *r, work *t)
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
    } else
        t->suffix = fc_part(r, "suffix", times(2 * min(g->k[ROWS], rows), m->row), wide);
    for (int l = 0; l < LINES; l++)
        t->line[l] = fc_part(r, "line", m->row, wide);
    t->mark = fc_part(r, "mark", times(rows, m->tile[COLS]), 1);
    if (m->fft[COLS] && g->k[DEPTH] > 1)
        t->part = fc_part(r, "part of num", grid, wide);
    if (m->fft[COLS])
        t->fft = fc_part(r, "transforms", (ptrdiff_t)fc_fft_scratch(m->set[DOUBLE][TEMPLATE].fft[0]), 1);
}

static void tile(void *context, ptrdiff_t index, int slot)
{
    match *m = context;
    const fc_match *g = m->g;
    work t = {.m = m, .type = g->type};
    fc_room room = fc_room_at(m->scratch, m->thread_bytes, slot);
    lay_scratch(m, &room, &t);
    for (int a = FC_AXES - 1; a >= 0; a--) {
        t.from[a] = index % m->tiles[a] * m->tile[a];
        t.count[a] = min(m->tile[a], g->out[a] - t.from[a]);
        index /= m->tiles[a];
    }
    for (int again = 1; again;) {
        int missing = centre(&t), doubt;
        memset(t.mark, 0, (size_t)(m->tile[ROWS] * m->tile[COLS]));
        set_score(&t);
        if (missing && g->weights)
            mark_missing(&t);
        if (missing)
            replace(&t, 0);
        correlate(&t, TEMPLATE, t.x, t.num);
        make_whole(&t, TEMPLATE, t.most, t.num);
        if (missing && !g->weights) { /* the sums are to see them */
            gather(&t);
            shift(&t, t.centre, t.scale);
            replace(&t, NAN);
        }
        doubt = g->weights ? weighted_scores(&t) : sums_and_scores(&t);
        again = doubt && g->normed && resolve(&t);
        t.type = again ? DOUBLE : t.type;
        if (missing && g->weights && !again)
            for (ptrdiff_t i = 0; i < t.count[ROWS]; i++)
                for (ptrdiff_t j = 0; j < t.count[COLS]; j++)
                    if (t.mark[i * m->tile[COLS] + j] == MISSING)
                        put_score(&t, i, j, NAN);
    }
    fc_close(&room);
}

/* Sizes of the tiles: fixed by shapes and type, for bits depend on them. */
static void size_tiles(match *m)
{
    const fc_match *g = m->g;
    ptrdiff_t h = g->k[ROWS], w = g->k[COLS], deep = g->k[DEPTH];
    ptrdiff_t rows = TILE_ROWS, cols = TILE_COLS;
    ptrdiff_t plane[FC_AXES] = {1, h, w}, outputs[FC_AXES] = {1, g->out[ROWS], g->out[COLS]};
    double fft_ns = 1e3 * fc_fft_size(m->fc, g->type, plane, outputs, m->fft) * m->fc->vector_bytes / 64;
    fft_ns *= (double)g->out[ROWS] * (double)g->out[COLS];
    double direct_ns = (double)h * (double)w * (double)g->out[ROWS] * (double)g->out[COLS] / 60;
    if (m->fft[COLS] && h >= FFT_SIDE && w >= FFT_SIDE && h * w >= FFT_TAPS && fft_ns < direct_ns) {
        ptrdiff_t tall = m->fft[ROWS] - h + 1, broad = 2 * (m->fft[COLS] - w + 1);
        rows = tall, cols = broad;
        while (rows < TILE_ROWS && rows < g->out[ROWS])
            rows += tall;
        while (cols < FFT_TILE_COLS && cols < g->out[COLS])
            cols += broad;
    } else {
        m->fft[COLS] = 0;
    }
    while (rows > 16 && m->fft[COLS] == 0 && (double)deep * (double)(rows + h) * (double)(cols + w) * 8 > TILE_BYTES) {
        rows = (rows + 1) / 2;
        cols = cols > 64 ? (cols + 1) / 2 : cols;
    }
    m->tile[DEPTH] = 1;
    m->tile[ROWS] = min(rows, g->out[ROWS]);
    m->tile[COLS] = min(cols, g->out[COLS]);
    for (int a = 0; a < FC_AXES; a++) {
        m->tiles[a] = (g->out[a] + m->tile[a] - 1) / m->tile[a];
        if (m->fft[COLS] == 0) /* even shares */
            m->tile[a] = (g->out[a] + m->tiles[a] - 1) / m->tiles[a];
    }
    m->row = round_up(m->tile[COLS] + w - 1, FC_MATCH_LANES) + FC_MATCH_LANES; /* and never 4096 bytes apart */
    if (m->row % 512 == 0)
        m->row += FC_MATCH_LANES;
    m->plane = times(m->row, plus(m->tile[ROWS], h - 1));
    m->wide = round_up(m->tile[COLS], FC_MATCH_LANES);
}

/* What fc_gather wants to know */
static void describe(match *m, int type)
{
    const fc_match *g = m->g;
    fc_corr *corr = &m->corr[type];
    *corr = (fc_corr){.type = type, .x_type = g->x_type, .method = FC_DIRECT,
                      .threads = g->threads, .fill = g->fill, .x = g->x, .out = g->result};
    corr->out_type = corr->type;
    for (int a = 0; a < FC_AXES; a++)
        corr->axis[a] = (fc_axis){.n = g->n[a], .k = g->k[a], .out = g->out[a], .lead = g->lead[a], .stride = 1,
                                  .dilation = 1, .boundary = g->boundary, .x_step = g->x_step[a], .whole = g->out[a]};
    m->gather[type] = (call){.g = corr, .fc = m->fc, .op = m->fc->op[type], .size = size_of(type), .stored = fc_stored_size(g->x_type)};
    if (type == SINGLE)
        m->gather[type].fill.f32 = (float)g->fill;
    else
        m->gather[type].fill.f64 = g->fill;
}

static int take_scratch(match *m, int threads)
{
    fc_room r = {0};
    lay_scratch(m, &r, &(work){0});
    m->thread_bytes = r.bytes;
    m->scratch = fc_alloc((size_t)threads, (size_t)r.bytes);
    return m->scratch ? 0 : -1;
}

int fc_match_run(const fc_match *g)
{
    match m = {.g = g, .fc = fc_in_use()};
    const double *sets[SETS] = {g->t, g->weights == g->energies ? NULL : g->weights, g->energies};
    if (g->out[DEPTH] == 0 || g->out[ROWS] == 0 || g->out[COLS] == 0)
        return 0;
    size_tiles(&m);
    int failed = 0;
    for (int type = g->type; type < TYPES; type++) {
        describe(&m, type);
        for (int i = 0; i < SETS; i++)
            failed = failed || (sets[i] && prepare(&m, type, i, sets[i]) != 0);
    }
    fc_plan plan;
    fc_corr_plan(m.fc, &m.corr[g->type], &plan);
    int threads = plan.threads > 1 ? g->threads : 1;
    ptrdiff_t chunks = m.tiles[DEPTH] * m.tiles[ROWS] * m.tiles[COLS];
    threads = threads < chunks ? threads : (int)chunks;
    failed = failed || take_scratch(&m, threads) != 0;
    if (!failed)
        fc_pool_run(threads, chunks, tile, &m);
    release(&m);
    return failed ? -1 : 0;
}
