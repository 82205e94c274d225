"""Apple's GPUs, which PyTorch's programs ask for; fastdl has no kernels for them."""

from __future__ import annotations


def is_available() -> bool:
    """Whether fastdl runs on them: no."""
    return False


def is_built() -> bool:
    """Whether it was built for them: no."""
    return False
