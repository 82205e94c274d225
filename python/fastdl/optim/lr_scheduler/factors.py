"""Schedules by factors, powers and triangles, and several at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .epochs import LambdaLR, LRScheduler, expect_optimizer


class ConstantLR(LRScheduler):
    """Base rate times `factor` for the first `total_iters` epochs (`torch.optim.lr_scheduler.ConstantLR`).

    >>> import fastdl
    >>> optimizer = fastdl.optim.SGD([fastdl.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = ConstantLR(optimizer, 0.5, total_iters=2)
    >>> [(optimizer.param_groups[0]["lr"], schedule.step())[0] for _ in range(3)]
    [0.5, 0.5, 1.0]
    """

    def __init__(self, optimizer: Any, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1) -> None:
        if not 0 <= factor <= 1:
            raise ValueError(f"[ConstantLR] expected factor in [0, 1], got {factor}")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, base_lr: float, epoch: int, group: int) -> float:
        return base_lr * (self.factor if epoch < self.total_iters else 1.0)


class PolynomialLR(LRScheduler):
    """Base rate times (1 - epoch / total_iters)^power, then 0 (`torch.optim.lr_scheduler.PolynomialLR`)."""

    def __init__(self, optimizer: Any, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def rate(self, base_lr: float, epoch: int, group: int) -> float:
        return base_lr * (1 - min(epoch, self.total_iters) / self.total_iters) ** self.power


class MultiplicativeLR(LambdaLR):
    """The rate times `lr_lambda(epoch)` in every later epoch (`torch.optim.lr_scheduler.MultiplicativeLR`)."""

    def rate(self, base_lr: float, epoch: int, group: int) -> float:
        for e in range(1, epoch + 1):
            base_lr *= self.lambdas[group](e)
        return base_lr


class CyclicLR(LRScheduler):
    """Up from base_lr to max_lr and down again, step by step (`torch.optim.lr_scheduler.CyclicLR`; Smith, 2017).

    Args:
        step_size_up, step_size_down: steps of each way; down as up by default.
        mode: "triangular", "triangular2" (the height halves with each cycle) or "exp_range" (height times gamma^step).
        scale_fn: a height of your own, of the cycle from 1 on or of the step, by `scale_mode` "cycle" or "iterations".
        cycle_momentum: momentum (or beta1) goes the other way, from max_momentum to base_momentum.

    Raises:
        ValueError: for an unknown mode, or momentum to cycle that the optimizer lacks.

    >>> import fastdl
    >>> optimizer = fastdl.optim.SGD([fastdl.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = CyclicLR(optimizer, 1.0, 3.0, step_size_up=2, cycle_momentum=False)
    >>> [(optimizer.param_groups[0]["lr"], schedule.step())[0] for _ in range(5)]
    [1.0, 2.0, 3.0, 2.0, 1.0]
    """

    def __init__(
        self, optimizer: Any, base_lr: float, max_lr: float, step_size_up: int = 2000,
        step_size_down: int | None = None, mode: str = "triangular", gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None, scale_mode: str = "cycle", cycle_momentum: bool = True,
        base_momentum: float = 0.8, max_momentum: float = 0.9, last_epoch: int = -1,
    ) -> None:  # fmt: skip
        heights: dict[str, tuple[Callable[[float], float], str]] = {
            "triangular": (lambda cycle: 1.0, "cycle"),
            "triangular2": (lambda cycle: 0.5 ** (cycle - 1), "cycle"),
            "exp_range": (lambda step: gamma**step, "iterations"),
        }
        if scale_fn is None and mode not in heights:
            raise ValueError(f"[CyclicLR] expected mode {', '.join(heights)}, got {mode!r}")
        first = expect_optimizer(optimizer, "CyclicLR").param_groups[0]
        self._momentum = "momentum" if "momentum" in first else "betas" if "betas" in first else None
        if cycle_momentum and self._momentum is None:
            raise ValueError("[CyclicLR] expected an optimizer with momentum or betas for cycle_momentum, got another")
        self.lambdas = (scale_fn, scale_mode) if scale_fn is not None else heights[mode]  # not saved
        self.base_lr, self.max_lr = base_lr, max_lr
        self.up, self.total = step_size_up, step_size_up + (step_size_up if step_size_down is None else step_size_down)
        self.cycle_momentum, self.base_momentum, self.max_momentum = cycle_momentum, base_momentum, max_momentum
        for group in optimizer.param_groups:
            group["lr"] = base_lr
        super().__init__(optimizer, last_epoch)

    def _height(self, epoch: int) -> float:
        cycle, at = divmod(epoch, self.total)
        share = at / self.up if at <= self.up else (self.total - at) / (self.total - self.up)
        scale, mode = self.lambdas
        return share * scale(cycle + 1 if mode == "cycle" else epoch)

    def rate(self, base_lr: float, epoch: int, group: int) -> float:
        height = self._height(epoch)
        if self.cycle_momentum and self._momentum is not None:
            value = self.max_momentum - (self.max_momentum - self.base_momentum) * height
            options = self.optimizer.param_groups[group]
            options[self._momentum] = value if self._momentum == "momentum" else (value, *options["betas"][1:])
        return self.base_lr + (self.max_lr - self.base_lr) * height


class ChainedScheduler(LRScheduler):
    """The base rate times what each of several schedules makes of it (`torch.optim.lr_scheduler.ChainedScheduler`).

    As in PyTorch for schedules that are factors of the base rate (all but those with a lowest rate).

    >>> import fastdl
    >>> from fastdl.optim.lr_scheduler import ExponentialLR
    >>> optimizer = fastdl.optim.SGD([fastdl.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = ChainedScheduler([ConstantLR(optimizer, 0.5, 1), ExponentialLR(optimizer, 0.5)])
    >>> [(optimizer.param_groups[0]["lr"], schedule.step())[0] for _ in range(3)]
    [0.5, 0.5, 0.25]
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Any = None) -> None:
        if not schedulers:
            raise ValueError("[ChainedScheduler] expected at least one scheduler, got none")
        self._schedulers = list(schedulers)
        super().__init__(optimizer or schedulers[0].optimizer)

    def rate(self, base_lr: float, epoch: int, group: int) -> float:
        rate = base_lr
        for scheduler in self._schedulers:
            scheduler.last_epoch = epoch
            rate *= scheduler.rate(base_lr, epoch, group) / base_lr if base_lr else 0.0
        return rate

    def state_dict(self) -> dict[str, Any]:
        return {"last_epoch": self.last_epoch, "_schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for scheduler, part in zip(self._schedulers, state["_schedulers"], strict=True):
            scheduler.load_state_dict(part)
        self.last_epoch = state["last_epoch"] - 1
        self.step()
