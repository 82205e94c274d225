"""Reverse-mode gradients (the chain rule) on a tape that operations write as they run.

Every operation on a tensor that requires a gradient leaves a `Node`: the rule that turns the gradient of its output
into the gradients of its inputs, what the rule needs to know, and where those gradients go (the edges). `backward`
walks the nodes from the newest to the oldest. Gradients are first order: rules work on arrays, not on tensors.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from . import anomaly, precision
from .anomaly import detect_anomaly, is_anomaly_enabled, set_detect_anomaly
from .grad_mode import enable_grad, inference_mode, is_grad_enabled, mode, no_grad, set_grad_enabled
from .row_grad import RowGrad, dense, deposit, total
from .spread_grad import SpreadGrad

if TYPE_CHECKING:
    from .tensor import Tensor

__all__ = [
    "Context", "Function", "backward", "detect_anomaly", "enable_grad", "grad", "inference_mode", "is_anomaly_enabled",
    "is_grad_enabled", "no_grad", "set_detect_anomaly", "set_grad_enabled",
]  # fmt: skip
Array = Any
Rule = Callable[["Node", Array], Sequence[Array | None]]


_next_number = itertools.count(1).__next__


class Node:
    """One recorded operation.

    `edges[i]` is where the gradient of input i goes: the node that made the input, the input itself when it is a leaf,
    or None when it needs no gradient, in which case the rule may return None there and should compute nothing.
    """

    __slots__ = ("backend", "edges", "hooks", "number", "rule", "saved", "trace")  # trace: only in anomaly mode

    def __init__(self, rule: Rule, edges: tuple[Any, ...], saved: Any, backend: Any) -> None:
        self.rule = rule
        self.edges = edges
        self.saved = saved
        self.backend = backend
        self.number = _next_number()
        self.hooks: list[Callable[[Tensor], Tensor | None]] | None = None

    def needs(self, i: int) -> bool:
        """Whether input i needs a gradient."""
        return self.edges[i] is not None

    def name(self) -> str:
        """The operation as PyTorch would call it: "MulBackward"."""
        words = self.rule.__qualname__.split(".")[0].split("_")
        return "".join(word[:1].upper() + word[1:] for word in words if word not in ("bwd", "scalar")) + "Backward"

    def __repr__(self) -> str:
        return f"<{self.name()}>"


class Leaf:
    """Stands for a leaf tensor that has hooks; it collects the gradient and then runs them."""

    __slots__ = ("backend", "hooks", "number", "tensor")

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.backend = tensor._backend
        self.number = 0  # older than every operation: all contributions have arrived when its turn comes
        self.hooks: list[Callable[[Tensor], Tensor | None]] | None = []


_FREED = object()


def record(out: Tensor, rule: Rule, inputs: tuple[Tensor, ...], saved: Any) -> Tensor:
    """Writes an operation on the tape; the caller has checked `recording(...)`. Returns `out`."""
    out.requires_grad = True
    if precision.open_blocks:
        rule = precision.remembering(rule, out._backend)
    out._node = Node(
        rule, tuple([t._node or (t if t.requires_grad else None) for t in inputs]), saved, out._backend
    )  # fmt: skip
    if anomaly.watch is not None:
        anomaly.watch.recorded(out, inputs)
    return out


def record_pair(out: Tensor, rule: Rule, a: Tensor, b: Tensor, saved: Any) -> Tensor:
    """`record` for two inputs, without the loop: arithmetic on small tensors spends its time here."""
    out.requires_grad = True
    out._node = Node(
        rule,
        (a._node or (a if a.requires_grad else None), b._node or (b if b.requires_grad else None)),
        saved,
        out._backend,
    )
    if anomaly.watch is not None:
        anomaly.watch.recorded(out, (a, b))
    return out


def recording(*inputs: Tensor | None) -> bool:
    """Whether an operation on these inputs must be recorded.

    >>> import fastdl
    >>> recording(fastdl.ones(1)), recording(fastdl.ones(1, requires_grad=True))
    (False, True)
    """
    if mode.enabled:
        for t in inputs:  # a loop, since this runs in every call: any() would make a generator
            if t is not None and t.requires_grad:
                return True
    return False


def fresh(rule: Rule) -> Rule:
    """Marks a rule whose results are new arrays, shared with nothing. A leaf then keeps them without a copy."""
    rule.fresh = True  # type: ignore[attr-defined]
    return rule


# ---- the backward walk -----------------------------------------------------------------------------------------------


class _Walk:
    """Gradients on their way: one per node or leaf that waits for its turn."""

    def __init__(self, targets: dict[int, Array | None] | None) -> None:
        self.targets = targets  # for `grad`: gradients wanted, by id of node or leaf; None writes to .grad
        # By id of the edge: the gradient so far, and whether its array belongs to this walk alone.
        self.waiting: dict[int, tuple[Array, bool]] = {}
        self.heap: list[tuple[int, int, Any]] = []
        self.leaves: dict[int, Tensor] = {}

    def send(self, edge: Any, grad: Array, is_fresh: bool) -> None:
        key = id(edge)
        if key in self.waiting:
            self.waiting[key] = self.joined(edge, *self.waiting[key], grad)
            return
        self.waiting[key] = (grad, is_fresh)
        if type(edge) is Node or type(edge) is Leaf:
            heapq.heappush(self.heap, (-edge.number, key, edge))
        else:
            self.leaves[key] = edge

    @staticmethod
    def joined(edge: Any, held: Array, owned: bool, grad: Array) -> tuple[Array, bool]:
        """The sum of two gradients of an edge, in the place of the first where that may be written."""
        if type(grad) is list:  # of an operation with several outputs (outputs.py)
            return [a if b is None else b for a, b in zip(held, grad, strict=True)], owned
        backend = edge.backend if type(edge) is Node or type(edge) is Leaf else edge._backend
        if type(held) is SpreadGrad:
            held, owned = held.dense(), True
        if type(grad) is SpreadGrad:
            grad = grad.dense() if type(held) is RowGrad else grad.value
        if owned and type(grad) is not RowGrad and type(held) is not RowGrad:
            backend.add_(held, grad)
            return held, True
        return total(backend, held, grad), True

    def run(self, retain_graph: bool) -> None:
        if precision.open_blocks:
            with precision.outside():
                self._run(retain_graph)
        else:
            self._run(retain_graph)

    def _run(self, retain_graph: bool) -> None:
        heap, waiting, targets = self.heap, self.waiting, self.targets
        while heap:
            _, key, node = heapq.heappop(heap)
            grad, own = waiting.pop(key)
            if type(grad) is SpreadGrad and not self.takes_spread(key, node):
                grad, own = grad.dense(), True
            elif type(grad) is RowGrad and (node.hooks or type(node) is Node):
                grad = grad.dense()
            if node.hooks:
                hooked = run_hooks(node.hooks, grad, node.backend)
                own = own and hooked is grad
                grad = hooked
            if targets is not None and key in targets:
                targets[key] = grad
            if type(node) is Node:
                self.step(node, grad)
                if not retain_graph:
                    node.saved = _FREED
            elif targets is None:
                deposit(node.tensor, grad, own)
        for key, leaf in self.leaves.items():
            grad, own = waiting[key]
            if type(grad) is SpreadGrad:
                grad, own = grad.dense(), True
            if targets is None:
                deposit(leaf, grad, own)
            elif key in targets:
                targets[key] = grad

    def takes_spread(self, key: int, node: Any) -> bool:
        wanted = self.targets is not None and key in self.targets
        return type(node) is Node and getattr(node.rule, "takes_spread", False) and not node.hooks and not wanted

    def step(self, node: Node, grad: Array) -> None:
        if node.saved is _FREED:
            raise RuntimeError(
                "[backward] expected a graph that still holds its saved values, got one that an earlier backward() "
                "freed: call that one with retain_graph=True"
            )
        rule = node.rule
        grads = rule(node, grad)
        if anomaly.watch is not None:
            anomaly.watch.stepped(node, grad, grads)
        is_fresh = getattr(rule, "fresh", False)
        for edge, g in zip(node.edges, grads, strict=True):
            if edge is not None and g is not None:
                self.send(edge, g, is_fresh)


def run_hooks(hooks: Iterable[Callable], grad: Array, backend: Any) -> Array:
    from .tensor import Tensor

    for hook in hooks:
        replaced = hook(Tensor(grad, backend))
        if replaced is not None:
            grad = replaced._array
    return grad


def _expect_tensors(op: str, name: str, values: Any) -> list[Tensor]:
    from .tensor import Tensor

    if not isinstance(values, tuple | list):
        raise TypeError(f"[{op}] expected a Tensor or several for {name}, got {type(values).__name__}")
    for value in values:
        if not isinstance(value, Tensor):
            raise TypeError(f"[{op}] expected a Tensor for {name}, got {type(value).__name__}")
    return list(values)


def _root_gradient(root: Tensor, gradient: Tensor | None, op: str) -> Array:
    if not root.requires_grad:
        raise RuntimeError(f"[{op}] expected a tensor that requires a gradient, got one that does not")
    backend = root._backend
    if gradient is None:
        if root._array.size != 1:
            raise RuntimeError(f"[{op}] expected a gradient for an output of shape {root.shape}, got None")
        one = backend.empty(root._array.shape, str(root._array.dtype))
        backend.fill_(one, 1)
        return one
    _expect_tensors(op, "gradient", [gradient])
    if gradient.shape != root.shape:
        raise ValueError(f"[{op}] expected a gradient of shape {root.shape}, got {gradient.shape}")
    if gradient._backend is not backend or gradient.dtype is not root.dtype:
        raise TypeError(
            f"[{op}] expected a gradient of dtype {root.dtype.name} on {root.device}, "
            f"got {gradient.dtype.name} on {gradient.device}"
        )
    return gradient._array


def refuse_create_graph(create_graph: Any, op: str) -> None:
    if create_graph:
        raise NotImplementedError(f"[{op}] expected create_graph=False (gradients are first order), got {create_graph}")


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool = False,
) -> None:
    """Adds the gradient of a tensor, or of the sum of several, with respect to every leaf that it was computed from to
    the leaf's `.grad` (`torch.autograd.backward`).

    Raises:
        RuntimeError: for a root that needs no gradient, an output of several numbers without a gradient of its own, or
            a graph that an earlier call freed (`retain_graph=True` there keeps it).
        ValueError: for another number of gradients than of tensors.

    >>> import fastdl
    >>> x = fastdl.tensor(3.0, requires_grad=True)
    >>> fastdl.autograd.backward([x * 2, x * x])
    >>> x.grad.item()
    8.0
    """
    walk = _Walk(None)
    for root, gradient in _roots(tensors, grad_tensors):
        if anomaly.watch is not None:
            anomaly.watch.started(root)
        walk.send(root._node or root, _root_gradient(root, gradient, "backward"), False)
    walk.run(retain_graph)


def _roots(tensors: Any, gradients: Any) -> Iterable[tuple[Tensor, Tensor | None]]:
    if not isinstance(tensors, tuple | list):
        return ((tensors, gradients),)
    roots = _expect_tensors("backward", "tensors", tensors)
    given = [None] * len(roots) if gradients is None else list(gradients)
    if len(given) != len(roots):
        raise ValueError(f"[backward] expected a gradient for each of {len(roots)} tensors, got {len(given)}")
    return zip(roots, given, strict=True)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool = False,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """Gradients of the outputs' sum with respect to `inputs`, without touching any `.grad` (`torch.autograd.grad`).

    >>> import fastdl
    >>> x = fastdl.tensor([3.0], requires_grad=True)
    >>> fastdl.autograd.grad(x * x, x)[0].item()
    6.0
    """
    from .tensor import Tensor

    refuse_create_graph(create_graph, "grad")
    outs = _expect_tensors("grad", "outputs", [outputs] if isinstance(outputs, Tensor) else outputs)
    ins = _expect_tensors("grad", "inputs", [inputs] if isinstance(inputs, Tensor) else inputs)
    given: list[Tensor | None]
    if grad_outputs is None:
        given = [None] * len(outs)
    else:
        given = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)
        if len(given) != len(outs):
            raise ValueError(f"[grad] expected {len(outs)} grad_outputs, got {len(given)}")
    keys = [id(t._node or t) for t in ins]
    walk = _Walk(dict.fromkeys(keys))
    for out, g in zip(outs, given, strict=True):
        if anomaly.watch is not None:
            anomaly.watch.started(out)
        walk.send(out._node or out, _root_gradient(out, g, "grad"), False)
    walk.run(retain_graph)
    results: list[Tensor | None] = []
    for key, t in zip(keys, ins, strict=True):
        found = walk.targets[key]  # type: ignore[index]
        if found is None and not allow_unused:
            raise RuntimeError(
                "[grad] expected inputs that the outputs depend on, got one they do not (allow_unused=True gives None)"
            )
        results.append(None if found is None else Tensor(dense(found), t._backend))
    return tuple(results)


def Variable(data: Tensor, requires_grad: bool = False) -> Tensor:
    """The tensor itself: PyTorch's name from when tensors had no gradients of their own."""
    return data.requires_grad_() if requires_grad else data


from .function import Context, Function  # noqa: E402 (they need what is defined above)
