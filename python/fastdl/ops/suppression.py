"""Non-maximum suppression: one box for each object, out of the many that a detector proposes."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..functional.arguments import expect_beside, expect_number, expect_tensor
from ..tensor import Tensor


def _scored(boxes: Any, scores: Any, op: str) -> tuple[Tensor, Tensor]:
    b = expect_tensor(boxes, op, "boxes")
    return b, expect_beside(scores, b, op, "scores")


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices (K,) int64 of the boxes (N, 4) that remain when, from the highest of the scores (N,) on, each box removes
    those of lower score whose IoU with it exceeds `iou_threshold` (`torchvision.ops.nms`). Best score first.

    Of equal scores the box that comes first counts as higher; NaN is the highest score. Touching boxes have IoU 0. An
    IoU of NaN removes nothing: that of two boxes without area, or with NaN or infinite coordinates.

    Raises:
        TypeError: for boxes that are not float32 or float64, or scores of another dtype.
        ValueError: for other shapes than (N, 4) and (N,).

    >>> import fastdl
    >>> boxes = fastdl.tensor([[0.0, 0.0, 10.0, 10.0], [1.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]])
    >>> nms(boxes, fastdl.tensor([0.8, 0.9, 0.5]), 0.5).tolist()
    [1, 2]
    """
    b, s = _scored(boxes, scores, "nms")
    expect_number(iou_threshold, "nms", "iou_threshold")
    return Tensor(b._backend.nms(b._array, s._array, None, iou_threshold), b._backend)


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """`nms` within each class (`torchvision.ops.batched_nms`): boxes whose integers in `idxs` (N,) differ leave each
    other alone. Indices (K,) int64 over all classes, best score first.

    Classes are kept apart as such, without shifting boxes, so results do not depend on the size of coordinates.

    >>> import fastdl
    >>> boxes = fastdl.tensor([[0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 9.0, 9.0]])
    >>> batched_nms(boxes, fastdl.tensor([0.7, 0.8, 0.9]), fastdl.tensor([0, 1, 0]), 0.5).tolist()
    [2, 1]
    """
    b, s = _scored(boxes, scores, "batched_nms")
    classes = expect_beside(idxs, b, "batched_nms", "idxs")
    if classes.dtype not in (dtypes.int64, dtypes.int32, dtypes.uint8):
        raise TypeError(f"[batched_nms] expected idxs of an integer dtype, got {classes.dtype.name}")
    expect_number(iou_threshold, "batched_nms", "iou_threshold")
    return Tensor(b._backend.nms(b._array, s._array, classes.long()._array, iou_threshold), b._backend)


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float = 0.3,
    sigma: float = 0.5,
    score_threshold: float = 0.001,
    method: str = "linear",
) -> tuple[Tensor, Tensor]:
    """Soft-NMS: overlap lowers scores instead of removing boxes (N, 4). Gives indices (K,) int64 in the order in which
    boxes were chosen, and their scores (K,) at that moment.

    Again and again the box with the highest score is chosen (of equal ones the first) and the others' scores are
    multiplied, for "linear" by 1 - IoU where IoU > `iou_threshold`, for "gaussian" by exp(-IoU^2 / `sigma`). A box
    leaves when its score falls below `score_threshold`; NaN scores are never chosen. An IoU of NaN changes nothing.

    N. Bodla et al., "Soft-NMS: Improving Object Detection With One Line of Code", ICCV 2017.

    Raises:
        TypeError: for boxes that are not float32 or float64, or scores of another dtype.
        ValueError: for other shapes than (N, 4) and (N,), an unknown method, or sigma not above 0.

    >>> import fastdl
    >>> boxes = fastdl.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 5.0], [20.0, 0.0, 30.0, 10.0]])
    >>> keep, decayed = soft_nms(boxes, fastdl.tensor([0.9, 0.8, 0.5]))
    >>> keep.tolist(), decayed
    ([0, 2, 1], tensor([0.9000, 0.5000, 0.4000]))
    """
    b, s = _scored(boxes, scores, "soft_nms")
    for name, value in (("iou_threshold", iou_threshold), ("sigma", sigma), ("score_threshold", score_threshold)):
        expect_number(value, "soft_nms", name)
    if not isinstance(method, str):
        raise TypeError(f"[soft_nms] expected a str for method, got {type(method).__name__}")
    keep, decayed = b._backend.soft_nms(b._array, s._array, method, iou_threshold, sigma, score_threshold)
    return Tensor(keep, b._backend), Tensor(decayed, b._backend)
