"""CUDA graphs: a training step noted once and then started by one call (`torch.cuda.CUDAGraph`).

A small network's step spends more time in Python than on the GPU. A graph is what its kernels were: their addresses and
sizes stay, the numbers change. So new batches are copied into the tensors that the capture read, and results read from
those that it made. What the program decides from numbers on the host (`if loss.item() > 1`) cannot be in a graph.

Random numbers go on from replay to replay as in eager steps, and so do the optimizers: before a replay, their step runs
once more on the host for its coefficients, so schedules of the learning rate and Adam's corrections count.

With a `GradScaler` the GPU decides whether its step is done. The host learns of it when it needs to (`settle`): a step
that was skipped takes back the optimizer's counts, and then the scale of the next one is known.
"""

from __future__ import annotations

import contextlib
import math
import threading
import weakref
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..autograd import no_grad
from ..random import default_generator
from .module import module_of
from .streams import Stream, current_stream
from .streams import stream as on_stream

if TYPE_CHECKING:
    from ..amp.grad_scaler import GradScaler
    from ..optim.optimizer import Optimizer


class _Capturing(threading.local):
    graph: CUDAGraph | None = None


_here = _Capturing()


class CUDAGraph:
    """Noted work of a GPU. Capture it with `fastdl.cuda.graph`, then `replay()` it as often as wanted.

    Memory that was allocated in the capture belongs to the graph and is not reused by anything else; tensors made there
    keep their place, and each replay writes them anew.

    Args:
        device: "cuda" (default) or "emu", where a replay runs the noted kernels one after another.

    >>> import fastdl
    >>> x = fastdl.ones(3, device="emu")
    >>> g = fastdl.cuda.CUDAGraph(device="emu")
    >>> with fastdl.cuda.graph(g):
    ...     y = (x * 2).sum()
    >>> _ = x.fill_(5.0); g.replay(); y.item()
    30.0
    """

    def __init__(self, device: Any = None) -> None:
        self._module = module_of(device)
        self._native = self._module.graph()
        self._pool: Any = None
        self._captured = False
        self._first = self._counters = 0  # of the random numbers
        self._steps: list[Callable[[], Any]] = []
        self._counts: Counts = []  # states of optimizers, and what they held
        self._optimizers: list[Optimizer] = []  # whose states it updates where they lie
        self._guards: list[Guard] = []  # steps that may be skipped
        self._updates: list[GradScaler] = []  # scalers whose update() is part of the graph
        self._guard: Guard | None = None  # of the step that is being captured
        self._stream: Stream | None = None  # of the last replay
        with _graphs_lock:
            _graphs.add(self)

    def capture_begin(self, pool: Any = None, capture_error_mode: str = "global") -> None:
        """What this thread gives its current stream, which must not be the default one, goes into the graph.

        `pool` is the memory of other graphs (`graph_pool_handle()`, or `pool()` of one), which must then be replayed in
        the order of their capture and never at the same time.
        """
        modes = ("global", "thread_local", "relaxed")
        if capture_error_mode not in modes:
            raise ValueError(f"[CUDAGraph] expected capture_error_mode {', '.join(modes)}, got {capture_error_mode!r}")
        if _here.graph is not None:
            raise RuntimeError("[CUDAGraph] expected no other capture in this thread, got one")
        if self._module.current_stream() == 0:
            raise RuntimeError("[CUDAGraph] expected a capture on another stream, got the default one")
        settle()
        self.reset()
        self._pool = pool if pool is not None else self._module.graph_pool()
        self._first = default_generator.here.offset
        self._native.begin(self._pool, capture_error_mode, self._first)
        _here.graph = self

    def capture_end(self) -> None:
        """Ends the capture that `capture_begin` began."""
        if _here.graph is not self:
            raise RuntimeError("[CUDAGraph] expected a capture that has begun, got none")
        _here.graph = None
        generator = default_generator.here
        self._counters, generator.offset = generator.offset - self._first, self._first
        for state, held in self._counts:  # nothing of the capture has happened
            state.update(held)
        for guard in self._guards:
            guard.scaler._forget()
        self._native.end()
        self._captured = True

    def replay(self) -> None:
        """Does the noted work, on the current stream.

        Raises:
            RuntimeError: without a capture, inside one, or where an optimizer of the capture has other gradients now.

        A graph with a `GradScaler` waits for the replay before, whose overflow decides about the scale.
        """
        if not self._captured:
            raise RuntimeError("[CUDAGraph] expected a graph that was captured, got none")
        if _here.graph is None:
            settle()
        first = default_generator.take_counters(self._counters)
        with no_grad():  # what repeats on the host is no part of any tape
            self._native.replay(self._steps, default_generator.seed, first)
        if self._guards or self._updates:
            self._stream = current_stream(self._module.NAME)
            _unsettled.append(self)

    def reset(self) -> None:
        """Forgets the noted work and gives its memory back when no tensor holds it."""
        self._native.reset()
        self._pool, self._captured, self._steps, self._counts = None, False, [], []
        self._guards, self._updates, self._guard, self._optimizers = [], [], None, []

    def pool(self) -> Any:
        """The memory that it works in, for another capture."""
        if self._pool is None:
            raise RuntimeError("[CUDAGraph] expected a graph that was captured, got none")
        return self._pool


