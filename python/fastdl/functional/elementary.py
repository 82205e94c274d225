"""Elementary functions of each element: exponentials and logarithms, roots, sine and cosine, rounding.

Integers and booleans are computed as float32, except where a function keeps them (abs, neg, sign, square, rounding).
"""

from __future__ import annotations

import builtins
import math
from typing import Any

from .. import dtypes
from ..autograd import Node, fresh, mode, record
from ..spread_grad import beside, takes_spread
from ..tensor import Tensor
from .arithmetic import Array, matched, neg_bwd


def expect_float(x: Any, op: str, name: str = "input") -> Tensor:
    """A tensor of floats: of other dtypes as float32."""
    if not isinstance(x, Tensor):
        raise TypeError(f"[{op}] expected a Tensor for {name}, got {type(x).__name__}")
    return x if x.dtype.is_floating_point else x._cast(dtypes.float32)


@fresh
@takes_spread
def _exp_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.mul(beside(g, node.saved.shape), node.saved),)


def exp(input: Tensor) -> Tensor:
    """e to the power of each element (`torch.exp`)."""
    x = expect_float(input, "exp")
    out = Tensor(x._backend.exp(x._array), x._backend)
    return record(out, _exp_bwd, (x,), out._array) if x.requires_grad and mode.enabled else out


@fresh
@takes_spread
def _log_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.div(beside(g, node.saved.shape), node.saved),)


def log(input: Tensor) -> Tensor:
    """Natural logarithm: -inf at 0, NaN below (`torch.log`)."""
    x = expect_float(input, "log")
    out = Tensor(x._backend.log(x._array), x._backend)
    return record(out, _log_bwd, (x,), x._array) if x.requires_grad and mode.enabled else out


@fresh
@takes_spread
def _sqrt_bwd(node: Node, g: Array) -> tuple[Array]:
    k = node.backend
    return (k.div(beside(g, node.saved.shape), k.mul_scalar(node.saved, 2.0)),)


def sqrt(input: Tensor) -> Tensor:
    """Square root, NaN below 0 (`torch.sqrt`)."""
    x = expect_float(input, "sqrt")
    out = Tensor(x._backend.sqrt(x._array), x._backend)
    return record(out, _sqrt_bwd, (x,), out._array) if x.requires_grad and mode.enabled else out


@fresh
@takes_spread
def _abs_bwd(node: Node, g: Array) -> tuple[Array]:
    k = node.backend
    return (k.mul(beside(g, node.saved.shape), k.sign(node.saved)),)


def abs(input: Tensor) -> Tensor:
    """Absolute value; the gradient at 0 is 0 (`torch.abs`)."""
    x = matched(input, input, "abs")[0]
    out = Tensor(x._backend.abs(x._array), x._backend)
    return record(out, _abs_bwd, (x,), x._array) if x.requires_grad and mode.enabled else out


def neg(input: Tensor) -> Tensor:
    """-input (`torch.neg`)."""
    x = matched(input, input, "neg")[0]
    out = Tensor(x._backend.neg(x._array), x._backend)
    return record(out, neg_bwd, (x,), None) if x.requires_grad and mode.enabled else out


def sign(input: Tensor) -> Tensor:
    """-1, 0 or 1; its gradient is 0 (`torch.sign`)."""
    x = matched(input, input, "sign")[0]
    return Tensor(x._backend.sign(x._array), x._backend)


# ---- near zero -------------------------------------------------------------------------------------------------------


def elementary(name: str, input: Any, rule: Any, keeps_output: bool) -> Tensor:
    """A function whose rule needs its output, or its input."""
    x = expect_float(input, name)
    out = Tensor(getattr(x._backend, name)(x._array), x._backend)
    if not (x.requires_grad and mode.enabled):
        return out
    return record(out, rule, (x,), out._array if keeps_output else x._array)


@fresh
def _expm1_bwd(node: Node, g: Array) -> tuple[Array]:
    k = node.backend
    return (k.mul(g, k.add_scalar(node.saved, 1.0)),)


def expm1(input: Tensor) -> Tensor:
    """e^x - 1, exact near 0 (`torch.expm1`).

    >>> import fastdl
    >>> expm1(fastdl.tensor([1e-8])).item() > 0
    True
    """
    return elementary("expm1", input, _expm1_bwd, True)


