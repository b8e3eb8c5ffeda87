# SPDX-License-Identifier: BSD-3-Clause
"""Calls that were made before: found by what they were asked, carried out by what was worked out then.

What a call looks like is written down as 64-bit words: of an array its role, dtype, shape, strides and flags, of an option
its type and value. Two calls with the same words and the same bytes of taps have the same plan. The words are compared,
not only their hash.

    role DATA   an array that slides or is read: only its layout counts
         TAPS   an array that the plan has looked at: its bytes count, too
         OUT    where the result goes; whatever is no array there is an option
         OPTION None, bool, int, float, complex, str, dtypes, static types, and tuples, lists and slices of them, by type
"""
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.type cimport PyType_HasFeature
from libc.string cimport memcmp, memcpy, memset

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    long long PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1
    double PyFloat_AsDouble(object number) except? -1
    double PyComplex_ImagAsDouble(object number) except? -1
    double PyComplex_RealAsDouble(object number) except? -1
    long Py_TPFLAGS_HEAPTYPE

cdef enum:
    OPTION, DATA, TAPS, OUT, EITHER  # roles
    MOST_WORDS = 192
    MOST_ARRAYS = 4  # of DATA, and of TAPS
    MOST_TEXT = 15
    MOST_PARAMETERS = 24
    WRITTEN = cnp.NPY_ARRAY_ALIGNED | cnp.NPY_ARRAY_WRITEABLE
    SLOTS = 1024  # places for plans,
    PROBES = 8  # of which each plan has so many to choose from
    ENTRY_BYTES = 1024  # that a plan takes beside its arrays

ROLES = {"option": OPTION, "data": DATA, "taps": TAPS, "out": OUT, "either": EITHER}

cdef struct glance:
    int words, datas, taps
    uint64_t hash
    PyObject *data[MOST_ARRAYS]  # in the order of the parameters, whatever that of the arguments; NULL: not an array
    PyObject *tap[MOST_ARRAYS]
    PyObject *out
    int64_t word[MOST_WORDS]


cdef ptrdiff_t most_kept = 4 << 20  # bytes of plans


cdef inline void put(glance *s, int64_t word) noexcept:
    if s.words < MOST_WORDS:
        s.word[s.words] = word
        s.hash = (s.hash ^ <uint64_t> word) * <uint64_t> 0x9E3779B97F4A7C15
        s.hash ^= s.hash >> 32
    s.words += 1


cdef uint64_t hash_of(const char *data, ptrdiff_t size) noexcept:
    cdef uint64_t hash = <uint64_t> size, word
    cdef ptrdiff_t i = 0
    while i < size:
        word = 0
        memcpy(&word, data + i, min(8, size - i))
        hash = (hash ^ word) * <uint64_t> 0x9E3779B97F4A7C15
        hash ^= hash >> 29
        i += 8
    return hash


cdef bint see_array(glance *s, cnp.ndarray a, int role, int slot):
    cdef int i, rank = cnp.PyArray_NDIM(a)
    put(s, role + 8 * rank + 8 * 65 * (cnp.PyArray_FLAGS(a) & (cnp.NPY_ARRAY_ALIGNED if role != OUT else WRITTEN)))
    put(s, <int64_t> <PyObject *> cnp.PyArray_DESCR(a))
    for i in range(rank):
        put(s, cnp.PyArray_DIM(a, i))
        if role != TAPS:
            put(s, cnp.PyArray_STRIDE(a, i))
    if role == DATA:
        s.data[slot] = <PyObject *> a
        s.datas += 1
    elif role == OUT:
        s.out = <PyObject *> a
    else:
        if s.taps == MOST_ARRAYS or cnp.PyArray_TYPE(a) == cnp.NPY_OBJECT or cnp.PyArray_NBYTES(a) > most_kept:
            return False
        if not cnp.PyArray_IS_C_CONTIGUOUS(a):
            a = a.copy()
        Py_INCREF(a)
        s.tap[s.taps] = <PyObject *> a
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
        put(s, len(value))
        for item in value:
            if not see(s, item, OPTION):
                return False
        return True
    if kind is slice:
        return see(s, value.start, OPTION) and see(s, value.stop, OPTION) and see(s, value.step, OPTION)
    if isinstance(value, cnp.dtype) or (isinstance(value, type) and not PyType_HasFeature(value, Py_TPFLAGS_HEAPTYPE)):
        put(s, <int64_t> <PyObject *> value)
        return True
    return False


