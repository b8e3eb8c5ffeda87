/* SPDX-License-Identifier: BSD-3-Clause
 *
 * K3, sliding correlation of one plane:
 *
 *   out[i][j] = sum_{a<h} sum_t x[(i+a)*xs + at[t] + j] * k[t*h + a]
 *
 * In 2-D t counts the tap columns, at[t] = t, for which there is an instance without the table: "dense". (As
 * loads wait for their offsets after the mispredicted end of each row, the table costs 3 to 5 % from 7x7 to
 * 11x11.) The same body serves other shapes by other tables: depth taps and dilation (columns further apart), strided
 * rows (the rows between two that begin a window are columns of one long row). A 1-D signal is folded into rows of
 * one vector; as that is too few outputs to hide the latency of fma, the V vectors of a strip lie far apart: in V
 * parts of the signal.
 *
 * A strip of V vectors walks down the image. Every input row r is read once per tap column and meets the
 * H output rows whose window covers it, i = r - a, all of them in accumulators:
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
 * Order of summation: a ascending, within it t ascending, one fma each, starting from zero, whatever
 * the slices, the strip or the tail. This makes the result the same bits for any tile, thread, crop and
 * fma ISA.
 */
#ifndef T
#error "include vec.h before corr_tmpl.h"
#endif

/* V vectors from p on, `step` elements apart; whole: the last one has all its lanes, else those of `last` */
FC_INLINE void NAME(corr_load)(VT s[FC_COLS_MAX], const int V, const int whole, const T *p, ptrdiff_t step, VMASK last)
{
    EACH(v, V)
        s[v] = v < V - 1 || whole ? vload(p + v * step) : vloadm(p + v * step, last);
}

/* One input row meets `live` of the H output rows: in the columns without a last tap, all but the oldest.
 * p = r mod H is a constant, so that every slot is a register. */
FC_INLINE void NAME(corr_row)(VT acc[8][FC_COLS_MAX], const int H, const int live, const int V, const int whole,
                              const int dense, const int p, const T *x, ptrdiff_t step, const ptrdiff_t *at, const T *k,
                              ptrdiff_t ks, VMASK last, ptrdiff_t columns)
{
    do {
        VT s[FC_COLS_MAX];
        NAME(corr_load)(s, V, whole, dense ? x++ : x + *at++, step, last);
        EACH(v, V)
            vpin(s[v]);
        EACH(a, live) {
            VT tap = vsplat(k[a]);
            EACH(v, V)
                acc[(p - a + H) % H][v] = vfma(tap, s[v], acc[(p - a + H) % H][v]);
        }
        k += ks;
    } while (--columns > 0);
}

/* A strip crosses a new page at nearly every row, where hardware prefetchers stop: at each row, fetch
 * what the next strip adds (x: first element not seen by this one, minus one; out: two strips on, as
 * this one's neighbour was fetched by the one before). Measured on float64 7x7: 53 % -> 88 % of peak. */
FC_INLINE void NAME(corr_prefetch)(const int V, const T *x, const T *out, int stream)
{
    enum { LINE = 64 };
#pragma GCC unroll 8
    for (int byte = 0; byte < V * FC_VECTOR_BYTES; byte += LINE) {
        __builtin_prefetch((const char *)x + LINE + byte);
        if (!stream)
            __builtin_prefetch((const char *)out + byte, 1);
    }
}

/* Whether the rows of out, of one slice, are aligned and to be stored past the caches: then no line is read to be
 * written. Measured on 2160x3840 float32 3x3: 33 -> 49 GB/s. */
FC_INLINE int NAME(corr_streams)(const fc_taps *taps, const T *out, ptrdiff_t os)
{
    return taps->stream && ((uintptr_t)out | (uintptr_t)os * sizeof(T)) % FC_VECTOR_BYTES == 0;
}

/* One strip, H tap rows from row `first` of the taps on: rows output rows, V vectors, `lanes` lanes of the
 * last one. The first slice starts from zero, the others from out; the last one ends with the row that `part`
 * columns lack. The H-1 input rows at either end also do fma for output rows outside, which are dropped. */
