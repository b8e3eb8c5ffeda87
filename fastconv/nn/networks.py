# SPDX-License-Identifier: BSD-3-Clause
"""Layers that make a network: one after the other, or each after those that it names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments.layer_geometry import check_size
from fastconv.arguments.values import as_flag, as_real, as_size
from fastconv.nn.activations import Identity
from fastconv.nn.arenas import Arena, Output, arena_of
from fastconv.nn.bfloat16 import takes_bfloat16
from fastconv.nn.bottlenecks import with_bottlenecks
from fastconv.nn.merging import Add, ConvAdd, Merge
from fastconv.nn.module import Module, options_of, restored
from fastconv.nn.optim import Parameter

__all__ = ["Graph", "Sequential"]

Array = NDArray[Any]
INPUT = "x"  # the name of what a network is given
MOST_SHAPES = 16  # of x, for which a network knows where its outputs lie
Steps = dict[str, tuple[Module, tuple[str, ...]]]  # layers by name, and the names of what each takes


class Graph(Module):
    """Layers with names, each of which takes the outputs of layers before it; the last one's is the network's.

    Parameters
    ----------
    steps : mapping of str to tuple
        Of each layer, in order: the layer and the names of what it takes; "x" is what the network is given. A network
        among them is taken apart, and its layers have two names with a dot between.

    Raises
    ------
    ValueError, TypeError
        A name that is not known before it is used, or not used; a layer there twice, which remembers one `forward`.

    Examples
    --------
    A residual network (He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, 2016) of one block:

    >>> import numpy as np
    >>> from fastconv import nn
    >>> block = nn.Graph(
    ...     {
    ...         "conv": (nn.Conv2d(2, 2, 3, padding=1, seed=0), "x"),
    ...         "add": (nn.Add(), "conv", "x"),
    ...         "relu": (nn.ReLU(), "add"),
    ...     }
    ... )
    >>> block(np.ones((1, 2, 5, 5), np.float32)).shape
    (1, 2, 5, 5)
    """

    def __init__(self, steps: Mapping[str, tuple[Any, ...]]) -> None:
        if not isinstance(steps, Mapping):
            raise TypeError(f"steps must be a mapping of names to layers and what they take; got {steps!r}")
        self._lay(_flat(steps))

    def _lay(self, steps: Steps) -> None:
        """Take these steps, and find out which outputs each is the last to take."""
        last = {taken: name for name, (_, inputs) in steps.items() for taken in inputs}
        if unused := [name for name in list(steps)[:-1] if name not in last]:
            raise ValueError(f"steps: the output of {unused[0]!r} is not used")
        layers = [layer for layer, _ in steps.values()]
        if len({id(layer) for layer in layers}) < len(layers):
            raise ValueError(f"layers must not be there twice, as each remembers but one forward(x); got {layers}")
        self._steps = steps
        self._arenas: dict[tuple[Any, ...], Arena] = {}  # which other threads may clear
        self._done = {name: [i for i in set(inputs) if last[i] == name] for name, (_, inputs) in steps.items()}

    @property
    def layers(self) -> list[Module]:
        """In the order in which they are computed."""
        return [layer for layer, _ in self._steps.values()]

    def __getitem__(self, name: str | int) -> Module:
        """A layer by its name or number."""
        return self._steps[name][0] if isinstance(name, str) else self.layers[name]

    def __len__(self) -> int:
        return len(self._steps)

    def _run(self, x: ArrayLike, compute: Callable[[str, Module, list[Any]], Array]) -> Array:
        """The last output; each is kept as long as it is needed. compute: of a step's name, layer and inputs."""
        kept: dict[str, Any] = {INPUT: as_real(x, "x")}
        name = INPUT
        for name, (layer, inputs) in self._steps.items():
            try:
                kept[name] = compute(name, layer, [kept[i] for i in inputs])
            except Exception as error:
                error.add_note(f"in layer {name!r} of a network, {layer!r}")
                raise
            for i in self._done[name]:
                del kept[i]
        y: Array = kept[name]
        return y

    @takes_bfloat16
    def __call__(self, x: ArrayLike) -> Array:
        """The output for x. From the second call on for arrays of its shape, what lies between the layers lies in one
        block of memory."""
        a = as_real(x, "x")
        asked = a.shape, a.dtype
        arena = self._arenas.get(asked)
        if arena is None:
            return self._noted(a)
        rooms = arena.rooms()

        def compute(name: str, layer: Module, inputs: list[Any]) -> Array:
            room = rooms.pop(name, None)
            if room is not None:
                try:
                    return layer._into(room, *inputs)
                except (ValueError, TypeError):  # does it make another output now?
                    self._arenas.pop(asked, None)
            return layer(*inputs)

        return self._run(a, compute)

    def _noted(self, x: Array) -> Array:
        """The output for x, with the places of outputs for arrays of its shape remembered."""
        made = {INPUT: Output.of(x)}

        def compute(name: str, layer: Module, inputs: list[Any]) -> Array:
            y = layer(*inputs)
            made[name] = Output.of(y, self._steps[name][1], inputs)
            return y

        y = self._run(x, compute)
        if len(self._arenas) >= MOST_SHAPES:
            self._arenas.clear()
        self._arenas[x.shape, x.dtype] = arena_of(self._steps, made)
        return y

    @takes_bfloat16
    def forward(self, x: ArrayLike) -> Array:
        """The output for x, remembered for `backward`."""
        return self._run(x, lambda _, layer, inputs: layer.forward(*inputs))

    @takes_bfloat16
    def backward(self, grad_output: ArrayLike, *, needs_input: bool = True) -> Array | None:
        """Set the gradients of all parameters, last layer first; that of x is returned if it is asked for."""
        learns = {INPUT: as_flag(needs_input, "needs_input")}  # whether an output's gradient is of use
        for name, (layer, inputs) in self._steps.items():
            learns[name] = bool(layer.parameters()) or any(learns[i] for i in inputs)
        name = next(reversed(self._steps), INPUT)
        gradients: dict[str, Any] = {name: as_real(grad_output, "grad_output")}
        for name, (layer, inputs) in reversed(self._steps.items()):
            if not learns[name]:
                continue
            found: Any = layer.backward(gradients.pop(name), needs_input=any(learns[i] for i in inputs))
            for i, g in zip(inputs, found if isinstance(layer, Merge) else (found,), strict=True):
                if learns[i]:
                    gradients[i] = gradients[i] + g if i in gradients else g
        return gradients[INPUT] if learns[INPUT] else None

    def parameters(self) -> list[Parameter]:
        """Those of all layers."""
        return [p for layer in self.layers for p in layer.parameters()]

    def _state(self) -> dict[str, Parameter]:
        return {f"{name}.{key}": p for name, (layer, _) in self._steps.items() for key, p in layer._state().items()}

    def folded(self) -> Self:
        """A network that gives the same with fewer layers, to be used, not trained: batch normalisation, activations
        and sums of two are taken into the convolutions before them, where nothing else takes their outputs.

        The weights of a convolution are multiplied by what the normalisation multiplies its outputs by, in float64, and
        rounded once: results differ by rounding. Activations change no bit. Three convolutions that make many channels
        of few, with a kernel for each, and few of many, become one pass. Its results differ by rounding, too; it keeps
        its weights once more. Layers that take in nothing are shared with this network; when its weights change, it is
        to be folded again.

        Examples
        --------
        >>> from fastconv import nn
        >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout())
        >>> len(network.folded())
        1
        """
        return self._of(with_bottlenecks(_merged(_without_identities(self._steps))))

    def summary(self, x_shape: Sequence[int]) -> str:
        """The table of `repr` with the shapes of all outputs for zeros of this shape, which the network is run on."""
        shape = as_size(x_shape, "x_shape")
        check_size(shape, "x by x_shape")
        dtype = next((p.value.dtype for p in self.parameters()), np.dtype(np.float32))
        shapes: list[tuple[int, ...]] = []

        def noted(_: str, layer: Module, inputs: list[Any]) -> Array:
            y = layer(*inputs)
            shapes.append(y.shape)
            return y

        self._run(np.zeros(shape, dtype), noted)
        return self._table(shapes)

    def _rows(self, shapes: Sequence[tuple[int, ...]] = ()) -> list[tuple[str, str, str, str]]:
        """Names, layers, the shapes of what they hold or put out, and how many numbers they learn; a head first."""
        rows = [("", "", "output" if shapes else "weight", "parameters")]
        for i, (name, (layer, inputs)) in enumerate(self._steps.items()):
            takes = "" if self._is_chain else f" of {', '.join(inputs)}"
            held = shapes[i] if shapes else getattr(layer, "weight", None)
            shape = held if isinstance(held, tuple) else "" if held is None else held.shape
            rows.append((name, f"{layer!r}{takes}", str(shape), f"{layer.count_parameters():,}"))
        return rows

    def _title(self) -> str:
        return f"{type(self).__name__} of {len(self)} layers, {self.count_parameters():,} parameters"

    def _table(self, shapes: Sequence[tuple[int, ...]] = ()) -> str:
        rows = self._rows(shapes)
        a, b, c, d = (max(map(len, column)) for column in zip(*rows, strict=True))
        return "\n".join(
            [self._title(), *(f"  {n:{a}}  {layer:{b}}  {shape:{c}}  {count:>{d}}" for n, layer, shape, count in rows)]
        )

    @property
    def _is_chain(self) -> bool:
        names = [INPUT, *self._steps]
        return all(inputs == (before,) for before, (_, inputs) in zip(names, self._steps.values(), strict=False))

    def __repr__(self) -> str:
        return self._table()

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from fastconv.tables import html_table

        head, *rows = self._rows()
        return html_table(rows, head, self._title())

    @classmethod
    def _of(cls, steps: Steps) -> Self:
        network = cls.__new__(cls)
        network._lay(steps)
        return network

    def _options(self) -> dict[str, Any]:
        return {"steps": [[name, options_of(layer), inputs] for name, (layer, inputs) in self._steps.items()]}

    @classmethod
    def _restored(cls, options: dict[str, Any], arrays: dict[str, Any], engine: dict[str, Any]) -> Self:
        own: dict[str, dict[str, Array]] = {}
        for name, array in arrays.items():
            step, _, key = name.rpartition(".")
            own.setdefault(step, {})[key] = array
        steps: dict[str, tuple[Any, ...]] = {}
        for name, how, inputs in options["steps"]:
            steps[name] = restored(Module, how, own.pop(name, {}), engine), *inputs
        if own:
            raise ValueError(f"it has arrays of {', '.join(own)}, which are no steps")
        return cls._of(_flat(steps))


