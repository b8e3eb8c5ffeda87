# SPDX-License-Identifier: BSD-3-Clause
"""Modules of PyTorch as networks: they give the same, by the same names; what is not known is refused by its path."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from fastconv import nn

torch = pytest.importorskip("torch")
tnn, F = torch.nn, torch.nn.functional


class Block(tnn.Module):
    """Of ResNet: a sum with what it is given, or with a layer of it; one activation, called twice."""

    def __init__(self, channels, stride=1):
        super().__init__()
        self.conv1 = tnn.Conv2d(channels, channels * stride, 3, stride, 1, bias=False)
        self.bn1 = tnn.BatchNorm2d(channels * stride)
        self.relu = tnn.ReLU(inplace=True)
        self.conv2 = tnn.Conv2d(channels * stride, channels * stride, 3, 1, 1, bias=False)
        self.bn2 = tnn.BatchNorm2d(channels * stride)
        self.strides = stride > 1
        if self.strides:
            wider = tnn.Conv2d(channels, channels * stride, 1, stride)
            self.down = tnn.Sequential(wider, tnn.BatchNorm2d(channels * stride))

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += self.down(x) if self.strides else x
        return self.relu(y)


class Residual(tnn.Module):
    def __init__(self):
        super().__init__()
        self.stem = tnn.Sequential(tnn.Conv2d(3, 4, 3, 2, 1), tnn.BatchNorm2d(4), tnn.ReLU6(), tnn.MaxPool2d(3, 2, 1))
        self.blocks = tnn.Sequential(Block(4), Block(4, 2))
        self.avgpool = tnn.AdaptiveAvgPool2d(1)
        self.fc = tnn.Linear(8, 5)

    def forward(self, x):
        return self.fc(torch.flatten(self.avgpool(self.blocks(self.stem(x))), 1))


class UNet(tnn.Module):
    def __init__(self):
        super().__init__()
        self.down = tnn.Sequential(tnn.Conv2d(3, 4, 3, padding=1), tnn.ReLU())
        self.deep = tnn.Conv2d(4, 8, 3, padding="same", padding_mode="reflect", groups=2)
        self.up = tnn.ConvTranspose2d(8, 4, 2, 2, bias=False)
        self.norm = tnn.BatchNorm2d(4)
        self.out = tnn.Conv2d(8, 2, 1)

    def forward(self, x):
        a = self.down(x)
        b = F.relu(self.deep(F.max_pool2d(a, 2)))
        return self.out(torch.cat([a, self.norm(self.up(b))], dim=1)).sigmoid()


class Functions(tnn.Module):
    def __init__(self):
        super().__init__()
        self.conv = tnn.Conv1d(3, 4, 3, dilation=2)

    def forward(self, x):
        y = torch.relu(self.conv(x))
        y = F.hardtanh(F.relu6(y), -0.5, max_val=0.5)
        y = F.avg_pool1d(y, 3, stride=2, padding=1, ceil_mode=True, count_include_pad=False)
        y = torch.add(y, torch.sigmoid(y)) + F.max_pool1d(y, 3, 1, 1)
        y = F.dropout(F.adaptive_max_pool1d(y, 3), training=self.training)
        return F.softmax(torch.cat((y, F.adaptive_avg_pool1d(y, 3)), 2).flatten(1), dim=1)


MODULES = {
    "ResNet": (Residual, (2, 3, 33, 30)),
    "U-Net": (UNet, (2, 3, 16, 12)),
    "functions": (Functions, (2, 3, 24)),
    "LeNet": (
        lambda: tnn.Sequential(
            tnn.Sequential(tnn.Conv2d(1, 6, 5, padding=2), tnn.Sigmoid(), tnn.AvgPool2d(2)),
            tnn.Sequential(tnn.Conv2d(6, 8, 5), tnn.Hardtanh(-1, 2), tnn.AvgPool2d(2, divisor_override=3)),
            tnn.Flatten(),
            tnn.Dropout(),
            tnn.Linear(200, 7, bias=False),
            tnn.Identity(),
            tnn.Softmax(-1),
        ),
        (3, 1, 28, 28),
    ),
    "volumes": (
        lambda: tnn.Sequential(
            tnn.ConvTranspose3d(2, 4, 3, 2, 1, 1, groups=2, dilation=1),
            tnn.BatchNorm3d(4, affine=False),
            tnn.MaxPool3d(2, dilation=1),
            tnn.Conv3d(4, 2, (1, 2, 3), stride=(2, 1, 1)),
            tnn.AdaptiveMaxPool3d((1, None, 2)),
        ),
        (1, 2, 5, 6, 4),
    ),
    "rows": (lambda: tnn.Sequential(tnn.Linear(6, 4), tnn.BatchNorm1d(4), tnn.ReLU()), (5, 6)),
    "a layer": (lambda: tnn.Conv2d(3, 4, (3, 2), padding=(1, 0)), (2, 3, 7, 8)),
}


def trained(make):
    """With statistics that are not those of the beginning."""
    torch.manual_seed(0)
    module = make().double()
    for name, buffer in module.named_buffers():
        if buffer.dtype == torch.float64:
            buffer.copy_(torch.rand_like(buffer) + 0.5 if name.endswith("var") else torch.randn_like(buffer))
    return module.eval()


@pytest.mark.parametrize("name", MODULES)
def test_modules_give_the_same(name):
    make, shape = MODULES[name]
    module, x = trained(make), np.random.default_rng(0).standard_normal(shape)
    network = nn.from_torch(module, threads=1)
    expected = module(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(network(x), expected, rtol=1e-10, atol=1e-12)
    state = {key for key in module.state_dict() if not key.endswith("num_batches_tracked")}
    assert set(network.state_dict()) == state
    network.load_state_dict(module.state_dict())
    assert isinstance(network, nn.Sequential) == (name in ("LeNet", "volumes", "rows"))
    if isinstance(network, nn.Graph):
        folded = network.folded()
        np.testing.assert_allclose(folded(x), expected, rtol=1e-10, atol=1e-12)
    for p in module.parameters():  # weights are copies
        p.data.zero_()
    np.testing.assert_allclose(network(x), expected, rtol=1e-10, atol=1e-12)


def test_a_residual_network_is_folded():
    network = nn.from_torch(trained(Residual)).folded()
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds == ["Conv2d", "MaxPool2d", *["Conv2d", "ConvAdd"], *["Conv2d", "Conv2d", "ConvAdd"], *kinds[-3:]]


def test_saved_networks_of_torch(tmp_path):
    network = nn.from_torch(Residual().eval())
    x = np.ones((1, 3, 32, 32), np.float32)
    for one in network, network.folded():
        one.save(tmp_path / "network")
        again = nn.Graph.load(tmp_path / "network")
        np.testing.assert_array_equal(again(x), one(x))
        assert repr(again) == repr(one)


class Forward(tnn.Module):
    def __init__(self, forward, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self.of = forward

    def forward(self, x):
        return self.of(self, x)


class Two(tnn.Module):
    def forward(self, x, y):
        return x + y


def hooked(module=None):
    module = tnn.Conv2d(1, 1, 1) if module is None else module
    module.register_forward_hook(lambda *_: None)
    return module


def changed(module=None):
    module = tnn.Conv2d(1, 1, 1) if module is None else module
    module.forward = lambda x: 2 * x
    return module


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: 3, TypeError, "module must be a torch.nn.Module; got 3"),
        (lambda: tnn.Conv2d, TypeError, "module must be a torch.nn.Module"),
        (
            lambda: tnn.Sequential(tnn.Sequential(tnn.LSTM(2, 2), tnn.CELU()), tnn.Mish()),
            TypeError,
            r"module\.0\.0 is a torch\.nn\.\S+LSTM; module\.0\.1 is .*CELU; module\.1 .*Mish\. Known are Conv1d",
        ),
        (lambda: Forward(lambda s, x: torch.fft.fft(x)), TypeError, "calls the function fft"),
        (lambda: Forward(lambda s, x: x.add_(x)), TypeError, "calls the method add_ of a tensor"),
        (lambda: Forward(lambda s, x: x * 2), TypeError, "calls the function mul"),
        (lambda: Forward(lambda s, x: x + 2), ValueError, "module.add takes 2 where tensors"),
        (lambda: Forward(lambda s, x: torch.add(x, x, alpha=2)), ValueError, "module.add calls add.*alpha must be 1"),
        (lambda: Forward(lambda s, x: x if x.sum() > 0 else -x), TypeError, "cannot be traced"),
        (lambda: Forward(lambda s, x: (x, x)), TypeError, "module.output is not one tensor"),
        (lambda: Forward(lambda s, x: s.c(s.c(x)), c=tnn.Conv2d(1, 1, 1)), TypeError, "module.c is called twice"),
        (lambda: Forward(lambda s, x: s.r(x) + x, r=tnn.ReLU(True)), TypeError, "module.r changes in place"),
        (lambda: Forward(lambda s, x: F.relu(x, inplace=True) + x), TypeError, "module.relu changes in place"),
        (lambda: Forward(lambda s, x: (s.r(x), x)[1], r=tnn.ReLU(True)), TypeError, "module.r changes in place"),
        (lambda: Forward(lambda s, x: (F.relu(x, inplace=True), x)[1]), TypeError, "module.relu changes in place"),
        (lambda: Forward(lambda s, x: (x.mul_(2), x)[1]), TypeError, "module.mul_ changes in place"),
        (lambda: Forward(lambda s, x: (torch.relu_(x.view(-1)), x)[1]), TypeError, "module.relu_ changes in place"),
        (lambda: Forward(lambda s, x: s.r(s.i(x)) + x, r=tnn.ReLU(True), i=tnn.Identity()), TypeError, "module.r ch"),
        (lambda: Forward(lambda s, x: x.flatten(1) + s.r(x).flatten(1), r=tnn.ReLU(True)), TypeError, "module.r ch"),
        (lambda: Forward(lambda s, x: x + s.w, w=tnn.Parameter(torch.ones(1))), TypeError, "module.w is taken as a"),
        (lambda: Two(), TypeError, "module.y is a second argument"),
        (lambda: tnn.Sequential(hooked()), TypeError, r"module\.0 is a .*Conv2d with hooks"),
        (lambda: hooked(tnn.Sequential()), TypeError, "module Sequential cannot be converted: it is one with hooks"),
        (lambda: tnn.Sequential(changed()), TypeError, r"module\.0 is a .*Conv2d with a forward\(\) of its own"),
        (lambda: changed(tnn.Sequential()), TypeError, r"module Sequential cannot .* with a forward\(\) of its own"),
        (lambda: tnn.Sequential(tnn.BatchNorm2d(2, track_running_stats=False)), ValueError, r"module\.0, .*track"),
        (lambda: tnn.Sequential(tnn.BatchNorm2d(2, momentum=None)), TypeError, r"module\.0, .*momentum"),
        (lambda: tnn.Sequential(tnn.MaxPool2d(2, return_indices=True)), ValueError, r"module\.0, .*return_indices"),
        (lambda: tnn.Sequential(tnn.Softmax()), TypeError, r"module\.0, .*dim must be an integer; got None"),
    ],
)  # fmt: skip
def test_what_is_refused(make, error, says):
    with pytest.raises(error, match=says):
        nn.from_torch(make())


def test_an_activation_in_place_of_what_is_not_seen_again():
    module = Forward(lambda s, x: s.r(s.c(x)) + x, r=tnn.ReLU(True), c=tnn.Conv2d(1, 1, 1))
    x = torch.randn(1, 1, 3, 3)
    np.testing.assert_allclose(nn.from_torch(module)(x), module(x).detach(), rtol=1e-6)


def test_activations_in_place_one_after_the_other():
    module = Forward(
        lambda s, x: s.b(s.a(s.c(x))).flatten(1), a=tnn.ReLU(True), b=tnn.ReLU6(True), c=tnn.Conv2d(1, 1, 1)
    )
    x = torch.randn(1, 1, 3, 3)
    np.testing.assert_allclose(nn.from_torch(module)(x), module(x).detach(), rtol=1e-6)


def test_layers_keep_names_that_functions_have_too():
    module = Forward(lambda s, x: s.relu(s.add(F.relu(x + x))), add=tnn.Conv2d(1, 1, 1), relu=tnn.Conv2d(1, 1, 1))
    network, x = nn.from_torch(module), torch.randn(1, 1, 3, 3)
    assert network.state_dict().keys() == module.state_dict().keys()
    np.testing.assert_allclose(network(x), module(x).detach(), rtol=1e-5, atol=1e-6)


def test_parameters_of_pytorch_are_taken():
    module, layer = tnn.Linear(3, 2), nn.Linear(3, 2)
    layer.load_state_dict(dict(module.named_parameters()))
    layer.bias = module.bias
    x = torch.ones(1, 3)
    np.testing.assert_allclose(layer(x), module(x).detach(), rtol=1e-6)
    with torch.no_grad():
        module.weight.zero_()
    assert layer.weight.all()


def test_bfloat16_becomes_float32():
    """By `from_torch`, `from_weights`, `load_state_dict` and assignment, of PyTorch and of ml_dtypes."""
    module = tnn.Sequential(tnn.Conv2d(2, 3, 3), tnn.BatchNorm2d(3), tnn.Flatten(), tnn.Linear(3, 2)).eval().bfloat16()
    x, wide = torch.randn(1, 2, 3, 3), tnn.Sequential(*module).float()
    expected = wide(x).detach().numpy()
    network = nn.from_torch(wide.bfloat16())
    assert {a.dtype for a in network.state_dict().values()} == {np.dtype(np.float32)}
    np.testing.assert_allclose(network(x), expected, rtol=1e-5, atol=1e-6)
    again = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 2))
    again.load_state_dict(module.state_dict())
    np.testing.assert_array_equal(again(x), network(x))
    weight = module[0].weight
    for layer in nn.Conv2d.from_weights(weight, module[0].bias), nn.ConvTranspose2d.from_weights(weight):
        np.testing.assert_array_equal(layer.weight, weight.detach().float())
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.array([[0.1, 2.0, 3.0]], ml_dtypes.bfloat16)
    layer = nn.Linear.from_weights(array)
    assert layer.weight.dtype == np.float32 and (layer.weight == array.astype("f4")).all()
    half = nn.Linear(3, 1, dtype="float16")
    half.weight = torch.ones(1, 3, dtype=torch.bfloat16)
    assert (half.weight == 1).all() and half.weight.dtype == np.float16


def test_without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r'pip install "fastconv\[torch\]"'):
        nn.from_torch(3)
