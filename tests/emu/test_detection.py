"""Boxes, suppression and pooling over regions beyond what the cases of every device have: the numbers at
which kernels take other ways, and random inputs, against the reference and without a finding, in every order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import fastdl
from fastdl import backends, ops
from fastdl.testing import assert_close
from tests.cases.nms import detections, proposals, special
from tests.properties.test_nms import THRESHOLDS, scored_boxes
from tests.properties.test_rois import BINS, maps_and_rois

REFERENCE = backends.get("reference")
RANDOM = settings(derandomize=True, deadline=None, max_examples=25, database=None)
pytestmark = pytest.mark.usefixtures("_finds_nothing")


def same_as_reference(run, name: str, *arguments: Any) -> None:
    expected = getattr(REFERENCE, name)(*arguments)
    got = run(name, *arguments)
    for a, b in zip(got, expected, strict=True) if isinstance(got, tuple) else [(got, expected)]:
        np.testing.assert_array_equal(a, b)


# A chunk of ranks is 1024, a group 32 and a block 256.
@pytest.mark.parametrize("n", [31, 32, 257, 1024, 1025, 2100])
@pytest.mark.parametrize("kind", [proposals, detections])
def test_nms_of_several_chunks(run, n, kind):
    boxes, scores = kind(np.random.default_rng(n), n, objects=60)
    same_as_reference(run, "nms", boxes.astype(np.float32), scores.astype(np.float32), None, 0.4)


def test_nms_where_each_box_removes_the_next(run):
    """The longest chain of decisions: every other box stays."""
    n = 300
    low = np.stack([np.arange(n) * 4.0, np.zeros(n)], 1)
    boxes = np.concatenate([low, low + 10], 1)
    same_as_reference(run, "nms", boxes, -np.arange(n, dtype=float), None, 0.3)


def test_nms_in_classes_of_several_chunks(run):
    rng = np.random.default_rng(0)
    boxes, scores = detections(rng, 1500, 40)
    same_as_reference(run, "nms", boxes, scores, rng.integers(0, 5, 1500), 0.3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nms_is_that_of_the_reference(run, dtype):
    @RANDOM
    @given(scored_boxes(), THRESHOLDS)
    def check(boxes_and_scores, threshold):
        boxes, scores, classes = boxes_and_scores
        same_as_reference(run, "nms", boxes.astype(dtype), scores.astype(dtype), None, threshold)
        same_as_reference(run, "nms", boxes.astype(dtype), scores.astype(dtype), classes, threshold)

    check()


@pytest.mark.parametrize("n", [256, 257, 600])
def test_soft_nms_of_small_and_large_blocks(run, n):
    boxes, scores = proposals(np.random.default_rng(n), n)
    keep, decayed = run("soft_nms", boxes, scores, "linear", 0.3, 0.5, 0.05)
    expected, expected_scores = REFERENCE.soft_nms(boxes, scores, "linear", 0.3, 0.5, 0.05)
    np.testing.assert_array_equal(keep, expected)
    np.testing.assert_array_equal(decayed, expected_scores)


@pytest.mark.parametrize("n", [20, 1100])
def test_nothing_but_the_count_goes_to_the_host(emu, n):
    """Boxes are ranked, compared and chosen on the device; the result's size is the one thing that Python must know."""
    boxes, scores = (fastdl.tensor(a, device="emu") for a in detections(np.random.default_rng(0), n, 20))
    classes = fastdl.zeros(n, dtype=fastdl.int64, device="emu")
    for suppress in (
        lambda: ops.nms(boxes, scores, 0.4),
        lambda: ops.batched_nms(boxes, scores, classes, 0.4),
        lambda: ops.soft_nms(boxes, scores),
        lambda: ops.soft_nms(boxes, scores, method="gaussian"),
    ):
        before = emu.copied_to_host()
        suppress()
        assert emu.copied_to_host() - before == 8


@pytest.mark.parametrize("n", [1, 31, 33, 8192, 8193, 17_000])
def test_chosen_boxes_of_several_blocks(run, n):
    boxes = special(np.random.default_rng(1))[0]
    boxes = np.tile(boxes, (n // len(boxes) + 1, 1))[:n]
    same_as_reference(run, "large_boxes", boxes, 2.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pooling_over_regions_is_that_of_the_reference(run, dtype):
    @RANDOM
    @given(maps_and_rois(), BINS)
    def check(given_map, bins):
        x, rois, scale = given_map[0].astype(dtype), given_map[1].astype(dtype), given_map[2]
        expected, places = REFERENCE.roi_pool(x, rois, bins, scale, True)
        same_as_reference(run, "roi_pool", x, rois, bins, scale, True)
        grad = np.random.default_rng(1).standard_normal(expected.shape).astype(dtype)
        same_as_reference(run, "roi_pool_bwd", grad, rois, places, x.shape)
        for ratio, aligned in ((0, False), (3, True)):
            attributes = (scale, ratio, aligned)
            out = run("roi_align", x, rois, bins, *attributes)
            assert_close(out, REFERENCE.roi_align(x, rois, bins, *attributes), 64)
            back = run("roi_align_bwd", grad, rois, x.shape, *attributes)
            assert_close(back, REFERENCE.roi_align_bwd(grad, rois, x.shape, *attributes), 256)

    check()


@pytest.mark.parametrize("side", [90, 91])  # 32 KB of float32 are in shared memory, one row more are not
def test_gradients_of_cells_that_many_bins_name(run, side):
    rng = np.random.default_rng(side)
    rois = np.concatenate([rng.integers(0, 2, (40, 1)), np.zeros((40, 4))], 1).astype(np.float32)
    grad = rng.standard_normal((40, 2, 3, 13)).astype(np.float32)
    indices = rng.choice([-1, 0, 5, side * side - 1], grad.shape).astype(np.int32)
    same_as_reference(run, "roi_pool_bwd", grad, rois, indices, (2, 2, side, side))


def test_regions_whose_lists_go_in_parts(run):
    """A long map, so that few lists fit in the memory that a launch takes for them: 600 regions make two parts."""
    rng = np.random.default_rng(0)
    shape, count = (2, 1, 2, 1200), 600
    low = rng.uniform(0, 1, (count, 2)) * [1190, 1]
    rois = np.concatenate([rng.integers(0, 2, (count, 1)), low, low + rng.uniform(0, 9, (count, 2))], 1)
    x, attributes = rng.standard_normal(shape), (1.0, 2, True)
    out = run("roi_align", x, rois, (2, 7), *attributes)
    assert_close(out, REFERENCE.roi_align(x, rois, (2, 7), *attributes), 64)
    back = run("roi_align_bwd", out, rois, shape, *attributes)
    assert_close(back, REFERENCE.roi_align_bwd(out, rois, shape, *attributes), 1024)
