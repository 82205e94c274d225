"""The time that each CUDA kernel should take on a GPU, and what limits it, without one.

    python bench/model.py                        the table, from a small run of each kernel on the emulated device
    python bench/model.py --device "RTX 4090"
    python bench/model.py --registers            asks nvcc for registers and shared memory again (registers.json)

Each row runs small on `device="emu"`, which counts blocks, wavefronts and bytes; these grow with the row's `growth` to
full size. FLOPs are given by formula, since the emulation does not see arithmetic. See bench/gpu.py for the model.
"""

from __future__ import annotations

import argparse
import functools
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import fastdl
import fastdl.functional as F
from bench.gpu import DEVICES, WARPGROUPS, Device, Estimate, Resources, Work, compile_registers, estimate, registers
from fastdl import backends, emu

ROOT = Path(__file__).parents[1]


def randn(*shape: int) -> fastdl.Tensor:
    """Numbers on the emulated device."""
    return fastdl.randn(*shape).to("emu")  # no kernel besides the one that is looked at


@dataclass(frozen=True)
class Model:
    """A kernel at full size, which `run` does small: there are `growth` times as many blocks, wavefronts and bytes.

    Products grow along k, too: `half` does half of the steps, so that what a block does once is known apart, and a
    block at full size does `longer` times the steps of `run`.
    """

    name: str
    room: str
    run: Callable[[], object]
    growth: float
    flops: float = 0.0
    bytes: float | None = None  # where they do not grow like the blocks
    half: Callable[[], object] | None = None
    longer: float = 1.0
    pick: str = ""  # the kernel, of several, by the beginning of its name
    source: str = ""  # its file, where that is not named after the room

    def counted(self) -> tuple[emu.KernelTraffic, float]:
        """The traffic of the kernel, and the wavefronts that it would have at full length."""
        kernel, wavefronts = counts(self.run, self.pick)
        if self.half is not None:
            wavefronts += (self.longer - 1) * 2 * (wavefronts - counts(self.half, self.pick)[1])
        return kernel, wavefronts

    def work(self, kernel: emu.KernelTraffic, wavefronts: float) -> Work:
        """What a launch at full size does."""
        floor = self.growth * (kernel.read_floor + kernel.written_floor)
        return Work(
            blocks=round(self.growth * kernel.blocks),
            flops=self.flops,
            bytes=floor if self.bytes is None else self.bytes,
            wavefronts=self.growth * wavefronts,
            # What a thread reads, as far as registers hold it.
            bytes_in_flight=min(64.0, kernel.read / (kernel.blocks * kernel.threads)),
        )

    @property
    def file(self) -> Path:
        """Where its kernel is."""
        return ROOT / "csrc" / "ops" / self.room / f"{self.source or self.room}.cu"

    def kernel(self) -> str:
        """The kernel's name."""
        return self.counted()[0].kernel

    def estimates(self, devices: tuple[Device, ...]) -> list[Estimate]:
        """Its times on devices."""
        kernel, wavefronts = self.counted()
        work = self.work(kernel, wavefronts)
        out: list[Estimate] = []
        for device in devices:
            used, shared = registers(device.architecture, kernel.kernel)
            out.append(estimate(device, Resources(kernel.threads, used, shared), work))
        return out


@dataclass(frozen=True)
class WarpgroupModel:
    """A product in bfloat16 by the warpgroups of compute capability 9.0, by formula alone: the copy engine and wgmma
    pass the threads by, so the emulation counts nothing of what limits them. What the second-level cache delivers,
    48 bytes a clock and multiprocessor, is not in the model."""

    name: str
    file: Path
    kernel_name: str
    tiles: int  # of 128 x 256
    panels: int  # of 64 steps of k, in a tile
    flops: float
    bytes: float

    THREADS, STAGES, STAGE_BYTES = 384, 4, (128 + 256) * 128
    # Of a panel: eight products read 64 + 256 rows of 32 bytes each, and the panel is written; 128 bytes a wavefront.
    WAVEFRONTS = 8 * (64 + 256) * 32 // 128 + STAGE_BYTES // 128

    def kernel(self) -> str:
        """The kernel's name."""
        return self.kernel_name

    def estimates(self, devices: tuple[Device, ...]) -> list[Estimate | None]:
        """Its times on devices, None where it does not run."""
        work = Work(
            self.tiles, self.flops, self.bytes, self.tiles * self.panels * self.WAVEFRONTS,
            (self.STAGES - 1) * self.STAGE_BYTES / self.THREADS, tensor_cores=True,
        )  # fmt: skip
        used, static = registers(WARPGROUPS, self.kernel_name)
        resources = Resources(self.THREADS, used, static + self.STAGES * self.STAGE_BYTES + 1024)
        return [estimate(d, resources, work) if d.architecture == "sm_90" else None for d in devices]


