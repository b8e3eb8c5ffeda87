/* SPDX-License-Identifier: BSD-3-Clause
 *
 * K5, discrete Fourier transforms in cache, on separate arrays of real and imaginary parts:
 *
 *   fft        along the leading axis of n rows, a column a lane:
 *              forward  X[k] = sum_i x[i] exp(-2 pi sqrt(-1) i k / n)    natural order -> scrambled
 *              inverse  the conjugate, not scaled                        scrambled -> natural order
 *   product    z *= w  or  z *= conj(w), element by element
 *   transpose  to[j][i] = from[i][j]
 *   finite     whether all elements are: zero times anything else is NaN
 *
 * Forward decimates in frequency: a pass splits every block of L rows into four of L/4, block q of which
 * holds the frequencies k = q mod 4; a last pass of radix 2 where n is no power of 4. Inverse runs the same passes
 * backwards, in time. A product does not care about the order, so nothing is ever put back in order.
 * (Cooley and Tukey 1965; Van Loan, Computational Frameworks for the FFT, 1992, sections 1.9 and 2.4.)
 *
 * Twiddles of a pass: for every j < L/4 the numbers w, w^2, w^3 of w = exp(-2 pi sqrt(-1) j / L), real and imaginary
 * part each. All passes work on one vector of columns, which stays in L1. Rows and columns: multiples of 16.
 */
#ifndef T
#error "include vec.h before fft_tmpl.h"
#endif

typedef struct {
    VT re, im;
} NAME(complex);

FC_INLINE NAME(complex) NAME(cload)(const T *re, const T *im, ptrdiff_t at)
{
    NAME(complex) z = {vload(re + at), vload(im + at)};
    return z;
}
FC_INLINE void NAME(cstore)(T *re, T *im, ptrdiff_t at, VT zre, VT zim)
{
    vstore(re + at, zre);
    vstore(im + at, zim);
}
FC_INLINE NAME(complex) NAME(cmul)(NAME(complex) z, VT wre, VT wim)
{
    NAME(complex) y = {vfma(-z.im, wim, z.re * wre), vfma(z.im, wre, z.re * wim)};
    return y;
}
FC_INLINE NAME(complex) NAME(cmul_conj)(NAME(complex) z, VT wre, VT wim)
{
    NAME(complex) y = {vfma(z.im, wim, z.re * wre), vfma(-z.re, wim, z.im * wre)};
    return y;
}

/* Blocks of L rows, s elements apart: four rows m = L/4 apart, for every block with the same twiddles. */
FC_INLINE void NAME(fft_radix4)(const int inverse, T *re, T *im, ptrdiff_t s, ptrdiff_t n, ptrdiff_t L, const T *w)
{
    ptrdiff_t m = L / 4 * s;
    for (ptrdiff_t j = 0; j < L / 4; j++, w += 6) {
        VT w1r = vsplat(w[0]), w1i = vsplat(w[1]), w2r = vsplat(w[2]), w2i = vsplat(w[3]);
        VT w3r = vsplat(w[4]), w3i = vsplat(w[5]);
        for (ptrdiff_t at = j * s; at < n * s; at += L * s) {
            NAME(complex) a = NAME(cload)(re, im, at), b = NAME(cload)(re, im, at + m);
            NAME(complex) c = NAME(cload)(re, im, at + 2 * m), d = NAME(cload)(re, im, at + 3 * m);
            if (inverse) {
                b = NAME(cmul_conj)(b, w1r, w1i);
                c = NAME(cmul_conj)(c, w2r, w2i);
                d = NAME(cmul_conj)(d, w3r, w3i);
            }
            VT acr = a.re + c.re, aci = a.im + c.im, a_r = a.re - c.re, a_i = a.im - c.im;
            VT bdr = b.re + d.re, bdi = b.im + d.im, b_r = b.re - d.re, b_i = b.im - d.im;
            NAME(complex) y1 = {a_r + b_i, a_i - b_r}, y2 = {acr - bdr, aci - bdi}, y3 = {a_r - b_i, a_i + b_r};
            if (inverse) {
                NAME(complex) swap = y1;
                y1 = y3;
                y3 = swap;
            } else {
                y1 = NAME(cmul)(y1, w1r, w1i);
                y2 = NAME(cmul)(y2, w2r, w2i);
                y3 = NAME(cmul)(y3, w3r, w3i);
            }
            NAME(cstore)(re, im, at, acr + bdr, aci + bdi);
            NAME(cstore)(re, im, at + m, y1.re, y1.im);
            NAME(cstore)(re, im, at + 2 * m, y2.re, y2.im);
            NAME(cstore)(re, im, at + 3 * m, y3.re, y3.im);
        }
    }
}

