"""Reading and writing chosen elements: by numbers along an axis, by places, by masks. Made of other functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import dtypes
from ..autograd import Node, fresh, record, recording
from ..creation import full, ones, zeros
from ..tensor import Tensor
from .arguments import expect_int, expect_tensor
from .arithmetic import div, sub
from .comparison import clamp, eq, where
from .cumulative import cumsum
from .in_place import assign
from .indexing import index_add, index_select, masked_fill, masked_select, nonzero, scatter, scatter_add
from .layout import clone, expand, reshape, stack
from .logical import logical_not
from .reduction import normalized_axis
from .searching import searchsorted, unique
from .shaping import narrow, unbind

Array = Any


def argwhere(input: Tensor) -> Tensor:
    """Coordinates of the elements that are not 0, (count, ndim) (`torch.argwhere`).

    >>> argwhere(fastdl.tensor([[0, 7], [1, 0]])).tolist()
    [[0, 1], [1, 0]]
    """
    return nonzero(input)


def isin(elements: Tensor, test_elements: Any, *, invert: bool = False) -> Tensor:
    """Whether each element is one of `test_elements`, a tensor or a number (`torch.isin`).

    >>> isin(fastdl.tensor([1, 2, 3]), fastdl.tensor([3, 1])).tolist()
    [True, False, True]
    """
    x = expect_tensor(elements, "isin", "elements")
    if not isinstance(test_elements, Tensor):
        found = eq(x, test_elements)
    elif not test_elements.numel():
        found = zeros(x.shape, dtype="bool", device=x.device)
    else:
        known = unique(reshape(test_elements.detach().to(x.dtype), -1))
        places = clamp(searchsorted(known, x.detach()), None, known.numel() - 1)
        found = eq(reshape(index_select(known, 0, reshape(places, -1)), x.shape), x)
    return logical_not(found) if invert else found


def _lines(index: Tensor, dim: int, x: Tensor, op: str) -> Tensor:
    """An index along an axis as the numbers of a whole scatter, shape of x but for the axis."""
    if index.ndim > 1 or index.dtype.name not in ("int32", "int64"):
        raise IndexError(f"[{op}] expected index of integers (n,), got {index.dtype.name} of shape {index.shape}")
    shape = [1] * x.ndim
    shape[dim] = index.numel()
    return expand(reshape(index.long(), shape), [index.numel() if a == dim else n for a, n in enumerate(x.shape)])


def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """`input` with `value` in the lines that `index` names along `dim` (`torch.index_fill`).

    >>> index_fill(fastdl.zeros(2, 3), 1, fastdl.tensor([0, 2]), 5.0).tolist()
    [[5.0, 0.0, 5.0], [5.0, 0.0, 5.0]]
    """
    x, axis = expect_tensor(input, "index_fill"), normalized_axis(dim, input.ndim, "index_fill")
    lines = _lines(expect_tensor(index, "index_fill", "index"), axis, x, "index_fill")
    chosen = scatter(zeros(x.shape, device=x.device), axis, lines, 1.0)
    return masked_fill(x, eq(chosen, 1.0), value)


def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """`input` with the lines of `source` at the numbers that `index` names along `dim` (`torch.index_copy`).

    >>> index_copy(fastdl.zeros(3, 1), 0, fastdl.tensor([2, 0]), fastdl.tensor([[1.0], [2.0]])).tolist()
    [[2.0], [0.0], [1.0]]
    """
    x, axis = expect_tensor(input, "index_copy"), normalized_axis(dim, input.ndim, "index_copy")
    lines = _lines(expect_tensor(index, "index_copy", "index"), axis, x, "index_copy")
    expect_tensor(source, "index_copy", "source")
    if source.shape != lines.shape:
        raise ValueError(f"[index_copy] expected source of shape {lines.shape}, got {source.shape}")
    return scatter(x, axis, lines, source)


def _kinds(values: Any) -> str:
    """What came where tensors of indices should have."""
    if not isinstance(values, Sequence):
        return type(values).__name__
    return ", ".join(v.dtype.name if isinstance(v, Tensor) else type(v).__name__ for v in values) or "none"


def index_put(input: Tensor, indices: Sequence[Tensor], values: Tensor, accumulate: bool = False) -> Tensor:
    """`input` with `values` at the places `input[indices]`, or added there if `accumulate` (`torch.index_put`).

    >>> at = (fastdl.tensor([0, 1, 0]),)
    >>> index_put(fastdl.zeros(2), at, fastdl.tensor([1.0, 2.0, 3.0]), accumulate=True).tolist()
    [4.0, 2.0]
    """
    x, v = expect_tensor(input, "index_put"), expect_tensor(values, "index_put", "values")
    at = tuple(indices) if isinstance(indices, Sequence) else ()
    kinds = ("bool", "int32", "int64")
    if not at or not all(isinstance(i, Tensor) and i.dtype.name in kinds for i in at):
        raise TypeError(f"[index_put] expected indices as tensors of {', '.join(kinds)}, got {_kinds(indices)}")
    if not accumulate:
        out = clone(x)
        assign(out, at, v)
        return out
    numbers = [part for i in at for part in (nonzero(i, as_tuple=True) if i.dtype is dtypes.bool else (i.long(),))]
    lead, tail = x.shape[: len(numbers)], x.shape[len(numbers) :]
    place: Any = 0
    for i, n in zip(numbers, lead, strict=True):
        if i.numel() and not (-n <= int(i.min().item()) and int(i.max().item()) < n):
            raise IndexError(f"[index_put] expected indices in [{-n}, {n - 1}], got others")
        place = place * n + where(i < 0, i + n, i)
    lines = reshape(expand(v, (*place.shape, *tail)), (place.numel(), math.prod(tail)))
    flat = reshape(x, (math.prod(lead), math.prod(tail)))
    return reshape(index_add(flat, 0, reshape(place, -1), lines), x.shape)


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """`input` with the elements of `source`, one after another, where the mask is true (`torch.masked_scatter`).

    >>> masked_scatter(fastdl.zeros(3), fastdl.tensor([True, False, True]), fastdl.tensor([1.0, 2.0, 3.0])).tolist()
    [1.0, 0.0, 2.0]
    """
    x, s = expect_tensor(input, "masked_scatter"), expect_tensor(source, "masked_scatter", "source")
    m = expand(expect_tensor(mask, "masked_scatter", "mask"), x.shape)
    if m.dtype is not dtypes.bool:
        raise TypeError(f"[masked_scatter] expected mask of dtype bool, got {m.dtype.name}")
    places = sub(cumsum(reshape(m, -1).long(), 0), 1)
    needed = int(places[-1].item()) + 1 if places.numel() else 0
    if needed > s.numel():
        raise ValueError(f"[masked_scatter] expected source with at least {needed} elements, got {s.numel()}")
    if not s.numel() or not x.numel():
        return clone(x)
    found = index_select(reshape(s, -1), 0, clamp(places, 0, None))
    return where(m, reshape(found, x.shape), x)


def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """`input` with the sum or mean of what `src` has for each place that `index` names (`torch.scatter_reduce`).

    reduce: "sum" or "mean"; include_self: whether the element of `input` counts too.

    >>> at = fastdl.tensor([0, 0, 1])
    >>> scatter_reduce(fastdl.ones(2), 0, at, fastdl.tensor([3.0, 5.0, 7.0]), "mean", include_self=False).tolist()
    [4.0, 7.0]
    """
    if reduce not in ("sum", "mean"):
        raise NotImplementedError(f"[scatter_reduce] expected reduce sum or mean, got {reduce!r}")
    x = input if include_self else scatter(input, dim, index, 0.0)
    total = scatter_add(x, dim, index, src)
    if reduce == "sum":
        return total
    own = ones(x.shape, dtype=x.dtype, device=x.device)
    count = scatter_add(own if include_self else scatter(own, dim, index, 0.0), dim, index,
                        full(src.shape, 1.0, dtype=x.dtype, device=x.device))  # fmt: skip
    return div(total, clamp(count, 1.0, None))


def unique_consecutive(input: Tensor, return_inverse: bool = False, return_counts: bool = False) -> Any:
    """The elements in order, runs of equal ones once (`torch.unique_consecutive`, of the flattened tensor).

    With `return_inverse` also the number of each element's run, with `return_counts` the lengths of the runs.

    >>> values, counts = unique_consecutive(fastdl.tensor([1, 1, 2, 1]), return_counts=True)
    >>> values.tolist(), counts.tolist()
    ([1, 2, 1], [2, 1, 1])
    """
    x = reshape(expect_tensor(input, "unique_consecutive"), -1)
    begins = ones(x.shape, dtype="bool", device=x.device)
    if x.numel() > 1:
        begins[1:] = narrow(x, 0, 1, x.numel() - 1) != narrow(x, 0, 0, x.numel() - 1)
    values = masked_select(x, begins)
    run = sub(cumsum(begins.long(), 0), 1)
    found = [values]
    if return_inverse:
        found.append(reshape(run, input.shape))
    if return_counts:
        nothing = zeros(values.shape, dtype="int64", device=x.device)
        found.append(scatter_add(nothing, 0, run, ones(run.shape, dtype="int64", device=x.device)))
    return found[0] if len(found) == 1 else tuple(found)


@fresh
def _rot90_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.rot90(g, *node.saved),)


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned k times by 90 degrees, from the first of the axes towards the second (`torch.rot90`).

    >>> rot90(fastdl.tensor([[1, 2], [3, 4]])).tolist()
    [[2, 4], [1, 3]]
    """
    x, turns = expect_tensor(input, "rot90"), expect_int(k, "rot90", "k") % 4
    axes = [normalized_axis(d, x.ndim, "rot90") for d in dims]
    if len(axes) != 2 or axes[0] == axes[1]:
        raise ValueError(f"[rot90] expected two axes, got {tuple(dims)}")
    out = Tensor(x._backend.rot90(x._array, turns, *axes), x._backend)
    return record(out, _rot90_bwd, (x,), (-turns % 4, *axes)) if recording(x) else out


