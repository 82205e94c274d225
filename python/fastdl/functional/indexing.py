"""Elements chosen by indices: index_select, gather, scatter, masks, and where something is not 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..autograd import Node, fresh, record, recording
from ..creation import tensor
from ..tensor import Tensor
from .arguments import expect_beside, expect_number, expect_tensor, fits
from .comparison import where
from .layout import expand, index, reshape
from .reduction import normalized_axis

Array = Any


def _index(value: Any, x: Tensor, op: str) -> Tensor:
    """Integers as int64, on the device of x."""
    i = expect_beside(value, x, op, "index")
    if i.dtype.name not in ("int32", "int64"):
        raise TypeError(f"[{op}] expected index of dtype int32 or int64, got {i.dtype.name}")
    return i.long()


def _same_dtype(value: Tensor, x: Tensor, op: str, name: str) -> Tensor:
    if value.dtype is not x.dtype:
        raise TypeError(f"[{op}] expected {name} of dtype {x.dtype.name}, got {value.dtype.name}")
    return value


def _copy(x: Tensor) -> Array:
    return x._backend.cast(x._array, x.dtype.name)


# ---- one index for a line --------------------------------------------------------------------------------------------


@fresh
def _index_select_bwd(node: Node, g: Array) -> tuple[Array]:
    places, axis, size = node.saved
    return (node.backend.index_add(g, places, axis, size),)


def select(x: Tensor, places: Array, axis: int) -> Tensor:
    out = Tensor(x._backend.index_select(x._array, places, axis), x._backend)
    return record(out, _index_select_bwd, (x,), (places, axis, x.shape[axis])) if recording(x) else out


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The lines along `dim` that `index` (1-D) names (`torch.index_select`).

    Raises:
        IndexError: for an index outside [0, size of dim).

    >>> import fastdl
    >>> index_select(fastdl.tensor([[1, 2, 3], [4, 5, 6]]), 1, fastdl.tensor([2, 0])).tolist()
    [[3, 1], [6, 4]]
    """
    x = expect_tensor(input, "index_select")
    return select(x, _index(index, x, "index_select")._array, normalized_axis(dim, x.ndim, "index_select"))


@fresh
def _index_add_bwd(node: Node, g: Array) -> list[Array | None]:
    k, (places, axis, alpha) = node.backend, node.saved
    source = k.index_select(g, places, axis) if node.needs(1) else None
    if source is not None and alpha != 1:
        source = k.mul_scalar(source, alpha)
    return [k.cast(g, str(g.dtype)) if node.needs(0) else None, source]


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, alpha: float = 1) -> Tensor:
    """`input` with alpha * source[j] added to line index[j] along `dim`, in the order of j (`torch.index_add`).

    >>> import fastdl
    >>> index_add(fastdl.zeros(3), 0, fastdl.tensor([2, 0, 2]), fastdl.tensor([1.0, 2.0, 4.0])).tolist()
    [2.0, 0.0, 5.0]
    """
    op = "index_add"
    x = expect_tensor(input, op)
    axis = normalized_axis(dim, x.ndim, op)
    places = _index(index, x, op)._array
    lines = _same_dtype(expect_beside(source, x, op, "source"), x, op, "source")
    expected = tuple(places.size if i == axis else n for i, n in enumerate(x.shape))
    if lines.shape != expected:
        raise ValueError(f"[{op}] expected source of shape {expected}, got shape {lines.shape}")
    expect_number(alpha, op, "alpha")
    k = x._backend
    added = k.index_add(lines._array, places, axis, x.shape[axis])
    if alpha != 1:
        added = k.mul_scalar(added, alpha)
    k.add_(added, x._array)
    out = Tensor(added, k)
    return record(out, _index_add_bwd, (x, lines), (places, axis, alpha)) if recording(x, lines) else out


# ---- an index for each number ----------------------------------------------------------------------------------------


def _cut(x: Tensor, i: Tensor, axis: int, op: str) -> Tensor:
    """The part of x that an index reaches which is smaller along other axes."""
    if x.ndim != i.ndim:
        raise ValueError(f"[{op}] expected index with {x.ndim} dimensions, got shape {i.shape}")
    if all(n == m or a == axis for a, (n, m) in enumerate(zip(x.shape, i.shape, strict=True))):
        return x
    if any(n < m and a != axis for a, (n, m) in enumerate(zip(x.shape, i.shape, strict=True))):
        expected = f"index of at most shape {x.shape} except along axis {axis}"
        raise ValueError(f"[{op}] expected {expected}, got shape {i.shape}")
    return index(x, tuple(slice(None) if a == axis else slice(m) for a, m in enumerate(i.shape)))


