"""Moving elements: permuted, broadcast, joined and sliced arrays. The result is always a new array."""

from __future__ import annotations

import builtins
from collections.abc import Sequence

import numpy as np

from .checks import Shape, checked_sizes, expect, expect_array, expect_same_dtype, new

Array = np.ndarray


def permute(x: Array, dims: Shape) -> Array:
    expect_array("permute", "x", x)
    dims = tuple(dims)
    expect(len(dims) == x.ndim, ValueError, "permute", f"{x.ndim} axes", dims)
    for i, dim in enumerate(dims):
        expect(0 <= dim < x.ndim, IndexError, "permute", f"axes from 0 to {x.ndim - 1}", dims)
        expect(dim not in dims[:i], ValueError, "permute", "each axis once", dims)
    return np.array(x.transpose(dims), order="C")


def broadcast_to(x: Array, shape: Shape) -> Array:
    checked_sizes("broadcast_to", shape)
    fits = x.ndim <= len(shape) and all(n in (1, m) for n, m in zip(x.shape[::-1], shape[::-1], strict=False))
    expect(fits, ValueError, "broadcast_to", f"an array that broadcasts to {shape}", f"shape {x.shape}")
    out = new(shape, x.dtype)
    out[...] = x
    return out


def concat(arrays: Sequence[Array], axis: int) -> Array:
    expect(len(arrays) > 0, ValueError, "concat", "at least one array", "none")
    first = arrays[0]
    expect(0 <= axis < first.ndim, IndexError, "concat", f"an axis from 0 to {first.ndim - 1}", axis)
    for a in arrays:
        expect_same_dtype("concat", "arrays", a, first.dtype)
        same = a.ndim == first.ndim and all(a.shape[k] == first.shape[k] for k in range(a.ndim) if k != axis)
        expected = f"shapes equal to {first.shape} except along axis {axis}"
        expect(same, ValueError, "concat", expected, f"shape {a.shape}")
    return np.concatenate(arrays, axis)


def _slices(op: str, shape: Shape, starts: Shape, lengths: Shape, steps: Shape) -> tuple[builtins.slice, ...]:
    """Index expressions for `lengths[k]` elements of axis k: starts[k], starts[k] + steps[k], ..."""
    n = len(shape)
    got = f"{len(starts)}, {len(lengths)} and {len(steps)}"
    each = len(starts) == len(lengths) == len(steps) == n
    expect(each, ValueError, op, f"a start, length and step for each of {n} axes", got)
    for size, start, length, step in zip(shape, starts, lengths, steps, strict=True):
        expect(step >= 1, ValueError, op, "steps of at least 1", tuple(steps))
        last = start + (length - 1) * step
        inside = 0 <= start <= size and (length == 0 or (length > 0 and last < size))
        got = f"starts {tuple(starts)}, lengths {tuple(lengths)}, steps {tuple(steps)}"
        expect(inside, IndexError, op, f"a slice within shape {shape}", got)
    return tuple(builtins.slice(a, a + n * by, by) for a, n, by in zip(starts, lengths, steps, strict=True))


def slice(x: Array, starts: Shape, lengths: Shape, steps: Shape) -> Array:
    return np.array(x[_slices("slice", x.shape, starts, lengths, steps)], order="C")


def slice_bwd(grad: Array, shape: Shape, starts: Shape, steps: Shape) -> Array:
    index = _slices("slice_bwd", checked_sizes("slice_bwd", shape), starts, grad.shape, steps)
    out = new(shape, grad.dtype)
    out[...] = 0
    out[index] = grad
    return out


def slice_assign_(x: Array, value: Array, starts: Shape, steps: Shape) -> None:
    expect_same_dtype("slice_assign_", "value", value, x.dtype)
    x[_slices("slice_assign_", x.shape, starts, value.shape, steps)] = value
