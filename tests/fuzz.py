# SPDX-License-Identifier: BSD-3-Clause
"""Random calls of every public function, compared with oracles that share no code with it.

    python tests/fuzz.py                                # a few seconds of every family
    python tests/fuzz.py nn signal --seconds 60 --seed 7
    python tests/fuzz.py nn --seed 7 --call 1234        # one call again, as a failure says

What is called, with which arguments, and what must come out of it, is in the tables of `calls_*.py`. Here is what
holds for all calls: the result is the oracle's or within a bound of it, both refuse the same, and neither layout nor
byte order nor the number of threads is seen in the bits. Call n of a seed is the same whatever was called before it.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import importlib
import itertools
import reprlib
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cases
import numpy as np
from numpy.typing import NDArray

import fastconv
from fastconv import _core

Array = NDArray[Any]
Rng = np.random.Generator

FAMILIES = ("corr", "nn", "folding", "signal", "ndimage", "feature", "dense", "pooling")
PATIENCE = 300  # seconds that one call may take at most, sanitizers and a busy machine included


def whole(result: Any) -> Any:
    return result


class Also(NamedTuple):
    """Other arguments under which the bits are those of the result, or of a part of it."""

    what: str
    changed: dict[str, Any]
    part: Callable[[Any], Any] = whole


class Call(NamedTuple):
    """One random call, and what must come out of it."""

    name: str
    function: Callable[..., Any]
    arguments: dict[str, Any]  # arrays lie as NumPy lays them; see relaid
    expected: Callable[..., Any]  # the oracle, of the same arguments: it raises what must be raised
    bound: Any = 0  # |result - expected| at most: a number, an array, or a function that makes it; a tuple for a tuple
    also: tuple[Also, ...] = ()
    bits: bool = (
        True  # whether layout, batch and threads are promised not to be seen; else they are within the bound, too
    )
    wrong: bool = False  # an argument probably is
    names: bool = False  # then the message has to name it, or one that does not fit to it

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={_shown(value)}" for name, value in self.arguments.items())
        return f"{self.name}({shown})"


def _shown(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return repr(value)
    return repr(value.tolist()) if value.size < 6 else f"<{value.dtype.str}{list(value.shape)}>"


# ---- what random arguments are made of -------------------------------------------------------------


def pick(rng: Rng, values: Any) -> Any:
    """One of some values of any types."""
    values = list(values)
    return values[int(rng.integers(len(values)))]


def rarely(rng: Rng, probability: float) -> bool:
    return bool(rng.random() < probability)


def length(rng: Rng, most: int) -> int:
    """Of an axis: 1 to most, or now and then around one of the sizes at which the C core cuts."""
    sizes = [n for n in cases.c_sizes().values() if most < n <= 1 << 14]
    if sizes and rarely(rng, 0.04):
        return pick(rng, sizes) + int(rng.integers(-2, 9))
    return int(rng.integers(1, most + 1))


def array(rng: Rng, shape: Any, dtype: Any, kind: str) -> Array:
    """Random data: "whole" (small integers, whose sums are exact), "real", "extreme" or "spoilt" (some not finite)."""
    dtype, shape = np.dtype(dtype), tuple(int(n) for n in shape)
    most = {"b": 1, "u": 8}.get(dtype.kind, 2 if dtype == np.float16 else 8)
    if dtype.kind == "c":
        parts = [array(rng, shape, np.empty(0, dtype).real.dtype, kind) for _ in range(2)]
        a = np.empty(shape, dtype)
        a.real, a.imag = parts
        return a
    if kind == "real" and dtype.kind == "f":
        a = rng.standard_normal(shape).astype(dtype)
    elif kind == "extreme" and dtype.kind in "iu":
        info = np.iinfo(dtype)
        a = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    elif kind == "extreme" and dtype.kind == "f":
        info = np.finfo(dtype)
        scale = pick(rng, [float(info.smallest_subnormal), float(info.tiny), float(info.max) / 1000, 1.0])
        a = (rng.integers(-3, 4, shape) * scale).astype(dtype)
    else:
        a = rng.integers(-most if dtype.kind in "if" else 0, most + 1, shape).astype(dtype)
    if kind == "spoilt" and dtype.kind == "f" and a.size:
        for _ in range(int(rng.integers(1, 3))):
            a.flat[int(rng.integers(a.size))] = pick(rng, [np.nan, np.inf, -np.inf])
    for axis in range(a.ndim):  # so that a stride may be zero
        if a.shape[axis] and rarely(rng, 0.05):
            a[...] = a.take([0], axis)
    return a


def room(rng: Rng, shape: tuple[int, ...], dtype: Any) -> Array:
    """Where to put a result: anywhere."""
    while True:
        out = relaid(rng, rng.integers(0, 9, shape).astype(dtype)).view()
        if out.dtype.isnative and 0 not in out.strides:
            out.flags.writeable = True
            return out


def relaid(rng: Rng, a: Array) -> Array:
    """The same elements elsewhere: in any order, direction, step, alignment and byte order, perhaps read-only."""
    order = rng.permutation(a.ndim)
    steps = [int(pick(rng, [1, 1, 1, 2, -1, -3])) for _ in range(a.ndim)]
    margins = rng.integers(0, 3, a.ndim)
    dtype = a.dtype.newbyteorder() if rarely(rng, 0.3) else a.dtype
    room = [abs(s) * n + int(m) for s, n, m in zip(steps, a.shape, margins, strict=True)]
    fields: Any = [("pad", "u1"), ("a", dtype)] if rarely(rng, 0.3) else [("a", dtype)]
    store = np.zeros([room[i] for i in order], fields)["a"].transpose(np.argsort(order))
    view = store[tuple(slice(None, None, s) for s in steps)][tuple(slice(n) for n in a.shape)]
    view[...] = a
    for axis, n in enumerate(a.shape):
        if n > 1 and a.size and np.array_equal(a, np.broadcast_to(a.take([0], axis), a.shape)):
            view = np.broadcast_to(view[(slice(None),) * axis + (slice(1),)], a.shape)
    view.flags.writeable = False
    return view


JUNK = (None, "a", b"x", 1.5, -1, -(2**62), 2**62, (), (1, 2, 3, 4), [None], np.nan, 1j, [[1]], object(), True)
MILD = ("a", b"x", 1.5, -1, (1, 2, 3, 4), None, 1j, [[1]], object())  # for SciPy, whose process huge sizes end


def spoilt(rng: Rng, call: Call, refuses: Callable[..., Any], names: Any) -> Call:
    """The call with one argument that is probably wrong; refuses: what knows whether it is, and else has the result."""
    name = pick(rng, names)
    arguments = call.arguments | {name: pick(rng, JUNK)}
    return call._replace(arguments=arguments, expected=refuses, also=(), wrong=True, names=True, bound=np.inf)


# ---- what holds for all calls ----------------------------------------------------------------------


def outcome(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """What a call returns, or the exception it ends in."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return function(**arguments)
        except Exception as error:  # whatever it is, the other side has to raise the same
            return error


