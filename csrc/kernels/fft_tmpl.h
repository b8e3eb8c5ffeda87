/* SPDX-License-Identifier: BSD-3-Clause
 *
 * K5, the discrete Fourier transform of VLEN columns at once, and its inverse:
 *
 *   Z[f] = sum_{e<n} z[e] w^(ef),  w = exp(-2 pi i / n)          z[e] = sum_f Z[f] w^(-ef)
 *
 * fft decimates in frequency: with n = m = r q, a pass takes z apart into r pieces of q points,
 *
 *   z[j], z[j+q], ... --butterfly of r points--> times w^0, w^j, w^2j, ... --> z[j], z[j+q], ...    j < q
 *
 * whose own transforms are the frequencies = 0, 1, ... modulo r of the whole. All passes are in place, so the
 * frequencies end up in scrambled order (digits reversed). ifft does the same steps backwards: nothing is ever
 * put in order. The inverse butterfly is the forward one with real and imaginary parts exchanged.
 *
 * A column is n complex vectors, 2 * FC_VECTOR_BYTES each, and stays in L1 for n up to 256 at any width.
 */

/* The transform of r points */
FC_INLINE void NAME(butterfly)(const int r, VT re[8], VT im[8])
{
    if (r == 8) { /* 2 x 4: sums are the even frequencies, differences times exp(-2 pi i j / 8) the odd ones */
        const VT root = vsplat((T)0.707106781186547524400844362104849039L);
        VT a[4], b[4], c[4], d[4];
        EACH(i, 4) {
            a[i] = re[i] + re[i + 4], b[i] = im[i] + im[i + 4];
            c[i] = re[i] - re[i + 4], d[i] = im[i] - im[i + 4];
        }
        VT c1 = c[1] + d[1], d1 = d[1] - c[1], c3 = d[3] - c[3], d3 = c[3] + d[3]; /* times root; d3 is negative */
        VT a0 = a[0] + a[2], b0 = b[0] + b[2], a2 = a[0] - a[2], b2 = b[0] - b[2];
        VT a1 = a[1] + a[3], b1 = b[1] + b[3], a3 = a[1] - a[3], b3 = b[1] - b[3];
        re[0] = a0 + a1, im[0] = b0 + b1, re[4] = a0 - a1, im[4] = b0 - b1;
        re[2] = a2 + b3, im[2] = b2 - a3, re[6] = a2 - b3, im[6] = b2 + a3;
        VT c0 = c[0] + d[2], d0 = d[0] - c[2], c2 = c[0] - d[2], d2 = d[0] + c[2];
        VT s = c1 + c3, t = d1 - d3, u = c1 - c3, v = d1 + d3;
        re[1] = vfma(root, s, c0), im[1] = vfma(root, t, d0), re[5] = vfnma(root, s, c0), im[5] = vfnma(root, t, d0);
        re[3] = vfma(root, v, c2), im[3] = vfnma(root, u, d2), re[7] = vfnma(root, v, c2), im[7] = vfma(root, u, d2);
    } else if (r == 2 || r == 4) {
        VT re0 = re[0] + re[r / 2], im0 = im[0] + im[r / 2], re1 = re[0] - re[r / 2], im1 = im[0] - im[r / 2];
        if (r == 2) {
            re[0] = re0, im[0] = im0, re[1] = re1, im[1] = im1;
            return;
        }
        VT re2 = re[1] + re[3], im2 = im[1] + im[3], re3 = re[1] - re[3], im3 = im[1] - im[3];
        re[0] = re0 + re2, im[0] = im0 + im2;
        re[1] = re1 + im3, im[1] = im1 - re3;
        re[2] = re0 - re2, im[2] = im0 - im2;
        re[3] = re1 - im3, im[3] = im1 + re3;
    } else if (r == 3) {
        const VT half = vsplat((T)0.5), sine = vsplat((T)0.866025403784438646763723170752936183L);
        VT re1 = re[1] + re[2], im1 = im[1] + im[2];
        VT re2 = sine * (re[1] - re[2]), im2 = sine * (im[1] - im[2]);
        VT re0 = vfnma(half, re1, re[0]), im0 = vfnma(half, im1, im[0]);
        re[0] = re[0] + re1, im[0] = im[0] + im1;
        re[1] = re0 + im2, im[1] = im0 - re2;
        re[2] = re0 - im2, im[2] = im0 + re2;
    } else if (r == 5) {
        const VT cos1 = vsplat((T)0.309016994374947424102293417182819059L); /* of 2 pi / 5, and 4 pi / 5 */
        const VT cos2 = vsplat((T)-0.809016994374947424102293417182819059L);
        const VT sin1 = vsplat((T)0.951056516295153572116439333379382143L);
        const VT sin2 = vsplat((T)0.587785252292473129168705954639072769L);
        VT re1 = re[1] + re[4], im1 = im[1] + im[4], re4 = re[1] - re[4], im4 = im[1] - im[4];
        VT re2 = re[2] + re[3], im2 = im[2] + im[3], re3 = re[2] - re[3], im3 = im[2] - im[3];
        VT rec1 = vfma(cos2, re2, vfma(cos1, re1, re[0])), imc1 = vfma(cos2, im2, vfma(cos1, im1, im[0]));
        VT rec2 = vfma(cos1, re2, vfma(cos2, re1, re[0])), imc2 = vfma(cos1, im2, vfma(cos2, im1, im[0]));
        VT res1 = vfma(sin2, re3, sin1 * re4), ims1 = vfma(sin2, im3, sin1 * im4);
        VT res2 = vfnma(sin1, re3, sin2 * re4), ims2 = vfnma(sin1, im3, sin2 * im4);
        re[0] = re[0] + re1 + re2, im[0] = im[0] + im1 + im2;
        re[1] = rec1 + ims1, im[1] = imc1 - res1;
        re[2] = rec2 + ims2, im[2] = imc2 - res2;
        re[3] = rec2 - ims2, im[3] = imc2 + res2;
        re[4] = rec1 - ims1, im[4] = imc1 + res1;
    }
}

