/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Input rows of K3 (corr_tmpl.h, which includes this): what one of them adds to the outputs that are held in registers.
 */
#ifndef T
#error "include vec.h before corr_rows_tmpl.h"
#endif

enum { NAME(CORR_MOST) = 8 }; /* rows, and vectors, of a block at most */

/* One input row meets output rows first ... last, in `columns` columns; k: the tap of row 0 in the first of them. Most loads cross
 * cache lines, which takes a CPU two cycles, and where the block is a single row every load serves a single fma: so that columns
 * are made from others, if the instruction set can: two of three, or in fours, as far as these may be read. */
#if FC_HAS & FC_MASK_REGISTERS && !defined FC_INTEGER
/* Column t of so many: each third one is loaded, with the `more` elements behind it that the next two take. */
FC_INLINE void NAME(corr_column)(const int t, const int more, const int V, const T *x, VT base[], VT s[])
{
    EACH(v, V)
        if (t % 3 == 0) {
            base[v] = vload(x + v * VLEN);
            vpin(base[v]);
            s[v] = base[v];
        } else if (t % 3 == 1)
            s[v] = vnext(base[v], base[v + 1], 1);
        else
            s[v] = vnext(base[v], base[v + 1], 2);
    if (t % 3 == 0 && more > 0)
        base[V] = vloadm(x + V * VLEN, more > 1 ? 3 : 1);
}

/* rows: outputs that share nothing; while the sums of one wait, those of the other go on. */
FC_INLINE ptrdiff_t NAME(corr_together)(VT acc[][NAME(CORR_MOST)], const int rows, const int V, const T *x, ptrdiff_t xs,
                                        const T *k, ptrdiff_t ks, ptrdiff_t columns)
{
    ptrdiff_t done = 0;
    for (; columns - done >= 3; done += 3, x += 3) {
        VT base[2][NAME(CORR_MOST) + 1], s[NAME(CORR_MOST)];
        EACH(t, 3) {
            const VT tap = vsplat(*k);
            EACH(r, rows) {
                NAME(corr_column)(t, 2, V, x + r * xs, base[r], s);
                EACH(v, V)
                    acc[r][v] = vfma(tap, s[v], acc[r][v]);
            }
            k += ks;
        }
    }
    return done;
}

/* Outputs that share the row: three columns at a time. What lies behind the last vector may not be read, so its columns are loaded.
 * The loop is left amid three columns, too: a loop for the one or two that remain would be as much code again. step: of vectors,
 * VLEN unless there is one column. */
