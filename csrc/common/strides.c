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

/* Eight of each row or column in turn: so many lines stay in L1, whatever the step from one to the next */
void fc_copy_turned(char *to, ptrdiff_t to_row, const char *from, ptrdiff_t from_row, ptrdiff_t rows, ptrdiff_t cols,
                    ptrdiff_t size)
{
    enum { EACH = 8 };
    const int tall = rows > cols;
    const ptrdiff_t many = tall ? rows : cols, few = tall ? cols : rows;
    const ptrdiff_t to_step = tall ? size : to_row, from_step = tall ? from_row : size, to_next = tall ? to_row : size,
                    from_next = tall ? size : from_row;
    for (ptrdiff_t i = 0; i < many; i += EACH)
        for (ptrdiff_t j = 0; j < few; j++) {
            char *const here = to + i * to_step + j * to_next;
            const char *const there = from + i * from_step + j * from_next;
            if (many - i < EACH)
                fc_copy_row(here, to_step, there, from_step, many - i, size);
            else if (size == 4)
                for (int e = 0; e < EACH; e++)
                    memcpy(here + e * to_step, there + e * from_step, 4);
            else
                for (int e = 0; e < EACH; e++)
                    memcpy(here + e * to_step, there + e * from_step, 8);
        }
}
