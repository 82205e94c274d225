"""Tensors to and from other libraries (DLPack, `__cuda_array_interface__`), and to and from devices without waiting."""

from __future__ import annotations

import math
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from . import backends, dtypes

if TYPE_CHECKING:
    from .tensor import Tensor

DEVICE_OF_DLPACK = {1: "cpu", 2: "cuda", 12: "emu"}
_VERSION = (1, 1)


def has_streams(module: ModuleType) -> bool:
    """Whether the device is a GPU or the emulation of one."""
    return hasattr(module, "new_stream")


# ---- DLPack ----------------------------------------------------------------------------------------------------------


def dlpack(
    self: Tensor, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
) -> Any:
    """A DLPack capsule of this tensor's memory (the array API's `__dlpack__`).

    `stream` is the consumer's: None or 1 for the default one, -1 for a consumer that waits by itself, else an address;
    what it gets next comes behind what the current stream here has. `max_version` from (1, 0) on gives a versioned
    capsule, `copy=True` one of new memory.

    Raises:
        BufferError: for a tensor that requires a gradient, another device than its own, or a stream on the CPU.
        ValueError: for stream 0, which the protocol calls ambiguous.
    """
    k = self._backend
    if self.requires_grad:
        raise BufferError("[__dlpack__] expected a tensor without gradient, got one that requires it")
    if dl_device is not None and tuple(dl_device) != k.dlpack_device():
        raise BufferError(f"[__dlpack__] expected device {k.dlpack_device()}, got {tuple(dl_device)}")
    array = k.cast(self._array, str(self._array.dtype)) if copy else self._array
    if has_streams(k):
        if stream != -1:
            k.stream_wait_stream(_address("__dlpack__", 1 if stream is None else stream), k.current_stream())
    elif stream is not None:
        raise BufferError(f"[__dlpack__] expected stream None for a tensor on {k.NAME}, got {stream}")
    return k.to_dlpack(array, max_version is not None and max_version[0] >= 1)


def _address(op: str, stream: int) -> int:
    """A stream of the protocols as one of ours: 1 is the default one."""
    if not isinstance(stream, int) or stream < 1:
        raise ValueError(f"[{op}] expected stream 1, 2 or an address, got {stream}")
    return 0 if stream == 1 else stream


def dlpack_device(self: Tensor) -> tuple[int, int]:
    return self._backend.dlpack_device()


def from_dlpack(source: Any) -> tuple[Any, ModuleType]:
    """The array over another library's memory, and its module; read-only memory is copied."""
    if not hasattr(source, "__dlpack__"):
        raise TypeError(f"[from_dlpack] expected an object with __dlpack__, got {type(source).__name__}")
    kind = int(source.__dlpack_device__()[0])
    if kind not in DEVICE_OF_DLPACK:
        raise ValueError(f"[from_dlpack] expected an array on cpu or cuda, got one on device type {kind}")
    backend = backends.get(DEVICE_OF_DLPACK[kind])
    stream = {"stream": backend.current_stream() or 1} if has_streams(backend) else {}
    try:
        capsule = source.__dlpack__(max_version=_VERSION, **stream)
    except TypeError:  # a library from before DLPack 1
        capsule = source.__dlpack__(**stream)
    return backend.from_dlpack(capsule), backend


# ---- __cuda_array_interface__ ----------------------------------------------------------------------------------------


def cuda_array_interface(self: Tensor) -> dict[str, Any]:
    """What CuPy, Numba and others read of an array on a GPU, version 3; a tensor elsewhere does not have it."""
    if self._backend.NAME != "cuda":
        raise AttributeError(f"[__cuda_array_interface__] expected a tensor on cuda, got one on {self._backend.NAME}")
    return interface_of(self)


def interface_of(tensor: Tensor) -> dict[str, Any]:
    """The dict of `__cuda_array_interface__`.

    >>> import fastdl
    >>> described = interface_of(fastdl.zeros(2, 3, device="emu"))
    >>> described["shape"], described["typestr"], described["strides"], described["stream"]
    ((2, 3), '<f4', None, 1)
    """
    if tensor.requires_grad:
        raise RuntimeError("[__cuda_array_interface__] expected a tensor without gradient, got one that requires it")
    k, array = tensor._backend, tensor._array
    return {
        "shape": array.shape,
        "typestr": np.dtype(str(array.dtype)).str,
        "data": (array.address if array.size else 0, False),
        "strides": None,  # contiguous
        "stream": k.current_stream() or 1,
        "version": 3,
    }


