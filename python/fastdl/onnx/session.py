"""Models that run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..grad_mode import no_grad
from ..plan.plan import Plan
from ..tensor import Tensor
from .graph import Argument, Graph
from .operators.registry import host
from .reading import Source, read
from .types import held

MAX_SHAPES = 256  # that a session remembers


class Session:
    """A model read by `fastdl.onnx.load`: `run` on NumPy arrays as ONNX Runtime's, or called with tensors.

    `inputs` and `outputs` are `Argument`s: name, shape (sizes, names of free dimensions, None) and dtype. Free
    dimensions may differ from call to call. Several threads may use one session.

    From the second call with inputs of the same shapes on, the model runs as a plan (`fastdl.compile`), unless its
    steps depend on the numbers in the inputs.
    """

    def __init__(
        self, graph: Graph, inputs: list[Argument], outputs: list[Argument], device: str, compiled: bool
    ) -> None:
        self.inputs, self.outputs, self.device = inputs, outputs, device
        self._graph = graph
        self._plan = Plan(self._as_tensors, ()) if compiled and device == "cpu" else None
        self._seen: set[Any] = set()  # shapes of inputs that came before

    def __repr__(self) -> str:
        def listed(arguments: list[Argument]) -> str:
            return ", ".join(f"{a.name}: {a.dtype}{list(a.shape or ())}" for a in arguments)

        return f"Session(({listed(self.inputs)}) -> ({listed(self.outputs)}), device={self.device!r})"

    def run(self, output_names: Sequence[str] | None, input_feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs of these names (None: all) for arrays by input name.

        Raises:
            ValueError: for names that the model does not have or that are missing, or shapes that do not fit.
            TypeError: for other dtypes.
        """
        names = [o.name for o in self.outputs]
        wanted = names if output_names is None else list(output_names)
        unknown = [n for n in wanted if n not in names]
        if unknown:
            raise ValueError(f"[onnx] expected outputs {', '.join(names)}, got {', '.join(unknown)}")
        found = dict(zip(names, self._run(input_feed), strict=True))
        kinds = {o.name: o.dtype for o in self.outputs}
        return [np.array(host(found[n]), kinds[n], order="C") for n in wanted]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The output, or a tuple of them, as tensors; inputs are tensors, in order or by name."""
        if len(args) > len(self.inputs):
            raise ValueError(f"[onnx] expected at most {len(self.inputs)} inputs, got {len(args)}")
        by_place = {a.name: v for a, v in zip(self.inputs, args, strict=False)}
        twice = sorted(by_place.keys() & kwargs.keys())
        if twice:
            raise ValueError(f"[onnx] expected each input once, got {', '.join(twice)} twice")
        outs = self._run({**by_place, **kwargs})
        tensors = tuple(self._graph.context.tensor(v) for v in outs)
        return tensors[0] if len(tensors) == 1 else tensors

    def _run(self, feed: Mapping[str, Any]) -> list[Any]:
        names = [a.name for a in self.inputs]
        if not isinstance(feed, Mapping):
            raise TypeError(f"[onnx] expected a dict of arrays by input name, got {type(feed).__name__}")
        if set(feed) != set(names):
            raise ValueError(f"[onnx] expected inputs {', '.join(names)}, got {', '.join(feed) or 'none'}")
        values = [self._input(a, feed[a.name]) for a in self.inputs]
        shapes = tuple((v.shape, v.dtype) for v in values)
        plan = self._plan
        if shapes in self._seen and plan is not None and all(isinstance(v, Tensor) for v in values):
            try:
                return list(plan(*values))
            except (RuntimeError, ValueError):  # of a network that is no plan, and then always
                self._plan = None
        if len(self._seen) < MAX_SHAPES:
            self._seen.add(shapes)
        with no_grad():
            return self._graph.run(values)

    def _as_tensors(self, *values: Tensor) -> tuple[Tensor, ...]:
        """The network as a function of tensors: what a plan is made of."""
        return tuple(self._graph.context.tensor(v) for v in self._graph.run(values))

    def _input(self, expected: Argument, value: Any) -> Any:
        if not isinstance(value, Tensor):
            value = np.asarray(value)
        kind = value.dtype.numpy if isinstance(value, Tensor) else value.dtype
        if kind not in (expected.dtype, held(expected.dtype)) and expected.dtype != object:
            raise TypeError(f"[onnx] expected {expected.name!r} of dtype {expected.dtype}, got {kind}")
        fits = expected.shape is None or (
            len(expected.shape) == value.ndim
            and all(n == m or not isinstance(m, int) for n, m in zip(value.shape, expected.shape, strict=True))
        )
        if not fits:
            raise ValueError(f"[onnx] expected {expected.name!r} of shape {expected.shape}, got shape {value.shape}")
        if isinstance(value, Tensor):
            return value.detach().to(device=self.device)
        value = value.astype(held(expected.dtype), copy=False)
        return self._graph.context.tensor(value) if value.dtype.name in dtypes.dtype._by_name else value


def load(source: Source, device: str = "cpu", *, compiled: bool = True) -> Session:
    """A model of an ONNX file (a path), its bytes, or a ModelProto, ready to run.

    Opsets 1 to the newest that the onnx package knows. Half precision is computed in float32, quantised numbers in
    floating point. With `compiled=False` the session never makes plans, which take memory for the weights once more.
    Needs `onnx` (`pip install 'fastdl[onnx]'`).

    Raises:
        FileNotFoundError, TypeError: for a source that is not there, or is something else.
        ValueError: for a file that is damaged or breaks the rules of the format.
        NotImplementedError: for operators that fastdl lacks: all of them are listed.

    >>> import fastdl, onnx.parser
    >>> model = onnx.parser.parse_model('''
    ...     <ir_version: 8, opset_import: ["" : 17]>
    ...     twice (float[N, 2] x) => (float[N, 2] y) { y = Add(x, x) }''')
    >>> session = fastdl.onnx.load(model)
    >>> session.inputs[0].shape, session.run(None, {"x": np.ones((1, 2), np.float32)})[0].tolist()
    (('N', 2), [[2.0, 2.0]])
    >>> session(fastdl.ones(3, 2)).shape
    (3, 2)
    """
    graph, inputs, outputs = read(source, device)
    return Session(graph, inputs, outputs, device, compiled)
