"""Reductions over axes. `axes` is sorted, non-negative and without repetition; empty means a copy."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .checks import NUMBERS, Shape, expect, expect_array, expect_float, expect_same_dtype, quiet
from .elementwise_unary import listed

Array = np.ndarray


def _check_number(op: str, x: Array) -> None:
    expect_array(op, "x", x)
    expect(x.dtype.name in NUMBERS, TypeError, op, f"x of dtype {listed(NUMBERS)}", x.dtype)


def _checked_axes(op: str, x: Array, axes: Shape) -> Shape:
    axes = tuple(axes)
    for before, axis in zip((-1, *axes), axes, strict=False):
        expect(0 <= axis < x.ndim, IndexError, op, f"axes from 0 to {x.ndim - 1}", axes)
        expect(axis > before, ValueError, op, "sorted axes without repetition", axes)
    return axes


def _check_elements(op: str, what: str, x: Array, axes: Shape) -> None:
    """An extreme needs elements, unless the result has none either."""
    out = math.prod(n for i, n in enumerate(x.shape) if i not in axes)
    expect(x.size > 0 or out == 0, ValueError, op, f"at least one element along the {what}", f"shape {x.shape}")


def sum(x: Array, axes: Shape, keepdim: bool) -> Array:
    _check_number("sum", x)
    axes = _checked_axes("sum", x, axes)
    with quiet():
        return np.asarray(x.sum(axis=axes, keepdims=keepdim, dtype=x.dtype))


def mean(x: Array, axes: Shape, keepdim: bool) -> Array:
    _check_number("mean", x)
    expect_float("mean", "x", x)
    axes = _checked_axes("mean", x, axes)
    count = x.dtype.type(math.prod(x.shape[axis] for axis in axes))
    with quiet():
        return np.asarray(sum(x, axes, keepdim) / count)  # NaN of no elements


def squared_deviations(x: Array, center: Array | None, axes: Shape, keepdim: bool) -> Array:
    op = "squared_deviations"
    expect_array(op, "x", x)
    expect_float(op, "x", x)
    axes = _checked_axes(op, x, axes)
    if center is None:
        center = np.zeros((), x.dtype)
    else:
        kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
        expect_array(op, "center", center)
        expect(center.dtype == x.dtype, TypeError, op, f"center of dtype {x.dtype}", center.dtype)
        expect(center.size == math.prod(kept), ValueError, op, f"center of {math.prod(kept)} elements",
               f"shape {center.shape}")  # fmt: skip
        center = center.reshape(kept)
    with quiet():
        return sum(np.asarray((x - center) ** 2), axes, keepdim)


def prod(x: Array, axes: Shape, keepdim: bool) -> Array:
    _check_number("prod", x)
    axes = _checked_axes("prod", x, axes)
    with quiet():
        return np.asarray(x.prod(axis=axes, keepdims=keepdim, dtype=x.dtype))


def histogram(x: Array, bins: int, low: float, high: float) -> Array:
    _check_number("histogram", x)
    expect(1 <= bins < 2**31 - 1, ValueError, "histogram", f"bins from 1 to {2**31 - 2}", bins)
    if x.dtype.kind == "f":
        expect(low < high, ValueError, "histogram", "low < high", f"{low:g} and {high:g}")
        kind = x.dtype.type
        inside = x[(x >= kind(low)) & (x <= kind(high))]
        places = np.minimum(((inside - kind(low)) * kind(bins / (high - low))).astype(np.int64), bins - 1)
    else:
        places = x[(x >= 0) & (x < bins)]
    return np.bincount(places.ravel(), minlength=bins).astype(np.int64)


def prod_bwd(grad: Array, x: Array, out: Array, axis: int) -> Array:
    """grad times the product of the other elements along the axis: out / x, but for elements that are 0."""
    op = "prod_bwd"
    expect_array(op, "x", x)
    expect_float(op, "x", x)
    expect(0 <= axis < x.ndim, IndexError, op, f"an axis from 0 to {x.ndim - 1}", axis)
    kept = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    for what, a in (("grad", grad), ("out", out)):
        expect_same_dtype(op, what, a, x.dtype)
        expect(a.size == math.prod(kept), ValueError, op, f"{what} of {math.prod(kept)} elements", f"shape {a.shape}")
    zero = x == 0
    with quiet():
        share = np.where(zero, 1, x).prod(axis, keepdims=True, dtype=x.dtype)
        zeros = zero.sum(axis, keepdims=True)
        share = grad.reshape(kept) * np.where(zeros == 0, out.reshape(kept), share)
        return np.where(zeros == zero, share / np.where(zero, 1, x), 0).astype(x.dtype)


def _extreme(op: str, f: Callable, x: Array, axes: Shape, keepdim: bool) -> Array:
    _check_number(op, x)
    axes = _checked_axes(op, x, axes)
    _check_elements(op, "axes", x, axes)
    if x.size == 0 or not axes:
        return sum(x, axes, keepdim)  # no elements either, or a copy
    return np.array(f(x, axis=axes, keepdims=keepdim))


def _arg_extreme(op: str, f: Callable, x: Array, axis: int, keepdim: bool) -> Array:
    """The first of equal elements; NaN beats numbers."""
    _check_number(op, x)
    expect(0 <= axis < x.ndim, IndexError, op, f"an axis from 0 to {x.ndim - 1}", axis)
    _check_elements(op, "axis", x, (axis,))
    if x.size == 0:
        return sum(x, (axis,), keepdim).astype(np.int64)
    return np.asarray(f(x, axis=axis, keepdims=keepdim), dtype=np.int64)


def amax(x: Array, axes: Shape, keepdim: bool) -> Array:
    return _extreme("amax", np.amax, x, axes, keepdim)


def amin(x: Array, axes: Shape, keepdim: bool) -> Array:
    return _extreme("amin", np.amin, x, axes, keepdim)


def argmax(x: Array, axis: int, keepdim: bool) -> Array:
    return _arg_extreme("argmax", np.argmax, x, axis, keepdim)


def argmin(x: Array, axis: int, keepdim: bool) -> Array:
    return _arg_extreme("argmin", np.argmin, x, axis, keepdim)
