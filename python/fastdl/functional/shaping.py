"""Shapes made of other shapes: repeating, taking apart, joining, moving axes, grids."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import Node, fresh, record, recording
from ..creation import tensor
from ..tensor import Tensor
from .arguments import expect_beside, expect_int, expect_tensor, shown
from .indexing import gather
from .indexing import select as lines
from .layout import cat, expand, flatten, index, permuted, reshape, span, stack, tensors_of, unsqueeze
from .rearranging import flip, parts, split
from .reduction import normalized_axis

Array = Any


def _sizes(values: tuple[Any, ...], op: str) -> tuple[int, ...]:
    given = values[0] if len(values) == 1 and isinstance(values[0], tuple | list) else values
    return tuple(expect_int(n, op, "sizes") for n in given)


# ---- repeating -------------------------------------------------------------------------------------------------------


def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """The tensor `repeats[i]` times along each axis; axes in front are new (`torch.Tensor.repeat`).

    Raises:
        TypeError: for an input that is not a Tensor or repeats that are not ints.
        ValueError: for fewer repeats than dimensions, or negative ones.

    >>> import fastdl
    >>> fastdl.tensor([1, 2]).repeat(2, 2).tolist()
    [[1, 2, 1, 2], [1, 2, 1, 2]]
    """
    x = expect_tensor(input, "repeat")
    times = _sizes(repeats, "repeat")
    if len(times) < x.ndim:
        raise ValueError(f"[repeat] expected a number for each of {x.ndim} dimensions, got {len(times)}")
    if any(n < 0 for n in times):
        raise ValueError(f"[repeat] expected numbers of at least 0, got {times}")
    shape = (1,) * (len(times) - x.ndim) + x.shape
    apart = reshape(x, tuple(n for size in shape for n in (1, size)))
    wide = expand(apart, tuple(n for pair in zip(times, shape, strict=True) for n in pair))
    return reshape(wide, tuple(n * size for n, size in zip(times, shape, strict=True)))


def tile(input: Tensor, *dims: Any) -> Tensor:
    """`repeat` that takes fewer numbers than dimensions: those in front are 1 (`torch.tile`)."""
    x = expect_tensor(input, "tile")
    times = _sizes(dims, "tile")
    return repeat(x, (1,) * (x.ndim - len(times)) + times)


def repeat_interleave(input: Tensor, repeats: Any, dim: int | None = None) -> Tensor:
    """Each element, or line along `dim`, `repeats` times in a row: one number or one a line
    (`torch.repeat_interleave`).

    >>> import fastdl
    >>> fastdl.repeat_interleave(fastdl.tensor([1, 2]), 2).tolist()
    [1, 1, 2, 2]
    """
    x = expect_tensor(input, "repeat_interleave")
    if dim is None:
        x, dim = flatten(x), 0
    axis = normalized_axis(dim, x.ndim, "repeat_interleave")
    if repeats.__class__ is int and repeats >= 0 and math.prod(x.shape[axis + 1 :]) >= _LONG_LINE:
        return _repeated_lines(x, axis, repeats)
    times = np.asarray(repeats.tolist() if isinstance(repeats, Tensor) else repeats)
    if times.dtype.kind not in "iu" or times.ndim > 1:
        raise TypeError(f"[repeat_interleave] expected an int or one an element for repeats, got {repeats!r}")
    if times.size not in (1, x.shape[axis]) or (times < 0).any():
        raise ValueError(f"[repeat_interleave] expected {x.shape[axis]} repeats of at least 0, got {times.tolist()}")
    places = np.repeat(np.arange(x.shape[axis]), times if times.ndim else int(times))
    return lines(x, x._backend.from_numpy(np.ascontiguousarray(places, np.int64), False), axis)


_LONG_LINE = 16  # elements from which on lines are broadcast: shorter ones are faster by index


@fresh
def _repeated_lines_bwd(node: Node, g: Array) -> tuple[Array]:
    k, (sizes, shape) = node.backend, node.saved
    return (k.reshape(k.sum(k.reshape(g, sizes), (2,), False), shape),)


def _repeated_lines(x: Tensor, axis: int, times: int) -> Tensor:
    before, n, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    sizes, k = (math.prod(before), n, times, math.prod(after)), x._backend
    wide = k.broadcast_to(k.reshape(x._array, (*sizes[:2], 1, sizes[3])), sizes)
    out = Tensor(k.reshape(wide, (*before, n * times, *after)), k)
    return record(out, _repeated_lines_bwd, (x,), (sizes, x.shape)) if recording(x) else out


def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """`expand` under NumPy's name (`torch.broadcast_to`)."""
    x = expect_tensor(input, "broadcast_to")
    if not isinstance(size, tuple | list):
        raise TypeError(f"[broadcast_to] expected a sequence of ints for size, got {shown(size)}")
    return expand(x, tuple(size))


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """All tensors in the shape that they broadcast to (`torch.broadcast_tensors`).

    >>> import fastdl
    >>> [t.shape for t in fastdl.broadcast_tensors(fastdl.ones(2, 1), fastdl.ones(3))]
    [(2, 3), (2, 3)]
    """
    for t in tensors:
        expect_tensor(t, "broadcast_tensors")
    try:
        shape = np.broadcast_shapes(*(t.shape for t in tensors))
    except ValueError:
        shapes = " and ".join(str(t.shape) for t in tensors)
        raise ValueError(f"[broadcast_tensors] expected shapes that broadcast, got {shapes}") from None
    return tuple(expand(t, shape) for t in tensors)


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """Broadcast to the shape of `other` (`torch.Tensor.expand_as`)."""
    return expand(expect_tensor(input, "expand_as"), expect_tensor(other, "expand_as", "other").shape)


