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


class Gate(tnn.Module):
    """Squeeze and excitation, as EfficientNet has it, or as SENet, with rows and views."""

    def __init__(self, channels, rows=False):
        super().__init__()
        self.rows = rows
        layer = tnn.Linear if rows else lambda i, o: tnn.Conv2d(i, o, 1)
        self.fc = tnn.Sequential(layer(channels, 2), tnn.SiLU(), layer(2, channels), tnn.Hardsigmoid())

    def forward(self, x):
        b, c, _, _ = x.size()
        y = x.mean([2, 3], keepdim=True)
        if self.rows:
            return x * self.fc(F.adaptive_avg_pool2d(x, 1).view(b, c)).view(b, c, 1, 1).expand_as(x)
        return self.fc(y) * x


class EfficientNet(tnn.Module):
    def __init__(self):
        super().__init__()
        self.stem = tnn.Sequential(tnn.Conv2d(3, 4, 3, 2, 1, bias=False), tnn.BatchNorm2d(4), tnn.SiLU(True))
        self.widen = tnn.Sequential(tnn.Conv2d(4, 8, 1), tnn.BatchNorm2d(8), tnn.Hardswish(True))
        self.deep = tnn.Sequential(tnn.Conv2d(8, 8, 5, 1, 2, groups=8), tnn.SiLU(), Gate(8), Gate(8, True))
        self.narrow = tnn.Sequential(tnn.Conv2d(8, 4, 1), tnn.BatchNorm2d(4))
        self.drop, self.head = tnn.Dropout2d(0.2), tnn.Linear(4, 3)

    def forward(self, x):
        x = self.stem(x)
        y = self.drop(self.narrow(self.deep(self.widen(x))))
        y += x
        return self.head(F.dropout(y.mean((2, 3)), 0.2, self.training))


