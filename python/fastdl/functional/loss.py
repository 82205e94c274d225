"""Losses over classes: cross_entropy, nll_loss, multi_margin_loss; one_hot targets."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd import Node, fresh, record, recording
from ..creation import zeros
from ..tensor import Tensor
from .activation import log_softmax
from .arguments import expect_beside, expect_int, expect_number, expect_reduction, expect_tensor, shown
from .arithmetic import add, mul, sub
from .comparison import clamp
from .elementary import neg
from .indexing import scatter
from .layout import reshape
from .reduction import mean, sum

Array = Any


def _rows(x: Tensor, target: Tensor, op: str) -> tuple[tuple[int, int, int], tuple[int, ...]]:
    """Input (C,), (N, C) or (N, C, d1, ...) as (N, C, S), with the shape of the target."""
    shape = x.shape
    if not shape:
        raise ValueError(f"[{op}] expected input with at least 1 dimension, got shape ()")
    batch, classes, *places = shape if len(shape) > 1 else (1, *shape)
    per_row = () if len(shape) == 1 else (batch, *places)
    if target.shape != per_row:
        raise ValueError(f"[{op}] expected target of shape {per_row} for input of shape {shape}, got {target.shape}")
    return (batch, classes, math.prod(places)), per_row


# ---- cross-entropy ---------------------------------------------------------------------------------------------------


@fresh
def _cross_entropy_bwd(node: Node, g: Array) -> tuple[Array]:
    k, (x, target, weight, lse, total, options, shape) = node.backend, node.saved
    g = k.reshape(g, lse.shape if options[2] == "none" else ())
    return (k.reshape(k.cross_entropy_bwd(g, x, target, weight, lse, total, *options), shape),)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of logits against classes (`torch.nn.functional.cross_entropy`).

    Shapes: input (C,), (N, C) or (N, C, d1, ...); target either class indices, int64, of shape (), (N,) or
    (N, d1, ...), or class probabilities, of the shape and dtype of the input; weight (C,) or None. The loss is one
    number, or with `reduction='none'` one for each row. Rows with target `ignore_index` count nothing, and 'mean'
    divides by the weights of the others (by the number of rows for probabilities).

    Raises:
        TypeError: for arguments that are not Tensors, or wrong dtypes.
        ValueError: for shapes that do not fit, an unknown reduction, or label_smoothing outside [0, 1].
        IndexError: for a class index outside [0, C) that is not `ignore_index`.

    >>> import fastdl
    >>> round(cross_entropy(fastdl.zeros(2, 4), fastdl.tensor([1, 3])).item(), 4)
    1.3863
    """
    op = "cross_entropy"
    x = expect_tensor(input, op)
    t = expect_beside(target, x, op, "target")
    w = None if weight is None else expect_beside(weight, x, op, "weight")
    expect_reduction(reduction, op)
    expect_number(label_smoothing, op, "label_smoothing")
    ignore_index = expect_int(ignore_index, op, "ignore_index")
    if t.shape == x.shape and t.dtype.is_floating_point:
        return _cross_entropy_of_probabilities(x, t, w, reduction, label_smoothing)
    flat, per_row = _rows(x, t, op)
    k = x._backend
    logits = k.reshape(x._array, flat)
    targets = k.reshape(t._array, (flat[0], flat[2]))
    weights = None if w is None else w._array
    options = (ignore_index, float(label_smoothing), reduction)
    loss, lse, total = k.cross_entropy(logits, targets, weights, *options)
    out = Tensor(k.reshape(loss, per_row) if reduction == "none" else loss, k)
    if recording(x):
        record(out, _cross_entropy_bwd, (x,), (logits, targets, weights, lse, total, options, x.shape))
    return out


def _cross_entropy_of_probabilities(
    x: Tensor, target: Tensor, weight: Tensor | None, reduction: str, label_smoothing: float
) -> Tensor:
    """-sum over classes of weight * target * log_softmax(x); differentiable in the target too."""
    op = "cross_entropy"
    if target.dtype is not x.dtype:
        raise TypeError(f"[{op}] expected target of dtype {x.dtype.name}, got {target.dtype.name}")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"[{op}] expected label_smoothing between 0 and 1, got {label_smoothing}")
    axis = 0 if x.ndim == 1 else 1
    classes = x.shape[axis]
    if label_smoothing:
        target = add(mul(target, 1 - label_smoothing), label_smoothing / classes)
    if weight is not None:
        if weight.shape != (classes,):
            raise ValueError(f"[{op}] expected weight of shape {(classes,)}, got shape {weight.shape}")
        target = mul(target, reshape(weight, (classes, *[1] * (x.ndim - axis - 1))))
    loss = neg(sum(mul(target, log_softmax(x, axis)), axis))
    if reduction == "none":
        return loss
    return sum(loss) if reduction == "sum" else mean(loss)