@fresh
def _log1p_bwd(node: Node, g: Array) -> tuple[Array]:
    k = node.backend
    return (k.div(g, k.add_scalar(node.saved, 1.0)),)


def log1p(input: Tensor) -> Tensor:
    """log(1 + x), exact near 0; -inf at -1, NaN below (`torch.log1p`)."""
    return elementary("log1p", input, _log1p_bwd, False)


# ---- powers and roots ------------------------------------------------------------------------------------------------


@fresh
def _square_bwd(node: Node, g: Array) -> tuple[Array]:
    k = node.backend
    return (k.mul(g, k.mul_scalar(node.saved, 2.0)),)


def square(input: Tensor) -> Tensor:
    """x * x; integers stay integers (`torch.square`).

    >>> import fastdl
    >>> square(fastdl.tensor([3])).tolist()
    [9]
    """
    x = matched(input, input, "square")[0]
    out = Tensor(x._backend.square(x._array), x._backend)
    return record(out, _square_bwd, (x,), x._array) if x.requires_grad and mode.enabled else out


@fresh
def _rsqrt_bwd(node: Node, g: Array) -> tuple[Array]:
    k, out = node.backend, node.saved
    return (k.mul(k.mul_scalar(g, -0.5), k.mul(out, k.square(out))),)


def rsqrt(input: Tensor) -> Tensor:
    """1 / sqrt(x): inf at 0, NaN below (`torch.rsqrt`)."""
    return elementary("rsqrt", input, _rsqrt_bwd, True)


@fresh
def _reciprocal_bwd(node: Node, g: Array) -> tuple[Array]:
    k = node.backend
    return (k.neg(k.mul(g, k.square(node.saved))),)


def reciprocal(input: Tensor) -> Tensor:
    """1 / x (`torch.reciprocal`)."""
    return elementary("reciprocal", input, _reciprocal_bwd, True)


# ---- circles and errors ----------------------------------------------------------------------------------------------


@fresh
def _sin_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.mul(g, node.backend.cos(node.saved)),)


def sin(input: Tensor) -> Tensor:
    """Sine of an angle in radians (`torch.sin`)."""
    return elementary("sin", input, _sin_bwd, False)


@fresh
def _cos_bwd(node: Node, g: Array) -> tuple[Array]:
    k = node.backend
    return (k.neg(k.mul(g, k.sin(node.saved))),)


def cos(input: Tensor) -> Tensor:
    """Cosine of an angle in radians (`torch.cos`).

    >>> import fastdl
    >>> cos(fastdl.zeros(1)).item()
    1.0
    """
    return elementary("cos", input, _cos_bwd, False)


@fresh
def _erf_bwd(node: Node, g: Array) -> tuple[Array]:
    k = node.backend
    return (k.mul(g, k.mul_scalar(k.exp(k.neg(k.square(node.saved))), 2 / math.sqrt(math.pi))),)


def erf(input: Tensor) -> Tensor:
    """The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x (`torch.erf`)."""
    return elementary("erf", input, _erf_bwd, False)


@fresh
def _erfc_bwd(node: Node, g: Array) -> tuple[Array]:
    k = node.backend
    return (k.mul(g, k.mul_scalar(k.exp(k.neg(k.square(node.saved))), -2 / math.sqrt(math.pi))),)


def erfc(input: Tensor) -> Tensor:
    """1 - erf(x), with all digits where that is small (`torch.erfc`).

    >>> import fastdl
    >>> f"{erfc(fastdl.tensor(5.0)).item():.3e}"
    '1.537e-12'
    """
    return elementary("erfc", input, _erfc_bwd, False)


# ---- other bases -----------------------------------------------------------------------------------------------------


@fresh
def _exp2_bwd(node: Node, g: Array) -> tuple[Array]:
    k = node.backend
    return (k.mul(g, k.mul_scalar(node.saved, math.log(2))),)


def exp2(input: Tensor) -> Tensor:
    """2^x (`torch.exp2`)."""
    return elementary("exp2", input, _exp2_bwd, True)


@fresh
def _log2_bwd(node: Node, g: Array) -> tuple[Array]:
    k = node.backend
    return (k.div(g, k.mul_scalar(node.saved, math.log(2))),)


def log2(input: Tensor) -> Tensor:
    """Logarithm to base 2: -inf at 0, NaN below (`torch.log2`).

    >>> import fastdl
    >>> log2(fastdl.tensor([1.0, 8.0])).tolist()
    [0.0, 3.0]
    """
    return elementary("log2", input, _log2_bwd, False)


