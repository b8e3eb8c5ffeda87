# SPDX-License-Identifier: BSD-3-Clause
"""Plans of passes along axes, of correlations in a given order, and of filters that are made of these."""
from numpy import add as np_add, multiply as np_multiply, sqrt as np_sqrt


cdef ptrdiff_t behind(cnp.ndarray a, int axis) noexcept:
    """How many elements the axes behind this one have, if they lie side by side and its own follow them; or 0."""
    cdef ptrdiff_t n = 1
    cdef int i
    for i in range(cnp.PyArray_NDIM(a) - 1, axis, -1):
        if cnp.PyArray_STRIDE(a, i) != n * cnp.PyArray_ITEMSIZE(a):
            return 0
        n *= cnp.PyArray_DIM(a, i)
    return n if cnp.PyArray_STRIDE(a, axis) == n * cnp.PyArray_ITEMSIZE(a) else 0


cdef (int, int) lie(cnp.ndarray x, cnp.ndarray out, first, second, ptrdiff_t *unit):
    """Which axes of x are rows and columns (-1: none) for these passes, and how many elements of a column are a pixel.

    Columns are many, and side by side where that can be.
    """
    cdef int last = cnp.PyArray_NDIM(x) - 1, axis = first[0], rows = axis, longest = 0, a
    cdef ptrdiff_t pixel, few
    if second is not None:
        rows, axis = min(axis, second[0]), max(axis, second[0])
    pixel = min(behind(x, axis), behind(out, axis))
    if second is not None:
        unit[0] = max(pixel, 1)
        return rows, axis
    if axis == last:
        for a in range(1, last):
            if cnp.PyArray_DIM(x, a) > cnp.PyArray_DIM(x, longest):
                longest = a
        few = cnp.PyArray_DIM(x, last)
        is_short = few < min(<ptrdiff_t> costs.SHORT_LINE, <ptrdiff_t> cnp.PyArray_DIM(x, longest))
        return (last if is_short else last - 1), (longest if is_short else last)
    if 0 < pixel < costs.SHORT_LINE and first[1] is not None:
        unit[0] = pixel
        return axis - 1, axis
    pixel = min(behind(x, axis + 1), behind(out, axis + 1))
    if pixel == 0:
        return axis, last
    unit[0] = pixel
    return axis, axis + 1


@cython.auto_pickle(False)
cdef class LinesPlan(CorrPlan):
    """One pass along an axis, or two one after the other, over x into out; see FC_LINES in fastconv.h.

    A pass is (axis, weights, taps, lead, boundary, divisor): weights are adjacent float64, as many as taps, or None where
    all are 1; divisor 0 divides by nothing. Weights of two terms, (2, taps) in both passes, ask for a magnitude. Of two
    passes one is along the last axis, or along one whose elements are pixels of few elements side by side. between: the
    dtype, as in STORED, of the first one's results. narrow: all sums are integers that float32 holds, and arithmetic is in
    that. x and out do not overlap. starts: the output that out has first, along each axis; out may be shorter than x along
    the axes of the passes.
    """

    def __init__(self, cnp.ndarray x, cnp.ndarray out, first, second, double fill, between, bint narrow, int threads,
                 starts=None):
        cdef fc_corr *g = &self.g
        cdef int i, rows, cols, slot
        cdef ptrdiff_t unit = 1
        cdef double taps = 0
        cdef cnp.ndarray given
        describe_filter(g, x, out, FC_LINES, fill, threads)
        g.type = FC_F32 if narrow else FC_F64
        g.between = STORED[between]
        g.k = NULL
        for i in range(3):
            g.line[i].w, g.line[i].divisor = NULL, 0
        rows, cols = lie(x, out, first, second, &unit)
        g.columns_first = first[0] == cols
        arrays = [None, None]  # weights along rows, along columns
        for one in (first, second):
            if one is None:
                continue
            axis, weights, length, lead, name, divisor = one
            slot = 2 if axis == cols else 1
            g.axis[slot].k, g.axis[slot].lead, g.axis[slot].boundary = length, lead, BOUNDARY[name]
            if weights is not None:
                given = weights
                g.terms = cnp.PyArray_DIM(given, 0) if cnp.PyArray_NDIM(given) == 2 else 1
            taps += <double> length * max(g.terms, 1) if weights is not None else 8
            g.line[slot].divisor = divisor
            if weights is not None:
                arrays[slot - 1] = weights.astype("f4") if narrow else weights
        for i in range(cnp.PyArray_NDIM(x)):
            if i == rows or i == cols:
                slot = 2 if i == cols else 1
                spans(&g.axis[slot], x, out, i)
                if starts is not None:
                    g.axis[slot].start = starts[i]
                    g.axis[slot].lead -= g.axis[slot].start
            elif i < cols or unit == 1:
                g.batch[g.batches].n = cnp.PyArray_DIM(x, i)
                g.batch[g.batches].x_step = cnp.PyArray_STRIDE(x, i)
                g.batch[g.batches].out_step = cnp.PyArray_STRIDE(out, i)
                g.batches += 1
        of_pixels(&g.axis[2], unit)
        self.arrays = tuple(arrays)
        self.point()
        self.products = <double> cnp.PyArray_SIZE(out) * taps
        self.align(x, out)

    cdef point(self):
        cdef int i
        cdef cnp.ndarray weights
        for i in range(2):
            weights = self.arrays[i]
            if weights is not None:
                self.g.line[1 + i].w = <const char *> cnp.PyArray_DATA(weights)


