"""What this machine can do at most: multiply-adds on registers, and bytes to and from memory."""

from __future__ import annotations

import platform
import time
from pathlib import Path

import numpy as np

import fastdl
from fastdl import backends

BIG = 64 << 20  # float32 elements: 256 MB, far beyond the caches


def processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


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
    x = fastdl.ones(BIG)
    y = fastdl.empty(BIG)
    cpu = backends.get("cpu")

    def rate(function, count):
        best = float("inf")
        for _ in range(repeats):
            start = time.perf_counter()
            function()
            best = min(best, time.perf_counter() - start)
        return count / best

    reading = rate(lambda: cpu.sum(x._array, (0,), False), BIG * 4)
    copying = rate(lambda: cpu.copy_(y._array, x._array), BIG * 8)
    plain = rate(lambda: np.copyto(y.numpy(), x.numpy()), BIG * 8)
    fastdl.empty_cache()
    return max(reading, copying, plain)
