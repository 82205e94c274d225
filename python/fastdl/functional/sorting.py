"""Order along an axis: sort, argsort, msort, topk, kthvalue, median, nanmedian.

NaN comes after all numbers, as in PyTorch, and of equal numbers the one of the lower index comes first, whatever the
direction: PyTorch gives the same values, but the indices of equals only where it is asked for a stable sort.
"""

from __future__ import annotations

from typing import Any

from ..autograd import Node, fresh, record, recording
from ..creation import full
from ..tensor import Tensor
from .arguments import expect_int, expect_tensor, flag
from .layout import reshape
from .reduction import ValuesIndices, chosen_bwd, normalized_axis

Array = Any


def _chosen(x: Tensor, found: tuple[Array, Array], axis: int, keepdim: bool = True) -> ValuesIndices:
    """The values and indices that were chosen along the axis, with their gradient; keepdim False: without the axis."""
    k, (values, indices) = x._backend, found
    shape = values.shape if keepdim else (*x.shape[:axis], *x.shape[axis + 1 :])
    out = Tensor(values if keepdim else k.reshape(values, shape), k)
    if recording(x):
        record(out, chosen_bwd, (x,), (indices, axis, x.shape[axis]))
    return ValuesIndices(out, Tensor(indices if keepdim else k.reshape(indices, shape), k))


def _line(x: Tensor) -> Tensor:
    """A scalar as a line of one number."""
    return x if x.ndim else reshape(x, (1,))


def _like(x: Tensor, found: ValuesIndices) -> ValuesIndices:
    """And back."""
    return found if x.ndim else ValuesIndices(reshape(found.values, ()), reshape(found.indices, ()))


def sort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> ValuesIndices:
    """The numbers along `dim` in order: the named tuple (values, indices) (`torch.sort`).

    Shapes: both have the input's. dtypes: all. The sort is always stable; `stable` is taken and changes nothing. The
    gradient of the values goes back to where they came from.

    Raises:
        TypeError: for an input that is no Tensor.
        IndexError: for a `dim` that the input does not have.

    >>> import fastdl
    >>> values, indices = sort(fastdl.tensor([3.0, 1.0, 2.0, 1.0]))
    >>> values.tolist(), indices.tolist()
    ([1.0, 1.0, 2.0, 3.0], [1, 3, 2, 0])
    """
    x = expect_tensor(input, "sort")
    axis = normalized_axis(dim, x.ndim, "sort")
    down = flag(descending, "sort", "descending")
    flag(stable, "sort", "stable")
    line = _line(x)
    return _like(x, _chosen(line, line._backend.sort(line._array, axis, down), axis))


def argsort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Tensor:
    """The indices that `sort` gives (`torch.argsort`).

    >>> import fastdl
    >>> argsort(fastdl.tensor([3, 1, 2]), descending=True).tolist()
    [0, 2, 1]
    """
    x = expect_tensor(input, "argsort")
    axis = normalized_axis(dim, x.ndim, "argsort")
    down = flag(descending, "argsort", "descending")
    flag(stable, "argsort", "stable")
    out = Tensor(x._backend.argsort(_line(x)._array, axis, down), x._backend)
    return out if x.ndim else reshape(out, ())


def msort(input: Tensor) -> Tensor:
    """The values of `sort` along the first axis (`torch.msort`).

    >>> import fastdl
    >>> msort(fastdl.tensor([[2, 1], [1, 3]])).tolist()
    [[1, 1], [2, 3]]
    """
    return sort(expect_tensor(input, "msort"), 0).values


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesIndices:
    """The k largest (or smallest) numbers along `dim`, the first of the order first: the named tuple (values, indices)
    (`torch.topk`).

    Shapes: the input's, but k along `dim`. dtypes: all but bool. `sorted` is taken; the result is in order either way.

    Raises:
        TypeError: for an input that is no Tensor, or of dtype bool.
        ValueError: unless 0 <= k <= size of `dim`.
        IndexError: for a `dim` that the input does not have.

    The two nearest neighbours of each point:

    >>> import fastdl
    >>> points = fastdl.tensor([[0.0, 0.0], [1.0, 0.0], [5.0, 0.0]])
    >>> distances = fastdl.cdist(fastdl.tensor([[0.9, 0.0], [9.0, 0.0]]), points)
    >>> topk(distances, 2, largest=False).indices.tolist()
    [[1, 0], [2, 1]]
    """
    x = expect_tensor(input, "topk")
    axis = normalized_axis(dim, x.ndim, "topk")
    count = expect_int(k, "topk", "k")
    up = flag(largest, "topk", "largest")
    flag(sorted, "topk", "sorted")
    if x.ndim == 0 and count == 0:
        count = 1  # as in PyTorch, whose scalars have nothing to leave out
    line = _line(x)
    return _like(x, _chosen(line, line._backend.topk(line._array, count, axis, up), axis))


