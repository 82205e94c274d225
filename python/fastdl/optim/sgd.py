"""Stochastic gradient descent, with momentum and Nesterov's."""

from __future__ import annotations

from typing import Any

from ..creation import empty_like
from ..row_grad import RowGrad
from ..tensor import Tensor
from .optimizer import Groups, Optimizer
from .rows import step_rows


class SGD(Optimizer):
    """Gradient descent with momentum (`torch.optim.SGD`).

        g = grad + weight_decay * p,   b = momentum * b + (1 - dampening) * g  (at first g),   p = p - lr * b

    and with `nesterov` p = p - lr * (g + momentum * b). Gradients of rows (`embedding` with `sparse`) change only their
    rows; they go without momentum and weight_decay.

    Raises:
        ValueError: for a negative lr, momentum or weight_decay, or `nesterov` without momentum or with dampening.

    >>> import fastdl
    >>> w = fastdl.tensor([1.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> SGD([w], lr=0.25).step(); w.tolist()
    [0.5]
    """

    def __init__(
        self,
        params: Groups,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        self._expect_numbers(group, "lr", "momentum", "weight_decay")
        self._expect_flags(group, "nesterov", "maximize")
        if not isinstance(group["dampening"], int | float):
            raise TypeError(f"[{self._name}] expected a number for dampening, got {type(group['dampening']).__name__}")
        if group["nesterov"]:
            expected = "momentum above 0 and dampening 0 with nesterov"
            got = f"momentum {group['momentum']} and dampening {group['dampening']}"
            self._expect(group["momentum"] > 0 and group["dampening"] == 0, expected, got)

    def _step(self, group: dict[str, Any], params: list[Tensor]) -> None:
        momentum = group["momentum"]
        # Nearly always one bucket: parameters of one dtype and device that have all been stepped before, or none.
        buckets: dict[tuple[Any, ...], tuple[list[Any], list[Any], list[Any]]] = {}
        for p in params:
            first = False
            if momentum:
                state = self._state_of(p)
                first = state.get("momentum_buffer") is None
                if first:
                    state["momentum_buffer"] = empty_like(p)
            key = (p._backend, str(p._array.dtype), first)
            ps, gs, bs = buckets.setdefault(key, ([], [], []))
            ps.append(p._array)
            gs.append(p.grad._array)  # type: ignore[union-attr]
            if momentum:
                bs.append(state["momentum_buffer"]._array)
        rest = (group["lr"], momentum, group["dampening"], group["weight_decay"], group["nesterov"], group["maximize"])
        for (backend, _, first), (ps, gs, bs) in buckets.items():
            backend.sgd_step(ps, gs, bs, *rest, first)

    def _step_rows(self, group: dict[str, Any], p: Tensor, grad: RowGrad) -> None:
        plain = not group["momentum"] and not group["weight_decay"]
        self._expect(plain, "no momentum and no weight_decay for a gradient of rows", "some")
        rest = (group["lr"], 0.0, 0.0, 0.0, False, group["maximize"], False)
        step_rows(p, grad, [], lambda params, grads: p._backend.sgd_step(params, grads, [], *rest))
