# SPDX-License-Identifier: BSD-3-Clause
"""Plans of layers: calls of C that lack nothing but the addresses of the arrays that are read as they are, whatever their
values, and of a dense result."""

cdef enum:
    MOST_READ = 5


@cython.auto_pickle(False)
cdef class ArraysPlan(Plan):
    """What these have in common."""

    cdef int threads  # 0: as many as are the default then
    cdef double products  # multiply-adds
    cdef str scratch  # what there may be no memory for
    cdef int slot[MOST_READ]  # for calls: which array of the glance is read first, second, ...
    cdef int indices  # which of them is a second result, of int64; 0: none

    cdef int start(self, const char **read, char *out, int threads) noexcept nogil:
        return 0

    cdef int run(self, const char **read, char *out) except -1:
        cdef int status, threads = self.threads if self.threads > 0 else fc_threads()
        if self.products < KEEP_GIL_BELOW:
            status = self.start(read, out, threads)
        else:
            with nogil:
                status = self.start(read, out, threads)
        heard()
        if status > 0:
            raise ValueError("indices must be of elements of x's planes, or -1: one is below that, or too large")
        if status != 0:
            raise MemoryError(f"no memory for the scratch {self.scratch}")
        return 0

    def __call__(self, tuple arrays, cnp.ndarray out):
        """Carry it out for arrays that are read (None: there is none), and one for the result."""
        cdef const char *read[MOST_READ]
        for i in range(len(arrays), MOST_READ):
            read[i] = NULL
        for i, a in enumerate(arrays):
            read[i] = NULL if a is None else <const char *> cnp.PyArray_DATA(<cnp.ndarray> a)
        self.run(read, cnp.PyArray_BYTES(out))

    def serve(self, tuple asked, tuple arrays, cnp.ndarray result, tuple slots=(0, 1, 2, 3, 4)):
        """A plan for calls with arrays like those asked, if there are any and these themselves are read; else None.

        slots: of which parameter each of them is, counting those that are data. An array behind those asked is a second result.
        """
        cdef int i
        if not asked:
            return None
        for i, a in enumerate(arrays):
            self.slot[i] = -1 if a is None else slots[i]
            if a is not None and i >= len(asked):
                self.slot[i], self.indices = -1, i
            elif a is not None and not (cnp.PyArray_CheckExact(asked[i])
                                        and cnp.PyArray_DATA(<cnp.ndarray> a) == cnp.PyArray_DATA(<cnp.ndarray> asked[i])):
                return None
        for i in range(len(arrays), MOST_READ):
            self.slot[i] = -1
        self.makes(result)
        return self

    cdef object carry_out(self, const glance *s):
        cdef const char *read[MOST_READ]
        cdef cnp.ndarray a, indices = None, out = None
        cdef int i
        if s.out != NULL:
            out = <cnp.ndarray> s.out
        for i in range(MOST_READ):
            read[i] = NULL
            if self.slot[i] >= 0:
                a = <cnp.ndarray> s.data[self.slot[i]]
                read[i] = <const char *> cnp.PyArray_DATA(a)
                if s.out != NULL and overlap(a, out):
                    return None
        if s.out == NULL:
            out = self.room()
        if self.indices > 0:
            indices = cnp.PyArray_SimpleNew(self.rank, self.shape, cnp.NPY_INT64)
            read[self.indices] = <const char *> cnp.PyArray_DATA(indices)
        self.run(read, cnp.PyArray_BYTES(out))
        result = out if s.out != NULL or self.finish is None else self.finish(out)
        return result if self.indices == 0 else (result, indices)


# ---- layers ----------------------------------------------------------------------------------------

