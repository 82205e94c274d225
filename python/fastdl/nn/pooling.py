"""Pooling and unpooling layers."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..functional.arguments import pair
from ..functional.conv import row
from ..tensor import Tensor
from .module import Module

Pair = tuple[int, int]
Single = int | tuple[int]


def _single(value: Any, op: str, name: str) -> tuple[int]:
    return (row(value, op, name, 0)[1],)


class _Windows(Module):
    """What layers over windows print."""

    kernel_size: Any
    stride: Any
    padding: Any

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


# ---- maximum ---------------------------------------------------------------------------------------------------------


class _MaxPool(_Windows):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def _attributes(self) -> tuple[Any, ...]:
        return self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, dilation={self.dilation}, ceil_mode={self.ceil_mode}"


class MaxPool1d(_MaxPool):
    """Largest element of each window of sequences (`torch.nn.MaxPool1d`).

    >>> import fastdl
    >>> MaxPool1d(2)(fastdl.ones(1, 3, 6)).shape
    (1, 3, 3)
    """

    def forward(self, input: Tensor) -> Any:
        return F.max_pool1d(input, *self._attributes())


class MaxPool2d(_MaxPool):
    """Largest element of each window (`torch.nn.MaxPool2d`).

    >>> import fastdl
    >>> MaxPool2d(2)(fastdl.ones(1, 3, 6, 6)).shape
    (1, 3, 3, 3)
    """

    def forward(self, input: Tensor) -> Any:
        return F.max_pool2d(input, *self._attributes())


class MaxUnpool1d(_Windows):
    """Values to where `MaxPool1d(return_indices=True)` found them, zeros elsewhere (`torch.nn.MaxUnpool1d`).

    >>> import fastdl
    >>> pooled = MaxPool1d(2, return_indices=True)(fastdl.tensor([[1.0, 3.0, 2.0, 0.0]]))
    >>> MaxUnpool1d(2)(*pooled).tolist()
    [[0.0, 3.0, 2.0, 0.0]]
    """

    def __init__(self, kernel_size: Single, stride: Single | None = None, padding: Single = 0) -> None:
        super().__init__()
        self.kernel_size = _single(kernel_size, "MaxUnpool1d", "kernel_size")
        self.stride = self.kernel_size if stride is None else _single(stride, "MaxUnpool1d", "stride")
        self.padding = _single(padding, "MaxUnpool1d", "padding")

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return F.max_unpool1d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool2d(_Windows):
    """Values to where `MaxPool2d(return_indices=True)` found them, zeros elsewhere (`torch.nn.MaxUnpool2d`).

    >>> import fastdl
    >>> pooled = MaxPool2d(2, return_indices=True)(fastdl.tensor([[[1.0, 5.0], [4.0, 2.0]]]))
    >>> MaxUnpool2d(2)(*pooled).tolist()
    [[[0.0, 5.0], [0.0, 0.0]]]
    """

    def __init__(self, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0) -> None:
        super().__init__()
        self.kernel_size = pair(kernel_size, "MaxUnpool2d", "kernel_size")
        self.stride = self.kernel_size if stride is None else pair(stride, "MaxUnpool2d", "stride")
        self.padding = pair(padding, "MaxUnpool2d", "padding")

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return F.max_unpool2d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class BedOfNailsUnpool2d(Module):
    """Each value in the upper left corner of a window of zeros ("bed of nails" unpooling).

    >>> import fastdl
    >>> BedOfNailsUnpool2d(2)(fastdl.ones(1, 3, 4, 4)).shape
    (1, 3, 8, 8)
    """

    def __init__(self, kernel_size: int | Pair) -> None:
        super().__init__()
        self.kernel_size = kernel_size

    def forward(self, input: Tensor) -> Tensor:
        return F.bed_of_nails_unpool2d(input, self.kernel_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}"


# ---- mean ------------------------------------------------------------------------------------------------------------


class AvgPool1d(_Windows):
    """Mean of each window of sequences (`torch.nn.AvgPool1d`).

    >>> import fastdl
    >>> AvgPool1d(2)(fastdl.tensor([[1.0, 3.0, 2.0, 0.0]])).tolist()
    [[2.0, 1.0]]
    """

    def __init__(
        self,
        kernel_size: Single,
        stride: Single | None = None,
        padding: Single = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = _single(kernel_size, "AvgPool1d", "kernel_size")
        self.stride = self.kernel_size if stride is None else _single(stride, "AvgPool1d", "stride")
        self.padding = _single(padding, "AvgPool1d", "padding")
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )  # fmt: skip


class AvgPool2d(_Windows):
    """Mean of each window (`torch.nn.AvgPool2d`).

    >>> import fastdl
    >>> AvgPool2d(2)(fastdl.ones(1, 3, 6, 6)).shape
    (1, 3, 3, 3)
    """

    def __init__(
        self,
        kernel_size: int | Pair,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding
        self.ceil_mode, self.count_include_pad, self.divisor_override = ceil_mode, count_include_pad, divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
            self.divisor_override,
        )  # fmt: skip


# ---- to a size -------------------------------------------------------------------------------------------------------


class _Adaptive(Module):
    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _AdaptiveMax(_Adaptive):
    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveAvgPool1d(_Adaptive):
    """Means of `output_size` windows that cover each sequence (`torch.nn.AdaptiveAvgPool1d`)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_Adaptive):
    """Means of windows that cover each plane, `output_size` of them (`torch.nn.AdaptiveAvgPool2d`); 1: global pooling.

    >>> import fastdl
    >>> AdaptiveAvgPool2d((1, None))(fastdl.ones(1, 3, 6, 5)).shape
    (1, 3, 1, 5)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveMaxPool1d(_AdaptiveMax):
    """Maxima of `output_size` windows that cover each sequence (`torch.nn.AdaptiveMaxPool1d`)."""

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMax):
    """Maxima of windows that cover each plane, `output_size` of them (`torch.nn.AdaptiveMaxPool2d`).

    >>> import fastdl
    >>> AdaptiveMaxPool2d(7)(fastdl.ones(1, 3, 10, 9)).shape
    (1, 3, 7, 7)
    """

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)
