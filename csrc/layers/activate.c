/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The activations of layers for elements that are there already, in shares of some pages; and what these are in bfloat16.
 */
#include "layers/layer.h"

enum { SHARE = 1 << 14 /* elements */ };

typedef struct {
    const fc_ops *op;
    char *out;
    const char *x;
    ptrdiff_t n, size;
    fc_finishing how;
} elements;

static void activate_share(void *context, ptrdiff_t index, int slot)
{
    const elements *d = context;
    fc_finishing f = d->how;
    (void)slot;
    f.to = d->out + index * SHARE * d->size, f.from = d->x + index * SHARE * d->size;
    f.rows = 1, f.cols = min(SHARE, d->n - index * SHARE);
    d->op->finish(&f);
}

int fc_activate(int type, char *out, const char *x, ptrdiff_t n, int activation, double low, double high, int threads)
{
    const fc_kernels *fc = fc_in_use();
    const ptrdiff_t size = fc_stored_size(type);
    elements d = {fc->op[type], out, x, n, size, {.activation = activation, .low = low, .high = high}};
    const double us = fc_time_us(RATE_ACTIVATIONS, 0, fc->vector_bytes, (double)(n * size));
    fc_pool_run(fc_threads_for(us, threads), parts_of(n, SHARE), activate_share, &d);
    return 0;
}

static void round_share(void *context, ptrdiff_t index, int slot)
{
    const elements *d = context;
    (void)slot;
    d->op->narrow(d->out + index * SHARE * 2, FC_BF16, d->x + index * SHARE * d->size, min(SHARE, d->n - index * SHARE), 1,
                  FC_TRUNCATED);
}

void fc_round_bfloat16(char *out, const char *x, ptrdiff_t n)
{
    elements d = {.op = fc_in_use()->op[FC_F32], .out = out, .x = x, .n = n, .size = fc_stored_size(FC_F32)};
    fc_pool_run(1, parts_of(n, SHARE), round_share, &d);
}
