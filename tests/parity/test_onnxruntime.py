"""ONNX models against ONNX Runtime: fastdl's networks exported, torchvision's imported, operators by attributes."""

import itertools

import numpy as np
import pytest

import fastdl
import fastdl.onnx
from fastdl import models

from ..test_onnx import RNG, floats, model_of, single
from ..test_onnx_export import ACTIVATIONS, CASES, FAMILIES, REGIONS, Compute, check, example_of, image, regions

onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
onnxruntime.set_default_logger_severity(4)


def by_runtime(model, feed):
    source = model.SerializeToString() if hasattr(model, "SerializeToString") else str(model)
    return onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"]).run(None, feed)


# ---- export ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", [17, 21])
@pytest.mark.parametrize("name", CASES)
def test_exported_networks(name, opset, tmp_path):
    build, inputs = CASES[name]
    check(build(), example_of(inputs), tmp_path / "net.onnx", [by_runtime], opset=opset)


@pytest.mark.parametrize("name", REGIONS)
def test_exported_regions(name, tmp_path):
    check(Compute(REGIONS[name]), regions(), tmp_path / "net.onnx", [by_runtime], free=False)


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=lambda m: type(m).__name__)
def test_exported_activations(layer, tmp_path):
    check(layer, (image(2, 4, 3, 3),), tmp_path / "net.onnx", [by_runtime])


# The smallest images that the others can take are as good as large ones.
IMAGES = {name: (1, 3, 32, 32) for name in models.list_models()}
IMAGES |= {name: (1, 3, size, size) for name, size in FAMILIES.items()}
IMAGES |= {"alexnet_two_groups": (1, 3, 227, 227), "alexnet_undivided": (1, 3, 227, 227)}
IMAGES |= {"googlenet_published": (1, 3, 224, 224), "digits_network": (1, 1, 28, 28)}


# Half a gigabyte of weights each.
LARGE = {name for name in models.list_models("vgg*") if name != "vgg16_bn"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in LARGE else ()) for n in models.list_models()]
)
def test_every_exported_model(name, tmp_path):
    check(models.get_model(name, num_classes=5), (image(*IMAGES[name]),), tmp_path / "net.onnx", [by_runtime])


# ---- import ----------------------------------------------------------------------------------------------------------


def assert_as_runtime(model, feed, tolerance=1e-4):
    found = fastdl.onnx.load(model).run(None, feed)
    for a, b in zip(found, by_runtime(model, feed), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(np.abs(b).max(initial=0), 1e-3))


