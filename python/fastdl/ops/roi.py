"""Pooling over regions of interest (RoIs): features of one size from boxes of any size."""

from __future__ import annotations

from typing import Any

from ..autograd import Node, fresh, record, recording
from ..creation import full
from ..functional.arguments import Pair, expect_beside, expect_int, expect_number, expect_tensor, flag, pair
from ..functional.layout import cat
from ..nn.module import Module
from ..tensor import Tensor
from .boxes import expect_boxes

Array = Any


def _rois(boxes: Any, x: Tensor, op: str) -> Tensor:
    """Boxes as (K, 5), image first, from a tensor of them or a list of (L, 4), one an image."""
    if isinstance(boxes, Tensor):
        return expect_beside(boxes, x, op, "boxes")
    if not isinstance(boxes, tuple | list):
        raise TypeError(f"[{op}] expected a Tensor or a list of them for boxes, got {type(boxes).__name__}")
    if not boxes:
        return full((0, 5), 0.0, dtype=x.dtype, device=x.device)
    parts = []
    for i, b in enumerate(boxes):
        expect_beside(expect_boxes(b, op, f"boxes[{i}]"), x, op, f"boxes[{i}]")
        if b.ndim != 2:
            raise ValueError(f"[{op}] expected boxes[{i}] of shape (L, 4), got shape {b.shape}")
        image = full((b.shape[0], 1), float(i), dtype=b.dtype, device=b.device)
        parts.append(cat([image, b.detach()], 1))
    return cat(parts, 0)


@fresh
def _roi_pool_bwd(node: Node, g: Array) -> tuple[Array]:
    rois, indices, shape = node.saved
    return (node.backend.roi_pool_bwd(g, rois, indices, shape),)


def roi_pool(
    input: Tensor, boxes: Tensor | list[Tensor], output_size: int | Pair, spatial_scale: float = 1.0
) -> Tensor:
    """Largest element of each bin of each RoI (`torchvision.ops.roi_pool`; R. Girshick, "Fast R-CNN", ICCV 2015).

    Shapes: input (N, C, H, W); boxes (K, 5) with rows (image, x1, y1, x2, y2), or a list of (L, 4), one for each image;
    output (K, C, *output_size). `spatial_scale` takes box coordinates to cells: 1/16 for a map of stride 16. Boxes have
    no gradient.

    Corners are rounded to cells, halves away from zero, and both belong to the RoI, so that a box without size, or with
    x2 < x1, covers one cell. Bins may share cells. Bins without a cell of the map, and boxes with NaN or infinity, give
    0 and no gradient. NaN in the input never wins: a bin of nothing else gives the least float32.

    Raises:
        TypeError: for an input that is not float32 or float64, boxes of another dtype.
        ValueError: for other shapes, an output size below 1, a scale that is not above 0.
        IndexError: for a box of an image that does not exist.

    >>> import fastdl
    >>> x = fastdl.arange(16.0).reshape(1, 1, 4, 4)
    >>> roi_pool(x, [fastdl.tensor([[0.0, 0.0, 3.0, 3.0]])], 2).tolist()
    [[[[5.0, 7.0], [13.0, 15.0]]]]
    """
    op = "roi_pool"
    x = expect_tensor(input, op)
    rois = _rois(boxes, x, op)
    size = pair(output_size, op, "output_size")
    expect_number(spatial_scale, op, "spatial_scale")
    k, taped = x._backend, recording(x)
    array, indices = k.roi_pool(x._array, rois._array, size, spatial_scale, taped)
    out = Tensor(array, k)
    return record(out, _roi_pool_bwd, (x,), (rois._array, indices, x.shape)) if taped else out


@fresh
def _roi_align_bwd(node: Node, g: Array) -> tuple[Array]:
    rois, shape, attributes = node.saved
    return (node.backend.roi_align_bwd(g, rois, shape, *attributes),)


def roi_align(
    input: Tensor,
    boxes: Tensor | list[Tensor],
    output_size: int | Pair,
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> Tensor:
    """Average of bilinear samples in each bin of each RoI (`torchvision.ops.roi_align`; K. He et al., "Mask R-CNN",
    ICCV 2017).

    Shapes and `spatial_scale` as for `roi_pool`. Each bin is sampled at `sampling_ratio` points along each axis, or if
    that is not above 0 at ceil(bin size). With `aligned=True` boxes move by half a cell, so that a coordinate names the
    place between cells that it means, and may be smaller than a cell; otherwise they are at least one cell wide.

    Samples more than a cell outside the map count as 0, others outside have the value of the border. Boxes with NaN,
    infinity or coordinates of 2^30 cells give 0 and no gradient, and so, with `aligned` and adaptive sampling, do boxes
    without area. Boxes have no gradient.

    Raises:
        TypeError: for an input that is not float32 or float64, boxes of another dtype.
        ValueError: for other shapes, an output size below 1, a scale that is not above 0.
        IndexError: for a box of an image that does not exist.

    >>> import fastdl
    >>> x = fastdl.arange(16.0).reshape(1, 1, 4, 4)
    >>> roi_align(x, fastdl.tensor([[0.0, 0.0, 0.0, 2.0, 2.0]]), 2, sampling_ratio=1).tolist()
    [[[[2.5, 3.5], [6.5, 7.5]]]]
    """
    op = "roi_align"
    x = expect_tensor(input, op)
    rois = _rois(boxes, x, op)
    size = pair(output_size, op, "output_size")
    expect_number(spatial_scale, op, "spatial_scale")
    ratio = expect_int(sampling_ratio, op, "sampling_ratio")
    attributes = (spatial_scale, ratio, flag(aligned, op, "aligned"))
    out = Tensor(x._backend.roi_align(x._array, rois._array, size, *attributes), x._backend)
    return record(out, _roi_align_bwd, (x,), (rois._array, x.shape, attributes)) if recording(x) else out


class RoIPool(Module):
    """`roi_pool` as a layer (`torchvision.ops.RoIPool`): called with a map (N, C, H, W) and boxes.

    >>> RoIPool(7, 1 / 16)
    RoIPool(output_size=7, spatial_scale=0.0625)
    """

    def __init__(self, output_size: int | Pair, spatial_scale: float) -> None:
        super().__init__()
        self.output_size, self.spatial_scale = output_size, spatial_scale

    def forward(self, input: Tensor, rois: Tensor | list[Tensor]) -> Tensor:
        return roi_pool(input, rois, self.output_size, self.spatial_scale)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}, spatial_scale={self.spatial_scale}"


class RoIAlign(Module):
    """`roi_align` as a layer (`torchvision.ops.RoIAlign`): called with a map (N, C, H, W) and boxes.

    >>> RoIAlign((7, 7), 0.25, 2)
    RoIAlign(output_size=(7, 7), spatial_scale=0.25, sampling_ratio=2, aligned=False)
    """

    def __init__(
        self, output_size: int | Pair, spatial_scale: float, sampling_ratio: int, aligned: bool = False
    ) -> None:
        super().__init__()
        self.output_size, self.spatial_scale = output_size, spatial_scale
        self.sampling_ratio, self.aligned = sampling_ratio, aligned

    def forward(self, input: Tensor, rois: Tensor | list[Tensor]) -> Tensor:
        return roi_align(input, rois, self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned)

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, spatial_scale={self.spatial_scale}, "
            f"sampling_ratio={self.sampling_ratio}, aligned={self.aligned}"
        )
