"""All parameters as one vector."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...autograd import no_grad
from ...functional.layout import cat, index, reshape
from ...tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """One vector of all numbers of the parameters, in order; gradients flow (`torch.nn.utils.parameters_to_vector`).

    >>> import fastdl
    >>> parameters_to_vector(fastdl.nn.Linear(2, 3).parameters()).shape
    (9,)
    """
    return cat([reshape(p, -1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Writes a vector back into the parameters (`torch.nn.utils.vector_to_parameters`).

    Raises:
        ValueError: for a vector of another length; nothing has changed then.
    """
    found: list[Any] = list(parameters)
    count = sum(p.numel() for p in found)
    if vec.shape != (count,):
        raise ValueError(f"[vector_to_parameters] expected a vector of {count} numbers, got shape {vec.shape}")
    start = 0
    with no_grad():
        for p in found:
            p.copy_(reshape(index(vec, slice(start, start + p.numel())), p.shape))
            start += p.numel()
