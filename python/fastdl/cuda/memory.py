"""How much of the GPU's memory is in use (`torch.cuda.memory`)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from .. import backends
from .module import module_of


def _has_gpu(device: Any) -> bool:
    """Without a GPU, and without asking for another device, there is no memory to count."""
    return device is not None or ("cuda" in backends.available() and bool(backends.get("cuda").is_available()))


def memory_stats(device: Any = None) -> OrderedDict[str, int]:
    """Counters of the allocator, under PyTorch's names; empty without a GPU (`torch.cuda.memory_stats`).

    "allocation" and "allocated_bytes" count arrays, "segment" and "reserved_bytes" what was taken from the GPU, in
    arrays or kept for reuse; each has ".all.current", ".all.peak", ".all.allocated" and ".all.freed".
    "num_alloc_retries" is how often the cache was emptied to find memory, "num_ooms" how often that did not help.

    >>> import fastdl
    >>> before = fastdl.cuda.memory_stats("emu")["allocation.all.allocated"]
    >>> x = fastdl.zeros(3, device="emu")
    >>> fastdl.cuda.memory_stats("emu")["allocation.all.allocated"] - before
    1
    """
    return OrderedDict(sorted(module_of(device).memory_counters().items()) if _has_gpu(device) else ())


def memory_allocated(device: Any = None) -> int:
    """Bytes in arrays now; 0 without a GPU."""
    return memory_stats(device).get("allocated_bytes.all.current", 0)


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that were ever in arrays, or since `reset_peak_memory_stats`.

    >>> import fastdl
    >>> fastdl.cuda.reset_peak_memory_stats("emu")
    >>> x = fastdl.zeros(1000, device="emu"); del x
    >>> fastdl.cuda.max_memory_allocated("emu") - fastdl.cuda.memory_allocated("emu")
    4000
    """
    return memory_stats(device).get("allocated_bytes.all.peak", 0)


def memory_reserved(device: Any = None) -> int:
    """Bytes taken from the GPU, in arrays or kept for reuse; 0 without a GPU."""
    return memory_stats(device).get("reserved_bytes.all.current", 0)


def max_memory_reserved(device: Any = None) -> int:
    """The most bytes that were ever taken from the GPU, or since `reset_peak_memory_stats`."""
    return memory_stats(device).get("reserved_bytes.all.peak", 0)


def reset_peak_memory_stats(device: Any = None) -> None:
    """Peaks count from now on."""
    if _has_gpu(device):
        module_of(device).reset_peak_memory()


def reset_accumulated_memory_stats(device: Any = None) -> None:
    """What was allocated and freed counts from now on."""
    if _has_gpu(device):
        module_of(device).reset_accumulated_memory()


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Bytes that the GPU has free for anybody, and all (`torch.cuda.mem_get_info`).

    Raises RuntimeError without a GPU.
    """
    free, total = module_of(device).mem_get_info()
    return int(free), int(total)


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Lets this process take no more than a fraction of the GPU's memory; an allocation beyond is out of memory
    (`torch.cuda.set_per_process_memory_fraction`).

    Raises ValueError for a fraction outside [0, 1], RuntimeError without a GPU.
    """
    if not isinstance(fraction, int | float):
        raise TypeError(f"[cuda] expected a number for fraction, got {type(fraction).__name__}")
    if not 0 <= fraction <= 1:
        raise ValueError(f"[cuda] expected a fraction between 0 and 1, got {fraction}")
    module_of(device).set_memory_limit(2**63 - 1 if fraction == 1 else int(mem_get_info(device)[1] * fraction))


def empty_cache(device: Any = None) -> None:
    """Gives memory that is kept for reuse back to the GPU.

    Raises RuntimeError inside a capture, since it waits for the GPU.
    """
    if _has_gpu(device):
        module_of(device).empty_cache()
