"""Sizes, checks and elements of the windows that max and average pooling share."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .checks import Shape, expect

Array = np.ndarray
Pair = tuple[int, int]


def out_size(size: int, kernel: int, stride: int, pad: int, dilation: int, ceil_mode: bool) -> int:
    """PyTorch's rule: in ceil mode the last window must still start inside the input or its left padding."""
    room = size + 2 * pad - dilation * (kernel - 1) - 1
    out = -(-room // stride) + 1 if ceil_mode else room // stride + 1
    if ceil_mode and (out - 1) * stride >= size + pad:
        out -= 1
    return max(out, 0)


LARGEST = 2**31 - 1  # of an attribute, and of a plane: indices are int32


def check_pair(op: str, what: str, values: Shape, least: int) -> None:
    values = tuple(values)
    expect(len(values) == 2, ValueError, op, f"{what} of two integers", values)
    inside = all(least <= v <= LARGEST for v in values)
    expect(inside, ValueError, op, f"{what} of at least {least} and below 2^31", values)


def check_attributes(op: str, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> None:
    check_pair(op, "kernel_size", kernel, 1)
    check_pair(op, "stride", stride, 1)
    check_pair(op, "padding", padding, 0)
    check_pair(op, "dilation", dilation, 1)
    half = all(p <= k // 2 for p, k in zip(padding, kernel, strict=True))
    expect(half, ValueError, op, f"padding of at most half the kernel {tuple(kernel)}", f"padding {tuple(padding)}")


def check_index_dtype(op: str, dtype: np.dtype) -> None:
    expect(dtype.name in ("int32", "int64"), TypeError, op, "indices of dtype int32 or int64", dtype)


def check_plane(op: str, h: int, w: int) -> None:
    expect(h > 0 and w > 0, ValueError, op, "planes with elements", f"{h} x {w}")
    expect(h * w <= LARGEST, ValueError, op, "planes of less than 2^31 elements", f"{h} x {w}")


def windows(x: Array, fill: float, out_hw: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """(..., y, x, kernel_h * kernel_w): the elements under each window, with `fill` outside the input."""
    pads = [(0, 0)] * (x.ndim - 2)
    for size, out, k, s, p, d in zip(x.shape[-2:], out_hw, kernel, stride, padding, dilation, strict=True):
        reach = (out - 1) * s + d * (k - 1) + 1  # of the last window, which ceil mode may push past the padding
        pads.append((p, max(reach - size - p, 0)))
    padded = np.pad(x, pads, constant_values=fill)
    extent = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    found = sliding_window_view(padded, extent, axis=(-2, -1))
    found = found[..., :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    found = found[..., : out_hw[0], : out_hw[1], :, :]
    return found.reshape(*found.shape[:-2], kernel[0] * kernel[1])


def check_grad_size(
    op: str, grad: Array, input_hw: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> None:
    """A plane with elements, and on each axis the size of floor or of ceil mode."""
    check_pair(op, "input_hw", input_hw, 0)
    check_plane(op, *input_hw)
    for i in (0, 1):
        low, high = (
            out_size(input_hw[i], kernel[i], stride[i], padding[i], dilation[i], mode) for mode in (False, True)
        )
        sizes = f"{low}" if low == high else f"{low} or {high}"
        expected = f"grad of size {sizes} on axis {2 + i} for an input of {tuple(input_hw)}"
        expect(grad.shape[2 + i] in (low, high), ValueError, op, expected, f"shape {grad.shape}")


def check_indices(op: str, indices: Array, plane_size: int) -> None:
    outside = np.flatnonzero((indices < 0) | (indices >= plane_size))
    if outside.size:
        expected = f"indices into a plane of {plane_size} elements"
        expect(False, IndexError, op, expected, f"one outside it at position {outside[0]}")


def added_at(op: str, grad: Array, indices: Array, input_hw: Pair) -> Array:
    """Planes of input_hw, zero but for the gradients, which are added where their indices say."""
    planes, plane_size = grad.shape[0] * grad.shape[1], input_hw[0] * input_hw[1]
    check_indices(op, indices, plane_size)
    out = np.zeros((planes, plane_size), grad.dtype)
    rows = np.repeat(np.arange(planes), grad.shape[2] * grad.shape[3])
    np.add.at(out, (rows, indices.reshape(-1)), grad.reshape(-1))
    return out.reshape(*grad.shape[:2], *input_hw)


def pooled_hw(
    op: str, x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> tuple[int, int]:
    """The size of the output for an input (N, C, H, W)."""
    check_plane(op, *x.shape[2:])
    sizes = zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    out_h, out_w = (out_size(*size, ceil_mode) for size in sizes)
    expected = "a plane that holds a window of "
    expected += f"kernel {tuple(kernel)}, dilation {tuple(dilation)}, padding {tuple(padding)}"
    expect(out_h > 0 and out_w > 0, ValueError, op, expected, f"shape {x.shape}")
    return out_h, out_w
