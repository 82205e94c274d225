"""Blocks of networks under the names of `torchvision.ops`: batch norm that stays as it is, convolutions with what
follows them, branches dropped by chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .. import functional as F
from .. import nn
from ..creation import ones, zeros
from ..functional.arguments import expect_int, expect_probability, expect_tensor, pair
from ..functional.arithmetic import mul
from ..functional.layout import permute
from ..tensor import Tensor

Layer = Callable[..., nn.Module]


class FrozenBatchNorm2d(nn.Module):
    """Batch norm of images (N, C, H, W) whose statistics, weight and bias are constants
    (`torchvision.ops.FrozenBatchNorm2d`): for networks that learn on batches too small for statistics of their own.

    Loads the state of a BatchNorm2d, of which it leaves out the number of batches.

    >>> import fastdl
    >>> layer = FrozenBatchNorm2d(64)
    >>> layer(fastdl.ones(1, 64, 2, 2)).shape, list(layer.parameters())
    ((1, 64, 2, 2), [])
    """

    ignored_keys = ("num_batches_tracked",)

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        expect_int(num_features, "FrozenBatchNorm2d", "num_features")
        self.eps = eps
        for name, values in (("weight", ones), ("bias", zeros), ("running_mean", zeros), ("running_var", ones)):
            self.register_buffer(name, values(num_features))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, eps=self.eps)

    def __repr__(self) -> str:
        return f"FrozenBatchNorm2d({self.weight.shape[0]}, eps={self.eps})"


class Conv2dNormActivation(nn.Sequential):
    """Convolution, norm and activation (`torchvision.ops.Conv2dNormActivation`), of the input's size by default.

    `padding` is what keeps the size at stride 1 unless given; there is a bias unless there is a norm.

    >>> [type(layer).__name__ for layer in Conv2dNormActivation(3, 8)]
    ['Conv2d', 'BatchNorm2d', 'ReLU']
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int] = 3,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str | None = None,
        groups: int = 1,
        norm_layer: Layer | None = nn.BatchNorm2d,
        activation_layer: Layer | None = nn.ReLU,
        dilation: int | tuple[int, int] = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
    ) -> None:
        if padding is None:
            op = type(self).__name__
            (kh, kw), (dh, dw) = pair(kernel_size, op, "kernel_size"), pair(dilation, op, "dilation")
            padding = (kh - 1) // 2 * dh, (kw - 1) // 2 * dw
        has_bias = norm_layer is None if bias is None else bias
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, has_bias)
        ]
        if norm_layer is not None:
            layers.append(norm_layer(out_channels))
        if activation_layer is not None:
            layers.append(activation_layer(**_in_place(inplace)))
        super().__init__(*layers)
        self.out_channels = out_channels


def _in_place(inplace: bool | None) -> dict[str, bool]:
    return {} if inplace is None else {"inplace": inplace}


class SqueezeExcitation(nn.Module):
    """Channels weighed by what the whole image says (`torchvision.ops.SqueezeExcitation`; J. Hu et al.,
    "Squeeze-and-Excitation Networks", CVPR 2018).

    >>> import fastdl
    >>> SqueezeExcitation(8, 2)(fastdl.ones(1, 8, 4, 4)).shape
    (1, 8, 4, 4)
    """

    def __init__(
        self, input_channels: int, squeeze_channels: int, activation: Layer = nn.ReLU,
        scale_activation: Layer = nn.Sigmoid,
    ) -> None:  # fmt: skip
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = nn.Conv2d(squeeze_channels, input_channels, 1)
        self.activation, self.scale_activation = activation(), scale_activation()

    def forward(self, input: Tensor) -> Tensor:
        scale = self.fc2(self.activation(self.fc1(self.avgpool(input))))
        return mul(self.scale_activation(scale), input)


class MLP(nn.Sequential):
    """Linear layers with norms, activations and dropout between them (`torchvision.ops.MLP`).

    >>> import fastdl
    >>> MLP(4, [8, 3])(fastdl.ones(2, 4)).shape
    (2, 3)
    """

    def __init__(
        self, in_channels: int, hidden_channels: Sequence[int], norm_layer: Layer | None = None,
        activation_layer: Layer = nn.ReLU, inplace: bool | None = None, bias: bool = True, dropout: float = 0.0,
    ) -> None:  # fmt: skip
        if not hidden_channels:
            raise ValueError("[MLP] expected hidden_channels of one layer or more, got none")
        layers: list[nn.Module] = []
        options = _in_place(inplace)
        *inner, last = hidden_channels
        for size in inner:
            layers.append(nn.Linear(in_channels, size, bias))
            layers += [] if norm_layer is None else [norm_layer(size)]
            layers += [activation_layer(**options), nn.Dropout(dropout, **options)]
            in_channels = size
        super().__init__(*layers, nn.Linear(in_channels, last, bias), nn.Dropout(dropout, **options))


class Permute(nn.Module):
    """`permute` as a layer (`torchvision.ops.Permute`).

    >>> import fastdl
    >>> Permute([0, 2, 1])(fastdl.ones(1, 2, 3)).shape
    (1, 3, 2)
    """

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        return permute(x, self.dims)


def stochastic_depth(input: Tensor, p: float, mode: str, training: bool = True) -> Tensor:
    """The whole input ("batch") or each row of it ("row") is 0 with probability p, and else grows by 1 / (1 - p)
    (`torchvision.ops.stochastic_depth`; G. Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016).

    Raises:
        ValueError: for a p outside [0, 1] or another mode.

    >>> import fastdl
    >>> stochastic_depth(fastdl.ones(2, 3), 1.0, "row").tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    x = expect_tensor(input, "stochastic_depth")
    expect_probability(p, "stochastic_depth")
    if mode not in ("batch", "row"):
        raise ValueError(f"[stochastic_depth] expected mode batch or row, got {mode!r}")
    if not training or p == 0:
        return x
    shape = (x.shape[0] if mode == "row" else 1, *[1] * (x.ndim - 1))
    return mul(x, F.dropout(ones(shape, dtype=x.dtype, device=x.device), p))


class StochasticDepth(nn.Module):
    """`stochastic_depth` as a layer (`torchvision.ops.StochasticDepth`).

    >>> StochasticDepth(0.2, "row")
    StochasticDepth(p=0.2, mode=row)
    """

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        self.p, self.mode = p, mode

    def forward(self, input: Tensor) -> Tensor:
        return stochastic_depth(input, self.p, self.mode, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, mode={self.mode}"
