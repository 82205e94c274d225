"""Forward convolutions over a grid of shapes: a shape that takes far longer a FLOP than its neighbours is a cliff.

Neighbours differ by one step in one of channels, size and kernel. Work below `LEAST_FLOPS` is left out: there a call's
fixed cost is most of the time. The fixed cost is also taken off before times are compared.
"""

from __future__ import annotations

import itertools
import time

import numpy as np

import fastdl
from fastdl.functional import conv2d

CHANNELS = (1, 2, 3, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
SIZES = (1, 2, 4, 7, 8, 14, 16, 28, 32, 56, 64)
KERNELS = (1, 3, 5, 7)
MODES = ("stride 1", "stride 2", "groups 2", "depthwise")
LEAST_FLOPS = 2e6
CLIFF = 2.0  # times the time a FLOP of the slower of two neighbours on either side

Place = tuple[int, int, int]  # indices of channels, size, kernel


def best_time(call, seconds: float = 0.004) -> float:
    call()
    best, end = float("inf"), time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        call()
        now = time.perf_counter()
        best = min(best, now - start)
        if now > end:
            return best


def time_of(channels: int, size: int, kernel: int, mode: str) -> tuple[float, float] | None:
    """Seconds and FLOPs of one shape, or None where it is no convolution or too little work."""
    groups = {"groups 2": 2, "depthwise": channels}.get(mode, 1)
    stride = 2 if mode == "stride 2" else 1
    if channels % groups or (mode == "depthwise" and channels == 1):
        return None
    out = (size - 1) // stride + 1
    flops = 2.0 * channels * channels / groups * kernel * kernel * out * out
    if flops < LEAST_FLOPS:
        return None
    x = fastdl.tensor(np.random.default_rng(0).standard_normal((1, channels, size, size), dtype=np.float32))
    w = fastdl.tensor(
        np.random.default_rng(1).standard_normal((channels, channels // groups, kernel, kernel), dtype=np.float32)
    )
    with fastdl.no_grad():
        return best_time(lambda: conv2d(x, w, None, stride, kernel // 2, 1, groups)), flops


def cliffs(found: dict[Place, float]) -> list[tuple[Place, float]]:
    """Places whose time a FLOP is more than CLIFF times that of every neighbour that they have along some axis."""
    bad = []
    for place, cost in found.items():
        for axis in range(3):
            steps = [tuple(p + d * (i == axis) for i, p in enumerate(place)) for d in (-1, 1)]
            beside = [found[s] for s in steps if s in found]
            if len(beside) == 2 and cost > CLIFF * max(beside):
                bad.append((place, cost / max(beside)))
                break
    return bad


def main(threads: int) -> None:
    """Prints the cliffs of each mode, and the range of GFLOP/s."""
    fastdl.set_num_threads(threads)
    for mode in MODES:
        found: dict[Place, float] = {}
        for place in itertools.product(range(len(CHANNELS)), range(len(SIZES)), range(len(KERNELS))):
            result = time_of(CHANNELS[place[0]], SIZES[place[1]], KERNELS[place[2]], mode)
            if result is not None:
                found[place] = result[0] / result[1]
        rates = sorted(1e-9 / cost for cost in found.values())
        print(f"{mode}: {len(found)} shapes, {rates[0]:.1f} to {rates[-1]:.1f} GFLOP/s")
        for (c, s, k), factor in cliffs(found):
            print(
                f"  {CHANNELS[c]} channels @ {SIZES[s]}, {KERNELS[k]}x{KERNELS[k]}: "
                f"{factor:.1f} times the time a FLOP of its neighbours"
            )