cdef extern from "fastconv.h" nogil:
    int FC_PRODUCTS, FC_LANES, FC_SLIDES, FC_WINOGRAD, FC_TRANSFORMS
    int FC_EXACT, FC_DEFAULT, FC_FAST
    ctypedef struct fc_conv_plan:
        int kind, threads
        ptrdiff_t chunks, part
    ctypedef struct fc_conv:
        int type, threads, clamp, gradient, halves
        ptrdiff_t images, groups, channels, kernels
        fc_axis axis[3]
        ptrdiff_t x_image, x_channel
        int last
        const char *x
        const char *w
        const char *bias
        char *out
        double low, high
        int activation
        ptrdiff_t add
        const char *dy
        ptrdiff_t dy_image, dy_channel
        ptrdiff_t dy_step[3]
        int accuracy, forced
        const char *learnt
        fc_conv_plan *plan
    bint fc_finishes(const fc_conv *g)
    int fc_conv_run(const fc_conv *g)
    int fc_conv_weight_run(const fc_conv *g)
    int fc_conv_weight_pairs(const fc_conv *g)
    int fc_winograd_pairs(const fc_conv *g)
    ctypedef struct fc_tile:
        ptrdiff_t points[2]
        ptrdiff_t before[2]
    bint fc_conv_tile(const fc_conv *g, fc_tile *tile)
    ptrdiff_t fc_conv_learn(const fc_conv *g, char *to)

    int FC_CLAMP, FC_LEAKY_RELU, FC_HARDSIGMOID, FC_HARDSWISH, FC_SIGMOID, FC_SILU, FC_TANH, FC_GELU, FC_GELU_TANH
    int fc_activate(int type, char *out, const char *x, ptrdiff_t n, int activation, double low, double high, int threads)
    void fc_round_bfloat16(char *out, const char *x, ptrdiff_t n)

ACTIVATIONS = {"clamp": FC_CLAMP, "leaky_relu": FC_LEAKY_RELU, "hardsigmoid": FC_HARDSIGMOID, "hardswish": FC_HARDSWISH,
               "sigmoid": FC_SIGMOID, "silu": FC_SILU, "tanh": FC_TANH, "gelu": FC_GELU, "gelu_tanh": FC_GELU_TANH}
ACCURACIES = {"exact": FC_EXACT, "default": FC_DEFAULT, "fast": FC_FAST}
FORCED = {"winograd": FC_WINOGRAD, "fft": FC_TRANSFORMS}


cdef double describe_windows(fc_axis *axis, axes, cnp.ndarray x) except -1:
    """The axes of arguments.Axis, and the strides of x (images, channels, ...). Returns how many taps all outputs see."""
    cdef int i, first = 3 - len(axes)
    cdef double seen = 1
    for i in range(first):
        nothing_slides(&axis[i])
    for i, a in enumerate(axes, first):
        axis[i].n, axis[i].k, axis[i].out, axis[i].lead = a.n, a.k, a.out, a.lead
        axis[i].stride = a.stride if a.out > 1 else 1  # nothing is a step away, and it may be huge
        axis[i].dilation, axis[i].unit = a.dilation if a.k > 1 else 1, 1
        axis[i].boundary = BOUNDARY[a.boundary]
        axis[i].x_step = cnp.PyArray_STRIDE(x, 2 + i - first)
        seen *= <double> axis[i].k * <double> axis[i].out
    return seen


