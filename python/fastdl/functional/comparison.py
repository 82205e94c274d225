"""Comparisons (to bool), choice and clamping."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import autograd, dtypes
from ..autograd import Node, fresh, record
from ..tensor import Tensor
from .arguments import expect_number, expect_tensor, flag
from .arithmetic import Array, Number, as_tensor_like, is_number, matched, maximum, minimum, unbroadcast


def _compare(name: str, input: Any, other: Any) -> Tensor:
    if not isinstance(input, Tensor):
        raise TypeError(f"[{name}] expected a Tensor for input, got {type(input).__name__}")
    k = input._backend
    if is_number(other):
        x = input
        if not x.dtype.is_floating_point and isinstance(other, float):
            if other.is_integer():
                other = int(other)
            else:
                x = x._cast(dtypes.float32)
        return Tensor(getattr(k, name + "_scalar")(x._array, other), k)
    a, b = matched(input, other, name)
    return Tensor(getattr(a._backend, name)(a._array, b._array), a._backend)


def eq(input: Tensor, other: Tensor | Number) -> Tensor:
    """input == other, element by element (`torch.eq`)."""
    return _compare("eq", input, other)


def ne(input: Tensor, other: Tensor | Number) -> Tensor:
    """input != other, element by element (`torch.ne`)."""
    return _compare("ne", input, other)


def lt(input: Tensor, other: Tensor | Number) -> Tensor:
    """input < other, element by element (`torch.lt`)."""
    return _compare("lt", input, other)


def le(input: Tensor, other: Tensor | Number) -> Tensor:
    """input <= other, element by element (`torch.le`)."""
    return _compare("le", input, other)


def gt(input: Tensor, other: Tensor | Number) -> Tensor:
    """input > other, element by element (`torch.gt`)."""
    return _compare("gt", input, other)


def ge(input: Tensor, other: Tensor | Number) -> Tensor:
    """input >= other, element by element (`torch.ge`)."""
    return _compare("ge", input, other)


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and elements (`torch.equal`)."""
    expect_tensor(input, "equal")
    expect_tensor(other, "equal", "other")
    return input.shape == other.shape and bool(eq(input, other)._host().all())


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether |input - other| <= atol + rtol * |other| everywhere (`torch.allclose`)."""
    a, b = expect_tensor(input, "allclose")._host(), expect_tensor(other, "allclose", "other")._host()
    expect_number(rtol, "allclose", "rtol")
    expect_number(atol, "allclose", "atol")
    if not all(n == m or 1 in (n, m) for n, m in zip(a.shape[::-1], b.shape[::-1], strict=False)):
        raise ValueError(f"[allclose] expected shapes that broadcast, got {a.shape} and {b.shape}")
    return bool(np.allclose(a, b, rtol=rtol, atol=atol, equal_nan=flag(equal_nan, "allclose", "equal_nan")))


@fresh
def _where_bwd(node: Node, g: Array) -> tuple[Array | None, Array | None]:
    k, (condition, shape_a, shape_b) = node.backend, node.saved
    zero = k.empty((), str(g.dtype))  # and not g * 0, which is NaN where g is infinite
    k.fill_(zero, 0)
    ga = unbroadcast(k, k.where(condition, g, zero), shape_a) if node.edges[0] is not None else None
    gb = unbroadcast(k, k.where(condition, zero, g), shape_b) if node.edges[1] is not None else None
    return ga, gb


def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """input where condition is true, other elsewhere; the three broadcast (`torch.where`).

    With the condition alone: where it is true, a tensor of coordinates for each axis (`nonzero(as_tuple=True)`).

    >>> import fastdl
    >>> fastdl.where(fastdl.tensor([True, False]), fastdl.tensor([1.0, 2.0]), 0.0).tolist()
    [1.0, 0.0]
    """
    if not isinstance(condition, Tensor) or condition.dtype is not dtypes.bool:
        got = condition.dtype.name if isinstance(condition, Tensor) else type(condition).__name__
        raise TypeError(f"[where] expected a bool Tensor for condition, got {got}")
    if input is None and other is None:
        from .indexing import nonzero  # which is made of this module

        return nonzero(condition, as_tuple=True)
    a, b = _scalar_operand(input, other, condition), _scalar_operand(other, input, condition)
    a, b = matched(a, b, "where")
    if condition._backend is not a._backend:
        raise ValueError(f"[where] expected tensors on one device, got {condition.device} and {a.device}")
    k = a._backend
    out = Tensor(k.where(condition._array, a._array, b._array), k)
    if autograd.recording(a, b):
        record(out, _where_bwd, (a, b), (condition._array, a.shape, b.shape))
    return out


def _scalar_operand(value: Any, other: Any, like: Tensor) -> Tensor:
    if not is_number(value):
        return as_tensor_like(value, like, "where")
    k = like._backend
    if isinstance(other, Tensor):
        name = other.dtype.name if other.dtype.is_floating_point or isinstance(value, int) else "float32"
    else:
        name = "bool" if isinstance(value, bool) else "int64" if isinstance(value, int) else "float32"
    array = k.empty((), name)
    k.fill_(array, value)
    return Tensor(array, k)


@fresh
def _clamp_bwd(node: Node, g: Array) -> tuple[Array]:
    k, (x, low, high) = node.backend, node.saved
    zero = k.empty((), str(g.dtype))
    k.fill_(zero, 0)
    if low is not None:
        g = k.where(k.gt_scalar(x, low), g, zero)
    if high is not None:
        g = k.where(k.lt_scalar(x, high), g, zero)
    return (g,)


def clamp(input: Tensor, min: Tensor | Number | None = None, max: Tensor | Number | None = None) -> Tensor:
    """Elements limited to [min, max], numbers or tensors that broadcast (`torch.clamp`).

    The gradient is 0 outside and at limits that are numbers; the input shares it with a limit that it equals.

    >>> import fastdl
    >>> clamp(fastdl.tensor([-2.0, 0.5, 2.0]), -1, 1).tolist()
    [-1.0, 0.5, 1.0]
    """
    if not isinstance(input, Tensor):
        raise TypeError(f"[clamp] expected a Tensor for input, got {type(input).__name__}")
    if min is None and max is None:
        raise ValueError("[clamp] expected min or max, got neither")
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        return _clamp_by_tensors(input, min, max)
    for name, bound in (("min", min), ("max", max)):
        if bound is not None:
            expect_number(bound, "clamp", name)
    x, k = input, input._backend
    if not x.dtype.is_floating_point and (isinstance(min, float) or isinstance(max, float)):
        x = x._cast(dtypes.float32)
    array = x._array
    if min is not None and max is not None and x.dtype is not dtypes.bool:
        array = k.clamp(array, min, max)
    else:
        array = array if min is None else k.maximum_scalar(array, min)
        array = array if max is None else k.minimum_scalar(array, max)
    out = Tensor(array, k)
    return record(out, _clamp_bwd, (x,), (x._array, min, max)) if autograd.recording(x) else out


def _clamp_by_tensors(x: Tensor, min: Any, max: Any) -> Tensor:
    low, high = (_scalar_operand(limit, x, x) if is_number(limit) else limit for limit in (min, max))
    x = x if low is None else maximum(x, low)
    return x if high is None else minimum(x, high)


def clip(input: Tensor, min: Tensor | Number | None = None, max: Tensor | Number | None = None) -> Tensor:
    """`clamp` under NumPy's name (`torch.clip`)."""
    return clamp(input, min, max)
