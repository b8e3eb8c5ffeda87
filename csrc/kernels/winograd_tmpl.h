/* SPDX-License-Identifier: BSD-3-Clause
 *
 * K4, the transforms of Winograd's convolution, a tile of outputs a lane:  y = A'[(G w G') * (B' d B)]A
 *
 * Polynomials are multiplied by their values at the points 0, +-a, +-b, ... and infinity (Winograd, Arithmetic Complexity of
 * Computations, 1980; Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016). Of q pairs of points, N = 2q + 2,
 * and along an axis
 *
 *   B' d   N elements of x to N values. With M(x) = x (x - a)(x + a)(x - b)(x + b) ..., that at p is sum_i M_p[i] d[i], where
 *          M_p = M / (x - p), and M at infinity
 *   G w    3 taps to N values: (w0 + p w1 + p^2 w2) / M_p(p), and w2 at infinity
 *   A' v   N products to m = 2q sums: y[j] = sum_p p^j v[p], and of the last one the product at infinity
 *
 * Points come in pairs, whose even parts and odd parts are the same but for a sign. q is 0 along an axis of one tap: N = m = 1.
 */

typedef struct { VT a, b, aa, bb, sum, product, aaa, bbb; } NAME(point_powers);

FC_INLINE NAME(point_powers) NAME(powers_of)(const fc_points *p)
{
    const double a = p->point[0], b = p->point[1];
    return (NAME(point_powers)){.a = vsplat((T)a),
                                .b = vsplat((T)b),
                                .aa = vsplat((T)(a * a)),
                                .bb = vsplat((T)(b * b)),
                                .sum = vsplat((T)(a * a + b * b)),
                                .product = vsplat((T)(a * a * b * b)),
                                .aaa = vsplat((T)(a * a * a)),
                                .bbb = vsplat((T)(b * b * b))};
}

/* B' */
FC_INLINE void NAME(winograd_values)(const int q, VT v[], const VT d[], const NAME(point_powers) * c)
{
    if (q == 0) {
        v[0] = d[0];
    } else if (q == 1) {
        v[0] = vfnma(c->aa, d[0], d[2]);
        v[1] = vfma(c->a, d[1], d[2]);
        v[2] = vfnma(c->a, d[1], d[2]);
        v[3] = vfnma(c->aa, d[1], d[3]);
    } else {
        const VT even_a = vfnma(c->bb, d[2], d[4]), odd_a = vfnma(c->bb, d[1], d[3]);
        const VT even_b = vfnma(c->aa, d[2], d[4]), odd_b = vfnma(c->aa, d[1], d[3]);
        v[0] = vfma(c->product, d[0], vfnma(c->sum, d[2], d[4]));
        v[1] = vfma(c->a, odd_a, even_a);
        v[2] = vfnma(c->a, odd_a, even_a);
        v[3] = vfma(c->b, odd_b, even_b);
        v[4] = vfnma(c->b, odd_b, even_b);
        v[5] = vfma(c->product, d[1], vfnma(c->sum, d[3], d[5]));
    }
}

/* A' */
FC_INLINE void NAME(winograd_sums)(const int q, VT y[], const VT v[], const NAME(point_powers) * c)
{
    if (q == 0) {
        y[0] = v[0];
    } else if (q == 1) {
        y[0] = v[0] + (v[1] + v[2]);
        y[1] = vfma(c->a, v[1] - v[2], v[3]);
    } else {
        const VT even_a = v[1] + v[2], odd_a = v[1] - v[2], even_b = v[3] + v[4], odd_b = v[3] - v[4];
        y[0] = v[0] + (even_a + even_b);
        y[1] = vfma(c->a, odd_a, c->b * odd_b);
        y[2] = vfma(c->aa, even_a, c->bb * even_b);
        y[3] = vfma(c->aaa, odd_a, vfma(c->bbb, odd_b, v[5]));
    }
}

enum { NAME(MOST_POINTS) = 2 * FC_PAIRS + 2 };

/* Elements 0, m, 2m, ... of m vectors to the first, 1, m + 1, ... to the second, and so on */
FC_INLINE void NAME(winograd_load)(const int m, VT d[], const T *x)
{
    VT v[4];
    EACH(i, m)
        v[i] = vload(x + i * VLEN);
    if (m == 1) {
        d[0] = v[0];
    } else if (m == 2) {
        d[0] = veven(v[0], v[1]), d[1] = vodd(v[0], v[1]);
    } else {
        const VT even = veven(v[0], v[1]), even2 = veven(v[2], v[3]), odd = vodd(v[0], v[1]), odd2 = vodd(v[2], v[3]);
        d[0] = veven(even, even2), d[1] = veven(odd, odd2), d[2] = vodd(even, even2), d[3] = vodd(odd, odd2);
    }
}

