"""Rows of a table by their numbers, and the sums of gradients that go back to these rows."""

from __future__ import annotations

import numpy as np

from .checks import expect, expect_array, expect_float, expect_ndim, expect_same_dtype, expect_shape, number

Array = np.ndarray
_MOST = 2**32


def _check_index(op: str, index: Array, rows: int) -> None:
    expect(0 <= rows < _MOST, ValueError, op, "a table of fewer than 2^32 rows", rows)
    expect_array(op, "index", index)
    expect(index.dtype.name in ("int32", "int64"), TypeError, op, "index of dtype int32 or int64", index.dtype)


def _check_inside(op: str, index: Array, rows: int) -> None:
    flat = index.reshape(-1)
    outside = np.flatnonzero((flat < 0) | (flat >= rows))
    if outside.size:
        expect(False, IndexError, op, f"indices in [0, {rows})", f"{flat[outside[0]]} at position {outside[0]}")


def _check_weight(op: str, weight: Array) -> None:
    expect_float(op, "weight", weight)
    expect_ndim(op, "weight", weight, 2)


def embedding(weight: Array, index: Array) -> Array:
    _check_weight("embedding", weight)
    _check_index("embedding", index, len(weight))
    expect(index.ndim < 8, ValueError, "embedding", "index with at most 7 dimensions", f"shape {index.shape}")
    _check_inside("embedding", index, len(weight))
    return weight[index]


def _added(index: Array, addends: Array, rows: int, padding: int, by_frequency: bool) -> Array:
    """(rows, width): the sum of the addends of each row, in their order."""
    out = np.zeros((rows, addends.shape[1]), addends.dtype)
    np.add.at(out, index, addends)
    if by_frequency:
        counts = np.bincount(index, minlength=rows)
        out /= np.maximum(counts, 1)[:, None].astype(out.dtype)
    if 0 <= padding < rows:
        out[padding] = 0
    return out


def _touched(index: Array, gradient: Array, padding: int) -> tuple[Array, Array]:
    rows = np.unique(index).astype(np.int64)
    rows = rows[rows != padding]
    return rows, gradient[rows]


def _embedding_gradient(op: str, grad: Array, index: Array, rows: int, padding_idx: int, by_frequency: bool) -> Array:
    expect_float(op, "grad", grad)
    fits = grad.ndim == index.ndim + 1 and int(np.prod(grad.shape[: index.ndim])) == index.size
    expect(fits, ValueError, op, f"a row of grad for each index of shape {index.shape}", f"shape {grad.shape}")
    _check_index(op, index, rows)
    _check_inside(op, index, rows)
    return _added(index.reshape(-1), grad.reshape(index.size, grad.shape[-1]), rows, padding_idx, by_frequency)


def embedding_bwd(grad: Array, index: Array, rows: int, padding_idx: int, by_frequency: bool) -> Array:
    return _embedding_gradient("embedding_bwd", grad, index, rows, padding_idx, by_frequency)


def embedding_bwd_rows(
    grad: Array, index: Array, rows: int, padding_idx: int, by_frequency: bool
) -> tuple[Array, Array]:
    gradient = _embedding_gradient("embedding_bwd_rows", grad, index, rows, padding_idx, by_frequency)
    return _touched(index, gradient, padding_idx)


def embedding_renorm_(weight: Array, index: Array, max_norm: float, norm_type: float) -> None:
    op = "embedding_renorm_"
    _check_weight(op, weight)
    expect(max_norm >= 0, ValueError, op, "max_norm of at least 0", number(max_norm))
    expect(norm_type > 0, ValueError, op, "norm_type above 0", number(norm_type))
    _check_index(op, index, len(weight))
    _check_inside(op, index, len(weight))
    for row in np.unique(index):
        norm = np.linalg.norm(weight[row], norm_type)
        if norm > max_norm:
            weight[row] *= max_norm / (norm + 1e-7)


# ---- bags ------------------------------------------------------------------------------------------------------------


def _check_bags(op: str, index: Array, offsets: Array, weights: Array | None, dtype: np.dtype, mode: str) -> None:
    expect_ndim(op, "index", index, 1)
    expect_same_dtype(op, "offsets", offsets, np.dtype(np.int64))
    expect_ndim(op, "offsets", offsets, 1)
    expect(offsets.size >= 1, ValueError, op, "offsets with an end", "none")
    expect(offsets[0] == 0, ValueError, op, "offsets that begin with 0", offsets[0])
    for b in range(1, offsets.size):
        ascending = offsets[b - 1] <= offsets[b] <= index.size
        expect(ascending, ValueError, op, f"ascending offsets up to {index.size}", f"{offsets[b]} at position {b}")
    expect(mode in ("sum", "mean", "max"), ValueError, op, "mode sum, mean or max", mode)
    if weights is not None:
        expect(mode == "sum", ValueError, op, "mode sum with weights", mode)
        expect_same_dtype(op, "weights", weights, dtype)
        expect_shape(op, "weights", weights, index.shape)


