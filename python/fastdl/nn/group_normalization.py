"""Normalisation layers within groups of channels, within each channel, and by the root mean square."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import functional as F
from ..creation import empty
from ..tensor import Tensor
from .module import Module
from .normalization import _BatchNorm, _reset
from .parameter import Parameter


class GroupNorm(Module):
    """Normalisation within groups of channels of each item (`torch.nn.GroupNorm`).

    >>> import fastdl
    >>> GroupNorm(2, 4)(fastdl.ones(2, 4, 3)).shape
    (2, 4, 3)
    """

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, device: Any = None,
        dtype: Any = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(
                f"[GroupNorm] expected num_channels as a multiple of num_groups, got {num_channels} and {num_groups}"
            )
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        made = {"device": device, "dtype": dtype}
        self.register_parameter("weight", Parameter(empty(num_channels, **made)) if affine else None)
        self.register_parameter("bias", Parameter(empty(num_channels, **made)) if affine and bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        _reset(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        text = f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
        return f"{text}, bias={self.bias is not None}"


class _InstanceNorm(_BatchNorm):
    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = False,
        track_running_stats: bool = False, device: Any = None, dtype: Any = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        op = type(self).__name__
        if input.ndim not in self.dims:
            text = " or ".join(map(str, self.dims))
            raise ValueError(f"[{op}] expected input with {text} dimensions, got shape {input.shape}")
        single = input.ndim == self.dims[0]
        x = input.unsqueeze(0) if single else input
        if x.shape[1] != self.num_features:
            raise ValueError(f"[{op}] expected {self.num_features} channels, got shape {input.shape}")
        own = self.training or not self.track_running_stats
        momentum = 0.0 if self.momentum is None else self.momentum
        out = F.instance_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, own, momentum, self.eps
        )  # fmt: skip
        return out.squeeze(0) if single else out


class InstanceNorm1d(_InstanceNorm):
    """Normalisation of each channel of each (N, C, L) or (C, L) (`torch.nn.InstanceNorm1d`)."""

    dims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Normalisation of each channel of each (N, C, H, W) or (C, H, W) (`torch.nn.InstanceNorm2d`).

    >>> import fastdl
    >>> InstanceNorm2d(3)(fastdl.rand(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    dims = (3, 4)


class RMSNorm(Module):
    """x over its root mean square over the last axes (`torch.nn.RMSNorm`).

    >>> import fastdl
    >>> RMSNorm(2, eps=0.0)(fastdl.tensor([2.0, 2.0])).tolist()
    [1.0, 1.0]
    """

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True,
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        made = empty(shape, device=device, dtype=dtype) if elementwise_affine else None
        self.register_parameter("weight", None if made is None else Parameter(made))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        _reset(self.weight, None)

    def forward(self, input: Tensor) -> Tensor:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
