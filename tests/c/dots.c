/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks of layers of bytes, and of what they begin and end with. */
#include "check.h"

/* Rows of bytes of poison but for n of them, `step` apart, woven one by one */
void check_weave(fc_weave_fn *weave)
{
    for (int trial = 0; trial < TRIALS(400); trial++) {
        const int kind = trial % 2 ? FC_DOT_QUAD : FC_DOT_PAIR, most = kind == FC_DOT_QUAD ? 4 : 2;
        const ptrdiff_t n = up_to(70), step = up_to(3);
        const int parts = (int)up_to(most), bits = kind == FC_DOT_QUAD ? 8 : 16;
        fc_weaving g = {.step = step, .kind = kind, .parts = parts, .flip = up_to(2) == 1 ? 128 : 0, .shift = (uint32_t)up_to(255)};
        const ptrdiff_t apart = up_to(3) == 1 && step >= parts ? 1 : (n - 1) * step + 1;
        char *from = place(0, (n - 1) * step + 1 + (parts - 1) * apart), *to = place(2, 4 * n);
        EACH(p, parts) EACH(i, n) from[p * apart + i * step] = (char)random64();
        EACH(p, 4) g.from[p] = from + (p < parts ? p : 0) * apart;
        weave(to, &g, n);
        const char *wrong = "";
        EACH(i, n) {
            uint32_t got, want = 0;
            EACH(p, parts) {
                const unsigned char *at = (const unsigned char *)from + p * apart + i * step;
                uint32_t value = at[0] ^ g.flip;
                value = kind == FC_DOT_PAIR ? (value - g.shift) & 0xffff : value;
                want |= value << (p * bits);
            }
            memcpy(&got, to + 4 * i, 4);
            if ((got ^ want) & (parts == most ? 0xffffffff : (1u << (parts * bits)) - 1))
                wrong = "an element is wrong";
            memset(to + 4 * i, POISON, 4);
        }
        EACH(byte, AREA) if ((unsigned char)areas[2][byte] != POISON) wrong = "wrote outside out";
        say_case("kind %d, %td of %d numbers, %td bytes apart", kind, n, parts, step);
        verdict(wrong);
    }
}

void check_requantize(fc_requantize_fn *requantize)
{
    static const int stored[] = {FC_I32, FC_U8, FC_I8};
    for (int trial = 0; trial < TRIALS(300); trial++) {
        const int to_type = stored[trial % 3], corrects = trial % 2, least = to_type == FC_I8 ? -128 : 0;
        const ptrdiff_t n = up_to(70), bytes = fc_stored_size(to_type), whole = round_up(n, 16);
        char *from = place(0, 4 * whole), *of_x = place(1, 4 * whole), *to = place(2, n * bytes);
        EACH(i, whole) put(from + 4 * i, (double)up_to(4000) - 2000, FC_I32), put(of_x + 4 * i, (double)up_to(50), FC_I32);
        const fc_requantizing g = {.of_x = corrects ? of_x : NULL, .add = (int32_t)up_to(99), .factor = (int32_t)up_to(255) - 128,
                                   .zero = least + (int32_t)up_to(256) - 1, .scale = (float)up_to(16) / 64};
        requantize(to, to_type, from, n, &g);
        const char *wrong = "";
        EACH(i, n) {
            double sum = get(from + 4 * i, FC_I32) + g.add - (corrects ? get(of_x + 4 * i, FC_I32) * g.factor : 0);
            if (to_type != FC_I32)
                sum = fmin(fmax(nearbyint(sum * (double)g.scale) + g.zero, least), least + 255);
            if (get(to + i * bytes, to_type) != sum)
                wrong = "a result is wrong";
            memset(to + i * bytes, POISON, (size_t)bytes);
        }
        EACH(byte, AREA) if ((unsigned char)areas[2][byte] != POISON) wrong = "wrote outside out";
        say_case("type %d, %td sums, corrects %d", to_type, n, corrects);
        verdict(wrong);
    }
}