class graph:
    """`with fastdl.cuda.graph(g):` captures its block into a CUDAGraph (`torch.cuda.graph`). Nothing runs meanwhile.

    Args:
        cuda_graph: the `CUDAGraph` to fill.
        pool: memory of other graphs, see `CUDAGraph.capture_begin`.
        stream: where to capture; by default a stream of its own.
        capture_error_mode: which calls of the program are refused meanwhile: "global" (of any thread), "thread_local"
            or "relaxed".

    Run a step or two before the capture, so that optimizers and lazy layers have their states, then
    `optimizer.zero_grad()`. Optimizers, a `GradScaler` and `step()` of a learning-rate schedule inside the block go on
    from replay to replay, also from what `load_state_dict` took over in between; states of another kind than those of
    the capture are refused there. Work that waits for the GPU, copies from or to the host, or allocates outside of the
    pool is refused with a RuntimeError.

    >>> import fastdl
    >>> w = fastdl.ones(2, device="emu", requires_grad=True)
    >>> optimizer = fastdl.optim.SGD([w], lr=0.25)
    >>> g = fastdl.cuda.CUDAGraph(device="emu")
    >>> with fastdl.cuda.graph(g):
    ...     (w * w).sum().backward()
    ...     optimizer.step()
    >>> g.replay(); w.tolist()
    [0.5, 0.5]
    """

    def __init__(
        self,
        cuda_graph: CUDAGraph,
        pool: Any = None,
        stream: Stream | None = None,
        capture_error_mode: str = "global",
    ) -> None:
        if not isinstance(cuda_graph, CUDAGraph):
            raise TypeError(f"[graph] expected a CUDAGraph, got {type(cuda_graph).__name__}")
        self._graph, self._pool, self._mode = cuda_graph, pool, capture_error_mode
        self._stream = stream or Stream(cuda_graph._module.NAME)
        self._on = on_stream(self._stream)

    def __enter__(self) -> CUDAGraph:
        self._graph._module.synchronize()
        self._on.__enter__()
        try:
            self._graph.capture_begin(self._pool, self._mode)
        except BaseException:
            self._on.__exit__(None, None, None)
            raise
        return self._graph

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._graph.capture_end()
        except RuntimeError:
            self._graph.reset()
            if error is None:  # else the program's own error says more
                raise
        finally:
            self._on.__exit__(kind, error, trace)
        if error is not None:
            self._graph.reset()


def graph_pool_handle(device: Any = None) -> Any:
    """Memory for several graphs that are replayed one after another (`torch.cuda.graph_pool_handle`)."""
    return module_of(device).graph_pool()


def is_current_stream_capturing(device: Any = None) -> bool:
    """Whether this thread captures a graph (`torch.cuda.is_current_stream_capturing`)."""
    return _here.graph is not None


# ---- optimizers ------------------------------------------------------------------------------------------------------

