# SPDX-License-Identifier: BSD-3-Clause
"""Threads that call at once, while others change all that a process has one of: settings, plans, instruction set.

On a free-threaded CPython nothing but fastconv's own lock keeps them apart.
"""

from __future__ import annotations

import re
import sysconfig

import pytest
from test_use_isa import CALLS

pytestmark = pytest.mark.deep

CODE = (
    CALLS
    + """
from fastconv import _core, signal
layer, quantized = nn.Conv2d(19, 33, 3, padding=1, seed=0), nn.QConv2d(w[:, :3].astype("i1"), scale=0.1)
bytes_too = rng.integers(0, 255, (1, 3, 20, 19)).astype("u1")
CALLS |= {
    "small": lambda: fastconv.corr2d(image[:3, :3], kernel[:2, :2]),
    "small, integers": lambda: fastconv.corr2d(bytes_[:9, :9], bytes_[:2, :3]),
    "small, lists": lambda: fastconv.corr2d(image[:9, :9], kernel[:2, :2], axes=[1, 0], stride=[2, 1]),
    "own kernels": lambda: fastconv.corr1d(small, small[:, :5]),
    "complex": lambda: fastconv.corr1d(small[0] + 1j, small[1, :9]),
    "signal": lambda: signal.correlate(small[0], small[1, :9]),
    "missing": lambda: fastconv.convolve1d(np.where(small > 1, np.nan, small), small[0, :5] ** 2, "same", nan="ignore"),
    "sobel": lambda: ndimage.sobel(small),
    "magnitude": lambda: ndimage.gaussian_gradient_magnitude(small, 1.5),
    "gradient": lambda: fastconv.gradient(small),
    "pooling": lambda: nn.max_pool2d(x, 3, stride=2),
    "a layer": lambda: layer(x),
    "a layer of bytes": lambda: quantized(bytes_too),
}
as_bytes = lambda y: b"".join(np.asarray(part).tobytes() for part in (y if type(y) is tuple else [y]))
right = {}
for name in CALLS:
    right[name] = set()
    for isa in fastconv.isas():
        with fastconv.use_isa(isa):
            right[name].add(as_bytes(CALLS[name]()))

wrong, done = [], [0] * CALLERS
end = time.monotonic() + SECONDS
def call(seed):
    names = list(np.random.default_rng(seed).permutation(list(CALLS)))
    while time.monotonic() < end or done[seed] == 0:
        for name in names:
            try:
                if as_bytes(CALLS[name]()) not in right[name]:
                    wrong.append(name)
            except BaseException as error:
                wrong.append(f"{name}: {error!r}")
        done[seed] += len(names)

def unsettle(seed):
    rng = np.random.default_rng(seed)
    while time.monotonic() < end:
        for isa in fastconv.isas():
            with fastconv.use_isa(isa):
                fastconv.set_num_threads(int(rng.integers(1, 4)))
            if rng.random() < 0.1:
                _core.tune(*((8, 0.0, 0.0) if rng.random() < 0.5 else ()))
            fastconv.set_cache_limit(int(rng.choice([0, 9000, 10**5, 10**7])))
            if rng.random() < 0.1:
                fastconv.clear_cache()
            with fastconv.checked():
                fastconv.corr1d([1.0, 2, 3], [1.0, 2])
            fastconv.cache_info()

threads = [threading.Thread(target=call, args=(seed,)) for seed in range(CALLERS)]
threads += [threading.Thread(target=unsettle, args=(seed,)) for seed in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
fastconv.clear_cache()
info = fastconv.cache_info()
assert (info.plans, info.nbytes) == (0, 0), info
print(sorted(set(wrong)), getattr(sys, "_is_gil_enabled", lambda: True)())
"""
)


@pytest.mark.parametrize("callers", [1, 4])
def test_callers_and_setters_at_once(python, callers):
    """Results are right under one of the instruction sets, and what is kept is counted to the byte."""
    done = python(f"SECONDS, CALLERS = 10, {callers}\n{CODE}")
    has_gil = not sysconfig.get_config_var("Py_GIL_DISABLED")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"[] {has_gil}\n", "")


SUBINTERPRETER = """
try:
    import _interpreters
    run = lambda code: _interpreters.exec(_interpreters.create("legacy"), code)
except ImportError:
    import _xxsubinterpreters as _interpreters
    run = lambda code: _interpreters.run_string(_interpreters.create(isolated=False), code)
import fastconv
run('''
try:
    import fastconv
    print(fastconv.corr1d([1, 2, 3], [1, 1]).tolist(), flush=True)
except ImportError as error:
    print(error, flush=True)
''')
print(fastconv.corr1d([1, 2, 3], [1, 1]).tolist())
"""


def test_a_subinterpreter_is_refused_by_name_or_computes(python):
    """NumPy refuses; where it did not, the extension would, and the reference compute. The main interpreter goes on."""
    done = python(SUBINTERPRETER)
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.rstrip().rsplit("\n", 1)
    assert last == "[3, 5]" and re.search(r"^\[3, 5\]$|more than once per process|not support loading in subint", first)
