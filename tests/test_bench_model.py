"""The model of a GPU: its arithmetic on kernels whose answer is known, and that it has registers for each row."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace

import pytest

from bench import gpu, model
from bench.gpu import DEVICES, Resources, Work
from fastdl import emu

A100, H100, H200, RTX = DEVICES
FULL = Resources(256, 32)
WORK = Work(blocks=1 << 20, flops=0, bytes=0, wavefronts=0, bytes_in_flight=64)


# 128 threads of 96 registers and 24 KB: as NVIDIA's occupancy calculator has it.
@pytest.mark.parametrize(("device", "blocks"), [(A100, 5), (H100, 5), (RTX, 4)])
def test_blocks_of_a_known_kernel(device: gpu.Device, blocks: int) -> None:
    assert gpu.blocks_resident(device, Resources(128, 96, 24 * 1024)) == blocks


@pytest.mark.parametrize(
    ("kernel", "blocks", "occupancy"),
    [
        (Resources(1024, 32), 2, 1.0),
        (Resources(1024, 33), 1, 0.5),  # 40 registers, in units of 256 for a warp
        (Resources(32, 16), 32, 0.5),  # blocks are counted, too
        (Resources(256, 128), 2, 0.25),
        (Resources(33, 32), 32, 1.0),  # two warps
        (Resources(256, 32, 100 * 1024), 1, 0.125),
        (Resources(1024, 255), 0, 0.0),
    ],
)
def test_occupancy(kernel: Resources, blocks: int, occupancy: float) -> None:
    assert gpu.blocks_resident(A100, kernel) == blocks
    assert gpu.occupancy(A100, kernel) == pytest.approx(occupancy)


def test_each_limit_can_be_the_longest() -> None:
    for change, limit, seconds in (
        ({"flops": 19.5e12}, "arithmetic", 1.0),
        ({"bytes": 2.04e12}, "memory", 1.0),
        ({"wavefronts": 108 * 1.41e9}, "shared memory", 1.0),
        ({"flops": 1e3}, "launch", gpu.LAUNCH),
    ):
        found = gpu.estimate(A100, FULL, replace(WORK, **{"blocks": 864 * 1000, **change}))
        assert (found.limit, found.seconds) == (limit, pytest.approx(seconds))


def test_few_loads_under_way_hold_memory_back() -> None:
    """A block of 32 threads on each of 108 multiprocessors, 4 bytes a thread every 700 ns."""
    work = replace(WORK, blocks=108, bytes=1e9, bytes_in_flight=4)
    found = gpu.estimate(A100, Resources(32, 255, 160 * 1024), work)
    assert found.limit == "latency"
    assert found.seconds == pytest.approx(1e9 / (108 * 32 * 4 / 700e-9))


def test_a_last_wave_of_few_blocks_costs_a_whole_one() -> None:
    two = gpu.estimate(A100, Resources(1024, 64), replace(WORK, blocks=216, flops=1e15))
    one_more = gpu.estimate(A100, Resources(1024, 64), replace(WORK, blocks=217, flops=1e15 * 217 / 216))
    assert two.filled == 1.0
    assert one_more.seconds == pytest.approx(1.5 * two.seconds)


def test_faster_memory_is_all_that_h200_has_over_h100() -> None:
    work = replace(WORK, blocks=132 * 8000, bytes=1e12, flops=1e12, wavefronts=1e9)
    h100, h200 = (gpu.estimate(d, FULL, work) for d in (H100, H200))
    assert h100.times["memory"] / h200.times["memory"] == pytest.approx(4.8 / 3.35)
    assert h100.times["arithmetic"] == h200.times["arithmetic"]


def test_a_block_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"^\[estimate\] expected a block that fits RTX 4090, got Resources"):
        gpu.estimate(RTX, Resources(256, 32, 120 * 1024), WORK)


def test_kernels_in_turn_add_up() -> None:
    parts = [gpu.estimate(A100, FULL, replace(WORK, blocks=864 * 1000, bytes=bytes)) for bytes in (2.04e12, 4.08e12)]
    total = model.Sum((parts[0], parts[1]))
    assert total.seconds == pytest.approx(3.0)
    assert (total.limit, total.occupancy) == ("memory", parts[1].occupancy)


PTXAS = """
ptxas info    : Compiling entry function '_ZN6fastdl12_GLOBAL__N_15scaleIfLi4EEEvPKT_PS2_l' for 'sm_80'
ptxas info    : Function properties for _ZN6fastdl12_GLOBAL__N_15scaleIfLi4EEEvPKT_PS2_l
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 1024 bytes smem, 400 bytes cmem[0]
ptxas info    : Compiling entry function '_ZN6fastdl12_GLOBAL__N_15scaleIfLi4EEEvPKT_PS2_l' for 'sm_90'
ptxas info    : Used 38 registers, used 0 barriers, 400 bytes cmem[0]
"""


@pytest.mark.skipif(shutil.which("c++filt") is None, reason="needs c++filt from binutils")
def test_registers_are_read_from_the_compiler() -> None:
    table: dict[str, dict[str, list[int]]] = {"sm_80": {}, "sm_90": {}}
    gpu.add_to(table, PTXAS, {"scale<float, 4>"})
    assert table == {"sm_80": {"scale<float, 4>": [40, 1024]}, "sm_90": {"scale<float, 4>": [38, 0]}}
    gpu.add_to(table, PTXAS.replace("scale", "other"), {"scale<float, 4>"})
    assert len(table["sm_80"]) == 1


def test_the_table_has_every_architecture_and_fits() -> None:
    table = json.loads(gpu.TABLE.read_text())
    assert sorted(table) == [*gpu.ARCHITECTURES, gpu.WARPGROUPS]
    for architecture, kernels in table.items():
        device = next(d for d in DEVICES if architecture.startswith(d.architecture))
        threads, least = (384, 1) if architecture == gpu.WARPGROUPS else (256, 2)
        for name, (registers, shared) in kernels.items():
            assert 0 < registers <= 255, name
            assert gpu.blocks_resident(device, Resources(threads, registers, shared)) >= least, name


@pytest.mark.skipif(not emu.is_available(), reason="this build has no emulation module")
def test_a_bandwidth_kernel_is_limited_by_memory() -> None:
    assert model.MODELS[0].kernel() == "binary_kernel<(Binary)0, 4, float>"
    for device, e in zip(DEVICES, model.MODELS[0].estimates(DEVICES), strict=True):
        assert e is not None
        assert e.limit == "memory"
        assert e.seconds == pytest.approx(3 * 4 * 2**26 / device.bandwidth)
        assert e.occupancy >= 0.75 and math.isfinite(e.filled)


def test_warpgroups_multiply_where_they_are() -> None:
    """19 GFLOP at 989 TFLOP/s, 256 tiles on 132 multiprocessors; shared memory is as busy as the tensor cores."""
    row = next(m for m in model.MODELS if isinstance(m, model.WarpgroupModel))
    a100, h100, _, rtx = row.estimates(DEVICES)
    assert a100 is None and rtx is None and h100 is not None
    assert h100.times["arithmetic"] == pytest.approx(row.flops / 989e12 * 264 / 256)
    assert h100.times["shared memory"] == pytest.approx(2 * 18 * 1024 / 1.98e9)


@pytest.mark.slow
@pytest.mark.skipif(not emu.is_available(), reason="this build has no emulation module")
def test_every_row_has_a_time_and_its_kernel_is_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    model.main(["--device", "H200"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(model.MODELS)
    limits = {line[:42].strip(): line.split(" us  ")[1].split("  ")[0].strip() for line in lines[1:]}
    assert limits["matmul, 4096"] == "arithmetic"
    assert limits["softmax, 65536 x 1024"] == "memory"
    rows = {m.name: m.estimates(DEVICES) for m in model.both_ways(64, 256, 28)}
    direct, winograd = rows.values()
    assert all(w.seconds < d.seconds / 2 for d, w in zip(direct[:3], winograd[:3], strict=True))