@fresh
def _gather_bwd(node: Node, g: Array) -> tuple[Array]:
    k, (places, axis, shape) = node.backend, node.saved
    out = k.empty(shape, str(g.dtype))
    k.fill_(out, 0)
    k.scatter_add_(out, places, g, axis)
    return (out,)


def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """For each place of `index` the element of `input` there, but along `dim` at the index (`torch.gather`).

    Shapes: the index has as many axes as the input and along those other than `dim` at most its sizes.

    Raises:
        IndexError: for an index outside [0, size of dim).

    >>> import fastdl
    >>> gather(fastdl.tensor([[1, 2], [3, 4]]), 1, fastdl.tensor([[0, 0], [1, 0]])).tolist()
    [[1, 1], [4, 3]]
    """
    x = expect_tensor(input, "gather")
    axis = normalized_axis(dim, x.ndim, "gather")
    places = _index(index, x, "gather")
    if x.ndim == 0 or places.ndim == 0:
        return reshape(gather(reshape(x, -1), 0, reshape(places, -1)), places.shape)
    x = _cut(x, places, axis, "gather")
    out = Tensor(x._backend.gather(x._array, places._array, axis), x._backend)
    return record(out, _gather_bwd, (x,), (places._array, axis, x.shape)) if recording(x) else out


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """`gather` whose operands broadcast along the other axes; without `dim` both are flattened
    (`torch.take_along_dim`).

    >>> import fastdl
    >>> x = fastdl.tensor([[3, 1], [2, 5]])
    >>> take_along_dim(x, fastdl.tensor([[1], [0]]), 1).tolist()
    [[1], [2]]
    """
    x = expect_tensor(input, "take_along_dim")
    i = _index(indices, x, "take_along_dim")
    if dim is None:
        return gather(reshape(x, -1), 0, reshape(i, -1))
    if x.ndim != i.ndim:
        raise ValueError(f"[take_along_dim] expected indices with {x.ndim} dimensions, got shape {i.shape}")
    axis = normalized_axis(dim, x.ndim, "take_along_dim")
    common = np.broadcast_shapes(*((*s[:axis], 1, *s[axis + 1 :]) for s in (x.shape, i.shape)))
    shapes = [(*common[:axis], t.shape[axis], *common[axis + 1 :]) for t in (x, i)]
    x, i = (t if t.shape == s else expand(t, s) for t, s in zip((x, i), shapes, strict=True))
    return gather(x, axis, i)


@fresh
def _scatter_bwd(node: Node, g: Array) -> list[Array | None]:
    k, (places, axis, add) = node.backend, node.saved
    into = k.cast(g, str(g.dtype)) if node.needs(0) else None
    source = k.gather(g, places, axis) if len(node.edges) > 1 and node.needs(1) else None
    if into is not None and not add:
        nothing = k.empty(places.shape, str(g.dtype))
        k.fill_(nothing, 0)
        k.scatter_(into, places, nothing, axis)
    return [into, source][: len(node.edges)]


def _scattered(input: Any, dim: int, index: Any, src: Any, add: bool) -> Tensor:
    op = "scatter_add" if add else "scatter"
    x = expect_tensor(input, op)
    axis = normalized_axis(dim, x.ndim, op)
    places = _index(index, x, op)
    if not isinstance(src, Tensor):
        expect_number(src, op, "src")
        source = Tensor(x._backend.empty(places.shape, x.dtype.name), x._backend)
        x._backend.fill_(source._array, src)
    else:
        source = _cut(_same_dtype(expect_beside(src, x, op, "src"), x, op, "src"), places, -1, op)
    whole = _copy(x)
    if x.ndim != places.ndim:
        raise ValueError(f"[{op}] expected index with {x.ndim} dimensions, got shape {places.shape}")
    full = tuple(places.shape[a] if a == axis else n for a, n in enumerate(x.shape))
    k = x._backend
    scatter_into = k.scatter_add_ if add else k.scatter_
    if full == places.shape:
        scatter_into(whole, places._array, source._array, axis)
        out, inputs = Tensor(whole, k), (x, source)
        return record(out, _scatter_bwd, inputs, (places._array, axis, add)) if recording(*inputs) else out
    # An index that covers less: the part it covers, and the rest as it is.
    part = _scattered(_cut(x, places, axis, op), axis, places, source, add)
    return _replaced(x, part, whole)


