/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Rows of template matching (match.c), all of them in scratch: a row of n elements has room for n rounded up to
 * FC_MATCH_LANES, and what lies in that room is computed along and means nothing.
 *
 *   match_look    what a tile holds: its sum, its range, how many elements are not finite
 *   match_shift   x = (x - centre) * scale
 *   match_add     sums of values and of squares, in float64
 *   match_window  sums of w neighbours by doubling: every one has the same order of summation, wherever it lies
 *   match_grow, match_merge, match_spread
 *                 the same for sums and spreads, a spread being the sum of squared differences from the mean. As no
 *                 square of a sum is ever subtracted, a spread is right to about u mean / deviation, not the
 *                 square of that. (Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for
 *                 computing sample variances, 1979.)
 *   match_score   numerators and sums into scores
 *   match_join    sums of the planes of a window, each about its own mean, into sums of the window
 *
 * Multiplications and additions round separately here: the same bits on every instruction set.
 */

/* As many elements as a vector holds float64: loaded, in float64, and compared. */
#ifndef WIDE
#define WIDE ((ptrdiff_t)(FC_VECTOR_BYTES / 8))
typedef double WT __attribute__((vector_size(FC_VECTOR_BYTES), aligned(8), may_alias));
typedef int64_t WTRUTH __attribute__((vector_size(FC_VECTOR_BYTES), aligned(8), may_alias));
#define wload(p) (*(const WT *)(p))
#define wstore(p, v) (*(WT *)(p) = (v))
#define wtake(p) __builtin_convertvector(*(const NAME(part) *)(p), WT)
#define wgive(p, v) (*(NAME(part) *)(p) = __builtin_convertvector(v, NAME(part)))
#define wsplat(s) ((WT){0} + (s))
#endif
typedef T NAME(part) __attribute__((vector_size(FC_VECTOR_BYTES / 8 * sizeof(T)), aligned(sizeof(T)), may_alias));

/* Elements that may not be finite */
static void NAME(match_look_some)(const T *x, ptrdiff_t n, fc_look *look)
{
    static const int64_t count[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    WTRUTH lane = *(const WTRUTH *)count, other = {0};
    WT sum = {0}, low = wsplat(look->low), high = wsplat(look->high);
    for (ptrdiff_t i = 0; i < n; i += WIDE) {
        WT v = wtake(x + i);
        WTRUTH here = lane < n - i, finite = here & (v - v == 0);
        WTRUTH less = finite & (v < low), more = finite & (v > high);
        sum += (WT)((WTRUTH)v & finite);
        other -= here & ~finite;
        low = (WT)(((WTRUTH)v & less) | ((WTRUTH)low & ~less));
        high = (WT)(((WTRUTH)v & more) | ((WTRUTH)high & ~more));
    }
    for (int l = 0; l < WIDE; l++) {
        look->sum += sum[l];
        look->low = low[l] < look->low ? low[l] : look->low;
        look->high = high[l] > look->high ? high[l] : look->high;
        look->not_finite += other[l] < 0 ? -other[l] : other[l];
    }
}

static void NAME(match_look)(const void *xv, ptrdiff_t n, fc_look *look)
{
    const T *x = xv;
    ptrdiff_t i = 0;
    WT sum[FC_MATCH_LANES / WIDE] = {{0}};
    VT low = vsplat((T)__builtin_inf()), high = -low, nothing = {0}; /* nothing: NaN where something is not finite */
    for (; i + FC_MATCH_LANES <= n; i += FC_MATCH_LANES) {
        for (ptrdiff_t l = 0; l < FC_MATCH_LANES / WIDE; l++)
            sum[l] += wtake(x + i + l * WIDE);
        for (ptrdiff_t l = 0; l < FC_MATCH_LANES; l += VLEN) {
            VT v = vload(x + i + l);
            low = vmin(v, low), high = vmax(v, high), nothing += v - v;
        }
    }
    T none = 0;
    for (int l = 0; l < VLEN; l++)
        none += nothing[l];
    if (none != none)
        i = 0;
    for (int l = 0; l < FC_MATCH_LANES && i > 0; l++) /* in one order, whatever the vectors */
        look->sum += sum[l / WIDE][l % WIDE];
    for (int l = 0; l < VLEN && i > 0; l++) {
        look->low = low[l] < look->low ? low[l] : look->low;
        look->high = high[l] > look->high ? high[l] : look->high;
    }
    NAME(match_look_some)(x + i, n - i, look);
}

static void NAME(match_shift)(void *xv, ptrdiff_t n, double centre, double scale)
{
    T *x = xv;
    VT c = vsplat((T)centre), s = vsplat((T)scale);
    for (ptrdiff_t i = 0; i < n; i += VLEN)
        vstore(x + i, (vload(x + i) - c) * s);
}

FC_INLINE void NAME(match_adds)(const int squares, double *to, double *squares_to, const double *from,
                                const double *squares_from, const T *x, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i += WIDE) {
        WT v = wtake(x + i);
        wstore(to + i, wload(from + i) + v);
        if (squares)
            wstore(squares_to + i, wload(squares_from + i) + v * v);
    }
}

