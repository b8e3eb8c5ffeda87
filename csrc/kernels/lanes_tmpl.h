/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Layers with one channel a group: every plane has a kernel of its own, so vectors run across planes.
 *
 *      VLEN planes              pixels                          taps of 3, outputs of stride 2
 *      a a a a ...  lanes_in    abcd abcd abcd abcd abcd        w0   w1   w2
 *      b b b b ...  ------->     0    1    2    3    4     *     0    1    2  -> acc[0]    lanes_out    planes
 *      c c c c ...                                               2    3    4  -> acc[1]    -------->   of outputs
 *      d d d d ...
 *
 * Strides and dilations are then distances in memory, no lane is lost at the end of a row, and loads are aligned. What it
 * costs is two transpositions, each less than a 3x3 kernel. Taps ascend, one fma each, from zero; the bias comes last.
 */

enum { NAME(PIECE) = 16 / sizeof(T) }; /* elements */

/* col[c], lane p * PIECE + r: from[p * ps + r * rs + c], r < PIECE. Pieces are put together by loads, which spares half of the
 * shuffles: those of four rows (of two, if of two elements) are then transposed where they are. */
FC_INLINE void NAME(columns)(VT col[NAME(PIECE)], const T *from, ptrdiff_t rs, ptrdiff_t ps)
{
    VT row[NAME(PIECE)];
    EACH(r, NAME(PIECE))
        row[r] = vpieces(from + r * rs, ps);
#if FC_SIZE == 4
    VT upper = vupper(row[0], row[1], 2), lower = vlower(row[0], row[1], 2);
    VT upper2 = vupper(row[2], row[3], 2), lower2 = vlower(row[2], row[3], 2);
    col[0] = vevens(upper, upper2), col[1] = vodds(upper, upper2);
    col[2] = vevens(lower, lower2), col[3] = vodds(lower, lower2);
#else
    col[0] = vevens(row[0], row[1]), col[1] = vodds(row[0], row[1]);
#endif
}

/* ---- planes to pixels -------------------------------------------------------------------------- */

/* n elements of each plane; after `cols` pixels, `skip` elements of `to` are left out. float16 is widened before it is turned. */
FC_INLINE void NAME(lanes_pixels)(T *to, const ptrdiff_t pixel, ptrdiff_t cols, ptrdiff_t skip, const char *x,
                                  ptrdiff_t channel, ptrdiff_t n, ptrdiff_t lanes, int half)
{
    enum { SET = 4096 /* bytes: planes so far apart would push each other out of L1 before a line of each is used up */ };
    T square[FC_VLEN * FC_VLEN] __attribute__((aligned(64)));
    const ptrdiff_t size = FC_STORED(half);
    int copied = half || lanes < VLEN || channel * size % SET == 0;
    ptrdiff_t left = cols; /* of the row */
    for (ptrdiff_t l = lanes; l < VLEN; l++)
        vstore(square + l * VLEN, vzero());
    for (ptrdiff_t q = 0; q < n; q += VLEN) {
        const T *from = (const T *)(const void *)(x + q * size);
        ptrdiff_t fs = channel, count = n - q < VLEN ? n - q : VLEN;
        if (copied || count < VLEN) {
            const char *row = x + q * size;
            if (half && count == VLEN)
                for (ptrdiff_t l = 0; l < lanes; l++, row += channel * size)
                    vstore(square + l * VLEN, vread(row, half));
            else
                for (ptrdiff_t l = 0; l < lanes; l++, row += channel * size)
                    vstore(square + l * VLEN, vreadn(row, count, half));
            from = square;
            fs = VLEN;
        }
        for (ptrdiff_t i = 0; i < count; i += NAME(PIECE)) {
            VT col[NAME(PIECE)];
            NAME(columns)(col, from + i, fs, NAME(PIECE) * fs);
            if (left > NAME(PIECE) && count - i >= NAME(PIECE)) {
                EACH(c, NAME(PIECE))
                    vstore(to + c * pixel, col[c]);
                to += NAME(PIECE) * pixel;
                left -= NAME(PIECE);
                continue;
            }
            EACH(c, NAME(PIECE))
                if (i + c < count) {
                    vstore(to, col[c]);
                    ptrdiff_t ends = -(ptrdiff_t)(--left == 0); /* no branch: rows may be short */
                    to += pixel + (skip & ends);
                    left += cols & ends;
                }
        }
    }
}

