"""Convolutions as plans run them: with a residual in the kernel, and with weights packed or transformed beforehand."""

import numpy as np
import pytest

import fastdl
import fastdl.functional as F
from fastdl import backends, nn
from fastdl.backends import reference
from fastdl.backends.reference.matmul import activate
from fastdl.functional.conv import same_padding
from fastdl.plan import passes, trace
from fastdl.plan.lower import record_graph
from fastdl.testing import assert_close

from .cases.conv2d import SIZES, size

PLANNED = [
    *(s for s in SIZES if len(s["x"]) == 4),
    # lanes = channels: pixels of several images, blocks and parts of the sum, channels left over, strides, groups
    size((3, 70, 7, 7), (37, 70, 1, 1)),
    size((1, 300, 15, 15), (48, 300, 1, 1)),
    size((2, 96, 13, 14), (33, 96, 3, 3), stride=2, padding=1),
    size((1, 128, 9, 11), (64, 64, 1, 1), groups=2),
    size((1, 700, 8, 9), (18, 700, 1, 1), bias=False),
    # Winograd of few tiles, whose weights would not be kept in a call
    size((1, 160, 7, 7), (192, 160, 3, 3), padding=1),
    # ... of them in tiles of 2x2: planes of odd sizes, channels left over, several images, groups
    size((1, 131, 5, 9), (150, 131, 3, 3), padding=1),
    size((2, 130, 6, 5), (129, 130, 3, 3), padding=(0, 1), bias=False),
    size((1, 260, 4, 7), (262, 130, 3, 3), padding=2, groups=2),
    # Strassen's algorithm: several images, an odd number of pixels in groups, taps that meet padding, strides, and sums
    # in several parts
    size((2, 256, 14, 14), (128, 256, 1, 1)),
    size((1, 512, 15, 13), (256, 256, 1, 1), groups=2),
    size((1, 66, 16, 17), (128, 66, 3, 3), dilation=2, padding=2),
    size((1, 600, 21, 23), (128, 600, 1, 1), stride=2),
    size((1, 1040, 10, 11), (192, 1040, 1, 1), bias=False),
]
ALGORITHMS = ("auto", "direct", "winograd")


@pytest.fixture(params=ALGORITHMS)
def algorithm(request):
    cpu = backends.get("cpu")
    before = cpu.get_conv_algorithm()
    cpu.set_conv_algorithm(request.param)
    yield request.param
    cpu.set_conv_algorithm(before)


def attributes(s):
    """Of the backend's function."""
    stride, dilation = (v if isinstance(v, tuple) else (v, v) for v in (s.get("stride", 1), s.get("dilation", 1)))
    padding = s.get("padding", 0)
    if padding == "same":
        return stride, same_padding(s["weight"][2:], stride, dilation), dilation, s.get("groups", 1)
    rows, columns = (0, 0) if padding == "valid" else padding if isinstance(padding, tuple) else (padding, padding)
    return stride, (rows, rows, columns, columns), dilation, s.get("groups", 1)


def arrays(s, dtype, seed=0):
    """Input, weight, bias and a residual, in NumPy."""
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal(s["x"]).astype(dtype), rng.standard_normal(s["weight"]).astype(dtype)
    b = rng.standard_normal(s["weight"][0]).astype(dtype) if s.get("bias", True) else None
    shape = reference.conv2d(x[:0], w, b, *attributes(s), "none", None).shape
    return x, w, b, rng.standard_normal((len(x), *shape[1:])).astype(dtype)


def expect_close(got, want, sums):
    """Within the error that is allowed for Winograd's transforms of sums of this size."""
    largest = max(1.0, float(np.abs(sums).max(initial=0.0)))
    np.testing.assert_allclose(got, want, rtol=0, atol=(6e-6 if got.dtype == np.float32 else 1e-13) * largest)


@pytest.mark.parametrize("activation, dtype", [("relu", "float32"), ("sigmoid", "float64"), ("none", "float32")])
@pytest.mark.parametrize("s", [s for s in SIZES if len(s["x"]) == 4], ids=str)
def test_a_residual_is_added_before_the_activation(s, activation, dtype, device):
    backend = backends.get(device)
    x, w, b, r = arrays(s, dtype)
    put = lambda a: None if a is None else backend.from_numpy(a, True)  # noqa: E731
    got = backend.to_numpy(backend.conv2d(put(x), put(w), put(b), *attributes(s), activation, put(r)))
    sums = reference.conv2d(x, w, b, *attributes(s), "none", r)
    expect_close(got, np.asarray(activate(sums, activation)), sums)


