"""Learning curves."""

from __future__ import annotations

import os
from typing import Any

from ..train.history import History
from .figure import COLOURS, finish, new_figure, plain


def plot_history(history: History, path: str | os.PathLike | None = None, title: str = "") -> Any:
    """Loss and accuracy by epoch, training against validation; returns the matplotlib figure.

    Accuracies are drawn as errors (1 - accuracy) on a logarithmic axis, where the last percents can be seen.
    """
    if len(history) == 0:
        raise ValueError("[plot_history] expected a history with at least one epoch, got an empty one")
    panels = [p for p in (("loss", "loss"), ("accuracy", "error rate")) if p[0] in history]
    figure = new_figure(5.2 * len(panels), 3.6)
    if title:
        figure.suptitle(title, fontsize=12)
    epochs = range(1, len(history) + 1)
    for i, (name, label) in enumerate(panels):
        axes = plain(figure.add_subplot(1, len(panels), i + 1))
        for column, colour, who in ((name, COLOURS[0], "training"), (f"val_{name}", COLOURS[1], "validation")):
            if column in history:
                values = history[column] if name == "loss" else [max(1 - v, 1e-4) for v in history[column]]
                axes.plot(epochs, values, color=colour, linewidth=1.6, label=who)
        axes.set_yscale("log")
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.legend(frameon=False, fontsize=9)
    return finish(figure, path)
