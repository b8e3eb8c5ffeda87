# SPDX-License-Identifier: BSD-3-Clause
"""Calls that were made before: found by what they were asked (`plans_words.pxi`), carried out by what was worked out then."""

cdef enum:
    SLOTS = 1024  # places for plans,
    PROBES = 8  # of which each plan has so many to choose from
    ENTRY_BYTES = 1024  # that a plan takes beside its arrays


@cython.auto_pickle(False)
cdef class Plan:
    """What is carried out again and again; here with nothing to do."""

    cdef readonly ptrdiff_t nbytes
    cdef bint any_taps  # where the call has one array of taps, they may have other values
    cdef object finish  # a function that results go through, or None
    cdef int rank, typenum  # of results
    cdef cnp.npy_intp shape[FC_BATCHES]

    cdef void makes(self, cnp.ndarray result) noexcept:
        """Results are like this one."""
        cdef int i
        self.rank, self.typenum = cnp.PyArray_NDIM(result), cnp.PyArray_TYPE(result)
        for i in range(self.rank):
            self.shape[i] = cnp.PyArray_DIM(result, i)

    cdef cnp.ndarray room(self):
        """An array for a result."""
        return cnp.PyArray_EMPTY(self.rank, self.shape, self.typenum, 0)

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
