"""Overlap of boxes, their formats, and the codes of a regression layer."""

import numpy as np

import fastdl
from fastdl import ops
from fastdl.testing import BadCall, OpCase


def boxes(rng, n, extent=100.0, least=2.0, most=40.0):
    """n boxes around centres in a square."""
    centre, size = rng.uniform(0, extent, (n, 2)), rng.uniform(least, most, (n, 2))
    return np.concatenate([centre - size / 2, centre + size / 2], 1)


def two_sets(rng, n, m, fmt="xyxy", extent=100.0):
    first, second = boxes(rng, n, extent), boxes(rng, m, extent)
    if fmt != "xyxy":
        first, second = np.abs(first) + 1, np.abs(second) + 1
    return [first, second]


def many(rng, n, m):
    """As two images full of boxes: most pairs lie apart."""
    return [boxes(rng, k, 1000.0, 10.0, 100.0) for k in (n, m)]


def special(rng):
    """Identical, touching, nested, empty and inverted boxes, infinities and NaN, each with each."""
    inf, nan = np.inf, np.nan
    rows = [
        [0, 0, 4, 4], [0, 0, 4, 4], [4, 0, 8, 4], [1, 1, 2, 2], [1, 1, 1, 3], [1, 1, 1, 1], [3, 3, 0, 0],
        [-2, -2, 9, 9], [0, 0, inf, 4],
        [-inf, 0, inf, 4], [nan, 0, 1, 1], [0, 0, 1, nan], [inf, 0, inf, 1], [-0.0, -0.0, 0, 4],
    ]  # fmt: skip
    return [np.array(rows, float), np.array(rows, float)]


def codes(rng, n, classes, **_):
    scale = np.tile([0.5, 0.5, 0.3, 5.0], classes)  # the last one beyond the clip at times
    return [rng.standard_normal((n, 4 * classes)) * scale, boxes(rng, n)]


def on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


PAIRS = [
    {"n": 3, "m": 5}, {"n": 1, "m": 1}, {"n": 0, "m": 4}, {"n": 4, "m": 0}, {"n": 7, "m": 16}, {"n": 15, "m": 17},
    {"n": 16, "m": 33}, {"n": 9, "m": 2100}, {"n": 300, "m": 300},
]  # fmt: skip
FORMATS = [{"n": 3, "m": 5, "fmt": "xywh"}, {"n": 6, "m": 17, "fmt": "cxcywh"}]
NUMBERS = [{"n": 3}, {"n": 0}, {"n": 17}, {"n": 1000}]
CONVERSIONS = [{"n": 5, "in_fmt": a, "out_fmt": b} for a in ops.boxes.FORMATS for b in ops.boxes.FORMATS]

