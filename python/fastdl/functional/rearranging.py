"""Lines in another order or in parts: flip, roll, split, chunk; and running sums."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd import Node, fresh, record, recording
from ..creation import zeros
from ..outputs import record_several
from ..tensor import Tensor
from .arguments import expect_int, expect_tensor
from .indexing import select
from .layout import cat, clone, index, reshape
from .reduction import normalized_axes, normalized_axis

Array = Any


def _span(axis: int, start: int, stop: int) -> tuple[slice, ...]:
    return (*[slice(None)] * axis, slice(start, stop))


def _part(x: Tensor, axis: int, start: int, stop: int) -> Tensor:
    return index(x, _span(axis, start, stop))


def flip(input: Tensor, *axes: Any, dims: Any = ()) -> Tensor:
    """The axes `dims` backwards (`torch.flip`).

    >>> import fastdl
    >>> flip(fastdl.tensor([[1, 2], [3, 4]]), 0).tolist()
    [[3, 4], [1, 2]]
    """
    x = expect_tensor(input, "flip")
    given = axes or (dims if isinstance(dims, tuple | list) else (dims,))
    wanted = given[0] if len(given) == 1 and isinstance(given[0], tuple | list) else given
    turned = normalized_axes(list(wanted), x.ndim, "flip") if wanted else ()
    for axis in turned:
        backwards = np.arange(x.shape[axis])[::-1]
        x = select(x, x._backend.from_numpy(np.ascontiguousarray(backwards), False), axis)
    return x if turned and x.ndim else clone(x)


def roll(input: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Tensor:
    """Elements moved on by `shifts` along `dims`, the last ones to the front; flattened without dims (`torch.roll`).

    >>> import fastdl
    >>> roll(fastdl.arange(4), 1).tolist()
    [3, 0, 1, 2]
    """
    x = expect_tensor(input, "roll")
    if dims is None:
        return reshape(roll(reshape(x, -1), shifts, 0), x.shape)
    steps = list(shifts) if isinstance(shifts, tuple | list) else [shifts]
    axes = list(dims) if isinstance(dims, tuple | list) else [dims]
    if len(steps) != len(axes):
        raise ValueError(f"[roll] expected a shift for each of {len(axes)} dims, got {len(steps)}")
    for step, dim in zip(steps, axes, strict=True):
        axis = normalized_axis(dim, x.ndim, "roll")
        size = x.shape[axis]
        at = -expect_int(step, "roll", "shifts") % size if size else 0
        x = cat([_part(x, axis, at, size), _part(x, axis, 0, at)], axis) if at else clone(x)
    return x


@fresh
def _parts_bwd(node: Node, grads: list[Array | None]) -> tuple[Array]:
    axis, shapes, dtype, device = node.saved
    whole = [
        zeros(*shape, dtype=dtype, device=device)._array if g is None else g
        for g, shape in zip(grads, shapes, strict=True)
    ]
    return (node.backend.concat(whole, axis),)


def parts(x: Tensor, sizes: Sequence[int], axis: int) -> list[Tensor]:
    """Neighbours of these sizes. Their gradients are joined once; slices would each give one of the whole size."""
    ends = list(itertools.accumulate(sizes))
    outs = [_part(x.detach(), axis, end - n, end) for n, end in zip(sizes, ends, strict=True)]
    for out, n, end in zip(outs, sizes, ends, strict=True):
        out._origin = (x, "index", _span(axis, end - n, end))
    if outs and recording(x):
        record_several(outs, _parts_bwd, (x,), (axis, [o.shape for o in outs], x.dtype, x.device))
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


@fresh
def _cumsum_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.cumsum(g, node.saved, True),)


def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The sum of all elements up to each along `dim` (`torch.cumsum`); integers and bools add up as int64.

    >>> import fastdl
    >>> cumsum(fastdl.tensor([[1.0, 2.0, 3.0]]), 1).tolist()
    [[1.0, 3.0, 6.0]]
    """
    x = expect_tensor(input, "cumsum")
    if dtype is not None:
        x = x._cast(dtypes.as_dtype(dtype, "cumsum"))
    if not x.dtype.is_floating_point:
        x = x._cast(dtypes.int64)
    if x.ndim == 0:
        return reshape(cumsum(reshape(x, 1), 0), ())
    axis = normalized_axis(dim, x.ndim, "cumsum")
    out = Tensor(x._backend.cumsum(x._array, axis, False), x._backend)
    return record(out, _cumsum_bwd, (x,), axis) if recording(x) else out
