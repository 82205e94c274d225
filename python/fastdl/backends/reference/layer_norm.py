"""Layer normalisation: each row of x (R, n) by its own mean and variance."""

from __future__ import annotations

import numpy as np

from .checks import expect_array, expect_float, expect_ndim, expect_same_dtype, expect_shape, quiet

Array = np.ndarray


def _check_vector(op: str, what: str, a: Array | None, x: Array, axis: int) -> None:
    if a is not None:
        expect_same_dtype(op, what, a, x.dtype)
        expect_shape(op, what, a, (x.shape[axis],))


def layer_norm(x: Array, weight: Array | None, bias: Array | None, eps: float) -> tuple[Array, Array, Array]:
    op = "layer_norm"
    expect_array(op, "input", x)
    expect_ndim(op, "input", x, 2)
    expect_float(op, "input", x)
    _check_vector(op, "weight", weight, x, 1)
    _check_vector(op, "bias", bias, x, 1)
    if x.shape[1] == 0:
        return x.copy(), np.zeros(len(x), x.dtype), np.zeros(len(x), x.dtype)
    with quiet():
        mean = x.mean(1)
        rstd = (1 / np.sqrt(x.var(1) + x.dtype.type(eps))).astype(x.dtype)
        out = (x - mean[:, None]) * rstd[:, None]
        if weight is not None:
            out = out * weight
        if bias is not None:
            out = out + bias
    return out, mean, rstd


def layer_norm_bwd(
    grad: Array, x: Array, weight: Array | None, mean: Array, rstd: Array, needs_x: bool, needs_parameters: bool
) -> tuple[Array | None, Array | None, Array | None]:
    op = "layer_norm_bwd"
    expect_array(op, "grad", grad)
    expect_ndim(op, "grad", grad, 2)
    expect_float(op, "grad", grad)
    expect_same_dtype(op, "input", x, grad.dtype)
    expect_shape(op, "input", x, grad.shape)
    _check_vector(op, "weight", weight, x, 1)
    _check_vector(op, "mean", mean, x, 0)
    _check_vector(op, "rstd", rstd, x, 0)
    grad_x = grad_weight = grad_bias = None
    with quiet():
        xhat = (x - mean[:, None]) * rstd[:, None]
        if needs_x:
            h = grad if weight is None else grad * weight
            grad_x = h.copy()
            if x.size:
                grad_x = rstd[:, None] * (h - h.mean(1, keepdims=True) - xhat * (h * xhat).mean(1, keepdims=True))
        if needs_parameters:
            grad_weight, grad_bias = (grad * xhat).sum(0), grad.sum(0)
    return grad_x, grad_weight, grad_bias
