# SPDX-License-Identifier: BSD-3-Clause
# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Types: NumPy arrays in, one C call out, the GIL released around it when the work is worth it.

Semantics (promotion, modes, errors) are `correlation.py`'s; nothing is checked here but what makes a
call eligible for the short path.
"""

cimport cython
cimport numpy as cnp
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int32_t, int64_t, uint64_t

from fastconv.arguments.boundaries import CODES as BOUNDARY
from fastconv.arguments.layer_geometry import LARGEST

cnp.import_array()

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_ops:
        double (*peak)(ptrdiff_t) noexcept
    ctypedef struct fc_kernels:
        const char *isa
        int fma, vector_bytes, tall, rows
        int cols_of[9]
        const fc_ops *op[4]
    ctypedef struct fc_axis:
        ptrdiff_t n, k, out, lead, stride, dilation
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
        int *not_finite
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
    int FC_BAND_ROWS, FC_THREADS_FROM_US, FC_STREAM_FROM, FC_FFT_POINTS, KEEP_GIL_BELOW
    void fc_corr_plan(const fc_kernels *fc, const fc_corr *g, fc_plan *plan)
    int fc_corr_run(const fc_corr *g)
    const fc_kernels *fc_in_use()
    const fc_kernels *fc_isa(int i)
    void fc_use(const fc_kernels *table)
    void fc_pool_spread(int on)
    void fc_alloc_fail_after(long allocations)
    void fc_tune(ptrdiff_t band_rows, double threads_from_us, double stream_from)

METHOD = {
    "direct": FC_DIRECT,
    "im2col": FC_IM2COL,
    "separable": FC_SEPARABLE,
    "fft": FC_FFT,
    "box": FC_BOX,
    "ordered": FC_ORDERED,
}
# How arrays may be stored: by kind and size of the element.
STORED = {
    "f4": FC_F32, "f8": FC_F64, "i1": FC_I8, "i2": FC_I16, "i4": FC_I32, "i8": FC_I64,
    "u1": FC_U8, "u2": FC_U16, "u4": FC_U32, "u8": FC_U64, "b1": FC_U8,
}  # fmt: skip

TILE_POINTS = FC_FFT_POINTS

cdef int default_threads = 1

cdef double largest = LARGEST
cdef void nothing_slides(fc_axis *a) noexcept:
    a.n = a.k = a.out = a.stride = a.dilation = a.whole = 1
    a.lead = a.x_step = a.k_step = a.out_step = a.start = 0
    a.boundary = FC_CONSTANT


cdef int describe_axes(fc_corr *g, axes) except -1:
    """The last axes of g from a tuple of arguments.Axis; the others do not slide."""
    cdef int i, first = 3 - len(axes)
    for i in range(first):
        nothing_slides(&g.axis[i])
    for i, a in enumerate(axes, first):
        g.axis[i].n, g.axis[i].k, g.axis[i].out = a.n, a.k, a.out
        g.axis[i].lead, g.axis[i].stride, g.axis[i].dilation = a.lead, a.stride if a.out > 1 else 1, a.dilation
        g.axis[i].boundary = BOUNDARY[a.boundary]
        g.axis[i].start, g.axis[i].whole = a.start, a.whole
        g.axis[i].x_step = g.axis[i].k_step = g.axis[i].out_step = 0
    return 0


cdef int describe_batch(fc_corr *g, shape, x_strides, out_strides) except -1:
    """The leading axes; of 1-D data the last of them are rows of one image, which saves a chunk for each."""
    cdef int i, rank = len(x_strides) - len(shape), batches = len(shape)
    if rank == 1 and batches > 0:
        batches -= 1
        g.axis[1].n = g.axis[1].out = g.axis[1].whole = shape[batches]
        g.axis[1].x_step, g.axis[1].out_step = x_strides[batches], out_strides[batches]
    g.batches = batches
    for i in range(batches):
        g.batch[i].n, g.batch[i].x_step, g.batch[i].out_step = shape[i], x_strides[i], out_strides[i]
    return 0


cdef int run(const fc_corr *g, double products) except -1:
    """Carry out g, without the GIL if that many multiply-adds are worth it."""
    cdef int status
    if products < KEEP_GIL_BELOW:
        status = fc_corr_run(g)
    else:
        with nogil:
            status = fc_corr_run(g)
    if status != 0:
        raise MemoryError("no memory for the scratch tiles of a correlation")
    return 0


cdef int describe_filter(fc_corr *g, cnp.ndarray x, cnp.ndarray out, int method, double fill, int threads) except -1:
    """Everything of g but its axes and the arrays, for `out` of the shape of x."""
    cdef int i
    g.type, g.x_type, g.out_type = FC_F64, STORED[x.dtype.str[1:]], STORED[out.dtype.str[1:]]
    g.method, g.threads, g.terms, g.batches, g.fill, g.integer_fill = method, threads, 0, 0, fill, 0
    for i in range(3):
        nothing_slides(&g.axis[i])
    return 0


cdef void spans(fc_axis *a, cnp.ndarray x, cnp.ndarray out, int axis) noexcept:
    """a has the elements of that axis of x, and the outputs of that axis of out."""
    a.n = a.whole = cnp.PyArray_DIM(x, axis)
    a.out = cnp.PyArray_DIM(out, axis)
    a.x_step, a.out_step = cnp.PyArray_STRIDE(x, axis), cnp.PyArray_STRIDE(out, axis)


def corr_plan(int type, batch, axes, int method, ptrdiff_t terms, int threads):
    """(threads, chunks, microseconds expected on one thread) of a call of these sizes."""
    cdef fc_corr g
    cdef fc_plan plan
    g.type, g.x_type, g.out_type = type, type, type
    g.method, g.terms, g.threads = method, terms, threads
    describe_axes(&g, axes)
    zeros = (0,) * (len(batch) + len(axes))
    describe_batch(&g, batch, zeros, zeros)
    fc_corr_plan(fc_in_use(), &g, &plan)
    return plan.threads, plan.planes * plan.parts[0] * plan.parts[1] * plan.parts[2], plan.serial_us


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
    return describe(fc_in_use())


def corr_tile(ptrdiff_t h):
    """(tap rows, vectors) of the widest tile of the direct method for a kernel of h rows."""
    cdef const fc_kernels *fc = fc_in_use()
    slices = 1 if h <= fc.tall else (h + fc.rows - 1) // fc.rows
    height = (h + slices - 1) // slices
    return height, fc.cols_of[height]


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


def tune(ptrdiff_t band_rows=FC_BAND_ROWS, double threads_from_us=FC_THREADS_FROM_US,
         double stream_from=FC_STREAM_FROM):
    """For tests and tuning: rows of a band, and the serial work in us that is worth a second thread."""
    fc_tune(band_rows, threads_from_us, stream_from)


fc_use(fc_isa(0))


# ---- template matching -----------------------------------------------------------------------------

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_match:
        int type, x_type, out_type, measure, normed, whole, boundary, threads
        double fill
        ptrdiff_t n[3]
        ptrdiff_t k[3]
        ptrdiff_t out[3]
        ptrdiff_t lead[3]
        ptrdiff_t x_step[3]
        ptrdiff_t out_step[3]
        const char *x
        char *result
        const double *t
        const double *weights
        const double *energies
        double shift, scale, weight, energy, spread, square, power
    int FC_CCOEFF, FC_CCORR, FC_SQDIFF
    int fc_match_run(const fc_match *g)

MEASURE = {"ccoeff": FC_CCOEFF, "ccorr": FC_CCORR, "sqdiff": FC_SQDIFF}


def match(cnp.ndarray image, cnp.ndarray result, const double[:, :, ::1] t, masks, lead, measure, boundary,
          double fill, int threads, bint whole, numbers):
    """Scores of the template t (d, h, w) in the image; see fc_match in fastconv.h.

    masks: None, (v,) or (M, v), of t's shape. numbers: the last fields of fc_match.
    """
    cdef fc_match g
    cdef int i, rank = cnp.PyArray_NDIM(image), first = 3 - rank, status
    cdef const double[:, :, ::1] weights, energies
    g.x_type, g.out_type = STORED[image.dtype.str[1:]], STORED[result.dtype.str[1:]]
    g.type = g.out_type if masks is None else FC_F64
    g.measure, g.normed = MEASURE[measure.removesuffix("_normed")], measure.endswith("_normed")
    g.boundary, g.fill, g.threads, g.whole = BOUNDARY[boundary], fill, threads, whole
    for i in range(3):
        g.n[i] = g.out[i] = 1
        g.lead[i] = g.x_step[i] = g.out_step[i] = 0
        g.k[i] = t.shape[i]
    for i in range(rank):
        g.n[first + i], g.out[first + i] = cnp.PyArray_DIM(image, i), cnp.PyArray_DIM(result, i)
        g.x_step[first + i], g.out_step[first + i] = cnp.PyArray_STRIDE(image, i), cnp.PyArray_STRIDE(result, i)
        g.lead[first + i] = lead[i]
    g.x, g.result, g.t = <const char *> cnp.PyArray_DATA(image), <char *> cnp.PyArray_DATA(result), &t[0, 0, 0]
    g.weights = g.energies = NULL
    if masks is not None:
        weights, energies = masks[0], masks[len(masks) - 1]
        g.weights, g.energies = &weights[0, 0, 0], &energies[0, 0, 0]
    g.shift, g.scale, g.weight, g.energy, g.spread, g.square, g.power = numbers
    with nogil:
        status = fc_match_run(&g)
    if status != 0:
        raise MemoryError("no memory for the scratch tiles of match_template")


# ---- convolution layers ----------------------------------------------------------------------------

cdef extern from "fastconv.h" nogil:
    int FC_PRODUCTS, FC_LANES, FC_SLIDES
    ctypedef struct fc_conv_plan:
        int kind, threads
        ptrdiff_t chunks, part
    ctypedef struct fc_conv:
        int type, threads, clamp, gradient
        ptrdiff_t images, groups, channels, kernels
        fc_axis axis[3]
        ptrdiff_t x_image, x_channel
        const char *x
        const char *w
        const char *bias
        char *out
        double low, high
        const char *dy
        ptrdiff_t dy_image, dy_channel
        ptrdiff_t dy_step[3]
        fc_conv_plan *plan
    int fc_conv_run(const fc_conv *g)
    int fc_conv_weight_run(const fc_conv *g)


def conv(cnp.ndarray x, cnp.ndarray w, cnp.ndarray bias, cnp.ndarray out, axes, ptrdiff_t groups, clamp, int threads):
    """A layer: x (images, channels, ...), w (kernels, channels / groups, ...), bias (kernels,) or None, out (images,
    kernels, ...), of one float type, all but x C-contiguous. clamp: None or (low, high). axes: arguments.Axis."""
    run_layer(x, w, bias, out, axes, groups, clamp, threads, 0)


def conv_input(cnp.ndarray grad_output, cnp.ndarray w, cnp.ndarray bias, cnp.ndarray out, axes, ptrdiff_t groups, clamp,
               int threads):
    """The adjoint of conv, whose axes are given: grad_output (images, kernels, ...), bias (channels,) or None, out
    (images, channels, ...). Beyond x lie zeros."""
    run_layer(grad_output, w, bias, out, axes, groups, clamp, threads, 1)


def conv_plan(cnp.ndarray x, cnp.ndarray w, axes, ptrdiff_t groups, int threads):
    """How conv would run: (kind, threads, chunks, taps that are summed in one go). Of x only shape and strides count."""
    cdef fc_conv g
    cdef fc_conv_plan plan
    describe_layer(&g, x, w, axes, groups, threads)
    g.w, g.bias, g.plan = <const char *> cnp.PyArray_DATA(w), NULL, &plan
    g.out = NULL
    g.low = g.high = 0
    if fc_conv_run(&g) != 0:
        raise MemoryError("no memory for the scratch blocks of a convolution layer")
    return {FC_PRODUCTS: "products", FC_LANES: "lanes", FC_SLIDES: "slides"}[plan.kind], plan.threads, plan.chunks, plan.part


def conv_weight(cnp.ndarray x, cnp.ndarray grad_output, cnp.ndarray out, axes, ptrdiff_t groups, int threads):
    """The gradient of a layer's weights: x (images, channels, ...), grad_output (images, kernels, ...), out (kernels,
    channels / groups, ...), of one float type, aligned; out C-contiguous."""
    cdef fc_conv g
    cdef int status, i, first = 3 - len(axes)
    describe_layer(&g, x, out, axes, groups, threads)
    g.out = <char *> cnp.PyArray_DATA(out)
    g.dy = <const char *> cnp.PyArray_DATA(grad_output)
    g.dy_image, g.dy_channel = cnp.PyArray_STRIDE(grad_output, 0), cnp.PyArray_STRIDE(grad_output, 1)
    for i in range(3):
        g.dy_step[i] = cnp.PyArray_STRIDE(grad_output, 2 + i - first) if i >= first else 0
    with nogil:
        status = fc_conv_weight_run(&g)
    if status != 0:
        raise MemoryError("no memory for the scratch blocks of a convolution layer's gradient")


cdef describe_windows(fc_axis *axis, axes, cnp.ndarray x):
    """The axes of arguments.Axis, and the strides of x (images, channels, ...)."""
    cdef int i, first = 3 - len(axes)
    for i in range(first):
        nothing_slides(&axis[i])
    for i, a in enumerate(axes, first):
        axis[i].n, axis[i].k, axis[i].out, axis[i].lead = a.n, a.k, a.out, a.lead
        axis[i].stride = a.stride if a.out > 1 else 1  # nothing is a step away, and it may be huge
        axis[i].dilation = a.dilation if a.k > 1 else 1
        axis[i].boundary = BOUNDARY[a.boundary]
        axis[i].x_step = cnp.PyArray_STRIDE(x, 2 + i - first)


cdef describe_layer(fc_conv *g, cnp.ndarray x, cnp.ndarray w, axes, ptrdiff_t groups, int threads):
    """What x, the shape of w, and the axes say."""
    g.type = FC_F32 if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT else FC_F64
    g.threads, g.groups = threads, groups
    g.images, g.channels = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(w, 1)
    g.kernels = cnp.PyArray_DIM(w, 0) // groups
    describe_windows(g.axis, axes, x)
    g.x_image, g.x_channel = cnp.PyArray_STRIDE(x, 0), cnp.PyArray_STRIDE(x, 1)
    g.x = <const char *> cnp.PyArray_DATA(x)
    g.clamp = g.gradient = 0
    g.plan = NULL


cdef run_layer(cnp.ndarray x, cnp.ndarray w, cnp.ndarray bias, cnp.ndarray out, axes, ptrdiff_t groups, clamp,
               int threads, int gradient):
    cdef fc_conv g
    cdef int status
    describe_layer(&g, x, w, axes, groups, threads)
    g.gradient = gradient
    g.w = <const char *> cnp.PyArray_DATA(w)
    g.bias = NULL if bias is None else <const char *> cnp.PyArray_DATA(bias)
    g.out = <char *> cnp.PyArray_DATA(out)
    g.clamp = clamp is not None
    g.low, g.high = clamp if clamp is not None else (0, 0)
    with nogil:
        status = fc_conv_run(&g)
    if status != 0:
        raise MemoryError("no memory for the scratch blocks of a convolution layer")


cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_fold:
        int threads, folds
        ptrdiff_t size, images, channels, x_image, x_channel
        fc_axis axis[3]
        const char *x
        char *out
    int fc_fold_run(const fc_fold *g)


def fold(cnp.ndarray x, cnp.ndarray out, axes, bint folds, int threads):
    """Columns of windows: of x (images, channels, ...) to out (images, channels, taps, outputs); or, if folds, the
    adjoint: of x (images, channels, taps, outputs), C-contiguous, to out (images, channels, ...). Aligned, of one dtype."""
    cdef fc_fold g
    cdef int status
    g.threads, g.folds = threads, folds
    g.size, g.images, g.channels = cnp.PyArray_ITEMSIZE(x), cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1)
    describe_windows(g.axis, axes, out if folds else x)
    g.x_image, g.x_channel = cnp.PyArray_STRIDE(x, 0), cnp.PyArray_STRIDE(x, 1)
    g.x, g.out = <const char *> cnp.PyArray_DATA(x), <char *> cnp.PyArray_DATA(out)
    with nogil:
        status = fc_fold_run(&g)
    if status != 0:
        raise MemoryError("no memory for the scratch rows of fold")


@cython.cdivision(True)
def conv_plain(int rank, x, w, bias, stride, padding, dilation, groups, clamp):
    """A layer of plain arrays with numbers for parameters; None when anything is not plain, or wrong. clamp: as in conv.

    The borrowed path: no view is made and nothing is described in Python.
    """
    cdef fc_conv g
    cdef fc_axis *a
    cdef cnp.npy_intp shape[5]
    cdef cnp.ndarray xa, wa, ba, oa
    cdef ptrdiff_t number[3]
    cdef ptrdiff_t behind[3]
    cdef ptrdiff_t room
    cdef double work = 1, extent = 1
    cdef int typenum, status, i, first = 3 - rank
    if not (cnp.PyArray_CheckExact(x) and cnp.PyArray_CheckExact(w) and type(groups) is int):
        return None
    xa, wa = <cnp.ndarray> x, <cnp.ndarray> w
    typenum = cnp.PyArray_TYPE(xa)
    if not ((typenum == cnp.NPY_FLOAT or typenum == cnp.NPY_DOUBLE) and typenum == cnp.PyArray_TYPE(wa)
            and cnp.PyArray_NDIM(xa) == rank + 2 and cnp.PyArray_NDIM(wa) == rank + 2
            and cnp.PyArray_ISBEHAVED_RO(xa) and cnp.PyArray_ISCARRAY_RO(wa)
            and 0 < groups <= cnp.PyArray_DIM(wa, 0)):
        return None
    g.bias, g.plan = NULL, NULL
    if bias is not None:
        if not cnp.PyArray_CheckExact(bias):
            return None
        ba = <cnp.ndarray> bias
        if not (cnp.PyArray_TYPE(ba) == typenum and cnp.PyArray_NDIM(ba) == 1 and cnp.PyArray_ISCARRAY_RO(ba)
                and cnp.PyArray_DIM(ba, 0) == cnp.PyArray_DIM(wa, 0)):
            return None
        g.bias = <const char *> cnp.PyArray_DATA(ba)
    g.type, g.gradient = FC_F32 if typenum == cnp.NPY_FLOAT else FC_F64, 0
    g.images, g.groups, g.channels = cnp.PyArray_DIM(xa, 0), groups, cnp.PyArray_DIM(wa, 1)
    g.kernels = cnp.PyArray_DIM(wa, 0) // g.groups
    if g.channels < 1 or g.kernels * g.groups != cnp.PyArray_DIM(wa, 0) or g.channels * g.groups != cnp.PyArray_DIM(xa, 1):
        return None
    shape[0], shape[1] = g.images, cnp.PyArray_DIM(wa, 0)
    for i in range(first):
        nothing_slides(&g.axis[i])
    for i in range(rank):
        nothing_slides(&g.axis[first + i])
        g.axis[first + i].n, g.axis[first + i].k = cnp.PyArray_DIM(xa, 2 + i), cnp.PyArray_DIM(wa, 2 + i)
        g.axis[first + i].x_step = cnp.PyArray_STRIDE(xa, 2 + i)
    if not plain_numbers(number, stride, rank, 1):
        return None
    for i in range(rank):
        g.axis[first + i].stride = number[i]
    if not plain_numbers(number, dilation, rank, 1):
        return None
    for i in range(rank):
        g.axis[first + i].dilation = number[i]
    if not plain_sides(number, behind, padding, rank):
        return None
    for i in range(rank):
        a = &g.axis[first + i]
        a.lead = number[i]
        room = a.n + a.lead + behind[i] - (a.k - 1) * a.dilation - 1
        if a.n < 1 or a.k < 1 or a.k >= 1 << 30 or room < 0:
            return None
        a.out = shape[2 + i] = room // a.stride + 1
        extent *= <double> (room + (a.k - 1) * a.dilation + 1)
        a.stride = a.stride if a.out > 1 else 1
        a.dilation = a.dilation if a.k > 1 else 1
        work *= <double> a.out * <double> a.k
    work *= <double> shape[0] * <double> shape[1]
    if work > 1e16 or extent > largest or shape[0] < 1:
        return None
    oa = cnp.PyArray_EMPTY(rank + 2, shape, typenum, 0)
    g.threads, g.clamp = default_threads, clamp is not None
    g.low, g.high = clamp if clamp is not None else (0, 0)
    g.x_image, g.x_channel = cnp.PyArray_STRIDE(xa, 0), cnp.PyArray_STRIDE(xa, 1)
    g.x, g.w = <const char *> cnp.PyArray_DATA(xa), <const char *> cnp.PyArray_DATA(wa)
    g.out = <char *> cnp.PyArray_DATA(oa)
    if work * <double> g.channels < KEEP_GIL_BELOW:
        status = fc_conv_run(&g)
    else:
        with nogil:
            status = fc_conv_run(&g)
    if status != 0:
        raise MemoryError("no memory for the scratch blocks of a convolution layer")
    return oa


cdef bint plain_sides(ptrdiff_t *before, ptrdiff_t *behind, padding, int rank) except -1:
    """Padding by an int, a tuple of `rank` of them, or of pairs."""
    cdef ptrdiff_t pair[3]
    cdef int i
    if type(padding) is not tuple or len(<tuple> padding) != rank or type((<tuple> padding)[0]) is int:
        if not plain_numbers(before, padding, rank, 0):
            return False
        for i in range(rank):
            behind[i] = before[i]
        return True
    for i in range(rank):
        sides = (<tuple> padding)[i]
        if type(sides) is not tuple or not plain_numbers(pair, sides, 2, 0):
            return False
        before[i], behind[i] = pair[0], pair[1]
    return True


cdef bint plain_numbers(ptrdiff_t *number, value, int rank, ptrdiff_t least) except -1:
    """An int or a tuple of `rank` of them, none below `least` or so large that a sum of them could overflow."""
    cdef int i
    for i in range(rank):
        if type(value) is int:
            one = value
        elif type(value) is tuple and len(<tuple> value) == rank and type((<tuple> value)[i]) is int:
            one = (<tuple> value)[i]
        else:
            return False
        if not least <= one < 1 << 30:
            return False
        number[i] = one
    return True


include "plans.pxi"
include "plans_correlation.pxi"
