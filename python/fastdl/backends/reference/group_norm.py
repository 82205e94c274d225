"""Group normalisation: x (N, C, S), each group of neighbouring channels of an image by its own mean and variance."""

from __future__ import annotations

import numpy as np

from .checks import expect, expect_array, expect_float, expect_ndim, expect_same_dtype, expect_shape, quiet

Array = np.ndarray


def _check_vector(op: str, what: str, a: Array | None, x: Array, n: int) -> None:
    if a is not None:
        expect_same_dtype(op, what, a, x.dtype)
        expect_shape(op, what, a, (n,))


def _check_groups(op: str, groups: int, x: Array) -> None:
    divides = groups >= 1 and x.shape[1] % groups == 0
    text = "num_groups that divides the number of channels"
    expect(divides, ValueError, op, text, f"{groups} for {x.shape[1]} channels")


def group_norm(
    x: Array, weight: Array | None, bias: Array | None, groups: int, eps: float
) -> tuple[Array, Array, Array]:
    op = "group_norm"
    expect_array(op, "input", x)
    expect_ndim(op, "input", x, 3)
    expect_float(op, "input", x)
    _check_groups(op, groups, x)
    _check_vector(op, "weight", weight, x, x.shape[1])
    _check_vector(op, "bias", bias, x, x.shape[1])
    rows = x.reshape(len(x) * groups, x.shape[1] // groups * x.shape[2])
    if x.size == 0:
        return x.copy(), np.zeros(len(rows), x.dtype), np.zeros(len(rows), x.dtype)
    with quiet():
        mean = rows.mean(1)
        rstd = (1 / np.sqrt(rows.var(1) + x.dtype.type(eps))).astype(x.dtype)
        out = ((rows - mean[:, None]) * rstd[:, None]).reshape(x.shape)
        if weight is not None:
            out = out * weight[:, None]
        if bias is not None:
            out = out + bias[:, None]
    return out, mean, rstd


def group_norm_bwd(
    grad: Array, x: Array, weight: Array | None, mean: Array, rstd: Array, groups: int, needs_x: bool
) -> tuple[Array | None, Array, Array]:
    op = "group_norm_bwd"
    expect_array(op, "grad", grad)
    expect_ndim(op, "grad", grad, 3)
    expect_float(op, "grad", grad)
    expect_same_dtype(op, "input", x, grad.dtype)
    expect_shape(op, "input", x, grad.shape)
    _check_groups(op, groups, x)
    _check_vector(op, "weight", weight, x, x.shape[1])
    _check_vector(op, "mean", mean, x, len(x) * groups)
    _check_vector(op, "rstd", rstd, x, len(x) * groups)
    as_rows = (len(x) * groups, x.shape[1] // groups * x.shape[2])
    with quiet():
        xhat = (x.reshape(as_rows) - mean[:, None]) * rstd[:, None]
        grad_x = None
        if needs_x and x.size:
            h = (grad if weight is None else grad * weight[:, None]).reshape(as_rows)
            centred = h - h.mean(1, keepdims=True) - xhat * (h * xhat).mean(1, keepdims=True)
            grad_x = (rstd[:, None] * centred).reshape(x.shape)
        elif needs_x:
            grad_x = x.copy()
        grad_weight = (grad * xhat.reshape(x.shape)).sum((0, 2))
    return grad_x, grad_weight, grad.sum((0, 2))
