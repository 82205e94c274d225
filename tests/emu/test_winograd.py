"""Winograd convolution of 3x3 windows and its gradients on a device: against float64, in every order of threads, cut
into chunks, in graphs; what its accesses cost, and when it is chosen."""

from __future__ import annotations

import numpy as np
import pytest

import fastdl
from bench.gpu import DEVICES
from fastdl import backends, cuda
from fastdl import emu as emulation
from fastdl.functional import conv2d
from fastdl.testing import assert_close

REFERENCE = backends.get("reference")
ONE = (1, 1)
SAME = (1, 1, 1, 1)
MOST = 6e-6  # the error, of the largest result; the bar of tests/test_accuracy_conv.py
EPSILONS = 50  # of the same bar, as in tests/cases/conv2d.py
# batch, channels, height, width, out channels, padding, groups
SHAPES = {
    "odd planes": (2, 3, 7, 9, 4, SAME, 1),
    "one pixel": (1, 1, 1, 1, 1, SAME, 1),
    "one output": (3, 3, 3, 3, 2, (0, 0, 0, 0), 1),
    "rows of one": (2, 3, 1, 12, 5, SAME, 1),
    "33 channels": (2, 33, 5, 6, 33, (0, 0, 0, 0), 1),
    "two of padding": (1, 5, 4, 9, 3, (2, 2, 2, 2), 1),
    "uneven padding": (2, 4, 6, 5, 7, (2, 0, 1, 3), 1),
    "much padding": (1, 2, 2, 3, 3, (5, 4, 0, 6), 1),
    "groups": (2, 6, 8, 8, 10, SAME, 2),
    "whole tiles": (2, 8, 16, 32, 64, SAME, 1),
    "few of many": (1, 70, 9, 9, 1, SAME, 1),
    "empty batch": (0, 3, 6, 6, 2, SAME, 1),
}