/* (re + i im) (c + i s), and (re + i im) (c - i s) */
FC_INLINE void NAME(times)(VT *re, VT *im, VT c, VT s)
{
    VT old = *re;
    *re = vfnma(*im, s, old * c);
    *im = vfma(*im, c, old * s);
}
FC_INLINE void NAME(times_conjugate)(VT *re, VT *im, VT c, VT s)
{
    VT old = *re;
    *re = vfma(*im, s, old * c);
    *im = vfnma(old, s, *im * c);
}

/* Rows of an image are pages apart, where hardware does not prefetch: fetch what the next column will need. Measured on
 * images: reading 4-7 %, writing up to 25 % (float64). full: all that there is of the column are whole vectors. */
FC_INLINE VT NAME(column_load)(const int full, const fc_fft_column *c, ptrdiff_t row)
{
    if (row >= c->rows)
        return vzero();
    const T *p = (const T *)c->x + row * c->stride;
    ptrdiff_t n = row < c->rows - 1 ? c->lanes : c->last;
    __builtin_prefetch(p + VLEN, 0, 2);
    return full || n >= VLEN ? vload(p) : vloadn(p, n);
}
FC_INLINE void NAME(column_store)(const int full, const fc_fft_column *c, ptrdiff_t row, VT v)
{
    if (row >= c->rows)
        return;
    T *p = (T *)c->y + row * c->stride;
    ptrdiff_t n = row < c->rows - 1 ? c->lanes : c->last;
    __builtin_prefetch(p + VLEN, 1, 2);
    if (full || n >= VLEN)
        vstore(p, v);
    else
        vstoren(p, v, n);
}

/* Whether the first pass takes such columns in the place of z, and what undoes it. The others, which are few, are copied: loads
 * of parts of vectors in each of the passes would be a tenth of all code. */
