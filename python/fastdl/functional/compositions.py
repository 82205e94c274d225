"""Functions of each element that are made of others; each says of which."""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes
from ..tensor import Tensor
from .arguments import expect_number, expect_tensor, flag
from .arithmetic import add, div, matched, maximum, minimum, mul, pow, sub
from .comparison import clamp, eq, gt, le, lt, ne, where
from .division import remainder
from .elementary import abs, cos, erf, exp, expm1, log, log1p, neg, sin, sqrt, square, trunc
from .logical import isfinite, isnan, logical_and, logical_or


def _float(input: Any, op: str) -> Tensor:
    x = expect_tensor(input, op)
    return x if x.dtype.is_floating_point else x._cast(dtypes.float32)


def finite_or_zero(x: Tensor) -> Tensor:
    return where(isfinite(x), x, 0)


def tan(input: Tensor) -> Tensor:
    """sin / cos (`torch.tan`)."""
    x = _float(input, "tan")
    return div(sin(x), cos(x))


def sinh(input: Tensor) -> Tensor:
    """(e^x - e^-x) / 2, exact near 0 (`torch.sinh`)."""
    x = _float(input, "sinh")
    return div(sub(expm1(x), expm1(neg(x))), 2)


def cosh(input: Tensor) -> Tensor:
    """(e^x + e^-x) / 2 (`torch.cosh`)."""
    x = _float(input, "cosh")
    return div(add(exp(x), exp(neg(x))), 2)


def log2(input: Tensor) -> Tensor:
    """Logarithm to base 2 (`torch.log2`)."""
    return div(log(_float(input, "log2")), math.log(2))


def log10(input: Tensor) -> Tensor:
    """Logarithm to base 10 (`torch.log10`)."""
    return div(log(_float(input, "log10")), math.log(10))


def exp2(input: Tensor) -> Tensor:
    """2^x (`torch.exp2`)."""
    return pow(2.0, _float(input, "exp2"))


def erfc(input: Tensor) -> Tensor:
    """1 - erf(x) (`torch.erfc`); where that is small, float64 has the digits."""
    return sub(1.0, erf(_float(input, "erfc")))


def frac(input: Tensor) -> Tensor:
    """What `trunc` takes away (`torch.frac`).

    >>> import fastdl
    >>> fastdl.frac(fastdl.tensor([1.5, -1.5])).tolist()
    [0.5, -0.5]
    """
    x = _float(input, "frac")
    return sub(x, trunc(x))


def asinh(input: Tensor) -> Tensor:
    """The number whose hyperbolic sine is x, exact near 0 (`torch.asinh`)."""
    x = _float(input, "asinh")
    size = where(lt(x, 0), neg(x), x)  # not abs, whose slope at 0 is 0
    grown = log1p(add(size, div(square(size), add(sqrt(add(square(size), 1.0)), 1.0))))
    return where(lt(x, 0), neg(grown), grown)


def acosh(input: Tensor) -> Tensor:
    """The number of at least 0 whose hyperbolic cosine is x; NaN below 1 (`torch.acosh`)."""
    x = _float(input, "acosh")
    return log(add(x, mul(sqrt(sub(x, 1.0)), sqrt(add(x, 1.0)))))


def atanh(input: Tensor) -> Tensor:
    """The number whose hyperbolic tangent is x; NaN beyond 1 (`torch.atanh`)."""
    x = _float(input, "atanh")
    return mul(sub(log1p(x), log1p(neg(x))), 0.5)


def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)); with `eps` of x limited to [eps, 1 - eps] (`torch.logit`)."""
    x = _float(input, "logit")
    x = x if eps is None else clamp(x, eps, 1 - eps)
    return sub(log(x), log1p(neg(x)))


def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """input + weight * (end - input), weight a number or a tensor (`torch.lerp`).

    >>> import fastdl
    >>> fastdl.lerp(fastdl.tensor([0.0]), fastdl.tensor([10.0]), 0.25).tolist()
    [2.5]
    """
    x, y = matched(expect_tensor(input, "lerp"), expect_tensor(end, "lerp", "end"), "lerp")
    return add(x, mul(sub(y, x), weight))


def hypot(input: Tensor, other: Tensor) -> Tensor:
    """sqrt(input^2 + other^2) (`torch.hypot`)."""
    a, b = matched(_float(input, "hypot"), _float(other, "hypot"), "hypot")
    return sqrt(add(square(a), square(b)))


def logaddexp(input: Tensor, other: Tensor) -> Tensor:
    """log(e^input + e^other) without overflow (`torch.logaddexp`)."""
    a, b = matched(_float(input, "logaddexp"), _float(other, "logaddexp"), "logaddexp")
    top = finite_or_zero(maximum(a.detach(), b.detach()))
    return add(log(add(exp(sub(a, top)), exp(sub(b, top)))), top)


def logaddexp2(input: Tensor, other: Tensor) -> Tensor:
    """log2(2^input + 2^other) without overflow (`torch.logaddexp2`)."""
    return div(logaddexp(mul(input, math.log(2)), mul(other, math.log(2))), math.log(2))


def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 below 0, 1 above and `values` at 0 (`torch.heaviside`).

    >>> import fastdl
    >>> fastdl.heaviside(fastdl.tensor([-2.0, 0.0, 3.0]), fastdl.tensor(0.5)).tolist()
    [0.0, 0.5, 1.0]
    """
    x, at_zero = matched(expect_tensor(input, "heaviside"), expect_tensor(values, "heaviside", "values"), "heaviside")
    return where(eq(x, 0), at_zero, where(isnan(x), x, gt(x, 0)._cast(x.dtype)))


