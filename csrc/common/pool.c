/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The thread pool. Chunks are handed out from an atomic counter; the caller works too.
 *
 *   - Workers start at the first call that wants them.
 *   - The job lives on the caller's stack. A worker joins it by taking a ticket under the lock; when the
 *     caller runs out of chunks it withdraws the tickets left and waits only for workers that hold one:
 *     a worker that wakes late never delays a call.
 *   - Nested calls, and calls from other threads while the pool is busy, run on their own thread.
 *   - After fork() the child has no workers: the handler forgets them and they are started anew.
 *   - If a thread cannot be created, the work goes on with fewer.
 *   - Waking a sleeping thread takes 50 us and more on a virtual machine. So a worker that is done looks
 *     out for the next job, and the caller for its last worker, for SPIN_US before they sleep.
 *   - A kernel that wakes a worker on the caller's own CPU makes the two take turns (seen on small
 *     virtual machines: no speed-up at all for jobs of a millisecond). So workers are kept off the CPU
 *     that the caller is on: an affinity call, made only when the caller has moved.
 *   - A job may be given up, between chunks (giving_up.c). Who is asked for that may fork: the child computes all chunks anew,
 *     for those of the workers are lost.
 */
#include "common/giving_up.h"
#include "common/platform.h"
#include <stdatomic.h>
#include <string.h>

enum { MAX_WORKERS = 255 };

typedef struct {
    fc_task *run;
    void *context;
    ptrdiff_t chunks;
    atomic_ptrdiff_t next;
    atomic_int joined; /* workers that hold a ticket; changed under the lock */
    atomic_int *stop;  /* whether it is given up */
} job;

static struct {
    fc_lock lock;
    fc_bell wake, done;
    atomic_flag busy;
    job *current;
    atomic_int tickets; /* changed under the lock */
    int slot, workers;
    int avoided_cpu; /* what the workers' affinity leaves out; -1: nothing yet */
    fc_thread worker[MAX_WORKERS];
} pool = {FC_LOCK_INIT, FC_BELL_INIT, FC_BELL_INIT, ATOMIC_FLAG_INIT, NULL, 0, 0, 0, -1, {0}};

static atomic_int spread = 1;

void fc_pool_spread(int on) { atomic_store(&spread, on); }

static _Atomic double threads_from_us = FC_THREADS_FROM_US;

void fc_threads_from(double us) { threads_from_us = us; }

int fc_threads_for(double serial_us, int threads) { return serial_us < threads_from_us ? 1 : threads; }

static void pool_drain(job *j, int slot)
{
    atomic_int *const outer = fc_here.stop;
    fc_here.stop = j->stop;
    for (ptrdiff_t chunk; (chunk = atomic_fetch_add(&j->next, 1)) < j->chunks;) {
        j->run(j->context, chunk, slot);
        if (j->chunks > 1 && fc_gives_up())
            break;
    }
    fc_here.stop = outer;
}

/* Look at *number for a while: until it is zero, or until it is not. */
static void pool_spin(atomic_int *number, int until_zero)
{
    double end = fc_now_us() + SPIN_US;
    do
        for (int i = 0; i < 32; i++) {
            if ((atomic_load(number) == 0) == until_zero)
                return;
#if defined __x86_64__
            __builtin_ia32_pause();
#elif defined __aarch64__
            __asm__ volatile("yield");
#endif
        }
    while (fc_now_us() < end);
}

static void pool_work(void)
{
    fc_here.is_worker = 1;
    fc_lock_take(&pool.lock);
    for (;;) {
        while (pool.tickets == 0)
            fc_bell_wait(&pool.wake, &pool.lock);
        pool.tickets--;
        job *j = pool.current;
        int slot = ++pool.slot;
        j->joined++;
        fc_lock_release(&pool.lock);
        pool_drain(j, slot);
        fc_lock_take(&pool.lock);
        if (--j->joined == 0)
            fc_bell_ring(&pool.done); /* j may be gone once the lock is released */
        fc_lock_release(&pool.lock);
        pool_spin(&pool.tickets, 0);
        fc_lock_take(&pool.lock);
    }
}

static atomic_uint forks; /* by which this process came to be, since it has workers */

static void pool_forget(void)
{
    atomic_fetch_add(&forks, 1);
    memset(&pool, 0, sizeof pool);
    fc_lock_init(&pool.lock);
    fc_bell_init(&pool.wake);
    fc_bell_init(&pool.done);
    atomic_flag_clear(&pool.busy);
    pool.avoided_cpu = -1;
}

/* Only the owner of `busy` starts workers. */
static void pool_start_workers(int wanted)
{
    static int handles_forks;
    if (!handles_forks)
        handles_forks = fc_after_fork(pool_forget);
    while (pool.workers < wanted && pool.workers < MAX_WORKERS && fc_thread_start(&pool.worker[pool.workers], pool_work)) {
        pool.workers++;
        pool.avoided_cpu = -1; /* the new one has no affinity yet */
    }
}

static void pool_leave_cpu_to_caller(void)
{
    int cpu = fc_cpu_here();
    if (cpu >= 0 && cpu != pool.avoided_cpu && atomic_load(&spread) && fc_keep_off_cpu(cpu, pool.worker, pool.workers))
        pool.avoided_cpu = cpu;
}

void fc_pool_run(int threads, ptrdiff_t chunks, fc_task *run, void *context)
{
    if (chunks == 1) { /* as of small calls, which what belongs to a thread would cost a tenth of their time */
        run(context, 0, 0);
        return;
    }
    atomic_int stop = 0;
    job j = {run, context, chunks, 0, 0, fc_here.stop ? fc_here.stop : &stop};
    const unsigned before = atomic_load(&forks);
    if (fc_here.gave_up)
        return;
    if (threads > chunks)
        threads = (int)chunks;
    if (threads <= 1 || atomic_flag_test_and_set(&pool.busy)) {
        pool_drain(&j, 0);
        return;
    }
    if (pool.workers < threads - 1)
        pool_start_workers(threads - 1);
    pool_leave_cpu_to_caller();

    fc_lock_take(&pool.lock);
    pool.current = &j;
    pool.slot = 0;
    pool.tickets = threads - 1;
    if (pool.tickets > pool.workers)
        pool.tickets = pool.workers;
    for (int t = 0; t < pool.tickets; t++)
        fc_bell_ring(&pool.wake);
    fc_lock_release(&pool.lock);

    pool_drain(&j, 0);
    if (atomic_load(&forks) != before) {
        atomic_store(&j.next, 0);
        pool_drain(&j, 0);
        return;
    }

    fc_lock_take(&pool.lock);
    pool.tickets = 0;
    fc_lock_release(&pool.lock);
    pool_spin(&j.joined, 1);
    fc_lock_take(&pool.lock);
    while (j.joined > 0)
        fc_bell_wait(&pool.done, &pool.lock);
    pool.current = NULL;
    fc_lock_release(&pool.lock);
    atomic_flag_clear(&pool.busy);
}