X = floats(2, 4, 9, 8)
WINDOWS = [
    {"kernel_shape": [3, 2], **extra}
    for extra in (
        {}, {"strides": [2, 3]}, {"pads": [1, 0, 2, 1]}, {"pads": [1, 1, 1, 1], "strides": [2, 2]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 3]}, {"auto_pad": "SAME_LOWER", "strides": [3, 2]},
        {"auto_pad": "VALID", "strides": [2, 2]}, {"dilations": [2, 3]}, {"dilations": [2, 1], "pads": [0, 1, 1, 1]},
    )
]  # fmt: skip


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_conv(window, groups):
    weights = {"w": floats(8, 4 // groups, 3, 2), "b": floats(8)}
    assert_as_runtime(single("Conv", 11, {"x": X}, initializers=weights, group=groups, **window), {"x": X})


@pytest.mark.parametrize("options", [
    {}, {"strides": [2, 3]}, {"strides": [2, 3], "output_padding": [1, 2]}, {"pads": [1, 0, 0, 1]},
    {"strides": [3, 2], "output_shape": [27, 16]}, {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
    {"strides": [2, 2], "auto_pad": "SAME_LOWER"}, {"dilations": [2, 2], "pads": [1, 1, 1, 1]},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("groups", [1, 2])
def test_conv_transpose(options, groups):
    weights = {"w": floats(4, 3, 3, 3), "b": floats(3 * groups)}
    assert_as_runtime(single("ConvTranspose", 11, {"x": X}, initializers=weights, group=groups, **options), {"x": X})


@pytest.mark.parametrize("ceil", [0, 1])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_max_pool(window, ceil):
    assert_as_runtime(single("MaxPool", 12, {"x": X}, ceil_mode=ceil, **window), {"x": X})


@pytest.mark.parametrize("counted", [0, 1])
@pytest.mark.parametrize("window", [w for w in WINDOWS if "dilations" not in w], ids=str)
def test_average_pool(window, counted):
    assert_as_runtime(single("AveragePool", 11, {"x": X}, count_include_pad=counted, **window), {"x": X})


@pytest.mark.parametrize("shape", [(2, 3, 7), (1, 2, 5, 6, 7)], ids=str)
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_pooling_of_sequences_and_volumes(op, shape):
    x, axes = floats(*shape), len(shape) - 2
    assert_as_runtime(
        single(op, 12, {"x": x}, kernel_shape=[3] * axes, strides=[2] * axes, pads=[1] * (2 * axes)), {"x": x}
    )


MODES = [("nearest", n) for n in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")] + [("linear", None),
         ("cubic", None)]  # fmt: skip
TRANSFORMS = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"]


@pytest.mark.parametrize("scales", [(2.0, 3.0), (0.75, 1.7), (0.5, 0.3)], ids=str)
@pytest.mark.parametrize(("mode", "rounding"), MODES)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_resize(mode, rounding, transform, scales):
    options = {"mode": mode, "coordinate_transformation_mode": transform}
    options |= {"nearest_mode": rounding} if rounding else {}
    x = floats(1, 2, 10, 10)
    sizes = [1, 2, *(int(np.float32(10) * np.float32(s)) for s in scales)]
    for name, numbers in (("scales", np.array([1, 1, *scales], np.float32)), ("sizes", np.array(sizes))):
        given = ["x", "", "scales"] if name == "scales" else ["x", "", "", "sizes"]
        model = single("Resize", 19, {"x": x}, initializers={name: numbers}, **options)
        del model.graph.node[0].input[:]
        model.graph.node[0].input.extend(given)
        assert_as_runtime(model, {"x": x})


RECURRENT = list(itertools.product(("LSTM", "GRU", "RNN"), ("forward", "reverse", "bidirectional"), (False, True)))


@pytest.mark.parametrize(("op", "direction", "full"), RECURRENT)
def test_recurrent(op, direction, full):
    """Without and with biases, lengths, first states, peepholes (LSTM) and clipping."""
    steps, batch, size, hidden = 5, 3, 4, 6
    both, gates = (2 if direction == "bidirectional" else 1), {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    x = floats(steps, batch, size)
    stored = {"w": floats(both, gates * hidden, size), "r": floats(both, gates * hidden, hidden)}
    if full:
        stored |= {
            "b": floats(both, 2 * gates * hidden),
            "l": np.array([5, 2, 4], np.int32),
            "h": floats(both, batch, hidden),
        }
        stored |= {"c": floats(both, batch, hidden), "p": floats(both, 3 * hidden)} if op == "LSTM" else {}
    outputs = ("y", "y_h", "y_c") if op == "LSTM" else ("y", "y_h")
    variants = (
        [{}, {"linear_before_reset": 1}] if op == "GRU" else [{}, {"clip": 0.4}] if full and op == "RNN" else [{}]
    )
    for options in variants:
        model = single(op, 14, {"x": x}, outputs, stored, hidden_size=hidden, direction=direction, **options)
        assert_as_runtime(model, {"x": x})


@pytest.mark.parametrize("center", [0, 1])
def test_non_max_suppression(center):
    corner = RNG.uniform(0, 50, (2, 40, 2))
    boxes = np.concatenate([corner, corner + RNG.uniform(2, 30, (2, 40, 2))], 2).astype(np.float32)
    scores = RNG.uniform(0, 1, (2, 3, 40)).astype(np.float32)
    limits = {"n": np.array([7]), "i": np.array([0.4], np.float32), "s": np.array([0.2], np.float32)}
    model = single("NonMaxSuppression", 11, {"b": boxes, "s0": scores}, initializers=limits, center_point_box=center)
    model.graph.output[0].type.tensor_type.elem_type = 7
    assert_as_runtime(model, {"b": boxes, "s0": scores})


@pytest.mark.parametrize("transform", ["half_pixel", "output_half_pixel"])
def test_roi_align(transform):
    x, rois = floats(2, 3, 12, 12), np.array([[0, 0, 7, 9], [2, 1, 11, 5.5]], np.float32)
    options = {"output_height": 3, "output_width": 4, "sampling_ratio": 2, "spatial_scale": 0.8}
    model = single("RoiAlign", 16, {"x": x, "r": rois}, initializers={"i": np.array([0, 1])},
                   coordinate_transformation_mode=transform, **options)  # fmt: skip
    assert_as_runtime(model, {"x": x, "r": rois})


def test_max_roi_pool():
    x, rois = floats(2, 3, 12, 12), np.array([[0, 0, 0, 7, 9], [1, 2, 1, 11, 5]], np.float32)
    model = single("MaxRoiPool", 11, {"x": x, "r": rois}, pooled_shape=[3, 2], spatial_scale=1.0)
    assert_as_runtime(model, {"x": x, "r": rois})


def test_loops_and_branches():
    model = model_of("""
        <ir_version: 8, opset_import: ["" : 17]>
        net (float[N] x, int64 n) => (float[N] y, float[K, N] all) {
            yes = Constant <value = bool {1}> ()
            y, all = Loop <body = step (int64 i, bool go, float[N] s) => (bool on, float[N] t, float[N] kept) {
                on = Identity(go)
                t = Add(s, x)
                kept = Mul(t, t)
            }> (n, yes, x)
        }""")
    assert_as_runtime(model, {"x": floats(3), "n": np.array(4)})


# ---- networks of others ----------------------------------------------------------------------------------------------

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


def exported(model, example, file, **options):
    """By PyTorch's exporter that needs no other package."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model.eval(), example, file, dynamo=False, **options)
    return file


TORCHVISION = ["alexnet", "squeezenet1_1", "resnet18", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x1_0",
               "mnasnet0_5", "densenet121", "googlenet", "efficientnet_b0", "regnet_y_400mf", "convnext_tiny",
               "vit", "swin_t"]  # fmt: skip


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_networks(name, tmp_path):
    torchvision = pytest.importorskip("torchvision", reason="torchvision is not installed")
    plain = {"init_weights": False} if name == "googlenet" else {}
    torch.manual_seed(0)
    size = 224 if name == "alexnet" else 64
    x = torch.randn(2, 3, size, size)
    axes = {"input": {0: "batch"}} if name not in ("swin_t", "vit") else None
    if name == "vit":  # the graph of vit_b_16 without its 86 million weights
        model = torchvision.models.VisionTransformer(size, 16, 3, 4, 64, 128, num_classes=10)
    else:
        model = getattr(torchvision.models, name)(num_classes=10, **plain)
    file = exported(model, (x,), tmp_path / "net.onnx", input_names=["input"], dynamic_axes=axes, opset_version=17)
    assert_as_runtime(file, {"input": x.numpy()}, 2e-3)


def test_torchvision_segmentation(tmp_path):
    torchvision = pytest.importorskip("torchvision", reason="torchvision is not installed")
    model = torchvision.models.segmentation.fcn_resnet50(weights=None, weights_backbone=None, num_classes=4)
    x = torch.randn(1, 3, 48, 64)
    file = exported(model, (x,), tmp_path / "net.onnx", input_names=["input"], opset_version=17)
    assert_as_runtime(file, {"input": x.numpy()}, 2e-3)


@pytest.mark.parametrize("layer", ["LSTM", "GRU", "RNN"])
def test_pytorch_recurrent_layers(layer, tmp_path):
    model = getattr(torch.nn, layer)(4, 5, 2, bidirectional=True, batch_first=True)
    x = torch.randn(2, 6, 4)
    axes = {"input": {0: "batch", 1: "time"}}
    file = exported(model, (x,), tmp_path / "net.onnx", input_names=["input"], dynamic_axes=axes, opset_version=17)
    for shape in ((2, 6, 4), (3, 2, 4)):
        assert_as_runtime(file, {"input": floats(*shape)})
