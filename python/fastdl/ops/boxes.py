"""Boxes: overlap, area, formats, clipping, and the codes that a detector's regression layer learns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..autograd import recording
from ..creation import zeros
from ..functional.arguments import expect_beside, expect_number, expect_tensor
from ..functional.arithmetic import maximum, minimum, mul
from ..functional.comparison import clamp
from ..functional.elementary import exp, log
from ..functional.layout import clone, flatten, stack
from ..tensor import Tensor

FORMATS = ("xyxy", "xywh", "cxcywh")
CODE_CLIP = math.log(1000.0 / 16)  # decoded boxes are at most 62.5 times as large as the boxes they start from


def expect_boxes(value: Any, op: str, name: str = "boxes") -> Any:
    """A tensor (..., 4) of floats."""
    boxes = expect_tensor(value, op, name)
    if not boxes.dtype.is_floating_point:
        raise TypeError(f"[{op}] expected {name} of dtype float32 or float64, got {boxes.dtype.name}")
    if boxes.ndim == 0 or boxes.shape[-1] != 4:
        raise ValueError(f"[{op}] expected {name} of shape (..., 4), got shape {boxes.shape}")
    return boxes


def _expect_format(fmt: Any, op: str, name: str) -> None:
    if fmt not in FORMATS:
        raise ValueError(f"[{op}] expected {name} xyxy, xywh or cxcywh, got {fmt}")


# ---- formats and areas -----------------------------------------------------------------------------------------------


def _columns(boxes: Any) -> list[Any]:
    return [boxes[..., i] for i in range(4)]


def _to_corners(boxes: Any, fmt: str) -> Any:
    a, b, w, h = _columns(boxes)
    if fmt == "xywh":
        return stack([a, b, a + w, b + h], -1)
    return stack([a - 0.5 * w, b - 0.5 * h, a + 0.5 * w, b + 0.5 * h], -1)


def _from_corners(boxes: Tensor, fmt: str) -> Tensor:
    x1, y1, x2, y2 = _columns(boxes)
    if fmt == "xywh":
        return stack([x1, y1, x2 - x1, y2 - y1], -1)
    return stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], -1)


def box_convert(boxes: Tensor, in_fmt: str, out_fmt: str) -> Tensor:
    """Boxes (..., 4) in another format (`torchvision.ops.box_convert`).

    Formats: "xyxy" corners, "xywh" upper left corner with width and height, "cxcywh" centre with width and height.

    >>> import fastdl
    >>> box_convert(fastdl.tensor([[2.0, 4.0, 6.0, 10.0]]), "xyxy", "cxcywh").tolist()
    [[4.0, 7.0, 4.0, 6.0]]
    """
    x = expect_boxes(boxes, "box_convert")
    _expect_format(in_fmt, "box_convert", "in_fmt")
    _expect_format(out_fmt, "box_convert", "out_fmt")
    if in_fmt == out_fmt:
        return clone(x)
    corners = x if in_fmt == "xyxy" else _to_corners(x, in_fmt)
    return corners if out_fmt == "xyxy" else _from_corners(corners, out_fmt)


def box_area(boxes: Tensor, fmt: str = "xyxy") -> Tensor:
    """Areas (...) of boxes (..., 4) (`torchvision.ops.box_area`): width times height, negative where one of them is.

    >>> import fastdl
    >>> box_area(fastdl.tensor([[1.0, 1.0, 4.0, 3.0]])).tolist()
    [6.0]
    """
    x1, y1, x2, y2 = _columns(expect_boxes(boxes, "box_area"))
    _expect_format(fmt, "box_area", "fmt")
    return (x2 - x1) * (y2 - y1) if fmt == "xyxy" else x2 * y2


def clip_boxes_to_image(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes (..., 4) cut to an image of `size` (height, width) (`torchvision.ops.clip_boxes_to_image`).

    NaN stays NaN; what lies outside becomes a box without area on the border.

    >>> import fastdl
    >>> clip_boxes_to_image(fastdl.tensor([[-3.0, 2.0, 50.0, 9.0]]), (8, 40)).tolist()
    [[0.0, 2.0, 40.0, 8.0]]
    """
    x = expect_boxes(boxes, "clip_boxes_to_image")
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise ValueError(f"[clip_boxes_to_image] expected size (height, width), got {size}")
    for name, value in zip(("height", "width"), size, strict=True):
        expect_number(value, "clip_boxes_to_image", name)
    height, width = size
    across, down = clamp(x[..., 0::2], 0, width), clamp(x[..., 1::2], 0, height)
    return stack([across, down], x.ndim).reshape(x.shape)


