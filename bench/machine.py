"""What this machine can do at most: multiply-adds on registers, and bytes to and from memory."""

from __future__ import annotations

import platform
from pathlib import Path

from fastdl import backends
from fastdl.plan.machine import BIG, bandwidth, fma_peak

__all__ = ["BIG", "bandwidth", "core_distance", "fma_peak", "processor"]


def core_distance() -> float:
    """Seconds that two threads take to meet.

    On Zen 4 some 30 nanoseconds where their cores have a cache in common and 160 to 300 where not. A virtual machine
    may move its cores at any time, and functions of many threads are slower far apart.
    """
    return min(backends.get("cpu").meeting_seconds(2000) for _ in range(3))


def processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
