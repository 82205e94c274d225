"""`compile` and what it returns."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .. import backends
from ..nn.module import Module
from ..tensor import Tensor
from .folding import Weights
from .graph import Graph
from .innermost import channels_innermost
from .lower import Recording, record_graph
from .passes import optimize
from .trace import is_tracing, trace
from .tracer import copied
from .tree import Tree, flatten

if TYPE_CHECKING:
    from .profile import Profile

Array = Any


class _Snapshot:
    """The numbers that parameters, buffers and other tensors from outside had when a plan first saw them."""

    def __init__(self, model: Any) -> None:
        self._named: dict[str, Array] = {}
        self._others: dict[int, tuple[Array, Array]] = {}  # by identity: the array, kept alive, and its copy
        if isinstance(model, Module):
            for name, tensor in (*model.named_buffers(), *model.named_parameters()):
                if tensor.device.type == "cpu":
                    self._named[name] = copied(tensor._array)

    def hold(self, array: Array, name: str | None) -> Array:
        if name is not None:
            copy = self._named.get(name)
            if copy is not None and copy.shape == array.shape and copy.dtype == array.dtype:
                return copy
        if id(array) not in self._others:
            self._others[id(array)] = array, copied(array)
        return self._others[id(array)][1]


class Plan:
    """A network as a list of kernels with their arguments, run without Python between them. `fastdl.compile` makes it.

    Calling it takes what the network takes and returns what it returns, in new tensors without gradients. Inputs of
    other shapes or dtypes are recorded at their first use; the `max_shapes` last used recordings are kept, and the
    weights are theirs together. One run at a time: other threads wait.
    """

    def __init__(self, model: Callable[..., Any], example: tuple[Any, ...], max_shapes: int = 8) -> None:
        if not callable(model):
            raise TypeError(f"[compile] expected a Module or a function, got {type(model).__name__}")
        if type(max_shapes) is not int or max_shapes < 1:
            raise ValueError(f"[compile] expected max_shapes of at least 1, got {max_shapes!r}")
        self._model, self._max_shapes = model, max_shapes
        self._lock = threading.RLock()
        self._recordings: OrderedDict[Any, tuple[Recording, Tree]] = OrderedDict()
        self.refresh()
        if example:
            self._recording(example, _key(*_flat(example)))

    def __call__(self, *inputs: Any) -> Any:
        if is_tracing():
            return self._model(*inputs)  # a plan within a network that is compiled itself
        leaves, around = _flat(inputs)
        key = _key(leaves, around)
        with self._lock:
            recording, tree = self._recording(inputs, key)
            outs = recording.recorded.run([leaf._array for leaf in leaves])
        cpu = backends.get("cpu")
        if tree.kind is Tensor:
            return Tensor(outs[0], cpu)
        return tree.fill(iter([Tensor(out, cpu) for out in outs]))

    def refresh(self) -> None:
        """Takes the model's weights as they are now; until then a plan has those of the time when it was made."""
        with self._lock:
            self._snapshot, self._weights = _Snapshot(self._model), Weights()
            self._recordings.clear()

    # ---- recordings --------------------------------------------------------------------------------------------------

    def _recording(self, inputs: tuple[Any, ...], key: Any) -> tuple[Recording, Tree]:
        found = self._recordings.get(key)
        if found is None:
            graph = optimize(trace(self._model, *inputs, hold=self._snapshot.hold), self._weights)
            graph = channels_innermost(graph, backends.get("cpu").channel_block(), self._weights)
            found = self._recordings[key] = record_graph(graph, self._weights), graph.tree
            if len(self._recordings) > self._max_shapes:
                self._recordings.popitem(last=False)
        else:
            self._recordings.move_to_end(key)
        return found

    def _latest(self) -> Recording:
        if not self._recordings:
            raise RuntimeError("[Plan] expected inputs of some shape first, got none since compile() or refresh()")
        return next(reversed(self._recordings.values()))[0]

    # ---- what it is --------------------------------------------------------------------------------------------------

    @property
    def graph(self) -> Graph:
        """The nodes of the recording used last, after all passes."""
        return self._latest().graph

    def memory(self) -> dict[str, int]:
        """Bytes of the recording used last: "arena", where its arrays live, "intermediates", what they would take if
        none shared memory, and "weights", those among them that are packed or transformed for their kernels."""
        recording = self._latest()
        recorded = recording.recorded
        return {"arena": recorded.memory, "intermediates": recorded.intermediates, "weights": recording.weight_bytes()}

    def profile(self, *inputs: Any, repeats: int = 10) -> Profile:
        """Times each step of the recording used last (or that of `inputs`), the median of `repeats` runs.

        >>> import fastdl
        >>> plan = fastdl.compile(fastdl.nn.Linear(64, 32), fastdl.ones(8, 64))
        >>> [row.function for row in plan.profile().rows]
        ['linear']
        """
        from .profile import profile

        with self._lock:
            if inputs:
                self._recording(inputs, _key(*_flat(inputs)))
            return profile(self._latest(), inputs, repeats)

    def __str__(self) -> str:
        return str(self.graph)

    def __repr__(self) -> str:
        name = getattr(self._model, "__name__", type(self._model).__name__)
        return f"Plan({name}, {len(self._recordings)} recordings)"


