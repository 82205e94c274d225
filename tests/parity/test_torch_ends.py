"""Ends and odd inputs of functions with kernels of their own: empty tensors, NaN and infinities, integers, what counts
for nothing. Values, shapes and dtypes are PyTorch's."""

import numpy as np
import pytest

import fastdl
import fastdl.functional as F

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
TF = torch.nn.functional

INF, NAN = float("inf"), float("nan")


def classes(m):
    return m.log_softmax(m.arange(12.0).reshape(2, 3, 2), 1), m.tensor([[0, -100], [2, 1]])


CALLS = {
    "nll_loss of nothing": lambda m, f: f.nll_loss(m.zeros(0, 3), m.zeros(0).long()),
    "nll_loss of nothing, sum": lambda m, f: f.nll_loss(m.zeros(0, 3), m.zeros(0).long(), reduction="sum"),
    "nll_loss, all ignored": lambda m, f: f.nll_loss(m.zeros(2, 3), m.tensor([-100, -100])),
    "nll_loss, some ignored": lambda m, f: f.nll_loss(*classes(m)),
    "nll_loss, weights": lambda m, f: f.nll_loss(*classes(m), m.tensor([1.0, 2, 3])),
    "nll_loss, weights, none": lambda m, f: f.nll_loss(*classes(m), m.tensor([1.0, 2, 3]), reduction="none"),
    "nll_loss, a class ignored": lambda m, f: f.nll_loss(*classes(m), ignore_index=-100, reduction="sum"),
    "nll_loss of minus infinity": lambda m, f: f.nll_loss(m.full((2, 3), -INF), m.tensor([-100, 1])),
    "nll_loss of one row": lambda m, f: f.nll_loss(m.tensor([-1.0, -2]), m.tensor(1)),
    "trapezoid of a point": lambda m, f: m.trapezoid(m.ones(3, 1)),
    "trapezoid of nothing": lambda m, f: m.trapezoid(m.ones(3, 0)),
    "trapezoid of integers": lambda m, f: m.trapezoid(m.tensor([1, 2, 3])),
    "trapezoid, axis 0": lambda m, f: m.trapezoid(m.arange(12.0).reshape(3, 4), dx=2, dim=0),
    "take from the end": lambda m, f: m.take(m.arange(6.0), m.tensor([[-1, 0], [5, -6]])),
    "eye": lambda m, f: m.eye(2, 3, dtype=m.int64),
    "eye of nothing": lambda m, f: m.eye(0),
    "eye, truth": lambda m, f: m.eye(3, 2, dtype=m.bool),
    "dot of integers": lambda m, f: m.dot(m.tensor([1, 2]), m.tensor([3, 4])),
    "dot of nothing": lambda m, f: m.dot(m.ones(0), m.ones(0)),
    "frac": lambda m, f: m.frac(m.tensor([1.5, -2.25, INF, NAN, -0.0])),
    "diagonal": lambda m, f: m.diagonal(m.arange(24).reshape(2, 3, 4), 1, 0, 2),
    "diagonal outside": lambda m, f: m.diagonal(m.ones(2, 3), 7),
    "lerp to the end": lambda m, f: m.lerp(m.tensor([0.1]), m.tensor([0.3]), 1.0),
    "lerp by an integer": lambda m, f: m.lerp(m.ones(2), m.zeros(2), 1),
    "addcmul of integers": lambda m, f: m.addcmul(m.tensor([1]), m.tensor([2]), m.tensor([3]), value=2),
    "addcmul of two dtypes": lambda m, f: m.addcmul(m.ones(2, dtype=m.float64), m.ones(2), m.ones(2)),
    "nan_to_num": lambda m, f: m.nan_to_num(m.tensor([NAN, INF, -INF]), neginf=0.0),
    "copysign by -0": lambda m, f: m.copysign(m.tensor([1.0, -2.0]), -0.0),
    "fmod by a negative": lambda m, f: m.fmod(m.tensor([-5.0, 5.0]), -3),
    "fmod of integers": lambda m, f: m.fmod(m.tensor([-5, 5]), 3),
    "fmod of integers by a float": lambda m, f: m.fmod(m.tensor([-5, 5]), 1.5),
    "hypot": lambda m, f: m.hypot(m.tensor([INF, 1e30, 1e-30, 0]), m.tensor([NAN, 1e30, 1e-30, 0])),
    "logaddexp": lambda m, f: m.logaddexp(m.tensor([INF, -INF, NAN, INF]), m.tensor([INF, -INF, 0, -INF])),
    "glu": lambda m, f: f.glu(m.arange(8.0).reshape(2, 4), 0),
    "threshold of NaN": lambda m, f: f.threshold(m.tensor([NAN, 1, 2.0]), 1.5, 9.0),
    "threshold of integers": lambda m, f: f.threshold(m.tensor([1, 2, 3]), 1, 0),
    "softshrink of NaN": lambda m, f: f.softshrink(m.tensor([NAN, -0.2, 2.0])),
    "hardshrink of NaN": lambda m, f: f.hardshrink(m.tensor([NAN, -0.2, 2.0])),
    "mish far out": lambda m, f: f.mish(m.tensor([INF, -INF, -100.0, 30.0])),
    "softsign of integers": lambda m, f: f.softsign(m.tensor([1, -2])),
    "cummax of NaN": lambda m, f: m.cummax(m.tensor([1.0, 3, 3, NAN, 2]), 0)[1],
    "cummax of bools": lambda m, f: m.cummax(m.tensor([False, True, False]), 0)[0],
    "cumprod of integers": lambda m, f: m.cumprod(m.tensor([1, 2, 3]), 0),
    "prod of bools": lambda m, f: m.prod(m.tensor([True, False])),
    "prod of nothing": lambda m, f: m.prod(m.ones(0)),
    "flip of a scalar": lambda m, f: m.flip(m.tensor(1.0), []),
    "roll, two axes": lambda m, f: m.roll(m.arange(6).reshape(2, 3), (-1, 4), (0, 1)),
    "roll, one axis twice": lambda m, f: m.roll(m.arange(6), (1, 2), (0, 0)),
    "roll of nothing": lambda m, f: m.roll(m.ones(0, 3), 1, 0),
    "pad, circular, cut": lambda m, f: f.pad(m.arange(6.0).reshape(1, 2, 3), (2, -1), mode="circular"),
    "pad, reflect": lambda m, f: f.pad(m.arange(24.0).reshape(1, 2, 3, 4), (1, 1, 2, 1), mode="reflect"),
}


@pytest.mark.parametrize("name", CALLS)
def test_as_pytorch(name):
    ours, theirs = CALLS[name](fastdl, F).numpy(), CALLS[name](torch, TF).numpy()
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-37)  # denormal numbers count as zero


@pytest.mark.parametrize("name", ["copysign", "nan_to_num"])
def test_gradients_beside_infinities(name):
    found = []
    for m in (fastdl, torch):
        x, y = (m.tensor(v, requires_grad=True) for v in ([1.0, NAN, INF, -2.0], [INF, -1.0, NAN, -INF]))
        out = m.copysign(x, y) if name == "copysign" else m.nan_to_num(y)
        out.backward(m.tensor([1.0, INF, INF, 2.0]) if name == "nan_to_num" else m.ones(4))
        found.append(y.grad.numpy())
    np.testing.assert_array_equal(*found)