@dataclass(frozen=True)
class InTurn:
    """Kernels that run one after another: their times add up."""

    name: str
    parts: tuple[Model, ...]

    def estimates(self, devices: tuple[Device, ...]) -> list[Sum]:
        """Their times on devices."""
        return [Sum(parts) for parts in zip(*(part.estimates(devices) for part in self.parts), strict=True)]


@dataclass(frozen=True)
class Sum:
    """Estimates that add up; limit and occupancy are those of the longest."""

    parts: tuple[Estimate, ...]

    @property
    def seconds(self) -> float:
        """The sum."""
        return sum(part.seconds for part in self.parts)

    @property
    def longest(self) -> Estimate:
        """The part that takes most of it."""
        return max(self.parts, key=lambda part: part.seconds)

    @property
    def limit(self) -> str:
        """What holds the longest part up."""
        return self.longest.limit

    @property
    def occupancy(self) -> float:
        """That of the longest part."""
        return self.longest.occupancy


@functools.cache  # the kernels of one run are several rows' business
def profiled(run: Callable[[], object]) -> emu.Profile:
    """What the accesses of a run cost."""
    with fastdl.no_grad(), emu.profile() as profile:
        run()
    return profile


def counts(run: Callable[[], object], pick: str = "") -> tuple[emu.KernelTraffic, float]:
    """The kernel with most threads of a run, of those whose names begin with `pick`, and its wavefronts."""
    profile = profiled(run)
    found = [k for k in profile.kernels if k.kernel.startswith(pick)]
    kernel = max(found, key=lambda k: (k.blocks * k.threads, k.read))
    lines = [line for line in profile.lines if line.kernel == kernel.kernel and line.space == "shared"]
    return kernel, float(sum(line.units for line in lines))


def square(k: int) -> object:
    """A product of few steps that is wide enough for tiles of 128 x 128."""
    return randn(1408, k) @ randn(k, 1536)


def pointwise(channels: int) -> object:
    """A convolution whose windows are pixels."""
    return F.conv2d(randn(1, channels, 128, 128), randn(128, channels, 1, 1))


