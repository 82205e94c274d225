"""Padding: with a constant, or with the elements of the input itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd import Node, fresh, record, recording
from ..tensor import Tensor
from .arguments import expect_number, expect_tensor, shown
from .layout import index

Array = Any


@fresh
def _pad_bwd(node: Node, g: Array) -> tuple[Array]:
    k, (shape, kept, starts, lengths) = node.backend, node.saved
    ones = (1,) * len(shape)
    inner = k.slice(g, starts, lengths, ones)
    return (inner if lengths == shape else k.slice_bwd(inner, shape, kept, ones),)


def _sides(pad: Any, ndim: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Numbers before and after each axis; `pad` names the last axis first."""
    if not isinstance(pad, tuple | list) or not all([isinstance(n, int) for n in pad]):
        raise TypeError(f"[pad] expected a sequence of ints for pad, got {shown(pad)}")
    if len(pad) % 2 or len(pad) > 2 * ndim:
        raise ValueError(f"[pad] expected two numbers an axis, for at most {ndim} axes, got {len(pad)} numbers")
    others = (0,) * (ndim - len(pad) // 2)
    return (*others, *pad[-2::-2]), (*others, *pad[::-2])


@fresh
def _extended_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.pad_bwd(g, *node.saved),)


def _pad_from_input(x: Tensor, pad: Any, mode: str) -> Tensor:
    before, after = _sides(pad, x.ndim)
    if len(pad) // 2 > 3 or x.ndim not in (len(pad) // 2 + 1, len(pad) // 2 + 2):
        raise NotImplementedError(
            f"[pad] expected pad of the last 1 to 3 axes, all but one or two, for mode {mode!r}, "
            f"got {len(pad)} numbers and shape {x.shape}"
        )
    if mode == "circular" and min(pad, default=0) < 0:  # goes on with what is left; the others take what there was
        x = index(x, tuple(slice(max(-b, 0), n + min(a, 0)) for n, b, a in zip(x.shape, before, after, strict=True)))
        before, after = (tuple(max(n, 0) for n in side) for side in (before, after))
    out = Tensor(x._backend.pad(x._array, before, after, mode), x._backend)
    return record(out, _extended_bwd, (x,), (x.shape, before, mode)) if recording(x) else out


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
    before, after = _sides(pad, x.ndim)
    axes = list(zip(x.shape, before, after, strict=True))
    shape = tuple([n + b + a for n, b, a in axes])
    kept, starts = tuple([max(-b, 0) for b in before]), tuple([max(b, 0) for b in before])
    lengths = tuple([n + min(b, 0) + min(a, 0) for n, b, a in axes])
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
