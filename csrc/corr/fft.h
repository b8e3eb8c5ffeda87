/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which transforms there are: what fft_sizes.c chooses among, and fft.c carries out; and roots of one. */
#ifndef FASTCONV_FFT_H
#define FASTCONV_FFT_H

#include "fastconv.h"

/* Radices of n, odd ones first, 4 last wherever it can be, and how many; 0: n has others */
FC_API int fc_fft_radices(ptrdiff_t n, int radix[FC_FFT_PASSES]);
/* One row of n points is taken as so many rows, of n / rows columns, nearly square; 0: n is no such product */
FC_API ptrdiff_t fc_fft_rows(ptrdiff_t n);

/* head + tail, at most 1. head is a multiple of 2^-25 and tail at most as large as that, so that products of two heads are exact, and
 * sums of two such products. */
typedef struct { double head, tail; } fc_wide;

/* fft_roots.c: exp(-2 pi i p / n), 0 <= p < n < 2^49 */
FC_API void fc_root_of_one(ptrdiff_t p, ptrdiff_t n, fc_wide *re, fc_wide *im);

/* fft_tables.c: tables of elements of `size` bytes. Factors of all passes of an axis, unless they are those of the other one */
FC_API void fc_fft_fill_factors(fc_fft_axis *a, const fc_fft_axis *other, char *to, size_t size);
/* Twist of R x C points: exp(-2 pi i f c / (R C)), f the frequency of a row. roots: scratch, 2 * (R + C) */
FC_API void fc_fft_fill_twist(const fc_fft_axis *rows, ptrdiff_t C, ptrdiff_t lanes, char *to, size_t size, fc_wide *roots);
/* Turn of R rows: exp(pi i row / (2 R)) */
FC_API void fc_fft_fill_turn(ptrdiff_t R, char *to, size_t size);

#endif
