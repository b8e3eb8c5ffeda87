/* SPDX-License-Identifier: BSD-3-Clause
 *
 * K3, sliding correlation of one plane:
 *
 *   out[i][j] = sum_{a<h} sum_{b<w} x[i+a][j+b] * k[b*h + a]
 *
 * A strip of V vectors walks down the image. Every input row r is read once (shifted by b for tap
 * column b) and meets the H output rows whose window covers it, i = r - a, all of them in accumulators:
 *
 *            i = 0 1 2 3 4      H = 3, slot of output row i = i mod H
 *   r = 0        0                a = r - i
 *   r = 1        1 0
 *   r = 2        2 1 0            row 0 is complete: store it, its slot becomes row 3
 *   r = 3          2 1 0          row 1 is complete ...
 *   r = 4            2 1 0
 *
 * H loads of taps and V loads of pixels feed H*V fma, with no ramp from tile to tile. Accumulators limit
 * H*V, so a taller kernel is done in slices of at most FC_ROWS tap rows, each continuing from what the
 * one before left in out (a partial sum survives the store and load unchanged).
 *
 * Order of summation: a ascending, within it b ascending, one fma each, starting from zero, whatever
 * the slices, the strip or the tail. This makes the result the same bits for any tile, thread, crop and
 * fma ISA.
 */
#if !defined T || !defined FC_ROWS || !defined FC_COLS_OF
#error "include vec.h and define FC_ROWS and FC_COLS_OF before corr_tmpl.h"
#endif

/* One input row meets its H output rows; p = r mod H is a constant, so that every slot is a register. */
FC_INLINE void NAME(corr_row)(VT acc[8][FC_COLS_MAX], const int H, const int V, const int p,
                              const T *x, const T *k, ptrdiff_t ks, ptrdiff_t w, ptrdiff_t n)
{
    do {
        VT s[FC_COLS_MAX];
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) {
            s[v] = vloadn(x + v * VLEN, n - v * VLEN);
            vpin(s[v]);
        }
#pragma GCC unroll 8
        for (int a = 0; a < H; a++) {
            VT tap = vsplat(k[a]);
#pragma GCC unroll 8
            for (int v = 0; v < V; v++)
                acc[(p - a + H) % H][v] = vfma(tap, s[v], acc[(p - a + H) % H][v]);
        }
        x++;
        k += ks;
    } while (--w > 0);
}

/* A strip crosses a new page at nearly every row, where hardware prefetchers stop: at each row, fetch
 * what the next strip adds (x: first element not seen by this one, minus one; out: two strips on, as
 * this one's neighbour was fetched by the one before). Measured on float64 7x7: 53 % -> 88 % of peak. */
FC_INLINE void NAME(corr_prefetch)(const int V, const T *x, const T *out)
{
    enum { LINE = 64 };
#pragma GCC unroll 8
    for (int byte = 0; byte < V * FC_VECTOR_BYTES; byte += LINE) {
        __builtin_prefetch((const char *)x + LINE + byte);
        __builtin_prefetch((const char *)out + byte, 1);
    }
}

/* One strip, H tap rows: n <= V * VLEN columns, rows output rows; add: continue from out. The H-1 input
 * rows at either end also do fma for output rows outside, which are dropped. */
FC_INLINE void NAME(corr_strip)(const int H, const int V, const T *x, ptrdiff_t xs, const T *k, ptrdiff_t ks,
                                ptrdiff_t w, T *out, ptrdiff_t os, ptrdiff_t rows, ptrdiff_t n, int add)
{
    VT acc[8][FC_COLS_MAX];
#pragma GCC unroll 8
    for (int i = 1; i < H; i++)
#pragma GCC unroll 8
        for (int v = 0; v < V; v++)
            acc[i][v] = vzero();

/* Input row r, p = r mod H. Output row r begins in slot p; then output row r-H+1 is complete. Before
 * r = H-1 the other slots hold rows above the first, which are never stored. */
#define FC_PHASE(p)                                                                                          \
    if (p < H) {                                                                                             \
        _Pragma("GCC unroll 8") for (int v = 0; v < V; v++)                                                  \
            acc[p][v] = add && r < rows ? vloadn(out + v * VLEN, n - v * VLEN) : vzero();                    \
        NAME(corr_prefetch)(V, x + n + w - 2, out + 2 * n);                                                  \
        NAME(corr_row)(acc, H, V, p, x, k, ks, w, n);                                                        \
        if (r >= H - 1)                                                                                      \
            _Pragma("GCC unroll 8") for (int v = 0; v < V; v++)                                              \
                vstoren(out - (H - 1) * os + v * VLEN, acc[(p + 1) % H][v], n - v * VLEN);                   \
        if (++r == rows + H - 1)                                                                             \
            return;                                                                                          \
        x += xs;                                                                                             \
        out += os;                                                                                           \
    }
    for (ptrdiff_t r = 0;;) {
        FC_PHASE(0) FC_PHASE(1) FC_PHASE(2) FC_PHASE(3)
        FC_PHASE(4) FC_PHASE(5) FC_PHASE(6) FC_PHASE(7)
    }
#undef FC_PHASE
}