@cython.auto_pickle(False)
cdef class OrderedPlan(CorrPlan):
    """Correlation of x with float64 w of as many dimensions, three at most, into out, by method ordered.

    x and out are of types that may be stored, and do not overlap.
    """

    def __init__(self, cnp.ndarray x, cnp.ndarray w, cnp.ndarray out, leads, boundary, double fill, int threads):
        cdef int i, rank = cnp.PyArray_NDIM(x)
        cdef ptrdiff_t pixel = min(behind(x, rank - 2), behind(out, rank - 2)) if rank > 1 and w.shape[rank - 1] == 1 else 0
        cdef fc_axis *a
        describe_filter(&self.g, x, out, FC_ORDERED, fill, threads)
        if 0 < pixel < costs.SHORT_LINE:
            rank -= 1
            w = w.reshape((<object> w).shape[:rank])
        self.arrays = (w,)
        for i in range(rank):
            a = &self.g.axis[3 - rank + i]
            spans(a, x, out, i)
            a.k, a.lead, a.boundary = cnp.PyArray_DIM(w, i), leads[i], BOUNDARY[boundary]
        if rank < cnp.PyArray_NDIM(x):
            of_pixels(&self.g.axis[2], pixel)
        self.point()
        self.products = <double> cnp.PyArray_SIZE(x) * <double> cnp.PyArray_SIZE(w)
        self.align(x, out)


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
    cdef int how, between

    def __init__(self, how, list parts, cnp.dtype between, cnp.ndarray out):
        self.how, self.parts, self.between = RESULTS[how], parts, between.type_num
        self.makes(out)
        for part in parts:
            if isinstance(part, CorrPlan):
                (<CorrPlan> part).keep(True)
            self.nbytes += part.nbytes

    cdef Py_ssize_t ready(self, const fc_kernels *table):
        return sum([(<Plan> part).ready(table) for part in self.parts])

    cdef int part(self, Py_ssize_t i, cnp.ndarray x, cnp.ndarray out) except -1:
        part = self.parts[i]
        if isinstance(part, FilterPlan):
            return (<FilterPlan> part).fill(x, out, True)
        return (<CorrPlan> part).run(<const char *> cnp.PyArray_DATA(x), <char *> cnp.PyArray_DATA(out))

    cdef int fill(self, cnp.ndarray x, cnp.ndarray out, bint is_fresh) except -1:
        cdef Py_ssize_t i, last = len(self.parts) - 1
        cdef cnp.ndarray made, total
        if self.how == CHAIN:
            for i in range(last):
                made = cnp.PyArray_EMPTY(self.rank, self.shape, self.between, 0)
                self.part(i, x, made)
                x = made
            return self.part(last, x, out)
        total = out if is_fresh or last == 0 else self.room()  # out is left alone until nothing can fail
        self.part(0, x, total)
        if self.how == MAGNITUDE:
            np_multiply(total, total, total)
        for i in range(1, last + 1):
            made = self.room()
            self.part(i, x, made)
            if self.how == MAGNITUDE:
                np_multiply(made, made, made)
            np_add(total, made, out if i == last and self.how == SUM else total)
        if self.how == MAGNITUDE:
            np_sqrt(total, out, casting="unsafe")
        return 0

    cdef object carry_out(self, const glance *s):
        cdef cnp.ndarray x = <cnp.ndarray> s.data[0], out
        if s.out == NULL:
            out = self.room()
        else:
            out = <cnp.ndarray> s.out
            if overlap(x, out):
                return None
        self.fill(x, out, s.out == NULL)
        return out
