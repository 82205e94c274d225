"""Steps on some rows of a table: rows and their states are copied out, stepped and written back, by the same kernels
as whole parameters. All other rows, and their states, are neither read nor written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..creation import zeros_like
from ..row_grad import RowGrad
from ..tensor import Tensor
from .optimizer import Groups, Optimizer

Array = Any


def step_rows(p: Tensor, grad: RowGrad, states: list[Tensor], step: Callable[..., None]) -> None:
    """step([rows of p], [their gradients], [rows of each state], ...) on copies, which then replace the rows."""
    k, rows = p._backend, grad._rows
    arrays = [t._array for t in (p, *states)]
    copies = [k.index_select(a, rows, 0) for a in arrays]
    step([copies[0]], [grad._values], *([c] for c in copies[1:]))
    for array, copy in zip(arrays, copies, strict=True):
        k.index_assign_(array, rows, copy, 0)


class SparseAdam(Optimizer):
    """Adam for tables whose gradients are of rows: only these rows and their moments change
    (`torch.optim.SparseAdam`).

        m = beta1 * m + (1 - beta1) * g,   v = beta2 * v + (1 - beta2) * g * g
        p = p - lr * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + eps)

    Raises:
        ValueError: for a negative lr or eps, or betas outside [0, 1).
        TypeError: at a step, for a gradient of the whole parameter.

    >>> import fastdl
    >>> table = fastdl.zeros(4, 1, requires_grad=True)
    >>> fastdl.functional.embedding(fastdl.tensor([2]), table, sparse=True).sum().backward()
    >>> SparseAdam([table], lr=0.5).step(); [round(x, 4) for (x,) in table.tolist()]
    [0.0, 0.0, -0.5, 0.0]
    """

    def __init__(
        self,
        params: Groups,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})

    def _check(self, group: dict[str, Any]) -> None:
        self._expect_numbers(group, "lr", "eps")
        self._expect_flags(group, "maximize")
        for i, beta in enumerate(group["betas"]):
            self._expect(0 <= beta < 1, f"betas[{i}] in [0, 1)", beta)

    def _step(self, group: dict[str, Any], params: list[Tensor]) -> None:
        raise TypeError("[SparseAdam] expected gradients of rows, got one of a whole parameter: use Adam")

    def _step_rows(self, group: dict[str, Any], p: Tensor, grad: RowGrad) -> None:
        state = self._state_of(p)
        if not state:
            state.update(step=0, exp_avg=zeros_like(p), exp_avg_sq=zeros_like(p))
        state["step"] += 1
        beta1, beta2 = group["betas"]
        # Adam's kernel adds eps to sqrt(v / (1 - beta2^t)), here it is added to sqrt(v).
        eps = group["eps"] / (1 - beta2 ** state["step"]) ** 0.5
        rest = (state["step"], group["lr"], beta1, beta2, eps, 0.0, False, group["maximize"])
        states = [state["exp_avg"], state["exp_avg_sq"]]
        step_rows(p, grad, states, lambda *lists: p._backend.adam_step(*lists, [], *rest))