def remove_small_boxes(boxes: Tensor, min_size: float) -> Tensor:
    """Indices (K,) int64 of the boxes (N, 4) with both sides of at least `min_size` pixels
    (`torchvision.ops.remove_small_boxes`). Boxes with NaN are small.

    >>> import fastdl
    >>> remove_small_boxes(fastdl.tensor([[0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 9.0, 1.0]]), 2).tolist()
    [0]
    """
    x = expect_tensor(boxes, "remove_small_boxes", "boxes")
    expect_number(min_size, "remove_small_boxes", "min_size")
    return Tensor(x._backend.large_boxes(x._array, min_size), x._backend)


def masks_to_boxes(masks: Tensor) -> Tensor:
    """The smallest boxes (N, 4) float32 around what is not 0 in masks (N, H, W) (`torchvision.ops.masks_to_boxes`),
    with the last row and column as x2 and y2; an empty mask has (0, 0, 0, 0).

    >>> import fastdl
    >>> masks_to_boxes(fastdl.tensor([[[0, 0, 0], [0, 1, 1]]])).tolist()
    [[1.0, 1.0, 2.0, 1.0]]
    """
    x: Any = expect_tensor(masks, "masks_to_boxes", "masks")
    if x.ndim != 3:
        raise ValueError(f"[masks_to_boxes] expected masks of shape (N, H, W), got shape {x.shape}")
    if not x.numel():
        return zeros((0, 4), device=x.device)
    filled = x != 0
    corners = []
    for first in (True, False):
        for axis in (1, 2):
            line = filled.any(axis).float()
            places = line.argmax(1) if first else line.shape[1] - 1 - line.flip(1).argmax(1)
            corners.append(places)
    return stack(corners, 1).float() * filled.any(2).any(1).float()[:, None]


# ---- overlap ---------------------------------------------------------------------------------------------------------


def _product_of_sides(low: Any, high: Any) -> Any:
    sides: Any = clamp(high - low, 0)
    return sides[..., 0] * sides[..., 1]


def _differentiable_iou(boxes1: Any, boxes2: Any, fmt: str, generalized: bool) -> Tensor:
    """The same from operations on the tape."""
    area1: Any = box_area(boxes1, fmt)
    area2: Any = box_area(boxes2, fmt)
    a, b = (x if fmt == "xyxy" else _to_corners(x, fmt) for x in (boxes1, boxes2))
    a = a[:, None]
    inter = _product_of_sides(maximum(a[..., :2], b[..., :2]), minimum(a[..., 2:], b[..., 2:]))
    union = area1[:, None] + area2 - inter
    iou = inter / union
    if not generalized:
        return iou
    hull = _product_of_sides(minimum(a[..., :2], b[..., :2]), maximum(a[..., 2:], b[..., 2:]))
    return iou - (hull - union) / hull


def _iou(boxes1: Any, boxes2: Any, fmt: str, generalized: bool, op: str) -> Tensor:
    a = expect_tensor(boxes1, op, "boxes1")
    b = expect_beside(boxes2, a, op, "boxes2")
    out = Tensor(a._backend.box_iou(a._array, b._array, fmt, generalized), a._backend)
    return _differentiable_iou(a, b, fmt, generalized) if recording(a, b) else out


def box_iou(boxes1: Tensor, boxes2: Tensor, fmt: str = "xyxy") -> Tensor:
    """Intersection over union, the Jaccard index, of every box of (N, 4) with every one of (M, 4)
    (`torchvision.ops.box_iou`): (N, M).

    `fmt` is a format of `box_convert`. Touching boxes have 0. Two boxes without area, and boxes with NaN, have NaN;
    boxes with x2 < x1 or y2 < y1 overlap nothing, but their areas count with their sign.

    Raises:
        TypeError: for boxes that are not float32 or float64, or of two dtypes.
        ValueError: for other shapes than (N, 4), or an unknown format.

    >>> import fastdl
    >>> box_iou(fastdl.tensor([[0.0, 0.0, 2.0, 2.0]]), fastdl.tensor([[0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 2.0, 2.0]]))
    tensor([[1.0000, 0.5000]])
    """
    return _iou(boxes1, boxes2, fmt, False, "box_iou")


def generalized_box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """IoU - (hull - union) / hull for every pair of (N, 4) and (M, 4), where hull is the area of the smallest box
    around both (`torchvision.ops.generalized_box_iou`): (N, M), from -1 for boxes far apart to 1 for equal ones.

    H. Rezatofighi et al., "Generalized Intersection over Union", CVPR 2019.

    >>> import fastdl
    >>> generalized_box_iou(fastdl.tensor([[0.0, 0.0, 1.0, 1.0]]), fastdl.tensor([[1.0, 0.0, 4.0, 1.0]])).tolist()
    [[0.0]]
    """
    return _iou(boxes1, boxes2, "xyxy", True, "generalized_box_iou")


