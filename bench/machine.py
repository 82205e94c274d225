"""What this machine can do at most: multiply-adds on registers, and bytes to and from memory."""

from __future__ import annotations

import platform
from pathlib import Path

from fastdl.plan.machine import BIG, bandwidth, fma_peak

__all__ = ["BIG", "bandwidth", "fma_peak", "processor"]


def processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
