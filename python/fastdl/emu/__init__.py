"""What the emulated CUDA device tells about kernels: mistakes, and what their memory accesses cost.

Tensors on `device="emu"` run the library's CUDA kernels on the host, with every load and store looked at. `report()`
lists what would be wrong on a GPU, `profile()` counts bank conflicts and memory traffic for each source line, and
`compile()` makes kernels of a CUDA file run there.
"""

from .compile import Kernels, compile
from .engine import (
    Finding,
    KernelTraffic,
    LineTraffic,
    Profile,
    clear_report,
    is_available,
    kernels_run,
    profile,
    report,
    set_order,
)

__all__ = [
    "Finding",
    "KernelTraffic",
    "Kernels",
    "LineTraffic",
    "Profile",
    "clear_report",
    "compile",
    "is_available",
    "kernels_run",
    "profile",
    "report",
    "set_order",
]
