"""Sums without NaNs, differences, areas, covariances, counts in bins. Made of other functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd import Node, fresh, record, recording
from ..creation import zeros
from ..tensor import Tensor
from .arguments import expect_int, expect_number, expect_tensor
from .arithmetic import div, mul, sub
from .comparison import clamp, where
from .elementary import sqrt
from .layout import cat, clone, reshape, squeeze, unsqueeze
from .logical import isnan, logical_not
from .product import product
from .reduction import mean, normalized_axis, sum
from .shaping import narrow

Array = Any


def nansum(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The sum of the elements that are not NaN (`torch.nansum`).

    >>> nansum(fastdl.tensor([1.0, float("nan"), 2.0])).item()
    3.0
    """
    x = expect_tensor(input, "nansum")
    return sum(where(isnan(x), 0, x) if x.is_floating_point() else x, dim, keepdim)


def nanmean(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The mean of the elements that are not NaN (`torch.nanmean`).

    >>> nanmean(fastdl.tensor([[1.0, float("nan")], [3.0, 5.0]]), 1).tolist()
    [1.0, 4.0]
    """
    x = expect_tensor(input, "nanmean")
    return div(nansum(x, dim, keepdim), sum(logical_not(isnan(x)).to(x.dtype), dim, keepdim))


def diff(input: Tensor, n: int = 1, dim: int = -1) -> Tensor:
    """Each element minus the one before it along an axis, n times over (`torch.diff`).

    >>> diff(fastdl.tensor([1, 4, 9, 16])).tolist(), diff(fastdl.tensor([1, 4, 9, 16]), 2).tolist()
    ([3, 5, 7], [2, 2])
    """
    x = expect_tensor(input, "diff")
    axis = normalized_axis(dim, x.ndim, "diff")
    if x.ndim == 0:
        raise ValueError("[diff] expected input with at least one dimension, got a scalar")
    if expect_int(n, "diff", "n") < 0:
        raise ValueError(f"[diff] expected n of at least 0, got {n}")
    x = x if n else clone(x)
    for _ in range(min(n, x.shape[axis])):
        x = _difference(x, axis)
    return x


@fresh
def _diff_bwd(node: Node, g: Array) -> tuple[Array]:
    k, axis = node.backend, node.saved
    starts = tuple(int(i == axis) for i in range(g.ndim))
    edged = tuple(n + 2 * (i == axis) for i, n in enumerate(g.shape))  # a zero before and one after
    return (k.neg(k.diff(k.slice_bwd(g, edged, starts, (1,) * g.ndim), axis)),)


def _difference(x: Tensor, axis: int) -> Tensor:
    if x.dtype is dtypes.bool:
        left = x.shape[axis] - 1
        return sub(narrow(x, axis, 1, left), narrow(x, axis, 0, left))
    out = Tensor(x._backend.diff(x._array, axis), x._backend)
    return record(out, _diff_bwd, (x,), axis) if recording(x) else out


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1.0, dim: int = -1) -> Tensor:
    """The area under points joined by straight lines, `dx` apart or at `x` (`torch.trapezoid`).

    >>> trapezoid(fastdl.tensor([0.0, 1.0, 0.0])).item()
    1.0
    """
    heights = expect_tensor(y, "trapezoid", "y")
    axis = normalized_axis(dim, heights.ndim, "trapezoid")
    if heights.ndim == 0:
        raise ValueError("[trapezoid] expected y with at least one dimension, got a scalar")
    expect_number(dx, "trapezoid", "dx")
    left = heights.shape[axis] - 1
    if left < 0:
        return mul(sum(heights, axis), 0.0)
    if x is None and left > 0:
        ends = narrow(heights, axis, 0, 1) + narrow(heights, axis, left, 1)
        return mul(sub(sum(heights, axis), mul(squeeze(ends, axis), 0.5)), dx)
    middle = mul(narrow(heights, axis, 1, left) + narrow(heights, axis, 0, left), 0.5)
    if x is None:
        return sum(mul(middle, dx), axis)
    widths = diff(x, 1, 0 if x.ndim == 1 else axis)
    if x.ndim == 1:
        widths = reshape(widths, [left if a == axis else 1 for a in range(heights.ndim)])
    return sum(mul(middle, widths), axis)


def cov(input: Tensor, *, correction: int = 1) -> Tensor:
    """The covariances of variables, a row each: (V, V), or a number for one variable (`torch.cov`).

    >>> cov(fastdl.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    x = expect_tensor(input, "cov")
    if x.ndim > 2:
        raise ValueError(f"[cov] expected at most 2 dimensions, got shape {x.shape}")
    rows = reshape(x, (1, -1)) if x.ndim < 2 else x
    centred = sub(rows, mean(rows, 1, True))
    found = div(product(centred, centred, trans_b=True), max(rows.shape[1] - correction, 0) or math.nan)
    return reshape(found, ()) if x.ndim < 2 else found


def corrcoef(input: Tensor) -> Tensor:
    """Pearson's correlations of variables, a row each (`torch.corrcoef`).

    >>> corrcoef(fastdl.tensor([[1.0, 2.0, 4.0], [2.0, 4.0, 8.0]])).round().tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    found = cov(input)
    if found.ndim == 0:
        return div(found, found)
    deviation = sqrt(found.diagonal())
    return clamp(div(div(found, unsqueeze(deviation, 1)), unsqueeze(deviation, 0)), -1.0, 1.0)


def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of `bins` equal parts of [min, max], by default of the elements' range
    (`torch.histc`); those outside count nowhere.

    >>> histc(fastdl.tensor([1.0, 2.0, 1.0, 4.0]), bins=3, min=0, max=3).tolist()
    [0.0, 2.0, 1.0]
    """
    x = reshape(expect_tensor(input, "histc").detach(), -1)
    expect_number(min, "histc", "min")
    expect_number(max, "histc", "max")
    if expect_int(bins, "histc", "bins") < 1:
        raise ValueError(f"[histc] expected bins of at least 1, got {bins}")
    low, high = (float(min), float(max)) if min != max else (x.min().item(), x.max().item())
    if not (low <= high and math.isfinite(high - low)):
        raise ValueError(f"[histc] expected min <= max, finite, got {low} and {high}")
    low, high = (low - 1, high + 1) if low == high else (low, high)
    numbers = x if x.dtype.is_floating_point else x._cast(dtypes.float64)
    return Tensor(x._backend.histogram(numbers._array, bins, low, high), x._backend).to(x.dtype)


def block_diag(*tensors: Tensor) -> Tensor:
    """Matrices along the diagonal of one, zeros elsewhere (`torch.block_diag`).

    >>> block_diag(fastdl.ones(1, 2), fastdl.tensor([[3.0]])).tolist()
    [[1.0, 1.0, 0.0], [0.0, 0.0, 3.0]]
    """
    parts = [reshape(x, (1, -1)) if expect_tensor(x, "block_diag").ndim < 2 else x for x in tensors]
    if not parts or any(x.ndim != 2 for x in parts):
        raise ValueError(f"[block_diag] expected matrices, got shapes {[x.shape for x in tensors]}")
    width, before, rows = int(np.sum([x.shape[1] for x in parts])), 0, []
    for x in parts:
        n, m = x.shape
        sides = [zeros(n, size, dtype=x.dtype, device=x.device) for size in (before, width - before - m)]
        rows.append(cat([sides[0], x, sides[1]], 1))
        before += m
    return cat(rows, 0)


def deg2rad(input: Tensor) -> Tensor:
    """Degrees as radians (`torch.deg2rad`).

    >>> round(deg2rad(fastdl.tensor(180.0)).item(), 4)
    3.1416
    """
    return mul(_float(input, "deg2rad"), math.pi / 180)


def rad2deg(input: Tensor) -> Tensor:
    """Radians as degrees (`torch.rad2deg`).

    >>> rad2deg(fastdl.tensor(0.0)).item()
    0.0
    """
    return mul(_float(input, "rad2deg"), 180 / math.pi)


def _float(input: Any, op: str) -> Tensor:
    x = expect_tensor(input, op)
    return x if x.dtype.is_floating_point else x._cast(dtypes.float32)
