"""Adam and AdamW."""

from __future__ import annotations

from typing import Any

from ..creation import zeros_like
from ..tensor import Tensor
from .optimizer import Groups, Optimizer

Betas = tuple[float, float]


class Adam(Optimizer):
    """Adaptive moments (Kingma and Ba, `torch.optim.Adam`).

        m = beta1 * m + (1 - beta1) * g,   v = beta2 * v + (1 - beta2) * g * g
        p = p - lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    with g = grad + weight_decay * p. `amsgrad` divides by the largest v so far.

    Raises:
        ValueError: for a negative lr, eps or weight_decay, or betas outside [0, 1).

    >>> import fastdl
    >>> w = fastdl.tensor([1.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> Adam([w], lr=0.25).step(); w.tolist()
    [0.75]
    """

    _decoupled = False

    def __init__(
        self,
        params: Groups,
        lr: float = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        self._expect_numbers(group, "lr", "eps", "weight_decay")
        self._expect_flags(group, "amsgrad", "maximize")
        pair = isinstance(group["betas"], tuple | list) and len(group["betas"]) == 2
        self._expect(pair and all(isinstance(b, int | float) for b in group["betas"]), "two betas", group["betas"])
        for i, beta in enumerate(group["betas"]):
            self._expect(0 <= beta < 1, f"betas[{i}] in [0, 1)", beta)

    def _step(self, group: dict[str, Any], params: list[Tensor]) -> None:
        amsgrad = group["amsgrad"]
        # Nearly always one bucket: parameters of one dtype and device at the same step.
        buckets: dict[tuple[Any, ...], list[list[Any]]] = {}
        for p in params:
            state = self._state_of(p)
            if not state:
                state.update(step=0, exp_avg=zeros_like(p), exp_avg_sq=zeros_like(p))
            if amsgrad and "max_exp_avg_sq" not in state:
                state["max_exp_avg_sq"] = zeros_like(p)
            step = state["step"] = state["step"] + 1
            row = [p._array, p.grad._array, state["exp_avg"]._array, state["exp_avg_sq"]._array]  # type: ignore[union-attr]
            if amsgrad:
                row.append(state["max_exp_avg_sq"]._array)
            buckets.setdefault((p._backend, p._array.dtype, step), []).append(row)
        beta1, beta2 = group["betas"]
        rest = (group["lr"], beta1, beta2, group["eps"], group["weight_decay"], self._decoupled, group["maximize"])
        for (backend, _, step), rows in buckets.items():
            columns = [list(column) for column in zip(*rows, strict=True)]
            backend.adam_step(*columns, *([] if amsgrad else [[]]), step, *rest)


class AdamW(Adam):
    """Adam whose weight decay acts on the parameters and not through the gradient (`torch.optim.AdamW`).

        p = p * (1 - lr * weight_decay), then Adam's step with g = grad

    Raises:
        ValueError: as `Adam`.
    """

    _decoupled = True

    def __init__(
        self,
        params: Groups,
        lr: float = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