@fresh
def _replaced_bwd(node: Node, g: Array) -> list[Array | None]:
    k, shape = node.backend, node.saved
    starts, ones = (0,) * len(shape), (1,) * len(shape)
    rest = k.cast(g, str(g.dtype))
    nothing = k.empty(shape, str(g.dtype))
    k.fill_(nothing, 0)
    k.slice_assign_(rest, nothing, starts, ones)
    return [rest, k.slice(g, starts, shape, ones)]


def _replaced(x: Tensor, part: Tensor, whole: Array) -> Tensor:
    """`whole`, a copy of x, with `part` in its first corner."""
    x._backend.slice_assign_(whole, part._array, (0,) * x.ndim, (1,) * x.ndim)
    out = Tensor(whole, x._backend)
    return record(out, _replaced_bwd, (x, part), part.shape) if recording(x, part) else out


def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, value: Any = None, *, reduce: Any = None
) -> Tensor:
    """`input` with src (a tensor, or a number also called `value`) at the places that `index` names along `dim`; of
    several for one place the last along `dim` wins. With `reduce="add"` it is added there (`torch.scatter`).

    >>> import fastdl
    >>> scatter(fastdl.zeros(2, 3), 1, fastdl.tensor([[2], [0]]), 1.0).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    if reduce not in (None, "add"):
        raise NotImplementedError(f"[scatter] expected reduce None or 'add', got {reduce!r}")
    return _scattered(input, dim, index, value if src is None else src, reduce == "add")


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """`input` with src added at the places that `index` names along `dim`, in its order (`torch.scatter_add`).

    >>> import fastdl
    >>> scatter_add(fastdl.ones(3), 0, fastdl.tensor([0, 0, 2]), fastdl.tensor([1.0, 2.0, 3.0])).tolist()
    [4.0, 1.0, 4.0]
    """
    return _scattered(input, dim, index, expect_tensor(src, "scatter_add", "src"), True)


# ---- masks -----------------------------------------------------------------------------------------------------------


def _mask(mask: Any, x: Tensor, op: str) -> Tensor:
    m = expect_beside(mask, x, op, "mask")
    if m.dtype is not dtypes.bool:
        raise TypeError(f"[{op}] expected mask of dtype bool, got {m.dtype.name}")
    return m


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """Coordinates of the elements that are not 0: (count, ndim), or a tuple of one tensor an axis (`torch.nonzero`).

    >>> import fastdl
    >>> nonzero(fastdl.tensor([[0, 7], [1, 0]])).tolist()
    [[0, 1], [1, 0]]
    """
    x = expect_tensor(input, "nonzero")
    places = Tensor(x._backend.nonzero(x._array), x._backend)
    if not as_tuple:
        return places
    if x.ndim == 0:
        return (Tensor(x._backend.nonzero(x._backend.reshape(x._array, (1,))), x._backend).reshape(-1),)
    return tuple(index(places, (slice(None), d)) for d in range(x.ndim))


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """`value` where the mask is true, `input` elsewhere; the mask broadcasts (`torch.masked_fill`).

    >>> import fastdl
    >>> masked_fill(fastdl.tensor([1.0, 2.0]), fastdl.tensor([True, False]), -1.0).tolist()
    [-1.0, 2.0]
    """
    x = expect_tensor(input, "masked_fill")
    m = _mask(mask, x, "masked_fill")
    if not isinstance(value, Tensor):
        value = _number_beside(x, value)
    return where(m, value.to(x.dtype), x)


def _number_beside(x: Tensor, value: Any) -> Tensor:
    """A number as a tensor without axes, of the dtype and in the place of x."""
    dtype, k = str(x._array.dtype), x._backend
    if fits(value, dtype):
        array = k.empty((), dtype)
        k.fill_(array, value)
        return Tensor(array, k)
    expect_number(value, "masked_fill", "value")
    return tensor(value, x.dtype, x.device)


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where the mask is true, in order, as one line; both broadcast (`torch.masked_select`).

    >>> import fastdl
    >>> masked_select(fastdl.arange(4), fastdl.tensor([True, False, False, True])).tolist()
    [0, 3]
    """
    x = expect_tensor(input, "masked_select")
    m = _mask(mask, x, "masked_select")
    shape = np.broadcast_shapes(x.shape, m.shape)
    x, m = (t if t.shape == shape else expand(t, shape) for t in (x, m))
    return select(reshape(x, -1), places_of(m), 0)


def places_of(mask: Tensor) -> Array:
    k = mask._backend
    places = k.nonzero(k.reshape(mask._array, (mask.numel(),)))
    return k.reshape(places, (places.shape[0],))
