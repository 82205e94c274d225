"""Convolution layers: one base for both directions, and a class an axis count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import functional as F
from ..functional.arguments import pair
from ..functional.conv import row, same_padding
from ..tensor import Tensor
from . import init
from .layers import _expect_size, _parameter
from .module import Module

Pair = tuple[int, int]
Sizes = tuple[int, ...]
_MODES = ("zeros", "reflect", "replicate", "circular")


def _sizes(value: Any, axes: int, op: str, name: str) -> Sizes:
    return pair(value, op, name) if axes == 2 else (row(value, op, name, 0)[1],)


class _Conv(Module):
    """What convolutions over one and two axes share: attributes, parameters and what they print."""

    axes: int
    padding: Any  # sizes, 'same' or 'valid'
    weight_axes = (1, 0)  # places of the input and the output channels in the arguments' order (in, out)

    def __init__(
        self, channels: Pair, kernel_size: Any, stride: Any, padding: Any, dilation: Any, groups: int, bias: bool,
        padding_mode: str, device: Any, dtype: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        op = type(self).__name__
        _expect_size(groups, 1, op, "groups")
        for name, n in zip(("in_channels", "out_channels"), channels, strict=True):
            _expect_size(n, 1, op, name)
            if n % groups:
                raise ValueError(f"[{op}] expected {name} that {groups} groups divide, got {n}")
        if not isinstance(padding_mode, str) or padding_mode not in _MODES:
            raise ValueError(f"[{op}] expected padding_mode {', '.join(_MODES[:-1])} or circular, got {padding_mode!r}")
        self.in_channels, self.out_channels = channels
        self.kernel_size = _sizes(kernel_size, self.axes, op, "kernel_size")
        self.stride = _sizes(stride, self.axes, op, "stride")
        self.dilation = _sizes(dilation, self.axes, op, "dilation")
        self.padding = padding if isinstance(padding, str) else _sizes(padding, self.axes, op, "padding")
        self.groups, self.padding_mode = groups, padding_mode
        first, second = (channels[i] for i in self.weight_axes)
        self.weight = _parameter((first, second // groups, *self.kernel_size), device, dtype)
        self.register_parameter("bias", _parameter((channels[1],), device, dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init.default_(self.weight, self.bias)

    def _shown(self) -> list[str]:
        return []

    def extra_repr(self) -> str:
        zeros, ones = (0,) * self.axes, (1,) * self.axes
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        parts += [f"padding={self.padding}"] if self.padding != zeros else []
        parts += [f"dilation={self.dilation}"] if self.dilation != ones else []
        parts += self._shown()
        parts += [f"groups={self.groups}"] if self.groups != 1 else []
        parts += ["bias=False"] if self.bias is None else []
        parts += [f"padding_mode={self.padding_mode}"] if self.padding_mode != "zeros" else []
        return ", ".join(parts)


class _Forward(_Conv):
    function: Callable[..., Tensor]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            (in_channels, out_channels), kernel_size, stride, padding, dilation, groups, bias, padding_mode, device,
            dtype,
        )  # fmt: skip
        op = type(self).__name__
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(f"[{op}] expected padding 'same', 'valid' or numbers, got {padding!r}")
        if padding == "same" and any(s != 1 for s in self.stride):
            raise ValueError(f"[{op}] expected stride 1 with padding='same', got {self.stride}")

    def _sides(self) -> list[int]:
        """What F.pad takes: (before, after) of each axis, the last one first."""
        if self.padding == "valid":
            return [0, 0] * self.axes
        if self.padding == "same":
            kernel, spread = ((n[0], n[-1]) for n in (self.kernel_size, self.dilation))
            top, bottom, left, right = same_padding(kernel, (1, 1), spread)
            return [left, right, top, bottom][: 2 * self.axes]
        return [n for n in reversed(self.padding) for _ in (0, 1)]

    def forward(self, input: Tensor) -> Tensor:
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._sides(), self.padding_mode), 0
        function = type(self).function
        return function(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv1d(_Forward):
    """1-D convolution: (N, in_channels, L) to (N, out_channels, L') (`torch.nn.Conv1d`).

    `padding` is an int, 'same' or 'valid'; `padding_mode` 'zeros', 'reflect', 'replicate' or 'circular'.

    >>> import fastdl
    >>> Conv1d(3, 8, 5, padding="same", padding_mode="circular")(fastdl.ones(1, 3, 6)).shape
    (1, 8, 6)
    """

    axes = 1
    function = F.conv1d


class Conv2d(_Forward):
    """2-D convolution: (N, in_channels, H, W) to (N, out_channels, H', W') (`torch.nn.Conv2d`).

    `padding` is an int, a pair, 'same' or 'valid'; `padding_mode` 'zeros', 'reflect', 'replicate' or 'circular'.

    >>> import fastdl
    >>> Conv2d(3, 8, 3, padding="same")(fastdl.ones(1, 3, 6, 6)).shape
    (1, 8, 6, 6)
    """

    axes = 2
    function = F.conv2d


class _Transposed(_Conv):
    weight_axes = (0, 1)
    function: Callable[..., Tensor]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        op = type(self).__name__
        if padding_mode != "zeros":
            raise ValueError(f"[{op}] expected padding_mode zeros, got {padding_mode!r}")
        self.output_padding = _sizes(output_padding, self.axes, op, "output_padding")
        padding = _sizes(padding, self.axes, op, "padding")
        super().__init__(
            (in_channels, out_channels), kernel_size, stride, padding, dilation, groups, bias, padding_mode, device,
            dtype,
        )  # fmt: skip

    def _shown(self) -> list[str]:
        return [f"output_padding={self.output_padding}"] if any(self.output_padding) else []

    def _extra(self, input: Tensor, output_size: Sequence[int] | None) -> Sizes:
        """output_padding that makes `output_size`: sizes of the spatial axes, or of all."""
        if output_size is None:
            return self.output_padding
        op, wanted = type(self).__name__, tuple(output_size)[-self.axes :]
        if len(output_size) not in (self.axes, input.ndim):
            raise ValueError(f"[{op}] expected output_size of {self.axes} or {input.ndim} sizes, got {output_size}")
        extra = []
        for i, size in enumerate(input.shape[-self.axes :]):
            reach = self.dilation[i] * (self.kernel_size[i] - 1) + 1
            least = (size - 1) * self.stride[i] - 2 * self.padding[i] + reach
            most = least + self.stride[i] - 1
            if not least <= wanted[i] <= most:
                raise ValueError(f"[{op}] expected output_size between {least} and {most}, got {wanted[i]}")
            extra.append(wanted[i] - least)
        return tuple(extra)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        extra, function = self._extra(input, output_size), type(self).function
        return function(
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )  # fmt: skip


class ConvTranspose1d(_Transposed):
    """1-D transposed convolution: (N, in_channels, L) to (N, out_channels, L') (`torch.nn.ConvTranspose1d`).

    >>> import fastdl
    >>> ConvTranspose1d(3, 8, 4, stride=2, padding=1)(fastdl.ones(1, 3, 6)).shape
    (1, 8, 12)
    """

    axes = 1
    function = F.conv_transpose1d


class ConvTranspose2d(_Transposed):
    """2-D transposed convolution: (N, in_channels, H, W) to (N, out_channels, H', W') (`torch.nn.ConvTranspose2d`).

    `forward` takes an `output_size` in place of `output_padding`.

    >>> import fastdl
    >>> ConvTranspose2d(3, 8, 3, stride=2, padding=1)(fastdl.ones(1, 3, 6, 6), output_size=(12, 12)).shape
    (1, 8, 12, 12)
    """

    axes = 2
    function = F.conv_transpose2d
