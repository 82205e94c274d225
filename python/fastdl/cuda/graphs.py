"""CUDA graphs: a training step noted once and then started by one call (`torch.cuda.CUDAGraph`).

A small network's step spends more time in Python than on the GPU. A graph is what its kernels were: their addresses and
sizes stay, the numbers change. So new batches are copied into the tensors that the capture read, and results read from
those that it made. What the program decides from numbers on the host (`if loss.item() > 1`) cannot be in a graph.

Random numbers go on from replay to replay as in eager steps, and so do the optimizers: before a replay, their step runs
once more on the host for its coefficients, so schedules of the learning rate and Adam's corrections count.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..random import default_generator
from ..tensor import Tensor
from .module import module_of
from .streams import Stream
from .streams import stream as on_stream

if TYPE_CHECKING:
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
        self._counts: list[tuple[dict[str, Any], dict[str, Any]]] = []  # states of optimizers, and what they held

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
        self._native.end()
        self._captured = True

    def replay(self) -> None:
        """Does the noted work, on the current stream.

        Raises:
            RuntimeError: without a capture, inside one, or where an optimizer of the capture has other gradients now.
        """
        if not self._captured:
            raise RuntimeError("[CUDAGraph] expected a graph that was captured, got none")
        first = default_generator.take_counters(self._counters)
        self._native.replay(self._steps, default_generator.seed, first)

    def reset(self) -> None:
        """Forgets the noted work and gives its memory back when no tensor holds it."""
        self._native.reset()
        self._pool, self._captured, self._steps, self._counts = None, False, [], []

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
    `optimizer.zero_grad()`. Work that waits for the GPU, copies from or to the host, or allocates outside of the pool
    is refused with a RuntimeError.

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


@contextlib.contextmanager
def repeated(optimizer: Optimizer) -> Iterator[None]:
    """Around an optimizer's step: in a capture, replays repeat it on the host for its coefficients."""
    capture = _here.graph
    if capture is None:
        yield
        return
    before = {p: dict(state) for p, state in optimizer.state.items()}
    yield
    for p, state in optimizer.state.items():
        held = before.get(p, {})
        if any(isinstance(v, Tensor) and k not in held for k, v in state.items()):
            name = type(optimizer).__name__
            raise RuntimeError(f"[{name}] expected a step before the capture, which makes its states, got none")
        capture._counts.append((state, {k: v for k, v in held.items() if not isinstance(v, Tensor)}))
    capture._steps.append(optimizer.step)


def refuse_capture(what: str) -> None:
    """Raises in a capture, for what would go wrong in its replays without a sign."""
    if _here.graph is not None:
        raise NotImplementedError(f"[{what}] expected no capture of a graph, got one")
