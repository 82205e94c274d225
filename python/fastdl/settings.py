"""Settings of the kernels."""

from __future__ import annotations

import threading

from . import backends

PRODUCT_PRECISIONS = {"highest": "float32", "high": "tf32", "medium": "bfloat16"}
_of_thread = threading.local()


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


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Nothing to switch: every kernel is deterministic (`torch.use_deterministic_algorithms`)."""


def get_num_threads() -> int:
    """Threads that CPU kernels use."""
    return backends.get("cpu").get_num_threads()


def set_conv_algorithm(name: str) -> None:
    """How convolutions compute: "auto" (the faster one, as measured or estimated), "direct", or "winograd" wherever it
    applies.

    Winograd convolution does a quarter of the multiplications of 3x3 windows, and on the CPU saves on all others but
    1x1; CUDA devices have it for 3x3 at unit stride and dilation, and "auto" takes it where their memory is fast for
    their arithmetic. In plans (`fastdl.compile`) "auto" also has Strassen's algorithm, seven products for eight, for
    the rest of many channels. The error of both against float64 stays below 6e-6 of the largest output, "direct"
    rounds like PyTorch.

    Raises ValueError for another name.

    >>> import fastdl
    >>> fastdl.set_conv_algorithm("direct")
    >>> fastdl.get_conv_algorithm()
    'direct'
    >>> fastdl.set_conv_algorithm("auto")
    """
    if not isinstance(name, str):
        raise TypeError(f"[set_conv_algorithm] expected a str, got {type(name).__name__}")
    for device in backends.available():
        if device != "reference":
            backends.get(device).set_conv_algorithm(name)


def get_conv_algorithm() -> str:
    """The algorithm that `set_conv_algorithm` chose."""
    return backends.get("cpu").get_conv_algorithm()


def set_float32_matmul_precision(precision: str) -> None:
    """In what numbers CUDA devices multiply float32 operands (`torch.set_float32_matmul_precision`).

    "highest" (the default) is float32. "high" rounds the operands of matrix products and convolutions to TF32 (11
    significant bits), "medium" to bfloat16 (8 bits), both with sums in float32, on the tensor cores of devices from
    compute capability 8.0 on. Results stay float32, float64 is not concerned, and neither is the CPU. Products that are
    too small to gain stay in float32. Unlike PyTorch's, the setting is the calling thread's.

    Raises ValueError for another name.

    >>> import fastdl
    >>> fastdl.set_float32_matmul_precision("high")
    >>> fastdl.get_float32_matmul_precision()
    'high'
    >>> fastdl.set_float32_matmul_precision("highest")
    """
    if not isinstance(precision, str):
        raise TypeError(f"[set_float32_matmul_precision] expected a str, got {type(precision).__name__}")
    if precision not in PRODUCT_PRECISIONS:
        raise ValueError(f"[set_float32_matmul_precision] expected highest, high or medium, got {precision}")
    for name in backends.available():
        if name in ("cuda", "emu"):
            backends.get(name).set_product_precision(PRODUCT_PRECISIONS[precision])
    _of_thread.precision = precision


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` chose on this thread: "highest", "high" or "medium"."""
    return getattr(_of_thread, "precision", "highest")


def empty_cache(device: str = "cpu") -> None:
    """Gives memory that is kept for reuse back to the system (`torch.cuda.empty_cache`)."""
    backends.get(device).empty_cache()


def memory_stats(device: str = "cpu") -> dict[str, int]:
    """Bytes in arrays ("allocated"), kept for reuse ("cached"), and most ever in arrays ("peak")."""
    return backends.get(device).memory_stats()
