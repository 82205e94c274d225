"""Operations with several outputs on the tape.

Each output has a node of its own, which passes its gradient on to the operation's node. That one is older, so its turn
comes when the gradients of all outputs have arrived, in a list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from . import anomaly
from .autograd import Node

if TYPE_CHECKING:
    from .tensor import Tensor

Array = Any


def _one_of_several(node: Node, g: Array) -> tuple[list[Array | None]]:
    """Passes the gradient of one output on to the operation that has several, in its place."""
    place, count = node.saved
    return ([g if i == place else None for i in range(count)],)


def record_several(outs: Sequence[Tensor], rule: Callable, inputs: tuple[Tensor, ...], saved: Any) -> None:
    """`record` for several outputs; the rule gets a list of their gradients, None for those that nothing came from."""
    edges = tuple([t._node or (t if t.requires_grad else None) for t in inputs])
    origin = Node(rule, edges, saved, outs[0]._backend)
    for i, out in enumerate(outs):
        out.requires_grad = True
        out._node = Node(_one_of_several, (origin,), (i, len(outs)), out._backend)
        if anomaly.watch is not None:
            anomaly.watch.recorded(out, inputs)
