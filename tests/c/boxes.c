/* SPDX-License-Identifier: BSD-3-Clause
 * Checks of the passes of boxes: tails, heads that are stored turned, and windows of these. */
#include "check.h"

enum { LANES = 32, MOST = 40, CHANNELS = 4 };
static _Alignas(64) char scratch[4 * TALL * 8], turned[(4 * TALL + 3 * CHANNELS * MOST) * 64],
    room[3 * (MOST + 1) * CHANNELS * 64];

static ptrdiff_t lanes_of(void) { return table->vector_bytes / size; }
static ptrdiff_t whole_vectors(ptrdiff_t n) { return (n + lanes_of() - 1) / lanes_of() * lanes_of(); }

void check_box_tails(fc_box_tails_fn *box_tails)
{
    EACH(trial, TRIALS(100)) {
        const ptrdiff_t rows = up_to(MOST), cols = up_to(9 * lanes_of()), wide = whole_vectors(cols), step = trial % 2 ? 1 : -1;
        const char *from[MOST];
        char *to[MOST];
        randomize(trial % 3, type);
        view vx = lay(source[0], ADJACENT, 1, rows, cols, x), out = lay(dest, ADJACENT, 1, rows, wide, NULL);
        EACH(i, rows)
            from[i] = element(vx, 0, i, 0), to[i] = element(out, 0, i, 0);
        EACH(j, wide) {
            cell c = {0};
            for (ptrdiff_t t = rows - 1; t >= 0; t--) {
                if (j < cols)
                    add_product(&c, x[0][step > 0 ? t : rows - 1 - t][j], 1);
                want[0][t][j] = c;
            }
        }
        say_case("rows %td, cols %td, step %td", rows, cols, step);
        box_tails(step > 0 ? from : from + rows - 1, step, to, 1, rows, cols);
        verify(out, 1, rows, wide);
    }
}

void check_box_heads(fc_box_heads_fn *box_heads)
{
    EACH(trial, TRIALS(100)) {
        const ptrdiff_t rows = lanes_of(), cols = up_to(TALL - rows), wide = whole_vectors(cols);
        const unsigned resets = trial % 2 ? (unsigned)up_to(1 << 16) - 1 : 0;
        const char *from[LANES];
        char *tails[LANES];
        randomize(1, type); /* whole numbers: no rounding */
        view vx = lay(source[0], ADJACENT, 1, rows, cols, x), vk = lay(source[1], ADJACENT, 1, rows, wide, k);
        view out = lay(dest, ADJACENT, 1, wide, rows, NULL);
        EACH(i, rows)
            from[i] = element(vx, 0, i, 0), tails[i] = element(vk, 0, i, 0);
        EACH(j, wide) {
            double head = x[2][0][j];
            put(scratch + j * size, head, type);
            EACH(i, rows) {
                cell c = {0};
                add_product(&c, k[0][i][j], 1), add_product(&c, head, 1);
                want[0][j][i] = c;
                head = resets >> i & 1 ? 0 : head + (j < cols ? x[0][i][j] : 0);
            }
            x[3][0][j] = head;
        }
        say_case("cols %td, resets %x", cols, resets);
        box_heads(from, tails, resets, scratch, turned, cols);
        EACH(j, wide)
            memcpy(element(out, 0, j, 0), turned + j * table->vector_bytes, (size_t)table->vector_bytes);
        verify(out, 1, wide, rows);
        int same = 1;
        EACH(j, cols)
            same &= get(scratch + j * size, type) == x[3][0][j];
        verdict(same ? "" : "heads are wrong");
    }
}

/* Numbers to so many turned columns, and zeros beside them */
static void lay_turned(char *from, ptrdiff_t cols)
{
    randomize(1, type); /* whole numbers: no rounding */
    memset(turned, 0, sizeof turned);
    EACH(j, cols)
        EACH(i, lanes_of())
            put(from + (j * lanes_of() + i) * size, x[0][i][j], type);
}

