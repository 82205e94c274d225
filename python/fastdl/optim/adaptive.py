"""Optimizers that divide by a running size of the gradient: RMSprop, Adagrad, Adadelta."""

from __future__ import annotations

from typing import Any

from ..creation import full_like, zeros_like
from ..row_grad import RowGrad
from ..tensor import Tensor
from .optimizer import Groups, Optimizer
from .rows import step_rows

Lists = dict[tuple[Any, ...], list[list[Any]]]


def _gathered(lists: Lists, p: Tensor, states: list[Tensor], *more: Any) -> None:
    """Adds a parameter, its gradient and states to the lists of its device, dtype and whatever else must be equal."""
    bucket = lists.setdefault((p._backend, str(p._array.dtype), *more), [[] for _ in range(2 + len(states))])
    for arrays, t in zip(bucket, [p, p.grad, *states], strict=True):
        arrays.append(t._array)  # type: ignore[union-attr]


class RMSprop(Optimizer):
    """Division by a running root mean square of the gradient (Hinton; `torch.optim.RMSprop`).

        v = alpha * v + (1 - alpha) * g * g,   p = p - lr * g / (sqrt(v) + eps)

    with g = grad + weight_decay * p. `centered` takes the square of the running mean of g off v; with `momentum` the
    quotients b = momentum * b + g / (sqrt(v) + eps) are what p moves by.

    Raises:
        ValueError: for a negative lr, alpha, eps, weight_decay or momentum.

    >>> import fastdl
    >>> w = fastdl.tensor([1.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> RMSprop([w], lr=0.05, alpha=0.75).step(); round(w.item(), 4)
    0.9
    """

    def __init__(
        self,
        params: Groups,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        self._expect_numbers(group, "lr", "alpha", "eps", "weight_decay", "momentum")
        self._expect_flags(group, "centered", "maximize")

    def _step(self, group: dict[str, Any], params: list[Tensor]) -> None:
        lists: Lists = {}
        momentum, centered = group["momentum"], group["centered"]
        for p in params:
            state = self._state_of(p)
            if not state:
                state.update(step=0, square_avg=zeros_like(p))
            if momentum and "momentum_buffer" not in state:
                state["momentum_buffer"] = zeros_like(p)
            if centered and "grad_avg" not in state:
                state["grad_avg"] = zeros_like(p)
            state["step"] += 1
            names = ["square_avg", *["grad_avg"] * bool(centered), *["momentum_buffer"] * bool(momentum)]
            _gathered(lists, p, [state[n] for n in names])
        rest = (group["lr"], group["alpha"], group["eps"], group["weight_decay"], momentum, group["maximize"])
        for (backend, _), bucket in lists.items():
            averages = bucket[3] if centered else []
            backend.rmsprop_step(*bucket[:3], averages, bucket[-1] if momentum else [], *rest)


class Adagrad(Optimizer):
    """Division by the root of the sum of all squared gradients (Duchi et al., `torch.optim.Adagrad`).

        s = s + g * g,   p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)

    with g = grad + weight_decay * p. Gradients of rows (`embedding` with `sparse`) change only their rows.

    Raises:
        ValueError: for a negative lr, lr_decay, weight_decay, initial_accumulator_value or eps.

    >>> import fastdl
    >>> w = fastdl.tensor([1.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> Adagrad([w], lr=0.5).step(); w.tolist()
    [0.5]
    """

    def __init__(
        self,
        params: Groups,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        self._expect_numbers(group, "lr", "lr_decay", "eps", "weight_decay", "initial_accumulator_value")
        self._expect_flags(group, "maximize")

    def _advance(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        state = self._state_of(p)
        if not state:
            state.update(step=0, sum=full_like(p, group["initial_accumulator_value"]))
        state["step"] += 1
        return state

    def _step(self, group: dict[str, Any], params: list[Tensor]) -> None:
        lists: Lists = {}
        for p in params:
            state = self._advance(group, p)
            _gathered(lists, p, [state["sum"]], state["step"])
        for (backend, _, step), bucket in lists.items():
            backend.adagrad_step(
                *bucket, step, group["lr"], group["lr_decay"], group["weight_decay"], group["eps"], group["maximize"]
            )

    def _step_rows(self, group: dict[str, Any], p: Tensor, grad: RowGrad) -> None:
        self._expect(not group["weight_decay"], "no weight_decay for a gradient of rows", group["weight_decay"])
        state = self._advance(group, p)
        rest = (state["step"], group["lr"], group["lr_decay"], 0.0, group["eps"], group["maximize"])
        step_rows(p, grad, [state["sum"]], lambda *lists: p._backend.adagrad_step(*lists, *rest))


class Adadelta(Optimizer):
    """Updates of the size of earlier updates, without a rate to choose (Zeiler, `torch.optim.Adadelta`).

        v = rho * v + (1 - rho) * g * g,   d = sqrt(u + eps) / sqrt(v + eps) * g,   u = rho * u + (1 - rho) * d * d
        p = p - lr * d

    with g = grad + weight_decay * p.

    Raises:
        ValueError: for a negative lr, eps or weight_decay, or rho outside [0, 1].

    >>> import fastdl
    >>> w = fastdl.tensor([1.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> Adadelta([w], rho=0.0, eps=1.0).step(); round(w.item(), 4)
    0.1056
    """

    def __init__(
        self,
        params: Groups,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        self._expect_numbers(group, "lr", "rho", "eps", "weight_decay")
        self._expect(group["rho"] <= 1, "rho in [0, 1]", group["rho"])
        self._expect_flags(group, "maximize")

    def _step(self, group: dict[str, Any], params: list[Tensor]) -> None:
        lists: Lists = {}
        for p in params:
            state = self._state_of(p)
            if not state:
                state.update(step=0, square_avg=zeros_like(p), acc_delta=zeros_like(p))
            state["step"] += 1
            _gathered(lists, p, [state["square_avg"], state["acc_delta"]])
        for (backend, _), bucket in lists.items():
            backend.adadelta_step(
                *bucket, group["lr"], group["rho"], group["eps"], group["weight_decay"], group["maximize"]
            )
