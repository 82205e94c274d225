"""Weights and states on disk: safetensors files written and read, PyTorch's read."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np

from .creation import tensor
from .tensor import Tensor

PICKLE = (b"\x80\x04", 4)  # how a pickle of Python objects begins; PyTorch's have protocol 2


def save(obj: Any, f: Any) -> None:
    """Writes tensors, or whatever holds them, to a file or an open binary stream (`torch.save`).

    Names with tensors (a state dict) become a safetensors file. Nested dicts, lists and tuples of tensors, arrays,
    numbers, strings and None, such as `{"epoch": 3, "model": model.state_dict(), "optimizer": ...}`, become a
    checkpoint: safetensors with the structure beside it. Neither holds code. Anything else, such as a whole model, is
    pickled: better save its state dict, which does not depend on where its class is defined.

    A file appears whole or not at all: it is written beside its place, flushed to the disk and then renamed.

    >>> import fastdl, tempfile, os
    >>> file = os.path.join(tempfile.mkdtemp(), "w.safetensors")
    >>> fastdl.save({"w": fastdl.ones(2)}, file); fastdl.load(file)["w"].tolist()
    [1.0, 1.0]
    >>> fastdl.save({"epoch": 3, "model": {"w": fastdl.ones(2)}}, file); fastdl.load(file)["epoch"]
    3
    """
    content = _encoded(obj)
    if hasattr(f, "write"):
        f.write(content)
    else:
        write_atomic(f, content)


def _encoded(obj: Any) -> bytes:
    from .checkpoint import encoded

    if isinstance(obj, Mapping) and all(_is_named_array(*item) for item in obj.items()):
        from safetensors.numpy import save as encode

        return encode({name: np.array(v if isinstance(v, np.ndarray) else v._host(), order="C")
                       for name, v in obj.items()})  # fmt: skip
    try:
        return encoded(obj, "save")
    except TypeError:  # something that is neither a container nor plain
        pass
    try:
        return pickle.dumps(obj, PICKLE[1])
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(f"[save] expected something that can be pickled, got {type(obj).__name__}: {error}") from None


def _is_named_array(name: Any, value: Any) -> bool:
    return isinstance(name, str) and isinstance(value, Tensor | np.ndarray)


def load(f: Any, map_location: Any = None, weights_only: bool = True, *, device: Any = None) -> Any:
    """What `save` wrote, a safetensors file, or PyTorch's `.pth` or `.pt` (`fastdl.torch_files`); or a stream of one.

    `map_location` (also called `device`) says where the tensors go, by default to the CPU. Pickled objects are read
    only with `weights_only=False`: a pickle may run any code, so ask for it only with files that you trust.

    float16 and bfloat16 become float32; int8, int16 and uint16 become int32, uint32 becomes int64.

    Raises FileNotFoundError, or ValueError `[load] expected a safetensors file ...` for a damaged one.
    """
    where = device if device is not None else map_location
    where = where if isinstance(where, str) else None  # PyTorch's functions and dicts of places: the CPU
    content, name = read_from(f)
    if content[8:9] != b"{" and content[:2] in (b"PK", b"\x80\x02"):
        from .torch_files import load_torch

        return load_torch(f if isinstance(f, str | os.PathLike) else io.BytesIO(content), where)
    if content[:2] == PICKLE[0]:
        return _unpickled(content, name, weights_only)
    from safetensors import SafetensorError, deserialize

    from .checkpoint import decoded, is_checkpoint

    try:
        if is_checkpoint(content):
            return decoded(content, where)
        return {name: tensor(_numbers(**entry), device=where) for name, entry in deserialize(content)}
    except (SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"[load] expected a safetensors file, got {name}: {error}") from None


def _unpickled(content: bytes, name: str, weights_only: bool) -> Any:
    if weights_only:
        raise ValueError(f"[load] expected weights_only=False for pickled objects, which may run code, got {name}")
    try:
        return pickle.loads(content)
    except Exception as error:  # whatever a damaged pickle makes of itself
        raise ValueError(f"[load] expected a pickle that is whole, got {name}: {error}") from None


def read_from(f: Any) -> tuple[bytes, str]:
    """All of a file or of an open binary stream, and its name for messages."""
    if hasattr(f, "read"):
        return f.read(), str(getattr(f, "name", type(f).__name__))
    if not isinstance(f, str | os.PathLike):
        raise TypeError(f"[load] expected a path or an open binary stream, got {type(f).__name__}")
    with open(f, "rb") as file:
        return file.read(), os.fspath(f)


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
    import tempfile

    folder, name = os.path.split(os.fspath(path).rstrip(os.sep))
    handle, temporary = tempfile.mkstemp(dir=folder or ".", prefix=name, suffix=".part")
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