# ---- negative log-likelihood -----------------------------------------------------------------------------------------


@fresh
def _nll_loss_bwd(node: Node, g: Array) -> tuple[Array]:
    k, (index, coefficients, flat, rows, shape) = node.backend, node.saved
    slopes = k.broadcast_to(k.reshape(g, rows), index.shape)
    slopes = k.mul_scalar(slopes, coefficients) if isinstance(coefficients, float) else k.mul(slopes, coefficients)
    out = k.empty(flat, str(g.dtype))
    k.fill_(out, 0)
    k.scatter_(out, index, slopes, 1)
    return (k.reshape(out, shape),)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """-weight[target] * input[target] of log-probabilities (`torch.nn.functional.nll_loss`).

    Shapes and errors as in `cross_entropy` with class indices; 'mean' divides by the sum of the weights that count.

    >>> import fastdl
    >>> round(nll_loss(log_softmax(fastdl.zeros(2, 4), 1), fastdl.tensor([1, 3])).item(), 4)
    1.3863
    """
    op = "nll_loss"
    x = expect_tensor(input, op)
    t = expect_beside(target, x, op, "target")
    w = None if weight is None else expect_beside(weight, x, op, "weight")
    expect_reduction(reduction, op)
    ignore_index = expect_int(ignore_index, op, "ignore_index")
    if not x.is_floating_point():
        raise TypeError(f"[{op}] expected input of dtype float32 or float64, got {x.dtype.name}")
    flat, per_row = _rows(x, t, op)
    if w is not None and w.dtype is not x.dtype:
        raise TypeError(f"[{op}] expected weight of dtype {x.dtype.name}, got {w.dtype.name}")
    if w is not None and w.shape != flat[1:2]:
        raise ValueError(f"[{op}] expected weight of shape {flat[1:2]}, got shape {w.shape}")
    counts, k, per_target = _checked_targets(t, flat[1], ignore_index, op), x._backend, (flat[0], 1, flat[2])
    # The loss is a number times the element of each target: d loss / d input, and nothing elsewhere.
    places = t._array if counts.all() else k.from_numpy(np.where(counts, t._host(), 0), False)
    index = k.reshape(places, per_target)
    chosen = k.gather(k.reshape(x._array, flat), index, 1)
    coefficients: Any
    if w is not None or not counts.all():
        classes = np.where(counts, t._host(), 0)
        ones = counts.astype(x.dtype.numpy) if w is None else w.detach()._host()[classes] * counts
        total = ones.sum() if reduction == "mean" else 1
        with np.errstate(invalid="ignore", divide="ignore"):  # no row counts: NaN, as in PyTorch
            found = (-ones / total).astype(x.dtype.numpy).reshape(per_target)
        coefficients = k.from_numpy(np.ascontiguousarray(found), False)
        # Minus infinity where nothing counts would be NaN.
        chosen = k.where(k.from_numpy(np.ascontiguousarray(counts.reshape(per_target)), False), chosen, coefficients)
        losses = k.mul(chosen, coefficients)
    else:
        coefficients = -1.0 if reduction != "mean" else -1.0 / counts.size if counts.size else math.nan
        losses = k.mul_scalar(chosen, coefficients)
    found = k.reshape(losses, per_row) if reduction == "none" else k.sum(losses, (0, 1, 2), False)
    out = Tensor(found if counts.size or reduction != "mean" else k.mul_scalar(found, math.nan), k)
    if recording(x):
        rows = per_target if reduction == "none" else (1, 1, 1)
        record(out, _nll_loss_bwd, (x,), (index, coefficients, flat, rows, x.shape))
    return out


def _expect_indices(target: Tensor, op: str) -> None:
    if target.dtype is not dtypes.int64:
        raise TypeError(f"[{op}] expected target of dtype int64, got {target.dtype.name}")


def _checked_targets(target: Tensor, classes: int, ignore_index: int, op: str) -> np.ndarray:
    """Which targets count; IndexError for one that is no class."""
    _expect_indices(target, op)
    host = target._host()
    if ignore_index < 0 <= host.min(initial=0) and host.max(initial=0) < classes:
        return np.ones(host.shape, bool)
    counts = np.asarray(host != ignore_index)
    bad = host[counts & ((host < 0) | (host >= classes))]
    if bad.size:
        raise IndexError(f"[{op}] expected class indices in [0, {classes}), got {bad.flat[0]}")
    return counts


