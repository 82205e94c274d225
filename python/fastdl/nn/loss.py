"""Layers of losses: attributes, and one call of a function."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..functional.arguments import expect_reduction
from ..tensor import Tensor
from .module import Module


class _Loss(Module):
    """A loss with a reduction, and the function that it calls with its other attributes."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        expect_reduction(reduction, type(self).__name__)
        self.reduction = reduction


class _Weighted(_Loss):
    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)


# ---- errors ----------------------------------------------------------------------------------------------------------


class L1Loss(_Loss):
    """Absolute error (`torch.nn.L1Loss`).

    >>> import fastdl
    >>> L1Loss()(fastdl.zeros(2), fastdl.ones(2)).item()
    1.0
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """Squared error near 0, absolute beyond (`torch.nn.SmoothL1Loss`)."""

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """Squared error near 0, delta times the absolute beyond (`torch.nn.HuberLoss`)."""

    def __init__(self, *, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class RMSELoss(_Loss):
    """Root of the mean (or sum, or each) squared error (`functional.rmse_loss`).

    >>> import fastdl
    >>> RMSELoss()(fastdl.zeros(4), 2 * fastdl.ones(4)).item()
    2.0
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.rmse_loss(input, target, reduction=self.reduction)


class MSLELoss(_Loss):
    """Squared error of log(1 + x) (`functional.msle_loss`)."""

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.msle_loss(input, target, reduction=self.reduction)


class MAPELoss(_Loss):
    """Absolute error as a fraction of the target (`functional.mape_loss`)."""

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mape_loss(input, target, reduction=self.reduction)


# ---- classes and distributions ---------------------------------------------------------------------------------------


class BCELoss(_Weighted):
    """Binary cross-entropy of probabilities (`torch.nn.BCELoss`).

    >>> import fastdl
    >>> round(BCELoss()(fastdl.tensor([0.5]), fastdl.ones(1)).item(), 4)
    0.6931
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Weighted):
    """Binary cross-entropy of logits (`torch.nn.BCEWithLogitsLoss`)."""

    def __init__(
        self, weight: Tensor | None = None, *, reduction: str = "mean", pos_weight: Tensor | None = None
    ) -> None:
        super().__init__(weight, reduction=reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class HingeLoss(_Loss):
    """max(0, margin - target * input) of targets -1 and 1 (`functional.hinge_loss`)."""

    def __init__(self, *, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.hinge_loss(input, target, margin=self.margin, reduction=self.reduction)


class MultiMarginLoss(_Weighted):
    """Multi-class hinge loss (`torch.nn.MultiMarginLoss`)."""

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: Tensor | None = None, *, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, reduction=reduction)
        self.p, self.margin = p, margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multi_margin_loss(input, target, self.p, self.margin, self.weight, reduction=self.reduction)


class NLLLoss(_Weighted):
    """Negative log-likelihood of log-probabilities (`torch.nn.NLLLoss`)."""

    def __init__(self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(weight, reduction=reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class KLDivLoss(Module):
    """Kullback-Leibler divergence (`torch.nn.KLDivLoss`); reduction also 'batchmean'."""

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__()
        if reduction != "batchmean":
            expect_reduction(reduction, "KLDivLoss")
        self.reduction, self.log_target = reduction, log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


# ---- distances -------------------------------------------------------------------------------------------------------


class CosineEmbeddingLoss(_Loss):
    """Angle between pairs of vectors (`torch.nn.CosineEmbeddingLoss`)."""

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.cosine_embedding_loss(input1, input2, target, self.margin, reduction=self.reduction)


class TripletMarginLoss(_Loss):
    """An anchor nearer to its like than to others (`torch.nn.TripletMarginLoss`)."""

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, *, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Any:
        attributes = (self.margin, self.p, self.eps, self.swap)
        return F.triplet_margin_loss(anchor, positive, negative, *attributes, reduction=self.reduction)
