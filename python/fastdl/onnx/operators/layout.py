"""Other shapes and orders of the same numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...functional import layout
from ...functional import shaping as _shaping
from ...functional.diagonals import tril, triu
from ...functional.padding import pad as _pad
from ...functional.rearranging import flip
from ...functional.rearranging import split as _split
from ...functional.upsampling import pixel_shuffle
from ...tensor import Tensor
from .indexing import chosen
from .registry import Value, axis_of, fits, host, ints, number, on_host, operator
from .shapes import expect_size


def reshaped(x: Value, sizes: Any) -> Value:
    return layout.reshape(x, tuple(sizes)) if isinstance(x, Tensor) else x.reshape(tuple(sizes))


@operator("Identity")
def identity(node: Any, x: Value) -> Value:
    return x


@operator("Dropout")
def dropout(node: Any, x: Value, ratio: Value = None, training: Value = None) -> Any:
    if training is not None and number(training) and (ratio is None or number(ratio)):
        raise NotImplementedError("expected inference, got training_mode=True")
    return x if len(node.outputs) == 1 else (x, np.ones(x.shape, bool))


@operator("Reshape")
def reshape(node: Any, x: Value, sizes: Value) -> Value:
    wanted = ints(sizes)
    if not node.get("allowzero", 0):
        if any(n == 0 and i >= x.ndim for i, n in enumerate(wanted)):
            raise ValueError(f"expected 0 for an axis of shape {x.shape}, got {wanted}")
        wanted = [x.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    if -1 in wanted and 0 in x.shape:
        wanted[wanted.index(-1)] = 0
    return reshaped(x, wanted)


@operator("Flatten")
def flatten(node: Any, x: Value) -> Value:
    axis = node.get("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    return reshaped(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


@operator("Squeeze")
def squeeze(node: Any, x: Value, axes: Value = None) -> Value:
    named = node.get("axes") if axes is None else ints(axes)
    dropped = {a for a, n in enumerate(x.shape) if n == 1} if named is None else {axis_of(a, x.ndim) for a in named}
    if any(x.shape[a] != 1 for a in dropped):
        raise ValueError(f"expected axes of size 1, got {sorted(dropped)} of shape {x.shape}")
    return reshaped(x, [n for a, n in enumerate(x.shape) if a not in dropped])


@operator("Unsqueeze")
def unsqueeze(node: Any, x: Value, axes: Value = None) -> Value:
    named = node.get("axes") if axes is None else ints(axes)
    ndim = x.ndim + len(named)
    added = {axis_of(a, ndim) for a in named}
    if len(added) != len(named):
        raise ValueError(f"expected different axes, got {named}")
    sizes = iter(x.shape)
    return reshaped(x, [1 if a in added else next(sizes) for a in range(ndim)])


@operator("Transpose")
def transpose(node: Any, x: Value) -> Value:
    order = tuple(node.get("perm", reversed(range(x.ndim))))
    return layout.permute(x, order) if isinstance(x, Tensor) else np.ascontiguousarray(np.transpose(x, order))


@operator("Concat")
def concat(node: Any, *values: Value) -> Value:
    axis = axis_of(node.get("axis", 1), values[0].ndim)
    if on_host(*values) or not all(fits(v) for v in values):
        return np.concatenate([host(v) for v in values], axis)
    return layout.cat(node.tensors(*values), axis)


@operator("Split")
def split(node: Any, x: Value, sizes: Value = None) -> Any:
    axis = axis_of(node.get("axis", 0), x.ndim)
    total, parts = x.shape[axis], len(node.outputs)
    named = node.get("split") if sizes is None else ints(sizes)
    if named is None:
        each = -(-total // parts)
        named = [min(each, max(total - i * each, 0)) for i in range(parts)]
    if sum(named) != total or min(named) < 0:
        raise ValueError(f"expected sizes whose sum is {total}, got {list(named)}")
    if isinstance(x, Tensor):
        return tuple(_split(x, list(named), axis))
    return tuple(np.split(x, np.cumsum(named)[:-1], axis))


@operator("Expand")
def expand(node: Any, x: Value, sizes: Value) -> Value:
    target = expect_size(list(np.broadcast_shapes(x.shape, tuple(ints(sizes)))))
    return layout.expand(x, target) if isinstance(x, Tensor) else np.broadcast_to(x, target)


@operator("Tile")
def tile(node: Any, x: Value, repeats: Value) -> Value:
    times = ints(repeats)
    if len(times) != x.ndim or min(times, default=0) < 0:
        raise ValueError(f"expected {x.ndim} repeats of at least 0, got {times}")
    expect_size([n * t for n, t in zip(x.shape, times, strict=True)])
    return _shaping.repeat(x, times) if isinstance(x, Tensor) else np.tile(x, times)


@operator("Slice")
def slice_(
    node: Any, x: Value, starts: Value = None, ends: Value = None, axes: Value = None, steps: Value = None
) -> Value:
    first, last, named = (
        node.get(name) if value is None else ints(value)
        for name, value in (("starts", starts), ("ends", ends), ("axes", axes))
    )
    named = range(len(first)) if named is None else named
    by = [1] * len(first) if steps is None else ints(steps)
    items = [slice(None)] * x.ndim
    for axis, start, stop, step in zip(named, first, last, by, strict=True):
        if step == 0:
            raise ValueError("expected a step other than 0, got 0")
        n = x.shape[axis_of(axis, x.ndim)]
        stop = None if step < 0 and stop < -n else stop  # minus a lot: to the beginning
        items[axis_of(axis, x.ndim)] = slice(start, stop, step)
    return sliced(x, items)


def sliced(x: Value, items: list[slice]) -> Value:
    """x[items]; steps may be negative."""
    if not isinstance(x, Tensor):
        return x[tuple(items)]
    backwards = []
    for axis, item in enumerate(items):
        if (item.step or 1) < 0:
            places = range(*item.indices(x.shape[axis]))[::-1]
            items[axis] = slice(places[0], places[-1] + 1, places.step) if places else slice(0, 0)
            backwards.append(axis)
    out = layout.index(x, tuple(items))
    return flip(out, tuple(backwards)) if backwards else out


# ---- padding ---------------------------------------------------------------------------------------------------------


@operator("Pad")
def pad(node: Any, x: Value, pads: Value = None, value: Value = None, axes: Value = None) -> Value:
    """Before opset 11 pads and value are attributes."""
    amounts = node.get("pads") if pads is None else ints(pads)
    fill = node.get("value", 0.0) if value is None else number(value)
    named = range(x.ndim) if axes is None else [axis_of(a, x.ndim) for a in ints(axes)]
    half = len(amounts) // 2
    if half != len(named):
        raise ValueError(f"expected {2 * len(named)} pads, got {len(amounts)}")
    sides = {a: (amounts[i], amounts[half + i]) for i, a in enumerate(named)}
    mode = node.get("mode", "constant")
    if mode == "constant":
        around = [n for a in reversed(range(x.ndim)) for n in sides.get(a, (0, 0))]
        return _pad(x, around, value=fill) if isinstance(x, Tensor) else _pad_host(x, sides, fill)
    for axis, (before, after) in sides.items():
        x = chosen(node, x, _mirrored(x.shape[axis], before, after, mode), axis) if before or after else x
    return x


def _pad_host(x: np.ndarray, sides: dict[int, tuple[int, int]], fill: Any) -> np.ndarray:
    each = [sides.get(a, (0, 0)) for a in range(x.ndim)]
    inner = x[tuple(slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(x.shape, each, strict=True))]
    return np.pad(inner, [(max(b, 0), max(a, 0)) for b, a in each], constant_values=fill)


def _mirrored(size: int, before: int, after: int, mode: str) -> np.ndarray:
    """For each place of a padded axis the place that its element comes from."""
    if mode not in ("reflect", "edge", "wrap"):
        raise ValueError(f"expected mode constant, reflect, edge or wrap, got {mode!r}")
    inner = np.arange(max(-before, 0), size - max(-after, 0))
    return np.pad(inner, (max(before, 0), max(after, 0)), mode)  # type: ignore[call-overload]


# ---- squares of pixels -----------------------------------------------------------------------------------------------


@operator("DepthToSpace")
def depth_to_space(node: Any, x: Value) -> Value:
    t, r = node.tensor(x), node.get("blocksize")
    if node.get("mode", "DCR") == "CRD" and t.is_floating_point():
        return pixel_shuffle(t, r)
    n, c, h, w = t.shape
    crd = node.get("mode", "DCR") == "CRD"
    apart = layout.reshape(t, (n, c // r**2, r, r, h, w) if crd else (n, r, r, c // r**2, h, w))
    moved = layout.permute(apart, (0, 1, 4, 2, 5, 3) if crd else (0, 3, 4, 1, 5, 2))
    return layout.reshape(moved, (n, c // r**2, h * r, w * r))


@operator("SpaceToDepth")
def space_to_depth(node: Any, x: Value) -> Value:
    t, r = node.tensor(x), node.get("blocksize")
    n, c, h, w = t.shape
    apart = layout.reshape(t, (n, c, h // r, r, w // r, r))
    order = (0, 1, 3, 5, 2, 4) if node.get("mode", "DCR") == "CRD" else (0, 3, 5, 1, 2, 4)
    return layout.reshape(layout.permute(apart, order), (n, c * r**2, h // r, w // r))


@operator("Trilu")
def trilu(node: Any, x: Value, k: Value = None) -> Value:
    diagonal, upper = 0 if k is None else int(number(k)), node.get("upper", 1)
    if on_host(x):
        return (np.triu if upper else np.tril)(x, diagonal)
    return (triu if upper else tril)(x, diagonal)
