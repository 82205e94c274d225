"""Confusion matrices."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from .figure import finish, new_figure


def confusion_matrix(target: Any, predicted: Any, classes: int) -> np.ndarray:
    """Counts (classes, classes): row = true class, column = predicted class.

    >>> confusion_matrix([0, 1, 1], [0, 1, 0], 2).tolist()
    [[1, 0], [1, 1]]
    """
    t, p = np.asarray(target).astype(np.int64).ravel(), np.asarray(predicted).astype(np.int64).ravel()
    if t.shape != p.shape:
        raise ValueError(f"[confusion_matrix] expected as many predictions as targets, got {p.size} and {t.size}")
    if t.size and not (min(t.min(), p.min()) >= 0 and max(t.max(), p.max()) < classes):
        raise IndexError(f"[confusion_matrix] expected classes in [0, {classes}), got others")
    return np.bincount(t * classes + p, minlength=classes * classes).reshape(classes, classes)


def plot_confusion_matrix(
    matrix: np.ndarray, path: str | os.PathLike | None = None, labels: Sequence[str] | None = None, title: str = ""
) -> Any:
    """Draws counts; shades follow the share of each true class. Returns the matplotlib figure."""
    n = len(matrix)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    figure = new_figure(1.6 + 0.46 * n, 1.5 + 0.44 * n)
    axes = figure.add_subplot()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(matrix > 0):
        colour = "white" if share[row, column] > 0.55 else "#222222"
        axes.text(column, row, str(matrix[row, column]), ha="center", va="center", fontsize=9, color=colour)
    names = [str(i) for i in range(n)] if labels is None else list(labels)
    axes.set_xticks(range(n), names)
    axes.set_yticks(range(n), names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if title:
        axes.set_title(title, fontsize=11)
    return finish(figure, path)
