"""From the definition to the library's kernel, one idea a step: compiles, checks and times each step, and draws them.

    python bench/ladder/run.py                  matrix product and 3x3 convolution
    python bench/ladder/run.py matmul --picture ladder.png

Each step is one C++ file whose comment says what it changes and why. All run on one thread; the last rungs are fastdl's
own kernel (for the convolution: Winograd with lanes over channels, in blocks of tiles that stay in the level-2 cache),
and PyTorch's where it is installed. Needs a C++ compiler at run time ($CXX, or g++).
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent))

import numpy as np

import fastdl
from bench import machine
from bench.row import torch

FLAGS = ["-O3", "-march=native", "-std=c++20", "-shared", "-fPIC"]
MATMUL = (1024, 1024, 1024)  # m, n, k
CONV = (64, 64, 56, 56)  # channels in, channels out, height, width; padding 1


def compiled(source: Path, folder: str) -> Callable[..., None]:
    """The function `run` of a step."""
    library = Path(folder) / f"{source.parent.name}_{source.stem}.so"
    subprocess.run([os.environ.get("CXX", "g++"), *FLAGS, str(source), "-o", str(library)], check=True)
    run = ctypes.CDLL(str(library)).run
    run.restype = None
    return run


def on_arrays(run: Callable[..., None], sizes: tuple[int, ...], arrays: list[np.ndarray]) -> Callable[[], None]:
    arguments = [ctypes.c_int64(s) for s in sizes] + [a.ctypes.data_as(ctypes.c_void_p) for a in arrays]
    return lambda: run(*arguments)


def best_seconds(call: Callable[[], object], budget: float = 0.6) -> float:
    """The best of the calls that fit into the budget, at least two."""
    best, spent, calls = float("inf"), 0.0, 0
    while spent < budget or calls < 2:
        start = time.perf_counter()
        call()
        elapsed = time.perf_counter() - start
        best, spent, calls = min(best, elapsed), spent + elapsed, calls + 1
    return best


def problem(name: str) -> tuple[tuple[int, ...], list[np.ndarray], np.ndarray, float, dict[str, Callable[[], object]]]:
    """Sizes, inputs, the right answer, FLOPs, and the libraries' calls."""
    rng = np.random.default_rng(0)
    if name == "matmul":
        m, n, k = MATMUL
        a, b = (rng.standard_normal(s, dtype=np.float32) for s in ((m, k), (k, n)))
        x, y = fastdl.tensor(a), fastdl.tensor(b)
        libraries: dict[str, Callable[[], object]] = {"fastdl": lambda: fastdl.matmul(x, y)}
        if torch is not None:
            p, q = torch.from_numpy(a), torch.from_numpy(b)
            libraries["PyTorch"] = lambda: torch.matmul(p, q)
        return MATMUL, [a, b], a.astype(np.float64) @ b, 2.0 * m * n * k, libraries
    channels, out, h, w = CONV
    a = rng.standard_normal((1, channels, h, w), dtype=np.float32)
    b = rng.standard_normal((out, channels, 3, 3), dtype=np.float32)
    x, y = fastdl.tensor(a), fastdl.tensor(b)
    exact = [fastdl.tensor(t, dtype="float64", device="reference") for t in (a, b)]
    answer = fastdl.functional.conv2d(*exact, padding=1).numpy()
    libraries = {"fastdl": lambda: fastdl.functional.conv2d(x, y, padding=1)}
    if torch is not None:
        p, q = (torch.from_numpy(t).contiguous(memory_format=torch.channels_last) for t in (a, b))
        libraries["PyTorch"] = lambda: torch.nn.functional.conv2d(p, q, padding=1)
    return CONV, [a, b], answer, 2.0 * 9 * channels * out * h * w, libraries


def climb(name: str) -> list[tuple[str, float, float]]:
    """Name, GFLOP/s and largest error over the largest result of each rung."""
    sizes, inputs, answer, flops, libraries = problem(name)
    rungs = []
    with tempfile.TemporaryDirectory() as folder:
        for source in sorted((HERE / name).glob("[0-9]*.cc")):
            result = np.empty(answer.shape, np.float32)
            call = on_arrays(compiled(source, folder), sizes, [*inputs, result])
            taken = best_seconds(call)
            error = float(np.abs(result - answer).max() / np.abs(answer).max())
            if error > 1e-4:
                raise AssertionError(f"{source.name}: wrong by {error:.1e} of the largest result")
            rungs.append((source.stem.partition("_")[2].replace("_", " "), flops / taken / 1e9, error))
    for library, call in libraries.items():
        result = np.asarray(call())
        error = float(np.abs(result - answer).max() / np.abs(answer).max())
        rungs.append((library, flops / best_seconds(call) / 1e9, error))
    return rungs


def draw(ladders: dict[str, list[tuple[str, float, float]]], peak: float, path: Path) -> None:
    """Bars of GFLOP/s, a panel for each ladder, the machine's peak as a line."""
    from fastdl.viz.figure import COLOURS, MUTED, new_figure, plain

    figure = new_figure(5.5 * len(ladders), 4)
    for i, (name, rungs) in enumerate(ladders.items()):
        axes = plain(figure.add_subplot(1, len(ladders), i + 1))
        labels = [r[0] for r in rungs][::-1]
        rates = [r[1] for r in rungs][::-1]
        axes.barh(labels, rates, color=[COLOURS[1] if n in ("fastdl", "PyTorch") else COLOURS[0] for n in labels])
        for y, rate in enumerate(rates):
            axes.text(rate, y, f" {rate:.3g}", va="center", fontsize=9)
        axes.axvline(peak, color=MUTED, linewidth=1)
        axes.text(peak, len(rates) - 0.45, "peak", ha="center", fontsize=8, color=MUTED)
        axes.set_xlim(0, 1.15 * max(*rates, peak))
        axes.set_title(name, fontsize=11)
        axes.set_xlabel("GFLOP/s, of the direct sum")
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["matmul", "conv3x3"], help="matmul, conv3x3")
    parser.add_argument("--picture", type=Path, help="draw the ladders into this PNG")
    args = parser.parse_args()
    fastdl.set_num_threads(1)
    if torch is not None:
        torch.set_num_threads(1)
    peak = machine.fma_peak() / 1e9
    ladders = {name: climb(name) for name in args.names}
    for name, rungs in ladders.items():
        print(f"{name}, {peak:.0f} GFLOP/s at most")
        before = rungs[0][1]
        for rung, rate, error in rungs:
            print(f"  {rung:18} {rate:7.2f} GFLOP/s  {rate / before:6.2f}x the rung before  error {error:.1e}")
            before = rate
    if args.picture:
        draw(ladders, peak, args.picture)


if __name__ == "__main__":
    main()
