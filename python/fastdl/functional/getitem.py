"""x[...] with index arrays and masks.

It comes down to one index along one axis: integers, slices and None are applied first, as in PyTorch; several index
arrays (a mask is one for each of its axes) become the places in the merged axes that they index. Where a slice lies
between them their common shape comes first, otherwise it stands where they stood.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd import recording
from ..creation import tensor
from ..tensor import Tensor
from .indexing import nonzero, places_of, select
from .layout import assign_index, expand, index, permute, reshape

Array = Any
_ARRAYS = (Tensor, np.ndarray, list, bool, np.bool_)


def _is_array(item: Any) -> bool:
    return isinstance(item, _ARRAYS)


_BASIC = (int, slice, type(None), type(Ellipsis))


def _is_basic(item: Any) -> bool:
    """Whether it has no arrays; those of the usual classes in few steps."""
    for i in item if item.__class__ is tuple else (item,):
        if i.__class__ not in _BASIC and isinstance(i, _ARRAYS):
            return False
    return True


def _without_scalars(item: Any) -> tuple[Any, ...]:
    """The items, tensors of one integer as integers."""
    items = item if isinstance(item, tuple) else (item,)
    return tuple(int(i) if isinstance(i, Tensor) and i.ndim == 0 and i.dtype is not dtypes.bool else i for i in items)


def _as_index(item: Any, x: Tensor) -> Tensor:
    """An index array or mask as a tensor beside x."""
    i = item if isinstance(item, Tensor) else tensor(np.asarray(item, None if np.size(item) else np.int64))
    if i.dtype is not dtypes.bool and i.dtype.name not in ("int32", "int64", "uint8"):
        raise IndexError(f"[index] expected indices of integers or bools, got dtype {i.dtype.name}")
    return i._move(x._backend)


def _divided(item: tuple[Any, ...], x: Tensor) -> tuple[tuple[Any, ...], list[tuple[int, Tensor]]]:
    """What slices and integers do (":" for arrays), and the arrays with the axes of the result where they stand."""
    items = list(item)
    arrays = [_as_index(i, x) if _is_array(i) else None for i in items]
    axes = [a.ndim if a is not None and a.dtype is dtypes.bool else int(i is not None and i is not Ellipsis)
            for i, a in zip(items, arrays, strict=True)]  # fmt: skip
    if sum(axes) > x.ndim:
        raise IndexError(f"[index] expected at most {x.ndim} indices, got {sum(axes)}")
    if not any(i is Ellipsis for i in items):
        items, arrays, axes = [*items, Ellipsis], [*arrays, None], [*axes, 0]
    basic: list[Any] = []
    found: list[tuple[int, Tensor]] = []
    at = 0  # axis of what slices and integers leave
    for i, array, n in zip(items, arrays, axes, strict=True):
        if array is not None:
            found.append((at, array))
            basic += [slice(None)] * n if n or array.dtype is not dtypes.bool else [None]
            at += max(n, 1)
        elif i is Ellipsis:
            basic.append(i)
            at += x.ndim - sum(axes)
        else:
            basic.append(i)
            at += i is None or isinstance(i, slice)
    return tuple(basic), found


def _is_whole(basic: tuple[Any, ...]) -> bool:
    return all(i is Ellipsis or i == slice(None) for i in basic)


class _Choice:
    """Places along the merged axes: of x as (lead, merged, tail), after moving the axes to the front if need be."""

    def __init__(self, x: Tensor, found: list[tuple[int, Tensor]]) -> None:
        k = x._backend
        axes: list[int] = []
        arrays: list[Tensor] = []
        for axis, array in found:
            if array.dtype is dtypes.bool:
                spans = x.shape[axis : axis + max(array.ndim, 1)]
                if array.shape != spans and not (array.ndim == 0 and spans == (1,)):
                    raise IndexError(f"[index] expected a mask of shape {spans}, got shape {array.shape}")
                if len(found) == 1:
                    self.set(x, list(range(axis, axis + len(spans))), places_of(array), None)
                    return
                places = nonzero(array.reshape(spans), as_tuple=True)
            else:
                places = (array.long(),)
            axes += range(axis, axis + len(places))
            arrays += places
        try:
            shape = np.broadcast_shapes(*(a.shape for a in arrays))
        except ValueError:
            shapes = " and ".join(str(a.shape) for a in arrays)
            raise IndexError(f"[index] expected index arrays that broadcast, got shapes {shapes}") from None
        spread = [(a if a.shape == shape else expand(a, shape))._array for a in arrays]
        merged = k.linear_index(spread, tuple(x.shape[a] for a in axes))
        self.set(x, axes, k.reshape(merged, (math.prod(shape),)), shape)

    def set(self, x: Tensor, axes: list[int], places: Array, shape: tuple[int, ...] | None) -> None:
        self.places, self.shape = places, places.shape if shape is None else shape
        together = axes == list(range(axes[0], axes[0] + len(axes)))
        self.order = None if together else (*axes, *(a for a in range(x.ndim) if a not in axes))
        sizes = x.shape if self.order is None else tuple(x.shape[a] for a in self.order)
        first = axes[0] if together else 0
        self.lead, self.tail = sizes[:first], sizes[first + len(axes) :]
        self.sizes = sizes
        self.flat = (math.prod(self.lead), math.prod(sizes[first : first + len(axes)]), math.prod(self.tail))

    def take(self, x: Tensor) -> Tensor:
        moved = x if self.order is None else permute(x, self.order)
        return reshape(select(reshape(moved, self.flat), self.places, 1), (*self.lead, *self.shape, *self.tail))

    def put(self, x: Tensor, value: Tensor) -> Tensor:
        """x itself, changed in place, or a changed copy where axes had to move."""
        moved = x if self.order is None else permute(x, self.order)
        value = expand(value, (*self.lead, *self.shape, *self.tail))
        k = x._backend
        flat = k.reshape(value._array, (self.flat[0], self.places.size, self.flat[2]))
        k.index_assign_(k.reshape(moved._array, self.flat), self.places, flat, 1)
        return x if self.order is None else permute(moved, tuple(np.argsort(self.order).tolist()))


def _are_alike(items: tuple[Any, ...]) -> bool:
    """Whether they are tensors of integers, of one shape that is not ()."""
    for i in items:
        if i.__class__ is not Tensor or i._array.dtype == "bool" or i._array.shape != items[0]._array.shape:
            return False
    return items[0]._array.shape != ()


def _lines(x: Tensor, arrays: list[Tensor]) -> Tensor:
    """x[i, j, ...]: what _Choice comes to for arrays of one shape and the first axes."""
    k, shape, n = x._backend, x._array.shape, len(arrays)
    places = k.linear_index([i.long()._array for i in arrays], shape[:n])
    whole = x if n == 1 else reshape(x, (math.prod(shape[:n]), *shape[n:]))
    taken = places.shape
    if len(taken) == 1:
        return select(whole, places, 0)
    return reshape(select(whole, k.reshape(places, (places.size,)), 0), (*taken, *shape[n:]))


def getitem(input: Tensor, item: Any) -> Tensor:
    """input[item] for integers, slices with positive steps, None, an ellipsis, index arrays and masks.

    With arrays or masks a copy; without them one that writes through (`layout.index`).

    Raises:
        IndexError: for an index out of range, a mask of another shape, or index arrays that do not broadcast.

    >>> import fastdl
    >>> x = fastdl.arange(6).reshape(2, 3)
    >>> x[[1, 0], [2, 0]].tolist(), x[x > 3].tolist(), x[:, [0, -1]].tolist()
    ([5, 0], [4, 5], [[0, 2], [3, 5]])
    """
    if _is_basic(item):
        return index(input, item)
    arrays = item if item.__class__ is tuple else (item,)
    if _are_alike(arrays) and len(arrays) <= input._array.ndim:
        return _lines(input, [_as_index(i, input) for i in arrays])
    items = _without_scalars(item)
    if not any(_is_array(i) for i in items):
        return index(input, items)
    basic, found = _divided(items, input)
    x = input if _is_whole(basic) else index(input, basic)
    return _Choice(x, found).take(x)


def setitem(input: Tensor, item: Any, value: Any) -> None:
    """input[item] = value, in place, for the same items; for tensors outside the tape."""
    if _is_basic(item):
        return assign_index(input, item, value)
    items = _without_scalars(item)
    if not any(_is_array(i) for i in items):
        return assign_index(input, items, value)
    if recording(input, value if isinstance(value, Tensor) else None):
        raise RuntimeError("[index] expected assignment outside the tape, got a tensor that requires a gradient")
    given = value if isinstance(value, Tensor) else tensor(value, input.dtype, input.device)
    given = given.detach().to(input.dtype)._move(input._backend)
    basic, found = _divided(items, input)
    target = input.detach() if _is_whole(basic) else index(input.detach(), basic)
    changed = _Choice(target, found).put(target, given)
    if not _is_whole(basic):
        assign_index(input, basic, changed)
    elif changed is not target:
        input._backend.copy_(input._array, changed._array)
    return None
