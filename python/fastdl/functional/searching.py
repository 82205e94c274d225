"""Sorted sequences: places in them, the different numbers of a tensor, quantiles."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..creation import tensor
from ..tensor import Tensor
from .arguments import expect_beside, expect_number, expect_tensor, flag
from .arithmetic import add, matched, mul, sub
from .comparison import where
from .indexing import gather, index_select
from .layout import reshape, squeeze, transpose
from .logical import isnan
from .reduction import normalized_axis
from .sorting import sort


def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where each input would go into its sequence so that this stays in order (`torch.searchsorted`).

    Shapes: a sequence (n,) for inputs of any shape, or sequences (..., n) for inputs (..., m); the output has the
    input's. The result i fulfils sequence[i - 1] < input <= sequence[i], or sequence[i - 1] <= input < sequence[i] with
    `right` or `side` "right". `input` may be a number, `sorter` the indices that sort the sequences. dtypes: all but
    bool, operands promoted to one; output int64, or int32 with `out_int32`.

    Raises:
        TypeError: for arguments that are no Tensors, or bool.
        ValueError: for shapes that do not fit, or another `side`.

    >>> import fastdl
    >>> searchsorted(fastdl.tensor([1.0, 3.0, 5.0]), fastdl.tensor([3.0, 4.0])).tolist()
    [1, 2]
    """
    op = "searchsorted"
    sequence = expect_tensor(sorted_sequence, op, "sorted_sequence")
    if not isinstance(input, Tensor):
        expect_number(input, op, "input")
        input = tensor(input, device=sequence.device)
    x = expect_beside(input, sequence, op, "input")
    if side not in (None, "left", "right"):
        raise ValueError(f"[{op}] expected side left or right, got {side}")
    after = flag(right, op, "right")
    if side == "left" and after:
        raise ValueError(f"[{op}] expected side right where right is True, got left")
    if sorter is not None:
        order = expect_beside(sorter, sequence, op, "sorter")
        if order.shape != sequence.shape:
            raise ValueError(f"[{op}] expected sorter of shape {sequence.shape}, got shape {order.shape}")
        sequence = gather(sequence, -1, order)
    if x.dtype is not sequence.dtype:
        sequence, x = matched(sequence, x, op)
    out = Tensor(sequence._backend.searchsorted(sequence._array, x._array, after or side == "right"), x._backend)
    return out.int() if flag(out_int32, op, "out_int32") else out


