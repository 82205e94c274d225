"""Boxes and regions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from ...functional import layout
from .registry import Value, host, number, operator


def _corners(boxes: np.ndarray, centers: int) -> np.ndarray:
    """Boxes as x1, y1, x2, y2: from any two opposite corners as y, x, y, x, or centre and size as x, y, w, h."""
    if centers:
        middle, half = boxes[..., :2], boxes[..., 2:] / 2
        return np.concatenate([middle - half, middle + half], -1)
    a, b = boxes[..., :2][..., ::-1], boxes[..., 2:][..., ::-1]
    return np.concatenate([np.minimum(a, b), np.maximum(a, b)], -1)


@operator("NonMaxSuppression")
def non_max_suppression(
    node: Any, boxes: Value, scores: Value, limit: Value = None, iou: Value = None, least: Value = None
) -> Value:
    """Rows (image, class, box), for each image and class best score first, and of them `limit` at most."""
    corners, points = _corners(host(boxes), node.get("center_point_box", 0)), host(scores)
    most = 0 if limit is None else max(int(number(limit)), 0)
    threshold = 0.0 if iou is None else float(number(iou))
    rows = []
    for image in range(points.shape[0] if most else 0):
        kept = np.argwhere(points[image] > (-np.inf if least is None else number(least)))  # class, box
        order = np.argsort(-points[image][tuple(kept.T)], kind="stable")
        kept = kept[order]
        picked = node.tensors(corners[image][kept[:, 1]], points[image][tuple(kept.T)], kept[:, 0])
        chosen = ops.batched_nms(picked[0], picked[1], picked[2], threshold)
        found = kept[host(chosen)]
        found = np.concatenate([found[found[:, 0] == c][:most] for c in range(points.shape[1])])
        rows.append(np.column_stack([np.full(len(found), image), found]))
    return np.concatenate(rows).astype(np.int64) if rows else np.zeros((0, 3), np.int64)


def _regions(node: Any, rois: Value, images: Value) -> Any:
    t, index = node.tensors(rois, images)
    return layout.cat([layout.reshape(index.to(t.dtype), (-1, 1)), t], 1)


@operator("RoiAlign")
def roi_align(node: Any, x: Value, rois: Value, images: Value) -> Value:
    if node.get("mode", "avg") != "avg":
        raise NotImplementedError(f"expected mode avg, got {node.get('mode')}")
    default = "half_pixel" if node.opset >= 16 else "output_half_pixel"
    aligned = node.get("coordinate_transformation_mode", default) == "half_pixel"
    size = (node.get("output_height", 1), node.get("output_width", 1))
    scale, ratio = node.get("spatial_scale", 1.0), node.get("sampling_ratio", 0)
    return ops.roi_align(node.tensor(x), _regions(node, rois, images), size, scale, ratio, aligned)


@operator("MaxRoiPool")
def max_roi_pool(node: Any, x: Value, rois: Value) -> Value:
    return ops.roi_pool(
        node.tensor(x), node.tensor(rois), tuple(node.get("pooled_shape")), node.get("spatial_scale", 1.0)
    )
