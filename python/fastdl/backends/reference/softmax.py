"""softmax and log_softmax over one axis, and their gradients from the output."""

from __future__ import annotations

import numpy as np

from .checks import expect, expect_float, expect_same_dtype, expect_shape, quiet

Array = np.ndarray


def _check(op: str, what: str, x: Array, axis: int) -> None:
    expect_float(op, what, x)
    expect(0 <= axis < x.ndim, IndexError, op, f"an axis in [0, {x.ndim})", axis)


def _check_bwd(op: str, grad: Array, out: Array, axis: int) -> None:
    _check(op, "grad", grad, axis)
    expect_same_dtype(op, "out", out, grad.dtype)
    expect_shape(op, "out", out, grad.shape)


def _shifted(x: Array, axis: int) -> Array:
    """x minus its maximum along the axis, so that no exponential overflows."""
    return x - x.max(axis=axis, keepdims=True) if x.size else x.copy()


def softmax(x: Array, axis: int) -> Array:
    _check("softmax", "input", x, axis)
    with quiet():
        e = np.exp(_shifted(x, axis))
        return e / e.sum(axis=axis, keepdims=True)


def log_softmax(x: Array, axis: int) -> Array:
    _check("log_softmax", "input", x, axis)
    with quiet():
        shifted = _shifted(x, axis)
        return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def softmax_bwd(grad: Array, out: Array, axis: int) -> Array:
    _check_bwd("softmax_bwd", grad, out, axis)
    with quiet():
        return out * (grad - (grad * out).sum(axis=axis, keepdims=True))


def log_softmax_bwd(grad: Array, out: Array, axis: int) -> Array:
    _check_bwd("log_softmax_bwd", grad, out, axis)
    with quiet():
        return grad - np.exp(out) * grad.sum(axis=axis, keepdims=True)
