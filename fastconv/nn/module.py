# SPDX-License-Identifier: BSD-3-Clause
"""What all layers have in common: parameters and their names, and what `backward` needs of a `forward`."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any, BinaryIO, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments.values import as_flag, as_own_numbers, as_real
from fastconv.nn.bfloat16 import takes_bfloat16
from fastconv.nn.files import read_layer, write_layer
from fastconv.nn.functional import Engine
from fastconv.nn.optim import Parameter
from fastconv.typing import Accuracy, Activation, Layout

__all__ = ["Module"]

Array = NDArray[Any]
UNUSED = "num_batches_tracked"  # PyTorch counts steps under this name; nothing here depends on it


class Module:
    """What layers and networks have in common. ``layer(x)`` is the output; nothing is remembered.

    To train, ``y = layer.forward(x)``, then ``layer.backward(grad_y)``, which sets the gradients of `parameters()`.
    A layer of one's own has `__call__` and, if it is to learn, `gradient`; with parameters, `parameters()`, too.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> class Square(nn.Module):
    ...     def __call__(self, x):
    ...         return x * x
    ...     def gradient(self, x, grad, needs_input):
    ...         return 2 * x * grad
    >>> nn.Sequential(nn.Flatten(), Square())(np.array([[[1.0, 2.0], [3.0, 4.0]]]))
    array([[ 1.,  4.,  9., 16.]])
    """

    _classes: ClassVar[dict[str, type[Module]]] = {}  # what a file may name
    _seen: tuple[Any, ...] | None = None  # by the last forward

    def __init_subclass__(cls) -> None:
        if cls.__module__.startswith("fastconv."):
            Module._classes[cls.__name__] = cls

    def __call__(self, *args: Any, **kwargs: Any) -> Array:
        """The output."""
        raise NotImplementedError(f"{type(self).__name__} has no __call__")

    def gradient(self, x: Array, grad: Array, needs_input: bool) -> Array | None:
        """The gradient of x, given that of the output: what a layer of one's own has for `backward`, which calls it.

        Parameters
        ----------
        x : ndarray
            What the last `forward` was given.
        grad : ndarray
            The gradient of the output, of its shape.
        needs_input : bool
            False: None may be returned.

        Returns
        -------
        ndarray or None
            Of x's shape. The `grad` of every parameter is set.
        """
        raise NotImplementedError(f"{type(self).__name__} has no gradient")

    @takes_bfloat16
    def forward(self, x: ArrayLike) -> Array:
        """The output for x, with what `backward` needs remembered: x itself, which must not change until then."""
        seen = as_real(x, "x")
        y = self(seen)
        self._seen = seen, y.shape
        return y

    @takes_bfloat16
    def backward(self, grad_output: ArrayLike, *, needs_input: bool = True) -> Array | None:
        """The gradient of the last `forward`'s x, given that of its output; sets the `grad` of every parameter.

        Parameters
        ----------
        grad_output : array_like
            Of the output's shape.
        needs_input : bool
            False: None may be returned, which saves work in the first layer of a network.

        Raises
        ------
        RuntimeError
            There was no `forward` since the last `backward`.
        ValueError, TypeError
            grad_output is of another shape, or not of numbers. No `grad` is set then.
        """
        if self._seen is None:
            raise RuntimeError("backward() needs a forward(x) before each; layer(x) remembers nothing")
        x, shape, *_ = self._seen
        grad, needs = as_real(grad_output, "grad_output"), as_flag(needs_input, "needs_input")
        if grad.shape != shape:
            raise ValueError(f"grad_output must have the output's shape {shape}; got {grad.shape}")
        result = self.gradient(x, grad, needs)
        self._seen = None
        return result

    # ---- what is kept ----------------------------------------------------------------------------

    def parameters(self) -> list[Parameter]:
        """What is learned."""
        return []

    def count_parameters(self) -> int:
        """How many numbers are learned."""
        return sum(p.value.size for p in self.parameters())

    def _state(self) -> dict[str, Parameter]:
        """What a file keeps, by name: parameters, and what else is measured in training."""
        return {p.name: p for p in self.parameters()}

    def state_dict(self) -> dict[str, Array]:
        """The arrays that the layer has, by the names that PyTorch gives them. No copies."""
        return {name: p.value for name, p in self._state().items()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Take copies of these arrays: all, or none where one is missing, too many or of another shape.

        Parameters
        ----------
        state : mapping of str to array_like
            As `state_dict`, `nn.read_weights` or a PyTorch module's `state_dict` have them; PyTorch's
            `num_batches_tracked` is passed over. bfloat16 becomes float32.

        Raises
        ------
        ValueError, TypeError
            It says which array is the first of those that do not fit.
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"state must be a mapping of names to arrays; got {type(state).__name__}")
        own = self._state()
        given = {name: value for name, value in state.items() if str(name).rpartition(".")[2] != UNUSED}
        for what, names in (("lacks", own.keys() - given.keys()), ("must not have", given.keys() - own.keys())):
            if names:
                raise ValueError(f"state {what} {_listed(sorted(map(str, names)))}")
        new = {name: like(own[name].value, value, f"state[{name!r}]") for name, value in given.items()}
        for name, value in new.items():
            own[name].value = value

    def refresh(self) -> None:
        """See what was written to elements of `weight` and other arrays.

        A convolution that computes with fewer products (`accuracy`) makes values of its weights once, which take about
        1.8 times their memory, or 4 times if it is "fast" (of 3x3 taps; up to 4 and 9 times of others; of float16 8 to
        18 times); one that transforms large kernels keeps their spectra, two numbers for every two elements of a tile,
        for up to four sizes of tiles. They are made anew when weights are assigned or an optimiser takes a step. Of
        what is written to elements of an array in another way the layer has to be told; else its output is that of the
        former weights.
        """
        for p in self._state().values():
            p.changes += 1

    # ---- files -----------------------------------------------------------------------------------

    def _options(self) -> dict[str, Any]:
        """The arguments to make it again by `_restored`, as JSON has them."""
        return {}

    def save(self, file: str | os.PathLike[str] | BinaryIO) -> None:
        """Write arrays and options to a file in NumPy's .npz format: to a path as a whole or not at all, or to an open
        file. A class of one's own can be loaded by its own `load`; a network with such layers in it raises TypeError.
        """
        write_layer(file, options_of(self, type(self)), self.state_dict())

    @classmethod
    def load(
        cls,
        file: str | os.PathLike[str] | BinaryIO,
        *,
        accuracy: Accuracy = "default",
        threads: int | None = None,
    ) -> Self:
        """The layer or network that was saved to a path or an open file; nothing in it is executed.

        accuracy and threads are for the convolutions in it.

        Raises
        ------
        ValueError
            The file is damaged, or none that a layer of this class was saved to.
        OSError, MemoryError
            It cannot be read.
        """
        return read_layer(
            file, cls.__name__, lambda o, a: restored(cls, o, a, {"accuracy": accuracy, "threads": threads})
        )

    @classmethod
    def _restored(cls, options: dict[str, Any], arrays: dict[str, Any], engine: dict[str, Any]) -> Self:
        layer = cls(**options)
        layer.load_state_dict(arrays)
        return layer

    # ---- folding ---------------------------------------------------------------------------------

    adds: ClassVar[bool] = False  # whether __call__ takes add=
    fills: ClassVar[bool] = False  # whether it has _into
    rank: ClassVar[int] = 0  # axes that windows slide along
    layout: Layout | None = None
    activation: Activation = None  # that the layer is, or ends with

    def _into(self, out: Array, *xs: Any) -> Array:
        """The output, in `out`, which has its shape and dtype."""
        return self(*xs, out=out)

    def _affine(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """A factor and a summand for each channel, if the layer is nothing else."""
        return None

    def _with(self, after: Module) -> Module | None:
        """This layer and the one behind it as one that gives the same; None: there is none."""
        return None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._options().items())})"


Kind = TypeVar("Kind", bound=Module)


def restored(cls: type[Kind], options: dict[str, Any], arrays: dict[str, Any], engine: dict[str, Any]) -> Kind:
    """A layer of this class of what a file says."""
    name = options.pop("class")
    found = {cls.__name__: cls}.get(name, Module._classes.get(name, Module))
    if not issubclass(found, cls) or found is Module:
        raise ValueError(f"its options are those of {name!r}, which is no {cls.__name__}")
    return found._restored(options, arrays, engine)


def is_known(layer: Module) -> bool:
    """Whether it is a layer of this package, which files can name and which keeps nothing of its inputs."""
    return Module._classes.get(type(layer).__name__) is type(layer)


def options_of(layer: Module, own: type[Module] | None = None) -> dict[str, Any]:
    """What a file says of a layer. own: a class that it may have beside those of fastconv."""
    cls = type(layer)
    if cls is not own and not is_known(layer):
        raise TypeError(f"{layer!r} is of a class of its own, {cls.__qualname__}, which no file can name")
    return {"class": cls.__name__} | layer._options()


def asked_of(engine: Engine) -> dict[str, Any]:
    """The arguments that ask for an engine."""
    return {"accuracy": engine.accuracy, "threads": engine.threads or None}


class Activated(Module):
    """A layer that is but an activation that others may end with."""


class Weighted(Module):
    """A layer with a weight and maybe a bias."""

    _weight: Parameter
    _bias: Parameter | None

    def _hold(self, weight: Array, bias: Array | None) -> None:
        self._weight = Parameter("weight", np.ascontiguousarray(weight))
        self._bias = None if bias is None else Parameter("bias", bias)

    @property
    def weight(self) -> Array:
        """The weights. Others of their shape may be assigned. What is written to some of them needs `refresh`, unless a
        step of an optimiser does it."""
        return self._weight.value

    @weight.setter
    def weight(self, value: ArrayLike) -> None:
        self._weight.value = like(self._weight.value, value, "weight")

    @property
    def bias(self) -> Array | None:
        """One number for each output, like `weight`; None: there is none."""
        return None if self._bias is None else self._bias.value

    @bias.setter
    def bias(self, value: ArrayLike) -> None:
        if self._bias is None:
            raise ValueError("bias cannot be set: this layer was made without")
        self._bias.value = like(self._bias.value, value, "bias")

    def _scaled(self, scale: NDArray[np.float64]) -> NDArray[np.float64]:
        """The weight with every output's channel times a number."""
        return np.multiply(scale.reshape(-1, *(1,) * (self.weight.ndim - 1)), self.weight, dtype=np.float64)

    def _again(self, weight: Array, bias: Array | None, activation: Activation) -> Self | None:
        """A layer like this one with others; None: it takes no activation."""
        return None

    def _with(self, after: Module) -> Module | None:
        if self.activation is not None:
            return None
        if isinstance(after, Activated):
            return self._again(self.weight, self.bias, after.activation)
        if after.rank != self.rank or after.layout != self.layout or (affine := after._affine()) is None:
            return None
        scale, shift = affine
        bias, dtype = shift if self.bias is None else scale * self.bias + shift, self.weight.dtype
        with np.errstate(over="ignore"):
            made = self._scaled(scale).astype(dtype), bias.astype(dtype)
        if not all(np.isfinite(a).all() for a in made):  # they do not fit into the dtype, or never were
            return None
        return self._again(*made, after.activation)

    def parameters(self) -> list[Parameter]:
        """What is learned: weight, and bias if there is one."""
        return [self._weight] if self._bias is None else [self._weight, self._bias]


