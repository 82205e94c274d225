"""Activations of one input with up to two numbers, and their gradients from the input.

The formulas are those of `torch.nn.functional`; each activation is a pair
(value, derivative) of functions of (x, a, b).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .checks import expect, expect_float, expect_same_dtype, expect_shape, quiet

Array = np.ndarray
Formula = Callable[[Array, float, float], Array]

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
erf_of = np.vectorize(math.erf, otypes=[np.float64])


def sigmoid_of(x: Array) -> Array:
    return np.exp(-np.logaddexp(0, -x))


def softplus_of(x: Array) -> Array:
    return np.logaddexp(0, x)


def _normal_cdf(x: Array) -> Array:
    return 0.5 * (1 + erf_of(x / math.sqrt(2)))


def _gelu_slope(x: Array, a: float, b: float) -> Array:
    return _normal_cdf(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def _inner(x: Array) -> Array:
    return math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)


def _gelu_tanh_slope(x: Array, a: float, b: float) -> Array:
    u = _inner(x)
    return 0.5 * (1 + np.tanh(u)) + 0.5 * x / np.cosh(u) ** 2 * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)


def _silu_slope(x: Array, a: float, b: float) -> Array:
    s = sigmoid_of(x)
    return s * (1 + x * (1 - s))


def _relu6(x: Array) -> Array:
    return np.clip(x, 0, 6)


def _inside(x: Array, a: float, b: float) -> Array:
    return np.where((x <= a) | (x >= b), 0.0, 1.0)


def _elu(x: Array, a: float) -> Array:
    return np.where(x > 0, x, a * np.expm1(x))


def _elu_slope(x: Array, a: float) -> Array:
    return np.where(x > 0, 1.0, a * np.exp(x))


def _mish(x: Array, a: float, b: float) -> Array:
    return x * np.tanh(softplus_of(x))


def _mish_slope(x: Array, a: float, b: float) -> Array:
    t = np.tanh(softplus_of(x))
    return t + x * (1 - t * t) * sigmoid_of(x)


def _within(x: Array, a: float) -> Array:
    return (x >= -a) & (x <= a)


_FORMULAS: dict[str, tuple[Formula, Formula]] = {
    "leaky_relu": (lambda x, a, b: np.where(x > 0, x, a * x), lambda x, a, b: np.where(x > 0, 1.0, a)),
    "elu": (lambda x, a, b: _elu(x, a), lambda x, a, b: _elu_slope(x, a)),
    "selu": (
        lambda x, a, b: _SELU_SCALE * _elu(x, _SELU_ALPHA),
        lambda x, a, b: _SELU_SCALE * _elu_slope(x, _SELU_ALPHA),
    ),
    "softplus": (
        lambda x, a, b: np.where(a * x > b, x, softplus_of(a * x) / a),
        lambda x, a, b: np.where(a * x > b, 1.0, sigmoid_of(a * x)),
    ),
    "logsigmoid": (lambda x, a, b: -softplus_of(-x), lambda x, a, b: sigmoid_of(-x)),
    "gelu": (lambda x, a, b: x * _normal_cdf(x), _gelu_slope),
    "gelu_tanh": (lambda x, a, b: 0.5 * x * (1 + np.tanh(_inner(x))), _gelu_tanh_slope),
    "silu": (lambda x, a, b: x * sigmoid_of(x), _silu_slope),
    "hardtanh": (
        lambda x, a, b: np.minimum(np.maximum(x, a), b),
        lambda x, a, b: _inside(x, a, b),
    ),
    "hardsigmoid": (lambda x, a, b: _relu6(x + 3) / 6, lambda x, a, b: np.where((x > -3) & (x < 3), 1 / 6, 0.0)),
    "hardswish": (
        lambda x, a, b: x * _relu6(x + 3) / 6,
        lambda x, a, b: np.where(x <= -3, 0.0, np.where(x < 3, x / 3 + 0.5, 1.0)),
    ),
    "celu": (
        lambda x, a, b: np.where(x > 0, x, a * np.expm1(x / a)),
        lambda x, a, b: np.where(x > 0, 1.0, np.exp(x / a)),
    ),
    "mish": (_mish, _mish_slope),
    "softsign": (lambda x, a, b: x / (1 + np.abs(x)), lambda x, a, b: 1 / (1 + np.abs(x)) ** 2),
    "tanhshrink": (lambda x, a, b: x - np.tanh(x), lambda x, a, b: np.tanh(x) ** 2),
    "softshrink": (
        lambda x, a, b: np.where(x > a, x - a, np.where(x < -a, x + a, x * 0)),
        lambda x, a, b: np.where(_within(x, a), 0.0, 1.0),
    ),
    "hardshrink": (
        lambda x, a, b: np.where(_within(x, a), 0.0, x),
        lambda x, a, b: np.where(_within(x, a), 0.0, 1.0),
    ),
    "threshold": (lambda x, a, b: np.where(x <= a, b, x), lambda x, a, b: np.where(x <= a, 0.0, 1.0)),
}


def _check(x: Array, name: str) -> None:
    expect(name in _FORMULAS, ValueError, "activation", "the name of an activation", name)
    expect_float(name, "input", x)


def activation(x: Array, name: str, a: float, b: float) -> Array:
    _check(x, name)
    with quiet():
        return np.asarray(_FORMULAS[name][0](x, a, b), dtype=x.dtype)


def activation_(x: Array, name: str, a: float, b: float) -> None:
    x[...] = activation(x, name, a, b)


def activation_bwd(grad: Array, x: Array, name: str, a: float, b: float) -> Array:
    _check(x, name)
    expect_same_dtype(name, "grad", grad, x.dtype)
    expect_shape(name, "grad", grad, x.shape)
    with quiet():
        return np.asarray(grad * _FORMULAS[name][1](x, a, b), dtype=x.dtype)


def _halves(x: Array, axis: int) -> list[Array]:
    expect_float("glu", "input", x)
    expect(0 <= axis < x.ndim, IndexError, "glu", f"an axis from 0 to {x.ndim - 1}", axis)
    expect(x.shape[axis] % 2 == 0, ValueError, "glu", f"an even number of elements along axis {axis}",
           f"shape {x.shape}")  # fmt: skip
    return np.split(x, 2, axis)


def glu(x: Array, axis: int) -> Array:
    a, b = _halves(x, axis)
    with quiet():
        return np.asarray(a * sigmoid_of(b), dtype=x.dtype)


def glu_bwd(grad: Array, x: Array, axis: int) -> Array:
    a, b = _halves(x, axis)
    expect_same_dtype("glu", "grad", grad, x.dtype)
    expect_shape("glu", "grad", grad, a.shape)
    with quiet():
        s = sigmoid_of(b)
        return np.concatenate([grad * s, grad * a * s * (1 - s)], axis).astype(x.dtype)
