"""Regions of interest (RoIs): checks that RoI pooling and RoIAlign share. A RoI is (image, x1, y1, x2, y2)."""

from __future__ import annotations

import math

import numpy as np

from .checks import Shape, expect, expect_float, expect_ndim, expect_same_dtype, expect_shape, number

Array = np.ndarray
_LARGEST = 2**31 - 1
FAR = 2.0**30  # cells from the map's corner at which a RoI counts as infinite


def check_map(op: str, shape: Shape) -> None:
    expect(len(shape) == 4, ValueError, op, "input of shape (N, C, H, W)", f"shape {tuple(shape)}")
    h, w = shape[2:]
    expect(h >= 1 and w >= 1, ValueError, op, "planes with elements", f"{h} x {w}")
    expect(h * w <= _LARGEST, ValueError, op, "planes of less than 2^31 elements", f"{h} x {w}")


def check_rois(op: str, rois: Array, dtype: np.dtype) -> None:
    expect_same_dtype(op, "rois", rois, dtype)
    expect(rois.ndim == 2 and rois.shape[1] == 5, ValueError, op, "rois of shape (K, 5)", f"shape {rois.shape}")


def check_bins(op: str, output_size: Shape, spatial_scale: float) -> None:
    sizes = tuple(output_size)
    expect(len(sizes) == 2, ValueError, op, "output_size of two integers", sizes)
    inside = all(1 <= n <= _LARGEST for n in sizes)
    expect(inside, ValueError, op, "output_size of at least 1 and below 2^31", sizes)
    scale = spatial_scale > 0 and math.isfinite(spatial_scale)
    expect(scale, ValueError, op, "a finite spatial_scale above 0", number(spatial_scale))


def images_of(op: str, rois: Array, images: int) -> list[int]:
    """The image of each RoI, without its fraction."""
    for k, image in enumerate(rois[:, 0]):
        known = -1 < image < images
        expect(known, IndexError, op, f"images of rois in [0, {images})", f"another one in roi {k}")
    return [int(image) for image in rois[:, 0]]


def check_gradient(op: str, grad: Array, rois: Array, input_shape: Shape) -> None:
    expect_float(op, "grad", grad)
    expect_ndim(op, "grad", grad, 4)
    check_map(op, input_shape)
    check_rois(op, rois, grad.dtype)
    check_bins(op, grad.shape[2:], 1.0)
    expect_shape(op, "grad", grad, (len(rois), input_shape[1], *grad.shape[2:]))
