# SPDX-License-Identifier: BSD-3-Clause
"""What the lecture learns with: gradients against differences, descent, losses that are not finite."""

import numpy as np
import pytest

from fastconv import learning, nn

RNG = np.random.default_rng(0)


def slope(f, a, step=1e-6):
    """Central differences of f with respect to a, which is changed in place and restored."""
    result = np.empty_like(a)
    for i in np.ndindex(*a.shape):
        value = a[i]
        a[i] = value + step
        above = f()
        a[i] = value - step
        result[i] = (above - f()) / (2 * step)
        a[i] = value
    return result


def network(seed=0):
    return nn.Sequential(
        nn.Conv2d(2, 3, 2, activation="relu", dtype=np.float64, seed=seed),
        nn.Conv2d(3, 4, 2, stride=2, dtype=np.float64, seed=seed + 1),
        nn.Flatten(),
        nn.Linear(4 * 2 * 2, 6, dtype=np.float64, seed=seed + 2),
        nn.ReLU(),
        nn.Linear(6, 3, dtype=np.float64, seed=seed + 3),
    )


@pytest.mark.parametrize("loss", [learning.cross_entropy, learning.squared_error])
def test_gradients_are_differences(loss):
    model, x = network(), RNG.standard_normal((5, 2, 6, 6))
    target = np.array([0, 1, 2, 2, 1]) if loss is learning.cross_entropy else RNG.standard_normal((5, 3))
    value, gradient = loss(model.forward(x), target)
    model.backward(gradient)
    assert value == pytest.approx(loss(model(x), target)[0])
    for parameter in model.parameters():
        wanted = slope(lambda: loss(model(x), target)[0], parameter.value)
        np.testing.assert_allclose(parameter.grad, wanted, rtol=1e-5, atol=1e-8)


def test_cross_entropy_of_large_scores():
    loss, gradient = learning.cross_entropy(np.array([[1000.0, 0.0], [0.0, 1000.0]]), np.array([0, 0]))
    assert loss == 500
    np.testing.assert_array_equal(gradient, [[0, 0], [-0.5, 0.5]])


def test_training_learns_and_repeats():
    x = np.random.default_rng(0).standard_normal((40, 2, 6, 6))
    labels = (x.mean((1, 2, 3)) > 0).astype(int)
    runs = []
    for _ in range(2):
        model = network()
        runs.append(learning.train(model, x, labels, epochs=30, batch=8, lr=0.05, cool=True, seed=1))
        assert learning.accuracy(model, x, labels) > 0.9
    assert runs[0] == runs[1] and len(runs[0]) == 30
    assert runs[0][-1] < runs[0][0] / 2


def test_momentum_and_decay_are_those_of_sgd():
    model, other = network(), network()
    x, labels = RNG.standard_normal((4, 2, 6, 6)), np.array([0, 1, 2, 0])
    learning.train(model, x, labels, epochs=3, lr=0.1, momentum=0.8, weight_decay=0.01)
    descent = nn.SGD(other.parameters(), 0.1, 0.8, 0.01)
    for _ in range(3):
        other.backward(learning.cross_entropy(other.forward(x), labels)[1])
        descent.step()
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(a.value, b.value)


def test_loss_that_is_not_finite_is_reported():
    model = network()
    x, target = RNG.standard_normal((4, 2, 6, 6)), np.zeros((4, 3))
    with pytest.raises(learning.NonFiniteLossError, match=r"the loss is (inf|nan) in epoch \d+, step 0; .*1e\+50"):
        learning.train(model, x, target, learning.squared_error, epochs=20, lr=1e50)
    kept = network()
    x[0, 0, 0, 0] = np.nan
    before = [p.value.copy() for p in kept.parameters()]
    with pytest.raises(learning.NonFiniteLossError, match="nan in epoch 0, step 0"):
        learning.train(kept, x, target, learning.squared_error, epochs=2)
    for parameter, value in zip(kept.parameters(), before, strict=True):
        np.testing.assert_array_equal(parameter.value, value)


