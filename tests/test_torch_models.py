# SPDX-License-Identifier: BSD-3-Clause
"""Models of PyTorch whose layers are replaced: every kind, dtype and place in memory, and what becomes of them."""

from __future__ import annotations

import copy
import io
import pickle

import cases
import numpy as np
import pytest
from conftest import only_deep

torch = pytest.importorskip("torch")

from torch.nn.utils import parametrizations, parametrize, spectral_norm, weight_norm  # noqa: E402

import fastconv.torch  # noqa: E402
from fastconv import nn, torch_modules  # noqa: E402

LAST = {2: torch.channels_last, 3: torch.channels_last_3d}


def replaced(model, **how):
    return fastconv.torch.replace_convs(copy.deepcopy(model), **how)


def gradients(model, *inputs, **how):
    """The output, and the gradients of all parameters and of the first input."""
    x = inputs[0].detach().clone(memory_format=torch.preserve_format).requires_grad_()
    model.zero_grad()
    y = model(x, *inputs[1:], **how)
    (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)).sum().backward()
    return y, x.grad, *(p.grad for p in model.parameters())


def same(ours, theirs, *inputs, rtol=1e-5, strides=True, **how):
    for a, b in zip(gradients(ours, *inputs, **how), gradients(theirs, *inputs, **how), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        if strides:
            assert [s for s, n in zip(a.stride(), a.shape, strict=True) if n > 1] == [
                s for s, n in zip(b.stride(), b.shape, strict=True) if n > 1
            ]
        torch.testing.assert_close(a, b, rtol=rtol, atol=rtol * (1 + float(b.detach().abs().max())))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [*only_deep({}), dict(stride=2, padding=1, output_padding=1, groups=2, dilation=2, bias=False)],
    ids=str,
)
def test_transposed(rng, rank, options):
    theirs = getattr(torch.nn, f"ConvTranspose{rank}d")(4, 6, 3, **options).double()
    ours = replaced(theirs)
    assert type(ours) is getattr(torch_modules, f"ConvTranspose{rank}d") and ours.state_dict().keys() == {
        *theirs.state_dict()
    }
    x = torch.from_numpy(cases.reals(rng, (2, 4, *[5] * rank), "float64"))
    same(ours, theirs, x)
    same(ours, theirs, x[0])
    if options:
        same(ours, theirs, x, output_size=[n - 1 for n in theirs(x).shape[2:]])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["Conv2d", "ConvTranspose2d"])
def test_small_dtypes(rng, kind, dtype):
    """They are computed in float32, so that results differ from PyTorch's by a bit of theirs, of all terms."""
    theirs = getattr(torch.nn, kind)(8, 6, 3, padding=1).to(dtype)
    ours = replaced(theirs)
    x = torch.from_numpy(cases.reals(rng, (2, 8, 7, 6), "float32")).to(dtype)
    same(ours, theirs, x, rtol=2**-6 if dtype == torch.bfloat16 else 2**-8)
    expected = copy.deepcopy(theirs).float()(x.float()).to(dtype)
    for y in (ours(x), torch.no_grad()(ours)(x)):
        torch.testing.assert_close(y, expected, rtol=torch.finfo(dtype).eps, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, *only_deep(torch.float64, torch.float16, torch.bfloat16)])
