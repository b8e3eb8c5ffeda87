/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Outer products of three by three taps, of bytes, in 16 bits, both passes in registers:
 *
 *   s[t][i][j] = sum_{a < 3} down[t*3 + a] * sum_{b < 3} across[t*3 + b] * x[i + a][j + b * apart]
 *
 * A block of two vectors of places walks down the rows. Of a vector of bytes, the even places are the low bytes of its 16 bits, and
 * the odd ones the high bytes: nothing is unpacked, and the odd ones stand for the next place of the even ones.
 */

typedef struct { VT even, odd; } NAME(places);

FC_INLINE NAME(places) NAME(places_at)(const char *x)
{
    const VT v = (VT)vraw(uint16_t, x); /* bytes lie anywhere */
    return (NAME(places)){v & vsplat(255), v >> 8};
}

FC_INLINE NAME(places) NAME(three_taps)(const VT k[3], NAME(places) a, NAME(places) b, NAME(places) c)
{
    return (NAME(places)){k[0] * a.even + k[1] * b.even + k[2] * c.even, k[0] * a.odd + k[1] * b.odd + k[2] * c.odd};
}

FC_INLINE void NAME(put_places)(char *to, NAME(places) p, NAME(storing) s)
{
    p.even = NAME(quotient)(p.even, s), p.odd = NAME(quotient)(p.odd, s);
    if (s.of_bytes) {
        const VT bytes = p.even | p.odd << 8;
        __builtin_memcpy(to, &bytes, sizeof bytes);
    } else {
        const VT pairs[] = {(VT)vziplow(p.even, p.odd), (VT)vziphigh(p.even, p.odd)};
        __builtin_memcpy(to, pairs, sizeof pairs);
    }
}

FC_INLINE void NAME(threes_block)(const int terms, const int is_norm, char *out, ptrdiff_t os, const char *const *row,
                                  ptrdiff_t j, const fc_threes *g, ptrdiff_t rows, NAME(storing) s)
{
    const T *down_taps = g->down, *across_taps = g->across;
    const NAME(places) none = {vzero(), vzero()};
    const ptrdiff_t apart = g->apart, result = g->out_result;
    VT down[2][3], across[2][3];
    NAME(places) sum[2][3], p[2];
    EACH(t, terms)
        EACH(a, 3)
            down[t][a] = vsplat(down_taps[3 * t + a]), across[t][a] = vsplat(across_taps[3 * t + a]), sum[t][a] = none;
    for (ptrdiff_t i = -2; i < rows; i++) {
        const char *const x = *row++ + j;
        const NAME(places) first = NAME(places_at)(x), last = NAME(places_at)(x + 2 * apart);
        NAME(places) middle = {first.odd, last.even};
        if (apart > 1)
            middle = NAME(places_at)(x + apart);
        EACH(t, terms) {
            sum[t][0] = sum[t][1], sum[t][1] = sum[t][2];
            sum[t][2] = NAME(three_taps)(across[t], first, middle, last);
        }
        if (i < 0)
            continue;
        EACH(t, terms)
            p[t] = NAME(three_taps)(down[t], sum[t][0], sum[t][1], sum[t][2]);
        if (is_norm)
            p[0] = (NAME(places)){vabs(p[0].even) + vabs(p[1].even), vabs(p[0].odd) + vabs(p[1].odd)};
        else if (terms == 2)
            NAME(put_places)(out + result, p[1], s);
        NAME(put_places)(out, p[0], s);
        out += os;
    }
}

static void NAME(threes)(void *out, int stored, ptrdiff_t os, const char *const *x, const fc_threes *g, ptrdiff_t rows,
                         ptrdiff_t cols)
{
    const fc_quotient by = fc_quotient_of(g->divisor, 16);
    const int of_bytes = stored == FC_U8 || stored == FC_I8;
    const NAME(storing) s = {.of_bytes = of_bytes, .clamps = of_bytes, .high = stored == FC_I8 ? 127 : 255, .by = by};
    NAME(storing) divided = s;
    divided.divides = 1;
    for (ptrdiff_t j = 0; j < cols; j += 2 * VLEN) {
        if (cols - j < 2 * VLEN)
            j = cols - 2 * VLEN; /* what is written twice is the same */
        char *const to = (char *)out + j * (of_bytes ? 1 : (ptrdiff_t)sizeof(T));
        if (g->terms == 2 && g->combine == FC_L1)
            NAME(threes_block)(2, 1, to, os, x, j, g, rows, s);
        else if (g->terms == 2)
            NAME(threes_block)(2, 0, to, os, x, j, g, rows, s);
        else if (g->divisor == 1)
            NAME(threes_block)(1, 0, to, os, x, j, g, rows, s);
        else if (by.has_ties)
            divided.has_ties = 1, NAME(threes_block)(1, 0, to, os, x, j, g, rows, divided);
        else
            NAME(threes_block)(1, 0, to, os, x, j, g, rows, divided);
    }
}
