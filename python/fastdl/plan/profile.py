"""Where a plan's time goes."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import backends
from . import machine
from .graph import Node, Value
from .lower import Recording
from .tree import flatten


@dataclass(frozen=True)
class Row:
    """One node of a plan: what it is, its median time and its share of the whole, and the work that it does.

    `flops` are those of products and convolutions (0 for others, which memory bounds), `bytes` the least traffic: each
    argument and result once. `limit` is the time that the machine's peaks allow over the time taken: above 1 where the
    numbers still were in a cache.
    """

    function: str
    source: str
    shape: tuple[int, ...]  # of the first result
    seconds: float
    share: float
    flops: float
    bytes: float
    limit: float

    @property
    def rate(self) -> str:
        """GFLOP/s where there are FLOPs, else GB/s."""
        if self.seconds == 0:
            return "-"
        if self.flops:
            return f"{self.flops / self.seconds / 1e9:.1f} GFLOP/s"
        return f"{self.bytes / self.seconds / 1e9:.1f} GB/s"


@dataclass(frozen=True, repr=False)
class Profile:
    """What `Plan.profile` measured; prints as a table."""

    rows: list[Row]
    seconds: float  # of all rows together

    def __repr__(self) -> str:
        cells = [("Function", "Layer", "Shape", "Time", "Share", "Rate", "Of limit")]
        for r in self.rows:
            shape, time = "x".join(map(str, r.shape)), f"{r.seconds * 1e6:.1f} us"
            cells.append((r.function, r.source, shape, time, f"{r.share:.1%}", r.rate, f"{r.limit:.0%}"))
        flops = sum(r.flops for r in self.rows)
        rate = f"{flops / self.seconds / 1e9:.1f} GFLOP/s" if self.seconds else "-"
        cells.append(("total", "", "", f"{self.seconds * 1e6:.1f} us", "100.0%", rate, ""))
        widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
        return "\n".join(
            "  ".join(c.ljust(w) if i < 3 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
            for row in cells
        )


def profile(recording: Recording, inputs: tuple[Any, ...], repeats: int) -> Profile:
    """Times each node of a recording, on `inputs` or on zeros."""
    if not isinstance(repeats, int) or repeats < 1:
        raise ValueError(f"[profile] expected repeats of at least 1, got {repeats!r}")
    cpu = backends.get("cpu")
    arrays = [leaf._array for leaf in flatten(inputs)[0]] or [_zeros(v) for v in recording.graph.inputs]
    recording.recorded.run(arrays)  # brings weights into the caches
    steps = cpu.to_numpy(recording.recorded.times(arrays, repeats))
    ends = np.cumsum(np.pad(steps, ((0, 0), (1, 0))), axis=1)[:, [0, *recording.ends]]
    medians = np.median(np.diff(ends, axis=1), axis=0)
    total = float(medians.sum())
    limits = _limits(cpu.get_num_threads(), cpu.isa())
    rows = [
        _row(node, float(seconds), total, limits)
        for node, seconds in zip(recording.graph.nodes, medians, strict=True)
        if node.function != "reshape"
    ]
    return Profile(rows, total)


def _zeros(value: Value) -> Any:
    cpu = backends.get("cpu")
    array = cpu.empty(value.shape, value.dtype)
    cpu.fill_(array, 0)
    return array


def _row(node: Node, seconds: float, total: float, limits: dict[str, float]) -> Row:
    work, traffic = flops(node), least_bytes(node)
    least = max(work / limits[node.out.dtype if node.out.dtype == "float64" else "float32"], traffic / limits["memory"])
    share, limit = (seconds / total if total else 0.0), (least / seconds if seconds else 0.0)
    return Row(node.function, node.source, node.out.shape, seconds, share, work, traffic, limit)


@functools.cache
def _limits(threads: int, isa: str) -> dict[str, float]:
    return {
        "float32": machine.fma_peak("float32"), "float64": machine.fma_peak("float64"),
        "memory": machine.bandwidth(repeats=2),
    }  # fmt: skip


def least_bytes(node: Node) -> float:
    """Bytes of all arguments and results, each once."""
    return float(sum({v: v.bytes for v in (*node.inputs(), *(r for r in node.results if r is not None))}.values()))


def flops(node: Node) -> float:
    """Floating-point operations of the products in a node, two for each multiply-add."""
    args = node.args
    match node.function:
        case "conv2d" | "conv2d_nchwc":
            return 2.0 * node.out.size * args[1].size / max(args[1].shape[0], 1)
        case "conv_transpose2d":
            return 2.0 * args[0].size * args[1].size / max(args[1].shape[0], 1)
        case "linear":
            return 2.0 * node.out.size * args[1].shape[1]
        case "matmul":
            return 2.0 * node.out.size * args[0].shape[-2 if args[2] else -1]
        case "recurrent":
            rows = args[1].size // max(args[1].shape[-1], 1)
            return 2.0 * rows * sum(w.size for w in args[4] if len(w.shape) == 2)
        case _:
            return 0.0
