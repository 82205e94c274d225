"""What this machine can do at most: multiply-adds on registers, and bytes to and from memory."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from .. import backends

BIG = 64 << 20  # float32 elements: 256 MB, far beyond the caches


def fma_peak(dtype: str = "float32", seconds: float = 0.02) -> float:
    """FLOP/s of multiply-adds whose operands stay in registers, on all threads in use."""
    cpu = backends.get("cpu")
    time.sleep(0.02)  # workers of other libraries stop spinning
    iterations = 100_000
    while True:
        start = time.perf_counter()
        flops = cpu.fma_loop(dtype, iterations)
        elapsed = time.perf_counter() - start
        if elapsed > seconds / 2:
            return flops / elapsed
        iterations *= 4


def bandwidth(repeats: int = 5) -> float:
    """Bytes a second of the best of reading (a sum) and of copying, on all threads in use."""
    cpu = backends.get("cpu")
    x, y = cpu.empty((BIG,), "float32"), cpu.empty((BIG,), "float32")
    cpu.fill_(x, 1)

    def rate(function: Callable[[], object], count: int) -> float:
        best = float("inf")
        for _ in range(repeats):
            start = time.perf_counter()
            function()
            best = min(best, time.perf_counter() - start)
        return count / best

    reading = rate(lambda: cpu.sum(x, (0,), False), BIG * 4)
    copying = rate(lambda: cpu.copy_(y, x), BIG * 8)
    plain = rate(lambda: np.copyto(cpu.to_numpy(y), cpu.to_numpy(x)), BIG * 8)
    return max(reading, copying, plain)
