"""Random numbers by Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).

float32 takes a word of a counter for each number, everything else two; csrc/ops/random/README.md has the table.
"""

from __future__ import annotations

import numpy as np

from .checks import expect, expect_float, number

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


def words(op: str, n: int, numbers: int, seed: Bits, offset: Bits) -> Array:
    """The words of n numbers, so many of which a counter makes: (n, 4 // numbers)."""
    for what, value in (("seed", seed), ("offset", offset)):
        expect(0 <= value < 2**64, ValueError, op, f"{what} in [0, 2^64)", value)
    counters = np.uint64(offset) + np.arange(-(-n // numbers), dtype=np.uint64)
    return philox(counters, seed).reshape(-1, 4 // numbers)


def _fraction(high: Array, low: Array) -> Array:
    """53 bits in [0, 1)."""
    return high * 2.0**-32 + (low >> 11) * 2.0**-53


def uniform_(out: Array, low: float, high: float, seed: Bits, offset: Bits) -> None:
    expect_float("uniform_", "out", out)
    dtype = out.dtype.type
    with np.errstate(all="ignore"):
        first, last, scale = dtype(low), dtype(high), dtype(high - low)
        finite = low <= high and np.isfinite([first, last, scale]).all()
    got = f"{number(low)} and {number(high)}"
    expect(finite, ValueError, "uniform_", "low <= high, finite and at a finite distance", got)
    w = words("uniform_", out.size, 4 if dtype == np.float32 else 2, seed, offset)
    u = (w[:, 0] >> 8) * dtype(2.0**-24) if dtype == np.float32 else _fraction(w[:, 0], w[:, 1])
    largest = np.nextafter(last, first) if first < last else first  # the sum may round up to `high`
    out[...] = np.minimum(u[: out.size].astype(dtype) * scale + first, largest).reshape(out.shape)


def normal_(out: Array, mean: float, std: float, seed: Bits, offset: Bits) -> None:
    """Box and Muller (1958): of two uniform numbers u, v the pair sqrt(-2 log u) * (cos 2 pi v, sin 2 pi v)."""
    expect_float("normal_", "out", out)
    expect(std >= 0, ValueError, "normal_", "std of at least 0", number(std))
    if out.dtype == np.float32:
        w = words("normal_", out.size, 4, seed, offset).reshape(-1, 2)
        f, turn = (w[:, 0].astype(np.int32) + 0.5) * 2.0**-32, w[:, 1]
        log_u = np.where(f < 0, np.log1p(f), np.log(np.abs(f)))
        r = (turn << 2).astype(np.int32) * 2.0**-32
    else:
        w = words("normal_", out.size, 2, seed, offset).reshape(-1, 4)
        log_u, turn = np.log(1 - _fraction(w[:, 0], w[:, 1])), w[:, 2]
        r = _fraction(turn << 2, w[:, 3]) - 0.5
    radius = np.sqrt(-2 * log_u)
    # r quarter turns, half a turn further, mirrored at the diagonal
    cosine, sine = np.cos(r * np.pi / 2) * np.where(turn >> 31, -1, 1), np.sin(r * np.pi / 2)
    steep = (turn >> 30 & 1).astype(bool)
    pair = np.stack([np.where(steep, sine, cosine), np.where(steep, cosine, sine)], axis=1)
    out[...] = (pair * radius[:, None] * std + mean).reshape(-1)[: out.size].reshape(out.shape)


def random_(out: Array, low: int, high: int, seed: Bits, offset: Bits) -> None:
    """low + floor(w * (high - low) / 2^64) for w of 64 bits."""
    expect(out.dtype in (np.int32, np.int64), TypeError, "random_", "out of dtype int32 or int64", out.dtype)
    expect(low < high, ValueError, "random_", "low < high", f"{low} and {high}")
    inside = np.iinfo(out.dtype).min <= low and high - 1 <= np.iinfo(out.dtype).max
    expect(inside, ValueError, "random_", f"numbers within {out.dtype}", f"{low} and {high}")
    w = words("random_", out.size, 2, seed, offset)[: out.size]
    numbers = [low + ((int(a) << 32 | int(b)) * (high - low) >> 64) for a, b in w]
    out[...] = np.array(numbers, out.dtype).reshape(out.shape)