static void NAME(lanes_run)(T *to, ptrdiff_t pixel, ptrdiff_t cols, ptrdiff_t skip, const char *x, ptrdiff_t channel,
                            ptrdiff_t n, ptrdiff_t lanes, int half)
{
    if (pixel == VLEN) /* addresses of whole vectors are part of the store */
        NAME(lanes_pixels)(to, VLEN, cols, skip, x, channel, n, lanes, half);
    else
        NAME(lanes_pixels)(to, pixel, cols, skip, x, channel, n, lanes, half);
}

static void NAME(lanes_in)(void *tov, ptrdiff_t ts, ptrdiff_t pixel, const void *xv, ptrdiff_t channel, ptrdiff_t xs,
                           ptrdiff_t step, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t lanes, int half)
{
    T *to = tov;
    const char *x = xv;
    const ptrdiff_t size = FC_STORED(half);
    if (channel == 1)
        for (; rows > 0; rows--, to += ts, x += xs * size)
            for (ptrdiff_t j = 0; j < cols; j++)
                vstore(to + j * pixel, vreadn(x + j * step * size, lanes, half));
    else if (xs == cols)
        NAME(lanes_run)(to, pixel, cols, ts - cols * pixel, x, channel, rows * cols, lanes, half);
    else
        for (; rows > 0; rows--, to += ts, x += xs * size)
            NAME(lanes_run)(to, pixel, cols, 0, x, channel, cols, lanes, half);
}

/* ---- correlation ------------------------------------------------------------------------------- */

/* K adjacent taps of a row on P outputs, `step` pixels from one to the next: a pixel is loaded once for all taps. (One load
 * for every fma is half as fast.) */
FC_INLINE void NAME(lanes_taps)(const int K, const int P, const int step, VT acc[FC_PIXELS], const T *x, const T *w)
{
    VT tap[4];
    __asm__("" : "+r"(x), "+r"(w)); /* gcc 12 keeps pixels for the next four taps otherwise, and spills */
    EACH(t, K) {
        tap[t] = vload(w + t * VLEN);
        vpin(tap[t]);
    }
    EACH(i, (P - 1) * step + K) {
        VT pixel = vload(x + i * VLEN);
        vpin(pixel);
        EACH(t, K)
            if (i >= t && (i - t) % step == 0 && (i - t) / step < P)
                acc[(i - t) / step] = vfma(tap[t], pixel, acc[(i - t) / step]);
    }
}

/* P outputs of a row, which the rows of taps from ... end belong to. step: 1 or 2 where taps are adjacent, else 0 */
FC_INLINE void NAME(lanes_tile)(const int P, const int step, const fc_lanes *g, const fc_tap_row *from, const fc_tap_row *end,
                                const T *x, T *out)
{
    VT acc[FC_PIXELS], first = g->bias && g->bias_first ? vload(g->bias) : vzero();
    EACH(j, P)
        acc[j] = first;
    for (; from < end; from++) {
        const T *under = x + from->x, *w = (const T *)g->w + from->w;
        ptrdiff_t t = g->taps;
        if (step == 0) {
            for (; t > 0; t--, w += VLEN, under += g->dilation) {
                VT tap = vload(w);
                const T *pixel = under;
#pragma GCC unroll 16
                for (int j = 0; j < P; j++, pixel += g->step)
                    acc[j] = vfma(tap, vload(pixel), acc[j]);
            }
            continue;
        }
        for (; t >= 4; t -= 4, w += 4 * VLEN, under += 4 * VLEN)
            NAME(lanes_taps)(4, P, step, acc, under, w);
        if (t == 3)
            NAME(lanes_taps)(3, P, step, acc, under, w);
        else if (t == 2)
            NAME(lanes_taps)(2, P, step, acc, under, w);
        else if (t == 1)
            NAME(lanes_taps)(1, P, step, acc, under, w);
    }
    if (g->add)
        EACH(j, P)
            acc[j] += vload(out + j * g->out_step);
    if (g->bias && !g->bias_first) { /* last: what small sums lose to it is lost once */
        VT bias = vload(g->bias);
        EACH(j, P)
            acc[j] += bias;
    }
    if (g->clamp) {
        VT low = vsplat((T)g->low), high = vsplat((T)g->high);
        EACH(j, P)
            acc[j] = vmin(high, vmax(low, acc[j]));
    }
#pragma GCC unroll 16
    for (int j = 0; j < P; j++, out += g->out_step)
        vstore(out, acc[j]);
}

