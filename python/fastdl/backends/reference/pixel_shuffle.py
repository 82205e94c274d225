"""Channels to pixels and back."""

from __future__ import annotations

import numpy as np

from .checks import expect, expect_float, expect_ndim

Array = np.ndarray
LARGEST = 2**15


def pixel_shuffle(x: Array, factor: int) -> Array:
    op, r = "pixel_shuffle", factor
    expect_ndim(op, "input", x, 4)
    expect_float(op, "input", x)
    expect(1 <= r <= LARGEST, ValueError, op, f"upscale_factor between 1 and {LARGEST}", r)
    n, c, h, w = x.shape
    expect(c % (r * r) == 0, ValueError, op, f"channels that {r * r} divides", f"shape {x.shape}")
    split = x.reshape(n, c // (r * r), r, r, h, w)
    return split.transpose(0, 1, 4, 2, 5, 3).reshape(n, c // (r * r), h * r, w * r).copy()


def pixel_unshuffle(x: Array, factor: int) -> Array:
    op, r = "pixel_unshuffle", factor
    expect_ndim(op, "input", x, 4)
    expect_float(op, "input", x)
    expect(1 <= r <= LARGEST, ValueError, op, f"downscale_factor between 1 and {LARGEST}", r)
    n, c, h, w = x.shape
    expect(h % r == 0 and w % r == 0, ValueError, op, f"planes whose sizes {r} divides", f"shape {x.shape}")
    split = x.reshape(n, c, h // r, r, w // r, r)
    return split.transpose(0, 1, 3, 5, 2, 4).reshape(n, c * r * r, h // r, w // r).copy()
