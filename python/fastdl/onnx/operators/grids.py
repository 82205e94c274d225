"""Images at the places of a grid."""

from __future__ import annotations

from typing import Any

from ... import functional as F
from .registry import Value, ints, operator

_MODES = {"linear": "bilinear", "cubic": "bicubic"}  # by their names from opset 20 on


@operator("GridSample")
def grid_sample(node: Any, x: Value, grid: Value) -> Value:
    mode, padding = node.get("mode", "bilinear"), node.get("padding_mode", "zeros")
    t, g = node.tensors(x, grid)
    return F.grid_sample(t, g.to(t.dtype), _MODES.get(mode, mode), padding, bool(node.get("align_corners", 0)))


@operator("AffineGrid")
def affine_grid(node: Any, theta: Value, size: Value) -> Value:
    return F.affine_grid(node.tensor(theta), ints(size), bool(node.get("align_corners", 0)))
