"""Averages of weights over a training, under the names of `torch.optim.swa_utils`."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any

from ..autograd import no_grad
from ..creation import tensor
from ..cuda.graphs import refuse_capture
from ..nn.module import Module
from .lr_scheduler.epochs import LRScheduler

Average = Callable[[Any, Any, Any], Any]


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """Exponential moving average: decay * average + (1 - decay) * parameter.

    Raises:
        ValueError: for a decay outside [0, 1].
    """
    if not 0 <= decay <= 1:
        raise ValueError(f"[get_ema_avg_fn] expected decay in [0, 1], got {decay}")
    return lambda average, parameter, count: average * decay + parameter * (1 - decay)


def get_swa_avg_fn() -> Average:
    """Equal average of all (stochastic weight averaging)."""
    return lambda average, parameter, count: average + (parameter - average) / (count + 1)


class AveragedModel(Module):
    """A copy of a model whose parameters average those of the model (`torch.optim.swa_utils.AveragedModel`; Polyak and
    Juditsky, 1992; Izmailov et al., 2018).

    Args:
        model: what is copied; the copy is `module`.
        device: where the copy lies.
        avg_fn: `avg_fn(average, parameter, count)`; an equal average by default, `get_ema_avg_fn(decay)` for an
            exponential one.
        use_buffers: average buffers too; otherwise they are copied.

    >>> import fastdl
    >>> from fastdl import nn
    >>> model = nn.Linear(1, 1)
    >>> average = AveragedModel(model, avg_fn=get_ema_avg_fn(0.5))
    >>> for value in (0.0, 4.0):
    ...     _ = nn.init.constant_(model.weight, value)
    ...     average.update_parameters(model)
    >>> average.module.weight.item(), average.n_averaged.item()
    (2.0, 2)
    """

    def __init__(
        self, model: Module, device: Any = None, avg_fn: Average | None = None, use_buffers: bool = False
    ) -> None:
        super().__init__()
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module.to(device=device)
        self.register_buffer("n_averaged", tensor(0, dtype="int64", device=device))
        self.avg_fn, self.use_buffers = avg_fn or get_swa_avg_fn(), use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Takes the model's present parameters into the average; the first time it is a copy."""
        refuse_capture("AveragedModel")  # its count would be that of the capture for ever
        count = int(self.n_averaged.item())
        pairs = list(zip(self.module.parameters(), model.parameters(), strict=True))
        buffers = list(zip(self.module.buffers(), model.buffers(), strict=True))
        with no_grad():
            for mine, theirs in [*pairs, *(buffers if self.use_buffers else [])]:
                now = theirs.detach().to(device=mine.device)
                averaged = count > 0 and mine.is_floating_point()
                mine.copy_(self.avg_fn(mine.detach(), now, count) if averaged else now)
            for mine, theirs in [] if self.use_buffers else buffers:
                mine.copy_(theirs)
            self.n_averaged += 1


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Runs the data through the model once, so that batch normalisation has the statistics of averaged weights
    (`torch.optim.swa_utils.update_bn`). Batches may be tuples, whose first part is the input.
    """
    layers: list[Any] = [m for m in model.modules() if hasattr(m, "reset_running_stats")]
    layers = [m for m in layers if m.track_running_stats]
    if not layers:
        return
    before, momenta = model.training, [m.momentum for m in layers]
    model.train()
    for m in layers:
        m.reset_running_stats()
        m.momentum = None  # an equal average of all batches
    with no_grad():
        for batch in loader:
            x = batch[0] if isinstance(batch, tuple | list) else batch
            model(x if device is None else x.to(device))
    for m, momentum in zip(layers, momenta, strict=True):
        m.momentum = momentum
    model.train(before)


class SWALR(LRScheduler):
    """From the rates in force to `swa_lr` within `anneal_epochs`, then constant (`torch.optim.swa_utils.SWALR`).

    >>> import fastdl
    >>> optimizer = fastdl.optim.SGD([fastdl.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = SWALR(optimizer, 0.5, anneal_epochs=2, anneal_strategy="linear")
    >>> [(optimizer.param_groups[0]["lr"], schedule.step())[0] for _ in range(4)]
    [1.0, 0.75, 0.5, 0.5]
    """

    def __init__(
        self, optimizer: Any, swa_lr: float, anneal_epochs: int = 10, anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"[SWALR] expected anneal_strategy cos or linear, got {anneal_strategy!r}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"[SWALR] expected anneal_epochs of at least 0, got {anneal_epochs}")
        self.swa_lr, self.anneal_epochs, self.anneal_strategy = swa_lr, anneal_epochs, anneal_strategy
        self.start_lrs = [group["lr"] for group in optimizer.param_groups]
        super().__init__(optimizer, last_epoch)

    def rate(self, base_lr: float, epoch: int, group: int) -> float:
        gone = min(1.0, epoch / self.anneal_epochs) if self.anneal_epochs else 1.0
        share = gone if self.anneal_strategy == "linear" else (1 - math.cos(math.pi * gone)) / 2
        return self.swa_lr * share + self.start_lrs[group] * (1 - share)
