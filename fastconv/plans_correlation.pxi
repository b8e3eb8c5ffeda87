# SPDX-License-Identifier: BSD-3-Clause
"""Plans of correlations, of passes along axes, and of filters that are made of these."""
from numpy import add as np_add, multiply as np_multiply, sqrt as np_sqrt


cdef bint overlap(cnp.ndarray a, cnp.ndarray b):
    """Whether the memory between the first and the last element of either is the other's, too."""
    cdef char *low[2]
    cdef char *high[2]
    cdef cnp.ndarray c
    cdef int i, axis
    cdef ptrdiff_t span
    for i in range(2):
        c = b if i else a
        low[i] = high[i] = <char *> cnp.PyArray_DATA(c)
        high[i] += cnp.PyArray_ITEMSIZE(c)
        for axis in range(cnp.PyArray_NDIM(c)):
            if cnp.PyArray_DIM(c, axis) == 0:
                return False
            span = (cnp.PyArray_DIM(c, axis) - 1) * cnp.PyArray_STRIDE(c, axis)
            if span < 0:
                low[i] += span
            else:
                high[i] += span
    return low[0] < high[1] and low[1] < high[0]


cdef bint within(cnp.ndarray x, int64_t most):
    """Whether no integer of x is further from 0."""
    cdef const int64_t *at = <const int64_t *> cnp.PyArray_DATA(x)
    cdef Py_ssize_t i
    cdef int64_t low = 0, high = 0
    cdef uint64_t largest = 0
    if not (cnp.PyArray_ITEMSIZE(x) == 8 and cnp.PyArray_IS_C_CONTIGUOUS(x) and cnp.PyArray_ISALIGNED(x)):
        return -most <= x.min(initial=0) and x.max(initial=0) <= most
    if cnp.PyArray_TYPE(x) == cnp.NPY_UINT64:
        for i in range(cnp.PyArray_SIZE(x)):
            largest = max(largest, <uint64_t> at[i])
        return largest <= <uint64_t> most
    for i in range(cnp.PyArray_SIZE(x)):
        low, high = min(low, at[i]), max(high, at[i])
    return -most <= low and high <= most


