"""PyTorch's weight files (`.pth`, `.pt`) read without PyTorch, and without running what they contain.

A `.pth` file is a pickle, and a pickle is a program: it may name any function and have it called. The unpickler here
knows ordered dicts, tensors and storages, and refuses every other name. Both formats are read: the zip archive that
`torch.save` has written since version 1.6, and the row of pickles from before.
"""

from __future__ import annotations

import collections
import io
import pickle
import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .creation import tensor
from .saving import read_from
from .tensor import Tensor

# Name of a storage's class: NumPy dtype. bfloat16 is widened by hand, float16 by NumPy: fastdl computes in neither.
STORAGES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1",
    "BoolStorage": "?",
}  # fmt: skip
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
WIDENED = {"f2": "float32", "i1": "int32", "i2": "int32"}


class _Kind(NamedTuple):
    """A storage class named in the file."""

    dtype: str


class _Storage(NamedTuple):
    """A storage that a tensor is a view of; its bytes may be read later."""

    key: str
    dtype: str
    length: int  # elements


class _View(NamedTuple):
    """A tensor as the file describes it."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _view(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _View:
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    numbers = (offset, *shape, *strides)
    if len(shape) != len(strides) or any(type(n) is not int or n < 0 for n in numbers):
        raise pickle.UnpicklingError("a tensor with bad sizes")
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if 0 not in shape and last >= storage.length:
        raise pickle.UnpicklingError("a tensor that reaches beyond its storage")
    return _View(storage, offset, tuple(shape), tuple(strides))


def _parameter(data: Any, *_: Any) -> Any:
    return data


SAFE: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _view,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): tuple,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in STORAGES:
            return _Kind(STORAGES[name])
        try:
            return SAFE[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which weights do not need") from None

    def persistent_load(self, saved: Any) -> _Storage:
        if not isinstance(saved, tuple) or len(saved) < 5 or saved[0] != "storage" or not isinstance(saved[1], _Kind):
            raise pickle.UnpicklingError("a reference to something that is no storage")
        key, length = saved[2], saved[4]
        if type(length) is not int or length < 0 or (len(saved) > 5 and saved[5] is not None):
            raise pickle.UnpicklingError("a storage with bad sizes")
        return _Storage(str(key), saved[1].dtype, length)


def load_torch(path: Any, device: Any = None) -> Any:
    """What `torch.save` wrote to a file or a stream: a state dict, or nested containers with tensors and plain values.

    float16 and bfloat16 become float32; int8 and int16 become int32.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: `[load_torch] expected a file of weights, got ...` for a damaged file, or one whose pickle names
            anything but tensors and containers (a whole model that was pickled, or an attack).
    """
    content, name = read_from(path)
    try:
        found, storages = _read_zip(content) if content[:2] == b"PK" else _read_legacy(content)
        return _with_tensors(found, storages, device)
    except Exception as error:  # whatever a damaged archive or pickle makes Python's readers raise
        raise ValueError(f"[load_torch] expected a file of weights, got {name}: {error}") from None


Storages = Callable[[_Storage], np.ndarray]


def _read_zip(content: bytes) -> tuple[Any, Storages]:
    archive = zipfile.ZipFile(io.BytesIO(content))
    names = set(archive.namelist())
    pickles = [n for n in names if n.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise ValueError("an archive without data.pkl")
    root = pickles[0][: -len("data.pkl")]
    if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
        raise ValueError("an archive of big-endian numbers")

    def read(storage: _Storage) -> np.ndarray:
        return _numbers(archive.read(f"{root}data/{storage.key}"), storage)

    return _Unpickler(io.BytesIO(archive.read(pickles[0]))).load(), read


def _read_legacy(content: bytes) -> tuple[Any, Storages]:
    stream = io.BytesIO(content)
    if _Unpickler(stream).load() != LEGACY_MAGIC:
        raise ValueError("neither an archive nor PyTorch's old format")
    for _ in range(2):  # version of the format; sizes of the machine's integers
        _Unpickler(stream).load()
    found = _Unpickler(stream).load()
    keys = _Unpickler(stream).load()
    starts: dict[str, int] = {}
    where = stream.tell()
    lengths = {s.key: s for s in _storages_in(found)}
    for key in keys:  # each: its length, then its numbers
        storage = lengths[str(key)]
        if int.from_bytes(content[where : where + 8], "little") != storage.length:
            raise ValueError("a storage of another length than its tensors say")
        starts[storage.key] = where + 8
        where += 8 + storage.length * _itemsize(storage)

    def read(storage: _Storage) -> np.ndarray:
        start = starts[storage.key]
        return _numbers(content[start : start + storage.length * _itemsize(storage)], storage)

    return found, read


def _itemsize(storage: _Storage) -> int:
    return 2 if storage.dtype == "bfloat16" else np.dtype(storage.dtype).itemsize


def _numbers(raw: bytes, storage: _Storage) -> np.ndarray:
    if len(raw) < storage.length * _itemsize(storage):
        raise ValueError("a storage that is cut short")
    if storage.dtype == "bfloat16":  # the upper half of a float32
        return (np.frombuffer(raw, "<u2", storage.length).astype("<u4") << 16).view("<f4")
    return np.frombuffer(raw, storage.dtype, storage.length)


def _storages_in(value: Any) -> list[_Storage]:
    if isinstance(value, _View):
        return [value.storage]
    if isinstance(value, dict):
        return [s for v in value.values() for s in _storages_in(v)]
    if isinstance(value, list | tuple):
        return [s for v in value for s in _storages_in(v)]
    return []


def _with_tensors(value: Any, storages: Storages, device: Any) -> Any:
    if isinstance(value, _View):
        return _tensor(value, storages(value.storage), device)
    if isinstance(value, dict):
        return type(value)((k, _with_tensors(v, storages, device)) for k, v in value.items())
    if isinstance(value, list | tuple) and not isinstance(value, _Storage | _Kind):
        return type(value)(_with_tensors(v, storages, device) for v in value)
    return value


def _tensor(view: _View, numbers: np.ndarray, device: Any) -> Tensor:
    strides = [step * numbers.itemsize for step in view.strides]
    array = np.lib.stride_tricks.as_strided(numbers[view.offset :], view.shape, strides) if numbers.size else numbers
    array = array.reshape(view.shape) if 0 in view.shape else array
    return tensor(array.astype(WIDENED.get(numbers.dtype.str[1:], numbers.dtype)), device=device)
