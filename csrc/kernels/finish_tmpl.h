/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What becomes of results: something is added, and they are brought between two numbers.
 */
#ifndef FC_TYPE
#error "type.h says of which type"
#endif

static void NAME(finish)(const fc_finishing *g)
{
    T *to = g->to;
    const T *from = g->from, *add = g->add;
    const int adjoin = g->ts == g->cols && g->fs == g->cols;
    const ptrdiff_t rows = adjoin ? 1 : g->rows, cols = adjoin ? g->rows * g->cols : g->cols;
    const VT low = vsplat((T)g->low), high = vsplat((T)g->high);
    for (ptrdiff_t i = 0; i < rows; i++, to += g->ts, from += g->fs, add += add ? g->ts : 0)
        for (ptrdiff_t j = 0; j < cols; j += VLEN) {
            const ptrdiff_t left = cols - j;
            VT v = left < VLEN ? vloadn(from + j, left) : vload(from + j);
            if (add)
                v += left < VLEN ? vloadn(add + j, left) : vload(add + j);
            v = vmin(high, vmax(low, v));
            if (left < VLEN)
                vstoren(to + j, v, left);
            else
                vstore(to + j, v);
        }
}
