/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What becomes of results: something is added, and an activation is applied. Of a >= 0, all that are no clamps are made of
 *
 *   e^-a = 2^n (1 + p),    -a = n ln 2 + r,  |r| <= ln 2 / 2,    p = e^r - 1 = r + r^2 / 2! + r^3 / 3! + ...
 *
 * n is what a / ln 2 is rounded to by a number whose last bit is worth 1, and ln 2 is taken off in two parts, the first of which times
 * n is exact. 2^n is the product of two numbers, so that results below the normal ones are right, too.
 *
 *   sigmoid(x) = 1 / (1 + e^-x)                          of x < 0: e^x / (1 + e^x)
 *   tanh(x)    = (1 - e^-2x) / (1 + e^-2x)               as p - 1 + 2^n and 2^n p, which loses nothing near 0
 *   gelu(x)    = x (1 + erf(x / sqrt 2)) / 2             of x < 0: x e^(-z^2) (e^(z^2) erfc(z) / 2), z = |x| / sqrt 2
 *   its tanh form = x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3))
 *
 * e^(z^2) erfc(z) / 2 is t times a polynomial in 1 - t, where t = 2 / (z + 2), or of doubles 3 / (z + 3): it is interpolated at
 * Chebyshev's points up to z = 12, or 29, beyond which e^(-x^2/2) is 0.
 */
#ifndef FC_TYPE
#error "type.h says of which type"
#endif

#define FC_CHOOSE(mask, a, b) ((VT)(((VBITS)(mask) & (VBITS)(a)) | (~(VBITS)(mask) & (VBITS)(b))))
#define FC_SIGN ((VBITS)vsplat(-0.0))
#undef FC_OF
#if FC_SIZE == 4
#define FC_OF(single, dbl) single
#else
#define FC_OF(single, dbl) dbl
#endif

#define FALLEN FC_OF(110, 760) /* e^-FALLEN, and that times FALLEN, is 0 */
typedef struct { VT part, first, second; } NAME(power); /* first * second * (1 + part) */

/* e^-(a + more), more being far less than a */
FC_INLINE NAME(power) NAME(fall)(VT a, VT more)
{
    static const T of[] = {
#if FC_SIZE == 8
        1 / 6227020800., 1 / 479001600., 1 / 39916800., 1 / 3628800., 1 / 362880., 1 / 40320.,
#endif
        (T)(1 / 5040.),  (T)(1 / 720.),  (T)(1 / 120.), (T)(1 / 24.), (T)(1 / 6.), (T)0.5};
    enum { TERMS = sizeof of / sizeof *of, BIAS = FC_OF(127, 1023), MOVED = FC_OF(23, 52) };
    const VT whole = vsplat(FC_OF(0x1.8p23, 0x1.8p52));
    a = vmin(vsplat(FALLEN), a);
    const VT sum = vfnma(a, vsplat(1.4426950408889634), whole), n = sum - whole;
    VT r = vfnma(n, vsplat(FC_OF(0.693359375, 0x1.62e42feep-1)), -a);
    r = vfnma(n, vsplat(FC_OF(-0x1.bd0105c610ca8p-13, 0x1.a39ef35793c76p-33)), r) - more;
    VT p = vsplat(of[0]);
    EACH(i, TERMS - 1)
        p = vfma(p, r, vsplat(of[i + 1]));
    const VBITS power = (VBITS)sum - (VBITS)whole, half = power >> 1;
    return (NAME(power)){vfma(r * r, p, r), (VT)((half + BIAS) << MOVED), (VT)((power - half + BIAS) << MOVED)};
}

/* x sigmoid(u) */
FC_INLINE VT NAME(gated)(VT x, VT u)
{
    const NAME(power) f = NAME(fall)((VT)((VBITS)u & ~FC_SIGN), vzero());
    const VT first = vfma(f.first, f.part, f.first), one = vsplat(1), all = one + first * f.second;
    x = vmax(vsplat(-FALLEN), x);
    return FC_CHOOSE(u < vzero(), x * first, x) / all * FC_CHOOSE(u < vzero(), f.second, one);
}

FC_INLINE VT NAME(tanh)(VT x)
{
    const VT a = (VT)((VBITS)x & ~FC_SIGN);
    const NAME(power) f = NAME(fall)(a + a, vzero());
    const VT scale = f.first * f.second, below = vfma(scale, f.part, scale - vsplat(1));
    return (VT)(((VBITS)(below / (vsplat(2) + below)) & ~FC_SIGN) | ((VBITS)x & FC_SIGN));
}