def _flat(inputs: tuple[Any, ...]) -> tuple[Sequence[Tensor], Tree | None]:
    """The tensors of the arguments, and what is around them: None for plain arguments, which are most."""
    for value in inputs:
        if not isinstance(value, Tensor):
            break
    else:
        return inputs, None
    leaves, around = flatten(inputs)
    try:
        hash(around)
    except TypeError as error:
        raise TypeError(f"[compile] expected tensors, numbers and names in tuples and dicts, got an {error}") from None
    return leaves, around


def _key(leaves: Sequence[Tensor], around: Tree | None) -> tuple:
    """What a recording is for. The settings decide how kernels want their weights."""
    cpu = backends.get("cpu")
    parts: list[Any] = [around, cpu.isa(), cpu.get_num_threads(), cpu.get_conv_algorithm()]
    for leaf in leaves:
        if leaf._backend is not cpu:
            raise ValueError(f"[compile] expected tensors on cpu, got one on {leaf.device}")
        parts += leaf._array.shape, leaf._array.dtype
    return tuple(parts)


def compile(model: Callable[..., Any], *example: Any, max_shapes: int = 8) -> Plan:
    """A `Plan` that computes what a module or function of tensors does, faster: batch norms folded into convolutions,
    sums and activations fused, weights packed beforehand, chains of convolutions with channels innermost, memory
    planned, and no Python between kernels. For inference on the CPU; the counterpart of `torch.compile` and of ONNX
    Runtime's sessions.

    Args:
        model: a Module, computed as in evaluation whatever its mode, or a function. Its mode, hooks and parameters stay
            as they are. The plan has the weights of the time of `compile`; `plan.refresh()` takes them again.
        example: inputs for the first recording; tuples, lists and dicts of tensors are fine. Without any, the first
            call records.
        max_shapes: how many recordings are kept, one for each combination of shapes and dtypes.

    Raises:
        ValueError: for tensors that are not on the CPU.
        RuntimeError: for a network whose steps depend on the numbers in its inputs (`item()`, `if tensor:`, boolean
            indices, `nms`), that draws random numbers, or that writes into its parameters or buffers.

    >>> import fastdl
    >>> from fastdl import nn
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(32, 5))
    >>> plan = fastdl.compile(net, fastdl.ones(1, 3, 4, 4))
    >>> [node.function for node in plan.graph.nodes]
    ['conv2d', 'reshape', 'linear']
    >>> x = fastdl.rand(2, 3, 4, 4)
    >>> fastdl.allclose(plan(x), net.eval()(x), atol=1e-5)
    True
    """
    return Plan(model, example, max_shapes)
