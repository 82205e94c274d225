"""The device run time, on the emulation and, without a device, on CUDA."""

from __future__ import annotations

import resource
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from fastdl import backends


def test_is_a_device(emu: ModuleType) -> None:
    assert emu.device_count() == 1
    assert emu.is_available()
    assert "emulation" in emu.device_name()
    emu.synchronize()


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 100_000])
def test_copies_there_and_back(emu: ModuleType, size: int) -> None:
    x = np.random.default_rng(0).standard_normal(size)
    np.testing.assert_array_equal(emu.to_numpy(emu.from_numpy(x, False)), x)


def test_new_memory_is_not_a_number(emu: ModuleType) -> None:
    assert np.isnan(emu.to_numpy(emu.empty((5, 7), "float64"))).all()


def test_memory_is_counted_and_given_back(emu: ModuleType) -> None:
    before = emu.memory_stats()["allocated"]
    a = emu.empty((1000,), "float32")
    assert emu.memory_stats()["allocated"] == before + 4000
    del a
    assert emu.memory_stats()["allocated"] == before


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize(("count", "size"), [(3000, 100_000), (20, 1 << 24)])
def test_freed_memory_goes_back(emu: ModuleType, count: int, size: int) -> None:
    before = _resident()
    for _ in range(count):  # 300 MB in all
        emu.empty((size,), "uint8")
    assert _resident() - before < 128 << 20


def test_memory_ends(emu: ModuleType) -> None:
    with pytest.raises(MemoryError, match=r"^\[cuda\] expected 1099511627776 bytes of free device memory"):
        emu.empty((1 << 40,), "uint8")


def test_allocations_of_many_sizes_do_not_overlap(emu: ModuleType) -> None:
    rng = np.random.default_rng(1)
    alive: dict[int, tuple[object, np.ndarray]] = {}
    for i in range(2000):
        x = rng.integers(0, 255, rng.integers(0, 3000)).astype(np.uint8)
        alive[i] = emu.from_numpy(x, False), x
        if len(alive) > 50:
            alive.pop(int(rng.choice(list(alive))))
    for array, x in alive.values():
        np.testing.assert_array_equal(emu.to_numpy(array), x)


def test_cuda_without_a_device_says_so() -> None:
    try:
        cuda = backends.get("cuda")
    except RuntimeError as error:
        pytest.skip(str(error))
    if cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    assert cuda.device_count() == 0
    for use in (lambda: cuda.empty((3,), "float32"), cuda.synchronize, cuda.device_name):
        with pytest.raises(RuntimeError, match=r"^\[cuda\] expected a CUDA device, got none \("):
            use()
