/* SPDX-License-Identifier: BSD-3-Clause
 *
 * K3, sliding correlation of one plane:
 *
 *   out[i][j] = sum_{a<h} sum_t x[(i+a)*xs + at[t] + j] * k[t*h + a]
 *
 * In 2-D t counts the tap columns, at[t] = t, for which there is an instance without the table: "dense". The same body
 * serves other shapes by other tables: depth taps and dilation (columns further apart), strided rows (the rows between two
 * that begin a window are columns of one long row). A 1-D signal is folded into rows of one vector; the V vectors of a
 * block are then parts of the signal that lie far apart.
 *
 * A block of R output rows x V vectors is held in accumulators and sweeps right along the R+h-1 input rows under it, which
 * are as many sequential streams. Input row q meets those output rows r whose window covers it, with tap row a = q - r:
 *
 *            r = 0 1 2 3        R = 4, h = 2
 *   q = 0        0                a = q - r
 *   q = 1        1 0
 *   q = 2          1 0            each load of pixels feeds up to min(R, h) rows,
 *   q = 3            1 0          each load of a tap V vectors
 *   q = 4              1
 *
 * Where h is at least R, all rows meet the h-R+1 input rows in the middle, in a loop. R is at most
 * FC_SHARING_ROWS(h): more rows share no more, and each of them is a stream. (Of a kernel of one row, FC_LOW if it is short, or x
 * far: streams are what memory is read fastest by.)
 *
 * Order of summation: a ascending, within it t ascending, one fma each, beginning with `start`, whatever the block. This makes
 * the result the same bits for any tile, thread, crop and fma ISA. So blocks may overlap: what is written twice is the same.
 */
#include "kernels/corr_rows_tmpl.h"

/* Vectors of a row that end at `end`, of memory that is read, or written if 1 */
#define FC_PREFETCH(end, write)                          \
    EACH(line, (V * FC_VECTOR_BYTES + 63) / 64)          \
        __builtin_prefetch((const char *)(end) - 64 * line - 1, write, 3);
/* gcc would keep every multiple of the strides, and spill */
#define FC_OPAQUE(pointer) __asm__("" : "+r"(pointer))

/* One row of results. stream: past the caches */
FC_INLINE void NAME(corr_store)(const VT sum[], const int V, const int whole, const int stream, T *out, ptrdiff_t step,
                                VMASK lanes)
{
    EACH(v, V)
        if (stream)
            vstream(out + v * step, sum[v]);
        else if (v < V - 1 || whole)
            vstore(out + v * step, sum[v]);
        else
            vstorem(out + v * step, sum[v], lanes);
}

/* R output rows x V vectors, `lanes` of the last one. M: min(R, h). W: 0, or kernels of M x W taps. The last tap row lacks the last
 * `part` columns. Each row goes to out as soon as it is complete: all at the end, they fill the queue of stores. Most of them cross
 * cache lines, which are fetched one after another unless the CPU is told before. only: sums of but one column, which stay in acc. */