def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The bucket between sorted `boundaries` (n,) that each input lies in: `searchsorted` the other way round
    (`torch.bucketize`).

    >>> import fastdl
    >>> bucketize(fastdl.tensor([0.5, 7.0]), fastdl.tensor([1.0, 3.0, 5.0])).tolist()
    [0, 3]
    """
    edges = expect_tensor(boundaries, "bucketize", "boundaries")
    if edges.ndim != 1:
        raise ValueError(f"[bucketize] expected boundaries with 1 dimensions, got shape {edges.shape}")
    return searchsorted(edges, input, out_int32=out_int32, right=right)


def _unique_lines(x: Tensor, axis: int, return_inverse: bool, return_counts: bool) -> Any:
    values, inverse, counts = np.unique(x._host(), return_inverse=True, return_counts=True, axis=axis)
    wanted = [values, *([inverse.reshape(-1)] if return_inverse else []), *([counts] if return_counts else [])]
    found = tuple(tensor(a, device=x.device) for a in wanted)
    return found if len(found) > 1 else found[0]


def unique(
    input: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
    dim: int | None = None,
) -> Any:  # fmt: skip
    """The different numbers of a tensor in order, and, where asked for, the place among them of each of the input's
    and how often each is there (`torch.unique`). With `dim` the different lines along it, compared on the host.

    Shapes: (n,), the input's, (n,); with `dim` the input's with n there, (the size of `dim`,), (n,). `sorted` is taken;
    the result is in order either way. Every NaN is different from every other, as in PyTorch.

    >>> import fastdl
    >>> [t.tolist() for t in unique(fastdl.tensor([3, 1, 3]), return_inverse=True, return_counts=True)]
    [[1, 3], [1, 0, 1], [1, 2]]
    """
    op = "unique"
    x = expect_tensor(input, op)
    flag(sorted, op, "sorted")
    if dim is not None:
        axis = normalized_axis(dim, x.ndim, op)
        return _unique_lines(x, axis, flag(return_inverse, op, "return_inverse"),
                             flag(return_counts, op, "return_counts"))  # fmt: skip
    k = x._backend
    values, indices = k.sort(k.reshape(x._array, (x._array.size,)), 0, False)
    wanted = flag(return_inverse, op, "return_inverse")
    inverse, first = k.group_equal(values, indices if wanted else None)
    found = [Tensor(k.index_select(values, first, 0), k)]
    if wanted:
        found.append(Tensor(k.reshape(inverse, x.shape), k))
    if flag(return_counts, op, "return_counts"):
        ends = np.append(k.to_numpy(first)[1:], x._array.size)[: first.size]
        found.append(tensor(ends - k.to_numpy(first), device=x.device))
    return tuple(found) if len(found) > 1 else found[0]


_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The numbers that the parts q, from 0 to 1, of all are not above; along `dim`, or of everything
    (`torch.quantile`).

    Shapes: q a number or () gives the input's without `dim`, or with size 1 there; q (n,) puts n before. Between two
    numbers `interpolation` decides: "linear", "lower", "higher", "midpoint", "nearest". A line with NaN gives NaN.

    Raises:
        TypeError: for an input that is no Tensor of a float dtype.
        ValueError: for an input without elements, q outside [0, 1] or another `interpolation`.

    >>> import fastdl
    >>> quantile(fastdl.tensor([1.0, 2.0, 4.0]), fastdl.tensor([0.5, 0.75])).tolist()
    [2.0, 3.0]
    """
    op = "quantile"
    x = expect_tensor(input, op)
    if not x.dtype.is_floating_point:
        raise TypeError(f"[{op}] expected input of dtype float32 or float64, got {x.dtype.name}")
    if interpolation not in _INTERPOLATIONS:
        raise ValueError(f"[{op}] expected interpolation {', '.join(_INTERPOLATIONS)}, got {interpolation}")
    if not isinstance(q, Tensor):
        expect_number(q, op, "q")
    parts = np.asarray(q._host() if isinstance(q, Tensor) else q, x.dtype.name)
    if parts.ndim > 1:
        raise ValueError(f"[{op}] expected q with at most 1 dimension, got shape {parts.shape}")
    if not np.all((parts >= 0) & (parts <= 1)):
        raise ValueError(f"[{op}] expected q between 0 and 1, got {q if parts.ndim == 0 else parts.tolist()}")
    keep = flag(keepdim, op, "keepdim")
    kept = (1,) * x.ndim
    if dim is None:
        lines, axis = reshape(x, (x._array.size,)), 0
    else:
        axis = normalized_axis(dim, x.ndim, op)
        lines = x if x.ndim else reshape(x, (1,))
        kept = tuple(1 if i == axis else n for i, n in enumerate(x.shape))
    size = lines.shape[axis]
    if size == 0:
        raise ValueError(f"[{op}] expected input with at least one element along the axis, got shape {x.shape}")
    ordered = transpose(sort(lines, axis).values, 0, axis)  # the axis first, where the q go
    at = parts.reshape(-1) * np.asarray(size - 1, parts.dtype)
    out = _between(ordered, at, interpolation)
    last = index_select(ordered, 0, tensor([size - 1], device=x.device))
    out = where(isnan(last), last, out)
    if axis:
        out = _axis_back(out, axis)
    shape = (len(at), *(kept if keep else [n for i, n in enumerate(kept) if dim is not None and i != axis]))
    out = reshape(out, shape)
    return out if parts.ndim else squeeze(out, 0)


def _axis_back(out: Tensor, axis: int) -> Tensor:
    """(q, axes before with the first in the place of `axis`, ...) in the order of the input's other axes."""
    order = [0, axis, *range(1, axis), *range(axis + 1, out.ndim)]
    return out.permute(order)


def _between(ordered: Tensor, at: np.ndarray, interpolation: str) -> Tensor:
    """The numbers at the places `at` of the first axis, which may lie between two."""
    low, high = np.floor(at), np.ceil(at)
    if interpolation == "lower":
        high = low
    elif interpolation == "higher":
        low = high
    elif interpolation == "nearest":
        low = high = np.round(at)

    def line(places: np.ndarray) -> Tensor:
        return index_select(ordered, 0, tensor(places.astype(np.int64), device=ordered.device))

    below = line(low)
    if np.array_equal(low, high):
        return below
    share = np.full_like(at, 0.5) if interpolation == "midpoint" else at - low
    weight = tensor(share.reshape(-1, *[1] * (ordered.ndim - 1)), dtype=ordered.dtype, device=ordered.device)
    return add(below, mul(sub(line(high), below), weight))
