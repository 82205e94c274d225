"""Winograd's kernels as nvcc compiles them: registers, no spills, the blocks that share a multiprocessor, and whether
the products multiply and read shared memory as often as their tiles say."""

from __future__ import annotations

import pytest

from .conftest import ROOT
from .test_machine_code import REGISTERS_OF_MULTIPROCESSOR, SHARED_OF_MULTIPROCESSOR, instructions, kernels

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
THREADS = {"80": 2048, "86": 1536, "90": 2048}


@pytest.mark.parametrize("arch", THREADS)
@pytest.mark.parametrize("source", ["conv2d_winograd", "conv2d_winograd_weight"])
def test_registers_and_instructions(nvcc, sass, tmp_path, source, arch):
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
        by_shared = SHARED_OF_MULTIPROCESSOR[arch] * 1024 // (k.static_shared + 1024)
        assert min(by_registers, by_shared, THREADS[arch] // threads) * threads >= resident, name
        if products:
            # A panel of 8 steps: 8 x 8 multiply-adds and four reads of 16 bytes each, once in the code.
            assert instructions(k.code, "FFMA") == 8 * 64, name
            assert instructions(k.code, "LDS.128") >= 8 * 4, name
