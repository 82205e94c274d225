"""Order along an axis: sorting, the first k, the k-th, places in sorted sequences, groups of equal numbers."""

from __future__ import annotations

import numpy as np

from .checks import expect, expect_array, expect_float, expect_ndim, expect_same_dtype, expect_shape

Array = np.ndarray
_INT64 = np.dtype(np.int64)


def _check(op: str, x: Array, axis: int, bools: bool = False) -> None:
    expect_array(op, "input", x)
    if not bools:
        _check_not_bool(op, "input", x)
    expect(0 <= axis < x.ndim, IndexError, op, f"an axis from 0 to {x.ndim - 1}", axis)


def _check_not_bool(op: str, what: str, x: Array) -> None:
    expect(x.dtype != np.bool_, TypeError, op, f"{what} of dtype float32, float64, int32, int64 or uint8", x.dtype)


def _order(x: Array, axis: int, descending: bool) -> Array:
    """Indices in order: NaN after all numbers, equals by index, in descending order too."""
    if not descending:
        return np.argsort(x, axis, kind="stable")
    # Backwards twice, so that equals keep their order.
    backwards = np.flip(np.argsort(np.flip(x, axis), axis, kind="stable"), axis)
    return np.ascontiguousarray(x.shape[axis] - 1 - backwards)


def sort(x: Array, axis: int, descending: bool) -> tuple[Array, Array]:
    _check("sort", x, axis, bools=True)
    indices = _order(x, axis, descending)
    return np.take_along_axis(x, indices, axis), indices


def argsort(x: Array, axis: int, descending: bool) -> Array:
    _check("argsort", x, axis, bools=True)
    return _order(x, axis, descending)


def topk(x: Array, k: int, axis: int, largest: bool) -> tuple[Array, Array]:
    """The first k of the order."""
    _check("topk", x, axis)
    expect(0 <= k <= x.shape[axis], ValueError, "topk", f"k from 0 to {x.shape[axis]}", k)
    indices = np.ascontiguousarray(np.take(_order(x, axis, largest), np.arange(k), axis))
    return np.take_along_axis(x, indices, axis), indices


def _chosen(op: str, x: Array, axis: int, ranks: Array) -> tuple[Array, Array]:
    """Those whose places in the order are `ranks`, of shape 1 along the axis."""
    indices = np.take_along_axis(_order(x, axis, False), ranks, axis)
    return np.take_along_axis(x, indices, axis), indices


def _nothing(op: str, x: Array, axis: int) -> tuple[Array, Array] | None:
    """The result for lines without numbers, if these have none."""
    shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    some = x.shape[axis] > 0
    expect(some or 0 in shape, IndexError, op, "at least one element along the axis", f"shape {x.shape}")
    return None if some else (np.empty(shape, x.dtype), np.empty(shape, np.int64))


def kthvalue(x: Array, k: int, axis: int) -> tuple[Array, Array]:
    """The k-th smallest, from 1 on."""
    op = "kthvalue"
    _check(op, x, axis)
    size = x.shape[axis]
    expect(size == 0 or 1 <= k <= size, ValueError, op, f"k from 1 to {size}", k)
    shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    return _nothing(op, x, axis) or _chosen(op, x, axis, np.full(shape, k - 1))


def median(x: Array, axis: int, ignore_nan: bool) -> tuple[Array, Array]:
    """The lower of two middle numbers; the first NaN where there is one, or the median of the others."""
    op = "nanmedian" if ignore_nan else "median"
    _check(op, x, axis)
    nothing = _nothing(op, x, axis)
    if nothing:
        return nothing
    numbers = (x == x).sum(axis, keepdims=True)
    if ignore_nan:
        return _chosen(op, x, axis, np.maximum(numbers - 1, 0) // 2)
    return _chosen(op, x, axis, np.where(numbers < x.shape[axis], numbers, (x.shape[axis] - 1) // 2))


def chosen_bwd(grad: Array, indices: Array, axis: int, size: int) -> Array:
    """Zeros of `size` along the axis, and the gradients at their indices."""
    op = "chosen_bwd"
    expect_float(op, "grad", grad)
    expect(0 <= axis < grad.ndim, IndexError, op, f"an axis from 0 to {grad.ndim - 1}", axis)
    expect_same_dtype(op, "indices", indices, _INT64)
    expect_shape(op, "indices", indices, grad.shape)
    least = grad.shape[axis]
    expect(size >= least, ValueError, op, f"size of at least {least}", size)
    _check_inside(op, indices, size)
    out = np.zeros((*grad.shape[:axis], size, *grad.shape[axis + 1 :]), grad.dtype)
    np.put_along_axis(out, indices, grad, axis)
    return out


def _check_inside(op: str, indices: Array, n: int) -> None:
    flat = indices.reshape(-1)
    outside = np.flatnonzero((flat < 0) | (flat >= n))
    if outside.size:
        expect(False, IndexError, op, f"indices in [0, {n})", f"{flat[outside[0]]} at position {outside[0]}")


def searchsorted(sorted: Array, x: Array, right: bool) -> Array:
    """How many numbers of a sequence (all of them, or that of x's row) lie below x, or (right) not above."""
    op = "searchsorted"
    expect_array(op, "sorted_sequence", sorted)
    _check_not_bool(op, "sorted_sequence", sorted)
    expect_same_dtype(op, "input", x, sorted.dtype)
    expect(sorted.ndim >= 1, ValueError, op, "sorted_sequence with at least 1 dimension", "shape ()")
    if sorted.ndim == 1:
        return np.asarray(_places(sorted, x, right), np.int64)
    fits = x.ndim == sorted.ndim and x.shape[:-1] == sorted.shape[:-1]
    expect(fits, ValueError, op, f"input of shape {sorted.shape} except along the last axis", f"shape {x.shape}")
    out = np.empty(x.shape, np.int64)
    for row in np.ndindex(x.shape[:-1]):
        out[row] = _places(sorted[row], x[row], right)
    return out


def _places(sorted: Array, x: Array, right: bool) -> Array:
    return np.searchsorted(sorted, x, "right") if right else np.searchsorted(sorted, x)


def group_equal(sorted: Array, indices: Array | None) -> tuple[Array | None, Array]:
    """Of sorted numbers, and the indices that they had: the group of equals of each index, and where groups begin."""
    op = "group_equal"
    expect_array(op, "sorted", sorted)
    expect_ndim(op, "sorted", sorted, 1)
    begins = np.ones(sorted.size, bool)
    begins[1:] = sorted[1:] != sorted[:-1]
    if indices is None:
        return None, np.flatnonzero(begins)
    expect_same_dtype(op, "indices", indices, _INT64)
    expect_shape(op, "indices", indices, sorted.shape)
    _check_inside(op, indices, sorted.size)
    inverse = np.zeros(sorted.size, np.int64)
    inverse[indices] = np.cumsum(begins) - 1
    return inverse, np.flatnonzero(begins)
