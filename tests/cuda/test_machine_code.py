"""Products on tensor cores as nvcc compiles them: registers, no spills, the blocks that share a multiprocessor, and the
instructions that the kernels are about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from .conftest import ROOT, demangled, run_program, short_name

pytestmark = pytest.mark.slow  # half a minute an architecture
SOURCES = {
    "mma_windows": ROOT / "csrc/ops/matmul/matmul_mma.cu",
    "mma_taps": ROOT / "csrc/ops/conv2d/conv2d_weight_mma.cu",
}
SHARED_OF_MULTIPROCESSOR = {"80": 164, "86": 100, "90": 228}  # KB
REGISTERS_OF_MULTIPROCESSOR = 65536
RESERVED_SHARED = 1024  # of a block, by the system
THREADS, STAGES, PANEL_BYTES = 128, 4, 64
# Registers at most, and blocks of 8.0, 8.6 and 9.0 at least. Two large blocks keep busy while one of them waits.
BARS = {
    ("mma_windows", 128): (240, (2, 1, 2)),
    ("mma_windows", 64): (112, (4, 2, 4)),
    ("mma_taps", 128): (255, (2, 1, 2)),
    ("mma_taps", 64): (168, (3, 2, 3)),
}
PRODUCT = {"bfloat16": "HMMA.16816.F32.BF16", "float16": "HMMA.16816.F32 ", "tfloat32": "HMMA.1688.F32.TF32"}


@dataclass
class Kernel:
    registers: int
    stack: int
    spilled: int
    static_shared: int
    code: str


def kernels(nvcc, sass, source: Path, arch: str, folder: Path) -> dict[str, Kernel]:
    """By name, with template arguments."""
    cubin = folder / f"{source.stem}_{arch}.cubin"
    told = nvcc("-cubin", f"-arch=sm_{arch}", "-Xptxas", "-v", source, "-o", cubin)
    code = functions(sass(cubin))
    found = {}
    for part in told.split("Compiling entry function ")[1:]:
        symbol = part.split("'")[1]
        stack, stores, loads = map(int, re.findall(r"(\d+) bytes (?:stack frame|spill)", part)[:3])
        shared = re.search(r"(\d+) bytes smem", part)
        name = re.sub(r"\(anonymous namespace\)::|fastdl::", "", run_program("c++filt", symbol))
        registers = int(re.search(r"Used (\d+) registers", part)[1])
        found[name] = Kernel(registers, stack, stores + loads, int(shared[1]) if shared else 0, code[symbol])
    return found


def functions(sass: str) -> dict[str, str]:
    """Symbol -> instructions."""
    return dict(re.findall(r"Function : (\S+)\n(.*?)(?=\n\s*\.{10,})", sass, re.DOTALL))


def built(built_kernels, built_code, kernel: str) -> dict[str, Kernel]:
    """The same of the CUDA module, for sm_90a; local memory is where spilled registers go."""
    code = functions(built_code(kernel))
    by_name = dict(zip(map(short_name, demangled(list(code))), code.values(), strict=True))
    return {
        name: Kernel(registers, stack, local, shared, by_name[name])
        for name, registers, stack, local, shared, _ in built_kernels()
        if name.startswith(f"{kernel}<")
    }


def blocks(kernel: Kernel, tile: int, arch: str) -> int:
    """Blocks that share a multiprocessor; registers are given in eights."""
    shared = 2 * tile * PANEL_BYTES * STAGES + kernel.static_shared + RESERVED_SHARED
    by_registers = REGISTERS_OF_MULTIPROCESSOR // (-(-kernel.registers // 8) * 8 * THREADS)
    return min(by_registers, SHARED_OF_MULTIPROCESSOR[arch] * 1024 // shared)


def instructions(code: str, name: str) -> int:
    """How many there are that a predicate does not switch off for good."""
    return sum(name in line and "@!PT" not in line for line in code.splitlines())


@pytest.mark.parametrize("arch", SHARED_OF_MULTIPROCESSOR)
@pytest.mark.parametrize("kernel", SOURCES)
def test_registers_and_instructions(request, kernel, arch):
    if arch == "90":
        found = built(*map(request.getfixturevalue, ("built_kernels", "built_code")), kernel)
    else:
        nvcc, sass, folder = map(request.getfixturevalue, ("nvcc", "sass", "tmp_path"))
        found = kernels(nvcc, sass, SOURCES[kernel], arch, folder)
    for name, k in found.items():
        assert (k.stack, k.spilled) == (0, 0), name
        assert instructions(k.code, "LDL") == instructions(k.code, "STL") == 0, name
    for number, product in PRODUCT.items():
        for tile in (64, 128):
            name = next(n for n in found if f"{kernel}<MmaTile<{number}, {tile}, {tile}>" in n)
            k = found[name]
            most, least = BARS[kernel, tile]
            assert k.registers <= most, name
            assert blocks(k, tile, arch) >= least[list(SHARED_OF_MULTIPROCESSOR).index(arch)], name

            # A panel: products of 16 x 8 for a quarter of the tile in two steps, and what loads their operands.
            rows, columns = tile // 32, tile // 16
            assert instructions(k.code, product) == 2 * rows * columns, name
            assert instructions(k.code, "HMMA") == 2 * rows * columns, name
            assert instructions(k.code, "LDGSTS") >= 2 * tile // 32 * STAGES, name
            loads = instructions(k.code, "LDSM.16.M88.4" if kernel == "mma_windows" else "LDSM.16.MT88.4")
            if kernel == "mma_taps" and number == "tfloat32":  # ldmatrix does not turn numbers of 32 bits
                assert loads == 0, name
                assert instructions(k.code, "LDS") >= 2 * 4 * (rows + columns // 2), name
            else:
                assert loads == 2 * (rows + columns // 2), name


@pytest.mark.parametrize("source", SOURCES.values(), ids=lambda p: p.stem)
def test_compiles_without_tensor_cores(nvcc, tmp_path, source):
    """For 7.5 the kernels stop at their first instruction, and no launcher starts them."""
    nvcc("-cubin", "-arch=sm_75", source, "-o", tmp_path / "a.cubin")
