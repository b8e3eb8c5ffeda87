# SPDX-License-Identifier: BSD-3-Clause
"""Just enough to learn with the layers of `fastconv.nn`: a fully connected layer, a loss, a list of layers, a trainer.

This is the lecture's, not a framework: what happens in a step can be read in one screen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv import nn
from fastconv.arguments.layer_geometry import check_size
from fastconv.arguments.values import as_count, as_flag, as_list, as_numbers, float_dtype, generator, native

__all__ = ["Dense", "Network", "NonFiniteLossError", "accuracy", "cross_entropy", "squared_error", "train"]

Array = NDArray[Any]
LEARNS = ("__call__", "forward", "backward", "parameters")  # the methods of a layer
Loss = Callable[[Array, Array], tuple[float, Array]]


class NonFiniteLossError(ArithmeticError):
    """The loss is NaN or infinite: training has left the numbers, most often because the rate is too high."""


class Learns(Protocol):
    """What a `Network` is made of: the layers of `fastconv.nn` and `Dense`."""

    def __call__(self, x: Any) -> Array: ...
    def forward(self, x: Any) -> Array: ...
    def backward(self, grad_output: Any, *, needs_input: bool = True) -> Array | None: ...
    def parameters(self) -> list[nn.Parameter]: ...


class Dense:
    """A fully connected layer ``y = x @ weight.T + bias``; x (N, ...) is flattened to (N, inputs).

    Parameters
    ----------
    inputs, units : int
    activation : {None, "relu"}
    dtype : {float16, float32, float64}
    seed : int or numpy.random.Generator, optional
        Weights and bias are uniform in +-1 / sqrt(inputs), as in `torch.nn.Linear`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.learning import Dense
    >>> Dense(12, 5, seed=0)(np.ones((2, 3, 4), np.float32)).shape
    (2, 5)
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        activation: str | None = None,
        *,
        dtype: DTypeLike = np.float32,
        seed: Any = None,
    ) -> None:
        if activation is not None and not (isinstance(activation, str) and activation == "relu"):
            raise ValueError(f"activation must be None or 'relu'; got {activation!r}")
        shape = as_count(units, "units"), as_count(inputs, "inputs")
        check_size(shape, "the weights' by units and inputs")
        rng, most, asked = generator(seed), 1 / math.sqrt(shape[1]), float_dtype(dtype)
        self.weight = nn.Parameter("weight", rng.uniform(-most, most, shape).astype(asked))
        self.bias = nn.Parameter("bias", rng.uniform(-most, most, shape[0]).astype(asked))
        self.activation = activation
        self._seen: tuple[Array, Array] | None = None

    def __call__(self, x: ArrayLike) -> Array:
        """The layer's output for x."""
        y: Array = self._flat(x) @ self.weight.value.T + self.bias.value
        return np.maximum(y, 0) if self.activation else y

    def _flat(self, x: ArrayLike) -> Array:
        a = _real(x, "x")
        inputs = self.weight.value.shape[1]
        if a.ndim < 2 or math.prod(a.shape[1:]) != inputs:
            raise ValueError(f"x must have shape (N, ...) with {inputs} elements each; got shape {a.shape}")
        return a.reshape(len(a), inputs)

    def forward(self, x: ArrayLike) -> Array:
        """The layer's output, with what `backward` needs remembered."""
        seen = _real(x, "x")
        y = self(seen)
        self._seen = seen, y
        return y

    def backward(self, grad_output: ArrayLike, *, needs_input: bool = True) -> Array | None:
        """The gradient of the last `forward`'s x; sets those of the parameters, in their dtype."""
        if self._seen is None:
            raise RuntimeError("backward() needs a forward(x) before each")
        x, y = self._seen
        grad, wanted = _real(grad_output, "grad_output"), as_flag(needs_input, "needs_input")
        if grad.shape != y.shape:
            raise ValueError(f"grad_output must have the output's shape {y.shape}; got {grad.shape}")
        self._seen = None
        grad = np.where(y > 0, grad, grad.dtype.type(0)) if self.activation else grad
        dtype = self.weight.value.dtype
        self.weight.grad = (grad.T @ self._flat(x)).astype(dtype, copy=False)
        self.bias.grad = grad.sum(0).astype(dtype, copy=False)
        return (grad @ self.weight.value).reshape(x.shape) if wanted else None

    def parameters(self) -> list[nn.Parameter]:
        """What is learned."""
        return [self.weight, self.bias]


