/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Scores from window sums, and those that are in doubt: where the contrast of a window is lost among the digits of its sums.
 */
#include "match/tile.h"
#include <math.h>
#include <string.h>

/* The constants of match_score for this tile, in units of x' and of the template as it is scaled. */
void fc_match_constants(tile *t)
{
    const match *m = t->m;
    const fc_match *g = m->g;
    double s = t->scale, c = t->centre, r = m->sum[t->type], q = s / g->scale, V = g->energy;
    double shifted = g->shift * g->scale, delta = (g->shift - c) * s;
    fc_score *f = &t->score;
    *f = (fc_score){.normed = g->normed,
                    .spreads = g->normed && !g->weights && t->type == FC_F64,
                    .per_weight = 1 / g->weight,
                    .energy = V,
                    .per_energy = 1 / V,
                    .low = g->normed ? -1 : -INFINITY,
                    .high = g->normed ? 1 : INFINITY};
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
    if (g->normed && norm == 0) { /* nothing of the template is left: see score_alone */
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
        f->floor += (t->type == FC_F32 ? 0x1p-24 : g->weights ? 0x1p-30 : 0x1p-48) * t->most * t->most * V;
}

static double score_clamp(double v, double low) { return v < low ? low : v > 1 ? 1 : v; }

/* The score of a normed sqdiff or ccorr, from sum v T X, sum v X^2 and sum v (T - X)^2, in units of X */
static double score_ratio(const tile *t, double cross, double power, double difference)
{
    const fc_match *g = t->m->g;
    double both = sqrt(power) * sqrt(g->power) * (t->scale / g->scale);
    if (g->measure == FC_CCORR)
        return both > 0 ? score_clamp(cross / both, -1) : 0;
    return both > 0 ? score_clamp(difference / both, 0) : difference > 0;
}

/* The score of a window whose elements are all X */
static double score_flat(const tile *t, double X)
{
    const fc_match *g = t->m->g;
    double q = t->scale / g->scale, cross = X * q * (t->m->sum[FC_F64] + g->shift * g->scale * g->energy);
    double power = X * X * g->energy, difference = power - 2 * cross + q * q * g->power;
    return g->measure == FC_CCOEFF ? 0 : score_ratio(t, cross, power, difference > 0 ? difference : 0);
}

/* The score of a window by itself, X its elements times s */
static double score_alone(const tile *t, ptrdiff_t i, ptrdiff_t j)
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
        EACH_TAP if (WEIGHT(weights) != 0)
        {
            first = taps++ == 0 ? ELEMENT : first;
            equal &= ELEMENT == first;
            mean += WEIGHT(weights) * (ELEMENT - first);
        }
        if (equal || g->spread == 0)
            return 0;
        mean /= g->weight; /* from the first element on, as an offset may be much larger */
        EACH_TAP if (WEIGHT(energies) != 0)
        {
            double off = ELEMENT - first - mean;
            cross += g->t[e] * off;
            power += WEIGHT(energies) * off * off;
        }
        power = power > 0 ? cross / sqrt(g->spread) / sqrt(power) : 0;
        return score_clamp(power, -1);
    }
    EACH_TAP if (WEIGHT(energies) != 0)
    {
        double template = g->t[e] / WEIGHT(energies) * q + g->shift * s;
        cross += WEIGHT(energies) * ELEMENT * template;
        power += WEIGHT(energies) * ELEMENT * ELEMENT;
        difference += WEIGHT(energies) * (ELEMENT - template) * (ELEMENT - template);
    }
    return score_ratio(t, cross, power, difference);
#undef EACH_TAP
#undef ELEMENT
#undef WEIGHT
}

