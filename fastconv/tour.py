# SPDX-License-Identifier: BSD-3-Clause
"""The lecture that introduces convolution, in eight parts that compute what they tell: ``fastconv tour``.

Every part is a function without arguments that returns its text and its pictures, the same ones each time. It follows
Zhang, Lipton, Li and Smola, Dive into Deep Learning, chapter 7.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import fastconv
from fastconv import dense, kernels, learning, nn
from fastconv.panels import Panel, chosen, computed, framed, sheet, signed, tiles
from fastconv.scenes import SIDE, scene
from fastconv.scenes import crowd as people

__all__ = ["PARTS", "Panel", "Part", "sheet"]

Array = NDArray[Any]


class Part(NamedTuple):
    """What a part of the lecture has to say, and to show."""

    title: str
    text: str
    panels: list[Panel]


# ---- the parts -----------------------------------------------------------------------------------


def weights() -> Part:
    """What a fully connected layer costs, and what a kernel does.

    Examples
    --------
    >>> from fastconv import tour
    >>> print(tour.weights().text)
    A photo of 3000 x 4000 pixels in 3 colours, and 100 hidden units: every unit has a weight for every
    pixel and colour. A kernel of a few taps slides over the photo instead; its size is the one number to
    choose. It sets the cost, and the reach: how many pixels across a result sees, behind one layer and
    behind five.
    <BLANKLINE>
           kernel         weights      float32   products a photo   reach   of 5 layers
             none   3,600,000,000     14.40 GB            3.6e+09   whole         whole
            1 x 1             300      1.20 kB            3.6e+09       1             1
            3 x 3           2,700     10.80 kB            3.2e+10       3            11
            5 x 5           7,500     30.00 kB            9.0e+10       5            21
            7 x 7          14,700     58.80 kB            1.8e+11       7            31
          11 x 11          36,300    145.20 kB            4.4e+11      11            51
          31 x 31         288,300      1.15 MB            3.5e+12      31           151
    """
    lines = [
        "A photo of 3000 x 4000 pixels in 3 colours, and 100 hidden units: every unit has a weight for every",
        "pixel and colour. A kernel of a few taps slides over the photo instead; its size is the one number to",
        "choose. It sets the cost, and the reach: how many pixels across a result sees, behind one layer and",
        "behind five.",
        "",
        "       kernel         weights      float32   products a photo   reach   of 5 layers",
    ]
    for cost in dense.compare_kernel_sizes():
        taps = "none" if cost.kernel_size is None else " x ".join(map(str, cost.kernel_size))
        reach, stacked = ("whole", "whole") if cost.kernel_size is None else (cost.reach[0], cost.stacked_reach[0])
        size = _bytes(cost.nbytes)
        lines.append(f"{taps:>13}{cost.weights:16,}{size:>13}{cost.products:19.1e}{reach:>8}{stacked:>14}")
    sizes = [cost.kernel_size[0] for cost in dense.compare_kernel_sizes() if cost.kernel_size is not None]
    panel = chosen(
        "the one number to choose",
        "what a result sees, averaged",
        'fastconv.corr2d(picture, kernels.box(size), "same", "edge")',
        {"picture": scene()},
        "size",
        {f"{n} x {n}: {300 * n * n:,} weights": n for n in sizes},
        "11 x 11: 36,300 weights",
    )
    return Part("Why a kernel", "\n".join(lines), [panel])


def layer_to_correlation() -> Part:
    """From the fully connected layer to the correlation, and back.

    Examples
    --------
    >>> from fastconv import tour
    >>> print(tour.layer_to_correlation().text.splitlines()[-1])
    - A far one: no small kernel: W[0, 0, 0, 0] = 1 and W[0, 0, 3, 4] = 7 belong to one output and are both not zero
    """
    x, k = np.arange(20).reshape(4, 5), np.array([[1, 2], [3, 4]])
    W = dense.dense_weight(k, x.shape)
    with fastconv.checked():
        y = fastconv.corr2d(x, k)
    product = np.einsum("ijkl,kl", W, x)
    moved = fastconv.corr2d(np.roll(x, 1, 1), k)
    alike, local = W.copy(), W.copy()
    alike[1, 1, 1, 2] += 5
    local[0, 0, 3, 4] = 7  # the only weight so far away
    text = f"""\
