"""Operators by domain and name, and the values that they work on.

A value is a NumPy array or a Tensor. Constants of the file, shapes, and what is computed from these alone are NumPy
arrays; what depends on the numbers of an input is a Tensor, unless its dtype is one that tensors do not have. So the
arithmetic of shapes stays on the host, whatever the device. float16 and bfloat16 are held as float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import dtypes
from ...tensor import Tensor

Value = Any  # np.ndarray or Tensor; None where an optional input is missing
Function = Callable[..., Any]

OPERATORS: dict[tuple[str, str], Function] = {}
SCOPED: set[Function] = set()  # those that run subgraphs, and so need the values around them


def operator(*names: str, domain: str = "", scoped: bool = False) -> Callable[[Function], Function]:
    """Registers `f(node, *inputs)`, which returns the output or a tuple of them, as ONNX operators.

    >>> @operator("Twice", domain="example")
    ... def twice(node, x):
    ...     return x + x
    >>> OPERATORS.pop(("example", "Twice")) is twice
    True
    """

    def register(function: Function) -> Function:
        for name in names:
            OPERATORS[domain, name] = function
        if scoped:
            SCOPED.add(function)
        return function

    return register


def on_host(*values: Value) -> bool:
    """Whether no value is a Tensor."""
    return not any(isinstance(v, Tensor) for v in values)


def host(value: Value) -> np.ndarray:
    """The numbers on the host."""
    return value._host() if isinstance(value, Tensor) else value


def ints(value: Value) -> list[int]:
    """Numbers that describe shapes or axes.

    >>> ints(np.array([1, -1]))
    [1, -1]
    """
    return [int(n) for n in host(value).reshape(-1)]


def number(value: Value) -> Any:
    """The only element, as a Python number."""
    array = host(value)
    if array.size != 1:
        raise ValueError(f"expected one number, got shape {array.shape}")
    return array.reshape(()).item()


def fits(value: Value) -> bool:
    """Whether a Tensor can hold the dtype."""
    return isinstance(value, Tensor) or value.dtype.name in dtypes.dtype._by_name


def is_float(value: Value) -> bool:
    return value.dtype.is_floating_point if isinstance(value, Tensor) else value.dtype.kind == "f"


def numpy_dtype(value: Value) -> np.dtype:
    return value.dtype.numpy if isinstance(value, Tensor) else value.dtype


def axis_of(axis: int, ndim: int) -> int:
    """An axis from 0 on.

    >>> axis_of(-1, 3)
    2
    """
    if not -ndim <= axis < max(ndim, 1):
        raise ValueError(f"expected an axis in [{-ndim}, {ndim - 1}], got {axis}")
    return axis % ndim if ndim else 0
