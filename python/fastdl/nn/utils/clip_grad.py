"""Clipping of gradients before a step, all parameters in two passes over memory at most."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ...creation import tensor
from ...functional.arguments import expect_number, flag
from ...row_grad import RowGrad
from ...tensor import Tensor

Parameters = Tensor | Iterable[Tensor]


def _gradients(parameters: Any, op: str) -> dict[tuple[Any, str], list[Any]]:
    """Arrays of the gradients by device and dtype; of a RowGrad its rows, since the others are 0."""
    if not isinstance(parameters, Iterable):
        raise TypeError(f"[{op}] expected Tensors for parameters, got {type(parameters).__name__}")
    found: dict[tuple[Any, str], list[Any]] = {}
    for p in [parameters] if isinstance(parameters, Tensor) else parameters:
        if not isinstance(p, Tensor):
            raise TypeError(f"[{op}] expected a Tensor in parameters, got {type(p).__name__}")
        grad: Any = p.grad
        if grad is not None:
            array = grad._values if isinstance(grad, RowGrad) else grad._array
            found.setdefault((grad._backend, str(array.dtype)), []).append(array)
    return found


def _total(norms: list[Tensor], norm_type: float) -> Tensor:
    """The norm of norms that were taken over different dtypes or devices."""
    values = [float(n.item()) for n in norms]
    total = max(values) if math.isinf(norm_type) else sum(v**norm_type for v in values) ** (1 / norm_type)
    out = Tensor(norms[0]._backend.empty((), str(norms[0]._array.dtype)), norms[0]._backend)
    return out.fill_(total)


def _norm(found: dict[tuple[Any, str], list[Any]], norm_type: float) -> Tensor:
    """The norm of all arrays as one vector; 0 without arrays."""
    if not found:
        return tensor(0.0)
    norms = [Tensor(k.grad_norm(arrays, float(norm_type)), k) for (k, _), arrays in found.items()]
    return norms[0] if len(norms) == 1 else _total(norms, float(norm_type))


def get_total_norm(tensors: Parameters, norm_type: float = 2.0, error_if_nonfinite: bool = False) -> Tensor:
    """The norm of all tensors as one vector (`torch.nn.utils.get_total_norm`).

    >>> import fastdl
    >>> get_total_norm([fastdl.tensor([3.0]), fastdl.tensor([4.0])]).item()
    5.0
    """
    op = "get_total_norm"
    lists: dict[tuple[Any, str], list[Any]] = {}
    for t in [tensors] if isinstance(tensors, Tensor) else tensors:
        lists.setdefault((t._backend, str(t._array.dtype)), []).append(t._array)
    total = _norm(lists, norm_type)
    if flag(error_if_nonfinite, op, "error_if_nonfinite") and not math.isfinite(total.item()):
        raise RuntimeError(f"[{op}] expected a finite norm, got {total.item()}")
    return total


def clip_grad_norm_(
    parameters: Parameters, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scales all gradients, in place, so that their norm as one vector is at most `max_norm`; returns the norm before
    (`torch.nn.utils.clip_grad_norm_`). Gradients within the norm are read and not written.

    Raises:
        TypeError: for parameters that are not Tensors, or numbers that are none.
        ValueError: for a negative max_norm, or a norm_type that is not above 0 (`float("inf")`: the largest number).
        RuntimeError: with `error_if_nonfinite` for a norm that is infinite or NaN; the gradients stay as they are.

    >>> import fastdl
    >>> a = fastdl.tensor([3.0, 4.0], requires_grad=True)
    >>> (a * a / 2).sum().backward()
    >>> clip_grad_norm_([a], 1.0).item(), [round(g, 4) for g in a.grad.tolist()]
    (5.0, [0.6, 0.8])
    """
    op = "clip_grad_norm_"
    expect_number(max_norm, op, "max_norm")
    expect_number(norm_type, op, "norm_type")
    found = _gradients(parameters, op)
    total = _norm(found, norm_type)
    if flag(error_if_nonfinite, op, "error_if_nonfinite") and not math.isfinite(total.item()):
        raise RuntimeError(f"[{op}] expected a finite norm of the gradients, got {total.item()}")
    for (k, name), grads in found.items():
        k.clip_by_norm_(grads, total.to(dtype=name)._move(k)._array, float(max_norm))
    return total


def clip_grad_value_(parameters: Parameters, clip_value: float) -> None:
    """Limits every number of the gradients to [-clip_value, clip_value], in place
    (`torch.nn.utils.clip_grad_value_`).

    >>> import fastdl
    >>> a = fastdl.tensor([3.0, -0.5], requires_grad=True)
    >>> (a * a).sum().backward()
    >>> clip_grad_value_([a], 2.0); a.grad.tolist()
    [2.0, -1.0]
    """
    expect_number(clip_value, "clip_grad_value_", "clip_value")
    for (k, _), grads in _gradients(parameters, "clip_grad_value_").items():
        k.clip_by_value_(grads, float(clip_value))