@pytest.fixture(autouse=True)
def _winograd(emu):
    emu.set_conv_algorithm("winograd")
    yield
    emu.set_conv_algorithm("auto")
    emu.set_conv_workspace(128 << 20)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def calls(shape: tuple, activation: str = "none", residual: bool = False) -> list[tuple]:
    """The three directions of a convolution, as functions of the surface with arguments."""
    n, c, h, w, o, padding, groups = shape
    x, weight, bias = normal(n, c, h, w), normal(o, c // groups, 3, 3, seed=1), normal(o, seed=2)
    out = (n, o, h + padding[0] + padding[1] - 2, w + padding[2] + padding[3] - 2)
    grad, attributes = normal(*out, seed=3), (ONE, padding, ONE, groups)
    return [
        ("conv2d", x, weight, bias, *attributes, activation, normal(*out, seed=4) if residual else None),
        ("conv2d_bwd_input", grad, weight, (h, w), *attributes),
        ("conv2d_bwd_weight", grad, x, (3, 3), *attributes),
    ]


def expected(name: str, *arguments) -> np.ndarray:
    return getattr(REFERENCE, name)(*(a.astype("float64") if isinstance(a, np.ndarray) else a for a in arguments))


def kernels(run, call: tuple) -> set[str]:
    with emulation.profile() as profile:
        run(*call)
    return {k.kernel.split("<")[0] for k in profile.kernels}


@pytest.mark.usefixtures("_finds_nothing")
@pytest.mark.parametrize("name", SHAPES)
def test_all_directions_in_every_order(emu, run, order, name):
    for call in calls(SHAPES[name]):
        got = run(*call)
        assert_close(got, expected(*call), EPSILONS)
        emu.set_order("ascending", 0)
        assert run(*call).tobytes() == got.tobytes()
        emu.set_order(*order)


ACTIVATIONS = ["none", "relu", "sigmoid", "tanh", "relu6", "silu", "hardsigmoid", "hardswish"]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_bias_residual_and_activation_follow_the_sum(emu, run, activation):
    name, x, weight, *rest = calls((2, 5, 6, 7, 6, SAME, 1), activation, residual=True)[0]
    call = (name, x, weight / np.float32(45**0.5), *rest)  # sums as large as what functions with bounds return
    assert_close(run(*call), expected(*call), EPSILONS)
    assert emu.report() == []


def test_parts_of_k_are_added_before_the_bias(emu, run):
    """512 channels in, three out: 36 blocks, which are too few."""
    call = calls((1, 512, 5, 4, 3, SAME, 1), "relu", residual=True)[0]
    with emulation.profile() as profile:
        assert_close(run(*call), expected(*call), EPSILONS)
    assert [k.blocks for k in profile.kernels if k.kernel.startswith("multiply_points")] == [72]
    assert emu.report() == []


@pytest.mark.parametrize(
    ("shape", "direction"),
    [((1, 5, 80, 84, 128, SAME, 1), 0), ((1, 70, 80, 84, 8, SAME, 1), 1), ((1, 390, 16, 15, 68, SAME, 1), 2)],
    ids=["forward", "input", "weight"],
)
def test_large_tiles_of_products(emu, run, shape, direction):
    """128 of them: 36 positions of more than 64 channels by more than 384 tiles (or channels)."""
    call = calls(shape)[direction]
    with emulation.profile() as profile:
        assert_close(run(*call), expected(*call), EPSILONS)
    assert any(k.kernel.startswith("multiply_points<GemmTile<float, 128, 128") for k in profile.kernels)
    assert emu.report() == []


def test_chunks_of_tiles_change_nothing_but_the_order_of_sums(emu, run):
    """69 tiles: chunks of 32 begin in the middle of rows and images."""
    shape = (3, 6, 14, 22, 7, SAME, 1)
    whole = [run(*call) for call in calls(shape)]
    emu.set_conv_workspace(0)
    cut = [run(*call) for call in calls(shape)]
    assert cut[0].tobytes() == whole[0].tobytes()
    assert cut[1].tobytes() == whole[1].tobytes()
    assert_close(cut[2], expected(*calls(shape)[2]), EPSILONS)
    assert cut[2].tobytes() != whole[2].tobytes()
    assert emu.report() == []
    with pytest.raises(ValueError, match=r"^\[set_conv_workspace\] expected bytes of at least 0, got -1$"):
        emu.set_conv_workspace(-1)


DATA = {
    "normal": lambda a: a,
    "after relu": lambda a: np.maximum(a, 0),
    "large mean": lambda a: np.maximum(a + 5, 0),
}


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("direction", [0, 1, 2], ids=["forward", "input", "weight"])
def test_is_exact(run, data, direction):
    """512 channels are summed; for weights, four images of 16 tiles."""
    shape = [(1, 512, 14, 14, 16, SAME, 1), (1, 16, 14, 14, 512, SAME, 1), (4, 16, 14, 14, 16, SAME, 1)][direction]
    name, x, *rest = calls(shape)[direction]
    call = (name, DATA[data](x), *rest)
    exact = expected(*call)
    assert np.abs(run(*call) - exact).max() <= MOST * np.abs(exact).max()


def test_transposed_convolution_adds_its_bias(emu, run):
    x, weight, bias = normal(2, 5, 6, 7), normal(5, 4, 3, 3), normal(4)
    call = ("conv_transpose2d", x, weight, bias, ONE, ONE, (0, 0), ONE, 1)
    assert "multiply_points" in kernels(run, call)
    assert_close(run(*call), expected(*call), EPSILONS)
    assert emu.report() == []


def test_memory_aligned_to_one_element(emu):
    for name, *arguments in calls(SHAPES["odd planes"], "relu", residual=True):
        given = [emu.shifted(emu.from_numpy(a, False)) if isinstance(a, np.ndarray) else a for a in arguments]
        assert_close(emu.to_numpy(getattr(emu, name)(*given)), expected(name, *arguments), EPSILONS)
    assert emu.report() == []


def test_works_in_a_captured_graph(emu):
    x, w = (fastdl.tensor(a, device="emu") for a in (normal(2, 3, 9, 6), normal(4, 3, 3, 3)))
    conv2d(x, w, padding=1)  # memory for the tiles is there before
    graph = cuda.CUDAGraph(device="emu")
    with cuda.graph(graph):
        out = conv2d(x, w, padding=1)
    other = normal(2, 3, 9, 6, seed=5)
    x.copy_(fastdl.tensor(other, device="emu"))
    graph.replay()
    want = expected("conv2d", other, w.cpu().numpy(), None, ONE, SAME, ONE, 1, "none", None)
    assert_close(out.cpu().numpy(), want, EPSILONS)
    assert emu.report() == []


# ---- the choice ------------------------------------------------------------------------------------------------------


@pytest.fixture(name="architecture")
def _architecture(emu):
    yield emu.set_architecture
    emu.set_architecture(80)


# Microseconds by bench/model.py, direct and by Winograd, of batches of 64 with as many channels out as in.
MODEL = {
    (64, 56): {"A100": (784, 376), "H100": (426, 172), "RTX 4090": (376, 564)},
    (128, 28): {"A100": (836, 318), "H100": (298, 120), "RTX 4090": (234, 286)},
    (256, 28): {"A100": (3345, 1006), "H100": (894, 335), "RTX 4090": (936, 581)},
    (512, 14): {"A100": (3345, 1245), "H100": (1192, 410), "RTX 4090": (936, 523)},
}
ARCHITECTURES = {"A100": 80, "RTX 4090": 89, "H100": 90}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_rates_are_those_of_the_device(emu, architecture, name):
    device = next(d for d in DEVICES if d.name == name)
    architecture(ARCHITECTURES[name])
    assert emu.peak_rates() == pytest.approx((device.flops / 2, device.bandwidth), rel=0.01)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_choice_is_that_of_the_model(emu, architecture, name):
    architecture(ARCHITECTURES[name])
    for (channels, size), times in MODEL.items():
        direct, winograd = emu.conv2d_seconds((64, channels, size, size), (channels, channels, 3, 3), SAME, 1)
        by_model = times[name]
        assert (winograd < direct) == (by_model[1] < by_model[0]), (channels, size)


def test_the_choice_has_a_price_of_3x3_windows_alone(emu):
    with pytest.raises(ValueError, match=r"^\[conv2d_seconds\] expected windows of 3x3, got \(4, 3, 5, 5\)$"):
        emu.conv2d_seconds((1, 3, 9, 9), (4, 3, 5, 5), SAME, 1)
    with pytest.raises(ValueError, match=r"^\[conv2d_seconds\] expected shapes of 4 dimensions, got "):
        emu.conv2d_seconds((3, 9, 9), (4, 3, 3, 3), SAME, 1)


@pytest.mark.parametrize(("name", "chosen"), [("A100", "multiply_points"), ("RTX 4090", "conv_windows")])
def test_auto_asks_what_the_device_can(emu, run, architecture, name, chosen):
    """A convolution whose transforms pay where a byte costs 5 multiply-adds, and not where it costs 41."""
    emu.set_conv_algorithm("auto")
    architecture(ARCHITECTURES[name])
    found = kernels(run, calls((1, 128, 44, 44, 64, SAME, 1))[0])
    assert found & {"multiply_points", "conv_windows"} == {chosen}


def test_auto_leaves_what_is_small_direct(emu, run):
    """Three channels, or one small image."""
    emu.set_conv_algorithm("auto")
    for shape in ((1, 3, 40, 40, 64, SAME, 1), (1, 64, 14, 14, 64, SAME, 1)):
        assert all(kernels(run, call).isdisjoint({"multiply_points"}) for call in calls(shape))


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "dtype"),
    [((3, 3), (2, 1), ONE, "float32"), ((3, 3), ONE, (1, 2), "float32"), ((3, 2), ONE, ONE, "float32"),
     ((3, 3), ONE, ONE, "float64")],
)  # fmt: skip
def test_others_are_direct_without_complaint(run, kernel, stride, dilation, dtype):
    x, weight = normal(1, 3, 9, 8).astype(dtype), normal(4, 3, *kernel).astype(dtype)
    call = ("conv2d", x, weight, None, stride, SAME, dilation, 1, "none", None)
    assert kernels(run, call) == {"conv_windows"}
    assert_close(run(*call), expected(*call), EPSILONS)


