# SPDX-License-Identifier: BSD-3-Clause
"""What threads share: the lock of the plans, and numbers and pointers that one thread sets while others read them.

The GIL is the lock where there is one. Where there is none, no thread calls Python or waits while it has it, so that nobody
forks meanwhile: CPython forks when all threads have come to rest.
"""

cdef extern from *:
    """
    #include <stdatomic.h>
    #ifdef Py_GIL_DISABLED
    static PyMutex fc_lock_of_plans;
    #define fc_hold() PyMutex_Lock(&fc_lock_of_plans)
    #define fc_let_go() PyMutex_Unlock(&fc_lock_of_plans)
    #else
    #define fc_hold() ((void)0)
    #define fc_let_go() ((void)0)
    #endif

    static atomic_int fc_default_threads = 1;
    #define fc_set_threads(n) atomic_store_explicit(&fc_default_threads, n, memory_order_relaxed)
    static _Thread_local int fc_threads_here; /* of calls from this thread; 0: as many as from any */
    #define fc_threads() (fc_threads_here ? fc_threads_here : atomic_load_explicit(&fc_default_threads, memory_order_relaxed))

    static atomic_ptrdiff_t fc_bytes_of_plans = 16 << 20; /* at most */
    #define fc_set_most_kept(bytes) atomic_store_explicit(&fc_bytes_of_plans, bytes, memory_order_relaxed)
    #define fc_most_kept() atomic_load_explicit(&fc_bytes_of_plans, memory_order_relaxed)

    /* Which of the threads that ask does what is to be done once */
    typedef atomic_int fc_once;
    static inline int fc_is_first(fc_once *once)
    {
        return atomic_load_explicit(once, memory_order_relaxed) && atomic_exchange(once, 0);
    }

    /* What points to what is complete */
    #define FC_SHOW(place, made) __atomic_store_n(&(place), made, __ATOMIC_RELEASE)
    #define FC_SEE(place) __atomic_load_n(&(place), __ATOMIC_ACQUIRE)
    """
    void fc_hold() noexcept nogil
    void fc_let_go() noexcept nogil
    void fc_set_threads(int n) noexcept nogil
    int fc_threads() noexcept nogil
    int fc_threads_here
    void fc_set_most_kept(ptrdiff_t bytes) noexcept nogil
    ptrdiff_t fc_most_kept() noexcept nogil
    ctypedef int fc_once
    bint fc_is_first(fc_once *once) noexcept nogil
