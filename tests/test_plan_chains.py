"""Plans that compute chains of convolutions with channels innermost."""

import numpy as np
import pytest

import fastdl
import fastdl.functional as F
from fastdl import backends, models, nn
from fastdl.plan import passes, trace
from fastdl.plan.innermost import channels_innermost
from fastdl.testing import assert_close


@pytest.fixture
def cpu():
    cpu = backends.get("cpu")
    yield cpu
    cpu.set_isa(cpu.best_isa())


def functions(network, *inputs, block=16):
    graph = channels_innermost(passes.optimize(trace(network, *inputs)), block)
    return [node.function for node in graph.nodes if node.function != "reshape"]


def weight(out, channels, kernel, seed):
    return fastdl.tensor(
        np.random.default_rng(seed).standard_normal((out, channels, kernel, kernel)) / channels**0.5,
        dtype=fastdl.float32,
    )


A, B, C = weight(256, 256, 3, 0), weight(256, 256, 1, 1), weight(256, 512, 1, 2)


def conv(x, w=A):
    return F.conv2d(x, w, padding=w.shape[2] // 2)


def two_outputs(x):
    y = conv(conv(x)).relu()
    return conv(y), y


PAIR = ["permute", "conv2d_nchwc", "conv2d_nchwc", "permute"]
NETWORKS = {
    "a chain": (lambda x: conv(conv(x)).relu(), PAIR),
    "a residual": (
        lambda x: conv(conv((conv(x) + x).relu())),
        ["permute", *["conv2d_nchwc"] * 3, "permute"],
    ),
    "pools and a concatenation": (
        lambda x: (lambda y: conv(fastdl.cat([F.max_pool2d(y, 3, 1, 1), F.avg_pool2d(y, 3, 1, 1)], 1), C))(conv(x)),
        ["permute", "conv2d_nchwc", "max_pool2d_nchwc", "avg_pool2d_nchwc", "concat", "conv2d_nchwc", "permute"],
    ),
    "a mean at the end": (
        lambda x: conv(conv(x)).relu().mean((2, 3)),
        ["permute", "conv2d_nchwc", "conv2d_nchwc", "mean"],
    ),
    "a mean that stays": (
        lambda x: F.adaptive_avg_pool2d(conv(conv(x)), 1) * 2,
        ["permute", "conv2d_nchwc", "conv2d_nchwc", "mean", "mul_scalar"],
    ),
    "activations apart": (
        lambda x: (lambda y: conv(F.silu(y) + y.tanh()))(conv(x)),
        ["permute", "conv2d_nchwc", "activation", "tanh", "add", "conv2d_nchwc", "permute"],
    ),
    "indices wanted": (
        lambda x: F.max_pool2d(conv(conv(x)), 2, return_indices=True),
        ["permute", "conv2d_nchwc", "conv2d_nchwc", "permute", "max_pool2d"],
    ),
    "used inside and outside": (two_outputs, ["permute", *["conv2d_nchwc"] * 3, "permute", "permute"]),
    "something else between": (
        lambda x: conv(conv(F.interpolate(conv(conv(x)), scale_factor=2.0))),
        [*PAIR, "upsample_nearest2d", *PAIR],
    ),
    "too little": (lambda x: conv(x[:, :, :1, :1], B), ["slice", "conv2d"]),
    "channels left over": (lambda x: conv(conv(x[:, :250], A[:250, :250]), A[:, :250]), None),
    "weights that are made": (lambda x: conv(x, A * x[0, 0, 0, 0]), None),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_chains_are_computed_with_channels_innermost(name):
    network, expected = NETWORKS[name]
    x, other = fastdl.randn(2, 256, 10, 9), fastdl.randn(2, 256, 10, 9)
    found = functions(network, x)
    assert found == expected if expected else "conv2d_nchwc" not in found
    plan = fastdl.compile(network, x)
    for inputs in (other, x, fastdl.randn(1, 256, 10, 9)):
        made, wanted = (v if isinstance(v, tuple) else (v,) for v in (plan(inputs), network(inputs)))
        for got, want in zip(made, wanted, strict=True):
            assert_close(got, want, 4096)


@pytest.mark.parametrize("kernel, first", [(3, ["conv2d_nchwc"]), (7, ["conv2d", "permute"])])
def test_images_of_few_channels_are_read_as_they_lie(kernel, first):
    """Where there are too few products an output for Winograd."""
    stem = weight(256, 3, kernel, 3)
    network = lambda x: conv(conv(F.conv2d(x, stem, stride=2, padding=kernel // 2).relu()))  # noqa: E731
    x = fastdl.randn(2, 3, 21, 24)
    assert functions(network, x) == [*first, "conv2d_nchwc", "conv2d_nchwc", "permute"]
    assert_close(fastdl.compile(network, x)(x), network(x), 4096)


def test_groups_are_whole_blocks():
    whole, halves = weight(256, 64, 3, 0), weight(256, 8, 3, 1)
    x = fastdl.randn(1, 256, 20, 20)
    assert functions(lambda x: conv(conv(F.conv2d(x, whole, groups=4))), x)[1:4] == ["conv2d_nchwc"] * 3
    assert "conv2d_nchwc" not in functions(lambda x: F.conv2d(x, halves, groups=32), x)
    each = weight(256, 1, 3, 2)
    assert functions(lambda x: conv(conv(F.conv2d(x, each, groups=256))), x)[1:4] == ["conv2d_nchwc"] * 3


@pytest.mark.parametrize("channels", [24, 40, 250])
def test_channels_that_fill_no_block_are_filled_up(channels):
    """Within a chain, where sums with residuals and pools may follow, and at its end."""
    a, b, c = weight(channels, 256, 1, 0), weight(channels, channels, 3, 1), weight(256, channels, 1, 2)
    bias = fastdl.randn(channels)

    def network(x):
        y = F.conv2d(conv(conv(x)), a, bias).sigmoid()
        z = F.avg_pool2d(conv(y, b) + y, 3, 1, 1)
        return F.conv2d(z, c), F.conv2d(z, b, bias, padding=1)

    x = fastdl.randn(2, 256, 16, 15)
    found = functions(network, x)
    assert found.count("conv2d_nchwc") == 6
    assert "slice" in found
    plan = fastdl.compile(network, x)
    for got, want in zip(plan(x), network(x), strict=True):
        assert got.shape == want.shape
        assert_close(got, want, 4096)


def test_too_few_channels_are_not_filled_up():
    few, back = weight(6, 256, 1, 0), weight(256, 6, 1, 1)
    x = fastdl.randn(2, 256, 16, 15)
    assert functions(lambda x: conv(conv(x, few), back), x) == ["conv2d", "conv2d"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_only_float32(dtype):
    w = A.to(getattr(fastdl, dtype))
    x = fastdl.randn(1, 256, 8, 8, dtype=getattr(fastdl, dtype))
    found = functions(lambda x: F.conv2d(F.conv2d(x, w), w), x)
    assert ("conv2d_nchwc" in found) == (dtype == "float32")


@pytest.mark.parametrize("name", ["resnet18", "googlenet", "vgg11_bn", "mobilenet_v2"])
def test_networks(name, cpu):
    """Nearly all convolutions of a network are in one piece, of any instruction set and number of threads."""
    model = models.get_model(name).eval()
    x = fastdl.randn(1, 3, 96, 96)
    with fastdl.no_grad():
        want = model(x)
    plan = fastdl.compile(model)
    for isa in cpu.isa_levels():
        cpu.set_isa(isa)
        outputs = []
        for threads in (1, 2):
            cpu.set_num_threads(threads)
            outputs.append(plan(x).numpy())
        assert outputs[0].tobytes() == outputs[1].tobytes()
        assert np.abs(outputs[0] - want.numpy()).max() < 1e-4 * max(1, np.abs(want.numpy()).max())
        nodes = [node.function for node in plan.graph.nodes]
        assert nodes.count("conv2d") <= 0.2 * nodes.count("conv2d_nchwc")


def test_a_recording_survives_another_instruction_set(cpu):
    layers = nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.Conv2d(128, 128, 3), nn.MaxPool2d(2), nn.Conv2d(128, 64, 3)
    model = nn.Sequential(*layers).eval()
    x = fastdl.randn(1, 64, 24, 24)
    plan = fastdl.compile(model, x)
    recorded = plan._latest().recorded
    assert any(node.function == "conv2d_nchwc" for node in plan.graph.nodes)
    with fastdl.no_grad():
        want = model(x)
    for isa in cpu.isa_levels():
        cpu.set_isa(isa)
        (got,) = recorded.run([x._array])
        np.testing.assert_allclose(cpu.to_numpy(got), want.numpy(), rtol=0, atol=1e-5)


def test_a_profile_counts_their_work():
    plan = fastdl.compile(lambda x: conv(conv(x)), fastdl.randn(1, 256, 12, 12))
    work = {row.function: row.flops for row in plan.profile(repeats=1).rows}
    assert work["conv2d_nchwc"] == 2 * 256 * 256 * 9 * 144


def test_a_first_layer_is_right_on_every_instruction_set(cpu):
    """Its recording has blocks of one of them."""
    image, few = fastdl.randn(2, 3, 10, 9), weight(256, 3, 3, 3)
    network = lambda x: conv(conv(conv(x, few)))  # noqa: E731
    plan, want = fastdl.compile(network, image), network(image)
    for isa in cpu.isa_levels():
        cpu.set_isa(isa)
        assert_close(plan(image), want, 4096)
