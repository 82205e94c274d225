"""The CPU backend: kernels of csrc/ops/*/*_cpu.cc, compiled per instruction set.

The environment is read once, here: FASTDL_ISA names the instruction set to use (baseline, avx2, avx512, amx) and
FASTDL_NUM_THREADS the number of threads.
"""

import os as _os

from .._cpu import *  # noqa: F403
from .._cpu import best_isa, build_info, set_isa, set_num_threads

NAME = "cpu"


def isa_levels() -> list[str]:
    """Instruction sets that were built and that this machine has, the best last."""
    built = build_info()["isa_built"].split(",")
    return built[: built.index(best_isa()) + 1]


def _apply_environment() -> None:
    isa = _os.environ.get("FASTDL_ISA")
    if isa:
        if isa not in isa_levels():
            raise ValueError(f"[FASTDL_ISA] expected one of {', '.join(isa_levels())}, got {isa!r}")
        set_isa(isa)
    threads = _os.environ.get("FASTDL_NUM_THREADS")
    if threads:
        if not (threads.isascii() and threads.isdigit() and int(threads) >= 1):
            raise ValueError(f"[FASTDL_NUM_THREADS] expected a number of at least 1, got {threads!r}")
        set_num_threads(int(threads))


_apply_environment()
