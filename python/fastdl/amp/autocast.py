"""autocast: the precision of products, for a block of code."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from .. import backends, dtypes, precision

_DEFAULTS = {"cpu": dtypes.bfloat16, "cuda": dtypes.float16, "emu": dtypes.float16, "reference": dtypes.bfloat16}
_NAMES = ("float32", "tf32", "bfloat16", "float16")


class _Blocks(threading.local):
    def __init__(self) -> None:
        self.open: dict[str, list[tuple[bool, Any]]] = {}  # device: (enabled, dtype), the innermost last


_blocks = _Blocks()


class autocast:
    """Context manager and decorator: products inside run in a smaller precision (`torch.autocast`).

    Matrix products, linear layers and convolutions of float32 tensors, and their gradients, round their operands to
    `dtype` and multiply them on tensor cores; sums are float32. A gradient is computed in the precision of its forward
    pass, wherever `backward` is called. The current thread only.

    Unlike PyTorch's, tensors stay float32: the results of these operations are float32, and nothing is cast back and
    forth between them. float64 is left alone. CPU and reference always multiply in float32: `device_type="cpu"` has no
    effect, nor has "cuda" where there is no GPU.

    Args:
        device_type: "cuda", "cpu", "emu" (the emulated GPU) or "reference".
        dtype: `fastdl.float16` (the default on GPUs; use a `GradScaler`, since small gradients vanish),
            `fastdl.bfloat16`, `fastdl.float32`, their names, or "tf32".
        enabled: False makes products float32 again, inside another block.
        cache_enabled: taken for the sake of PyTorch's programs; there are no casts to cache.

    Raises:
        TypeError: for a device_type that is no str, or another dtype.
        ValueError: for another device_type.

    >>> import fastdl
    >>> a = fastdl.full((64, 64), 1.001, device="emu")
    >>> with fastdl.autocast("emu", dtype=fastdl.bfloat16):
    ...     b = a @ a
    >>> b.dtype
    fastdl.float32
    """

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        if not isinstance(device_type, str):
            raise TypeError(f"[autocast] expected a str for device_type, got {type(device_type).__name__}")
        if device_type not in _DEFAULTS:
            raise ValueError(f"[autocast] expected device_type {', '.join(_DEFAULTS)}, got {device_type!r}")
        self.device = device_type
        self.fast_dtype = _DEFAULTS[device_type] if dtype is None else _as_precision(dtype)
        self.enabled = bool(enabled)
        self._exits: list[contextlib.ExitStack] = []

    def __enter__(self) -> autocast:
        stack = contextlib.ExitStack()
        if self.device in backends.available() and precision.serves(backends.get(self.device)):
            name = str(getattr(self.fast_dtype, "name", self.fast_dtype)) if self.enabled else None
            stack.enter_context(precision.chosen(backends.get(self.device), name))
        _blocks.open.setdefault(self.device, []).append((self.enabled, self.fast_dtype))
        self._exits.append(stack)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _blocks.open[self.device].pop()
        self._exits.pop().close()

    def __call__(self, function: Callable) -> Callable:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with autocast(self.device, self.fast_dtype, self.enabled):
                return function(*args, **kwargs)

        return wrapped


def _as_precision(dtype: Any) -> Any:
    name = getattr(dtype, "name", dtype)
    if name not in _NAMES:
        raise TypeError(f"[autocast] expected dtype {', '.join(_NAMES)}, got {dtype!r}")
    return name if name == "tf32" else getattr(dtypes, name)


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether this thread is in an `autocast` block of a device (`torch.is_autocast_enabled`).

    >>> import fastdl
    >>> with fastdl.autocast("cuda"):
    ...     fastdl.amp.is_autocast_enabled("cuda"), fastdl.amp.is_autocast_enabled("emu")
    (True, False)
    """
    blocks = _blocks.open.get(device_type)
    return bool(blocks and blocks[-1][0])


def get_autocast_dtype(device_type: str) -> Any:
    """The dtype of the innermost `autocast` block of a device, or the one that a block would have by default."""
    if device_type not in _DEFAULTS:
        raise ValueError(f"[get_autocast_dtype] expected device_type {', '.join(_DEFAULTS)}, got {device_type!r}")
    blocks = _blocks.open.get(device_type)
    return blocks[-1][1] if blocks else _DEFAULTS[device_type]


def is_autocast_available(device_type: str) -> bool:
    """Whether `autocast` changes anything on a device of this build."""
    return device_type in backends.available() and precision.serves(backends.get(device_type))
