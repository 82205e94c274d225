"""Normalisation over the batch, over the last axes, over groups of channels, and by neighbouring channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import Node, fresh, no_grad, record, recording
from ..tensor import Tensor
from .arguments import expect_beside, expect_int, expect_number, expect_tensor, flag, shown
from .arithmetic import add, mul
from .elementary import rsqrt, square
from .reduction import mean

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


# ---- layer normalisation ---------------------------------------------------------------------------------------------


@fresh
def _layer_norm_bwd(node: Node, g: Array) -> list[Array | None]:
    k, (rows, weight, mean, rstd, given, shape) = node.backend, node.saved
    parameters = any(node.needs(i) for i in range(1, len(node.edges)))
    grads = k.layer_norm_bwd(k.reshape(g, rows.shape), rows, weight, mean, rstd, node.needs(0), parameters)
    shaped = tuple(
        None if a is None else k.reshape(a, s) for a, s in zip(grads, (shape[0], shape[1], shape[1]), strict=True)
    )
    return _parameter_grads(node, shaped, given)


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias over the last axes (`torch.nn.functional.layer_norm`; Ba, Kiros and
    Hinton, 2016).

    Shapes: input (*, *normalized_shape), weight and bias of `normalized_shape` or None. The variance divides by the
    number of elements.

    Raises:
        TypeError: for arguments that are not Tensors, or dtypes that differ or are not float32 or float64.
        ValueError: for an input that does not end in `normalized_shape`, or parameters of another shape.

    >>> import fastdl
    >>> layer_norm(fastdl.tensor([[1.0, 3.0], [10.0, 30.0]]), (2,), eps=0.0).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """
    op = "layer_norm"
    x = expect_tensor(input, op)
    w, b = _optional(weight, x, op, "weight"), _optional(bias, x, op, "bias")
    if not (isinstance(normalized_shape, tuple | list) and all(isinstance(n, int) for n in normalized_shape)):
        raise TypeError(f"[{op}] expected a tuple of ints for normalized_shape, got {shown(normalized_shape)}")
    inner = tuple(normalized_shape)
    expect_number(eps, op, "eps")
    if not inner:
        raise ValueError(f"[{op}] expected normalized_shape of at least 1 dimension, got ()")
    if x.shape[max(x.ndim - len(inner), 0) :] != inner:
        raise ValueError(f"[{op}] expected input that ends in shape {inner}, got shape {x.shape}")
    for name, parameter in (("weight", w), ("bias", b)):
        if parameter is not None and parameter.shape != inner:
            raise ValueError(f"[{op}] expected {name} of shape {inner}, got shape {parameter.shape}")
    k, n = x._backend, math.prod(inner)
    rows = k.reshape(x._array, (math.prod(x.shape[: x.ndim - len(inner)]), n))
    flat = [None if p is None else k.reshape(p._array, (n,)) for p in (w, b)]
    out, mean, rstd = k.layer_norm(rows, *flat, float(eps))
    result = Tensor(k.reshape(out, x.shape), k)
    if recording(x, w, b):
        given = (w is not None, b is not None)
        record(result, _layer_norm_bwd, (x, *_parameters(w, b)), (rows, flat[0], mean, rstd, given, (x.shape, inner)))
    return result


# ---- group and instance normalisation --------------------------------------------------------------------------------


@fresh
def _group_norm_bwd(node: Node, g: Array) -> list[Array | None]:
    k, (x, weight, mean, rstd, groups, given, shape) = node.backend, node.saved
    grads = k.group_norm_bwd(k.reshape(g, x.shape), x, weight, mean, rstd, groups, node.needs(0))
    grad_x = None if grads[0] is None else k.reshape(grads[0], shape)
    return _parameter_grads(node, (grad_x, *grads[1:]), given)