@functools.cache  # an import statement in `one_hot` would take as long as its kernels
def _question_of_graphs() -> Callable[[], Any]:
    from ..cuda.graphs import capturing

    return capturing


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """1 at each class index and 0 elsewhere, int64 (`torch.nn.functional.one_hot`).

    Shapes: (*) -> (*, num_classes); -1 takes the largest index plus one. Indices are looked at on the host, but in a
    captured graph (`fastdl.cuda.graph`), where num_classes must be given, a replay reports a wrong one.

    Raises:
        TypeError: for a tensor that is not int64.
        IndexError: for an index outside [0, num_classes).

    >>> import fastdl
    >>> one_hot(fastdl.tensor([0, 2]), 3).tolist()
    [[1, 0, 0], [0, 0, 1]]
    """
    t, num_classes = expect_tensor(tensor, "one_hot", "tensor"), expect_int(num_classes, "one_hot", "num_classes")
    if num_classes == -1:
        if t.numel() == 0:
            raise ValueError("[one_hot] expected num_classes for a tensor without elements, got -1")
        num_classes = int(t._host().max()) + 1
    if num_classes < 1:
        raise ValueError(f"[one_hot] expected num_classes of at least 1, got {num_classes}")
    if num_classes >= 2**31:
        raise ValueError(f"[one_hot] expected num_classes below 2^31, got {num_classes}")
    if _question_of_graphs()():
        _expect_indices(t, "one_hot")
        nothing = zeros(*t.shape, num_classes, dtype=dtypes.int64, device=t.device)
        return scatter(nothing, -1, reshape(t, (*t.shape, 1)), 1)
    _checked_targets(t, num_classes, -(2**63), "one_hot")
    k = t._backend
    classes = k.empty((num_classes,), "int64")
    k.integer_ramp_(classes, 0, 1)
    return Tensor(k.cast(k.eq(k.reshape(t._array, (*t.shape, 1)), classes), "int64"), k)


# ---- margins ---------------------------------------------------------------------------------------------------------


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
) -> Tensor:
    """Multi-class hinge loss (`torch.nn.functional.multi_margin_loss`): the sum over the other classes of
    weight[target] * max(0, margin - x_target + x_c)^p, over the number of classes.

    Shapes: input (N, C) or (C,), target (N,) or () of int64; weight (C,). The loss is one number, or (N,) with
    `reduction='none'`. Crammer and Singer, 2001.

    Raises:
        TypeError: for arguments that are not Tensors, or wrong dtypes.
        ValueError: for a p other than 1 and 2, or shapes that do not fit.
        IndexError: for a target outside [0, C).

    >>> import fastdl
    >>> multi_margin_loss(fastdl.tensor([[0.0, 0.5]]), fastdl.tensor([0])).item()
    0.75
    """
    op = "multi_margin_loss"
    x = expect_tensor(input, op)
    t = expect_beside(target, x, op, "target")
    expect_reduction(reduction, op)
    expect_number(margin, op, "margin")
    if p not in (1, 2):
        raise ValueError(f"[{op}] expected p 1 or 2, got {shown(p)}")
    if not x.is_floating_point():
        raise TypeError(f"[{op}] expected input of dtype float32 or float64, got {x.dtype.name}")
    if x.ndim not in (1, 2):
        raise ValueError(f"[{op}] expected input with 1 or 2 dimensions, got shape {x.shape}")
    if t.shape != x.shape[:-1]:
        raise ValueError(f"[{op}] expected target of shape {x.shape[:-1]} for input of shape {x.shape}, got {t.shape}")
    _checked_targets(t, x.shape[-1], -(2**63), op)
    hit = one_hot(t, x.shape[-1])._cast(x.dtype)
    own = sum(mul(x, hit), -1, keepdim=True)
    losses = mul(clamp(add(sub(x, own), margin), min=0.0), sub(1.0, hit))
    if p == 2:
        losses = mul(losses, losses)
    losses = mean(losses, -1)
    if weight is not None:
        w = expect_beside(weight, x, op, "weight")
        if w.shape != x.shape[-1:]:
            raise ValueError(f"[{op}] expected weight of shape {x.shape[-1:]}, got shape {w.shape}")
        losses = mul(losses, sum(mul(hit, w.detach()), -1))
    return losses if reduction == "none" else mean(losses) if reduction == "mean" else sum(losses)