A layer that connects every pixel to every result, Y[i, j] = sum over k, l of W[i, j, k, l] X[k, l], with

    X = {x.tolist()}
    K = {k.tolist()},  and W[i, j, i + a, j + b] = K[a, b]

has {W.size} weights, of which {np.count_nonzero(W)} are not zero, and is the correlation with K:
    W X = {product.tolist()}
    corr2d(X, K) is {"equal" if (product == y).all() else "different"}
- Translation: X moved to the right by one moves Y by one: {bool((moved[:, 1:] == y[:, :-1]).all())}
- Locality: {np.count_nonzero(W[0, 0])} of {x.size} weights of a result are within its window, and the others zero.
- {_matrix(k, x.shape)}
- Back from W to its kernel: {dense.as_kernel(W)}
- Change a single weight: {dense.as_kernel(alike)}
- A far one: {dense.as_kernel(local)}"""
    names: dict[str, Any] = {"dense": dense, "picture": scene()}
    with fastconv.checked():
        panels = [
            computed(
                "W as a matrix",
                "3 x 3 taps, 8 x 8 pixels; white: zero",
                "dense.dense_matrix(np.ones((3, 3)), (8, 8), sparse=False)",
                names,
                lambda matrix: 1 - 0.8 * matrix,
            ),
            computed("picture", f"{SIDE} x {SIDE}, drawn by formulas", "picture", names),
            computed("Sobel", "the change from left to right", "kernels.sobel(axis=1)", names, kind="kernel"),
            computed(
                "d/dx",
                "grey means no change",
                'fastconv.corr2d(picture, kernels.sobel(axis=1), "same", "edge")',
                names,
                lambda y: (y / 6 + 0.5).clip(0, 1),
            ),
            computed(
                "edges",
                "the length of (d/dx, d/dy)",
                'fastconv.gradient(picture, "sobel", norm="l2")',
                names,
                lambda y: (y / 2).clip(0, 1),
            ),
            computed("to sharpen", "the picture minus its Laplacian", "kernels.sharpen()", names, kind="kernel"),
            computed(
                "sharpened",
                "edges overshoot",
                'fastconv.corr2d(picture, kernels.sharpen(), "same", "edge")',
                names,
                lambda y: y.clip(0, 1),
            ),
        ]
    panels.append(
        chosen(
            "blur",
            "a Gaussian; the larger sigma, the less is left",
            'fastconv.corr2d(picture, kernels.gaussian(sigma=sigma), "same", "edge")',
            names,
            "sigma",
            {f"{sigma} pixels": sigma for sigma in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)},
            "4.0 pixels",
        )
    )
    return Part("From the fully connected layer to correlation", text, panels)


def flip() -> Part:
    """Correlation and convolution.

    Examples
    --------
    >>> from fastconv import tour
    >>> [panel.title for panel in tour.flip().panels]
    ['kernel', 'a dot', 'correlated', 'convolved']
    """
    k = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0]])
    dot = np.zeros((9, 9), int)
    dot[4, 4] = 1
    symmetric = kernels.gaussian(5).astype(np.float64)
    x = np.random.default_rng(0).random((32, 32))
    differs = np.abs(fastconv.corr2d(x, symmetric) - fastconv.convolve2d(x, symmetric)).max()
    same = np.array_equal(fastconv.convolve2d(dot, k), fastconv.corr2d(dot, k[::-1, ::-1]))
    text = f"""\
Correlation slides the kernel as it is; convolution slides it turned by half a circle, which makes it
commutative. A single dot shows which is which: convolved, it becomes the kernel; correlated, the turned kernel.

- convolve2d(X, K) == corr2d(X, K[::-1, ::-1]): {same}
- A Gaussian is its own mirror image and cannot tell: largest difference {differs:.1g}

