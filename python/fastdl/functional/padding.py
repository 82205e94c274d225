"""Padding: with a constant, or with the elements of the input itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd import Node, fresh, record, recording
from ..tensor import Tensor
from .arguments import expect_number, expect_tensor, shown
from .layout import index

Array = Any
_Copy = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]  # to, from, how much


@fresh
def _pad_bwd(node: Node, g: Array) -> tuple[Array]:
    k, (shape, kept, starts, lengths) = node.backend, node.saved
    ones = (1,) * len(shape)
    inner = k.slice(g, starts, lengths, ones)
    return (inner if lengths == shape else k.slice_bwd(inner, shape, kept, ones),)


def _sides(pad: Any, ndim: int) -> list[tuple[int, int]]:
    """(before, after) of each axis; `pad` names the last axis first."""
    if not isinstance(pad, tuple | list) or not all(isinstance(n, int) for n in pad):
        raise TypeError(f"[pad] expected a sequence of ints for pad, got {shown(pad)}")
    if len(pad) % 2 or len(pad) > 2 * ndim:
        raise ValueError(f"[pad] expected two numbers an axis, for at most {ndim} axes, got {len(pad)} numbers")
    sides = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)]
    return [(0, 0)] * (ndim - len(sides)) + sides[::-1]


def _sources(n: int, before: int, after: int, mode: str) -> list[tuple[int, int]]:
    """(place, the element that stands there too) of each element around n of them, counted from the first of these."""
    if mode == "circular":
        return [(-i, n - i) for i in range(1, before + 1)] + [(n + i, i) for i in range(after)]
    if mode == "replicate":
        return [(-i, 0) for i in range(1, before + 1)] + [(n + i, n - 1) for i in range(after)]
    return [(-i, i) for i in range(1, before + 1)] + [(n + i, n - 2 - i) for i in range(after)]


def _copies(shape: tuple[int, ...], sides: list[tuple[int, int]], mode: str) -> list[_Copy]:
    """What fills the frame around an array in the middle of a larger one: one axis after the other, the last one first,
    each over what is filled by then, so that corners come by two copies."""
    starts, lengths, copies = [before for before, _ in sides], list(shape), []
    for axis in reversed(range(len(shape))):
        before, after = sides[axis]
        line = tuple(1 if i == axis else n for i, n in enumerate(lengths))
        for place, source in _sources(lengths[axis], before, after, mode):
            to, at = ((*starts[:axis], starts[axis] + i, *starts[axis + 1 :]) for i in (place, source))
            copies.append((to, at, line))
        starts[axis], lengths[axis] = 0, lengths[axis] + before + after
    return copies


@fresh
def _grow_bwd(node: Node, g: Array) -> tuple[Array]:
    """Each copy backwards, the last one first: its gradient joins that of what it was copied from."""
    k, (shape, starts, copies) = node.backend, node.saved
    ones = (1,) * len(shape)
    g = k.cast(g, str(g.dtype))
    for to, at, line in reversed(copies):
        k.slice_assign_(g, k.add(k.slice(g, at, line, ones), k.slice(g, to, line, ones)), at, ones)
    return (k.slice(g, starts, shape, ones),)


def _grow(x: Tensor, sides: list[tuple[int, int]], mode: str) -> Tensor:
    for axis, (n, (before, after)) in enumerate(zip(x.shape, sides, strict=True)):
        least = {"reflect": max(before, after) + 1, "circular": max(before, after), "replicate": 1}[mode]
        if (before or after) and n < least:
            raise ValueError(f"[pad] expected at least {least} elements on axis {axis} for mode {mode!r}, got {n}")
    starts, ones, k = tuple(before for before, _ in sides), (1,) * x.ndim, x._backend
    out = Tensor(k.empty(tuple(n + sum(side) for n, side in zip(x.shape, sides, strict=True)), x.dtype.name), k)
    copies = _copies(x.shape, sides, mode)
    k.slice_assign_(out._array, x._array, starts, ones)
    for to, at, line in copies:
        k.slice_assign_(out._array, k.slice(out._array, at, line, ones), to, ones)
    return record(out, _grow_bwd, (x,), (x.shape, starts, copies)) if recording(x) else out


def _cut(x: Tensor, sides: list[tuple[int, int]]) -> Tensor:
    """Without what negative sides take away."""
    if all(before >= 0 and after >= 0 for before, after in sides):
        return x
    kept = (slice(max(-before, 0), n + min(after, 0)) for n, (before, after) in zip(x.shape, sides, strict=True))
    return index(x, tuple(kept))


def _pad_from_input(x: Tensor, pad: Any, mode: str) -> Tensor:
    sides = _sides(pad, x.ndim)
    if len(pad) // 2 > 3 or x.ndim not in (len(pad) // 2 + 1, len(pad) // 2 + 2):
        raise NotImplementedError(
            f"[pad] expected pad of the last 1 to 3 axes, all but one or two, for mode {mode!r}, "
            f"got {len(pad)} numbers and shape {x.shape}"
        )
    added = [(max(before, 0), max(after, 0)) for before, after in sides]
    if mode == "circular":  # goes on with what is left
        return _grow(_cut(x, sides), added, mode)
    return _cut(_grow(x, added, mode), sides)


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Elements around the input (`torch.nn.functional.pad`): `value` (0 by default) in mode 'constant', its own else.

    `pad` is (left, right) of the last axis, then (top, bottom) of the one before, and so on. Negative numbers cut off.
    The other modes pad all axes but the first one or two (batch, channels): 'reflect' mirrors at the edge element
    without repeating it, 'replicate' repeats it, 'circular' goes on from the other end.

    Raises:
        TypeError: for an input that is not a Tensor, or a pad that is not a sequence of ints.
        ValueError: for an odd count of numbers, or more of them than axes, or a cut of more than there is, or an axis
            too short for the mode, or an unknown mode.
        NotImplementedError: for numbers of axes that the mode does not pad.

    >>> import fastdl
    >>> pad(fastdl.ones(1, 2), (1, 2)).tolist()
    [[0.0, 1.0, 1.0, 0.0, 0.0]]
    >>> pad(fastdl.arange(3).reshape(1, 3), (2, 1), mode="reflect").tolist()
    [[2, 1, 0, 1, 2, 1]]
    """
    x = expect_tensor(input, "pad")
    if mode in ("reflect", "replicate", "circular"):
        return _pad_from_input(x, pad, mode)
    if mode != "constant":
        raise ValueError(f"[pad] expected mode constant, reflect, replicate or circular, got {shown(mode)}")
    fill = 0 if value is None else value
    expect_number(fill, "pad", "value")
    sides = _sides(pad, x.ndim)
    shape = tuple(n + before + after for n, (before, after) in zip(x.shape, sides, strict=True))
    kept = tuple(max(-before, 0) for before, _ in sides)
    starts = tuple(max(before, 0) for before, _ in sides)
    lengths = tuple(n + min(b, 0) + min(a, 0) for n, (b, a) in zip(x.shape, sides, strict=True))
    if min(shape, default=0) < 0 or min(lengths, default=0) < 0:
        raise ValueError(f"[pad] expected to cut off at most what shape {x.shape} has, got pad {tuple(pad)}")
    k, ones = x._backend, (1,) * x.ndim
    inner = x._array if lengths == x.shape else k.slice(x._array, kept, lengths, ones)
    out = Tensor(k.empty(shape, x.dtype.name), k)
    k.fill_(out._array, float(fill) if x.is_floating_point() else int(fill))
    k.slice_assign_(out._array, inner, starts, ones)
    if recording(x):
        record(out, _pad_bwd, (x,), (x.shape, kept, starts, lengths))
    return out