typedef void (*NAME(lanes_fn))(const fc_lanes *g, const fc_tap_row *from, const fc_tap_row *end, const T *x, T *out);
#define FC_INSTANCE(P, name, step)                                                                           \
    static void NAME(lanes_##name##_##P)(const fc_lanes *g, const fc_tap_row *from, const fc_tap_row *end,    \
                                         const T *x, T *out)                                                 \
    {                                                                                                        \
        NAME(lanes_tile)(P, step, g, from, end, x, out);                                                     \
    }
#define FC_INSTANCES(P) FC_INSTANCE(P, apart, 0) FC_INSTANCE(P, each, 1) FC_INSTANCE(P, second, 2)
FC_UP_TO(FC_PIXELS, FC_INSTANCES)

static void NAME(lanes_rows)(const fc_lanes *g)
{
    /* Rows are split as evenly as they can be: 28 outputs are 14 + 14. */
    static const NAME(lanes_fn) tiles[FC_PIXELS + 1][3] = {
#define ROW(P) [P] = {NAME(lanes_apart_##P), NAME(lanes_each_##P), NAME(lanes_second_##P)},
        FC_UP_TO(FC_PIXELS, ROW)
#undef ROW
    };
    const ptrdiff_t pieces = (g->cols + FC_PIXELS - 1) / FC_PIXELS, small = g->cols / pieces, larger = g->cols % pieces;
    const int which = g->dilation != VLEN ? 0 : g->step == VLEN ? 1 : g->step == 2 * VLEN ? 2 : 0;
    const T *x = g->x;
    T *out = g->out;
    for (ptrdiff_t piece = 0, P; piece < pieces; piece++, x += P * g->step, out += P * g->out_step) {
        P = small + (piece < larger);
        for (ptrdiff_t i = 0; i < g->rows; i++) { /* down the piece, whose pixels are then in L1 for the next row */
            const ptrdiff_t there = g->first[i + 1] - g->first[i], from = g->skip < there ? g->skip : there;
            const fc_tap_row *tap = g->tap + g->first[i] + from;
            tiles[P][which](g, tap, tap + (g->most < there - from ? g->most : there - from), x, out + i * g->out_row);
        }
    }
}
#undef FC_INSTANCE
#undef FC_INSTANCES

/* ---- gradients of kernels ---------------------------------------------------------------------- */

/* Taps of a tile: R rows of K. Every fma loads its own pixel, which the load units keep up with. */
#define FC_MOST_TAPS 5
#define FC_EACH_TILE(X)                                                                                      \
    FC_UP_TO(FC_TAP_ROWS, X, 1) FC_UP_TO(FC_TAP_ROWS, X, 2) FC_UP_TO(FC_TAP_ROWS, X, 3)                       \
    FC_UP_TO(FC_TAP_ROWS, X, 4) FC_UP_TO(FC_TAP_ROWS, X, 5)