def view_as(input: Tensor, other: Tensor) -> Tensor:
    """Reshaped to the shape of `other` (`torch.Tensor.view_as`, `reshape_as`)."""
    return reshape(expect_tensor(input, "view_as"), expect_tensor(other, "view_as", "other").shape)


# ---- taking apart ----------------------------------------------------------------------------------------------------


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """Line `index` along `dim`, without that axis (`torch.select`)."""
    x = expect_tensor(input, "select")
    axis, at = normalized_axis(dim, x.ndim, "select"), expect_int(index, "select", "index")
    return unbound(x, axis, at)


def unbound(x: Tensor, axis: int, at: int) -> Tensor:
    return index(x, (*[slice(None)] * axis, at))


def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """`length` lines along `dim` from `start` on (`torch.narrow`).

    Raises:
        IndexError: for lines that are not there.

    >>> import fastdl
    >>> fastdl.narrow(fastdl.arange(5), 0, 1, 3).tolist()
    [1, 2, 3]
    """
    x = expect_tensor(input, "narrow")
    axis = normalized_axis(dim, x.ndim, "narrow")
    first, count = expect_int(start, "narrow", "start"), expect_int(length, "narrow", "length")
    size = x.shape[axis]
    first = first + size if first < 0 else first
    if count < 0 or not 0 <= first <= size - count:
        raise IndexError(f"[narrow] expected start and length within {size} lines, got {start} and {length}")
    return span(x, axis, first, count)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """All lines along `dim`, without that axis (`torch.unbind`).

    >>> import fastdl
    >>> [row.tolist() for row in fastdl.unbind(fastdl.tensor([[1, 2], [3, 4]]))]
    [[1, 2], [3, 4]]
    """
    x = expect_tensor(input, "unbind")
    if x.ndim == 0:
        raise ValueError("[unbind] expected input with at least one dimension, got a scalar")
    axis = normalized_axis(dim, x.ndim, "unbind")
    return tuple(parts(x, [1] * x.shape[axis], axis, lines=True))