def _grouped(
    x: Tensor, groups: int, w: Tensor | None, b: Tensor | None, eps: float
) -> tuple[Tensor, tuple[Array, Array]]:
    """The result, and mean and 1 / sqrt(var + eps) of each group of each image."""
    k = x._backend
    rows = k.reshape(x._array, (x.shape[0], x.shape[1], math.prod(x.shape[2:])))
    out, mean, rstd = k.group_norm(rows, _array(w), _array(b), groups, float(eps))
    result = Tensor(k.reshape(out, x.shape), k)
    if recording(x, w, b):
        given = (w is not None, b is not None)
        record(result, _group_norm_bwd, (x, *_parameters(w, b)), (rows, _array(w), mean, rstd, groups, given, x.shape))
    return result, (mean, rstd)


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Each group of neighbouring channels of an image less its mean, over its standard deviation
    (`torch.nn.functional.group_norm`; Wu and He, 2018): (x - mean) / sqrt(var + eps) * weight + bias.

    Shapes: input (N, C, *) with C a multiple of `num_groups`, weight and bias (C,) or None. The variance divides by the
    number of elements.

    Raises:
        TypeError: for arguments that are not Tensors, or dtypes that differ or are not float32 or float64.
        ValueError: for groups that do not divide the channels, one value per group in all, or parameters of another
            shape.

    >>> import fastdl
    >>> group_norm(fastdl.tensor([[1.0, 3.0, 10.0, 30.0]]).reshape(1, 4, 1), 2, eps=0.0).flatten().tolist()
    [-1.0, 1.0, -1.0, 1.0]
    """
    op = "group_norm"
    x = expect_tensor(input, op)
    groups = expect_int(num_groups, op, "num_groups")
    w, b = _optional(weight, x, op, "weight"), _optional(bias, x, op, "bias")
    expect_number(eps, op, "eps")
    if x.ndim < 2:
        raise ValueError(f"[{op}] expected input with at least 2 dimensions, got shape {x.shape}")
    if groups and x.numel() == groups:
        raise ValueError(f"[{op}] expected more than 1 value per group, got shape {x.shape} for {groups} groups")
    return _grouped(x, groups, w, b, eps)[0]


def _move(running: Tensor | None, values: Tensor, momentum: float) -> None:
    """The running statistics move towards the mean over the images."""
    if running is not None:
        running.mul_(1 - momentum).add_(values.mean(0) * momentum)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel of an image less its mean, over its standard deviation (`torch.nn.functional.instance_norm`;
    Ulyanov, Vedaldi and Lempitsky, 2016): (x - mean) / sqrt(var + eps) * weight + bias.

    Shapes: input (N, C, *) with at least 3 dimensions, the others (C,) or None. With `use_input_stats`, mean and
    variance are those of the channel, and the running ones, where given, move in place towards their means over the
    images by the share `momentum` (the running variance towards the unbiased one). Otherwise the running ones are used.

    Raises:
        TypeError: for arguments that are not Tensors, or dtypes that differ or are not float32 or float64.
        ValueError: for shapes that do not fit, one value per channel, or no statistics at all.

    >>> import fastdl
    >>> instance_norm(fastdl.tensor([[[1.0, 3.0], [10.0, 30.0]]]), eps=0.0).tolist()
    [[[-1.0, 1.0], [-1.0, 1.0]]]
    """
    op = "instance_norm"
    x = expect_tensor(input, op)
    w, b = _optional(weight, x, op, "weight"), _optional(bias, x, op, "bias")
    means, variances = _optional(running_mean, x, op, "running_mean"), _optional(running_var, x, op, "running_var")
    expect_number(momentum, op, "momentum")
    expect_number(eps, op, "eps")
    if x.ndim < 3:
        raise ValueError(f"[{op}] expected input with at least 3 dimensions, got shape {x.shape}")
    for name, values in (("running_mean", means), ("running_var", variances)):
        if values is not None and values.shape != (x.shape[1],):
            raise ValueError(f"[{op}] expected {name} of shape {(x.shape[1],)}, got shape {values.shape}")
    if not flag(use_input_stats, op, "use_input_stats"):
        if means is None or variances is None:
            raise ValueError(f"[{op}] expected running_mean and running_var without use_input_stats, got None")
        return batch_norm(x, means, variances, w, b, False, momentum, eps)
    n = math.prod(x.shape[2:])
    if n == 1:
        raise ValueError(f"[{op}] expected more than 1 value per channel, got shape {x.shape}")
    result, statistics = _grouped(x, max(x.shape[1], 1), w, b, eps)
    if x.numel() and (means is not None or variances is not None):
        with no_grad():
            mean, rstd = (Tensor(a, x._backend).reshape(x.shape[:2]) for a in statistics)
            _move(means, mean, momentum)
            _move(variances, (rstd**-2.0 - eps) * (n / (n - 1)), momentum)
    return result


