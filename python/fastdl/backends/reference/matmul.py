"""Products of matrices, and the activations that can be fused behind a product."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .activation import activation as _activation
from .checks import expect, expect_float, expect_ndim, expect_same_dtype, expect_shape, quiet
from .elementwise_unary import relu, sigmoid, tanh

Array = np.ndarray

_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "none": lambda x: x,
    "relu": relu,
    "relu6": lambda x: _activation(x, "hardtanh", 0.0, 6.0),
    "sigmoid": sigmoid,
    "tanh": tanh,
    "silu": lambda x: _activation(x, "silu", 0.0, 0.0),
    "hardsigmoid": lambda x: _activation(x, "hardsigmoid", 0.0, 0.0),
    "hardswish": lambda x: _activation(x, "hardswish", 0.0, 0.0),
}


def check_activation(op: str, activation: str) -> None:
    *names, last = _ACTIVATIONS
    expect(activation in _ACTIVATIONS, ValueError, op, f"activation {', '.join(names)} or {last}", activation)


def activate(x: Array, activation: str) -> Array:
    return _ACTIVATIONS[activation](x)


def matmul(a: Array, b: Array, trans_a: bool, trans_b: bool) -> Array:
    """op(a) op(b) over broadcast leading axes; op swaps the last two axes where asked."""
    expect_float("matmul", "a", a)
    expect_same_dtype("matmul", "b", b, a.dtype)
    expect(a.ndim >= 2, ValueError, "matmul", "a with at least 2 dimensions", f"shape {a.shape}")
    expect(b.ndim >= 2, ValueError, "matmul", "b with at least 2 dimensions", f"shape {b.shape}")
    left = a.swapaxes(-1, -2) if trans_a else a
    right = b.swapaxes(-1, -2) if trans_b else b
    shapes = f"shapes {a.shape} and {b.shape}"
    expected = f"equal inner sizes (trans_a={bool(trans_a)}, trans_b={bool(trans_b)})"
    expect(left.shape[-1] == right.shape[-2], ValueError, "matmul", expected, shapes)
    leading = zip(a.shape[-3::-1], b.shape[-3::-1], strict=False)
    broadcast = all(n == m or 1 in (n, m) for n, m in leading)
    expect(broadcast, ValueError, "matmul", "leading axes that broadcast", shapes)
    with quiet():
        return np.asarray(np.matmul(left, right), order="C")


def linear(x: Array, weight: Array, bias: Array | None, activation: str) -> Array:
    """activation(x @ weight.T + bias): x (..., in), weight (out, in), bias (out,)."""
    expect_float("linear", "x", x)
    expect_same_dtype("linear", "weight", weight, x.dtype)
    expect(x.ndim >= 1, ValueError, "linear", "x with at least 1 dimension", f"shape {x.shape}")
    expect_ndim("linear", "weight", weight, 2)
    expected = f"weight of shape (out, {x.shape[-1]})"
    expect(weight.shape[1] == x.shape[-1], ValueError, "linear", expected, f"shape {weight.shape}")
    if bias is not None:
        expect_same_dtype("linear", "bias", bias, x.dtype)
        expect_shape("linear", "bias", bias, (weight.shape[0],))
    check_activation("linear", activation)
    with quiet():
        out = np.asarray(x @ weight.T)
        return activate(out if bias is None else out + bias, activation)
