"""RoI pooling: the maximum of the cells in each bin of a region of interest, and where it lies."""

from __future__ import annotations

import math

import numpy as np

from .checks import Shape, expect, expect_float, expect_same_dtype, expect_shape
from .rois import FAR, check_bins, check_gradient, check_map, check_rois, images_of

Array = np.ndarray
Pair = tuple[int, int]
_LEAST = float(-np.finfo(np.float32).max)  # as in PyTorch, also for float64


def _rounded(value: float) -> float:
    """To the nearest integer, halves away from zero."""
    return math.copysign(math.floor(abs(value) + 0.5), value)


def _bins(low: np.floating, high: np.floating, scale: np.floating, bins: int, size: int) -> list[range]:
    """The cells of each bin along one axis; neighbours may share one."""
    start, end = float(low * scale), float(high * scale)
    if not (abs(start) < FAR and abs(end) < FAR):
        return [range(0)] * bins
    first = int(_rounded(start))
    width = scale.dtype.type(max(int(_rounded(end)) - first + 1, 1)) / scale.dtype.type(bins)
    cells = []
    for b in range(bins):
        begin = first + math.floor(scale.dtype.type(b) * width)
        stop = first + math.ceil(scale.dtype.type(b + 1) * width)
        cells.append(range(min(max(begin, 0), size), min(max(stop, 0), size)))
    return cells


def _maximum(x: Array, rows: range, columns: range) -> tuple[Array, Array]:
    """The maximum of each channel of x (C, H, W) over some cells and its position; NaN is never one."""
    channels, h, w = x.shape
    if not len(rows) or not len(columns):
        return np.zeros(channels, x.dtype), np.full(channels, -1, np.int32)
    positions = np.array([row * w + column for row in rows for column in columns])
    values = x.reshape(channels, h * w)[:, positions]
    values = np.where(values > _LEAST, values, -np.inf)  # what never wins
    first = values.argmax(1)
    best = values.max(1)
    found = best > -np.inf
    best = np.where(found, best, _LEAST)
    return best.astype(x.dtype), np.where(found, positions[first], -1).astype(np.int32)


def roi_pool(
    x: Array, rois: Array, output_size: Pair, spatial_scale: float, indices: bool
) -> tuple[Array, Array | None]:
    op = "roi_pool"
    expect_float(op, "input", x)
    check_map(op, x.shape)
    check_rois(op, rois, x.dtype)
    check_bins(op, output_size, spatial_scale)
    images = images_of(op, rois, x.shape[0])
    out = np.empty((len(rois), x.shape[1], *output_size), x.dtype)
    where = np.empty(out.shape, np.int32)
    scale = x.dtype.type(spatial_scale)
    for k, image in enumerate(images):
        _, x1, y1, x2, y2 = rois[k]
        columns = _bins(x1, x2, scale, output_size[1], x.shape[3])
        for i, rows in enumerate(_bins(y1, y2, scale, output_size[0], x.shape[2])):
            for j, cells in enumerate(columns):
                out[k, :, i, j], where[k, :, i, j] = _maximum(x[image], rows, cells)
    return out, where if indices else None


def roi_pool_bwd(grad: Array, rois: Array, indices: Array, input_shape: Shape) -> Array:
    """Each bin's gradient goes to the cell that was its maximum."""
    op = "roi_pool_bwd"
    check_gradient(op, grad, rois, input_shape)
    expect_same_dtype(op, "indices", indices, np.dtype(np.int32))
    expect_shape(op, "indices", indices, grad.shape)
    images = images_of(op, rois, input_shape[0])
    plane = input_shape[2] * input_shape[3]
    outside = np.flatnonzero((indices < -1) | (indices >= plane))
    if outside.size:
        expected = f"indices of -1 or into a plane of {plane} elements"
        expect(False, IndexError, op, expected, f"another one at position {outside[0]}")
    out = np.zeros((*input_shape[:2], plane), grad.dtype)
    for k, image in enumerate(images):
        channel, i, j = np.nonzero(indices[k] >= 0)
        np.add.at(out[image], (channel, indices[k, channel, i, j]), grad[k, channel, i, j])
    return out.reshape(input_shape)