/* Sums that are not asked for, of columns behind the last one, may overflow. */
static void check_columns_behind(fc_box_across_fn *box_across)
{
    const ptrdiff_t lanes = lanes_of(), w = 3;
    const double high = type == FC_F32 ? 3e38 : 1.5e308;
    char factor[8], *const from = turned + lanes * table->vector_bytes;
    put(factor, 0.5, type);
    for (ptrdiff_t cols = 1; cols <= 3 * lanes; cols++) {
        const fc_sums g = {w, 2 * (cols + 1) % w, lanes, cols, 1}; /* a block begins behind the first of these columns */
        view out = lay(dest, ADJACENT, 1, lanes, cols, NULL);
        memset(turned, 0, sizeof turned);
        EACH(i, lanes)
            EACH(t, w)
                put(from + ((cols - 1 + t) * lanes + i) * size, t > 0 ? high : -high, type);
        say_case("cols %td, and one more that overflows", cols);
        verdict(box_across(from, &g, factor, NULL, out.p, out.row / size, room) ? "" : "they are finite");
    }
}

void check_box_across(fc_box_across_fn *box_across)
{
    EACH(trial, TRIALS(300)) {
        const ptrdiff_t lanes = lanes_of(), w = up_to(trial % 3 ? 9 : 20), first = trial % 4 ? 0 : up_to(lanes) - 1;
        const ptrdiff_t rows = trial % 2 ? lanes : up_to(lanes),
                        wide = trial % 4 ? 1 + up_to(TALL) : whole_vectors(up_to(TALL));
        const ptrdiff_t cols = wide - first, odd = up_to(lanes) - 1;
        const fc_sums g = {w, up_to(3 * w) - 1, rows, cols, 1};
        char *const from = turned + lanes * table->vector_bytes;
        lay_turned(from, cols + w - 1);
        EACH(i, rows)
            EACH(j, cols) {
                double sum = 0;
                EACH(t, w)
                    sum += x[0][i][j + t];
                sum = sum * k[0][0][0] + 0.0; /* no -0 */
                want[0][i][j] = (cell){.sum = sum, .wrapped = (uint64_t)(int64_t)sum, .wide = sum};
            }
        view factor = lay(source[1], ADJACENT, 1, 1, 1, k), out = lay(dest, ADJACENT, 1, rows, wide, NULL);
        const char *ahead[LANES];
        EACH(i, lanes)
            ahead[i] = from;
        out.p += first * size;
        say_case("width %td, number %td, rows %td, cols %td from %td", w, g.at, rows, cols, first);
        const int finite = box_across(from, &g, factor.p, trial % 3 ? ahead : NULL, out.p, out.row / size, room);
        verify(out, 1, rows, cols);
        verdict(finite ? "" : "they are finite");
        if (is_float(type)) {
            put(from + ((up_to(cols + w - 1) - 1) * lanes + odd) * size, (double)NAN, type);
            const int some = box_across(from, &g, factor.p, NULL, out.p, out.row / size, room);
            verdict(some == (odd >= rows) ? "" : "whether they are finite");
        }
    }
    if (is_float(type))
        check_columns_behind(box_across);
}

void check_box_pixels(fc_box_pixels_fn *box_pixels)
{
    EACH(trial, TRIALS(300)) {
        const ptrdiff_t lanes = lanes_of(), line = table->vector_bytes, apart = up_to(CHANNELS), w = up_to(trial % 3 ? 9 : 20);
        const ptrdiff_t length = w * apart, cols = up_to(TALL), odd = up_to(lanes) - 1;
        const fc_sums g = {length, up_to(3 * length) - 1, lanes, cols, apart};
        char *const from = turned + length * line;
        lay_turned(from, cols + length - apart);
        EACH(j, cols)
            EACH(i, lanes) {
                double sum = 0;
                EACH(t, w)
                    sum += x[0][i][j + t * apart];
                want[0][j][i] = (cell){.sum = sum * k[0][0][0] + 0.0, .wide = sum * k[0][0][0] + 0.0}; /* no -0 */
            }
        view factor = lay(source[1], ADJACENT, 1, 1, 1, k), out = lay(dest, ADJACENT, 1, cols, lanes, NULL);
        say_case("width %td of %td channels, number %td, cols %td", w, apart, g.at, cols);
        const int finite = box_pixels(from, &g, factor.p, room);
        EACH(j, cols)
            memcpy(element(out, 0, j, 0), from + j * line, (size_t)line);
        verify(out, 1, cols, lanes);
        verdict(finite ? "" : "they are finite");
        memset(from + cols * line, 0, (size_t)(2 * length * line)); /* sums, seen as columns */
        put(from + ((up_to(cols) - 1) * lanes + odd) * size, (double)NAN, type);
        verdict(box_pixels(from, &g, factor.p, room) ? "what is not finite is not told" : "");
    }
}
