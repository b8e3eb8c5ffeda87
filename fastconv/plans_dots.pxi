# SPDX-License-Identifier: BSD-3-Clause
"""Plans of layers of bytes, whose sums are exact."""

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_dots:
        fc_conv layer
        int x_type, w_type, out_type
        int32_t x_zero, y_zero
        const int32_t *w_zero
        ptrdiff_t w_zeros
        const float *scale
        ptrdiff_t scales
    int fc_dots_run(const fc_dots *g)
    ptrdiff_t fc_dots_learn(const fc_dots *g, char *to)
    int fc_dots_form(const fc_dots *g)
    bint fc_dots_takes_last(const fc_dots *g)
    void fc_dots_native(int on)

DOTS = {"uint8": FC_U8, "int8": FC_I8, "int32": FC_I32}


@cython.auto_pickle(False)
cdef class DotsPlan(LayerPlan):
    """A layer: of x (images, channels, ...), w (kernels, channels / groups, ...) and what `learn` made of these, or None,
    makes (images, kernels, ...). All but x are C-contiguous.

    Parameters
    ----------
    x, w, axes, groups, threads
        As of LayerPlan.
    bias : ndarray or None
        One for each kernel, C-contiguous, of int32. The plan keeps it.
    names : (str, str, str)
        The dtypes of x, of w and of the result.
    x_zero, y_zero : int
    w_zero : ndarray of int32
        None of them, one, or one for each kernel.
    scale : ndarray of float32
        One, or one for each kernel.
    last : bool
        The result is to be (images, ..., kernels), if that can be done; `last` says whether it is.
    """

    cdef fc_dots d
    cdef cnp.ndarray bias, w_zero, scale
    cdef readonly bint last

    def __init__(self, cnp.ndarray x, cnp.ndarray w, axes, ptrdiff_t groups, int threads, names,
                 cnp.ndarray bias=None, int x_zero=0, int y_zero=0, cnp.ndarray w_zero=None, cnp.ndarray scale=None,
                 bint last=False):
        super().__init__(x, w, axes, groups, None, False, threads)
        cdef fc_dots *d = &self.d
        d.layer = self.g
        d.layer.type, d.layer.halves = FC_F32, 0
        d.x_type, d.w_type, d.out_type = [DOTS[name] for name in names]
        d.x_zero, d.y_zero = x_zero, y_zero
        self.bias, self.w_zero, self.scale = bias, w_zero, scale
        if bias is not None:
            d.layer.bias = <const char *> cnp.PyArray_DATA(bias)
        if w_zero is not None:
            d.w_zero, d.w_zeros = <const int32_t *> cnp.PyArray_DATA(w_zero), cnp.PyArray_SIZE(w_zero)
        if scale is not None:
            d.scale, d.scales = <const float *> cnp.PyArray_DATA(scale), cnp.PyArray_SIZE(scale)
        self.last = d.layer.last = last and fc_dots_takes_last(d)
        self.nbytes = sizeof(fc_dots)

    cdef int start(self, const char **read, char *out, int threads) noexcept nogil:
        cdef fc_dots d = self.d
        d.layer.x, d.layer.w, d.layer.learnt, d.layer.out = read[0], read[1], read[2], out
        d.layer.threads = threads
        return fc_dots_run(&d)

    def learns(self):
        """What `learn` makes differs where this does."""
        return fc_dots_form(&self.d)

    def learn(self, cnp.ndarray w):
        """The weights as they are multiplied, to be read as a third array."""
        cdef fc_dots d = self.d
        cdef cnp.npy_intp bytes = fc_dots_learn(&d, NULL)
        cdef cnp.ndarray learnt = cnp.PyArray_SimpleNew(1, &bytes, cnp.NPY_UINT8)
        cdef char *to = cnp.PyArray_BYTES(learnt)
        d.layer.w = <const char *> cnp.PyArray_DATA(w)
        with nogil:
            fc_dots_learn(&d, to)
        return learnt


def native_dots(bint on):
    """For tests: whether instructions are used that not all CPUs of an instruction set have."""
    fc_dots_native(on)