What deep learning calls a convolution layer correlates. Kernels are learned there, turned or not."""
    panels = [
        Panel("kernel", "an F", k, "k", "kernel"),
        Panel("a dot", "one pixel", dot, "dot", "kernel"),
        computed("correlated", "the F, turned", 'fastconv.corr2d(dot, k, "same")', {"dot": dot, "k": k}, kind="kernel"),
        computed("convolved", "the F", 'fastconv.convolve2d(dot, k, "same")', {"dot": dot, "k": k}, kind="kernel"),
    ]
    return Part("Correlation and convolution", text, panels)


def ranks() -> Part:
    """One and three dimensions.

    Examples
    --------
    >>> from fastconv import tour
    >>> "[0, 3, 0, 0, -3, 0]" in tour.ranks().text
    True
    """
    signal = np.array([1, 1, 4, 4, 4, 1, 1])
    steps = fastconv.corr1d(signal, np.array([-1, 1]))
    z, y, x = np.mgrid[-16:17, -16:17, -16:17]
    ball = (z**2 + y**2 + x**2 < 14**2).astype(np.float32)
    surface = fastconv.corr3d(ball, kernels.laplacian(ndim=3), "same")
    text = f"""\
The same sum has one index for a signal and three for a volume.

- A signal, {signal.tolist()}, and its steps, corr1d with [-1, 1]: {steps.tolist()}
- A ball of {int(ball.sum()):,} voxels, corr3d with a Laplacian of 3 x 3 x 3: {np.count_nonzero(surface):,} are not
  zero, all of them at its surface."""
    panels = [
        Panel("a signal", "it rises, stays, and falls", signal, "signal", "kernel"),
        computed(
            "its steps", "blue: up, red: down", "fastconv.corr1d(signal, [-1, 1])", {"signal": signal}, kind="kernel"
        ),
        Panel("a ball", "a volume, cut through the middle", ball[16], "ball[16]"),
        chosen(
            "its surface",
            "a Laplacian in three dimensions, cut at every height",
            '0.5 + fastconv.corr3d(ball, kernels.laplacian(ndim=3), "same")[z] / 6',
            {"ball": ball},
            "z",
            {f"{z} of 33": z for z in range(2, 32, 2)},
            "16 of 33",
        ),
    ]
    return Part("One dimension, three dimensions", text, panels)


def padding() -> Part:
    """What becomes of the border.

    Examples
    --------
    >>> from fastconv import tour
    >>> print(tour.padding().text.splitlines()[3])
    - "valid": 512 x 512 becomes 472 x 472 behind ten layers of 5 x 5: 15% of it is lost
    """
    picture = scene()
    size = SIDE - 10 * (5 - 1)
    lost = 1 - size**2 / SIDE**2
    said = {
        "constant": "zeros darken the border",
        "edge": "the last pixels go on",
        "reflect": "a mirror",
        "wrap": "the other side shines through",
    }
    panels = [
        computed(name, text, f'fastconv.corr2d(picture, kernels.gaussian(63), "same", "{name}")', {"picture": picture})
        for name, text in said.items()
    ]
    table = "\n".join(f"    {panel.title:10}{float(panel.values[0, 0]):6.2f}" for panel in panels)
    smaller = [nn.max_pool2d(np.ones((1, 5, 5)), 2, ceil_mode=ceil).shape[1:] for ceil in (False, True)]
    short, whole = ("{} x {}".format(*shape) for shape in smaller)
    with_zeros, without = (
        float(nn.avg_pool2d(picture[None], 63, 1, 31, count_include_pad=counts)[0, 0, 0]) for counts in (True, False)
    )
    text = f"""\
A window must lie within the picture, so every layer takes a border away:

- What is left of a side of n pixels is n-k+1.
- "valid": {SIDE} x {SIDE} becomes {size} x {size} behind ten layers of 5 x 5: {lost:.0%} of it is lost
- "same": (k-1)/2 pixels are added on either side, and nothing is lost

What is added matters. The top left corner, {picture[0, 0]:.2f} before it is blurred by 63 x 63 taps:

{table}

Zeros darken the border; the opposite border shines through where the picture is taken to repeat.

Pooling makes pictures smaller on purpose: it keeps the largest element, or the mean, of every window. It has two more
answers to the border:

- The largest of 2 x 2: 5 x 5 becomes {short}, and the last row and column are lost; with ceil_mode=True {whole}
- The mean of 63 x 63 there: {with_zeros:.2f} with zeros, {without:.2f} of what there is (count_include_pad=False)

