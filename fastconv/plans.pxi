# SPDX-License-Identifier: BSD-3-Clause
"""Calls that were made before: found by what they were asked (`plans_words.pxi`), carried out by what was worked out then."""
from types import MethodType


@cython.auto_pickle(False)
cdef class Plan:
    """What is carried out again and again; here with nothing to do."""

    cdef readonly ptrdiff_t nbytes
    cdef bint any_taps  # where the call has one array of taps, they may have other values
    cdef object finish  # a function that results go through, or None
    cdef int rank, typenum  # of results
    cdef bint is_large
    cdef cnp.npy_intp shape[FC_BATCHES]

    cdef void makes(self, cnp.ndarray result) noexcept:
        """Results are like this one."""
        cdef int i
        self.rank, self.typenum = cnp.PyArray_NDIM(result), cnp.PyArray_TYPE(result)
        self.is_large = cnp.PyArray_NBYTES(result) >= KEPT_RESULT_LEAST
        for i in range(self.rank):
            self.shape[i] = cnp.PyArray_DIM(result, i)

    cdef cnp.ndarray room(self):
        """An array for a result."""
        if self.is_large:
            return large_room(self.rank, self.shape, self.typenum)
        return cnp.PyArray_SimpleNew(self.rank, self.shape, self.typenum)

    def then(self, finish):
        """Let results go through another function."""
        before = self.finish
        self.finish = finish if before is None else lambda result: finish(before(result))
        return self

    cdef Py_ssize_t ready(self, const fc_kernels *table):
        """Make what pays from the second call on, once, for this table. Returns how many bytes it takes."""
        return 0

    cdef object carry_out(self, const glance *s):
        """The result; None: these arrays need another way."""
        return None


@cython.auto_pickle(False)
cdef class JointPlan(Plan):
    """Plans of the same arrays, without `out`, and a function of the list of what they make."""

    cdef list parts
    cdef object join
    cdef bint finite  # whether it holds for results only that are

    def __init__(self, list parts, join):
        self.parts, self.join = parts, join
        self.nbytes = sum([part.nbytes for part in parts])

    def if_finite(self):
        """Let it hold for finite results only."""
        self.finite = True
        return self

    cdef Py_ssize_t ready(self, const fc_kernels *table):
        return sum([(<Plan> part).ready(table) for part in self.parts])

    cdef object carry_out(self, const glance *s):
        cdef list made = []
        if s.out != NULL:
            return None
        for part in self.parts:
            result = (<Plan> part).carry_out(s)
            if result is None:
                return None
            made.append(result)
        result = self.join(made)
        if self.finite and not is_finite(result):
            return None
        return result if self.finish is None else self.finish(result)


cdef object checking = None  # runtime.checking.get, once anything was checked: what is compared is not remembered


def ask_first(get):  # no plan is taken where this returns something true
    global checking
    fc_hold()
    if checking is None:  # once for all: other threads call it
        checking = get
    fc_let_go()


cdef void end(glance *s) noexcept:
    cdef int i
    for i in range(s.taps):
        Py_DECREF(<object> s.tap[i])


cdef bint look(glance *s, _Function function, PyObject **argument, Py_ssize_t positional, PyObject *names) except -1:
    """Write down a call: that many arguments, and then those with names, of a tuple or NULL. False: it is not remembered."""
    cdef Py_ssize_t i = 0, at
    cdef bint swapped, named
    s.words = s.datas = s.taps = 0
    s.hash, s.out = 0, NULL
    memset(s.data, 0, sizeof(s.data))
    put(s, <int64_t> <PyObject *> function)
    s.table = fc_in_use()
    put(s, <int64_t> s.table)
    if positional > function.parameters:
        return False
    if function.either:
        if positional < 2:
            return False
        x, k = <object> argument[0], <object> argument[1]
        if not (cnp.PyArray_CheckExact(x) and cnp.PyArray_CheckExact(k)):
            return False
        i = 2
        swapped = cnp.PyArray_SIZE(<cnp.ndarray> x) < cnp.PyArray_SIZE(<cnp.ndarray> k)
        if not (see_array(s, <cnp.ndarray> x, TAPS if swapped else DATA, 0)
                and see_array(s, <cnp.ndarray> k, DATA if swapped else TAPS, 0)):
            return False
    for i in range(i, positional):
        if not see(s, <object> argument[i], function.role[i], function.slot[i]):
            return False
    if names != NULL:
        for i in range(len(<tuple> names)):
            name, value = (<tuple> names)[i], <object> argument[positional + i]
            at = function.places.get(name, -1)
            put(s, ~at)
            if at < 0:
                named = see(s, name, OPTION, 0) and see(s, value, OPTION, 0)
            else:
                named = see(s, value, function.role[at], function.slot[at])
            if not named:
                return False
    s.hash ^= s.hash >> 32
    return s.words <= MOST_WORDS and s.datas > 0