FC_INLINE void NAME(corr_strip)(const int H, const int V, const int whole, const int dense, const int apart, const T *x,
                                ptrdiff_t xs, const fc_taps *taps, ptrdiff_t first, T *out, ptrdiff_t os, ptrdiff_t rows,
                                ptrdiff_t lanes)
{
    const ptrdiff_t *at = taps->at;
    const T *k = (const T *)taps->k + first;
    const ptrdiff_t ks = taps->h, all = taps->full + taps->part;
    const ptrdiff_t full = first + H == taps->h ? taps->full : all, part = all - full;
    const ptrdiff_t ahead = V * VLEN + at[all - 1] - 1, step = apart ? taps->apart : VLEN;
    const VMASK last = vlanes(lanes);
    const int stream = dense && !apart && H == taps->h && NAME(corr_streams)(taps, out, os);
    T *done = out; /* the row that is completed next */
    const VT start = vsplat((T)taps->start);
    VT acc[8][FC_COLS_MAX];
#pragma GCC unroll 8
    for (int i = 1; i < H; i++)
        EACH(v, V)
            acc[i][v] = vzero();

/* Input row r, p = r mod H. Output row r begins in slot p; then output row r-H+1 is complete. Before
 * r = H-1 the other slots hold rows above the first, which are never stored. The last input row has no
 * elements but those under the last tap row. (FC_OPAQUE: gcc would keep every multiple of the strides, and
 * spill: 7x7 at 75 % instead of 90 % of peak.) */
#define FC_OPAQUE(pointer) __asm__("" : "+r"(pointer))
#define FC_PHASE(p)                                                                                          \
    if (p < H) {                                                                                             \
        if (first > 0 && r < rows)                                                                           \
            NAME(corr_load)(acc[p], V, whole, out, step, last);                                              \
        else                                                                                                 \
            EACH(v, V)                                                                                       \
                acc[p][v] = start;                                                                           \
        if (!apart)                                                                                          \
            NAME(corr_prefetch)(V, x + ahead, out + 2 * V * VLEN, stream);                                   \
        NAME(corr_row)(acc, H, H, V, whole, dense, p, x, step, at, k, ks, last, full);                       \
        if ((apart || !dense) && H > 1 && part > 0 && r < rows + H - 2)                                      \
            NAME(corr_row)(acc, H, H - 1, V, whole, dense, p, dense ? x + full : x, step, at + full,         \
                           k + full * ks, ks, last, part);                                                   \
        if (r >= H - 1) {                                                                                    \
            EACH(v, V - 1)                                                                                   \
                if (stream)                                                                                  \
                    vstream(done + v * step, acc[(p + 1) % H][v]);                                           \
                else                                                                                         \
                    vstore(done + v * step, acc[(p + 1) % H][v]);                                            \
            if (stream)                                                                                      \
                vstream(done + (V - 1) * step, acc[(p + 1) % H][V - 1]);                                     \
            else if (whole)                                                                                  \
                vstore(done + (V - 1) * step, acc[(p + 1) % H][V - 1]);                                      \
            else                                                                                             \
                vstorem(done + (V - 1) * step, acc[(p + 1) % H][V - 1], last);                               \
            done += os;                                                                                      \
        }                                                                                                    \
        if (++r == rows + H - 1)                                                                             \
            return;                                                                                          \
        x += xs;                                                                                             \
        out += os;                                                                                           \
        FC_OPAQUE(r);                                                                                        \
        FC_OPAQUE(x);                                                                                        \
        FC_OPAQUE(out);                                                                                      \
        FC_OPAQUE(done);                                                                                     \
    }
    for (ptrdiff_t r = 0;;) {
        FC_PHASE(0) FC_PHASE(1) FC_PHASE(2) FC_PHASE(3) FC_PHASE(4) FC_PHASE(5) FC_PHASE(6) FC_PHASE(7)
    }
#undef FC_PHASE
#undef FC_OPAQUE
}

#if defined FC_INTEGER /* slower by nature: less code for them */
#define FC_SLICE 4
#define FC_ONE_SLICE 4
#define FC_HEIGHTS(X) FC_UP_TO(4, X)
#else
#define FC_SLICE FC_ROWS
#define FC_ONE_SLICE FC_TALL
#define FC_HEIGHTS(X) FC_UP_TO(FC_TALL, X)
#endif

/* Per height H: as wide as the registers allow, dense, whole and with a partial last vector; narrower; one vector. */
typedef void (*NAME(corr_fn))(const T *x, ptrdiff_t xs, const fc_taps *taps, ptrdiff_t first, T *out, ptrdiff_t os,
                              ptrdiff_t rows, ptrdiff_t lanes);

#define FC_STRIP(H, name, vectors, whole, dense, apart)                                                                  \
    static void NAME(corr_##H##_##name)(const T *x, ptrdiff_t xs, const fc_taps *taps, ptrdiff_t first,      \
                                        T *out, ptrdiff_t os, ptrdiff_t rows, ptrdiff_t lanes)               \
    {                                                                                                        \
        NAME(corr_strip)(H, vectors, whole, dense, apart, x, xs, taps, first, out, os, rows, lanes);         \
    }
#define FC_MASKED(H)                                                                                         \
    FC_STRIP(H, partial, FC_COLS_OF(H), 0, 0, 0)                                                             \
    FC_STRIP(H, narrow, FC_NARROW_OF(H), 0, 0, 0) FC_STRIP(H, single, 1, 0, 0, 0)
