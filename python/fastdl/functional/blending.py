"""Functions of several numbers in one pass: blends of three operands, sums of exponentials, numbers for NaN."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd import Node, fresh, record, record_pair, recording
from ..tensor import Tensor
from .arguments import expect_number, expect_tensor
from .arithmetic import Array, add, div, for_scalar, is_number, matched, mul, unbroadcast
from .elementary import expect_float


def _matched(op: str, input: Any, *others: tuple[str, Any]) -> list[Tensor]:
    """Tensors of one device and dtype."""
    out = [expect_tensor(input, op)]
    for name, other in others:
        first, other = matched(out[0], expect_tensor(other, op, name), op)
        out = [first, *(matched(first, x, op)[1] for x in out[1:]), other]
    return out


def _alike(*values: Any) -> bool:
    """Whether these are tensors of one device: such ones of one dtype need no matching, which costs small ones half."""
    return all(isinstance(v, Tensor) and v._backend is values[0]._backend for v in values)


# ---- addcmul, addcdiv ------------------------------------------------------------------------------------------------


@fresh
def _addcmul_bwd(node: Node, g: Array) -> tuple[Array | None, ...]:
    k, (shape, b, c, s) = node.backend, node.saved
    scaled = k.mul_scalar(g, s)
    ga = unbroadcast(k, k.mul_scalar(g, 1.0), shape) if node.needs(0) else None
    gb = unbroadcast(k, k.mul(scaled, c), b.shape) if node.needs(1) else None
    gc = unbroadcast(k, k.mul(scaled, b), c.shape) if node.needs(2) else None
    return ga, gb, gc


@fresh
def _addcdiv_bwd(node: Node, g: Array) -> tuple[Array | None, ...]:
    k, (shape, b, c, s) = node.backend, node.saved
    part = k.div(k.mul_scalar(g, s), c)
    ga = unbroadcast(k, k.mul_scalar(g, 1.0), shape) if node.needs(0) else None
    gb = unbroadcast(k, part, b.shape) if node.needs(1) else None
    gc = unbroadcast(k, k.neg(k.div(k.mul(part, b), c)), c.shape) if node.needs(2) else None
    return ga, gb, gc


def _added(op: str, input: Any, tensor1: Any, tensor2: Any, value: Any, rule: Any, combine: Any) -> Tensor:
    expect_number(value, op, "value")
    if _alike(input, tensor1, tensor2) and not recording(input, tensor1, tensor2):
        k = input._backend
        try:
            return Tensor(getattr(k, op)(input._array, tensor1._array, tensor2._array, float(value)), k)
        except TypeError:  # dtypes that differ, or integers
            pass
    a, b, c = _matched(op, input, ("tensor1", tensor1), ("tensor2", tensor2))
    if not a.dtype.is_floating_point:
        return add(a, mul(combine(b, c), value))
    s = float(value)
    out = Tensor(getattr(a._backend, op)(a._array, b._array, c._array, s), a._backend)
    return record(out, rule, (a, b, c), (a.shape, b._array, c._array, s)) if recording(a, b, c) else out


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """input + value * tensor1 * tensor2, broadcast (`torch.addcmul`).

    >>> import fastdl
    >>> addcmul(fastdl.ones(1), fastdl.tensor([2.0]), fastdl.tensor([3.0]), value=0.5).tolist()
    [4.0]
    """
    return _added("addcmul", input, tensor1, tensor2, value, _addcmul_bwd, mul)


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """input + value * tensor1 / tensor2, broadcast (`torch.addcdiv`)."""
    return _added("addcdiv", input, tensor1, tensor2, value, _addcdiv_bwd, div)


# ---- lerp ------------------------------------------------------------------------------------------------------------


@fresh
def _lerp_bwd(node: Node, g: Array) -> tuple[Array | None, ...]:
    k, (a, b, weight) = node.backend, node.saved
    ga = unbroadcast(k, k.mul(g, k.rsub_scalar(weight, 1.0)), a.shape) if node.needs(0) else None
    gb = unbroadcast(k, k.mul(g, weight), b.shape) if node.needs(1) else None
    gw = unbroadcast(k, k.mul(g, k.sub(b, a)), weight.shape) if node.needs(2) else None
    return ga, gb, gw


@fresh
def _lerp_scalar_bwd(node: Node, g: Array) -> tuple[Array | None, Array | None]:
    k, (shape_a, shape_b, weight) = node.backend, node.saved
    ga = unbroadcast(k, k.mul_scalar(g, 1 - weight), shape_a) if node.needs(0) else None
    gb = unbroadcast(k, k.mul_scalar(g, weight), shape_b) if node.needs(1) else None
    return ga, gb


def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """input + weight * (end - input), weight a number or a tensor, broadcast (`torch.lerp`); a weight of 1 gives `end`.

    >>> import fastdl
    >>> fastdl.lerp(fastdl.tensor([0.0]), fastdl.tensor([10.0]), 0.25).tolist()
    [2.5]
    """
    if _alike(input, end, weight) and not recording(input, end, weight):
        k = input._backend
        try:
            return Tensor(k.lerp(input._array, end._array, weight._array), k)
        except TypeError:  # dtypes that differ, or integers
            pass
    if type(weight) is float and _alike(input, end) and not recording(input, end):
        k = input._backend
        try:
            return Tensor(k.lerp_scalar(input._array, end._array, weight), k)
        except TypeError:  # as above
            pass
    x, end = expect_float(input, "lerp"), expect_float(end, "lerp", "end")
    if not is_number(weight):
        a, b, w = _matched("lerp", x, ("end", end), ("weight", weight))
        out = Tensor(a._backend.lerp(a._array, b._array, w._array), a._backend)
        return record(out, _lerp_bwd, (a, b, w), (a._array, b._array, w._array)) if recording(a, b, w) else out
    a, b = matched(x, end, "lerp")
    _, s = for_scalar(a, weight, "lerp")
    out = Tensor(a._backend.lerp_scalar(a._array, b._array, s), a._backend)
    return record_pair(out, _lerp_scalar_bwd, a, b, (a.shape, b.shape, s)) if recording(a, b) else out


# ---- sums of exponentials --------------------------------------------------------------------------------------------


@fresh
def _logaddexp_bwd(node: Node, g: Array) -> tuple[Array | None, Array | None]:
    k, (a, b) = node.backend, node.saved
    apart = k.sub(a, b)
    ga = unbroadcast(k, k.mul(g, k.sigmoid(apart)), a.shape) if node.needs(0) else None
    gb = unbroadcast(k, k.mul(g, k.sigmoid(k.neg(apart))), b.shape) if node.needs(1) else None
    return ga, gb


def logaddexp(input: Tensor, other: Tensor) -> Tensor:
    """log(e^input + e^other) without overflow, broadcast (`torch.logaddexp`).

    >>> import fastdl
    >>> round(logaddexp(fastdl.tensor(1000.0), fastdl.tensor(1000.0)).item(), 3)
    1000.693
    """
    a, b = matched(expect_float(input, "logaddexp"), expect_float(other, "logaddexp", "other"), "logaddexp")
    out = Tensor(a._backend.logaddexp(a._array, b._array), a._backend)
    return record_pair(out, _logaddexp_bwd, a, b, (a._array, b._array)) if recording(a, b) else out


def logaddexp2(input: Tensor, other: Tensor) -> Tensor:
    """log2(2^input + 2^other) without overflow (`torch.logaddexp2`)."""
    return div(logaddexp(mul(input, math.log(2)), mul(other, math.log(2))), math.log(2))


# ---- numbers for NaN -------------------------------------------------------------------------------------------------


@fresh
def _nan_to_num_bwd(node: Node, g: Array) -> tuple[Array]:
    k = node.backend
    return (k.where(k.lt_scalar(k.abs(node.saved), math.inf), g, k.mul_scalar(g, 0.0)),)


def nan_to_num(input: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """Numbers instead of NaN and the infinities, by default 0 and the largest that there are (`torch.nan_to_num`).

    >>> import fastdl
    >>> fastdl.nan_to_num(fastdl.tensor([float("nan"), float("inf"), 1.0]), posinf=9.0).tolist()
    [0.0, 9.0, 1.0]
    """
    x = expect_tensor(input, "nan_to_num")
    if not x.dtype.is_floating_point:
        return x
    limits = np.finfo(x.dtype.numpy)
    numbers = [0.0 if nan is None else nan, limits.max if posinf is None else posinf,
               limits.min if neginf is None else neginf]  # fmt: skip
    for name, number in zip(("nan", "posinf", "neginf"), numbers, strict=True):
        if not isinstance(number, np.floating):
            expect_number(number, "nan_to_num", name)
    out = Tensor(x._backend.nan_to_num(x._array, *map(float, numbers)), x._backend)
    return record(out, _nan_to_num_bwd, (x,), x._array) if recording(x) else out
