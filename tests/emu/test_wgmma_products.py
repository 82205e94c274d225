"""Products by warpgroups (compute capability 9.0) against float64, in every order of threads and without a finding."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from fastdl import backends

from .test_product_precision import EPSILON, assert_near

pytestmark = pytest.mark.usefixtures("_hopper", "_finds_nothing")


def used_warpgroups(emu: ModuleType, tile: str = "") -> bool:
    """Whether the kernel has run since the module was imported."""
    return any(name.startswith(f"wgmma_product<WgmmaTile<{tile}") for name in emu.kernels_run())


NUMBERS = {"tf32": "tfloat32", "bfloat16": "bfloat16", "float16": "float16"}
MATRICES = [  # a, b, trans_a, trans_b
    ((64, 16), (16, 64), False, False),
    ((65, 130), (130, 70), False, False),  # ragged in all directions
    ((130, 65), (71, 130), True, True),
    ((300, 70), (280, 70), False, True),  # more tiles than blocks
    ((128, 1500), (1500, 128), False, False),  # k is cut
    ((2, 1, 66, 40), (3, 40, 72), False, False),  # batches that broadcast
    ((70, 64), (3, 70, 65), True, False),
]


@pytest.mark.parametrize("precision", EPSILON)
@pytest.mark.parametrize(("a", "b", "trans_a", "trans_b"), MATRICES, ids=str)
def test_products_of_matrices(emu, run, precision, a, b, trans_a, trans_b):
    rng = np.random.default_rng(sum(a))
    x, y = rng.standard_normal(a).astype(np.float32), rng.standard_normal(b).astype(np.float32)
    emu.set_product_precision(precision)
    got = run("matmul", x, y, trans_a, trans_b)
    assert used_warpgroups(emu, NUMBERS[precision])
    x64, y64 = x.astype(np.float64), y.astype(np.float64)
    x64, y64 = x64.swapaxes(-1, -2) if trans_a else x64, y64.swapaxes(-1, -2) if trans_b else y64
    assert_near(got, x64 @ y64, np.abs(x64) @ np.abs(y64), x64.shape[-1], precision)


@pytest.mark.parametrize("precision", EPSILON)
@pytest.mark.parametrize(("rows", "columns", "tile"), [(2000, 2000, "128, 256"), (64, 500, "64, 256")])
def test_other_tiles(emu, run, precision, rows, columns, tile):
    """Large ones where they fill a device, wide ones for few rows. Small integers are exact: a wrong place shows."""
    rng = np.random.default_rng(0)
    x, y = (rng.integers(-8, 9, shape).astype(np.float32) for shape in ((rows, 24), (24, columns)))
    emu.set_product_precision(precision)
    np.testing.assert_array_equal(run("matmul", x, y, False, False), x @ y)
    assert used_warpgroups(emu, f"{NUMBERS[precision]}, {tile}>")


@pytest.mark.parametrize("precision", EPSILON)
@pytest.mark.parametrize("activation", ["none", "relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("shape", [(77, 100, 95), (64, 1100, 66)], ids=["whole", "cut"])
def test_linear_layers(emu, run, precision, activation, shape):
    rows, k, out = shape
    rng = np.random.default_rng(k)
    x, weight, bias = (rng.standard_normal(s).astype(np.float32) for s in ((rows, k), (out, k), (out,)))
    emu.set_product_precision(precision)
    got = run("linear", x, weight, bias, activation)
    want = x.astype(np.float64) @ weight.T.astype(np.float64) + bias
    activate = {"none": lambda v: v, "relu": lambda v: np.maximum(v, 0), "tanh": np.tanh}
    activate["sigmoid"] = lambda v: 1 / (1 + np.exp(-v))
    sizes = np.abs(x.astype(np.float64)) @ np.abs(weight.T) + np.abs(bias)
    assert_near(got, activate[activation](want), sizes, k, precision)  # no activation is steeper than 1


@pytest.mark.parametrize(("rows", "columns"), [(63, 64), (64, 63), (16, 200)])
def test_narrow_products_go_by_warps(emu, run, rows, columns):
    rng = np.random.default_rng(0)
    x, y = (rng.integers(-8, 9, shape).astype(np.float32) for shape in ((rows, 40), (40, columns)))
    emu.set_product_precision("tf32")
    results = []
    for architecture in (80, 90):
        emu.set_architecture(architecture)
        results.append(run("matmul", x, y, False, False))
    np.testing.assert_array_equal(results[0], x @ y)
    assert results[0].tobytes() == results[1].tobytes()


@pytest.mark.parametrize("precision", EPSILON)
def test_convolution_with_windows_of_one_pixel(emu, run, precision):
    """Pixels of images that stand one after another are columns of one matrix."""
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((3, 40, 7, 5)), rng.standard_normal((66, 40, 1, 1))
    x, weight, bias = (a.astype(np.float32) for a in (x, weight, rng.standard_normal(66)))
    attributes = ((1, 1), (0, 0, 0, 0), (1, 1), 1)
    emu.set_product_precision(precision)
    got = run("conv2d", x, weight, bias, *attributes, "relu", None)
    conv2d = backends.get("reference").conv2d
    want = conv2d(*(a.astype(np.float64) for a in (x, weight, bias)), *attributes, "relu", None)
    sizes = conv2d(*(np.abs(a).astype(np.float64) for a in (x, weight, bias)), *attributes, "none", None)
    assert_near(got, want, sizes, 40, precision)
