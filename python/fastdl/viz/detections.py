"""Boxes, masks and key points drawn on images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..tensor import Tensor
from .figure import COLOURS, finish, new_figure


def _array(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)


def plot_detections(
    image: Any,
    boxes: Any = None,
    labels: Sequence[str] | None = None,
    scores: Any = None,
    masks: Any = None,
    keypoints: Any = None,
    skeleton: Sequence[tuple[int, int]] = (),
    path: str | os.PathLike | None = None,
) -> Any:
    """Draws detections over an image and returns the matplotlib figure.

    Args:
        image: (3, H, W) or (1, H, W), from 0 to 1.
        boxes: (K, 4) as x1, y1, x2, y2 in pixels; labels and scores name them.
        masks: (K, H, W), bool or the probability of each pixel.
        keypoints: (K, J, 2) as x, y, or (K, J, 3) with a visibility, where points of 0 are left out.
        skeleton: pairs of key points to join.

    >>> figure = plot_detections(np.zeros((3, 20, 30)), boxes=[[2, 3, 12, 15]], labels=["cat"], scores=[0.9])
    """
    x = _array(image)
    if x.ndim != 3 or x.shape[0] not in (1, 3):
        raise ValueError(f"[plot_detections] expected an image (3, H, W) or (1, H, W), got shape {x.shape}")
    height, width = x.shape[1:]
    figure = new_figure(7.0, 7.0 * height / width)
    axes = figure.add_subplot()
    axes.set_axis_off()
    picture = np.repeat(x, 3, 0) if x.shape[0] == 1 else x
    picture = np.clip(picture.transpose(1, 2, 0), 0, 1).astype(np.float64)
    if masks is not None:
        picture = _tinted(picture, _expect(_array(masks), "masks", (None, height, width)))
    axes.imshow(picture, extent=(0, width, height, 0), interpolation="nearest")
    if boxes is not None:
        _draw_boxes(axes, _expect(_array(boxes), "boxes", (None, 4)), labels, scores)
    if keypoints is not None:
        _draw_keypoints(axes, _expect(_array(keypoints), "keypoints", (None, None, None)), skeleton)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    return finish(figure, path)


def _expect(found: np.ndarray, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    if found.size == 0:
        return found.reshape([n or 0 for n in shape])
    if found.ndim != len(shape) or any(n is not None and n != m for n, m in zip(shape, found.shape, strict=True)):
        wanted = ", ".join("?" if n is None else str(n) for n in shape)
        raise ValueError(f"[plot_detections] expected {name} of shape ({wanted}), got {found.shape}")
    return found


def _colour(i: int) -> np.ndarray:
    from matplotlib.colors import to_rgb

    return np.asarray(to_rgb(COLOURS[i % len(COLOURS)]))


def _tinted(picture: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Each mask as a transparent colour with a solid edge."""
    for i, mask in enumerate(masks):
        inside = mask > 0.5
        core = np.logical_and.reduce([np.roll(inside, step, axis) for step in (1, -1) for axis in (0, 1)])
        picture[inside] = 0.55 * picture[inside] + 0.45 * _colour(i)
        picture[inside & ~core] = _colour(i)
    return picture


def _draw_boxes(axes: Any, boxes: np.ndarray, labels: Sequence[str] | None, scores: Any) -> None:
    from matplotlib.patches import Rectangle

    for i, (x1, y1, x2, y2) in enumerate(boxes):
        colour = COLOURS[i % len(COLOURS)]
        axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=1.8))
        words = [] if labels is None else [str(labels[i])]
        words += [] if scores is None else [f"{float(_array(scores)[i]):.2f}"]
        if words:
            axes.text(x1, y1, " ".join(words), fontsize=9, color="white", va="bottom", ha="left", clip_on=True,
                      bbox={"facecolor": colour, "edgecolor": colour, "pad": 1.5})  # fmt: skip


def _draw_keypoints(axes: Any, people: np.ndarray, skeleton: Sequence[tuple[int, int]]) -> None:
    for i, points in enumerate(people):
        seen = points[:, 2] > 0 if points.shape[1] > 2 else np.ones(len(points), bool)
        colour = COLOURS[i % len(COLOURS)]
        for a, b in skeleton:
            if seen[a] and seen[b]:
                axes.plot(points[[a, b], 0], points[[a, b], 1], color=colour, linewidth=2.2, solid_capstyle="round")
        axes.scatter(points[seen, 0], points[seen, 1], s=26, color=colour, edgecolors="white", linewidths=0.8, zorder=3)
