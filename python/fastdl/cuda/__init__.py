"""The GPU as PyTorch's programs ask for it: streams, events, graphs, memory (`torch.cuda`).

Where PyTorch takes a device, `device="emu"` is the emulated GPU, on which all of this can be tried without one.
"""

from __future__ import annotations

from .. import backends
from ..random import Generator, manual_seed
from .graphs import CUDAGraph, graph, graph_pool_handle, is_current_stream_capturing
from .memory import (
    empty_cache,
    max_memory_allocated,
    max_memory_reserved,
    mem_get_info,
    memory_allocated,
    memory_reserved,
    memory_stats,
    reset_accumulated_memory_stats,
    reset_peak_memory_stats,
    set_per_process_memory_fraction,
)
from .module import module_of
from .streams import Event, ExternalStream, Stream, current_stream, default_stream, set_stream, stream

__all__ = [
    "CUDAGraph", "Event", "ExternalStream", "Stream", "current_device", "current_stream", "default_stream",
    "device_count", "empty_cache", "get_device_name", "graph", "graph_pool_handle", "is_available",
    "is_current_stream_capturing", "manual_seed", "manual_seed_all", "max_memory_allocated", "max_memory_reserved",
    "mem_get_info", "memory_allocated", "memory_reserved", "memory_stats", "reset_accumulated_memory_stats",
    "reset_peak_memory_stats", "set_per_process_memory_fraction", "set_stream", "stream", "synchronize",
]  # fmt: skip


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


def current_device() -> int:
    """The number of the GPU in use: there is one, 0.

    Raises RuntimeError without a GPU.
    """
    module_of(None)
    return 0


def get_device_name(device: object = None) -> str:
    """What the GPU is called.

    Raises RuntimeError without a GPU.

    >>> import fastdl
    >>> "emulation" in fastdl.cuda.get_device_name("emu")
    True
    """
    return str(module_of(device).device_name())


def synchronize(device: object = None) -> None:
    """Waits until all kernels have run; without a GPU there is nothing to wait for.

    Raises what they failed with, also a wrong index that only a kernel saw.
    """
    if device is not None or is_available():
        module_of(device).synchronize()


def manual_seed_all(seed: int) -> Generator:
    """`fastdl.manual_seed`: one seed serves all devices."""
    return manual_seed(seed)
