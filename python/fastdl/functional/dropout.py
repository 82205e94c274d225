"""Dropout."""

from __future__ import annotations

import math
from typing import Any

from ..autograd import Node, fresh, record, recording
from ..creation import ones
from ..random import default_generator
from ..tensor import Tensor
from .arguments import expect_probability, expect_tensor, flag
from .arithmetic import add, mul
from .comparison import gt, where

Array = Any


@fresh
def _dropout_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.dropout(g, *node.saved),)  # the same numbers again: no mask is kept


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeroes each element with probability p and scales the others by 1 / (1 - p) (`torch.nn.functional.dropout`).

    Any shape. Without `training` the input itself. The numbers come from the library's seeded generator
    (`fastdl.manual_seed`) and are the same on every device.

    Raises:
        TypeError: for an input that is not a Tensor of float32 or float64.
        ValueError: for p outside [0, 1].

    >>> import fastdl
    >>> fastdl.manual_seed(0) and sorted(set(dropout(fastdl.ones(100), 0.5).tolist()))
    [0.0, 2.0]
    """
    x = expect_tensor(input, "dropout")
    expect_probability(p, "dropout")
    if not flag(training, "dropout", "training"):
        return x
    k = x._backend
    key = (float(p), default_generator.seed, default_generator.take_counters((x.numel() + 3) // 4))
    out = Tensor(k.dropout(x._array, *key), k)
    if recording(x):
        record(out, _dropout_bwd, (x,), key)
    if not flag(inplace, "dropout", "inplace"):
        return out
    if out.requires_grad and x.is_leaf:
        raise RuntimeError(
            "[dropout] expected an input inside the graph for inplace, got a leaf that requires a gradient"
        )
    if out.requires_grad:
        x._array, x._node = out._array, out._node
    else:
        k.copy_(x._array, out._array)
    return x


def _of_channels(op: str, input: Tensor, p: float, training: bool, inplace: bool, dims: tuple[int, ...]) -> Tensor:
    """Whole channels are dropped: one number for each, which broadcasts."""
    x = expect_tensor(input, op)
    expect_probability(p, op)
    if x.ndim not in dims:
        raise ValueError(f"[{op}] expected input with {' or '.join(map(str, dims))} dimensions, got shape {x.shape}")
    if not flag(training, op, "training"):
        return x
    lead = x.ndim - dims[0] + 1
    kept = dropout(ones((*x.shape[:lead], *(1,) * (dims[0] - 1)), dtype=x.dtype, device=x.device), p)
    if flag(inplace, op, "inplace"):
        x *= kept
        return x
    return mul(x, kept)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeroes whole channels of (N, C, L) or (C, L) (`torch.nn.functional.dropout1d`)."""
    return _of_channels("dropout1d", input, p, training, inplace, (2, 3))


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeroes whole channels of (N, C, H, W) or (C, H, W) (`torch.nn.functional.dropout2d`; Tompson et al., 2015).

    >>> import fastdl
    >>> out = dropout2d(fastdl.ones(1, 8, 2, 2))
    >>> {len(set(channel.flatten().tolist())) for channel in out[0]}
    {1}
    """
    return _of_channels("dropout2d", input, p, training, inplace, (3, 4))


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeroes whole channels of (N, C, D, H, W) or (C, D, H, W) (`torch.nn.functional.dropout3d`).

    >>> dropout3d(fastdl.ones(1, 2, 1, 1, 1), 1.0).sum().item()
    0.0
    """
    return _of_channels("dropout3d", input, p, training, inplace, (4, 5))


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps mean 0 and variance 1 of what SELU makes (`torch.nn.functional.alpha_dropout`; Klambauer et
    al., 2017): dropped elements take SELU's limit, then all are scaled and shifted.
    """
    x = expect_tensor(input, "alpha_dropout")
    expect_probability(p, "alpha_dropout")
    if not flag(training, "alpha_dropout", "training") or p == 0:
        return x
    limit = -1.7580993408473766  # of SELU at minus infinity
    kept = gt(dropout(ones(x.shape, dtype=x.dtype, device=x.device), p), 0)
    scale = 0.0 if p == 1 else 1 / math.sqrt((1 - p) * (1 + p * limit * limit))
    out = where(kept, mul(x, scale), limit * scale)
    return add(out, -scale * limit * p)
