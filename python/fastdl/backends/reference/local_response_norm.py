"""Local response normalisation of x (N, C, S): each channel over what its neighbours' squares add up to."""

from __future__ import annotations

import numpy as np

from .checks import expect, expect_array, expect_float, expect_ndim, expect_same_dtype, expect_shape, quiet

Array = np.ndarray


def _check_size(op: str, size: int) -> None:
    expect(1 <= size < 2**31, ValueError, op, "size of at least 1 and below 2^31", size)


def _window_sums(a: Array, before: int, after: int) -> Array:
    """Channel c gets the sum of channels c - before, ..., c + after."""
    channels = a.shape[1]
    out = np.zeros_like(a)
    for c in range(channels):
        out[:, c] = a[:, max(c - before, 0) : c + after + 1].sum(1)
    return out


def _denominator(x: Array, size: int, alpha: float, k: float) -> Array:
    number = x.dtype.type
    return number(k) + number(alpha / size) * _window_sums(x * x, size // 2, (size - 1) // 2)


def local_response_norm(x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    op = "local_response_norm"
    expect_array(op, "input", x)
    expect_ndim(op, "input", x, 3)
    expect_float(op, "input", x)
    _check_size(op, size)
    with quiet():
        return x / _denominator(x, size, alpha, k) ** x.dtype.type(beta)


def local_response_norm_bwd(grad: Array, x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    op = "local_response_norm_bwd"
    expect_array(op, "grad", grad)
    expect_ndim(op, "grad", grad, 3)
    expect_float(op, "grad", grad)
    expect_same_dtype(op, "input", x, grad.dtype)
    expect_shape(op, "input", x, grad.shape)
    _check_size(op, size)
    number = x.dtype.type
    with quiet():
        d = _denominator(x, size, alpha, k)
        scaled = grad / d ** number(beta)
        terms = _window_sums(scaled * x / d, (size - 1) // 2, size // 2)  # of the channels that see this one
        return scaled - number(2 * alpha * beta / size) * x * terms