@fresh
def _log10_bwd(node: Node, g: Array) -> tuple[Array]:
    k = node.backend
    return (k.div(g, k.mul_scalar(node.saved, math.log(10))),)


def log10(input: Tensor) -> Tensor:
    """Logarithm to base 10: -inf at 0, NaN below (`torch.log10`)."""
    return elementary("log10", input, _log10_bwd, False)


# ---- hyperbolic functions --------------------------------------------------------------------------------------------


@fresh
def _sinh_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.mul(g, node.backend.cosh(node.saved)),)


def sinh(input: Tensor) -> Tensor:
    """(e^x - e^-x) / 2, exact near 0 (`torch.sinh`)."""
    return elementary("sinh", input, _sinh_bwd, False)


@fresh
def _cosh_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.mul(g, node.backend.sinh(node.saved)),)


def cosh(input: Tensor) -> Tensor:
    """(e^x + e^-x) / 2 (`torch.cosh`)."""
    return elementary("cosh", input, _cosh_bwd, False)


@fresh
def _asinh_bwd(node: Node, g: Array) -> tuple[Array]:
    k = node.backend
    return (k.mul(g, k.rsqrt(k.add_scalar(k.square(node.saved), 1.0))),)


def asinh(input: Tensor) -> Tensor:
    """The number whose hyperbolic sine is x, exact near 0 (`torch.asinh`)."""
    return elementary("asinh", input, _asinh_bwd, False)


@fresh
def _acosh_bwd(node: Node, g: Array) -> tuple[Array]:
    k, x = node.backend, node.saved
    return (k.mul(g, k.rsqrt(k.mul(k.sub_scalar(x, 1.0), k.add_scalar(x, 1.0)))),)


def acosh(input: Tensor) -> Tensor:
    """The number of at least 0 whose hyperbolic cosine is x; NaN below 1 (`torch.acosh`)."""
    return elementary("acosh", input, _acosh_bwd, False)


@fresh
def _atanh_bwd(node: Node, g: Array) -> tuple[Array]:
    k, x = node.backend, node.saved
    return (k.div(g, k.mul(k.rsub_scalar(x, 1.0), k.add_scalar(x, 1.0))),)


def atanh(input: Tensor) -> Tensor:
    """The number whose hyperbolic tangent is x; NaN beyond 1 (`torch.atanh`)."""
    return elementary("atanh", input, _atanh_bwd, False)


# ---- rounding --------------------------------------------------------------------------------------------------------


def _whole(name: str, input: Any) -> Tensor:
    if not isinstance(input, Tensor):
        raise TypeError(f"[{name}] expected a Tensor for input, got {type(input).__name__}")
    k = input._backend
    if not input.dtype.is_floating_point:
        return Tensor(k.cast(input._array, input.dtype.name), k)
    return Tensor(getattr(k, name)(input._array), k)


def floor(input: Tensor) -> Tensor:
    """The largest whole number of at most x; integers stay; the gradient is 0 (`torch.floor`)."""
    return _whole("floor", input)


def ceil(input: Tensor) -> Tensor:
    """The least whole number of at least x; integers stay; the gradient is 0 (`torch.ceil`)."""
    return _whole("ceil", input)


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest number of so many decimals, of two the even one; integers stay; the gradient is 0 (`torch.round`).

    >>> import fastdl
    >>> round(fastdl.tensor([0.5, 1.5, -2.7])).tolist(), round(fastdl.tensor(1234.0), decimals=-2).item()
    ([0.0, 2.0, -3.0], 1200.0)
    """
    if not decimals or not input.is_floating_point():
        return _whole("round", input)
    scale = 10.0 ** builtins.abs(decimals)
    return _whole("round", input * scale) / scale if decimals > 0 else _whole("round", input / scale) * scale


def trunc(input: Tensor) -> Tensor:
    """x without its fraction; integers stay; the gradient is 0 (`torch.trunc`)."""
    return _whole("trunc", input)


@fresh
def _frac_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.mul_scalar(g, 1.0),)


def frac(input: Tensor) -> Tensor:
    """What `trunc` takes away (`torch.frac`).

    >>> import fastdl
    >>> fastdl.frac(fastdl.tensor([1.5, -1.5])).tolist()
    [0.5, -0.5]
    """
    return elementary("frac", input, _frac_bwd, False)
