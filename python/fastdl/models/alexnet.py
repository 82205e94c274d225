"""AlexNet: the one-tower form that torchvision has, and the published one.

Krizhevsky, Sutskever, Hinton: ImageNet classification with deep convolutional neural networks, NIPS 2012;
torchvision's is Krizhevsky: One weird trick for parallelizing convolutional neural networks, arXiv 1404.5997.
"""

from __future__ import annotations

from typing import Any

from .. import functional as F
from .. import nn
from ..tensor import Tensor
from ._api import build, register_model


def _classifier(num_classes: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Dropout(dropout), nn.Linear(9216, 4096), nn.ReLU(inplace=True),
        nn.Dropout(dropout), nn.Linear(4096, 4096), nn.ReLU(inplace=True),
        nn.Linear(4096, num_classes),
    )  # fmt: skip


class AlexNet(nn.Module):
    """`torchvision.models.AlexNet`: (N, 3, 224, 224) to (N, num_classes); images from 63 pixels on."""

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
        )  # fmt: skip
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = _classifier(num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(F.flatten(self.avgpool(self.features(x)), 1))


class AlexNetPublished(nn.Module):
    """The network of the 2012 paper: (N, 3, 227, 227) to (N, num_classes), a 9,216-vector after flatten.

    `groups=2` divides the second, fourth and fifth convolution between two halves, 48 filters a side in the first,
    as the paper did between two GPUs; `groups=1` leaves them whole. Weights start as in the paper: normal with
    deviation 0.01, biases 1 in those three convolutions and in the hidden linear layers, 0 elsewhere.
    """

    def __init__(self, num_classes: int = 1000, groups: int = 1, dropout: float = 0.5) -> None:
        super().__init__()
        if groups not in (1, 2):
            raise ValueError(f"[AlexNetPublished] expected groups 1 or 2, got {groups}")
        self.features = nn.Sequential(
            nn.Conv2d(3, 96, 11, stride=4), nn.ReLU(inplace=True), self._norm(), nn.MaxPool2d(3, 2),
            nn.Conv2d(96, 256, 5, padding=2, groups=groups), nn.ReLU(inplace=True), self._norm(), nn.MaxPool2d(3, 2),
            nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(384, 384, 3, padding=1, groups=groups), nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, 3, padding=1, groups=groups), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
        )  # fmt: skip
        self.flatten = nn.Flatten()
        self.classifier = _classifier(num_classes, dropout)
        ones = {self.features[i] for i in (4, 10, 12)} | {self.classifier[i] for i in (1, 4)}
        for m in self.modules():
            if isinstance(m, nn.Conv2d | nn.Linear):
                nn.init.normal_(m.weight, 0.0, 0.01)
                nn.init.constant_(m.bias, float(m in ones))

    @staticmethod
    def _norm() -> nn.Module:
        return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)  # the paper's 1e-4 multiplies a sum, ours a mean

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.flatten(self.features(x)))


@register_model
def alexnet(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> AlexNet:
    """torchvision's AlexNet, 61,100,840 parameters.

    Args:
        weights: None, or the path of a .pth or .safetensors file.
        progress: taken as torchvision takes it; nothing is downloaded.

    >>> import fastdl
    >>> from fastdl import models
    >>> models.alexnet(num_classes=10).eval()(fastdl.zeros(1, 3, 64, 64)).shape
    (1, 10)
    """
    return build(AlexNet, weights, "alexnet", **kwargs)


@register_model
def alexnet_undivided(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> AlexNetPublished:
    """The published AlexNet with whole convolutions, 62,378,344 parameters; `(N, 3, 227, 227)` in."""
    return build(AlexNetPublished, weights, "alexnet_undivided", groups=1, **kwargs)


@register_model
def alexnet_two_groups(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> AlexNetPublished:
    """The published AlexNet in two groups, 60,965,224 parameters; `(N, 3, 227, 227)` in."""
    return build(AlexNetPublished, weights, "alexnet_two_groups", groups=2, **kwargs)
