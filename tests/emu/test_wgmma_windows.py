"""Convolution and the gradient of its input by warpgroups (compute capability 9.0), against float64 and without a
finding: windows, strides, phases, groups, edges of tiles, cut sums, and who goes there at all."""

from __future__ import annotations

import numpy as np
import pytest

from fastdl import emu as emulation

from .test_conv_precision import NONE, ONE, in_float64, setting
from .test_product_precision import EPSILON, assert_near

pytestmark = pytest.mark.usefixtures("_hopper", "_finds_nothing")
SAME = (1, 1, 1, 1)


# batch, channels, height, width, out channels, kernel, stride, padding, dilation, groups
CONVOLUTIONS = {
    "3x3": (2, 48, 8, 7, 66, (3, 3), ONE, SAME, ONE, 1),
    "ragged channels": (1, 41, 9, 9, 40, (3, 3), ONE, SAME, ONE, 1),
    "two panels": (1, 100, 9, 8, 36, (2, 3), ONE, (1, 0, 2, 1), ONE, 1),
    "stride": (2, 48, 17, 15, 50, (3, 3), (2, 2), SAME, ONE, 1),
    "unequal strides and dilation": (1, 64, 24, 19, 64, (3, 2), (3, 1), (2, 0, 1, 3), (2, 3), 1),
    "1x1 at a stride": (3, 64, 11, 10, 130, (1, 1), (2, 2), NONE, ONE, 1),
    "groups": (2, 96, 7, 6, 80, (3, 3), ONE, SAME, ONE, 2),
    "more padding than image": (1, 64, 3, 4, 64, (3, 3), ONE, (4, 5, 3, 4), ONE, 1),
    "cut": (1, 300, 8, 8, 40, (3, 3), ONE, SAME, ONE, 1),
    "a line": (1, 64, 1, 200, 70, (1, 5), ONE, (0, 0, 2, 2), ONE, 1),
}


def profiled(run, *call):
    """The result, and the names of the kernels that multiplied."""
    with emulation.profile() as profile:
        got = run(*call)
    return got, {kernel.kernel.split("<")[0] for kernel in profile.kernels if not kernel.kernel.startswith("prepare")}


@pytest.mark.parametrize("precision", EPSILON)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(emu, run, precision, name):
    (x, weight, bias), attributes = setting(name, CONVOLUTIONS)
    emu.set_product_precision(precision)
    call = ("conv2d", x, weight, bias, *attributes, "none", None)
    got, used = profiled(run, *call)
    assert "wgmma_windows" in used
    want, sizes = in_float64(*call)
    assert_near(got, want, sizes, weight[0].size, precision)


@pytest.mark.parametrize("precision", EPSILON)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_gradient_of_the_input(emu, run, precision, name):
    (x, weight, bias), attributes = setting(name, CONVOLUTIONS)
    out_shape = in_float64("conv2d", x, weight, bias, *attributes, "none", None)[0].shape
    grad = np.random.default_rng(0).standard_normal(out_shape).astype(np.float32)
    emu.set_product_precision(precision)
    call = ("conv2d_bwd_input", grad, weight, x.shape[2:], *attributes)
    got = run(*call)
    want, sizes = in_float64(*call)
    assert_near(got, want, sizes, weight[: len(weight) // attributes[-1], 0].size, precision)


@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (1, 3)], ids=str)
def test_phases_of_the_gradient_go_there_too(emu, run, stride):
    """Of two taps in steps of three one phase has none: it writes zeros."""
    rng = np.random.default_rng(1)
    grad, weight = (rng.integers(-8, 9, shape).astype(np.float32) for shape in ((2, 64, 6, 6), (64, 64, 2, 2)))
    size = tuple(5 * s + 2 for s in stride)
    emu.set_product_precision("bfloat16")
    call = ("conv2d_bwd_input", grad, weight, size, stride, NONE, ONE, 1)
    got, used = profiled(run, *call)
    assert "wgmma_windows" in used
    np.testing.assert_array_equal(got, in_float64(*call)[0])


@pytest.mark.parametrize("precision", EPSILON)
def test_transposed_convolution_adds_its_bias(emu, run, precision):
    rng = np.random.default_rng(1)
    x, weight, bias = (rng.standard_normal(s).astype(np.float32) for s in ((2, 64, 7, 9), (64, 40, 3, 3), (40,)))
    call = ("conv_transpose2d", x, weight, bias, (2, 2), (1, 1), (1, 0), (1, 1), 1)
    emu.set_product_precision(precision)
    got, used = profiled(run, *call)
    assert "wgmma_windows" in used
    want, sizes = in_float64(*call)
    assert_near(got, want, sizes, weight[:, 0].size, precision)


