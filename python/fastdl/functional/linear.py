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
    k, (x, w), edges = node.backend, node.saved, node.edges
    *leading, out_features = g.shape
    if len(leading) != 1:
        rows = g.size // out_features if out_features else 0
        g = k.reshape(g, (rows, out_features))
        x = None if x is None else k.reshape(x, (rows, x.shape[-1]))
    grads: list[Array | None] = [None] * len(edges)
    if edges[0] is not None:
        grads[0] = k.matmul(g, w, False, False)
        if len(leading) != 1:
            grads[0] = k.reshape(grads[0], (*leading, w.shape[1]))
    if edges[1] is not None:
        grads[1] = k.matmul(g, x, True, False)
    if len(grads) == 3 and edges[2] is not None:
        grads[2] = k.sum(g, (0,), False)
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
