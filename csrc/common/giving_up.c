/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Calls that are given up: Ctrl-C ends one that would take long.
 *
 *   - Who calls says once what is to be asked (fc_listen): whether its program wants the call to end.
 *   - Between chunks, and within those that take long, threads ask fc_gives_up. After LISTEN_US of a call, and as often from then on,
 *     that asks the program; a call that ends sooner never reads the clock of a second chunk, and one of a single chunk none at all.
 *   - All threads of a job see that it is given up, by its flag. What is left of the call runs no more jobs.
 *   - Who called is told by fc_gave_up. What the call should have made is then anything.
 *
 * What is asked may itself call, and fork: see fc_pool_run.
 */
#include "common/platform.h"
#include "common/giving_up.h"

_Thread_local fc_call_state fc_here;

static fc_listener *listener;

void fc_listen(fc_listener *asked) { listener = asked; }

static int gives_up_now(void)
{
    const double now = fc_now_us();
    if (fc_here.next == 0)
        fc_here.next = now + LISTEN_US;
    if (now < fc_here.next)
        return 0;
    const fc_call_state before = fc_here;
    fc_here = (fc_call_state){0};
    const int heard = listener();
    fc_here = before;
    fc_here.next = fc_now_us() + LISTEN_US;
    return heard;
}

int fc_gives_up(void)
{
    if (!fc_here.gave_up && !(fc_here.stop && atomic_load_explicit(fc_here.stop, memory_order_relaxed))) {
        if (!listener || fc_here.is_worker || !gives_up_now())
            return 0;
        fc_here.gave_up = 1;
        if (fc_here.stop)
            atomic_store_explicit(fc_here.stop, 1, memory_order_relaxed);
    }
    return 1;
}

int fc_gave_up(void)
{
    const int gave_up = fc_here.gave_up;
    fc_here.gave_up = 0, fc_here.next = 0;
    return gave_up;
}
