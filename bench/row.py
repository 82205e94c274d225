"""A row of the benchmark: a case at a size, and the same work in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

try:
    import torch
except ImportError:
    torch = None  # peers that are not installed are left out

try:
    import torchvision
except ImportError:
    torchvision = None

Call = Callable[[], Any]


@dataclass(frozen=True)
class Row:
    """Times the OpCase named `case` with `attributes`, or whatever `make` returns.

    `make()` returns callables by name: "fastdl", and peers "PyTorch", "PyTorch channels_last", "NumPy", ... It is for
    rows that are more than one function (layers with parameters, optimizers). `goal` is the least ratio of the faster
    PyTorch's time to fastdl's; rows with a goal make the suite "kernels".
    """

    case: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    backward: bool = False  # forward and backward together
    goal: float | None = None
    channels_last: bool = True  # whether PyTorch's other memory format does the same work
    make: Callable[[], dict[str, Call]] | None = None
    flops: float | None = None  # with `make`: operations and least bytes of a call
    bytes: float | None = None

    @property
    def name(self) -> str:
        parts = [f"{k} {_text(v)}" for k, v in self.attributes.items()]
        return ", ".join([self.case, *parts])


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return str(value)
