# SPDX-License-Identifier: BSD-3-Clause
"""Just enough to learn with the layers of `fastconv.nn`: a fully connected layer, a loss, a list of layers, a trainer.

This is the lecture's, not a framework: what happens in a step can be read in one screen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv import nn

__all__ = ["Dense", "Network", "NonFiniteLossError", "accuracy", "cross_entropy", "squared_error", "train"]

Array = NDArray[Any]
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
    dtype : dtype
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
        if activation not in (None, "relu"):
            raise ValueError(f"activation must be None or 'relu'; got {activation!r}")
        rng, most = np.random.default_rng(seed), 1 / math.sqrt(inputs)
        self.weight = nn.Parameter("weight", rng.uniform(-most, most, (units, inputs)).astype(dtype))
        self.bias = nn.Parameter("bias", rng.uniform(-most, most, units).astype(dtype))
        self.activation = activation
        self._seen: tuple[Array, Array] | None = None

    def __call__(self, x: ArrayLike) -> Array:
        """The layer's output for x."""
        y: Array = self._flat(x) @ self.weight.value.T + self.bias.value
        return np.maximum(y, 0) if self.activation else y

    def _flat(self, x: ArrayLike) -> Array:
        a = np.asarray(x)
        inputs = self.weight.value.shape[1]
        if a.ndim < 2 or math.prod(a.shape[1:]) != inputs:
            raise ValueError(f"x must have shape (N, ...) with {inputs} elements each; got shape {a.shape}")
        return a.reshape(len(a), -1)

    def forward(self, x: ArrayLike) -> Array:
        """The layer's output, with what `backward` needs remembered."""
        y = self(x)
        self._seen = np.asarray(x), y
        return y

    def backward(self, grad_output: ArrayLike, *, needs_input: bool = True) -> Array | None:
        """The gradient of the last `forward`'s x; sets those of the parameters."""
        if self._seen is None:
            raise RuntimeError("backward() needs a forward(x) before each")
        (x, y), self._seen = self._seen, None
        grad = np.asarray(grad_output)
        grad = np.where(y > 0, grad, grad.dtype.type(0)) if self.activation else grad
        self.weight.grad, self.bias.grad = grad.T @ self._flat(x), grad.sum(0)
        return (grad @ self.weight.value).reshape(x.shape) if needs_input else None

    def parameters(self) -> list[nn.Parameter]:
        """What is learned."""
        return [self.weight, self.bias]


class Network:
    """Layers, one after the other.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> from fastconv.learning import Dense, Network
    >>> network = Network([nn.Conv2d(1, 4, 3, activation="relu", seed=0), Dense(4 * 6 * 6, 10, seed=1)])
    >>> network(np.ones((2, 1, 8, 8), np.float32)).shape, network.count_parameters()
    ((2, 10), 1490)
    """

    def __init__(self, layers: Sequence[Learns]) -> None:
        self.layers = list(layers)

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


def cross_entropy(scores: Array, labels: Array) -> tuple[float, Array]:
    """The mean of ``-log softmax(scores)[label]``, and its gradient ``(softmax - one_hot) / N``.

    Parameters
    ----------
    scores : ndarray, shape (N, classes)
    labels : ndarray of int, shape (N,)

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.learning import cross_entropy
    >>> loss, gradient = cross_entropy(np.zeros((1, 2)), np.array([0]))
    >>> round(loss, 4), gradient
    (0.6931, array([[-0.5,  0.5]]))
    """
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise ValueError(f"labels must have one for each row of scores, {scores.shape}; got shape {labels.shape}")
    shifted = scores - scores.max(1, keepdims=True)
    exps = np.exp(shifted)
    totals = exps.sum(1, keepdims=True)
    rows = np.arange(len(labels))
    loss = float(np.mean(np.log(totals[:, 0]) - shifted[rows, labels]))
    gradient = exps / totals
    gradient[rows, labels] -= 1
    gradient /= len(labels)
    return loss, gradient


def squared_error(y: Array, target: Array) -> tuple[float, Array]:
    """The mean of ``(y - target)**2`` and its gradient.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.learning import squared_error
    >>> squared_error(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    (2.0, array([0., 2.]))
    """
    if y.shape != target.shape:
        raise ValueError(f"target must have y's shape {y.shape}; got {target.shape}")
    difference = y - target
    return float(np.mean(difference**2)), difference * (2 / difference.size)


def train(
    network: Network,
    x: Array,
    target: Array,
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
    x, target : ndarray, shape (N, ...)
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
    ValueError
        No examples, or not as many targets; epochs or batch too small; parameters that cannot be written to.
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
    size = len(x) if batch is None else batch
    for name, number, least in (("epochs", epochs, 0), ("batch", size, 1)):
        if number < least:
            raise ValueError(f"{name} must be at least {least}; got {number}")
    if len(target) != len(x):
        raise ValueError(f"target must have one for each of the {len(x)} examples in x; got {len(target)}")
    rng = np.random.default_rng(seed)
    optimiser = nn.SGD(network.parameters(), lr, momentum, weight_decay)
    steps = -(-len(x) // size)
    losses = []
    for epoch in range(epochs):
        order = rng.permutation(len(x)) if steps > 1 else np.arange(len(x))
        total = 0.0
        for step in range(steps):
            some = order[step * size : (step + 1) * size]
            if cool:
                optimiser.lr = lr / 2 * (1 + math.cos(math.pi * (epoch * steps + step) / (epochs * steps)))
            with np.errstate(over="ignore", invalid="ignore"):
                value, gradient = loss(network.forward(x[some]), target[some])
            if not math.isfinite(value):
                raise NonFiniteLossError(
                    f"the loss is {value} in epoch {epoch}, step {step}; a lower lr than {lr} may help"
                )
            network.backward(gradient)
            optimiser.step()
            total += value * len(some)
        losses.append(total / len(x))
    return losses


def accuracy(network: Network, x: Array, labels: Array) -> float:
    """The part of the examples whose largest score is that of their label.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.learning import Dense, Network, accuracy
    >>> layer = Dense(2, 2, seed=0)
    >>> layer.weight.value[:], layer.bias.value[:] = np.eye(2), 0
    >>> accuracy(Network([layer]), np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 0]))
    0.5
    """
    return float(np.mean(network(x).argmax(1) == labels))
