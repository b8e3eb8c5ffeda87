/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Rows of an image side by side, for the outer product to read:  to[i * ts + j] = x[i * xs + j * step]
 *
 * for i < rows and from <= j < end; where j < from or end <= j < n it is zero and x is not read. Whole vectors are
 * stored, in ascending order: what lies up to a vector behind a row is overwritten, and by the next row once more.
 */
#ifndef T
#error "include vec.h before pack_tmpl.h"
#endif

#ifdef vpick
static const VINDEX NAME(even) = {
    0, 2, 4, 6, 8, 10, 12, 14,
#ifdef FC_TYPE_F32
    16, 18, 20, 22, 24, 26, 28, 30,
#endif
};
#endif

/* Steps of one and two take vectors, others lane by lane. */
static void NAME(pack)(void *tov, ptrdiff_t ts, const void *xv, ptrdiff_t xs, ptrdiff_t rows, ptrdiff_t n,
                       ptrdiff_t from, ptrdiff_t end, ptrdiff_t step)
{
    T *to = tov;
    const T *x = xv;
    end = end < from ? from : end;
    for (; rows > 0; rows--, to += ts, x += xs) {
        ptrdiff_t j = 0;
        for (; j < n; j += VLEN) {
            if (j >= end || j + VLEN <= from)
                vstore(to + j, vzero());
            else if (step == 1 && j >= from && j + VLEN <= end)
                vstore(to + j, vload(x + j));
#ifdef FC_FREE_MASKS
            else if (step == 1)
                vstore(to + j, vloadm(x + j, (VMASK)(vlanes(end - j) & ~vlanes(from - j))));
#endif
#ifdef vpick
            else if (step == 2 && j >= from && j + VLEN < end)
                vstore(to + j, vpick(vload(x + 2 * j), NAME(even), vload(x + 2 * j + VLEN)));
#endif
            else
                for (ptrdiff_t l = j; l < j + VLEN; l++)
                    to[l] = l >= from && l < end ? x[l * step] : 0;
        }
    }
}
