"""Rows of a table by their numbers: embedding, and embedding_bag, which sums them over bags."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Node, fresh, record, recording
from ..row_grad import RowGrad
from ..tensor import Tensor
from .arguments import expect_beside, expect_int, expect_number, expect_tensor, flag

Array = Any


def _padding_row(padding_idx: Any, rows: int, op: str) -> int:
    """The padding row from 0 on; -1 for none."""
    if padding_idx is None:
        return -1
    row = expect_int(padding_idx, op, "padding_idx")
    if not -rows <= row < rows:
        raise ValueError(f"[{op}] expected padding_idx within the {rows} rows of weight, got {row}")
    return row % rows


def _table(weight: Any, index: Tensor, op: str) -> Tensor:
    w = expect_beside(weight, index, op, "weight")
    if w.ndim != 2:
        raise ValueError(f"[{op}] expected weight with 2 dimensions, got shape {w.shape}")
    return w


def _renorm(w: Tensor, index: Array, max_norm: Any, norm_type: Any, op: str) -> None:
    """Rows that are looked up are scaled down to `max_norm`, in place."""
    if max_norm is None:
        return
    expect_number(max_norm, op, "max_norm")
    expect_number(norm_type, op, "norm_type")
    w._backend.embedding_renorm_(w._array, index, float(max_norm), float(norm_type))


@fresh
def _embedding_bwd(node: Node, g: Array) -> tuple[Any]:
    k, (index, shape, padding, by_frequency, sparse) = node.backend, node.saved
    if sparse:
        rows, values = k.embedding_bwd_rows(g, index, shape[0], padding, by_frequency)
        return (RowGrad(rows, values, shape, k),)
    return (k.embedding_bwd(g, index, shape[0], padding, by_frequency),)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of `weight` by their numbers (`torch.nn.functional.embedding`).

    Shapes: input of any shape (*), int32 or int64; weight (V, D); output (*, D). The row `padding_idx` gets no
    gradient. With `max_norm`, rows that are looked up and whose `norm_type` norm is larger are first scaled down to it,
    in place. `scale_grad_by_freq` divides the gradient of a row by the number of its lookups. With `sparse` the
    gradient is a `RowGrad`: of the rows that were looked up only.

    Raises:
        TypeError: for arguments that are not Tensors, or an input of another dtype.
        IndexError: for a number outside [0, V).
        ValueError: for a weight without two dimensions, or padding_idx outside it.

    >>> import fastdl
    >>> embedding(fastdl.tensor([2, 0]), fastdl.arange(6.0).reshape(3, 2)).tolist()
    [[4.0, 5.0], [0.0, 1.0]]
    """
    op = "embedding"
    x = expect_tensor(input, op)
    w = _table(weight, x, op)
    padding, k = _padding_row(padding_idx, w.shape[0], op), x._backend
    by_frequency = flag(scale_grad_by_freq, op, "scale_grad_by_freq")
    rows_only = flag(sparse, op, "sparse")
    _renorm(w, x._array, max_norm, norm_type, op)
    out = Tensor(k.embedding(w._array, x._array), k)
    if recording(w):
        record(out, _embedding_bwd, (w,), (x._array, w.shape, padding, by_frequency, rows_only))
    return out


# ---- bags ------------------------------------------------------------------------------------------------------------


@fresh
def _embedding_bag_bwd(node: Node, g: Array) -> list[Any]:
    k = node.backend
    table, index, offsets, weights, maxima, mode, padding, by_frequency, sparse = node.saved
    grads: list[Any] = [None] * len(node.edges)
    if node.needs(0):
        options = (g, index, offsets, weights, maxima, table.shape[0], mode, padding, by_frequency)
        if sparse:
            rows, values = k.embedding_bag_bwd_rows(*options)
            grads[0] = RowGrad(rows, values, table.shape, k)
        else:
            grads[0] = k.embedding_bag_bwd(*options)
    if weights is not None and node.needs(1):
        grads[1] = k.embedding_bag_bwd_weights(g, table, index, offsets, padding)
    return grads


