"""Reductions over axes. `axes` is sorted, non-negative and without repetition; empty means a copy."""

from __future__ import annotations

import math

import numpy as np

from .checks import FLOATS, NUMBERS, Shape, expect, expect_array, quiet
from .elementwise import listed

Array = np.ndarray


def _check(op: str, x: Array, axes: Shape, dtypes: tuple[str, ...]) -> Shape:
    expect_array(op, "input", x)
    expect(x.dtype.name in dtypes, TypeError, op, f"input of dtype {listed(dtypes)}", x.dtype)
    for axis in axes:
        expect(0 <= axis < x.ndim, IndexError, op, f"an axis in [0, {x.ndim})", axis)
    return tuple(axes)


def _kept(x: Array, axes: Shape) -> Shape:
    """The shape of the result with one element along each reduced axis."""
    return tuple(1 if i in axes else n for i, n in enumerate(x.shape))


def _check_not_empty(op: str, x: Array, axes: Shape) -> None:
    elements = math.prod(x.shape[axis] for axis in axes)
    expect(elements > 0, ValueError, op, "at least one element to reduce", f"shape {x.shape}")


def sum(x: Array, axes: Shape, keepdim: bool) -> Array:
    axes = _check("sum", x, axes, NUMBERS)
    with quiet():
        return np.asarray(x.sum(axis=axes, keepdims=keepdim, dtype=x.dtype))


def mean(x: Array, axes: Shape, keepdim: bool) -> Array:
    axes = _check("mean", x, axes, FLOATS)
    count = x.dtype.type(math.prod(x.shape[axis] for axis in axes))
    with quiet():
        return np.asarray(sum(x, axes, keepdim) / count)  # NaN of no elements


def amax(x: Array, axes: Shape, keepdim: bool) -> Array:
    axes = _check("amax", x, axes, NUMBERS)
    _check_not_empty("amax", x, axes)
    return np.array(x.max(axis=axes, keepdims=keepdim)) if axes else x.copy()


def amin(x: Array, axes: Shape, keepdim: bool) -> Array:
    axes = _check("amin", x, axes, NUMBERS)
    _check_not_empty("amin", x, axes)
    return np.array(x.min(axis=axes, keepdims=keepdim)) if axes else x.copy()


def argmax(x: Array, axis: int, keepdim: bool) -> Array:
    _check("argmax", x, (axis,), NUMBERS)
    _check_not_empty("argmax", x, (axis,))
    return np.asarray(np.argmax(x, axis=axis, keepdims=keepdim), dtype=np.int64)  # the first; NaN beats numbers


def argmin(x: Array, axis: int, keepdim: bool) -> Array:
    _check("argmin", x, (axis,), NUMBERS)
    _check_not_empty("argmin", x, (axis,))
    return np.asarray(np.argmin(x, axis=axis, keepdims=keepdim), dtype=np.int64)
