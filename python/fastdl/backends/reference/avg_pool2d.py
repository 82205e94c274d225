"""Mean over windows of each plane. Padding counts as zeros, or not at all."""

from __future__ import annotations

import numpy as np

from .checks import expect, expect_float, expect_ndim
from .pool_windows import check_attributes, check_grad_size, pooled_hw, windows

Array = np.ndarray
Pair = tuple[int, int]
ONE = (1, 1)


def _divisors(
    in_hw: Pair, out_hw: Pair, kernel: Pair, stride: Pair, padding: Pair, count_include_pad: bool, divisor: int
) -> Array:
    """What each window's sum is divided by. In ceil mode a window may end outside the padding: that never counts."""
    if divisor:
        return np.full(out_hw, float(divisor))
    counts = []
    for size, out, k, s, p in zip(in_hw, out_hw, kernel, stride, padding, strict=True):
        start = np.arange(out) * s - p
        end = np.minimum(start + k, size + p)
        if not count_include_pad:
            start, end = np.maximum(start, 0), np.minimum(end, size)
        counts.append(end - start)
    return np.outer(*counts).astype(np.float64)


def _check(op: str, kernel: Pair, stride: Pair, padding: Pair, divisor: int) -> None:
    check_attributes(op, kernel, stride, padding, ONE)
    expect(divisor >= 0, ValueError, op, "a divisor of at least 0", divisor)


def avg_pool2d(
    x: Array, kernel: Pair, stride: Pair, padding: Pair, ceil_mode: bool, count_include_pad: bool, divisor: int
) -> Array:
    op = "avg_pool2d"
    expect_ndim(op, "input", x, 4)
    expect_float(op, "input", x)
    _check(op, kernel, stride, padding, divisor)
    out_hw = pooled_hw(op, x, kernel, stride, padding, ONE, ceil_mode)
    sums = windows(x, 0.0, out_hw, kernel, stride, padding, ONE).sum(-1)
    divisors = _divisors(x.shape[2:], out_hw, kernel, stride, padding, count_include_pad, divisor)
    return (sums / divisors).astype(x.dtype)


def avg_pool2d_bwd(
    grad: Array, input_hw: Pair, kernel: Pair, stride: Pair, padding: Pair, count_include_pad: bool, divisor: int
) -> Array:
    """Each window's gradient, over its divisor, goes to all of its elements."""
    op = "avg_pool2d_bwd"
    expect_ndim(op, "grad", grad, 4)
    expect_float(op, "grad", grad)
    _check(op, kernel, stride, padding, divisor)
    check_grad_size(op, grad, input_hw, kernel, stride, padding, ONE)
    out_h, out_w = grad.shape[2:]
    shares = grad / _divisors(input_hw, (out_h, out_w), kernel, stride, padding, count_include_pad, divisor)
    out = np.zeros((*grad.shape[:2], *input_hw))
    for oy in range(out_h):
        top = oy * stride[0] - padding[0]
        for ox in range(out_w):
            left = ox * stride[1] - padding[1]
            rows, columns = slice(max(top, 0), top + kernel[0]), slice(max(left, 0), left + kernel[1])
            out[:, :, rows, columns] += shares[:, :, oy : oy + 1, ox : ox + 1]
    return out.astype(grad.dtype)
