"""What scikit-learn lacks for choosing models: windows that slide through time, MAP@k, and choice by two metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import BaseCrossValidator


class SlidingWindowSplit(BaseCrossValidator):
    """Train on a window of the series, test on what follows, move on; both windows keep their length.

    Args:
        train_size, test_size: items in each window.
        gap: items left out between them (what is not known yet when the forecast is made).
        step: how far the windows move; default `test_size`, so that no item is tested twice.

    A splitter as those of scikit-learn: `cross_val_score(model, x, y, cv=SlidingWindowSplit(100, 10))`.

    >>> for train, test in SlidingWindowSplit(3, 2).split(range(9)): print(train, test)
    [0 1 2] [3 4]
    [2 3 4] [5 6]
    [4 5 6] [7 8]
    """

    anchored = False

    def __init__(self, train_size: int, test_size: int = 1, gap: int = 0, step: int | None = None) -> None:
        for name, value, least in (("train_size", train_size, 1), ("test_size", test_size, 1), ("gap", gap, 0),
                                   ("step", 1 if step is None else step, 1)):  # fmt: skip
            if value < least:
                raise ValueError(f"[{type(self).__name__}] expected {name} of at least {least}, got {value}")
        self.train_size, self.test_size, self.gap, self.step = train_size, test_size, gap, step

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Indices (train, test) of each window, in the order of time."""
        for start in self._starts(len(X)):
            first = 0 if self.anchored else start
            test = start + self.train_size + self.gap
            yield np.arange(first, start + self.train_size), np.arange(test, test + self.test_size)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        if X is None:
            raise ValueError(f"[{type(self).__name__}] expected X, whose length decides, got None")
        return len(self._starts(len(X)))

    def _starts(self, n: int) -> range:
        last = n - self.train_size - self.gap - self.test_size
        if last < 0:
            raise ValueError(f"[{type(self).__name__}] expected at least {n - last} items, got {n}")
        return range(0, last + 1, self.step or self.test_size)


class AnchoredWindowSplit(SlidingWindowSplit):
    """As `SlidingWindowSplit`, but training always begins with the first item; `train_size` is the first window's.

    >>> for train, test in AnchoredWindowSplit(3, 2).split(range(7)): print(train, test)
    [0 1 2] [3 4]
    [0 1 2 3 4] [5 6]
    """

    anchored = True


def apk(actual: Sequence[Any], predicted: Sequence[Any], k: int = 10) -> float:
    """Average precision at k of one ranking: the mean, over the right items, of the precision where each is found.

    `predicted` counts from the best on; a repeated item counts once. No right items: 0.

    >>> apk(["a", "b"], ["a", "x", "b"], k=3)
    0.8333333333333333
    """
    if k < 1:
        raise ValueError(f"[apk] expected k of at least 1, got {k}")
    wanted = set(actual)
    hits, total, seen = 0, 0.0, set()
    for place, item in enumerate(predicted[:k], 1):
        if item in wanted and item not in seen:
            hits += 1
            total += hits / place
        seen.add(item)
    return total / min(len(wanted), k) if wanted else 0.0


def mapk(actual: Sequence[Sequence[Any]], predicted: Sequence[Sequence[Any]], k: int = 10) -> float:
    """Mean average precision at k over rankings.

    >>> mapk([["a"], ["b"]], [["a", "x"], ["x", "b"]], k=2)
    0.75
    """
    if len(actual) != len(predicted):
        raise ValueError(f"[mapk] expected as many rankings as sets, got {len(predicted)} and {len(actual)}")
    if not len(actual):
        raise ValueError("[mapk] expected at least one ranking, got none")
    return float(np.mean([apk(a, p, k) for a, p in zip(actual, predicted, strict=True)]))


def choose(
    candidates: Mapping[str, Mapping[str, float]],
    optimize: str,
    satisfice: Mapping[str, tuple[str, float]] | None = None,
    maximize: bool = True,
) -> str:
    """The candidate that is best in one metric among those that are good enough in the others.

    Args:
        candidates: metrics of each, by name.
        optimize: the metric to be as high as possible (low, if not `maximize`).
        satisfice: for other metrics a relation ("<=", ">=", "<", ">") and its bound.

    Raises ValueError when none is good enough, with how far each fell short.

    >>> choose({"big": {"auc": 0.95, "ms": 40}, "small": {"auc": 0.93, "ms": 9}}, "auc", {"ms": ("<=", 10)})
    'small'
    """
    if not candidates:
        raise ValueError("[choose] expected at least one candidate, got none")
    bounds = dict(satisfice or {})
    unknown = [relation for relation, _ in bounds.values() if relation not in RELATIONS]
    if unknown:
        raise ValueError(f"[choose] expected relations {', '.join(RELATIONS)}, got {unknown[0]!r}")
    for name, metrics in candidates.items():
        missing = [m for m in (optimize, *bounds) if m not in metrics]
        if missing:
            raise ValueError(f"[choose] expected metric {missing[0]!r} of {name}, got {', '.join(metrics)}")
    good = [n for n, m in candidates.items() if all(RELATIONS[r](m[metric], b) for metric, (r, b) in bounds.items())]
    if not good:
        found = "; ".join(f"{n}: " + ", ".join(f"{metric} {m[metric]:g}" for metric in bounds)
                          for n, m in candidates.items())  # fmt: skip
        wanted = ", ".join(f"{metric} {r} {b:g}" for metric, (r, b) in bounds.items())
        raise ValueError(f"[choose] expected a candidate with {wanted}, got {found}")
    return (max if maximize else min)(good, key=lambda n: candidates[n][optimize])


RELATIONS: dict[str, Callable[[float, float], bool]] = {
    "<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b, "<": lambda a, b: a < b, ">": lambda a, b: a > b,
}  # fmt: skip
