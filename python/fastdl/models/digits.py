"""A small convolutional network for handwritten digits."""

from __future__ import annotations

from typing import Any

from .. import nn
from ._api import build, register_model


def _layers(num_classes: int = 10, dropout: float = 0.25) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(),
        nn.Conv2d(32, 32, 3), nn.ReLU(),
        nn.Dropout(dropout), nn.MaxPool2d(2),
        nn.Conv2d(32, 16, 3), nn.ReLU(),
        nn.Conv2d(16, 16, 3), nn.ReLU(),
        nn.Dropout(dropout), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(256, num_classes),
    )  # fmt: skip


@register_model
def digits_network(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> nn.Sequential:
    """Four 3x3 convolutions, two of 32 and two of 16 filters, pooled after each pair; 19,082 parameters.

    (N, 1, 28, 28) to (N, num_classes); arguments num_classes=10 and dropout=0.25.

    >>> import fastdl
    >>> from fastdl import models
    >>> models.digits_network()(fastdl.zeros(2, 1, 28, 28)).shape
    (2, 10)
    """
    return build(_layers, weights, "digits_network", **kwargs)
