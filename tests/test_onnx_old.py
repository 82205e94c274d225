"""ONNX files from before opset 7: what their operators said otherwise, against NumPy."""

import numpy as np
import pytest

import fastdl.onnx

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
from onnx import helper, numpy_helper  # noqa: E402

RNG = np.random.default_rng(5)
X = RNG.standard_normal((2, 3, 4, 5)).astype(np.float32)
CHANNELS = np.array([0.5, -1.0, 2.0], np.float32)


def run(nodes, opset, **weights):
    """The result `y` of nodes on `x`, which is X; weights are inputs too, as the first files had it."""
    arrays = {name: np.asarray(a) for name, a in weights.items()}
    kind = helper.np_dtype_to_tensor_dtype
    inputs = [helper.make_tensor_value_info(n, kind(a.dtype), a.shape) for n, a in {"x": X, **arrays}.items()]
    outputs = [helper.make_tensor_value_info("y", 1, None)]
    graph = helper.make_graph(nodes, "old", inputs, outputs, [numpy_helper.from_array(a, n) for n, a in arrays.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=3)
    session = fastdl.onnx.load(model)
    return session.run(None, {"x": X})[0]


def node(op, inputs=("x",), **attributes):
    return helper.make_node(op, list(inputs), ["y"], **attributes)


@pytest.mark.parametrize("opset", [1, 6])
@pytest.mark.parametrize("op, numpy", [("Add", np.add), ("Sub", np.subtract), ("Mul", np.multiply), ("Div", np.divide)])
def test_second_operand_starts_at_an_axis(op, numpy, opset):
    rows = np.ones((3, 4), np.float32) * 3
    for b, axis, wide in ((CHANNELS, 1, CHANNELS.reshape(3, 1, 1)), (rows, 1, rows.reshape(3, 4, 1)),
                          (X[0, 0], None, X[0, 0]), (np.float32(2), None, 2)):  # fmt: skip
        named = {} if axis is None else {"axis": axis}
        found = run([node(op, "xb", broadcast=1, **named)], opset, b=b)
        np.testing.assert_allclose(found, numpy(X, wide), rtol=1e-6)


def test_without_broadcast_shapes_are_equal():
    np.testing.assert_array_equal(run([node("Add", "xb")], 6, b=X), X + X)
    with pytest.raises(ValueError, match=r"Add 'y': expected two values of one shape, got \(2, 3, 4, 5\) and \(3,\)"):
        run([node("Add", "xb")], 6, b=CHANNELS)


def test_prelu_has_a_slope_a_channel():
    wide = CHANNELS.reshape(3, 1, 1)
    np.testing.assert_array_equal(run([node("PRelu", "xb")], 6, b=CHANNELS), np.where(X > 0, X, X * wide))


def test_shapes_scales_and_pads_are_attributes():
    assert run([node("Reshape", shape=[2, -1])], 1).shape == (2, 60)
    np.testing.assert_array_equal(
        run([node("Upsample", height_scale=2.0, width_scale=3.0, mode="nearest")], 1), X.repeat(2, 2).repeat(3, 3)
    )
    np.testing.assert_array_equal(
        run([node("Pad", paddings=[0, 0, 1, 0, 0, 0, 0, 2], value=7.0)], 1),
        np.pad(X, ((0, 0), (0, 0), (1, 0), (0, 2)), constant_values=7),
    )
    np.testing.assert_array_equal(
        run([node("Tile", "xta")], 1, t=np.float32(2), a=np.float32(1)), np.tile(X, (1, 2, 1, 1))
    )


@pytest.mark.parametrize("opset, to", [(1, "INT32"), (6, onnx.TensorProto.INT32)])
def test_cast_names_dtypes(opset, to):
    cast = helper.make_node("Cast", ["x"], ["whole"], to=to)
    back = helper.make_node("Cast", ["whole"], ["y"], to="FLOAT" if opset == 1 else 1)
    np.testing.assert_array_equal(run([cast, back], opset), np.trunc(X))


def test_selu_has_rounded_numbers():
    expected = np.where(X > 0, X, 1.6732 * (np.exp(X) - 1)) * 1.0507
    np.testing.assert_allclose(run([node("Selu")], 1), expected, rtol=1e-5, atol=1e-6)


def test_batch_norm_says_that_it_is_evaluated():
    inputs = ["x", "s", "b", "m", "v"]
    weights = {"s": CHANNELS, "b": CHANNELS, "m": CHANNELS, "v": CHANNELS**2}
    expected = (X - CHANNELS[:, None, None]) / np.sqrt(CHANNELS[:, None, None] ** 2 + 1e-5) * CHANNELS[:, None, None]
    found = run([node("BatchNormalization", inputs, is_test=1)], 6, **weights)
    np.testing.assert_allclose(found, expected + CHANNELS[:, None, None], rtol=1e-5, atol=1e-5)
    with pytest.raises(NotImplementedError, match="expected is_test=1, got 0"):
        run([node("BatchNormalization", inputs)], 6, **weights)


@pytest.mark.parametrize("opset", [1, 9])
def test_topk_has_its_number_as_attribute(opset):
    top = helper.make_node("TopK", ["x"], ["y", "places"], k=2, axis=3)
    np.testing.assert_array_equal(run([top], opset), -np.sort(-X, 3)[..., :2])
