"""Networks that ONNX Runtime's quantiser wrote, against ONNX Runtime: integers to the last one.

Weights have seven bits: with eight ONNX Runtime's products of uint8 and int8 overflow where the processor lacks VNNI.
"""

import numpy as np
import pytest

import fastdl
import fastdl.onnx

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
from onnx import helper, numpy_helper  # noqa: E402
from onnxruntime.quantization import (  # noqa: E402
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

onnxruntime.set_default_logger_severity(4)
RNG = np.random.default_rng(3)


def by_runtime(model, feed):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feed)


class Images(CalibrationDataReader):
    def __init__(self):
        rng = np.random.default_rng(0)
        self.left = iter([{"input": rng.standard_normal((1, 3, 12, 12)).astype(np.float32)} for _ in range(3)])

    def get_next(self):
        return next(self.left, None)


class Net(fastdl.nn.Module):
    """What quantisers know: convolutions, a residual sum, concatenation, pooling, a linear layer."""

    def __init__(self):
        super().__init__()
        nn = fastdl.nn
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.c, self.d = nn.Conv2d(8, 8, 1), nn.Linear(16, 5)

    def forward(self, x):
        F = fastdl.functional
        x = F.relu(self.a(x))
        y = F.max_pool2d(F.leaky_relu(self.b(x)) + x, 2)
        z = fastdl.cat([y, fastdl.sigmoid(self.c(y))], 1)
        return F.softmax(self.d(F.adaptive_avg_pool2d(z, 1).flatten(1)), 1)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    fastdl.manual_seed(0)
    path = tmp_path_factory.mktemp("quantised") / "net.onnx"
    fastdl.onnx.export(Net().eval(), fastdl.zeros(1, 3, 12, 12), path, dynamic_axes={"input": {0: "batch"}})
    return path


def assert_equal_up_to_ties(found, expected):
    """Rounding before quantisation differs in the last bit, which moves few numbers, and these by one step."""
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    if found.dtype.kind in "iu":
        apart = np.abs(found.astype(np.int64) - expected)
        assert apart.max(initial=0) <= 1
        assert (apart != 0).mean() < 0.02
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2 / 255)


@pytest.mark.parametrize("activations", [QuantType.QUInt8, QuantType.QInt8], ids=str)
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("layout", [QuantFormat.QDQ, QuantFormat.QOperator], ids=str)
def test_static(written, layout, per_channel, activations):
    target = written.with_name("static.onnx")
    options = {"quant_format": layout, "per_channel": per_channel, "activation_type": activations}
    quantize_static(written, target, Images(), reduce_range=True, **options)
    model = onnx.load(target)
    session = fastdl.onnx.load(target)
    for batch in (2, 2, 3):  # the second time as a plan
        feed = {"input": RNG.standard_normal((batch, 3, 12, 12)).astype(np.float32)}
        assert_equal_up_to_ties(session.run(None, feed)[0], by_runtime(model, feed)[0])
    assert session._plan is not None


def test_dynamic(written):
    target = written.with_name("dynamic.onnx")
    quantize_dynamic(written, target, reduce_range=True)
    feed = {"input": RNG.standard_normal((2, 3, 12, 12)).astype(np.float32)}
    assert_equal_up_to_ties(fastdl.onnx.load(target).run(None, feed)[0], by_runtime(onnx.load(target), feed)[0])


# ---- ONNX Runtime's own operators ------------------------------------------------------------------------------------


def integers(*shape, kind):
    limits = np.iinfo(kind)
    return RNG.integers(limits.min, limits.max + 1, shape).astype(kind)


def assert_as_runtime(op, inputs, **attributes):
    """A node of com.microsoft whose first input is the model's and whose others are constants."""
    names = ["" if a is None else f"i{k}" for k, a in enumerate(inputs)]
    constants = [numpy_helper.from_array(a, n) for a, n in zip(inputs, names, strict=True) if a is not None]
    first = next(i for i, a in enumerate(inputs) if a is not None and a.ndim > 0)
    out = inputs[0].dtype if attributes.pop("out", None) is None else np.dtype(np.float32)
    kind = helper.np_dtype_to_tensor_dtype
    graph = helper.make_graph(
        [helper.make_node(op, names, ["y"], domain="com.microsoft", **attributes)], "node",
        [helper.make_tensor_value_info(names[first], kind(inputs[first].dtype), inputs[first].shape)],
        [helper.make_tensor_value_info("y", kind(out), None)],
        [c for c in constants if c.name != names[first]],
    )  # fmt: skip
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=domains, ir_version=8)
    feed = {names[first]: inputs[first]}
    expected = by_runtime(model, feed)[0]
    session = fastdl.onnx.load(model)
    for _ in range(2):
        assert_equal_up_to_ties(session.run(None, feed)[0], expected)


SCALE, OTHER, RESULT = (np.asarray(s, np.float32) for s in (0.02131, 0.01377, 0.03119))
KINDS = [np.uint8, np.int8]


def zero(n, kind):
    return np.asarray(n, kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("op, attributes", [
    ("QLinearSigmoid", {}), ("QLinearLeakyRelu", {"alpha": 0.2}), ("QLinearGlobalAveragePool", {"channels_last": 0}),
])  # fmt: skip
def test_of_one(op, attributes, kind):
    x = integers(2, 3, 4, 5, kind=kind)
    assert_as_runtime(op, [x, SCALE, zero(7, kind), RESULT, zero(3, kind)], **attributes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("op", ["QLinearAdd", "QLinearMul"])
def test_of_two(op, kind):
    x, y = integers(2, 3, 4, kind=kind), integers(3, 1, kind=kind)
    assert_as_runtime(op, [x, SCALE, zero(7, kind), y, OTHER, zero(1, kind), RESULT, zero(3, kind)])


@pytest.mark.parametrize("turned, columns", [(0, False), (0, True), (1, False), (1, True)])
def test_qgemm(turned, columns):
    a, b = integers(4, 6, kind=np.uint8), integers(*((5, 6) if turned else (6, 5)), kind=np.int8) // 2
    scales = np.linspace(0.01, 0.02, 5).astype(np.float32) if columns else OTHER
    zeros = np.zeros(5, np.int8) if columns else zero(0, np.int8)
    c = integers(5, kind=np.int16).astype(np.int32)
    common = [a, SCALE, zero(100, np.uint8), b, scales, zeros, c]
    assert_as_runtime("QGemm", [*common, np.float32(0.5), zero(120, np.uint8)], transB=turned)
    assert_as_runtime("QGemm", common, transB=turned, out="float")
