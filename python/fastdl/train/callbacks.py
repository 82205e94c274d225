"""What watches a training: progress bar, early stopping, checkpoints, logs."""

from __future__ import annotations

import copy
import csv
import glob
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from ..nn.module import Module
from ..saving import write_atomic

if TYPE_CHECKING:
    from .trainer import Trainer


class Callback:
    """Base class: define what you want to hear of. `trainer.stop = True` ends the training after the epoch."""

    last = False  # whether it hears after those that do not say so: what a checkpoint saves is what others have become

    def on_fit_begin(self, trainer: Trainer) -> None: ...
    def on_epoch_begin(self, trainer: Trainer) -> None: ...
    def on_batch_end(self, trainer: Trainer, loss: float) -> None: ...
    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None: ...
    def on_fit_end(self, trainer: Trainer) -> None: ...

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must keep of it."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class ProgressBar(Callback):
    """A bar over all batches of all epochs, with the last epoch's figures."""

    def __init__(self) -> None:
        self.bar: tqdm | None = None

    def on_fit_begin(self, trainer: Trainer) -> None:
        batches = trainer.batches or 0
        self.bar = tqdm(total=trainer.epochs * batches or None, initial=trainer.epoch * batches + trainer.batch,
                        unit="batch", dynamic_ncols=True, mininterval=0.5)  # fmt: skip

    def on_batch_end(self, trainer: Trainer, loss: float) -> None:
        if self.bar is not None:
            self.bar.update()

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        if self.bar is not None:
            self.bar.set_description(f"epoch {trainer.epoch}/{trainer.epochs}")
            self.bar.set_postfix({name: f"{value:.4f}" for name, value in row.items()})

    def on_fit_end(self, trainer: Trainer) -> None:
        if self.bar is not None:
            self.bar.close()


class Freeze(Callback):
    """Keeps parts of a model as they are: no gradients for their parameters, and evaluation mode, so that their batch
    norms neither change nor use their batch's statistics, and their dropouts are off.

    until: epochs after which they learn as well (gradual unfreezing); None: not in this training. Parameters that took
    no gradients before stay so; at the end of `fit` the others take them again. The counterpart is a Keras layer with
    `trainable = False`.

    >>> from fastdl import nn, optim
    >>> from fastdl.train import Trainer
    >>> model = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    >>> before = model[:2].state_dict()
    >>> trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.1), callbacks=[Freeze(model[:2])], progress=False)
    >>> _ = trainer.fit([(fastdl.randn(4, 2), fastdl.tensor([0, 1, 0, 1]))], epochs=2)
    >>> all((before[name] == value).all().item() for name, value in model[:2].state_dict().items())
    True
    """

    def __init__(self, *modules: Module, until: int | None = None) -> None:
        wrong = [type(m).__name__ for m in modules if not isinstance(m, Module)] or ([] if modules else ["none"])
        if wrong:
            raise TypeError(f"[Freeze] expected modules, got {wrong[0]}")
        self.modules, self.until = modules, until
        self._learning: list[Any] = []

    def on_fit_begin(self, trainer: Trainer) -> None:
        self._learning = [p for m in self.modules for p in m.parameters() if p.requires_grad]

    def on_epoch_begin(self, trainer: Trainer) -> None:
        frozen = self.until is None or trainer.epoch < self.until
        self._let_learn(not frozen)
        for module in self.modules if frozen else ():
            module.eval()

    def on_fit_end(self, trainer: Trainer) -> None:
        self._let_learn(True)

    def _let_learn(self, learn: bool) -> None:
        for p in self._learning:
            p.requires_grad_(learn)
            if not learn:
                p.grad = None  # of an earlier training: an optimizer would go on with it


class EMA(Callback):
    """Keeps an exponential moving average of the weights: decay * average + (1 - decay) * weights after every batch.

    The average is a copy of the model, in `average.module`; run `optim.swa_utils.update_bn` over it if the model has
    batch normalisation. `average` is there from the beginning of the training on.
    """

    def __init__(self, decay: float = 0.999) -> None:
        from ..optim.swa_utils import get_ema_avg_fn

        self.rule = get_ema_avg_fn(decay)
        self.average: Any = None
        self._saved: Mapping[str, Any] | None = None  # of a checkpoint, until there is a model to copy

    def on_fit_begin(self, trainer: Trainer) -> None:
        from ..optim.swa_utils import AveragedModel

        if self.average is None:
            self.average = AveragedModel(trainer.model, avg_fn=self.rule)
        if self._saved is not None:
            self.average.load_state_dict(self._saved)
            self._saved = None

    def on_batch_end(self, trainer: Trainer, loss: float) -> None:
        self.average.update_parameters(trainer.model)

    def state_dict(self) -> dict[str, Any]:
        return {} if self.average is None else dict(self.average.state_dict())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._saved = state or None


