"""ONNX models read and run: sessions, what old opsets said otherwise, damaged files, data beside the model."""

import contextlib
import os
import sys

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import fastdl
import fastdl.onnx

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def model_of(text):
    return onnx.parser.parse_model(text)


def net(hidden=4):
    """Two layers whose batch is free, with weights in the file."""
    model = model_of("""
        <ir_version: 8, opset_import: ["" : 17]>
        net (float[N, 3] x) => (float[N, 2] y, float[N, K] h) {
            h = Gemm <transB = 1> (x, w1, b1)
            r = Relu(h)
            y = MatMul(r, w2)
        }""")
    for name, array in (("w1", floats(hidden, 3)), ("b1", floats(hidden)), ("w2", floats(hidden, 2))):
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model


def single(op, opset, inputs, outputs=("y",), initializers=None, **attributes):
    """A model of one node; inputs are arrays by name, initializers too."""
    names = [*inputs, *(initializers or {})]
    node = helper.make_node(op, names, list(outputs), **attributes)
    infos = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in inputs.items()
    ]
    outs = [helper.make_tensor_value_info(n, TensorProto.UNDEFINED, None) for n in outputs]
    stored = [numpy_helper.from_array(a, n) for n, a in (initializers or {}).items()]
    for out in outs:
        out.type.tensor_type.elem_type = TensorProto.FLOAT
    graph = helper.make_graph([node], "single", infos, outs, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


# ---- sessions --------------------------------------------------------------------------------------------------------


def test_session_tells_its_inputs_and_outputs_and_runs():
    session = fastdl.onnx.load(net())
    assert [(a.name, a.shape, a.dtype) for a in session.inputs] == [("x", ("N", 3), np.float32)]
    assert [(a.name, a.shape) for a in session.outputs] == [("y", ("N", 2)), ("h", ("N", "K"))]
    assert repr(session).startswith("Session((x: float32['N', 3]) -> (y: float32")
    reference = ReferenceEvaluator(net_again := net())
    session = fastdl.onnx.load(net_again)
    for batch in (1, 5, 0):
        x = floats(batch, 3)
        for found, expected in zip(session.run(None, {"x": x}), reference.run(None, {"x": x}), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        assert [a.shape for a in session.run(["h"], {"x": x})] == [(batch, 4)]


def test_session_is_called_with_tensors():
    session = fastdl.onnx.load(net())
    x = fastdl.randn(2, 3)
    y, h = session(x)
    assert isinstance(y, fastdl.Tensor) and h.shape == (2, 4)
    assert (session(x=x)[0].numpy() == y.numpy()).all()
    assert (session.run(["y"], {"x": x.numpy()})[0] == y.numpy()).all()


def test_models_come_as_paths_and_bytes(tmp_path):
    model, x = net(), floats(2, 3)
    onnx.save(model, tmp_path / "net.onnx")
    expected = fastdl.onnx.load(model).run(None, {"x": x})
    for source in (tmp_path / "net.onnx", str(tmp_path / "net.onnx"), model.SerializeToString()):
        found = fastdl.onnx.load(source).run(None, {"x": x})
        assert all((a == b).all() for a, b in zip(found, expected, strict=True))


def test_models_become_plans_at_the_second_call():
    model = net()
    session, by_steps = fastdl.onnx.load(model), fastdl.onnx.load(model, compiled=False)
    for batch in (2, 2, 3, 2, 3, 3):
        x = fastdl.randn(batch, 3)
        np.testing.assert_allclose(session(x)[0].numpy(), by_steps(x)[0].numpy(), rtol=1e-5, atol=1e-6)
    assert [node.function for node in session._plan.graph.nodes] == ["linear", "relu", "linear"]
    assert by_steps._plan is None


def test_models_whose_steps_depend_on_numbers_are_no_plans():
    model = model_of("""
        <ir_version: 8, opset_import: ["" : 17]>
        net (float[N] x) => (int64[1, K] y) { y = NonZero(x) }""")
    session = fastdl.onnx.load(model)
    for x in ([1, 0, 2], [0, 0, 5], [0, 0, 0]):
        assert session.run(None, {"x": np.array(x, np.float32)})[0].tolist() == [np.flatnonzero(x).tolist()]


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_models_run_on_devices(device):
    model = net()
    x = floats(2, 3)
    found = fastdl.onnx.load(model, device=device)(fastdl.tensor(x, device=device))[0]
    assert found.device == device
    np.testing.assert_allclose(found.numpy(), ReferenceEvaluator(model).run(["y"], {"x": x})[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("feed", "error", "words"), [
    ({}, ValueError, "expected inputs x, got none"),
    ({"z": floats(1, 3)}, ValueError, "expected inputs x, got z"),
    ({"x": floats(1, 4)}, ValueError, r"'x' of shape \('N', 3\), got shape \(1, 4\)"),
    ({"x": floats(3)}, ValueError, r"'x' of shape"),
    ({"x": floats(1, 3).astype(np.float64)}, TypeError, "'x' of dtype float32, got float64"),
    ({"x": [["a"] * 3]}, TypeError, "'x' of dtype float32"),
])  # fmt: skip
def test_bad_inputs_are_refused(feed, error, words):
    with pytest.raises(error, match=words):
        fastdl.onnx.load(net()).run(None, feed)


def test_bad_calls_are_refused():
    session, x = fastdl.onnx.load(net()), fastdl.ones(1, 3)
    with pytest.raises(ValueError, match="expected outputs y, h, got q"):
        session.run(["q"], {"x": floats(1, 3)})
    with pytest.raises(ValueError, match="at most 1 inputs, got 2"):
        session(x, x)
    with pytest.raises(ValueError, match="each input once, got x twice"):
        session(x, x=x)


# ---- what is not there, and damage -----------------------------------------------------------------------------------


def test_all_missing_operators_are_listed():
    model = model_of("""
        <ir_version: 8, opset_import: ["" : 17, "com.example" : 3]>
        net (float[N] x) => (float[N] y) {
            a = com.example.Magic(x)
            b = StringNormalizer(a)
            y = com.example.Magic(b)
        }""")
    with pytest.raises(NotImplementedError) as caught:
        fastdl.onnx.load(model)
    assert "1 x StringNormalizer (ai.onnx, opset 17), 2 x Magic (com.example, opset 3)" in str(caught.value)


@pytest.mark.parametrize("opset", [0, 99])
def test_opsets_outside_the_range_are_refused(opset):
    model = net()
    model.opset_import[0].version = opset
    with pytest.raises(NotImplementedError, match=f"expected opset 1 to .*, got {opset}"):
        fastdl.onnx.load(model)


def test_broken_rules_are_named():
    model = net()
    model.graph.node[1].input[0] = "nowhere"
    with pytest.raises(ValueError, match="follows ONNX's rules"):
        fastdl.onnx.load(model)
    with pytest.raises(ValueError, match="no model is in it"):
        fastdl.onnx.load(b"")
    with pytest.raises(FileNotFoundError):
        fastdl.onnx.load("no such file")
    with pytest.raises(TypeError, match="a path, bytes or a ModelProto, got int"):
        fastdl.onnx.load(3)


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'fastdl\[onnx\]'"):
        fastdl.onnx.load("net.onnx")
    with pytest.raises(ImportError, match=r"pip install 'fastdl\[onnx\]'"):
        fastdl.onnx.export(fastdl.nn.Linear(1, 1), fastdl.ones(1, 1), "net.onnx")


def test_errors_name_the_node():
    model = single("Reshape", 17, {"x": floats(2, 3)}, initializers={"s": np.array([4, 4])})
    with pytest.raises(ValueError, match=r"\[onnx\] Reshape 'y': \[reshape\] expected"):
        fastdl.onnx.load(model).run(None, {"x": floats(2, 3)})


@hypothesis.given(st.data())
def test_damaged_files_raise_and_nothing_else(data):
    content = bytearray(net().SerializeToString())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    for place in data.draw(st.lists(st.integers(0, max(len(content) - 1, 0)), max_size=4)):
        if content:
            content[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError, TypeError, IndexError, NotImplementedError):
        fastdl.onnx.load(bytes(content)).run(None, {"x": np.ones((1, 3), np.float32)})


def external(folder, **changes):
    """The net with a weight in a file of its own; `changes` are entries that say something else about it."""
    model = net()
    weight = model.graph.initializer[0]
    raw = numpy_helper.to_array(weight).tobytes()
    (folder / "weights.bin").write_bytes(b"\0" * 8 + raw)
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    entries = {"location": "weights.bin", "offset": "8", "length": str(len(raw)), **changes}
    for key, value in entries.items():
        entry = weight.external_data.add()
        entry.key, entry.value = key, str(value)
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    return np.frombuffer(raw, np.float32).reshape(4, 3)


def test_weights_beside_the_model_are_read(tmp_path):
    weight = external(tmp_path)
    h = fastdl.onnx.load(tmp_path / "net.onnx").run(["h"], {"x": np.zeros((1, 3), np.float32)})[0]
    x = floats(1, 3)
    found = fastdl.onnx.load(tmp_path / "net.onnx").run(["h"], {"x": x})[0]
    np.testing.assert_allclose(found - h, x @ weight.T, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="give the path of the model"):
        fastdl.onnx.load((tmp_path / "net.onnx").read_bytes())


@pytest.mark.parametrize("changes", [
    {"location": "../outside.bin"}, {"location": "/etc/hostname"}, {"location": ""}, {"location": "missing.bin"},
    {"offset": "-1"}, {"offset": "9"}, {"offset": "x"}, {"length": "4"}, {"location": "."}, {"location": "link.bin"},
])  # fmt: skip
def test_weights_elsewhere_are_refused(tmp_path, changes):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "outside.bin").write_bytes(b"\0" * 100)
    os.symlink(tmp_path / "outside.bin", folder / "link.bin")
    external(folder, **changes)
    with pytest.raises(ValueError, match="follows ONNX's rules, got one with"):
        fastdl.onnx.load(folder / "net.onnx")


# ---- opsets and attributes beyond the node tests ---------------------------------------------------------------------

IMAGE = floats(2, 4, 9, 8)
OLD_AND_NEW = [
    (single("Clip", 7, {"x": IMAGE}, min=-0.5, max=0.5), IMAGE.clip(-0.5, 0.5)),
    (single("Squeeze", 11, {"x": IMAGE[:1]}, axes=[0]), IMAGE[0]),
    (single("Squeeze", 7, {"x": IMAGE[:1, :1]}), IMAGE[0, 0]),
    (single("Unsqueeze", 11, {"x": IMAGE}, axes=[0, 5]), IMAGE[None, ..., None]),
    (single("Unsqueeze", 13, {"x": IMAGE}, initializers={"a": np.array([-1])}), IMAGE[..., None]),
    (single("Slice", 9, {"x": IMAGE}, starts=[1, -3], ends=[9, 99], axes=[3, 2]), IMAGE[:, :, -3:, 1:9]),
    (single("Pad", 10, {"x": IMAGE}, pads=[0, 0, 1, 0, 0, 0, 0, 2], value=3.0),
     np.pad(IMAGE, [(0, 0), (0, 0), (1, 0), (0, 2)], constant_values=3)),
    (single("Pad", 13, {"x": IMAGE}, initializers={"p": np.array([0, 0, -1, 2, 0, 0, 0, -1])}, mode="edge"),
     np.pad(IMAGE[:, :, 1:, :-1], [(0, 0), (0, 0), (0, 0), (2, 0)], mode="edge")),
    (single("ReduceMean", 13, {"x": IMAGE}, axes=[-1, 2], keepdims=0), IMAGE.mean((2, 3))),
    (single("ReduceSum", 11, {"x": IMAGE}, axes=[1]), IMAGE.sum(1, keepdims=True)),
    (single("Dropout", 10, {"x": IMAGE}, ratio=0.9), IMAGE),
    (single("Upsample", 7, {"x": IMAGE}, scales=[1.0, 1.0, 2.0, 2.0], mode="nearest"),
     IMAGE.repeat(2, 2).repeat(2, 3)),
    (single("Upsample", 9, {"x": IMAGE}, initializers={"s": np.array([1, 1, 1, 3], np.float32)}), IMAGE.repeat(3, 3)),
    (single("Softmax", 11, {"x": IMAGE[0]}),
     (e := np.exp(IMAGE[0])) / e.sum((1, 2), keepdims=True)),
    (single("Split", 11, {"x": IMAGE}, outputs=("y", "z"), axis=1, split=[1, 3]), IMAGE[:, :1]),
    (single("AveragePool", 7, {"x": IMAGE}, kernel_shape=[3, 2], auto_pad="SAME_LOWER", strides=[2, 2]), None),
    (single("MaxPool", 12, {"x": IMAGE}, kernel_shape=[3, 3], pads=[2, 0, 1, 1], dilations=[2, 1], strides=[2, 1]),
     None),
    (single("Conv", 11, {"x": IMAGE}, initializers={"w": floats(6, 2, 3, 2)}, group=2, pads=[0, 1, 2, 0],
            dilations=[2, 1], strides=[1, 2]), None),
    (single("Conv", 11, {"x": floats(1, 2, 5, 6, 7)}, initializers={"w": floats(4, 1, 3, 2, 3), "b": floats(4)},
            group=2, strides=[2, 1, 1], pads=[1, 0, 1, 0, 1, 1], dilations=[1, 2, 1]), None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "expected"), OLD_AND_NEW, ids=lambda m: m.graph.node[0].op_type if hasattr(m, "graph") else ""
)
def test_operator_forms(model, expected):
    """Against NumPy, or ONNX's reference where it has the form."""
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    name = model.graph.input[0].name
    arrays = [IMAGE, IMAGE[:1], IMAGE[:1, :1], IMAGE[0]]
    x = next((a for a in arrays if list(a.shape) == shape), None)
    x = floats(*shape) if x is None else x
    found = fastdl.onnx.load(model).run(None, {name: x})[0]
    expected = ReferenceEvaluator(model).run(None, {name: x})[0] if expected is None else expected
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_response_norm_over_an_even_number_of_channels_reaches_further_to_the_end():
    x = floats(2, 7, 3, 3)
    model = single("LRN", 13, {"x": x}, size=4, alpha=0.5, beta=0.6, bias=2.0)
    sums = np.stack([np.square(x[:, max(c - 1, 0) : c + 3]).sum(1) for c in range(7)], 1)
    expected = x / (2 + 0.5 / 4 * sums) ** 0.6
    np.testing.assert_allclose(fastdl.onnx.load(model).run(None, {"x": x})[0], expected, rtol=1e-4, atol=1e-5)


def test_shape_arithmetic_stays_on_the_host():
    """The flattening that exporters write: shapes gathered, multiplied and joined."""
    model = model_of("""
        <ir_version: 8, opset_import: ["" : 17]>
        net (float[N, C, H, W] x) => (float[A, B] y) {
            s = Shape(x)
            zero = Constant <value_ints = [0]> ()
            minus = Constant <value_ints = [-1]> ()
            n = Gather(s, zero)
            twice = Mul(n, two)
            shape = Concat <axis = 0> (twice, minus)
            y = Reshape(x, shape)
        }""")
    model.graph.initializer.append(numpy_helper.from_array(np.array([2]), "two"))
    session = fastdl.onnx.load(model)
    for n in (1, 3):
        assert session(fastdl.ones(n, 2, 3, 4)).shape == (2 * n, 12)


def test_half_precision_is_computed_in_single(tmp_path):
    weight = floats(3, 2).astype(np.float16)
    model = single("MatMul", 17, {"x": floats(1, 3).astype(np.float16)}, initializers={"w": weight})
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    x = floats(1, 3).astype(np.float16)
    y = fastdl.onnx.load(model).run(None, {"x": x})[0]
    assert y.dtype == np.float16
    np.testing.assert_allclose(y, (x.astype(np.float32) @ weight.astype(np.float32)).astype(np.float16), rtol=1e-3)


def test_functions_of_a_model_are_expanded():
    model = model_of("""
        <ir_version: 8, opset_import: ["" : 17, "local" : 1]>
        net (float[N] x) => (float[N] y) { y = local.twice(x) }
        <opset_import: ["" : 17], domain: "local">
        twice (a) => (b) { b = Add(a, a) }""")
    assert fastdl.onnx.load(model).run(None, {"x": np.ones(2, np.float32)})[0].tolist() == [2.0, 2.0]


@pytest.mark.parametrize("feed", [None, [1], "x"])
def test_feeds_that_are_no_dict(feed):
    with pytest.raises(TypeError, match=r"^\[onnx\] expected a dict of arrays by input name, got "):
        fastdl.onnx.load(net()).run(None, feed)
