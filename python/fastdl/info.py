"""What was built and what this machine has: `python -m fastdl.info`."""

from __future__ import annotations

import os
from typing import Any


def _threads(cpu: Any) -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cpu.get_num_threads()} of {cores} cores"


def _cuda(build: dict[str, Any]) -> str:
    from . import backends

    if not build["cuda_built"]:
        return f"not built: {build['cuda_note']}"
    try:
        devices = _devices(backends.get("cuda"))
    except RuntimeError as error:
        return f"built ({build['cuda_note']}), but {error}"
    return f"built ({build['cuda_note']}); devices: {devices}"


def _devices(cuda: Any) -> str:
    count = cuda.device_count()
    return ", ".join(cuda.device_name(i) for i in range(count)) if count else "none found"


def lines() -> list[str]:
    """The report, a line an item."""
    from . import __version__, backends

    report = [f"fastdl {__version__}"]
    try:
        cpu = backends.get("cpu")
    except RuntimeError as error:
        return [*report, str(error)]
    build = cpu.build_info()
    built = build["isa_built"].replace(",", ", ")
    return [
        *report,
        f"CPU instruction sets: built {built}; best here {cpu.best_isa()}; in use {cpu.isa()}",
        f"CPU threads: {_threads(cpu)}",
        f"CUDA: {_cuda(build)}",
        f"emulated CUDA: {'built' if 'emu' in backends.available() else 'not built'}",
        f"compiler: {build['compiler']}",
    ]


if __name__ == "__main__":
    print("\n".join(lines()))
