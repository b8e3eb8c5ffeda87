# SPDX-License-Identifier: BSD-3-Clause
"""Plans of correlations."""


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


cdef enum:
    EACH_PRODUCTS = 1 << 30  # of elements with kernels of their own, until Ctrl-C is heard
    ELEMENT = 8  # bytes of the largest one
    ALIGNMENT = 64

cdef extern from *:
    void show_prepared "FC_SHOW"(fc_prepared *place, fc_prepared *made) noexcept nogil
    const fc_prepared *seen_prepared "FC_SEE"(fc_prepared *place) noexcept nogil


def divides(divisor, most, int bits=16, bint in_floats=False):
    """Whether compiled code divides sums 0 ... most, of 16 or 32 bits, by divisor exactly; or in floats."""
    if not (0 < divisor <= 65535 and 0 <= most < 2**32):
        return False
    return bool(fc_divides_in_floats(divisor, most) if in_floats else fc_divides(divisor, most, bits))


def present(cnp.ndarray x, cnp.ndarray there, bint ignores_nan, cnp.ndarray above, cnp.ndarray counts):
    """Put x, where it counts, into above, and 1 into counts; else 0 into both. Returns how many do not count.

    there: bool, False where x does not; or None. All have one shape and, but for `there`, one type; C-contiguous.
    """
    cdef const fc_ops *op = fc_in_use().op[stored(x)]
    cdef const unsigned char *marks = NULL if there is None else <const unsigned char *> cnp.PyArray_DATA(there)
    cdef const void *given = cnp.PyArray_DATA(x)
    cdef void *to = cnp.PyArray_DATA(above)
    cdef void *number = cnp.PyArray_DATA(counts)
    cdef ptrdiff_t n = cnp.PyArray_SIZE(x), missing
    with nogil:
        missing = op.present(given, marks, ignores_nan, n, to, number)
    return missing


def make_up(cnp.ndarray sums, cnp.ndarray weight, double[::1] totals):
    """sums = sums * total / weight, in place; totals: of so many equal parts of them. C-contiguous, of one type."""
    cdef const fc_ops *op = fc_in_use().op[stored(sums)]
    cdef ptrdiff_t part, each = cnp.PyArray_SIZE(sums) // totals.shape[0], size = each * cnp.PyArray_ITEMSIZE(sums)
    cdef char *to = <char *> cnp.PyArray_DATA(sums)
    cdef const char *by = <const char *> cnp.PyArray_DATA(weight)
    with nogil:
        for part in range(totals.shape[0]):
            op.make_up(to + part * size, by + part * size, each, totals[part])


@cython.cdivision(True)
cdef bint may_be_outer(const char *taps, int type, ptrdiff_t rows, ptrdiff_t cols) noexcept:
    """Whether `factors.may_be_outer_products` could say so of this kernel: it allows for half as much rounding."""
    cdef const float *narrow = <const float *> taps
    cdef const double *wide = <const double *> taps
    cdef bint is_narrow = type == FC_F32
    cdef double eps = FLT_EPSILON if is_narrow else DBL_EPSILON, least = 1.5e-45 if is_narrow else 5e-324
    cdef double tap, product, norm = 0, largest = 0
    cdef ptrdiff_t i, row, column, at = 0
    for i in range(rows * cols):
        tap = narrow[i] if is_narrow else wide[i]
        norm += tap * tap
        if fabs(tap) > fabs(largest):
            largest, at = tap, i
    for i in range(rows * cols):
        tap = narrow[i] if is_narrow else wide[i]
        row, column = i // cols * cols + at % cols, at // cols * cols + i % cols
        product = (narrow[row] if is_narrow else wide[row]) / largest
        product *= narrow[column] if is_narrow else wide[column]
        if not fabs(product - tap) <= 32 * (eps * fabs(tap) + eps * sqrt(norm) + least):
            return False
    return True


