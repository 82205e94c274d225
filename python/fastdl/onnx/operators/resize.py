"""Images of another size. Resizing is linear along each axis, so that any mode is a matrix an axis.

Where fastdl's kernels compute the same (nearest and linear modes of whole images) they do.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...functional.comparison import where
from ...functional.resampling import TRIANGLE, cubic, filter_matrix, multiply_axis
from ...functional.upsampling import interpolate
from ...tensor import Tensor
from .indexing import chosen
from .registry import Value, axis_of, host, ints, numpy_dtype, operator


class Mode(NamedTuple):
    mode: str = "nearest"
    transform: str = "half_pixel"
    rounding: str = "round_prefer_floor"
    cubic: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False
    extrapolation: float = 0.0


class Axis(NamedTuple):
    size: int
    target: int
    scale: float
    roi: tuple[float, float] = (0.0, 1.0)


def _sources(a: Axis, mode: Mode) -> Any:
    """Where the elements of the output come from, as coordinates of the input.

    The nearest of two is found in float32, as in other runtimes: which way ties go depends on it.
    """
    kind: Any = np.float32 if mode.mode == "nearest" else np.float64
    x = np.arange(a.target, dtype=kind)
    a = a._replace(scale=kind(a.scale))
    width = a.target if mode.transform == "align_corners" else a.scale * a.size
    if mode.transform == "asymmetric":
        return x / a.scale
    if mode.transform == "align_corners":
        return x * (a.size - 1) / (width - 1) if width > 1 else x * 0
    if mode.transform == "pytorch_half_pixel":
        return (x + 0.5) / a.scale - 0.5 if a.target > 1 else x - 0.5
    if mode.transform == "tf_half_pixel_for_nn":
        return (x + 0.5) / a.scale
    if mode.transform == "half_pixel_symmetric":
        middle = a.size / 2
        return middle * (1 - a.target / width) + (x + 0.5) / a.scale - 0.5
    if mode.transform == "tf_crop_and_resize":
        start, end = a.roi
        if a.target > 1:
            return start * (a.size - 1) + x * (end - start) * (a.size - 1) / (a.target - 1)
        return x + 0.5 * (start + end) * (a.size - 1)
    if mode.transform == "half_pixel":
        return (x + 0.5) / a.scale - 0.5
    raise NotImplementedError(f"expected a coordinate_transformation_mode of ONNX, got {mode.transform!r}")


def _nearest(sources: np.ndarray, a: Axis, rounding: str) -> np.ndarray:
    floor, ceil = np.floor, np.ceil
    rules: dict[str, Callable] = {
        "round_prefer_floor": lambda x: ceil(x - 0.5), "round_prefer_ceil": lambda x: floor(x + 0.5), "floor": floor,
        "ceil": ceil,
    }  # fmt: skip
    if rounding not in rules:
        raise NotImplementedError(f"expected a nearest_mode of ONNX, got {rounding!r}")
    return np.clip(rules[rounding](sources), 0, a.size - 1).astype(np.int64)


@functools.lru_cache(maxsize=64)
def _matrix(a: Axis, mode: Mode) -> np.ndarray:
    """(target, size): the weights of the elements of the input in each of the output."""
    shrink = min(a.scale, 1.0) if mode.antialias else 1.0  # a filter as wide as what an output element covers
    filter = TRIANGLE if mode.mode == "linear" else cubic(mode.cubic)
    normalize = mode.exclude_outside or mode.antialias
    return filter_matrix(_sources(a, mode), a.size, filter, shrink, mode.exclude_outside, normalize)


def _along(node: Any, x: Tensor, axis: int, a: Axis, mode: Mode) -> Tensor:
    if mode.mode == "nearest":
        return chosen(node, x, _nearest(_sources(a, mode), a, mode.rounding), axis)
    return multiply_axis(x, node.tensor(_matrix(a, mode).astype(numpy_dtype(x))), axis)


def _extrapolated(node: Any, out: Tensor, axes: list[tuple[int, Axis]], mode: Mode) -> Tensor:
    """tf_crop_and_resize: a constant where the source is outside the input."""
    for axis, a in axes:
        sources = _sources(a, mode)
        inside = ((sources >= 0) & (sources <= a.size - 1)).reshape(-1, *[1] * (out.ndim - axis - 1))
        out = where(node.tensor(inside), out, mode.extrapolation)
    return out


def _by_kernel(x: Tensor, axes: list[Axis], mode: Mode) -> Tensor | None:
    """By fastdl's kernels, where all but batch and channels change and they compute the same."""
    if x.ndim not in (3, 4) or any(a.size != a.target for a in axes[:2]):
        return None
    scales, sizes = tuple(a.scale for a in axes[2:]), tuple(a.target for a in axes[2:])
    linear = "linear" if x.ndim == 3 else "bilinear"
    if mode.mode == "nearest" and (mode.transform, mode.rounding) == ("asymmetric", "floor"):
        return interpolate(x, scale_factor=scales) if all(float(s).is_integer() for s in scales) else None
    if mode.mode != "linear" or mode.antialias or mode.exclude_outside:
        return None
    if mode.transform == "align_corners":
        return interpolate(x, size=sizes, mode=linear, align_corners=True)
    halves = mode.transform == "half_pixel" or (mode.transform == "pytorch_half_pixel" and min(sizes) > 1)
    exact = all(math.isclose(a.scale, a.target / a.size, rel_tol=1e-6) for a in axes)
    return interpolate(x, size=sizes, mode=linear, align_corners=False) if halves and exact else None


