"""Bad arguments of functions that are made of others: the error names the function, what it expects and what came."""

import re

import numpy as np
import pytest

import fastdl
import fastdl.functional as F
from fastdl import backends, linalg, nn, ops, optim
from fastdl.data import DataLoader
from fastdl.distributions import Bernoulli, Categorical, Normal
from fastdl.nn.utils import l1_penalty, l2_penalty, weight_norm
from fastdl.onnx import export

X = fastdl.ones(2, 3)
LAYER = nn.Linear(3, 2)
ATTENTION, PAIRS = nn.MultiheadAttention(8, 2), fastdl.ones(2, 3, 8)


@pytest.mark.parametrize(("call", "error", "text"), [
    (lambda: fastdl.index_put(X, (fastdl.ones(1),), fastdl.ones(1, 3), True), TypeError,
        "[index_put] expected indices as tensors of bool, int32, int64, got float32"),
    (lambda: fastdl.rand(2, generator=5), TypeError, "[random] expected a fastdl.Generator for generator, got int"),
    (lambda: nn.init.normal_(fastdl.empty(2), generator="a"), TypeError, "[random] expected a fastdl.Generator"),
    (lambda: fastdl.ones(2).normal_(generator=3), TypeError, "[random] expected a fastdl.Generator"),
    (lambda: X + 10**400, ValueError, "[add] expected a number that float64 holds, got an int of 1329 bits"),
    (lambda: fastdl.lerp(X, X, 10**400), ValueError, "[lerp] expected a number that float64 holds"),
    (lambda: fastdl.addcmul(X, X, X, value=10**400), ValueError, "[addcmul] expected value that float64 holds"),
    (lambda: fastdl.nan_to_num(X, nan=10**400), ValueError, "[nan_to_num] expected nan that float64 holds"),
    (lambda: F.celu(X, 10**400), ValueError, "[celu] expected alpha that float64 holds, got an int of 1329 bits"),
    (lambda: fastdl.trapezoid(fastdl.tensor(1.0)), ValueError,
        "[trapezoid] expected y with at least one dimension, got a scalar"),
    (lambda: fastdl.trapezoid(X, dx="a"), TypeError, "[trapezoid] expected a number for dx, got str"),
    (lambda: fastdl.dot(X[0], fastdl.ones(2)), ValueError,
        "[dot] expected vectors of one length, got shapes (3,) and (2,)"),
    (lambda: fastdl.hstack(3), TypeError, "[hstack] expected a sequence of tensors, got int"),
    (lambda: fastdl.vstack([X, 3]), TypeError, "[vstack] expected a Tensor"),
    (lambda: fastdl.dstack([]), ValueError, "[dstack] expected a non-empty sequence of tensors, got none"),
    (lambda: fastdl.column_stack(X), TypeError, "[column_stack] expected a sequence of tensors, got Tensor"),
    (lambda: fastdl.chunk(fastdl.tensor(1.0), 2), ValueError, "[chunk] expected input with at least one dimension"),
    (lambda: fastdl.diff(fastdl.tensor(1.0)), ValueError, "[diff] expected input with at least one dimension"),
    (lambda: fastdl.broadcast_to(X, 3), TypeError, "[broadcast_to] expected a sequence of ints for size, got 3"),
    (lambda: fastdl.broadcast_shapes((2,), None), ValueError, "[broadcast_shapes] expected shapes that broadcast"),
    (lambda: F.interpolate(X[None, None], 4, mode="area", align_corners=True), ValueError,
        "[interpolate] expected align_corners with a smooth mode, got True with 'area'"),
    (lambda: F.interpolate(X[None, None], 4, antialias=True), ValueError,
        "[interpolate] expected antialias with mode bilinear or bicubic, got it with 'nearest'"),
    (lambda: F.interpolate(fastdl.ones(1, 1, 2, 2, dtype="int64"), 4, mode="bicubic"), TypeError,
        "[interpolate] expected x of dtype float32 or float64, got int64"),
    (lambda: F.interpolate(fastdl.ones(1, 1, 2, 2), scale_factor=1e9, mode="bicubic"), ValueError,
        "[interpolate] expected an axis of at most 2^27 elements, or pairs of them in the smooth modes, got 2 to 2000"),
    (lambda: F.interpolate(fastdl.ones(1, 1, 2), 2**40, mode="nearest-exact"), ValueError, "got 2 to 1099511627776"),
    (lambda: F.interpolate(fastdl.ones(1, 1, 2, 2), 0, mode="bicubic"), ValueError,
        "[interpolate] expected planes with elements, got shape (1, 1, 2, 2) and size (0, 0)"),
    (lambda: fastdl.index_put(X, None, X), TypeError, "[index_put] expected indices as tensors of bool"),
    (lambda: fastdl.index_put(X, [], X), TypeError, "int64, got none"),
    (lambda: l1_penalty([nn.Parameter(X)], "a"), ValueError, "[l1_penalty] expected strength of at least 0, got 'a'"),
    (lambda: l2_penalty([3], 1.0), TypeError, "[l2_penalty] expected parameters as Tensors, got int"),
    (lambda: optim.LBFGS([nn.Parameter(X)], history_size="a"), ValueError,
        "[LBFGS] expected history_size of at least 1, got 'a'"),
    (lambda: F.lstm_projected(fastdl.ones(2, 1, 3), 3), TypeError,
        "[lstm_projected] expected weights as a list of Tensors, got int"),
    (lambda: linalg.solve(fastdl.eye(2), fastdl.tensor(1.0)), ValueError, "[solve] expected B of vectors or matrices"),
    (lambda: linalg.solve(fastdl.ones(2, 3, 3), fastdl.ones(4, 3, 1)), ValueError,
        "[solve] expected batches that broadcast, got (2,) and (4,)"),
    (lambda: linalg.multi_dot([]), ValueError, "[multi_dot] expected a list of at least one tensor, got []"),
    (lambda: linalg.multi_dot([X, 3]), TypeError, "[multi_dot] expected a Tensor for input, got int"),
    (lambda: linalg.qr(X, "r"), ValueError, "[qr] expected mode reduced or complete, got 'r'"),
    (lambda: linalg.matrix_norm(X, "l2"), ValueError, "[matrix_norm] expected ord fro, nuc"),
    (lambda: Normal("a", 1.0), TypeError, "[Normal] expected a number for loc, got str"),
    (lambda: Bernoulli(fastdl.tensor([1.5])), ValueError, "[Bernoulli] expected probs in [0, 1], got one outside"),
    (lambda: Categorical(fastdl.tensor([-1.0, 2.0])), ValueError, "[Categorical] expected probs of at least 0"),
    (lambda: Categorical(logits=fastdl.tensor(1.0)), ValueError, "[Categorical] expected at least one axis"),
    (lambda: fastdl.hsplit(X, 2), ValueError, "[hsplit] expected sections that divide 3, got 2"),
    (lambda: fastdl.vsplit(X[0], 1), ValueError, "[vsplit] expected at least 2 axes, got shape (3,)"),
    (lambda: fastdl.combinations(X), ValueError, "[combinations] expected a vector, got shape (2, 3)"),
    (lambda: fastdl.combinations(X[0], -1), ValueError, "[combinations] expected r of at least 0, got -1"),
    (lambda: fastdl.vander(X), ValueError, "[vander] expected a vector, got shape (2, 3)"),
    (lambda: fastdl.vander(X[0], 0), ValueError, "[vander] expected N of at least 1, got 0"),
    (lambda: fastdl.histogram(X, 0), ValueError, "[histogram] expected bins of at least 1, got 0"),
    (lambda: fastdl.load(3), TypeError, "[load] expected a path or an open binary stream, got int"),
    (lambda: ops.sigmoid_focal_loss(X, X[0]), ValueError,
        "[sigmoid_focal_loss] expected targets of shape (2, 3), got shape (3,)"),
    (lambda: ops.FeaturePyramidNetwork([3], 4)([X]), TypeError,
        "[FeaturePyramidNetwork] expected a dict of maps, got list"),
    (lambda: ops.MultiScaleRoIAlign(["a"], 2, 2)([X], [X], [(8, 8)]), TypeError,
        "[MultiScaleRoIAlign] expected a dict of maps, got list"),
    (lambda: ops.MLP(4, []), ValueError, "[MLP] expected hidden_channels of one layer or more, got none"),
    (lambda: weight_norm(nn.Linear(2, 2), dim=2), IndexError, "[weight_norm] expected dim of an axis of 'weight'"),
    (lambda: nn.TransformerEncoder(LAYER, -1), ValueError,
        "[TransformerEncoder] expected num_layers of at least 0, got -1"),
    (lambda: ATTENTION(PAIRS, PAIRS, PAIRS, attn_mask=fastdl.ones(5, 5)), ValueError,
        "[MultiheadAttention] expected attn_mask of shape (2, 2) or (6, 2, 2), got shape (5, 5)"),
    (lambda: ATTENTION(PAIRS, [1.0], PAIRS), TypeError, "[MultiheadAttention] expected a Tensor for key, got list"),
    (lambda: ATTENTION(PAIRS, PAIRS[0], PAIRS), ValueError, "[MultiheadAttention] expected key of two or three axes"),
    (lambda: nn.Transformer(8, 2, 1, 1, 8)(PAIRS, fastdl.ones(2, 4, 8)), ValueError,
        "[Transformer] expected src and tgt of one batch, got (2, 3, 8) and (2, 4, 8)"),
    (lambda: fastdl.autograd.backward([X, X], [X]), ValueError,
        "[backward] expected a gradient for each of 2 tensors, got 1"),
    (lambda: DataLoader(3), TypeError, "[DataLoader] expected a dataset, got int"),
    (lambda: DataLoader([1], num_workers=1, multiprocessing_context="thread"), ValueError,
        "[DataLoader] expected multiprocessing_context None or one of"),
    (lambda: fastdl.compile(3), TypeError, "[compile] expected a Module or a function, got int"),
    (lambda: fastdl.compile(LAYER, max_shapes=True), ValueError,
        "[compile] expected max_shapes of at least 1, got True"),
    (lambda: export(LAYER, X, 3), TypeError, "[onnx.export] expected a path for f, got int"),
    (lambda: export(LAYER, X, "f", opset_version="a"), TypeError, "[onnx.export] expected an int for opset_version"),
    (lambda: export(LAYER, X, "f", input_names=3), TypeError, "[onnx.export] expected a list for input_names, got int"),
    (lambda: export(LAYER, X, "f", input_names=["a"], output_names=["a"]), ValueError,
        "[onnx.export] expected output_names other than ['a'], got ['a']"),
    (lambda: export(LAYER, X, "f", dynamic_axes=3), TypeError,
        "[onnx.export] expected a dict for dynamic_axes, got int"),
    (lambda: fastdl.onnx.load(b"", device="tpu"), ValueError, "[device] expected one of"),
])  # fmt: skip
def test_bad_arguments(call, error, text):
    with pytest.raises(error, match=re.escape(text)):
        call()


