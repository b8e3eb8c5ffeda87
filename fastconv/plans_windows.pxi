# SPDX-License-Identifier: BSD-3-Clause
"""Plans of windows: as columns, and back; and pooled."""

# ---- windows as columns ----------------------------------------------------------------------------

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_fold:
        int threads, folds
        ptrdiff_t size, images, channels, x_image, x_channel
        fc_axis axis[3]
        const char *x
        char *out
    int fc_fold_run(const fc_fold *g)


@cython.auto_pickle(False)
cdef class FoldPlan(ArraysPlan):
    """Columns of windows: of x (images, channels, ...) makes (images, channels, taps, outputs); or, if folds, the adjoint: of
    x (images, channels, taps, outputs), C-contiguous, makes (images, channels, ...). Aligned, of one dtype."""

    cdef fc_fold g

    def __init__(self, cnp.ndarray x, cnp.ndarray out, axes, bint folds, int threads):
        cdef fc_fold *g = &self.g
        g.folds = folds
        g.size, g.images, g.channels = cnp.PyArray_ITEMSIZE(x), cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1)
        self.products = describe_windows(g.axis, axes, out if folds else x) * g.images * g.channels
        g.x_image, g.x_channel = cnp.PyArray_STRIDE(x, 0), cnp.PyArray_STRIDE(x, 1)
        self.threads, self.scratch, self.nbytes = threads, "rows of fold", sizeof(fc_fold)

    cdef int start(self, const char **read, char *out, int threads) noexcept nogil:
        cdef fc_fold g = self.g
        g.x, g.out, g.threads = read[0], out, threads
        return fc_fold_run(&g)


# ---- pooling ---------------------------------------------------------------------------------------

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_pooling:
        int type, threads, average, adaptive, whole, last, padded
        double divisor
        ptrdiff_t images, channels, x_image, x_channel
        fc_axis axis[3]
        ptrdiff_t behind[3]
        const char *x
        const char *dy
        char *out
        int64_t *indices
    int fc_pooling_run(const fc_pooling *g)
    int fc_pooling_back_run(const fc_pooling *g)


@cython.auto_pickle(False)
cdef class PoolPlan(ArraysPlan):
    """Pooling of x (images, channels, ...), float32 or float64, to (images, channels, outputs ...), or with the channels last.
    A second array that is read is where the indices go, which are dense, too.

    behind: elements beyond each axis. divisor: 0, if means are of as many elements as there are."""

    cdef fc_pooling g

    def __init__(self, cnp.ndarray x, axes, behind, bint average, bint adaptive, bint whole, bint padded, double divisor,
                 bint last, int threads):
        cdef fc_pooling *g = &self.g
        cdef int i, first = 3 - len(axes)
        g.type = FC_F64 if cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE else FC_F32
        g.average, g.adaptive, g.whole, g.padded, g.divisor, g.last = average, adaptive, whole, padded, divisor, last
        g.images, g.channels = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1)
        self.products = describe_windows(g.axis, axes, x) * g.images * g.channels
        for i in range(first, 3):
            g.behind[i] = behind[i - first]
        g.x_image, g.x_channel = cnp.PyArray_STRIDE(x, 0), cnp.PyArray_STRIDE(x, 1)
        self.threads, self.scratch, self.nbytes = threads, "rows of pooling", sizeof(fc_pooling)

    cdef int start(self, const char **read, char *out, int threads) noexcept nogil:
        cdef fc_pooling g = self.g
        g.x, g.indices, g.out, g.threads = read[0], <int64_t *> read[1], out, threads
        return fc_pooling_run(&g)


@cython.auto_pickle(False)
cdef class PoolBackPlan(PoolPlan):
    """The gradient of pooling, which is of x's shape, dense, or with the channels last: of that of the outputs, and of x, or the
    indices of the largest, unless it is of means."""

    cdef int start(self, const char **read, char *out, int threads) noexcept nogil:
        cdef fc_pooling g = self.g
        g.dy, g.x, g.indices, g.out, g.threads = read[0], read[1], <int64_t *> read[2], out, threads
        return fc_pooling_back_run(&g)
