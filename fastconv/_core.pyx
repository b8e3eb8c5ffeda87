# SPDX-License-Identifier: BSD-3-Clause
# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Types: NumPy arrays in, one C call out, the GIL released around it when the work is worth it.

Semantics (promotion, modes, errors) are `correlation.py`'s; nothing is checked here but what makes a
call eligible for the short path.
"""

cimport cython
cimport numpy as cnp
from libc.stddef cimport ptrdiff_t

from fastconv.arguments import BOUNDARIES, MODES, geometry

cnp.import_array()

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_kernels:
        const char *isa
        int fma, vector_bytes, tall, rows
        int cols_of[9]
        double (*peak_f32)(ptrdiff_t) noexcept
        double (*peak_f64)(ptrdiff_t) noexcept
    ctypedef struct fc_corr2d:
        int type, boundary, method, threads
        double fill
        ptrdiff_t planes, H, W, h, w, OH, OW, top, left
        const char *x
        const char *k
        char *out
        ptrdiff_t x_plane, x_row, x_col, k_row, k_col, out_plane, out_row, out_col
    ctypedef struct fc_plan:
        int threads
        ptrdiff_t bands, blocks
        double serial_us
    int FC_F32, FC_F64, FC_CONSTANT, FC_EDGE, FC_REFLECT, FC_SYMMETRIC, FC_WRAP, FC_DIRECT, FC_IM2COL
    int FC_BAND_ROWS, FC_THREADS_FROM_US
    void fc_corr2d_plan(const fc_corr2d *g, fc_plan *plan)
    int fc_corr2d_run(const fc_corr2d *g)
    const fc_kernels *fc
    const fc_kernels *fc_isa(int i)
    void fc_use(const fc_kernels *table)
    void fc_pool_spread(int on)
    void fc_alloc_fail_after(long allocations)
    void fc_tune(ptrdiff_t band_rows, double threads_from_us)

ctypedef fused real:
    float
    double

BOUNDARY = {
    "constant": FC_CONSTANT,
    "edge": FC_EDGE,
    "reflect": FC_REFLECT,
    "symmetric": FC_SYMMETRIC,
    "wrap": FC_WRAP,
}
METHOD = {"direct": FC_DIRECT, "im2col": FC_IM2COL}

cdef int default_threads = 1

# Below this many multiply-adds a call ends sooner than the GIL could be released and taken again.
cdef double KEEP_GIL_BELOW = 20000


def corr2d(const real[:, :, :] x, const real[:, :] k, real[:, :, :] out, ptrdiff_t top, ptrdiff_t left,
           int boundary, double fill, int method, int threads):
    """Correlate planes x (n, H, W) with k (h, w) into out (n, OH, OW); see fastconv.h."""
    cdef fc_corr2d g
    cdef int status
    g.type = FC_F32 if real is float else FC_F64
    g.boundary, g.method, g.threads, g.fill = boundary, method, threads, fill
    g.planes, g.H, g.W = x.shape[0], x.shape[1], x.shape[2]
    g.h, g.w = k.shape[0], k.shape[1]
    g.OH, g.OW = out.shape[1], out.shape[2]
    g.top, g.left = top, left
    g.x, g.x_plane, g.x_row, g.x_col = <const char *> &x[0, 0, 0], x.strides[0], x.strides[1], x.strides[2]
    g.k, g.k_row, g.k_col = <const char *> &k[0, 0], k.strides[0], k.strides[1]
    g.out, g.out_plane, g.out_row, g.out_col = <char *> &out[0, 0, 0], out.strides[0], out.strides[1], out.strides[2]
    with nogil:
        status = fc_corr2d_run(&g)
    if status != 0:
        raise MemoryError("no memory for the scratch tiles of corr2d")


def corr2d_plain(x, k, mode, boundary, fillvalue, bint convolve):
    """corr2d or convolve2d of two plain 2-D arrays of one float type; None when anything is not plain.

    The borrowed path: no memoryview is made, because for the smallest images that alone would cost more
    than the correlation.
    """
    cdef fc_corr2d g
    cdef cnp.npy_intp shape[2]
    cdef cnp.ndarray xa, ka, oa
    cdef int typenum, status
    if not (cnp.PyArray_CheckExact(x) and cnp.PyArray_CheckExact(k)):
        return None
    xa, ka = <cnp.ndarray> x, <cnp.ndarray> k
    typenum = cnp.PyArray_TYPE(xa)
    if not ((typenum == cnp.NPY_FLOAT or typenum == cnp.NPY_DOUBLE) and typenum == cnp.PyArray_TYPE(ka)
            and cnp.PyArray_NDIM(xa) == 2 and cnp.PyArray_NDIM(ka) == 2
            and cnp.PyArray_ISBEHAVED_RO(xa) and cnp.PyArray_ISBEHAVED_RO(ka)
            and type(mode) is str and type(boundary) is str
            and (type(fillvalue) is int or type(fillvalue) is float)):
        return None
    try:
        g.fill = fillvalue
    except OverflowError:
        return None
    if not -1e38 < g.fill < 1e38:
        return None
    g.H, g.W = cnp.PyArray_DIM(xa, 0), cnp.PyArray_DIM(xa, 1)
    g.h, g.w = cnp.PyArray_DIM(ka, 0), cnp.PyArray_DIM(ka, 1)
    g.boundary = FC_CONSTANT
    g.OH, g.OW, g.top, g.left = g.H - g.h + 1, g.W - g.w + 1, 0, 0
    if not (mode == "valid" and boundary == "constant" and g.OH > 0 and g.OW > 0 and g.h > 0 and g.w > 0):
        if not (mode in MODES and boundary in BOUNDARIES):
            return None
        g.boundary = BOUNDARY[BOUNDARIES[boundary]]
        (g.OH, g.OW), g.top, g.left = geometry((g.H, g.W), (g.h, g.w), mode, BOUNDARIES[boundary], convolve)
    if <double> g.OH * <double> g.OW > 1e16:  # too large to address: the other path says so
        return None
    shape[0], shape[1] = g.OH, g.OW
    oa = cnp.PyArray_EMPTY(2, shape, typenum, 0)
    g.type = FC_F32 if typenum == cnp.NPY_FLOAT else FC_F64
    g.method, g.threads = FC_DIRECT, default_threads
    g.planes, g.x_plane, g.out_plane = 1, 0, 0
    g.x, g.k, g.out = <const char *> cnp.PyArray_DATA(xa), <const char *> cnp.PyArray_DATA(ka), <char *> cnp.PyArray_DATA(oa)
    g.x_row, g.x_col = cnp.PyArray_STRIDE(xa, 0), cnp.PyArray_STRIDE(xa, 1)
    g.k_row, g.k_col = cnp.PyArray_STRIDE(ka, 0), cnp.PyArray_STRIDE(ka, 1)
    g.out_row, g.out_col = cnp.PyArray_STRIDE(oa, 0), cnp.PyArray_STRIDE(oa, 1)
    if convolve:  # the kernel seen from its last tap
        g.k += (g.h - 1) * g.k_row + (g.w - 1) * g.k_col
        g.k_row, g.k_col = -g.k_row, -g.k_col
    if <double> g.OH * <double> g.OW * <double> g.h * <double> g.w < KEEP_GIL_BELOW:
        status = fc_corr2d_run(&g)
    else:
        with nogil:
            status = fc_corr2d_run(&g)
    if status != 0:
        raise MemoryError("no memory for the scratch tiles of corr2d")
    return oa


def corr2d_plan(is_float32, planes, x_shape, k_shape, out_shape, int threads):
    """(threads, chunks, microseconds expected on one thread) of a call of these sizes."""
    cdef fc_corr2d g
    cdef fc_plan plan
    g.type = FC_F32 if is_float32 else FC_F64
    g.planes, g.threads = planes, threads
    g.H, g.W = x_shape
    g.h, g.w = k_shape
    g.OH, g.OW = out_shape
    fc_corr2d_plan(&g, &plan)
    return plan.threads, planes * plan.bands * plan.blocks, plan.serial_us


def set_threads(int n):
    global default_threads
    default_threads = n


def get_threads():
    return default_threads


def spread_workers(bint on):
    """Whether worker threads are kept off the CPU that the calling thread is on."""
    fc_pool_spread(on)


cdef dict describe(const fc_kernels *t):
    return {"isa": t.isa.decode(), "fma": bool(t.fma), "vector_bytes": t.vector_bytes}


def tables():
    """The kernel tables that this CPU can run, best first."""
    found = []
    while fc_isa(len(found)) != NULL:
        found.append(describe(fc_isa(len(found))))
    return found


def table():
    """The kernel table in use."""
    return describe(fc)


def corr_tile(ptrdiff_t h):
    """(tap rows, vectors) of the widest tile of the direct method for a kernel of h rows."""
    slices = 1 if h <= fc.tall else (h + fc.rows - 1) // fc.rows
    height = (h + slices - 1) // slices
    return height, fc.cols_of[height]


def use(int i):
    """Put the i-th table of tables() to use."""
    if fc_isa(i) != NULL:
        fc_use(fc_isa(i))


def fma_peak(is_float32, ptrdiff_t rounds):
    """Do `rounds` rounds of nothing but fma in registers; returns the floating-point operations done."""
    return fc.peak_f32(rounds) if is_float32 else fc.peak_f64(rounds)


def alloc_fail_after(long allocations):
    """For tests: let the next `allocations` scratch allocations succeed and the rest fail; -1: none fail."""
    fc_alloc_fail_after(allocations)


def tune(ptrdiff_t band_rows=FC_BAND_ROWS, double threads_from_us=FC_THREADS_FROM_US):
    """For tests and tuning: rows of a band, and the serial work in us that is worth a second thread."""
    fc_tune(band_rows, threads_from_us)


fc_use(fc_isa(0))
