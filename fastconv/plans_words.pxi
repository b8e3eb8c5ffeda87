# SPDX-License-Identifier: BSD-3-Clause
"""What a call is asked, written down as 64-bit words, by which `plans.pxi` finds it again.

Of an array the words are its role, dtype, shape, strides and flags, of an option its type and value. Two calls with the same
words and the same bytes of taps have the same plan. The words are compared, not only their hash.

    role DATA   an array that slides or is read: only its layout counts
         TAPS   an array that the plan has looked at: its bytes count, too
         OUT    where the result goes; whatever is no array there is an option
         OPTION None, bool, int, float, complex, str, dtypes, static types, and tuples, lists and slices of them, by type
"""
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF
from libc.string cimport memcmp, memcpy, memset

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    long long PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1
    double PyComplex_ImagAsDouble(object number) except? -1
    double PyComplex_RealAsDouble(object number) except? -1
    unsigned long Py_TPFLAGS_HEAPTYPE
    unsigned long PyType_GetFlags(type of)

cdef enum:
    OPTION, DATA, TAPS, OUT, EITHER  # roles
    MOST_WORDS = 192
    MOST_ARRAYS = 5  # of DATA, and of TAPS
    MOST_TEXT = 15
    MOST_PARAMETERS = 24
    WRITTEN = cnp.NPY_ARRAY_ALIGNED | cnp.NPY_ARRAY_WRITEABLE

ROLES = {"option": OPTION, "data": DATA, "taps": TAPS, "out": OUT, "either": EITHER}

cdef struct glance:
    int words, datas, taps
    uint64_t hash
    const fc_kernels *table  # in use
    PyObject *data[MOST_ARRAYS]  # in the order of the parameters, whatever that of the arguments; NULL: not an array
    PyObject *tap[MOST_ARRAYS]
    ptrdiff_t tap_bytes[MOST_ARRAYS]
    PyObject *out
    int64_t word[MOST_WORDS]


cdef inline void put(glance *s, int64_t word) noexcept:
    if s.words < MOST_WORDS:
        s.word[s.words] = word
        s.hash = (s.hash ^ <uint64_t> word) * <uint64_t> 0x9E3779B97F4A7C15
    s.words += 1


cdef uint64_t hash_of(const char *data, ptrdiff_t size) noexcept:
    cdef uint64_t hash = <uint64_t> size, word
    cdef ptrdiff_t i
    for i in range(0, size, 8):
        word = 0
        if size - i >= 8:
            memcpy(&word, data + i, 8)
        else:
            memcpy(&word, data + i, size - i)
        hash = (hash ^ word) * <uint64_t> 0x9E3779B97F4A7C15
        hash ^= hash >> 29
    return hash


cdef bint see_array(glance *s, cnp.ndarray a, int role, int slot):
    cdef int i, rank = cnp.PyArray_NDIM(a)
    cdef ptrdiff_t size = cnp.PyArray_ITEMSIZE(a)
    put(s, role + 8 * rank + 8 * 65 * (cnp.PyArray_FLAGS(a) & (cnp.NPY_ARRAY_ALIGNED if role != OUT else WRITTEN)))
    if cnp.PyArray_TYPE(a) <= cnp.NPY_CLONGDOUBLE or cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT16:  # there may be many objects of a dtype
        put(s, ~cnp.PyArray_TYPE(a) if cnp.PyArray_ISBYTESWAPPED(a) else cnp.PyArray_TYPE(a))
    else:
        put(s, <int64_t> <PyObject *> cnp.PyArray_DESCR(a))
    for i in range(rank):
        size *= cnp.PyArray_DIM(a, i)
        put(s, cnp.PyArray_DIM(a, i))
        if role != TAPS:
            put(s, cnp.PyArray_STRIDE(a, i))
    if role == DATA:
        s.data[slot] = <PyObject *> a
        s.datas += 1
    elif role == OUT:
        s.out = <PyObject *> a
    else:
        if s.taps == MOST_ARRAYS or cnp.PyArray_TYPE(a) == cnp.NPY_OBJECT or size > fc_most_kept():
            return False
        if not cnp.PyArray_IS_C_CONTIGUOUS(a):
            a = a.copy()
        Py_INCREF(a)
        s.tap[s.taps], s.tap_bytes[s.taps] = <PyObject *> a, size
        s.taps += 1
    return True


cdef bint see(glance *s, value, int role, int slot=0) except -1:
    """Write down an argument; False: a call with it is not remembered."""
    cdef int overflow
    cdef double number[2]
    cdef int64_t pair[2]
    cdef const char *text
    cdef Py_ssize_t size
    if s.words > MOST_WORDS:  # of a list within itself there is no end
        return False
    kind = type(value)
    if cnp.PyArray_CheckExact(value):
        return see_array(s, <cnp.ndarray> value, TAPS if role == OPTION else role, slot)
    if role == DATA and value is not None:
        return False
    put(s, <int64_t> <PyObject *> kind)
    if value is None:
        return True
    if kind is int or kind is bool:
        put(s, PyLong_AsLongLongAndOverflow(value, &overflow))
        return overflow == 0
    if kind is float or kind is complex:
        number[0], number[1] = PyComplex_RealAsDouble(value), PyComplex_ImagAsDouble(value)
        memcpy(pair, number, sizeof(number))
        put(s, pair[0])
        put(s, pair[1])
        return True
    if kind is str:
        try:
            text = PyUnicode_AsUTF8AndSize(value, &size)
        except UnicodeEncodeError:
            return False
        if size > MOST_TEXT:
            return False
        memset(pair, 0, sizeof(pair))
        memcpy(pair, text, size)
        (<char *> pair)[MOST_TEXT] = <char> size  # text may end in zeros
        put(s, pair[0])
        put(s, pair[1])
        return True
    if kind is tuple or kind is list:
        value = tuple(value)  # of a list, which another thread may change
        put(s, len(value))
        for item in value:
            if not see(s, item, OPTION):
                return False
        return True
    if kind is slice:
        return see(s, value.start, OPTION) and see(s, value.stop, OPTION) and see(s, value.step, OPTION)
    if isinstance(value, cnp.dtype) or (isinstance(value, type) and not PyType_GetFlags(value) & Py_TPFLAGS_HEAPTYPE):
        put(s, <int64_t> <PyObject *> value)
        return True
    return False
