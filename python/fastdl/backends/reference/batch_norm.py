"""Batch normalisation: each channel of x (N, C, S) by the mean and variance of its N * S numbers, or by given ones."""

from __future__ import annotations

import numpy as np

from .checks import expect, expect_float, expect_ndim, expect_same_dtype, expect_shape, quiet

Array = np.ndarray


def _check_channels(op: str, what: str, a: Array | None, x: Array) -> None:
    """One number a channel, or None."""
    if a is not None:
        expect_same_dtype(op, what, a, x.dtype)
        expect_shape(op, what, a, (x.shape[1],))


def _rows(a: Array) -> Array:
    """(C,) as it broadcasts with (N, C, S)."""
    return a[:, None]


def batch_norm(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    running_mean: Array | None,
    running_var: Array | None,
    train: bool,
    momentum: float,
    eps: float,
) -> tuple[Array, Array, Array]:
    op = "batch_norm"
    expect_float(op, "input", x) if x.ndim == 3 else expect_ndim(op, "input", x, 3)
    given = {"weight": weight, "bias": bias, "running_mean": running_mean, "running_var": running_var}
    for what, a in given.items():
        _check_channels(op, what, a, x)
    count = x.shape[0] * x.shape[2]
    if train:
        several = x.size == 0 or count > 1
        expect(several, ValueError, op, "more than 1 value per channel in training", f"shape {x.shape}")
    else:
        expect(
            running_mean is not None and running_var is not None,
            ValueError, op, "running_mean and running_var outside training", None,
        )  # fmt: skip
    with quiet():
        if running_mean is not None and running_var is not None and not train:
            mean, rstd = running_mean.copy(), (1 / np.sqrt(running_var + x.dtype.type(eps))).astype(x.dtype)
        elif count == 0:
            mean = rstd = np.zeros(x.shape[1], x.dtype)
        else:
            mean, var = x.mean((0, 2)), x.var((0, 2))
            rstd = (1 / np.sqrt(var + x.dtype.type(eps))).astype(x.dtype)
            if running_mean is not None:
                running_mean[:] = (1 - momentum) * running_mean + momentum * mean
            if running_var is not None:
                running_var[:] = (1 - momentum) * running_var + momentum * var * count / (count - 1)
        out = (x - _rows(mean)) * _rows(rstd)
        if weight is not None:
            out = out * _rows(weight)
        if bias is not None:
            out = out + _rows(bias)
    return out, mean, rstd


def batch_norm_bwd(
    grad: Array, x: Array, weight: Array | None, mean: Array, rstd: Array, train: bool, needs_x: bool
) -> tuple[Array | None, Array, Array]:
    op = "batch_norm_bwd"
    expect_float(op, "grad", grad) if grad.ndim == 3 else expect_ndim(op, "grad", grad, 3)
    expect_same_dtype(op, "input", x, grad.dtype)
    expect_shape(op, "input", x, grad.shape)
    for what, a in {"weight": weight, "mean": mean, "rstd": rstd}.items():
        _check_channels(op, what, a, x)
    with quiet():
        xhat = (x - _rows(mean)) * _rows(rstd)
        grad_weight, grad_bias = (grad * xhat).sum((0, 2)), grad.sum((0, 2))
        if not needs_x:
            return None, grad_weight, grad_bias
        inner = grad
        if train and x.size:
            count = x.dtype.type(x.shape[0] * x.shape[2])
            inner = grad - _rows(grad_bias / count) - xhat * _rows(grad_weight / count)
        scale = rstd if weight is None else rstd * weight
        return inner * _rows(scale), grad_weight, grad_bias
