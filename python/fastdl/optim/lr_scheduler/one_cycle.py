"""OneCycleLR: the rate goes up once and down once over a whole training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from .epochs import LRScheduler


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


def _line(start: float, end: float, share: float) -> float:
    return start + (end - start) * share


class OneCycleLR(LRScheduler):
    """From max_lr / div_factor up to max_lr in the first `pct_start` of all steps, then down to the first rate divided
    by final_div_factor; momentum (or beta1) the other way round (`torch.optim.lr_scheduler.OneCycleLR`; Smith and
    Topin, "Super-Convergence", 2018). `three_phase` comes down to the first rate as fast as it went up, then further.

    Raises:
        ValueError: for no number of steps, options out of range, momentum to cycle that the optimizer lacks, or a step
            after the last one.

    >>> import fastdl
    >>> optimizer = fastdl.optim.SGD([fastdl.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    >>> schedule = OneCycleLR(optimizer, 1.0, total_steps=5, pct_start=0.4, anneal_strategy="linear", div_factor=2.0)
    >>> [(round(optimizer.param_groups[0]["lr"], 3), schedule.step())[0] for _ in range(4)]
    [0.5, 1.0, 0.667, 0.333]
    """

    def __init__(
        self,
        optimizer: Any,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("[OneCycleLR] expected total_steps, or epochs and steps_per_epoch, got neither")
            total_steps = epochs * steps_per_epoch
        self._expect(isinstance(total_steps, int) and total_steps > 0, "total_steps of at least 1", total_steps)
        self._expect(0 <= pct_start <= 1, "pct_start in [0, 1]", pct_start)
        self._expect(anneal_strategy in ("cos", "linear"), "anneal_strategy cos or linear", anneal_strategy)
        self.total_steps, self._anneal_func_type = total_steps, anneal_strategy
        groups = optimizer.param_groups
        rates = self._each(max_lr, len(groups), "max_lr")
        self.cycle_momentum = cycle_momentum
        self.use_beta1 = "betas" in optimizer.defaults
        if cycle_momentum:
            self._expect(self.use_beta1 or "momentum" in optimizer.defaults, "an optimizer with momentum", "none")
            lows = self._each(base_momentum, len(groups), "base_momentum")
            highs = self._each(max_momentum, len(groups), "max_momentum")
        for i, group in enumerate(groups):
            first = rates[i] / div_factor
            group.update(initial_lr=first, max_lr=rates[i], min_lr=first / final_div_factor)
            if cycle_momentum:
                group.update(base_momentum=lows[i], max_momentum=highs[i])
        # Of each phase: its last step, and the group's options that hold the rates and momenta of its two ends.
        up, names = float(pct_start * total_steps) - 1, ("initial_lr", "max_lr", "max_momentum", "base_momentum")
        last, back = float(total_steps - 1), ("max_lr", "initial_lr", "base_momentum", "max_momentum")
        if three_phase:
            tail = ("initial_lr", "min_lr", "max_momentum", "max_momentum")
            self._phases = [(up, *names), (2 * up, *back), (last, *tail)]
        else:
            self._phases = [(up, *names), (last, "max_lr", "min_lr", "base_momentum", "max_momentum")]
        super().__init__(optimizer, last_epoch)

    @staticmethod
    def _expect(condition: bool, expected: str, got: Any) -> None:
        if not condition:
            raise ValueError(f"[OneCycleLR] expected {expected}, got {got}")

    def _each(self, value: Any, groups: int, name: str) -> list[float]:
        values = list(value) if isinstance(value, tuple | list) else [value] * groups
        self._expect(len(values) == groups, f"{name} for {groups} groups", len(values))
        return values

    def rate(self, base_lr: float, epoch: int, group: int) -> float:
        self._expect(epoch < self.total_steps + 1, f"at most {self.total_steps} steps", epoch)
        anneal: Callable[[float, float, float], float] = _cosine if self._anneal_func_type == "cos" else _line
        options, begin = self.optimizer.param_groups[group], 0.0
        for i, (end, low, high, low_momentum, high_momentum) in enumerate(self._phases):
            if epoch <= end or i == len(self._phases) - 1:
                share = (epoch - begin) / (end - begin) if end != begin else 1.0
                if self.cycle_momentum:
                    momentum = anneal(options[low_momentum], options[high_momentum], share)
                    if self.use_beta1:
                        options["betas"] = (momentum, *options["betas"][1:])
                    else:
                        options["momentum"] = momentum
                return anneal(options[low], options[high], share)
            begin = end
        raise AssertionError
