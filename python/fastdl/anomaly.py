"""Anomaly mode: which operation made the first NaN.

Every operation that is recorded keeps where in the program it was called and whether a NaN appeared in its result;
every step back is looked at. Slow: for debugging.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .row_grad import RowGrad
from .spread_grad import SpreadGrad

if TYPE_CHECKING:
    from .autograd import Node
    from .tensor import Tensor

_HERE = os.path.dirname(__file__) + os.sep
watch: _Watch | None = None  # in anomaly mode what the tape calls


class _Trace(NamedTuple):
    born: bool  # a NaN in the result and none in the operands
    stack: str  # the calls that led here


def _has_nan(backend: Any, array: Any) -> bool:
    if type(array) is RowGrad:
        array = array._values
    if type(array) is SpreadGrad:
        array = array.value
    values = backend.to_numpy(array)
    return values.dtype.kind == "f" and bool(np.isnan(values).any())


class _Watch:
    """Looks at every operation that is recorded and at every step back."""

    def __init__(self, check_nan: bool) -> None:
        self.check_nan = check_nan

    def recorded(self, out: Tensor, inputs: tuple[Tensor, ...]) -> None:
        import traceback

        born = self.check_nan and _has_nan(out._backend, out._array)
        born = born and not any(_has_nan(t._backend, t._array) for t in inputs)
        calls = [f for f in traceback.extract_stack() if not f.filename.startswith(_HERE)]
        out._node.trace = _Trace(born, "".join(traceback.format_list(calls[-3:])))

    def started(self, root: Tensor) -> None:
        """A root that is NaN already: the oldest operation whose result was and whose operands were not."""
        if not self.check_nan or not _has_nan(root._backend, root._array):
            return
        found: Node | None = None
        waiting: list[Any] = [root._node]
        seen: set[int] = set()
        while waiting:
            node = waiting.pop()
            if not hasattr(node, "edges") or id(node) in seen:  # leaves have none
                continue
            seen.add(id(node))
            trace = getattr(node, "trace", None)
            if trace is not None and trace.born and (found is None or node.number < found.number):
                found = node
            waiting += node.edges
        if found is not None:
            raise RuntimeError(f"[detect_anomaly] expected numbers, got NaN in the result of {_told(found)}")

    def stepped(self, node: Node, grad: Any, grads: Sequence[Any]) -> None:
        if not self.check_nan:
            return
        arrived = [g for g in (grad if type(grad) is list else [grad]) if g is not None]
        if any(_has_nan(node.backend, g) for g in arrived):
            return  # born elsewhere
        for i, g in enumerate(grads):
            if g is not None and type(g) is not list and _has_nan(node.backend, g):
                raise RuntimeError(f"[detect_anomaly] expected numbers, got NaN in gradient {i} of {_told(node)}")


def _told(node: Node) -> str:
    trace = getattr(node, "trace", None)
    return node.name() + ("" if trace is None else f", which was called here:\n{trace.stack}")


class set_detect_anomaly:
    """Anomaly mode on or off, for all threads; also a context manager (`torch.autograd.set_detect_anomaly`)."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        global watch
        self._before = watch
        watch = _Watch(bool(check_nan)) if mode else None

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        global watch
        watch = self._before


class detect_anomaly(set_detect_anomaly):
    """Context manager in which `backward` names the operation where a NaN was born (`torch.autograd.detect_anomaly`).

    It raises a RuntimeError with the operation and the lines of the program that called it: the first operation whose
    gradients are NaN though what arrived was not, or, if the loss itself is NaN, the one whose result first was.

    >>> import fastdl
    >>> x = fastdl.tensor([-1.0], requires_grad=True)
    >>> try:
    ...     with fastdl.autograd.detect_anomaly():
    ...         (x.sqrt() * 2).sum().backward()
    ... except RuntimeError as error:
    ...     print(str(error).splitlines()[0])
    [detect_anomaly] expected numbers, got NaN in the result of SqrtBackward, which was called here:
    """

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(True, check_nan)


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on (`torch.is_anomaly_enabled`)."""
    return watch is not None