@cython.auto_pickle(False)
cdef class Plan:
    """What is carried out again and again; here with nothing to do."""

    cdef readonly ptrdiff_t nbytes
    cdef bint any_taps  # where the call has one array of taps, they may have other values
    cdef object finish  # a function that results go through, or None

    def then(self, finish):
        """Let results go through another function."""
        before = self.finish
        self.finish = finish if before is None else lambda result: finish(before(result))
        return self

    cdef object carry_out(self, const glance *s):
        """The result; None: these arrays need another way."""
        return None


@cython.auto_pickle(False)
cdef class _Entry:
    cdef uint64_t hash, used
    cdef bint any_taps  # of one array: the plan looks at them itself
    cdef bytes words  # of the glance
    cdef tuple taps, keep  # copies of arrays; what words point to
    cdef object plan
    cdef ptrdiff_t nbytes

    cdef bint is_of(self, const glance *s, uint64_t hash):
        cdef int i
        cdef cnp.ndarray tap, seen
        if self.hash != hash or len(self.words) != s.words * 8 or memcmp(<const char *> self.words, s.word, s.words * 8):
            return False
        for i in range(0 if self.any_taps else s.taps):
            tap, seen = self.taps[i], <cnp.ndarray> s.tap[i]
            if memcmp(cnp.PyArray_DATA(tap), cnp.PyArray_DATA(seen), cnp.PyArray_NBYTES(tap)):
                return False
        return True


cdef object checking = None  # runtime.checking.get, once anything was checked: what is compared is not remembered


def ask_first(get):  # no plan is taken where this returns something true
    global checking
    checking = get


cdef list slots = [None] * SLOTS
cdef uint64_t clock = 0, hits = 0, misses = 0
cdef ptrdiff_t kept = 0


cdef void end(glance *s) noexcept:
    cdef int i
    for i in range(s.taps):
        Py_DECREF(<object> s.tap[i])


cdef bint look(glance *s, Function function, tuple args, dict kwargs) except -1:
    """Write down a call. False: it is not remembered."""
    cdef Py_ssize_t i = 0
    cdef bint swapped, named
    s.words = s.datas = s.taps = 0
    s.hash, s.out = 0, NULL
    memset(s.data, 0, sizeof(s.data))
    put(s, <int64_t> <PyObject *> function)
    put(s, <int64_t> fc_in_use())
    if len(args) > len(function.places):
        return False
    if function.either:
        if len(args) < 2:
            return False
        x, k = args[0], args[1]
        if not (cnp.PyArray_CheckExact(x) and cnp.PyArray_CheckExact(k)):
            return False
        i = 2
        swapped = cnp.PyArray_SIZE(<cnp.ndarray> x) < cnp.PyArray_SIZE(<cnp.ndarray> k)
        if not (see_array(s, <cnp.ndarray> x, TAPS if swapped else DATA, 0)
                and see_array(s, <cnp.ndarray> k, DATA if swapped else TAPS, 0)):
            return False
    for i in range(i, len(args)):
        if not see(s, args[i], function.role[i], function.slot[i]):
            return False
    if kwargs:
        for name, value in kwargs.items():
            i = function.places.get(name, -1)
            put(s, ~i)
            if i < 0:
                named = see(s, name, OPTION, 0) and see(s, value, OPTION, 0)
            else:
                named = see(s, value, function.role[i], function.slot[i])
            if not named:
                return False
    return s.words <= MOST_WORDS and s.datas > 0


cdef uint64_t with_taps(const glance *s):
    """The hash of a call whose plan holds for these taps only"""
    cdef uint64_t hash = s.hash
    cdef cnp.ndarray tap
    cdef int i
    for i in range(s.taps):
        tap = <cnp.ndarray> s.tap[i]
        hash = hash * 31 + hash_of(<const char *> cnp.PyArray_DATA(tap), cnp.PyArray_NBYTES(tap))
    return hash


cdef _Entry found(const glance *s, uint64_t hash):
    cdef _Entry entry
    cdef int i
    for i in range(PROBES):
        entry = <_Entry> slots[(hash + i) % SLOTS]
        if entry is not None and entry.is_of(s, hash):
            return entry
    return None


cdef kept_of(value):
    if type(value) is list or type(value) is tuple:
        return tuple([kept_of(one) for one in value])
    return value.dtype if cnp.PyArray_CheckExact(value) else value


