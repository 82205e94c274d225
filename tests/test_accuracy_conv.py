"""How exact Winograd convolution is: the largest error against float64 is at most 6e-6 of the largest output, for every
size of tile, for many channels, and for data far from zero, where the sums of the transforms cancel."""

import numpy as np
import pytest

from fastdl import backends

CPU, REFERENCE = backends.get("cpu"), backends.get("reference")
DATA = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "after relu": lambda rng, shape: np.maximum(rng.standard_normal(shape), 0),
    "large mean": lambda rng, shape: np.maximum(rng.standard_normal(shape) + 5, 0),
}
# channels, size, kernel, stride, groups
SHAPES = [
    (512, 12, 2, 1, 1),
    (512, 14, 3, 1, 1),
    (512, 7, 3, 1, 1),
    (512, 10, 4, 1, 1),
    (512, 10, 5, 1, 1),
    (512, 14, 3, 2, 1),
    (512, 12, 7, 1, 1),
    (128, 14, 3, 1, 2),
    (3, 60, 7, 2, 1),
    (3, 63, 11, 4, 1),
    # kernels of one axis: lines of tiles, their views, strides
    (512, 15, (1, 2), 1, 1),
    (512, 12, (3, 1), 1, 1),
    (512, 12, (1, 4), 1, 1),
    (512, 12, (5, 1), 1, 1),
    (512, 17, (1, 7), 1, 1),
    (256, 17, (7, 1), 1, 1),
    (128, 20, (1, 9), 1, 2),
    (128, 25, (3, 1), 2, 1),
    (3, 60, (1, 11), 3, 1),
    # few channels: columns alone
    (3, 40, 3, 1, 1),
    (8, 30, (2, 3), 1, 1),
    (4, 30, (5, 1), 1, 1),
    (6, 30, 4, 1, 3),
]


