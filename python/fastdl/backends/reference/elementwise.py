"""Elementwise operations of several numbers, with broadcasting; PyTorch's results for NaN and infinities.

A scalar takes the array's dtype, so an operation with a scalar is the operation with an array of no axes.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable

import numpy as np

from .checks import DTYPES, FLOATS, checked_dtype, expect, expect_array, expect_same_dtype, expect_shape, quiet
from .elementwise_unary import ARITHMETIC, check

Number = int | float
Array = np.ndarray

INTEGERS = ("int32", "int64", "uint8", "bool")

_INTEGER = (builtins.int, np.integer)
_NUMBER = (builtins.int, builtins.float, np.integer, np.floating)


def check_broadcast(op: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        expect(False, ValueError, op, "shapes that broadcast", " and ".join(map(str, shapes)))
        raise


def _scalar(op: str, x: Array, s: Number) -> Array:
    """s as an array of x's dtype without axes; integer arrays take integers that they can hold."""
    if x.dtype.kind == "f":
        expect(isinstance(s, _NUMBER), TypeError, op, "a number", repr(s))
    else:
        expect(isinstance(s, _INTEGER), TypeError, op, f"an int for an array of dtype {x.dtype}", repr(s))
        low, high = (0, 1) if x.dtype == bool else (np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
        expect(low <= s <= high, ValueError, op, f"a number that {x.dtype} holds", repr(s))
    with quiet():
        return np.asarray(s).astype(x.dtype)


def _binary(op: str, a: Array, b: Array, f: Callable, dtypes: tuple[str, ...] = ARITHMETIC) -> Array:
    check(op, "a", a, dtypes)
    expect_same_dtype(op, "b", b, a.dtype)
    check_broadcast(op, a.shape, b.shape)
    with quiet():
        return np.asarray(f(a, b), dtype=a.dtype)


# ---- two operands ----------------------------------------------------------------------------------------------------


def add(a: Array, b: Array) -> Array:
    return _binary("add", a, b, np.add, DTYPES)


def sub(a: Array, b: Array) -> Array:
    return _binary("sub", a, b, np.subtract)


def mul(a: Array, b: Array) -> Array:
    return _binary("mul", a, b, np.multiply, DTYPES)


def div(a: Array, b: Array) -> Array:
    return _binary("div", a, b, np.divide, FLOATS)


def pow(a: Array, b: Array) -> Array:
    return _binary("pow", a, b, np.power, FLOATS)


def floor_divide(a: Array, b: Array) -> Array:
    return _binary("floor_divide", a, b, np.floor_divide)


def remainder(a: Array, b: Array) -> Array:
    return _binary("remainder", a, b, np.remainder)


def fmod(a: Array, b: Array) -> Array:
    return _binary("fmod", a, b, np.fmod)


def atan2(a: Array, b: Array) -> Array:
    return _binary("atan2", a, b, np.arctan2, FLOATS)


def hypot(a: Array, b: Array) -> Array:
    return _binary("hypot", a, b, np.hypot, FLOATS)


def copysign(a: Array, b: Array) -> Array:
    return _binary("copysign", a, b, np.copysign, FLOATS)


def logaddexp(a: Array, b: Array) -> Array:
    return _binary("logaddexp", a, b, np.logaddexp, FLOATS)


def bitwise_and(a: Array, b: Array) -> Array:
    return _binary("bitwise_and", a, b, np.bitwise_and, INTEGERS)


def bitwise_or(a: Array, b: Array) -> Array:
    return _binary("bitwise_or", a, b, np.bitwise_or, INTEGERS)


def bitwise_xor(a: Array, b: Array) -> Array:
    return _binary("bitwise_xor", a, b, np.bitwise_xor, INTEGERS)


def maximum(a: Array, b: Array) -> Array:
    return _binary("maximum", a, b, np.maximum, DTYPES)  # NaN if either is NaN


def minimum(a: Array, b: Array) -> Array:
    return _binary("minimum", a, b, np.minimum, DTYPES)


def prelu(a: Array, b: Array) -> Array:
    return _binary("prelu", a, b, lambda x, slope: np.where(x > 0, x, x * slope), FLOATS)


def _activation_bwd(op: str, grad: Array, out: Array, f: Callable) -> Array:
    check(op, "grad", grad, FLOATS)
    expect_same_dtype(op, "out", out, grad.dtype)
    expect_shape(op, "grad", grad, out.shape)
    return _binary(op, grad, out, f, FLOATS)


def relu_bwd(grad: Array, out: Array) -> Array:
    return _activation_bwd("relu_bwd", grad, out, lambda g, y: np.where(y <= 0, g.dtype.type(0), g))


def sigmoid_bwd(grad: Array, out: Array) -> Array:
    return _activation_bwd("sigmoid_bwd", grad, out, lambda g, y: g * y * (1 - y))


def tanh_bwd(grad: Array, out: Array) -> Array:
    return _activation_bwd("tanh_bwd", grad, out, lambda g, y: g * (1 - y * y))


# ---- an array and a scalar: f_scalar(x, s) is f(x, s), rf_scalar(x, s) is f(s, x) ------------------------------------


def _with_scalar(op: str, x: Array, s: Number, f: Callable, dtypes: tuple[str, ...] = ARITHMETIC) -> Array:
    check(op, "x", x, dtypes)
    with quiet():
        return np.asarray(f(x, _scalar(op, x, s)), dtype=x.dtype)


def add_scalar(x: Array, s: Number) -> Array:
    return _with_scalar("add_scalar", x, s, np.add, DTYPES)


def sub_scalar(x: Array, s: Number) -> Array:
    return _with_scalar("sub_scalar", x, s, np.subtract)


def rsub_scalar(x: Array, s: Number) -> Array:
    return _with_scalar("rsub_scalar", x, s, lambda v, c: c - v)


def mul_scalar(x: Array, s: Number) -> Array:
    return _with_scalar("mul_scalar", x, s, np.multiply, DTYPES)


def div_scalar(x: Array, s: Number) -> Array:
    return _with_scalar("div_scalar", x, s, np.divide, FLOATS)


def rdiv_scalar(x: Array, s: Number) -> Array:
    return _with_scalar("rdiv_scalar", x, s, lambda v, c: c / v, FLOATS)


def pow_scalar(x: Array, s: Number) -> Array:
    return _with_scalar("pow_scalar", x, s, np.power, FLOATS)


def rpow_scalar(x: Array, s: Number) -> Array:
    return _with_scalar("rpow_scalar", x, s, lambda v, c: c**v, FLOATS)


def maximum_scalar(x: Array, s: Number) -> Array:
    return _with_scalar("maximum_scalar", x, s, np.maximum, DTYPES)


def minimum_scalar(x: Array, s: Number) -> Array:
    return _with_scalar("minimum_scalar", x, s, np.minimum, DTYPES)


def clamp(x: Array, low: Number, high: Number) -> Array:
    check("clamp", "x", x, ARITHMETIC)
    with quiet():
        return np.asarray(np.minimum(np.maximum(x, _scalar("clamp", x, low)), _scalar("clamp", x, high)), x.dtype)


# ---- three operands --------------------------------------------------------------------------------------------------


def _blend(op: str, a: Array, b: Array, c: Array, f: Callable) -> Array:
    check(op, "a", a, FLOATS)
    expect_same_dtype(op, "b", b, a.dtype)
    expect_same_dtype(op, "c", c, a.dtype)
    check_broadcast(op, check_broadcast(op, a.shape, b.shape), c.shape)
    with quiet():
        return np.asarray(f(a, b, c), dtype=a.dtype)


def addcmul(a: Array, b: Array, c: Array, s: Number) -> Array:
    return _blend("addcmul", a, b, c, lambda x, y, z: x + _scalar("addcmul", x, s) * y * z)


def addcdiv(a: Array, b: Array, c: Array, s: Number) -> Array:
    return _blend("addcdiv", a, b, c, lambda x, y, z: x + _scalar("addcdiv", x, s) * y / z)


def _between(x: Array, y: Array, weight: Array) -> Array:
    return np.where(np.abs(weight) < 0.5, x + weight * (y - x), y - (y - x) * (1 - weight))


def lerp(a: Array, b: Array, weight: Array) -> Array:
    return _blend("lerp", a, b, weight, _between)


def lerp_scalar(a: Array, b: Array, weight: Number) -> Array:
    check("lerp_scalar", "a", a, FLOATS)
    return _blend("lerp_scalar", a, b, _scalar("lerp_scalar", a, weight), _between)


# ---- in place --------------------------------------------------------------------------------------------------------


def _into(name: str, x: Array, other: Array, f: Callable[[Array, Array], Array]) -> None:
    """x = f(x, other), where f is the function without underscore, with its dtypes."""
    expect_same_dtype(name, "other", other, x.dtype)
    out = check_broadcast(name, x.shape, other.shape)
    expect(out == x.shape, ValueError, name, f"other of a shape that broadcasts to {x.shape}", f"shape {other.shape}")
    x[...] = f(x, other)


def add_(x: Array, other: Array) -> None:
    check("add_", "x", x, DTYPES)
    _into("add_", x, other, add)


def sub_(x: Array, other: Array) -> None:
    check("sub_", "x", x, ARITHMETIC)
    _into("sub_", x, other, sub)


def mul_(x: Array, other: Array) -> None:
    check("mul_", "x", x, DTYPES)
    _into("mul_", x, other, mul)


def div_(x: Array, other: Array) -> None:
    check("div_", "x", x, FLOATS)
    _into("div_", x, other, div)


def add_scalar_(x: Array, s: Number) -> None:
    check("add_scalar_", "x", x, DTYPES)
    x[...] = add(x, _scalar("add_scalar_", x, s))


def sub_scalar_(x: Array, s: Number) -> None:
    check("sub_scalar_", "x", x, ARITHMETIC)
    x[...] = sub(x, _scalar("sub_scalar_", x, s))


def mul_scalar_(x: Array, s: Number) -> None:
    check("mul_scalar_", "x", x, DTYPES)
    x[...] = mul(x, _scalar("mul_scalar_", x, s))


def div_scalar_(x: Array, s: Number) -> None:
    check("div_scalar_", "x", x, FLOATS)
    x[...] = div(x, _scalar("div_scalar_", x, s))


def diff(x: Array, axis: int) -> Array:
    check("diff", "x", x, ARITHMETIC)
    expect(0 <= axis < x.ndim, IndexError, "diff", f"an axis from 0 to {x.ndim - 1}", axis)
    expect(x.shape[axis] > 0, ValueError, "diff", "at least one element along the axis", f"shape {x.shape}")
    with quiet():
        return np.diff(x, axis=axis)


def ramp_(x: Array, start: float, step: float, last: float, both_ends: bool) -> None:
    check("ramp_", "x", x, FLOATS)
    places = np.arange(x.size, dtype=np.float64)
    backwards = last - places[::-1] * step
    half = (x.size + 1) // 2 if both_ends else x.size
    x[...] = np.where(places < half, start + places * step, backwards).reshape(x.shape)


def integer_ramp_(x: Array, start: builtins.int, step: builtins.int) -> None:
    expected = "x of dtype int32 or int64"
    expect(x.dtype.name in ("int32", "int64"), TypeError, "integer_ramp_", expected, x.dtype)
    with quiet():
        x[...] = (np.arange(x.size, dtype=np.int64) * step + start).astype(x.dtype).reshape(x.shape)


def fill_(x: Array, s: Number) -> None:
    expect_array("fill_", "x", x)
    x[...] = _scalar("fill_", x, s)


def copy_(x: Array, source: Array) -> None:
    expect_same_dtype("copy_", "source", source, x.dtype)
    expect_shape("copy_", "source", source, x.shape)
    x[...] = source


# ---- comparisons -----------------------------------------------------------------------------------------------------


def _compare(op: str, a: Array, b: Array, f: Callable) -> Array:
    check(op, "a", a, DTYPES)
    expect_same_dtype(op, "b", b, a.dtype)
    check_broadcast(op, a.shape, b.shape)
    return np.asarray(f(a, b))


def _compare_scalar(op: str, x: Array, s: Number, f: Callable) -> Array:
    check(op, "x", x, DTYPES)
    return np.asarray(f(x, _scalar(op, x, s)))


def eq(a: Array, b: Array) -> Array:
    return _compare("eq", a, b, np.equal)


def ne(a: Array, b: Array) -> Array:
    return _compare("ne", a, b, np.not_equal)


def lt(a: Array, b: Array) -> Array:
    return _compare("lt", a, b, np.less)


def le(a: Array, b: Array) -> Array:
    return _compare("le", a, b, np.less_equal)


def gt(a: Array, b: Array) -> Array:
    return _compare("gt", a, b, np.greater)


def ge(a: Array, b: Array) -> Array:
    return _compare("ge", a, b, np.greater_equal)


def eq_scalar(x: Array, s: Number) -> Array:
    return _compare_scalar("eq_scalar", x, s, np.equal)


def ne_scalar(x: Array, s: Number) -> Array:
    return _compare_scalar("ne_scalar", x, s, np.not_equal)


def lt_scalar(x: Array, s: Number) -> Array:
    return _compare_scalar("lt_scalar", x, s, np.less)


def le_scalar(x: Array, s: Number) -> Array:
    return _compare_scalar("le_scalar", x, s, np.less_equal)


def gt_scalar(x: Array, s: Number) -> Array:
    return _compare_scalar("gt_scalar", x, s, np.greater)


def ge_scalar(x: Array, s: Number) -> Array:
    return _compare_scalar("ge_scalar", x, s, np.greater_equal)


# ---- choice and conversion -------------------------------------------------------------------------------------------


def where(condition: Array, a: Array, b: Array) -> Array:
    expect_same_dtype("where", "condition", condition, np.dtype(bool))
    expect_same_dtype("where", "b", b, a.dtype)
    check_broadcast("where", check_broadcast("where", condition.shape, a.shape), b.shape)
    return np.where(condition, a, b)


def cast(x: Array, dtype: str) -> Array:
    with quiet():
        return x.astype(checked_dtype(dtype))
