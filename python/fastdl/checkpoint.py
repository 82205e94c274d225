"""Whole states of a training in one file: nested dicts, lists and tuples of tensors, arrays, numbers and strings.

The file is safetensors: tensors under numbers, and the structure around them as JSON in the file's metadata. Nothing in
it is code, and it appears whole or not at all.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from .creation import tensor
from .saving import write_atomic
from .tensor import Tensor

FORMAT = "fastdl checkpoint 1"
PLAIN = (bool, int, float, str, type(None))


def save_checkpoint(state: Any, path: str | os.PathLike) -> None:
    """Writes a nested state, such as `{"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}`.

    Whatever happens while it is written, the file holds the old state or the new one, never a part of either.

    Raises TypeError for values that are not dicts (with keys of str or int), lists, tuples, tensors, NumPy arrays and
    numbers, str, int, float, bool or None.

    >>> import fastdl, tempfile, os
    >>> file = os.path.join(tempfile.mkdtemp(), "state.ckpt")
    >>> save_checkpoint({"w": fastdl.ones(2), "epoch": 3, "betas": (0.9, 0.99)}, file)
    >>> found = load_checkpoint(file); found["w"].tolist(), found["epoch"], found["betas"]
    ([1.0, 1.0], 3, (0.9, 0.99))
    """
    write_atomic(path, encoded(state, "save_checkpoint"))


def encoded(state: Any, op: str) -> bytes:
    """The bytes of a checkpoint."""
    from safetensors.numpy import save as encode

    arrays: dict[str, np.ndarray] = {}
    structure = json.dumps(_packed(state, arrays, op))
    return encode(arrays, {"format": FORMAT, "structure": structure})


def load_checkpoint(path: str | os.PathLike, device: Any = None) -> Any:
    """The state that `save_checkpoint` wrote; its tensors on a device, its arrays in NumPy.

    Raises FileNotFoundError, or ValueError `[load_checkpoint] expected a checkpoint ...` for any other file.
    """
    from safetensors import SafetensorError

    content = Path(path).read_bytes()
    try:
        return decoded(content, device)
    except (SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"[load_checkpoint] expected a checkpoint, got {os.fspath(path)}: {error}") from None


def _metadata(content: bytes) -> dict[str, str]:
    return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")]).get("__metadata__", {})


def is_checkpoint(content: bytes) -> bool:
    """Whether a safetensors file holds a state rather than names with tensors."""
    try:
        return _metadata(content).get("format") == FORMAT
    except (ValueError, AttributeError):
        return False


def decoded(content: bytes, device: Any) -> Any:
    """The state in the bytes of a checkpoint."""
    from safetensors.numpy import load as decode

    arrays = decode(content)
    if not is_checkpoint(content):
        raise KeyError("format")
    return _unpacked(json.loads(_metadata(content)["structure"]), arrays, device)


def _packed(value: Any, arrays: dict[str, np.ndarray], op: str) -> Any:
    """JSON for a value. What JSON lacks becomes a list that begins with its kind: ["tuple", ...]."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, Tensor | np.ndarray):
        name = str(len(arrays))
        host = value if isinstance(value, np.ndarray) else value._host()
        arrays[name] = np.array(host, order="C")  # a copy: a file may not have one tensor under two names
        return ["array" if isinstance(value, np.ndarray) else "tensor", name]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        if not all(isinstance(key, str | int) for key in value):
            raise TypeError(f"[{op}] expected keys of type str or int, got {list(value)}")
        return ["dict", *([key, _packed(v, arrays, op)] for key, v in value.items())]
    if type(value) in (list, tuple):
        return [type(value).__name__, *(_packed(v, arrays, op) for v in value)]
    raise TypeError(f"[{op}] expected tensors, containers and plain values, got {type(value).__name__}")


def _unpacked(value: Any, arrays: dict[str, np.ndarray], device: Any) -> Any:
    if not isinstance(value, list):
        return value
    kind, *parts = value
    if kind == "tensor":
        return tensor(arrays[parts[0]], device=device)
    if kind == "array":
        return arrays[parts[0]]
    if kind == "dict":
        return {key: _unpacked(v, arrays, device) for key, v in parts}
    found = [_unpacked(v, arrays, device) for v in parts]
    return tuple(found) if kind == "tuple" else found
