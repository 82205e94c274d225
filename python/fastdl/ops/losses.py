"""Losses of detectors: focal loss of scores, and overlaps of boxes with their targets, pair by pair or all with all."""

from __future__ import annotations

import math
from typing import Any

from ..autograd import no_grad
from ..functional.activation import sigmoid
from ..functional.angles import atan
from ..functional.arguments import expect_beside, expect_number, expect_reduction, expect_tensor
from ..functional.arithmetic import maximum, minimum
from ..functional.comparison import clamp
from ..functional.elementwise_loss import binary_cross_entropy_with_logits
from ..tensor import Tensor
from .boxes import box_iou, expect_boxes


def _reduced(loss: Any, reduction: str) -> Tensor:
    """The mean of no losses is 0, as torchvision has it."""
    if reduction == "mean":
        return loss.mean() if loss.numel() else 0.0 * loss.sum()
    return loss.sum() if reduction == "sum" else loss


def sigmoid_focal_loss(
    inputs: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2, reduction: str = "none"
) -> Tensor:
    """Cross-entropy of logits (*) with targets (*) of 0 and 1, times (1 - p)^gamma, where p is the probability of the
    truth: what a detector already knows counts little (`torchvision.ops.sigmoid_focal_loss`; T.-Y. Lin et al., "Focal
    Loss for Dense Object Detection", ICCV 2017).

    `alpha` weighs the ones and 1 - alpha the zeros; with -1 both count alike.

    Raises:
        ValueError: for an alpha outside [0, 1] that is not -1, or shapes that differ.

    >>> import fastdl
    >>> sigmoid_focal_loss(fastdl.tensor([0.0, 2.0]), fastdl.tensor([0.0, 1.0]))
    tensor([0.1300, 0.0005])
    """
    op = "sigmoid_focal_loss"
    x: Any = expect_tensor(inputs, op, "inputs")
    t: Any = expect_beside(targets, x, op, "targets")
    expect_number(gamma, op, "gamma")
    expect_number(alpha, op, "alpha")
    expect_reduction(reduction, op)
    if t.shape != x.shape:
        raise ValueError(f"[{op}] expected targets of shape {x.shape}, got shape {t.shape}")
    if not 0 <= alpha <= 1 and alpha != -1:
        raise ValueError(f"[{op}] expected alpha between 0 and 1, or -1 for none, got {alpha}")
    p: Any = sigmoid(x)
    wrong = p + t - 2 * p * t  # 1 minus the probability of the truth
    loss = binary_cross_entropy_with_logits(x, t, reduction="none") * wrong**gamma
    return _reduced(loss if alpha == -1 else (alpha * t + (1 - alpha) * (1 - t)) * loss, reduction)


# ---- all with all ----------------------------------------------------------------------------------------------------


def _expect_eps(eps: Any, op: str) -> None:
    expect_number(eps, op, "eps")


def _squares(sides: Any) -> Any:
    return sides[..., 0] ** 2 + sides[..., 1] ** 2


def _apart(a: Any, b: Any, eps: float) -> Any:
    """Squared distance of the centres over the squared diagonal of the smallest box around both."""
    hull = clamp(maximum(a[..., 2:], b[..., 2:]) - minimum(a[..., :2], b[..., :2]), 0)
    centres = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
    return _squares(centres) / (_squares(hull) + eps)


def _shapes_apart(a: Any, b: Any) -> Any:
    """How far the angles of the diagonals differ: 0 for boxes of one shape, at most 1."""
    angles = [atan((x[..., 2] - x[..., 0]) / (x[..., 3] - x[..., 1])) for x in (a, b)]
    return 4 / math.pi**2 * (angles[0] - angles[1]) ** 2


def _weighed(v: Any, iou: Any, eps: float) -> Any:
    """v times its weight, which is large where boxes overlap and takes no part in gradients."""
    with no_grad():
        weight = v / (1 - iou + v + eps)
    return weight * v


def distance_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """IoU less the squared distance of the centres, over the squared diagonal of the smallest box around both, for
    every pair of (N, 4) and (M, 4) (`torchvision.ops.distance_box_iou`): (N, M).

    Z. Zheng et al., "Distance-IoU Loss", AAAI 2020.

    >>> import fastdl
    >>> distance_box_iou(fastdl.tensor([[0.0, 0.0, 1.0, 1.0]]), fastdl.tensor([[1.0, 0.0, 2.0, 1.0]]))
    tensor([[-0.2000]])
    """
    return _distances(boxes1, boxes2, eps, "distance_box_iou")[0]