def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The cross product of vectors of three numbers along an axis, the first one of three if none is named
    (`torch.cross`).

    >>> cross(fastdl.tensor([1.0, 0.0, 0.0]), fastdl.tensor([0.0, 1.0, 0.0])).tolist()
    [0.0, 0.0, 1.0]
    """
    a, b = expect_tensor(input, "cross"), expect_tensor(other, "cross", "other")
    axis = normalized_axis(dim, a.ndim, "cross") if dim is not None else (*a.shape, 3).index(3)
    if axis == a.ndim:
        raise ValueError(f"[cross] expected an axis of 3 elements, got shape {a.shape}")
    if a.shape[axis] != 3 or b.ndim != a.ndim or b.shape[axis] != 3:
        raise ValueError(f"[cross] expected 3 elements along axis {dim}, got shapes {a.shape} and {b.shape}")

    (a0, a1, a2), (b0, b1, b2) = unbind(a, axis), unbind(b, axis)
    return stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], axis)


def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: each element of `input` times the whole of `other` (`torch.kron`).

    >>> kron(fastdl.tensor([1, 10]), fastdl.tensor([1, 2])).tolist()
    [1, 2, 10, 20]
    """
    a, b = expect_tensor(input, "kron"), expect_tensor(other, "kron", "other")
    n = max(a.ndim, b.ndim)
    left, right = ((1,) * (n - t.ndim) + t.shape for t in (a, b))
    blocks = tuple([size for p in left for size in (p, 1)])
    inside = tuple([size for q in right for size in (1, q)])
    return reshape(reshape(a, blocks) * reshape(b, inside), tuple([p * q for p, q in zip(left, right, strict=True)]))
