"""Tensors in nested tuples, lists and dicts: taken out in one order, and put back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..tensor import Tensor


@dataclass(frozen=True)
class Tree:
    """What is around the tensors of a value; equal and hashed by content, so that it can be part of a key."""

    kind: type | None  # Tensor, a container, or None for anything else, which `content` is
    content: Any = None  # the keys of a mapping
    children: tuple[Tree, ...] = ()

    def fill(self, leaves: Iterator[Any]) -> Any:
        """The value again, with other tensors in the places of its tensors."""
        if self.kind is None:
            return self.content
        if self.kind is Tensor:
            return next(leaves)
        parts = [child.fill(leaves) for child in self.children]
        if self.content is not None:
            return self.kind(zip(self.content, parts, strict=True))
        return self.kind(*parts) if hasattr(self.kind, "_fields") else self.kind(parts)


def flatten(value: Any) -> tuple[list[Tensor], Tree]:
    """The tensors of a value, from left to right, and what is around them.

    >>> import fastdl
    >>> leaves, tree = flatten({"a": fastdl.ones(1), "b": (fastdl.zeros(2), 3)})
    >>> len(leaves), tree.fill(iter("xy"))
    (2, {'a': 'x', 'b': ('y', 3)})
    """
    leaves: list[Tensor] = []
    return leaves, _walk(value, leaves)


def _walk(value: Any, leaves: list[Tensor]) -> Tree:
    if isinstance(value, Tensor):
        leaves.append(value)
        return Tree(Tensor)
    if isinstance(value, Mapping):
        return Tree(type(value), tuple(value), tuple(_walk(v, leaves) for v in value.values()))
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return Tree(type(value), None, tuple(_walk(v, leaves) for v in value))
    return Tree(None, value)