def shuffled(x, groups):
    n, c, h, w = x.size()
    x = torch.transpose(x.view(n, groups, c // groups, h, w), 1, 2).contiguous()
    return x.view(n, c, h, w)


class ShuffleNet(tnn.Module):
    def __init__(self):
        super().__init__()
        self.branch = tnn.Sequential(tnn.Conv2d(4, 4, 1), tnn.BatchNorm2d(4), tnn.ReLU(True))
        self.down = tnn.Conv2d(8, 8, 3, 2, 1, groups=8)
        self.shuffle = tnn.ChannelShuffle(4)
        self.head = tnn.Linear(8, 3)

    def forward(self, x):
        one, two = x.chunk(2, dim=1)
        x = shuffled(torch.cat((one, self.branch(two)), dim=1), 2)
        first, rest = torch.split(x, [2, 6], dim=1)
        x = self.shuffle(self.down(torch.cat([rest, first], 1)))
        return self.head(x.mean([2, 3]))


class DenseLayer(tnn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm, self.conv = tnn.BatchNorm2d(channels), tnn.Conv2d(channels, 2, 3, padding=1, bias=False)

    def forward(self, features):
        return self.conv(F.relu(self.norm(torch.cat(features, 1))))


class DenseNet(tnn.Module):
    def __init__(self):
        super().__init__()
        self.layers = tnn.ModuleList(DenseLayer(3 + 2 * i) for i in range(3))
        self.last = tnn.Sequential(tnn.BatchNorm2d(9), tnn.ReLU(True), tnn.Conv2d(9, 4, 1), tnn.AvgPool2d(2, 2))

    def forward(self, x):
        features = [x]
        for layer in self.layers:
            features.append(layer(features))
        x = self.last(torch.cat(features, 1))
        return F.adaptive_avg_pool2d(x, (1, 1)).view(x.size(0), -1)


class Inception(tnn.Module):
    """Of GoogLeNet: channels as it was trained with, branches; and of SqueezeNet: no layer of rows, squeeze."""

    def __init__(self):
        super().__init__()
        self.one, self.three = tnn.Conv2d(3, 2, 1), tnn.Sequential(tnn.Conv2d(3, 2, 1), tnn.Conv2d(2, 3, 3, padding=1))
        self.pool, self.proj = tnn.MaxPool2d(3, 1, 1, ceil_mode=True), tnn.Conv2d(3, 1, 1)
        self.fire = tnn.Sequential(tnn.Conv2d(6, 5, 1), tnn.AdaptiveAvgPool2d((1, 1)))

    def forward(self, x):
        parts = [torch.unsqueeze(x[:, i], 1) * (0.2 + i) + (0.5 - i) / 0.5 for i in range(3)]
        x = torch.cat(parts, 1)
        x = torch.cat([self.one(x), self.three(x), self.proj(self.pool(x))], 1)
        return self.fire(F.relu(x, inplace=True)).squeeze()


class Old(tnn.Module):
    """What older definitions write by hand: hardswish and sigmoid of numbers, views of sizes, interpolation."""

    def __init__(self):
        super().__init__()
        self.conv, self.up = tnn.Conv2d(2, 4, 3), tnn.Upsample(scale_factor=1.5, mode="bilinear", align_corners=True)

    def forward(self, x):
        x = self.conv(x)
        x = x * F.relu6(x + 3) / 6 + torch.clamp(1 - x, 0, 1).sub(0.25).mul(-2.0) + (-x).clamp(max=0.5)
        x = F.interpolate(F.interpolate(self.up(x), scale_factor=2), size=(7, 9), mode="bilinear", align_corners=False)
        n, c, h, w = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(n, h * w, c)
        x = torch.transpose(rows, -2, -1).view(n, c, -1, 9)[:, :, 1:, ::2]
        x = F.pixel_shuffle(x, 2)
        x = x.view(x.shape[0], -1, x.size(-1))
        return F.softmax(x.unsqueeze(1).squeeze(1)[..., 0], 1)


MODULES = {
    "EfficientNet": (EfficientNet, (2, 3, 21, 18)),
    "ShuffleNet": (ShuffleNet, (2, 8, 9, 7)),
    "DenseNet": (DenseNet, (2, 3, 8, 10)),
    "Inception": (Inception, (2, 3, 9, 8)),
    "by hand": (Old, (2, 2, 8, 9)),
    "dropped": (
        lambda: tnn.Sequential(tnn.Dropout1d(), tnn.Conv1d(2, 3, 2), tnn.Dropout(), tnn.Upsample(9, mode="linear")),
        (2, 2, 7),
    ),
    "channels as pixels": (
        lambda: tnn.Sequential(tnn.Conv2d(2, 8, 3), tnn.PixelShuffle(2), tnn.Upsample(scale_factor=(2, 1.7))),
        (2, 2, 5, 6),
    ),
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
    assert isinstance(network, nn.Sequential) == (name in ("LeNet", "volumes", "rows", "dropped", "channels as pixels"))
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


@pytest.mark.parametrize("name", MODULES)
def test_saved_networks_of_torch(tmp_path, name):
    make, shape = MODULES[name]
    network = nn.from_torch(make().eval())
    if not isinstance(network, nn.Graph):
        pytest.skip("a layer")
    x = np.ones(shape, np.float32)
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


def from_sizes(s, x):
    y = s.pool(x).view(x.shape[0], 4, 1, 1) + x
    n, c, h, _ = y.shape
    return y.view(n, c * h, -1)


SUMS = {
    "behind": lambda s, x: s.a(x) + s.pool(x),
    "before": lambda s, x: s.pool(x) + s.a(x),
    "narrow": lambda s, x: s.relu(s.b(s.pool(x)) + x),
    "wide": lambda s, x: s.relu(s.a(x) + s.pool(x)),
    "in between": lambda s, x: s.b(s.relu(s.a(x) + s.pool(x))),
    "in between, narrow": lambda s, x: s.a(s.relu(s.b(s.pool(x)) + x)),
    "both": lambda s, x: s.b(x.mean(2, keepdim=True)) + x.mean(3, keepdim=True),
    "sizes": from_sizes,
    "bottleneck": lambda s, x: s.project(s.relu6(s.slide(s.relu(s.expand(x))))) + s.pool(x),
}


@pytest.mark.parametrize("name", SUMS)
def test_sums_that_are_broadcast(name):
    parts = {"a": tnn.Conv2d(4, 4, 3, padding=1), "b": tnn.Conv2d(4, 4, 1), "pool": tnn.AdaptiveAvgPool2d(1)}
    parts |= {"relu": tnn.ReLU(), "relu6": tnn.ReLU6(), "expand": tnn.Conv2d(4, 24, 1)}
    parts |= {"slide": tnn.Conv2d(24, 24, 3, padding=1, groups=24), "project": tnn.Conv2d(24, 4, 1)}
    module, x = Forward(SUMS[name], **parts).eval(), torch.randn(2, 4, 32, 32)
    with torch.no_grad():
        expected = module(x).numpy()
    network = nn.from_torch(module)
    for n in network, network.folded():
        for _ in range(4):  # from memory of an arena, too
            y = n(x.numpy())
            assert y.shape == expected.shape
            np.testing.assert_allclose(y, expected, 1e-4, 1e-5)


@pytest.mark.parametrize("factor", [1.2, 2.2, (1.2, 2.0), (2.1, 1.24), (1.3, 1.3), 0.9])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_factors_that_come_to_one_or_two(mode, factor):
    """PyTorch takes images for one or two times as large; others by the factor, but for their gradient."""
    for rank in (1, 2, 3) if isinstance(factor, float) else (2,):
        x = torch.randn(2, 3, *(4, 4, 3)[:rank], dtype=torch.float64, requires_grad=True)
        theirs = tnn.Upsample(scale_factor=factor, mode=mode)
        ours, expected = nn.from_torch(theirs), theirs(x)
        y = ours.forward(x.detach().numpy())
        np.testing.assert_array_equal(y, expected.detach().numpy())
        if rank == 2:
            expected.backward(torch.from_numpy(y))
            np.testing.assert_allclose(ours.backward(y), x.grad.numpy(), 1e-12)


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


def added(module, x):
    y = z = F.relu(x)
    y += x
    return y + z


def multiplied(module, x):
    y = F.relu(x)
    first = y[:, 0]
    y *= 2.0
    return first + y[:, 0]


def viewed(module, x):
    y = F.relu(x)
    z = y.view(-1)
    z += 1.0
    return y


def raised(x):
    x **= 2
    return x


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
        (lambda: Forward(lambda s, x: x @ x), TypeError, "calls the function matmul"),
        (lambda: Forward(lambda s, x: x + "2"), ValueError, "module.add takes '2' where tensors"),
        (lambda: Forward(lambda s, x: x / x), ValueError, "module.truediv .* the second must be a number"),
        (lambda: Forward(lambda s, x: x - x), ValueError, "module.sub calls sub .* one of both must be a number"),
        (lambda: Forward(lambda s, x: x.mean(1, dtype=torch.float64)), ValueError, "module.mean .* dtype must be None"),
        (lambda: Forward(lambda s, x: x[::-1] if 0 else x[x]), ValueError, "module.getitem .* indices must be whole"),
        (lambda: Forward(lambda s, x: x[..., True]), ValueError, "module.getitem .* indices must be whole numbers"),
        (lambda: Forward(lambda s, x: x.T), ValueError, "module.getattr_1 .* the only attribute that is known is sh"),
        (lambda: Forward(lambda s, x: x.size()), TypeError, "module.output is not one tensor"),
        (lambda: Forward(lambda s, x: x.chunk(2, 1)), TypeError, "module.output is not one tensor"),
        (lambda: Forward(lambda s, x: x.chunk(2, 1)[-1]), ValueError, "module.getitem .* parts are known by"),
        (lambda: Forward(lambda s, x: x.split([1, x.size(1) - 1], 1)[1]), ValueError, r"sub takes x.shape\[1\]"),
        (lambda: Forward(lambda s, x: x.split([1, x.size(1)], 1)[1]), ValueError, "module.getitem .* sizes must be"),
        (lambda: Forward(lambda s, x: x.view(s.c(x).size(2), s.c(x).size(3), -1), c=tnn.ReflectionPad2d(1)), TypeError,
         "module.c is a .*ReflectionPad2d"),
        (lambda: Forward(lambda s, x: F.max_pool2d(x, 2).view(x.size(2), x.size(3), -1)), ValueError,
         "module.view .* sizes must be those of the tensor itself"),
        (lambda: Forward(lambda s, x: x.view(x.size(0) // x.size(1), -1)), ValueError, "module.floordiv .* divided"),
        (lambda: Forward(lambda s, x: F.interpolate(x, size=x.shape[-2:])), ValueError,
         r"interpolate .* size must be an integer; got x.shape\[-2\]"),
        (lambda: Forward(lambda s, x: x.view(x.size(0), x.size(1) // 2 * 2, -1)), ValueError,
         r"module.mul .* divided are not multiplied again; got 1/2 \* x.shape\[1\] and 2"),
        (lambda: Forward(lambda s, x: F.interpolate(x, 3, mode="bicubic")), ValueError, "interpolate .* mode must"),
        (lambda: Forward(lambda s, x: F.interpolate(x, 3, mode="bilinear", antialias=True)), ValueError, "antialias"),
        (lambda: Forward(lambda s, x: F.pad(x, (1, 1))), TypeError, "module.pad calls the function pad"),
        (lambda: Forward(added), TypeError, "module.iadd changes in place what is taken again later"),
        (lambda: Forward(lambda s, x: added(s, x.flatten(1))), TypeError, "module.iadd changes in place"),
        (lambda: Forward(multiplied), TypeError, "module.imul changes in place what is taken again later"),
        (lambda: Forward(viewed), TypeError, "module.iadd changes in place what is taken again later"),
        (lambda: Forward(lambda s, x: raised(x)), TypeError, "calls the function ipow"),
        (lambda: tnn.Sequential(tnn.utils.parametrizations.weight_norm(tnn.Bilinear(2, 2, 2))), TypeError, "Bilinear"),
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


def louder(module, x):
    return module.c(2.0 * x if module.training else x)


@pytest.mark.parametrize(
    ("forward", "where"),
    [
        (louder, r"module\.mul is of training; module\.eval\(\) first"),
        (lambda s, x: s.c(x) + x * (1.0 if s.training else 0.0), r"module\.mul is of training"),
        (lambda s, x: (s.c(x), x) if s.training else s.c(x), "module.output is of training.* is not one tensor; after"),
    ],
)
def test_what_is_done_in_training_alone_is_refused(forward, where):
    """Of a part of the module, too; in eval() it is not there."""
    module, x = tnn.Sequential(tnn.ReLU(), Forward(forward, c=tnn.Conv2d(1, 1, 1))), torch.randn(1, 1, 3, 3)
    with pytest.raises(TypeError, match=where):
        nn.from_torch(module)
    assert all(part.training for part in module.modules())
    network = nn.from_torch(module.eval())
    np.testing.assert_allclose(network(x), module(x).detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [n for n in MODULES if n not in ("LeNet", "volumes")])
def test_gradients_of_what_was_converted(name):
    """Beside autograd, in training but for dropout."""
    make, shape = MODULES[name]
    module = trained(make).train()
    for part in module.modules():
        if "Dropout" in type(part).__name__:
            part.p = 0.0
    if name in ("EfficientNet", "functions"):  # F.dropout
        module.training = False
    network, x = nn.from_torch(module, threads=1), np.random.default_rng(0).standard_normal(shape)
    tensor = torch.from_numpy(x).requires_grad_()
    y, expected = network.forward(x), module(tensor)
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-8, atol=1e-10)
    grad = np.random.default_rng(1).standard_normal(y.shape)
    expected.backward(torch.from_numpy(grad))
    np.testing.assert_allclose(network.backward(grad), tensor.grad.numpy(), rtol=1e-6, atol=1e-8)
    for key, p in module.named_parameters():
        mine = network._state()[key]
        np.testing.assert_allclose(mine.grad, p.grad.numpy(), rtol=1e-6, atol=1e-8, err_msg=key)


@pytest.mark.parametrize("train", [True, False])
def test_weights_that_pytorch_makes_of_others(train):
    """Norms and parametrisations give the weights that the module has in eval(), and nothing of theirs moves."""
    of = tnn.utils.parametrizations
    parts = [of.weight_norm(tnn.Conv2d(2, 4, 3)), of.spectral_norm(tnn.Conv2d(4, 3, 1)), tnn.Flatten()]
    with pytest.warns(FutureWarning, match="weight_norm"):
        parts.append(tnn.utils.weight_norm(tnn.Linear(27, 5)))
    parts.append(tnn.utils.spectral_norm(tnn.Linear(5, 4)))
    module = tnn.Sequential(*parts, tnn.ReLU()).train(train)
    module(torch.randn(1, 2, 5, 5))
    with torch.no_grad():  # a step, which the hooks have not seen
        parts[3].weight_g.mul_(2)
        parts[4].weight_orig.mul_(3)
    before = {key: a.clone() for key, a in module.state_dict().items()}
    network, x = nn.from_torch(module), torch.randn(1, 2, 5, 5)
    assert all(torch.equal(a, before[key]) for key, a in module.state_dict().items())
    assert all(part.training == train for part in module.modules())
    assert set(network.state_dict()) == {f"{i}.{name}" for i in (0, 1, 3, 4) for name in ("weight", "bias")}
    np.testing.assert_allclose(network(x), module.eval()(x).detach(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(nn.from_torch(parts[0])(x), parts[0](x).detach(), rtol=1e-5, atol=1e-6)


def test_sums_in_place_of_what_is_not_seen_again():
    def forward(module, x):
        y = module.c(x)
        y += x
        y *= 2.0
        y -= 1.0
        y /= 4.0
        return F.relu(y, inplace=True)

    module, x = Forward(forward, c=tnn.Conv2d(1, 1, 1)), torch.randn(1, 1, 3, 3)
    np.testing.assert_allclose(nn.from_torch(module)(x), module(x).detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dim", [0, 1, -1, -2])
@pytest.mark.parametrize("n", [5, 6, 7])
def test_parts_along_an_axis(dim, n):
    x = torch.randn(n, n, n)
    for cut in (
        lambda t: t.chunk(3, dim)[1] if n > 2 else t,
        lambda t: torch.chunk(t, 4, dim=dim)[0],
        lambda t: t.split(2, dim)[1] * t.split(2, dim)[0],
        lambda t: torch.split(t, [2, n - 2], dim)[1],
        lambda t: t.unsqueeze(dim).squeeze(dim).transpose(dim, 1),
        lambda t: t.mean(dim).mean(),
    ):
        module = Forward(lambda s, t, cut=cut: cut(t))
        np.testing.assert_allclose(nn.from_torch(module)(x), module(x), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"x of shape .* has no chunk 3 of 4"):
        nn.from_torch(Forward(lambda s, t: t.chunk(4, 0)[3]))(np.ones(5))


def test_stochastic_depth_of_torchvision():
    ops = pytest.importorskip("torchvision.ops")
    module = tnn.Sequential(tnn.ReLU(), ops.StochasticDepth(0.5, "row"))
    network, x = nn.from_torch(module), np.ones((64, 2))
    assert (network(x) == x).all() and set(network.forward(x).ravel()) == {0, 2}
    assert [type(layer) for layer in nn.from_torch(module.eval()).layers] == [nn.ReLU, nn.Identity]


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