class Sequential(Graph):
    """Layers, one after the other; named "0", "1" and so on, or as the keys of a mapping.

    None of them may be there twice: each remembers one `forward`. ``repr(network)`` tables the layers and their
    parameters, `summary` the shapes of their outputs, too.

    Examples
    --------
    LeNet (LeCun, Bottou, Bengio and Haffner, Gradient-Based Learning Applied to Document Recognition, 1998), with the
    activations and the pooling of today:

    >>> import numpy as np
    >>> from fastconv import nn
    >>> network = nn.Sequential(
    ...     nn.Conv2d(1, 6, 5, padding=2, activation="relu", seed=0),
    ...     nn.MaxPool2d(2),
    ...     nn.Conv2d(6, 16, 5, activation="relu", seed=1),
    ...     nn.MaxPool2d(2),
    ...     nn.Flatten(),
    ...     nn.Linear(400, 120, seed=2),
    ...     nn.ReLU(),
    ...     nn.Linear(120, 10, seed=3),
    ... )
    >>> network(np.ones((2, 1, 28, 28), np.float32)).shape, network.count_parameters()
    ((2, 10), 51902)
    >>> print(nn.Sequential(nn.Linear(3, 2), nn.ReLU()).summary((1, 3)))
    Sequential of 2 layers, 8 parameters
                                                   output  parameters
      0  Linear(3, 2, bias=True, dtype=float32)    (1, 2)           8
      1  ReLU()                                    (1, 2)           0
    """

    def __init__(self, *layers: Module | Mapping[str, Module]) -> None:
        named: Mapping[Any, Any]
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            named = layers[0]
        else:
            named = {str(i): layer for i, layer in enumerate(layers)}
        self._lay(_flat({name: (layer, before) for before, (name, layer) in zip([INPUT, *named], named.items())}))


