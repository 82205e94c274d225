"""Losses of distances between vectors: cosine_embedding_loss, triplet_margin_loss."""

from __future__ import annotations

from ..tensor import Tensor
from .arguments import expect_beside, expect_number, expect_reduction, expect_tensor, flag
from .arithmetic import add, div, minimum, mul, pow, sub
from .comparison import clamp, eq, where
from .elementary import abs, sqrt
from .reduction import mean, sum


def reduced(losses: Tensor, reduction: str) -> Tensor:
    """All losses, their mean or their sum."""
    return losses if reduction == "none" else mean(losses) if reduction == "mean" else sum(losses)


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, *, reduction: str = "mean"
) -> Tensor:
    """1 - cos of pairs with target 1, max(0, cos - margin) of pairs with target -1
    (`torch.nn.functional.cosine_embedding_loss`).

    Shapes: inputs (N, D) or (D,), target (N,) or (); the loss is one number, or as target with `reduction='none'`.

    Raises:
        TypeError: for arguments that are not Tensors.
        ValueError: for shapes that do not fit or an unknown reduction.

    >>> import fastdl
    >>> x = fastdl.tensor([[1.0, 0.0], [1.0, 0.0]])
    >>> cosine_embedding_loss(x, x, fastdl.tensor([1, -1]), reduction="none").tolist()
    [0.0, 1.0]
    """
    op = "cosine_embedding_loss"
    a = expect_tensor(input1, op, "input1")
    b, t = expect_beside(input2, a, op, "input2"), expect_beside(target, a, op, "target")
    expect_reduction(reduction, op)
    expect_number(margin, op, "margin")
    if a.ndim not in (1, 2) or a.shape != b.shape or t.shape != a.shape[:-1]:
        shapes = f"{a.shape}, {b.shape} and {t.shape}"
        raise ValueError(f"[{op}] expected inputs of one shape (N, D) and target (N,), got {shapes}")
    tiny = 1e-12  # as in PyTorch, under the root
    squares = mul(add(sum(mul(a, a), -1), tiny), add(sum(mul(b, b), -1), tiny))
    cosine = div(sum(mul(a, b), -1), sqrt(squares))
    apart = where(eq(t, -1), clamp(sub(cosine, margin), min=0.0), mul(cosine, 0.0))
    return reduced(where(eq(t, 1), sub(1.0, cosine), apart), reduction)


def _distance(a: Tensor, b: Tensor, p: float, eps: float) -> Tensor:
    """|a - b + eps| in the norm p, as torch.nn.functional.pairwise_distance."""
    d = add(sub(a, b), eps)
    if p == 2:
        return sqrt(sum(mul(d, d), -1))
    return sum(abs(d), -1) if p == 1 else pow(sum(pow(abs(d), p), -1), 1 / p)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: str = "mean",
) -> Tensor:
    """max(0, |anchor - positive| - |anchor - negative| + margin) in the norm p
    (`torch.nn.functional.triplet_margin_loss`; Balntas et al., 2016).

    Shapes: the three alike, (N, D) or (D,). With `swap` the negative is compared with the nearer of anchor and
    positive. `eps` is added to differences, so that the root has a gradient at 0.

    Raises:
        TypeError: for arguments that are not Tensors.
        ValueError: for shapes that differ or an unknown reduction.

    >>> import fastdl
    >>> a = fastdl.zeros(1, 2)
    >>> round(triplet_margin_loss(a, a, fastdl.tensor([[0.0, 0.25]])).item(), 3)
    0.75
    """
    op = "triplet_margin_loss"
    x = expect_tensor(anchor, op, "anchor")
    near, far = expect_beside(positive, x, op, "positive"), expect_beside(negative, x, op, "negative")
    expect_reduction(reduction, op)
    for name, value in (("margin", margin), ("p", p), ("eps", eps)):
        expect_number(value, op, name)
    if not p > 0:
        raise ValueError(f"[{op}] expected p above 0, got {p}")
    if not x.shape == near.shape == far.shape:
        raise ValueError(f"[{op}] expected three arrays of one shape, got {x.shape}, {near.shape} and {far.shape}")
    apart = _distance(x, far, p, eps)
    if flag(swap, op, "swap"):
        apart = minimum(apart, _distance(near, far, p, eps))
    return reduced(clamp(add(sub(_distance(x, near, p, eps), apart), margin), min=0.0), reduction)