ACTIVATIONS = ["relu6", "sigmoid", "tanh", "silu", "hardsigmoid", "hardswish"]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("with_residual", [False, True])
@pytest.mark.parametrize("s", PLANNED, ids=str)
def test_every_kernel_applies_every_activation(s, with_residual, activation, algorithm):
    """Sums are stretched over the bends of hard activations; NaN stays."""
    cpu = backends.get("cpu")
    x, w, b, r = arrays(s, "float32")
    x.flat[:1] = np.nan
    put = lambda a: None if a is None else cpu.from_numpy(a, True)  # noqa: E731
    args = (put(x), put(w), put(b), *attributes(s))
    sums = cpu.to_numpy(cpu.conv2d(*args, "none", put(r) if with_residual else None))
    got = cpu.to_numpy(cpu.conv2d(*args, activation, put(r) if with_residual else None))
    want = np.asarray(activate(sums.astype(np.float64), activation))
    scale = np.nanmax(np.abs(sums), initial=1.0)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6 * scale)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("s", PLANNED, ids=str)
def test_prepared_weights_give_the_same(s, dtype, algorithm):
    """With and without a residual, on other inputs than those of the recording."""
    cpu = backends.get("cpu")
    x, w, b, r = (None if a is None else cpu.from_numpy(a, True) for a in arrays(s, dtype))
    for isa in {cpu.isa_levels()[0], cpu.best_isa()}:
        cpu.set_isa(isa)
        prepared = cpu.conv2d_prepare(x.shape, w, b, *attributes(s))
        if prepared is None:
            continue
        for threads in (1, 2):
            cpu.set_num_threads(threads)
            for residual, activation in ((None, "none"), (r, "relu"), (r, "silu")):
                args = (x, w, b, *attributes(s), activation, residual)
                got, want = cpu.to_numpy(cpu.conv2d_prepared(*args, prepared)), cpu.to_numpy(cpu.conv2d(*args))
                expect_close(got, want, want)


@pytest.fixture
def on_vectors():
    """Not on the tile unit, which has a kernel of its own for these shapes."""
    cpu = backends.get("cpu")
    cpu.set_isa([isa for isa in cpu.isa_levels() if isa != "amx"][-1])


@pytest.mark.parametrize("batch, numbers, error", [(1, 16, 2e-6), (8, 36, 6e-6)])
def test_few_tiles_keep_sixteen_numbers_for_a_kernel(batch, numbers, error, on_vectors):
    """Tiles of 2x2 where weights from memory take the time, tiles of 4x4 where products do; both exact."""
    cpu = backends.get("cpu")
    x, w, b, _ = arrays(size((batch, 128, 7, 7), (144, 128, 3, 3), padding=1), "float32")
    put = lambda a: cpu.from_numpy(a, True)  # noqa: E731
    rest = attributes(size(x.shape, w.shape, padding=1))
    prepared = cpu.conv2d_prepare(x.shape, put(w), put(b), *rest)
    assert prepared.size == 16 + numbers * 144 * 128
    got = cpu.to_numpy(cpu.conv2d_prepared(put(x), put(w), put(b), *rest, "none", None, prepared))
    want = reference.conv2d(x.astype("float64"), w.astype("float64"), b.astype("float64"), *rest, "none", None)
    assert np.abs(got - want).max() < error * np.abs(want).max()


STRASSEN = [
    size((1, 512, 14, 14), (256, 512, 1, 1)),
    size((1, 1024, 15, 15), (128, 1024, 1, 1)),
    size((1, 130, 28, 27), (256, 130, 3, 3), stride=2, padding=1, dilation=2),
]


def prepared_conv2d(x, w, b, s):
    """By weights prepared for the shape of x."""
    cpu = backends.get("cpu")
    x, w, b = (cpu.from_numpy(a, True) for a in (x, w, b))
    prepared = cpu.conv2d_prepare(x.shape, w, b, *attributes(s))
    return cpu.to_numpy(cpu.conv2d_prepared(x, w, b, *attributes(s), "none", None, prepared)), prepared.size