static void NAME(match_add)(double *to, double *squares_to, const double *from, const double *squares_from, const void *x,
                            ptrdiff_t n)
{
    if (squares_to)
        NAME(match_adds)(1, to, squares_to, from, squares_from, x, n);
    else
        NAME(match_adds)(0, to, NULL, from, NULL, x, n);
}

/* Squares and their sum about the mean, from the one of them that there is in both */
#ifndef WIDE_SPREAD
#define WIDE_SPREAD
FC_INLINE void wide_spread(const fc_score *c, WT mean, WT weighted, WT *squares, WT *spread)
{
    if (c->spreads)
        *squares += mean * weighted;
    else
        *spread -= mean * (2 * weighted - mean * c->energy);
}
#endif

#if FC_SIZE == 8
static void NAME(match_grow)(double *to, double *spread_to, const double *from, const double *spread_from, const void *xv,
                             ptrdiff_t n, double count)
{
    const double *x = xv, per = count > 0 ? 1 / count : 0, part = count / (count + 1);
    for (ptrdiff_t i = 0; i < n; i += WIDE) {
        WT v = wload(x + i), sum = wload(from + i), off = v - sum * per;
        wstore(to + i, sum + v);
        wstore(spread_to + i, wload(spread_from + i) + off * off * part);
    }
}

/* Spreads only if asked for */
FC_INLINE void NAME(match_both)(const int spreads, double *to, double *spread_to, const double *a, const double *spread_a,
                                const double *b, const double *spread_b, ptrdiff_t n, double count_a, double count_b)
{
    double per_a = 1 / count_a, per_b = 1 / count_b, part = count_a * (count_b / (count_a + count_b));
    for (ptrdiff_t i = 0; i < n; i += WIDE) {
        WT u = wload(a + i), v = wload(b + i), off = u * per_a - v * per_b;
        if (spreads)
            wstore(spread_to + i, (wload(spread_a + i) + wload(spread_b + i)) + off * off * part);
        wstore(to + i, u + v);
    }
}

static void NAME(match_merge)(double *to, double *spread_to, const double *a, const double *spread_a, const double *b,
                              const double *spread_b, ptrdiff_t n, double count_a, double count_b)
{
    NAME(match_both)(1, to, spread_to, a, spread_a, b, spread_b, n, count_a, count_b);
}

/* Sums of b neighbours, b = 1, 2, 4, ...; those of w are sums over the bits of w, the lowest first. from: the b that s
 * has, room having those of the lower bits of w. */
FC_INLINE void NAME(match_double)(const int spreads, ptrdiff_t from, double *s, double *spread, double *room,
                                  double *spread_room, ptrdiff_t n, ptrdiff_t w, double count)
{
    ptrdiff_t at = w & (from - 1); /* w's bits so far: what room sums over */
    for (ptrdiff_t b = from; b <= w; b *= 2) {
        int last = 2 * b > w; /* w's highest bit comes last */
        if (w & b) {
            double *to = last ? s : room, *spread_to = last ? spread : spread_room;
            for (ptrdiff_t j = 0; j < n && at == 0 && !last; j += WIDE) {
                wstore(to + j, wload(s + j));
                if (spreads)
                    wstore(spread_to + j, wload(spread + j));
            }
            if (at > 0)
                NAME(match_both)(spreads, to, spread_to, room, spread_room, s + at, spread + at, n, (double)at * count,
                                 (double)b * count);
            at += b;
        }
        if (!last)
            NAME(match_both)(spreads, s, spread, s, spread, s + b, spread + b, n + w - 2 * b, (double)b * count,
                             (double)b * count);
    }
}

#if FC_VLEN >= 4
/* The same of the lowest three bits of w in registers, of n elements from the last on, with what lies behind: their sums
 * to `some`, and those of 8 to s if it is not that. */