@pytest.mark.parametrize(
    ("kind", "channels", "taps", "groups"),
    [("Conv", 6, 3, 1), ("Conv", 4, 3, 4), ("Conv", 6, 1, 1), ("Conv", 1, 3, 1), ("ConvTranspose", 6, 3, 1)],
)
@pytest.mark.parametrize("rank", [2, *only_deep(3)])
@pytest.mark.parametrize("last", ["input", "weight", "both"])
def test_channels_lie_last_where_pytorchs_do(rng, kind, channels, taps, groups, rank, dtype, last):
    theirs = getattr(torch.nn, f"{kind}{rank}d")(4, channels, taps, groups=groups).to(dtype)
    x = torch.from_numpy(cases.reals(rng, (2, 4, *[5] * rank), "float32")).to(dtype)
    if last != "input":
        theirs = theirs.to(memory_format=LAST[rank])
    if last != "weight":
        x = x.to(memory_format=LAST[rank])
    ours, rtol = replaced(theirs), {torch.float32: 1e-5, torch.float64: 1e-12}.get(dtype, 2**-6)
    same(ours, theirs, x, rtol=rtol, strides=rank == 2)  # where PyTorch keeps volumes so depends on its threads
    same(ours, theirs, x[0], rtol=rtol, strides=False)
    if rank == 2 or dtype in (torch.float32, torch.bfloat16):
        assert ours(x).is_contiguous(memory_format=LAST[rank])
    with torch.no_grad():
        for _ in range(2):  # what is kept of the weights
            torch.testing.assert_close(ours(x), theirs(x), rtol=rtol, atol=rtol)
            assert ours(x).stride() == ours(x.clone().requires_grad_()).stride()


NORMS = {
    "weight norm": parametrizations.weight_norm,
    "spectral norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "old weight norm": weight_norm,
    "old spectral norm": spectral_norm,
}


@pytest.mark.parametrize("norm", ["weight norm", *only_deep(*list(NORMS)[1:])])
@pytest.mark.parametrize("kind", ["ConvTranspose1d", *only_deep("Conv2d")])
@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_parametrised_layers(rng, kind, norm):
    models = []
    for _ in range(2):  # the old weight norm cannot be copied
        torch.manual_seed(0)
        models.append(torch.nn.Sequential(NORMS[norm](getattr(torch.nn, kind)(4, 6, 3)), torch.nn.ReLU()).double())
    theirs, ours = models[0], fastconv.torch.replace_convs(models[1])
    assert ours.state_dict().keys() == theirs.state_dict().keys() and "torch.nn" not in str(type(ours[0]).__mro__[1])
    x = torch.from_numpy(cases.reals(rng, (2, 4, 7, 6)[: 4 - (kind[-2] == "1")], "float64"))
    same(ours, theirs, x)
    for m in (ours, theirs):  # a step changes what the weights are made of
        gradients(m, x)
        torch.optim.SGD(m.parameters(), lr=0.1).step()
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x))
        ours, theirs = (m if norm == "old weight norm" else copy.deepcopy(m) for m in (ours.eval(), theirs.eval()))
        torch.testing.assert_close(fastconv.torch.replace_convs(ours, accuracy="exact")(x), theirs(x))
    assert ours[0].accuracy == "exact"


def test_parametrisations_come_and_go(rng):
    theirs = torch.nn.Conv2d(4, 6, 3)
    x = torch.from_numpy(cases.reals(rng, (2, 4, 7, 6), "float32"))
    ours = parametrizations.weight_norm(replaced(theirs))
    torch.testing.assert_close(ours(x), theirs(x))
    twin = copy.deepcopy(parametrizations.weight_norm(copy.deepcopy(theirs)))
    other = fastconv.torch.replace_convs(copy.deepcopy(twin))
    assert not isinstance(twin, torch_modules.Conv2d) and isinstance(other, torch_modules.Conv2d)  # classes are shared
    for m in (ours, other):
        parametrize.remove_parametrizations(m, "weight")
        assert type(m) is torch_modules.Conv2d
        torch.testing.assert_close(m(x), theirs(x))


def learning():
    """A layer that learns its weights, and an input."""
    torch.manual_seed(0)
    return replaced(torch.nn.Conv2d(64, 64, 3, padding=1)), torch.randn(1, 64, 28, 28)


