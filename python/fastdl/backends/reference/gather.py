"""Elements chosen by indices, and places of what is not 0."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .checks import NUMBERS, Shape, expect, expect_array, expect_ndim, expect_same_dtype, expect_shape

Array = np.ndarray
_INT64 = np.dtype(np.int64)


def _check_axis(op: str, x: Array, axis: int) -> None:
    expect_array(op, "input", x)
    expect(0 <= axis < x.ndim, IndexError, op, f"an axis from 0 to {x.ndim - 1}", axis)


def _check_number(op: str, what: str, x: Array) -> None:
    expect_array(op, what, x)
    expect(x.dtype.name in NUMBERS, TypeError, op, f"{what} of dtype float32, float64, int32 or int64", x.dtype)


def _with_size(x: Array, axis: int, size: int) -> Shape:
    return (*x.shape[:axis], size, *x.shape[axis + 1 :])


def _check_inside(op: str, index: Array, n: int) -> None:
    flat = index.reshape(-1)
    outside = np.flatnonzero((flat < 0) | (flat >= n))
    if outside.size:
        expect(False, IndexError, op, f"indices in [0, {n})", f"{flat[outside[0]]} at position {outside[0]}")


# ---- one index for a line --------------------------------------------------------------------------------------------


def _check_line_index(op: str, x: Array, index: Array, axis: int) -> None:
    _check_axis(op, x, axis)
    expect_same_dtype(op, "index", index, _INT64)
    expect_ndim(op, "index", index, 1)


def index_select(x: Array, index: Array, axis: int) -> Array:
    _check_line_index("index_select", x, index, axis)
    _check_inside("index_select", index, x.shape[axis])
    return np.take(x, index, axis)


def index_assign_(x: Array, index: Array, value: Array, axis: int) -> None:
    op = "index_assign_"
    _check_line_index(op, x, index, axis)
    expect_same_dtype(op, "value", value, x.dtype)
    expect_shape(op, "value", value, _with_size(x, axis, index.size))
    _check_inside(op, index, x.shape[axis])
    lines, values = np.moveaxis(x, axis, 0), np.moveaxis(value, axis, 0)
    for j, i in enumerate(index):
        lines[i] = values[j]


def index_add(source: Array, index: Array, axis: int, size: int) -> Array:
    """Zeros of `size` along the axis, and to line index[j] the line j of the source."""
    op = "index_add"
    _check_number(op, "source", source)
    _check_line_index(op, source, index, axis)
    expected = f"source with {index.size} lines on axis {axis}"
    expect(source.shape[axis] == index.size, ValueError, op, expected, f"shape {source.shape}")
    expect(size >= 0, ValueError, op, "size of at least 0", size)
    _check_inside(op, index, size)
    out = np.zeros(_with_size(source, axis, size), source.dtype)
    np.add.at(np.moveaxis(out, axis, 0), index, np.moveaxis(source, axis, 0))
    return out


# ---- an index for each number ----------------------------------------------------------------------------------------


def _check_place_index(op: str, x: Array, index: Array, axis: int) -> None:
    _check_axis(op, x, axis)
    expect_same_dtype(op, "index", index, _INT64)
    fits = index.ndim == x.ndim and index.shape == _with_size(x, axis, index.shape[axis])
    expect(fits, ValueError, op, f"index of shape {x.shape} except along axis {axis}", f"shape {index.shape}")


def gather(x: Array, index: Array, axis: int) -> Array:
    _check_place_index("gather", x, index, axis)
    _check_inside("gather", index, x.shape[axis])
    return np.take_along_axis(x, index, axis)


def _places(index: Array, axis: int) -> tuple[Array, ...]:
    """The coordinates that the indices name, in their order."""
    places = np.indices(index.shape)
    return tuple((index if d == axis else places[d]).reshape(-1) for d in range(index.ndim))


def _check_scatter(op: str, x: Array, index: Array, source: Array, axis: int) -> None:
    _check_place_index(op, x, index, axis)
    expect_same_dtype(op, "source", source, x.dtype)
    expect_shape(op, "source", source, index.shape)
    _check_inside(op, index, x.shape[axis])


def scatter_(x: Array, index: Array, source: Array, axis: int) -> None:
    """Of several sources for one place the last along the axis wins."""
    _check_scatter("scatter_", x, index, source, axis)
    for place, value in zip(zip(*_places(index, axis), strict=True), source.reshape(-1), strict=True):
        x[place] = value


def scatter_add_(x: Array, index: Array, source: Array, axis: int) -> None:
    _check_number("scatter_add_", "input", x)
    _check_scatter("scatter_add_", x, index, source, axis)
    np.add.at(x, _places(index, axis), source.reshape(-1))


# ---- indices ---------------------------------------------------------------------------------------------------------


def linear_index(indices: Sequence[Array], sizes: Shape) -> Array:
    """The place in an array of shape `sizes` that one index for each axis names; negative ones count from the end."""
    op = "linear_index"
    given = 1 <= len(indices) == len(sizes)
    expect(given, ValueError, op, f"one index for each of {len(sizes)} axes, at least one", len(indices))
    for index in indices:
        expect_same_dtype(op, "indices", index, _INT64)
        expect_shape(op, "indices", index, indices[0].shape)
    out = np.zeros(indices[0].shape, np.int64)
    for index, size in zip(indices, sizes, strict=True):
        flat = index.reshape(-1)
        outside = np.flatnonzero((flat < -size) | (flat >= size))
        if outside.size:
            got = f"{flat[outside[0]]} at position {outside[0]}"
            expect(False, IndexError, "index", f"indices in [{-size}, {size - 1}] of an axis of {size}", got)
        out = out * size + np.where(index < 0, index + size, index)
    return np.asarray(out)


def nonzero(x: Array) -> Array:
    """(count, ndim): the coordinates of elements that are not 0, in row-major order."""
    expect_array("nonzero", "x", x)
    return np.argwhere(x).astype(np.int64).reshape(np.count_nonzero(x), x.ndim)