FC_INLINE int NAME(columns_are_full)(const fc_fft_axis *a, const fc_fft_column c[2])
{
    int full = c && !a->turn && a->radix[0] > 1;
    for (int i = 0; full && i < 2; i++)
        full = c[i].rows == 0 || (c[i].lanes >= VLEN && c[i].last >= VLEN);
    return full;
}

/* One pass over all pieces of m points; inverse: what undoes it. factors == NULL: they are all one. column: full ones, which
 * the first pass reads, and what undoes it writes, in the place of z; or NULL. */
FC_INLINE void NAME(fft_pass)(const int inverse, const int r, T *z, ptrdiff_t stride, ptrdiff_t n, ptrdiff_t m,
                              const T *factors, const fc_fft_column *column)
{
    ptrdiff_t q = m / r, step = q * stride;
    for (ptrdiff_t piece = 0; piece < n; piece += m) {
        const T *w = factors;
        for (ptrdiff_t j = 0; j < q; j++) {
            T *p = z + (piece + j) * stride;
            VT re[8], im[8];
            EACH(i, r) {
                re[i] = column && !inverse ? NAME(column_load)(1, column, j + i * q) : vload(p + i * step);
                im[i] = column && !inverse ? NAME(column_load)(1, column + 1, j + i * q) : vload(p + i * step + VLEN);
                if (inverse && i > 0 && factors) {
                    NAME(times_conjugate)(&re[i], &im[i], vsplat(w[0]), vsplat(w[1]));
                    w += 2;
                }
            }
            NAME(butterfly)(r, inverse ? im : re, inverse ? re : im);
            EACH(i, r) {
                if (!inverse && i > 0 && factors) {
                    NAME(times)(&re[i], &im[i], vsplat(w[0]), vsplat(w[1]));
                    w += 2;
                }
                if (column && inverse) {
                    NAME(column_store)(1, column, j + i * q, re[i]);
                    NAME(column_store)(1, column + 1, j + i * q, im[i]);
                } else {
                    vstore(p + i * step, re[i]);
                    vstore(p + i * step + VLEN, im[i]);
                }
            }
        }
    }
}

/* Pass i, by its radix. A last pass of radix 4 in place, by far the most frequent, has no factors to apply. */
FC_INLINE void NAME(fft_radix)(const int inverse, const fc_fft_axis *a, int i, T *z, ptrdiff_t stride, ptrdiff_t m,
                               const fc_fft_column *column)
{
    const T *w = (const T *)a->factors + a->factor[i];
#define FC_PASS(r, factors) NAME(fft_pass)(inverse, r, z, stride, a->n, m, factors, column)
    switch (a->radix[i]) {
    case 2: FC_PASS(2, w); break;
    case 3: FC_PASS(3, w); break;
    case 4:
        if (m == 4 && !column)
            FC_PASS(4, NULL);
        else
            FC_PASS(4, w);
        break;
    case 5: FC_PASS(5, w); break;
    case 8: FC_PASS(8, w); break;
    }
#undef FC_PASS
}

/* The passes before `passes`; inverse: what undoes them. column: full ones, or NULL */
FC_INLINE void NAME(fft_passes)(const int inverse, const fc_fft_axis *a, int passes, T *z, ptrdiff_t stride,
                                const fc_fft_column *column)
{
    ptrdiff_t m[FC_FFT_PASSES];
    m[0] = a->n;
    for (int i = 1; i < passes; i++)
        m[i] = m[i - 1] / a->radix[i - 1];
    for (int done = 0; done < passes; done++) {
        const int i = inverse ? passes - 1 - done : done;
        if (i == 0 && column)
            NAME(fft_radix)(inverse, a, i, z, stride, m[i], column);
        else
            NAME(fft_radix)(inverse, a, i, z, stride, m[i], NULL);
    }
}
static void NAME(fft_forward)(const fc_fft_axis *a, int passes, T *z, ptrdiff_t stride, const fc_fft_column *from)
{
    NAME(fft_passes)(0, a, passes, z, stride, from);
}
static void NAME(fft_back)(const fc_fft_axis *a, int passes, T *z, ptrdiff_t stride, const fc_fft_column *to)
{
    NAME(fft_passes)(1, a, passes, z, stride, to);
}

