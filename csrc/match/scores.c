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
    double s = t->scale, c = t->centre, r = m->set[t->type][TEMPLATE].sum, q = s / g->scale, V = g->energy;
    double shifted = g->shift * g->scale, delta = (g->shift - c) * s;
    fc_score *f = &t->score;
    double norm = sqrt(g->measure == FC_CCOEFF ? g->spread : g->power);
    *f = (fc_score){.normed = g->normed,
                    .of_num = 1,
                    .gain = g->normed ? 1 / norm : 1 / s / g->scale,
                    .spreads = g->normed && !g->weights && t->type == FC_F64,
                    .joined = g->by_plane,
                    .per_weight = 1 / g->weight,
                    .energy = V,
                    .per_energy = 1 / V,
                    .low = g->normed ? -1 : -INFINITY,
                    .high = g->normed ? 1 : INFINITY};
    if (g->measure == FC_CCOEFF) {
        f->of_mean = g->by_plane ? -1 : -r; /* by plane, they were multiplied by r */
        f->per_weight = g->by_plane ? 1 : f->per_weight;
    } else if (g->measure == FC_CCORR) {
        f->of_sum = shifted, f->constant = s * c * (r + shifted * V);
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
    double q = t->scale / g->scale, cross = X * q * (t->m->set[t->type][TEMPLATE].exact + g->shift * g->scale * g->energy);
    double power = X * X * g->energy, difference = power - 2 * cross + q * q * g->power;
    return g->measure == FC_CCOEFF ? 0 : score_ratio(t, cross, power, difference > 0 ? difference : 0);
}

static double score_weight(const double *weights, ptrdiff_t e) { return weights ? weights[e] : 1; }

/* Takes its mean, or that of each plane, from the elements of a window that count; returns whether they all are that. */
static int score_centre(const tile *t, double *x)
{
    const fc_match *g = t->m->g;
    ptrdiff_t taps = g->k[ROWS] * g->k[COLS] * (g->by_plane ? 1 : g->k[DEPTH]), all = g->k[ROWS] * g->k[COLS] * g->k[DEPTH];
    int even = 1;
    for (ptrdiff_t from = 0; from < all; from += taps) {
        double first = NAN, mean = 0, sum = 0;
        for (ptrdiff_t e = from; e < from + taps; e++) {
            double weight = score_weight(g->weights, e);
            if (weight == 0)
                continue;
            first = sum == 0 ? x[e] : first;
            even &= x[e] == first;
            mean += weight * (x[e] - first); /* from the first element on, as an offset may be much larger */
            sum += weight;
        }
        mean /= g->by_plane ? sum : g->weight;
        for (ptrdiff_t e = from; e < from + taps; e++)
            x[e] = x[e] - first - mean;
    }
    return even;
}

/* The score of a window by itself, in a tile of float64, x its elements times s */
static double score_alone(const tile *t, ptrdiff_t i, ptrdiff_t j)
{
    const fc_match *g = t->m->g;
    ptrdiff_t h = g->k[ROWS], w = g->k[COLS], rows = g->k[DEPTH] * h;
    double s = t->scale, q = s / g->scale, cross = 0, power = 0, difference = 0, *x = t->window;
    for (ptrdiff_t r = 0; r < rows; r++)
        memcpy(x + r * w, tile_row(t, r / h, i + r % h) + j * (ptrdiff_t)sizeof *x, (size_t)w * sizeof *x);
    if (g->measure == FC_CCOEFF && (score_centre(t, x) || g->spread == 0))
        return 0;
    for (ptrdiff_t e = 0; e < rows * w; e++) {
        double energy = score_weight(g->energies, e);
        if (energy == 0)
            continue;
        if (g->measure == FC_CCOEFF) {
            cross += g->t[e] * x[e];
            power += energy * x[e] * x[e];
            continue;
        }
        double template = g->t[e] / energy * q + g->shift * s;
        cross += energy * x[e] * template;
        power += energy * x[e] * x[e];
        difference += energy * (x[e] - template) * (x[e] - template);
    }
    if (g->measure == FC_CCOEFF)
        return score_clamp(power > 0 ? cross / sqrt(g->spread) / sqrt(power) : 0, -1);
    return score_ratio(t, cross, power, difference);
}