FC_INLINE void NAME(lanes_grad_tile)(const int R, const int K, const fc_lanes_grads *g, const T *x, T *sums)
{
    VT acc[FC_TAP_ROWS][FC_MOST_TAPS];
    const ptrdiff_t dilation = g->dilation, step = g->x_step, tap_row = g->tap_row;
    const T *dy = g->dy;
    EACH(r, R)
        EACH(t, K)
            acc[r][t] = vzero();
    for (ptrdiff_t i = 0; i < g->rows; i++, x += g->x_row, dy += g->dy_row) {
        const T *under = x;
        for (ptrdiff_t j = 0; j < g->cols; j++, under += step) {
            VT slope = vload(dy + j * VLEN);
            const T *row = under;
#pragma GCC unroll 4
            for (int r = 0; r < R; r++, row += tap_row) {
                __asm__("" : "+r"(row)); /* else gcc keeps an address for every tap, and spills them */
                EACH(t, K)
                    acc[r][t] = vfma(slope, vload(row + t * dilation), acc[r][t]);
            }
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; r++, sums += g->taps * VLEN)
        EACH(t, K)
            vstore(sums + t * VLEN, vload(sums + t * VLEN) + acc[r][t]);
}

/* Rows and columns of taps are split as evenly as they can be: 7 taps are 4 + 3. */
static void NAME(lanes_grad)(const fc_lanes_grads *g)
{
    const T *x = g->x;
    T *sums = g->sums;
    for (ptrdiff_t rows = g->tap_rows, R; rows > 0; rows -= R, x += R * g->tap_row) {
        const ptrdiff_t bands = (rows + FC_TAP_ROWS - 1) / FC_TAP_ROWS;
        const T *under = x;
        R = (rows + bands - 1) / bands;
        for (ptrdiff_t taps = g->taps, K; taps > 0; taps -= K, under += K * g->dilation, sums += K * VLEN) {
            const ptrdiff_t pieces = (taps + FC_MOST_TAPS - 1) / FC_MOST_TAPS;
            K = (taps + pieces - 1) / pieces;
#define FC_CASE(rows, taps)                                                                                  \
    if (R == rows && K == taps)                                                                              \
        NAME(lanes_grad_tile)(rows, taps, g, under, sums);
            FC_EACH_TILE(FC_CASE)
#undef FC_CASE
        }
        sums += (R - 1) * g->taps * VLEN;
    }
}
#undef FC_MOST_TAPS
#undef FC_EACH_TILE

/* ---- pixels to planes -------------------------------------------------------------------------- */

FC_INLINE void NAME(lanes_planes)(char *out, ptrdiff_t channel, ptrdiff_t step, const T *from, ptrdiff_t n, ptrdiff_t lanes,
                                  const int half)
{
    const ptrdiff_t size = FC_STORED(half);
    if (step != 1) {
        for (ptrdiff_t q = 0; q < n; q++)
            vwrite(out + q * step * size, vload(from + q * VLEN), lanes, half);
        return;
    }
    for (ptrdiff_t l = 0; l < lanes; l += NAME(PIECE)) /* a few planes at a time: all at once may share L1 sets */
        for (ptrdiff_t q = 0; q < n; q += VLEN) {
            char *to = out + (l * channel + q) * size;
            VT col[NAME(PIECE)];
            NAME(columns)(col, from + q * VLEN + l, VLEN, NAME(PIECE) * VLEN);
            if (n - q >= VLEN && lanes - l >= NAME(PIECE)) {
                EACH(c, NAME(PIECE))
                    vwrite(to + c * channel * size, col[c], VLEN, half);
            } else
                EACH(c, NAME(PIECE))
                    if (l + c < lanes)
                        vwrite(to + c * channel * size, col[c], n - q, half);
        }
}

static void NAME(lanes_out)(void *out, ptrdiff_t channel, ptrdiff_t step, const void *from, ptrdiff_t n, ptrdiff_t lanes,
                            int half)
{
    if (half)
        NAME(lanes_planes)(out, channel, step, from, n, lanes, 1);
    else
        NAME(lanes_planes)(out, channel, step, from, n, lanes, 0);
}
