# SPDX-License-Identifier: BSD-3-Clause
"""Plan once, run many: functions whose calls are remembered by what they were asked.

A public function works out what is to be done, does it, and returns an `Answer`: the result, and the plan by which it
was made if that depends on nothing but what `plans.pxi` compares (types, shapes, strides, options, the bytes of the
taps). The next such call takes the plan and skips the function.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeVar

from fastconv.arguments.values import as_count, is_lazy
from fastconv.caches import forget_all
from fastconv.runtime import _core

P = ParamSpec("P")
R = TypeVar("R")


class Answer(NamedTuple):
    """What a planned function returns."""

    result: Any
    plan: Any = None  # _core.Plan; None: the next call has to work it out again
    done: bool = False  # what the plan makes is as it was asked for

    def then(self, function: Callable[[Any], Any]) -> Answer:
        """The same with a result that goes through a function."""
        return Answer(function(self.result), self.plan and self.plan.then(function))


def planned(**roles: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Remember the plans of a function that returns an `Answer`, or just a result.

    Parameters
    ----------
    **roles : {"data", "taps", "out"}
        Of parameters that are no options, by name: see `plans_words.pxi`.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        first = next(iter(roles))

        @functools.wraps(function)
        def anywhere(*args: P.args, **kwargs: P.kwargs) -> Any:
            x = args[0] if args else kwargs.get(first)
            if is_lazy(x):
                kwargs.pop(first, None)
                lazily: Any = importlib.import_module("fastconv.dask").lazily
                return lazily(public, x, *args[1:], **kwargs)
            return function(*args, **kwargs)

        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            answer: Any = anywhere(*args, **kwargs)
            return answer.result if type(answer) is Answer else answer

        public: Callable[P, R] = functools.update_wrapper(
            _core.Function(anywhere, roles, Answer) if _core else call, function
        )
        return public

    return decorate


class CacheInfo(NamedTuple):
    """What is remembered of calls; see `cache_info`."""

    hits: int
    misses: int
    plans: int
    nbytes: int
    max_nbytes: int


def cache_info() -> CacheInfo:
    """What fastconv remembers of calls that were made.

    A call that is made again, with arrays of the same dtypes, shapes and strides, the same options and the same taps,
    finds what was worked out the first time: its plan.

    Returns
    -------
    CacheInfo
        A named tuple: how many calls found a plan (`hits`) and how many found none (`misses`); how many plans there
        are; the bytes that they take, and may take at most.

    See Also
    --------
    clear_cache : forget them.
    set_cache_limit : how many bytes they may take.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> fastconv.clear_cache()
    >>> for _ in range(3):
    ...     y = fastconv.corr2d(np.ones((9, 9)), np.ones((3, 3)))
    >>> info = fastconv.cache_info()
    >>> info.hits, info.misses, info.plans
    (2, 1, 1)
    """
    return CacheInfo(*(_core.plans_info() if _core is not None else (0, 0, 0, 0, 0)))


def clear_cache() -> None:
    """Forget all plans and other remembered results, and count hits and misses from 0.

    Memory that the last large result left behind is given back, too: of 24 to 64 MB, it is kept for the next one.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.clear_cache()
    >>> fastconv.cache_info().plans
    0
    """
    for forget in forget_all:
        forget()
    if _core is not None:
        _core.forget_plans()


def set_cache_limit(nbytes: int) -> None:
    """Let plans take at most so many bytes, 16 MB by default. Those that were longest not asked for go first.

    Parameters
    ----------
    nbytes : int
        0: nothing is remembered.

    Raises
    ------
    TypeError, ValueError
        It is no integer, or below 0.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.set_cache_limit(2**24)
    """
    limit = as_count(nbytes, "nbytes", least=0)
    if _core is not None:
        _core.limit_plans(limit)
