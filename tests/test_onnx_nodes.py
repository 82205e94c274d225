"""ONNX's own node tests, which its package carries: every case of every operator that fastdl has."""

import warnings
from pathlib import Path

import numpy as np
import pytest

import fastdl.onnx
from fastdl.onnx.operators import OPERATORS

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
SMALL = ("UINT4", "INT4", "UINT2", "INT2", "FLOAT8", "FLOAT4E2M1", "E4M3FN", "E5M2")
LEFT_OUT = {
    **dict.fromkeys(("test_not_2d", "test_not_3d", "test_not_4d"), "opset 1"),
    "test_scan_sum": "opset 8",
    **dict.fromkeys(("test_identity_sequence", "test_identity_opt", "test_if_opt", "test_if_seq", "test_loop13_seq",
                     "test_loop16_seq_none"), "sequences and optionals"),
    **dict.fromkeys(("test_training_dropout", "test_training_dropout_mask", "test_training_dropout_default",
                     "test_training_dropout_default_mask", "test_batchnorm_example_training_mode",
                     "test_batchnorm_epsilon_training_mode"), "training"),
    "test_convtranspose_3d": "transposed convolution of volumes",
    **dict.fromkeys(("test_resize_downsample_scales_linear_align_corners",
                     "test_resize_downsample_scales_cubic_align_corners"),
                    "a size of 2.4, where fastdl, as ONNX Runtime, takes the 2 that the output has"),
    "test_roialign_mode_max": "maximum of weighted samples, which other libraries do not compute either",
}  # fmt: skip


def collected():
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():  # of the functions that compute the expected outputs
        warnings.simplefilter("ignore")
        return collect_testcases(None)


def operators_of(graph):
    for node in graph.node:
        yield node.domain, node.op_type
        for attribute in node.attribute:
            yield from operators_of(attribute.g)


def is_left_out(case):
    cast = case.name.startswith(("test_cast", "test_quantizelinear", "test_dequantizelinear"))
    of_small_numbers = cast and any(name in case.name.upper() for name in SMALL)
    rounded_on_the_way = case.name.endswith("_expanded") and ("fp16" in case.name or "bf16" in case.name)
    return case.name in LEFT_OUT or of_small_numbers or rounded_on_the_way


CASES = [c for c in collected() if all(key in OPERATORS for key in operators_of(c.model.graph)) and not is_left_out(c)]


def array(value):
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)


def test_most_cases_run():
    assert len(CASES) > 1230


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_node(case):
    """Twice: step by step, and from the second call on as a plan where it can be one."""
    session = fastdl.onnx.load(case.model)
    names = [v.name for v in case.model.graph.input]
    for inputs, outputs in case.data_sets:
        feed = {name: array(value) for name, value in zip(names, inputs, strict=True)}
        runs = [session.run(None, feed), session.run(None, feed)]
        for found, expected in zip([*runs[0], *runs[1]], [*map(array, outputs)] * 2, strict=True):
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
            if expected.dtype.name in ("float16", "bfloat16"):
                found, expected = found.astype(np.float32), expected.astype(np.float32)
            if expected.dtype.kind in "OU":
                assert found.tolist() == expected.tolist()
            else:
                np.testing.assert_allclose(found, expected, rtol=case.rtol, atol=case.atol)


# ---- models in files, which PyTorch wrote with opset 6 ---------------------------------------------------------------


def stored():
    root = Path(onnx.__file__).parent / "backend/test/data"
    return sorted([*root.glob("pytorch-operator/test_*"), *root.glob("pytorch-converted/test_*")])


def tensors_in(folder, kind):
    files = sorted(folder.glob(f"{kind}_*.pb"), key=lambda p: int(p.stem.split("_")[1]))
    return [onnx.numpy_helper.to_array(onnx.TensorProto.FromString(file.read_bytes())) for file in files]


@pytest.mark.parametrize("folder", stored(), ids=lambda folder: folder.name)
def test_stored_model(folder):
    model = onnx.load(folder / "model.onnx")
    session = fastdl.onnx.load(model)
    wanted = {a.name for a in session.inputs}
    for data in folder.glob("test_data_set_*"):
        names = [v.name for v in model.graph.input]
        feed = {n: a for n, a in zip(names, tensors_in(data, "input"), strict=False) if n in wanted}
        for found, expected in zip(session.run(None, feed), tensors_in(data, "output"), strict=True):
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
