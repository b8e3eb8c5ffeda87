# SPDX-License-Identifier: BSD-3-Clause
# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Types: NumPy arrays in, one C call out, the GIL released around it when the work is worth it.

Semantics (promotion, modes, errors) are Python's; nothing is checked here but which plan a call has.
"""

cimport cython
cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from libc.float cimport DBL_EPSILON, FLT_EPSILON
from libc.math cimport INFINITY, fabs, sqrt
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int32_t, int64_t, uint64_t

import os
import threading

from numpy import dtype

from fastconv import costs
from fastconv.arguments.boundaries import CODES as BOUNDARY
from fastconv.arguments.values import is_finite

cnp.import_array()

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_ops:
        double (*peak)(ptrdiff_t) noexcept
        ptrdiff_t (*present)(const void *, const unsigned char *, int, ptrdiff_t, void *, void *) noexcept nogil
        int (*finite)(const void *, ptrdiff_t) noexcept nogil
        void (*make_up)(void *, const void *, ptrdiff_t, double) noexcept nogil
    ctypedef struct fc_block:
        int rows, vectors
    ctypedef struct fc_kernels:
        const char *isa
        int fma, vector_bytes
        fc_block block[3]
        const fc_ops *op[4]
    ctypedef struct fc_axis:
        ptrdiff_t n, k, out, lead, stride, dilation, unit
        int boundary
        ptrdiff_t x_step, k_step, out_step, start, whole
    ctypedef struct fc_line:
        const char *w
        double divisor
    ctypedef struct fc_batch:
        ptrdiff_t n, x_step, out_step
    ctypedef struct fc_corr:
        int type, x_type, out_type, method, threads, batches
        double fill
        int64_t integer_fill
        const char *x
        const char *k
        char *out
        ptrdiff_t terms
        const char *factor[3]
        int combine
        ptrdiff_t result_step
        unsigned divisor
        int rounding
        int *doubtful
        fc_line line[3]
        int columns_first, between
        fc_axis axis[3]
        fc_batch batch[64]
    ctypedef struct fc_plan:
        int threads
        ptrdiff_t planes
        ptrdiff_t parts[3]
        double serial_us
    enum: FC_BATCHES
    int FC_F32, FC_F64, FC_I32, FC_I64, FC_U8, FC_I8, FC_U16, FC_I16, FC_U32, FC_U64
    int FC_CONSTANT, FC_DIRECT, FC_IM2COL, FC_SEPARABLE, FC_FFT, FC_BOX
    int FC_ORDERED, FC_LINES
    int FC_TRUNCATED, FC_SATURATED, FC_CHECKED
    int FC_ADDED, FC_L1, FC_L2, FC_APART
    int fc_divides(unsigned divisor, unsigned most, int bits)
    int fc_divides_in_floats(unsigned divisor, unsigned most)
    int FC_BAND_ROWS, FC_THREADS_FROM_US, FC_FFT_POINTS, KEEP_GIL_BELOW
    void fc_corr_plan(int vector_bytes, const fc_corr *g, fc_plan *plan)
    int fc_corr_run(const fc_corr *g)
    ctypedef struct fc_each:
        ptrdiff_t n, x_step, k_step, out_step
    int fc_corr_each(const fc_corr *g, int axes, const fc_each *axis)
    ctypedef struct fc_prepared:
        pass
    fc_prepared *fc_corr_prepare(const fc_corr *g, const fc_kernels *fc)
    int fc_corr_again(const fc_prepared *p, const char *x, char *out, int *doubtful)
    ptrdiff_t fc_corr_bytes(const fc_prepared *p)
    ptrdiff_t fc_corr_spectrum_bytes(const fc_corr *g)
    void fc_corr_forget(fc_prepared *p)
    const fc_kernels *fc_in_use()
    const fc_kernels *fc_isa(int i)
    void fc_use(const fc_kernels *table)
    void fc_pool_spread(int on)
    void fc_listen(int (*asked)() except -1 nogil)
    int fc_gave_up()
    void fc_alloc_fail_after(long allocations)
    void *fc_result_alloc(size_t bytes)
    void *fc_result_realloc(void *p, size_t bytes)
    void fc_result_free(void *p)
    void fc_forget_kept()
    enum: KEPT_RESULT_LEAST
    void fc_tune(ptrdiff_t band_rows, double threads_from_us, double stream_from)
    double fc_stream_from(const char *size_file)

METHOD = {
    "direct": FC_DIRECT,
    "im2col": FC_IM2COL,
    "separable": FC_SEPARABLE,
    "fft": FC_FFT,
    "box": FC_BOX,
    "ordered": FC_ORDERED,
}
# How floats become integers: as C casts them, or to the nearest, by what happens to those that do not fit.
ROUNDING = {"cast": FC_TRUNCATED, "saturate": FC_SATURATED, "raise": FC_CHECKED}
# What results have of the terms of a kernel that is given by factors.
COMBINE = {"sum": FC_ADDED, "l1": FC_L1, "l2": FC_L2, "apart": FC_APART}
# How arrays may be stored: by kind and size of the element.
STORED = {
    "f4": FC_F32, "f8": FC_F64, "i1": FC_I8, "i2": FC_I16, "i4": FC_I32, "i8": FC_I64,
    "u1": FC_U8, "u2": FC_U16, "u4": FC_U32, "u8": FC_U64, "b1": FC_U8,
}  # fmt: skip

STORED_BY_NUMBER = {dtype(c).num: STORED[dtype(c).str[1:]] for c in "?bhilqBHILQfd"}  # of NumPy's types

TILE_POINTS = FC_FFT_POINTS


# ---- Ctrl-C: what takes long asks now and then for signals, which Python hears in the main thread alone

cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident() nogil

cdef unsigned long main_thread = threading.main_thread().ident


def this_is_main():
    """Signals are heard in this thread: a child has no other."""
    global main_thread
    main_thread = PyThread_get_thread_ident()


cdef int listen() except -1 nogil:
    """0, or -1 after the handler of a signal has raised something, which `heard` raises when the call is at its end."""
    if PyThread_get_thread_ident() == main_thread:
        with gil:
            PyErr_CheckSignals()
    return 0


cdef int heard() except -1:
    """To be asked after every call that may take long."""
    return -1 if fc_gave_up() else 0


if hasattr(os, "register_at_fork"):  # where processes fork: not on Windows
    os.register_at_fork(after_in_child=this_is_main)
fc_listen(listen)

# ----


cdef int stored(cnp.ndarray a) except -1:
    return STORED_BY_NUMBER[cnp.PyArray_TYPE(a)]


cdef void nothing_slides(fc_axis *a) noexcept:
    a.n = a.k = a.out = a.stride = a.dilation = a.whole = a.unit = 1
    a.lead = a.x_step = a.k_step = a.out_step = a.start = 0
    a.boundary = FC_CONSTANT


cdef void of_pixels(fc_axis *a, ptrdiff_t unit) noexcept:
    """Let every element of the axis be a pixel of so many elements, side by side; the stride still counts pixels."""
    a.unit = unit
    if unit > 1:
        a.n, a.out, a.whole, a.lead, a.start = a.n * unit, a.out * unit, a.whole * unit, a.lead * unit, a.start * unit
        a.dilation = a.dilation * unit if a.k > 1 else 1  # of one tap, it may be huge
        a.x_step, a.out_step = a.x_step // unit, a.out_step // unit


cdef int describe_axes(fc_corr *g, axes) except -1:
    """The last axes of g from a tuple of arguments.Axis; the others do not slide."""
    cdef int i, first = 3 - len(axes)
    cdef fc_axis *a
    for i in range(first):
        nothing_slides(&g.axis[i])
    for i, axis in enumerate(axes, first):
        a = &g.axis[i]
        a.n, a.k, a.out, a.lead, stride, a.dilation, boundary, a.start, a.whole, _, unit = axis[:11]
        a.stride = stride if a.out > 1 else 1
        a.boundary = BOUNDARY[boundary]
        a.x_step = a.k_step = a.out_step = 0
        of_pixels(a, unit)
    return 0


cdef void describe_batch(fc_corr *g, int rank, int batches, const cnp.npy_intp *shape, const cnp.npy_intp *x_strides,
                         const cnp.npy_intp *out_strides) noexcept:
    """The leading axes; of 1-D data the last of them are rows of one image, which saves a chunk for each. (Not of tiles: a row
    that makes a pair with another has other bits than by itself.)"""
    cdef int i
    if rank == 1 and batches > 0 and g.method != FC_FFT:
        batches -= 1
        g.axis[1].n = g.axis[1].out = g.axis[1].whole = shape[batches]
        g.axis[1].x_step, g.axis[1].out_step = x_strides[batches], out_strides[batches]
    g.batches = batches
    for i in range(batches):
        g.batch[i].n, g.batch[i].x_step, g.batch[i].out_step = shape[i], x_strides[i], out_strides[i]


cdef int describe_filter(fc_corr *g, cnp.ndarray x, cnp.ndarray out, int method, double fill, int threads) except -1:
    """Everything of g but its axes and the arrays, for `out` of as many axes as x."""
    cdef int i
    g.type, g.x_type, g.out_type = FC_F64, stored(x), stored(out)
    g.method, g.threads, g.terms, g.batches, g.fill, g.integer_fill = method, threads, 0, 0, fill, 0
    g.rounding = FC_TRUNCATED
    g.combine = FC_ADDED
    for i in range(3):
        nothing_slides(&g.axis[i])
    return 0


cdef void spans(fc_axis *a, cnp.ndarray x, cnp.ndarray out, int axis) noexcept:
    """a has the elements of that axis of x, and the outputs of that axis of out."""
    a.n = a.whole = cnp.PyArray_DIM(x, axis)
    a.out = cnp.PyArray_DIM(out, axis)
    a.x_step, a.out_step = cnp.PyArray_STRIDE(x, axis), cnp.PyArray_STRIDE(out, axis)


def corr_plan(int type, batch, axes, int method, ptrdiff_t terms, int threads, int vector_bytes):
    """(threads, chunks, microseconds expected on one thread) of a call of these sizes, with vectors of so many bytes."""
    cdef fc_corr g
    cdef fc_plan plan
    cdef cnp.npy_intp shape[FC_BATCHES]
    cdef int i, batches = len(batch)
    for i in range(batches):
        shape[i] = batch[i]
    g.type, g.x_type, g.out_type = type, type, type
    g.method, g.terms, g.threads = method, terms, threads
    describe_axes(&g, axes)
    describe_batch(&g, len(axes), batches, shape, shape, shape)  # which strides does not count
    fc_corr_plan(vector_bytes, &g, &plan)
    return plan.threads, plan.planes * plan.parts[0] * plan.parts[1] * plan.parts[2], plan.serial_us


def set_threads(int n):
    fc_set_threads(n)


def get_threads():
    return fc_threads()


def threads_here(int n):
    """Let calls from this thread have n threads by default; 0: as many as from any. Returns what it was."""
    global fc_threads_here
    before, fc_threads_here = fc_threads_here, n
    return before


def spread_workers(bint on):
    """Whether worker threads are kept off the CPU that the calling thread is on."""
    fc_pool_spread(on)


cdef dict describe(const fc_kernels *t):
    return {"isa": t.isa.decode(), "fma": bool(t.fma), "vector_bytes": t.vector_bytes,
            "blocks": [(t.block[i].rows, t.block[i].vectors) for i in range(3)]}


def tables():
    """The kernel tables that this CPU can run, best first."""
    found = []
    while fc_isa(len(found)) != NULL:
        found.append(describe(fc_isa(len(found))))
    return found


def table():
    """The kernel table in use."""
    return describe(fc_in_use())


def use(int i):
    """Put the i-th table of tables() to use."""
    if fc_isa(i) != NULL:
        fc_use(fc_isa(i))


def fma_peak(is_float32, ptrdiff_t rounds):
    """Do `rounds` rounds of nothing but fma in registers; returns the floating-point operations done."""
    return fc_in_use().op[FC_F32 if is_float32 else FC_F64].peak(rounds)


def alloc_fail_after(long allocations):
    """For tests: let the next `allocations` scratch allocations succeed and the rest fail; -1: none fail."""
    fc_alloc_fail_after(allocations)


def stream_from(bytes size_file=b"/sys/devices/system/cpu/cpu0/cache/index3/size"):
    """Bytes of a result that goes past the caches, on a machine whose L3 has the size that this file tells."""
    return fc_stream_from(size_file)


def tune(ptrdiff_t band_rows=FC_BAND_ROWS, double threads_from_us=FC_THREADS_FROM_US, double stream_from=stream_from()):
    """For tests and tuning: rows of a band, and the serial work in us that is worth a second thread."""
    fc_tune(band_rows, threads_from_us, stream_from)
    forget_plans()


fc_use(fc_isa(0))


include "sharing.pxi"
include "results.pxi"
include "plans_words.pxi"
include "plans.pxi"
include "plans_places.pxi"
include "plans_correlation.pxi"
include "plans_filters.pxi"
include "plans_layers.pxi"
include "plans_networks.pxi"
include "plans_dots.pxi"
include "plans_windows.pxi"

tune()