def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts along `dim`: a number of nearly equal ones, or between the places given (`torch.tensor_split`).

    >>> import fastdl
    >>> [p.tolist() for p in fastdl.tensor_split(fastdl.arange(5), 2)], fastdl.tensor_split(fastdl.arange(3), [1])[1]
    ([[0, 1, 2], [3, 4]], tensor([1, 2]))
    """
    x = expect_tensor(input, "tensor_split")
    size = x.shape[normalized_axis(dim, x.ndim, "tensor_split")]
    if isinstance(indices_or_sections, tuple | list):
        places = [slice(i).indices(size)[1] for i in indices_or_sections]
        bounds = list(itertools.pairwise([0, *places, size]))
        if any(a > b for a, b in bounds):  # places that go back: parts are slices with lines in common, as in PyTorch
            return tuple(narrow(x, dim, a, max(b - a, 0)) for a, b in bounds)
        return split(x, [b - a for a, b in bounds], dim)
    n = expect_int(indices_or_sections, "tensor_split", "sections")
    if n < 1:
        raise ValueError(f"[tensor_split] expected sections of at least 1, got {n}")
    return split(x, [size // n + (i < size % n) for i in range(n)], dim)


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Axis `dim` as several; one size may be -1 (`torch.unflatten`).

    >>> import fastdl
    >>> fastdl.unflatten(fastdl.ones(2, 6), 1, (2, -1)).shape
    (2, 2, 3)
    """
    x = expect_tensor(input, "unflatten")
    axis, inner = normalized_axis(dim, x.ndim, "unflatten"), list(_sizes((tuple(sizes),), "unflatten"))
    if inner.count(-1) == 1:
        known = math.prod(n for n in inner if n != -1)
        inner[inner.index(-1)] = x.shape[axis] // known if known else 0
    if math.prod(inner) != x.shape[axis] or any(n < 0 for n in inner):
        raise ValueError(f"[unflatten] expected sizes whose product is {x.shape[axis]}, got {tuple(sizes)}")
    return reshape(x, (*x.shape[:axis], *inner, *x.shape[axis + 1 :]))


# ---- joining, moving -------------------------------------------------------------------------------------------------


def _at_least(tensors: Sequence[Tensor], ndim: int, op: str) -> list[Tensor]:
    parts = tensors_of(tensors, op)
    return [t if t.ndim >= ndim else reshape(t, (1,) * (ndim - t.ndim) + t.shape) for t in parts]


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Side by side: along the second axis, vectors along their only one (`torch.hstack`)."""
    parts = _at_least(tensors, 1, "hstack")
    return cat(parts, 0 if parts[0].ndim == 1 else 1)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """One below the other: along the first axis, vectors as rows (`torch.vstack`).

    >>> import fastdl
    >>> fastdl.vstack([fastdl.tensor([1, 2]), fastdl.tensor([3, 4])]).tolist()
    [[1, 2], [3, 4]]
    """
    return cat(_at_least(tensors, 2, "vstack"), 0)


def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Axes `source` moved to the places `destination`, the others in their order (`torch.movedim`).

    >>> import fastdl
    >>> fastdl.movedim(fastdl.ones(2, 3, 4), 0, -1).shape
    (3, 4, 2)
    """
    x = expect_tensor(input, "movedim")
    if source.__class__ is int and destination.__class__ is int:
        moved, to = normalized_axis(source, x.ndim, "movedim"), normalized_axis(destination, x.ndim, "movedim")
        order = list(range(x.ndim))
        if order:
            order.insert(to, order.pop(moved))
        return permuted(x, tuple(order))
    axes = [[normalized_axis(d, x.ndim, "movedim") for d in (v if isinstance(v, tuple | list) else [v])]
            for v in (source, destination)]  # fmt: skip
    if len(axes[0]) != len(axes[1]) or any(len(set(a)) != len(a) for a in axes):
        raise ValueError(f"[movedim] expected as many different axes, got {source} and {destination}")
    places = dict(zip(axes[1], axes[0], strict=True))
    rest = iter(d for d in range(x.ndim) if d not in axes[0])
    return permuted(x, tuple(places[d] if d in places else next(rest) for d in range(x.ndim)))


def fliplr(input: Tensor) -> Tensor:
    """The second axis backwards (`torch.fliplr`)."""
    return flip(input, 1)


