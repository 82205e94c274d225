"""Non-maximum suppression: of boxes that overlap, the one with the highest score stays."""

from __future__ import annotations

import numpy as np

from .boxes import area, expect_boxes
from .checks import expect, expect_same_dtype, expect_shape, number, quiet

Array = np.ndarray


def _check(op: str, boxes: Array, scores: Array) -> None:
    expect_boxes(op, "boxes", boxes)
    expect_same_dtype(op, "scores", scores, boxes.dtype)
    expect_shape(op, "scores", scores, (len(boxes),))


def _ious(boxes: Array, i: int) -> Array:
    """The IoU of box i with every box; NaN where it is 0 / 0 or a coordinate is NaN."""
    with quiet():
        low = np.maximum(boxes[i, :2], boxes[:, :2])
        high = np.minimum(boxes[i, 2:], boxes[:, 2:])
        sides = np.maximum(high - low, 0)
        inter = sides[:, 0] * sides[:, 1]
        areas = area(boxes)
        return inter / (areas[i] + areas - inter)


def _by_falling_score(scores: Array) -> Array:
    """NaN first, then the highest; equal ones in their order."""
    nan = np.isnan(scores)
    return np.concatenate([np.flatnonzero(nan), [i for i in np.argsort(-scores, kind="stable") if not nan[i]]])


def nms(boxes: Array, scores: Array, classes: Array | None, iou_threshold: float) -> Array:
    op = "nms"
    _check(op, boxes, scores)
    if classes is not None:
        expect_same_dtype(op, "classes", classes, np.dtype(np.int64))
        expect_shape(op, "classes", classes, scores.shape)
    suppressed = np.zeros(len(boxes), bool)
    keep = []
    for i in _by_falling_score(scores).astype(np.int64):
        if suppressed[i]:
            continue
        keep.append(i)
        over = _ious(boxes, i).astype(np.float64) > iou_threshold
        suppressed |= over if classes is None else over & (classes == classes[i])
    return np.array(keep, np.int64)


def soft_nms(
    boxes: Array, scores: Array, method: str, iou_threshold: float, sigma: float, score_threshold: float
) -> tuple[Array, Array]:
    op = "soft_nms"
    expect(method in ("linear", "gaussian"), ValueError, op, "method linear or gaussian", method)
    _check(op, boxes, scores)
    expect(sigma > 0, ValueError, op, "sigma above 0", number(sigma))
    dtype = scores.dtype.type
    with quiet():
        left = np.where(scores >= dtype(score_threshold), scores, dtype(-np.inf))
        keep, decayed = [], []
        while len(left) and left.max() > -np.inf:
            i = int(left.argmax())  # the first of equal ones
            keep.append(i)
            decayed.append(left[i])
            left[i] = -np.inf
            iou = _ious(boxes, i)
            if method == "linear":
                factor = np.where(iou > dtype(iou_threshold), 1 - iou, dtype(1))
            else:
                factor = np.where(np.isnan(iou), dtype(1), np.exp(-iou * iou / dtype(sigma)))
            after = left * factor
            left = np.where(after >= dtype(score_threshold), after, dtype(-np.inf))
    return np.array(keep, np.int64), np.array(decayed, scores.dtype)
