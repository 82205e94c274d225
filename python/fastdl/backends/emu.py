"""The emulated CUDA backend: the same kernels as `cuda`, run on the host with every memory access checked."""

from .._emu import *  # noqa: F403
from .missing import missing as _missing

NAME = "emu"
globals().update(_missing(NAME, globals()))
