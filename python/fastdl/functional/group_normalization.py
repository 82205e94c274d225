"""Normalisation within groups of channels, within each channel, and by the root mean square; on the kernels of
layer_norm and batch_norm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..tensor import Tensor
from .arguments import expect_int, expect_number, expect_tensor, shown
from .arithmetic import add, mul
from .elementary import rsqrt, square
from .layout import reshape
from .normalization import batch_norm, layer_norm
from .reduction import mean
from .shaping import repeat


def _scaled(x: Tensor, weight: Tensor | None, bias: Tensor | None, op: str) -> Tensor:
    """x (N, C, *) times weight plus bias, each (C,) or None."""
    shape = (1, -1) + (1,) * (x.ndim - 2)
    for name, parameter in (("weight", weight), ("bias", bias)):
        if parameter is not None and expect_tensor(parameter, op, name).shape != x.shape[1:2]:
            raise ValueError(f"[{op}] expected {name} of shape {x.shape[1:2]}, got shape {parameter.shape}")
    x = x if weight is None else mul(x, reshape(weight, shape))
    return x if bias is None else add(x, reshape(bias, shape))


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """(x - mean) / sqrt(var + eps) within each group of channels of each item, times weight plus bias
    (`torch.nn.functional.group_norm`; Wu and He, 2018).

    Shapes: input (N, C, *), weight and bias (C,) or None; C is a multiple of `num_groups`.

    >>> import fastdl
    >>> group_norm(fastdl.tensor([[1.0, 3.0, 10.0, 30.0]]), 2, eps=0.0).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """
    op = "group_norm"
    x, groups = expect_tensor(input, op), expect_int(num_groups, op, "num_groups")
    if x.ndim < 2 or groups < 1 or x.shape[1] % groups:
        raise ValueError(f"[{op}] expected (N, C, *) with C a multiple of num_groups, got {x.shape} and {groups}")
    size = x.shape[1] // groups * math.prod(x.shape[2:])
    rows = layer_norm(reshape(x, x.shape[0] * groups, size), (size,), eps=eps)
    return _scaled(reshape(rows, x.shape), weight, bias, op)


def instance_norm(
    input: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None,
    weight: Tensor | None = None, bias: Tensor | None = None, use_input_stats: bool = True, momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Each channel of each item less its mean, over its standard deviation (`torch.nn.functional.instance_norm`;
    Ulyanov et al., 2016).

    Shapes: input (N, C, *), the others (C,) or None. With `use_input_stats` the running statistics, where given, move
    towards the mean over the items; without, they are used.
    """
    op = "instance_norm"
    x = expect_tensor(input, op)
    if x.ndim < 3:
        raise ValueError(f"[{op}] expected input with at least 3 dimensions, got shape {x.shape}")
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    n, c = x.shape[:2]
    flat = reshape(x, (1, n * c, *x.shape[2:]))
    tracked = [None if r is None else repeat(r.detach(), n) for r in (running_mean, running_var)]
    out = batch_norm(flat, tracked[0], tracked[1], None, None, True, momentum, eps)
    with no_grad():
        for running, moved in zip((running_mean, running_var), tracked, strict=True):
            if running is not None and moved is not None:
                running.copy_(mean(reshape(moved, n, c), 0))
    return _scaled(reshape(out, x.shape), weight, bias, op)


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
    eps = float(np.finfo(x.dtype.numpy).eps) if eps is None else eps
    expect_number(eps, op, "eps")
    axes = tuple(range(x.ndim - len(inner), x.ndim))
    out = mul(x, rsqrt(add(mean(square(x), axes, True), eps)))
    return out if weight is None else mul(out, expect_tensor(weight, op, "weight"))
