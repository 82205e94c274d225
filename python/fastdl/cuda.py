"""The GPU as PyTorch's programs ask for it: `fastdl.cuda.is_available()` and its like (`torch.cuda`)."""

from __future__ import annotations

from . import backends
from . import settings as _settings
from .random import Generator, manual_seed


def is_available() -> bool:
    """Whether this build has CUDA kernels and this machine a GPU that runs them.

    >>> import fastdl
    >>> place = "cuda" if fastdl.cuda.is_available() else "cpu"
    >>> fastdl.ones(2, device=place).sum().item()
    2.0
    """
    return "cuda" in backends.available() and bool(backends.get("cuda").is_available())


def device_count() -> int:
    """How many GPUs there are; 0 without CUDA kernels."""
    return int(backends.get("cuda").device_count()) if "cuda" in backends.available() else 0


def synchronize() -> None:
    """Waits until all kernels have run; without a GPU there is nothing to wait for."""
    if is_available():
        backends.get("cuda").synchronize()


def empty_cache() -> None:
    """Gives memory that is kept for reuse back to the GPU."""
    if is_available():
        _settings.empty_cache("cuda")


def manual_seed_all(seed: int) -> Generator:
    """`fastdl.manual_seed`: one seed serves all devices."""
    return manual_seed(seed)