static void NAME(fft)(const fc_fft_axis *a, void *z, ptrdiff_t stride, const fc_fft_column from[2])
{
    const T *turn = a->turn;
    T *p = z;
    const fc_fft_column *full = NAME(columns_are_full)(a, from) ? from : NULL;
    for (ptrdiff_t row = 0; from && !full && row < a->n; row++, p += stride) {
        VT re = NAME(column_load)(0, from, row), im = NAME(column_load)(0, from + 1, row);
        if (turn)
            NAME(times)(&re, &im, vsplat(turn[2 * row]), vsplat(turn[2 * row + 1]));
        vstore(p, re);
        vstore(p + VLEN, im);
    }
    NAME(fft_forward)(a, a->passes, z, stride, full);
}

static void NAME(ifft)(const fc_fft_axis *a, void *z, ptrdiff_t stride, const fc_fft_column to[2])
{
    const T *turn = a->turn, *p = z;
    const fc_fft_column *full = NAME(columns_are_full)(a, to) ? to : NULL;
    NAME(fft_back)(a, a->passes, z, stride, full);
    for (ptrdiff_t row = 0; to && !full && row < a->n; row++, p += stride) {
        VT re = vload(p), im = vload(p + VLEN);
        if (turn)
            NAME(times_conjugate)(&re, &im, vsplat(turn[2 * row]), vsplat(turn[2 * row + 1]));
        NAME(column_store)(0, to, row, re);
        NAME(column_store)(0, to + 1, row, im);
    }
}

/* Blocks of z to the strip: rows of VLEN points become columns. Real and imaginary parts go one after the other, for
 * a block of both would not fit into the registers. */
FC_INLINE void NAME(fft_gather)(const int twisted, const T *z, const T *twist, T *strip)
{
    EACH(imaginary, 2) {
        VT v[VLEN];
        EACH(i, VLEN) {
            const T *p = z + i * 2 * VLEN, *w = twist + i * 2 * VLEN;
            if (!twisted)
                v[i] = vload(p + imaginary * VLEN);
            else if (imaginary)
                v[i] = vfma(vload(p + VLEN), vload(w), vload(p) * vload(w + VLEN));
            else
                v[i] = vfnma(vload(p + VLEN), vload(w + VLEN), vload(p) * vload(w));
        }
        NAME(exchange)(v);
        EACH(i, VLEN)
            vstore(strip + i * 2 * VLEN + imaginary * VLEN, v[i]);
    }
}

FC_INLINE void NAME(fft_scatter)(const int twisted, T *z, const T *twist, const T *strip)
{
    NAME(fft_gather)(0, strip, NULL, z);
    if (twisted)
        for (int i = 0; i < VLEN; i++) {
            T *p = z + i * 2 * VLEN;
            const T *w = twist + i * 2 * VLEN;
            VT re = vload(p), im = vload(p + VLEN);
            NAME(times_conjugate)(&re, &im, vload(w), vload(w + VLEN));
            vstore(p, re);
            vstore(p + VLEN, im);
        }
}

/* The last pass, the product, and the first pass back, in registers: r points at a time */
FC_INLINE void NAME(fft_product)(const int r, T *z, const T *spectrum, ptrdiff_t n)
{
    for (ptrdiff_t piece = 0; piece < n; piece += r, z += r * 2 * VLEN, spectrum += r * 2 * VLEN) {
        VT re[8], im[8];
        EACH(i, r) {
            re[i] = vload(z + i * 2 * VLEN);
            im[i] = vload(z + i * 2 * VLEN + VLEN);
        }
        NAME(butterfly)(r, re, im);
        EACH(i, r)
            NAME(times)(&re[i], &im[i], vload(spectrum + i * 2 * VLEN), vload(spectrum + i * 2 * VLEN + VLEN));
        NAME(butterfly)(r, im, re);
        EACH(i, r) {
            vstore(z + i * 2 * VLEN, re[i]);
            vstore(z + i * 2 * VLEN + VLEN, im[i]);
        }
    }
}

