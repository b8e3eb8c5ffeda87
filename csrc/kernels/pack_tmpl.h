/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Rows of an image side by side, for the outer product to read:  to[i * ts + j] = x[i * xs + j * step]. With `half`, x is float16.
 *
 * for i < rows and from <= j < end; where j < from or end <= j < n it is zero and x is not read. Whole vectors are
 * stored, in ascending order: what lies up to a vector behind a row is overwritten, and by the next row once more. Not if the run
 * is `exact`.
 *
 *      j     0 . from . . . . . . end . n
 *            0 0 | x  x  x  x  x | 0  0          head: up to the first whole vector, body, tail
 */

#ifdef vpick
static const VBITS NAME(even) = {FC_ALL_LANES(FC_EVEN, FC_VLEN)};
#endif

#define FC_AT(i) (x + (i) * FC_STORED(half))

/* Lanes from ... end of those at a step, one by one; the others are zero */
FC_INLINE VT NAME(pack_lanes)(const char *x, ptrdiff_t step, ptrdiff_t from, ptrdiff_t end, const int half)
{
    T lane[FC_VLEN] = {0};
    uint16_t of_half[FC_VLEN] = {0};
    for (ptrdiff_t l = from; l < VLEN && l < end; l++)
        if (half)
            __builtin_memcpy(of_half + l, FC_AT(l * step), 2);
        else
            __builtin_memcpy(lane + l, FC_AT(l * step), sizeof(T));
    return vread(half ? (const char *)of_half : (const char *)lane, half);
}

#ifdef vpick
/* Every second element of two vectors at x, of which the lanes of both masks are read */
FC_INLINE VT NAME(pack_seconds)(const char *x, VMASK low, VMASK high, const int half)
{
    return vpick(vreadm(x, low, half), NAME(even), vreadm(FC_AT(VLEN), high, half));
}
#define FC_BETWEEN(first, last) ((VMASK)(vlanes((last) + 1) & ~vlanes(first)))
#endif

/* A vector of elements at a step, of which those from ... end exist */
FC_INLINE VT NAME(pack_steps)(const char *x, ptrdiff_t step, ptrdiff_t from, ptrdiff_t end, const int half)
{
#ifdef vpick
    const ptrdiff_t first = from * step, last = (end - 1) * step;
    if (step == 2 || step == 4) {
        VT low = NAME(pack_seconds)(x, FC_BETWEEN(first, last), FC_BETWEEN(first - VLEN, last - VLEN), half);
        if (step == 2)
            return low;
        VT high = NAME(pack_seconds)(FC_AT(2 * VLEN), FC_BETWEEN(first - 2 * VLEN, last - 2 * VLEN),
                                     FC_BETWEEN(first - 3 * VLEN, last - 3 * VLEN), half);
        return vpick(low, NAME(even), high);
    }
#endif
    return NAME(pack_lanes)(x, step, from, end, half);
}

/* A vector that begins at j, some lanes of which may lie outside */
FC_INLINE VT NAME(pack_edge)(const char *x, ptrdiff_t step, ptrdiff_t j, ptrdiff_t from, ptrdiff_t end, const int half)
{
#if FC_HAS & FC_MASK_REGISTERS
    if (step == 1)
        return vreadm(FC_AT(j), (VMASK)(vlanes(end - j) & ~vlanes(from - j)), half);
#endif
    return NAME(pack_steps)(FC_AT(j * step), step, from > j ? from - j : 0, end - j, half);
}

/* The vector of a row at j, of which n elements are to be written, or more */
FC_INLINE void NAME(pack_store)(T *to, ptrdiff_t j, ptrdiff_t n, VT v, const int exact)
{
    if (exact && n - j < VLEN)
        vstorem(to + j, v, vlanes(n - j));
    else
        vstore(to + j, v);
}

