"""Which compiled module stands behind a device of `fastdl.cuda`."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from .. import backends


def module_of(device: Any = None) -> ModuleType:
    """The module of a GPU: None, 0, "cuda" or "cuda:0", or "emu" for the emulated one.

    Raises:
        ValueError: for another device.
        RuntimeError: where there is no such device, with the reason.

    >>> module_of("emu").NAME
    'emu'
    """
    name = "cuda" if device is None or device == 0 else device
    if not isinstance(name, str) or name.partition(":")[0] not in ("cuda", "emu"):
        raise ValueError(f"[cuda] expected device cuda or emu, got {device!r}")
    module = backends.get(name)
    if not module.is_available():
        module.device_name()  # raises, with what the driver says
    return module