Counts = list[tuple[dict[str, Any], dict[str, Any]]]


@contextlib.contextmanager
def repeated(optimizer: Optimizer) -> Iterator[None]:
    """Around an optimizer's step: in a capture, replays repeat it on the host for its coefficients."""
    capture = _here.graph
    if capture is None:
        settle()
        yield
        return
    before = {p: dict(state) for p, state in optimizer.state.items()}
    yield
    for p, state in optimizer.state.items():
        held = before.get(p, {})
        if any(k not in held and not isinstance(v, int | float) for k, v in state.items()):
            name = type(optimizer).__name__
            raise RuntimeError(f"[{name}] expected a step before the capture, which makes its states, got none")
        capture._counts.append((state, _numbers(held)))
    capture._steps.append(capture._guard or optimizer.step)
    capture._optimizers.append(optimizer)


_graphs: weakref.WeakSet[CUDAGraph] = weakref.WeakSet()
_graphs_lock = threading.Lock()


def holds(optimizer: Optimizer) -> bool:
    """Whether a graph updates the optimizer's states, which it knows by their addresses."""
    with _graphs_lock:
        graphs = list(_graphs)
    return any(optimizer is held for graph in graphs for held in graph._optimizers)


def repeats(step: Callable[[], Any]) -> bool:
    """In a capture: `step` belongs to every replay, between the optimizers' steps, and must not be done now."""
    if _here.graph is None:
        return False
    _here.graph._steps.append(step)
    return True


def number(backend: Any, dtype: str, value: Callable[[], float]) -> Any:
    """In a capture: an array of one element, which holds `value()` of each replay. None outside of one."""
    if _here.graph is None:
        return None
    _here.graph._steps.append(lambda: backend.graph_number(dtype, value()))
    return backend.graph_number(dtype, value())


def refuse_capture(what: str) -> None:
    """Raises in a capture, for what would go wrong in its replays without a sign."""
    if _here.graph is not None:
        raise NotImplementedError(f"[{what}] expected no capture of a graph, got one")


def _numbers(state: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in state.items() if isinstance(v, int | float)}


# ---- steps that the device may skip ----------------------------------------------------------------------------------


class Guard:
    """An optimizer's step in a graph that is skipped where `largest`, a float64 of the device, is not finite."""

    def __init__(self, scaler: GradScaler, optimizer: Optimizer, largest: Any) -> None:
        self.scaler, self.optimizer, self.largest = scaler, optimizer, largest
        self._counts: Counts = []

    def capture(self) -> None:
        """The step, into the graph that this thread captures."""
        graph = _here.graph
        assert graph is not None
        graph._guards.append(self)
        graph._guard = self
        graph._module.skip_steps_unless_finite(self.largest)
        try:
            self.optimizer.step()
        finally:
            graph._module.skip_steps_unless_finite(None)
            graph._guard = None

    def __call__(self) -> None:
        """The step of a replay on the host, as if it were done."""
        self._counts = [(state, _numbers(state)) for state in self.optimizer.state.values()]
        self.optimizer.step()

    def settle(self, module: Any) -> None:
        """Takes the step back where it was skipped."""
        skipped = not math.isfinite(module.to_numpy(self.largest).item())
        if skipped:
            for state, counts in self._counts:
                state.update(counts)
        self.scaler._replayed(self.optimizer, skipped)


_unsettled: list[CUDAGraph] = []  # replayed, and nobody has looked whether their steps were skipped


def capturing() -> CUDAGraph | None:
    """The graph that this thread captures."""
    return _here.graph


def captured_update(scaler: GradScaler) -> bool:
    """In a capture: `scaler.update()` belongs to every replay."""
    if _here.graph is not None:
        _here.graph._updates.append(scaler)
    return _here.graph is not None


def settle() -> None:
    """Waits for replays with a `GradScaler`, so that scales and the optimizers' counts are those of their end."""
    while _unsettled:
        graph = _unsettled.pop(0)
        with on_stream(graph._stream):
            for guard in graph._guards:
                guard.settle(graph._module)
        for scaler in graph._updates:
            scaler.update()
