"""Running sums, products, extremes and logarithms: each element becomes what all up to it along an axis come to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import dtypes
from ..autograd import Node, fresh, record, recording
from ..tensor import Tensor
from .arguments import expect_tensor
from .reduction import ValuesIndices, normalized_axis

Array = Any


def summable(input: Any, op: str, dtype: Any) -> Tensor:
    """The input in the dtype that its sums and products have: the one asked for, else int64 of integers and bools."""
    x = expect_tensor(input, op)
    if dtype is not None:
        x = x._cast(dtypes.as_dtype(dtype, op))
    if x.dtype.is_floating_point or (dtype is not None and x.dtype is dtypes.int32):
        return x
    return x._cast(dtypes.int64)


def _line(x: Tensor, dim: int, op: str) -> tuple[Array, int]:
    """The array and its axis; a scalar is a line of one element."""
    axis = normalized_axis(dim, x.ndim, op)
    return (x._array if x.ndim else x._backend.reshape(x._array, (1,))), axis


def _shaped(array: Array, x: Tensor) -> Tensor:
    return Tensor(array if x.ndim else x._backend.reshape(array, ()), x._backend)


def _of_line(k: Any, g: Array, rule: Callable[[Array], Array]) -> tuple[Array]:
    """The gradient that `rule` finds for a line, also of a scalar."""
    return (rule(g) if g.ndim else k.reshape(rule(k.reshape(g, (1,))), ()),)


@fresh
def _cumsum_bwd(node: Node, g: Array) -> tuple[Array]:
    k, axis = node.backend, node.saved
    return _of_line(k, g, lambda g: k.cumsum(g, axis, True))


@fresh
def _cumprod_bwd(node: Node, g: Array) -> tuple[Array]:
    k, saved = node.backend, node.saved
    return _of_line(k, g, lambda g: k.cumprod_bwd(g, *saved))


@fresh
def _logcumsumexp_bwd(node: Node, g: Array) -> tuple[Array]:
    k, saved = node.backend, node.saved
    return _of_line(k, g, lambda g: k.logcumsumexp_bwd(g, *saved))


@fresh
def _cumextreme_bwd(node: Node, g: Array) -> tuple[Array]:
    k, saved = node.backend, node.saved
    return _of_line(k, g, lambda g: k.cumextreme_bwd(g, *saved))


def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The sum of all elements up to each along `dim` (`torch.cumsum`), of the input's shape.

    Args:
        input: any shape; integers and bools add up as int64.
        dim: the axis.
        dtype: to add up in, and of the result.

    Raises:
        TypeError: for an input that is not a Tensor, or a `dim` that is not an int.
        IndexError: for a `dim` out of range.

    >>> import fastdl
    >>> fastdl.cumsum(fastdl.tensor([[1.0, 2.0, 3.0]]), 1).tolist()
    [[1.0, 3.0, 6.0]]
    """
    x = summable(input, "cumsum", dtype)
    line, axis = _line(x, dim, "cumsum")
    out = _shaped(x._backend.cumsum(line, axis, False), x)
    return record(out, _cumsum_bwd, (x,), axis) if recording(x) else out


def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The product of all elements up to each along `dim` (`torch.cumprod`), of the input's shape. The gradient is right
    for zeros too.

    Args:
        input: any shape; integers and bools multiply as int64, and wrap around.
        dim: the axis.
        dtype: to multiply in, and of the result.

    Raises:
        TypeError: for an input that is not a Tensor, or a `dim` that is not an int.
        IndexError: for a `dim` out of range.

    >>> import fastdl
    >>> fastdl.cumprod(fastdl.tensor([1.0, 2.0, 3.0]), 0).tolist()
    [1.0, 2.0, 6.0]
    """
    x = summable(input, "cumprod", dtype)
    line, axis = _line(x, dim, "cumprod")
    found = x._backend.cumprod(line, axis)
    out = _shaped(found, x)
    return record(out, _cumprod_bwd, (x,), (line, found, axis)) if recording(x) else out


def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """log of the sum of e^x of all elements up to each along `dim`, without overflow (`torch.logcumsumexp`), of the
    input's shape.

    Args:
        input: any shape; integers and bools as float32. After an infinity the result is infinite, after NaN it is NaN.
        dim: the axis.

    Raises:
        TypeError: for an input that is not a Tensor, or a `dim` that is not an int.
        IndexError: for a `dim` out of range.

    >>> import fastdl
    >>> [round(v, 3) for v in fastdl.logcumsumexp(fastdl.tensor([1000.0, 1000.0]), 0).tolist()]
    [1000.0, 1000.693]
    """
    x = expect_tensor(input, "logcumsumexp")
    x = x if x.dtype.is_floating_point else x._cast(dtypes.float32)
    line, axis = _line(x, dim, "logcumsumexp")
    found = x._backend.logcumsumexp(line, axis)
    out = _shaped(found, x)
    return record(out, _logcumsumexp_bwd, (x,), (line, found, axis)) if recording(x) else out


def _extreme(op: str, input: Any, dim: int) -> ValuesIndices:
    x = expect_tensor(input, op)
    if x.dtype in (dtypes.bool, dtypes.uint8):  # which the kernels do not take
        found = _extreme(op, x._cast(dtypes.int32), dim)
        return ValuesIndices(found.values._cast(x.dtype), found.indices)
    line, axis = _line(x, dim, op)
    values, places = getattr(x._backend, op)(line, axis)
    out = _shaped(values, x)
    if recording(x):
        record(out, _cumextreme_bwd, (x,), (places, axis))
    return ValuesIndices(out, _shaped(places, x))


def cummax(input: Tensor, dim: int) -> ValuesIndices:
    """The largest element up to each along `dim`, and where it is (`torch.cummax`): values and int64 indices of the
    input's shape.

    Of equal elements the last is meant; NaN is larger than all numbers, as in PyTorch. The gradient of a value goes to
    the element that it is.

    Args:
        input: any shape and dtype.
        dim: the axis.

    Raises:
        TypeError: for an input that is not a Tensor, or a `dim` that is not an int.
        IndexError: for a `dim` out of range.

    >>> import fastdl
    >>> [t.tolist() for t in fastdl.cummax(fastdl.tensor([1, 3, 2]), 0)]
    [[1, 3, 3], [0, 1, 1]]
    """
    return _extreme("cummax", input, dim)


def cummin(input: Tensor, dim: int) -> ValuesIndices:
    """The smallest element up to each along `dim`, and where it is (`torch.cummin`): as `cummax`, with NaN smaller than
    all numbers.

    >>> import fastdl
    >>> [t.tolist() for t in fastdl.cummin(fastdl.tensor([2, 3, 1]), 0)]
    [[2, 2, 1], [0, 0, 2]]
    """
    return _extreme("cummin", input, dim)
