"""OpCase: an operation with its inputs, sizes, errors and costs, said once.

The test driver runs each case on every device and instruction set against `device="reference"` in float64, checks its
gradients and its bad calls; the rows of the benchmark (bench/rows) name cases too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np

from ..creation import tensor
from ..tensor import Tensor
from .tolerance import host

Attributes = Mapping[str, Any]
Inputs = Sequence[np.ndarray]


@dataclass(frozen=True)
class BadCall:
    """A call that must fail: `call(device)` raises exactly `error` with exactly `message`."""

    call: Callable[[str], Any]
    error: type[Exception]
    message: str


@dataclass(frozen=True)
class OpCase:
    """One operation.

    `inputs(rng, **attributes)` makes NumPy arrays, floats in float64; `call(*tensors, **attributes)` is the function
    under test. Arrays of floats are differentiated unless `differentiable` says which ones are.

    >>> import fastdl
    >>> case = OpCase(
    ...     "relu", call=fastdl.functional.relu, inputs=lambda rng, n: [rng.standard_normal(n)], sizes=[{"n": 3}]
    ... )
    >>> out, grads = case.run("reference", "float64", case.sizes[0], seed=0)
    >>> out[0].shape, len(grads)
    ((3,), 1)
    """

    name: str
    call: Callable[..., Any]
    inputs: Callable[..., Inputs]
    sizes: Sequence[Attributes] = field(default_factory=lambda: [{}])  # around vector and tile multiples, and empty
    bad: Sequence[BadCall] = ()
    _: KW_ONLY
    differentiable: Sequence[int] | None = None  # positions of inputs that have gradients; None: all floats
    shape_only: Sequence[str] = ()  # attributes that `inputs` takes and `call` does not
    dtypes: Sequence[str] = ("float32", "float64")
    epsilons: float = 32  # tolerance of the result and of gradients, as in assert_close
    gradcheck_sizes: Sequence[Attributes] | None = None  # None: the first of `sizes`
    flops: Callable[..., float] | None = None  # of (*inputs, **attributes), forward
    bytes: Callable[..., float] | None = None  # least memory traffic, forward

    def make(self, attributes: Attributes, seed: int) -> list[np.ndarray]:
        """The inputs of one size, the same on every device."""
        return [np.asarray(a) for a in self.inputs(np.random.default_rng(seed), **attributes)]

    def is_differentiable(self, i: int, array: np.ndarray) -> bool:
        return array.dtype.kind == "f" and (self.differentiable is None or i in self.differentiable)

    def tensors(self, arrays: Inputs, device: str, dtype: str, requires_grad: bool = True) -> list[Tensor]:
        """The inputs on a device; floats take the dtype."""
        out = []
        for i, a in enumerate(arrays):
            wanted = dtype if a.dtype.kind == "f" else a.dtype.name
            out.append(
                tensor(a, dtype=wanted, device=device, requires_grad=requires_grad and self.is_differentiable(i, a))
            )
        return out

    def call_attributes(self, attributes: Attributes) -> dict[str, Any]:
        shape_only = self._shape_only(attributes)
        return {k: v for k, v in attributes.items() if k not in shape_only}

    def _shape_only(self, attributes: Attributes) -> set[str]:
        if self.shape_only:
            return set(self.shape_only)
        names = _argument_names(self.call)
        return {k for k in attributes if names is not None and k not in names}

    def run(
        self, device: str, dtype: str, attributes: Attributes, seed: int = 0
    ) -> tuple[list[np.ndarray], list[np.ndarray | None]]:
        """Outputs, and gradients of the differentiable inputs from fixed random output gradients, as NumPy arrays."""
        return self.run_on(self.make(attributes, seed), device, dtype, attributes)

    def run_on(
        self, arrays: Inputs, device: str, dtype: str, attributes: Attributes
    ) -> tuple[list[np.ndarray], list[np.ndarray | None]]:
        """As `run`, on given arrays: a float64 reference run of what a float32 run saw gets them from `rounded`."""
        inputs = self.tensors(arrays, device, dtype)
        result = self.call(*inputs, **self.call_attributes(attributes))
        outs = list(result) if isinstance(result, tuple | list) else [result]
        first = outs[0]
        if first.requires_grad:
            weights = np.random.default_rng(1).uniform(0.5, 1.5, first.shape).astype(np.float32)
            first.backward(tensor(weights, dtype=first.dtype, device=device))
        grads = [None if t.grad is None else host(t.grad) for t in inputs if t.requires_grad]
        return [host(o) for o in outs], grads

    @staticmethod
    def rounded(arrays: Inputs, dtype: str) -> list[np.ndarray]:
        """Floats rounded to a dtype and back to float64: the numbers that a kernel of that dtype is given."""
        return [a.astype(dtype).astype(np.float64) if a.dtype.kind == "f" else a for a in arrays]


def _argument_names(function: Callable[..., Any]) -> set[str] | None:
    """Names that a function takes as keywords; None if it takes any."""
    import inspect

    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return {p.name for p in parameters}