class _Watching(Callback):
    """Keeps the best value of one figure."""

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"[{type(self).__name__}] expected mode to be auto, min or max, got {mode!r}")
        falls = "loss" in monitor or "error" in monitor
        self.monitor, self.sign = monitor, 1.0 if mode == "min" or (mode == "auto" and falls) else -1.0
        self.min_delta = min_delta
        self.best: float | None = None

    def improved(self, row: Mapping[str, float]) -> bool:
        if self.monitor not in row:
            raise ValueError(f"[{type(self).__name__}] expected monitor to be one of {', '.join(row)}, "
                             f"got {self.monitor!r}")  # fmt: skip
        value = row[self.monitor]
        better = value == value and (self.best is None or self.sign * (self.best - value) > self.min_delta)
        if better:
            self.best = value
        return better

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best = state["best"]


class EarlyStopping(_Watching):
    """Ends the training when a figure has not improved by `min_delta` for `patience` epochs.

    mode: "min", "max", or "auto": a loss or an error should fall, anything else rise. restore_best: the model gets the
    weights of its best epoch back at the end.
    """

    def __init__(
        self, monitor: str = "val_loss", patience: int = 5, min_delta: float = 0.0, mode: str = "auto",
        restore_best: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(monitor, mode, min_delta)
        self.patience, self.restore_best = patience, restore_best
        self.stale = 0
        self.weights: dict[str, Any] | None = None

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        if self.improved(row):
            self.stale = 0
            self.weights = copy.deepcopy(dict(trainer.model.state_dict())) if self.restore_best else None
        else:
            self.stale += 1
            trainer.stop = trainer.stop or self.stale >= self.patience

    def on_fit_end(self, trainer: Trainer) -> None:
        if self.weights is not None:
            trainer.model.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "stale": self.stale, "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.stale, self.weights = state["best"], state["stale"], state["weights"]


class Checkpoint(_Watching):
    """Writes the whole state of the training to a file, from which `trainer.fit(..., resume=path)` goes on.

    every_batches: also so many batches apart, within epochs. monitor: only after epochs in which this figure is the
    best so far (and never within epochs).
    """

    last = True

    def __init__(
        self, path: str | os.PathLike, every_epochs: int = 1, every_batches: int | None = None,
        monitor: str | None = None, mode: str = "auto",
    ) -> None:  # fmt: skip
        super().__init__(monitor or "loss", mode)
        self.path, self.every_epochs, self.every_batches = path, every_epochs, every_batches
        self.only_best = monitor is not None

    def on_fit_begin(self, trainer: Trainer) -> None:
        path = Path(self.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        for part in path.parent.glob(f"{glob.escape(path.name)}*.part"):  # of a process that was killed while it wrote
            part.unlink(missing_ok=True)

    def on_batch_end(self, trainer: Trainer, loss: float) -> None:
        due = self.every_batches is not None and not self.only_best and trainer.batch % self.every_batches == 0
        if due and trainer.batch % trainer.accumulate == 0:  # gradients under way are not kept
            trainer.save(self.path)

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        due = self.improved(row) if self.only_best else trainer.epoch % self.every_epochs == 0
        if due:
            trainer.save(self.path)


class CSVLogger(Callback):
    """Writes the history as a table, anew after every epoch."""

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = path

    def on_fit_begin(self, trainer: Trainer) -> None:
        Path(self.path).parent.mkdir(parents=True, exist_ok=True)

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        text = io.StringIO()
        writer = csv.writer(text)
        columns = trainer.history.columns
        writer.writerow(["epoch", *columns])
        writer.writerows([i + 1, *figures] for i, figures in enumerate(zip(*columns.values(), strict=True)))
        write_atomic(self.path, text.getvalue().encode())


class TensorBoard(Callback):
    """Writes figures, and histograms of weights if `histograms`, for TensorBoard. Needs tensorboardX."""

    def __init__(self, log_dir: str | os.PathLike, histograms: bool = False) -> None:
        from tensorboardX import SummaryWriter

        self.writer = SummaryWriter(str(Path(log_dir)))
        self.histograms = histograms

    def on_batch_end(self, trainer: Trainer, loss: float) -> None:
        self.writer.add_scalar("batch/loss", loss, trainer.updates)

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        for name, value in row.items():
            self.writer.add_scalar(name, value, trainer.epoch)
        for i, group in enumerate(trainer.optimizer.param_groups):
            self.writer.add_scalar(f"lr/{i}", group["lr"], trainer.epoch)
        for name, p in trainer.model.named_parameters() if self.histograms else ():
            self.writer.add_histogram(name, p.detach().cpu().numpy(), trainer.epoch)

    def on_fit_end(self, trainer: Trainer) -> None:
        self.writer.flush()


class OnEpoch(Callback):
    """Calls `function(epoch, history)` after every epoch (from 0); True ends the training."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        trainer.stop = bool(self.function(trainer.epoch - 1, trainer.history)) or trainer.stop