FC_INLINE void NAME(winograd_rows_of)(const int cols, T *to, const T *x, const fc_winograd_rows *g)
{
    const int m = cols ? 2 * cols : 1, N = cols ? m + 2 : 1;
    const ptrdiff_t value = g->value, n = g->tiles;
    const NAME(point_powers) c = NAME(powers_of)(&g->points);
    for (ptrdiff_t i = 0, r = 0; i < g->rows; i++, x += g->xs) {
        for (ptrdiff_t j = 0; j < n; j += VLEN) {
            VT d[NAME(MOST_POINTS)], v[NAME(MOST_POINTS)];
            const T *from = x + j * m;
            NAME(winograd_load)(m, d, from);
            EACH(k, N - m)
                d[m + k] = vahead(d[k], vsplat(from[VLEN * m + k]), 1);
            NAME(winograd_values)(cols, v, d, &c);
            EACH(s, N)
                vstore(to + r * g->set + s * value + j, v[s]);
        }
        if (++r == g->sets)
            r = 0, to += g->pitch;
    }
}

FC_INLINE void NAME(winograd_in_of)(const int rows, T *to, ptrdiff_t point, const T *x, const ptrdiff_t *at, const fc_points *p,
                                    ptrdiff_t n)
{
    const int R = rows ? 2 * rows + 2 : 1, C = p->cols ? 2 * p->cols + 2 : 1;
    const NAME(point_powers) c = NAME(powers_of)(p);
    for (int s = 0; s < C; s++, to += point, at++)
        for (ptrdiff_t j = 0; j < n; j += VLEN) {
            VT d[NAME(MOST_POINTS)], v[NAME(MOST_POINTS)];
            EACH(r, R)
                d[r] = vload(x + at[r * C] + j);
            NAME(winograd_values)(rows, v, d, &c);
            EACH(r, R)
                vstore(to + r * C * point + j, v[r]);
        }
}

/* m vectors, whose lanes are 0, 1, ... of a tile, lane by lane */
FC_INLINE void NAME(winograd_store)(const int m, T *to, const VT y[])
{
    if (m == 1) {
        vstore(to, y[0]);
    } else if (m == 2) {
        vstore(to, vziplow(y[0], y[1]));
        vstore(to + VLEN, vziphigh(y[0], y[1]));
    } else {
        const VT even = vziplow(y[0], y[2]), odd = vziplow(y[1], y[3]);
        const VT even2 = vziphigh(y[0], y[2]), odd2 = vziphigh(y[1], y[3]);
        vstore(to, vziplow(even, odd));
        vstore(to + VLEN, vziphigh(even, odd));
        vstore(to + 2 * VLEN, vziplow(even2, odd2));
        vstore(to + 3 * VLEN, vziphigh(even2, odd2));
    }
}

/* n lanes, the others are zero. zeros += 0 * y, which is NaN where a sum is not finite */
FC_INLINE void NAME(winograd_out_at)(const int rows, const int cols, T *to, ptrdiff_t ts, const T *v, ptrdiff_t n,
                                     const fc_winograd_sums *g, const NAME(point_powers) * c, VT *zeros)
{
    const int R = rows ? 2 * rows + 2 : 1, C = cols ? 2 * cols + 2 : 1, M = rows ? 2 * rows : 1, N = cols ? 2 * cols : 1;
    const VT bias = vsplat((T)g->bias), low = vsplat((T)g->low), high = vsplat((T)g->high);
    VT half[NAME(MOST_POINTS)][NAME(MOST_POINTS)];
    EACH(s, C) {
        VT d[NAME(MOST_POINTS)], y[NAME(MOST_POINTS)];
        EACH(r, R)
            d[r] = vloadn(v + (r * C + s) * g->point, n);
        NAME(winograd_sums)(rows, y, d, c);
        EACH(r, M)
            half[r][s] = y[r];
    }
    EACH(r, M) {
        VT y[NAME(MOST_POINTS)];
        NAME(winograd_sums)(cols, y, half[r], c);
        EACH(s, N) {
            y[s] += bias;
            *zeros = vfma(y[s], vzero(), *zeros);
        }
        if (g->clamp)
            EACH(s, N)
                y[s] = vmin(high, vmax(low, y[s]));
        NAME(winograd_store)(N, to + r * ts, y);
    }
}

