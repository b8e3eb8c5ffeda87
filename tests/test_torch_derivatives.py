# SPDX-License-Identifier: BSD-3-Clause
"""Derivatives of every order, in every mode of PyTorch: they are right, or refused aloud."""

from __future__ import annotations

import copy
import itertools

import cases
import numpy as np
import pytest
from conftest import only_deep
from test_torch import CONVS, OURS, TRANSPOSED, TRANSPOSED_CASES, model, tensors

torch = pytest.importorskip("torch")

from torch.autograd import forward_ad, gradcheck, gradgradcheck  # noqa: E402
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

import fastconv.torch  # noqa: E402

F = torch.nn.functional
MORE = {
    "pairs": ((1, 2, 5, 4), (2, 2, 3, 2), {"padding": ((2, 0), (0, 1))}),
    "same, even": ((1, 2, 5, 4), (2, 1, 2, 4), {"padding": "same", "dilation": (2, 1), "groups": 2}),
    "valid": ((1, 1, 5, 4), (1, 1, 2, 2), {"padding": "valid"}),
    "stride that skips": ((1, 1, 9, 8), (2, 1, 2, 2), {"stride": (4, 5)}),
    "all groups, 1-D": ((2, 3, 7), (6, 1, 3), {"groups": 3, "dilation": 2}),
    "3-D, strided": ((1, 4, 3, 5, 4), (4, 2, 2, 3, 2), {"groups": 2, "stride": (1, 2, 3), "padding": (1, 0, 2)}),
    **{
        mode: ((1, 2, 5, 6), (3, 2, 3, 3), {"stride": 2, "padding": (2, 1), "padding_mode": mode})
        for mode in ("reflect", "replicate", "circular")
    },
}
LAYERS = [(OURS, *case) for case in (CONVS | MORE).values()]
LAYERS += [(TRANSPOSED, *case) for case in TRANSPOSED_CASES.values()]
NAMES = [*CONVS, *MORE, *(f"transposed, {name}" for name in TRANSPOSED_CASES)]
every_layer = pytest.mark.parametrize(("functions", "x_shape", "w_shape", "how"), LAYERS, ids=NAMES)


def layer(rng, functions, x_shape, w_shape, how, make=cases.reals):
    """A function of x, w and bias, and these."""
    channels = w_shape[0] if functions is OURS else w_shape[1] * how.get("groups", 1)
    arguments = tensors(rng, (x_shape, w_shape, (channels,)), make=make)
    return lambda x, w, b=None: functions[len(w_shape) - 2](x, w, b, **how), arguments


@every_layer
def test_first_and_second_derivatives(rng, functions, x_shape, w_shape, how):
    f, (x, w, b) = layer(rng, functions, x_shape, w_shape, how)
    for arguments in ((x, w, b), (x, w), (x.detach(), w, b), (x, w.detach(), b.detach())):
        every = dict(fast_mode=True, check_batched_grad=True)
        gradcheck(f, arguments, check_forward_ad=True, check_batched_forward_grad=True, **every)
        gradgradcheck(f, arguments, check_fwd_over_rev=True, **every)


@pytest.mark.parametrize("view", ["transposed", "channels_last", "every other", "expanded"])
def test_derivatives_of_views(rng, view):
    x, w, b = tensors(rng, ((2, 4, 5, 6), (4, 2, 3, 2), (4,)), make=cases.reals)
    views = {
        "transposed": lambda t: t.transpose(-1, -2),
        "channels_last": lambda t: t.to(memory_format=torch.channels_last),
        "every other": lambda t: t.repeat_interleave(2, -1)[..., ::2],
        "expanded": lambda t: t[..., :1].expand(t.shape),
    }

    def f(x, w, b):
        return OURS[2](views[view](x), views[view](w), b, groups=2, padding=1)

    gradcheck(f, (x, w, b), check_forward_ad=True, fast_mode=True)
    gradgradcheck(f, (x, w, b), check_fwd_over_rev=True, fast_mode=True)


def random_layer(rng):
    """A layer and PyTorch's of the same name, small, of any rank, and its arguments: small integers."""
    rank, transposed = int(rng.integers(1, 4)), bool(rng.integers(2))
    n, *odd = (tuple(int(v) for v in rng.integers(low, high, rank)) for low, high in ((3, 7), (1, 4), (1, 4), (1, 3)))
    taps, stride, dilation = odd
    groups = int(rng.integers(1, 4))
    padding = tuple(int(rng.integers(0, (k - 1) * d + 1)) for k, d in zip(taps, dilation, strict=True))
    how = dict(stride=stride, padding=padding, dilation=dilation, groups=groups)
    name = f"conv{rank}d"
    if transposed:
        name = f"conv_transpose{rank}d"
        how["output_padding"] = tuple(int(rng.integers(0, max(s, d))) for s, d in zip(stride, dilation, strict=True))
    inner, outer = (int(v) for v in rng.integers(1, 4, 2))
    w_shape = (inner * groups, outer, *taps)
    x_shape = (int(rng.integers(1, 3)), (inner if transposed else outer) * groups, *n)
    shapes = x_shape, w_shape, ((outer if transposed else inner) * groups,)
    return name, how, tensors(rng, shapes)


