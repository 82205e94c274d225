"""Maximum over windows of each plane, with the position of the maximum. Padding counts as minus infinity."""

from __future__ import annotations

import numpy as np

from .checks import checked_dtype, expect_array, expect_float, expect_ndim, expect_shape
from .pool_windows import (
    added_at,
    check_attributes,
    check_grad_size,
    check_index_dtype,
    pooled_hw,
    windows,
)

Array = np.ndarray
Pair = tuple[int, int]


def max_pool2d(
    x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool, indices: str | None
) -> tuple[Array, Array | None]:
    op = "max_pool2d"
    expect_array(op, "input", x)
    expect_ndim(op, "input", x, 4)
    expect_float(op, "input", x)
    check_attributes(op, kernel, stride, padding, dilation)
    if indices:
        check_index_dtype(op, checked_dtype(indices))
    out_h, out_w = pooled_hw(op, x, kernel, stride, padding, dilation, ceil_mode)
    in_h, in_w = x.shape[2:]
    geometry = ((out_h, out_w), kernel, stride, padding, dilation)
    elements = windows(x, -np.inf, *geometry)
    inside = windows(np.ones((in_h, in_w), bool), False, *geometry)
    first_inside = np.broadcast_to(inside.argmax(-1), elements.shape[:-1])
    winner = elements.argmax(-1)  # the first maximum
    nan = np.isnan(elements)
    last_nan = elements.shape[-1] - 1 - nan[..., ::-1].argmax(-1)
    winner = np.where(nan.any(-1), last_nan, winner)  # NaN beats numbers, and the last of several wins, as in PyTorch
    out = np.take_along_axis(elements, winner[..., None], -1)[..., 0].copy()
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


def max_pool2d_bwd(
    grad: Array, indices: Array, input_hw: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    """Each window's gradient goes to the element that was its maximum."""
    op = "max_pool2d_bwd"
    expect_array(op, "grad", grad)
    expect_ndim(op, "grad", grad, 4)
    expect_float(op, "grad", grad)
    expect_array(op, "indices", indices)
    check_index_dtype(op, indices.dtype)
    expect_shape(op, "indices", indices, grad.shape)
    check_attributes(op, kernel, stride, padding, dilation)
    check_grad_size(op, grad, input_hw, kernel, stride, padding, dilation)
    return added_at(op, grad, indices, input_hw)
