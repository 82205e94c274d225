"""Winograd's kernels as nvcc compiles them: registers, no spills, the blocks that share a multiprocessor, and whether
the products multiply and read shared memory as often as their tiles say."""

from __future__ import annotations

import pytest

from .conftest import ROOT
from .test_machine_code import REGISTERS_OF_MULTIPROCESSOR, instructions, kernels

pytestmark = pytest.mark.slow  # some seconds an architecture
FOLDER = ROOT / "csrc/ops/conv2d"
# Threads of a block, registers at most, and threads of a multiprocessor at least: half of the registers hold sums.
PRODUCTS = {"GemmTile<float, 128, 128": (256, 128, 512), "GemmTile<float, 64, 128": (128, 128, 512)}
TRANSFORMS = {
    "transform_tiles<6>": (192, 40, 1152),
    "transform_tiles<4>": (192, 40, 1152),
    "transform_weights": (256, 64, 1024),
    "make_outputs": (192, 56, 1152),
    "make_weights": (256, 64, 1024),
}
# Of a multiprocessor: threads, KB of shared memory. And the steps of k that products have in a row in their code.
MULTIPROCESSORS = {"80": (2048, 164, 8), "86": (1536, 100, 8), "90": (2048, 228, 8), "100": (2048, 228, 2),
                   "120": (1536, 100, 2)}  # fmt: skip


@pytest.mark.parametrize("arch", MULTIPROCESSORS)
@pytest.mark.parametrize("source", ["conv2d_winograd", "conv2d_winograd_weight"])
def test_registers_and_instructions(nvcc, sass, tmp_path, source, arch):
    most_threads, shared_kb, steps = MULTIPROCESSORS[arch]
    found = kernels(nvcc, sass, FOLDER / f"{source}.cu", arch, tmp_path)
    assert found
    for name, k in found.items():
        assert (k.stack, k.spilled) == (0, 0), name
        assert instructions(k.code, "LDL") == instructions(k.code, "STL") == 0, name
        products = "multiply_points" in name
        (threads, most, resident), *_ = (
            v for part, v in (PRODUCTS if products else TRANSFORMS).items() if part in name
        )
        assert k.registers <= most, name
        by_registers = REGISTERS_OF_MULTIPROCESSOR // (-(-k.registers // 8) * 8 * threads)
        by_shared = shared_kb * 1024 // (k.static_shared + 1024)
        assert min(by_registers, by_shared, most_threads // threads) * threads >= resident, name
        if products:
            # A panel of 8 steps, once in the code: 8 x 8 multiply-adds and four reads of 16 bytes for each.
            assert instructions(k.code, "FFMA") == steps * 64, name
            assert instructions(k.code, "LDS.128") >= steps * 4, name
