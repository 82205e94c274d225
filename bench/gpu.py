"""What limits a CUDA kernel, by arithmetic: occupancy and a roofline of multiply-adds, memory and shared memory.

Nothing here is measured on a device. Peaks are those of NVIDIA's data sheets and programming guide; a kernel that is
written well comes to 70 to 90 % of the roof that it meets first, one with another fault stays below.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

LATENCY = 700e-9  # from a load to its number, through the caches to memory and back, in seconds
LAUNCH = 3e-6  # a launch behind another one


@dataclass(frozen=True)
class Device:
    """A GPU: rates of the whole in numbers a second, resources of a multiprocessor."""

    name: str
    architecture: str
    multiprocessors: int
    clock: float  # boost, Hz
    flops: float  # float32, a multiply-add is two
    tensor_flops: float  # bfloat16 on tensor cores, sums in float32
    bandwidth: float  # bytes a second, of memory
    threads: int
    blocks: int
    shared_bytes: int
    registers: int = 65536


DEVICES = (
    Device("A100", "sm_80", 108, 1.41e9, 19.5e12, 312e12, 2.04e12, 2048, 32, 164 * 1024),  # SXM, 80 GB
    Device("H100", "sm_90", 132, 1.98e9, 66.9e12, 989e12, 3.35e12, 2048, 32, 228 * 1024),  # SXM
    Device("H200", "sm_90", 132, 1.98e9, 66.9e12, 989e12, 4.8e12, 2048, 32, 228 * 1024),
    Device("RTX 4090", "sm_89", 128, 2.52e9, 82.6e12, 165e12, 1.01e12, 1536, 24, 100 * 1024),
)


@dataclass(frozen=True)
class Resources:
    """What a kernel takes of a multiprocessor."""

    threads: int  # a block
    registers: int  # a thread
    shared_bytes: int = 0  # a block, static and dynamic


def blocks_resident(device: Device, kernel: Resources) -> int:
    """Blocks that fit a multiprocessor at once.

    Registers go to warps in units of 256; shared memory in units of 128 bytes, and the system takes 1 KB a block.
    """
    warps = math.ceil(kernel.threads / 32)
    by_threads = device.threads // (warps * 32)
    by_registers = device.registers // max(math.ceil(kernel.registers * 32 / 256) * 256, 256) // warps
    shared = math.ceil(kernel.shared_bytes / 128) * 128 + 1024
    return min(device.blocks, by_threads, by_registers, device.shared_bytes // shared)


def occupancy(device: Device, kernel: Resources) -> float:
    """The part of a multiprocessor's threads that is resident."""
    return blocks_resident(device, kernel) * math.ceil(kernel.threads / 32) * 32 / device.threads


@dataclass(frozen=True)
class Work:
    """What a launch does at full size."""

    blocks: int
    flops: float
    bytes: float  # of memory, each counted once
    wavefronts: float  # of shared memory
    bytes_in_flight: float  # a thread asks for before it needs the first
    tensor_cores: bool = False


@dataclass(frozen=True)
class Estimate:
    """The times that each limit alone would take, in seconds."""

    times: dict[str, float]
    occupancy: float
    filled: float  # the part of the last wave of blocks, and so of all, that has work

    @property
    def limit(self) -> str:
        """What takes longest."""
        return max(self.times, key=lambda name: self.times[name])

    @property
    def seconds(self) -> float:
        """The longest of them."""
        return self.times[self.limit]


def estimate(device: Device, kernel: Resources, work: Work) -> Estimate:
    """The roofline: arithmetic, memory, shared memory (a wavefront a clock and multiprocessor) and the launch.

    Memory is as fast as the loads under way allow (Little's law): resident threads times their bytes, in each LATENCY.
    Arithmetic and shared memory lose what the last wave of blocks leaves idle.
    """
    resident = blocks_resident(device, kernel)
    if resident == 0:
        raise ValueError(f"[estimate] expected a block that fits {device.name}, got {kernel}")
    at_once = resident * device.multiprocessors
    waves = work.blocks / at_once
    filled = waves / math.ceil(waves)
    threads = min(work.blocks, at_once) * kernel.threads
    in_flight = threads * work.bytes_in_flight / LATENCY if work.bytes_in_flight else math.inf
    times = {
        "arithmetic": work.flops / ((device.tensor_flops if work.tensor_cores else device.flops) * filled),
        "memory": work.bytes / device.bandwidth,
        "latency": work.bytes / in_flight,
        "shared memory": work.wavefronts / (device.multiprocessors * device.clock * filled),
        "launch": LAUNCH,
    }
    return Estimate(times, occupancy(device, kernel), filled)


# ---- registers, from nvcc --------------------------------------------------------------------------------------------

TABLE = Path(__file__).with_name("registers.json")
ENTRY = re.compile(r"Compiling entry function '(\w+)' for '(\w+)'")
ARCHITECTURES = sorted({device.architecture for device in DEVICES})
WARPGROUPS = "sm_90a"  # the code that may contain wgmma


def parse_ptxas(text: str) -> dict[tuple[str, str], tuple[int, int]]:
    """(architecture, mangled name) -> registers and bytes of shared memory, from the output of `nvcc -Xptxas -v`."""
    found, entry = {}, None
    for line in text.splitlines():
        if match := ENTRY.search(line):
            entry = match[2], match[1]
        elif (match := re.search(r"Used (\d+) registers", line)) and entry:
            shared = re.search(r"(\d+) bytes smem", line)
            found[entry] = int(match[1]), int(shared[1]) if shared else 0
    return found


def readable(names: list[str]) -> list[str]:
    """Names as the emulation has them: without namespaces, results and parameters."""
    shown = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    return [_short(name) for name in shown.splitlines()]


def _short(name: str) -> str:
    name = name.replace("(anonymous namespace)::", "").replace("fastdl::", "")
    depth, start = 0, 0
    for i, c in enumerate(name):
        depth += (c == "<") - (c == ">")
        if depth == 0 and c == " ":
            start = i + 1
        elif depth == 0 and c == "(":
            return name[start:i]
    return name[start:]


def compile_registers(files: list[Path], kernels: set[str]) -> None:
    """Writes registers.json for some kernels: a minute or two of nvcc."""
    root = TABLE.parents[1]
    table: dict[str, dict[str, list[int]]] = {a: {} for a in [*ARCHITECTURES, WARPGROUPS]}
    for file in files:
        architectures = [WARPGROUPS] if file.stem.endswith("_wgmma") else ARCHITECTURES
        targets = [f"-gencode=arch=compute_{a[3:]},code={a}" for a in architectures]
        command = ["nvcc", "-std=c++20", "--expt-relaxed-constexpr", "--extended-lambda", "-DFASTDL_DEVICE_CUDA=1",
                   f"-I{root / 'csrc'}", *targets, "-Xptxas", "-v", "-c", file, "-o", "/dev/null"]  # fmt: skip
        add_to(table, subprocess.run(command, capture_output=True, text=True, check=True).stderr, kernels)
    TABLE.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n")


def add_to(table: dict[str, dict[str, list[int]]], ptxas: str, kernels: set[str]) -> None:
    """Adds what ptxas said of some kernels."""
    found = parse_ptxas(ptxas)
    for ((architecture, _), used), name in zip(found.items(), readable([m for _, m in found]), strict=True):
        if name in kernels and architecture in table:
            table[architecture][name] = list(used)


def registers(architecture: str, kernel: str) -> tuple[int, int]:
    """Registers and static shared memory of a kernel, from the table. Raises KeyError for one that is not there."""
    used, shared = json.loads(TABLE.read_text())[architecture][kernel]
    return used, shared
