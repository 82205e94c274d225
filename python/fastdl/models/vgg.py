"""VGG. Simonyan, Zisserman: Very deep convolutional networks for large-scale image recognition, arXiv 1409.1556."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import functional as F
from .. import nn
from ..tensor import Tensor
from ._api import build, he_init, register_model

# filters of the five stages, each followed by a pooling
_STAGES = {
    11: [[64], [128], [256] * 2, [512] * 2, [512] * 2],
    13: [[64] * 2, [128] * 2, [256] * 2, [512] * 2, [512] * 2],
    16: [[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3],
    19: [[64] * 2, [128] * 2, [256] * 4, [512] * 4, [512] * 4],
}


class VGG(nn.Module):
    """`torchvision.models.VGG`: (N, 3, 224, 224) to (N, num_classes); images from 32 pixels on."""

    def __init__(
        self, features: nn.Module, num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096), nn.ReLU(inplace=True), nn.Dropout(dropout),
            nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout(dropout),
            nn.Linear(4096, num_classes),
        )  # fmt: skip
        if init_weights:
            he_init(self, linear_std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(F.flatten(self.avgpool(self.features(x)), 1))


def _features(stages: Sequence[Sequence[int]], batch_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for stage in stages:
        for filters in stage:
            layers.append(nn.Conv2d(channels, filters, 3, padding=1))
            layers += [nn.BatchNorm2d(filters)] if batch_norm else []
            layers.append(nn.ReLU(inplace=True))
            channels = filters
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers)


def _vgg(depth: int, batch_norm: bool, weights: Any, **kwargs: Any) -> VGG:
    if weights is not None:
        kwargs["init_weights"] = False
    name = f"vgg{depth}" + "_bn" * batch_norm
    return build(lambda **k: VGG(_features(_STAGES[depth], batch_norm), **k), weights, name, **kwargs)


@register_model
def vgg11(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG with 11 layers of weights, 132,863,336 parameters.

    Args:
        weights: None, or the path of a .pth or .safetensors file.
        progress: taken as torchvision takes it; nothing is downloaded.
        **kwargs: of `VGG`: num_classes, init_weights, dropout.

    >>> import fastdl
    >>> from fastdl import models
    >>> models.vgg11(num_classes=10, init_weights=False).eval()(fastdl.zeros(1, 3, 32, 32)).shape
    (1, 10)
    """
    return _vgg(11, False, weights, **kwargs)


@register_model
def vgg11_bn(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """`vgg11` with batch norm after every convolution, 132,868,840 parameters."""
    return _vgg(11, True, weights, **kwargs)


@register_model
def vgg13(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG with 13 layers of weights, 133,047,848 parameters."""
    return _vgg(13, False, weights, **kwargs)


@register_model
def vgg13_bn(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """`vgg13` with batch norm after every convolution, 133,053,736 parameters."""
    return _vgg(13, True, weights, **kwargs)


@register_model
def vgg16(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG with 16 layers of weights, 138,357,544 parameters."""
    return _vgg(16, False, weights, **kwargs)


@register_model
def vgg16_bn(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """`vgg16` with batch norm after every convolution, 138,365,992 parameters."""
    return _vgg(16, True, weights, **kwargs)


@register_model
def vgg19(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG with 19 layers of weights, 143,667,240 parameters."""
    return _vgg(19, False, weights, **kwargs)


@register_model
def vgg19_bn(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """`vgg19` with batch norm after every convolution, 143,678,248 parameters."""
    return _vgg(19, True, weights, **kwargs)
