"""Triangles and diagonals of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Node, fresh, record, recording
from ..creation import tensor
from ..tensor import Tensor
from .arguments import expect_int, expect_tensor
from .reduction import normalized_axis, sum
from .shaping import movedim

Array = Any


@fresh
def _triangle_bwd(node: Node, g: Array) -> tuple[Array]:
    op, k = node.saved
    return (getattr(node.backend, op)(g, k),)


def _triangle(op: str, input: Tensor, diagonal: int) -> Tensor:
    x = expect_tensor(input, op)
    k = expect_int(diagonal, op, "diagonal")
    if x.ndim < 2:
        raise ValueError(f"[{op}] expected input with at least 2 dimensions, got shape {x.shape}")
    out = Tensor(getattr(x._backend, op)(x._array, k), x._backend)
    return record(out, _triangle_bwd, (x,), (op, k)) if recording(x) else out


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangles of (*, n, m), zeros above diagonal `diagonal` (`torch.tril`).

    Raises:
        ValueError: for an input of less than 2 dimensions.

    >>> import fastdl
    >>> fastdl.tril(fastdl.ones(2, 2)).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    return _triangle("tril", input, diagonal)


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangles of (*, n, m), zeros below diagonal `diagonal` (`torch.triu`)."""
    return _triangle("triu", input, diagonal)


@fresh
def _diagonal_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.diagonal_bwd(g, *node.saved),)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of two axes as a last axis, copied; `offset` above the main one (`torch.diagonal`).

    Raises:
        ValueError: for one axis given twice, or an offset outside the matrix.

    >>> import fastdl
    >>> fastdl.diagonal(fastdl.arange(9).reshape(3, 3), 1).tolist()
    [1, 5]
    """
    x = expect_tensor(input, "diagonal")
    k = expect_int(offset, "diagonal", "offset")
    a, b = normalized_axis(dim1, x.ndim, "diagonal"), normalized_axis(dim2, x.ndim, "diagonal")
    if a == b:
        raise ValueError(f"[diagonal] expected two different axes, got {dim1} and {dim2}")
    n, m = x.shape[a], x.shape[b]
    k = max(-n, min(k, m))  # further out there is nothing either
    out = Tensor(x._backend.diagonal(x._array, k, a, b), x._backend)
    out._origin = (x, "diagonal", (a, b, k))
    return record(out, _diagonal_bwd, (x,), (x.shape, k, a, b)) if recording(x) else out


_diagonal = diagonal


@fresh
def _diag_embed_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.diagonal(g, *node.saved),)


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Vectors (*, n) as diagonals of matrices of zeros (*, n + |offset|, n + |offset|) (`torch.diag_embed`).

    >>> import fastdl
    >>> fastdl.diag_embed(fastdl.tensor([1, 2])).tolist()
    [[1, 0], [0, 2]]
    """
    x = expect_tensor(input, "diag_embed")
    k = expect_int(offset, "diag_embed", "offset")
    m, last = x.shape[-1] + abs(k), x.ndim
    square = Tensor(x._backend.diagonal_bwd(x._array, (*x.shape[:-1], m, m), k, last - 1, last), x._backend)
    if recording(x):
        record(square, _diag_embed_bwd, (x,), (k, last - 1, last))
    return square if (dim1, dim2) == (-2, -1) else movedim(square, (-2, -1), (dim1, dim2))


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """A vector as the diagonal of a matrix, or the diagonal of a matrix (`torch.diag`).

    >>> import fastdl
    >>> fastdl.diag(fastdl.diag(fastdl.tensor([1, 2]))).tolist()
    [1, 2]
    """
    x = expect_tensor(input, "diag")
    if x.ndim not in (1, 2):
        raise ValueError(f"[diag] expected a vector or a matrix, got shape {x.shape}")
    return diag_embed(x, diagonal) if x.ndim == 1 else _diagonal(x, diagonal)


def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix (`torch.trace`)."""
    x = expect_tensor(input, "trace")
    if x.ndim != 2:
        raise ValueError(f"[trace] expected a matrix, got shape {x.shape}")
    return sum(diagonal(x))


def _indices(first: np.ndarray, last: np.ndarray, dtype: object, device: object) -> Tensor:
    """Coordinates of the columns from `first` to before `last` of each row."""
    counts = np.maximum(last - first, 0)
    before = np.cumsum(counts) - counts
    places = np.empty((2, counts.sum()), np.int64)
    places[0] = np.repeat(np.arange(len(counts)), counts)
    places[1] = np.arange(places.shape[1])
    places[1] -= np.repeat(before - first, counts)
    return tensor(places, dtype or "int64", device)


def tril_indices(row: int, col: int, offset: int = 0, dtype: object = None, device: object = None) -> Tensor:
    """Rows and columns of the lower triangle, (2, count) (`torch.tril_indices`).

    >>> import fastdl
    >>> fastdl.tril_indices(2, 2).tolist()
    [[0, 1, 1], [0, 0, 1]]
    """
    return _indices(np.zeros(row, np.int64), np.clip(np.arange(row) + offset + 1, 0, col), dtype, device)


def triu_indices(row: int, col: int, offset: int = 0, dtype: object = None, device: object = None) -> Tensor:
    """Rows and columns of the upper triangle, (2, count) (`torch.triu_indices`)."""
    return _indices(np.clip(np.arange(row) + offset, 0, col), np.full(row, col), dtype, device)
