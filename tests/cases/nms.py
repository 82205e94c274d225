"""Non-maximum suppression, hard and soft, in one class and in many."""

import numpy as np

import fastdl
from fastdl import ops
from fastdl.testing import BadCall, OpCase

from .boxes import boxes, on


def proposals(rng, n, **_):
    """Boxes of 10 to 100 pixels all over an image, each with a score of its own."""
    return [boxes(rng, n, 1000.0 * min(1.0, n / 300), 10.0, 100.0), rng.permutation(n) / max(n, 1)]


def detections(rng, n, objects, **_):
    """What a detector sees: several boxes around each object."""
    centre = rng.uniform(0, 1000, (objects, 2))[rng.integers(0, objects, n)] + rng.normal(0, 6, (n, 2))
    size = np.abs(rng.normal(60, 10, (n, 2)))
    return [np.concatenate([centre - size / 2, centre + size / 2], 1), rng.permutation(n) / max(n, 1)]


def classified(rng, n, classes, **_):
    return [*proposals(rng, n), rng.integers(0, classes, n)]


def on_a_lattice(rng, n, **_):
    """Whole coordinates and few scores: touching, identical and empty boxes, and ties everywhere."""
    low = rng.integers(0, 6, (n, 2))
    return [np.concatenate([low, low + rng.integers(0, 4, (n, 2))], 1).astype(float), rng.integers(0, 4, n) / 4]


def special(rng, **_):
    """NaN, infinite and inverted boxes, NaN and infinite scores, zeros of both signs."""
    b, s = on_a_lattice(rng, 60)
    for value in (np.nan, np.inf, -np.inf, -3.0):
        b[rng.integers(0, 60, 4), rng.integers(0, 4, 4)] = value
        s[rng.integers(0, 60, 2)] = value
    s[:2] = -0.0, 0.0
    return [b, s]


def one_score(device, n=2, dtype="float32"):
    return fastdl.ones(n, dtype=dtype, device=device)


NUMBERS = [0, 1, 2, 7, 15, 16, 17, 33, 95, 96, 400]
THRESHOLDS = [0.0, 0.3, 0.7, 1.0, -0.5]
BAD_NMS = [
    BadCall(lambda d: ops.nms(on(d, 2, 5), one_score(d), 0.5), ValueError,
            "[nms] expected boxes of shape (N, 4), got shape (2, 5)"),
    BadCall(lambda d: ops.nms(on(d, 2, 4), one_score(d, 3), 0.5), ValueError,
            "[nms] expected scores of shape (2,), got shape (3,)"),
    BadCall(lambda d: ops.nms(on(d, 2, 4), one_score(d, dtype="float64"), 0.5), TypeError,
            "[nms] expected scores of dtype float32, got float64"),
    BadCall(lambda d: ops.nms(on(d, 2, 4, dtype="int64"), one_score(d), 0.5), TypeError,
            "[nms] expected boxes of dtype float32 or float64, got int64"),
    BadCall(lambda d: ops.nms(on(d, 2, 4), one_score(d), None), TypeError,
            "[nms] expected a number for iou_threshold, got NoneType"),
]  # fmt: skip
BAD_BATCHED = [
    BadCall(lambda d: ops.batched_nms(on(d, 2, 4), one_score(d), one_score(d), 0.5), TypeError,
            "[batched_nms] expected idxs of an integer dtype, got float32"),
    BadCall(lambda d: ops.batched_nms(on(d, 2, 4), one_score(d), one_score(d, 3, "int64"), 0.5), ValueError,
            "[nms] expected classes of shape (2,), got shape (3,)"),
]  # fmt: skip
BAD_SOFT = [
    BadCall(lambda d: ops.soft_nms(on(d, 2, 4), one_score(d), method="hard"), ValueError,
            "[soft_nms] expected method linear or gaussian, got hard"),
    BadCall(lambda d: ops.soft_nms(on(d, 2, 4), one_score(d), sigma=0), ValueError,
            "[soft_nms] expected sigma above 0, got 0"),
    BadCall(lambda d: ops.soft_nms(on(d, 2, 4), one_score(d, 3)), ValueError,
            "[soft_nms] expected scores of shape (2,), got shape (3,)"),
]  # fmt: skip
SOFT = [{"n": n, "method": m} for n in (0, 1, 5, 16, 17, 150) for m in ("linear", "gaussian")]
CASES = [
    OpCase("nms", ops.nms, proposals, [{"n": n, "iou_threshold": 0.3} for n in NUMBERS], BAD_NMS, differentiable=[]),
    OpCase("nms_of_detections", ops.nms, detections, [{"n": 500, "objects": 20, "iou_threshold": 0.5}],
           shape_only=("n", "objects"), differentiable=[]),
    OpCase("nms_on_a_lattice", ops.nms, on_a_lattice, [{"n": 150, "iou_threshold": t} for t in THRESHOLDS],
           differentiable=[]),
    OpCase("nms_of_special_boxes", ops.nms, special, [{"iou_threshold": t} for t in THRESHOLDS], differentiable=[]),
    OpCase("batched_nms", ops.batched_nms, classified,
           [{"n": n, "classes": 3, "iou_threshold": 0.3} for n in (0, 1, 40, 400)]
           + [{"n": 50, "classes": 2**40, "iou_threshold": 0.3}], BAD_BATCHED, differentiable=[]),
    OpCase("soft_nms", ops.soft_nms, proposals, SOFT, BAD_SOFT, differentiable=[]),
    OpCase("soft_nms_on_a_lattice", ops.soft_nms, on_a_lattice, [{"n": 60, "method": "linear"}], differentiable=[]),
    OpCase("soft_nms_of_special_boxes", ops.soft_nms, special, [{"method": "gaussian"}, {"method": "linear"}],
           differentiable=[]),
]  # fmt: skip