# ---- local response normalisation ------------------------------------------------------------------------------------


@fresh
def _local_response_norm_bwd(node: Node, g: Array) -> tuple[Array]:
    k, (rows, options, shape) = node.backend, node.saved
    return (k.reshape(k.local_response_norm_bwd(k.reshape(g, rows.shape), rows, *options), shape),)


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x[c] / (k + alpha / size * sum of x[j]^2)^beta over the `size` channels j around c, from c - size // 2 on
    (`torch.nn.functional.local_response_norm`; Krizhevsky, Sutskever and Hinton, 2012).

    Shapes: input (N, C, *) with at least 3 dimensions. Channels before the first and after the last count as 0.

    Raises:
        TypeError: for an input that is not a Tensor of float32 or float64, or a `size` that is not an int.
        ValueError: for an input of less than 3 dimensions, or a `size` below 1.

    >>> import fastdl
    >>> local_response_norm(fastdl.ones(1, 2, 1), 2, alpha=2.0, beta=1.0)[0, :, 0].tolist()
    [0.5, 0.3333333432674408]
    """
    op = "local_response_norm"
    x = expect_tensor(input, op)
    size = expect_int(size, op, "size")
    for name, value in (("alpha", alpha), ("beta", beta), ("k", k)):
        expect_number(value, op, name)
    if x.ndim < 3:
        raise ValueError(f"[{op}] expected input with at least 3 dimensions, got shape {x.shape}")
    backend, options = x._backend, (size, float(alpha), float(beta), float(k))
    rows = backend.reshape(x._array, (x.shape[0], x.shape[1], math.prod(x.shape[2:])))
    out = Tensor(backend.reshape(backend.local_response_norm(rows, *options), x.shape), backend)
    return record(out, _local_response_norm_bwd, (x,), (rows, options, x.shape)) if recording(x) else out


# ---- root mean square ------------------------------------------------------------------------------------------------


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """x / sqrt(mean of x^2 + eps) * weight over the last axes (`torch.nn.functional.rms_norm`; Zhang and Sennrich,
    2019). `eps` is the dtype's by default.

    >>> import fastdl
    >>> rms_norm(fastdl.tensor([3.0, 3.0]), (2,), eps=0.0).tolist()
    [1.0, 1.0]
    """
    op = "rms_norm"
    x: Any = expect_tensor(input, op)
    if not (isinstance(normalized_shape, tuple | list) and all(isinstance(n, int) for n in normalized_shape)):
        raise TypeError(f"[{op}] expected a tuple of ints for normalized_shape, got {shown(normalized_shape)}")
    inner = tuple(normalized_shape)
    if not inner or x.shape[max(x.ndim - len(inner), 0) :] != inner:
        raise ValueError(f"[{op}] expected input that ends in shape {inner}, got shape {x.shape}")
    if not x.dtype.is_floating_point:
        raise TypeError(f"[{op}] expected input of dtype float32 or float64, got {x.dtype.name}")
    eps = float(np.finfo(x.dtype.numpy).eps) if eps is None else eps
    expect_number(eps, op, "eps")
    axes = tuple(range(x.ndim - len(inner), x.ndim))
    out = mul(x, rsqrt(add(mean(square(x), axes, True), eps)))
    return out if weight is None else mul(out, expect_tensor(weight, op, "weight"))