/* Planes of bytes to pixels in any order, amid poison */
void check_bytes_in(fc_bytes_in_fn *bytes_in)
{
    const ptrdiff_t all = table->vector_bytes;
    for (int trial = 0; trial < TRIALS(60); trial++) {
        const ptrdiff_t n = 15 + up_to(40), apart = n + up_to(20) - 1, step = trial % 2 ? 1 : n - 1;
        ptrdiff_t at[64];
        fc_turning g = {.at = at, .apart = apart, .count = up_to(all), .n = n, .flip = up_to(2) == 1 ? 128 : 0};
        char *from = place(0, (g.count - 1) * apart + n);
        EACH(i, n) at[i] = i * step % n * all;
        EACH(i, (g.count - 1) * apart + n) from[i] = (char)random64();
        g.from = from, g.to = place(2, n * all);
        bytes_in(&g);
        const char *wrong = "";
        EACH(i, n) EACH(p, g.count) if (g.to[at[i] + p] != (char)(from[p * apart + i] ^ (char)g.flip)) wrong = "a byte is wrong";
        memset(g.to, POISON, (size_t)(n * all));
        EACH(byte, AREA) if ((unsigned char)areas[2][byte] != POISON) wrong = "wrote outside out";
        say_case("%td planes of %td bytes, %td apart", g.count, n, apart);
        verdict(wrong);
    }
}

void check_bytes_out(fc_bytes_out_fn *bytes_out)
{
    const ptrdiff_t all = table->vector_bytes;
    for (int trial = 0; trial < TRIALS(60); trial++) {
        const ptrdiff_t n = 15 + up_to(40), apart = n + up_to(20) - 1;
        fc_turning g = {.apart = apart, .count = up_to(all), .n = n};
        char *from = place(0, n * all);
        EACH(i, n * all) from[i] = (char)random64();
        g.from = from, g.to = place(2, (g.count - 1) * apart + n);
        bytes_out(&g);
        const char *wrong = "";
        EACH(i, n) EACH(p, g.count) {
            if (g.to[p * apart + i] != from[i * all + p])
                wrong = "a byte is wrong";
            memset(g.to + p * apart + i, POISON, 1);
        }
        EACH(byte, AREA) if ((unsigned char)areas[2][byte] != POISON) wrong = "wrote outside out";
        say_case("%td planes of %td bytes, %td apart", g.count, n, apart);
        verdict(wrong);
    }
}

void check_rescale(fc_rescale_fn *rescale)
{
    const ptrdiff_t all = table->vector_bytes;
    for (int trial = 0; trial < TRIALS(100); trial++) {
        const int stored = trial % 2 ? FC_U8 : FC_I8, least = stored == FC_I8 ? -128 : 0;
        const ptrdiff_t n = up_to(20), count = trial % 3 ? up_to(all) : all, step = count + up_to(9) - 1;
        char *sums = place(0, 4 * n * all), *scale = place(1, 4 * all), *to = place(2, (n - 1) * step + count);
        EACH(i, n * all) put(sums + 4 * i, up_to(9) == 1 ? 2e9 * (double)(up_to(3) - 2) : (double)up_to(4000) - 2000, FC_I32);
        EACH(i, all) put(scale + 4 * i, up_to(9) == 1 ? 1e30 : (double)up_to(16) / 64, FC_F32);
        const fc_rescaling g = {scale, stored, least + (int)up_to(256) - 1, count, step};
        rescale(to, sums, n, &g);
        const char *wrong = "";
        EACH(p, n) EACH(c, count) {
            const ptrdiff_t lane = fc_lane_of(c, all);
            const float scaled = (float)get(sums + 4 * (p * all + lane), FC_I32) * (float)get(scale + 4 * lane, FC_F32);
            if (get(to + p * step + c, stored) != fmin(fmax(nearbyint((double)scaled) + g.zero, least), least + 255))
                wrong = "a result is wrong";
            memset(to + p * step + c, POISON, 1);
        }
        EACH(byte, AREA) if ((unsigned char)areas[2][byte] != POISON) wrong = "wrote outside out";
        say_case("type %d, %td pixels, %td planes", stored, n, count);
        verdict(wrong);
    }
}

static fc_axis random_axis(ptrdiff_t most)
{
    fc_axis a = {.n = up_to(most), .k = most == 1 ? 1 : up_to(5), .stride = up_to(4) == 1 ? 2 : 1, .dilation = up_to(4) == 1 ? 2 : 1,
                 .lead = up_to(3) - 1, .boundary = (int)up_to(5) - 1};
    const ptrdiff_t span = (a.k - 1) * a.dilation + 1, padded = a.n + a.lead + up_to(3) - 1;
    a.out = ((padded < span ? span : padded) - span) / a.stride + 1;
    return a;
}