def test_weights_that_cannot_be_written():
    model = network()
    model.layers[-1].weight.flags.writeable = False
    with pytest.raises(ValueError, match="weight"):
        learning.train(model, RNG.standard_normal((4, 2, 6, 6)), np.zeros(4, int), epochs=1)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: learning.cross_entropy(np.zeros((2, 3)), np.zeros(3, int)), ValueError, "labels"),
        (lambda: learning.squared_error(np.zeros((2, 3)), np.zeros((2, 2))), ValueError, "target"),
        (lambda: learning.train(network(), np.zeros((2, 2, 6, 6)), np.zeros(3, int)), ValueError, "target"),
        (lambda: learning.train(network(), np.zeros((2, 2, 6, 6)), np.zeros(2, int), batch=0), ValueError, "batch"),
        (
            lambda: learning.train(network(), np.zeros((0, 2, 6, 6)), np.zeros(0, int)),
            ValueError,
            "batch must be at least 1; got 0",
        ),
        (lambda: learning.train(network(), np.zeros((2, 2, 6, 6)), np.zeros(2, int), epochs=-1), ValueError, "epochs"),
    ],
)
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize(
    ("labels", "error", "says"),
    [
        ([0, -1], ValueError, "labels must lie from 0 to 2; got -1 to 0"),
        ([0, 3], ValueError, "labels must lie from 0 to 2; got 0 to 3"),
        ([[0], [1]], ValueError, r"labels must have one for each row.*\(2, 1\)"),
        ([0.0, 1.0], TypeError, "labels must be integers"),
    ],
)
def test_labels_that_name_no_class(labels, error, says):
    """-1 was the last class, and a column of labels was broadcast."""
    scores = np.ones((2, 3))
    for wrong in (labels, np.array(labels)):
        with pytest.raises(error, match=says):
            learning.cross_entropy(scores, wrong)
        with pytest.raises(error, match=says):
            learning.accuracy(lambda x: x, scores, wrong)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "uint64", "float16", "float32", "float64"])
def test_losses_of_any_dtype(dtype):
    """Differences of unsigned numbers wrapped."""
    y, target = np.array([[0, 1], [1, 0]], dtype), np.array([[1, 1], [0, 1]], dtype)
    wanted, slope = learning.squared_error(y.astype(float), target.astype(float))
    loss, gradient = learning.squared_error(y, target)
    assert loss == wanted and gradient.dtype == (dtype if "float" in dtype else "float64")
    np.testing.assert_array_equal(gradient, slope)
    scores = y if dtype == "bool" else (100 * y).astype(dtype)
    wanted, slope = learning.cross_entropy(scores.astype(float), [1, 1])
    loss, gradient = learning.cross_entropy(scores, np.array([1, 1], "uint8"))
    assert loss == pytest.approx(wanted, rel=1e-3)
    np.testing.assert_allclose(gradient, slope, atol=1e-3)


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64"])
def test_examples_of_another_dtype_are_learned(dtype):
    """A dense layer promotes its input; its gradients have the dtype of its weights."""
    layer = nn.Linear(3, 2, seed=0)
    x = np.array([[0, 1, 2], [3, 4, 5]], dtype)
    losses = learning.train(layer, x, np.eye(2), learning.squared_error, epochs=5, lr=0.01)
    assert losses[-1] < losses[0] and layer.weight.dtype == np.float32


def test_a_gradient_of_another_shape_is_refused():
    layer = nn.Linear(3, 2, seed=0)
    layer.forward(np.ones((4, 3)))
    with pytest.raises(ValueError, match=r"grad_output must have the output's shape \(4, 2\); got \(2, 2\)"):
        layer.backward(np.ones((2, 2)))
    layer.backward(np.ones((4, 2)))  # the input is still there
