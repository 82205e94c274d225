"""Timing that survives a busy machine: warm-up, many short slices, medians, and peers measured in turns."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Timing:
    """Seconds a call, one number for each slice."""

    samples: list[float] = field(repr=False)

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def best(self) -> float:
        return min(self.samples)


@dataclass(frozen=True)
class Comparison:
    """Timings of several functions whose slices took turns."""

    timings: dict[str, Timing]

    def ratio(self, name: str, to: str) -> float:
        """Median over slices of time(name) / time(to): both halves of each quotient saw the same machine state."""
        pairs = zip(self.timings[name].samples, self.timings[to].samples, strict=True)
        return statistics.median(a / b for a, b in pairs)


def _calls_for(function: Callable[[], Any], slice_seconds: float) -> int:
    """How many calls fill a slice; the first calls also warm up."""
    function()
    calls = 1
    while True:
        start = time.perf_counter()
        for _ in range(calls):
            function()
        seconds = time.perf_counter() - start
        if seconds >= slice_seconds / 4 or calls >= 1 << 20:
            return max(1, round(calls * slice_seconds / max(seconds, 1e-9)))
        calls *= 4


def _slice(function: Callable[[], Any], calls: int) -> float:
    time.sleep(0.02)  # OpenMP workers of a peer spin for some 10 ms after it returned: they would hold a core
    function()  # its data come back into the caches
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def timeit(function: Callable[[], Any], slices: int = 15, slice_seconds: float = 0.02) -> Timing:
    """Times one function.

    >>> timeit(lambda: None, slices=3, slice_seconds=0.001).best < 1e-3
    True
    """
    return compare({"": function}, slices, slice_seconds).timings[""]


def compare(functions: Mapping[str, Callable[[], Any]], slices: int = 15, slice_seconds: float = 0.02) -> Comparison:
    """Times functions in turns, one short slice each, so that all of them see the same machine.

    >>> found = compare({"a": lambda: sum(range(10)), "b": lambda: sum(range(1000))}, 3, 0.001)
    >>> found.ratio("b", to="a") > 1
    True
    """
    calls = {name: _calls_for(function, slice_seconds) for name, function in functions.items()}
    samples: dict[str, list[float]] = {name: [] for name in functions}
    collects = gc.isenabled()
    gc.disable()
    try:
        for _ in range(slices):
            for name, function in functions.items():
                samples[name].append(_slice(function, calls[name]))
    finally:
        if collects:
            gc.enable()
    return Comparison({name: Timing(s) for name, s in samples.items()})