@cython.auto_pickle(False)
cdef class LayerPlan(ArraysPlan):
    """A layer: of x (images, channels, ...), w (kernels, channels / groups, ...) and bias (kernels,) or None makes (images,
    kernels, ...). All are of one float type, which may be float16, and all but x C-contiguous.

    Parameters
    ----------
    x, w : ndarray
        Of x only shape and strides count, of w the shape.
    axes : tuple of arguments.Axis
    groups : int
    activation : arguments.Activated or None
    adds : bool
        A fourth array is added before the activation, which lies as the result does.
    threads : int
        0: as many as are the default then.
    accuracy : {"exact", "default", "fast"}
    forced : {None, "winograd", "fft"}
        Winograd's convolution, or transforms, where it is possible, is not to be weighed against other ways.
    adjoint : bool
        The adjoint: x is (images, kernels, ...), bias (channels,), the result (images, channels, ...) of the sizes n of
        the axes. Beyond it lie zeros.
    last : bool
        The result is (images, ..., kernels), if `takes_last` says that this can be done.
    """

    cdef fc_conv g

    def __init__(self, cnp.ndarray x, cnp.ndarray w, axes, ptrdiff_t groups, activation, bint adds, int threads,
                 bint adjoint=False, bint last=False, accuracy="exact", forced=None):
        self.describe(x, w, axes, groups, threads)
        self.g.gradient, self.g.last = adjoint, last
        self.g.add = adds  # where it lies is known when it is there
        self.g.low, self.g.high = -INFINITY, INFINITY
        if activation is not None:
            self.g.activation, self.g.low, self.g.high = ACTIVATIONS[activation[0]], activation[1], activation[2]
        self.g.clamp = activation is not None and not fc_finishes(&self.g)
        self.g.accuracy, self.g.forced = ACCURACIES[accuracy], FORCED.get(forced, 0)
        self.scratch = "blocks of a convolution layer"

    cdef describe(self, cnp.ndarray x, cnp.ndarray w, axes, ptrdiff_t groups, int threads):
        cdef fc_conv *g = &self.g
        g.type = FC_F64 if cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE else FC_F32
        g.halves = cnp.PyArray_ITEMSIZE(x) == 2
        g.groups = groups
        g.images, g.channels = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(w, 1)
        g.kernels = cnp.PyArray_DIM(w, 0) // groups
        self.products = describe_windows(g.axis, axes, x) * g.images * g.channels * cnp.PyArray_DIM(w, 0)
        g.x_image, g.x_channel = cnp.PyArray_STRIDE(x, 0), cnp.PyArray_STRIDE(x, 1)
        self.threads, self.nbytes = threads, sizeof(fc_conv)

    cdef int start(self, const char **read, char *out, int threads) noexcept nogil:
        cdef fc_conv g = self.g
        g.x, g.w, g.bias, g.learnt, g.out, g.threads = read[0], read[1], read[2], read[4], out, threads
        if g.add:
            g.add = <ptrdiff_t> read[3] - <ptrdiff_t> out
        return fc_conv_run(&g)

    cdef int ask(self, cnp.ndarray x, cnp.ndarray w, fc_conv_plan *plan, bint learnt) except -1:
        cdef fc_conv g = self.g
        g.x, g.w = <const char *> cnp.PyArray_DATA(x), <const char *> cnp.PyArray_DATA(w)
        g.learnt = g.w if learnt else NULL
        g.plan, g.threads = plan, self.threads if self.threads > 0 else fc_threads()
        cdef int status = fc_conv_run(&g)
        if status < 0:
            raise MemoryError(f"no memory for the scratch {self.scratch}")
        return status

    def winograd(self, bint learnt=False):
        """Pairs of points of Winograd's convolution, which computes the layer; 0: it does not. learnt: `learn` was asked before."""
        cdef fc_conv g = self.g
        g.learnt = <const char *> &g if learnt else NULL
        return fc_winograd_pairs(&g)

    def transforms(self, bint learnt=False):
        """Points of a tile, rows and columns, of the transforms that compute the layer; None: they do not."""
        cdef fc_conv g = self.g
        cdef fc_tile tile
        g.learnt = <const char *> &g if learnt else NULL
        return (tile.points[0], tile.points[1]) if fc_conv_tile(&g, &tile) else None

    def learns(self):
        """What `learn` makes differs where this does, and is nothing where this is None."""
        cdef fc_conv g = self.g
        cdef fc_tile tile
        cdef int pairs
        g.learnt = <const char *> &g
        pairs = fc_winograd_pairs(&g)
        if pairs > 0:
            return pairs
        if not fc_conv_tile(&g, &tile):
            return None
        return tile.points[0], tile.points[1], tile.before[0], tile.before[1]

    def learn(self, cnp.ndarray w):
        """What the layer makes of its weights, C-contiguous, before it meets x, to be read as a fifth array; None: nothing."""
        cdef fc_conv g = self.g
        g.w = g.learnt = <const char *> cnp.PyArray_DATA(w)
        g.threads = self.threads if self.threads > 0 else fc_threads()
        cdef cnp.npy_intp bytes = fc_conv_learn(&g, NULL)
        if bytes == 0:
            return None
        cdef cnp.ndarray learnt = cnp.PyArray_SimpleNew(1, &bytes, cnp.NPY_UINT8)
        cdef char *to = cnp.PyArray_BYTES(learnt)
        with nogil:
            bytes = fc_conv_learn(&g, to)
        heard()
        return learnt if bytes > 0 else None  # weights may have changed meanwhile

    def takes_last(self, cnp.ndarray x, cnp.ndarray w):
        """Whether a plan that was made with `last` can be carried out."""
        cdef fc_conv_plan plan
        return self.ask(x, w, &plan, False) == 0

    def explain(self, cnp.ndarray x, cnp.ndarray w, bint learnt=False):
        """How a layer of these arrays would run: (kind, threads, chunks, taps that are summed in one go).

        learnt: its weights are. Of a `WeightPlan`, arrays are x and grad_output, and outputs, or tiles, are summed."""
        cdef fc_conv_plan plan
        self.ask(x, w, &plan, learnt)
        kind = {FC_PRODUCTS: "products", FC_LANES: "lanes", FC_SLIDES: "slides", FC_WINOGRAD: "winograd",
                FC_TRANSFORMS: "fft"}[plan.kind]
        return kind, plan.threads, plan.chunks, plan.part


