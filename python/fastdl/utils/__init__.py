"""Where PyTorch's programs look for `utils.data`, which is loaded when it is asked for, and `utils.checkpoint`."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["checkpoint", "data"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
