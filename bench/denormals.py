"""Every kernel on ordinary numbers and on denormal ones, which processors multiply up to 180 times more slowly.

Kernels treat denormal numbers as zero, so they should cost nothing. Boxes, indices and probabilities stay as they are:
only rows whose inputs are all floats of any size are run.
"""

from __future__ import annotations

import numpy as np

import fastdl
from bench.calls import fastdl_call, inputs_of
from bench.rows import rows_by_file
from fastdl.testing import compare

SKIPPED = {"nms", "boxes", "roi_pool", "roi_align"}  # coordinates
WORTH_TELLING = 1.15


def main(threads: int, only: list[str] | None) -> None:
    """Prints the rows that denormal numbers slow down, and the worst ratio."""
    fastdl.set_num_threads(threads)
    worst, count = 0.0, 0
    for name, rows in rows_by_file().items():
        for row in rows:
            if row.make is not None or name in SKIPPED or (only and name not in only):
                continue
            arrays = inputs_of(row)
            small = [(a * np.float32(1e-40)).astype(a.dtype) if a.dtype.kind == "f" else a for a in arrays]
            calls = {"ordinary": fastdl_call(row, arrays, "cpu"), "denormal": fastdl_call(row, small, "cpu")}
            ratio = compare(calls, slices=7).ratio("denormal", to="ordinary")
            worst, count = max(worst, ratio), count + 1
            if ratio > WORTH_TELLING:
                print(f"{row.name}{', forward + backward' if row.backward else ''}: {ratio:.2f} times the time")
    print(f"{count} rows, at worst {worst:.2f} times the time of ordinary numbers")
