"""Non-maximum suppression against the reference, and what must hold of any result."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdl import backends

CPU, REFERENCE = backends.get("cpu"), backends.get("reference")
QUICK = settings(derandomize=True, deadline=None, max_examples=60, database=None)
COUNTS = st.integers(0, 40) | st.sampled_from([63, 64, 65, 95, 96, 97, 200, 300])
SPECIAL = st.sampled_from([np.nan, np.inf, -np.inf, -4.0, -0.0, 1e30, 3e38])


@st.composite
def scored_boxes(draw):
    """Boxes of many sizes and places with scores; on a lattice at times, with odd values at times."""
    n, rng = draw(COUNTS), np.random.default_rng(draw(st.integers(0, 99)))
    extent, side = draw(st.sampled_from([10.0, 100.0, 3000.0])), draw(st.sampled_from([3.0, 20.0, 200.0]))
    low = rng.uniform(0, extent, (n, 2)) + draw(st.sampled_from([0.0, -50.0, 1e6]))
    boxes, scores = np.concatenate([low, low + rng.uniform(0, side, (n, 2))], 1), rng.random(n)
    if draw(st.booleans()):
        boxes, scores = np.round(boxes), np.round(scores, 1)
    if n and draw(st.booleans()):
        boxes[rng.integers(n), rng.integers(4)] = draw(SPECIAL)
        scores[rng.integers(n)] = draw(SPECIAL)
    return boxes, scores, rng.integers(0, draw(st.sampled_from([1, 3, 2**50])), n)


THRESHOLDS = st.sampled_from([0.0, 0.1, 0.5, 0.7, 0.999, 1.0, -1.0, np.nan])


def on_cpu(a):
    return CPU.from_numpy(np.ascontiguousarray(a), False)


@pytest.mark.parametrize("isa", CPU.isa_levels())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kept_boxes_are_those_of_the_reference(isa, dtype):
    CPU.set_isa(isa)

    @QUICK
    @given(scored_boxes(), THRESHOLDS, st.booleans())
    def check(given_boxes, threshold, in_classes):
        boxes, scores, classes = given_boxes[0].astype(dtype), given_boxes[1].astype(dtype), given_boxes[2]
        chosen = classes if in_classes else None
        expected = REFERENCE.nms(boxes, scores, chosen, threshold)
        got = CPU.nms(on_cpu(boxes), on_cpu(scores), on_cpu(classes) if in_classes else None, threshold)
        np.testing.assert_array_equal(CPU.to_numpy(got), expected)

    check()


@QUICK
@given(scored_boxes(), st.sampled_from(["linear", "gaussian"]), st.sampled_from([0.0, 0.3, 1.0]))
def test_soft_nms_is_that_of_the_reference(given_boxes, method, threshold):
    boxes, scores, _ = given_boxes
    expected, decayed = REFERENCE.soft_nms(boxes, scores, method, threshold, 0.5, 0.05)
    got, got_decayed = (
        CPU.to_numpy(a) for a in CPU.soft_nms(on_cpu(boxes), on_cpu(scores), method, threshold, 0.5, 0.05)
    )
    np.testing.assert_allclose(got_decayed, decayed, rtol=1e-12)
    same = np.isclose(np.diff(decayed, append=-1), 0, atol=1e-12)  # decayed scores that tie may change places
    np.testing.assert_array_equal(got[~same & ~np.roll(same, 1)], expected[~same & ~np.roll(same, 1)])


@QUICK
@given(scored_boxes(), st.sampled_from([0.2, 0.5]))
def test_kept_boxes_do_not_overlap_and_the_others_do(given_boxes, threshold):
    boxes, scores, _ = given_boxes
    keep = CPU.to_numpy(CPU.nms(on_cpu(boxes), on_cpu(scores), None, threshold))
    ious = REFERENCE.box_iou(boxes, boxes, "xyxy", False)
    assert not np.triu(ious[np.ix_(keep, keep)] > threshold, 1).any()
    gone = np.setdiff1d(np.arange(len(boxes)), keep)
    assert (ious[np.ix_(gone, keep)] > threshold).any(1).all()