void fc_match_put(const tile *t, ptrdiff_t i, ptrdiff_t j, double value)
{
    const fc_match *g = t->m->g;
    char *to = g->result;
    for (int a = 0; a < FC_AXES; a++)
        to += (t->from[a] + (a == ROWS ? i : a == COLS ? j : 0)) * g->out_step[a];
    float narrow = (float)value;
    memcpy(to, g->out_type == FC_F32 ? (void *)&narrow : (void *)&value, g->out_type == FC_F32 ? 4 : 8);
}

/* A row of scores; marks what is in doubt and returns whether anything is. */
int fc_match_scores(const tile *t, ptrdiff_t i, const double *s1, const double *sv, const double *s2)
{
    const match *m = t->m;
    const fc_match *g = m->g;
    const fc_score *f = &t->score;
    ptrdiff_t n = t->count[COLS];
    const char *num = t->num + i * m->wide * fc_stored_size(t->type);
    int doubt = t->op->match_score(t->buffer[OUT], t->buffer[ENERGY], num, s1, sv, s2, n, f);
    char *to = g->result + t->from[DEPTH] * g->out_step[DEPTH] + (t->from[ROWS] + i) * g->out_step[ROWS] +
               t->from[COLS] * g->out_step[COLS];
    if (t->type == FC_F64 && g->out_type == FC_F32)
        m->fc->op[FC_F32]->widen(to, FC_F64, t->buffer[OUT], n);
    else
        memcpy(to, t->buffer[OUT], (size_t)(n * fc_stored_size(t->type)));
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

/* ---- doubt -------------------------------------------------------------------------------------- */

/* Marks windows, of those in doubt, whose elements are all equal: run lengths along rows, then down. The tile holds x
 * as it is. */
static void score_find_flat(const tile *t)
{
    const match *m = t->m;
    ptrdiff_t h = m->g->k[ROWS], w = m->g->k[COLS], cols = t->count[COLS], rows = t->count[ROWS];
    int32_t *down = (int32_t *)(void *)t->buffer[SUM], *across = (int32_t *)(void *)t->buffer[ROOM];
    for (ptrdiff_t z = 0; z < m->g->k[DEPTH]; z++) {
        memset(down, 0, (size_t)cols * sizeof *down);
        for (ptrdiff_t i = rows + h - 2; i >= 0; i--) {
            const void *row = tile_row(t, z, i), *first_row = tile_row(t, 0, i);
            const float *f = row, *first_f = first_row;
            const double *d = row, *first_d = first_row;
#define SAME(a, b) (t->type == FC_F32 ? f[a] == f[b] : d[a] == d[b])
            ptrdiff_t last = cols + w - 2, run = 1;
            for (ptrdiff_t j = last; j >= 0; j--) {
                run = j < last && SAME(j, j + 1) ? run + 1 : 1;
                if (j < cols)
                    across[j] = run >= w;
            }
            for (ptrdiff_t j = 0; j < cols; j++) {
                int below = i < rows + h - 2 && SAME(j, j + m->row);
                int first = z == 0 || (t->type == FC_F32 ? f[j] == first_f[j] : d[j] == first_d[j]);
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

int fc_match_resolve(const tile *t)
{
    const match *m = t->m;
    fc_match_gather(t, 0, t->scale);
    score_find_flat(t);
    if (t->type == FC_F32)
        for (ptrdiff_t i = 0; i < t->count[ROWS]; i++)
            if (memchr(t->mark + i * m->tile[COLS], DOUBTFUL, (size_t)t->count[COLS]))
                return 1;
    for (ptrdiff_t i = 0; i < t->count[ROWS]; i++)
        for (ptrdiff_t j = 0; j < t->count[COLS]; j++) {
            const void *x = tile_row(t, 0, i) + j * fc_stored_size(t->type);
            char mark = t->mark[i * m->tile[COLS] + j];
            if (mark == FLAT)
                fc_match_put(t, i, j, score_flat(t, t->type == FC_F32 ? (double)*(const float *)x : *(const double *)x));
            else if (mark == DOUBTFUL)
                fc_match_put(t, i, j, score_alone(t, i, j));
        }
    return 0;
}
