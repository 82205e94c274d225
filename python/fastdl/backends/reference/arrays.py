"""Arrays of the reference backend: C-contiguous `numpy.ndarray`s of the library's six dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np

from .checks import DTYPES, Shape, checked_dtype, checked_extent, expect, new


def empty(shape: Shape, dtype: str) -> np.ndarray:
    return new(shape, checked_dtype(dtype))


def from_numpy(source: np.ndarray, share: bool) -> np.ndarray:
    """`source` itself where it may be shared, else a copy; it is C-contiguous."""
    expected = "dtype float32, float64, int32, int64, uint8 or bool"
    expect(source.dtype.name in DTYPES, TypeError, "from_numpy", expected, f"buffer format {source.data.format}")
    if share and source.flags.writeable and source.flags.aligned and source.flags.c_contiguous:
        return source
    return np.array(source, order="C")


def to_numpy(a: np.ndarray) -> np.ndarray:
    return a


def to_dlpack(a: np.ndarray, versioned: bool) -> Any:
    return a.__dlpack__(max_version=(1, 1)) if versioned else a.__dlpack__()


class _Capsule:
    """What `numpy.from_dlpack` wants: an object with the DLPack methods around a bare capsule."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **_: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack_device()


class _Writable:
    """The memory of an array that NumPy marks as read-only, which it does to every capsule of the older protocol."""

    def __init__(self, source: np.ndarray) -> None:
        self._source = source
        address, _ = source.__array_interface__["data"]
        self.__array_interface__ = {**source.__array_interface__, "data": (address, False)}


def from_dlpack(capsule: Any) -> np.ndarray:
    shared = np.from_dlpack(_Capsule(capsule))
    contiguous = shared.flags.c_contiguous
    expect(contiguous, ValueError, "from_dlpack", "contiguous memory", f"strides {shared.strides}")
    return np.asarray(_Writable(shared))


def dlpack_device() -> tuple[int, int]:
    return (1, 0)  # kDLCPU


def reshape(a: np.ndarray, shape: Shape) -> np.ndarray:
    checked_extent("reshape", shape)
    expect(np.prod(shape, dtype=object) == a.size, ValueError, "reshape", f"a shape of {a.size} elements", shape)
    return a.reshape(shape)


def memory_stats() -> dict[str, int]:
    return {"allocated": 0, "cached": 0, "peak": 0}  # NumPy keeps no account


def empty_cache() -> None:
    pass
