"""Random numbers whose distribution is in a tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from .creation import randn, tensor
from .random import drawing
from .tensor import Tensor


def _probabilities(input: Any, op: str) -> np.ndarray:
    if not isinstance(input, Tensor) or not input.is_floating_point():
        got = input.dtype.name if isinstance(input, Tensor) else type(input).__name__
        raise TypeError(f"[{op}] expected a Tensor of float32 or float64 for input, got {got}")
    values = input.detach()._host().astype(np.float64)
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise ValueError(f"[{op}] expected finite numbers of at least 0, got others")
    return values


def multinomial(input: Tensor, num_samples: int, replacement: bool = False, generator: Any = None) -> Tensor:
    """Columns drawn with the probabilities of each row of `input`, which need not add up to 1 (`torch.multinomial`).

    Shapes: (C,) to (num_samples,), or (N, C) to (N, num_samples); int64. Without `replacement` the columns of a row
    differ, and those of probability 0 are never drawn.

    Raises:
        TypeError: for an input that is not a Tensor of floats.
        ValueError: for negative or infinite numbers, rows that add up to 0, or more samples than columns above 0.

    >>> import fastdl
    >>> fastdl.multinomial(fastdl.tensor([0.0, 1.0, 0.0]), 2, replacement=True).tolist()
    [1, 1]
    """
    op = "multinomial"
    weights = _probabilities(input, op)
    if weights.ndim not in (1, 2) or weights.shape[-1] == 0:
        raise ValueError(f"[{op}] expected input of shape (C,) or (N, C), got {input.shape}")
    if not isinstance(num_samples, int) or num_samples < 1:
        raise ValueError(f"[{op}] expected num_samples of at least 1, got {num_samples}")
    rows = np.atleast_2d(weights)
    if (rows.sum(1) <= 0).any():
        raise ValueError(f"[{op}] expected rows that add up to more than 0, got one of zeros")
    if not replacement and num_samples > (rows > 0).sum(1).min():
        raise ValueError(f"[{op}] expected at most {(rows > 0).sum(1).min()} samples, got {num_samples}")
    rng = drawing(generator).numpy
    if replacement:
        ends = np.cumsum(rows, 1)
        draws = rng.random((len(rows), num_samples)) * ends[:, -1:]
        found = np.stack([np.searchsorted(e, d, "right") for e, d in zip(ends, draws, strict=True)])
        found = np.minimum(found, np.array([np.flatnonzero(r)[-1] for r in rows])[:, None])  # a draw rounded up to 1
    else:  # the smallest of exponential waiting times come in the order of drawing without replacement
        with np.errstate(divide="ignore"):
            waits = rng.standard_exponential(rows.shape) / rows
        found = np.argsort(waits, 1, kind="stable")[:, :num_samples]
    return tensor(found.reshape(*weights.shape[:-1], num_samples).astype(np.int64), device=input.device)


def bernoulli(input: Tensor, generator: Any = None) -> Tensor:
    """1 with the probability that each element of `input` gives, else 0; dtype as input (`torch.bernoulli`).

    >>> import fastdl
    >>> fastdl.bernoulli(fastdl.tensor([0.0, 1.0])).tolist()
    [0.0, 1.0]
    """
    p = _probabilities(input, "bernoulli")
    if (p > 1).any():
        raise ValueError("[bernoulli] expected probabilities in [0, 1], got others")
    draw = np.asarray(drawing(generator).numpy.random(p.shape))
    return tensor((draw < p).astype(input.dtype.numpy), device=input.device)


def poisson(input: Tensor, generator: Any = None) -> Tensor:
    """Counts of events whose mean is in each element of `input`; dtype as input (`torch.poisson`).

    >>> import fastdl
    >>> fastdl.poisson(fastdl.zeros(2)).tolist()
    [0.0, 0.0]
    """
    draw = np.asarray(drawing(generator).numpy.poisson(_probabilities(input, "poisson")))
    return tensor(draw.astype(input.dtype.numpy), device=input.device)


def normal(mean: Any, std: Any = 1.0, size: Any = None, generator: Any = None) -> Tensor:
    """Normal numbers with a mean and deviation for each element, or one for all of `size` (`torch.normal`).

    >>> import fastdl
    >>> fastdl.normal(fastdl.zeros(3), 0.0).tolist(), fastdl.normal(0.0, 1.0, (2, 2)).shape
    ([0.0, 0.0, 0.0], (2, 2))
    """
    shape = np.broadcast_shapes(*(v.shape for v in (mean, std) if isinstance(v, Tensor))) if size is None else size
    return randn(shape, generator=generator) * std + mean
