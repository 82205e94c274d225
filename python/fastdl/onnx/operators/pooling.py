"""Pooling. Windows of volumes are windows of images and then windows along the depth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import functional as F
from ...functional import arithmetic, elementary, layout, reduction
from ...functional.indexing import scatter
from ...tensor import Tensor
from .registry import Value, fits, host, ints, numpy_dtype, operator
from .windows import (
    Windows,
    as_image_windows,
    as_images,
    depth_as_row,
    depth_in_channels,
    from_images,
    padded,
    windows_of,
)


def _part(w: Windows, first: int, last: int) -> Windows:
    kernel, stride, dilation, begin, end = (v[first:last] for v in w[:5])
    return Windows(kernel, stride, dilation, begin, end, w.ceil)


def _by_depth(x: Tensor, w: Windows, pool: Any) -> Tensor:
    """`pool(images, windows)` of the planes of volumes, and then along their depth."""
    planes = pool(depth_in_channels(x), _part(w, 1, 3))
    apart = layout.reshape(planes, (*x.shape[:3], *planes.shape[2:]))
    along = pool(depth_as_row(apart), as_image_windows(_part(w, 0, 1))._replace(
        kernel=(w.kernel[0], 1), stride=(w.stride[0], 1), dilation=(w.dilation[0], 1), begin=(w.begin[0], 0),
        end=(w.end[0], 0),
    ))  # fmt: skip
    return layout.reshape(along, (*along.shape[:3], *apart.shape[3:]))


# ---- maximum ---------------------------------------------------------------------------------------------------------


@operator("MaxPool")
def max_pool(node: Any, x: Value) -> Any:
    kind = numpy_dtype(x)
    t = _floats(node, x)
    windows = windows_of(node, t.shape[2:], node.get("kernel_shape", ()))
    if t.ndim == 5:
        if len(node.outputs) > 1:
            raise NotImplementedError("expected input with 3 or 4 dimensions for indices, got 5")
        return _like(_by_depth(t, windows, _max_pool), kind)
    if len(node.outputs) == 1:
        return _like(from_images(_max_pool(as_images(t), as_image_windows(windows)), t.ndim), kind)
    out, places = _max_pool_places(as_images(t), as_image_windows(windows))
    return _like(from_images(out, t.ndim), kind), from_images(
        _whole_places(places, as_images(t).shape, node.get("storage_order", 0)), t.ndim
    )


def _floats(node: Any, x: Value) -> Tensor:
    """Integers as float64, which has them all but the largest int64."""
    if numpy_dtype(x).kind == "f":
        return node.tensor(x)
    return x.double() if isinstance(x, Tensor) else node.tensor(x.astype(np.float64))


def _like(x: Tensor, kind: np.dtype) -> Value:
    return x if kind.kind == "f" else x.to(kind.name) if fits(np.empty(0, kind)) else host(x).astype(kind)


def _is_plain(w: Windows) -> bool:
    """Whether fastdl's pooling pads like this."""
    return w.is_symmetric() and not w.ceil and all(2 * b <= k for b, k in zip(w.begin, w.kernel, strict=True))


def _max_pool(x: Tensor, w: Windows) -> Tensor:
    if _is_plain(w):
        return F.max_pool2d(x, w.kernel, w.stride, w.begin, w.dilation)
    exact = w.exact(x.shape[2:])
    return F.max_pool2d(padded(x, exact.begin, exact.end, float("-inf")), w.kernel, w.stride, 0, w.dilation)


def _max_pool_places(x: Tensor, w: Windows) -> tuple[Tensor, Tensor]:
    exact = w.exact(x.shape[2:])
    around = padded(x, exact.begin, exact.end, float("-inf"))
    out, places = F.max_pool2d(around, w.kernel, w.stride, 0, w.dilation, return_indices=True)
    rows, columns = np.divmod(host(places), around.shape[3])
    inner = (rows - w.begin[0]) * x.shape[3] + columns - w.begin[1]
    return out, _beside(inner, x)


def _beside(array: np.ndarray, x: Tensor) -> Tensor:
    return Tensor(x._backend.from_numpy(np.ascontiguousarray(array), False), x._backend)


def _whole_places(places: Tensor, shape: tuple[int, ...], column_major: int) -> Tensor:
    """Places in planes as places in the whole tensor."""
    found, (n, c, h, w) = host(places), shape
    if column_major:
        found = found % w * h + found // w
    return _beside(found + (np.arange(n * c) * (h * w)).reshape(n, c, 1, 1), places)