@cython.auto_pickle(False)
cdef class CorrPlan(Plan):
    """One correlation by compiled code, whatever the values of x.

    Parameters
    ----------
    x : ndarray, shape (..., n of each axis)
    k : ndarray, shape (taps of each axis), or (..., taps of each axis)
        Of the type of the arithmetic. Leading axes are the first ones of x and out, whose elements each have a kernel of
        their own; x and out are then aligned.
    out : ndarray
        With leading axes as x. x and out are asked for their dtypes, shapes and strides only. Floats are stored as
        whatever type out has, unless the method is fft.
    axes : tuple of arguments.Axis
    method : int
        One of METHOD.
    threads : int
    factors : tuple of ndarray, shape (terms, taps)
        For the separable method, of depth, rows and columns.
    rounding : int
        One of ROUNDING; all but "cast" are for results of up to 16 bits.
    combine : int
        One of COMBINE, of the terms of the separable method.
    result_step : int
        Of terms that are not combined: bytes from `out`, which is the first result, to the second.
    divisor : int
        What sums of 16 bits, or of boxes in 32 bits, are divided by, as `divides` allows; 0: by nothing.
    """

    cdef fc_corr g
    cdef fc_prepared *prepared  # what is kept of g for calls that are made again; NULL: nothing yet
    cdef fc_once prepares  # it will
    cdef int threads  # that were the default then
    cdef tuple arrays  # what g points to
    cdef double products
    cdef int owns  # leading axes of k
    cdef fc_each own[FC_BATCHES]
    # for calls: where x begins in the array that the user gave, and what becomes of the sums
    cdef int cast
    cdef ptrdiff_t first
    cdef int64_t most
    cdef cnp.ndarray taps  # as the user gave them, if they may be others the next time,
    cdef bint flips, finite  # whether the plan has them from the last one; whether it holds for finite ones only,
    cdef bint but_outer  # or for none that may be an outer product

    def __init__(self, cnp.ndarray x, cnp.ndarray k, cnp.ndarray out, axes, fill, int method, int threads, tuple factors=(),
                 int rounding=FC_TRUNCATED, int combine=FC_ADDED, ptrdiff_t result_step=0,
                 unsigned divisor=0):
        cdef fc_corr *g = &self.g
        cdef int i, rank = len(axes), first = 3 - rank, owns = cnp.PyArray_NDIM(k) - rank
        cdef cnp.ndarray factor
        self.arrays, self.owns = (k, *factors), owns
        g.type, g.x_type, g.out_type = stored(k), stored(x), stored(out)
        is_float = g.type == FC_F32 or g.type == FC_F64
        if g.out_type == FC_U64 and not is_float:
            g.out_type = FC_I64  # the same bits
        if g.type == FC_I16 and g.out_type == FC_U16 and divisor == 1 and method != FC_BOX:
            g.out_type = FC_I16  # likewise
        g.divisor = divisor
        g.method, g.threads, g.rounding = method, threads, rounding
        g.fill, g.integer_fill = (fill, 0) if is_float else (0, fill)
        describe_axes(g, axes)
        for i in range(first, 3):
            g.axis[i].x_step = cnp.PyArray_STRIDE(x, cnp.PyArray_NDIM(x) - 3 + i)
            g.axis[i].out_step = cnp.PyArray_STRIDE(out, cnp.PyArray_NDIM(out) - 3 + i)
        describe_batch(g, rank, cnp.PyArray_NDIM(x) - rank - owns, cnp.PyArray_DIMS(x) + owns, cnp.PyArray_STRIDES(x) + owns,
                       cnp.PyArray_STRIDES(out) + owns)
        for i in range(owns):
            self.own[i].n = cnp.PyArray_DIM(k, i)
            self.own[i].x_step, self.own[i].out_step = cnp.PyArray_STRIDE(x, i), cnp.PyArray_STRIDE(out, i)
        self.point()
        g.terms, g.combine, g.result_step = 0, combine, result_step
        for i, array in enumerate(factors, first):
            factor = array
            g.terms = cnp.PyArray_DIM(factor, 0)
        self.products = <double> cnp.PyArray_SIZE(out)
        for i in range(rank):
            self.products *= <double> cnp.PyArray_DIM(k, owns + i)
        self.align(x, out)

    def __dealloc__(self):
        fc_corr_forget(self.prepared)

    cdef void align(self, cnp.ndarray x, cnp.ndarray out) noexcept:
        """g has the alignment of these arrays: of addresses no more counts until it is carried out."""
        self.g.x = <const char *> (<ptrdiff_t> cnp.PyArray_DATA(x) % ALIGNMENT)
        self.g.out = <char *> (<ptrdiff_t> cnp.PyArray_DATA(out) % ALIGNMENT)

    cdef keep(self, bint any_threads):
        """Prepare for many calls. Nobody else may change what g points to."""
        cdef ptrdiff_t spectrum = fc_corr_spectrum_bytes(&self.g)
        self.arrays = tuple([a if a is None else a.copy() for a in self.arrays])
        self.point()
        if any_threads:
            self.g.threads = 0
        self.nbytes = sum([a.nbytes for a in self.arrays if a is not None]) + self.__sizeof__()
        self.prepares = self.owns == 0 and spectrum <= fc_most_kept() // 2

    cdef Py_ssize_t ready(self, const fc_kernels *table):
        cdef fc_corr g
        cdef fc_prepared *made
        if not fc_is_first(&self.prepares):
            return 0
        self.threads = fc_threads()
        g = self.g
        if g.threads == 0:
            g.threads = self.threads
        made = fc_corr_prepare(&g, table)
        show_prepared(self.prepared, made)
        return fc_corr_bytes(made) if made != NULL else 0

    cdef point(self):
        """g has the addresses and steps of the taps."""
        cdef cnp.ndarray array = self.arrays[0]
        cdef int i, rank = cnp.PyArray_NDIM(array) - self.owns
        self.g.k = <const char *> cnp.PyArray_DATA(array)
        for i in range(rank):
            self.g.axis[3 - rank + i].k_step = cnp.PyArray_STRIDE(array, self.owns + i)
        for i in range(self.owns):
            self.own[i].k_step = cnp.PyArray_STRIDE(array, i)
        for i in range(1, len(self.arrays)):
            array = self.arrays[i]
            self.g.factor[4 - len(self.arrays) + i - 1] = <const char *> cnp.PyArray_DATA(array)

    cdef int run(self, const char *x, char *out, const char *taps=NULL) except -1:
        """Whether something does not fit (see fastconv.h). taps: others than those of the plan."""
        cdef fc_corr g
        cdef int i, status, doubtful = 0
        cdef const fc_prepared *prepared = seen_prepared(self.prepared)
        cdef bint again = (
            taps == NULL and prepared != NULL and (self.g.threads > 0 or self.threads == fc_threads())
            and (<ptrdiff_t> x - <ptrdiff_t> self.g.x) % ELEMENT == 0
            and (<ptrdiff_t> out - <ptrdiff_t> self.g.out) % ELEMENT == 0)
        if not again:
            memcpy(&g, &self.g, <char *> &self.g.batch[self.g.batches] - <char *> &self.g)
            g.x, g.out, g.doubtful = x, out, &doubtful
            if g.threads == 0:
                g.threads = fc_threads()
            if taps != NULL:
                g.k = taps
                for i in range(3):
                    if self.flips:
                        g.k += (g.axis[i].k - 1) * g.axis[i].k_step
                        g.axis[i].k_step = -g.axis[i].k_step
        if self.owns > 0:
            status = self.run_each(&g)
        elif self.products < KEEP_GIL_BELOW:
            status = fc_corr_again(prepared, x, out, &doubtful) if again else fc_corr_run(&g)
        else:
            with nogil:
                status = fc_corr_again(prepared, x, out, &doubtful) if again else fc_corr_run(&g)
        heard()
        if status != 0:
            raise MemoryError("no memory for the scratch tiles of a correlation")
        return doubtful

    def with_any(self, cnp.ndarray taps, bint flips, bint finite=False, bint but_outer=False):
        """Let it hold for other taps, too, laid out and of the type as these; flips: they are seen from the last one;
        finite: if they are; but_outer: unless they may be an outer product of two."""
        self.taps, self.flips, self.finite, self.but_outer = taps.copy(), flips, finite, but_outer
        self.any_taps = True
        self.nbytes += self.taps.nbytes
        return self

    def __call__(self, cnp.ndarray x, cnp.ndarray out):
        """Carry it out for such arrays. Returns whether the box method has made something that is not finite, or a result
        does not fit into the type of out as `rounding` says."""
        return bool(self.run(<const char *> cnp.PyArray_DATA(x), <char *> cnp.PyArray_DATA(out)))

    cdef int run_each(self, fc_corr *g) except -2:
        """For every element of the leading axes, so many of the first of them at a time. Returns 0, or -1."""
        cdef fc_each own[FC_BATCHES]
        cdef ptrdiff_t at = 0, rows = self.own[0].n, some = rows
        cdef int status = 0
        if self.products > EACH_PRODUCTS:
            some = <ptrdiff_t> max(1, <double> rows * EACH_PRODUCTS / self.products)
        memcpy(own, self.own, sizeof(own))
        while at < rows and status == 0:
            own[0].n = min(some, rows - at)
            if self.products < KEEP_GIL_BELOW:
                status = fc_corr_each(g, self.owns, own)
            else:
                with nogil:
                    status = fc_corr_each(g, self.owns, own)
                heard()
                PyErr_CheckSignals()
            at += some
            g.x += some * own[0].x_step
            g.k += some * own[0].k_step
            g.out += some * own[0].out_step
        return status

    def serve(self, cnp.ndarray asked, cnp.ndarray x, cnp.ndarray result, finish=None, cast=None, most=None,
              bint any_threads=True):
        """Make it a plan for calls with arrays like `asked`, of which x is a view, and results like `result`.

        finish: a function of the result. cast: the dtype that x is a copy in,
        instead. most: the largest magnitude in x for which it holds. any_threads: as many as are the default then.
        """
        self.keep(any_threads)
        self.first = <const char *> cnp.PyArray_DATA(x) - <const char *> cnp.PyArray_DATA(asked)
        self.makes(result)
        self.finish, self.cast = finish, -1
        if cast is not None:
            self.cast, self.first = cast.num, 0
        self.most = -1 if most is None else most
        return self

    cdef object carry_out(self, const glance *s):
        cdef cnp.ndarray x = <cnp.ndarray> s.data[0], out
        cdef const char *taps = NULL
        if self.any_taps and s.taps == 1:
            taps = <const char *> cnp.PyArray_DATA(<cnp.ndarray> s.tap[0])
            if memcmp(taps, cnp.PyArray_DATA(self.taps), cnp.PyArray_NBYTES(self.taps)) == 0:
                taps = NULL
            elif self.finite and not fc_in_use().op[self.g.type].finite(taps, cnp.PyArray_SIZE(self.taps)):
                return None
            elif self.but_outer and may_be_outer(taps, self.g.type, self.g.axis[1].k, self.g.axis[2].k):
                return None
        if self.cast >= 0:
            x = cnp.PyArray_FROMANY(x, self.cast, 0, 0, cnp.NPY_ARRAY_CARRAY_RO | cnp.NPY_ARRAY_FORCECAST)
        if self.most >= 0 and not within(x, self.most):
            return None
        if s.out != NULL:
            out = <cnp.ndarray> s.out
            if overlap(x, out):
                return None
        else:
            out = self.room()
        if self.run(<const char *> cnp.PyArray_DATA(x) + self.first, <char *> cnp.PyArray_DATA(out), taps):
            return None
        if s.out != NULL:
            return out
        return out if self.finish is None else self.finish(out)
