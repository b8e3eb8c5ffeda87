# SPDX-License-Identifier: BSD-3-Clause
"""Where plans are kept, how they are found, and which are forgotten.

Threads find them at once. Who has the lock only takes an entry, or puts one: compared, made and freed it is without.
"""

cdef enum:
    SLOTS = 1024  # places for plans,
    PROBES = 8  # of which each plan has so many to choose from
    ENTRY_BYTES = 1024  # that a plan takes beside its arrays


@cython.auto_pickle(False)
cdef class _Entry:
    cdef uint64_t used  # this, and what follows, under the lock
    cdef bint is_kept  # in a place
    cdef ptrdiff_t nbytes
    cdef bint any_taps  # of one array: the plan looks at them itself
    cdef bytes words  # of the glance
    cdef tuple taps, keep  # copies of arrays; what words point to
    cdef object plan

    cdef bint is_of(self, const glance *s):
        cdef int i
        if len(self.words) != s.words * 8 or memcmp(<const char *> self.words, s.word, s.words * 8):
            return False
        for i in range(0 if self.any_taps else s.taps):
            if memcmp(cnp.PyArray_DATA(<cnp.ndarray> self.taps[i]), cnp.PyArray_DATA(<cnp.ndarray> s.tap[i]), s.tap_bytes[i]):
                return False
        return True


cdef struct place:
    uint64_t hash
    PyObject *entry  # NULL: free


cdef place places[SLOTS]  # this, and what follows, under the lock
cdef uint64_t clock = 0, hits = 0, misses = 0
cdef ptrdiff_t kept = 0


cdef _Entry found(const glance *s, uint64_t hash):
    """The entry of that hash, if it is of this call"""
    global clock
    cdef _Entry entry = None
    cdef place *p
    cdef int i
    fc_hold()
    for i in range(PROBES):
        p = &places[(hash + i) % SLOTS]
        if p.entry != NULL and p.hash == hash:
            clock += 1
            entry = <_Entry> p.entry
            entry.used = clock
            break
    fc_let_go()
    return entry if entry is not None and entry.is_of(s) else None


cdef void count(uint64_t *calls) noexcept:
    fc_hold()
    calls[0] += 1
    fc_let_go()


cdef again(const glance *s):
    """What the call returns, if it was made before and has a plan that suits its arrays; else None."""
    global kept
    cdef Py_ssize_t more
    cdef _Entry entry = found(s, s.hash)
    if entry is None and s.taps > 0:
        entry = found(s, with_taps(s))
    if entry is None:
        count(&misses)
        return None
    more = (<Plan> entry.plan).ready(s.table)
    if more > 0:
        fc_hold()
        if entry.is_kept:
            entry.nbytes += more
            kept += more
        fc_let_go()
        forget_some()
    result = (<Plan> entry.plan).carry_out(s)
    if result is not None:
        count(&hits)
    return result


cdef kept_of(value):
    if type(value) is list or type(value) is tuple:
        return tuple([kept_of(one) for one in value])
    return value.dtype if cnp.PyArray_CheckExact(value) else value


cdef own_taps(glance *s):
    """Copies take the place of the arrays."""
    cdef int i
    for i in range(s.taps):
        own = (<cnp.ndarray> s.tap[i]).copy()
        Py_INCREF(own)
        Py_DECREF(<object> s.tap[i])
        s.tap[i] = <PyObject *> own


cdef keep(glance *s, uint64_t asked, Plan plan, tuple arguments):
    """Remember a plan, unless the taps are no longer those of the call that was asked."""
    global clock, kept
    cdef _Entry entry = _Entry()
    cdef PyObject *former
    cdef place *p
    cdef place *best = NULL
    cdef uint64_t hash = s.hash
    cdef int i
    entry.any_taps, entry.plan = plan.any_taps and s.taps == 1, plan
    if not entry.any_taps:
        own_taps(s)
        hash = with_taps(s)
    if with_taps(s) != asked:
        return
    entry.taps = tuple([<object> s.tap[i] for i in range(0 if entry.any_taps else s.taps)])
    entry.keep = tuple([kept_of(a) for a in arguments])
    entry.words = (<const char *> s.word)[: 8 * s.words]
    entry.nbytes = ENTRY_BYTES + len(entry.words) + plan.nbytes + sum([a.nbytes for a in entry.taps])
    if entry.nbytes > fc_most_kept():
        return
    Py_INCREF(entry)
    fc_hold()
    for i in range(PROBES):  # a free place, that of the same call, or the one that was longest not asked for
        p = &places[(hash + i) % SLOTS]
        if best == NULL or p.entry == NULL or p.hash == hash or (<_Entry> p.entry).used < (<_Entry> best.entry).used:
            best = p
        if p.entry == NULL or p.hash == hash:
            break
    former = taken(best)
    clock += 1
    entry.used, entry.is_kept = clock, True
    kept += entry.nbytes
    best.hash, best.entry = hash, <PyObject *> entry
    fc_let_go()
    Py_XDECREF(former)
    forget_some()


cdef PyObject *taken(place *p) noexcept:
    """The entry of a place, which is free from then on, or NULL; under the lock, without which who has it lets it go."""
    global kept
    cdef PyObject *entry = p.entry
    if entry != NULL:
        kept -= (<_Entry> entry).nbytes
        (<_Entry> entry).is_kept = False
        p.entry = NULL
    return entry


cdef PyObject *beyond_the_limit() noexcept:
    """The entry that was longest not asked for, taken, while all of them are more than the limit; else NULL"""
    cdef place *p
    cdef place *oldest = NULL
    cdef PyObject *entry = NULL
    cdef int i
    fc_hold()
    if kept > fc_most_kept():
        for i in range(SLOTS):
            p = &places[i]
            if p.entry != NULL and (oldest == NULL or (<_Entry> p.entry).used < (<_Entry> oldest.entry).used):
                oldest = p
        entry = taken(oldest)
    fc_let_go()
    return entry


cdef void forget_some():
    cdef PyObject *entry = beyond_the_limit()
    while entry != NULL:
        Py_DECREF(<object> entry)
        entry = beyond_the_limit()


def limit_plans(ptrdiff_t nbytes):
    fc_set_most_kept(nbytes)
    forget_some()


def plans_info():
    """(hits, misses, plans, bytes, bytes at most)"""
    cdef uint64_t found, missed
    cdef ptrdiff_t nbytes
    cdef int i, plans = 0
    fc_hold()
    found, missed, nbytes = hits, misses, kept
    for i in range(SLOTS):
        plans += places[i].entry != NULL
    fc_let_go()
    return found, missed, plans, nbytes, fc_most_kept()


def forget_plans():
    global hits, misses
    cdef PyObject *entry
    cdef int i
    for i in range(SLOTS):
        fc_hold()
        entry = taken(&places[i])
        fc_let_go()
        Py_XDECREF(entry)
    fc_hold()
    hits = misses = 0
    fc_let_go()
    fc_forget_kept()
