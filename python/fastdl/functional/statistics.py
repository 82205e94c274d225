"""What a whole tensor, or every line of it, comes to: truth, products, norms, counts."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd import Node, fresh, record, recording
from ..creation import tensor
from ..tensor import Tensor
from .arguments import expect_int, expect_number, expect_tensor, flag
from .arithmetic import Array, add, sub
from .comparison import ne
from .compositions import finite_or_zero
from .cumulative import summable
from .elementary import exp, log
from .layout import squeeze
from .reduction import Axes, amax, amin, mean, normalized_axes, normalized_axis, std, sum, var

# ---- truth and counts ------------------------------------------------------------------------------------------------


def _truth(op: str, input: Any, dim: Axes, keepdim: bool) -> Tensor:
    x = expect_tensor(input, op)
    k = x._backend
    numbers = k.cast(x._array if x.dtype is dtypes.bool else k.ne_scalar(x._array, 0), "int32")
    axes = normalized_axes(dim, x.ndim, op)
    if 0 in (x.shape[a] for a in axes):  # nothing is true of all, and nothing of any
        shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape) if keepdim or i not in axes)
        return tensor(np.full(shape, op == "all"), device=x.device)
    found = (k.amin if op == "all" else k.amax)(numbers, axes, flag(keepdim, op, "keepdim"))
    return Tensor(k.ne_scalar(found, 0), k)


def any(input: Tensor, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """Whether an element is other than 0, over `dim` or everything; bool (`torch.any`).

    >>> import fastdl
    >>> fastdl.any(fastdl.tensor([[0, 1], [0, 0]]), 1).tolist()
    [True, False]
    """
    return _truth("any", input, dim, keepdim)


def all(input: Tensor, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """Whether every element is other than 0, over `dim` or everything; bool (`torch.all`).

    >>> import fastdl
    >>> (fastdl.ones(2, 3) > 0).all().item()
    True
    """
    return _truth("all", input, dim, keepdim)


def count_nonzero(input: Tensor, dim: Axes = None) -> Tensor:
    """How many elements are other than 0; int64 (`torch.count_nonzero`)."""
    return sum(ne(expect_tensor(input, "count_nonzero"), 0), dim)


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each number from 0 on occurs in a vector of integers, or its weights' sum (`torch.bincount`).

    >>> import fastdl
    >>> fastdl.bincount(fastdl.tensor([0, 2, 2])).tolist()
    [1, 0, 2]
    """
    x = expect_tensor(input, "bincount")
    if x.ndim != 1 or x.dtype.is_floating_point or (x.numel() and amin(x).item() < 0):
        raise ValueError(f"[bincount] expected a vector of integers of at least 0, got {x.dtype.name} of {x.shape}")
    if expect_int(minlength, "bincount", "minlength") < 0:
        raise ValueError(f"[bincount] expected minlength of at least 0, got {minlength}")
    given = None if weights is None else expect_tensor(weights, "bincount", "weights")._host()
    if given is not None and given.shape != x.shape:
        raise ValueError(f"[bincount] expected weights of shape {x.shape}, got {given.shape}")
    if given is None and x.numel():
        numbers = x if x.dtype.itemsize > 1 else x._cast(dtypes.int32)
        size = builtins.max(int(amax(numbers).item()) + 1, minlength)
        if size >= 2**31 - 1:
            raise ValueError(f"[bincount] expected numbers and minlength below 2^31 - 2, got {size - 1}")
        return Tensor(x._backend.histogram(numbers._array, size, 0.0, 0.0), x._backend)
    counts = np.bincount(x._host().astype(np.int64), given, minlength)
    return tensor(counts, "float32" if given is not None and given.dtype == np.float32 else None, device=x.device)


# ---- products --------------------------------------------------------------------------------------------------------


@fresh
def _prod_bwd(node: Node, g: Array) -> tuple[Array]:
    x, out, axis, shape = node.saved
    k = node.backend
    return (k.reshape(k.prod_bwd(g, x, out, axis), shape),)


def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """The product over `dim`, or of everything (`torch.prod`); in a fixed order, as a tree. Integers and bools
    multiply as int64. The gradient is right for zeros too.

    >>> import fastdl
    >>> fastdl.prod(fastdl.tensor([[1.0, 2.0], [3.0, 4.0]]), 1).tolist()
    [2.0, 12.0]
    """
    x = summable(input, "prod", dtype)
    k, keepdim = x._backend, flag(keepdim, "prod", "keepdim")
    axis = 0 if dim is None else normalized_axis(dim, x.ndim, "prod")
    lines = k.reshape(x._array, (x._array.size,)) if dim is None or x.ndim == 0 else x._array
    found = k.prod(lines, (axis,), keepdim and (dim is None or x.ndim > 0))
    out = Tensor(found, k)
    return record(out, _prod_bwd, (x,), (lines, found, axis, x.shape)) if recording(x) else out


# ---- norms -----------------------------------------------------------------------------------------------------------