class Network:
    """Layers, one after the other.

    Parameters
    ----------
    layers : iterable of layers
        Of `fastconv.nn`, `Dense`, or what else has their methods. None of them twice: each remembers one `forward`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> from fastconv.learning import Dense, Network
    >>> network = Network([nn.Conv2d(1, 4, 3, activation="relu", seed=0), Dense(4 * 6 * 6, 10, seed=1)])
    >>> network(np.ones((2, 1, 8, 8), np.float32)).shape, network.count_parameters()
    ((2, 10), 1490)
    """

    def __init__(self, layers: Iterable[Learns]) -> None:
        self.layers: list[Learns] = as_list(layers, "layers", "layers")
        for layer in self.layers:
            _learning(layer, "layers")
        if len({id(layer) for layer in self.layers}) < len(self.layers):
            raise ValueError(f"layers must not hold one twice, which remembers but one forward(x); got {self.layers}")

    def __call__(self, x: Array) -> Array:
        """The output for x."""
        for layer in self.layers:
            x = layer(x)
        return x

    def forward(self, x: Array) -> Array:
        """The output for x, remembered for `backward`."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, grad_output: Array) -> None:
        """Set the gradients of all parameters, last layer first."""
        grad: Array | None = grad_output
        for layer in reversed(self.layers):
            grad = layer.backward(grad, needs_input=layer is not self.layers[0])

    def parameters(self) -> list[nn.Parameter]:
        """Those of all layers."""
        return [p for layer in self.layers for p in layer.parameters()]

    def count_parameters(self) -> int:
        """How many numbers are learned."""
        return sum(p.value.size for p in self.parameters())


def _learning(value: Any, name: str) -> None:
    """Refuse what cannot learn."""
    if isinstance(value, type) or not all(callable(getattr(value, m, None)) for m in LEARNS):
        raise TypeError(f"{name} must have the methods {', '.join(LEARNS)}; got {value!r}")


def _real(value: ArrayLike, name: str) -> Array:
    """An array of floats, or of integers."""
    array = as_numbers(value, name)
    if array.dtype.kind == "c":
        raise TypeError(f"{name} has dtype {array.dtype}; floats, integers and bools are accepted")
    return native(array)


def _labels(value: ArrayLike, scores: Array) -> NDArray[np.intp]:
    """Which column of the scores is right in each row."""
    labels, (rows, classes) = as_numbers(value, "labels"), scores.shape
    if labels.dtype.kind not in "biu":
        raise TypeError(f"labels must be integers, one for each row of scores; got dtype {labels.dtype}")
    if labels.shape != (rows,):
        raise ValueError(f"labels must have one for each row of scores, {scores.shape}; got shape {labels.shape}")
    if rows and (labels.min() < 0 or labels.max() >= classes):
        raise ValueError(f"labels must lie from 0 to {classes - 1}; got {labels.min()} to {labels.max()}")
    return labels.astype(np.intp, copy=False)


def cross_entropy(scores: ArrayLike, labels: ArrayLike) -> tuple[float, Array]:
    """The mean of ``-log softmax(scores)[label]``, and its gradient ``(softmax - one_hot) / N``.

    Parameters
    ----------
    scores : array_like, shape (N, classes)
        Floats; integers are taken as float64.
    labels : array_like of int, shape (N,)
        From 0 to classes - 1.

    Raises
    ------
    ValueError, TypeError
        No scores; labels out of range, as many as no rows, or no integers.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.learning import cross_entropy
    >>> loss, gradient = cross_entropy(np.zeros((1, 2)), np.array([0]))
    >>> round(loss, 4), gradient
    (0.6931, array([[-0.5,  0.5]]))
    """
    given = _real(scores, "scores")
    if given.ndim != 2 or given.size == 0:
        raise ValueError(f"scores must have shape (N, classes) and not be empty; got shape {given.shape}")
    columns = _labels(labels, given)
    given = given if given.dtype.kind == "f" else given.astype(np.float64)
    shifted = given - given.max(1, keepdims=True)
    exps = np.exp(shifted)
    totals = exps.sum(1, keepdims=True)
    rows = np.arange(len(columns))
    loss = float(np.mean(np.log(totals[:, 0]) - shifted[rows, columns]))
    gradient = exps / totals
    gradient[rows, columns] -= 1
    gradient /= len(columns)
    return loss, gradient


def squared_error(y: ArrayLike, target: ArrayLike) -> tuple[float, Array]:
    """The mean of ``(y - target)**2`` and its gradient.

    Parameters
    ----------
    y, target : array_like
        Of one shape. The gradient has y's dtype; integers are taken as float64.

    Raises
    ------
    ValueError, TypeError
        Other shapes, none, or not of real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.learning import squared_error
    >>> squared_error(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    (2.0, array([0., 2.]))
    """
    outputs, wanted = _real(y, "y"), _real(target, "target")
    if outputs.size == 0:
        raise ValueError(f"y must not be empty; got shape {outputs.shape}")
    if outputs.shape != wanted.shape:
        raise ValueError(f"target must have y's shape {outputs.shape}; got {wanted.shape}")
    dtype = outputs.dtype if outputs.dtype.kind == "f" else np.dtype(np.float64)
    wide = np.result_type(dtype, wanted.dtype, np.float32)
    difference = np.subtract(outputs, wanted, dtype=wide)
    return float(np.mean(difference**2)), (difference * (2 / difference.size)).astype(dtype, copy=False)


def train(
    network: Network,
    x: ArrayLike,
    target: ArrayLike,
    loss: Loss = cross_entropy,
    *,
    epochs: int = 10,
    batch: int | None = None,
    lr: float = 0.1,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    cool: bool = False,
    seed: Any = 0,
) -> list[float]:
    """Stochastic gradient descent: the mean loss of every epoch.

    Parameters
    ----------
    network : Network
    x, target : array_like, shape (N, ...)
        Examples and what is wanted of them.
    loss : callable
        Of outputs and targets: the loss and its gradient.
    epochs : int
        How often every example is seen.
    batch : int, optional
        Examples a step; all by default.
    lr, momentum, weight_decay : float
        As for `nn.SGD`.
    cool : bool
        Lower the rate to zero along half a cosine (Loshchilov and Hutter, SGDR, 2017).
    seed : int or numpy.random.Generator
        Of the order of the examples.

    Raises
    ------
    ValueError, TypeError
        No examples, or not as many targets; epochs or batch too small; parameters that cannot be written to; arguments
        of other types.
    NonFiniteLossError
        The loss is NaN or infinite; it says in which epoch and step. That step is not taken.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> from fastconv.learning import Network, squared_error, train
    >>> edge = nn.Conv1d(1, 1, 2, bias=False, dtype=np.float64, seed=0)
    >>> x = np.array([[[0.0, 0.0, 1.0, 1.0, 0.0]]])
    >>> losses = train(Network([edge]), x, np.diff(x), squared_error, epochs=60, lr=0.3)
    >>> edge.weight.round(2)
    array([[[-0.98,  0.98]]])
    """
    _learning(network, "network")
    if not callable(loss):
        raise TypeError(f"loss must be a function of outputs and targets; got {loss!r}")
    inputs, wanted, cools = as_numbers(x, "x"), as_numbers(target, "target"), as_flag(cool, "cool")
    for name, a in ("x", inputs), ("target", wanted):
        if a.ndim == 0:
            raise ValueError(f"{name} must have an axis of examples; got {a!r}")
    count, rounds = len(inputs), as_count(epochs, "epochs", least=0)
    if len(wanted) != count:
        raise ValueError(f"target must have one for each of the {count} examples in x; got {len(wanted)}")
    size = as_count(count if batch is None else batch, "batch")
    rng = generator(seed)
    optimiser = nn.SGD(network.parameters(), lr, momentum, weight_decay)
    most = optimiser.lr
    steps = -(-count // size)
    losses = []
    for epoch in range(rounds):
        order = rng.permutation(count) if steps > 1 else np.arange(count)
        total = 0.0
        for step in range(steps):
            some = order[step * size : (step + 1) * size]
            if cools:
                optimiser.lr = most / 2 * (1 + math.cos(math.pi * (epoch * steps + step) / (rounds * steps)))
            with np.errstate(over="ignore", invalid="ignore"):
                value, gradient = loss(network.forward(inputs[some]), wanted[some])
            if not math.isfinite(value):
                raise NonFiniteLossError(
                    f"the loss is {value} in epoch {epoch}, step {step}; a lower lr than {lr} may help"
                )
            network.backward(gradient)
            optimiser.step()
            total += value * len(some)
        losses.append(total / count)
    return losses


def accuracy(network: Callable[[Array], Array], x: ArrayLike, labels: ArrayLike) -> float:
    """The part of the examples whose largest score is that of their label.

    Parameters
    ----------
    network : Network
        Or what else makes scores (N, classes) of x.
    x : array_like, shape (N, ...)
    labels : array_like of int, shape (N,)
        From 0 to classes - 1.

    Raises
    ------
    ValueError, TypeError
        No examples; labels out of range, as many as no examples, or no integers.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.learning import Dense, Network, accuracy
    >>> layer = Dense(2, 2, seed=0)
    >>> layer.weight.value[:], layer.bias.value[:] = np.eye(2), 0
    >>> accuracy(Network([layer]), np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 0]))
    0.5
    """
    if not callable(network) or isinstance(network, type):
        raise TypeError(f"network must be a Network; got {network!r}")
    scores = _real(network(as_numbers(x, "x")), "network's result")
    if scores.ndim != 2 or scores.size == 0:
        raise ValueError(f"network must give scores (N, classes) for x, and some; got shape {scores.shape}")
    return float(np.mean(scores.argmax(1) == _labels(labels, scores)))
