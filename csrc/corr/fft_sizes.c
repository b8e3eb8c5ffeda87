/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which tile suits a correlation by transforms: a large one holds more outputs beside the kernel's halo, a small one stays in
 * cache. All sizes are compared by the time that they are expected to take.
 *
 * The size decides bits, so it is the same for every instruction set, whatever its vectors.
 */
#include "corr/fft.h"

enum { BLOCK = FC_FFT_BLOCK };

int fc_fft_radices(ptrdiff_t n, int radix[FC_FFT_PASSES])
{
    int passes = 0;
    for (int r = 5; r >= 3; r -= 2)
        for (; n % r == 0; n /= r)
            radix[passes++] = r;
    if (n <= 0 || (n & (n - 1)) != 0)
        return 0;
    int odd = __builtin_ctzll((unsigned long long)n) % 2;
    if (odd && n >= 128 && passes == 0) /* a first pass that reads eight rows of x at once is slow */
        radix[passes++] = 4, n /= 4;
    if (odd) {
        radix[passes] = n >= 32 ? 8 : 2;
        n /= radix[passes++];
    }
    for (; n >= 4; n /= 4)
        radix[passes++] = 4;
    if (passes == 0)
        radix[passes++] = 1;
    return passes;
}

/* The next larger one of 2^i, 3 * 2^i, 5 * 2^i, multiples of unit (a power of two); 0: too large */
static ptrdiff_t fft_next_size(ptrdiff_t n, ptrdiff_t unit)
{
    for (ptrdiff_t p = unit; p <= PTRDIFF_MAX / 8; p *= 2) {
        if (p > n)
            return p;
        if (p % (4 * unit) == 0 && p / 4 * 5 > n)
            return p / 4 * 5;
        if (p % (2 * unit) == 0 && p / 2 * 3 > n)
            return p / 2 * 3;
    }
    return 0;
}

ptrdiff_t fc_fft_rows(ptrdiff_t n)
{
    int radix[FC_FFT_PASSES];
    for (ptrdiff_t rows = BLOCK, best = 0;; rows = fft_next_size(rows, BLOCK)) {
        if (rows == 0 || rows > n / rows)
            return best;
        if (n % rows == 0 && n / rows % BLOCK == 0 && fc_fft_radices(n / rows, radix))
            best = rows;
    }
}

/* Estimated time of a tile in us, with x and y in cache and vectors of 64 bytes (costs.h), whatever the instruction set, for the size
 * decides the bits */
static double fft_tile_us(int type, const ptrdiff_t n[3], const ptrdiff_t k[3])
{
    double size = type == FC_F32 ? 4 : 8, points = (double)n[0] * (double)n[1] * (double)n[2], ns = FFT_NS;
    for (int a = 0; a < 3; a++)
        if (k[a] > 1)
            ns += FFT_DOUBLING_NS * (double)(63 - __builtin_clzll((unsigned long long)n[a]));
    int flat = n[0] == 1 && n[1] == 1;
    double bytes = (flat ? 6 : 4) * points * size; /* blocks, spectrum, twist */
    ns += flat ? FFT_FLAT_NS : n[0] > 1 ? FFT_DEEP_NS : 0;
    ns += (flat ? n[2] > FFT_LONG * BLOCK * BLOCK / 2 : n[2] >= FFT_LONG) ? FFT_LONG_NS : 0;
    for (int i = 2; i >= 0; i--)
        if (bytes > FFT_L2_BYTES[i]) {
            ns += FFT_L2_NS[i];
            break;
        }
    return (FFT_CALL_NS + points * size / 64 * ns) * 1e-3;
}

/* The next candidate for axis a after n (0: the first); 0: no more */
static ptrdiff_t fft_next_candidate(int a, const ptrdiff_t k[3], const ptrdiff_t out[3], ptrdiff_t n)
{
    int flat = k[0] == 1 && k[1] == 1;
    if ((a == 0 && k[0] == 1) || (a == 1 && flat)) /* planes, or rows, each by itself */
        return n == 0;
    if (n >= k[a] && n - k[a] >= out[a] - 1) /* holds the whole axis */
        return 0;
    do
        n = fft_next_size(n, a == 0 ? 1 : flat ? BLOCK * BLOCK : BLOCK);
    while (n != 0 && (n < k[a] || (flat && !fc_fft_rows(n))));
    return n;
}

