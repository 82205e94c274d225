"""Losses of pairs of numbers: squared, absolute and relative errors, binary cross-entropy, hinge, divergence.

One kernel family (csrc/ops/loss) computes them in one pass forward, reduction included, and one pass backward.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Node, fresh, record, recording
from ..tensor import Tensor
from .arguments import expect_beside, expect_number, expect_reduction, expect_tensor, flag, shown
from .arithmetic import div, matched
from .elementary import sqrt
from .layout import expand

Array = Any


# ---- the family ------------------------------------------------------------------------------------------------------


@fresh
def _loss_bwd(node: Node, g: Array) -> list[Array | None]:
    k, (x, target, weight, pos_weight, name, a, reduction) = node.backend, node.saved
    g = k.reshape(g, x.shape if reduction == "none" else ())
    return [
        k.loss_bwd(g, x, target, weight, pos_weight, name, a, reduction, i == 1) if node.needs(i) else None
        for i in (0, 1)
    ]


def _loss(
    name: str,
    x: Tensor,
    target: Tensor,
    reduction: str,
    a: float = 0.0,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Operands of one shape, dtype and device; constants `weight` and `pos_weight` have it too."""
    k = x._backend
    w, p = None if weight is None else weight._array, None if pos_weight is None else pos_weight._array
    saved = (x._array, target._array, w, p, name, a, reduction)
    out = Tensor(k.loss(*saved), k)
    return record(out, _loss_bwd, (x, target), saved) if recording(x, target) else out


def _operands(op: str, input: Any, target: Any, reduction: Any, broadcasts: bool = True) -> tuple[Tensor, Tensor]:
    """Input and target as tensors of one shape and float dtype."""
    x = expect_tensor(input, op)
    t = expect_beside(target, x, op, "target")
    expect_reduction(reduction, op)
    if x.dtype is not t.dtype:
        x, t = matched(x, t, op)
    if x.shape != t.shape:
        if not broadcasts:
            raise ValueError(f"[{op}] expected target of shape {x.shape}, got shape {t.shape}")
        shape = _common_shape(op, x.shape, t.shape)
        x, t = expand(x, shape), expand(t, shape)
    return x, t


