"""Moving elements: permuted, broadcast, joined and sliced arrays. The result is always a new array."""

from __future__ import annotations

import builtins
from collections.abc import Sequence

import numpy as np

from .checks import Shape, checked_shape, expect, expect_array, expect_same_dtype

Array = np.ndarray


def permute(x: Array, dims: Shape) -> Array:
    expect_array("permute", "input", x)
    ok = sorted(dims) == list(range(x.ndim))
    expect(ok, ValueError, "permute", f"a permutation of {x.ndim} axes", tuple(dims))
    return np.array(x.transpose(dims), order="C")


def broadcast_to(x: Array, shape: Shape) -> Array:
    shape = checked_shape("broadcast_to", shape)
    ok = len(shape) >= x.ndim and all(n in (1, m) for n, m in zip(x.shape[::-1], shape[::-1], strict=False))
    expect(ok, ValueError, "broadcast_to", f"a shape that {x.shape} broadcasts to", shape)
    return np.array(np.broadcast_to(x, shape), order="C")


def concat(arrays: Sequence[Array], axis: int) -> Array:
    expect(len(arrays) > 0, ValueError, "concat", "at least one array", 0)
    first = arrays[0]
    expect(0 <= axis < first.ndim, IndexError, "concat", f"an axis in [0, {first.ndim})", axis)
    for i, a in enumerate(arrays):
        expect_same_dtype("concat", f"array {i}", a, first.dtype)
        same = a.ndim == first.ndim and all(a.shape[k] == first.shape[k] for k in range(a.ndim) if k != axis)
        expected = f"array {i} with the shape {first.shape} outside axis {axis}"
        expect(same, ValueError, "concat", expected, f"shape {a.shape}")
    return np.concatenate(arrays, axis)


def _slices(op: str, shape: Shape, starts: Shape, lengths: Shape, steps: Shape) -> tuple[builtins.slice, ...]:
    """Index expressions for `lengths[k]` elements of axis k: starts[k], starts[k] + steps[k], ..."""
    for what, values in (("starts", starts), ("lengths", lengths), ("steps", steps)):
        expect(len(values) == len(shape), ValueError, op, f"{len(shape)} {what}", len(values))
    index = []
    for axis, (size, start, length, step) in enumerate(zip(shape, starts, lengths, steps, strict=True)):
        expect(step != 0, ValueError, op, "steps other than 0", tuple(steps))
        last = start + (length - 1) * step
        inside = length == 0 or (length > 0 and 0 <= start < size and 0 <= last < size)
        expect(inside, IndexError, op, f"a slice inside axis {axis} of size {size}", f"{length} from {start} by {step}")
        stop = start + length * step
        index.append(builtins.slice(start, stop if stop >= 0 else None, step) if length else builtins.slice(0, 0))
    return tuple(index)


def slice(x: Array, starts: Shape, lengths: Shape, steps: Shape) -> Array:
    return np.array(x[_slices("slice", x.shape, starts, lengths, steps)], order="C")


def slice_bwd(grad: Array, shape: Shape, starts: Shape, steps: Shape) -> Array:
    out = np.zeros(checked_shape("slice_bwd", shape), grad.dtype)
    expect(grad.ndim == out.ndim, ValueError, "slice_bwd", f"grad with {out.ndim} dimensions", f"shape {grad.shape}")
    out[_slices("slice_bwd", out.shape, starts, grad.shape, steps)] = grad
    return out


def slice_assign_(x: Array, value: Array, starts: Shape, steps: Shape) -> None:
    expect_same_dtype("slice_assign_", "value", value, x.dtype)
    expect(value.ndim == x.ndim, ValueError, "slice_assign_", f"value with {x.ndim} dimensions", f"shape {value.shape}")
    x[_slices("slice_assign_", x.shape, starts, value.shape, steps)] = value
