"""Dropout by Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).

Element i is kept when word i % 4 of philox(counter = offset + i // 4, key = seed) is at least p * 2^32.
"""

from __future__ import annotations

import numpy as np

from .checks import expect, expect_float, number, quiet

Array = np.ndarray
Bits = int  # any size, checked here

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox(counter: Array, seed: int) -> Array:
    """Four 32-bit words for each 64-bit counter: (n,) -> (n, 4), uint32."""
    counter = counter.astype(np.uint64)
    c0, c1 = counter & _LOW, counter >> _HALF
    c2 = c3 = np.zeros_like(counter)
    k0, k1 = seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF
    for _ in range(10):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c2 = (p1 >> _HALF) ^ c1 ^ np.uint64(k0), (p0 >> _HALF) ^ c3 ^ np.uint64(k1)
        c1, c3 = p1 & _LOW, p0 & _LOW
        k0, k1 = (k0 + _W0) & 0xFFFFFFFF, (k1 + _W1) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def dropout(x: Array, p: float, seed: Bits, offset: Bits) -> Array:
    expect_float("dropout", "input", x)
    expect(0 <= p <= 1, ValueError, "dropout", "p between 0 and 1", number(p))
    for what, value in (("seed", seed), ("offset", offset)):
        expect(0 <= value < 2**64, ValueError, "dropout", f"{what} in [0, 2^64)", value)
    if p == 1:
        return np.zeros_like(x)
    counters = np.uint64(offset) + np.arange((x.size + 3) // 4, dtype=np.uint64)
    words = philox(counters, seed).reshape(-1)[: x.size].reshape(x.shape)
    threshold = np.uint32(min(p * 2.0**32, 2.0**32 - 1))  # p just below 1 would round to 2^32
    with quiet():
        return np.where(words >= threshold, x * x.dtype.type(1 / (1 - p)), x.dtype.type(0))