/* x times the part of the normal distribution that is below it */
FC_INLINE VT NAME(gelu)(VT x)
{
    static const T of[] = {
#if FC_SIZE == 4
        0x1.27f77cp-6f,  -0x1.56db56p-4f, 0x1.161ebcp-3f, -0x1.66902p-4f,  0x1.7d21c2p-5f, -0x1.face14p-5f,
        -0x1.7e231cp-5f, 0x1.b0445p-4f,   0x1.f231eep-3f, -0x1.41baf6p-1f, 0x1p-1f,
#else
        -0x1.22b867701a7adp-10, 0x1.477645539771bp-7,  -0x1.4b676f2deab0cp-5, 0x1.8fe05870047c8p-4,  -0x1.448e6c0db043dp-3,
        0x1.7ee4d46326a18p-3,   -0x1.59500e2b26002p-3, 0x1.df1dc01b02545p-4,  -0x1.fee62d8f2ec91p-5, 0x1.f2b2bdee2d8bbp-6,
        -0x1.7656b2264e934p-7,  -0x1.8ab318207f615p-8, -0x1.6fcdf7138ee1dp-8, 0x1.54199b86bdeabp-6,  0x1.04d68ac6b7e29p-5,
        -0x1.7e9fdc31614a9p-5,  -0x1.edddb700d29e0p-4, 0x1.636c30af01cc4p-3,  0x1.6eab3540f1dedp-2,  -0x1.3badabb82dc0bp+0,
        0x1.9d67a0f382ca8p+0,   -0x1.314c2f863e922p+0, 0x1.0000000000000p-1,
#endif
    };
    enum { TERMS = sizeof of / sizeof *of };
    const VT least = vsplat(-FC_OF(16, 40)), a = vmin(-least, (VT)((VBITS)x & ~FC_SIGN)), one = vsplat(1);
    const VT half = a * vsplat(0.5), square = half * a;
    const NAME(power) f = NAME(fall)(square, vfma(half, a, -square));
    const VT from = vsplat(FC_OF(2, 3)), t = from / vfma(a, vsplat(0.70710678118654752), from), u = one - t;
    VT p = vsplat(of[0]);
    EACH(i, TERMS - 1)
        p = vfma(p, u, vsplat(of[i + 1]));
    const VT beyond = vfma(f.first, f.part, f.first) * (p * t);
    return FC_CHOOSE(x < vzero(), vmax(least, x) * beyond * f.second, x * (one - beyond * f.second));
}

static __attribute__((noinline)) VT NAME(activated)(VT x, int activation, VT slope)
{
    const VT least = vzero(), six = vsplat(6);
    switch (activation) {
    case FC_LEAKY_RELU: return FC_CHOOSE(x < vzero(), x * slope, x);
    case FC_HARDSIGMOID: return vmin(six, vmax(least, x + vsplat(3))) / six;
    case FC_HARDSWISH: return vmax(vsplat(-3), x) * (vmin(six, vmax(least, x + vsplat(3))) / six);
    case FC_SIGMOID: return NAME(gated)(vsplat(1), x);
    case FC_TANH: return NAME(tanh)(x);
    case FC_GELU: return NAME(gelu)(x);
    case FC_GELU_TANH: return NAME(gated)(x, x * vfma(x * x, vsplat(0.07135481627260025), vsplat(1.5957691216057308)));
    default: return NAME(gated)(x, x);
    }
}

static void NAME(finish)(const fc_finishing *g)
{
    T *to = g->to;
    const T *from = g->from, *add = g->add;
    const int adjoin = g->ts == g->cols && g->fs == g->cols;
    const ptrdiff_t rows = adjoin ? 1 : g->rows, cols = adjoin ? g->rows * g->cols : g->cols;
    const VT low = vsplat((T)g->low), high = vsplat((T)g->high);
    for (ptrdiff_t i = 0; i < rows; i++, to += g->ts, from += g->fs, add += add ? g->ts : 0)
        for (ptrdiff_t j = 0; j < cols; j += VLEN) {
            const ptrdiff_t left = cols - j;
            VT v = left < VLEN ? vloadn(from + j, left) : vload(from + j);
            if (add)
                v += left < VLEN ? vloadn(add + j, left) : vload(add + j);
            v = g->activation == FC_CLAMP ? (VT)vmin(high, vmax(low, v)) : NAME(activated)(v, g->activation, low);
            if (left < VLEN)
                vstoren(to + j, v, left);
            else
                vstore(to + j, v);
        }
}
#undef FC_CHOOSE
#undef FC_SIGN
#undef FALLEN