@cython.auto_pickle(False)
cdef class Function:
    """A public function whose calls are remembered: the names of its parameters, and the roles of those that have one."""

    cdef dict places  # by name
    cdef int role[MOST_PARAMETERS]
    cdef int slot[MOST_PARAMETERS]  # of those that are data: how many of them come before
    cdef bint either  # of the first two parameters the larger array is the data, or the first; the other one is the taps

    def __init__(self, tuple names, dict roles):
        cdef Py_ssize_t i
        cdef int datas = 0
        self.either = roles.get(names[0]) == "either"
        assert len(names) <= MOST_PARAMETERS
        self.places = {name: i for i, name in enumerate(names)}
        for i in range(len(names)):
            self.role[i], self.slot[i] = ROLES[roles.get(names[i], "option")], datas
            datas += self.role[i] == DATA
        assert datas <= MOST_ARRAYS

    def again(self, tuple args, dict kwargs):
        """What the call returns, if it was made before and has a plan that suits its arrays; else None."""
        global clock, hits, misses
        cdef glance s
        cdef _Entry entry
        if checking is not None and checking():
            return None
        try:
            if not look(&s, self, args, kwargs):
                return None
            entry = found(&s, s.hash)
            if entry is None and s.taps > 0:
                entry = found(&s, with_taps(&s))
            if entry is None:
                misses += 1
                return None
            clock += 1
            entry.used = clock
            result = (<Plan> entry.plan).carry_out(&s)
            if result is not None:
                hits += 1
            return result
        finally:
            end(&s)

    def asked(self, tuple args, dict kwargs):
        """What `remember` has to be told of a call before it is made; None: it is not remembered."""
        cdef glance s
        try:
            return with_taps(&s) if look(&s, self, args, kwargs) else None
        finally:
            end(&s)

    def remember(self, tuple args, dict kwargs, Plan plan, asked):
        """Keep the plan for the next such call, unless taps have changed meanwhile, by way of `out` or another thread."""
        cdef glance s
        try:
            if look(&s, self, args, kwargs) and with_taps(&s) == asked:
                keep(&s, plan, (*args, *kwargs.values()))
        finally:
            end(&s)


cdef keep(const glance *s, Plan plan, tuple arguments):
    global clock, kept
    cdef _Entry entry = _Entry(), other
    cdef int i
    cdef Py_ssize_t at = -1
    entry.words = (<const char *> s.word)[: 8 * s.words]
    entry.any_taps, entry.plan = plan.any_taps and s.taps == 1, plan
    entry.taps = tuple([(<cnp.ndarray> s.tap[i]).copy() for i in range(0 if entry.any_taps else s.taps)])
    entry.keep = tuple([kept_of(a) for a in arguments])
    entry.nbytes = ENTRY_BYTES + len(entry.words) + plan.nbytes + sum([a.nbytes for a in entry.taps])
    entry.hash = s.hash if entry.any_taps else with_taps(s)
    if entry.nbytes > most_kept:
        return
    for i in range(PROBES):  # a free place, that of the same call, or the one that was longest not asked for
        other = <_Entry> slots[(entry.hash + i) % SLOTS]
        if other is None or other.is_of(s, entry.hash):
            at = <Py_ssize_t> ((entry.hash + i) % SLOTS)
            break
        if at < 0 or other.used < (<_Entry> slots[at]).used:
            at = <Py_ssize_t> ((entry.hash + i) % SLOTS)
    clock += 1
    entry.used = clock
    forget(at)
    slots[at] = entry
    kept += entry.nbytes
    forget_some()


cdef void forget(Py_ssize_t at):
    global kept
    cdef _Entry entry = <_Entry> slots[at]
    if entry is not None:
        kept -= entry.nbytes
        slots[at] = None


cdef void forget_some():
    """Plans that were longest not asked for, until the others are within the limit"""
    cdef Py_ssize_t i, at
    cdef _Entry entry
    while kept > most_kept:
        at = -1
        for i in range(SLOTS):
            entry = <_Entry> slots[i]
            if entry is not None and (at < 0 or entry.used < (<_Entry> slots[at]).used):
                at = i
        forget(at)


def limit_plans(ptrdiff_t nbytes):
    global most_kept
    most_kept = nbytes
    forget_some()


def plans_info():
    """(hits, misses, plans, bytes, bytes at most)"""
    return hits, misses, SLOTS - slots.count(None), kept, most_kept


def forget_plans():
    global hits, misses
    cdef Py_ssize_t i
    for i in range(SLOTS):
        forget(i)
    hits = misses = 0