BAD_IOU = [
    BadCall(lambda d: ops.box_iou(on(d, 2, 5), on(d, 2, 4)), ValueError,
            "[box_iou] expected boxes1 of shape (N, 4), got shape (2, 5)"),
    BadCall(lambda d: ops.box_iou(on(d, 2, 4), on(d, 4)), ValueError,
            "[box_iou] expected boxes2 of shape (N, 4), got shape (4,)"),
    BadCall(lambda d: ops.box_iou(on(d, 2, 4), on(d, 2, 4, dtype="float64")), TypeError,
            "[box_iou] expected boxes2 of dtype float32, got float64"),
    BadCall(lambda d: ops.box_iou(on(d, 2, 4, dtype="int64"), on(d, 2, 4, dtype="int64")), TypeError,
            "[box_iou] expected boxes1 of dtype float32 or float64, got int64"),
    BadCall(lambda d: ops.box_iou(on(d, 2, 4), on(d, 2, 4), "corners"), ValueError,
            "[box_iou] expected fmt xyxy, xywh or cxcywh, got corners"),
    BadCall(lambda d: ops.box_iou(3, on(d, 2, 4)), TypeError, "[box_iou] expected a Tensor for boxes1, got int"),
]  # fmt: skip
BAD_SMALL = [
    BadCall(lambda d: ops.remove_small_boxes(on(d, 2, 3), 1), ValueError,
            "[large_boxes] expected boxes of shape (N, 4), got shape (2, 3)"),
    BadCall(lambda d: ops.remove_small_boxes(on(d, 2, 4), "1"), TypeError,
            "[remove_small_boxes] expected a number for min_size, got str"),
]  # fmt: skip
BAD_CODES = [
    BadCall(lambda d: ops.decode_boxes(on(d, 2, 6), on(d, 2, 4)), ValueError,
            "[decode_boxes] expected rel_codes of shape (2, 4 C), got shape (2, 6)"),
    BadCall(lambda d: ops.decode_boxes(on(d, 2, 4), on(d, 2, 4), (1, 1)), ValueError,
            "[decode_boxes] expected four weights, got (1, 1)"),
    BadCall(lambda d: ops.encode_boxes(on(d, 2, 4), on(d, 3, 4)), ValueError,
            "[encode_boxes] expected proposals of shape (2, 4), got shape (3, 4)"),
    BadCall(lambda d: ops.box_convert(on(d, 2, 4), "xyxy", "yxyx"), ValueError,
            "[box_convert] expected out_fmt xyxy, xywh or cxcywh, got yxyx"),
    BadCall(lambda d: ops.box_area(on(d, 2, 5)), ValueError,
            "[box_area] expected boxes of shape (..., 4), got shape (2, 5)"),
    BadCall(lambda d: ops.clip_boxes_to_image(on(d, 2, 4), 3), ValueError,
            "[clip_boxes_to_image] expected size (height, width), got 3"),
]  # fmt: skip
CASES = [
    OpCase("box_iou", ops.box_iou, two_sets, PAIRS + FORMATS, BAD_IOU, bytes=lambda a, b, **_: 4.0 * len(a) * len(b)),
    OpCase("box_iou_of_images", lambda a, b, **_: ops.box_iou(a, b), many, [{"n": 40, "m": 70}], differentiable=[],
           bytes=lambda a, b, **_: 4.0 * len(a) * len(b)),
    OpCase("box_iou_of_special_boxes", lambda a, b: ops.box_iou(a, b), special, differentiable=[]),
    OpCase("generalized_box_iou", ops.generalized_box_iou, two_sets, PAIRS),
    OpCase("generalized_box_iou_of_special_boxes", lambda a, b: ops.generalized_box_iou(a, b), special,
           differentiable=[]),
    OpCase("remove_small_boxes", ops.remove_small_boxes, lambda rng, n, **_: [boxes(rng, n)],
           [{**a, "min_size": 9.5} for a in NUMBERS], BAD_SMALL, differentiable=[]),
    OpCase("remove_small_boxes_special", lambda a, _: ops.remove_small_boxes(a, 1), special, differentiable=[]),
    OpCase("box_convert", ops.box_convert, lambda rng, n, **_: [boxes(rng, n)], CONVERSIONS),
    OpCase("box_area", ops.box_area, lambda rng, n, **_: [boxes(rng, n)], [*NUMBERS, {"n": 4, "fmt": "cxcywh"}]),
    OpCase("clip_boxes_to_image", ops.clip_boxes_to_image, lambda rng, n, **_: [boxes(rng, n)],
           [{**a, "size": (60, 80)} for a in NUMBERS]),
    OpCase("encode_boxes", ops.encode_boxes, lambda rng, n, **_: [boxes(rng, n), boxes(rng, n)],
           [*NUMBERS, {"n": 5, "weights": (10.0, 10.0, 5.0, 5.0)}], epsilons=256),
    OpCase("decode_boxes", ops.decode_boxes, codes,
           [{"n": 4, "classes": 1}, {"n": 0, "classes": 2}, {"n": 17, "classes": 3, "weights": (10.0, 10.0, 5.0, 5.0)}],
           BAD_CODES, epsilons=64),
]  # fmt: skip