static void NAME(fftmul)(const fc_fft_axis *a, void *zv, ptrdiff_t stride, void *spectrumv, const void *twistv, void *strip,
                         double learn)
{
    enum { BLOCK = VLEN * 2 * VLEN };
    T *z = zv, *s = strip, *spectrum = spectrumv;
    const T *twist = twistv;
    ptrdiff_t blocks = a->n / VLEN;
    for (ptrdiff_t b = 0; b < blocks; b++)
        if (twist)
            NAME(fft_gather)(1, z + b * stride, twist + b * BLOCK, s + b * BLOCK);
        else
            NAME(fft_gather)(0, z + b * stride, NULL, s + b * BLOCK);
    if (learn != 0) {
        NAME(fft_forward)(a, a->passes, s, 2 * VLEN, NULL);
        ptrdiff_t step = a->radix[0] > 1 ? 2 * VLEN : 0; /* one column for all */
        for (ptrdiff_t i = 0; i < a->n; i++, s += step, spectrum += 2 * VLEN) {
            vstore(spectrum, vload(s) * vsplat((T)learn));
            vstore(spectrum + VLEN, vload(s + VLEN) * vsplat((T)-learn));
        }
        return;
    }
    NAME(fft_forward)(a, a->passes - 1, s, 2 * VLEN, NULL);
    if (a->radix[a->passes - 1] == 4)
        NAME(fft_product)(4, s, spectrum, a->n);
    else
        NAME(fft_product)(1, s, spectrum, a->n);
    NAME(fft_back)(a, a->passes - 1, s, 2 * VLEN, NULL);
    for (ptrdiff_t b = 0; b < blocks; b++)
        if (twist)
            NAME(fft_scatter)(1, z + b * stride, twist + b * BLOCK, s + b * BLOCK);
        else
            NAME(fft_scatter)(0, z + b * stride, NULL, s + b * BLOCK);
}

static void NAME(fftsum)(const fc_fft_axis *axis, void *zv, ptrdiff_t stride, const void *av, const void *bv, ptrdiff_t apart,
                         ptrdiff_t channels, void *strip)
{
    enum { POINTS = 4, BLOCK = VLEN * 2 * VLEN };
    T *z = zv, *s = strip;
    const T *a = av, *b = bv;
    for (ptrdiff_t i = 0; i < axis->n; i += POINTS, a += POINTS * 2 * VLEN, b += POINTS * 2 * VLEN) {
        VT re[POINTS], im[POINTS];
        EACH(p, POINTS)
            re[p] = im[p] = vzero();
        for (ptrdiff_t c = 0; c < channels; c++)
            EACH(p, POINTS) {
                const T *x = a + c * apart + p * 2 * VLEN, *w = b + c * apart + p * 2 * VLEN;
                const VT x_re = vload(x), x_im = vload(x + VLEN), w_re = vload(w), w_im = vload(w + VLEN);
                re[p] = vfma(x_im, w_im, vfma(x_re, w_re, re[p]));
                im[p] = vfnma(x_im, w_re, vfma(x_re, w_im, im[p]));
            }
        EACH(p, POINTS) {
            vstore(s + (i + p) * 2 * VLEN, re[p]);
            vstore(s + (i + p) * 2 * VLEN + VLEN, im[p]);
        }
    }
    NAME(fft_back)(axis, axis->passes, s, 2 * VLEN, NULL);
    for (ptrdiff_t block = 0; block < axis->n / VLEN; block++)
        NAME(fft_scatter)(0, z + block * stride, NULL, s + block * BLOCK);
}

static int NAME(finite)(const void *xv, ptrdiff_t n)
{
    const T *x = xv;
    VT sum[2] = {vzero(), vzero()};
    T lanes[FC_VLEN];
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
