/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Correlation with a kernel of its own for each element of some leading axes.
 *
 *   x    o o o o o o o o      elements; of each, g describes planes and axes
 *   k    | | | | | | | |      its kernel
 *        +---+---+---+---+    shares of them, each the work of one thread
 *
 * What depends on sizes only is made ready once for each thread: a call, and scratch. From element to element its taps are
 * exchanged. Where there are few elements, all threads work on one after the other. An element has the bits that it has by
 * itself.
 */
#include "corr/call.h"

enum { EACH_SHARES = 4 /* of a thread, at least: so threads end together */ };

/* A thread's */
typedef struct {
    fc_corr g;
    call c;
    char *scratch;
} each_thread;

typedef struct {
    const fc_corr *g;
    const fc_each *axis;
    int axes;
    ptrdiff_t elements, shares;
    each_thread *thread;
} each;

static void each_element(const each *e, each_thread *t, ptrdiff_t n)
{
    const fc_corr *g = e->g;
    const char *x = g->x;
    char *out = g->out;
    t->g.k = g->k;
    for (int a = e->axes - 1; a >= 0; a--) {
        const ptrdiff_t at = n % e->axis[a].n;
        n /= e->axis[a].n;
        x += at * e->axis[a].x_step, t->g.k += at * e->axis[a].k_step, out += at * e->axis[a].out_step;
    }
    t->c.method->retap(&t->c, t->scratch);
    fc_call_carry_out(&t->c, x, out, g->doubtful, t->scratch);
}

static void each_share(void *context, ptrdiff_t share, int slot)
{
    const each *e = context;
    const ptrdiff_t size = e->elements / e->shares, rest = e->elements % e->shares;
    const ptrdiff_t from = share * size + min(share, rest), to = from + size + (share < rest);
    for (ptrdiff_t n = from; n < to; n++) {
        each_element(e, &e->thread[slot], n);
        if (n % 16 == 15 && fc_gives_up())
            return;
    }
}

int fc_corr_each(const fc_corr *g, int axes, const fc_each *axis)
{
    each e = {.g = g, .axis = axis, .axes = axes, .elements = 1};
    fc_plan plan;
    for (int a = 0; a < axes; a++)
        e.elements = times(e.elements, axis[a].n);
    const fc_kernels *fc = fc_in_use();
    fc_corr_plan(fc->vector_bytes, g, &plan);
    if (e.elements == 0 || plan.planes == 0 || g->axis[DEPTH].out == 0 || g->axis[ROWS].out == 0 || g->axis[COLS].out == 0)
        return 0;
    const int shared = e.elements >= (ptrdiff_t)EACH_SHARES * g->threads;
    const int threads = shared ? fc_threads_for(plan.serial_us * (double)e.elements, g->threads) : 1;
    e.shares = threads > 1 ? (ptrdiff_t)EACH_SHARES * threads : 1;
    e.thread = fc_alloc((size_t)threads, sizeof *e.thread);
    int ready = 0, failed = !e.thread;
    while (!failed && ready < threads) {
        each_thread *t = &e.thread[ready++];
        t->g = *g, t->g.threads = shared ? 1 : g->threads;
        failed = fc_call_prepare(&t->c, &t->g, fc, NULL) != 0;
        t->scratch = failed ? NULL : fc_alloc((size_t)t->c.plan.threads, (size_t)t->c.thread_bytes);
        failed |= !t->scratch;
    }
    if (!failed)
        fc_pool_run(threads, e.shares, each_share, &e);
    while (ready > 0) {
        each_thread *t = &e.thread[--ready];
        fc_free(t->scratch);
        fc_call_forget(&t->c, NULL);
    }
    fc_free(e.thread);
    return failed ? -1 : 0;
}
