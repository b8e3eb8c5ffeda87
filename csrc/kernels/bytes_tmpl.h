/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Planes of bytes, and pixels, which hold a byte of as many planes as a vector has bytes; and sums of pixels, as bytes.
 *
 * A vector is pieces of 16 bytes, within which elements of two vectors are mixed. Sixteen rows of 16 bytes, in every piece, are turned
 * by four rounds of that. Mixed twice, the bytes of four pixels are elements of 32 bits, a plane each, in four vectors (lanes of these,
 * fc_lane_of); and packing sums as bytes brings them back into the order of planes.
 *
 *   vmixlow8 vmixhigh8(a, b)    the first, or last, 8 bytes of a and b in turn; of every piece. vmixlow16 vmixhigh16: of 16 bits
 *   vpack32(a, b)               int32 as int16, of every piece a's and then b's; vpack16: int16 as bytes. What does not fit is the nearest.
 */
#if FC_SIZE != 4
#error "sums have 32 bits"
#endif
#ifdef FC_X86
#define FC_BYTES __typeof__(FC_X86(setzero, FC_X86_OF_2)())
#define vmixlow8(a, b) FC_X86(unpacklo, epi8)(a, b)
#define vmixhigh8(a, b) FC_X86(unpackhi, epi8)(a, b)
#define vmixlow16(a, b) FC_X86(unpacklo, epi16)(a, b)
#define vmixhigh16(a, b) FC_X86(unpackhi, epi16)(a, b)
#define vpack32(a, b) FC_X86(packs, epi32)((FC_BYTES)(a), (FC_BYTES)(b))
#define vpack16(a, b) FC_X86(packus, epi16)(a, b)
#define FC_PIECE_OF(q) _mm_loadu_si128((const __m128i *)(const void *)(p + NAME(piece_at)(g, plane + 16 * (q))))
#define FC_JOINED_16 FC_PIECE_OF(0)
#define FC_JOINED_32 _mm256_inserti128_si256(_mm256_castsi128_si256(FC_PIECE_OF(0)), FC_PIECE_OF(1), 1)
#define FC_JOINED_TWO _mm512_inserti32x4(_mm512_castsi128_si512(FC_PIECE_OF(0)), FC_PIECE_OF(1), 1)
#define FC_JOINED_64 _mm512_inserti32x4(_mm512_inserti32x4(FC_JOINED_TWO, FC_PIECE_OF(2), 2), FC_PIECE_OF(3), 3)
#else
#define FC_BYTES uint8x16_t
#define vmixlow8(a, b) vzip1q_u8(a, b)
#define vmixhigh8(a, b) vzip2q_u8(a, b)
#define vmixlow16(a, b) (FC_BYTES) vzip1q_u16((uint16x8_t)(a), (uint16x8_t)(b))
#define vmixhigh16(a, b) (FC_BYTES) vzip2q_u16((uint16x8_t)(a), (uint16x8_t)(b))
#define vpack32(a, b) vcombine_s16(vqmovn_s32((int32x4_t)(a)), vqmovn_s32((int32x4_t)(b)))
#define vpack16(a, b) vcombine_u8(vqmovun_s16(a), vqmovun_s16(b))
#define FC_JOINED_16 vld1q_u8((const uint8_t *)p + NAME(piece_at)(g, plane))
#endif
#define PIECES (FC_VECTOR_BYTES / 16)
enum { NAME(turned) = 16 /* rows */ };

/* Where the piece of plane `plane` begins, or of the last there is */
FC_INLINE ptrdiff_t NAME(piece_at)(const fc_turning *g, ptrdiff_t plane)
{
    return (plane < g->count ? plane : g->count - 1) * g->apart;
}

/* Sixteen bytes of every 16th plane from `plane` on */
FC_INLINE FC_BYTES NAME(pieces)(const char *p, const fc_turning *g, ptrdiff_t plane)
{
    return FC_WITH(FC_JOINED, FC_VECTOR_BYTES);
}

FC_INLINE void NAME(turn_bytes)(FC_BYTES *v)
{
    EACH(round, 4) {
        FC_BYTES next[NAME(turned)];
        EACH(i, 8)
            next[2 * i] = vmixlow8(v[i], v[i + 8]), next[2 * i + 1] = vmixhigh8(v[i], v[i + 8]);
        EACH(i, 16)
            v[i] = next[i];
    }
}

static void NAME(bytes_in)(const fc_turning *g)
{
    typedef uint8_t bytes __attribute__((vector_size(FC_VECTOR_BYTES)));
    const bytes flip = (uint8_t)g->flip - (bytes){0};
    for (ptrdiff_t i = 0; i < g->n; i += 16) {
        FC_BYTES v[NAME(turned)];
        i = i + 16 > g->n ? g->n - 16 : i;
        EACH(r, 16)
            v[r] = NAME(pieces)(g->from + i, g, r);
        NAME(turn_bytes)(v);
        EACH(r, 16) {
            const bytes pixel = (bytes)v[r] ^ flip;
            __builtin_memcpy(g->to + g->at[i + r], &pixel, sizeof pixel);
        }
    }
}

static void NAME(bytes_out)(const fc_turning *g)
{
    for (ptrdiff_t i = 0; i < g->n; i += 16) {
        FC_BYTES v[NAME(turned)];
        i = i + 16 > g->n ? g->n - 16 : i;
        EACH(r, 16)
            __builtin_memcpy(v + r, g->from + (i + r) * FC_VECTOR_BYTES, FC_VECTOR_BYTES);
        NAME(turn_bytes)(v);
        EACH(r, 16) {
            char piece[FC_VECTOR_BYTES];
            __builtin_memcpy(piece, v + r, FC_VECTOR_BYTES);
            EACH(q, PIECES)
                if (16 * q + r < g->count)
                    __builtin_memcpy(g->to + (16 * q + r) * g->apart + i, piece + 16 * q, 16);
        }
    }
}

static void NAME(rescale)(char *to, const void *sums, ptrdiff_t n, const fc_rescaling *g)
{
    const T *scale = g->scale;
    const char *from = sums;
    const int least = g->stored == FC_I8 ? -128 : 0;
    const VT low = vsplat((T)(least - g->zero)), high = vsplat((T)(least + 255 - g->zero));
    for (; n > 0; n--, from += 4 * FC_VECTOR_BYTES, to += g->step) {
        typedef uint8_t bytes __attribute__((vector_size(FC_VECTOR_BYTES)));
        NAME(of_int32_t) v[4];
        EACH(i, 4) {
            const VT scaled = FC_CONVERT(vraw(int32_t, from + i * FC_VECTOR_BYTES), float) * vload(scale + i * VLEN);
            v[i] = vround(vmin(high, vmax(low, scaled))) + (g->zero - least);
        }
        bytes all = (bytes)vpack16(vpack32(v[0], v[1]), vpack32(v[2], v[3]));
        all ^= (uint8_t)least;
        if (g->count == FC_VECTOR_BYTES)
            __builtin_memcpy(to, &all, sizeof all);
        else
            __builtin_memcpy(to, &all, (size_t)g->count);
    }
}
#undef PIECES