#if FC_TALL == 8
#define FC_HEIGHTS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8)
#elif FC_TALL == 6
#define FC_HEIGHTS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#else
#error "FC_TALL must be 6 or 8"
#endif

/* Per slice height H: as wide as the registers allow; as wide as a slice of H+1 rows, beside which it may
 * have to work; one vector, the only one that can be partial. */
#define FC_STRIP(H, vectors, width)                                                                          \
    static void NAME(corr_##H##_##width)(const T *x, ptrdiff_t xs, const T *k, ptrdiff_t ks, ptrdiff_t w,    \
                                         T *out, ptrdiff_t os, ptrdiff_t rows, ptrdiff_t n, int add)         \
    {                                                                                                        \
        enum { V = vectors };                                                                                \
        NAME(corr_strip)(H, V, x, xs, k, ks, w, out, os, rows, V > 1 ? V * VLEN : n, add);                   \
    }
#define FC_STRIPS(H)                                                                                         \
    FC_STRIP(H, FC_COLS_OF(H), wide) FC_STRIP(H, FC_COLS_OF(H + 1), next) FC_STRIP(H, 1, single)
FC_HEIGHTS(FC_STRIPS)
#undef FC_STRIPS
#undef FC_STRIP

static void NAME(corr)(const void *xv, ptrdiff_t xs, const void *kv, ptrdiff_t h, ptrdiff_t w,
                       void *outv, ptrdiff_t os, ptrdiff_t rows, ptrdiff_t cols)
{
    typedef void strip_fn(const T *, ptrdiff_t, const T *, ptrdiff_t, ptrdiff_t, T *, ptrdiff_t, ptrdiff_t,
                          ptrdiff_t, int);
    static const struct {
        ptrdiff_t vectors;
        strip_fn *wide, *next, *single;
    } strips[FC_TALL + 1] = {
#define FC_STRIPS(H)                                                                                         \
    [H] = {FC_COLS_OF(H), NAME(corr_##H##_wide),                                                             \
           FC_COLS_OF(H + 1) == FC_COLS_OF(H) ? NAME(corr_##H##_wide) : NAME(corr_##H##_next),               \
           NAME(corr_##H##_single)},
        FC_HEIGHTS(FC_STRIPS)
#undef FC_STRIPS
    };
    const T *x = xv, *k = kv;
    T *out = outv;
    /* Slices as even as they can be, and none taller than the output: its extra rows would be waste. */
    ptrdiff_t tallest = h <= FC_TALL ? FC_TALL : FC_ROWS;
    if (tallest > rows)
        tallest = rows;
    ptrdiff_t slices = (h + tallest - 1) / tallest;
    tallest = (h + slices - 1) / slices;
    ptrdiff_t full = strips[tallest].vectors * VLEN;
    for (ptrdiff_t j = 0, n; j < cols; j += n) {
        if (cols >= full && cols - j < full && cols - j > VLEN)
            j = cols - full; /* one more full strip: it writes some columns again, with the same bits */
        n = cols - j >= full ? full : VLEN;
        for (ptrdiff_t a = 0, left = slices, H; left > 0; a += H, left--) {
            H = (h - a + left - 1) / left;
            strip_fn *strip = n == VLEN ? strips[H].single : H == tallest ? strips[H].wide : strips[H].next;
            strip(x + a * xs + j, xs, k + a, h, w, out + j, os, rows, cols - j, a > 0);
        }
    }
}

#undef FC_HEIGHTS