@pytest.fixture(autouse=True)
def winograd():
    CPU.set_conv_algorithm("winograd")
    yield
    CPU.set_conv_algorithm("auto")


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize(("channels", "size", "kernel", "stride", "groups"), SHAPES)
def test_winograd_is_exact(channels, size, kernel, stride, groups, data):
    rng = np.random.default_rng(0)
    x = DATA[data](rng, (1, channels, size, size)).astype("float32")
    taps = (kernel, kernel) if isinstance(kernel, int) else kernel
    w = rng.standard_normal((16 * groups, channels // groups, *taps)).astype("float32")
    attributes = ((stride, stride), tuple(k // 2 for k in taps for _ in range(2)), (1, 1), groups)
    ours = CPU.to_numpy(CPU.conv2d(CPU.from_numpy(x, False), CPU.from_numpy(w, False), None, *attributes, "none", None))
    exact = REFERENCE.conv2d(x.astype("float64"), w.astype("float64"), None, *attributes, "none", None)
    assert np.abs(ours - exact).max() <= 6e-6 * np.abs(exact).max()


@pytest.mark.parametrize("kernel", [(3, 3), (1, 7), (5, 1)])
def test_direct_switches_winograd_off(kernel):
    rng = np.random.default_rng(0)
    x, w = (
        CPU.from_numpy(rng.standard_normal(s).astype("float32"), False) for s in ((1, 64, 15, 15), (64, 64, *kernel))
    )
    found = []
    for algorithm in ("auto", "winograd", "direct"):
        CPU.set_conv_algorithm(algorithm)
        found.append(CPU.to_numpy(CPU.conv2d(x, w, None, (1, 1), (1, 1, 1, 1), (1, 1), 1, "none", None)))
    auto, winograd, direct = found
    assert np.array_equal(auto, winograd)
    assert not np.array_equal(direct, winograd)


def test_slivers_that_share_their_inputs_are_exact():
    """More transformed inputs than a cache holds, and a last group of one sliver and half of one."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 64, 44, 56)), rng.standard_normal((272, 64, 3, 3))
    expect_exact(x, w, (2, 2), (1, 1, 1, 1))


@pytest.mark.parametrize("channels", [64, 70])
@pytest.mark.parametrize("kernel", [(1, 7), (7, 1)])
def test_lines_whose_weights_are_made_on_the_way_are_exact(kernel, channels):
    """With whole chunks of channels the second view has no weights at the last position."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, channels, 9, 8)), rng.standard_normal((272, channels, *kernel))
    expect_exact(x, w, (1, 1), tuple(k // 2 for k in kernel for _ in range(2)))


def test_an_odd_few_of_slivers_is_exact():
    """Five pairs of blocks of outputs, the last of which is made as two; weights are made on the way."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 80, 9, 10)), rng.standard_normal((160, 80, 3, 3))
    expect_exact(x, w, (1, 1), (1, 1, 1, 1))


def expect_exact(x, w, stride, padding):
    """float32 against float64, where nothing is transformed."""

    def conv(dtype):
        arrays = (CPU.from_numpy(a.astype(dtype), False) for a in (x, w))
        return CPU.to_numpy(CPU.conv2d(*arrays, None, stride, padding, (1, 1), 1, "none", None))

    exact = conv("float64")
    assert np.abs(conv("float32") - exact).max() <= 6e-6 * np.abs(exact).max()


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("kernel", [(2, 2), (3, 3), (5, 5), (1, 3), (7, 1)])
def test_winograd_input_gradients_are_exact(kernel, data):
    rng = np.random.default_rng(0)
    g = DATA[data](rng, (1, 512, 10, 10)).astype("float32")
    w = rng.standard_normal((512, 16, *kernel)).astype("float32")
    attributes = (tuple(9 + k for k in kernel), (1, 1), (0, 0, 0, 0), (1, 1), 1)
    ours = CPU.to_numpy(CPU.conv2d_bwd_input(CPU.from_numpy(g, False), CPU.from_numpy(w, False), *attributes))
    exact = REFERENCE.conv2d_bwd_input(g.astype("float64"), w.astype("float64"), *attributes)
    assert np.abs(ours - exact).max() <= 6e-6 * np.abs(exact).max()


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize(("kernel", "padding"), [(3, 1), (4, 1), (6, 2), (9, 4)])
def test_winograd_gradients_at_strides_are_exact(kernel, padding, data):
    rng = np.random.default_rng(0)
    size = 9 * 2 + kernel - 2 * padding
    g = DATA[data](rng, (1, 256, 10, 10)).astype("float32")
    w = rng.standard_normal((256, 16, kernel, kernel)).astype("float32")
    x = rng.standard_normal((1, 16, size, size)).astype("float32")
    attributes = ((2, 2), (padding,) * 4, (1, 1), 1)
    ours = CPU.to_numpy(
        CPU.conv2d_bwd_input(CPU.from_numpy(g, False), CPU.from_numpy(w, False), (size, size), *attributes)
    )
    exact = REFERENCE.conv2d_bwd_input(g.astype("float64"), w.astype("float64"), (size, size), *attributes)
    assert np.abs(ours - exact).max() <= 6e-6 * np.abs(exact).max()
    hw = (kernel, kernel)
    ours = CPU.to_numpy(CPU.conv2d_bwd_weight(CPU.from_numpy(g, False), CPU.from_numpy(x, False), hw, *attributes))
    exact = REFERENCE.conv2d_bwd_weight(g.astype("float64"), x.astype("float64"), hw, *attributes)
    assert np.abs(ours - exact).max() <= 6e-6 * np.abs(exact).max()


def test_gradients_of_phases_that_lack_a_tap_are_exact():
    """At stride 2 phases have one tap or two, and weights that are made on the way set every product."""
    rng = np.random.default_rng(0)
    g, w = rng.standard_normal((1, 128, 6, 6)), rng.standard_normal((128, 80, 3, 3))

    def gradient(dtype):
        arrays = (CPU.from_numpy(a.astype(dtype), False) for a in (g, w))
        return CPU.to_numpy(CPU.conv2d_bwd_input(*arrays, (11, 11), (2, 2), (1, 1, 1, 1), (1, 1), 1))

    exact = gradient("float64")
    assert np.abs(gradient("float32") - exact).max() <= 6e-6 * np.abs(exact).max()
