/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Small planes, each with a kernel of its own, where an output has as many columns as x: then the element under a tap of
 * output q, both counted through the rows, is q + at[tap], and lanes that would see the neighbouring row are left out.
 *
 *      x 5 columns wide      outputs 3 ... 6, tap one to the left
 *      . . . 3 4             elements 2 3 4 5, but output 5 is the first of its row: lanes 1 1 0 1
 *      5 6 . . .
 *
 * Nothing is copied. Taps ascend, one fma each, starting from the bias.
 */
#ifndef T
#error "include vec.h before planes_tmpl.h"
#endif

FC_INLINE void NAME(planes_tile)(const int V, const T *x, const T *k, VT first, T *out, ptrdiff_t left,
                                 const uint16_t *lanes, const fc_planes *p)
{
    VT acc[4];
#pragma GCC unroll 4
    for (int v = 0; v < V; v++)
        acc[v] = first;
    for (ptrdiff_t t = 0; t < p->taps; t++) {
        VT tap = vsplat(k[t]);
        const T *under = x + p->at[t];
#pragma GCC unroll 4
        for (int v = 0; v < V; v++)
            acc[v] = vfma(tap, vloadbits(under + v * VLEN, lanes[v * p->taps + t]), acc[v]);
    }
    if (p->clamp) {
        VT low = vsplat((T)p->low), high = vsplat((T)p->high);
#pragma GCC unroll 4
        for (int v = 0; v < V; v++)
            acc[v] = vmin(high, vmax(low, acc[v]));
    }
#pragma GCC unroll 4
    for (int v = 0; v < V; v++)
        vstorem(out + v * VLEN, acc[v], vlanes(left - v * VLEN));
}

static void NAME(planes)(const void *xv, const void *kv, const void *biasv, void *outv, const fc_planes *p)
{
    const T *x = xv, *k = kv, *bias = biasv;
    T *out = outv;
    for (ptrdiff_t plane = 0; plane < p->planes; plane++, x += p->x_plane, k += p->taps, out += p->outputs) {
        VT first = vsplat(bias ? bias[plane] : 0);
        const uint16_t *lanes = p->lanes;
        ptrdiff_t q = 0;
        for (; q + 3 * VLEN < p->outputs; q += 4 * VLEN, lanes += 4 * p->taps)
            NAME(planes_tile)(4, x + q, k, first, out + q, p->outputs - q, lanes, p);
        for (; q < p->outputs; q += VLEN, lanes += p->taps)
            NAME(planes_tile)(1, x + q, k, first, out + q, p->outputs - q, lanes, p);
    }
}

static void NAME(clamp)(void *xv, ptrdiff_t n, double low, double high)
{
    T *x = xv;
    for (ptrdiff_t j = 0; j < n; j += VLEN) {
        VMASK lanes = vlanes(n - j);
        vstorem(x + j, vmin(vsplat((T)high), vmax(vsplat((T)low), vloadm(x + j, lanes))), lanes);
    }
}
