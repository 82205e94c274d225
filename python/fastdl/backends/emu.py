"""The emulated CUDA backend: the same kernels as `cuda`, run on the host with every memory access checked."""

from .._emu import *  # noqa: F403

NAME = "emu"
