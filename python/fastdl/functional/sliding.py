"""Windows of planes as columns, and back: unfold, fold; pooling by a p-norm."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..creation import zeros
from ..tensor import Tensor
from .arguments import Pair, expect_tensor, pair
from .arithmetic import mul, pow
from .indexing import index_add, index_select
from .layout import index, reshape, squeeze, unsqueeze
from .padding import pad
from .pooling import avg_pool1d, avg_pool2d


def _places(size: Pair, kernel: Pair, dilation: Pair, stride: Pair, op: str) -> tuple[np.ndarray, int]:
    """Where each element of each window lies in a plane, (kernel elements, windows); and the number of windows."""
    at = []
    for n, k, d, s in zip(size, kernel, dilation, stride, strict=True):
        count = (n - d * (k - 1) - 1) // s + 1
        if min(k, d, s) < 1 or count < 1:
            raise ValueError(f"[{op}] expected windows that fit a plane of {size}, got kernel_size {kernel}")
        at.append(np.arange(k)[:, None] * d + np.arange(count) * s)
    rows, columns = at
    places = rows[:, None, :, None] * size[1] + columns[None, :, None, :]
    windows = rows.shape[1] * columns.shape[1]
    return places.reshape(-1, windows), windows


def _pairs(op: str, **given: Any) -> list[Pair]:
    return [pair(value, op, name) for name, value in given.items()]


def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """All windows as columns: (N, C, H, W) to (N, C * kernel elements, windows) (`torch.nn.functional.unfold`); one
    image without N too.

    >>> import fastdl
    >>> unfold(fastdl.arange(4.0).reshape(1, 1, 2, 2), (1, 2)).tolist()
    [[[0.0, 2.0], [1.0, 3.0]]]
    """
    x = expect_tensor(input, "unfold")
    if x.ndim == 3:
        return squeeze(unfold(unsqueeze(x, 0), kernel_size, dilation, padding, stride), 0)
    if x.ndim != 4:
        raise ValueError(f"[unfold] expected input with 3 or 4 dimensions, got shape {x.shape}")
    kernel, spread, edge, step = _pairs(
        "unfold", kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride
    )
    x = pad(x, (edge[1], edge[1], edge[0], edge[0])) if any(edge) else x
    n, c, h, w = x.shape
    places, windows = _places((h, w), kernel, spread, step, "unfold")
    flat = index_select(reshape(x, n * c, h * w), 1, _tensor(places, x))
    return reshape(flat, n, c * kernel[0] * kernel[1], windows)


def _tensor(places: np.ndarray, x: Tensor) -> Tensor:
    line = np.ascontiguousarray(places.ravel(), np.int64)
    return Tensor(x._backend.from_numpy(line, False), x._backend)


def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Columns back to their places, where windows overlap added up: (N, C * kernel elements, windows) to (N, C, H, W)
    (`torch.nn.functional.fold`).

    >>> import fastdl
    >>> fold(fastdl.ones(1, 2, 2), (1, 3), (1, 2)).tolist()
    [[[[1.0, 2.0, 1.0]]]]
    """
    x = expect_tensor(input, "fold")
    if x.ndim == 2:
        return squeeze(fold(unsqueeze(x, 0), output_size, kernel_size, dilation, padding, stride), 0)
    size, kernel, spread, edge, step = _pairs(
        "fold", output_size=output_size, kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride
    )
    area = kernel[0] * kernel[1]
    h, w = size[0] + 2 * edge[0], size[1] + 2 * edge[1]
    places, windows = _places((h, w), kernel, spread, step, "fold")
    if x.ndim != 3 or x.shape[1] % area or x.shape[2] != windows:
        raise ValueError(f"[fold] expected input (N, C * {area}, {windows}), got shape {x.shape}")
    n, c = x.shape[0], x.shape[1] // area
    plane = zeros(n * c, h * w, dtype=x.dtype, device=x.device)
    flat = index_add(plane, 1, _tensor(places, x), reshape(x, n * c, area * windows))
    whole = reshape(flat, n, c, h, w)
    return index(whole, (..., slice(edge[0], h - edge[0]), slice(edge[1], w - edge[1]))) if any(edge) else whole


def lp_pool1d(input: Tensor, norm_type: float, kernel_size: int, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """(sum of x^p)^(1/p) of each window of sequences (`torch.nn.functional.lp_pool1d`)."""
    total = mul(avg_pool1d(pow(input, norm_type), kernel_size, stride, 0, ceil_mode), kernel_size)
    return pow(total, 1.0 / norm_type)


def lp_pool2d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """(sum of x^p)^(1/p) of each window of planes (`torch.nn.functional.lp_pool2d`).

    >>> import fastdl
    >>> lp_pool2d(fastdl.tensor([[[[3.0, 4.0]]]]), 2, (1, 2)).item()
    5.0
    """
    high, wide = pair(kernel_size, "lp_pool2d", "kernel_size")
    total = mul(avg_pool2d(pow(input, norm_type), kernel_size, stride, 0, ceil_mode), high * wide)
    return pow(total, 1.0 / norm_type)
