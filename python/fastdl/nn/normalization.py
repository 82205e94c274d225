"""Normalisation layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import functional as F
from ..autograd import no_grad
from ..creation import empty, ones, tensor, zeros
from ..functional.arguments import expect_int, shown
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter


def _reset(weight: Parameter | None, bias: Parameter | None) -> None:
    if weight is not None:
        init.ones_(weight)
    if bias is not None:
        init.zeros_(bias)


class _ChannelNorm(Module):
    """Parameters and running statistics of one number a channel."""

    dims: tuple[int, ...] = ()  # how many dimensions an input may have

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        expect_int(num_features, type(self).__name__, "num_features")
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        made = {"device": device, "dtype": dtype}
        self.register_parameter("weight", Parameter(empty((num_features,), **made)) if affine else None)
        self.register_parameter("bias", Parameter(empty((num_features,), **made)) if affine and bias else None)
        tracked = track_running_stats
        self.register_buffer("running_mean", zeros((num_features,), **made) if tracked else None)
        self.register_buffer("running_var", ones((num_features,), **made) if tracked else None)
        self.register_buffer("num_batches_tracked", tensor(0, dtype="int64", device=device) if tracked else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, no batch seen."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        self.reset_running_stats()
        _reset(self.weight, self.bias)

    def _checked(self, input: Any) -> Tensor:
        op = type(self).__name__
        if not isinstance(input, Tensor):
            raise TypeError(f"[{op}] expected a Tensor for input, got {type(input).__name__}")
        if input.ndim not in self.dims:
            text = " or ".join(map(str, self.dims))
            raise ValueError(f"[{op}] expected input with {text} dimensions, got shape {input.shape}")
        return input

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_ChannelNorm):
    """One mean and variance a channel, those of the batch in training, running ones otherwise."""

    def _share(self) -> float:
        """By how much the running statistics move; `momentum=None` averages all batches."""
        if not (self.training and self.track_running_stats):
            return 0.0 if self.momentum is None else self.momentum
        with no_grad():
            self.num_batches_tracked += 1
        return 1.0 / self.num_batches_tracked.item() if self.momentum is None else self.momentum

    def forward(self, input: Tensor) -> Tensor:
        x = self._checked(input)
        train = self.training or self.running_mean is None
        share = self._share()
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, train, share, self.eps)


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L) (`torch.nn.BatchNorm1d`).

    >>> import fastdl
    >>> BatchNorm1d(2, eps=0.0)(fastdl.tensor([[1.0, 10.0], [3.0, 30.0]])).tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    """

    dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of (N, C, H, W) (`torch.nn.BatchNorm2d`).

    >>> import fastdl
    >>> layer = BatchNorm2d(3)
    >>> layer(fastdl.ones(2, 3, 4, 4)).shape, layer.running_mean.numel(), layer.num_batches_tracked.item()
    ((2, 3, 4, 4), 3, 1)
    """

    dims = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of (N, C, D, H, W) (`torch.nn.BatchNorm3d`).

    >>> import fastdl
    >>> BatchNorm3d(3)(fastdl.ones(2, 3, 2, 4, 4)).shape
    (2, 3, 2, 4, 4)
    """

    dims = (5,)


class _InstanceNorm(_ChannelNorm):
    """One mean and variance a channel of each image, or running ones outside training where these are tracked."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        x = self._checked(input)
        if x.ndim == min(self.dims):
            return self(x.unsqueeze(0)).squeeze(0)
        if self.affine and x.shape[1] != self.num_features:
            op = type(self).__name__
            raise ValueError(f"[{op}] expected input with {self.num_features} channels, got shape {x.shape}")
        own = self.training or not self.track_running_stats
        share = 0.0 if self.momentum is None else self.momentum
        return F.instance_norm(x, self.running_mean, self.running_var, self.weight, self.bias, own, share, self.eps)


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation of (N, C, L) or (C, L) (`torch.nn.InstanceNorm1d`).

    >>> import fastdl
    >>> InstanceNorm1d(2, eps=0.0)(fastdl.tensor([[1.0, 3.0], [10.0, 30.0]])).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """

    dims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Instance normalisation of (N, C, H, W) or (C, H, W) (`torch.nn.InstanceNorm2d`).

    >>> import fastdl
    >>> InstanceNorm2d(3)(fastdl.ones(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    dims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Instance normalisation of (N, C, D, H, W) or (C, D, H, W) (`torch.nn.InstanceNorm3d`).

    >>> import fastdl
    >>> InstanceNorm3d(3)(fastdl.ones(2, 3, 2, 4, 4)).shape
    (2, 3, 2, 4, 4)
    """

    dims = (4, 5)


class GroupNorm(Module):
    """Normalisation of groups of channels of each image (`torch.nn.GroupNorm`).

    Raises:
        TypeError: for numbers of groups or channels that are not int.
        ValueError: for groups that do not divide the channels.

    >>> import fastdl
    >>> GroupNorm(1, 2, eps=0.0)(fastdl.tensor([[1.0, 3.0], [10.0, 30.0]])).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        for name, n in (("num_groups", num_groups), ("num_channels", num_channels)):
            expect_int(n, "GroupNorm", name)
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(
                f"[GroupNorm] expected num_groups that divides the number of channels, "
                f"got {num_groups} for {num_channels} channels"
            )
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        made = {"device": device, "dtype": dtype}
        self.register_parameter("weight", Parameter(empty((num_channels,), **made)) if affine else None)
        self.register_parameter("bias", Parameter(empty((num_channels,), **made)) if affine and bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        _reset(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        text = f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
        return f"{text}, bias={self.bias is not None}"


class LayerNorm(Module):
    """Normalisation over the last axes, of shape `normalized_shape` (`torch.nn.LayerNorm`).

    >>> import fastdl
    >>> LayerNorm(2, eps=0.0)(fastdl.tensor([[1.0, 3.0], [10.0, 30.0]])).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        if not (isinstance(shape, tuple | list) and all(isinstance(n, int) for n in shape)):
            raise TypeError(f"[LayerNorm] expected an int or a tuple for normalized_shape, got {shown(shape)}")
        self.normalized_shape, self.eps, self.elementwise_affine = tuple(shape), eps, elementwise_affine
        made = {"device": device, "dtype": dtype}
        affine = elementwise_affine
        self.register_parameter("weight", Parameter(empty(self.normalized_shape, **made)) if affine else None)
        self.register_parameter("bias", Parameter(empty(self.normalized_shape, **made)) if affine and bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        _reset(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        text = f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        return f"{text}, bias={self.bias is not None}"


class LocalResponseNorm(Module):
    """Each channel over what the squares of its neighbours add up to (`torch.nn.LocalResponseNorm`).

    >>> import fastdl
    >>> LocalResponseNorm(2, alpha=2.0, beta=1.0)(fastdl.ones(1, 2, 1))[0, 0].tolist()
    [0.5]
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


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