def _check_bag_grad(op: str, grad: Array, offsets: Array) -> None:
    expect_float(op, "grad", grad)
    expect_ndim(op, "grad", grad, 2)
    bags = offsets.size - 1
    expect(grad.shape[0] == bags, ValueError, op, f"grad with {bags} rows", f"shape {grad.shape}")


def embedding_bag(
    weight: Array, index: Array, offsets: Array, weights: Array | None, mode: str, padding_idx: int
) -> tuple[Array, Array | None]:
    op = "embedding_bag"
    _check_weight(op, weight)
    _check_index(op, index, len(weight))
    _check_bags(op, index, offsets, weights, weight.dtype, mode)
    _check_inside(op, index, len(weight))
    out = np.zeros((offsets.size - 1, weight.shape[1]), weight.dtype)
    maxima = np.full(out.shape, -1, np.int64)
    for b in range(len(out)):
        places = np.arange(offsets[b], offsets[b + 1])
        places = places[index[places] != padding_idx]
        rows = weight[index[places]]
        if mode == "max" and len(rows):
            first = rows.argmax(0)
            out[b], maxima[b] = rows.max(0), index[places][first]
        elif len(rows):
            scale = weights[places, None] if weights is not None else 1
            out[b] = (rows * scale).sum(0) / (len(rows) if mode == "mean" else 1)
    return out, maxima if mode == "max" else None


def _bag_gradient(
    op: str, grad: Array, index: Array, offsets: Array, weights: Array | None, maxima: Array | None, rows: int,
    mode: str, padding_idx: int, by_frequency: bool,
) -> Array:  # fmt: skip
    _check_bags(op, index, offsets, weights, grad.dtype, mode)
    _check_bag_grad(op, grad, offsets)
    all_rows = not op.endswith("rows")
    possible = mode != "max" or (all_rows and not by_frequency)
    expect(possible, NotImplementedError, op, "mode sum or mean for touched rows and division by frequency", mode)
    expect((mode == "max") == (maxima is not None), ValueError, op, "maxima with mode max only", mode)
    if maxima is not None:
        expect_same_dtype(op, "maxima", maxima, np.dtype(np.int64))
        expect_shape(op, "maxima", maxima, grad.shape)
    _check_index(op, index, rows)
    _check_inside(op, index, rows)
    if maxima is not None:
        outside = np.flatnonzero((maxima < -1) | (maxima >= rows))
        if outside.size:
            expect(False, IndexError, op, f"maxima in [-1, {rows})", f"one outside at position {outside[0]}")
        out = np.zeros((rows, grad.shape[1]), grad.dtype)
        bags, columns = np.nonzero(maxima >= 0)
        np.add.at(out, (maxima[bags, columns], columns), grad[bags, columns])
        return out
    sizes = np.diff(offsets)
    used = index[: offsets[-1]]
    bag = np.repeat(np.arange(len(sizes)), sizes)
    addends = grad[bag]
    if mode == "mean":
        counts = np.bincount(bag[used != padding_idx], minlength=len(sizes))
        addends = addends / np.maximum(counts, 1)[bag, None].astype(grad.dtype)
    elif weights is not None:
        addends = addends * weights[: len(used), None]
    return _added(used, addends, rows, padding_idx, by_frequency)


def embedding_bag_bwd(
    grad: Array, index: Array, offsets: Array, weights: Array | None, maxima: Array | None, rows: int, mode: str,
    padding_idx: int, by_frequency: bool,
) -> Array:  # fmt: skip
    return _bag_gradient(
        "embedding_bag_bwd", grad, index, offsets, weights, maxima, rows, mode, padding_idx, by_frequency
    )


def embedding_bag_bwd_rows(
    grad: Array, index: Array, offsets: Array, weights: Array | None, maxima: Array | None, rows: int, mode: str,
    padding_idx: int, by_frequency: bool,
) -> tuple[Array, Array]:  # fmt: skip
    op = "embedding_bag_bwd_rows"
    gradient = _bag_gradient(op, grad, index, offsets, weights, maxima, rows, mode, padding_idx, by_frequency)
    return _touched(index[: offsets[-1]], gradient, padding_idx)


def embedding_bag_bwd_weights(grad: Array, weight: Array, index: Array, offsets: Array, padding_idx: int) -> Array:
    op = "embedding_bag_bwd_weights"
    _check_weight(op, weight)
    _check_bags(op, index, offsets, None, weight.dtype, "sum")
    _check_bag_grad(op, grad, offsets)
    expect_same_dtype(op, "grad", grad, weight.dtype)
    columns = weight.shape[1]
    expect(grad.shape[1] == columns, ValueError, op, f"grad with {columns} columns", f"shape {grad.shape}")
    _check_index(op, index, len(weight))
    _check_inside(op, index, len(weight))
    out = np.zeros(index.shape, weight.dtype)
    bag = np.repeat(np.arange(offsets.size - 1), np.diff(offsets))
    out[: len(bag)] = (grad[bag] * weight[index[: len(bag)]]).sum(1)
    out[index == padding_idx] = 0
    return out
