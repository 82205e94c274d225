"""MobileNetV2. Sandler et al.: Inverted residuals and linear bottlenecks, arXiv 1801.04381."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import functional as F
from .. import nn
from ..ops.layers import Conv2dNormActivation
from ..tensor import Tensor
from ._api import build, he_init, register_model

# expansion, channels, blocks, stride of the first
_SETTING = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
]


def _divisible(value: float, divisor: int) -> int:
    """`value` rounded to a multiple of `divisor`, never by more than a tenth downwards."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


class InvertedResidual(nn.Module):
    """1x1 to more channels, 3x3 depthwise, 1x1 to few without activation; the input is added where shapes agree."""

    def __init__(
        self, inp: int, oup: int, stride: int, expand_ratio: float, norm_layer: Callable[..., nn.Module] | None = None
    ) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"[InvertedResidual] expected stride 1 or 2, got {stride}")
        norm = norm_layer or nn.BatchNorm2d
        hidden = round(inp * expand_ratio)
        unit: dict[str, Any] = {"norm_layer": norm, "activation_layer": nn.ReLU6}
        layers: list[nn.Module] = [Conv2dNormActivation(inp, hidden, 1, **unit)] if expand_ratio != 1 else []
        layers.append(Conv2dNormActivation(hidden, hidden, 3, stride, groups=hidden, **unit))
        layers += [nn.Conv2d(hidden, oup, 1, bias=False), norm(oup)]
        self.stride, self.out_channels = stride, oup
        self.use_res_connect = stride == 1 and inp == oup
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    """`torchvision.models.MobileNetV2`: (N, 3, 224, 224) to (N, num_classes); images of any size.

    Args:
        width_mult: factor of all channels.
        inverted_residual_setting: rows of (expansion, channels, blocks, stride of the first).
        round_nearest: channels are multiples of it.
        block, norm_layer: other classes than InvertedResidual and BatchNorm2d.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        inverted_residual_setting: Sequence[Sequence[int]] | None = None,
        round_nearest: int = 8,
        block: Callable[..., nn.Module] | None = None,
        norm_layer: Callable[..., nn.Module] | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        setting = _SETTING if inverted_residual_setting is None else inverted_residual_setting
        if not setting or any(len(row) != 4 for row in setting):
            raise ValueError(f"[MobileNetV2] expected inverted_residual_setting as rows of 4 numbers, got {setting}")
        unit: dict[str, Any] = {"norm_layer": norm_layer or nn.BatchNorm2d}
        make = block or InvertedResidual
        if not 0 < width_mult < float("inf"):
            raise ValueError(f"[MobileNetV2] expected width_mult above 0, got {width_mult}")
        channels = _divisible(32 * width_mult, round_nearest)
        self.last_channel = _divisible(1280 * max(1.0, width_mult), round_nearest)
        layers: list[nn.Module] = [Conv2dNormActivation(3, channels, 3, 2, activation_layer=nn.ReLU6, **unit)]
        for expansion, filters, blocks, stride in setting:
            outputs = _divisible(filters * width_mult, round_nearest)
            for i in range(blocks):
                layers.append(make(channels, outputs, stride if i == 0 else 1, expand_ratio=expansion, **unit))
                channels = outputs
        layers.append(Conv2dNormActivation(channels, self.last_channel, 1, activation_layer=nn.ReLU6, **unit))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(self.last_channel, num_classes))
        he_init(self, linear_std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        x = F.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(F.flatten(x, 1))


@register_model
def mobilenet_v2(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> MobileNetV2:
    """MobileNetV2, 3,504,872 parameters, 0.3 G multiply-adds.

    Args:
        weights: None, or the path of a .pth or .safetensors file.
        progress: taken as torchvision takes it; nothing is downloaded.
        **kwargs: of `MobileNetV2`.

    >>> import fastdl
    >>> from fastdl import models
    >>> models.mobilenet_v2(num_classes=10).eval()(fastdl.zeros(2, 3, 32, 32)).shape
    (2, 10)
    """
    return build(MobileNetV2, weights, "mobilenet_v2", **kwargs)
