"""The fully connected layer."""

from __future__ import annotations

from typing import Any

from ..autograd import Node, fresh, record, recording
from ..tensor import Tensor
from .arguments import expect_beside, expect_tensor

Array = Any


@fresh
def _linear_bwd(node: Node, g: Array) -> list[Array | None]:
    """out = x w^T + b over rows: grad_x = g w, grad_w = g^T x, grad_b = the sum of g over rows."""
    k, (x, w) = node.backend, node.saved
    rows = g.size // g.shape[-1] if g.shape[-1] else 0
    g2 = k.reshape(g, (rows, g.shape[-1]))
    grads: list[Array | None] = [None] * len(node.edges)
    if node.needs(0):
        shape = (*g.shape[:-1], w.shape[1])
        grads[0] = k.reshape(k.matmul(g2, w, False, False), shape)
    if node.needs(1):
        grads[1] = k.matmul(g2, k.reshape(x, (rows, x.shape[-1])), True, False)
    if len(grads) == 3 and node.needs(2):
        grads[2] = k.sum(g2, (0,), False)
    return grads


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input @ weight.T + bias (`torch.nn.functional.linear`).

    Shapes: input (..., in_features), weight (out_features, in_features), bias (out_features,) or None,
    output (..., out_features).

    Raises:
        TypeError: for arguments that are not Tensors, or dtypes that differ or are not float32 or float64.
        ValueError: for shapes that do not fit together.

    >>> import fastdl
    >>> linear(fastdl.ones(2, 3), fastdl.ones(4, 3), fastdl.zeros(4)).tolist()
    [[3.0, 3.0, 3.0, 3.0], [3.0, 3.0, 3.0, 3.0]]
    """
    x = expect_tensor(input, "linear")
    w = expect_beside(weight, x, "linear", "weight")
    b = None if bias is None else expect_beside(bias, x, "linear", "bias")
    k = x._backend
    out = Tensor(k.linear(x._array, w._array, None if b is None else b._array, "none"), k)
    if recording(x, w, b):
        inputs = (x, w) if b is None else (x, w, b)
        # An operand is kept only for the other one's gradient.
        saved = (x._array if w.requires_grad else None, w._array if x.requires_grad else None)
        record(out, _linear_bwd, inputs, saved)
    return out
