"""Figures of a pass over data: means over items, the share of right classes, and functions of everything at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from ..functional.reduction import argmax
from ..tensor import Tensor


class Metric(Protocol):
    """What a figure needs: it starts anew, sees every batch, and gives a number."""

    def reset(self) -> None: ...
    def update(self, output: Any, target: Any) -> None: ...
    def compute(self) -> float: ...


class Mean:
    """The mean over items of `function(output, target)`, itself a mean over the batch.

    >>> import fastdl
    >>> mae = Mean(lambda output, target: (output - target).abs().mean())
    >>> mae.update(fastdl.ones(2), fastdl.zeros(2)); mae.update(fastdl.ones(1), fastdl.ones(1)); round(mae.compute(), 3)
    0.667
    """

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        self.function = function
        self.reset()

    def reset(self) -> None:
        self.total, self.items = 0.0, 0

    def add(self, value: float, items: int) -> None:
        self.total += value * items
        self.items += items

    def update(self, output: Any, target: Any) -> None:
        value = self.function(output, target)
        self.add(value.item() if isinstance(value, Tensor) else float(value), items_of(target))

    def compute(self) -> float:
        return self.total / self.items if self.items else float("nan")


class Accuracy(Mean):
    """The share of items whose largest output is that of their class; also per pixel.

    Output (N, C) or (N, C, ...), target of class indices (N,) or (N, ...).
    """

    def __init__(self) -> None:
        super().__init__(lambda output, target: 0.0)

    def update(self, output: Tensor, target: Tensor) -> None:
        right = argmax(output.detach(), 1).cpu().numpy() == target.cpu().numpy()
        self.add(float(np.mean(right)) if right.size else 0.0, right.size)

    @staticmethod
    def serves(output: Any, target: Any) -> bool:
        """Whether the target is class indices for the output."""
        both = isinstance(output, Tensor) and isinstance(target, Tensor)
        return both and output.ndim >= 2 and target.ndim == output.ndim - 1 and not target.is_floating_point()


class Whole:
    """`function(target, output)` of all items at once, as NumPy arrays: for scikit-learn's metrics.

    >>> import fastdl
    >>> from sklearn.metrics import roc_auc_score
    >>> auc = Whole(roc_auc_score)
    >>> auc.update(fastdl.tensor([0.2, 0.7]), fastdl.tensor([0, 1])); float(auc.compute())
    1.0
    """

    def __init__(self, function: Callable[[np.ndarray, np.ndarray], float]) -> None:
        self.function = function
        self.reset()

    def reset(self) -> None:
        self.outputs: list[np.ndarray] = []
        self.targets: list[np.ndarray] = []

    def update(self, output: Tensor, target: Tensor) -> None:
        self.outputs.append(output.detach().cpu().numpy().copy())
        self.targets.append(target.cpu().numpy().copy())

    def compute(self) -> float:
        return float(self.function(np.concatenate(self.targets), np.concatenate(self.outputs)))


def items_of(target: Any) -> int:
    """Items in a batch, from its target."""
    if isinstance(target, tuple | list):
        return items_of(target[0]) if target else 0
    if isinstance(target, dict):
        return items_of(next(iter(target.values())))
    shape = getattr(target, "shape", ())
    return int(shape[0]) if shape else 1


def as_metric(metric: Any) -> Metric:
    """A metric as it is, or a function of a batch as its mean."""
    return metric if hasattr(metric, "update") else Mean(metric)


class Figures:
    """The loss and the metrics of one pass over batches."""

    def __init__(self, metrics: Mapping[str, Metric | Callable] | None) -> None:
        self.loss = Mean(lambda output, target: 0.0)
        self.accuracy: Accuracy | None = Accuracy() if metrics is None else None
        self.metrics: dict[str, Metric] = {name: as_metric(metric) for name, metric in (metrics or {}).items()}
        for metric in self.metrics.values():
            metric.reset()

    def add(self, loss: float, output: Any, target: Any) -> None:
        self.loss.add(loss, items_of(target))
        if self.accuracy is not None and not Accuracy.serves(output, target):
            self.accuracy = None
        for metric in (*self.metrics.values(), *([self.accuracy] if self.accuracy else [])):
            metric.update(output, target)

    def row(self, prefix: str = "") -> dict[str, float]:
        found = {"loss": self.loss.compute()}
        if self.accuracy is not None and self.loss.items:
            found["accuracy"] = self.accuracy.compute()
        found |= {name: metric.compute() for name, metric in self.metrics.items()}
        return {f"{prefix}{name}": value for name, value in found.items()}
