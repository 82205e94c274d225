"""Learning curves."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..train.history import History
from .figure import COLOURS, INK, finish, new_figure, plain

if TYPE_CHECKING:
    from ..train.studies import LearningRates


def plot_history(history: History, path: str | os.PathLike | None = None, title: str = "") -> Any:
    """Loss and accuracy by epoch, training against validation; returns the matplotlib figure.

    Accuracies are drawn as errors (1 - accuracy) in percent on a logarithmic axis, where the last ones can be seen.
    """
    if len(history) == 0:
        raise ValueError("[plot_history] expected a history with at least one epoch, got an empty one")
    panels = [p for p in (("loss", "loss"), ("accuracy", "error (%)")) if p[0] in history]
    figure = new_figure(5.2 * len(panels), 3.6)
    if title:
        figure.suptitle(title, fontsize=12)
    epochs = range(1, len(history) + 1)
    for i, (name, label) in enumerate(panels):
        axes = plain(figure.add_subplot(1, len(panels), i + 1))
        for column, colour, who in ((name, COLOURS[0], "training"), (f"val_{name}", COLOURS[1], "validation")):
            if column in history:
                values = history[column] if name == "loss" else [max(100 * (1 - v), 0.01) for v in history[column]]
                axes.plot(epochs, values, color=colour, linewidth=1.6, label=who)
        _plain_log(axes)
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.legend(frameon=False, fontsize=9)
    return finish(figure, path)


def _plain_log(axes: Any) -> None:
    """A logarithmic axis with plain numbers at 1, 2 and 5 of each decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def plot_learning_curve(
    sizes: Sequence[int] | np.ndarray, train_scores: Any, test_scores: Any, path: str | os.PathLike | None = None,
    score: str = "score", title: str = "",
) -> Any:  # fmt: skip
    """Scores (S, repeats) by the size of the training set, as lines of means with bands of one standard deviation.

    Takes what `train.learning_curve` and scikit-learn's `learning_curve` return. Returns the matplotlib figure.

    >>> figure = plot_learning_curve([10, 20, 40], [[1.0, 1.0]] * 3, [[0.6, 0.7], [0.7, 0.8], [0.8, 0.8]])
    >>> figure.axes[0].get_xlabel()
    'training items'
    """
    return _bands("plot_learning_curve", sizes, train_scores, test_scores, path, "training items", score, title, True)


def plot_validation_curve(
    values: Any, train_scores: Any, test_scores: Any, path: str | os.PathLike | None = None, parameter: str = "value",
    score: str = "score", log: bool = True, title: str = "",
) -> Any:  # fmt: skip
    """Scores (S, repeats) by the value of a parameter, the best mean marked (scikit-learn's `validation_curve`).

    log: whether the parameter's axis is logarithmic. Returns the matplotlib figure.
    """
    figure = _bands("plot_validation_curve", values, train_scores, test_scores, path=None, x_label=parameter,
                    y_label=score, title=title, log=log)  # fmt: skip
    means = np.asarray(test_scores, float).mean(1)
    best = int(means.argmax())
    axes = figure.axes[0]
    axes.axvline(values[best], color=INK, linewidth=0.9, linestyle=":")
    axes.annotate(f"best: {values[best]:g}", (values[best], axes.get_ylim()[0]), xytext=(4, 5),
                  textcoords="offset points", fontsize=9, color=INK)  # fmt: skip
    return finish(figure, path)


def _bands(
    op: str, x: Any, train_scores: Any, test_scores: Any, path: Any, x_label: str, y_label: str, title: str, log: bool
) -> Any:
    x, train, test = np.asarray(x, float), np.asarray(train_scores, float), np.asarray(test_scores, float)
    if x.ndim != 1 or train.shape != test.shape or train.ndim != 2 or len(train) != len(x):
        raise ValueError(f"[{op}] expected scores of shape ({len(x)}, repeats), got {train.shape} and {test.shape}")
    figure = new_figure(5.4, 3.8)
    axes = plain(figure.add_subplot())
    for scores, colour, who in ((train, COLOURS[0], "training"), (test, COLOURS[1], "validation")):
        mean, spread = scores.mean(1), scores.std(1)
        axes.plot(x, mean, color=colour, linewidth=1.6, marker="o", markersize=4, label=who)
        if scores.shape[1] > 1:
            axes.fill_between(x, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
    if log:
        axes.set_xscale("log")
    if log and x_label == "training items":
        axes.set_xticks(x, [f"{v:g}" for v in x])
        axes.minorticks_off()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.legend(frameon=False, fontsize=9)
    if title:
        axes.set_title(title, fontsize=11)
    return finish(figure, path)


def plot_lr_finder(found: LearningRates, path: str | os.PathLike | None = None, title: str = "") -> Any:
    """Loss by learning rate, with the suggested rate marked (`train.find_lr`). Returns the matplotlib figure."""
    figure = new_figure(5.4, 3.6)
    axes = plain(figure.add_subplot())
    axes.plot(found.rates, found.losses, color=COLOURS[0], linewidth=1.6)
    at = int(np.argmin(np.abs(found.rates - found.suggestion)))
    axes.scatter([found.rates[at]], [found.losses[at]], s=34, color=COLOURS[1], zorder=3)
    axes.annotate(f"{found.suggestion:.2g}", (found.rates[at], found.losses[at]), xytext=(8, 6),
                  textcoords="offset points", fontsize=10, color=COLOURS[1])  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss (smoothed)")
    if title:
        axes.set_title(title, fontsize=11)
    return finish(figure, path)