FC_INLINE void NAME(fft_radix2)(T *re, T *im, ptrdiff_t s, ptrdiff_t n)
{
    for (ptrdiff_t at = 0; at < n * s; at += 2 * s) {
        NAME(complex) a = NAME(cload)(re, im, at), b = NAME(cload)(re, im, at + s);
        NAME(cstore)(re, im, at, a.re + b.re, a.im + b.im);
        NAME(cstore)(re, im, at + s, a.re - b.re, a.im - b.im);
    }
}

static void NAME(fft)(void *rev, void *imv, ptrdiff_t s, ptrdiff_t n, ptrdiff_t cols, const void *wv, int inverse)
{
    const T *twiddles = wv;
    for (ptrdiff_t col = 0; col < cols; col += VLEN) {
        T *re = (T *)rev + col, *im = (T *)imv + col;
        const T *w = twiddles;
        if (!inverse) {
            ptrdiff_t L = n;
            for (; L >= 4; w += L / 4 * 6, L /= 4)
                NAME(fft_radix4)(0, re, im, s, n, L, w);
            if (L == 2)
                NAME(fft_radix2)(re, im, s, n);
        } else {
            ptrdiff_t L = 1;
            for (; n % (L * 4) == 0; L *= 4)
                ; /* the power of 4 in n */
            if (L != n)
                NAME(fft_radix2)(re, im, s, n);
            ptrdiff_t first = L == n ? 4 : 8, used = 0;
            for (L = n; L >= 4; L /= 4)
                used += L / 4 * 6;
            for (w += used, L = first; L <= n; L *= 4) {
                w -= L / 4 * 6;
                NAME(fft_radix4)(1, re, im, s, n, L, w);
            }
        }
    }
}

static void NAME(product)(void *rev, void *imv, const void *wrev, const void *wimv, ptrdiff_t n, int conjugate)
{
    T *re = rev, *im = imv;
    const T *wre = wrev, *wim = wimv;
    for (ptrdiff_t i = 0; i < n; i += VLEN) {
        NAME(complex) z = NAME(cload)(re, im, i);
        VT wr = vload(wre + i), wi = vload(wim + i);
        z = conjugate ? NAME(cmul_conj)(z, wr, wi) : NAME(cmul)(z, wr, wi);
        NAME(cstore)(re, im, i, z.re, z.im);
    }
}

/* A square of VLEN x VLEN in registers: exchange the off-diagonal halves, then quarters, ... */
FC_INLINE void NAME(transpose_square)(T *to, ptrdiff_t ts, const T *from, ptrdiff_t fs)
{
    enum { N = FC_VECTOR_BYTES / sizeof(T) };
    VT row[N];
#pragma GCC unroll 16
    for (int i = 0; i < N; i++)
        row[i] = vload(from + i * fs);
#define FC_EXCHANGE(b)                                                                                       \
    if (b < N)                                                                                               \
        _Pragma("GCC unroll 16") for (int i = 0; i < N; i++)                                                 \
            if (i / b % 2 == 0) {                                                                            \
                VT upper = row[i], lower = row[i + b];                                                       \
                row[i] = vupper(upper, lower, b);                                                            \
                row[i + b] = vlower(upper, lower, b);                                                        \
            }
    FC_EXCHANGE(8)
    FC_EXCHANGE(4)
    FC_EXCHANGE(2)
    FC_EXCHANGE(1)
#undef FC_EXCHANGE
#pragma GCC unroll 16
    for (int i = 0; i < N; i++)
        vstore(to + i * ts, row[i]);
}

static void NAME(transpose)(void *to, ptrdiff_t ts, const void *from, ptrdiff_t fs, ptrdiff_t rows, ptrdiff_t cols)
{
    for (ptrdiff_t j = 0; j < cols; j += VLEN)
        for (ptrdiff_t i = 0; i < rows; i += VLEN)
            NAME(transpose_square)((T *)to + j * ts + i, ts, (const T *)from + i * fs + j, fs);
}

static int NAME(finite)(const void *xv, ptrdiff_t n)
{
    const T *x = xv;
    VT sum[2] = {vzero(), vzero()};
    T lanes[FC_VECTOR_BYTES / sizeof(T)];
    for (; n > 0; n -= 2 * VLEN, x += 2 * VLEN) {
        sum[0] = vfma(vloadn(x, n), vzero(), sum[0]);
        sum[1] = vfma(vloadn(x + VLEN, n - VLEN), vzero(), sum[1]);
    }
    vstore(lanes, sum[0] + sum[1]);
    int finite = 1;
    for (ptrdiff_t l = 0; l < VLEN; l++)
        finite &= lanes[l] == 0;
    return finite;
}