@cython.auto_pickle(False)
cdef class CorrPlan(Plan):
    """One correlation by compiled code, whatever the values of x.

    Parameters
    ----------
    x : ndarray, shape (..., n of each axis)
    k : ndarray, shape (d, h, w), C-contiguous
        Of the type of the arithmetic.
    out : ndarray
        With leading axes as x. x and out are asked for their dtypes, shapes and strides only. Doubles are stored as
        whatever type out has, unless the method is fft.
    axes : tuple of arguments.Axis
    method : int
        One of METHOD.
    threads : int
    factors : tuple of ndarray, shape (terms, taps)
        For the separable method, of depth, rows and columns.
    """

    cdef fc_corr g
    cdef tuple arrays  # what g points to
    cdef double products
    # for calls: where x begins in the array that the user gave, and what becomes of the sums
    cdef int rank, typenum, cast
    cdef ptrdiff_t first
    cdef int64_t most
    cdef cnp.npy_intp shape[FC_BATCHES]
    cdef object order

    def __init__(self, cnp.ndarray x, cnp.ndarray k, cnp.ndarray out, axes, fill, int method, int threads, tuple factors=()):
        cdef fc_corr *g = &self.g
        cdef int i, first = 3 - len(axes)
        cdef cnp.ndarray factor
        self.arrays = k, *factors
        g.type, g.x_type, g.out_type = STORED[k.dtype.str[1:]], STORED[x.dtype.str[1:]], STORED[out.dtype.str[1:]]
        is_float = g.type == FC_F32 or g.type == FC_F64
        if g.out_type == FC_U64 and not is_float:
            g.out_type = FC_I64  # the same bits
        g.method, g.threads = method, threads
        g.fill, g.integer_fill = (fill, 0) if is_float else (0, fill)
        describe_axes(g, axes)
        for i in range(first, 3):
            g.axis[i].x_step = cnp.PyArray_STRIDE(x, cnp.PyArray_NDIM(x) - 3 + i)
            g.axis[i].out_step = cnp.PyArray_STRIDE(out, cnp.PyArray_NDIM(out) - 3 + i)
        describe_batch(g, (<object> x).shape[: x.ndim - len(axes)], (<object> x).strides, (<object> out).strides)
        self.point()
        for i in range(3):
            g.axis[i].k_step = cnp.PyArray_STRIDE(k, i)
        g.terms = 0
        for i, array in enumerate(factors, first):
            factor = array
            g.terms = cnp.PyArray_DIM(factor, 0)
        self.products = <double> cnp.PyArray_SIZE(out) * <double> cnp.PyArray_SIZE(k)

    cdef own(self):
        """What g points to may not change any more, whatever becomes of the arrays that it was made of."""
        self.arrays = tuple([None if a is None else a.copy() for a in self.arrays])
        self.point()
        self.nbytes = sum([a.nbytes for a in self.arrays if a is not None]) + sizeof(fc_corr)

    cdef point(self):
        """g has the addresses of the taps."""
        cdef int i
        cdef cnp.ndarray array = self.arrays[0]
        self.g.k = <const char *> cnp.PyArray_DATA(array)
        for i in range(1, len(self.arrays)):
            array = self.arrays[i]
            self.g.factor[4 - len(self.arrays) + i - 1] = <const char *> cnp.PyArray_DATA(array)

    cdef int run(self, const char *x, char *out) except -1:
        """Whether the box method has made something that is not finite"""
        cdef fc_corr g
        cdef int status, not_finite = 0
        memcpy(&g, &self.g, <char *> &self.g.batch[self.g.batches] - <char *> &self.g)
        g.x, g.out, g.not_finite = x, out, &not_finite
        if g.threads == 0:  # see serve
            g.threads = default_threads
        run(&g, self.products)
        return not_finite

    def __call__(self, cnp.ndarray x, cnp.ndarray out):
        """Carry it out for such arrays. Returns whether the box method has made something that is not finite."""
        return bool(self.run(<const char *> cnp.PyArray_DATA(x), <char *> cnp.PyArray_DATA(out)))

    def serve(self, cnp.ndarray asked, cnp.ndarray x, cnp.ndarray result, order=None, finish=None, cast=None, most=None,
              bint default_threads=True):
        """Make it a plan for calls with arrays like `asked`, of which x is a view, and results like `result`.

        order: how the result is transposed for the user. finish: a function of it. cast: the dtype that x is a copy in,
        instead. most: the largest magnitude in x for which it holds. default_threads: as many as are the default then.
        """
        cdef int i
        self.own()
        self.first = <const char *> cnp.PyArray_DATA(x) - <const char *> cnp.PyArray_DATA(asked)
        self.rank, self.typenum = cnp.PyArray_NDIM(result), cnp.PyArray_TYPE(result)
        for i in range(self.rank):
            self.shape[i] = cnp.PyArray_DIM(result, i)
        self.order, self.finish, self.cast = order, finish, -1
        if cast is not None:
            self.cast, self.first = cast.num, 0
        self.most = -1 if most is None else most
        if default_threads:
            self.g.threads = 0
        return self

    cdef object carry_out(self, const glance *s):
        cdef cnp.ndarray x = <cnp.ndarray> s.data[0], out
        if self.most >= 0 and not within(x, self.most):
            return None
        if self.cast >= 0:
            x = cnp.PyArray_FROMANY(x, self.cast, 0, 0, cnp.NPY_ARRAY_CARRAY_RO | cnp.NPY_ARRAY_FORCECAST)
        if s.out != NULL:
            out = <cnp.ndarray> s.out
            if overlap(x, out):
                return None
        else:
            out = cnp.PyArray_EMPTY(self.rank, self.shape, self.typenum, 0)
        if self.run(<const char *> cnp.PyArray_DATA(x) + self.first, <char *> cnp.PyArray_DATA(out)):
            return None
        if s.out != NULL:
            return out
        if self.order is not None:
            out = out.transpose(self.order)
        return out if self.finish is None else self.finish(out)


@cython.auto_pickle(False)
cdef class LinesPlan(CorrPlan):
    """One pass along an axis, or two one after the other, over x into out of the same shape; see FC_LINES in fastconv.h.

    A pass is (axis, weights, taps, lead, boundary, divisor): weights are adjacent float64, as many as taps, or None where
    all are 1; divisor 0 divides by nothing. Of two passes one is along the last axis. between: the dtype, as in STORED, of
    the first one's results. narrow: all sums are integers that float32 holds, and arithmetic is in that. x and out do not
    overlap. band: an axis of a pass along which out has only the outputs from `start` on.
    """

    def __init__(self, cnp.ndarray x, cnp.ndarray out, first, second, double fill, between, bint narrow, int threads,
                 int band=-1, ptrdiff_t start=0):
        cdef fc_corr *g = &self.g
        cdef fc_axis *a
        cdef int i, last = cnp.PyArray_NDIM(x) - 1, axis, slot, other = last - 1
        cdef double taps = 0
        describe_filter(g, x, out, FC_LINES, fill, threads)
        g.type = FC_F32 if narrow else FC_F64
        g.between = STORED[between]
        g.k = NULL
        for i in range(3):
            g.line[i].w, g.line[i].divisor = NULL, 0
        g.columns_first = first[0] == last
        arrays = [None, None]  # weights along rows, along columns
        for one in (first, second):
            if one is None:
                continue
            axis, weights, length, lead, name, divisor = one
            slot = 2 if axis == last else 1
            if axis != last:
                other = axis
            a = &g.axis[slot]
            a.k, a.lead, a.boundary = length, lead, BOUNDARY[name]
            taps += <double> a.k if weights is not None else 8
            g.line[slot].divisor = divisor
            if weights is not None:
                arrays[slot - 1] = weights.astype("f4") if narrow else weights
        for i in range(last + 1):
            if i == last or i == other:
                a = &g.axis[2 if i == last else 1]
                spans(a, x, out, i)
                if i == band:
                    a.start = start
                    a.lead -= start
            else:
                g.batch[g.batches].n = cnp.PyArray_DIM(x, i)
                g.batch[g.batches].x_step = cnp.PyArray_STRIDE(x, i)
                g.batch[g.batches].out_step = cnp.PyArray_STRIDE(out, i)
                g.batches += 1
        self.arrays = tuple(arrays)
        self.point()
        self.products = <double> cnp.PyArray_SIZE(out) * taps

    cdef point(self):
        cdef int i
        cdef cnp.ndarray weights
        for i in range(2):
            weights = self.arrays[i]
            if weights is not None:
                self.g.line[1 + i].w = <const char *> cnp.PyArray_DATA(weights)


