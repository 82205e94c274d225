"""Operators of object detection under the names of `torchvision.ops`.

Boxes are tensors (N, 4) of float32 or float64 with rows (x1, y1, x2, y2) in pixels, x to the right and y downwards.
"""

from .boxes import (
    box_area,
    box_convert,
    box_iou,
    clip_boxes_to_image,
    decode_boxes,
    encode_boxes,
    generalized_box_iou,
    remove_small_boxes,
)
from .roi import RoIAlign, RoIPool, roi_align, roi_pool
from .suppression import batched_nms, nms, soft_nms

__all__ = [
    "RoIAlign",
    "RoIPool",
    "batched_nms",
    "box_area",
    "box_convert",
    "box_iou",
    "clip_boxes_to_image",
    "decode_boxes",
    "encode_boxes",
    "generalized_box_iou",
    "nms",
    "remove_small_boxes",
    "roi_align",
    "roi_pool",
    "soft_nms",
]