def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """The k-th smallest number along `dim`, from 1 on: the named tuple (values, indices) (`torch.kthvalue`).

    Shapes: the input's without `dim`, or with size 1 there. dtypes: all but bool. The gradient goes to that number.

    Raises:
        TypeError: for an input that is no Tensor, or of dtype bool.
        ValueError: unless 1 <= k <= size of `dim`.
        IndexError: for a `dim` that the input does not have, or that has no elements.

    >>> import fastdl
    >>> kthvalue(fastdl.tensor([[4.0, 1.0, 3.0]]), 2).values.tolist()
    [3.0]
    """
    x = expect_tensor(input, "kthvalue")
    axis = normalized_axis(dim, x.ndim, "kthvalue")
    rank = expect_int(k, "kthvalue", "k")
    keep, line = flag(keepdim, "kthvalue", "keepdim"), _line(x)
    found = line._backend.kthvalue(line._array, rank, axis)
    return _chosen(line, found, axis, keep) if x.ndim else _like(x, _chosen(line, found, axis))


@fresh
def _equals_bwd(node: Node, g: Array) -> tuple[Array]:
    """Numbers equal to the result share its gradient; where that is NaN, all NaNs."""
    k, (x, out) = node.backend, node.saved
    both_nan = k.bitwise_and(k.ne(x, x), k.ne(out, out))
    hit = k.cast(k.bitwise_or(k.eq(x, out), both_nan), str(g.dtype))
    return (k.mul(hit, k.div(g, k.sum(hit, tuple(range(x.ndim)), False))),)


def _median(op: str, input: Tensor, dim: int | None, keepdim: bool, ignore_nan: bool) -> Any:
    x = expect_tensor(input, op)
    k = x._backend
    if dim is not None:
        axis, keep, line = normalized_axis(dim, x.ndim, op), flag(keepdim, op, "keepdim"), _line(x)
        found = k.median(line._array, axis, ignore_nan)
        return _chosen(line, found, axis, keep) if x.ndim else _like(x, _chosen(line, found, axis))
    if x._array.size == 0 and x.dtype.is_floating_point:
        return full((), float("nan"), dtype=x.dtype, device=x.device)
    values, _ = k.median(k.reshape(x._array, (x._array.size,)), 0, ignore_nan)
    out = Tensor(k.reshape(values, ()), k)
    return record(out, _equals_bwd, (x,), (x._array, out._array)) if recording(x) else out


def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The median, the lower one of two; with `dim`, along it: the named tuple (values, indices) (`torch.median`).

    Shapes: (), or the input's without `dim`, or with size 1 there. dtypes: all but bool. A line with NaN has the median
    NaN. The gradient goes to that number; without `dim` all numbers equal to the median share it.

    Raises:
        TypeError: for an input that is no Tensor, or of dtype bool.
        IndexError: for a `dim` that the input does not have, or that has no elements.

    >>> import fastdl
    >>> x = fastdl.tensor([[4.0, 1.0, 3.0], [2.0, 8.0, 9.0]])
    >>> median(x).item(), median(x, 1).values.tolist()
    (3.0, [3.0, 8.0])
    """
    return _median("median", input, dim, keepdim, False)


def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """`median` of the numbers alone, NaN where there are none (`torch.nanmedian`).

    >>> import fastdl
    >>> nanmedian(fastdl.tensor([4.0, float("nan"), 1.0])).item()
    1.0
    """
    return _median("nanmedian", input, dim, keepdim, True)
