"""Distances between all rows of two sets, and their gradient for the first set."""

from __future__ import annotations

import math

import numpy as np

from .checks import expect, expect_float, expect_ndim, expect_same_dtype, expect_shape, number, quiet

Array = np.ndarray
_METRICS = ("euclidean", "manhattan", "chebyshev", "minkowski", "canberra", "hamming")


def _check(op: str, x: Array, y: Array, metric: str, p: float) -> float:
    """The power of the metric, where it is one of Minkowski's."""
    expect_float(op, "x", x)
    expect_same_dtype(op, "y", y, x.dtype)
    expect_ndim(op, "x", x, 3)
    expect_ndim(op, "y", y, 3)
    expected = f"y of shape ({x.shape[0]}, rows, {x.shape[2]})"
    expect(y.shape[0] == x.shape[0] and y.shape[2] == x.shape[2], ValueError, op, expected, f"shape {y.shape}")
    expected = "metric euclidean, manhattan, chebyshev, minkowski, canberra or hamming"
    expect(metric in _METRICS, ValueError, op, expected, metric)
    expect(metric != "minkowski" or 0 < p < math.inf, ValueError, op, "a finite p above 0", number(p))
    return {"euclidean": 2.0, "manhattan": 1.0}.get(metric, p)


def _differences(x: Array, y: Array) -> Array:
    """(batch, rows of x, rows of y, width)"""
    return x[:, :, None, :] - y[:, None, :, :]


def _sizes(x: Array, y: Array) -> Array:
    return np.abs(x)[:, :, None, :] + np.abs(y)[:, None, :, :]


def cdist(x: Array, y: Array, metric: str, p: float) -> Array:
    p = _check("cdist", x, y, metric, p)
    with quiet():
        d = _differences(x, y)
        if metric == "chebyshev":
            return np.abs(d).max(-1, initial=0)
        if metric == "hamming":
            return (d != 0).sum(-1).astype(x.dtype)
        if metric == "canberra":
            sizes = _sizes(x, y)
            return np.where(sizes == 0, 0, np.abs(d) / sizes).sum(-1, dtype=x.dtype)
        return ((np.abs(d) ** p).sum(-1) ** (1 / p)).astype(x.dtype)


def cdist_bwd(grad: Array, out: Array, x: Array, y: Array, metric: str, p: float, transposed: bool) -> Array:
    """The gradient of x; distances of 0 have none. Of Chebyshev's, to all columns that reach the maximum. `transposed`:
    grad and out are (batch, rows of y, rows of x)."""
    op = "cdist_bwd"
    p = _check(op, x, y, metric, p)
    rows = (y.shape[1], x.shape[1]) if transposed else (x.shape[1], y.shape[1])
    shape = (x.shape[0], *rows)
    for what, a in (("grad", grad), ("out", out)):
        expect_same_dtype(op, what, a, x.dtype)
        expect_shape(op, what, a, shape)
    if metric == "hamming":
        return np.zeros_like(x)
    if transposed:
        grad, out = grad.swapaxes(1, 2), out.swapaxes(1, 2)
    with quiet():
        d, g, distance = _differences(x, y), grad[..., None], out[..., None]
        if metric == "chebyshev":
            each = np.sign(d) * (np.abs(d) == distance) * g
        elif metric == "canberra":
            sizes = _sizes(x, y)
            slope = np.sign(d) / sizes - np.abs(d) * np.sign(x)[:, :, None, :] / sizes**2
            each = np.where(sizes == 0, 0, slope * g)
        else:
            slope = np.where(d == 0, 0, np.sign(d) * np.abs(d) ** (p - 1))
            each = slope * np.where(distance == 0, 0, g * distance ** (1 - p))
        return each.sum(2).astype(x.dtype)
