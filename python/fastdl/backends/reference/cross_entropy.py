"""Cross-entropy of logits against class indices: x (N, C, S), target (N, S).

    w = weight[target] (1 without weights), lse = log(sum over classes of exp(x_c)), s = label_smoothing
    loss = (1 - s) * w * (lse - x_target) + s / C * sum over classes of weight_c * (lse - x_c)

Rows whose target is ignore_index give 0 and no gradient. "mean" divides by the sum of w over the rows that count.
"""

from __future__ import annotations

import numpy as np

from .checks import expect, expect_float, expect_ndim, expect_same_dtype, expect_shape, number, quiet

Array = np.ndarray


def _check(op: str, x: Array, target: Array, weight: Array | None, label_smoothing: float, reduction: str) -> None:
    expect(reduction in ("none", "mean", "sum"), ValueError, op, "reduction none, mean or sum", reduction)
    expect_float(op, "input", x)
    expect_ndim(op, "input", x, 3)
    batch, classes, inner = x.shape
    expect_same_dtype(op, "target", target, np.dtype(np.int64))
    expect_shape(op, "target", target, (batch, inner))
    if weight is not None:
        expect_same_dtype(op, "weight", weight, x.dtype)
        expect_shape(op, "weight", weight, (classes,))
    smooth = 0 <= label_smoothing <= 1
    expect(smooth, ValueError, op, "label_smoothing between 0 and 1", number(label_smoothing))


def _check_targets(op: str, target: Array, classes: int, ignore_index: int) -> None:
    bad = np.flatnonzero((target != ignore_index) & ((target < 0) | (target >= classes)))
    if bad.size:
        expected = f"class indices in [0, {classes}) or ignore_index"
        expect(False, IndexError, op, expected, f"{target.flat[bad[0]]} at position {bad[0]}")


def _parts(x: Array, target: Array, weight: Array | None, ignore_index: int) -> tuple[Array, Array, Array, Array]:
    """Which rows count (N, S), the class of each (N, S), class weights (C,) and the weight of each row (N, S)."""
    counts = target != ignore_index
    chosen = np.where(counts, target, 0)
    weights = np.ones(x.shape[1], x.dtype) if weight is None else weight
    if x.shape[1] == 0:
        return counts, chosen, weights, np.zeros(target.shape, x.dtype)
    return counts, chosen, weights, np.where(counts, weights[chosen], x.dtype.type(0))


def cross_entropy(
    x: Array, target: Array, weight: Array | None, ignore_index: int, label_smoothing: float, reduction: str
) -> tuple[Array, Array, Array]:
    """(loss, lse (N, S), total_weight ()): the last two are for the gradient."""
    _check("cross_entropy", x, target, weight, label_smoothing, reduction)
    _check_targets("cross_entropy", target, x.shape[1], ignore_index)
    counts, chosen, weights, w = _parts(x, target, weight, ignore_index)
    dtype = x.dtype.type
    with quiet():
        top = x.max(axis=1) if x.shape[1] else np.full(target.shape, -np.inf, x.dtype)
        lse = top + np.log(np.exp(x - top[:, None]).sum(axis=1))
        if x.shape[1] == 0:
            loss = np.zeros(target.shape, x.dtype)
        else:
            loss = w * (lse - np.take_along_axis(x, chosen[:, None], 1)[:, 0])
            if label_smoothing:
                smooth = np.einsum("c,ncs->ns", weights, lse[:, None] - x)
                loss = dtype(1 - label_smoothing) * loss + dtype(label_smoothing / x.shape[1]) * smooth
        loss = np.where(counts, loss, dtype(0))
        total = np.asarray(w.sum(), dtype=x.dtype)
        if reduction == "mean":
            loss = loss.sum() / total
        elif reduction == "sum":
            loss = loss.sum()
    return np.asarray(loss, dtype=x.dtype), lse, total


def cross_entropy_bwd(
    grad: Array, x: Array, target: Array, weight: Array | None, lse: Array, total_weight: Array, ignore_index: int,
    label_smoothing: float, reduction: str,
) -> Array:  # fmt: skip
    """With p = exp(x - lse), the gradient of a row by x_c is

    (1 - s) * w * (p_c - [c = target]) + s / C * (p_c * sum of weights - weight_c)
    """
    op = "cross_entropy_bwd"
    _check(op, x, target, weight, label_smoothing, reduction)
    expect_same_dtype(op, "grad", grad, x.dtype)
    expect_shape(op, "grad", grad, target.shape if reduction == "none" else ())
    expect_same_dtype(op, "lse", lse, x.dtype)
    expect_shape(op, "lse", lse, target.shape)
    expect_same_dtype(op, "total_weight", total_weight, x.dtype)
    expect_shape(op, "total_weight", total_weight, ())
    _check_targets(op, target, x.shape[1], ignore_index)
    if x.size == 0:
        return np.zeros_like(x)
    counts, chosen, weights, w = _parts(x, target, weight, ignore_index)
    dtype = x.dtype.type
    with quiet():
        p = np.exp(x - lse[:, None])
        hit = np.arange(x.shape[1])[:, None] == chosen[:, None]
        out = dtype(1 - label_smoothing) * w[:, None] * (p - hit)
        if label_smoothing:
            out = out + dtype(label_smoothing / x.shape[1]) * (p * weights.sum() - weights[:, None])
        scale = grad / total_weight if reduction == "mean" else grad
        out = np.where(counts[:, None], out * (scale[:, None] if reduction == "none" else scale), dtype(0))
    return np.asarray(out, dtype=x.dtype)
