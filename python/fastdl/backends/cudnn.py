"""Switches that PyTorch's programs set on `backends.cudnn`. fastdl has kernels of its own: they change nothing."""

from __future__ import annotations

enabled = False
benchmark = False
deterministic = True  # always so here
allow_tf32 = False  # see fastdl.set_float32_matmul_precision


def is_available() -> bool:
    """Whether cuDNN is used: never."""
    return False


def version() -> None:
    """cuDNN's version: there is none."""