#define FC_DENSE(H) FC_STRIP(H, dense, FC_COLS_OF(H), 1, 1, 0) FC_STRIP(H, apart, FC_COLS_OF(H), 1, 1, 1)
#if defined FC_INTEGER /* without the special ones */
#define FC_STRIPS(H) FC_MASKED(H)
#define FC_ROW(H) ROW(H, partial, partial, partial)
#elif FC_HAS & FC_MASK_REGISTERS
#define FC_STRIPS(H) FC_MASKED(H) FC_DENSE(H)
#define FC_ROW(H) ROW(H, dense, partial, apart)
#else
#define FC_STRIPS(H) FC_MASKED(H) FC_DENSE(H) FC_STRIP(H, wide, FC_COLS_OF(H), 1, 0, 0)
#define FC_ROW(H) ROW(H, dense, wide, apart)
#endif
FC_HEIGHTS(FC_STRIPS)
#undef FC_STRIPS
#undef FC_MASKED
#undef FC_DENSE
#undef FC_STRIP

static void NAME(corr)(const void *xv, ptrdiff_t xs, const fc_taps *taps, void *outv, ptrdiff_t os, ptrdiff_t rows,
                       ptrdiff_t cols)
{
    static const struct {
        ptrdiff_t vectors, narrow_vectors;
        NAME(corr_fn) dense, wide, partial, narrow, single, apart;
    } strips[FC_ONE_SLICE + 1] = {
#define ROW(H, dense, wide, apart)                                                                           \
    [H] = {FC_COLS_OF(H),        FC_NARROW_OF(H),           NAME(corr_##H##_##dense), NAME(corr_##H##_##wide),  \
           NAME(corr_##H##_partial), NAME(corr_##H##_narrow), NAME(corr_##H##_single), NAME(corr_##H##_##apart)},
        FC_HEIGHTS(FC_ROW)
#undef ROW
    };
    const T *x = xv;
    T *out = outv;
    ptrdiff_t columns = taps->full + taps->part, dense = 0;
    while (taps->part == 0 && dense < columns && taps->at[dense] == dense)
        dense++;
    /* Slices as even as they can be, and none taller than the output: its extra rows would be waste. */
    ptrdiff_t h = taps->h, tallest = h <= FC_ONE_SLICE ? FC_ONE_SLICE : FC_SLICE;
    if (tallest > rows)
        tallest = rows;
    ptrdiff_t slices = (h + tallest - 1) / tallest;
    tallest = (h + slices - 1) / slices;
    if (taps->apart) { /* slice by slice, each as many vectors at a time as its height allows */
        for (ptrdiff_t a = 0, more = slices, H; more > 0; a += H, more--) {
            H = (h - a + more - 1) / more;
            for (ptrdiff_t v = 0, n, vectors = cols / VLEN; v < vectors; v += n) {
                n = vectors - v >= strips[H].vectors ? strips[H].vectors : 1;
                (n > 1 ? strips[H].apart : strips[H].single)(x + a * xs + v * taps->apart, xs, taps, a, out + v * taps->apart,
                                                             os, rows, VLEN);
            }
        }
        return;
    }
    /* Strips as wide as can be; for what is left, or all of a narrow output, a narrow one or a single vector. Slices of
     * two heights have but one width in common. A last strip that would be partly empty begins earlier instead: it
     * writes some columns again, with the same bits. */
    ptrdiff_t widest = strips[tallest].vectors, narrow = h % slices == 0 ? strips[tallest].narrow_vectors : 1;
    ptrdiff_t skew = (ptrdiff_t)(-(uintptr_t)out % FC_VECTOR_BYTES / sizeof(T)); /* columns up to an aligned one */
    int streams = dense == columns && slices == 1 && NAME(corr_streams)(taps, out + skew, os);
    ptrdiff_t end = streams && 0 < skew && skew < cols ? skew : cols;
    for (ptrdiff_t j = 0, n; j < cols; j += n, end = cols) {
        ptrdiff_t left = end - j;
        ptrdiff_t vectors = left <= VLEN ? 1 : left <= narrow * VLEN ? narrow : widest;
        if (left <= (vectors - 1) * VLEN) {
            if (end >= vectors * VLEN)
                j = end - vectors * VLEN;
            else
                vectors = left > (narrow - 1) * VLEN ? narrow : 1;
        }
        n = end - j < vectors * VLEN ? end - j : vectors * VLEN;
        ptrdiff_t last = n - (vectors - 1) * VLEN;
        for (ptrdiff_t a = 0, more = slices, H; more > 0; a += H, more--) {
            H = (h - a + more - 1) / more;
            const NAME(corr_fn) strip = vectors != strips[H].vectors ? (vectors == 1 ? strips[H].single : strips[H].narrow)
                                        : last < VLEN                ? strips[H].partial
                                        : dense == columns           ? strips[H].dense
                                                                     : strips[H].wide;
            strip(x + a * xs + j, xs, taps, a, out + j, os, rows, last);
        }
    }
    if (streams)
        vfence();
}

#undef FC_ROW
#undef FC_HEIGHTS
#undef FC_SLICE
#undef FC_ONE_SLICE
