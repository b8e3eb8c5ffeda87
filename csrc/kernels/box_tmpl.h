/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Rows of sums, above all for the box method (box.c):
 *
 *   sums   out[i] = x[i] + x[i+1] + ... + x[i+h-1], without subtraction:
 *
 *            block of h rows          the next one             window = a suffix of its block, from the room, and a
 *          +--------------------+--------------------+         prefix of the next, in registers: two additions for
 *          |       |############|#######|            |         each row whatever h is (van Herk 1992; Gil and Werman
 *          +--------------------+--------------------+         1993, for maxima)
 *   scale  to = a * factor        add  to = a + b, of floats (fold.c)
 */

#ifndef FC_INTEGER
static void NAME(add)(void *to, const void *a, const void *b, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i += VLEN) {
        VT sum = vloadn((const T *)a + i, n - i) + vloadn((const T *)b + i, n - i);
        vstoren((T *)to + i, sum, n - i);
    }
}
#endif

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
