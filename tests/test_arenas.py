# SPDX-License-Identifier: BSD-3-Clause
"""Networks whose outputs lie in one block of memory: the same bits as layer by layer, and nothing is written over that
anybody still has."""

from __future__ import annotations

import copy
import itertools
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from cases import reals

from fastconv import nn
from fastconv.nn import arenas, reshaping


def apart(network, x):
    """The output, every array its own."""
    return network._run(x, lambda _, layer, inputs: layer(*(a.copy() for a in inputs)))


class Listening(nn.Module):
    """A layer of a user's own, which keeps what it was given."""

    def __init__(self):
        self.heard = []

    def __call__(self, x):
        self.heard.append((x, x.copy()))
        return x * 2


def random_graph(rng, listens=False):
    """Layers of 8 x 16 elements, each behind layers drawn from those before it."""
    steps, channels = {}, {"x": 8}
    for i in range(int(rng.integers(4, 14))):
        used = {o for _, *inputs in steps.values() for o in inputs}
        unused = [o for o in channels if o not in used]
        takes = unused[0] if len(unused) > 3 else str(rng.choice(list(channels)))
        n = channels[takes]
        others = [str(o) for o in rng.choice(list(channels), int(rng.integers(1, 3)))]
        same = [o for o in channels if channels[o] == n]
        padding, activation = int(rng.integers(0, 2)), [None, "relu"][i % 2]
        layer, *takes = [
            (nn.Cat([1, -3][i % 2]), takes, *others),
            (nn.Add(), takes, same[-1]),
            (nn.MaxPool2d(3, 1, 1), takes),
            (Listening() if listens else nn.Identity(), takes),
            (nn.ReLU(), takes),
            (reshaping.View([(1, 1, (0,)), -1, 8, 16]), takes),
            (nn.ConvTranspose2d(n, 4, 3, padding=1, bias=False, seed=i), takes),
            *[(nn.Conv2d(n, 8, 1 + 2 * padding, padding=padding, seed=i, activation=activation), takes)] * 3,
        ][int(rng.integers(0, 10))]
        steps[str(i)] = layer, *takes
        channels[str(i)] = {"Cat": sum(channels[o] for o in takes), "ConvTranspose2d": 4, "Conv2d": 8}.get(
            type(layer).__name__, n
        )
    used = {o for _, *inputs in steps.values() for o in inputs}
    unused = [o for o in channels if o not in used]
    if len(unused) > 1:
        steps["all"] = nn.Cat(), *unused
    return nn.Graph(steps)


@pytest.mark.parametrize("seed", [*range(8), *(pytest.param(s, marks=pytest.mark.deep) for s in range(8, 200))])
def test_random_networks_have_the_bits_of_their_layers(seed):
    rng = np.random.default_rng(seed)
    network = random_graph(rng, listens=seed % 3 == 0)
    network = network.folded() if seed % 2 else network
    xs = [reals(rng, (1 + seed % 2, 8, 8, 16), np.float32) for _ in range(4)]
    expected = [apart(network, x) for x in xs]
    for y, e in zip([network(x) for x in xs], expected, strict=True):
        np.testing.assert_array_equal(y, e)


def test_a_layer_of_one_s_own_may_keep_what_it_was_given():
    listening, network = Listening(), nn.Sequential(*(nn.MaxPool2d(1) for _ in range(3)))
    network = nn.Graph({"0": (nn.MaxPool2d(1), "x"), "1": (listening, "0"), "2": (network, "1")})
    for x in reals(np.random.default_rng(1), (4, 1, 8, 8, 16), np.float32):
        np.testing.assert_array_equal(network(x), x * 2)
    for now, then in listening.heard:
        np.testing.assert_array_equal(now, then)


def test_what_is_flattened_may_have_been_a_copy_in_the_call_before():
    """Joined arrays whose channels come last in memory lie as these do, and are copied by what flattens them; in the
    block they would not be."""
    steps = {"cat": (nn.Cat(), "x", "x"), "flat": (nn.Flatten(1, 2), "cat")}
    steps |= {name: (nn.Conv1d(64, 64, 1, seed=i), "flat") for i, name in enumerate("ab")}
    network = nn.Graph(steps | {"end": (nn.Add(), "a", "b")})
    x = reals(np.random.default_rng(2), (1, 16, 16, 2), np.float32)
    for lain in (np.moveaxis(x, -1, 1), np.moveaxis(x, -1, 1).copy(), x.reshape(1, 2, 16, 16)):
        for _ in range(2):
            np.testing.assert_array_equal(network(lain), apart(network, lain))


