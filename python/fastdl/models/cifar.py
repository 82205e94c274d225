"""The plain and the residual networks that the ResNet paper compares on CIFAR-10 (arXiv 1512.03385, section 4.2)."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from .. import nn
from ..tensor import Tensor
from ._api import build, he_init, register_model


class CifarBlock(nn.Module):
    """Two 3x3 convolutions; with `residual` the input is added, thinned and padded with zero channels where needed."""

    def __init__(self, inputs: int, outputs: int, stride: int, residual: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.added, self.residual = stride, outputs - inputs, residual

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + self._shortcut(x) if self.residual else out)

    def _shortcut(self, x: Tensor) -> Tensor:
        thinned = x if self.stride == 1 else x[:, :, :: self.stride, :: self.stride]
        return F.pad(thinned, (0, 0, 0, 0, 0, self.added)) if self.added else thinned


class CifarResNet(nn.Module):
    """6n + 2 layers in three stages of 16, 32 and 64 filters: (N, 3, 32, 32) to (N, num_classes).

    The shortcuts have no parameters, so that the plain network (`residual=False`) has exactly as many.

    Raises:
        ValueError: `[CifarResNet] expected depth 6n + 2 ...`.
    """

    def __init__(self, depth: int = 20, num_classes: int = 10, residual: bool = True) -> None:
        super().__init__()
        if not isinstance(depth, int) or depth < 8 or depth % 6 != 2:
            raise ValueError(f"[CifarResNet] expected depth 6n + 2 from 8 on, got {depth!r}")
        n = (depth - 2) // 6
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._stage(16, 16, n, 1, residual)
        self.layer2 = self._stage(16, 32, n, 2, residual)
        self.layer3 = self._stage(32, 64, n, 2, residual)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(64, num_classes)
        he_init(self)

    @staticmethod
    def _stage(inputs: int, outputs: int, n: int, stride: int, residual: bool) -> nn.Sequential:
        first = CifarBlock(inputs, outputs, stride, residual)
        return nn.Sequential(first, *(CifarBlock(outputs, outputs, 1, residual) for _ in range(n - 1)))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(F.flatten(self.avgpool(x), 1))


@register_model
def resnet20_cifar(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> CifarResNet:
    """The residual network of 20 layers, 269,722 parameters.

    >>> import fastdl
    >>> from fastdl import models
    >>> models.resnet20_cifar().eval()(fastdl.zeros(2, 3, 32, 32)).shape
    (2, 10)
    """
    return build(CifarResNet, weights, "resnet20_cifar", 20, **kwargs)


@register_model
def resnet56_cifar(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> CifarResNet:
    """The residual network of 56 layers, 853,018 parameters."""
    return build(CifarResNet, weights, "resnet56_cifar", 56, **kwargs)


@register_model
def plain20_cifar(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> CifarResNet:
    """20 layers without shortcuts, 269,722 parameters."""
    return build(CifarResNet, weights, "plain20_cifar", 20, residual=False, **kwargs)


@register_model
def plain56_cifar(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> CifarResNet:
    """56 layers without shortcuts, 853,018 parameters; it trains worse than `plain20_cifar`."""
    return build(CifarResNet, weights, "plain56_cifar", 56, residual=False, **kwargs)
