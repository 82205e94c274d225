"""Running products and logarithms, which ONNX has no operator for.

They become rounds, after each of which an element holds what twice as many elements up to it come to.
"""

from __future__ import annotations

from ...plan.graph import Node
from .writer import Writer, exports, same


@exports("cumprod", "logcumsumexp")
def rounds(w: Writer, node: Node, twin: Node) -> None:
    (x,) = w.inputs(node, twin, 0)
    axis, step = node.args[1], 1
    size = same(node.out.shape[axis], twin.out.shape[axis], "a size")
    while step < size:
        first, rest, before = (
            w.add("Slice", [x, w.ints([begin]), w.ints([end]), w.ints([axis])])
            for begin, end in ((0, step), (step, size), (0, size - step))
        )
        x = w.add("Concat", [first, _both(w, node, rest, before)], axis=axis)
        step *= 2
    w.define(node, x)


def _both(w: Writer, node: Node, a: str, b: str) -> str:
    if node.function == "cumprod":
        return w.add("Mul", [a, b])
    apart = w.add("Neg", [w.add("Abs", [w.add("Sub", [a, b])])])
    return w.add("Add", [w.add("Max", [a, b]), w.add("Softplus", [apart])])
