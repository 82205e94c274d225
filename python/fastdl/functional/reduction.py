"""Sums, means, extremes over axes."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from .. import autograd, dtypes
from ..autograd import Node, fresh, mode, record
from ..spread_grad import SpreadGrad
from ..tensor import Tensor
from .arguments import expect_number, flag
from .arithmetic import Array, div

Axes = int | Sequence[int] | None


def normalized_axis(axis: Any, ndim: int, op: str) -> int:
    """One axis as a number from 0 on."""
    if axis.__class__ is int and -ndim <= axis < ndim:
        return axis if axis >= 0 else axis + ndim
    if not isinstance(axis, int):
        raise TypeError(f"[{op}] expected an int for dim, got {type(axis).__name__}")
    room = ndim or 1  # as in PyTorch, a scalar has axis 0 and -1
    if not -room <= axis < room:
        raise IndexError(f"[{op}] expected dim in [{-room}, {room - 1}], got {axis}")
    return axis % room


def normalized_axes(dim: Axes, ndim: int, op: str) -> tuple[int, ...]:
    """Axes from 0 on, sorted; None or () means all."""
    if dim.__class__ is int and ndim:
        return (normalized_axis(dim, ndim, op),)
    if not (dim is None or isinstance(dim, int | tuple | list)):
        raise TypeError(f"[{op}] expected an int for dim, got {type(dim).__name__}")
    if dim is None or dim == () or dim == []:
        return tuple(range(ndim))
    axes = sorted(normalized_axis(d, ndim, op) for d in ([dim] if isinstance(dim, int) else dim))
    if len(set(axes)) != len(axes):
        raise ValueError(f"[{op}] expected each dim once, got {dim}")
    return tuple(a for a in axes if a < ndim)


def _expect(input: Any, op: str) -> Tensor:
    if not isinstance(input, Tensor):
        raise TypeError(f"[{op}] expected a Tensor for input, got {type(input).__name__}")
    return input


def _expanded(k: Any, g: Array, shape: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
    return k.broadcast_to(k.reshape(g, kept), shape)


def _spread(k: Any, g: Array, shape: tuple[int, ...], axes: tuple[int, ...]) -> SpreadGrad:
    return SpreadGrad(k.reshape(g, tuple([1 if i in axes else n for i, n in enumerate(shape)])), shape, k)


@fresh
def _sum_bwd(node: Node, g: Array) -> tuple[Array]:
    shape, axes = node.saved
    return (_spread(node.backend, g, shape, axes),)


def sum(input: Tensor, dim: Axes = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """Sum over `dim`, or over everything (`torch.sum`). Booleans and bytes add up as int64.

    >>> import fastdl
    >>> fastdl.ones(2, 3).sum(dim=1).tolist()
    [3.0, 3.0]
    """
    x = _expect(input, "sum")
    if dtype is not None:
        x = x._cast(dtypes.as_dtype(dtype, "sum"))
    axes = normalized_axes(dim, x.ndim, "sum")
    if dtype is None and not x.dtype.is_floating_point:
        if x.dtype.itemsize == 1 and x._array.size < 2**23:  # fits int32, which moves half as many bytes
            k = x._backend
            found = k.sum(k.cast(x._array, "int32"), axes, flag(keepdim, "sum", "keepdim"))
            return Tensor(k.cast(found, "int64"), k)
        x = x._cast(dtypes.int64)
    out = Tensor(
        x._backend.sum(x._array, axes, keepdim if keepdim.__class__ is bool else flag(keepdim, "sum", "keepdim")),
        x._backend,
    )
    return record(out, _sum_bwd, (x,), (x.shape, axes)) if x.requires_grad and mode.enabled else out


@fresh
def _mean_bwd(node: Node, g: Array) -> tuple[Array]:
    shape, axes, count = node.saved
    k = node.backend
    return (_spread(k, k.mul_scalar(g, 1.0 / count if count else float("nan")), shape, axes),)


def mean(input: Tensor, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Mean over `dim`, or over everything (`torch.mean`)."""
    x = _expect(input, "mean")
    if dtype is not None:
        x = x._cast(dtypes.as_dtype(dtype, "mean"))
    if not x.dtype.is_floating_point:
        raise TypeError(f"[mean] expected input of dtype float32 or float64, got {x.dtype.name}")
    axes = normalized_axes(dim, x.ndim, "mean")
    out = Tensor(x._backend.mean(x._array, axes, flag(keepdim, "mean", "keepdim")), x._backend)
    if autograd.recording(x):
        count = 1
        for a in axes:
            count *= x.shape[a]
        record(out, _mean_bwd, (x,), (x.shape, axes, count))
    return out


@fresh
def _squared_deviations_bwd(node: Node, g: Array) -> tuple[Array]:
    """The center is the mean: by how much it moves adds nothing, since deviations from it sum to zero."""
    k, (x, center, axes) = node.backend, node.saved
    return (k.mul(_expanded(k, g, x.shape, axes), k.mul_scalar(k.sub(x, center), 2.0)),)


def var(
    input: Tensor, dim: Any = None, correction: int = 1, keepdim: bool = False, *, unbiased: bool | None = None
) -> Tensor:
    """Variance over `dim`, divided by n - correction (`torch.var`), in two exact passes.

    `unbiased=False` (also in the place of dim) is correction 0.

    >>> import fastdl
    >>> fastdl.tensor([1.0, 3.0]).var(unbiased=False).item()
    1.0
    """
    x = _expect(input, "var")
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None:
        correction = int(flag(unbiased, "var", "unbiased"))
    expect_number(correction, "var", "correction")
    if not x.dtype.is_floating_point:
        raise TypeError(f"[var] expected input of dtype float32 or float64, got {x.dtype.name}")
    k, axes = x._backend, normalized_axes(dim, x.ndim, "var")
    center = k.mean(x._array, axes, True)
    out = Tensor(k.squared_deviations(x._array, center, axes, flag(keepdim, "var", "keepdim")), k)
    if autograd.recording(x):
        record(out, _squared_deviations_bwd, (x,), (x._array, center, axes))
    return div(out, float(builtins.max(math.prod(x.shape[a] for a in axes) - correction, 0)))