CHANGES = {
    "optimiser": lambda m: torch.optim.SGD(m.parameters(), lr=0.1).step(),
    "optimiser, all at once": lambda m: torch.optim.AdamW(m.parameters(), lr=0.1, foreach=True).step(),
    "in place": lambda m: m.weight.mul_(2),
    "one element": lambda m: m.weight[3, 2, 1].fill_(9),
    "load_state_dict": lambda m: m.load_state_dict({name: 2 * t for name, t in m.state_dict().items()}),
    "load_state_dict, assigned": lambda m: m.load_state_dict(
        {name: 2 * t for name, t in m.state_dict().items()}, assign=True
    ),
    "data": lambda m: m.weight.data.mul_(2),
    "data, assigned": lambda m: setattr(m.weight, "data", 2 * m.weight),
    "parameter": lambda m: setattr(m, "weight", torch.nn.Parameter(2 * m.weight)),
    "vector": lambda m: torch.nn.utils.vector_to_parameters(
        2 * torch.nn.utils.parameters_to_vector(m.parameters()), m.parameters()
    ),
    "bias": lambda m: m.bias.add_(1),
    "no bias": lambda m: setattr(m, "bias", None),
    "array": lambda m: m.weight.detach().numpy().__imul__(2),
    "dtype": lambda m: m.double(),
    "bfloat16": lambda m: m.bfloat16(),
    "channels last": lambda m: m.to(memory_format=torch.channels_last).weight.mul_(2),
    "told": lambda m: (
        m.weight.detach().numpy()[3].fill(9),
        torch.autograd.graph.increment_version(m.weight),
    ),
    "stride": lambda m: setattr(m, "stride", (2, 2)),
    "accuracy": lambda m: fastconv.torch.replace_convs(m, accuracy="fast"),
}


@pytest.mark.parametrize(
    "change",
    [
        "optimiser",
        "data",
        "parameter",
        *only_deep(*(c for c in CHANGES if c not in ("optimiser", "data", "parameter"))),
    ],
)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_weights_that_change_are_learnt_again(change, mode):
    m, x = learning()
    m(x).square().sum().backward()
    with torch.no_grad():
        for _ in range(2):
            before = m(x)
        CHANGES[change](m)
    with mode():
        after, again = (m(x.to(m.weight.dtype)) for _ in range(2))
        fresh = copy.deepcopy(m)(x.to(m.weight.dtype))
    assert torch.equal(after, fresh) and torch.equal(again, fresh)
    assert after.shape != before.shape or not torch.equal(after.float(), before)


def test_what_is_learnt():
    """It serves calls without derivatives, of any shape, and nothing else."""
    m, x = learning()
    assert m._learnt._made is None
    m(x)
    assert m._learnt._made is None
    with torch.no_grad():
        y = m(x)
    made = m._learnt._made
    explained = nn.explain(x.shape, m.weight.shape, padding=1)
    if explained.tile:
        assert set(made.by_shape) == {x.shape} and made.by_shape[x.shape].nbytes > m.weight.nbytes
    torch.testing.assert_close(y, m(x), rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        assert torch.equal(m(x[:, :, :20])[:, :, :18], y[:, :, :18]) or not explained.tile
        m(x)
        assert m._learnt._made is made
        for n in range(3, 80):
            m(x[:, :, :n, :4])
        assert len(m._learnt._made.by_shape) <= 64
        assert torch.vmap(m)(x[None]).shape == (1, *x.shape)
        assert torch.func.functional_call(m, {"weight": m.weight * 2}, x).shape == x.shape
        z = m(torch.zeros(0, 64, 28, 28))
        assert z.shape == (0, 64, 28, 28)
    with torch.inference_mode():
        assert m(x).is_inference() and replaced(torch.nn.Conv2d(64, 64, 3))(x).shape == (1, 64, 26, 26)


def test_copies_and_files(rng):
    theirs = torch.nn.Sequential(torch.nn.Conv2d(64, 64, 3), torch.nn.ReLU(), torch.nn.ConvTranspose2d(64, 4, 2))
    ours = replaced(theirs, accuracy="fast")
    x = torch.from_numpy(cases.reals(rng, (1, 64, 12, 12), "float32"))
    with torch.no_grad():
        y = ours(x)
    size = len(pickle.dumps(theirs))
    assert len(pickle.dumps(ours)) < size + 1000  # what was learnt is left out
    file = io.BytesIO()
    torch.save(ours, file)
    file.seek(0)
    plain = replaced(
        torch.nn.Sequential(torch.nn.Conv2d(64, 64, 3), torch.nn.ReLU(), torch.nn.ConvTranspose2d(64, 4, 2))
    )
    plain.load_state_dict(theirs.state_dict())
    for m in (
        copy.copy(ours),
        copy.deepcopy(ours),
        pickle.loads(pickle.dumps(ours)),
        torch.load(file, weights_only=False),
    ):
        with torch.no_grad():
            assert torch.equal(m(x), y) and m[0].accuracy == "fast"
    torch.testing.assert_close(plain(x), theirs(x))


@pytest.mark.deep
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::torch.jit.TracerWarning")
def test_torchscript(rng):
    """Scripted models call Python; traced ones have the operations, and derivatives of a file's."""
    theirs = torch.nn.Sequential(torch.nn.Conv2d(4, 6, 3), torch.nn.ReLU(), torch.nn.ConvTranspose2d(6, 4, 2, 2))
    ours = replaced(theirs)
    x = torch.from_numpy(cases.reals(rng, (2, 4, 6, 6), "float32"))
    same(torch.jit.script(ours), theirs, x)
    with pytest.raises(RuntimeError, match="Python function"):
        torch.jit.save(torch.jit.script(ours), io.BytesIO())
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(ours, x), file)
    file.seek(0)
    same(torch.jit.load(file), theirs, x)


