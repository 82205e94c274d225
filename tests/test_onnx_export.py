"""Networks written as ONNX files: checked, read again and run by fastdl and by ONNX's reference."""

import copy
import importlib

import numpy as np
import pytest

import fastdl
import fastdl.functional as F
import fastdl.onnx
from fastdl import models, nn, ops
from fastdl.tensor import Tensor

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
from onnx.reference import ReferenceEvaluator  # noqa: E402


class Compute(nn.Module):
    """A function as a network."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


class SelfAttention(nn.Module):
    def __init__(self, size, heads):
        super().__init__()
        self.attention = nn.MultiheadAttention(size, heads, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x)


def image(*shape):
    return fastdl.randn(*(shape or (2, 4, 9, 8)))


def tokens(*shape):
    return fastdl.randint(0, 7, shape)


# Name: what to build, its inputs, and whether the first axis of all of them may be free.
CASES = {
    "linear": (lambda: nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)), [(5, 4)]),
    "linear of sequences": (lambda: nn.Linear(4, 6), [(2, 5, 4)]),
    "conv2d": (lambda: nn.Sequential(nn.Conv2d(4, 6, (3, 2), 2, 1, groups=2), nn.ReLU()), [(2, 4, 9, 8)]),
    "conv2d same": (lambda: nn.Conv2d(4, 6, (4, 3), padding="same", dilation=2, bias=False), [(2, 4, 9, 8)]),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, padding=1), [(2, 4, 9)]),
    "conv_transpose2d": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2), [(2, 4, 5, 6)]),
    "conv_transpose1d": (lambda: nn.ConvTranspose1d(4, 3, 4, 3, dilation=2), [(2, 4, 5)]),
    "max_pool2d": (lambda: nn.MaxPool2d(3, 2, 1), [(2, 4, 9, 8)]),
    "max_pool2d ceil": (lambda: nn.MaxPool2d(3, 2, ceil_mode=True), [(2, 4, 9, 8)]),
    "max_pool2d indices": (lambda: nn.MaxPool2d(2, return_indices=True), [(2, 4, 8, 6)]),
    "max_pool1d": (lambda: nn.MaxPool1d(3, 1, 1), [(2, 4, 9)]),
    "avg_pool2d": (lambda: nn.AvgPool2d(3, 2, 1), [(2, 4, 9, 8)]),
    "avg_pool2d counts": (lambda: nn.AvgPool2d((3, 2), padding=1, count_include_pad=False), [(2, 4, 9, 8)]),
    "avg_pool2d divisor": (lambda: nn.AvgPool2d(2, divisor_override=3), [(2, 4, 9, 8)]),
    "adaptive 1": (lambda: nn.AdaptiveAvgPool2d(1), [(2, 4, 9, 8)]),
    "adaptive even": (lambda: nn.AdaptiveAvgPool2d((3, 4)), [(2, 4, 9, 8)]),
    "adaptive ragged": (lambda: nn.AdaptiveAvgPool2d((5, 7)), [(2, 4, 9, 8)]),
    "adaptive max": (lambda: nn.AdaptiveMaxPool2d((3, 2)), [(2, 4, 9, 8)]),
    "batch_norm": (lambda: nn.Sequential(nn.Conv2d(4, 5, 1), nn.BatchNorm2d(5), nn.ReLU()), [(2, 4, 9, 8)]),
    "batch_norm1d": (lambda: nn.BatchNorm1d(4, affine=False), [(3, 4)]),
    "layer_norm": (lambda: nn.LayerNorm(8), [(2, 4, 8)]),
    "layer_norm of planes": (lambda: nn.LayerNorm((4, 8)), [(2, 4, 8)]),
    "group_norm": (lambda: nn.GroupNorm(2, 4), [(2, 4, 9, 8)]),
    "instance_norm": (lambda: nn.InstanceNorm2d(4, affine=True), [(2, 4, 9, 8)]),
    "rms_norm": (lambda: nn.RMSNorm(8), [(2, 4, 8)]),
    "local_response_norm": (lambda: nn.LocalResponseNorm(5, 0.1), [(2, 7, 5, 5)]),
    "lstm": (lambda: nn.LSTM(4, 5, 2, bidirectional=True), [(3, 2, 4)]),
    "lstm batch_first": (lambda: nn.LSTM(4, 5, batch_first=True), [(3, 2, 4)]),
    "gru": (lambda: nn.GRU(4, 5, bidirectional=True), [(3, 2, 4)]),
    "rnn": (lambda: nn.RNN(4, 5, nonlinearity="relu", bias=False), [(3, 2, 4)]),
    "dropout": (lambda: nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)), [(2, 4)]),
    "flatten": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(24, 2)), [(2, 4, 3, 2)]),
    "upsample nearest": (lambda: nn.Upsample(scale_factor=(2, 3)), [(2, 4, 5, 6)]),
    "upsample bilinear": (lambda: nn.Upsample(size=(11, 7), mode="bilinear"), [(2, 4, 5, 6)]),
    "upsample corners": (lambda: nn.Upsample(size=(9, 13), mode="bilinear", align_corners=True), [(2, 4, 5, 6)]),
    "pixel_shuffle": (lambda: nn.PixelShuffle(2), [(2, 8, 3, 4)]),
    "pad": (lambda: nn.ZeroPad2d((1, 2, 0, 3)), [(2, 4, 5, 6)]),
    "reflect": (lambda: nn.ReflectionPad2d((1, 2, 2, 1)), [(2, 4, 5, 6)]),
    "reflect and cut": (lambda: Compute(lambda a: F.pad(a, (-2, 3, 1, -1), "reflect")), [(2, 4, 5, 6)]),
    "replicate": (lambda: nn.ReplicationPad1d((0, 9)), [(2, 4, 5)]),
    "circular": (lambda: nn.CircularPad2d((1, 2, -1, 0)), [(2, 4, 5, 6)]),
    "order of axes": (
        lambda: Compute(lambda a: (a.flip(0, 2), a.roll((1, -2), (0, 2)), a.roll(-1, 0), a.roll(1, 1))),
        [(2, 3, 4)],
    ),
    "turns": (
        lambda: Compute(lambda a: (*(a.rot90(k, (1, -1)) for k in range(4)), a.diff(dim=1), a.unfold(1, 2, 1))),
        [(2, 3, 4)],
    ),
    "diagonals": (
        lambda: Compute(lambda a: (fastdl.diag_embed(a), fastdl.diag_embed(a, 1), fastdl.diag_embed(a, -2))),
        [(2, 3)],
    ),
    "triangles": (lambda: Compute(lambda a: (a.tril(), a.triu(1))), [(2, 5, 4)]),
    "arithmetic": (
        lambda: Compute(lambda a, b: (a + b) * 2 - a / (b * b + 1) + 3 ** (a / 9) - (1 - b)),
        [(2, 3), (2, 3)],
    ),
    "powers": (
        lambda: Compute(lambda a: (a.abs() + 1).sqrt() + (a * a + 1).rsqrt() + a.square() + a.abs() ** 1.5),
        [(2, 3)],
    ),
    "elementary": (
        lambda: Compute(lambda a: a.exp() + a.sin() * a.cos() + a.erf() + a.expm1() + a.abs().log1p()),
        [(2, 3)],
    ),
    "rounding": (
        lambda: Compute(lambda a: (a * 3).floor() + (a * 3).ceil() + (a * 3).round() + (a * 3).trunc() + a.sign()),
        [(2, 3)],
    ),
    "choice": (
        lambda: Compute(lambda a, b: fastdl.where((a > b) | ~(a <= 0.1), a.clamp(-1, 1), fastdl.maximum(a, b))),
        [(2, 3), (2, 3)],
    ),
    "modulo": (lambda: Compute(lambda a: a % 0.7 + a // 0.3), [(2, 3)]),
    "reductions": (
        lambda: Compute(lambda a: a.sum(1) + a.mean(1) + a.amax(1) - a.amin(1) + a.var(1) * a.norm(dim=1)),
        [(2, 3, 4)],
    ),
    "places": (lambda: Compute(lambda a: (a.argmax(1), a.argmin(-1, True), a.cumsum(1))), [(2, 3, 4)]),
    "order": (lambda: Compute(lambda a: (*a.topk(2, 1), *a.sort(1, descending=True))), [(2, 5)]),
    "layout": (
        lambda: Compute(lambda a: fastdl.cat([a.permute(0, 2, 1)[:, 1:3], a.transpose(1, 2)[:, ::2]], 1)),
        [(2, 3, 4)],
    ),
    "products": (lambda: Compute(lambda a, b: a @ b.transpose(1, 2)), [(2, 3, 4), (2, 5, 4)]),
    "attention": (lambda: Compute(lambda q: F.scaled_dot_product_attention(q, q, q)), [(2, 5, 8)]),
    "multi-head attention": (lambda: SelfAttention(8, 2), [(2, 5, 8)]),
    "embedding": (lambda: nn.Sequential(nn.Embedding(7, 5), nn.Linear(5, 2)), [tokens]),
    "index": (lambda: Compute(lambda a: a[:, [2, 0]]), [(2, 3, 4)]),
    "cast": (lambda: Compute(lambda a: (a * 4).int() + 1), [(2, 3)]),
}
ACTIVATIONS = [nn.ReLU6(), nn.LeakyReLU(0.2), nn.ELU(0.7), nn.SELU(), nn.CELU(0.7), nn.Softplus(2.0), nn.GELU(),
               nn.GELU("tanh"), nn.SiLU(), nn.Hardtanh(-0.5, 0.7), nn.Hardsigmoid(), nn.Hardswish(), nn.LogSigmoid(),
               nn.Mish(), nn.Softsign(), nn.Tanhshrink(), nn.Softshrink(), nn.Hardshrink(), nn.Threshold(0.1, 0.3),
               nn.PReLU(4), nn.Softmax(1), nn.LogSoftmax(-1), nn.Softmin(1), nn.GLU(1), nn.Sigmoid()]  # fmt: skip


def example_of(inputs):
    return tuple(make(2, 3) if make is tokens else fastdl.randn(*make) for make in inputs)


def wider(example):
    """The same with one line more along the first axis."""
    return tuple(fastdl.cat([x, x[:1]], 0) for x in example)


def outputs_of(model, example):
    with fastdl.no_grad():
        found = model(*example)
    flat = []

    def collect(value):
        flat.append(value) if isinstance(value, Tensor) else [collect(v) for v in value if v is not None]

    collect(found)
    return [v.detach().numpy() for v in flat]


def assert_equal(found, expected, tolerance=1e-4):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(np.abs(b).max(initial=0), 1e-3))


def check(model, example, file, runners, free=True, opset=17):
    """Exports with a free first axis and without, and compares what each runner makes of the files."""
    model.eval()
    names = [f"x{i}" for i in range(len(example))]
    fastdl.onnx.export(model, example, file, input_names=names, opset_version=opset)
    for run in runners:
        assert_equal(run(file, dict(zip(names, (x.numpy() for x in example), strict=True))), outputs_of(model, example))
    if not free:
        return
    axes = {name: {0: "batch"} for name in names}
    fastdl.onnx.export(model, example, file, input_names=names, dynamic_axes=axes, opset_version=opset)
    for inputs in (example, wider(example)):
        for run in runners:
            feed = dict(zip(names, (x.numpy() for x in inputs), strict=True))
            assert_equal(run(file, feed), outputs_of(model, inputs))


def by_fastdl(file, feed):
    return fastdl.onnx.load(file).run(None, feed)


def by_reference(file, feed):
    return ReferenceEvaluator(str(file)).run(None, feed)


@pytest.mark.parametrize("opset", [17, 22])
@pytest.mark.parametrize("name", CASES)
def test_networks(name, opset, tmp_path):
    build, inputs = CASES[name]
    check(build(), example_of(inputs), tmp_path / "net.onnx", [by_fastdl], opset=opset)


@pytest.mark.parametrize("name", ["linear", "conv2d", "layer_norm", "layout", "embedding", "arithmetic", "pad",
                                  "reflect", "replicate", "circular", "order of axes", "triangles"])  # fmt: skip
def test_networks_by_the_reference(name, tmp_path):
    build, inputs = CASES[name]
    check(build(), example_of(inputs), tmp_path / "net.onnx", [by_reference])


@pytest.mark.parametrize("opset", [17, 20])
@pytest.mark.parametrize("layer", ACTIVATIONS, ids=lambda m: type(m).__name__)
def test_activations(layer, opset, tmp_path):
    check(copy.deepcopy(layer), (image(2, 4, 3, 3),), tmp_path / "net.onnx", [by_fastdl], opset=opset)


REGIONS = {
    "roi_align": lambda x, rois: ops.roi_align(x, rois, (3, 4), 0.5, 2, aligned=True),
    "roi_align adaptive": lambda x, rois: ops.roi_align(x, rois, 3, 1.0),
    "roi_pool": lambda x, rois: ops.roi_pool(x, rois, (2, 3), 1.0),
}


def regions():
    return image(2, 3, 12, 12), fastdl.tensor([[0.0, 0.0, 0.0, 7.0, 9.0], [1.0, 2.0, 1.0, 11.0, 5.0]])


@pytest.mark.parametrize("name", REGIONS)
def test_regions(name, tmp_path):
    check(Compute(REGIONS[name]), regions(), tmp_path / "net.onnx", [by_fastdl], free=False)


FAMILIES = {"alexnet": 64, "resnet18": 33, "mobilenet_v2": 32, "googlenet": 32, "inception_v3": 75}


@pytest.mark.parametrize("name", FAMILIES)
def test_families(name, tmp_path):
    model = models.get_model(name, num_classes=5)
    check(model, (image(1, 3, FAMILIES[name], FAMILIES[name]),), tmp_path / "net.onnx", [by_fastdl])


def test_weights_keep_their_names(tmp_path):
    model = models.get_model("resnet18", num_classes=5).eval()
    fastdl.onnx.export(model, image(1, 3, 32, 32), tmp_path / "net.onnx")
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(tmp_path / "net.onnx").graph.initializer}
    for name, value in model.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert (stored[name] == value.numpy()).all()


def test_free_axes_of_images(tmp_path):
    """A fully convolutional network for images of any size."""
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 2, 1)
    )
    free = {"x": {0: "n", 2: "h", 3: "w"}, "y": {0: "n"}}
    names = {"input_names": ["x"], "output_names": ["y"]}
    fastdl.onnx.export(model.eval(), image(1, 3, 8, 8), tmp_path / "net.onnx", dynamic_axes=free, **names)
    session = fastdl.onnx.load(tmp_path / "net.onnx")
    assert session.inputs[0].shape == ("n", 3, "h", "w") and session.outputs[0].shape[:2] == ("n", 2)
    for shape in ((1, 3, 8, 8), (2, 3, 13, 20)):
        x = image(*shape)
        assert_equal([session(x).numpy()], outputs_of(model, (x,)))


def test_free_axes_as_a_list(tmp_path):
    fastdl.onnx.export(nn.Linear(3, 2), fastdl.ones(1, 3), tmp_path / "net.onnx", dynamic_axes={"input": [0]})
    session = fastdl.onnx.load(tmp_path / "net.onnx")
    assert session.inputs[0].shape == ("input_dynamic_axes_1", 3) and session(fastdl.ones(4, 3)).shape == (4, 2)


def test_all_missing_operations_are_listed(tmp_path):
    net = nn.Sequential(nn.AdaptiveMaxPool2d((5, 3)), nn.LocalResponseNorm(2))
    with pytest.raises(NotImplementedError) as caught:
        fastdl.onnx.export(net, image(1, 3, 9, 8), tmp_path / "net.onnx")
    assert "adaptive_max_pool2d of (9, 8) to (5, 3) (in 0)" in str(caught.value)
    assert "local_response_norm over 2 channels, an even number (in 1)" in str(caught.value)
    with pytest.raises(NotImplementedError, match="the indices of adaptive_max_pool2d"):
        fastdl.onnx.export(nn.AdaptiveMaxPool2d((5, 3), return_indices=True), image(1, 3, 9, 8), tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("changes", "words"), [
    ({"opset_version": 16}, "opset_version from 17 to"),
    ({"input_names": ["a", "b"]}, "1 different input_names"),
    ({"output_names": [""]}, "1 different output_names"),
    ({"dynamic_axes": {"z": {0: "n"}}}, "dynamic_axes of input, output, got 'z'"),
    ({"dynamic_axes": {"input": {2: "n"}}}, "free axes of shape"),
])  # fmt: skip
def test_bad_arguments(changes, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        fastdl.onnx.export(nn.Linear(3, 2), fastdl.ones(1, 3), tmp_path / "net.onnx", **changes)


def test_what_depends_on_numbers_is_refused(tmp_path):
    with pytest.raises(RuntimeError, match="do not depend on the numbers"):
        fastdl.onnx.export(Compute(lambda x: x * x.sum().item()), fastdl.ones(3), tmp_path / "net.onnx")
    with pytest.raises(NotImplementedError, match="a number"):
        fastdl.onnx.export(Compute(lambda x: x * len(x)), fastdl.ones(3), tmp_path / "n", dynamic_axes={"input": [0]})


def test_large_models_have_their_weights_beside_them(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.import_module("fastdl.onnx.export"), "LARGE", 100)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2)).eval()
    fastdl.onnx.export(model, fastdl.ones(1, 8), tmp_path / "net.onnx")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.onnx", "net.onnx.data"]
    onnx.checker.check_model(str(tmp_path / "net.onnx"))
    x = fastdl.randn(1, 8)
    for run in (by_fastdl, by_reference):
        assert_equal(run(tmp_path / "net.onnx", {"input": x.numpy()}), outputs_of(model, (x,)))
