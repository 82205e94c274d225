"""Layers that several families are made of."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from .. import nn
from ..creation import tensor
from ..tensor import Tensor


class BasicConv2d(nn.Module):
    """Convolution without bias, batch norm (eps 0.001), ReLU: the unit of torchvision's GoogLeNet and Inception."""

    def __init__(self, in_channels: int, out_channels: int, **kwargs: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, bias=False, **kwargs)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


def imagenet_to_half(x: Tensor) -> Tensor:
    """Images normalised by ImageNet's mean and deviation, as if normalised by 0.5 and 0.5."""
    scale = [[[0.229 / 0.5]], [[0.224 / 0.5]], [[0.225 / 0.5]]]
    shift = [[[(0.485 - 0.5) / 0.5]], [[(0.456 - 0.5) / 0.5]], [[(0.406 - 0.5) / 0.5]]]
    return x * tensor(scale, dtype=x.dtype, device=x.device) + tensor(shift, dtype=x.dtype, device=x.device)
