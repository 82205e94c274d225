"""One file a room of csrc/ops: its OpCases, which tests/test_ops.py multiplies by device, dtype and instruction set and
bench/run.py times."""

import importlib
import pkgutil

from fastdl.testing import OpCase


def all_cases() -> list[OpCase]:
    """The cases of every room."""
    rooms = [module.name for module in pkgutil.iter_modules(__path__)]
    return [case for room in rooms for case in importlib.import_module(f"{__name__}.{room}").CASES]