def fmax(input: Tensor, other: Tensor) -> Tensor:
    """The larger of each pair; of a NaN and a number the number (`torch.fmax`)."""
    a, b = matched(expect_tensor(input, "fmax"), expect_tensor(other, "fmax", "other"), "fmax")
    return where(isnan(a), b, where(isnan(b), a, maximum(a, b)))


def fmin(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of each pair; of a NaN and a number the number (`torch.fmin`)."""
    a, b = matched(expect_tensor(input, "fmin"), expect_tensor(other, "fmin", "other"), "fmin")
    return where(isnan(a), b, where(isnan(b), a, minimum(a, b)))


def float_power(input: Any, exponent: Any) -> Tensor:
    """`pow` computed in float64 (`torch.float_power`)."""
    base, raised = (v._cast(dtypes.float64) if isinstance(v, Tensor) else float(v) for v in (input, exponent))
    return pow(base, raised)


def ldexp(input: Tensor, other: Tensor) -> Tensor:
    """input * 2^other (`torch.ldexp`)."""
    return mul(_float(input, "ldexp"), exp2(other))


def rsub(input: Tensor, other: Any, *, alpha: float = 1) -> Tensor:
    """other - alpha * input (`torch.rsub`)."""
    return sub(other, mul(input, alpha))


def positive(input: Tensor) -> Tensor:
    """+input, which is input (`torch.positive`)."""
    return expect_tensor(input, "positive")


def isposinf(input: Tensor) -> Tensor:
    """Where elements are infinity; bool (`torch.isposinf`)."""
    return eq(expect_tensor(input, "isposinf"), math.inf)


def isneginf(input: Tensor) -> Tensor:
    """Where elements are minus infinity; bool (`torch.isneginf`)."""
    return eq(expect_tensor(input, "isneginf"), -math.inf)


def xlogy(input: Tensor, other: Tensor) -> Tensor:
    """input * log(other), 0 where input is 0 (`torch.xlogy`)."""
    a, b = matched(_float(input, "xlogy"), _float(other, "xlogy"), "xlogy")
    zero = logical_and(eq(a, 0), eq(isnan(b), False))
    # 0 times a number: the slope in `input` is log(other) there too, where that is one.
    within = where(logical_and(zero, logical_or(le(b, 0), eq(b, math.inf))), 1.0, b)
    return mul(a, log(within))


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """input + value * tensor1 * tensor2 (`torch.addcmul`)."""
    return add(input, mul(mul(tensor1, tensor2), value))


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """input + value * tensor1 / tensor2 (`torch.addcdiv`)."""
    return add(input, mul(div(tensor1, tensor2), value))


def fmod(input: Tensor, other: Any) -> Tensor:
    """What division towards 0 leaves, of the sign of input (`torch.fmod`).

    >>> import fastdl
    >>> fastdl.fmod(fastdl.tensor([-5.0, 5.0]), 3).tolist()
    [-2.0, 2.0]
    """
    x = _float(input, "fmod") if isinstance(other, float) else expect_tensor(input, "fmod")
    below = lt(x, 0)
    rest = remainder(
        where(below, neg(x), x), abs(other) if isinstance(other, Tensor) else -other if other < 0 else other
    )
    return where(below, neg(rest), rest)


def clamp_min(input: Tensor, min: Any) -> Tensor:
    """`clamp` from below (`torch.clamp_min`)."""
    return clamp(input, min=min)


def clamp_max(input: Tensor, max: Any) -> Tensor:
    """`clamp` from above (`torch.clamp_max`)."""
    return clamp(input, max=max)


def nan_to_num(input: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """Numbers instead of NaN and the infinities, by default 0 and the largest that there are (`torch.nan_to_num`).

    >>> import fastdl
    >>> fastdl.nan_to_num(fastdl.tensor([float("nan"), float("inf"), 1.0]), posinf=9.0).tolist()
    [0.0, 9.0, 1.0]
    """
    import numpy as np

    x = expect_tensor(input, "nan_to_num")
    if not x.dtype.is_floating_point:
        return x
    limits = np.finfo(x.dtype.numpy)
    if posinf is None and neginf is None:
        return where(isnan(x), nan, clamp(x, float(limits.min), float(limits.max)))
    x = where(eq(x, math.inf), float(limits.max) if posinf is None else posinf, x)
    x = where(eq(x, -math.inf), float(limits.min) if neginf is None else neginf, x)
    return where(isnan(x), nan, x)


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Where |input - other| <= atol + rtol * |other|; bool (`torch.isclose`).

    >>> import fastdl
    >>> fastdl.isclose(fastdl.tensor([1.0, 2.0]), fastdl.tensor([1.000001, 2.1])).tolist()
    [True, False]
    """
    a, b = matched(expect_tensor(input, "isclose").detach(), expect_tensor(other, "isclose").detach(), "isclose")
    for name, value in (("rtol", rtol), ("atol", atol)):
        expect_number(value, "isclose", name)
    if not a.dtype.is_floating_point:
        a, b = a._cast(dtypes.float64), b._cast(dtypes.float64)
    finite = logical_and(lt(abs(a), math.inf), lt(abs(b), math.inf))
    near = logical_or(eq(a, b), logical_and(finite, le(abs(sub(a, b)), add(mul(abs(b), rtol), atol))))
    if not flag(equal_nan, "isclose", "equal_nan"):
        return near
    return logical_or(near, logical_and(ne(a, a), ne(b, b)))