def windows(channels: int, outs: int, size: int, algorithm: str = "direct", kernel: int = 3) -> object:
    """A convolution that keeps an image's size (3 x 3), or loses a line of it (2 x 2, for fewer steps of k)."""
    module = backends.get("emu")
    module.set_conv_algorithm(algorithm)
    try:
        return F.conv2d(randn(1, channels, size, size), randn(outs, channels, kernel, kernel), padding=kernel // 3)
    finally:
        module.set_conv_algorithm("auto")


def both_ways(images: int, channels: int, size: int) -> tuple[Model, InTurn]:
    """3 x 3 windows of as many channels in and out: direct, and by Winograd's F(4 x 4, 3 x 3)."""
    name, wide = f"conv2d 3 x 3, {images} of {channels} @ {size}", channels > 64
    pixels, tiles, pairs = images * size**2, images * math.ceil(size / 4) ** 2, channels**2
    moved = 4.0 * 2 * pixels * channels
    # Runs of 128 large tiles or 16 small ones, and half as many steps of k.
    edge, few = (129, 2) if wide else (33, 4)
    rows = min(channels, 128) if wide else 64
    direct = Model(
        f"{name}, direct", "conv2d", lambda: windows(2 * few, rows, edge, kernel=2),
        pixels / (edge - 1) ** 2 * channels / rows, 2.0 * pixels * pairs * 9, moved + 4 * 9 * pairs,
        lambda: windows(few, rows, edge, kernel=2), 9 * channels / (8 * few),
    )  # fmt: skip
    # 256 tiles of 64 x 64 pixels, 16 channels in.
    small, k, at = 256, 16, "conv2d_winograd"
    run, half = (lambda n=n: windows(n, rows, 64, "winograd") for n in (k, k // 2))
    grow, longer, wider = tiles / small, channels / k, channels / rows
    steps = (
        Model("weights", "conv2d", run, longer * wider, 300.0 * pairs, pick="transform_weights", source=at),
        Model("tiles", "conv2d", run, grow * longer, 170.0 * tiles * channels, pick="transform_tiles", source=at),
        Model("products", "conv2d", run, grow * wider, 72.0 * tiles * pairs,
              4 * 36.0 * (2 * tiles * channels + pairs), half, longer, "multiply_points", at),
        Model("outputs", "conv2d", run, grow * wider, 150.0 * tiles * channels, pick="make_outputs", source=at),
    )  # fmt: skip
    return direct, InTurn(f"{name}, Winograd", steps)


# Full sizes: 64 million numbers in elementwise kernels, batches of 32 to 64 images, products of 4096.
MODELS: tuple[Model | WarpgroupModel | InTurn, ...] = (
    Model("add, 64 M", "elementwise", lambda: randn(1 << 14) + randn(1 << 14), 4096, 2.0**26),
    Model("gelu, 64 M", "activation", lambda: F.gelu(randn(1 << 14)), 4096, 20 * 2.0**26),
    Model("sum of rows, 65536 x 1024", "reduce", lambda: randn(64, 1024).sum(1), 1024, 2.0**26),
    Model("softmax, 65536 x 1024", "softmax", lambda: F.softmax(randn(64, 1024), 1), 1024, 8 * 2.0**26),
    Model("layer_norm, 65536 x 1024", "layer_norm", lambda: F.layer_norm(randn(64, 1024), (1024,)), 1024, 8 * 2.0**26),
    Model("transpose, 8192 x 8192", "layout", lambda: randn(128, 128).t().contiguous(), 4096),
    Model("max_pool2d 2 x 2, 64 x 64 x 112 x 112", "max_pool2d", lambda: F.max_pool2d(randn(1, 8, 112, 112), 2), 512,
          3 * 64 * 64 * 56 * 56),
    Model("matmul, 4096", "matmul", lambda: square(16), 4096**2 / (1408 * 1536), 2.0 * 4096**3, 12.0 * 4096**2,
          lambda: square(8), 4096 / 16),
    Model("conv2d 1 x 1, 64 of 128 -> 128, 32 x 32", "conv2d", lambda: pointwise(16), 64 * 32**2 / 128**2,
          2.0 * 64 * 32**2 * 128 * 128, 4.0 * (64 * 32**2 * 256 + 128 * 128), lambda: pointwise(8), 128 / 16),
    *both_ways(64, 64, 56),
    *both_ways(64, 128, 28),
    *both_ways(64, 256, 28),
    *both_ways(64, 512, 14),
    WarpgroupModel("conv2d 3 x 3 in bfloat16, 64 of 128 @ 32", ROOT / "csrc/ops/matmul/windows_wgmma.cu",
                   "wgmma_windows<WgmmaTile<bfloat16, 128, 256> >", 64 * 32**2 // 256, 9 * 128 // 64,
                   2.0 * 64 * 32**2 * 128 * 128 * 9, 64 * 32**2 * 128 * (2.0 + 4.0) + 2.0 * 9 * 128 * 128),
)  # fmt: skip


def parts() -> list[Model | WarpgroupModel]:
    """The kernels of all rows."""
    return [part for row in MODELS for part in (row.parts if isinstance(row, InTurn) else (row,))]


def cell(e: Estimate | Sum | None) -> str:
    """Three columns of a row."""
    if e is None:
        return f"{'-':>12}     {'':13} {'':5}"
    return f"{1e6 * e.seconds:>12.0f} us  {e.limit:13} {100 * e.occupancy:4.0f}%"


def table(devices: tuple[Device, ...]) -> str:
    """Rows by kernel, three columns a device: microseconds, the limit, occupancy."""
    head = f"{'kernel':42}" + "".join(f"{d.name:>12} us  limit          occ." for d in devices)
    rows = []
    for model in MODELS:
        rows.append(f"{model.name:42}" + "".join(map(cell, model.estimates(devices))))
    return "\n".join([head, *rows])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=[d.name for d in DEVICES], help="all of them")
    parser.add_argument("--registers", action="store_true", help="compile with nvcc and write registers.json")
    options = parser.parse_args(arguments)
    if not emu.is_available():
        raise SystemExit("this build of fastdl has no emulated device")
    if options.registers:
        compile_registers(sorted({part.file for part in parts()}), {part.kernel() for part in parts()})
    print(table(tuple(d for d in DEVICES if options.device in (None, d.name))))


if __name__ == "__main__":
    main()