@fresh
def _std_bwd(node: Node, g: Array) -> tuple[Array]:
    k, out = node.backend, node.saved
    return (k.where(k.eq_scalar(out, 0.0), k.mul_scalar(out, 0.0), k.div(g, k.mul_scalar(out, 2.0))),)


def std(
    input: Tensor, dim: Any = None, correction: int = 1, keepdim: bool = False, *, unbiased: bool | None = None
) -> Tensor:
    """Standard deviation: the root of `var`; the gradient of equal numbers is 0 (`torch.std`)."""
    v = var(input, dim, correction, keepdim, unbiased=unbiased)
    k = v._backend
    out = Tensor(k.sqrt(v._array), k)
    return record(out, _std_bwd, (v,), out._array) if autograd.recording(v) else out


@fresh
def _extreme_bwd(node: Node, g: Array) -> tuple[Array]:
    """Ties share the gradient evenly, as in PyTorch's amax."""
    k, (x, out, axes) = node.backend, node.saved
    hit = k.cast(k.eq(x, _expanded(k, out, x.shape, axes)), str(g.dtype))
    count = k.sum(hit, axes, True)
    return (k.mul(hit, k.div(k.reshape(g, count.shape), count)),)


def _of_bytes(reduced: Any, x: Tensor, *arguments: Any) -> Any:
    """The largest or smallest of bools or uint8, which the kernels do not take: among int32."""
    found = reduced(x._cast(dtypes.int32), *arguments)
    return found._cast(x.dtype) if isinstance(found, Tensor) else ValuesIndices(found[0]._cast(x.dtype), found[1])


def _extreme(name: str, input: Tensor, dim: Axes, keepdim: bool) -> Tensor:
    x = _expect(input, name)
    if x.dtype in (dtypes.bool, dtypes.uint8):
        return cast(Tensor, _of_bytes(amax if name == "amax" else amin, x, dim, keepdim))
    axes = normalized_axes(dim, x.ndim, name)
    out = Tensor(getattr(x._backend, name)(x._array, axes, flag(keepdim, name, "keepdim")), x._backend)
    return record(out, _extreme_bwd, (x,), (x._array, out._array, axes)) if autograd.recording(x) else out


def amax(input: Tensor, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """Largest element over `dim`; ties share the gradient (`torch.amax`)."""
    return _extreme("amax", input, dim, keepdim)


def amin(input: Tensor, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """Smallest element over `dim`; ties share the gradient (`torch.amin`)."""
    return _extreme("amin", input, dim, keepdim)


def _arg(name: str, input: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    x = _expect(input, name)
    k = x._backend
    if dim is None:
        return Tensor(getattr(k, name)(k.reshape(x._array, (x._array.size,)), 0, False), k)
    if x.ndim == 0:
        normalized_axis(dim, 0, name)
        return Tensor(getattr(k, name)(k.reshape(x._array, (1,)), 0, False), k)
    return Tensor(getattr(k, name)(x._array, normalized_axis(dim, x.ndim, name), flag(keepdim, name, "keepdim")), k)


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Index of the largest element, the first of equals (`torch.argmax`)."""
    return _arg("argmax", input, dim, keepdim)


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Index of the smallest element, the first of equals (`torch.argmin`)."""
    return _arg("argmin", input, dim, keepdim)


class ValuesIndices(NamedTuple):
    """What max and min over one axis give."""

    values: Tensor
    indices: Tensor


@fresh
def chosen_bwd(node: Node, g: Array) -> tuple[Array]:
    """Gradients go to the elements that were chosen along an axis; indices have the axis, g may have lost it."""
    k, (indices, axis, size) = node.backend, node.saved
    return (k.chosen_bwd(k.reshape(g, indices.shape), indices, axis, size),)


def _extreme_with_index(name: str, input: Tensor, dim: int | None, keepdim: bool) -> Any:
    if dim is None:
        return _extreme("a" + name, input, None, False)
    x = _expect(input, name)
    if x.dtype in (dtypes.bool, dtypes.uint8):
        return _of_bytes(max if name == "max" else min, x, dim, keepdim)
    if x.ndim == 0:  # its only line is itself
        return ValuesIndices(amax(x, dim), _arg("arg" + name, x, dim, False))
    axis, keepdim = normalized_axis(dim, x.ndim, name), flag(keepdim, name, "keepdim")
    values = Tensor(getattr(x._backend, "a" + name)(x._array, (axis,), keepdim), x._backend)
    indices = _arg("arg" + name, x, axis, keepdim)
    if autograd.recording(x):
        kept = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
        record(values, chosen_bwd, (x,), (x._backend.reshape(indices._array, kept), axis, x.shape[axis]))
    return ValuesIndices(values, indices)


def max(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """Largest element; with `dim`, the named tuple (values, indices); with a tensor, `maximum` (`torch.max`)."""
    if isinstance(dim, Tensor):
        from .arithmetic import maximum

        return maximum(input, dim)
    return _extreme_with_index("max", input, dim, keepdim)


def min(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """Smallest element; with `dim`, the named tuple (values, indices); with a tensor, `minimum` (`torch.min`)."""
    if isinstance(dim, Tensor):
        from .arithmetic import minimum

        return minimum(input, dim)
    return _extreme_with_index("min", input, dim, keepdim)
