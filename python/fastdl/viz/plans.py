"""Where the time of an inference plan goes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .figure import COLOURS, INK, MUTED, finish, new_figure, plain

if TYPE_CHECKING:
    from ..plan.profile import Profile


def plot_profile(profile: Profile, path: str | os.PathLike | None = None, most: int = 30, title: str = "") -> Any:
    """The `most` slowest steps of `Plan.profile()` in the order in which they run, a bar each. Dark is the time
    that the machine's peaks would need; products and convolutions are blue, all others, which memory bounds, orange.

    >>> plan = fastdl.compile(fastdl.nn.Linear(64, 32), fastdl.ones(8, 64))
    >>> len(plot_profile(plan.profile(repeats=1)).axes[0].patches)
    2
    """
    slowest = set(sorted(range(len(profile.rows)), key=lambda i: -profile.rows[i].seconds)[:most])
    rows = [row for i, row in enumerate(profile.rows) if i in slowest]
    figure = new_figure(8, 1 + 0.22 * max(len(rows), 1))
    axes = plain(figure.add_subplot())
    times = [row.seconds * 1e6 for row in rows]
    colours = [COLOURS[0] if row.flops else COLOURS[1] for row in rows]
    axes.barh(range(len(rows)), times, color=colours, alpha=0.35)
    axes.barh(range(len(rows)), [t * min(row.limit, 1) for t, row in zip(times, rows, strict=True)], color=colours)
    for i, (time, row) in enumerate(zip(times, rows, strict=True)):
        axes.text(time, i, f" {row.share:.1%}, {row.rate}", va="center", fontsize=7, color=MUTED)
    axes.set_yticks(range(len(rows)), [f"{row.source} {row.function}".strip() for row in rows], fontsize=7, color=INK)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.set_xlabel("microseconds (dark: what the peaks of the machine would need)")
    if title:
        axes.set_title(title, fontsize=11)
    return finish(figure, path)
