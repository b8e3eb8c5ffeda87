# SPDX-License-Identifier: BSD-3-Clause
"""Plans of several layers of a network in one call."""

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_bottleneck:
        int type, threads
        ptrdiff_t images, channels, inner, kernels
        fc_axis rows, cols
        ptrdiff_t x_image, x_channel
        const char *x
        const char *learnt
        char *out
        double low[3]
        double high[3]
        int finishes, activation
        ptrdiff_t add
    int fc_bottleneck_run(const fc_bottleneck *g)
    ptrdiff_t fc_bottleneck_learn(const fc_bottleneck *g, const char *const *w, const char *const *bias, char *to)


@cython.auto_pickle(False)
cdef class BottleneckPlan(ArraysPlan):
    """Three layers in one pass, of which the second has a kernel for each channel, and the others one tap.

    Parameters
    ----------
    x : ndarray, (images, channels, rows, columns)
        Only shape, strides and dtype count, which is float32 or float64.
    inner, kernels : int
        Channels that the first layer makes, and the last.
    axes : tuple of arguments.Axis
        Of the second layer; beyond what the first makes lie zeros.
    activations : tuple of three arguments.Activated or None
        The first two are clamps.
    adds : bool
        A third array is added before the last activation.
    threads : int
        0: as many as are the default then.
    """

    cdef fc_bottleneck g

    def __init__(self, cnp.ndarray x, ptrdiff_t inner, ptrdiff_t kernels, axes, activations, bint adds, int threads):
        cdef fc_bottleneck *g = &self.g
        cdef fc_axis axis[3]
        cdef double taps = describe_windows(axis, axes, x)
        cdef int i
        g.type = FC_F64 if cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE else FC_F32
        g.images, g.channels, g.inner, g.kernels = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1), inner, kernels
        g.rows, g.cols = axis[1], axis[2]
        g.x_image, g.x_channel = cnp.PyArray_STRIDE(x, 0), cnp.PyArray_STRIDE(x, 1)
        g.add = adds  # where it lies is known when it is there
        for i, activation in enumerate(activations):
            g.low[i], g.high[i] = (-INFINITY, INFINITY) if activation is None else activation[1:]
        g.activation = FC_CLAMP if activations[2] is None else ACTIVATIONS[activations[2][0]]
        g.finishes = adds or activations[2] is not None
        self.products = g.images * inner * (<double> g.channels * g.rows.n * g.cols.n + taps
                                            + <double> kernels * g.rows.out * g.cols.out)
        self.threads, self.nbytes, self.scratch = threads, sizeof(fc_bottleneck), "bands of three layers"

    cdef int start(self, const char **read, char *out, int threads) noexcept nogil:
        cdef fc_bottleneck g = self.g
        g.x, g.learnt, g.out, g.threads = read[0], read[1], out, threads
        if g.add:
            g.add = <ptrdiff_t> read[2] - <ptrdiff_t> out
        return fc_bottleneck_run(&g)

    def learn(self, weights, biases):
        """What is read of weights and biases, C-contiguous (of biases: or None), as one array."""
        cdef const char *w[3]
        cdef const char *bias[3]
        cdef int i
        for i in range(3):
            w[i] = <const char *> cnp.PyArray_DATA(<cnp.ndarray> weights[i])
            bias[i] = NULL if biases[i] is None else <const char *> cnp.PyArray_DATA(<cnp.ndarray> biases[i])
        cdef cnp.npy_intp line = 64, nbytes = fc_bottleneck_learn(&self.g, w, bias, NULL), whole = nbytes + line
        cdef cnp.ndarray room = cnp.PyArray_SimpleNew(1, &whole, cnp.NPY_UINT8)
        cdef cnp.npy_intp before = (line - <cnp.npy_intp> cnp.PyArray_DATA(room) % line) % line
        fc_bottleneck_learn(&self.g, w, bias, cnp.PyArray_BYTES(room) + before)
        return room[before : before + nbytes]
