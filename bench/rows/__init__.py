"""One file a room of csrc/ops: its rows, and its cases in PyTorch and NumPy."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from types import ModuleType
from typing import Any

from bench.row import Row


def _files() -> list[ModuleType]:
    return [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]


def rows_by_file() -> dict[str, list[Row]]:
    """The rows of each room."""
    return {f.__name__.rpartition(".")[2]: f.ROWS for f in _files()}


def functions(kit: str) -> dict[str, Callable[..., Any]]:
    """Functions of a peer ("TORCH", "NUMPY") by the name of the case that they stand beside."""
    return {name: f for file in _files() for name, f in getattr(file, kit, {}).items()}
