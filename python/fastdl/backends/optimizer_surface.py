"""The part of every backend's surface (`surface.Backend`) that steps of optimizers are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

Array = Any
Arrays = Sequence[Array]


class OptimizerSteps(Protocol):
    # Lists of equal length and one float dtype; parameters and states change in place.
    # sgd: `buffers` is empty without momentum. adam: `max_exp_avg_sqs` is empty without amsgrad.
    def sgd_step(
        self, params: Arrays, grads: Arrays, buffers: Arrays, lr: float, momentum: float, dampening: float,
        weight_decay: float, nesterov: bool, maximize: bool, first: bool,
    ) -> None: ...  # fmt: skip
    def adam_step(
        self, params: Arrays, grads: Arrays, exp_avgs: Arrays, exp_avg_sqs: Arrays, max_exp_avg_sqs: Arrays, step: int,
        lr: float, beta1: float, beta2: float, eps: float, weight_decay: float, decoupled: bool, maximize: bool,
    ) -> None: ...  # fmt: skip
    # rmsprop: `grad_avgs` is empty unless centered, `buffers` without momentum
    def rmsprop_step(
        self, params: Arrays, grads: Arrays, square_avgs: Arrays, grad_avgs: Arrays, buffers: Arrays, lr: float,
        alpha: float, eps: float, weight_decay: float, momentum: float, maximize: bool,
    ) -> None: ...  # fmt: skip
    def adagrad_step(
        self, params: Arrays, grads: Arrays, sums: Arrays, step: int, lr: float, lr_decay: float, weight_decay: float,
        eps: float, maximize: bool,
    ) -> None: ...  # fmt: skip
    def adadelta_step(
        self, params: Arrays, grads: Arrays, square_avgs: Arrays, acc_deltas: Arrays, lr: float, rho: float, eps: float,
        weight_decay: float, maximize: bool,
    ) -> None: ...  # fmt: skip
    def adamax_step(
        self, params: Arrays, grads: Arrays, exp_avgs: Arrays, exp_infs: Arrays, step: int, lr: float, beta1: float,
        beta2: float, eps: float, weight_decay: float, maximize: bool,
    ) -> None: ...  # fmt: skip
    # NAdam and RAdam: param = keep * param - (of_grad * grad + of_mean * exp_avg) / (sqrt(exp_avg_sq) / root + eps), or
    # without the quotient
    def ahead_step(
        self, params: Arrays, grads: Arrays, exp_avgs: Arrays, exp_avg_sqs: Arrays, beta1: float, beta2: float,
        eps: float, weight_decay: float, keep: float, of_grad: float, of_mean: float, root: float, divided: bool,
        maximize: bool,
    ) -> None: ...  # fmt: skip
    def rprop_step(
        self, params: Arrays, grads: Arrays, prevs: Arrays, step_sizes: Arrays, shrink: float, grow: float,
        least: float, most: float, maximize: bool,
    ) -> None: ...  # fmt: skip
    # gradients of one dtype, at least one; clipping changes them in place
    def grad_norm(self, grads: Arrays, norm_type: float) -> Array: ...  # (); of all numbers as one vector
    def clip_by_norm_(self, grads: Arrays, norm: Array, max_norm: float) -> None: ...
    def clip_by_value_(self, grads: Arrays, limit: float) -> None: ...
