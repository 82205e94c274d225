"""Where a lane's registers stand in matrices, against CuTe's description of the same instructions: the emulation could
be wrong in the same way as the kernels that were tried on it.

CuTe's headers come with `pip install nvidia-cutlass==4.2.0.0`, or CUTLASS_INCLUDE names their folder; the tests run
where they are found. Nothing of them is used elsewhere.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from tests.emu.test_tensorcore import ROW, TWO, fragments_16, fragments_32, results

from .conftest import run_program

PROGRAM = """
#include <cstdio>
#include <cute/atom/copy_traits_sm75.hpp>
#include <cute/atom/mma_traits_sm80.hpp>

template <class Layout>
void show(const char* name, Layout layout) {
  for (int lane = 0; lane < cute::size<0>(layout); ++lane)
    for (int v = 0; v < cute::size<1>(layout); ++v) std::printf("%s %d\\n", name, int(layout(lane, v)));
}
template <class Operation>
void show_product(const char* a, const char* b, const char* c) {
  using Traits = cute::MMA_Traits<Operation>;
  show(a, typename Traits::ALayout{});
  show(b, typename Traits::BLayout{});
  show(c, typename Traits::CLayout{});
}
int main() {
  show_product<cute::SM80_16x8x16_F32BF16BF16F32_TN>("bfloat16_a", "bfloat16_b", "bfloat16_c");
  show_product<cute::SM80_16x8x16_F32F16F16F32_TN>("float16_a", "float16_b", "float16_c");
  show_product<cute::SM80_16x8x8_F32TF32TF32F32_TN>("tfloat32_a", "tfloat32_b", "tfloat32_c");
  show("from", typename cute::Copy_Traits<cute::SM75_U32x4_LDSM_N>::SrcLayout{});
  show("matrices", typename cute::Copy_Traits<cute::SM75_U32x4_LDSM_N>::DstLayout{});
  show("transposed", typename cute::Copy_Traits<cute::SM75_U16x8_LDSM_T>::DstLayout{});
}
"""


def headers() -> str:
    if folder := os.environ.get("CUTLASS_INCLUDE"):
        return folder
    spec = importlib.util.find_spec("cutlass_library")
    if spec is None or spec.origin is None:
        pytest.skip("CuTe's headers are not installed (the wheel nvidia-cutlass has them)")
    return str(Path(spec.origin).parent / "source" / "include")


@pytest.fixture(name="cute", scope="module")
def _cute(nvcc, tmp_path_factory) -> dict[str, np.ndarray]:
    """Layout -> for each lane and value, where it stands in the matrix (column by column)."""
    folder = tmp_path_factory.mktemp("cute")
    source, program = folder / "layouts.cu", folder / "layouts"
    source.write_text(PROGRAM)
    nvcc("-w", "-I", headers(), source, "-o", program)
    found: dict[str, list[int]] = {}
    for name, place in (line.split() for line in run_program(str(program)).splitlines()):
        found.setdefault(name, []).append(int(place))
    return {name: np.array(places).reshape(32, -1) for name, places in found.items()}


def numbered(rows: int, columns: int) -> np.ndarray:
    """Each number says where it stands, column by column."""
    return np.arange(rows * columns).reshape(columns, rows).T


@pytest.mark.parametrize("number", ["bfloat16", "float16"])
def test_fragments_of_16_bits(cute, number):
    for operand, rows in (("a", 16), ("b", 8)):
        registers = fragments_16(numbered(rows, 16).astype(np.uint16))
        np.testing.assert_array_equal(np.ascontiguousarray(registers).view(np.uint16), cute[f"{number}_{operand}"])


def test_fragments_of_tfloat32(cute):
    for operand, rows in (("a", 16), ("b", 8)):
        np.testing.assert_array_equal(fragments_32(numbered(rows, 8).astype(np.int32)), cute[f"tfloat32_{operand}"])


@pytest.mark.parametrize("number", ["bfloat16", "float16", "tfloat32"])
def test_places_of_results(cute, number):
    np.testing.assert_array_equal(results(cute[f"{number}_c"].astype(np.float32)), numbered(16, 8))


def test_loads_of_matrices(cute):
    """Counted in bits: 16 a number, 128 a row, 1024 a matrix."""
    np.testing.assert_array_equal(cute["from"][:, 0], 128 * np.arange(32))
    for kind in ("matrices", "transposed"):
        places = cute[kind].reshape(32, 4, 2, 16)[..., 0] // 16  # lane, register, half
        for matrix in range(4):
            for half in range(2):
                row, column = (2 * TWO + half, ROW) if kind == "transposed" else (ROW, 2 * TWO + half)
                np.testing.assert_array_equal(places[:, matrix, half], matrix * 64 + row * 8 + column)