FC_INLINE void NAME(corr_sums)(const int R, const int M, const int W, const int V, const int whole, const int dense,
                               const int only, const T *x, ptrdiff_t xs, const fc_taps *taps, const VT kept[], ptrdiff_t step,
                               VMASK lanes, VT acc[][NAME(CORR_MOST)], T *out, ptrdiff_t os)
{
    const ptrdiff_t *at = taps->at;
    const T *k = taps->k;
    const ptrdiff_t h = taps->h, full = only ? 1 : taps->full, part = dense ? 0 : taps->part;
    const VT start = vsplat((T)taps->start);
    const int stream = !only && dense && taps->stream && ((uintptr_t)out | (uintptr_t)os * sizeof(T)) % FC_VECTOR_BYTES == 0;
    T *ahead = out;
    EACH(r, R)
        EACH(v, V)
            acc[r][v] = start;

#define FC_FETCH                                  \
    if (R > 1 && !only && dense && !stream) {     \
        FC_PREFETCH(ahead + V * VLEN, 1)          \
        ahead += os;                              \
        FC_OPAQUE(ahead);                         \
    }
#define FC_INPUT_ROW(q, first, last, ends)                                                                                      \
    {                                                                                                                           \
        if (W > 0)                                                                                                              \
            NAME(corr_row_of)(acc, M, W, q, first, last, V, x, k, kept);                                                        \
        else                                                                                                                    \
            NAME(corr_row)(acc, M == 1, first, last, V, whole, dense, x, step, at, k++, h, lanes, (ends) ? full : full + part); \
        if ((ends) && (first) < (last) && part > 0)                                                                             \
            NAME(corr_row)(acc, 0, (first) + 1, last, V, whole, dense, x, step, at + full, k - 1 + full * h, h, lanes, part);   \
        x += xs;                                                                                                                \
        FC_OPAQUE(x);                                                                                                           \
        FC_OPAQUE(k);                                                                                                           \
        if ((ends) && !only) {                                                                                                  \
            NAME(corr_store)(acc[first], V, whole, stream, out, step, lanes);                                                   \
            out += os;                                                                                                          \
            FC_OPAQUE(out);                                                                                                     \
        }                                                                                                                       \
    }
#if FC_HAS & FC_MASK_REGISTERS && !defined FC_INTEGER
    const int pairs = M == 1 && R % 2 == 0 && dense && !only; /* of rows that share nothing */
    EACH(r, R) {
        if (!pairs)
            break;
        FC_FETCH
        const ptrdiff_t done = r % 2 == 0 ? NAME(corr_together)(acc + r, 2, V, x, xs, k, 1, full) : full / 3 * 3;
        if (done < full)
            NAME(corr_row)(acc + r, 0, 0, 0, V, 1, 1, x + done, step, at, k + done, 1, lanes, full - done);
        NAME(corr_store)(acc[r], V, whole, stream, out, step, lanes);
        x += xs, out += os;
        FC_OPAQUE(x);
        FC_OPAQUE(out);
    }
    if (pairs)
        return;
#endif
/* input rows before all output rows are met; and those that are the last of output row R-M+i */
#define FC_BEFORE(q) if (q < R) { FC_FETCH FC_INPUT_ROW(q - 1, q > M ? q - M : 0, q - 1, q >= M && M < R) }
#define FC_BEHIND(i) if (i <= M) FC_INPUT_ROW(R + i - 2, R - M + i - 1, R - 1, 1)
    FC_UP_TO_7(FC_BEFORE)
    FC_FETCH
    for (ptrdiff_t more = M == R ? h - R : 0; more > 0; more--)
        FC_INPUT_ROW(0, 0, R - 1, 0)
    FC_UP_TO_8(FC_BEHIND)
#undef FC_BEHIND
#undef FC_BEFORE
#undef FC_INPUT_ROW
#undef FC_FETCH
}

/* Whether all columns adjoin */
static int NAME(corr_is_dense)(const fc_taps *taps)
{
    ptrdiff_t dense = 0;
    while (taps->part == 0 && !taps->apart && dense < taps->full && taps->at[dense] == dense)
        dense++;
    return dense == taps->full;
}

#if FC_HAS & FC_MASK_REGISTERS && !defined FC_INTEGER
#include "kernels/corr_rolling_tmpl.h"
#endif

/* Ask for rows that the block below meets first: all of them are more streams than a CPU follows by itself. */
static __attribute__((noinline, cold)) void NAME(corr_ahead)(ptrdiff_t rows, ptrdiff_t vectors, const T *x, ptrdiff_t xs,
                                                             ptrdiff_t h)
{
    x += (rows + h - 1) * xs;
    for (ptrdiff_t r = 0; r < rows; r++, x += xs)
        for (ptrdiff_t v = 0; v < vectors; v++)
            __builtin_prefetch(x + v * VLEN, 0, 2);
}

FC_INLINE void NAME(corr_block)(const int R, const int M, const int W, const int V, const int whole, const int dense,
                                const T *x, ptrdiff_t xs, const fc_taps *taps, const VT kept[], ptrdiff_t step, T *out,
                                ptrdiff_t os, VMASK lanes)
{
    VT acc[NAME(CORR_MOST)][NAME(CORR_MOST)];
    if (R > 1 && dense && __builtin_expect(taps->far, 0))
        NAME(corr_ahead)(R, V, x, xs, taps->h);
    NAME(corr_sums)(R, M, W, V, whole, dense, 0, x, xs, taps, kept, step, lanes, acc, out, os);
}

/* R rows of cols outputs. Where there are enough, the last block begins earlier instead of being partly empty. */
typedef void NAME(corr_fn)(const T *x, ptrdiff_t xs, const fc_taps *taps, T *out, ptrdiff_t os, ptrdiff_t cols);

