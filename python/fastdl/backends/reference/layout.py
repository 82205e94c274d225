"""Moving elements: permuted, reversed, broadcast, joined, sliced and padded arrays, triangles. The result is always a
new array."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence

import numpy as np

from .checks import (
    MAX_DIMS,
    Shape,
    checked_sizes,
    expect,
    expect_array,
    expect_float,
    expect_same_dtype,
    expect_shape,
    new,
)

Array = np.ndarray


def permute(x: Array, dims: Shape) -> Array:
    expect_array("permute", "x", x)
    dims = tuple(dims)
    expect(len(dims) == x.ndim, ValueError, "permute", f"{x.ndim} axes", dims)
    for i, dim in enumerate(dims):
        expect(0 <= dim < x.ndim, IndexError, "permute", f"axes from 0 to {x.ndim - 1}", dims)
        expect(dim not in dims[:i], ValueError, "permute", "each axis once", dims)
    return np.array(x.transpose(dims), order="C")


def flip(x: Array, axes: Shape) -> Array:
    expect_array("flip", "x", x)
    axes = tuple(axes)
    for i, axis in enumerate(axes):
        expect(0 <= axis < x.ndim, IndexError, "flip", f"axes from 0 to {x.ndim - 1}", axes)
        expect(axis not in axes[:i], ValueError, "flip", "each axis once", axes)
    return np.array(np.flip(x, axes), order="C")


def rot90(x: Array, k: int, a: int, b: int) -> Array:
    expect_array("rot90", "x", x)
    expected = f"two different axes from 0 to {x.ndim - 1}"
    expect(0 <= a < x.ndim and 0 <= b < x.ndim and a != b, IndexError, "rot90", expected, f"{a} and {b}")
    expect(0 <= k < 4, ValueError, "rot90", "k from 0 to 3", k)
    return np.array(np.rot90(x, k, (a, b)), order="C")


def unfold(x: Array, axis: int, size: int, step: int) -> Array:
    expect_array("unfold", "x", x)
    expect(0 <= axis < x.ndim, IndexError, "unfold", f"an axis from 0 to {x.ndim - 1}", axis)
    expect(x.ndim < MAX_DIMS, ValueError, "unfold", f"at most {MAX_DIMS - 1} axes", x.ndim)
    n = x.shape[axis]
    expected = f"a size from 1 to {n} and a step of at least 1"
    expect(1 <= size <= n and step >= 1, ValueError, "unfold", expected, f"{size} and {step}")
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis)
    return np.array(windows[(builtins.slice(None),) * axis + (builtins.slice(None, None, step),)], order="C")


def roll(x: Array, shifts: Shape) -> Array:
    expect_array("roll", "x", x)
    expect(len(shifts) == x.ndim, ValueError, "roll", f"{x.ndim} shifts", len(shifts))
    return np.roll(x, tuple(shifts), tuple(range(x.ndim)))


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


def _places_of_diagonal(op: str, shape: Shape, offset: int, a: int, b: int) -> Array:
    """Where each element of the diagonal is in an array of this shape, laid out flat."""
    expect(a in range(len(shape)) and b in range(len(shape)) and a != b, IndexError, op,
           f"two different axes from 0 to {len(shape) - 1}", f"{a} and {b}")  # fmt: skip
    reach = shape[a] + shape[b]
    expect(-reach <= offset <= reach, ValueError, op, f"an offset within shape {shape}", offset)
    return np.diagonal(np.arange(math.prod(shape)).reshape(shape), offset, a, b)


def diagonal(x: Array, offset: int, a: int, b: int) -> Array:
    return x.reshape(-1)[_places_of_diagonal("diagonal", x.shape, offset, a, b)]


def diagonal_bwd(grad: Array, shape: Shape, offset: int, a: int, b: int) -> Array:
    places = _places_of_diagonal("diagonal_bwd", checked_sizes("diagonal_bwd", shape), offset, a, b)
    expect_shape("diagonal_bwd", "grad", grad, places.shape)
    out = new(shape, grad.dtype)
    out[...] = 0
    out.reshape(-1)[places] = grad
    return out


def slice_assign_(x: Array, value: Array, starts: Shape, steps: Shape) -> None:
    expect_same_dtype("slice_assign_", "value", value, x.dtype)
    x[_slices("slice_assign_", x.shape, starts, value.shape, steps)] = value


# ---- axes that go on beyond their ends -------------------------------------------------------------------------------

MODES = ("reflect", "replicate", "circular")


def _expect_enough(op: str, axis: int, n: int, before: int, after: int, mode: str) -> None:
    """An axis of n elements has those that the mode takes from it."""
    least = {"reflect": max(before, after) + 1, "replicate": 1, "circular": max(before, after)}[mode]
    enough = n >= least or max(before, after) <= 0
    expect(enough, ValueError, op, f"at least {least} elements on axis {axis} for mode {mode!r}", n)


def _taken_from(n: int, before: int, after: int, mode: str) -> np.ndarray:
    """The element of the axis that each place of the longer one has."""
    p = np.arange(-before, n + after)
    if mode == "replicate":
        return p.clip(0, max(n - 1, 0))
    if mode == "reflect":
        return np.where(p < 0, -p, np.where(p >= n, 2 * (n - 1) - p, p))
    return p % max(n, 1)


def _places(op: str, shape: Shape, before: Shape, after: Shape, mode: str) -> tuple[np.ndarray, ...]:
    expect(mode in MODES, ValueError, op, "mode reflect, replicate or circular", mode)
    for axis, (n, first, last) in enumerate(zip(shape, before, after, strict=True)):
        _expect_enough(op, axis, n, first, last, mode)
        got = f"before {tuple(before)} and after {tuple(after)}"
        expect(n + first + last >= 0, ValueError, op, f"to cut off at most what shape {tuple(shape)} has", got)
    return np.ix_(*(_taken_from(*axis, mode) for axis in zip(shape, before, after, strict=True)))


def pad(x: Array, before: Shape, after: Shape, mode: str) -> Array:
    expect_array("pad", "x", x)
    got = f"{len(before)} and {len(after)}"
    each = len(before) == len(after) == x.ndim
    expect(each, ValueError, "pad", f"numbers before and after each of {x.ndim} axes", got)
    places = _places("pad", x.shape, before, after, mode)
    return np.array(x[places], order="C") if x.ndim else x.copy()


def pad_bwd(grad: Array, shape: Shape, before: Shape, mode: str) -> Array:
    expect_float("pad_bwd", "grad", grad)
    got = f"{len(shape)} and {len(before)}"
    each = len(shape) == len(before) == grad.ndim
    expect(each, ValueError, "pad_bwd", f"a size and a number before for each of {grad.ndim} axes", got)
    checked_sizes("pad_bwd", shape)
    after = tuple(m - n - first for m, n, first in zip(grad.shape, shape, before, strict=True))
    room = all(abs(first) <= n + m for m, n, first in zip(grad.shape, shape, before, strict=True))
    expected = f"numbers before that grad of shape {grad.shape} has room for"
    expect(room, ValueError, "pad_bwd", expected, tuple(before))
    places = _places("pad_bwd", shape, before, after, mode)
    outside = any(a != (0, 0) for a in list(zip(before, after, strict=True))[:-3])
    got = f"shape {tuple(shape)} and grad of shape {grad.shape}"
    expect(not outside, NotImplementedError, "pad_bwd", "padding of the last 3 axes", got)
    out = new(shape, grad.dtype)
    out[...] = 0
    np.add.at(out, places, grad)
    return out


# ---- triangles -------------------------------------------------------------------------------------------------------


def tril(x: Array, diagonal: int) -> Array:
    expect(x.ndim >= 2, ValueError, "tril", "input with at least 2 dimensions", f"shape {x.shape}")
    return np.where(np.tri(x.shape[-2], x.shape[-1], diagonal, dtype=np.bool_), x, x.dtype.type(0))


def triu(x: Array, diagonal: int) -> Array:
    expect(x.ndim >= 2, ValueError, "triu", "input with at least 2 dimensions", f"shape {x.shape}")
    return np.where(np.tri(x.shape[-2], x.shape[-1], diagonal - 1, dtype=np.bool_), x.dtype.type(0), x)
