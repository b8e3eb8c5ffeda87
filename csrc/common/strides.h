/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What all drivers stand on: counting elements, where an axis continued by its boundary finds them, and copying them from
 * any strides. Sizes are never negative; times and plus (room.h) keep them from wrapping.
 */
#ifndef FASTCONV_STRIDES_H
#define FASTCONV_STRIDES_H

#include "fastconv.h"
#include "common/room.h"
#include <string.h>

enum { DEPTH = 0, ROWS, COLS };

/* Bytes of an element, as it is stored */
static inline ptrdiff_t fc_stored_size(int type)
{
    static const int8_t size[FC_STORED_TYPES] = {[FC_F32] = 4, [FC_F64] = 8, [FC_I32] = 4, [FC_I64] = 8, [FC_U8] = 1,
                                                 [FC_I8] = 1,  [FC_U16] = 2, [FC_I16] = 2, [FC_U32] = 4, [FC_U64] = 8};
    return size[type];
}

static inline ptrdiff_t min(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
static inline ptrdiff_t max(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }
static inline ptrdiff_t clamp(ptrdiff_t v, ptrdiff_t low, ptrdiff_t high) { return v < low ? low : v > high ? high : v; }
/* How many parts of this size n is cut into; the last may be smaller */
static inline ptrdiff_t parts_of(ptrdiff_t n, ptrdiff_t size) { return n / size + (n % size > 0); }
/* n, brought up to a multiple of `to` */
static inline ptrdiff_t round_up(ptrdiff_t n, ptrdiff_t to) { return times(parts_of(n, to), to); }
/* In 0 ... n - 1, whatever the sign of a. A division takes longer than to see that none is needed. */
static inline ptrdiff_t modulo(ptrdiff_t a, ptrdiff_t n)
{
    ptrdiff_t rest = -n <= a && a < n ? a : a % n;
    return rest < 0 ? rest + n : rest;
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

/* An element of FC_F32 or FC_F64, from any address */
static inline double float_at(int type, const void *p)
{
    float f32;
    double f64;
    if (type == FC_F64)
        return memcpy(&f64, p, sizeof f64), f64;
    return memcpy(&f32, p, sizeof f32), (double)f32;
}

/* Elements of `size` bytes, 2, 4 or 8, from row to row, for at least so many: an odd number of whole cache lines, for rows a power
 * of two apart would share cache sets */
static inline ptrdiff_t odd_lines(ptrdiff_t cols, ptrdiff_t size)
{
    return times(parts_of(cols, LINE / size) | 1, LINE / size);
}

/* Element number `index` of an array of n[0] x n[1] x n[2], in every axis; returns how many such arrays come before */
static inline ptrdiff_t unravel(ptrdiff_t index, const ptrdiff_t n[FC_AXES], ptrdiff_t at[FC_AXES])
{
    for (int a = FC_AXES - 1; a >= 0; a--) {
        at[a] = n[a] == 1 ? 0 : index % n[a]; /* a few divisions take as long as a small call */
        index = n[a] == 1 ? index : index / n[a];
    }
    return index;
}

/* Elements from the first to the last that n outputs look at. Pixels are `stride` pixels apart, their elements side by side. */
static inline ptrdiff_t reach(const fc_axis *a, ptrdiff_t n)
{
    const ptrdiff_t within = a->unit > 1 && a->stride > 1 ? (n - 1) % a->unit : 0;
    return plus(plus(times(n - 1 - within, a->stride), times(a->k - 1, a->dilation)), plus(within, 1));
}

/* Of `count` elements, the first of them `first` and the others `step` apart, those that lie inside of n */
static inline void inside(ptrdiff_t n, ptrdiff_t step, ptrdiff_t first, ptrdiff_t count, ptrdiff_t *from, ptrdiff_t *end)
{
    *from = clamp(first >= 0 ? 0 : step == 1 ? -first : parts_of(-first, step), 0, count);
    *end = first >= n ? *from : clamp((step == 1 ? n - 1 - first : (n - 1 - first) / step) + 1, *from, count);
}

/* Of `count` elements those that are not in from ... end (inside), in turn:
 * for (j = outside(0, from, end); j < count; j = outside(j + 1, from, end)) */
static inline ptrdiff_t outside(ptrdiff_t j, ptrdiff_t from, ptrdiff_t end) { return j >= from && j < end ? end : j; }

/* Where X[i] lies in an axis of n >= 1 elements, for any i; -1: the fill value */
FC_API ptrdiff_t fc_source_index(ptrdiff_t i, ptrdiff_t n, int boundary);
/* n elements of 1, 2, 4 or 8 bytes from and to any strides, in bytes */
FC_API void fc_copy_row(char *to, ptrdiff_t to_step, const char *from, ptrdiff_t from_step, ptrdiff_t n, ptrdiff_t size);
/* to[j][i] = from[i][j], elements of 4 or 8 bytes; from row to row, bytes. There are few rows, or few columns. */
FC_API void fc_copy_turned(char *to, ptrdiff_t to_row, const char *from, ptrdiff_t from_row, ptrdiff_t rows, ptrdiff_t cols,
                           ptrdiff_t size);

#endif