def _offsets(input: Tensor, offsets: Any, include_last_offset: bool, op: str) -> Array:
    """Where each bag begins, and where the last one ends."""
    k = input._backend
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError(f"[{op}] expected no offsets for input with 2 dimensions, got some")
        bags, size = input.shape
        return k.from_numpy(np.arange(bags + 1, dtype=np.int64) * size, False)
    if input.ndim != 1:
        raise ValueError(f"[{op}] expected input with 1 or 2 dimensions, got shape {input.shape}")
    starts = expect_beside(offsets, input, op, "offsets")
    if starts.dtype.name not in ("int32", "int64"):
        raise TypeError(f"[{op}] expected offsets of dtype int32 or int64, got {starts.dtype.name}")
    if starts.ndim != 1:
        raise ValueError(f"[{op}] expected offsets with 1 dimension, got shape {starts.shape}")
    array = starts.long()._array
    if include_last_offset:
        return array
    end = k.empty((1,), "int64")
    k.fill_(end, input.shape[0])
    return k.concat([array, end], 0)


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Sum, mean or maximum over bags of rows of `weight` (`torch.nn.functional.embedding_bag`).

    Shapes: weight (V, D), output (B, D); input either (B, N): B bags of N rows each, or (N,) with offsets (B,): bag b
    begins at offsets[b] and ends where the next begins, the last one at the end of the input, or with
    `include_last_offset` at the last of B + 1 offsets. `per_sample_weights`, of the shape of the input, multiply the
    rows (mode "sum"). Empty bags give 0. Rows `padding_idx` count nothing, also in the number that a mean divides by.
    Other options are those of `embedding`.

    Raises:
        TypeError: for arguments that are not Tensors, or wrong dtypes.
        IndexError: for a number outside [0, V).
        ValueError: for shapes or offsets that do not fit, an unknown mode, or weights with another mode than "sum".
        NotImplementedError: for mode "max" with `sparse` or `scale_grad_by_freq`.

    >>> import fastdl
    >>> table = fastdl.arange(6.0).reshape(3, 2)
    >>> embedding_bag(fastdl.tensor([0, 2, 1]), table, fastdl.tensor([0, 2]), mode="sum").tolist()
    [[4.0, 6.0], [2.0, 3.0]]
    """
    op = "embedding_bag"
    x = expect_tensor(input, op)
    w = _table(weight, x, op)
    padding, k = _padding_row(padding_idx, w.shape[0], op), x._backend
    by_frequency = flag(scale_grad_by_freq, op, "scale_grad_by_freq")
    rows_only = flag(sparse, op, "sparse")
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"[{op}] expected mode sum, mean or max, got {mode}")
    if mode == "max" and (rows_only or by_frequency):
        raise NotImplementedError(f"[{op}] expected mode sum or mean with sparse or scale_grad_by_freq, got max")
    ends = _offsets(x, offsets, flag(include_last_offset, op, "include_last_offset"), op)
    per_row = None if per_sample_weights is None else expect_beside(per_sample_weights, x, op, "per_sample_weights")
    if per_row is not None and per_row.shape != x.shape:
        raise ValueError(f"[{op}] expected per_sample_weights of shape {x.shape}, got shape {per_row.shape}")
    index = k.reshape(x._array, (x.numel(),))
    _renorm(w, index, max_norm, norm_type, op)
    flat = None if per_row is None else per_row.reshape(-1)
    weights = None if flat is None else flat._array
    array, maxima = k.embedding_bag(w._array, index, ends, weights, mode, padding)
    out = Tensor(array, k)
    inputs = (w,) if flat is None else (w, flat)
    if recording(*inputs):
        saved = (w._array, index, ends, weights, maxima, mode, padding, by_frequency, rows_only)
        record(out, _embedding_bag_bwd, inputs, saved)
    return out
