"""Division without a fraction: quotients rounded down and what they leave."""

from __future__ import annotations

from typing import Any

from ..autograd import Node, fresh, record_pair, recording
from ..tensor import Tensor
from .arithmetic import Array, for_scalar, is_number, matched, unbroadcast


def _operands(op: str, input: Any, other: Any) -> tuple[Tensor, Tensor]:
    """Two tensors; integer divisors other than 0."""
    if is_number(other) or is_number(input):
        tensor, number = (input, other) if isinstance(input, Tensor) else (other, input)
        x, s = for_scalar(tensor, number, op)
        array = x._backend.empty((), x.dtype.name)
        x._backend.fill_(array, s)
        scalar = Tensor(array, x._backend)
        a, b = (x, scalar) if isinstance(input, Tensor) else (scalar, x)
    else:
        a, b = matched(input, other, op)
    if not b.dtype.is_floating_point and b.numel() and not b._host().all():
        raise ValueError(f"[{op}] expected integer divisors other than 0, got 0")
    return a, b


def floor_divide(input: Any, other: Any) -> Tensor:
    """The quotient rounded down, broadcast (`torch.floor_divide`, Python's `//`). Its gradient is 0.

    Integers stay integers.

    Raises:
        TypeError: for operands that are not Tensors or numbers, or bools.
        ValueError: for an integer divisor of 0, or shapes that do not broadcast.

    >>> import fastdl
    >>> floor_divide(fastdl.tensor([7, -7]), 2).tolist()
    [3, -4]
    """
    a, b = _operands("floor_divide", input, other)
    return Tensor(a._backend.floor_divide(a._array, b._array), a._backend)


@fresh
def _remainder_bwd(node: Node, g: Array) -> tuple[Array | None, Array | None]:
    k, (a, b) = node.backend, node.saved
    ga = unbroadcast(k, k.mul_scalar(g, 1.0), a.shape) if node.needs(0) else None
    gb = unbroadcast(k, k.neg(k.mul(g, k.floor_divide(a, b))), b.shape) if node.needs(1) else None
    return ga, gb


def remainder(input: Any, other: Any) -> Tensor:
    """What `floor_divide` leaves, of the sign of the divisor, broadcast (`torch.remainder`, Python's `%`).

    >>> import fastdl
    >>> remainder(fastdl.tensor([7.5, -7.5]), 2.0).tolist()
    [1.5, 0.5]
    """
    a, b = _operands("remainder", input, other)
    out = Tensor(a._backend.remainder(a._array, b._array), a._backend)
    return record_pair(out, _remainder_bwd, a, b, (a._array, b._array)) if recording(a, b) else out


@fresh
def _fmod_bwd(node: Node, g: Array) -> tuple[Array | None, Array | None]:
    k, (a, b) = node.backend, node.saved
    ga = unbroadcast(k, k.mul_scalar(g, 1.0), a.shape) if node.needs(0) else None
    gb = unbroadcast(k, k.neg(k.mul(g, k.trunc(k.div(a, b)))), b.shape) if node.needs(1) else None
    return ga, gb


def fmod(input: Any, other: Any) -> Tensor:
    """What division towards 0 leaves, of the sign of input, broadcast (`torch.fmod`).

    >>> import fastdl
    >>> fmod(fastdl.tensor([-5.0, 5.0]), 3).tolist()
    [-2.0, 2.0]
    """
    a, b = _operands("fmod", input, other)
    out = Tensor(a._backend.fmod(a._array, b._array), a._backend)
    return record_pair(out, _fmod_bwd, a, b, (a._array, b._array)) if recording(a, b) else out
