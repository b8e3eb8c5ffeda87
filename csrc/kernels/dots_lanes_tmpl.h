/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sums over taps of pixels of bytes (bytes_tmpl.h), where every plane is a lane and has a kernel of its own; dots_tmpl.h includes this
 * for elements of integers. The bytes of two or four taps are mixed into elements of 32 bits, plane by plane, and multiplied by those of
 * the kernels: bytes of x are unsigned, and in pairs grow to 16 bits before.
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

static void NAME(dots_lanes)(const fc_dots_lanes *g)
{
    const char *x = g->x;
    T *sums = g->sums;
    for (ptrdiff_t p = 0; p < g->n; p++, x += g->step, sums += 4 * VLEN) {
        const T *w = g->w;
        const ptrdiff_t *at = g->at;
        VT acc[4], element[4];
        EACH(v, 4)
            acc[v] = vload((const T *)g->first + v * VLEN);
        for (ptrdiff_t e = 0; e < g->elements; e++, w += 4 * VLEN, at += FC_IS_QUAD ? 4 : 2) {
            NAME(mix)(element, x, at);
            EACH(v, 4)
                acc[v] = vdot(vload(w + v * VLEN), element[v], acc[v]);
        }
        EACH(v, 4)
            vstore(sums + v * VLEN, acc[v]);
    }
}
