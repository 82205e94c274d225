"""Detection operators against torchvision: index lists and IoU equal, the rest within rounding."""

import importlib

import numpy as np
import pytest

import fastdl
from fastdl import ops
from fastdl.testing import assert_close

from ..cases.boxes import boxes, codes, special
from ..cases.nms import classified, detections, on_a_lattice, proposals
from ..cases.nms import special as special_proposals
from ..cases.roi_pool import rois

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
torchvision = pytest.importorskip("torchvision", reason="torchvision is not installed")
theirs = torchvision.ops
DTYPES = ["float32", "float64"]


def both(arrays, dtype):
    """The arrays as tensors of fastdl and of PyTorch, floats rounded to a dtype."""
    cast = [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]
    return [fastdl.tensor(a) for a in cast], [torch.tensor(a) for a in cast]


def expect_equal(got, expected):
    np.testing.assert_array_equal(got.detach().numpy(), expected.detach().numpy())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0, -0.5])
@pytest.mark.parametrize("make", [proposals, detections, on_a_lattice, special_proposals])
@pytest.mark.parametrize("n", [5, 100, 1500])
def test_nms(dtype, threshold, make, n):
    ours, other = both(make(np.random.default_rng(n), n=n, objects=30), dtype)
    expect_equal(ops.nms(*ours, threshold), theirs.nms(*other, threshold))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 50, 1200])
def test_batched_nms(dtype, n):
    ours, other = both(classified(np.random.default_rng(n), n, 7), dtype)
    expect_equal(ops.batched_nms(*ours, 0.4), theirs.batched_nms(*other, 0.4))


@pytest.mark.parametrize("dtype", DTYPES)
def test_box_functions(dtype):
    rng = np.random.default_rng(0)
    for arrays in ([boxes(rng, 70), boxes(rng, 33)], special(rng)):
        (a, b), (x, y) = both(arrays, dtype)
        for fmt in ops.boxes.FORMATS:
            expect_equal(ops.box_iou(a, b, fmt), theirs.box_iou(x, y, fmt=fmt))
            expect_equal(ops.box_area(a, fmt), theirs.box_area(x, fmt=fmt))
            for out in ops.boxes.FORMATS:
                expect_equal(ops.box_convert(a, fmt, out), theirs.box_convert(x, fmt, out))
        expect_equal(ops.generalized_box_iou(a, b), theirs.generalized_box_iou(x, y))
        expect_equal(ops.clip_boxes_to_image(a, (50, 60)), theirs.clip_boxes_to_image(x, (50, 60)))
        expect_equal(ops.remove_small_boxes(a, 10.3), theirs.remove_small_boxes(x, 10.3))


def test_gradient_of_iou():
    (a, b), (x, y) = both([boxes(np.random.default_rng(0), 9), boxes(np.random.default_rng(1), 6)], "float64")
    for name in ("box_iou", "generalized_box_iou"):
        for t in (a, b, x, y):
            t.requires_grad_()
            t.grad = None
        getattr(ops, name)(a, b).sum().backward()
        getattr(theirs, name)(x, y).sum().backward()
        for mine, other in ((a, x), (b, y)):
            assert_close(mine.grad, other.grad.numpy(), 64)


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)])
def test_box_coder(weights):
    coder = importlib.import_module("torchvision.models.detection._utils").BoxCoder(weights)
    rng = np.random.default_rng(0)
    (a, b), (x, y) = both([boxes(rng, 40), boxes(rng, 40)], "float64")
    assert_close(ops.encode_boxes(a, b, weights), coder.encode_single(x, y).numpy(), 64)
    (c, b), (z, y) = both(codes(rng, 40, 3), "float64")
    assert_close(ops.decode_boxes(c, b, weights), coder.decode_single(z, y).numpy(), 64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1.0, 0.25, 0.0625])
@pytest.mark.parametrize("bins", [(7, 7), (1, 1), (3, 5)])
def test_roi_pool(dtype, scale, bins):
    rng, shape = np.random.default_rng(0), (3, 20, 15, 18)
    (x, r), (tx, tr) = both([rng.standard_normal(shape), rois(rng, 30, shape, scale)], dtype)
    x.requires_grad_(), tx.requires_grad_()
    out, expected = ops.roi_pool(x, r, bins, scale), theirs.roi_pool(tx, tr, bins, scale)
    expect_equal(out, expected)
    g = rng.standard_normal(expected.shape).astype(dtype)
    out.backward(fastdl.tensor(g))
    expected.backward(torch.tensor(g))
    assert_close(x.grad, tx.grad.numpy(), 16)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("ratio", [-1, 0, 1, 2, 4])
@pytest.mark.parametrize("scale", [1.0, 0.0625])
def test_roi_align(dtype, aligned, ratio, scale):
    rng, shape = np.random.default_rng(0), (3, 20, 15, 18)
    (x, r), (tx, tr) = both([rng.standard_normal(shape), rois(rng, 30, shape, scale)], dtype)
    x.requires_grad_(), tx.requires_grad_()
    out = ops.roi_align(x, r, 7, scale, ratio, aligned)
    expected = theirs.roi_align(tx, tr, 7, scale, ratio, aligned)
    assert_close(out, expected.detach().numpy(), 16)
    g = rng.standard_normal(expected.shape).astype(dtype)
    out.backward(fastdl.tensor(g))
    expected.backward(torch.tensor(g))
    assert_close(x.grad, tx.grad.numpy(), 32)


def test_layers_and_lists_of_boxes():
    rng, shape = np.random.default_rng(0), (2, 5, 9, 9)
    (x, a, b), (tx, ta, tb) = both(
        [rng.standard_normal(shape), boxes(rng, 4, 9, 1, 5), boxes(rng, 3, 9, 1, 5)], "float32"
    )
    for args in ((3, 1.0, 2), ((2, 4), 0.5, -1, True)):
        mine, other = ops.RoIAlign(*args), theirs.RoIAlign(*args)
        assert repr(mine) == repr(other)
        assert_close(mine(x, [a, b]), other(tx, [ta, tb]).numpy(), 16)
    mine, other = ops.RoIPool(3, 0.5), theirs.RoIPool(3, 0.5)
    assert repr(mine) == repr(other)
    expect_equal(mine(x, [a, b]), other(tx, [ta, tb]))
