"""Padding with a constant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd import Node, fresh, record, recording
from ..tensor import Tensor
from .arguments import expect_number, expect_tensor, shown

Array = Any


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


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Elements of `value` (0 by default) around the input (`torch.nn.functional.pad`).

    `pad` is (left, right) of the last axis, then (top, bottom) of the one before, and so on. Negative numbers cut off.

    Raises:
        TypeError: for an input that is not a Tensor, or a pad that is not a sequence of ints.
        ValueError: for an odd count of numbers, or more of them than axes, or a cut of more than there is.
        NotImplementedError: for a mode other than 'constant'.

    >>> import fastdl
    >>> pad(fastdl.ones(1, 2), (1, 2)).tolist()
    [[0.0, 1.0, 1.0, 0.0, 0.0]]
    """
    x = expect_tensor(input, "pad")
    if mode != "constant":
        raise NotImplementedError(f"[pad] expected mode 'constant', got {mode!r}")
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
