"""Quantised numbers: small integers q that stand for (q - zero point) * scale.

Networks of them are computed in floating point: their results are those of the integers, their speed is not. int8 that
depends on an input is held in int32 tensors, which the session gives out as int8, so that such networks have plans.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import functional as F
from ...functional import arithmetic, comparison, elementary, layout, reduction
from ...functional.product import matmul as _matmul
from ...tensor import Tensor
from ..types import array_dtype, held
from .convolution import conv
from .registry import Value, axis_of, fits, host, number, numpy_dtype, on_host, operator

_HELD = {"int8": "int32", "int16": "int32", "uint16": "int32"}


def _integers(node: Any, value: Value) -> Tensor:
    """As a tensor of integers."""
    if not fits(value):
        value = value.astype(_HELD.get(value.dtype.name, value.dtype.name))
    return node.tensor(value)


def _beside(node: Any, parameter: Value, x: Value, axis: int, block: int) -> Value:
    """A scale or zero point in a shape that broadcasts to x: one number in all, one along an axis, or one a block."""
    if parameter.ndim == 0 or parameter.shape == (1,):
        return parameter.reshape(())
    if block:
        repeated = np.repeat(host(parameter), block, axis)
        return np.take(repeated, range(x.shape[axis]), axis)
    if parameter.ndim != 1:
        raise NotImplementedError(f"expected a scale of one dimension, got shape {parameter.shape}")
    return parameter.reshape([-1 if i == axis else 1 for i in range(x.ndim)])


def _parameters(node: Any, x: Value, scale: Value, zero: Value) -> tuple[Value, Value]:
    axis = axis_of(node.get("axis", 1), x.ndim) if scale.ndim and scale.shape != (1,) else 0
    block = node.get("block_size", 0)
    return tuple(None if v is None else _beside(node, v, x, axis, block) for v in (scale, zero))  # type: ignore[return-value]


# ---- from integers and to them ---------------------------------------------------------------------------------------


def dequantized(node: Any, q: Value, scale: Value, zero: Value) -> Value:
    """(q - zero) * scale; scale and zero broadcast to q."""
    if on_host(q, scale, *([] if zero is None else [zero])):
        wide = q.astype(np.int64) - (0 if zero is None else zero.astype(np.int64))
        return (wide.astype(scale.dtype) * scale).astype(scale.dtype)
    s = node.tensor(scale)
    x = _integers(node, q).to(s.dtype)
    if zero is not None:
        x = arithmetic.sub(x, _integers(node, zero).to(s.dtype))
    return arithmetic.mul(x, s)


def quantized(node: Any, x: Value, scale: Value, zero: Value, kind: np.dtype) -> Value:
    """round(x / scale) + zero, halves to even, within the limits of an integer dtype."""
    limits = np.iinfo(kind)
    if on_host(x, scale, *([] if zero is None else [zero])):
        steps = np.rint(x / scale) + (0 if zero is None else zero.astype(np.float64))
        return np.clip(steps, limits.min, limits.max).astype(kind)
    t, s = node.tensors(x, scale)
    steps = elementary.round(arithmetic.div(t, s.to(t.dtype)))
    if zero is not None:
        steps = arithmetic.add(steps, _integers(node, zero).to(t.dtype))
    return comparison.clamp(steps, float(limits.min), float(limits.max)).to(_HELD.get(kind.name, kind.name))


@operator("DequantizeLinear")
@operator("DequantizeLinear", domain="com.microsoft")
def dequantize_linear(node: Any, q: Value, scale: Value, zero: Value = None) -> Value:
    out = dequantized(node, q, *_parameters(node, q, scale, zero))
    return out if not node.get("output_dtype") else _as(node, out, held(array_dtype(node.get("output_dtype"))))


def _as(node: Any, x: Value, kind: np.dtype) -> Value:
    return x.to(kind.name) if isinstance(x, Tensor) else x.astype(kind)


@operator("QuantizeLinear")
@operator("QuantizeLinear", domain="com.microsoft")
def quantize_linear(node: Any, x: Value, scale: Value, zero: Value = None) -> Value:
    named = node.get("output_dtype", 0)
    kind = array_dtype(named) if named else np.dtype(np.uint8) if zero is None else numpy_dtype(zero)
    if kind.kind not in "iu":
        raise NotImplementedError(f"expected integers of at least 8 bits, got {kind.name}")
    x = x if isinstance(x, Tensor) or x.dtype.kind == "f" else x.astype(np.float32)
    return quantized(node, x, *_parameters(node, x, scale, zero), kind)


@operator("DynamicQuantizeLinear")
def dynamic_quantize_linear(node: Any, x: Value) -> tuple[Value, ...]:
    """To uint8, with the scale and zero point that the smallest and largest number (and 0) need."""
    t = node.tensor(x)
    flat = layout.reshape(t, (-1,))
    low = comparison.clamp(reduction.amin(flat), max=0.0)
    high = comparison.clamp(reduction.amax(flat), min=0.0)
    scale = arithmetic.div(arithmetic.sub(high, low), 255.0)
    scale = comparison.where(comparison.eq(scale, 0.0), arithmetic.add(scale, 1.0), scale)
    zero = elementary.round(comparison.clamp(elementary.neg(arithmetic.div(low, scale)), 0.0, 255.0)).to("uint8")
    return quantized(node, t, scale, zero, np.dtype(np.uint8)), scale, zero


# ---- products and convolutions ---------------------------------------------------------------------------------------


def _centred(node: Any, q: Value, zero: Value, axis: int | None) -> Tensor:
    """q - zero in float64, which holds sums of products of 8-bit integers exactly."""
    x = _integers(node, q).double()
    if zero is None:
        return x
    z = _integers(node, zero).double()
    if z.ndim == 1 and axis is not None:
        z = layout.reshape(z, [-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])
    return arithmetic.sub(x, z)


def _weight(node: Any, q: Value, zero: Value, axis: int) -> Tensor:
    return node.prepared("centred", [q, zero], lambda q, zero: _centred(node, q, zero, axis))


def _whole(x: Any) -> Tensor:
    return elementary.round(x).to("int32")


@operator("MatMulInteger")
def matmul_integer(node: Any, a: Value, b: Value, a_zero: Value = None, b_zero: Value = None) -> Value:
    return _whole(_matmul(_centred(node, a, a_zero, -2), _weight(node, b, b_zero, -1)))


@operator("ConvInteger")
def conv_integer(node: Any, x: Value, w: Value, x_zero: Value = None, w_zero: Value = None) -> Value:
    return _whole(conv(node, _centred(node, x, x_zero, None), _weight(node, w, w_zero, 0)))


def _rescaled(node: Any, sums: Tensor, factor: Any, zero: Value) -> Value:
    """Exact sums of products as quantised numbers: times the scales of the factors over the scale of the result."""
    scaled = arithmetic.mul(sums, node.tensor(np.asarray(factor, np.float64)))
    return quantized(node, scaled, np.asarray(1.0), zero, numpy_dtype(zero))


def _factor(axis_shape: tuple[int, ...], a: Value, b: Value, out: Value) -> np.ndarray:
    wide = [host(v).astype(np.float64) for v in (a, b, out)]
    whole = wide[0].reshape(-1)[0] * wide[1] / wide[2].reshape(-1)[0]
    return whole.reshape(axis_shape) if whole.size > 1 else whole.reshape(())


@operator("QLinearConv")
def qlinear_conv(
    node: Any, x: Value, x_scale: Value, x_zero: Value, w: Value, w_scale: Value, w_zero: Value, y_scale: Value,
    y_zero: Value, bias: Value = None,
) -> Value:  # fmt: skip
    wide = None if bias is None else node.prepared("bias", [bias], lambda b: _integers(node, b).double())
    sums = conv(node, _centred(node, x, x_zero, None), _weight(node, w, w_zero, 0), wide)
    channels = (-1, *[1] * (sums.ndim - 2))
    return _rescaled(node, sums, _factor(channels, x_scale, w_scale, y_scale), y_zero)


@operator("QLinearMatMul")
@operator("QLinearMatMul", domain="com.microsoft")
def qlinear_matmul(
    node: Any, a: Value, a_scale: Value, a_zero: Value, b: Value, b_scale: Value, b_zero: Value, y_scale: Value,
    y_zero: Value,
) -> Value:  # fmt: skip
    sums = _matmul(_centred(node, a, a_zero, -2), _weight(node, b, b_zero, -1))
    rows = host(a_scale).astype(np.float64).reshape(-1, *[1] * a_scale.ndim)  # one scale a row, or one in all
    return _rescaled(node, sums, (rows * host(b_scale) / number(y_scale)).reshape(_fitting(rows, b_scale)), y_zero)


def _fitting(rows: np.ndarray, columns: Value) -> tuple[int, ...]:
    return (-1, columns.shape[0]) if columns.ndim else (-1, 1) if rows.size > 1 else (1,)


# ---- ONNX Runtime's own operators, in which its quantiser writes networks (domain com.microsoft) ---------------------


@operator("QGemm", domain="com.microsoft")
def qgemm(
    node: Any, a: Value, a_scale: Value, a_zero: Value, b: Value, b_scale: Value, b_zero: Value, c: Value = None,
    y_scale: Value = None, y_zero: Value = None,
) -> Value:  # fmt: skip
    x = _centred(node, a, a_zero, None)
    w = _weight(node, b, b_zero, 0 if node.get("transB") else -1)
    sums = _matmul(layout.t(x) if node.get("transA") else x, layout.t(w) if node.get("transB") else w)
    alpha = node.get("alpha", 1.0)
    sums = sums if alpha == 1 else arithmetic.mul(sums, alpha)
    sums = sums if c is None else arithmetic.add(sums, _integers(node, c).double())
    if y_scale is None:
        factor = _factor((-1,), a_scale, b_scale, np.ones(1))
        return arithmetic.mul(sums, node.tensor(factor)).float()
    return _rescaled(node, sums, _factor((-1,), a_scale, b_scale, y_scale), y_zero)


def _of_one(name: str, function: Callable[[Any, Tensor], Any]) -> None:
    @operator(name, domain="com.microsoft")
    def compute(node: Any, x: Value, x_scale: Value, x_zero: Value, y_scale: Value, y_zero: Value = None) -> Value:
        real = dequantized(node, x, x_scale.reshape(()), None if x_zero is None else x_zero.reshape(()))
        kind = np.dtype(np.uint8) if y_zero is None else numpy_dtype(y_zero)
        return quantized(node, function(node, node.tensor(real)), y_scale, y_zero, kind)


def _of_two(name: str, function: Callable[[Tensor, Tensor], Any]) -> None:
    @operator(name, domain="com.microsoft")
    def compute(
        node: Any, a: Value, a_scale: Value, a_zero: Value, b: Value, b_scale: Value, b_zero: Value, y_scale: Value,
        y_zero: Value = None,
    ) -> Value:  # fmt: skip
        x, y = dequantized(node, a, a_scale, a_zero), dequantized(node, b, b_scale, b_zero)
        kind = np.dtype(np.uint8) if y_zero is None else numpy_dtype(y_zero)
        return quantized(node, function(*node.tensors(x, y)), y_scale, y_zero, kind)


def _global_average(node: Any, x: Tensor) -> Tensor:
    if node.get("channels_last"):
        raise NotImplementedError("expected channels_last=0, got 1")
    return reduction.mean(x, tuple(range(2, x.ndim)), True)


_of_one("QLinearGlobalAveragePool", _global_average)
_of_one("QLinearSoftmax", lambda node, x: F.softmax(x, axis_of(node.get("axis", -1), x.ndim)))
_of_one("QLinearSigmoid", lambda node, x: F.sigmoid(x))
_of_one("QLinearLeakyRelu", lambda node, x: F.leaky_relu(x, node.get("alpha", 0.01)))
_of_two("QLinearAdd", arithmetic.add)
_of_two("QLinearMul", arithmetic.mul)


@operator("QLinearConcat", domain="com.microsoft")
def qlinear_concat(node: Any, y_scale: Value, y_zero: Value, *parts: Value) -> Value:
    """Three arguments for each part: numbers, scale, zero point."""
    reals = [node.tensor(dequantized(node, *parts[i : i + 3])) for i in range(0, len(parts), 3)]
    return quantized(node, layout.cat(reals, node.get("axis")), y_scale, y_zero, numpy_dtype(y_zero))