@pytest.mark.deep
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_operations_are_as_pytorch_wants_them(rng):
    shapes = (2, 4, 6, 7), (6, 2, 3, 2), (6,), (2, 6, 4, 6)
    x, w, b, y = (torch.from_numpy(cases.reals(rng, s, "float64")).requires_grad_() for s in shapes)
    ops, how = torch.ops.fastconv, ((1, 1), (0, 0, 0, 0), (1, 1), (0, 0), 2, "zeros", False, "default", True)
    for operation, arguments in (
        (ops.conv, (x, w, b, *how)),
        (ops.conv_transpose, (y, w, None, *how)),
        (ops.gradient, (x, None, y, w.shape, *how)),
        (ops.gradient, (None, w, y, x.shape, *how)),
        (ops.channel_sums, (y,)),
    ):
        torch.library.opcheck(operation.default, arguments)


@pytest.mark.deep
def test_compiled_and_exported(rng):
    """With inductor, where that finds a compiler; what compiles without is tested with derivatives."""
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(4, 6, 3, padding=1),
        torch.nn.ReLU(),
        parametrizations.weight_norm(torch.nn.Conv2d(6, 6, 3)),
        torch.nn.ConvTranspose2d(6, 4, 2, 2),
    ).to(memory_format=torch.channels_last)
    ours = replaced(theirs)
    torch._dynamo.reset()
    x = torch.from_numpy(cases.reals(rng, (2, 4, 6, 6), "float32"))
    compiled = torch.compile(ours, fullgraph=True)
    try:
        compiled(x)
    except Exception:
        compiled = torch.compile(ours, fullgraph=True, backend="aot_eager")
    for images in (2, 5):
        x = torch.from_numpy(cases.reals(rng, (images, 4, 6, 6), "float32"))
        same(compiled, theirs, x)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(compiled(x), theirs(x), rtol=2**-5, atol=2**-4)
    small = copy.deepcopy(ours).bfloat16()
    exported = torch.export.export(small, (x.bfloat16(),)).module()
    assert torch.equal(exported(x.bfloat16()), small(x.bfloat16()))


@pytest.mark.parametrize("kind", ["Conv1d", "Conv2d", "Conv3d"])
def test_layer_objects_take_parameters(kind):
    theirs = getattr(torch.nn, kind)(2, 3, 2)
    layer = getattr(nn, kind).from_weights(theirs.weight, theirs.bias)
    x = torch.ones(1, 2, *[4] * int(kind[-2]))
    np.testing.assert_allclose(layer(x), theirs(x).detach(), rtol=1e-5)
    with torch.no_grad():
        theirs.weight += 1  # a copy was taken
    np.testing.assert_array_equal(layer.weight + np.float32(1), theirs.weight.detach())
