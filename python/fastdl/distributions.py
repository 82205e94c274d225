"""Distributions to draw from and to take logarithms of (`torch.distributions`): Normal, Bernoulli, Categorical.

Policies and variational autoencoders need them: `sample` draws outside the tape, `rsample` so that gradients reach the
parameters, `log_prob` is differentiable.

>>> import fastdl
>>> policy = Categorical(logits=fastdl.zeros(4, requires_grad=True))
>>> action = policy.sample()
>>> loss = -policy.log_prob(action); round(loss.item(), 4)
1.3863
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import functional as F
from .autograd import no_grad
from .creation import randn, tensor
from .functional.arguments import expect_number, expect_tensor
from .functional.arithmetic import add, div, mul, sub
from .functional.elementary import exp, log, square
from .functional.indexing import gather
from .functional.reduction import sum
from .functional.shaping import broadcast_tensors
from .sampling import bernoulli, multinomial
from .tensor import Tensor

__all__ = ["Bernoulli", "Categorical", "Normal", "kl_divergence"]


def _tensor(value: Any, op: str, name: str) -> Tensor:
    if isinstance(value, Tensor):
        return value
    expect_number(value, op, name)
    return tensor(float(value))


def _shape(sample_shape: Any) -> tuple[int, ...]:
    return (sample_shape,) if isinstance(sample_shape, int) else tuple(sample_shape)


class Normal:
    """Bell curves of means `loc` and deviations `scale`, which broadcast (`torch.distributions.Normal`)."""

    def __init__(self, loc: Any, scale: Any) -> None:
        self.loc, self.scale = broadcast_tensors(_tensor(loc, "Normal", "loc"), _tensor(scale, "Normal", "scale"))
        if (self.scale.detach() <= 0).any():
            raise ValueError("[Normal] expected scale above 0, got one that is not")

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def stddev(self) -> Tensor:
        return self.scale

    @property
    def variance(self) -> Tensor:
        return square(self.scale)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """loc + scale * noise: gradients reach both."""
        shape = (*_shape(sample_shape), *self.loc.shape)
        return add(self.loc, mul(self.scale, randn(shape, dtype=self.loc.dtype, device=self.loc.device)))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Numbers drawn, outside the tape."""
        with no_grad():
            return self.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Logarithm of the density at `value`."""
        apart = div(square(sub(value, self.loc)), mul(square(self.scale), 2.0))
        return sub(sub(mul(apart, -1.0), log(self.scale)), math.log(math.sqrt(2 * math.pi)))

    def entropy(self) -> Tensor:
        """Of each curve."""
        return add(log(self.scale), 0.5 + 0.5 * math.log(2 * math.pi))


class Bernoulli:
    """1 with a probability, else 0; given as `probs` or as `logits` (`torch.distributions.Bernoulli`)."""

    def __init__(self, probs: Any = None, logits: Any = None) -> None:
        if (probs is None) == (logits is None):
            raise ValueError("[Bernoulli] expected probs or logits, got both or none")
        if logits is not None:
            self.logits = _tensor(logits, "Bernoulli", "logits")
            self.probs = F.sigmoid(self.logits)
        else:
            self.probs = _tensor(probs, "Bernoulli", "probs")
            if not ((self.probs.detach() >= 0) & (self.probs.detach() <= 1)).all():
                raise ValueError("[Bernoulli] expected probs in [0, 1], got one outside")
            self.logits = self.probs.logit(1e-7)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Zeros and ones drawn, outside the tape."""
        return bernoulli(self.probs.detach().expand(*_shape(sample_shape), *self.probs.shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """Logarithm of the probability of `value`."""
        logits, value = broadcast_tensors(self.logits, value)
        return mul(F.binary_cross_entropy_with_logits(logits, value, reduction="none"), -1.0)

    def entropy(self) -> Tensor:
        """Of each probability."""
        return F.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")


class Categorical:
    """One of the numbers 0 to C - 1, by the last axis of `probs`, which need not add up to 1, or of `logits`
    (`torch.distributions.Categorical`)."""

    def __init__(self, probs: Tensor | None = None, logits: Tensor | None = None) -> None:
        if (probs is None) == (logits is None):
            raise ValueError("[Categorical] expected probs or logits, got both or none")
        given = expect_tensor(probs if logits is None else logits, "Categorical", "probs or logits")
        if given.ndim == 0:
            raise ValueError("[Categorical] expected at least one axis, got a scalar")
        if logits is not None:
            self.logits = F.log_softmax(given, -1)
            self.probs = exp(self.logits)
        else:
            if not (given.detach() >= 0).all():
                raise ValueError("[Categorical] expected probs of at least 0, got one that is not")
            self.probs = div(given, sum(given, -1, True))
            self.logits = log(self.probs.clamp(min=1.1920929e-07))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Numbers drawn, int64, outside the tape."""
        shape, batch = _shape(sample_shape), self.probs.shape[:-1]
        count = int(np.prod(shape, dtype=np.int64))
        rows = self.probs.detach().reshape(-1, self.probs.shape[-1])
        return multinomial(rows, count, replacement=True).t().reshape(*shape, *batch)

    def log_prob(self, value: Tensor) -> Tensor:
        """Logarithm of the probability of each number in `value`."""
        places = value.long()
        lead = np.broadcast_shapes(places.shape, self.logits.shape[:-1])
        logits = self.logits.expand(*lead, self.logits.shape[-1])
        return gather(logits, -1, places.expand(lead).unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        """Of each set of probabilities."""
        return mul(sum(mul(self.logits, self.probs), -1), -1.0)


def kl_divergence(p: Any, q: Any) -> Tensor:
    """The divergence of q from p, both Normal or both Categorical (`torch.distributions.kl_divergence`).

    >>> kl_divergence(Normal(0.0, 1.0), Normal(1.0, 1.0)).item()
    0.5
    """
    if isinstance(p, Normal) and isinstance(q, Normal):
        ratio = square(div(p.scale, q.scale))
        apart = square(div(sub(p.loc, q.loc), q.scale))
        return mul(sub(sub(add(ratio, apart), 1.0), log(ratio)), 0.5)
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        return sum(mul(p.probs, sub(p.logits, q.logits)), -1)
    raise NotImplementedError(
        f"[kl_divergence] expected two Normal or two Categorical, got {type(p).__name__} and {type(q).__name__}"
    )