def derivatives(function, arguments, how):
    """The result, its derivatives, and the derivatives of a sum of those."""
    y = function(*arguments, **how)
    weights = [torch.arange(t.numel(), dtype=t.dtype).reshape(t.shape) % 5 - 2 for t in (y, *arguments)]
    first = torch.autograd.grad(y * y.detach().sign(), arguments, weights[0], create_graph=True)
    total = sum((g * g * c).sum() for g, c in zip(first, weights[1:], strict=True))
    return y, *first, *torch.autograd.grad(total, arguments[:2])


def test_random_layers_are_pytorchs_to_the_second_derivative(rng):
    for _ in range(60):
        name, how, arguments = random_layer(rng)
        try:
            expected = derivatives(getattr(F, name), arguments, how)
        except RuntimeError:  # nothing is left of the result
            continue
        got = derivatives(getattr(fastconv.torch, name), arguments, how)
        assert all(map(torch.equal, got, expected)), (name, how, [tuple(t.shape) for t in arguments])


def test_derivatives_of_no_images():
    x, w = torch.zeros(0, 2, 5, 4, requires_grad=True), torch.ones(3, 2, 2, 2, requires_grad=True)
    (first,) = torch.autograd.grad(OURS[2](x, w).square().sum(), w, create_graph=True)
    assert first.shape == w.shape and not first.any()
    assert torch.autograd.grad(first.sum(), x)[0].shape == x.shape


def test_a_gradient_penalty_trains(rng):
    """The example: the gradient by the input had no graph, so that its norm trained nothing."""
    ours = fastconv.torch.replace_convs(model())
    x = torch.from_numpy(cases.reals(rng, (2, 3, 9, 8), "float64")).requires_grad_()

    def penalty():
        (g,) = torch.autograd.grad(ours(x).sum(), x, create_graph=True)
        assert g.requires_grad
        return (g.flatten(1).norm(dim=1) - 1).square().mean()

    optimiser, losses = torch.optim.SGD(ours.parameters(), lr=0.01), []
    for _ in range(8):
        losses.append(penalty())
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
    assert all(after < before for before, after in itertools.pairwise(losses))


GROUPED = dict(stride=(2, 1), padding=(1, 2), groups=2, dilation=(1, 2))


FEW_DIMS = [(0, None, None), (None, -1, 0), (-1, 0, None), (0, -1, -1)]
OTHER_DIMS = sorted({*itertools.product((None, 0, -1), repeat=3)} - {*FEW_DIMS, (None,) * 3}, key=str)


@pytest.mark.parametrize("dims", [*FEW_DIMS, *only_deep(*OTHER_DIMS)])
@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d"])
def test_vmap(rng, name, dims):
    shapes = ((2, 4, 5, 4), (6, 2, 3, 2), (6,)) if name == "conv2d" else ((2, 4, 5, 4), (4, 3, 3, 2), (6,))
    arguments = [
        t.detach() if d is None else torch.stack([t, t + 1, 2 - t], d).detach()
        for t, d in zip(tensors(rng, shapes), dims, strict=True)
    ]

    def results(c):
        def f(x, w, b):
            return c(x, w, b, **GROUPED)

        def loss(x, w, b):
            return (f(x, w, b) ** 2).sum()

        yield vmap(f, in_dims=dims)(*arguments)
        yield from vmap(grad(loss, argnums=(0, 1, 2)), in_dims=dims)(*arguments)
        yield from vmap(lambda *a: jvp(f, a, a), in_dims=dims)(*arguments)

    for ours, theirs in zip(results(getattr(fastconv.torch, name)), results(getattr(F, name)), strict=True):
        assert torch.equal(ours, theirs)


