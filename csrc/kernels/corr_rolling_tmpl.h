/* SPDX-License-Identifier: BSD-3-Clause
 *
 * K3 (corr_tmpl.h, which includes this) for kernels of H rows that FC_ROLLED has: a block of H output rows x V vectors rolls down
 * a band of rows.
 *
 *            r = 0 1 2            H = 3
 *   q = 0        0                a = q - r, the tap row by which input row q meets output row r
 *   q = 1        1 0
 *   q = 2        2 1 0            output row 0 is complete and stored; the others move up, and a new one begins
 *   q = 3        2 1 0            the same again
 *   ...
 *   at last        2 1
 *                    2
 *
 * A row of inputs is loaded once, where blocks of R rows load it (R + h - 1) / R times. Only at both ends of a band does it meet few
 * outputs, whose sums then wait for each other. Each row lies in another page: what the next vectors to the right need is asked for.
 */
#ifndef T
#error "include vec.h before corr_rolling_tmpl.h"
#endif

FC_INLINE void NAME(corr_roll)(const int H, const int V, const T *x, ptrdiff_t xs, const fc_taps *taps, T *out, ptrdiff_t os,
                               ptrdiff_t rows)
{
    const T *k = taps->k, start = (T)taps->start, *begin = &start;
    const ptrdiff_t full = taps->full, next = 2 * V * VLEN + full - 1;
    T *ahead = out + V * VLEN;
    VT acc[FC_ROLLED_MOST][NAME(CORR_MOST)];
    EACH(r, H)
        EACH(v, V)
            acc[r][v] = vsplat(start);

/* most: rows in the middle of a band, which most are; of the others, columns are loaded, which is shorter */
#define FC_MEET(first, last, tap, most)                                                                   \
    {                                                                                                     \
        FC_PREFETCH(x + next, 0)                                                                          \
        NAME(corr_row)(acc, 0, first, last, V, most, 1, x, VLEN, NULL, k + (tap), H, vlanes(VLEN), full); \
        x += xs;                                                                                          \
        FC_OPAQUE(x);                                                                                     \
        FC_OPAQUE(k);                                                                                     \
    }
#define FC_BEGUN                    \
    {                               \
        FC_PREFETCH(ahead, 1)       \
        ahead += os;                \
        FC_OPAQUE(ahead);           \
    }
#define FC_DONE(r)                                                  \
    {                                                               \
        NAME(corr_store)(acc[r], V, 1, 0, out, VLEN, vlanes(VLEN)); \
        out += os;                                                  \
        FC_OPAQUE(out);                                             \
    }
#define FC_MOVE(to, from) __asm__("vmovaps %1, %0" : "=&v"(to) : "v"(from)) /* gcc would spill them on its way */
#define FC_BEFORE(q) if ((q) < H) { FC_BEGUN FC_MEET(0, (q) - 1, (q) - 1, 0) }
#define FC_BEHIND(q) if ((q) < H) { FC_MEET((q) - 1, H - 2, H + (q) - 2, 0) FC_DONE((q) - 1) }
    FC_UP_TO_8(FC_BEFORE)
    for (ptrdiff_t more = rows - H;; more--) {
        FC_BEGUN
        FC_MEET(0, H - 1, H - 1, 1)
        FC_DONE(0)
        EACH(r, H - 1)
            EACH(v, V)
                FC_MOVE(acc[r][v], acc[r + 1][v]);
        if (more == 0)
            break;
        FC_OPAQUE(begin); /* no register for what a sum begins with */
        EACH(v, V)
            acc[H - 1][v] = vsplat(*begin);
    }
    FC_UP_TO_8(FC_BEHIND)
#undef FC_BEHIND
#undef FC_BEFORE
#undef FC_MOVE
#undef FC_DONE
#undef FC_BEGUN
#undef FC_MEET
}

#define FC_ROLL(H, V)                                                                                                    \
    static void NAME(corr_roll_##H)(const T *x, ptrdiff_t xs, const fc_taps *taps, T *out, ptrdiff_t os, ptrdiff_t rows, \
                                    ptrdiff_t cols)                                                                      \
    {                                                                                                                    \
        for (ptrdiff_t j = 0; j < cols; j += (V)*VLEN) {                                                                 \
            j = j < cols - (V)*VLEN ? j : cols - (V)*VLEN;                                                               \
            NAME(corr_roll)(H, V, x + j, xs, taps, out + j, os, rows);                                                   \
        }                                                                                                                \
    }
FC_ROLLED(FC_ROLL)
#undef FC_ROLL

/* Results in bands of rows. Returns how many columns are done, the first ones: all, or none, or all but those that less than half of
 * a block has. */
static ptrdiff_t NAME(corr_bands)(const T *x, ptrdiff_t xs, const fc_taps *taps, T *out, ptrdiff_t os, ptrdiff_t rows,
                                  ptrdiff_t cols)
{
    static const struct {
        void (*roll)(const T *x, ptrdiff_t xs, const fc_taps *taps, T *out, ptrdiff_t os, ptrdiff_t rows, ptrdiff_t cols);
        ptrdiff_t width;
    } rolls[FC_ROLLED_MOST + 1] = {
#define FC_ROLL(H, V) [H] = {NAME(corr_roll_##H), (V)*VLEN},
        FC_ROLLED(FC_ROLL)
#undef FC_ROLL
    };
    const ptrdiff_t h = taps->h, width = h <= FC_ROLLED_MOST ? rolls[h].width : 0;
    if (width == 0 || rows < h || cols < width || taps->full < FC_ROLLED_FROM || taps->stream || !NAME(corr_is_dense)(taps))
        return 0;
    const ptrdiff_t over = cols % width, done = 2 * over < width ? cols - over : cols;
    const ptrdiff_t most = FC_BAND(taps->far), bands = rows < most ? 1 : (rows + most / 2) / most,
                    band = (rows + bands - 1) / bands;
    for (ptrdiff_t i = 0; i < rows; i += band) {
        i = i < rows - band ? i : rows - band;
        rolls[h].roll(x + i * xs, xs, taps, out + i * os, os, band, done);
    }
    return done;
}
