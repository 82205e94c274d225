"""Writes the type stubs of the compiled modules from their surfaces: `python -m fastdl.backends.stubs FOLDER`."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from . import device_surface, surface

MODULES = {
    "_cpu": (*surface.PARTS, device_surface.CpuSettings),
    "_emu": (*surface.PARTS, device_surface.CudaRuntime, device_surface.Emulation),
    "_cuda": (*surface.PARTS, device_surface.CudaRuntime),
}
HEAD = """# Written by `python -m fastdl.backends.stubs` from backends/surface.py.
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = Any
Arrays = Sequence[Array]
Pair = tuple[int, int]
Shape = tuple[int, ...]

"""


def stub(module: str) -> str:
    """The text of a module's stub.

    >>> "def relu(x: Array) -> Array: ..." in stub("_cpu")
    True
    """
    lines = []
    for protocol in MODULES[module]:
        for name, function in vars(protocol).items():
            if not name.startswith("_") and inspect.isfunction(function):
                text = str(inspect.signature(function)).replace("'", "").replace("(self, ", "(").replace("(self)", "()")
                lines.append(f"def {name}{text}: ...")
    return HEAD + "\n".join(lines) + "\n"


def write(folder: Path) -> None:
    """Writes one stub a module into a folder."""
    for module in MODULES:
        (folder / f"{module}.pyi").write_text(stub(module))


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent)
