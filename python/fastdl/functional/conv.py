"""Convolution."""

from __future__ import annotations

from typing import Any

from ..autograd import Node, fresh, record, recording
from ..tensor import Tensor
from .arguments import Pair, expect_beside, expect_tensor, pair, shown

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


def operands(op: str, axes: int, input: Any, weight: Any, bias: Any) -> tuple[Tensor, Tensor, Tensor | None]:
    """Input, weight and bias of a convolution over `axes` axes, checked for types and numbers of dimensions."""
    x = expect_tensor(input, op)
    w = expect_beside(weight, x, op, "weight")
    b = None if bias is None else expect_beside(bias, x, op, "bias")
    if x.ndim not in (axes + 1, axes + 2):
        raise ValueError(f"[{op}] expected input with {axes + 1} or {axes + 2} dimensions, got shape {x.shape}")
    if w.ndim != axes + 2:
        raise ValueError(f"[{op}] expected weight with {axes + 2} dimensions, got shape {w.shape}")
    return x, w, b


def expect_groups(groups: Any, op: str) -> int:
    if type(groups) is not int:
        raise TypeError(f"[{op}] expected an int for groups, got {type(groups).__name__}")
    return groups


def row(value: Any, op: str, name: str, rows: int) -> Pair:
    """An attribute of a sequence as one of an image of one row: one int, also in a tuple.

    >>> row(2, "conv1d", "stride", 1)
    (1, 2)
    """
    if isinstance(value, tuple | list) and len(value) == 1:
        value = value[0]
    if type(value) is not int:
        raise TypeError(f"[{op}] expected an int for {name}, got {shown(value)}")
    return rows, value


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
    x, w, b = operands("conv2d", 2, input, weight, bias)
    if x.ndim == 3:
        return conv2d(x.unsqueeze(0), w, b, stride, padding, dilation, groups).squeeze(0)
    expect_groups(groups, "conv2d")
    steps, spread = pair(stride, "conv2d", "stride"), pair(dilation, "conv2d", "dilation")
    kernel_hw = (w.shape[2], w.shape[3])
    attributes = (steps, _four_sides(padding, kernel_hw, steps, spread), spread, groups)
    k = x._backend
    out = Tensor(k.conv2d(x._array, w._array, None if b is None else b._array, *attributes, "none", None), k)
    if recording(x, w, b):
        inputs = (x, w) if b is None else (x, w, b)
        # An operand is kept only for the other one's gradient.
        kept_x, kept_w = x._array if w.requires_grad else None, w._array if x.requires_grad else None
        record(out, _conv2d_bwd, inputs, (kept_x, kept_w, x.shape[2:], kernel_hw, attributes))
    return out


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int] = 1,
    padding: int | tuple[int] | str = 0,
    dilation: int | tuple[int] = 1,
    groups: int = 1,
) -> Tensor:
    """1-D convolution (`torch.nn.functional.conv1d`): `conv2d` over images of one row.

    Shapes: input (N, C, L) or (C, L), weight (O, C / groups, kernel), bias (O,) or None, output (N, O, L') or (O, L')
    with L' = (L + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1. `padding` is an int, 'valid' or 'same'.

    Raises:
        TypeError, ValueError: as `conv2d`, whose checks these are.

    >>> import fastdl
    >>> conv1d(fastdl.ones(1, 1, 5), fastdl.ones(1, 1, 3), padding="same").tolist()
    [[[2.0, 3.0, 3.0, 3.0, 2.0]]]
    """
    x, w, b = operands("conv1d", 1, input, weight, bias)
    expect_groups(groups, "conv1d")
    sides = padding if isinstance(padding, str) else row(padding, "conv1d", "padding", 0)
    steps, spread = row(stride, "conv1d", "stride", 1), row(dilation, "conv1d", "dilation", 1)
    return conv2d(x.unsqueeze(-2), w.unsqueeze(-2), b, steps, sides, spread, groups).squeeze(-2)
