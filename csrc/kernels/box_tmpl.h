/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Rows of sums, of floats (lines.c, pooling_parts.c, fold.c):
 *
 *   sums   out[i] = x[i] + x[i+1] + ... + x[i+h-1], without subtraction:
 *
 *            block of h rows          the next one             window = a suffix of its block, from the room, and a
 *          +--------------------+--------------------+         prefix of the next, in registers: two additions for
 *          |       |############|#######|            |         each row whatever h is (van Herk 1992; Gil and Werman
 *          +--------------------+--------------------+         1993, for maxima)
 *   scale  to = a * factor        add  to = a + b
 *
 * The same in bands of VLEN rows, for boxes. Suffixes (tails) and prefixes (heads) of columns are in L1 and L2; their sums are stored
 * turned, a vector for each column, so that a window slides over vectors, and its sums are turned back:
 *
 *   box_tails    suffixes of all rows of a block
 *   box_heads    VLEN rows: sums of columns, turned, and how far prefixes have come
 *   box_across   sums of windows of these; while prefixes of a block meet suffixes of the last one, its own are made
 *   box_pixels   the same where columns are channels of pixels, in place, and not yet turned back
 */

#ifndef FC_INTEGER
static void NAME(add)(void *to, const void *a, const void *b, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i += VLEN) {
        VT sum = vloadn((const T *)a + i, n - i) + vloadn((const T *)b + i, n - i);
        vstoren((T *)to + i, sum, n - i);
    }
}

/* A strip of V vectors, or of one that has `lanes`; VLEN, a constant, where they are whole */
FC_INLINE void NAME(sums_strip)(const int V, const T *x, ptrdiff_t xs, const fc_sums *g, T *out, ptrdiff_t os, T *room,
                                ptrdiff_t lanes)
{
    const ptrdiff_t h = g->height, rs = V * VLEN;
    for (ptrdiff_t o = 0, asked; o < g->rows; o += asked) {
        ptrdiff_t past = (g->at + o) % h, rest = h - past; /* rows of this block before the window, and in it */
        asked = rest < g->rows - o ? rest : g->rows - o;
        VT sum[4], prefix[4];
        EACH(v, V)
            sum[v] = prefix[v] = vzero();
        for (ptrdiff_t t = rest - 1; t >= 0; t--) { /* suffixes: room[t] = sum of rows t ... rest - 1 */
            EACH(v, V) {
                VT row = vloadn(x + (o + t) * xs + v * VLEN, lanes);
                if (t < rest - 1)
                    row = row + sum[v];
                sum[v] = row;
                vstore(room + t * rs + v * VLEN, sum[v]);
            }
        }
        const T *next = x + (o + rest) * xs;
        for (ptrdiff_t t = 0, taken = 0; t < asked; t++) {
            for (; taken < past + t; taken++)
                EACH(v, V) {
                    VT row = vloadn(next + taken * xs + v * VLEN, lanes);
                    if (taken > 0)
                        row = prefix[v] + row;
                    prefix[v] = row;
                }
            EACH(v, V) {
                VT all = vload(room + t * rs + v * VLEN);
                if (taken > 0)
                    all = all + prefix[v];
                vstoren(out + (o + t) * os + v * VLEN, all, lanes);
            }
        }
    }
}

static void NAME(sums)(const void *xv, ptrdiff_t xs, const fc_sums *g, void *outv, ptrdiff_t os, void *room)
{
    const T *x = xv;
    T *out = outv;
    ptrdiff_t j = 0;
    for (; g->cols - j >= 4 * VLEN; j += 4 * VLEN)
        NAME(sums_strip)(4, x + j, xs, g, out + j, os, room, VLEN);
    for (; j < g->cols; j += VLEN)
        NAME(sums_strip)(1, x + j, xs, g, out + j, os, room, g->cols - j);
}

static void NAME(scale)(void *to, const void *a, const void *factor, ptrdiff_t n)
{
    T one;
    __builtin_memcpy(&one, factor, sizeof one); /* of the user's kernel: aligned or not */
    VT by = vsplat(one);
    for (ptrdiff_t i = 0; i < n; i += VLEN)
        vstoren((T *)to + i, vfma(vloadn((const T *)a + i, n - i), by, vzero()), n - i); /* no -0 */
}
#endif

/* ---- bands of rows */