def parts(result: Any) -> list[Array]:
    return [np.asarray(a) for a in (result if isinstance(result, tuple) else (result,)) if a is not None]


def compare(got: Any, want: Any, bound: Any = 0) -> None:
    """Of the same exception type, or of the same dtypes, shapes and values, these within the bound."""
    if isinstance(got, Exception) or isinstance(want, Exception):
        alike = isinstance(got, Exception) and isinstance(got, type(want))
        assert alike, f"{reprlib.repr(got)} instead of {reprlib.repr(want)}"
        return
    bounds = bound if isinstance(bound, tuple) else (bound,) * len(parts(want))
    assert len(parts(got)) == len(parts(want)), f"{len(parts(got))} results instead of {len(parts(want))}"
    for a, b, most in zip(parts(got), parts(want), bounds, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape), f"{a.dtype}{a.shape} instead of {b.dtype}{b.shape}"
        with np.errstate(all="ignore"):
            pairs = [(a.real, b.real), (a.imag, b.imag)] if a.dtype.kind == "c" else [(a, b)]
            apart = [
                np.where((p == q) | ((p != p) & (q != q)), 0, np.abs(np.subtract(p, q, dtype="g"))) for p, q in pairs
            ]
            distance = np.hypot(*apart) if len(apart) > 1 else apart[0]
            right = (distance == 0) | (distance <= most) | np.isposinf(most)
        if not right.all():
            at = np.unravel_index(int(np.argmax(np.where(right, -1, np.nan_to_num(distance, nan=np.inf)))), a.shape)
            raise AssertionError(
                f"{np.size(right) - np.count_nonzero(right)} of {a.size} wrong; at {tuple(map(int, at))}: {a[at]!r} "
                f"instead of {b[at]!r}, within {np.broadcast_to(most, a.shape)[at]!r}"
            )