#define FC_SWEEP(M, W, R, name, vectors, whole, dense)                                                             \
    static void NAME(corr_##name##_##R##_##M)(const T *x, ptrdiff_t xs, const fc_taps *taps, T *out, ptrdiff_t os, \
                                              ptrdiff_t cols)                                                      \
    {                                                                                                              \
        const ptrdiff_t width = (vectors) * VLEN, step = !(dense) && taps->apart ? taps->apart : VLEN;             \
        VT kept[FC_KEPT];                                                                                          \
        EACH(t, FC_KEPT)                                                                                           \
            if (t < M * W) {                                                                                       \
                kept[t] = vsplat(((const T *)taps->k)[t]);                                                         \
                vpin(kept[t]);                                                                                     \
            }                                                                                                      \
        for (ptrdiff_t j = 0; j < cols; j += width) {                                                              \
            if (cols - j < width && cols >= width)                                                                 \
                j = cols - width;                                                                                  \
            NAME(corr_block)(R, M, W, vectors, whole, dense, x + j, xs, taps, kept, step, out + j, os,             \
                             vlanes(cols - j - width + VLEN));                                                     \
        }                                                                                                          \
    }
#define FC_ANY(M, R) FC_SWEEP(M, 0, R, wide, FC_WIDE(R), FC_WHOLE, 0) FC_SWEEP(M, 0, R, single, 1, 0, 0)
#if FC_HAS & FC_MASK_REGISTERS /* some lanes cost no more than all */
#define FC_WHOLE 0
#define FC_ONE(M, R)
#define FC_ONE_OF(M, R) NAME(corr_single_##R##_##M)
#else
#define FC_WHOLE 1
#define FC_ONE(M, R) FC_SWEEP(M, 0, R, one, 1, 1, 0)
#define FC_ONE_OF(M, R) NAME(corr_one_##R##_##M)
#endif
#if defined FC_INTEGER /* slower by nature: less code for them */
#define FC_DENSE(M, R)
#define FC_DENSE_OF(M, R) NAME(corr_wide_##R##_##M)
#define FC_SMALLS(X)
#define FC_BROAD(R) FC_WIDE(R)
#else
#define FC_DENSE(M, R) FC_SWEEP(M, 0, R, dense, FC_BROAD(R), 1, 1)
#define FC_DENSE_OF(M, R) NAME(corr_dense_##R##_##M)
#define FC_SMALLS(X) FC_SMALL(X)
#define FC_BROAD(R) FC_DENSE_WIDE(R)
#endif
#define FC_SMALL_SWEEP(M, W, R) FC_SWEEP(M, W, R, small##W, FC_WIDE(R), 1, 1)
#define FC_SWEEPS(M, R) FC_ANY(M, R) FC_ONE(M, R) FC_DENSE(M, R)
#if FC_SIZE == 2 /* taller blocks gain nothing there */
#define FC_TALLEST FC_LOW
#define FC_BLOCKS(X) FC_UP_TO(FC_LOW, X, FC_LOW) X(1, 1)
#else
#define FC_TALLEST FC_TALL
#define FC_BLOCKS(X) FC_UP_TO(FC_TALL, X, FC_TALL) FC_UP_TO(FC_LOW, X, FC_LOW) X(1, 1)
#endif
FC_BLOCKS(FC_SWEEPS)
FC_SMALLS(FC_SMALL_SWEEP)

