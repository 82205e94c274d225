"""Trainer: the loop around a model, an optimizer and a loss, that can be watched, stopped, and taken up again."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from typing import Any

from .. import random
from ..autograd import no_grad
from ..checkpoint import load_checkpoint, save_checkpoint
from ..functional.arithmetic import mul
from ..functional.layout import cat
from ..functional.loss import cross_entropy
from ..nn.modes import evaluating
from ..nn.module import Module
from ..optim.lr_scheduler import ReduceLROnPlateau
from ..tensor import Tensor
from .callbacks import Callback, ProgressBar
from .history import History
from .metrics import Figures, Metric

Loss = Callable[[Any, Any], Tensor]
Batches = Iterable[tuple[Any, Any]]


class Trainer:
    """Trains a model epoch by epoch.

    Args:
        model: left in training mode.
        optimizer: made over the model's parameters.
        loss_fn: `loss_fn(output, target)`, a scalar mean over the batch.
        metrics: functions `(output, target) -> mean over the batch`, or objects like those of `train.metrics`, by name.
            None: "accuracy" where targets are class indices.
        scheduler: a learning-rate schedule, stepped after each epoch (with the watched loss, if it is a plateau's), or
            after each update if `schedule_updates`.
        accumulate: batches whose gradients are added before an update; the loss is divided by it.
        clip_norm: the gradients' norm is cut to this before an update.
        callbacks: see `train.callbacks`.
        progress: whether to show a bar.

    >>> from fastdl import nn, optim
    >>> from fastdl.data import DataLoader, TensorDataset
    >>> x = np.linspace(-1, 1, 64, dtype=np.float32).reshape(-1, 1)
    >>> model = nn.Linear(1, 1)
    >>> trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.5), nn.MSELoss(), metrics={}, progress=False)
    >>> history = trainer.fit(DataLoader(TensorDataset(x, 3 * x), 16, shuffle=True), epochs=20)
    >>> history["loss"][-1] < 1e-3
    True
    """

    def __init__(
        self,
        model: Module,
        optimizer: Any,
        loss_fn: Loss = cross_entropy,
        *,
        metrics: Mapping[str, Metric | Callable] | None = None,
        scheduler: Any = None,
        schedule_updates: bool = False,
        accumulate: int = 1,
        clip_norm: float | None = None,
        callbacks: Sequence[Callback] = (),
        progress: bool = True,
    ) -> None:
        if accumulate < 1:
            raise ValueError(f"[Trainer] expected accumulate of at least 1, got {accumulate}")
        self.model, self.optimizer, self.loss_fn = model, optimizer, loss_fn
        self.metrics, self.scheduler, self.schedule_updates = metrics, scheduler, schedule_updates
        self.accumulate, self.clip_norm = accumulate, clip_norm
        listeners = [*callbacks, *([ProgressBar()] if progress else [])]
        self.callbacks = sorted(listeners, key=lambda c: c.last)
        self.history = History()
        self.epoch = 0  # epochs done
        self.batch = 0  # batches done of the epoch under way
        self.updates = 0  # optimizer steps done
        self.stop = False  # a callback that sets it ends the training after the epoch
        self._epoch_rng: dict[str, Any] | None = None  # before the order of the epoch was drawn

    # ---- training ----------------------------------------------------------------------------------------------------

    def fit(
        self, loader: Batches, epochs: int, validation: Batches | None = None, resume: str | os.PathLike | None = None
    ) -> History:
        """Trains until `epochs` epochs are done, and returns the figures of each: "loss", metrics, and "val_..." of
        them if there is `validation`.

        resume: a checkpoint to go on from, if the file exists; the weights at the end are those of an unbroken run.
        (Figures of an epoch that was taken up in its middle are those of the rest of it.)

        Raises FloatingPointError `[fit] expected a finite loss ...` as soon as a loss is NaN or infinite.
        """
        if epochs < 1:
            raise ValueError(f"[fit] expected epochs of at least 1, got {epochs}")
        self.stop = False
        if resume is not None and os.path.exists(resume):
            self.load_state_dict(load_checkpoint(resume))
        self.epochs, self.batches = epochs, len(loader) if isinstance(loader, Sized) else None
        self._tell("on_fit_begin")
        try:
            while self.epoch < epochs and not self.stop:
                row = self._train_epoch(loader)
                if validation is not None:
                    row |= self.evaluate(validation, prefix="val_")
                self._end_epoch(row)
        finally:
            self.model.train()
            self._tell("on_fit_end")
        return self.history

    def _train_epoch(self, loader: Batches) -> dict[str, float]:
        self.model.train()
        resumed = random.get_rng_state() if self.batch else None
        if resumed is None:
            self._epoch_rng = random.get_rng_state()
        else:  # draw the same order again, pass over what is done, and go on where the numbers were
            random.set_rng_state(self._epoch_rng or resumed)
        batches = iter(loader)
        for _ in itertools.islice(batches, self.batch):
            pass
        if resumed is not None:
            random.set_rng_state(resumed)
        figures = Figures(self.metrics)
        self._tell("on_epoch_begin")
        for x, target in batches:
            output, loss, target = self._train_batch(x, target)
            figures.add(loss, output, target)
            self._tell("on_batch_end", loss)
        if not self.batch:
            raise ValueError("[fit] expected at least one batch, got none")
        if self.batch % self.accumulate:
            self._update()
        return figures.row()

    def _train_batch(self, x: Any, target: Any) -> tuple[Any, float, Any]:
        x, target = to_device(x, self.device), to_device(target, self.device)
        if self.batch % self.accumulate == 0:
            self.optimizer.zero_grad()
        output = self.model(x)
        loss = self.loss_fn(output, target)
        value = loss.item()
        if not math.isfinite(value):
            raise FloatingPointError(f"[fit] expected a finite loss, got {value} in epoch {self.epoch + 1}")
        if self.accumulate > 1:
            loss = mul(loss, 1 / self.accumulate)
        loss.backward()
        self.batch += 1
        if self.batch % self.accumulate == 0:
            self._update()
        return output, value, target

    def _update(self) -> None:
        if self.clip_norm is not None:
            from ..nn.utils import clip_grad_norm_

            clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.optimizer.step()
        self.updates += 1
        if self.scheduler is not None and self.schedule_updates:
            self.scheduler.step()

    def _end_epoch(self, row: dict[str, float]) -> None:
        self.epoch += 1
        self.batch = 0
        if self.scheduler is not None and not self.schedule_updates:
            if isinstance(self.scheduler, ReduceLROnPlateau):
                self.scheduler.step(row.get("val_loss", row["loss"]))
            else:
                self.scheduler.step()
        self.history.append(**row)
        self._tell("on_epoch_end", row)

    # ---- using -------------------------------------------------------------------------------------------------------

    @property
    def device(self) -> Any:
        return device_of(self.model)

    @no_grad()
    def evaluate(self, loader: Batches, prefix: str = "") -> dict[str, float]:
        """The mean loss and the metrics over all batches, in evaluation mode."""
        figures = Figures(self.metrics)
        with evaluating(self.model):
            for x, target in loader:
                x, target = to_device(x, self.device), to_device(target, self.device)
                output = self.model(x)
                figures.add(self.loss_fn(output, target).item(), output, target)
        return figures.row(prefix)

    def predict(self, loader: Iterable[Any]) -> Any:
        """The model's outputs for all batches, joined along the first axis, in evaluation mode (`train.predict`)."""
        return predict(self.model, loader)

    # ---- saving ------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on, the data apart."""
        return {
            "model": dict(self.model.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "epoch": self.epoch, "batch": self.batch, "updates": self.updates, "stop": self.stop,
            "history": {"columns": self.history.columns, "epochs": self.history.epochs},
            "rng": random.get_rng_state(), "epoch_rng": self._epoch_rng,
            "callbacks": [[type(c).__name__, c.state_dict()] for c in self.callbacks],
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes up a training whose `state_dict` this was; model, optimizer and callbacks must be made as they were."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        self.epoch, self.batch, self.updates = state["epoch"], state["batch"], state["updates"]
        self.stop = state.get("stop", False)  # a training that had come to its end stays there
        self.history = History()
        self.history.columns, self.history.epochs = state["history"]["columns"], state["history"]["epochs"]
        random.set_rng_state(state["rng"])
        self._epoch_rng = state["epoch_rng"]
        left = list(state["callbacks"])
        for callback in self.callbacks:  # by their classes: others may have come or gone
            names = [name for name, _ in left]
            if type(callback).__name__ in names:
                callback.load_state_dict(left.pop(names.index(type(callback).__name__))[1])

    def save(self, path: str | os.PathLike) -> None:
        """Writes the state as a checkpoint, whole or not at all."""
        save_checkpoint(self.state_dict(), path)

    def _tell(self, event: str, *args: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(self, *args)


@no_grad()
def predict(model: Module, loader: Iterable[Any]) -> Any:
    """The model's outputs for all batches, joined along the first axis, in evaluation mode.

    Batches may be inputs alone or tuples that begin with them. Outputs may be tuples or dicts of tensors, as those of
    `models.create_feature_extractor`; so is the result then.

    >>> from fastdl import models, nn
    >>> net = models.create_feature_extractor(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)), {"0": "hidden"})
    >>> predict(net, [fastdl.zeros(5, 4), fastdl.zeros(2, 4)])["hidden"].shape
    (7, 3)
    """
    device = device_of(model)
    with evaluating(model):
        outputs = [model((batch[0] if isinstance(batch, tuple | list) else batch).to(device)) for batch in loader]
    if not outputs:
        raise ValueError("[predict] expected at least one batch, got none")
    return _joined(outputs)


def _joined(outputs: list[Any]) -> Any:
    first = outputs[0]
    if isinstance(first, dict):
        return {key: _joined([out[key] for out in outputs]) for key in first}
    if isinstance(first, tuple | list):
        parts = [_joined(list(part)) for part in zip(*outputs, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    return cat(outputs)


def device_of(model: Module) -> Any:
    return next((p.device for p in model.parameters()), "cpu")


def to_device(value: Any, device: Any) -> Any:
    """Tensors moved, also inside containers."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, tuple | list):
        return type(value)(to_device(v, device) for v in value)
    if isinstance(value, dict):
        return {k: to_device(v, device) for k, v in value.items()}
    return value
