"""Maximum over windows of each plane, with the position of the maximum. Padding counts as minus infinity."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .checks import Shape, checked_dtype, expect, expect_array, expect_float, expect_ndim, expect_shape

Array = np.ndarray
Pair = tuple[int, int]


def _out_size(size: int, kernel: int, stride: int, pad: int, dilation: int, ceil_mode: bool) -> int:
    """PyTorch's rule: in ceil mode the last window must still start inside the input or its left padding."""
    room = size + 2 * pad - dilation * (kernel - 1) - 1
    out = -(-room // stride) + 1 if ceil_mode else room // stride + 1
    if ceil_mode and (out - 1) * stride >= size + pad:
        out -= 1
    return max(out, 0)


_LARGEST = 2**31 - 1  # of an attribute, and of a plane: indices are int32


def _check_pair(op: str, what: str, values: Shape, least: int) -> None:
    values = tuple(values)
    expect(len(values) == 2, ValueError, op, f"{what} of two integers", values)
    inside = all(least <= v <= _LARGEST for v in values)
    expect(inside, ValueError, op, f"{what} of at least {least} and below 2^31", values)


def _check_attributes(op: str, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> None:
    _check_pair(op, "kernel_size", kernel, 1)
    _check_pair(op, "stride", stride, 1)
    _check_pair(op, "padding", padding, 0)
    _check_pair(op, "dilation", dilation, 1)
    half = all(p <= k // 2 for p, k in zip(padding, kernel, strict=True))
    expect(half, ValueError, op, f"padding of at most half the kernel {tuple(kernel)}", f"padding {tuple(padding)}")


def _check_index_dtype(op: str, dtype: np.dtype) -> None:
    expect(dtype.name in ("int32", "int64"), TypeError, op, "indices of dtype int32 or int64", dtype)


def _check_plane(op: str, h: int, w: int) -> None:
    expect(h > 0 and w > 0, ValueError, op, "planes with elements", f"{h} x {w}")
    expect(h * w <= _LARGEST, ValueError, op, "planes of less than 2^31 elements", f"{h} x {w}")


def _windows(x: Array, fill: float, out_hw: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """(..., y, x, kernel_h * kernel_w): the elements under each window, with `fill` outside the input."""
    pads = [(0, 0)] * (x.ndim - 2)
    for size, out, k, s, p, d in zip(x.shape[-2:], out_hw, kernel, stride, padding, dilation, strict=True):
        reach = (out - 1) * s + d * (k - 1) + 1  # of the last window, which ceil mode may push past the padding
        pads.append((p, max(reach - size - p, 0)))
    padded = np.pad(x, pads, constant_values=fill)
    extent = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    windows = sliding_window_view(padded, extent, axis=(-2, -1))
    windows = windows[..., :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    windows = windows[..., : out_hw[0], : out_hw[1], :, :]
    return windows.reshape(*windows.shape[:-2], kernel[0] * kernel[1])


def max_pool2d(
    x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool, indices: str | None
) -> tuple[Array, Array | None]:
    op = "max_pool2d"
    expect_array(op, "input", x)
    expect_ndim(op, "input", x, 4)
    expect_float(op, "input", x)
    _check_attributes(op, kernel, stride, padding, dilation)
    if indices:
        _check_index_dtype(op, checked_dtype(indices))
    _check_plane(op, *x.shape[2:])
    in_h, in_w = x.shape[2:]
    out_h = _out_size(in_h, kernel[0], stride[0], padding[0], dilation[0], ceil_mode)
    out_w = _out_size(in_w, kernel[1], stride[1], padding[1], dilation[1], ceil_mode)
    expected = "a plane that holds a window of "
    expected += f"kernel {tuple(kernel)}, dilation {tuple(dilation)}, padding {tuple(padding)}"
    expect(out_h > 0 and out_w > 0, ValueError, op, expected, f"shape {x.shape}")

    geometry = ((out_h, out_w), kernel, stride, padding, dilation)
    windows = _windows(x, -np.inf, *geometry)
    inside = _windows(np.ones((in_h, in_w), bool), False, *geometry)
    first_inside = np.broadcast_to(inside.argmax(-1), windows.shape[:-1])
    winner = windows.argmax(-1)  # the first maximum
    nan = np.isnan(windows)
    last_nan = windows.shape[-1] - 1 - nan[..., ::-1].argmax(-1)
    winner = np.where(nan.any(-1), last_nan, winner)  # NaN beats numbers, and the last of several wins, as in PyTorch
    out = np.take_along_axis(windows, winner[..., None], -1)[..., 0].copy()
    winner = np.where(out == -np.inf, first_inside, winner)  # an input of minus infinity is not padding
    if not indices:
        return out, None
    start_y = np.arange(out_h)[:, None] * stride[0] - padding[0]
    start_x = np.arange(out_w) * stride[1] - padding[1]
    index = (start_y + winner // kernel[1] * dilation[0]) * in_w + start_x + winner % kernel[1] * dilation[1]
    # Dilation can make a window of nothing but padding, which is given the first row or the last column.
    top, left = _first_inside(start_y, dilation[0]), _first_inside(start_x, dilation[1])
    nearest = np.where(top < in_h, top, 0) * in_w + np.minimum(left, in_w - 1)
    return out, np.where(inside.any(-1), index, nearest).astype(indices)


def _first_inside(start: Array, dilation: int) -> Array:
    """The first tap of a window at or after 0."""
    return np.where(start < 0, start % dilation, start)


def _check_grad_size(
    op: str, grad: Array, input_hw: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> None:
    """Each axis has the size of floor or of ceil mode."""
    for i in (0, 1):
        low, high = (
            _out_size(input_hw[i], kernel[i], stride[i], padding[i], dilation[i], mode) for mode in (False, True)
        )
        sizes = f"{low}" if low == high else f"{low} or {high}"
        expected = f"grad of size {sizes} on axis {2 + i} for an input of {tuple(input_hw)}"
        expect(grad.shape[2 + i] in (low, high), ValueError, op, expected, f"shape {grad.shape}")


def max_pool2d_bwd(
    grad: Array, indices: Array, input_hw: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    """Each window's gradient goes to the element that was its maximum."""
    op = "max_pool2d_bwd"
    expect_array(op, "grad", grad)
    expect_ndim(op, "grad", grad, 4)
    expect_float(op, "grad", grad)
    expect_array(op, "indices", indices)
    _check_index_dtype(op, indices.dtype)
    expect_shape(op, "indices", indices, grad.shape)
    _check_attributes(op, kernel, stride, padding, dilation)
    _check_pair(op, "input_hw", input_hw, 0)
    _check_plane(op, *input_hw)
    _check_grad_size(op, grad, input_hw, kernel, stride, padding, dilation)
    planes, plane_size = grad.shape[0] * grad.shape[1], input_hw[0] * input_hw[1]
    outside = np.flatnonzero((indices < 0) | (indices >= plane_size))
    expected = f"indices into a plane of {plane_size} elements"
    if outside.size:
        expect(False, IndexError, op, expected, f"one outside it at position {outside[0]}")
    out = np.zeros((planes, plane_size), grad.dtype)
    rows = np.repeat(np.arange(planes), grad.shape[2] * grad.shape[3])
    np.add.at(out, (rows, indices.reshape(-1)), grad.reshape(-1))
    return out.reshape(*grad.shape[:2], *input_hw)
