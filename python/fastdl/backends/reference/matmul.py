"""Products of matrices, and the activations that can be fused behind a product."""

from __future__ import annotations

import numpy as np

from .checks import expect, expect_float, expect_same_dtype, expect_shape
from .elementwise import _check_broadcast, relu, sigmoid, tanh

Array = np.ndarray

_ACTIVATIONS = {"none": lambda x: x, "relu": relu, "sigmoid": sigmoid, "tanh": tanh}


def check_activation(op: str, activation: str) -> None:
    expect(activation in _ACTIVATIONS, ValueError, op, "activation none, relu, sigmoid or tanh", activation)


def activate(x: Array, activation: str) -> Array:
    return _ACTIVATIONS[activation](x)


def matmul(a: Array, b: Array, trans_a: bool, trans_b: bool) -> Array:
    """op(a) op(b) over broadcast leading axes; op swaps the last two axes where asked."""
    expect_float("matmul", "input", a)
    expect_same_dtype("matmul", "other", b, a.dtype)
    expect(a.ndim >= 2, ValueError, "matmul", "input with at least 2 dimensions", f"shape {a.shape}")
    expect(b.ndim >= 2, ValueError, "matmul", "other with at least 2 dimensions", f"shape {b.shape}")
    left = a.swapaxes(-1, -2) if trans_a else a
    right = b.swapaxes(-1, -2) if trans_b else b
    equal = left.shape[-1] == right.shape[-2]
    expect(equal, ValueError, "matmul", f"other with {left.shape[-1]} rows", right.shape[-2])
    _check_broadcast("matmul", a.shape[:-2], b.shape[:-2])
    with np.errstate(all="ignore"):
        return np.asarray(np.matmul(left, right), order="C")


def linear(x: Array, weight: Array, bias: Array | None, activation: str) -> Array:
    """activation(x @ weight.T + bias): x (..., in), weight (out, in), bias (out,)."""
    expect_float("linear", "input", x)
    expect_same_dtype("linear", "weight", weight, x.dtype)
    expect(weight.ndim == 2, ValueError, "linear", "weight with 2 dimensions", f"shape {weight.shape}")
    expect(x.ndim >= 1, ValueError, "linear", "input with at least 1 dimension", f"shape {x.shape}")
    features = weight.shape[1]
    expect(x.shape[-1] == features, ValueError, "linear", f"input of {features} features", f"shape {x.shape}")
    if bias is not None:
        expect_same_dtype("linear", "bias", bias, x.dtype)
        expect_shape("linear", "bias", bias, (weight.shape[0],))
    check_activation("linear", activation)
    with np.errstate(all="ignore"):
        out = np.asarray(x @ weight.T)
        return activate(out if bias is None else out + bias, activation)
