"""Functions of each element that are made of others; each says of which."""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes
from ..tensor import Tensor
from .arguments import expect_number, expect_tensor, flag
from .arithmetic import add, matched, maximum, minimum, mul, pow, sub
from .comparison import clamp, eq, gt, le, lt, ne, where
from .elementary import exp2, expect_float, log, log1p, neg
from .logical import isfinite, isnan, logical_and, logical_or


def finite_or_zero(x: Tensor) -> Tensor:
    return where(isfinite(x), x, 0)


def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)); with `eps` of x limited to [eps, 1 - eps] (`torch.logit`)."""
    x = expect_float(input, "logit")
    x = x if eps is None else clamp(x, eps, 1 - eps)
    return sub(log(x), log1p(neg(x)))


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
    return mul(expect_float(input, "ldexp"), exp2(other))


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
    a, b = matched(expect_float(input, "xlogy"), expect_float(other, "xlogy"), "xlogy")
    zero = logical_and(eq(a, 0), eq(isnan(b), False))
    # 0 times a number: the slope in `input` is log(other) there too, where that is one.
    within = where(logical_and(zero, logical_or(le(b, 0), eq(b, math.inf))), 1.0, b)
    return mul(a, log(within))


def clamp_min(input: Tensor, min: Any) -> Tensor:
    """`clamp` from below (`torch.clamp_min`)."""
    return clamp(input, min=min)


def clamp_max(input: Tensor, max: Any) -> Tensor:
    """`clamp` from above (`torch.clamp_max`)."""
    return clamp(input, max=max)


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