FC_INLINE void NAME(corr_by_threes)(VT acc[][NAME(CORR_MOST)], const int first, const int last, const int V, const T *x,
                                    ptrdiff_t step, const T *k, ptrdiff_t ks, ptrdiff_t columns)
{
    VT base[NAME(CORR_MOST)], s[NAME(CORR_MOST)];
#define FC_COLUMN(t)                                                                                              \
    EACH(v, V) {                                                                                                  \
        s[v] = (t) > 0 && v < V - 1 ? vnext(base[v], base[v + 1], (t) > 0 ? (t) : 1) : vload(x + (t) + v * step); \
        if ((t) == 0 || v == V - 1)                                                                               \
            vpin(s[v]);                                                                                           \
        if ((t) == 0)                                                                                             \
            base[v] = s[v];                                                                                       \
    }                                                                                                             \
    EACH(i, last - first + 1) {                                                                                   \
        const VT tap = vsplat(k[-first - i]);                                                                     \
        EACH(v, V)                                                                                                \
            acc[first + i][v] = vfma(tap, s[v], acc[first + i][v]);                                               \
    }                                                                                                             \
    k += ks;                                                                                                      \
    if (--columns == 0)                                                                                           \
        return;
    for (;; x += 3) {
        FC_COLUMN(0)
        FC_COLUMN(1)
        FC_COLUMN(2)
    }
#undef FC_COLUMN
}
#elif defined vbetween
FC_INLINE ptrdiff_t NAME(corr_together)(VT acc[][NAME(CORR_MOST)], const int rows, const int V, const T *x, ptrdiff_t xs,
                                        const T *k, ptrdiff_t ks, ptrdiff_t columns)
{
    (void)rows, (void)xs; /* one row */
    enum { PIECE = 16 / FC_SIZE, FOUR = 4 };
    ptrdiff_t done = 0;
    for (; columns - done > FOUR; done += FOUR, x += FOUR, k += FOUR * ks) {
        const T *p = x;
        VT tap[FOUR], s[FOUR / PIECE + 1];
        EACH(t, FOUR)
            tap[t] = vsplat(k[t * ks]);
        EACH(v, V) {
            EACH(i, FOUR / PIECE + 1) {
                s[i] = FOUR == VLEN && v > 0 && i == 0 ? s[FOUR / PIECE] : vload(p + v * VLEN + i * PIECE);
                vpin(s[i]);
            }
#define FC_COLUMN(t) \
    acc[0][v] = vfma(tap[t], (t) % PIECE ? vbetween(s[(t) / PIECE], s[(t) / PIECE + 1], (t) % PIECE) : s[(t) / PIECE], acc[0][v]);
            FC_COLUMN(0)
            FC_UP_TO_3(FC_COLUMN)
#undef FC_COLUMN
            __asm__("" : "+r"(p), "+v"(acc[0][v])); /* gcc would load for all vectors first, and spill */
        }
    }
    return done;
}
#else
#define FC_APART
#endif
FC_INLINE void NAME(corr_row)(VT acc[][NAME(CORR_MOST)], const int alone, const int first, const int last, const int V,
                              const int whole, const int dense, const T *x, ptrdiff_t step, const ptrdiff_t *at, const T *k,
                              ptrdiff_t ks, VMASK lanes, ptrdiff_t columns)
{
#ifndef FC_APART
    if (alone && dense) {
        const ptrdiff_t done = NAME(corr_together)(acc + first, 1, V, x, 0, k - first, ks, columns);
        if (done == columns)
            return;
        x += done, k += done * ks, columns -= done;
    }
#endif
#if FC_HAS & FC_MASK_REGISTERS && !defined FC_INTEGER
    if (dense && whole && !alone) {
        NAME(corr_by_threes)(acc, first, last, V, x, step, k, ks, columns);
        return;
    }
#endif
    do {
        VT s[NAME(CORR_MOST)];
        const T *p = dense ? x++ : x + *at++;
        EACH(v, V) {
            s[v] = v < V - 1 || whole ? vload(p + v * step) : vloadm(p + v * step, lanes);
            if (!alone || (FC_HAS & FC_MASK_REGISTERS) != 0)
                vpin(s[v]);
        }
        EACH(i, last - first + 1) {
            VT tap = vsplat(k[-first - i]);
            EACH(v, V)
                acc[first + i][v] = vfma(tap, s[v], acc[first + i][v]);
        }
        k += ks;
    } while (--columns > 0);
}
#undef FC_APART

/* The same for kernels of H x W taps, whose loops are gone. kept: the first FC_KEPT of them. q: the input row. */
FC_INLINE void NAME(corr_row_of)(VT acc[][NAME(CORR_MOST)], const int H, const int W, const int q, const int first,
                                 const int last, const int V, const T *x, const T *k, const VT kept[])
{
    VT s[NAME(CORR_MOST)];
#if FC_HAS & FC_MASK_REGISTERS && !defined FC_INTEGER
    VT base[NAME(CORR_MOST) + 1];
#endif
    EACH(t, W) {
#if FC_HAS & FC_MASK_REGISTERS && !defined FC_INTEGER
        NAME(corr_column)(t, W - 1 - t, V, x + t, base, s);
#else
        EACH(v, V) {
            s[v] = vload(x + t + v * VLEN);
            vpin(s[v]);
        }
#endif
        EACH(i, last - first + 1) {
            VT tap;
            const int at = t * H + q - first - i;
            if (at < FC_KEPT)
                tap = kept[at];
            else
                tap = vsplat(k[at]);
            EACH(v, V)
                acc[first + i][v] = vfma(tap, s[v], acc[first + i][v]);
        }
    }
}