@cython.auto_pickle(False)
cdef class OrderedPlan(CorrPlan):
    """Correlation of x with float64 w of as many dimensions, three at most, into out of the shape of x, by method ordered.

    x and out are of types that may be stored, and do not overlap.
    """

    def __init__(self, cnp.ndarray x, cnp.ndarray w, cnp.ndarray out, leads, boundary, double fill, int threads):
        cdef int i, rank = cnp.PyArray_NDIM(x)
        cdef fc_axis *a
        describe_filter(&self.g, x, out, FC_ORDERED, fill, threads)
        self.arrays = (w,)
        for i in range(rank):
            a = &self.g.axis[3 - rank + i]
            spans(a, x, out, i)
            a.k, a.lead, a.boundary = cnp.PyArray_DIM(w, i), leads[i], BOUNDARY[boundary]
        self.point()
        self.products = <double> cnp.PyArray_SIZE(x) * <double> cnp.PyArray_SIZE(w)

    cdef point(self):
        cdef cnp.ndarray w = self.arrays[0]
        cdef int i, rank = cnp.PyArray_NDIM(w)
        self.g.k = <const char *> cnp.PyArray_DATA(w)
        for i in range(rank):
            self.g.axis[3 - rank + i].k_step = cnp.PyArray_STRIDE(w, i)


cdef enum:
    CHAIN, SUM, MAGNITUDE

RESULTS = {"chain": CHAIN, "sum": SUM, "magnitude": MAGNITUDE}


@cython.auto_pickle(False)
cdef class FilterPlan(Plan):
    """Plans of arrays of one shape: each takes what the one before it made ("chain"), or all of them take x, and what they
    make is added up ("sum"), or is the root of the sum of the squares ("magnitude").

    Parameters
    ----------
    parts : list of CorrPlan or FilterPlan
    between : dtype
        Of what is neither x nor the result.
    out : ndarray
        An array like the result.
    """

    cdef list parts
    cdef int how, between, typenum, rank
    cdef cnp.npy_intp shape[FC_BATCHES]

    def __init__(self, how, list parts, cnp.dtype between, cnp.ndarray out):
        cdef int i
        self.how, self.parts, self.between = RESULTS[how], parts, between.type_num
        self.rank, self.typenum = cnp.PyArray_NDIM(out), cnp.PyArray_TYPE(out)
        for i in range(self.rank):
            self.shape[i] = cnp.PyArray_DIM(out, i)
        for part in parts:
            if isinstance(part, CorrPlan):
                (<CorrPlan> part).own()
                (<CorrPlan> part).g.threads = 0
            self.nbytes += part.nbytes

    cdef int part(self, Py_ssize_t i, cnp.ndarray x, cnp.ndarray out) except -1:
        part = self.parts[i]
        if isinstance(part, FilterPlan):
            return (<FilterPlan> part).fill(x, out)
        return (<CorrPlan> part).run(<const char *> cnp.PyArray_DATA(x), <char *> cnp.PyArray_DATA(out))

    cdef int fill(self, cnp.ndarray x, cnp.ndarray out) except -1:
        cdef Py_ssize_t i, last = len(self.parts) - 1
        cdef cnp.ndarray made
        if self.how == CHAIN:
            for i in range(last):
                made = cnp.PyArray_EMPTY(self.rank, self.shape, self.between, 0)
                self.part(i, x, made)
                x = made
            return self.part(last, x, out)
        self.part(0, x, out)
        if self.how == MAGNITUDE:
            np_multiply(out, out, out)
        for i in range(1, last + 1):
            made = cnp.PyArray_EMPTY(self.rank, self.shape, self.typenum, 0)
            self.part(i, x, made)
            if self.how == MAGNITUDE:
                np_multiply(made, made, made)
            np_add(out, made, out)
        if self.how == MAGNITUDE:
            np_sqrt(out, out, casting="unsafe")
        return 0

    cdef object carry_out(self, const glance *s):
        cdef cnp.ndarray x = <cnp.ndarray> s.data[0], out
        if s.out == NULL:
            out = cnp.PyArray_EMPTY(self.rank, self.shape, self.typenum, 0)
        else:
            out = <cnp.ndarray> s.out
            if overlap(x, out):
                return None
        self.fill(x, out)
        return out
