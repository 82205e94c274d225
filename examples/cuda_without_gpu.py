"""CUDA kernels written, corrected and made faster on a machine without a GPU.

    python examples/cuda_without_gpu.py        half a minute; needs g++

First a kernel with a beginner's mistakes: the emulated device names each with its line, block and thread, in whatever
order the threads run. Then a transposition in three versions: what their accesses cost, counted line by line.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import fastdl
from fastdl import emu

KERNELS = Path(__file__).parent / "kernels"


def diagnose() -> None:
    """The mistakes of `mean_of_three`, and none in the corrected kernel."""
    kernels = emu.compile(KERNELS / "neighbours.cu")
    n = 100
    x, out = fastdl.arange(n, dtype="float32", device="emu"), fastdl.empty(n, device="emu")
    for name in kernels.names:
        for order in ("ascending", "descending", "shuffled"):
            emu.set_order(order)
            emu.clear_report()
            kernels.launch(name, -(-n // 64), 64, x, out, n)
            print(f"{name}, threads {order}: {len(emu.report())} findings")
        for finding in emu.report():
            print("   ", finding)
    emu.set_order("ascending")
    emu.clear_report()
    padded = np.pad(x.cpu().numpy(), 1)
    expected = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    print("the corrected kernel is right:", np.allclose(out.cpu().numpy(), expected))


def improve() -> None:
    """Sectors and wavefronts of three transpositions."""
    kernels = emu.compile(KERNELS / "transposes.cu")
    rows, columns = 64, 96
    x = fastdl.rand(rows, columns).to("emu")
    for name in kernels.names:
        out = fastdl.empty(columns, rows, device="emu")
        with emu.profile() as profile:
            kernels.launch(name, (columns // 32, rows // 32), (32, 32), x, out, rows, columns)
        assert np.array_equal(out.cpu().numpy(), x.cpu().numpy().T)
        print(f"\n{profile}")


def main() -> None:
    if not emu.is_available():
        raise SystemExit("this build of fastdl has no emulated device")
    diagnose()
    improve()


if __name__ == "__main__":
    main()
