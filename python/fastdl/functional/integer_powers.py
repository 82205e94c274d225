"""Integers to the power of integers, by squaring: exact modulo the range of the dtype."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..tensor import Tensor


def whole_power(x: Tensor, exponent: int) -> Tensor:
    """The same exponent, of at least 0, for all."""
    power, k = x if x.dtype is not dtypes.bool else x._cast(dtypes.int64), x._backend
    array = k.empty(power.shape, power.dtype.name)
    k.fill_(array, 1)
    square = power._array
    while exponent:
        array = k.mul(array, square) if exponent & 1 else array
        square, exponent = k.mul(square, square), exponent >> 1
    return Tensor(array, k)


def is_whole(x: Any) -> bool:
    return isinstance(x, Tensor) and not x.dtype.is_floating_point and x.dtype is not dtypes.bool


def whole_powers(a: Tensor, b: Tensor) -> Tensor:
    """Each with an exponent of its own; below 0 that is a fraction, cut off, but for the bases 1 and -1.

    The largest exponent is read on the host, so a plan cannot hold this.
    """
    k, exponent = a._backend, b._array
    base = k.add(a._array, k.mul_scalar(exponent, 0))  # in the shape that both broadcast to
    below = k.lt_scalar(exponent, 0)
    one = k.add_scalar(k.mul_scalar(base, 0), 1)
    rest = k.where(below, k.rsub_scalar(exponent, 0), exponent)
    power, square = one, base
    while b.numel() and int(k.to_numpy(k.cast(rest, "int64")).max()) > 0:
        odd = k.ne_scalar(k.bitwise_and(rest, k.add_scalar(k.mul_scalar(rest, 0), 1)), 0)
        power = k.where(odd, k.mul(power, square), power)
        rest, square = k.floor_divide(rest, k.add_scalar(k.mul_scalar(rest, 0), 2)), k.mul(square, square)
    unit = k.eq(k.mul(base, base), one)
    return Tensor(k.where(below, k.where(unit, power, k.mul_scalar(base, 0)), power), k)
