"""Angles of points and of ratios: atan2 and what is made of it."""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes
from ..autograd import Node, fresh, no_grad, record, recording
from ..tensor import Tensor
from .arguments import expect_tensor
from .arithmetic import Array, add, div, matched, maximum, minimum, mul, sub, unbroadcast
from .comparison import eq, gt, lt, where
from .elementary import abs, cos, neg, reciprocal, sin, sqrt, square
from .logical import logical_and, logical_or


def _float(input: Any, op: str) -> Tensor:
    x = expect_tensor(input, op)
    return x if x.dtype.is_floating_point else x._cast(dtypes.float32)


def signbit(input: Tensor) -> Tensor:
    """Where the sign is minus, also that of -0; bool (`torch.signbit`).

    >>> import fastdl
    >>> fastdl.signbit(fastdl.tensor([-1.0, -0.0, 0.0])).tolist()
    [True, True, False]
    """
    x = expect_tensor(input, "signbit").detach()
    below = lt(x, 0)
    return logical_or(below, logical_and(eq(x, 0), lt(reciprocal(x), 0))) if x.is_floating_point() else below


def copysign(input: Tensor, other: Any) -> Tensor:
    """The magnitude of `input` with the sign of `other`, a tensor or a number (`torch.copysign`).

    >>> import fastdl
    >>> fastdl.copysign(fastdl.tensor([1.0, -2.0]), -1.0).tolist()
    [-1.0, -2.0]
    """
    size = abs(_float(input, "copysign"))
    minus = signbit(other) if isinstance(other, Tensor) else math.copysign(1.0, other) < 0
    if isinstance(minus, Tensor):
        return where(minus, neg(size), size)
    return neg(size) if minus else size


def _first_octant(t: Tensor) -> Tensor:
    """atan of numbers in [0, 1]: a parabola within 0.004 of it, and what is left of the angle to the 7th power."""
    guess = mul(t, sub(math.pi / 4 + 0.273, mul(t, 0.273)))
    c, s = cos(guess), sin(guess)
    rest = div(sub(mul(t, c), s), add(c, mul(t, s)))  # tan(atan(t) - guess)
    r = square(rest)
    return add(guess, mul(rest, sub(1.0, mul(r, sub(1 / 3, mul(r, 0.2))))))


def _angle(y: Tensor, x: Tensor) -> Tensor:
    a, b = abs(x), abs(y)
    long, short = maximum(a, b), minimum(a, b)
    ratio = where(eq(long, short), where(eq(long, 0), 0.0, 1.0), div(short, long))
    angle = _first_octant(ratio)
    angle = where(gt(b, a), sub(math.pi / 2, angle), angle)
    angle = where(signbit(x), sub(math.pi, angle), angle)
    return where(signbit(y), neg(angle), angle)


@fresh
def _atan2_bwd(node: Node, g: Array) -> tuple[Array | None, Array | None]:
    k, (y, x) = node.backend, node.saved
    square = k.add(k.square(y), k.square(x))
    part = k.where(k.eq_scalar(square, 0.0), square, k.div(g, square))  # 0 at the origin, which has no angle
    gy = unbroadcast(k, k.mul(part, x), y.shape) if node.edges[0] is not None else None
    gx = unbroadcast(k, k.neg(k.mul(part, y)), x.shape) if node.edges[1] is not None else None
    return gy, gx


def atan2(input: Tensor, other: Tensor) -> Tensor:
    """The angle of the point (other, input), from -pi to pi (`torch.atan2`). Shapes broadcast.

    >>> import fastdl
    >>> fastdl.atan2(fastdl.tensor([0.0, 1.0]), fastdl.tensor([1.0, 0.0])).tolist()
    [0.0, 1.5707963705062866]
    """
    y, x = matched(_float(input, "atan2"), _float(other, "atan2"), "atan2")
    with no_grad():
        out = _angle(*(mul(v, 1.0) for v in (y, x)))
    return record(out.detach(), _atan2_bwd, (y, x), (y._array, x._array)) if recording(y, x) else out


def atan(input: Tensor) -> Tensor:
    """The angle whose tangent is x, from -pi/2 to pi/2 (`torch.atan`)."""
    x = _float(input, "atan")
    return atan2(x, x.new_ones(()))


@fresh
def _arc_bwd(node: Node, g: Array) -> tuple[Array]:
    k, (cosine, x) = node.backend, node.saved
    slope = k.rsqrt(k.mul(k.rsub_scalar(x, 1.0), k.add_scalar(x, 1.0)))
    return (k.mul(k.neg(g) if cosine else g, slope),)


def _arc(x: Tensor, cosine: bool) -> Tensor:
    with no_grad():
        other = sqrt(mul(sub(1.0, x), add(x, 1.0)))
        out = atan2(other, x) if cosine else atan2(x, other)
    return record(out, _arc_bwd, (x,), (cosine, x._array)) if recording(x) else out


def asin(input: Tensor) -> Tensor:
    """The angle whose sine is x, from -pi/2 to pi/2; NaN beyond 1 (`torch.asin`).

    >>> import fastdl
    >>> round(fastdl.asin(fastdl.tensor(0.5)).item() * 180 / 3.141592653589793, 4)
    30.0
    """
    return _arc(_float(input, "asin"), False)


def acos(input: Tensor) -> Tensor:
    """The angle whose cosine is x, from 0 to pi; NaN beyond 1 (`torch.acos`)."""
    return _arc(_float(input, "acos"), True)


def sinc(input: Tensor) -> Tensor:
    """sin(pi x) / (pi x), 1 at 0 (`torch.sinc`)."""
    x = mul(_float(input, "sinc"), math.pi)
    zero = eq(x, 0)
    return where(zero, 1.0, div(sin(x), where(zero, 1.0, x)))
