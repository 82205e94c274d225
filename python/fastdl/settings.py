"""Settings of the CPU kernels."""

from __future__ import annotations

from . import backends


def set_num_threads(n: int) -> None:
    """Threads that CPU kernels use; results are bit-equal for any number (`torch.set_num_threads`).

    Raises ValueError below 1. The environment variable FASTDL_NUM_THREADS sets the initial number.
    """
    if not isinstance(n, int) or isinstance(n, bool):
        raise TypeError(f"[set_num_threads] expected an int, got {type(n).__name__}")
    if n < 1:
        raise ValueError(f"[set_num_threads] expected at least 1, got {n}")
    if n >= 2**31:
        raise ValueError(f"[set_num_threads] expected less than 2^31, got {n}")
    backends.get("cpu").set_num_threads(n)


def get_num_threads() -> int:
    """Threads that CPU kernels use."""
    return backends.get("cpu").get_num_threads()


def set_conv_algorithm(name: str) -> None:
    """How CPU convolutions compute: "auto" (a measured choice), "direct", or "winograd" wherever it applies.

    Winograd convolution does a quarter of the multiplications of 3x3 windows, and saves on all others but 1x1; its
    error against float64 stays below 6e-6 of the largest output, "direct" rounds like PyTorch.
    """
    if not isinstance(name, str):
        raise TypeError(f"[set_conv_algorithm] expected a str, got {type(name).__name__}")
    backends.get("cpu").set_conv_algorithm(name)


def get_conv_algorithm() -> str:
    """The algorithm that `set_conv_algorithm` chose."""
    return backends.get("cpu").get_conv_algorithm()


def empty_cache(device: str = "cpu") -> None:
    """Gives memory that is kept for reuse back to the system (`torch.cuda.empty_cache`)."""
    backends.get(device).empty_cache()


def memory_stats(device: str = "cpu") -> dict[str, int]:
    """Bytes in arrays ("allocated"), kept for reuse ("cached"), and most ever in arrays ("peak")."""
    return backends.get(device).memory_stats()
