"""CUDA graphs on the emulation: replays against eager calls, what is refused, and memory."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import fastdl
from fastdl import cuda, nn
from fastdl.functional import adaptive_max_pool2d, cross_entropy, max_pool2d, max_unpool2d, one_hot


def test_random_numbers_go_on(emu: ModuleType) -> None:
    x, drop = fastdl.ones(100, device="emu"), nn.Dropout(0.5)
    fastdl.manual_seed(7)
    eager = [drop(x).tolist() + drop(x).tolist() for _ in range(3)]
    fastdl.manual_seed(7)
    graph = cuda.CUDAGraph(device="emu")
    with cuda.graph(graph):
        first, second = drop(x), drop(x)
    replayed = []
    for _ in range(2):
        graph.replay()
        replayed.append(first.tolist() + second.tolist())
    assert [*replayed, drop(x).tolist() + drop(x).tolist()] == eager
    fastdl.manual_seed(7)  # another seed counts, too
    graph.replay()
    assert first.tolist() + second.tolist() == eager[0]


def test_arrays_of_random_numbers_go_on(emu: ModuleType) -> None:
    def draw(x: fastdl.Tensor) -> list[fastdl.Tensor]:
        return [fastdl.rand(5, device="emu"), fastdl.randn_like(x), fastdl.randint(0, 99, (6,), device="emu"),
                fastdl.empty_like(x).bernoulli_(0.5)]  # fmt: skip

    x = fastdl.ones(7, device="emu")
    fastdl.manual_seed(7)
    eager = [[t.tolist() for t in draw(x)] for _ in range(3)]
    fastdl.manual_seed(7)
    graph = cuda.CUDAGraph(device="emu")
    with cuda.graph(graph):
        made = draw(x)
    for numbers in eager:
        graph.replay()
        assert [t.tolist() for t in made] == numbers


def test_nothing_runs_in_a_capture(emu: ModuleType) -> None:
    x = fastdl.ones(3, device="emu")
    graph = cuda.CUDAGraph(device="emu")
    with cuda.graph(graph) as entered:
        assert entered is graph
        assert cuda.is_current_stream_capturing()
        x.fill_(2.0)
        y = x + 1
    assert not cuda.is_current_stream_capturing()
    assert x.tolist() == [1.0] * 3
    graph.replay()
    assert (x.tolist(), y.tolist()) == ([2.0] * 3, [3.0] * 3)


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "item": (lambda x: x.sum().item(), "a copy to the host, which waits for the device"),
    "tensor": (lambda x: fastdl.tensor([1.0], device="emu"), "a copy from the host, whose numbers"),
    "pinned": (lambda x: fastdl.ones(3).pin_memory("emu").to("emu", non_blocking=True), "a copy from the host"),
    "to_cpu": (lambda x: x.to("cpu", non_blocking=True), "a copy to the host"),
    "generator": (lambda x: x.normal_(generator=fastdl.Generator(1)), "a draw from a generator"),
    "synchronize": (lambda x: cuda.synchronize("emu"), "a wait for the device"),
    "stream": (lambda x: cuda.current_stream("emu").synchronize(), "a wait for a stream"),
    "query": (lambda x: cuda.current_stream("emu").query(), "a question about a stream"),
    "event": (lambda x: cuda.current_stream("emu").record_event().synchronize(), "a wait for an event"),
    "empty_cache": (lambda x: cuda.empty_cache("emu"), r"empty_cache\(\), which waits"),
    "nonzero": (lambda x: x.nonzero(), "a copy to the host"),
    "index": (lambda x: x[x > 0], "a copy to the host"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_waits_is_refused(emu: ModuleType, name: str) -> None:
    use, got = REFUSED[name]
    x = fastdl.ones(3, device="emu")
    graph = cuda.CUDAGraph(device="emu")
    refusal = rf"^\[cuda graph\] expected work that a graph can hold, got {got}"
    with pytest.raises(RuntimeError, match=refusal), cuda.graph(graph):
        use(x)
    with pytest.raises(RuntimeError, match=r"^\[CUDAGraph\] expected a graph that was captured, got none$"):
        graph.replay()
    assert (x * 2).tolist() == [2.0] * 3  # eager work goes on
    assert cuda.current_stream("emu") == cuda.default_stream("emu")


def test_streams_that_join_a_capture_are_waited_for(emu: ModuleType) -> None:
    stream = cuda.Stream("emu")
    graph = cuda.CUDAGraph(device="emu")
    with pytest.raises(RuntimeError, match="cudaErrorStreamCaptureUnjoined"), cuda.graph(graph, stream=stream):
        other = cuda.Stream("emu")
        other.wait_stream(stream)
        with other:
            fastdl.ones(3, device="emu")  # nobody waits for it
    with cuda.graph(graph, stream=stream):
        other.wait_stream(stream)
        with other:
            x = fastdl.ones(3, device="emu")
        stream.wait_stream(other)
    graph.replay()
    assert x.tolist() == [1.0] * 3


def test_bad_targets_are_reported_after_a_replay(emu: ModuleType) -> None:
    x = fastdl.zeros(3, 4, device="emu")
    y = fastdl.zeros(3, dtype=fastdl.int64, device="emu")
    graph = cuda.CUDAGraph(device="emu")
    with cuda.graph(graph):
        loss = cross_entropy(x, y)
    graph.replay()
    assert loss.item() == pytest.approx(np.log(4))
    y.copy_(fastdl.tensor([0, 4, 9]))
    with pytest.raises(IndexError, match=r"\[cross_entropy\] expected class indices in \[0, 4\) .*got 4 at position 1"):
        graph.replay()
    y.fill_(1)
    graph.replay()
    assert loss.item() == pytest.approx(np.log(4))
    assert emu.report() == []


INDEXED: dict[str, Callable[[Any, Any], Any]] = {
    "index_select": lambda x, i: x.index_select(0, i),
    "index_add": lambda x, i: fastdl.zeros(4, 3, device="emu").index_add(0, i, x),
    "gather": lambda x, i: x.gather(0, i.reshape(4, 1).expand(4, 3).contiguous()),
    "scatter": lambda x, i: fastdl.zeros(4, 3, device="emu").scatter(0, i.reshape(4, 1).expand(4, 3).contiguous(), x),
    "scatter_add": lambda x, i: fastdl.zeros(4, 3, device="emu").scatter_add(
        0, i.reshape(4, 1).expand(4, 3).contiguous(), x
    ),
}


@pytest.mark.parametrize("name", INDEXED)
def test_indices_are_those_of_the_replay(emu: ModuleType, name: str) -> None:
    use = INDEXED[name]
    x = fastdl.tensor(np.arange(12, dtype=np.float32).reshape(4, 3), device="emu")
    index, graph = fastdl.tensor([0, 1, 2, 3], device="emu"), cuda.CUDAGraph(device="emu")
    with cuda.graph(graph):
        out = use(x, index)
    for places in ([3, 0, 2, 1], [1, 1, 0, 3]):
        index.copy_(fastdl.tensor(places))
        graph.replay()
        assert out.tolist() == use(x, fastdl.tensor(places, device="emu")).tolist()
    index.copy_(fastdl.tensor([3, 0, -1, 4]))
    with pytest.raises(IndexError, match=r"expected indices in \[0, 4\), got -1 at position "):
        graph.replay()
    assert emu.report() == []


def test_places_of_maxima_in_a_graph(emu: ModuleType) -> None:
    rng = np.random.default_rng(2)
    x = fastdl.zeros(1, 2, 6, 6, device="emu", requires_grad=True)
    graph = cuda.CUDAGraph(device="emu")

    def step() -> fastdl.Tensor:
        x.grad = None
        pooled, places = max_pool2d(x, 2, return_indices=True)
        (max_unpool2d(pooled, places, 2).sum() + (adaptive_max_pool2d(x, 2) * 2).sum()).backward()
        assert x.grad is not None
        return x.grad

    with cuda.graph(graph):
        grad = step()
    for _ in range(2):
        x.data.copy_(fastdl.tensor(rng.standard_normal((1, 2, 6, 6)).astype(np.float32)))
        graph.replay()
        replayed = grad.tolist()
        assert replayed == step().tolist()
    assert emu.report() == []


def test_maxima_of_lines_in_a_graph(emu: ModuleType) -> None:
    """x.max(dim): values, places and the gradient of the values, of either axis; the first of equals."""
    rng = np.random.default_rng(4)
    x = fastdl.zeros(5, 7, device="emu", requires_grad=True)
    graph = cuda.CUDAGraph(device="emu")

    def step() -> list[fastdl.Tensor]:
        x.grad = None
        rows, columns = x.max(1), x.max(0, keepdim=True)
        ((rows.values * 2).sum() + columns.values.sum()).backward()
        assert x.grad is not None
        return [rows.values, rows.indices, columns.values, columns.indices, x.grad]

    with cuda.graph(graph):
        made = step()
    for _ in range(3):
        numbers = rng.integers(0, 4, (5, 7)).astype(np.float32)
        x.data.copy_(fastdl.tensor(numbers))
        graph.replay()
        replayed = [t.tolist() for t in made]
        assert replayed[:2] == [numbers.max(1).tolist(), numbers.argmax(1).tolist()]
        assert replayed[2:4] == [[numbers.max(0).tolist()], [numbers.argmax(0).tolist()]]
        assert replayed == [t.tolist() for t in step()]
    assert emu.report() == []


def test_one_hot_in_a_graph(emu: ModuleType) -> None:
    rng = np.random.default_rng(6)
    x, index = fastdl.zeros(6, 4, device="emu"), fastdl.zeros(3, dtype=fastdl.int64, device="emu")
    graph = cuda.CUDAGraph(device="emu")
    with cuda.graph(graph):
        out, others = one_hot(x.argmax(1), 4), one_hot(index, 3)
    assert out.dtype is others.dtype is fastdl.int64
    for places in ([0, 2, 1], [2, 2, 0]):
        numbers = rng.standard_normal((6, 4)).astype(np.float32)
        x.copy_(fastdl.tensor(numbers))
        index.copy_(fastdl.tensor(places))
        graph.replay()
        assert out.tolist() == one_hot(x.argmax(1), 4).tolist() == np.eye(4, dtype=int)[numbers.argmax(1)].tolist()
        assert others.tolist() == np.eye(3, dtype=int)[places].tolist()
    index.copy_(fastdl.tensor([0, 3, 1]))
    with pytest.raises(IndexError, match=r"expected indices in \[0, 3\), got 3 at position 1"):
        graph.replay()
    with pytest.raises(RuntimeError, match=r"got a copy to the host"), cuda.graph(cuda.CUDAGraph(device="emu")):
        one_hot(index)
    with pytest.raises(TypeError, match=r"^\[one_hot\] expected target of dtype int64"), cuda.graph(graph):
        one_hot(x, 4)
    assert emu.report() == []


def test_memory_lives_with_the_graph(emu: ModuleType) -> None:
    emu.set_caching(True)
    try:
        x = fastdl.ones(1000, device="emu")
        before = cuda.memory_reserved("emu")
        graph = cuda.CUDAGraph(device="emu")
        with cuda.graph(graph):
            a = x * 2
            address = a.data_ptr()
            del a
            b = x * 3  # takes the place of a
            assert b.data_ptr() == address
            c = b + 1
        eager = [fastdl.zeros(1000, device="emu") for _ in range(4)]
        assert not {t.data_ptr() for t in eager} & {b.data_ptr(), c.data_ptr()}
        graph.replay()
        assert c.tolist() == [4.0] * 1000
        del eager
        graph.reset()
        assert c.tolist() == [4.0] * 1000  # a tensor outlives its graph
        del b, c
        cuda.empty_cache("emu")
        assert cuda.memory_reserved("emu") == before
    finally:
        emu.set_caching(False)


def test_graphs_share_a_pool(emu: ModuleType) -> None:
    x = fastdl.ones(10, device="emu")
    pool = cuda.graph_pool_handle("emu")
    first, second = cuda.CUDAGraph(device="emu"), cuda.CUDAGraph(device="emu")
    with cuda.graph(first, pool=pool):
        a = x * 2
    with cuda.graph(second, pool=first.pool()):
        b = a + 1
    first.replay()
    second.replay()
    assert b.tolist() == [3.0] * 10


def test_bad_use(emu: ModuleType) -> None:
    graph = cuda.CUDAGraph(device="emu")
    with pytest.raises(TypeError, match=r"^\[graph\] expected a CUDAGraph, got int$"):
        cuda.graph(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^\[CUDAGraph\] expected capture_error_mode global"):
        graph.capture_begin(capture_error_mode="none")
    with pytest.raises(RuntimeError, match=r"expected a capture on another stream, got the default one$"):
        graph.capture_begin()
    with pytest.raises(RuntimeError, match=r"expected a capture that has begun, got none$"):
        graph.capture_end()
    with pytest.raises(RuntimeError, match=r"expected a graph that was captured, got none$"):
        graph.pool()
    with cuda.graph(graph):
        with pytest.raises(RuntimeError, match=r"expected no other capture in this thread, got one$"):
            cuda.CUDAGraph(device="emu").capture_begin()
        y = fastdl.ones(2, device="emu")
    graph.replay()
    assert y.tolist() == [1.0, 1.0]
