"""Whether operations are recorded: `no_grad` and its like."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any


class _Mode(threading.local):
    enabled = True


mode = _Mode()


class set_grad_enabled:
    """Context manager and decorator that switches recording on or off for the current thread."""

    def __init__(self, enabled: bool) -> None:
        self._target = bool(enabled)
        self._previous = mode.enabled
        mode.enabled = self._target  # as in PyTorch, calling it takes effect at once

    def __enter__(self) -> None:
        mode.enabled = self._target

    def __exit__(self, *_: object) -> None:
        mode.enabled = self._previous


class _GradContext:
    enabled: bool

    def __enter__(self) -> None:
        self._stack = [*getattr(self, "_stack", []), mode.enabled]
        mode.enabled = self.enabled

    def __exit__(self, *_: object) -> None:
        mode.enabled = self._stack.pop()

    def __call__(self, function: Callable) -> Callable:
        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return wrapped


class no_grad(_GradContext):
    """Context manager and decorator: operations inside are not recorded (`torch.no_grad`).

    >>> import fastdl
    >>> w = fastdl.ones(1, requires_grad=True)
    >>> with fastdl.no_grad():
    ...     (w * 2).requires_grad
    False
    """

    enabled = False


class enable_grad(_GradContext):
    """Context manager and decorator: operations inside are recorded, also within `no_grad`."""

    enabled = True


class inference_mode(_GradContext):
    """`no_grad` under another name; `inference_mode(False)` records (`torch.inference_mode`).

    >>> import fastdl
    >>> with fastdl.inference_mode():
    ...     (fastdl.ones(1, requires_grad=True) * 2).requires_grad
    False
    """

    def __init__(self, mode: bool = True) -> None:
        self.enabled = not mode


def is_grad_enabled() -> bool:
    """Whether operations of this thread are recorded."""
    return mode.enabled