def like(old: Array, value: ArrayLike, name: str) -> Array:
    """A copy of value in the place of another array: of its shape and dtype."""
    new = as_own_numbers(value, name)
    if new.shape != old.shape:
        raise ValueError(f"{name} must have shape {old.shape}; got {new.shape}")
    if not np.can_cast(new.dtype, old.dtype, "same_kind"):
        raise TypeError(f"{name} must be of {old.dtype}; got dtype {new.dtype}")
    return new.astype(old.dtype, copy=False)


def passed(y: Array, low: float, high: float) -> NDArray[np.bool]:
    """Which outputs a clamp left alone: infinite bounds cut nothing off, and NaN is no more than NaN."""
    cut: NDArray[np.bool] = np.asarray(y <= low) if low > -math.inf else np.zeros(y.shape, bool)
    if high < math.inf:
        cut |= y >= high
    return np.logical_not(cut, cut)


def masked(grad: Array, mask: NDArray[np.bool]) -> Array:
    """grad where the mask is set, else zero, whatever is there: `numpy.where`, but ten times as fast."""
    bits = mask.astype(f"i{grad.itemsize}")
    np.negative(bits, bits)
    result: Array = np.bitwise_and(bits, grad.view(bits.dtype), bits).view(grad.dtype)
    return result


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
