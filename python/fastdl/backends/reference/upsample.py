"""Planes at another size, as products with a matrix of weights along each axis."""

from __future__ import annotations

import numpy as np

from .checks import expect, expect_float, expect_ndim, number
from .pool_windows import check_pair, check_plane

Array = np.ndarray
Pair = tuple[int, int]


def _nearest(size: int, out: int, scale: float) -> Array:
    """(out, size): 1 at the source of each output. PyTorch finds it in single precision, whatever the dtype."""
    places = np.arange(out)
    if out == 2 * size:
        source = places // 2
    elif out == size:
        source = places
    else:
        step = np.float32(1.0 / scale) if scale > 0 else np.float32(size) / np.float32(out)
        source = np.minimum(np.floor(places.astype(np.float32) * step).astype(np.int64), size - 1)
    return np.eye(size)[source]


def _linear(size: int, out: int, align_corners: bool, scale: float) -> Array:
    """(out, size): the weights of the two sources around each output."""
    places = np.arange(out, dtype=np.float64)
    if align_corners:
        at = places * (size - 1) / max(out - 1, 1)
    else:
        at = (places + 0.5) * (1.0 / scale if scale > 0 else size / out) - 0.5
    at = np.clip(at, 0, size - 1)
    low = np.floor(at).astype(np.int64)
    weight = at - low
    eye = np.eye(size)
    return eye[low] * (1 - weight)[:, None] + eye[np.minimum(low + 1, size - 1)] * weight[:, None]


def _check(op: str, what: str, a: Array, name: str, hw: Pair, scales: tuple[float, float]) -> None:
    expect_ndim(op, what, a, 4)
    expect_float(op, what, a)
    check_pair(op, name, hw, 1)
    for scale in scales:
        expect(0 <= scale <= 1e9, ValueError, op, "a scale of at most 1e9, or 0", number(scale))
    check_plane(op, *a.shape[2:])
    check_plane(op, *hw)


def _product(rows: Array, x: Array, columns: Array) -> Array:
    return np.einsum("yi,ncij,xj->ncyx", rows, x.astype(np.float64), columns, optimize=True).astype(x.dtype)


def upsample_nearest2d(x: Array, output_hw: Pair, scale_h: float, scale_w: float) -> Array:
    op = "upsample_nearest2d"
    _check(op, "input", x, "output size", output_hw, (scale_h, scale_w))
    rows, columns = _nearest(x.shape[2], output_hw[0], scale_h), _nearest(x.shape[3], output_hw[1], scale_w)
    return x[:, :, rows.argmax(1)][:, :, :, columns.argmax(1)]


def upsample_nearest2d_bwd(grad: Array, input_hw: Pair, scale_h: float, scale_w: float) -> Array:
    op = "upsample_nearest2d_bwd"
    _check(op, "grad", grad, "input size", input_hw, (scale_h, scale_w))
    rows, columns = _nearest(input_hw[0], grad.shape[2], scale_h), _nearest(input_hw[1], grad.shape[3], scale_w)
    return _product(rows.T, grad, columns.T)


def upsample_bilinear2d(x: Array, output_hw: Pair, align_corners: bool, scale_h: float, scale_w: float) -> Array:
    op = "upsample_bilinear2d"
    _check(op, "input", x, "output size", output_hw, (scale_h, scale_w))
    rows = _linear(x.shape[2], output_hw[0], align_corners, scale_h)
    return _product(rows, x, _linear(x.shape[3], output_hw[1], align_corners, scale_w))


def upsample_bilinear2d_bwd(grad: Array, input_hw: Pair, align_corners: bool, scale_h: float, scale_w: float) -> Array:
    op = "upsample_bilinear2d_bwd"
    _check(op, "grad", grad, "input size", input_hw, (scale_h, scale_w))
    rows = _linear(input_hw[0], grad.shape[2], align_corners, scale_h)
    return _product(rows.T, grad, _linear(input_hw[1], grad.shape[3], align_corners, scale_w).T)
