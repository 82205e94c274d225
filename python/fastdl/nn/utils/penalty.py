"""Penalties on weights, to be added to a loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from ...tensor import Tensor


def l1_penalty(parameters: Iterable[Tensor], strength: float) -> Tensor:
    """strength * sum of |w|: draws weights to 0 (Lasso). Parameters that need no gradient are left out.

    >>> from fastdl import nn
    >>> w = nn.Parameter(fastdl.tensor([1.0, -2.0]))
    >>> penalty = l1_penalty([w], 0.5); penalty.backward(); penalty.item(), w.grad.tolist()
    (1.5, [0.5, -0.5])
    """
    return _total(parameters, strength, "l1_penalty", lambda p: p.abs().sum())


def l2_penalty(parameters: Iterable[Tensor], strength: float) -> Tensor:
    """strength / 2 * sum of w^2 (ridge): its gradient is that of `weight_decay=strength` in SGD. Parameters that need
    no gradient are left out.

    >>> from fastdl import nn
    >>> l2_penalty([nn.Parameter(fastdl.tensor([1.0, -2.0]))], 2.0).item()
    5.0
    """
    return _total(parameters, strength, "l2_penalty", lambda p: p.square().sum() * 0.5)


def _total(parameters: Iterable[Tensor], strength: float, op: str, function: Callable[[Tensor], Tensor]) -> Tensor:
    if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0 <= strength < math.inf:
        raise ValueError(f"[{op}] expected strength of at least 0, got {strength!r}")
    parameters = list(parameters)
    for p in parameters:
        if not isinstance(p, Tensor):
            raise TypeError(f"[{op}] expected parameters as Tensors, got {type(p).__name__}")
    parts = [function(p) for p in parameters if p.requires_grad]
    if not parts:
        raise ValueError(f"[{op}] expected a parameter that requires a gradient, got none")
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total * strength