@pytest.mark.parametrize("device", [name for name in ("cpu", "emu", "reference") if name in backends.available()])
@pytest.mark.parametrize(("function", "dtype", "arguments", "error", "text"), [
    ("clamp", "float32", ("a", 1), TypeError, "[clamp] expected a number, got 'a'"),
    ("clamp", "int64", (0.5, 1), TypeError, "[clamp] expected an int for an array of dtype int64, got 0.5"),
    ("clamp", "uint8", (-1, 1), ValueError, "[clamp] expected a number that uint8 holds, got -1"),
    ("clamp", "bool", (0, 1), TypeError,
        "[clamp] expected x of dtype float32, float64, int32, int64 or uint8, got bool"),
    ("squared_deviations", "int64", (None, (0,), False), TypeError,
        "[squared_deviations] expected x of dtype float32 or float64, got int64"),
    ("squared_deviations", "float32", (None, (2,), False), IndexError,
        "[squared_deviations] expected axes from 0 to 1, got (2,)"),
    ("squared_deviations", "float32", (np.ones(3), (0,), False), TypeError,
        "[squared_deviations] expected center of dtype float32, got float64"),
    ("squared_deviations", "float64", (np.ones(2), (0,), False), ValueError,
        "[squared_deviations] expected center of 3 elements, got shape (2,)"),
])  # fmt: skip
def test_devices_say_the_same(device, function, dtype, arguments, error, text):
    k = backends.get(device)
    given = [k.from_numpy(a, False) if isinstance(a, np.ndarray) else a for a in arguments]
    with pytest.raises(error, match=re.escape(text)):
        getattr(k, function)(k.from_numpy(np.ones((2, 3), dtype), False), *given)


def test_threads_meet_at_least_once():
    with pytest.raises(ValueError, match=re.escape("[meeting_seconds] expected times of at least 1, got 0")):
        backends.get("cpu").meeting_seconds(0)
    assert backends.get("cpu").meeting_seconds(10) >= 0


def test_unknown_instruction_sets_are_refused():
    cpu = backends.get("cpu")
    before = cpu.isa()
    for name in ("AMX", "", "sse"):
        with pytest.raises(ValueError, match=rf"\[set_isa\] expected baseline, avx2, avx512 or amx, got {name}$"):
            cpu.set_isa(name)
    with pytest.raises(TypeError):
        cpu.set_isa(None)
    assert cpu.isa() == before