double fc_fft_size(int type, const ptrdiff_t k[3], const ptrdiff_t out[3], int in_rows, double plan, ptrdiff_t n[3])
{
    double outputs = (double)out[0] * (double)out[1] * (double)out[2], least = 1e300;
    double size = type == FC_F32 ? 4 : 8;
    /* x and y that lie far away: us a point, for two tiles; rows of adjacent elements are no slower for it */
    double far = 0;
    for (int i = 0; i < 2 && (k[0] > 1 || k[1] > 1); i++)
        if (outputs * 2 * size > FFT_FAR_BYTES[i])
            far = FFT_FAR_US[i] * size;
    ptrdiff_t m[3] = {0, 0, 0};
    n[0] = n[1] = n[2] = 0;
    while ((m[0] = fft_next_candidate(0, k, out, m[0])) != 0)
        for (m[1] = 0; (m[1] = fft_next_candidate(1, k, out, m[1])) != 0;)
            for (m[2] = 0; (m[2] = fft_next_candidate(2, k, out, m[2])) != 0;) {
                double calls = 1, us;
                if ((double)m[0] * (double)m[1] * (double)m[2] > FC_FFT_POINTS)
                    continue;
                for (int a = 0; a < 3; a++) {
                    ptrdiff_t tiles = (out[a] - 1) / (m[a] - k[a] + 1) + 1;
                    calls *= (double)(in_rows && a == 2 ? (tiles + 1) / 2 : tiles);
                }
                if (!in_rows)
                    calls = __builtin_ceil(calls / 2);
                us = (calls + plan) * fft_tile_us(type, m, k);
                us += calls * far * (double)m[0] * (double)m[1] * (double)m[2];
                if (us < least) {
                    least = us;
                    n[0] = m[0], n[1] = m[1], n[2] = m[2];
                }
            }
    return least / outputs;
}

/* Folded tiles along an axis; 0: none is large enough */
static double fft_folded_tiles(ptrdiff_t n, ptrdiff_t k, ptrdiff_t out, ptrdiff_t alone)
{
    return n >= alone ? 1 : n < k ? 0 : (double)((out - 1) / (n - k + 1) + 1);
}

double fc_fft_folded_size(int type, const ptrdiff_t k[2], const ptrdiff_t out[2], const ptrdiff_t alone[2], double transforms,
                          double kernels, ptrdiff_t n[2], double *learn)
{
    static const ptrdiff_t sides[3] = {1, 2, 2}; /* both axes are transformed */
    double least = 1e300;
    ptrdiff_t m[2];
    n[0] = n[1] = 0, *learn = 0;
    for (m[0] = 0; m[0] < alone[0] && (m[0] = 2 * fft_next_size(m[0] / 2, BLOCK)) != 0;)
        for (m[1] = 0; m[1] < alone[1] && (m[1] = fft_next_size(m[1], BLOCK)) != 0;) {
            const ptrdiff_t half[3] = {1, m[0] / 2, m[1]};
            const double rows = fft_folded_tiles(m[0], k[0], out[0], alone[0]);
            const double cols = fft_folded_tiles(m[1], k[1], out[1], alone[1]), tiles = rows * cols;
            if (tiles == 0 || (double)m[0] * (double)m[1] > FC_FFT_POINTS)
                continue;
            const double inner = __builtin_fmax(rows - 2, 0) * __builtin_fmax(cols - 2, 0);
            const double us = FOLDED_TIMES * fft_tile_us(type, half, sides);
            const double gathered = tiles > 1 ? (tiles - inner) * transforms * (double)m[0] * FOLDED_ROW_US : 0;
            if ((tiles * transforms + kernels) * us + gathered < least + *learn || n[0] == 0)
                least = tiles * transforms * us + gathered, *learn = kernels * us, n[0] = m[0], n[1] = m[1];
        }
    return least;
}