@pytest.mark.parametrize("activation", ["none", "relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("channels", [48, 600], ids=["whole", "cut"])
@pytest.mark.parametrize(("kernel", "kernel_name"), [(1, "wgmma_product"), (3, "wgmma_windows")], ids=["1x1", "3x3"])
@pytest.mark.parametrize("width", [8, 7], ids=["pairs", "odd planes"])
def test_bias_residual_and_activation(emu, run, activation, channels, kernel, kernel_name, width):
    rng = np.random.default_rng(4)
    shapes = ((2, channels, 5, width), (66, channels, kernel, kernel), (66,), (2, 66, 5, width))
    x, weight, bias, residual = (rng.standard_normal(s).astype(np.float32) for s in shapes)
    attributes = (ONE, (kernel // 2,) * 4, ONE, 1)
    emu.set_product_precision("tf32")
    got, used = profiled(run, "conv2d", x, weight, bias, *attributes, activation, residual)
    assert kernel_name in used
    want, sizes = in_float64("conv2d", x, weight, bias, *attributes, "none", residual)
    activate = {"none": lambda v: v, "relu": lambda v: np.maximum(v, 0), "tanh": np.tanh}
    activate["sigmoid"] = lambda v: 1 / (1 + np.exp(-v))
    assert_near(got, activate[activation](want), sizes, weight[0].size, "tf32")  # no activation is steeper than 1


@pytest.mark.parametrize("precision", EPSILON)
@pytest.mark.parametrize(("channels", "pixels", "tile"), [(260, (46, 44), "128, 256"), (64, (20, 20), "64, 256"),
                                                          (128, (9, 8), "128, 128")])  # fmt: skip
def test_every_tile(emu, run, precision, channels, pixels, tile):
    """Small integers are exact, so one wrong place would show."""
    rng = np.random.default_rng(0)
    shapes = ((6 if channels == 260 else 1, 40, *pixels), (channels, 40, 1, 3))
    x, weight = (rng.integers(-4, 5, shape).astype(np.float32) for shape in shapes)
    emu.set_product_precision(precision)
    call = ("conv2d", x, weight, None, ONE, (0, 0, 1, 1), ONE, 1, "none", None)
    got = run(*call)
    assert any(name.startswith("wgmma_windows") and tile in name for name in emu.kernels_run())
    np.testing.assert_array_equal(got, in_float64(*call)[0])


@pytest.mark.parametrize(
    ("x", "weight", "stride", "padding"),
    [
        ((1, 64, 8, 8), (32, 64, 3, 3), ONE, SAME),  # few rows
        ((1, 64, 7, 7), (64, 64, 3, 3), ONE, SAME),  # few pixels
        ((1, 16, 9, 9), (64, 16, 3, 3), ONE, SAME),  # channels that fill a quarter of a panel
        ((1, 64, 100, 3), (64, 64, 1, 1), (9, 1), (0, 0, 60, 60)),  # steps that the copy engine has no bits for
        ((1, 64, 4, 4), (64, 64, 1, 3), ONE, (130, 0, 1, 1)),  # likewise corners
    ],
    ids=["rows", "pixels", "channels", "stride", "padding"],
)
def test_what_goes_by_warps(emu, run, x, weight, stride, padding):
    rng = np.random.default_rng(0)
    x, weight = (rng.integers(-4, 5, shape).astype(np.float32) for shape in (x, weight))
    emu.set_product_precision("bfloat16")
    call = ("conv2d", x, weight, None, stride, padding, ONE, 1, "none", None)
    got, used = profiled(run, *call)
    assert "mma_windows" in used
    np.testing.assert_array_equal(got, in_float64(*call)[0])


def test_infinite_weights_stay_with_their_tap(emu, run):
    """A panel of channels that do not fill it holds zeros, not the next tap's."""
    rng = np.random.default_rng(0)
    x, weight = (rng.integers(1, 5, shape).astype(np.float32) for shape in ((1, 40, 9, 8), (64, 40, 1, 2)))
    weight[:, :, :, 1] = np.inf
    emu.set_product_precision("bfloat16")
    got = run("conv2d", x, weight, None, ONE, NONE, ONE, 1, "none", None)
    assert np.isposinf(got).all()


def test_results_are_written_in_whole_sectors(emu, run):
    rng = np.random.default_rng(0)
    x, weight, residual = (
        rng.standard_normal(shape).astype(np.float32) for shape in ((2, 64, 16, 16), (64, 64, 3, 3), (2, 64, 16, 16))
    )
    emu.set_product_precision("bfloat16")
    with emulation.profile() as profile:
        run("conv2d", x, weight, None, ONE, SAME, ONE, 1, "relu", residual)
    lines = [line for line in profile.lines if line.kernel.startswith("wgmma_windows") and line.space == "global"]
    for kind in ("read", "write"):
        moved = [line for line in lines if line.kind == kind and line.bytes == 8]
        assert moved
        assert sum(line.units for line in moved) <= 1.1 * sum(line.ideal for line in moved)
