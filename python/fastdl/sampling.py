"""Random numbers whose distribution is in a tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import random
from .creation import empty, rand, randn, tensor
from .tensor import Tensor

_LARGEST = float(np.finfo(np.float64).max)


def _floats(input: Any, op: str) -> Tensor:
    if not isinstance(input, Tensor) or not input.is_floating_point():
        got = input.dtype.name if isinstance(input, Tensor) else type(input).__name__
        raise TypeError(f"[{op}] expected a Tensor of float32 or float64 for input, got {got}")
    return input.detach()


def _extreme(k: Any, name: str, array: Any) -> Any:
    """The least or largest number, on the host."""
    return k.to_numpy(getattr(k, name)(array, tuple(range(array.ndim)), False)).item()


def _expect_within(x: Tensor, largest: float, op: str, expected: str) -> None:
    """All numbers from 0 to `largest`; a NaN is none."""
    k, a = x._backend, x._array
    if x.numel() and not (_extreme(k, "amin", a) >= 0 and _extreme(k, "amax", a) <= largest):
        raise ValueError(f"[{op}] expected {expected}, got others")


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
    x = _floats(input, op)
    if x.ndim not in (1, 2) or x.shape[-1] == 0:
        raise ValueError(f"[{op}] expected input of shape (C,) or (N, C), got {x.shape}")
    _expect_within(x, _LARGEST / x.shape[-1], op, "numbers of at least 0 with a finite sum")
    if not isinstance(num_samples, int) or num_samples < 1:
        raise ValueError(f"[{op}] expected num_samples of at least 1, got {num_samples}")
    if x.numel() == 0:
        return empty((0, num_samples), dtype="int64", device=x.device)
    k, rows = x._backend, (x.numel() // x.shape[-1], x.shape[-1])
    weights = k.cast(k.reshape(x._array, rows), "float64")
    draw = _with_replacement if replacement else _without_replacement
    return Tensor(k.reshape(draw(k, weights, num_samples, generator), (*x.shape[:-1], num_samples)), k)


def _no_row(op: str) -> ValueError:
    return ValueError(f"[{op}] expected rows that add up to more than 0, got one of zeros")


def _with_replacement(k: Any, weights: Any, count: int, generator: Any) -> Any:
    """Where numbers drawn between 0 and the sum of a row lie among its running sums."""
    n, columns = weights.shape
    ends = k.cumsum(weights, 1, False)
    total = k.slice(ends, (0, columns - 1), (n, 1), (1, 1))
    if not _extreme(k, "amin", total) > 0:
        raise _no_row("multinomial")
    u = rand((n, count), dtype="float64", device=k.NAME, generator=generator)
    found = k.searchsorted(ends, k.mul(u._array, total), True)
    drawn = k.gather(weights, found, 1)
    if _extreme(k, "amin", drawn) > 0:
        return found
    # Running sums that are rounded in another order may grow at a column of 0.
    return k.where(k.gt_scalar(drawn, 0), found, k.argmax(weights, 1, True))


def _without_replacement(k: Any, weights: Any, count: int, generator: Any) -> Any:
    """The shortest of exponential waiting times, which come in the order of drawing without replacement."""
    most = int(_extreme(k, "amin", k.sum(k.cast(k.gt_scalar(weights, 0), "int64"), (1,), False)))
    if most == 0:
        raise _no_row("multinomial")
    if count > most:
        raise ValueError(f"[multinomial] expected at most {most} samples, got {count}")
    u = empty(weights.shape, dtype="float64", device=k.NAME).uniform_(2.0**-53, 1.0, generator)  # below 1: no 0 / 0
    return k.topk(k.div(k.log(u._array), weights), count, 1, True)[1]


def bernoulli(input: Tensor, generator: Any = None) -> Tensor:
    """1 with the probability that each element of `input` gives, else 0; dtype as input (`torch.bernoulli`).

    >>> import fastdl
    >>> fastdl.bernoulli(fastdl.tensor([0.0, 1.0])).tolist()
    [0.0, 1.0]
    """
    p = _floats(input, "bernoulli")
    _expect_within(p, 1, "bernoulli", "probabilities in [0, 1]")
    k, u = p._backend, rand(p.shape, dtype="float64", device=p.device, generator=generator)
    return Tensor(k.cast(k.lt(u._array, k.cast(p._array, "float64")), p.dtype.name), k)


def poisson(input: Tensor, generator: Any = None) -> Tensor:
    """Counts of events whose mean is in each element of `input`; dtype as input (`torch.poisson`).

    >>> import fastdl
    >>> fastdl.poisson(fastdl.zeros(2)).tolist()
    [0.0, 0.0]
    """
    means = _floats(input, "poisson")
    _expect_within(means, _LARGEST, "poisson", "finite numbers of at least 0")
    draw = np.asarray(random.drawing(generator).numpy.poisson(means._host()))
    return tensor(draw.astype(means.dtype.numpy), device=means.device)


def normal(mean: Any, std: Any = 1.0, size: Any = None, generator: Any = None) -> Tensor:
    """Normal numbers with a mean and deviation for each element, or one for all of `size` (`torch.normal`).

    >>> import fastdl
    >>> fastdl.normal(fastdl.zeros(3), 0.0).tolist(), fastdl.normal(0.0, 1.0, (2, 2)).shape
    ([0.0, 0.0, 0.0], (2, 2))
    """
    given = [v for v in (mean, std) if isinstance(v, Tensor)]
    if not given and size is None:
        raise TypeError("[normal] expected a Tensor for mean or std, or a size, got neither")
    if not given:
        return empty(size).normal_(mean, std, generator)
    shape = np.broadcast_shapes(*(v.shape for v in given)) if size is None else size
    dtype = next((v.dtype for v in given if v.is_floating_point()), None)
    return randn(shape, dtype=dtype, device=given[0].device, generator=generator) * std + mean
