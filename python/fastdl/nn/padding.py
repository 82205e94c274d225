"""Layers that pad sequences, planes and volumes."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..tensor import Tensor
from .module import Module


class _Pad(Module):
    """`padding`: one number for all sides, or (left, right, top, bottom, ...)."""

    mode = "constant"
    axes = 1
    value: float | None = None

    def __init__(self, padding: Any) -> None:
        super().__init__()
        sides = (padding,) * (2 * self.axes) if isinstance(padding, int) else tuple(padding)
        if len(sides) != 2 * self.axes:
            raise ValueError(f"[{type(self).__name__}] expected {2 * self.axes} numbers for padding, got {len(sides)}")
        self.padding = sides

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ConstantPad1d(_Pad):
    """Pads the last axis with `value` (`torch.nn.ConstantPad1d`)."""

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad2d(ConstantPad1d):
    """Pads the last two axes with `value` (`torch.nn.ConstantPad2d`)."""

    axes = 2


class ConstantPad3d(ConstantPad1d):
    """Pads the last three axes with `value` (`torch.nn.ConstantPad3d`)."""

    axes = 3


class ZeroPad1d(_Pad):
    """Zeros around the last axis (`torch.nn.ZeroPad1d`)."""


class ZeroPad2d(_Pad):
    """Zeros around the last two axes (`torch.nn.ZeroPad2d`).

    >>> import fastdl
    >>> ZeroPad2d((1, 0, 0, 1))(fastdl.ones(1, 1, 1, 1)).tolist()
    [[[[0.0, 1.0], [0.0, 0.0]]]]
    """

    axes = 2


class ZeroPad3d(_Pad):
    """Zeros around the last three axes (`torch.nn.ZeroPad3d`)."""

    axes = 3


class ReflectionPad1d(_Pad):
    """Mirrors sequences at their edge elements (`torch.nn.ReflectionPad1d`)."""

    mode = "reflect"


class ReflectionPad2d(ReflectionPad1d):
    """Mirrors planes at their edge elements (`torch.nn.ReflectionPad2d`)."""

    axes = 2


class ReflectionPad3d(ReflectionPad1d):
    """Mirrors volumes at their edge elements (`torch.nn.ReflectionPad3d`)."""

    axes = 3


class ReplicationPad1d(_Pad):
    """Repeats the edge elements of sequences (`torch.nn.ReplicationPad1d`)."""

    mode = "replicate"


class ReplicationPad2d(ReplicationPad1d):
    """Repeats the edge elements of planes (`torch.nn.ReplicationPad2d`)."""

    axes = 2


class ReplicationPad3d(ReplicationPad1d):
    """Repeats the edge elements of volumes (`torch.nn.ReplicationPad3d`)."""

    axes = 3


class CircularPad1d(_Pad):
    """Goes on from the other end of sequences (`torch.nn.CircularPad1d`)."""

    mode = "circular"


class CircularPad2d(CircularPad1d):
    """Goes on from the other end of planes (`torch.nn.CircularPad2d`)."""

    axes = 2


class CircularPad3d(CircularPad1d):
    """Goes on from the other end of volumes (`torch.nn.CircularPad3d`)."""

    axes = 3
