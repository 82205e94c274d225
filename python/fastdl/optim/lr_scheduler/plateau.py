"""ReduceLROnPlateau: the rate falls when a figure stops getting better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...cuda.graphs import refuse_capture
from .epochs import expect_optimizer


class ReduceLROnPlateau:
    """Rate times `factor` when the figure given to `step` has not got better for more than `patience` epochs
    (`torch.optim.lr_scheduler.ReduceLROnPlateau`).

    Better means below (mode "min") or above ("max") the best so far by more than `threshold`: a share of the best
    ("rel") or as it is ("abs"). After a reduction bad epochs are not counted for `cooldown` epochs. Rates stay at least
    `min_lr` (one for all groups, or one for each) and reductions of less than `eps` are left out.

    Raises:
        ValueError: for a factor of 1 or more, an unknown mode, or min_lr for another number of groups.

    >>> import fastdl
    >>> optimizer = fastdl.optim.SGD([fastdl.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> [(schedule.step(loss), optimizer.param_groups[0]["lr"])[1] for loss in (3.0, 2.0, 2.0, 2.0, 2.0)]
    [1.0, 1.0, 1.0, 0.5, 0.5]
    """

    def __init__(
        self,
        optimizer: Any,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        groups = len(expect_optimizer(optimizer, "ReduceLROnPlateau").param_groups)
        min_lrs = list(min_lr) if isinstance(min_lr, tuple | list) else [min_lr] * groups
        for condition, expected, got in (
            (factor < 1.0, "factor below 1", factor),
            (mode in ("min", "max"), "mode min or max", mode),
            (threshold_mode in ("rel", "abs"), "threshold_mode rel or abs", threshold_mode),
            (len(min_lrs) == groups, f"min_lr for {groups} groups", len(min_lrs)),
        ):
            if not condition:
                raise ValueError(f"[ReduceLROnPlateau] expected {expected}, got {got}")
        self.optimizer = optimizer
        self.mode, self.factor, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.min_lrs, self.eps = cooldown, min_lrs, eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0

    def _is_better(self, figure: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        relative = self.threshold_mode == "rel"
        bound = self.best * (1 + sign * self.threshold) if relative else self.best + sign * self.threshold
        return figure < bound if self.mode == "min" else figure > bound

    def step(self, metrics: Any) -> None:
        """Ends an epoch whose figure (a number or a tensor with one element) is `metrics`."""
        refuse_capture("ReduceLROnPlateau")  # it would count the figure of the capture only
        figure = float(metrics)
        self.last_epoch += 1
        if self._is_better(figure):
            self.best, self.num_bad_epochs = figure, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                lower = max(group["lr"] * self.factor, least)
                if group["lr"] - lower > self.eps:
                    group["lr"] = lower
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def get_last_lr(self) -> list[float]:
        """The learning rates in force."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        state = {k: v for k, v in self.__dict__.items() if k != "optimizer"}
        return {**state, "_last_lr": self.get_last_lr()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what `state_dict` gave; the learning rates themselves are the optimizer's to restore."""
        self.__dict__.update({k: v for k, v in state.items() if k in self.__dict__ and k != "optimizer"})
