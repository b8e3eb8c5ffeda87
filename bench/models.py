# SPDX-License-Identifier: BSD-3-Clause
"""Networks that networks.py measures, as modules of PyTorch with random weights; each names the paper that has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

Tensor = torch.Tensor


class Model(NamedTuple):
    """How to make a network, and the rows and columns of an image that it takes."""

    make: Callable[[], nn.Module]
    size: int


def normed(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """A convolution that keeps the size, or divides it, with its normalisation."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


class Residual(nn.Module):
    """Layers whose output is added to their input, or to a layer of it where the shape changes."""

    def __init__(self, layers: list[nn.Module], shortcut: list[nn.Module], last: nn.Module) -> None:
        super().__init__()
        self.layers, self.shortcut, self.last = nn.Sequential(*layers), nn.Sequential(*shortcut), last

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.layers(x) + self.shortcut(x))
        return y


def resnet(counts: tuple[int, ...], bottleneck: bool) -> nn.Module:
    """He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, 2016; strides as version 1.5 has them."""
    layers: list[nn.Module] = [*normed(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for stage, count in enumerate(counts):
        width = 64 << stage
        outputs = 4 * width if bottleneck else width
        for i in range(count):
            stride = 2 if stage and not i else 1
            if bottleneck:
                parts = [*normed(inputs, width, 1), nn.ReLU(), *normed(width, width, 3, stride), nn.ReLU()]
                parts += normed(width, outputs, 1)
            else:
                parts = [*normed(inputs, width, 3, stride), nn.ReLU(), *normed(width, width, 3)]
            shortcut = normed(inputs, outputs, 1, stride) if inputs != outputs or stride > 1 else []
            layers.append(Residual(parts, shortcut, nn.ReLU()))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000))


def mobilenet_v2() -> nn.Module:
    """Sandler, Howard, Zhu, Zhmoginov and Chen, MobileNetV2: Inverted Residuals and Linear Bottlenecks, 2018."""
    layers: list[nn.Module] = [*normed(3, 32, 3, 2), nn.ReLU6()]
    inputs = 32
    table = (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)
    for wider, outputs, count, first in table:
        for i in range(count):
            stride, inner = first if i == 0 else 1, inputs * wider
            parts = [*normed(inputs, inner, 1), nn.ReLU6()] if wider > 1 else []
            parts += [*normed(inner, inner, 3, stride, inner), nn.ReLU6(), *normed(inner, outputs, 1)]
            layers += [Residual(parts, [], nn.Identity())] if stride == 1 and inputs == outputs else parts
            inputs = outputs
    layers += [*normed(320, 1280, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Dropout(0.2), nn.Linear(1280, 1000))


def vgg16() -> nn.Module:
    """Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, 2015."""
    layers: list[nn.Module] = []
    inputs = 3
    for outputs, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
            inputs = outputs
        layers.append(nn.MaxPool2d(2))
    layers += [nn.Flatten(), nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(), nn.Linear(4096, 1000))


class UNet(nn.Module):
    """Ronneberger, Fischer and Brox, U-Net: Convolutional Networks for Biomedical Image Segmentation, 2015; with
    padding and normalisation."""

    def __init__(self) -> None:
        super().__init__()
        widths = 64, 128, 256, 512, 1024
        self.down = nn.ModuleList(self.two(i, o) for i, o in zip((3, *widths), widths, strict=False))
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose2d(i, o, 2, 2) for i, o in pairs)
        self.joined = nn.ModuleList(self.two(i, o) for i, o in pairs)
        self.pool, self.out = nn.MaxPool2d(2), nn.Conv2d(64, 2, 1)

    @staticmethod
    def two(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(*normed(inputs, outputs, 3), nn.ReLU(), *normed(outputs, outputs, 3), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        kept: list[Tensor] = []
        for i, layers in enumerate(self.down):
            x = layers(self.pool(x) if i else x)
            kept.append(x)
        for up, joined, left in zip(self.up, self.joined, kept[-2::-1], strict=True):
            x = joined(torch.cat([left, up(x)], 1))
        y: Tensor = self.out(x)
        return y


MODELS = {
    "resnet18": Model(lambda: resnet((2, 2, 2, 2), False), 224),
    "resnet50": Model(lambda: resnet((3, 4, 6, 3), True), 224),
    "mobilenet_v2": Model(mobilenet_v2, 224),
    "vgg16": Model(vgg16, 224),
    "unet": Model(UNet, 256),
}


def made(name: str) -> nn.Module:
    """A network ready to be used, with the same random weights each time, whose outputs are of one size."""
    torch.manual_seed(0)
    module = MODELS[name].make().eval()
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_var, 0.8, 1.2)
            nn.init.uniform_(part.running_mean, -0.1, 0.1)
    return module
