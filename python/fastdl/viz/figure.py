"""Figures without a window: drawn with matplotlib's file canvas, so that no display or global state is touched."""

from __future__ import annotations

import os
from typing import Any

INK, MUTED = "#222222", "#8a8a8a"
COLOURS = ("#1f5fa8", "#c8501e", "#3c8d40", "#7b4fa3")


def new_figure(width: float, height: float) -> Any:
    """A matplotlib Figure of a size in inches, with its own canvas."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("[viz] expected matplotlib, got none: run `pip install matplotlib`") from None
    figure = Figure(figsize=(width, height), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def plain(axes: Any) -> Any:
    """Axes without the box: two spines, a faint grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(True, color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    return axes


def finish(figure: Any, path: str | os.PathLike | None) -> Any:
    """Saves the figure if a path is given, for print (.pdf and .svg stay vectors), and returns it."""
    if path is not None:
        figure.savefig(path, dpi=220)
    return figure