@pytest.mark.parametrize("data", ["normal", "after relu", "large mean"])
@pytest.mark.parametrize("s", STRASSEN, ids=str)
def test_strassen_is_exact(s, data, on_vectors):
    """Seven products of halves for eight of them."""
    x, w, b, _ = arrays(s, "float32")
    x = np.maximum(x, 0) if data == "after relu" else x + 10 if data == "large mean" else x
    got, numbers = prepared_conv2d(x, w, b, s)
    assert numbers == 16 + w.size * 7 // 4
    want = reference.conv2d(*(a.astype("float64") for a in (x, w, b)), *attributes(s), "none", None)
    assert np.abs(got - want).max() < 3e-6 * np.abs(want).max()


@pytest.mark.parametrize("isa", backends.get("cpu").isa_levels())
@pytest.mark.parametrize("s", STRASSEN, ids=str)
def test_images_are_kept_apart(s, isa):
    """Strassen's sums mix the halves of an image: nothing may reach another image, whatever the number of threads."""
    x, w, b, _ = arrays({**s, "x": (3, *s["x"][1:])}, "float32")
    x[0], x[2] = np.nan, x[2] * 1e15
    cpu = backends.get("cpu")
    cpu.set_isa(isa)
    alone, _ = prepared_conv2d(x[1:2], w, b, s)
    for threads in (1, 2, 3):
        cpu.set_num_threads(threads)
        together, _ = prepared_conv2d(x, w, b, s)
        assert (together[1] == alone[0]).all()
        assert np.isnan(together[0]).all()