def _common_shape(op: str, a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(a, b)
    except ValueError:
        raise ValueError(f"[{op}] expected shapes that broadcast, got {a} and {b}") from None


def _factor(value: Any, x: Tensor, op: str, name: str) -> Tensor | None:
    """A constant that broadcasts to the input, written out."""
    if value is None:
        return None
    w = expect_beside(value, x, op, name).detach()
    if w.dtype is not x.dtype:
        raise TypeError(f"[{op}] expected {name} of dtype {x.dtype.name}, got {w.dtype.name}")
    if _common_shape(op, w.shape, x.shape) != x.shape:
        raise ValueError(f"[{op}] expected {name} that broadcasts to {x.shape}, got shape {w.shape}")
    return w if w.shape == x.shape else expand(w, x.shape)


def _attribute(value: Any, op: str, name: str, above: bool) -> float:
    expect_number(value, op, name)
    if value < 0 or (above and value == 0):
        raise ValueError(f"[{op}] expected {name} {'above' if above else 'of at least'} 0, got {value}")
    return float(value)


# ---- squared, absolute and relative errors ---------------------------------------------------------------------------


def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """Squared difference, averaged, summed or as it is (`torch.nn.functional.mse_loss`).

    Shapes: input and target alike, or broadcasting; the loss is one number unless `reduction='none'`.

    Raises:
        TypeError: for arguments that are not Tensors of a float dtype.
        ValueError: for shapes that do not broadcast or an unknown reduction.

    >>> import fastdl
    >>> mse_loss(fastdl.tensor([1.0, 2.0]), fastdl.tensor([0.0, 4.0])).item()
    2.5
    """
    x, t = _operands("mse_loss", input, target, reduction)
    return _loss("mse_loss", x, t, reduction)


def rmse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """Root of `mse_loss` with the same reduction: of the mean, of the sum, or of each (which is |input - target|).

    Shapes and errors as there. The gradient is NaN where the root is 0, as that of `sqrt`.

    >>> import fastdl
    >>> rmse_loss(fastdl.tensor([1.0, 2.0]), fastdl.tensor([4.0, 6.0]), reduction="sum").item()
    5.0
    """
    _operands("rmse_loss", input, target, reduction)
    if reduction == "none":
        return l1_loss(input, target, reduction="none")
    return sqrt(mse_loss(input, target, reduction=reduction))


def l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """Absolute difference (`torch.nn.functional.l1_loss`), the mean absolute error. Shapes as in `mse_loss`.

    >>> import fastdl
    >>> l1_loss(fastdl.tensor([1.0, 2.0]), fastdl.tensor([0.0, 4.0])).item()
    1.5
    """
    return _loss("l1_loss", *_operands("l1_loss", input, target, reduction), reduction)


def smooth_l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """d^2 / (2 beta) for differences |d| < beta, |d| - beta / 2 for others (`torch.nn.functional.smooth_l1_loss`;
    Girshick, 2015). Shapes as in `mse_loss`; beta = 0 gives `l1_loss`.

    Raises:
        ValueError: for a beta below 0, and as `mse_loss`.

    >>> import fastdl
    >>> smooth_l1_loss(fastdl.tensor([0.5, 3.0]), fastdl.zeros(2), reduction="none").tolist()
    [0.125, 2.5]
    """
    a = _attribute(beta, "smooth_l1_loss", "beta", above=False)
    return _loss("smooth_l1_loss", *_operands("smooth_l1_loss", input, target, reduction), reduction, a)


def huber_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """d^2 / 2 for differences |d| < delta, delta (|d| - delta / 2) for others (`torch.nn.functional.huber_loss`;
    Huber, 1964). Shapes as in `mse_loss`.

    >>> import fastdl
    >>> huber_loss(fastdl.tensor([0.5, 3.0]), fastdl.zeros(2), reduction="none").tolist()
    [0.125, 2.5]
    """
    a = _attribute(delta, "huber_loss", "delta", above=True)
    return _loss("huber_loss", *_operands("huber_loss", input, target, reduction), reduction, a)


def msle_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """(log(1 + input) - log(1 + target))^2: scikit-learn's `mean_squared_log_error`. Shapes as in `mse_loss`.

    Raises:
        ValueError: for an input or target of -1 or below, and as `mse_loss`.

    >>> import fastdl
    >>> round(msle_loss(fastdl.tensor([1.0]), fastdl.tensor([3.0])).item(), 4)
    0.4805
    """
    return _loss("msle_loss", *_operands("msle_loss", input, target, reduction), reduction)


def mape_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """|input - target| / |target| as a fraction, not in percent: scikit-learn's `mean_absolute_percentage_error`.

    Shapes as in `mse_loss`. Targets below 2^-52 in size count as 2^-52, so targets of 0 give large numbers.

    >>> import fastdl
    >>> mape_loss(fastdl.tensor([1.0, 5.0]), fastdl.tensor([2.0, 4.0])).item()
    0.375
    """
    return _loss("mape_loss", *_operands("mape_loss", input, target, reduction), reduction, 2.0**-52)


# ---- two classes -----------------------------------------------------------------------------------------------------


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """-t log(x) - (1 - t) log(1 - x) of probabilities x (`torch.nn.functional.binary_cross_entropy`).

    Shapes: input and target alike; weight broadcasts to them and multiplies the losses. Each logarithm is at least
    -100, so that the loss is finite.

    Raises:
        TypeError: for arguments that are not Tensors of one float dtype.
        ValueError: for an input outside [0, 1], a target of another shape, or an unknown reduction.

    >>> import fastdl
    >>> round(binary_cross_entropy(fastdl.tensor([0.5]), fastdl.tensor([1.0])).item(), 4)
    0.6931
    """
    op = "binary_cross_entropy"
    x, t = _operands(op, input, target, reduction, broadcasts=False)
    return _loss(op, x, t, reduction, 0.0, _factor(weight, x, op, "weight"))


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """`binary_cross_entropy` of sigmoid(input), without its rounding and overflow
    (`torch.nn.functional.binary_cross_entropy_with_logits`).

    Shapes: input and target alike; weight and pos_weight broadcast to them. `pos_weight` multiplies the part of
    positive targets: (1 - t) x + (1 + (pos_weight - 1) t) log(1 + e^-x).

    Raises:
        TypeError: for arguments that are not Tensors of one float dtype.
        ValueError: for a target of another shape, or an unknown reduction.

    >>> import fastdl
    >>> round(binary_cross_entropy_with_logits(fastdl.zeros(1), fastdl.ones(1)).item(), 4)
    0.6931
    """
    op = "binary_cross_entropy_with_logits"
    x, t = _operands(op, input, target, reduction, broadcasts=False)
    return _loss(op, x, t, reduction, 0.0, _factor(weight, x, op, "weight"), _factor(pos_weight, x, op, "pos_weight"))


def hinge_loss(input: Tensor, target: Tensor, *, margin: float = 1.0, reduction: str = "mean") -> Tensor:
    """max(0, margin - target * input) of targets -1 and 1: the loss of a linear support vector machine.

    Shapes: input and target alike, or broadcasting. Cortes and Vapnik, 1995; scikit-learn's `hinge_loss`.

    Raises:
        ValueError: for a target that is not -1 or 1, and as `mse_loss`.

    >>> import fastdl
    >>> hinge_loss(fastdl.tensor([0.5, 2.0]), fastdl.tensor([1.0, 1.0]), reduction="none").tolist()
    [0.5, 0.0]
    """
    expect_number(margin, "hinge_loss", "margin")
    return _loss("hinge_loss", *_operands("hinge_loss", input, target, reduction), reduction, float(margin))


# ---- distributions ---------------------------------------------------------------------------------------------------


def kl_div(input: Tensor, target: Tensor, *, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """Kullback-Leibler divergence t (log t - x) of log-probabilities x from probabilities t
    (`torch.nn.functional.kl_div`); with `log_target` the target is a logarithm too.

    Shapes: input and target alike, or broadcasting. Of the reductions 'batchmean' (the sum over the first axis' size)
    is the divergence; 'mean' divides by the number of elements.

    >>> import fastdl
    >>> x = fastdl.functional.log_softmax(fastdl.zeros(1, 4), 1)
    >>> round(kl_div(x, fastdl.tensor([[1.0, 0.0, 0.0, 0.0]]), reduction="batchmean").item(), 4)
    1.3863
    """
    name = "kl_div_log_target" if flag(log_target, "kl_div", "log_target") else "kl_div"
    batchmean = isinstance(reduction, str) and reduction == "batchmean"
    if not batchmean and reduction not in ("none", "mean", "sum"):
        raise ValueError(f"[kl_div] expected reduction none, batchmean, mean or sum, got {shown(reduction)}")
    x, t = _operands("kl_div", input, target, "sum" if batchmean else reduction)
    if not batchmean:
        return _loss(name, x, t, reduction)
    return div(_loss(name, x, t, "sum"), x.shape[0] if x.ndim else 1)
