/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Elements of user arrays: where those beyond an edge come from, and how rows of them are copied.
 */
#include "common/strides.h"

ptrdiff_t fc_source_index(ptrdiff_t i, ptrdiff_t n, int boundary)
{
    if (i >= 0 && i < n)
        return i;
    switch (boundary) {
    case FC_EDGE: return i < 0 ? 0 : n - 1;
    case FC_WRAP: return modulo(i, n);
    case FC_REFLECT: i = modulo(i, max(2 * (n - 1), 1)); return i < n ? i : 2 * (n - 1) - i;
    case FC_SYMMETRIC: i = modulo(i, 2 * n); return i < n ? i : 2 * n - 1 - i;
    default: return -1;
    }
}

void fc_copy_row(char *to, ptrdiff_t to_step, const char *from, ptrdiff_t from_step, ptrdiff_t n, ptrdiff_t size)
{
#define STEPS(bytes)                                                                                         \
    for (ptrdiff_t i = 0; i < n; i++) /* of one element, a step may lead anywhere */                         \
        memcpy(to + i * to_step, from + i * from_step, bytes);
    if (to_step == size && from_step == size)
        memcpy(to, from, (size_t)(n * size));
    else if (size == 8)
        STEPS(8)
    else if (size == 4)
        STEPS(4)
    else if (size == 2)
        STEPS(2)
    else
        STEPS(1)
#undef STEPS
}
