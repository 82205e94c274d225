"""Activations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import functional as F
from ...functional import arithmetic, comparison, elementary
from ...functional.activation import gelu as _gelu
from ...functional.indexing import scatter
from ...functional.layout import reshape, unsqueeze
from ...functional.reduction import argmax
from ...tensor import Tensor
from .registry import Value, axis_of, fits, host, operator

SELU_ALPHA, SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875

for _name, _function in {
    "Sigmoid": F.sigmoid, "Tanh": F.tanh, "Softsign": F.softsign, "Softplus": F.softplus, "Erf": elementary.erf,
    "Mish": F.mish, "HardSwish": F.hardswish,
}.items():  # fmt: skip

    def _compute(node: Any, x: Value, function: Any = _function) -> Value:
        return function(node.tensor(x))

    operator(_name)(_compute)


@operator("Relu")
def relu(node: Any, x: Value) -> Value:
    if not fits(x) or (t := node.tensor(x)).dtype.numpy.kind != "f":
        return np.maximum(host(x), 0)
    return F.relu(t)


@operator("LeakyRelu")
def leaky_relu(node: Any, x: Value) -> Value:
    return F.leaky_relu(node.tensor(x), node.get("alpha", 0.01))


@operator("ThresholdedRelu")
def thresholded_relu(node: Any, x: Value) -> Value:
    return F.threshold(node.tensor(x), node.get("alpha", 1.0), 0.0)


@operator("PRelu")
def prelu(node: Any, x: Value, slope: Value) -> Value:
    if not fits(x):
        return np.where(host(x) > 0, host(x), host(x) * host(slope))
    t, s = node.tensors(x, slope)
    return comparison.where(comparison.gt(t, 0), t, arithmetic.mul(t, s))


@operator("Elu")
def elu(node: Any, x: Value) -> Value:
    return F.elu(node.tensor(x), node.get("alpha", 1.0))


@operator("Selu")
def selu(node: Any, x: Value) -> Value:
    alpha, gamma = node.get("alpha", SELU_ALPHA), node.get("gamma", SELU_GAMMA)
    return arithmetic.mul(F.elu(node.tensor(x), alpha), gamma)


@operator("Celu")
def celu(node: Any, x: Value) -> Value:
    return F.celu(node.tensor(x), node.get("alpha", 1.0))


@operator("HardSigmoid")
def hard_sigmoid(node: Any, x: Value) -> Value:
    return hard_sigmoid_of(node.tensor(x), node.get("alpha", 0.2), node.get("beta", 0.5))


def hard_sigmoid_of(x: Tensor, alpha: float, beta: float) -> Tensor:
    if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and beta == 0.5:
        return F.hardsigmoid(x)
    return comparison.clamp(arithmetic.add(arithmetic.mul(x, alpha), beta), 0.0, 1.0)


@operator("Gelu")
def gelu(node: Any, x: Value) -> Value:
    return _gelu(node.tensor(x), node.get("approximate", "none"))


@operator("Swish")
def swish(node: Any, x: Value) -> Value:
    t, alpha = node.tensor(x), node.get("alpha", 1.0)
    return F.silu(t) if alpha == 1 else arithmetic.mul(t, F.sigmoid(arithmetic.mul(t, alpha)))


@operator("Shrink")
def shrink(node: Any, x: Value) -> Value:
    if not fits(x) or (t := node.tensor(x)).dtype.numpy.kind != "f":
        return _shrink_whole(host(x), node.get("lambd", 0.5), node.get("bias", 0.0))
    limit, bias = node.get("lambd", 0.5), node.get("bias", 0.0)
    low, high = arithmetic.add(t, bias), arithmetic.sub(t, bias)
    inner = comparison.where(comparison.gt(t, limit), high, arithmetic.mul(t, 0.0))
    return comparison.where(comparison.lt(t, -limit), low, inner)


def _shrink_whole(x: np.ndarray, limit: float, bias: float) -> np.ndarray:
    return np.where(x < -limit, x + bias, np.where(x > limit, x - bias, 0)).astype(x.dtype)


# ---- over an axis ----------------------------------------------------------------------------------------------------


def _over_axis(node: Any, x: Value, function: Any) -> Value:
    """Before opset 13 all axes from the given one on count as one."""
    t = node.tensor(x)
    if node.opset >= 13:
        return function(t, axis_of(node.get("axis", -1), t.ndim))
    axis = axis_of(node.get("axis", 1), t.ndim)
    flat = reshape(t, (math.prod(t.shape[:axis]), math.prod(t.shape[axis:])))
    return reshape(function(flat, 1), t.shape)


@operator("Softmax")
def softmax(node: Any, x: Value) -> Value:
    return _over_axis(node, x, F.softmax)


@operator("LogSoftmax")
def log_softmax(node: Any, x: Value) -> Value:
    return _over_axis(node, x, F.log_softmax)


def _one_hot(x: Tensor, axis: int) -> Tensor:
    return scatter(arithmetic.mul(x, 0.0), axis, unsqueeze(argmax(x, axis), axis), 1.0)


@operator("Hardmax")
def hardmax(node: Any, x: Value) -> Value:
    return _over_axis(node, x, _one_hot)