def _flat(steps: Mapping[str, tuple[Any, ...]]) -> Steps:
    """Steps with those of networks among them in their place."""
    flat: Steps = {}
    names = {INPUT: INPUT}
    for name, step in steps.items():
        if not isinstance(name, str) or name in ("", INPUT):
            raise ValueError(f"layers and steps must have names, strings other than {INPUT!r}; got {name!r}")
        layer, *inputs = step if isinstance(step, (tuple, list)) and step else (step,)
        if not isinstance(layer, Module):
            raise TypeError(f"layers, or the first of steps, must be of type nn.Module; got {layer!r} for {name!r}")
        for i in inputs:
            if not isinstance(i, str) or i not in names:
                raise ValueError(f"steps: {name!r} takes {i!r}, which is not the name of a step before it")
        if len(inputs) != 1 and not (inputs and isinstance(layer, Merge)):
            raise ValueError(f"steps: {name!r} must take one output; got {len(inputs)}")
        now = tuple(names[i] for i in inputs)
        parts: Steps = {name: (layer, now)}
        names[name] = name
        if isinstance(layer, Graph):
            own = {INPUT: now[0]} | {inner: f"{name}.{inner}" for inner in layer._steps}
            parts = {own[i]: (part, tuple(own[j] for j in taken)) for i, (part, taken) in layer._steps.items()}
            names[name] = next(reversed(own.values()))
        if twice := flat.keys() & parts.keys():
            raise ValueError(f"layers must not have a name twice; got {twice}")
        flat |= parts
    return flat