FC_INLINE int NAME(winograd_out_of)(const int rows, const int cols, T *to, ptrdiff_t ts, const T *v, const fc_winograd_sums *g)
{
    const NAME(point_powers) c = NAME(powers_of)(&g->points);
    const int N = cols ? 2 * cols : 1;
    VT zeros = vzero();
    ptrdiff_t j = 0;
    for (; j + VLEN <= g->tiles; j += VLEN)
        NAME(winograd_out_at)(rows, cols, to + N * j, ts, v + j, VLEN, g, &c, &zeros);
    if (j < g->tiles)
        NAME(winograd_out_at)(rows, cols, to + N * j, ts, v + j, g->tiles - j, g, &c, &zeros);
    return vbelow(zeros, vzero());
}

/* M_p(p) at both points of a pair; or, of pair -1, at 0 */
FC_INLINE double NAME(winograd_slope)(const int q, const fc_points *p, int pair)
{
    const double a = pair < 0 ? 0 : p->point[pair];
    double slope = pair < 0 ? 1 : 2 * a * a;
    for (int k = 0; k < q; k++)
        slope *= k == pair ? 1 : a * a - p->point[k] * p->point[k];
    return slope;
}

/* G of VLEN kernels' taps */
FC_INLINE void NAME(winograd_taps_along)(const int q, VT v[], const VT w[3], const fc_points *p)
{
    if (q == 0) {
        v[0] = w[0];
        return;
    }
    v[0] = w[0] * vsplat((T)(1 / NAME(winograd_slope)(q, p, -1)));
    EACH(i, q) {
        const double a = p->point[i], value = NAME(winograd_slope)(q, p, i);
        const VT even = vfma(vsplat((T)(a * a)), w[2], w[0]), odd = vsplat((T)a) * w[1];
        v[1 + 2 * i] = (even + odd) * vsplat((T)(1 / value));
        v[2 + 2 * i] = (even - odd) * vsplat((T)(1 / value));
    }
    v[1 + 2 * q] = w[2];
}

/* The 3x3 taps of FC_QUAD kernels and as many channels as fill a vector with them */
FC_INLINE void NAME(winograd_nine)(VT tap[], const T *w, const fc_winograd_kernels *g)
{
    EACH(t, 3) {
        const int from = t < 2 ? 4 * t : 5; /* the last four are some of those before */
        NAME(columns)(tap + from, w + from, g->row, g->channel);
    }
    if (g->turned)
        EACH(t, 4) {
            const VT first = tap[t];
            tap[t] = tap[8 - t], tap[8 - t] = first;
        }
}

/* Those that there are among `lines` of 3, the others are zero. Four of a line are read. */
FC_INLINE void NAME(winograd_some)(int lines, VT tap[], const T *w, const fc_winograd_kernels *g, ptrdiff_t row,
                                   ptrdiff_t channel, ptrdiff_t line)
{
    const int down = g->points.cols ? g->down : 1, across = g->points.cols ? g->across : g->down;
    for (int r = 0; r < lines; r++, tap += 3) {
        VT col[4] = {vzero(), vzero(), vzero(), vzero()};
        if (r < down)
            NAME(columns)(col, w + (g->turned ? down - 1 - r : r) * line, row, channel);
        const VT first = col[0], second = across > 1 ? col[1] : vzero(), third = across > 2 ? col[2] : vzero();
        tap[0] = !g->turned || across == 1 ? first : across == 2 ? second : third;
        tap[1] = g->turned && across == 2 ? first : second;
        tap[2] = g->turned && across == 3 ? first : third;
    }
}