def chain(**how):
    """Some layers whose outputs are large enough for places."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, activation="relu", seed=0, **how),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, seed=1, **how),
        nn.Flatten(2),
        nn.Softmax(1),
    )


def test_what_lies_in_one_block():
    x = np.ones((1, 3, 32, 32), np.float32)
    network = chain()
    network(x)
    (arena,) = network._arenas.values()
    assert set(arena.places) == {"0", "1"}  # what is flattened shares memory with what follows
    rooms = arena.rooms()
    assert len({id(a.base) for a in rooms.values()}) == 1
    assert rooms["0"].ctypes.data % 64 == 0


def test_outputs_that_are_joined_are_put_there():
    steps = {f"c{i}": (nn.Conv2d(4, 16, 1, seed=i), "x") for i in range(3)}
    steps |= {"cat": (nn.Cat(), *steps), "twice": (nn.Cat(), "cat", "c0"), "end": (nn.ReLU(), "twice")}
    network = nn.Graph(steps)
    x = np.ones((1, 4, 16, 16), np.float32)
    expected = network(x)
    (arena,) = network._arenas.values()
    at = {name: place[0] for name, place in arena.places.items()}
    assert [at[name] - at["twice"] for name in ("c0", "c1", "c2", "cat")] == [0, 2**14, 2**15, 0]
    assert arena.nbytes == 4 * 2**14
    np.testing.assert_array_equal(network(x), expected)


def test_what_is_joined_may_be_needed_for_longer():
    steps = {
        "a": (nn.Conv2d(4, 16, 1, seed=0), "x"),
        "cat": (nn.Cat(), "a", "a"),
        "b": (nn.Conv2d(32, 32, 1, seed=1), "cat"),
        "c": (nn.Conv2d(32, 16, 1, seed=2), "b"),
        "end": (nn.Add(), "c", "a"),
    }
    network = nn.Graph(steps)
    x = reals(np.random.default_rng(1), (1, 4, 16, 16), np.float32)
    expected = network(x)
    np.testing.assert_array_equal(network(x), expected)


@pytest.mark.parametrize("seed", range(8))
def test_places_are_apart_while_they_are_needed(seed):
    rng = np.random.default_rng(seed)
    network = random_graph(rng)
    steps, made = network._steps, {}
    network(np.ones((1, 8, 8, 16), np.float32))
    ((_, places),) = network._arenas.values()
    turn = {name: i for i, name in enumerate(steps)}
    for name, (_, inputs) in steps.items():
        for i in inputs:
            made[i] = turn[name]
    within = {i for layer, *inputs in steps.values() if isinstance(layer, nn.Cat) for i in inputs[0]}
    for a, b in itertools.combinations(places, 2):
        (p, m), (q, n) = places[a], places[b]
        meet = p < q + n.nbytes and q < p + m.nbytes
        alive = turn[a] <= made[b] and turn[b] <= made[a]
        assert not (meet and alive) or a in within or b in within


def test_threads_share_a_network():
    network = chain(threads=1)
    rng = np.random.default_rng(5)
    xs = [reals(rng, (1, 3, 32, 32), np.float32) for _ in range(8)]
    expected = [apart(network, x) for x in xs]
    with ThreadPoolExecutor(8) as pool:
        for y, e in zip(pool.map(network, xs * 12), expected * 12, strict=True):
            np.testing.assert_array_equal(y, e)


def test_layers_that_change_make_other_outputs():
    x = np.ones((1, 3, 32, 32), np.float32)
    network = nn.Sequential(nn.MaxPool2d(2, 1), nn.MaxPool2d(2, 1))
    assert network(x).shape == network(x).shape == (1, 3, 30, 30)
    network[0].how["stride"] = 2
    assert network(x).shape == network(x).shape == (1, 3, 15, 15)


def test_errors_are_those_of_layers():
    network = chain()
    x = np.ones((1, 3, 32, 32), np.float32)
    expected = network(x)
    weight = network[2].parameters()[0]
    right, weight.value = weight.value, np.ones((32, 5, 3, 3), np.float32)
    with pytest.raises(ValueError, match="channels") as raised:
        network(x)
    assert any("in layer '2'" in note for note in raised.value.__notes__)
    weight.value = right
    np.testing.assert_array_equal(network(x), expected)


def test_places_of_many_shapes_are_forgotten():
    network = nn.Sequential(nn.MaxPool2d(2, 1), nn.MaxPool2d(2, 1))
    for n in range(40, 60):
        x = np.arange(3.0 * n * n).reshape(1, 3, n, n)
        for _ in range(2):
            np.testing.assert_array_equal(network(x), x[..., 2:, 2:])
    assert 1 <= len(network._arenas) <= 16


@pytest.mark.parametrize("again", [copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))])
def test_copies_know_their_places(again):
    x = reals(np.random.default_rng(2), (1, 3, 32, 32), np.float32)
    network = chain()
    expected = network(x)
    other = again(network)
    for _ in range(2):
        np.testing.assert_array_equal(other(x), expected)


def test_sizes_are_packed():
    """Three of which two are there at a time take the room of two."""
    blocks = {"a": (4096, (0, 1)), "b": (4096, (1, 2)), "c": (4096, (2, 3)), "d": (100, (0, 3)), "e": (64, (0, 3))}
    at = arenas._packed(blocks)
    assert at["a"] == at["c"]
    assert max(at[name] + size for name, (size, _) in blocks.items()) == 8192 + 128 + 64
