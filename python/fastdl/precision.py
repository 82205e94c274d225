"""In which numbers products run on this thread, and what recorded operations remember of it.

`autocast` sets it for a block. Backward passes run outside of the block, so an operation that is recorded inside keeps
its precision, and one that was recorded outside runs in the precision of outside.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

open_blocks = 0  # of all threads; 0 spares every operation the look at its thread's
_count = threading.Lock()


class _Here(threading.local):
    def __init__(self) -> None:
        self.inside: dict[str, str] = {}  # device: precision that a block has chosen
        self.outside: dict[str, str] = {}  # device: precision before the outermost block


_here = _Here()


def serves(module: ModuleType) -> bool:
    """Whether the products of a device have a precision to choose."""
    return hasattr(module, "set_product_precision")


@contextlib.contextmanager
def chosen(module: ModuleType, precision: str | None) -> Iterator[None]:
    """Products of a device in a precision; None is that of outside of all blocks."""
    global open_blocks
    name, before = module.NAME, module.get_product_precision()
    inside, outermost = _here.inside.get(name), name not in _here.outside
    if outermost:
        _here.outside[name] = before
    with _count:
        open_blocks += 1
    _set(module, precision)
    try:
        yield
    finally:
        _restore(_here.inside, name, inside)
        module.set_product_precision(before)
        if outermost:
            del _here.outside[name]
        with _count:
            open_blocks -= 1


def _set(module: ModuleType, precision: str | None) -> None:
    _restore(_here.inside, module.NAME, precision)
    module.set_product_precision(precision or _here.outside[module.NAME])


def _restore(table: dict[str, str], name: str, value: str | None) -> None:
    if value is None:
        table.pop(name, None)
    else:
        table[name] = value


def remembering(rule: Callable[..., Any], module: ModuleType) -> Callable[..., Any]:
    """The rule of an operation that is recorded now: it runs in the precision of now."""
    precision = _here.inside.get(module.NAME)
    return rule if precision is None else _Remembering(rule, precision)


class _Remembering:
    """A rule with the precision of its forward pass."""

    def __init__(self, rule: Callable[..., Any], precision: str) -> None:
        self._rule, self._precision = rule, precision
        self.fresh = getattr(rule, "fresh", False)
        self.__qualname__ = rule.__qualname__

    def __call__(self, node: Any, grad: Any) -> Any:
        with chosen(node.backend, self._precision):
            return self._rule(node, grad)


@contextlib.contextmanager
def outside() -> Iterator[None]:
    """As outside of all blocks of this thread; for the backward pass."""
    from . import backends

    with contextlib.ExitStack() as stack:
        for name in list(_here.inside):
            stack.enter_context(chosen(backends.get(name), None))
        yield
