"""Convolution."""

from __future__ import annotations

from typing import Any

from ..autograd import Node, fresh, record, recording
from ..tensor import Tensor
from .arguments import Pair, expect_beside, expect_tensor, pair

Array = Any
Padding = int | Pair | str


@fresh
def _conv2d_bwd(node: Node, g: Array) -> list[Array | None]:
    k, (x, w, input_hw, kernel_hw, attributes) = node.backend, node.saved
    grads: list[Array | None] = [None] * len(node.edges)
    if node.needs(0):
        grads[0] = k.conv2d_bwd_input(g, w, input_hw, *attributes)
    if node.needs(1):
        grads[1] = k.conv2d_bwd_weight(g, x, kernel_hw, *attributes)
    if len(grads) == 3 and node.needs(2):
        grads[2] = k.sum(g, (0, 2, 3), False)
    return grads


def same_padding(kernel: Pair, stride: Pair, dilation: Pair, op: str = "conv2d") -> tuple[int, int, int, int]:
    """Top, bottom, left and right padding that keep the size; an odd rest goes to the bottom and to the right.

    >>> same_padding((3, 2), (1, 1), (1, 1))
    (1, 1, 0, 1)
    """
    if stride != (1, 1):
        raise ValueError(f"[{op}] expected stride 1 with padding='same', got {stride}")
    rows, columns = (d * (k - 1) for k, d in zip(kernel, dilation, strict=True))
    return rows // 2, rows - rows // 2, columns // 2, columns - columns // 2


def _four_sides(padding: Padding, kernel: Pair, stride: Pair, dilation: Pair) -> tuple[int, int, int, int]:
    if isinstance(padding, str):
        if padding == "same":
            return same_padding(kernel, stride, dilation)
        if padding == "valid":
            return 0, 0, 0, 0
        raise ValueError(f"[conv2d] expected padding 'same', 'valid' or numbers, got {padding!r}")
    rows, columns = pair(padding, "conv2d", "padding")
    return rows, rows, columns, columns


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: Padding = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Tensor:
    """2-D convolution (`torch.nn.functional.conv2d`).

    Shapes: input (N, C, H, W) or (C, H, W), weight (O, C / groups, kernel_h, kernel_w), bias (O,) or None,
    output (N, O, H', W') or (O, H', W') with H' = (H + 2 * padding - dilation * (kernel_h - 1) - 1) // stride + 1.
    `padding` is an int, a pair, 'valid' (none) or 'same' (output as large as the input; stride 1 only).

    Raises:
        TypeError: for arguments that are not Tensors, or dtypes that differ or are not float32 or float64.
        ValueError: for shapes that do not fit together, a kernel larger than the padded input, or bad attributes.

    >>> import fastdl
    >>> conv2d(fastdl.ones(1, 1, 4, 4), fastdl.ones(2, 1, 3, 3), padding="same").shape
    (1, 2, 4, 4)
    """
    x = expect_tensor(input, "conv2d")
    w = expect_beside(weight, x, "conv2d", "weight")
    b = None if bias is None else expect_beside(bias, x, "conv2d", "bias")
    if x.ndim == 3:
        return conv2d(x.unsqueeze(0), w, b, stride, padding, dilation, groups).squeeze(0)
    if x.ndim != 4 or w.ndim != 4:
        what, shape = ("input with 3 or 4", x.shape) if x.ndim != 4 else ("weight with 4", w.shape)
        raise ValueError(f"[conv2d] expected {what} dimensions, got shape {shape}")
    if type(groups) is not int:
        raise TypeError(f"[conv2d] expected an int for groups, got {type(groups).__name__}")
    steps, spread = pair(stride, "conv2d", "stride"), pair(dilation, "conv2d", "dilation")
    kernel_hw = (w.shape[2], w.shape[3])
    attributes = (steps, _four_sides(padding, kernel_hw, steps, spread), spread, groups)
    k = x._backend
    out = Tensor(k.conv2d(x._array, w._array, None if b is None else b._array, *attributes, "none"), k)
    if recording(x, w, b):
        inputs = (x, w) if b is None else (x, w, b)
        # An operand is kept only for the other one's gradient.
        kept_x, kept_w = x._array if w.requires_grad else None, w._array if x.requires_grad else None
        record(out, _conv2d_bwd, inputs, (kept_x, kept_w, x.shape[2:], kernel_hw, attributes))
    return out
