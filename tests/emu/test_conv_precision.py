"""Convolution and its gradients on tensor cores, against float64."""

from __future__ import annotations

import numpy as np
import pytest

from fastdl import backends

from .test_product_precision import EPSILON, assert_near, was_rounded

REFERENCE = backends.get("reference")
ONE = (1, 1)
NONE = (0, 0, 0, 0)
# batch, channels, height, width, out channels, kernel, stride, padding, dilation, groups
CONVOLUTIONS = {
    "3x3": (2, 20, 9, 7, 17, (3, 3), ONE, (1, 1, 1, 1), ONE, 1),
    "1x1": (3, 17, 5, 4, 24, (1, 1), ONE, NONE, ONE, 1),
    "few channels": (2, 3, 12, 11, 16, (5, 3), (2, 2), (2, 1, 0, 1), ONE, 1),
    "one channel": (1, 1, 10, 10, 16, (5, 5), ONE, (2, 2, 2, 2), ONE, 1),
    "stride 2": (2, 18, 11, 8, 20, (3, 3), (2, 2), (1, 1, 1, 1), ONE, 1),
    "stride 3, two taps": (1, 16, 13, 14, 16, (2, 2), (3, 3), NONE, ONE, 1),
    "unequal strides": (1, 16, 12, 13, 18, (3, 2), (1, 4), (1, 0, 2, 1), ONE, 1),
    "dilation": (1, 16, 14, 13, 16, (3, 3), ONE, (2, 2, 0, 3), (2, 3), 1),
    "stride and dilation": (1, 16, 17, 15, 16, (3, 3), (2, 2), (2, 2, 2, 2), (3, 2), 1),
    "groups": (2, 36, 6, 6, 34, (3, 3), ONE, (1, 1, 1, 1), ONE, 2),
    "cut": (1, 130, 8, 8, 16, (3, 3), ONE, (1, 1, 1, 1), ONE, 1),
    "many pixels": (4, 16, 32, 32, 16, (1, 1), ONE, NONE, ONE, 1),
}


