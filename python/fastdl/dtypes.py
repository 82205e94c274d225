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


_default = [float32]


def get_default_dtype() -> dtype:
    """The dtype of tensors made of Python's floats, and of `zeros`, `randn` and the like: float32 unless set."""
    return _default[0]


def set_default_dtype(d: object) -> None:
    """Makes float32 or float64 the dtype that floats have by default (`torch.set_default_dtype`).

    >>> set_default_dtype(float64); get_default_dtype()
    fastdl.float64
    >>> set_default_dtype(float32)
    """
    found = as_dtype(d, "set_default_dtype")
    if not found.is_floating_point:
        raise TypeError(f"[set_default_dtype] expected float32 or float64, got {found!r}")
    _default[0] = found


def promote_types(type1: object, type2: object) -> dtype:
    """The dtype that holds both (`torch.promote_types`).

    >>> promote_types(int32, float32)
    fastdl.float32
    """
    a, b = as_dtype(type1, "promote_types"), as_dtype(type2, "promote_types")
    return dtype._by_name[promote(a.name, b.name)]


def can_cast(from_: object, to: object) -> builtins.bool:
    """Whether numbers may become this dtype without a change of kind: no float an integer (`torch.can_cast`)."""
    kinds = [as_dtype(d, "can_cast") for d in (from_, to)]
    order = [2 if d.is_floating_point else builtins.int(d.name != "bool") for d in kinds]
    return order[0] <= order[1]


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
