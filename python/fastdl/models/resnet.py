"""ResNet. He, Zhang, Ren, Sun: Deep residual learning for image recognition, arXiv 1512.03385.

torchvision's deeper networks halve the image in the 3x3 convolution of a bottleneck, the paper's in the first 1x1: the
same parameters, 4.1 instead of 3.8 G multiply-adds for 50 layers. `resnet50_published` and its kin are the paper's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import functional as F
from .. import nn
from ..tensor import Tensor
from ._api import build, he_init, register_model

Norm = Callable[..., nn.Module]


def _conv3x3(inputs: int, outputs: int, stride: int = 1, groups: int = 1, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, groups, bias=False)


def _conv1x1(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around which the input passes."""

    expansion = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        if groups != 1 or base_width != 64 or dilation != 1:
            got = f"{groups}, {base_width} and {dilation}"
            raise ValueError(f"[BasicBlock] expected groups 1, base_width 64 and dilation 1, got {got}")
        norm = norm_layer or nn.BatchNorm2d
        self.conv1 = _conv3x3(inplanes, planes, stride)
        self.bn1 = norm(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _conv3x3(planes, planes)
        self.bn2 = norm(planes)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + identity)


class Bottleneck(nn.Module):
    """1x1 to fewer channels, 3x3 (with the stride), 1x1 to four times as many."""

    expansion = 4
    stride_first = False

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        norm = norm_layer or nn.BatchNorm2d
        width = int(planes * (base_width / 64.0)) * groups
        first, second = (stride, 1) if self.stride_first else (1, stride)
        self.conv1 = _conv1x1(inplanes, width, first)
        self.bn1 = norm(width)
        self.conv2 = _conv3x3(width, width, second, groups, dilation)
        self.bn2 = norm(width)
        self.conv3 = _conv1x1(width, planes * self.expansion)
        self.bn3 = norm(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        return self.relu(self.bn3(self.conv3(out)) + identity)


class PublishedBottleneck(Bottleneck):
    """The paper's: the stride lies in the first 1x1 convolution."""

    stride_first = True


class ResNet(nn.Module):
    """`torchvision.models.ResNet`: (N, 3, 224, 224) to (N, num_classes); images of any size.

    Args:
        block: BasicBlock, Bottleneck or PublishedBottleneck.
        layers: blocks of the four stages.
        zero_init_residual: the last norm of each block starts at 0, so that the block starts as the identity.
        groups, width_per_group: of the 3x3 convolutions (ResNeXt, wide ResNet).
        replace_stride_with_dilation: for stages 2 to 4, dilate instead of halving (segmentation).
        norm_layer: BatchNorm2d by default.

    Transfer learning, with a new head on frozen features:

    >>> from fastdl import models, nn
    >>> net = models.resnet18().requires_grad_(False)
    >>> net.fc = nn.Linear(net.fc.in_features, 5)
    >>> [name for name, p in net.named_parameters() if p.requires_grad]
    ['fc.weight', 'fc.bias']
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: Sequence[bool] | None = None,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        dilate = [False] * 3 if replace_stride_with_dilation is None else list(replace_stride_with_dilation)
        if len(dilate) != 3:
            raise ValueError(f"[ResNet] expected replace_stride_with_dilation as None or 3 bools, got {dilate}")
        self._norm = norm_layer or nn.BatchNorm2d
        self.inplanes, self.dilation, self.groups, self.base_width = 64, 1, groups, width_per_group
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = self._norm(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = self._stage(block, 64, layers[0], 1, False)
        self.layer2 = self._stage(block, 128, layers[1], 2, dilate[0])
        self.layer3 = self._stage(block, 256, layers[2], 2, dilate[1])
        self.layer4 = self._stage(block, 512, layers[3], 2, dilate[2])
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        he_init(self)
        if zero_init_residual:
            for m in self.modules():
                if isinstance(m, BasicBlock | Bottleneck):
                    nn.init.zeros_((m.bn3 if isinstance(m, Bottleneck) else m.bn2).weight)

    def _stage(self, block: Any, planes: int, blocks: int, stride: int, dilate: bool) -> nn.Sequential:
        before = self.dilation
        if dilate:
            self.dilation, stride = self.dilation * stride, 1
        outputs = planes * block.expansion
        downsample = None
        if stride != 1 or self.inplanes != outputs:
            downsample = nn.Sequential(_conv1x1(self.inplanes, outputs, stride), self._norm(outputs))
        shared = (self.groups, self.base_width)
        made = [block(self.inplanes, planes, stride, downsample, *shared, before, self._norm)]
        made += [block(outputs, planes, 1, None, *shared, self.dilation, self._norm) for _ in range(1, blocks)]
        self.inplanes = outputs
        return nn.Sequential(*made)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(F.flatten(self.avgpool(x), 1))


@register_model
def resnet18(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet of 18 layers: 11,689,512 parameters, 1.8 G multiply-adds at 224 pixels.

    Args:
        weights: None, or the path of a .pth or .safetensors file.
        progress: taken as torchvision takes it; nothing is downloaded.
        **kwargs: of `ResNet`.

    >>> import fastdl
    >>> from fastdl import models
    >>> models.resnet18(num_classes=10).eval()(fastdl.zeros(2, 3, 32, 32)).shape
    (2, 10)
    """
    return build(ResNet, weights, "resnet18", BasicBlock, [2, 2, 2, 2], **kwargs)


@register_model
def resnet34(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet of 34 layers: 21,797,672 parameters, 3.6 G multiply-adds."""
    return build(ResNet, weights, "resnet34", BasicBlock, [3, 4, 6, 3], **kwargs)


@register_model
def resnet50(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """torchvision's ResNet of 50 layers: 25,557,032 parameters, 4.1 G multiply-adds."""
    return build(ResNet, weights, "resnet50", Bottleneck, [3, 4, 6, 3], **kwargs)


@register_model
def resnet101(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """torchvision's ResNet of 101 layers: 44,549,160 parameters, 7.8 G multiply-adds."""
    return build(ResNet, weights, "resnet101", Bottleneck, [3, 4, 23, 3], **kwargs)


@register_model
def resnet152(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """torchvision's ResNet of 152 layers: 60,192,808 parameters, 11.5 G multiply-adds."""
    return build(ResNet, weights, "resnet152", Bottleneck, [3, 8, 36, 3], **kwargs)


@register_model
def resnet50_published(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """The paper's ResNet of 50 layers: 25,557,032 parameters, 3.8 G multiply-adds."""
    return build(ResNet, weights, "resnet50_published", PublishedBottleneck, [3, 4, 6, 3], **kwargs)


@register_model
def resnet101_published(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """The paper's ResNet of 101 layers: 44,549,160 parameters, 7.6 G multiply-adds."""
    return build(ResNet, weights, "resnet101_published", PublishedBottleneck, [3, 4, 23, 3], **kwargs)


@register_model
def resnet152_published(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """The paper's ResNet of 152 layers: 60,192,808 parameters, 11.3 G multiply-adds."""
    return build(ResNet, weights, "resnet152_published", PublishedBottleneck, [3, 8, 36, 3], **kwargs)
