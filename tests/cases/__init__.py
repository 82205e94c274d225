"""One file a room of csrc/ops: its OpCases, which tests/test_ops.py multiplies by device, dtype and instruction set and
bench/run.py times."""

import importlib
import pkgutil
from pathlib import Path

from fastdl.testing import OpCase

CSRC = Path(__file__).parent.parent.parent / "csrc"


def rooms() -> dict[str, list[OpCase]]:
    """The cases of every room."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    return {room: importlib.import_module(f"{__name__}.{room}").CASES for room in names}


def all_cases() -> list[OpCase]:
    return [case for cases in rooms().values() for case in cases]


def has_device_kernels(room: str) -> bool:
    """Whether the room has CUDA kernels, which the emulation runs too."""
    return any((CSRC / "ops" / room).glob("*.cu"))


def serves(case: OpCase, device: str) -> bool:
    """Whether a device has the kernels of a case."""
    room = next(room for room, cases in rooms().items() if any(c is case for c in cases))
    return device not in ("cuda", "emu") or has_device_kernels(room)
