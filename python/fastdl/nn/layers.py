"""Layers: a constructor, what they print, and one call of a function."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..creation import empty
from ..functional.arguments import expect_probability, expect_reduction
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter

Pair = tuple[int, int]


def _parameter(shape: tuple[int, ...], device: Any, dtype: Any) -> Parameter:
    return Parameter(empty(shape, dtype=dtype, device=device))


def _expect_size(value: Any, least: int, op: str, name: str) -> None:
    if not isinstance(value, int):
        raise TypeError(f"[{op}] expected an int for {name}, got {type(value).__name__}")
    if value < least:
        raise ValueError(f"[{op}] expected {name} of at least {least}, got {value}")


class Identity(Module):
    """Returns its input; takes any arguments (`torch.nn.Identity`)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


class Linear(Module):
    """input @ weight.T + bias: (*, in_features) to (*, out_features) (`torch.nn.Linear`).

    >>> import fastdl
    >>> layer = Linear(3, 2)
    >>> layer(fastdl.ones(5, 3)).shape, layer
    ((5, 2), Linear(in_features=3, out_features=2, bias=True))
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        _expect_size(in_features, 0, "Linear", "in_features")
        _expect_size(out_features, 0, "Linear", "out_features")
        self.in_features, self.out_features = in_features, out_features
        self.weight = _parameter((out_features, in_features), device, dtype)
        self.register_parameter("bias", _parameter((out_features,), device, dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init.default_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Flatten(Module):
    """Axes start_dim to end_dim as one (`torch.nn.Flatten`): by default (N, *) to (N, all the rest)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return F.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Dropout(Module):
    """In training, zeroes each element with probability p and scales the others by 1 / (1 - p) (`torch.nn.Dropout`).

    >>> import fastdl
    >>> Dropout(0.5).eval()(fastdl.ones(2)).tolist()
    [1.0, 1.0]
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        expect_probability(p, "Dropout")
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


# ---- activations -----------------------------------------------------------------------------------------------------


class ReLU(Module):
    """max(x, 0) of each element (`torch.nn.ReLU`)."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(input, self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Sigmoid(Module):
    """1 / (1 + exp(-x)) of each element (`torch.nn.Sigmoid`)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.sigmoid(input)


class Tanh(Module):
    """Hyperbolic tangent of each element (`torch.nn.Tanh`)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.tanh(input)


class _OverAxis(Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(_OverAxis):
    """exp(x) over its sum along `dim` (`torch.nn.Softmax`; `dim` must be given)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim)


class LogSoftmax(_OverAxis):
    """Logarithm of softmax along `dim` (`torch.nn.LogSoftmax`; `dim` must be given)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim)


# ---- losses ----------------------------------------------------------------------------------------------------------


class CrossEntropyLoss(Module):
    """Cross-entropy of logits against class indices or probabilities (`torch.nn.CrossEntropyLoss`).

    >>> import fastdl
    >>> round(CrossEntropyLoss()(fastdl.zeros(2, 4), fastdl.tensor([1, 3])).item(), 4)
    1.3863
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        expect_reduction(reduction, "CrossEntropyLoss")
        self.register_buffer("weight", weight)
        self.ignore_index, self.reduction, self.label_smoothing = ignore_index, reduction, label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class MSELoss(Module):
    """Mean (or sum, or each) of squared differences (`torch.nn.MSELoss`)."""

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__()
        expect_reduction(reduction, "MSELoss")
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)