def assert_same_bits(got: Any, want: Any) -> None:
    assert not isinstance(got, Exception), repr(got)
    for a, b in zip(parts(got), parts(want), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape), f"{a.dtype}{a.shape} instead of {b.dtype}{b.shape}"
        if a.dtype.kind in "fc":  # one NaN is as good as another
            a, b = (np.ascontiguousarray(c).view(np.empty(0, c.dtype).real.dtype) for c in (a, b))
            a, b = (np.where(np.isnan(c), np.nan, c).astype(c.dtype) for c in (a, b))
        same = np.array_equal(a, b) if a.dtype == object else a.tobytes() == b.tobytes()
        assert same, f"bits differ in {np.count_nonzero(~((a == b) | (a != a) & (b != b)))} of {a.size} places"


@contextlib.contextmanager
def threads(n: int) -> Iterator[None]:
    before = fastconv.get_num_threads()
    fastconv.set_num_threads(n)
    try:
        yield
    finally:
        fastconv.set_num_threads(before)


OBSCURE = (AttributeError, IndexError, SystemError, UnboundLocalError)


def check(call: Call, rng: Rng) -> None:
    with threads(1):
        got = outcome(call.function, call.arguments)
    want = outcome(call.expected, call.arguments)
    if isinstance(want, MemoryError):
        return  # the peer's
    if call.wrong and all(isinstance(e, (*OBSCURE, TypeError, ValueError)) for e in (got, want)):
        want = got  # what is raised of nonsense depends on which line of a peer happens to meet it first
    bound = call.bound(got) if callable(call.bound) and not isinstance(got, Exception) else call.bound
    compare(got, want, bound)
    if isinstance(got, Exception):
        named = any(name in str(got) for name in call.arguments)
        assert named or isinstance(got, ValueError) or not isinstance(got, OBSCURE), repr(got)
        if call.names:
            is_clear = named and isinstance(got, (TypeError, ValueError))
            assert is_clear or isinstance(got, (MemoryError, OverflowError)), f"{got!r} does not name an argument"
        return
    again = {name: relaid(rng, a) for name, a in call.arguments.items() if type(a) is np.ndarray}
    laid = f"laid out as { {n: (a.dtype.str, a.strides) for n, a in again.items()} }"
    for also in (Also("two threads", {}), Also(laid, again), *call.also):
        with threads(2), context(also.what):
            other = outcome(call.function, call.arguments | also.changed)
            if call.bits:
                assert_same_bits(other, also.part(got))
            else:
                compare(other, also.part(want), np.inf if also.part is not whole else bound)


@contextlib.contextmanager
def context(what: str) -> Iterator[None]:
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from None


# ---- the command -----------------------------------------------------------------------------------


def isas() -> list[str]:
    """Those of this CPU up to the one in use: FASTCONV_MAX_ISA says up to which."""
    return fastconv.isas()[fastconv.isas().index(_core.table()["isa"]) :]


def run(family: str, seed: int, number: int, kinds: list[str], *, verbose: bool) -> str | None:
    """One call: None, or what is wrong with it."""
    rng = np.random.default_rng([seed, number, FAMILIES.index(family)])
    call = importlib.import_module(f"calls_{family}").random_call(rng)
    isa = pick(rng, kinds)
    if verbose:
        print(f"{family} {number} {isa} {call}", flush=True)
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    _core.tune(8, 0.0, 0.0) if rarely(rng, 0.7) else _core.tune()  # bands of 8 rows, threads in every call
    try:
        with fastconv.use_isa(isa):
            check(call, rng)
    except AssertionError as error:
        return f"python tests/fuzz.py {family} --seed {seed} --call {number}\n  {isa}: {call}\n  {error}"
    finally:
        _core.tune()
        faulthandler.cancel_dump_traceback_later()
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("families", nargs="*", choices=[*FAMILIES, []], help="default: all")
    parser.add_argument("--seed", type=int, help="default: a new one, which is printed")
    parser.add_argument("--call", type=int, help="only this one")
    parser.add_argument("--seconds", type=float, default=3, help="of each family")
    parser.add_argument("--failures", type=int, default=1, help="stop after so many")
    parser.add_argument("--verbose", action="store_true", help="print every call before it runs")
    asked = parser.parse_args()
    seed = int(np.random.SeedSequence().generate_state(1)[0]) if asked.seed is None else asked.seed
    print(f"seed {seed}, {', '.join(isas())}", flush=True)
    failures = 0
    for family in asked.families or FAMILIES:
        end, number = time.monotonic() + asked.seconds, 0
        for number in itertools.count() if asked.call is None else [asked.call]:
            if (asked.call is None and time.monotonic() > end) or failures == asked.failures:
                break
            if wrong := run(family, seed, number, isas(), verbose=asked.verbose):
                failures += 1
                print(wrong, flush=True)
        print(f"{family}: {number} calls", flush=True)
    return int(failures > 0)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    sys.modules["fuzz"] = sys.modules["__main__"]  # what the tables import
    sys.exit(main())
