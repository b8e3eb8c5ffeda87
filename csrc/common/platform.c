/* SPDX-License-Identifier: BSD-3-Clause
 *
 * All calls of the operating system: first Windows, then POSIX, and what only Linux has. */
#define _GNU_SOURCE
#include "common/platform.h"
#include "common/room.h"
#include <stdio.h>
#include <stdlib.h>

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <malloc.h>
#include <windows.h>

_Static_assert(sizeof(fc_lock) == sizeof(SRWLOCK) && sizeof(fc_bell) == sizeof(CONDITION_VARIABLE), "one word each");
void fc_lock_init(fc_lock *lock) { InitializeSRWLock((SRWLOCK *)lock); }
void fc_lock_take(fc_lock *lock) { AcquireSRWLockExclusive((SRWLOCK *)lock); }
void fc_lock_release(fc_lock *lock) { ReleaseSRWLockExclusive((SRWLOCK *)lock); }
void fc_bell_init(fc_bell *bell) { InitializeConditionVariable((CONDITION_VARIABLE *)bell); }
void fc_bell_wait(fc_bell *bell, fc_lock *lock)
{
    SleepConditionVariableSRW((CONDITION_VARIABLE *)bell, (SRWLOCK *)lock, INFINITE, 0);
}
void fc_bell_ring(fc_bell *bell) { WakeConditionVariable((CONDITION_VARIABLE *)bell); }

static DWORD WINAPI begin(void *run)
{
    ((fc_thread_main *)run)();
    return 0;
}

int fc_thread_start(fc_thread *thread, fc_thread_main *run)
{
    *thread = CreateThread(NULL, 0, begin, (void *)run, 0, NULL);
    return *thread && CloseHandle(*thread);
}

int fc_after_fork(void (*in_child)(void)) { return in_child != NULL; } /* there is no fork */

double fc_now_us(void)
{
    LARGE_INTEGER now, per_second;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&per_second);
    return (double)now.QuadPart * 1e6 / (double)per_second.QuadPart;
}

void *fc_aligned_alloc(size_t alignment, size_t bytes) { return _aligned_malloc(bytes, alignment); }
void fc_aligned_free(void *p) { _aligned_free(p); }

#else
#include <sched.h>
#include <signal.h>
#include <time.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

void fc_lock_init(fc_lock *lock) { pthread_mutex_init(lock, NULL); }
void fc_lock_take(fc_lock *lock) { pthread_mutex_lock(lock); }
void fc_lock_release(fc_lock *lock) { pthread_mutex_unlock(lock); }
void fc_bell_init(fc_bell *bell) { pthread_cond_init(bell, NULL); }
void fc_bell_wait(fc_bell *bell, fc_lock *lock) { pthread_cond_wait(bell, lock); }
void fc_bell_ring(fc_bell *bell) { pthread_cond_signal(bell); }

static void *begin(void *run)
{
    ((fc_thread_main *)run)();
    return NULL;
}

int fc_thread_start(fc_thread *thread, fc_thread_main *run)
{
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV); /* faults stay open, or no handler could say where */
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int started = pthread_create(thread, NULL, begin, (void *)run) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started)
        pthread_detach(*thread);
    return started;
}

int fc_after_fork(void (*in_child)(void)) { return pthread_atfork(NULL, NULL, in_child) == 0; }

double fc_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

void *fc_aligned_alloc(size_t alignment, size_t bytes) { return aligned_alloc(alignment, bytes); }
void fc_aligned_free(void *p) { free(p); }
#endif

#ifdef __linux__
void *fc_huge_alloc(size_t page, size_t bytes)
{
    void *p;
    if (posix_memalign(&p, page, bytes) != 0)
        return NULL;
    madvise(p, bytes, MADV_HUGEPAGE); /* which some systems refuse */
    return p;
}

int fc_cpu_here(void) { return sched_getcpu(); }

int fc_keep_off_cpu(int cpu, const fc_thread *thread, int threads)
{
    cpu_set_t allowed;
    if (cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return 0;
    CPU_CLR((size_t)cpu, &allowed);
    if (CPU_COUNT(&allowed) == 0)
        return 0;
    for (int i = 0; i < threads; i++)
        pthread_setaffinity_np(thread[i], sizeof allowed, &allowed);
    return 1;
}

ptrdiff_t fc_cache_bytes(const char *size_file)
{
    ptrdiff_t kilobytes = 0;
    char unit = 0;
    FILE *f = fopen(size_file, "re");
    if (f) {
        if (fscanf(f, "%7td%c", &kilobytes, &unit) != 2 || unit != 'K')
            kilobytes = 0;
        fclose(f);
    }
    return kilobytes * 1024;
}
#else
void *fc_huge_alloc(size_t page, size_t bytes)
{
    (void)page;
    return fc_aligned_alloc(LINE, bytes);
}
int fc_cpu_here(void) { return -1; }
int fc_keep_off_cpu(int cpu, const fc_thread *thread, int threads)
{
    (void)cpu, (void)thread, (void)threads;
    return 0;
}
ptrdiff_t fc_cache_bytes(const char *size_file)
{
    (void)size_file;
    return 0;
}
#endif
