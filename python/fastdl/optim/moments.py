"""Relatives of Adam and of the sign of the gradient: Adamax, NAdam, RAdam, Rprop."""

from __future__ import annotations

import math
from typing import Any

from ..creation import full_like, zeros_like
from ..tensor import Tensor
from .adam import Betas
from .optimizer import Groups, Optimizer


class _Moments(Optimizer):
    """Optimizers with a state of two arrays for each parameter."""

    _numbers: tuple[str, ...] = ("lr", "eps", "weight_decay")
    _states: tuple[str, str] = ("exp_avg", "exp_avg_sq")

    def _check(self, group: dict[str, Any]) -> None:
        self._expect_numbers(group, *self._numbers)
        self._expect_flags(group, "maximize")
        for i, beta in enumerate(group.get("betas", ())):
            self._expect(0 <= beta < 1, f"betas[{i}] in [0, 1)", beta)

    def _step(self, group: dict[str, Any], params: list[Tensor]) -> None:
        buckets: dict[tuple[Any, ...], list[list[Any]]] = {}
        for p in params:
            state = self._state_of(p)
            if not state:
                state.update(self._start(group, p))
            state["step"] += 1
            arrays = [p._array, p.grad._array, *(state[name]._array for name in self._states)]  # type: ignore[union-attr]
            key = (p._backend, str(p._array.dtype), self._advance(group, state))
            for column, array in zip(buckets.setdefault(key, [[], [], [], []]), arrays, strict=True):
                column.append(array)
        for (backend, _, numbers), columns in buckets.items():
            self._update(group, backend, columns, numbers)

    def _start(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        return {"step": 0, **{name: zeros_like(p) for name in self._states}}

    def _advance(self, group: dict[str, Any], state: dict[str, Any]) -> tuple[float, ...]:
        """What the update needs to know of a parameter's state; those that agree are updated together."""
        return (state["step"],)

    def _update(self, group: dict[str, Any], backend: Any, columns: list[list[Any]], numbers: Any) -> None:
        raise NotImplementedError


def _look_ahead(
    group: dict[str, Any], backend: Any, columns: list[list[Any]], of_grad: float, of_mean: float, root: float,
    divided: bool,
) -> None:  # fmt: skip
    """p -= lr * (of_grad * g + of_mean * m) / (sqrt(v) / root + eps), or without the quotient."""
    lr, decay, decoupled = group["lr"], group["weight_decay"], group["decoupled_weight_decay"]
    keep = 1 - lr * decay if decoupled else 1.0
    rest = (keep, lr * of_grad, lr * of_mean, root, divided, group["maximize"])
    backend.ahead_step(*columns, *group["betas"], group["eps"], 0.0 if decoupled else decay, *rest)


class Adamax(_Moments):
    """Adam with the largest gradient, decaying, in the place of the root mean square (Kingma and Ba,
    `torch.optim.Adamax`).

        m = beta1 * m + (1 - beta1) * g,   u = max(beta2 * u, |g| + eps),   p = p - lr / (1 - beta1^t) * m / u

    Raises:
        ValueError: for a negative lr, eps or weight_decay, or betas outside [0, 1).

    >>> import fastdl
    >>> w = fastdl.tensor([1.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> Adamax([w], lr=0.25).step(); round(w.item(), 4)
    0.75
    """

    _states = ("exp_avg", "exp_inf")

    def __init__(
        self, params: Groups, lr: float = 2e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, options)

    def _update(self, group: dict[str, Any], backend: Any, columns: list[list[Any]], numbers: Any) -> None:
        rest = (group["lr"], *group["betas"], group["eps"], group["weight_decay"], group["maximize"])
        backend.adamax_step(*columns, *numbers, *rest)


class NAdam(_Moments):
    """Adam with Nesterov's look ahead (Dozat, 2016; `torch.optim.NAdam`).

        mu_t = beta1 * (1 - 0.5 * 0.96^(t * momentum_decay)),   M_t = mu_1 ... mu_t
        p = p - lr * ((1 - mu_t) / (1 - M_t) * g + mu_(t+1) / (1 - M_(t+1)) * m) / (sqrt(v / (1 - beta2^t)) + eps)

    `decoupled_weight_decay` decays as AdamW does.

    Raises:
        ValueError: for a negative lr, eps, weight_decay or momentum_decay, or betas outside [0, 1).
    """

    _numbers = ("lr", "eps", "weight_decay", "momentum_decay")

    def __init__(
        self, params: Groups, lr: float = 2e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0, momentum_decay: float = 4e-3, decoupled_weight_decay: bool = False, *,
        maximize: bool = False,
    ) -> None:  # fmt: skip
        options = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, options)

    def _start(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        return {**super()._start(group, p), "mu_product": 1.0}

    def _advance(self, group: dict[str, Any], state: dict[str, Any]) -> tuple[float, ...]:
        step, decay = state["step"], group["momentum_decay"]
        now, following = (group["betas"][0] * (1 - 0.5 * 0.96 ** (t * decay)) for t in (step, step + 1))
        product = state["mu_product"] = float(state["mu_product"]) * now
        return step, (1 - now) / (1 - product), following / (1 - product * following)

    def _update(self, group: dict[str, Any], backend: Any, columns: list[list[Any]], numbers: Any) -> None:
        step, of_grad, of_mean = numbers
        _look_ahead(group, backend, columns, of_grad, of_mean, math.sqrt(1 - group["betas"][1] ** step), True)


class RAdam(_Moments):
    """Adam whose early steps, while the variance is a guess, do without it (Liu et al., 2019; `torch.optim.RAdam`).

    Raises:
        ValueError: for a negative lr, eps or weight_decay, or betas outside [0, 1).
    """

    def __init__(
        self, params: Groups, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0, decoupled_weight_decay: bool = False, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        options = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, options)

    def _update(self, group: dict[str, Any], backend: Any, columns: list[list[Any]], numbers: Any) -> None:
        (step,), (beta1, beta2) = numbers, group["betas"]
        share1, share2 = 1 - beta1**step, 1 - beta2**step
        most = 2 / (1 - beta2) - 1  # length of the average of squares: at last, and now
        length = most - 2 * step * beta2**step / share2
        trusted = length > 5
        of_mean = 1 / share1
        if trusted:
            of_mean *= math.sqrt(share2 * (length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length))
        _look_ahead(group, backend, columns, 0.0, of_mean, 1.0, trusted)


class Rprop(_Moments):
    """Steps of a size of their own for each number, which grows while the gradient keeps its sign and shrinks when it
    turns (Riedmiller and Braun, 1993; `torch.optim.Rprop`). For gradients of the whole data, not of batches.

    Raises:
        ValueError: for a negative lr, or etas that are not 0 < etas[0] < 1 < etas[1].
    """

    _numbers, _states = ("lr",), ("prev", "step_size")

    def __init__(
        self, params: Groups, lr: float = 1e-2, etas: Betas = (0.5, 1.2), step_sizes: Betas = (1e-6, 50.0), *,
        maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize})

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        low, high = group["etas"]
        self._expect(0 < low < 1 < high, "0 < etas[0] < 1 < etas[1]", group["etas"])

    def _start(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        return {"step": 0, "prev": zeros_like(p), "step_size": full_like(p, group["lr"])}

    def _advance(self, group: dict[str, Any], state: dict[str, Any]) -> tuple[float, ...]:
        return ()

    def _update(self, group: dict[str, Any], backend: Any, columns: list[list[Any]], numbers: Any) -> None:
        backend.rprop_step(*columns, *group["etas"], *group["step_sizes"], group["maximize"])
