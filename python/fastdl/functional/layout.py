"""Shapes and places: reshape, permute, concatenate, index, pad, expand."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

from .. import autograd, dtypes
from ..autograd import Node, fresh, mode, record
from ..creation import tensor
from ..tensor import Tensor
from .arguments import fits, selection
from .arithmetic import Array, unbroadcast
from .reduction import normalized_axis


def _expect(input: Any, op: str) -> Tensor:
    if not isinstance(input, Tensor):
        raise TypeError(f"[{op}] expected a Tensor for input, got {type(input).__name__}")
    return input


def _sizes(shape: tuple[Any, ...], op: str) -> tuple[int, ...]:
    """f(2, 3) and f((2, 3)) mean the same."""
    if len(shape) == 1 and shape[0].__class__ is tuple:
        shape = shape[0]
    if [n.__class__ for n in shape].count(int) == len(shape):
        return shape
    if len(shape) == 1 and isinstance(shape[0], tuple | list):
        shape = tuple(shape[0])
    for n in shape:
        if not isinstance(n, int):
            raise TypeError(f"[{op}] expected sizes of type int, got {type(n).__name__}")
    return shape


# ---- reshape ---------------------------------------------------------------------------------------------------------


def _reshape_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.reshape(g, node.saved),)


def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The same elements under another shape; one size may be -1 (`torch.reshape`).

    Shares memory, and what changes it writes through to what `input` is a part of, unless that is not contiguous there:
    as PyTorch copies it then, so does `x.T.reshape(-1)` leave x alone.

    >>> import fastdl
    >>> fastdl.arange(6).reshape(2, -1).shape
    (2, 3)
    """
    x = _expect(input, "reshape")
    target = _sizes(shape, "reshape")
    if -1 in target:
        size, at = x._array.size, target.index(-1)
        before, after = target[:at], target[at + 1 :]
        known = math.prod(before) * math.prod(after)
        if -1 in after or known == 0 or size % known:
            raise ValueError(f"[reshape] expected a shape of {size} elements, got {target}")
        target = (*before, size // known, *after)
    return shaped(x, target)


def shaped(x: Tensor, target: tuple[int, ...]) -> Tensor:
    """`reshape` to sizes that are known to fit."""
    out = Tensor(x._backend.reshape(x._array, target), x._backend)
    if x._origin is None or is_one_stretch(x) or _without_ones(x.shape) == _without_ones(target):
        out._origin = (x, "reshape", None)
    return record(out, _reshape_bwd, (x,), x.shape) if x.requires_grad and mode.enabled else out


def _without_ones(shape: Sequence[int]) -> list[int]:
    return [n for n in shape if n != 1]


def is_one_stretch(part: Tensor) -> bool:
    """Whether the elements follow each other where they were taken from, as those of contiguous views in PyTorch do."""
    if part._origin is None:
        return True
    whole, way, detail = part._origin
    if way == "permute":
        places = detail  # where each axis of `whole` stands now
        while whole._origin is not None and whole._origin[1] == "permute":
            whole, _, inner = whole._origin
            places = [places[axis] for axis in inner]
        moved = [axis for axis in places if part.shape[axis] != 1]
        return moved == sorted(moved) and is_one_stretch(whole)
    if way == "diagonal":
        return part.shape[-1] == 1 and part.numel() == 1 and is_one_stretch(whole)
    if way == "index":
        _, lengths, steps, _ = selection(detail, whole.shape)
        whole_lines = True
        for size, length, step in zip(reversed(whole.shape), reversed(lengths), reversed(steps), strict=True):
            if length != 1 and (step != 1 or not whole_lines):
                return False
            whole_lines = whole_lines and length == size
    return is_one_stretch(whole)


def contiguous(input: Tensor) -> Tensor:
    """The tensor itself; of a part whose elements do not follow each other where they were taken from, one that no
    longer writes through (`torch.Tensor.contiguous`).

    >>> import fastdl
    >>> x = fastdl.zeros(2, 2)
    >>> x.t().contiguous().fill_(1).sum().item(), x.sum().item()
    (4.0, 0.0)
    """
    x = _expect(input, "contiguous")
    if is_one_stretch(x):
        return x
    out = reshape(x, x.shape)
    out._origin = None
    return out


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Axes start_dim to end_dim as one (`torch.flatten`)."""
    x = _expect(input, "flatten")
    first = normalized_axis(start_dim, x.ndim, "flatten")
    last = normalized_axis(end_dim, x.ndim, "flatten")
    if first > last:
        raise ValueError(f"[flatten] expected start_dim <= end_dim, got {start_dim} and {end_dim}")
    shape = x._array.shape
    return shaped(x, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A new axis of size 1 at `dim` (`torch.unsqueeze`)."""
    x = _expect(input, "unsqueeze")
    at = normalized_axis(dim, x.ndim + 1, "unsqueeze")
    shape = x._array.shape
    return shaped(x, (*shape[:at], 1, *shape[at:]))


def squeeze(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Without the axes of size 1 (those of `dim`, or all) (`torch.squeeze`)."""
    x = _expect(input, "squeeze")
    if dim is None:
        axes = set(range(x.ndim))
    else:
        axes = {normalized_axis(d, x.ndim, "squeeze") for d in (dim if isinstance(dim, tuple | list) else [dim])}
    return shaped(x, tuple([n for i, n in enumerate(x._array.shape) if n != 1 or i not in axes]))


# ---- permute ---------------------------------------------------------------------------------------------------------


@fresh
def _permute_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.permute(g, node.saved),)


def permute(input: Tensor, *axes: Any, dims: Any = ()) -> Tensor:
    """Axes in another order (`torch.permute`): a contiguous copy that writes through, as `index` says."""
    x = _expect(input, "permute")
    ndim = x._array.ndim
    order = tuple([normalized_axis(d, ndim, "permute") for d in _sizes(axes or (dims,), "permute")])
    if len(order) != ndim or len(set(order)) != ndim:
        raise ValueError(f"[permute] expected each of {x.ndim} axes once, got {axes or dims}")
    return permuted(x, order)


def permuted(x: Tensor, order: tuple[int, ...]) -> Tensor:
    """`permute` by each axis once, from 0 on."""
    places = [0] * len(order)
    for i, axis in enumerate(order):
        places[axis] = i
    inverse = tuple(places)
    out = Tensor(x._backend.permute(x._array, order), x._backend)
    out._origin = (x, "permute", inverse)
    return record(out, _permute_bwd, (x,), inverse) if x.requires_grad and mode.enabled else out


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two axes exchanged (`torch.transpose`)."""
    x = _expect(input, "transpose")
    ndim = x._array.ndim
    a, b = normalized_axis(dim0, ndim, "transpose"), normalized_axis(dim1, ndim, "transpose")
    order = list(range(ndim))
    if order:
        order[a], order[b] = order[b], order[a]
    return permuted(x, tuple(order))


def t(input: Tensor) -> Tensor:
    """The transposed matrix (`torch.t`)."""
    x = _expect(input, "t")
    if x.ndim > 2:
        raise ValueError(f"[t] expected a tensor with at most 2 dimensions, got shape {x.shape}")
    return x if x.ndim < 2 else permuted(x, (1, 0))


# ---- concatenate, expand ---------------------------------------------------------------------------------------------


@fresh
def _cat_bwd(node: Node, g: Array) -> list[Array | None]:
    k, (axis, sizes) = node.backend, node.saved[:2]
    shape, parts, start = list(g.shape), [], 0
    for edge, n in zip(node.edges, sizes, strict=True):
        starts = tuple(start if i == axis else 0 for i in range(len(shape)))
        lengths = tuple(n if i == axis else s for i, s in enumerate(shape))
        parts.append(k.slice(g, starts, lengths, (1,) * len(shape)) if edge is not None else None)
        start += n
    return parts


def tensors_of(tensors: Any, op: str) -> list[Tensor]:
    """A list of at least one tensor, checked."""
    if not isinstance(tensors, tuple | list):
        raise TypeError(f"[{op}] expected a sequence of tensors, got {type(tensors).__name__}")
    if not tensors:
        raise ValueError(f"[{op}] expected a non-empty sequence of tensors, got none")
    for x in tensors:
        if not isinstance(x, Tensor):
            _expect(x, op)
    return list(tensors)


def _joined(tensors: list[Tensor]) -> tuple[Any, list[Tensor]]:
    """Their device, and the tensors in a common dtype."""
    k = tensors[0]._backend
    first = tensors[0]._array.dtype
    if any([x._array.dtype != first for x in tensors]):
        name = functools.reduce(dtypes.promote, [str(x._array.dtype) for x in tensors])
        tensors = [x._cast(dtypes.dtype._by_name[name]) for x in tensors]
    if any([x._backend is not k for x in tensors]):
        devices = list(dict.fromkeys(x.device for x in tensors))
        raise ValueError(f"[cat] expected tensors on one device, got {' and '.join(devices)}")
    return k, tensors


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors one after another along an existing axis (`torch.cat`); dtypes are promoted to a common one."""
    parts = tensors_of(tensors, "cat")
    k, first = parts[0]._backend, parts[0]._array
    try:  # as they are: what the backend does not take is looked at below
        axis = normalized_axis(dim, first.ndim, "cat")
        joined = k.concat([x._array for x in parts], axis)
    except (TypeError, ValueError, IndexError):
        k, parts, axis, joined = _joined_after_all(parts, dim)
    out = Tensor(joined, k)
    if autograd.recording(*parts):
        record(out, _cat_bwd, tuple(parts), (axis, [x.shape[axis] for x in parts]))
    return out


def _joined_after_all(parts: list[Tensor], dim: int) -> tuple[Any, list[Tensor], int, Array]:
    if (0,) in [x._array.shape for x in parts]:  # as in PyTorch, they fit everything
        parts = [x for x in parts if x.shape != (0,)] or parts[:1]
    k, parts = _joined(parts)
    axis = normalized_axis(dim, parts[0].ndim, "cat")
    return k, parts, axis, k.concat([x._array for x in parts], axis)


@fresh
def _stack_bwd(node: Node, g: Array) -> list[Array | None]:
    k, shape = node.backend, node.saved[2]
    return [g if g is None else k.reshape(g, shape) for g in _cat_bwd(node, g)]


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape along a new axis (`torch.stack`)."""
    parts = tensors_of(tensors, "stack")
    shapes = [x._array.shape for x in parts]
    if shapes.count(shapes[0]) != len(shapes):
        raise ValueError(f"[stack] expected tensors of shape {shapes[0]}, got {shapes}")
    axis = normalized_axis(dim, len(shapes[0]) + 1, "stack")
    lines = (*shapes[0][:axis], 1, *shapes[0][axis:])
    k = parts[0]._backend
    try:
        joined = k.concat([k.reshape(x._array, lines) for x in parts], axis)
    except TypeError:
        k, parts = _joined(parts)
        joined = k.concat([k.reshape(x._array, lines) for x in parts], axis)
    out = Tensor(joined, k)
    if autograd.recording(*parts):
        record(out, _stack_bwd, tuple(parts), (axis, [1] * len(parts), shapes[0]))
    return out


@fresh
def _expand_bwd(node: Node, g: Array) -> tuple[Array]:
    out = unbroadcast(node.backend, g, node.saved)
    return (node.backend.cast(g, str(g.dtype)) if out is g else out,)


def expand(input: Tensor, *sizes: Any) -> Tensor:
    """Broadcast to a shape, copied; -1 keeps a size (`torch.Tensor.expand`)."""
    x = _expect(input, "expand")
    target = _sizes(sizes, "expand")
    lead = len(target) - x.ndim
    shape = tuple(x.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(target))
    out = Tensor(x._backend.broadcast_to(x._array, shape), x._backend)
    return record(out, _expand_bwd, (x,), x.shape) if autograd.recording(x) else out


def clone(input: Tensor) -> Tensor:
    """A copy; gradients flow through (`torch.clone`)."""
    x = _expect(input, "clone")
    out = Tensor(x._backend.broadcast_to(x._array, x._array.shape), x._backend)
    return record(out, _expand_bwd, (x,), x.shape) if x.requires_grad and mode.enabled else out


# ---- index -----------------------------------------------------------------------------------------------------------


@fresh
def _index_bwd(node: Node, g: Array) -> tuple[Array]:
    k, (shape, starts, lengths, steps) = node.backend, node.saved
    return (k.slice_bwd(k.reshape(g, lengths), shape, starts, steps),)


def index(input: Tensor, item: Any) -> Tensor:
    """input[item] for integers, slices with positive steps, None and an ellipsis.

    The numbers are a copy, but one that writes through: what changes it in place changes `input` too, as PyTorch's
    views do. The other way it does not: later changes of `input` leave it as it is.

    >>> import fastdl
    >>> fastdl.arange(6).reshape(2, 3)[1, ::2].tolist()
    [3, 5]
    """
    x = _expect(input, "index")
    starts, lengths, steps, result = selection(item, x._array.shape)
    k = x._backend
    part = k.slice(x._array, starts, lengths, steps)
    out = Tensor(part if result == lengths else k.reshape(part, result), k)
    out._origin = (x, "index", item)
    if autograd.recording(x):
        record(out, _index_bwd, (x,), (x.shape, starts, lengths, steps))
    return out


def span(x: Tensor, axis: int, start: int, length: int) -> Tensor:
    """`length` lines along an axis from `start` on, which are there: as `index` gives them, in less time."""
    k, shape, ones = x._backend, x.shape, (1,) * x.ndim
    after = shape[axis + 1 :]
    starts, lengths = (*(0,) * axis, start, *(0,) * len(after)), (*shape[:axis], length, *after)
    out = Tensor(k.slice(x._array, starts, lengths, ones), k)
    out._origin = (x, "index", (*(slice(None),) * axis, slice(start, start + length)))
    if autograd.recording(x):
        record(out, _index_bwd, (x,), (shape, starts, lengths, ones))
    return out


def assign_index(input: Tensor, item: Any, value: Any) -> None:
    """input[item] = value, in place; for tensors outside the tape."""
    x = _expect(input, "index")
    if autograd.recording(x, value if isinstance(value, Tensor) else None):
        raise RuntimeError("[index] expected assignment outside the tape, got a tensor that requires a gradient")
    starts, lengths, steps, result = selection(item, x._array.shape)
    k, dtype = x._backend, str(x._array.dtype)
    if fits(value, dtype):
        if lengths == x._array.shape:
            return k.fill_(x._array, value)
        numbers = k.empty(lengths, dtype)
        k.fill_(numbers, value)
        return k.slice_assign_(x._array, numbers, starts, steps)
    if not isinstance(value, Tensor):
        value = tensor(value, x.dtype, x.device)
    source = value.to(x.dtype)._move(k)
    if source._array.shape != result:
        source = expand(source, result)
    k.slice_assign_(x._array, k.reshape(source._array, lengths), starts, steps)
    return None