/* A strip of V vectors from column j on; more: behind these rows are others, whose sums are there */
FC_INLINE void NAME(tails_strip)(const int V, const char *const *from, ptrdiff_t step, char *const *to, ptrdiff_t to_step,
                                 ptrdiff_t rows, int more, ptrdiff_t j, ptrdiff_t lanes)
{
    VT sum[4];
    EACH(v, V)
        sum[v] = more ? vload((const T *)to[rows * to_step] + j + v * VLEN) : vzero();
    for (ptrdiff_t t = rows - 1; t >= 0; t--) {
        const T *x = (const T *)from[t * step] + j;
        T *out = (T *)to[t * to_step] + j;
        EACH(v, V) {
            sum[v] = vloadn(x + v * VLEN, lanes) + sum[v];
            vstore(out + v * VLEN, sum[v]);
        }
    }
}

static void NAME(box_tails)(const char *const *from, ptrdiff_t step, char *const *to, ptrdiff_t to_step, ptrdiff_t rows,
                            ptrdiff_t n)
{
    enum { FEW = 16 }; /* rows at a time: as many streams */
    for (ptrdiff_t end = rows, begin; end > 0; end = begin) {
        begin = end > FEW ? end - FEW : 0;
        const char *const *x = from + begin * step;
        char *const *out = to + begin * to_step;
        ptrdiff_t j = 0;
        for (; n - j >= 4 * VLEN; j += 4 * VLEN)
            NAME(tails_strip)(4, x, step, out, to_step, end - begin, end < rows, j, VLEN);
        for (; j < n; j += VLEN)
            NAME(tails_strip)(1, x, step, out, to_step, end - begin, end < rows, j, n - j);
    }
}

/* Whole vectors of columns, from number `first` on; from[r] + j is column first + j */
static void NAME(heads_square)(const char *const *from, char *const *tails, unsigned resets, ptrdiff_t first, T *heads, T *out,
                               ptrdiff_t n)
{
    for (ptrdiff_t j = 0; j < n; j += VLEN) {
        VT head = vload(heads + first + j), row[FC_VLEN];
        EACH(r, VLEN) {
            row[r] = vload((const T *)tails[r] + first + j) + head;
            head = head + vload((const T *)from[r] + j);
            if (resets >> r & 1)
                head = vzero();
        }
        vstore(heads + first + j, head);
        NAME(exchange)(row);
        EACH(i, VLEN)
            vstore(out + (first + j + i) * VLEN, row[i]);
    }
}

static void NAME(box_heads)(const char *const *from, char *const *tails, unsigned resets, void *heads, void *out, ptrdiff_t n)
{
    const ptrdiff_t whole = n / VLEN * VLEN;
    NAME(heads_square)(from, tails, resets, 0, heads, out, whole);
    if (whole < n) {
        T rest[FC_VLEN][FC_VLEN];
        const char *row[FC_VLEN];
        for (ptrdiff_t r = 0; r < VLEN; r++) {
            vstore(rest[r], vloadn((const T *)from[r] + whole, n - whole));
            row[r] = (const char *)rest[r];
        }
        NAME(heads_square)(row, tails, resets, whole, heads, out, VLEN);
    }
}

/* n columns of a square from lane `first` on, to as many rows of out */
static void NAME(across_some)(const VT row[FC_VLEN], ptrdiff_t first, ptrdiff_t n, T *out, ptrdiff_t os, ptrdiff_t rows,
                              VT *sane)
{
    for (ptrdiff_t r = 0; r < rows; r++) {
        T *const to = out + r * os + first;
        __builtin_memcpy(to, (const T *)&row[r] + first, (size_t)n * sizeof(T));
        *sane = vfma(vloadn(to, n), vzero(), *sane);
    }
}

