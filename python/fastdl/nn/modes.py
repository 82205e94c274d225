"""Evaluation mode for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from .module import Module


@contextlib.contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """The model is in evaluation mode; afterwards each of its modules is in the mode that it had, frozen ones as well.

    >>> from fastdl import nn
    >>> model = nn.Sequential(nn.BatchNorm1d(2).eval(), nn.Dropout())
    >>> with evaluating(model):
    ...     print(model.training)
    False
    >>> [module.training for module in model]
    [False, True]
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        model.train(modes[0][1])  # reaches what a module of its own kind passes the mode on to
        for module, mode in modes:
            module.training = mode