# ---- codes for regression --------------------------------------------------------------------------------------------

Weights = Sequence[float]


def _expect_weights(weights: Any, op: str) -> tuple[float, float, float, float]:
    if not isinstance(weights, tuple | list) or len(weights) != 4:
        raise ValueError(f"[{op}] expected four weights, got {weights}")
    for w in weights:
        expect_number(w, op, "weights")
    x, y, w, h = weights
    return x, y, w, h


def _centre_and_size(boxes: Any) -> tuple[Any, Any, Any, Any]:
    x1, y1, x2, y2 = _columns(boxes)
    w, h = x2 - x1, y2 - y1
    return x1 + 0.5 * w, y1 + 0.5 * h, w, h


def encode_boxes(reference_boxes: Tensor, proposals: Tensor, weights: Weights = (1.0, 1.0, 1.0, 1.0)) -> Tensor:
    """The codes (N, 4) that turn proposals (N, 4) into reference boxes (N, 4), what a detector learns to predict:
    wx (x - xp) / widthp, wy (y - yp) / heightp, ww log(width / widthp), wh log(height / heightp), with x and y the
    centres (`encode_boxes` of torchvision's BoxCoder; S. Ren et al., "Faster R-CNN", NeurIPS 2015, equation 2).

    Proposals without width or height give infinities or NaN.

    >>> import fastdl
    >>> encode_boxes(fastdl.tensor([[0.0, 0.0, 2.0, 2.0]]), fastdl.tensor([[1.0, 0.0, 3.0, 2.0]])).tolist()
    [[-0.5, 0.0, 0.0, 0.0]]
    """
    op = "encode_boxes"
    reference, start = expect_boxes(reference_boxes, op, "reference_boxes"), expect_boxes(proposals, op, "proposals")
    if reference.shape != start.shape:
        raise ValueError(f"[{op}] expected proposals of shape {reference.shape}, got shape {start.shape}")
    wx, wy, ww, wh = _expect_weights(weights, op)
    x, y, w, h = _centre_and_size(reference)
    px, py, pw, ph = _centre_and_size(start)
    dw, dh = (mul(log(size / before), weight) for size, before, weight in ((w, pw, ww), (h, ph, wh)))
    return stack([wx * (x - px) / pw, wy * (y - py) / ph, dw, dh], -1)


def decode_boxes(
    rel_codes: Tensor, boxes: Tensor, weights: Weights = (1.0, 1.0, 1.0, 1.0), bbox_xform_clip: float = CODE_CLIP
) -> Tensor:
    """The boxes (N, 4 C) that codes (N, 4 C) describe, C of them for each of the boxes (N, 4): the inverse of
    `encode_boxes` (`decode_single` of torchvision's BoxCoder).

    Codes of width and height are limited to `bbox_xform_clip` before exp; the default, log(1000 / 16), keeps an
    untrained network from making boxes without bounds.

    >>> import fastdl
    >>> decode_boxes(fastdl.tensor([[-0.5, 0.0, 0.0, 0.0]]), fastdl.tensor([[1.0, 0.0, 3.0, 2.0]])).tolist()
    [[0.0, 0.0, 2.0, 2.0]]
    """
    op = "decode_boxes"
    start: Any = expect_boxes(boxes, op)
    codes: Any = expect_tensor(rel_codes, op, "rel_codes")
    if start.ndim != 2:
        raise ValueError(f"[{op}] expected boxes of shape (N, 4), got shape {start.shape}")
    if codes.ndim != 2 or codes.shape[0] != start.shape[0] or codes.shape[1] % 4:
        raise ValueError(f"[{op}] expected rel_codes of shape ({start.shape[0]}, 4 C), got shape {codes.shape}")
    wx, wy, ww, wh = _expect_weights(weights, op)
    expect_number(bbox_xform_clip, op, "bbox_xform_clip")
    x, y, w, h = (v[:, None] for v in _centre_and_size(start))
    cx, cy = codes[:, 0::4] / wx * w + x, codes[:, 1::4] / wy * h + y
    half_w = 0.5 * (exp(clamp(codes[:, 2::4] / ww, max=bbox_xform_clip)) * w)
    half_h = 0.5 * (exp(clamp(codes[:, 3::4] / wh, max=bbox_xform_clip)) * h)
    return flatten(stack([cx - half_w, cy - half_h, cx + half_w, cy + half_h], 2), 1)
