"""fit and evaluate: a training in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..functional.loss import cross_entropy
from ..nn.module import Module
from .callbacks import Callback, OnEpoch
from .history import History
from .metrics import Metric
from .trainer import Batches, Loss, Trainer


def fit(
    model: Module,
    loader: Batches,
    optimizer: Any,
    loss_fn: Loss = cross_entropy,
    epochs: int = 1,
    validation: Batches | None = None,
    scheduler: Any = None,
    progress: bool = True,
    on_epoch: Callable[[int, History], bool | None] | None = None,
    metrics: Mapping[str, Metric | Callable] | None = None,
    callbacks: Sequence[Callback] = (),
) -> History:
    """Trains a model and returns the figures of every epoch. `Trainer` has more: accumulation, clipping, resuming.

    Args:
        model: left in training mode.
        loader: batches (input, target); tensors move to the model's device.
        optimizer: made over the model's parameters.
        loss_fn: `loss_fn(output, target)`, a scalar mean over the batch.
        epochs: passes over the loader.
        validation: batches to evaluate after each epoch, as "val_loss" and "val_accuracy".
        scheduler: a learning-rate schedule; its `step()` is called after each epoch.
        progress: whether to show a bar.
        on_epoch: called with the epoch's number (from 0) and the history; True ends the training.
        metrics, callbacks: as for `Trainer`.

    Returns:
        History with "loss" and, where targets are class indices, "accuracy", each the mean over the epoch's items.

    Raises:
        FloatingPointError: `[fit] expected a finite loss ...` as soon as a loss is NaN or infinite.
    """
    watchers = [*callbacks, *([OnEpoch(on_epoch)] if on_epoch is not None else [])]
    trainer = Trainer(model, optimizer, loss_fn, metrics=metrics, scheduler=scheduler, callbacks=watchers,
                      progress=progress)  # fmt: skip
    return trainer.fit(loader, epochs, validation)


def evaluate(
    model: Module,
    loader: Batches,
    loss_fn: Loss = cross_entropy,
    metrics: Mapping[str, Metric | Callable] | None = None,
) -> dict[str, float]:
    """Mean "loss" and, for class indices, "accuracy" (or `metrics`) over all batches, in evaluation mode."""
    return Trainer(model, None, loss_fn, metrics=metrics, progress=False).evaluate(loader)