def _distances(boxes1: Any, boxes2: Any, eps: float, op: str) -> tuple[Any, Any]:
    _expect_eps(eps, op)
    a, b = expect_boxes(boxes1, op, "boxes1"), expect_boxes(boxes2, op, "boxes2")
    iou: Any = box_iou(a, b)
    return iou - _apart(a[:, None], b, eps), iou


def complete_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """`distance_box_iou` less a term for shapes that differ (`torchvision.ops.complete_box_iou`): (N, M).

    Z. Zheng et al., "Distance-IoU Loss", AAAI 2020.

    >>> import fastdl
    >>> complete_box_iou(fastdl.tensor([[0.0, 0.0, 1.0, 1.0]]), fastdl.tensor([[0.0, 0.0, 1.0, 1.0]]))
    tensor([[1.]])
    """
    diou, iou = _distances(boxes1, boxes2, eps, "complete_box_iou")
    return diou - _weighed(_shapes_apart(boxes1[:, None], boxes2), iou, eps)


# ---- pair by pair ----------------------------------------------------------------------------------------------------


def _pairs(boxes1: Any, boxes2: Any, reduction: Any, eps: Any, op: str) -> tuple[Any, Any]:
    a = expect_boxes(boxes1, op, "boxes1")
    b = expect_beside(expect_boxes(boxes2, op, "boxes2"), a, op, "boxes2")
    expect_reduction(reduction, op)
    _expect_eps(eps, op)
    if a.shape != b.shape:
        raise ValueError(f"[{op}] expected boxes2 of shape {a.shape}, got shape {b.shape}")
    return a, b


def _area(boxes: Any) -> Any:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _overlap(a: Any, b: Any, eps: float) -> tuple[Any, Any]:
    """IoU and union of each pair."""
    sides: Any = clamp(minimum(a[..., 2:], b[..., 2:]) - maximum(a[..., :2], b[..., :2]), 0)
    common = sides[..., 0] * sides[..., 1]
    union = _area(a) + _area(b) - common
    return common / (union + eps), union


def generalized_box_iou_loss(boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7) -> Tensor:
    """1 - generalized IoU of each box of (..., 4) with its partner (`torchvision.ops.generalized_box_iou_loss`): (...).

    H. Rezatofighi et al., "Generalized Intersection over Union", CVPR 2019.

    >>> import fastdl
    >>> generalized_box_iou_loss(fastdl.tensor([[0.0, 0.0, 1.0, 1.0]]), fastdl.tensor([[1.0, 0.0, 4.0, 1.0]]))
    tensor([1.])
    """
    a, b = _pairs(boxes1, boxes2, reduction, eps, "generalized_box_iou_loss")
    iou, union = _overlap(a, b, eps)
    sides: Any = maximum(a[..., 2:], b[..., 2:]) - minimum(a[..., :2], b[..., :2])
    hull = sides[..., 0] * sides[..., 1]
    return _reduced(1 - (iou - (hull - union) / (hull + eps)), reduction)


def distance_box_iou_loss(boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7) -> Tensor:
    """1 - IoU, plus the squared distance of the centres over the squared diagonal of the smallest box around both, of
    each box of (..., 4) with its partner (`torchvision.ops.distance_box_iou_loss`): (...).

    Z. Zheng et al., "Distance-IoU Loss", AAAI 2020.

    >>> import fastdl
    >>> distance_box_iou_loss(fastdl.tensor([[0.0, 0.0, 1.0, 1.0]]), fastdl.tensor([[1.0, 0.0, 2.0, 1.0]]))
    tensor([1.2000])
    """
    a, b = _pairs(boxes1, boxes2, reduction, eps, "distance_box_iou_loss")
    return _reduced(1 - _overlap(a, b, eps)[0] + _apart(a, b, eps), reduction)


def complete_box_iou_loss(boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7) -> Tensor:
    """`distance_box_iou_loss` plus a term for shapes that differ (`torchvision.ops.complete_box_iou_loss`): (...).

    Z. Zheng et al., "Distance-IoU Loss", AAAI 2020.

    >>> import fastdl
    >>> complete_box_iou_loss(fastdl.tensor([[0.0, 0.0, 1.0, 1.0]]), fastdl.tensor([[1.0, 0.0, 2.0, 1.0]]))
    tensor([1.2000])
    """
    a, b = _pairs(boxes1, boxes2, reduction, eps, "complete_box_iou_loss")
    iou = _overlap(a, b, eps)[0]
    loss = 1 - iou + _apart(a, b, eps) + _weighed(_shapes_apart(a, b), iou, eps)
    return _reduced(loss, reduction)
