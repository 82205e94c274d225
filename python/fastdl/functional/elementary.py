"""Elementary functions: exp, log, sqrt, abs, neg, sign."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..autograd import Node, fresh, mode, record
from ..tensor import Tensor
from .arithmetic import Array, matched, neg_bwd


def _expect_float(x: Any, op: str) -> Tensor:
    if not isinstance(x, Tensor):
        raise TypeError(f"[{op}] expected a Tensor for input, got {type(x).__name__}")
    return x if x.dtype.is_floating_point else x._cast(dtypes.float32)


@fresh
def _exp_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.mul(g, node.saved),)


def exp(input: Tensor) -> Tensor:
    """e to the power of each element (`torch.exp`)."""
    x = _expect_float(input, "exp")
    out = Tensor(x._backend.exp(x._array), x._backend)
    return record(out, _exp_bwd, (x,), out._array) if x.requires_grad and mode.enabled else out


@fresh
def _log_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.div(g, node.saved),)


def log(input: Tensor) -> Tensor:
    """Natural logarithm: -inf at 0, NaN below (`torch.log`)."""
    x = _expect_float(input, "log")
    out = Tensor(x._backend.log(x._array), x._backend)
    return record(out, _log_bwd, (x,), x._array) if x.requires_grad and mode.enabled else out


@fresh
def _sqrt_bwd(node: Node, g: Array) -> tuple[Array]:
    k = node.backend
    return (k.div(g, k.mul_scalar(node.saved, 2.0)),)


def sqrt(input: Tensor) -> Tensor:
    """Square root, NaN below 0 (`torch.sqrt`)."""
    x = _expect_float(input, "sqrt")
    out = Tensor(x._backend.sqrt(x._array), x._backend)
    return record(out, _sqrt_bwd, (x,), out._array) if x.requires_grad and mode.enabled else out


@fresh
def _abs_bwd(node: Node, g: Array) -> tuple[Array]:
    k = node.backend
    return (k.mul(g, k.sign(node.saved)),)


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
