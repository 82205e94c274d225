"""Truth values and bits; what is NaN or infinite."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..tensor import Tensor
from .arguments import expect_tensor
from .arithmetic import for_scalar, is_number, matched
from .comparison import eq, ne


def _bits(name: str, input: Any, other: Any) -> Tensor:
    if is_number(input):
        input, other = other, input
    if is_number(other):
        x, s = for_scalar(input, other, name)
        array = x._backend.empty((), x.dtype.name)
        x._backend.fill_(array, s)
        return Tensor(getattr(x._backend, name)(x._array, array), x._backend)
    a, b = matched(input, other, name)
    return Tensor(getattr(a._backend, name)(a._array, b._array), a._backend)


def bitwise_and(input: Any, other: Any) -> Tensor:
    """input & other of integers, and of truth values; broadcast (`torch.bitwise_and`).

    Raises:
        TypeError: for floats.

    >>> import fastdl
    >>> bitwise_and(fastdl.tensor([6]), 3).tolist()
    [2]
    """
    return _bits("bitwise_and", input, other)


def bitwise_or(input: Any, other: Any) -> Tensor:
    """input | other of integers, and of truth values; broadcast (`torch.bitwise_or`)."""
    return _bits("bitwise_or", input, other)


def bitwise_xor(input: Any, other: Any) -> Tensor:
    """input ^ other of integers, and of truth values; broadcast (`torch.bitwise_xor`)."""
    return _bits("bitwise_xor", input, other)


def bitwise_not(input: Tensor) -> Tensor:
    """~input of integers and truth values (`torch.bitwise_not`).

    >>> import fastdl
    >>> bitwise_not(fastdl.tensor([5])).tolist(), bitwise_not(fastdl.tensor([True])).tolist()
    ([-6], [False])
    """
    x = expect_tensor(input, "bitwise_not")
    if x.dtype is dtypes.bool:
        return eq(x, False)
    if x.dtype.is_floating_point:
        raise TypeError(f"[bitwise_not] expected input of dtype int32, int64, uint8 or bool, got {x.dtype.name}")
    ones = 255 if x.dtype is dtypes.uint8 else -1  # all bits set, from which the others are taken away
    return Tensor(x._backend.rsub_scalar(x._array, ones), x._backend)


def _truth(value: Any, op: str, name: str) -> Tensor:
    x = expect_tensor(value, op, name)
    return x if x.dtype is dtypes.bool else ne(x, 0)


def logical_and(input: Tensor, other: Tensor) -> Tensor:
    """Whether both are other than 0; bool, broadcast (`torch.logical_and`)."""
    return bitwise_and(_truth(input, "logical_and", "input"), _truth(other, "logical_and", "other"))


def logical_or(input: Tensor, other: Tensor) -> Tensor:
    """Whether one is other than 0; bool, broadcast (`torch.logical_or`)."""
    return bitwise_or(_truth(input, "logical_or", "input"), _truth(other, "logical_or", "other"))


def logical_xor(input: Tensor, other: Tensor) -> Tensor:
    """Whether just one is other than 0; bool, broadcast (`torch.logical_xor`)."""
    return bitwise_xor(_truth(input, "logical_xor", "input"), _truth(other, "logical_xor", "other"))


def logical_not(input: Tensor) -> Tensor:
    """Whether input is 0; bool (`torch.logical_not`).

    >>> import fastdl
    >>> logical_not(fastdl.tensor([0.0, 2.0])).tolist()
    [True, False]
    """
    return eq(expect_tensor(input, "logical_not"), 0)


def isnan(input: Tensor) -> Tensor:
    """Which elements are not a number; bool (`torch.isnan`).

    >>> import fastdl
    >>> isnan(fastdl.tensor([1.0, float("nan")])).tolist()
    [False, True]
    """
    x = expect_tensor(input, "isnan")
    return Tensor(x._backend.ne(x._array, x._array), x._backend)


def _against_infinity(op: str, input: Any, comparison: str, of_integers: bool) -> Tensor:
    x = expect_tensor(input, op)
    k = x._backend
    if x.dtype.is_floating_point:
        return Tensor(getattr(k, comparison)(k.abs(x._array), float("inf")), k)
    array = k.empty(x.shape, "bool")
    k.fill_(array, of_integers)
    return Tensor(array, k)


def isinf(input: Tensor) -> Tensor:
    """Which elements are plus or minus infinity; bool (`torch.isinf`)."""
    return _against_infinity("isinf", input, "eq_scalar", False)


def isfinite(input: Tensor) -> Tensor:
    """Which elements are neither NaN nor infinite; bool (`torch.isfinite`)."""
    return _against_infinity("isfinite", input, "lt_scalar", True)
