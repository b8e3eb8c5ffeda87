# SPDX-License-Identifier: BSD-3-Clause
"""Just enough to learn with the layers of `fastconv.nn`: losses and a trainer.

This is the lecture's, not a framework: what happens in a step can be read in one screen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv import nn
from fastconv.arguments.values import as_count, as_flag, as_numbers, as_real, generator

__all__ = ["NonFiniteLossError", "accuracy", "cross_entropy", "squared_error", "train"]

Array = NDArray[Any]
Loss = Callable[[Array, Array], tuple[float, Array]]


class NonFiniteLossError(ArithmeticError):
    """The loss is NaN or infinite: training has left the numbers, most often because the rate is too high."""


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
    given = as_real(scores, "scores")
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
    outputs, wanted = as_real(y, "y"), as_real(target, "target")
    if outputs.size == 0:
        raise ValueError(f"y must not be empty; got shape {outputs.shape}")
    if outputs.shape != wanted.shape:
        raise ValueError(f"target must have y's shape {outputs.shape}; got {wanted.shape}")
    dtype = outputs.dtype if outputs.dtype.kind == "f" else np.dtype(np.float64)
    wide = np.result_type(dtype, wanted.dtype, np.float32)
    difference = np.subtract(outputs, wanted, dtype=wide)
    return float(np.mean(difference**2)), (difference * (2 / difference.size)).astype(dtype, copy=False)


def train(
    network: nn.Module,
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
    network : nn.Module
        Such as `nn.Sequential`.
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
    >>> from fastconv.learning import squared_error, train
    >>> edge = nn.Conv1d(1, 1, 2, bias=False, dtype=np.float64, seed=0)
    >>> x = np.array([[[0.0, 0.0, 1.0, 1.0, 0.0]]])
    >>> losses = train(edge, x, np.diff(x), squared_error, epochs=60, lr=0.3)
    >>> edge.weight.round(2)
    array([[[-0.98,  0.98]]])
    """
    if not isinstance(network, nn.Module):
        raise TypeError(f"network must be of type nn.Module; got {network!r}")
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
            network.backward(gradient, needs_input=False)
            optimiser.step()
            total += value * len(some)
        losses.append(total / count)
    return losses


def accuracy(network: Callable[[Array], Array], x: ArrayLike, labels: ArrayLike) -> float:
    """The part of the examples whose largest score is that of their label.

    Parameters
    ----------
    network : nn.Module
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
    >>> from fastconv import nn
    >>> from fastconv.learning import accuracy
    >>> layer = nn.Linear.from_weights(np.eye(2))
    >>> accuracy(layer, np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 0]))
    0.5
    """
    if not callable(network) or isinstance(network, type):
        raise TypeError(f"network must be of type nn.Module; got {network!r}")
    scores = as_real(network(as_numbers(x, "x")), "network's result")
    if scores.ndim != 2 or scores.size == 0:
        raise ValueError(f"network must give scores (N, classes) for x, and some; got shape {scores.shape}")
    return float(np.mean(scores.argmax(1) == _labels(labels, scores)))
