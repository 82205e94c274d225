"""The caching allocator, on the emulation with its cache switched on: classes, streams, shortage, counters."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest

import fastdl
from fastdl import cuda


@pytest.fixture(name="caching")
def _caching(emu: ModuleType) -> Iterator[ModuleType]:
    emu.set_caching(True)
    yield emu
    emu.set_stream(0)
    emu.set_caching(False)


def test_freed_memory_is_reused_for_its_size_class(caching: ModuleType) -> None:
    a = caching.empty((1000,), "float32")  # 4000 bytes take 4096
    address = a.address
    del a
    assert caching.empty((1024,), "float32").address == address
    assert caching.empty((1025,), "float32").address != address


@pytest.mark.parametrize("size", [0, 1, 256, 257, 1023, 1025, 5 * 256 + 1, 1 << 20, (1 << 20) + 1])
def test_classes_waste_at_most_a_quarter(caching: ModuleType, size: int) -> None:
    before = cuda.memory_allocated("emu")
    a = caching.empty((size,), "uint8")
    taken = cuda.memory_allocated("emu") - before
    assert size <= taken <= max(1024, size * 1.25)
    assert taken % 256 == 0
    assert a.address % 256 == 0


def test_memory_stays_with_its_stream(caching: ModuleType) -> None:
    side = cuda.Stream("emu")
    a = caching.empty((100,), "float32")
    address = a.address
    del a
    with side:
        b = caching.empty((100,), "float32")
        assert b.address != address
        other = b.address
        del b
        assert caching.empty((100,), "float32").address == other
    assert caching.empty((100,), "float32").address == address


def test_memory_freed_under_another_stream_goes_home(caching: ModuleType) -> None:
    a = caching.empty((100,), "float32")
    address = a.address
    with cuda.Stream("emu"):
        del a
        assert caching.empty((100,), "float32").address != address
    assert caching.empty((100,), "float32").address == address


def test_record_stream_waits_for_the_other_stream(caching: ModuleType) -> None:
    x = fastdl.zeros(100, device="emu")
    address, side = x.data_ptr(), cuda.Stream("emu")
    x.record_stream(side)
    x.record_stream(side)
    side.record_event()
    del x
    assert caching.empty((100,), "float32").address == address  # the stream is done, so its event has passed
    with pytest.raises(ValueError, match=r"^\[record_stream\] expected a stream of the tensor's device cpu"):
        fastdl.zeros(1).record_stream(side)


def test_empty_cache_gives_back(caching: ModuleType) -> None:
    cuda.empty_cache("emu")
    before = cuda.memory_reserved("emu")
    a = caching.empty((5000,), "float32")
    del a
    assert cuda.memory_reserved("emu") > before
    cuda.empty_cache("emu")
    assert cuda.memory_reserved("emu") == before


def test_counters(caching: ModuleType) -> None:
    cuda.empty_cache("emu")
    cuda.reset_accumulated_memory_stats("emu")
    cuda.reset_peak_memory_stats("emu")
    base, reserved = cuda.memory_allocated("emu"), cuda.memory_reserved("emu")
    a = caching.empty((1024,), "float32")
    b = caching.empty((1024,), "float32")
    assert cuda.memory_allocated("emu") - base == 8192
    del a, b
    c = caching.empty((1024,), "float32")
    stats = cuda.memory_stats("emu")
    assert stats["allocated_bytes.all.current"] - base == c.size * 4
    assert stats["allocated_bytes.all.allocated"] == 3 * 4096
    assert stats["allocated_bytes.all.freed"] == 2 * 4096
    assert stats["allocation.all.allocated"] == 3
    assert stats["segment.all.allocated"] == stats["num_device_alloc"] == 2
    assert cuda.max_memory_allocated("emu") - base == 8192
    assert cuda.memory_reserved("emu") - reserved == cuda.max_memory_reserved("emu") - reserved == 8192
    cuda.reset_peak_memory_stats("emu")
    assert cuda.max_memory_allocated("emu") - base == 4096
    assert caching.memory_stats() == {
        "allocated": cuda.memory_allocated("emu"),
        "cached": cuda.memory_reserved("emu") - cuda.memory_allocated("emu"),
        "peak": cuda.max_memory_allocated("emu"),
    }


@pytest.fixture(name="megabyte")
def _megabyte(caching: ModuleType) -> Iterator[int]:
    """A device that has one megabyte left."""
    cuda.empty_cache("emu")
    total = cuda.mem_get_info("emu")[1]
    cuda.set_per_process_memory_fraction((cuda.memory_reserved("emu") + (1 << 20)) / total, "emu")
    yield 1 << 20
    cuda.set_per_process_memory_fraction(1, "emu")


def test_shortage_empties_the_cache_first(caching: ModuleType, megabyte: int) -> None:
    kept = [caching.empty((megabyte // 4,), "uint8") for _ in range(2)]
    retries = cuda.memory_stats("emu")["num_alloc_retries"]
    del kept  # half of the memory is left, and the cache holds the other half
    large = caching.empty((megabyte * 3 // 4,), "uint8")
    assert large.size == megabyte * 3 // 4
    assert cuda.memory_stats("emu")["num_alloc_retries"] == retries + 1


def test_memory_of_a_limit_ends(caching: ModuleType, megabyte: int) -> None:
    kept = caching.empty((megabyte // 4,), "uint8")
    pattern = rf"^\[cuda\] expected {megabyte} bytes of free device memory, got \d+ of \d+ \(\d+ allowed, \d+ in arrays"
    with pytest.raises(MemoryError, match=pattern):
        caching.empty((megabyte,), "uint8")
    assert caching.empty((kept.size,), "uint8").size == kept.size


def test_a_capture_cannot_empty_the_cache(caching: ModuleType, megabyte: int) -> None:
    free = [caching.empty((megabyte // 4,), "uint8") for _ in range(2)]
    del free
    graph = cuda.CUDAGraph(device="emu")
    with pytest.raises(MemoryError, match=r"^\[cuda\] expected"), cuda.graph(graph):
        caching.empty((megabyte * 3 // 4,), "uint8")


def test_bad_fractions(emu: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"^\[cuda\] expected a fraction between 0 and 1, got 2$"):
        cuda.set_per_process_memory_fraction(2, "emu")
    with pytest.raises(TypeError, match=r"^\[cuda\] expected a number for fraction, got str$"):
        cuda.set_per_process_memory_fraction("half", "emu")  # type: ignore[arg-type]


def test_shortage_says_the_numbers(caching: ModuleType) -> None:
    kept = caching.empty((1 << 20,), "uint8")
    failures = cuda.memory_stats("emu")["num_ooms"]
    pattern = r"^\[cuda\] expected 1099511627776 bytes of free device memory, got \d+ of \d+ \((\d+) in arrays, 0 kept"
    with pytest.raises(MemoryError, match=pattern) as raised:
        caching.empty((1 << 40,), "uint8")
    assert f"({cuda.memory_allocated('emu')} in arrays" in str(raised.value)
    assert cuda.memory_stats("emu")["num_ooms"] == failures + 1
    assert kept.size == 1 << 20


def test_kernels_are_right_on_reused_memory(caching: ModuleType) -> None:
    fastdl.manual_seed(0)
    model = fastdl.nn.Linear(20, 3)
    x = fastdl.randn(5, 20)
    expected = model(x)
    model.to("emu")
    for _ in range(3):
        out = model(x.to("emu"))
        assert fastdl.allclose(out.cpu(), expected, atol=1e-6)
    assert caching.report() == []


def test_without_a_gpu_there_is_nothing_to_count() -> None:
    if cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    assert cuda.memory_stats() == {}
    assert cuda.memory_allocated() == cuda.max_memory_allocated() == cuda.memory_reserved() == 0
    cuda.reset_peak_memory_stats()
    cuda.empty_cache()
    with pytest.raises(RuntimeError):
        cuda.mem_get_info()
