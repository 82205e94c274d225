"""Functions of one number; PyTorch's results for NaN and infinities."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .activation import erf_of
from .checks import FLOATS, NUMBERS, expect, expect_array, quiet

Array = np.ndarray

ARITHMETIC = (*NUMBERS, "uint8")


def listed(dtypes: tuple[str, ...]) -> str:
    return ", ".join(dtypes[:-1]) + " or " + dtypes[-1]


def check(op: str, what: str, x: Array, dtypes: tuple[str, ...]) -> None:
    expect_array(op, what, x)
    expect(x.dtype.name in dtypes, TypeError, op, f"{what} of dtype {listed(dtypes)}", x.dtype)


def unary(op: str, x: Array, f: Callable[[Array], Array], dtypes: tuple[str, ...] = FLOATS) -> Array:
    check(op, "x", x, dtypes)
    with quiet():
        return np.asarray(f(x), dtype=x.dtype)


# ---- one operand -----------------------------------------------------------------------------------------------------


def neg(x: Array) -> Array:
    return unary("neg", x, np.negative, ARITHMETIC)


def abs(x: Array) -> Array:
    return unary("abs", x, np.abs, ARITHMETIC)


def sign(x: Array) -> Array:
    return unary("sign", x, lambda v: (v > 0).astype(x.dtype) - (v < 0).astype(x.dtype), ARITHMETIC)  # 0 for NaN


def square(x: Array) -> Array:
    return unary("square", x, np.square, ARITHMETIC)


def exp(x: Array) -> Array:
    return unary("exp", x, np.exp)


def expm1(x: Array) -> Array:
    return unary("expm1", x, np.expm1)


def log(x: Array) -> Array:
    return unary("log", x, np.log)


def log1p(x: Array) -> Array:
    return unary("log1p", x, np.log1p)


def sqrt(x: Array) -> Array:
    return unary("sqrt", x, np.sqrt)


def rsqrt(x: Array) -> Array:
    return unary("rsqrt", x, lambda v: 1 / np.sqrt(v))


def reciprocal(x: Array) -> Array:
    return unary("reciprocal", x, lambda v: 1 / v)


def sin(x: Array) -> Array:
    return unary("sin", x, np.sin)


def cos(x: Array) -> Array:
    return unary("cos", x, np.cos)


def erf(x: Array) -> Array:
    return unary("erf", x, erf_of)


def floor(x: Array) -> Array:
    return unary("floor", x, np.floor)


def ceil(x: Array) -> Array:
    return unary("ceil", x, np.ceil)


def round(x: Array) -> Array:
    return unary("round", x, np.rint)


def trunc(x: Array) -> Array:
    return unary("trunc", x, np.trunc)


def relu(x: Array) -> Array:
    return unary("relu", x, lambda v: np.where(v < 0, v.dtype.type(0), v))  # NaN and -0 stay, as in PyTorch


def relu_(x: Array) -> None:
    check("relu_", "x", x, FLOATS)
    x[...] = relu(x)


def sigmoid(x: Array) -> Array:
    return unary("sigmoid", x, lambda v: 1 / (1 + np.exp(-v)))


def tanh(x: Array) -> Array:
    return unary("tanh", x, np.tanh)


def tan(x: Array) -> Array:
    return unary("tan", x, np.tan)


def asin(x: Array) -> Array:
    return unary("asin", x, np.arcsin)


def acos(x: Array) -> Array:
    return unary("acos", x, np.arccos)


def atan(x: Array) -> Array:
    return unary("atan", x, np.arctan)


def sinh(x: Array) -> Array:
    return unary("sinh", x, np.sinh)


def cosh(x: Array) -> Array:
    return unary("cosh", x, np.cosh)


def asinh(x: Array) -> Array:
    return unary("asinh", x, np.arcsinh)


def acosh(x: Array) -> Array:
    return unary("acosh", x, np.arccosh)


def atanh(x: Array) -> Array:
    return unary("atanh", x, np.arctanh)


def exp2(x: Array) -> Array:
    return unary("exp2", x, np.exp2)


def log2(x: Array) -> Array:
    return unary("log2", x, np.log2)


def log10(x: Array) -> Array:
    return unary("log10", x, np.log10)


def erfc(x: Array) -> Array:
    return unary("erfc", x, np.vectorize(math.erfc, otypes=[np.float64]))


def frac(x: Array) -> Array:
    return unary("frac", x, lambda v: v - np.trunc(v))


def nan_to_num(x: Array, nan: float, posinf: float, neginf: float) -> Array:
    return unary("nan_to_num", x, lambda v: np.nan_to_num(v, nan=nan, posinf=posinf, neginf=neginf))