static int NAME(box_across)(const void *xv, const fc_sums *g, const void *factor, const char *const *ahead, void *outv,
                            ptrdiff_t os, void *room)
{
    enum { AHEAD = 8 }; /* vectors of out that are fetched */
    /* where all rows are alike, groups of columns begin at a line: of the first one some are not stored */
    const ptrdiff_t before = os % VLEN || g->cols < 4 * VLEN ? 0 : (ptrdiff_t)((uintptr_t)outv % FC_VECTOR_BYTES / FC_SIZE);
    const ptrdiff_t w = g->height, n = g->cols + before, last = (w - 1) * VLEN;
    const ptrdiff_t past = (g->at + (before + w - 1) / w * w - before) % w; /* columns of the first block before the window */
    const T *x = (const T *)xv - before * VLEN, *next = x + (w - past) * VLEN;
    T one, *out = (T *)outv - before, *tails = room, *coming = tails + w * VLEN;
    __builtin_memcpy(&one, factor, sizeof one); /* of the user's kernel: aligned or not */
    const VT by = vsplat(one);
    VT head = vzero(), tail = vzero(), sane[4] = {vzero(), vzero(), vzero(), vzero()}; /* 0, or NaN */
    for (ptrdiff_t t = w - 1; t >= past; t--)
        vstore(tails + t * VLEN, tail = vload(x + (t - past) * VLEN) + tail);
    ptrdiff_t t = 0, back = last; /* from the begin of a block, and to its end */
    tail = vzero();
/* the next column of a block, from both ends */
#define FC_STEP                                                                                                          \
    head = head + vload(next + t);                                                                                       \
    tail = vload(next + back) + tail;                                                                                    \
    vstore(coming + back, tail);                                                                                         \
    t += VLEN, back -= VLEN;                                                                                             \
    if (back < 0) {                                                                                                      \
        T *const done = tails;                                                                                           \
        tails = coming, coming = done, next += t;                                                                        \
        head = tail = vzero(), t = 0, back = last;                                                                       \
    }
    while (t < past * VLEN) {
        FC_STEP
    }
    for (ptrdiff_t j = 0; j < n; j += VLEN, out += VLEN) {
        VT row[FC_VLEN];
        EACH(i, VLEN) {
            row[i] = vfma(vload(tails + t) + head, by, vzero()); /* no -0 */
            FC_STEP
        }
        NAME(exchange)(row);
        EACH(r, VLEN)
            __builtin_prefetch(out + r * os + AHEAD * VLEN, 1, 3);
        if (ahead)
            EACH(r, VLEN)
                __builtin_prefetch((const T *)ahead[r] + j, 0, 2);
        if (g->rows == VLEN && n - j >= VLEN && (j > 0 || before == 0)) {
            T *to = out;
            EACH(r, VLEN) {
                sane[r % 4] = vfma(row[r], vzero(), sane[r % 4]);
                vstore(to, row[r]);
                to += os;
                __asm__("" : "+r"(to));
            }
        } else {
            const ptrdiff_t first = j == 0 ? before : 0;
            NAME(across_some)(row, first, (n - j < VLEN ? n - j : VLEN) - first, out, os, g->rows, sane);
        }
    }
#undef FC_STEP
#ifndef FC_INTEGER
    return !vbelow(sane[0] + sane[1] + sane[2] + sane[3], vzero());
#else
    return (void)sane, 1;
#endif
}

#ifndef FC_INTEGER
/* Blocks of pixels: sums of windows, from tails of the last block and heads, take its place, since nobody looks at it any more. Behind
 * tails, and before heads, is a pixel of 0. */
static int NAME(box_pixels)(void *xv, const fc_sums *g, const void *factor, void *room)
{
    const ptrdiff_t length = g->height * VLEN, apart = g->apart * VLEN, n = g->cols * VLEN, past = g->at % g->height * VLEN;
    T one, *x = xv, *tails = room, *coming = tails + length + apart, *const heads = coming + length + apart;
    __builtin_memcpy(&one, factor, sizeof one); /* of the user's kernel: aligned or not */
    const VT by = vsplat(one);
    VT sane = vzero(); /* 0, or NaN */
    for (ptrdiff_t t = 0; t < apart; t += VLEN)
        vstore(heads + t, vzero()), vstore(tails + length + t, vzero()), vstore(coming + length + t, vzero());
    for (ptrdiff_t t = length - VLEN; t >= past; t -= VLEN)
        vstore(tails + t, vload(x + t - past) + vload(tails + t + apart));
    for (ptrdiff_t t = 0; t < past; t += VLEN) /* before x */
        vstore(tails + t, vzero());
    x += length - past;
    for (ptrdiff_t made = -past; made < n; made += length, x += length) {
        for (ptrdiff_t t = 0, back = length - VLEN; t < length && t < n - made; t += VLEN, back -= VLEN) {
            const VT head = vload(heads + t), sum = vfma(vload(tails + t) + head, by, vzero()); /* no -0 */
            sane = vfma(sum, vzero(), sane);
            vstore(x - length + t, sum);
            vstore(heads + t + apart, head + vload(x + t));
            vstore(coming + back, vload(x + back) + vload(coming + back + apart));
        }
        T *const done = tails;
        tails = coming, coming = done;
    }
    return !vbelow(sane, vzero());
}
#endif
