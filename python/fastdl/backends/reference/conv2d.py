"""2-D convolution (cross-correlation) over windows, and its gradients.

    out[n, o, y, x] = bias[o] + sum over c, r, s of in[n, c, y*stride + r*dilation - pad, ...] * weight[o, c, r, s]

Axes in the einsum strings: n batch, g group, c input channel of the group, o output channel of the group,
y x output position, r s kernel position.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .checks import Shape, expect, expect_float, expect_ndim, expect_same_dtype, expect_shape, quiet
from .matmul import activate, check_activation

Array = np.ndarray
Pair = tuple[int, int]


SIZE_LIMIT = 2**31  # keeps every sum and product of two sizes far from 2^63


def expect_values(op: str, what: str, values: Shape, n: int, least: int) -> None:
    values = tuple(values)
    expect(len(values) == n, ValueError, op, f"{what} of {n} integers", values)
    for value in values:
        expect(value >= least, ValueError, op, f"{what} of at least {least}", values)
        expect(value < SIZE_LIMIT, ValueError, op, f"{what} below 2^31", values)


def _out_hw(op: str, x: Shape, weight: Shape, stride: Pair, padding: Shape, dilation: Pair, groups: int) -> Pair:
    """Checks the attributes against the shapes of input and weight; the size of the output."""
    expect_values(op, "stride", stride, 2, 1)
    expect_values(op, "padding", padding, 4, 0)
    expect_values(op, "dilation", dilation, 2, 1)
    expect(groups >= 1, ValueError, op, "groups of at least 1", groups)
    expect(math.prod(weight) > 0, ValueError, op, "a weight with elements", f"shape {weight}")
    expect(weight[0] % groups == 0, ValueError, op, f"output channels that {groups} groups divide", weight[0])
    expect(x[1] % groups == 0, ValueError, op, f"input channels that {groups} groups divide", x[1])
    expected = f"an input of {weight[1]} channels in each of {groups} groups"
    expect(x[1] // groups == weight[1], ValueError, op, expected, f"{x[1]} channels")
    out = []
    for i in (0, 1):
        size, kernel = x[2 + i], weight[2 + i]
        expect(size < SIZE_LIMIT, ValueError, op, "an input size below 2^31", size)
        expect(kernel < SIZE_LIMIT, ValueError, op, "a kernel size below 2^31", kernel)
        padded = size + padding[2 * i] + padding[2 * i + 1]
        span = dilation[i] * (kernel - 1) + 1
        expect(span <= padded, ValueError, op, f"a dilated kernel of at most the padded input, {padded}", span)
        out.append((padded - span) // stride[i] + 1)
    return out[0], out[1]


def _windows(x: Array, kernel_hw: Pair, stride: Pair, padding: Shape, dilation: Pair) -> Array:
    """(n, c, y, x, r, s): the elements of the padded input under each kernel position, as a view."""
    top, bottom, left, right = padding
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    extent = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel_hw, strict=True))
    dense = sliding_window_view(padded, extent, axis=(2, 3))
    return dense[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def grouped(x: Array, axis: int, groups: int) -> Array:
    """Splits the channel axis into (group, channel of the group)."""
    return x.reshape(*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :])


def conv2d(
    x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Shape, dilation: Pair, groups: int,
    activation: str, residual: Array | None,
) -> Array:  # fmt: skip
    op = "conv2d"
    expect_float(op, "input", x)
    expect_same_dtype(op, "weight", weight, x.dtype)
    expect_ndim(op, "input", x, 4)
    expect_ndim(op, "weight", weight, 4)
    out_h, out_w = _out_hw(op, x.shape, weight.shape, stride, padding, dilation, groups)
    out_channels, kernel_hw = weight.shape[0], weight.shape[2:]
    if bias is not None:
        expect_same_dtype(op, "bias", bias, x.dtype)
        expect_shape(op, "bias", bias, (out_channels,))
    if residual is not None:
        expect_same_dtype(op, "residual", residual, x.dtype)
        expect_shape(op, "residual", residual, (x.shape[0], out_channels, out_h, out_w))
    check_activation(op, activation)

    windows = grouped(_windows(x, kernel_hw, stride, padding, dilation), 1, groups)
    with quiet():
        out = np.einsum("ngcyxrs,gocrs->ngoyx", windows, grouped(weight, 0, groups), optimize=True)
        out = out.reshape(x.shape[0], out_channels, out_h, out_w)
        if bias is not None:
            out = out + bias[:, None, None]
        if residual is not None:
            out = out + residual
        return np.asarray(activate(out, activation), order="C")


def conv2d_bwd_input(
    grad: Array, weight: Array, input_hw: Pair, stride: Pair, padding: Shape, dilation: Pair, groups: int
) -> Array:
    """Each kernel position sends its share of an output's gradient back to the input element that it multiplied."""
    op = "conv2d_bwd_input"
    expect_float(op, "grad", grad)
    expect_same_dtype(op, "weight", weight, grad.dtype)
    expect_ndim(op, "grad", grad, 4)
    expect_ndim(op, "weight", weight, 4)
    expect_values(op, "input_hw", input_hw, 2, 0)
    expect(1 <= groups < SIZE_LIMIT, ValueError, op, "groups of 1 to 2^31 - 1", groups)
    batch, out_channels, kernel_hw = grad.shape[0], weight.shape[0], weight.shape[2:]
    channels = weight.shape[1] * groups
    x_shape = (batch, channels, *input_hw)
    out_h, out_w = _out_hw(op, x_shape, weight.shape, stride, padding, dilation, groups)
    expect_shape(op, "grad", grad, (batch, out_channels, out_h, out_w))

    top, bottom, left, right = padding
    padded = np.zeros((batch, channels, input_hw[0] + top + bottom, input_hw[1] + left + right), grad.dtype)
    g, w = grouped(grad, 1, groups), grouped(weight, 0, groups)
    with quiet():
        for r in range(kernel_hw[0]):
            for s in range(kernel_hw[1]):
                share = np.einsum("ngoyx,goc->ngcyx", g, w[..., r, s], optimize=True)
                y, x = r * dilation[0], s * dilation[1]
                rows = slice(y, y + (out_h - 1) * stride[0] + 1, stride[0])
                columns = slice(x, x + (out_w - 1) * stride[1] + 1, stride[1])
                padded[:, :, rows, columns] += share.reshape(batch, channels, out_h, out_w)
    return padded[:, :, top : top + input_hw[0], left : left + input_hw[1]].copy()


def conv2d_bwd_weight(
    grad: Array, x: Array, kernel_hw: Pair, stride: Pair, padding: Shape, dilation: Pair, groups: int
) -> Array:
    op = "conv2d_bwd_weight"
    expect_float(op, "grad", grad)
    expect_same_dtype(op, "input", x, grad.dtype)
    expect_ndim(op, "grad", grad, 4)
    expect_ndim(op, "input", x, 4)
    expect_values(op, "kernel_hw", kernel_hw, 2, 1)
    expect(groups >= 1, ValueError, op, "groups of at least 1", groups)
    out_channels, channels = grad.shape[1], x.shape[1]
    weight_shape = (out_channels, channels // groups, *kernel_hw)
    out_h, out_w = _out_hw(op, x.shape, weight_shape, stride, padding, dilation, groups)
    expect_shape(op, "grad", grad, (x.shape[0], out_channels, out_h, out_w))

    windows = grouped(_windows(x, kernel_hw, stride, padding, dilation), 1, groups)
    with quiet():
        out = np.einsum("ngoyx,ngcyxrs->gocrs", grouped(grad, 1, groups), windows, optimize=True)
    return np.asarray(out.reshape(weight_shape), order="C")
