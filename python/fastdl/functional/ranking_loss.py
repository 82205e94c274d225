"""Losses of scores, margins and distributions with parameters, made of other functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..tensor import Tensor
from .activation import logsigmoid, relu, softplus
from .arguments import expect_beside, expect_number, expect_reduction, expect_tensor
from .arithmetic import add, div, minimum, mul, sub
from .comparison import clamp, eq, gt, where
from .distance import pairwise_distance
from .distance_loss import reduced
from .elementary import exp, log, neg, square
from .reduction import mean


def _all(op: str, reduction: str, **operands: Any) -> list[Tensor]:
    expect_reduction(reduction, op)
    first = expect_tensor(next(iter(operands.values())), op, next(iter(operands)))
    return [expect_beside(value, first, op, name) for name, value in operands.items()]


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, *, reduction: str = "mean"
) -> Tensor:
    """max(0, -target (input1 - input2) + margin): target 1 wants the first score higher, -1 the second
    (`torch.nn.functional.margin_ranking_loss`).

    >>> import fastdl
    >>> margin_ranking_loss(fastdl.tensor([1.0]), fastdl.tensor([3.0]), fastdl.ones(1)).item()
    2.0
    """
    a, b, t = _all("margin_ranking_loss", reduction, input1=input1, input2=input2, target=target)
    expect_number(margin, "margin_ranking_loss", "margin")
    return reduced(clamp(add(mul(neg(t), sub(a, b)), margin), min=0.0), reduction)


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, *, reduction: str = "mean") -> Tensor:
    """The distance itself where target is 1, max(0, margin - distance) where it is -1
    (`torch.nn.functional.hinge_embedding_loss`).

    >>> import fastdl
    >>> hinge_embedding_loss(fastdl.tensor([0.25, 0.25]), fastdl.tensor([1, -1]), reduction="none").tolist()
    [0.25, 0.75]
    """
    x, t = _all("hinge_embedding_loss", reduction, input=input, target=target)
    expect_number(margin, "hinge_embedding_loss", "margin")
    return reduced(where(eq(t, 1), x, clamp(sub(margin, x), min=0.0)), reduction)


def soft_margin_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """log(1 + e^(-target input)) of targets -1 and 1 (`torch.nn.functional.soft_margin_loss`)."""
    x, t = _all("soft_margin_loss", reduction, input=input, target=target)
    return reduced(softplus(neg(mul(t, x)), 1.0, 50.0), reduction)


def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """The mean over classes of the binary cross-entropy of logits (`torch.nn.functional.multilabel_soft_margin_loss`).

    Shapes: input and target (*, C), weight (C,) or None; without reduction (*,).
    """
    op = "multilabel_soft_margin_loss"
    x, t = _all(op, reduction, input=input, target=target)
    losses = neg(add(mul(t, logsigmoid(x)), mul(sub(1.0, t), logsigmoid(neg(x)))))
    losses = losses if weight is None else mul(losses, expect_beside(weight, x, op, "weight"))
    return reduced(mean(losses, -1), reduction)


def poisson_nll_loss(
    input: Tensor, target: Tensor, log_input: bool = True, full: bool = False, eps: float = 1e-8, *,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Negative log-likelihood of counts: e^input - target input of log rates, input - target log(input + eps) of rates
    (`torch.nn.functional.poisson_nll_loss`). `full` adds Stirling's log(target!) where target is above 1.

    >>> import fastdl
    >>> poisson_nll_loss(fastdl.zeros(1), fastdl.ones(1)).item()
    1.0
    """
    x, t = _all("poisson_nll_loss", reduction, input=input, target=target)
    loss = sub(exp(x), mul(t, x)) if log_input else sub(x, mul(t, log(add(x, eps))))
    if full:
        safe = where(gt(t, 1), t, 1.0)
        stirling = add(sub(mul(safe, log(safe)), safe), mul(log(mul(safe, 2 * math.pi)), 0.5))
        loss = add(loss, where(gt(t, 1), stirling, 0.0))
    return reduced(loss, reduction)


def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Any, full: bool = False, eps: float = 1e-6, *, reduction: str = "mean"
) -> Tensor:
    """(log var + (input - target)^2 / var) / 2 with var of at least eps (`torch.nn.functional.gaussian_nll_loss`);
    `full` adds log(2 pi) / 2. The limit of var passes no gradient.

    Raises:
        ValueError: for a negative var.
    """
    op = "gaussian_nll_loss"
    x, t = _all(op, reduction, input=input, target=target)
    variance = x.new_full((), var) if isinstance(var, int | float) else expect_beside(var, x, op, "var")
    if variance.numel() and variance.min().item() < 0:
        raise ValueError(f"[{op}] expected var of at least 0, got {variance.min().item()}")
    if variance.ndim == x.ndim - 1 and variance.ndim:
        variance = variance.unsqueeze(-1)
    limited = add(variance, clamp(sub(eps, variance), min=0.0).detach())
    loss = mul(add(log(limited), div(square(sub(x, t)), limited)), 0.5)
    return reduced(add(loss, 0.5 * math.log(2 * math.pi)) if full else loss, reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, *, distance_function: Callable[..., Tensor] | None = None,
    margin: float = 1.0, swap: bool = False, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """`triplet_margin_loss` with a distance of your own (`torch.nn.functional.triplet_margin_with_distance_loss`)."""
    op = "triplet_margin_with_distance_loss"
    a, p, n = _all(op, reduction, anchor=anchor, positive=positive, negative=negative)
    distance = distance_function or pairwise_distance
    near, far = distance(a, p), distance(a, n)
    far = minimum(far, distance(p, n)) if swap else far
    return reduced(relu(add(sub(near, far), margin)), reduction)
