"""Inception v3. Szegedy et al.: Rethinking the Inception architecture for computer vision, arXiv 1512.00567."""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import functional as F
from .. import nn
from ..functional.layout import cat
from ..tensor import Tensor
from ._api import build_with_heads, register_model
from ._blocks import BasicConv2d, imagenet_to_half


class InceptionOutputs(NamedTuple):
    """What an Inception3 with its head returns in training."""

    logits: Tensor
    aux_logits: Tensor | None


def _conv(inputs: int, outputs: int, size: int | tuple[int, int] = 1, stride: int = 1, same: bool = True) -> Any:
    h, w = (size, size) if isinstance(size, int) else size
    padding = (h // 2, w // 2) if same else 0
    return BasicConv2d(inputs, outputs, kernel_size=(h, w), stride=stride, padding=padding)


def _pooled(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1)


class InceptionA(nn.Module):
    """35x35: 1x1; 5x5; two 3x3; pooling."""

    def __init__(self, in_channels: int, pool_features: int) -> None:
        super().__init__()
        self.branch1x1 = _conv(in_channels, 64)
        self.branch5x5_1 = _conv(in_channels, 48)
        self.branch5x5_2 = _conv(48, 64, 5)
        self.branch3x3dbl_1 = _conv(in_channels, 64)
        self.branch3x3dbl_2 = _conv(64, 96, 3)
        self.branch3x3dbl_3 = _conv(96, 96, 3)
        self.branch_pool = _conv(in_channels, pool_features)

    def forward(self, x: Tensor) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return cat([self.branch1x1(x), five, double, self.branch_pool(_pooled(x))], 1)


class InceptionB(nn.Module):
    """35x35 to 17x17."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch3x3 = _conv(in_channels, 384, 3, 2, same=False)
        self.branch3x3dbl_1 = _conv(in_channels, 64)
        self.branch3x3dbl_2 = _conv(64, 96, 3)
        self.branch3x3dbl_3 = _conv(96, 96, 3, 2, same=False)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return cat([self.branch3x3(x), double, F.max_pool2d(x, 3, stride=2)], 1)


class InceptionC(nn.Module):
    """17x17: 7x7 convolutions as 1x7 and 7x1."""

    def __init__(self, in_channels: int, channels_7x7: int) -> None:
        super().__init__()
        c = channels_7x7
        self.branch1x1 = _conv(in_channels, 192)
        self.branch7x7_1 = _conv(in_channels, c)
        self.branch7x7_2 = _conv(c, c, (1, 7))
        self.branch7x7_3 = _conv(c, 192, (7, 1))
        self.branch7x7dbl_1 = _conv(in_channels, c)
        self.branch7x7dbl_2 = _conv(c, c, (7, 1))
        self.branch7x7dbl_3 = _conv(c, c, (1, 7))
        self.branch7x7dbl_4 = _conv(c, c, (7, 1))
        self.branch7x7dbl_5 = _conv(c, 192, (1, 7))
        self.branch_pool = _conv(in_channels, 192)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return cat([self.branch1x1(x), seven, double, self.branch_pool(_pooled(x))], 1)


class InceptionD(nn.Module):
    """17x17 to 8x8."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch3x3_1 = _conv(in_channels, 192)
        self.branch3x3_2 = _conv(192, 320, 3, 2, same=False)
        self.branch7x7x3_1 = _conv(in_channels, 192)
        self.branch7x7x3_2 = _conv(192, 192, (1, 7))
        self.branch7x7x3_3 = _conv(192, 192, (7, 1))
        self.branch7x7x3_4 = _conv(192, 192, 3, 2, same=False)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        return cat([three, self.branch7x7x3_4(seven), F.max_pool2d(x, 3, stride=2)], 1)


class InceptionE(nn.Module):
    """8x8: 3x3 convolutions as 1x3 beside 3x1."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch1x1 = _conv(in_channels, 320)
        self.branch3x3_1 = _conv(in_channels, 384)
        self.branch3x3_2a = _conv(384, 384, (1, 3))
        self.branch3x3_2b = _conv(384, 384, (3, 1))
        self.branch3x3dbl_1 = _conv(in_channels, 448)
        self.branch3x3dbl_2 = _conv(448, 384, 3)
        self.branch3x3dbl_3a = _conv(384, 384, (1, 3))
        self.branch3x3dbl_3b = _conv(384, 384, (3, 1))
        self.branch_pool = _conv(in_channels, 192)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        wide = [self.branch3x3_2a(three), self.branch3x3_2b(three)]
        wide += [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)]
        return cat([self.branch1x1(x), *wide, self.branch_pool(_pooled(x))], 1)


class InceptionAux(nn.Module):
    """The auxiliary head on the 17x17 maps."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv0 = _conv(in_channels, 128)
        self.conv1 = _conv(128, 768, 5, same=False)
        self.fc = nn.Linear(768, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(self.conv0(F.avg_pool2d(x, 5, stride=3)))
        return self.fc(F.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1))


class Inception3(nn.Module):
    """`torchvision.models.Inception3`: (N, 3, 299, 299) to (N, num_classes); images from 75 pixels on.

    In training with `aux_logits` it returns `InceptionOutputs`, which needs 299 pixels. `init_weights` None means True.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        init_weights: bool | None = None,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.aux_logits, self.transform_input = aux_logits, transform_input
        self.Conv2d_1a_3x3 = _conv(3, 32, 3, 2, same=False)
        self.Conv2d_2a_3x3 = _conv(32, 32, 3, same=False)
        self.Conv2d_2b_3x3 = _conv(32, 64, 3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2)
        self.Conv2d_3b_1x1 = _conv(64, 80)
        self.Conv2d_4a_3x3 = _conv(80, 192, 3, same=False)
        self.maxpool2 = nn.MaxPool2d(3, stride=2)
        self.Mixed_5b = InceptionA(192, 32)
        self.Mixed_5c = InceptionA(256, 64)
        self.Mixed_5d = InceptionA(288, 64)
        self.Mixed_6a = InceptionB(288)
        self.Mixed_6b = InceptionC(768, 128)
        self.Mixed_6c = InceptionC(768, 160)
        self.Mixed_6d = InceptionC(768, 160)
        self.Mixed_6e = InceptionC(768, 192)
        self.AuxLogits = InceptionAux(768, num_classes) if aux_logits else None
        self.Mixed_7a = InceptionD(768)
        self.Mixed_7b = InceptionE(1280)
        self.Mixed_7c = InceptionE(2048)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(2048, num_classes)
        if init_weights is None or init_weights:
            self._initialise()

    def _initialise(self) -> None:
        head = self.AuxLogits  # torchvision sets the deviation on its unit conv1, not on the convolution: 0.1 rules
        for m in self.modules():
            if isinstance(m, nn.Conv2d | nn.Linear):
                deviation = 0.001 if head is not None and m is head.fc else 0.1
                nn.init.trunc_normal_(m.weight, 0.0, deviation, -2.0, 2.0)

    def forward(self, x: Tensor) -> Any:
        heads = self.training and self.aux_logits
        x = imagenet_to_half(x) if self.transform_input else x
        x = self.maxpool1(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        x = self.maxpool2(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        x = self.Mixed_6a(self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(x))))
        aux = self.AuxLogits(x) if heads and self.AuxLogits is not None else None
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        x = self.fc(F.flatten(self.dropout(self.avgpool(x)), 1))
        return InceptionOutputs(x, aux) if heads else x


@register_model
def inception_v3(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> Inception3:
    """Inception v3, 27,161,264 parameters with its auxiliary head, 23,834,568 without.

    Args:
        weights: None, or the path of a .pth or .safetensors file; then, as in torchvision, `transform_input` is True
            unless said otherwise.
        progress: taken as torchvision takes it; nothing is downloaded.
        **kwargs: of `Inception3`.

    >>> import fastdl
    >>> from fastdl import models
    >>> models.inception_v3(num_classes=10, init_weights=False).eval()(fastdl.zeros(1, 3, 75, 75)).shape
    (1, 10)
    """
    return build_with_heads(Inception3, weights, "inception_v3", ("AuxLogits",), True, **kwargs)