def setting(name: str, convolutions: dict = CONVOLUTIONS):
    n, c, h, w, o, kernel, stride, padding, dilation, groups = convolutions[name]
    rng = np.random.default_rng(len(name))
    x, weight = rng.standard_normal((n, c, h, w)), rng.standard_normal((o, c // groups, *kernel))
    bias = rng.standard_normal(o)
    return [a.astype(np.float32) for a in (x, weight, bias)], (stride, padding, dilation, groups)


def in_float64(name, *arguments):
    """The reference's result, and that of absolute values."""

    def wide(a, f):
        return f(a.astype(np.float64)) if isinstance(a, np.ndarray) else a

    exact = getattr(REFERENCE, name)(*(wide(a, lambda x: x) for a in arguments))
    return exact, getattr(REFERENCE, name)(*(wide(a, np.abs) for a in arguments))


@pytest.mark.parametrize("precision", EPSILON)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution_and_its_gradients(emu, run, precision, name):
    (x, weight, bias), attributes = setting(name)
    groups = attributes[-1]
    emu.set_product_precision(precision)
    try:
        out = run("conv2d", x, weight, bias, *attributes, "none", None)
        grad = np.random.default_rng(0).standard_normal(out.shape).astype(np.float32)
        to_x = ("conv2d_bwd_input", grad, weight, x.shape[2:], *attributes)
        to_weight = ("conv2d_bwd_weight", grad, x, weight.shape[2:], *attributes)
        grad_x, grad_weight = run(*to_x), run(*to_weight)
    finally:
        emu.set_product_precision("float32")
    group_of_x, group_of_out = x.shape[1] // groups, out.shape[1] // groups
    for got, call, k, large in (
        (out, ("conv2d", x, weight, bias, *attributes, "none", None), weight[0].size, group_of_out),
        (grad_x, to_x, weight[:group_of_out, 0].size, group_of_x),
        (grad_weight, to_weight, out[:, 0].size, group_of_out),
    ):
        want, sizes = in_float64(*call)
        assert_near(got, want, sizes, k, precision)
        assert was_rounded(got, want, sizes, k) == (large >= 16)
    assert emu.report() == []


@pytest.mark.parametrize("precision", EPSILON)
def test_transposed_convolution_adds_its_bias(emu, run, precision):
    rng = np.random.default_rng(1)
    x, weight, bias = (rng.standard_normal(s).astype(np.float32) for s in ((2, 20, 5, 6), (20, 17, 3, 3), (17,)))
    attributes = ((2, 2), (1, 1), (1, 0), (1, 1), 1)
    emu.set_product_precision(precision)
    try:
        got = run("conv_transpose2d", x, weight, bias, *attributes)
    finally:
        emu.set_product_precision("float32")
    want, sizes = in_float64("conv_transpose2d", x, weight, bias, *attributes)
    assert_near(got, want, sizes, weight[:, 0].size, precision)
    assert was_rounded(got, want, sizes, weight[:, 0].size)
    assert emu.report() == []


def test_what_stays_in_float32(emu, run):
    """Depthwise convolutions, and gradients of the input by strides above 4."""
    rng = np.random.default_rng(2)
    x, weight = rng.standard_normal((1, 16, 21, 21)), rng.standard_normal((16, 16, 3, 3))
    depthwise, grad = rng.standard_normal((32, 1, 3, 3)), rng.standard_normal((1, 16, 4, 4))
    x, weight, depthwise, grad = (a.astype(np.float32) for a in (x, weight, depthwise, grad))
    calls = (
        ("conv2d", x, depthwise, None, (1, 1), NONE, ONE, 16, "none", None),
        ("conv2d_bwd_input", grad, weight, (21, 21), (5, 5), NONE, ONE, 1),
    )
    for call in calls:
        want = run(*call)
        emu.set_product_precision("bfloat16")
        try:
            assert run(*call).tobytes() == want.tobytes()
        finally:
            emu.set_product_precision("float32")


@pytest.mark.parametrize("precision", EPSILON)
def test_large_tiles_of_the_gradient_of_weights(emu, run, precision):
    """128 of them: 128 channels by nine taps of 1821."""
    rng = np.random.default_rng(3)
    grad, x = (rng.standard_normal((1, channels, 4, 4)).astype(np.float32) for channels in (128, 1821))
    emu.set_product_precision(precision)
    try:
        got = run("conv2d_bwd_weight", grad, x, (3, 3), ONE, (1, 1, 1, 1), ONE, 1)
    finally:
        emu.set_product_precision("float32")
    want, sizes = in_float64("conv2d_bwd_weight", grad, x, (3, 3), ONE, (1, 1, 1, 1), ONE, 1)
    assert_near(got, want, sizes, 16, precision)
    assert was_rounded(got, want, sizes, 16)
    assert emu.report() == []


@pytest.mark.parametrize("precision", EPSILON)
@pytest.mark.parametrize("channels", [20, 700], ids=["whole", "cut"])
@pytest.mark.parametrize("kernel", [1, 3])
def test_a_residual_is_added_before_the_activation(emu, run, precision, channels, kernel):
    rng = np.random.default_rng(4)
    shapes = ((1, channels, 6, 5), (17, channels, kernel, kernel), (17,), (1, 17, 6, 5))
    x, weight, bias, residual = (rng.standard_normal(s).astype(np.float32) for s in shapes)
    attributes = (ONE, (kernel // 2,) * 4, ONE, 1)
    emu.set_product_precision(precision)
    try:
        got = run("conv2d", x, weight, bias, *attributes, "relu", residual)
    finally:
        emu.set_product_precision("float32")
    want, sizes = in_float64("conv2d", x, weight, bias, *attributes, "none", residual)
    assert_near(got, np.maximum(want, 0), sizes, weight[0].size, precision)
    assert emu.report() == []
