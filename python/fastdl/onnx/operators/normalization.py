"""Normalisation."""

from __future__ import annotations

import math
from typing import Any

from ... import functional as F
from ...functional import arithmetic, elementary, layout, reduction
from ...functional.rearranging import flip
from ...tensor import Tensor
from .registry import Value, axis_of, operator


@operator("BatchNormalization")
def batch_normalization(node: Any, x: Value, scale: Value, bias: Value, mean: Value, var: Value) -> Value:
    if node.get("training_mode", 0) or not node.get("spatial", 1):
        raise NotImplementedError("expected training_mode=0 and spatial=1, got another")
    t, *parameters = node.tensors(x, scale, bias, mean, var)
    weight, shift, means, variances = parameters
    if t.ndim == 1:
        t = layout.unsqueeze(t, 1)
        return batch(t, means, variances, weight, shift, node.get("epsilon", 1e-5)).reshape(-1)
    return batch(t, means, variances, weight, shift, node.get("epsilon", 1e-5))


def batch(x: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    return F.batch_norm(x, mean, var, weight, bias, False, eps=eps)


@operator("InstanceNormalization")
def instance_normalization(node: Any, x: Value, scale: Value, bias: Value) -> Value:
    t, weight, shift = node.tensors(x, scale, bias)
    if math.prod(t.shape[2:]) == 1:  # fastdl, as PyTorch, refuses the variance of one number
        return arithmetic.add(arithmetic.mul(t, 0.0), layout.reshape(shift, (-1, *[1] * (t.ndim - 2))))
    return F.instance_norm(t, weight=weight, bias=shift, eps=node.get("epsilon", 1e-5))


@operator("GroupNormalization")
def group_normalization(node: Any, x: Value, scale: Value, bias: Value) -> Value:
    t, weight, shift = node.tensors(x, scale, bias)
    return F.group_norm(t, node.get("num_groups"), weight, shift, node.get("epsilon", 1e-5))


@operator("LayerNormalization")
def layer_normalization(node: Any, x: Value, scale: Value, bias: Value = None) -> Any:
    t, weight = node.tensors(x, scale)
    shift = None if bias is None else node.tensor(bias)
    eps, axis = node.get("epsilon", 1e-5), axis_of(node.get("axis", -1), t.ndim)
    inner = t.shape[axis:]
    whole = all(p is None or p.shape == inner for p in (weight, shift))
    out = F.layer_norm(t, inner, weight if whole else None, shift if whole else None, eps)
    if not whole:
        out = arithmetic.mul(out, weight)
        out = out if shift is None else arithmetic.add(out, shift)
    if len(node.outputs) == 1:
        return out
    axes = tuple(range(axis, t.ndim))
    mean = reduction.mean(t, axes, True)
    variance = reduction.mean(elementary.square(arithmetic.sub(t, mean)), axes, True)
    return out, mean, elementary.rsqrt(arithmetic.add(variance, eps))


@operator("RMSNormalization")
def rms_normalization(node: Any, x: Value, scale: Value) -> Value:
    t, weight = node.tensors(x, scale)
    axis = axis_of(node.get("axis", -1), t.ndim)
    return F.rms_norm(t, t.shape[axis:], weight, node.get("epsilon", 1e-5))


@operator("LRN")
def lrn(node: Any, x: Value) -> Value:
    """Windows of an even number of channels reach further to the end here, in fastdl to the beginning."""
    t, size = node.tensor(x), node.get("size")
    options = (size, node.get("alpha", 1e-4), node.get("beta", 0.75), node.get("bias", 1.0))
    if size % 2:
        return F.local_response_norm(t, *options)
    return flip(F.local_response_norm(flip(t, 1), *options), 1)


@operator("LpNormalization")
def lp_normalization(node: Any, x: Value) -> Value:
    t, axis = node.tensor(x), node.get("axis", -1)
    return F.normalize(t, float(node.get("p", 2)), axis, 1e-30)


@operator("MeanVarianceNormalization")
def mean_variance_normalization(node: Any, x: Value) -> Value:
    t, axes = node.tensor(x), tuple(node.get("axes", (0, 2, 3)))
    deviation = arithmetic.sub(t, reduction.mean(t, axes, True))
    variance = reduction.mean(elementary.square(deviation), axes, True)
    return arithmetic.div(deviation, arithmetic.add(elementary.sqrt(variance), 1e-9))