@operator("MaxUnpool")
def max_unpool(node: Any, x: Value, places: Value, output_shape: Value = None) -> Value:
    """Values to where max pooling found them in a map of the usual size, then zeros up to `output_shape`."""
    t, index = node.tensors(x, places)
    w = windows_of(node, t.shape[2:], node.get("kernel_shape", ()))
    reach = zip(t.shape[2:], w.stride, w.kernel, w.begin, w.end, strict=True)
    sizes = (*t.shape[:2], *((n - 1) * s + k - b - e for n, s, k, b, e in reach))
    nothing = _beside(np.zeros(math.prod(sizes), numpy_dtype(t)), t)
    out = scatter(nothing, 0, layout.reshape(index, -1), layout.reshape(t, -1)).reshape(sizes)
    if output_shape is None:
        return out
    wanted = ints(output_shape)
    return padded(out, (0,) * len(wanted), [n - m for n, m in zip(wanted, sizes, strict=True)])


# ---- sums ------------------------------------------------------------------------------------------------------------


@operator("AveragePool")
def average_pool(node: Any, x: Value) -> Value:
    t = node.tensor(x)
    windows = windows_of(node, t.shape[2:], node.get("kernel_shape", ()))
    counted = bool(node.get("count_include_pad", 0))
    if t.ndim == 5:
        return _by_depth(t, windows, lambda x, w: _average(x, w, counted))
    return from_images(_average(as_images(t), as_image_windows(windows), counted), t.ndim)


def _average(x: Tensor, w: Windows, counted: bool) -> Tensor:
    if _is_plain(w) and set(w.dilation) == {1}:
        return F.avg_pool2d(x, w.kernel, w.stride, w.begin, False, counted)
    taps = [_taps(w, axis, x.shape[2 + axis], counted) for axis in (0, 1)]
    divisors = np.multiply.outer(*taps).astype(numpy_dtype(x))
    return arithmetic.div(_sums(x, w), _beside(divisors, x))


def _taps(w: Windows, axis: int, size: int, counted: bool) -> np.ndarray:
    """How many elements each window has along an axis, with or without those of the padding."""
    low, high = (-w.begin[axis], size + w.end[axis]) if counted else (0, size)
    starts = np.arange(w.number(axis, size)) * w.stride[axis] - w.begin[axis]
    places = starts[:, None] + np.arange(w.kernel[axis]) * w.dilation[axis]
    return np.maximum(((places >= low) & (places < high)).sum(1), 1)


def _sums(x: Tensor, w: Windows) -> Tensor:
    exact = w.exact(x.shape[2:])
    around = padded(x, exact.begin, exact.end)
    if set(w.dilation) == {1}:
        return F.avg_pool2d(around, w.kernel, w.stride, divisor_override=1)
    planes = layout.reshape(around, (around.shape[0] * around.shape[1], 1, *around.shape[2:]))
    ones = _beside(np.ones((1, 1, *w.kernel), numpy_dtype(x)), x)
    sums = F.conv2d(planes, ones, None, w.stride, 0, w.dilation)
    return layout.reshape(sums, (*x.shape[:2], *sums.shape[2:]))


@operator("LpPool")
def lp_pool(node: Any, x: Value) -> Value:
    t, p = node.tensor(x), node.get("p", 2)
    windows = windows_of(node, t.shape[2:], node.get("kernel_shape", ()))
    powers = arithmetic.pow(elementary.abs(t), p)
    sums = _by_depth(powers, windows, _sums) if t.ndim == 5 else None
    if sums is None:
        sums = from_images(_sums(as_images(powers), as_image_windows(windows)), t.ndim)
    return arithmetic.pow(sums, 1.0 / p)


# ---- whole maps ------------------------------------------------------------------------------------------------------


def _inner_axes(t: Tensor) -> tuple[int, ...]:
    return tuple(range(2, t.ndim))


@operator("GlobalAveragePool")
def global_average_pool(node: Any, x: Value) -> Value:
    t = node.tensor(x)
    return reduction.mean(t, _inner_axes(t), True)


@operator("GlobalMaxPool")
def global_max_pool(node: Any, x: Value) -> Value:
    t = node.tensor(x)
    return reduction.amax(t, _inner_axes(t), True)


@operator("GlobalLpPool")
def global_lp_pool(node: Any, x: Value) -> Value:
    t, p = node.tensor(x), node.get("p", 2)
    return arithmetic.pow(reduction.sum(arithmetic.pow(elementary.abs(t), p), _inner_axes(t), True), 1.0 / p)
