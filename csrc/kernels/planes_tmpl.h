/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A plane and a kernel of 3x3 taps of stride 2, where both lie:
 *
 *   out[i][j] = sum_{a,b<3} x[2i - row_lead + a][2j - col_lead + b] * w[a][b] + bias
 *
 * A row of x becomes the vectors under the three columns of taps, whose lanes beyond its ends are zero, and meets every row of
 * outputs of the tile that sees it. The third is the first, a lane ahead: so VLEN - 1 outputs lie side by side. Rows beyond x are left
 * out. Taps ascend, one fma each, from zero, and the bias comes last: the sums of lanes_tmpl.h, without its two transpositions. x
 * may be float16, and then out, too.
 */
#ifdef vpick
/* R rows of outputs, which see x from row `from` on; where some of these may not exist, R is 1 */
FC_INLINE void NAME(plane_tile)(const int R, const fc_plane *g, const VT *tap, const VBITS *each_other, ptrdiff_t from,
                                const char *x, VMASK first, VMASK second, char *out, VMASK some, const int half)
{
    enum { MOST = 4 };
    VT acc[MOST], bias = vsplat((T)g->bias);
    EACH(r, R)
        acc[r] = vzero();
    const ptrdiff_t size = FC_STORED(half);
    x += from * g->xs * size;
    EACH(q, 2 * R + 1) {
        if (R > 1 || (from + q >= 0 && from + q < g->rows)) {
            const VT low = vreadm(x, first, half), high = vreadm(x + VLEN * size, second, half);
            VT under[3] = {vpick(low, each_other[0], high), vpick(low, each_other[1], high)};
            under[2] = vnext(under[0], under[0], 1);
            EACH(r, R)
                if (q >= 2 * r && q < 2 * r + 3)
                    EACH(b, 3)
                        acc[r] = vfma(tap[(q - 2 * r) * 3 + b], under[b], acc[r]);
        }
        x += g->xs * size;
    }
    EACH(r, R) {
        acc[r] += bias;
        if (g->clamp)
            acc[r] = vmin(vsplat((T)g->high), vmax(vsplat((T)g->low), acc[r]));
        vwritem(out + r * g->out_cols * FC_STORED(half && g->out_half), acc[r], some, half && g->out_half);
    }
}

FC_INLINE void NAME(plane_whole)(const fc_plane *g, const int half)
{
    enum { TALL = 4 };
    const T *w = g->w;
    const ptrdiff_t size = FC_STORED(half);
    VT tap[9];
    VBITS each_other[2] = {NAME(even), NAME(even) + 1};
    EACH(b, 2)
        vpin(each_other[b]);
    for (ptrdiff_t j = 0; j < g->out_cols; j += g->wide) {
        const ptrdiff_t begin = g->col_lead - 2 * j, end = g->cols + begin;
        const VMASK first = (VMASK)(vlanes(end) & ~vlanes(begin)), second = (VMASK)(vlanes(end - VLEN) & ~vlanes(begin - VLEN));
        const VMASK some = vlanes(g->out_cols - j < g->wide ? g->out_cols - j : g->wide);
        EACH(t, 9) {
            tap[t] = vsplat(w[t]);
            vpin(tap[t]);
        }
        for (ptrdiff_t i = 0, tall; i < g->out_rows; i += tall) {
            const ptrdiff_t from = 2 * i - g->row_lead;
            const char *x = (const char *)g->x - begin * size;
            char *out = (char *)g->out + (i * g->out_cols + j) * FC_STORED(half && g->out_half);
            tall = from >= 0 && from + 2 * TALL < g->rows && i + TALL <= g->out_rows ? TALL : 1;
            if (tall == TALL)
                NAME(plane_tile)(TALL, g, tap, each_other, from, x, first, second, out, some, half);
            else
                NAME(plane_tile)(1, g, tap, each_other, from, x, first, second, out, some, half);
        }
    }
}
#endif

static int NAME(plane)(const fc_plane *g)
{
#ifdef vpick
    if (FC_EITHER(g->half, 1, 0))
        NAME(plane_whole)(g, 1);
    else
        NAME(plane_whole)(g, 0);
    return 1;
#else
    (void)g;
    return 0;
#endif
}
