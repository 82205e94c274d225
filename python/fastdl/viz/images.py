"""Sheets of images."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..tensor import Tensor
from .figure import INK, finish, new_figure


def plot_images(
    images: Any, captions: Sequence[str] | None = None, path: str | os.PathLike | None = None, columns: int = 8,
    title: str = "",
) -> Any:  # fmt: skip
    """Images (N, H, W), (N, 1, H, W) or (N, 3, H, W) side by side, each with a caption. Returns the matplotlib figure.

    Grey images are drawn dark on light, each scaled from its least to its greatest value.
    """
    x = images.detach().cpu().numpy() if isinstance(images, Tensor) else np.asarray(images)
    if x.ndim == 3:
        x = x[:, None]
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        raise ValueError(f"[plot_images] expected images (N, H, W), (N, 1, H, W) or (N, 3, H, W), got shape {x.shape}")
    if captions is not None and len(captions) != len(x):
        raise ValueError(f"[plot_images] expected {len(x)} captions, got {len(captions)}")
    lines = max((caption.count("\n") for caption in captions or ()), default=0)
    columns = max(1, min(columns, len(x)))
    rows = max(1, math.ceil(len(x) / columns))
    height = 1.15 * min(max(x.shape[2] / max(x.shape[3], 1), 0.2), 5)  # of an image; captions stand above it
    figure = new_figure(1.15 * columns, (height + 0.2 * (1 + lines)) * rows + 0.4)
    if title:
        figure.suptitle(title, fontsize=11)
    for i, image in enumerate(x):
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.set_axis_off()
        if image.shape[0] == 1:
            axes.imshow(image[0], cmap="gray_r", interpolation="nearest")
        else:
            axes.imshow(np.clip(image.transpose(1, 2, 0), 0, 1), interpolation="nearest")
        if captions is not None:
            axes.set_title(captions[i], fontsize=8, color=INK, pad=2)
    return finish(figure, path)
