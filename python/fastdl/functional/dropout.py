"""Dropout."""

from __future__ import annotations

from typing import Any

from ..autograd import Node, fresh, record, recording
from ..random import default_generator
from ..tensor import Tensor
from .arguments import expect_probability, expect_tensor, flag

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
