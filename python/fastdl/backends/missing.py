"""Functions of the surface that a device does not have yet: they say so by name, and nothing falls back silently."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any, NoReturn

from .surface import FUNCTIONS


def missing(device: str, present: Container[str]) -> dict[str, Callable[..., NoReturn]]:
    """A function that raises NotImplementedError for each name of the surface that is not `present`.

    >>> sorted(missing("emu", {n for n in FUNCTIONS if n != "relu"}))
    ['relu']
    """
    return {name: _refuse(name, device) for name in FUNCTIONS if name not in present}


def _refuse(name: str, device: str) -> Callable[..., NoReturn]:
    def refuse(*_: Any) -> NoReturn:
        raise NotImplementedError(f"[{name}] expected device cpu or reference, got {device}")

    return refuse
