"""Layers of the activations that are made of others (functional/gating.py)."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..tensor import Tensor
from .activation import _InPlace
from .module import Module


class CELU(Module):
    """x where positive, alpha (e^(x / alpha) - 1) elsewhere (`torch.nn.CELU`)."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.celu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class Mish(_InPlace):
    """x tanh(softplus(x)) (`torch.nn.Mish`)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.mish(input, self.inplace)


class GLU(Module):
    """The first half along `dim` times the sigmoid of the second (`torch.nn.GLU`).

    >>> import fastdl
    >>> GLU()(fastdl.ones(2, 6)).shape
    (2, 3)
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmin(GLU):
    """softmax of -x along `dim` (`torch.nn.Softmin`)."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim)

    def forward(self, input: Tensor) -> Tensor:
        return F.softmin(input, self.dim)


class Softmax2d(Module):
    """softmax over the channels of (N, C, H, W) or (C, H, W) (`torch.nn.Softmax2d`)."""

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (3, 4):
            raise ValueError(f"[Softmax2d] expected input with 3 or 4 dimensions, got shape {input.shape}")
        return F.softmax(input, -3)


class Softsign(Module):
    """x / (1 + |x|) (`torch.nn.Softsign`)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softsign(input)


class Tanhshrink(Module):
    """x - tanh(x) (`torch.nn.Tanhshrink`)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.tanhshrink(input)


class Softshrink(Module):
    """x moved towards 0 by lambd, 0 within it (`torch.nn.Softshrink`)."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        return F.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Hardshrink(Softshrink):
    """x, but 0 within lambd of 0 (`torch.nn.Hardshrink`)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.hardshrink(input, self.lambd)


class Threshold(Module):
    """x where above the threshold, `value` elsewhere (`torch.nn.Threshold`)."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}" + (", inplace=True" if self.inplace else "")


class RReLU(Module):
    """`LeakyReLU` with a slope drawn for each element in training (`torch.nn.RReLU`)."""

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" if self.inplace else "")


# ---- dropout of whole channels ---------------------------------------------------------------------------------------


class _Dropout(Module):
    function: Any

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"[{type(self).__name__}] expected p between 0 and 1, got {p}")
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Tensor:
        return type(self).function(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout1d(_Dropout):
    """In training, drops whole channels of (N, C, L) (`torch.nn.Dropout1d`)."""

    function = F.dropout1d


class Dropout2d(_Dropout):
    """In training, drops whole channels of (N, C, H, W) (`torch.nn.Dropout2d`).

    >>> import fastdl
    >>> Dropout2d(0.5).eval()(fastdl.ones(1, 1, 1, 2)).tolist()
    [[[[1.0, 1.0]]]]
    """

    function = F.dropout2d


class Dropout3d(_Dropout):
    """In training, drops whole channels of (N, C, D, H, W) (`torch.nn.Dropout3d`)."""

    function = F.dropout3d


class AlphaDropout(_Dropout):
    """Dropout that keeps mean and variance of what SELU makes (`torch.nn.AlphaDropout`)."""

    function = F.alpha_dropout
