"""Learning-rate schedules: each `step()` sets the learning rates of an optimizer for the next epoch."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from ...cuda.graphs import repeats
from ..optimizer import Optimizer


def expect_optimizer(optimizer: Any, op: str) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"[{op}] expected an Optimizer for optimizer, got {type(optimizer).__name__}")
    return optimizer


class LRScheduler:
    """Base class: define `rate(base_lr, epoch, group)`, the learning rate of a group in an epoch from 0 on."""

    def __init__(self, optimizer: Any, last_epoch: int = -1) -> None:
        self.optimizer = expect_optimizer(optimizer, type(self).__name__)
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.step()

    def rate(self, base_lr: float, epoch: int, group: int) -> float:
        raise NotImplementedError(f"[{type(self).__name__}] expected a rate method, got none")

    def step(self) -> None:
        """Moves on to the next epoch. In a captured graph (`fastdl.cuda.graph`) every replay does."""
        if repeats(self.step):
            return
        self.last_epoch += 1
        for i, (group, base) in enumerate(zip(self.optimizer.param_groups, self.base_lrs, strict=True)):
            group["lr"] = self.rate(base, self.last_epoch, i)

    def get_last_lr(self) -> list[float]:
        """The learning rates in force."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and functions: what PyTorch's scheduler of the same name saves and takes."""
        state = {k: v for k, v in self.__dict__.items() if k not in ("optimizer", "lambdas")}
        return {**state, "_step_count": self.last_epoch + 1, "_last_lr": self.get_last_lr()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what `state_dict` gave and sets the learning rates of its epoch."""
        self.__dict__.update({k: v for k, v in state.items() if k in self.__dict__ and k != "optimizer"})
        self.last_epoch -= 1
        self.step()


class LambdaLR(LRScheduler):
    """Base rate times `lr_lambda(epoch)`: one function, or one for each group (`torch.optim.lr_scheduler.LambdaLR`)."""

    def __init__(self, optimizer: Any, lr_lambda: Callable | Sequence[Callable], last_epoch: int = -1) -> None:
        groups = len(optimizer.param_groups)
        self.lambdas = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        if len(self.lambdas) != groups:
            raise ValueError(f"[LambdaLR] expected {groups} functions, got {len(self.lambdas)}")
        super().__init__(optimizer, last_epoch)

    def rate(self, base_lr: float, epoch: int, group: int) -> float:
        return base_lr * self.lambdas[group](epoch)


class StepLR(LRScheduler):
    """Base rate times gamma for every `step_size` epochs gone by (`torch.optim.lr_scheduler.StepLR`)."""

    def __init__(self, optimizer: Any, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        if step_size < 1:
            raise ValueError(f"[StepLR] expected step_size of at least 1, got {step_size}")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base_lr: float, epoch: int, group: int) -> float:
        return base_lr * self.gamma ** (epoch // self.step_size)


class CosineAnnealingLR(LRScheduler):
    """From the base rate down to eta_min along half a cosine in T_max epochs, and back up
    (`torch.optim.lr_scheduler.CosineAnnealingLR`; Loshchilov and Hutter, "SGDR", 2017).
    """

    def __init__(self, optimizer: Any, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        if T_max < 1:
            raise ValueError(f"[CosineAnnealingLR] expected T_max of at least 1, got {T_max}")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, base_lr: float, epoch: int, group: int) -> float:
        return self.eta_min + (base_lr - self.eta_min) * (1 + math.cos(math.pi * epoch / self.T_max)) / 2


class MultiStepLR(LRScheduler):
    """Base rate times gamma for every milestone gone by (`torch.optim.lr_scheduler.MultiStepLR`).

    >>> import fastdl
    >>> optimizer = fastdl.optim.SGD([fastdl.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = MultiStepLR(optimizer, [2, 3], gamma=0.5)
    >>> [(schedule.step(), optimizer.param_groups[0]["lr"])[1] for _ in range(4)]
    [1.0, 0.5, 0.25, 0.25]
    """

    def __init__(self, optimizer: Any, milestones: Sequence[int], gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base_lr: float, epoch: int, group: int) -> float:
        return base_lr * self.gamma ** bisect_right(self.milestones, epoch)


class ExponentialLR(LRScheduler):
    """Base rate times gamma^epoch (`torch.optim.lr_scheduler.ExponentialLR`)."""

    def __init__(self, optimizer: Any, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base_lr: float, epoch: int, group: int) -> float:
        return base_lr * self.gamma**epoch


class LinearLR(LRScheduler):
    """Base rate times a factor that goes from start_factor to end_factor in `total_iters` epochs: a warm-up
    (`torch.optim.lr_scheduler.LinearLR`).
    """

    def __init__(
        self,
        optimizer: Any,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError(f"[LinearLR] expected start_factor in (0, 1], got {start_factor}")
        if not 0 <= end_factor <= 1:
            raise ValueError(f"[LinearLR] expected end_factor in [0, 1], got {end_factor}")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, base_lr: float, epoch: int, group: int) -> float:
        gone = min(epoch, self.total_iters) / self.total_iters if self.total_iters else 1.0
        return base_lr * (self.start_factor + (self.end_factor - self.start_factor) * gone)


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine from the base rate to eta_min, again and again: the first takes T_0 epochs, each later one T_mult
    times as long (`torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`; Loshchilov and Hutter, "SGDR", 2017).
    """

    def __init__(self, optimizer: Any, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"[CosineAnnealingWarmRestarts] expected {name} of at least 1, got {value}")
        self.T_0, self.T_i, self.T_mult, self.eta_min, self.T_cur = T_0, T_0, T_mult, eta_min, float(last_epoch)
        super().__init__(optimizer, last_epoch)

    def step(self, epoch: float | None = None) -> None:
        """Moves on to the next epoch, or to `epoch`, which may lie between two."""
        now = self.last_epoch + 1 if epoch is None else epoch
        if now < 0:
            raise ValueError(f"[CosineAnnealingWarmRestarts] expected epoch of at least 0, got {now}")
        if epoch is None and repeats(self.step):
            return
        self.T_cur, self.T_i = now, self.T_0
        while self.T_cur >= self.T_i:
            self.T_cur -= self.T_i
            self.T_i *= self.T_mult
        self.last_epoch = math.floor(now) - 1
        super().step()

    def rate(self, base_lr: float, epoch: int, group: int) -> float:
        return self.eta_min + (base_lr - self.eta_min) * (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2


class SequentialLR(LRScheduler):
    """One schedule after another: the next one starts, from its epoch 0, at each milestone
    (`torch.optim.lr_scheduler.SequentialLR`).

    >>> import fastdl
    >>> optimizer = fastdl.optim.SGD([fastdl.zeros(1, requires_grad=True)], lr=1.0)
    >>> parts = [LinearLR(optimizer, 0.5, total_iters=2), ExponentialLR(optimizer, 0.5)]
    >>> schedule = SequentialLR(optimizer, parts, milestones=[2])
    >>> [(optimizer.param_groups[0]["lr"], schedule.step())[0] for _ in range(5)]
    [0.5, 0.75, 1.0, 0.5, 0.25]
    """

    def __init__(
        self, optimizer: Any, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        if not schedulers or len(schedulers) != len(milestones) + 1:
            expected = f"{len(milestones) + 1} schedulers for {len(milestones)} milestones"
            raise ValueError(f"[SequentialLR] expected {expected}, got {len(schedulers)}")
        for scheduler in schedulers:
            if scheduler.optimizer is not optimizer:
                raise ValueError("[SequentialLR] expected schedulers of one optimizer, got another one")
        self._schedulers, self._milestones = list(schedulers), list(milestones)
        self.optimizer, self.last_epoch = optimizer, last_epoch
        self.base_lrs = list(schedulers[0].base_lrs)
        self.step()

    def step(self) -> None:
        """Moves on to the next epoch."""
        if repeats(self.step):
            return
        self.last_epoch += 1
        at = bisect_right(self._milestones, self.last_epoch)
        if self.last_epoch == (self._milestones[at - 1] if at else 0):
            self._schedulers[at].last_epoch = -1
        self._schedulers[at].step()

    def state_dict(self) -> dict[str, Any]:
        parts = [scheduler.state_dict() for scheduler in self._schedulers]
        return {"last_epoch": self.last_epoch, "_milestones": self._milestones, "_schedulers": parts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for scheduler, part in zip(self._schedulers, state["_schedulers"], strict=True):
            scheduler.load_state_dict(part)
        self.last_epoch, self._milestones = state["last_epoch"], list(state["_milestones"])
        now = self._schedulers[bisect_right(self._milestones, self.last_epoch)]
        now.last_epoch -= 1
        now.step()  # the rates are those of the schedule in force, not of the one loaded last
