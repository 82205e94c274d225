"""Element types of ONNX as those of NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np


def need_onnx() -> Any:
    """The onnx package, which reading and writing its files needs."""
    try:
        import onnx
    except ImportError:
        raise ImportError("[onnx] expected the onnx package to be installed: pip install 'fastdl[onnx]'") from None
    return onnx


def array_dtype(code: int) -> np.dtype:
    """The NumPy dtype of an element type (`TensorProto.FLOAT`, ...)."""
    onnx = need_onnx()
    try:
        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(code))
    except KeyError:
        raise ValueError(f"[onnx] expected an element type of ONNX, got {code}") from None


def held(kind: np.dtype) -> np.dtype:
    """The dtype in which numbers of a dtype are held: half precision is computed in float32.

    >>> held(np.dtype("float16")), held(np.dtype("int8"))
    (dtype('float32'), dtype('int8'))
    """
    kind = np.dtype(kind)
    if kind.name in ("float16", "bfloat16"):
        return np.dtype(np.float32)
    if kind.kind not in "fiubOU":
        raise NotImplementedError(f"expected elements of at least 8 bits, got {kind.name}")
    return kind
