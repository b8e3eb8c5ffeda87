/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What operating systems differ in. Only platform.c calls one, of POSIX or Windows. */
#ifndef FASTCONV_PLATFORM_H
#define FASTCONV_PLATFORM_H

#include "fastconv.h"

#ifdef _WIN32
typedef struct { void *word; /* SRWLOCK and CONDITION_VARIABLE */ } fc_lock, fc_bell;
typedef void *fc_thread;
#define FC_LOCK_INIT {0}
#define FC_BELL_INIT {0}
#else
#include <pthread.h>
typedef pthread_mutex_t fc_lock;
typedef pthread_cond_t fc_bell;
typedef pthread_t fc_thread;
#define FC_LOCK_INIT PTHREAD_MUTEX_INITIALIZER
#define FC_BELL_INIT PTHREAD_COND_INITIALIZER
#endif

/* Locks, and bells that wake who waits under a lock. _init: anew, whatever state they were in */
FC_API void fc_lock_init(fc_lock *lock);
FC_API void fc_lock_take(fc_lock *lock);
FC_API void fc_lock_release(fc_lock *lock);
FC_API void fc_bell_init(fc_bell *bell);
FC_API void fc_bell_wait(fc_bell *bell, fc_lock *lock); /* it may wake for nothing */
FC_API void fc_bell_ring(fc_bell *bell);                /* for one */

/* A thread that nobody waits for, with all signals blocked but those of faults; 0: it cannot be created */
typedef void fc_thread_main(void);
FC_API int fc_thread_start(fc_thread *thread, fc_thread_main *run);
FC_API int fc_after_fork(void (*in_child)(void)); /* 0: it cannot be registered */
/* The CPU that this thread is on; -1: not told. Threads are to run on all others that it may run on; 0: that is not done. */
FC_API int fc_cpu_here(void);
FC_API int fc_keep_off_cpu(int cpu, const fc_thread *thread, int threads);
FC_API double fc_now_us(void);

FC_API void *fc_aligned_alloc(size_t alignment, size_t bytes); /* bytes: a multiple of the alignment */
FC_API void fc_aligned_free(void *p);
FC_API void *fc_huge_alloc(size_t page, size_t bytes); /* likewise, in huge pages if the system has such and they fit */
/* The size that this file of Linux tells, which says "32768K"; 0: there is no such file */
FC_API ptrdiff_t fc_cache_bytes(const char *size_file);

#endif