FC_INLINE void NAME(match_octets)(const int bits, double *s, double *some, ptrdiff_t n)
{
    VT behind[3] = {{0}};
    for (ptrdiff_t j = (n - 1) / VLEN * VLEN; j >= 0; j -= VLEN) {
        VT one = vload(s + j), two = one + vahead(one, behind[0], 1), four = two + vahead(two, behind[1], 2);
        VT sum = bits & 1 ? one : bits & 2 ? two : four;
        if ((bits & 3) == 3)
            sum += vahead(two, behind[1], 1);
        if (bits > 4)
            sum += bits == 5 ? vahead(four, behind[2], 1) : bits == 6 ? vahead(four, behind[2], 2) : vahead(four, behind[2], 3);
        if (s != some)
            vstore(s + j, four + vahead(four, behind[2], 4));
        if (bits > 0)
            vstore(some + j, sum);
        behind[0] = one, behind[1] = two, behind[2] = four;
    }
}
#endif

static void NAME(match_window)(double *s, double *room, ptrdiff_t n, ptrdiff_t w)
{
    ptrdiff_t from = 1;
#if FC_VLEN >= 4
    double *some = w < 8 ? s : room;
    switch (w % 8) {
#define OCTETS(bits)                                     \
    case bits:                                           \
        NAME(match_octets)(bits, s, some, n + w - 1); \
        break
        OCTETS(0);
        OCTETS(1);
        OCTETS(2);
        OCTETS(3);
        OCTETS(4);
        OCTETS(5);
        OCTETS(6);
        OCTETS(7);
#undef OCTETS
    }
    from = 8;
#endif
    NAME(match_double)(0, from, s, s, room, room, n, w, 1);
}

static void NAME(match_spread)(double *s, double *spread, double *room, double *spread_room, ptrdiff_t n, ptrdiff_t w,
                               double count)
{
    NAME(match_double)(1, 1, s, spread, room, spread_room, n, w, count);
}
#endif

#if FC_SIZE == 8
static void NAME(match_join)(double *mean_to, double *squares_to, double *spread_to, const double *s1, const double *sv,
                             const double *s2, ptrdiff_t n, const fc_score *c)
{
    for (ptrdiff_t j = 0; j < n; j += WIDE) {
        WT mean = wload(s1 + j) * c->per_weight, squares = wload(s2 + j), spread = squares;
        wide_spread(c, mean, wload(sv + j), &squares, &spread);
        wstore(mean_to + j, wload(mean_to + j) + c->of_mean * mean);
        wstore(squares_to + j, wload(squares_to + j) + squares);
        wstore(spread_to + j, wload(spread_to + j) + spread);
    }
}
#endif

/* plain: scores of FC_CCOEFF from sums, of which nothing but num and mean is asked for */
FC_INLINE int NAME(match_scores)(const int plain, T *out, T *energy, const T *num, const double *s1, const double *sv,
                                 const double *s2, ptrdiff_t n, const fc_score *c)
{
    static const int64_t count[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    WTRUTH lane = *(const WTRUTH *)count, doubt = {0};
    for (ptrdiff_t j = 0; j < n; j += WIDE) {
        WT one = wload(s1 + j), weighted = wload(sv + j), two = wload(s2 + j), mean = one * c->per_weight;
        WT spread = two, raw = c->constant + c->of_num * wtake(num + j);
        if (!plain && c->joined)
            two = weighted;
        else if (plain)
            spread -= mean * (2 * weighted - mean * c->energy);
        else
            wide_spread(c, mean, weighted, &two, &spread);
        if (!plain)
            raw = raw + c->of_sum * weighted + c->of_squares * two;
        raw += c->of_mean * mean;
        wgive(out + j, raw * c->gain);
        if (!plain && !c->normed)
            continue;
        WT level = c->centre + weighted * c->per_energy;
        WT e = spread;
        if (!plain)
            e += c->of_level * (level * level);
        doubt |= ~(e > c->doubt * two + c->floor) & (lane < n - j);
        wgive(energy + j, e);
    }
    VT low = vsplat((T)c->low), high = vsplat((T)c->high);
    for (ptrdiff_t j = 0; j < n; j += VLEN) {
        VT v = vload(out + j);
        if (plain || c->normed)
            v = v / vsqrt(vload(energy + j));
        vstore(out + j, vmin(high, vmax(low, v)));
    }
    int any = 0;
    for (int l = 0; l < WIDE; l++)
        any |= doubt[l] != 0;
    return any;
}

static int NAME(match_score)(void *out, void *energy, const void *num, const double *s1, const double *sv, const double *s2,
                             ptrdiff_t n, const fc_score *c)
{
    if (c->normed && !c->joined && !c->spreads && c->of_sum == 0 && c->of_squares == 0 && c->of_level == 0)
        return NAME(match_scores)(1, out, energy, num, s1, sv, s2, n, c);
    return NAME(match_scores)(0, out, energy, num, s1, sv, s2, n, c);
}