/* n scores of the window (i, j) and those behind it, to the result */
static void score_put(const tile *t, ptrdiff_t i, ptrdiff_t j, int type, const void *scores, ptrdiff_t n)
{
    const fc_match *g = t->m->g;
    const ptrdiff_t at[FC_AXES] = {t->from[DEPTH], t->from[ROWS] + i, t->from[COLS] + j};
    char *to = g->result;
    for (int a = 0; a < FC_AXES; a++)
        to += at[a] * g->out_step[a];
    const ptrdiff_t step = g->out_step[COLS], size = fc_stored_size(g->out_type);
    const int adjacent = step == size && (ptrdiff_t)to % size == 0;
    char *row = adjacent ? to : (char *)(t->buffer[OUT] + t->m->row);
    t->m->fc->op[g->out_type]->widen(row, type, scores, n);
    if (!adjacent)
        fc_copy_row(to, step, row, size, n, size);
}

/* A row of scores; marks what is in doubt and returns whether anything is. */
int fc_match_scores(const tile *t, ptrdiff_t i, const double *s1, const double *sv, const double *s2)
{
    const match *m = t->m;
    const fc_score *f = &t->score;
    ptrdiff_t n = t->count[COLS];
    const char *num = t->num + i * m->wide * fc_stored_size(t->type);
    int doubt = t->op->match_score(t->buffer[OUT], t->buffer[ENERGY], num, s1, sv, s2, n, f);
    score_put(t, i, 0, t->type, t->buffer[OUT], n);
    char *mark = t->mark + i * m->tile[COLS];
    for (ptrdiff_t j = 0; doubt && j < n; j++) { /* as match_score has it */
        double mean = s1[j] * f->per_weight, level = f->centre + sv[j] * f->per_energy;
        double spread = f->spreads || f->joined ? s2[j] : s2[j] - mean * (2 * sv[j] - mean * f->energy);
        double two = f->joined ? sv[j] : f->spreads ? s2[j] + mean * sv[j] : s2[j], e = spread + f->of_level * (level * level);
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
    int32_t *down = (int32_t *)(void *)t->buffer[SUM];
    for (ptrdiff_t z = 0; z < m->g->k[DEPTH]; z++) {
        memset(down, 0, (size_t)cols * sizeof *down);
        for (ptrdiff_t i = rows + h - 2; i >= 0; i--) {
            double *x = t->buffer[ROOM] + i % 2 * m->row, *below = t->buffer[ROOM] + (i + 1) % 2 * m->row;
            double *first = z > 0 && !m->g->by_plane ? t->buffer[PREFIX] : x;
            m->fc->op[FC_F64]->widen(x, t->type, tile_row(t, z, i), t->seen);
            if (first != x)
                m->fc->op[FC_F64]->widen(first, t->type, tile_row(t, 0, i), cols);
            for (ptrdiff_t last = t->seen - 1, j = last, run = 1; j >= 0; j--) {
                run = j < last && x[j] == x[j + 1] ? run + 1 : 1;
                if (j >= cols)
                    continue;
                int continues = i < rows + h - 2 && x[j] == below[j];
                down[j] = run >= w && x[j] == first[j] ? (continues ? down[j] : 0) + 1 : 0;
                char *mark = t->mark + i * m->tile[COLS] + j;
                if (i < rows && (*mark == DOUBTFUL || *mark == FLAT))
                    *mark = (z == 0 || *mark == FLAT) && down[j] >= h ? FLAT : DOUBTFUL;
            }
        }
    }
}

int fc_match_resolve(const tile *t, int doubt)
{
    const match *m = t->m;
    if (doubt) {
        fc_match_gather(t, 0, t->scale, NAN);
        score_find_flat(t);
        if (t->type == FC_F32 && memchr(t->mark, DOUBTFUL, (size_t)(m->tile[ROWS] * m->tile[COLS])))
            return 1;
    }
    for (ptrdiff_t i = 0; i < t->count[ROWS] && (doubt || t->missing); i++)
        for (ptrdiff_t j = 0; j < t->count[COLS] && !(j % 16 == 15 && fc_gives_up()); j++) {
            char mark = t->mark[i * m->tile[COLS] + j];
            double score = mark == FLAT       ? score_flat(t, tile_element(t, tile_row(t, 0, i), j))
                           : mark == DOUBTFUL ? score_alone(t, i, j)
                                              : NAN;
            if (mark != CERTAIN)
                score_put(t, i, j, FC_F64, &score, 1);
        }
    return 0;
}
