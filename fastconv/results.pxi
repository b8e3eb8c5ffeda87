# SPDX-License-Identifier: BSD-3-Clause
"""Arrays for results: where they are large, NumPy takes their memory from `csrc/common/kept.c` and gives it back there."""
from cpython.pycapsule cimport PyCapsule_New
from libc.string cimport memset, strcpy

cdef extern from "numpy/arrayobject.h":
    ctypedef struct PyDataMemAllocator:
        void *ctx
        void *(*malloc)(void *, size_t) noexcept nogil
        void *(*calloc)(void *, size_t, size_t) noexcept nogil
        void *(*realloc)(void *, void *, size_t) noexcept nogil
        void (*free)(void *, void *, size_t) noexcept nogil
    ctypedef struct PyDataMem_Handler:
        char name[127]
        unsigned char version
        PyDataMemAllocator allocator
    object PyDataMem_SetHandler(object handler)

cdef void *result_malloc(void *ctx, size_t bytes) noexcept nogil:
    return fc_result_alloc(bytes)

cdef void *result_calloc(void *ctx, size_t count, size_t size) noexcept nogil:
    cdef size_t bytes = count * size
    if size > 0 and bytes // size != count:
        return NULL
    cdef void *p = fc_result_alloc(bytes)
    if p != NULL:
        memset(p, 0, bytes)
    return p

cdef void *result_realloc(void *ctx, void *p, size_t bytes) noexcept nogil:
    return fc_result_realloc(p, bytes)

cdef void result_free(void *ctx, void *p, size_t bytes) noexcept nogil:
    fc_result_free(p)

cdef PyDataMem_Handler results
strcpy(results.name, "fastconv")
results.version = 1
results.allocator = PyDataMemAllocator(NULL, result_malloc, result_calloc, result_realloc, result_free)
cdef object results_handler = PyCapsule_New(&results, "mem_handler", NULL)

cdef cnp.ndarray large_room(int rank, cnp.npy_intp *shape, int typenum):
    """An array with nothing in it yet."""
    others = PyDataMem_SetHandler(results_handler)
    try:
        return cnp.PyArray_SimpleNew(rank, shape, typenum)
    finally:
        PyDataMem_SetHandler(others)


def block(cnp.npy_intp nbytes):
    """So many bytes, with nothing in them yet."""
    return large_room(1, &nbytes, cnp.NPY_UINT8)
