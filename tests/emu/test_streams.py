"""Streams, events and pinned memory, on the emulation, and their errors without a device."""

from __future__ import annotations

import time
from types import ModuleType

import numpy as np
import pytest

import fastdl
from fastdl import cuda
from fastdl.data import DataLoader, TensorDataset


def test_current_stream_follows_the_block(emu: ModuleType) -> None:
    a, b = cuda.Stream("emu"), cuda.Stream("emu", priority=-1)
    assert cuda.current_stream("emu") == cuda.default_stream("emu")
    with cuda.stream(a) as entered:
        assert entered is a
        assert cuda.current_stream("emu") == a != b
        with b, b:
            assert cuda.current_stream("emu") == b
        assert cuda.current_stream("emu") == a
        with cuda.stream(None):
            assert cuda.current_stream("emu") == a
    assert cuda.current_stream("emu").cuda_stream == emu.current_stream() == 0
    assert (a.priority, b.priority, a.device) == (0, -1, "emu")
    assert len({a, b, cuda.ExternalStream(a.cuda_stream, "emu")}) == 2


def test_streams_come_in_turn(emu: ModuleType) -> None:
    streams = [cuda.Stream("emu") for _ in range(40)]
    assert len(set(streams)) == 32
    assert streams[32] == streams[0]


def test_work_on_a_side_stream(emu: ModuleType) -> None:
    side = cuda.Stream("emu")
    x = fastdl.ones(3, device="emu")
    side.wait_stream(cuda.current_stream("emu"))
    with side:
        y = x * 2
    done = side.record_event()
    cuda.current_stream("emu").wait_event(done)
    assert (y + x).tolist() == [3.0] * 3
    side.synchronize()
    done.synchronize()
    assert side.query()
    assert done.query()


def test_events_measure(emu: ModuleType) -> None:
    start, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
    with pytest.raises(ValueError, match=r"^\[elapsed_time\] expected events that were recorded"):
        start.elapsed_time(end)
    assert start.query()
    start.synchronize()
    start.wait(cuda.Stream("emu"))  # nothing to wait for
    stream = cuda.current_stream("emu")
    before = time.perf_counter()
    start.record(stream)
    _ = fastdl.ones(1000, device="emu") * 2
    end.record(stream)
    assert 0 < start.elapsed_time(end) <= 1e3 * (time.perf_counter() - before)  # milliseconds
    plain = stream.record_event()
    with pytest.raises(ValueError, match=r"^\[elapsed_time\] expected events with enable_timing=True"):
        start.elapsed_time(plain)
    assert start.cuda_event != 0


def test_bad_arguments_of_streams_and_events(emu: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"^\[cuda\] expected device cuda or emu, got 'cpu'$"):
        cuda.Stream("cpu")
    with pytest.raises(TypeError, match=r"^\[Stream\] expected an int for priority, got str$"):
        cuda.Stream("emu", priority="high")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^\[stream\] expected a Stream or None, got int$"):
        cuda.stream(0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^\[set_stream\] expected a Stream, got int$"):
        cuda.set_stream(0)  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError, match=r"^\[Event\] expected interprocess=False"):
        cuda.Event(interprocess=True)
    with pytest.raises(TypeError, match=r"^\[ExternalStream\] expected an int"):
        cuda.ExternalStream("x", "emu")  # type: ignore[arg-type]


# ---- pinned memory ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(0,), (), (1,), (3, 5), (1000, 7)])
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_pinned_memory_goes_to_the_device_and_back(emu: ModuleType, shape: tuple[int, ...], dtype: str) -> None:
    numbers = np.asarray(np.random.default_rng(0).integers(0, 2, shape)).astype(dtype)
    x = fastdl.tensor(numbers)
    pinned = x.pin_memory("emu")
    assert pinned.shape == shape
    assert pinned.pin_memory("emu") is pinned or not numbers.size
    moved = pinned.to("emu", non_blocking=True)
    back = moved.to("cpu", non_blocking=True)
    cuda.synchronize("emu")
    np.testing.assert_array_equal(back.numpy(), numbers)
    if numbers.size:
        assert pinned.is_pinned()
        assert back.is_pinned()
        assert not x.is_pinned()
        assert not moved.is_pinned()


def test_non_blocking_without_pinned_memory(emu: ModuleType) -> None:
    assert fastdl.arange(5).to("emu", non_blocking=True).tolist() == [0, 1, 2, 3, 4]
    x = fastdl.zeros(3, device="emu")
    x.copy_(fastdl.ones(3).pin_memory("emu"), non_blocking=True)
    assert x.tolist() == [1.0] * 3


def test_gradients_flow_through_copies_without_waiting(emu: ModuleType) -> None:
    x = fastdl.tensor([1.0, 2.0], requires_grad=True)
    y = x.to("emu", non_blocking=True)
    (y * y).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_pinned_memory_is_reused(emu: ModuleType) -> None:
    x = fastdl.ones(100).pin_memory("emu")
    address = x.data_ptr()
    y = x.to("emu", non_blocking=True)
    del x
    assert fastdl.ones(90).pin_memory("emu").data_ptr() == address
    assert y.sum().item() == 100


def test_pin_memory_wants_a_cpu_tensor(emu: ModuleType) -> None:
    with pytest.raises(RuntimeError, match=r"^\[pin_memory\] expected a tensor on cpu, got one on emu$"):
        fastdl.ones(1, device="emu").pin_memory("emu")


@pytest.mark.parametrize("workers", [0, 2])
def test_loader_pins(emu: ModuleType, workers: int) -> None:
    data = TensorDataset(np.arange(6.0, dtype=np.float32), np.arange(6))
    loader = DataLoader(data, 2, num_workers=workers, pin_memory=True, pin_memory_device="emu")
    seen = []
    for x, y in loader:
        assert x.is_pinned()
        assert y.is_pinned()
        seen += x.to("emu", non_blocking=True).tolist()
    assert seen == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    plain = next(iter(DataLoader(data, 2, pin_memory=True)))[0]
    assert plain.is_pinned() == cuda.is_available()


# ---- without a device ------------------------------------------------------------------------------------------------


def test_without_a_device_each_says_so() -> None:
    if cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    uses = (
        cuda.Stream, cuda.current_stream, cuda.default_stream, cuda.CUDAGraph, cuda.graph_pool_handle,
        cuda.current_device, cuda.get_device_name, cuda.mem_get_info, cuda.Event().record, fastdl.ones(1).pin_memory,
    )  # fmt: skip
    for use in uses:
        with pytest.raises(RuntimeError, match=r"expected a CUDA device, got none|this build has no CUDA module"):
            use()
    cuda.synchronize()
    cuda.empty_cache()
    assert cuda.device_count() == 0
    assert not cuda.is_current_stream_capturing()
