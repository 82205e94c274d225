"""The reports and counters of the emulated device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from types import ModuleType
from typing import Any, Literal

from .. import backends


@dataclass(frozen=True)
class Finding:
    """A mistake at one place of a kernel; `block` and `thread` are those that made it first.

    `kind` is OUT_OF_BOUNDS, MISALIGNED, UNINIT, RACE, DIVERGENT_BARRIER, WARP_MASK, DEADLOCK, HOST_ACCESS, SHARED_SIZE
    or what else csrc/emu/README.md lists.

    >>> print(Finding("RACE", "sum", "sum.cu", 7, (0, 0, 0), (3, 0, 0), 2, "writes what thread (0, 0, 0) read"))
    RACE at sum.cu:7 in sum, block (0, 0, 0), thread (3, 0, 0), 2 times: writes what thread (0, 0, 0) read
    """

    kind: str
    kernel: str
    file: str
    line: int
    block: tuple[int, int, int]
    thread: tuple[int, int, int]
    count: int
    message: str

    def __str__(self) -> str:
        times = f", {self.count} times" if self.count > 1 else ""
        where = f"{self.file}:{self.line} in {self.kernel}, block {self.block}, thread {self.thread}"
        return f"{self.kind} at {where}{times}: {self.message}"


@dataclass(frozen=True)
class LineTraffic:
    """The accesses of one source line, of one kind and size.

    A request is what the lanes of a warp ask for at once. Shared memory answers it in wavefronts, one for each word of
    the bank that is asked for the most words; global memory in sectors of 32 bytes. `units` counts these, `ideal` those
    that the same lanes would need without conflicts and without gaps.

    >>> line = LineTraffic("copy", "copy.cu", 5, "global", "read", 4, requests=2, units=64, ideal=8)
    >>> line.per_request, line.ideal_per_request, line.ratio
    (32.0, 4.0, 8.0)
    """

    kernel: str
    file: str
    line: int
    space: Literal["shared", "global"]
    kind: Literal["read", "write", "atomic"]
    bytes: int
    requests: int
    units: int
    ideal: int

    @property
    def per_request(self) -> float:
        """Wavefronts or sectors of a request."""
        return self.units / self.requests

    @property
    def ideal_per_request(self) -> float:
        """What they could be."""
        return self.ideal / self.requests

    @property
    def ratio(self) -> float:
        """How many times the ideal."""
        return self.units / self.ideal

    def __str__(self) -> str:
        return (
            f"{self.file}:{self.line} {self.space} {self.kind} of {self.bytes} bytes in {self.kernel}: "
            f"{self.per_request:.2f} a request, ideal {self.ideal_per_request:.2f}"
        )


@dataclass(frozen=True)
class KernelTraffic:
    """Bytes of global memory that a kernel's launches moved, in whole sectors, without caches.

    The floors are the distinct bytes among them, launch by launch: what any kernel moves that reads and writes these.
    """

    kernel: str
    launches: int
    blocks: int  # of all launches
    threads: int  # a block, at most
    read: int
    written: int
    read_floor: int
    written_floor: int

    def __str__(self) -> str:
        return (
            f"{self.kernel}: {self.launches} launches, {self.blocks} blocks of {self.threads} threads, "
            f"{self.read} bytes read (floor {self.read_floor}), {self.written} written (floor {self.written_floor})"
        )


@dataclass
class Profile:
    """What `profile()` counted; printing it gives two tables, the lines that are furthest from ideal first."""

    lines: list[LineTraffic] = field(default_factory=list)
    kernels: list[KernelTraffic] = field(default_factory=list)

    def __str__(self) -> str:
        head = ["kernel", "line", "space", "kind", "bytes", "requests", "per request", "ideal", "ratio"]
        rows = [
            [t.kernel, f"{t.file.rsplit('/', 1)[-1]}:{t.line}", t.space, t.kind, str(t.bytes), str(t.requests),
             f"{t.per_request:.2f}", f"{t.ideal_per_request:.2f}", f"{t.ratio:.2f}"]
            for t in sorted(self.lines, key=lambda t: (-t.ratio, t.kernel, t.file, t.line))
        ]  # fmt: skip
        moved = [
            [
                t.kernel,
                str(t.launches),
                str(t.blocks),
                str(t.threads),
                str(t.read),
                str(t.read_floor),
                str(t.written),
                str(t.written_floor),
            ]
            for t in self.kernels
        ]
        kernel_head = ["kernel", "launches", "blocks", "threads", "read", "floor", "written", "floor"]
        return _table(head, rows, 4) + "\n\n" + _table(kernel_head, moved, 1)


def _table(head: list[str], rows: list[list[str]], words: int) -> str:
    """Columns as wide as needed; the first `words` are text, the others numbers."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(w) if i < words else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in [head, *rows]
    ]
    return "\n".join(line.rstrip() for line in lines)


def is_available() -> bool:
    """Whether this build has the emulated device. The other functions raise RuntimeError without it.

    >>> isinstance(is_available(), bool)
    True
    """
    return "emu" in backends.available()


def _engine() -> ModuleType:
    return backends.get("emu")


def _made(kind: type, rows: list[dict[str, Any]]) -> list[Any]:
    names = [f.name for f in fields(kind)]
    return [kind(**{name: row[name] for name in names}) for row in rows]


def report() -> list[Finding]:
    """What kernels did since `clear_report()` that would be wrong on a GPU; empty if nothing was.

    >>> import fastdl
    >>> if is_available():
    ...     clear_report()
    ...     x = fastdl.ones(100, device="emu").sum()
    ...     assert report() == []
    """
    return _made(Finding, _engine().report())


def clear_report() -> None:
    """Forgets all findings."""
    _engine().clear_report()


def set_order(order: Literal["ascending", "descending", "shuffled"], seed: int = 0) -> None:
    """The order in which the threads of a block and the blocks of a grid run; "ascending" at first.

    Results that change with it depend on luck. `seed` chooses one of the shuffled orders. Raises ValueError for other
    words.

    >>> if is_available():
    ...     set_order("shuffled", seed=3)
    ...     set_order("ascending")
    """
    _engine().set_order(order, seed)


def kernels_run() -> list[str]:
    """Names of the kernels that this process has launched on the emulated device, sorted.

    >>> import fastdl
    >>> if is_available():
    ...     x = fastdl.ones(3, device="emu") + 1
    ...     assert kernels_run()
    """
    return list(_engine().kernels_run())


@contextmanager
def profile() -> Iterator[Profile]:
    """Counts what accesses cost while the block runs; the Profile that it gives is filled at the end of the block.

    Kernels run several times slower then; outside such a block counting costs nothing. Blocks do not nest: an inner one
    raises RuntimeError. Counted is what g++ made of the kernel at -O1; nvcc may merge neighbouring accesses. Operations
    on numbers are not seen, so there is no count of FLOPs.

    >>> import fastdl
    >>> if is_available():
    ...     x = fastdl.ones(1024, device="emu")
    ...     with profile() as p:
    ...         y = x + 1
    ...     assert all(line.ratio == 1 for line in p.lines)
    ...     assert p.kernels[0].read == p.kernels[0].read_floor == 4096
    """
    engine, result = _engine(), Profile()
    if engine.is_profiling():
        raise RuntimeError("[profile] expected one profile at a time, got another inside it")
    engine.clear_profile()
    engine.set_profiling(True)
    try:
        yield result
    finally:
        engine.set_profiling(False)
        result.lines = _made(LineTraffic, engine.profiled_lines())
        result.kernels = _made(KernelTraffic, engine.profiled_kernels())
        engine.clear_profile()
