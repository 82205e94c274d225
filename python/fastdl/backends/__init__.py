"""Devices as modules: `get("cpu")` is a module with the functions of `backends.surface`.

Modules load at first use, so that importing the library loads no kernels.
"""

from __future__ import annotations

import functools
import importlib
from types import ModuleType

NAMES = ("cpu", "cuda", "emu", "reference")

_loaded: dict[str, ModuleType] = {}  # also under aliases such as "cuda:0"


def __getattr__(name: str) -> ModuleType:
    """`backends.cudnn` and `backends.mps`, for programs that set their switches."""
    if name in ("cudnn", "mps"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def get(name: str) -> ModuleType:
    """The backend module of a device.

    Raises ValueError for a name that no device has, RuntimeError for a device that this build lacks.

    >>> get("reference").NAME
    'reference'
    """
    module = _loaded.get(name)
    return module if module is not None else _load(name)


def available() -> tuple[str, ...]:
    """Names of the devices that this build has.

    >>> "reference" in available()
    True
    """
    return tuple(name for name in NAMES if _import(name)[0] is not None)


@functools.cache
def _import(base: str) -> tuple[ModuleType | None, ImportError | None]:
    """The module of a device, or why there is none; a build does not change while it runs."""
    try:
        return importlib.import_module(f"{__name__}.{base}"), None
    except ImportError as error:
        return None, error


def _load(name: str) -> ModuleType:
    if not isinstance(name, str):
        raise TypeError(f"[device] expected a name, got {type(name).__name__}")
    base, _, index = name.partition(":")
    if base not in NAMES or (index and index != "0"):
        raise ValueError(f"[device] expected one of {', '.join(NAMES)}, got {name!r}")
    module, error = _import(str(base))
    if module is None:
        reason = _why_not(base, error)
        raise RuntimeError(f"[device] expected one of {', '.join(available())}, got {name!r} ({reason})") from error
    _loaded[str(name)] = module
    return module


def _why_not(base: str, error: ImportError | None) -> str:
    if not (isinstance(error, ModuleNotFoundError) and (error.name or "").endswith(f"_{base}")):
        return f"its module does not load: {error}"
    if base == "cpu":
        return "this installation has no compiled module: build it with `pip install .`"
    if base == "emu":
        return "this build has no emulation module"
    cpu = _import("cpu")[0]
    return "this build has no CUDA module" + (f": {cpu.build_info()['cuda_note']}" if cpu else "")
