"""Element types and the rules that combine them (PyTorch's names and promotion)."""

from __future__ import annotations

import builtins

import numpy as np


class dtype:
    """An element type, e.g. ``fastdl.float32``. Compare with ``==`` or ``is``; one object exists for each type."""

    __slots__ = ("is_floating_point", "itemsize", "name", "numpy", "rank")
    _by_name: dict[str, dtype] = {}  # noqa: RUF012 (a registry)

    def __init__(self, name: str, rank: builtins.int) -> None:
        self.name = name
        self.rank = rank  # place in the order of promotion
        self.numpy = np.dtype(name)
        self.itemsize = self.numpy.itemsize
        self.is_floating_point = self.numpy.kind == "f"
        dtype._by_name[name] = self

    def __repr__(self) -> str:
        return f"fastdl.{self.name}"

    def __reduce__(self) -> str:
        return self.name  # pickles as the module attribute


class product_dtype:
    """A precision of products on tensor cores, for `fastdl.autocast`. Tensors do not have it: they stay float32."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"fastdl.{self.name}"

    def __reduce__(self) -> str:
        return self.name


float16 = half = product_dtype("float16")
bfloat16 = product_dtype("bfloat16")
bool = dtype("bool", 0)  # PyTorch's names, on purpose
uint8 = dtype("uint8", 1)
int32 = dtype("int32", 2)
int64 = dtype("int64", 3)
float32 = dtype("float32", 4)
float64 = dtype("float64", 5)
int = int32
long = int64
float = float32
double = float64


def as_dtype(value: object, op: str = "dtype") -> dtype:
    """The dtype that a `fastdl.dtype`, NumPy dtype, name or Python type stands for.

    >>> as_dtype("float64"), as_dtype(np.int32)
    (fastdl.float64, fastdl.int32)
    """
    if isinstance(value, dtype):
        return value
    if value is builtins.float:
        return float32
    try:
        name = np.dtype(value).name  # type: ignore[call-overload]
    except (TypeError, ValueError):
        name = None
    found = dtype._by_name.get(name) if name else None
    if found is None:
        raise TypeError(f"[{op}] expected dtype {', '.join(dtype._by_name)}, got {value!r}")
    return found


def promote(a: str, b: str) -> str:
    """Name of the dtype that holds an operation on arrays of dtypes `a` and `b`.

    >>> promote("int64", "float32")
    'float32'
    """
    by_name = dtype._by_name
    return a if by_name[a].rank >= by_name[b].rank else b


def finfo(type: object = float32) -> np.finfo:
    """Limits of a float dtype, as NumPy gives them: eps, max, min, tiny (`torch.finfo`).

    >>> finfo(float32).bits
    32
    """
    return np.finfo(as_dtype(type, "finfo").numpy)


def iinfo(type: object) -> np.iinfo:
    """Limits of an integer dtype, as NumPy gives them: max, min (`torch.iinfo`)."""
    return np.iinfo(as_dtype(type, "iinfo").numpy)
