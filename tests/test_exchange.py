"""DLPack and `__cuda_array_interface__`: the dict and the capsule, read without a GPU."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fastdl
from fastdl import backends, cuda, exchange


class DLTensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )  # fmt: skip


class Versioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p), ("flags", ctypes.c_uint64), ("tensor", DLTensor),
    )  # fmt: skip


def pointer(capsule: Any, name: bytes) -> int:
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    return int(get(capsule, name))


@pytest.fixture(name="emu")
def _emu() -> Iterator[ModuleType]:
    if "emu" not in backends.available():
        pytest.skip("this build has no emulation module")
    module = backends.get("emu")
    yield module
    module.set_stream(0)


DTYPES = {"float32": (2, 32), "float64": (2, 64), "int32": (0, 32), "int64": (0, 64), "uint8": (1, 8), "bool": (6, 8)}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("device", ["cpu", "emu"])
def test_versioned_capsule(dtype: str, device: str) -> None:
    if device not in backends.available():
        pytest.skip(f"this build has no {device} module")
    x = fastdl.zeros(2, 3, 4, dtype=dtype, device=device)
    capsule = x.__dlpack__(max_version=(1, 1))
    m = Versioned.from_address(pointer(capsule, b"dltensor_versioned"))
    assert (m.major, m.minor, m.flags) == (1, 1, 0)
    t = m.tensor
    assert (t.device_type, t.device_id) == x.__dlpack_device__() == ({"cpu": 1, "emu": 12}[device], 0)
    assert (t.code, t.bits, t.lanes) == (*DTYPES[dtype], 1)
    assert (t.shape[:3], t.strides[:3], t.byte_offset) == ([2, 3, 4], [12, 4, 1], 0)
    assert t.data == x.data_ptr()


def test_old_capsule(emu: ModuleType) -> None:
    for kwargs in ({}, {"max_version": None}, {"max_version": (0, 8)}):
        capsule = fastdl.ones(5).__dlpack__(**kwargs)
        assert DLTensor.from_address(pointer(capsule, b"dltensor")).shape[:1] == [5]


def test_copy_and_device(emu: ModuleType) -> None:
    x = fastdl.ones(3)
    copied = x.__dlpack__(max_version=(1, 0), copy=True)
    assert Versioned.from_address(pointer(copied, b"dltensor_versioned")).tensor.data != x.data_ptr()
    assert x.__dlpack__(dl_device=(1, 0)) is not None
    with pytest.raises(BufferError, match=r"^\[__dlpack__\] expected device \(1, 0\), got \(2, 0\)$"):
        x.__dlpack__(dl_device=(2, 0))
    with pytest.raises(BufferError, match=r"^\[__dlpack__\] expected stream None for a tensor on cpu, got 1$"):
        x.__dlpack__(stream=1)
    with pytest.raises(BufferError, match=r"expected a tensor without gradient"):
        fastdl.ones(1, requires_grad=True).__dlpack__()


def test_read_only_memory_is_copied() -> None:
    source = np.arange(4.0)
    source.flags.writeable = False
    x = fastdl.from_dlpack(source)
    x.fill_(5.0)
    assert source.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert x.tolist() == [5.0] * 4


def test_numpy_both_ways_shares() -> None:
    x = fastdl.arange(6, dtype=fastdl.float64).reshape(2, 3)
    array = np.from_dlpack(x)
    back = fastdl.from_dlpack(array)
    x.fill_(2.0)
    assert array.tolist() == back.tolist() == [[2.0] * 3] * 2
    with pytest.raises(ValueError, match=r"^\[from_dlpack\] expected contiguous memory, got stride 2 on axis 0$"):
        fastdl.from_dlpack(np.arange(6)[::2])


def test_a_library_from_before_version_1() -> None:
    x = fastdl.arange(3)
    old = SimpleNamespace(__dlpack__=lambda: x.__dlpack__(), __dlpack_device__=lambda: (1, 0))
    assert fastdl.from_dlpack(old).tolist() == [0, 1, 2]
    other = SimpleNamespace(__dlpack__=lambda: None, __dlpack_device__=lambda: (10, 0))
    with pytest.raises(
        ValueError, match=r"^\[from_dlpack\] expected an array on cpu or cuda, got one on device type 10$"
    ):
        fastdl.from_dlpack(other)


def test_a_capsule_is_used_once() -> None:
    cpu = backends.get("cpu")
    for versioned in (False, True):
        capsule = cpu.to_dlpack(cpu.empty((3,), "float32"), versioned)
        cpu.from_dlpack(capsule)
        with pytest.raises(ValueError, match=r"^\[from_dlpack\] expected an unused DLPack capsule, got used_dltensor"):
            cpu.from_dlpack(capsule)


# ---- streams: what the consumer's stream gets next comes behind what ours has ----------------------------------------


class Waits:
    """Which stream waited for which, through the emulated run time."""

    def __init__(self, emu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[tuple[int, int]] = []
        monkeypatch.setattr(emu, "stream_wait_stream", lambda stream, other: self.seen.append((stream, other)))


def test_export_orders_the_consumers_stream(emu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    x, ours, theirs = fastdl.ones(3, device="emu"), cuda.Stream("emu"), cuda.Stream("emu")
    waits = Waits(emu, monkeypatch)
    with ours:
        for stream in (None, 1, 2, theirs.cuda_stream, -1):
            x.__dlpack__(stream=stream)
        for stream in (0, -2, "1"):
            with pytest.raises(ValueError, match=rf"^\[__dlpack__\] expected stream 1, 2 or an address, got {stream}$"):
                x.__dlpack__(stream=stream)
    here = ours.cuda_stream
    assert waits.seen == [(0, here), (0, here), (2, here), (theirs.cuda_stream, here)]


def test_import_names_our_stream(emu: ModuleType) -> None:
    x, ours, asked = fastdl.arange(3, device="emu"), cuda.Stream("emu"), []

    def export(**kwargs: Any) -> Any:
        asked.append(kwargs)
        return x.__dlpack__(**kwargs)

    source = SimpleNamespace(__dlpack__=export, __dlpack_device__=x.__dlpack_device__)
    assert fastdl.from_dlpack(source).tolist() == [0, 1, 2]
    with ours:
        shared = fastdl.from_dlpack(source)
    assert [k["stream"] for k in asked] == [1, ours.cuda_stream]
    shared.fill_(7)
    assert x.tolist() == [7] * 3


# ---- __cuda_array_interface__ ----------------------------------------------------------------------------------------


def test_only_tensors_on_a_gpu_have_the_interface(emu: ModuleType) -> None:
    for device in ("cpu", "emu", "reference"):
        assert not hasattr(fastdl.ones(1, device=device), "__cuda_array_interface__")


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_dict(emu: ModuleType, dtype: str) -> None:
    x = fastdl.zeros(2, 3, dtype=dtype, device="emu")
    said = exchange.interface_of(x)
    assert said == {
        "shape": (2, 3), "typestr": np.dtype(dtype).str, "data": (x.data_ptr(), False), "strides": None, "stream": 1,
        "version": 3,
    }  # fmt: skip
    side = cuda.Stream("emu")
    with side:
        assert exchange.interface_of(x)["stream"] == side.cuda_stream
    assert exchange.interface_of(fastdl.zeros(0, 3, device="emu"))["data"] == (0, False)
    with pytest.raises(RuntimeError, match=r"expected a tensor without gradient"):
        exchange.interface_of(fastdl.ones(1, device="emu", requires_grad=True))


class Foreign:
    """Another library's array over the emulated device's memory."""

    def __init__(self, tensor: fastdl.Tensor, **changes: Any) -> None:
        self.tensor = tensor
        self.__cuda_array_interface__ = {**exchange.interface_of(tensor), **changes}


def imported(source: Any) -> fastdl.Tensor:
    return fastdl.Tensor(*exchange.from_cuda_array(source, "emu"))


def test_import_shares_memory(emu: ModuleType) -> None:
    x = fastdl.arange(6, device="emu").reshape(2, 3)
    for changes in ({}, {"strides": (24, 8)}, {"stream": None}):
        y = imported(Foreign(x, **changes))
        assert (y.shape, y.dtype, y.data_ptr()) == (x.shape, x.dtype, x.data_ptr())
    x.fill_(4)
    assert y.tolist() == [[4] * 3] * 2
    assert imported(Foreign(fastdl.zeros(0, device="emu"))).tolist() == []


def test_import_waits_for_the_stream(emu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    x, ours, theirs = fastdl.arange(3, device="emu"), cuda.Stream("emu"), cuda.Stream("emu")
    waits = Waits(emu, monkeypatch)
    with ours:
        for stream in (None, 1, theirs.cuda_stream):
            imported(Foreign(x, stream=stream))
    assert waits.seen == [(ours.cuda_stream, 0), (ours.cuda_stream, theirs.cuda_stream)]


BAD = {
    "dtype": ({"typestr": "<f2"}, TypeError, r"expected dtype .*, got '<f2'"),
    "order": ({"typestr": ">f4"}, TypeError, r"expected dtype .*, got '>f4'"),
    "mask": ({"mask": object()}, ValueError, r"expected memory that may be written and no mask"),
    "read_only": ({"data": (1 << 20, True)}, ValueError, r"expected memory that may be written and no mask"),
    "strides": ({"strides": (8,)}, ValueError, r"expected contiguous memory, got strides \(8,\) of shape \(3,\)"),
    "stream": ({"stream": 0}, ValueError, r"expected stream 1, 2 or an address, got 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_imported(emu: ModuleType, name: str) -> None:
    changes, error, message = BAD[name]
    with pytest.raises(error, match=rf"^\[__cuda_array_interface__\] {message}"):
        imported(Foreign(fastdl.zeros(3, device="emu"), **changes))


def test_import_without_a_gpu_says_so() -> None:
    if cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    source = SimpleNamespace(__cuda_array_interface__={})
    with pytest.raises(RuntimeError, match=r"expected a CUDA device, got none|this build has no CUDA module"):
        fastdl.as_tensor(source)
