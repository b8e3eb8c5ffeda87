/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What products of bytes (dots_tmpl.h) begin and end with: bytes woven into elements of 32 bits, a channel or a tap each, and
 * sums brought back to bytes.
 *
 *      from[0]   a a a a ...
 *      from[1]   b b b b ...      ->      abcd abcd abcd abcd ...        a is in the lowest bits
 *      from[2]   c c c c ...
 *      from[3]   d d d d ...
 *
 * Of x nothing is read but the numbers that are woven: what does not fill a vector goes through one that is filled.
 */
#if FC_SIZE != 4
#error "they are of 32 bits"
#endif
#define WORDS NAME(of_uint32_t)
#if FC_HAS & FC_MASK_REGISTERS
#define FC_FIRST(p, n) ((WORDS)FC_OF_LANES(cvtepu8, epi32)(_mm_maskz_loadu_epi8((__mmask16)vlanes(n), p)))
#endif

/* Bytes `step` apart, of which there are at least VLEN, or n */
FC_INLINE WORDS NAME(weave_load)(const char *p, ptrdiff_t step, ptrdiff_t n)
{
    if (step == 1 && n >= VLEN)
        return (WORDS)vgrow_uint8_t(p);
    if (step == 2 && n > VLEN) /* a byte more, which is read, is there */
        return (WORDS)vgrow_uint16_t(p) & 255;
#ifdef FC_FIRST
    if (step == 1)
        return FC_FIRST(p, n);
#endif
    uint16_t some[FC_VLEN] = {0};
    for (ptrdiff_t i = 0; i < VLEN && i < n; i++, p += step)
        some[i] = *(const uint8_t *)p;
    return (WORDS)vgrow_uint16_t((const char *)some);
}

FC_INLINE void NAME(weave_rows)(char *to, const fc_weaving *g, ptrdiff_t n, const int bits, const int parts)
{
    const uint32_t flip = bits == 8 ? g->flip * 0x01010101u : g->flip;
    for (ptrdiff_t i = 0; i < n; i += VLEN, to += 4 * VLEN) {
        WORDS all = {0};
        EACH(p, parts) {
            const WORDS part = NAME(weave_load)(g->from[p] + i * g->step, g->step, n - i);
            all |= bits == 8 ? part << (bits * p) : (((part ^ flip) - g->shift) & 0xffff) << (bits * p);
        }
        all = bits == 8 ? all ^ flip : all;
        if (n - i >= VLEN)
            __builtin_memcpy(to, &all, sizeof all);
        else
            __builtin_memcpy(to, &all, (size_t)(4 * (n - i)));
    }
}

/* Whole elements that lie in x as they are to be */
FC_INLINE void NAME(weave_pixels)(char *to, const fc_weaving *g, ptrdiff_t n, uint32_t flip)
{
    const char *from = g->from[0];
    for (ptrdiff_t i = 0; i < n; i++, to += 4, from += g->step) {
        uint32_t element;
        __builtin_memcpy(&element, from, 4);
        element ^= flip;
        __builtin_memcpy(to, &element, 4);
    }
}

static void NAME(weave)(void *to, const fc_weaving *g, ptrdiff_t n)
{
    const int parts = g->parts;
    const ptrdiff_t apart = g->from[1] - g->from[0];
    if (g->kind == FC_DOT_QUAD) {
        if (parts == 4 && g->step >= 4 && apart == 1 && g->from[2] - g->from[1] == 1 && g->from[3] - g->from[2] == 1)
            NAME(weave_pixels)(to, g, n, g->flip * 0x01010101u);
        else if (parts == 4)
            NAME(weave_rows)(to, g, n, 8, 4);
        else if (parts == 3)
            NAME(weave_rows)(to, g, n, 8, 3);
        else if (parts == 2)
            NAME(weave_rows)(to, g, n, 8, 2);
        else
            NAME(weave_rows)(to, g, n, 8, 1);
    } else if (parts == 2)
        NAME(weave_rows)(to, g, n, 16, 2);
    else
        NAME(weave_rows)(to, g, n, 16, 1);
}

/* Whole vectors of n sums, as bytes */
FC_INLINE void NAME(requantize_bytes)(char *to, WORDS s, ptrdiff_t n, const fc_requantizing *g, VT low, VT high)
{
    typedef NAME(of_uint8_t) bytes;
    const VT v = vmin(high, vmax(low, FC_CONVERT((NAME(of_int32_t))s, float) * vsplat(g->scale)));
    const __typeof__(vshrink_uint8_t(vround(v))) all = vshrink_uint8_t(vround(v) + g->zero);
    _Static_assert(sizeof all >= sizeof(bytes), "a vector's bytes");
    if (n >= VLEN)
        __builtin_memcpy(to, &all, sizeof(bytes));
    else
        __builtin_memcpy(to, &all, (size_t)n);
}

static void NAME(requantize)(void *tov, int stored, const void *fromv, ptrdiff_t n, const fc_requantizing *g)
{
    char *to = tov;
    const char *from = fromv, *of_x = g->of_x;
    const ptrdiff_t size = stored == FC_I32 ? 4 : 1;
    const int least = stored == FC_I8 ? -128 : 0;
    const VT low = vsplat((T)(least - g->zero)), high = vsplat((T)(least + 255 - g->zero));
    for (; n > 0; n -= VLEN, from += 4 * VLEN, to += VLEN * size) {
        WORDS s = vraw(uint32_t, from) + (uint32_t)g->add;
        if (of_x) {
            s -= vraw(uint32_t, of_x) * (uint32_t)g->factor;
            of_x += 4 * VLEN;
        }
        if (stored != FC_I32)
            NAME(requantize_bytes)(to, s, n, g, low, high);
        else if (n >= VLEN)
            __builtin_memcpy(to, &s, sizeof s);
        else
            __builtin_memcpy(to, &s, (size_t)(4 * n));
    }
}
#undef WORDS
#undef FC_FIRST
