"""Lines in another order or in parts: flip, roll, split, chunk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd import Node, fresh, record, recording
from ..creation import zeros
from ..outputs import record_several
from ..tensor import Tensor
from .arguments import expect_int, expect_tensor
from .layout import clone
from .reduction import normalized_axis

Array = Any
Shape = tuple[int, ...]


@fresh
def _flip_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.flip(g, node.saved),)


def flip(input: Tensor, *axes: Any, dims: Any = ()) -> Tensor:
    """The axes `dims` backwards (`torch.flip`).

    >>> import fastdl
    >>> flip(fastdl.tensor([[1, 2], [3, 4]]), 0).tolist()
    [[3, 4], [1, 2]]
    """
    x = expect_tensor(input, "flip")
    wanted: Sequence[Any] = axes or (dims,)
    if len(wanted) == 1 and isinstance(wanted[0], tuple | list):
        wanted = wanted[0]
    ndim = x.ndim
    turned = tuple([normalized_axis(d, ndim, "flip") for d in wanted])
    if len(set(turned)) != len(turned):
        raise ValueError(f"[flip] expected each dim once, got {tuple(wanted)}")
    if not turned or not ndim:
        return clone(x)
    out = Tensor(x._backend.flip(x._array, turned), x._backend)
    return record(out, _flip_bwd, (x,), turned) if recording(x) else out


def _rolled(k: Any, x: Array, shape: Shape, moved: Sequence[int]) -> Array:
    """x rolled in another shape."""
    if shape == x.shape:
        return k.roll(x, tuple(moved))
    return k.reshape(k.roll(k.reshape(x, shape), tuple(moved)), x.shape)


@fresh
def _roll_bwd(node: Node, g: Array) -> tuple[Array]:
    shape, moved = node.saved
    return (_rolled(node.backend, g, shape, [-n for n in moved]),)


def roll(input: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Tensor:
    """Elements moved on by `shifts` along `dims`, the last ones to the front; flattened without dims (`torch.roll`).

    >>> import fastdl
    >>> roll(fastdl.arange(4), 1).tolist()
    [3, 0, 1, 2]
    """
    x = expect_tensor(input, "roll")
    steps = shifts if isinstance(shifts, tuple | list) else (shifts,)
    axes = dims if isinstance(dims, tuple | list) else (0 if dims is None else dims,)
    if len(steps) != len(axes):
        raise ValueError(f"[roll] expected a shift for each of {len(axes)} dims, got {len(steps)}")
    k, shape = x._backend, x.shape if dims is not None else (x.numel(),)
    moved = [0] * len(shape)
    for step, dim in zip(steps, axes, strict=True):
        axis, by = normalized_axis(dim, len(shape), "roll"), expect_int(step, "roll", "shifts")
        if shape and shape[axis]:
            moved[axis] = (moved[axis] + by) % shape[axis]
    out = Tensor(_rolled(k, x._array, shape, moved), k)
    return record(out, _roll_bwd, (x,), (shape, moved)) if recording(x) else out


@fresh
def _parts_bwd(node: Node, grads: list[Array | None]) -> tuple[Array]:
    k, (axis, shapes, dtype, device) = node.backend, node.saved
    whole = [
        zeros(*shape, dtype=dtype, device=device)._array if g is None else k.reshape(g, shape)
        for g, shape in zip(grads, shapes, strict=True)
    ]
    return (k.concat(whole, axis),)


def parts(x: Tensor, sizes: Sequence[int], axis: int, lines: bool = False) -> list[Tensor]:
    """Neighbours of these sizes, or lines of size 1 without the axis. Their gradients are joined once; slices would
    each give one of the whole size."""
    k, shape, a = x._backend, x.shape, x._array
    front, before, after, ones = (slice(None),) * axis, shape[:axis], shape[axis + 1 :], (1,) * len(shape)
    lead, rest = (0,) * axis, (0,) * len(after)
    outs, start = [], 0
    for n in sizes:
        part = k.slice(a, (*lead, start, *rest), (*before, n, *after), ones)
        out = Tensor(k.reshape(part, before + after) if lines else part, k)
        out._origin = (x, "index", (*front, start if lines else slice(start, start + n)))
        outs.append(out)
        start += n
    if outs and recording(x):
        record_several(outs, _parts_bwd, (x,), (axis, [(*before, n, *after) for n in sizes], x.dtype, x.device))
    return outs


def split(input: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Parts along `dim`: of one size (the last may be smaller), or of the sizes given (`torch.split`).

    >>> import fastdl
    >>> [p.tolist() for p in split(fastdl.arange(5), 2)]
    [[0, 1], [2, 3], [4]]
    """
    x = expect_tensor(input, "split")
    axis = normalized_axis(dim, x.ndim, "split")
    size = x.shape[axis]
    if isinstance(split_size_or_sections, tuple | list):
        sizes = list(split_size_or_sections)
        if sum(sizes) != size or any(n < 0 for n in sizes):
            raise ValueError(f"[split] expected sizes that add up to {size}, got {sizes}")
    else:
        each = expect_int(split_size_or_sections, "split", "split_size")
        if each < 1 and not (each == 0 and size == 0):
            raise ValueError(f"[split] expected split_size of at least 1, got {each}")
        sizes = [min(each, size - i) for i in range(0, size, each or 1)] or [0]
    return tuple(parts(x, sizes, axis))


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` parts of equal size along `dim`, the last may be smaller (`torch.chunk`).

    >>> import fastdl
    >>> [p.tolist() for p in chunk(fastdl.arange(5), 3)]
    [[0, 1], [2, 3], [4]]
    """
    x = expect_tensor(input, "chunk")
    n = expect_int(chunks, "chunk", "chunks")
    if n < 1:
        raise ValueError(f"[chunk] expected chunks of at least 1, got {n}")
    if x.ndim == 0:
        raise ValueError("[chunk] expected input with at least one dimension, got a scalar")
    size = x.shape[normalized_axis(dim, x.ndim, "chunk")]
    if size == 0:
        return split(x, [0] * n, dim)
    return split(x, -(-size // n), dim)