def test_transforms(rng):
    x, w, xs, ws = (t.detach() for t in tensors(rng, ((2, 4, 3), (2, 2, 2, 2), (3, 2, 4, 3), (5, 2, 2, 2, 2))))

    def results(c):
        def loss(w, x=x):
            return (c(x, w, padding=1) ** 3).sum()

        yield from (t(lambda w: c(x, w, padding=1))(w) for t in (jacrev, jacfwd))
        yield from (t(loss)(w) for t in (grad, hessian))
        yield hessian(lambda b: (c(x, w, b) ** 3).sum())(w.flatten()[:2])
        yield from (t(u(loss))(w) for t in (jacrev, jacfwd) for u in (jacrev, jacfwd))
        yield from vjp(loss, w)[1](torch.ones((), dtype=w.dtype))
        yield vmap(grad(loss), in_dims=(None, 0))(w, xs)
        yield vmap(vmap(loss, in_dims=(None, 0)), in_dims=(0, None))(ws, xs)
        yield torch.autograd.functional.hessian(loss, w, vectorize=True)

    for ours, theirs in zip(results(fastconv.torch.conv2d), results(F.conv2d), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_mapping_over_nothing():
    x, w = torch.zeros(0, 2, 5, 5), torch.ones(3, 2, 2, 2)
    assert vmap(fastconv.torch.conv2d, in_dims=(0, None))(x, w).shape == (0, 3, 4, 4)


def test_mapped_images_have_the_bits_of_each(rng):
    x, w, b = (t.detach() for t in tensors(rng, ((3, 2, 4, 9, 9), (6, 4, 3, 3), (6,)), make=cases.reals))
    mapped = vmap(fastconv.torch.conv2d, in_dims=(0, None, None))(x, w, b)
    assert torch.equal(mapped, torch.stack([fastconv.torch.conv2d(one, w, b) for one in x]))


def test_models_in_ensembles(rng):
    theirs = model()
    ours = fastconv.torch.replace_convs(copy.deepcopy(theirs))
    parameters = {name: torch.stack([p, 2 * p]) for name, p in theirs.state_dict().items()}
    x = torch.from_numpy(cases.reals(rng, (2, 3, 9, 8), "float64"))
    results = [vmap(lambda p, m=m: functional_call(m, p, (x,)))(parameters) for m in (ours, theirs)]
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoints(rng, reentrant):
    x, w = tensors(rng, ((2, 4, 5, 5), (3, 4, 2, 2)))
    y = checkpoint(lambda x, w: OURS[2](x, w).relu(), x, w, use_reentrant=reentrant)
    y.square().sum().backward()
    expected = torch.autograd.grad(F.conv2d(x, w).relu().square().sum(), (x, w))
    assert torch.equal(x.grad, expected[0]) and torch.equal(w.grad, expected[1])


@pytest.mark.parametrize("fast", ["bfloat16", "float16"])
@pytest.mark.parametrize("kind", ["Conv2d", "ConvTranspose2d"])
def test_autocast(rng, kind, fast):
    """It is computed in float32, and the result has the dtype of PyTorch's."""
    theirs = getattr(torch.nn, kind)(4, 6, 3)
    ours = fastconv.torch.replace_convs(copy.deepcopy(theirs))
    x = torch.from_numpy(cases.reals(rng, (2, 4, 6, 6), "float32"))
    wide = x.clone().requires_grad_()
    for first in (torch.nn.Identity(), torch.nn.Linear(6, 6)):  # which gives the small dtype
        with torch.autocast("cpu", dtype=getattr(torch, fast)):
            results = [m(first(wide)) for m in (ours, theirs)]
            assert OURS[2](x.double(), torch.ones(6, 4, 3, 3).double()).dtype == torch.float64  # as PyTorch leaves it
        assert results[0].dtype == results[1].dtype == getattr(torch, fast)
        ours.zero_grad()
        theirs.zero_grad()
        inputs = [torch.autograd.grad(y.sum(), wide, retain_graph=True)[0] for y in results]
        for y in results:
            y.sum().backward()
        assert ours.weight.grad.dtype == inputs[0].dtype == torch.float32
        for a, b in ((*results,), (*inputs,), (ours.weight.grad, theirs.weight.grad)):
            torch.testing.assert_close(a.float(), b.float(), rtol=2**-5, atol=2**-5 * float(b.detach().abs().max()))


def test_without_gradients(rng):
    x, w = tensors(rng, ((2, 4, 5, 5), (3, 4, 2, 2)))
    expected = F.conv2d(x, w).detach()
    with torch.no_grad():
        assert not OURS[2](x, w).requires_grad
        with forward_ad.dual_level():  # forward derivatives go on
            dual = OURS[2](forward_ad.make_dual(x, x.clone()), w)
            assert torch.equal(forward_ad.unpack_dual(dual).tangent, expected)
    with torch.inference_mode():
        y = OURS[2](x, w)
        assert y.is_inference() and torch.equal(y, expected)


def test_tensors_changed_in_between_are_noticed(rng):
    x, w = tensors(rng, ((2, 4, 5, 5), (3, 4, 2, 2)))
    y = OURS[2](x, w).sum()
    with torch.no_grad():
        w += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def gradients(m, x):
    m.zero_grad()
    y = m(x)
    y.square().sum().backward()
    return y, *(p.grad for p in m.parameters())


@pytest.mark.parametrize("dynamic", [True, *only_deep(False)])
def test_compiled_models(rng, dynamic):
    theirs = model()
    ours = fastconv.torch.replace_convs(copy.deepcopy(theirs))
    torch._dynamo.reset()
    compiled = torch.compile(ours, backend="aot_eager", fullgraph=True, dynamic=dynamic)
    for images in (2, 3, 5):
        x = torch.from_numpy(cases.reals(rng, (images, 3, 9, 8), "float64"))
        for one, other in zip(gradients(compiled, x), gradients(theirs, x), strict=True):
            torch.testing.assert_close(one, other)


def test_exported_models(rng):
    theirs = model()
    ours = fastconv.torch.replace_convs(copy.deepcopy(theirs))
    x = torch.from_numpy(cases.reals(rng, (2, 3, 9, 8), "float64"))
    exported = torch.export.export(ours, (x,), dynamic_shapes=({0: torch.export.Dim("images")},))
    assert "fastconv.conv" in exported.graph_module.code
    for one, other in zip(
        gradients(exported.module(), x.repeat(2, 1, 1, 1)), gradients(theirs, x.repeat(2, 1, 1, 1)), strict=True
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("transform", [grad, lambda f: lambda x: jvp(f, (x,), (x,))[1]], ids=["grad", "jvp"])
def test_transforms_inside_compiled_code_are_right_or_refused(rng, transform):
    """They saw a result that did not depend on anything: zeros."""
    x, w = (t.detach() for t in tensors(rng, ((2, 4, 5, 5), (3, 4, 2, 2))))
    torch._dynamo.reset()
    try:
        got = torch.compile(transform(lambda x: (OURS[2](x, w) ** 2).sum()), backend="eager")(x)
    except Exception:  # whatever PyTorch raises
        return
    torch.testing.assert_close(got, transform(lambda x: (F.conv2d(x, w) ** 2).sum())(x))


@every_layer
def test_operations_know_the_shapes_of_their_results(functions, x_shape, w_shape, how):
    """With tensors that have shapes only, and real ones, forward and backward."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    def shapes():
        channels = w_shape[0] if functions is OURS else w_shape[1] * how.get("groups", 1)
        x, w, b = (torch.ones(s, requires_grad=True) for s in (x_shape, w_shape, (channels,)))
        y = functions[len(w_shape) - 2](x, w, b, **how)
        first = torch.autograd.grad(y.square().sum(), (x, w, b), create_graph=True)
        return [t.shape for t in (y, *first, *torch.autograd.grad(sum(g.square().sum() for g in first), (x, w)))]

    real = shapes()
    with FakeTensorMode():
        assert shapes() == real


@pytest.mark.parametrize("bad", [(1, 5, 5, 5), (1, 4, 1, 5), (4, 5)])
def test_operations_check_what_graphs_give_them(bad):
    """Shapes of graphs that were traced with others."""
    how = ((1, 1), (0, 0, 0, 0), (1, 1), (0, 0), 1, "zeros", False, "default", False)
    x, w, y = torch.ones(bad), torch.ones(3, 4, 2, 2), torch.ones(1, 3, 4, 4)
    for call in (
        lambda: torch.ops.fastconv.conv(x, w, None, *how),
        lambda: torch.ops.fastconv.conv_transpose(x, w, None, *how),
        lambda: torch.ops.fastconv.gradient(x, None, y, w.shape, *how),
        lambda: torch.ops.fastconv.gradient(None, w, y, x.shape, *how),
    ):
        with pytest.raises((ValueError, TypeError)):
            call()


def test_negative_and_zero_tensors(rng):
    """Tensors whose sign is only marked, and tangents that are only known to be zero."""
    z = torch.from_numpy(cases.reals(rng, (1, 2, 4, 4), "complex128"))
    negative = z.conj().imag
    assert negative.is_neg()
    w = torch.from_numpy(cases.reals(rng, (3, 2, 2, 2), "float64"))
    torch.testing.assert_close(OURS[2](negative, w), -OURS[2](z.imag.clone(), w))
    _, tangent = jvp(lambda x: OURS[2](x.detach(), w) + x.sum(), (z.real,), (z.real,))
    torch.testing.assert_close(tangent, z.real.sum().expand(tangent.shape))
    assert isinstance(np.asarray(tangent), np.ndarray)
