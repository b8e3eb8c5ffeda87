# SPDX-License-Identifier: BSD-3-Clause
"""Plans of windows: as columns, and back; pooled; and compared with a template."""

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


# ---- template matching -----------------------------------------------------------------------------

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_learnt:
        pass
    ctypedef struct fc_match:
        int type, x_type, out_type, measure, normed, whole, boundary, threads, by_plane
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
        const fc_learnt *learnt
    int FC_CCOEFF, FC_CCORR, FC_SQDIFF
    int fc_match_run(const fc_match *g)
    fc_learnt *fc_match_learn(const fc_match *g)
    ptrdiff_t fc_match_learnt_bytes(const fc_match *g)
    void fc_match_forget(fc_learnt *learnt)

cdef extern from *:
    void show_learnt "FC_SHOW"(fc_learnt *place, fc_learnt *made) noexcept nogil
    const fc_learnt *seen_learnt "FC_SEE"(fc_learnt *place) noexcept nogil

MEASURE = {"ccoeff": FC_CCOEFF, "ccorr": FC_CCORR, "sqdiff": FC_SQDIFF}


@cython.auto_pickle(False)
cdef class MatchPlan(ArraysPlan):
    """Scores of the template t (d, h, w), float64 and C-contiguous, in an image; see fc_match in fastconv.h.

    image, result: (depth, rows, columns). masks: None, (v,) or (M, v), of t's shape. numbers: the last fields of fc_match.
    What t and masks hold must not change.
    """

    cdef fc_match g
    cdef tuple arrays  # what g points to
    cdef fc_learnt *learnt
    cdef fc_once learns  # it will, when it is found, as it then is likely to be found again

    def __init__(self, cnp.ndarray image, cnp.ndarray result, cnp.ndarray t, tuple masks, lead, measure, boundary,
                 double fill, int threads, bint whole, bint by_plane, numbers):
        cdef fc_match *g = &self.g
        cdef int i
        cdef cnp.ndarray weights, energies
        g.x_type, g.out_type = stored(image), stored(result)
        g.type = g.out_type if masks is None else FC_F64
        g.measure, g.normed = MEASURE[measure.removesuffix("_normed")], measure.endswith("_normed")
        g.boundary, g.fill, g.whole, g.by_plane = BOUNDARY[boundary], fill, whole, by_plane
        for i in range(3):
            g.n[i], g.k[i], g.out[i] = cnp.PyArray_DIM(image, i), cnp.PyArray_DIM(t, i), cnp.PyArray_DIM(result, i)
            g.x_step[i], g.out_step[i], g.lead[i] = cnp.PyArray_STRIDE(image, i), cnp.PyArray_STRIDE(result, i), lead[i]
        g.t = <const double *> cnp.PyArray_DATA(t)
        if masks is not None:
            weights, energies = masks[0], masks[len(masks) - 1]
            g.weights, g.energies = <const double *> cnp.PyArray_DATA(weights), <const double *> cnp.PyArray_DATA(energies)
        g.shift, g.scale, g.weight, g.energy, g.spread, g.square, g.power = numbers
        self.arrays = t, *(masks or ())
        self.products = <double> cnp.PyArray_SIZE(result) * <double> cnp.PyArray_SIZE(t)
        self.threads, self.scratch = threads, "tiles of match_template"
        self.nbytes = sizeof(fc_match) + sum([a.nbytes for a in self.arrays])
        learnt = fc_match_learnt_bytes(g)
        self.learns = 0 < learnt <= fc_most_kept() // 4

    def __dealloc__(self):
        fc_match_forget(self.learnt)

    cdef Py_ssize_t ready(self, const fc_kernels *table):
        cdef fc_learnt *made
        if not fc_is_first(&self.learns):
            return 0
        made = fc_match_learn(&self.g)
        show_learnt(self.learnt, made)
        return fc_match_learnt_bytes(&self.g) if made != NULL else 0

    cdef int start(self, const char **read, char *out, int threads) noexcept nogil:
        cdef fc_match g = self.g
        g.x, g.result, g.threads, g.learnt = read[0], out, threads, seen_learnt(self.learnt)
        return fc_match_run(&g)
