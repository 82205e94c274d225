"""Relatives of Adam and of the sign of the gradient: Adamax, NAdam, RAdam, Rprop; made of array operations."""

from __future__ import annotations

import math
from typing import Any

from ..autograd import no_grad
from ..creation import full_like, zeros_like
from ..cuda.graphs import refuse_capture
from ..functional.arithmetic import maximum
from ..functional.comparison import clamp, where
from ..functional.elementary import sign, sqrt
from ..tensor import Tensor
from .adam import Betas
from .optimizer import Groups, Optimizer


class _Moments(Optimizer):
    """One parameter at a time: `_advance` moves its state on and returns the update, which is subtracted."""

    _numbers: tuple[str, ...] = ("lr", "eps", "weight_decay")

    def _check(self, group: dict[str, Any]) -> None:
        self._expect_numbers(group, *self._numbers)
        self._expect_flags(group, "maximize")
        for i, beta in enumerate(group.get("betas", ())):
            self._expect(0 <= beta < 1, f"betas[{i}] in [0, 1)", beta)

    def _step(self, group: dict[str, Any], params: list[Tensor]) -> None:
        refuse_capture(self._name)  # its coefficients would be those of the capture for ever
        with no_grad():
            for p in params:
                grad: Any = -p.grad if group["maximize"] else p.grad  # type: ignore[operator]
                if group.get("decoupled_weight_decay"):
                    p *= 1 - group["lr"] * group["weight_decay"]
                elif group.get("weight_decay"):
                    grad = grad + p * group["weight_decay"]
                state = self._state_of(p)
                if not state:
                    state.update(self._start(group, p))
                state["step"] += 1
                p -= self._advance(group, state, grad)

    def _start(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        return {"step": 0, "exp_avg": zeros_like(p), "exp_avg_sq": zeros_like(p)}

    def _advance(self, group: dict[str, Any], state: dict[str, Any], grad: Any) -> Any:
        raise NotImplementedError

    def _averages(self, group: dict[str, Any], state: dict[str, Any], grad: Any) -> tuple[Any, Any, float, float]:
        """Running means of the gradient and its square, and what they lack of having begun before the first step."""
        beta1, beta2 = group["betas"]
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean *= beta1
        mean += grad * (1 - beta1)
        square *= beta2
        square += grad * grad * (1 - beta2)
        return mean, square, 1 - beta1 ** state["step"], 1 - beta2 ** state["step"]


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

    def __init__(
        self, params: Groups, lr: float = 2e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, options)

    def _start(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        return {"step": 0, "exp_avg": zeros_like(p), "exp_inf": zeros_like(p)}

    def _advance(self, group: dict[str, Any], state: dict[str, Any], grad: Any) -> Any:
        beta1, beta2 = group["betas"]
        mean = state["exp_avg"]
        mean *= beta1
        mean += grad * (1 - beta1)
        state["exp_inf"].copy_(maximum(state["exp_inf"] * beta2, grad.abs() + group["eps"]))
        return mean / state["exp_inf"] * (group["lr"] / (1 - beta1 ** state["step"]))


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

    def _advance(self, group: dict[str, Any], state: dict[str, Any], grad: Any) -> Any:
        mean, square, _, share = self._averages(group, state, grad)
        now, following = (
            group["betas"][0] * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"]))
            for t in (state["step"], state["step"] + 1)
        )
        product = state["mu_product"] = float(state["mu_product"]) * now
        size = sqrt(square / share) + group["eps"]
        ahead = grad * ((1 - now) / (1 - product)) + mean * (following / (1 - product * following))
        return ahead / size * group["lr"]


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

    def _advance(self, group: dict[str, Any], state: dict[str, Any], grad: Any) -> Any:
        mean, square, share1, share2 = self._averages(group, state, grad)
        step, beta2 = state["step"], group["betas"][1]
        most = 2 / (1 - beta2) - 1  # length of the average of squares: at last, and now
        length = most - 2 * step * beta2**step / share2
        update = mean * (group["lr"] / share1)
        if length <= 5:
            return update
        trust = (length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)
        return update * (math.sqrt(share2) * math.sqrt(trust)) / (sqrt(square) + group["eps"])


class Rprop(_Moments):
    """Steps of a size of their own for each number, which grows while the gradient keeps its sign and shrinks when it
    turns (Riedmiller and Braun, 1993; `torch.optim.Rprop`). For gradients of the whole data, not of batches.

    Raises:
        ValueError: for a negative lr, or etas that are not 0 < etas[0] < 1 < etas[1].
    """

    _numbers = ("lr",)

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

    def _advance(self, group: dict[str, Any], state: dict[str, Any], grad: Any) -> Any:
        turned: Any = sign(grad * state["prev"])
        low, high = group["etas"]
        factor = where(turned > 0, high, where(turned < 0, low, turned * 0 + 1))
        state["step_size"].copy_(clamp(state["step_size"] * factor, *group["step_sizes"]))
        grad = where(turned < 0, 0.0, grad)  # after a turn it waits for a step
        state["prev"].copy_(grad)
        return sign(grad) * state["step_size"]
