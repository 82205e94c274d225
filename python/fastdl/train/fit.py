"""fit, evaluate, predict: the loops around a model, a loss and an optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from tqdm import tqdm

from ..autograd import no_grad
from ..functional.layout import cat
from ..functional.loss import cross_entropy
from ..functional.reduction import argmax
from ..nn.module import Module
from ..tensor import Tensor
from .history import History

Loss = Callable[[Tensor, Tensor], Tensor]


def fit(
    model: Module,
    loader: Iterable[tuple[Tensor, Tensor]],
    optimizer: Any,
    loss_fn: Loss = cross_entropy,
    epochs: int = 1,
    validation: Iterable[tuple[Tensor, Tensor]] | None = None,
    scheduler: Any = None,
    progress: bool = True,
    on_epoch: Callable[[int, History], bool | None] | None = None,
) -> History:
    """Trains a model and returns the figures of every epoch.

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

    Returns:
        History with "loss" and, where targets are class indices, "accuracy", each the mean over the epoch's items.

    Raises:
        FloatingPointError: `[fit] expected a finite loss ...` as soon as a loss is NaN or infinite.
    """
    if epochs < 1:
        raise ValueError(f"[fit] expected epochs of at least 1, got {epochs}")
    history = History()
    device = _device(model)
    with tqdm(
        total=epochs * _batches(loader), disable=not progress, unit="batch", dynamic_ncols=True, mininterval=0.5
    ) as bar:
        for epoch in range(epochs):
            model.train()
            figures = _Means()
            for x, target in loader:
                x, target = x.to(device), target.to(device)
                optimizer.zero_grad()
                output = model(x)
                loss = loss_fn(output, target)
                loss.backward()
                optimizer.step()
                figures.add(loss.item(), output, target)
                if not math.isfinite(figures.last):
                    raise FloatingPointError(f"[fit] expected a finite loss, got {figures.last} in epoch {epoch + 1}")
                bar.update()
            row = figures.means()
            if validation is not None:
                row |= {f"val_{name}": value for name, value in evaluate(model, validation, loss_fn).items()}
            if scheduler is not None:
                scheduler.step()
            history.append(**row)
            bar.set_description(f"epoch {epoch + 1}/{epochs}")
            bar.set_postfix({name: f"{value:.4f}" for name, value in row.items()})
            if on_epoch is not None and on_epoch(epoch, history):
                break
    model.train()
    return history


@no_grad()
def evaluate(
    model: Module, loader: Iterable[tuple[Tensor, Tensor]], loss_fn: Loss = cross_entropy
) -> dict[str, float]:  # fmt: skip
    """Mean "loss" and, for class indices, "accuracy" over all batches, in evaluation mode."""
    was_training, device = model.training, _device(model)
    model.eval()
    figures = _Means()
    for x, target in loader:
        x, target = x.to(device), target.to(device)
        output = model(x)
        figures.add(loss_fn(output, target).item(), output, target)
    model.train(was_training)
    return figures.means()


@no_grad()
def predict(model: Module, loader: Iterable[Any]) -> Tensor:
    """The model's outputs for all batches, joined along the first axis, in evaluation mode.

    Batches may be inputs alone or tuples that begin with them.
    """
    was_training, device = model.training, _device(model)
    model.eval()
    outputs = [model((batch[0] if isinstance(batch, tuple | list) else batch).to(device)) for batch in loader]
    model.train(was_training)
    if not outputs:
        raise ValueError("[predict] expected at least one batch, got none")
    return cat(outputs)


class _Means:
    """Means over items of the loss and of the share of right classes."""

    def __init__(self) -> None:
        self.items = 0
        self.loss = 0.0
        self.right = 0
        self.classes = True
        self.last = float("nan")

    def add(self, loss: float, output: Tensor, target: Tensor) -> None:
        n = target.shape[0] if target.ndim else 1
        self.last = loss
        self.items += n
        self.loss += loss * n
        self.classes = self.classes and output.ndim == 2 and target.ndim == 1 and not target.is_floating_point()
        if self.classes:
            chosen = argmax(output.detach(), 1).cpu().numpy()
            self.right += int(np.count_nonzero(chosen == target.cpu().numpy()))

    def means(self) -> dict[str, float]:
        n = self.items or float("nan")
        return {"loss": self.loss / n} | ({"accuracy": self.right / n} if self.classes else {})


def _device(model: Module) -> Any:
    for p in model.parameters():
        return p.device
    return "cpu"


def _batches(loader: Any) -> int:
    return len(loader) if hasattr(loader, "__len__") else 0
