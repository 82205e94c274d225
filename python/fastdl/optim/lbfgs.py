"""L-BFGS: steps along the inverse curvature that the last steps showed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd import enable_grad, no_grad
from ..functional.layout import cat, index, reshape
from ..tensor import Tensor
from .optimizer import Groups, Optimizer


class LBFGS(Optimizer):
    """The limited-memory method of Broyden, Fletcher, Goldfarb and Shanno (`torch.optim.LBFGS`; Liu and Nocedal, 1989),
    with steps of length `lr`, the first cut to min(1, 1 / sum of |gradient|).

    `step(closure)` needs the closure, which computes the loss with its gradients anew and returns it: a step is up to
    `max_iter` iterations. For few parameters, all in one group, and the whole set as one batch.

    Args:
        max_eval: of the closure in a step; 1.25 * max_iter by default.
        tolerance_grad, tolerance_change: a step ends when no gradient is greater, or no parameter changed by more.
        history_size: differences of parameters and gradients that are kept.

    Raises:
        ValueError: for several groups. NotImplementedError: for `line_search_fn`, which must be None.

    >>> import fastdl
    >>> w = fastdl.tensor([3.0, -2.0], requires_grad=True)
    >>> optimizer = LBFGS([w], lr=0.5)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((w - 1) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> _ = optimizer.step(closure); w.round(decimals=3).tolist()
    [1.0, 1.0]
    """

    def __init__(
        self, params: Groups, lr: float = 1, max_iter: int = 20, max_eval: int | None = None,
        tolerance_grad: float = 1e-7, tolerance_change: float = 1e-9, history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:  # fmt: skip
        if line_search_fn is not None:
            raise NotImplementedError(f"[LBFGS] expected line_search_fn None, got {line_search_fn!r}")
        super().__init__(params, {
            "lr": lr, "max_iter": max_iter, "max_eval": max_eval if max_eval is not None else max_iter * 5 // 4,
            "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size,
            "line_search_fn": None,
        })  # fmt: skip
        self._expect(len(self.param_groups) == 1, "one group of parameters", len(self.param_groups))

    def _check(self, group: dict[str, Any]) -> None:
        self._expect_numbers(group, "lr", "tolerance_grad", "tolerance_change")
        for name in ("max_iter", "max_eval", "history_size"):
            known = isinstance(group[name], int) and group[name] >= 1
            self._expect(known, f"{name} of at least 1", repr(group[name]))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Iterates until a tolerance or a limit is reached; returns the loss before."""
        if closure is None:
            raise TypeError("[LBFGS] expected a closure that computes the loss, got None")
        group = self.param_groups[0]
        with enable_grad():
            first = loss = closure()
        with no_grad():
            return self._iterate(group, closure, first, loss)

    def _iterate(self, group: dict[str, Any], closure: Callable[[], Any], first: Any, loss: Any) -> Any:
        params = group["params"]
        state = self._state_of(params[0])
        state.setdefault("n_iter", 0)
        state["func_evals"] = state.get("func_evals", 0) + 1
        evaluations, grad = 1, self._gradient(params)
        if grad.abs().max().item() <= group["tolerance_grad"]:
            return first
        for left in reversed(range(group["max_iter"])):
            state["n_iter"] += 1
            direction, length = self._direction(state, grad, group)
            state.update(d=direction, t=length, prev_flat_grad=grad)
            if (grad @ direction).item() > -group["tolerance_change"]:
                break
            self._move(params, direction, length)
            if not left:  # the next step begins with the closure
                break
            before = float(loss)
            with enable_grad():
                loss = closure()
            evaluations += 1
            state["func_evals"] += 1
            grad = self._gradient(params)
            moved = (direction * length).abs().max().item()
            settled = min(moved, abs(float(loss) - before)) <= group["tolerance_change"]
            if evaluations >= group["max_eval"] or settled or grad.abs().max().item() <= group["tolerance_grad"]:
                break
        return first

    def _direction(self, state: dict[str, Any], grad: Tensor, group: dict[str, Any]) -> tuple[Tensor, float]:
        """Where to go, and how far."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -grad, min(1.0, 1.0 / grad.abs().sum().item()) * group["lr"]
        y, s = grad - state["prev_flat_grad"], state["d"] * state["t"]
        curvature = (y @ s).item()
        if curvature > 1e-10:
            for name, value in (("old_dirs", y), ("old_stps", s), ("ro", 1.0 / curvature)):
                state[name] = [*state[name], value][-group["history_size"] :]
            state["H_diag"] = curvature / (y @ y).item()
        q, parts = -grad, []
        history = list(zip(state["old_dirs"], state["old_stps"], state["ro"], strict=True))
        for y, s, rho in reversed(history):
            parts.append((s @ q).item() * rho)
            q = q - y * parts[-1]
        q = q * state["H_diag"]
        for (y, s, rho), part in zip(history, reversed(parts), strict=True):
            q = q + s * (part - (y @ q).item() * rho)
        return q, group["lr"]

    @staticmethod
    def _gradient(params: list[Tensor]) -> Tensor:
        """All gradients as one vector, zeros where there are none."""
        return cat([reshape(p.grad, -1) if p.grad is not None else reshape(p.detach() * 0, -1) for p in params])

    @staticmethod
    def _move(params: list[Tensor], direction: Tensor, length: float) -> None:
        start = 0
        for p in params:
            p.add_(reshape(index(direction, slice(start, start + p.numel())), p.shape) * length)
            start += p.numel()