@fresh
def _norm_bwd(node: Node, g: Array) -> tuple[Array]:
    """sign(x) |x|^(p - 1) / norm^(p - 1), and 0 where the norm is 0."""
    k, (x, norm, p) = node.backend, node.saved
    g = k.reshape(g, norm.shape)
    zero = k.mul_scalar(g, 0.0)
    if p == 0:
        return (k.mul(k.mul_scalar(x, 0.0), g),)
    if math.isinf(p):
        hit = k.cast(k.eq(k.abs(x), norm), str(g.dtype))
        axes = tuple(i for i, n in enumerate(norm.shape) if n != x.shape[i])
        return (k.mul(k.mul(k.sign(x), hit), k.div(g, k.sum(hit, axes, True))),)
    if p == 1:
        return (k.mul(k.sign(x), g),)
    if p == 2:
        return (k.mul(x, k.where(k.eq_scalar(norm, 0), zero, k.div(g, norm))),)
    share = k.where(k.eq_scalar(norm, 0), zero, k.div(g, k.pow_scalar(norm, p - 1)))
    size = k.abs(x)
    power = k.where(k.eq_scalar(size, 0), k.mul_scalar(x, 0.0), k.pow_scalar(size, p - 1))
    return (k.mul(k.mul(k.sign(x), power), share),)


def norm(input: Tensor, p: Any = "fro", dim: Axes = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """The p-norm of the numbers over `dim`, or of all: (sum of |x|^p)^(1/p) (`torch.norm`, `torch.linalg.vector_norm`).

    "fro" is 2; infinity the largest |x|, minus infinity the smallest; 0 counts what is not 0. The gradient where the
    norm is 0 is 0.

    Raises:
        TypeError: for an input that is not a Tensor of floats, or a p that is no number.

    >>> import fastdl
    >>> fastdl.tensor([[3.0, 4.0], [0.0, 2.0]]).norm(dim=1).tolist()
    [5.0, 2.0]
    """
    x = expect_tensor(input, "norm")
    x = x._cast(dtypes.as_dtype(dtype, "norm")) if dtype is not None else x
    if not x.dtype.is_floating_point:
        raise TypeError(f"[norm] expected input of dtype float32 or float64, got {x.dtype.name}")
    p = 2.0 if p == "fro" or p is None else p
    expect_number(p, "norm", "p")
    p, k, axes = float(p), x._backend, normalized_axes(dim, x.ndim, "norm")
    if math.isinf(p):
        found = (k.amax if p > 0 else k.amin)(k.abs(x._array), axes, True)
    elif p == 0:
        found = k.sum(k.cast(k.ne_scalar(x._array, 0), x.dtype.name), axes, True)
    elif p == 1:
        found = k.sum(k.abs(x._array), axes, True)
    elif p == 2:
        found = k.sqrt(k.squared_deviations(x._array, None, axes, True))
    else:
        found = k.pow_scalar(k.sum(k.pow_scalar(k.abs(x._array), p), axes, True), 1 / p)
    shape = tuple(n for i, n in enumerate(found.shape) if keepdim or i not in axes)
    out = Tensor(k.reshape(found, shape), k)
    return record(out, _norm_bwd, (x,), (x._array, found, p)) if recording(x) else out


def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of input - other (`torch.dist`)."""
    return norm(sub(input, other), p)


def logsumexp(input: Tensor, dim: Axes, keepdim: bool = False) -> Tensor:
    """log of the sum of e^x over `dim`, without overflow (`torch.logsumexp`).

    >>> import fastdl
    >>> round(fastdl.logsumexp(fastdl.tensor([1000.0, 1000.0]), 0).item(), 3)
    1000.693
    """
    x = expect_tensor(input, "logsumexp")
    x = x if x.dtype.is_floating_point else x._cast(dtypes.float32)
    axes = list(normalized_axes(dim, x.ndim, "logsumexp"))
    top = finite_or_zero(amax(x.detach(), axes, True)) if x.numel() else 0.0  # of nothing: log(0)
    out = add(log(sum(exp(sub(x, top)), axes, True)), top)
    return out if flag(keepdim, "logsumexp", "keepdim") else squeeze(out, axes)


# ---- several at once -------------------------------------------------------------------------------------------------


def std_mean(
    input: Tensor, dim: Axes = None, correction: int = 1, keepdim: bool = False, *, unbiased: bool | None = None
) -> tuple[Tensor, Tensor]:
    """Standard deviation and mean (`torch.std_mean`)."""
    return std(input, dim, correction, keepdim, unbiased=unbiased), mean(input, dim, keepdim)


def var_mean(
    input: Tensor, dim: Axes = None, correction: int = 1, keepdim: bool = False, *, unbiased: bool | None = None
) -> tuple[Tensor, Tensor]:
    """Variance and mean (`torch.var_mean`)."""
    return var(input, dim, correction, keepdim, unbiased=unbiased), mean(input, dim, keepdim)


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """Smallest and largest element (`torch.aminmax`).

    >>> import fastdl
    >>> [t.item() for t in fastdl.aminmax(fastdl.arange(5))]
    [0, 4]
    """
    return amin(input, dim, keepdim), amax(input, dim, keepdim)
