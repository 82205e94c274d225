"""Dropout: element i is kept when word i % 4 of counter offset + i // 4 (see random.py) is at least p * 2^32."""

from __future__ import annotations

import numpy as np

from .checks import expect, expect_float, number, quiet
from .random import words

Array = np.ndarray
Bits = int  # any size, checked by words()


def dropout(x: Array, p: float, seed: Bits, offset: Bits) -> Array:
    expect_float("dropout", "input", x)
    expect(0 <= p <= 1, ValueError, "dropout", "p between 0 and 1", number(p))
    w = words("dropout", x.size, 4, seed, offset)[: x.size].reshape(x.shape)
    if p == 1:
        return np.zeros_like(x)
    threshold = np.uint32(min(p * 2.0**32, 2.0**32 - 1))  # p just below 1 would round to 2^32
    with quiet():
        return np.where(w >= threshold, x * x.dtype.type(1 / (1 - p)), x.dtype.type(0))