def flipud(input: Tensor) -> Tensor:
    """The first axis backwards (`torch.flipud`)."""
    return flip(input, 0)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Coordinates of a grid: tensor i along axis i of every result; 'xy' exchanges the first two (`torch.meshgrid`).

    >>> import fastdl
    >>> [t.tolist() for t in fastdl.meshgrid(fastdl.tensor([1, 2]), fastdl.tensor([3, 4]), indexing="ij")]
    [[[1, 1], [2, 2]], [[3, 4], [3, 4]]]
    """
    if indexing not in ("ij", "xy"):
        raise ValueError(f"[meshgrid] expected indexing 'ij' or 'xy', got {indexing!r}")
    lines = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], tuple | list) else list(tensors)
    for t in lines:
        if expect_tensor(t, "meshgrid").ndim > 1:
            raise ValueError(f"[meshgrid] expected scalars or vectors, got shape {t.shape}")
    order = list(range(len(lines)))
    if indexing == "xy" and len(lines) > 1:
        order[:2] = 1, 0
    shape = tuple(lines[i].numel() for i in order)
    return tuple(
        expand(reshape(t, tuple(-1 if order[a] == i else 1 for a in range(len(lines)))), shape)
        for i, t in enumerate(lines)
    )


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations, one a row (`torch.cartesian_prod`)."""
    if len(tensors) == 1:
        return expect_tensor(tensors[0], "cartesian_prod")
    return stack([flatten(t) for t in meshgrid(*tensors)], 1)


def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements at `index`, counted along all axes (`torch.take`).

    >>> import fastdl
    >>> fastdl.take(fastdl.tensor([[1, 2], [3, 4]]), fastdl.tensor([0, 3])).tolist()
    [1, 4]
    """
    x = expect_tensor(input, "take")
    places = expect_beside(index, x, "take", "index")
    return reshape(gather(flatten(x), 0, _from_the_end(flatten(places), x.numel())), places.shape)


def _from_the_end(places: Tensor, size: int) -> Tensor:
    found = places._host()
    if found.size == 0 or found.min() >= 0:
        return places
    return tensor(np.where(found < 0, found + size, found), device=places.device)


@fresh
def _unfold_bwd(node: Node, g: Array) -> tuple[Array]:
    k, (shape, axis, length, hop) = node.backend, node.saved
    starts = np.arange(0, shape[axis] - length + 1, hop)
    places = k.from_numpy((starts[:, None] + np.arange(length)).ravel(), False)
    order = (*range(axis + 1), len(shape), *range(axis + 1, len(shape)))  # windows behind their axis
    lines = k.reshape(k.permute(g, order), (*shape[:axis], places.size, *shape[axis + 1 :]))
    return (k.index_add(lines, places, axis, shape[axis]),)


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Windows of `size` along an axis, `step` apart; they become a last axis (`torch.Tensor.unfold`).

    >>> import fastdl
    >>> fastdl.arange(5).unfold(0, 3, 1).tolist()
    [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    """
    x = expect_tensor(input, "unfold")
    axis = normalized_axis(dimension, x.ndim, "unfold")
    length, hop = expect_int(size, "unfold", "size"), expect_int(step, "unfold", "step")
    if not 0 < length <= x.shape[axis] or hop < 1:
        raise ValueError(
            f"[unfold] expected size in [1, {x.shape[axis]}] and step of at least 1, got {size} and {step}"
        )
    out = Tensor(x._backend.unfold(x._array, axis, length, hop), x._backend)
    return record(out, _unfold_bwd, (x,), (x.shape, axis, length, hop)) if recording(x) else out


def atleast_2d(input: Tensor) -> Tensor:
    """New axes in front up to two dimensions (`torch.atleast_2d`)."""
    return _at_least([input], 2, "atleast_2d")[0]


def atleast_1d(input: Tensor) -> Tensor:
    """A scalar as a vector of one (`torch.atleast_1d`)."""
    x = expect_tensor(input, "atleast_1d")
    return unsqueeze(x, 0) if x.ndim == 0 else x


def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Side by side, vectors as columns (`torch.column_stack`)."""
    return cat([unsqueeze(t, 1) if t.ndim == 1 else t for t in tensors_of(tensors, "column_stack")], 1)
