"""Elementwise operations with broadcasting; PyTorch's results for NaN and infinities.

A scalar takes the array's dtype, so an operation with a scalar is the operation with an array of no axes.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable

import numpy as np

from .activation import erf_of
from .checks import DTYPES, FLOATS, NUMBERS, checked_dtype, expect, expect_array, expect_same_dtype, expect_shape, quiet

Number = int | float
Array = np.ndarray

ARITHMETIC = (*NUMBERS, "uint8")
INTEGERS = ("int32", "int64", "uint8", "bool")

_INTEGER = (builtins.int, np.integer)
_NUMBER = (builtins.int, builtins.float, np.integer, np.floating)


def listed(dtypes: tuple[str, ...]) -> str:
    return ", ".join(dtypes[:-1]) + " or " + dtypes[-1]


def _check(op: str, what: str, x: Array, dtypes: tuple[str, ...]) -> None:
    expect_array(op, what, x)
    expect(x.dtype.name in dtypes, TypeError, op, f"{what} of dtype {listed(dtypes)}", x.dtype)


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


def _unary(op: str, x: Array, f: Callable[[Array], Array], dtypes: tuple[str, ...] = FLOATS) -> Array:
    _check(op, "x", x, dtypes)
    with quiet():
        return np.asarray(f(x), dtype=x.dtype)


def _binary(op: str, a: Array, b: Array, f: Callable, dtypes: tuple[str, ...] = ARITHMETIC) -> Array:
    _check(op, "a", a, dtypes)
    expect_same_dtype(op, "b", b, a.dtype)
    check_broadcast(op, a.shape, b.shape)
    with quiet():
        return np.asarray(f(a, b), dtype=a.dtype)


# ---- one operand -----------------------------------------------------------------------------------------------------


def neg(x: Array) -> Array:
    return _unary("neg", x, np.negative, ARITHMETIC)


def abs(x: Array) -> Array:
    return _unary("abs", x, np.abs, ARITHMETIC)


def sign(x: Array) -> Array:
    return _unary("sign", x, lambda v: (v > 0).astype(x.dtype) - (v < 0).astype(x.dtype), ARITHMETIC)  # 0 for NaN


def square(x: Array) -> Array:
    return _unary("square", x, np.square, ARITHMETIC)


def exp(x: Array) -> Array:
    return _unary("exp", x, np.exp)


def expm1(x: Array) -> Array:
    return _unary("expm1", x, np.expm1)


def log(x: Array) -> Array:
    return _unary("log", x, np.log)


def log1p(x: Array) -> Array:
    return _unary("log1p", x, np.log1p)


def sqrt(x: Array) -> Array:
    return _unary("sqrt", x, np.sqrt)


def rsqrt(x: Array) -> Array:
    return _unary("rsqrt", x, lambda v: 1 / np.sqrt(v))


def reciprocal(x: Array) -> Array:
    return _unary("reciprocal", x, lambda v: 1 / v)


def sin(x: Array) -> Array:
    return _unary("sin", x, np.sin)


def cos(x: Array) -> Array:
    return _unary("cos", x, np.cos)


def erf(x: Array) -> Array:
    return _unary("erf", x, erf_of)


def floor(x: Array) -> Array:
    return _unary("floor", x, np.floor)


def ceil(x: Array) -> Array:
    return _unary("ceil", x, np.ceil)


def round(x: Array) -> Array:
    return _unary("round", x, np.rint)


def trunc(x: Array) -> Array:
    return _unary("trunc", x, np.trunc)


def relu(x: Array) -> Array:
    return _unary("relu", x, lambda v: np.where(v < 0, v.dtype.type(0), v))  # NaN and -0 stay, as in PyTorch


def relu_(x: Array) -> None:
    _check("relu_", "x", x, FLOATS)
    x[...] = relu(x)


def sigmoid(x: Array) -> Array:
    return _unary("sigmoid", x, lambda v: 1 / (1 + np.exp(-v)))


def tanh(x: Array) -> Array:
    return _unary("tanh", x, np.tanh)


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
    _check(op, "grad", grad, FLOATS)
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
    _check(op, "x", x, dtypes)
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
    _check("clamp", "x", x, ARITHMETIC)
    with quiet():
        return np.asarray(np.minimum(np.maximum(x, _scalar("clamp", x, low)), _scalar("clamp", x, high)), x.dtype)


# ---- in place --------------------------------------------------------------------------------------------------------


def add_(x: Array, other: Array) -> None:
    _check("add_", "x", x, DTYPES)
    expect_same_dtype("add_", "other", other, x.dtype)
    out = check_broadcast("add_", x.shape, other.shape)
    expected = f"other of a shape that broadcasts to {x.shape}"
    expect(out == x.shape, ValueError, "add_", expected, f"shape {other.shape}")
    with quiet():
        x += other


def mul_scalar_(x: Array, s: Number) -> None:
    _check("mul_scalar_", "x", x, DTYPES)
    with quiet():
        x *= _scalar("mul_scalar_", x, s)


def fill_(x: Array, s: Number) -> None:
    expect_array("fill_", "x", x)
    x[...] = _scalar("fill_", x, s)


def copy_(x: Array, source: Array) -> None:
    expect_same_dtype("copy_", "source", source, x.dtype)
    expect_shape("copy_", "source", source, x.shape)
    x[...] = source


# ---- comparisons -----------------------------------------------------------------------------------------------------


def _compare(op: str, a: Array, b: Array, f: Callable) -> Array:
    _check(op, "a", a, DTYPES)
    expect_same_dtype(op, "b", b, a.dtype)
    check_broadcast(op, a.shape, b.shape)
    return np.asarray(f(a, b))


def _compare_scalar(op: str, x: Array, s: Number, f: Callable) -> Array:
    _check(op, "x", x, DTYPES)
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
