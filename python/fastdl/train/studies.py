"""Trainings that answer a question: which learning rate, and whether more data would help."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import random
from ..data.dataset import Subset
from ..data.loader import DataLoader
from ..functional.loss import cross_entropy
from ..nn.module import Module
from .trainer import Batches, Loss, Trainer, device_of, to_device


class LearningRates(NamedTuple):
    """What `find_lr` saw: rates, the smoothed loss at each, and the rate to try."""

    rates: np.ndarray
    losses: np.ndarray
    suggestion: float


def find_lr(
    model: Module, loader: Batches, optimizer: Any, loss_fn: Loss = cross_entropy, start: float = 1e-6,
    end: float = 10.0, steps: int = 100, smoothing: float = 0.9, diverged: float = 4.0,
) -> LearningRates:  # fmt: skip
    """The learning-rate range test (Smith, 2017): the rate grows from `start` to `end` by a constant factor a step.

    Args:
        loader: gone through again and again until `steps` steps are done.
        smoothing: of the exponential average of the losses, corrected for its start.
        diverged: the test ends early when the loss is so many times the least one, or not finite.

    Returns:
        Rates, smoothed losses, and the rate where the loss falls fastest along the logarithm of the rate. Model,
        optimizer and random numbers are as before. `viz.plot_lr_finder` draws it.

    Raises:
        ValueError: for a range that is not 0 < start < end, or fewer than 10 steps.

    >>> from fastdl import nn, optim
    >>> x = np.random.default_rng(0).standard_normal((64, 2)).astype(np.float32)
    >>> model = nn.Linear(2, 1)
    >>> sgd = optim.SGD(model.parameters(), lr=1e-3)
    >>> found = find_lr(model, [(fastdl.tensor(x), fastdl.tensor(x.sum(1, keepdims=True)))], sgd, nn.MSELoss())
    >>> 1e-3 < found.suggestion < 2
    True
    """
    if not 0 < start < end < math.inf:
        raise ValueError(f"[find_lr] expected 0 < start < end, got {start} and {end}")
    if steps < 10:
        raise ValueError(f"[find_lr] expected steps of at least 10, got {steps}")
    kept = copy.deepcopy((dict(model.state_dict()), optimizer.state_dict(), random.get_rng_state()))
    was_training, device = model.training, device_of(model)
    rates: list[float] = []
    losses: list[float] = []
    average = 0.0
    model.train()
    try:
        for i, (x, target) in enumerate(itertools.islice(_endless(loader), steps)):
            rate = start * (end / start) ** (i / (steps - 1))
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
            loss = loss_fn(model(to_device(x, device)), to_device(target, device))
            loss.backward()
            average = smoothing * average + (1 - smoothing) * loss.item()
            smooth = average / (1 - smoothing ** (i + 1))
            if not math.isfinite(smooth) or (losses and smooth > diverged * min(losses)):
                break
            rates.append(rate)
            losses.append(smooth)
            optimizer.step()
    finally:
        model.load_state_dict(kept[0])
        optimizer.load_state_dict(kept[1])
        optimizer.zero_grad()
        random.set_rng_state(kept[2])
        model.train(was_training)
    if len(rates) < 3:
        raise ValueError(f"[find_lr] expected a loss that is finite from {start} on, got one that left at once")
    return LearningRates(np.asarray(rates), np.asarray(losses), rates[_steepest(np.asarray(rates), np.asarray(losses))])


def _steepest(rates: np.ndarray, losses: np.ndarray) -> int:
    """Where the loss falls fastest on its last way down to the least one, up to a third of the rate there: before it,
    the noise of single batches is steeper than any descent, and beyond, training is about to break."""
    least = int(losses.argmin())
    last = int(np.searchsorted(rates, rates[least] / 3, "right")) - 1
    if last < 2:
        return max(last, 0)
    top = float(np.median(losses[: max(3, least // 4)]))
    high = np.flatnonzero(losses[:last] >= losses[least] + 0.9 * (top - losses[least]))
    first = int(high[-1]) if high.size else 0
    return first + int(np.gradient(losses[first : last + 1]).argmin())


def _endless(loader: Batches) -> Any:
    while True:
        empty = True
        for batch in loader:
            empty = False
            yield batch
        if empty:
            raise ValueError("[find_lr] expected at least one batch, got none")


class SizeCurve(NamedTuple):
    """A figure by the size of the training set: sizes (S,), and scores (S, repeats) on training and validation data.

    The first three are what scikit-learn's `learning_curve` returns.
    """

    sizes: np.ndarray
    train_scores: np.ndarray
    test_scores: np.ndarray
    metric: str

    @property
    def gain(self) -> float:
        """What the last doubling of the set brought on validation data, from the two largest sizes; a fall of a loss
        or an error counts as positive."""
        means = self.test_scores.mean(1)
        falls = -1.0 if "loss" in self.metric or "error" in self.metric else 1.0
        return float(falls * (means[-1] - means[-2]) / np.log2(self.sizes[-1] / self.sizes[-2]))


def learning_curve(
    make: Callable[[], Trainer],
    dataset: Any,
    validation: Any,
    sizes: Sequence[float] = (0.1, 0.2, 0.4, 0.7, 1.0),
    epochs: int | Callable[[int], int] = 10,
    batch_size: int = 64,
    metric: str = "accuracy",
    repeats: int = 1,
    seed: int = 0,
) -> SizeCurve:
    """Trains on parts of a set and evaluates each: "would more data help?"

    Args:
        make: a Trainer with a new model and a new optimizer; called once a training, after its seed was set.
        dataset, validation: sets of (input, target).
        sizes: of the parts, as counts or as shares of the set; a larger part of one repeat holds the smaller ones.
        epochs: of each training; a function of the size keeps, say, the number of updates equal.
        metric: "accuracy", "loss", or one of the trainer's metrics.
        repeats: trainings for each size, each with parts and weights of its own.

    Raises ValueError for sizes outside the set, or a metric that the trainer does not report.
    """
    n = len(dataset)
    counts = [round(s * n) if isinstance(s, float) and s <= 1 else int(s) for s in sizes]
    if not counts or not all(1 <= count <= n for count in counts):
        raise ValueError(f"[learning_curve] expected sizes from 1 to {n}, got {list(sizes)}")
    scores = np.empty((2, len(counts), repeats))
    for r in range(repeats):
        order = np.random.default_rng([seed, r]).permutation(n)
        for i, count in enumerate(counts):
            random.manual_seed(seed + r)
            part = Subset(dataset, order[:count])
            trainer = make()
            trainer.fit(DataLoader(part, batch_size, shuffle=True), epochs(count) if callable(epochs) else epochs)
            for j, data in enumerate((part, validation)):
                found = trainer.evaluate(DataLoader(data, max(batch_size, 256)))
                if metric not in found:
                    names = ", ".join(found)
                    raise ValueError(f"[learning_curve] expected metric to be one of {names}, got {metric!r}")
                scores[j, i, r] = found[metric]
    return SizeCurve(np.asarray(counts), scores[0], scores[1], metric)
