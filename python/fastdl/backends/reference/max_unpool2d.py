"""Unpooling: values to places of larger planes, zeros elsewhere."""

from __future__ import annotations

import numpy as np

from .checks import expect, expect_array, expect_float, expect_ndim, expect_shape, new
from .pool_windows import LARGEST, check_index_dtype, check_indices, check_pair, check_plane

Array = np.ndarray
Pair = tuple[int, int]


def max_unpool2d(x: Array, indices: Array, output_hw: Pair) -> Array:
    op = "max_unpool2d"
    expect_ndim(op, "input", x, 4)
    expect_float(op, "input", x)
    expect_array(op, "indices", indices)
    check_index_dtype(op, indices.dtype)
    expect_shape(op, "indices", indices, x.shape)
    check_pair(op, "output_size", output_hw, 0)
    check_plane(op, *output_hw)
    check_indices(op, indices, output_hw[0] * output_hw[1])
    planes, n = x.shape[0] * x.shape[1], x.shape[2] * x.shape[3]
    out = np.zeros((planes, output_hw[0] * output_hw[1]), x.dtype)
    values, places = x.reshape(planes, n), indices.reshape(planes, n)
    for plane in range(planes):
        for value, place in zip(values[plane], places[plane], strict=True):
            out[plane, place] = value
    return out.reshape(*x.shape[:2], *output_hw)


def max_unpool2d_bwd(grad: Array, indices: Array) -> Array:
    op = "max_unpool2d_bwd"
    expect_ndim(op, "grad", grad, 4)
    expect_float(op, "grad", grad)
    expect_array(op, "indices", indices)
    check_index_dtype(op, indices.dtype)
    expect_ndim(op, "indices", indices, 4)
    expect_shape(op, "indices", indices, (*grad.shape[:2], *indices.shape[2:]))
    check_indices(op, indices, grad.shape[2] * grad.shape[3])
    planes, size = grad.shape[0] * grad.shape[1], grad.shape[2] * grad.shape[3]
    places = indices.reshape(planes, indices.shape[2] * indices.shape[3])
    return np.take_along_axis(grad.reshape(planes, size), places, 1).reshape(indices.shape)


def bed_of_nails(x: Array, kernel: Pair) -> Array:
    op = "bed_of_nails"
    expect_ndim(op, "input", x, 4)
    expect_float(op, "input", x)
    check_pair(op, "kernel_size", kernel, 1)
    for n, k in zip(x.shape[2:], kernel, strict=True):
        expect(n * k <= LARGEST, ValueError, op, "axes of less than 2^31 elements", f"{n} times {k}")
    out = new((*x.shape[:2], x.shape[2] * kernel[0], x.shape[3] * kernel[1]), x.dtype)
    out[...] = 0
    out[:, :, :: kernel[0], :: kernel[1]] = x
    return out


def bed_of_nails_bwd(grad: Array, kernel: Pair) -> Array:
    op = "bed_of_nails_bwd"
    expect_ndim(op, "grad", grad, 4)
    expect_float(op, "grad", grad)
    check_pair(op, "kernel_size", kernel, 1)
    whole = grad.shape[2] % kernel[0] == 0 and grad.shape[3] % kernel[1] == 0
    expect(whole, ValueError, op, f"planes of whole windows {tuple(kernel)}", f"shape {grad.shape}")
    return grad[:, :, :: kernel[0], :: kernel[1]].copy()
