"""The table of layers that Keras's `model.summary()` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..autograd import no_grad
from ..creation import zeros
from ..tensor import Tensor
from .modes import evaluating
from .module import Module


@dataclass(frozen=True)
class Row:
    """One layer: its name, its class, its output shape with None for the batch, and its own parameters."""

    name: str
    type: str
    output_shape: Any
    params: int


@dataclass(frozen=True, repr=False)
class Summary:
    """What `summary` found; prints as the table."""

    model: str
    rows: list[Row]
    total_params: int
    trainable_params: int
    total_bytes: int
    trainable_bytes: int

    def __repr__(self) -> str:
        cells = [("Layer (type)", "Output Shape", "Param #")]
        cells += [(f"{r.name} ({r.type})", str(r.output_shape), f"{r.params:,}") for r in self.rows]
        first, second = (max(*(len(row[i]) + 2 for row in cells), least) for i, least in ((0, 28), (1, 26)))
        width = first + second + 11
        lines = [f" {a:<{first}}{b:<{second}}{c}" for a, b, c in cells]
        frozen, frozen_bytes = self.total_params - self.trainable_params, self.total_bytes - self.trainable_bytes
        return "\n".join(
            [
                f'Model: "{self.model}"',
                "_" * width,
                lines[0],
                "=" * width,
                *lines[1:],
                "=" * width,
                f"Total params: {self.total_params:,} ({_bytes(self.total_bytes)})",
                f"Trainable params: {self.trainable_params:,} ({_bytes(self.trainable_bytes)})",
                f"Non-trainable params: {frozen:,} ({_bytes(frozen_bytes)})",
                "_" * width,
            ]
        )


def _bytes(n: int) -> str:
    size = float(n)
    for unit in ("B", "KB", "MB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} GB"


def _shape(out: Any) -> Any:
    if isinstance(out, Tensor):
        return (None, *out.shape[1:]) if out.ndim else ()
    if isinstance(out, tuple | list):
        return [_shape(o) for o in out]
    return None


def summary(model: Module, input_size: Sequence[Any], dtype: Any = None) -> Summary:
    """Runs zeros of `input_size` (one example, without the batch axis) through the model and lists its layers.

    A layer is a module without modules inside, or with parameters of its own; it appears once, where it first ran,
    under its dotted name. The result prints as Keras's table. The model keeps its mode and its gradients.

    Args:
        input_size: (3, 32, 32), or a list of such for a model with several inputs.
        dtype: of the inputs, that of the parameters by default; a list for inputs that differ ("int64" for indices).

    Raises:
        TypeError: for a model that is not a Module or sizes that are not ints.

    >>> from fastdl import nn
    >>> print(summary(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), (4,)))
    Model: "Sequential"
    _________________________________________________________________
     Layer (type)                Output Shape              Param #
    =================================================================
     0 (Linear)                  (None, 8)                 40
     1 (ReLU)                    (None, 8)                 0
     2 (Linear)                  (None, 2)                 18
    =================================================================
    Total params: 58 (232.00 B)
    Trainable params: 58 (232.00 B)
    Non-trainable params: 0 (0.00 B)
    _________________________________________________________________
    """
    if not isinstance(model, Module):
        raise TypeError(f"[summary] expected a Module for model, got {type(model).__name__}")
    first = next(model.parameters(), None)
    several = bool(input_size) and isinstance(input_size[0], tuple | list)
    sizes = list(input_size) if several else [input_size]
    kinds = list(dtype) if isinstance(dtype, tuple | list) else [dtype] * len(sizes)
    if len(kinds) != len(sizes):
        raise ValueError(f"[summary] expected {len(sizes)} dtypes, got {len(kinds)}")
    usual, place = (None, None) if first is None else (first.dtype, first.device)
    examples = [zeros((1, *size), dtype=kind or usual, device=place) for size, kind in zip(sizes, kinds, strict=True)]
    params = list(model.parameters())
    trainable = [p for p in params if p.requires_grad]
    return Summary(
        type(model).__name__,
        _rows(model, examples),
        sum(p.numel() for p in params),
        sum(p.numel() for p in trainable),
        sum(p.numel() * p.element_size() for p in params),
        sum(p.numel() * p.element_size() for p in trainable),
    )


def _rows(model: Module, examples: list[Tensor]) -> list[Row]:
    rows: dict[int, Row] = {}
    counted: set[int] = set()  # a parameter that two layers share belongs to the first

    def listen(name: str, module: Module) -> Any:
        def hook(_: Module, __: Any, out: Any) -> None:
            if id(module) in rows:
                return
            own = [p for p in module.parameters(recurse=False) if id(p) not in counted]
            counted.update(id(p) for p in own)
            rows[id(module)] = Row(name, type(module).__name__, _shape(out), sum(p.numel() for p in own))

        return module.register_forward_hook(hook)

    handles = []
    try:
        for name, module in model.named_modules():
            if not any(True for _ in module.children()) or any(True for _ in module.parameters(recurse=False)):
                handles.append(listen(name or type(module).__name__.lower(), module))
        with evaluating(model), no_grad():
            model(*examples)
    finally:
        for handle in handles:
            handle.remove()
    return list(rows.values())
