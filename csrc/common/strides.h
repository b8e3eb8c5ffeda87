/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What all drivers stand on: counting elements, where an axis continued by its boundary finds them, and copying them from
 * any strides. Sizes are never negative; times and plus (room.h) keep them from wrapping.
 */
#ifndef FASTCONV_STRIDES_H
#define FASTCONV_STRIDES_H

#include "fastconv.h"
#include "common/room.h"

enum { DEPTH = 0, ROWS, COLS };

static inline ptrdiff_t min(ptrdiff_t a, ptrdiff_t b)
{
    return a < b ? a : b;
}
static inline ptrdiff_t max(ptrdiff_t a, ptrdiff_t b)
{
    return a > b ? a : b;
}
static inline ptrdiff_t clamp(ptrdiff_t v, ptrdiff_t low, ptrdiff_t high)
{
    return v < low ? low : v > high ? high : v;
}
/* How many parts of this size n is cut into; the last may be smaller */
static inline ptrdiff_t parts_of(ptrdiff_t n, ptrdiff_t size)
{
    return n / size + (n % size > 0);
}
/* n, brought up to a multiple of `to` */
static inline ptrdiff_t round_up(ptrdiff_t n, ptrdiff_t to)
{
    return times(parts_of(n, to), to);
}
/* In 0 ... n - 1, whatever the sign of a */
static inline ptrdiff_t modulo(ptrdiff_t a, ptrdiff_t n)
{
    return (a % n + n) % n;
}
static inline ptrdiff_t common_divisor(ptrdiff_t a, ptrdiff_t b)
{
    while (b != 0) {
        ptrdiff_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Elements from the first to the last that n outputs look at. */
static inline ptrdiff_t reach(const fc_axis *a, ptrdiff_t n)
{
    return plus(plus(times(n - 1, a->stride), times(a->k - 1, a->dilation)), 1);
}

/* Of `count` elements, the first of them `first` and the others `step` apart, those that lie inside of n */
static inline void inside(ptrdiff_t n, ptrdiff_t step, ptrdiff_t first, ptrdiff_t count, ptrdiff_t *from, ptrdiff_t *end)
{
    *from = clamp(first >= 0 ? 0 : parts_of(-first, step), 0, count);
    *end = first >= n ? *from : clamp((n - 1 - first) / step + 1, *from, count);
}

/* Bytes of an element of a type of FC_STORED_TYPES */
FC_API ptrdiff_t fc_stored_size(int type);
/* Where X[i] lies in an axis of n >= 1 elements, for any i; -1: the fill value */
FC_API ptrdiff_t fc_source_index(ptrdiff_t i, ptrdiff_t n, int boundary);
/* n elements of 1, 2, 4 or 8 bytes from and to any strides, in bytes */
FC_API void fc_copy_row(char *to, ptrdiff_t to_step, const char *from, ptrdiff_t from_step, ptrdiff_t n, ptrdiff_t size);

#endif
