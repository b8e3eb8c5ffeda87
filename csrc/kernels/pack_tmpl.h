/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Rows of an image side by side, for the outer product to read:  to[i * ts + j] = x[i * xs + j * step]
 *
 * for i < rows and from <= j < end; where j < from or end <= j < n it is zero and x is not read. Whole vectors are
 * stored, in ascending order: what lies up to a vector behind a row is overwritten, and by the next row once more.
 *
 *      j     0 . from . . . . . . end . n
 *            0 0 | x  x  x  x  x | 0  0          head: up to the first whole vector, body, tail
 */

#ifdef vpick
static const VBITS NAME(even) = {FC_ALL_LANES(FC_EVEN, FC_VLEN)};
#endif

/* A vector of elements at a step, n of which exist */
FC_INLINE VT NAME(pack_steps)(const T *x, ptrdiff_t step, ptrdiff_t n)
{
#ifdef vpick
    const ptrdiff_t last = (n - 1) * step + 1;
    if (step == 2)
        return vpick(vloadm(x, vlanes(last)), NAME(even), vloadm(x + VLEN, vlanes(last - VLEN)));
    if (step == 4) {
        VT low = vpick(vloadm(x, vlanes(last)), NAME(even), vloadm(x + VLEN, vlanes(last - VLEN)));
        VT high =
            vpick(vloadm(x + 2 * VLEN, vlanes(last - 2 * VLEN)), NAME(even), vloadm(x + 3 * VLEN, vlanes(last - 3 * VLEN)));
        return vpick(low, NAME(even), high);
    }
#endif
    T lane[FC_VLEN] = {0};
    for (ptrdiff_t l = 0; l < VLEN && l < n; l++)
        lane[l] = x[l * step];
    return vload(lane);
}

/* A vector that begins at j, some lanes of which may lie outside */
FC_INLINE VT NAME(pack_edge)(const T *x, ptrdiff_t step, ptrdiff_t j, ptrdiff_t from, ptrdiff_t end)
{
#if FC_HAS & FC_MASK_REGISTERS
    if (step == 1)
        return vloadm(x + j, (VMASK)(vlanes(end - j) & ~vlanes(from - j)));
#endif
    T lane[FC_VLEN] = {0};
    for (ptrdiff_t l = from > j ? from - j : 0; l < VLEN && j + l < end; l++)
        lane[l] = x[(j + l) * step];
    return vload(lane);
}

FC_INLINE void NAME(pack_run)(T *to, const T *x, const fc_run *r, ptrdiff_t ts, const ptrdiff_t step, ptrdiff_t ahead)
{
    const ptrdiff_t n = r->n, from = r->from, end = r->end;
#if FC_HAS & FC_MASK_REGISTERS
    if (step == 1 && n <= 2 * VLEN) { /* short rows, all of which have the same ends */
        const VMASK first = (VMASK)(vlanes(end) & ~vlanes(from)), second = (VMASK)(vlanes(end - VLEN) & ~vlanes(from - VLEN));
        for (ptrdiff_t i = r->rows; i > 0; i--, to += ts, x += r->xs) {
            __builtin_prefetch(x + ahead, 0, 2);
            vstore(to, vloadm(x, first));
            if (n > VLEN)
                vstore(to + VLEN, vloadm(x + VLEN, second));
        }
        return;
    }
#endif
    for (ptrdiff_t i = r->rows; i > 0; i--, to += ts, x += r->xs) {
        ptrdiff_t j = 0;
        if (from > 0) {
            for (; j + VLEN <= from; j += VLEN)
                vstore(to + j, vzero());
            if (j < from) {
                vstore(to + j, NAME(pack_edge)(x, step, j, from, end));
                j += VLEN;
            }
        }
        if (step == 1)
            for (; j + VLEN <= end; j += VLEN) {
                __builtin_prefetch(x + j + ahead, 0, 2);
                vstore(to + j, vload(x + j));
            }
        else
            for (; j + VLEN <= end; j += VLEN)
                vstore(to + j, NAME(pack_steps)(x + j * step, step, end - j));
        if (j < end) {
            vstore(to + j, step == 1 ? NAME(pack_edge)(x, 1, j, 0, end) : NAME(pack_steps)(x + j * step, step, end - j));
            j += VLEN;
        }
        for (; j < n; j += VLEN)
            vstore(to + j, vzero());
    }
}

static void NAME(pack)(void *to, const void *x, const fc_runs *r)
{
    for (const fc_run *run = r->run, *last = run + r->count; run < last; run++) {
        T *t = (T *)to + run->to;
        const T *from = (const T *)(const void *)((const char *)x + run->x);
        if (r->step == 1)
            NAME(pack_run)(t, from, run, r->ts, 1, r->ahead);
        else if (r->step == 2)
            NAME(pack_run)(t, from, run, r->ts, 2, r->ahead);
        else if (r->step == 4)
            NAME(pack_run)(t, from, run, r->ts, 4, r->ahead);
        else
            NAME(pack_run)(t, from, run, r->ts, r->step, r->ahead);
    }
}
