"""Feature pyramids: maps of several resolutions with equally much in each, and regions read out of the fitting one."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import functional as F
from .. import nn
from ..creation import tensor
from ..functional.arguments import Pair, expect_int, pair
from ..functional.arithmetic import add
from ..functional.indexing import index_select
from ..functional.layout import cat
from ..tensor import Tensor
from .layers import Conv2dNormActivation
from .roi import _rois, roi_align

Maps = list[Tensor]


class ExtraFPNBlock(nn.Module):
    """What `FeaturePyramidNetwork` asks of its `extra_blocks`: given the results, the maps that they were made of and
    the names, it gives the longer list of results and of names."""

    def forward(self, results: Maps, x: Maps, names: list[str], /) -> tuple[Maps, list[str]]:
        raise NotImplementedError("[ExtraFPNBlock] expected a class with a forward of its own, got one without")


class FeaturePyramidNetwork(nn.Module):
    """Maps of a backbone, largest first, brought to `out_channels` channels, each with what the smaller ones know
    (`torchvision.ops.FeaturePyramidNetwork`; T.-Y. Lin et al., "Feature Pyramid Networks for Object Detection", CVPR
    2017).

    Input and output are dicts of maps (N, C, H, W) by name.

    >>> import fastdl
    >>> net = FeaturePyramidNetwork([8, 16], 4)
    >>> maps = net({"c2": fastdl.ones(1, 8, 8, 8), "c3": fastdl.ones(1, 16, 4, 4)})
    >>> {name: m.shape for name, m in maps.items()}
    {'c2': (1, 4, 8, 8), 'c3': (1, 4, 4, 4)}
    """

    def __init__(
        self, in_channels_list: Sequence[int], out_channels: int, extra_blocks: ExtraFPNBlock | None = None,
        norm_layer: Callable[..., nn.Module] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if not isinstance(extra_blocks, ExtraFPNBlock | None):
            kind = type(extra_blocks).__name__
            raise TypeError(f"[FeaturePyramidNetwork] expected an ExtraFPNBlock for extra_blocks, got {kind}")
        if not in_channels_list or min(in_channels_list) < 1:
            raise ValueError(f"[FeaturePyramidNetwork] expected channels of at least 1, got {list(in_channels_list)}")
        self.inner_blocks, self.layer_blocks = nn.ModuleList(), nn.ModuleList()
        for channels in in_channels_list:
            for blocks, size, kernel in ((self.inner_blocks, channels, 1), (self.layer_blocks, out_channels, 3)):
                options: Any = {"padding": kernel // 2, "norm_layer": norm_layer, "activation_layer": None}
                blocks.append(Conv2dNormActivation(size, out_channels, kernel, **options))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.extra_blocks = extra_blocks

    def forward(self, x: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if not isinstance(x, Mapping):
            raise TypeError(f"[FeaturePyramidNetwork] expected a dict of maps, got {type(x).__name__}")
        names, maps = list(x), list(x.values())
        if len(maps) != len(self.inner_blocks):
            raise ValueError(f"[FeaturePyramidNetwork] expected {len(self.inner_blocks)} maps, got {len(maps)}")
        results: Maps = []
        above: Tensor | None = None
        for i in reversed(range(len(maps))):
            inner = self.inner_blocks[i](maps[i])
            above = inner if above is None else add(inner, F.interpolate(above, inner.shape[-2:]))
            results.insert(0, self.layer_blocks[i](above))
        if self.extra_blocks is not None:
            results, names = self.extra_blocks(results, maps, names)
        return OrderedDict(zip(names, results, strict=True))


class LastLevelMaxPool(ExtraFPNBlock):
    """Every other element of the smallest map as one more, named "pool" (torchvision's, of Faster R-CNN)."""

    def forward(self, x: Maps, y: Maps, names: list[str]) -> tuple[Maps, list[str]]:
        return [*x, F.max_pool2d(x[-1], 1, 2)], [*names, "pool"]


class LastLevelP6P7(ExtraFPNBlock):
    """Two more maps by convolution of stride 2, named "p6" and "p7" (torchvision's, of RetinaNet)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.p6 = nn.Conv2d(in_channels, out_channels, 3, 2, 1)
        self.p7 = nn.Conv2d(out_channels, out_channels, 3, 2, 1)
        for module in (self.p6, self.p7):
            nn.init.kaiming_uniform_(module.weight, a=1)
            nn.init.zeros_(module.bias)
        self.use_P5 = in_channels == out_channels

    def forward(self, p: Maps, c: Maps, names: list[str]) -> tuple[Maps, list[str]]:
        p6 = self.p6(p[-1] if self.use_P5 else c[-1])
        return [*p, p6, self.p7(F.relu(p6))], [*names, "p6", "p7"]


class MultiScaleRoIAlign(nn.Module):
    """`roi_align` of each box on the map that fits its size (`torchvision.ops.MultiScaleRoIAlign`; T.-Y. Lin et al.,
    "Feature Pyramid Networks for Object Detection", CVPR 2017, equation 1).

    Called with a dict of maps (N, C, H, W), of which those in `featmap_names` are used, a list of boxes (L, 4), one for
    each image, in pixels of the images, and the images' sizes (height, width); gives (K, C, *output_size). A box with a
    side of `canonical_scale` pixels belongs to level `canonical_level`, where the map of level k has stride 2^k.

    >>> import fastdl
    >>> pool = MultiScaleRoIAlign(["c2", "c3"], 2, 2)
    >>> maps = {"c2": fastdl.ones(1, 4, 16, 16), "c3": fastdl.ones(1, 4, 8, 8)}
    >>> pool(maps, [fastdl.tensor([[0.0, 0.0, 30.0, 30.0]])], [(64, 64)]).shape
    (1, 4, 2, 2)
    """

    def __init__(
        self, featmap_names: Sequence[str], output_size: int | Pair, sampling_ratio: int, *, canonical_scale: int = 224,
        canonical_level: int = 4,
    ) -> None:  # fmt: skip
        super().__init__()
        op = "MultiScaleRoIAlign"
        self.featmap_names = list(featmap_names)
        self.output_size = pair(output_size, op, "output_size")
        self.sampling_ratio = expect_int(sampling_ratio, op, "sampling_ratio")
        self.canonical_scale = expect_int(canonical_scale, op, "canonical_scale")
        self.canonical_level = expect_int(canonical_level, op, "canonical_level")

    def forward(self, x: Mapping[str, Tensor], boxes: list[Tensor], image_shapes: Sequence[Pair]) -> Tensor:
        if not isinstance(x, Mapping):
            raise TypeError(f"[MultiScaleRoIAlign] expected a dict of maps, got {type(x).__name__}")
        maps = [m for name, m in x.items() if name in self.featmap_names]
        if not maps or not image_shapes:
            raise ValueError(
                f"[MultiScaleRoIAlign] expected maps {', '.join(self.featmap_names)} and sizes of images, "
                f"got maps {', '.join(x)} and {len(image_shapes)} sizes"
            )
        height = max(h for h, _ in image_shapes)
        strides = [round(math.log2(height / m.shape[-2])) for m in maps]
        rois = _rois(boxes, maps[0], "MultiScaleRoIAlign")
        if len(maps) == 1:
            return self._align(maps[0], rois, strides[0])
        levels = self._levels(rois, strides[0], strides[-1])
        parts, places = [], []
        for i, (level, m) in enumerate(zip(strides, maps, strict=True)):
            chosen = np.flatnonzero(levels == strides[0] + i)
            places.append(chosen)
            parts.append(self._align(m, index_select(rois, 0, tensor(chosen, device=rois.device)), level))
        order = np.argsort(np.concatenate(places), kind="stable")
        return index_select(cat(parts, 0), 0, tensor(order, device=rois.device))

    def _align(self, x: Tensor, rois: Tensor, stride: int) -> Tensor:
        return roi_align(x, rois, self.output_size, 2.0**-stride, self.sampling_ratio)

    def _levels(self, rois: Tensor, least: int, most: int) -> np.ndarray:
        """The level of each box, on the host."""
        corners = rois._host()[:, 1:]
        area = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            exact = np.floor(self.canonical_level + np.log2(np.sqrt(area) / self.canonical_scale) + 1e-6)
        return np.clip(np.nan_to_num(exact, nan=least), least, most).astype(int)

    def __repr__(self) -> str:
        return (
            f"MultiScaleRoIAlign(featmap_names={self.featmap_names}, output_size={self.output_size}, "
            f"sampling_ratio={self.sampling_ratio})"
        )
