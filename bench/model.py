"""The time that each CUDA kernel should take on a GPU, and what limits it, without one.

    python bench/model.py                        the table, from a small run of each kernel on the emulated device
    python bench/model.py --device "RTX 4090"
    python bench/model.py --registers            asks nvcc for registers and shared memory again (registers.json)

Each row runs small on `device="emu"`, which counts blocks, wavefronts and bytes; these grow with the row's `growth` to
full size. FLOPs are given by formula, since the emulation does not see arithmetic. See bench/gpu.py for the model.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import fastdl
import fastdl.functional as F
from bench.gpu import DEVICES, Device, Estimate, Resources, Work, compile_registers, estimate, registers
from fastdl import emu

ROOT = Path(__file__).parents[1]


def randn(*shape: int) -> fastdl.Tensor:
    """Numbers on the emulated device."""
    return fastdl.randn(*shape, device="emu")


@dataclass(frozen=True)
class Model:
    """A kernel at full size: `run` does 1 / growth of the wavefronts and, where these are not given, blocks and bytes."""

    name: str
    room: str
    run: Callable[[], object]
    growth: float
    flops: float = 0.0
    bytes: float | None = None
    blocks: int | None = None

    def counted(self) -> tuple[emu.KernelTraffic, float]:
        """The traffic of the kernel that takes most blocks' threads, and its wavefronts."""
        with fastdl.no_grad(), emu.profile() as profile:
            self.run()
        kernel = max(profile.kernels, key=lambda k: (k.blocks * k.threads, k.read))
        lines = [line for line in profile.lines if line.kernel == kernel.kernel and line.space == "shared"]
        return kernel, float(sum(line.units for line in lines))

    def work(self, kernel: emu.KernelTraffic, wavefronts: float) -> Work:
        """What a launch at full size does."""
        floor = self.growth * (kernel.read_floor + kernel.written_floor)
        threads = kernel.blocks * kernel.threads
        return Work(
            blocks=round(self.growth * kernel.blocks) if self.blocks is None else self.blocks,
            flops=self.flops,
            bytes=floor if self.bytes is None else self.bytes,
            wavefronts=self.growth * wavefronts,
            bytes_in_flight=min(64.0, kernel.read / threads),  # what a thread reads, as far as registers hold it
        )

    def estimates(self, devices: tuple[Device, ...]) -> tuple[str, list[Estimate]]:
        """The kernel's name, and its times on devices."""
        kernel, wavefronts = self.counted()
        work = self.work(kernel, wavefronts)
        out = []
        for device in devices:
            used, shared = registers(device.architecture, kernel.kernel)
            out.append(estimate(device, Resources(kernel.threads, used, shared), work))
        return kernel.kernel, out


def product(m: int, n: int, k: int) -> dict[str, Any]:
    """A product at full size beside one of 1408 x 1536 by 16 steps, enough for tiles of 128 x 128."""
    return {
        "growth": m * n * k / (1408 * 1536 * 16),
        "flops": 2.0 * m * n * k,
        "bytes": 4.0 * (m * k + k * n + m * n),
        "blocks": m * n // 128**2,
    }


# Full sizes: 64 million numbers in elementwise kernels, batches of 32 to 64 images, products of 4096.
MODELS = (
    Model("add, 64 M", "elementwise", lambda: randn(1 << 14) + randn(1 << 14), 4096, 2.0**26),
    Model("gelu, 64 M", "activation", lambda: F.gelu(randn(1 << 14)), 4096, 20 * 2.0**26),
    Model("sum of rows, 65536 x 1024", "reduce", lambda: randn(64, 1024).sum(1), 1024, 2.0**26),
    Model("softmax, 65536 x 1024", "softmax", lambda: F.softmax(randn(64, 1024), 1), 1024, 8 * 2.0**26),
    Model("layer_norm, 65536 x 1024", "layer_norm", lambda: F.layer_norm(randn(64, 1024), (1024,)), 1024, 8 * 2.0**26),
    Model("transpose, 8192 x 8192", "layout", lambda: randn(128, 128).t().contiguous(), 4096),
    Model("max_pool2d 2 x 2, 64 x 64 x 112 x 112", "max_pool2d", lambda: F.max_pool2d(randn(1, 8, 112, 112), 2), 512,
          3 * 64 * 64 * 56 * 56),
    Model("matmul, 4096", "matmul", lambda: randn(1408, 16) @ randn(16, 1536), **product(4096, 4096, 4096)),
    # As a product: channels by pixels of all images, and inputs under the window.
    Model("conv2d 1 x 1, 64 of 128 -> 128, 32 x 32", "conv2d",
          lambda: F.conv2d(randn(1, 16, 128, 128), randn(128, 16, 1, 1)), 64 * 32**2 / 128**2 * 128 / 16,
          2.0 * 64 * 32**2 * 128 * 128, 4.0 * (64 * 32**2 * 256 + 128 * 128), 64 * 32**2 // 128),
    Model("conv2d 3 x 3, 64 of 128 -> 128, 32 x 32", "conv2d",
          lambda: F.conv2d(randn(1, 2, 128, 128), randn(128, 2, 3, 3), padding=1), 64 * 32**2 / 128**2 * 128 / 2,
          2.0 * 64 * 32**2 * 128 * 128 * 9, 4.0 * (64 * 32**2 * 256 + 128 * 128 * 9), 64 * 32**2 // 128),
)  # fmt: skip


def table(devices: tuple[Device, ...]) -> str:
    """Rows by kernel, three columns a device: microseconds, the limit, occupancy."""
    head = f"{'kernel':42}" + "".join(f"{d.name:>12} us  limit          occ." for d in devices)
    rows = []
    for model in MODELS:
        _, found = model.estimates(devices)
        rows.append(f"{model.name:42}" + "".join(
            f"{1e6 * e.seconds:>12.0f} us  {e.limit:13} {100 * e.occupancy:4.0f}%" for e in found
        ))  # fmt: skip
    return "\n".join([head, *rows])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=[d.name for d in DEVICES], help="all of them")
    parser.add_argument("--registers", action="store_true", help="compile with nvcc and write registers.json")
    options = parser.parse_args(arguments)
    if not emu.is_available():
        raise SystemExit("this build of fastdl has no emulated device")
    if options.registers:
        rooms = sorted({model.room for model in MODELS})
        compile_registers(
            [ROOT / "csrc" / "ops" / room / f"{room}.cu" for room in rooms], {m.counted()[0].kernel for m in MODELS}
        )
    print(table(tuple(d for d in DEVICES if options.device in (None, d.name))))


if __name__ == "__main__":
    main()
