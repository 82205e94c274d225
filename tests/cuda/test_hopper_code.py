"""Products by warpgroups as nvcc compiles them for sm_90a: registers, instructions, the operands of the inline PTX of
cuda/hopper.cuh, and layouts against CuTe's description of the same instructions."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.emu.test_hopper import descriptor

from .conftest import ROOT, run_program
from .test_fragments import headers
from .test_machine_code import built, instructions
from .test_ptx_operands import operands, places

SOURCES = {
    "wgmma_product": ROOT / "csrc/ops/matmul/matmul_wgmma.cu",
    "wgmma_windows": ROOT / "csrc/ops/matmul/windows_wgmma.cu",
}
# Of a multiprocessor of 9.0: 65536 registers for 384 threads, in eights; 227 KB of shared memory for a block.
MOST_REGISTERS, MOST_SHARED = 168, 227 * 1024
PRODUCT = {
    "bfloat16": "HGMMA.64x{}x16.F32.BF16",
    "float16": "HGMMA.64x{}x16.F32 ",
    "tfloat32": "HGMMA.64x{}x8.F32.TF32",
}
STAGES, ROW_BYTES, PATTERN = 4, 128, 1024
TILES = ((128, 128), (128, 256), (64, 256))


# ---- machine code ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", SOURCES)
def test_registers_and_instructions(built_kernels, built_code, kernel):
    found = built(built_kernels, built_code, kernel)
    assert found
    for name, k in found.items():
        assert (k.stack, k.spilled) == (0, 0), name
        assert instructions(k.code, "LDL") == instructions(k.code, "STL") == 0, name
    for number, product in PRODUCT.items():
        for rows, columns in TILES:
            name = next(n for n in found if f"{kernel}<WgmmaTile<{number}, {rows}, {columns}>" in n)
            k = found[name]
            assert k.registers <= MOST_REGISTERS, name
            stage = (rows + columns) * ROW_BYTES
            assert STAGES * stage + PATTERN + k.static_shared <= MOST_SHARED, name
            own = columns * rows // 128  # of a consumer
            assert instructions(k.code, product.format(own)) == 4, name  # a panel of 128 bytes of k
            assert instructions(k.code, "HGMMA") == 4, name
            assert instructions(k.code, "HMMA") == instructions(k.code, "LDGSTS") == 0, name
            windows = kernel == "wgmma_windows"
            assert instructions(k.code, "UTMALDG.3D") == (1 if windows else 2), name
            assert instructions(k.code, "UTMALDG.4D.IM2COL") == (1 if windows else 0), name
            assert instructions(k.code, "USETMAXREG") >= 2, name
            # No operand passes through registers: threads read nothing but arguments, bias and mbarriers.
            assert instructions(k.code, "LDS") == 0, name


@pytest.mark.parametrize("source", SOURCES.values(), ids=lambda p: p.stem)
def test_compiles_for_devices_without_it(nvcc, tmp_path, source):
    """There the kernels stop at their first instruction, and no launcher starts them."""
    nvcc("-cubin", "-arch=sm_75", source, "-o", tmp_path / "a.cubin")


# ---- inline PTX -----------------------------------------------------------------------------------------------------

PTX = """
#include "cuda/hopper.cuh"
using namespace fastdl;
#define IN(T, i) *reinterpret_cast<const T*>(in + (i) * 16)
template <class Number, int kSums>
__device__ void product(const uint32_t* in, uint32_t* out) {
  float d[kSums];
#pragma unroll
  for (int i = 0; i < kSums; ++i) d[i] = IN(float, i);
  wgmma(Number{}, d, IN(uint64_t, kSums), IN(uint64_t, kSums + 1), IN(uint32_t, kSums + 2) != 0);
#pragma unroll
  for (int i = 0; i < kSums; ++i) *reinterpret_cast<float*>(out + i * 16) = d[i];
}
#define KERNEL(name) extern "C" __global__ void name(const uint32_t* in, uint32_t* out)
KERNEL(bfloat16_128) { product<bfloat16, 64>(in, out); }
KERNEL(bfloat16_256) { product<bfloat16, 128>(in, out); }
KERNEL(float16_128) { product<float16, 64>(in, out); }
KERNEL(float16_256) { product<float16, 128>(in, out); }
KERNEL(tfloat32_128) { product<tfloat32, 64>(in, out); }
KERNEL(tfloat32_256) { product<tfloat32, 128>(in, out); }
KERNEL(rectangle) {
  extern __shared__ unsigned char bytes[];
  cp_async_bulk_tensor(bytes + 48, reinterpret_cast<const TensorMap*>(in + 32), {IN(int, 3), IN(int, 4)},
                       reinterpret_cast<uint64_t*>(bytes + 16));
}
KERNEL(box) {
  extern __shared__ unsigned char bytes[];
  cp_async_bulk_tensor(bytes + 48, reinterpret_cast<const TensorMap*>(in + 32), {IN(int, 3), IN(int, 4), IN(int, 5)},
                       reinterpret_cast<uint64_t*>(bytes + 16));
}
KERNEL(pixels) {
  extern __shared__ unsigned char bytes[];
  cp_async_bulk_tensor_im2col(bytes + 48, reinterpret_cast<const TensorMap*>(in + 32),
                              {IN(int, 3), IN(int, 4), IN(int, 5), IN(int, 6)}, {IN(uint16_t, 7), IN(uint16_t, 8)},
                              reinterpret_cast<uint64_t*>(bytes + 16));
}
KERNEL(barriers) {
  extern __shared__ unsigned char bytes[];
  uint64_t* b = reinterpret_cast<uint64_t*>(bytes);
  mbarrier_init(b + 1, IN(uint32_t, 3));
  mbarrier_arrive_expect_tx(b + 2, IN(uint32_t, 4));
  mbarrier_arrive(b + 3);
  mbarrier_wait_parity(b + 4, IN(uint32_t, 5));
}
KERNEL(order) {
  out[0] = 1;
  fence_mbarrier_init();
  out[16] = 2;
  fence_proxy_async();
  out[32] = 3;
  wgmma_fence();
  out[48] = 4;
  wgmma_commit_group();
  out[64] = 5;
  wgmma_wait_group<3>();
  out[80] = 6;
  prefetch_tensormap(reinterpret_cast<const TensorMap*>(in + 32));
  out[96] = 7;
  setmaxnreg_dec<40>();
  setmaxnreg_inc<232>();
}
"""
SHAPES = {
    "bfloat16": ("m64n{}k16.f32.bf16.bf16", "add, 1, 1, 0, 0;"),
    "float16": ("m64n{}k16.f32.f16.f16", "add, 1, 1, 0, 0;"),
    "tfloat32": ("m64n{}k8.f32.tf32.tf32", "add, 1, 1;"),
}
COLUMNS = (128, 256)


@pytest.fixture(name="ptx", scope="module")
def _ptx(nvcc, tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("ptx")
    source, text = folder / "kernels.cu", folder / "kernels.ptx"
    source.write_text(PTX)
    nvcc("-ptx", "-arch=sm_90a", source, "-o", text)
    return dict(part.split("(", 1) for part in text.read_text().split(".visible .entry ")[1:])


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("number", SHAPES)
def test_operands_of_products(ptx, number, columns):
    text, sums = ptx[f"{number}_{columns}"], columns // 2
    shape, ending = SHAPES[number]
    (line,) = [line for line in text.splitlines() if "wgmma.mma_async.sync.aligned." + shape.format(columns) in line]
    assert line.rstrip().endswith(ending)
    registers = operands(text, "wgmma.mma_async")
    loads, stores = places(text, "ld"), places(text, "st")
    assert [loads[r] for r in registers] == list(range(sums + 2))
    assert [stores[r] for r in registers[:sums]] == list(range(sums))
    (predicate,) = re.findall(r"setp\.ne\.b32 add, (%\w+), 0;", text)
    assert re.search(rf"selp\S*\s+{predicate}, 1, 0, %\w+;", text)


def shared_offset(text: str, register: str) -> int:
    (offset,) = re.findall(rf"add\.s32\s+{register}, %\w+, (\d+);", text)
    return int(offset)


BULK = "cp.async.bulk.tensor.{}.shared::cluster.global.{}.mbarrier::complete_tx::bytes"
COPIES = {"rectangle": (BULK.format("2d", "tile"), 2, 0), "box": (BULK.format("3d", "tile"), 3, 0),
          "pixels": (BULK.format("4d", "im2col"), 4, 2)}  # fmt: skip


@pytest.mark.parametrize("name", COPIES)
def test_operands_of_copies(ptx, name):
    """Where to, the map, where in the array, the mbarrier, and the offset of a tap."""
    instruction, axes, offsets = COPIES[name]
    text, register = ptx[name], r"(%\w+)"
    place, tap = (r"\{" + ", ".join([register] * n) + r"\}" for n in (axes, offsets))
    pattern = rf"{re.escape(instruction)} \[{register}\], \[{register}, {place}\], \[{register}\]"
    ((to, tensor, *rest),) = re.findall(pattern + (f", {tap};" if offsets else ";"), text)
    barrier = rest.pop(axes)
    assert (shared_offset(text, to), shared_offset(text, barrier)) == (48, 16)
    assert re.search(rf"add\.s64\s+{tensor}, %\w+, 128;", text)
    assert [places(text, "ld")[r] for r in rest] == [3, 4, 5, 6, 7, 8][: axes + offsets]


# Instruction, its result, where in shared memory the mbarrier is, and the load that brings the other operand.
MBARRIERS = {
    "mbarrier.init.shared.b64": ("", 8, 3),
    "mbarrier.arrive.expect_tx.release.cta.shared::cta.b64": ("state, ", 16, 4),
    "mbarrier.arrive.shared.b64": ("state, ", 24, None),
    "mbarrier.try_wait.parity.shared::cta.b64": ("over, ", 32, 5),
}


@pytest.mark.parametrize("instruction", MBARRIERS)
def test_operands_of_mbarriers(ptx, instruction):
    text, (result, offset, argument) = ptx["barriers"], MBARRIERS[instruction]
    value = "" if argument is None else r", (%\w+)"
    (found,) = re.finditer(rf"{re.escape(instruction)} {result}\[(%\w+)\]{value};", text)
    assert shared_offset(text, found[1]) == offset
    assert argument is None or places(text, "ld")[found[2]] == argument


# In the order of the kernel `order`, with a store between each two: the compiler must move none of them past its fence.
IN_ORDER = {
    "fence.mbarrier_init.release.cluster": "",
    "fence.proxy.async.shared::cta": "",
    "wgmma.fence.sync.aligned": "",
    "wgmma.commit_group.sync.aligned": "",
    "wgmma.wait_group.sync.aligned": " 3",
    "prefetch.tensormap": r" \[(%\w+)\]",
}
REGISTERS = {"setmaxnreg.dec.sync.aligned.u32": 40, "setmaxnreg.inc.sync.aligned.u32": 232}


@pytest.mark.parametrize("instruction", IN_ORDER)
def test_fences_stay_between_stores(ptx, instruction):
    text, number = ptx["order"], list(IN_ORDER).index(instruction)
    (found,) = re.finditer(rf"{re.escape(instruction)}{IN_ORDER[instruction]};", text)
    stores = {int(m[1] or 0) // 64: m.start() for m in re.finditer(r"st\.global\.\w+\s+\[%\w+(?:\+(\d+))?\]", text)}
    assert sorted(stores) == list(range(7))
    assert stores[number] < found.start() < stores[number + 1]
    if instruction == "prefetch.tensormap":
        assert re.search(rf"add\.s64\s+{found[1]}, %\w+, 128;", text)


@pytest.mark.parametrize("instruction", REGISTERS)
def test_registers_of_a_thread(ptx, instruction):
    assert len(re.findall(rf"{re.escape(instruction)} {REGISTERS[instruction]};", ptx["order"])) == 1


def instructions_with_operand_tests() -> set[str]:
    """The instructions whose operands the tests above look at."""
    products = {f"wgmma.mma_async.sync.aligned.{s.format(n)}" for s, _ in SHAPES.values() for n in COLUMNS}
    return products | {i for i, _, _ in COPIES.values()} | {*MBARRIERS, *IN_ORDER, *REGISTERS}


# ---- layouts --------------------------------------------------------------------------------------------------------

CUTE = """
#include <cstdio>
#include <cute/arch/mma_sm90_desc.hpp>
#include <cute/atom/mma_traits_sm90_gmma.hpp>
int main() {
  cute::SM90::GMMA::CLayout_64x256 sums;
  for (int thread = 0; thread < 128; ++thread)
    for (int i = 0; i < 128; ++i) std::printf("sums %d\\n", int(sums(thread, i)));
  for (int byte = 0; byte < 2048; ++byte) std::printf("swizzle %d\\n", int(cute::Swizzle<3, 4, 3>{}(byte)));
  cute::GmmaDescriptor d;
  d.bitfield.start_address_ = 3 * 1024 >> 4;
  d.bitfield.leading_byte_offset_ = 1;
  d.bitfield.stride_byte_offset_ = 1024 >> 4;
  d.bitfield.layout_type_ = static_cast<unsigned char>(cute::SM90::GMMA::LayoutType::B128);
  std::printf("descriptor %llu\\n", static_cast<unsigned long long>(d.desc_));
}
"""


@pytest.fixture(name="cute", scope="module")
def _cute(nvcc, tmp_path_factory) -> dict[str, np.ndarray]:
    folder = tmp_path_factory.mktemp("cute")
    source, program = folder / "layouts.cu", folder / "layouts"
    source.write_text(CUTE)
    nvcc("-w", "-I", headers(), source, "-o", program)
    found: dict[str, list[int]] = {}
    for name, place in (line.split() for line in run_program(str(program)).splitlines()):
        found.setdefault(name, []).append(int(place))
    return {name: np.array(numbers, np.uint64) for name, numbers in found.items()}


def test_places_of_sums(cute):
    thread, i = np.arange(128)[:, None], np.arange(128)[None]
    row, column = 16 * (thread // 32) + thread % 32 // 4 + 8 * (i % 4 // 2), 8 * (i // 4) + 2 * (thread % 4) + i % 2
    np.testing.assert_array_equal(cute["sums"].reshape(128, 128), row + 64 * column)


def test_swizzle(cute):
    """Bytes of rows of 128: chunk c of row r lies at chunk c ^ (r % 8)."""
    row, chunk, byte = np.unravel_index(np.arange(2048), (16, 8, 16))
    np.testing.assert_array_equal(cute["swizzle"], row * 128 + (chunk ^ (row % 8)) * 16 + byte)


def test_descriptor(cute):
    """Of a tile at 3 KB. tests/emu/test_hopper.py compares it with what a kernel makes."""
    assert int(cute["descriptor"][0]) == descriptor(3 * 1024)
