/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Rows of sums, for the box method (box.c):   add  to = a + b      scale  to = a * factor
 */
#ifndef T
#error "include vec.h before box_tmpl.h"
#endif

static void NAME(add)(void *to, const void *a, const void *b, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i += VLEN) {
        VT sum = vloadn((const T *)a + i, n - i) + vloadn((const T *)b + i, n - i);
        vstoren((T *)to + i, sum, n - i);
    }
}

static void NAME(scale)(void *to, const void *a, const void *factor, ptrdiff_t n)
{
    T one;
    __builtin_memcpy(&one, factor, sizeof one); /* of the user's kernel: aligned or not */
    VT by = vsplat(one);
    for (ptrdiff_t i = 0; i < n; i += VLEN)
        vstoren((T *)to + i, vfma(vloadn((const T *)a + i, n - i), by, vzero()), n - i); /* no -0 */
}
