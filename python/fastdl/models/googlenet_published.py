"""GoogLeNet as published. Szegedy et al.: Going deeper with convolutions, arXiv 1409.4842.

Biases instead of batch norm, 5x5 convolutions where torchvision has 3x3, local response norm, two auxiliary heads.
"""

from __future__ import annotations

from typing import Any

from .. import functional as F
from .. import nn
from ..functional.layout import cat
from ..tensor import Tensor
from ._api import build, register_model
from .googlenet import GoogLeNetOutputs


def _unit(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, size, stride, size // 2), nn.ReLU(inplace=True))


class NaiveInception(nn.Module):
    """The paper's figure 2(a): 1x1, 3x3 and 5x5 convolutions and a pooling of the whole input, side by side.

    (N, in_channels, H, W) to (N, ch1x1 + ch3x3 + ch5x5 + in_channels, H, W): the width can only grow.

    >>> import fastdl
    >>> NaiveInception(8, 2, 4, 3)(fastdl.zeros(1, 8, 6, 6)).shape
    (1, 17, 6, 6)
    """

    def __init__(self, in_channels: int, ch1x1: int, ch3x3: int, ch5x5: int) -> None:
        super().__init__()
        self.branch1 = _unit(in_channels, ch1x1, 1)
        self.branch2 = _unit(in_channels, ch3x3, 3)
        self.branch3 = _unit(in_channels, ch5x5, 5)
        self.branch4 = nn.MaxPool2d(3, stride=1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class ReducedInception(nn.Module):
    """The paper's figure 2(b): 1x1 convolutions reduce the channels before 3x3 and 5x5 and after the pooling.

    >>> import fastdl
    >>> ReducedInception(8, 2, 2, 4, 2, 3, 1)(fastdl.zeros(1, 8, 6, 6)).shape
    (1, 10, 6, 6)
    """

    def __init__(
        self, in_channels: int, ch1x1: int, ch3x3red: int, ch3x3: int, ch5x5red: int, ch5x5: int, pool_proj: int
    ) -> None:
        super().__init__()
        self.branch1 = _unit(in_channels, ch1x1, 1)
        self.branch2 = nn.Sequential(_unit(in_channels, ch3x3red, 1), _unit(ch3x3red, ch3x3, 3))
        self.branch3 = nn.Sequential(_unit(in_channels, ch5x5red, 1), _unit(ch5x5red, ch5x5, 5))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), _unit(in_channels, pool_proj, 1))

    def forward(self, x: Tensor) -> Tensor:
        return cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


def _head(inputs: int, num_classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.AvgPool2d(5, 3), _unit(inputs, 128, 1), nn.Flatten(),
        nn.Linear(2048, 1024), nn.ReLU(inplace=True), nn.Dropout(0.7), nn.Linear(1024, num_classes),
    )  # fmt: skip


class GoogLeNetPublished(nn.Module):
    """(N, 3, 224, 224) to (N, num_classes); in training with `aux_logits` it returns `GoogLeNetOutputs`.

    The heads need images of 224 pixels; without them, or in evaluation, images from 15 pixels on.
    """

    def __init__(self, num_classes: int = 1000, aux_logits: bool = True, dropout: float = 0.4) -> None:
        super().__init__()
        self.aux_logits = aux_logits
        self.stem = nn.Sequential(
            _unit(3, 64, 7, 2), nn.MaxPool2d(3, 2, ceil_mode=True), nn.LocalResponseNorm(5),
            _unit(64, 64, 1), _unit(64, 192, 3), nn.LocalResponseNorm(5), nn.MaxPool2d(3, 2, ceil_mode=True),
        )  # fmt: skip
        self.inception3a = ReducedInception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = ReducedInception(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.inception4a = ReducedInception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = ReducedInception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = ReducedInception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = ReducedInception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = ReducedInception(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.inception5a = ReducedInception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = ReducedInception(832, 384, 192, 384, 48, 128, 128)
        self.aux1 = _head(512, num_classes) if aux_logits else None
        self.aux2 = _head(528, num_classes) if aux_logits else None
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, num_classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(m.weight)
                nn.init.constant_(m.bias, 0.2 if isinstance(m, nn.Conv2d) else 0.0)

    def forward(self, x: Tensor) -> Any:
        heads = self.training and self.aux_logits
        x = self.inception4a(self.maxpool3(self.inception3b(self.inception3a(self.stem(x)))))
        first = self.aux1(x) if heads and self.aux1 is not None else None
        x = self.inception4d(self.inception4c(self.inception4b(x)))
        second = self.aux2(x) if heads and self.aux2 is not None else None
        x = self.inception5b(self.inception5a(self.maxpool4(self.inception4e(x))))
        x = self.fc(self.dropout(F.flatten(self.avgpool(x), 1)))
        return GoogLeNetOutputs(x, second, first) if heads else x


@register_model
def googlenet_published(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> GoogLeNetPublished:
    """GoogLeNet as published: 13,378,280 parameters with its heads, 6,998,552 without (`aux_logits=False`).

    Args:
        weights: None, or the path of a .pth or .safetensors file.

    >>> import fastdl
    >>> from fastdl import models
    >>> models.googlenet_published(aux_logits=False, num_classes=10)(fastdl.zeros(1, 3, 32, 32)).shape
    (1, 10)
    """
    return build(GoogLeNetPublished, weights, "googlenet_published", **kwargs)
