"""SpreadGrad: a gradient that repeats few numbers, as sums and means pass it on.

It is written out only where a rule needs an array. Rules that read it as it is (`takes_spread`) spare a pass over
memory that has nothing but one number in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Array = Any


class SpreadGrad:
    """`value`, which broadcasts to `shape` and has as many axes."""

    __slots__ = ("backend", "shape", "value")

    def __init__(self, value: Array, shape: tuple[int, ...], backend: Any) -> None:
        self.value, self.shape, self.backend = value, shape, backend

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def dtype(self) -> Any:
        return self.value.dtype

    def dense(self) -> Array:
        return self.backend.broadcast_to(self.value, self.shape)

    def mapped(self, function: Callable[..., Array], *numbers: Any) -> SpreadGrad:
        """A function of each element."""
        return SpreadGrad(function(self.value, *numbers), self.shape, self.backend)


def takes_spread(rule: Callable[..., Any]) -> Callable[..., Any]:
    """Marks a rule that reads a SpreadGrad as it is."""
    rule.takes_spread = True  # type: ignore[attr-defined]
    return rule


def mapped(grad: Any, function: Callable[..., Array], *numbers: Any) -> Any:
    """A function of each element of a gradient, spread or not."""
    return grad.mapped(function, *numbers) if type(grad) is SpreadGrad else function(grad, *numbers)


def beside(grad: Any, *shapes: tuple[int, ...]) -> Array:
    """The array to compute with next to operands of these shapes: not written out where all have the gradient's."""
    if type(grad) is not SpreadGrad:
        return grad
    shape = grad.shape
    for other in shapes:
        if other != shape:
            return grad.dense()
    return grad.value
