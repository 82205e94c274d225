"""The same work in PyTorch and NumPy, by the name of the case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

try:
    import torch
except ImportError:
    torch = None

if torch is not None:
    TF = torch.nn.functional
    TORCH: dict[str, Callable[..., Any]] = {
        "exp": torch.exp, "log": torch.log, "relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh,
        "add": torch.add, "mul": torch.mul,
        "sum": lambda x, dim: x.sum() if dim is None else x.sum(dim),
        "permute": lambda x, dims: x.permute(dims).contiguous(),
        "matmul": torch.matmul, "linear": TF.linear, "conv2d": TF.conv2d,
        "max_pool2d": TF.max_pool2d,
        "max_pool2d_with_indices": lambda x, **a: TF.max_pool2d(x, **a, return_indices=True)[0],
        "dropout": lambda x, p: TF.dropout(x, p, training=True),
        "softmax": TF.softmax, "log_softmax": TF.log_softmax, "cross_entropy": TF.cross_entropy,
    }  # fmt: skip
else:
    TORCH = {}

NUMPY: dict[str, Callable[..., Any]] = {
    "exp": np.exp, "log": np.log, "relu": lambda x: np.maximum(x, 0), "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "add": np.add, "mul": np.multiply,
    "sum": lambda x, dim: x.sum(axis=dim),
    "permute": lambda x, dims: np.ascontiguousarray(x.transpose(dims)),
    "matmul": np.matmul,
    "linear": lambda x, w, b=None: x @ w.T if b is None else x @ w.T + b,
}  # fmt: skip


def torch_variants(name: str, arrays: list[np.ndarray], attributes: dict[str, Any], backward: bool) -> dict[str, Any]:
    """Callables that run a case in PyTorch, one for each memory format that applies."""
    if name not in TORCH:
        return {}
    function = TORCH[name]

    def prepared(channels_last: bool) -> Callable[[], Any]:
        tensors = []
        for a in arrays:
            t = torch.from_numpy(a.astype(np.float32) if a.dtype.kind == "f" else a)
            if channels_last and t.ndim == 4:
                t = t.contiguous(memory_format=torch.channels_last)
            tensors.append(t.requires_grad_(backward and a.dtype.kind == "f"))
        if not backward:

            def forward():
                with torch.no_grad():
                    return function(*tensors, **attributes)

            return forward
        grad = torch.ones_like(function(*tensors, **attributes))

        def both():
            for t in tensors:
                t.grad = None
            function(*tensors, **attributes).backward(grad)

        return both

    variants = {"PyTorch": prepared(False)}
    if name in ("conv2d", "max_pool2d", "max_pool2d_with_indices") and arrays[0].ndim == 4:
        variants["PyTorch channels_last"] = prepared(True)
    return variants


def numpy_variant(name: str, arrays: list[np.ndarray], attributes: dict[str, Any]) -> dict[str, Any]:
    """A callable that runs a case in NumPy, where NumPy has it."""
    if name not in NUMPY:
        return {}
    inputs = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in arrays]
    return {"NumPy": lambda: NUMPY[name](*inputs, **attributes)}


def set_torch_threads(n: int) -> None:
    if torch is not None:
        torch.set_num_threads(n)
