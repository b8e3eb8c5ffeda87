/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The thread pool. Chunks are handed out from an atomic counter; the caller works too.
 *
 *   - Workers start at the first call that wants them, detached, with all signals blocked but
 *     those of faults.
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
 */
#define _GNU_SOURCE
#include "fastconv.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum { MAX_WORKERS = 255 };

typedef struct {
    fc_task *run;
    void *context;
    ptrdiff_t chunks;
    atomic_ptrdiff_t next;
    atomic_int joined; /* workers that hold a ticket; changed under the lock */
} job;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    atomic_flag busy;
    job *current;
    atomic_int tickets; /* changed under the lock */
    int slot, workers;
    int avoided_cpu; /* what the workers' affinity leaves out; -1: nothing yet */
    pthread_t worker[MAX_WORKERS];
} pool = {
    PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER, ATOMIC_FLAG_INIT, NULL, 0, 0, 0, -1, {0}};

static atomic_int spread = 1;

void fc_pool_spread(int on) { atomic_store(&spread, on); }

static double threads_from_us = FC_THREADS_FROM_US;

void fc_threads_from(double us) { threads_from_us = us; }

int fc_threads_for(double serial_us, int threads) { return serial_us < threads_from_us ? 1 : threads; }

static void pool_drain(job *j, int slot)
{
    for (ptrdiff_t chunk; (chunk = atomic_fetch_add(&j->next, 1)) < j->chunks;)
        j->run(j->context, chunk, slot);
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* Look at *number for a while: until it is zero, or until it is not. */
static void pool_spin(atomic_int *number, int until_zero)
{
    double end = now_us() + SPIN_US;
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
    while (now_us() < end);
}

static void *pool_work(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        while (pool.tickets == 0)
            pthread_cond_wait(&pool.wake, &pool.lock);
        pool.tickets--;
        job *j = pool.current;
        int slot = ++pool.slot;
        j->joined++;
        pthread_mutex_unlock(&pool.lock);
        pool_drain(j, slot);
        pthread_mutex_lock(&pool.lock);
        if (--j->joined == 0)
            pthread_cond_signal(&pool.done); /* j may be gone once the lock is released */
        pthread_mutex_unlock(&pool.lock);
        pool_spin(&pool.tickets, 0);
        pthread_mutex_lock(&pool.lock);
    }
    return NULL;
}

static void pool_forget(void)
{
    memset(&pool, 0, sizeof pool);
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.wake, NULL);
    pthread_cond_init(&pool.done, NULL);
    atomic_flag_clear(&pool.busy);
    pool.avoided_cpu = -1;
}

/* Only the owner of `busy` starts workers. */
static void pool_start_workers(int wanted)
{
    static int handles_forks;
    if (!handles_forks)
        handles_forks = pthread_atfork(NULL, NULL, pool_forget) == 0;
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV); /* faults stay open, or no handler could say where */
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool.workers < wanted && pool.workers < MAX_WORKERS) {
        if (pthread_create(&pool.worker[pool.workers], NULL, pool_work, NULL) != 0)
            break;
        pthread_detach(pool.worker[pool.workers++]);
        pool.avoided_cpu = -1; /* the new one has no affinity yet */
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

#ifdef __linux__
static void pool_leave_cpu_to_caller(void)
{
    int cpu = sched_getcpu();
    if (cpu < 0 || cpu >= CPU_SETSIZE || cpu == pool.avoided_cpu || !atomic_load(&spread))
        return;
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    CPU_CLR((size_t)cpu, &allowed);
    if (CPU_COUNT(&allowed) == 0)
        return;
    for (int i = 0; i < pool.workers; i++)
        pthread_setaffinity_np(pool.worker[i], sizeof allowed, &allowed);
    pool.avoided_cpu = cpu;
}
#else
static void pool_leave_cpu_to_caller(void) {}
#endif

void fc_pool_run(int threads, ptrdiff_t chunks, fc_task *run, void *context)
{
    job j = {run, context, chunks, 0, 0};
    if (threads > chunks)
        threads = (int)chunks;
    if (threads <= 1 || atomic_flag_test_and_set(&pool.busy)) {
        pool_drain(&j, 0);
        return;
    }
    if (pool.workers < threads - 1)
        pool_start_workers(threads - 1);
    pool_leave_cpu_to_caller();

    pthread_mutex_lock(&pool.lock);
    pool.current = &j;
    pool.slot = 0;
    pool.tickets = threads - 1;
    if (pool.tickets > pool.workers)
        pool.tickets = pool.workers;
    for (int t = 0; t < pool.tickets; t++)
        pthread_cond_signal(&pool.wake);
    pthread_mutex_unlock(&pool.lock);

    pool_drain(&j, 0);

    pthread_mutex_lock(&pool.lock);
    pool.tickets = 0;
    pthread_mutex_unlock(&pool.lock);
    pool_spin(&j.joined, 1);
    pthread_mutex_lock(&pool.lock);
    while (j.joined > 0)
        pthread_cond_wait(&pool.done, &pool.lock);
    pool.current = NULL;
    pthread_mutex_unlock(&pool.lock);
    atomic_flag_clear(&pool.busy);
}