def test_depthwise_and_tensor_cores_come_first(emu, run):
    x, weight = normal(1, 16, 8, 8), normal(16, 16, 3, 3)
    assert kernels(run, ("conv2d", x, weight[:, :1].copy(), None, ONE, SAME, ONE, 16, "none", None)) == {
        "depthwise_fwd"
    }
    emu.set_product_precision("tf32")
    try:
        assert "mma_windows" in kernels(run, ("conv2d", x, weight, None, ONE, SAME, ONE, 1, "none", None))
    finally:
        emu.set_product_precision("float32")


def test_the_setting_is_that_of_all_devices(emu):
    for name in ("direct", "winograd", "auto"):
        fastdl.set_conv_algorithm(name)
        assert emu.get_conv_algorithm() == backends.get("cpu").get_conv_algorithm() == name


def test_direct_switches_it_off(emu, run):
    emu.set_conv_algorithm("direct")
    assert all("multiply_points" not in kernels(run, call) for call in calls(SHAPES["odd planes"]))


# ---- what accesses cost ----------------------------------------------------------------------------------------------

MOST_SECTORS = 1.1  # as tests/emu/test_traffic.py has it


@pytest.mark.parametrize("direction", [0, 1, 2], ids=["forward", "input", "weight"])
def test_accesses_are_ideal(run, direction):
    call = calls((2, 64, 16, 32, 64, SAME, 1), "relu", residual=True)[direction]
    with emulation.profile() as profile:
        run(*call)
    assert [str(line) for line in profile.lines if line.space == "shared" and line.units > line.ideal] == []
    for kernel in {line.kernel for line in profile.lines}:
        lines = [line for line in profile.lines if line.kernel == kernel and line.space == "global"]
        units, ideal = sum(line.units for line in lines), sum(line.ideal for line in lines)
        assert units <= MOST_SECTORS * ideal, (kernel, units / ideal)
