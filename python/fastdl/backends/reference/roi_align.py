"""RoIAlign: the average of bilinear samples in each bin of a region of interest.

The weight of a cell in a bin is the product of its weight along y and its weight along x.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .checks import Shape, expect_float, quiet
from .rois import FAR, check_bins, check_gradient, check_map, check_rois, images_of

Array = np.ndarray
Pair = tuple[int, int]
Weights = list[tuple[Array, Array]]  # of each bin: cells, and their weights


def _axis(low: Array, high: Array, bins: int, size: int, scale: float, ratio: int, aligned: bool) -> Weights:
    """The cells that the bins read along one axis of `size` cells."""
    dtype = low.dtype.type
    with quiet():
        start, end = (dtype(v * dtype(scale) - dtype(0.5 if aligned else 0)) for v in (low, high))
    nothing = [(np.zeros(0, int), np.zeros(0, dtype))] * bins
    if not (abs(start) < FAR and abs(end) < FAR):
        return nothing
    width = (end - start if aligned else max(end - start, dtype(1))) / dtype(bins)
    samples = ratio if ratio > 0 else int(np.ceil(width))
    if samples <= 0:
        return nothing
    return [_bin(start + dtype(b) * width, width, samples, size) for b in range(bins)]


def _bin(base: np.floating, width: np.floating, samples: int, size: int) -> tuple[Array, Array]:
    """One bin: samples more than a cell outside count as zero, others are bilinear, at the border if need be."""
    dtype = base.dtype.type
    points = base + (np.arange(samples, dtype=dtype) + dtype(0.5)) * width / dtype(samples)
    points = np.clip(points[(points >= -1) & (points <= size)], 0, size - 1)
    left = np.floor(points).astype(int)
    fraction = points - left.astype(dtype)
    inner = left < size - 1
    cells = np.concatenate([left, left[inner] + 1])
    shares = np.concatenate([1 - fraction, fraction[inner]]) / dtype(samples)
    found, place = np.unique(cells, return_inverse=True)
    weights = np.zeros(len(found), dtype)
    np.add.at(weights, place, shares)
    return found, weights


def _bins_of(
    rois: Array, shape: Shape, output_size: Pair, scale: float, ratio: int, aligned: bool
) -> Iterator[tuple[int, int, int, Array, Array, Array]]:
    """(roi, row of bins, column of bins, cells y, cells x, weights (y, x)) of every bin."""
    for k, (_, x1, y1, x2, y2) in enumerate(rois):
        columns = _axis(x1, x2, output_size[1], shape[3], scale, ratio, aligned)
        for i, (ys, wy) in enumerate(_axis(y1, y2, output_size[0], shape[2], scale, ratio, aligned)):
            for j, (xs, wx) in enumerate(columns):
                yield k, i, j, ys, xs, wy[:, None] * wx


def roi_align(
    x: Array, rois: Array, output_size: Pair, spatial_scale: float, sampling_ratio: int, aligned: bool
) -> Array:
    op = "roi_align"
    expect_float(op, "input", x)
    check_map(op, x.shape)
    check_rois(op, rois, x.dtype)
    check_bins(op, output_size, spatial_scale)
    images = images_of(op, rois, x.shape[0])
    out = np.zeros((len(rois), x.shape[1], *output_size), x.dtype)
    bins = _bins_of(rois, x.shape, output_size, spatial_scale, sampling_ratio, aligned)
    with quiet():
        for k, i, j, ys, xs, weights in bins:
            out[k, :, i, j] = (x[images[k]][:, ys[:, None], xs] * weights).sum((1, 2))
    return out


def roi_align_bwd(
    grad: Array, rois: Array, input_shape: Shape, spatial_scale: float, sampling_ratio: int, aligned: bool
) -> Array:
    op = "roi_align_bwd"
    check_gradient(op, grad, rois, input_shape)
    check_bins(op, grad.shape[2:], spatial_scale)
    images = images_of(op, rois, input_shape[0])
    out = np.zeros(input_shape, grad.dtype)
    bins = _bins_of(rois, input_shape, grad.shape[2:], spatial_scale, sampling_ratio, aligned)
    with quiet():
        for k, i, j, ys, xs, weights in bins:
            out[images[k]][:, ys[:, None], xs] += grad[k, :, i, j, None, None] * weights
    return out
