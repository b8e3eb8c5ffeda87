/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Elements of user arrays: how large they are, where those beyond an edge come from, and how rows of them are copied.
 */
#include "common/strides.h"
#include <string.h>

ptrdiff_t fc_stored_size(int type)
{
    static const ptrdiff_t size[FC_STORED_TYPES] = {[FC_F32] = 4, [FC_F64] = 8, [FC_I32] = 4, [FC_I64] = 8,
                                                    [FC_U8] = 1,  [FC_I8] = 1,  [FC_U16] = 2, [FC_I16] = 2,
                                                    [FC_U32] = 4, [FC_U64] = 8};
    return size[type];
}

ptrdiff_t fc_source_index(ptrdiff_t i, ptrdiff_t n, int boundary)
{
    if (i >= 0 && i < n)
        return i;
    ptrdiff_t period;
    switch (boundary) {
    case FC_EDGE:
        return i < 0 ? 0 : n - 1;
    case FC_WRAP:
        i %= n;
        return i < 0 ? i + n : i;
    case FC_REFLECT:
        if (n == 1)
            return 0;
        period = 2 * (n - 1);
        i %= period;
        i = i < 0 ? i + period : i;
        return i < n ? i : period - i;
    case FC_SYMMETRIC:
        period = 2 * n;
        i %= period;
        i = i < 0 ? i + period : i;
        return i < n ? i : period - 1 - i;
    default:
        return -1;
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