def from_cuda_array(source: Any, device: str = "cuda") -> tuple[Any, ModuleType]:
    """The array over the memory of an object with `__cuda_array_interface__`, and its module.

    What the current stream gets next comes behind what the object's stream has.

    Raises:
        TypeError: for another dtype than fastdl has.
        ValueError: for masked, read-only or non-contiguous arrays, or stream 0.
    """
    from .cuda.module import module_of

    op, said = "__cuda_array_interface__", source.__cuda_array_interface__
    module = module_of(device)
    dtype = np.dtype(said["typestr"])
    if dtype.name not in dtypes.dtype._by_name or not dtype.isnative:
        raise TypeError(f"[{op}] expected dtype {', '.join(dtypes.dtype._by_name)}, got {said['typestr']!r}")
    shape = tuple(said["shape"])
    address, read_only = said["data"]
    if read_only or said.get("mask") is not None:
        raise ValueError(f"[{op}] expected memory that may be written and no mask, got others")
    if said.get("strides") is not None and math.prod(shape) > 0:
        _expect_contiguous(op, shape, tuple(said["strides"]), dtype.itemsize)
    if said.get("stream") is not None:
        module.stream_wait_stream(module.current_stream(), _address(op, said["stream"]))
    return module.from_address(address or 0, shape, dtype.name, source), module


def _expect_contiguous(op: str, shape: tuple[int, ...], strides: tuple[int, ...], step: int) -> None:
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size > 1 and stride != step:
            raise ValueError(f"[{op}] expected contiguous memory, got strides {strides} of shape {shape}")
        step *= size


# ---- pinned memory and copies without waiting ------------------------------------------------------------------------


def _pinned(module: ModuleType, shape: tuple[int, ...], dtype: str) -> tuple[Any, np.ndarray]:
    memory = module.pinned(math.prod(shape) * np.dtype(dtype).itemsize)
    return memory, np.ndarray(shape, dtype, buffer=memory)


def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """A copy in page-locked memory, or this tensor if it lies there (`torch.Tensor.pin_memory`).

    A GPU copies from there by itself: `x.pin_memory().to("cuda", non_blocking=True)` returns at once.

    Raises RuntimeError without a GPU, or for a tensor that is not on the CPU.

    >>> import fastdl
    >>> x = fastdl.ones(3).pin_memory("emu")
    >>> x.is_pinned(), x.to("emu", non_blocking=True).sum().item()
    (True, 3.0)
    """
    from .cuda.module import module_of
    from .tensor import Tensor

    if self._backend.NAME != "cpu":
        raise RuntimeError(f"[pin_memory] expected a tensor on cpu, got one on {self._backend.NAME}")
    module = module_of(device)
    if is_pinned(self):
        return self
    _, array = _pinned(module, self.shape, self.dtype.name)
    array[...] = self._host()
    return Tensor(self._backend.from_numpy(array, True), self._backend)


def is_pinned(self: Tensor, device: Any = None) -> bool:
    """Whether this tensor lies in page-locked memory (`torch.Tensor.is_pinned`)."""
    if self._backend.NAME != "cpu":
        return False
    modules = [m for m in set(backends._loaded.values()) if has_streams(m)]
    return any(m.is_pinned(self._array.address) for m in modules)


def record_stream(self: Tensor, stream: Any) -> None:
    """Says that `stream` uses this tensor, too: its memory is reused only when what the stream has then is done
    (`torch.Tensor.record_stream`).
    """
    if not has_streams(self._backend) or getattr(stream, "_module", None) is not self._backend:
        raise ValueError(f"[record_stream] expected a stream of the tensor's device {self.device}, got another")
    self._backend.record_stream(self._array, stream.cuda_stream)


def moved(array: Any, source: ModuleType, target: ModuleType) -> Any:
    """The array on another device. Between pinned memory and a GPU nobody waits; from a GPU it goes to pinned memory,
    which holds the numbers when the stream is done.
    """
    shape, dtype = array.shape, str(array.dtype)
    if source.NAME == "cpu" and has_streams(target):
        return target.from_pinned(source.to_numpy(array), shape, dtype)
    if target.NAME == "cpu" and has_streams(source):
        memory, out = _pinned(source, shape, dtype)
        source.to_pinned(array, memory)
        return target.from_numpy(out, True)
    return target.from_numpy(source.to_numpy(array), False)
