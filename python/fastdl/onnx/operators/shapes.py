"""Shapes as numbers, and values made from shapes and attributes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...tensor import Tensor
from ..types import array_dtype, held
from .registry import Value, fits, host, ints, number, numpy_dtype, operator

MAX_ELEMENTS = 2**40


def expect_size(sizes: list[int]) -> list[int]:
    if min(sizes, default=0) < 0 or math.prod(sizes) > MAX_ELEMENTS:
        raise ValueError(f"expected sizes that memory can hold, got {sizes}")
    return sizes


@operator("Shape")
def shape(node: Any, x: Value) -> Value:
    return np.asarray(x.shape[node.get("start", 0) : node.get("end")], np.int64)


@operator("Size")
def size(node: Any, x: Value) -> Value:
    return np.asarray(math.prod(x.shape), np.int64)


@operator("Constant")
def constant(node: Any) -> Value:
    for name, kind in (("value", None), ("value_float", np.float32), ("value_int", np.int64),
                       ("value_floats", np.float32), ("value_ints", np.int64),
                       ("value_string", object), ("value_strings", object)):  # fmt: skip
        if name in node.attributes:
            value = node.get(name)
            return value if kind is None else np.asarray(value, kind)
    raise NotImplementedError(f"expected a constant of numbers, got {', '.join(node.attributes)}")


@operator("ConstantOfShape")
def constant_of_shape(node: Any, sizes: Value) -> Value:
    value = node.get("value", np.zeros(1, np.float32))
    return np.full(expect_size(ints(sizes)), value.reshape(-1)[0], value.dtype)


@operator("Range")
def range_(node: Any, start: Value, limit: Value, delta: Value) -> Value:
    first, last, step = (number(v) for v in (start, limit, delta))
    if not step:
        raise ValueError("expected a step other than 0, got 0")
    count = expect_size([max(math.ceil((last - first) / step), 0)])[0]
    return (first + np.arange(count) * step).astype(numpy_dtype(start))


@operator("EyeLike")
def eye_like(node: Any, x: Value) -> Value:
    kind = array_dtype(node.get("dtype")) if "dtype" in node.attributes else numpy_dtype(x)
    rows, columns = x.shape
    return np.eye(rows, columns, node.get("k", 0), held(kind))


def cast(node: Any, x: Value, kind: np.dtype) -> Value:
    """Floats to integers truncate; what is held as float32 is rounded to its own precision."""
    target = held(kind)
    if isinstance(x, Tensor) and target == kind and fits(np.empty(0, target)):
        return x.to(target)
    if target.kind == "O":
        raise NotImplementedError("expected numbers, got strings")
    with np.errstate(all="ignore"):
        return host(x).astype(kind).astype(target)


@operator("Cast")
def cast_to(node: Any, x: Value) -> Value:
    return cast(node, x, array_dtype(node.get("to")))


@operator("CastLike")
def cast_like(node: Any, x: Value, like: Value) -> Value:
    return cast(node, x, numpy_dtype(like))


@operator("OneHot")
def one_hot(node: Any, indices: Value, depth: Value, values: Value) -> Value:
    found, count = host(indices), int(number(depth))
    off, on = host(values).reshape(-1)
    axis = node.get("axis", -1)
    axis = axis if axis >= 0 else axis + found.ndim + 1
    places = np.expand_dims(np.where(found < 0, found + count, found), axis)
    classes = np.arange(count).reshape(-1, *[1] * (found.ndim - axis))
    return np.where(places == classes, on, off).astype(numpy_dtype(values))
