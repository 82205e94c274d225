"""The same work in PyTorch and NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bench.row import Call, Row, torch
from bench.rows import functions


def _tensors(arrays: list[np.ndarray], channels_last: bool, differentiable: list[bool]) -> list[Any]:
    tensors = []
    for a, wanted in zip(arrays, differentiable, strict=True):
        t = torch.from_numpy(a)
        if channels_last and t.ndim == 4:
            t = t.contiguous(memory_format=torch.channels_last)
        tensors.append(t.requires_grad_(wanted))
    return tensors


def _first(result: Any) -> Any:
    return result[0] if isinstance(result, tuple | list) else result


def _call(function: Callable[..., Any], tensors: list[Any], attributes: dict[str, Any], backward: bool) -> Call:
    if not backward:

        def forward() -> Any:
            with torch.no_grad():
                return function(*tensors, **attributes)

        return forward
    grad = torch.ones_like(_first(function(*tensors, **attributes)))

    def both() -> None:
        for t in tensors:
            t.grad = None
        _first(function(*tensors, **attributes)).backward(grad)

    return both


def torch_variants(
    row: Row, arrays: list[np.ndarray], attributes: dict[str, Any], differentiable: list[bool]
) -> dict[str, Call]:
    """Calls of a case in PyTorch, one for each memory format that applies; with gradients if any input has one."""
    function = functions("TORCH").get(row.case)
    if torch is None or function is None:
        return {}
    variants = {"PyTorch": _call(function, _tensors(arrays, False, differentiable), attributes, row.backward)}
    if row.channels_last and any(a.ndim == 4 for a in arrays):
        last = _tensors(arrays, True, differentiable)
        variants["PyTorch channels_last"] = _call(function, last, attributes, row.backward)
    return variants


def numpy_variant(name: str, arrays: list[np.ndarray], attributes: dict[str, Any]) -> dict[str, Call]:
    """A call of a case in NumPy, where NumPy has it."""
    function = functions("NUMPY").get(name)
    return {} if function is None else {"NumPy": lambda: function(*arrays, **attributes)}


def set_threads(n: int) -> None:
    if torch is not None:
        torch.set_num_threads(n)
