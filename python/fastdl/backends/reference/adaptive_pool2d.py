"""Mean and maximum over a given number of windows that cover each plane."""

from __future__ import annotations

import math

import numpy as np

from .checks import expect_array, expect_float, expect_ndim, expect_shape
from .pool_windows import added_at, check_index_dtype, check_pair, check_plane

Array = np.ndarray
Pair = tuple[int, int]


def _segments(size: int, out: int) -> list[slice]:
    """Windows from the floor of their start to the ceiling of their end: neighbours may share an element."""
    return [slice(o * size // out, math.ceil((o + 1) * size / out)) for o in range(out)]


def _check(op: str, what: str, a: Array, size_name: str, hw: Pair) -> None:
    expect_ndim(op, what, a, 4)
    expect_float(op, what, a)
    check_pair(op, size_name, hw, 0)


def adaptive_avg_pool2d(x: Array, output_hw: Pair) -> Array:
    op = "adaptive_avg_pool2d"
    _check(op, "input", x, "output_size", output_hw)
    check_plane(op, *x.shape[2:])
    out = np.empty((*x.shape[:2], *output_hw), x.dtype)
    for i, rows in enumerate(_segments(x.shape[2], output_hw[0])):
        for j, columns in enumerate(_segments(x.shape[3], output_hw[1])):
            out[:, :, i, j] = x[:, :, rows, columns].mean((2, 3))
    return out


def adaptive_avg_pool2d_bwd(grad: Array, input_hw: Pair) -> Array:
    op = "adaptive_avg_pool2d_bwd"
    _check(op, "grad", grad, "input_hw", input_hw)
    check_plane(op, *input_hw)
    out = np.zeros((*grad.shape[:2], *input_hw), grad.dtype)
    for i, rows in enumerate(_segments(input_hw[0], grad.shape[2])):
        for j, columns in enumerate(_segments(input_hw[1], grad.shape[3])):
            elements = (rows.stop - rows.start) * (columns.stop - columns.start)
            out[:, :, rows, columns] += (grad[:, :, i, j] / elements)[:, :, None, None]
    return out


def adaptive_max_pool2d(x: Array, output_hw: Pair) -> tuple[Array, Array]:
    op = "adaptive_max_pool2d"
    _check(op, "input", x, "output_size", output_hw)
    check_plane(op, *x.shape[2:])
    out = np.empty((*x.shape[:2], *output_hw), x.dtype)
    indices = np.empty(out.shape, np.int64)
    places = np.arange(x.shape[2] * x.shape[3]).reshape(x.shape[2:])
    for i, rows in enumerate(_segments(x.shape[2], output_hw[0])):
        for j, columns in enumerate(_segments(x.shape[3], output_hw[1])):
            window = x[:, :, rows, columns].reshape(*x.shape[:2], places[rows, columns].size)
            nan = np.isnan(window)
            last_nan = window.shape[-1] - 1 - nan[..., ::-1].argmax(-1)
            winner = np.where(nan.any(-1), last_nan, window.argmax(-1))  # the last NaN, else the first maximum
            out[:, :, i, j] = np.take_along_axis(window, winner[..., None], -1)[..., 0]
            indices[:, :, i, j] = places[rows, columns].reshape(-1)[winner]
    return out, indices


def adaptive_max_pool2d_bwd(grad: Array, indices: Array, input_hw: Pair) -> Array:
    op = "adaptive_max_pool2d_bwd"
    _check(op, "grad", grad, "input_hw", input_hw)
    check_plane(op, *input_hw)
    expect_array(op, "indices", indices)
    check_index_dtype(op, indices.dtype)
    expect_shape(op, "indices", indices, grad.shape)
    return added_at(op, grad, indices, input_hw)
