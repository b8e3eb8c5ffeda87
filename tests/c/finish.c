/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks of what becomes of results: addition and activations. */
#include "check.h"

static double activated(int activation, double x)
{
    const double sigmoid = 1 / (1 + exp(-x)), hard = fmin(fmax(x + 3, 0), 6) / 6;
    switch (activation) {
    case FC_LEAKY_RELU: return x < 0 ? -0.5 * x : x;
    case FC_HARDSIGMOID: return hard;
    case FC_HARDSWISH: return x * hard;
    case FC_SIGMOID: return sigmoid;
    case FC_SILU: return x * sigmoid;
    case FC_TANH: return tanh(x);
    case FC_GELU: return x * erfc(-x * 0.70710678118654752) / 2;
    default: return x / (1 + exp(-1.5957691216057308 * (x + 0.044715 * x * x * x)));
    }
}

/* Numbers of any size, as precise as libm and their own rounding let it be */
static void check_activations(fc_finish_fn *finish)
{
    for (int activation = FC_LEAKY_RELU; activation <= FC_GELU_TANH; activation++) {
        enum { MANY = 601 };
        char *from = place(0, MANY * size), *to = place(2, MANY * size), wrong[200] = "";
        EACH(i, MANY) put(from + i * size, ldexp((double)(i - 300) / 300, (int)(i % 40) - 25) * 3, type);
        const fc_finishing g = {.to = to, .from = from, .rows = 1, .cols = MANY, .activation = activation, .low = -0.5};
        finish(&g);
        EACH(i, MANY) {
            const double x = get(from + i * size, type), want = activated(activation, x), got = get(to + i * size, type);
            const double bound = fabs(want) * (type == FC_F32 ? 0x1p-23 : 0x1p-52) * 8 * (x < 0 ? 1 + x * x : 1) + 1e-44;
            if (!(fabs(got - want) <= bound))
                snprintf(wrong, sizeof wrong, "activation %d of %.17g is %.17g, not %.17g", activation, x, got, want);
            memset(to + i * size, POISON, (size_t)size);
        }
        EACH(byte, AREA) if (!*wrong && (unsigned char)areas[2][byte] != POISON) snprintf(wrong, sizeof wrong, "wrote outside out");
        say_case("activation %d", activation);
        verdict(wrong);
    }
}

void check_finish(fc_finish_fn *finish)
{
    check_activations(finish);
    for (ptrdiff_t n = 1; n <= 70; n++) {
        const ptrdiff_t rows = 1 + n % 3;
        const int adds = n % 2, in_place = n % 5 < 2;
        randomize(0, type);
        view v = lay(dest, ADJACENT, 1, rows, n, NULL), from = lay(source[0], ADJACENT, 1, rows, n, x);
        char *add = place(1, (rows - 1) * v.row + n * size);
        EACH(i, rows) EACH(j, n) {
            put(add + i * v.row + j * size, x[0][i][j], type);
            if (in_place)
                put(element(v, 0, i, j), x[0][i][j], type);
            const double sum = adds ? 2 * x[0][i][j] : x[0][i][j];
            want[0][i][j] = (cell){.sum = fmin(fmax(sum, -0.5), 0.25), .mass = 1, .n = 1};
            want[0][i][j].wide = (long double)want[0][i][j].sum;
        }
        say_case("%td rows of %td elements, in place %d, added %d", rows, n, in_place, adds);
        const fc_finishing g = {.to = v.p, .from = in_place ? v.p : from.p, .add = adds ? add : NULL, .rows = rows, .cols = n,
                                .ts = v.row / size, .fs = (in_place ? v.row : from.row) / size, .low = -0.5, .high = 0.25};
        finish(&g);
        verify(v, 1, rows, n);
    }
}