FC_INLINE void NAME(pack_run)(T *to, const char *x, const fc_run *r, const fc_runs *g, const ptrdiff_t step, const int half)
{
    const ptrdiff_t n = r->n, from = r->from, end = r->end;
    const ptrdiff_t ts = g->ts, ahead = g->ahead;
    const int exact = g->exact;
#if FC_HAS & FC_MASK_REGISTERS
    if (step == 1 && n <= 2 * VLEN) { /* short rows, all of which have the same ends */
        const VMASK first = (VMASK)(vlanes(end) & ~vlanes(from)), second = (VMASK)(vlanes(end - VLEN) & ~vlanes(from - VLEN));
        for (ptrdiff_t i = r->rows; i > 0; i--, to += ts, x = FC_AT(r->xs)) {
            __builtin_prefetch(FC_AT(ahead), 0, 2);
            NAME(pack_store)(to, 0, n, vreadm(x, first, half), exact);
            if (n > VLEN)
                NAME(pack_store)(to, VLEN, n, vreadm(FC_AT(VLEN), second, half), exact);
        }
        return;
    }
#endif
#ifdef vpick
    if (step == 2 && n <= 2 * VLEN) { /* likewise */
        VMASK some[4];
        EACH(v, 4)
            some[v] = FC_BETWEEN(2 * from - v * VLEN, 2 * (end - 1) - v * VLEN);
        for (ptrdiff_t i = r->rows; i > 0; i--, to += ts, x = FC_AT(r->xs)) {
            __builtin_prefetch(FC_AT(ahead), 0, 2);
            NAME(pack_store)(to, 0, n, NAME(pack_seconds)(x, some[0], some[1], half), exact);
            if (n > VLEN)
                NAME(pack_store)(to, VLEN, n, NAME(pack_seconds)(FC_AT(2 * VLEN), some[2], some[3], half), exact);
        }
        return;
    }
#endif
    for (ptrdiff_t i = r->rows; i > 0; i--, to += ts, x = FC_AT(r->xs)) {
        ptrdiff_t j = 0;
        if (from > 0) {
            for (; j + VLEN <= from; j += VLEN)
                vstore(to + j, vzero());
            if (j < from) {
                NAME(pack_store)(to, j, n, NAME(pack_edge)(x, step, j, from, end, half), exact);
                j += VLEN;
            }
        }
        if (step == 1)
            for (; j + VLEN <= end; j += VLEN) {
                __builtin_prefetch(FC_AT(j + ahead), 0, 2);
                vstore(to + j, vread(FC_AT(j), half));
            }
        else
            for (; j + VLEN <= end; j += VLEN)
                vstore(to + j, NAME(pack_steps)(FC_AT(j * step), step, 0, end - j, half));
        if (j < end) {
            NAME(pack_store)(to, j, n, NAME(pack_edge)(x, step, j, 0, end, half), exact);
            j += VLEN;
        }
        for (; j < n; j += VLEN)
            NAME(pack_store)(to, j, n, vzero(), exact);
    }
}

FC_INLINE void NAME(pack_runs)(T *to, const char *x, const fc_runs *r, const int half)
{
    for (const fc_run *run = r->run, *last = run + r->count; run < last; run++) {
        T *t = to + run->to;
        const char *from = x + run->x;
        if (r->step == 1)
            NAME(pack_run)(t, from, run, r, 1, half);
        else if (r->step == 2)
            NAME(pack_run)(t, from, run, r, 2, half);
        else if (r->step == 4)
            NAME(pack_run)(t, from, run, r, 4, half);
        else
            NAME(pack_run)(t, from, run, r, r->step, half);
    }
}

static void NAME(pack)(void *to, const void *x, const fc_runs *r)
{
#ifdef vhalf
    if (r->half) {
        NAME(pack_runs)(to, x, r, 1);
        return;
    }
#endif
    NAME(pack_runs)(to, x, r, 0);
}
#undef FC_BETWEEN
#undef FC_AT
