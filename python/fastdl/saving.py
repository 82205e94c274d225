"""Weights on disk: safetensors files written and read, PyTorch's read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .creation import tensor
from .tensor import Tensor


def save(state: Mapping[str, Any], path: str | os.PathLike) -> None:
    """Writes a state dict (names to tensors) as a safetensors file.

    The file appears whole or not at all: it is written beside its place, flushed to the disk and then renamed.

    Raises TypeError for anything but a flat mapping of names to tensors.

    >>> import fastdl, tempfile, os
    >>> file = os.path.join(tempfile.mkdtemp(), "w.safetensors")
    >>> fastdl.save({"w": fastdl.ones(2)}, file); fastdl.load(file)["w"].tolist()
    [1.0, 1.0]
    """
    from safetensors.numpy import save as encode

    if not isinstance(state, Mapping):
        raise TypeError(f"[save] expected a mapping of names to tensors, got {type(state).__name__}")
    arrays = {}
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor | np.ndarray):
            raise TypeError(f"[save] expected names with tensors, got {name!r} with {type(value).__name__}")
        arrays[name] = np.asarray(value if isinstance(value, np.ndarray) else value._host(), order="C")
    write_atomic(path, encode(arrays))


def load(path: str | os.PathLike, device: Any = None) -> dict[str, Tensor]:
    """The state dict of a safetensors file, or of PyTorch's `.pth` or `.pt` (see `fastdl.torch_files`).

    float16 and bfloat16 become float32; int8, int16 and uint16 become int32, uint32 becomes int64.

    Raises FileNotFoundError, or ValueError `[load] expected a safetensors file ...` for a damaged one.
    """
    content = Path(path).read_bytes()
    if content[8:9] != b"{" and content[:2] in (b"PK", b"\x80\x02"):
        from .torch_files import load_torch

        return load_torch(path, device)
    from safetensors import SafetensorError, deserialize

    try:
        return {name: tensor(_numbers(**entry), device=device) for name, entry in deserialize(content)}
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"[load] expected a safetensors file, got {os.fspath(path)}: {error}") from None


# Name in the file: NumPy's dtype, and what it is widened to.
_DTYPES = {
    "BOOL": ("?", "?"), "U8": ("u1", "u1"), "I8": ("i1", "<i4"), "I16": ("<i2", "<i4"), "U16": ("<u2", "<i4"),
    "I32": ("<i4", "<i4"), "U32": ("<u4", "<i8"), "I64": ("<i8", "<i8"), "F16": ("<f2", "<f4"), "F32": ("<f4", "<f4"),
    "F64": ("<f8", "<f8"),
}  # fmt: skip


def _numbers(dtype: str, shape: list[int], data: bytes) -> np.ndarray:
    if dtype == "BF16":  # the upper half of a float32
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4").reshape(shape)
    if dtype not in _DTYPES:
        raise KeyError(f"numbers of dtype {dtype}")
    kind, widened = _DTYPES[dtype]
    return np.frombuffer(data, kind).astype(widened).reshape(shape)


def write_atomic(path: str | os.PathLike, content: bytes) -> None:
    """Replaces a file in one step; whatever happens, the old file or the new one is there, never a part of it."""
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