Padding is never the largest: it counts as less than any number."""
    return Part("Padding", text, panels)


def learning_kernels() -> Part:
    """Kernels learned from what they do.

    Examples
    --------
    >>> from fastconv import tour
    >>> print(tour.learning_kernels().text.splitlines()[4].split(", loss")[0].strip())
    after 60 steps of gradient descent: [-1.00, 1.00]
    """
    x = np.ones((1, 1, 6, 8))
    x[..., 2:6] = 0
    edge = nn.Conv2d(1, 1, (1, 2), bias=False, dtype=np.float64, seed=0)
    before = edge.weight.ravel().copy()
    wanted = fastconv.corr2d(x, [[-1.0, 1.0]])
    losses = learning.train(edge, x, wanted, learning.squared_error, epochs=60, lr=0.5, momentum=0.5)
    lines = [
        "A layer sees a picture and what a filter made of it, and follows the gradient of the squared error.",
        "The first picture is white with a black bar, its edges found by [-1, 1]; that the layer does not know:",
        "",
        f"    before: [{before[0]:.2f}, {before[1]:.2f}]",
        f"    after {len(losses)} steps of gradient descent: [{edge.weight.ravel()[0]:.2f}, "
        f"{edge.weight.ravel()[1]:.2f}], loss {losses[-1]:.1e}",
        "",
        "The same for filters of 3 x 3 and a picture:",
        "",
        "                 loss, first    loss, last    largest error of a weight",
    ]
    curves, panels = {"edge": losses}, []
    picture = np.float64(scene()[200:328, 190:318])
    contrast = (picture - picture.mean()) / picture.std()  # a mean far from zero makes descent slow
    for name, k in (("sobel", kernels.sobel(1)), ("sharpen", kernels.sharpen()), ("blur", kernels.gaussian(3))):
        target = np.float64(k)
        layer = nn.Conv2d(1, 1, 3, bias=False, dtype=np.float64, seed=1)
        wanted = fastconv.corr2d(contrast, target)[None, None]
        curves[name] = learning.train(layer, contrast[None, None], wanted, learning.squared_error, epochs=2500, lr=0.15)
        error = np.abs(layer.weight[0, 0] - target).max()
        lines.append(f"    {name:10}{curves[name][0]:14.2f}{curves[name][-1]:14.1e}{error:27.1e}")
        panels.append(Panel(f"{name}, learned", "its weights", layer.weight[0, 0], "layer.weight[0, 0]", "kernel"))
    how = "learning.train(layer, x, wanted, learning.squared_error, epochs={}, lr={})"
    few = {"edge": curves.pop("edge")}
    panels.append(Panel("the loss of the bar", "the mean of squared errors", few, how.format(60, 0.5), "loss"))
    panels.append(Panel("the losses of the others", "they fall for long", curves, how.format(2500, 0.15), "loss"))
    return Part("Learning a kernel", "\n".join(lines), panels)


def digits() -> Part:
    """Handwritten digits, read by convolution layers, pooled, and by a fully connected network; needs scikit-learn."""
    try:
        datasets = importlib.import_module("sklearn.datasets")
    except ImportError as error:
        raise ImportError('digits come with scikit-learn: pip install "fastconv[learn]"') from error
    pictures, labels = datasets.load_digits(return_X_y=True)
    pictures = (pictures.reshape(-1, 1, 8, 8) / 16).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(labels))
    tested, taught = order[: len(order) // 4], order[len(order) // 4 :]
    examples = np.concatenate([_shifted(pictures[taught], *shift) for shift in np.ndindex(3, 3)])
    answers = np.tile(labels[taught], 9)
    first = nn.Conv2d(1, 16, 3, padding=1, activation="relu", seed=0)
    second = nn.Conv2d(16, 32, 3, padding=1, activation="relu", seed=1)
    reader = nn.Sequential(first, nn.MaxPool2d(2), second, nn.Flatten(), nn.Linear(512, 10, seed=2))
    connected = nn.Sequential(nn.Flatten(), nn.Linear(64, 128, seed=0), nn.ReLU(), nn.Linear(128, 10, seed=1))
    how: dict[str, Any] = {"epochs": 12, "batch": 64, "lr": 0.2, "weight_decay": 1e-4, "cool": True}
    lines = [
        f"{len(taught)} digits of 8 x 8 pixels to learn from, each in nine places a pixel apart; {len(tested)} others,",
        "drawn at random, to be tested on. Both networks learn for twelve epochs, by gradient descent with momentum.",
        "",
        "                                        parameters   right",
    ]
    for name, network in (("convolution, pooling, dense layers", reader), ("two dense layers", connected)):
        learning.train(network, examples, answers, **how)
        right = learning.accuracy(network, pictures[tested], labels[tested])
        lines.append(f"    {name:36}{network.count_parameters():10,}{right:8.2%}")
    scores = reader(pictures[tested])
    wrong = np.flatnonzero(scores.argmax(1) != labels[tested])
    lines += ["", f"Misread by the convolution layers: {len(wrong)} of {len(tested)}"]
    lines += [f"    a {labels[tested[i]]}, taken for a {scores[i].argmax()}" for i in wrong]
    some = tiles(pictures[tested[:16], 0])
    seen = tiles([signed(w) for w in first.weight[:, 0]])
    panels = [
        Panel("digits", "sixteen that were tested", some, "pictures[tested[:16], 0]"),
        Panel("kernels", "the first layer's, learned; grey is zero", seen, "first.weight[:, 0]"),
    ]
    return Part("A network that reads digits", "\n".join(lines), panels)


def crowd() -> Part:
    """A figure, found at any place.

    Examples
    --------
    >>> from fastconv import tour
    >>> print(tour.crowd().text.splitlines()[5])
        as it is              row 228, column 428    0.89
    """
    picture, (top, left, height, width) = people()
    rng = np.random.default_rng(1)
    figure = picture[top : top + height, left : left + width]
    wanted = np.float32(0.25) + np.float32(0.4) * figure + rng.normal(0, 0.05, figure.shape).astype(np.float32)
    code = "fastconv.feature.match_template(picture, wanted, axes=(0, 1))"
    lines = [
        "The waving figure, in dim light and with noise, slides over the crowd. A score is the correlation of the two",
        "without their means, divided by their lengths, and highest where the figure stands; and as the same kernel",
        "looks everywhere, wherever the picture moves to:",
        "",
        "    picture moved by        best place          score",
    ]
    found = []
    for down, across in ((0, 0), (0, 97), (-150, 60), (50, -200)):
        moved = np.roll(picture, (down, across), (0, 1))
        scores = fastconv.feature.match_template(moved, wanted, axes=(0, 1))
        row, column = (int(i) for i in np.unravel_index(scores.argmax(), scores.shape))
        by = f"{down} down, {across} across" if down or across else "as it is"
        lines.append(f"    {by:22}{f'row {row}, column {column}':22}{scores[row, column]:5.2f}")
        found.append((by, framed(moved, (row, column, height, width))))
    names = {"picture": picture, "wanted": wanted}
    panels = [
        Panel("the crowd", "who has a striped shirt, and waves with both arms?", picture, "picture"),
        Panel("wanted", "in dim light, with noise", wanted, "wanted"),
        computed("scores", "of every place; a ring marks the best", code, names, kind="scores"),
        Panel("found", "where the score is best", found[0][1], code, steps=tuple(found), choice="moved"),
    ]
    return Part("The figure in the crowd", "\n".join(lines), panels)


PARTS: tuple[Callable[[], Part], ...] = (
    weights,
    layer_to_correlation,
    flip,
    ranks,
    padding,
    learning_kernels,
    digits,
    crowd,
)


# ---- what they share -----------------------------------------------------------------------------


def _bytes(n: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if n < 1000:
            return f"{n:.2f} {unit}"
        n /= 1000
    return f"{n:.2f} GB"


def _matrix(k: Array, shape: tuple[int, int]) -> str:
    try:
        matrix = dense.dense_matrix(k, shape)
    except ImportError as error:
        return str(error)
    rows, columns = matrix.shape
    return f"As a sparse matrix of {rows} x {columns} it stores {matrix.nnz} of {rows * columns} numbers."


def _shifted(pictures: Array, down: int, across: int) -> Array:
    """Moved by one pixel less than these, zeros moving in."""
    padded = np.pad(pictures, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return padded[..., down : down + pictures.shape[-2], across : across + pictures.shape[-1]]