static void NAME(corr_blocks)(const T *x, ptrdiff_t xs, const fc_taps *taps, T *out, ptrdiff_t os, ptrdiff_t rows,
                              ptrdiff_t cols)
{
    static const ptrdiff_t tall[] = {FC_TALLEST, FC_LOW, 1, 0};
    static const struct {
        NAME(corr_fn) * dense, *wide, *one, *single; /* single: less than a vector */
    } sweeps[FC_TALLEST + 1][FC_TALLEST + 1] = {
#define FC_ROW(M, R) [R][M] = {FC_DENSE_OF(M, R), NAME(corr_wide_##R##_##M), FC_ONE_OF(M, R), NAME(corr_single_##R##_##M)},
        FC_BLOCKS(FC_ROW)
#undef FC_ROW
    };
    const ptrdiff_t columns = taps->full + taps->part, dense = NAME(corr_is_dense)(taps) ? columns : 0;
    /* The columns before the first aligned one, where results go past the caches */
    const ptrdiff_t skew =
        taps->stream && dense == columns && (uintptr_t)os * sizeof(T) % FC_VECTOR_BYTES == 0 && cols >= 2 * VLEN
            ? (ptrdiff_t)(-(uintptr_t)out % FC_VECTOR_BYTES / sizeof(T))
            : 0;
    NAME(corr_fn) *small = NULL;
#define FC_IF_SMALL(M, W, R)                        \
    if (taps->h == M && columns == W && dense == W) \
        small = NAME(corr_small##W##_##R##_##M);
    FC_SMALLS(FC_IF_SMALL)
#undef FC_IF_SMALL
    ptrdiff_t b = 0;
    /* rows that share little: rather be wide; those that share nothing, too, unless each is short or comes from far */
    const ptrdiff_t most = taps->h == 1 && dense == columns && (columns < 8 || taps->far) ? FC_LOW : FC_SHARING_ROWS(taps->h);
    while (!small && tall[b] > most && cols >= FC_WIDE(tall[b + 1]) * VLEN)
        b++;
    if (columns == 1 && taps->h >= FC_LOW_FROM && !taps->apart && cols >= FC_WIDE(tall[1]) * VLEN)
        b = 1; /* nothing is read again by the next column: rather have longer runs of fewer streams */
    for (ptrdiff_t i = 0; i < rows; i += tall[b]) {
        while (!taps->apart && (tall[b] > rows || tall[b + 1] >= rows - i))
            b++;
        i = i < rows - tall[b] ? i : rows - tall[b];
        const ptrdiff_t R = tall[b], M = taps->h < R ? taps->h : R, n = cols - skew, narrow = FC_WIDE(R) * VLEN;
        const int is_small = small && R == FC_TALLEST,
                  is_dense = dense == columns && n >= (is_small ? narrow : FC_BROAD(R) * VLEN);
        const ptrdiff_t width = is_dense && !is_small ? FC_BROAD(R) * VLEN : narrow;
        NAME(corr_fn) *const wide = is_dense                                 ? (is_small ? small : sweeps[R][M].dense)
                                    : n >= width - (FC_WHOLE ? 0 : VLEN - 1) ? sweeps[R][M].wide
                                    : n >= VLEN                              ? sweeps[R][M].one
                                                                             : sweeps[R][M].single;
        /* Last vectors, which may overlap, too; but no line that goes past the caches is stored in any other way. */
        const ptrdiff_t most_left = wide == small ? 0 : width > narrow ? narrow : VLEN;
        const ptrdiff_t left = n > width && (taps->stream || n % width <= most_left) ? n % width : 0;
        const ptrdiff_t apiece = left > VLEN && !taps->stream ? narrow : VLEN;
        if (skew > 0)
            sweeps[R][M].single(x + i * xs, xs, taps, out + i * os, os, skew);
        wide(x + i * xs + skew, xs, taps, out + i * os + skew, os, n - left);
        for (ptrdiff_t j = cols - left; j < cols; j += apiece) {
            const ptrdiff_t at = j < cols - apiece || taps->stream ? j : cols - apiece,
                            m = cols - at < apiece ? cols - at : apiece;
            NAME(corr_fn) *const end = m < VLEN ? sweeps[R][M].single : m == VLEN ? sweeps[R][M].one : sweeps[R][M].wide;
            end(x + i * xs + at, xs, taps, out + i * os + at, os, m);
        }
    }
    if (taps->stream)
        vfence();
}

static void NAME(corr)(const void *x, ptrdiff_t xs, const fc_taps *taps, void *out, ptrdiff_t os, ptrdiff_t rows,
                       ptrdiff_t cols)
{
    ptrdiff_t done = 0;
#if FC_HAS & FC_MASK_REGISTERS && !defined FC_INTEGER
    done = NAME(corr_bands)(x, xs, taps, out, os, rows, cols);
#endif
    if (done < cols)
        NAME(corr_blocks)((const T *)x + done, xs, taps, (T *)out + done, os, rows, cols - done);
}

#undef FC_PREFETCH
#undef FC_OPAQUE
#undef FC_BLOCKS
#undef FC_TALLEST
#undef FC_SWEEPS
#undef FC_SMALLS
#undef FC_BROAD
#undef FC_SMALL_SWEEP
#undef FC_DENSE
#undef FC_DENSE_OF
#undef FC_ONE
#undef FC_ONE_OF
#undef FC_WHOLE
#undef FC_ANY
#undef FC_SWEEP
