"""2-D transposed convolution and its gradients, one kernel position at a time.

    out[n, o, y*stride + r*dilation - pad, ...] += x[n, c, y, x] * weight[c, o, r, s]

Axes in the einsum strings: n batch, g group, c input channel of the group, o output channel of the group,
y x input position.
"""

from __future__ import annotations

import math

import numpy as np

from .checks import Shape, expect, expect_float, expect_ndim, expect_same_dtype, expect_shape, quiet
from .conv2d import SIZE_LIMIT, expect_values, grouped

Array = np.ndarray
Pair = tuple[int, int]


def _least_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    return (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1


def _out_hw(
    op: str, x: Shape, weight: Shape, stride: Pair, padding: Pair, output_padding: Pair, dilation: Pair, groups: int
) -> Pair:
    """Checks the attributes against the shapes of input and weight; the size of the output."""
    expect_values(op, "stride", stride, 2, 1)
    expect_values(op, "padding", padding, 2, 0)
    expect_values(op, "output_padding", output_padding, 2, 0)
    expect_values(op, "dilation", dilation, 2, 1)
    expect(groups >= 1, ValueError, op, "groups of at least 1", groups)
    expect(math.prod(weight) > 0, ValueError, op, "a weight with elements", f"shape {weight}")
    expect(weight[0] % groups == 0, ValueError, op, f"input channels that {groups} groups divide", weight[0])
    expect(x[1] == weight[0], ValueError, op, f"an input of {weight[0]} channels", f"{x[1]} channels")
    out = []
    for i in (0, 1):
        size, kernel, extra = x[2 + i], weight[2 + i], output_padding[i]
        expect(1 <= size < SIZE_LIMIT, ValueError, op, "an input size of 1 to 2^31 - 1", size)
        expect(kernel < SIZE_LIMIT, ValueError, op, "a kernel size below 2^31", kernel)
        bound = f"output_padding below stride {stride[i]} or dilation {dilation[i]}"
        expect(extra < stride[i] or extra < dilation[i], ValueError, op, bound, extra)
        out.append(_least_size(size, kernel, stride[i], padding[i], dilation[i]) + extra)
        expect(out[i] >= 1, ValueError, op, "padding that leaves an output", f"an output size of {out[i]}")
    return out[0], out[1]


def _places(r: int, s: int, input_hw: Pair, stride: Pair, dilation: Pair) -> tuple[slice, slice]:
    """Where kernel position (r, s) puts the input in the output without padding."""
    y, x = r * dilation[0], s * dilation[1]
    return (
        slice(y, y + (input_hw[0] - 1) * stride[0] + 1, stride[0]),
        slice(x, x + (input_hw[1] - 1) * stride[1] + 1, stride[1]),
    )


def _full(shape: Shape, input_hw: Pair, kernel_hw: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """Zeros for the output before padding is cut off, with room for everything that output_padding adds."""
    sizes = []
    for i in (0, 1):
        reached = (input_hw[i] - 1) * stride[i] + dilation[i] * (kernel_hw[i] - 1) + 1
        sizes.append(max(reached, shape[2 + i] + padding[i]))
    return np.zeros((*shape[:2], *sizes))


def conv_transpose2d(
    x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Pair, output_padding: Pair, dilation: Pair,
    groups: int,
) -> Array:  # fmt: skip
    op = "conv_transpose2d"
    expect_float(op, "input", x)
    expect_same_dtype(op, "weight", weight, x.dtype)
    expect_ndim(op, "input", x, 4)
    expect_ndim(op, "weight", weight, 4)
    out_hw = _out_hw(op, x.shape, weight.shape, stride, padding, output_padding, dilation, groups)
    batch, channels, kernel_hw, input_hw = x.shape[0], weight.shape[1] * groups, weight.shape[2:], x.shape[2:]
    if bias is not None:
        expect_same_dtype(op, "bias", bias, x.dtype)
        expect_shape(op, "bias", bias, (channels,))

    full = _full((batch, channels, *out_hw), input_hw, kernel_hw, stride, padding, dilation)
    with quiet():
        for r, s in np.ndindex(*kernel_hw):
            share = np.einsum("ngcyx,gco->ngoyx", grouped(x, 1, groups), grouped(weight, 0, groups)[..., r, s])
            full[(..., *_places(r, s, input_hw, stride, dilation))] += share.reshape(batch, channels, *input_hw)
        out = full[:, :, padding[0] :, padding[1] :][:, :, : out_hw[0], : out_hw[1]]
        if bias is not None:
            out = out + bias[:, None, None]
        return np.ascontiguousarray(out, dtype=x.dtype)


def _padded_gradient(
    op: str, grad: Array, x: Shape, weight: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """The gradient with zeros where padding was cut off."""
    expect_values(op, "stride", stride, 2, 1)
    expect_values(op, "padding", padding, 2, 0)
    expect_values(op, "dilation", dilation, 2, 1)
    expect(1 <= groups < SIZE_LIMIT, ValueError, op, "groups of 1 to 2^31 - 1", groups)
    attributes = zip(x[2:], weight[2:], stride, padding, dilation, strict=True)
    extra = tuple(n - _least_size(*a) for n, a in zip(grad.shape[2:], attributes, strict=True))
    out_hw = _out_hw(op, x, weight, stride, padding, (extra[0], extra[1]), dilation, groups)
    expect_shape(op, "grad", grad, (x[0], weight[1] * groups, *out_hw))
    full = _full(grad.shape, (x[2], x[3]), (weight[2], weight[3]), stride, padding, dilation)
    full[:, :, padding[0] :, padding[1] :][:, :, : out_hw[0], : out_hw[1]] = grad
    return full


def conv_transpose2d_bwd_input(
    grad: Array, weight: Array, input_hw: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    op = "conv_transpose2d_bwd_input"
    expect_float(op, "grad", grad)
    expect_same_dtype(op, "weight", weight, grad.dtype)
    expect_ndim(op, "grad", grad, 4)
    expect_ndim(op, "weight", weight, 4)
    expect_values(op, "input_hw", input_hw, 2, 1)
    shape = (grad.shape[0], weight.shape[0], *input_hw)
    full = _padded_gradient(op, grad, shape, weight.shape, stride, padding, dilation, groups)
    out = np.zeros(shape)
    with quiet():
        for r, s in np.ndindex(*weight.shape[2:]):
            seen = grouped(full[(..., *_places(r, s, input_hw, stride, dilation))], 1, groups)
            out += np.einsum("ngoyx,gco->ngcyx", seen, grouped(weight, 0, groups)[..., r, s]).reshape(shape)
    return out.astype(grad.dtype)


def conv_transpose2d_bwd_weight(
    grad: Array, x: Array, kernel_hw: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    op = "conv_transpose2d_bwd_weight"
    expect_float(op, "grad", grad)
    expect_same_dtype(op, "input", x, grad.dtype)
    expect_ndim(op, "grad", grad, 4)
    expect_ndim(op, "input", x, 4)
    expect_values(op, "kernel_hw", kernel_hw, 2, 1)
    expect(groups >= 1, ValueError, op, "groups of 1 to 2^31 - 1", groups)
    shape = (x.shape[1], grad.shape[1] // groups, *kernel_hw)
    full = _padded_gradient(op, grad, x.shape, shape, stride, padding, dilation, groups)
    out = np.zeros(shape)
    with quiet():
        for r, s in np.ndindex(*kernel_hw):
            seen = grouped(full[(..., *_places(r, s, x.shape[2:], stride, dilation))], 1, groups)
            out[..., r, s] = np.einsum("ngoyx,ngcyx->gco", seen, grouped(x, 1, groups)).reshape(shape[:2])
    return out.astype(grad.dtype)