def _without_identities(steps: Steps) -> Steps:
    """Steps without those that do nothing where nothing is trained."""
    kept: Steps = {}
    names = {INPUT: INPUT}  # of what gives the output of a step now
    for name, (layer, inputs) in steps.items():
        now = tuple(names[i] for i in inputs)
        names[name] = now[0] if isinstance(layer, Identity) else name
        if not isinstance(layer, Identity):
            kept[name] = layer, now
    return kept


def _merged(steps: Steps) -> Steps:
    """Steps with each layer taken into one before it that can and that nothing else takes the output of."""
    uses = Counter(i for _, inputs in steps.values() for i in inputs)
    made: Steps = {}
    names = {INPUT: INPUT}
    for name, (layer, inputs) in steps.items():
        now = tuple(names[i] for i in inputs)
        names[name] = name
        for i, before in zip(inputs, now, strict=True):
            whole = _whole(made[before][0], layer, len(inputs)) if before != INPUT and uses[i] == 1 else None
            if whole is not None:
                others = tuple(n for n in now if n != before)
                made[before] = whole, (*made.pop(before)[1], *others)  # behind the others
                names[name] = before
                break
        else:
            made[name] = layer, now
    return made


def _whole(before: Module, after: Module, takes: int) -> Module | None:
    """Both layers as one; None: there is none. takes: how many outputs the second one does."""
    if isinstance(after, Add):
        return ConvAdd(before) if takes == 2 and before.adds and before.activation is None else None
    return before._with(after)
