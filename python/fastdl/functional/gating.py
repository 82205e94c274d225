"""Activations besides the usual ones: gates, shrinking, thresholds, draws."""

from __future__ import annotations

from typing import Any

from ..autograd import Node, fresh, record, recording
from ..creation import empty_like, rand
from ..tensor import Tensor
from .activation import activated, leaky_relu, softmax
from .arguments import expect_number, expect_tensor, flag
from .arithmetic import Array, add, div, mul, sub
from .comparison import gt, where
from .elementary import expect_float, log, neg
from .indexing import scatter
from .reduction import argmax, normalized_axis


def _into(input: Tensor, out: Tensor, inplace: Any, op: str) -> Tensor:
    """The result, or the input that has become it."""
    if not flag(inplace, op, "inplace"):
        return out
    from .in_place import in_place

    return in_place(lambda x: out)(input)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where positive, alpha (e^(x / alpha) - 1) elsewhere (`torch.nn.functional.celu`; Barron, 2017).

    Raises:
        ValueError: for an alpha that is not above 0.
    """
    x = expect_tensor(input, "celu")
    expect_number(alpha, "celu", "alpha")
    if not alpha > 0:
        raise ValueError(f"[celu] expected alpha above 0, got {alpha}")
    return activated(x, "celu", float(alpha), 0.0, flag(inplace, "celu", "inplace"))


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x tanh(softplus(x)) (`torch.nn.functional.mish`; Misra, 2019).

    >>> import fastdl
    >>> round(mish(fastdl.ones(1)).item(), 4)
    0.8651
    """
    return activated(input, "mish", inplace=flag(inplace, "mish", "inplace"))


@fresh
def _glu_bwd(node: Node, g: Array) -> tuple[Array]:
    x, axis = node.saved
    return (node.backend.glu_bwd(g, x, axis),)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half along `dim` times the sigmoid of the second (`torch.nn.functional.glu`; Dauphin et al., 2016).

    Raises:
        ValueError: for an odd number of elements along `dim`.

    >>> import fastdl
    >>> glu(fastdl.tensor([2.0, 0.0])).tolist()
    [1.0]
    """
    x = expect_float(input, "glu")
    axis = normalized_axis(dim, x.ndim, "glu")
    if x.ndim == 0 or x.shape[axis] % 2:
        raise ValueError(f"[glu] expected an even number of elements along dim {dim}, got shape {x.shape}")
    out = Tensor(x._backend.glu(x._array, axis), x._backend)
    return record(out, _glu_bwd, (x,), (x._array, axis)) if recording(x) else out


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|) (`torch.nn.functional.softsign`)."""
    return activated(expect_float(input, "softsign"), "softsign")


def softmin(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """`softmax` of -x (`torch.nn.functional.softmin`)."""
    return softmax(neg(expect_tensor(input, "softmin")), dim, dtype)


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x) (`torch.nn.functional.tanhshrink`)."""
    return activated(expect_float(input, "tanhshrink"), "tanhshrink")


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by lambd, 0 within it (`torch.nn.functional.softshrink`).

    >>> import fastdl
    >>> softshrink(fastdl.tensor([-2.0, 0.25, 1.0])).tolist()
    [-1.5, 0.0, 0.5]
    """
    x = expect_tensor(input, "softshrink")
    expect_number(lambd, "softshrink", "lambd")
    if lambd < 0:
        raise ValueError(f"[softshrink] expected lambd of at least 0, got {lambd}")
    return activated(x, "softshrink", float(lambd))


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x, but 0 within lambd of 0 (`torch.nn.functional.hardshrink`)."""
    x = expect_tensor(input, "hardshrink")
    expect_number(lambd, "hardshrink", "lambd")
    return activated(x, "hardshrink", float(lambd))


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where above the threshold, `value` elsewhere (`torch.nn.functional.threshold`).

    >>> import fastdl
    >>> threshold(fastdl.tensor([0.5, 2.0]), 1.0, -9.0).tolist()
    [-9.0, 2.0]
    """
    x = expect_tensor(input, "threshold")
    expect_number(threshold, "threshold", "threshold")
    expect_number(value, "threshold", "value")
    if not x.dtype.is_floating_point:
        return _into(x, where(gt(x, threshold), x, value), inplace, "threshold")
    return activated(x, "threshold", float(threshold), float(value), flag(inplace, "threshold", "inplace"))


def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """`leaky_relu` whose slope is drawn for each element in training, and the mean of the limits otherwise
    (`torch.nn.functional.rrelu`).
    """
    x = expect_tensor(input, "rrelu")
    if not flag(training, "rrelu", "training"):
        return leaky_relu(x, (lower + upper) / 2, inplace)
    slopes = empty_like(x).uniform_(lower, upper)
    return _into(x, where(gt(x, 0), x, mul(x, slopes)), inplace, "rrelu")


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, dim: int = -1) -> Tensor:
    """A draw from the classes of `logits` that gradients flow through: softmax of logits plus Gumbel noise, over tau
    (`torch.nn.functional.gumbel_softmax`; Jang et al., 2017). With `hard` the result is one-hot and the gradient that
    of the soft one.

    >>> import fastdl
    >>> gumbel_softmax(fastdl.zeros(2, 3), hard=True).sum(1).tolist()
    [1.0, 1.0]
    """
    x = expect_tensor(logits, "gumbel_softmax", "logits")
    noise = neg(log(neg(log(rand(x.shape, dtype=x.dtype, device=x.device) * (1 - 2e-7) + 1e-7))))
    soft = softmax(div(add(x, noise), tau), dim)
    if not hard:
        return soft
    axis = normalized_axis(dim, x.ndim, "gumbel_softmax")
    one_hot = scatter(mul(soft.detach(), 0.0), axis, argmax(soft, axis, True), 1.0)
    return add(sub(one_hot, soft.detach()), soft)
