"""Intersection over union of every box of one set with every box of another, and the choice of boxes by size."""

from __future__ import annotations

import numpy as np

from .checks import expect, expect_float, expect_same_dtype, quiet

Array = np.ndarray


def expect_boxes(op: str, what: str, boxes: Array) -> None:
    expect_float(op, what, boxes)
    expect(boxes.ndim == 2 and boxes.shape[1] == 4, ValueError, op, f"{what} of shape (N, 4)", f"shape {boxes.shape}")


def area(boxes: Array) -> Array:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _corners(boxes: Array, fmt: str) -> tuple[Array, Array, Array]:
    """Upper left and lower right corners (N, 2), and areas (N,)."""
    place, size = boxes[:, :2], boxes[:, 2:]
    if fmt == "xyxy":
        return place, size, area(boxes)
    if fmt == "xywh":
        return place, place + size, size[:, 0] * size[:, 1]
    return place - size / 2, place + size / 2, size[:, 0] * size[:, 1]


def _product(sides: Array) -> Array:
    """The area of rectangles; sides below 0 count as 0."""
    sides = np.maximum(sides, 0)
    return sides[..., 0] * sides[..., 1]


def box_iou(boxes1: Array, boxes2: Array, fmt: str, generalized: bool) -> Array:
    op = "box_iou"
    expect_boxes(op, "boxes1", boxes1)
    expect_boxes(op, "boxes2", boxes2)
    expect_same_dtype(op, "boxes2", boxes2, boxes1.dtype)
    expect(fmt in ("xyxy", "xywh", "cxcywh"), ValueError, op, "fmt xyxy, xywh or cxcywh", fmt)
    with quiet():
        low1, high1, area1 = _corners(boxes1, fmt)
        low2, high2, area2 = _corners(boxes2, fmt)
        inter = _product(np.minimum(high1[:, None], high2) - np.maximum(low1[:, None], low2))
        union = area1[:, None] + area2 - inter
        iou = inter / union
        if generalized:
            hull = _product(np.maximum(high1[:, None], high2) - np.minimum(low1[:, None], low2))
            iou = iou - (hull - union) / hull
    return iou


def large_boxes(boxes: Array, min_size: float) -> Array:
    expect_boxes("large_boxes", "boxes", boxes)
    least = boxes.dtype.type(min_size)
    with quiet():
        large = (boxes[:, 2] - boxes[:, 0] >= least) & (boxes[:, 3] - boxes[:, 1] >= least)
    return np.flatnonzero(large).astype(np.int64)
