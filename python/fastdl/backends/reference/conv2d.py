"""2-D convolution (cross-correlation) over windows, and its gradients.

    out[n, o, y, x] = bias[o] + sum over c, r, s of in[n, c, y*stride + r*dilation - pad, ...] * weight[o, c, r, s]

Axes in the einsum strings: n batch, g group, c input channel of the group, o output channel of the group,
y x output position, r s kernel position.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .checks import Shape, expect, expect_float, expect_ndim, expect_same_dtype, expect_shape
from .matmul import activate, check_activation

Array = np.ndarray
Pair = tuple[int, int]


def _out_size(size: int, pad_before: int, pad_after: int, kernel: int, stride: int, dilation: int) -> int:
    room = size + pad_before + pad_after - dilation * (kernel - 1) - 1
    return 0 if room < 0 else room // stride + 1


def _check_attributes(op: str, stride: Pair, padding: Shape, dilation: Pair, groups: int) -> None:
    expect(len(stride) == 2 and min(stride) >= 1, ValueError, op, "stride of two numbers of at least 1", tuple(stride))
    expected = "padding of four numbers of at least 0"
    expect(len(padding) == 4 and min(padding) >= 0, ValueError, op, expected, tuple(padding))
    expected = "dilation of two numbers of at least 1"
    expect(len(dilation) == 2 and min(dilation) >= 1, ValueError, op, expected, tuple(dilation))
    expect(groups >= 1, ValueError, op, "groups of at least 1", groups)


def _out_hw(op: str, in_hw: Pair, kernel_hw: Pair, stride: Pair, padding: Shape, dilation: Pair) -> Pair:
    top, bottom, left, right = padding
    out_h = _out_size(in_hw[0], top, bottom, kernel_hw[0], stride[0], dilation[0])
    out_w = _out_size(in_hw[1], left, right, kernel_hw[1], stride[1], dilation[1])
    expected = "a kernel no larger than the padded input"
    got = f"kernel {tuple(kernel_hw)} with dilation {tuple(dilation)} on input {tuple(in_hw)}"
    got += f" with padding {tuple(padding)}"
    expect(out_h > 0 and out_w > 0, ValueError, op, expected, got)
    return out_h, out_w


def _windows(x: Array, kernel_hw: Pair, stride: Pair, padding: Shape, dilation: Pair) -> Array:
    """(n, c, y, x, r, s): the elements of the padded input under each kernel position, as a view."""
    top, bottom, left, right = padding
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    extent = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel_hw, strict=True))
    dense = sliding_window_view(padded, extent, axis=(2, 3))
    return dense[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def _grouped(x: Array, axis: int, groups: int) -> Array:
    """Splits the channel axis into (group, channel of the group)."""
    return x.reshape(*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :])


def conv2d(
    x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Shape, dilation: Pair, groups: int,
    activation: str,
) -> Array:  # fmt: skip
    op = "conv2d"
    expect_float(op, "input", x)
    expect_same_dtype(op, "weight", weight, x.dtype)
    expect_ndim(op, "input", x, 4)
    expect_ndim(op, "weight", weight, 4)
    _check_attributes(op, stride, padding, dilation, groups)
    channels, out_channels = x.shape[1], weight.shape[0]
    expected = weight.shape[1] * groups
    expect(channels == expected, ValueError, op, f"input with {expected} channels", channels)
    expect(out_channels % groups == 0, ValueError, op, f"output channels divisible by {groups} groups", out_channels)
    if bias is not None:
        expect_same_dtype(op, "bias", bias, x.dtype)
        expect_shape(op, "bias", bias, (out_channels,))
    check_activation(op, activation)
    kernel_hw = weight.shape[2:]
    out_h, out_w = _out_hw(op, x.shape[2:], kernel_hw, stride, padding, dilation)

    windows = _grouped(_windows(x, kernel_hw, stride, padding, dilation), 1, groups)
    with np.errstate(all="ignore"):
        out = np.einsum("ngcyxrs,gocrs->ngoyx", windows, _grouped(weight, 0, groups), optimize=True)
        out = out.reshape(x.shape[0], out_channels, out_h, out_w)
        if bias is not None:
            out = out + bias[:, None, None]
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
    _check_attributes(op, stride, padding, dilation, groups)
    batch, out_channels, kernel_hw = grad.shape[0], weight.shape[0], weight.shape[2:]
    expect(out_channels % groups == 0, ValueError, op, f"output channels divisible by {groups} groups", out_channels)
    out_h, out_w = _out_hw(op, input_hw, kernel_hw, stride, padding, dilation)
    expect_shape(op, "grad", grad, (batch, out_channels, out_h, out_w))

    top, bottom, left, right = padding
    channels = weight.shape[1] * groups
    padded = np.zeros((batch, channels, input_hw[0] + top + bottom, input_hw[1] + left + right), grad.dtype)
    g, w = _grouped(grad, 1, groups), _grouped(weight, 0, groups)
    with np.errstate(all="ignore"):
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
    _check_attributes(op, stride, padding, dilation, groups)
    out_channels, channels = grad.shape[1], x.shape[1]
    expect(channels % groups == 0, ValueError, op, f"input channels divisible by {groups} groups", channels)
    expect(out_channels % groups == 0, ValueError, op, f"output channels divisible by {groups} groups", out_channels)
    out_h, out_w = _out_hw(op, x.shape[2:], kernel_hw, stride, padding, dilation)
    expect_shape(op, "grad", grad, (x.shape[0], out_channels, out_h, out_w))

    windows = _grouped(_windows(x, kernel_hw, stride, padding, dilation), 1, groups)
    with np.errstate(all="ignore"):
        out = np.einsum("ngoyx,ngcyxrs->gocrs", _grouped(grad, 1, groups), windows, optimize=True)
    return np.asarray(out.reshape(out_channels, channels // groups, *kernel_hw), order="C")