/* Lines of taps of as many of `channels` that are left as fill a vector. Not inline: whatever the points, a body is enough. */
static __attribute__((noinline)) void NAME(winograd_lines)(VT tap[9], const T *w, const fc_winograd_kernels *g,
                                                           ptrdiff_t channels)
{
    enum { STEP = FC_VLEN / FC_QUAD, ROOM = 12 };
    const int lines = g->points.rows && g->points.cols ? 3 : 1, down = g->points.cols ? g->down : 1;
    const int across = g->points.cols ? g->across : g->down, whole = g->kernels == FC_QUAD && channels >= STEP;
    if (whole && lines == 3 && g->line == 3 && down == 3 && across == 3) {
        NAME(winograd_nine)(tap, w, g);
        return;
    }
    if (whole && channels > STEP) { /* there are taps behind these */
        NAME(winograd_some)(lines, tap, w, g, g->row, g->channel, g->line);
        return;
    }
    T some[FC_QUAD * STEP * ROOM] = {0};
    for (ptrdiff_t k = 0; k < g->kernels; k++)
        for (ptrdiff_t i = 0; i < STEP && i < channels; i++)
            for (int r = 0; r < down; r++)
                for (int s = 0; s < across; s++)
                    some[(k * STEP + i) * ROOM + 4 * r + s] = w[k * g->row + i * g->channel + r * g->line + s];
    NAME(winograd_some)(lines, tap, some, g, STEP * ROOM, ROOM, 4);
}

FC_INLINE void NAME(winograd_taps_of)(const int rows, const int cols, const fc_winograd_kernels *g)
{
    enum { STEP = FC_VLEN / FC_QUAD };
    const fc_points points = g->points, *p = &points; /* no store can change them: what is made of them is made once */
    const int R = rows ? 2 * rows + 2 : 1, C = cols ? 2 * cols + 2 : 1, lines = rows && cols ? 3 : 1;
    for (ptrdiff_t c = 0; c < g->channels; c += STEP) {
        const ptrdiff_t n = g->channels - c < STEP ? g->channels - c : STEP;
        VT tap[9], half[NAME(MOST_POINTS)][NAME(MOST_POINTS)];
        NAME(winograd_lines)(tap, (const T *)g->w + c * g->channel, g, g->channels - c);
        EACH(r, lines) {
            VT v[NAME(MOST_POINTS)];
            NAME(winograd_taps_along)(cols, v, tap + 3 * r, p);
            EACH(s, C)
                half[s][r] = v[s];
        }
        EACH(s, 3) /* a column of taps is one line of them */
            if (cols == 0)
                half[0][s] = tap[s];
        EACH(s, C) {
            VT v[NAME(MOST_POINTS)];
            T *to = (T *)g->to + s * g->point + c * FC_QUAD;
            NAME(winograd_taps_along)(rows, v, half[s], p);
            EACH(r, R)
                if (n == STEP)
                    vstore(to + r * C * g->point, v[r]);
                else
                    vstoren(to + r * C * g->point, v[r], n * FC_QUAD);
        }
    }
}

/* By pairs of points along rows and columns: where there are some along columns, and where there may be none */
#define FC_WINOGRAD_ACROSS(of, p, ...)                                                                                   \
    ((p)->rows == 0 ? ((p)->cols == 1 ? of(0, 1, __VA_ARGS__) : of(0, 2, __VA_ARGS__))                                   \
                    : ((p)->cols == 1 ? of(1, 1, __VA_ARGS__) : of(2, 2, __VA_ARGS__)))
#define FC_WINOGRAD(of, p, ...)                                                                                          \
    ((p)->cols > 0 ? FC_WINOGRAD_ACROSS(of, p, __VA_ARGS__)                                                              \
                   : ((p)->rows == 1 ? of(1, 0, __VA_ARGS__) : of(2, 0, __VA_ARGS__)))
/* By those along one axis */
#define FC_WINOGRAD_ALONG(of, pairs, ...)                                                                                \
    ((pairs) == 0 ? of(0, __VA_ARGS__) : (pairs) == 1 ? of(1, __VA_ARGS__) : of(2, __VA_ARGS__))

static void NAME(winograd_rows)(void *to, const void *x, const fc_winograd_rows *g)
{
    FC_WINOGRAD_ALONG(NAME(winograd_rows_of), g->points.cols, to, x, g);
}

static void NAME(winograd_in)(void *to, ptrdiff_t point, const void *x, const ptrdiff_t *at, const fc_points *p, ptrdiff_t n)
{
    FC_WINOGRAD_ALONG(NAME(winograd_in_of), p->rows, to, point, x, at, p, n);
}

static int NAME(winograd_out)(void *to, ptrdiff_t ts, const void *v, const fc_winograd_sums *g)
{
    return FC_WINOGRAD(NAME(winograd_out_of), &g->points, to, ts, v, g);
}

static void NAME(winograd_taps)(const fc_winograd_kernels *g) { FC_WINOGRAD(NAME(winograd_taps_of), &g->points, g); }
#undef FC_WINOGRAD_ALONG
#undef FC_WINOGRAD
