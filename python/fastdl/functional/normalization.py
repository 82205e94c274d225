"""Normalisation: batch_norm."""

from __future__ import annotations

import math
from typing import Any

from ..autograd import Node, fresh, record, recording
from ..tensor import Tensor
from .arguments import expect_beside, expect_number, expect_tensor, flag

Array = Any


def _optional(value: Tensor | None, x: Tensor, op: str, name: str) -> Tensor | None:
    return None if value is None else expect_beside(value, x, op, name)


def _array(t: Tensor | None) -> Array | None:
    return None if t is None else t._array


def _parameters(weight: Tensor | None, bias: Tensor | None) -> tuple[Tensor, ...]:
    return tuple(t for t in (weight, bias) if t is not None)


def _parameter_grads(node: Node, grads: tuple[Array, ...], given: tuple[bool, ...]) -> list[Array | None]:
    """The gradients of the inputs that there are, those of input 0 first."""
    wanted = [grads[0], *(g for g, is_given in zip(grads[1:], given, strict=True) if is_given)]
    return [g if node.needs(i) else None for i, g in enumerate(wanted)]


# ---- batch normalisation ---------------------------------------------------------------------------------------------


@fresh
def _batch_norm_bwd(node: Node, g: Array) -> list[Array | None]:
    k, (x, weight, mean, rstd, train, given, shape) = node.backend, node.saved
    grads = k.batch_norm_bwd(k.reshape(g, x.shape), x, weight, mean, rstd, train, node.needs(0))
    grad_x = None if grads[0] is None else k.reshape(grads[0], shape)
    return _parameter_grads(node, (grad_x, *grads[1:]), given)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel less its mean, over its standard deviation (`torch.nn.functional.batch_norm`; Ioffe and Szegedy,
    2015): (x - mean) / sqrt(var + eps) * weight + bias.

    Shapes: input (N, C) or (N, C, *), the others (C,) or None. In training, mean and variance are those of the batch,
    and the running ones, where given, move towards them in place by the share `momentum` (the running variance towards
    the unbiased one). Otherwise the running ones are used.

    Raises:
        TypeError: for arguments that are not Tensors, or dtypes that differ or are not float32 or float64.
        ValueError: for shapes that do not fit, one value per channel in training, or no statistics outside training.

    >>> import fastdl
    >>> x = fastdl.tensor([[1.0, 10.0], [3.0, 30.0]])
    >>> batch_norm(x, None, None, training=True, eps=0.0).tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    """
    op = "batch_norm"
    x = expect_tensor(input, op)
    w, b = _optional(weight, x, op, "weight"), _optional(bias, x, op, "bias")
    means, variances = _optional(running_mean, x, op, "running_mean"), _optional(running_var, x, op, "running_var")
    train = flag(training, op, "training")
    expect_number(momentum, op, "momentum")
    expect_number(eps, op, "eps")
    if x.ndim < 2:
        raise ValueError(f"[{op}] expected input with at least 2 dimensions, got shape {x.shape}")
    size = math.prod(x.shape[2:])
    if train and x.shape[0] * size == 1:
        raise ValueError(f"[{op}] expected more than 1 value per channel in training, got shape {x.shape}")
    k = x._backend
    rows = k.reshape(x._array, (x.shape[0], x.shape[1], size))
    out, mean, rstd = k.batch_norm(
        rows, _array(w), _array(b), _array(means), _array(variances), train, float(momentum), float(eps)
    )
    result = Tensor(k.reshape(out, x.shape), k)
    if recording(x, w, b):
        given = (w is not None, b is not None)
        record(result, _batch_norm_bwd, (x, *_parameters(w, b)), (rows, _array(w), mean, rstd, train, given, x.shape))
    return result
