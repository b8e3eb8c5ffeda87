/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sums over taps of pixels of bytes (bytes_tmpl.h), where every plane is a lane and has a kernel of its own; dots_tmpl.h includes this
 * for elements of integers. Bytes of two or four rows of taps are mixed into elements of 32 bits, plane by plane, once for every column
 * of x, and multiplied by those of the kernels wherever a tap lies over it: bytes of x are unsigned, and in pairs grow to 16 bits before.
 */
FC_INLINE FC_BYTES NAME(pixel)(const char *p)
{
    FC_BYTES v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

/* The elements of some taps */
FC_INLINE void NAME(mix)(VT *to, const char *x, const ptrdiff_t *at)
{
    const FC_BYTES a = NAME(pixel)(x + at[0]), b = NAME(pixel)(x + at[1]);
#if FC_IS_QUAD
    const FC_BYTES c = NAME(pixel)(x + at[2]), d = NAME(pixel)(x + at[3]);
    const FC_BYTES low = vmixlow8(a, b), high = vmixhigh8(a, b), next = vmixlow8(c, d), last = vmixhigh8(c, d);
    to[0] = (VT)vmixlow16(low, next), to[1] = (VT)vmixhigh16(low, next);
    to[2] = (VT)vmixlow16(high, last), to[3] = (VT)vmixhigh16(high, last);
#else
    const FC_BYTES none = (FC_BYTES)vzero();
    const FC_BYTES low = vmixlow8(a, none), high = vmixhigh8(a, none), next = vmixlow8(b, none), last = vmixhigh8(b, none);
    to[0] = (VT)vmixlow16(low, next), to[1] = (VT)vmixhigh16(low, next);
    to[2] = (VT)vmixlow16(high, last), to[3] = (VT)vmixhigh16(high, last);
#endif
}

/* P outputs, which share what is loaded of the kernels */
FC_INLINE void NAME(dots_lanes_sums)(const fc_dots_lanes *g, const ptrdiff_t p, const int P)
{
    const T *x = (const T *)g->mixed + p * g->step * 4 * VLEN;
    T *sums = (T *)g->sums + p * 4 * VLEN;
    EACH(h, 2) {
        const ptrdiff_t half = 2 * h * VLEN;
        VT acc[2][4];
        EACH(v, 2)
            EACH(i, P)
                acc[v][i] = vload((const T *)g->first + half + v * VLEN);
        for (ptrdiff_t e = 0; e < g->elements; e++) {
            const T *w = (const T *)g->w + 4 * e * VLEN + half, *under = x + 4 * g->element_at[e] * VLEN + half;
            EACH(v, 2) {
                const VT tap = vload(w + v * VLEN);
                EACH(i, P)
                    acc[v][i] = vdot(tap, vload(under + (4 * i * g->step + v) * VLEN), acc[v][i]);
            }
        }
        EACH(v, 2)
            EACH(i, P)
                vstore(sums + half + (4 * i + v) * VLEN, acc[v][i]);
    }
}

static void NAME(dots_lanes)(const fc_dots_lanes *g)
{
    const char *x = g->x;
    T *to = g->mixed;
    for (ptrdiff_t j = 0; j < g->columns; j++, x += 4 * VLEN)
        for (ptrdiff_t e = 0; e < g->column; e++, to += 4 * VLEN) {
            VT element[4];
            NAME(mix)(element, x, g->at + e * (FC_IS_QUAD ? 4 : 2));
            EACH(v, 4)
                vstore(to + v * VLEN, element[v]);
        }
    ptrdiff_t p = 0;
    for (; p + 4 <= g->n; p += 4)
        NAME(dots_lanes_sums)(g, p, 4);
    if (p < g->n && g->n >= 4)
        NAME(dots_lanes_sums)(g, g->n - 4, 4);
    else
        for (; p < g->n; p++)
            NAME(dots_lanes_sums)(g, p, 1);
}