@cython.auto_pickle(False)
cdef class ActivationPlan(ArraysPlan):
    """The activation of elements of x, float32 or float64 and C-contiguous; the result may be x."""

    cdef int type, activation
    cdef ptrdiff_t count
    cdef double low, high

    def __init__(self, cnp.ndarray x, activation, int threads):
        self.type = FC_F64 if cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE else FC_F32
        self.activation, self.low, self.high = ACTIVATIONS[activation[0]], activation[1], activation[2]
        self.count, self.threads, self.nbytes = cnp.PyArray_SIZE(x), threads, sizeof(fc_conv)
        self.products, self.scratch = 8.0 * self.count, "of activations"

    cdef int start(self, const char **read, char *out, int threads) noexcept nogil:
        return fc_activate(self.type, out, read[0], self.count, self.activation, self.low, self.high, threads)


def round_bfloat16(cnp.ndarray x, cnp.ndarray bits):
    """Write the bits of bfloat16 that are nearest to elements of x, float32; both are C-contiguous."""
    cdef char *to = cnp.PyArray_BYTES(bits)
    cdef const char *from_ = <const char *> cnp.PyArray_DATA(x)
    cdef ptrdiff_t n = cnp.PyArray_SIZE(x)
    with nogil:
        fc_round_bfloat16(to, from_, n)
    heard()


@cython.auto_pickle(False)
cdef class WeightPlan(LayerPlan):
    """The gradient of a layer's weights: of x (images, channels, ...) and grad_output (images, kernels, ...) makes one of
    the shape of w. All are of one float type, which may be float16, and aligned."""

    def __init__(self, cnp.ndarray x, cnp.ndarray grad_output, cnp.ndarray w, axes, ptrdiff_t groups, int threads,
                 accuracy="exact", forced=None):
        cdef int i, first = 3 - len(axes)
        self.describe(x, w, axes, groups, threads)
        self.g.accuracy, self.g.forced = ACCURACIES[accuracy], FORCED.get(forced, 0)
        self.g.dy_image, self.g.dy_channel = cnp.PyArray_STRIDE(grad_output, 0), cnp.PyArray_STRIDE(grad_output, 1)
        for i in range(first, 3):
            self.g.dy_step[i] = cnp.PyArray_STRIDE(grad_output, 2 + i - first)
        self.scratch = "blocks of a convolution layer's gradient"

    cdef int start(self, const char **read, char *out, int threads) noexcept nogil:
        cdef fc_conv g = self.g
        g.x, g.dy, g.out, g.threads = read[0], read[1], out, threads
        return fc_conv_weight_run(&g)

    cdef int ask(self, cnp.ndarray x, cnp.ndarray grad_output, fc_conv_plan *plan, bint learnt) except -1:
        cdef fc_conv g = self.g
        g.x, g.dy = <const char *> cnp.PyArray_DATA(x), <const char *> cnp.PyArray_DATA(grad_output)
        g.plan, g.threads = plan, self.threads if self.threads > 0 else fc_threads()
        if fc_conv_weight_run(&g) < 0:
            raise MemoryError(f"no memory for the scratch {self.scratch}")
        return 0

    def winograd(self, bint learnt=False):
        """Pairs of points of Winograd's convolution, which computes the gradient; 0: it does not."""
        return fc_conv_weight_pairs(&self.g)