def resize_to(node: Any, x: Value, axes: list[Axis], mode: Mode) -> Value:
    if mode.mode not in ("nearest", "linear", "cubic"):
        raise NotImplementedError(f"expected mode nearest, linear or cubic, got {mode.mode!r}")
    if min((a.size for a in axes), default=1) < 1 or any(a.target < 1 for a in axes):
        raise ValueError(f"expected sizes of at least 1, got {[(a.size, a.target) for a in axes]}")
    kind = numpy_dtype(x)
    t = node.tensor(x if kind.kind == "f" else host(x).astype(np.float32))
    crops = mode.transform == "tf_crop_and_resize"
    changed = [
        (i, a) for i, a in enumerate(axes) if a.size != a.target or (crops and a.roi != (0.0, 1.0)) or a.scale != 1
    ]
    out = _by_kernel(t, axes, mode)
    if out is None:
        out = t
        for axis, a in changed:
            out = _along(node, out, axis, a, mode)
        out = _extrapolated(node, out, changed, mode) if crops else out
    return out if kind.kind == "f" else host(out).astype(kind)


def _axes(node: Any, x: Value, roi: Value, scales: Value, sizes: Value) -> list[Axis]:
    named = [axis_of(a, x.ndim) for a in node.get("axes") or range(x.ndim)]
    found = [Axis(n, n, 1.0) for n in x.shape]
    numbers = host(scales).reshape(-1) if scales is not None and host(scales).size else None
    corners = [0.0] * len(named) + [1.0] * len(named) if roi is None or not host(roi).size else host(roi).tolist()
    if numbers is not None:
        targets = [math.floor(np.float32(x.shape[a]) * s) for a, s in zip(named, numbers, strict=True)]
        factors = [float(s) for s in numbers]
    else:
        if sizes is None:
            raise ValueError("expected scales or sizes, got neither")
        targets = ints(sizes)
        factors = [n / x.shape[a] for a, n in zip(named, targets, strict=True)]
        policy = node.get("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            scale = (min if policy == "not_larger" else max)(factors)
            factors = [scale] * len(factors)
            targets = [math.floor(scale * x.shape[a] + 0.5) for a in named]
    for i, axis in enumerate(named):
        found[axis] = Axis(x.shape[axis], targets[i], factors[i], (corners[i], corners[len(named) + i]))
    return found


@operator("Resize")
def resize(node: Any, x: Value, roi: Value = None, scales: Value = None, sizes: Value = None) -> Value:
    if node.opset < 11:
        mode = Mode(node.get("mode", "nearest"), "asymmetric", "floor")
        return resize_to(node, x, _axes(node, x, None, roi, None), mode)
    mode = Mode(
        node.get("mode", "nearest"), node.get("coordinate_transformation_mode", "half_pixel"),
        node.get("nearest_mode", "round_prefer_floor"), node.get("cubic_coeff_a", -0.75),
        bool(node.get("exclude_outside", 0)), bool(node.get("antialias", 0)), node.get("extrapolation_value", 0.0),
    )  # fmt: skip
    return resize_to(node, x, _axes(node, x, roi, scales, sizes), mode)


@operator("Upsample")
def upsample(node: Any, x: Value, scales: Value = None) -> Value:
    numbers = np.asarray(node.get("scales"), np.float32) if scales is None else scales
    mode = Mode(node.get("mode", "nearest"), "asymmetric", "floor")
    return resize_to(node, x, _axes(node, x, None, numbers, None), mode)