cdef uint64_t with_taps(const glance *s):
    """The hash of a call whose plan holds for these taps only"""
    cdef uint64_t hash = s.hash
    cdef int i
    for i in range(s.taps):
        hash = hash * 31 + hash_of(<const char *> cnp.PyArray_DATA(<cnp.ndarray> s.tap[i]), s.tap_bytes[i])
    return hash


@cython.auto_pickle(False)
cdef class _Function:
    """A public function whose calls are remembered, in place of one that may return an Answer.

    It has the roles of those parameters that are no options; see `plans_words.pxi`.
    """

    cdef void *vector  # what CPython calls, without a tuple of arguments
    cdef object function
    cdef type answer
    cdef dict places  # parameters by name
    cdef int parameters
    cdef int role[MOST_PARAMETERS]
    cdef int slot[MOST_PARAMETERS]  # of those that are data: how many of them come before
    cdef bint either  # of the first two parameters the larger array is the data, or the first; the other one is the taps
    cdef dict __dict__

    def __init__(self, function, dict roles, type answer):
        cdef Py_ssize_t i
        cdef int datas = 0
        code = function.__wrapped__.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        assert len(names) <= MOST_PARAMETERS
        self.vector, self.function, self.answer, self.parameters = <void *> &called, function, answer, len(names)
        self.either = roles.get(names[0]) == "either"
        self.places = {name: i for i, name in enumerate(names)}
        for i in range(len(names)):
            self.role[i], self.slot[i] = ROLES[roles.get(names[i], "option")], datas
            datas += self.role[i] == DATA
        assert datas <= MOST_ARRAYS

    def __call__(self, *args, **kwargs):  # only by this name
        answer = self.function(*args, **kwargs)
        return answer.result if type(answer) is self.answer else answer

    def __get__(self, instance, owner):
        return self if instance is None else MethodType(self, instance)

    def __reduce__(self):
        return self.__qualname__

    def __repr__(self):
        return repr(self.function)


cdef object called(PyObject *self, PyObject **argument, size_t flagged, PyObject *names):
    """A call of a _Function. Taps may change meanwhile, by way of `out` or another thread; then it is not remembered."""
    cdef _Function f = <_Function> self
    cdef Py_ssize_t i, positional = flagged & (<size_t> -1 >> 1)
    cdef glance s, after
    cdef uint64_t asked = 0
    cdef bint known
    s.taps = after.taps = 0
    try:
        known = (checking is None or not checking()) and look(&s, f, argument, positional, names)
        if known:
            result = again(&s)
            if result is not None:
                return result
            asked = with_taps(&s)
        args = tuple([<object> argument[i] for i in range(positional)])
        kwargs = {name: <object> argument[positional + i] for i, name in enumerate(<tuple> names if names != NULL else ())}
        answer = f.function(*args, **kwargs)
        if type(answer) is not f.answer:
            return answer
        if known and answer.plan is not None and look(&after, f, argument, positional, names):
            keep(&after, asked, answer.plan, (*args, *kwargs.values()))
        return answer.result
    finally:
        end(&s)
        end(&after)


cdef extern from *:
    """
    #include <structmember.h>
    /* That instances are called by the field at __vectorcalloffset__ is in the stable ABI since 3.12, in fact since 3.9. */
    static PyMemberDef fc_offsets[] = {{"__vectorcalloffset__", T_PYSSIZET, 0, READONLY, NULL},
                                       {"__weaklistoffset__", T_PYSSIZET, 0, READONLY, NULL}, {NULL}};
    static PyType_Slot fc_slots[] = {{Py_tp_members, fc_offsets}, {0, NULL}};
    static PyType_Spec fc_spec = {"fastconv._core.Function", 0, 0, Py_TPFLAGS_DEFAULT | 1UL << 11, fc_slots};
    """
    struct PyMemberDef:
        Py_ssize_t offset
    PyMemberDef fc_offsets[]
    struct PyType_Spec:
        int basicsize
    PyType_Spec fc_spec
    object PyType_FromSpecWithBases(PyType_Spec *spec, object bases)


cdef with_offsets(type base):
    """A subclass of _Function for what Cython has no words for: calls by `vector`, and weak references."""
    cdef _Function any = base.__new__(base)
    fc_offsets[0].offset = <char *> &any.vector - <char *> <PyObject *> any
    fc_offsets[1].offset = base.__basicsize__
    fc_spec.basicsize = base.__basicsize__ + sizeof(void *)
    return PyType_FromSpecWithBases(&fc_spec, (base,))


Function = with_offsets(_Function)
