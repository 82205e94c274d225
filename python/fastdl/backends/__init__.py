"""Devices as modules: `get("cpu")` is a module with the functions of `backends.surface`.

Modules load at first use, so that importing the library loads no kernels.
"""

from __future__ import annotations

import importlib
from types import ModuleType

NAMES = ("cpu", "cuda", "emu", "reference")

_loaded: dict[str, ModuleType] = {}  # also under aliases such as "cuda:0"


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
    return tuple(name for name in NAMES if _is_built(name))


def _is_built(name: str) -> bool:
    try:
        _load(name)
    except RuntimeError:
        return False
    return True


def _load(name: str) -> ModuleType:
    if not isinstance(name, str):
        raise TypeError(f"[device] expected a name, got {type(name).__name__}")
    base, _, index = name.partition(":")
    if base not in NAMES or (index and index != "0"):
        raise ValueError(f"[device] expected one of {', '.join(NAMES)}, got {name!r}")
    try:
        module = importlib.import_module(f"{__name__}.{base}")
    except ImportError as error:
        reason = _why_not(base, error)
        raise RuntimeError(f"[device] expected one of {_built_names(base)}, got {name!r} ({reason})") from error
    _loaded[str(name)] = module
    return module


def _built_names(missing: str) -> str:
    return ", ".join(name for name in NAMES if name != missing and _is_built(name)) if missing != "cpu" else "reference"


def _why_not(base: str, error: ImportError) -> str:
    extension = f"_{base}"
    if not (isinstance(error, ModuleNotFoundError) and (error.name or "").endswith(extension)):
        return f"its module does not load: {error}"
    if base == "cpu":
        return "this installation has no compiled module: build it with `pip install .`"
    note = ""
    if base == "cuda" and "cpu" in _loaded:
        note = f": {_loaded['cpu'].build_info()['cuda_note']}"
    return f"this build has no {'CUDA' if base == 'cuda' else 'emulation'} module{note}"