def test_strassen_is_of_the_automatic_choice_alone(algorithm, on_vectors):
    x, w, b, _ = arrays(STRASSEN[0], "float32")
    _, numbers = prepared_conv2d(x, w, b, STRASSEN[0])
    assert (numbers == 16 + w.size * 7 // 4) == (algorithm == "auto")


def test_prepared_weights_are_left_aside_under_other_settings():
    """A recording whose settings change runs with the weights as they are."""
    cpu = backends.get("cpu")
    w = fastdl.randn(32, 24, 3, 3)
    x = fastdl.randn(1, 24, 12, 12)
    recording = record_graph(trace(lambda x: F.conv2d(x, w, padding=1), x))
    assert len(recording.prepared) == 1

    def run():
        return cpu.to_numpy(recording.recorded.run([x._array])[0])

    first = run()
    try:
        cpu.set_conv_algorithm("direct")
        assert run().tobytes() == F.conv2d(x, w, padding=1).numpy().tobytes()
        cpu.set_conv_algorithm("auto")
        cpu.set_isa("baseline")
        assert run().tobytes() == F.conv2d(x, w, padding=1).numpy().tobytes()
    finally:
        cpu.set_conv_algorithm("auto")
        cpu.set_isa(cpu.best_isa())
    assert run().tobytes() == first.tobytes()


def test_bad_arguments_are_refused(device):
    backend = backends.get(device)
    x, w = (backend.from_numpy(np.ones(s, "float32"), True) for s in ((2, 3, 4, 4), (5, 3, 1, 1)))
    rest = ((1, 1), (0, 0, 0, 0), (1, 1), 1)
    for shape, dtype, error, text in (
        (
            (2, 5, 4, 1),
            "float32",
            ValueError,
            r"\[conv2d\] expected residual of shape \(2, 5, 4, 4\), got shape \(2, 5, 4, 1\)",
        ),
        ((5, 4, 4), "float32", ValueError, r"\[conv2d\] expected residual of shape"),
        ((2, 5, 4, 4), "float64", TypeError, r"\[conv2d\] expected residual of dtype float32, got float64"),
    ):
        residual = backend.from_numpy(np.ones(shape, dtype), True)
        with pytest.raises(error, match=text):
            backend.conv2d(x, w, None, *rest, "none", residual)
    if device != "cpu":
        return
    with pytest.raises(ValueError, match=r"\[conv2d_prepared\] expected weights that conv2d_prepare made"):
        backend.conv2d_prepared(x, w, None, *rest, "none", None, w)
    with pytest.raises(
        ValueError, match=r"\[conv2d_prepare\] expected an input of 4 dimensions, got shape \(3, 4, 4\)"
    ):
        backend.conv2d_prepare((3, 4, 4), w, None, *rest)


# ---- passes ----------------------------------------------------------------------------------------------------------

W, V = (fastdl.tensor(np.random.default_rng(i).standard_normal((4, 4, 3, 3)), dtype=fastdl.float32) for i in (1, 2))


def conv(x, w=W):
    return F.conv2d(x, w, padding=1)


FUSED = {
    "residual": (lambda x: (conv(x) + x).relu(), ["conv2d"]),
    "the other way round": (lambda x: (x + conv(x)).relu(), ["conv2d"]),
    "in place": (lambda x: F.relu_(conv(x).add_(x)), ["conv2d"]),
    "two convolutions": (lambda x: (conv(x) + conv(x, V)).sigmoid(), ["conv2d", "conv2d"]),
    "a sum of three": (lambda x: conv(x) + conv(x, V) + conv(x.exp()), ["conv2d", "conv2d", "exp", "conv2d"]),
    "a shortcut made later": (lambda x: (conv(x) + x.exp().sqrt()).relu(), ["exp", "sqrt", "conv2d"]),
    "a constant": (lambda x: (conv(x) + fastdl.arange(200.0).reshape(2, 4, 5, 5)).relu(), ["conv2d"]),
    "blocks": (lambda x: conv((conv(x) + x).relu(), V) + x, ["conv2d", "conv2d"]),
    "broadcast": (lambda x: conv(x) + x[:, :, :1, :1], ["conv2d", "slice", "add"]),
    "used twice": (lambda x: (lambda y: y + y.exp())(conv(x)), ["conv2d", "exp", "add"]),
    "doubled": (lambda x: (lambda y: y + y)(conv(x)), ["conv2d", "add"]),
    "activated first": (lambda x: conv(x).relu() + x, ["conv2d", "add"]),
    "scaled after": (lambda x: (conv(x) + x) * 2.0, ["conv2d", "mul_scalar"]),
}


@pytest.mark.parametrize("name", FUSED)
def test_sums_are_fused(name):
    network, functions = FUSED[name]
    x, other = fastdl.randn(2, 4, 5, 5), fastdl.randn(2, 4, 5, 5)
    graph = passes.optimize(trace(network, x))
    assert [node.function for node in graph.nodes if node.function != "reshape"] == functions
    plan = fastdl.compile(network, x)
    for inputs in (other, x, other):
        assert_close(plan(inputs), network(inputs.clone()), 512)


class Block(nn.Module):
    def __init__(self, channels, out, stride):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(out, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out))
        self.short = nn.Conv2d(channels, out, 1, stride) if stride > 1 or channels != out else nn.Identity()

    def forward(self, x):
        return F.relu(self.second(self.first(x)) + self.short(x))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_residual_network(threads, algorithm):
    """Every block is as many kernels as it has convolutions, and no array is written while another one needs it."""
    fastdl.set_num_threads(threads)
    model = nn.Sequential(
        Block(16, 16, 1), Block(16, 32, 2), Block(32, 32, 1), Block(32, 80, 2), Block(80, 80, 1)
    ).eval()
    x = fastdl.randn(2, 16, 20, 20)
    plan = fastdl.compile(model, x)
    kernels = [node.function for node in plan.graph.nodes if node.function not in ("permute", "reshape")]
    assert [name.removesuffix("_nchwc") for name in kernels] == ["conv2d"] * 12
    for _ in range(2):
        x = fastdl.randn(2, 16, 20, 20)
        with fastdl.no_grad():
            assert_close(plan(x), model(x), 4096)


def test_prepared_weights_count_and_are_shared_by_recordings():
    model = nn.Conv2d(32, 64, 1).eval()
    plan = fastdl.compile(model, fastdl.randn(1, 32, 6, 6))
    plain = 4 * (32 * 64 + 64)
    assert plan.memory()["weights"] >= 2 * plain - 4 * 64
    first = plan._latest().prepared
    plan(fastdl.randn(1, 32, 6, 6))
    assert plan._latest().prepared[0] is first[0]
