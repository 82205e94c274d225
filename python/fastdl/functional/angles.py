"""Angles: tangents, their inverses, the angle and length of a point; signs."""

from __future__ import annotations

import math
from typing import Any

from ..autograd import Node, fresh, record_pair, recording
from ..tensor import Tensor
from .arguments import expect_tensor
from .arithmetic import Array, div, matched, mul, unbroadcast
from .comparison import eq, lt, where
from .elementary import elementary, expect_float, reciprocal, sin
from .logical import logical_and, logical_or

# ---- tangent and inverses --------------------------------------------------------------------------------------------


@fresh
def _tan_bwd(node: Node, g: Array) -> tuple[Array]:
    k = node.backend
    return (k.mul(g, k.add_scalar(k.square(node.saved), 1.0)),)


def tan(input: Tensor) -> Tensor:
    """Tangent of an angle in radians (`torch.tan`)."""
    return elementary("tan", input, _tan_bwd, True)


@fresh
def _atan_bwd(node: Node, g: Array) -> tuple[Array]:
    k = node.backend
    return (k.div(g, k.add_scalar(k.square(node.saved), 1.0)),)


def atan(input: Tensor) -> Tensor:
    """The angle whose tangent is x, from -pi/2 to pi/2 (`torch.atan`)."""
    return elementary("atan", input, _atan_bwd, False)


def _arc_slope(k: Any, x: Array) -> Array:
    return k.rsqrt(k.mul(k.rsub_scalar(x, 1.0), k.add_scalar(x, 1.0)))


@fresh
def _asin_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.mul(g, _arc_slope(node.backend, node.saved)),)


def asin(input: Tensor) -> Tensor:
    """The angle whose sine is x, from -pi/2 to pi/2; NaN beyond 1 (`torch.asin`).

    >>> import fastdl
    >>> round(fastdl.asin(fastdl.tensor(0.5)).item() * 180 / 3.141592653589793, 4)
    30.0
    """
    return elementary("asin", input, _asin_bwd, False)


@fresh
def _acos_bwd(node: Node, g: Array) -> tuple[Array]:
    k = node.backend
    return (k.neg(k.mul(g, _arc_slope(k, node.saved))),)


def acos(input: Tensor) -> Tensor:
    """The angle whose cosine is x, from 0 to pi; NaN beyond 1 (`torch.acos`)."""
    return elementary("acos", input, _acos_bwd, False)


def sinc(input: Tensor) -> Tensor:
    """sin(pi x) / (pi x), 1 at 0 (`torch.sinc`)."""
    x = mul(expect_float(input, "sinc"), math.pi)
    zero = eq(x, 0)
    return where(zero, 1.0, div(sin(x), where(zero, 1.0, x)))


# ---- points ----------------------------------------------------------------------------------------------------------


def _floats(op: str, input: Any, other: Any) -> tuple[Tensor, Tensor]:
    return matched(expect_float(input, op), expect_float(other, op, "other"), op)


def _of_point(op: str, input: Any, other: Any, rule: Any, keeps_output: bool = False) -> Tensor:
    a, b = _floats(op, input, other)
    out = Tensor(getattr(a._backend, op)(a._array, b._array), a._backend)
    if recording(a, b):
        record_pair(out, rule, a, b, (a._array, b._array, out._array if keeps_output else None))
    return out


@fresh
def _atan2_bwd(node: Node, g: Array) -> tuple[Array | None, Array | None]:
    k, (y, x, _) = node.backend, node.saved
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
    return _of_point("atan2", input, other, _atan2_bwd)


@fresh
def _hypot_bwd(node: Node, g: Array) -> tuple[Array | None, Array | None]:
    k, (a, b, out) = node.backend, node.saved
    part = k.div(g, out)
    ga = unbroadcast(k, k.mul(part, a), a.shape) if node.edges[0] is not None else None
    gb = unbroadcast(k, k.mul(part, b), b.shape) if node.edges[1] is not None else None
    return ga, gb


def hypot(input: Tensor, other: Tensor) -> Tensor:
    """sqrt(input^2 + other^2) without overflow (`torch.hypot`). Shapes broadcast."""
    return _of_point("hypot", input, other, _hypot_bwd, True)


# ---- signs -----------------------------------------------------------------------------------------------------------


def signbit(input: Tensor) -> Tensor:
    """Where the sign is minus, also that of -0; bool (`torch.signbit`).

    >>> import fastdl
    >>> fastdl.signbit(fastdl.tensor([-1.0, -0.0, 0.0])).tolist()
    [True, True, False]
    """
    x = expect_tensor(input, "signbit").detach()
    below = lt(x, 0)
    return logical_or(below, logical_and(eq(x, 0), lt(reciprocal(x), 0))) if x.is_floating_point() else below


@fresh
def _copysign_bwd(node: Node, g: Array) -> tuple[Array | None, Array | None]:
    k, (a, b, out) = node.backend, node.saved
    ga = unbroadcast(k, k.mul(g, k.mul(k.sign(a), k.sign(out))), a.shape) if node.edges[0] is not None else None
    gb = k.empty(b.shape, str(b.dtype))  # not b times 0, which of an infinity is NaN
    k.fill_(gb, 0)
    return ga, gb


def copysign(input: Tensor, other: Any) -> Tensor:
    """The magnitude of `input` with the sign of `other`, a tensor or a number (`torch.copysign`).

    >>> import fastdl
    >>> fastdl.copysign(fastdl.tensor([1.0, -2.0]), -1.0).tolist()
    [-1.0, -2.0]
    """
    x = expect_float(input, "copysign")
    return _of_point("copysign", x, other if isinstance(other, Tensor) else x.new_full((), other), _copysign_bwd, True)
