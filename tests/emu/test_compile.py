"""Kernels of a user's file on the emulated device."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import fastdl
from fastdl import emu as emulation

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")

SOURCE = """
#include "cuda/launch.h"

__constant__ float factors[2] = {2.0f, 3.0f};

__global__ void __launch_bounds__(64) scale(const float* x, float* out, int n, double by, bool negative) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = x[i] * factors[1] * static_cast<float>(negative ? -by : by);
}

__global__ void grid_of(int* out) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  out[block * blockDim.x * blockDim.y + threadIdx.y * blockDim.x + threadIdx.x] = static_cast<int>(block);
}

__global__ void reversed(const int64_t* x, int64_t* out) {
  FASTDL_DYNAMIC_SHARED(bytes);
  int64_t* row = reinterpret_cast<int64_t*>(bytes);
  row[threadIdx.x] = x ? x[threadIdx.x] : 7;
  __syncthreads();
  out[threadIdx.x] = row[blockDim.x - 1 - threadIdx.x];
}

__global__ void unordered(float* out) {
  atomicAdd(&out[0], 1.0f);
  const float v = __shfl_xor_sync(0xffffffffu, out[0], 1);
  out[1 + threadIdx.x] = v;
}
"""


@pytest.fixture(name="build", scope="module")
def _build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], emulation.Kernels]:
    if not emulation.is_available():
        pytest.skip("this build has no emulation module")

    def build(source: str) -> emulation.Kernels:
        file = tmp_path_factory.mktemp("kernels") / "mine.cu"
        file.write_text(source)
        return emulation.compile(file)

    return build


@pytest.fixture(name="kernels", scope="module")
def _kernels(build: Callable[[str], emulation.Kernels]) -> emulation.Kernels:
    return build(SOURCE)


def test_arguments_of_all_kinds(kernels: emulation.Kernels, emu: ModuleType) -> None:
    x, out = fastdl.arange(100, dtype="float32", device="emu"), fastdl.zeros(100, device="emu")
    kernels.launch("scale", 2, 64, x, out, 99, 0.5, True)
    np.testing.assert_array_equal(out.cpu().numpy()[:99], -1.5 * np.arange(99, dtype=np.float32))
    assert out[99].item() == 0
    assert emu.report() == []


def test_grids_and_blocks(kernels: emulation.Kernels) -> None:
    out = fastdl.empty(2 * 3 * 2 * 32, dtype="int32", device="emu")
    kernels.launch("grid_of", (2, 3, 2), (8, 4), out)
    np.testing.assert_array_equal(out.cpu().numpy(), np.repeat(np.arange(12), 32))


def test_dynamic_shared_memory_and_null(kernels: emulation.Kernels) -> None:
    x, out = fastdl.arange(40, device="emu"), fastdl.empty(40, dtype="int64", device="emu")
    kernels.launch("reversed", 1, 40, x, out, shared_bytes=40 * 8)
    np.testing.assert_array_equal(out.cpu().numpy(), np.arange(40)[::-1])
    kernels.launch("reversed", 1, 40, None, out, shared_bytes=40 * 8)
    assert (out.cpu().numpy() == 7).all()


def test_findings_and_profile_know_the_file(kernels: emulation.Kernels, emu: ModuleType) -> None:
    out = fastdl.zeros(33, device="emu")
    with emulation.profile() as profile:
        kernels.launch("unordered", 1, 32, out)
    findings = emulation.report()
    assert {(f.kind, f.kernel, Path(f.file).name) for f in findings} == {("RACE", "unordered", "mine.cu")}
    assert {f.line for f in findings} <= {25, 26}
    lines = {(line.line, line.kind) for line in profile.lines}
    assert lines == {(25, "atomic"), (26, "read"), (27, "write")}
    assert "unordered" in emulation.kernels_run()


def test_two_files_at_once(
    kernels: emulation.Kernels, build: Callable[[str], emulation.Kernels], emu: ModuleType
) -> None:
    other = build('#include "cuda/launch.h"\n__global__ void scale(float* out) { out[threadIdx.x] += 1.0f; }\n')
    out = fastdl.empty(32, device="emu")
    other.launch("scale", 1, 32, out)
    assert [(f.kind, f.line) for f in emulation.report()] == [("UNINIT", 2)]
    emu.clear_report()
    kernels.launch("scale", 1, 32, fastdl.ones(32, device="emu"), out, 32, 1.0, False)
    assert out.tolist() == [3.0] * 32


def test_wrong_arguments(kernels: emulation.Kernels) -> None:
    out = fastdl.zeros(33, device="emu")
    for arguments, error, message in (
        (("scales", 1, 32), ValueError, "[launch] expected one of scale, grid_of, reversed, unordered, got 'scales'"),
        (("unordered", 1, 32), ValueError, "[unordered] expected 1 arguments, got 0"),
        (("unordered", 1, 32, 5), TypeError, "[unordered] expected a tensor of float32 on emu for argument 0, got int"),
        (("unordered", 1, 32, out.cpu()), TypeError,
         "[unordered] expected a tensor of float32 on emu for argument 0, got float32 on cpu"),
        (("grid_of", 1, 32, out), TypeError,
         "[grid_of] expected a tensor of int32 on emu for argument 0, got float32 on emu"),
        (("scale", 1, 32, out, out, "n", 1.0, True), TypeError,
         "[scale] expected a number (i4) for argument 2, got str"),
        (("unordered", (1, 2, 3, 4), 32, out), ValueError,
         "[launch] expected one to three sizes for grid, got (1, 2, 3, 4)"),
        (("unordered", 1, 2000, out), RuntimeError,
         "[kernel launch] expected a launch that the device accepts, got a block of (2000, 1, 1)"),
    ):  # fmt: skip
        with pytest.raises(error) as raised:
            kernels.launch(*arguments)
        assert str(raised.value) == message


def test_files_that_do_not_compile(build: Callable[[str], emulation.Kernels]) -> None:
    with pytest.raises(ValueError, match=r"^\[compile\] expected a file with kernels"):
        build("int main() {}")
    with pytest.raises(RuntimeError, match=r"(?s)^\[compile\] expected CUDA C\+\+ that g\+\+ compiles.*mine.cu:2"):
        build('#include "cuda/launch.h"\n__global__ void bad(float* x) { x[0] = nothing; }\n')
