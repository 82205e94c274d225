"""Transposed convolution."""

from __future__ import annotations

from typing import Any

from ..autograd import Node, fresh, record, recording
from ..tensor import Tensor
from .arguments import Pair, pair
from .conv import expect_groups, operands, row

Array = Any


@fresh
def _conv_transpose2d_bwd(node: Node, g: Array) -> list[Array | None]:
    k, (x, w, input_hw, kernel_hw, attributes) = node.backend, node.saved
    grads: list[Array | None] = [None] * len(node.edges)
    if node.needs(0):
        grads[0] = k.conv_transpose2d_bwd_input(g, w, input_hw, *attributes)
    if node.needs(1):
        grads[1] = k.conv_transpose2d_bwd_weight(g, x, kernel_hw, *attributes)
    if len(grads) == 3 and node.needs(2):
        grads[2] = k.sum(g, (0, 2, 3), False)
    return grads


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    output_padding: int | Pair = 0,
    groups: int = 1,
    dilation: int | Pair = 1,
) -> Tensor:
    """2-D transposed convolution (`torch.nn.functional.conv_transpose2d`): the gradient of `conv2d`'s input.

    Shapes: input (N, C, H, W) or (C, H, W), weight (C, O / groups, kernel_h, kernel_w), bias (O,) or None, output
    (N, O, H', W') or (O, H', W') with H' = (H - 1) * stride - 2 * padding + dilation * (kernel_h - 1) +
    output_padding + 1. `output_padding` says which of the sizes is meant that a convolution with this stride takes to
    H; it must be smaller than the stride or the dilation.

    Raises:
        TypeError: for arguments that are not Tensors, or dtypes that differ or are not float32 or float64.
        ValueError: for shapes that do not fit together, padding that leaves nothing, or bad attributes.

    >>> import fastdl
    >>> conv_transpose2d(fastdl.ones(1, 1, 2, 2), fastdl.ones(1, 1, 2, 2), stride=2, output_padding=1).tolist()[0][0][4]
    [0.0, 0.0, 0.0, 0.0, 0.0]
    """
    op = "conv_transpose2d"
    x, w, b = operands(op, 2, input, weight, bias)
    if x.ndim == 3:
        args = (w, b, stride, padding, output_padding, groups, dilation)
        return conv_transpose2d(x.unsqueeze(0), *args).squeeze(0)
    expect_groups(groups, op)
    steps, sides = pair(stride, op, "stride"), pair(padding, op, "padding")
    extra, spread = pair(output_padding, op, "output_padding"), pair(dilation, op, "dilation")
    k, bias_array = x._backend, None if b is None else b._array
    out = Tensor(k.conv_transpose2d(x._array, w._array, bias_array, steps, sides, extra, spread, groups), k)
    if recording(x, w, b):
        inputs = (x, w) if b is None else (x, w, b)
        kept_x, kept_w = x._array if w.requires_grad else None, w._array if x.requires_grad else None
        attributes = (steps, sides, spread, groups)
        record(out, _conv_transpose2d_bwd, inputs, (kept_x, kept_w, x.shape[2:], w.shape[2:], attributes))
    return out


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int] = 1,
    padding: int | tuple[int] = 0,
    output_padding: int | tuple[int] = 0,
    groups: int = 1,
    dilation: int | tuple[int] = 1,
) -> Tensor:
    """1-D transposed convolution (`torch.nn.functional.conv_transpose1d`): `conv_transpose2d` over images of one row.

    Shapes: input (N, C, L) or (C, L), weight (C, O / groups, kernel), bias (O,) or None, output (N, O, L') or (O, L')
    with L' = (L - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1.

    Raises:
        TypeError, ValueError: as `conv_transpose2d`, whose checks these are.

    >>> import fastdl
    >>> conv_transpose1d(fastdl.ones(1, 1, 3), fastdl.ones(1, 1, 2), stride=2).shape
    (1, 1, 6)
    """
    op = "conv_transpose1d"
    x, w, b = operands(op, 1, input, weight, bias)
    expect_groups(groups, op)
    steps, sides = row(stride, op, "stride", 1), row(padding, op, "padding", 0)
    extra, spread = row(output_padding, op, "output_padding", 0), row(dilation, op, "dilation", 1)
    args = (w.unsqueeze(-2), b, steps, sides, extra, groups, spread)
    return conv_transpose2d(x.unsqueeze(-2), *args).squeeze(-2)
