/* SPDX-License-Identifier: BSD-3-Clause
 *
 * K4 for gradients of weights, a channel a lane:  dw = G'[sum over tiles of (A dy A') * (B' x B)]G
 *
 * with the matrices of winograd_tmpl.h: A has of m = 2q elements of dy the N values sum_j p^j dy[j], and of infinity the last; G' makes
 * of N sums the 3 taps sum_p p^t s[p] / M_p(p), and of the last one the sum at infinity.
 */

/* A */
FC_INLINE void NAME(winograd_powers)(const int q, VT v[], const VT d[], const NAME(point_powers) * c)
{
    if (q == 0) {
        v[0] = d[0];
    } else if (q == 1) {
        v[0] = d[0];
        v[1] = vfma(c->a, d[1], d[0]);
        v[2] = vfnma(c->a, d[1], d[0]);
        v[3] = d[1];
    } else {
        const VT even_a = vfma(c->aa, d[2], d[0]), odd_a = vfma(c->aa, d[3], d[1]);
        const VT even_b = vfma(c->bb, d[2], d[0]), odd_b = vfma(c->bb, d[3], d[1]);
        v[0] = d[0];
        v[1] = vfma(c->a, odd_a, even_a);
        v[2] = vfnma(c->a, odd_a, even_a);
        v[3] = vfma(c->b, odd_b, even_b);
        v[4] = vfnma(c->b, odd_b, even_b);
        v[5] = d[3];
    }
}

/* Down the columns first: those that the next tile sees, too, are kept. Loops over columns and rows stay loops: products take most of
 * the time, and registers would not hold all of a tile. */
FC_INLINE void NAME(winograd_pixels_of)(const int rows, const int cols, const int outputs, T *to, const T *x,
                                        const fc_winograd_tiles *g)
{
    const int R = rows ? 2 * rows + 2 : 1, C = 2 * cols + 2, M = rows ? 2 * rows : 1, N = 2 * cols;
    const int seen = outputs ? M : R, kept = outputs ? 0 : 2;
    const NAME(point_powers) c = NAME(powers_of)(&g->points);
    const ptrdiff_t row = g->row, value = g->value;
    for (ptrdiff_t i = 0; i < g->rows; i++, x += M * row) {
        VT column[NAME(MOST_POINTS)][NAME(MOST_POINTS)], d[NAME(MOST_POINTS)], v[NAME(MOST_POINTS)];
        const T *from = x;
        for (int s = 0; s < kept; s++) {
            EACH(r, seen)
                d[r] = vload(from + r * row + s * VLEN);
            NAME(winograd_values)(rows, column[s], d, &c);
        }
        from += kept * VLEN;
        for (ptrdiff_t j = 0; j < g->cols; j++, from += N * VLEN, to += g->tile) {
            for (int s = 0; s < N; s++) {
                EACH(r, seen)
                    d[r] = vload(from + r * row + s * VLEN);
                if (outputs)
                    NAME(winograd_powers)(rows, column[s], d, &c);
                else
                    NAME(winograd_values)(rows, column[kept + s], d, &c);
            }
            for (int r = 0; r < R; r++) {
                EACH(s, N + kept)
                    d[s] = column[s][r];
                if (outputs)
                    NAME(winograd_powers)(cols, v, d, &c);
                else
                    NAME(winograd_values)(cols, v, d, &c);
                EACH(s, C)
                    vstore(to + (r * C + s) * value, v[s]);
            }
            for (int s = 0; s < kept; s++)
                EACH(r, R)
                    column[s][r] = column[N + s][r];
        }
    }
}

/* G', whose rows are scaled: by 1 / M_p(p), its product with a, and with a * a, of 0 and of each pair */
typedef struct { VT zero, even[FC_PAIRS], odd[FC_PAIRS], last[FC_PAIRS]; } NAME(tap_scales);

FC_INLINE NAME(tap_scales) NAME(tap_scales_of)(const int q, const fc_points *p)
{
    NAME(tap_scales) s = {.zero = vsplat((T)(1 / NAME(winograd_slope)(q, p, -1)))};
    EACH(i, q) {
        const double a = p->point[i], slope = NAME(winograd_slope)(q, p, i);
        s.even[i] = vsplat((T)(1 / slope)), s.odd[i] = vsplat((T)(a / slope)), s.last[i] = vsplat((T)(a * a / slope));
    }
    return s;
}

FC_INLINE void NAME(winograd_taps_back)(const int q, VT w[], const VT v[], const NAME(tap_scales) * s)
{
    if (q == 0) {
        w[0] = v[0];
        return;
    }
    w[0] = s->zero * v[0];
    w[1] = s->odd[0] * (v[1] - v[2]);
    w[2] = v[1 + 2 * q];
    EACH(i, q) {
        const VT even = v[1 + 2 * i] + v[2 + 2 * i];
        w[0] = vfma(s->even[i], even, w[0]);
        if (i > 0)
            w[1] = vfma(s->odd[i], v[1 + 2 * i] - v[2 + 2 * i], w[1]);
        w[2] = vfma(s->last[i], even, w[2]);
    }
}

FC_INLINE int NAME(winograd_weights_of)(const int rows, const int cols, T *to, ptrdiff_t ts, const T *v, ptrdiff_t value,
                                        const fc_points *given, ptrdiff_t n)
{
    const int R = rows ? 2 * rows + 2 : 1, C = 2 * cols + 2, taps = rows ? 3 : 1;
    const NAME(tap_scales) down = NAME(tap_scales_of)(rows, given), across = NAME(tap_scales_of)(cols, given);
    VT zeros = vzero();
    for (; n > 0; n--, v += VLEN, to += ts) {
        VT half[3][NAME(MOST_POINTS)], d[NAME(MOST_POINTS)], w[3];
        for (int s = 0; s < C; s++) {
            EACH(r, R)
                d[r] = vload(v + (r * C + s) * value);
            NAME(winograd_taps_back)(rows, w, d, &down);
            EACH(r, taps)
                half[r][s] = w[r];
        }
        for (int r = 0; r < taps; r++) {
            NAME(winograd_taps_back)(cols, w, half[r], &across);
            EACH(s, 3) {
                zeros = vfma(w[s], vzero(), zeros);
                vstore(to + (r * 3 + s) * VLEN, w[s]);
            }
        }
    }
    return vbelow(zeros, vzero());
}

static void NAME(winograd_pixels)(void *to, const void *x, const fc_winograd_tiles *g)
{
    FC_WINOGRAD_ACROSS(NAME(winograd_pixels_of), &g->points, 0, to, x, g);
}

static void NAME(winograd_outputs)(void *to, const void *dy, const fc_winograd_tiles *g)
{
    FC_WINOGRAD_ACROSS(NAME(winograd_pixels_of), &g->points, 1, to, dy, g);
}

static int NAME(winograd_weights)(void *to, ptrdiff_t ts, const void *v, ptrdiff_t value, const fc_points *p, ptrdiff_t n)
{
    return FC_WINOGRAD_ACROSS(NAME(winograd_weights_of), p, to, ts, v, value, p, n);
}
#undef FC_WINOGRAD_ACROSS
