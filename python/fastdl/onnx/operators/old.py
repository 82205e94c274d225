"""Operators as files before opset 7 wrote them, brought into the form of opset 7.

Each function takes the node and its inputs and gives the inputs of opset 7; attributes that became inputs or have other
names now are changed in the node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...functional import layout
from ...tensor import Tensor
from ..types import need_onnx
from .registry import Value, axis_of, number

NEW_FORMS = 7  # the opset from which on nodes are as the operators expect them
OLD_FORMS: dict[str, Callable[..., tuple[Value, ...]]] = {}


def _old(*names: str) -> Callable[[Callable], Callable]:
    def register(function: Callable) -> Callable:
        OLD_FORMS.update(dict.fromkeys(names, function))
        return function

    return register


def _reshaped(x: Value, shape: tuple[int, ...]) -> Value:
    return layout.reshape(x, shape) if isinstance(x, Tensor) else x.reshape(shape)


@_old("Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Greater", "Less")
def axis_of_second(node: Any, a: Value, b: Value) -> tuple[Value, ...]:
    """The first axis of b is `axis` of a; without `broadcast` both have one shape."""
    if not node.get("broadcast", 0):
        if a.shape != b.shape:
            raise ValueError(f"expected two values of one shape, got {a.shape} and {b.shape}")
        return a, b
    first = axis_of(node.get("axis", a.ndim - b.ndim), a.ndim) if b.ndim else 0
    return a, _reshaped(b, (*b.shape, *[1] * (a.ndim - first - b.ndim))) if b.ndim else b


@_old("PRelu")
def slope_of_channels(node: Any, x: Value, slope: Value) -> tuple[Value, ...]:
    return x, _reshaped(slope, (-1, *[1] * (x.ndim - 2))) if slope.ndim == 1 and slope.shape[0] > 1 else slope


@_old("BatchNormalization")
def evaluated(node: Any, *values: Value) -> tuple[Value, ...]:
    if not node.get("is_test", 0):
        raise NotImplementedError("expected is_test=1, got 0: statistics of the input, which training has")
    return values


@_old("Reshape")
def shape_from_attribute(node: Any, x: Value, sizes: Value = None) -> tuple[Value, ...]:
    return x, np.asarray(node.get("shape"), np.int64) if sizes is None else sizes


@_old("Cast")
def dtype_by_name(node: Any, x: Value) -> tuple[Value, ...]:
    if isinstance(node.get("to"), str):
        node.attributes["to"] = need_onnx().TensorProto.DataType.Value(node.get("to"))
    return (x,)


@_old("Upsample")
def scales_of_planes(node: Any, x: Value) -> tuple[Value, ...]:
    return x, np.asarray((1, 1, node.get("height_scale"), node.get("width_scale")), np.float32)


@_old("Tile")
def tiles_along_axis(node: Any, x: Value, repeats: Value, axis: Value = None) -> tuple[Value, ...]:
    if axis is None:
        return x, repeats
    place = axis_of(int(number(axis)), x.ndim)
    return x, np.asarray([int(number(repeats)) if i == place else 1 for i in range(x.ndim)], np.int64)


@_old("Pad")
def pads_by_old_name(node: Any, x: Value) -> tuple[Value, ...]:
    node.attributes.setdefault("pads", node.get("paddings"))
    return (x,)


@_old("Selu")
def rounded_numbers(node: Any, x: Value) -> tuple[Value, ...]:
    node.attributes.setdefault("alpha", 1.6732)
    node.attributes.setdefault("gamma", 1.0507)
    return (x,)