/* Random layers of bytes, whose sums are exact, with and without what not all CPUs have */
void check_dots(void)
{
    fc_tune(8, 0, 0);
    static const int kinds[] = {FC_U8, FC_I8};
    for (int trial = 0; trial < TRIALS(300); trial++) {
        const int x_type = kinds[trial % 2], w_type = kinds[up_to(2) - 1];
        fc_dots d = {.x_type = x_type, .w_type = w_type, .out_type = FC_I32, .x_zero = (int)up_to(100)};
        fc_conv *g = &d.layer;
        *g = (fc_conv){.type = FC_F32, .images = up_to(2), .groups = up_to(3) == 1 ? up_to(4) : 1, .channels = up_to(9),
                       .kernels = up_to(20), .threads = (int)up_to(3)};
        if (trial % 4 == 0)
            g->groups = 7 + up_to(60), g->channels = 1, g->kernels = up_to(2);
        if (trial % 4 == 1) /* channels fill vectors */
            g->channels = 14 + up_to(58), g->kernels = up_to(3);
        EACH(a, 3) g->axis[a] = random_axis(a == 0 ? (trial % 5 ? 1 : 3) : a == 1 ? 9 : 30);
        const fc_axis *z = &g->axis[0], *r = &g->axis[1], *s = &g->axis[2];
        const ptrdiff_t c_all = g->groups * g->channels, k_all = g->groups * g->kernels, taps = z->k * r->k * s->k;
        const ptrdiff_t x_count = g->images * c_all * z->n * r->n * s->n, volume = z->out * r->out * s->out;
        if (x_count > AREA / 2 || g->images * k_all * volume * 4 > AREA / 2 || k_all * g->channels * taps > AREA / 2)
            continue;
        char *px = place(0, x_count), *pw = place(1, k_all * g->channels * taps), *pb = place(3, 4 * k_all);
        int32_t zero[160];
        EACH(i, x_count) put(px + i, (double)up_to(120) - (x_type == FC_U8 ? 1 : 60), x_type);
        EACH(i, k_all * g->channels * taps) put(pw + i, (double)up_to(120) - (w_type == FC_U8 ? 1 : 60), w_type);
        EACH(i, k_all) put(pb + 4 * i, (double)up_to(99), d.out_type), zero[i] = (int32_t)up_to(100);
        d.w_zero = zero, d.w_zeros = trial % 4 == 0 ? 0 : trial % 4 == 1 ? 1 : k_all;
        g->axis[2].x_step = 1, g->axis[1].x_step = s->n, g->axis[0].x_step = r->n * s->n;
        g->x_channel = z->n * r->n * s->n, g->x_image = c_all * g->x_channel;
        g->x = px, g->w = pw, g->bias = trial % 5 ? pb : NULL;
        g->out = place(2, g->images * k_all * volume * 4);
        fc_dots_native(trial % 7 < 4);
        g->last = trial % 3 && fc_dots_takes_last(&d);
        say_case("trial %d: types %d %d, images %td, groups %td, %td -> %td, zeros %td", trial, x_type, w_type, g->images, g->groups,
                 g->channels, g->kernels, d.w_zeros);
        EACH(a, 3) say_more("; x %td, k %td, out %td, stride %td, dilation %td, lead %td, boundary %d", g->axis[a].n, g->axis[a].k,
                            g->axis[a].out, g->axis[a].stride, g->axis[a].dilation, g->axis[a].lead, g->axis[a].boundary);
        const char *wrong = fc_dots_run(&d) ? "memory is short" : "";
        EACH(image, g->images) EACH(m, k_all) EACH(q, volume) {
            double sum = g->bias ? get(pb + 4 * m, d.out_type) : 0;
            EACH(c, g->channels) EACH(t, taps) {
                const ptrdiff_t o[3] = {q / (r->out * s->out), q / s->out % r->out, q % s->out};
                const ptrdiff_t tap[3] = {t / (r->k * s->k), t / s->k % r->k, t % s->k};
                ptrdiff_t at = image * c_all + m / g->kernels * g->channels + c, outside = 0;
                EACH(a, 3) {
                    const fc_axis *x = &g->axis[a];
                    const ptrdiff_t i = folded(o[a] * x->stride - x->lead + tap[a] * x->dilation, x->n, x->boundary);
                    at = at * x->n + i, outside |= i < 0;
                }
                const double w = get(pw + (m * g->channels + c) * taps + t, w_type);
                sum += outside ? 0 : (get(px + at, x_type) - d.x_zero) * (w - (d.w_zeros ? zero[d.w_zeros == 1 ? 0 : m] : 0));
            }
            char *result = g->out + (g->last ? (image * volume + q) * k_all + m : (image * k_all + m) * volume + q) * 4;
            if (!*wrong && get(result, d.out_type) != sum)
                wrong = "a result is wrong";
            memset(result, POISON, 4);
        }
        EACH(byte, AREA) if (!*wrong && (unsigned char)areas[2][byte] != POISON) wrong = "wrote outside out";
        verdict(wrong);
    }
    fc_dots_native(1);
}
